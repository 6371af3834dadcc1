"""What the dilated convolutional networks share, written for a CPU, where most of the time goes into moving numbers.

Contents
--------
prelu_norm
    PReLU, then group normalisation.
Depthwise
    A dilated convolution over time with three taps for each channel.
"""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import Function, once_differentiable


def prelu_norm(x, slope, weight, bias, n_groups: int, eps: float):
    """PReLU with one slope, then group normalisation.

    On a CPU this takes a third of the time of the two functions of torch: the gradient of `prelu` is slow there, and
    autograd keeps more between the two than the cache holds.

    Parameters
    ----------
    x : Tensor, shape=(batch, channel, frame)
    slope : Tensor, shape=(1,)
        Of what is below zero.
    weight, bias : Tensor, shape=(channel,)
    n_groups : int
    eps : float

    Returns
    -------
    Tensor, shape=(batch, channel, frame)
    """
    if x.device.type == "cpu" and x.dtype == slope.dtype:  # it is another one under autocast
        return _PReLUNorm.apply(x, slope, weight, bias, n_groups, eps)
    return F.group_norm(F.prelu(x, slope), n_groups, weight, bias, eps)


class _PReLUNorm(Function):
    """Keeps nothing but its input, and works in place."""

    @staticmethod
    def forward(ctx, x, slope, weight, bias, n_groups, eps):
        x, weight, bias = x.contiguous(), weight.contiguous(), bias.contiguous()
        ctx.sizes = (*x.shape, n_groups)
        y, mean, rstd = torch.native_group_norm(F.leaky_relu(x, slope.item()), weight, bias, *ctx.sizes, eps)
        ctx.save_for_backward(x, slope, weight, mean, rstd)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        x, slope, weight, mean, rstd = ctx.saved_tensors
        slope = slope.item()
        bent = F.leaky_relu(x, slope)
        g, weight_grad, bias_grad = torch.ops.aten.native_group_norm_backward(
            g.contiguous(), bent, mean, rstd, weight, *ctx.sizes, [True] * 3)
        slope_grad = torch.dot(torch.clamp(x, max=0, out=bent).flatten(), g.flatten())
        torch.ops.aten.leaky_relu_backward.grad_input(g, x, slope, False, grad_input=g)
        return g, slope_grad[None], weight_grad, bias_grad, None, None


class Depthwise(nn.Module):
    """A dilated convolution over time, three taps for each channel: (channel, batch, frame) to the same.

    With ``axis=-2`` the channels come second: (batch, channel, frame). Written as three shifted sums: dilated depthwise
    convolutions are slow on a CPU.
    """

    def __init__(self, n_channels: int, dilation: int, axis: int = -3):
        super().__init__()
        self.dilation = dilation
        self.shape = (n_channels,) + (1,) * (-axis - 1)  # of one number per channel
        bound = math.sqrt(6 / (3 * n_channels + 3))  # Glorot with the fans that Keras gives a depthwise kernel
        self.weight = nn.Parameter(torch.empty(n_channels, 3).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(n_channels))

    def forward(self, x):
        taps = (w.view(self.shape) for w in self.weight.unbind(1))
        return _Taps.apply(x, *taps, self.bias.view(self.shape), self.dilation)


class _Taps(Function):
    """``past * x[t - d] + now * x[t] + future * x[t + d] + bias``; autograd would keep and write each term."""

    @staticmethod
    def forward(ctx, x, past, now, future, bias, d: int):
        ctx.d = d
        ctx.save_for_backward(x, past, now, future)
        return _tapped(x, past, now, future, d).add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (x, past, now, future), d = ctx.saved_tensors, ctx.d
        n = max(0, x.shape[-1] - d)
        pairs = (g[..., d:], x[..., :n]), (g, x), (g[..., :n], x[..., d:])
        taps = [(a * b).sum_to_size(now.shape) for a, b in pairs]
        return _tapped(g, future, now, past, d), *taps, g.sum_to_size(now.shape), None


def _tapped(x, past, now, future, d: int):
    y, n = x * now, max(0, x.shape[-1] - d)
    y[..., d:].addcmul_(x[..., :n], past)
    y[..., :n].addcmul_(x[..., d:], future)
    return y
