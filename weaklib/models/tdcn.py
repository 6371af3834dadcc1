"""TDCN++: the separation network of wisdom2020 and wisdom2021, in every size.

Contents
--------
TDCN
    Basis -> dilated convolutions -> one mask per source -> inverse basis -> mixture consistency.

References
----------
I. Kavalerov et al., "Universal sound separation", WASPAA 2019; S. Wisdom et al., "Differentiable consistency
constraints for improved deep speech enhancement", ICASSP 2019 (mixture consistency); wisdom2020, section 4.
"""
from __future__ import annotations

import math
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import nn

from weaklib import audio
from weaklib.files import WeaklibError
from weaklib.models.layers import Depthwise, prelu_norm


class ScaledLinear(nn.Module):
    """A dense layer over channels, times one learnable scalar: (n_in, batch, frame) -> (n_out, batch, frame)."""

    def __init__(self, n_in: int, n_out: int, scale: float = 1.0, bias: bool = False):
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n_out, n_in)))
        self.bias = nn.Parameter(torch.zeros(n_out)) if bias else None
        self.scale = nn.Parameter(torch.tensor(float(scale)))

    def forward(self, x):
        y = (self.scale * self.weight) @ x.flatten(1)  # scaling the weight is cheaper than scaling the result
        if self.bias is not None:
            y = y + (self.scale * self.bias)[:, None]
        return y.unflatten(1, x.shape[1:])


class PReLUNorm(nn.Module):
    """PReLU with one slope, then normalisation over time per channel with one gain and one bias.

    The epsilon (1e-3) matters for near-silent clips: they stay quiet instead of being blown up.
    """

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor([0.1]))
        self.gain = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x):  # (channel, batch, frame): what the norm takes for channels are the examples
        n = x.shape[1]
        return prelu_norm(x, self.slope, self.gain.expand(n), self.bias.expand(n), n, 1e-3)


class Block(nn.Module):
    """One dilated depthwise-separable convolution with an identity residual.

    The scalar after the last layer starts at 0.9 ** index, so that a deep network starts near the identity.
    """

    def __init__(self, index: int, n_channels: int, n_hidden: int, dilation: int):
        super().__init__()
        self.expand = ScaledLinear(n_channels, n_hidden)
        self.act1 = PReLUNorm()
        self.depthwise = Depthwise(n_hidden, dilation)
        self.act2 = PReLUNorm()
        self.project = ScaledLinear(n_hidden, n_channels, scale=0.9 ** index)

    def forward(self, x):  # (channel, batch, frame)
        return x + self.project(self.act2(self.depthwise(self.act1(self.expand(x)))))


class LearnedBasis(nn.Module):
    """A learned window-free filterbank with ReLU, and its learned inverse (wisdom2020: 2.5 ms, hop 1.25 ms)."""

    def __init__(self, win_length: int, hop_length: int, n_bins: int):
        super().__init__()
        self.win_length, self.hop_length, self.n_bins = win_length, hop_length, n_bins
        self.encoder = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n_bins, win_length))[:, None])
        self.decoder = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n_bins, win_length))[:, None])

    def forward(self, mix):
        """(batch, time) -> coefficients (batch, bin, frame), features (batch, bin, frame)."""
        n_frames = max(0, math.ceil((mix.shape[-1] - self.win_length) / self.hop_length)) + 1
        pad = (n_frames - 1) * self.hop_length + self.win_length - mix.shape[-1]  # at the end only
        coefficients = F.relu(F.conv1d(F.pad(mix, (0, pad))[:, None], self.encoder, stride=self.hop_length))
        return coefficients, coefficients

    def inverse(self, coefficients, length: int):
        """(batch, frame, source, bin) -> (batch, source, time)."""
        return _overlap_add(coefficients @ self.decoder[:, 0], self.hop_length)[..., :length]


