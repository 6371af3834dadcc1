"""Notebooks without a browser: strict parameters, one deadline each, progress while they run, a clean copy.

Papermill executes them. What it passes over in silence is said here: a parameter the notebook does not have, a
notebook that never ends, a kernel that dies, a widget that would be dead in the saved file.

Contents
--------
parameters
    Names that a notebook lets itself be given.
kernel
    The kernel that notebooks run in: this interpreter, with a fixed environment.
execute, Outcome
    Run one notebook into a copy; whatever happens to it, the next one can go on.
alone
    The same in a kernel of its own, for a process of its own.
read
    A notebook, or one sentence on why not.
clean
    Remove from an executed notebook what is dead or noise.
"""
from __future__ import annotations

import ast
import os
import re
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from weaklib import files, runs
from weaklib.files import WeaklibError
from weaklib.progress import clock, telling

WIDGET = "application/vnd.jupyter.widget-view+json"
LARGE = 1_000_000  # bytes; a larger notebook is slow to open and to keep

THREADS = "OMP_NUM_THREADS"  # which torch and numpy read when they are loaded

ENVIRONMENT = {**runs.ENVIRONMENT, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}


@dataclass(frozen=True)
class Outcome:
    """What became of a notebook; `note` says why it failed, or what else a reader should know."""

    notebook: str
    status: str                  # "ok", "failed" or "skipped"
    minutes: float = 0.0
    note: str = ""


def parameters(path) -> list[str]:
    """Return the names assigned in the cell of a notebook that is tagged ``parameters``.

    Raises
    ------
    WeaklibError
        If the file is no notebook, or has no such cell.
    """
    for cell in read(path).cells:
        if "parameters" in cell.metadata.get("tags", []):
            body = ast.parse(cell.source).body
            return [target.id for node in body if isinstance(node, (ast.Assign, ast.AnnAssign))
                    for target in (node.targets if isinstance(node, ast.Assign) else [node.target])]
    raise WeaklibError(f"{Path(path).name} has no cell tagged parameters; tag its first code cell.")


def check(path, given: dict) -> None:
    """Raise a WeaklibError if a notebook is `given` a parameter that it does not have."""
    names = parameters(path)
    unknown = sorted(given.keys() - set(names))
    if unknown:
        raise WeaklibError(f"{Path(path).name} has no parameter {', '.join(unknown)}; it has {', '.join(names)}.")


@contextmanager
def kernel(threads: int | None = None):
    """Define the kernel ``python3`` as this interpreter, whatever kernels the reader has installed.

    Parameters
    ----------
    threads : int, optional
        On how many it computes, unless the environment says so already; by default as many as there are cores.

    Yields
    ------
    channel : Path
        The file through which `weaklib.progress` reports, from within the kernel, how far it is.
    """
    from weaklib.progress import CHANNEL
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as tmp:
        channel = Path(tmp) / "progress"
        spec = {"argv": [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}",
                         "--log-level=CRITICAL"],  # the kernel's own log, which is no news to a reader
                "display_name": "Python 3", "language": "python",
                "env": {**ENVIRONMENT, CHANNEL: str(channel)}}
        if threads and THREADS not in os.environ:
            spec["env"][THREADS] = str(threads)
        files.write_json(Path(tmp) / "kernels" / "python3" / "kernel.json", spec)
        before = os.environ.get("JUPYTER_PATH")
        os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [tmp, before]))  # the first one wins
        try:
            yield channel
        finally:
            if before is None:
                del os.environ["JUPYTER_PATH"]
            else:
                os.environ["JUPYTER_PATH"] = before


def execute(source, target, given: dict, channel: Path, *, minutes: float, label: str = "",
            out=None) -> Outcome:
    """Execute a notebook into a copy, within `kernel`.

    Parameters
    ----------
    source, target : path-like
        The notebook, and the copy; of a notebook that fails the copy is kept as far as it came.
    given : dict of str to (bool, int, float, str or None)
        Values of its parameters.
    channel : Path
        From `kernel`.
    minutes : float
        All that the notebook may take; then it is stopped.
    label : str
        What the progress line calls it; its name by default.
    out : file, optional
        Where progress is reported; standard output by default.
    """
    source, target, note = Path(source), Path(target), ""
    watch = _Watch(label or source.stem, channel, 60 * minutes)
    try:
        check(source, given)
        target.unlink(missing_ok=True)  # a copy from before must not pass for this one
        target.parent.mkdir(parents=True, exist_ok=True)
        with telling(watch.line, out or sys.stdout):
            _papermill(source, target, given, on_cell_execute=watch.start, timeout_func=watch.left)
    except Exception as e:  # of any kind: one notebook must not take the others with it
        note = _reason(e, minutes, watch.cell)
    finally:
        if target.exists():
            clean(target)
    status = "failed" if note else "ok"
    if not note and (size := target.stat().st_size) > LARGE:
        note = f"its copy has {size / 1e6:.1f} MB, more than 1 MB"
    return Outcome(source.stem, status, watch.seconds() / 60, note)


