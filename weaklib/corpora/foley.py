"""Make sounds of the world by arithmetic, and a few by a SoundFont.

Every function ``name(rng, n)`` returns one random instance of the class `name` at `SR`: a float array, shape=(time,),
of any level. Textures go on for `n` samples; events are at most `n` samples long and start at once. Parameters are
drawn wide, so that a class is a kind of sound and not one sound.

These are caricatures: they share with the real thing what tells it from the others (rhythm, pitch, envelope,
spectrum), not its richness.

Contents
--------
TEXTURES
    Classes that go on, by name: backgrounds.
EVENTS
    Classes that begin and end, by name: foregrounds.
"""
from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import butter, fftconvolve, sosfilt

from weaklib.corpora import fluid
from weaklib.corpora.composer import SCALES
from weaklib.midi import instrument, pretty_midi

SR = 16000  # Hz

# ---- material ------------------------------------------------------------------------------------------------------


def _time(n):
    return np.arange(n) / SR


def _samples(seconds):
    return max(1, round(seconds * SR))


def _fade(n, t60):
    """An envelope that decays by 60 dB in `t60` seconds."""
    return 10 ** (-3 * _time(n) / t60)


def _bump(n, ramp=0.01):
    """An envelope of 1 with ramps of `ramp` seconds at both ends."""
    t = np.minimum(np.arange(n), np.arange(n)[::-1]) / (ramp * SR)
    return np.minimum(t, 1)


def _unit(x):
    return x / np.sqrt(np.mean(x ** 2))


def _band(x, low, high):
    """Band-pass, second order."""
    return sosfilt(butter(2, (low, min(high, 7800)), "bandpass", fs=SR, output="sos"), x)


def _noise(rng, n, low=20, high=7800):
    """Noise in a band, RMS 1."""
    return _unit(_band(rng.standard_normal(n), low, high))


def _coloured(rng, n, slope):
    """Noise with a power spectrum of 1 / f ** slope above 20 Hz, RMS 1."""
    fast = next_fast_len(n, real=True)
    f = np.fft.rfftfreq(fast, 1 / SR)
    X = rfft(rng.standard_normal(fast)) * np.where(f > 20, np.maximum(f, 20.0), np.inf) ** (-slope / 2)
    return _unit(irfft(X, fast)[:n])


def _impulses(rng, n, rate, spread=0.7):
    """`rate` clicks per second at random times; the larger `spread`, the fewer are strong."""
    x = np.zeros(n)
    count = max(1, rng.poisson(rate * n / SR))
    x[rng.integers(0, n, count)] = rng.standard_exponential(count) ** spread * rng.choice((-1, 1), count)
    return x


def _curve(rng, n, rate, low, high):
    """A random line through `rate` points per second, uniform between `low` and `high`."""
    points = rng.uniform(low, high, int(rate * n / SR) + 3)
    return np.interp(_time(n) * rate + rng.random(), np.arange(len(points)), points)


def _tone(freq, amplitudes=(1.0,), n=None):
    """A harmonic tone; `freq` is a number or a curve in Hz. Harmonics that would alias are left out."""
    freq = np.broadcast_to(freq, n) if n else np.asarray(freq)
    phase = 2 * np.pi * np.cumsum(freq) / SR
    return sum(a * np.sin(k * phase) for k, a in enumerate(amplitudes, 1) if a and k * freq.max() < 7800)


def _ring(rng, freqs, t60s, n):
    """Decaying modes, higher ones weaker and of random phase: a thing that was struck."""
    freqs, t60s = np.broadcast_arrays(np.asarray(freqs, dtype=float)[:, None], np.asarray(t60s)[..., None])
    amplitudes = rng.uniform(0.3, 1, freqs.shape) / np.sqrt(freqs / freqs.min())
    phases = rng.uniform(0, 2 * np.pi, freqs.shape)
    modes = amplitudes * np.sin(2 * np.pi * freqs * _time(n) + phases) * 10 ** (-3 * _time(n) / t60s)
    return modes[freqs[:, 0] < 7800].sum(axis=0)


