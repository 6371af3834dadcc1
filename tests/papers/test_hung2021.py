"""hung2021's wiring: rows and configs, who learns from what in each step, scores against oracles, short trainings."""
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from weaklib import corpora, experiment, jobs, losses, metrics, runs, tables, training
from weaklib.grids import hung2021 as grid
from weaklib.papers import hung2021 as method

paper = experiment.load("hung2021")


@pytest.fixture(scope="module")
def splits():
    return {split: corpora.load("band", split, "smoke") for split in ("train", "validation", "test")}


@pytest.fixture(scope="module")
def batch(splits):
    cfg = replace(paper.config("supervised", "smoke"), batch=4)
    return method.Clips(cfg, splits["train"])(0)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


# Rows

def test_rows_of_the_tables_are_those_of_the_paper():
    for sheet in paper.sheets("full"):
        metrics = {metric.key for metric in sheet.table.metrics}
        printed = [p["row"] for p in tables.paper_numbers("hung2021", sheet.table.name) if p["metric"] in metrics]
        assert sorted(row.key for row in sheet.rows if not row.ours) == sorted(set(printed))
    steps = ("pretrain", "finetune", "finetune_aml", "finetune_atl", "finetune_aml_active", "finetune_atl_strong")
    assert {row.key for sheet in paper.sheets("full") for row in sheet.rows if row.ours} == {
        "isolated_frame_mix", "finetune_c_h_frozen", "finetune_c_h_aml_active", "finetune_c_h_atl_strong",
        *(f"isolated_cmix_{what}" for what in ("unbalanced", "random_start", "no_overlay", "compressed", "absolute")),
        *(f"fpr_isolated_{step}" for step in steps), "fpr_pretrain", "fpr_finetune_aml_active",
        "fpr_finetune_atl_strong"}
    assert {row.key for sheet in paper.sheets("laptop") for row in sheet.rows} == {
        "input_mixture", "supervised", "baseline_pishdadian", "isolated_cmix", "isolated_c_h", "finetune_c_h_aml",
        *(f"{on}_{step}" for on in ("mixture", "iso", "fpr", "fpr_isolated") for step in ("pretrain", "finetune_aml"))}


def test_any_preset_has_its_tables_on_another_corpus_too():
    for sheet, usual in zip(paper.sheets("laptop", corpus="babyslakh"), paper.sheets("laptop")):
        assert sheet.rows == usual.rows
        found = [cfg for row in sheet.rows for cfg in sheet.configs(row)]
        assert {cfg.corpus for cfg in found} == {sheet.corpus(row) for row in sheet.rows} == {"babyslakh"}
        assert not {cfg.id for cfg in found} & {cfg.id for row in usual.rows for cfg in usual.configs(row)}


def test_one_model_fills_several_rows():
    ids = {paper.config(row, "full", 1).id for row in ("finetune_c_h_aml", "mixture_finetune_aml", "iso_finetune_aml",
                                                       "fpr_finetune_aml")}
    assert len(ids) == 1
    assert paper.config("iso_pretrain", "laptop").id == paper.config("mixture_pretrain", "full").id
    assert paper.config("input_mixture", "laptop", 2).id == paper.config("input_mixture", "laptop", 0).id


def test_a_config_holds_all_it_depends_on():
    """Changing the plan of step 1 changes the keys of steps 2 and 3, and labels change none."""
    cfg = paper.config("finetune_c_h", "laptop")
    assert cfg.start.label == "isolated_c_h" and cfg.start.critic.stage == "transcriptor"
    critic = replace(cfg.start.critic, plan=replace(cfg.start.critic.plan, steps=7))
    assert replace(cfg, start=replace(cfg.start, critic=critic)).id != cfg.id
    renamed = replace(cfg, label="x", start=replace(cfg.start, label="y", critic=replace(cfg.start.critic, label="z")))
    assert renamed.key() == cfg.key()


def test_the_octave_of_the_bass_is_part_of_the_key():
    """Slakh's scores as they are written make other runs, in every step, than those that are corrected."""
    names = "band", "babyslakh", "babyslakh_uncorrected"
    cfgs = [paper.config("finetune_c_h", "laptop", corpus=corpus) for corpus in names]
    assert len({cfg.id for cfg in cfgs}) == 3 and cfgs[0].id == paper.config("finetune_c_h", "laptop").id
    for cfg, corpus in zip(cfgs, names):
        assert cfg.corpus == cfg.start.corpus == cfg.start.critic.corpus == corpus
        assert [identity["name"] for identity in cfg.key()["corpora"]] == [corpus]


