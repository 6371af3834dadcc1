"""Time of mahmud2024's U-Net: forward and backward of one prompt, by network and size of the spectrogram.

    python benchmarks/condunet.py [--batch 16] [--repeat 3] [--profile]

Prints a Markdown table. A network of a laptop (five levels of 16 to 128 channels, MiniLM's 384-d tokens, embeddings of
64), on one thread, in processor time (another program on the machine then matters less), the fastest of several runs.
``--profile`` shows which operations the time goes to instead.
"""
from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from weaklib.models import CondUNet
from weaklib.training import keep_buffers

LAPTOP = {"n_levels": 5, "n_channels": 16, "most": 128, "d_token": 384, "d_embedding": 64}
NETWORKS = {"vanilla": {"res": 0, "self_attention": 0, "cross_attention": 0},
            "FiLM": {"res": 0, "self_attention": 0, "cross_attention": 0, "film": "affine"},
            "CA": {"res": 0, "self_attention": 0}, "SA + CA, FiLM": {"res": 0, "film": "affine"},
            "Res": {"self_attention": 0, "cross_attention": 0}, "Res + SA + CA": {}}
SIZES = ((64, 64), (128, 64), (256, 64))  # bins and frames
N_TOKENS = 12


def step(changes: dict, size, batch: int):
    """A network, and a function that goes through it and back."""
    torch.manual_seed(0)
    net = CondUNet(**{**LAPTOP, **changes})
    given = (torch.rand(batch, 1, *size), torch.randn(batch, N_TOKENS, LAPTOP["d_token"]),
             torch.randn(batch, LAPTOP["d_embedding"]), torch.full((batch,), N_TOKENS - 2))

    def run():
        net.zero_grad(set_to_none=True)
        net(*given).square().mean().backward()
    return net, run


def fastest(run, repeat_s: float) -> float:
    """Seconds of processor time of the fastest of several calls; the first ones allocate."""
    times, end = [], time.process_time() + repeat_s
    while len(times) < 3 or time.process_time() < end:
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=16, help="prompts at once")
    parser.add_argument("--repeat", type=float, default=3.0, help="seconds spent on each measurement")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--profile", action="store_true", help="what the time goes to, at the first size")
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_buffers()
    if args.profile:
        for name in args.networks:
            _, run = step(NETWORKS[name], SIZES[0], args.batch)
            run()
            with torch.profiler.profile() as profile:
                run()
            print(name, profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=14), sep="\n")
        return
    print("| network | parameters | " + " | ".join(f"{f} x {t}" for f, t in SIZES) + " |")
    print("|---|---|" + "---|" * len(SIZES))
    for name in args.networks:
        cells = []
        for size in SIZES:
            net, run = step(NETWORKS[name], size, args.batch)
            cells.append(f"{fastest(run, args.repeat) / args.batch * 1e3:.1f} ms")
        n = sum(x.numel() for x in net.parameters())
        print(f"| {name} | {n / 1e6:.2f} M | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
