"""A store of rendered folders: built once, checked on every use, rebuilt when damaged.

A folder is named by the hash of its key (corpus, version, random seed, sizes) and holds a ``manifest.json``
with the key and the SHA-256 of every file. It is rendered beside its place and moved there when complete, under
a lock, so that a killed or a concurrent build leaves nothing half done.
"""
from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from weaklib import files

MANIFEST = "manifest.json"
_checked: set[Path] = set()  # folders whose checksums this process has compared


def digest(key: dict) -> str:
    """Ten hexadecimal digits that name `key`."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:10]


def fault(folder: Path) -> str | None:
    """Say what is wrong with a rendered folder, or None if every file is as the manifest has it."""
    try:
        manifest = files.read_json(folder / MANIFEST)
        for name, sha in manifest["files"].items():
            if files.sha256(folder / name) != sha:
                return f"{name} is damaged"
    except (files.WeaklibError, OSError, KeyError, TypeError, AttributeError) as e:
        return str(e)
    return None


def folder(key: dict, make, n_bytes: int = 0) -> Path:
    """Return the folder that `make` renders for `key`, rendering it if it is not there or damaged.

    Parameters
    ----------
    key : dict
        All that the content depends on; ``key["corpus"]`` names the corpus. JSON values only.
    make : callable
        ``make(path)`` writes the files into the empty folder `path`.
    n_bytes : int
        Rough size of the result, to refuse a full disk before the work.
    """
    path = files.home() / "corpora" / f"{key['corpus']}-{digest(key)}"
    if path in _checked and path.exists():
        return path
    try:
        with files.lock(path.with_suffix(".lock")):
            if path.exists() and (wrong := fault(path)):
                print(f"Corpus {path.name}: {wrong}; rendering it again.")
                shutil.rmtree(path)
            if not path.exists():
                files.need_space(path.parent, 2 * n_bytes)
                _build(path, key, make)
    except OSError as e:
        raise files.WeaklibError(f"Cannot render corpus {key['corpus']} into {path.parent} ({e.strerror or e}); free "
                                 "some space or set WEAKLIB_HOME to a folder that can be written.") from e
    _checked.add(path)
    return path


def _build(path: Path, key: dict, make) -> None:
    """Render beside `path` and move the folder there when it is complete."""
    tmp = path.with_suffix(".part")
    shutil.rmtree(tmp, ignore_errors=True)  # what a killed build left
    tmp.mkdir()
    try:
        make(tmp)
        made = sorted(f for f in tmp.rglob("*") if f.is_file())
        files.write_json(tmp / MANIFEST, {
            "key": key, "files": {f.relative_to(tmp).as_posix(): files.sha256(f) for f in made}})
        files.move(tmp, path)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
