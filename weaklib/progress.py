"""Progress with an ETA, the same in a terminal, in a notebook and under ``run_all.py``.

Text only: a progress widget would leave dead state in a saved notebook.

Contents
--------
track, told
    Tell how far a loop is; listen to it.
Screen, telling
    A few lines that are written over and over.
clock
    Seconds in words.
"""
from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from tqdm.std import tqdm

#: Set by ``run_all.py``: the file through which a headless notebook reports how far it is.
CHANNEL = "WEAKLIB_PROGRESS"


_LISTENER: ContextVar = ContextVar("listener", default=None)


@contextmanager
def told(listener):
    """Within this block, and this thread, report to `listener` instead of the terminal, such as a button's bar.

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
            path.write_text(f"{desc} {n}/{total}, {(total - n) * (now - start) / (n - initial):.0f} s left",
                            encoding="utf-8")

    return tell


# Lines that change

class Screen:
    """A few lines of text that are shown again and again, each time in the place of those before.

    In a terminal these are its last lines, in a notebook an output. Below ``run_all.py`` the last line alone is told,
    through its file. Anywhere else, in a log for instance, the lines are written below each other, but seldom.

    Parameters
    ----------
    out : file, optional
        Standard output by default.
    every : float, s
        Between two times where they are not written over.
    """

    def __init__(self, out=None, every: float = 30.0):
        self.out = out or sys.stdout
        self._channel, self._notebook = (os.environ.get(CHANNEL), _in_notebook()) if out is None else (None, False)
        self._terminal = not self._channel and not self._notebook and self.out.isatty()
        self._every = 0.5 if self._terminal or self._notebook or self._channel else every
        self._shown, self._height, self._handle = time.monotonic(), 0, None

    def show(self, lines) -> None:
        """Show lines, ``lines() -> list of str``, if it is time to."""
        if time.monotonic() - self._shown < self._every:
            return
        self._shown = time.monotonic()
        lines = lines()
        if self._channel:
            Path(self._channel).write_text(lines[-1], encoding="utf-8")
        elif self._notebook:
            self._display("\n".join(lines))
        elif self._terminal:
            width, height = shutil.get_terminal_size()
            lines = [line[:width - 1] for line in [*lines[:-1][:height - 2], lines[-1]]]
            print(self._clear() + "\n".join(lines), end="", file=self.out, flush=True)
            self._height = len(lines)
        else:
            print("\n".join(line.rstrip() for line in lines), file=self.out, flush=True)

    def say(self, text: str) -> None:
        """Write what is to stay, above the lines."""
        print(self._clear() + text, file=self.out, flush=True)

    def close(self) -> None:
        """Take the lines away."""
        print(self._clear(), end="", file=self.out, flush=True)
        if self._handle:
            self._display("")

    def _clear(self) -> str:
        if not self._height:
            return ""
        up = f"\033[{self._height - 1}A" if self._height > 1 else ""
        self._height = 0
        return f"\r{up}\033[J"

    def _display(self, text: str) -> None:
        from IPython.display import display
        bundle = {"text/plain": text}
        if self._handle:
            self._handle.update(bundle, raw=True)
        else:
            self._handle = display(bundle, raw=True, display_id=True)


def _in_notebook() -> bool:
    """Whether a kernel shows what this process displays; a plain process has not even loaded IPython."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


@contextmanager
def telling(line, out, every: float = 30.0):
    """Show ``line()`` on a `Screen` while the block runs, from a thread of its own."""
    screen, stop = Screen(out, every), threading.Event()

    def tell():
        while not stop.wait(0.1):
            screen.show(lambda: [line()])

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        screen.close()


def clock(seconds: float) -> str:
    """``1:02:03``, or ``2:03`` below an hour."""
    minutes, s = divmod(int(seconds), 60)
    h, m = divmod(minutes, 60)
    return f"{h}:{m:02}:{s:02}" if h else f"{m}:{s:02}"
