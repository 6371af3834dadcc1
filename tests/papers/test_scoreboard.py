"""The scoreboard: who learns from what, losses and pooling against oracles, what labels cost, short trainings."""
import csv
import math
import re
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch

from weaklib import claims, corpora, experiment, jobs, keys, losses, metrics, report, runs, session, tables
from weaklib.files import WeaklibError
from weaklib.grids import scoreboard as grid
from weaklib.papers import hung2021
from weaklib.papers import scoreboard as method

ROOT = Path(__file__).parents[2]
paper = experiment.load("scoreboard")
ROWS = {row.key: row for sheet in paper.sheets("full") for row in sheet.rows}
SEPARATORS = [row.key for row in grid.SEPARATION.rows if row.role != "reference"]


@pytest.fixture(scope="module")
def songs():
    return corpora.load("band", "train", "smoke")


def clips(*who, seed=0):
    """A clip of noise for each, with a note of every instrument that is in its word: "pb" is piano and bass."""
    generator = torch.Generator().manual_seed(seed)
    items = []
    for word in who:
        plays = torch.tensor([name[0] in word for name in hung2021.INSTRUMENTS]).float()
        sources = 0.1 * plays[:, None] * torch.randn(3, 32000, generator=generator)
        roll = torch.zeros(3, 88, 65)
        roll[:, 40, 10:20] = plays[:, None]
        items.append({"mix": sources.sum(0), "sources": sources, "roll": roll})
    return items


class Fixed(torch.nn.Module):
    """A separator that always gives the same masks, each one number."""

    def __init__(self, *masks):
        super().__init__()
        self.masks = torch.nn.Parameter(torch.tensor(masks))
        self.n_outputs = len(masks)

    def forward(self, X):
        return self.masks[:, None, None].expand(len(X), -1, *X.shape[1:])

    def separate(self, mix):
        return self.masks[:, None] * mix[:, None]


# A study among papers

def test_a_study_is_loaded_as_a_paper_is_and_is_none():
    assert experiment.load("scoreboard").key == "scoreboard" and "scoreboard" not in experiment.PAPERS
    assert "scoreboard" in experiment.known()
    summary = (ROOT / "README.md").read_text(encoding="utf-8").split(report.MARKS[0])[1].split(report.MARKS[1])[0]
    assert "Transcription Is All You Need" in summary and grid.GRID.title not in summary


def test_its_tables_have_no_column_of_a_paper_and_its_questions_no_line_in_the_file():
    text = tables.markdown("scoreboard", grid.SEPARATION, {"here": {row: [] for row in grid.SEPARATION.rows}})
    assert "paper" not in text and "| Stems of all songs |" in text
    assert not claims.texts("scoreboard")
    told = claims.markdown(paper.ledger("smoke", "committed"))
    assert all(f"{name} (" in told for name in grid.CLAIMS) and "Not tested here" in told


def test_a_question_that_was_tested_has_its_words_and_no_number_of_a_paper():
    values = claims.Values()
    for row, value in {"score": 6.0, "activity": 5.0, "activity_apart": 4.0}.items():
        for seed in range(3):
            values.add(row, "band", "si_sdr", "avg", seed, value + 0.01 * seed)
    entries = claims.ledger("scoreboard", "full", grid.CLAIMS, values, claims.Values())
    told = claims.markdown(entries)
    line, = (line for line in told.splitlines() if line.startswith("| q01 |"))
    assert "A score is worth more than knowing who plays." in line and "**holds**" in line and "+1.0 ± 0.0 dB" in line
    assert "Paper" not in told.splitlines()[0] and "Test" in told.splitlines()[0]


def test_a_study_has_no_preset_of_a_paper_which_keeps_its_notebook_back_and_stops_nobody(tmp_path, monkeypatch):
    path = tmp_path / "08_scoreboard.ipynb"
    path.touch()
    args = type("Args", (), {"only": [], "committed": False, "preset": "paper", "seeds": None, "fresh": False})
    found, = session.plan(args, tmp_path)
    assert found.obstacle == ("'How much is a weak label worth?' is an experiment of the kit's own, which no paper "
                              "has, so that there is no preset paper; choose one of smoke, laptop, full, gpu.")
    assert not found.configs and not grid.GRID.has("paper")


