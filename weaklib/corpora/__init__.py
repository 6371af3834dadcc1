"""Corpora: sound that the kit renders itself, or reads from a folder or a data set, behind one interface.

An item is a dict of float32 tensors: ``mix (time,)``, ``sources (source, time)`` with ``sources.sum(0) == mix``
exactly, ``labels`` (what each source is), and where a corpus has them ``roll (source, pitch, frame)``, ``notes``
and ``text``. Corpora of mixtures only, such as `wild` and ``folder:PATH``, have no ``sources``. Every corpus is
deterministic from (name, version, seed, split, preset).

Contents
--------
load
    A split of a corpus.
readers, holdings
    The corpora that read a data set, and how much of it is there.
identity, datasheet
    What a result depends on, and what there is to know.
Corpus, Option, mixed, on_grid
    What a corpus is made of: a module with a class of its name, a line in `MODULES` and one in `VERSIONS`, a datasheet.
"""
from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module, resources
from math import inf
from numbers import Real
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset, Subset

from weaklib import presets
from weaklib.corpora import cache
from weaklib.files import WeaklibError

SPLITS = ("train", "validation", "test")
PATHS = ("folder", "manifest")  # modules whose corpora are named after a path: folder:PATH

#: Corpus name -> the module that renders or reads it, whose class has its name with a capital.
MODULES = {
    "talkers": "talkers", "talkers_reverb": "talkers", "talkers_16k": "talkers",
    "sounds": "sounds", "sounds_reverb": "sounds",
    "noisy_talkers": "noisy",
    "wild": "wild",
    "band": "band", "band_pool": "band",
    "piano": "piano", "piano_pool": "piano", "guitar": "guitar",
    "chamber": "chamber", "chamber_pool": "chamber",
    "instruments": "instruments", "instruments_pool": "instruments",
    "events": "events", "events_pool": "events", "captions": "captions",
    "fuss": "fuss", "fuss_reverb": "fuss", "libri2mix": "twomix", "wsj0_2mix": "twomix",
    "maestro": "maestro", "maestro_v3": "maestro", "guitarset": "guitarset", "gardner": "musicnet",
    "musicnet_em": "musicnet", "musicnet_em_few": "musicnet", "musicnet_em_cover": "musicnet",
    "musicnet_em_pool": "musicnet",
    "yfcc100m": "clips", "audioset": "clips", "librifsd": "librifsd",
    "music21": "music21", "vggsound": "vggsound", "audiocaps": "audiocaps",
    "slakh": "slakh", "babyslakh": "slakh", "slakh_uncorrected": "slakh", "babyslakh_uncorrected": "slakh",
}
#: Module -> version, raised by hand when the sound changes: part of the key of every run. `noisy` is raised with
#: `talkers` and `sounds`, of which it is made; `piano` and `chamber` with `outdoors.microphone` and `rooms`, in which
#: their pools are recorded, `chamber` with `piano`, whose figures its keyboards play, `instruments` with all three;
#: `events` with `foley`, `outdoors` and `rooms`; `captions` with `instruments` and `events`, which it mixes.
VERSIONS = {"talkers": 1, "sounds": 1, "noisy": 1, "wild": 1, "band": 1, "slakh": 1, "folder": 1,
            "piano": 1, "guitar": 1, "chamber": 1, "fuss": 1, "twomix": 1, "clips": 1, "librifsd": 1,
            "maestro": 1, "guitarset": 1, "musicnet": 1, "music21": 1, "vggsound": 1, "audiocaps": 1, "manifest": 1,
            "instruments": 1, "events": 1, "captions": 1}

SHORTEST = 0.01  # s, of an item, unless a corpus needs longer ones
GRID = 2.0 ** 20  # of samples, -126 dB


@dataclass(frozen=True)
class Option:
    """An option of a corpus, and which values make sense.

    Attributes
    ----------
    kind : {float, int, bool}
    default : kind, optional
        None: the size of that name that the preset has (see `Corpus.default`).
    least : float
    most : float or str
        A number, or the name of a size of the preset.
    """

    kind: type
    default: object = None
    least: float = -inf
    most: float | str = inf

    def check(self, value, most: float):
        """Return `value` as what it should be, or None if it makes no sense."""
        fine = isinstance(value, Real) and -inf < value < inf and self.least <= value <= most
        return self.kind(value) if fine and value == self.kind(value) else None

    def words(self, most: float) -> str:
        """Say which values make sense."""
        if self.kind is bool:
            return "True or False"
        number = "a whole number" if self.kind is int else "a number"
        return f"{number} from {self.least:g} {'up' if most == inf else f'to {most:g}'}"


