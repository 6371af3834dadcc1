"""The paper's wiring: rows, batches and losses of three experiments, that training helps, that a folder is enough."""
from dataclasses import replace

import numpy as np
import pytest
import scenes
import torch

from weaklib import audio, corpora, experiment, jobs, metrics, mixing, runs, scoring, training
from weaklib.files import WeaklibError
from weaklib.papers import wisdom2020 as method

paper = experiment.load("wisdom2020")


@pytest.fixture(scope="module")
def train_split():
    return corpora.load("talkers", "train", "smoke")


def smoke(row, **changes):
    """A config of a row, and what draws its batches."""
    cfg = replace(paper.config(row, "smoke"), **changes)
    return cfg, method.task(cfg).draw


# Rows

def test_rows_say_which_voices_teach_and_how():
    cfg = paper.config("reverb_2src_matched_unsup100", "full", seed=2)
    assert (cfg.label, cfg.corpus, cfg.supervised, cfg.one_or_two, cfg.unsupervised, cfg.seed) == (
        "reverb_2src_matched_unsup100", "talkers_reverb", "talkers_reverb", False, 1.0, 2)
    cfg = paper.config("dry_1or2src_matched_unsup0", "full")
    assert (cfg.corpus, cfg.supervised, cfg.one_or_two, cfg.unsupervised) == ("talkers", "talkers", True, 0.0)
    cfg = paper.config("reverb_1or2src_mismatched_unsup10", "full")
    assert (cfg.corpus, cfg.mixtures, cfg.supervised, cfg.one_or_two, cfg.unsupervised) == (
        "talkers_reverb", "talkers_reverb", "talkers", True, 0.1)
    full, laptop = (paper.sheets(preset)[0] for preset in ("full", "laptop"))
    domains = [[row.key for row in full.rows[k:k + 28]] for k in (0, 28)]
    for found, domain in zip(domains, ("dry", "reverb")):
        assert found == ["input_mixture"] + [
            f"{domain}_{mode}_{match}_unsup{share}" for mode in ("1or2src", "2src")
            for match in ("matched", "mismatched") for share in (0, 10, 25, 50, 75, 90, 100)
            if (match, share) != ("mismatched", 100)] + [f"{domain}_2src_single_unsup0"]
    assert len(full.rows) == 56
    single = paper.config("reverb_2src_single_unsup0", "full")
    assert replace(single, label="", n_mix=2) == replace(paper.config("reverb_2src_matched_unsup0", "full"), label="")
    assert [row.key for row in laptop.rows] == [
        "input_mixture", "dry_1or2src_matched_unsup0", "dry_1or2src_matched_unsup100", "dry_2src_matched_unsup100"]


def test_points_that_a_claim_compares_have_all_seeds():
    sheet = paper.sheets("full")[0]
    several = {row.key.split("_", 2)[2] for row in sheet.rows if "src" in row.key and len(sheet.configs(row)) == 3}
    assert several == {f"matched_unsup{share}" for share in (0, 90, 100)} | {
        f"mismatched_unsup{share}" for share in (0, 10)}
    compared = {cell.row for claim in ("x01", "x02", "x03", "x04", "x05", "x06")
                for test in paper.grid.claims[claim].tests for bound in test.bounds
                for cell in bound.quantity.cells(None)}
    assert {row.split("_", 2)[2] for row in compared} == several


def test_each_domain_has_a_mixture_of_its_own():
    """Both rows have the key that the paper's table has; the corpus tells them apart."""
    sheet = paper.sheets("full")[0]
    found = [sheet.configs(row) for row in sheet.rows if row.key == "input_mixture"]
    assert [(cfg.corpus, cfg.mixtures, cfg.supervised, cfg.net) for cfg, in found] == [
        (name, name, name, None) for name in ("talkers", "talkers_reverb")]
    assert found[1][0] == paper.config("reverb_input_mixture", "full")


def test_rows_of_table_1_say_what_teaches():
    """Mixtures, sources, the share of the former, p0, and whether each is a half."""
    want = {
        "fuss16_p02_yfcc": ("wild", "sounds", 0.5, 0.2, False), "fuss16_p00_yfcc": ("wild", "sounds", 0.5, 0.0, False),
        "fuss16_p02": ("sounds", "sounds", 0.0, 0.2, False), "fuss16_p00": ("sounds", "sounds", 0.0, 0.0, False),
        "fuss8_p02_fuss8": ("sounds", "sounds", 0.5, 0.2, True),
        "fuss8_p00_fuss8": ("sounds", "sounds", 0.5, 0.0, True),
        "unsup_fuss16": ("sounds", "sounds", 1.0, 0.0, False), "unsup_yfcc": ("wild", "wild", 1.0, 0.0, False)}
    found = {row.key: paper.config(row, "full") for row in paper.grid.tables[2].rows}
    assert {key: (cfg.mixtures, cfg.supervised, cfg.unsupervised, cfg.p0, cfg.halved)
            for key, cfg in found.items()} == want
    assert {(c.task, c.corpus, c.wild, c.n_out) for c in found.values()} == {("universal", "sounds", "wild", 8)}
    assert [c["name"] for c in found["fuss16_p02"].corpora()] == ["sounds", "wild"]  # the test on `wild` counts, too
    assert [c["name"] for c in paper.config("mixit_3out", "full").corpora()] == ["noisy_talkers"]


