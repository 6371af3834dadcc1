"""The corpora ``yfcc100m`` and ``audioset``: sound as it is in the wild, from folders of clips; mixtures only.

Contents
--------
Clips
    A split, item by item.
"""
from __future__ import annotations

import csv
from pathlib import Path, PurePosixPath

import torch

from weaklib.corpora import SPLITS, Holdings
from weaklib.corpora.recorded import Recorded, find, recordings
from weaklib.files import WeaklibError

GET = {"yfcc100m": "put the sound of the clips into its folders train, validation and test, or all videos into it, and "
                   "the lists of clips as train.csv, validation.csv and test.csv",
       "audioset": "put the clips into its folders unbalanced_train, balanced_train and eval"}


class Clips(Recorded):
    """A split of `yfcc100m` or `audioset`.

    An item has ``mix (time,)`` and ``labels``, a sorted list of classes: those of the clip in AudioSet's tables, none
    in YFCC100m. A clip that is longer than an item is cut at random, the same for the same item. One that is shorter
    has zeros on both sides, as many before it as the list says, or else as after it. One that cannot be read is told
    of, once, and the next one that can be takes its place.

    Attributes
    ----------
    clips : list of (str, float, float or None, float or None)
        Path below the folder, start and duration in the file, and start in the item (s) of every item.
    missing : list of str
        Recordings that the list names, and that are not there: videos vanish.
    skipped : dict of str to str
        Paths of the clips that could not be read so far, and why.
    """

    PUBLISHED = dict.fromkeys(GET, (16000, 10.0))
    PARTS = {"yfcc100m": SPLITS, "audioset": ("unbalanced_train", "balanced_train", "eval")}

    def open(self):
        self.skipped = {}
        self._look_up()
        if self.missing:
            print(f"{self.name}, {self.split}: {len(self.missing)} of the {len(self.clips) + len(self.missing)} clips "
                  f"in {self._table} are not in {self._root}.")
        self.n_items = len(self.clips)
        if not self.clips:
            self.refuse(f"{self._root / self.part} has no recordings, and {self._table} does not name any that are "
                        "there", GET[self.name])
        self._codes = self._labelled()
        self._names = {row[1]: row[2] for row in _rows(self._root / "class_labels_indices.csv", 3)}
        self.classes = tuple(dict.fromkeys(self._names.values()))

    def holdings(self):
        self._look_up()
        return Holdings({"": len(self.clips)}, {"": self.missing})

    def _look_up(self) -> None:
        """Find the clips of the split, by its list, or without one by its folder."""
        self._root = find([self.name, f"*/{self.name}"], GET[self.name])
        self._table, self.missing = self._root / f"{self.part}.csv", []
        self.clips = self._listed(self._table) if self._table.is_file() else [
            (f"{self.part}/{name}", 0.0, None, None) for name in recordings(self._root / self.part)]

    def item(self, i):
        for k in range(i, i + self.n_items):
            path, start, duration, offset = self.clips[k % self.n_items]
            try:
                x = self.read(self._root / path, start=start, duration=duration)
            except WeaklibError as e:  # one clip of a million must not end a training
                if path not in self.skipped:
                    self.skipped[path] = str(e)
                    print(f"{self.name}, {self.split}: {e} The next clip takes its place.")
                continue
            before = (self.n_samples - len(x)) // 2 if offset is None else round(offset * self.sr)
            codes = self._codes.get(k % self.n_items, "").split(",")
            return {"mix": torch.from_numpy(self.fitted(x, i, before)),
                    "labels": sorted(self._names.get(code, code) for code in codes if code)}
        self.refuse("none of its clips can be read", GET[self.name])

    def _listed(self, table: Path) -> list:
        """Read a list of clips as published for YFCC100m: path, start, end and offset, with or without a header."""
        there = {str(PurePosixPath(name).with_suffix("")): name for name in recordings(self._root)}
        clips = []
        for n, row in enumerate(_rows(table)):
            try:
                name, (start, end, *offset) = row[0], map(float, row[1:4])
            except ValueError:
                if n:
                    self.refuse(f"row {n + 1} of {table} is not a path, a start, an end and an offset", GET[self.name])
                continue
            path = there.get(str(PurePosixPath(name).with_suffix("")))  # its sound may be a wav by now
            if path is None:
                self.missing.append(name)
            else:
                clips.append((path, start, end - start, *(offset or [None])))
        return clips

    def _labelled(self) -> dict[int, str]:
        """Classes of the clips by AudioSet's tables of segments, as codes: a clip is named after its video's id."""
        stems = [PurePosixPath(path).stem for path, *_ in self.clips]
        where = {stem[1:12]: k for k, stem in enumerate(stems) if stem.startswith("Y")}  # as some downloaders write it
        where |= {stem[:11]: k for k, stem in enumerate(stems)}
        return {where[row[0]]: row[3] for table in sorted(self._root.glob("*_segments.csv"))
                for row in _rows(table, 4) if row[0] in where}


def _rows(table: Path, least: int = 1):
    """Yield the rows of a table that have `least` fields or more, and are no comments; none if there is no table."""
    if table.is_file():
        with open(table, encoding="utf-8", newline="") as f:
            yield from (row for row in csv.reader(f, skipinitialspace=True)
                        if len(row) >= least and not row[0].startswith("#"))
