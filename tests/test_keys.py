"""Keys stay what they are while configs grow."""
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from weaklib import experiment, keys, runs
from weaklib.files import WeaklibError

ROOT = Path(__file__).parent.parent
PINNED = (Path(__file__).parent / "committed_ids.txt").read_text().split()


@dataclass(frozen=True)
class Before:
    lr: float = 0.1
    sizes: str = "laptop"


@dataclass(frozen=True)
class Outer:
    plan: Before = field(default_factory=Before)
    start: Before | None = None


@dataclass(frozen=True)
class After:
    lr: float = 0.1
    preset: str = keys.keyed("laptop", name="sizes")
    betas: tuple[float, ...] = keys.keyed((0.5, 0.9), absent=(0.9, 0.999))


@dataclass(frozen=True)
class OuterAfter:
    plan: After = field(default_factory=After)
    start: After | None = None


def test_a_later_field_is_absent_at_the_value_it_declares_and_a_renamed_one_keeps_its_name():
    old = keys.encode(Outer(Before(0.2, "gpu"), Before()))
    as_before = (0.9, 0.999)
    assert keys.encode(OuterAfter(After(0.2, "gpu", as_before), After(betas=as_before))) == old
    new = keys.encode(OuterAfter())
    assert new["plan"] == {"lr": 0.1, "sizes": "laptop", "betas": [0.5, 0.9]}  # a default is not what is absent


def test_decoding_inverts_encoding_and_fills_in_what_was_before():
    old = keys.encode(Outer(Before(0.2, "gpu"), Before()))
    assert keys.decode(OuterAfter, old) == OuterAfter(After(0.2, "gpu", (0.9, 0.999)), After(betas=(0.9, 0.999)))
    new = OuterAfter(After(betas=(0.0, 0.5)))
    assert keys.decode(OuterAfter, keys.encode(new)) == new


@pytest.mark.parametrize("values", [{"lr": 0.1}, {"lr": 0.1, "sizes": "laptop", "gamma": 1}])
def test_another_version_is_refused(values):
    with pytest.raises(WeaklibError, match="another version"):
        keys.decode(After, values)


def test_ids_of_all_committed_records_are_pinned():
    found = {f"{path.parts[-4]}/{path.parts[-3]}/{path.stem}" for path in ROOT.glob("results/*/*/runs/*.json")}
    assert found == set(PINNED)


@pytest.mark.parametrize("pinned", PINNED)
def test_a_committed_record_is_found_by_the_config_it_holds(pinned):
    preset, paper, name = pinned.split("/")
    config = runs.read(ROOT / "results" / preset / paper / "runs" / f"{name}.json").key["config"]
    assert keys.decode(experiment.load(paper).method.Config, config).id.split("-")[-1] == name.split("-")[-1]
