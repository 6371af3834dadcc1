"""A method and its grid put together: configs of rows, the order of runs, sheets and what fills them."""
import json
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
import toy

from weaklib import claims, experiment, jobs, presets, runs, training
from weaklib.files import WeaklibError

paper = toy.PAPER


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    return tmp_path


def run(cfg, **options):
    return jobs.train([cfg], device="cpu", **options)[0]


# Papers and rows

def test_the_network_of_a_row_is_the_one_this_machine_trained_or_the_one_that_comes_along(home, monkeypatch):
    monkeypatch.setattr(experiment.Experiment, "network",
                        lambda self, record=None, checkpoint="": record.id if record else checkpoint)
    with pytest.raises(WeaklibError, match="'With sources' is not here.*preset laptop.*records = \"local\"") as e:
        paper.trained("best", "laptop")
    assert str(e.value).endswith(".") and "\n" not in str(e.value)
    assert [paper.trained(row, "laptop") for row in ("plain", "tuned")] == ["toy", "toy-tuned"]  # come with the package
    assert paper.trained("plain", "paper") == "toy"
    with pytest.raises(WeaklibError, match="not here"):  # what it is compared with there is of another size
        paper.trained("tuned", "paper")
    monkeypatch.setattr(experiment, "load", lambda key: paper)
    for row in ("best", "plain"):
        record = run(paper.config(row, "laptop", seed=1))
        assert paper.trained(paper.grid.row(row), "laptop", seed=1) == record.id
    with pytest.raises(WeaklibError, match="not here"):
        paper.trained("best", "laptop", seed=0)


def test_papers_by_name():
    found = experiment.load("hung2021")
    assert (found.key, found.method.__name__, found.module.__name__) == (
        "hung2021", "weaklib.papers.hung2021", "weaklib.grids.hung2021")
    assert experiment.load("hung2021") is found
    with pytest.raises(WeaklibError, match="'wisdom1999'; choose one of " + ", ".join(experiment.PAPERS)):
        experiment.load("wisdom1999")


@pytest.mark.parametrize("key", experiment.PAPERS)
def test_unknown_rows_and_presets_are_refused_with_the_known_ones(key):
    found = experiment.load(key)
    first = found.grid.tables[0].rows[0].key
    for row in ("", "isolated", "dry_2src"):
        with pytest.raises(WeaklibError, match=f"Unknown row '{row}'; choose one of .*{first}.*"):
            found.config(row, "laptop")
    for ask in (lambda: found.config(first, "huge"), lambda: found.sheets("huge"),
                lambda: found.configs("huge")):
        with pytest.raises(WeaklibError, match="'huge'.*smoke, laptop, full, gpu, paper"):
            ask()


@pytest.mark.parametrize("key", experiment.PAPERS)
def test_every_row_of_every_preset_has_a_config_of_its_own(key):
    """But those that report on another's runs; labels are the rows' keys. Corpora are those of the preset, or of laptop
    for full, and for gpu where a paper wants no more.
    """
    found = experiment.load(key)
    for preset in ("smoke", "laptop", "full", "gpu", "paper"):
        own = list(dict.fromkeys(row for sheet in found.sheets(preset) for row in sheet.rows if not row.of))
        configs = [found.config(row, preset) for row in own]
        assert len({cfg.id for cfg in configs}) == len(own)
        assert [cfg.label for cfg in configs] == [row.key for row in own]
        assert {cfg.preset for cfg in configs} <= ({"laptop", "gpu"} if preset in ("full", "gpu") else {preset})


@pytest.mark.parametrize("key", experiment.known())
def test_a_row_that_a_claim_compares_has_all_seeds(key):
    found = experiment.load(key)
    preset = "full" if found.grid.has("full") else "gpu"
    cells = set(claims.compared(found.grid.claims))
    assert cells
    for sheet in found.sheets(preset):
        for row in sheet.rows:
            if any(cell.row == row.key and cell.corpus in (None, sheet.corpus(row, cell.split)) for cell in cells):
                every = {found.config(row, preset, seed).id for seed in range(presets.SEEDS[preset])}
                assert {cfg.id for cfg in sheet.configs(row)} == every, row.key


