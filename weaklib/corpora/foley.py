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

from weaklib.corpora.material import (
    SR,
    band,
    bubble,
    bump,
    coloured,
    curve,
    echoed,
    fade,
    impulses,
    noise,
    phrase,
    place,
    play,
    ring,
    samples,
    steady,
    time,
    tone,
    unit,
)

# ---- textures ------------------------------------------------------------------------------------------------------


def rain(rng, n):
    hiss = noise(rng, n, rng.uniform(600, 2500), rng.uniform(4500, 7500)) * curve(rng, n, 1, 0.7, 1)
    drops = band(impulses(rng, n, rng.uniform(60, 600)), rng.uniform(1200, 2500), rng.uniform(3500, 7000))
    return hiss + rng.uniform(0.3, 1.2) * unit(drops)


def wind(rng, n):
    gusts = sum(noise(rng, n, f, 1.6 * f) * curve(rng, n, rng.uniform(0.5, 2), 0.05, 1) ** 2
                for f in rng.uniform(60, 700, 4))
    whistle = band(rng.standard_normal(n), *rng.uniform(500, 1200) * np.array([1, 1.06]))
    return gusts + rng.uniform(0, 0.8) * unit(whistle) * curve(rng, n, 1, 0, 1) ** 2


def ocean(rng, n):
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * np.cumsum(curve(rng, n, 0.5, 0.15, 0.5)) / SR + rng.uniform(0, 2 * np.pi))
    foam = noise(rng, n, rng.uniform(800, 2000), 7000) * np.roll(swell, round(rng.uniform(0, 0.5) * SR)) ** 3
    return coloured(rng, n, rng.uniform(0.8, 1.6)) * (0.1 + swell ** 2) + rng.uniform(0.2, 0.8) * foam


def stream(rng, n):
    count = round(rng.uniform(40, 150) * n / SR)
    low = rng.uniform(300, 900)
    bubbles = (bubble(rng, f, rng.uniform(0.01, 0.06)) * rng.standard_exponential()
               for f in low * rng.uniform(1, 5, count))
    return unit(place(n, rng.uniform(0, n / SR, count), bubbles)) + rng.uniform(0.1, 0.4) * noise(rng, n, 300, 4000)


def fire(rng, n):
    rumble = coloured(rng, n, 1.5) * curve(rng, n, 4, 0.3, 1)
    crackle = band(impulses(rng, n, rng.uniform(15, 80), 1.0), rng.uniform(700, 2000), rng.uniform(3500, 7000))
    return rng.uniform(0.4, 1.2) * rumble + unit(crackle)


def engine(rng, n):
    turns = np.cumsum(rng.uniform(18, 60) * curve(rng, n, rng.uniform(0.3, 1.5), 0.8, 1.3)) / SR
    firing = np.exp(-rng.uniform(4, 12) * (turns % 1)) * rng.uniform(0.6, 1, 4)[(turns % 4).astype(int)]
    shaken = firing * (1 + rng.uniform(0.2, 1) * rng.standard_normal(n))
    body = rng.uniform((60, 200, 600), (200, 600, 2000))
    return sum(rng.uniform(0.3, 1) * unit(band(shaken, f, 1.5 * f)) for f in body)


def helicopter(rng, n):
    turns = rng.uniform(8, 18) * time(n)
    blades = noise(rng, n, rng.uniform(50, 100), rng.uniform(400, 1200)) * np.exp(-rng.uniform(3, 8) * (turns % 1))
    turbine = tone(rng.uniform(400, 1200), (1, 0.5, 0.3), n)
    return (unit(blades) + rng.uniform(0.02, 0.15) * turbine) * curve(rng, n, 0.5, 0.5, 1)


def crickets(rng, n):
    x = rng.uniform(0.01, 0.05) * coloured(rng, n, 1)
    for _ in range(rng.integers(1, 4)):
        pulses = np.maximum(np.sin(2 * np.pi * rng.uniform(25, 60) * time(n)), 0)
        chirps = (rng.uniform(1.2, 4) * time(n) + rng.random()) % 1 < rng.uniform(0.3, 0.8)
        x += rng.uniform(0.2, 1) * tone(rng.uniform(3000, 5500), n=n) * pulses * chirps
    return x


