"""TCN: the dilated convolutions of Conv-TasNet on the frames of a spectrogram, as hung2021 uses them.

Contents
--------
TCN
    Features per frame -> one number per output and frame.

References
----------
Y. Luo and N. Mesgarani, "Conv-TasNet: surpassing ideal time-frequency magnitude masking for speech separation", IEEE
TASLP 27(8), 2019; hung2021, section 3.2.
"""
from __future__ import annotations

import torch
from torch import nn

from weaklib.models.layers import Depthwise, prelu_norm

EPS = 1e-8  # of the normalisations, as published


class Dense(nn.Module):
    """A dense layer over channels: (batch, n_in, frame) -> (batch, n_out, frame)."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        layer = nn.Linear(n_in, n_out)
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x):
        return torch.matmul(self.weight, x).add_(self.bias[:, None])


class Block(nn.Module):
    """One block: dense, PReLU, gLN, dilated depthwise convolution, PReLU, gLN, then one dense layer with two outputs.

    The first `n_channels` rows of the last layer are the residual, the others go to the skip connections; the last
    block has no residual, because nothing would hear it.
    """

    def __init__(self, n_channels: int, n_hidden: int, n_skip: int, dilation: int, is_last: bool):
        super().__init__()
        self.n_residual = 0 if is_last else n_channels
        self.expand = Dense(n_channels, n_hidden)
        self.act1, self.norm1 = nn.PReLU(), nn.GroupNorm(1, n_hidden, eps=EPS)
        self.depthwise = Depthwise(n_hidden, dilation, axis=-2)
        self.act2, self.norm2 = nn.PReLU(), nn.GroupNorm(1, n_hidden, eps=EPS)
        self.project = Dense(n_hidden, self.n_residual + n_skip)

    def forward(self, x):
        """(batch, n_channels, frame) -> the input of the next block, and what goes to the output."""
        y = _activated(self.expand(x), self.act1, self.norm1)
        y = self.project(_activated(self.depthwise(y), self.act2, self.norm2))
        residual, skip = y.split((self.n_residual, y.shape[1] - self.n_residual), 1)
        return (x + residual if self.n_residual else None), skip


def _activated(x, act: nn.PReLU, norm: nn.GroupNorm):
    return prelu_norm(x, act.weight, norm.weight, norm.bias, norm.num_groups, norm.eps)


class TCN(nn.Module):
    """Temporal convolutional network with skip connections.

    Parameters
    ----------
    n_in, n_out : int
        Features and outputs per frame.
    n_channels, n_hidden, n_skip : int
        Channels between the blocks, inside them (B and H of Conv-TasNet), and of the skip connections (Sc).
    n_repeats, n_dilations : int
        Blocks are `n_repeats` times the dilations 1, 2, 4 ... 2 ** (n_dilations - 1). hung2021 has 3 times 8.
    """

    def __init__(self, n_in: int, n_out: int, *, n_channels: int = 128, n_hidden: int = 512, n_skip: int = 128,
                 n_repeats: int = 3, n_dilations: int = 8):
        super().__init__()
        self.norm = nn.GroupNorm(1, n_in, eps=EPS)
        self.bottleneck = Dense(n_in, n_channels)
        n_blocks = n_repeats * n_dilations
        self.blocks = nn.ModuleList(Block(n_channels, n_hidden, n_skip, 2 ** (b % n_dilations), b == n_blocks - 1)
                                    for b in range(n_blocks))
        self.act = nn.PReLU()
        self.head = Dense(n_skip, n_out)

    def forward(self, x):
        """Map features ``(batch, n_in, frame)`` to outputs ``(batch, n_out, frame)``, without a final nonlinearity."""
        x, total = self.bottleneck(self.norm(x)), 0
        for block in self.blocks:
            x, skip = block(x)
            total = total + skip
        return self.head(self.act(total))
