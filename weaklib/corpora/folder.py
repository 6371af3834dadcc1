"""A folder of your own recordings, as mixtures without references: ``load("folder:~/recordings", "train")``.

Recordings are averaged to mono, resampled, and stored once as 16-bit samples under a key made of their names and
contents. Those that cannot be used are named, with the reason, in ``corpus.skipped`` and in print.

Contents
--------
Folder
    A split, item by item.
"""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from weaklib import audio, files
from weaklib.corpora import SHORTEST, SPLITS, Corpus, Option, cache
from weaklib.corpora.talkers import LEVEL
from weaklib.files import WeaklibError
from weaklib.progress import track

SILENT = -70.0  # dBFS: a recording below this RMS is taken for silent
QUIET = -20.0  # dB re the recording's RMS: a crop below this is not used
FRAME = 0.1  # s: the grid on which loudness is known
SHARES = (0.8, 0.1, 0.1)  # of train, validation and test

_told: set = set()  # what was said of skipped recordings: once per process is enough


@dataclass(frozen=True)
class Recording:
    """A recording in the store: its samples from `start` on, its loudness from frame `frame` on."""

    path: str
    start: int
    length: int
    frame: int
    n_frames: int


class Folder(Corpus):
    """Random crops of the recordings in a folder; long recordings give more of them than short ones.

    With three usable recordings or more, every recording belongs to one split, by the hash of its content: 80 % to
    train, 10 % each to validation and test, at least one to each. With fewer, the first 80 % of each recording's
    time is for training, the next 10 % for validation, the rest for testing.

    The name is ``folder:PATH``; everything below PATH that ends in one of `weaklib.audio.SUFFIXES` is read.

    An item has ``mix (time,)``, and ``labels``: the path of the recording that it was cut from.

    Options
    -------
    duration : float, s
        Length of an item. Shorter recordings are skipped.
    sr : int, Hz
    n_items : int
        By default the preset's. Item ``i`` is the same however many there are.

    Attributes
    ----------
    skipped : list of (str, str)
        Path below the folder, and why it is not used.

    Raises
    ------
    WeaklibError
        If there is no such folder, or nothing in it can be used.
    """

    SIZES = {"smoke": {"n_items": (64, 16, 16)}, "laptop": {"n_items": (4000, 100, 200)},
             "gpu": {"n_items": (20000, 500, 1000)}}
    SIZES["paper"] = SIZES["gpu"]
    OPTIONS = {"duration": Option(float, 2.0, SHORTEST), "sr": Option(int, 8000, 1), "n_items": Option(int, least=1)}

    def open(self):
        root = files.path(self.name.removeprefix("folder:"))
        found, unread = _find(root)
        self._content = {name: sha for name, (_, sha, _) in found.items()}
        paths = {name: path for name, (path, _, _) in found.items()}
        key = {"corpus": "folder", "version": self.version, "sr": self.sr, "files": self._content}
        n_bytes = sum(size for _, _, size in found.values()) // 2  # a store is smaller than a wav
        store = cache.folder(key, lambda path: _render(path, paths, self.sr), n_bytes)
        index = files.read_json(store / "index.json")
        recordings = [Recording(**r) for r in index["recordings"]]
        self._recordings = [r for r in recordings if r.length >= self.n_samples]
        short = [(r.path, f"lasts {r.length / self.sr:.2f} s, less than an item of {self.duration:g} s")
                 for r in recordings if r.length < self.n_samples]
        self.skipped = sorted(unread + [tuple(s) for s in index["skipped"]] + short)
        for told in ((root, *skip) for skip in self.skipped):
            if told not in _told:
                _told.add(told)
                print(f"Skipped {told[1]}: it {told[2]}.")
        if not self._recordings:
            raise WeaklibError(f"None of the {len(self.skipped)} recordings in {root} can be used, for the reasons "
                               "printed above; add some, or choose a shorter duration.")
        self._samples = np.asarray(np.memmap(store / "samples.i16", dtype="<i2", mode="r"))
        self._starts, self._owners = self._crops(np.load(store / "power.npy"))
        if not len(self._starts):
            raise WeaklibError(f"The {self.split} part of {root} is shorter than an item of {self.duration:g} s; add "
                               "recordings, or choose a shorter duration.")

    @property
    def identity(self) -> dict:
        """Identity of the content, wherever it lies; the preset only sets the number of items, and is not in it."""
        content = cache.digest({"sr": self.sr, "files": self._content})
        return {"name": "folder", "version": self.version, "seed": self.seed, "content": content,
                "duration": self.duration, "n_items": self.n_items}

    def item(self, i):
        k = int(self.rng(6, i).random() * len(self._starts))
        crop = self._samples[self._starts[k]:][:self.n_samples]
        return {"mix": torch.from_numpy(audio.level(crop, LEVEL)), "labels": [self._recordings[self._owners[k]].path]}

    def _crops(self, power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """List every crop of this split that is loud enough: where it starts, and whose it is, on a grid of frames."""
        n, hop = round(self.duration * self.sr), _hop(self.sr)
        width = max(1, n // hop)  # of a crop, in frames
        starts, owners = [], []
        for k, first, last in self._parts():
            r = self._recordings[k]
            frames = power[r.frame:r.frame + r.n_frames]
            crop_power = np.convolve(frames, np.ones(width) / width, "valid")
            grid = np.arange(len(crop_power)) * hop
            loud = crop_power > frames.mean() * 10 ** (QUIET / 10)
            chosen = grid[loud & (grid >= first) & (grid + n <= last)]
            starts.append(r.start + chosen)
            owners.append(np.full(len(chosen), k))
        return np.concatenate(starts), np.concatenate(owners)

    def _parts(self) -> list[tuple[int, int, int]]:
        """Which recordings, from which sample to which, belong to this split."""
        s, lengths = SPLITS.index(self.split), [r.length for r in self._recordings]
        if len(lengths) < 3:
            low, high = sum(SHARES[:s]), sum(SHARES[:s + 1])
            return [(k, round(low * length), round(high * length)) for k, length in enumerate(lengths)]
        ranked = sorted(range(len(lengths)), key=lambda k: self._content[self._recordings[k].path])
        n_held = max(1, round(SHARES[1] * len(ranked)))
        chosen = (ranked[2 * n_held:], ranked[:n_held], ranked[n_held:2 * n_held])[s]
        return [(k, 0, lengths[k]) for k in chosen]


def _hop(sr: int) -> int:
    """Samples in a frame."""
    return max(1, round(FRAME * sr))


def _find(root: Path) -> tuple[dict[str, tuple[Path, str, int]], list[tuple[str, str]]]:
    """Find the audio files below `root`: name -> path, SHA-256 and size; and what is left out, with the reason."""
    if not root.is_dir():
        raise WeaklibError(f"There is no folder {root}; check the path after 'folder:'.")
    found, unread, seen = {}, [], {}
    for path in sorted(walk(root, unread), key=lambda path: path.parts):  # case-sensitive everywhere
        name = _name(path, root)
        if path.suffix.lower() not in audio.SUFFIXES or path.name.startswith("."):
            continue
        try:
            if not path.is_file():
                if path.is_symlink():
                    unread.append((name, "is a link to nothing"))
                continue
            sha, size = files.sha256(path), path.stat().st_size
        except OSError as e:
            unread.append((name, f"cannot be opened ({e.strerror})"))
            continue
        if sha in seen:  # a copy could land in another split
            unread.append((name, f"is a copy of {seen[sha]}"))
        else:
            found[name], seen[sha] = (path, sha, size), name
    if not found:
        why = "".join(f"; {name} {reason}" for name, reason in unread[:1])
        raise WeaklibError(f"{root} holds no recording that can be opened ({', '.join(audio.SUFFIXES)}){why}; choose "
                           "another folder.")
    return found, unread


def walk(root: Path, unread: list):
    """Yield the paths of everything below `root` but folders; those that cannot be listed go to `unread`."""
    def cannot(e):
        unread.append((_name(Path(e.filename), root), f"cannot be listed ({e.strerror})"))

    for folder, _, names in os.walk(root, onerror=cannot):
        yield from (Path(folder, name) for name in names)


def _name(path: Path, root: Path) -> str:
    """Path below `root`, as it can be printed and stored: a file name may be bytes that are no text."""
    return os.fsencode(path.relative_to(root).as_posix()).decode(errors="backslashreplace")


def _mono(path: Path, sr: int) -> np.ndarray:
    """Read a recording as ``(time,)`` at `sr`, without its DC offset and scaled to a peak of 1."""
    x, file_sr = audio.read(path)
    x = x.mean(axis=0)
    x -= x.mean()
    if audio.db(audio.rms(x)) < SILENT:
        raise WeaklibError(f"{path} is nearly silent, or its channels cancel; choose a file with sound.")
    x = audio.resample(x, file_sr, sr)
    peak = np.abs(x).max(initial=0)
    if not peak > 0:
        raise WeaklibError(f"{path} leaves nothing at {sr} Hz; choose a longer file, or a higher sr.")
    return x / peak


def _render(path: Path, recorded: dict[str, Path], sr: int) -> None:
    """Write ``samples.i16`` (all recordings in a row), ``power.npy`` (per frame) and ``index.json`` into `path`."""
    hop = _hop(sr)
    recordings, skipped, power, start, frame = [], [], [np.zeros(0)], 0, 0
    with open(path / "samples.i16", "wb") as f:  # one by one: they may not fit into memory together
        for name, place in track(recorded.items(), "reading recordings", total=len(recorded)):
            try:
                x = _mono(place, sr)
            except Exception as e:  # whatever is wrong with one file, the others are as good as before
                skipped.append((name, _reason(e, place)))
                continue
            np.round(x * (2 ** 15 - 1)).astype("<i2").tofile(f)
            frames = x[:len(x) // hop * hop].reshape(-1, hop) if len(x) >= hop else x[None]
            power.append(np.square(audio.rms(frames)))
            recordings.append(vars(Recording(name, start, len(x), frame, len(frames))))
            start, frame = start + len(x), frame + len(frames)
    np.save(path / "power.npy", np.concatenate(power))
    files.write_json(path / "index.json", {"recordings": recordings, "skipped": skipped})


def _reason(e: Exception, path: Path) -> str:
    """What is wrong with a recording, to go on from "it"."""
    says = str(e).encode(errors="backslashreplace").decode().rstrip(".")  # the path may hold bytes that are no text
    if isinstance(e, WeaklibError) and says.startswith(str(path)):
        return says.removeprefix(str(path)).lstrip(", ")
    return f"cannot be read ({says or type(e).__name__})"
