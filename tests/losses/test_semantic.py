"""Losses from a classifier, against numbers worked out by hand and an enumeration of who holds what."""
import itertools
import math

import pytest
import torch

from weaklib.files import WeaklibError
from weaklib.losses import class_loss, cosine


def case(batch=2, n_src=4, n_class=5, scale=2.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(batch, n_src, n_class, generator=generator, dtype=torch.float64)
    return logits, (torch.rand(batch, n_class, generator=generator) < 0.5).double()


def logit(p):
    return math.log(p / (1 - p))


def enumerated(logits, labels, holds):
    """Eq. 8 in double precision: the probabilities of all sets of outputs of which `holds(size)` is true, added up."""
    losses = []
    for z, label in zip(logits.tolist(), labels.tolist()):
        loss = 0.0
        for k, y in enumerate(label):
            p = [1 / (1 + math.exp(-row[k])) for row in z]
            true = false = 0.0
            for members in itertools.product((0, 1), repeat=len(p)):
                chance = math.prod(q if member else 1 - q for q, member in zip(p, members))
                true, false = (true + chance, false) if holds(sum(members)) else (true, false + chance)
            loss -= y * math.log(true) + (1 - y) * math.log(false)
        losses.append(loss)
    return losses


HOLDS = {"or": lambda size: size >= 1, "xor": lambda size: size == 1}


def test_by_hand():
    """Two outputs at 1/2 and 1/4: one of them or both, 5/8; exactly one, 1/2 * 3/4 + 1/4 * 1/2 = 1/2."""
    logits = torch.tensor([[[logit(0.5)], [logit(0.25)]]])
    for label, kind, p in ((1, "or", 5 / 8), (0, "or", 3 / 8), (1, "xor", 1 / 2), (0, "xor", 1 / 2)):
        assert class_loss(logits, torch.tensor([[label]]), kind).item() == pytest.approx(-math.log(p), rel=1e-6)
    three = torch.tensor([[[logit(0.5)], [logit(0.25)], [logit(0.2)]]])  # none: 0.3, one: 0.3 + 0.1 + 0.075
    assert class_loss(three, torch.tensor([[True]]), "xor").item() == pytest.approx(-math.log(0.475), rel=1e-6)
    assert class_loss(three, torch.tensor([[False]])).item() == pytest.approx(-math.log(0.3), rel=1e-6)


@pytest.mark.parametrize("kind", ["or", "xor"])
@pytest.mark.parametrize("n_src", [1, 2, 3, 5])
def test_equals_enumeration(kind, n_src):
    logits, labels = case(n_src=n_src, seed=n_src)
    assert class_loss(logits, labels, kind).tolist() == pytest.approx(enumerated(logits, labels, HOLDS[kind]), rel=1e-9)


@pytest.mark.parametrize("kind", ["or", "xor"])
def test_equals_the_formulas_for_16_outputs(kind):
    logits, labels = case(n_src=16, scale=1.5)
    p = logits.sigmoid()
    if kind == "or":
        together = 1 - (1 - p).prod(1)
    else:
        together = sum(p[:, m] * math.prod(1 - p[:, k] for k in range(16) if k != m) for m in range(16))
    expected = -(labels * together.log() + (1 - labels) * (1 - together).log()).sum(1)
    torch.testing.assert_close(class_loss(logits, labels, kind), expected, rtol=1e-8, atol=0)


def test_of_one_output_both_are_the_usual_cross_entropy():
    logits, labels = case(n_src=1)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], labels, reduction="none").sum(1)
    for kind in ("or", "xor"):
        torch.testing.assert_close(class_loss(logits, labels, kind), expected)


def test_a_second_output_with_the_class_costs_only_xor():
    """Sure outputs, of a class that the mixture has: in one, in two."""
    one = torch.tensor([[[9.0], [-9.0], [-9.0]]])
    two = torch.tensor([[[9.0], [9.0], [-9.0]]])
    label = torch.ones(1, 1)
    assert class_loss(two, label) < class_loss(one, label) < 1e-3
    assert class_loss(one, label, "xor") < 1e-3 and class_loss(two, label, "xor") > 8


@pytest.mark.parametrize("kind", ["or", "xor"])
@pytest.mark.parametrize("z, label, expected", [
    # log-odds of "one or more" and of "exactly one" of two outputs: what is lost when posteriors are computed first
    ([-300, -300], 1, {"or": 300 - math.log(2), "xor": 300 - math.log(2)}),
    ([-300, -300], 0, {"or": 0, "xor": 0}),
    ([300, -300], 1, {"or": 0, "xor": 0}),
    ([300, -300], 0, {"or": 300, "xor": 300 - math.log(2)}),  # none: e^-300; or both: e^-300
    ([300, 200], 1, {"or": 0, "xor": 200}),
    ([300, 200], 0, {"or": 500, "xor": 0})])
