"""The corpora ``piano`` and ``piano_pool``: solo piano, both hands and the pedal. They stand in for MAESTRO.

A piece has a key, a metre, a tempo that breathes, and sections of some bars; in each, either hand plays one *figure*
over the chords. A figure returns *strokes*: beat within the bar, length in beats, pitches.

Contents
--------
Piano
    A split, clip by clip.
hands, played
    What the keyboards of `chamber` share with it.
"""
from __future__ import annotations

import numpy as np

from weaklib.corpora import Option
from weaklib.corpora.composer import separate
from weaklib.corpora.pieces import Form, Part, Pieces, ladder
from weaklib.rolls import LOWEST, PITCHES

HIGHEST = LOWEST + PITCHES - 1
#: General MIDI programs. What is tested sounds otherwise than what is learnt from, and so does the pool.
PROGRAMS = {"piano": {"train": (0, 1), "validation": (0, 1), "test": (2,)},
            "piano_pool": {"train": (1, 3), "validation": (1, 3), "test": (1, 3)}}
TEMPO = (54, 132)  # beats per minute
FREEDOM = 0.12  # of the tempo
DYNAMICS = (36, 104)  # velocity, of a section
JITTER = 0.01  # s, standard deviation of an onset
PEDALLED = {"no": 0.3, "bar": 0.45, "half": 0.25}  # how often the pedal changes, by share of the sections


class Piano(Pieces):
    """A split of `piano` or `piano_pool`; its items are those of `Pieces`.

    Options
    -------
    duration, hop_length
        As of `Pieces`.
    pedal : bool
        Whether notes go on while the sustain pedal is down, that is while its controller is at 64 or above.
    """

    SIZES = {"smoke": {"pieces": (4, 3, 3), "seconds": 6.0, "rooms": 2},
             "laptop": {"pieces": (112, 8, 12), "seconds": 32.0, "rooms": 8},
             "gpu": {"pieces": (450, 16, 24), "seconds": 32.0, "rooms": 16}}
    OPTIONS = Pieces.OPTIONS | {"pedal": Option(bool, True)}
    STANDS_IN_FOR = "MAESTRO"
    STREAMS = ("piano", "piano_pool")

    classes = ("piano",)

    def perform(self, rng, seconds, i):
        form = Form(rng, seconds, TEMPO, FREEDOM, metres=(3, 4, 4))
        clock, metre, harmony, scale = form.clock, form.metre, form.harmony, form.scale
        notes, pedal = [], []
        for bars in form.sections:
            both, loud = hands(rng), rng.uniform(*DYNAMICS)
            change = str(rng.choice(list(PEDALLED), p=list(PEDALLED.values())))
            swell = rng.normal(0, 14) / len(bars)
            for k, bar in enumerate(bars):
                tones = _spiced(rng, harmony[bar][0], harmony[bar + 1][0])
                for figure, centre, touch, extra in both:
                    strokes = figure(rng, tones, scale, centre, metre)
                    notes += played(rng, clock, bar * metre, strokes, loud + k * swell + extra, touch)
                pedal += _pedalled(rng, clock, bar * metre, metre, change)
        notes = np.array(notes)
        notes = separate(notes[(notes[:, 2] >= LOWEST) & (notes[:, 2] <= HIGHEST)], seconds)
        pedal = np.array([*pedal, (seconds, 0)], dtype=float)
        pedal = pedal[pedal[:, 0] <= seconds]
        part = Part(notes, int(rng.choice(PROGRAMS[self.name][self.split])), pedal=pedal[np.argsort(pedal[:, 0])])
        return {"piano": part}, form.about


def hands(rng):
    """Draw what the hands of a section do: figure, centre of its range, share of a length that is held, accent."""
    left, right = (choices[rng.integers(len(choices))] for choices in (LEFT, RIGHT))
    touch = [float(rng.choice((0.45, 0.85, 1.0, 1.05))) for _ in range(2)]
    return [(left, rng.uniform(34, 55), touch[0], -6), (right, rng.uniform(62, 92), touch[1], 5)]


def _spiced(rng, tones, following):
    """A chord, or now and then the dominant seventh of the next."""
    return tones if rng.random() > 0.15 else [(following[0] + step) % 12 for step in (7, 11, 2, 5)]


def played(rng, clock, beat, strokes, loud, touch):
    """Play strokes as a hand does: not quite together, the top of a chord the loudest, some chords rolled."""
    notes = []
    for at, length, pitches in strokes:
        onset = clock(beat + at) + np.clip(rng.normal(0, JITTER), -3 * JITTER, 3 * JITTER)
        offset = clock(beat + at + length * touch)
        spread = rng.uniform(0.03, 0.06) if len(pitches) > 2 and rng.random() < 0.08 else rng.uniform(0, 0.006)
        accent = loud + rng.normal(0, 5) + (4 if at == 0 else 0)
        for k, pitch in enumerate(sorted(set(pitches))):
            velocity = round(np.clip(accent + rng.normal(0, 3) + (6 if pitch == max(pitches) else -3), 12, 126))
            notes.append((max(0.0, onset + k * spread), offset, pitch, velocity))
    return notes


def _pedalled(rng, clock, beat, metre, change):
    """Change the pedal with the harmony: up just after the beat, down again once the new notes sound."""
    if change == "no":
        return [(clock(beat) + 0.03, 0)]
    events = []
    for at in (0,) if change == "bar" else (0, metre / 2):
        up = clock(beat + at) + rng.uniform(0.01, 0.05)
        events += [(up, 0), (up + rng.uniform(0.06, 0.14), int(rng.integers(80, 128)))]
    return events