def test_an_unknown_task_is_refused():
    with pytest.raises(WeaklibError, match="Unknown task 'music'; choose one of speech, enhancement, universal"):
        replace(paper.config("mixit_3out", "smoke"), task="music")


# (row, outputs, sampling rate, parameters with skips)
PUBLISHED = [("dry_2src_matched_unsup100", 4, 8000, 9_198_599 - 2 * 256 * 20),  # frames of 20 samples, not 40
             ("mixit_3out", 3, 16000, 9_132_807), ("sup_2out", 2, 16000, 9_067_015),
             ("unsup_yfcc", 8, 16000, 9_461_767)]


@pytest.mark.parametrize("row, n_out, sr, parameters", PUBLISHED)
def test_published_setting(row, n_out, sr, parameters):
    """Window and hop of 2.5 and 1.25 ms, 32 blocks with dilations up to 128, Adam at 1e-3 with batches of 256."""
    cfg = paper.config(row, "paper")
    net = cfg.net
    assert (net.basis, net.win_length, net.hop_length) == ("learned", sr * 5 // 2000, sr * 5 // 4000)
    assert (net.n_channels, net.n_hidden, net.n_repeats, net.n_dilations, net.skips) == (256, 512, 4, 8, True)
    assert (cfg.n_out, cfg.batch, cfg.snr_max) == (n_out, 256, 30.0)
    plan = cfg.plan
    assert (plan.lr, plan.decay, plan.weight_decay, plan.ema, plan.patience) == (1e-3, "constant", 0.0, 0.0, 0)
    with torch.device("meta"):
        model = method.build(cfg)
    assert sum(p.numel() for p in model.parameters()) == parameters
    if row == "unsup_yfcc":
        with torch.device("meta"):
            bare = method.build(replace(cfg, net=replace(net, skips=False)))
        assert sum(p.numel() for p in bare.parameters()) == 9_067_009


@pytest.mark.parametrize("row, want", [
    ("dry_2src_matched_unsup90", ("wsj0_2mix", "wsj0_2mix", "wsj0_2mix")), ("mixit_3out", ("librifsd",) * 3),
    ("fuss16_p02_yfcc", ("fuss", "yfcc100m", "fuss")), ("unsup_yfcc", ("fuss", "yfcc100m", "yfcc100m"))])
def test_the_preset_of_the_paper_hears_its_data(row, want):
    cfg = paper.config(row, "paper")
    assert (cfg.corpus, cfg.mixtures, cfg.supervised, cfg.wild) == (*want, "yfcc100m")


def test_p0_is_that_of_the_paper():
    assert {paper.config(row, "paper").p0 for row in paper.grid.tables[2].rows} == {0.0, 0.2}


@pytest.mark.parametrize("known, criterion", [("sources", method.CRITERION), ("labels", "MoMi on validation, dB")])
def test_a_row_is_taught_by_its_corpora_with_its_share(monkeypatch, known, criterion):
    """MixIT by what it will be tested on, PIT by what the row says; validated on the former."""
    monkeypatch.setattr(corpora, "load", lambda *where: [{known: where}])
    cfg = replace(paper.config("reverb_2src_matched_unsup0", "smoke", seed=5), supervised="talkers", batch=6)
    task = method.task(cfg)
    draw = task.draw
    assert draw.mixtures == [{known: ("talkers_reverb", "train", "smoke")}]
    assert draw.supervised == [{known: ("talkers", "train", "smoke")}]
    assert (draw.batch, draw.unsupervised, draw.one_or_two, draw.seed) == (6, 0.0, False, 5)
    seen = []
    gains = lambda model, corpus: seen.append((model, corpus)) or [1.0, 4.0]
    monkeypatch.setattr(scoring, "gains", gains)
    monkeypatch.setattr(scoring, "remixed", lambda model, corpus: {"momi": gains(model, corpus)})
    assert task.validate(task.model) == 2.5 and task.validate.name == criterion
    assert seen == [(task.model, [{known: ("talkers_reverb", "validation", "smoke")}])]
    assert method.task(paper.config("input_mixture", "smoke")) is None


def test_a_half_teaches_with_sources_and_the_other_with_mixtures(monkeypatch):
    scenes.install(monkeypatch)
    cfg = paper.config("fuss8_p02_fuss8", "smoke")
    draw = method.task(cfg).draw
    first, second = ([item["mix"] for item in part] for part in (draw.supervised, draw.mixtures))
    whole = [item["mix"] for item in scenes.split("sounds", "train")]
    assert len(first) == len(second) == 100 and all(map(torch.equal, [*first, *second], whole))
    assert (draw.p0, draw.unsupervised) == (0.2, 0.5)
    draw = method.task(paper.config("fuss16_p02_yfcc", "smoke")).draw
    assert (draw.mixtures.name, draw.supervised.name, len(draw.supervised)) == ("wild", "sounds", 200)


def test_universal_separation_is_judged_by_mixtures_of_several(monkeypatch):
    scenes.install(monkeypatch)
    several = [item for item in scenes.split("sounds", "validation") if item["sources"][1:].any()]
    model = scenes.Oracle(several, n_out=8)
    task = method.task(paper.config("fuss16_p02", "smoke"))
    assert len(several) == 9 and task.validate(model) == pytest.approx(np.mean(scoring.gains(model, several)))


def test_the_loss_is_pit_and_mixit_up_to_the_snr_of_the_config():
    cfg, draw = smoke("dry_2src_matched_unsup100", unsupervised=0.5, snr_max=7.0)
    torch.manual_seed(0)
    task = method.task(cfg)
    with torch.no_grad():
        got = task.loss(task.model, draw(0))
        assert got == mixing.loss(task.model, draw(0), 7.0) and got != mixing.loss(task.model, draw(0))


# Enhancement

class Noisy:
    """Speech and noise, white and as loud as each other: no two items have anything in common."""

    def __len__(self):
        return 12

    def __getitem__(self, i):
        sources = torch.randn(2, 4000, generator=torch.Generator().manual_seed(i))
        return {"mix": sources.sum(0), "sources": sources, "labels": [f"speaker {i}", "noise"]}


@pytest.mark.parametrize("unsupervised", [True, False])
def test_a_batch_of_speech_in_noise(unsupervised):
    draw = method.Enhancement(Noisy(), batch=3, unsupervised=unsupervised, seed=1)
    batch = draw(5)
    assert list(batch) == ["mixtures" if unsupervised else "sources"]
    (got,), (again,), (later,), (other,) = (x.values() for x in (
        batch, draw(5), draw(6), method.Enhancement(Noisy(), batch=3, unsupervised=unsupervised, seed=2)(5)))
    assert torch.equal(got, again) and not torch.equal(got, later) and not torch.equal(got, other)
    items = list(map(Noisy().__getitem__, range(12)))
    asked = []
    for example in got:  # speech in noise and the noise of another; or both sources
        which = [[i for i, item in enumerate(items) if torch.equal(x, y(item))] for x, y in zip(example, (
            (lambda item: item["mix"], lambda item: item["sources"][1]) if unsupervised else
            (lambda item: item["sources"][0], lambda item: item["sources"][1])))]
        asked += sum(which, [])
        assert len(which[0]) == len(which[1]) == 1 and (which[0] == which[1]) != unsupervised
    assert len(set(asked)) == (6 if unsupervised else 3)  # nothing is heard twice


def enhanced(batch, *order):
    """Loss of a network that gives out speech, its noise and the other noise in an order; None is silence."""
    def model(mix):
        noisy, other = batch["mixtures"].unbind(1)
        speech = torch.stack([item["sources"][0] for item in map(Noisy().__getitem__, range(12))
                              for x in noisy if torch.equal(item["mix"], x)])
        found = {"speech": speech, "noise": noisy - speech, "other": other, None: 0 * other}
        return torch.stack([found[name] for name in order], 1)

    return method.enhancement(model, batch).item()


def test_speech_must_be_the_first_output():
    """With noises that are each other's equals: either of both outputs may have either."""
    batch = method.Enhancement(Noisy(), batch=1, unsupervised=True, seed=0)(0)
    assert enhanced(batch, "speech", "noise", "other") == pytest.approx(-30, abs=0.01)  # its floor
    assert enhanced(batch, "speech", "other", "noise") == pytest.approx(-30, abs=0.01)
    assert enhanced(batch, "noise", "speech", "other") == pytest.approx(-30, abs=0.01)  # the same mixture: all alike
    for order in (("other", "speech", "noise"), ("other", "noise", "speech")):
        assert enhanced(batch, *order) > -5
    assert enhanced(batch, "speech", None, "other") > -20  # half of it: a noise is missing
    assert method.ENHANCEMENT == ((0, 0, 1), (0, 1, 0))


def test_the_loss_against_sources_is_in_their_order():
    batch = method.Enhancement(Noisy(), batch=2, unsupervised=False, seed=0)(0)
    sources = batch["sources"]
    assert method.enhancement(lambda mix: sources, batch).item() == pytest.approx(-30, abs=0.01)
    assert method.enhancement(lambda mix: sources, batch, 20.0).item() == pytest.approx(-20, abs=0.01)
    assert method.enhancement(lambda mix: sources.flip(1), batch).item() > 0
    half = torch.stack([sources[:, 0], sources.sum(1)], 1)  # speech is right; the noise is off by all of speech
    speech, noise = sources.double().square().sum(-1).numpy().T
    off = 10 * np.log10(speech / noise + 1e-3)
    assert method.enhancement(lambda mix: half, batch).item() == pytest.approx(np.mean([*off, -30, -30]), abs=0.01)


def test_enhancement_is_judged_and_scored_by_its_first_output(monkeypatch):
    scenes.install(monkeypatch)
    for row, n_out in (("sup_2out", 2), ("mixit_3out", 3)):
        task = method.task(paper.config(row, "smoke"))
        assert (task.draw.unsupervised, task.model.n_src) == (n_out == 3, n_out)
        known = scenes.split("noisy_talkers", "validation")

        class Ordered(scenes.Oracle):
            def one(self, mix):
                return super().one(mix).flip(0)

        class Reversed(scenes.Oracle):
            def one(self, mix):
                return super().one(mix)[-2:]

        assert task.validate(Ordered(known, n_out)) > 60 and task.validate(Reversed(known, n_out)) < -60
        test = scenes.split("noisy_talkers", "test")
        found = method.score(Ordered(test, n_out), paper.config(row, "smoke"))
        assert list(found) == ["si_snri"] and min(found["si_snri"]) > 60 and len(found["si_snri"]) == len(test)


# Scores

class Oracle(torch.nn.Module):
    """Knows the sources of the test split and returns them in a wrong order, with two silent outputs."""

    def __init__(self, corpus):
        super().__init__()
        self.sources = torch.stack([corpus[i]["sources"] for i in range(len(corpus))])
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, mix):
        candidates = torch.cat([self.sources.sum(1)[:, None], self.sources[:, :1]], 1)
        which = (mix[:, None, None] - candidates).abs().sum(-1).flatten(1).argmin(1)
        item, alone = which // 2, which % 2
        s = self.sources[item] * torch.stack([torch.ones_like(alone), 1 - alone], 1)[..., None]
        return torch.stack([0 * mix, s[:, 1], 0 * mix, s[:, 0]], 1)


