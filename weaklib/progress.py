"""Progress with an ETA, the same in a terminal, in a notebook and under ``run_all.py``.

Text only: a progress widget would leave dead state in a saved notebook.
"""
from __future__ import annotations

import os
import time
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from tqdm.std import tqdm

#: Set by ``run_all.py``: the file through which a headless notebook tells how far it is.
CHANNEL = "WEAKLIB_PROGRESS"


_LISTENER: ContextVar = ContextVar("listener", default=None)


@contextmanager
def told(listener):
    """Within this block, and this thread, tell `listener` instead of the terminal: a button's bar, for instance.

    Parameters
    ----------
    listener : callable
        ``listener(desc, done, total)`` before the first item and after each. What it raises ends the work.
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def track(iterable, desc: str, total: int | None = None, initial: int = 0, delay: float = 0.0):
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
    delay : float, s
        Show nothing before: for work that is often done sooner.
    """
    listener, channel = _LISTENER.get(), os.environ.get(CHANNEL)
    if not listener and not channel:
        yield from tqdm(iterable, desc=desc, total=total, initial=initial, mininterval=0.5, delay=delay,
                        dynamic_ncols=True)
        return
    total = total if total is not None else len(iterable)
    tell = _to_file(Path(channel), initial) if not listener else listener
    tell(desc, initial, total)
    for n, item in enumerate(iterable, initial + 1):
        yield item
        tell(desc, n, total)


def _to_file(path: Path, initial: int):
    """Return a listener that writes a line with the time left, twice a second."""
    start = last = time.monotonic()

    def tell(desc, n, total):
        nonlocal last
        now = time.monotonic()
        if n > initial and (now - last > 0.5 or n == total):
            last = now
            path.write_text(f"{desc} {n}/{total}, {(total - n) * (now - start) / (n - initial):.0f} s left")

    return tell
