"""A small model of which sound goes with which text, and what hears like it.

The audio-text model of mahmud2024 is a critic: it hears what a separator makes of a text and says whether the two go
together. The paper's is LAION-CLAP (`weaklib.models.laion`); this one has some 250,000 parameters and is trained by the
kit. It listens to any level alike, so that nobody pleases it by being loud.

Contents
--------
Shared, strided
    What pictures have in common with sounds: the text side with a temperature, and convolutions.
Clap
    Sounds and texts as unit vectors.
Classifier
    The same ear, and classes in the place of texts.
masks, noise
    What spoils the sounds that a critic hears in training.
attack
    Masks that please a critic, whatever they let through.

References
----------
Y. Wu et al., "Large-scale contrastive language-audio pretraining with feature fusion and keyword-to-caption
augmentation", ICASSP 2023; A. Radford et al., "Learning transferable visual models from natural language supervision",
ICML 2021.
"""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from weaklib import audio

N_FFT, HOP, N_MELS = 512, 256, 64
SHORTEST = 16  # frames: fewer are padded to, or the convolutions leave nothing
FLOOR = 1e-3  # RMS, -60 dBFS: what is quieter stays quiet, or its gradient would have no bound
D_TEXT, D_SHARED = 384, 64  # sizes of the vectors of `weaklib.text.encode`, and of those that are compared
MASKED, NOISE = 0.7, 0.15  # of spoiled sounds: how often parts are missing, and RMS of the noise re the sound at most


class Shared(nn.Module):
    """Unit vectors of texts, to be compared with those of something else.

    Parameters
    ----------
    d_text : int
        Size of the vectors that come from a language model.
    d_shared : int
        Size of the unit vectors.
    """

    def __init__(self, d_text: int = D_TEXT, d_shared: int = D_SHARED):
        super().__init__()
        self.text = nn.Sequential(nn.Linear(d_text, 2 * d_shared), nn.GELU(), nn.Linear(2 * d_shared, d_shared))
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    @property
    def scale(self):
        """Factor of cosines in a contrastive loss, at most 100: the inverse of a learned temperature."""
        return self.log_scale.exp().clamp(max=100)

    def read(self, pooled):
        """Texts ``(batch, d_text)``, pooled by a language model, -> unit vectors ``(batch, d_shared)``."""
        return F.normalize(self.text(pooled), dim=-1)


def strided(widths) -> nn.Sequential:
    """Convolutions that halve a picture, one from each number of channels to the next.

    They are normalised by groups of channels, so that what they make of an item is the same in training and evaluation,
    whatever else is in the batch.
    """
    return nn.Sequential(*(layer for a, b in zip(widths, widths[1:]) for layer in (
        nn.Conv2d(a, b, 4, stride=2, padding=1, bias=False), nn.GroupNorm(4, b), nn.LeakyReLU(0.2))))


