"""Phrases for the players of `instruments`: notes, bends and swells in the manner of an instrument.

A *figure* fills a bar: ``(rng, line, tones, scale, metre)`` -> strokes of beat, length in beats, and pitches in the
order in which they are struck. `tones` and `scale` are pitch classes, `tones` with the root first; the keys of a drum
kit stand where pitches do. A manner of playing has two sets of figures that have none in common, one for each corpus.

Contents
--------
Manner
    How an instrument is played; the manners are those in capitals below.
phrase
    Notes.
bends, swells
    What a player does with a note while it sounds.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weaklib.corpora.composer import separate
from weaklib.corpora.piano import LEFT, RIGHT
from weaklib.corpora.pieces import Form, Line, ladder

FREEDOM = 0.05  # of the tempo
LONGEST_BAR = 5.0  # s: the last bar of a phrase may be cut off, but none is missing
DYNAMICS = (58, 112)  # velocity, of a section
JITTER = 0.008  # s, standard deviation of an onset
STEP = 0.016  # s, of bends and swells
SWELLS = 1.5  # turns per second of a phrase that is played louder and softer
PIANO = {figure.__name__.strip("_"): figure for figure in (*LEFT, *RIGHT)}  # of either hand
STRINGS = 30  # semitones of range from which on a plucked instrument has six strings, and four below


@dataclass(frozen=True)
class Manner:
    """How an instrument is played.

    Attributes
    ----------
    figures : pair of tuple of callable
        Those of `instruments` and of `instruments_pool`.
    tempo : (float, float), beats per minute
    touch : (float, float)
        For which share of its length a stroke is held; more than 1 lets it ring.
    strum : (float, float), s
        From one pitch of a stroke to the next.
    single : bool
        Whether a note ends where the next begins.
    slides, presses : float
        How often a note is reached by a slide, and how often a string is pressed once it sounds.
    vibrato : (float, float), cents
    swell : float
        How far the level of a note moves at its beginning, as a share of it.
    pentatonic : bool
    drone : bool
        Whether the tonic sounds all the time in two octaves below.
    """

    figures: tuple[tuple, tuple]
    tempo: tuple[float, float] = (64, 126)
    touch: tuple[float, float] = (0.9, 1.0)
    strum: tuple[float, float] = (0.0, 0.006)
    single: bool = False
    slides: float = 0.0
    presses: float = 0.0
    vibrato: tuple[float, float] = (0.0, 0.0)
    swell: float = 0.0
    pentatonic: bool = False
    drone: bool = False


def phrase(rng, manner: Manner, low: int, high: int, seconds: float, pool: bool) -> tuple[np.ndarray, dict]:
    """Draw a phrase that goes on for some seconds and is cut off then.

    Returns
    -------
    notes : array, shape=(n, 4)
        Onset (s), offset (s), MIDI pitch, velocity, by onset.
    about : dict
        Key, tempo and metre, and the figure of each section.
    """
    form = Form(rng, seconds + LONGEST_BAR, manner.tempo, FREEDOM, metres=(3, 4, 4))
    clock, metre = form.clock, form.metre
    line = Line(low, high, low + (high - low) * rng.uniform(0.25, 0.75))
    notes, names = [], []
    for bars in form.sections:
        figure = manner.figures[pool][rng.integers(len(manner.figures[pool]))]
        loud, touch, strum = rng.uniform(*DYNAMICS), rng.uniform(*manner.touch), rng.uniform(*manner.strum)
        names.append(figure.__name__)
        for bar in bars:
            tones, pentatonic = form.harmony[bar]
            for at, length, pitches in figure(rng, line, tones, pentatonic if manner.pentatonic else form.scale, metre):
                onset = clock(bar * metre + at) + np.clip(rng.normal(0, JITTER), -2 * JITTER, 2 * JITTER)
                offset = clock(bar * metre + at + length * touch)
                accent = loud + rng.normal(0, 5) + 6 * (at == 0)
                notes += [(onset + k * strum, offset, pitch, round(np.clip(accent + rng.normal(0, 2), 25, 126)))
                          for k, pitch in enumerate(pitches)]
    notes = np.array([note for note in notes if note[0] < seconds and low <= note[2] <= high])
    if manner.single:
        notes = notes[np.argsort(notes[:, 0], kind="stable")]
        notes[:-1, 1] = np.minimum(notes[:-1, 1], notes[1:, 0])
    if manner.drone:
        tonic = ladder(form.harmony[-1][0][:1], low - 24, low - 13)[0]
        notes = np.concatenate([notes, [(0, seconds, tonic, 80), (0, seconds, tonic + 12, 90)]])
    return separate(notes, seconds), form.about | {"figures": names}


def bends(rng, manner: Manner, notes, rate: float, seconds: float) -> np.ndarray:
    """Slide to notes, press strings, beat with vibrato at `rate` (Hz) -> (n, 2), time (s) and cents."""
    if not (manner.slides or manner.presses or manner.vibrato[1]):
        return np.zeros((0, 2))
    t, last, since = _since(notes, seconds)
    n = len(notes)
    start = np.clip(100 * (np.append(notes[0, 2] - 1, notes[:-1, 2]) - notes[:, 2]), -200, 200)
    start = np.where(rng.random(n) < manner.slides, np.where(start, start, -100), 0)
    rise = rng.uniform(0.05, 0.14, n)
    press = np.where(rng.random(n) < manner.presses, rng.choice((-1, 1, 1, 2), n) * rng.uniform(60, 100, n), 0)
    wait = rng.uniform(0.06, 0.25, n)
    depth, late = rng.uniform(*manner.vibrato), rng.uniform(0.05, 0.25)
    cents = start[last] * np.maximum(1 - since / rise[last], 0)
    cents += press[last] * np.clip((since - wait[last]) / 0.08, 0, 1)
    cents += depth * np.clip((since - late) / 0.2, 0, 1) * np.sin(2 * np.pi * rate * t)
    return np.column_stack([t, cents])


def swells(rng, manner: Manner, notes, soft: bool, seconds: float) -> np.ndarray:
    """Play notes in softly or with an accent, and the phrase louder and softer -> (n, 2), time (s) and amplitude."""
    if not manner.swell:
        return np.zeros((0, 2))
    t, _, since = _since(notes, seconds)
    gone = np.exp(-since / rng.uniform(0.04, 0.2))
    begins = 1 - manner.swell * (gone if soft else 1 - gone)
    turns = rng.uniform(0.7, 1, int(SWELLS * seconds) + 3)
    return np.column_stack([t, begins * np.interp(t * SWELLS + rng.random(), np.arange(len(turns)), turns)])


def _since(notes, seconds):
    """Times (s), which note began last by then, and how long ago."""
    t = np.arange(0, seconds, STEP)
    last = np.maximum(np.searchsorted(notes[:, 0], t, "right") - 1, 0)
    return t, last, np.maximum(t - notes[last, 0], 0)


# ---- one note at a time --------------------------------------------------------------------------------------------


def tune(rng, line, tones, scale, metre):
    """Steps and small leaps in a rhythm that changes, from a tone of the chord on."""
    at, strokes = 0.0, []
    while at < metre:
        length = min(float(rng.choice((0.25, 0.5, 0.5, 1, 1, 1.5))), metre - at)
        pitch = line.to(scale, int(rng.choice((-2, -1, -1, 1, 1, 2)))) if at else line.to(tones)
        strokes.append((at, length, [pitch]))
        at += length
    return strokes


def runs(rng, line, tones, scale, metre):
    """Up or down the scale, and back where the instrument ends."""
    step, way = float(rng.choice((0.25, 0.5))), int(rng.choice((-1, 1)))
    strokes = []
    for at in np.arange(0, metre, step):
        before = line.pitch
        strokes.append((at, step, [line.to(scale, way)]))
        way = way if (line.pitch - before) * way > 0 else -way
    return strokes


def broken(rng, line, tones, scale, metre):
    """The tones of the chord one by one."""
    step = float(rng.choice((0.5, 0.5, 0.25)))
    turn = ((1, 1, -1, -1), (1, 1, 1, -3), (-1, -1, 2, 1), (2, -1, 2, -3))[rng.integers(4)]
    return [(at, step, [line.to(tones[:3], turn[k % 4])]) for k, at in enumerate(np.arange(0, metre, step))]


def held(rng, line, tones, scale, metre):
    """Long notes."""
    length = float(rng.choice((1, 2, metre)))
    return [(at, min(length, metre - at), [line.to(tones[:3], int(rng.choice((-1, 0, 1))))])
            for at in np.arange(0, metre, length)]


def sequence(rng, line, tones, scale, metre):
    """A motif of four notes, again and again from the next step of the scale."""
    step, motif, way = float(rng.choice((0.25, 0.5))), rng.choice((-2, -1, 1, 2), 3), int(rng.choice((-1, 1)))
    moves = (way - int(motif.sum()), *motif.tolist())
    return [(at, step, [line.to(scale, moves[k % 4])]) for k, at in enumerate(np.arange(0, metre, step))]


def leaps(rng, line, tones, scale, metre):
    """Up and down by turns, a fourth to an octave."""
    step, wide = float(rng.choice((0.5, 1))), int(rng.integers(3, 8))
    return [(at, step, [line.to(scale, (wide, 1 - wide)[k % 2])]) for k, at in enumerate(np.arange(0, metre, step))]


def dotted(rng, line, tones, scale, metre):
    """Long and short by turns."""
    long = float(rng.choice((0.75, 2 / 3)))
    strokes = []
    for at in range(metre):
        strokes.append((at, long, [line.to(tones[:3], int(rng.choice((-1, 0, 1))))]))
        strokes.append((at + long, 1 - long, [line.to(scale, int(rng.choice((-1, 1))))]))
    return strokes


def turns(rng, line, tones, scale, metre):
    """A tone of the chord, its neighbour, and back, on every beat."""
    strokes = []
    for at in range(metre):
        way = int(rng.choice((-1, 1)))
        strokes += [(at, 0.5, [line.to(tones, int(rng.choice((-1, 0, 1))))]), (at + 0.5, 0.25, [line.to(scale, way)]),
                    (at + 0.75, 0.25, [line.to(scale, -way)])]
    return strokes


def _graced(figure):
    """A figure whose longer notes begin with a short one above, as a bagpipe parts its notes."""
    def graced(rng, line, tones, scale, metre):
        strokes = []
        for at, length, (pitch,) in figure(rng, line, tones, scale, metre):
            grace = ladder(scale, pitch + 1, line.high)[:3]
            if length >= 0.5 and grace:
                strokes += [(at, 0.125, [grace[rng.integers(len(grace))]]), (at + 0.125, length - 0.125, [pitch])]
            else:
                strokes.append((at, length, [pitch]))
        return strokes
    graced.__name__ = f"graced {figure.__name__}"
    return graced


# ---- strings that are plucked --------------------------------------------------------------------------------------


def _shape(line, tones):
    """What the strings hold of a chord, from low to high."""
    strings = 6 if line.high - line.low >= STRINGS else 4
    return ladder(tones[:3], max(line.low, line.pitch - 14), line.high)[:strings]


def strummed(rng, line, tones, scale, metre):
    """Down on the beat, up off it, where the lowest strings are not reached."""
    shape = _shape(line, tones)
    return [(at, 0.5, shape if at % 1 == 0 else shape[:0:-1]) for at in np.arange(0, metre, 0.5)
            if at % 1 == 0 or rng.random() < 0.65]


def picked(rng, line, tones, scale, metre):
    """The strings of a chord one by one."""
    shape, step = _shape(line, tones), float(rng.choice((0.5, 0.5, 0.25)))
    order = [0, *rng.permutation(np.arange(1, len(shape)))]
    return [(at, step, [shape[order[k % len(order)]]]) for k, at in enumerate(np.arange(0, metre, step))]


def thumbed(rng, line, tones, scale, metre):
    """The two lowest strings by turns on the beat, the others between."""
    low, other, *high = _shape(line, tones)
    high = high or [other + 12]
    strokes = [(at, 1, [(low, other)[at % 2]]) for at in range(metre)]
    return strokes + [(at + 0.5, 0.5, [high[rng.integers(len(high))]]) for at in range(metre)]


def chopped(rng, line, tones, scale, metre):
    """A bass note, then the chord above it."""
    low, *others = _shape(line, tones)
    return [(at, 1, [low]) if at % 2 == 0 else (at, 0.6, others) for at in range(metre)] + [
        (at + 0.5, 0.5, others[::-1]) for at in range(metre) if rng.random() < 0.5]


def rolls(rng, line, tones, scale, metre):
    """Three fingers in rolls of eight over five strings, the fifth of which is a high drone."""
    strings = [*_shape(line, tones), line.high - (line.high - tones[0]) % 12]
    turn = ((1, 2, 4, 1, 2, 4, 1, 2), (2, 1, 4, 3, 2, 1, 4, 3), (0, 2, 3, 4, 3, 2, 0, 3))[rng.integers(3)]
    return [(at, 0.25, [strings[turn[k % 8] % len(strings)]]) for k, at in enumerate(np.arange(0, metre, 0.25))]


def frailed(rng, line, tones, scale, metre):
    """A note, a brush over the strings, the drone: bum-ditty."""
    shape, drone = _shape(line, tones), line.high - (line.high - tones[0]) % 12
    strokes = []
    for at in range(metre):
        strokes += [(at, 0.5, [line.to(scale, int(rng.choice((-1, 1))))]), (at + 0.5, 0.25, shape[1:]),
                    (at + 0.75, 0.25, [drone])]
    return strokes


def swept(rng, line, tones, scale, metre):
    """Over the strings with one stroke of the hand, then a long note."""
    strokes, way = [], int(rng.choice((-1, 1)))
    for at in range(0, metre, 2):
        strokes += [(at + k / 8, 1, [line.to(scale, way)]) for k in range(8)]
        if at + 1 < metre:
            strokes.append((at + 1, 1, [line.to(tones)]))
        way = -way
    return strokes


def octaves(rng, line, tones, scale, metre):
    """Long and short by turns, in octaves."""
    above = Line(line.low + 12, line.high, line.pitch)
    strokes = dotted(rng, above, tones, scale, metre)
    line.pitch = above.pitch
    return [(at, length, [pitch - 12, pitch]) for at, length, (pitch,) in strokes]


def trembled(rng, line, tones, scale, metre):
    """Long notes, each struck many times."""
    length = float(rng.choice((1, 1, 2)))
    pitches = [line.to(scale, int(rng.choice((-2, -1, 1, 2)))) for _ in np.arange(0, metre, length)]
    return [(at, 0.125, [pitches[int(at // length)]]) for at in np.arange(0, metre, 0.125)]


def fanned(rng, line, tones, scale, metre):
    """Four strings at once, then notes one by one."""
    strokes = []
    for at in range(metre):
        top = line.to(scale, int(rng.choice((-1, 1))))
        strokes += [(at, 0.5, ladder(scale, top - 14, top)[-4:])]
        strokes += [(at + 0.5 + k / 4, 0.25, [line.to(scale, int(rng.choice((-1, 1))))]) for k in range(2)]
    return strokes


# ---- keys, bars, bass ----------------------------------------------------------------------------------------------


def shaken(rng, line, tones, scale, metre):
    """Two bars by turns, a third to an octave apart."""
    below, strokes = int(rng.choice((2, 3, 5, 7))), []
    for at in range(metre):
        top = line.to(scale, int(rng.choice((-1, 1, 2))))
        keys = ladder(scale, line.low, top)
        two = (top, keys[max(0, len(keys) - 1 - below)])
        strokes += [(at + k / 8, 0.125, [two[k % 2]]) for k in range(8)]
    return strokes


def accompanied(rng, line, tones, scale, metre):
    """A tune over a chord that is held."""
    above = Line(line.low + 14, line.high, line.pitch)
    strokes = [(0, metre, ladder(tones[:3], line.low, line.low + 14)[:3]), *tune(rng, above, tones, scale, metre)]
    line.pitch = above.pitch
    return strokes


def waltzed(rng, line, tones, scale, metre):
    """A bass note, chords after it, and thirds above."""
    low, *chord = ladder(tones[:3], line.low, line.high)[:4]
    above = Line(line.low + 16, line.high - 4, line.pitch)
    thirds = []
    for at in range(metre):
        line.pitch = above.to(scale, int(rng.choice((-1, 0, 1))))
        thirds.append((at, 1, [line.pitch, *ladder(scale, line.pitch + 3, line.pitch + 4)[:1]]))
    return [(0, 1, [low])] + [(at, 0.7, chord) for at in range(1, metre)] + thirds


def _hands(left, right):
    """Two hands of a pianist, with a figure of `piano` each."""
    def both(rng, line, tones, scale, metre):
        centre = line.low + (line.pitch - line.low) / 2
        return (PIANO[left](rng, tones, scale, centre, metre)
                + PIANO[right](rng, tones, scale, centre + 28, metre))
    both.__name__ = f"{left} and {right}"
    return both


def _root(rng, line, tones):
    """A root with room for its octave."""
    roots = ladder(tones[:1], line.low, line.high - 12)
    line.pitch = roots[rng.integers(len(roots))]
    return line.pitch


def walking(rng, line, tones, scale, metre):
    """A note on every beat, the root on the first."""
    return [(at, 1, [line.to(tones[:1]) if at == 0 else line.to(scale, int(rng.choice((-1, 1, 2))))])
            for at in range(metre)]


def riff(rng, line, tones, scale, metre):
    """Root, fifth and octave in a rhythm that pushes."""
    root = _root(rng, line, tones)
    onsets = [0, *sorted(rng.choice(np.arange(1, 2 * metre), metre, replace=False))]
    return [(on / 2, (off - on) / 2, [root + int(rng.choice((0, 0, 7, 12, 10)))])
            for on, off in zip(onsets, [*onsets[1:], 2 * metre])]


def pumping(rng, line, tones, scale, metre):
    """The root in eighths, with a step to the next bar."""
    root = _root(rng, line, tones)
    return [(at, 0.5, [root]) for at in np.arange(0, metre - 0.5, 0.5)] + [(metre - 0.5, 0.5, [line.to(scale, 1)])]


def jumping(rng, line, tones, scale, metre):
    """The root and its octave by turns, in sixteenths here and there."""
    root, strokes = _root(rng, line, tones), []
    for at in range(metre):
        strokes += [(at, 0.5, [root]), (at + 0.5, 0.5, [root + 12])] if rng.random() < 0.7 else [
            (at, 0.5, [root]), (at + 0.5, 0.25, [root + 12]), (at + 0.75, 0.25, [root + 12])]
    return strokes


# ---- drums ---------------------------------------------------------------------------------------------------------

KICK, STICK, SNARE, CLOSED, OPEN, RIDE, CRASH = 36, 37, 38, 42, 46, 51, 49
TOMS = (50, 48, 47, 45, 43, 41)
MUTED, SLAPPED, LOW = 62, 63, 64  # congas


def beat(rng, line, tones, scale, metre):
    """Hi-hat, bass drum and snare, as in most songs."""
    step = float(rng.choice((0.5, 0.5, 0.25)))
    hats = [(at, step, [OPEN if rng.random() < 0.08 else CLOSED]) for at in np.arange(0, metre, step)]
    kicks = [(at, 0.5, [KICK]) for at in np.arange(0, metre, 0.5) if at == 0 or rng.random() < 0.3]
    return hats + kicks + [(at, 0.5, [SNARE]) for at in range(1, metre, 2)]


def fill(rng, line, tones, scale, metre):
    """Sixteenths down the toms, and a cymbal."""
    drums = (SNARE, *TOMS)
    strokes = [(at, 0.25, [drums[min(int(at / metre * 7 + rng.random()), 6)]]) for at in np.arange(0, metre, 0.25)
               if rng.random() < 0.85]
    return strokes + [(0, 2, [CRASH])] + [(at, 0.5, [KICK]) for at in range(metre)]


def swing(rng, line, tones, scale, metre):
    """The ride cymbal in triplets, side sticks, a snare that comments."""
    rides = [(at, 0.5, [RIDE]) for at in range(metre)] + [(at + 2 / 3, 0.3, [RIDE]) for at in range(metre) if at % 2]
    comments = [(at + float(rng.choice((0, 1 / 3, 2 / 3))), 0.3, [int(rng.choice((SNARE, SNARE, STICK, KICK)))])
                for at in range(metre)]
    return rides + comments


def tribal(rng, line, tones, scale, metre):
    """Toms in eighths over the bass drum."""
    step, two = float(rng.choice((0.5, 0.25))), rng.choice(TOMS, 2, replace=False).tolist()
    return [(at, step, [two[int(rng.random() < 0.4)]]) for at in np.arange(0, metre, step)] + [
        (at, 0.5, [KICK]) for at in range(metre)]


def tumbao(rng, line, tones, scale, metre):
    """Palm and fingers on the high conga, a slap on two, two open notes at the end of the bar."""
    strokes = [(at, 0.5, [MUTED]) for at in np.arange(0, metre - 1, 0.5) if at != 1]
    return strokes + [(1, 0.5, [SLAPPED]), (metre - 1, 0.5, [LOW]), (metre - 0.5, 0.5, [SLAPPED])]


def rumba(rng, line, tones, scale, metre):
    """Sixteenths from hand to hand, open notes where it pleases."""
    return [(at, 0.25, [int(rng.choice((LOW, SLAPPED, MUTED), p=(0.35, 0.35, 0.3)))])
            for at in np.arange(0, metre, 0.25) if at % 1 == 0 or rng.random() < 0.75]


LINES, OTHER_LINES = (tune, tune, runs, broken, held), (sequence, leaps, dotted, turns)
WIND = Manner((LINES, OTHER_LINES), touch=(0.8, 1.0), single=True, slides=0.1, vibrato=(0, 18), swell=0.4)
BOWED = Manner((LINES, OTHER_LINES), single=True, slides=0.2, vibrato=(8, 28), swell=0.35)
SLIDING = Manner(((tune, held), (turns, dotted, sequence)), (56, 104), single=True, slides=0.65, vibrato=(20, 45),
                 swell=0.3, pentatonic=True)
PIPES = Manner((tuple(map(_graced, (tune, held))), tuple(map(_graced, (sequence, dotted)))), (56, 92), drone=True)
STRUMMED = Manner(((strummed, picked), (thumbed, chopped)), (72, 132), (1.0, 2.0), (0.006, 0.03))
BANJO = Manner(((rolls,), (frailed,)), (92, 138), (0.9, 1.4), (0.004, 0.02))
ZITHER = Manner(((swept, tune), (octaves, sequence)), (56, 96), (1.5, 3.0), (0.0, 0.02), presses=0.3, pentatonic=True)
LUTE = Manner(((trembled, runs), (fanned, turns)), (60, 96), (1.0, 1.6), (0.005, 0.02), presses=0.25, pentatonic=True)
MALLETS = Manner(((trembled, runs, broken), (shaken, leaps)), (60, 96), (1.0, 1.0))
BELLOWS = Manner(((accompanied,), (waltzed,)), (70, 132), (0.85, 1.0), swell=0.1)
KEYS = Manner(((_hands("blocks", "melody"), _hands("stride", "runs"), _hands("alberti", "chordal")),
               (_hands("arpeggio", "offbeats"), _hands("octaves", "arpeggio"), _hands("tremolo", "trill"))),
              (60, 120), (0.85, 1.2), (0.0, 0.01))
BASS = Manner(((walking, riff), (pumping, jumping)), (72, 132), (0.8, 1.0), single=True, slides=0.08)
KIT = Manner(((beat, beat, fill), (swing, tribal)), (92, 138))
HANDS = Manner(((tumbao,), (rumba,)), (96, 144))
