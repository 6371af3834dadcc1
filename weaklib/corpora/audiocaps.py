"""The corpus ``audiocaps``: sound as it is in the wild, 10 s each, with a caption; mixtures only.

Contents
--------
Audiocaps
    A split, caption by caption.
"""
from __future__ import annotations

import csv
from functools import cached_property
from pathlib import PurePosixPath

import torch

from weaklib import files
from weaklib.corpora import Holdings
from weaklib.corpora.labelled import lacking, pairs
from weaklib.corpora.recorded import Recorded, find, recordings
from weaklib.files import WeaklibError

N_CAPTIONS = {"train": 49_838, "val": 2_475, "test": 4_875}
COLUMNS = {"audiocap_id", "youtube_id", "start_time", "caption"}
PARSED = "parsed_all_caps.json"
GET = ("put train.csv, val.csv and test.csv of github.com/cdjkim/audiocaps (its folder dataset) into "
       "audiocaps/annotations, and the sound of the clips that they name into audiocaps/audio, as <id>_<start>.wav")


class Audiocaps(Recorded):
    """A split of `audiocaps`, in the order of its table; clips of validation and test are there once for each caption.

    An item has ``mix (time,)``, ``labels``, which is empty, ``text``, the caption, and ``phrases``, those parts of the
    caption that name one source each, where ``parsed_all_caps.json`` lists them, or else none. What cannot be read is
    told of, once, and the next item takes its place.

    Attributes
    ----------
    clips : list of str
        The clip of every item, as ``<id>_<start>``.
    missing : dict of str to list of str
        Under "", the clips that the table names and that are not there: videos vanish.
    skipped : dict of str to str
        Clips that could not be read so far, and why.
    """

    PUBLISHED = {"audiocaps": (11025, 110_000 / 11025)}
    PARTS = {"audiocaps": ("train", "val", "test")}

    def open(self):
        rows, there = self._listed()
        lost = list(dict.fromkeys(name for name, *_ in rows if name not in there))
        self.missing, self.skipped = ({"": lost} if lost else {}), {}
        if lost:
            print(lacking(f"{self.name}, {self.split}", self.missing, {"": len({name for name, *_ in rows})}))
        rows = [row for row in rows if row[0] in there]
        if not rows:
            self.refuse(f"{self._sounds} has none of the clips that its table names", GET)
        parsed = self._parsed()
        self.clips = [name for name, *_ in rows]
        self._paths = [self._sounds / there[name] for name in self.clips]
        self._texts = [caption for *_, caption in rows]
        self._phrases = [parsed.get(number, []) for _, number, _ in rows]
        self.n_items = len(rows)

    def holdings(self):
        rows, there = self._listed()
        lost = [f"{name}, caption {number}" for name, number, _ in rows if name not in there]
        return Holdings({"": len(rows) - len(lost)}, {"": lost} if lost else {}, N_CAPTIONS[self.part])

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """Each item with another one whose clip is another: the mixtures on which models are tested."""
        return pairs(self, self.clips)

    def item(self, i):
        for k in (j % self.n_items for j in range(i, i + self.n_items)):
            if self.clips[k] in self.skipped:
                continue
            try:
                x = self.read(self._paths[k], duration=self.duration)
            except WeaklibError as e:  # one clip of many must not end a training
                self.skipped[self.clips[k]] = str(e)
                print(f"{self.name}, {self.split}: {e} The next clip takes its place.")
                continue
            return {"mix": torch.from_numpy(self.fitted(x, i)), "labels": [], "text": self._texts[k],
                    "phrases": list(self._phrases[k])}
        self.refuse("none of its clips can be read", GET)

    def _listed(self) -> tuple[list[tuple[str, str, str]], dict[str, str]]:
        """Read clip, number and caption of the split, and find the recordings: clip -> path below their folder."""
        self._root = find(["audiocaps", "AudioCaps", "*/audiocaps", "*/AudioCaps"], GET)
        self._sounds = self._root / "audio" if (self._root / "audio").is_dir() else self._root
        tables = [self._root / folder / f"{self.part}.csv" for folder in ("annotations", "", "dataset")]
        table = next((path for path in tables if path.is_file()), None)
        if not table:
            self.refuse(f"there is no {tables[0]}", GET)
        with open(table, encoding="utf-8", newline="") as f:
            rows = csv.DictReader(f)
            if absent := sorted(COLUMNS - set(rows.fieldnames or ())):
                self.refuse(f"{table} has no column {absent[0]}", GET)
            found = [(f"{row['youtube_id']}_{row['start_time']}", row["audiocap_id"], row["caption"]) for row in rows]
        if not found:
            self.refuse(f"{table} is empty", GET)
        stems = {PurePosixPath(name).stem: name for name in recordings(self._sounds)}
        there = {}
        for name, *_ in found:
            if stem := next((stem for stem in (name, name.rpartition("_")[0]) if stem in stems), None):
                there[name] = stems[stem]
        return found, there

    def _parsed(self) -> dict[str, list[str]]:
        """Phrases by number of the caption, from the file of the authors of mahmud2024."""
        path = next((path for folder in ("annotations", "") if (path := self._root / folder / PARSED).is_file()), None)
        try:
            return {number: list(about["sources"]) for number, about in files.read_json(path).items()} if path else {}
        except (KeyError, TypeError, AttributeError):
            self.refuse(f"{path} does not list the sources of captions by their numbers", "get it again, or delete it")
