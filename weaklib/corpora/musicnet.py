"""Chamber music: the corpora ``musicnet_em``, with scores by whom the instruments are told apart, and ``gardner``.

`musicnet_em` is MusicNet with the labels of its EM re-annotation. `musicnet_em_cover` has three pieces to learn from
that have all instruments between them, `musicnet_em_few` those three that the released code of shin2026 draws, and
`musicnet_em_pool` what is in neither, nor held out. Which piece is where says ``musicnet.json``. `gardner` has
recordings without scores.

Contents
--------
Musicnet
    A split, clip by clip.
"""
from __future__ import annotations

import csv
import json
from importlib import resources

import numpy as np

from weaklib import midi
from weaklib.corpora import Holdings
from weaklib.corpora.performed import Performed
from weaklib.corpora.recorded import find, recordings
from weaklib.corpora.scored import played

#: Instrument -> General MIDI program, 0-based, as in the labels.
PROGRAMS = {"piano": 0, "harpsichord": 6, "violin": 40, "viola": 41, "cello": 42, "pizzicato": 45, "horn": 60,
            "oboe": 68, "bassoon": 70, "clarinet": 71, "flute": 73}
SPLIT = json.loads(resources.files("weaklib.corpora").joinpath("musicnet.json").read_text(encoding="utf-8"))
GET = ("unpack musicnet.tar.gz from record 5120004 of zenodo.org, and musicnet_em.zip from the website of the labels' "
       "authors (benadar293.github.io) beside its folders train_data and test_data")
GARDNER = "put the recordings into a folder gardner"
SAME = 2.0  # s: recordings whose lengths differ by less are taken for the same


class Musicnet(Performed):
    """A split of `musicnet_em` and its parts, in the order of numbers; its items are those of `Performed`.

    Scores are those of the keys: pedals are not in the labels. Notes of other programs are left out. What `gardner` is
    made of is all train, and its rolls are empty, for nobody knows them; recordings as long as one of MusicNet, within
    2 s, are left out if its table is there.
    """

    HAS = {"gardner": ("train",)}
    N_PIECES = {"musicnet_em": (308, 5, 10), "musicnet_em_few": (3, 5, 10), "musicnet_em_cover": (3, 4, 10),
                "musicnet_em_pool": (303, 5, 10)}

    classes = tuple(PROGRAMS)

    @property
    def get(self):
        return GARDNER if self.name == "gardner" else GET

    def listed(self):
        if self.name == "gardner":
            return self._gardner()
        folder = find([f"{above}{name}/musicnet_em" for name in ("musicnet", "MusicNet") for above in ("", "*/")], GET)
        scores = {int(path.stem): path for path in folder.glob("*.mid") if path.stem.isdigit()}
        numbers = _numbers(self.name, self.split, set(scores))
        rooms = [folder.parent / room for room in ("train_data", "test_data")]

        def recording(number):
            return next((path for room in rooms if (path := room / f"{number}.wav").is_file()),
                        rooms[number in SPLIT["test"]] / f"{number}.wav")

        return [({"name": str(number)}, recording(number), scores.get(number, folder / f"{number}.mid"))
                for number in numbers]

    def holdings(self):
        if self.name == "gardner":  # whose recordings `listed` hears to their ends
            return Holdings({"": len(recordings(find(["gardner", "*/gardner"], GARDNER)))})
        return super().holdings()

    def score(self, path):
        instruments = [i for i in midi.read(path).instruments if not i.is_drum]
        notes = [np.insert(played([i for i in instruments if i.program == program]), 0, k, axis=1)
                 for k, program in enumerate(PROGRAMS.values())]
        notes = np.concatenate(notes)
        notes[:, 5] = notes[:, 2]
        return notes

    def _gardner(self):
        folder = find(["gardner", "*/gardner"], GARDNER)
        if self.split != "train":
            self.refuse("all of it is train", "choose that split")
        table = next(iter(sorted(folder.parent.glob("**/musicnet_metadata.csv"))), None)
        known = _seconds(table) if table else np.array([])
        found = [({"name": name}, folder / name, None) for name in recordings(folder)
                 if not np.any(np.abs(known - _length(folder / name)) <= SAME)]
        return found


def _numbers(name: str, split: str, there: set[int]) -> list[int]:
    """Pieces of a split; the training pieces of the whole, and of the pool, are what else there is."""
    few, cover = set(SPLIT["few"]), set(SPLIT["cover"])
    if split == "test":
        return SPLIT["test"]
    held = [number for number in SPLIT["validation"] if name != "musicnet_em_cover" or number not in cover]
    if split == "validation":
        return held
    taken = {*SPLIT["test"], *SPLIT["validation"]}
    return sorted({"musicnet_em": there - taken, "musicnet_em_pool": there - taken - few - cover,
                   "musicnet_em_few": few, "musicnet_em_cover": cover}[name])


def _seconds(table) -> np.ndarray:
    """Lengths of MusicNet's recordings."""
    with open(table, encoding="utf-8", newline="") as f:
        return np.array([float(row["seconds"]) for row in csv.DictReader(f)])


def _length(path) -> float:
    from weaklib import audio
    _, n_samples, sr = audio.probe(path)
    return n_samples / sr
