"""The corpus ``noisy_talkers``: one voice in the noise of the world. It stands in for LibriSpeech with freesound noise.

Nothing is rendered for it: the voice is the first one of an item of ``talkers_16k``, the noise a whole mixture of
``sounds``, both of the same split.

Contents
--------
Noisy
    A split, item by item.
settled
    Sources that do not clip.
"""
from __future__ import annotations

import numpy as np

from weaklib import audio
from weaklib.corpora import Corpus, Option, load, mixed, on_grid, talkers

SNR = (-6.0, 6.0)  # dB, of the voice against the noise
PEAK = 0.9  # at most, of the mixture and of its sources
JOINT = " + "  # between the classes of a noise


class Noisy(Corpus):
    """A split of `noisy_talkers`.

    An item has ``mix (time,)``, ``sources (2, time)``: the voice and the noise; ``labels``: the speaker, and what the
    noise is, its classes joined by ``" + "``; and ``text``, what is said, of which a part is heard, and "" for the
    noise.

    Options
    -------
    duration : float, s
        Length of an item; by default that of the preset, which is also the longest.
    n_items : int
        By default the preset's. Item ``i`` is the same however many there are.
    """

    SIZES = {"smoke": {"n_items": (32, 8, 8), "duration": 2.0},
             "laptop": {"n_items": (2000, 100, 100), "duration": 4.0},
             "gpu": {"n_items": (20000, 500, 1000), "duration": 10.0}}
    OPTIONS = {"duration": Option(float, least=talkers.SHORTEST, most="duration"), "n_items": Option(int, least=1)}
    STANDS_IN_FOR = "LibriSpeech with noise from freesound"
    READER = "librifsd"

    def open(self):
        self._voices, self._noises = (load(name, self.split, self.preset, duration=self.duration)
                                      for name in ("talkers_16k", "sounds"))

    def item(self, i):
        voice, noise = self._voices.item(i), self._noises.item(i)
        half = self.rng(6, i).uniform(*SNR) / 2  # 6 keeps it apart from what voice and noise draw
        each = talkers.LEVEL - 10 * np.log10(2)
        sources = np.stack([audio.level(voice["sources"][0], each + half), audio.level(noise["mix"], each - half)])
        sources = settled(sources)
        heard = JOINT.join(filter(None, noise["labels"]))
        return mixed(sources, [voice["labels"][0], heard], text=[voice["text"][0], ""])


def settled(sources: np.ndarray) -> np.ndarray:
    """Make ``sources (source, time)`` softer if they or their sum exceed `PEAK`, and put them on the grid."""
    peak = max(np.abs(sources).max(), np.abs(sources.sum(axis=0)).max())
    return on_grid(sources * min(1, PEAK / peak)).astype(np.float32)
