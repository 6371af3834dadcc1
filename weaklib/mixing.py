"""Mixtures of mixtures: the batches and the loss of mixture invariant training, and how it is scored without sources.

Contents
--------
Mixtures
    Batches for MixIT and PIT.
loss
    Both losses on such a batch.
pairs
    Two recordings each, to be told apart.
"""
from __future__ import annotations

import math

import numpy as np
import torch

from weaklib import losses
from weaklib.files import WeaklibError


class Mixtures:
    """Batches of mixtures of mixtures, a function of the step alone.

    Parameters
    ----------
    matched, supervised : Corpus
        Training splits: where the unsupervised mixtures come from, and where the supervised ones do.
    batch : int
        Examples per step, two items each.
    unsupervised : float
        Share of the examples that MixIT learns from; PIT learns from the others.
    one_or_two : bool
        Whether each item loses its second source half of the time.
    seed : int
    """

    def __init__(self, matched, supervised, *, batch: int, unsupervised: float, one_or_two: bool, seed: int):
        self.matched, self.supervised, self.batch = matched, supervised, batch
        self.unsupervised, self.one_or_two, self.seed = unsupervised, one_or_two, seed

    def __call__(self, step: int) -> dict:
        """Return ``mixtures (n_unsup, 2, time)`` for MixIT and ``sources (n_sup, 4, time)`` for PIT."""
        rng = np.random.default_rng([self.seed, step])
        # The share is kept over steps, also where it is no whole number of examples.
        until, before = (math.floor(s * self.batch * self.unsupervised) for s in (step + 1, step))
        n_unsup = until - before
        unsup, sup = self._items(rng, self.matched, n_unsup), self._items(rng, self.supervised, self.batch - n_unsup)
        batch = {}
        if unsup:
            batch["mixtures"] = torch.stack([item["mix"] if both or "sources" not in item else item["sources"][0]
                                             for item, both in unsup]).unflatten(0, (-1, 2))
        if sup:
            sources = torch.stack([item["sources"] * torch.tensor([[1.0], [both]]) for item, both in sup])
            batch["sources"] = sources.unflatten(0, (-1, 2)).flatten(1, 2)
        return batch

    def _items(self, rng, corpus, n: int) -> list:
        """Draw two items for each of `n` examples, and whether both speakers of each are heard."""
        picked = rng.choice(len(corpus), 2 * n, replace=False)
        both = rng.random(2 * n) < 0.5 if self.one_or_two else np.ones(2 * n, bool)
        return [(corpus[int(i)], bool(b)) for i, b in zip(picked, both)]


def loss(model, batch: dict, snr_max: float = 30.0):
    """PIT (Eq. 1) on the supervised examples and MixIT (Eq. 3) on the others, averaged over the batch."""
    references = [(function, batch[name]) for name, function in (("mixtures", losses.mixit), ("sources", losses.pit))
                  if name in batch]
    est = model(torch.cat([ref.sum(1) for _, ref in references])).split([len(ref) for _, ref in references])
    return torch.cat([function(e, ref, snr_max=snr_max)[0] for e, (function, ref) in zip(est, references)]).mean()


def pairs(items: list[dict]):
    """Pair each item of a split with the next one of another recording: (pair, 2, time).

    With one recording only, with the next one cut elsewhere: a mixture with itself says nothing.
    """
    def partner(i):
        others = items[i + 1:] + items[:i]
        of_another = (o["mix"] for o in others if o["labels"] != items[i]["labels"])
        elsewhere = (o["mix"] for o in others if not torch.equal(o["mix"], items[i]["mix"]))
        found = next(of_another, None)
        return next(elsewhere, None) if found is None else found

    pairs = [(item["mix"], other) for i, item in enumerate(items) if (other := partner(i)) is not None]
    if not pairs:
        raise WeaklibError("A split holds one recording as short as an item; add longer recordings.")
    return torch.stack([torch.stack(pair) for pair in pairs])
