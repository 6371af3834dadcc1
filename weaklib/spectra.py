"""Spectra to look at: levels over time and frequency in three scales, all tracks of a call with one dB reference.

Levels are in [0, 1]: 1 is the loudest bin of all tracks, 0 is `RANGE` dB below it or less. They are what
`weaklib.plots.stems` draws and what `weaklib.widgets.StemPlayer` takes as pictures. The lowest row comes first; frames
are a quarter of a window apart in every scale, and frame `k` is centred on ``k * hop_length`` samples.

Contents
--------
levels
    Linear, mel or constant-Q spectrogram of each track.
difference
    What an estimate lacks and what it has too much, in dB.
frequencies
    Where the rows lie, Hz.
pitches
    Where the constant-Q picture begins and ends, as MIDI pitches.
window
    Length of the window, unless one is asked for.
hertz, row_of
    From MIDI pitches to Hz, from Hz to rows.

References
----------
Brown and Puckette, "An efficient algorithm for the calculation of a constant Q transform", JASA 92(5), 1992.
"""
from __future__ import annotations

import math

import numpy as np

from weaklib import audio
from weaklib.files import WeaklibError
from weaklib.rolls import LOWEST

SCALES = ("linear", "mel", "cqt")
RANGE = 70.0  # dB shown below the loudest bin
WINDOW = 0.064  # s, rounded to a power of two in samples
QUIET = -100.0  # dB re a sine of amplitude 1, the least reference: silence stays dark
MELS = 80  # rows, where the window is long enough for so many
PER_SEMITONE = 2  # rows of it
PER_OCTAVE = 12 * PER_SEMITONE
SHARPNESS = 0.5  # of its filters: 1 would tell apart neighbouring rows, and smear what begins twice as long
QUALITY = SHARPNESS / math.tanh(math.log(2) / PER_OCTAVE)  # frequency over bandwidth of its filters, as librosa has it


def levels(tracks: dict, sr: int, scale: str = "linear", *, n_fft: int | None = None,
           fmax: float | None = None) -> dict[str, np.ndarray]:
    """Make a spectrogram of each track, all with one dB reference.

    Parameters
    ----------
    tracks : dict of str to array or Tensor, shape=(time,) or (channel, time)
        Title -> signal; of several channels the louder one counts, bin by bin.
    sr : int, Hz
    scale : {"linear", "mel", "cqt"}
        Bins of an STFT; HTK mel bands of its energy; a constant-Q transform with `PER_SEMITONE` rows per semitone from
        A0 up, whose filters last 0.6 s at A0 and half as long an octave higher, as far up as they fit below ``sr / 2``.
    n_fft : int, samples, optional
        Length of the STFT; see `window`. The constant-Q transform only takes its hop from it.
    fmax : float, Hz, optional
        Highest frequency; ``sr / 2`` by default.

    Returns
    -------
    dict of str to array, shape=(row, ceil(time / hop_length) + 1), float32
        Title -> values in [0, 1]; ``RANGE * (value - 1)`` is in dB re the loudest bin.

    Raises
    ------
    WeaklibError
        If there is no track, one has no samples or values that are not finite, or the scale or `fmax` makes no sense.
    """
    n_fft = n_fft or window(sr)
    n_rows = len(frequencies(sr, scale, n_fft=n_fft, fmax=fmax))
    decibels = {title: 20 * np.log10(_amplitudes(_signal(title, x), sr, scale, n_fft)[:n_rows] + 1e-12)
                for title, x in tracks.items()}
    if not decibels:
        raise WeaklibError("There is no track to draw; give a dict of title and signal.")
    top = max(QUIET, *(level.max() for level in decibels.values()))
    return {title: np.clip((level - top) / RANGE + 1, 0, 1) for title, level in decibels.items()}


def difference(est, ref, sr: int, scale: str = "linear", *, n_fft: int | None = None,
               fmax: float | None = None) -> np.ndarray:
    """Subtract the levels of a reference from those of an estimate, as they are: no gain is corrected, no phase counts.

    What is more than `RANGE` dB below the loudest bin of both counts as that quiet, so that bins in which both are
    make no difference.

    Parameters
    ----------
    est, ref : array or Tensor, shape=(time,) or (channel, time)
    sr, scale, n_fft, fmax
        As in `levels`.

    Returns
    -------
    array, shape=(row, frame), float32
        dB, within ``+-RANGE``: below 0 where the estimate lacks something, above 0 where it has too much. As pictures
        of a `weaklib.widgets.StemPlayer`, which begin at 0: ``-d / RANGE`` and ``d / RANGE``, each cut to [0, 1].

    Raises
    ------
    WeaklibError
        As `levels` does, or if the lengths differ.
    """
    est, ref = (audio.to_numpy(x, sound=True) for x in (est, ref))
    if est.shape[-1:] != ref.shape[-1:]:
        raise WeaklibError(f"est {est.shape} and ref {ref.shape} differ in length; cut or pad one.")
    both = levels({"est": est, "ref": ref}, sr, scale, n_fft=n_fft, fmax=fmax)
    return RANGE * (both["est"] - both["ref"])


