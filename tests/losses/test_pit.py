"""pit by hand, against a brute force over permutations, and with zero references."""
import itertools
import math

import pytest
import torch

from weaklib.files import WeaklibError
from weaklib.losses import pit


def brute_force(est, ref, snr_max=30.0):
    """wisdom2020 Eq. 1 with references padded by zeros, mean over outputs; the zero references as documented."""
    losses = []
    for e, r in zip(est, ref):
        mix_power = (r.sum(0) ** 2).sum()
        values = []
        for order in itertools.permutations(range(len(e))):
            total = 0
            for k, m in enumerate(order):
                power = (r[k] ** 2).sum() if k < len(r) else torch.tensor(0.0)
                if power > 0:
                    error = ((r[k] - e[m]) ** 2).sum()
                    total = total + 10 * torch.log10(error + 10 ** (-snr_max / 10) * power) - 10 * torch.log10(power)
                else:
                    total = total + 10 * torch.log10((e[m] ** 2).sum() + 0.01 * mix_power) - 10 * torch.log10(mix_power)
            values.append(total)
        losses.append(torch.stack(values).amin() / len(e))
    return torch.stack(losses)


def signals(batch, n_src, n_ref, seed=0):
    gen = torch.Generator().manual_seed(seed)
    ref = torch.randn(batch, n_ref, 40, generator=gen, dtype=torch.float64)
    est = torch.randn(batch, n_src, 40, generator=gen, dtype=torch.float64)
    return est.requires_grad_(), ref


@pytest.mark.parametrize("n_src, n_ref", [(1, 1), (2, 2), (4, 4), (5, 5), (4, 2), (5, 3), (3, 1)])
def test_equals_brute_force(n_src, n_ref):
    est, ref = signals(4, n_src, n_ref, seed=n_src)
    if n_ref > 2:
        ref[0, 1] = 0  # a zero reference that was given, not padded
    weight = torch.tensor([1.0, -2.0, 3.0, 0.5])
    loss, _ = pit(est, ref, snr_max=20.0)
    expected = brute_force(est, ref, snr_max=20.0)
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=0)
    grad, = torch.autograd.grad((loss * weight).sum(), est)
    expected_grad, = torch.autograd.grad((expected * weight).sum(), est)
    torch.testing.assert_close(grad, expected_grad, atol=1e-9, rtol=1e-6)


def test_by_hand():
    """est 1 has an error of 0.01 of reference 0; est 0 is reference 1."""
    ref = torch.tensor([[[1.0, 0, 0], [0, 2.0, 0]]])
    est = torch.tensor([[[0, 2.0, 0], [1.0, 0, 0.1]]])
    loss, permutation = pit(est, ref)
    assert loss.item() == pytest.approx((10 * math.log10(0.01 + 0.001) - 30) / 2, abs=1e-4)
    assert permutation.tolist() == [[1, 0]]


def test_permutation_is_the_output_of_each_reference():
    ref = torch.randn(3, 4, 50, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([2, 0, 3, 1])
    _, permutation = pit(ref[:, order], ref)
    for b in range(3):
        torch.testing.assert_close(ref[b, order][permutation[b]], ref[b])
    assert permutation[0].tolist() == [1, 3, 0, 2]  # not its own inverse


def test_outputs_left_over_follow_in_order():
    gen = torch.Generator().manual_seed(0)
    ref = torch.randn(1, 2, 50, generator=gen)
    rest = 0.1 * torch.randn(1, 3, 50, generator=gen)
    est = torch.cat([rest[:, :2], ref.flip(1), rest[:, 2:]], 1)
    loss, permutation = pit(est, ref)
    assert permutation.tolist() == [[3, 2, 0, 1, 4]]
    assert torch.equal(permutation.sort(1).values, torch.arange(5)[None])


def test_zero_references_by_hand():
    """Energies 1 (mixture), 0.01 and 0 (outputs of zero references): 10 log10(0.02) and 10 log10(0.01)."""
    ref = torch.tensor([[[1.0, 0, 0]]])
    est = torch.tensor([[[0, 0, 0.1], [1.0, 0, 0], [0, 0, 0]]])
    for padded in (ref, torch.cat([ref, torch.zeros(1, 2, 3)], 1), torch.cat([ref, torch.full((1, 1, 3), 1e-9)], 1)):
        assert pit(est, padded)[0].item() == pytest.approx((-30 + 10 * math.log10(0.02) - 20) / 3, abs=1e-3)
    assert pit(est, ref)[1].tolist() == [[1, 0, 2]]


def test_padding_and_given_zeros_agree():
    est, ref = signals(4, 4, 2)
    given = torch.cat([torch.zeros(4, 1, 40), ref[:, :1], torch.zeros(4, 1, 40), ref[:, 1:]], 1)
    torch.testing.assert_close(pit(est, given)[0], pit(est, ref)[0])


def test_zero_reference_outputs_are_not_just_dropped():
    """The output left over matters: a louder one costs more."""
    est, ref = signals(1, 3, 2)
    louder = torch.cat([ref, 2 * ref[:, :1].flip(2)], 1)
    quieter = torch.cat([ref, 0.01 * ref[:, :1].flip(2)], 1)
    assert pit(louder, ref)[0] > pit(quieter, ref)[0] + 1


def test_order_of_references_does_not_matter():
    est, ref = signals(4, 5, 5)
    order = torch.tensor([3, 0, 4, 2, 1])
    loss, permutation = pit(est, ref)
    reordered, reordered_permutation = pit(est, ref[:, order])
    torch.testing.assert_close(reordered, loss)
    assert torch.equal(reordered_permutation, permutation[:, order])


def test_estimates_and_references_cannot_be_swapped():
    est, ref = signals(4, 2, 2)
    assert (pit(est, 3 * ref)[0] - pit(3 * ref, est)[0]).abs().min() > 1


@pytest.mark.parametrize("est_level, ref_level", [(0, 0), (0, 1), (1, 0), (1e-10, 1e-10)])
def test_silence_is_finite(est_level, ref_level):
    gen = torch.Generator().manual_seed(0)
    est = (est_level * torch.randn(2, 4, 100, generator=gen)).requires_grad_()
    loss, _ = pit(est, ref_level * torch.randn(2, 2, 100, generator=gen))
    loss.sum().backward()
    assert loss.isfinite().all() and est.grad.isfinite().all()


def test_bfloat16_under_autocast_is_computed_in_full_precision():
    est, ref = signals(2, 3, 3)
    est, ref = (ref.flip(1) + 0.1 * est).detach().bfloat16(), ref.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, permutation = pit(est, ref)
    expected, expected_permutation = pit(est.double(), ref.double())
    assert loss.dtype is torch.float32 and torch.equal(permutation, expected_permutation)
    torch.testing.assert_close(loss.double(), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("est, ref, message", [
    (torch.zeros(1, 2, 5), torch.zeros(1, 3, 5), "3 references"),
    (torch.zeros(1, 2, 5), torch.zeros(2, 2, 5), "same batch and time"),
    (torch.full((1, 2, 5), torch.nan), torch.ones(1, 2, 5), "NaN"),
])
def test_bad_input_gets_one_sentence(est, ref, message):
    with pytest.raises(WeaklibError, match=message):
        pit(est, ref)
