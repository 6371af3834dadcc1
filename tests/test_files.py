"""weaklib.files: paths as people type them, settings wherever a process is, and writing whole or not at all."""
import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from weaklib import audio, files, inference, widgets
from weaklib.files import WeaklibError

ROOT = Path(__file__).resolve().parents[1]


def python(code, cwd, **env):
    """Run code in a process of its own; return what it prints."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)} | env
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=cwd,
                          env=env)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


# Paths

@pytest.mark.parametrize("name, expected", [
    ("~", "HOME"), ("~/x.wav", "HOME/x.wav"), ("~draft.wav", "~draft.wav"), ("~x", "~x"), ("a/~/b", "a/~/b"),
    ("~nobody at all/x", "~nobody at all/x"), (b"a\xff.wav", "a\udcff.wav"), (Path("~/x"), "HOME/x"), (".", ".")])
def test_path(monkeypatch, tmp_path, name, expected):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.path(name) == Path(expected.replace("HOME", str(tmp_path)))


@pytest.mark.parametrize("name", ["", "a\0b", b""])
def test_a_path_that_is_none_is_told(name):
    with pytest.raises(WeaklibError, match="empty or has a null"):
        files.path(name)


def test_home_folders_in_all_that_writes(monkeypatch, tmp_path):
    import pretty_midi
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    x = np.sin(np.arange(8000) / 10)
    widgets.save_html("~/p.html", {"a": x}, 8000)
    widgets.StemPlayer({"a": x}, 8000).save_html("~/q.html")
    assert inference.write_midi("~/m.mid", pretty_midi.PrettyMIDI()) == home / "m.mid"
    audio.write("~/x.wav", x, 8000)
    audio.write("~draft.wav", x, 8000)
    assert sorted(p.name for p in home.iterdir() if p.name[0] != ".") == ["m.mid", "p.html", "q.html", "x.wav"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "~draft.wav"]
    assert np.allclose(audio.read("~draft.wav")[0], audio.read("~/x.wav")[0])


def test_errors_can_be_shown_whatever_a_file_is_called():
    assert str(WeaklibError("no a\udcff.wav")) == "no a\\udcff.wav"


# Settings

def test_relative_settings_are_meant_from_where_the_command_was_started(tmp_path):
    code = """
        from weaklib import files
        import os, subprocess, sys
        os.chdir("/")
        print(files.home(), files.data())
        print(subprocess.run([sys.executable, "-c", "from weaklib import files; print(files.home(), files.data())"],
                             capture_output=True, text=True).stdout, end="")
    """
    expected = f"{tmp_path / 'rel'} {tmp_path.parent / 'data'}"
    assert python(code, tmp_path, WEAKLIB_HOME="rel", WEAKLIB_DATA="../data").split("\n") == [expected] * 2


def test_what_a_data_set_lacks_says_which_of_three_things_is_wrong(tmp_path, monkeypatch):
    monkeypatch.delenv("WEAKLIB_DATA", raising=False)
    assert files.lacking("fuss") == "WEAKLIB_DATA is not set"
    monkeypatch.setenv("WEAKLIB_DATA", str(tmp_path))
    assert files.lacking("fuss") == f"{tmp_path} has no fuss"
    monkeypatch.setenv("WEAKLIB_DATA", str(tmp_path / "typo"))
    assert files.lacking("fuss") == f"There is no folder {tmp_path / 'typo'}, which WEAKLIB_DATA names"


def test_relative_settings_that_are_made_later(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEAKLIB_HOME", "rel")
    assert files.home() == tmp_path / "rel"
    monkeypatch.setenv("WEAKLIB_DATA", "~/x")
    monkeypatch.setenv("HOME", "/somewhere")
    assert files.data() == Path("/somewhere/x")


NOTEBOOK = {"cells": [{"cell_type": "code", "metadata": {}, "source": "from weaklib import files\nprint(files.home())",
                       "outputs": [], "execution_count": None}],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
            "nbformat": 4, "nbformat_minor": 4}


@pytest.mark.parametrize("imported", [False, True])
def test_relative_settings_in_kernels_that_are_elsewhere(tmp_path, imported):
    """Those of `run_all.py`, which has imported weaklib, and those of a server, which has not."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "x.ipynb").write_text(json.dumps(NOTEBOOK))
    code = f"""
        if {imported}: import weaklib.headless
        import nbformat, nbclient
        nb = nbformat.read("x.ipynb", as_version=4)
        nbclient.NotebookClient(nb, resources=dict(metadata=dict(path="notebooks"))).execute()
        print(nb.cells[0].outputs[0].text)
    """
    assert python(code, tmp_path, WEAKLIB_HOME="rel", PYDEVD_DISABLE_FILE_VALIDATION="1") == str(tmp_path / "rel")


