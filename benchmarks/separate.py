"""Time and memory of `weaklib.separate`, and the peak memory of the command on a long file.

    python benchmarks/separate.py [--method wisdom2020] [--seconds 180] [--hours 1]

Noise in stereo at 44.1 kHz, on one thread, in processor time (another program on the machine then matters less).
Memory is the peak of a process of its own, with all libraries and, for arrays, the audio and the stems. ``--hours 0``
leaves out the file, which takes 1.3 GB of disk per hour, and its stems as much again each.
"""
from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from weaklib import audio, inference

SR, CHANNELS = 44_100, 2


def array(method, seconds):
    """Separate an array."""
    x = np.random.default_rng(0).standard_normal((CHANNELS, round(seconds * SR)), dtype=np.float32) / 10
    start = time.process_time()
    inference.separate(x, SR, method, device="cpu")
    return time.process_time() - start


def file(method, seconds):
    """Separate a file, made a second at a time."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.wav"
        with audio.writing(path, SR, CHANNELS, round(seconds) * SR) as add:
            for _ in range(round(seconds)):
                add(rng.standard_normal((CHANNELS, SR), dtype=np.float32) / 10)
        start = time.process_time()
        inference.separate_file(path, folder, method, device="cpu")
        return time.process_time() - start


def measure(what, method, seconds):
    """CPU seconds of a job, and the peak of this process in MB."""
    import torch
    torch.set_num_threads(1)
    spent = {"array": array, "file": file}[what](method, seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return spent, peak / (1e3 if sys.platform != "darwin" else 1e6)


def in_fresh_process(*job):
    """`measure` in a process of its own, so that peaks do not mix."""
    out = subprocess.run([sys.executable, __file__, "--job", json.dumps(job)], stdout=subprocess.PIPE, text=True,
                         env={**os.environ, "OMP_NUM_THREADS": "1"})
    if out.returncode:
        raise SystemExit(out.returncode)
    return json.loads(out.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--method", default="wisdom2020", help="see `python -m weaklib methods`")
    parser.add_argument("--seconds", type=float, default=180, help="length of the array")
    parser.add_argument("--hours", type=float, default=1, help="length of the file")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        print(json.dumps(measure(*json.loads(args.job))))
        return
    print("| what | audio | CPU | x real time | peak memory |\n|---|---|---|---|---|")
    for what, seconds in (("array", args.seconds), ("file", 3600 * args.hours)):
        if seconds:
            spent, peak = in_fresh_process(what, args.method, seconds)
            print(f"| {what} | {seconds:.0f} s | {spent:.1f} s | {seconds / spent:.0f} | {peak:.0f} MB |", flush=True)


if __name__ == "__main__":
    main()
