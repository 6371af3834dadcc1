"""The corpora ``maestro`` and ``maestro_v3``: solo piano, MAESTRO v2.0.0 as shin2026 has it, and v3.0.0.

Contents
--------
Maestro
    A split, clip by clip.
"""
from __future__ import annotations

import csv

import numpy as np

from weaklib import midi
from weaklib.corpora import Option
from weaklib.corpora.performed import Performed
from weaklib.corpora.recorded import find
from weaklib.corpora.scored import played

VERSIONS = {"maestro": "v2.0.0", "maestro_v3": "v3.0.0"}
COLUMNS = {"split", "audio_filename", "midi_filename", "canonical_composer", "canonical_title"}


class Maestro(Performed):
    """A split of `maestro` or `maestro_v3`, in the order of its table; its items are those of `Performed`.

    Options
    -------
    duration, hop_length
        As of `Performed`.
    pedal : bool
        Whether notes go on while the sustain pedal is down, that is while its controller is at 64 or above.
    """

    OPTIONS = Performed.OPTIONS | {"pedal": Option(bool, True)}

    classes = ("piano",)

    @property
    def get(self):
        return f"unpack maestro-{VERSIONS[self.name]}.zip from magenta.tensorflow.org/datasets/maestro, whole"

    def listed(self):
        name = f"maestro-{VERSIONS[self.name]}"
        table = find([f"{name}/{name}.csv", f"*/{name}/{name}.csv"], self.get)
        with open(table, encoding="utf-8", newline="") as f:
            rows = csv.DictReader(f)
            if lacking := sorted(COLUMNS - set(rows.fieldnames or ())):
                self.refuse(f"{table} has no column {lacking[0]}", self.get)
            rows = [row for row in rows if row["split"] == self.split]
        return [({"name": row["audio_filename"], "composer": row["canonical_composer"],
                  "title": row["canonical_title"]},
                 table.parent / row["audio_filename"], table.parent / row["midi_filename"]) for row in rows]

    def score(self, path):
        return np.insert(played(midi.read(path).instruments), 0, 0, axis=1)
