"""The corpus ``vggsound``: clips of 10 s of videos in which mostly one thing sounds, of 309 classes.

Contents
--------
Vggsound
    A split, clip by clip.
"""
from __future__ import annotations

import csv
from pathlib import Path, PurePosixPath

from weaklib.corpora.labelled import Labelled, Sound, divided
from weaklib.corpora.recorded import Recorded, find, recordings

HELD = 0.02  # of the training clips of a class, for validation
GET = ("get the sound of the clips that vggsound.csv of www.robots.ox.ac.uk/~vgg/data/vggsound names, as "
       "vggsound/audio/<id>_<start>.wav with six digits for the start, and put that table beside the folder audio")


class Vggsound(Labelled):
    """A split of `vggsound`; its items are those of `Labelled`, one for each clip.

    The splits are those of ``vggsound.csv``, or without it of ``annotations/train.csv`` and ``test.csv`` as the
    released code of mahmud2024 has them; some clips of each class in training are for validation, by hash of their
    names.
    """

    PUBLISHED = {"vggsound": (11025, 110_000 / 11025)}
    OPTIONS = Recorded.OPTIONS
    get = GET

    def listed(self):
        self.root = find(["vggsound", "VGGSound", "*/vggsound", "*/VGGSound"], GET)
        self.sounds = self.root / "audio" if (self.root / "audio").is_dir() else self.root
        there = {PurePosixPath(name).stem: name for name in recordings(self.sounds)}
        rows = self._rows()
        self.classes = tuple(sorted({label for _, label, _ in rows}))
        names: dict[str, dict[str, str | None]] = {label: {} for label in self.classes}
        for stems, label, part in rows:
            if (part == "test") == (self.split == "test"):
                names[label][stems[0]] = next((there[stem] for stem in stems if stem in there), None)
        held = {name for of_class in names.values() for name in divided(of_class, 0, HELD)["validation"]}
        return [Sound(name, label, self.sounds / found if found else None, 0.0)
                for label, of_class in names.items() for name, found in of_class.items()
                if self.split == "test" or (name in held) == (self.split == "validation")]

    def _rows(self) -> list[tuple[list[str], str, str]]:
        """Read the names that the recording of a clip may have, its class and its part of every row."""
        tables = [self.root / folder / "vggsound.csv" for folder in ("", "annotations")]
        if table := next((path for path in tables if path.is_file()), None):
            return [self._row(row, table, n) for n, row in enumerate(_lines(table), 1)]
        found = [(part, path) for part in ("train", "test")
                 if (path := self.root / "annotations" / f"{part}.csv").is_file()]
        if len(found) < 2:
            self.refuse(f"{self.root} has neither vggsound.csv nor annotations/train.csv and test.csv", GET)
        return [([PurePosixPath(row[0]).stem], _label(row[1:]), part) for part, path in found for row in _lines(path)]

    def _row(self, row: list[str], table: Path, n: int):
        """Read a row of the published table: id, start (s), class, which may have commas, and part."""
        if len(row) < 4 or not row[1].strip().isdigit() or row[-1].strip() not in ("train", "test"):
            self.refuse(f"row {n} of {table} is not an id, a start in seconds, a class, and train or test", GET)
        name, start = row[0], int(row[1])
        return [f"{name}_{start:06}", f"{name}_{start}", name], _label(row[2:-1]), row[-1].strip()


def _lines(table: Path) -> list[list[str]]:
    with open(table, encoding="utf-8", newline="") as f:
        return [row for row in csv.reader(f) if row and not row[0].startswith("#")]


def _label(fields: list[str]) -> str:
    """Join what an unquoted comma has taken apart."""
    return ", ".join(field.strip() for field in fields)
