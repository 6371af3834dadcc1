"""Losses that learn separation from weak labels.

Conventions
-----------
Arguments are ``(est, ref)``, waveforms ``(batch, source, time)``; a loss is one number in dB per example, shape
``(batch,)``, lower is better, and comes with the assignment that it is the loss of. Average it over the batch yourself.

Contents
--------
thresholded_snr
    Negative SNR that stops rewarding beyond `snr_max`: the signal-level loss of all that follows.
pit
    Permutation invariant training: supervised, the order of the outputs does not matter.
mixit
    Mixture invariant training: unsupervised, the outputs must add up to the reference mixtures.
"""
from weaklib.losses.mixit import mixit
from weaklib.losses.pit import pit
from weaklib.losses.snr import thresholded_snr

__all__ = ["mixit", "pit", "thresholded_snr"]