@pytest.mark.parametrize("papers, grids, says", [
    (None, {}, r"The paper nobody1999 has no module weaklib/papers/nobody1999\.py; write it"),
    ({"Config": 0, "build": 0, "task": 0}, {}, r"papers/nobody1999\.py has no CRITERION and no score; CONTRIBUTING"),
    (dict.fromkeys(experiment.NEEDED), None, r"no module weaklib/grids/nobody1999\.py"),
    (dict.fromkeys(experiment.NEEDED), {}, r"weaklib/grids/nobody1999\.py has no GRID")])
def test_what_a_new_paper_lacks_is_said(monkeypatch, papers, grids, says):
    monkeypatch.setattr(experiment, "PAPERS", ("nobody1999",))
    for room, content in (("papers", papers), ("grids", grids)):
        if content is not None:
            module = types.ModuleType(f"weaklib.{room}.nobody1999")
            vars(module).update(content)
            monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(WeaklibError, match=says):
        experiment.load("nobody1999")


def test_unknown_fields_and_missing_presets_are_refused_with_the_known_ones():
    for row, given in ((toy.Row("x", "X", changes={"loss": {"wait": 1}}), {}), ("plain", {"los": 1})):
        with pytest.raises(WeaklibError, match=r"toy has no (Loss\.wait|Config\.los), .*(weight, power|label, seed)"):
            paper.config(row, "smoke", **given)
    grid = replace(toy.GRID, presets={"smoke": toy.GRID.presets["smoke"]})
    with pytest.raises(WeaklibError, match="'Toy, 2026' has no preset laptop; choose one of smoke, or add it"):
        grid.preset("full")


# Configs

def test_a_config_is_the_preset_then_the_kind_of_training_then_the_row():
    cfg = paper.config("plain", "laptop", seed=3)
    assert cfg == toy.Config(
        label="plain", seed=3, loss=toy.Loss(weight=0.5, power=2), plan=training.Plan(steps=3, warmup=0),
        critic=toy.Config(label="judge", seed=3, stage="judge"))
    assert paper.config("tuned", "laptop").plan.steps == 1 and paper.config("tuned", "laptop").seed == 0
    assert paper.config("plain", "gpu").plan == toy.Config().plan  # a kind that the preset says nothing of
    assert paper.config("plain", "full", 3) == cfg and paper.config(toy.ROWS[2], "laptop", 3) == cfg


def test_a_row_starts_from_others_down_to_the_first():
    cfg = paper.config("tuned", "smoke", seed=2)
    assert cfg.start == paper.config("plain", "smoke", seed=2)
    assert cfg.start.critic == paper.config("judge", "smoke", seed=2)


def test_a_row_may_report_on_the_runs_of_another():
    assert paper.config("errors_tuned", "smoke", 1) == paper.config("tuned", "smoke", 1)
    of_rooms = next(row for row in toy.ROWS if row.of)
    assert paper.config(of_rooms, "smoke") == paper.config("input_rooms", "smoke")
    assert paper.config("input", "smoke").corpus == "dry"  # by its key, the one that has runs of its own


def test_nothing_random_has_one_seed():
    assert paper.config("input", "full", seed=2).seed == 0
    for seeds in (None, 5):
        sheet = paper.sheets("full", seeds)[0]
        assert [cfg.seed for cfg in sheet.configs(toy.ROWS[0])] == [0]
        assert [cfg.seed for cfg in sheet.configs(next(row for row in toy.ROWS if row.of))] == [0]


def test_what_is_given_once_is_not_there_the_next_time():
    before = paper.config("tuned", "laptop")
    assert paper.config("tuned", "laptop", corpus="rooms") != before
    assert paper.config("tuned", "laptop") == before and before.corpus == before.start.corpus == "dry"
    assert paper.config("tuned", "laptop", 1).seed == 1 and paper.config("tuned", "smoke").preset == "smoke"