class STFTBasis(nn.Module):
    """A sqrt-Hann STFT; the network sees the magnitude, normalised over all bins and frames of a clip.

    The epsilon of that normalisation decides what becomes of quiet clips. The published code has 1e-3, as in
    `PReLUNorm`, and so have the committed results. At an RMS of 1e-3 the estimates with 1e-5, the default here, differ
    from these by some -12 dB.
    """

    def __init__(self, win_length: int, hop_length: int, power: float, eps: float = 1e-5):
        super().__init__()
        self.win_length, self.hop_length, self.n_bins = win_length, hop_length, win_length // 2 + 1
        self.power, self.eps = power, eps
        self.gain = nn.Parameter(torch.ones(()))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, mix):
        """(batch, time) -> coefficients (batch, bin, frame) complex, features (batch, bin, frame)."""
        X = audio.stft(mix, self.win_length, self.hop_length)
        S = (X.abs() + 1e-8) ** self.power
        return X, self.gain * F.layer_norm(S, S.shape[1:], eps=self.eps) + self.bias

    def inverse(self, coefficients, length: int):
        """(batch, frame, source, bin) complex -> (batch, source, time): `audio.istft` for a network that trains.

        Nothing is brought into another order on the way, nor on that of the gradient: with many outputs, it took long.
        """
        window = torch.hann_window(self.win_length, dtype=coefficients.real.dtype, device=coefficients.device).sqrt()
        frames = torch.fft.irfft(coefficients, self.win_length)  # (batch, frame, source, sample)
        cover = _overlap_add(window.square().expand(1, frames.shape[1], 1, -1), self.hop_length)[0, 0]
        window = window / cover.clamp(min=1e-8).unfold(0, self.win_length, self.hop_length)[:frames.shape[1]]
        start = self.win_length // 2
        return _overlap_add(frames * window[:, None], self.hop_length)[..., start:start + length]