# Figures: (rng, tones, scale, centre, metre) -> strokes. `tones` and `scale` are pitch classes, `tones` the root first.


def _near(tones, centre, n):
    """The `n` pitches of some pitch classes about a pitch."""
    found = ladder(tones, centre - 14, centre + 14)
    return sorted(sorted(found, key=lambda pitch: abs(pitch - centre))[:n])


def _root(tones, centre):
    """The root of a chord, not far below a pitch, and where the keys end not below them."""
    return max(ladder(tones[:1], LOWEST, max(centre, LOWEST + 12)))


def _blocks(rng, tones, scale, centre, metre):
    pitches = _near(tones, centre, rng.integers(3, 5))
    step = float(rng.choice((1, 1, 2, 0.5)))
    return [(at, step, pitches) for at in np.arange(0, metre, step)]


def _stride(rng, tones, scale, centre, metre):
    low, chord = _root(tones, centre - 10), _near(tones, centre + 4, 3)
    return [(at, 1, [low, low + 12] if at % 2 == 0 else chord) for at in range(metre)]


def _alberti(rng, tones, scale, centre, metre):
    low, middle, high = _near(tones[:3], centre, 3)
    step = float(rng.choice((0.5, 0.25)))
    order = [low, high, middle, high]
    return [(k * step, step, [order[k % 4]]) for k in range(round(metre / step))]


def _arpeggio(rng, tones, scale, centre, metre):
    pitches = ladder(tones[:rng.integers(3, 5)], centre - 15, centre + 15)
    turn = pitches + pitches[-2:0:-1]
    step = float(rng.choice((0.5, 1 / 3, 0.25)))
    first = rng.integers(len(turn))
    return [(k * step, step * rng.choice((1, 2)), [turn[(first + k) % len(turn)]]) for k in range(round(metre / step))]


def _octaves(rng, tones, scale, centre, metre):
    line = _line(rng, scale, centre - 8, metre)
    return [(at, 1, [line[at], line[at] + 12]) for at in range(metre)]


def _tremolo(rng, tones, scale, centre, metre):
    low = _root(tones, centre - 4)
    return [(k / 4, 0.25, [(low, low + 12)[k % 2]]) for k in range(4 * metre)]


def _drone(rng, tones, scale, centre, metre):
    low = _root(tones, centre - 6)
    return [(0, metre, [low, low + 7, low + 12])]


def _melody(rng, tones, scale, centre, metre):
    """A line in some rhythm, with rests; or doubled in thirds, sixths or octaves below."""
    below, at, strokes = int(rng.choice((0, 0, 2, 5, 7))), 0.0, []
    keys = ladder(scale, LOWEST, HIGHEST)
    line = _line(rng, scale, centre, 4 * metre)
    while at < metre:
        length = min(float(rng.choice((0.25, 0.5, 0.5, 1, 1, 1.5, 2))), metre - at)
        if rng.random() > 0.12:
            top = line[len(strokes)]
            strokes.append((at, length, [top, keys[max(0, keys.index(top) - below)]]))
        at += length
    return strokes


def _runs(rng, tones, scale, centre, metre):
    step = float(rng.choice((0.25, 0.25, 1 / 6)))
    keys = ladder(scale, centre - 20, centre + 16)
    at, way, strokes = int(rng.integers(len(keys))), int(rng.choice((-1, 1))), []
    for k in range(round(metre / step)):
        strokes.append((k * step, step, [keys[at]]))
        if not 0 <= at + way < len(keys) or rng.random() < 0.08:
            way = -way
        at = int(np.clip(at + way, 0, len(keys) - 1))
    return strokes


def _chordal(rng, tones, scale, centre, metre):
    """A melody in octaves with the chord between."""
    line = _line(rng, tones, centre, metre)
    return [(at, 1, [line[at], line[at] - 12, *ladder(tones[:3], line[at] - 11, line[at] - 1)]) for at in range(metre)
            if at == 0 or rng.random() > 0.2]


def _offbeats(rng, tones, scale, centre, metre):
    pitches = _near(tones, centre, rng.integers(3, 6))
    return [(at + 0.5, 0.5, pitches) for at in range(metre)]


def _trill(rng, tones, scale, centre, metre):
    low, high = _near(scale, centre, 2)
    n = 6 * (metre - 1)
    return [(k / 6, 1 / 6, [(low, high)[k % 2]]) for k in range(n)] + [(metre - 1, 1, _near(tones, centre - 3, 3))]


def _rest(rng, tones, scale, centre, metre):
    return [(0, 1, _near(tones, centre, 1))]


def _line(rng, pitch_classes, centre, n):
    """A random walk about a pitch."""
    keys = ladder(pitch_classes, max(LOWEST, centre - 12), min(HIGHEST, centre + 12))
    at, line = len(keys) // 2, []
    for _ in range(n):
        line.append(keys[at])
        at = int(np.clip(at + rng.choice((-3, -2, -1, -1, 1, 1, 2, 3)), 0, len(keys) - 1))
    return line


LEFT = (_blocks, _stride, _alberti, _arpeggio, _arpeggio, _octaves, _tremolo, _drone, _drone)
RIGHT = (_melody, _melody, _melody, _runs, _chordal, _chordal, _arpeggio, _offbeats, _trill, _rest)
