"""One module per paper: its rows, presets, captions and claims. Data, no logic; `weaklib.experiment` makes runs of it.

Contents
--------
Preset
    What all runs share at a preset, and what is special to each kind of training.
Grid
    All of a paper.
changed
    A config with some fields changed, at any depth.
"""
from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property

from weaklib import presets
from weaklib.claims import Claim
from weaklib.files import WeaklibError
from weaklib.runs import Config
from weaklib.tables import Row, Table


@dataclass(frozen=True)
class Preset:
    """What all runs share, for each kind of training what is special to it, see `changed`, which corpora it has in the
    place of those that rows name, which of the models that rows start from it does `without`, by config field, and by
    corpus what is special to rows that hear mixtures of it.
    """

    config: Config
    kinds: dict[str, dict] = field(default_factory=dict)
    corpora: dict[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    hearing: dict[str, dict] = field(default_factory=dict)

    def of(self, kind: str, changes: dict) -> Config:
        """Return the config of a row of a kind, with its changes."""
        own = changed(self.config, self.kinds.get(kind, {}))
        own = changed(own, self.hearing.get(changes.get("mixtures", ""), {}))
        own = changed(own, changes)
        named = {f.name: getattr(own, f.name) for f in fields(own)}
        return replace(own, **{name: self.corpora[value] for name, value in named.items()
                               if isinstance(value, str) and value in self.corpora})


@dataclass(frozen=True)
class Grid:
    """A paper: what the kit makes of it.

    Attributes
    ----------
    title : str
        As one cites it.
    weak_label : str
        What it learns from.
    presets : dict of str to Preset
        By name; one that is missing is as the preset whose sizes it has.
    tables : tuple of Table
    claims : dict of str to Claim
        By the id they have in ``tables/claims.csv``; what a study asks has its text with it.
    shipped : str
        Row whose model comes with the package; of a study, none.
    shipped_seed : int
        Of its runs, the one.
    companions : tuple of str
        Rows whose models come with it too, since the notebooks compare it with them.
    headline : tuple
        For the README: a quantity, after what it is in words.
    others : tuple of Row
        Rows in no table, from which others start.
    """

    title: str
    weak_label: str
    presets: dict[str, Preset]
    tables: tuple[Table, ...]
    claims: dict[str, Claim]
    shipped: str
    headline: tuple[str, object]
    others: tuple[Row, ...] = ()
    companions: tuple[str, ...] = ()
    shipped_seed: int = 0

    def checkpoints(self, paper: str) -> dict[str, str]:
        """Return the rows whose models come with the package, each with the name of its checkpoint."""
        return {self.shipped: paper} | {row: f"{paper}-{row}" for row in self.companions} if self.shipped else {}

    def has(self, preset: str) -> bool:
        """Say whether there is a preset, or the one whose sizes it has."""
        return preset in self.presets or presets.sizes(preset) in self.presets

    def preset(self, name: str) -> Preset:
        """Return a preset; one that is not there is as the one whose sizes it has."""
        name = name if name in self.presets else presets.sizes(name)
        if name not in self.presets:
            known = ", ".join(one for one in presets.NAMES if self.has(one))
            if name == "paper" and not self.shipped:
                raise WeaklibError(f"{self.title!r} is an experiment of the kit's own, which no paper has, so that "
                                   f"there is no preset paper; choose one of {known}.")
            raise WeaklibError(f"{self.title!r} has no preset {name}; choose one of {known}, or add it to the grid's "
                               "presets.")
        return self.presets[name]

    def row(self, key: str) -> Row:
        """Return a row by its key; of several, the one that trains and does not report on another's runs."""
        if key not in self._rows:
            raise WeaklibError(f"Unknown row {key!r}; choose one of {', '.join(self._rows)}.")
        return self._rows[key]

    @cached_property
    def _rows(self) -> dict[str, Row]:
        """What `row` returns, by key; of several rows with one key the first, those that train before the others."""
        found: dict[str, Row] = {}
        for row in sorted([*(row for table in self.tables for row in table.rows), *self.others],
                          key=lambda row: bool(row.of)):
            found.setdefault(row.key, row)
        return found


def changed(config, changes: dict):
    """Return a dataclass with fields replaced; a dict in place of a value reaches into the field.

    Raises
    ------
    WeaklibError
        If there is no such field.
    """
    names = [f.name for f in fields(config)]
    if unknown := [name for name in changes if name not in names]:
        raise WeaklibError(f"{type(config).__module__} has no {type(config).__name__}.{unknown[0]}, which a row, a "
                           f"preset or a call would change; choose one of {', '.join(names)}.")
    return replace(config, **{name: changed(old, new) if isinstance(new, dict) and is_dataclass(
        old := getattr(config, name)) else new for name, new in changes.items()})