def alone(source, target, given: dict, *, minutes: float, label: str, threads: int | None = None,
          quiet: bool = False) -> Outcome:
    """Execute a notebook in a `kernel` of its own, and report nothing if `quiet`.

    What a kernel finds out about itself it reads from the environment, so that kernels side by side take a process for
    each. Such a process loads this module and no torch.
    """
    with open(os.devnull, "w", encoding="utf-8") as nowhere, kernel(threads) as channel:
        return execute(source, target, given, channel, minutes=minutes, label=label, out=nowhere if quiet else None)


@dataclass
class _Watch:
    """How far a notebook is, and how much time it has left."""

    name: str
    channel: Path
    limit: float                 # s
    cell: int = 0                # as in ``In [cell]``
    began: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def start(self, cell, cell_index) -> None:
        self.cell += 1
        self.channel.write_text("", encoding="utf-8")  # what the cell before told is over

    def left(self, cell) -> float:
        return max(0.1, self.limit - self.seconds())  # 0 would mean forever

    def line(self) -> str:
        told = self.channel.read_text(encoding="utf-8", errors="replace") if self.channel.exists() else ""
        return f"{self.name}  {clock(self.seconds())}  cell {self.cell}  {told}"


def _papermill(source: Path, target: Path, given: dict, **hooks) -> None:
    import papermill
    papermill.execute_notebook(source, target, given, kernel_name="python3", language="python", progress_bar=False,
                               start_timeout=180,  # s; a busy machine takes its time
                               shutdown_kernel="immediate",  # to take torch apart in good order is a second for nothing
                               cwd=source.parent,  # as JupyterLab does
                               **hooks)


def _reason(error: Exception, minutes: float, cell: int) -> str:
    """Say in one sentence why a notebook failed."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    if isinstance(error, WeaklibError):
        return str(error)
    if isinstance(error, CellTimeoutError):
        return f"It took longer than {minutes:g} minutes and was stopped in cell {cell}."
    if isinstance(error, DeadKernelError):
        return f"Its kernel died in cell {cell}; the usual reason is too little memory."
    name, text = type(error).__name__, str(error)
    if isinstance(error, PapermillExecutionError):
        name, text = error.ename, error.evalue
    last = (text.strip().splitlines() or [""])[-1]
    return last if name == "WeaklibError" else f"{name} in cell {cell}: {last}".removesuffix(": ")


def clean(path) -> None:
    """Remove from an executed notebook the state of widgets, which is dead there, figures that it has twice, and
    Papermill's marks.
    """
    import nbformat
    nb = read(path)
    for name in ("papermill", "widgets"):
        nb.metadata.pop(name, None)
    for cell in nb.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
        if "outputs" in cell:
            cell.outputs = [output for output in map(_alive, cell.outputs) if output]
    files.write_bytes(path, nbformat.writes(nb).encode())


def _alive(output):
    """Return an output without its widget, or None if the widget was all there was to see; of a figure, the picture
    that is in its HTML: the other one is Matplotlib's own, which a kernel prefers, larger and cut closely.
    """
    data = output.get("data", {})
    if "alt" in output.get("metadata", {}).get("image/png", {}) and "text/html" in data:
        data["image/png"] = re.search('base64,([^"]+)"', data.pop("text/html"))[1]
    if data.pop(WIDGET, None) is None:
        return output
    return output if data.keys() - {"text/plain"} else None  # the text is only the widget's repr


def read(path):
    """Read a notebook; a WeaklibError if the file is missing or none."""
    import nbformat
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as e:
        raise WeaklibError(f"{path} is missing or no notebook.") from e
