"""All notebooks in one go: what they show is trained first, side by side, then they are executed.

Contents
--------
plan, Notebook
    What each notebook shows, and what stands before it.
dry_run, run
    What it would take; train, execute, write the tables.
status, check, publish
    The records of this machine and of the source.
"""
from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from weaklib import experiment, files, headless, inventory, jobs, planning, presets, progress, report, runs
from weaklib.files import WeaklibError
from weaklib.headless import Outcome

#: Minutes after which a notebook is stopped: far more than it should take, far less than forever.
LIMIT = {"smoke": 15, "laptop": 120, "full": 3 * 24 * 60, "gpu": 24 * 60, "paper": 60 * 24 * 60, "committed": 30}
BESIDES = 1.0  # minutes that a notebook takes beside its training, until it is known better


@dataclass(frozen=True)
class Notebook:
    """A notebook, the runs that it shows, and what stands before it."""

    path: Path
    configs: tuple[runs.Config, ...] = ()
    obstacle: str = ""           # why they cannot be trained


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
    return name if name in experiment.known() else None


def plan(args, folder: Path) -> list[Notebook]:
    """Find out what each selected notebook shows, and whether that can be trained."""
    notebooks = []
    for path in select(folder, args.only):
        key, configs = paper_of(path), []
        if key and not args.committed:
            paper = experiment.load(key)
            try:
                paper.grid.preset(args.preset)
            except WeaklibError as e:  # a study has no such preset
                notebooks.append(Notebook(path, obstacle=str(e)))
                continue
            configs = paper.configs(args.preset, args.seeds)
        missing = planning.open_runs(configs, args.fresh).values()
        notebooks.append(Notebook(path, tuple(configs), obstacle(missing, args)))
    return notebooks


def obstacle(configs: Iterable[runs.Config], args) -> str:
    """Say what is missing to train, and what to do about it; nothing if all is there."""
    from weaklib import training
    missing, configs = [], list(configs)
    if args.cluster or not configs:
        return ""
    if args.preset in presets.NEED_GPU and args.device == "auto" and training.resolve("auto") == "cpu":
        missing.append(f"The preset {args.preset} needs a CUDA device and none is here; choose --preset laptop, or "
                       "--device cpu if you can wait.")
    if args.preset == "paper":  # the other presets render their own data
        missing += [why for name in data(configs) if (why := inventory.obstacle(name))]
    return " ".join(dict.fromkeys(missing))  # two corpora may lack the same data set


def data(configs: Iterable[runs.Config]) -> list[str]:
    """Names of the corpora that runs need."""
    return sorted({corpus["name"] for config in configs for corpus in config.corpora()})


# What it takes

def mode(args) -> str:
    """What decides how long a notebook takes: the preset, or ``committed``."""
    return "committed" if args.committed else args.preset


def minutes(notebook: Notebook, args) -> float:
    """Guess how long a notebook takes when its runs are trained: as the last time."""
    return times().get(f"{mode(args)}, {notebook.path.stem}", BESIDES)


def times() -> dict[str, float]:
    """Minutes that notebooks took on this machine, by preset and name."""
    path = files.home() / "times.json"
    return files.read_json(path) if path.exists() else {}


def memory(configs: Iterable[runs.Config]) -> str:
    """Largest memory of which the committed records of runs speak, in words."""
    found = [record for config in configs for preset in presets.PUBLISHED
             if (record := runs.look(config, preset, "committed"))]
    most = max((record.provenance["peak_memory_mb"] or 0 for record in found), default=0) / 1000
    return f"{most:.1f} GB" if most else "not measured"


def worth(notebooks: list[Notebook], args) -> dict[str, float]:
    """What each run is worth, see `weaklib.planning.gains`."""
    keys = dict.fromkeys(paper_of(notebook.path) for notebook in notebooks if notebook.configs)
    return {digest: gain for key in keys for digest, gain in planning.gains(key, args.preset, args.seeds).items()}