# Writing

def test_what_cannot_be_written_is_told_as_it_is(tmp_path):
    (tmp_path / "file").write_text("before")
    (tmp_path / "folder").mkdir()
    for name, says in (("file/x", "a file is where a folder should be"), ("folder", "a folder has that name"),
                       ("y" * 256, "shorter name"), ("z" * 300 + "/x", "shorter name")):
        with pytest.raises(WeaklibError, match=f"Cannot write .*{says}"):
            files.write_bytes(tmp_path / name, b"x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
    assert not list((tmp_path / "folder").iterdir())
    assert (tmp_path / "file").read_text() == "before"


def test_names_may_be_as_long_as_the_disk_allows(tmp_path):
    files.write_bytes(tmp_path / ("x" * 255), b"1")
    assert (tmp_path / ("x" * 255)).read_bytes() == b"1"


def test_a_name_that_is_no_good_is_told_before_the_work(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("folder", "y" * 256):
        with pytest.raises(WeaklibError, match="Cannot write"), files.replacing(tmp_path / name):
            raise AssertionError("the work has begun")


@pytest.mark.parametrize("number, says", [
    (errno.EACCES, "can be written"), (errno.EROFS, "can be written"), (errno.ENOSPC, "free some space"),
    (errno.EDQUOT, "free some space"), (errno.EISDIR, "a folder has that name"), (errno.EIO, "free some space")])
def test_advice_fits_the_error(monkeypatch, tmp_path, number, says):
    def fails(*args, **kwargs):
        raise OSError(number, os.strerror(number))
    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(WeaklibError) as error:
        files.write_bytes(tmp_path / "x", b"1")
    assert os.strerror(number) in str(error.value) and says in str(error.value) and not list(tmp_path.iterdir())


def test_room_is_looked_for_where_nobody_may_look(monkeypatch, tmp_path):
    """`Path.exists` raises there."""
    def refused(self):
        raise PermissionError(13, "Permission denied")
    monkeypatch.setattr(Path, "exists", refused)
    files.need_space(tmp_path / "a" / "b", 1)
    with pytest.raises(WeaklibError, match="are needed"):
        files.need_space(tmp_path / "a" / "b", 1 << 60)


def test_a_lock_where_no_folder_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WeaklibError, match="a file is where"), files.lock(tmp_path / "file" / "x.lock"):
        raise AssertionError("held")


WAITS = """
    import sys, threading, time
    from pathlib import Path
    from weaklib import audio, files, __main__, inference
    def slowly(path, folder, *args, **kwargs):
        with audio.writing("out/x.wav", 8000, 1, 80000) as add:
            add(__import__("numpy").ones((1, 8000), "f4"))
            print("ready", flush=True)
            time.sleep(60)
    inference.separate_file = slowly
    sys.exit(__main__.main(["separate", "x.wav"]))
"""


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_signals_leave_nothing_behind(tmp_path, number, status):
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WAITS)], cwd=tmp_path, stdout=subprocess.PIPE,
                               env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
                               preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))  # whoever runs the tests
    try:
        assert process.stdout.readline() == "ready\n" and len(list((tmp_path / "out").iterdir())) == 1
        process.send_signal(number)
        assert process.wait(20) == status and not list((tmp_path / "out").iterdir())
    finally:
        process.kill()


def test_nohup_is_respected(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WAITS)], cwd=tmp_path, stdout=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
                               env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True)
    try:
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert process.poll() is None
    finally:
        process.kill()


def test_threads_that_end_with_the_process_leave_nothing_behind(tmp_path):
    """As the desk's does when a kernel is shut down."""
    python("""
        import threading, time
        from weaklib import files
        begun = threading.Event()
        def slowly():
            with files.replacing("x") as tmp:
                tmp.write_bytes(b"1")
                begun.set()
                time.sleep(60)
        threading.Thread(target=slowly, daemon=True).start()
        begun.wait()
    """, tmp_path)
    assert not list(tmp_path.iterdir())