def test_published_weights():
    cfg = paper.config("finetune_c_h_aml_atl", "paper")
    assert cfg.loss == method.Loss(multipitch=0.03, activity=0.1, score=1.0, c_mix=1.0, h_mix=0.1, aml=0.2, atl=0.05,
                                   level="clip", n_harmonics=None, squared=False, gain=1.0, overlay=0.0)
    assert (cfg.start.init, cfg.frozen) == ("random", False)
    assert cfg.net == method.Net(n_channels=128, n_hidden=512, n_skip=128, n_repeats=3, n_dilations=8, power=1.0)
    adversarial = {row: (paper.config(row, "paper").loss.aml, paper.config(row, "paper").loss.atl)
                   for row in (row.key for row in grid.SEPARATION.rows if not row.ours)}
    assert {row: used for row, used in adversarial.items() if any(used)} == {
        "finetune_c_h_aml": (0.2, 0), "finetune_c_h_atl": (0, 0.05), "finetune_c_h_aml_atl": (0.2, 0.05)}
    assert cfg.min_sources == 1
    assert (cfg.corpus, cfg.plan.lr, cfg.plan.decay, cfg.plan.patience) == ("slakh", 1e-3, "plateau", 10)
    torch.testing.assert_close(method.instrument_weights(), torch.tensor([0.661, 1.935, 0.404]), rtol=0, atol=1e-3)


# Networks

class Constant(torch.nn.Module):
    """In place of a TCN: gives the same outputs in all frames, and keeps what it was given."""

    def __init__(self, out):
        super().__init__()
        self.out = out.flatten()

    def forward(self, x):
        self.heard = x
        return self.out[:, None].expand(len(x), -1, x.shape[-1])


TINY = method.Net(8, 16, 8, 1, 1, power=0.3)


def test_networks_see_compressed_magnitudes_and_order_their_outputs_by_instrument():
    X = 10 * torch.rand(2, 1025, 3)
    for model, n_rows in ((method.Transcriptor(TINY), 88), (method.Separator(TINY), 1025)):
        model.tcn = Constant(torch.linspace(-3, 3, 3 * n_rows))
        out = model(X)
        if n_rows == 1025:
            out = out.logit()  # masks: each instrument by itself between 0 and 1
        torch.testing.assert_close(out[1, :, :, 2].flatten(), model.tcn.out, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model.tcn.heard, X ** 0.3)
    assert method.Net().power == 1  # as published


def test_notes_are_detected_above_one_half_or_the_chosen_thresholds():
    model = method.Transcriptor(TINY)
    p = torch.full((3, 88), 0.01)
    p[:, :3] = torch.tensor([0.45, 0.55, 0.65])
    model.tcn = Constant(p.logit())
    detected = lambda: model.detect(torch.rand(1, 1025, 2))[0, :, :3, 0].tolist()
    assert detected() == [[False, True, True]] * 3
    model.thresholds.copy_(torch.tensor([0.4, 0.6, 0.7]))
    assert detected() == [[True] * 3, [False, False, True], [False] * 3]


def test_estimates_are_the_masked_mixture_with_its_phase():
    """Masks that are the same in all bins only scale the waveform."""
    separator, levels = method.Separator(TINY), torch.tensor([0.2, 0.5, 0.9])
    separator.tcn = Constant(levels.logit().repeat_interleave(1025))
    mix = torch.randn(2, 8000)
    torch.testing.assert_close(separator.separate(mix), levels[:, None] * mix[:, None], atol=1e-5, rtol=1e-5)


def test_magnitudes_are_sums_over_the_window():
    """A sine in the middle of a bin: half its amplitude times the sum of the window, 2 / pi of its length."""
    x = 0.5 * torch.cos(2 * torch.pi * 128 / 2048 * torch.arange(8000))
    assert method.magnitude(x)[128, 8].item() == pytest.approx(0.5 / 2 * 2 / np.pi * 2048, rel=1e-3)


def test_the_models_that_come_with_the_package_have_learned(splits):
    """On songs that they have not heard: better than the mixture, and most notes right."""
    pair = paper.network()
    scores = method.score_separator(pair.separator, splits["test"])
    before = method.score_separator(None, splits["test"])
    assert all(np.mean(scores[name]) > np.mean(before[name]) + 4 for name in scores)
    heard = method.score_transcriptor(pair.transcriptor, splits["test"])
    for on in ("mixture", "isolated"):
        assert all(np.mean(heard[f"{on}/note_accuracy/{name}"]) > 0.4 for name in method.INSTRUMENTS)
        assert np.mean(heard[f"{on}/false_positive_rate/all"]) < 0.4


# Data

