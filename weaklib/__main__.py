"""Separate and transcribe files, and check data sets: ``python -m weaklib``.

Exit status: 0 all is well, 2 something could not be done, 128 and the number of the signal that stopped it.
"""
from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import warnings
from contextlib import contextmanager, nullcontext
from functools import partial
from glob import glob

from weaklib import __version__, files, progress
from weaklib.files import WeaklibError
from weaklib.inference import DEFAULT

FILE = "recordings of any length, sample rate and number of channels: wav, flac, mp3, m4a, videos and more"
STOPS = ("SIGTERM", "SIGHUP")


def main(argv: list[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    args = parse(argv)
    files.printable()  # the name of a file need not be in the terminal's alphabet
    quiet = args.quiet or not sys.stderr.isatty()  # a bar that is redrawn fills a log
    try:
        with _stopping(), progress.told(_nobody) if quiet else nullcontext():
            return args.do(args)
    except WeaklibError as e:
        print(e, file=sys.stderr)
        return 2
    except ModuleNotFoundError as e:
        print(f"{e.name} is not installed for {sys.executable}; `make install` installs what is needed.",
              file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; nothing was written of what was not complete.", file=sys.stderr)
        return 130


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m weaklib",
        description="Separate or transcribe files with a model that comes with weaklib, or check data sets.",
        epilog="Each command has its own --help. Notebooks and tables are made by `make results`.")
    parser.add_argument("--version", action="version", version=f"weaklib {__version__}")
    parser.set_defaults(quiet=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name, do, about):
        added = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        added.set_defaults(do=do)
        return added

    separate = command("separate", _separate, "separate files into stems, float wav files at each file's rate")
    separate.add_argument("file", metavar="FILE", nargs="+", help=FILE)
    separate.add_argument("--method", metavar="M",
                          help=f"see `methods` (default: {DEFAULT}; with --query, the first that takes one)")
    separate.add_argument("--query", metavar="TEXT", action="append",
                          help='what to look for, such as "a violin", with a method that is asked in words; more than '
                               "once, for several sounds")
    separate.add_argument("--out", metavar="DIR", default=".",
                          help="where to write <name of FILE>-<output>.wav (default: here)")
    transcribe = command("transcribe", _transcribe, "transcribe files to MIDI, one track per instrument")
    transcribe.add_argument("file", metavar="FILE", nargs="+", help=FILE)
    transcribe.add_argument("--method", metavar="M", help="see `methods` (default: the first that has a model)")
    transcribe.add_argument("--out", metavar="TO", default=".",
                            help="a name that ends in .mid, for one FILE; else the folder where to write <name of "
                                 "FILE>.mid (default: here)")
    transcribe.add_argument("--threshold", type=float, default=0.0, metavar="T",
                            help="above 0 for fewer notes, below for more (default: 0)")
    for one in (separate, transcribe):
        one.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
        one.add_argument("--force", action="store_true", help="overwrite what is there")
        one.add_argument("--quiet", action="store_true", help="say only what went wrong")
    command("methods", _methods, "list the methods: what they do, their sample rates and outputs")
    data = commands.add_parser(
        "data", help="check data sets",
        description="Check the data sets below WEAKLIB_DATA. docs/data.md says where they come from.")
    check = data.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "check", help="count what is there and missing, and say for which tables that matters")
    check.add_argument("name", metavar="NAME", nargs="*",
                       help="fuss, slakh, music21, manifest:PATH and so on (default: all, in a line each)")
    check.set_defaults(do=_check)
    return parser.parse_args(argv)


def _separate(args) -> int:
    from weaklib import inference
    return _each(args, lambda path: inference.separate_file(
        path, args.out, args.method, query=args.query, device=args.device, overwrite=args.force, spare=_paths(args)))


def _transcribe(args) -> int:
    from weaklib import inference
    to = files.path(args.out)
    named = to.suffix and not os.path.isdir(to) and not args.out.endswith(("/", os.sep))
    if named and len(args.file) > 1:
        raise WeaklibError(f"{to} is one name for {len(args.file)} files; give a folder.")
    return _each(args, lambda path: [inference.transcribe_file(
        path, to if named else to / f"{path.stem}.mid", args.method, threshold=args.threshold, device=args.device,
        overwrite=args.force)])


def _each(args, do) -> int:
    """Do it with every file, and go on with the next one after one that is not to be read."""
    paths = _paths(args)
    stems = [path.stem.casefold() for path in paths]  # most disks of macOS and Windows ignore case
    if twice := [str(path) for path, stem in zip(paths, stems) if stems.count(stem) > 1]:
        raise WeaklibError(f"{' and '.join(twice)} would be written under the same names; give them one by one, with "
                           "another --out.")
    status = 0
    for path in paths:
        try:
            with warnings.catch_warnings():  # which are told once for each file
                warnings.showwarning = partial(_warn, path)
                written = do(path)
        except WeaklibError as e:
            print(e, file=sys.stderr)
            status = 2
        else:
            _say(() if args.quiet else written)
    return status


def _paths(args) -> list:
    """What is to be read."""
    return [files.path(name) for name in _expanded(args.file)]


def _expanded(names: list[str]) -> list[str]:
    """Replace patterns such as ``*.mp3`` by the names they match, which the shells of Windows leave to the program."""
    return [found for name in names for found in (files.WINDOWS and sorted(glob(name)) or [name])]


def _methods(args) -> int:
    from weaklib import inference
    _say(f"{m['does']:<11}{m['method']:<12}{m['sr'] / 1000:g} kHz  {_outputs(m)}: {m['about']}"
         + ("" if m["comes"] else " (no model comes with weaklib)") for m in inference.methods())
    return 0


def _check(args) -> int:
    from weaklib import inventory
    if not args.name:
        _say([inventory.overview()])
        return 0
    checked = [inventory.check(name) for name in args.name]
    _say(["\n\n".join(text for text, _ in checked)])
    return 0 if all(fine for _, fine in checked) else 2


def _outputs(m: dict) -> str:
    return f'what is asked for, such as "{m["query"]}", and the rest' if m["query"] else ", ".join(m["outputs"])


def _say(lines) -> None:
    """Print lines, as long as there is somebody who reads them."""
    try:
        for line in lines:
            print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _warn(path, message, *_, **__) -> None:
    """Print a warning as the sentence it is."""
    print(message if str(path) in str(message) else f"{path}: {message}", file=sys.stderr)


@contextmanager
def _stopping():
    """Let signals that end the process unwind it, so that it takes away what it has begun."""
    def stop(number, frame):
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in STOPS if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    numbers = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]  # nohup ignores one
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _nobody(desc, done, total):
    """Who listens to progress that nobody wants to see."""


if __name__ == "__main__":
    sys.exit(main())