def _place(n, onsets, sounds):
    """Add sounds up, each from its onset (s)."""
    x = np.zeros(n)
    for onset, sound in zip(onsets, sounds):
        start = round(onset * SR)
        if start < n:
            x[start:start + len(sound)] += sound[:n - start]
    return x


def _steady(rng, period, count, jitter=0.05):
    """Onsets (s) of `count` events, a period apart but for a jitter in periods; the first is at 0."""
    return np.maximum(period * (np.arange(count) + np.append(0, rng.normal(0, jitter, count - 1))), 0)


def _bubble(rng, freq, t60):
    """A bubble: a decaying tone that rises."""
    n = _samples(t60)
    return _tone(freq * (1 + rng.uniform(0, 0.6) * np.linspace(0, 1, n))) * _fade(n, t60)


# ---- textures ------------------------------------------------------------------------------------------------------


def rain(rng, n):
    hiss = _noise(rng, n, rng.uniform(600, 2500), rng.uniform(4500, 7500)) * _curve(rng, n, 1, 0.7, 1)
    drops = _band(_impulses(rng, n, rng.uniform(60, 600)), rng.uniform(1200, 2500), rng.uniform(3500, 7000))
    return hiss + rng.uniform(0.3, 1.2) * _unit(drops)


def wind(rng, n):
    gusts = sum(_noise(rng, n, f, 1.6 * f) * _curve(rng, n, rng.uniform(0.5, 2), 0.05, 1) ** 2
                for f in rng.uniform(60, 700, 4))
    whistle = _band(rng.standard_normal(n), *rng.uniform(500, 1200) * np.array([1, 1.06]))
    return gusts + rng.uniform(0, 0.8) * _unit(whistle) * _curve(rng, n, 1, 0, 1) ** 2


def ocean(rng, n):
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * np.cumsum(_curve(rng, n, 0.5, 0.15, 0.5)) / SR + rng.uniform(0, 2 * np.pi))
    foam = _noise(rng, n, rng.uniform(800, 2000), 7000) * np.roll(swell, round(rng.uniform(0, 0.5) * SR)) ** 3
    return _coloured(rng, n, rng.uniform(0.8, 1.6)) * (0.1 + swell ** 2) + rng.uniform(0.2, 0.8) * foam


def stream(rng, n):
    count = round(rng.uniform(40, 150) * n / SR)
    low = rng.uniform(300, 900)
    bubbles = (_bubble(rng, f, rng.uniform(0.01, 0.06)) * rng.standard_exponential()
               for f in low * rng.uniform(1, 5, count))
    return _unit(_place(n, rng.uniform(0, n / SR, count), bubbles)) + rng.uniform(0.1, 0.4) * _noise(rng, n, 300, 4000)


def fire(rng, n):
    rumble = _coloured(rng, n, 1.5) * _curve(rng, n, 4, 0.3, 1)
    crackle = _band(_impulses(rng, n, rng.uniform(15, 80), 1.0), rng.uniform(700, 2000), rng.uniform(3500, 7000))
    return rng.uniform(0.4, 1.2) * rumble + _unit(crackle)


def engine(rng, n):
    turns = np.cumsum(rng.uniform(18, 60) * _curve(rng, n, rng.uniform(0.3, 1.5), 0.8, 1.3)) / SR
    firing = np.exp(-rng.uniform(4, 12) * (turns % 1)) * rng.uniform(0.6, 1, 4)[(turns % 4).astype(int)]
    shaken = firing * (1 + rng.uniform(0.2, 1) * rng.standard_normal(n))
    body = rng.uniform((60, 200, 600), (200, 600, 2000))
    return sum(rng.uniform(0.3, 1) * _unit(_band(shaken, f, 1.5 * f)) for f in body)


