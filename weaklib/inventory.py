"""Which data sets are there, what of them is missing, and what that means for the tables of the papers.

Contents
--------
check, overview, obstacle
    A data set in words; all of them; why one cannot be used.
Need, needs
    The tables that are made with a data set at the preset ``paper``.
DISK
    How much room the data sets take.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from weaklib import corpora, experiment, files
from weaklib.corpora import Holdings
from weaklib.files import WeaklibError

PRESET = "paper"
EXAMPLES = 3  # names of what is missing, for each split

#: GB that a data set takes as its reader wants it, with what is stored of it; docs/data.md says where the numbers
#: come from, and what is not here is not known.
DISK = {"fuss": 25, "fuss_reverb": 25, "libri2mix": 24, "wsj0_2mix": 5, "yfcc100m": 185, "audioset": 670,
        "librifsd": 55, "maestro": 128, "maestro_v3": 126, "guitarset": 1, "musicnet_em": 22, "slakh": 140,
        "music21": 6, "vggsound": 56, "audiocaps": 17}
#: Corpora that read the files of another one.
SAME = {"musicnet_em_few": "musicnet_em", "musicnet_em_cover": "musicnet_em", "musicnet_em_pool": "musicnet_em",
        "slakh_uncorrected": "slakh"}


@dataclass(frozen=True)
class Need:
    """A table of which some rows are made with a data set, in training or for scores."""

    paper: str
    table: str
    n_rows: int
    of: int


def needs(name: str) -> list[Need]:
    """List the tables that are made with the corpus `name` at the preset ``paper``."""
    found = []
    for key in experiment.PAPERS:
        for sheet in experiment.load(key).sheets(PRESET):
            n = sum(any(name in heard(config) for config in sheet.configs(row)) for row in sheet.rows)
            if n:
                found.append(Need(key, sheet.table.name, n, len(sheet.rows)))
    return found


def heard(config) -> set[str]:
    """Names of the corpora of a run, and of the runs that it starts from."""
    return {corpus["name"] for corpus in config.corpora()}.union(*(heard(need) for need in config.needs()))


def disk(names) -> tuple[float, list[str]]:
    """GB that data sets take together, and the names of those of which nobody knows."""
    sets = {SAME.get(name, name) for name in names} & set(corpora.readers())
    return float(sum(DISK.get(name, 0) for name in sets)), sorted(sets - set(DISK))


def obstacle(name: str) -> str:
    """Say why runs at the preset ``paper`` cannot have the corpus `name`; nothing if they can."""
    if name not in corpora.readers():  # it stands in for something, and says so
        try:
            corpora.load(name, "test", PRESET)
        except WeaklibError as e:
            return str(e)
        return ""
    for split, there in corpora.holdings(name).items():
        if isinstance(there, WeaklibError):
            return str(there)
        if there.refused or not there.n_there:
            return (f"{there.n_missing} parts of the {split} split of {name} are not there; `python -m weaklib data "
                    f"check {name}` names them.")
    return ""


def check(name: str) -> tuple[str, bool]:
    """Say what of a data set is there and missing, by split and class, and which tables can be made with it.

    Parameters
    ----------
    name : str
        Of a corpus that reads a data set, or ``manifest:PATH``.

    Returns
    -------
    text : str
    fine : bool
        Whether every split can be read.

    Raises
    ------
    WeaklibError
        If `name` reads no data set.
    """
    found = _looked_up(name)
    splits = {split: there for split, there in found.items() if isinstance(there, Holdings)}
    counts = [[split, str(there.n_there), str(there.n_missing)] for split, there in splits.items()]
    blocks = [[f"{name} in {files.data()}" if ":" not in name and files.data() else name,
               *(_columns(["split", "there", "missing"], counts) if counts else [])],
              _classes(splits), _named(splits), _errors(found), list(_meaning(name, found))]
    return "\n\n".join("\n".join(block) for block in blocks if block), _fine(found)


def overview() -> str:
    """Say in a line for each data set what of it is there."""
    rows = []
    for name in corpora.readers():
        found = _looked_up(name)
        splits = [there for there in found.values() if isinstance(there, Holdings)]
        missing = sum(there.n_missing for there in splits)
        state = ("not there" if not splits else "part of it cannot be read" if not _fine(found) else
                 f"{missing} missing" if missing else "there")
        rows.append([name, state, _tables(needs(name), lambda need: need.table) or "no table"])
    lines = _columns(["data set", "state", "heard at the preset paper in"], rows)
    usable = files.data() and files.data().is_dir()
    return "\n".join(lines if usable else [f"{files.lacking('data set')}.", "", *lines])


def _looked_up(name: str) -> dict[str, Holdings | WeaklibError]:
    if name not in (readers := corpora.readers()) and not name.startswith("manifest:"):
        raise WeaklibError(f"{name} reads no data set; choose one of {', '.join(readers)}, or manifest:PATH.")
    return corpora.holdings(name)


def _fine(found: dict) -> bool:
    return all(isinstance(there, Holdings) and there.n_there and not there.refused for there in found.values())


def _classes(splits: dict[str, Holdings]) -> list[str]:
    """The classes of which something is missing, split by split."""
    classes = list(dict.fromkeys(label for there in splits.values() for label in [*there.there, *there.missing]))

    def cell(there, label):
        lost, n = len(there.missing.get(label, ())), there.there.get(label, 0)
        return f"{n} of {n + lost}" if lost else str(n)

    rows = [[label, *(cell(there, label) for there in splits.values())] for label in classes
            if any(there.missing.get(label) or not there.there.get(label) for there in splits.values())]
    if classes in ([], [""]) or not rows:
        return []
    return _columns(["class", *splits], rows)


def _errors(found: dict) -> list[str]:
    """Why splits are not there, once if it is the same for all."""
    errors = {split: str(error) for split, error in found.items() if isinstance(error, WeaklibError)}
    if len(errors) == len(found) and len(set(errors.values())) == 1:
        return list(errors.values())[:1]
    return [f"{split}: {error}" for split, error in errors.items()]


def _named(splits: dict[str, Holdings]) -> list[str]:
    """Some of what is missing, by name."""
    lines = []
    for split, there in splits.items():
        if names := [name for of_class in there.missing.values() for name in of_class]:
            more = f" and {len(names) - EXAMPLES} more" if len(names) > EXAMPLES else ""
            lines.append(f"Not there in {split}: {', '.join(names[:EXAMPLES])}{more}.")
    return lines


def _meaning(name: str, found: dict) -> Iterator[str]:
    """Which tables need a data set, and whether they can be made with what is there."""
    tables = needs(name)
    if not tables:
        yield f"No table of the preset {PRESET} needs it."
        return
    said = _tables(tables, lambda need: f"{need.table} ({need.n_rows} of {need.of} rows)")
    yield f"At the preset {PRESET} it is heard in {said}."
    splits = {split: there for split, there in found.items() if isinstance(there, Holdings)}
    if not _fine(found):
        refused = [split for split, there in splits.items() if there.refused]
        yield ("None of these rows can be made before it is whole: " + (
            f"of {' and '.join(refused)} nothing may be missing." if refused else "a split is not there."))
    elif any(there.n_missing for there in splits.values()):
        shares = ", ".join(f"{100 * there.n_there / (there.n_there + there.n_missing):.1f} % of {split}"
                           for split, there in splits.items())
        yield (f"These rows can be made with what is there, {shares}; their scores are then not of the data of the "
               "paper, and should say so.")
    else:
        yield "These rows can be made: nothing is known to be missing."


def _tables(needed: list[Need], words) -> str:
    """Tables by paper: ``hung2021: table1, table2; ...``."""
    papers = dict.fromkeys(need.paper for need in needed)
    return "; ".join(f"{paper}: {', '.join(words(need) for need in needed if need.paper == paper)}"
                     for paper in papers)


def _columns(head: list[str], body: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *body)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [head, *body]]
