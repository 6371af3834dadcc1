"""Copies of the notebooks for a workshop: ``python -m weaklib.workshop``.

Students get every exercise with its check and its hints, but no solution. Teachers get the solutions too, folded up as
they are in the notebooks, so that a projector does not give them away.

Contents
--------
write
    Both kinds of copies of the notebooks of a folder.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from weaklib import files, headless
from weaklib.files import WeaklibError

#: The tags of the cells that a copy lacks.
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
        If `source` has no notebooks, or if `target` exists, because it may hold somebody's answers.
    """
    import nbformat
    notebooks, target = sorted(Path(source).glob("[0-9][0-9]_*.ipynb")), Path(target)
    if not notebooks:
        raise WeaklibError(f"There are no notebooks in {source}; run this in a complete checkout.")
    if target.exists():
        raise WeaklibError(f"{target} exists, and may hold somebody's answers; move it away and run this again.")
    written = []
    for kind, lacking in LACKING.items():
        for path in notebooks:
            nb = headless.read(path)
            nb.cells = [cell for cell in nb.cells if not lacking & set(cell.metadata.get("tags", []))]
            for cell in nb.cells:
                if cell.cell_type == "markdown":
                    cell.source = cell.source.replace("](../", "](../../")  # a copy lies one folder deeper
            written.append(target / kind / path.name)
            files.write_bytes(written[-1], nbformat.writes(nb).encode())
    return written


def main(argv: list[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m weaklib.workshop", description=__doc__.split(":")[0] + ".")
    root = files.checkout() or Path.cwd()
    parser.add_argument("--out", type=Path, default=root / "workshop", help="a new folder (default: workshop)")
    args = parser.parse_args(argv)
    try:
        written = write(root / "notebooks", args.out)
    except WeaklibError as e:
        print(e, file=sys.stderr)
        return 2
    print(f"{len(written) // len(LACKING)} notebooks: for students in {args.out / 'student'}, with the solutions in "
          f"{args.out / 'teacher'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
