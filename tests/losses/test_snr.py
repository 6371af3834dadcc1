"""thresholded_snr against arithmetic done by hand."""
import math

import numpy as np
import pytest
import torch

from weaklib.files import WeaklibError
from weaklib.losses import thresholded_snr


def test_values_by_hand():
    ref = torch.tensor([3.0, 4.0])  # energy 25
    est = torch.tensor([3.0, 3.0])  # error energy 1
    assert thresholded_snr(est, ref).item() == pytest.approx(10 * math.log10((1 + 0.025) / 25), abs=1e-5)
    assert thresholded_snr(est, ref, snr_max=10.0).item() == pytest.approx(10 * math.log10((1 + 2.5) / 25), abs=1e-5)


def test_threshold_is_the_minimum():
    ref = torch.randn(100, generator=torch.Generator().manual_seed(0))
    for snr_max in (10.0, 30.0, 60.0):
        assert thresholded_snr(ref, ref, snr_max=snr_max).item() == pytest.approx(-snr_max, abs=1e-3)


def test_arguments_cannot_be_swapped():
    ref, est = torch.tensor([3.0, 4.0]), torch.tensor([30.0, 40.0])
    assert thresholded_snr(est, ref).item() == pytest.approx(10 * math.log10(81.001), abs=1e-4)  # (10 - 1)^2
    assert thresholded_snr(ref, est).item() == pytest.approx(10 * math.log10(0.811), abs=1e-4)


def test_last_axis_is_time():
    ref = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    est = torch.tensor([[0.0, 0.0], [0.0, 4.0]])
    expected = [10 * math.log10(1.001)] * 2  # errors as large as the references
    assert thresholded_snr(est, ref).tolist() == pytest.approx(expected, abs=1e-5)


def test_gradient_points_uphill():
    ref = torch.tensor([3.0, 4.0], dtype=torch.float64)
    est = torch.tensor([3.0, 3.0], dtype=torch.float64, requires_grad=True)
    thresholded_snr(est, ref).backward()
    expected = 20 / math.log(10) * -1 / (1 + 0.025 + 1e-8)  # d/d est: 2 (est - ref) / (error + floor)
    assert est.grad.tolist() == pytest.approx([0, expected])


@pytest.mark.parametrize("est_level, ref_level", [(0, 0), (0, 1), (1, 0), (1e-12, 1e-12)])
def test_silence_is_finite(est_level, ref_level):
    est = torch.full((50,), float(est_level), requires_grad=True)
    loss = thresholded_snr(est, torch.full((50,), float(ref_level)))
    loss.backward()
    assert loss.isfinite() and est.grad.isfinite().all()


def test_signals_of_different_lengths_and_arrays_are_refused():
    """One sample would else be compared with every other."""
    with pytest.raises(WeaklibError, match="same time"):
        thresholded_snr(torch.randn(3, 100), torch.randn(3, 1))
    with pytest.raises(WeaklibError, match="tensors"):
        thresholded_snr(np.zeros((3, 100)), np.zeros((3, 100)))
