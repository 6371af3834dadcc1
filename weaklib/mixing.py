"""Mixtures of mixtures: the batches and the loss of mixture invariant training, and how it is scored without sources.

Contents
--------
Mixtures
    Batches for MixIT and PIT.
labelled
    The labels of items as numbers.
separated, loss
    Both losses on such a batch, per example with the estimates, and their mean.
pairs
    Two recordings each, to be told apart.
"""
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch

from weaklib import audio, losses
from weaklib.files import WeaklibError


class Mixtures:
    """Batches of mixtures of mixtures, a function of the step alone.

    Parameters
    ----------
    mixtures, supervised : sequence of dict
        Training splits: where the unsupervised mixtures come from, and where the supervised ones do.
    batch : int
        Examples per step.
    unsupervised : float
        Share of the examples that MixIT learns from, two mixtures each; PIT learns from the others.
    seed : int
    one_or_two : bool
        Whether each mixture loses all but its first source half of the time.
    p0 : float
        Probability that one of the two mixtures of a supervised example is silent (wisdom2020, section 4.3).
    n_mix : {1, 2}
        Mixtures in a supervised example.
    classes : sequence of str
        Those of the labels that a batch has beside its unsupervised mixtures, if there are any.
    crop : int, samples
        What a step hears of all its items, from a place that it draws; 0: all.
    """

    def __init__(self, mixtures, supervised, *, batch: int, unsupervised: float, seed: int, one_or_two: bool = False,
                 p0: float = 0.0, n_mix: int = 2, classes: Sequence[str] = (), crop: int = 0):
        self.mixtures, self.supervised, self.batch, self.unsupervised = mixtures, supervised, batch, unsupervised
        self.seed, self.one_or_two, self.p0, self.n_mix = seed, one_or_two, p0, n_mix
        self.classes, self.crop = classes, crop

    def __call__(self, step: int) -> dict:
        """Return ``mixtures (n_unsup, 2, time)`` for MixIT, with their ``labels (n_unsup, class)`` where there are
        classes, and ``sources (n_sup, n_mix * source, time)`` for PIT.
        """
        rng = np.random.default_rng([self.seed, step])
        # The share is kept over steps, also where it is no whole number of examples.
        until, before = (math.floor(s * self.batch * self.unsupervised) for s in (step + 1, step))
        n_unsup = until - before
        unsup = self._items(rng, self.mixtures, 2 * n_unsup)
        sup = self._items(rng, self.supervised, self.n_mix * (self.batch - n_unsup))
        batch = {}
        if unsup:
            batch["mixtures"] = torch.stack([item["mix"] if whole or "sources" not in item else item["sources"][0]
                                             for item, whole in unsup]).unflatten(0, (-1, 2))
        if unsup and self.classes:
            batch["labels"] = labelled([item for item, _ in unsup], self.classes).unflatten(0, (-1, 2)).amax(1)
        if sup:
            sources = torch.stack([torch.cat([item["sources"][:1], whole * item["sources"][1:]])
                                   for item, whole in sup]).unflatten(0, (-1, self.n_mix))
            if self.n_mix == 2:
                silent = rng.random(len(sources)) < self.p0
                sources[np.flatnonzero(silent), rng.integers(2, size=silent.sum())] = 0
            batch["sources"] = sources.flatten(1, 2)
        if self.crop:
            sounds = [name for name in ("mixtures", "sources") if name in batch]
            part = audio.excerpt(rng, batch[sounds[0]][0, 0], self.crop)
            batch |= {name: batch[name][..., part] for name in sounds}
        return batch

    def _items(self, rng, corpus, n: int) -> list:
        """Draw `n` different items, and whether all of each is heard."""
        if n > len(corpus):
            raise WeaklibError(f"A step hears {n} different items and the split has {len(corpus)}; choose a smaller "
                               "batch or a larger corpus.")
        picked = rng.choice(len(corpus), n, replace=False)
        whole = rng.random(n) < 0.5 if self.one_or_two else np.ones(n, bool)
        return [(corpus[int(i)], bool(b)) for i, b in zip(picked, whole)]


def labelled(items: list[dict], classes: Sequence[str]):
    """Which of the classes each item has: (item, class) of 0 and 1."""
    return torch.tensor([[float(name in item["labels"]) for name in classes] for item in items])


def separated(model, batch: dict, *, snr_max: float = 30.0, search: str = "exact"):
    """PIT (wisdom2020 Eq. 1) on the supervised examples of a batch and MixIT (Eq. 3) on the others.

    Parameters
    ----------
    model : Module
        (example, time) -> (example, source, time).
    batch : dict
        As of `Mixtures`.
    snr_max : float, dB
    search : str
        For the assignments, see `weaklib.losses.mixit`.

    Returns
    -------
    est : Tensor, shape=(example, source, time)
        Those of the mixtures first.
    value : Tensor, shape=(example,), dB
    """
    given = [name for name in ("mixtures", "sources") if name in batch]
    est = model(torch.cat([batch[name].sum(1) for name in given]))
    values = [losses.mixit(e, batch[name], snr_max=snr_max, search=search)[0] if name == "mixtures"
              else losses.pit(e, batch[name], snr_max=snr_max)[0]
              for name, e in zip(given, est.split([len(batch[name]) for name in given]))]
    return est, torch.cat(values)


def loss(model, batch: dict, snr_max: float = 30.0):
    """Mean of `separated` over the batch."""
    return separated(model, batch, snr_max=snr_max)[1].mean()


def pairs(items: Sequence[dict]) -> Iterator[torch.Tensor]:
    """Pair each item of a split with the next one of another recording: yields (2, time).

    Items with the same labels, as the cuts of a file have them, are of one recording. With one recording only, the
    next one that was cut elsewhere is taken: a mixture with itself says nothing.

    Raises
    ------
    WeaklibError
        If there is no pair.
    """
    item = lru_cache(maxsize=4)(items.__getitem__)
    n, found = len(items), False
    for i in range(n):
        others = [k % n for k in range(i + 1, i + n)]
        own, labels = item(i)["mix"], item(i)["labels"]
        partner = next((k for k in others if not labels or item(k)["labels"] != labels), None)
        if partner is None or torch.equal(item(partner)["mix"], own):
            partner = next((k for k in others if not torch.equal(item(k)["mix"], own)), None)
        if partner is not None:
            found = True
            yield torch.stack([own, item(partner)["mix"]])
    if not found:
        raise WeaklibError("A split holds one recording as short as an item; add longer recordings.")
