"""Tables: what a cell says, which columns there are, what is bold, and the same numbers as a file."""
import csv
import io
import re
from dataclasses import replace
from itertools import product

import pytest

from weaklib import experiment, tables
from weaklib.files import WeaklibError
from weaklib.runs import Record
from weaklib.tables import Metric, Row, Table

GAIN = Metric("gain", "Gain", "dB")
WRONG = Metric("wrong", "Wrong notes", "ratio", better="lower")
ROWS = (Row("input", "Input", role="reference", random=False), Row("taught", "With sources", role="supervised"),
        Row("a", "First"), Row("b", "Second", ours=True, changes={"loss": {"weight": 0.5}, "stage": "late"}),
        Row("c", "Third", on="alone"))


def table(*metrics, rows=ROWS, splits=None, **options):
    return Table("table1", "1", "Table 1", metrics or (GAIN,), rows, splits or {"test": ""}, "A caption.", **options)


@pytest.fixture
def paper(monkeypatch):
    """Make the paper print these numbers: (row, metric, split) -> text."""
    def use(numbers):
        monkeypatch.setattr(tables, "paper_numbers", lambda paper, name: [
            {"row": row, "metric": metric, "split": split, "value": value, "method": f"The {row}", "condition": "as is"}
            for (row, metric, split), value in numbers.items()])
    use({})
    return use


def record(seed=0, corpus="dry", **scores):
    """Of one run; an underscore stands for what parts the names."""
    scores = {name.replace("_", "/"): [value - 1, value + 1] for name, value in scores.items()}
    return Record(f"run-s{seed}", {"config": {"seed": seed, "corpus": corpus}}, scores, [], {}, None, None)


def records(rows=ROWS, **found):
    """Row -> one record per number of its ``gain``, or the records given."""
    def made(row):
        return [x if isinstance(x, Record) else record(seed, **{f"{row.on}_gain".strip("_"): x})
                for seed, x in enumerate(found.get(row.key, []))]

    return {row: made(row) for row in rows}


def rendered(table, columns):
    """Head, and row title -> its cells; what stands under the table."""
    text = tables.markdown("toy", table, columns)
    grid, notes = text.rsplit("\n\n", 1)
    head, rule, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in grid.splitlines()]
    assert rule == ["---"] * len(head) and all(len(line) == len(head) for line in body)
    return head, {title: cells for title, *cells in body}, notes.rstrip("\n")


def test_what_is_measured_says_its_unit_and_which_way_is_better():
    assert [(m.heading, m.digits) for m in (GAIN, WRONG, Metric("share", "Share", "%"))] == [
        ("Gain (dB, higher is better)", 1), ("Wrong notes (lower is better)", 2), ("Share (%, higher is better)", 1)]


#: A table with a split for each of two corpora that a config names, and for a part of one of them.
SPLITS = {"FUSS": "sounds", "YFCC100m": "recordings", "bass": "bass"}
OWN = {"splits": SPLITS, "corpora": {"FUSS": "corpus", "YFCC100m": "wild"}}


def test_a_score_is_named_by_what_is_heard_metric_and_split():
    assert [table().score(row, GAIN, split) for row in (ROWS[2], ROWS[4]) for split in ("test", "bass")] == [
        "gain", "gain/bass", "alone/gain", "alone/gain/bass"]
    assert [table(**OWN).score(row, GAIN, split) for row in (ROWS[2], ROWS[4]) for split in SPLITS] == [
        "gain", "gain/wild", "gain/bass", "alone/gain", "alone/gain/wild", "alone/gain/bass"]


def test_a_metric_may_be_the_mean_of_several_scores_where_a_record_has_them():
    """However many items each has; where there is none, as in another split, it is a score of its own."""
    several = Metric("gain", "Gain", "dB", over=("two", "three", "four"))
    made = record(gain=9.0, two=1.0, four=4.0, gain_bass=7.0)
    made.scores["four"] += [4.0] * 10
    own = table(several, splits={"test": "", "bass": "", "drums": ""})
    assert [own.value(ROWS[2], several, split, made) for split in own.splits] == [2.5, 7.0, None]
    assert own.seeds(ROWS[2], several, "test", [made, record(gain=3.0)]) == [2.5, 3.0]
    assert [line["value"] for line in tables.tidy("toy", replace(own, printed=False), {ROWS[2]: [made]})] == [
        "2.500", "7.000"]


