"""The corpora ``sounds`` and ``sounds_reverb``: one to four sounds of different classes, with their labels.

They stand in for FUSS, and are mixed as FUSS was: one background that goes on, and none to three foregrounds (the
number drawn uniformly) that begin and end, each -5 to 25 dB (uniformly) above the background where it sounds.

A split has its own pool of instances of every class of `foley`, rendered once: ``pool.npy`` int16 (time,), all
instances one after the other, and ``index.json``, where each begins and ends. Mixtures are made on the fly from
(seed, split, index), so that they do not depend on what was read before.

Contents
--------
Sounds
    A split, item by item.
store
    Write a pool.
"""
from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np

from weaklib import files
from weaklib.audio import rms
from weaklib.corpora import SHORTEST, Corpus, Option, foley, mixed, on_grid, rooms
from weaklib.progress import track

SR = foley.SR
N_SOURCES = 4
SNR = (-5.0, 25.0)  # dB, of a foreground against the background
EVENT = 4.0  # s, the longest foreground
TEXTURE = 1.5  # length of a background before it is cut to the mixture
PEAKS = (0.3, 0.9)  # of a mixture's loudest source or sum


class Sounds(Corpus):
    """A split of `sounds` or `sounds_reverb`.

    An item has ``mix (time,)``, ``sources (4, time)``, the background first and zeros after the last foreground,
    and ``labels``, the four classes, "" for zeros. No class is in a mixture twice. In ``sounds_reverb`` every source
    has its own place in one room, and the level it had without.

    Options
    -------
    duration : float, s
        Length of a mixture; by default that of the preset, which is also the longest.
    """

    SR = SR
    SIZES = {  # `instances` of each class
        "smoke": {"n_items": (32, 8, 8), "instances": (3, 2, 2), "rooms": (4, 2, 2), "duration": 2.0},
        "laptop": {"n_items": (4000, 200, 200), "instances": (32, 8, 8), "rooms": (60, 15, 15), "duration": 4.0},
        "gpu": {"n_items": (20000, 1000, 1000), "instances": (100, 20, 20), "rooms": (500, 50, 50), "duration": 10.0}}
    OPTIONS = {"duration": Option(float, least=SHORTEST, most="duration")}
    STANDS_IN_FOR = "FUSS"

    @property
    def READER(self):
        return self.name.replace("sounds", "fuss")

    def open(self):
        n_instances, longest = self.sizes["instances"], self.sizes["duration"]
        folder = self.stored(n_instances * longest * 1e6, instances=n_instances, duration=longest)
        self.pool = np.load(folder / "pool.npy", mmap_mode="r")
        self.index = files.read_json(folder / "index.json")  # class -> [(start, stop) of each instance]
        self.rirs = None
        if self.name == "sounds_reverb":
            self.rirs = rooms.load(self.split, self.sizes["rooms"], SR, self.seed, N_SOURCES).rirs

    def item(self, i):
        rng = self.rng(1, i)  # 1 keeps mixtures apart from the pool
        labels, sources = self._dry(rng)
        if self.rirs is not None:
            sources = _in_room(sources, self.rirs[rng.integers(len(self.rirs))])
        peak = max(np.abs(sources).max(), np.abs(sources.sum(axis=0)).max())
        sources *= rng.uniform(*PEAKS) / peak
        padded = np.zeros((N_SOURCES, self.n_samples), dtype=np.float32)
        padded[:len(sources)] = on_grid(sources)
        return mixed(padded, labels + [""] * (N_SOURCES - len(labels)))

    def _dry(self, rng):
        """Draw a mixture -> labels, sources (source, time): the background at RMS 1, foregrounds relative to it."""
        foregrounds = rng.choice(list(foley.EVENTS), rng.integers(N_SOURCES), replace=False).tolist()
        labels = [str(rng.choice(list(foley.TEXTURES))), *foregrounds]
        sources = np.zeros((len(labels), self.n_samples), dtype=np.float32)
        background = self._instance(rng, labels[0])
        start = rng.integers(len(background) - self.n_samples + 1)
        background = background[start:start + self.n_samples]
        sources[0] = background / rms(background)
        for row, label in zip(sources[1:], foregrounds):
            event = self._instance(rng, label)
            # It may begin anywhere, but a quarter of the mixture is heard of it, or all if it is shorter.
            start = rng.integers(self.n_samples - min(len(event), self.n_samples // 4) + 1)
            event = np.trim_zeros(event[:self.n_samples - start], "b")  # cut in a pause, it is over before
            row[start:start + len(event)] = event * (10 ** (rng.uniform(*SNR) / 20) / rms(event))
        return labels, sources

    def _instance(self, rng, label):
        start, stop = self.index[label][rng.integers(len(self.index[label]))]
        return self.pool[start:stop].astype(np.float32)

    def render(self, path):
        makers = {**{name: (make, TEXTURE * self.sizes["duration"]) for name, make in foley.TEXTURES.items()},
                  **{name: (make, EVENT) for name, make in foley.EVENTS.items()}}
        store(path, ((name, [make(self.rng(0, i, k), round(longest * SR)) for k in range(self.sizes["instances"])])
                     for i, (name, (make, longest)) in enumerate(track(makers.items(), f"sounds, {self.split}",
                                                                       total=len(makers)))))


def _in_room(sources, rirs):
    """Put each source at its place in a room, as loud as it was: (source, time), (place, tap) -> (source, time)."""
    wet = np.stack([rooms.convolve(source, rir) for source, rir in zip(sources, rirs)])
    return wet * (rms(sources) / rms(wet))[:, None].astype(np.float32)


def store(path: Path, classes: Iterable[tuple[str, list]]) -> None:
    """Write the pool of a split, ``pool.npy`` and ``index.json``, of classes and their instances, arrays (time,)."""
    pool, index, end = [], {}, 0
    for name, instances in classes:
        made = list(map(trimmed, instances))
        ends = end + np.cumsum([0, *map(len, made)])
        index[name], end = list(pairwise(ends.tolist())), int(ends[-1])
        pool += made
    np.save(path / "pool.npy", np.concatenate(pool))
    files.write_json(path / "index.json", index)


def trimmed(x):
    """Cut silence off both ends (60 dB below the peak), fade the end out, and scale to int16."""
    peak = np.abs(x).max()
    start, *_, stop = np.flatnonzero(np.abs(x) > 1e-3 * peak)
    x = x[start:stop + 1] / peak
    fade = min(len(x), SR // 100)
    x[-fade:] *= np.linspace(1, 0, fade)
    return np.rint(x * 32767).astype(np.int16)
