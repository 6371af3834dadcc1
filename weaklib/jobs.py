"""Runs side by side: one process and one thread for each, what a run starts from before it, each of them once.

On one machine the processes belong to a local cluster of Dask's `distributed`, whose servers listen on the loopback
only; with the address of a scheduler they may be anywhere. No folder is shared: records and weights come back to this
machine's store, and the weights that a run starts from travel to it. A worker that dies is replaced, and its run goes
on from its checkpoint. Few or short runs are not worth new processes: they are done one by one in this one.

Contents
--------
train
    The records of configs, trained now where there are none: what a notebook calls.
work, Outcome
    The same for the command line: within a budget, and with what failed and what was left.
default, width, cores
    How many runs at a time, and on how many cores.
"""
from __future__ import annotations

import contextlib
import io
import logging
import math
import os
import queue
import signal
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import current_process, resource_tracker

from weaklib import files, planning, progress, runs
from weaklib.files import WeaklibError
from weaklib.planning import Agenda, Task

WORTH = 60.0        # s of expected work; less is done before new processes have begun
MEMORY = 2.5e9      # bytes that a run may take
LOOK = 1.0          # s for which it is seen how busy the cores are
DEATHS = 3          # of its worker, after which a run is given up
TELL = 0.5          # s between two reports of a run
RENDER = 5.0        # s that a split of a corpus is expected to take
GPU = "GPU"         # the resource of a Dask worker that has one
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class Stopped(Exception):
    """Raised within a run that is to end."""


@dataclass
class Outcome:
    """What became of runs, by their ids: trained now, failed (with why), or left for another time."""

    trained: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def train(configs: Iterable[runs.Config], *, device: str = "auto", fresh: bool = False, show: Callable | None = None,
          n: int | None = None, cluster: str | None = None) -> list[runs.Record]:
    """Return the local records of configs, training now what is not there, and before it what it starts from.

    Parameters
    ----------
    configs : iterable of Config
    device : {"auto", "cpu", "cuda"}
    fresh : bool
        Train again what has been trained (but not what it starts from, unless that is among the configs).
    show : callable, optional
        ``show(config)`` -> what is called after each validation of that run, as `weaklib.training.fit` calls its own
        `show`; such as a `weaklib.plots.Live`.
    n : int, optional
        Runs at a time; see `default`.
    cluster : str, optional
        Address of a Dask scheduler, ``tcp://host:port``, in place of processes of this machine.

    Raises
    ------
    WeaklibError
        If a run failed; the others have been done.
    """
    configs = list(configs)
    outcome = work(configs, device=device, fresh=fresh, show=show, n=n, cluster=cluster)
    for name, why in outcome.failed.items():
        raise WeaklibError(f"{name}: {why}")
    return [runs.find(config, "", "local") for config in configs]


def work(configs: Iterable[runs.Config], *, device: str = "auto", fresh: bool = False, show: Callable | None = None,
         n: int | None = None, cluster: str | None = None, budget: float = math.inf,
         gains: dict[str, float] | None = None, trainer: Callable | None = None, out=None) -> Outcome:
    """Do what `train` does, as far as the time goes, and say what became of every run.

    Parameters
    ----------
    configs, device, fresh, show, n, cluster
        As of `train`.
    budget : float, s
        Only what is expected to end within this time is begun, and what has not ended then is stopped, to be gone on
        with another time. If nothing at all ends within it, the most valuable run is taken as far as it comes.
    gains : dict of str to float, optional
        What each run is worth, by its digest; the most valuable ones come first. See `weaklib.planning.gains`.
    trainer : callable, optional
        ``trainer(config, folder, device=, show=)`` in place of the `train` of the config's experiment.
    out : file, optional
        Where progress is reported; see `weaklib.progress.Screen`.
    """
    configs = list(configs)
    if fresh:
        _forget(configs)
    todo = planning.open_runs(configs)
    if not todo:
        return Outcome()
    tasks = planning.tasks(todo, gains)
    n = 1 if cluster else width(tasks, device) if n is None else min(n, len(tasks))
    grid = _Grid(todo, tasks, trainer or _trainer, device, show, budget, progress.Screen(out))
    engine = _Cluster(cluster, device) if cluster else _Local(n, device) if n > 1 else _Here(grid)
    with contextlib.closing(grid.screen), engine:
        if fresh:
            engine.everywhere(_forget, configs)
        return grid.work(engine)