def frequencies(sr: int, scale: str = "linear", *, n_fft: int | None = None, fmax: float | None = None) -> np.ndarray:
    """Centre of each row of `levels`, shape=(row,), Hz; parameters and errors as there."""
    n_fft = n_fft or window(sr)
    if scale not in SCALES:
        raise WeaklibError(f"Unknown scale {scale!r}; choose one of {', '.join(SCALES)}.")
    if scale == "linear":
        rows = np.arange(n_fft // 2 + 1) * sr / n_fft
    elif scale == "mel":
        rows = 700 * (10 ** (np.linspace(0, _mel(sr / 2), _n_mels(sr, n_fft) + 2)[1:-1] / 2595) - 1)
    else:
        # A filter that reaches beyond half the rate would hear the mirror image of its own frequency too.
        top = sr / 2 / (1 + 1 / QUALITY)
        n_rows = max(1, int(PER_OCTAVE * np.log2(top / hertz(LOWEST))) + 1)
        rows = hertz(LOWEST + np.arange(n_rows) / PER_SEMITONE)
    fmax = sr / 2 if fmax is None else fmax
    if not rows[0] < fmax <= sr / 2:
        raise WeaklibError(f"fmax={fmax:g} Hz leaves nothing to draw; choose more than {rows[0]:.0f} Hz and at most "
                           f"half the sample rate, {sr / 2:g} Hz.")
    return rows[:np.abs(rows - fmax).argmin() + 1]


def pitches(sr: int, *, fmax: float | None = None) -> tuple[float, float]:
    """MIDI pitches of the lower and the upper edge of the constant-Q picture: what `StemPlayer` takes as `pitches`."""
    half = 0.5 / PER_SEMITONE
    n_rows = len(frequencies(sr, "cqt", fmax=fmax))
    return LOWEST - half, LOWEST + (n_rows - 1) / PER_SEMITONE + half


def window(sr: int) -> int:
    """Samples in a window of about `WINDOW`, a power of two."""
    return 2 ** round(np.log2(WINDOW * sr))


def hertz(pitch):
    """Fundamental of a MIDI pitch, Hz; arrays too."""
    return 440 * 2 ** ((pitch - 69) / 12)


def row_of(frequency, rows) -> np.ndarray:
    """Where frequencies lie among `rows` (see `frequencies`), as fractions of a row; NaN outside."""
    return np.interp(frequency, rows, np.arange(len(rows)), left=np.nan, right=np.nan)


def _signal(title, x):
    """Check a track and make it a tensor, shape=(channel, time)."""
    import torch
    x = torch.tensor(audio.to_numpy(x, sound=True))
    if x.ndim not in (1, 2) or x.numel() == 0:
        raise WeaklibError(f"The track {title!r} has the shape {tuple(x.shape)}; give (time,) or (channel, time).")
    if not x.isfinite().all():
        raise WeaklibError(f"The track {title!r} holds NaN or infinity and cannot be drawn; find out where it comes "
                           "from.")
    return torch.atleast_2d(x)


def _amplitudes(x, sr, scale, n_fft) -> np.ndarray:
    """Spectrogram (row, frame) of a signal (channel, time), scaled so that a sine of amplitude 1 gives 1."""
    if scale == "cqt":
        return _constant_q(x, sr, n_fft // 4)
    # A square-root Hann window adds up to 2 n_fft / pi.
    magnitude = np.pi / n_fft * audio.stft(x, n_fft, n_fft // 4).abs().amax(0)
    if scale == "mel":
        from torchaudio.functional import melscale_fbanks
        bands = melscale_fbanks(n_fft // 2 + 1, 0.0, sr / 2, _n_mels(sr, n_fft), sr)
        magnitude = (bands.T @ magnitude.square()).sqrt()
    return magnitude.numpy()


def _constant_q(x, sr, hop_length) -> np.ndarray:
    """Go up octave by octave: high filters are shorter than a hop, so that frames need the energy between them."""
    import torch
    from librosa import cqt
    rows, n_frames, octaves = frequencies(sr, "cqt"), -(-x.shape[-1] // hop_length) + 1, []
    lengths = QUALITY * sr / rows  # of the filters, samples
    # Zeros up to the last frame, as in audio.stft, or for the longest filter: librosa warns where one has no room.
    room = hop_length * max(n_frames - 1, math.ceil(4 * lengths[0] / hop_length))
    x = torch.nn.functional.pad(x, (0, room - x.shape[-1])).numpy()
    for first in range(0, len(rows), PER_OCTAVE):
        octave = slice(first, first + PER_OCTAVE)
        # Neighbouring Hann windows overlap by half at least.
        ratio = min(r for r in range(1, hop_length + 1)
                    if hop_length % r == 0 and hop_length // r <= max(1, lengths[octave][-1] / 2))
        found = cqt(x, sr=sr, hop_length=hop_length // ratio, fmin=rows[first], n_bins=len(rows[octave]),
                    bins_per_octave=PER_OCTAVE, filter_scale=SHARPNESS, sparsity=1e-4)
        energy = torch.from_numpy(np.abs(found[..., :(n_frames - 1) * ratio + 1]).max(0)).square()
        octaves.append(torch.nn.functional.avg_pool1d(energy, ratio, padding=ratio // 2, count_include_pad=False))
    # librosa gives a sine of amplitude 1 half the square root of the filter's length.
    return 2 * (torch.cat(octaves) / torch.from_numpy(lengths)[:, None]).sqrt().float().numpy()


def _mel(frequency: float) -> float:
    return 2595 * np.log10(1 + frequency / 700)


def _n_mels(sr, n_fft) -> int:
    """As many bands as `MELS`, or fewer so that none, the lowest being 0.62 Hz per mel wide, falls between two bins."""
    return min(MELS, int(_mel(sr / 2) / (sr / n_fft / 0.62)) - 1)
