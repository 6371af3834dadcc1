"""Transcription Is All You Need: Learning to Separate Musical Mixtures with Score as Supervision (Hung et al., 2021).

Claim
-----
A separator learns from mixtures and their scores alone. A transcriptor is trained on the mixtures first (step 1); it
then judges whether each estimate sounds like its instrument's score and like nothing else (step 2), helped by losses
that make the estimates add up to the mixture, in the whole clip or where the score has harmonics. At last both learn
together, the transcriptor with adversarial losses that keep it strict (step 3). Neither stems in training nor a score
at inference.

What we reproduce
-----------------
Tables 1 and 2, the false-positive rates of the text, and claims h01 to h12.

Where we differ
---------------
The trio of corpus ``band`` stands in for three classes of Slakh2100-split2. The networks are the paper's TCN, but
small, and trained for minutes; the learning rate decays over a fixed number of steps instead of halving on a plateau.
A step of step 3 updates the separator first and then the transcriptor, on the estimates that the separator made.

Trained for minutes, a separator does not learn from the critic as published. These departures let it; each is a field
of the config, and the preset ``paper`` has all of them as published. The distances of the mixture losses, and of the
supervised one, are squared (`Loss.squared`): squares share doubtful bins out instead of giving them to whoever has them
most often. They weigh little (`Loss.gain`), or the critic is not heard: silence would cost hundreds of times what the
critic asks. Only the first harmonics count (`Loss.n_harmonics`), for a low bass note has some in every other bin, and
h-mix counts as much as c-mix. The separator begins with the critic's hidden layers (`Config.init`), which know who
plays what; no stems are involved. And the critic hears every other estimate under another clip (`Loss.overlay`), so
that a trace which only a critic can hear does not pass for an instrument, nor one it overlooks for silence.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import nn

from weaklib import audio, corpora, evaluation, keys, losses, metrics, runs, training
from weaklib.files import WeaklibError
from weaklib.models import TCN
from weaklib.rolls import LOWEST, PITCHES
from weaklib.specs import Separating, Transcribing

CRITERION = "−loss on validation"
INSTRUMENTS = ("piano", "guitar", "bass")
SR, N_FFT, HOP = 16000, 2048, 500                # section 3.2: 32 frames per second
N_BINS = N_FFT // 2 + 1
ACTIVITY = (0.41, 0.14, 0.67)                    # share of the frames in which an instrument plays, section 3.2
TRIES = 1000                                     # at a clip in which enough instruments play
THRESHOLDS = np.arange(0.1, 0.91, 0.1)           # tried on validation


@dataclass(frozen=True)
class Net:
    """Size of both networks; the defaults are Conv-TasNet's best, with the paper's three times eight blocks."""

    n_channels: int = 128
    n_hidden: int = 512
    n_skip: int = 128
    n_repeats: int = 3
    n_dilations: int = 8
    power: float = 1.0           # of the magnitude, as the networks see it


@dataclass(frozen=True)
class Loss:
    """Weights of the loss terms, each by its equation; the defaults are the published ones (section 3.2)."""

    multipitch: float = 0.03     # alpha_1, Eq. 2
    activity: float = 0.1        # beta_1, Eq. 3
    score: float = 1.0           # Eq. 5
    c_mix: float = 1.0           # alpha_2, Eq. 6
    h_mix: float = 0.1           # beta_2, Eq. 7
    aml: float = 0.0             # alpha_3, Eq. 9: 0.2 where it is used
    atl: float = 0.0             # beta_3, Eq. 10: 0.05 where it is used
    level: Literal["clip", "frame"] = "clip"  # of the activity in Eq. 6
    n_harmonics: int | None = None  # L + 1 of Eq. 7; None: all
    squared: bool = False        # distance in Eq. 6 and 7 and of the supervised loss, see `losses.mixture_loss`
    gain: float = 1.0            # of the magnitudes in Eq. 6 and 7, whose balance with Eq. 5 depends on it
    overlay: float = keys.keyed(0.0, absent=0.0)        # probability that an estimate is judged under another clip
    overlay_level: float = keys.keyed(4.0, absent=4.0)  # dB, standard deviation of that clip's level
    aml_on: Literal["all", "active"] = keys.keyed("all", absent="all")  # notes of a remix in Eq. 9


@dataclass(frozen=True)
class Config(runs.Config):
    """One model of the paper: a transcriptor, a separator, or both trained together."""

    paper = "hung2021"
    revision = 2

    # the mixture itself, step 1, separators with stems, of step 2 and of step 3
    stage: Literal["input", "transcriptor", "supervised", "isolated", "finetune"] = "isolated"
    corpus: str = "band"
    preset: str = keys.keyed("laptop", name="sizes")  # of the corpus
    batch: int = 16              # clips per step
    min_sources: int = 1         # instruments that must play in a training clip
    # of a transcriptor; "activity": the baseline [16]
    target: Literal["score", "activity"] = keys.keyed("score", name="judges")
    # of the separator in step 2; "critic": the hidden layers of its critic
    init: Literal["random", "critic"] = keys.keyed("random", absent="random")
    frozen: bool = keys.keyed(False, absent=False)  # whether the critic learns nothing in step 3: the control
    net: Net = field(default_factory=Net)
    loss: Loss = field(default_factory=Loss)
    plan: training.Plan = field(default_factory=training.Plan)
    critic: Config | None = None # the transcriptor that judges (step 2)
    start: Config | None = None  # the separator to go on from (step 3), with its critic

    def corpora(self):
        return [corpora.identity(self.corpus, self.preset)]

    def needs(self):
        # Step 3 goes on from a separator and from the transcriptor that judged it, and needs the weights of both.
        return [cfg for cfg in (self.critic, self.start and self.start.critic, self.start) if cfg]


# Networks

class Transcriptor(nn.Module):
    """Magnitudes ``(batch, freq, frame)`` -> logits of notes ``(batch, source, pitch, frame)``.

    `thresholds`, one per instrument, turn probabilities into notes; they are chosen on validation. With ``target =
    "activity"`` there is one output per instrument, as if it had a single pitch.
    """

    def __init__(self, net: Net, target: str = "score"):
        super().__init__()
        self.n_pitches = PITCHES if target == "score" else 1
        self.tcn = tcn(net, len(INSTRUMENTS) * self.n_pitches)
        self.power = net.power
        self.register_buffer("thresholds", torch.full((len(INSTRUMENTS),), 0.5))

    def forward(self, X):
        return self.tcn(compressed(X, self.power)).unflatten(1, (len(INSTRUMENTS), self.n_pitches))

    def detect(self, X):
        """Return which notes sound: bool, shape=(batch, source, pitch, frame)."""
        return self(X).sigmoid() > self.thresholds[:, None, None]


class Separator(nn.Module):
    """Magnitudes ``(batch, freq, frame)`` -> masks in [0, 1], ``(batch, source, freq, frame)``."""

    def __init__(self, net: Net):
        super().__init__()
        self.tcn = tcn(net, len(INSTRUMENTS) * N_BINS)
        self.power = net.power

    def forward(self, X):
        return self.tcn(compressed(X, self.power)).unflatten(1, (len(INSTRUMENTS), N_BINS)).sigmoid()

    def separate(self, mix):
        """Separate waveforms ``(batch, time)`` at 16 kHz into ``(batch, source, time)``, with the mixture's phase."""
        X = audio.stft(mix, N_FFT, HOP)
        return audio.istft(self(X.abs()) * X[:, None], HOP, mix.shape[-1])


