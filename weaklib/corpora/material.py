"""What sounds are made of, by arithmetic or by a SoundFont: noise, tones, strokes, envelopes, phrases.

All is at `SR`, shape=(time,); `n` is a number of samples, `rng` draws what is random, frequencies are in Hz, times in
seconds. See `foley` and `outdoors` for what is made of it.

Contents
--------
time, samples
    Seconds of samples, and samples of seconds.
fade, bump, curve
    Envelopes.
unit, band, echoed
    To an RMS of 1; through a filter; answered by a body.
noise, coloured, impulses, tone, ring, bubble
    Sounds.
place, steady
    Sounds one after another.
phrase, play
    Notes, and how they sound.
"""
from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from weaklib.corpora import fluid
from weaklib.corpora.composer import SCALES
from weaklib.midi import instrument, pretty_midi

SR = 16000  # Hz


def time(n):
    return np.arange(n) / SR


def samples(seconds):
    return max(1, round(seconds * SR))


def fade(n, t60):
    """An envelope that decays by 60 dB in `t60` seconds."""
    return 10 ** (-3 * time(n) / t60)


def bump(n, ramp=0.01):
    """An envelope of 1 with ramps of `ramp` seconds at both ends."""
    t = np.minimum(np.arange(n), np.arange(n)[::-1]) / (ramp * SR)
    return np.minimum(t, 1)


def unit(x):
    return x / np.sqrt(np.mean(x ** 2))


def band(x, low, high):
    """Band-pass, second order."""
    from scipy.signal import butter, sosfilt  # takes most of a second, and what is rendered needs it no more
    return sosfilt(butter(2, (low, min(high, 7800)), "bandpass", fs=SR, output="sos"), x)


def echoed(x, response):
    """Strokes, each answered by the `response` of what is struck; of the length of `x`."""
    from scipy.signal import fftconvolve
    return fftconvolve(x, response)[:len(x)]


def noise(rng, n, low=20, high=7800):
    """Noise in a band, RMS 1."""
    return unit(band(rng.standard_normal(n), low, high))


def coloured(rng, n, slope):
    """Noise with a power spectrum of 1 / f ** slope above 20 Hz, RMS 1."""
    fast = next_fast_len(n, real=True)
    f = np.fft.rfftfreq(fast, 1 / SR)
    X = rfft(rng.standard_normal(fast)) * np.where(f > 20, np.maximum(f, 20.0), np.inf) ** (-slope / 2)
    return unit(irfft(X, fast)[:n])


def impulses(rng, n, rate, spread=0.7):
    """`rate` clicks per second at random times; the larger `spread`, the fewer are strong."""
    x = np.zeros(n)
    count = max(1, rng.poisson(rate * n / SR))
    x[rng.integers(0, n, count)] = rng.standard_exponential(count) ** spread * rng.choice((-1, 1), count)
    return x


def curve(rng, n, rate, low, high):
    """A random line through `rate` points per second, uniform between `low` and `high`."""
    points = rng.uniform(low, high, int(rate * n / SR) + 3)
    return np.interp(time(n) * rate + rng.random(), np.arange(len(points)), points)


def tone(freq, amplitudes=(1.0,), n=None):
    """A harmonic tone; `freq` is a number or a curve in Hz. Harmonics that would alias are left out."""
    freq = np.broadcast_to(freq, n) if n else np.asarray(freq)
    phase = 2 * np.pi * np.cumsum(freq) / SR
    return sum(a * np.sin(k * phase) for k, a in enumerate(amplitudes, 1) if a and k * freq.max() < 7800)


def ring(rng, freqs, t60s, n):
    """Decaying modes, higher ones weaker and of random phase: a thing that was struck."""
    freqs, t60s = np.broadcast_arrays(np.asarray(freqs, dtype=float)[:, None], np.asarray(t60s)[..., None])
    amplitudes = rng.uniform(0.3, 1, freqs.shape) / np.sqrt(freqs / freqs.min())
    phases = rng.uniform(0, 2 * np.pi, freqs.shape)
    modes = amplitudes * np.sin(2 * np.pi * freqs * time(n) + phases) * 10 ** (-3 * time(n) / t60s)
    return modes[freqs[:, 0] < 7800].sum(axis=0)


def place(n, onsets, sounds):
    """Add sounds up, each from its onset (s)."""
    x = np.zeros(n)
    for onset, sound in zip(onsets, sounds):
        start = round(onset * SR)
        if start < n:
            x[start:start + len(sound)] += sound[:n - start]
    return x


def steady(rng, period, count, jitter=0.05):
    """Onsets (s) of `count` events, a period apart except for a jitter in periods; the first is at 0."""
    return np.maximum(period * (np.arange(count) + np.append(0, rng.normal(0, jitter, count - 1))), 0)


def bubble(rng, freq, t60):
    """A bubble: a decaying tone that rises."""
    n = samples(t60)
    return tone(freq * (1 + rng.uniform(0, 0.6) * np.linspace(0, 1, n))) * fade(n, t60)


def play(rng, notes, program, n, is_drum=False):
    """Play notes (s) on a program of the SoundFont, tuned up or down by up to a semitone."""
    inst = instrument(notes, program, is_drum)
    inst.pitch_bends = [pretty_midi.PitchBend(int(rng.integers(-4096, 4096)), 0)]
    return fluid.render(inst, SR)[:n]


def phrase(rng, low, high, length, count, legato=1.0):
    """A random walk on a random scale -> notes of about `length` seconds each."""
    scale = (rng.integers(12) + np.array(SCALES[rng.choice(list(SCALES))])) % 12
    pitches = [p for p in range(low, high) if p % 12 in scale]
    at = np.clip(rng.integers(len(pitches)) + np.cumsum(rng.integers(-3, 4, count)), 0, len(pitches) - 1)
    lengths = length * rng.choice((0.5, 1, 1, 1.5), count)
    onsets = np.cumsum(lengths) - lengths
    return np.column_stack([onsets, onsets + legato * lengths, np.array(pitches)[at], rng.integers(60, 120, count)])