def test_a_split_may_go_by_another_name_in_records_and_a_row_may_be_about_one_split_only(paper):
    """What it is not about it has no score for, so that the cell is a dash."""
    parts = table(splits={"train": "", "val": ""}, parts={"val": "validation"})
    one = Row("one", "One", only="val", role="reference")
    assert [parts.score(ROWS[2], GAIN, split) for split in parts.splits] == ["gain/train", "gain/validation"]
    assert [parts.score(one, GAIN, split) for split in parts.splits] == ["", "gain/validation"]
    both = record(**{"gain/train": 9.0, "gain/validation": 4.0})
    own = table(rows=(one, Row("other", "Other")), splits={"train": "", "val": "val"}, parts={"val": "validation"})
    _, body, _ = rendered(own, {"here": {row: [both] for row in own.rows}})
    assert body == {"One": ["–", "4.0"], "Other": ["9.0", "4.0"]}
    assert [(line["row"], line["split"]) for line in tables.tidy("toy", own, {row: [both] for row in own.rows})] == [
        ("one", "val"), ("other", "train"), ("other", "val")]


def test_of_two_rows_with_one_key_each_shows_what_is_printed_of_its_own_split(paper):
    paper({("one", "gain", "train"): "3.0", ("one", "gain", "val"): "5.0"})
    rows = tuple(Row("one", f"One, {split}", only=split) for split in ("train", "val"))
    _, body, _ = rendered(table(rows=rows, splits={"train": "", "val": ""}), {"here": records(rows)})
    assert body == {"One, train": ["3.0", "–"], "One, val": ["–", "5.0"]}


def test_what_is_better_neither_way_has_no_best(paper):
    shift = Metric("gain", "Shift", "semitones", better="")
    assert shift.heading == "Shift (semitones)" and bold(shift, records(a=[3.0], b=[-2.0])) == [set()]


def test_a_split_may_be_a_corpus_of_its_own():
    config = {"corpus": "sounds", "wild": "scenes"}
    assert [table(**OWN).corpus(config, split) for split in SPLITS] == ["sounds", "scenes", "sounds"]
    assert table().corpus(config, "test") == table().corpus(config, "bass") == "sounds"


def test_what_stands_in_for_the_corpus_of_a_split_is_told_and_each_number_names_its_own(paper):
    paper({("a", "gain", "FUSS"): "4.5", ("a", "gain", "YFCC100m"): "3.5"})
    own = table(**OWN, stand_ins={"dry": "Dry stands in.", "scenes": "Scenes stand in.", "rooms": "Rooms stand in."})
    one = record(gain=4.0, gain_wild=3.0, gain_bass=2.0)
    one.key["config"]["wild"] = "scenes"
    head, body, notes = rendered(own, {"here": records(a=[one])})
    assert head[1:] == ["sounds: paper", "here", "recordings: paper", "here", "bass: here"]
    assert body["First"] == ["4.5", "4.0", "3.5", "3.0", "2.0"]
    assert notes.startswith("A caption. Dry stands in. Scenes stand in. One")
    lines = tables.tidy("toy", own, records(a=[one]))
    assert [(line["split"], line["corpus"], line["value"]) for line in lines] == [
        ("FUSS", "dry", "4.000"), ("YFCC100m", "scenes", "3.000"), ("bass", "dry", "2.000")]


# As the paper has it

def test_papers_number_and_ours_are_side_by_side_in_the_order_of_the_paper(paper):
    paper({("a", "gain", "test"): "4.5", ("taught", "gain", "test"): "8.25", ("a", "gain", "loud"): "3.0"})
    ours = records(taught=[7.96], a=[record(gain=4.04, gain_loud=2.0)])
    head, body, notes = rendered(table(splits={"test": "average", "loud": "loud"}), {"here": ours})
    assert head == ["Gain (dB, higher is better)", "average: paper", "here", "loud: paper", "here"]
    assert list(body) == ["Input", "With sources", "First", "Second †", "Third"]
    assert body["With sources"] == ["8.25", "8.0", "–", "–"] and body["First"] == ["4.5", "4.0", "3.0", "2.0"]
    assert body["Input"] == ["–", "not run", "–", "not run"]
    assert notes == "A caption. One random seed: no spread is known. † A row of ours."


