"""Where weaklib keeps things, and how it writes them: whole or not at all.

Contents
--------
WeaklibError
    Every error that a reader can mend: one sentence that says what to do.
home, results
    The two folders weaklib writes to.
data
    The folder it reads data sets from.
write_bytes, write_json, read_json, sha256, lock
    Atomic writing, checked reading, and one builder at a time.
"""
from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path


class WeaklibError(Exception):
    """An error the reader can mend; its message is one sentence that says what to do."""


def checkout() -> Path | None:
    """Root of the source checkout that weaklib runs from, or None when it was installed elsewhere."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "run_all.py").is_file() else None


def home() -> Path:
    """Folder for what can be made again: corpora, local runs, weights.

    ``WEAKLIB_HOME`` if set, else ``.weaklib`` in the checkout, else the user's cache folder.
    """
    if os.environ.get("WEAKLIB_HOME"):
        return Path(os.environ["WEAKLIB_HOME"]).expanduser()
    if checkout():
        return checkout() / ".weaklib"
    import platformdirs
    return Path(platformdirs.user_cache_dir("weaklib"))


def results() -> Path:
    """Folder of the committed results, ``results/`` of the checkout (or of the current folder)."""
    return (checkout() or Path.cwd()) / "results"


def data() -> Path | None:
    """Folder of the data sets that you have downloaded, ``WEAKLIB_DATA``, or None if that is not set."""
    return Path(os.environ["WEAKLIB_DATA"]).expanduser() if os.environ.get("WEAKLIB_DATA") else None


def sha256(path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


@contextmanager
def replacing(path):
    """Yield a temporary path beside `path`, and move it there only if the block succeeds.

    Raises
    ------
    WeaklibError
        If the disk is full or the folder may not be written; `path` is then as it was.
    """
    path = Path(path)
    tmp = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, tmp = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(fd)
        yield Path(tmp)
        with open(tmp, "rb") as f:
            os.fsync(f.fileno())  # a crash of the machine must not leave a name without its bytes
        os.chmod(tmp, 0o644)
        os.replace(tmp, path)
    except OSError as e:
        raise WeaklibError(f"Cannot write {path} ({e.strerror or e}); free some space or choose a folder that can "
                           "be written (WEAKLIB_HOME for what weaklib keeps).") from e
    finally:
        if tmp and os.path.exists(tmp):
            os.unlink(tmp)


def write_bytes(path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with replacing(path) as tmp:
        tmp.write_bytes(data)


def write_json(path, obj) -> None:
    """Write `obj` as indented JSON, whole or not at all. NaN is refused: JSON has none."""
    write_bytes(path, (json.dumps(obj, indent=1, allow_nan=False) + "\n").encode())


def read_json(path):
    """Read a JSON file.

    Raises
    ------
    WeaklibError
        If the file is missing or damaged.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise WeaklibError(f"{path} is missing or damaged; delete it and run again.") from e


def need_space(folder, n_bytes: int, setting: str = "WEAKLIB_HOME for what weaklib keeps") -> None:
    """Raise a WeaklibError unless `folder`'s disk has room for `n_bytes`, before any work is lost.

    `setting` names, in that error, what leads to another disk.
    """
    folder = Path(folder)
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise WeaklibError(f"{folder} has {free / 1e6:.0f} MB free and {n_bytes / 1e6:.0f} MB are needed; free some "
                           f"space or choose another disk ({setting}).")


def lock(path):
    """Return a lock that one process holds at a time (a context manager); `path` is its file."""
    from filelock import FileLock
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return FileLock(str(path))
