"""The corpus ``guitarset``: acoustic guitar before a microphone, with the notes of every string.

Contents
--------
Guitarset
    A split, clip by clip.
"""
from __future__ import annotations

import json
import re

import numpy as np

from weaklib.corpora import SPLITS
from weaklib.corpora.performed import Performed
from weaklib.corpora.recorded import find
from weaklib.files import WeaklibError

GET = ("unpack annotation.zip and audio_mono-mic.zip from record 3371780 of zenodo.org as the folders annotation and "
       "audio_mono-mic of a folder GuitarSet, whole")
PROGRESSIONS = {"train": "12", "test": "3"}
NAME = re.compile(r"(\d\d)_([A-Za-z]+)([123])-(\d+)-([A-G][#b]?)_(comp|solo)")
VELOCITY = 64  # annotations do not tell


class Guitarset(Performed):
    """A split of `guitarset`, in the order of names; its items are those of `Performed`.

    The chord progressions 1 and 2 are train, 3 is test. Nothing is left for validation.
    """

    get = GET
    HAS = {"guitarset": ("train", "test")}
    N_PIECES = {"guitarset": (240, 0, 120)}

    classes = ("guitar",)

    def listed(self):
        if self.split not in PROGRESSIONS:
            raise WeaklibError(f"guitarset has no {SPLITS[1]} split: progressions 1 and 2 are train, and 3 is test; "
                               "choose one of them.")
        folder = find([f"{above}{name}/annotation" for name in ("GuitarSet", "guitarset") for above in ("", "*/")], GET)
        found = [(match, path) for path in sorted(folder.glob("*.jams")) if (match := NAME.fullmatch(path.stem))]
        return [
            ({"name": path.stem, "player": match[1], "style": match[2], "progression": int(match[3]),
              "mode": match[6]}, folder.parent / "audio_mono-mic" / f"{path.stem}_mic.wav", path)
            for match, path in found if match[3] in PROGRESSIONS[self.split]]

    def score(self, path):
        """JAMS is JSON: six annotations of notes, one per string, with pitches in fractions of semitones."""
        try:
            strings = [one["data"] for one in json.loads(path.read_text(encoding="utf-8"))["annotations"]
                       if one["namespace"] == "note_midi"]
            notes = [(0, note["time"], end, round(note["value"]), VELOCITY, end) for string in strings
                     for note in string for end in [note["time"] + note["duration"]]]
        except (ValueError, KeyError, TypeError):
            self.refuse(f"{path} is not an annotation", GET)
        return np.array(notes, dtype=np.float64).reshape(-1, 6)
