"""The corpus ``guitar``: a distorted electric guitar, for models that know the piano. It stands in for GuitarSet.

GuitarSet's guitar is acoustic, but a model that learnt from the piano transcribes the acoustic one of the SoundFont as
well as a piano. Distortion is foreign to it; so this guitar has that, an amplifier, strums, bends and vibrato. A
*figure* returns strokes for a bar: beat, length in beats, pitches in the order in which they are struck.

Contents
--------
Guitar
    A split, clip by clip.
"""
from __future__ import annotations

import numpy as np

from weaklib.audio import rms
from weaklib.corpora.composer import KEYS, SCALES, chords, separate
from weaklib.corpora.material import band
from weaklib.corpora.pieces import Clock, Part, Pieces, ladder

PROGRAMS = (29, 30, 30)  # General MIDI: overdriven, and twice as often distorted
STRINGS = (40, 45, 50, 55, 59, 64)  # MIDI pitches
HIGHEST = 88  # the 24th fret
TEMPO, FREEDOM = (70, 150), 0.03  # beats per minute
METRE = 4
STRUM = (0.004, 0.025)  # s from string to string
JITTER = 0.008  # s, standard deviation of an onset
BEATING = 0.35  # s, from which length on a note of a lead may have vibrato
STEP = 0.01  # s, of a bend
DRIVE = (0.4, 1.6)  # of the amplifier: at which multiple of a piece's RMS it saturates, inverted
CABINET = ((70, 130), (3000, 5500))  # Hz, what the loudspeaker passes


class Guitar(Pieces):
    """A split of `guitar`; items and options are those of `Pieces`.

    A bent note is written at the pitch at which it arrives, from its onset on.
    """

    SIZES = {"smoke": {"pieces": (4, 3, 3), "seconds": 6.0}, "laptop": {"pieces": (38, 6, 10), "seconds": 32.0},
             "gpu": {"pieces": (450, 16, 24), "seconds": 32.0}}
    STANDS_IN_FOR = "GuitarSet"
    STREAMS = ("guitar",)

    classes = ("guitar",)

    def perform(self, rng, seconds, i):
        tonic, mode, tempo = int(rng.integers(12)), str(rng.choice(list(SCALES))), float(rng.uniform(*TEMPO))
        clock = Clock(rng, tempo, seconds, FREEDOM)
        n_bars = max(1, clock.beats // METRE)
        sections = np.array_split(np.arange(n_bars), max(1, round(n_bars / rng.choice((2, 3)))))
        harmony = chords(rng, tonic, SCALES[mode], sections)
        notes, bends, figures = [], [], []
        for bars in sections:
            figure, loud = FIGURES[rng.integers(len(FIGURES))], rng.uniform(60, 115)
            figures.append(figure.__name__.strip("_"))
            for bar in bars:
                tones, pentatonic = harmony[bar]
                for at, length, pitches in figure(rng, tones, pentatonic):
                    onset = max(0.0, clock(bar * METRE + at) + np.clip(rng.normal(0, JITTER), -3 * JITTER, 3 * JITTER))
                    offset, strum = clock(bar * METRE + at + length), rng.uniform(*STRUM)
                    notes += [(onset + k * strum, offset, pitch, round(np.clip(rng.normal(loud, 6), 30, 127)))
                              for k, pitch in enumerate(pitches)]
                    bends += _bent(rng, onset, offset) if figure is _lead else [(onset, 0.0)]
        notes = separate(np.array(notes), seconds)
        part = Part(notes, int(rng.choice(PROGRAMS)), bends=np.array(sorted(bends)).reshape(-1, 2))
        return {"guitar": part}, {"key": f"{KEYS[tonic]} {mode}", "tempo": round(tempo, 1), "figures": figures}

    def colour(self, rng, x):
        """Play it through an amplifier: distorted together, chords have sums and differences of their tones."""
        return band(np.tanh(rng.uniform(*DRIVE) * x / rms(x)), *(rng.uniform(*edge) for edge in CABINET))


def _bent(rng, onset, offset):
    """Bend a note up to its pitch, let it beat, or neither -> list of time and cents."""
    events = [(onset, 0.0)]
    if rng.random() < 0.4:
        rise, below = min(rng.uniform(0.06, 0.15), (offset - onset) / 2), rng.choice((-100, -200))
        events = [*((onset + t, below * (1 - t / rise)) for t in np.arange(0, rise, STEP)), (onset + rise, 0.0)]
    if offset - onset > BEATING and rng.random() < 0.6:
        t = np.arange(0.2, offset - onset, STEP)
        swing = rng.uniform(15, 40) * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * (t - 0.2))
        events += list(zip(onset + t, swing))
    return [(float(time), float(cents)) for time, cents in events]


