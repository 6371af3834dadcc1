"""weaklib.jobs with trainings of fractions of a second: processes are killed, and every run is there once."""
import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from weaklib import files, jobs, runs, training
from weaklib.files import WeaklibError

STEPS = 30


@dataclass(frozen=True)
class Toy(runs.Config):
    paper = "toy"
    revision = 1

    width: int = 3
    start: "Toy | None" = None

    def corpora(self):
        return []

    def needs(self):
        return [self.start] if self.start else []


def train(cfg, folder, *, device, show, pause=0.0):
    """Fit a line, with a checkpoint after every step; each step is written to the log that all processes share."""
    torch.manual_seed(cfg.seed)
    model = torch.nn.Sequential(torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 1))
    if cfg.start:
        model.load_state_dict(runs.trained(runs.find(cfg.start, "", "local"), "")[0])

    def draw(step):
        with open(os.environ["TOY_LOG"], "a") as log:
            log.write(f"{cfg.id} {step} {os.getpid()}\n")
        time.sleep(pause)
        return {"x": torch.randn(64, 3, generator=torch.Generator().manual_seed(1000 * cfg.seed + step))}

    def loss(net, batch):
        return (net(batch["x"]) - cfg.width * batch["x"].sum(1, keepdim=True)).square().mean()

    history = training.fit(model, draw, loss, training.Plan(steps=STEPS, warmup=2, validate_every=10, ema=0.9), folder,
                           seed=cfg.seed, device=device, save_every=0.0, desc=cfg.label, show=show)
    return {"error": [float(p.detach().square().sum()) for p in model.parameters()]}, history, model


def slowly(cfg, folder, *, device, show):
    return train(cfg, folder, device=device, show=show, pause=0.05)


def grid() -> list[Toy]:
    """Six runs: two that start from one, a chain of three, and three alone."""
    a = Toy("a")
    b = Toy("b", width=4, start=a)
    return [Toy("c", width=5, start=b), a, b, *(Toy("d", seed=s) for s in (1, 2, 3))]


@contextmanager
def home(folder: Path):
    """Another store, with a log of its own."""
    before = {name: os.environ.get(name) for name in ("WEAKLIB_HOME", "TOY_LOG")}
    folder.mkdir(exist_ok=True)
    os.environ |= {"WEAKLIB_HOME": str(folder / "home"), "TOY_LOG": str(folder / "log")}
    try:
        yield folder
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture
def store(tmp_path):
    with home(tmp_path / "mine") as folder:
        yield folder


def steps(folder: Path) -> list[tuple[str, int]]:
    """Every step that was taken, by whichever process."""
    return [(line.split()[0], int(line.split()[1])) for line in (folder / "log").read_text().splitlines()]


