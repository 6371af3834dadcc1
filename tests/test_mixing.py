"""Mixtures of mixtures: what a batch holds, what the loss is of, how a network is scored where sources are unknown."""
import pytest
import torch

from weaklib import losses, mixing
from weaklib.files import WeaklibError


class Voices:
    """Recordings of `k` sources each, constant: those of recording n at ``k n + 1`` to ``k n + k``."""

    def __init__(self, n, secret=False, k=2):
        self.n, self.secret, self.k, self.asked = n, secret, k, []

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        self.asked.append(index)
        sources = (self.k * index + torch.arange(1.0, self.k + 1)[:, None]).expand(self.k, 4)
        return {"mix": sources.sum(0), "labels": [f"{index}"]} | ({} if self.secret else {"sources": sources})


def mixtures(**changes):
    given = {"batch": 4, "unsupervised": 0.5, "seed": 0} | changes
    return mixing.Mixtures(given.pop("matched", Voices(40)), given.pop("supervised", Voices(40)), **given)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("changes", [
    {}, {"one_or_two": True, "p0": 0.5}, {"n_mix": 1}, {"unsupervised": 1.0, "classes": [str(i) for i in range(40)]}])
def test_a_batch_is_a_function_of_step_and_seed(changes):
    draw = mixtures(**changes)
    third = draw(3)
    assert same(third, draw(3)) and same(third, mixtures(**changes)(3))
    assert not same(third, draw(4)) and not same(third, mixtures(**changes, seed=1)(3))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_the_unsupervised_share_is_kept_over_steps(share):
    """Also where it is no whole number of examples, and never far from it before."""
    draw, n = mixtures(unsupervised=share), 0
    for step in range(20):
        batch = draw(step)
        n += len(batch.get("mixtures", ()))
        assert len(batch.get("mixtures", ())) + len(batch.get("sources", ())) == 4
        assert 4 * share * (step + 1) - 1 < n <= 4 * share * (step + 1)
    assert n == round(20 * 4 * share)


def test_mixit_hears_one_corpus_and_pit_another():
    matched, supervised = Voices(40), Voices(40)
    mixtures(matched=matched, supervised=supervised, batch=6, unsupervised=0.5)(0)
    assert len(matched.asked) == len(supervised.asked) == 6  # two recordings for each of three examples
    assert len(set(matched.asked)) == len(set(supervised.asked)) == 6  # no recording is mixed with itself


@pytest.mark.parametrize("one_or_two, share", [(False, 1.0), (True, 0.5)])
def test_one_or_two(one_or_two, share):
    """Always two voices in every recording, or half of the time the first alone."""
    draw = mixtures(unsupervised=0.0, one_or_two=one_or_two, batch=16)
    heard = torch.cat([draw(step)["sources"] for step in range(12)]).abs().sum(-1) > 0  # (example, 4)
    assert heard[:, [0, 2]].all()
    assert heard[:, [1, 3]].float().mean() == pytest.approx(share, abs=0.1)


@pytest.mark.parametrize("one_or_two", [False, True])
def test_mixtures_hold_the_same_voices_as_the_sources(one_or_two):
    sources = mixtures(unsupervised=0.0, one_or_two=one_or_two)(5)["sources"]
    mixed = mixtures(unsupervised=1.0, one_or_two=one_or_two)(5)["mixtures"]
    assert sources.shape == (4, 4, 4) and torch.equal(sources.unflatten(1, (2, 2)).sum(2), mixed)


def test_of_four_sources_the_first_is_heard_alone_or_all_are():
    draw = mixtures(unsupervised=0.0, one_or_two=True, batch=16, supervised=Voices(40, k=4))
    heard = torch.cat([draw(step)["sources"] for step in range(12)]).abs().sum(-1).unflatten(1, (2, 4)) > 0
    assert heard[..., 0].all() and (heard[..., 1:].all(-1) == heard[..., 1:].any(-1)).all()
    assert heard[..., 1].float().mean() == pytest.approx(0.5, abs=0.1)


# A single mixture as a supervised example