def dry_run(notebooks: list[Notebook], args) -> int:
    """Print what would run, in which order, and what it takes, for each notebook, table and run."""
    body, counted = [], set()
    for notebook in notebooks:
        open_runs = planning.open_runs(notebook.configs, args.fresh)
        mine = {digest: config for digest, config in open_runs.items() if digest not in counted}
        counted |= mine.keys()
        body.append([notebook.path.stem, str(len(mine)), memory(mine.values()) if mine else "",
                     ", ".join(data(mine.values())), notebook.obstacle])
    show(["notebook", "runs to train", "memory of one", "data", "note"], body)
    if tables := per_table(notebooks, args):
        print()
        show(["table", "runs to train", "run time", "measured", "memory of one", "disk for data", "data"], tables)
        print("\nA run that several tables show counts in each of them. Times are measured where a run of the same "
              "network has been made;\nthe others are guesses until one has been trained for some minutes "
              "(--budget 10m).")
    able = [notebook for notebook in notebooks if not notebook.obstacle]
    ahead = Forecast.of(able, args)
    if ahead.tasks:
        print()
        show(["run", "takes", "begins", "ends"],
             [[ahead.todo[task.name].id, span(task.seconds), *map(span, ahead.spans.get(task.name, (math.inf,) * 2))]
              for task in sorted(ahead.tasks, key=lambda task: ahead.spans.get(task.name, (math.inf,)))])
    print(f"\n{ahead.text}")
    return 0


def per_table(notebooks: list[Notebook], args) -> list[list[str]]:
    """What each table takes that has open runs: runs, time, memory, room for data sets, and which."""
    body = []
    for key in dict.fromkeys(paper_of(notebook.path) for notebook in notebooks if notebook.configs):
        costs = planning.Costs(key, on_gpu(args))
        for sheet in experiment.load(key).sheets(args.preset, args.seeds):
            configs = [config for row in sheet.rows for config in sheet.configs(row)]
            todo = list(planning.open_runs(configs, args.fresh).values())
            if not todo:
                continue
            costs.learn(todo)
            names = data(todo)
            gb, unknown = inventory.disk(names)
            body.append([f"{key} {sheet.table.name}", str(len(todo)), span(sum(map(costs, todo))),
                         f"{sum(map(costs.measured, todo))} of {len(todo)}", memory(todo),
                         f"{gb:g} GB{' and ' + ', '.join(unknown) if unknown else ''}" if gb or unknown else "",
                         ", ".join(names)])
    return body


def on_gpu(args) -> bool | None:
    """Whether runs are made with a GPU; None if that is for this machine to say."""
    return args.device != "cpu" if args.preset in presets.NEED_GPU else None


def span(seconds: float) -> str:
    if math.isinf(seconds):
        return "another time"
    return f"{seconds / 60:.1f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


@dataclass(frozen=True)
class Forecast:
    """What is open, when each run would begin and end, and how long all takes."""

    todo: dict[str, runs.Config]
    tasks: list[planning.Task]
    spans: dict[str, tuple[float, float]]
    text: str

    @classmethod
    def of(cls, notebooks: list[Notebook], args) -> Forecast:
        configs = [config for notebook in notebooks for config in notebook.configs]
        open_runs = planning.open_runs(configs, args.fresh)
        tasks = planning.tasks(open_runs, worth(notebooks, args), on_gpu(args))
        n = args.jobs or (1 if args.cluster else jobs.width(tasks, args.device) if tasks else jobs.default(args.device))
        spans = planning.simulate(tasks, n, args.budget)
        training = max((end for _, end in spans.values()), default=0.0) / 60
        total = training + sum(minutes(notebook, args) for notebook in notebooks) / min(n, max(1, len(notebooks)))
        return cls(open_runs, tasks, spans, f"{len(notebooks)} notebooks, {len(open_runs)} runs to train"
                   f"{f', {n} at a time' if n > 1 else ''}; expected time: {span(60 * total)}")


# Doing it

def run(notebooks: list[Notebook], args) -> int:
    """Train, execute the notebooks, print what became of them, and write the tables."""
    able = [notebook for notebook in notebooks if not notebook.obstacle]
    print(Forecast.of(able, args).text, flush=True)
    trained = jobs.work([config for notebook in able for config in notebook.configs], device=args.device,
                        fresh=args.fresh, n=args.jobs, cluster=args.cluster, budget=args.budget,
                        gains=worth(able, args))
    outcomes = {notebook.path: missing(notebook, trained) for notebook in notebooks}
    outcomes |= execute([notebook for notebook in notebooks if not outcomes[notebook.path]], args)
    print()
    show(["notebook", "status", "minutes", "note"],
         [[o.notebook, o.status, f"{o.minutes:.1f}", o.note] for o in outcomes.values()])
    report.write(report.committed() if args.committed else report.local(args.preset, args.seeds))
    print(f"\nTables: {files.results() if args.committed else files.results() / 'local'}\n"
          f"Executed notebooks: {executed(args)}")
    statuses = {o.status for o in outcomes.values()}
    return int("failed" in statuses or statuses <= {"skipped"} and not trained.trained)


