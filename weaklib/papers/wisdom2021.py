"""Sparse, Efficient, and Semantic Mixture Invariant Training (Wisdom et al., WASPAA 2021).

Claim
-----
Mixture invariant training splits a source over several outputs, the more of them the worse, for nothing in its loss
forbids it. A loss on the sparsity of the outputs' levels (Eq. 6) puts it together again, with sixteen outputs even to
nearly the quality of supervised training; so does a classifier that asks that the classes heard in the outputs are the
labels of the mixture (Eq. 8). The search over assignments can be left to least squares (Eq. 3).

What we reproduce
-----------------
All rows of Table 1, the sweeps of Figure 1, and claims e01 to e14; beyond the paper, exact search with sixteen outputs,
and how often a model splits or merges sources.

Where we differ
---------------
`sounds` stands in for FUSS, `wild` for YFCC100m and AudioSet, `talkers_16k` for Libri2Mix and `noisy_talkers` for the
enhancement set. The network is the paper's (TDCN++) but small, on an STFT basis with a hop of 32 ms. As in the paper
every row goes on from a baseline; here the baseline goes on as long without a further loss, so that all are given as
many steps, of which the best by validation is kept. With one corpus of labelled mixtures the two baselines with four
outputs are one run. The classifier is a small network on a mel spectrogram, trained by the kit on the labels of `wild`,
and the cross-entropy of Eq. 8 is a mean over classes, not a sum, so that its weight does not depend on how many there
are. The MixIT loss is a mean over the two mixtures, as in released code, and a sum in the paper, which does not say to
which its weights belong. Trained for minutes, rows of single mixtures keep their best weights by MSi (`Config.judged`),
all others by TRF, as the paper chooses its weights of losses.
"""
from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import nn

from weaklib import audio, corpora, evaluation, keys, losses, mixing, runs, scoring, training
from weaklib.files import WeaklibError
from weaklib.models import TDCN
from weaklib.papers.wisdom2020 import Net
from weaklib.specs import Separating

CRITERION = "TRF on validation, dB"
CRITERIA = {"trf": CRITERION, "msi": "MSi on validation, dB"}
SR = 16000
N_FFT, HOP, N_MELS = 512, 256, 64  # of the classifier
LOOK_EVERY = 20  # steps, after which the two searches are compared while a model trains


@dataclass(frozen=True)
class Loss:
    """What is added to the MixIT loss: weights, each by its equation."""

    sparsity: float = 0.0        # Eq. 5 or 6
    kind: Literal["l1/l2", "l1"] = "l1/l2"  # of sparsity
    covariance: float = 0.0      # Eq. 7
    classes: float = 0.0         # Eq. 8, as a mean over classes
    aggregation: Literal["or", "xor"] = "or"  # of the outputs' posteriors in Eq. 8
    cosine: float = 0.0          # Eq. 9; with it the classifier learns on

    @property
    def hears(self) -> bool:
        """Whether a classifier is needed."""
        return bool(self.classes or self.cosine)


@dataclass(frozen=True)
class Config(runs.Config):
    """One model: a separator, or a classifier."""

    paper = "wisdom2021"
    revision = 1

    stage: Literal["separator", "classifier"] = "separator"
    # by MixIT, or with sources: of "single" mixtures, or of mixtures of mixtures, "moms"
    supervision: Literal["mixit", "single", "moms"] = "mixit"
    corpus: str = "sounds"       # tested on
    trained_on: str = "wild"
    wild: str = "wild"           # tested on, too: recordings,
    speech: str = "talkers_16k"  # two speakers
    noisy: str = "noisy_talkers" # and speech in noise
    preset: str = "laptop"       # of the corpora
    n_out: int = 4               # outputs M
    search: Literal["exact", "lsq"] = "exact"  # for assignments; "lsq": by least squares
    batch: int = 256             # examples per step
    snr_max: float = 30.0        # dB
    net: Net = field(default_factory=lambda: Net(win_length=40, hop_length=20))
    loss: Loss = field(default_factory=Loss)
    plan: training.Plan = field(default_factory=lambda: training.Plan(
        steps=1_300_000, warmup=0, decay="constant", clip=math.inf, ema=0.0, precision="bf16-mixed"))
    start: Config | None = None       # the separator to go on from
    classifier: Config | None = None  # that hears the outputs
    crop: int = keys.keyed(0, absent=0)  # samples of a recording that a separator's step hears; 0: all
    judged: Literal["trf", "msi"] = keys.keyed("trf", absent="trf")  # by which of `CRITERIA` the best weights are kept

    def corpora(self):
        names = {self.trained_on, self.corpus, self.wild, self.speech, self.noisy}
        return [corpora.identity(name, self.preset) for name in sorted(names)]

    def needs(self):
        return [cfg for cfg in (self.start, self.classifier) if cfg]


