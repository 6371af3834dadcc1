"""Unsupervised Sound Separation Using Mixture Invariant Training (Wisdom et al., NeurIPS 2020).

Claim
-----
A separator learns from mixtures alone: add two mixtures up, separate the sum, and ask only that some assignment of the
outputs to the two mixtures restores both (Eq. 3). Trained on mixtures of one or two speakers it is on par with one
trained on the sources themselves; a little supervision mends what is left; and recordings from the target domain, in
which nobody knows the sources, adapt a separator that was trained elsewhere.

What we reproduce
-----------------
Figure 2 (two speakers, anechoic and reverberant, any share of supervision, matched and mismatched), the speech
enhancement of section 4.2, Table 1 (universal separation), and claims x01 to x13.

Where we differ
---------------
Synthetic voices (corpus ``talkers``) stand in for WSJ0, `noisy_talkers` for LibriSpeech with freesound, `sounds` for
FUSS and `wild` for YFCC100m. The network is the paper's (TDCN++) but small, on an STFT basis with a hop of 16 to 32 ms
instead of a learned one with 1.25 ms, and trained for minutes instead of days on 16 TPUs; the learning rate decays.
Both losses are means over what they compare, as in the released code, where Eq. 1 and 3 are sums: beside MixIT, PIT
counts M / 2 times less than by these. Figure 2 is an image without printed numbers: its rows have no number to compare,
its claims have.
"""
from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch.utils.data import Subset

from weaklib import corpora, evaluation, keys, losses, metrics, mixing, runs, scoring, training
from weaklib.models import TDCN
from weaklib.specs import Separating

CRITERION = "SI-SNRi on validation, dB"
#: Which reference each of three outputs may belong to where a noisy recording is mixed with noise (section 4.2): the
#: first is speech, and one of the others is the noise that came with it.
ENHANCEMENT = ((0, 0, 1), (0, 1, 0))


@dataclass(frozen=True)
class Net:
    """Size of the network; the defaults are the published ones, in samples at 8 kHz."""

    basis: Literal["learned", "stft"] = "learned"
    win_length: int = 20         # 2.5 ms
    hop_length: int = 10         # 1.25 ms
    power: float = 1.0           # of an STFT's magnitude, as the network sees it
    eps: float = 1e-3            # of the normalisation of an STFT's magnitude
    n_channels: int = 256
    n_hidden: int = 512
    n_repeats: int = 4
    n_dilations: int = 8
    skips: bool = True


@dataclass(frozen=True)
class Config(runs.Config):
    """One model: a point of Figure 2, a row of Table 1, or one that enhances speech."""

    paper = "wisdom2020"
    revision = 2

    task: Literal["speech", "enhancement", "universal"] = "speech"  # of section 4.1, 4.2 or 4.3
    corpus: str = "talkers"      # tested on
    mixtures: str = "talkers"    # where the unsupervised mixtures come from
    supervised: str = "talkers"  # where the supervised ones come from
    wild: str = "wild"           # recordings that a universal separator is tested on, too
    preset: str = keys.keyed("laptop", name="sizes")  # of the corpora
    unsupervised: float = 1.0    # share of the examples trained with MixIT, the rest with PIT (section 3.3)
    one_or_two: bool = False     # whether half of the mixtures have one speaker only (section 4.1)
    p0: float = 0.0              # probability that a supervised example is a single mixture (section 4.3)
    n_mix: int = keys.keyed(2, absent=2)  # mixtures in a supervised example; 1: the grey bars of Figure 2
    halved: bool = False         # whether one half of a corpus is supervised and the other is not
    n_out: int = 4               # outputs
    batch: int = 256             # mixtures of mixtures per step (section 4)
    snr_max: float = 30.0        # dB (section 3.1)
    net: Net | None = field(default_factory=Net)  # None: the unprocessed mixture
    plan: training.Plan = field(default_factory=lambda: training.Plan(
        steps=500_000, warmup=0, decay="constant", clip=math.inf, ema=0.0, precision="bf16-mixed"))

    def corpora(self):
        names = {self.corpus, self.mixtures, self.supervised} | ({self.wild} if self.task == "universal" else set())
        return [corpora.identity(name, self.preset) for name in sorted(names)]


# Network

def build(cfg: Config) -> TDCN:
    """Make the network, with mixture consistency: (batch, time) -> (batch, output, time)."""
    return TDCN(cfg.n_out, **asdict(cfg.net))


# Training