def test_a_batch_is_a_function_of_the_step_and_has_enough_players(splits):
    cfg = replace(paper.config("supervised", "smoke"), batch=3, min_sources=3)
    draw = method.Clips(cfg, splits["train"])
    a, b = draw(5), draw(5)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["X"], draw(6)["X"])
    assert (a["roll"].amax((-2, -1)) > 0).all()
    assert a["X"].shape == (3, 1025, 129) and a["S"].shape == (3, 3, 1025, 129)
    assert (a["S"].sum(1) - a["X"]).min() > -1e-3  # the triangle inequality, bin by bin


class Numbered:
    """A corpus of two songs of three clips each: the first has one player, the second two."""

    songs, lengths, n_samples = ["solo", "duo"], [192_000, 192_000], 64_000

    def __init__(self):
        self.drawn = set()

    def clip(self, song, start):
        self.drawn.add((song, start))
        roll = torch.zeros(3, 88, 129)
        roll[:song + 1, 40, 5] = 1
        return {"mix": torch.zeros(64_000), "roll": roll}


@pytest.mark.parametrize("min_sources, songs", [(1, {0, 1}), (2, {1})])
def test_clips_come_from_all_songs_and_places_that_have_enough_players(min_sources, songs):
    corpus = Numbered()
    rng, cfg = np.random.default_rng(0), replace(paper.config("isolated_c_h", "smoke"), min_sources=min_sources)
    kept = [method.Clips(cfg, corpus).clip(rng)["roll"][1].any().item() for _ in range(200)]
    assert set(kept) == {song == 1 for song in songs}
    starts = {start for _, start in corpus.drawn}
    assert {song for song, _ in corpus.drawn} == {0, 1}
    assert all(start % 500 == 0 for start in starts)
    assert 0 <= min(starts) < 5_000 and 123_000 < max(starts) <= 128_000


def test_each_seed_draws_clips_of_its_own():
    cfg, drawn = replace(paper.config("isolated_c_h", "smoke"), batch=4), []
    for seed in (0, 1):
        corpus = Numbered()
        method.Clips(replace(cfg, seed=seed), corpus)(3)
        drawn.append(corpus.drawn)
    assert not drawn[0] & drawn[1]


def test_stems_are_loaded_for_the_supervised_row_only(splits):
    assert "S" not in method.Clips(paper.config("isolated_c_h", "smoke"), splits["train"])(0)


# Losses and who learns from them

def small_batch(n=3, frames=4):
    """Noise, louder from clip to clip; the guitar rests in the first, and in one frame nobody plays."""
    generator = torch.Generator().manual_seed(5)
    roll = (torch.rand(n, 3, 88, frames, generator=generator) < 0.03).float()
    roll[0, 1], roll[:, :, :, 1] = 0, 0
    S = torch.rand(n, 3, 1025, frames, generator=generator) * torch.arange(1.0, n + 1)[:, None, None, None]
    return {"X": S.sum(1), "roll": roll, "S": S}


def judge(X):
    """Hears notes where there is energy: some in every estimate and instrument, none twice the same."""
    energy = X.unfold(1, 88, 88)[:, :3].sum(-1)[:, :, None]  # (batch, 3, 1, frame), of three bands
    return energy.log() - 4 + torch.linspace(-2, 2, 88)[:, None]


def test_transcription_loss_is_eq_4():
    batch, w = small_batch(), method.instrument_weights()
    cfg = replace(paper.config("mixture_pretrain", "smoke"), loss=method.Loss(multipitch=0.3, activity=0.7))
    logits, roll = judge(batch["X"]), batch["roll"]
    want = (losses.score_loss(logits, roll, w) + 0.3 * losses.multipitch_loss(logits, roll)
            + 0.7 * losses.activity_loss(logits, roll, w)).mean()
    assert method.transcription(judge, batch, cfg).item() == pytest.approx(want.item(), rel=1e-5)


def test_a_classifier_learns_who_plays():
    """Weighted like the scores; its one loss is the cross-entropy of who plays in each frame."""
    batch, cfg = small_batch(), paper.config("baseline_pishdadian", "smoke").critic
    logits = judge(batch["X"])[:, :, :1]
    want = losses.activity_loss(logits, batch["roll"], method.instrument_weights()).mean()
    assert method.transcription(lambda X: logits, batch, cfg).item() == pytest.approx(want.item(), rel=1e-5)


