"""The corpora ``band`` and ``band_pool``: piano, distorted guitar and bass playing together, with their scores.

`band` stands in for the three classes of Slakh2100-split2 that hung2021 uses, `band_pool` for scores of other songs
that somebody found and had played by other instruments. Songs come from `composer`, sound from `fluid`; a song belongs
to one split of one of them. What is stored for a split: ``stems.npy`` int16 (song, source, time),
``notes.npy`` float64 (note, 6) of song, source, onset, offset, pitch, velocity, and ``songs.json``.

Contents
--------
Band
    A split, clip by clip.
render
    A song as stems.
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from weaklib import files
from weaklib.corpora import SHORTEST, Option, composer, fluid
from weaklib.corpora.scored import Scored, by_song
from weaklib.midi import instrument
from weaklib.progress import track

SR = 16000
SONG = 32.0  # s, eight clips of 4 s
INSTRUMENTS = composer.INSTRUMENTS
LEVELS = (0.0, -3.4, -0.8)  # dB, of the stems of a song beside each other, silence included
LEVEL_SPREAD = 2.0  # dB, standard deviation from song to song
PEAKS = (0.5, 0.9)  # of a song's loudest stem or mixture
POOL = "band_pool"
POOLED = 1  # the second number of its streams, where `band` has none, which counts as 0: no song is in both
#: General MIDI programs of the pool, 0-based. Where `band` has one of them, samples of keys that are one of `SHIFTS`
#: (semitones) away play at the pitch of the score: another voice, as of a smaller or a larger instrument. The basses
#: of `band` are none of them, for a sample of theirs serves more keys than that.
OTHERS = {"piano": (0, 2, 4, 5), "guitar": (27, 29, 30), "bass": (32, 38, 39)}
SHIFTS = (-8, -7, 7, 8)


class Band(Scored):
    """A split of `band` or `band_pool`; items and options are those of `Scored`, with a duration of up to `SONG`.

    Attributes
    ----------
    songs : list of dict
        Key, tempo and General MIDI programs of every song; in the pool also the shifts of their samples in semitones.
    stems : array, shape=(song, 3, time), int16
    """

    SR, INSTRUMENTS = SR, INSTRUMENTS
    SIZES = {"smoke": {"songs": (4, 2, 2)}, "laptop": {"songs": (200, 20, 20)}, "gpu": {"songs": (1000, 50, 50)}}
    OPTIONS = Scored.OPTIONS | {"duration": Option(float, 4.0, SHORTEST, SONG)}
    STANDS_IN_FOR, READER = "Slakh2100", "slakh"

    def open(self):
        n_songs = self.sizes["songs"]
        own = {"name": self.name} if self.name == POOL else {}
        folder = self.stored(2 * n_songs * len(INSTRUMENTS) * SONG * SR, songs=n_songs, **own)
        self.songs = files.read_json(folder / "songs.json")
        self.stems = np.load(folder / "stems.npy", mmap_mode="r")
        self.notes = by_song(np.load(folder / "notes.npy"), n_songs, len(INSTRUMENTS))
        self.lengths = [self.stems.shape[-1]] * n_songs

    def samples(self, song, start):
        return self.stems[song, :, start:start + self.n_samples]

    def render(self, path):
        n_songs = self.sizes["songs"]
        stems = np.lib.format.open_memmap(path / "stems.npy", mode="w+", dtype=np.int16,
                                          shape=(n_songs, len(INSTRUMENTS), round(SONG * SR)))
        notes, songs = [], []
        pooled = self.name == POOL
        for i in track(range(n_songs), f"{self.name}, {self.split}"):
            rng = self.rng(i, POOLED) if pooled else self.rng(i)  # a stream per song: no song is in two splits
            song = composer.compose(rng, SONG - fluid.TAIL)
            shifts = [0] * len(INSTRUMENTS)
            if pooled:
                programs, shifts = other_voices(rng)
                song = replace(song, programs=programs)
            stems[i] = render(song, rng, shifts)
            for source, played in enumerate(song.notes):
                notes.append(np.insert(played, 0, [[i], [source]], axis=1))
            songs.append({"key": song.key, "tempo": round(song.tempo, 1), "programs": song.programs}
                         | ({"shifts": shifts} if pooled else {}))
        stems.flush()
        np.save(path / "notes.npy", np.concatenate(notes))
        files.write_json(path / "songs.json", songs)


def other_voices(rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """Draw programs of the pool, and by how many semitones their samples are shifted."""
    return [int(rng.choice(OTHERS[name])) for name in INSTRUMENTS], rng.choice(SHIFTS, len(INSTRUMENTS)).tolist()


def render(song: composer.Song, rng: np.random.Generator, shifts=(0, 0, 0)) -> np.ndarray:
    """Play and mix a song.

    Parameters
    ----------
    song : Song
    rng : Generator
        Of the levels.
    shifts : sequence of int, semitones
        Of the samples of each instrument, whose pitch stays.

    Returns
    -------
    array, shape=(3, time), int16
        Its stems; neither they nor their sum clip.
    """
    stems = np.stack([fluid.render(_voiced(*part), SR, SONG) for part in zip(song.notes, song.programs, shifts)])
    loudness = np.sqrt(np.mean(stems ** 2, axis=1, keepdims=True))
    stems *= 10 ** (rng.normal(LEVELS, LEVEL_SPREAD)[:, None] / 20) / loudness
    stems *= rng.uniform(*PEAKS) / max(np.abs(stems).max(), np.abs(stems.sum(axis=0)).max())
    return np.rint(stems * 32767).astype(np.int16)


def _voiced(notes, program: int, shift: int):
    """An instrument whose keys are moved one way and its samples as far the other way."""
    inst = instrument(np.asarray(notes) - shift * np.array([0, 0, 1, 0]), program)
    if shift:
        inst.control_changes = fluid.changes(semitones=shift)
    return inst