class Enhancement:
    """Batches of speech in noise, a function of the step alone.

    With `unsupervised`, ``mixtures (batch, 2, time)``: a recording of speech in noise, and one of noise alone.
    Otherwise ``sources (batch, 2, time)``: speech and noise.
    """

    def __init__(self, corpus, *, batch: int, unsupervised: bool, seed: int):
        self.corpus, self.batch, self.unsupervised, self.seed = corpus, batch, unsupervised, seed

    def __call__(self, step: int) -> dict:
        rng = np.random.default_rng([self.seed, step])
        items = [self.corpus[int(i)] for i in rng.choice(len(self.corpus), 2 * self.batch, replace=False)]
        noisy, others = items[:self.batch], items[self.batch:]
        if not self.unsupervised:
            return {"sources": torch.stack([item["sources"] for item in noisy])}
        return {"mixtures": torch.stack([torch.stack([item["mix"], other["sources"][1]])
                                         for item, other in zip(noisy, others)])}


def enhancement(model, batch: dict, snr_max: float = 30.0):
    """MixIT with speech as the first output (section 4.2), or the loss of speech and noise against their sources."""
    if "sources" in batch:
        return losses.thresholded_snr(model(batch["sources"].sum(1)), batch["sources"], snr_max=snr_max).mean()
    est = model(batch["mixtures"].sum(1))
    return losses.mixit(est, batch["mixtures"], snr_max=snr_max, constraints=ENHANCEMENT)[0].mean()


def task(cfg: Config, device: str = "auto") -> training.Task | None:
    """Say what a row trains; nothing for the unprocessed mixture."""
    if cfg.net is None:
        return None
    if cfg.task == "enhancement":
        draw = Enhancement(corpora.load(cfg.corpus, "train", cfg.preset), batch=cfg.batch,
                           unsupervised=cfg.unsupervised > 0, seed=cfg.seed)
    else:
        mixtures, supervised = (corpora.load(name, "train", cfg.preset) for name in (cfg.mixtures, cfg.supervised))
        if cfg.halved:
            half = len(supervised) // 2
            mixtures, supervised = mixtures[half:], supervised[:half]
        draw = mixing.Mixtures(mixtures, supervised, batch=cfg.batch, unsupervised=cfg.unsupervised, seed=cfg.seed,
                               one_or_two=cfg.one_or_two, p0=cfg.p0, n_mix=cfg.n_mix)
    loss = partial(enhancement if cfg.task == "enhancement" else mixing.loss, snr_max=cfg.snr_max)
    return training.Task(build(cfg), draw, loss, _criterion(cfg))


def _criterion(cfg: Config) -> evaluation.Criterion:
    """What a training is judged by: the improvement on validation, or MoMi where nobody knows the sources."""
    items = corpora.load(cfg.corpus, "validation", cfg.preset)
    if "sources" not in items[0]:
        return evaluation.Criterion("MoMi on validation, dB", lambda m: np.mean(scoring.remixed(m, items)["momi"]))
    if cfg.task == "enhancement":
        return evaluation.Criterion(CRITERION, lambda m: np.mean(_enhanced(m, items)))
    if cfg.task == "universal":
        items = Subset(items, [i for i, item in enumerate(items) if item["sources"][1:].any()])
    return evaluation.Criterion(CRITERION, lambda m: np.mean(scoring.gains(m, items)))


# Scores

def score(model, cfg: Config) -> dict:
    """Score a separator, or None, on the test split; see `score_on`."""
    found = score_on(model, corpora.load(cfg.corpus, "test", cfg.preset), cfg.task)
    if cfg.task == "universal":
        found |= scoring.on("wild", scoring.remixed(model, corpora.load(cfg.wild, "test", cfg.preset)))
    return found


def score_on(model, corpus, task: str = "speech") -> dict:
    """Score a separator on a split.

    Parameters
    ----------
    model : Module or None
        None: the unprocessed mixture, of speech.
    corpus : Corpus
    task : {"speech", "enhancement", "universal"}

    Returns
    -------
    dict of str to list of float, dB
        Those of `weaklib.scoring.voices` for speech; of `weaklib.scoring.sounds`, with MoMi, for universal separation;
        for enhancement ``si_snri`` of the first output. Without sources, ``momi`` per mixture of two recordings.
    """
    if "sources" not in corpus[0]:
        return scoring.remixed(model, corpus)
    if task == "speech":
        return scoring.voices(model, corpus)
    if task == "enhancement":
        return {"si_snri": _enhanced(model, corpus)}
    return scoring.sounds(model, corpus) | scoring.remixed(model, corpus)


def _enhanced(model, items) -> list[float]:
    """What speech, the first output, gains over the noisy recording, dB."""
    return [float(metrics.si_sdri(est[:1], item["sources"][:1], item["mix"])[0])
            for item, est in evaluation.each(model, items)]


SEPARATING = Separating(
    about="For two voices. Trained on synthetic speech.", sr=8000, window=512,
    block=4 * 8000,  # twice its training clips: half a block must tell who is who in the next
    outputs=tuple(f"output {i + 1}" for i in range(4)), apply=lambda network, mix: network.separate(mix),
    ordered=False, fits=lambda config: config.get("task") == "speech")  # revision 1 has none
