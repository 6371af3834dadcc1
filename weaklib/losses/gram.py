"""Inner products of outputs and references: all that a search over assignments needs to know about the waveforms."""
from __future__ import annotations

from typing import NamedTuple

import torch

from weaklib.files import WeaklibError

BLOCK = 1 << 19  # samples of all signals together that are turned to float64 at a time: 4 MB


class Gram(NamedTuple):
    """Inner products over time in float64; squared norms are on the diagonals."""
    est: torch.Tensor  # (batch, n_src, n_src)
    cross: torch.Tensor  # (batch, n_ref, n_src)
    ref: torch.Tensor  # (batch, n_ref, n_ref)

    @property
    def power(self):
        """Energy of each reference, (batch, n_ref)."""
        return self.ref.diagonal(dim1=1, dim2=2)

    @property
    def mix_power(self):
        """Energy of the sum of the references, (batch, 1)."""
        # A sum of inner products can come out as -1e-17 when references cancel.
        return self.ref.sum((1, 2)).clamp(min=0)[:, None]


def check_tensors(est, ref):
    """Raise a WeaklibError unless `est` and `ref` are tensors."""
    if not (isinstance(est, torch.Tensor) and isinstance(ref, torch.Tensor)):
        raise WeaklibError("est and ref must be tensors; torch.tensor makes one of an array.")


def check(est, ref):
    """Raise a WeaklibError unless `est` and `ref` are tensors (batch, source, time) of one batch and length."""
    check_tensors(est, ref)
    if est.ndim != 3 or ref.ndim != 3 or est.shape[::2] != ref.shape[::2] or 0 in est.shape or 0 in ref.shape:
        raise WeaklibError(f"est {tuple(est.shape)} and ref {tuple(ref.shape)} must both be (batch, source, time) with "
                           "the same batch and time.")


def check_axes(name, x, axes):
    """Raise a WeaklibError unless `x` is a tensor with three axes, none of them empty."""
    if not isinstance(x, torch.Tensor) or x.ndim != 3 or 0 in x.shape:
        shape = tuple(x.shape) if hasattr(x, "shape") else type(x).__name__
        raise WeaklibError(f"{name} {shape} must be a tensor {axes}.")


@torch.no_grad()
def gram(est, ref):
    """Return the Gram statistics of `est` (batch, n_src, time) and `ref` (batch, n_ref, time), of any precision.

    float64, because energies of residuals are differences of these numbers: in float32 they are off by 1e-4, in
    bfloat16 by whole decibels.

    Raises
    ------
    WeaklibError
        If a sample is NaN or infinite.
    """
    (batch, n_src, n_time), n_ref = est.shape, ref.shape[1]
    size = min(n_time, max(1, BLOCK // (batch * (n_ref + n_src))))
    device = "cpu" if est.device.type == "mps" else est.device  # Apple's GPUs have no float64
    buffer = torch.empty(batch, n_ref + n_src, size, dtype=torch.float64, device=device)
    total = 0
    for start in range(0, n_time, size):
        block = buffer[..., :min(size, n_time - start)]
        block[:, :n_ref], block[:, n_ref:] = ref[..., start:start + size], est[..., start:start + size]
        total = total + block @ block.mT
    if not total.diagonal(dim1=1, dim2=2).sum().isfinite():
        raise WeaklibError("est or ref contains NaN or infinity; check the input, or lower the learning rate if "
                           "training has diverged.")
    return Gram(total[:, n_ref:, n_ref:], total[:, :n_ref, n_ref:], total[:, :n_ref, :n_ref])


def full_precision(est, *others):
    """Return all in float32, or in float64 if `est` is."""
    est = est if est.dtype is torch.float64 else est.float()
    return est, *(x.to(est.dtype) for x in others)
