"""CPU seconds of every notebook and of the tables, as ``python run_all.py --committed`` makes them.

    python benchmarks/notebooks.py [--only 03 08] [--threads 1]

Prints a Markdown table: of each notebook what its kernel takes and what the process takes that executes it, which in
`run_all.py` is one for several notebooks. What else runs matters less to these seconds than to those of the clock on
the wall. Corpora that are not there are rendered on the way: run it twice.
"""
from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def seconds(who: int) -> float:
    """CPU seconds of this process, or of those that it started and that ended."""
    import resource
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def notebook(source: Path, threads: int, answer) -> None:
    """Execute a notebook; answers with its status, CPU seconds of its kernel, and of this process."""
    import resource

    from weaklib import headless
    given = {"records": "committed", "interactive": False}
    with tempfile.TemporaryDirectory() as folder:
        outcome = headless.alone(source, Path(folder) / source.name, given, minutes=30, label="", threads=threads,
                                 quiet=True)
    answer.put([outcome.status, seconds(resource.RUSAGE_CHILDREN), seconds(resource.RUSAGE_SELF)])


def tables(answer) -> None:
    """Render all committed tables; answers as `notebook` does."""
    import resource

    from weaklib import report
    report.committed()
    answer.put(["ok", 0.0, seconds(resource.RUSAGE_SELF)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="NB", help="numbers: 03 08")
    parser.add_argument("--threads", type=int, default=1, help="of a kernel")
    args = parser.parse_args()
    new = multiprocessing.get_context("spawn")  # a process for each, so that none profits from what another has loaded
    jobs = {path.stem: (notebook, path, args.threads) for path in sorted(ROOT.glob("notebooks/[0-9][0-9]_*.ipynb"))
            if not args.only or path.stem[:2] in args.only} | ({} if args.only else {"tables": (tables,)})
    print("| | status | kernel, s | besides, s |\n| --- | --- | --- | --- |")
    total = 0.0
    for name, (work, *given) in jobs.items():
        answer = new.Queue()
        process = new.Process(target=work, args=(*given, answer))
        process.start()
        status, kernel, besides = answer.get()
        process.join()
        total += kernel + besides
        print(f"| {name} | {status} | {kernel:.1f} | {besides:.1f} |", flush=True)
    print(f"\nTogether {total:.0f} s.")


if __name__ == "__main__":
    main()