def test_what_is_given_reaches_all_that_a_run_starts_from():
    cfg = paper.config("tuned", "laptop", corpus="rooms", loss=toy.Loss(power=1))
    assert cfg.corpus == cfg.start.corpus == cfg.start.critic.corpus == "rooms"
    assert cfg.loss == cfg.start.loss == cfg.start.critic.loss == toy.Loss(power=1)
    assert {c.corpus for c in paper.configs("full", corpus="hall")} == {"hall"}
    assert {c.corpus for s in paper.sheets("full", corpus="hall") for row in s.rows for c in s.configs(row)} == {"hall"}


@pytest.mark.parametrize("preset, seeds, want", [
    ("smoke", None, {"best": 1, "plain": 1}), ("full", None, {"best": 3, "plain": 3, "tuned": 2, "rooms": 3}),
    ("paper", None, {"best": 1, "plain": 1, "tuned": 1, "rooms": 1}),
    ("full", 1, {"best": 1, "plain": 1, "tuned": 1, "rooms": 1}),
    ("laptop", 5, {"best": 5, "plain": 5}), ("full", 5, {"best": 5, "plain": 5, "tuned": 5, "rooms": 5})])
def test_seeds_are_the_presets_at_most_the_rows_own_and_anyway_those_asked_for(preset, seeds, want):
    sheet, _ = paper.sheets(preset, seeds)
    found = {row.key: [cfg.seed for cfg in sheet.configs(row)] for row in sheet.rows if row.random}
    assert found == {row: list(range(n)) for row, n in want.items()}


def test_seeds_of_a_row_that_reports_on_another_are_the_others():
    _, sheet = paper.sheets("full")
    assert {row.key: len(sheet.configs(row)) for row in sheet.rows} == {"errors_plain": 3, "errors_tuned": 2}


@pytest.mark.parametrize("preset, n", [("smoke", 4), ("full", 1 + 3 + 3 * 2 + 2 + 1 + 3)])
def test_runs_of_a_preset_come_once_and_after_what_they_start_from(preset, n):
    """In rooms the judge is the one of the dry row, which needs no run of its own."""
    found = paper.configs(preset)
    assert len({cfg.id for cfg in found}) == len(found) == n
    at = {cfg.id: i for i, cfg in enumerate(found)}
    for cfg in found:
        assert all(at[need.id] < at[cfg.id] for need in cfg.needs())
    sheets = paper.sheets(preset)
    asked = {cfg.id for sheet in sheets for row in sheet.rows for cfg in sheet.configs(row)}
    needed = {need.id for cfg in found for need in cfg.needs()}
    assert asked <= at.keys() == asked | needed


# Training

def test_a_run_trains_what_it_starts_from_first_and_each_once(home, monkeypatch):
    toy.install(monkeypatch)
    trained = []
    monkeypatch.setattr(experiment.Experiment, "train", lambda self, cfg, folder, **options: (
        trained.append((cfg.label, options["device"])), ({"gain": [1.0]}, [], None))[1])
    record = run(paper.config("tuned", "smoke"))
    assert trained == [("judge", "cpu"), ("plain", "cpu"), ("tuned", "cpu")] and record.mean("gain") == 1
    run(paper.config("rooms", "smoke"))
    run(paper.config("tuned", "smoke"))
    assert [row for row, _ in trained] == ["judge", "plain", "tuned", "rooms"]
    run(paper.config("tuned", "smoke"), fresh=True)
    assert [row for row, _ in trained][4:] == ["tuned"]  # not what it starts from


def test_a_record_is_enough_where_what_it_started_from_is_gone(home, monkeypatch):
    toy.install(monkeypatch)
    trained = []
    monkeypatch.setattr(experiment.Experiment, "train", lambda self, cfg, folder, **options: (
        trained.append(cfg.label), ({"gain": [1.0]}, [], None))[1])
    cfg = paper.config("plain", "smoke")
    runs.get(cfg, lambda *_: ({"gain": [7.0]}, [], None))
    assert run(cfg).mean("gain") == 7 and not trained


def test_a_training_follows_the_plan_and_is_scored(home, monkeypatch):
    toy.install(monkeypatch)
    seen = []
    record = run(replace(paper.config("plain", "laptop", seed=5), critic=None),
                 show=lambda cfg: lambda history, name: seen.append(len(history)))
    assert record.key["config"]["seed"] == 5 and seen
    network = paper.network(record)
    assert record.scores["gain"] == [pytest.approx(network.weight.item()), 2.0] and not network.training
    torch.manual_seed(5)
    assert record.weights_path and not torch.equal(network.weight, toy.build(None).weight)


