"""Where weaklib keeps things, and how it writes them: whole or not at all.

Contents
--------
WeaklibError
    Every error that a reader can mend: one sentence that says what to do.
path
    A path as a reader types it.
home, results
    The two folders weaklib writes to.
data
    The folder it reads data sets from.
write_bytes, write_json, read_json, sha256, lock
    Atomic writing, checked reading, and one builder at a time.
move, need_space
    Put what is complete in its place; make sure beforehand that there is room.
printable
    Print on any terminal.
"""
from __future__ import annotations

import atexit
import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

#: On Windows, C libraries do not know the number of a file that Python has opened, and a file that anybody has open
#: cannot be replaced.
WINDOWS = sys.platform == "win32"

_ROOT = Path(__file__).resolve().parent.parent  # of the source, if it is a checkout

#: Settings that name a folder.
SETTINGS = ("WEAKLIB_HOME", "WEAKLIB_DATA")


class WeaklibError(Exception):
    """An error the reader can mend; its message is one sentence that says what to do."""

    def __str__(self) -> str:
        # The name of a file need not be text, and nothing could show it then
        return super().__str__().encode(errors="backslashreplace").decode()


def path(name) -> Path:
    """Make a path of what a reader typed: ``~`` and ``~user`` are home folders, where there is such a user.

    Raises
    ------
    WeaklibError
        If there is nothing, or what no system takes.
    """
    name = os.fsdecode(name)
    if not name or "\0" in name:
        raise WeaklibError("The name of a file or folder is empty or has a null character; give another one.")
    return Path(os.path.expanduser(name))  # pathlib's own refuses a file that is called ~draft.wav


def _anchor() -> None:
    """Make the folders that settings name absolute, here and for all processes that are started from here.

    They are meant from where the command was started. A kernel is in the folder of its notebook instead; its server
    is where it was started.
    """
    start = ""
    if "ipykernel" in sys.modules and not WINDOWS:  # which passes a handle instead of the number
        import psutil
        with suppress(KeyError, psutil.Error):
            start = psutil.Process(int(os.environ["JPY_PARENT_PID"])).cwd()
    for setting in SETTINGS:
        if os.environ.get(setting):
            os.environ[setting] = os.path.abspath(os.path.join(start, path(os.environ[setting])))


_anchor()


def checkout() -> Path | None:
    """Root of the source checkout that weaklib runs from, or None when it was installed elsewhere."""
    return _ROOT if (_ROOT / "run_all.py").is_file() else None


def home() -> Path:
    """Folder for what can be made again: corpora, local runs, weights.

    ``WEAKLIB_HOME`` if set (from where the command was started), else ``.weaklib`` in the checkout, else the user's
    cache folder.
    """
    if os.environ.get("WEAKLIB_HOME"):
        return path(os.environ["WEAKLIB_HOME"]).absolute()
    if checkout():
        return checkout() / ".weaklib"
    import platformdirs
    return Path(platformdirs.user_cache_dir("weaklib"))


def results() -> Path:
    """Folder of the committed results, ``results/`` of the checkout (or of the current folder)."""
    return (checkout() or Path.cwd()) / "results"


def data() -> Path | None:
    """Folder of the data sets that you have downloaded, ``WEAKLIB_DATA``, or None if that is not set."""
    return path(os.environ["WEAKLIB_DATA"]).absolute() if os.environ.get("WEAKLIB_DATA") else None


def lacking(name: str) -> str:
    """Say why a data set is not there, of which `name` would be found in `data`; a clause to go on from a colon."""
    folder = data()
    if not folder:
        return "WEAKLIB_DATA is not set"
    return f"{folder} has no {name}" if folder.is_dir() else f"There is no folder {folder}, which WEAKLIB_DATA names"