def _overlap_add(frames, hop_length: int):
    """(batch, frame, source, sample) -> (batch, source, time), of all that the frames cover."""
    n_parts = -(-frames.shape[-1] // hop_length)
    parts = F.pad(frames, (0, n_parts * hop_length - frames.shape[-1])).unflatten(-1, (n_parts, hop_length)).unbind(-2)
    total = sum(F.pad(part, (0, 0, 0, 0, k, n_parts - 1 - k)) for k, part in enumerate(parts))
    return total.transpose(1, 2).flatten(2)


class TDCN(nn.Module):
    """TDCN++ with masks on a learned or STFT basis and mixture consistency.

    Parameters
    ----------
    n_src : int
        Number of outputs M.
    basis : {"learned", "stft"}
    win_length, hop_length : int, samples
        The published basis is 2.5 ms / 1.25 ms: 40 / 20 at 16 kHz.
    n_bins : int
        Size of the learned basis; an STFT has ``win_length // 2 + 1``.
    power, eps : float
        Exponent of the magnitudes of an STFT, and floor of their normalisation (published: 1e-3; see `STFTBasis`).
    n_channels, n_hidden : int
        Channels between and inside the blocks.
    n_repeats, n_dilations : int
        Blocks are `n_repeats` times the dilations 1, 2, 4 ... 2 ** (n_dilations - 1).
    skips : bool
        Dense connections from the input of every repeat to the input of every later one (the 2020 code), or none
        (the released recipe).
    consistency : {"predicted", "uniform", None}
        How the part of the mixture that the estimates leave over is shared out: by predicted weights, equally,
        or not at all.
    """

    def __init__(self, n_src: int, *, basis: str = "learned", win_length: int = 40, hop_length: int = 20,
                 n_bins: int = 256, power: float = 1.0, eps: float = 1e-5, n_channels: int = 256, n_hidden: int = 512,
                 n_repeats: int = 4, n_dilations: int = 8, skips: bool = False,
                 consistency: str | None = "predicted"):
        super().__init__()
        if basis not in ("learned", "stft"):
            raise WeaklibError(f"Unknown basis {basis!r}; choose learned or stft.")
        if consistency not in ("predicted", "uniform", None):
            raise WeaklibError(f"Unknown consistency {consistency!r}; choose predicted, uniform or None.")
        self.n_src, self.n_dilations, self.consistency = n_src, n_dilations, consistency
        self.basis = (LearnedBasis(win_length, hop_length, n_bins) if basis == "learned"
                      else STFTBasis(win_length, hop_length, power, eps))
        self.bottleneck = ScaledLinear(self.basis.n_bins, n_channels, bias=True)
        self.blocks = nn.ModuleList(Block(b, n_channels, n_hidden, 2 ** (b % n_dilations))
                                    for b in range(n_repeats * n_dilations))
        starts = [repeat * n_dilations for repeat in range(n_repeats)]
        self.skips = nn.ModuleDict({f"{a}-{b}": ScaledLinear(n_channels, n_channels, bias=True)
                                    for a, b in combinations(starts, 2)} if skips else {})
        self.masks = nn.Linear(n_channels, n_src * self.basis.n_bins, bias=False)
        nn.init.xavier_uniform_(self.masks.weight)
        if consistency == "predicted":
            self.weights = nn.Linear(n_channels, n_src, bias=False)
            nn.init.xavier_uniform_(self.weights.weight)

    def forward(self, mix):
        """Separate.

        Parameters
        ----------
        mix : Tensor, shape=(batch, time)

        Returns
        -------
        est : Tensor, shape=(batch, n_src, time)
            With consistency, ``est.sum(1) == mix`` up to rounding.
        """
        coefficients, features = self.basis(mix)
        return self._render(mix[:, None], coefficients[:, None], *self._decide(features))[:, :, 0]

    def separate(self, mix):
        """Separate several channels with what the network makes of their mean.

        Parameters
        ----------
        mix : Tensor, shape=(batch, channel, time)

        Returns
        -------
        est : Tensor, shape=(batch, n_src, channel, time)
            Its sum over sources is `mix`; with an STFT its mean over channels is ``self(mix.mean(1))``.
        """
        coefficients = self.basis(mix.flatten(0, 1))[0].unflatten(0, mix.shape[:2])
        return self._render(mix, coefficients, *self._decide(self.basis(mix.mean(1))[1]))

    def _decide(self, features):
        """Return what masks are made of, (channel, batch, frame), and shares of what is left, (batch, n_src) or None.

        The channels come first, so that each dense layer is one matrix product over all examples and frames.
        """
        x = self.bottleneck(features.transpose(0, 1).contiguous())
        starts = {}
        for b, block in enumerate(self.blocks):
            if self.skips and b % self.n_dilations == 0:
                x = x + sum(self.skips[f"{a}-{b}"](start) for a, start in starts.items())
                starts[b] = x
            x = block(x)
        return x, self._shares(x.mean(-1).T)

    def _shares(self, heard):
        """Of what the estimates leave over, (batch, n_src), from the mean of what is heard; None: nothing is shared."""
        if self.consistency is None:
            return None
        with torch.autocast(heard.device.type, enabled=False):
            heard = heard.float()
            if self.consistency == "predicted":
                return torch.softmax(self.weights(heard), -1)
            return heard.new_full((len(heard), self.n_src), 1 / self.n_src)

    def _render(self, mix, coefficients, x, shares):
        """Make masks, apply them to every channel, and make the estimates add up: (batch, n_src, channel, time)."""
        # One example at a time on a CPU: with many outputs, what lies between `x` and waveforms then fits in its cache.
        size = 1 if mix.device.type == "cpu" else len(mix)
        shares = [None] * len(mix) if shares is None else shares.split(size)
        parts = zip(mix.split(size), coefficients.split(size), x.split(size, 1), shares)
        return torch.cat([self._part(*part) for part in parts])

    def _part(self, mix, coefficients, x, shares):
        """`_render` for some of the examples."""
        masks = torch.sigmoid(x.flatten(1).T @ self.masks.weight.T).unflatten(-1, (self.n_src, self.basis.n_bins))
        masks = masks.unflatten(0, x.shape[1:])[:, None]  # (batch, 1, frame, source, bin)
        with torch.autocast(mix.device.type, enabled=False):  # waveforms in full precision
            masked = (masks.float() * coefficients.mT[..., None, :]).flatten(0, 1)
            est = self.basis.inverse(masked, mix.shape[-1]).unflatten(0, mix.shape[:2])
            if shares is not None:  # of estimates (batch, channel, source, time)
                est = est + shares[:, None, :, None] * (mix - est.sum(2))[:, :, None]
            return est.transpose(1, 2)