def test_with_p0_one_of_two_mixtures_is_silent():
    """In 20 % of 1600 examples, within 4 standard deviations; either of both, and nothing else is changed."""
    draw, all_there = (mixtures(unsupervised=0.0, batch=16, p0=p0, seed=3) for p0 in (0.2, 0.0))
    found = [(draw(step)["sources"], all_there(step)["sources"]) for step in range(100)]
    sources, whole = (torch.cat(x).unflatten(1, (2, 2)) for x in zip(*found))  # (example, mixture, source, time)
    silent = (sources == 0).flatten(2).all(2)
    assert silent.any(1).float().mean() == pytest.approx(0.2, abs=0.04) and not silent.all(1).any()
    assert silent[:, 0].sum() / silent.sum() == pytest.approx(0.5, abs=0.12)
    assert torch.equal(sources, whole * ~silent[..., None, None]) and (whole > 0).all()
    assert mixtures(unsupervised=0.0, p0=1.0)(0)["sources"][:, ::2, 0].gt(0).sum(1).tolist() == [1, 1, 1, 1]


def test_what_the_network_hears_is_the_sum_of_the_sources_that_are_left():
    batch, heard = mixtures(unsupervised=0.0, p0=1.0, batch=8)(0), []
    mixing.loss(lambda x: heard.append(x) or torch.stack([x, 0.5 * x, -x, 0.1 * x], 1), batch)
    assert torch.equal(heard[0], batch["sources"].sum(1)) and batch["sources"].eq(0).any()


def test_p0_is_of_supervised_examples_alone():
    given = {"batch": 8, "unsupervised": 0.5, "seed": 5}
    assert torch.equal(mixtures(p0=1.0, **given)(2)["mixtures"], mixtures(**given)(2)["mixtures"])


def test_a_supervised_example_may_be_one_mixture():
    """As many different ones as examples, with its own sources, whatever p0 is."""
    supervised = Voices(40, k=4)
    sources = mixtures(unsupervised=0.0, batch=16, n_mix=1, supervised=supervised, p0=1.0)(0)["sources"]
    assert sources.shape == (16, 4, 4) and len(supervised.asked) == len(set(supervised.asked)) == 16
    assert torch.equal(sources, torch.stack([Voices(40, k=4)[i]["sources"] for i in supervised.asked]))


# Labels

