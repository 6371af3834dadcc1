"""Keys stay what they are while configs grow."""
from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Literal

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


# Words that code compares

#: Fields of configs that hold any text: names of corpora and presets, and labels.
NAMES = {"label", "preset", "corpus", "mixtures", "supervised", "wild", "trained_on", "speech", "noisy", "singles",
         "also", "audio", "scores", "guest", "heard"}


def _with_unknown_words(cfg):
    """(name of the field, function that gives it a word that nobody knows) for all text in a config."""
    for f in fields(cfg):
        value = getattr(cfg, f.name)
        if isinstance(value, str) and f.name not in NAMES:
            yield f.name, lambda name=f.name: replace(cfg, **{name: "unheard of"})
        elif is_dataclass(value):
            for name, spoil in _with_unknown_words(value):
                yield name, lambda whole=f.name, spoil=spoil: replace(cfg, **{whole: spoil()})


@pytest.mark.parametrize("paper", experiment.known())
def test_a_config_refuses_every_word_that_no_code_knows(paper):
    """Such a word would be taken for the default without a sound."""
    spoilt = list(_with_unknown_words(experiment.load(paper).method.Config()))
    assert {"stage", "task"} & {name for name, _ in spoilt} and "decay" in {name for name, _ in spoilt}
    for name, spoil in spoilt:
        with pytest.raises(WeaklibError, match=f"Unknown {name} 'unheard of'; choose one of "):
            spoil()


def test_an_empty_word_can_be_read_in_the_sentence():
    @dataclass
    class Choice:
        film: Literal["", "affine"] = ""

    keys.check(Choice())
    with pytest.raises(WeaklibError, match="Unknown film 'fine'; choose one of '', affine\\."):
        keys.check(Choice("fine"))