def results(configs) -> dict:
    """What the records of the store say, apart from when and where they were made."""
    found = {config.id: runs.find(config, "", "local") for config in configs}
    assert len(list(runs.local().glob("toy-*/record.json"))) == len(found) and all(found.values())
    for record in found.values():
        assert runs.trained(record, "")[0].keys() == {"0.weight", "1.weight", "1.bias"}  # whole, by their checksum
    return {name: (r.key, r.scores, r.history, r.weights) for name, r in found.items()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """One after the other, in this process."""
    with home(tmp_path_factory.mktemp("expected") / "one") as folder:
        outcome = jobs.work(grid(), device="cpu", n=1, trainer=train)
        assert sorted(outcome.trained) == sorted(c.id for c in grid()) and not outcome.failed and not outcome.left
        assert len(steps(folder)) == len(set(steps(folder))) == 6 * STEPS
        return results(grid())


def until(condition, seconds=180):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill_a_worker(folder: Path, at_step: int) -> threading.Thread:
    """Kill the first process that takes a certain step, once; returns the thread that waits for it."""
    def watch():
        log = folder / "log"
        until(lambda: log.exists() and re.search(rf" {at_step} \d+$", log.read_text(), re.M))
        os.kill(int(re.search(rf" {at_step} (\d+)$", log.read_text(), re.M)[1]), signal.SIGKILL)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


# On two workers

@pytest.mark.slow
def test_two_processes_of_this_machine_one_is_killed_and_the_records_are_the_same(store, expected):
    shown = {}
    killer = kill_a_worker(store, at_step=12)
    before = dict(os.environ)
    outcome = jobs.work(grid(), device="cpu", n=2, trainer=slowly,
                        show=lambda cfg: lambda history, _: shown.update({cfg.id: history}))
    killer.join()
    assert sorted(outcome.trained) == sorted(expected) and not outcome.failed and not outcome.left
    assert results(grid()) == expected
    assert len(steps(store)) <= 6 * STEPS + 1  # it went on from its checkpoint, of the step before
    processes = {line.split()[2] for line in (store / "log").read_text().splitlines()}
    assert 2 <= len(processes) <= 3 and str(os.getpid()) not in processes
    assert {name: history for name, (_, _, history, _) in expected.items()} == shown
    assert dict(os.environ) == before


@pytest.mark.slow
def test_processes_where_no_signal_can_be_blocked_and_no_resources_are_tracked(store, expected, monkeypatch):
    """As on Windows."""
    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(jobs, "resource_tracker", None)
    monkeypatch.setattr(jobs, "signal", SimpleNamespace(SIGINT=signal.SIGINT, signal=signal.signal))
    outcome = jobs.work(grid(), device="cpu", n=2, trainer=train)
    assert sorted(outcome.trained) == sorted(expected) and not outcome.failed and results(grid()) == expected


@contextmanager
def machines(folder: Path):
    """A Dask scheduler and two workers, each with a store of its own, as if they were machines of their own."""
    address, there = folder / "scheduler.json", []

    def start(module, *options, name):
        environment = {**os.environ, "WEAKLIB_HOME": str(folder / name), "OMP_NUM_THREADS": "1",
                       "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "DASK_LOGGING__DISTRIBUTED": "critical"}
        there.append(subprocess.Popen(
            [sys.executable, "-m", "distributed.cli." + module, "--scheduler-file", str(address), "--no-dashboard",
             "--host", "127.0.0.1", *options], env=environment, stderr=subprocess.DEVNULL))

    try:
        start("dask_scheduler", "--port", "0", "--dashboard-address", "127.0.0.1:0", name="scheduler")
        for name in ("one", "two"):
            start("dask_worker", "--no-nanny", "--nthreads", "1", "--death-timeout", "60", name=name)
        until(lambda: address.exists() and address.read_text().endswith("}"))
        yield json.loads(address.read_text())["address"]
    finally:
        for process in there:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_two_machines_without_a_common_folder_one_is_lost_and_the_records_are_the_same(store, expected):
    with machines(store) as address:
        killer = kill_a_worker(store, at_step=12)
        outcome = jobs.work(grid(), device="cpu", cluster=address, trainer=slowly)
        killer.join()
        assert sorted(outcome.trained) == sorted(expected) and not outcome.failed and not outcome.left
        assert results(grid()) == expected
        taken = steps(store)
        assert len(taken) < 7 * STEPS  # what the lost machine had of one run is lost with it
        # asked for again, the record comes from the machine that has it
        runs.forget(grid()[-1])
        assert jobs.train([grid()[-1]], device="cpu", cluster=address)[0].id == grid()[-1].id
        assert results(grid()) == expected and steps(store) == taken


def test_no_scheduler_is_one_sentence(store):
    with pytest.raises(WeaklibError, match="No Dask scheduler with a worker answers at nowhere; start `dask sched"):
        jobs.work(grid(), cluster="nowhere")


SCRIPT = """
import sys, test_jobs
from weaklib import jobs
if __name__ == "__main__":
    try:
        jobs.work(test_jobs.grid(), device="cpu", n=2, trainer=test_jobs.slowly)
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.slow
def test_ctrl_c_ends_every_process_without_a_word_and_keeps_what_was_done(store, expected):
    (store / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = subprocess.Popen([sys.executable, store / "script.py"], env=environment, start_new_session=True, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    until(lambda: (store / "log").exists() and len({pid for *_, pid in map(str.split, (store / "log").read_text(
        ).splitlines())}) == 2)
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does: all of them
    told = child.communicate(timeout=60)[0].splitlines()
    assert child.returncode == 130
    assert not [line for line in told if not re.match(r"[a-d]-s\d-\w{10}  0:|\d of 6 runs done", line)]
    until(lambda: not alive(child.pid))
    n = len(steps(store))
    assert 0 < n < 6 * STEPS
    jobs.work(grid(), device="cpu", n=1, trainer=train)
    assert results(grid()) == expected and len(steps(store)) <= 6 * STEPS + 2


def alive(group: int) -> bool:
    """Whether a process group has a process that is not only waiting to be buried."""
    out = subprocess.run(["ps", "-o", "stat=", "-g", str(group)], capture_output=True, text=True).stdout
    return any(not line.startswith("Z") for line in out.split())


# Killed again and again

def session() -> None:
    """What a process does that trains the grid."""
    torch.set_num_threads(1)
    with open(os.devnull, "w") as out:
        jobs.work(grid(), device="cpu", n=1, trainer=train, out=out)
    os._exit(0)


def forked(target) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=target)  # libraries are loaded: it begins at once
    process.start()
    return process


def test_twenty_kills_at_random_moments_lose_nothing_and_train_nothing_twice(store, expected):
    rng = random.Random(0)
    kills = 0
    while kills < 20:
        process = forked(session)
        process.join(rng.uniform(0.01, 0.25))
        if process.exitcode == 0:
            break
        process.kill()
        process.join()
        kills += 1
    final = forked(session)
    final.join(60)
    assert final.exitcode == 0 and kills >= 5  # how many it takes depends on how fast the machine is
    assert results(grid()) == expected
    taken = steps(store)
    assert len(set(taken)) == 6 * STEPS and len(taken) <= 6 * STEPS + kills


def test_two_processes_on_one_store_share_the_work(store, expected):
    both = [forked(session), forked(session)]
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert results(grid()) == expected
    assert len(steps(store)) == 6 * STEPS


# What goes wrong with one run

def test_a_full_disk_fails_one_run_and_those_that_start_from_it(store, expected, monkeypatch, capsys):
    real = os.replace

    def full(source, target):
        if "toy-a-" in str(target) and Path(target).name == runs.RECORD:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    outcome = jobs.work(grid(), device="cpu", n=1, trainer=train)
    c, a, b, *alone = (config.id for config in grid())
    assert sorted(outcome.trained) == sorted(alone) and not outcome.left
    assert outcome.failed.keys() == {a, b, c} and "No space left on device" in outcome.failed[a]
    assert outcome.failed[c].startswith(f"It needs {a}, which failed: Cannot write")
    assert a in capsys.readouterr().out
    monkeypatch.setattr(jobs, "_trainer", train)
    with pytest.raises(WeaklibError, match="No space left"):
        jobs.train(grid(), n=1, device="cpu")
    monkeypatch.undo()
    taken = steps(store)
    jobs.work(grid(), device="cpu", n=1, trainer=train)
    assert results(grid()) == expected
    assert (a, STEPS - 1) in taken and steps(store)[len(taken):] == [(x, i) for x in (b, c) for i in range(STEPS)]


def test_a_bug_is_told_with_its_place_and_the_others_go_on(store, capsys):
    def broken(cfg, folder, *, device, show):
        return 1 / 0 if cfg.label == "a" else train(cfg, folder, device=device, show=show)

    outcome = jobs.work(grid(), device="cpu", n=1, trainer=broken)
    assert len(outcome.trained) == 3 and outcome.failed[Toy("a").id] == "ZeroDivisionError: division by zero"
    assert "in broken" in capsys.readouterr().out


def test_a_run_that_its_worker_stops_is_begun_again(store, expected):
    stopped = []

    def leaving(cfg, folder, *, device, show):
        if cfg.label == "a" and not stopped:
            stopped.append(cfg)
            raise jobs.Stopped
        return train(cfg, folder, device=device, show=show)

    outcome = jobs.work(grid(), device="cpu", n=1, trainer=leaving)
    assert stopped and not outcome.failed and not outcome.left and results(grid()) == expected


def test_a_record_of_an_older_revision_is_kept_and_not_taken(store, monkeypatch, capsys):
    old, = jobs_of(Toy("a"))
    text = (old.folder / runs.RECORD).read_bytes()
    monkeypatch.setattr(Toy, "revision", 2)
    new, = jobs_of(Toy("a"))
    assert new.id != old.id and new.key["revision"] == 2 and (old.folder / runs.RECORD).read_bytes() == text
    assert "revision 1 -> 2" in capsys.readouterr().out


def jobs_of(*configs):
    jobs.work(configs, device="cpu", n=1, trainer=train)
    return [runs.find(config, "", "local") for config in configs]


def test_what_comes_from_another_version_is_refused(store):
    record, = jobs_of(Toy("a"))
    other = replace(Toy("a"), width=9)
    with pytest.raises(WeaklibError, match="came from another version of weaklib"):
        runs.receive(runs.parcel(record), other)
    assert not runs.find(other, "", "local")


def test_a_clock_that_jumps_changes_no_duration(store, monkeypatch):
    real, jumps = time.time, iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: real() - 3600 * next(jumps))
    began = time.monotonic()
    record, = jobs_of(Toy("a"))
    assert 0 <= record.provenance["seconds"] <= time.monotonic() - began + 0.1


def test_seconds_are_those_of_all_starts(store):
    class Enough(Exception):
        pass

    def stops(cfg, folder, *, device, show):
        def stop(*_):
            raise Enough
        train(cfg, folder, device=device, show=stop, pause=0.05)

    jobs.work([Toy("a")], device="cpu", n=1, trainer=stops)
    spent = runs.interrupted(Toy("a"))
    assert spent["step"] == 9 and spent["seconds"] >= 0.45  # stopped after the tenth, before its checkpoint
    record, = jobs_of(Toy("a"))
    assert record.provenance["seconds"] >= spent["seconds"]


def test_a_second_kill_before_the_next_checkpoint_costs_nothing_of_the_history(store, expected):
    run = grid()[1]  # a

    def killed(at: int, save_every: float):
        def draw_until(cfg, folder, *, device, show):
            real = training.fit
            training.fit = lambda model, draw, *rest, **options: real(
                model, lambda step: os._exit(9) if step == at else draw(step), *rest,
                **{**options, "save_every": save_every})
            return train(cfg, folder, device=device, show=show)

        process = forked(lambda: jobs.work([run], device="cpu", n=1, trainer=draw_until))
        process.join(60)
        assert process.exitcode == 9

    killed(at=14, save_every=0.0)
    killed(at=17, save_every=1e9)  # nor the next validation
    jobs.work([run], device="cpu", n=1, trainer=train)
    assert results([run])[run.id] == expected[run.id]
    assert [step for _, step in steps(store)] == [*range(14), *range(14, 17), *range(14, STEPS)]


def test_fresh_trains_again_what_is_asked_for_and_nothing_else(store, expected):
    jobs.work(grid(), device="cpu", n=1, trainer=train)
    n = len(steps(store))
    jobs.work([grid()[2]], device="cpu", n=1, trainer=train, fresh=True)
    assert steps(store)[n:] == [(grid()[2].id, i) for i in range(STEPS)]
    assert results(grid()) == expected


def test_two_names_of_one_run_train_once(store):
    first, second = jobs_of(Toy("a"), Toy("another name"))
    assert first == second and len(steps(store)) == STEPS


# Within a budget

def test_a_budget_stops_and_the_next_one_goes_on(store, expected):
    left = None
    for _ in range(60):
        began = time.monotonic()
        outcome = jobs.work(grid(), device="cpu", n=1, trainer=partial(train, pause=0.01), budget=0.4)
        assert time.monotonic() - began < 20 and not outcome.failed
        assert left is None or len(outcome.left) <= left
        left = len(outcome.left)
        if not left:
            break
    assert results(grid()) == expected
    assert len(steps(store)) == 6 * STEPS  # a run is stopped between two steps, after the checkpoint


# What is told

def test_progress_has_a_line_for_the_run_and_one_for_all(store):
    class Terminal:
        text = ""

        def isatty(self):
            return True

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    terminal = Terminal()
    jobs.work([Toy("a"), Toy("b", start=Toy("a"))], device="cpu", n=1, trainer=partial(train, pause=0.03),
              out=terminal)
    assert re.search(r"a-s0-\w{10}  0:0\d  a \d+/30\n0 of 2 runs done, 1 under way, about 0:\d\d left", terminal.text)
    assert re.search(r"b-s0-\w{10}  0:0\d  b \d+/30\n1 of 2 runs done, 1 under way, about 0:0\d left", terminal.text)
    assert terminal.text.endswith("\r\033[1A\033[J")  # nothing stays


@pytest.mark.slow
def test_a_script_without_its_guard_gets_a_sentence(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from tests.test_jobs import Toy, train\nfrom weaklib import jobs\n"
                      "jobs.work([Toy('a'), Toy('b', seed=1)], n=2, trainer=train)\n")
    root = str(Path(__file__).parents[1])
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120,
                          env=os.environ | {"PYTHONPATH": root, "WEAKLIB_HOME": str(tmp_path / "home")})
    assert done.returncode == 1
    assert "WeaklibError: The workers did not start" in done.stderr and "__main__" in done.stderr


def test_a_core_that_somebody_else_keeps_busy_is_left_alone(monkeypatch):
    """On a core that is shared, a run takes twice as long."""
    import dask.system
    import distributed.system
    import psutil
    monkeypatch.setattr(training, "resolve", lambda device: "cpu")
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 16 if logical else 8)
    monkeypatch.setattr(dask.system, "CPU_COUNT", 16)
    monkeypatch.setattr(distributed.system, "MEMORY_LIMIT", 64e9)

    def at(percent):
        monkeypatch.setattr(psutil, "cpu_percent", lambda interval: percent)
        return jobs.default()

    assert [at(percent) for percent in (0.0, 2.0, 100 / 16, 50.0, 100.0)] == [8, 8, 7, 1, 1]
    monkeypatch.setattr(distributed.system, "MEMORY_LIMIT", 8e9)
    assert at(0.0) == 3
