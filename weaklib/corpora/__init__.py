"""Corpora: sound that the kit renders itself, or reads from a folder or a data set, behind one interface.

An item is a dict of float32 tensors: ``mix (time,)``, ``sources (source, time)`` with ``sources.sum(0) == mix``
exactly, ``labels`` (what each source is), and where a corpus has them ``roll (source, pitch, frame)``, ``notes``
and ``text``. Every corpus is deterministic from (name, version, seed, split, preset).
"""
from __future__ import annotations

from importlib import import_module, resources
from inspect import signature

from torch.utils.data import Dataset

from weaklib.files import WeaklibError

SPLITS = ("train", "validation", "test")
PRESETS = ("smoke", "laptop", "full", "gpu", "paper")

#: Corpus name -> the module that renders or reads it, with ``corpus(name, split, preset, **options) -> Corpus``.
MODULES = {
    "talkers": "talkers", "talkers_reverb": "talkers",
    "sounds": "sounds", "sounds_reverb": "sounds",
    "band": "band",
    "slakh": "slakh", "babyslakh": "slakh", "slakh_uncorrected": "slakh", "babyslakh_uncorrected": "slakh",
}
#: Module -> version, raised by hand when the sound changes: part of the key of every run.
VERSIONS = {"talkers": 1, "sounds": 1, "band": 1, "slakh": 1, "folder": 1}


class Corpus(Dataset):
    """A split of a corpus: ``len(corpus)`` items, ``corpus[i]`` a dict as described in the package.

    Attributes
    ----------
    name, split, preset : str
    version, seed : int
    sr : int, Hz
    """

    seed = 0

    def __init__(self, name: str, split: str, preset: str, sr: int):
        self.name, self.split, self.preset, self.sr = name, split, preset, sr
        self.version = VERSIONS[_module(name)]

    @property
    def identity(self) -> dict:
        return identity(self.name, self.preset)


def load(name: str, split: str, preset: str = "laptop", **options) -> Corpus:
    """Load a split of a corpus, rendering it on first use.

    Parameters
    ----------
    name : str
        One of `MODULES`, or ``folder:PATH`` for a folder of your own recordings (mixtures only).
    split : {"train", "validation", "test"}
    preset : {"smoke", "laptop", "full", "gpu", "paper"}
        How much to render; ``full`` has the sizes of ``laptop``.
    **options
        Of the corpus' module, such as ``duration``.

    Raises
    ------
    WeaklibError
        If `name`, `split`, `preset` or an option is unknown, or the corpus cannot be rendered.
    """
    if split not in SPLITS:
        raise WeaklibError(f"Unknown split {split!r}; choose one of {', '.join(SPLITS)}.")
    if preset not in PRESETS:
        raise WeaklibError(f"Unknown preset {preset!r}; choose one of {', '.join(PRESETS)}.")
    make = import_module(f"weaklib.corpora.{_module(name)}").corpus
    known = list(signature(make).parameters)[3:]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise WeaklibError(f"Corpus {name} has no option {', '.join(unknown)}; it has {', '.join(known)}.")
    return make(name, split, preset, **options)


def identity(name: str, preset: str) -> dict:
    """What a result depends on when it uses a corpus as the preset has it; found without rendering anything."""
    if name.startswith("folder:"):
        return load(name, "train", preset).identity
    sizes = "laptop" if preset == "full" else preset
    return {"name": name, "version": VERSIONS[_module(name)], "seed": Corpus.seed, "preset": sizes}


def datasheet(name: str) -> str:
    """Return the datasheet of a corpus, in Markdown."""
    return resources.files(__name__).joinpath("datasheets", f"{_module(name)}.md").read_text(encoding="utf-8")


def _module(name: str) -> str:
    """Name the module that makes corpus `name`."""
    if name.startswith("folder:"):
        return "folder"
    if name not in MODULES:
        raise WeaklibError(f"Unknown corpus {name!r}; choose one of {', '.join(MODULES)}, or folder:PATH.")
    return MODULES[name]
