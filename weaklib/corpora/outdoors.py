"""Make sounds of the world once more, and in other ways than `foley` does, so that there is a gap to bridge.

Every function ``name(rng, n)`` returns one random instance of a class at `SR`: a float array, shape=(time,), of any
level. Textures go on for `n` samples; events are at most `n` samples long and start at once. Where a class of `foley`
has the same name, such as rain, another physical model makes it.

Contents
--------
TEXTURES, MUSIC
    Classes that go on, by name; those of the second are played by a SoundFont.
EVENTS
    Classes that begin and end, by name.
crowd
    A murmur, made of utterances.
microphone
    What a recording device does to a spectrum.
"""
from __future__ import annotations

import numpy as np

from weaklib.corpora import material as of
from weaklib.corpora.material import SR

# ---- textures ------------------------------------------------------------------------------------------------------


def traffic(rng, n):
    """Vehicles that pass: loud when near, their pitch falling as they do."""
    t, x = of.time(n), of.coloured(rng, n, rng.uniform(1, 1.6))
    for _ in range(rng.integers(1, 4)):
        away = (t - rng.uniform(0, n / SR)) / rng.uniform(0.3, 1.5)
        pitch = rng.uniform(40, 110) * (1 - 0.08 * np.tanh(away))
        motor = of.tone(pitch, 1 / np.arange(1, 20) ** rng.uniform(0.6, 1.2))
        tyres = of.noise(rng, n, rng.uniform(300, 800), rng.uniform(1500, 4000))
        x += rng.uniform(1, 4) * (0.6 * of.unit(motor) + tyres) / (1 + away ** 2)
    return x


def train(rng, n):
    """Wheels over the joints of rails, two axles at a time, and the rolling in between."""
    period, gap = rng.uniform(0.5, 1.2), rng.uniform(0.1, 0.2)
    clack = of.ring(rng, rng.uniform(90, 900, 6), rng.uniform(0.04, 0.15), of.samples(0.3))
    onsets = np.arange(0, n / SR, period)[:, None] + np.array([0, gap])
    clacks = of.place(n, onsets.ravel(), [clack * a for a in rng.uniform(0.6, 1, onsets.size)])
    squeal = of.tone(rng.uniform(1800, 3500) * of.curve(rng, n, 3, 0.99, 1.01)) * of.curve(rng, n, 1, 0, 1) ** 4
    rolling = of.coloured(rng, n, rng.uniform(0.9, 1.4)) * of.curve(rng, n, 2, 0.7, 1)
    return rng.uniform(0.5, 1.5) * of.unit(clacks) + rolling + rng.uniform(0, 0.3) * squeal


def ventilation(rng, n):
    """The hum of the mains, a fan and its air."""
    hum = of.tone(rng.choice((50.0, 60.0)), rng.uniform(0, 1, 12) / np.arange(1, 13), n)
    blades = of.tone(rng.uniform(150, 400) * of.curve(rng, n, 0.5, 0.995, 1.005), (1, 0.4, 0.2))
    air = of.coloured(rng, n, rng.uniform(1.2, 2.2))
    return air + rng.uniform(0.1, 0.6) * of.unit(hum) + rng.uniform(0, 0.3) * blades


def rain(rng, n):
    """Drops on a roof, each of which makes it ring."""
    roof = of.ring(rng, rng.uniform(400, 5000, 12), rng.uniform(0.008, 0.04), of.samples(0.06))
    drops = of.echoed(of.impulses(rng, n, rng.uniform(100, 900), 1.2), roof)
    return of.unit(drops) + rng.uniform(0.1, 0.6) * of.coloured(rng, n, rng.uniform(0, 0.8))


def wind(rng, n):
    """Octaves of noise that swell together, the higher ones later and more, and an edge that sings with them."""
    gust = np.exp(of.curve(rng, n, rng.uniform(0.4, 1.2), -2, 0) + of.curve(rng, n, 4, -0.3, 0.3))
    low = rng.uniform(50, 120)
    air = sum(of.noise(rng, n, low * 2 ** k, low * 2 ** (k + 1)) * gust ** (1 + k / 3) / 1.7 ** k for k in range(5))
    return air + rng.uniform(0, 0.15) * of.tone(rng.uniform(350, 900) * (0.6 + 0.6 * gust)) * gust ** 2


def surf(rng, n):
    """Waves that break: the treble comes last and goes first."""
    t, x = of.time(n), 0.1 * of.coloured(rng, n, 1)
    bands = [of.noise(rng, n, low, 2.5 * low) for low in (100, 300, 900, 2500)]
    period = rng.uniform(2.5, 5)
    for begin in np.arange(-rng.uniform(0, period), n / SR, period):
        height = rng.uniform(0.5, 1)
        for k, sound in enumerate(bands):
            since = np.maximum(t - begin - 0.25 * k, 0) / (1.1 - 0.2 * k)
            x += height * since * np.exp(1 - since) * sound * rng.uniform(0.5, 1)
    return x