def test_a_model_is_scored_on_what_it_is_for(monkeypatch):
    monkeypatch.setattr(corpora, "load", lambda *where: where)
    monkeypatch.setattr(method, "score_on", lambda *what: what)
    cfg = replace(paper.config("reverb_2src_matched_unsup0", "smoke"), supervised="talkers")
    assert method.score("model", cfg) == ("model", ("talkers_reverb", "test", "smoke"), "speech")


def test_scores_of_an_oracle_and_of_the_mixture():
    test = corpora.load("talkers", "test", "smoke")
    best, worst = method.score_on(Oracle(test), test), method.score_on(None, test)
    assert min(best["si_snr"]) > 70 and min(best["ss"]) > 70 and len(best["si_snri"]) == len(test)
    assert worst["si_snri"] == [0.0] * len(test)
    item = test[0]
    assert worst["si_snr"][0] == pytest.approx(
        np.mean([float(metrics.si_sdr(item["mix"], s)) for s in item["sources"]]), abs=1e-6)


def test_universal_separation_is_scored_on_sounds_and_on_recordings(monkeypatch):
    scenes.install(monkeypatch)
    test, wild = scenes.split("sounds", "test"), scenes.split("wild", "test")
    model, cfg = scenes.Echo(8), paper.config("unsup_yfcc", "smoke")
    found = method.score(model, cfg)
    assert found == {**scoring.sounds(model, test), "momi": scoring.remixed(model, test)["momi"],
                     "momi/wild": scoring.remixed(model, wild)["momi"]}
    assert found["momi"] != found["momi/wild"]
    assert list(method.score_on(model, wild, "universal")) == ["momi"]


