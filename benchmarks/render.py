"""How fast are the corpora rendered? Seconds of mixture per CPU second, on one core.

    python benchmarks/render.py [songs]
"""
import sys
from time import process_time

import numpy as np

from weaklib.corpora import band, composer, fluid, foley
from weaklib.midi import instrument
from weaklib.rolls import piano_roll

ROW = "{:<32}{:>10}{:>12}{:>14}".format


def timed(make, items):
    """CPU seconds that `make` takes for all items, and what it returns."""
    start = process_time()
    made = [make(item) for item in items]
    return process_time() - start, made


def rolls(song):
    """Rolls of a whole song, as its clips have them."""
    return [piano_roll(notes, round(band.SONG * 32) + 1, 32) for notes in song.notes]


def report(what, audio, cpu):
    print(ROW(what, f"{audio:.0f}", f"{cpu:.2f}", f"{audio / cpu:.0f}"))


def bench_band(n):
    fluid.render(instrument([(0, 1, 60, 90)], 0), band.SR)  # imports and loads what the first render has to
    audio = n * band.SONG
    rngs = [np.random.default_rng([7, i]) for i in range(n)]
    compose, songs = timed(lambda rng: composer.compose(rng, band.SONG - fluid.TAIL), rngs)
    render, _ = timed(lambda pair: band.render(*pair), list(zip(songs, rngs)))
    roll, _ = timed(rolls, songs)
    report("band: composing", audio, compose)
    report("band: three stems, resampled", audio, render)
    report("band: rolls", audio, roll)
    report("band: all", audio, compose + render + roll)
    for k, name in enumerate(band.INSTRUMENTS):
        cpu, _ = timed(lambda s: fluid.render(instrument(s.notes[k], s.programs[k]), band.SR, band.SONG), songs)
        report(f"  {name} alone", audio, cpu)


def bench_foley(n, seconds=4.0):
    for kind, makers in (("textures", foley.TEXTURES), ("events", foley.EVENTS)):
        cpu, made = timed(lambda job: job[0](np.random.default_rng(job[1]), round(seconds * foley.SR)),
                          [(make, i) for make in makers.values() for i in range(n)])
        report(f"sounds: {len(makers)} classes of {kind}", sum(map(len, made)) / foley.SR, cpu)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(ROW("", "audio (s)", "CPU (s)", "x real time"))
    bench_band(count)
    bench_foley(max(1, count // 4))
