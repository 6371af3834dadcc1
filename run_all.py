"""Run every notebook on this machine and write its tables: ``python run_all.py``.

Trains what this machine's own store lacks, at the size that ``--preset`` names, and goes on where it was stopped. The
executed notebooks and the tables lie under ``results/local``; ``--committed`` renders the published tables from the
records that come with the source. Exit status: 0 all is well, 1 a notebook failed (or nothing could run, or ``--check``
found something), 2 the command makes no sense, 130 stopped by hand.
"""
from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from weaklib import experiment, files, headless, presets, report, runs
from weaklib.files import WeaklibError
from weaklib.headless import Outcome

NOTEBOOKS = Path(__file__).resolve().parent / "notebooks"
#: Minutes after which a notebook is stopped: far more than it should take, far less than forever.
LIMIT = {"smoke": 15, "laptop": 120, "full": 3 * 24 * 60, "gpu": 24 * 60, "paper": 60 * 24 * 60, "committed": 30}

BESIDES = 1.0  # minutes that a notebook takes beside its training, until it is known better


@dataclass(frozen=True)
class Job:
    """A notebook and what stands before it."""

    path: Path
    configs: list[runs.Config]   # what it will train
    obstacle: str = ""           # why it cannot run


def main(argv: list[str] | None = None, folder: Path = NOTEBOOKS) -> int:
    """Do what the command line says with the notebooks of a folder; returns the exit status."""
    args = parse(argv)
    try:
        validate(args)
        if args.check:
            return check()
        if args.publish:
            return publish(args.preset)
        if args.status:
            return status(args, folder)
        jobs = plan(args, folder)
        return dry_run(jobs, args) if args.dry_run else run(jobs, args)
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
    parser.add_argument("--preset", default=presets.DEFAULT, help=f"{', '.join(presets.NAMES)} (default: laptop)")
    parser.add_argument("--only", nargs="+", default=[], metavar="NB", help="numbers or papers: 01 shin2026")
    parser.add_argument("--seeds", type=int, metavar="N", help="random seeds per row, in place of the preset's number")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--fresh", action="store_true", help="train again what has been trained")
    parser.add_argument("--committed", action="store_true", help="train nothing: use the records of the source")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--status", action="store_true", help="say which rows have records, and run nothing")
    other.add_argument("--dry-run", action="store_true", help="say what would run and what it takes, and run nothing")
    other.add_argument("--check", action="store_true", help="compare the committed tables with their records")
    other.add_argument("--publish", action="store_true", help="make this machine's records committed ones")
    return parser.parse_args(argv)


def validate(args) -> None:
    """Raise a WeaklibError if the arguments make no sense."""
    presets.check(args.preset)
    if args.seeds is not None and args.seeds < 1:
        raise WeaklibError(f"--seeds {args.seeds} trains nothing; give 1 or more.")
    if args.committed and args.fresh:
        raise WeaklibError("--committed trains nothing and --fresh trains again; choose one of them.")
    if args.device != "auto":
        from weaklib.training import resolve
        resolve(args.device)


# Before

def select(folder: Path, only: list[str]) -> list[Path]:
    """Notebooks of a folder in their order; `only` has their numbers, or the papers they are about."""
    found = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise WeaklibError(f"There are no notebooks in {folder}; run this in a complete checkout.")

    def named(path, name):
        return name in (path.stem, paper_of(path)) or name.zfill(2) == path.stem[:2]

    unknown = [name for name in only if not any(named(path, name) for path in found)]
    if unknown:
        raise WeaklibError(f"No notebook is called {' or '.join(unknown)}; there are "
                           f"{', '.join(path.stem for path in found)}.")
    return [path for path in found if not only or any(named(path, name) for name in only)]


def paper_of(path: Path) -> str | None:
    """Key of the paper that a notebook is about: ``05_mahmud2024_ablations`` -> ``mahmud2024``."""
    name = path.stem[3:].split("_")[0]
    return name if name in experiment.PAPERS else None