# Networks

class Classifier(nn.Module):
    """Waveforms ``(batch, time)`` at 16 kHz -> logits ``(batch, class)``, by way of a mel spectrogram."""

    def __init__(self, n_classes: int, n_channels: int = 16):
        super().__init__()
        from torchaudio.functional import melscale_fbanks
        self.register_buffer("filters", melscale_fbanks(N_FFT // 2 + 1, 0.0, SR / 2, N_MELS, SR).T, persistent=False)
        sizes = [1, n_channels, 2 * n_channels, 4 * n_channels, 8 * n_channels]
        self.layers = nn.Sequential(*(layer for a, b in zip(sizes, sizes[1:]) for layer in (
            nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GroupNorm(4, b), nn.ReLU())))
        self.head = nn.Linear(sizes[-1], n_classes)

    def forward(self, x):
        X = self.filters @ audio.stft(x, N_FFT, HOP).abs().square()
        x = self.layers((X + 1e-5).log()[:, None] / 4)
        return self.head(x.mean(2).amax(-1))  # over frequency, and wherever it is heard


class Heard(nn.Module):
    """A separator whose outputs a classifier hears; it is called as the separator."""

    def __init__(self, separator: TDCN, classifier: Classifier):
        super().__init__()
        self.separator, self.classifier = separator, classifier

    def forward(self, mix):
        return self.separator(mix)


def build(cfg: Config) -> nn.Module:
    """Make the network of a stage: (batch, time) -> (batch, output, time), or to logits (batch, class)."""
    if cfg.stage == "classifier":
        return Classifier(len(_classes(cfg)))
    separator = TDCN(cfg.n_out, **asdict(cfg.net))
    if cfg.loss.hears and not cfg.classifier:
        raise WeaklibError(f"{cfg.label} has a loss on classes and no classifier; name the row that trains one in its "
                           "`starts`.")
    return Heard(separator, build(cfg.classifier)) if cfg.loss.hears else separator


def _classes(cfg: Config) -> tuple[str, ...]:
    """Labels of the corpus that is trained on."""
    return corpora.load(cfg.trained_on, "train", cfg.preset).classes


# Training

class Labelled:
    """Batches of recordings, ``mix (batch, time)``, and their ``labels (batch, class)``; a function of the step alone.
    """

    def __init__(self, corpus, *, batch: int, seed: int):
        self.corpus, self.batch, self.seed = corpus, batch, seed

    def __call__(self, step: int) -> dict:
        rng = np.random.default_rng([self.seed, step])
        items = [self.corpus[int(i)] for i in rng.choice(len(self.corpus), self.batch, replace=False)]
        return {"mix": torch.stack([item["mix"] for item in items]),
                "labels": mixing.labelled(items, self.corpus.classes)}


def classification(model, batch: dict):
    """Cross-entropy of the labels of whole recordings, mean over classes and batch."""
    return nn.functional.binary_cross_entropy_with_logits(model(batch["mix"]), batch["labels"])


def objective(model, batch: dict, cfg: Config):
    """MixIT or PIT, and what is added to it, mean over the batch; for the log now and then the `missed` of MixIT."""
    est, value = mixing.separated(model, batch, snr_max=cfg.snr_max, search=cfg.search)
    loss = cfg.loss
    if loss.sparsity:
        value = value + loss.sparsity * losses.sparsity(est, loss.kind)
    if loss.covariance:
        value = value + loss.covariance * losses.covariance(est)
    if loss.hears:
        logits, labels = model.classifier(est.flatten(0, 1)).unflatten(0, est.shape[:2]), batch["labels"]
        if loss.classes:
            value = value + loss.classes * losses.class_loss(logits, labels, loss.aggregation) / labels.shape[1]
        if loss.cosine:
            value = value + loss.cosine * losses.cosine(logits)
    if cfg.supervision != "mixit" or batch.get("step", 1) % LOOK_EVERY:
        return value.mean()
    return value.mean(), {"terms": {"search_gap": missed(est, batch["mixtures"], cfg).mean()}}


@torch.no_grad()
def missed(est, ref, cfg: Config):
    """By how many dB the MixIT loss of the assignment that least squares finds exceeds the smallest one, (batch,)."""
    lsq, exact = (losses.mixit(est, ref, search=search, snr_max=cfg.snr_max)[0] for search in ("lsq", "exact"))
    return lsq - exact


def task(cfg: Config, device: str = "auto") -> training.Task:
    """Say what a row trains."""
    train = corpora.load(cfg.trained_on, "train", cfg.preset)
    model = build(cfg)
    if cfg.stage == "classifier":
        validation = corpora.load(cfg.trained_on, "validation", cfg.preset)
        criterion = evaluation.Criterion("mean average precision on validation, %",
                                         lambda m: np.mean(heard(m, validation, train.classes)))
        return training.Task(model, Labelled(train, batch=cfg.batch, seed=cfg.seed), classification, criterion)
    if cfg.start:
        getattr(model, "separator", model).load_state_dict(runs.weights_of(cfg.start))
    if cfg.loss.hears:
        model.classifier.load_state_dict(runs.weights_of(cfg.classifier))
        model.classifier.requires_grad_(cfg.loss.cosine > 0)  # section 3: it may stay as it is without Eq. 9
    draw = mixing.Mixtures(
        train, train, batch=cfg.batch, unsupervised=float(cfg.supervision == "mixit"), seed=cfg.seed,
        n_mix=1 if cfg.supervision == "single" else 2, classes=train.classes if cfg.loss.hears else (),
        crop=cfg.crop)
    validation = corpora.load(cfg.corpus, "validation", cfg.preset)
    return training.Task(model, draw, partial(objective, cfg=cfg), evaluation.Criterion(
        CRITERIA[cfg.judged], lambda m: np.mean(scoring.fidelity(m, validation, rates=False).get(cfg.judged, 0.0))))


# Scores

def score(model, cfg: Config) -> dict:
    """Score what was trained on the test splits.

    Returns
    -------
    dict of str to list of float
        For a classifier, ``average_precision`` (%) per class. For a separator, in dB unless stated: ``msi`` of all
        active pairs, ``msi_2`` to ``msi_4`` of those in mixtures of so many sources, ``1s``, ``trf``, and ``momi``;
        ``over``, ``equal`` and ``under``, % of the mixtures; ``momi/wild`` and ``search_gap/wild``, by how much least
        squares misses the MixIT loss of the best assignment; ``msi/speech``, ``1s/speech``; ``s_plus_n/noisy`` and
        ``s_only/noisy``.
    """
    test = {name: corpora.load(getattr(cfg, name), "test", cfg.preset)
            for name in ("corpus", "wild", "speech", "noisy")}
    if cfg.stage == "classifier":
        return {"average_precision": heard(model, test["wild"], _classes(cfg))}
    model = getattr(model, "separator", model)
    return (scoring.fidelity(model, test["corpus"])
            | scoring.remixed(model, test["corpus"])
            | scoring.on("wild", scoring.remixed(model, test["wild"]) | search_gap(model, test["wild"], cfg))
            | scoring.on("speech", {"msi": scoring.gains(model, test["speech"]),
                                    "1s": scoring.alone(model, test["speech"])})
            | scoring.on("noisy", scoring.noisy_speech(model, test["noisy"])))


def search_gap(model, items, cfg: Config) -> dict:
    """The `missed` of test mixtures."""
    pairs = evaluation.each(model, mixing.pairs(items), take=lambda pair: pair.sum(0))
    return {"search_gap": [float(missed(est[None], pair[None], cfg)) for pair, est in pairs]}


def heard(model, items, classes) -> list[float]:
    """Average precision of a classifier for every class that is there, %."""
    truth, logits = zip(*((mixing.labelled([item], classes)[0], out) for item, out in evaluation.each(model, items)))
    truth, logits = torch.stack(truth).numpy() > 0, torch.stack(logits).numpy()
    ranked = np.take_along_axis(truth, (-logits).argsort(0, kind="stable"), 0)
    precision = ranked.cumsum(0) / np.arange(1, len(items) + 1)[:, None]
    return [100 * float(precision[hit, k].mean()) for k, hit in enumerate(ranked.T) if hit.any()]


SEPARATING = Separating(
    about="For sounds of any kind. Trained on scenes that the kit renders.", sr=SR, window=1024, block=8 * SR,
    outputs=tuple(f"output {i + 1}" for i in range(8)),
    apply=lambda network, mix: getattr(network, "separator", network).separate(mix), ordered=False,
    fits=lambda config: config["stage"] == "separator" and config["n_out"] == 8)
