"""Compose songs for piano, guitar and bass from a random generator: enough to learn from, not to win a prize.

A song has a key, a tempo and two chord progressions. It is cut into sections; in each section every instrument
either rests or plays one pattern, bar after bar, over the chords. A pattern is a list of *hits* ``(step, length,
rungs)``: sixteenth notes from the start of the bar, their number, and which pitches of the instrument's *ladder*
sound. A ladder holds the pitches that suit a chord, so that one pattern serves every chord.

Contents
--------
compose
    One song.
Song
    What it returns: notes in seconds, as performed, so that score and sound agree.
chords, separate
    What other composers share: a harmony, and notes that one key can play.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

INSTRUMENTS = ("piano", "guitar", "bass")
PROGRAMS = {"piano": (0, 1, 2, 3), "guitar": (29, 30), "bass": (33, 34, 35, 36, 37)}  # General MIDI, 0-based
KEYS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10), "mixolydian": (0, 2, 4, 5, 7, 9, 10),
          "dorian": (0, 2, 3, 5, 7, 9, 10)}
PROGRESSIONS = ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 3), (5, 3, 0, 4), (0, 3, 0, 4), (0, 2, 3, 4), (1, 4, 0, 0),
                (0, 6, 5, 4), (0, 6, 3, 0), (3, 4, 2, 5), (0, 0, 3, 4), (0, 5, 1, 4))  # degrees of the scale

STEPS = 16  # sixteenth notes in a bar of 4/4
PLAYS = {"piano": 0.51, "guitar": 0.095, "bass": 0.825}  # chance that an instrument plays in a section
LEAD_IN = 0.1  # s before the first bar, so that an early note has room
JITTER = 0.007  # s, standard deviation of a hit's onset
SPREAD = 0.003  # s, within which the notes of a chord begin
SHORTEST = 0.06  # s


def _hits(steps, length, rungs):
    """The same rungs struck at several steps."""
    return [(step, length, rungs) for step in steps]


def _run(rungs, length, hold=1.0):
    """One rung after the other, each `length` steps apart and held for `hold` of that."""
    return [(i * length, hold * length, (rung,)) for i, rung in enumerate(rungs)]


# Rungs: piano 0, 1 = root and fifth of the left hand, 2 to 5 = chord and its seventh, 6 to 8 = chord an octave up,
# 9 to 18 = pentatonic scale; guitar 0 to 2 = power chord, 3 to 12 = pentatonic scale; bass 0 to 3 = root, third,
# fifth, octave, 4 = a semitone below the next root.
PATTERNS = {
    "piano": (
        _hits((0, 8), 7, (0, 2, 3, 4)),
        _hits((0,), 14, (0, 1, 2, 3, 4)),
        _hits((0, 4, 8, 12), 3.4, (2, 3, 4)) + _hits((0, 8), 7.5, (0,)),
        _hits((0, 3, 6, 10, 12), 2, (2, 3, 4, 5)),
        _hits((2, 6, 10, 14), 1.8, (2, 3, 4)) + _hits((0, 8), 3, (0,)),
        _hits((0, 6, 12), 3, (0, 2, 3, 4, 6)),
        _run((0, 2, 3, 4, 6, 4, 3, 2), 2),
        _run((2, 3, 4, 6, 7, 8, 7, 6), 2) + _hits((0,), 15, (0, 1)),
        _run((2, 4, 3, 4) * 4, 1) + _hits((0, 8), 8, (0,)),
    ),
    "guitar": (
        _hits(range(0, 16, 2), 1.2, (0, 1)),
        _hits((0, 8), 7.5, (0, 1, 2)),
        _hits((0,), 15.5, (0, 1, 2)),
        _hits((0, 3, 6, 8, 11, 14), 2, (0, 1, 2)),
        _hits((0, 1, 2, 4, 5, 6, 8, 9, 10, 12), 0.8, (0,)) + _hits((14,), 2, (0, 1, 2)),
    ),
    "bass": (
        _hits((0, 8), 7.5, (0,)),
        _hits((0,), 15, (0,)),
        _hits(range(0, 16, 2), 1.7, (0,)),
        _run((0, 3, 0, 3, 0, 3, 2, 3), 2, 0.8),
        _run((0, 1, 2, 4), 4, 0.9),
        _hits((0, 8), 5.5, (0,)) + _hits((6,), 1.8, (2,)) + _hits((14,), 1.8, (3,)),
        _hits((0, 3, 10), 1.5, (0,)) + _hits((6, 13), 1, (3,)) + _hits((8, 14), 1.5, (2,)),
    ),
}
MELODIES = {"piano": range(9, 19), "guitar": range(3, 13)}  # rungs that a random line walks over
RHYTHMS = ((4, 4, 4, 4), (6, 2, 4, 4), (3, 3, 2, 4, 4), (2, 2, 4, 2, 2, 4), (8, 4, 4), (2, 2, 2, 2, 4, 4), (6, 6, 4))


@dataclass(frozen=True)
class Song:
    """A song as it is played.

    Attributes
    ----------
    notes : list of array, shape=(n, 4)
        For each of `INSTRUMENTS`: onset (s), offset (s), MIDI pitch, velocity, sorted by onset. Notes of one pitch
        do not overlap.
    programs : list of int
        General MIDI program of each instrument.
    key : str
    tempo : float, quarter notes per minute
    """

    notes: list
    programs: list
    key: str
    tempo: float


def compose(rng: np.random.Generator, duration: float) -> Song:
    """Compose a song; every instrument plays in at least one section, and in every section at least one plays.

    Parameters
    ----------
    rng : numpy.random.Generator
    duration : float, s
        No note sounds later. 32 s give five to seven sections.
    """
    tonic, mode = int(rng.integers(12)), str(rng.choice(list(SCALES)))
    tempo = float(rng.uniform(76, 152))
    step = 60 / tempo / 4  # s
    n_bars = round((duration - LEAD_IN) / (STEPS * step))
    sections = np.array_split(np.arange(n_bars), max(2, round(n_bars / (2 if tempo < 110 else 3))))
    harmony = chords(rng, tonic, SCALES[mode], sections)
    beat = partial(_seconds, step=step, swing=float(rng.choice((0, 0, 0.3, 0.6))))
    notes = []
    for instrument, plays in zip(INSTRUMENTS, _arrangement(rng, len(sections))):
        ladder = LADDERS[instrument]
        played = []
        for bars in (section for section, play in zip(sections, plays) if play):
            for bar, pattern in zip(bars, _patterns(rng, instrument, len(bars))):
                played += _perform(rng, pattern, ladder(harmony[bar], harmony[bar + 1]), partial(beat, bar))
        notes.append(separate(np.array(played), duration))
    return Song(notes, [int(rng.choice(PROGRAMS[i])) for i in INSTRUMENTS], f"{KEYS[tonic]} {mode}", tempo)


def _seconds(bar, at, *, step, swing):
    """Time of step `at` of a bar; off-beat eighths come late by `swing` steps."""
    return LEAD_IN + (bar * STEPS + at + (swing if at % 4 == 2 else 0)) * step


def _arrangement(rng, n_sections):
    """Draw which instrument plays in which section -> bool (instrument, section)."""
    plays = np.zeros((len(INSTRUMENTS), n_sections), dtype=bool)
    for row, instrument in zip(plays, INSTRUMENTS):
        count = max(1, rng.binomial(n_sections, PLAYS[instrument]))
        row[rng.choice(n_sections, count, replace=False)] = True
    plays[INSTRUMENTS.index("bass")] |= ~plays.any(axis=0)
    return plays


def chords(rng, tonic, scale, sections):
    """List a chord per bar, and the tonic's to end on; odd and even sections have a progression each.

    A chord is the pitch classes of its root, third, fifth and seventh, and those of the key's pentatonic scale.
    """
    progressions = [PROGRESSIONS[i] for i in rng.choice(len(PROGRESSIONS), 2, replace=False)]
    degrees = [progressions[s % 2][i % 4] for s, bars in enumerate(sections) for i in range(len(bars))] + [0]
    pitch_class = [(tonic + interval) % 12 for interval in scale]
    pentatonic = [pitch_class[i] for i in ((0, 1, 2, 4, 5) if 4 in scale else (0, 2, 3, 4, 6))]
    return [([pitch_class[(degree + third) % 7] for third in (0, 2, 4, 6)], pentatonic) for degree in degrees]


def _from(lowest, pitch_class):
    """The lowest pitch of a pitch class that is not below `lowest`."""
    return lowest + (pitch_class - lowest) % 12


def _piano(chord, following):
    (root, third, fifth, seventh), pentatonic = chord
    left = _from(36, root)
    right = sorted(_from(56, tone) for tone in (root, third, fifth))
    melody = sorted(_from(lowest, tone) for lowest in (67, 79) for tone in pentatonic)
    return [left, _from(left, fifth), *right, _from(right[-1], seventh), *(pitch + 12 for pitch in right), *melody]


def _guitar(chord, following):
    (root, _, fifth, _), pentatonic = chord
    low = _from(40, root)
    lead = sorted(_from(lowest, tone) for lowest in (57, 69) for tone in pentatonic)
    return [low, _from(low, fifth), low + 12, *lead]


def _bass(chord, following):
    (root, third, fifth, _), _ = chord
    low = _from(28, root)
    return [low, _from(low, third), _from(low, fifth), low + 12, _from(28, following[0][0]) - 1]


LADDERS = {"piano": _piano, "guitar": _guitar, "bass": _bass}


def _patterns(rng, instrument, n_bars):
    """Draw the patterns of a section: one that repeats, or a melody that does not."""
    if instrument in MELODIES and rng.random() < 0.3:
        return [_melody(rng, MELODIES[instrument]) for _ in range(n_bars)]
    choices = PATTERNS[instrument]
    return [choices[rng.integers(len(choices))]] * n_bars


def _melody(rng, rungs):
    """A random walk over `rungs` in a random rhythm, with rests except on the first beat."""
    at, rung, hits = 0, int(rng.choice(rungs)), []
    for length in RHYTHMS[rng.integers(len(RHYTHMS))]:
        if at == 0 or rng.random() > 0.1:
            hits.append((at, 0.95 * length, (rung,)))
        rung = int(np.clip(rung + rng.choice((-2, -1, 1, 2)), rungs[0], rungs[-1]))
        at += length
    return hits


def _perform(rng, pattern, ladder, beat):
    """Play one bar as a player would, not quite on the beat and not all alike -> list of notes."""
    notes = []
    for at, length, rungs in pattern:
        if at > 0 and rng.random() < 0.05:
            continue  # a hit left out now and then
        onset = beat(at) + np.clip(rng.normal(0, JITTER), -3 * JITTER, 3 * JITTER)
        offset = beat(at + length)
        accent = rng.normal(96 if at % 4 == 0 else 84, 7)
        for rung in rungs:
            velocity = round(np.clip(rng.normal(accent, 4), 40, 124))
            notes.append((onset + rng.uniform(0, SPREAD), offset, ladder[rung], velocity))
    return notes


def separate(notes, end):
    """Sort notes by onset; end each where its pitch is struck again, and all by `end`; drop what is then too short."""
    notes = notes[np.lexsort((notes[:, 0], notes[:, 2]))]  # by pitch, then by onset
    following = np.append(np.where(notes[1:, 2] == notes[:-1, 2], notes[1:, 0], np.inf), np.inf)
    notes[:, 1] = np.minimum(notes[:, 1], np.minimum(following, end))
    notes = notes[notes[:, 1] - notes[:, 0] >= SHORTEST]
    return notes[np.argsort(notes[:, 0], kind="stable")]
