"""Your own recordings with classes or captions: ``load("manifest:~/sounds", "train")`` or ``"manifest:sounds.csv"``.

Contents
--------
Manifest
    A split, item by item.
"""
from __future__ import annotations

import csv
from functools import cached_property
from math import inf
from pathlib import Path

import torch

from weaklib import files
from weaklib.corpora import SPLITS, VERSIONS, cache
from weaklib.corpora.labelled import Labelled, Sound, divided, pairs
from weaklib.corpora.music21 import Music21
from weaklib.corpora.recorded import recordings

COLUMNS = ("path", "label", "caption", "start", "split")
GET = ("give a folder with a folder of recordings for each class, or a table (.csv) with the columns path, label or "
       "caption, and perhaps start and split")


class Manifest(Labelled):
    """A split of the recordings in a folder of classes, or of those that a table names.

    The name is ``manifest:PATH``. PATH is a folder, in which every folder is called after a class and holds its
    recordings, or a CSV file with a header, in which a row is a recording: its ``path`` below the folder of the file,
    and its ``label`` or its ``caption``; in ``start`` (s) the place of the one item that it gives (where that is empty,
    all of the recording is used), and in ``split`` its split. Without splits 20 % of the recordings of each class are
    for testing and a tenth of the others for validation, by hash of their names.

    With labels, items are those of `Labelled`. With captions they have ``mix`` and ``text``, and nothing in ``labels``
    and ``phrases``.
    """

    get = GET

    def default(self, option):
        sr, duration = Music21.PUBLISHED["music21"]
        return sr if option == "sr" else duration

    @property
    def identity(self):
        """Of names and sizes, wherever the recordings lie."""
        content = [[split, sound.name, sound.label, sound.start, sound.text, sound.path and sound.path.stat().st_size]
                   for split in SPLITS for sound in self._all[split]]
        return {"name": "manifest", "version": VERSIONS["manifest"], "seed": self.seed,
                "content": cache.digest({"rows": content}), **self.options}

    def listed(self):
        path = files.path(self.name.removeprefix("manifest:")).absolute()
        self.root = self.sounds = path if path.is_dir() else path.parent
        rows = self._foldered(path) if path.is_dir() else self._tabled(path)
        if not rows:
            self.refuse(f"{path} names no recordings", GET)
        self._all = _divided(rows)
        self.classes = tuple(sorted({sound.label for sound, _ in rows} - {""}))
        return list(self._all[self.split])

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """Each item with another one of another recording: mixtures to test models on."""
        return pairs(self, [sound.name for sound, _ in self._clips])

    def item(self, i):
        if self.classes:
            return super().item(i)
        x, sound = self.clip(i)
        return {"mix": torch.from_numpy(x), "labels": [], "text": sound.text, "phrases": []}

    def _foldered(self, root: Path) -> list[tuple[Sound, str]]:
        """List the recordings in the folders of classes."""
        folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name != "frames")
        return [(Sound(f"{folder.name}/{name}", folder.name.replace("_", " "), folder / name), "")
                for folder in folders for name in recordings(folder)]

    def _tabled(self, table: Path) -> list[tuple[Sound, str]]:
        """Read the rows of a table, and their splits."""
        try:
            with open(table, encoding="utf-8-sig", newline="") as f:
                reader = csv.DictReader(f, skipinitialspace=True)
                columns, rows = reader.fieldnames or [], list(reader)
        except (OSError, ValueError, csv.Error) as e:
            self.refuse(f"{table} is no table that can be read ({getattr(e, 'strerror', None) or e})", GET)
        if "path" not in columns or ("label" in columns) == ("caption" in columns):
            self.refuse(f"the first row of {table} does not name the columns path and either label or caption", GET)
        if unknown := [name for name in columns if name not in COLUMNS]:
            self.refuse(f"{table} has a column {unknown[0]!r}, which means nothing here", GET)
        return [self._row(row, table, n) for n, row in enumerate(rows, 2)]

    def _row(self, row: dict, table: Path, n: int) -> tuple[Sound, str]:
        """Read a row of a table, the `n`-th with the header."""
        label, text, start, split = (row.get(name) or "" for name in ("label", "caption", "start", "split"))
        if None in row:
            self.refuse(f"row {n} of {table} has more fields than its first row", "put quotes around what has a comma")
        if not row["path"] or not (label or text):
            self.refuse(f"row {n} of {table} lacks a path, or what is heard there", GET)
        if split not in (*SPLITS, ""):
            self.refuse(f"row {n} of {table} has the split {split!r}", f"choose {', '.join(SPLITS)}, or leave it empty")
        try:
            seconds = float(start) if start else None
        except ValueError:
            seconds = -1.0
        if seconds is not None and not 0 <= seconds < inf:
            self.refuse(f"row {n} of {table} has the start {start!r}", "write seconds, or leave it empty")
        path = self.root / row["path"]
        return Sound(row["path"], label, path if path.is_file() else None, seconds, text), split


def _divided(rows: list[tuple[Sound, str]]) -> dict[str, list[Sound]]:
    """Divide rows as they say, and those that do not say by recording, class by class."""
    names: dict[str, set[str]] = {}
    for sound, split in rows:
        if not split:
            names.setdefault(sound.label, set()).add(sound.name)
    drawn = {(label, name): split for label, of_class in names.items()
             for split, chosen in divided(of_class).items() for name in chosen}
    found: dict[str, list[Sound]] = {split: [] for split in SPLITS}
    for sound, split in rows:
        found[split or drawn[sound.label, sound.name]].append(sound)
    return found
