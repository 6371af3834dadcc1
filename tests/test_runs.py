"""Runs are found by what went in, and only by that."""
import json
import os
from dataclasses import dataclass, field, replace

import pytest
import torch

from weaklib import files, runs
from weaklib.files import WeaklibError


@dataclass(frozen=True)
class Inner:
    width: int = 3


@dataclass(frozen=True)
class Toy(runs.Config):
    paper = "toy"
    revision = 1
    lr: float = 0.1
    inner: Inner = field(default_factory=Inner)

    def corpora(self):
        return [{"name": "band", "version": 1, "seed": 0, "preset": "smoke"}]


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(files, "results", lambda: tmp_path / "results")
    return tmp_path


def trainer(calls):
    def train(config, folder):
        calls.append(config)
        return {"score": [1.0, 2.0]}, [{"step": 1, "loss": 0.5, "lr": 0.1}], torch.nn.Linear(2, 1)
    return train


def test_trains_once_and_finds_it_again():
    calls = []
    first = runs.get(Toy("a"), trainer(calls))
    again = runs.get(Toy("a"), trainer(calls))
    assert len(calls) == 1 and again == first and first.mean("score") == 1.5
    assert first.weights_path.exists() and first.weights["parameters"] == 3


@pytest.mark.parametrize("change", [dict(lr=0.2), dict(inner=Inner(4)), dict(seed=1)])
def test_every_field_is_part_of_the_key(change):
    calls = []
    runs.get(Toy("a"), trainer(calls))
    runs.get(replace(Toy("a"), **change), trainer(calls))
    assert len(calls) == 2


def test_revision_and_corpus_are_part_of_the_key(monkeypatch):
    config = Toy("a")
    name = config.id
    monkeypatch.setattr(Toy, "revision", 2)
    assert Toy("a").id == config.id != name
    monkeypatch.setattr(Toy, "revision", 1)
    monkeypatch.setattr(Toy, "corpora", lambda self: [{"name": "folder:x", "files": 2}])  # one more than before
    assert Toy("a").id == config.id != name


def test_who_changes_a_key_changes_no_config():
    config = Toy("a")
    name = config.id
    config.key()["config"]["inner"]["width"] = 7
    assert config.id == name and config.key()["config"]["inner"] == {"width": 3}


def test_two_tables_share_a_run_under_different_names():
    calls = []
    runs.get(Toy("table 1"), trainer(calls))
    runs.get(Toy("table 2"), trainer(calls))
    assert len(calls) == 1


def test_a_miss_says_which_field_changed(capsys):
    runs.get(Toy("a"), trainer([]))
    runs.get(Toy("a", lr=0.3, inner=Inner(7)), trainer([]))
    out = capsys.readouterr().out
    assert "config.lr 0.1 -> 0.3" in out and "config.inner.width 3 -> 7" in out


def test_a_damaged_record_of_another_run_is_in_nobodys_way():
    (runs.get(Toy("a"), trainer([])).folder / runs.RECORD).write_text("{")
    assert runs.get(Toy("a", lr=0.3), trainer([])).scores


def test_an_interrupted_run_goes_on_under_another_label():
    def interrupted(config, folder):
        (folder / "begun").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runs.get(Toy("table 1"), interrupted)
    record = runs.get(Toy("table 2"), trainer([]))
    assert (record.folder / "begun").exists() and record.id == Toy("table 2").id
    assert runs.find(Toy("table 1"), "", "local") == record


def test_fresh_trains_again():
    calls = []
    runs.get(Toy("a"), trainer(calls))
    runs.get(Toy("a"), trainer(calls), fresh=True)
    assert len(calls) == 2


def test_edited_record_is_refused_and_kept():
    record = runs.get(Toy("a"), trainer([]))
    path = record.folder / runs.RECORD
    body = json.loads(path.read_text())
    body["scores"]["score"][0] = 9.0
    path.write_text(json.dumps(body))
    with pytest.raises(WeaklibError, match="damaged, edited"):
        runs.get(Toy("a"), trainer([]))
    assert json.loads(path.read_text()) == body
    path.write_text("{")
    with pytest.raises(WeaklibError, match="missing or damaged"):
        runs.get(Toy("a"), trainer([]))


def test_failed_training_leaves_no_record():
    def fail(config, folder):
        raise RuntimeError("no")
    with pytest.raises(RuntimeError):
        runs.get(Toy("a"), fail)
    assert runs.find(Toy("a"), "laptop", "local") is None


def test_publish_and_find_committed(store):
    record = runs.get(Toy("a"), trainer([]))
    assert runs.find(Toy("a"), "laptop", "committed") is None
    path = runs.publish(record, "laptop")
    assert path == store / "results" / "laptop" / "toy" / "runs" / f"{record.id}.json"
    found = runs.find(Toy("another name"), "laptop", "committed")
    assert found.scores == record.scores and found.weights_path is None
    with pytest.raises(WeaklibError, match="never published"):
        runs.publish(record, "smoke")


def test_unknown_store():
    with pytest.raises(WeaklibError, match="local or committed"):
        runs.find(Toy("a"), "laptop", "elsewhere")


def test_provenance_names_no_place():
    text = json.dumps(runs.get(Toy("a"), trainer([])).provenance)
    assert os.getcwd() not in text and os.uname().nodename not in text
    assert '"torch"' in text and '"commit"' in text


def test_full_disk_is_one_sentence_and_loses_nothing(monkeypatch, tmp_path):
    target = tmp_path / "x.json"
    files.write_json(target, {"a": 1})

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(WeaklibError, match="No space left.*WEAKLIB_HOME"):
        files.write_json(target, {"a": 2})
    assert files.read_json(target) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir() if p.name != "home"] == ["x.json"]


def scored(*values):
    return [runs.Record("", {}, {"gain": list(one)}, [], {}, None, None) for one in values]


def test_rows_are_compared_item_by_item():
    """By hand: differences 1, 2 and 3, whose standard error is 1 / sqrt(3), and t(0.975, 2) = 4.3027."""
    half = 4.3027 / 3 ** 0.5
    found = runs.paired(scored([11.0, 102, 7], [11, 104, 9]), scored([10.0, 101, 5]), "gain")
    assert found == (pytest.approx(2), pytest.approx(2 - half, abs=1e-4), pytest.approx(2 + half, abs=1e-4), 3)
    sources = runs.paired(scored([10.0, 12, 100, 104, 8, 8]), scored([10.0, 10, 100, 100, 5, 5]), "gain", block=2)
    assert sources == pytest.approx(found)
    assert runs.paired(scored([1.0, 2, 3]), scored([5.0, 7, 8]), "gain").mean == pytest.approx(-14 / 3)


@pytest.mark.parametrize("a, b", [([[1.0, 2]], [[1.0, 2, 3]]), ([[1.0]], [[2.0]]), ([], [[1.0, 2]]), ([[]], [[]])])
def test_what_was_not_scored_on_the_same_items_is_not_compared(a, b):
    with pytest.raises(WeaklibError, match="cannot be compared"):
        runs.paired(scored(*a), scored(*b), "gain")
