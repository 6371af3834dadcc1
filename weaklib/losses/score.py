"""Losses that learn separation and transcription from the score, hung2021 Eq. 1 to 11.

Conventions
-----------
Rolls are ``(batch, source, pitch, frame)`` with 88 pitches, MIDI 21 to 108, and values 0 or 1 of any type; a
transcriptor's logits have the same shape. Magnitudes are ``(batch, freq, frame)`` for a mixture and ``(batch, source,
freq, frame)`` for estimates. Every equation is a sum over sources, pitches and bins, and here a mean over frames: the
ratios between them stay as published while a value does not depend on the length of a clip. A loss has shape
``(batch,)``.

Contents
--------
score_loss, multipitch_loss, activity_loss
    Eq. 1, 2 and 3. The paper calls Eq. 2 "L_inst" and Eq. 3 "L_pitch", each by what its maximum removes; here they
    have the names of what is left.
separated_loss
    Eq. 5: each estimate must be heard as its instrument's score, and as nothing of the others.
mixture_loss
    Eq. 6 and 7: active estimates add up to the mixture, the others are silent.
adversarial_mixture_loss, adversarial_transcription_loss
    Eq. 9 and 10: what makes a transcriptor that learns beside a separator strict with it.
harmonic_mask
    Where the harmonics of a score lie in a spectrogram.
"""
from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F

from weaklib.files import WeaklibError
from weaklib.rolls import LOWEST, PITCHES

CLAMP = 1e-4  # probability at which the cross-entropy of Eq. 9, unbounded below with its minus sign, stops growing


def score_loss(logits, roll, weights=None):
    """Binary cross-entropy of a transcription, Eq. 1: sum over sources and pitches, mean over frames.

    Parameters
    ----------
    logits, roll : Tensor, shape=(batch, source, pitch, frame)
    weights : Tensor, shape=(source,), optional
        One per instrument; rare ones should weigh more.

    Returns
    -------
    Tensor, shape=(batch,)
    """
    return _weighted(_cross_entropy(logits, roll).sum(-2), weights)


def multipitch_loss(logits, roll):
    """Cross-entropy of which pitches sound, whoever plays them, Eq. 2 ("L_inst" in the paper); see `score_loss`."""
    return _cross_entropy(logits.amax(1), roll.amax(1)).sum(1).mean(-1)


def activity_loss(logits, roll, weights=None):
    """Cross-entropy of who plays, whatever the pitch, Eq. 3 ("L_pitch" in the paper); see `score_loss`."""
    return _weighted(_cross_entropy(logits.amax(-2), roll.amax(-2)), weights)


def _cross_entropy(logits, roll):
    return F.binary_cross_entropy_with_logits(logits, _real(roll), reduction="none")


def _real(roll):
    """A roll that arithmetic can be done with: those of booleans or integers become float32."""
    return roll if roll.is_floating_point() else roll.float()


def _weighted(loss, weights):
    """(batch, source, frame) -> (batch,)."""
    return (loss if weights is None else loss * weights[:, None]).sum(1).mean(-1)


def only(roll):
    """Y^(i) of Eq. 5: ``(batch, source, pitch, frame)`` -> ``(batch, heard, source, pitch, frame)``.

    Row i holds the score of instrument i and zeros for the others: all that should be heard in estimate i.
    """
    return roll[:, None] * torch.eye(roll.shape[1], dtype=roll.dtype, device=roll.device)[..., None, None]


def separated_loss(logits, roll, weights=None, over=None):
    """Eq. 5, summed over the estimates as in Eq. 8: estimate i holds the notes of instrument i and no others.

    Parameters
    ----------
    logits : Tensor, shape=(batch, heard, source, pitch, frame)
        A transcription of every estimate.
    roll : Tensor, shape=(batch, source, pitch, frame)
    weights : Tensor, shape=(source,), optional
    over : Tensor, shape=(batch, heard, source, pitch, frame), optional
        Notes of something else that plays over each estimate and should be heard too.

    Returns
    -------
    Tensor, shape=(batch,)
    """
    wanted = only(roll)
    return _each(logits, wanted if over is None else torch.maximum(wanted, over), weights)


def adversarial_transcription_loss(logits, roll, weights=None):
    """Eq. 10, summed over the estimates: in estimate i, hear everything but instrument i. Arguments as in Eq. 5."""
    roll = _real(roll)
    return _each(logits, roll[:, None] - only(roll), weights)


def _each(logits, rolls, weights):
    return score_loss(logits.flatten(0, 1), rolls.flatten(0, 1), weights).unflatten(0, logits.shape[:2]).sum(1)