def default(device: str = "auto") -> int:
    """How many runs this machine takes at a time: one per GPU, or per physical core that nobody else keeps busy.

    There is always one, and never more than the memory is enough for. On a core that is shared a run takes twice as
    long, and whatever else runs there is slowed down, too.
    """
    import psutil
    from distributed.system import MEMORY_LIMIT

    from weaklib import training
    if training.resolve(device) == "cuda":
        import torch
        return torch.cuda.device_count()
    busy = round(psutil.cpu_percent(interval=LOOK) / 100 * (psutil.cpu_count() or cores()))
    return max(1, min(cores() - busy, int(MEMORY_LIMIT / MEMORY)))


def cores() -> int:
    """Physical cores that this process may use."""
    import psutil
    from dask.system import CPU_COUNT
    return min(psutil.cpu_count(logical=False) or CPU_COUNT, CPU_COUNT)


def width(tasks: list[Task], device: str = "auto") -> int:
    """How many at a time are worth while for these tasks: one, if they are few or short."""
    if len(tasks) == 1 or sum(task.seconds for task in tasks) < WORTH:
        return 1
    return min(default(device), len(tasks))


def _forget(configs) -> None:
    for config in configs:
        runs.forget(config)


def _trainer(config, folder, *, device, show):
    from weaklib import experiment
    return experiment.load(config.paper).train(config, folder, device=device, show=show)


# The grid, from where it is watched

@dataclass
class _Job:
    """What is known here of a task that is under way."""

    label: str
    seconds: float               # that it was expected to take
    began: float = field(default_factory=time.monotonic)
    loop: tuple = ("", 0, 0)     # what it reports: description, done, total
    since: tuple = (0, 0.0)      # how many were done when that was first reported, and when

    def tell(self, desc: str, done: int, total: int) -> None:
        if (desc, total) != (self.loop[0], self.loop[2]):
            self.since = (done, time.monotonic())
        self.loop = (desc, done, total)

    def left(self) -> float:
        """Seconds that it will still take, by its own pace as soon as it has one."""
        (_, done, total), (first, then), now = self.loop, self.since, time.monotonic()
        if done - first > 0.02 * total:
            return (now - then) / (done - first) * (total - done)
        return max(0.0, self.seconds - (now - self.began))

    def line(self) -> str:
        desc, done, total = self.loop
        return f"{self.label}  {progress.clock(time.monotonic() - self.began)}  " + (f"{desc} {done}/{total}" if desc
                                                                                     else "")