def test_where_nothing_is_to_be_trained_there_is_a_score_alone(home, monkeypatch):
    toy.install(monkeypatch)
    record = run(paper.config("input", "smoke"))
    assert (record.scores, record.history, record.weights) == ({"gain": [0.0]}, [], None)


def test_networks_begin_with_the_seed_of_the_config(home, monkeypatch):
    began = []
    monkeypatch.setattr(training, "fit", lambda model, *args, **options: began.append(
        (model.weight.item(), options["seed"])) or [])
    for seed in (0, 1, 0):
        paper.train(replace(paper.config("best", "smoke", seed)), None)
    assert began[0] == began[2] != began[1] and [seed for _, seed in began] == [0, 1, 0]


@pytest.mark.parametrize("scores", [[1.0], {"gain": 1.0}, {"gain": torch.ones(2, 2)}, {"gain": ["much"]}])
def test_scores_are_a_list_of_numbers_by_metric(monkeypatch, scores):
    monkeypatch.setattr(toy.METHOD, "score", lambda model, cfg: scores)
    with pytest.raises(WeaklibError, match="`score` returns a dict: metric -> one number per test item"):
        paper.train(paper.config("input", "smoke"), None)


def test_scores_may_be_tensors_or_of_numpy(monkeypatch):
    monkeypatch.setattr(toy.METHOD, "score", lambda model, cfg: {"gain": torch.tensor([1.5, 2]), "x": np.float32([3])})
    scores, *_ = paper.train(paper.config("input", "smoke"), None)
    assert json.loads(json.dumps(scores)) == {"gain": [1.5, 2.0], "x": [3.0]}


# Sheets

def test_small_presets_have_the_headline_only():
    titles = lambda preset: [row.title for row in paper.sheets(preset)[0].rows]
    assert titles("smoke") == titles("laptop") == ["Input", "With sources", "Plain"]
    assert titles("full") == titles("gpu") == [row.title for row in toy.ROWS]


def keep(row, preset, seed=0, **scores):
    """Make a record on this machine."""
    scores = {name.replace("__", "/"): value for name, value in scores.items()}
    return runs.get(paper.config(row, preset, seed), lambda *_: (scores, [], None))


def test_records_are_found_by_row(home):
    made = {seed: keep("plain", "full", seed, gain=[seed], second__error=[0.1]) for seed in (0, 2)}
    first, second = paper.sheets("full")
    found = first.records("local")
    assert list(found) == first.rows and found.pop(toy.ROWS[2]) == list(made.values())
    assert not any(found.values()) and not any(first.records("committed").values())
    assert second.records("local")[toy.ERRORS.rows[0]] == list(made.values())


def test_numbers_for_the_claims_come_with_corpus_seed_and_run(home):
    keep("input", "full", gain=[0.0, 1.0])
    keep("input_rooms", "full", gain=[-1.0])
    records = [keep("plain", "full", seed, gain=[seed, 2.0], gain__loud=[9.0], second__error=[0.2])
               for seed in (0, 1)]
    values = paper.values(paper.sheets("full"), "local")
    assert values.cells == {
        ("input", "dry", "gain", "test"): {None: 0.5}, ("input", "rooms", "gain", "test"): {None: -1.0},
        ("plain", "dry", "gain", "test"): {0: 1.0, 1: 1.5}, ("plain", "dry", "gain", "loud"): {0: 9.0, 1: 9.0},
        ("errors_plain", "dry", "error", "test"): {0: 0.2, 1: 0.2}}
    assert values.runs["plain", "dry", "gain", "test"] == {record.id for record in records}


