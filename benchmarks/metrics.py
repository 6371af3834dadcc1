"""Time of BSS Eval: mir_eval.separation.bss_eval_sources against weaklib.metrics.bss_eval.

    python benchmarks/metrics.py [--seconds 4]

Prints a Markdown table with the largest difference of the scores. One thread, with permutation search, processor time
(another program on the machine then matters less), the fastest of several runs. Sources are filtered noise, harmonic
tones quantised to 16 bits (steep spectra), and noise below 1.6 kHz only, all with the same band: the worst case of the
iterative solver.
"""
from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before numpy is loaded

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from scipy.signal import butter, lfilter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from weaklib.metrics import bss_eval

SR = 16_000


def sources(kind, n_src, n_time, rng):
    """Test signals (n_src, n_time)."""
    noise = rng.standard_normal((n_src, n_time))
    if kind == "noise":
        return np.stack([lfilter([1], [1, -0.9 + 0.3 * k], x) for k, x in enumerate(noise)])
    if kind == "band-limited":
        return lfilter(*butter(8, 0.2), noise)
    t = np.arange(n_time) / SR
    tones = []
    for k in range(n_src):
        pitch = 55 * 2 ** ((k * 7 + 3 * np.floor(2 * t + k / n_src)) % 36 / 12)  # a new note every half second
        phase = 2 * np.pi * np.cumsum(pitch) / SR
        tones.append(sum(np.sin(h * phase) * (h * pitch < SR / 2) / h for h in range(1, 20)) * np.exp(-4 * (2 * t % 1)))
    tones = np.stack(tones)
    return np.round(tones / np.abs(tones).max() * 32767) / 32768


def fastest(f, repeat_s):
    """Seconds of the fastest call, and its result."""
    times, end = [], time.process_time() + repeat_s
    while not times or time.process_time() < end:
        start = time.process_time()
        out = f()
        times.append(time.process_time() - start)
    return min(times), out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sources", type=int, nargs="+", default=[2, 3, 4], help="numbers of sources")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the signals")
    parser.add_argument("--repeat", type=float, default=2.0, help="seconds spent on each measurement")
    args = parser.parse_args()
    from mir_eval.separation import bss_eval_sources
    warnings.simplefilter("ignore", FutureWarning)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    print("| sources | signals | mir_eval | weaklib | faster | difference SDR, SIR, SAR |")
    print("|---|---|---|---|---|---|")
    for n_src in args.sources:
        for kind in ("noise", "tones", "band-limited"):
            ref = sources(kind, n_src, round(args.seconds * SR), rng)
            est = ref[::-1] + 0.2 * ref.sum(0) + 0.05 * ref.std() * rng.standard_normal(ref.shape)
            slow, expected = fastest(lambda: bss_eval_sources(ref, est), args.repeat)
            seconds, ours = fastest(lambda: bss_eval(est, ref), args.repeat)
            gap = ", ".join(f"{np.abs(a - b).max():.0e}" for a, b in zip(ours, expected))
            times = f"{slow * 1e3:.0f} ms | {seconds * 1e3:.1f} ms | {slow / seconds:.0f} x"
            print(f"| {n_src} | {kind} | {times} | {gap} dB |", flush=True)


if __name__ == "__main__":
    main()
