"""Progress with an ETA, the same in a terminal, in a notebook and under ``run_all.py``.

Text only: a progress widget would leave dead state in a saved notebook.
"""
from __future__ import annotations

import os
import time
from pathlib import Path

from tqdm.std import tqdm

#: Set by ``run_all.py``: the file through which a headless notebook tells how far it is.
CHANNEL = "WEAKLIB_PROGRESS"


def track(iterable, desc: str, total: int | None = None, initial: int = 0):
    """Iterate over `iterable`, showing how far it is and how long it will take.

    Parameters
    ----------
    iterable : Iterable
    desc : str
        What is being done, in a few words.
    total : int, optional
        Number of items in all; ``len(iterable)`` if it has one.
    initial : int
        Items done before (a resumed run).
    """
    channel = os.environ.get(CHANNEL)
    if not channel:
        yield from tqdm(iterable, desc=desc, total=total, initial=initial, mininterval=0.5, dynamic_ncols=True)
        return
    total = total if total is not None else len(iterable)
    start = last = time.monotonic()
    for n, item in enumerate(iterable, initial + 1):
        yield item
        now = time.monotonic()
        if now - last > 0.5 or n == total:
            last = now
            left = (total - n) * (now - start) / (n - initial)
            Path(channel).write_text(f"{desc} {n}/{total}, {left:.0f} s left")
