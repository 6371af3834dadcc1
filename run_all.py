"""Run every notebook on this machine and write its tables: ``python run_all.py``.

Trains what this machine's own store lacks, at the size that ``--preset`` names, several runs at a time, and goes on
where it was stopped; then executes the notebooks. These and the tables lie under ``results/local``; ``--committed``
renders the published tables from the records that come with the source. Exit status: 0 all is well, 1 a notebook failed
(or nothing could run, or ``--check`` found something), 2 the command makes no sense, 130 stopped by hand.
"""
from __future__ import annotations

import argparse
import math
import re
import sys
from pathlib import Path

from weaklib import files, presets
from weaklib.files import WeaklibError

NOTEBOOKS = Path(__file__).resolve().parent / "notebooks"


def main(argv: list[str] | None = None, folder: Path = NOTEBOOKS) -> int:
    """Do what the command line says with the notebooks of a folder; returns the exit status."""
    args = parse(argv)
    files.printable()
    try:
        validate(args)
        from weaklib import session  # what it needs may not be installed
        if args.check:
            return session.check()
        if args.publish:
            return session.publish(args.preset)
        if args.status:
            return session.status(args, folder)
        notebooks = session.plan(args, folder)
        return session.dry_run(notebooks, args) if args.dry_run else session.run(notebooks, args)
    except WeaklibError as e:
        print(e, file=sys.stderr)
        return 2
    except ModuleNotFoundError as e:
        print(f"{e.name} is not installed for {sys.executable}; `make results` installs what is needed and runs this.",
              file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. What was trained is kept: run the command again, without --fresh, to go on.", file=sys.stderr)
        return 130


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0].split(":")[0] + ".")
    parser.add_argument("--preset", default=presets.DEFAULT,
                        help=f"{', '.join(presets.NAMES)} (default: {presets.DEFAULT})")
    parser.add_argument("--only", nargs="+", default=[], metavar="NB", help="numbers or papers: 01 shin2026")
    parser.add_argument("--seeds", type=int, metavar="N", help="random seeds per row, in place of the preset's number")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--jobs", type=int, metavar="N",
                        help="runs at a time, each on one core or GPU (default: one per GPU, or per idle core)")
    parser.add_argument("--cluster", metavar="URL", help="train on the workers of a Dask scheduler, tcp://host:port")
    parser.add_argument("--budget", metavar="T", help="train for at most this time, such as 9m or 1h30m, the most "
                                                      "telling runs first, and go on with the next call")
    parser.add_argument("--fresh", action="store_true", help="train again what has been trained")
    parser.add_argument("--committed", action="store_true", help="train nothing: use the records of the source")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--status", action="store_true", help="say which rows have records, and run nothing")
    other.add_argument("--dry-run", action="store_true", help="say what would run and what it takes, and run nothing")
    other.add_argument("--check", action="store_true", help="compare the committed tables with their records")
    other.add_argument("--publish", action="store_true", help="make this machine's records committed ones")
    return parser.parse_args(argv)


def validate(args) -> None:
    """Raise a WeaklibError if the arguments make no sense; turn the budget into seconds."""
    presets.check(args.preset)
    for name in ("seeds", "jobs"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise WeaklibError(f"--{name} {value} trains nothing; give 1 or more.")
    if args.committed and args.fresh:
        raise WeaklibError("--committed trains nothing and --fresh trains again; choose one of them.")
    if args.publish and args.only:
        raise WeaklibError("--publish takes the records of all papers, for tables and claims share them; leave --only "
                           "out.")
    if args.publish and args.preset not in presets.PUBLISHED:
        raise WeaklibError(f"Records of the preset {args.preset} are for tests and are not published; choose one of "
                           f"{', '.join(presets.PUBLISHED)}.")
    if args.cluster and args.jobs:
        raise WeaklibError("--cluster has as many runs at a time as workers; leave --jobs out.")
    args.budget = seconds(args.budget) if args.budget else math.inf
    if args.device != "auto" and not args.cluster:
        from weaklib.training import resolve
        resolve(args.device)


def seconds(text: str) -> float:
    """``9m``, ``1h30m`` or ``45s`` in seconds."""
    units = {"h": 3600, "m": 60, "s": 1}
    parts = re.findall(r"(\d+(?:\.\d+)?)([hms])", text)
    if not parts or "".join(map("".join, parts)) != text:
        raise WeaklibError(f"--budget {text} is not a time; write 9m, 1h30m or 45s.")
    return sum(float(number) * units[unit] for number, unit in parts)


if __name__ == "__main__":
    sys.exit(main())
