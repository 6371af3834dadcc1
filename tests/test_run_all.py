"""run_all.py on notebooks of a few lines: what it passes on, what it survives, what it says."""
import io
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

import run_all
from weaklib import experiment, files, headless, jobs, planning, report, runs, session, weights
from weaklib.files import WeaklibError

ROOT = Path(run_all.__file__).parent
PARAMETERS = """preset = "laptop"
seeds = None
device = "auto"
records = "committed"
fresh = False
interactive = True"""
FAKE = ('class WeaklibError(Exception):\n    pass\n\n'
        'raise WeaklibError("The corpus is damaged; delete it to render it again.")')


def write(folder, name: str, *cells: str, parameters: str = PARAMETERS) -> Path:
    """Write a notebook with a parameters cell and code cells."""
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    nb = nbformat.v4.new_notebook(cells=[first, *map(nbformat.v4.new_code_cell, cells)])
    nbformat.write(nb, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def printed(path) -> str:
    """All that the cells of an executed notebook wrote."""
    cells = nbformat.read(path, as_version=4).cells
    return "".join(o.get("text", "") for c in cells for o in c.get("outputs", []))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Folders of its own for what run_all.py reads and writes."""
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(files, "results", lambda: tmp_path / "results")
    monkeypatch.setattr(report, "local", lambda preset, seeds=None: {})
    (tmp_path / "notebooks").mkdir()
    return SimpleNamespace(notebooks=tmp_path / "notebooks", local=tmp_path / "results" / "local")


@pytest.fixture(scope="module")
def channel():
    with headless.kernel() as path:
        yield path


# One notebook

def test_a_notebook_gets_its_parameters_and_the_environment(tmp_path, channel):
    source = write(tmp_path, "01_a", "import os, sys\nprint(preset, seeds, fresh, interactive)",
                   "print(os.environ['PYTHONHASHSEED'], os.getcwd(), sys.executable)")
    given = {"preset": "smoke", "seeds": 2, "fresh": True, "interactive": False}
    outcome = headless.execute(source, tmp_path / "out" / "01_a.ipynb", given, channel, minutes=3)
    assert (outcome.status, outcome.note) == ("ok", "")
    assert printed(tmp_path / "out" / "01_a.ipynb") == f"smoke 2 True False\n0 {tmp_path} {sys.executable}\n"
    assert printed(source) == ""  # never in place


def test_an_unknown_parameter_is_refused_before_anything_runs(tmp_path, channel):
    source = write(tmp_path, "01_a", f"open({str(tmp_path / 'ran')!r}, 'w')",
                   parameters='preset: str = "laptop"\nseed = 0')
    outcome = headless.execute(source, tmp_path / "out.ipynb", {"preset": "smoke", "seeds": 1}, channel, minutes=3)
    assert outcome.status == "failed"
    assert outcome.note == "01_a.ipynb has no parameter seeds; it has preset, seed."
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["not a notebook", '{"cells": []}', '{"cells": [], "metadata": {}, "nbformat": 4, '
                                  '"nbformat_minor": 5}'])
def test_a_file_without_parameters_is_refused(tmp_path, text):
    (tmp_path / "01_a.ipynb").write_text(text)
    with pytest.raises(WeaklibError, match="01_a.ipynb (is missing or no notebook|has no cell tagged parameters)"):
        headless.parameters(tmp_path / "01_a.ipynb")


def test_a_dead_kernel_and_an_endless_cell_are_caught(tmp_path, channel):
    dead = write(tmp_path, "01_dead", "print('before')", "import os; os._exit(1)")
    outcome = headless.execute(dead, tmp_path / "dead.ipynb", {}, channel, minutes=3)
    assert (outcome.status, outcome.note) == (
        "failed", "Its kernel died in cell 3; the usual reason is too little memory.")
    assert printed(tmp_path / "dead.ipynb") == "before\n"  # kept as far as it came

    endless = write(tmp_path, "02_endless", "import time; time.sleep(300)")
    outcome = headless.execute(endless, tmp_path / "endless.ipynb", {}, channel, minutes=0.05)
    assert outcome.status == "failed"
    assert re.fullmatch(r"It took longer than 0.05 minutes and was stopped in cell \d.", outcome.note)
    assert outcome.minutes < 4


class Terminal(io.StringIO):
    """A terminal that makes the file ``seen/<n>`` when it is told of cell n, which that cell waits for."""

    def __init__(self, seen: Path):
        super().__init__()
        self.seen = seen
        seen.mkdir()

    def isatty(self):
        return True

    def write(self, text):
        for n in re.findall(r"cell (\d)", text):
            if n == "3" or "training 3/9" in text:
                (self.seen / n).touch()
        return super().write(text)


def test_progress_is_told_while_a_cell_runs(tmp_path, channel):
    wait = f"while not os.path.exists({str(tmp_path / 'seen')!r} + '/%d'): time.sleep(0.05)"
    tell = "import os, time\nopen(os.environ['WEAKLIB_PROGRESS'], 'w').write('training 3/9')\n"
    source = write(tmp_path, "01_a", tell + wait % 2, wait % 3)
    terminal = Terminal(tmp_path / "seen")
    outcome = headless.execute(source, tmp_path / "out.ipynb", {}, channel, minutes=2, label="a", out=terminal)
    assert outcome.status == "ok"
    lines = [line.strip() for line in terminal.getvalue().split("\r\033[J")]
    assert any(re.fullmatch(r"a  \d+:\d\d  cell 2  training 3/9", line) for line in lines)
    assert any(re.fullmatch(r"a  \d+:\d\d  cell 3", line) for line in lines)  # nothing stale


def test_a_copy_is_free_of_dead_widgets_and_marks(tmp_path, channel):
    source = write(tmp_path, "01_a", "import ipywidgets\nipywidgets.IntSlider()", "print('text')",
                   "from IPython.display import HTML\nHTML('<b>kept</b>')")
    headless.execute(source, tmp_path / "out.ipynb", {"preset": "smoke"}, channel, minutes=3)
    text = (tmp_path / "out.ipynb").read_text()
    assert "<b>kept</b>" in text and "text" in printed(tmp_path / "out.ipynb")
    assert "widget" not in text.replace("import ipywidgets", "").replace("ipywidgets.IntSlider()", "")
    assert "papermill" not in text and "IntSlider(value" not in text


def test_a_large_copy_is_told(tmp_path, channel):
    source = write(tmp_path, "01_a", "print('x' * 1_100_000)")
    outcome = headless.execute(source, tmp_path / "out.ipynb", {}, channel, minutes=3)
    assert (outcome.status, outcome.note) == ("ok", "its copy has 1.1 MB, more than 1 MB")


# All notebooks

def test_a_failing_notebook_does_not_stop_the_others(place, capsys):
    write(place.notebooks, "00_start", "print(records, device)")
    write(place.notebooks, "01_bad", FAKE)
    write(place.notebooks, "02_worse", "1 / 0")
    write(place.notebooks, "03_good", "print(preset)")
    assert run_all.main(["--preset", "smoke", "--device", "cpu"], place.notebooks) == 1
    table = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert [line.split()[:2] for line in table[2:6]] == [
        ["00_start", "ok"], ["01_bad", "failed"], ["02_worse", "failed"], ["03_good", "ok"]]
    assert table[3].endswith("The corpus is damaged; delete it to render it again.")
    assert table[4].endswith("ZeroDivisionError in cell 3: division by zero")
    out = place.local / "smoke" / "notebooks"
    assert printed(out / "00_start.ipynb") == "local cpu\n" and printed(out / "03_good.ipynb") == "smoke\n"
    assert (out / "01_bad.ipynb").exists()
    assert set(session.times()) == {"smoke, 00_start", "smoke, 03_good"}


def test_committed_uses_committed_records(place, monkeypatch):
    write(place.notebooks, "00_start", "print(records)")
    monkeypatch.setattr(report, "committed", lambda: {files.results() / "laptop" / "table.md": "rendered"})
    assert run_all.main(["--committed"], place.notebooks) == 0
    assert printed(place.local / "committed" / "00_start.ipynb") == "committed\n"
    assert (files.results() / "laptop" / "table.md").read_text() == "rendered"


def test_notebooks_run_side_by_side(place):
    """Each waits for what the other says: one after the other, the first would wait for ever."""
    meet = """import pathlib, time
pathlib.Path("here_{0}").touch()
until = time.monotonic() + 60
while not pathlib.Path("here_{1}").exists() and time.monotonic() < until:
    time.sleep(0.1)
print(pathlib.Path("here_{1}").exists())"""
    write(place.notebooks, "00_one", meet.format("one", "two"))
    write(place.notebooks, "01_two", meet.format("two", "one"))
    write(place.notebooks, "02_three", "1 / 0")
    assert run_all.main(["--committed", "--jobs", "2"], place.notebooks) == 1
    out = place.local / "committed"
    assert printed(out / "00_one.ipynb") == printed(out / "01_two.ipynb") == "True\n"
    assert set(session.times()) == {"committed, 00_one", "committed, 01_two"}


def test_the_longest_begin_and_all_together_have_a_thread_for_each_core(place, monkeypatch):
    for name in ("00_short", "01_new", "02_long"):
        write(place.notebooks, name)
    files.write_json(files.home() / "times.json", {"committed, 00_short": 0.5, "committed, 02_long": 4.0})
    seen = []

    def alone(source, threads, **order):
        seen.append((source.stem, threads))
        return headless.Outcome(source.stem, "ok")

    monkeypatch.setattr(session, "ProcessPoolExecutor", lambda n, mp_context: ThreadPoolExecutor(1))
    monkeypatch.setattr(session, "ThreadPoolExecutor", lambda n: ThreadPoolExecutor(1))
    monkeypatch.setattr(headless, "alone", alone)
    monkeypatch.setattr(jobs, "cores", lambda: 8)
    monkeypatch.setattr(report, "committed", lambda: {})
    assert run_all.main(["--committed", "--jobs", "3"], place.notebooks) == 0
    assert seen == [("02_long", 2), ("01_new", 2), ("00_short", 2)]  # of what is not known, a minute is expected


def test_a_kernel_computes_on_the_threads_that_it_is_given_unless_the_environment_says(monkeypatch):
    def threads(n):
        with headless.kernel(n):
            spec = Path(os.environ["JUPYTER_PATH"].split(os.pathsep)[0]) / "kernels" / "python3" / "kernel.json"
            return files.read_json(spec)["env"].get("OMP_NUM_THREADS")

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert threads(3) == "3" and threads(None) is None
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert threads(3) is None  # and inherits it


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_killed_process_fails_its_notebook_alone_and_the_tables_are_written(place, capsys, monkeypatch):
    write(place.notebooks, "00_one", "import os, signal", "os.kill(os.getppid(), signal.SIGKILL)")
    write(place.notebooks, "01_two", "import time", "time.sleep(3)")
    monkeypatch.setattr(report, "committed", lambda: {files.results() / "laptop" / "table.md": "rendered"})
    assert run_all.main(["--committed", "--jobs", "2"], place.notebooks) == 1
    out = capsys.readouterr().out
    assert out.count("was killed, perhaps for want of memory; run it again with --jobs 1.") == 1
    assert re.search(r"00_one.*: failed", out) and re.search(r"01_two.*: ok", out)
    assert (files.results() / "laptop" / "table.md").read_text() == "rendered"


def test_only(tmp_path):
    for name in ("00_start", "01_wisdom2020", "02_wisdom2020_more", "10_scores"):
        write(tmp_path, name)
    def chosen(*only):
        return [path.stem[:2] for path in session.select(tmp_path, list(only))]
    assert chosen() == ["00", "01", "02", "10"]
    assert chosen("10", "0") == ["00", "10"]
    assert chosen("wisdom2020") == ["01", "02"]
    assert chosen("10_scores") == ["10"]
    with pytest.raises(WeaklibError, match="No notebook is called 07 or mozart; there are 00_start, 01_"):
        chosen("00", "07", "mozart")


@pytest.mark.parametrize("argv, sentence", [
    (["--preset", "huge"], "Unknown preset 'huge'; choose one of smoke, laptop, full, gpu, paper."),
    (["--seeds", "0"], "--seeds 0 trains nothing; give 1 or more."),
    (["--jobs", "0"], "--jobs 0 trains nothing; give 1 or more."),
    (["--jobs", "2", "--cluster", "tcp://a:1"], "--cluster has as many runs at a time as workers; leave --jobs out."),
    (["--budget", "9"], "--budget 9 is not a time; write 9m, 1h30m or 45s."),
    (["--budget", "9m x"], "--budget 9m x is not a time; write 9m, 1h30m or 45s."),
    (["--device", "tpu"], "Unknown device 'tpu'; choose auto, cpu or cuda."),
    (["--fresh", "--committed"], "--committed trains nothing and --fresh trains again; choose one of them."),
    (["--only", "99"], "No notebook is called 99; there are 00_start."),
])
def test_nonsense_gets_one_sentence(place, capsys, argv, sentence):
    write(place.notebooks, "00_start")
    assert run_all.main(argv, place.notebooks) == 2
    assert capsys.readouterr() == ("", sentence + "\n")


def test_without_the_libraries_it_says_how_to_get_them(tmp_path):
    write(tmp_path, "00_start")
    code = ("import pathlib, run_all\n"
            f"raise SystemExit(run_all.main(['--device', 'cpu'], pathlib.Path({str(tmp_path)!r})))")
    bare = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert bare.returncode == 2 and "`make results` installs" in bare.stderr and "Traceback" not in bare.stderr


def test_no_notebooks(tmp_path, capsys):
    assert run_all.main([], tmp_path) == 2
    assert capsys.readouterr().err.startswith(f"There are no notebooks in {tmp_path}")


def test_stopping_by_hand_ends_the_kernel_too(tmp_path):
    pid = tmp_path / "pid"
    write(tmp_path, "00_long", f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)")
    write(tmp_path, "01_next")
    code = ("import pathlib, run_all, signal\nfrom weaklib import files\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored below a shell's background job
            f"here = pathlib.Path({str(tmp_path)!r})\nfiles.results = lambda: here\n"
            "raise SystemExit(run_all.main(['--preset', 'smoke'], here))")
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, env={**os.environ, "WEAKLIB_HOME": str(tmp_path / "home")})
    deadline = time.monotonic() + 120
    while not (pid.exists() and pid.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=180)  # generous: a busy machine starts kernels slowly
    assert child.returncode == 130 and err.startswith("\nStopped.") and "01_next" not in out
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


# Records

@pytest.fixture
def gpu_missing(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


def test_a_preset_without_its_gpu_says_so_and_the_rest_goes_on(place, capsys, gpu_missing):
    write(place.notebooks, "00_start")
    write(place.notebooks, "01_wisdom2020", "raise SystemExit('must not run')")
    write(place.notebooks, "02_wisdom2020_more", "raise SystemExit('must not run')")
    assert run_all.main(["--preset", "gpu"], place.notebooks) == 0
    table = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert [line.split()[1] for line in table[2:5]] == ["ok", "skipped", "skipped"]
    assert "needs a CUDA device and none is here; choose --preset laptop" in table[3]
    assert run_all.main(["--preset", "gpu", "--only", "01"], place.notebooks) == 1  # nothing could run
    assert run_all.main(["--preset", "gpu", "--dry-run"], place.notebooks) == 0


def record_of(config, seconds: float, where=None) -> None:
    """Write a record as if a run had been made, on this machine or among the committed ones."""
    folder = where or runs.local() / f"{config.paper}-{config.id}"
    made = {"seconds": seconds, "peak_memory_mb": 1500, "threads": 1}
    record = runs.Record(config.id, config.key(), {}, [], made, None, folder)
    files.write_json(folder / (f"{config.id}.json" if where else runs.RECORD), record.content())


def test_dry_run_tells_what_each_run_takes_from_records_and_what_fits_the_budget(place, capsys):
    write(place.notebooks, "01_wisdom2020")
    configs = experiment.load("wisdom2020").configs("laptop")
    done, *others = sorted(configs, key=lambda config: config.label != "input_mixture")  # which trains nothing
    for config in others:
        record_of(config, 300.0, runs.committed("laptop", "wisdom2020"))
    record_of(done, 60.0)
    assert run_all.main(["--dry-run", "--jobs", "2", "--budget", "6m"], place.notebooks) == 0
    out = capsys.readouterr().out
    assert re.search(rf"^01_wisdom2020  {len(others)}  +1.5 GB +noisy_talkers, sounds, talkers, wild$", out, re.M)
    assert done.id not in out
    lines = [re.split(r"  +", line) for line in out.splitlines() if re.match(r"\w+-s0-", line)]
    assert {line[0] for line in lines} == {config.id for config in others}
    assert [line[1:] for line in lines] == 2 * [["5.0 min", "0.0 min", "5.0 min"]] + (
        len(others) - 2) * [["5.0 min", "another time", "another time"]]
    tables = {line[0]: line[1:] for line in (re.split(r"  +", line) for line in out.splitlines())
              if line[0].startswith("wisdom2020 ")}
    assert set(tables) == {"wisdom2020 figure2", "wisdom2020 enhancement", "wisdom2020 table1"}
    n = sum(config.task == "enhancement" for config in others)
    assert tables["wisdom2020 enhancement"][:4] == [str(n), f"{5 * n:.1f} min", f"{n} of {n}", "1.5 GB"]
    assert out.endswith(f"1 notebooks, {len(others)} runs to train, 2 at a time; expected time: 6.0 min\n")
    assert not place.local.exists()


def test_dry_run_of_the_paper_says_what_its_data_takes_and_what_is_a_guess(place, capsys, gpu_missing, monkeypatch):
    monkeypatch.setenv("WEAKLIB_DATA", str(place.notebooks))  # which has none
    write(place.notebooks, "03_hung2021")
    assert run_all.main(["--preset", "paper", "--dry-run"], place.notebooks) == 0
    out = capsys.readouterr().out
    (first, *_) = [re.split(r"  +", line) for line in out.splitlines() if line.startswith("hung2021 table1")]
    sheet, *_ = experiment.load("hung2021").sheets("paper")
    configs = planning.open_runs(config for row in sheet.rows for config in sheet.configs(row)).values()
    guess = sum(planning.BESIDES + planning.STEP * (config.plan.steps if config.label != "input_mixture" else 0)
                for config in configs) / 3600
    assert first == ["hung2021 table1", str(len(configs)), f"{guess:.1f} h", f"1 of {len(configs)}", "not measured",
                     "140 GB", "slakh"]
    assert f"{place.notebooks} has no folder slakh2100_flac_redux: download" in out



def test_status_tells_local_committed_interrupted_and_damaged(place, capsys):
    sheet, *_ = experiment.load("wisdom2020").sheets("smoke", 1)
    first, *others = sheet.rows
    done, stopped, damaged = (sheet.configs(row)[0] for row in others)
    record_of(done, 60.0)
    (runs.local() / f"wisdom2020-{damaged.id}").mkdir()
    (runs.local() / f"wisdom2020-{damaged.id}" / runs.RECORD).write_text("{}")
    weights.save(runs.local() / f"wisdom2020-{stopped.id}" / "checkpoint.safetensors", {},
                 {"step": stopped.plan.steps - 12, "seconds": 10.0 * (stopped.plan.steps - 12)})
    assert run_all.main(["--preset", "smoke", "--status"], place.notebooks) == 0
    rows = [re.split(r"  +", row) for row in capsys.readouterr().out.splitlines()[2:]]
    rows = [row for row in rows if row[0] == "wisdom2020 figure2"]
    assert [row[4] for row in rows] == ["no", "yes", f"interrupted at step {stopped.plan.steps - 12}", "damaged"]
    assert rows[2][5] == "2.1 min"  # twelve steps at its own pace of 10 s, and a little for all else
    assert [row[-1] for row in rows] == 4 * ["no"]
    assert rows[0][:4] == ["wisdom2020 figure2", first.key, sheet.corpus(first), "0"]


# Training before the notebooks

def trainings(monkeypatch, outcome):
    """Let `jobs.work` make of every run what `outcome(config)` says: "trained", "left", or why it failed."""
    asked = []

    def work(configs, **options):
        asked.append(options)
        made = jobs.Outcome()
        for config in configs:
            what = outcome(config)
            if what in ("trained", "left"):
                getattr(made, what).append(config.id)
            else:
                made.failed[config.id] = what
        return made

    monkeypatch.setattr(jobs, "work", work)
    return asked


def test_notebooks_run_when_all_that_they_show_has_been_trained(place, capsys, monkeypatch):
    write(place.notebooks, "00_start")
    write(place.notebooks, "01_wisdom2020", "print(fresh, records)")
    write(place.notebooks, "03_hung2021", "raise SystemExit('must not run')")
    asked = trainings(monkeypatch, lambda config: "trained" if config.paper == "wisdom2020" else "left")
    argv = ["--preset", "smoke", "--device", "cpu", "--jobs", "2", "--budget", "1h30m", "--fresh"]
    assert run_all.main(argv, place.notebooks) == 0
    table = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert [line.split()[1] for line in table[2:5]] == ["ok", "ok", "skipped"]
    assert table[4].endswith("of its runs are still to be trained; run the command again to go on.")
    assert printed(place.local / "smoke" / "notebooks" / "01_wisdom2020.ipynb") == "False local\n"  # trained only once
    (options,) = asked
    assert (options["n"], options["budget"], options["fresh"], options["device"]) == (2, 5400, True, "cpu")


def test_a_run_that_failed_fails_its_notebook_and_no_other(place, capsys, monkeypatch):
    write(place.notebooks, "01_wisdom2020", "raise SystemExit('must not run')")
    write(place.notebooks, "03_hung2021")
    trainings(monkeypatch, lambda config: "The disk is full." if config.paper == "wisdom2020" else "trained")
    assert run_all.main(["--preset", "smoke"], place.notebooks) == 1
    table = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert [line.split()[1] for line in table[2:4]] == ["failed", "ok"]
    assert re.search(r"\w+-s0-\w{10}: The disk is full.$", table[2])


def test_check_and_publish(place, capsys, monkeypatch):
    monkeypatch.setattr(report, "check", lambda: ["table.md: differs."])
    assert run_all.main(["--check"], place.notebooks) == 1
    assert capsys.readouterr().out == "table.md: differs.\n"
    monkeypatch.setattr(report, "check", lambda: [])
    assert run_all.main(["--check"], place.notebooks) == 0
    monkeypatch.setattr(report, "publish", lambda preset: 4)
    monkeypatch.setattr(report, "committed", lambda: {})
    assert run_all.main(["--publish", "--preset", "full"], place.notebooks) == 0
    assert "4 records" in capsys.readouterr().out
    monkeypatch.setattr(report, "publish", lambda preset: 0)
    assert run_all.main(["--publish"], place.notebooks) == 2
    for refused in (["--publish", "--only", "01"], ["--publish", "--preset", "smoke"]):
        assert run_all.main(refused, place.notebooks) == 2
        assert refused[1].strip("-") in capsys.readouterr().err
