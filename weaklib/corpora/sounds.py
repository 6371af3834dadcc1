"""The corpora ``sounds`` and ``sounds_reverb``: one to four sounds of different classes, with their labels.

They stand in for FUSS, and are mixed as FUSS was: one background that goes on, and none to three foregrounds (the
number drawn uniformly) that begin and end, each -5 to 25 dB (uniformly) above the background where it sounds.

A split has its own pool of instances of every class of `foley`, rendered once: ``pool.npy`` int16 (time,), all
instances one after the other, and ``index.json``, where each begins and ends. Mixtures are made on the fly from
(seed, split, index), so that they do not depend on what was read before.

Contents
--------
corpus
    What `weaklib.corpora.load` calls.
Sounds
    A split, item by item.
"""
from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from weaklib import files
from weaklib.audio import rms
from weaklib.corpora import SPLITS, Corpus, cache, foley, rooms
from weaklib.progress import track

SR = foley.SR
N_SOURCES = 4
SNR = (-5.0, 25.0)  # dB, of a foreground against the background
EVENT = 4.0  # s, the longest foreground
TEXTURE = 1.5  # length of a background before it is cut to the mixture
PEAKS = (0.3, 0.9)  # of a mixture's loudest source or sum
GRID = 2.0 ** 20  # samples are multiples of 1 / GRID (-126 dB), so that float32 adds them exactly, in any order

#: Instances per class, mixtures, and rooms by split, and seconds of a mixture.
SIZES = {"smoke": {"train": (3, 32, 4), "validation": (2, 8, 2), "test": (2, 8, 2), "duration": 2.0},
         "laptop": {"train": (32, 4000, 60), "validation": (8, 200, 15), "test": (8, 200, 15), "duration": 4.0},
         "full": {"train": (32, 4000, 60), "validation": (8, 200, 15), "test": (8, 200, 15), "duration": 4.0},
         "gpu": {"train": (100, 20000, 500), "validation": (20, 1000, 50), "test": (20, 1000, 50), "duration": 10.0}}


def corpus(name: str, split: str, preset: str, duration: float | None = None) -> Sounds:
    """Load a split of `sounds` or `sounds_reverb`, rendering it on first use.

    Parameters
    ----------
    name : {"sounds", "sounds_reverb"}
    split, preset : str
        See `weaklib.corpora.load`.
    duration : float, s, optional
        Of a mixture; by default that of the preset, which is also the most.

    Raises
    ------
    WeaklibError
        If `preset` is "paper", `duration` is too long, or FluidSynth is missing.
    """
    if preset == "paper":
        raise files.WeaklibError("The preset 'paper' takes FUSS itself, whose reader comes with wisdom2020; "
                                 "use preset='gpu', the largest that is rendered here.")
    longest = SIZES[preset]["duration"]
    if not 0 < (duration or longest) <= longest:
        raise files.WeaklibError(f"duration={duration} makes no mixture; choose up to {longest:.0f} s with "
                                 f"preset={preset!r}.")
    return Sounds(name, split, preset, duration or longest)


class Sounds(Corpus):
    """A split of `sounds` or `sounds_reverb`.

    An item has ``mix (time,)``, ``sources (4, time)``, the background first and zeros after the last foreground,
    and ``labels``, the four classes, "" for zeros. No class is in a mixture twice. In ``sounds_reverb`` every source
    has its own place in one room, and the level it had without.
    """

    def __init__(self, name, split, preset, duration):
        super().__init__(name, split, preset, SR)
        n_instances, self._len, n_rooms = SIZES[preset][split]
        longest = SIZES[preset]["duration"]
        self.n_samples = round(duration * SR)
        key = {"corpus": "sounds", "version": self.version, "seed": self.seed, "split": split,
               "instances": n_instances, "duration": longest}
        folder = cache.folder(key, lambda path: _build(path, self.seed, split, n_instances, longest),
                              n_bytes=round(n_instances * longest * 1e6))
        self.pool = np.load(folder / "pool.npy", mmap_mode="r")
        self.index = files.read_json(folder / "index.json")  # class -> [(start, stop) of each instance]
        self.rirs = rooms.load(split, n_rooms, SR, self.seed, N_SOURCES).rirs if name == "sounds_reverb" else None

    @property
    def identity(self) -> dict:
        return super().identity | {"duration": self.n_samples / SR}

    def __len__(self) -> int:
        return self._len

    def __getitem__(self, index: int) -> dict:
        if not -len(self) <= index < len(self):
            raise IndexError(f"mixture {index} of {len(self)}")
        # A stream of its own for every mixture; 1 keeps it apart from those of the pool.
        rng = np.random.default_rng([self.seed, SPLITS.index(self.split), 1, index % len(self)])
        labels, sources = self._dry(rng)
        if self.rirs is not None:
            sources = _in_room(sources, self.rirs[rng.integers(len(self.rirs))])
        peak = max(np.abs(sources).max(), np.abs(sources.sum(axis=0)).max())
        sources *= rng.uniform(*PEAKS) / peak
        padded = np.zeros((N_SOURCES, self.n_samples), dtype=np.float32)
        padded[:len(sources)] = np.rint(sources * GRID) / GRID
        sources = torch.from_numpy(padded)
        return {"mix": sources.sum(0), "sources": sources, "labels": labels + [""] * (N_SOURCES - len(labels))}

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


def _in_room(sources, rirs):
    """Put each source at its place in a room, as loud as it was: (source, time), (place, tap) -> (source, time)."""
    wet = np.stack([rooms.convolve(source, rir) for source, rir in zip(sources, rirs)])
    return wet * (rms(sources) / rms(wet))[:, None].astype(np.float32)


def _build(path, seed, split, n_instances, duration):
    """Render the pool of a split into the folder `path`."""
    makers = {**{name: (make, TEXTURE * duration) for name, make in foley.TEXTURES.items()},
              **{name: (make, EVENT) for name, make in foley.EVENTS.items()}}
    instances, index, end = [], {}, 0
    for i, (name, (make, longest)) in enumerate(track(makers.items(), f"sounds, {split}", total=len(makers))):
        streams = ([seed, SPLITS.index(split), 0, i, k] for k in range(n_instances))
        made = [_store(make(np.random.default_rng(stream), round(longest * SR))) for stream in streams]
        ends = end + np.cumsum([0, *map(len, made)])
        index[name], end = list(pairwise(ends.tolist())), int(ends[-1])
        instances += made
    np.save(path / "pool.npy", np.concatenate(instances))
    files.write_json(path / "index.json", index)


def _store(x):
    """Cut silence off both ends (60 dB below the peak), fade the end out, and scale to int16."""
    peak = np.abs(x).max()
    start, *_, stop = np.flatnonzero(np.abs(x) > 1e-3 * peak)
    x = x[start:stop + 1] / peak
    fade = min(len(x), SR // 100)
    x[-fade:] *= np.linspace(1, 0, fade)
    return np.rint(x * 32767).astype(np.int16)
