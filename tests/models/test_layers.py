"""Layers with gradients of their own, against torch's and against finite differences."""
import pytest
import torch
import torch.nn.functional as F

from weaklib.models.layers import Depthwise, prelu_norm


def arguments(shape, n_weights, dtype=torch.float32):
    torch.manual_seed(0)
    made = torch.randn(shape), torch.tensor([0.3]), torch.randn(n_weights), torch.randn(n_weights)
    return [x.to(dtype).requires_grad_() for x in made]


def plain(x, slope, weight, bias, n_groups, eps):
    return F.group_norm(F.prelu(x, slope), n_groups, weight, bias, eps)


@pytest.mark.parametrize("n_groups", [1, 2, 6])
@pytest.mark.parametrize("strided", [False, True])
def test_prelu_norm_is_torchs(n_groups, strided):
    """Values and gradients, also where one weight serves all channels and the input is a view of something else."""
    xs = arguments((4, 9, 6) if strided else (4, 6, 9), 1 if strided else 6)
    seen = (lambda x, a, w, b: (x.mT, a, w.expand(6), b.expand(6))) if strided else lambda *xs: xs
    found, want = (f(*seen(*xs), n_groups, 1e-3) for f in (prelu_norm, plain))
    torch.testing.assert_close(found, want)
    g = torch.randn_like(want)
    for mine, theirs in zip(torch.autograd.grad(found, xs, g), torch.autograd.grad(want, xs, g)):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_prelu_norm_leaves_what_it_is_given():
    """It works in place, but on what it made itself."""
    xs = arguments((2, 4, 5), 4)
    before = [x.detach().clone() for x in xs]
    y = prelu_norm(*xs, 2, 1e-3)
    g = torch.randn_like(y)
    kept = g.clone()
    y.backward(g, retain_graph=True)
    first = [x.grad.clone() for x in xs]
    y.backward(g)
    assert torch.equal(g, kept) and all(torch.equal(x, b) for x, b in zip(xs, before))
    for x, once in zip(xs, first):
        torch.testing.assert_close(x.grad, 2 * once)


def test_prelu_norm_by_finite_differences():
    xs = arguments((3, 4, 5), 4, torch.float64)
    assert torch.autograd.gradcheck(lambda *xs: prelu_norm(*xs, 2, 1e-3), xs)


def test_prelu_norm_in_half_precision():
    """Under autocast what comes from a matrix product is not what the weights are."""
    xs = arguments((2, 4, 50), 4)
    with torch.autocast("cpu", torch.bfloat16):
        found = prelu_norm(xs[0].bfloat16(), *xs[1:], 1, 1e-3)
    torch.testing.assert_close(found.float(), plain(*xs, 1, 1e-3), rtol=0.05, atol=0.05)
    found.sum().backward()
    assert all(x.grad.isfinite().all() for x in xs)


@pytest.mark.parametrize("axis", [-3, -2])
@pytest.mark.parametrize("dilation", [1, 3, 7, 8, 20])
def test_depthwise_is_the_dilated_convolution(axis, dilation):
    """Its gradients too, and where the taps reach beyond a clip of 7 frames."""
    layer = Depthwise(4, dilation, axis).double()
    torch.nn.init.normal_(layer.bias)
    x = torch.randn((4, 3, 7) if axis == -3 else (3, 4, 7), dtype=torch.float64, requires_grad=True)
    turn = (lambda x: x.transpose(0, 1)) if axis == -3 else lambda x: x
    want = turn(F.conv1d(turn(x), layer.weight[:, None], layer.bias, dilation=dilation, padding=dilation, groups=4))
    found, given = layer(x), (x, layer.weight, layer.bias)
    torch.testing.assert_close(found, want)
    g = torch.randn_like(want)
    for mine, theirs in zip(torch.autograd.grad(found, given, g), torch.autograd.grad(want, given, g)):
        torch.testing.assert_close(mine, theirs)
