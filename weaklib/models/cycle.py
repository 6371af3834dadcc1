"""Convolutional encoders, decoders and discriminators of shin2026, between spectrograms, scores and their latents.

Pictures are ``(batch, channel, time, frequency)``, of pitches or constant-Q bins. One set of classes makes the networks
as published and those for a laptop: a stem may turn patches into pixels first, so that the first convolutions, with
few channels at full resolution the dearest of a small network, are left out.

Contents
--------
Encoder, Decoder
    A picture -> a smaller one with more channels, and back.
VAE
    A variational autoencoder of both.
Discriminator
    Which parts of a picture are real, at several scales.

References
----------
E. Hoogeboom et al., "simple diffusion: end-to-end diffusion for high resolution images", ICML 2023; Z. Shen et al.,
"Efficient attention: attention with linear complexities", WACV 2021; W. Shi et al., "Real-time single image and video
super-resolution using an efficient sub-pixel convolutional neural network", CVPR 2016; A. Aitken et al.,
"Checkerboard artifact free sub-pixel convolution", 2017; T.-C. Wang et al., "High-resolution image synthesis and
semantic manipulation with conditional GANs", CVPR 2018.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

HEADS, WIDTH = 2, 16  # of the attention
SLOPE = 0.2  # of the discriminators' leaky ReLU


class Norm(nn.Module):
    """RMS normalisation over channels, with a gain for each."""

    def __init__(self, n_channels: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(n_channels, 1, 1))

    def forward(self, x):
        return F.normalize(x, dim=1) * (self.gain * len(self.gain) ** 0.5)


class Residual(nn.Module):
    """Twice a 3 x 3 convolution, normalisation and SiLU, plus the input."""

    def __init__(self, n_channels: int):
        super().__init__()
        self.layers = nn.Sequential(*(layer for _ in range(2) for layer in (
            nn.Conv2d(n_channels, n_channels, 3, padding=1), Norm(n_channels), nn.SiLU())))

    def forward(self, x):
        return x + self.layers(x)


class Attention(nn.Module):
    """Linear attention over all pixels, plus the input."""

    def __init__(self, n_channels: int):
        super().__init__()
        self.norm = Norm(n_channels)
        self.qkv = nn.Conv2d(n_channels, 3 * HEADS * WIDTH, 1, bias=False)
        self.out = nn.Sequential(nn.Conv2d(HEADS * WIDTH, n_channels, 1), Norm(n_channels))

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).flatten(2).unflatten(1, (3, HEADS, WIDTH)).unbind(1)
        q, k = q.softmax(-2) * WIDTH ** -0.5, k.softmax(-1)
        read = (v @ k.mT) @ q  # (batch, head, width, pixel)
        return x + self.out(read.reshape(len(x), -1, *x.shape[2:]))


class Patches(nn.Module):
    """Space to depth: patches of ``(time, frequency)`` become pixels, their values channels."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        (a, b), (t, f) = self.size, x.shape[2:]
        x = x.unflatten(3, (f // b, b)).unflatten(2, (t // a, a))  # (batch, channel, t, a, f, b)
        return x.permute(0, 1, 3, 5, 2, 4).flatten(1, 3).contiguous(memory_format=torch.channels_last)


class Unpatched(nn.Module):
    """Depth to space, the inverse of `Patches`."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        x = x.unflatten(1, (-1, *self.size))  # (batch, channel, a, b, t, f)
        return x.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3).contiguous(memory_format=torch.channels_last)


def down(n_in: int, n_out: int, stride) -> nn.Module:
    """Halve both axes by patches, one by a strided convolution, or none."""
    if tuple(stride) == (2, 2):
        return nn.Sequential(Patches(stride), nn.Conv2d(4 * n_in, n_out, 1))
    return nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1)


def up(n_in: int, n_out: int, size) -> nn.Module:
    """Enlarge the axes by `size`; the kernels of one patch begin alike, so that it shows no grid."""
    if tuple(size) == (1, 1):
        return nn.Conv2d(n_in, n_out, 3, padding=1)
    n = size[0] * size[1]
    layer = nn.Conv2d(n_in, n * n_out, 1)
    first = torch.empty(n_out, n_in, 1, 1)
    nn.init.kaiming_uniform_(first)
    with torch.no_grad():
        layer.weight.copy_(first.repeat_interleave(n, 0))
        layer.bias.zero_()
    return nn.Sequential(layer, nn.SiLU(), Unpatched(size))


def _levels(widths, strides):
    """Channels before and after each stage, with its stride."""
    return list(zip(widths[:-1], widths[1:], strides, strict=True))


def _blocks(n_channels: int, n: int) -> list[nn.Module]:
    return [Residual(n_channels) for _ in range(n)]


class Encoder(nn.Sequential):
    """A picture to a smaller one.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    widths : tuple of int
        Channels after the stem and after each stage.
    strides : tuple of (int, int)
        One per stage.
    n_blocks : int
        Residual ones per stage: after its stride, or with `middle` before it.
    attention : int
        First stage, from 0, that attends: to all pixels, before its stride.
    stem : (int, int)
        Patch that becomes a pixel first; (1, 1): a 3 x 3 convolution.
    middle : bool
        Whether the stages are followed by a residual block, attention, and another block.
    """

    def __init__(self, n_in: int, n_out: int, *, widths, strides, n_blocks: int = 2, attention: int = 0, stem=(1, 1),
                 middle: bool = False):
        plain = tuple(stem) == (1, 1)
        layers = ([nn.Conv2d(n_in, widths[0], 3, padding=1)] if plain else
                  [Patches(stem), nn.Conv2d(stem[0] * stem[1] * n_in, widths[0], 1)])
        for k, (a, b, stride) in enumerate(_levels(widths, strides)):
            attend = [Attention(a)] if k >= attention else []
            layers += ([*_blocks(a, n_blocks), *attend, down(a, b, stride)] if middle else
                       [*attend, down(a, b, stride), *_blocks(b, n_blocks)])
        if middle:
            layers += [Residual(widths[-1]), Attention(widths[-1]), Residual(widths[-1])]
        super().__init__(*layers, nn.Conv2d(widths[-1], n_out, 1))


class Decoder(nn.Sequential):
    """A picture to a larger one; parameters as in `Encoder`, whose stages it undoes from the last to the first."""

    def __init__(self, n_in: int, n_out: int, *, widths, strides, n_blocks: int = 2, attention: int = 0, stem=(1, 1),
                 middle: bool = False):
        last = widths[-1]
        layers: list[nn.Module] = ([nn.Conv2d(n_in, last, 1), Residual(last), Attention(last), Residual(last)] if middle
                                   else [nn.Conv2d(n_in, last, 3, padding=1)])
        for k, (a, b, stride) in reversed(list(enumerate(_levels(widths, strides)))):
            n = a if middle else b
            block = [*_blocks(n, n_blocks), *([Attention(n)] if k >= attention else [])]
            layers += [up(b, a, stride), *block] if middle else [*block, up(b, a, stride)]
        if not middle:
            layers.append(Residual(widths[0]))
        plain = tuple(stem) == (1, 1)
        layers += ([nn.Conv2d(widths[0], n_out, 3, padding=1)] if plain else
                   [nn.Conv2d(widths[0], stem[0] * stem[1] * n_out, 1), Unpatched(stem)])
        super().__init__(*layers)


class VAE(nn.Module):
    """Scores ``(batch, instrument, time, pitch)``, -1 or 1, to a normal distribution of latents, and back to logits."""

    def __init__(self, n_channels: int, z_channels: int, **net):
        super().__init__()
        self.encoder = Encoder(n_channels, 2 * z_channels, **net)
        self.decoder = Decoder(z_channels, n_channels, **net)

    def encode(self, score):
        """Mean and log variance of the latent, each (batch, z_channels, time, frequency)."""
        mean, log_variance = self.encoder(score).chunk(2, 1)
        return mean, log_variance.clamp(-30, 20)

    def decode(self, z):
        """Logits of the notes."""
        return self.decoder(z)

    def forward(self, score):
        """Logits of the notes by way of the mean latent."""
        return self.decode(self.encode(score)[0])


class _Layer(nn.Module):
    """A weight-normed convolution and leaky ReLU; as a residual one plus its input, projected if the shape changes."""

    def __init__(self, n_in: int, n_out: int, kernel, stride=(1, 1), residual: bool = False):
        super().__init__()
        padding = tuple(k // 2 for k in kernel)
        self.conv = weight_norm(nn.Conv2d(n_in, n_out, tuple(kernel), tuple(stride), padding))
        self.skip = None
        if residual:
            same = n_in == n_out and tuple(stride) == (1, 1)
            self.skip = nn.Identity() if same else weight_norm(nn.Conv2d(n_in, n_out, 1, tuple(stride)))

    def forward(self, x):
        y = F.leaky_relu(self.conv(x), SLOPE)
        return y if self.skip is None else y + self.skip(x)


class _Scale(nn.Module):
    """The discriminator of one scale."""

    def __init__(self, n_in: int, n_channels: int, most: int, n_layers: int, kernel, stride, stem):
        super().__init__()
        widths = [min(n_channels * 2 ** k, most) for k in range(n_layers)]
        sizes = list(zip([n_in * stem[0] * stem[1], *widths], widths))
        self.stem = Patches(stem)
        self.layers = nn.ModuleList([*(_Layer(a, b, kernel, stride, residual=k > 0) for k, (a, b) in enumerate(sizes)),
                                     _Layer(widths[-1], widths[-1], (3, 3))])
        self.head = weight_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, x):
        x, features = self.stem(x), []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return self.head(x), features


class Discriminator(nn.Module):
    """Which parts of a picture are real, seen at several scales, each half as fine as the one before.

    Parameters
    ----------
    n_in : int
        Channels.
    n_channels, most : int
        Channels of the first layer; each further one has twice as many, at most `most`.
    n_layers, n_scales : int
    kernel, stride : (int, int)
        Those of the layers, which are residual from the second on.
    stem : (int, int)
        Patch that becomes a pixel first.
    """

    def __init__(self, n_in: int, *, n_channels: int, most: int, n_layers: int, n_scales: int, kernel, stride,
                 stem=(1, 1)):
        super().__init__()
        self.scales = nn.ModuleList(_Scale(n_in, n_channels, most, n_layers, kernel, stride, stem)
                                    for _ in range(n_scales))

    def forward(self, x):
        """Judgements by scale, 1 for real and 0 for fake, and the features of every layer but the last, by scale."""
        found = []
        for k, scale in enumerate(self.scales):
            if k:
                x = F.avg_pool2d(x, 4, 2, 1, count_include_pad=False)
            found.append(scale(x))
        judgements, features = zip(*found)
        return list(judgements), list(features)