def plan(args, folder: Path) -> list[Job]:
    """Find out what each selected notebook will train; runs that two of them share count with the first."""
    jobs, of_paper = [], {}
    for path in select(folder, args.only):
        key, todo = paper_of(path), []
        if key and not args.committed and key not in of_paper:
            todo = [config for config in experiment.load(key).configs(args.preset, args.seeds)
                    if args.fresh or not lookup(config, args.preset, "local")]
            of_paper[key] = obstacle(todo, args.preset, args.device)
        jobs.append(Job(path, todo, of_paper.get(key, "")))
    return jobs


def lookup(config: runs.Config, preset: str, where: str) -> runs.Record | None:
    """Look a record up; a damaged one counts as none here, and the notebook will complain."""
    try:
        return runs.find(config, preset, where)
    except WeaklibError:
        return None


def obstacle(todo: list[runs.Config], preset: str, device: str) -> str:
    """Say what is missing to train, and what to do about it; nothing if all is there."""
    from weaklib import corpora, training
    missing = []
    if todo and preset in presets.NEED_GPU and device == "auto" and training.resolve("auto") == "cpu":
        missing.append(f"The preset {preset} needs a CUDA device and none is here; choose --preset laptop, or "
                       "--device cpu if you can wait.")
    if preset == "paper":  # the other presets render their own data
        for name in data(todo):
            try:
                corpora.load(name, "test", preset)
            except WeaklibError as e:
                missing.append(str(e))
    return " ".join(dict.fromkeys(missing))  # two corpora may lack the same data set


def data(todo: list[runs.Config]) -> list[str]:
    """Names of the corpora that runs need."""
    return sorted({corpus["name"] for config in todo for corpus in config.corpora()})


# What it takes

def mode(args) -> str:
    """What decides how long a notebook takes: the preset, or ``committed``."""
    return "committed" if args.committed else args.preset


def minutes(job: Job, args) -> float | None:
    """Guess how long a notebook takes: as the last time, or as the committed runs did; None if there are none."""
    last = times().get(time_key(job, args))
    if last is not None:
        return last
    seconds = [record.provenance["seconds"] for record in twins(job, args.preset)]
    if job.configs and not seconds:
        return None
    return BESIDES + len(job.configs) * (sum(seconds) / len(seconds) / 60 if seconds else 0)


def memory(job: Job, args) -> float | None:
    """Largest memory, in GB, that the committed runs took; None if there are none."""
    return max((record.provenance["peak_memory_mb"] / 1000 for record in twins(job, args.preset)), default=None)


def twins(job: Job, preset: str) -> list[runs.Record]:
    """Committed records of what a notebook will train."""
    return [found for config in job.configs if (found := lookup(config, preset, "committed"))]


def times() -> dict[str, float]:
    """Minutes that notebooks took on this machine, by `time_key`."""
    path = files.home() / "times.json"
    return files.read_json(path) if path.exists() else {}


def time_key(job: Job, args) -> str:
    return f"{mode(args)}, {job.path.stem}, {len(job.configs)} runs"


def about(amount: float | None, unit: str) -> str:
    return "unknown" if amount is None else f"{amount:.1f} {unit}"


def dry_run(jobs: list[Job], args) -> int:
    """Print what would run, and what it takes."""
    show(["notebook", "runs to train", "time", "memory", "data", "note"],
         [[job.path.stem, str(len(job.configs)), about(minutes(job, args), "min"),
           about(memory(job, args), "GB") if job.configs else "", ", ".join(data(job.configs)), job.obstacle]
          for job in jobs])
    return 0


# Doing it