def helicopter(rng, n):
    turns = rng.uniform(8, 18) * _time(n)
    blades = _noise(rng, n, rng.uniform(50, 100), rng.uniform(400, 1200)) * np.exp(-rng.uniform(3, 8) * (turns % 1))
    turbine = _tone(rng.uniform(400, 1200), (1, 0.5, 0.3), n)
    return (_unit(blades) + rng.uniform(0.02, 0.15) * turbine) * _curve(rng, n, 0.5, 0.5, 1)


def crickets(rng, n):
    x = rng.uniform(0.01, 0.05) * _coloured(rng, n, 1)
    for _ in range(rng.integers(1, 4)):
        pulses = np.maximum(np.sin(2 * np.pi * rng.uniform(25, 60) * _time(n)), 0)
        chirps = (rng.uniform(1.2, 4) * _time(n) + rng.random()) % 1 < rng.uniform(0.3, 0.8)
        x += rng.uniform(0.2, 1) * _tone(rng.uniform(3000, 5500), n=n) * pulses * chirps
    return x


def applause(rng, n):
    hall = 0
    for _ in range(4):  # four kinds of hands
        clap = _noise(rng, 400, rng.uniform(500, 1200), rng.uniform(2000, 5000)) * _fade(400, rng.uniform(0.015, 0.04))
        hall = hall + fftconvolve(_impulses(rng, n, rng.uniform(15, 60)), clap)[:n]
    return _unit(hall) * _curve(rng, n, 1, 0.6, 1)


def vacuum(rng, n):
    motor = _tone(rng.uniform(180, 500) * _curve(rng, n, 3, 0.995, 1.005), 1 / np.arange(1, 15) ** rng.uniform(0.8, 2))
    return rng.uniform(0.2, 0.8) * _unit(motor) + _noise(rng, n, rng.uniform(150, 400), rng.uniform(1500, 6000))


# ---- events --------------------------------------------------------------------------------------------------------


def siren(rng, n):
    n = _samples(rng.uniform(1.5, 4))
    low, turns = rng.uniform(400, 800), rng.uniform(0.3, 4) * _time(n)
    shape = rng.choice(["wail", "sweep", "two tones"])
    height = {"wail": 0.5 - 0.5 * np.cos(2 * np.pi * turns), "sweep": turns % 1, "two tones": turns % 1 > 0.5}[shape]
    return _tone(low * (1 + rng.uniform(0.3, 1.2) * height), (1, 0.5, 0.4, 0.2, 0.1)) * _bump(n)


def alarm(rng, n):
    on, off, count = rng.uniform(0.04, 0.3), rng.uniform(0.04, 0.3), rng.integers(3, 12)
    pitches = rng.uniform(700, 3200) * np.where(np.arange(count) % 2, rng.choice((1, 1, 1.25)), 1)
    odd = (1, 0, rng.uniform(0, 0.4), 0, rng.uniform(0, 0.3))
    beeps = [_tone(f, odd, _samples(on)) * _bump(_samples(on), 0.003) for f in pitches]
    return _place(n, np.arange(count) * (on + off), beeps)


def bell(rng, n):
    ratios = np.array([0.5, 1, 1.19, 1.5, 2, 2.51, 2.66, 3.01, 4.1, 5.4]) * rng.uniform(0.98, 1.02, 10)
    freqs, t60 = rng.uniform(200, 900) * ratios, rng.uniform(1.5, 6)
    stroke = _ring(rng, freqs, t60 / np.sqrt(ratios), n)
    count = rng.integers(1, 4)
    return _place(n, _steady(rng, rng.uniform(0.6, 1.5), count), [stroke] * count)


def footsteps(rng, n):
    count, scuff, hollow = rng.integers(3, 9), rng.uniform(0.02, 0.15), rng.uniform(60, 180)
    low = rng.uniform(300, 2000)
    steps = []
    for _ in range(count):
        m = _samples(0.2)
        thud = _ring(rng, hollow * rng.uniform(0.95, 1.05) * np.array([1, 1.7, 2.9]), 0.12, m)
        steps.append(thud + rng.uniform(0.2, 1) * _noise(rng, m, low, 3 * low) * _fade(m, scuff))
    return _place(n, _steady(rng, rng.uniform(0.3, 0.7), count), steps)


