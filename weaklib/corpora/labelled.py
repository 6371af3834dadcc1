"""Recordings of one sound each, by class: what the readers of MUSIC-21, VGGSound and manifests share.

Recordings that are cut are heard to their ends once, and their lengths stored as ``heard.json``; sound is read when an
item is asked for. Pictures of their videos, where there are any, are read by `Labelled.frames`.

Contents
--------
Labelled
    A split of such recordings.
Sound
    One of them.
divided, pairs, lacking
    Splits where none are published; partners for mixtures; what is missing, in words.
"""
from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from weaklib import audio, files
from weaklib.corpora import Holdings, Option, cache, mixed
from weaklib.corpora.recorded import Recorded
from weaklib.files import WeaklibError
from weaklib.progress import track

TEST, HELD = 0.2, 0.1  # of the recordings of a class, for testing; of the others, for validation
CROPS = 50             # of each recording in training: an epoch of the released code of mahmud2024
SIDE = 224             # pixels of a picture, as CLIP and ResNet take it
WORST = 10             # classes that a message names


@dataclass(frozen=True)
class Sound:
    """A recording of one class that a list or a folder names.

    Attributes
    ----------
    name : str
        By which it is told when something is wrong with it.
    label : str
        "" where it has a caption.
    path : Path, optional
        None: it is not there.
    start : float, s, optional
        Where the one clip begins that is taken from it; None: all of it is used.
    text : str
        Its caption, if it has one.
    """

    name: str
    label: str
    path: Path | None
    start: float | None = None
    text: str = ""


class Labelled(Recorded):
    """A split of recordings with one sound each, ordered by class, recording and time.

    An item has ``mix (time,)``, ``sources (1, time)``, which is the same, and ``labels``, its class. Of a recording
    that is used as a whole, validation and test have all cuts that fit into it, one after the other; training has
    `crops` of them from anywhere, each always the same. What is shorter than an item ends in zeros. A clip that cannot
    be read is told of, once, and the next one of its class that can be takes its place.

    A subclass has `get` and `listed`, in which it sets `classes`, `root` and `sounds`.

    Options
    -------
    duration, sr
        As of `Recorded`.
    crops : int
        Of each recording, in training.

    Attributes
    ----------
    get : str
        What to do where something is missing, to go on from a colon.
    root, sounds : Path
        The folder of the data set, in which the folder ``frames`` is, and the one below which the recordings lie.
    recordings : dict of str to list of range
        Class -> the items of each of its recordings. Classes of which nothing is there have no entry.
    missing : dict of str to list of str
        Class -> the recordings that a list names and that are not there: videos vanish.
    skipped : dict of str to str
        Recordings that could not be read so far, and why.
    """

    OPTIONS = Recorded.OPTIONS | {"crops": Option(int, CROPS, least=1)}
    get: str
    root: Path
    sounds: Path

    def listed(self) -> list[Sound]:
        """List the recordings of the split, and those that should be there; sets `classes`."""
        raise NotImplementedError

    def open(self):
        sounds = self.listed()
        rank = {label: k for k, label in enumerate(self.classes)}
        sounds.sort(key=lambda sound: (rank.get(sound.label, 0), sound.name, sound.start or 0.0))
        self.missing, self.skipped = _missing(sounds), {}
        if self.missing:
            print(lacking(f"{self.name}, {self.split}", self.missing, _counted(sounds)))
        self._seconds = self._lengths([sound for sound in sounds if sound.path and sound.start is None])
        self._clips: list[tuple[Sound, int]] = []
        self.recordings: dict[str, list[range]] = {}
        for (label, _), parts in groupby(sounds, key=lambda sound: (sound.label, sound.name)):
            first = len(self._clips)
            self._clips += [(sound, k) for sound in parts for k in range(self._n_clips(sound))]
            if len(self._clips) > first:
                self.recordings.setdefault(label, []).append(range(first, len(self._clips)))
        self.n_items = len(self._clips)
        if not self._clips:
            self.refuse("it has no recordings that can be read" if sounds else "it is empty", self.get)

    def holdings(self):
        sounds = self.listed()
        return Holdings(_counted(sound for sound in sounds if sound.path), _missing(sounds), self.published())

    def published(self) -> int | None:
        """How many recordings the split has, where that is known without a list."""
        return None

    def item(self, i):
        x, sound = self.clip(i)
        return mixed(x[None], [sound.label])

    def clip(self, i: int) -> tuple[np.ndarray, Sound]:
        """Read item `i` as ``(time,)``, or the next one of its class that can be read; and say which it is."""
        for k in self._tried(i):
            sound, _ = self._clips[k]
            if sound.name in self.skipped:
                continue
            try:
                return self.fitted(self.read(sound.path, start=self._start(k), duration=self.duration), i), sound
            except WeaklibError as e:  # one clip of many must not end a training
                self.skipped[sound.name] = str(e)
                print(f"{self.name}, {self.split}: {e} The next clip of its class takes its place.")
        self.refuse(f"no clip of the class {self._clips[i][0].label!r} can be read", self.get)

    def frames(self, i: int, size: int = SIDE) -> torch.Tensor:
        """Read the pictures of the video that belong to an item.

        Parameters
        ----------
        i : int
        size : int
            Pixels of a side; pictures are scaled and cut to a square.

        Returns
        -------
        tensor, shape=(n, 3, size, size), float32, from 0 to 1

        Raises
        ------
        WeaklibError
            If there are none.
        """
        from PIL import Image, ImageOps
        images = []
        for path in self._pictures(i):
            try:
                with Image.open(path) as image:
                    images.append(np.asarray(ImageOps.fit(image.convert("RGB"), (size, size)), dtype=np.float32) / 255)
            except OSError as e:
                raise WeaklibError(f"{path} cannot be read as a picture ({e}); extract it again.") from e
        return torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())

    def render(self, path):
        seconds, unread = {}, {}
        for sound in track(self._unheard, f"{self.name}, {self.split}"):
            try:
                _, n_samples, sr = audio.probe(sound.path)
                seconds[sound.name] = n_samples / sr
            except WeaklibError as e:
                unread[sound.name] = str(e)
        files.write_json(path / "heard.json", {"seconds": seconds, "unread": unread})

    def _lengths(self, sounds: list[Sound]) -> dict[str, float]:
        """Lengths (s) of recordings that are used as a whole, by name; tells of those that cannot be read."""
        if not sounds:
            return {}
        self._unheard = sounds
        sizes = [[sound.name, sound.path.stat().st_size] for sound in sounds]
        found = files.read_json(self.stored(0, name=self.name, files=cache.digest({"files": sizes})) / "heard.json")
        self.skipped.update(found["unread"])
        if self.skipped:
            print(f"{self.name}, {self.split}: {len(self.skipped)} of its recordings cannot be read, and left out: "
                  f"{next(iter(self.skipped.values()))}")
        return found["seconds"]

    def _n_clips(self, sound: Sound) -> int:
        if not sound.path or sound.name in self.skipped:
            return 0
        if sound.start is not None:
            return 1
        if self.split == "train":
            return self.crops
        return max(1, math.floor(self._seconds[sound.name] / self.duration + 1e-6))

    def _start(self, i: int) -> float:
        """Where item `i` begins in its recording, in seconds."""
        sound, k = self._clips[i]
        if sound.start is not None:
            return sound.start
        if self.split != "train":
            return k * self.duration
        return self.rng(9, i).uniform(0, max(0.0, self._seconds[sound.name] - self.duration))

    def _tried(self, i: int) -> Iterator[int]:
        """Item `i`, and all others of its class, from the next one on."""
        yield i
        mine = [k for items in self.recordings[self._clips[i][0].label] for k in items]
        at = mine.index(i)
        yield from mine[at + 1:] + mine[:at]

    def _pictures(self, i: int) -> list[Path]:
        """Files of the pictures that were taken during an item; of a short clip, all."""
        sound, _ = self._clips[i]
        inside = sound.path.is_relative_to(self.sounds)
        below = sound.path.relative_to(self.sounds) if inside else Path(sound.path.name)
        folders = [self.root / "frames" / below.with_suffix(suffix) for suffix in (".mp4", "")]
        found = next((paths for folder in folders if (paths := sorted(folder.glob("*.[jp][pn]g")))), None)
        if not found:
            raise WeaklibError(f"There are no pictures of {sound.name}: put those of its video into {folders[0]}, as "
                               "000001.jpg and so on, or leave out the rows that look at images.")
        if sound.start is not None:
            return found
        per_second = max(1, round(len(found) / self._seconds[sound.name]))
        first = min(int(self._start(i) * per_second), len(found) - 1)
        return found[first:first + max(1, math.ceil(self.duration * per_second))]