@pytest.mark.parametrize("squared", [False, True])
def test_separation_loss_is_the_equation(squared):
    """With weights that all differ, so that none can be left out or taken for another."""
    batch = small_batch()
    X, roll, w = batch["X"], batch["roll"], method.instrument_weights()
    loss = method.Loss(score=3.0, c_mix=0.2, h_mix=0.05, gain=2.0, squared=squared, level="frame", n_harmonics=5)
    cfg = replace(paper.config("isolated_c_h", "smoke"), loss=loss)
    est = torch.rand(3, 3, 1025, 4) * X[:, None]
    logits = torch.stack([judge(est[:, i]) for i in range(3)], 1)
    want = (3 * losses.separated_loss(logits, roll, w)
            + 2 * 0.2 * losses.mixture_loss(X, est, losses.activity(roll, "frame"), squared=squared)
            + 2 * 0.05 * losses.mixture_loss(X, est, losses.harmonic_mask(roll, 16000, 2048, n_harmonics=5),
                                             squared=squared)).mean()
    assert method.separation(est, batch, cfg, judge).item() == pytest.approx(want.item(), rel=1e-5)


@pytest.mark.parametrize("row, used", [("isolated_cmix", "c"), ("isolated_hmix", "h"), ("isolated_c_h", "ch")])
def test_rows_have_the_terms_of_their_names(row, used):
    """As published, with judges that are never wrong: what is left are the mixture losses."""
    batch = small_batch()
    X, roll = batch["X"], batch["roll"]
    est = torch.rand(3, 3, 1025, 4) * X[:, None]
    terms = {"c": losses.mixture_loss(X, est, losses.activity(roll, "clip")),
             "h": 0.1 * losses.mixture_loss(X, est, losses.harmonic_mask(roll, 16000, 2048))}
    knows = lambda S: 40 * losses.score.only(roll).flatten(0, 1) - 20
    want = sum(terms[name] for name in used).mean()
    got = method.separation(est, batch, paper.config(row, "paper"), knows)
    assert got.item() == pytest.approx(want.item(), rel=1e-5)


def test_a_baseline_is_judged_by_who_plays():
    batch, cfg = small_batch(), paper.config("baseline_pishdadian", "paper")
    cfg = replace(cfg, loss=replace(cfg.loss, c_mix=0.0))
    plays = batch["roll"].amax(2, keepdim=True)
    right = 40 * losses.score.only(plays).flatten(0, 1) - 20
    est = batch["S"]
    assert method.separation(est, batch, cfg, lambda S: right).item() < 1e-3
    assert method.separation(est, batch, cfg, lambda S: -right).item() > 1


@pytest.mark.parametrize("squared", [False, True])
def test_supervised_loss_is_the_distance_to_the_stems(squared):
    batch = small_batch()
    X, S = (batch[name].double().numpy() for name in ("X", "S"))
    cfg = replace(paper.config("supervised", "smoke"), loss=method.Loss(gain=2.0, squared=squared))
    oracle = lambda X: batch["S"] / X[:, None]
    assert method.supervised(oracle, batch, cfg).item() == pytest.approx(0, abs=1e-2)
    masks = np.array([0.1, 0.6, 0.3])[:, None, None]
    error = masks * X[:, None] - S
    per_clip = ((error ** 2).sum((1, 2)).mean(-1) / np.sqrt((X ** 2).mean((1, 2))) if squared
                else np.abs(error).sum((1, 2)).mean(-1))
    got = method.supervised(lambda X: torch.from_numpy(masks).float(), batch, cfg)
    assert got.item() == pytest.approx(2 * per_clip.mean(), rel=1e-4)


def test_step_2_leaves_the_transcriptor_alone(batch):
    cfg = paper.config("isolated_c_h", "smoke")
    separator, judge = method.build(cfg), method.build(cfg.critic).requires_grad_(False)
    method.isolated(separator, batch, cfg, judge).backward()
    assert all(x.grad is not None for x in separator.parameters())
    assert all(x.grad is None for x in judge.parameters())


def test_the_judge_teaches_the_separator():
    """Through the transcription of the estimates alone, without a mixture loss."""
    cfg = paper.config("isolated_c_h", "smoke")
    cfg = replace(cfg, loss=replace(cfg.loss, c_mix=0.0, h_mix=0.0))
    separator = method.build(cfg)
    method.isolated(separator, small_batch(), cfg, judge).backward()
    assert all(x.grad.abs().sum() > 0 for x in separator.tcn.head.parameters())


def test_step_2_judges_masked_magnitudes():
    batch, cfg = small_batch(), paper.config("isolated_c_h", "smoke")
    masks = torch.rand(3, 3, 1025, 4)
    torch.manual_seed(7)  # the same overlays
    want = method.separation(masks * batch["X"][:, None], batch, cfg, judge)
    torch.manual_seed(7)
    torch.testing.assert_close(method.isolated(lambda X: masks, batch, cfg, judge), want)