def bark(rng, n):
    count, pitch, throat = rng.integers(1, 5), rng.uniform(250, 800), rng.uniform(500, 1200)
    barks = []
    for _ in range(count):
        m = _samples(rng.uniform(0.1, 0.25))
        glide = pitch * rng.uniform(0.9, 1.1) * (0.7 + 0.5 * np.sin(np.pi * np.linspace(0.1, 1, m)))
        voice = _unit(_tone(glide, 1 / np.arange(1, 12))) + rng.uniform(0.3, 0.8) * rng.standard_normal(m)
        barks.append(_band(voice, throat, 2.5 * throat) * np.sin(np.pi * np.linspace(0, 1, m) ** 0.5))
    return _place(n, _steady(rng, rng.uniform(0.3, 0.6), count, 0.15), barks)


def birds(rng, n):
    base, motif = rng.uniform(2000, 4500), []
    for _ in range(rng.integers(2, 6)):
        start, stop, bend = base * rng.uniform(0.7, 1.5, 3)
        m = _samples(rng.uniform(0.03, 0.16))
        freq = np.interp(np.linspace(0, 2, m), (0, 1, 2), (start, bend, stop))
        motif.append(_tone(freq, (1, rng.uniform(0, 0.2))) * np.hanning(m) * rng.uniform(0.4, 1))
    song = _place(_samples(0.2 * len(motif)), np.arange(len(motif)) * rng.uniform(0.08, 0.18), motif)
    count = rng.integers(1, 6)
    return _place(n, _steady(rng, len(song) / SR + rng.uniform(0.05, 0.6), count), [song] * count)


def clock(rng, n):
    m, count = _samples(0.08), rng.integers(4, 16)
    tick, tock = (_ring(rng, rng.uniform(1200, 6500, 5), rng.uniform(0.01, 0.06), m) for _ in range(2))
    return _place(n, _steady(rng, rng.uniform(0.2, 0.6), count, 0.005), [tick, tock] * count)


def drops(rng, n):
    count, low = rng.integers(3, 14), rng.uniform(400, 1200)
    onsets = np.sort(np.append(0, rng.uniform(0, rng.uniform(1.5, 4), count - 1)))
    return _place(n, onsets, [_bubble(rng, f, rng.uniform(0.05, 0.2)) for f in low * rng.uniform(1, 1.8, count)])


def glass(rng, n):
    m, count = _samples(0.6), rng.integers(10, 40)
    crash = rng.uniform(0.5, 1.5) * _noise(rng, m, 2000, 7500) * _fade(m, rng.uniform(0.08, 0.3))
    shards = [_ring(rng, f * np.array([1, 1.51, 2.3]), rng.uniform(0.1, 0.5), m) * rng.standard_exponential()
              for f in rng.uniform(1500, 6000, count)]
    onsets = rng.standard_exponential(count) * rng.uniform(0.05, 0.3)
    return _place(n, np.append(0, onsets), [crash, *shards])


def knock(rng, n):
    m, count, body = _samples(0.25), rng.integers(2, 7), rng.uniform(90, 350)
    freqs, t60 = body * np.array([1, 1.6, 2.3, 3.1, 4.4]) * rng.uniform(0.95, 1.05, 5), rng.uniform(0.05, 0.2)
    knocks = [_ring(rng, freqs, t60, m) * rng.uniform(0.6, 1) for _ in range(count)]
    return _place(n, _steady(rng, rng.uniform(0.12, 0.35), count), knocks)


