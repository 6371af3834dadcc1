"""Constant-Q spectrograms that networks learn from, and a store of them.

Contents
--------
ConstantQ
    How audio becomes numbers in [-1, 1].
stored
    Those of every piece of a corpus, computed once.
"""
from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass

import numpy as np

from weaklib.corpora import cache
from weaklib.progress import track
from weaklib.rolls import LOWEST, PITCHES

VERSION = 1  # raised by hand when the numbers change
SHORTEST = 32000  # samples, padded to: librosa warns where its longest filter has no room
FLOOR = 1e-5  # amplitude that a reference has at least, so that silence stays silent


@dataclass(frozen=True)
class ConstantQ:
    """How audio becomes a picture: constant-Q bins from A0 up, in dB relative to the maximum of the recording.

    Attributes
    ----------
    bins_per_octave : int
        A multiple of 12: so many twelfths to each of the 88 keys.
    sr : int, Hz
    hop : int, samples
        Frame `k` is centred on sample ``k * hop``.
    range : float, dB
        What is so far below the maximum, or farther, becomes -1; the maximum is 1.
    """

    bins_per_octave: int = 48
    sr: int = 16000
    hop: int = 320
    range: float = 80.0

    @property
    def n_bins(self) -> int:
        return PITCHES * self.bins_per_octave // 12

    def __call__(self, x) -> np.ndarray:
        """Transform a recording, (time,) -> (ceil(time / hop), n_bins), float32 in [-1, 1]."""
        from librosa import cqt
        x = np.asarray(x, dtype=np.float32)
        n_frames = -(-len(x) // self.hop)
        fmin = 440 * 2 ** ((LOWEST - 69) / 12)
        padded = np.pad(x, (0, max(SHORTEST, n_frames * self.hop) - len(x)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the octaves that are too short for its window: they are padded
            amplitude = np.abs(cqt(padded, sr=self.sr, hop_length=self.hop, fmin=fmin, n_bins=self.n_bins,
                                   bins_per_octave=self.bins_per_octave))[:, :n_frames]
        decibels = 20 * np.log10(amplitude.T / max(FLOOR, float(amplitude.max(initial=0))) + 1e-12)
        return (2 * np.clip(decibels / self.range + 1, 0, 1) - 1).astype(np.float32)


def stored(corpus, transform: ConstantQ) -> tuple[np.ndarray, np.ndarray]:
    """Spectrograms of a corpus, computed on first use.

    Parameters
    ----------
    corpus
        A split with ``pieces`` (their number), ``audio(i)`` -> (time,) at ``transform.sr``, `identity` and `split`.
    transform : ConstantQ

    Returns
    -------
    frames : array, shape=(frame, n_bins), float16
        Those of all pieces, one after the other; a file that is mapped, not read.
    ends : array of int, shape=(piece + 1,)
        Where pieces begin and end in it.
    """
    def make(path):
        found = [transform(corpus.audio(i)).astype(np.float16)
                 for i in track(range(corpus.pieces), f"spectra of {corpus.name}, {corpus.split}")]
        np.save(path / "frames.npy", np.concatenate(found))
        np.save(path / "ends.npy", np.cumsum([0, *map(len, found)]))

    key = {"corpus": "constantq", "version": VERSION, "of": corpus.identity, "split": corpus.split,
           "transform": asdict(transform)}
    folder = cache.folder(key, make)
    return np.load(folder / "frames.npy", mmap_mode="r"), np.load(folder / "ends.npy")