@dataclass(frozen=True)
class Holdings:
    """What of a split of a data set is there.

    Attributes
    ----------
    there : dict of str to int
        Class, or kind of file, -> how many; "" where nothing tells them apart.
    missing : dict of str to list of str
        The same -> names of what a list names and nobody finds.
    published : int, optional
        How many there are in all, where that is known and no list says which.
    whole : bool
        Whether the reader refuses a split of which anything is missing.
    """

    there: dict[str, int]
    missing: dict[str, list[str]] = field(default_factory=dict)
    published: int | None = None
    whole: bool = False

    @property
    def n_there(self) -> int:
        return sum(self.there.values())

    @property
    def n_missing(self) -> int:
        """How many are missing, by the list or by their published number."""
        named = sum(map(len, self.missing.values()))
        return max(named, (self.published or 0) - self.n_there)

    @property
    def refused(self) -> bool:
        """Whether the reader refuses the split as it is."""
        return self.whole and any(self.missing.values())


class Corpus(Dataset):
    """A split of a corpus: ``len(corpus)`` items, ``corpus[i]`` a dict as described in the package.

    Items count from the end with a negative index, and ``corpus[start:stop]`` is a `torch.utils.data.Subset`, whose
    items are not made before they are asked for.

    A subclass says what it has in the attributes in capitals, renders or reads it in `open`, and makes an item in
    `item`.

    Attributes
    ----------
    SR : int, Hz
    RATES : dict of str to int, Hz
        Those of names that have another one.
    SIZES : dict, or None
        Preset -> the sizes that it has, by name; a triple has one for each split. ``full`` has those of ``laptop``. A
        preset that is missing needs data that the corpus stands in for. None: the same whatever the preset.
    OPTIONS : dict of str to Option
        Besides others ``duration`` (s, of an item).
    STANDS_IN_FOR : str
        The data set.
    READER : str, optional
        The corpus that reads it.
    HAS : dict of str to tuple of str
        The splits of names that do not have all three.
    name, split, preset : str
    version, seed : int
    sizes : dict
        Those of the preset and split.
    options : dict
        Every option as asked for, or its default; each is an attribute, too.
    sr : int, Hz
    classes : tuple of str
        All that labels may be, where they are classes; nothing elsewhere.
    n_samples, n_items : int
        Length of an item, and number of items. `n_items` is the size or the option of that name, or is set in `open`.
    """

    SR = 16000
    RATES: dict[str, int] = {}
    SIZES: dict[str, dict] | None = None
    OPTIONS = {"duration": Option(float, least=SHORTEST)}
    STANDS_IN_FOR = "data"
    READER: str | None = None
    HAS: dict[str, tuple[str, ...]] = {}

    classes: tuple[str, ...] = ()
    seed = 0

    def __init__(self, name: str, split: str, preset: str, **options):
        self.name, self.split, self.preset, self.sr = name, split, preset, self.RATES.get(name, self.SR)
        self.version = VERSIONS[_module(name)]
        self.sizes = self._sizes()
        self.options = self._checked(options)
        vars(self).update({"n_items": self.sizes.get("n_items")} | self.options)
        self.n_samples = round(self.duration * self.sr)
        self.options["duration"] = self.duration = self.n_samples / self.sr

    def open(self) -> None:
        """Render or read what items are made of; see `stored`."""

    def holdings(self) -> Holdings:
        """Look up what of the split of a data set is there, reading lists and names only; it need not be open."""
        raise NotImplementedError

    def item(self, i: int) -> dict:
        """Make item `i`, from 0 to ``n_items - 1``, whatever was made before."""
        raise NotImplementedError

    def default(self, option: str):
        """Value of an option whose default is None."""
        return self.sizes[option]

    def render(self, path: Path) -> None:
        """Render into the empty folder `path`, for `stored`."""
        raise NotImplementedError

    def stored(self, n_bytes: float, **key) -> Path:
        """Return the folder that `render` fills for this split, rendered on first use.

        Parameters
        ----------
        n_bytes : float
            Rough size, to refuse a full disk before the work.
        **key
            What else the content depends on. Corpora of one module with the same key share the folder.
        """
        of = {"corpus": _module(self.name), "version": self.version, "seed": self.seed, "split": self.split}
        return cache.folder(of | key, self.render, round(n_bytes))

    def rng(self, *stream: int) -> np.random.Generator:
        """Return random numbers of this split: the same for the same `stream`, independent of those of any other."""
        return np.random.default_rng([self.seed, SPLITS.index(self.split), *stream])

    @property
    def identity(self) -> dict:
        """What a result depends on that was made with this corpus."""
        return identity(self.name, self.preset) | self.options

    def __len__(self) -> int:
        return self.n_items

    def __getitem__(self, index):
        try:
            found = range(len(self))[index]
        except IndexError:
            raise IndexError(f"{self.name} has {len(self)} items in its {self.split} split at the preset "
                             f"{self.preset}, and none with the index {index}.") from None
        return Subset(self, found) if isinstance(found, range) else self.item(found)

    def _sizes(self) -> dict:
        preset = presets.sizes(self.preset)
        if self.SIZES is None:
            return {}
        if preset not in self.SIZES:
            real, largest = self.STANDS_IN_FOR, list(self.SIZES)[-1]
            instead = f"load the corpus {self.READER!r}, or" if self.READER else "the kit cannot read it yet;"
            raise WeaklibError(f"The preset {preset!r} takes {real} itself, which {self.name!r} stands in for: "
                               f"{instead} choose preset={largest!r}, the largest that is rendered.")
        k = SPLITS.index(self.split)
        return {name: size[k] if isinstance(size, tuple) else size for name, size in self.SIZES[preset].items()}

    def _checked(self, given: dict) -> dict:
        """Every option with its value, given or by default."""
        if unknown := sorted(set(given) - set(self.OPTIONS)):
            raise WeaklibError(f"Corpus {self.name} has no option {', '.join(unknown)}; it has "
                               f"{', '.join(self.OPTIONS)}.")
        values = {}
        for name, option in self.OPTIONS.items():
            value, most = given.get(name), self.sizes.get(option.most, option.most)
            if value is None:
                value = self.default(name) if option.default is None else option.default
            values[name] = option.check(value, most)
            if values[name] is None:
                raise WeaklibError(f"{name}={value} makes no items of {self.name}; choose {option.words(most)}.")
        return values