def frying(rng, n):
    """Hissing fat, and droplets that burst in it."""
    hiss = of.noise(rng, n, rng.uniform(2500, 4000), 7700) * of.curve(rng, n, 6, 0.6, 1)
    bursts = of.band(of.impulses(rng, n, rng.uniform(80, 300), 2.0), rng.uniform(1500, 3000), 7000)
    return hiss + rng.uniform(0.5, 1.5) * of.unit(bursts)


def insects(rng, n):
    """Cicadas: narrow noise that shivers a hundred times a second, in swells."""
    x = 0
    for _ in range(rng.integers(1, 4)):
        low = rng.uniform(3500, 6500)
        shiver = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(60, 200) * of.time(n))
        x = x + of.noise(rng, n, low, 1.08 * low) * shiver ** 3 * of.curve(rng, n, rng.uniform(0.5, 3), 0.2, 1)
    return x


def crowd(rng, n, utterances):
    """Many voices at once in the distance, of utterances (time,) of at least `n` samples."""
    x = np.zeros(n)
    for _ in range(rng.integers(8, 20)):
        voice = utterances[rng.integers(len(utterances))]
        start = rng.integers(len(voice) - n + 1)
        x += rng.uniform(0.3, 1) * voice[start:start + n]
    return of.unit(of.band(x, 150, rng.uniform(1200, 3500))) + 0.1 * of.coloured(rng, n, 1)


# ---- music ---------------------------------------------------------------------------------------------------------


def _chords(rng, n, low, beat):
    """Four roots in turn, a bar of four beats (s) each: (onset (s), pitch) until `n` samples are full."""
    roots = low + rng.choice(12) + rng.permutation((0, 5, 7, 9))
    bar = 4 * beat
    return [(k * bar, int(roots[k % 4])) for k in range(int(n / SR / bar) + 1)]


def piano(rng, n):
    beat, low = rng.uniform(0.2, 0.5), rng.integers(40, 58)
    steps = rng.choice((0, 4, 7, 12), 4)
    notes = [(start + k * beat, start + (k + rng.uniform(0.9, 3)) * beat, root + step, rng.integers(50, 110))
             for start, root in _chords(rng, n, low, beat) for k, step in enumerate(steps)]
    return of.play(rng, notes, int(rng.choice((0, 1, 2, 4, 5))), n)


def saxophone(rng, n):
    length = rng.uniform(0.2, 0.5)
    line = of.phrase(rng, 49, 78, length, int(n / SR / length) + 4, rng.uniform(0.7, 1))
    return of.play(rng, line, int(rng.integers(64, 68)), n)


def strings(rng, n):
    beat, third = rng.uniform(0.3, 0.6), rng.choice((15, 16))
    notes = [(start, start + 4.2 * beat, root + step, rng.integers(50, 100))
             for start, root in _chords(rng, n, rng.integers(42, 55), beat) for step in (0, 7, 12, third)]
    return of.play(rng, notes, int(rng.choice((44, 48, 49, 50))), n)


def synthesiser(rng, n):
    step = rng.uniform(0.1, 0.2)
    pattern = rng.choice((0, 3, 7, 10, 12), 8)
    notes = [(k * step, (k + rng.uniform(0.5, 1)) * step, int(36 + pattern[k % 8]) + 12 * (k % 16 > 11), 90)
             for k in range(int(n / SR / step) + 1)]
    return of.play(rng, notes, int(rng.choice((38, 39, 80, 81, 84, 87))), n)


def percussion(rng, n):
    step = rng.uniform(0.12, 0.22)
    program, pitches, struck = int(rng.choice((47, 114, 115, 116, 117))), rng.integers(45, 70, 3), rng.random(12) < 0.6
    struck[0] = True
    notes = [(k * step, (k + 1) * step, int(pitches[k % 3]), rng.integers(60, 120))
             for k in range(int(n / SR / step) + 1) if struck[k % 12]]
    return of.play(rng, notes, program, n)


# ---- events --------------------------------------------------------------------------------------------------------


def _throat(rng, pitch, formants, breath):
    """A voice: a harmonic source of a pitch (Hz, a curve), with `breath` of noise, through formants (Hz, gain)."""
    source = of.unit(of.tone(pitch, 1 / np.arange(1, 40))) + breath * rng.standard_normal(len(pitch))
    return sum(gain * of.unit(of.band(source, 0.88 * f, 1.14 * f)) for f, gain in formants)


