"""The corpora ``chamber`` and ``chamber_pool``: one to five players of eleven instruments, with a score for each class.

`chamber` stands in for MusicNet with the labels of MusicNet-EM, `chamber_pool` for recordings of the Gardner Museum.
A piece has sections of some bars. In each, one voice has the tune, the last one the bass, and the others fill in or
rest; keyboards play with two hands, as `piano` does.

Contents
--------
Chamber
    A split, clip by clip.
"""
from __future__ import annotations

import numpy as np

from weaklib.corpora.composer import separate
from weaklib.corpora.piano import hands, played
from weaklib.corpora.pieces import POOL, Form, Line, Part, Pieces

#: Class -> General MIDI programs, those of the pool, lowest and highest pitch, and dB that bring it beside the others.
INSTRUMENTS = {
    "piano": ((0,), (1, 3), 21, 108, 6.0), "harpsichord": ((6,), (6,), 29, 89, 3.0),
    "violin": ((40,), (40, 110), 55, 93, -1.0), "viola": ((41,), (41,), 48, 81, -1.0),
    "cello": ((42,), (42,), 36, 74, -1.0), "contrabass": ((43,), (43,), 28, 55, 1.0),
    "bassoon": ((70,), (70,), 34, 70, 2.0), "clarinet": ((71,), (71,), 50, 88, 1.0),
    "flute": ((73,), (73,), 60, 94, 0.0), "horn": ((60,), (60,), 41, 74, -3.0), "oboe": ((68,), (68,), 58, 88, 0.0)}
KEYBOARDS = ("piano", "harpsichord")
VIBRATO = ("violin", "viola", "cello", "flute", "oboe")  # who plays with it, in the pool
#: Voices of ensembles, from high to low, keyboards last. The pieces of a split have them in turn; all eleven classes
#: play in the first three.
ENSEMBLES = (
    ("flute", "oboe", "clarinet", "horn", "bassoon"), ("violin", "viola", "cello", "contrabass", "piano"),
    ("violin", "harpsichord"), ("violin", "violin", "viola", "cello"), ("piano",), ("violin", "cello", "piano"),
    ("clarinet", "violin", "viola", "cello"), ("horn", "violin", "piano"), ("flute", "cello", "harpsichord"),
    ("oboe", "bassoon", "piano"), ("violin",), ("cello", "piano"), ("violin", "violin", "viola", "cello"),
    ("violin", "piano"), ("flute", "violin", "viola", "cello"), ("cello",),
    ("violin", "violin", "cello", "harpsichord"), ("clarinet", "horn", "bassoon"),
    ("oboe", "violin", "viola", "cello", "contrabass"), ("clarinet", "cello", "piano"), ("piano",),
    ("violin", "viola", "cello"), ("oboe", "contrabass", "harpsichord"), ("flute", "piano"),
    ("violin", "viola", "bassoon", "contrabass"))
TEMPO, FREEDOM = (56, 138), 0.06  # beats per minute
DYNAMICS = (45, 110)  # velocity, of a section
JITTER = 0.015  # s, standard deviation of an onset: players are not quite together
BALANCE = 2.0  # dB, standard deviation of a part's level
STEP = 0.02  # s, of vibrato


