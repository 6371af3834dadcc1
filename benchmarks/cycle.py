"""What a training step of shin2026 spends its time on: convolutions, other arithmetic, drawing the batch, the rest.

    python benchmarks/cycle.py [--preset full] [--row r1_100_paired_unpaired] [--steps 10]

Prints a Markdown table of the means over steps, on one thread. A step is one update of the generators and one of the
discriminators; the score VAE has random weights, which does not change how long it takes. The corpora are rendered
first, if they are not there yet.
"""
from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from weaklib import experiment
from weaklib.papers import shin2026
from weaklib.training import keep_buffers


def parts(cfg):
    """A function that draws the batch of a step, and one that takes the step."""
    torch.manual_seed(0)
    model, budget = shin2026.build(cfg).train(), shin2026.Budget(cfg)
    draw = shin2026.Batches(cfg, budget, model.vae)
    players = [(list(model.generators()), partial(shin2026.generation, cfg=cfg))]
    if cfg.unpaired:
        players.append((list(model.critics()), partial(shin2026.judgement, cfg=cfg)))
    optimisers = [torch.optim.AdamW(parameters, lr=1e-4, fused=True) for parameters, _ in players]

    def move(batch):
        for optimiser, (parameters, loss) in zip(optimisers, players):
            for p in model.parameters():
                p.requires_grad_(False)
            for p in parameters:
                p.requires_grad_(True)
            out = loss(model, batch)
            value, extra = out if isinstance(out, tuple) else (out, {})
            batch |= {name: x.detach() for name, x in extra.items() if name != "terms"}
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
    return draw, move


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", default="full")
    parser.add_argument("--row", default="r1_100_paired_unpaired")
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_buffers()
    cfg = experiment.load("shin2026").config(args.row, args.preset)
    draw, move = parts(cfg)
    late = cfg.plan.steps // 2  # when every loss is on
    for k in range(3):
        move({"step": late + k} | draw(late + k))
    drawing = moving = 0.0
    for k in range(3, 3 + args.steps):
        start = time.perf_counter()
        batch = {"step": late + k} | draw(late + k)
        drawn = time.perf_counter()
        move(batch)
        drawing, moving = drawing + drawn - start, moving + time.perf_counter() - drawn
    batch = {"step": late} | draw(late)
    with torch.profiler.profile() as profile:
        move(batch)
    spent = {event.key: event.self_cpu_time_total for event in profile.key_averages() if event.key.startswith("aten::")}
    convolving = sum(x for key, x in spent.items() if "conv" in key)
    share = convolving / sum(spent.values())
    total = (drawing + moving) / args.steps
    print(f"{args.row} at {args.preset}: {1e3 * total:.0f} ms a step\n\n| part | share |\n|---|---|")
    for name, seconds in (("convolutions", share * moving), ("other operations of torch", (1 - share) * moving),
                          ("drawing the batch, features included", drawing)):
        print(f"| {name} | {seconds / (drawing + moving):.0%} |")
    print("\nMost time, by operation: " + ", ".join(
        f"{key.removeprefix('aten::')} {x / sum(spent.values()):.0%}"
        for key, x in sorted(spent.items(), key=lambda item: -item[1])[:8]))


if __name__ == "__main__":
    main()
