"""Which runs of a grid are worth what, take how long, and come next.

The value of a run is what its rows say: a headline row counts more than a row that a claim compares, and that more than
any other; a first seed counts more than all later ones. What it takes is read from records of the same run, or of the
same row with another seed, or else reckoned from its steps.

Contents
--------
gains
    What each run adds to the tables of a paper.
open_runs
    Those that have no record yet, and those without one that they start from.
Costs
    How long a run will take.
Task, tasks, Agenda
    Things to be done once, some before others, and which comes next.
simulate
    When each would begin and end.
"""
from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from weaklib import experiment, files, runs
from weaklib.claims import compared
from weaklib.files import WeaklibError

#: Value of a row; see the module. A later seed is worth `LATER` as much as the one before.
HEADLINE, CLAIMED, OTHER = 4.0, 2.0, 1.0
LATER = 0.1
#: Seconds of a training step, and of all else in a run, where nothing better is known.
STEP, BESIDES = 0.1, 5.0
TWO_THREADS = 1.45  # runs had two threads once; with one they take this much longer (see benchmarks/jobs.py)


# What there is to do

def gains(paper: str, preset: str, seeds: int | None = None) -> dict[str, float]:
    """What each run of a paper's tables is worth, by its digest: the sum over the rows that it fills."""
    loaded, worth = experiment.load(paper), {}
    claimed = {cell.row for cell in compared(loaded.grid.claims)}
    for sheet in loaded.sheets(preset, seeds):
        for row in sheet.rows:
            value = HEADLINE if row.headline else CLAIMED if row.key in claimed else OTHER
            for config in sheet.configs(row):
                worth[config.digest] = worth.get(config.digest, 0.0) + value * LATER ** config.seed
    return worth


def open_runs(configs: Iterable[runs.Config], fresh: bool = False) -> dict[str, runs.Config]:
    """The runs that have no local record, each after those without one that it starts from, by digest.

    Parameters
    ----------
    configs : iterable of Config
    fresh : bool
        Whether the configs themselves, though not what they start from, count as if they had none.
    """
    configs, found = list(configs), {}
    again = {config.digest for config in configs} if fresh else ()

    def add(config):
        if config.digest not in found and (config.digest in again or not runs.look(config, "", "local")):
            for need in config.needs():
                add(need)
            found[config.digest] = config

    for config in configs:
        add(config)
    return found


# How long it takes

class Costs:
    """How long runs take, by the records that there are, and by the checkpoints of runs that were stopped; local
    records count before committed ones.

    Parameters
    ----------
    paper : str
    gpu : bool, optional
        Whether runs are made with a GPU; by default they are if there is one here. Only records of such runs count.
    """

    def __init__(self, paper: str, gpu: bool | None = None):
        from weaklib import training
        here = training.resolve("auto") == "cuda"
        gpu = here if gpu is None else gpu
        self._here = gpu == here
        committed = runs.undamaged(files.results().glob(f"*/{paper}/runs/*.json"))
        self._same: dict[str, list[float]] = {}    # the run whatever its seed -> seconds
        self._pace: dict[str, list[float]] = {}    # the network and the batch -> seconds per step
        for records in (committed, runs.kept(paper)):  # the later ones take the place of the others
            same: dict[str, list[float]] = {}
            pace: dict[str, list[float]] = {}
            for record in records:
                config, made = record.key["config"], record.provenance
                if "seconds" not in made or made.get("gpu", False) != gpu:
                    continue
                seconds = made["seconds"] * (TWO_THREADS if made.get("threads", 1) > 1 else 1.0)
                same.setdefault(_seedless(record.key), []).append(seconds)
                if steps := _steps(config):
                    pace.setdefault(_like(config), []).append(seconds / steps)
            self._same |= same
            self._pace |= pace

    def learn(self, configs: Iterable[runs.Config]) -> None:
        """Take the pace of stopped runs for that of all with the same network and batch, where no record tells it."""
        known = set(self._pace)
        for config in configs if self._here else ():
            done, like = _checkpoint(config), _like(config.key()["config"])
            if done and done.get("step") and done.get("seconds") and like not in known:
                self._pace.setdefault(like, []).append(done["seconds"] / done["step"])

    def measured(self, config: runs.Config) -> bool:
        """Whether the time of a run is known from another one, and not guessed."""
        key = config.key()
        return _seedless(key) in self._same or _like(key["config"]) in self._pace or not self._n_steps(config)

    def __call__(self, config: runs.Config) -> float:
        """Seconds that a run will take from where it stands, on one core that it has for itself."""
        key, steps = config.key(), self._n_steps(config)
        seconds = (median(self._same[_seedless(key)]) if _seedless(key) in self._same else
                   BESIDES + steps * median(self._pace.get(_like(key["config"]), [STEP])))
        done = _checkpoint(config)
        if steps and done and done.get("step"):
            per_step = done.get("seconds", 0.0) / done["step"] or seconds / steps
            return BESIDES + per_step * max(0, steps - done["step"])
        return seconds

    def _n_steps(self, config: runs.Config) -> int:
        return 0 if config.label.endswith("input_mixture") else _steps(config.key()["config"]) or 0


