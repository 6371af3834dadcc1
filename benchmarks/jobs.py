"""Runs per hour by the number of jobs, and the time of a training step by threads, idle and beside a busy process.

    python benchmarks/jobs.py [--steps 60] [--runs 4] [--jobs 1 2] [--only steps|runs]

Prints Markdown tables. A step is one of `wisdom2020` at the laptop preset, on random sound; of several the median
counts. The runs are as many of that paper, cut to a few steps and with different seeds, in a store of their own; the
corpus is rendered before, if it is not there. Each measurement has processes of its own; the busy process does nothing
but count. Measure on a machine that is otherwise idle.
"""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

ROW, SPLITS = "dry_1or2src_matched_unsup100", ("train", "validation", "test")
#: How OpenMP's threads wait for each other: libgomp's own way, and as weaklib has it.
WAITING = {"spinning": {"GOMP_SPINCOUNT": "300000"}, "passive": {"OMP_WAIT_POLICY": "PASSIVE"}}


def steps(threads: int, seconds: float = 10.0) -> float:
    """Median time of a step, in s."""
    import torch

    from weaklib import experiment, training
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    training.keep_buffers()
    paper = experiment.load("wisdom2020")
    cfg = paper.config(ROW, "laptop")
    task = paper.method.task(cfg, "cpu")
    optimiser = torch.optim.AdamW(task.model.parameters(), fused=True)
    times, end = [], time.monotonic() + seconds
    while len(times) < 4 or time.monotonic() < end:
        batch, began = task.draw(len(times)), time.monotonic()
        optimiser.zero_grad()
        task.loss(task.model, batch).backward()
        optimiser.step()
        times.append(time.monotonic() - began)
    return median(times[1:])


def runs(n: int, n_runs: int, n_steps: int) -> dict:
    """Seconds from the first to the last of several runs, `n` at a time, and the longest of one."""
    from weaklib import corpora, experiment, files, jobs
    from weaklib import runs as store
    for split in SPLITS:
        corpora.load("talkers", split, "laptop")
    paper = experiment.load("wisdom2020")
    configs = [paper.config(ROW, "laptop", seed) for seed in range(n_runs)]
    configs = [replace(cfg, plan=replace(cfg.plan, steps=n_steps, validate_every=n_steps)) for cfg in configs]
    with tempfile.TemporaryDirectory() as tmp:
        (Path(tmp) / "corpora").symlink_to(files.home() / "corpora")
        os.environ["WEAKLIB_HOME"] = tmp
        began = time.monotonic()
        outcome = jobs.work(configs, device="cpu", n=n, out=sys.stderr)
        seconds = time.monotonic() - began
        assert len(outcome.trained) == n_runs, outcome.failed
        took = [store.find(cfg, "", "local").provenance["seconds"] for cfg in configs]
        return {"seconds": seconds, "longest": max(took)}


@contextmanager
def busy():
    """One other process that takes all that it gets."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def measure(job: list, environment: dict | None = None, beside: bool = False):
    """Do a job in a process of its own."""
    with busy() if beside else nullcontext():
        out = subprocess.run([sys.executable, __file__, "--job", json.dumps(job)], stdout=subprocess.PIPE, text=True,
                             check=True, env={**os.environ, **(environment or {})})
    return json.loads(out.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=60, help="of a run")
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", choices=("steps", "runs"))
    parser.add_argument("--job", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        name, *given = json.loads(args.job)
        print(json.dumps({"steps": steps, "runs": runs}[name](*given)))
        return
    if args.only != "runs":
        print("| threads | waiting | step, idle | step, beside a busy process |\n| --- | --- | --- | --- |")
        for threads, waiting in ((1, "passive"), (2, "passive"), (2, "spinning")):
            idle, beside = (measure(["steps", threads], WAITING[waiting], b) for b in (False, True))
            print(f"| {threads} | {waiting} | {idle:.3f} s | {beside:.3f} s |", flush=True)
    if args.only != "steps":
        print(f"\n| jobs | beside | runs of {args.steps} steps per hour | longest run |\n| --- | --- | --- | --- |")
        for beside in (False, True):
            for n in args.jobs:
                got = measure(["runs", n, args.runs, args.steps], beside=beside)
                per_hour, what = 3600 * args.runs / got["seconds"], "a busy process" if beside else "nothing"
                print(f"| {n} | {what} | {per_hour:.0f} | {got['longest']:.1f} s |", flush=True)


if __name__ == "__main__":
    main()