def test_labels_of_a_pair_are_those_of_both():
    class Labelled(Voices):
        def __getitem__(self, index):
            return super().__getitem__(index) | {"labels": ["abcd"[index % 4], "abcd"[index // 4 % 4]]}

    matched = Labelled(16)
    batch = mixtures(matched=matched, unsupervised=1.0, classes="abcx")(0)
    pairs = [matched.asked[i:i + 2] for i in range(0, 8, 2)]
    want = [[any(name in matched[i]["labels"] for i in pair) for name in "abcx"] for pair in pairs]
    assert batch["labels"].tolist() == [list(map(float, row)) for row in want]
    assert torch.equal(batch["mixtures"][0], torch.stack([matched[i]["mix"] for i in pairs[0]]))
    assert "labels" not in mixtures(matched=matched, unsupervised=1.0)(0)  # nor where nobody asks for classes
    assert mixing.labelled([{"labels": ["b", ""]}, {"labels": []}], ("a", "b")).tolist() == [[0, 1], [0, 0]]


def test_a_step_may_hear_a_part_of_its_sounds():
    """The same samples of all, from anywhere, of the same items with the same labels."""
    class Ramps(Voices):
        def __getitem__(self, index):
            item = super().__getitem__(index)
            return item | {name: item[name] + torch.arange(4) / 8 for name in ("mix", "sources")}
    classes, begins = [str(i) for i in range(40)], set()
    for step in range(20):
        whole, part = (mixtures(matched=Ramps(40), supervised=Ramps(40), classes=classes, p0=0.5, crop=n)(step)
                       for n in (0, 3))
        begin = int((part["mixtures"][0, 0, 0] - whole["mixtures"][0, 0, 0]) * 8)
        assert all(torch.equal(part[name], whole[name][..., begin:begin + 3]) for name in ("mixtures", "sources"))
        assert torch.equal(part["labels"], whole["labels"])
        begins.add(begin)
    assert begins == {0, 1}
    assert same(mixtures(crop=4)(3), mixtures()(3)) and same(mixtures(crop=9)(3), mixtures()(3))


@pytest.mark.parametrize("changes, n", [
    ({"unsupervised": 1.0, "matched": Voices(7)}, 8), ({"unsupervised": 0.0, "supervised": Voices(7)}, 8),
    ({"unsupervised": 0.0, "supervised": Voices(3), "n_mix": 1}, 4)])
def test_a_split_that_is_smaller_than_a_step_is_refused(changes, n):
    with pytest.raises(WeaklibError, match=f"A step hears {n} different items and the split has [37]; choose a small"):
        mixtures(**changes)(0)
    small = next(x for x in changes.values() if isinstance(x, Voices))
    assert mixtures(**changes | {name: Voices(n) for name, x in changes.items() if x is small})(0)


def test_a_recording_of_unknown_sources_is_heard_whole():
    secret = mixtures(unsupervised=1.0, one_or_two=True, matched=Voices(40, secret=True))
    assert torch.equal(secret(0)["mixtures"], mixtures(unsupervised=1.0)(0)["mixtures"])


def test_loss_is_pit_on_one_part_and_mixit_on_the_other():
    generator = torch.Generator().manual_seed(0)
    batch = {"mixtures": torch.randn(3, 2, 500, generator=generator),
             "sources": torch.randn(2, 4, 500, generator=generator)}
    model = lambda x: torch.stack([x, 0.5 * x.roll(3, -1), x.roll(7, -1), -x], 1)
    mixit = losses.mixit(model(batch["mixtures"].sum(1)), batch["mixtures"], snr_max=12.0)[0]
    pit = losses.pit(model(batch["sources"].sum(1)), batch["sources"], snr_max=12.0)[0]
    assert mixing.loss(model, batch, 12.0).item() == pytest.approx(((mixit.sum() + pit.sum()) / 5).item(), rel=1e-5)
    for name, want in (("mixtures", mixit), ("sources", pit)):
        assert mixing.loss(model, {name: batch[name]}, 12.0).item() == pytest.approx(want.mean().item(), rel=1e-5)
    est, each = mixing.separated(model, batch, snr_max=12.0)
    assert torch.equal(est, model(torch.cat([batch["mixtures"].sum(1), batch["sources"].sum(1)])))
    torch.testing.assert_close(each, torch.cat([mixit, pit]))


def test_the_search_for_assignments_may_be_another_one(monkeypatch):
    asked, real = [], losses.mixit
    monkeypatch.setattr(losses, "mixit", lambda *args, search, **rest: asked.append(search) or real(*args, **rest))
    batch = {"mixtures": torch.randn(2, 2, 50)}
    for options in ({}, {"search": "lsq"}):
        mixing.separated(lambda x: torch.stack([x, -x], 1), batch, **options)
    assert asked == ["exact", "lsq"]


def cuts(*items):
    """Items of recordings, as (recording, where it is cut)."""
    return [{"mix": torch.full((2,), 10.0 * recording + cut), "labels": [f"{recording}.wav"]}
            for recording, cut in items]


@pytest.mark.parametrize("items, want", [
    ([(1, 0), (1, 1), (2, 0)], [(10, 20), (11, 20), (20, 10)]),      # the next of another recording, around the end
    ([(1, 0), (1, 1), (1, 2)], [(10, 11), (11, 12), (12, 10)]),      # of one recording only: the next cut
    ([(1, 0), (1, 0), (1, 1)], [(10, 11), (10, 11), (11, 10)]),      # never what is the same
])
def test_pairs_are_of_two_recordings_where_there_are_two(items, want):
    assert [pair[:, 0].tolist() for pair in mixing.pairs(cuts(*items))] == [list(map(float, pair)) for pair in want]


def test_nothing_is_paired_with_itself():
    with pytest.raises(WeaklibError, match="add longer recordings"):
        list(mixing.pairs(cuts((1, 0), (1, 0))))