def applause(rng, n):
    hall = 0
    for _ in range(4):  # four kinds of hands
        clap = noise(rng, 400, rng.uniform(500, 1200), rng.uniform(2000, 5000)) * fade(400, rng.uniform(0.015, 0.04))
        hall = hall + echoed(impulses(rng, n, rng.uniform(15, 60)), clap)
    return unit(hall) * curve(rng, n, 1, 0.6, 1)


def vacuum(rng, n):
    motor = tone(rng.uniform(180, 500) * curve(rng, n, 3, 0.995, 1.005), 1 / np.arange(1, 15) ** rng.uniform(0.8, 2))
    return rng.uniform(0.2, 0.8) * unit(motor) + noise(rng, n, rng.uniform(150, 400), rng.uniform(1500, 6000))


# ---- events --------------------------------------------------------------------------------------------------------


def siren(rng, n):
    n = samples(rng.uniform(1.5, 4))
    low, turns = rng.uniform(400, 800), rng.uniform(0.3, 4) * time(n)
    shape = rng.choice(["wail", "sweep", "two tones"])
    height = {"wail": 0.5 - 0.5 * np.cos(2 * np.pi * turns), "sweep": turns % 1, "two tones": turns % 1 > 0.5}[shape]
    return tone(low * (1 + rng.uniform(0.3, 1.2) * height), (1, 0.5, 0.4, 0.2, 0.1)) * bump(n)


def alarm(rng, n):
    on, off, count = rng.uniform(0.04, 0.3), rng.uniform(0.04, 0.3), rng.integers(3, 12)
    pitches = rng.uniform(700, 3200) * np.where(np.arange(count) % 2, rng.choice((1, 1, 1.25)), 1)
    odd = (1, 0, rng.uniform(0, 0.4), 0, rng.uniform(0, 0.3))
    beeps = [tone(f, odd, samples(on)) * bump(samples(on), 0.003) for f in pitches]
    return place(n, np.arange(count) * (on + off), beeps)


def bell(rng, n):
    ratios = np.array([0.5, 1, 1.19, 1.5, 2, 2.51, 2.66, 3.01, 4.1, 5.4]) * rng.uniform(0.98, 1.02, 10)
    freqs, t60 = rng.uniform(200, 900) * ratios, rng.uniform(1.5, 6)
    stroke = ring(rng, freqs, t60 / np.sqrt(ratios), n)
    count = rng.integers(1, 4)
    return place(n, steady(rng, rng.uniform(0.6, 1.5), count), [stroke] * count)


def footsteps(rng, n):
    count, scuff, hollow = rng.integers(3, 9), rng.uniform(0.02, 0.15), rng.uniform(60, 180)
    low = rng.uniform(300, 2000)
    steps = []
    for _ in range(count):
        m = samples(0.2)
        thud = ring(rng, hollow * rng.uniform(0.95, 1.05) * np.array([1, 1.7, 2.9]), 0.12, m)
        steps.append(thud + rng.uniform(0.2, 1) * noise(rng, m, low, 3 * low) * fade(m, scuff))
    return place(n, steady(rng, rng.uniform(0.3, 0.7), count), steps)


def bark(rng, n):
    count, pitch, throat = rng.integers(1, 5), rng.uniform(250, 800), rng.uniform(500, 1200)
    barks = []
    for _ in range(count):
        m = samples(rng.uniform(0.1, 0.25))
        glide = pitch * rng.uniform(0.9, 1.1) * (0.7 + 0.5 * np.sin(np.pi * np.linspace(0.1, 1, m)))
        voice = unit(tone(glide, 1 / np.arange(1, 12))) + rng.uniform(0.3, 0.8) * rng.standard_normal(m)
        barks.append(band(voice, throat, 2.5 * throat) * np.sin(np.pi * np.linspace(0, 1, m) ** 0.5))
    return place(n, steady(rng, rng.uniform(0.3, 0.6), count, 0.15), barks)


def birds(rng, n):
    base, motif = rng.uniform(2000, 4500), []
    for _ in range(rng.integers(2, 6)):
        start, stop, bend = base * rng.uniform(0.7, 1.5, 3)
        m = samples(rng.uniform(0.03, 0.16))
        freq = np.interp(np.linspace(0, 2, m), (0, 1, 2), (start, bend, stop))
        motif.append(tone(freq, (1, rng.uniform(0, 0.2))) * np.hanning(m) * rng.uniform(0.4, 1))
    song = place(samples(0.2 * len(motif)), np.arange(len(motif)) * rng.uniform(0.08, 0.18), motif)
    count = rng.integers(1, 6)
    return place(n, steady(rng, len(song) / SR + rng.uniform(0.05, 0.6), count), [song] * count)