def laughter(rng, n):
    rate, pitch, size = rng.uniform(4, 6.5), rng.uniform(130, 420), rng.uniform(0.85, 1.25)
    count, m = rng.integers(3, 11), of.samples(0.75 / rate)
    bursts = []
    for k in range(count):
        glide = pitch * (1.15 - 0.4 * k / count) * np.linspace(1.05, 0.9, m)
        sound = _throat(rng, glide, [(700 * size, 1), (1250 * size, 0.5), (2600 * size, 0.2)], rng.uniform(0.2, 0.6))
        bursts.append(sound * np.hanning(m) * (1 - 0.6 * k / count))
    return of.place(n, of.steady(rng, 1 / rate, count), bursts)


def dog(rng, n):
    pitch, size, count = rng.uniform(180, 500), rng.uniform(0.8, 1.4), rng.integers(1, 6)
    m = of.samples(rng.uniform(0.12, 0.3))
    barks = []
    for _ in range(count):
        glide = pitch * rng.uniform(0.9, 1.1) * np.interp(np.linspace(0, 1, m), (0, 0.3, 1), (0.8, 1.2, 0.6))
        sound = _throat(rng, glide, [(600 * size, 1), (1300 * size, 0.7), (2700 * size, 0.3)], rng.uniform(0.3, 1))
        barks.append(sound * np.minimum(of.bump(m, 0.008), of.fade(m, 0.6)))
    return of.place(n, of.steady(rng, rng.uniform(0.35, 0.8), count, 0.2), barks)


def cat(rng, n):
    n = of.samples(rng.uniform(0.5, 1.2))
    x = np.linspace(0, 1, n)
    pitch = rng.uniform(380, 700) * np.interp(x, (0, 0.3, 1), (0.85, 1.2, 0.7))
    closed = _throat(rng, pitch, [(900, 1), (2300, 0.4)], 0.1)
    opened = _throat(rng, pitch, [(1400, 1), (2900, 0.5)], 0.1)
    mouth = np.sin(np.pi * x ** 0.8)
    return (closed * (1 - mouth) + opened * mouth) * of.bump(n, 0.08)


def cow(rng, n):
    n = of.samples(rng.uniform(1, 2.2))
    x = np.linspace(0, 1, n)
    pitch = rng.uniform(80, 170) * np.interp(x, (0, 0.4, 1), (0.8, 1.1, 0.95))
    sound = _throat(rng, pitch, [(rng.uniform(250, 380), 1), (rng.uniform(650, 950), 0.5), (2200, 0.1)], 0.05)
    return sound * of.bump(n, 0.15)


def gull(rng, n):
    count, pitch, rasp = rng.integers(2, 7), rng.uniform(800, 1500), rng.uniform(30, 70)
    cries = []
    for k in range(count):
        m = of.samples(rng.uniform(0.25, 0.5))
        glide = pitch * np.linspace(1.25, 0.8, m) * rng.uniform(0.92, 1.08)
        cry = of.tone(glide, (1, 0.9, 0.6, 0.3)) * (1 + 0.6 * np.sin(2 * np.pi * rasp * of.time(m)))
        cries.append(cry * np.hanning(m) * rng.uniform(0.5, 1))
    return of.place(n, of.steady(rng, rng.uniform(0.35, 0.6), count, 0.1), cries)


def songbird(rng, n):
    songs, centre = [], rng.uniform(2500, 5500)
    for _ in range(rng.integers(2, 6)):
        m = of.samples(rng.uniform(0.2, 0.6))
        trill = np.sin(2 * np.pi * rng.uniform(12, 55) * of.time(m))
        songs.append(of.tone(centre * rng.uniform(0.85, 1.15) * (1 + rng.uniform(0.03, 0.2) * trill))
                     * np.hanning(m) * (1 + 0.5 * trill))
    return of.place(n, np.cumsum([0, *(len(s) / SR + rng.uniform(0.05, 0.4) for s in songs)]), songs)


def hen(rng, n):
    count, pitch = rng.integers(3, 12), rng.uniform(280, 480)
    clucks = []
    for k in range(count):
        m = of.samples(rng.uniform(0.05, 0.12) if k < count - 1 else rng.uniform(0.2, 0.5))
        glide = pitch * rng.uniform(0.9, 1.15) * np.linspace(1, 1.3 if k < count - 1 else 1.8, m)
        clucks.append(_throat(rng, glide, [(1100, 1), (2400, 0.6)], 0.3) * np.hanning(m))
    return of.place(n, of.steady(rng, rng.uniform(0.18, 0.35), count, 0.15), clucks)