def test_an_overlay_is_another_clip_and_its_notes():
    """The level of a clip tells it from the others; about half of the estimates are left alone."""
    n = 50
    est = torch.arange(3.0).expand(n, 3)[..., None, None].expand(n, 3, 2, 4)
    X = torch.arange(n * 1.0)[:, None, None].expand(n, 2, 4) + 100
    roll = torch.zeros(n, 3, 88, 4)
    roll[torch.arange(n), 1, torch.arange(n)] = 1  # clip k plays note k
    heard, over = method.overlay(est, X, roll, method.Loss(overlay=0.5, overlay_level=0.0))
    added = (heard - est)[..., 0, 0]
    assert (heard - est == added[..., None, None]).all()
    assert 0.3 < (added == 0).float().mean() < 0.7
    for clip in range(n):
        for i in range(3):
            want = torch.zeros(3, 88, 4)
            if added[clip, i]:
                other = int(added[clip, i]) - 100
                assert other != clip
                want[1, other] = 1
            assert torch.equal(over[clip, i], want)
    assert len(set(added[added > 0].tolist())) > n / 2  # it may be any of the others


def test_overlays_are_as_loud_as_asked():
    est, X, roll = torch.zeros(400, 3, 1, 1), torch.ones(400, 1, 1), torch.zeros(400, 3, 1, 1)
    heard, _ = method.overlay(est, X, roll, method.Loss(overlay=1.0, overlay_level=4.0))
    levels = 20 * heard.log10()
    assert levels.mean().item() == pytest.approx(0, abs=0.5) and levels.std().item() == pytest.approx(4, abs=0.4)


def test_the_judge_hears_overlays_and_the_mixture_losses_do_not():
    batch, w = small_batch(), method.instrument_weights()
    X, roll, cfg = batch["X"], batch["roll"], paper.config("isolated_cmix", "smoke")
    est = torch.rand(3, 3, 1025, 4) * X[:, None]
    torch.manual_seed(4)
    heard, over = method.overlay(est, X, roll, cfg.loss)
    assert over.any()
    logits = torch.stack([judge(heard[:, i]) for i in range(3)], 1)
    want = (losses.separated_loss(logits, roll, w, over)
            + cfg.loss.gain * losses.mixture_loss(X, est, losses.activity(roll), squared=True))
    torch.manual_seed(4)
    assert method.separation(est, batch, cfg, judge).item() == pytest.approx(want.mean().item(), rel=1e-5)


@pytest.mark.parametrize("aml_on", ["all", "active"])
def test_losses_of_step_3_are_eq_8_and_eq_11(aml_on):
    """Put together from their parts, with the same remixes; the estimates that the second hears are the first's."""
    batch, cfg, w = small_batch(), paper.config("finetune_c_h_aml_atl", "smoke"), method.instrument_weights()
    cfg = replace(cfg, loss=replace(cfg.loss, aml=0.4, atl=0.7, overlay=0.0, aml_on=aml_on))
    pair = method.build(cfg)
    hears = pair.transcriptor
    first, made = method.fooling(pair, batch, cfg)
    est = pair.separator(batch["X"]) * batch["X"][:, None]
    assert first.item() == pytest.approx(method.separation(est, batch, cfg, hears).item(), rel=1e-5)
    assert torch.equal(made["est"], est) and not made["est"].requires_grad
    est = torch.rand(3, 3, 1025, 4)
    torch.manual_seed(3)
    second = method.strictness(pair, batch | {"est": est}, cfg)
    torch.manual_seed(3)
    X_remix, roll_remix = method.remix(est, batch["roll"])
    logits = torch.stack([hears(est[:, i]) for i in range(3)], 1)
    want = (method.transcription(hears, batch, cfg)
            + 0.4 * losses.adversarial_mixture_loss(hears(X_remix), roll_remix, w, on=aml_on).mean()
            + 0.7 * losses.adversarial_transcription_loss(logits, batch["roll"], w).mean())
    assert second.item() == pytest.approx(want.item(), rel=1e-5)


@pytest.mark.parametrize("n", [3, 4, 8])
def test_remixes_take_every_instrument_from_another_clip(n):
    est = (torch.arange(n * 1.0)[:, None] + 10 ** torch.arange(1.0, 4)[None])[..., None, None].expand(n, 3, 2, 2)
    roll = est[:, :, :1].clone()
    for _ in range(5):
        X, y = method.remix(est, roll)
        clip = y[..., 0, 0] - 10 ** torch.arange(1.0, 4)
        assert all(len(set(row.tolist())) == 3 for row in clip)  # three clips in each remix
        assert all(sorted(column.tolist()) == list(range(n)) for column in clip.T)
        torch.testing.assert_close(X[:, 0, 0], y.sum((1, 2, 3)) / 2)