def test_numbers_of_a_split_that_is_a_corpus_of_its_own_come_with_that_corpus(home):
    """As those of Table 1 of wisdom2020, of which YFCC100m is another corpus than FUSS."""
    real = experiment.load("wisdom2020")
    sheet = next(sheet for sheet in real.sheets("smoke") if sheet.table.name == "table1")
    row = next(row for row in sheet.rows if row.key == "unsup_yfcc")
    assert [sheet.corpus(row, split) for split in ("test", *sheet.table.splits)] == ["sounds", "sounds", "wild"]
    config, = sheet.configs(row)
    runs.get(config, lambda *_: ({"msi": [3.0, 5.0], "momi": [2.0], "momi/wild": [6.0]}, [], None))
    assert real.values([sheet], "local").cells == {
        ("unsup_yfcc", "sounds", "msi", "FUSS"): {0: 4.0}, ("unsup_yfcc", "sounds", "momi", "FUSS"): {0: 2.0},
        ("unsup_yfcc", "wild", "momi", "YFCC100m"): {0: 6.0}}


@pytest.mark.parametrize("plain, rooms, error, lost", [
    (1.0, 1.0, 0.4, {}), (0.5, 1.0, 0.4, {("plain", "dry"): "Plain"}), (0.0, 1.0, 0.4, {("plain", "dry"): "Plain"}),
    (1.0, -0.5, 0.4, {}), (1.0, -1.0, 0.4, {("rooms", "rooms"): "Plain, in rooms"}),
    (1.0, 1.0, 0.5, {("errors_plain", "dry"): "Plain"}), (1.0, 1.0, 0.6, {("errors_plain", "dry"): "Plain"})])
def test_a_row_that_is_no_better_than_the_floor_of_its_corpus_has_learned_nothing(home, plain, rooms, error, lost):
    """A floor is another row's mean, or a number; of errors, less is better."""
    keep("input", "full", gain=[0.0, 1.0])
    keep("input_rooms", "full", gain=[-1.0])
    for seed, off in enumerate((-0.25, 0.25)):  # the mean over seeds counts
        keep("plain", "full", seed, gain=[plain + off], second__error=[error + off / 5])
    keep("rooms", "full", gain=[rooms])
    assert paper.values(paper.sheets("full"), "local").unlearned == lost


def test_without_the_row_that_is_the_floor_all_have_learned(home):
    keep("plain", "full", gain=[-50.0])
    assert paper.values(paper.sheets("full"), "local").unlearned == {}


def test_a_table_has_this_machines_column_beside_the_committed_one(home, tmp_path, monkeypatch):
    from weaklib import files
    toy.install(monkeypatch)
    monkeypatch.setattr(files, "results", lambda: tmp_path / "results")
    mine, theirs = (keep("plain", "laptop", seed, gain=[value]) for seed, value in ((0, 4.0), (1, 7.0)))
    runs.publish(replace(theirs, id=mine.id, key=mine.key), "laptop")
    sheet, _ = paper.sheets("laptop")
    assert [line for line in sheet.markdown("local").splitlines() if line.startswith("| Plain")] == [
        "| Plain | 4.0 | 7.0 | 4.0 |"]
    assert "this machine" in sheet.markdown("local") and "this machine" not in sheet.markdown("committed")
    assert "7.0" in sheet.markdown("committed")
    assert "4.0 |" in paper.sheets("smoke")[0].markdown("local")  # the paper's
    assert "here" not in paper.sheets("smoke")[0].markdown("local")  # nothing of smoke is ever committed
    assert "4.0 |" in paper.sheets("smoke")[0].markdown("committed")
    assert [line["value"] for line in sheet.tidy("local")] == ["4.000"]


def test_the_ledger_takes_the_spread_of_the_committed_runs_unless_something_is_given(home, monkeypatch):
    toy.install(monkeypatch)
    keep("input", "laptop", gain=[0.0])
    keep("plain", "laptop", gain=[4.0])
    real, asked = experiment.Experiment.values, []

    def values(self, sheets, where):
        asked.append((sheets[0].preset, where))
        return real(self, sheets, where)

    monkeypatch.setattr(experiment.Experiment, "values", values)
    entry = paper.ledger("laptop", "local")[0]
    assert (entry["claim_id"], entry["verdict"]) == ("t01", "inconclusive")
    assert entry["paper_value"] == "plain − input: +4.0 dB"
    assert asked == [("laptop", "local"), ("full", "committed")]
    asked.clear()
    paper.ledger("laptop", "local", corpus="hall")
    assert asked == [("laptop", "local")]
