"""The corpus ``band``: piano, distorted guitar and bass playing together, with their scores.

It stands in for the three classes of Slakh2100-split2 that hung2021 uses. Songs come from `composer`, sound from
`fluid`; a song belongs to one split. What is stored for a split: ``stems.npy`` int16 (song, source, time),
``notes.npy`` float64 (note, 6) of song, source, onset, offset, pitch, velocity, and ``songs.json``.

Contents
--------
corpus
    What `weaklib.corpora.load` calls.
Scored
    Songs with stems and scores, cut into clips: what `band` and `slakh` share.
Band
    A split of `band`.
piano_roll
    Notes as a roll.
stretches
    Where a roll's pitches begin and end to sound.
"""
from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from weaklib import files
from weaklib.corpora import SPLITS, Corpus, cache, composer, fluid
from weaklib.progress import track

SR = 16000
SONG = 32.0  # s, eight clips of 4 s
INSTRUMENTS = composer.INSTRUMENTS
LEVELS = (0.0, -3.4, -0.8)  # dB, of the stems of a song beside each other, silence included
LEVEL_SPREAD = 2.0  # dB, standard deviation from song to song
PEAKS = (0.5, 0.9)  # of a song's loudest stem or mixture
LOWEST, PITCHES = 21, 88  # the keys of a piano

#: Songs per split.
SIZES = {"smoke": {"train": 4, "validation": 2, "test": 2},
         "laptop": {"train": 200, "validation": 20, "test": 20},
         "full": {"train": 200, "validation": 20, "test": 20},
         "gpu": {"train": 1000, "validation": 50, "test": 50}}


def corpus(name: str, split: str, preset: str, duration: float = 4.0, hop_length: int = 500) -> Band:
    """Load a split of `band`, rendering it on first use.

    Parameters
    ----------
    name : {"band"}
    split, preset : str
        See `weaklib.corpora.load`.
    duration : float, s
        Of an item; at most `SONG`, which makes every item a whole song.
    hop_length : int, samples
        Of the rolls; hung2021 has 500, which is 32 frames per second.

    Raises
    ------
    WeaklibError
        If `preset` is "paper", an option makes no sense, or FluidSynth is missing.
    """
    if preset == "paper":
        raise files.WeaklibError("The preset 'paper' of hung2021 takes Slakh2100 itself: load the corpus 'slakh', or "
                                 "'band' with preset='gpu', the largest that is rendered here.")
    if not 0 < duration <= SONG or hop_length < 1:
        raise files.WeaklibError(f"duration={duration} and hop_length={hop_length} make no clips; choose up to "
                                 f"{SONG:.0f} s and at least 1 sample.")
    return Band(name, split, preset, duration, hop_length)


