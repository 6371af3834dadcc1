"""Tables come from records, and the check finds what does not."""
from functools import partial

import pytest

from weaklib import files, papers, report, runs, tables
from weaklib.papers import wisdom2020


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Committed results of wisdom2020 at `laptop` with invented scores, in a place of their own."""
    monkeypatch.setattr(files, "results", lambda: tmp_path / "results")
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(runs, "_git", lambda *args: "c0ffee" if args[0] == "rev-parse" else "")
    numbers = {"input_mixture": 0.0, "dry_1or2src_matched_unsup0": 5.0, "dry_1or2src_matched_unsup100": 4.5,
               "dry_2src_matched_unsup100": 3.0}
    for row, value in numbers.items():
        record = runs.get(wisdom2020.config(row, "laptop"),
                          lambda cfg, folder: ({"si_snri": [value - 1, value + 1], "si_snr": [value, value]}, [], None))
        runs.publish(record, "laptop")
    (tmp_path / "README.md").write_text("# x\n\n{}\n{}\n\ntail\n".format(*report.MARKS))
    report.write(report.committed())
    return tmp_path / "results"


def test_written_results_pass_the_check(results):
    assert report.check() == []


def test_csv_has_the_public_columns_and_means(results):
    lines = (results / "laptop" / "wisdom2020" / "figure2.csv").read_text().splitlines()
    assert lines[0] == "paper,table,row,method,condition,split,corpus,metric,seed,value,unit,run"
    found = [line for line in lines if ",dry_1or2src_matched_unsup100," in line and ",si_snri," in line]
    assert len(found) == 1 and ",MixIT," in found[0] and ",0,4.500,dB,dry_1or2src_matched_unsup100-s0-" in found[0]


def test_markdown_says_what_was_not_run(results):
    text = report.markdown(wisdom2020.figure2("full"), "full", "committed")
    assert "not run" in text and "4.5" not in text


@pytest.mark.parametrize("damage", ["number", "record", "edit", "extra", "readme"])
def test_check_finds(results, damage):
    table = results / "laptop" / "wisdom2020" / "figure2.csv"
    record = next((results / "laptop" / "wisdom2020" / "runs").glob("dry_2src*.json"))
    if damage == "number":
        table.write_text(table.read_text().replace("4.500", "6.500"))
    elif damage == "record":
        record.unlink()
    elif damage == "edit":
        record.write_text(record.read_text().replace("2.0", "8.0", 1))
    elif damage == "extra":
        (results / "gpu" / "wisdom2020").mkdir(parents=True)
        (results / "gpu" / "wisdom2020" / "figure2.csv").write_text("invented")
    else:
        readme = results.parent / "README.md"
        readme.write_text(readme.read_text().replace("4.5", "6.5"))
    assert report.check()


def test_check_finds_a_dirty_commit(results, monkeypatch):
    monkeypatch.setattr(runs, "_git", lambda *args: "c0ffee")  # a status that is not empty
    record = runs.get(wisdom2020.config("dry_2src_matched_unsup100", "laptop"),
                      lambda cfg, folder: ({"si_snri": [1.0]}, [], None), fresh=True)
    runs.publish(record, "laptop")
    report.write(report.committed())
    assert any("clean commit" in problem for problem in report.check())


def values_from(numbers):
    return lambda row, metric: numbers.get(row, [])


@pytest.mark.parametrize("claim, numbers, want", [
    ("x01", {"dry_1or2src_matched_unsup0": [5.0], "dry_1or2src_matched_unsup100": [4.2],
             "reverb_1or2src_matched_unsup0": [4.0], "reverb_1or2src_matched_unsup100": [4.9]}, tables.HOLDS),
    ("x01", {"dry_1or2src_matched_unsup0": [5.0], "dry_1or2src_matched_unsup100": [4.2]}, tables.PARTLY),
    ("x01", {"dry_1or2src_matched_unsup0": [5.0], "dry_1or2src_matched_unsup100": [3.0]}, tables.FAILS),
    ("x01", {"dry_1or2src_matched_unsup0": [5.0]}, tables.UNTESTED),
    ("x01", {"dry_1or2src_matched_unsup0": [5.0], "dry_1or2src_matched_unsup100": [4.5],
             "reverb_1or2src_matched_unsup0": [5.0], "reverb_1or2src_matched_unsup100": [2.0]}, tables.PARTLY),
    ("x02", {"dry_2src_matched_unsup0": [5.0], "dry_2src_matched_unsup100": [3.0],
             "reverb_2src_matched_unsup0": [4.0], "reverb_2src_matched_unsup100": [3.0]}, tables.HOLDS),
    ("x02", {"dry_2src_matched_unsup0": [5.0], "dry_2src_matched_unsup100": [1.0],
             "reverb_2src_matched_unsup0": [4.0], "reverb_2src_matched_unsup100": [3.0]}, tables.PARTLY),
    ("x02", {"dry_2src_matched_unsup0": [1.0], "dry_2src_matched_unsup100": [3.0],
             "reverb_2src_matched_unsup0": [4.0], "reverb_2src_matched_unsup100": [1.0]}, tables.FAILS),
    ("x06", {"dry_1or2src_matched_unsup100": [4.0, 5.0], "dry_2src_matched_unsup100": [3.0, 4.0],
             "reverb_1or2src_matched_unsup100": [4.0], "reverb_2src_matched_unsup100": [3.0]}, tables.HOLDS),
    ("x06", {"dry_1or2src_matched_unsup100": [4.0, 5.0], "dry_2src_matched_unsup100": [3.0, 4.0]}, tables.PARTLY),
    ("x06", {"dry_1or2src_matched_unsup100": [3.0], "dry_2src_matched_unsup100": [4.0]}, tables.FAILS),
])
def test_claims(claim, numbers, want):
    assert wisdom2020.CLAIMS[claim].test(values_from(numbers))[0] == want


def test_every_claim_of_the_paper_is_in_the_ledger():
    entries = tables.ledger("wisdom2020", "laptop", wisdom2020.CLAIMS, [])
    assert [e["claim_id"] for e in entries] == [f"x{n:02d}" for n in range(1, 14)]
    assert {e["verdict"] for e in entries} == {tables.UNTESTED}


def test_paper_numbers_are_there():
    numbers = {(n["row"], n["split"], n["metric"]): n["value"] for n in tables.paper_numbers("wisdom2020", "table1")}
    assert numbers["unsup_fuss16", "FUSS", "momi"] == "10.9"


def test_papers_by_name():
    assert papers.load("wisdom2020") is wisdom2020
    with pytest.raises(files.WeaklibError, match="wisdom2020"):
        papers.load("wisdom1999")


def test_seeds_are_counted_once_where_nothing_is_random(results):
    table = wisdom2020.figure2("full")
    assert table.n_seeds == 3
    line = next(line for line in table.lines if line.row == "input_mixture")
    assert len({line.config(seed).id for seed in range(3)}) == 1
    assert len({partial(wisdom2020.config, "dry_2src_matched_unsup0", "full")(s).id for s in range(3)}) == 3
