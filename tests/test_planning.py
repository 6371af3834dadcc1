"""weaklib.planning: what comes first, what fits, what it takes."""
import itertools
import math
import random

import pytest

from weaklib import experiment, files, planning, runs, weights
from weaklib.planning import Agenda, Task, simulate

needs = frozenset


def order(*tasks: Task, left: float = math.inf) -> list[str]:
    """Names in the order in which one after the other is taken, as long as `left` lasts."""
    agenda, found = Agenda({task.name: task for task in tasks}), []
    while task := agenda.next(left):
        left -= task.seconds
        agenda.finish(task.name)
        found.append(task.name)
    return found


def test_the_largest_gain_comes_first_with_what_it_needs():
    assert order(Task("small", 1, gain=1), Task("large", 1, needs({"base"}), gain=5), Task("base", 9),
                 Task("middle", 1, gain=3)) == ["base", "large", "middle", "small"]


def test_of_equal_gains_the_longest_way_comes_first():
    assert order(Task("a", 3, gain=1), Task("b", 1, gain=1), Task("c", 4, needs({"b"}), gain=1)) == ["b", "c", "a"]


@pytest.mark.parametrize("left, taken", [
    (12, ["base", "large", "small"]), (11, ["base", "large"]), (10, ["base", "large"]), (9.5, ["small"]), (0.5, [])])
def test_only_what_ends_in_time_is_begun_and_nothing_for_what_does_not(left, taken):
    tasks = Task("small", 2, gain=1), Task("large", 1, needs({"base"}), gain=5), Task("base", 9)
    assert order(*tasks, left=left) == taken


def test_what_is_needed_by_two_is_taken_once_and_counts_for_the_better():
    tasks = [Task("base", 2), Task("x", 1, needs({"base"}), gain=1), Task("y", 1, needs({"base"}), gain=7),
             Task("z", 1, gain=3)]
    for shuffled in itertools.permutations(tasks):
        assert order(*shuffled) == ["base", "y", "z", "x"]


def test_a_failure_takes_with_it_what_needs_it_and_no_more():
    agenda = Agenda({task.name: task for task in (Task("a", 1, gain=2), Task("b", 1, needs({"a"}), gain=1),
                                                  Task("c", 1, needs({"a", "b"}), gain=1), Task("d", 1, gain=1))})
    assert agenda.next().name == "a" and sorted(agenda.fail("a")) == ["b", "c"]
    assert agenda.next().name == "d" and agenda.next() is None


def test_simulation_keeps_to_needs_places_and_the_budget():
    rng = random.Random(3)
    for _ in range(40):
        tasks = [Task(str(i), rng.uniform(0.1, 5), needs(str(k) for k in range(i) if rng.random() < 0.2), rng.random())
                 for i in range(12)]
        slots, budget = rng.randint(1, 4), rng.choice([math.inf, 8.0])
        spans = simulate(tasks, slots, budget)
        for task in tasks:
            if task.name in spans:
                begin, end = spans[task.name]
                assert end == pytest.approx(begin + task.seconds) and end <= budget
                assert all(spans[need][1] <= begin for need in task.needs)
        moments = [begin for begin, _ in spans.values()]
        assert all(sum(b <= t < e for b, e in spans.values()) <= slots for t in moments)
        if budget == math.inf:
            assert len(spans) == 12
            busy, last = sum(task.seconds for task in tasks), max(end for _, end in spans.values())
            assert busy / slots - 1e-9 <= last <= busy + 1e-9


# Values and costs of real grids

def test_headline_before_claimed_before_other_rows_and_first_seeds_before_later():
    paper = experiment.load("hung2021")
    worth = planning.gains("hung2021", "full", 3)
    alone = {row: [worth[config.digest] for config in (paper.config(row, "full", seed) for seed in range(3))]
             for row in ("supervised", "isolated_hmix", "isolated_cmix_absolute")}  # they fill one row each
    assert alone["supervised"] == pytest.approx([4, 0.4, 0.04])           # a headline row
    assert alone["isolated_hmix"] == pytest.approx([2, 0.2, 0.02])        # which h02 compares
    assert alone["isolated_cmix_absolute"] == pytest.approx([1, 0.1, 0.01])
    shared = worth[paper.config("finetune_c_h_aml", "full", 0).digest]
    assert shared > 4  # a run that fills several rows


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(files, "results", lambda: tmp_path / "results")