class _Grid:
    """Hands tasks to an engine in the order of an agenda, and puts what comes back into the store."""

    def __init__(self, todo, tasks, trainer, device, show, budget, screen):
        self.todo, self.tasks, self.trainer, self.device, self.screen = todo, tasks, trainer, device, screen
        self.show, self.shows, self.splits, self.jobs = show, {}, {}, {}
        self.outcome, self.began, self.budget = Outcome(), time.monotonic(), budget

    def work(self, engine) -> Outcome:
        if engine.renders:
            self.splits = _splits(self.todo.values())
            self.tasks = [Task(name, RENDER) for name in self.splits] + [
                replace(task, needs=task.needs | _splits([self.todo[task.name]]).keys()) for task in self.tasks]
        self.agenda = Agenda({task.name: task for task in self.tasks})
        while True:
            self._begin(engine)
            if not self.agenda.running:
                break
            for event in engine.events():
                self.handle(*event)
            self.screen.show(self.lines)
            if self.remaining() < 0:
                engine.stop()
                break
        over = {*self.outcome.trained, *self.outcome.failed}
        self.outcome.left = [config.id for config in self.todo.values() if config.id not in over]
        return self.outcome

    def remaining(self) -> float:
        """Seconds of the budget that are left."""
        return self.budget - (time.monotonic() - self.began)

    def _begin(self, engine) -> None:
        """Fill the engine's free places."""
        while len(self.agenda.running) < engine.slots():
            task = self.agenda.next(self.remaining())
            if not task and not (self.agenda.running or self.outcome.trained) and self.remaining() > 0:
                task = self.agenda.next()  # it is longer than the budget, and goes on next time
            if not task:
                return
            if task.name in self.splits:
                self.jobs[task.name] = _Job(task.name, task.seconds)
                engine.begin(task.name, _render, self.splits[task.name])
            else:
                config = self.todo[task.name]
                self.jobs[task.name] = _Job(config.id, task.seconds)
                given = [(need, runs.parcel(runs.find(need, "", "local"))) for need in config.needs()
                         ] if engine.remote else []
                engine.begin(task.name, _run, (config, task.name, self.trainer, self.device, given))

    def handle(self, event: str, name: str, *what) -> None:
        """Take in what happened to a task."""
        if name not in self.jobs:
            return  # told late
        job = self.jobs[name]
        if event == "told":
            job.tell(*what)
            self.screen.show(self.lines)
        elif event == "history":
            if self.show and name not in self.shows:
                self.shows[name] = self.show(self.todo[name])
            if self.shows.get(name):
                entries, *others = what
                self.shows[name](list(entries), *others)
        else:
            del self.jobs[name]
            sent, why, said = what
            if said:
                self.screen.say(said)
            if event == "done" and name in self.todo:
                try:
                    runs.receive(sent, self.todo[name])
                    self.outcome.trained.append(self.todo[name].id)
                except WeaklibError as e:
                    event, why = "failed", str(e)
            if event == "done":
                self.agenda.finish(name)
            elif event == "failed":
                self._fail(name, job.label, why)
            else:  # stopped, by its worker if not by the budget
                self.agenda.put_back(name)

    def _fail(self, name: str, label: str, why: str) -> None:
        self.screen.say(f"{label}: {why}")
        if name in self.todo:
            self.outcome.failed[label] = why
        for after in self.agenda.fail(name):
            self.outcome.failed.setdefault(self.todo[after].id, f"It needs {label}, which failed: {why}")

    def lines(self) -> list[str]:
        """One line per task that is under way, and one for all."""
        failed = f", {len(self.outcome.failed)} failed" if self.outcome.failed else ""
        return [*(job.line() for job in self.jobs.values()),
                f"{len(self.outcome.trained)} of {len(self.todo)} runs done{failed}, {len(self.jobs)} under way, about "
                f"{progress.clock(self.left())} left"]

    def left(self) -> float:
        """Seconds until the last of what can be done within the budget has been done."""
        budget = max(0.0, self.remaining())
        running = [Task(name, min(job.left(), budget), gain=math.inf) for name, job in self.jobs.items()]
        waiting = [replace(task, needs=task.needs - self.agenda.done) for name in self.agenda.waiting
                   for task in [self.agenda.tasks[name]]]
        spans = planning.simulate(running + waiting, max(1, len(running)), budget)
        return max((end for _, end in spans.values()), default=0.0)


def _splits(configs) -> dict[str, tuple]:
    """Splits of the rendered corpora that runs depend on: name -> what `corpora.load` is given."""
    from weaklib import corpora
    return {f"{corpus['name']}, {split}, {corpus['preset']}": (corpus["name"], split, corpus["preset"])
            for config in configs for corpus in config.corpora() if corpus["name"] in corpora.MODULES
            for split in corpora.SPLITS}


# A task, where it is done

