"""Losses from the labels of a mixture and a classifier that hears every output: wisdom2021 Section 2.5.

Conventions
-----------
A classifier gives each output one logit per class, ``(batch, n_src, n_class)``; its posteriors ``p`` are their
sigmoids. Logits are asked for, not posteriors, because all is computed from logarithms: values and gradients stay right
for a class that every output denies, or one affirms, with certainty.

Contents
--------
class_loss
    What is heard in the outputs together must be what the mixture is labelled with, Eq. 8.
cosine
    No two outputs should hold the same classes, Eq. 9.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F

from weaklib.files import WeaklibError
from weaklib.losses.gram import check_axes, full_precision


def class_loss(logits, labels, kind="or"):
    """Return the binary cross-entropy of the labels and what the outputs add up to, wisdom2021 Eq. 8.

    Parameters
    ----------
    logits : Tensor, shape=(batch, n_src, n_class)
        One per class and output.
    labels : Tensor, shape=(batch, n_class)
        1 for the classes of the mixture and 0 for all others, of any type.
    kind : {"or", "xor"}
        The probability of a class in the mixture: that at least one output holds it, ``1 - prod_m (1 - p_m)``, or that
        exactly one does, ``sum_m p_m prod_m' (1 - p_m')``, the product over all the others.

    Returns
    -------
    Tensor, shape=(batch,)
        The sum over classes, as in the paper. float32, or float64 if `logits` is.

    Raises
    ------
    WeaklibError
        If `kind` is unknown or a shape does not fit.
    """
    if kind not in ("or", "xor"):
        raise WeaklibError(f"kind is {kind!r}; choose 'or' or 'xor'.")
    check_axes("logits", logits, "(batch, n_src, n_class)")
    if labels.shape != logits.shape[::2]:
        raise WeaklibError(f"labels {tuple(labels.shape)} must be (batch, n_class) of the logits, "
                           f"{tuple(logits.shape[::2])}.")
    with torch.autocast(logits.device.type, enabled=False):
        logits, labels = full_precision(logits, labels)
        one, more = _odds(logits)
        # log(p / (1 - p)) of "one or more", and of "one" against "none or more than one"
        together = torch.logaddexp(one, more) if kind == "or" else one + F.logsigmoid(-more)
        return F.binary_cross_entropy_with_logits(together, labels, reduction="none").sum(1)


def _odds(logits):
    """Log-odds that exactly one output holds a class, and that more than one do, against none: (batch, n_class) both.

    An output that holds it has the odds e^z. The set of those that do grows output by output, and only sums of positive
    numbers occur: nothing cancels.
    """
    first, *others = logits.unbind(1)
    one, more = first, torch.full_like(first, -torch.inf)
    for z in others:
        more = torch.logaddexp(more - F.logsigmoid(-z), one + z)  # 1 + e^z: the next one may hold it, too, or not
        one = torch.logaddexp(one, z)
    return one, more


def cosine(logits):
    """Return the mean over all pairs of outputs of ``1 + cos`` of their posteriors, wisdom2021 Eq. 9.

    Between 1, if no two outputs share a class, and 2, if all posteriors are proportional. It is blind to the size of
    posteriors, so it goes with `class_loss`. The paper had to train the classifier with it.

    Parameters
    ----------
    logits : Tensor, shape=(batch, n_src, n_class)
        One per class and output, for at least two outputs.

    Returns
    -------
    Tensor, shape=(batch,)
        float32, or float64 if `logits` is.

    Raises
    ------
    WeaklibError
        If the shape does not fit or there is one output only.
    """
    check_axes("logits", logits, "(batch, n_src, n_class)")
    n_src = logits.shape[1]
    if n_src < 2:
        raise WeaklibError("cosine compares outputs; logits hold only one.")
    with torch.autocast(logits.device.type, enabled=False):
        logits, = full_precision(logits)
        scores = F.logsigmoid(logits)
        # Relative to the largest, which no cosine notices: posteriors that are all tiny do not vanish.
        posteriors = (scores - scores.detach().amax(-1, keepdim=True)).exp()
        total = F.normalize(posteriors, dim=-1).sum(1)
        # ||sum of n unit vectors||^2 is n plus the cosines of all ordered pairs
        return 1 + (total.square().sum(-1) - n_src) / (n_src * (n_src - 1))