def clock(rng, n):
    m, count = samples(0.08), rng.integers(4, 16)
    tick, tock = (ring(rng, rng.uniform(1200, 6500, 5), rng.uniform(0.01, 0.06), m) for _ in range(2))
    return place(n, steady(rng, rng.uniform(0.2, 0.6), count, 0.005), [tick, tock] * count)


def drops(rng, n):
    count, low = rng.integers(3, 14), rng.uniform(400, 1200)
    onsets = np.sort(np.append(0, rng.uniform(0, rng.uniform(1.5, 4), count - 1)))
    return place(n, onsets, [bubble(rng, f, rng.uniform(0.05, 0.2)) for f in low * rng.uniform(1, 1.8, count)])


def glass(rng, n):
    m, count = samples(0.6), rng.integers(10, 40)
    crash = rng.uniform(0.5, 1.5) * noise(rng, m, 2000, 7500) * fade(m, rng.uniform(0.08, 0.3))
    shards = [ring(rng, f * np.array([1, 1.51, 2.3]), rng.uniform(0.1, 0.5), m) * rng.standard_exponential()
              for f in rng.uniform(1500, 6000, count)]
    onsets = rng.standard_exponential(count) * rng.uniform(0.05, 0.3)
    return place(n, np.append(0, onsets), [crash, *shards])


def knock(rng, n):
    m, count, body = samples(0.25), rng.integers(2, 7), rng.uniform(90, 350)
    freqs, t60 = body * np.array([1, 1.6, 2.3, 3.1, 4.4]) * rng.uniform(0.95, 1.05, 5), rng.uniform(0.05, 0.2)
    knocks = [ring(rng, freqs, t60, m) * rng.uniform(0.6, 1) for _ in range(count)]
    return place(n, steady(rng, rng.uniform(0.12, 0.35), count), knocks)


def phone(rng, n):
    length, rate, pitch = rng.uniform(0.5, 1.5), rng.uniform(12, 26), rng.uniform(700, 1600)
    if rng.random() < 0.5:  # two gongs and a clapper
        gongs = [ring(rng, pitch * k * np.array([1, 2.4, 3.9]), rng.uniform(0.2, 0.8), samples(0.5))
                 for k in (1, 1.25)]
        count = round(length * rate)
        once = place(samples(length + 0.3), np.arange(count) / rate, gongs * count)
    else:  # a warble of two tones
        m = samples(length)
        warble = np.where(time(m) * rate % 1 < 0.5, 1, rng.uniform(1.15, 1.4))
        once = tone(pitch * warble, (1, 0, 0.3)) * bump(m)
    count = rng.integers(1, 4)
    return place(n, np.arange(count) * (length + rng.uniform(0.3, 0.8)), [once] * count)


def horn(rng, n):
    pitch, ratio, tilt = rng.uniform(250, 550), rng.uniform(1.18, 1.3), rng.uniform(0.5, 1.2)
    honks = []
    for _ in range(rng.integers(1, 4)):
        m = samples(rng.uniform(0.15, 1))
        honks.append(sum(tone(f, np.arange(1, 14) ** -tilt, m) for f in (pitch, pitch * ratio)) * bump(m, 0.015))
    lengths = [len(honk) / SR + rng.uniform(0.08, 0.3) for honk in honks]
    return place(n, np.cumsum([0, *lengths]), honks)