class Ear(nn.Module):
    """Waveforms ``(batch, time)`` -> features ``(batch, 16 n_channels)``: four convolutions on a mel spectrogram.

    Square roots of mel magnitudes relative to the RMS of the sound go in; means and maxima over time and frequency
    come out.
    """

    def __init__(self, n_channels: int, sr: int):
        super().__init__()
        from torchaudio.functional import melscale_fbanks
        self.register_buffer("filters", melscale_fbanks(N_FFT // 2 + 1, 0.0, sr / 2, N_MELS, sr).T, persistent=False)
        self.layers = strided([1, n_channels, 2 * n_channels, 4 * n_channels, 8 * n_channels])
        self.n_features = 16 * n_channels

    def forward(self, x, spoiled: bool = False, generator=None):
        """Listen; `spoiled` and `generator` as in `Clap.hear`."""
        if spoiled:
            x = x + noise(x, generator)
        rms = (x.square().mean(-1, keepdim=True) + FLOOR ** 2).sqrt()
        X = audio.stft(x / rms, N_FFT, HOP).abs()
        if spoiled:
            X = masks(X.shape, generator, X.device) * X
        X = F.pad(self.filters @ X, (0, max(0, SHORTEST - X.shape[-1])))
        x = self.layers((X + 0.01).sqrt()[:, None]).flatten(2)
        return torch.cat([x.mean(-1), x.amax(-1)], 1)


def masks(shape, generator=None, device="cpu"):
    """Draw masks as a separator may make them, smooth over time and frequency; three in ten let everything through.

    Parameters
    ----------
    shape : (int, int, int)
        Batch, frequencies, frames.
    generator : torch.Generator, optional
        On the CPU. By default torch's global one, which `weaklib.training.fit` seeds at every step.
    device : str or torch.device
        Where the masks are made, of numbers that are drawn on the CPU.

    Returns
    -------
    Tensor, shape=(batch, freq, frame)
        In (0, 1].
    """
    n, *size = shape
    knots = torch.randn(n, 1, 8, 5, generator=generator).to(device)  # frequency, time
    drawn = (torch.rand(n, 1, 1, generator=generator) < MASKED).to(device)
    mask = F.interpolate(knots, size, mode="bilinear", align_corners=True)[:, 0]
    return torch.where(drawn, torch.sigmoid(3 * mask + 1), 1)


def noise(x, generator=None):
    """Draw white noise for sounds ``(batch, time)``, of 0 to 15 % of their RMS; it has no gradient."""
    amount = NOISE * torch.rand(len(x), 1, generator=generator)
    drawn = amount * torch.randn(x.shape, generator=generator)
    return drawn.to(x) * x.detach().square().mean(-1, keepdim=True).sqrt()


class Clap(Shared):
    """Sounds and texts as unit vectors, close to each other where a text says what is heard.

    Parameters
    ----------
    n_channels : int
        Of the first convolution, a multiple of 4; 16 makes 189,000 parameters that hear, beside 58,000 that read.
    sr : int, Hz
    d_text, d_shared : int
        See `Shared`.
    """

    def __init__(self, n_channels: int = 16, sr: int = 8000, d_text: int = D_TEXT, d_shared: int = D_SHARED):
        super().__init__(d_text, d_shared)
        self.ear = Ear(n_channels, sr)
        self.head = nn.Linear(self.ear.n_features, d_shared)

    def hear(self, x, spoiled: bool = False, generator=None):
        """Listen to sounds; what comes out is the same at any level, and differentiable.

        A critic that learns from spoiled sounds, and through which a separator learns from spoiled estimates, is a
        better teacher and harder to fool, though it recognises less. This is not in the paper.

        Parameters
        ----------
        x : Tensor, shape=(batch, time)
        spoiled : bool
            Whether parts of what is heard are missing (`masks`), and there is noise (`noise`).
        generator : torch.Generator, optional
            Of both.

        Returns
        -------
        Tensor, shape=(batch, d_shared)
            Unit vectors.
        """
        return F.normalize(self.head(self.ear(x, spoiled, generator)), dim=-1)

    def forward(self, x, pooled, spoiled: bool = False):
        """Hear and read: unit vectors of both, each (batch, d_shared)."""
        return self.hear(x, spoiled), self.read(pooled)


class Classifier(nn.Module):
    """The ear of `Clap` with a logit for each class: waveforms ``(batch, time)`` -> ``(batch, class)``.

    In a mixture several classes are there, so that logits belong into sigmoids: the timbre classifier of mahmud2024.
    """

    def __init__(self, n_classes: int, n_channels: int = 16, sr: int = 8000):
        super().__init__()
        self.ear = Ear(n_channels, sr)
        self.head = nn.Linear(self.ear.n_features, n_classes)

    def forward(self, x, spoiled: bool = False, generator=None):
        return self.head(self.ear(x, spoiled, generator))


def attack(critic, mix, text, *, steps: int = 200, lr: float = 0.1):
    """Make masks that please a critic: nothing but its gradient says what they let through.

    They begin at 1/2 everywhere, with the mixture itself. What comes out agrees with the text as the critic hears it,
    and need not be the source at all: how far a critic can be fooled, and why a separator must not follow it alone.

    Parameters
    ----------
    critic : Clap or LaionClap
        It is left as it is.
    mix : Tensor, shape=(batch, time)
    text : Tensor, shape=(batch, d_shared)
        Unit vectors of what each is to be taken for.
    steps : int
    lr : float
        Of Adam, on the logits of the masks.

    Returns
    -------
    mask : Tensor, shape=(batch, freq, frame)
        In (0, 1), for the STFT of ``N_FFT`` and ``HOP``.
    est : Tensor, shape=(batch, time)
        The mixture through it.
    loss : Tensor, shape=(steps + 1, batch)
        1 minus the cosine between sound and text, before each step and after the last.
    """
    X = audio.stft(mix, N_FFT, HOP)
    logits = torch.zeros(X.shape, dtype=mix.dtype, device=mix.device, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr)
    history = []
    for step in range(steps + 1):
        mask = torch.sigmoid(logits)
        est = audio.istft(mask * X, HOP, mix.shape[-1])
        loss = 1 - (critic.hear(est) * text).sum(-1)
        history.append(loss.detach())
        if step < steps:
            logits.grad, = torch.autograd.grad(loss.sum(), logits)
            optimizer.step()
    return mask.detach(), est.detach(), torch.stack(history)
