"""Songs with their scores, cut into clips: what `band`, `slakh` and the pieces of `pieces` share.

Contents
--------
Scored
    A split of such songs.
by_song
    Stored notes, by song and source.
played
    The notes of a MIDI file's instruments, and how long they sound.
"""
from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from weaklib import rolls
from weaklib.corpora import SHORTEST, Corpus, Option, mixed

PEDAL, DOWN = 64, 64  # the controller of the sustain pedal, and from which value on it is down


class Scored(Corpus):
    """Songs with their scores: every song cut into clips, one after the other.

    An item has ``mix (time,)``, ``sources (source, time)``, ``labels`` (`INSTRUMENTS`), ``roll (source, 88, frame)``
    (see `weaklib.rolls`) and ``notes``, a list with a tensor (n, 4) per source: onset (s), offset (s), MIDI pitch,
    velocity of the notes that sound in the clip, cut to it, in seconds from its start.

    A subclass sets `songs`, `notes` and `lengths` in `open`, and has ``samples(song, start)``, which returns
    `n_samples` int16 of every source.

    Options
    -------
    duration : float, s
        Length of an item.
    hop_length : int, samples
        Hop of the rolls; hung2021 has 500, which is 32 frames per second.

    Attributes
    ----------
    INSTRUMENTS : tuple of str
    songs : list of dict
    notes : list of list of array, shape=(n, 4)
        By song and source, as above, in seconds from the start of the song.
    lengths : list of int, samples
        One per song. What is left of a song after its last whole clip is only reached through `clip`.
    """

    INSTRUMENTS: tuple[str, ...]
    OPTIONS = {"duration": Option(float, 4.0, SHORTEST), "hop_length": Option(int, 500, 1)}

    def samples(self, song: int, start: int) -> np.ndarray:
        """Return the sources from a sample of a song on, shape=(source, n_samples), int16."""
        raise NotImplementedError

    def __len__(self) -> int:
        return int(self._ends[-1])

    def item(self, i: int) -> dict:
        song = int(np.searchsorted(self._ends, i, side="right"))
        clip = i - (int(self._ends[song - 1]) if song else 0)
        return self.clip(song, clip * self.n_samples)

    @cached_property
    def _ends(self):
        """Number of clips up to and with each song."""
        return np.cumsum([length // self.n_samples for length in self.lengths])

    def clip(self, song: int, start: int) -> dict:
        """Return the item that starts `start` samples into a song, which need not be on the grid of the clips."""
        notes = [rolls.cut(source, start / self.sr, self.n_samples / self.sr) for source in self.notes[song]]
        n_frames = rolls.n_frames(self.n_samples, self.hop_length)
        roll = np.stack([rolls.piano_roll(source, n_frames, self.sr / self.hop_length) for source in notes])
        return self.sound(song, start) | {"roll": torch.from_numpy(roll),
                                          "notes": [torch.from_numpy(source.astype(np.float32)) for source in notes]}

    def sound(self, song: int, start: int) -> dict:
        """Return what an item holds besides its score."""
        return mixed(self.samples(song, start) / np.float32(2 ** 15), list(self.INSTRUMENTS))


def by_song(notes, n_songs: int, n_sources: int) -> list[list[np.ndarray]]:
    """Part notes (n, 6), sorted by song, with song and source in the first two columns: a list of lists of (n, 4)."""
    songs = np.split(notes[:, 1:], np.searchsorted(notes[:, 0], np.arange(1, n_songs)))
    return [[song[song[:, 0] == source, 1:] for source in range(n_sources)] for song in songs]


def played(instruments) -> np.ndarray:
    """Return the notes of instruments that share a pedal, by onset.

    Returns
    -------
    array, shape=(n, 5)
        Onset (s), offset (s) of the key, MIDI pitch, velocity, offset under the pedal (s), see `rolls.sustained`.
    """
    notes = sorted((n.start, n.end, n.pitch, n.velocity) for i in instruments for n in i.notes)
    pedal = sorted((c.time, c.value >= DOWN) for i in instruments for c in i.control_changes if c.number == PEDAL)
    notes = np.array(notes, dtype=np.float64).reshape(-1, 4)
    return np.column_stack([notes, rolls.sustained(notes, np.array(pedal, dtype=np.float64).reshape(-1, 2))])