def whistle(rng, n):
    n = samples(rng.uniform(0.8, 3))
    steps = np.repeat(rng.integers(-5, 8, 12), -(-n // 12))[:n]
    glide = np.convolve(np.pad(steps, 400, "edge"), np.ones(801) / 801, "valid")  # 50 ms from tone to tone
    vibrato = rng.uniform(0, 0.3) * np.sin(2 * np.pi * rng.uniform(4, 7) * time(n))
    freq = rng.uniform(800, 1800) * 2 ** ((glide + vibrato) / 12)
    return (tone(freq, (1, 0.05)) + rng.uniform(0.02, 0.15) * noise(rng, n, 1000, 5000)) * bump(n, 0.03)


def thunder(rng, n):
    n = samples(rng.uniform(2, 4))
    crack = noise(rng, n, 200, 5000) * fade(n, rng.uniform(0.1, 0.6)) * rng.uniform(0.1, 0.8)
    count = rng.integers(2, 6)
    rolls = [coloured(rng, n, rng.uniform(1.6, 2.4)) * fade(n, rng.uniform(1, 4)) * rng.uniform(0.3, 1)
             for _ in range(count)]
    return (crack + place(n, np.append(0, rng.uniform(0, 1.5, count - 1)), rolls)) * bump(n)


def frog(rng, n):
    rate, throat, count = rng.uniform(20, 70), rng.uniform(400, 1500), rng.integers(1, 6)
    croaks = []
    for _ in range(count):
        m = samples(rng.uniform(0.15, 0.5))
        pulses = np.exp(-6 * (np.cumsum(rate * np.linspace(0.9, 1.15, m)) / SR % 1)) * rng.normal(1, 0.2, m)
        voice = unit(band(pulses, throat, 1.2 * throat)) + 0.4 * unit(band(pulses, 2.6 * throat, 3 * throat))
        croaks.append(voice * np.hanning(m))
    return place(n, steady(rng, rng.uniform(0.5, 1), count), croaks)


def typing(rng, n):
    count, low = rng.integers(6, 30), rng.uniform(800, 2500)
    keys = []
    for _ in range(count):
        m = samples(0.12)
        click = noise(rng, m, low, 3 * low) * fade(m, rng.uniform(0.01, 0.03))
        thock = ring(rng, rng.uniform(150, 500, 2), 0.06, m)
        keys.append(click + 0.5 * np.roll(click, samples(rng.uniform(0.04, 0.08))) + rng.uniform(0.2, 0.8) * thock)
    return place(n, np.append(0, np.cumsum(rng.gamma(4, 0.03, count - 1))), keys)


# ---- instruments ---------------------------------------------------------------------------------------------------


def flute(rng, n):
    return play(rng, phrase(rng, 62, 92, rng.uniform(0.2, 0.6), rng.integers(2, 8)), 73, n)


def violin(rng, n):
    return play(rng, phrase(rng, 56, 86, rng.uniform(0.3, 1.2), rng.integers(1, 5)), 40, n)


def trumpet(rng, n):
    return play(rng, phrase(rng, 56, 82, rng.uniform(0.15, 0.6), rng.integers(2, 8), 0.9), 56, n)


def marimba(rng, n):
    return play(rng, phrase(rng, 48, 84, rng.uniform(0.1, 0.3), rng.integers(4, 14)), 12, n)


def organ(rng, n):
    melody = phrase(rng, 55, 79, rng.uniform(0.4, 1.2), rng.integers(1, 5))
    chord = np.concatenate([melody + (0, 0, interval, 0) for interval in (0, 4, 7)[:rng.integers(1, 4)]])
    return play(rng, chord, int(rng.choice((16, 17, 19, 20))), n)


def guitar(rng, n):
    picked = phrase(rng, 40, 72, rng.uniform(0.12, 0.4), rng.integers(3, 12), 1.5)
    return play(rng, picked, int(rng.choice((24, 25))), n)


def drums(rng, n):
    step, notes = rng.uniform(0.1, 0.18), []
    kick, snare, hat = rng.random(16) < 0.3, np.arange(16) % 8 == 4, np.arange(16) % rng.choice((1, 2, 4)) == 0
    kick[0], snare = True, snare | (rng.random(16) < 0.08)
    for struck, key in ((kick, rng.choice((35, 36))), (snare, rng.choice((38, 40))), (hat, rng.choice((42, 46, 51)))):
        notes += [(i * step, i * step + 0.1, key, rng.integers(70, 120)) for i in np.flatnonzero(struck)]
    return play(rng, notes, 0, n, is_drum=True)


def cowbell(rng, n):
    step, struck = rng.uniform(0.1, 0.2), np.flatnonzero(rng.random(16) < rng.uniform(0.3, 0.8))
    onsets = step * np.append(0, struck + 1)
    return play(rng, [(t, t + 0.1, 56, rng.integers(60, 120)) for t in onsets], 0, n, is_drum=True)


TEXTURES = {make.__name__: make for make in (
    rain, wind, ocean, stream, fire, engine, helicopter, crickets, applause, vacuum)}
EVENTS = {make.__name__: make for make in (
    siren, alarm, bell, footsteps, bark, birds, clock, drops, glass, knock, phone, horn, whistle, thunder, frog, typing,
    flute, violin, trumpet, marimba, organ, guitar, drums, cowbell)}
