"""Pieces of music as mixtures with their scores: what `piano`, `guitar` and `chamber` share.

Scores come from a composer in each module, sound from `fluid`. Some corpora have a *pool* beside them, of other pieces
that sound otherwise: recordings and scores to learn from that are nobody's partner. What is stored for a split:
``audio.npy`` int16 (piece, time), ``notes.npy`` float64 (note, 7) of piece, class, onset, offset, pitch, velocity,
offset under the pedal, and ``songs.json``.

Contents
--------
Pieces
    A split of such pieces.
Part
    What an instrument plays.
Form
    Key, metre, sections and chords of a piece.
Clock
    A tempo that breathes.
Line
    Where a voice is, and where it goes.
ladder
    The keys that play some pitch classes.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from weaklib import files, rolls
from weaklib.corpora import SHORTEST, Option, fluid, rooms
from weaklib.corpora.composer import KEYS, SCALES, chords
from weaklib.corpora.material import SR
from weaklib.corpora.outdoors import microphone
from weaklib.corpora.scored import DOWN, PEDAL, Scored, by_song
from weaklib.midi import instrument, pretty_midi
from weaklib.progress import track

CHUNK = 5.12  # s, of an item: 256 frames, as in shin2026
HOP = 320  # samples, 50 frames per second
POOL = "_pool"  # what the name of a pool ends in
PEAKS = (0.4, 0.9)  # of a piece
ROOM_SEED = 2  # other rooms than those of the corpora of talkers and sounds
DETUNED = 12.0  # cents, standard deviation of a pool's tuning
BEND = 4096 / 100  # steps of the pitch wheel to a cent: it reaches two semitones


@dataclass(frozen=True)
class Part:
    """What an instrument plays.

    Attributes
    ----------
    notes : array, shape=(n, 4)
        Onset (s), offset (s) of the key, MIDI pitch, velocity, by onset.
    program : int
        General MIDI, 0-based.
    level : float, dB
        Added to what the SoundFont makes of it.
    pedal : array, shape=(m, 2)
        Time (s) and value of the sustain pedal, 0 to 127, by time.
    bends : array, shape=(k, 2)
        Time (s) and cents by which all sounds higher from then on, -200 to 200, by time.
    """

    notes: np.ndarray
    program: int
    level: float = 0.0
    pedal: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    bends: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))

    def sound(self, duration: float, cents: float = 0.0) -> np.ndarray:
        """Play it, tuned up by `cents` -> (time,) at `SR`."""
        inst = instrument(self.notes, self.program)
        inst.control_changes = [pretty_midi.ControlChange(PEDAL, int(value), time) for time, value in self.pedal]
        inst.pitch_bends = [pretty_midi.PitchBend(int(np.clip(round(BEND * (cents + bend)), -8192, 8191)), time)
                            for time, bend in [(0.0, 0.0), *self.bends.tolist()]]
        return 10 ** (self.level / 20) * fluid.render(inst, SR, duration)

    def sustained(self) -> np.ndarray:
        """Until when its notes sound (s)."""
        return rolls.sustained(self.notes, np.column_stack([self.pedal[:, 0], self.pedal[:, 1] >= DOWN]))


class Pieces(Scored):
    """Mixtures with scores; an item is one of `Scored` without ``sources``.

    There is a roll and a label for each of `classes`; the label is "" if the class has no part in the piece.

    A subclass has `perform`; its names are those of `STREAMS`.

    Options
    -------
    duration : float, s
        Length of an item, up to a whole piece; by default the 256 frames of shin2026. What is left of a piece after
        its last whole item is only reached through `clip`, `audio` and `roll`.
    hop_length : int, samples
        Hop of the rolls; by default 50 frames per second.

    Attributes
    ----------
    pieces : int
    songs : list of dict
        What there is to know of every piece.
    """

    SR = SR
    OPTIONS = {"duration": Option(float, CHUNK, SHORTEST, "seconds"), "hop_length": Option(int, HOP, 1)}
    #: Names of the corpora of a module, each with random numbers of its own: no piece is in two of them.
    STREAMS: tuple[str, ...]
    pedal = False  # an option, where there is one

    def open(self):
        n, seconds = self.sizes["pieces"], self.sizes["seconds"]
        folder = self.stored(2 * n * seconds * SR, name=self.name, pieces=n, seconds=seconds)
        self.songs = files.read_json(folder / "songs.json")
        self._audio = np.load(folder / "audio.npy", mmap_mode="r")
        notes = np.load(folder / "notes.npy")
        if self.pedal:
            notes[:, 3] = notes[:, 6]
        self.notes = by_song(notes[:, :6], n, len(self.classes))
        self.lengths = [self._audio.shape[-1]] * n

    @property
    def INSTRUMENTS(self) -> tuple[str, ...]:
        return self.classes

    @property
    def pieces(self) -> int:
        return len(self.songs)

    @property
    def frame_rate(self) -> float:
        """Frames of a roll per second."""
        return self.sr / self.hop_length

    def audio(self, piece: int) -> np.ndarray:
        """Return a whole piece, shape=(time,), float32."""
        return self._audio[piece] / np.float32(2 ** 15)

    def roll(self, piece: int) -> np.ndarray:
        """Return the roll of a whole piece, shape=(class, 88, frame), bool; see `weaklib.rolls.piano_roll`."""
        n_frames = rolls.n_frames(self.lengths[piece], self.hop_length)
        return np.stack([rolls.piano_roll(notes, n_frames, self.frame_rate) for notes in self.notes[piece]]) > 0

    def sound(self, song, start):
        mix = torch.from_numpy(self._audio[song, start:start + self.n_samples] / np.float32(2 ** 15))
        playing = [name if len(notes) else "" for name, notes in zip(self.classes, self.notes[song])]
        return {"mix": mix, "labels": playing}

    def perform(self, rng: np.random.Generator, seconds: float, i: int) -> tuple[dict[str, Part], dict]:
        """Draw piece `i`: a part for each class that plays, and what there is to know of it; JSON values only."""
        raise NotImplementedError

    def colour(self, rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
        """Change the sound of a piece ``x (time,)``: that of a pool is recorded in a room, with some device."""
        if not self.name.endswith(POOL):
            return x
        x = rooms.convolve(x, self._rooms[rng.integers(len(self._rooms))])
        spectrum = np.fft.rfft(x, 2 * len(x))
        return np.fft.irfft(spectrum * microphone(rng, np.fft.rfftfreq(2 * len(x), 1 / SR)))[:len(x)]

    @cached_property
    def _rooms(self):
        """Impulse responses from the direct sound on: the score must not come late."""
        rirs = rooms.load(self.split, self.sizes["rooms"], SR, ROOM_SEED, n_sources=1).rirs[:, 0]
        return [rir[np.abs(rir).argmax():] for rir in rirs]

    def render(self, path):
        n, seconds = self.sizes["pieces"], self.sizes["seconds"]
        stored = np.lib.format.open_memmap(path / "audio.npy", mode="w+", dtype=np.int16,
                                           shape=(n, round(seconds * SR)))
        notes, songs = [], []
        for i in track(range(n), f"{self.name}, {self.split}"):
            rng = self.rng(self.STREAMS.index(self.name), i)
            parts, about = self.perform(rng, seconds - fluid.TAIL, i)
            cents = rng.normal(0, DETUNED) if self.name.endswith(POOL) else 0.0
            x = self.colour(rng, sum(part.sound(seconds, cents) for part in parts.values()))
            stored[i] = np.rint(x * (rng.uniform(*PEAKS) / np.abs(x).max() * 32767))
            for k, name in enumerate(self.classes):
                if name in parts:
                    played = np.column_stack([parts[name].notes, parts[name].sustained()])
                    notes.append(np.insert(played, 0, [[i], [k]], axis=1))
            songs.append(about | {"programs": {name: part.program for name, part in parts.items()}})
        stored.flush()
        np.save(path / "notes.npy", np.concatenate(notes))
        files.write_json(path / "songs.json", songs)


class Form:
    """What a piece is built on, drawn at random.

    Parameters
    ----------
    rng : numpy.random.Generator
    seconds : float
        How much is to be filled.
    tempo : (float, float), beats per minute
        Range, in which the logarithm is uniform.
    freedom : float
        Freedom of the tempo, see `Clock`.
    metres : tuple of int
        Beats per bar, of which one is drawn.

    Attributes
    ----------
    metre : int
    clock : Clock
    sections : list of array of int
        Bars of each section.
    harmony : list
        The chord of each bar, and of one more, as `composer.chords` makes it.
    scale : list of int
        Pitch classes.
    about : dict
        Key, tempo and metre.
    """

    def __init__(self, rng, seconds: float, tempo: tuple[float, float], freedom: float, metres: tuple[int, ...]):
        tonic, mode, self.metre = int(rng.integers(12)), str(rng.choice(list(SCALES))), int(rng.choice(metres))
        drawn = float(np.exp(rng.uniform(*np.log(tempo))))
        self.clock = Clock(rng, drawn, seconds, freedom)
        n_bars = max(1, self.clock.beats // self.metre)
        self.sections = np.array_split(np.arange(n_bars), max(1, round(n_bars / rng.choice((2, 3, 4)))))
        self.harmony = chords(rng, tonic, SCALES[mode], self.sections)
        self.scale = sorted((tonic + step) % 12 for step in SCALES[mode])
        self.about = {"key": f"{KEYS[tonic]} {mode}", "tempo": round(drawn, 1), "metre": self.metre}


class Clock:
    """Beats in seconds, at a tempo that breathes.

    Parameters
    ----------
    rng : numpy.random.Generator
    tempo : float, beats per minute
    seconds : float
        How much is to be filled.
    freedom : float
        How far the tempo strays: standard deviation of its logarithm.

    Attributes
    ----------
    beats : int
        How many are over by then.
    """

    START = 0.1  # s before the first beat, so that an early note has room

    def __init__(self, rng, tempo: float, seconds: float, freedom: float):
        n = int(seconds * tempo / 60 * 2) + 8
        window = np.hanning(9)[1:-1]
        strays = np.convolve(rng.standard_normal(n + 6), window / np.linalg.norm(window), "valid")
        lengths = 60 / tempo * np.exp(freedom * strays)
        self._at = self.START + np.append(0, np.cumsum(lengths))
        self.beats = int(np.searchsorted(self._at, seconds)) - 1

    def __call__(self, beat):
        return np.interp(beat, np.arange(len(self._at)), self._at)


class Line:
    """Where a voice is.

    Parameters
    ----------
    low, high : int
        Its range, MIDI pitches; it turns where that ends.
    pitch : float
        Where it begins.
    """

    def __init__(self, low: int, high: int, pitch: float):
        self.low, self.high, self.pitch = low, high, pitch

    def to(self, pitch_classes, steps: int = 0) -> int:
        """Go to the nearest of some pitch classes and as many of them further -> MIDI pitch."""
        keys = ladder(pitch_classes, self.low, self.high)
        nearest = min(range(len(keys)), key=lambda k: abs(keys[k] - self.pitch))
        k = nearest + steps if 0 <= nearest + steps < len(keys) else nearest - steps
        self.pitch = keys[int(np.clip(k, 0, len(keys) - 1))]
        return self.pitch


def ladder(pitch_classes, low: float, high: float) -> list[int]:
    """List the MIDI pitches from `low` to `high` that are of some pitch classes."""
    return [pitch for pitch in range(int(np.ceil(low)), int(high) + 1) if pitch % 12 in pitch_classes]