def door(rng, n):
    """Hinges that stick and slip, then the slam."""
    creak = of.samples(rng.uniform(0.3, 0.9))
    turns = np.cumsum(np.linspace(*rng.uniform(20, 90, 2), creak)) / SR
    slips = np.diff(np.floor(turns), prepend=0) * rng.uniform(0.5, 1, creak)
    hinge = of.echoed(slips, of.ring(rng, rng.uniform(400, 3000, 5), 0.03, of.samples(0.05)))
    m = of.samples(0.5)
    panel = of.ring(rng, rng.uniform(50, 250, 5), rng.uniform(0.1, 0.35), m)
    slam = of.unit(panel + of.noise(rng, m, 60, 2500) * of.fade(m, 0.1))
    return of.place(n, (0, creak / SR), (rng.uniform(0.1, 0.5) * of.unit(hinge), 2 * slam))


def dishes(rng, n):
    """Plates and cutlery: the modes of small plates, struck at random."""
    count, m = rng.integers(3, 14), of.samples(0.4)
    plates = [rng.uniform(700, 2200) * np.array([1, 1.73, 2.33, 3.91, 4.11]) for _ in range(3)]
    clinks = [of.ring(rng, plates[rng.integers(3)], rng.uniform(0.05, 0.35), m) * rng.standard_exponential()
              for _ in range(count)]
    return of.place(n, np.append(0, np.cumsum(rng.exponential(rng.uniform(0.08, 0.3), count - 1))), clinks)


def chime(rng, n):
    """Two to four tones of an announcement, by frequency modulation."""
    count, length, root = rng.integers(2, 5), rng.uniform(0.25, 0.6), rng.uniform(400, 900)
    m, tones = of.samples(1.2), []
    for ratio in rng.choice((1, 1.25, 1.5, 0.75, 2), count):
        swing = rng.uniform(0.2, 1.5) * of.fade(m, 0.8) * np.sin(2 * np.pi * 2 * ratio * root * of.time(m))
        tones.append(np.sin(2 * np.pi * ratio * root * of.time(m) + swing) * of.fade(m, 1.2) * of.bump(m, 0.004))
    return of.place(n, np.arange(count) * length, tones)


def church_bell(rng, n):
    """A large bell, by frequency modulation at a ratio that is none of whole numbers."""
    count, low, ratio = rng.integers(1, 5), rng.uniform(130, 400), rng.uniform(1.35, 1.45)
    swing = rng.uniform(3, 7) * of.fade(n, 2.5) * np.sin(2 * np.pi * ratio * low * of.time(n))
    stroke = (np.sin(2 * np.pi * low * of.time(n) + swing) + 0.5 * np.sin(np.pi * low * of.time(n))) * of.fade(n, 5)
    return of.place(n, of.steady(rng, rng.uniform(0.7, 1.4), count, 0.02), [stroke * of.bump(n, 0.003)] * count)


def hammer(rng, n):
    count, m, low = rng.integers(2, 8), of.samples(0.4), rng.uniform(180, 1200)
    blow = of.ring(rng, low * np.array([1, 2.76, 5.4, 8.93]), rng.uniform(0.06, 0.4), m)
    knock = of.noise(rng, m, 200, 5000) * of.fade(m, 0.03)
    blows = [(blow + rng.uniform(0.5, 2) * knock) * rng.uniform(0.7, 1) for _ in range(count)]
    return of.place(n, of.steady(rng, rng.uniform(0.3, 0.8), count, 0.06), blows)


# ---- recording -----------------------------------------------------------------------------------------------------


def microphone(rng, freqs):
    """Draw a device -> its gain at ``freqs (freq,)``, Hz: a tilt, a resonance, and where the bass and treble end."""
    f = np.maximum(freqs, 10.0)
    octaves = np.log2(f / 1000)
    low, high = np.exp(rng.uniform(np.log((30, 3000)), np.log((300, 12000))))
    tilt = rng.uniform(-2.5, 2.5) * np.clip(octaves, -4, 3)  # dB
    bump = rng.uniform(-8, 8) * np.exp(-2 * (octaves - rng.uniform(-1, 2)) ** 2)  # dB
    return 10 ** ((tilt + bump) / 20) / np.sqrt((1 + (low / f) ** 4) * (1 + (f / high) ** 8))


TEXTURES = {make.__name__: make for make in (traffic, train, ventilation, rain, wind, surf, frying, insects)}
MUSIC = {make.__name__: make for make in (piano, saxophone, strings, synthesiser, percussion)}
EVENTS = {make.__name__.replace("_", " "): make for make in (
    laughter, dog, cat, cow, gull, songbird, hen, door, dishes, chime, church_bell, hammer)}