def run(jobs: list[Job], args) -> int:
    """Execute notebooks one by one, print what became of them, and write the tables."""
    able = [job for job in jobs if not job.obstacle]
    guesses = [minutes(job, args) for job in able]
    print(f"{len(able)} notebooks, {sum(len(job.configs) for job in able)} runs to train; expected time: "
          f"{about(None if None in guesses else sum(guesses), 'min')}", flush=True)
    with headless.kernel() as channel:
        outcomes = [skip(job) if job.obstacle else execute(job, args, channel) for job in jobs]
    print()
    show(["notebook", "status", "minutes", "note"],
         [[o.notebook, o.status, f"{o.minutes:.1f}", o.note] for o in outcomes])
    report.write(report.committed() if args.committed else report.local(args.preset, args.seeds))
    print(f"\nTables: {files.results() if args.committed else files.results() / 'local'}\n"
          f"Executed notebooks: {executed(args)}")
    return int(any(o.status == "failed" for o in outcomes) or all(o.status == "skipped" for o in outcomes))


def skip(job: Job) -> Outcome:
    print(f"{job.path.stem}: skipped. {job.obstacle}")
    return Outcome(job.path.stem, "skipped", note=job.obstacle)


def execute(job: Job, args, channel: Path) -> Outcome:
    """Execute one notebook and remember how long it took."""
    given = {"preset": args.preset, "seeds": args.seeds, "device": args.device,
             "records": "committed" if args.committed else "local", "fresh": args.fresh, "interactive": False}
    label = f"{job.path.stem} (expected: {about(minutes(job, args), 'min')})"
    outcome = headless.execute(job.path, executed(args) / job.path.name, given, channel, minutes=LIMIT[mode(args)],
                               label=label)
    print(f"{label}: {outcome.status}, {outcome.minutes:.1f} min", flush=True)
    if outcome.status == "ok":
        files.write_json(files.home() / "times.json", {**times(), time_key(job, args): round(outcome.minutes, 2)})
    return outcome


def executed(args) -> Path:
    """Folder of the executed notebooks."""
    local = files.results() / "local"
    return local / "committed" if args.committed else local / args.preset / "notebooks"


# Records

def status(args, folder: Path) -> int:
    """Print, for every row and seed, whether this machine has a record and whether the source has one."""
    selected = {paper_of(path) for path in select(folder, args.only)} if args.only else experiment.PAPERS
    lines = [[f"{key} {sheet.table.name}", row.key, config.corpus, str(config.seed),
              *(state(config, args.preset, where) for where in ("local", "committed"))]
             for key in experiment.PAPERS if key in selected
             for sheet in experiment.load(key).sheets(args.preset, args.seeds)
             for row in sheet.rows for config in sheet.configs(row)]
    show(["table", "row", "corpus", "seed", "this machine", "committed"], lines)
    return 0


def state(config: runs.Config, preset: str, where: str) -> str:
    """``yes``, ``no``, ``damaged``, or how far an interrupted run came."""
    try:
        if runs.find(config, preset, where):
            return "yes"
        step = interrupted(config) if where == "local" else None
    except WeaklibError:
        return "damaged"
    return "no" if step is None else f"interrupted at step {step}"


def interrupted(config: runs.Config) -> int | None:
    """Step from which a run without a record will go on; None if it has no checkpoint."""
    from weaklib import weights
    found = (runs.local() / f"{config.paper}-{config.id}").rglob("checkpoint*.safetensors")
    newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    return weights.about(newest).get("step") if newest else None


def check() -> int:
    """Print what is wrong with the committed results."""
    problems = report.check()
    print("\n".join(problems) or "Every committed table is what its records say.")
    return int(bool(problems))


def publish(preset: str) -> int:
    """Copy this machine's records into the committed ones, and render the tables again."""
    n = report.publish(preset)
    if not n:
        raise WeaklibError(f"This machine has no records of the preset {preset}; run it first: "
                           f"`python run_all.py --preset {preset}`.")
    report.write(report.committed())
    print(f"{n} records are now in {files.results() / preset}; look at the difference and commit it.")
    return 0


def show(head: list[str], body: list[list[str]]) -> None:
    """Print a table in columns."""
    widths = [max(map(len, column)) for column in zip(head, *body)]
    widths[-1] = len(head[-1])  # notes may be long
    for row in [head, ["-" * width for width in widths], *body]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
