"""Losses that learn separation and transcription from weak labels.

Conventions
-----------
Arguments are ``(est, ref)``; a loss has one number per example, shape ``(batch,)``, lower is better. Average it over
the batch yourself. `pit` and `mixit` take waveforms ``(batch, source, time)``, are in dB, and come with the assignment
that they are the loss of. `sparsity` and `covariance` take the outputs alone; `class_loss` and `cosine` a classifier's
logits, see `weaklib.losses.semantic`; those of the score logits, rolls and magnitudes, see `weaklib.losses.score`;
`contrastive` embeddings, and the losses of masks magnitudes, see `weaklib.losses.masks`.

Contents
--------
thresholded_snr
    Negative SNR that stops rewarding beyond `snr_max`: the signal-level loss of `pit` and `mixit`.
pit
    Permutation invariant training: supervised, the order of the outputs does not matter.
mixit
    Mixture invariant training: unsupervised, the outputs must add up to the reference mixtures.
sparsity, covariance
    Against over-separation: few outputs should be active, and those uncorrelated.
class_loss, cosine
    What a classifier hears in the outputs, against the labels of the mixture, and in any two of them.
score_loss, multipitch_loss, activity_loss, separated_loss, adversarial_mixture_loss, adversarial_transcription_loss
    What a transcriptor hears, against the score.
mixture_loss, distance, activity, harmonic_mask
    Which estimates may have energy where, by the score.
judged, matching, focal, divergence, grown
    What discriminators and an autoencoder ask of pictures, see `weaklib.losses.adversarial`.
contrastive
    Every estimate must sound like the text that asked for it, and like no other.
mask_bce, mask_weight, weighted_l1
    Masks and magnitudes against references, with weights of the bins.
"""
from weaklib.losses.adversarial import divergence, focal, grown, judged, matching
from weaklib.losses.contrastive import contrastive
from weaklib.losses.masks import mask_bce, mask_weight, weighted_l1
from weaklib.losses.mixit import mixit
from weaklib.losses.pit import pit
from weaklib.losses.score import (
    activity,
    activity_loss,
    adversarial_mixture_loss,
    adversarial_transcription_loss,
    distance,
    harmonic_mask,
    mixture_loss,
    multipitch_loss,
    score_loss,
    separated_loss,
)
from weaklib.losses.semantic import class_loss, cosine
from weaklib.losses.snr import thresholded_snr
from weaklib.losses.sparse import covariance, sparsity

__all__ = ["activity", "activity_loss", "adversarial_mixture_loss", "adversarial_transcription_loss", "class_loss",
           "contrastive", "cosine", "covariance", "distance", "divergence", "focal", "grown", "harmonic_mask", "judged",
           "mask_bce", "mask_weight", "matching", "mixit", "mixture_loss", "multipitch_loss", "pit", "score_loss",
           "separated_loss", "sparsity", "thresholded_snr", "weighted_l1"]
