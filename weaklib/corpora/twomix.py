"""The corpora ``libri2mix`` and ``wsj0_2mix``: two people reading at once, from the folders that hold the mixtures.

Libri2Mix need not be rendered: its metadata, which say who is mixed with whom and how loud, and LibriSpeech will do.

Contents
--------
Twomix
    A split, item by item.
"""
from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from weaklib.corpora import SPLITS, Holdings, Option, mixed, on_grid
from weaklib.corpora.recorded import Recorded, find

RATES = (8000, 16000)  # Hz, at which both are published
FOLDERS = {"libri2mix": "Libri2Mix", "wsj0_2mix": "2speakers"}
N_MIXTURES = {"libri2mix": (50_800, 3_000, 3_000), "wsj0_2mix": (20_000, 5_000, 3_000)}
SPEECH = {"train-360": "train-clean-360", "dev": "dev-clean", "test": "test-clean"}  # in LibriSpeech
LIBRISPEECH = "record 12 of openslr.org"
GET = {"libri2mix": "make Libri2Mix with the scripts of github.com/JorisCos/LibriMix, or put its metadata/Libri2Mix as "
                    "Libri2Mix/metadata beside an unpacked LibriSpeech",
       "wsj0_2mix": "make it from WSJ0 (LDC93S6A) with the scripts of its authors, min version"}


class Twomix(Recorded):
    """A split of `libri2mix` or `wsj0_2mix`, in the order of the names of the mixtures.

    An item has ``mix (time,)``, ``sources (2, time)`` and ``labels``, the two speakers. The mixture is the sum of the
    sources, each as long as the shorter one (the ``min`` version).

    Options
    -------
    duration, sr
        As of `Recorded`. The folder of that rate is read, or the next higher one and resampled, never a lower one.

    Attributes
    ----------
    mixtures : list of (list of str, list of float, list of str)
        Paths, gains and speakers of the sources of every item.
    """

    OPTIONS = Recorded.OPTIONS | {"sr": Option(int, least=1, most=RATES[-1])}
    PUBLISHED = {"libri2mix": (16000, 10.0), "wsj0_2mix": (8000, 3.0)}
    PARTS = {"libri2mix": tuple(SPEECH), "wsj0_2mix": ("tr", "cv", "tt")}

    def open(self):
        found = self._found()
        self.mixtures, lost = self._tabled(found) if found.suffix == ".csv" else self._rendered(found)
        if lost or not self.mixtures:
            self.refuse(*self._lacks(found, lost))
        self.n_items = len(self.mixtures)

    def holdings(self):
        found = self._found()
        mixtures, lost = self._tabled(found) if found.suffix == ".csv" else self._rendered(found)
        gone = set(lost)
        there = sum(gone.isdisjoint(paths) for paths, *_ in mixtures)
        return Holdings({"": there}, {"": lost}, N_MIXTURES[self.name][SPLITS.index(self.split)], whole=True)

    def _found(self) -> Path:
        """Find the folder with the mixtures, or the table that says what they are made of."""
        folder = FOLDERS[self.name]
        rates = [f"wav{rate // 1000}k" for rate in RATES if rate >= self.sr]
        rendered = [f"{above}{folder}/{rate}/min/{self.part}" for rate in rates for above in ("", "*/")]
        table = f"libri2mix_{SPEECH.get(self.part)}.csv"
        tables = [f"{above}/{table}" for above in ("Libri2Mix/metadata", "*/metadata/Libri2Mix", "metadata/Libri2Mix")]
        return find(rendered + tables * (self.name == "libri2mix"), GET[self.name])

    def item(self, i):
        paths, gains, speakers = self.mixtures[i]
        waves = [gain * self.read(path) for path, gain in zip(paths, gains)]
        shortest = min(map(len, waves))
        sources = np.stack([wave[:shortest] for wave in waves])
        return mixed(self.fitted(on_grid(sources), i), speakers)

    def _rendered(self, root: Path) -> tuple[list, list[str]]:
        """List what lies in both of the folders ``s1`` and ``s2``, and what lies in one of them only."""
        names, others = ({path.name for path in (root / s).glob("*.wav")} for s in ("s1", "s2"))
        return [([f"{root}/s1/{name}", f"{root}/s2/{name}"], [1.0, 1.0], self._speakers(name))
                for name in sorted(names & others)], sorted(names ^ others)

    def _tabled(self, table: Path) -> tuple[list, list[str]]:
        """List what the metadata of LibriMix say, sorted as its folders are, and which recordings are not there."""
        speech = find(["LibriSpeech", "*/LibriSpeech"], f"unpack LibriSpeech ({LIBRISPEECH})")
        with open(table, encoding="utf-8", newline="") as f:
            rows = sorted(csv.DictReader(f), key=lambda row: f"{row['mixture_ID']}.wav")
        mixtures = [([f"{speech}/{row[f'source_{s}_path']}" for s in "12"],
                     [float(row[f"source_{s}_gain"]) for s in "12"], self._speakers(row["mixture_ID"])) for row in rows]
        return mixtures, [path for paths, *_ in mixtures for path in paths if not Path(path).is_file()]

    def _lacks(self, found: Path, lost: list[str]) -> tuple[str, str]:
        """Say what is wrong with a split, and what to do about it."""
        if found.suffix == ".csv":
            return (f"{len(lost)} recordings that {found} names are missing" + (f", {lost[0]} for one" if lost else ""),
                    f"unpack {SPEECH[self.part]}.tar.gz of LibriSpeech ({LIBRISPEECH}), whole")
        counts = [len(list((found / s).glob("*.wav"))) for s in ("s1", "s2")]
        return (f"the folders s1 and s2 of {found} have {counts[0]} and {counts[1]} recordings"
                + (f", {lost[0]} being in one of them only" if lost else ""), GET[self.name])

    def _speakers(self, name: str) -> list[str]:
        """Read the speakers off the name of a mixture."""
        if self.name == "libri2mix":  # 3536-8226-0026_1673-143397-0009: speaker, chapter, utterance
            return [utterance.split("-")[0] for utterance in name.split("_")]
        return [utterance[:3] for utterance in name.split("_")[::2]]  # 011a0101_1.3476_01bo030w_-1.3476: and levels
