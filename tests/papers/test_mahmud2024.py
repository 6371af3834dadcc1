"""mahmud2024's wiring: rows and configs, who hears what in each step, its losses in NumPy, scores, short trainings."""
import math
from collections import Counter
from dataclasses import replace
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from weaklib import audio, corpora, cues, experiment, files, metrics, presets, runs, tables, text, training
from weaklib.papers import mahmud2024 as method

paper = experiment.load("mahmud2024")


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


class Impulses:
    """Every item is one sample of 1 at a place of its own, so that mixtures tell what they are made of."""

    name, split, preset, sr = "impulses", "train", "smoke", 8000
    classes = ("violin", "piano", "flute", "drum", "tuba", "banjo", "cello", "erhu")
    N, CUTS = 20, 2  # recordings of a class, and items of a recording

    def __init__(self, offset: float = 0.0):
        self.offset = offset
        self.recordings = {name: [range(i, i + self.CUTS) for i in range(k, k + self.N * self.CUTS, self.CUTS)]
                           for k, name in zip(range(0, len(self), self.N * self.CUTS), self.classes)}

    def __len__(self):
        return len(self.classes) * self.N * self.CUTS

    def __getitem__(self, i):
        x = torch.zeros(len(self))
        x[i] = 1
        return {"mix": x, "sources": x[None], "labels": [self.of(i)]}

    def of(self, i) -> str:
        """The class of an item."""
        return self.classes[int(i) // (self.N * self.CUTS)]

    def heard(self, x) -> dict:
        """What a signal is made of: class -> (item, gain)."""
        return {self.of(i): (int(i), float(x[i])) for i in x.nonzero().flatten()}


@pytest.fixture(scope="module")
def impulses():
    return Impulses()


def config(row="proposed_clap_src2", preset="smoke", **changes):
    return replace(paper.config(row, preset), **changes)


# Rows

def configs(preset):
    return [cfg for sheet in paper.sheets(preset, 1) for row in sheet.rows for cfg in sheet.configs(row)]


def with_needs(found):
    return [cfg for one in found for cfg in (one, *with_needs(one.needs()))]


def test_rows_of_the_tables_are_those_of_the_paper():
    for sheet in paper.sheets("full"):
        if sheet.table.key == "critics":
            assert all(row.ours for row in sheet.rows)
            continue
        metrics = {metric.key for metric in sheet.table.metrics}
        printed = {p["row"] for p in tables.paper_numbers("mahmud2024", sheet.table.name) if p["metric"] in metrics}
        assert {row.key for row in sheet.rows if not row.ours} == printed, sheet.table.name


def test_small_presets_have_the_rows_that_tell_the_story():
    """Table 1 and what its models start from, and a few single sounds: 14 runs."""
    for preset in ("smoke", "laptop"):
        assert {cfg.label for cfg in paper.configs(preset, 1)} == {
            "input_mixture", "pit_sup", "mixit_src2", "critic", "start_sup", "start_src2", "start_src4",
            "clapsep_star_sup", "clapsep_star_src2", "clapsep_star_src4", "proposed_clap_src2", "proposed_clap_src4",
            "sup_music_5", "ssl_music_5_music_95_src2"}


@pytest.mark.parametrize("preset", presets.NAMES)
def test_every_row_makes_a_config_and_what_it_starts_from(preset):
    """A model that reads, teaches or goes on is one of the stage and system that it is needed for."""
    shared = paper.grid.preset(preset)
    for row in (*(row for sheet in paper.sheets(preset) for row in sheet.rows), *paper.grid.others):
        cfg = paper.config(row, preset)
        assert cfg.preset == presets.sizes(preset)
        for one in with_needs([cfg]):
            assert one.stage in method.UNTRAINED or not one.heard
            assert not (one.start and "start" in shared.without)
            if one.reader:
                assert one.reader.stage == {"clap": "critic", "clip": "sight", **dict.fromkeys(method.SEEN, "sight")}[
                    one.system]
            if one.stage == "separator" and one.system in (*method.READ, "image", "sop") and one.loss.contrastive:
                assert one.teacher or one.loss.teacher == "concurrent"
            if one.teacher:
                timbre = one.loss.teacher == "timbre" or one.stage == "listened"
                assert one.teacher.stage == ("timbre" if timbre else "critic")
            if one.start:
                same = ("system", "n_fft", "sr", "net", "reader")
                assert [getattr(one.start, name) for name in same] == [getattr(one, name) for name in same]
                assert (one.start.loss.contrastive, one.start.loss.consistency) == (0, 0)


def test_cells_that_tables_share_come_from_one_run():
    for same in (("clapsep_star_sup", "res_sa_ca_sup", "split_100_0_sup", "sup_music_100"),
                 ("proposed_clap_src2", "res_sa_ca_src2", "url_cnt_crl_src2", "a0p1_b5_g10", "split_0_100_unsup"),
                 ("clapsep_star_src3", "url_src3"), ("ssl_music_5_music_95_src2", "split_5_95_ssl", "ls5_lu1")):
        assert len({paper.config(row, "full", 1).id for row in same}) == 1
    assert paper.config("input_mixture", "full", 2).id == paper.config("input_mixture", "full", 0).id


def test_full_and_mix_and_separate_have_had_equally_many_steps_and_the_same_start():
    for k in (2, 4):
        full, alone = (paper.config(f"{name}_src{k}", "laptop") for name in ("proposed_clap", "clapsep_star"))
        assert full.start.id == alone.start.id and full.plan.steps == alone.plan.steps
        assert full.plan.lr == alone.plan.lr


def test_the_paper_preset_has_no_departures():
    plain = method.Config(preset="paper")
    for cfg in with_needs(configs("paper")):
        assert (cfg.rows, cfg.scaled, cfg.crop, cfg.augment, cfg.start, cfg.by_kind) == (0, 0.0, 0, False, None, False)
        assert (cfg.sr, cfg.n_fft, cfg.hop) == (11025, 1022, 256)
        assert (cfg.loss.form, cfg.loss.positives, cfg.loss.asked) == ("symmetric", False, "mixture")
        assert (cfg.net.n_levels, cfg.net.n_channels, cfg.net.most, cfg.net.film) == (7, 64, 512, "")
        if cfg.stage == "separator":
            assert {cfg.corpus, cfg.mixtures, cfg.singles} <= {"music21", "vggsound", "audiocaps"}
            assert cfg.plan == plain.plan and (plain.plan.steps, plain.plan.lr) == (68_000, 1e-3)
            assert cfg.batch == (32 if cfg.mixtures == "music21" else 64)
    # 50 epochs; a tenth of the rate after 15, 30 and 45 of them
    assert [plain.plan.lr_at(int(n * 1360)) for n in (0, 14.9, 15, 30, 49.9)] == pytest.approx(
        [1e-3, 1e-3, 1e-4, 1e-5, 1e-6])
    proposed = paper.config("proposed_clap_src2", "paper")
    assert proposed.reader.published and proposed.teacher.published  # LAION-CLAP
    assert (proposed.loss, proposed.net, proposed.batch) == (plain.loss, plain.net, 32)
    assert [proposed.loss.contrastive, proposed.loss.consistency, proposed.loss.reconstruction] == [0.1, 5.0, 10.0]
    assert (proposed.loss.supervised, proposed.loss.weak, proposed.n_mixtures) == (5.0, 1.0, 2)  # Eq. 7, section 4
    alone = paper.config("clapsep_star_src2", "paper").loss
    assert (alone.contrastive, alone.consistency, alone.reconstruction) == (0.0, 0.0, 10.0)


# What is heard

def drawn(impulses, cfg, k=2, stream=0, share="mixed"):
    labelled, mixed = method.recordings_of(impulses, cfg)
    return method.Moms(impulses, mixed if share == "mixed" else labelled, cfg, k, stream)


@pytest.mark.parametrize("k, n_mixtures", [(2, 2), (1, 2), (2, 3), (4, 2)])
def test_mixtures_of_mixtures_hold_what_their_questions_say(impulses, k, n_mixtures):
    cfg = config(n_sources=k, n_mixtures=n_mixtures)
    moms = drawn(impulses, cfg, k)
    batch = moms(3, 5)
    assert batch["mixtures"].shape == (5, n_mixtures, len(impulses)) and (batch["share"] == 1).all()
    for mixtures, whole, parts, classes in zip(*(batch[name] for name in ("mixtures", "whole", "parts", "classes"))):
        found = [impulses.heard(x) for x in mixtures]
        assert len({name for one in found for name in one}) == k * n_mixtures  # no class is heard twice
        for one, asked, single, numbers in zip(found, whole, parts, classes):
            names = [impulses.classes[c] for c in numbers]
            assert one.keys() == set(names)
            assert moms.questions.prompts[asked] == text.prompt(names)
            assert [moms.questions.prompts[p] for p in single] == [f"The sound of {name}" for name in names]
            gains = np.array([gain for _, gain in one.values()]) * k * n_mixtures
            assert (0.5 <= gains).all() and (gains <= 1.5).all()
        together = impulses.heard(mixtures.sum(0))
        assert together == {name: value for one in found for name, value in one.items()}


def test_a_step_draws_the_same_whenever_it_is_asked(impulses):
    cfg = config()
    one, again = drawn(impulses, cfg), drawn(impulses, cfg)
    assert torch.equal(one(7, 4)["mixtures"], again(7, 4)["mixtures"])
    others = (one(8, 4), drawn(impulses, replace(cfg, seed=1))(7, 4), drawn(impulses, cfg, stream=1)(7, 4))
    assert not any(torch.equal(one(7, 4)["mixtures"], other["mixtures"]) for other in others)
    items = {item for step in range(40) for x in one(step, 4)["mixtures"].flatten(0, 1)
             for item, _ in impulses.heard(x).values()}
    assert len(items) > 0.8 * len(impulses)  # all is heard, sooner or later


def test_too_many_sources_for_the_classes_are_refused(impulses):
    with pytest.raises(files.WeaklibError, match="2 mixtures of 5 sources need as many classes, and impulses has 8"):
        drawn(impulses, config(n_sources=5), 5)


def test_shares_of_recordings_are_nested_and_apart(impulses):
    def share(s):
        labelled, mixed = method.recordings_of(impulses, config("ssl_music_5_music_95_src2", single_share=s,
                                                               mixture_share=1 - s, seed=round(100 * s)))
        return [{name: set(items) for name, items in part.items()} for part in (labelled, mixed)]

    shares = (0.05, 0.1, 0.25, 0.5, 0.75)
    found = {s: share(s) for s in shares}
    for s, (labelled, mixed) in found.items():
        for name in impulses.classes:
            of = [set(r) for r in impulses.recordings[name]]
            for part, n in ((labelled[name], s * impulses.N), (mixed[name], (1 - s) * impulses.N)):
                assert sum(r <= part for r in of) == round(n) and len(part) == round(n) * impulses.CUTS  # as a whole
            assert not labelled[name] & mixed[name] and labelled[name] | mixed[name] == set().union(*of)
    for small, large in zip(shares, shares[1:]):
        for name in impulses.classes:
            assert found[small][0][name] < found[large][0][name] and found[large][1][name] < found[small][1][name]


def test_shares_leave_no_recording_in_both_however_many_there_are():
    for n in range(2, 60):
        few = SimpleNamespace(recordings={"violin": [range(2 * i, 2 * i + 2) for i in range(n)]})
        for s in (0.05, 0.1, 0.25, 0.5, 0.75):
            labelled, mixed = method.recordings_of(few, config(single_share=s, mixture_share=1 - s))
            assert labelled["violin"] and mixed["violin"]
            assert not set(labelled["violin"]) & set(mixed["violin"]), (n, s)


def test_the_domain_of_pit_is_refused_elsewhere():
    method.Config(system="pit", loss=method.Loss(domain="snr"))
    with pytest.raises(files.WeaklibError, match="Only a separator of system pit has the domain snr, not mixit"):
        method.Config(system="mixit", loss=method.Loss(domain="snr"))


def test_more_than_all_recordings_are_refused():
    with pytest.raises(files.WeaklibError, match="more than all recordings"):
        config(single_share=0.3, mixture_share=0.8)


def test_semi_supervised_batches_have_single_sounds_besides(impulses, monkeypatch):
    monkeypatch.setattr(method.corpora, "load", lambda *_: impulses)
    cfg = config("ssl_music_5_music_95_src2", batch=6)
    draw = method.Batches(cfg)
    batch, (labelled, mixed) = draw(0), method.recordings_of(impulses, cfg)
    assert batch["mixtures"].shape[:2] == batch["s_mixtures"].shape[:2] == (3, 2)
    for prefix, allowed, k in (("", mixed, 2), ("s_", labelled, 1)):
        for x in batch[f"{prefix}mixtures"].flatten(0, 1):
            found = impulses.heard(x)
            assert len(found) == k and all(item in allowed[name] for name, (item, _) in found.items())


def test_captions_with_fewer_phrases_share_what_they_count_for(monkeypatch):
    told = [("a dog barks", ["a dog barks"]), ("rain and a violin", ["rain", "a violin"]),
            ("a, b, c", ["a", "b", "c"]), ("a, b, c, d", ["a", "b", "c", "d"])]

    class Told(list):
        name, split, preset = "told", "train", "smoke"

    corpus = Told({"mix": x, "text": whole, "phrases": phrases} for x, (whole, phrases) in zip(torch.eye(4), told))
    monkeypatch.setattr(method, "captions_of", lambda *_: told)
    moms = method.Captioned(corpus, config(n_sources=3), 0)
    batch = moms(0, 30)
    assert torch.allclose(batch["mixtures"].sum((-2, -1)), torch.ones(30))
    met = set()
    for x, whole, parts, share in zip(*(batch[name].flatten(0, 1) for name in ("mixtures", "whole", "parts", "share"))):
        caption, phrases = told[int(x.argmax())]
        assert moms.questions.prompts[whole] == caption
        asked = [moms.questions.prompts[p] for p in parts]
        assert set(asked) == set(phrases[:3])
        weight = Counter()
        for phrase, part in zip(asked, share.tolist()):
            weight[phrase] += part
        assert all(total == pytest.approx(1) for total in weight.values())
        met.add(caption)
    assert len(met) == 4


@pytest.mark.parametrize("row", ["clipsep_img_star_sup", "sop_star_sup", "cosep_star_sup"])
def test_what_sees_begins_with_what_was_learned_from_pictures_and_is_heard_at_unit_scale(monkeypatch, row):
    """As those of the papers begin with CLIP and ImageNet; CLIPSep-Img alone leaves it as it is."""
    torch.manual_seed(3)
    sight, cfg = method.Sight(), config(row)
    monkeypatch.setattr(method.runs, "weights_of", lambda cfg: sight.state_dict())
    monkeypatch.setattr(method, "LOOKED_AT", 15)
    task = method.task(cfg, "cpu")
    assert all(torch.equal(x, sight.state_dict()[name]) for name, x in task.model.reader.state_dict().items())
    assert all(p.requires_grad == (cfg.system != "image") for p in task.model.reader.parameters())
    part, = task.draw.parts.values()
    items = [i for found in part.items.values() for i in found]
    looked = items[::-(-len(items) // 15)]
    assert 15 < len(items) and len({name for name, found in part.items.items() if set(found) & set(looked)}) > 10
    frames = torch.stack([method._frames(part.corpus, i) for i in looked])
    with torch.no_grad():
        tokens, embedding, _ = task.model.condition({"frames": frames})
        seen = [sight.see(one) if cfg.system == "image" else sight.features(one) for one in frames]
    # CLIP's vectors are averaged over the pictures of a recording; of maps, the maxima count
    want = torch.stack([F.normalize(x.mean(0), dim=0) if cfg.system == "image" else x.amax(0) for x in seen])
    want = (want - want.mean(0)) / want.std(0).mean()
    assert torch.equal(tokens[:, 0], embedding) and torch.allclose(embedding, want, atol=1e-4)


def test_what_is_read_is_heard_at_unit_scale(monkeypatch):
    """Over the questions about single sounds, not about mixtures."""
    critic = method.Clap(sr=8000)
    monkeypatch.setattr(method.runs, "weights_of", lambda cfg: critic.state_dict())
    task = method.task(replace(config("clapsep_star_src2"), start=None), "cpu")
    part, = task.draw.parts.values()
    asked = part.questions([f"The sound of {name.replace('_', ' ')}" for name in part.corpus.recordings])
    _, embedding, _ = task.model.condition(asked)
    assert embedding.mean(0).abs().max() < 1e-5 and float(embedding.std(0).mean()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("system", ["image", "sop"])
def test_who_is_shown_pictures_of_captioned_sounds_is_not_asked_in_words(system):
    """Each mixture with the pictures of its own recording, in training as in the test."""
    cfg = config("clipsep_img_src2", system=system, corpus="captions", mixtures="captions", n_sources=3, batch=4)
    draw = method.Batches(cfg)
    batch, (part,) = draw(0), draw.parts.values()
    sounds = torch.stack([item["mix"] for item in part.corpus])
    for x, frames in zip(batch["mixtures"].flatten(0, 1), batch["frames"].flatten(0, 1)):
        i = int((sounds / cfg.n_mixtures - x).abs().amax(-1).argmin())
        assert torch.equal(frames[0], method._frames(part.corpus, i))
    asked = method.Lesson(cfg, draw.questions, None).asked(batch, "", True, False)
    assert list(asked) == ["frames"] and len(asked["frames"]) == 8


# Networks

@pytest.mark.parametrize("n_bins, rows", [(257, 32), (257, 64), (512, 128), (33, 33)])
def test_rows_are_bins_below_an_edge_and_gather_them_above(n_bins, rows):
    weight = method.warp(n_bins, rows).double().numpy()
    assert weight.shape == (rows, n_bins) and (weight >= 0).all()
    np.testing.assert_allclose(weight.sum(0), 1, atol=1e-6)  # nothing of a bin is lost
    at = weight.T @ np.arange(rows)  # in which row each bin is
    assert (np.diff(at) > -1e-6).all() and at[-1] > rows - 2
    linear = np.isclose(at, np.arange(n_bins), atol=1e-4)
    edge = n_bins if linear.all() else int(linear.argmin())
    np.testing.assert_allclose(weight[:edge, :edge], np.eye(edge), atol=1e-3)
    # Above the edge, the distance of rows goes with that of logarithms.
    inner = np.arange(edge + 1, n_bins)[at[edge + 1:] < rows - 1.01]
    if len(inner):
        np.testing.assert_allclose(at[inner] - at[inner[0]], (edge + 0.5) * np.log((inner + 0.5) / (inner[0] + 0.5)),
                                   rtol=0.1, atol=0.05)


class Same(nn.Module):
    """In place of a U-Net: the same logit everywhere."""

    def __init__(self, logit):
        super().__init__()
        self.logit = logit

    def forward(self, x, tokens, embedding, lengths):
        self.heard = x
        return torch.full_like(x, self.logit)


@pytest.fixture(scope="module")
def critic():
    torch.manual_seed(1)
    return method.build(paper.config("critic", "smoke")).eval().requires_grad_(False)


def small(system="clap", **changes):
    return config("clapsep_star_src2", **{"system": system} | changes)


def test_a_mask_that_lets_everything_through_gives_the_mixture_back():
    model, x = method.build(small()), torch.randn(2, 16384)
    asked = method.questions(("violin", "piano"), (1,))[0]([0, 1])
    model.unet = Same(30.0)
    torch.testing.assert_close(model(x, asked)[:, 0], x, atol=1e-4, rtol=0)
    assert model.unet.heard.shape == (2, 1, 32, 64)  # of 65 frames, an even number
    model.unet = Same(0.0)
    torch.testing.assert_close(model(x, asked)[:, 0], x / 2, atol=1e-4, rtol=0)


def test_answers_are_as_loud_as_what_was_asked_about():
    model, x = method.build(small()).eval(), torch.randn(1, 8192)
    asked = method.questions(("violin", "piano"), (1,))[0]([0])
    with torch.no_grad():
        torch.testing.assert_close(model(20 * x, asked), 20 * model(x, asked), atol=1e-4, rtol=1e-3)


def test_questions_are_centred_and_scaled_over_single_sounds():
    model = method.build(small("bert"))
    asked = method.questions(Impulses.classes, (1,))[0](range(8))
    model.settle(asked)
    settled = model.condition(asked)[1]
    torch.testing.assert_close(settled.mean(0), torch.zeros(text.SIZE), atol=1e-4, rtol=0)
    assert settled.std(0).mean() == pytest.approx(1, abs=1e-4)


def test_lassnet_begins_with_what_the_language_model_says():
    """Words that all questions share are taken off, so that classes differ; padding is not heard."""
    model = method.Separator(config("lassnet_sup")).eval()
    asked, reader = method.questions(NAMES, (1,))[0](range(len(NAMES))), model.reader

    def heard():
        texts = [x[:n] for x, n in zip(model.at_unit_scale(asked["tokens"], asked), asked["lengths"])]
        read = torch.stack([reader.layers.norm(reader.first(x)).mean(0) for x in texts])
        alike = F.cosine_similarity(read[:, None], read[None], dim=-1)
        return texts, read, (alike - torch.eye(len(NAMES))).max().item()
    assert heard()[2] > 0.6
    model.settle(asked)
    texts, read, alike = heard()
    assert alike < 0.5
    torch.testing.assert_close(torch.cat(texts).mean(0), torch.zeros(text.SIZE), atol=1e-4, rtol=0)
    assert torch.cat(texts).std(0).mean() == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(model.condition(asked)[1], reader.last(read).relu(), atol=1e-5, rtol=1e-4)


def test_questions_about_mixtures_may_be_centred_by_themselves():
    """Their own mean is 0 as well then, and they differ from each other as before."""
    asked = method.questions(NAMES, (1, 2))[0]
    single, several = asked(range(len(NAMES))), asked(range(len(NAMES), len(asked.prompts)))
    assert not single["several"].any() and several["several"].all()
    usual, apart = (method.Separator(config(system="bert", reader=None, start=None, by_kind=on))
                    for on in (False, True))
    usual.settle(single)
    apart.settle(single, several)
    torch.testing.assert_close(apart.condition(single)[1], usual.condition(single)[1])
    before, after = (model.condition(several)[1] for model in (usual, apart))
    assert before.mean(0).norm() > 1
    torch.testing.assert_close(after.mean(0), torch.zeros(text.SIZE), atol=1e-4, rtol=0)
    torch.testing.assert_close(after - after[0], before - before[0], atol=1e-4, rtol=0)


def test_moved_questions_about_single_sounds_lie_where_those_about_mixtures_do(monkeypatch):
    """Nothing else has changed: the scores are those of the separator asked with the same shift by hand."""
    cfg = config("proposed_clap_moved_src2")
    heard = method.build(cfg.heard).eval()
    asked = method.Batches(cfg.heard).questions[""]
    single, several = (asked([one for one in asked.prompts if text.several(one) == both]) for both in (False, True))
    heard.settle(single)
    monkeypatch.setattr(method.runs, "weights_of", lambda one: heard.state_dict() if one is cfg.heard else None)
    model = method.moved(heard, tuple(corpora.load("instruments", "train", "smoke").recordings))
    before, goal = (heard.condition(which)[1] for which in (single, several))
    after = model.condition(single)[1]
    assert (before.mean(0) - goal.mean(0)).norm() > 0.1
    torch.testing.assert_close(after.mean(0), goal.mean(0), atol=1e-4, rtol=0)
    torch.testing.assert_close(after - after[0], before - before[0], atol=1e-4, rtol=0)
    assert all(torch.equal(x, heard.state_dict()[name]) for name, x in model.state_dict().items() if name != "centre")

    offset = heard.embedded(several).mean(0) - heard.embedded(single).mean(0)
    read = heard.embedded
    monkeypatch.setattr(heard, "embedded", lambda asked: read(asked) + offset)
    by_hand, scores = method.score(heard, cfg.heard), method.score(None, cfg)
    monkeypatch.setattr(heard, "embedded", read)
    usual = [metrics.si_sdr(est, item["sources"]).tolist() for item, est in method.answers(
        heard, method.Tests(corpora.load("instruments", "test", "smoke"), 2, cfg.tested))]
    assert np.abs(np.concatenate(usual) - scores["si_sdr"]).max() > 0.02
    assert by_hand["si_sdr"] == pytest.approx(scores["si_sdr"], abs=1e-3)


@pytest.mark.parametrize("heard", ["pit_sup", "bertsep_star_src2", "clapsep_star_sup", "critic"])
def test_only_questions_in_words_that_are_centred_alike_are_moved(heard):
    with pytest.raises(files.WeaklibError, match="set heard to such a separator"):
        method.Config(stage="moved", heard=config(heard))


@pytest.mark.parametrize("row", ["bertsep_star_src2", "lassnet_src2"])
def test_rows_that_read_with_a_language_model_learn_from_questions_centred_by_kind(row):
    task = method.task(config(row), "cpu")
    asked_of = task.draw.questions[""]
    for several in (False, True):
        asked = asked_of([one for one in asked_of.prompts if text.several(one) == several])
        found = (task.model.at_unit_scale(asked["tokens"], asked) if row.startswith("lass") else
                 task.model.condition(asked)[1])
        if found.ndim == 3:
            found = torch.cat([x[:n] for x, n in zip(found, asked["lengths"])])
        torch.testing.assert_close(found.mean(0), torch.zeros(text.SIZE), atol=1e-3, rtol=0)


@pytest.mark.parametrize("changes", [
    {"system": "image"}, {"conditions": "optimal", "shots": 5}, {"start": method.Config()}])
def test_what_centres_questions_by_kind_is_asked_by_names_and_so_is_its_start(changes):
    with pytest.raises(files.WeaklibError, match="by kind"):
        config(**{"by_kind": True, "start": None} | changes)


# Losses, written once more in NumPy

LEARNED = 2.5  # temperature, inverse


class Stub(nn.Module):
    """A separator whose masks are a formula of the magnitude and the question."""

    def __init__(self, cfg):
        super().__init__()
        self.cfg, self.slope = cfg, nn.Parameter(torch.tensor(0.3))
        self.log_scale = nn.Parameter(torch.tensor(LEARNED).log())

    def spectrum(self, x):
        return audio.stft(x, 512, 256)

    def logits(self, magnitude, asked):
        each = asked["pooled"][:, :1] if asked else torch.tensor([-0.5, 0.8]).expand(len(magnitude), 2)
        return self.slope * magnitude.log1p()[:, None] + 20 * each[..., None, None]

    def sound(self, X, length):
        return audio.istft(X, 256, length)


class Ear(nn.Module):
    """A critic that is a matrix."""

    def __init__(self):
        super().__init__()
        rng = torch.Generator().manual_seed(5)
        self.audio, self.text = torch.randn(2048, 8, generator=rng), torch.randn(text.SIZE, 8, generator=rng)
        self.scale = torch.tensor(4.0)

    def hear(self, x):
        return x @ self.audio

    def read(self, pooled):
        return pooled @ self.text


NAMES = Impulses.classes


@pytest.fixture(scope="module")
def asked_of():
    return method.questions(NAMES, (1, 2))[0]


def lesson_batch(asked_of, prefix="", k=2, classes=((0, 1, 2, 3), (4, 1, 0, 5))):
    """Two mixtures of two mixtures, of noise; two of the questions about single sounds are the same."""
    rng = torch.Generator().manual_seed(k)
    parts = torch.tensor(classes)[:, :2 * k].reshape(2, 2, k)
    whole = [[asked_of.index[text.prompt([NAMES[c] for c in sorted(one)])] for one in mom] for mom in parts.tolist()]
    return {prefix + name: value for name, value in {
        "mixtures": torch.randn(2, 2, 2048, generator=rng) * torch.tensor([[[0.5], [2.0]], [[1.0], [0.3]]]),
        "whole": torch.tensor(whole), "parts": parts, "share": torch.ones(parts.shape), "classes": parts}.items()}


def formulas(batch, asked_of, cfg, prefix=""):
    """Equations 2, 3 and 5 for `Stub` and `Ear`: URL, CNT, CRL, as means over all there is to be added up."""
    mixtures = batch[f"{prefix}mixtures"].double().numpy()
    X = audio.stft(batch[f"{prefix}mixtures"], 512, 256).numpy().astype(complex)
    pooled = asked_of.read.pooled.double().numpy()
    same, parts = cfg.loss.positives, batch[f"{prefix}parts"].numpy()
    share = batch[f"{prefix}share"].double().numpy()

    def mask(size, question):
        return 1 / (1 + np.exp(-0.3 * np.log1p(size) - 20 * pooled[question, 0]))

    def weight(size):
        return np.clip(np.log1p(size), 1e-3, 10) if cfg.loss.weighted else 1.0

    url, crl, heard, read, names = [], [], [], [], []
    ear = Ear()
    for b, n in np.ndindex(mixtures.shape[:2]):
        mom, own = X[b].sum(0), X[b, n]
        answer = mask(abs(mom), batch[f"{prefix}whole"][b, n]) * abs(mom)
        ref = abs(own) / (parts.shape[-1] if cfg.loss.shrunk_targets else 1)
        url.append((weight(abs(mom)) * abs(answer - ref)).mean())
        about = mom if cfg.loss.asked == "mom" else own
        singles = [mask(abs(about), question) for question in parts[b, n]]
        added = sum(w * one * abs(about) for w, one in zip(share[b, n], singles))
        crl.append((weight(ref) * abs(added - ref)).mean())
        for question, one in zip(parts[b, n], singles):
            est = audio.istft(torch.from_numpy(one * about), 256, 2048).numpy()
            heard.append(est @ ear.audio.double().numpy())
            read.append(pooled[question] @ ear.text.double().numpy())
            names.append(question)
    heard, read = (np.stack(x) / np.linalg.norm(x, axis=1, keepdims=True) for x in (heard, read))
    logits = (LEARNED if cfg.loss.temperature == "learned" else 4.0) * heard @ read.T
    cnt = []
    for i, j in np.ndindex(len(names), len(names)):
        if i == j or same and names[i] == names[j]:
            to_text = np.log(np.exp(logits[i]).sum()) - logits[i, j]
            to_audio = np.log(np.exp(logits[:, i]).sum()) - logits[j, i]
            cnt.append((to_text + to_audio) / 2 / (sum(name == names[i] for name in names) if same else 1))
    return np.mean(url), np.sum(cnt) / len(names), np.mean(crl)


def lesson(cfg, asked_of, *prefixes):
    """The total loss of a batch."""
    whole = method.Lesson(cfg, dict.fromkeys(prefixes or ("",), asked_of), Ear())
    return lambda model, batch: whole(model, batch)[0]


@pytest.mark.parametrize("switched", [
    {}, {"asked": "mom"}, {"positives": True}, {"asked": "mom", "positives": True}, {"weighted": False},
    {"shrunk_targets": True}, {"shrunk_targets": True, "asked": "mom"}, {"temperature": "learned"}])
@pytest.mark.parametrize("weights", [(0, 0, 1), (1, 0, 0), (0, 1, 0), (0.1, 5, 10)])
def test_losses_are_equations_2_3_5_and_6(asked_of, weights, switched):
    cfg = config(augment=False, scaled=0.0, loss=method.Loss(*weights, **switched))
    batch = lesson_batch(asked_of)
    batch["share"][0, 1] = 0.5  # a caption of one phrase, asked for twice
    url, cnt, crl = formulas(batch, asked_of, cfg)
    found, extra = method.Lesson(cfg, {"": asked_of}, Ear())(Stub(cfg), batch)
    assert found.item() == pytest.approx(weights[0] * cnt + weights[1] * crl + weights[2] * url, rel=1e-4)
    terms = {name: x for name, x, weight in zip(("CNT", "CRL", "URL"), (cnt, crl, url), weights) if weight}
    assert {name: x.item() for name, x in extra["terms"].items()} == pytest.approx(terms, rel=1e-4)


def test_semi_supervised_adds_the_reconstruction_of_single_sounds(asked_of):
    """Eq. 7."""
    cfg = config(augment=False, scaled=0.0, loss=method.Loss(supervised=3.0, weak=0.7))
    batch = lesson_batch(asked_of) | lesson_batch(asked_of, "s_", k=1)
    url, cnt, crl = formulas(batch, asked_of, cfg)
    singles = formulas(batch, asked_of, cfg, "s_")[0]
    found, extra = method.Lesson(cfg, {"": asked_of, "s_": asked_of}, Ear())(Stub(cfg), batch)
    assert found.item() == pytest.approx(3.0 * singles + 0.7 * (0.1 * cnt + 5 * crl + 10 * url), rel=1e-4)
    assert {name: x.item() for name, x in extra["terms"].items()} == pytest.approx(
        {"URL": url, "CRL": crl, "CNT": cnt, "URL, single sounds": singles}, rel=1e-4)


def test_a_temperature_that_is_learned_begins_with_the_critics(monkeypatch):
    cfg = config(loss=method.Loss(temperature="learned"))
    start, critic = method.build(cfg.start), method.build(cfg.teacher)
    critic.log_scale.data.fill_(1.7)
    monkeypatch.setattr(method.runs, "weights_of", lambda needed: {
        cfg.start.id: start.state_dict(), cfg.teacher.id: critic.state_dict(),
        cfg.reader.id: critic.state_dict()}[needed.id])
    task = method.task(cfg, "cpu")
    assert task.model.log_scale.item() == pytest.approx(1.7, abs=1e-6) and task.model.log_scale.requires_grad
    task.loss(task.model, task.draw(0))[0].backward()
    assert task.model.log_scale.grad.abs() > 0
    with pytest.raises(files.WeaklibError, match="no critic"):
        method.task(replace(cfg, teacher=None), "cpu")


# Optimal condition training (Table 15b)

def test_what_classes_are_like_is_heard_in_their_first_recordings(monkeypatch):
    """In two clips of a recording at most, and in no other recording than the first."""
    time = torch.arange(16384) / 8000
    tone, clicks = torch.sin(2 * torch.pi * 440 * time), torch.zeros(16384)
    clicks[500::2000] = 5.0
    recordings = {"violin": [[0, 0, 2], [2]], "drum": [[1], [3]]}  # of the first, two clips; of the second, none
    sounds = (tone, clicks, 1e3 * tone, 1e3 * clicks)
    corpus = type("Two", (list,), {"recordings": recordings})({"mix": x} for x in sounds)
    monkeypatch.setattr(method.corpora, "load", lambda *_: corpus)
    method._powers.cache_clear()
    whole, harmonic, percussive = method._powers("two", "smoke", 1).T
    method._powers.cache_clear()
    assert [list(one) for one in zip(whole, harmonic, percussive)] == [
        pytest.approx(cues.powers(x.expand(n, -1)), rel=1e-5) for x, n in ((tone, 2), (clicks, 1))]


def chosen_lesson(asked_of, conditions="optimal", **loss):
    """A lesson that may ask for each sound by two other questions, which here are those about other classes."""
    cfg = config(augment=False, scaled=0.0, loss=method.Loss(**loss), conditions=conditions, shots=1)
    batch = lesson_batch(asked_of)
    other = torch.randint(len(NAMES), (*batch["parts"].shape, 2), generator=torch.Generator().manual_seed(3))
    batch["whole_alike"] = torch.cat([batch["whole"][..., None], other[:, :, 0]], -1)
    batch["parts_alike"] = torch.cat([batch["parts"][..., None], other], -1)
    return cfg, batch


def test_the_question_that_is_answered_best_is_the_one_that_is_learned_from(asked_of):
    """Mixtures by the distance from them, single sounds by what the critic hears; against each question by itself."""
    cfg, batch = chosen_lesson(asked_of)
    X, ear, pooled = audio.stft(batch["mixtures"], 512, 256), Ear(), asked_of.read.pooled
    mask = lambda size, which: (0.3 * size.log1p() + 20 * pooled[which, 0]).sigmoid()
    own = {name: batch[name] for name in ("whole", "parts")}
    best, cnt = {name: x.clone() for name, x in own.items()}, []
    for b, n in np.ndindex(2, 2):
        mom, mixture = X[b].sum(0).abs(), X[b, n]
        best["whole"][b, n] = min(batch["whole_alike"][b, n].tolist(), key=lambda which: float((
            mom.log1p().clamp(1e-3, 10) * (mask(mom, which) * mom - mixture.abs()).abs()).mean()))
        for i in range(2):
            name = pooled[own["parts"][b, n, i]] @ ear.text
            hear = lambda which: audio.istft(mask(mixture.abs(), which) * mixture, 256, 2048) @ ear.audio
            best["parts"][b, n, i] = max(batch["parts_alike"][b, n, i].tolist(),
                                         key=lambda which: float(hear(which) @ name))
            cnt.append((hear(best["parts"][b, n, i]), name))
    changed = {name: (best[name] != x).float().mean().item() for name, x in own.items()}
    assert all(0 < share < 1 for share in changed.values())
    lesson, seen, model = method.Lesson(cfg, {"": asked_of}, ear), [], Stub(cfg)
    logits = model.logits
    model.logits = lambda magnitude, asked: (seen.append(asked["pooled"]), logits(magnitude, asked))[1]
    value, extra = lesson(model, batch)
    assert len(seen) == 4  # three questions, and the best of them
    torch.testing.assert_close(seen[-1], pooled[torch.cat([best["whole"].flatten(), best["parts"].flatten()])])
    terms = {name: x.item() for name, x in extra["terms"].items()}
    assert terms.pop("not by name, mixtures") == pytest.approx(changed["whole"])
    assert terms.pop("not by name, single sounds") == pytest.approx(changed["parts"])
    # The critic goes on to compare with names, whatever was asked.
    heard, names = (F.normalize(torch.stack(x), dim=1) for x in zip(*cnt))
    c = ear.scale * heard @ names.T
    assert terms["CNT"] == pytest.approx(
        -(c.log_softmax(1).diagonal() + c.log_softmax(0).diagonal()).mean().item() / 2, rel=1e-4)
    assert value.item() == pytest.approx(0.1 * terms["CNT"] + 5 * terms["CRL"] + 10 * terms["URL"], rel=1e-5)


def test_without_other_questions_the_best_one_is_the_name(asked_of):
    cfg, batch = chosen_lesson(asked_of)
    for name in ("whole", "parts"):
        batch[f"{name}_alike"] = batch[name][..., None].expand_as(batch[f"{name}_alike"])
    found, same = (method.Lesson(replace(cfg, conditions=one), {"": asked_of}, Ear())(Stub(cfg), batch)[0].item()
                   for one in ("optimal", "names"))
    assert found == pytest.approx(same, rel=1e-6)


@pytest.fixture
def refined():
    """OCT++ as it begins: model, lesson and batch, from a start that has no refiner."""
    cfg = config("oct_pp", system="bert", reader=None)
    start, critic = method.build(replace(cfg.start, system="bert", reader=None)), method.build(cfg.teacher)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(method.runs, "weights_of", lambda needed: (start if needed is cfg.start else critic).state_dict())
        task = method.task(cfg, "cpu")
    return task.model, task.loss, task.draw(0)


def test_trying_questions_leaves_no_trace_in_the_network(refined):
    """Batch norm keeps statistics of what is learned from alone."""
    model, lesson, batch = refined
    model.train()
    before = int(model.unet.norm.num_batches_tracked)
    lesson(model, batch)
    assert int(model.unet.norm.num_batches_tracked) == before + 1


def test_a_refined_question_begins_as_it_is(refined):
    model = refined[0].eval()
    asked = method.questions(NAMES, (1,))[0]([0, 1])
    mix, refiner = torch.randn(2, 8192), model.refiner
    with torch.no_grad():
        own = model(mix, asked)
        model.refiner = None
        torch.testing.assert_close(own, model(mix, asked), rtol=0, atol=0)
        model.refiner = refiner
        refiner[2].bias += 1
        assert not torch.equal(own, model(mix, asked))
        refiner[2].bias -= 1


def test_refined_questions_by_name_go_towards_those_that_are_answered_best(refined):
    """Their squared distance counts in the loss; it moves the refined name, and not what it is compared with."""
    model, lesson, batch = refined
    model.train()
    torch.nn.init.normal_(model.refiner[2].weight, std=0.01)
    value, extra = lesson(model, batch)
    terms, weights = extra["terms"], lesson.cfg.loss
    assert value.item() == pytest.approx((
        weights.contrastive * terms["CNT"] + weights.consistency * terms["CRL"] + weights.reconstruction * terms["URL"]
        + weights.refinement * terms["refinement"]).item(), rel=1e-5)
    asked_of, mixed = lesson.questions[""], model.spectrum(batch["mixtures"][:, 0]).abs()
    by_name = asked_of([0] * len(mixed))
    best = asked_of([0] * (len(mixed) - 1) + [asked_of.index[cues.QUESTIONS[0][1]]])
    model.zero_grad()
    value = lesson.refinement(model, mixed, by_name, best)
    assert value > 0
    value.backward()
    found = [p.grad.clone() for p in model.refiner.parameters()]
    seen = model.rows_of(mixed)
    own, other = (model.refined(model.condition(one)[1], seen) for one in (by_name, best))
    aside = (own - other).detach()
    assert value.item() == pytest.approx(aside.square().mean().item(), rel=1e-5)
    expected = torch.autograd.grad((own * 2 * aside / aside.numel()).sum(), [*model.refiner.parameters()])
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b)
    assert all(p.grad is None or not p.grad.any() for name, p in model.named_parameters() if "refiner" not in name)


@pytest.mark.parametrize("changes", [
    {"shots": 0}, {"system": "pit"}, {"loss": method.Loss(contrastive=0.0)}, {"loss": method.Loss(teacher="timbre")},
    {"loss": method.Loss(asked="mom")}, {"single_share": 0.5, "mixture_share": 0.5}])
def test_choosing_among_questions_asks_for_words_a_critic_and_recordings(changes):
    with pytest.raises(files.WeaklibError, match="chooses among questions"):
        config(**{"conditions": "optimal", "shots": 5} | changes)


def test_captions_have_no_classes_to_choose_questions_by(monkeypatch):
    monkeypatch.setattr(method.corpora, "load", lambda *_: SimpleNamespace(name="captions"))
    with pytest.raises(files.WeaklibError, match="captions has captions"):
        method.Batches(config(conditions="optimal", shots=5))


def test_mixtures_say_what_else_one_may_ask_of_them(impulses, monkeypatch):
    """A sound by what its class is like, a mixture by how loud it is here and how harmonic its classes are."""
    power = torch.ones(len(NAMES), 3)
    power[3] = torch.tensor([50.0, 1e-3, 50.0])  # the drum
    monkeypatch.setattr(method, "_powers", lambda *_: power)
    cfg = config(conditions="optimal", shots=2)
    moms = method.Moms(impulses, method.recordings_of(impulses, cfg)[1], cfg, 2, 0)
    said = {i: one for one, i in moms.questions.index.items()}
    batch, drums, loud = moms(0, 32), 0, 0
    for b, n, i in np.ndindex(32, 2, 2):
        drum, there = batch["classes"][b, n, i] == 3, (batch["classes"][b, n] == 3).any()
        drums += drum
        name, level, harmonicity = (said[q] for q in batch["parts_alike"][b, n, i].tolist())
        assert name == text.prompt([NAMES[batch["classes"][b, n, i]]])
        assert level == ("The louder sound" if drum else "The softer sound" if there else name)
        assert harmonicity == ("The more percussive sound" if drum else "The more harmonic sound" if there else name)
        name, level, harmonicity = (said[q] for q in batch["whole_alike"][b, n].tolist())
        own, other = (float(batch["mixtures"][b, m].square().sum()) for m in (n, 1 - n))
        assert batch["whole_alike"][b, n, 0] == batch["whole"][b, n]
        assert level == ("The louder sound mixture" if own > 2 * other else
                         "The softer sound mixture" if other > 2 * own else name)
        loud += level != name
        beside = (batch["classes"][b, 1 - n] == 3).any()
        assert harmonicity == ("The more percussive sound mixture" if there else
                               "The more harmonic sound mixture" if beside else name)
    assert drums > 5 and 5 < loud < 120


# Other ways to learn

def test_supervised_learning_may_have_a_critic_too(asked_of):
    """Table 13: with single sounds the critic hears the answers of mix-and-separate themselves."""
    cfg = config("clapsep_star_w_clap", augment=False, scaled=0.0, loss=method.Loss(1.0, 0.0, 2.0))
    batch = lesson_batch(asked_of, k=1)
    X = audio.stft(batch["mixtures"], 512, 256)
    mom = X.sum(1)
    logits = 0.3 * mom.abs().log1p()[:, None] + 20 * asked_of.read.pooled[batch["whole"], 0][..., None, None]
    est = audio.istft(logits.sigmoid() * mom[:, None], 256, 2048).flatten(0, 1)
    ear = Ear()
    unit = lambda x: x / x.norm(dim=1, keepdim=True)
    c = 4 * unit(est @ ear.audio) @ unit(asked_of.read.pooled[batch["parts"].flatten()] @ ear.text).T
    cnt = -(c.log_softmax(1).diagonal() + c.log_softmax(0).diagonal()).mean() / 2
    url = formulas(batch, asked_of, cfg)[0]
    found = lesson(cfg, asked_of)(Stub(cfg), batch)
    assert found.item() == pytest.approx(cnt.item() + 2 * url, rel=1e-4)


def test_losses_do_not_depend_on_the_level_if_spectra_are_scaled(asked_of):
    cfg = config(augment=False, scaled=1.0, loss=method.Loss(0.0, 5.0, 10.0))
    batch = lesson_batch(asked_of)
    quiet, loud = (lesson(cfg, asked_of)(Stub(cfg), batch | {"mixtures": gain * batch["mixtures"]})
                   for gain in (0.01, 3.0))
    assert quiet.item() == pytest.approx(loud.item(), rel=1e-4)


class Ideal(Stub):
    """A separator that knows the masks of questions, in their order."""

    def __init__(self, cfg, masks):
        super().__init__(cfg)
        self.ideal = masks

    def logits(self, magnitude, asked):
        return (40 * self.ideal - 20)[:, None] + 0 * self.slope


def test_ideal_masks_cost_nothing_and_swapped_ones_do(asked_of):
    """Mixtures that are heard one after the other, so that masks of 0 and 1 divide them exactly."""
    cfg = config(augment=False, scaled=0.0, loss=method.Loss(0.0, 0.0, 10.0))
    batch = lesson_batch(asked_of)
    batch["mixtures"][:, 0, 768:] = 0
    batch["mixtures"][:, 1, :1280] = 0
    size = audio.stft(batch["mixtures"], 512, 256).abs()
    masks = (size > size.flip(1)).float().flatten(0, 1)
    right, wrong = (lesson(cfg, asked_of)(Ideal(cfg, m), batch).item() for m in (masks, 1 - masks))
    assert right < 1e-5 < wrong
    assert wrong == pytest.approx(10 * (size.sum(1)[:, None].log1p().clamp(1e-3, 10) * (
        size - size.flip(1)).abs()).mean().item(), rel=1e-3)


def test_permutation_invariant_training_takes_the_better_order_of_magnitudes(asked_of):
    for row in ("pit_sup", "mixpit_src2"):
        cfg = config(row, scaled=0.0, loss=method.Loss())
        batch = lesson_batch(asked_of, k=cfg.n_sources)
        X = audio.stft(batch["mixtures"], 512, 256)
        size, mom = X.abs(), X.sum(1).abs()
        masks = torch.stack([(0.3 * mom.log1p() + 20 * one).sigmoid() for one in (-0.5, 0.8)], 1)
        cost = lambda order: (mom.log1p().clamp(1e-3, 10)[:, None] * (
            masks[:, list(order)] * mom[:, None] - size).abs()).mean((1, 2, 3))
        best = torch.stack([cost(order) for order in permutations(range(2))]).amin(0).mean()
        found = lesson(cfg, asked_of)(Stub(cfg), batch)
        assert found.item() == pytest.approx(best.item(), rel=1e-4)
        swapped = lesson(cfg, asked_of)(Stub(cfg), batch | {"mixtures": batch["mixtures"].flip(1)})
        assert swapped.item() == pytest.approx(found.item(), rel=1e-5)


def test_permutation_invariant_training_hears_what_it_separates(asked_of):
    """The thresholded negative SNR of the better order, each mixture of mixtures in an order of its own."""
    for row in ("pit_sup", "mixpit_src2"):
        cfg = config(row)
        batch = lesson_batch(asked_of, k=cfg.n_sources)
        ref = batch["mixtures"] = batch["mixtures"].repeat(2, 1, 1)
        est = ref + 0.3 * torch.randn(ref.shape, generator=torch.Generator().manual_seed(1))
        est[1] = est[1].flip(0)
        est[2] = ref[2, :1] / 2  # both together are the first one, which would please MixIT
        cost = lambda order: 10 * torch.log10(((ref - est[:, list(order)]).square().sum(-1) / ref.square().sum(-1))
                                              + 1e-3).mean(1)
        each = torch.stack([cost(order) for order in permutations(range(2))])
        assert each.argmin(0)[:2].tolist() == [0, 1]
        found = lesson(cfg, asked_of)(lambda mix: est, batch).item()
        assert found == pytest.approx(each.amin(0).mean().item(), rel=1e-4)


def test_the_contrastive_loss_teaches_the_separator_and_nobody_else(asked_of, critic):
    cfg = config(loss=method.Loss(1.0, 0.0, 0.0, positives=True))
    model = method.build(cfg)
    batch = lesson_batch(asked_of)
    batch["mixtures"] = batch["mixtures"].repeat(1, 1, 2)
    before = {name: x.clone() for name, x in critic.state_dict().items()}
    method.Lesson(cfg, {"": asked_of}, critic)(model, batch)[0].backward()
    learned = [p.grad.abs().max().item() for p in model.unet.parameters() if p.grad is not None]
    assert learned and max(learned) > 0 and np.isfinite(learned).all()
    assert all(p.grad is None for part in (critic, model.reader) for p in part.parameters())
    assert all(torch.equal(x, before[name]) for name, x in critic.state_dict().items())


def test_a_classifier_that_learns_along_learns_from_mixtures_alone(asked_of, monkeypatch):
    """Its verdict on answers has a gradient for the separator, none for itself."""
    monkeypatch.setattr(method, "_classes", lambda cfg: NAMES)
    cfg = config("proposed_timbre_concurrent_src2", augment=False)
    model, batch = Stub(cfg), lesson_batch(asked_of)
    model.timbre = method.Classifier(len(NAMES))
    est = torch.randn(8, 2048, requires_grad=True)
    method.Lesson(cfg, {"": asked_of}, None).taught(model, est, batch, "").backward()
    assert est.grad.abs().max() > 0
    taught = {name: p.grad.clone() for name, p in model.timbre.named_parameters()}
    model.timbre.zero_grad()
    there = torch.zeros(4, len(NAMES))
    for row, classes in zip(there, batch["classes"].flatten(0, 1)):
        row[classes] = 1
    logits = model.timbre(batch["mixtures"].flatten(0, 1))
    nn.functional.binary_cross_entropy_with_logits(logits, there, reduction="sum").div(4).backward()
    for name, p in model.timbre.named_parameters():
        torch.testing.assert_close(taught[name], p.grad, atol=1e-5, rtol=1e-4)


# Tests and scores

@pytest.mark.parametrize("n", [2, 3])
def test_tests_ask_for_what_is_there_and_know_what_is_not(impulses, n):
    tests, again = (method.Tests(impulses, n, 60) for _ in range(2))
    absent = Counter()
    for item, same in zip(tests, again):
        names = list(impulses.heard(item["mix"]))
        assert sorted(names) == sorted(item["labels"]) and len(set(names)) == n
        assert item["absent"] in impulses.classes and item["absent"] not in names
        assert [list(impulses.heard(x)) for x in item["sources"]] == [[name] for name in item["labels"]]
        assert item["asked"] == [f"The sound of {name}" for name in item["labels"]]
        assert [impulses.of(i) for i in item["of"]] == item["labels"]
        assert torch.equal(item["mix"], item["sources"].sum(0)) and torch.equal(item["mix"], same["mix"])
        absent[item["absent"]] += 1
    assert len(tests) == 60 and len(absent) == len(impulses.classes)


class Oracle(nn.Module):
    """Answers questions about `Impulses` by what each class's place is; `wrong` answers another one."""

    def __init__(self, impulses, of=lambda k: [k]):
        super().__init__()
        self.cfg, self.impulses, self.of = config(), impulses, of
        self.known = method.questions(impulses.classes, (1,))[0].read.pooled
        self.anchor = nn.Parameter(torch.zeros(1))

    def forward(self, mix, asked):
        n = self.impulses.N * self.impulses.CUTS
        out = torch.zeros_like(mix)
        for answer, x, pooled in zip(out, mix, asked["pooled"]):
            for k in self.of(int((self.known @ pooled).argmax())):
                answer[k * n:(k + 1) * n] = x[k * n:(k + 1) * n]
        return out[:, None]


@pytest.mark.parametrize("n", [2, 3])
def test_answers_come_in_the_order_of_the_sources(impulses, n):
    tests = method.Tests(impulses, n, 20)
    found = list(method.answers(Oracle(impulses), tests))
    assert [item["of"] for item, _ in found] == [item["of"] for item in tests]
    assert all(torch.equal(est, item["sources"]) for item, est in found)
    other = method.answers(Oracle(impulses), tests, asked=lambda item: [text.prompt([item["absent"]])])
    assert all(est.shape == (1, len(impulses)) and not est.any() for _, est in other)
    assert all(torch.equal(est, item["mix"].expand_as(est)) for item, est in method.answers(None, tests))


@pytest.mark.parametrize("n_out, n_src", [(2, 2), (4, 2), (4, 3), (2, 3)])
def test_outputs_that_nobody_asked_for_are_given_to_the_sources_that_they_fit_best(n_out, n_src):
    rng = torch.Generator().manual_seed(10 * n_out + n_src)
    sources = torch.randn(n_src, 400, generator=rng)
    out = torch.randn(n_out, n_src, generator=rng) @ sources + 0.1 * torch.randn(n_out, 400, generator=rng)
    found = method._fitting(out, {"sources": sources}, config("mixit_src2"))
    padded = torch.cat([out, torch.zeros(max(0, n_src - n_out), 400)])
    gain = lambda est: float(np.nan_to_num(metrics.si_sdr(est, sources).numpy(), nan=-100, neginf=-100).sum())
    best = max(permutations(range(len(padded)), n_src), key=lambda order: gain(padded[list(order)]))
    torch.testing.assert_close(found, padded[list(best)])


def test_outputs_of_weak_sup_are_known_by_their_class(impulses, monkeypatch):
    monkeypatch.setattr(method, "_classes", lambda cfg: NAMES)
    out = torch.arange(8.0)[:, None].expand(8, 5)
    found = method._fitting(out, {"labels": ["erhu", "piano"]}, config("weaksup_src2"))
    assert found[:, 0].tolist() == [7.0, 1.0]


def test_scores_are_those_of_the_metrics():
    """Of answers with a thousandth of the mixture in them: so silence has the scores of the mixture, and no NaN."""
    rng = torch.Generator().manual_seed(2)
    sources = torch.randn(2, 4000, generator=rng)
    item = {"sources": sources, "mix": sources.sum(0)}
    est = sources + 0.3 * sources.flip(0) + 0.1 * torch.randn(2, 4000, generator=rng)
    found = {name: np.reshape(values, (3, 2)) for name, values in method.separated(
        [(item, est), (item, item["mix"].expand_as(sources)), (item, torch.zeros(2, 4000))]).items()}
    for name, values in zip(("sdr", "sir", "sar"), metrics.bss_eval(est + 0.001 * item["mix"], sources, permute=False)):
        np.testing.assert_allclose(found[name][0], values)
    np.testing.assert_allclose(found["si_sdr"][0], metrics.si_sdr(est, sources), atol=0.02)
    np.testing.assert_allclose(found["sdri"], found["sdr"] - found["sdr"][1], atol=1e-6)
    for name in ("sdr", "sir", "si_sdr"):
        np.testing.assert_allclose(found[name][2], found[name][1], atol=1e-3)


class Judge(nn.Module):
    """Hears every class of `Impulses` that is in a sound."""

    def __init__(self, impulses):
        super().__init__()
        self.impulses = impulses

    def forward(self, x):
        heard = [[name in self.impulses.heard(one) for name in self.impulses.classes] for one in x]
        return 20.0 * torch.tensor(heard) - 10.0


@pytest.mark.parametrize("of, outcome", [(lambda k: [k], "correct"), (lambda k: range(8), "both"),
                                         (lambda k: set(range(8)) - {k}, "wrong"), (lambda k: [], "none")])
def test_a_classifier_hears_the_right_sound_the_other_both_or_none(impulses, monkeypatch, of, outcome):
    cfg = paper.config("proposed_unsup", "smoke")
    monkeypatch.setattr(method, "build", lambda one: Judge(impulses) if one is cfg.teacher else Oracle(impulses, of))
    monkeypatch.setattr(method.runs, "weights_of", lambda one: {"anchor": torch.zeros(1)} if one is cfg.heard else {})
    monkeypatch.setattr(method.corpora, "load", lambda *_: impulses)
    found = method.score(None, cfg)
    assert {name: set(values) for name, values in found.items()} == {
        f"{name}_pct": {100.0 * (name == outcome)} for name in ("correct", "wrong", "both", "none")}
    assert all(len(values) == 2 * cfg.tested for values in found.values())


# Trainings

class Tones:
    """Classes are bands of noise: what separates them can be learned in a minute."""

    name, split, preset, sr = "tones", "train", "smoke", 8000
    classes = ("violin", "piano", "flute", "drum")

    def __init__(self):
        self.recordings = {name: [range(4 * k, 4 * k + 4)] for k, name in enumerate(self.classes)}

    def __len__(self):
        return 16

    def __getitem__(self, i):
        rng = torch.Generator().manual_seed(i)
        X = torch.fft.rfft(torch.randn(4096, generator=rng))
        low = 100 + 450 * (i // 4)
        keep = torch.zeros(len(X))
        keep[low:low + 400] = 1
        x = torch.fft.irfft(X * keep)
        return {"mix": 0.1 * x / x.std(), "labels": [self.classes[i // 4]]}


def test_mix_and_separate_learns_from_mixtures_of_two_in_seconds(monkeypatch, tmp_path):
    """From what the mixture has to 4 dB more, though no single sound was heard."""
    monkeypatch.setattr(method.corpora, "load", lambda *_: Tones())
    plan = training.Plan(steps=60, lr=3e-3, warmup=5, ema=0.9, validate_every=60)
    cfg = small("bert", reader=None, start=None, batch=4, plan=plan)
    task, tests = method.task(cfg, "cpu"), method.Tests(Tones(), 2, 12)
    scored = lambda: np.mean(method.separated(method.answers(task.model.eval(), tests))["si_sdr"])
    before = scored()
    training.fit(task.model, task.draw, task.loss, cfg.plan, tmp_path, seed=0, validate=task.validate, device="cpu")
    assert scored() > before + 4


@pytest.mark.slow
def test_the_proposed_row_trains_with_all_that_it_needs():
    """Critic, first stage, full loss: what is frozen stays, what learns moves, and scores say all there is to say."""
    cfg = paper.config("proposed_clap_src2", "smoke")
    records = {one.label: runs.get(one, paper.train) for one in dict.fromkeys([*with_needs([cfg])[::-1]])}
    assert set(records) == {"critic", "start_src2", "proposed_clap_src2"}
    model = paper.trained("proposed_clap_src2", "smoke")
    started, critic = runs.weights_of(cfg.start), runs.weights_of(cfg.reader)
    now = model.state_dict()
    read = {name: x for name, x in now.items() if name.startswith("reader.")}
    assert read and all(torch.equal(x, critic[name.removeprefix("reader.")]) for name, x in read.items())
    assert any(not torch.equal(now[name], x) for name, x in started.items() if name.startswith("unet."))
    scores = records["proposed_clap_src2"].scores
    n = cfg.tested
    assert {name: len(values) for name, values in scores.items() if "/" not in name} == {
        **dict.fromkeys(("sdr", "sir", "sar", "sdri", "si_sdr"), 2 * n), "absent": n}
    assert np.isfinite(scores["si_sdr"]).all() and len(scores["sdr/three"]) == 3 * (n // 2)
    assert {"accuracy", "fooled", "fooled_si_sdr"} <= records["critic"].scores.keys()
    test = corpora.load("instruments", "test", "smoke")
    item = method.Tests(test, 2, 1)[0]
    with torch.no_grad():
        out = method.SEPARATING.apply(model, item["mix"][None, None], method.SEPARATING.prompt(item["labels"][0]))
        asked = method.Questions(item["asked"])([item["asked"][0]])
        torch.testing.assert_close(out[0], model(item["mix"][None], asked)[0])
    assert math.isfinite(out.square().mean())


class Given(nn.Module):
    """Masks that are given, and silence for all that they let through."""

    def __init__(self, masks):
        super().__init__()
        self.masks = masks

    def logits(self, magnitude, asked):
        return self.masks.logit()

    def sound(self, X, length):
        return torch.zeros(len(X), length)


def test_weak_sup_wants_present_classes_to_add_up_and_absent_ones_silent():
    n, classes = 3, 5
    X = torch.randn(n, 6, 4, dtype=torch.complex64)
    masks, parts = torch.rand(n, classes, 6, 4), torch.tensor([[0, 3], [1, 2], [4, 0]])
    cfg = method.Config(system="classes", loss=method.Loss(contrastive=0.1, reconstruction=10.0, teacher="timbre"))
    lesson = method.Lesson(cfg, {}, lambda est: torch.zeros(len(est), classes))
    size, whole, silent = X.abs().numpy(), [], []
    for i, own in enumerate(parts.tolist()):
        others = [c for c in range(classes) if c not in own]
        weight = np.clip(np.log1p(size[i]), 1e-3, 10)
        whole.append((weight * np.abs(masks[i, own].numpy().sum(0) * size[i] - size[i])).mean())
        silent.append((weight * masks[i, others].numpy().mean(0) * size[i]).mean())
    expected = 0.1 * classes * np.log(2) + 10 * (np.mean(whole) + np.mean(silent))
    assert lesson.classified(Given(masks), X, parts, 64).item() == pytest.approx(expected, rel=1e-5)


def test_cosep_wants_objects_to_add_up_to_a_share_and_to_have_their_class():
    n_batch, n_mix, k, classes = 2, 2, 3, 5
    X = torch.randn(n_batch, n_mix, 6, 4, dtype=torch.complex64)
    mom, masks = X.sum(1).abs(), torch.rand(n_batch * n_mix * k, 1, 6, 4)
    batch = {"frames": torch.zeros(n_batch, n_mix, k, 1, 3, 8, 8), "mixtures": torch.zeros(n_batch, n_mix, 64),
             "classes": torch.randint(classes, (n_batch, n_mix, k))}
    model = Given(masks)
    model.timbre = lambda est: torch.zeros(len(est), classes)
    lesson = method.Lesson(method.Config(system="cosep", loss=method.Loss(objects=0.05)), {}, None)
    found = masks.reshape(n_batch, n_mix, k, 6, 4).sum(2).numpy()
    whole = mom.numpy()[:, None]
    ratio = np.minimum(X.abs().numpy() / whole, 5)
    expected = (np.clip(np.log1p(whole), 1e-3, 10) * np.abs(found - ratio)).mean() + 0.05 * np.log(classes)
    assert lesson.objects(model, batch, "", X, mom).item() == pytest.approx(expected, rel=1e-5)


def test_cosep_with_a_classifier_of_mixtures_does_not_agree_with_it_on_a_code(monkeypatch):
    """It learns from the mixtures alone, whatever the masks let through, and its opinion still reaches the masks."""
    monkeypatch.setattr(method, "_classes", lambda cfg: ("a", "b", "c"))
    X, masks = torch.randn(1, 2, 6, 4, dtype=torch.complex64), torch.rand(2, 1, 6, 4, requires_grad=True)
    batch = {"frames": torch.zeros(1, 2, 1, 1, 3, 8, 8), "mixtures": torch.randn(1, 2, 24),
             "classes": torch.tensor([[[0], [2]]])}

    class Loud(Given):
        def sound(self, X, length):
            return X.abs().flatten(1)

    model = Loud(masks)
    model.timbre = nn.Linear(24, 3)
    weights = list(model.timbre.parameters())

    def gradients(objects):
        loss = method.Loss(objects=objects, teacher="concurrent")
        value = method.Lesson(method.Config(system="cosep", loss=loss), {}, None).objects(
            model, batch, "", X, X.sum(1).abs())
        return torch.autograd.grad(value, [masks, *weights], allow_unused=True)

    own = nn.functional.binary_cross_entropy_with_logits(
        model.timbre(batch["mixtures"][0]), torch.eye(3)[[0, 2]], reduction="sum") / 2
    for found, expected in zip(gradients(0.5)[1:], torch.autograd.grad(own, weights)):
        assert torch.allclose(found, 0.5 * expected, atol=1e-6)
    assert not torch.allclose(gradients(0.5)[0], gradients(0.0)[0])


def test_a_classifier_that_is_trained_along_hears_answers_and_learns_from_mixtures(monkeypatch):
    monkeypatch.setattr(method, "_classes", lambda cfg: ("a", "b", "c"))
    model = nn.Module()
    model.timbre = nn.Linear(16, 3)
    mixtures, est, classes = torch.randn(2, 1, 16), torch.randn(4, 16, requires_grad=True), torch.tensor(
        [[[0, 2]], [[1, 0]]])
    lesson = method.Lesson(method.Config(loss=method.Loss(teacher="concurrent")), {}, None)
    value = lesson.taught(model, est, {"parts": classes, "classes": classes, "mixtures": mixtures}, "")
    of = nn.functional.one_hot(classes, 3).float()
    entropy = nn.functional.binary_cross_entropy_with_logits
    learned = entropy(model.timbre(mixtures[:, 0]), of.amax(2)[:, 0], reduction="sum") / 2
    heard = entropy(model.timbre(est), of.reshape(4, 3), reduction="sum") / 4
    assert value.item() == pytest.approx((heard + learned).item(), rel=1e-5)
    (by_mixtures,) = torch.autograd.grad(learned, [model.timbre.weight])
    taught, to_answers = torch.autograd.grad(value, [model.timbre.weight, est])
    assert torch.allclose(taught, by_mixtures) and to_answers.abs().sum() > 0


class Knows(nn.Module):
    """A judge that hears every class of which a test sound makes up enough of what it is played."""

    def __init__(self, tests, classes):
        super().__init__()
        self.known = [(classes.index(name), F.normalize(source, dim=0)) for item in tests
                      for name, source in zip(item["labels"], item["sources"])]
        self.n_classes = len(classes)

    def forward(self, est):
        logits = torch.full((len(est), self.n_classes), -9.0)
        for k, source in self.known:
            logits[:, k] = torch.where((F.normalize(est, dim=1) @ source).abs() > 0.35, 9.0, logits[:, k])
        return logits


def test_a_judge_hears_one_sound_in_single_sounds_and_both_in_the_mixture(monkeypatch):
    single, mixture = config("single_sounds"), config("mixture_itself")
    tests = method.Tests(corpora.load(single.corpus, "test", "smoke"), 2, single.tested)
    judge = Knows(tests, method._classes(single.teacher))
    monkeypatch.setattr(method, "build", lambda cfg: judge if cfg == single.teacher else pytest.fail(cfg.label))
    monkeypatch.setattr(method.runs, "weights_of", lambda cfg: {})
    heard, both = (method.score(None, cfg) for cfg in (single, mixture))
    assert np.mean(heard["correct_pct"]) == 100
    assert np.mean(both["both_pct"]) > 50 and np.mean(both["correct_pct"]) + np.mean(both["wrong_pct"]) < 50
