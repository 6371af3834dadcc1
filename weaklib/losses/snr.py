"""Thresholded SNR, the signal-level loss of wisdom2020 and wisdom2021, and what becomes of it in silence.

Contents
--------
thresholded_snr
    Eq. 2 of wisdom2020.
threshold
    Its two constants for many references at once, with the rule for zero references.
decibel_loss
    The loss from an energy and these constants.

Zero references
---------------
Against a reference that is zero, SNR is undefined and the 1e-8 that keeps the logarithm finite would set the loss: 80
dB of dynamic range for a signal without content, so that such examples dominate a batch. `pit` and `mixit` therefore
measure the output belonging to a zero reference against the mixture (the sum of the references) with a threshold of 20
dB,

    10 log10(||est||^2 + 10^-2 ||mix||^2) - 10 log10 ||mix||^2,

which is -20 dB for a silent output and about 0 dB for an output as loud as the mixture. Zero is an RMS of at most 1e-8.

References
----------
wisdom2020, Eq. 2; the 20 dB rule and the RMS of 1e-8 are those of the FUSS baseline (Wisdom et al., "What's all the
FUSS about free universal sound separation data?", ICASSP 2021). The last term, constant for the network, makes it
readable.
"""
from __future__ import annotations

import torch

from weaklib.files import WeaklibError
from weaklib.losses.gram import check_tensors, full_precision

EPS = 1e-8  # energy (sum over time) added inside every logarithm
ZERO_RMS = 1e-8  # a reference at most this loud is zero
ZERO_SNR_MAX = 20.0  # dB, threshold below the mixture for the outputs of zero references


def thresholded_snr(est, ref, *, snr_max=30.0):
    """Return the negative thresholded SNR, wisdom2020 Eq. 2.

    ``10 log10(||ref - est||^2 + tau ||ref||^2) - 10 log10 ||ref||^2`` with ``tau = 10^(-snr_max / 10)``: a soft
    minimum of ``-snr_max``, so that examples already well separated leave the gradient to the others.

    Parameters
    ----------
    est, ref : Tensor, shape=(..., time)
        Estimate and reference; the roles cannot be swapped, the reference sets the scale.
    snr_max : float, dB

    Returns
    -------
    Tensor, shape=(...,), dB
        float32, or float64 if `est` is. Lower is better. Finite, as is its gradient, for silent signals too: 1e-8 is
        added inside both logarithms.

    Raises
    ------
    WeaklibError
        If they are no tensors, or differ in time.
    """
    check_tensors(est, ref)
    if est.shape[-1:] != ref.shape[-1:]:
        raise WeaklibError(f"est {tuple(est.shape)} and ref {tuple(ref.shape)} must be (..., time) with the same time.")
    est, ref = full_precision(est, ref)
    power = ref.square().sum(-1)
    floor, scale = 10 ** (-snr_max / 10) * power + EPS, power + EPS
    return decibel_loss((ref - est).square().sum(-1), floor, scale)


def threshold(power, mix_power, n_time, snr_max):
    """Return (floor, scale) of the loss for references of the given power, zero references included.

    Parameters
    ----------
    power : Tensor, shape=(batch, n_ref), energy summed over time
    mix_power : Tensor, shape=(batch, 1), energy summed over time
    n_time : int, samples
    snr_max : float, dB

    Returns
    -------
    floor, scale : Tensor, shape=(batch, n_ref)
    """
    zero = power <= ZERO_RMS ** 2 * n_time
    floor = torch.where(zero, 10 ** (-ZERO_SNR_MAX / 10) * mix_power, 10 ** (-snr_max / 10) * power)
    return floor + EPS, torch.where(zero, mix_power, power) + EPS


def decibel_loss(energy, floor, scale):
    """Return ``10 log10((energy + floor) / scale)``, dB."""
    return 10 * ((energy + floor) / scale).log10()
