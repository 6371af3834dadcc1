"""Permutation invariant training (PIT): wisdom2020 Section 3.1."""
from __future__ import annotations

import torch

from weaklib.files import WeaklibError
from weaklib.losses.gram import check, full_precision, gram
from weaklib.losses.snr import decibel_loss, threshold


def pit(est, ref, *, snr_max=30.0):
    """Return the PIT loss and the permutation that attains it, wisdom2020 Eq. 1.

    References are padded with zero references to the number of outputs. The loss is the mean (the paper writes a sum)
    over these `n_src` slots of `thresholded_snr`; outputs of zero references, padded or given, are to be 20 dB below
    the mixture (see `weaklib.losses.snr`). The permutation minimises this very loss.

    Parameters
    ----------
    est : Tensor, shape=(batch, n_src, time)
    ref : Tensor, shape=(batch, n_ref, time)
        Sources, ``n_ref <= n_src``; their sum is taken as the mixture.
    snr_max : float, dB

    Returns
    -------
    loss : Tensor, shape=(batch,), dB
        float32, or float64 if `est` is; differentiable in `est`.
    permutation : Tensor, shape=(batch, n_src), int64
        ``permutation[b, k]`` is the output that belongs to reference `k`; the outputs left over follow in their order.

    Raises
    ------
    WeaklibError
        If the shapes do not fit, there are more references than outputs, or a sample is not finite.
    """
    check(est, ref)
    (batch, n_src, n_time), n_ref = est.shape, ref.shape[1]
    if n_ref > n_src:
        raise WeaklibError(f"{n_ref} references need at least as many outputs, est has {n_src}.")
    with torch.autocast(est.device.type, enabled=False):
        est, ref = full_precision(est, ref)
        stats = gram(est, ref)
        slots = torch.nn.functional.pad(stats.power, (0, n_src - n_ref))  # energy, padded references too
        floor, scale = threshold(slots, stats.mix_power, n_time, snr_max)
        permutation = _best(stats, floor, scale).to(est.device)
        # The references follow the outputs, not the reverse: then the network's side is never copied.
        target = ref.new_zeros(est.shape)
        target[torch.arange(batch, device=est.device)[:, None], permutation[:, :n_ref]] = ref
        energy = (target - est).square().sum(-1).gather(1, permutation)  # (batch, n_src), by reference
        return decibel_loss(energy, floor.to(est), scale.to(est)).mean(1), permutation


def _best(stats, floor, scale):
    """Optimal permutation, (batch, n_src), by the Hungarian method on the losses of all pairs from one Gram matrix."""
    from scipy.optimize import linear_sum_assignment
    n_ref, n_src = stats.cross.shape[1:]
    outputs = stats.est.diagonal(dim1=1, dim2=2)[:, None]  # (batch, 1, n_src)
    energy = (stats.power[:, :, None] - 2 * stats.cross + outputs).clamp(min=0)
    pairs = decibel_loss(energy, floor[:, :n_ref, None], scale[:, :n_ref, None])  # (batch, n_ref, n_src)
    if n_ref < n_src:  # choosing an output for a reference spares it the loss of a padded one
        pairs = pairs - decibel_loss(outputs, floor[:, -1:, None], scale[:, -1:, None])
    permutations = []
    for cost in pairs.cpu().numpy():
        chosen = linear_sum_assignment(cost)[1].tolist()
        permutations.append(chosen + sorted(set(range(n_src)) - set(chosen)))
    return torch.tensor(permutations)
