"""The corpus ``librifsd``: a reader of LibriSpeech in noise from FSD50K, for speech enhancement.

The data set of wisdom2020 was made of LibriSpeech and freesound, and not released; this is what others take instead.

Contents
--------
Librifsd
    A split, item by item.
"""
from __future__ import annotations

import csv
from pathlib import PurePosixPath

import numpy as np

from weaklib.audio import rms
from weaklib.corpora import SPLITS, Holdings, mixed
from weaklib.corpora.noisy import JOINT, SNR, settled
from weaklib.corpora.recorded import Recorded, find, recordings
from weaklib.corpora.talkers import LEVEL

SPEECH = {"train": "train-clean-*", "validation": "dev-clean", "test": "test-clean"}
NOISE = {"train": ("dev", "train"), "validation": ("dev", "val"), "test": ("eval", None)}  # folder, split in its table
#: Classes that may hold a voice. Labels of FSD50K come with all classes above them: speech is a Human_voice, too.
VOICES = {"Human_voice", "Human_group_actions", "Respiratory_sounds", "Burping_and_eructation"}
GET_SPEECH = "unpack {}.tar.gz of LibriSpeech (record 12 of openslr.org)"
GET_NOISE = "unpack FSD50K.{}_audio and FSD50K.ground_truth from record 4060432 of zenodo.org into a folder FSD50K"


class Librifsd(Recorded):
    """A split of `librifsd`: every utterance once, in a noise that is drawn for it.

    An item has ``mix (time,)``, ``sources (2, time)``: the voice and the noise; and ``labels``: the speaker, and the
    classes of the noise, joined by ``" + "``. An utterance that is shorter than an item is followed by noise alone, a
    shorter noise is repeated. The level of the voice, where it is heard, is `SNR` (uniform) above that of the noise.

    Attributes
    ----------
    utterances : list of str
        Paths below the folder of LibriSpeech.
    noises : list of (str, str)
        Names of their files, and classes.
    """

    PUBLISHED = {"librifsd": (16000, 10.0)}
    PARTS = {"librifsd": SPLITS}

    def open(self):
        lost, get = self._listed()
        if lost or not self.noises:
            self.refuse(f"{len(lost)} of the {len(self.noises)} noises of {self._table} are not in {self._sounds}"
                        + (f", {lost[0]} for one" if lost else ""), get)
        self.n_items = len(self.utterances)

    def holdings(self):
        lost, _ = self._listed()
        return Holdings({"voices": len(self.utterances), "noises": len(self.noises) - len(lost)}, {"noises": lost},
                        whole=True)

    def _listed(self) -> tuple[list[str], str]:
        """List utterances and noises; returns the noises that are not there, and what to do about them."""
        get = GET_SPEECH.format(SPEECH[self.split])
        self._speech = find(["LibriSpeech", "*/LibriSpeech"], get)
        self.utterances = [f"{folder.name}/{name}" for folder in sorted(self._speech.glob(SPEECH[self.split]))
                           for name in recordings(folder)]
        if not self.utterances:
            self.refuse(f"{self._speech} has no recordings in {SPEECH[self.split]}", get)
        part, split = NOISE[self.split]
        get = GET_NOISE.format(part)
        self._table = find([f"{above}FSD50K/FSD50K.ground_truth/{part}.csv" for above in ("", "*/")], get)
        self._sounds = self._table.parents[1] / f"FSD50K.{part}_audio"
        with open(self._table, encoding="utf-8", newline="") as f:
            rows = [(f"{row['fname']}.wav", row["labels"].split(",")) for row in csv.DictReader(f)
                    if row.get("split") == split]
        self.noises = [(name, JOINT.join(labels)) for name, labels in rows if not VOICES & set(labels)]
        return sorted({name for name, _ in self.noises} - set(recordings(self._sounds))), get

    def item(self, i):
        rng = self.rng(8, i)
        path, classes = self.noises[rng.integers(len(self.noises))]
        voice, noise = self.read(self._speech / self.utterances[i]), self.read(self._sounds / path)
        noise = np.resize(noise, max(len(noise), self.n_samples))  # repeats it
        sources = np.stack([self.fitted(x, i) for x in (voice, noise)])
        half = rng.uniform(*SNR) / 2
        for source, heard, gain in zip(sources, (len(voice), len(noise)), (half, -half)):
            if level := rms(source[:heard]):  # a noise may pause as long as an item
                source *= 10 ** ((LEVEL - 10 * np.log10(2) + gain) / 20) / level
        return mixed(settled(sources), [PurePosixPath(self.utterances[i]).parts[1], classes])
