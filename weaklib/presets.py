"""Presets: one name says how much is spent, and this is the one place that knows the names.

A preset changes sizes, steps, seeds and data, never the method.
"""
from __future__ import annotations

from weaklib.files import WeaklibError

NAMES = ("smoke", "laptop", "full", "gpu", "paper")  # from the cheapest to the most expensive
DEFAULT = "laptop"
KNOWN = "full"                # whose committed spread over seeds stands in where a machine has too few of them
PUBLISHED = NAMES[1:]         # smoke tests the code, and its numbers are never published
SMALL = ("smoke", "laptop")   # only the headline rows of each table
SEEDS = {"smoke": 1, "laptop": 1, "full": 3, "gpu": 3, "paper": 1}  # random seeds per row; one shows no spread
NEED_GPU = ("gpu", "paper")   # more than a processor does in reasonable time


def check(preset: str) -> str:
    """Return `preset`, or raise a WeaklibError if there is none of that name."""
    if preset not in NAMES:
        raise WeaklibError(f"Unknown preset {preset!r}; choose one of {', '.join(NAMES)}.")
    return preset


def sizes(preset: str) -> str:
    """Name the preset whose sizes `preset` has: ``full`` spends on more rows and seeds, with the corpora of ``laptop``
    and, unless a grid has a ``full`` of its own, with its networks.
    """
    return "laptop" if check(preset) == "full" else preset