def phone(rng, n):
    ring, rate, pitch = rng.uniform(0.5, 1.5), rng.uniform(12, 26), rng.uniform(700, 1600)
    if rng.random() < 0.5:  # two gongs and a clapper
        gongs = [_ring(rng, pitch * k * np.array([1, 2.4, 3.9]), rng.uniform(0.2, 0.8), _samples(0.5))
                 for k in (1, 1.25)]
        count = round(ring * rate)
        once = _place(_samples(ring + 0.3), np.arange(count) / rate, gongs * count)
    else:  # a warble of two tones
        m = _samples(ring)
        warble = np.where(_time(m) * rate % 1 < 0.5, 1, rng.uniform(1.15, 1.4))
        once = _tone(pitch * warble, (1, 0, 0.3)) * _bump(m)
    count = rng.integers(1, 4)
    return _place(n, np.arange(count) * (ring + rng.uniform(0.3, 0.8)), [once] * count)


def horn(rng, n):
    pitch, ratio, tilt = rng.uniform(250, 550), rng.uniform(1.18, 1.3), rng.uniform(0.5, 1.2)
    honks = []
    for _ in range(rng.integers(1, 4)):
        m = _samples(rng.uniform(0.15, 1))
        honks.append(sum(_tone(f, np.arange(1, 14) ** -tilt, m) for f in (pitch, pitch * ratio)) * _bump(m, 0.015))
    lengths = [len(honk) / SR + rng.uniform(0.08, 0.3) for honk in honks]
    return _place(n, np.cumsum([0, *lengths]), honks)


