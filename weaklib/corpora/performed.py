"""Whole recordings with their scores, as others published them: what the readers of MAESTRO and its like share.

Lengths and notes of a split are stored on first use, for scores take long to read; sound is read when it is asked for.
Stored are ``notes.npy``, as of `pieces`, and ``songs.json``.

Contents
--------
Performed
    A split of such recordings.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from weaklib import audio, files
from weaklib.corpora import SHORTEST, SPLITS, Holdings, Option, cache
from weaklib.corpora.pieces import CHUNK, HOP, Pieces
from weaklib.corpora.scored import by_song
from weaklib.files import WeaklibError
from weaklib.progress import track
from weaklib.rolls import LOWEST, PITCHES


class Performed(Pieces):
    """A split of recordings that lie below ``WEAKLIB_DATA``; every preset means all of them, whole.

    Pieces and items are those of `Pieces`, made mono at 16 kHz. What a score has beyond the keys of a piano, or after
    the end of its recording, is left out.

    A subclass has `get`, `listed` and `score`.

    Options
    -------
    duration, hop_length
        As of `Pieces`.

    Attributes
    ----------
    get : str
        What to do where something is missing, to go on from a colon.
    N_PIECES : dict
        Name of the corpus -> how many pieces the splits have when whole, where the download does not say so itself.
    songs : list of dict
        ``name``, ``samples`` at 16 kHz, and what else the subclass knows of every piece.
    """

    SIZES = None
    get: str
    N_PIECES: dict[str, tuple[int, int, int]] = {}
    OPTIONS = {"duration": Option(float, CHUNK, SHORTEST), "hop_length": Option(int, HOP, 1)}

    def listed(self) -> list[tuple[dict, Path, Path | None]]:
        """List the pieces of the split: what there is to know, recording, score; whether they are there or not."""
        raise NotImplementedError

    def score(self, path: Path) -> np.ndarray:
        """Read a score: (note, 6) of class, onset, offset, pitch, velocity, offset under the pedal."""
        raise NotImplementedError

    def open(self):
        self._pieces, self._heard = self.listed(), (None, None)
        lost = _lost(self._pieces)
        if lost or not self._pieces:
            self.refuse(f"{len(lost)} of its files are not there, {lost[0]} for one" if lost else "it is empty",
                        self.get)
        sizes = [[about["name"], *(path.stat().st_size for path in paths if path)] for about, *paths in self._pieces]
        folder = self.stored(0, name=self.name, files=cache.digest({"files": sizes}))
        self.songs = files.read_json(folder / "songs.json")
        notes = np.load(folder / "notes.npy")
        if self.pedal:
            notes[:, 3] = notes[:, 6]
        self.notes = by_song(notes[:, :6], len(self.songs), len(self.classes))
        self.lengths = [song["samples"] for song in self.songs]
        if not len(self):
            raise WeaklibError(f"No piece of the {self.split} split of {self.name} lasts {self.duration:g} s; choose a "
                               "shorter duration.")

    def holdings(self):
        found = self.listed()
        lost = [about["name"] for about, *paths in found if _lost([(about, *paths)])]
        published = self.N_PIECES.get(self.name)
        return Holdings({"": len(found) - len(lost)}, {"": lost}, published and published[SPLITS.index(self.split)],
                        whole=True)

    def audio(self, piece):
        if self._heard[0] != piece:  # items come one after the other from the same piece
            x, sr = audio.read(self._pieces[piece][1], allow_silent=True)
            self._heard = piece, audio.resample(x.mean(axis=0), sr, self.sr)
        return self._heard[1]

    def sound(self, song, start):
        mix = torch.from_numpy(self.audio(song)[start:start + self.n_samples].copy())
        playing = [name if len(notes) else "" for name, notes in zip(self.classes, self.notes[song])]
        return {"mix": mix, "labels": playing} | ({"sources": mix[None]} if len(self.classes) == 1 else {})

    def render(self, path):
        notes, songs = [np.zeros((0, 7))], []
        for i, (about, recording, score) in enumerate(track(self._pieces, f"{self.name}, {self.split}")):
            samples = len(self.audio(i))
            songs.append(about | {"samples": samples})
            if score:
                played = self.score(score)
                fits = (played[:, 1] < samples / self.sr) & (played[:, 3] > LOWEST - 0.5) & (
                    played[:, 3] < LOWEST + PITCHES - 0.5)
                played = played[fits][np.lexsort((played[fits, 1], played[fits, 0]))]  # by class, then onset
                notes.append(np.insert(played, 0, i, axis=1))
        np.save(path / "notes.npy", np.concatenate(notes))
        files.write_json(path / "songs.json", songs)

    def refuse(self, why: str, get: str):
        """Raise the error of a download that is not whole."""
        raise WeaklibError(f"The {self.split} split of {self.name} cannot be read, because {why}: {get}.")


def _lost(pieces: list[tuple[dict, Path, Path | None]]) -> list[Path]:
    """Files of pieces that are not there."""
    return [path for _, *paths in pieces for path in paths if path and not path.is_file()]
