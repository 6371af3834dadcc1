"""What is written comes from records, each read once, and the check finds whatever does not."""
import re
from dataclasses import replace

import pytest
import torch
import toy

from weaklib import experiment, files, report, runs, weights
from weaklib.files import WeaklibError

paper = toy.PAPER


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Committed results of the toy at `laptop`, with invented scores, in a place of their own."""
    toy.install(monkeypatch)
    monkeypatch.setattr(files, "results", lambda: tmp_path / "results")
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(runs, "_git", lambda *args: "c0ffee" if args[0] == "rev-parse" else "")
    for row, gain in {"input": 0.0, "best": 6.0, "plain": 4.5}.items():
        commit(row, "laptop", gain=[gain - 1, gain + 1])
    (tmp_path / "README.md").write_text("# x\n\n{}\nyesterday\n{}\n\ntail\n".format(*report.MARKS))
    report.write(report.committed())
    return tmp_path / "results"


def commit(row, preset, seed=0, **scores):
    record = runs.get(paper.config(row, preset, seed), lambda *_: (scores, [], None), fresh=True)
    return runs.publish(record, preset)


# What is written

def test_every_table_and_ledger_is_written_and_passes_the_check(results):
    assert sorted(str(path.relative_to(results.parent)) for path in results.parent.rglob("*.*")
                  if path.is_file() and "runs" not in path.parts) == [
        "README.md", "results/README.md", "results/claims.csv", "results/claims.md", "results/laptop/toy/table1.csv",
        "results/laptop/toy/table1.md"]  # table2 has no number
    assert report.check() == []
    assert (results / "laptop" / "toy" / "table1.md").read_text().startswith("# toy\n\n## Table 1: gains\n\n| Gain")


def test_numbers_are_those_of_the_records(results):
    assert "| Plain | 4.0 | 4.5 |" in (results / "laptop/toy/table1.md").read_text()
    lines = (results / "laptop/toy/table1.csv").read_text().splitlines()
    assert [line.split(",")[9] for line in lines if ",plain," in line] == ["4.500"]
    assert [re.split(",", line)[1:3] for line in (results / "claims.csv").read_text().splitlines()[1:]] == [
        ["t01", "inconclusive"], ["t02", "not tested here"], ["t03", "not tested here"]]
    ledger = (results / "claims.md").read_text()
    assert ledger.startswith("# Claims\n\n## Toy, 2026\n\n| Claim ")
    assert "**inconclusive**<br>plain − input: +4.5 dB" in ledger
    assert "### Discussion" in ledger and "\n* **t01**, inconclusive (preset laptop). " in ledger
    assert report.discussion("toy") in ledger and "t01" not in report.discussion("toy", ["t02"])


def test_a_row_that_was_not_run_stands_in_the_table_all_the_same(results):
    commit("plain", "full", gain=[2.0])
    text = report.committed()[results / "full" / "toy" / "table1.md"]
    assert "| Tuned † | – | not run |" in text and "| Plain | 4.0 | 2.0 |" in text


def test_the_readme_keeps_what_is_around_its_region(results):
    text = (results.parent / "README.md").read_text()
    begin, end = report.MARKS
    assert text.startswith(f"# x\n\n{begin}\n\n| Paper ") and text.endswith(f"\n{end}\n\ntail\n")
    assert "yesterday" not in text
    assert ("| Toy, 2026 | nothing | share of what sources give | 80 % | 75 % (one seed) | "
            "0 of 1 tested, 1 inconclusive (3 in all) | laptop |") in text
    assert text.split(begin)[1].split(end)[0].strip() in (results / "README.md").read_text()
    for rest in ("# x", begin, end):
        (results.parent / "README.md").write_text(rest)
        with pytest.raises(WeaklibError, match="lost its marks"):
            report.committed()
    (results.parent / "README.md").unlink()
    assert results.parent / "README.md" not in report.committed()


def test_the_index_leads_to_all_that_is_there(results):
    (results / "laptop" / "notebooks").mkdir()
    (results / "laptop" / "notebooks" / "01_toy.ipynb").touch()
    commit("plain", "gpu", gain=[5.0], second__error=[0.1])
    report.write(texts := report.committed())
    found = re.findall(r"\]\(([^)]*)\)", texts[results / "README.md"])
    assert found == ["claims.md", "claims.csv", "gpu/toy/table1.md", "laptop/toy/table1.md",
                     "laptop/notebooks/01_toy.ipynb"]
    assert all((results / link).exists() for link in found)
    assert report.check() == []  # a notebook is no table


def test_a_record_is_read_once_for_all_that_is_made_of_it(results, monkeypatch):
    runs._read.cache_clear()
    real, read = files.read_json, []
    monkeypatch.setattr(files, "read_json", lambda path: read.append(path) or real(path))
    report.committed()
    assert sorted(read) == sorted(results.glob("*/*/runs/*.json")) and len(read) == 3


def test_a_record_that_changes_is_read_again(results):
    path = next((results / "laptop" / "toy" / "runs").glob("plain*.json"))
    commit("plain", "laptop", gain=[100.0])
    assert runs.read(path).mean("gain") == 100 and "| Plain | 4.0 | 100.0 |" in report.committed()[
        results / "laptop" / "toy" / "table1.md"]


def test_this_machines_tables_are_beside_the_committed_ones(results):
    runs.get(paper.config("plain", "laptop"), lambda *_: ({"gain": [5.0]}, [], None), fresh=True)
    texts = report.local("laptop")
    root = results / "local"
    assert {str(path.relative_to(root)) for path in texts} == {
        "laptop/toy/table1.csv", "laptop/toy/table1.md", "claims.csv", "claims.md"}
    assert "| Plain | 4.0 | 4.5 | 5.0 |" in texts[root / "laptop" / "toy" / "table1.md"]
    report.write(texts)
    (root / "laptop" / "notes.md").touch()
    assert report.check() == []  # nobody commits what lies under local
    assert report.local("smoke") == {}


def test_seeds_that_were_asked_for_are_in_the_tables_of_this_machine(results):
    for seed in (1, 2):
        runs.get(paper.config("plain", "laptop", seed), lambda cfg, folder: ({"gain": [5.0 + cfg.seed]}, [], None))
    table = lambda seeds: report.local("laptop", seeds)[results / "local" / "laptop" / "toy" / "table1.md"]
    assert "| Plain | 4.0 | 4.5 | 4.5 |" in table(None)
    assert "| Plain | 4.0 | 4.5 <sub>(1)</sub> | 5.8 <sub>±\N{NO-BREAK SPACE}1.3</sub> |" in table(3)  # of 4.5, 6 and 7


# Which presets

def test_the_fullest_preset_is_the_dearest_with_records(results):
    assert report.fullest("toy") == "laptop" and report.fullest("mozart") is None
    commit("plain", "gpu", gain=[5.0])
    commit("plain", "full", gain=[5.0])
    assert report.fullest("toy") == "gpu"


def test_the_ledger_has_each_preset_with_records_the_dearest_first(results):
    commit("plain", "gpu", gain=[5.0])
    assert {e["preset"] for e in report.ledger("toy", ("laptop", "full", "gpu"))} == {"laptop"}  # nothing to compare
    commit("input", "gpu", gain=[5.0])
    found = report.ledger("toy", ("laptop", "full", "gpu"))
    assert [(e["preset"], e["claim_id"]) for e in found] == [
        (preset, claim) for preset in ("gpu", "laptop") for claim in ("t01", "t02", "t03")]
    assert found[3]["runs"] and not found[4]["runs"]


def test_a_notebook_shows_its_claims_beside_the_fullest_committed_ones(results):
    columns = lambda *args, **given: report.verdicts("toy", *args, **given).splitlines()[0].split(" | ")[4:]
    runs.get(paper.config("plain", "smoke"), lambda *_: ({"gain": [5.0]}, [], None))
    runs.get(paper.config("input", "smoke"), lambda *_: ({"gain": [1.0]}, [], None))
    assert columns("laptop", "committed") == ["laptop |"]
    assert columns("smoke", "local") == ["smoke, this machine", "laptop |"]
    assert columns("laptop", "local") == ["laptop, this machine", "laptop |"]
    text = report.verdicts("toy", "smoke", "local")
    assert "plain − input: +4.0 dB |" in text and "plain − input: +4.5 dB |" in text
    for path in results.glob("*/*/runs/*"):
        path.unlink()
    assert columns("smoke", "local") == ["smoke, this machine |"]


def test_a_paper_without_records_has_no_part_in_the_ledger(results, monkeypatch):
    real = report.ledger
    monkeypatch.setattr(experiment, "PAPERS", ("other", "toy"))
    monkeypatch.setattr(experiment, "load", lambda key: paper)
    monkeypatch.setattr(report, "ledger", lambda key, *args: real(key, *args) if key == "toy" else [])
    assert report.committed()[results / "claims.md"].count("## Toy, 2026") == 1


# What is found

def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("damage, says", [
    (lambda results: edit(results / "laptop/toy/table1.csv", "4.500", "6.500"), "laptop/toy/table1.csv: differs"),
    (lambda results: edit(results / "laptop/toy/table1.md", "4.5", "6.5"), "laptop/toy/table1.md: differs"),
    (lambda results: edit(results / "claims.md", "4.5", "6.5"), "claims.md: differs"),
    (lambda results: edit(results.parent / "README.md", "75 %", "95 %"), "README.md: differs"),
    (lambda results: edit(results / "README.md", "75 %", "95 %"), "results/README.md: differs"),
    (lambda results: (results / "claims.csv").unlink(), "claims.csv: differs"),
    (lambda results: next(results.glob("*/*/runs/plain*")).unlink(), "laptop/toy/table1.csv: differs"),
    (lambda results: edit(next(results.glob("*/*/runs/plain*")), "5.5", "7.5"), "damaged, edited"),
    (lambda results: (results / "gpu/toy").mkdir(parents=True) or (results / "gpu/toy/table1.csv").touch(),
     "gpu/toy/table1.csv: no record supports this file"),
    (lambda results: [path.unlink() for path in results.glob("*/*/runs/*")], "claims.md: no record supports this file"),
])
def test_the_check_finds_damage(results, damage, says):
    damage(results)
    assert any(says in problem for problem in report.check())


@pytest.mark.parametrize("move", [
    lambda path, root: path.rename(path.with_name("other-s0-0123456789.json")),
    lambda path, root: move_to(path, root / "smoke" / "toy" / "runs"),
    lambda path, root: move_to(path, root / "laptop" / "mozart" / "runs"),
    lambda path, root: move_to(path, root / "gpu" / "toy" / "runs"),
])
def test_the_check_finds_records_where_they_do_not_belong(results, move):
    move(next(results.glob("*/*/runs/plain*")), results)
    assert ["does not belong" in problem for problem in report.check()] == [True]


def move_to(path, folder):
    folder.mkdir(parents=True)
    path.rename(folder / path.name)


def test_the_check_finds_a_record_that_no_row_asks_for(results):
    """Of a config that was changed since, or of a seed that the preset does not have."""
    old = replace(paper.config("plain", "laptop"), loss=toy.Loss(weight=0.3))
    runs.publish(runs.get(old, lambda *_: ({"gain": [1.0]}, [], None)), "laptop")
    assert [old.id in problem and "does not belong" in problem for problem in report.check()] == [True]


def test_the_check_says_that_a_revision_was_raised(results, monkeypatch):
    monkeypatch.setattr(toy.Config, "revision", 2)
    problems = report.check()
    assert problems and all("made at revision 1 of a method that is now at 2; delete it" in p for p in problems)


def test_the_check_finds_a_commit_that_is_dirty_or_unknown(results, monkeypatch):
    for git in (lambda *args: "c0ffee", lambda *args: None):  # a status that is not empty; no git
        monkeypatch.setattr(runs, "_git", git)
        commit("plain", "laptop", gain=[1.0])
        assert ["clean commit" in problem for problem in report.check()] == [True]


def test_the_check_finds_rows_that_go_on_from_different_trainings_of_one_model(results):
    """As when the model was trained again on another machine; only what goes on from the same may be compared."""
    def trained(row, seed, model=None):
        cfg = paper.config(row, "full", seed)
        record = runs.get(cfg, lambda *_: ({"gain": [3.0]}, [], model), fresh=True)
        runs.publish(record, "full")
        return record

    torch.manual_seed(0)
    plain = trained("plain", 0, torch.nn.Linear(2, 2))
    tuned = trained("tuned", 0)
    assert tuned.provenance["starts"] == {plain.id: plain.weights["sha256"]}
    report.write(report.committed())
    assert report.check() == []
    trained("plain", 0, torch.nn.Linear(2, 2))
    problem, = report.check()
    assert plain.id in problem and tuned.id in problem and "different trainings" in problem


# Publishing

def test_all_of_this_machines_records_are_published_and_the_shipped_weights_too(results, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "__file__", str(tmp_path / "package" / "weights.py"))
    (tmp_path / "package" / "checkpoints").mkdir(parents=True)
    assert report.publish("laptop") == 3 and not list(tmp_path.glob("package/checkpoints/*"))  # made without weights
    network = toy.build(None)
    scores = {"gain": [3.0], "second/error": [0.1]}
    made = [runs.get(paper.config("plain", "full", seed), lambda *_: (scores, [], network), fresh=True)
            for seed in (0, 1)]
    assert report.publish("full") == 4  # with two runs of laptop that full has too
    assert {record.id for record in made} < {path.stem for path in (results / "full" / "toy" / "runs").iterdir()}
    tensors, about = weights.load(tmp_path / "package" / "checkpoints" / "toy.safetensors")
    assert about["id"] == made[0].id and tensors["weight"].dtype.itemsize == 2
    assert tensors["weight"].item() == pytest.approx(network.weight.item(), rel=1e-3)
    tuned = runs.get(paper.config("tuned", "full"), lambda *_: ({"second/error": [0.1]}, [], network), fresh=True)
    report.publish("full")
    assert weights.about(tmp_path / "package" / "checkpoints" / "toy-tuned.safetensors")["id"] == tuned.id
    with torch.no_grad():
        network.weight.mul_(2)
    runs.get(paper.config("plain", "laptop"), lambda *_: ({"gain": [3.0]}, [], network), fresh=True)
    report.publish("laptop")  # a cheaper preset leaves what is there
    assert torch.equal(weights.load(tmp_path / "package" / "checkpoints" / "toy.safetensors")[0]["weight"],
                       tensors["weight"])
    with pytest.raises(WeaklibError, match="smoke"):
        runs.get(paper.config("plain", "smoke"), lambda *_: ({"gain": [3.0]}, [], None))
        report.publish("smoke")


def test_what_cannot_be_shipped(results):
    for model, says in ((None, "not on this machine"), (torch.nn.Linear(1500, 1001), "take 3.0 MB")):
        record = runs.get(paper.config("plain", "gpu"), lambda *_: ({"gain": [3.0]}, [], model), fresh=True)
        with pytest.raises(WeaklibError, match=says):
            report.ship(record, "toy")