def test_small_batches_are_remixed_as_it_comes():
    """Two clips cannot give three: what is drawn first is taken, and over many draws the instruments part."""
    est = torch.tensor([[1.0, 10, 100], [2, 20, 200]])[..., None, None]
    found = {tuple(sorted(method.remix(est, est)[0].flatten().tolist())) for _ in range(50)}
    assert found == {(111, 222), (112, 221), (121, 212), (122, 211)}


def test_a_classifier_judges_activity(batch):
    cfg = paper.config("baseline_pishdadian", "smoke")
    judge = method.build(cfg.critic)
    assert judge(batch["X"]).shape == (4, 3, 1, 129)
    assert method.transcription(judge, batch, cfg.critic).isfinite()
    assert torch.equal(method.wanted(batch["roll"], "activity")[:, :, 0], batch["roll"].amax(2))
    assert cfg.loss.h_mix == 0  # who plays is all that this baseline knows


# Scores

class Toy:
    """Songs of two clips, one clip and none, then one; frames are few, and no guitar plays in the second song."""

    lengths, n_samples = [4500, 3999, 1500, 2000], 2000
    clips = [[0, 1], [2], [3]]  # of the songs that have some

    def __init__(self):
        generator = torch.Generator().manual_seed(1)
        self.items = []
        for index in range(4):
            sources = torch.randn(3, 2000, generator=generator)
            roll = (torch.rand(3, 88, 5, generator=generator) < 0.05).float()
            if index == 2:
                sources[1], roll[1] = 0, 0
            self.items.append({"mix": sources.sum(0), "sources": sources, "roll": roll})

    def __getitem__(self, index):
        return self.items[index]

    def song(self, clips, key):
        return [self.items[clip][key] for clip in clips]


class Stems(torch.nn.Linear):
    """Knows the stems of a corpus, but for some noise."""

    def __init__(self, items):
        super().__init__(1, 1)
        self.items = list(items)

    def separate(self, mix):
        stems = torch.stack([next(i["sources"] for i in self.items if torch.equal(i["mix"], x)) for x in mix])
        return stems + 0.1 * torch.sin(torch.arange(mix.shape[-1]))


def test_scores_of_a_separator_are_of_whole_songs():
    """A silent instrument has no score, and its song no average."""
    toy, want = Toy(), {f"si_sdr/{name}": [] for name in (*method.INSTRUMENTS, "avg")}
    for song, clips in enumerate(toy.clips):
        ref = torch.cat(toy.song(clips, "sources"), -1)
        est = torch.cat(list(Stems(toy.items).separate(torch.stack(toy.song(clips, "mix")))), -1)
        values = metrics.si_sdr(est, ref).tolist()
        for name, value in zip(method.INSTRUMENTS, values):
            if (name, song) != ("guitar", 1):
                want[f"si_sdr/{name}"].append(pytest.approx(value))
        if song != 1:
            want["si_sdr/avg"].append(pytest.approx(sum(values) / 3))
    assert method.score_separator(Stems(toy.items), toy) == want
    toy.lengths, toy.items = [2000], toy.items[2:3]
    assert method.score_separator(Stems(toy.items), toy).keys() == {"si_sdr/piano", "si_sdr/bass"}


def test_scores_of_the_mixture(splits):
    test = splits["test"]
    worst = method.score_separator(None, test)
    stems = torch.from_numpy(test.stems[0] / np.float32(32768))
    want = metrics.si_sdr(stems.sum(0).expand(3, -1), stems)
    assert [worst[f"si_sdr/{i}"][0] for i in method.INSTRUMENTS] == pytest.approx(want.tolist(), abs=1e-3)
    assert worst["si_sdr/avg"][0] == pytest.approx(want.mean().item(), abs=1e-3)
    assert len(worst["si_sdr/avg"]) == len(test.songs)


class Listener(method.Transcriptor):
    """Tells by the magnitudes what it hears, a mixture or a stem of a `Toy`, and gives the probabilities set for it."""

    def __init__(self, toy):
        super().__init__(TINY)
        heard = [x for item in toy.items for x in (item["mix"], *item["sources"])]
        self.sums = torch.stack([method.magnitude(x).sum() for x in heard])
        self.p = torch.rand(len(heard), 3, 88, 5)  # of clip k as a mixture: 4 k, of its source i: 4 k + 1 + i

    def forward(self, X):
        return self.p[[int((self.sums - x.sum()).abs().argmin()) for x in X]].logit()


def counted(p, threshold, roll):
    """True and false positives and false negatives, one cell after the other."""
    cells = [(q > threshold, y > 0) for q, y in zip(p.flatten().tolist(), roll.flatten().tolist())]
    return [cells.count(kind) for kind in ((True, True), (True, False), (False, True))]