class Scored(Corpus):
    """Songs of piano, guitar and bass with their scores: every song cut into clips, one after the other.

    An item has ``mix (time,)``, ``sources (3, time)``, ``labels`` ("piano", "guitar", "bass"), ``roll (3, 88,
    frame)`` (see `piano_roll`) and ``notes``, a list with a tensor (n, 4) per source: onset (s), offset (s), MIDI
    pitch, velocity of the notes that sound in the clip, cut to it, in seconds from its start.

    A subclass sets `songs`, `notes` and `lengths`, and has ``_samples(song, start)``, which returns int16 ``sources``.

    Attributes
    ----------
    songs : list of dict
    notes : list of list of array, shape=(n, 4)
        By song and source, as above, in seconds from the start of the song.
    lengths : list of int, samples
        Of the songs. What is left of a song after its last whole clip is only reached through `clip`.
    """

    def __init__(self, name, split, preset, duration, hop_length):
        super().__init__(name, split, preset, SR)
        self.n_samples, self.hop_length = round(duration * SR), hop_length

    @property
    def identity(self) -> dict:
        return super().identity | {"duration": self.n_samples / SR, "hop_length": self.hop_length}

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> dict:
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        index %= len(self)
        song = int(np.searchsorted(self._ends, index, side="right"))
        clip = index - (int(self._ends[song - 1]) if song else 0)
        return self.clip(song, clip * self.n_samples)

    @cached_property
    def _ends(self):
        """Number of clips up to and with each song."""
        return np.cumsum([length // self.n_samples for length in self.lengths])

    def clip(self, song: int, start: int) -> dict:
        """Return the item that starts `start` samples into a song, which need not be on the grid of the clips."""
        sources = torch.from_numpy(self._samples(song, start) / np.float32(32768))
        notes = [_cut(source, start / SR, self.n_samples / SR) for source in self.notes[song]]
        n_frames = -(-self.n_samples // self.hop_length) + 1
        return {"mix": sources.sum(0),  # exact in any order: 16-bit values leave float32 bits to spare
                "sources": sources,
                "labels": list(INSTRUMENTS),
                "roll": torch.from_numpy(np.stack([piano_roll(n, n_frames, SR / self.hop_length) for n in notes])),
                "notes": [torch.from_numpy(n.astype(np.float32)) for n in notes]}


class Band(Scored):
    """A split of `band`; its items are those of `Scored`.

    Attributes
    ----------
    songs : list of dict
        Key, tempo and General MIDI programs of every song.
    stems : array, shape=(song, 3, time), int16
    """

    def __init__(self, name, split, preset, duration, hop_length):
        super().__init__(name, split, preset, duration, hop_length)
        n_songs = SIZES[preset][split]
        key = {"corpus": name, "version": self.version, "seed": self.seed, "split": split, "songs": n_songs}
        folder = cache.folder(key, lambda path: _build(path, self.seed, split, n_songs),
                              n_bytes=2 * n_songs * len(INSTRUMENTS) * round(SONG * SR))
        self.songs = files.read_json(folder / "songs.json")
        self.stems = np.load(folder / "stems.npy", mmap_mode="r")
        self.notes = by_song(np.load(folder / "notes.npy"), n_songs)
        self.lengths = [self.stems.shape[-1]] * n_songs

    def _samples(self, song, start):
        return self.stems[song, :, start:start + self.n_samples]


def by_song(notes, n_songs: int) -> list[list[np.ndarray]]:
    """Part notes (n, 6), sorted by song, with song and source in the first two columns: a list of lists of (n, 4)."""
    songs = np.split(notes[:, 1:], np.searchsorted(notes[:, 0], np.arange(1, n_songs)))
    return [[song[song[:, 0] == source, 1:] for source in range(len(INSTRUMENTS))] for song in songs]


def piano_roll(notes, n_frames: int, frame_rate: float) -> np.ndarray:
    """Mark the frames in which each pitch sounds.

    Frame `k` is centred on ``k / frame_rate`` seconds, as in `weaklib.audio.stft`. A note fills the frames from
    the one nearest to its onset up to, and without, the one nearest to its offset, and one frame at least.

    Parameters
    ----------
    notes : array, shape=(n, 4)
        Onset (s), offset (s), MIDI pitch from 21 to 108, velocity (ignored).
    n_frames : int
    frame_rate : float, Hz

    Returns
    -------
    array, shape=(88, n_frames), float32
        1 where the pitch sounds, else 0.
    """
    roll = np.zeros((PITCHES, n_frames), dtype=np.float32)
    start, stop = np.rint(notes[:, :2].T * frame_rate).astype(int)
    for row, a, b in zip(notes[:, 2].astype(int) - LOWEST, start, np.maximum(stop, start + 1)):
        roll[row, a:b] = 1
    return roll


def stretches(roll) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, first frame and frame after the last of every stretch of a boolean roll (row, frame), by row, then frame."""
    edges = np.diff(np.pad(np.asarray(roll, dtype=np.int8), ((0, 0), (1, 1))), axis=-1)
    (row, start), (_, stop) = np.nonzero(edges > 0), np.nonzero(edges < 0)
    return row, start, stop


def _cut(notes, start, duration):
    """The notes that sound within a clip, in seconds from its start, cut to it."""
    notes = notes[(notes[:, 0] < start + duration) & (notes[:, 1] > start)]  # a copy, which may be changed
    notes[:, :2] = np.clip(notes[:, :2] - start, 0, duration)
    return notes


def _build(path, seed, split, n_songs):
    """Render the songs of a split into the folder `path`."""
    stems = np.lib.format.open_memmap(path / "stems.npy", mode="w+", dtype=np.int16,
                                      shape=(n_songs, len(INSTRUMENTS), round(SONG * SR)))
    notes, songs = [], []
    for i in track(range(n_songs), f"band, {split}"):
        rng = np.random.default_rng([seed, SPLITS.index(split), i])  # a stream per song: no song is in two splits
        song = composer.compose(rng, SONG - fluid.TAIL)
        stems[i] = render(song, rng)
        for source, played in enumerate(song.notes):
            notes.append(np.insert(played, 0, [[i], [source]], axis=1))
        songs.append({"key": song.key, "tempo": round(song.tempo, 1), "programs": song.programs})
    stems.flush()
    np.save(path / "notes.npy", np.concatenate(notes))
    files.write_json(path / "songs.json", songs)


def render(song: composer.Song, rng: np.random.Generator) -> np.ndarray:
    """Play and mix a song.

    Returns
    -------
    array, shape=(3, time), int16
        Its stems; neither they nor their sum clip.
    """
    stems = np.stack([fluid.render(fluid.instrument(notes, program), SR, SONG)
                      for notes, program in zip(song.notes, song.programs)])
    loudness = np.sqrt(np.mean(stems ** 2, axis=1, keepdims=True))
    stems *= 10 ** (rng.normal(LEVELS, LEVEL_SPREAD)[:, None] / 20) / loudness
    stems *= rng.uniform(*PEAKS) / max(np.abs(stems).max(), np.abs(stems.sum(axis=0)).max())
    return np.rint(stems * 32767).astype(np.int16)