# Rows

@pytest.mark.parametrize("preset", ["smoke", "laptop", "full", "gpu"])
def test_every_row_has_a_config_of_its_own_that_is_found_again(preset):
    configs = [paper.config(row, preset) for row in ROWS]
    assert len({cfg.id for cfg in configs}) == len(ROWS) and [cfg.label for cfg in configs] == list(ROWS)
    for cfg in configs:
        assert keys.decode(method.Config, cfg.key()["config"]).digest == cfg.digest


def test_every_separator_is_the_same_network_trained_for_as_long_on_as_many_clips():
    configs = [paper.config(row, "full", 1) for row in SEPARATORS]
    assert {(cfg.net, cfg.plan, cfg.batch, cfg.seed, cfg.corpus) for cfg in configs} == {
        (method.Net(64, 128, 64, 2, 7), configs[0].plan, 4, 1, "band")}
    assert (configs[0].plan.steps, configs[0].plan.lr) == (800, 3e-3)
    assert {cfg.label: cfg.heard for cfg in configs if cfg.heard != "band"} == {"played": "band_pool"}


def test_with_a_gpu_all_is_larger_and_alike_for_all():
    """The network of hung2021 as published, and the audio-text critic of that preset."""
    configs = {row: paper.config(row, "gpu", 1) for row in ROWS}
    assert {(cfg.net, cfg.preset, cfg.plan.precision) for row, cfg in configs.items() if row in SEPARATORS} == {
        (method.Net(), "gpu", "bf16-mixed")}
    assert {(cfg.batch, cfg.plan.steps) for row, cfg in configs.items() if row in SEPARATORS} == {(32, 5000)}
    assert configs["text"].critic.plan.steps == 0 and configs["listener"].batch == 64
    assert configs["text"].critic.start == experiment.load("mahmud2024").config("critic", "gpu", 1)


def test_the_figures_of_prices_show_every_row_that_learns():
    assert list(grid.POINTS) == SEPARATORS
    assert list(grid.NOTES) == [row.key for row in grid.TRANSCRIPTION.rows]
    for points in (grid.POINTS, grid.NOTES):
        assert len({name for _, name in points.values()}) == len(points)


def test_who_judges_whom():
    judged = {row: paper.config(row, "full", 2).critic for row in SEPARATORS}
    assert {row: critic.label for row, critic in judged.items() if critic} == {
        "activity": "classifier", "text": "listener_frozen", "text_adapted": "listener", "score": "notes_100",
        "score_apart": "notes_100", "score_stems_5": "notes_100", "unpaired": "notes_unpaired"}
    assert {critic.seed for critic in judged.values() if critic} == {2}
    assert judged["unpaired"].heard == "band_pool" and judged["score"].heard == "band"
    own = experiment.load("mahmud2024").config("critic", "full", 2)
    assert judged["text"].start == judged["text_adapted"].start == own and own in judged["text"].needs()
    assert (judged["text"].plan.steps, judged["text_adapted"].plan.steps) == (0, 400)


def test_what_is_unknown_is_refused():
    with pytest.raises(WeaklibError, match="Unknown learns 'magic'; choose one of nothing, apart"):
        method.Config(learns="magic")


# Other sound

