"""Rooms: impulse responses of shoebox rooms by the image method, two talkers (or more sources) in each.

Contents
--------
Rooms, load
    A split's rooms, rendered once.
convolve
    A source in a room.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weaklib import files
from weaklib.corpora import SPLITS, cache
from weaklib.progress import track

VERSION = 1
RT60 = (0.2, 0.6)  # s
SIZE = ((5.0, 5.0, 2.6), (8.0, 8.0, 3.6))  # m, smallest and largest room: room for everyone at `DISTANCE`
DISTANCE = (0.7, 2.0)  # m, talker to microphone


@dataclass(frozen=True)
class Rooms:
    """Impulse responses of a split.

    Attributes
    ----------
    rirs : array, shape=(room, source, time), float32
        The direct sound arrives ``distance / 343 m/s`` after the start.
    about : list of dict
        Per room ``size`` (m), ``rt60`` (s) and ``distances`` (m).
    """

    rirs: np.ndarray
    about: list[dict]


def load(split: str, n: int, sr: int, seed: int = 0, n_sources: int = 2) -> Rooms:
    """Load `n` rooms of a split at rate `sr`, with up to six sources in each, rendering them on first use."""
    key = {"corpus": "rooms", "version": VERSION, "seed": seed, "split": split, "n": n, "sr": sr, "sources": n_sources}
    n_taps = round(RT60[1] * sr)
    folder = cache.folder(key, lambda path: _render(path, split, n, sr, seed, n_sources, n_taps),
                          n_bytes=n * n_sources * n_taps * 4)
    return Rooms(np.load(folder / "rirs.npy", mmap_mode="r"), files.read_json(folder / "rooms.json"))


def convolve(x, rir) -> np.ndarray:
    """Convolve ``x (time,)`` with ``rir (tap,)``, causally and cut to the length of `x`."""
    from scipy.fft import irfft, next_fast_len, rfft
    n = next_fast_len(len(x) + len(rir) - 1, real=True)
    x, rir = np.asarray(x, np.float32), np.asarray(rir, np.float32)
    return irfft(rfft(x, n) * rfft(rir, n), n)[:len(x)]


def _render(path: Path, split: str, n: int, sr: int, seed: int, n_sources: int, n_taps: int) -> None:
    """Render the rooms into the folder `path`: ``rirs.npy (room, source, time)`` and ``rooms.json``."""
    rng = np.random.default_rng([seed, SPLITS.index(split), 5])
    drawn = [_draw(rng, n_sources) for _ in range(n)]
    rirs = [_rirs(room, sr, n_taps) for room in track(drawn, f"rooms, {split}")]
    np.save(path / "rirs.npy", np.stack(rirs))
    files.write_json(path / "rooms.json", [{"size": room["size"].tolist(), "rt60": room["rt60"],
                                            "distances": room["distances"].tolist()} for room in drawn])


def _draw(rng, n_sources: int) -> dict:
    """Draw a room: its size, its reverberation time, a microphone near its middle and the talkers around it."""
    size = rng.uniform(*SIZE)
    mic = [*(size[:2] / 2 + rng.uniform(-0.3, 0.3, 2)), rng.uniform(1.2, 1.6)]
    distances = rng.uniform(*DISTANCE, n_sources)
    angle = rng.uniform(0, 2 * np.pi)
    others = np.sort(rng.uniform(0, 2 - n_sources / 4, n_sources - 1)) + np.arange(1, n_sources) / 4
    angles = angle + np.pi * np.append(0, others)  # at least 45 degrees apart
    rise = rng.uniform(-0.3, 0.3, n_sources)
    flat = np.sqrt(distances ** 2 - rise ** 2)
    talkers = mic + np.stack([flat * np.cos(angles), flat * np.sin(angles), rise], axis=-1)
    return {"size": size, "rt60": float(rng.uniform(*RT60)), "mic": mic, "talkers": talkers, "distances": distances}


def _rirs(room: dict, sr: int, n_taps: int) -> np.ndarray:
    """Impulse responses of all talkers, shape=(source, n_taps), float32."""
    import pyroomacoustics as pra
    pra.constants.set("num_threads", 1)  # more threads add the reflections up in another order
    absorption, order = pra.inverse_sabine(room["rt60"], room["size"])
    # The highest orders take most of the time; leaving them out changes a response by about -50 dB.
    box = pra.ShoeBox(room["size"], fs=sr, materials=pra.Material(absorption), max_order=int(0.7 * order))
    box.add_microphone(room["mic"])
    for talker in room["talkers"]:
        box.add_source(talker)
    box.compute_rir()
    delay = pra.constants.get("frac_delay_length") // 2  # of the interpolation filter, before the direct sound
    rirs = np.zeros((len(room["talkers"]), delay + n_taps), np.float32)
    for k, rir in enumerate(box.rir[0]):
        rirs[k, :len(rir)] = rir[:delay + n_taps]
    return rirs[:, delay:]
