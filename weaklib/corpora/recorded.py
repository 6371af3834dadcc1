"""Recordings that others published: what the readers of downloads share that mix or cut nothing in advance.

They read a file when an item is asked for and keep nothing but names, so that a data set of any size needs neither
memory nor a copy.

Contents
--------
Recorded
    A split of such recordings.
find, recordings
    Where a download lies, and what is in a folder.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np

from weaklib import audio, files
from weaklib.corpora import SHORTEST, SPLITS, Corpus, Option
from weaklib.corpora.folder import walk
from weaklib.files import WeaklibError


class Recorded(Corpus):
    """A split of recordings that lie below ``WEAKLIB_DATA``; every preset means all of them.

    A subclass lists them in `open`, and sets `n_items` there.

    Options
    -------
    duration : float, s
        Length of an item. Longer recordings are cut at random, the same item always alike; shorter ones end in zeros.
    sr : int, Hz
        What has another rate is resampled.

    Attributes
    ----------
    PUBLISHED : dict
        Name of the corpus -> the rate (Hz) and duration (s) that the papers have, which are the defaults.
    PARTS : dict
        Name of the corpus -> what it calls the splits.
    part : str
        What it calls this one.
    """

    SIZES = None
    OPTIONS = {"duration": Option(float, least=SHORTEST), "sr": Option(int, least=1)}
    PUBLISHED: dict[str, tuple[int, float]]
    PARTS: dict[str, tuple[str, str, str]]

    def default(self, option):
        sr, duration = self.PUBLISHED[self.name]
        return sr if option == "sr" else duration

    @property
    def part(self) -> str:
        return self.PARTS[self.name][SPLITS.index(self.split)]

    def read(self, path, **section) -> np.ndarray:
        """Read a file as ``(time,)`` at `sr`; `section` goes to `weaklib.audio.read`. Silence is as good as sound."""
        x, sr = audio.read(path, allow_silent=True, **section)
        return audio.resample(x.mean(axis=0), sr, self.sr)

    def fitted(self, x: np.ndarray, i: int, before: int = 0) -> np.ndarray:
        """Cut ``x (..., time)`` for item `i`, or pad it, with `before` zeros before it if so many are lacking."""
        lacking = self.n_samples - x.shape[-1]
        start = int(self.rng(7, i).integers(max(0, -lacking) + 1))
        before = max(0, min(before, lacking))
        fitted = np.zeros((*x.shape[:-1], self.n_samples), np.float32)
        fitted[..., before:before + x.shape[-1]] = x[..., start:start + self.n_samples]
        return fitted

    def refuse(self, why: str, get: str):
        """Raise the error of a download that is not whole."""
        raise WeaklibError(f"The {self.split} split of {self.name} cannot be read, because {why}: {get}.")


def find(patterns: list[str], get: str) -> Path:
    """Find a file or folder of a download below ``WEAKLIB_DATA``.

    Parameters
    ----------
    patterns : list of str
        As of `Path.glob`, the first that fits counts; the first of all is where it belongs.
    get : str
        What to do if there is none, to go on from a colon.
    """
    data = files.data()
    found = (path for pattern in patterns for path in (sorted(data.glob(pattern)) if data else ()))
    if path := next(found, None):
        return path
    raise WeaklibError(f"{files.lacking(patterns[0])}: {get}, and set WEAKLIB_DATA to the folder around it.")


def recordings(root: Path) -> list[str]:
    """List the recordings below a folder, as paths below it, sorted; none if there is no such folder."""
    unread: list = []
    paths = walk(root, unread) if root.is_dir() else ()
    found = sorted(path.relative_to(root).as_posix() for path in paths
                   if path.suffix.lower() in audio.SUFFIXES and not path.name.startswith("."))
    if unread:
        raise WeaklibError(f"{root / unread[0][0]} {unread[0][1]}; change its permissions.")
    return found
