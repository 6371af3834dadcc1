"""Separate and transcribe files: ``python -m weaklib``. Exit status: 0 all is well, 2 it could not be done."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from weaklib import __version__
from weaklib.files import WeaklibError
from weaklib.inference import DEFAULT

FILE = "a wav, flac, ogg or mp3 file of any length, sample rate and number of channels"


def main(argv: list[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    args = parse(argv)
    try:
        for line in args.do(args):
            print(line)
        return 0
    except WeaklibError as e:
        print(e, file=sys.stderr)
        return 2
    except ModuleNotFoundError as e:
        print(f"{e.name} is not installed for {sys.executable}; `make install` installs what is needed.",
              file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; nothing was written.", file=sys.stderr)
        return 130


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m weaklib", description="Separate or transcribe a file with a model that comes with weaklib.",
        epilog="Each command has its own --help. Notebooks and tables are made by `make results`.")
    parser.add_argument("--version", action="version", version=f"weaklib {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name, do, about):
        added = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        added.set_defaults(do=do)
        return added

    separate = command("separate", _separate, "separate a file into stems, one float wav file each, at the file's rate")
    separate.add_argument("file", metavar="FILE", help=FILE)
    separate.add_argument("--method", metavar="M", default=DEFAULT, help=f"see `methods` (default: {DEFAULT})")
    separate.add_argument("--out", metavar="DIR", default=".",
                          help="where to write <name of FILE>-<output>.wav (default: here)")
    transcribe = command("transcribe", _transcribe, "transcribe a file to MIDI, one track per instrument")
    transcribe.add_argument("file", metavar="FILE", help=FILE)
    transcribe.add_argument("--method", metavar="M", help="see `methods` (default: the first that has a model)")
    transcribe.add_argument("--out", metavar="FILE.mid", help="(default: the name of FILE, here)")
    transcribe.add_argument("--threshold", type=float, default=0.0, metavar="T",
                            help="above 0 for fewer notes, below for more (default: 0)")
    for one in (separate, transcribe):
        one.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
        one.add_argument("--force", action="store_true", help="overwrite what is there")
    command("methods", _methods, "list the methods: what they do, their sample rates and outputs")
    return parser.parse_args(argv)


def _separate(args):
    from weaklib import inference
    return inference.separate_file(args.file, args.out, args.method, device=args.device, overwrite=args.force)


def _transcribe(args):
    from weaklib import inference
    to = args.out or Path(args.file).with_suffix(".mid").name
    return [inference.transcribe_file(args.file, to, args.method, threshold=args.threshold, device=args.device,
                                      overwrite=args.force)]


def _methods(args):
    from weaklib import inference
    for m in inference.methods():
        yield (f"{m['does']:<11}{m['method']:<12}{m['sr'] / 1000:g} kHz  {', '.join(m['outputs'])}: {m['about']}"
               + ("" if m["comes"] else " (no model comes with weaklib)"))


if __name__ == "__main__":
    sys.exit(main())
