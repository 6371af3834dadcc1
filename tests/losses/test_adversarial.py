"""Losses of the adversarial game by hand, by torch's own where there is one, and where gradients go."""
import math

import pytest
import torch
import torch.nn.functional as F

from weaklib import losses


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_least_squares_by_hand():
    judgements = [torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.tensor([[0.5], [2.0]])]
    assert losses.judged(judgements, 1.0).tolist() == [(0 + 4) / 2 + 0.25, 1 + 1]
    assert losses.judged(judgements, 0.0).tolist() == [(1 + 9) / 2 + 0.25, 0 + 4]


def test_matching_is_a_mean_over_scales_and_layers_whatever_their_sizes():
    ref = [[torch.full((2, 3, 4), 1.5), torch.full((2, 1), 0.5)], [torch.full((2, 5), -2.0)]]
    est = [[torch.full((2, 3, 4), 3.5), torch.full((2, 1), -2.5)], [torch.tensor([[-1.0] * 5, [-2.0] * 5])]]
    assert losses.matching(est, ref).tolist() == pytest.approx([(2 + 3 + 1) / 3, (2 + 3 + 0) / 3])


def test_matching_teaches_only_the_estimate_and_wants_the_same_layers():
    est, ref = torch.rand(2, 3, requires_grad=True), torch.rand(2, 3, requires_grad=True)
    losses.matching([[est]], [[ref]]).sum().backward()
    assert est.grad.abs().sum() > 0 and ref.grad is None
    with pytest.raises(ValueError):
        losses.matching([[est, est]], [[ref]])


def test_focal_by_hand():
    p = torch.tensor([[0.9, 0.2]])  # of what sounds and of what does not
    want = (-0.75 * 0.1 ** 2 * math.log(0.9) - 0.25 * 0.2 ** 2 * math.log(0.8)) / 2
    assert losses.focal(p.logit(), torch.tensor([[1.0, -1.0]])).item() == pytest.approx(want)


def test_focal_without_focus_is_the_cross_entropy():
    logits, roll = 3 * torch.randn(4, 2, 5), (torch.rand(4, 2, 5) < 0.3).float()
    want = F.binary_cross_entropy_with_logits(logits, roll, reduction="none").flatten(1).mean(1)
    torch.testing.assert_close(2 * losses.focal(logits, roll, gamma=0.0, alpha=0.5), want)


def test_focal_is_finite_where_all_is_wrong():
    logits = torch.tensor([[-200.0, 200.0]], requires_grad=True)
    value = losses.focal(logits, torch.tensor([[1.0, 0.0]]))
    value.sum().backward()
    assert value.item() == pytest.approx((0.75 + 0.25) * 200 / 2) and logits.grad.isfinite().all()


def test_divergence_is_torchs():
    mean, log_variance = torch.randn(3, 2, 4), torch.randn(3, 2, 4)
    a = torch.distributions.Normal(mean, (log_variance / 2).exp())
    want = torch.distributions.kl_divergence(a, torch.distributions.Normal(torch.zeros(()), torch.ones(())))
    torch.testing.assert_close(losses.divergence(mean, log_variance), want.flatten(1).sum(1))


def test_terms_grow():
    assert [losses.grown(step, 500) for step in (0, 250, 500, 10_000)] == pytest.approx([0.1, 0.55, 1, 1])
    assert losses.grown(0, 0) == 1 and losses.grown(5, 10, 0.0) == 0.5
