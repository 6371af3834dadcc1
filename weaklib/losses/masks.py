"""Losses of masks of a magnitude spectrogram: mahmud2024 Eq. 2 and 5 as its code has them, and the baselines'.

Conventions
-----------
Magnitudes, logits and weights are ``(batch, ..., freq, frame)``; a loss has shape ``(batch,)``, the mean over all that
an example has. Every bin counts by how loud the mixture is there, see `mask_weight`; the weights are not divided by
their sum.

Contents
--------
mask_weight
    How much each bin counts.
weighted_l1
    Of magnitudes.
mask_bce
    Of masks, binary or ratio.

References
----------
H. Zhao et al., "The sound of pixels", ECCV 2018; H.-W. Dong et al., "CLIPSep: learning text-queried sound separation
with noisy unlabeled videos", ICLR 2023.
"""
from __future__ import annotations

import torch.nn.functional as F

from weaklib.files import WeaklibError

LEAST, MOST = 1e-3, 10.0  # weight of a bin, as published
THRESHOLD = 0.5  # share of the mixture above which a binary mask is 1
TINY = 1e-8  # magnitude of silence, of which a source has no share


def mask_weight(mix):
    """Weight of each bin, ``log(1 + mix)`` held between 0.001 and 10, of the magnitudes of what the network heard."""
    return mix.log1p().clamp(LEAST, MOST)


def weighted_l1(est, ref, weight):
    """Weighted distance of magnitudes, mahmud2024 Eq. 2 and 5: the mean of ``weight |est - ref|``.

    Parameters
    ----------
    est, ref : Tensor, shape=(batch, ..., freq, frame)
        Magnitudes.
    weight : Tensor, shape as `est`, or with axes of size 1
        See `mask_weight`.

    Returns
    -------
    Tensor, shape=(batch,)

    Raises
    ------
    WeaklibError
        If a shape does not fit.
    """
    _check(est, ref, weight=weight)
    return (weight * (est - ref).abs()).flatten(1).mean(1)


def mask_bce(logits, ref, mix, binary=True):
    """Weighted cross-entropy of masks, as in Sound of Pixels and CLIPSep.

    Parameters
    ----------
    logits : Tensor, shape=(batch, ..., freq, frame)
        Of the masks.
    ref : Tensor, shape=(batch, ..., freq, frame)
        Magnitudes of the sources.
    mix : Tensor, shape as `ref`, or with axes of size 1
        Magnitudes of the mixture, which also weigh the bins, see `mask_weight`.
    binary : bool
        Whether a mask is 1 where the source has more than half of the mixture's magnitude and 0 elsewhere; else it is
        the source's share, at most 1. A silent bin has 0.

    Returns
    -------
    Tensor, shape=(batch,), nats

    Raises
    ------
    WeaklibError
        If a shape does not fit.
    """
    _check(logits, ref, mix=mix)
    mask = (ref > THRESHOLD * mix).to(logits) if binary else (ref / mix.clamp(min=TINY)).clamp(max=1)
    loss = F.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    return (mask_weight(mix) * loss).flatten(1).mean(1)


def _check(est, ref, **others):
    """Raise a WeaklibError unless `ref` has the shape of `est`, and the others have it but for axes of size 1."""
    if ref.shape != est.shape:
        raise WeaklibError(f"ref {tuple(ref.shape)} must have the shape of what is estimated, {tuple(est.shape)}.")
    for name, x in others.items():
        if x.ndim != est.ndim or any(a not in (b, 1) for a, b in zip(x.shape, est.shape)):
            raise WeaklibError(f"{name} {tuple(x.shape)} must have the shape of what is estimated, {tuple(est.shape)}, "
                               "or axes of size 1.")