def missing(notebook: Notebook, trained: jobs.Outcome) -> Outcome | None:
    """Say why a notebook cannot be executed, if something that it shows is missing."""
    name, mine = notebook.path.stem, {config.id for config in notebook.configs}
    failed = [(run, why) for run, why in trained.failed.items() if run in mine]
    left = [run for run in trained.left if run in mine]
    note = (notebook.obstacle or
            (f"{failed[0][0]}: {failed[0][1]}" if failed else "") or
            (f"{len(left)} of its runs are still to be trained; run the command again to go on." if left else ""))
    if not note:
        return None
    outcome = Outcome(name, "failed" if failed else "skipped", note=note)
    print(f"{name}: {outcome.status}. {note}")
    return outcome


def execute(notebooks: list[Notebook], args) -> dict[Path, Outcome]:
    """Execute notebooks, as many at a time as runs train, and remember how long they took."""
    n = len(notebooks) if len(notebooks) < 2 else min(len(notebooks), args.jobs or jobs.default(args.device))
    outcomes: dict[Path, Outcome] = {}

    def done(notebook, outcome):
        outcomes[notebook.path] = outcome
        print(f"{label(notebook, args)}: {outcome.status}, {outcome.minutes:.1f} min", flush=True)
        if outcome.status == "ok":
            files.write_json(files.home() / "times.json", {
                **times(), f"{mode(args)}, {outcome.notebook}": round(outcome.minutes, 2)})

    if n < 2:
        for notebook in notebooks:
            done(notebook, headless.alone(**_order(notebook, args)))
        return outcomes

    notebooks = sorted(notebooks, key=lambda notebook: -minutes(notebook, args))  # at the end, short ones even out
    threads = max(1, jobs.cores() // n)  # if there are more than cores, they wait for each other

    def line():
        names = [notebook.path.stem for notebook in notebooks if notebook.path not in outcomes][:n]
        return f"{len(outcomes)} of {len(notebooks)} notebooks done, under way: {', '.join(names)}"

    with ThreadPoolExecutor(n) as pool, progress.telling(line, sys.stdout):
        futures = {pool.submit(_apart, **_order(notebook, args), threads=threads): notebook for notebook in notebooks}
        try:
            for future in as_completed(futures):
                done(futures[future], future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes


def _apart(**order) -> Outcome:
    """Execute a notebook in a process of its own, whose death takes no other notebook with it.

    One pool for all would do, but in Python 3.11 it may not watch a worker that it has spawned after the first.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        try:
            return process.submit(headless.alone, **order, quiet=True).result()
        except BrokenProcessPool:
            return Outcome(order["source"].stem, "failed", note="The process that executed it was killed, perhaps for "
                           "want of memory; run it again with --jobs 1.")


def label(notebook: Notebook, args) -> str:
    """What the progress line calls a notebook."""
    return f"{notebook.path.stem} (expected: {minutes(notebook, args):.1f} min)"


def _order(notebook: Notebook, args) -> dict:
    """What `weaklib.headless.alone` needs to know."""
    given = {"preset": args.preset, "seeds": args.seeds, "device": args.device,
             "records": "committed" if args.committed else "local", "fresh": False, "interactive": False}
    return {"source": notebook.path, "target": executed(args) / notebook.path.name, "given": given,
            "minutes": LIMIT[mode(args)], "label": label(notebook, args)}


def executed(args) -> Path:
    """Folder of the executed notebooks."""
    local = files.results() / "local"
    return local / "committed" if args.committed else local / args.preset / "notebooks"


# Records

def status(args, folder: Path) -> int:
    """Print, for every row and seed, whether this machine has a record, what it would take, and the source's."""
    selected = {paper_of(path) for path in select(folder, args.only)} if args.only else experiment.known()
    costs = {key: planning.Costs(key) for key in experiment.known()
             if key in selected and experiment.load(key).grid.has(args.preset)}
    lines = []
    for key, cost in costs.items():
        for sheet in experiment.load(key).sheets(args.preset, args.seeds):
            for row in sheet.rows:
                for config in sheet.configs(row):
                    here, there = (state(config, args.preset, where) for where in ("local", "committed"))
                    lines.append([f"{key} {sheet.table.name}", row.key, config.corpus, str(config.seed), here,
                                  "" if here == "yes" else span(cost(config)), there])
    show(["table", "row", "corpus", "seed", "this machine", "takes", "committed"], lines)
    return 0


def state(config: runs.Config, preset: str, where: str) -> str:
    """``yes``, ``no``, ``damaged``, or how far an interrupted run came."""
    try:
        if runs.find(config, preset, where):
            return "yes"
        stopped = runs.interrupted(config) if where == "local" else None
    except WeaklibError:
        return "damaged"
    return f"interrupted at step {stopped.get('step')}" if stopped else "no"


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
