"""Losses of a game between generators and discriminators, and of the autoencoder whose latents they play for; shin2026.

Conventions
-----------
A discriminator gives judgements, a list of tensors ``(batch, ...)`` with one for each scale, 1 for what it takes for
real, and features, for each scale a list of tensors ``(batch, ...)``, one per layer. A loss has shape ``(batch,)``.

Contents
--------
judged
    Least squares: how far judgements are from what somebody wants.
matching
    Feature matching: how differently a discriminator sees two things.
focal
    Cross-entropy that asks little of what is nearly right.
divergence
    Of latents from the standard normal distribution.
grown
    Weight of a term that comes in gradually.

References
----------
X. Mao et al., "Least squares generative adversarial networks", ICCV 2017; T.-C. Wang et al., "High-resolution image
synthesis and semantic manipulation with conditional GANs", CVPR 2018; T.-Y. Lin et al., "Focal loss for dense object
detection", ICCV 2017.
"""
from __future__ import annotations

import torch.nn.functional as F


def judged(judgements, wanted: float):
    """Least-squares adversarial loss, summed over scales: ``sum_s mean (D_s - wanted)^2``.

    Parameters
    ----------
    judgements : list of Tensor, shape=(batch, ...)
    wanted : float
        1 where a generator wants its fakes taken for real, and where the discriminator judges what is; 0 where it
        judges a fake.

    Returns
    -------
    Tensor, shape=(batch,)
    """
    return sum((scale - wanted).square().flatten(1).mean(1) for scale in judgements)


def matching(est, ref):
    """Mean over scales and layers of ``mean |f(est) - f(ref)|``; no gradient goes to `ref`.

    shin2026 compares a picture with its own cycle reconstruction, not with any fake.

    Parameters
    ----------
    est, ref : list of list of Tensor, shape=(batch, ...)
        Features by scale and layer.

    Returns
    -------
    Tensor, shape=(batch,)
    """
    pairs = [(a, b) for some, others in zip(est, ref, strict=True) for a, b in zip(some, others, strict=True)]
    return sum((a - b.detach()).abs().flatten(1).mean(1) for a, b in pairs) / len(pairs)


def focal(logits, roll, *, gamma: float = 2.0, alpha: float = 0.75):
    """Focal loss, mean over all elements: ``-a (1 - p)^gamma log p``, p being the probability of what is true.

    Parameters
    ----------
    logits, roll : Tensor, shape=(batch, ...)
        What is above 0 in the roll sounds.
    gamma : float
        How much less what is nearly right counts; 0: the cross-entropy.
    alpha : float
        Weight a of what sounds; the rest has ``1 - alpha``.

    Returns
    -------
    Tensor, shape=(batch,)
    """
    sounds = (roll > 0).to(logits)
    log_p = F.logsigmoid(logits * (2 * sounds - 1))
    weight = 1 - alpha + (2 * alpha - 1) * sounds
    return (-weight * (1 - log_p.exp()) ** gamma * log_p).flatten(1).mean(1)


def divergence(mean, log_variance):
    """Kullback-Leibler divergence from N(0, 1), summed over the latent: ``sum (m^2 + v - 1 - log v) / 2``.

    Parameters
    ----------
    mean, log_variance : Tensor, shape=(batch, ...)

    Returns
    -------
    Tensor, shape=(batch,), nats
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1)


def grown(step: int, steps: int, first: float = 0.1) -> float:
    """Weight at a step, counted from 0, that grows linearly from `first` to 1 in so many steps: w(t) of shin2026."""
    return 1.0 if step >= steps else first + (1 - first) * step / steps