def whistle(rng, n):
    n = _samples(rng.uniform(0.8, 3))
    steps = np.repeat(rng.integers(-5, 8, 12), -(-n // 12))[:n]
    glide = np.convolve(np.pad(steps, 400, "edge"), np.ones(801) / 801, "valid")  # 50 ms from tone to tone
    vibrato = rng.uniform(0, 0.3) * np.sin(2 * np.pi * rng.uniform(4, 7) * _time(n))
    freq = rng.uniform(800, 1800) * 2 ** ((glide + vibrato) / 12)
    return (_tone(freq, (1, 0.05)) + rng.uniform(0.02, 0.15) * _noise(rng, n, 1000, 5000)) * _bump(n, 0.03)


def thunder(rng, n):
    n = _samples(rng.uniform(2, 4))
    crack = _noise(rng, n, 200, 5000) * _fade(n, rng.uniform(0.1, 0.6)) * rng.uniform(0.1, 0.8)
    count = rng.integers(2, 6)
    rolls = [_coloured(rng, n, rng.uniform(1.6, 2.4)) * _fade(n, rng.uniform(1, 4)) * rng.uniform(0.3, 1)
             for _ in range(count)]
    return (crack + _place(n, np.append(0, rng.uniform(0, 1.5, count - 1)), rolls)) * _bump(n)


def frog(rng, n):
    rate, throat, count = rng.uniform(20, 70), rng.uniform(400, 1500), rng.integers(1, 6)
    croaks = []
    for _ in range(count):
        m = _samples(rng.uniform(0.15, 0.5))
        pulses = np.exp(-6 * (np.cumsum(rate * np.linspace(0.9, 1.15, m)) / SR % 1)) * rng.normal(1, 0.2, m)
        voice = _unit(_band(pulses, throat, 1.2 * throat)) + 0.4 * _unit(_band(pulses, 2.6 * throat, 3 * throat))
        croaks.append(voice * np.hanning(m))
    return _place(n, _steady(rng, rng.uniform(0.5, 1), count), croaks)


def typing(rng, n):
    count, low = rng.integers(6, 30), rng.uniform(800, 2500)
    keys = []
    for _ in range(count):
        m = _samples(0.12)
        click = _noise(rng, m, low, 3 * low) * _fade(m, rng.uniform(0.01, 0.03))
        thock = _ring(rng, rng.uniform(150, 500, 2), 0.06, m)
        keys.append(click + 0.5 * np.roll(click, _samples(rng.uniform(0.04, 0.08))) + rng.uniform(0.2, 0.8) * thock)
    return _place(n, np.append(0, np.cumsum(rng.gamma(4, 0.03, count - 1))), keys)


# ---- instruments ---------------------------------------------------------------------------------------------------


def _play(rng, notes, program, n, is_drum=False):
    """Play notes (s) on a program of the SoundFont, tuned up or down by up to a semitone."""
    inst = instrument(notes, program, is_drum)
    inst.pitch_bends = [pretty_midi.PitchBend(int(rng.integers(-4096, 4096)), 0)]
    return fluid.render(inst, SR)[:n]


def _phrase(rng, low, high, length, count, legato=1.0):
    """A random walk on a random scale -> notes of about `length` seconds each."""
    scale = (rng.integers(12) + np.array(SCALES[rng.choice(list(SCALES))])) % 12
    pitches = [p for p in range(low, high) if p % 12 in scale]
    at = np.clip(rng.integers(len(pitches)) + np.cumsum(rng.integers(-3, 4, count)), 0, len(pitches) - 1)
    lengths = length * rng.choice((0.5, 1, 1, 1.5), count)
    onsets = np.cumsum(lengths) - lengths
    return np.column_stack([onsets, onsets + legato * lengths, np.array(pitches)[at], rng.integers(60, 120, count)])


def flute(rng, n):
    return _play(rng, _phrase(rng, 62, 92, rng.uniform(0.2, 0.6), rng.integers(2, 8)), 73, n)


def violin(rng, n):
    return _play(rng, _phrase(rng, 56, 86, rng.uniform(0.3, 1.2), rng.integers(1, 5)), 40, n)


def trumpet(rng, n):
    return _play(rng, _phrase(rng, 56, 82, rng.uniform(0.15, 0.6), rng.integers(2, 8), 0.9), 56, n)


def marimba(rng, n):
    return _play(rng, _phrase(rng, 48, 84, rng.uniform(0.1, 0.3), rng.integers(4, 14)), 12, n)


def organ(rng, n):
    melody = _phrase(rng, 55, 79, rng.uniform(0.4, 1.2), rng.integers(1, 5))
    chord = np.concatenate([melody + (0, 0, interval, 0) for interval in (0, 4, 7)[:rng.integers(1, 4)]])
    return _play(rng, chord, int(rng.choice((16, 17, 19, 20))), n)


def guitar(rng, n):
    picked = _phrase(rng, 40, 72, rng.uniform(0.12, 0.4), rng.integers(3, 12), 1.5)
    return _play(rng, picked, int(rng.choice((24, 25))), n)


def drums(rng, n):
    step, notes = rng.uniform(0.1, 0.18), []
    kick, snare, hat = rng.random(16) < 0.3, np.arange(16) % 8 == 4, np.arange(16) % rng.choice((1, 2, 4)) == 0
    kick[0], snare = True, snare | (rng.random(16) < 0.08)
    for struck, key in ((kick, rng.choice((35, 36))), (snare, rng.choice((38, 40))), (hat, rng.choice((42, 46, 51)))):
        notes += [(i * step, i * step + 0.1, key, rng.integers(70, 120)) for i in np.flatnonzero(struck)]
    return _play(rng, notes, 0, n, is_drum=True)


def cowbell(rng, n):
    step, struck = rng.uniform(0.1, 0.2), np.flatnonzero(rng.random(16) < rng.uniform(0.3, 0.8))
    onsets = step * np.append(0, struck + 1)
    return _play(rng, [(t, t + 0.1, 56, rng.integers(60, 120)) for t in onsets], 0, n, is_drum=True)


TEXTURES = {make.__name__: make for make in (
    rain, wind, ocean, stream, fire, engine, helicopter, crickets, applause, vacuum)}
EVENTS = {make.__name__: make for make in (
    siren, alarm, bell, footsteps, bark, birds, clock, drops, glass, knock, phone, horn, whistle, thunder, frog, typing,
    flute, violin, trumpet, marimba, organ, guitar, drums, cowbell)}