def test_several_metrics_have_their_own_columns_and_those_without_a_number_are_left_out(paper):
    paper({("a", "wrong", "test"): "0.17"})
    quiet = Metric("quiet", "Quiet", "dB", shown=False)
    ours = records(a=[record(gain=3.0, wrong=0.2, quiet=5.0)])
    head, body, _ = rendered(table(GAIN, WRONG, quiet, splits={"test": "", "loud": "loud"}), {"here": ours})
    assert head == ["", "Gain (dB, higher is better): here", "Wrong notes (lower is better): paper", "here"]
    assert body["First"] == ["3.0", "0.17", "0.20"]
    head, _, _ = rendered(table(splits={"test": "", "loud": "loud"}), {"here": ours})
    assert head == ["Gain (dB, higher is better)", "all: here"]


def test_a_row_without_a_metric_that_others_have_was_run(paper):
    _, body, _ = rendered(table(), {"here": records(a=[3.0], b=[record(other=1.0)])})
    assert body["Second †"] == ["–"] and body["Third"] == ["not run"]


def test_several_sources_of_ours_are_beside_each_other(paper):
    paper({("a", "gain", "test"): "4.5"})
    head, body, _ = rendered(table(), {"here": records(a=[3.0]), "this machine": records(a=[5.0], c=[1.0])})
    assert head[1:] == ["all: paper", "here", "this machine"]
    assert body["First"] == ["4.5", "3.0", "**5.0**"] and body["Third"] == ["–", "not run", "1.0"]


def test_a_table_without_rows_of_ours_has_no_mark():
    rows = tuple(row for row in ROWS if not row.ours)
    text = tables.markdown("hung2021", table(rows=rows), {"here": records(rows, a=[1.0])})
    assert "†" not in text and "Bold" not in text


def test_the_caption_tells_what_a_corpus_stands_in_for_where_it_is_heard(paper):
    own = table(stand_ins={"dry": "Dry stands in.", "rooms": "Rooms stand in."})
    notes = lambda corpus: rendered(own, {"here": records(a=[record(corpus=corpus, gain=1.0)])})[2]
    assert notes("dry").startswith("A caption. Dry stands in. One") and "stand" not in notes("real")
    assert "stand in" not in rendered(own, {"here": records()})[2]


@pytest.mark.parametrize("floor", ["input", 0.5])
def test_rows_that_have_learned_nothing_are_marked_and_explained(paper, floor):
    """By the mean over seeds; not the reference, not what has no record, and nothing without a floor."""
    ours = {"here": records(input=[0.5], taught=[2.0], a=[0.3, 0.6], b=[0.4], c=[])}
    _, body, notes = rendered(table(floor=floor), ours)
    assert [row for row, cells in body.items() if cells[-1].endswith(" ‡")] == ["First", "Second †"]
    assert "‡ A row that has learned nothing" in notes
    assert "**" not in "".join(sum(body.values(), []))  # none of the weakly supervised rows is a best one then
    _, body, notes = rendered(table(), ours)
    assert "‡" not in "".join(sum(body.values(), [])) + notes


def test_a_row_that_has_learned_nothing_on_one_machine_is_marked_there_alone(paper):
    ours = {"here": records(a=[0.3], b=[0.4], c=[0.2]), "this machine": records(a=[0.9], b=[0.3], c=[0.6])}
    _, body, _ = rendered(table(floor=0.5), ours)
    assert body["First"][-2:] == ["0.3 ‡", "**0.9**"]
    assert body["Second †"][-2:] == ["0.4 ‡", "0.3 ‡"]
    assert body["Third"][-2:] == ["0.2 ‡", "0.6"]


# Seeds

@pytest.mark.parametrize("values, cell", [
    ([3.0], "3.0"), ([3.0, 4.0], "3.5 <sub>±\N{NO-BREAK SPACE}0.7 (2)</sub>"),
    ([3.0, 4.0, 5.0], "4.0 <sub>±\N{NO-BREAK SPACE}1.0</sub>"),
    ([3.0, 3.0, 3.0], "3.0 <sub>±\N{NO-BREAK SPACE}0.0</sub>")])