def mixed(sources: np.ndarray, labels: list[str], **more) -> dict:
    """Make an item of ``sources (source, time)``, float32: they and their sum, `labels` and what else there is.

    For the sum to be the same in whichever order, samples must have bits to spare: 16-bit ones do, or see `on_grid`.
    """
    # Summed by numpy: torch would wake its threads for each item, and they would fight those of a training.
    mix = sources.sum(axis=0)
    return {"mix": torch.from_numpy(mix), "sources": torch.from_numpy(sources), "labels": labels, **more}


def on_grid(x) -> np.ndarray:
    """Round samples to multiples of 1 / GRID, so that float32 adds a few of them exactly, in any order."""
    return np.rint(x * GRID) / GRID


def load(name: str, split: str, preset: str = presets.DEFAULT, **options) -> Corpus:
    """Load a split of a corpus, rendering it on first use.

    Parameters
    ----------
    name : str
        One of `MODULES`, ``folder:PATH`` for a folder of your own recordings (mixtures only), or ``manifest:PATH`` for
        recordings with classes or captions.
    split : {"train", "validation", "test"}
    preset : {"smoke", "laptop", "full", "gpu", "paper"}
        How much to render; ``full`` has the sizes of ``laptop``.
    **options
        Options of the corpus, such as ``duration``; see its class.

    Raises
    ------
    WeaklibError
        If `name`, `split`, `preset` or an option is unknown or makes no sense, or the corpus cannot be rendered.
    """
    if split not in SPLITS:
        raise WeaklibError(f"Unknown split {split!r}; choose one of {', '.join(SPLITS)}.")
    presets.check(preset)
    with _readable():
        corpus = _class(name)(name, split, preset, **options)
        corpus.open()
    return corpus


@contextmanager
def _readable():
    """Say what may not be read, and what to do."""
    try:
        yield
    except PermissionError as e:
        raise WeaklibError(f"{e.filename} cannot be read ({e.strerror}); change its permissions.") from e


def readers() -> list[str]:
    """Name the corpora that read a data set from `WEAKLIB_DATA`, in the order of `MODULES`."""
    return [name for name in MODULES if _class(name).SIZES is None]


def holdings(name: str) -> dict[str, Holdings | WeaklibError]:
    """Look up what a reader would find, for each split that it has; sound is neither read nor stored.

    A split that is not there at all has the error that says so.
    """
    found: dict[str, Holdings | WeaklibError] = {}
    for split in _class(name).HAS.get(name, SPLITS):
        try:
            with _readable():
                found[split] = _class(name)(name, split, presets.NAMES[-1]).holdings()
        except WeaklibError as e:
            found[split] = e
    return found


def identity(name: str, preset: str) -> dict:
    """What a result depends on when it uses a corpus as the preset has it; found without rendering anything."""
    if ":" in name:
        return load(name, "train", preset).identity
    return {"name": name, "version": VERSIONS[_module(name)], "seed": Corpus.seed, "preset": presets.sizes(preset)}


def datasheet(name: str) -> str:
    """Return the datasheet of a corpus, in Markdown."""
    return resources.files(__name__).joinpath("datasheets", f"{_module(name)}.md").read_text(encoding="utf-8")


def _module(name: str) -> str:
    """Name the module that makes corpus `name`."""
    if (kind := name.partition(":")[0]) in PATHS and kind != name:
        return kind
    if name not in MODULES:
        raise WeaklibError(f"Unknown corpus {name!r}; choose one of {', '.join(MODULES)}, folder:PATH or "
                           "manifest:PATH.")
    return MODULES[name]


def _class(name: str) -> type[Corpus]:
    """The class of the corpus `name`."""
    module = _module(name)
    return getattr(import_module(f"{__name__}.{module}"), module.capitalize())