def _checkpoint(config) -> dict | None:
    try:
        return runs.interrupted(config)
    except WeaklibError:  # damaged; the run itself will say so
        return None


def _steps(config: dict) -> int | None:
    return (config.get("plan") or {}).get("steps")


def _seedless(key: dict) -> str:
    def strip(x):
        if isinstance(x, dict):
            return {name: strip(value) for name, value in x.items() if name != "seed"}
        return [strip(value) for value in x] if isinstance(x, list) else x

    return repr(strip(key))


def _like(config: dict) -> str:
    return repr([config.get(name) for name in ("net", "batch", "stage")])


# What comes next

@dataclass(frozen=True)
class Task:
    """Something to be done once.

    Attributes
    ----------
    name : str
    seconds : float
        That it will take.
    needs : frozenset of str
        Names of the tasks that must be done before.
    gain : float
        What it is worth; what is needed by others counts as much as the best of them.
    """

    name: str
    seconds: float
    needs: frozenset[str] = frozenset()
    gain: float = 0.0


def tasks(todo: dict[str, runs.Config], worth: dict[str, float] | None = None, gpu: bool | None = None) -> list[Task]:
    """The runs that `open_runs` found as tasks, by their digests; without `gains` each is worth as much.

    `gpu` is that of `Costs`.
    """
    costs = {paper: Costs(paper, gpu) for paper in {config.paper for config in todo.values()}}
    for cost in costs.values():
        cost.learn(todo.values())
    return [Task(digest, costs[config.paper](config),
                 frozenset(need.digest for need in config.needs() if need.digest in todo),
                 1.0 if worth is None else worth.get(digest, 0.0)) for digest, config in todo.items()]


@dataclass
class Agenda:
    """Tasks, and which of them comes next: the one that leads to the largest gain, then the one with the longest way
    still to go behind it.
    """

    tasks: dict[str, Task]
    waiting: set[str] = field(init=False)
    running: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)

    def __post_init__(self):
        self.waiting = set(self.tasks)
        self._after: dict[str, list[str]] = {name: [] for name in self.tasks}
        for task in self.tasks.values():
            for need in task.needs:
                self._after[need].append(task.name)
        self._way: dict[str, float] = {}

    def next(self, left: float = math.inf) -> Task | None:
        """Take the next task whose gain can be had within `left` seconds; None if there is none now."""
        ready = [self.tasks[name] for name in self.waiting if self.tasks[name].needs <= self.done]
        worth = {task.name: self._worth(task, left) for task in ready}
        able = [task for task in ready if worth[task.name] is not None]
        if not able:
            return None
        best = max(able, key=lambda task: (worth[task.name], self._length(task), task.name))
        self.waiting.remove(best.name)
        self.running.add(best.name)
        return best

    def finish(self, name: str) -> None:
        """Say that a task has been done."""
        self.running.discard(name)
        self.done.add(name)

    def put_back(self, name: str) -> None:
        """Say that a task was stopped, and is to be done another time."""
        self.running.discard(name)
        self.waiting.add(name)

    def fail(self, name: str) -> list[str]:
        """Say that a task has failed; returns the names of those that can now never be done."""
        self.running.discard(name)
        lost = [after for after in self._after[name] if after in self.waiting]
        self.waiting -= set(lost)
        return lost + [more for after in lost for more in self.fail(after)]

    def _worth(self, task: Task, left: float) -> float | None:
        """Largest gain that this task leads to within the time; None if there is not enough even for the task."""
        left -= task.seconds
        if left < 0:
            return None
        behind = [self._worth(self.tasks[name], left) for name in self._after[task.name] if name in self.waiting]
        gain = max([task.gain, *(worth for worth in behind if worth is not None)])
        return gain if gain > 0 or left == math.inf else None

    def _length(self, task: Task) -> float:
        """Seconds of the longest chain of tasks that begins with this one."""
        if task.name not in self._way:
            self._way[task.name] = task.seconds + max((self._length(self.tasks[name])
                                                       for name in self._after[task.name]), default=0.0)
        return self._way[task.name]


def simulate(tasks: Iterable[Task], slots: int, budget: float = math.inf) -> dict[str, tuple[float, float]]:
    """Return when each task would begin and end, in seconds, with `slots` at a time; within a budget, perhaps not all.
    """
    agenda, now, spans, ends = Agenda({task.name: task for task in tasks}), 0.0, {}, []
    while True:
        while len(ends) < slots and (task := agenda.next(budget - now)):
            spans[task.name] = (now, now + task.seconds)
            heapq.heappush(ends, (now + task.seconds, task.name))
        if not ends:
            return spans
        now, name = heapq.heappop(ends)
        agenda.finish(name)
