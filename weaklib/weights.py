"""Tensors on disk: safetensors with a checksum. Nothing is ever unpickled from a file.

Contents
--------
save, load
    Named tensors and a JSON description, in one file, written whole or not at all.
about
    The description alone.
shipped
    The checkpoints that come with the package.
"""
from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from weaklib import files
from weaklib.files import WeaklibError


def _digest(tensors: dict) -> str:
    import torch
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(name.encode())
        sha.update(tensors[name].reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()


def save(path, tensors: dict, about: dict) -> str:
    """Write named tensors and a description.

    Parameters
    ----------
    path : path-like
        A ``.safetensors`` file.
    tensors : dict of str to Tensor
    about : dict
        JSON values.

    Returns
    -------
    sha256 : str
        Checksum of names and values.
    """
    from safetensors.torch import save as to_bytes
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    sha = _digest(tensors)
    files.write_bytes(path, to_bytes(tensors, {"about": json.dumps(about), "sha256": sha}))
    return sha


@contextmanager
def _opened(path):
    """Open what `save` wrote; whatever goes wrong with the file becomes one sentence."""
    from safetensors import safe_open
    try:
        with safe_open(path, framework="pt") as f:
            yield f
    except Exception as e:  # safetensors raises its own class, OSError, KeyError or TypeError
        raise WeaklibError(f"Checkpoint {path} is missing or damaged ({type(e).__name__}); nothing was changed: "
                           "delete it to train again.") from e


def load(path) -> tuple[dict, dict]:
    """Read what `save` wrote: (tensors, about).

    Raises
    ------
    WeaklibError
        If the file is missing, damaged, or was not written by `save`.
    """
    with _opened(path) as f:
        about, sha = json.loads(f.metadata()["about"]), f.metadata()["sha256"]
        # Copies, because Windows replaces no file that is still mapped into memory.
        tensors = {name: f.get_tensor(name).clone() for name in f.keys()}
    if _digest(tensors) != sha:
        raise WeaklibError(f"Checkpoint {path} is damaged (its checksum differs); nothing was changed: delete it to "
                           "train again.")
    return tensors, about


def about(path) -> dict:
    """Read the description that `save` wrote, without the tensors and so without their checksum.

    Raises
    ------
    WeaklibError
        If the file is missing, damaged, or was not written by `save`.
    """
    with _opened(path) as f:
        return json.loads(f.metadata()["about"])


def shipped(name: str) -> Path:
    """Path of a checkpoint that comes with the package, such as ``wisdom2020``."""
    folder = resources.files("weaklib").joinpath("checkpoints")
    path = Path(str(folder.joinpath(f"{name}.safetensors")))
    if not path.is_file():
        have = sorted(p.stem for p in Path(str(folder)).glob("*.safetensors"))
        raise WeaklibError(f"No checkpoint {name!r} comes with weaklib; choose one of {', '.join(have)}, or train it "
                           "here and give the record.")
    return path
