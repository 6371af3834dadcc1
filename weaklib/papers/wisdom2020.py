"""Unsupervised Sound Separation Using Mixture Invariant Training (Wisdom et al., NeurIPS 2020).

Claim
-----
A separator learns from mixtures alone: add two mixtures up, separate the sum, and ask only that some assignment of the
outputs to the two mixtures restores both (Eq. 3). Trained on mixtures of one or two speakers it is on par with one
trained on the sources themselves.

What we reproduce
-----------------
The rows of Figure 2 (two speakers, anechoic and reverberant) with 0 % or 100 % unsupervised training; the unprocessed
mixture; claims x01, x02 and x06. They stand in `weaklib.grids.wisdom2020`.

Where we differ
---------------
The speakers are synthetic voices (corpus ``talkers``) in place of WSJ0. The network is the paper's (TDCN++, four
outputs) but small, on an STFT basis with a hop of 16 ms instead of a learned one with 1.25 ms, and trained for minutes
on a CPU instead of days on 16 TPUs. The figure is an image without printed numbers: its rows have no number to compare,
its claims have.
"""
from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import partial

import numpy as np

from weaklib import corpora, evaluation, keys, metrics, mixing, runs, training
from weaklib.models import TDCN
from weaklib.specs import Separating

CRITERION = "SI-SNRi on validation, dB"
N_OUT = 4  # outputs: a mixture of two mixtures of up to two speakers (section 4.1)


@dataclass(frozen=True)
class Net:
    """Size of the network; the defaults are the published ones, in samples at 8 kHz."""

    basis: str = "learned"
    win_length: int = 20         # 2.5 ms
    hop_length: int = 10         # 1.25 ms
    power: float = 1.0           # of an STFT's magnitude, as the network sees it
    n_channels: int = 256
    n_hidden: int = 512
    n_repeats: int = 4
    n_dilations: int = 8
    skips: bool = True


@dataclass(frozen=True)
class Config(runs.Config):
    """One bar of Figure 2."""

    paper = "wisdom2020"
    revision = 1

    corpus: str = "talkers"      # the target domain: tested on, and the source of the unsupervised mixtures
    supervised: str = "talkers"  # where the supervised mixtures come from: the same corpus, or a mismatched one
    preset: str = keys.keyed("laptop", name="sizes")  # of the corpora
    one_or_two: bool = True      # mixtures of one or two speakers; False: always two (section 4.1)
    unsupervised: float = 1.0    # share of the examples trained with MixIT, the rest with PIT (section 3.3)
    batch: int = 256             # mixtures of mixtures per step (section 4)
    snr_max: float = 30.0        # dB (section 3.1)
    net: Net | None = field(default_factory=Net)  # None: the unprocessed mixture
    plan: training.Plan = field(default_factory=lambda: training.Plan(
        steps=500_000, decay="constant", precision="bf16-mixed"))

    def corpora(self):
        return [corpora.identity(name, self.preset) for name in sorted({self.corpus, self.supervised})]


# Network

def build(cfg: Config) -> TDCN:
    """Make the network, with four outputs and mixture consistency: (batch, time) -> (batch, 4, time), at 8 kHz."""
    return TDCN(N_OUT, **asdict(cfg.net))


# Training

def task(cfg: Config, device: str = "auto") -> training.Task | None:
    """Say what a row trains; nothing for the unprocessed mixture."""
    if cfg.net is None:
        return None
    model = build(cfg)
    matched, supervised = (corpora.load(name, "train", cfg.preset) for name in (cfg.corpus, cfg.supervised))
    draw = mixing.Mixtures(matched, supervised, batch=cfg.batch, unsupervised=cfg.unsupervised,
                           one_or_two=cfg.one_or_two, seed=cfg.seed)
    validation = corpora.load(cfg.corpus, "validation", cfg.preset)
    criterion = evaluation.Criterion(CRITERION if "sources" in validation[0] else "MoMi on validation, dB",
                                     lambda m: np.mean(gains(m, validation)))
    return training.Task(model, draw, partial(mixing.loss, snr_max=cfg.snr_max), criterion)


# Scores

def score(model, cfg: Config) -> dict:
    """Score a separator, or None, on the test split, see `score_on`."""
    return score_on(model, corpora.load(cfg.corpus, "test", cfg.preset))


def score_on(model, corpus) -> dict:
    """Score a separator on a split.

    Parameters
    ----------
    model : Module or None
        None: the unprocessed mixture.
    corpus : Corpus

    Returns
    -------
    dict of str to list of float, dB
        With sources, per mixture of two speakers: ``si_snr`` and ``si_snri`` of the two outputs that fit best (MSi),
        and ``ss``, the SI-SNR of the best output when the first speaker talks alone. Without sources, per mixture of
        two recordings: ``momi``.
    """
    items = list(corpus)
    if "sources" not in items[0]:
        return {"momi": gains(model, items)}
    before = [_one(metrics.si_sdr, item["mix"].expand_as(item["sources"]), item["sources"]) for item in items]
    if model is None:
        return {"si_snri": [0.0] * len(items), "si_snr": before}
    gain = gains(model, items)
    alone = evaluation.each(model, items, take=lambda item: item["sources"][0])
    return {"si_snri": gain, "si_snr": [x + y for x, y in zip(before, gain)],
            "ss": [_one(metrics.single_source, est, item["sources"][0]) for item, est in alone]}


def gains(model, corpus) -> list[float]:
    """What a separator gains on a split, dB: ``si_snri`` of `score_on`, or without sources ``momi``."""
    items = list(corpus)
    if "sources" in items[0]:
        return [_one(metrics.msi, est, item["sources"], item["mix"]) for item, est in evaluation.each(model, items)]
    pairs = evaluation.each(model, mixing.pairs(items), take=lambda pair: pair.sum(0))
    return [_one(metrics.momi, est, pair, pair.sum(0)) for pair, est in pairs]


def _one(metric, *signals) -> float:
    """Score one item; the mean over its sources, where there are several."""
    return float(metric(*(x[None] for x in signals)).mean())


SEPARATING = Separating(
    about="For two voices. Trained on synthetic speech.", sr=8000, window=512,
    block=4 * 8000,  # twice its training clips: half a block must tell who is who in the next
    outputs=tuple(f"output {i + 1}" for i in range(N_OUT)), apply=lambda network, mix: network.separate(mix),
    ordered=False)