def test_spread_and_an_unusual_number_of_seeds(paper, values, cell):
    """The usual number is three; one alone is told too, but not of what draws nothing at random."""
    ours = records(taught=[1.0, 2.0, 3.0], a=values, input=[0.5])
    _, body, notes = rendered(table(), {"here": ours})
    assert body["First"] == [cell if len(values) > 1 else "3.0 <sub>(1)</sub>"] and body["Input"] == ["0.5"]
    assert "Mean of 3 random seeds, ± their standard deviation" in notes


def test_where_one_seed_is_usual_it_is_not_counted(paper):
    _, body, notes = rendered(table(), {"here": records(a=[3.0])})
    assert body["First"] == ["3.0"] and "One random seed: no spread is known." in notes
    assert rendered(table(), {"here": records()})[2] == "A caption. † A row of ours."


def test_zero_has_no_sign(paper):
    _, body, _ = rendered(table(), {"here": records(a=[-0.04], b=[-0.06], c=[0.04])})
    assert [body[title] for title in ("First", "Second †", "Third")] == [["**0.0**"], ["-0.1"], ["**0.0**"]]
    assert [tables.number(x, 2, "+") for x in (-0.004, -0.006, 0.0)] == ["+0.00", "-0.01", "+0.00"]


# The best

def bold(metric, ours):
    """Titles in bold, by column."""
    head, body, notes = rendered(table(metric), {"here": ours})
    found = [{title for title, cells in body.items() if cells[i].startswith("**")} for i in range(len(head) - 1)]
    assert ("Bold: the best of the weakly supervised rows." in notes) == any(found)
    return found


def test_the_best_weak_row_is_bold_in_each_column(paper):
    paper({("taught", "gain", "test"): "9.0", ("a", "gain", "test"): "4.0", ("c", "gain", "test"): "4.2"})
    ours = records(input=[7.0], taught=[8.0], a=[3.0, 4.0, 5.0], b=[3.8])
    assert bold(GAIN, ours) == [{"Third"}, {"First"}]


def test_lower_may_be_better(paper):
    ours = records(taught=[record(wrong=0.1)], a=[record(wrong=0.3)], b=[record(wrong=0.2)])
    assert bold(WRONG, ours) == [{"Second †"}]


@pytest.mark.parametrize("a, b, c, best", [
    (5.84, 5.79, 5.7, {"First", "Second †"}),     # 5.8, 5.8, 5.7
    (5.46, 5.44, 1.0, {"First"}),                 # 5.5, 5.4: near, but not the same in print
    (2.0, 2.0, 2.0, {"First", "Second †", "Third"})])
def test_what_is_printed_alike_is_equally_good(paper, a, b, c, best):
    assert bold(GAIN, records(a=[a], b=[b], c=[c])) == [best]


def test_one_weak_row_alone_is_not_the_best(paper):
    assert bold(GAIN, records(taught=[3.0], a=[5.0])) == [set()]


def test_rows_on_different_corpora_do_not_compete(paper):
    rows = (*ROWS[:4], Row("d", "Third, rooms", changes={"corpus": "rooms"}),
            Row("e", "Fourth, rooms", changes={"corpus": "rooms"}), Row("f", "Hall", changes={"corpus": "hall"}))
    _, body, _ = rendered(table(rows=rows), {"here": records(rows, a=[5.0], b=[4.0], d=[1.0], e=[2.0], f=[9.0])})
    assert [title for title, cells in body.items() if "**" in cells[0]] == ["First", "Fourth, rooms"]


# As a file