def test_on_other_sound_a_table_has_the_records_of_another_paper():
    """Every row of wisdom2020's Table 1 once, from nothing to everything; each number the mean over seeds of those in
    that table's file.
    """
    published = {}
    with open(ROOT / "results" / "gpu" / "wisdom2020" / "table1.csv", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            if line["corpus"] == "sounds":
                published.setdefault((line["row"], line["metric"]), []).append(float(line["value"]))
    sheet = experiment.Sheet(experiment.load("wisdom2020"), grid.SOUNDS, "gpu")
    assert {row.key for row in sheet.rows} == {row for row, _ in published} == grid.ON_SOUNDS.keys()
    told = sheet.markdown("committed")
    cells = {line.split(" | ")[0].removeprefix("| "): re.findall(r"-?\d+\.\d", line.split(" | ", 1)[1])
             for line in re.sub("<sub>.*?</sub>", "", told).splitlines() if line.startswith("| ")}
    for row in sheet.rows:
        _, msi, _, alone = map(float, cells[row.title])
        assert (msi, alone) == pytest.approx([fmean(published[row.key, metric]) for metric in ("msi", "ss")],
                                             abs=0.0501)
    asked = [[changes["supervised"] if changes["unsupervised"] < 1 else "", changes["halved"], changes["mixtures"]]
             for changes in (row.changes for row in sheet.rows)]
    assert asked == [["", False, "wild"], ["", False, "sounds"], *[["sounds", True, "sounds"]] * 2,
                     *[["sounds", False, "sounds"]] * 2, *[["sounds", False, "wild"]] * 2]
    assert "the score has no row" in told


# What labels cost

@pytest.mark.parametrize("row, minutes, hours", [
    ("nothing", {}, 0.0),
    ("activity", {"listen": 100.0}, 2.5),                       # 100 * 1.5 / 60
    ("activity_apart", {"listen": 100.0}, 2.5),
    ("text", {"describe": 100.0}, 3.3333),
    ("score", {"align": 100.0}, 16.6667),
    ("score_apart", {"align": 100.0}, 16.6667),
    ("unpaired", {"find": 100.0}, 0.16667),
    ("played", {"find": 100.0}, 0.16667),
    ("stems_1", {"record": 1.0}, 3.3333),                       # two of 200 songs of half a minute
    ("stems_5", {"record": 5.0}, 16.6667),
    ("stems_100", {"record": 100.0}, 333.3333),
    ("score_stems_5", {"align": 100.0, "record": 5.0}, 33.3333),
    ("notes_10", {"align": 10.0}, 1.66667),
    ("notes_unpaired", {"find": 100.0}, 0.16667),
    ("classifier", {"listen": 100.0}, 2.5),
    ("listener", {"describe": 100.0}, 3.3333),
    ("ideal", {}, 0.0)])
def test_hours_of_work_by_hand(row, minutes, hours):
    found = method.labelled(paper.config(row, "full"), 200, 100.0)
    assert found == pytest.approx(minutes) and method.hours(found) == pytest.approx(hours, abs=1e-3)


def test_rates_are_the_readers_own_and_scores_may_be_written_by_ear():
    cfg = paper.config("score", "full")
    assert method.labelled(cfg, 200, 100.0, "notate") == {"notate": 100.0}
    assert method.hours({"notate": 100.0, "record": 3.0}, {"record": 20.0}) == pytest.approx(101.0)
    assert method.labelled(paper.config("stems_1", "full"), 4, 2.0) == {"record": 1.0}  # two songs at least


# Data

def test_shares_of_the_songs_hold_each_other_and_every_seed_has_others():
    found = [set(method.songs_of(200, share, 3)) for share in (0.01, 0.05, 0.1, 1.0)]
    assert [len(x) for x in found] == [2, 10, 20, 200] and found[0] < found[1] < found[2] < found[3]
    assert set(method.songs_of(200, 0.05, 4)) != found[1] and method.songs_of(1, 0.01, 0) == [0]


@pytest.mark.parametrize("row, n_stems", [("stems_5", 4), ("score_stems_5", 2), ("score", 0)])
def test_only_songs_with_stems_show_them(row, n_stems, songs):
    """With two of four songs: each clip with stems is found in one of these, and no clip of a share in the others."""
    cfg = replace(paper.config(row, "smoke", 1), batch=4)
    draw = method.Clips(cfg, songs)
    with_stems = draw.with_stems if cfg.stems else draw.songs
    assert len(with_stems) == (2 if n_stems else 4)
    for step in range(4):
        batch = draw(step)
        assert len(batch.get("sources", ())) == n_stems and "other" not in batch
        for sources, mix in zip(batch.get("sources", ()), batch["mix"]):
            assert torch.equal(sources.sum(0), mix)
            assert any(found_in(songs.stems[song], sources.numpy()) for song in with_stems)
    again = method.Clips(cfg, songs)(3)
    assert all(torch.equal(again[name], batch[name]) for name in batch)


def found_in(stems, clip) -> bool:
    """Whether the bass of a clip is somewhere in a song, at a hop."""
    bass, wanted = stems[2].astype(np.int32), np.rint(clip[2] * 2 ** 15).astype(np.int32)
    return any(np.array_equal(bass[k:k + len(wanted)], wanted) for k in range(0, len(bass) - len(wanted) + 1, 500))


def test_clips_that_are_added_up_have_no_instrument_in_common_unless_names_do_not_count(songs):
    cfg = replace(paper.config("activity_apart", "smoke"), batch=8)
    shared = {}
    for learns in ("apart", "critic and apart", "nothing"):
        batch = method.Clips(replace(cfg, learns=learns), songs)(0)
        shared[learns] = (method.played(batch["roll"]) & method.played(batch["other_roll"])).any(1)
        silent = batch["other"].square().sum(1) == 0
        assert torch.equal(silent, ~method.played(batch["other_roll"]).any(1))
    assert not shared["apart"].any() and not shared["critic and apart"].any() and shared["nothing"].any()


# Losses

def test_two_clips_are_each_the_sum_of_their_instruments():
    """By NumPy, from the definition: squares over the RMS of what was heard, a mean over frames."""
    batch = method.examples(clips("pb", "g"), clips("g", "p", seed=1))
    cfg = paper.config("activity_apart", "full")
    masks = np.array([0.5, 0.3, 0.1])
    a, b, X = (hung2021.magnitude(batch[name] if name != "sum" else batch["mix"] + batch["other"]).double().numpy()
               for name in ("mix", "other", "sum"))
    root = np.sqrt((X ** 2).mean((1, 2)))
    errors = [np.stack([(masks[0] + masks[2]) * X[0] - a[0], masks[1] * X[1] - a[1]]),
              np.stack([masks[1] * X[0] - b[0], masks[0] * X[1] - b[1]]),
              np.stack([np.zeros_like(X[0]), masks[2] * X[1]])]
    want = cfg.loss.gain * np.mean(sum((e ** 2).sum(1).mean(-1) / root for e in errors))
    got = method.apart(Fixed(*masks.tolist()), batch, cfg)
    assert got.item() == pytest.approx(want, rel=1e-4)


def test_a_clip_without_a_partner_must_be_its_own_instruments():
    items = clips("p")
    batch = method.examples(items, [method.silence(items[0])])
    cfg = paper.config("activity_apart", "full")
    assert method.apart(Fixed(1.0, 0.0, 0.0), batch, cfg).item() == pytest.approx(0, abs=1e-6)
    assert method.apart(Fixed(0.0, 1.0, 0.0), batch, cfg).item() > 1


def test_what_has_no_names_learns_by_mixit():
    batch = method.examples(clips("pb", "g"), clips("g", "p", seed=1))
    model = Fixed(0.7, 0.1, 0.1, 0.1)
    pair = torch.stack([batch["mix"], batch["other"]], 1)
    want = losses.mixit(model.separate(pair.sum(1)), pair)[0].mean()
    assert method.unnamed(model, batch, paper.config("nothing", "smoke")).item() == pytest.approx(want.item())
    assert paper.config("nothing", "smoke").learns == "nothing"
    assert method.build(paper.config("nothing", "smoke")).n_outputs == method.N_FREE


def test_a_classifier_pools_over_time():
    """The logarithm of the mean of exponentials over frames: by NumPy; as large wherever in the clip it was."""
    model = method.Classifier(method.Net(8, 16, 8, 1, 1))
    X = torch.rand(2, 1025, 50)
    logits = model.tcn(X).detach()
    got = model(X).detach()
    want = np.log(np.exp(logits.double().numpy()).mean(-1))
    assert got.shape == (2, 3, 1, 1)
    np.testing.assert_allclose(got[..., 0, 0].numpy(), want, atol=1e-5)  # a difference of two logarithms near 0


def test_a_classifier_learns_who_plays_in_a_clip():
    batch = method.examples(clips("pb", "g"))
    cfg = paper.config("classifier", "smoke")
    logits = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.2, -1.0]])
    plays = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    each = torch.nn.functional.softplus(torch.where(plays > 0, -logits, logits))
    want = (hung2021.instrument_weights() * each).sum(1).mean()
    got = method.transcription(lambda X: logits[..., None, None], batch, cfg)
    assert got.item() == pytest.approx(want.item(), rel=1e-5)