def test_scores_of_a_transcriptor_are_of_whole_songs():
    """A stem is scored on its own instrument, with its threshold; who rests has no score, nor the rate of nothing."""
    toy, want = Toy(), {}
    model = Listener(toy)
    model.thresholds.copy_(torch.tensor([0.8, 0.9, 0.95]))
    model.p[12:] = 0.7  # in the last song nothing is found, but at a threshold of 0.5
    for clips in toy.clips:
        roll = torch.cat(toy.song(clips, "roll"), -1)
        for on in ("mixture", "isolated"):
            for at in ("", "_at_0.5"):
                hits = extras = misses = 0
                for i, name in enumerate(method.INSTRUMENTS):
                    p = torch.cat([model.p[4 * clip + (0 if on == "mixture" else 1 + i), i] for clip in clips], -1)
                    hit, extra, missed = counted(p, 0.5 if at else model.thresholds[i].item(), roll[i])
                    hits, extras, misses = hits + hit, extras + extra, misses + missed
                    for metric, value in (("note_accuracy", hit / (hit + extra + missed)),
                                          ("frame_f1", 2 * hit / (2 * hit + extra + missed))):
                        if roll[i].any():
                            want.setdefault(f"{on}/{metric}{at}/{name}", []).append(pytest.approx(value))
                if hits + extras:
                    want.setdefault(f"{on}/false_positive_rate{at}/all", []).append(
                        pytest.approx(extras / (hits + extras)))
                want.setdefault(f"{on}/miss_rate{at}/all", []).append(pytest.approx(misses / (hits + misses)))
    assert len(want["mixture/note_accuracy/guitar"]) == len(want["isolated/false_positive_rate/all"]) == 2
    assert method.score_transcriptor(model, toy) == want


def test_thresholds_are_those_with_the_best_accuracy():
    """Each instrument has one value that parts its notes from the rest; a song without guitar has no say in its."""
    toy = Toy()
    model = Listener(toy)
    roll = torch.stack([item["roll"] for item in toy.items])
    for i, (wrong, right) in enumerate([(0.05, 0.15), (0.35, 0.45), (0.85, 0.95)]):
        model.p[::4, i] = torch.where(roll[:, i] > 0, right, wrong)
    model.p[8, 1] = 0.05
    method.choose_thresholds(model, toy)
    assert model.thresholds.tolist() == pytest.approx([0.1, 0.4, 0.9])


# Training

class Caught(Exception):
    pass


@pytest.fixture
def caught(monkeypatch):
    """Stop before the training, and keep what it would have been given; networks to start from are untrained."""
    given = {}

    def fit(model, clips, loss, plan, folder, **options):
        given.update(options, model=model, clips=clips, loss=loss, plan=plan)
        raise Caught

    monkeypatch.setattr(training, "fit", fit)
    monkeypatch.setattr(method, "_trained", lambda cfg: given.setdefault(cfg.label, method.build(cfg)))
    return given


@pytest.mark.parametrize("row", ["supervised", "isolated_c_h", "finetune_c_h"])
def test_a_run_needs_every_network_that_it_loads(row, caught, tmp_path):
    """A worker with a store of its own is sent these and no others."""
    cfg = paper.config(row, "smoke")
    with pytest.raises(Caught):
        paper.train(cfg, tmp_path, device="cpu")
    loaded = {name for name, x in caught.items() if isinstance(x, torch.nn.Module)} - {"model"}
    assert {need.label for need in cfg.needs()} == loaded


def test_step_2_is_judged_by_the_transcriptor_of_step_1(caught, tmp_path):
    with pytest.raises(Caught):
        paper.train(paper.config("isolated_c_h", "smoke"), tmp_path, device="cpu")
    assert caught["loss"].keywords["judge"] is caught["mixture_pretrain"]
    assert not any(x.requires_grad for x in caught["mixture_pretrain"].parameters())


@pytest.mark.parametrize("row", ["isolated_cmix", "baseline_pishdadian"])
def test_a_separator_begins_with_all_of_its_critic_but_the_head(caught, tmp_path, row):
    cfg = paper.config(row, "smoke")
    with pytest.raises(Caught):
        paper.train(cfg, tmp_path, device="cpu")
    mine, its = caught["model"].tcn.state_dict(), caught[cfg.critic.label].tcn.state_dict()
    assert {name for name in its if not torch.equal(mine[name], its[name])} == {"head.weight", "head.bias"}
    assert not any(mine[name].data_ptr() == its[name].data_ptr() for name in its)  # a beginning, not a shared part
    with pytest.raises(Caught):
        paper.train(replace(cfg, init="random"), tmp_path, device="cpu")
    assert not torch.equal(caught["model"].tcn.bottleneck.weight, its["bottleneck.weight"])


