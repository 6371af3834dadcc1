"""The corpora ``fuss`` and ``fuss_reverb``: one to four sounds at once, dry and in rooms, from the download of FUSS.

Contents
--------
Fuss
    A split, item by item.
"""
from __future__ import annotations

import re

import numpy as np

from weaklib.corpora import Holdings, mixed, on_grid
from weaklib.corpora.recorded import Recorded, find

N_SOURCES = 4
FOLDERS = {"fuss": "ssdata", "fuss_reverb": "ssdata_reverb"}
N_EXAMPLES = {"train": 20_000, "validation": 1_000, "eval": 1_000}


class Fuss(Recorded):
    """A split of `fuss` or `fuss_reverb`.

    An item has ``mix (time,)``, ``sources (4, time)``, the background first and zeros after the last foreground, and
    ``labels``, what Scaper called each source, "" for zeros. The mixture is the sum of the sources, which differs from
    the download's own by what rounding to 16 bits makes of it.
    """

    PUBLISHED = dict.fromkeys(FOLDERS, (16000, 10.0))
    PARTS = dict.fromkeys(FOLDERS, ("train", "validation", "eval"))

    def open(self):
        self._rows = self._listed()
        self.n_items = len(self._rows)
        if lost := [path for row in self._rows for path in row if not (self._root / path).is_file()]:
            self.refuse(f"{self._root} lacks {len(lost)} of its files, {lost[0]} for one", self._get)

    def holdings(self):
        rows = self._listed()
        lost = [row[0].rpartition("/")[0] for row in rows if not all((self._root / path).is_file() for path in row)]
        return Holdings({"": len(rows) - len(lost)}, {"": lost}, N_EXAMPLES[self.part], whole=True)

    def _listed(self) -> list[list[str]]:
        """Paths of the sources of each example."""
        name = FOLDERS[self.name]
        self._get = f"unpack FUSS_{name}.tar.gz from record 3743844 of zenodo.org, whole"
        self._root = find([name, f"*/{name}"], self._get)
        rows = self._named()
        if not rows:
            self.refuse(f"{self._root} has neither {self.part}_example_list.txt nor {self.part}/*_sources", self._get)
        if wrong := [row for row in rows if not 1 <= len(row) <= N_SOURCES]:
            self.refuse(f"{len(wrong)} of its examples do not have 1 to {N_SOURCES} sources", self._get)
        return rows

    def _named(self) -> list[list[str]]:
        """Read the list of the split, or without one its folders."""
        path = self._root / f"{self.part}_example_list.txt"
        if path.is_file():
            return [line.split("\t")[1:] for line in path.read_text(encoding="utf-8").splitlines() if line]
        folders = sorted((self._root / self.part).glob("*_sources"))
        return [sorted(path.relative_to(self._root).as_posix() for path in folder.glob("*.wav")) for folder in folders]

    def item(self, i):
        waves = [self.read(self._root / path) for path in self._rows[i]]
        sources = np.zeros((N_SOURCES, max(map(len, waves))))
        for source, wave in zip(sources, waves):
            source[:len(wave)] = wave
        # "example00000_sources/foreground1_sound.wav": a source has the label in its name that its .jams has
        names = [re.sub(r".*ground\d+_|\.wav$", "", path) for path in self._rows[i]]
        sources = self.fitted(on_grid(sources), i)
        return mixed(sources, [name if source.any() else "" for source, name in
                               zip(sources, names + [""] * (N_SOURCES - len(names)))])
