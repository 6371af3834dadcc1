"""Copies of the notebooks for a workshop: ``python -m weaklib.workshop``.

Students get every exercise with its check and its hints, but no solution. Teachers get the solutions too, folded up as
they are in the notebooks, so that a projector does not give them away.

Contents
--------
write
    Both kinds of copies of a folder of notebooks.
"""
from __future__ import annotations

import argparse
import sys
from copy import deepcopy
from pathlib import Path

from weaklib import files, headless
from weaklib.files import WeaklibError

ROOT = Path(__file__).resolve().parent.parent
#: The tags of the cells that each kind of copy lacks.
LACKING = {"student": {"solution"}, "teacher": set()}


def write(source, target) -> list[Path]:
    """Write copies of all notebooks of the folder `source` into ``target/student`` and ``target/teacher``.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    WeaklibError
        If `source` has no notebooks, or `target` exists: it may hold somebody's answers.
    """
    import nbformat
    source, target = Path(source), Path(target)
    notebooks = sorted(source.glob("[0-9][0-9]_*.ipynb"))
    if not notebooks:
        raise WeaklibError(f"There are no notebooks in {source}; run this in a complete checkout.")
    if target.exists():
        raise WeaklibError(f"{target} exists, and may hold somebody's answers; move it away, then run this again.")
    written = []
    for path in notebooks:
        for kind, tags in LACKING.items():
            copy = deepcopy(headless.read(path))
            copy.cells = [cell for cell in copy.cells if not tags & set(cell.metadata.get("tags", []))]
            for cell in copy.cells:
                if cell.cell_type == "markdown":  # the copies lie one folder deeper than the notebooks
                    cell.source = cell.source.replace("](../", "](../../")
            written.append(target / kind / path.name)
            files.write_bytes(written[-1], nbformat.writes(copy).encode())
    return written


def main(argv: list[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m weaklib.workshop", description=__doc__.split(":")[0] + ".")
    parser.add_argument("--out", default=ROOT / "workshop", type=Path, help="a new folder (default: workshop)")
    args = parser.parse_args(argv)
    try:
        written = write(ROOT / "notebooks", args.out)
    except WeaklibError as e:
        print(e, file=sys.stderr)
        return 2
    print(f"{len(written) // 2} notebooks for students in {args.out / 'student'}, with solutions in "
          f"{args.out / 'teacher'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