def test_certainty_in_single_precision(kind, z, label, expected):
    logits = torch.tensor(z, dtype=torch.float32)[None, :, None].requires_grad_()
    loss = class_loss(logits, torch.tensor([[label]]), kind)
    grad, = torch.autograd.grad(loss.sum(), logits)
    assert loss.item() == pytest.approx(expected[kind], rel=1e-6, abs=1e-6)
    assert grad.isfinite().all()
    if expected[kind] > 1:  # what is wrong is told so in full
        assert grad.abs().sum() > 0.99


@pytest.mark.parametrize("n_src", [1, 2, 4])
def test_gradients(n_src):
    logits, labels = case(n_src=n_src)
    logits.requires_grad_()
    for kind in ("or", "xor"):
        assert torch.autograd.gradcheck(lambda z: class_loss(z, labels, kind), logits)
    if n_src > 1:
        assert torch.autograd.gradcheck(cosine, logits)


def test_order_of_outputs_does_not_matter():
    logits, labels = case()
    order = torch.tensor([2, 0, 3, 1])
    for kind in ("or", "xor"):
        torch.testing.assert_close(class_loss(logits[:, order], labels, kind), class_loss(logits, labels, kind))
    torch.testing.assert_close(cosine(logits[:, order]), cosine(logits))


# Cosine

def test_cosine_by_hand():
    """Posteriors (0.6, 0.8) and (0.8, 0.6) have the cosine 0.96, both have 1.4 / sqrt 2 with (0.5, 0.5)."""
    p = torch.tensor([[[0.6, 0.8], [0.8, 0.6], [0.5, 0.5]]], dtype=torch.float64)
    assert cosine(p[:, :2].logit()).item() == pytest.approx(1.96)
    assert cosine(p.logit()).item() == pytest.approx(1 + (0.96 + 2 * 1.4 / math.sqrt(2)) / 3)


@pytest.mark.parametrize("n_src", [2, 4, 7])
def test_cosine_is_the_equation(n_src):
    logits, _ = case(n_src=n_src)
    for z, ours in zip(logits, cosine(logits)):
        p = z.sigmoid().tolist()
        dot = lambda a, b: sum(x * y for x, y in zip(a, b))
        total = sum(1 + dot(p[m], p[k]) / math.sqrt(dot(p[m], p[m]) * dot(p[k], p[k]))
                    for m in range(n_src) for k in range(m + 1, n_src))
        assert ours.item() == pytest.approx(2 * total / (n_src * (n_src - 1)), rel=1e-12)


def test_cosine_bounds_are_attained():
    apart = torch.full((1, 3, 3), -40.0) + 80 * torch.eye(3)
    assert cosine(apart).item() == pytest.approx(1, abs=1e-6)
    assert cosine(torch.randn(1, 1, 6).expand(1, 5, 6)).item() == pytest.approx(2, abs=1e-6)


def test_cosine_of_outputs_that_hold_nothing():
    """Far below what single precision can hold as a probability, they still differ: e^-200 to 1, and 1 to e^-1."""
    logits = torch.tensor([[[-200.0, -400.0], [-300.0, -301.0]]], requires_grad=True)
    value = cosine(logits)
    value.sum().backward()
    assert value.item() == pytest.approx(1 + 1 / math.sqrt(1 + math.exp(-2)), rel=1e-6)
    assert logits.grad.isfinite().all() and logits.grad[0, 1].any()


def test_autocast_does_not_reach_the_losses():
    logits, labels = (x.float() for x in case())
    for loss in (lambda: class_loss(logits, labels), lambda: class_loss(logits, labels, "xor"), lambda: cosine(logits)):
        with torch.autocast("cpu", torch.bfloat16):
            inside = loss()
        assert torch.equal(inside, loss()) and inside.dtype is torch.float32
    torch.testing.assert_close(cosine(logits.bfloat16()), cosine(logits.bfloat16().float()))


@pytest.mark.parametrize("call, message", [
    (lambda z, y: class_loss(z, y, "and"), "'and'"), (lambda z, y: class_loss(z[0], y), r"\(4, 5\)"),
    (lambda z, y: class_loss(z, y[:, :4]), r"\(2, 4\).*\(2, 5\)"), (lambda z, y: cosine(z[0]), r"\(4, 5\)"),
    (lambda z, y: cosine(z[:, :1]), "only one")])
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(WeaklibError, match=message):
        call(*case())