def test_scores_are_those_that_the_tables_look_for(monkeypatch):
    scenes.install(monkeypatch)
    for sheet in paper.sheets("smoke"):
        for row in sheet.rows:
            cfg, = sheet.configs(row)
            found = method.score(cfg.net and scenes.Echo(cfg.n_out), cfg)
            wanted = {sheet.table.score(row, metric, split) for metric in sheet.table.metrics
                      for split in sheet.table.splits}
            unknown = {"msi/wild", "ss/wild"} if cfg.task == "universal" else set()  # for want of sources
            assert found.keys() == wanted - unknown - ({"ss"} if cfg.net is None else set()), row.key


# Training

@pytest.mark.parametrize("row", ["dry_1or2src_matched_unsup0", "dry_1or2src_matched_unsup100"])
def test_a_short_training_beats_the_untrained_network(row, tmp_path):
    """At least 0.4 dB of loss on batches it has not seen."""
    cfg = paper.config(row, "smoke")
    cfg = replace(cfg, plan=replace(cfg.plan, steps=80, lr=1e-2, warmup=10, validate_every=40))
    _, draw = smoke(row)
    unseen = [draw(step) for step in range(10_000, 10_008)]

    def level(model):
        with torch.no_grad():
            return np.mean([mixing.loss(model, b).item() for b in unseen])

    torch.manual_seed(cfg.seed)
    before = level(method.build(cfg))
    _, history, model = paper.train(cfg, tmp_path, device="cpu")
    assert level(model) < before - 0.4
    assert [h["step"] for h in history] == [40, 80]