def test_a_file_has_one_value_per_line(paper):
    paper({("a", "gain", "test"): "4.5"})
    hidden = Metric("quiet", "Quiet", "dB", shown=False)
    ours = records(a=[record(0, gain=4.0004, quiet=1.0), record(2, "hall", gain_loud=3.0)], b=[record(gain=5.0)])
    text = tables.as_csv(tables.COLUMNS, tables.tidy("toy", table(GAIN, hidden, splits={"test": "", "loud": ""}), ours))
    assert text.splitlines()[0] == "paper,table,row,method,condition,split,corpus,metric,seed,value,unit,run"
    assert list(csv.reader(io.StringIO(text)))[1:] == [
        ["toy", "1", "a", "The a", "as is", "test", "dry", "gain", "0", "4.000", "dB", "run-s0"],
        ["toy", "1", "a", "The a", "as is", "test", "dry", "quiet", "0", "1.000", "dB", "run-s0"],
        ["toy", "1", "a", "The a", "as is", "loud", "hall", "gain", "2", "3.000", "dB", "run-s2"],
        ["toy", "1", "b", "Second", "loss.weight=0.5;stage=late", "test", "dry", "gain", "0", "5.000", "dB", "run-s0"]]


def test_paper_numbers_are_there():
    numbers = {(n["row"], n["split"], n["metric"]): n["value"] for n in tables.paper_numbers("wisdom2020", "table1")}
    assert numbers["unsup_fuss16", "FUSS", "momi"] == "10.9"
    assert tables.printed("hung2021", "text")["fpr_finetune_aml", "false_positive_rate", "all"] == "0.17"


def test_a_table_without_a_file_of_numbers_is_told():
    with pytest.raises(WeaklibError, match=r"table x of hung2021 has no file .*/hung2021_x\.csv, with the header"):
        tables.paper_numbers("hung2021", "x")


#: What is printed beside the rows of a table: not of a model, but about several, or of another paper's.
ABOUT = {("wisdom2020", "enhancement"): {"ratio"}, ("wisdom2020", "figure2"): {
    "mismatch_1or2src_libri", "mismatch_1or2src_wsj", "mismatch_2src_high", "mismatch_2src_low", "pooled_std",
    "small_supervision_pct", "sota_wsj8k_nachmani", "sota_wsj8k_wavesplit", "unsup_vs_sup_2src_anechoic"}}


@pytest.mark.parametrize("key", experiment.PAPERS)
def test_every_row_that_a_paper_prints_is_in_the_grid(key):
    """With its metrics and splits, and once; of several rows with one key, each is about another corpus or split."""
    paper = experiment.load(key)
    for table_ in [one for one in paper.grid.tables if one.name != "text"]:  # which is about anything
        printed, about = tables.printed(key, table_.name), ABOUT.get((key, table_.name), set())
        cells = {(row.key, metric.key, split) for row in table_.rows for metric in table_.metrics
                 for split in table_.splits}
        assert {cell for cell in printed if cell[0] not in about} <= cells, table_.name
        assert about == {row for row, _, _ in printed} - {row.key for row in table_.rows}, table_.name
        assert len({(row.key, row.of, row.only) for row in table_.rows}) == len(table_.rows)
    own = {row for table_ in paper.grid.tables for row in table_.rows if not row.of} | set(paper.grid.others)
    assert len({(row.key, row.kind, row.changes.get("corpus")) for row in own}) == len(own)


@pytest.mark.parametrize("key", experiment.PAPERS)
def test_no_number_of_ours_is_shown_for_two_splits(key):
    """A row that is tested on one of several corpora says on which."""
    for table_ in experiment.load(key).grid.tables:
        for row, metric in product(table_.rows, table_.metrics):
            names = [table_.score(row, metric, split) for split in table_.splits if table_.covers(row, split)]
            assert len(set(names)) == len(names), (table_.name, row.key)


@pytest.mark.parametrize("key", experiment.PAPERS)
def test_whatever_a_paper_prints_of_our_rows_and_columns_is_shown(key):
    """Number by number, as it is printed; without a record of ours."""
    for sheet in experiment.load(key).sheets("full"):
        text = tables.markdown(key, sheet.table, {"here": {row: [] for row in sheet.rows}})
        cells = [cell for line in text.split("\n\n")[0].splitlines()[2:] for cell in line.split("|")[2:]]  # no titles
        shown = sorted(re.findall(r"-?\d+\.\d+", " ".join(cells).replace("*", "")))
        metrics = {metric.key for metric in sheet.table.metrics}
        keys = {row.key for row in sheet.rows}
        assert shown == sorted(value for (row, metric, split), value in tables.printed(key, sheet.table.name).items()
                               if row in keys and metric in metrics and split in sheet.table.splits)
