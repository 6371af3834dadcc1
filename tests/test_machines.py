"""Other systems and other folders than those of whoever wrote this, as far as Linux can play them.

Windows is played by `weaklib.files.WINDOWS`, and by functions that refuse what Windows refuses.
"""
import ast
import errno
import fcntl
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path, PurePosixPath

import numpy as np
import psutil
import pytest
import torch
from toy import Config

from weaklib import __main__, audio, corpora, files, headless, inference, runs, training, weights
from weaklib.files import WeaklibError
from weaklib.widgets import upload

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "Jörgs Töne & Büro (neu)"
FORBIDDEN = set('<>:"|?*\\')  # by Windows, in names
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(files, "WINDOWS", True)


def python(code, **env) -> bytes:
    """What code prints in a process of its own."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, cwd=ROOT,
                          env={**os.environ, "PYTHONPATH": str(ROOT)} | env)
    assert not done.returncode, done.stderr.decode()
    return done.stdout.strip()


# Sound, which libraries in C read and write

def refuse_numbers(monkeypatch):
    """Have the libraries refuse the number of an open file, as Windows makes them."""
    import av
    import soundfile
    opens, sound = av.open, soundfile.SoundFile

    def av_open(source, *args, **options):
        assert not isinstance(source, str)
        return opens(source, *args, **options)

    def sound_file(source, *args, **options):
        assert not isinstance(source, int)
        return sound(source, *args, **options)

    monkeypatch.setattr(av, "open", av_open)
    monkeypatch.setattr(soundfile, "SoundFile", sound_file)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("called", ["sound", "sound.raw", "http:sound"])
def test_sound_is_read_the_same_without_the_numbers_of_files(tmp_path, monkeypatch, suffix, called):
    path, x = tmp_path / f"sound{suffix}", 0.1 * np.random.default_rng(0).standard_normal((2, 40_000))
    audio.write(path, x, 16000)
    expected = audio.read(path, start=0.5)
    monkeypatch.setattr(files, "WINDOWS", True)
    refuse_numbers(monkeypatch)
    found = audio.read(path.rename(tmp_path / called), start=0.5)
    assert np.array_equal(found[0], expected[0]) and found[1] == expected[1] == 16000


def test_sound_is_written_the_same_without_the_numbers_of_files(tmp_path, monkeypatch):
    x = np.random.default_rng(0).standard_normal((2, 200_000))
    audio.write(tmp_path / "before.wav", x, 16000)
    monkeypatch.setattr(files, "WINDOWS", True)
    refuse_numbers(monkeypatch)
    audio.write(tmp_path / "after.wav", x, 16000)
    assert (tmp_path / "after.wav").read_bytes() == (tmp_path / "before.wav").read_bytes()


def test_what_is_no_sound_is_told_without_the_numbers_of_files(tmp_path, monkeypatch, windows):
    refuse_numbers(monkeypatch)
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/hostname\n#EXT-X-ENDLIST\n")
    (tmp_path / "text.wav").write_text("no sound at all")
    for name in ("list.m3u8", "text.wav"):
        with pytest.raises(WeaklibError, match="cannot be read as audio"):
            audio.read(tmp_path / name)


def test_a_full_disk_is_told_without_the_numbers_of_files(tmp_path, monkeypatch, windows):
    class Full:
        """A disk on which nothing more can be written."""

        def __init__(self, opened):
            self.opened = opened

        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def __getattr__(self, name):
            return getattr(self.opened, name)

    handed = audio._handed
    monkeypatch.setattr(audio, "_handed", lambda opened: Full(handed(opened)))
    monkeypatch.setattr(sys, "unraisablehook", lambda told: None)
    with pytest.raises(WeaklibError, match="Cannot write .*free some space"):
        with audio.writing(tmp_path / "x.wav", 16000, 1, 1 << 20) as add:
            for _ in range(16):
                add(np.zeros((1, 1 << 16), np.float32))
    assert not list(tmp_path.iterdir())


# Files that others have open

def test_a_file_in_use_is_replaced_when_it_is_free(tmp_path, monkeypatch, windows):
    replace, waited, refused = os.replace, [], [PermissionError(13, "in use"), PermissionError(13, "in use")]

    def busy(*paths):
        if refused:
            raise refused.pop()
        replace(*paths)

    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr(time, "sleep", waited.append)
    files.write_bytes(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new" and waited == list(files.PATIENCE[:2])


def test_a_file_that_stays_in_use_is_told_and_stays_as_it_was(tmp_path, monkeypatch, windows):
    def busy(*paths):
        raise PermissionError(errno.EACCES, "The file is in use")

    (tmp_path / "x").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(WeaklibError, match="The file is in use"):
        files.write_bytes(tmp_path / "x", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"] and (tmp_path / "x").read_bytes() == b"old"


def test_what_is_flushed_is_open_for_writing(tmp_path, monkeypatch):
    """Windows calls anything else a bad file descriptor."""
    flush = os.fsync

    def strict(number):
        if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flush(number)

    monkeypatch.setattr(os, "fsync", strict)
    files.write_bytes(tmp_path / "x", b"1")
    assert (tmp_path / "x").read_bytes() == b"1"


def test_weights_that_are_loaded_leave_their_file_alone(tmp_path):
    """Windows neither replaces nor deletes a file of which a part is still mapped into memory."""
    path, tensors = tmp_path / "x.safetensors", {"a": torch.randn(300_000)}
    weights.save(path, tensors, {})
    found, _ = weights.load(path)
    assert torch.equal(found["a"], tensors["a"])
    assert not [part for part in psutil.Process().memory_maps() if part.path == str(path)]


def test_a_drive_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    with pytest.raises(WeaklibError, match="There is no /; choose another disk"):
        files.need_space(tmp_path / "a", 1)


# Names

def test_patterns_are_expanded_where_the_shell_does_not(tmp_path, monkeypatch, windows):
    done = []
    monkeypatch.setattr(inference, "separate_file", lambda path, *_, **__: done.append(path.name) or [])
    for name in ("b.wav", "a.wav", "c.mp3"):
        (tmp_path / name).touch()
    assert __main__.main(["separate", str(tmp_path / "*.wav"), str(tmp_path / "none*.mp3")]) == 0
    assert done == ["a.wav", "b.wav", "none*.mp3"]  # of which `separate_file` says that it is not there


def test_files_that_differ_only_in_case_are_not_written_over_each_other(tmp_path, capsys):
    assert __main__.main(["separate", str(tmp_path / "Song.wav"), str(tmp_path / "song.mp3")]) == 2
    assert "Song.wav and " in (told := capsys.readouterr().err) and "would be written under the same names" in told


def test_names_that_windows_forbids(windows):
    assert upload.clean('a:b "c" <d>|e?*.wav') == "ab c de.wav"


def test_every_file_of_the_source_can_be_checked_out_anywhere():
    told = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True)
    if told.returncode:
        pytest.skip("not a git checkout")
    names = told.stdout.split("\0")[:-1]
    assert len({name.casefold() for name in names}) == len(names) > 100
    for name in names:
        assert len(name) < 160, name  # Windows ends at 260, and the checkout lies somewhere
        for part in PurePosixPath(name).parts:
            assert not FORBIDDEN & set(part) and part.isascii() and part[-1] not in " .", name
            assert part.split(".")[0].casefold() not in DEVICES, name


# Alphabets

def test_every_text_file_has_an_encoding():
    """The default is another one on Windows, and has none of the characters that weaklib writes."""
    bare = []
    for path in [ROOT / "run_all.py", *ROOT.glob("weaklib/**/*.py"), *ROOT.glob("benchmarks/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                binary = any(isinstance(arg, ast.Constant) and "b" in str(arg.value) for arg in node.args[1:2])
                reads = name in ("read_text", "write_text") or name == "open" and isinstance(node.func, ast.Name)
                if reads and not binary and "encoding" not in {keyword.arg for keyword in node.keywords}:
                    bare.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not bare


@pytest.mark.parametrize("alphabet, printed", [("cp1252", b"\\u22121 dB, \xfc"), ("utf-8", "−1 dB, ü".encode())])
def test_what_is_printed_stops_nothing(alphabet, printed):
    code = """
        import run_all
        from weaklib import session
        session.status = lambda *args: print("−1 dB, ü")
        run_all.main(["--status"])
    """
    assert python(code, PYTHONIOENCODING=alphabet) == printed


NOTEBOOK = {"cells": [{"cell_type": "code", "metadata": {"tags": ["parameters"]}, "outputs": [],
                       "execution_count": None, "source": "seeds = None"},
                      {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source":
                       "import time\nfrom weaklib import files, progress\nfor _ in progress.track([1, 2], '−1 dB'):\n"
                       "    time.sleep(0.6)\nprint(files.home().name, '−')"}],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
            "nbformat": 4, "nbformat_minor": 4}


def test_any_folder_holds_sound_runs_and_notebooks(tmp_path, monkeypatch, home):
    """What is made in a folder with spaces and umlauts is what is made anywhere else."""
    place = tmp_path / FOLDER
    place.mkdir()
    expected = {name: corpora.load(name, "test", "smoke")[0]["mix"] for name in ("talkers", "band")}
    monkeypatch.setenv("WEAKLIB_HOME", str(place))
    monkeypatch.setattr("tempfile.tempdir", str(place))
    for name, mix in expected.items():
        assert torch.equal(corpora.load(name, "test", "smoke")[0]["mix"], mix)
    assert len(list(place.glob("corpora/*/manifest.json"))) == 2

    config = Config("größe")
    made = runs.get(config, lambda cfg, folder: ({"gain": [1.0]}, [], torch.nn.Linear(1, 1)))
    assert runs.find(config, "", "local") == made and runs.trained(made, "")[0].keys() == {"weight", "bias"}

    source = place / "Übung 1.ipynb"
    source.write_text(json.dumps(NOTEBOOK), encoding="utf-8")
    with headless.kernel() as channel:
        outcome = headless.execute(source, place / "fertig" / source.name, {"seeds": 1}, channel, minutes=5)
    assert (outcome.status, outcome.note) == ("ok", "")
    assert f"{FOLDER} −" in (place / "fertig" / source.name).read_text(encoding="utf-8")


def test_notebooks_where_the_alphabet_of_files_is_ascii(tmp_path):
    """Progress is told through a file, and holds what ASCII lacks."""
    (tmp_path / "x.ipynb").write_text(json.dumps(NOTEBOOK), encoding="utf-8")
    told = python(f"""
        import locale
        from weaklib import files, headless
        files.printable()
        print(locale.getpreferredencoding())
        with headless.kernel() as channel:
            print(headless.execute({str(tmp_path / "x.ipynb")!r}, {str(tmp_path / "y.ipynb")!r}, {{}}, channel,
                                   minutes=5).note)
            print(channel.read_bytes())
    """, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", WEAKLIB_HOME=str(tmp_path / "home")).decode().splitlines()
    assert told[0] == "ANSI_X3.4-1968" and told[-2] == "" and told[-1].startswith(r"b'\xe2\x88\x921 dB 2/2")


# What is not there

def test_a_fluidsynth_that_cannot_be_loaded_counts_as_none(tmp_path):
    """One for another processor, for instance; pretty_midi would fail with it."""
    (tmp_path / "fluidsynth.py").write_text("raise OSError('wrong architecture')")
    told = python("""
        from weaklib.corpora import fluid
        from weaklib.files import WeaklibError
        from weaklib.midi import instrument
        try:
            fluid.render(instrument([[0.0, 0.2, 60, 90]], program=0), 16000)
        except WeaklibError as e:
            print(e)
    """, PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
    assert b"FluidSynth 2 is missing" in told and b"brew install fluid-synth" in told and b"choco install" in told


def test_on_macos_fluidsynth_is_looked_for_where_homebrew_puts_it():
    told = python("""
        import ctypes.util, os, sys
        import numpy, mido, scipy.signal
        ctypes.util.find_library, exists, asked = lambda name: None, os.path.exists, []
        os.path.exists = lambda path: asked.append(str(path)) or exists(path)
        os.environ.pop("HOMEBREW_PREFIX", None)
        sys.platform = "darwin"
        import weaklib.midi
        print("/opt/homebrew/lib/libfluidsynth.dylib" in asked)
    """)
    assert told == b"True"


def test_records_are_made_without_git_and_without_resource(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "resource", None)
    made = runs.provenance(0.0, 1.0)
    assert made["commit"] is None and made["dirty"] is False and made["peak_memory_mb"] is None


@pytest.mark.parametrize("system, unit", [("linux", 1024), ("darwin", 1)])
def test_peak_memory_is_in_the_same_unit_everywhere(monkeypatch, system, unit):
    import resource
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(resource, "getrusage", lambda who: type("Usage", (), {"ru_maxrss": 300 * 2 ** 20 // unit}))
    assert runs.provenance(0.0, 1.0)["peak_memory_mb"] == 300


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_memory_is_managed_by_the_system_where_there_is_no_glibc(monkeypatch, system):
    def fails(*args):
        raise AssertionError("there is no such library")
    monkeypatch.setattr(training.ctypes, "CDLL", fails)
    monkeypatch.setattr(sys, "platform", system)
    training.keep_buffers()