class Pair(nn.Module):
    """A separator and its transcriptor, which step 3 trains together."""

    def __init__(self, net: Net):
        super().__init__()
        self.separator, self.transcriptor = Separator(net), Transcriptor(net)


def compressed(X, power: float):
    return X if power == 1 else (X + 1e-8) ** power


def tcn(net: Net, n_out: int) -> TCN:
    sizes = {name: size for name, size in asdict(net).items() if name != "power"}
    return TCN(N_BINS, n_out, **sizes)


def inherit(separator: Separator, critic: Transcriptor) -> None:
    """Let a separator begin with all that its critic has learned but the last layer."""
    hidden = {name: x for name, x in critic.tcn.state_dict().items() if not name.startswith("head.")}
    separator.tcn.load_state_dict(hidden, strict=False)


def build(cfg: Config) -> nn.Module:
    """Make the network, or networks, that a stage trains."""
    if cfg.stage == "transcriptor":
        return Transcriptor(cfg.net, cfg.target)
    return Pair(cfg.net) if cfg.stage == "finetune" else Separator(cfg.net)


# Data

class Clips:
    """Batches of clips cut anywhere from the songs, a function of the step alone."""

    def __init__(self, cfg: Config, corpus):
        self.cfg, self.corpus = cfg, corpus

    def __call__(self, step: int) -> dict:
        """Return ``X (batch, freq, frame)`` and ``roll``; for the supervised row also ``S``, the stems' magnitudes."""
        rng = np.random.default_rng([self.cfg.seed, step])
        return examples([self.clip(rng) for _ in range(self.cfg.batch)], stems=self.cfg.stage == "supervised")

    def clip(self, rng, songs: Sequence[int] | None = None) -> dict:
        """Draw a clip in which enough instruments play, from all songs or from some."""
        songs = range(len(self.corpus.songs)) if songs is None else songs
        for _ in range(TRIES):
            song = songs[int(rng.integers(len(songs)))]
            last = self.corpus.lengths[song] - self.corpus.n_samples
            clip = self.corpus.clip(song, HOP * int(rng.integers(last // HOP + 1)))
            if clip["roll"].amax((1, 2)).sum() >= self.cfg.min_sources:
                return clip
        raise WeaklibError(f"No clip of {TRIES} has {self.cfg.min_sources} instruments that play; lower min_sources, "
                           "or train on other songs.")


def examples(items: list[dict], stems: bool) -> dict:
    """Make a batch of corpus items."""
    batch = {"X": magnitude(torch.stack([item["mix"] for item in items])),
             "roll": torch.stack([item["roll"] for item in items])}
    return batch | ({"S": magnitude(torch.stack([item["sources"] for item in items]))} if stems else {})


def magnitude(x):
    """STFT magnitude, ``(..., time) -> (..., freq, frame)``; sums, not averages, over the window."""
    return audio.stft(x, N_FFT, HOP).abs()


# Losses

def instrument_weights() -> torch.Tensor:
    """Weights of the instruments in every transcription loss: inverse activity, with mean 1.

    The paper takes them from [16], without a formula; this is the plainest reading.
    """
    inverse = 1 / torch.tensor(ACTIVITY)
    return inverse / inverse.mean()


def wanted(roll, target: str):
    """What a transcriptor is asked for: the roll, or (batch, source, 1, frame), whether an instrument plays."""
    return roll if target == "score" else roll.amax(-2, keepdim=True)


def transcription(model, batch: dict, cfg: Config):
    """L_TL, Eq. 4, mean over the batch."""
    logits, roll, w = model(batch["X"]), wanted(batch["roll"], cfg.target), instrument_weights().to(batch["X"])
    value = losses.score_loss(logits, roll, w)
    if cfg.target == "score":  # else Eq. 3 is Eq. 1, and who plays is all there is
        value = (value + cfg.loss.multipitch * losses.multipitch_loss(logits, roll)
                 + cfg.loss.activity * losses.activity_loss(logits, roll, w))
    return value.mean()


def supervised(model, batch: dict, cfg: Config):
    """Distance of estimated and true magnitudes: sum over instruments and bins, mean over frames and batch."""
    est = model(batch["X"]) * batch["X"][:, None]
    return cfg.loss.gain * losses.distance((est - batch["S"]).flatten(1, 2), batch["X"], cfg.loss.squared).mean()


def separation(est, batch: dict, cfg: Config, judge):
    """L_sep, Eq. 8, mean over the batch.

    Parameters
    ----------
    est : Tensor, shape=(batch, source, freq, frame)
        Magnitudes of the estimates.
    batch : dict
    cfg : Config
    judge : callable
        Magnitudes ``(n, freq, frame)`` -> logits; its weights must not get a gradient from here.
    """
    X, roll, loss = batch["X"], batch["roll"], cfg.loss
    value = torch.zeros(len(X), device=X.device)
    between = partial(losses.mixture_loss, X, est, squared=loss.squared)
    if loss.score:
        notes = wanted(roll, cfg.target)
        heard, over = overlay(est, X, notes, loss) if loss.overlay else (est, None)
        logits = judge(heard.flatten(0, 1)).unflatten(0, est.shape[:2])
        value = value + loss.score * losses.separated_loss(logits, notes, instrument_weights().to(X), over)
    if loss.c_mix:
        value = value + loss.c_mix * loss.gain * between(active=losses.activity(roll, loss.level))
    if loss.h_mix:
        value = value + loss.h_mix * loss.gain * between(active=_harmonics(roll, loss))
    return value.mean()


def overlay(est, X, roll, loss: Loss):
    """Put estimates, each with probability ``loss.overlay``, under the mixture of another clip of the batch.

    Parameters
    ----------
    est : Tensor, shape=(batch, source, freq, frame)
        Magnitudes, which simply add up.
    X : Tensor, shape=(batch, freq, frame)
    roll : Tensor, shape=(batch, source, pitch, frame)
    loss : Loss

    Returns
    -------
    heard : Tensor, shape=(batch, source, freq, frame)
    over : Tensor, shape=(batch, source, source, pitch, frame)
        The notes of what was added to each estimate.
    """
    n, drawn = len(est), est.shape[:2]
    other = (torch.arange(n)[:, None] + torch.randint(1, max(2, n), drawn)) % n
    added = (torch.rand(drawn) < loss.overlay).to(est)[..., None, None]
    level = added * 10 ** (loss.overlay_level * torch.randn(drawn).to(est)[..., None, None] / 20)
    return est + level * X[other], added[..., None] * roll[other]


def _harmonics(roll, loss: Loss):
    return losses.harmonic_mask(roll, SR, N_FFT, n_harmonics=loss.n_harmonics)


def isolated(model, batch: dict, cfg: Config, judge):
    """Step 2: Eq. 8 against a frozen transcriptor."""
    return separation(model(batch["X"]) * batch["X"][:, None], batch, cfg, judge)


def fooling(model: Pair, batch: dict, cfg: Config):
    """Step 3, the separator's turn: Eq. 8, and the estimates for who comes next."""
    est = model.separator(batch["X"]) * batch["X"][:, None]
    return separation(est, batch, cfg, model.transcriptor), {"est": est.detach()}


def strictness(model: Pair, batch: dict, cfg: Config):
    """Step 3, the transcriptor's turn: Eq. 11, against the estimates in the batch."""
    est, roll, loss, w = batch["est"], batch["roll"], cfg.loss, instrument_weights().to(batch["X"])
    value = transcription(model.transcriptor, batch, cfg)
    if loss.aml:
        X_remix, roll_remix = remix(est, roll)
        logits = model.transcriptor(X_remix)
        value = value + loss.aml * losses.adversarial_mixture_loss(logits, roll_remix, w, on=loss.aml_on).mean()
    if loss.atl:
        logits = model.transcriptor(est.flatten(0, 1)).unflatten(0, est.shape[:2])
        value = value + loss.atl * losses.adversarial_transcription_loss(logits, roll, w).mean()
    return value


def joint(model: Pair, batch: dict, cfg: Config):
    """What decides in step 3 when both have learned enough: Eq. 8 and Eq. 11."""
    value, made = fooling(model, batch, cfg)
    return value + strictness(model, batch | made, cfg)


def remix(est, roll):
    """Mix every instrument from another clip of the batch, Fig. 2: magnitudes and the roll that belongs to them.

    Instruments are shuffled independently, again until no two of a remix come from one clip (where the batch is large
    enough for that).
    """
    n, n_src = est.shape[:2]
    while True:
        orders = torch.stack([torch.randperm(n) for _ in range(n_src)])
        if n < n_src or all((a != b).all() for i, a in enumerate(orders) for b in orders[i + 1:]):
            break
    pick = lambda x: torch.stack([x[order, i] for i, order in enumerate(orders)], 1)
    return pick(est).sum(1), pick(roll)


# Scores

def score(model, cfg: Config) -> dict:
    """Score what a stage trained, or None, the unprocessed mixture, on the test split."""
    test, scores = corpora.load(cfg.corpus, "test", cfg.preset), {}
    if cfg.stage != "transcriptor":
        scores |= score_separator(getattr(model, "separator", model), test)
    if cfg.target == "score" and cfg.stage in ("transcriptor", "finetune"):
        transcriptor = getattr(model, "transcriptor", model)
        choose_thresholds(transcriptor, corpora.load(cfg.corpus, "validation", cfg.preset))
        scores |= score_transcriptor(transcriptor, test)
    return scores


def songs(corpus):
    """Yield the clips of every song, one song after the other, as lists of items."""
    index = 0
    for length in corpus.lengths:
        n_clips = length // corpus.n_samples
        if n_clips:
            yield [corpus[index + i] for i in range(n_clips)]
        index += n_clips


def score_separator(model, corpus) -> dict:
    """Score a separator, or None, the mixture as the estimate of each instrument: `score_estimates`."""
    return score_estimates(corpus, lambda mix, ref: each(model, mix, model.separate) if model else
                           mix[:, None].expand_as(ref))


def score_estimates(corpus, estimate) -> dict:
    """Score estimates on whole songs, separated in windows of the corpus' clips.

    Parameters
    ----------
    corpus : Scored
    estimate : callable
        Mixtures (clip, time) and stems (clip, source, time) of a song -> estimates (clip, source, time).

    Returns
    -------
    dict of str to list of float, dB
        ``si_sdr/piano``, ``/guitar``, ``/bass``: one value per song in which the instrument is heard;
        ``si_sdr/avg``: the mean over the instruments, per song in which all three are. What no song has is left out.
    """
    scores: dict[str, list] = {}
    for items in songs(corpus):
        mix, ref = (torch.stack([item[key] for item in items]) for key in ("mix", "sources"))
        values = metrics.si_sdr(*(x.transpose(0, 1).flatten(1) for x in (estimate(mix, ref), ref)))
        heard = ref.square().sum((0, 2)) > 0
        for name, value, is_heard in zip(INSTRUMENTS, values.tolist(), heard):
            if is_heard:
                scores.setdefault(f"si_sdr/{name}", []).append(value)
        if heard.all():
            scores.setdefault("si_sdr/avg", []).append(float(values.mean()))
    return scores


def score_transcriptor(model: Transcriptor, corpus) -> dict:
    """Score a transcriptor on whole songs, mixtures and isolated tracks, in windows of the corpus' clips.

    Returns
    -------
    dict of str to list of float
        ``<on>/<metric>/<instrument>`` with ``on`` mixture or isolated, for note_accuracy and frame_f1: a value per song
        in which the instrument plays. An isolated track is scored on its own instrument. Per song, over the three
        instruments: ``<on>/false_positive_rate/all``, the share of the notes found that are not in the score, and
        ``<on>/miss_rate/all``, the reverse. Each also at the threshold 0.5, ``<metric>_at_0.5``, where a transcriptor
        that has become strict still is: thresholds that are chosen again make up for it.
    """
    scores: dict[str, list] = {}
    for items in songs(corpus):
        roll = _song([item["roll"] for item in items])
        mixed = transcribed(model, torch.stack([item["mix"] for item in items]))
        stems = torch.stack([item["sources"] for item in items])
        alone = torch.stack([transcribed(model, stems[:, i])[:, i] for i in range(len(INSTRUMENTS))], 1)
        for on, probabilities in (("mixture", _song(mixed)), ("isolated", _song(alone))):
            for at, threshold in (("", model.thresholds.cpu()[:, None, None]), ("_at_0.5", 0.5)):
                est = probabilities > threshold
                for metric in (metrics.note_accuracy, metrics.frame_f1):
                    for i, (name, value) in enumerate(zip(INSTRUMENTS, metric(est, roll).tolist())):
                        if roll[i].any():
                            scores.setdefault(f"{on}/{metric.__name__}{at}/{name}", []).append(value)
                for metric, these, those in (("false_positive_rate", est, roll > 0), ("miss_rate", roll > 0, est)):
                    if these.any():
                        scores.setdefault(f"{on}/{metric}{at}/all", []).append(
                            float(metrics.false_discovery_rate(these.flatten(0, 1), those.flatten(0, 1))))
    return scores


def each(model, clips, apply):
    """Apply a model to clips, a few at a time."""
    return torch.stack([out for _, out in evaluation.each(model, clips, apply=apply)])


def transcribed(model: Transcriptor, clips):
    """Waveforms (clip, time) -> probabilities of notes, (clip, source, pitch, frame)."""
    return each(model, clips, lambda x: model(magnitude(x)).sigmoid())


def _song(clips):
    """Join clips (clip, source, pitch, frame) to one song (source, pitch, frame), overlap of one frame and all."""
    return torch.cat(list(clips), -1)


@torch.no_grad()
def choose_thresholds(model: Transcriptor, corpus) -> None:
    """Set the threshold of each instrument to the one with the best note accuracy on mixtures of a split."""
    accuracy = []
    for items in songs(corpus):
        roll = _song([item["roll"] for item in items])
        probabilities = _song(transcribed(model, torch.stack([item["mix"] for item in items])))
        accuracy.append(torch.stack([metrics.note_accuracy(probabilities > float(t), roll) for t in THRESHOLDS]))
    best = torch.stack(accuracy).nanmean(0).argmax(0)  # (song, threshold, source) -> (source,)
    model.thresholds.copy_(torch.as_tensor(THRESHOLDS)[best])


# Training

def task(cfg: Config, device: str = "auto") -> training.Task | None:
    """Say what a stage trains; nothing for the unprocessed mixture."""
    if cfg.stage == "input":
        return None
    model, loss = build(cfg), LOSSES[cfg.stage]
    if cfg.stage == "isolated":
        judge = _trained(cfg.critic).to(training.resolve(device)).requires_grad_(False)
        loss = partial(isolated, judge=judge)
        if cfg.init == "critic":
            inherit(model, judge)
    if cfg.stage == "finetune":
        model.separator, model.transcriptor = _trained(cfg.start), _trained(cfg.start.critic)
    loss = partial(loss, cfg=cfg)
    validation = corpora.load(cfg.corpus, "validation", cfg.preset)
    fixed = [examples(items, stems=cfg.stage == "supervised") for items in songs(validation)]
    # The adversarial terms are no criterion: they are best when the transcriptor is worst. Nor are overlays.
    criterion = partial(loss, cfg=replace(cfg, loss=replace(cfg.loss, aml=0.0, atl=0.0, overlay=0.0)))
    if cfg.stage == "finetune":
        loss = [training.Player("separator", model.separator.parameters(), partial(fooling, cfg=cfg)),
                training.Player("transcriptor", model.transcriptor.parameters(), partial(strictness, cfg=cfg))]
        loss = loss[:1] if cfg.frozen else loss
    return training.Task(model, Clips(cfg, corpora.load(cfg.corpus, "train", cfg.preset)), loss,
                         evaluation.Criterion(CRITERION, partial(objective, batches=fixed, loss=criterion)))


LOSSES = {"transcriptor": transcription, "supervised": supervised, "isolated": isolated, "finetune": joint}


@torch.no_grad()
def objective(model, batches: list[dict], loss) -> float:
    """Minus the mean loss on fixed batches: what decides when a model has learned enough. It needs no stems."""
    device = next(model.parameters()).device
    return -float(np.mean([float(loss(model, {name: x.to(device) for name, x in batch.items()}))
                           for batch in batches]))


def _trained(cfg: Config) -> nn.Module:
    """Load the network of a config that was trained before."""
    model = build(cfg)
    model.load_state_dict(runs.weights_of(cfg))
    return model


# Anybody's audio

def _separate(network, mix):
    X = audio.stft(mix, N_FFT, HOP)
    masks = getattr(network, "separator", network)(X.mean(1).abs())
    return audio.istft(masks[:, :, None] * X[:, None], HOP, mix.shape[-1])


def _transcribe(network, x):
    transcriptor = getattr(network, "transcriptor", network)
    own = transcriptor.thresholds[:, None, None]
    above = transcriptor(magnitude(x)).sigmoid() - own
    return above / torch.where(above > 0, 1 - own, own)


_CLIP = 4 * SR  # what both are trained on

SEPARATING = Separating(
    about="For piano, distorted guitar and bass. Trained on sampled instruments.", sr=SR, block=_CLIP,
    window=N_FFT, outputs=INSTRUMENTS, apply=_separate,
    fits=lambda config: config["stage"] in ("supervised", "isolated", "finetune"),
    strange=-13.0)  # measured on the first test items: -14 to -21 dB of `band`, -7 to -14 dB of voices and `sounds`
TRANSCRIBING = Transcribing(
    about="For the notes of piano, distorted guitar and bass. Trained on sampled instruments.", sr=SR, block=_CLIP,
    window=N_FFT, hop=HOP,
    outputs=dict(zip(INSTRUMENTS, (0, 30, 33))), lowest=LOWEST, apply=_transcribe,
    fits=lambda config: config["stage"] in ("transcriptor", "finetune") and config["judges"] == "score")
