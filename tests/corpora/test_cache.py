"""The store of rendered folders: whole or not at all, whatever happens meanwhile."""
import multiprocessing
import os
import shutil
import time
from collections import namedtuple

import numpy as np
import pytest

from weaklib.corpora import cache
from weaklib.files import WeaklibError

KEY = {"corpus": "test", "version": 1}


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    monkeypatch.setattr(cache, "_checked", set())  # as a new process has it
    return tmp_path


def forget():
    cache._checked.clear()


def make(path):
    (path / "sub").mkdir()
    np.save(path / "sub" / "x.npy", np.arange(10))


def build_slowly(home):
    """Leave a line in a log, and take a second: run by two processes at once."""
    os.environ["WEAKLIB_HOME"] = str(home)

    def slow(path):
        with open(home / "log", "a") as f:
            f.write("built\n")
        time.sleep(1)
        make(path)

    assert cache.fault(cache.folder(KEY, slow)) is None


def die_halfway(home):
    os.environ["WEAKLIB_HOME"] = str(home)

    def half(path):
        (path / "half").write_text("h")
        os._exit(9)  # no clean-up, as when killed

    cache.folder(KEY, half)


def run(target, home, n=1):
    """Run `target` in `n` new processes at once and return their exit codes."""
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=target, args=(home,)) for _ in range(n)]
    for p in processes:
        p.start()
    for p in processes:
        p.join(60)
    return [p.exitcode for p in processes]


def test_builds_once_and_names_by_key():
    calls = []
    for _ in range(2):
        path = cache.folder(KEY, lambda p: (calls.append(1), make(p)))
        forget()
    assert len(calls) == 1 and np.array_equal(np.load(path / "sub" / "x.npy"), np.arange(10))
    assert path.name == f"test-{cache.digest(KEY)}"
    assert cache.folder({**KEY, "version": 2}, make) != path
    assert cache.digest({"a": 1, "b": 2}) == cache.digest({"b": 2, "a": 1})


@pytest.mark.parametrize("damage", [
    lambda path: (path / "sub" / "x.npy").write_bytes(b"x"), lambda path: (path / "sub" / "x.npy").unlink(),
    lambda path: (path / cache.MANIFEST).write_text("{"), lambda path: (path / cache.MANIFEST).write_text("[]"),
    lambda path: (path / cache.MANIFEST).unlink()])
def test_damage_is_found_said_and_mended(damage, capsys):
    path = cache.folder(KEY, make)
    damage(path)
    forget()
    assert cache.folder(KEY, make) == path and cache.fault(path) is None
    assert np.array_equal(np.load(path / "sub" / "x.npy"), np.arange(10))
    assert capsys.readouterr().out.count("rendering it again") == 1


def test_two_processes_build_once(own_home):
    assert run(build_slowly, own_home, n=2) == [0, 0]
    assert (own_home / "log").read_text() == "built\n"


def test_a_killed_build_leaves_nothing_half_done(own_home):
    assert run(die_halfway, own_home) == [9]
    assert not (own_home / "corpora" / f"test-{cache.digest(KEY)}").exists()
    path = cache.folder(KEY, make)
    assert sorted(p.name for p in path.iterdir()) == [cache.MANIFEST, "sub"]
    assert [p for p in path.parent.iterdir() if p.is_dir()] == [path]


def test_a_failing_build_leaves_nothing(own_home):
    def fail(path):
        make(path)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.folder(KEY, fail)
    assert not [p for p in (own_home / "corpora").iterdir() if p.is_dir()]


def test_no_space_is_said_before_the_work(own_home, monkeypatch):
    usage = namedtuple("usage", "total used free")(10 ** 9, 10 ** 9 - 100, 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    calls = []
    with pytest.raises(WeaklibError, match="MB are needed") as error:
        cache.folder(KEY, calls.append, n_bytes=10 ** 6)
    assert "\n" not in str(error.value) and not calls
    assert not [p for p in own_home.rglob("*") if p.is_dir() and p.name != "corpora"]


def test_a_disk_that_fills_meanwhile(own_home):
    def full(path):
        (path / "x").write_text("x")
        raise OSError(28, "No space left on device")

    with pytest.raises(WeaklibError, match="No space left on device.*WEAKLIB_HOME"):
        cache.folder(KEY, full)
    assert not [p for p in (own_home / "corpora").iterdir() if p.is_dir()]


def test_a_home_that_cannot_be_written(own_home, monkeypatch):
    (own_home / "file").write_text("in the way")
    monkeypatch.setenv("WEAKLIB_HOME", str(own_home / "file"))
    with pytest.raises(WeaklibError, match="set WEAKLIB_HOME"):
        cache.folder(KEY, make)
