"""Configs as JSON values, stable while the dataclasses behind them grow.

A run is found by its full config, so a new field would orphan every record made before it. A field that came later
therefore declares the value that stands for "as it was": where it has that value, it is absent from the key. A field
that was renamed keeps its old name in the key. Both hold at any depth.

Contents
--------
keyed
    Declare such a field.
encode, decode
    A dataclass as JSON values, and back.
check
    Whether all words in a dataclass are known ones.
"""
from __future__ import annotations

import types
from dataclasses import MISSING, field, fields, is_dataclass
from functools import cache
from typing import Literal, Union, get_args, get_origin, get_type_hints

from weaklib.files import WeaklibError

UNKEYED = "unkeyed"
ABSENT, NAME = "absent", "name"  # metadata of a field


def keyed(default=MISSING, *, default_factory=MISSING, absent=MISSING, name: str | None = None, unkeyed: bool = False):
    """Declare a dataclass field whose place in the key differs from the field.

    Parameters
    ----------
    default, default_factory
        As for `dataclasses.field`. The default may change later; what is absent from the key may not.
    absent : optional
        The value at which the field is left out of the key: how things were before the field was there.
    name : str, optional
        Under which the field stands in the key: its name before it was renamed.
    unkeyed : bool
        Whether the field never is part of the key, because no result depends on it.
    """
    metadata = {NAME: name, UNKEYED: unkeyed} | ({} if absent is MISSING else {ABSENT: absent})
    return field(default=default, default_factory=default_factory, metadata=metadata)


def encode(obj):
    """Turn dataclasses into dicts of JSON values; containers are walked through, other values stay as they are."""
    if is_dataclass(obj):
        return {_name(f): encode(value) for f in fields(obj) if not f.metadata.get(UNKEYED)
                for value in [getattr(obj, f.name)] if not (ABSENT in f.metadata and value == f.metadata[ABSENT])}
    if isinstance(obj, dict):
        return {key: encode(value) for key, value in obj.items()}
    if isinstance(obj, (list, tuple)):
        return [encode(value) for value in obj]
    return obj


def decode(cls, values: dict):
    """Make a dataclass from what `encode` made of one; fields that are absent get the value at which they are.

    Raises
    ------
    WeaklibError
        If `values` has a field that `cls` does not know, or lacks one: it was written by another version.
    """
    hints, given = _hints(cls), dict(values)
    made = {}
    for f in fields(cls):
        if f.metadata.get(UNKEYED):
            continue
        if _name(f) in given:
            made[f.name] = _as(hints[f.name], given.pop(_name(f)))
        elif ABSENT in f.metadata:
            made[f.name] = f.metadata[ABSENT]
        else:
            raise WeaklibError(f"A {cls.__name__} of another version: it has no {_name(f)}; train it again.")
    if given:
        raise WeaklibError(f"A {cls.__name__} of another version: {', '.join(given)} is not known here; train it "
                           "again.")
    return cls(**made)


def check(obj) -> None:
    """Check every field of a dataclass whose type is a `Literal`, and the dataclasses in it.

    Raises
    ------
    WeaklibError
        If one has another value, which code that compares words would take for the default.
    """
    for name, hint in _hints(type(obj)).items():
        value = getattr(obj, name)
        if get_origin(hint) is Literal and value not in get_args(hint):
            raise WeaklibError(f"Unknown {name} {value!r}; choose one of "
                               f"{', '.join(word or repr(word) for word in get_args(hint))}.")
        if is_dataclass(value):
            check(value)


def _name(f) -> str:
    return f.metadata.get(NAME) or f.name


@cache
def _hints(cls) -> dict:
    return get_type_hints(cls)


def _as(hint, value):
    """Give a JSON value the type that a field has: dataclasses, also optional ones, and tuples."""
    if value is None:
        return None
    if get_origin(hint) in (Union, types.UnionType):
        hint = next((arg for arg in get_args(hint) if is_dataclass(arg) or get_origin(arg) is tuple), None)
    if is_dataclass(hint):
        return decode(hint, value)
    if hint is tuple or get_origin(hint) is tuple:
        inner = get_args(hint)
        return tuple(_as(inner[0] if inner else None, item) for item in value)
    return value