class Chamber(Pieces):
    """A split of `chamber` or `chamber_pool`; items and options are those of `Pieces`. No pedal is used."""

    SIZES = {"smoke": {"pieces": (4, 3, 3), "seconds": 6.0, "rooms": 2},
             "laptop": {"pieces": (75, 8, 10), "seconds": 32.0, "rooms": 8},
             "gpu": {"pieces": (450, 16, 24), "seconds": 32.0, "rooms": 16}}
    STANDS_IN_FOR = "MusicNet-EM"
    STREAMS = ("chamber", "chamber_pool")

    classes = tuple(INSTRUMENTS)

    def perform(self, rng, seconds, i):
        voices = ENSEMBLES[i % len(ENSEMBLES)]
        form = Form(rng, seconds, TEMPO, FREEDOM, metres=(3, 4))
        clock, metre, harmony, scale = form.clock, form.metre, form.harmony, form.scale
        plays = rng.random((len(form.sections), len(voices))) < 0.8
        plays[rng.integers(len(form.sections))] = True
        lines = [[] for _ in voices]
        for bars, playing in zip(form.sections, plays):
            leads, loud = int(rng.integers(len(voices))), rng.uniform(*DYNAMICS)
            for v, name in enumerate(voices):
                if not playing[v] and v != leads:
                    continue
                if name in KEYBOARDS:
                    two = hands(rng)
                    for bar in bars:
                        for figure, centre, touch, extra in two:
                            strokes = figure(rng, harmony[bar][0], scale, centre, metre)
                            lines[v] += played(rng, clock, bar * metre, strokes, loud - 8 + extra, touch)
                else:
                    line = _line(rng, name, v / max(1, len(voices) - 1))
                    inner = INNER[rng.integers(len(INNER))]
                    texture = _tune if v == leads else _bass if v == len(voices) - 1 else inner
                    for bar in bars:
                        strokes = texture(rng, line, harmony[bar][0], scale, metre)
                        lines[v] += _sung(rng, clock, bar * metre, strokes, loud + (8 if v == leads else 0))
        parts = {}
        for name in sorted(set(voices), key=voices.index):
            own = [_one_by_one(line) if name not in KEYBOARDS else line for voice, line in zip(voices, lines)
                   if voice == name]
            parts[name] = self._part(rng, name, np.array(sum(own, [])), seconds)
        return parts, form.about | {"voices": voices}

    def _part(self, rng, name, notes, seconds):
        mine, others, low, high, level = INSTRUMENTS[name]
        pool = self.name.endswith(POOL)
        notes = separate(notes[(notes[:, 2] >= low) & (notes[:, 2] <= high)], seconds)
        bends = np.zeros((0, 2))
        if pool and name in VIBRATO:
            t = np.arange(0, seconds, STEP)
            bends = np.column_stack([t, rng.uniform(5, 20) * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * t)])
        return Part(notes, int(rng.choice(others if pool else mine)), level + rng.normal(0, BALANCE), bends=bends)


def _line(rng, name, depth):
    """A voice in the upper part of its instrument's range if it is a high one, and in the lower if not."""
    low, high = INSTRUMENTS[name][2:4]
    return Line(low, high, low + (high - low) * (0.7 - 0.4 * depth) + rng.uniform(-3, 3))


def _sung(rng, clock, beat, strokes, loud):
    """Play a line, a little before or after the others."""
    notes, touch = [], float(rng.choice((0.6, 0.9, 0.97, 0.97)))
    for at, length, pitch in strokes:
        onset = max(0.0, clock(beat + at) + np.clip(rng.normal(0, JITTER), -2 * JITTER, 2 * JITTER))
        notes.append((onset, clock(beat + at + length * touch), pitch, round(np.clip(rng.normal(loud, 5), 25, 126))))
    return notes


def _one_by_one(notes):
    """End every note of a line where the next begins."""
    notes = sorted(notes)
    return [(on, min(off, after), *how) for (on, off, *how), (after, *_) in zip(notes, [*notes[1:], (np.inf,)])]


# Textures: (rng, line, tones, scale, metre) -> strokes of beat, length in beats, pitch.

def _tune(rng, line, tones, scale, metre):
    at, strokes = 0.0, []
    while at < metre:
        length = min(float(rng.choice((0.25, 0.5, 0.5, 1, 1, 1.5, 2))), metre - at)
        pitch = line.to(tones) if at == 0 else line.to(scale, int(rng.choice((-2, -1, -1, 1, 1, 2))))
        if at == 0 or rng.random() > 0.1:
            strokes.append((at, length, pitch))
        at += length
    return strokes


def _bass(rng, line, tones, scale, metre):
    step = float(rng.choice((0.5, 1, 2, metre)))
    return [(at, min(step, metre - at), line.to(tones[:1] if at == 0 else (tones[0], tones[2])))
            for at in np.arange(0, metre, step)]


def _sustained(rng, line, tones, scale, metre):
    return [(0, metre, line.to(tones[:3]))]


def _repeated(rng, line, tones, scale, metre):
    pitch = line.to(tones[:3])
    return [(at, 0.5, pitch) for at in np.arange(0, metre, 0.5)]


def _broken(rng, line, tones, scale, metre):
    step = float(rng.choice((0.5, 0.25)))
    return [(k * step, step, line.to(tones[:3], (0, 1, 1, -1)[k % 4])) for k in range(round(metre / step))]


def _offbeats(rng, line, tones, scale, metre):
    pitch = line.to(tones[:3])
    return [(at + 0.5, 0.5, pitch) for at in range(metre)]


INNER = (_sustained, _sustained, _repeated, _broken, _offbeats, _tune)