def test_a_classifier_judges_by_who_plays_and_c_mix_knows_no_more():
    """With a judge that is never wrong, what is left is c-mix by clip."""
    batch = method.examples(clips("pb", "g"))
    cfg = paper.config("activity", "full")
    cfg = replace(cfg, loss=replace(cfg.loss, overlay=0.0))
    plays = method.pooled(batch["roll"])
    X = hung2021.magnitude(batch["mix"])
    model = Fixed(0.5, 0.3, 0.1)
    got = method.judged(model, batch, cfg, lambda S: 40 * losses.score.only(plays).flatten(0, 1) - 20)
    want = cfg.loss.gain * losses.mixture_loss(X, model(X) * X[:, None], plays > 0, squared=True).mean()
    assert got.item() == pytest.approx(want.item(), rel=1e-4)


class Hears(torch.nn.Module):
    """A critic that hears fixed notes in whatever it is given."""

    def __init__(self, roll):
        super().__init__()
        self.roll = roll

    def detect(self, X):
        return self.roll > 0

    def forward(self, X):
        return 40 * self.roll.repeat(len(X) // len(self.roll), 1, 1, 1) - 20


def test_without_a_score_the_critics_own_notes_teach():
    """The roll of the songs plays no part; that of the critic takes its place."""
    batch, cfg = method.examples(clips("pb", "g")), paper.config("unpaired", "full")
    cfg = replace(cfg, loss=replace(cfg.loss, overlay=0.0))
    heard = method.examples(clips("g", "p"))["roll"]
    model, judge = Fixed(0.5, 0.3, 0.1), Hears(heard)
    got = method.judged(model, batch, cfg, judge)
    X = hung2021.magnitude(batch["mix"])
    want = hung2021.separation(model(X) * X[:, None], {"X": X, "roll": heard}, cfg, judge)
    assert got.item() == pytest.approx(want.item(), rel=1e-6)
    other = method.judged(model, batch | {"roll": torch.zeros_like(heard)}, cfg, judge)
    assert other.item() == got.item()
    scored = method.judged(model, batch, replace(cfg, notes="score"), judge)
    assert scored.item() != pytest.approx(got.item(), rel=1e-3)


@pytest.mark.parametrize("row, more", [("score_stems_5", "supervised"), ("score_apart", "apart")])
def test_a_second_loss_is_added(row, more):
    cfg = paper.config(row, "full")
    cfg = replace(cfg, loss=replace(cfg.loss, overlay=0.0))
    extra = {"n_stems": 1} if more == "supervised" else {"others": clips("g", "p", seed=1)}
    batch, model = method.examples(clips("pb", "g"), **extra), Fixed(0.5, 0.3, 0.1)
    judge = Hears(batch["roll"])
    alone = method.judged(model, {name: batch[name] for name in ("mix", "roll")}, cfg, judge)
    added = getattr(method, more)(model, batch, cfg)
    assert method.judged(model, batch, cfg, judge).item() == pytest.approx((alone + added).item(), rel=1e-5)
    assert added > 0


# The audio-text critic

class Ears:
    """An audio-text model that knows three sounds by their length, and keeps what it was given."""

    log_scale, scale = torch.zeros(()), 2.0

    def __init__(self, heard, said):
        self.heard, self.said = heard, said

    def hear(self, x, spoiled=False):
        self.x, self.spoiled = x, spoiled
        return self.heard[:len(x)]

    def read(self, pooled):
        return self.said[:len(pooled)]


def test_half_the_rate_keeps_what_lies_below_its_half():
    """A tone of 1 kHz has the same pitch and level at 8 kHz; one of 6 kHz is gone."""
    t, t8 = torch.arange(32000) / 16000, torch.arange(16000) / 8000
    for hertz, kept in ((1000.0, 1.0), (6000.0, 0.0)):
        X = method.audio.stft(torch.sin(2 * math.pi * hertz * t)[None], method.N_FFT, method.HOP)
        got = method.at_half_the_rate(X, 32000)[0]
        assert got.shape == (16000,)
        torch.testing.assert_close(got[2000:-2000], (kept * torch.sin(2 * math.pi * hertz * t8))[2000:-2000],
                                   rtol=0, atol=5e-3)  # -46 dB, of the window's side lobes


def test_a_sentence_teaches_by_its_names_alone():
    """Piano and bass, then guitar: three estimates are heard, each against the names of all three."""
    batch, cfg = method.examples(clips("pb", "g")), paper.config("text", "full")
    said = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    heard = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    model, judge = Fixed(0.5, 0.3, 0.1), Ears(heard, said)
    got = method.sentence(model, batch, cfg, judge)
    logits = 2.0 * heard @ said[[0, 2, 1]].T  # piano, bass, guitar
    info = (-logits.log_softmax(1).diagonal() - logits.log_softmax(0).diagonal()) / 2
    X = hung2021.magnitude(batch["mix"])
    mixed = 0.01 * losses.mixture_loss(X, model(X) * X[:, None], method.pooled(batch["roll"]) > 0, squared=True).mean()
    assert got.item() == pytest.approx((mixed + 5.0 * info.mean()).item(), rel=1e-4)
    assert judge.spoiled and judge.x.shape == (3, 16000)
    est = 0.3 * method.at_half_the_rate(method.audio.stft(batch["mix"][1:], method.N_FFT, method.HOP), 32000)
    torch.testing.assert_close(judge.x[2:], est, rtol=1e-3, atol=1e-5)


def test_a_listener_learns_which_sentence_goes_with_which_mixture():
    """Two clips with the same sentence are positives of each other."""
    batch, cfg = method.examples(clips("pb", "g", "pb")), paper.config("listener", "smoke")
    heard, said = torch.eye(3, 8), torch.eye(2, 8)
    judge = Ears(heard, said)
    got = method.agreement(judge, batch, cfg)
    which = torch.tensor([0, 1, 0])  # "The sound mixture of piano and ..." comes before "The sound of ..."
    want = losses.contrastive(heard, said[which], 2.0, which[:, None] == which).mean()
    assert got.item() == pytest.approx(want.item(), rel=1e-5)
    assert judge.x.shape == (3, 16000)


# Scores

def test_ideal_masks_add_up_and_separate():
    items = clips("pgb", "pb")
    mix, ref = (torch.stack([item[name] for item in items]) for name in ("mix", "sources"))
    est = method.ideal(mix, ref)
    torch.testing.assert_close(est.sum(1), mix, rtol=0, atol=1e-4)
    before = metrics.si_sdr(mix[:, None].expand_as(ref), ref)[0]
    assert (metrics.si_sdr(est, ref)[0] > before + 3).all()
    assert est[1, 1].abs().max() < 1e-6  # who rests has nothing


def test_an_oracle_names_outputs_over_the_whole_song():
    """The piano of one clip is in the first output and that of the other in the third; the bass is quiet."""
    ref = torch.stack([item["sources"] for item in clips("pgb", "pgb")])
    first = torch.tensor([1.0, 0.0])[:, None]
    parts = torch.stack([first * ref[:, 0], ref[:, 1], (1 - first) * ref[:, 0], 0.01 * ref[:, 2]], 1)
    est = method.fitted(parts, ref)
    for i in range(2):
        torch.testing.assert_close(est[:, i], ref[:, i], rtol=0, atol=1e-5)
    assert (metrics.si_sdr(est, ref)[:, 2] > 60).all()
    swapped = method.fitted(parts[:, [3, 2, 1, 0]], ref)
    torch.testing.assert_close(swapped, est, rtol=0, atol=1e-6)


def test_critics_are_scored_by_the_stems_that_they_name(songs):
    class Deaf(torch.nn.Module):
        def forward(self, S):
            return torch.tensor([0.0, 0.0, 1.0]).expand(len(S), -1)[..., None, None]

    found = method.averaged(method.named(Deaf(), songs))
    assert set(found["named/bass"]) == {100.0} and set(found["named/piano"]) == {0.0}
    n_playing = sum(int(item["roll"][2].any()) for item in songs)
    assert len(found["named/bass"]) == n_playing and found["named/avg"] == [pytest.approx(100 / 3)]


def test_notes_are_scored_by_onset_over_the_clips_of_a_song(monkeypatch):
    """By hand: of two clips of 4 s each instrument's notes, one of them late, one missed, one extra, one too short."""
    notes = torch.tensor([[0.5, 1.0, 60.0, 90.0], [2.0, 3.0, 64.0, 90.0]])
    item = {"mix": torch.zeros(4 * 16_000), "notes": [notes, notes[:0], notes[1:]]}
    true = torch.zeros(3, 88, 129)
    true[0, 60 - 21, 16:32] = true[0, 64 - 21, 64:96] = true[2, 64 - 21, 64:96] = 1
    other = torch.zeros(3, 88, 129)
    other[0, 60 - 21, 24:40] = 1  # a quarter of a second late; the second one is missed
    other[0, 70 - 21, 50] = 1     # a single frame is no note
    other[2, 64 - 21, 64:96] = other[2, 30 - 21, 100:110] = 1  # right, and one that nobody plays
    monkeypatch.setattr(hung2021, "songs", lambda corpus: [[item, item]])
    monkeypatch.setattr(hung2021, "transcribed", lambda model, mix: torch.stack([true, other]))
    found = method.struck(method.hung2021.Transcriptor(method.Net(8, 16, 8, 1, 1), "score"), None)
    assert found == {"onset_f1/piano": [pytest.approx(2 * 2 / (4 + 3))],
                     "onset_f1/bass": [pytest.approx(2 * 2 / (2 + 3))]}  # the guitar has no notes
    assert method.averaged(found)["onset_f1/avg"] == [pytest.approx((4 / 7 + 4 / 5) / 2)]


# Training

@pytest.mark.slow
def test_smoke_trains_every_row_of_the_study(monkeypatch):
    """Each with what it starts from; scores are finite, and every cell of the tables has a number."""
    monkeypatch.setattr(experiment.presets, "SMALL", ())  # all rows, not the headline alone
    configs = [paper.config(row, "smoke") for row in ROWS]
    records = dict(zip(ROWS, jobs.train(configs, device="cpu")))
    for row, record in records.items():
        assert all(np.isfinite(values).all() for values in record.scores.values()), row
    for sheet in paper.sheets("smoke", 1):
        for row in sheet.rows:
            for metric in sheet.table.metrics:
                assert sheet.table.seeds(row, metric, "avg", [records[row.key]]), row.key
    begun = {name: runs.weights_of(paper.config(name, "smoke")) for name in ("listener", "classifier")}
    assert all(begun.values()) and not records["listener_frozen"].weights
    assert records["unpaired"].key["corpora"][0]["name"] == "band"
    assert records["ideal"].mean("si_sdr/avg") > records["input_mixture"].mean("si_sdr/avg") + 5
