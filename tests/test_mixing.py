"""Mixtures of mixtures: what a batch holds, what the loss is of, how a network is scored where sources are unknown."""
import pytest
import torch

from weaklib import losses, mixing
from weaklib.files import WeaklibError


class Voices:
    """Recordings of two sources each, constant: those of recording n at ``2 n + 1`` and ``2 n + 2``."""

    def __init__(self, n, secret=False):
        self.n, self.secret, self.asked = n, secret, []

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        self.asked.append(index)
        sources = torch.tensor([[2.0 * index + 1], [2 * index + 2]]).expand(2, 4)
        return {"mix": sources.sum(0), "labels": [f"{index}"]} | ({} if self.secret else {"sources": sources})


def mixtures(**changes):
    given = {"batch": 4, "unsupervised": 0.5, "one_or_two": False, "seed": 0} | changes
    return mixing.Mixtures(given.pop("matched", Voices(40)), given.pop("supervised", Voices(40)), **given)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_batch_is_a_function_of_step_and_seed():
    draw = mixtures()
    assert same(draw(3), draw(3)) and not same(draw(3), draw(4)) and not same(draw(3), mixtures(seed=1)(3))


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