def made(config, seconds: float, threads: int = 1, committed: str = "", **more) -> None:
    """A record of a run, local or committed at a preset."""
    where = runs.committed(committed, config.paper) if committed else runs.local() / f"{config.paper}-{config.id}"
    record = runs.Record(config.id, config.key(), {}, [], {"seconds": seconds, "threads": threads, **more}, None, where)
    files.write_json(where / (f"{config.id}.json" if committed else runs.RECORD), record.content())


def test_costs_come_from_the_nearest_records(store):
    paper = experiment.load("hung2021")

    def cost(row, seed=0, preset="full"):
        return planning.Costs("hung2021")(paper.config(row, preset, seed))

    unknown = cost("isolated_cmix")
    assert unknown == planning.BESIDES + planning.STEP * paper.config("isolated_cmix", "full").plan.steps
    made(paper.config("isolated_hmix", "full", 0), 200.0, committed="full")
    assert cost("isolated_cmix") == planning.BESIDES + 200.0   # the same network for as many steps
    assert cost("isolated_hmix", 2) == 200.0                   # the same row
    made(paper.config("isolated_hmix", "full", 1), 100.0, threads=2, committed="full")
    assert cost("isolated_hmix", 2) == pytest.approx((200 + 100 * planning.TWO_THREADS) / 2)
    made(paper.config("isolated_hmix", "full", 1), 50.0)
    assert cost("isolated_hmix", 2) == 50.0                    # this machine's own count alone
    assert cost("isolated_hmix", 2, "laptop") == 50.0          # laptop and full have the same runs


def test_records_of_a_gpu_count_where_runs_are_made_with_one(store):
    paper = experiment.load("hung2021")
    config = paper.config("isolated_hmix", "full")
    made(config, 200.0, committed="full")
    made(config, 20.0, committed="gpu", gpu=True)
    assert [planning.Costs("hung2021", gpu)(config) for gpu in (None, False, True)] == [200.0, 200.0, 20.0]
    assert planning.tasks({config.digest: config}, gpu=True)[0].seconds == 20.0


def test_a_stopped_run_tells_the_pace_of_those_with_its_network(store):
    paper = experiment.load("hung2021")
    stopped, alike, other = (paper.config(row, "full") for row in ("isolated_hmix", "isolated_cmix", "supervised"))
    weights.save(runs.local() / f"hung2021-{stopped.id}" / "checkpoint.safetensors", {}, {"step": 10, "seconds": 30.0})
    costs = planning.Costs("hung2021")
    assert not costs.measured(alike)
    costs.learn([stopped])
    assert costs.measured(alike) and costs(alike) == planning.BESIDES + 3.0 * alike.plan.steps
    assert not costs.measured(other) and costs(other) == planning.BESIDES + planning.STEP * other.plan.steps
    made(alike, 100.0)
    again = planning.Costs("hung2021")
    again.learn([stopped])
    assert again(paper.config("isolated_cmix", "full", 1)) == 100.0  # a record counts for more


def test_needs_without_a_record_are_open_too_and_those_with_one_are_not(store):
    paper = experiment.load("hung2021")
    last = paper.config("finetune_c_h", "smoke")
    chain = [paper.config(row, "smoke").digest for row in ("mixture_pretrain", "isolated_c_h", "finetune_c_h")]
    assert list(planning.open_runs([last])) == chain
    assert list(planning.open_runs([last, last.start])) == chain
    made(last.start, 1.0)
    assert list(planning.open_runs([last])) == [chain[0], chain[2]]  # the weights of both are gone on from
    assert list(planning.open_runs([last, last.start], fresh=True)) == chain
    made(last.start.critic, 1.0)
    assert list(planning.open_runs([last])) == chain[2:]
    made(last, 1.0)
    assert not planning.open_runs([last]) and list(planning.open_runs([last], fresh=True)) == chain[2:]