def test_validation_hears_no_overlays(caught, tmp_path):
    cfg, batch = paper.config("isolated_c_h", "smoke"), small_batch()
    with pytest.raises(Caught):
        paper.train(cfg, tmp_path, device="cpu")
    judged = caught["validate"].score.keywords["loss"]
    clean = replace(cfg, loss=replace(cfg.loss, overlay=0.0))
    want = method.isolated(caught["model"], batch, clean, caught["mixture_pretrain"]).item()
    assert {judged(caught["model"], batch).item() for _ in range(3)} == {want}
    assert caught["loss"](caught["model"], batch).item() != want


def test_step_3_goes_on_from_steps_1_and_2_and_is_judged_without_adversarial_terms(caught, tmp_path):
    cfg, batch = paper.config("finetune_c_h_aml_atl", "smoke"), small_batch()
    with pytest.raises(Caught):
        paper.train(cfg, tmp_path, device="cpu")
    pair = caught["model"]
    assert pair.separator is caught["isolated_c_h"] and pair.transcriptor is caught["mixture_pretrain"]
    plain = replace(cfg, loss=replace(cfg.loss, aml=0.0, atl=0.0, overlay=0.0))
    est = pair.separator(batch["X"]) * batch["X"][:, None]
    want = (method.separation(est, batch, plain, pair.transcriptor)
            + method.transcription(pair.transcriptor, batch, plain)).item()
    assert caught["validate"].score.keywords["loss"](pair, batch).item() == pytest.approx(want, rel=1e-5)
    first, second = caught["loss"]
    assert [player.name for player in caught["loss"]] == ["separator", "transcriptor"]
    assert all(a is b for a, b in zip(first.parameters, pair.separator.parameters(), strict=True))
    assert all(a is b for a, b in zip(second.parameters, pair.transcriptor.parameters(), strict=True))
    assert second.loss.keywords["cfg"].loss.aml == 0.2


def moved(row, tmp_path, **changes):
    """Train for a step or two; return which networks of the pair are no longer what they were."""
    cfg = replace(paper.config(row, "smoke"), **changes)
    task = paper.method.task(cfg, "cpu")
    before = {name: x.clone() for name, x in task.model.state_dict().items()}
    training.fit(task.model, task.draw, task.loss, replace(cfg.plan, steps=2), tmp_path, device="cpu")
    return {name.split(".")[0] for name, x in task.model.state_dict().items() if not torch.equal(x, before[name])}


def test_in_the_control_the_critic_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(method, "_trained", method.build)
    assert moved("finetune_c_h", tmp_path / "a") == {"separator", "transcriptor"}
    assert moved("finetune_c_h", tmp_path / "b", frozen=True) == {"separator"}


def test_the_objective_is_minus_the_mean_loss():
    batches = [{"x": torch.tensor(x)} for x in (1.0, 2.0, 6.0)]
    assert method.objective(torch.nn.Linear(1, 1), batches, lambda model, batch: batch["x"]) == -3


@pytest.mark.parametrize("row, margin", [("mixture_pretrain", 0.3), ("supervised", 0.1)])
def test_a_short_training_beats_the_untrained_network(row, margin, splits, tmp_path):
    """By a share of the loss on validation clips."""
    cfg = paper.config(row, "smoke")
    cfg = replace(cfg, batch=4, plan=replace(cfg.plan, steps=40, lr=1e-2, validate_every=20))
    loss = partial(method.LOSSES[cfg.stage], cfg=cfg)
    fixed = [method.examples([splits["validation"][i] for i in range(8)], stems=True)]
    torch.manual_seed(0)
    before = method.objective(method.build(cfg), fixed, loss)
    _, _, model = paper.train(cfg, tmp_path, device="cpu")
    assert method.objective(model, fixed, loss) > before * (1 - margin)  # both are negative


def test_all_steps_of_a_fine_tuned_row(tmp_path, monkeypatch):
    """Asked for the last step, the first two are run before it, once; the shipped form separates."""
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    (record,) = jobs.train([paper.config("finetune_c_h_aml", "smoke")], device="cpu")
    made = {path.name.split("-")[1] for path in runs.local().glob("hung2021-*") if path.is_dir()}
    assert made == {"mixture_pretrain", "isolated_c_h", "finetune_c_h_aml"}
    assert len(record.history) == 2 and np.isfinite(record.mean("si_sdr/avg"))
    assert 0 <= record.mean("mixture/note_accuracy/bass") <= 1
    pair = paper.network(record)
    assert pair.separator.separate(torch.randn(1, 16000)).shape == (1, 3, 16000)
