"""Losses of masks by hand and by torch's own, and which bins count."""
import math

import pytest
import torch
import torch.nn.functional as F

from weaklib.files import WeaklibError
from weaklib.losses import mask_bce, mask_weight, weighted_l1


def case(batch=2, n_src=3, seed=0):
    """Logits, magnitudes of sources, and those of a mixture that has them and more."""
    generator = torch.Generator().manual_seed(seed)
    ref = torch.rand(batch, n_src, 4, 5, generator=generator, dtype=torch.double)
    return torch.randn(ref.shape, generator=generator, dtype=torch.double), ref, ref.sum(1, keepdim=True) + 0.1


def test_weights_by_hand():
    mix = torch.tensor([0.0, 1e-4, math.e - 1, 1e6])
    assert mask_weight(mix).tolist() == pytest.approx([1e-3, 1e-3, 1, 10])


def test_distance_by_hand():
    est, ref = torch.tensor([[[1.0, 2.0]], [[0.0, 0.0]]]), torch.tensor([[[3.0, 1.0]], [[0.0, 4.0]]])
    weight = torch.tensor([[[0.5, 2.0]], [[1.0, 0.25]]])
    assert weighted_l1(est, ref, weight).tolist() == [(0.5 * 2 + 2 * 1) / 2, 0.25 * 4 / 2]


def cross_entropy(logits, ref, mix, binary):
    """Of one example, bin by bin: (source, freq, frame), and (1, freq, frame) of the mixture."""
    total = 0
    for z, s, m in zip(logits.flatten().tolist(), ref.flatten().tolist(), mix.expand_as(ref).flatten().tolist()):
        p, y = 1 / (1 + math.exp(-z)), float(s > m / 2) if binary else min(s / m, 1)
        total -= min(max(math.log(1 + m), 1e-3), 10) * (y * math.log(p) + (1 - y) * math.log(1 - p))
    return total / logits.numel()


@pytest.mark.parametrize("binary", [True, False])
def test_cross_entropy_bin_by_bin(binary):
    logits, ref, mix = case()
    mix[1] = 0.6 * ref[1, :1]  # sources cancel: a share above 1
    want = [cross_entropy(*one, binary) for one in zip(logits, ref, mix)]
    assert mask_bce(logits, ref, mix, binary).tolist() == pytest.approx(want, rel=1e-10)
    mask = (ref > 0.5 * mix).double() if binary else (ref / mix).clamp(max=1)
    theirs = F.binary_cross_entropy(logits.sigmoid(), mask, mask_weight(mix).expand_as(ref), reduction="none")
    torch.testing.assert_close(mask_bce(logits, ref, mix, binary), theirs.mean((1, 2, 3)))


def test_half_of_the_mixture_is_not_enough():
    mix, wanted = torch.full((1, 1, 2), 4.0), torch.tensor([[[-50.0, 50.0]]])
    assert mask_bce(wanted, torch.tensor([[[2.0, 2.1]]]), mix).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("binary", [True, False])
def test_in_silence_the_mask_is_to_be_zero_and_hardly_counts(binary):
    logits, silence = torch.tensor([[[2.0, -2.0]]], requires_grad=True), torch.zeros(1, 1, 2)
    loss = mask_bce(logits, silence, silence, binary)
    loss.sum().backward()
    assert loss.item() == pytest.approx(1e-3 * (math.log1p(math.exp(2)) + math.log1p(math.exp(-2))) / 2)
    assert (logits.grad > 0).all()


def test_the_right_mask_is_the_least():
    logits, ref, mix = case()
    for binary, best in ((True, (ref > mix / 2) * 60.0 - 30), (False, (ref / mix).logit())):
        right = mask_bce(best, ref, mix, binary)
        assert (right < mask_bce(logits, ref, mix, binary)).all()


def test_gradients():
    logits, ref, mix = case()
    logits.requires_grad_()
    for loss in (lambda z: mask_bce(z, ref, mix), lambda z: mask_bce(z, ref, mix, False),
                 lambda z: weighted_l1(z.sigmoid() * mix, ref, mask_weight(mix))):
        assert torch.autograd.gradcheck(loss, logits)


def test_an_axis_that_is_forgotten_is_refused():
    """It would otherwise pair every example with every other."""
    logits, ref, mix = case(n_src=2)
    for call in (lambda: mask_bce(logits, ref, mix[:, 0]), lambda: weighted_l1(logits, ref, mix[:, 0]),
                 lambda: weighted_l1(logits, ref[:, :1], mix), lambda: mask_bce(logits[:, 0], ref, mix)):
        with pytest.raises(WeaklibError, match="must have the shape"):
            call()