# Figures: (rng, tones, pentatonic) -> strokes; pitch classes, `tones` the root first.

def _shape(tones, fret):
    """What every string plays of a chord, from a fret on: the root is the lowest."""
    held = [ladder(tones[:3], string + fret, string + fret + 4)[:1] for string in STRINGS]
    pitches = [pitch for string in held for pitch in string]
    roots = [k for k, pitch in enumerate(pitches) if pitch % 12 == tones[0]]
    return pitches[roots[0]:]


def _power(tones):
    low = ladder(tones[:1], STRINGS[0], STRINGS[0] + 11)[0]
    return [low, low + 7, low + 12]


def _riff(rng, tones, pentatonic):
    """Palm-muted eighths and sixteenths on the root, with a power chord here and there."""
    chord, step = _power(tones), float(rng.choice((0.5, 0.25)))
    return [(at, step * 1.8, chord) if rng.random() < 0.25 else (at, step * 0.5, chord[:1])
            for at in np.arange(0, METRE, step)]


def _held(rng, tones, pentatonic):
    length = float(rng.choice((1, 2, 4)))
    return [(at, length * 0.97, _power(tones)) for at in np.arange(0, METRE, length)]


def _strummed(rng, tones, pentatonic):
    """Down on the beat, up off it, where the strings below are not reached."""
    shape, strokes = _shape(tones, int(rng.integers(0, 6))), []
    for at in np.arange(0, METRE, 0.5):
        if at % 1 == 0 or rng.random() < 0.6:
            strokes.append((at, 0.48, shape if at % 1 == 0 else shape[:1:-1]))
    return strokes


def _picked(rng, tones, pentatonic):
    """The strings of a chord one by one, ringing."""
    shape = _shape(tones, int(rng.integers(0, 8)))
    order = [0, *rng.permutation(np.arange(1, len(shape)))]
    return [(k / 2, min(2.0, METRE - k / 2), [shape[order[k % len(order)]]]) for k in range(2 * METRE)]


def _lead(rng, tones, pentatonic):
    """A line, one note at a time."""
    keys = ladder(pentatonic, 57, HIGHEST)
    at, key, strokes = 0.0, int(rng.integers(len(keys))), []
    while at < METRE:
        length = min(float(rng.choice((0.25, 0.5, 0.5, 1, 2))), METRE - at)
        if rng.random() > 0.1:
            strokes.append((at, length * 0.95, [keys[key]]))
        key, at = int(np.clip(key + rng.choice((-2, -1, 1, 2)), 0, len(keys) - 1)), at + length
    return strokes


def _pairs(rng, tones, pentatonic):
    """Two strings at a time, in octaves or what the scale has between."""
    keys, apart = ladder(pentatonic, 52, 80), int(rng.choice((1, 2, 5)))
    walk = np.clip(rng.integers(len(keys) - apart) + np.cumsum(rng.choice((-1, 1), 2 * METRE)), 0,
                   len(keys) - 1 - apart)
    return [(k / 2, 0.45, [keys[low], keys[low + apart]]) for k, low in enumerate(walk)]


FIGURES = (_riff, _held, _strummed, _strummed, _picked, _lead, _lead, _pairs)
