"""Losses against over-separation: wisdom2021 Sections 2.3 and 2.4.

MixIT does not mind if a source is spread over several outputs. These losses, which need no reference, do; they are
added to it with a weight. Both see levels and inner products over time only, not which output is which.

Contents
--------
sparsity
    Few outputs should be active, Eq. 5 and 6.
covariance
    Outputs should be uncorrelated, Eq. 7.
"""
from __future__ import annotations

import math

import torch

from weaklib.files import WeaklibError
from weaklib.losses.gram import check_axes, full_precision
from weaklib.losses.snr import ZERO_RMS


def sparsity(est, kind="l1/l2", mix=None):
    """Return how evenly the outputs share the sound, from their RMS levels ``r``, wisdom2021 Eq. 4 to 6.

    Parameters
    ----------
    est : Tensor, shape=(batch, n_src, time)
    kind : {"l1/l2", "l1"}
        ``l1/l2`` is ``||r||_1 / ||r||_2 / n_src``, blind to the level: ``1 / n_src`` if one output is active,
        ``1 / sqrt(n_src)`` if all are equally loud, and nothing lies outside. ``l1`` is ``||r||_1 / rms(mix) / n_src``:
        ``1 / n_src`` if one output holds the mixture, and more if several share it. It would rather merge independent
        sources than correlated ones, which ``l1/l2`` does not; without mixture consistency its minimum is silence.
    mix : Tensor, shape=(batch, time), optional
        What the network heard, for ``l1``; the sum of the outputs, taken as a constant, if it is not given. With
        mixture consistency they are the same.

    Returns
    -------
    Tensor, shape=(batch,)
        float32, or float64 if `est` is. Silent outputs pass no gradient. An example with nothing to share out, where
        the denominator (``rms(mix)`` or ``||r||_2``) is at most 1e-8, has the value 0 and no gradient.

    Raises
    ------
    WeaklibError
        If `kind` is unknown or a shape does not fit.
    """
    if kind not in ("l1", "l1/l2"):
        raise WeaklibError(f"kind is {kind!r}; choose 'l1/l2' or 'l1'.")
    check_axes("est", est, "(batch, source, time)")
    if mix is not None and mix.shape != est.shape[::2]:
        raise WeaklibError(f"mix {tuple(mix.shape)} must be (batch, time) of est, {tuple(est.shape[::2])}.")
    with torch.autocast(est.device.type, enabled=False):
        est, = full_precision(est)
        levels = _rms(est)  # (batch, n_src)
        if kind == "l1/l2":
            scale = torch.linalg.vector_norm(levels, dim=1)
        else:
            scale = _rms(est.detach().sum(1) if mix is None else mix.to(est))
        share = levels.mean(1) / scale.clamp(min=ZERO_RMS)
        return share.masked_fill(scale <= ZERO_RMS, 0)


def _rms(x):
    """(..., time) -> (...,). The gradient at silence, where the root has none, is 0: that of `vector_norm`."""
    return torch.linalg.vector_norm(x, dim=-1) / math.sqrt(x.shape[-1])


def covariance(est):
    """Return the covariances of the outputs, wisdom2021 Eq. 7.

    The sum over ordered pairs of different outputs of ``|mean over time of the product of both, each less its mean|``.
    The paper states no normalisation: the mean over time (not over time less one) is our choice, so that a value does
    not depend on the length of a clip. It goes with the square of the level, so its weight belongs to a level, too.

    Parameters
    ----------
    est : Tensor, shape=(batch, n_src, time)

    Returns
    -------
    Tensor, shape=(batch,)
        float32, or float64 if `est` is. 0 for one output.

    Raises
    ------
    WeaklibError
        If the shape does not fit.
    """
    check_axes("est", est, "(batch, source, time)")
    with torch.autocast(est.device.type, enabled=False):
        est, = full_precision(est)
        centred = est - est.mean(-1, keepdim=True)
        pairs = (centred @ centred.mT / est.shape[-1]).tril(-1)  # each pair once
        return 2 * pairs.abs().sum((1, 2))