def adversarial_mixture_loss(logits, roll, weights=None, *, on: str = "all"):
    """Eq. 9: a penalty for transcribing a remix of estimates correctly; probabilities are clamped at `CLAMP`.

    Arguments as in `score_loss`; the result is at most zero. As published it is a sum over "all" notes, most of which
    are silent, and there it rewards hearing what is not played; with ``on="active"`` it only asks to miss notes.
    """
    if on not in ("all", "active"):
        raise WeaklibError(f"Unknown notes {on!r} of the adversarial mixture loss; choose all or active.")
    largest = -math.log(CLAMP)
    bce = _cross_entropy(logits, roll).clamp(max=largest)
    return -_weighted((bce if on == "all" else bce * roll).sum(-2), weights)


def mixture_loss(mix, est, active, *, squared: bool = False):
    """Eq. 6, or 7: ``|X - sum of active estimates| + sum of the others``, summed over frequencies, mean over frames.

    What a network makes of bins that belong to several depends on the distance: absolute values, as published, ask for
    the median of what may be there, all or nothing; squares for the mean, the expected share.

    Parameters
    ----------
    mix : Tensor, shape=(batch, freq, frame)
        Magnitude of the mixture.
    est : Tensor, shape=(batch, source, freq, frame)
        Magnitudes of the estimates.
    active : bool Tensor, shape broadcastable to that of `est`
        Which estimates may have energy where: per clip ``(batch, source, 1, 1)`` (Eq. 6, see `activity`), per frame, or
        per bin (Eq. 7, see `harmonic_mask`).
    squared : bool
        Whether to square what is summed, and to divide the sum by the RMS of the mixture, so that it scales alike.

    Returns
    -------
    Tensor, shape=(batch,)
    """
    heard = est * active
    left, wrong = mix - heard.sum(1), est - heard
    return distance(left, mix, squared) + distance(wrong.flatten(1, 2), mix, squared)


def distance(x, mix, squared: bool = False):
    """Sum of absolute values, or of squares over the RMS of the mixture, per frame: (batch, any, frame) -> (batch,)."""
    if not squared:
        return x.abs().sum(1).mean(-1)
    return x.square().sum(1).mean(-1) / mix.square().mean((1, 2)).sqrt().clamp(min=1e-8)


def activity(roll, level: str = "clip"):
    """Return which instruments play in the clip or in each frame: bool, shape=(batch, source, 1, 1 or frame)."""
    if level not in ("clip", "frame"):
        raise WeaklibError(f"Unknown level {level!r} of activity; choose clip or frame.")
    return (roll.amax((-2, -1) if level == "clip" else -2, keepdim=True)) > 0


def harmonic_mask(roll, sr: int, n_fft: int, *, n_harmonics: int | None = None, width: int = 1, tuning: float = 440.0):
    """Mark the bins in which the notes of a score may have energy, hung2021 section 2.2.

    Harmonic l of a note lies in the bin nearest to l times its fundamental frequency; `width` bins on either side
    belong to it too. The fundamental is included (the paper's formula, read literally, starts an octave above it).

    Parameters
    ----------
    roll : Tensor, shape=(..., source, pitch, frame)
        88 pitches, MIDI 21 to 108; what is above 0 sounds.
    sr : int, Hz
    n_fft : int, samples
    n_harmonics : int, optional
        The fundamental is the first; by default all that lie below ``sr / 2``.
    width : int, bins
    tuning : float, Hz
        Of MIDI note 69.

    Returns
    -------
    bool Tensor, shape=(..., source, n_fft // 2 + 1, frame)

    Raises
    ------
    WeaklibError
        If the roll has another number of pitches.
    """
    if roll.shape[-2] != PITCHES:
        raise WeaklibError(f"The roll has {roll.shape[-2]} pitches; harmonic_mask needs {PITCHES}, MIDI {LOWEST} to "
                           f"{LOWEST + PITCHES - 1}.")
    roll = _real(roll)
    comb = _comb(sr, n_fft, n_harmonics, width, tuning).to(roll)
    return torch.matmul(comb, (roll > 0).to(roll)) > 0


@cache
def _comb(sr, n_fft, n_harmonics, width, tuning):
    """Which bins belong to each pitch: float, shape=(freq, pitch)."""
    comb = torch.zeros(n_fft // 2 + 1, PITCHES)
    for pitch in range(PITCHES):
        f0 = tuning * 2 ** ((pitch + LOWEST - 69) / 12)
        last = math.ceil(sr / 2 / f0) - 1  # the last below the Nyquist frequency
        for harmonic in range(1, min(last, n_harmonics or last) + 1):
            k = round(harmonic * f0 * n_fft / sr)
            comb[max(0, k - width):k + width + 1, pitch] = 1
    return comb