def _run(tell, config, digest, trainer, device, given) -> dict:
    """Train a run from the weights that it is given, and send it back."""
    if config.digest != digest:
        raise WeaklibError("This worker has another version of weaklib; install the same one everywhere.")
    for need, sent in given:
        runs.receive(sent, need)
    return runs.parcel(runs.get(config, partial(trainer, device=device, show=partial(tell, "history"))))


def _render(tell, name, split, preset) -> None:
    from weaklib import corpora
    corpora.load(name, split, preset)


def _perform(function, args, tell) -> tuple:
    """Do a task: (event, what came out, why it failed, what it printed)."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), progress.told(partial(tell, "told")):
            out = function(tell, *args)
        return "done", out, "", said.getvalue().strip()
    except Stopped:
        return "stopped", None, "", ""
    except WeaklibError as e:
        return "failed", None, str(e), said.getvalue().strip()
    except Exception as e:  # of any kind: one run must not take the others with it
        return "failed", None, f"{type(e).__name__}: {e}", said.getvalue() + traceback.format_exc()


_alone = threading.Lock()  # a process has one stdout, and torch one source of random numbers


def _perform_there(function, args, name, topic) -> tuple:
    """Do a task on a Dask worker, reporting on it under a topic; it ends when nobody wants it any more."""
    from distributed import Status, get_worker
    worker, told = get_worker(), -math.inf
    key = worker.get_current_task()

    def tell(event, *what):
        nonlocal told
        task = worker.state.tasks.get(key)
        if not task or task.state == "cancelled" or worker.status != Status.running:
            raise Stopped
        if event != "told" or what[1] == what[2] or time.monotonic() - told > TELL:
            told = time.monotonic()
            worker.log_event(topic, [event, name, *what])

    with _alone, contextlib.redirect_stderr(io.StringIO()):  # warnings, which would write over the progress
        return _perform(function, args, tell)


# Engines: where tasks are done

class _Here(contextlib.nullcontext):
    """One by one, in this process."""

    remote, renders = False, False

    def __init__(self, grid):
        super().__init__()
        self.grid = grid

    def slots(self) -> int:
        return 1

    def everywhere(self, function, *args) -> None:
        pass  # here it has been done

    def begin(self, name, function, args) -> None:
        def tell(event, *what):
            self.grid.handle(event, name, *what)
            if event == "told" and self.grid.remaining() < 0:  # after a step, and so after its checkpoint
                raise Stopped

        event, *what = _perform(function, args, tell)
        self.grid.handle(event, name, *what)

    def events(self) -> list:
        return []

    def stop(self) -> None:
        pass


class _Cluster:
    """On the workers of a Dask scheduler somewhere."""

    remote, renders = True, False

    def __init__(self, address: str, device: str):
        self.address, self.device = address, device
        self.futures, self.happened = {}, queue.SimpleQueue()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(_quiet())
            with _uninterrupted():
                self._open(stack)
            self.topic = f"weaklib-{self.client.id}"
            self.client.subscribe_topic(self.topic, lambda event: self.happened.put(event[1]))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error) -> None:
        with _uninterrupted():
            self._stack.close()

    def _open(self, stack) -> None:
        from distributed import Client
        try:
            self.client = stack.enter_context(Client(self.address, timeout="20s", set_as_default=False))
            self.client.wait_for_workers(1, timeout=60)
        except (OSError, TimeoutError, ValueError) as e:
            raise WeaklibError(f"No Dask scheduler with a worker answers at {self.address}; start `dask scheduler` and "
                               "`dask worker`, or leave --cluster out.") from e
        self.gpu = self.device == "cuda" or self.device == "auto" and any(
            GPU in worker["resources"] for worker in self._workers())

    def _workers(self) -> list[dict]:
        return list(self.client.scheduler_info(n_workers=-1)["workers"].values())

    def slots(self) -> int:
        return max(1, sum(not self.gpu or GPU in worker["resources"] for worker in self._workers()))

    def everywhere(self, function, *args) -> None:
        """Call a function on every worker."""
        self.client.run(function, *args)

    def begin(self, name, function, args) -> None:
        future = self.client.submit(
            _perform_there, function, args, name, self.topic, key=f"{name}-{uuid.uuid4().hex}", pure=False,
            retries=DEATHS, resources={GPU: 1} if self.gpu else None)
        self.futures[name] = future
        future.add_done_callback(lambda future: self.happened.put((None, name)))

    def events(self):
        """What has happened, as soon as there is something, or nothing after a while."""
        with contextlib.suppress(queue.Empty):
            wait = TELL
            while True:
                event, name, *what = self.happened.get(timeout=wait)
                if event:
                    yield event, name, *what
                elif name in self.futures:
                    event, *what = self._ended(self.futures.pop(name))
                    yield event, name, *what
                wait = 0.001

    def _ended(self, future) -> tuple:
        from distributed import KilledWorker
        try:
            return future.result()
        except KilledWorker:
            return "failed", None, "Its worker died again and again; the usual reason is too little memory.", ""
        except Exception as e:
            return "failed", None, f"The cluster failed ({type(e).__name__}: {e}).", ""

    def stop(self) -> None:
        self.client.cancel(list(self.futures.values()), force=True)


class _Local(_Cluster):
    """On `n` processes of this machine, in a cluster that is there as long as this."""

    remote, renders = False, True

    def __init__(self, n: int, device: str):
        super().__init__("", device)
        self.n = n

    def _open(self, stack) -> None:
        import dask
        from distributed import Client, LocalCluster, Nanny

        from weaklib import training
        self.gpu = training.resolve(self.device) == "cuda"
        n_gpus = default(self.device)

        class Keeper(Nanny):
            def __init__(nanny, *args, name=0, **options):
                env = {"CUDA_VISIBLE_DEVICES": str(int(name) % n_gpus)} if self.gpu else None
                super().__init__(*args, name=name, env=env, **options)

            async def instantiate(nanny):
                # What this thread blocks, the processes that it starts do: ctrl-C is for the one that watches.
                if hasattr(signal, "pthread_sigmask"):
                    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
                return await super().instantiate()

        if not files.WINDOWS:  # which has none
            resource_tracker.ensure_running()  # at its start it would let the signal through again
        stack.callback(_restore, dict(os.environ))  # a nanny changes the environment of its own process too
        stack.enter_context(dask.config.set({
            "distributed.nanny.pre-spawn-environ": {**runs.ENVIRONMENT, **THREADS,
                                                    "DASK_LOGGING__DISTRIBUTED": "critical"},
            "distributed.scheduler.allowed-failures": DEATHS}))
        if getattr(current_process(), "_inheriting", False):  # a worker that runs the script instead of reading it
            sys.exit()
        try:
            cluster = stack.enter_context(LocalCluster(
                n_workers=self.n, threads_per_worker=1, worker_class=Keeper, host="127.0.0.1", memory_limit=0,
                resources={GPU: 1} if self.gpu else None, silence_logs=logging.CRITICAL, dashboard_address=None,
                scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"}))
        except RuntimeError as e:
            raise WeaklibError("The workers did not start; every one of them imports the script that asks for them, so "
                               "put what it does under `if __name__ == '__main__':`, or give n=1.") from e
        self.client = stack.enter_context(Client(cluster, set_as_default=False))

    def slots(self) -> int:
        return self.n


def _restore(environ: dict) -> None:
    for name in os.environ.keys() - environ.keys():
        del os.environ[name]
    os.environ.update(environ)


@contextlib.contextmanager
def _quiet():
    """Keep to itself what Dask logs; what goes wrong with a run is said here."""
    import distributed  # noqa: F401  sets its loggers up
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


@contextlib.contextmanager
def _uninterrupted():
    """Let ctrl-C wait until the block is over: half a cluster does not close well."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = []
    before = signal.signal(signal.SIGINT, lambda *_: came.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt
