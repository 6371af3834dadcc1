"""weaklib.inventory and ``python -m weaklib data check``: what is counted, and what follows from it."""
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from weaklib import corpora, experiment, inventory
from weaklib.__main__ import main
from weaklib.corpora import load
from weaklib.files import WeaklibError
from weaklib.inventory import Need, check, needs

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def data(tmp_path, monkeypatch):
    """An empty WEAKLIB_DATA."""
    monkeypatch.setenv("WEAKLIB_DATA", str(tmp_path))
    return tmp_path


def empty(*paths):
    """Make files; nothing is read of them."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def fuss(root, lost=()):
    """Make a FUSS of 3, 2 and 1 examples, without the files `lost`."""
    for part, n in (("train", 3), ("validation", 2), ("eval", 1)):
        rows = [[f"{part}/example{k}.wav", f"{part}/example{k}_sources/background0_sound.wav",
                 f"{part}/example{k}_sources/foreground0_sound.wav"] for k in range(n)]
        empty(*(root / path for row in rows for path in row if path not in lost))
        (root / f"{part}_example_list.txt").write_text("".join("\t".join(row) + "\n" for row in rows))


def table(text, first):
    """The lines of a table, as lists of words, by their first word; the table begins with the word `first`."""
    lines = text.splitlines()
    begin = next(k for k, line in enumerate(lines) if line.startswith(first))
    rows = []
    for line in lines[begin:]:
        if not line:
            break
        rows.append(re.split(r"  +", line))
    return rows


# What is there

def test_what_is_missing_is_counted_and_named_and_bars_a_reader_that_wants_all(data, monkeypatch):
    monkeypatch.setattr("weaklib.corpora.fuss.N_EXAMPLES", {"train": 3, "validation": 2, "eval": 1})
    fuss(data / "ssdata")
    text, fine = check("fuss")
    assert fine and table(text, "split")[1:4] == [["train", "3", "0"], ["validation", "2", "0"], ["test", "1", "0"]]
    assert "These rows can be made: nothing is known to be missing." in text
    (data / "ssdata/train/example1_sources/foreground0_sound.wav").unlink()
    text, fine = check("fuss")
    assert not fine and table(text, "split")[1] == ["train", "2", "1"]
    assert "\nNot there in train: train/example1_sources.\n" in text
    assert text.endswith("None of these rows can be made before it is whole: of train nothing may be missing.")
    with pytest.raises(WeaklibError, match="lacks 1 of its files"):
        load("fuss", "train", "paper")


def test_a_split_with_fewer_than_were_published_is_not_whole(data):
    fuss(data / "ssdata")
    text, fine = check("fuss")
    assert fine and table(text, "split")[1:4] == [["train", "3", "19997"], ["validation", "2", "998"],
                                                  ["test", "1", "999"]]
    assert "can be made with what is there, 0.0 % of train, 0.2 % of validation, 0.1 % of test" in text


def test_classes_are_counted_where_something_of_them_is_missing(data):
    rows = [("a1", "cat"), ("a2", "cat"), ("b1", "dog"), ("b2", "dog"), ("c1", "car")]
    (data / "vggsound").mkdir()
    (data / "vggsound/vggsound.csv").write_text("".join(f"{name},0,{label},{part}\n" for part in ("train", "test")
                                                        for name, label in ((f"{part}{x}", y) for x, y in rows)))
    for part in ("train", "test"):
        empty(*(data / f"vggsound/audio/{part}{name}.wav" for name, _ in rows))
    (data / "vggsound/audio/testb1.wav").unlink()
    (data / "vggsound/audio/testc1.wav").unlink()
    text, fine = check("vggsound")
    assert fine
    classes = table(text, "class")
    assert [row[0] for row in classes] == ["class", "car", "dog"]  # nothing of cat is missing
    assert classes[1] == ["car", "1", "0", "0 of 1"] and classes[2] == ["dog", "1", "1", "1 of 2"]
    assert "\nNot there in test: testc1_000000, testb1_000000.\n" in text


def test_looking_up_neither_reads_nor_stores(data, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("WEAKLIB_HOME", str(home))
    for number in (1, 2, 1501, 1876):  # none of which was moved
        empty(data / f"slakh2100_flac_redux/x/Track{number:05}/metadata.yaml")
    found = corpora.holdings("slakh")
    assert {split: there.n_there for split, there in found.items()} == {"train": 2, "validation": 1, "test": 1}
    assert [there.n_missing for there in found.values()] == [1498, 374, 224]
    assert "Track00003" in found["test"].missing[""]
    name = "maestro-v2.0.0"
    empty(data / name / "2004/a.wav", data / name / "2004/a.midi", data / name / "2004/b.midi")
    (data / name / f"{name}.csv").write_text(
        "canonical_composer,canonical_title,split,year,midi_filename,audio_filename\n"
        "A,One,train,2004,2004/a.midi,2004/a.wav\nA,Two,train,2004,2004/b.midi,2004/b.wav\n")
    found = corpora.holdings("maestro")["train"]
    assert found.n_there == 1 and found.missing == {"": ["2004/b.wav"]} and found.refused
    assert not home.exists()


@pytest.mark.parametrize("name", corpora.readers())
def test_every_reader_says_what_it_lacks_when_nothing_is_there(data, name):
    text, fine = check(name)
    assert not fine and re.search(rf"{data} has no .*: (unpack|put|get|make|download) ", text)


# What follows

def test_tables_are_those_whose_runs_or_the_runs_before_them_hear_a_data_set():
    assert needs("slakh") and {need.paper for need in needs("slakh")} == {"hung2021"}
    figure = next(need for need in needs("wsj0_2mix") if need.table == "figure2")
    rows = experiment.load("wisdom2020").sheets("paper")[0].rows
    dry = [row for row in rows if "wsj0_2mix" in str(experiment.load("wisdom2020").config(row, "paper").corpora())]
    assert figure == Need("wisdom2020", "figure2", len(dry), len(rows)) and 0 < len(dry) < len(rows)
    assert needs("babyslakh") == []
    audioset = next(need for need in needs("audioset") if need.table == "table1")
    assert 0 < audioset.n_rows < audioset.of


def test_a_run_needs_what_the_runs_before_it_hear():
    def run(*names, needs=()):
        return SimpleNamespace(corpora=lambda: [{"name": name} for name in names], needs=lambda: needs)

    first = run("fuss")
    assert inventory.heard(run("slakh", needs=[run("gardner", "slakh", needs=[first])])) == {"slakh", "gardner", "fuss"}
    assert inventory.heard(first) == {"fuss"}


def test_disk_counts_each_data_set_once():
    one, _ = inventory.disk(["musicnet_em"])
    assert inventory.disk(["musicnet_em", "musicnet_em_pool", "musicnet_em_cover", "talkers"]) == (one, [])
    assert inventory.disk(["gardner", "fuss"]) == (25.0, ["gardner"])


# The command

def test_the_command_says_it_all_and_its_status_whether_it_can_be_read(data, monkeypatch, capsys):
    monkeypatch.setattr("weaklib.corpora.fuss.N_EXAMPLES", {"train": 3, "validation": 2, "eval": 1})
    fuss(data / "ssdata")
    assert main(["data", "check", "fuss"]) == 0
    assert capsys.readouterr().out == check("fuss")[0] + "\n"
    assert main(["data", "check", "fuss", "guitarset"]) == 2
    out = capsys.readouterr().out
    assert "fuss in" in out and "has no GuitarSet/annotation: unpack annotation.zip" in out
    assert main(["data", "check"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert re.match(r"fuss +there +wisdom2020: table1; wisdom2021: table1, figure1", lines["fuss"])
    assert "not there" in lines["slakh"]
    assert set(lines) - {"data"} == set(corpora.readers())


@pytest.mark.parametrize("name", ["talkers", "folder:x", "nothing"])
def test_only_data_sets_are_checked(name, capsys):
    assert main(["data", "check", name]) == 2
    assert capsys.readouterr().err.startswith(f"{name} reads no data set; choose one of fuss, fuss_reverb, libri2mix")


# Documentation

def test_every_reader_has_its_place_in_the_docs_and_every_size_is_there():
    text = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    for name in corpora.readers():
        assert f"`{name}`" in text, name
    for name, gb in inventory.DISK.items():
        section = next(part for part in text.split("\n## ") if f"`{name}`" in part.split("\n")[0])
        assert f"{gb} GB" in section, name