@pytest.mark.parametrize("row, metric", [
    ("sup_2out", "si_snri"), ("mixit_3out", "si_snri"), ("fuss16_p02", "msi"), ("unsup_yfcc", "momi/wild")])
def test_a_short_training_of_the_others_beats_the_untrained_network(row, metric, tmp_path, monkeypatch):
    """By at least 3 dB on the test split, of tones."""
    scenes.install(monkeypatch)
    cfg = paper.config(row, "smoke")
    cfg = replace(cfg, plan=replace(cfg.plan, steps=60, lr=1e-2, warmup=10, validate_every=30))
    torch.manual_seed(cfg.seed)
    before = method.score(method.build(cfg).eval(), cfg)
    after, _, _ = paper.train(cfg, tmp_path, device="cpu")
    assert np.mean(after[metric]) > np.mean(before[metric]) + 3


def test_a_run_is_interrupted_and_ends_with_the_same_scores(tmp_path, monkeypatch):
    cfg = paper.config("dry_1or2src_matched_unsup100", "smoke")
    cfg = replace(cfg, plan=replace(cfg.plan, steps=12, validate_every=4))
    want, _, _ = paper.train(cfg, tmp_path / "whole", device="cpu")
    real = mixing.Mixtures.__call__

    def stop_at_7(self, step):
        if step == 7:
            raise KeyboardInterrupt
        return real(self, step)

    monkeypatch.setattr(mixing.Mixtures, "__call__", stop_at_7)
    fit = training.fit
    monkeypatch.setattr(training, "fit", lambda *args, **kw: fit(*args, **kw, save_every=0))
    with pytest.raises(KeyboardInterrupt):
        paper.train(cfg, tmp_path / "part", device="cpu")
    monkeypatch.setattr(mixing.Mixtures, "__call__", real)
    got, _, _ = paper.train(cfg, tmp_path / "part", device="cpu")
    assert got == want


def test_a_folder_of_recordings_is_enough(tmp_path, train_split):
    for i in range(8):
        audio.write(tmp_path / f"{i}.{'flac' if i % 2 else 'wav'}", np.tile(train_split[i]["mix"].numpy(), 2), 8000)
    folder = f"folder:{tmp_path}"
    cfg = paper.config("dry_1or2src_matched_unsup100", "smoke", corpus=folder, mixtures=folder, supervised=folder)
    (record,) = jobs.train([cfg], device="cpu")
    assert list(record.scores) == ["momi"] and np.isfinite(record.mean("momi"))
    assert jobs.train([cfg], device="cpu") == [record]
    assert runs.find(cfg, "", "local").weights_path is not None


def test_shipped_separator_separates_held_out_voices():
    """What comes with the package: more than 3 dB on average on the smoke test split, adding up to the mixture."""
    model = paper.network()
    test = corpora.load("talkers", "test", "smoke")
    scores = method.score_on(model, test)
    assert np.mean(scores["si_snri"]) > 3
    mix = torch.stack([test[i]["mix"] for i in range(4)])
    with torch.no_grad():
        torch.testing.assert_close(model(mix).sum(1), mix, rtol=1e-3, atol=1e-4)
