"""The contrastive loss of mahmud2024, Eq. 3 and 4: what was separated must sound like the text that asked for it.

Item `i` is an estimate and the text of it; `c_ij` is the cosine of estimate `i` and text `j` in the space that an
audio-text model has for both. The loss is InfoNCE: a text must be told from the other texts of the batch by its
estimate, and an estimate by its text.

References
----------
A. van den Oord et al., "Representation learning with contrastive predictive coding", 2018; P. Khosla et al.,
"Supervised contrastive learning", NeurIPS 2020, for several positives.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F

from weaklib.files import WeaklibError
from weaklib.losses.gram import full_precision

FORMS = ("symmetric", "audio_to_text")


def contrastive(audio, text, scale, same=None, form="symmetric", slots=None):
    """Return the contrastive loss of every item, mahmud2024 Eq. 3 and 4.

    From audio to text it is ``-mean_{p in P_i} log(exp(s c_ip) / sum_{j in G_i} exp(s c_ij))``, with the scale ``s``,
    the positives ``P_i`` and the group ``G_i`` of item `i`; from text to audio the same with ``c_pi`` and ``c_ji``. In
    the paper ``P_i`` is ``{i}`` and ``G_i`` the whole batch, and an item has the mean of both directions. The paper's
    loss of a mixture is the mean over its items.

    Parameters
    ----------
    audio, text : Tensor, shape=(n, d)
        Embeddings of the estimates and of what they were asked for by, of any length.
    scale : float or Tensor, shape=()
        ``1 / temperature``.
    same : Tensor, shape=(n, n), bool, optional
        ``same[i, j]``: the texts `i` and `j` name the same, so that `j` is a positive of `i`. An item always is its
        own. In the paper all others are negatives, whatever they name. With ``m`` equal texts the least value is not 0
        but ``log m``.
    form : {"symmetric", "audio_to_text"}
        The paper's, or the released code's, which leaves the other direction out.
    slots : Tensor, shape=(n,), int, optional
        Which group each item is in. The released code has one per component of a mixture of mixtures; without it all
        items are one.

    Returns
    -------
    Tensor, shape=(n,), nats
        float32, or float64 if `audio` is.

    Raises
    ------
    WeaklibError
        If `form` is unknown or a shape does not fit.
    """
    if form not in FORMS:
        raise WeaklibError(f"form is {form!r}; choose 'symmetric' or 'audio_to_text'.")
    if audio.ndim != 2 or audio.shape != text.shape:
        raise WeaklibError(f"audio {tuple(audio.shape)} and text {tuple(text.shape)} must both be (n, d).")
    n = len(audio)
    for name, x, shape in (("same", same, (n, n)), ("slots", slots, (n,))):
        if x is not None and x.shape != shape:
            raise WeaklibError(f"{name} {tuple(x.shape)} must be {shape}, for {n} items.")
    positive = torch.eye(n, dtype=torch.bool, device=audio.device)
    if same is not None:
        positive = positive | same
    with torch.autocast(audio.device.type, enabled=False):
        audio, text = full_precision(audio, text)
        logits = scale * F.normalize(audio, dim=1) @ F.normalize(text, dim=1).T
        if slots is not None:
            together = slots[:, None] == slots
            logits, positive = logits.masked_fill(~together, -torch.inf), positive & together
        heard = _info_nce(logits, positive)
        return heard if form == "audio_to_text" else (heard + _info_nce(logits.T, positive)) / 2


def _info_nce(logits, positive):
    """Of each row, less the mean over its positives of the logarithm of the softmax."""
    surprise = -logits.log_softmax(1)
    return surprise.masked_fill(~positive, 0).sum(1) / positive.sum(1)
