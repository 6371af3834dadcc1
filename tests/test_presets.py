"""Presets: the names, once."""
import pytest

from weaklib import presets
from weaklib.files import WeaklibError


def test_full_has_the_sizes_of_laptop_and_every_other_its_own():
    assert {p: presets.sizes(p) for p in presets.NAMES} == {
        "smoke": "smoke", "laptop": "laptop", "full": "laptop", "gpu": "gpu", "paper": "paper"}


def test_smoke_is_never_published():
    assert set(presets.NAMES) - set(presets.PUBLISHED) == {"smoke"}
    assert presets.DEFAULT in presets.PUBLISHED and set(presets.NEED_GPU) < set(presets.NAMES)


@pytest.mark.parametrize("ask", [presets.check, presets.sizes])
def test_an_unknown_preset_is_refused_with_the_known_ones(ask):
    with pytest.raises(WeaklibError, match="'huge'.*smoke, laptop, full, gpu, paper"):
        ask("huge")