def divided(names: Iterable[str], test: float = TEST, held: float = HELD) -> dict[str, list[str]]:
    """Divide names among the splits at random, but always the same way.

    Parameters
    ----------
    names : iterable of str
    test : float
        Share of them for testing, at least one of two or more; 0 for none.
    held : float
        Share of the others for validation, likewise.
    """
    ranked = sorted(set(names), key=lambda name: hashlib.sha256(name.encode(errors="surrogateescape")).digest())

    def first(n: int, share: float) -> int:
        return max(int(n > 1), round(share * n)) if share else 0

    n_test = first(len(ranked), test)
    n_held = first(len(ranked) - n_test, held)
    return {"test": ranked[:n_test], "validation": ranked[n_test:n_test + n_held], "train": ranked[n_test + n_held:]}


def pairs(corpus, names: list[str]) -> list[tuple[int, int]]:
    """Draw a partner for every item, from another recording: the test mixtures of captioned sound.

    Parameters
    ----------
    corpus : Corpus
        For its random numbers.
    names : list of str
        The recording of every item.
    """
    found = []
    for i, name in enumerate(names):
        others = [j for j in corpus.rng(10, i).integers(len(names), size=64).tolist() if names[j] != name]
        others += [j for j, other in enumerate(names) if other != name] if not others else []
        if not others:
            raise WeaklibError(f"All items of the {corpus.split} split of {corpus.name} are of one recording; there "
                               "is nothing to mix it with, add another one.")
        found.append((i, others[0]))
    return found


def lacking(what: str, missing: dict[str, list[str]], counts: dict[str, int]) -> str:
    """Say what is missing, of which classes most.

    Parameters
    ----------
    what : str
    missing : dict of str to list of str
    counts : dict of str to int
        Class -> how many there should be.
    """
    n_missing, n = sum(map(len, missing.values())), sum(counts.values())
    worst = sorted(missing, key=lambda label: (-len(missing[label]) / counts[label], label))
    width = max(map(len, worst[:WORST]))
    lines = [f"  {label:<{width}}  {len(missing[label])} of {counts[label]}" for label in worst[:WORST] if label]
    more = len(worst) - WORST
    return "\n".join([f"{what}: {n_missing} of the {n} recordings are not there{':' if lines else '.'}", *lines,
                      *([f"  and some of {more} more classes"] if more > 0 else [])])


def _missing(sounds: list[Sound]) -> dict[str, list[str]]:
    missing: dict[str, list[str]] = {}
    for sound in sounds:
        if not sound.path:
            missing.setdefault(sound.label, []).append(sound.name)
    return missing


def _counted(sounds: Iterable[Sound]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for sound in sounds:
        counts[sound.label] = counts.get(sound.label, 0) + 1
    return counts
