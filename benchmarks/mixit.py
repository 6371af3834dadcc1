"""Time and memory of the MixIT loss: a plain loop over assignments against weaklib's exact search; training by outputs.

    python benchmarks/mixit.py [--only loss|step] [--asteroid] [--sources 4 8 16 20] [--seconds 3]

Prints Markdown tables. Forward and backward of one example of random signals at 16 kHz, on one thread, in processor
time (another program on the machine then matters less), the fastest of several runs. Memory is how much the peak of the
process grows during the first one; each measurement has a process of its own. ``--asteroid`` adds asteroid's
``MixITLossWrapper``, if it can be imported.

A training step is one of wisdom2020's laptop network with 4, 8 and 16 outputs (8 mixtures of mixtures of 4 s): forward,
backward and the optimiser. It is timed with MixIT alone, and with the losses that wisdom2021 adds. One with 16
outputs has 1.36 times the multiplications of one with 4 (13.0 and 17.8 GFLOP), whatever the loss costs: the last layer
makes a mask for each output.
"""
from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from weaklib.grids.wisdom2020 import PRESETS
from weaklib.losses import covariance, mixit, sparsity, thresholded_snr
from weaklib.models import TDCN

SR = 16_000
STEP_BATCH, STEP_SECONDS, STEP_SOURCES = 8, 4, (4, 8, 16)
STEPS = {"exact": ("exact", False), "lsq": ("lsq", False), "exact, sparsity, covariance": ("exact", True)}
LOOP_LIMIT = 10  # outputs: 2^16 remixes of 3 s, kept for the gradient, are 25 GB


def plain_loop(est, ref):
    """The loss as its formula reads: remix for every assignment, keep the best."""
    losses = []
    for owner in itertools.product((0, 1), repeat=est.shape[1]):
        a = torch.tensor([[o == n for o in owner] for n in (0, 1)], dtype=est.dtype)
        losses.append(thresholded_snr(a @ est, ref).mean(1))
    return torch.stack(losses).amin(0)


def asteroid_loss():
    """asteroid's generalised MixIT with its negative SNR."""
    from asteroid.losses import MixITLossWrapper, multisrc_neg_snr
    return MixITLossWrapper(multisrc_neg_snr, generalized=True)


METHODS = {"loop": lambda: plain_loop, "weaklib": lambda: lambda est, ref: mixit(est, ref)[0],
           "lsq+flip": lambda: lambda est, ref: mixit(est, ref, search="lsq+flip")[0], "asteroid": asteroid_loss}


def measure(method, n_src, n_time, repeat_s):
    """Seconds of the fastest forward and backward, and MB by which the first one raised the peak of the process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    loss = METHODS[method]()
    loss(torch.randn(1, 2, 100, requires_grad=True), torch.randn(1, 2, 100)).mean().backward()  # libraries are loaded
    est, ref = torch.randn(1, n_src, n_time, requires_grad=True), torch.randn(1, 2, n_time)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loss(est, ref).mean().backward()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    times, end = [], time.process_time() + repeat_s
    while not times or time.process_time() < end:
        est.grad = None
        start = time.process_time()
        loss(est, ref).mean().backward()
        times.append(time.process_time() - start)
    return min(times), grown / (1e3 if sys.platform != "darwin" else 1e6)


def training_step(search, n_src, repeat_s, extra=False):
    """Seconds of the fastest training step, and of the losses and their gradient in the outputs, a part of it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = TDCN(n_src, **asdict(PRESETS["laptop"].config.net))
    optimiser = torch.optim.AdamW(model.parameters())
    ref = torch.randn(STEP_BATCH, 2, STEP_SECONDS * SR)
    times, losses, end = [], [], time.process_time() + repeat_s
    while len(times) < 2 or time.process_time() < end:  # the first one allocates
        start = time.process_time()
        optimiser.zero_grad()
        est = model(ref.sum(1))
        heard = est.detach().requires_grad_()
        forward = time.process_time()
        loss = mixit(heard, ref, search=search)[0]
        if extra:
            loss = loss + sparsity(heard) + covariance(heard)
        loss.mean().backward()
        losses.append(time.process_time() - forward)
        est.backward(heard.grad)
        optimiser.step()
        times.append(time.process_time() - start)
    return min(times), min(losses)


def in_fresh_process(*job):
    """A measurement in a process of its own, so that peaks do not mix."""
    out = subprocess.run([sys.executable, __file__, "--job", json.dumps(job)], capture_output=True, text=True)
    if out.returncode:
        raise SystemExit(out.stderr)
    return json.loads(out.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=("loss", "step"), help="the loss alone, or training steps alone")
    parser.add_argument("--sources", type=int, nargs="+", default=[4, 8, 16, 20], help="numbers of outputs")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of the signals")
    parser.add_argument("--repeat", type=float, default=3.0, help="seconds spent on each measurement")
    parser.add_argument("--asteroid", action="store_true", help="also time asteroid's MixITLossWrapper")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        name, *job = json.loads(args.job)
        print(json.dumps(JOBS[name](*job)))
        return
    if args.only != "step":
        of_the_loss(args)
    if args.only != "loss":
        of_a_step(args)


def of_the_loss(args):
    """Tables of time and memory, by number of outputs and by length."""
    n_time = round(args.seconds * SR)
    rivals = ["loop"] + ["asteroid"] * args.asteroid
    print("| M | assignments | " + " | ".join(f"{r} | memory | faster" for r in rivals) + " | weaklib | memory |")
    print("|---|---|" + "---|---|---|" * len(rivals) + "---|---|")
    for n_src in args.sources:
        seconds, megabytes = in_fresh_process("loss", "weaklib", n_src, n_time, args.repeat)
        cells = []
        for rival in rivals:
            if n_src > LOOP_LIMIT:
                cells.append("too large | | ")
                continue
            slow, much = in_fresh_process("loss", rival, n_src, n_time, args.repeat)
            cells.append(f"{slow * 1e3:.1f} ms | {much:.0f} MB | {slow / seconds:.0f} x")
        cells.append(f"{seconds * 1e3:.1f} ms | {megabytes:.0f} MB")
        print(f"| {n_src} | {2 ** n_src} | {' | '.join(cells)} |", flush=True)

    print("\n| seconds | " + " | ".join(f"M = {m} | memory" for m in args.sources) + " |")
    print("|---|" + "---|---|" * len(args.sources))
    for factor in (1, 2, 4, 8):
        row = [in_fresh_process("loss", "weaklib", m, n_time * factor, args.repeat) for m in args.sources]
        print(f"| {args.seconds * factor:g} | " + " | ".join(f"{s * 1e3:.1f} ms | {mb:.0f} MB" for s, mb in row) + " |",
              flush=True)
    print()


def of_a_step(args):
    """Table of training steps, and how many times as long as with the fewest outputs."""
    print(f"| M | {' | '.join(f'{name} | longer | of it losses' for name in STEPS)} |")
    print("|---|" + "---|---|---|" * len(STEPS))
    fewest = {}
    for n_src in STEP_SOURCES:
        cells = []
        for name, (search, extra) in STEPS.items():
            seconds, losses = in_fresh_process("step", search, n_src, args.repeat, extra)
            longer = seconds / fewest.setdefault(name, seconds)
            cells.append(f"{seconds * 1e3:.0f} ms | {longer:.2f} x | {losses * 1e3:.0f} ms")
        print(f"| {n_src} | {' | '.join(cells)} |", flush=True)


JOBS = {"loss": measure, "step": training_step}

if __name__ == "__main__":
    main()
