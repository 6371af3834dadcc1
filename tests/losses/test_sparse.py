"""Losses against over-separation, against numbers worked out by hand and loops that spell wisdom2021 Eq. 4 to 7 out."""
import math

import pytest
import torch

from weaklib.files import WeaklibError
from weaklib.losses import covariance, sparsity


def signals(batch=3, n_src=4, n_time=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    level = 10 ** torch.randn(batch, n_src, 1, generator=generator, dtype=torch.float64)
    return level * torch.randn(batch, n_src, n_time, generator=generator, dtype=torch.float64)


def rms(x):
    return math.sqrt(sum(v ** 2 for v in x) / len(x))


# Sparsity

def test_sparsity_by_hand():
    """Levels 3 and 4; their sum (7, 1, 7, 1) has the level 5."""
    est = torch.tensor([[[3.0, -3, 3, -3], [4, 4, 4, 4]]])
    assert sparsity(est).item() == pytest.approx(7 / 2 / 5)
    assert sparsity(est, "l1").item() == pytest.approx(7 / 2 / 5)  # uncorrelated: the level of the sum is ||r||_2
    assert sparsity(est, "l1", torch.full((1, 4), 2.0)).item() == pytest.approx(7 / 2 / 2)
    together = est.abs()  # correlated, the sum is 7: l1 no longer sees that there are two
    assert sparsity(together, "l1").item() == pytest.approx(1 / 2)
    assert sparsity(together).item() == pytest.approx(7 / 2 / 5)


@pytest.mark.parametrize("seed", range(3))
def test_sparsity_is_the_equations(seed):
    est, mix = signals(seed=seed), signals(seed=seed + 10)[:, 0]
    for e, x, ours, l1 in zip(est.tolist(), mix.tolist(), sparsity(est), sparsity(est, "l1", mix)):
        r = [rms(s) for s in e]
        assert ours.item() == pytest.approx(sum(r) / 4 / math.sqrt(sum(v ** 2 for v in r)), rel=1e-12)
        assert l1.item() == pytest.approx(sum(r) / 4 / rms(x), rel=1e-12)


@pytest.mark.parametrize("n_src", [1, 4, 16])
def test_bounds_of_l1_over_l2_are_attained(n_src):
    source = signals(1, 1)
    alone = torch.cat([source, torch.zeros(1, n_src - 1, 50)], 1)
    assert sparsity(alone).item() == pytest.approx(1 / n_src, rel=1e-12)
    assert sparsity(source.expand(1, n_src, 50)).item() == pytest.approx(1 / math.sqrt(n_src), rel=1e-12)
    value = sparsity(signals(200, n_src))
    assert (value > 1 / n_src - 1e-12).all() and (value < 1 / math.sqrt(n_src) + 1e-12).all()


def test_splitting_a_source_costs_and_merging_pays():
    """One source in one output, or halved and spread over two or four."""
    source = signals(1, 1)
    values = [sparsity(torch.cat([source / k] * k + [torch.zeros(1, 4 - k, 50)], 1)).item() for k in (1, 2, 4)]
    assert values == pytest.approx([1 / 4, math.sqrt(2) / 4, 2 / 4])


def test_level_does_not_matter():
    est, mix = signals(), signals(seed=1)[:, 0]
    torch.testing.assert_close(sparsity(-1e-4 * est), sparsity(est))
    torch.testing.assert_close(sparsity(1e-4 * est, "l1", 1e-4 * mix), sparsity(est, "l1", mix))
    torch.testing.assert_close(sparsity(est.flip(1)), sparsity(est))


def test_mixture_of_l1_is_a_constant():
    """The sum of the outputs gives the value, and no gradient: that is the one with the mixture given."""
    est = signals().requires_grad_()
    ours, given = sparsity(est, "l1"), sparsity(est, "l1", est.detach().sum(1))
    torch.testing.assert_close(ours, given)
    torch.testing.assert_close(*(torch.autograd.grad(x.sum(), est)[0] for x in (ours, given)))


def test_gradients_of_sparsity():
    est, mix = signals(n_time=7).requires_grad_(), signals(n_time=7, seed=1)[:, 0]
    assert torch.autograd.gradcheck(sparsity, est)
    assert torch.autograd.gradcheck(lambda e: sparsity(e, "l1", mix), est)
    assert torch.autograd.gradcheck(covariance, est)


def test_a_step_down_the_gradient_makes_the_loud_louder():
    est = torch.tensor([[[2.0, -2], [1, -1]]], requires_grad=True)
    grad, = torch.autograd.grad(sparsity(est).sum(), est)
    # d/dr of (r_1 + r_2) / (2 ||r||_2) at r = (2, 1): (1 / sqrt 5 - 3 r / 5 sqrt 5) / 2, by sign(s) / 2 to the samples
    expected = [(1 - 3 * r / 5) / math.sqrt(5) / 2 / 2 for r in (2, 1)]
    assert grad[0, :, 0].tolist() == pytest.approx(expected) and grad[0, :, 1].tolist() == pytest.approx(
        [-x for x in expected])
    assert expected[0] < 0 < expected[1]


@pytest.mark.parametrize("kind", ["l1", "l1/l2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_silence(kind, dtype):
    """A silent output has no gradient; an example without sound has the value 0, whatever is next to it."""
    est = signals().to(dtype)
    est[0, 1], est[1] = 0, 0
    est[2] *= 1e-12
    est.requires_grad_()
    mix = est.detach().sum(1)
    value = sparsity(est, kind, mix)
    grad, = torch.autograd.grad(value.sum(), est)
    assert value.isfinite().all() and grad.isfinite().all()
    assert value[0] > 0 and value[1] == 0 and value[2] == 0
    assert grad[0, 0].any() and not grad[0, 1].any() and not grad[1:].any()
    assert value.dtype is (torch.float64 if dtype is torch.float64 else torch.float32)


def test_nan_is_not_taken_for_silence():
    est = signals()
    est[1, 2, 3] = torch.nan
    for kind in ("l1", "l1/l2"):
        assert sparsity(est, kind).isnan().tolist() == [False, True, False]


def test_autocast_does_not_reach_the_losses():
    est = signals().float()
    for loss in (sparsity, covariance):
        with torch.autocast("cpu", torch.bfloat16):
            inside = loss(est)
        assert torch.equal(inside, loss(est)) and inside.dtype is torch.float32


# Covariance

def test_covariance_by_hand():
    """Mean-free (1, -1), (2, -2) and (-3, 3): means of products 2, -3 and -6, each for both orders of a pair."""
    est = torch.tensor([[[6.0, 4], [2, -2], [-3, 3]]])
    assert covariance(est).item() == pytest.approx(2 * (2 + 3 + 6))


@pytest.mark.parametrize("seed", range(3))
def test_covariance_is_the_equation(seed):
    est = signals(seed=seed) + 5
    for e, ours in zip(est.tolist(), covariance(est)):
        centred = [[v - sum(s) / len(s) for v in s] for s in e]
        total = sum(abs(sum(v * w for v, w in zip(centred[m], centred[k])) / 50)
                    for m in range(4) for k in range(4) if m != k)
        assert ours.item() == pytest.approx(total, rel=1e-12)


def test_covariance_of_uncorrelated_outputs_is_zero():
    time = torch.arange(64) / 64
    waves = torch.stack([torch.sin(2 * math.pi * k * time) for k in (1, 2, 5)])[None]
    assert covariance(1 + waves).item() == pytest.approx(0, abs=1e-5)
    assert covariance(waves[:, :1]).item() == 0  # one output
    assert covariance(torch.zeros(2, 3, 8)).tolist() == [0, 0]


def test_covariance_does_not_depend_on_the_length_but_on_the_square_of_the_level():
    est = signals()
    torch.testing.assert_close(covariance(est.repeat(1, 1, 3)), covariance(est))
    torch.testing.assert_close(covariance(-3 * est), 9 * covariance(est))


def test_gradient_of_covariance_is_finite_in_silence():
    est = torch.zeros(2, 3, 8, requires_grad=True)
    covariance(est).sum().backward()
    assert not est.grad.any()


@pytest.mark.parametrize("call, message", [
    (lambda: sparsity(torch.ones(2, 3)), r"\(2, 3\)"), (lambda: covariance(torch.ones(2, 3)), r"\(2, 3\)"),
    (lambda: covariance([[[1.0]]]), "list"), (lambda: sparsity(torch.ones(2, 0, 3)), r"\(2, 0, 3\)"),
    (lambda: sparsity(torch.ones(2, 3, 4), "l2"), "'l2'"),
    (lambda: sparsity(torch.ones(2, 3, 4), "l1", torch.ones(2, 3)), r"\(2, 3\).*\(2, 4\)")])
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(WeaklibError, match=message):
        call()