def sha256(path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


KEPT = "for what weaklib keeps, set WEAKLIB_HOME"

#: What to do when something cannot be written, by the number of the error.
ADVICE = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), f"choose a folder that can be written ({KEPT})"),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ), "choose another, shorter name"),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), f"a file is where a folder should be: choose another one ({KEPT})"),
    errno.EISDIR: "a folder has that name: choose another one",
    errno.ENOENT: f"the folder is gone, or its path too long, on Windows 260 characters: choose another one ({KEPT})",
}

#: Seconds to wait before each further attempt to move a file that another program has open.
PATIENCE = (0.01, 0.1, 0.5, 1.0, 2.0)

_temporary: set[str] = set()


@atexit.register
def _forget() -> None:
    """Remove what threads that end with the process were writing."""
    for tmp in list(_temporary):
        with suppress(OSError):
            os.unlink(tmp)


@contextmanager
def to_write(path):
    """Say in a sentence why `path` cannot be written, when the block raises an OSError."""
    try:
        yield
    except OSError as e:
        what = ADVICE.get(e.errno, f"free some space or choose a folder that can be written ({KEPT})")
        raise WeaklibError(f"Cannot write {path} ({e.strerror or e}); {what}.") from e


@contextmanager
def replacing(name):
    """Yield a temporary path beside the path `name`, and move it there only if the block succeeds.

    Raises
    ------
    WeaklibError
        If the disk is full or the folder may not be written; what was there is then as it was.
    """
    to, tmp = path(name), None
    try:
        with to_write(to):
            if os.path.isdir(to):  # now, not when the work is done
                raise IsADirectoryError(errno.EISDIR, "Is a directory")
            with suppress(FileNotFoundError, NotADirectoryError):
                os.lstat(to)  # a name that is too long, or may not be looked at
            to.parent.mkdir(parents=True, exist_ok=True)
            fd, tmp = tempfile.mkstemp(dir=to.parent, prefix=".weaklib-")
            _temporary.add(tmp)
            os.close(fd)
            yield Path(tmp)
            with open(tmp, "r+b") as f:  # Windows flushes no file that is open for reading only
                os.fsync(f.fileno())  # a crash of the machine must not leave a name without its bytes
            os.chmod(tmp, 0o644)
            move(tmp, to)
    finally:
        if tmp:
            with suppress(OSError):
                os.unlink(tmp)
            _temporary.discard(tmp)


def move(path, to) -> None:
    """Move a file or a folder to its place, over a file that is there.

    Windows refuses while any program, such as a virus scanner, has either of them open; that is soon over.
    """
    for wait in PATIENCE if WINDOWS else ():
        with suppress(PermissionError):
            return os.replace(path, to)
        time.sleep(wait)
    os.replace(path, to)


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
    except PermissionError as e:
        raise WeaklibError(f"{path} may not be read; change its permissions, or choose another folder.") from e
    except (OSError, ValueError) as e:
        raise WeaklibError(f"{path} is missing or damaged; delete it and run again.") from e


def need_space(folder, n_bytes: int, setting: str = KEPT) -> None:
    """Raise a WeaklibError unless `folder`'s disk has room for `n_bytes`, before any work is lost.

    `setting` names, in that error, what leads to another disk.
    """
    folder = path(folder)
    while not os.path.exists(folder):  # pathlib's own raises where it may not look
        if folder == folder.parent:  # a drive letter with no drive
            raise WeaklibError(f"There is no {folder}; choose another disk ({setting}).")
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise WeaklibError(f"{folder} has {free / 1e6:.0f} MB free and {n_bytes / 1e6:.0f} MB are needed; free some "
                           f"space or choose another disk ({setting}).")


@contextmanager
def lock(path):
    """Hold a lock that one process holds at a time; `path` is its file."""
    from filelock import FileLock
    held = FileLock(str(path))
    with to_write(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        held.acquire()
    try:
        yield held
    finally:
        held.release()


def printable() -> None:
    """Print characters that the terminal, or the file in its place, lacks as codes instead of failing on them."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # that of a notebook takes all
            stream.reconfigure(errors="backslashreplace")
