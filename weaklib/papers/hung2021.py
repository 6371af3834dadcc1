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
In step 3 both networks are updated in the same step instead of one after the other.

Trained for minutes, a separator does not learn from the critic as published; five departures let it, each a field of
the config that the preset ``paper`` has as published. The distances of the mixture losses are squared (`Loss.squared`)
and weigh little (`Loss.gain`), or the critic is not heard: silence would cost hundreds of times what the critic asks.
The supervised distance is squared too. Only the first harmonics count (`Loss.n_harmonics`), and h-mix as much as c-mix.
The separator begins with the critic's hidden layers (`Config.init`), which know who plays what; no stems are involved.
The critic often hears an estimate under another clip (`Loss.overlay`), so that a trace of another instrument that only
it can hear does not pass for silence.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from weaklib import audio, corpora, losses, metrics, runs, tables, training, weights
from weaklib.files import WeaklibError
from weaklib.inference import Separating, Transcribing
from weaklib.losses.score import LOWEST, PITCHES
from weaklib.models import TCN

INSTRUMENTS = ("piano", "guitar", "bass")
SR, N_FFT, HOP = 16000, 2048, 500                # section 3.2: 32 frames per second
N_BINS = N_FFT // 2 + 1
ACTIVITY = (0.41, 0.14, 0.67)                    # share of the frames in which an instrument plays, section 3.2
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
    level: str = "clip"          # of the activity in Eq. 6: "clip" or "frame"
    n_harmonics: int | None = None  # L + 1 of Eq. 7; None: all
    squared: bool = False        # distance in Eq. 6 and 7 and of the supervised loss, see `losses.mixture_loss`
    gain: float = 1.0            # of the magnitudes in Eq. 6 and 7, whose balance with Eq. 5 depends on it
    overlay: float = 0.0         # probability that an estimate is judged under another clip, see `overlay`
    overlay_level: float = 4.0   # dB, standard deviation of that clip's level
    aml_on: str = "all"          # notes of the remix in Eq. 9: "all", or only the "active" ones


@dataclass(frozen=True)
class Config(runs.Config):
    """One model of the paper: a transcriptor, a separator, or both trained together."""

    paper = "hung2021"
    revision = 2

    stage: str = "isolated"      # "input", "transcriptor" (step 1), "supervised", "isolated" (2) or "finetune" (3)
    corpus: str = "band"
    sizes: str = "laptop"        # preset of the corpus
    batch: int = 16              # clips per step
    min_sources: int = 1         # instruments that must play in a training clip
    judges: str = "score"        # what a transcriptor hears: the "score", or "activity" alone (the baseline [16])
    init: str = "random"         # of the separator in step 2: "random", or the hidden layers of its "critic"
    frozen: bool = False         # whether the critic stays as it is in step 3: the control of what its learning buys
    net: Net = field(default_factory=Net)
    loss: Loss = field(default_factory=Loss)
    plan: training.Plan = field(default_factory=training.Plan)
    critic: Config | None = None # the transcriptor that judges (step 2)
    start: Config | None = None  # the separator to go on from (step 3), with its critic

    def corpora(self):
        return [corpora.identity(self.corpus, self.sizes)]

    def needs(self):
        return [cfg for cfg in (self.critic, self.start) if cfg]


# Networks

class Transcriptor(nn.Module):
    """Magnitudes ``(batch, freq, frame)`` -> logits of notes ``(batch, source, pitch, frame)``.

    `thresholds`, one per instrument, turn probabilities into notes; they are chosen on validation. With ``judges =
    "activity"`` there is one output per instrument, as if it had a single pitch.
    """

    def __init__(self, net: Net, judges: str = "score"):
        super().__init__()
        self.n_pitches = PITCHES if judges == "score" else 1
        self.tcn = _tcn(net, len(INSTRUMENTS) * self.n_pitches)
        self.power = net.power
        self.register_buffer("thresholds", torch.full((len(INSTRUMENTS),), 0.5))

    def forward(self, X):
        return self.tcn(_compressed(X, self.power)).unflatten(1, (len(INSTRUMENTS), self.n_pitches))

    def detect(self, X):
        """Return which notes sound: bool, shape=(batch, source, pitch, frame)."""
        return self(X).sigmoid() > self.thresholds[:, None, None]


class Separator(nn.Module):
    """Magnitudes ``(batch, freq, frame)`` -> masks in [0, 1], ``(batch, source, freq, frame)``."""

    def __init__(self, net: Net):
        super().__init__()
        self.tcn = _tcn(net, len(INSTRUMENTS) * N_BINS)
        self.power = net.power

    def forward(self, X):
        return self.tcn(_compressed(X, self.power)).unflatten(1, (len(INSTRUMENTS), N_BINS)).sigmoid()

    def separate(self, mix):
        """Separate waveforms ``(batch, time)`` at 16 kHz into ``(batch, source, time)``, with the mixture's phase."""
        X = audio.stft(mix, N_FFT, HOP)
        return audio.istft(self(X.abs()) * X[:, None], HOP, mix.shape[-1])


class Pair(nn.Module):
    """A separator and its transcriptor, which step 3 trains together."""

    def __init__(self, net: Net):
        super().__init__()
        self.separator, self.transcriptor = Separator(net), Transcriptor(net)


def _compressed(X, power: float):
    return X if power == 1 else (X + 1e-8) ** power


def _tcn(net: Net, n_out: int) -> TCN:
    sizes = {name: size for name, size in asdict(net).items() if name != "power"}
    return TCN(N_BINS, n_out, **sizes)


def inherit(separator: Separator, critic: Transcriptor) -> None:
    """Let a separator begin with all that its critic has learned but the last layer."""
    hidden = {name: x for name, x in critic.tcn.state_dict().items() if not name.startswith("head.")}
    separator.tcn.load_state_dict(hidden, strict=False)


def build(cfg: Config) -> nn.Module:
    """Make the network, or networks, that a stage trains."""
    if cfg.stage == "transcriptor":
        return Transcriptor(cfg.net, cfg.judges)
    return Pair(cfg.net) if cfg.stage == "finetune" else Separator(cfg.net)


# Data

class Clips:
    """Batches of clips cut anywhere from the songs, a function of the step alone."""

    def __init__(self, cfg: Config, corpus):
        self.cfg, self.corpus = cfg, corpus

    def __call__(self, step: int) -> dict:
        """Return ``X (batch, freq, frame)`` and ``roll``; for the supervised row also ``S``, the stems' magnitudes."""
        rng = np.random.default_rng([self.cfg.seed, step])
        return examples([self._clip(rng) for _ in range(self.cfg.batch)], stems=self.cfg.stage == "supervised")

    def _clip(self, rng) -> dict:
        """Draw a clip in which enough instruments play."""
        while True:
            song = int(rng.integers(len(self.corpus.songs)))
            last = self.corpus.lengths[song] - self.corpus.n_samples
            clip = self.corpus.clip(song, HOP * int(rng.integers(last // HOP + 1)))
            if clip["roll"].amax((1, 2)).sum() >= self.cfg.min_sources:
                return clip


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


def target(roll, judges: str):
    """What a transcriptor is asked for: the roll, or (batch, source, 1, frame), whether an instrument plays."""
    return roll if judges == "score" else roll.amax(-2, keepdim=True)


def transcription(model, batch: dict, cfg: Config):
    """L_TL, Eq. 4, mean over the batch."""
    logits, roll, w = model(batch["X"]), target(batch["roll"], cfg.judges), instrument_weights().to(batch["X"])
    value = losses.score_loss(logits, roll, w)
    if cfg.judges == "score":  # else Eq. 3 is Eq. 1, and who plays is all there is
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
        heard, over = overlay(est, X, target(roll, cfg.judges), loss) if loss.overlay else (est, None)
        logits = judge(heard.flatten(0, 1)).unflatten(0, est.shape[:2])
        value = value + loss.score * losses.separated_loss(logits, target(roll, cfg.judges),
                                                           instrument_weights().to(X), over)
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


def joint(model: Pair, batch: dict, cfg: Config):
    """Step 3: Eq. 8 for the separator plus Eq. 11 for the transcriptor; neither gets a gradient from the other's.

    The transcriptor of the control, ``cfg.frozen``, gets none at all.
    """
    X, roll, w, loss = batch["X"], batch["roll"], instrument_weights().to(batch["X"]), cfg.loss
    est = model.separator(X) * X[:, None]
    frozen = {name: x.detach() for name, x in model.transcriptor.state_dict().items()}
    value = separation(est, batch, cfg, lambda S: functional_call(model.transcriptor, frozen, (S,)))
    if cfg.frozen:
        return value
    value = value + transcription(model.transcriptor, batch, cfg)
    est = est.detach()
    if loss.aml:
        X_remix, roll_remix = remix(est, roll)
        value = value + loss.aml * losses.adversarial_mixture_loss(model.transcriptor(X_remix), roll_remix, w,
                                                                   on=loss.aml_on).mean()
    if loss.atl:
        logits = model.transcriptor(est.flatten(0, 1)).unflatten(0, est.shape[:2])
        value = value + loss.atl * losses.adversarial_transcription_loss(logits, roll, w).mean()
    return value


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

def songs(corpus):
    """Yield the clips of every song, one song after the other, as lists of items."""
    index = 0
    for length in corpus.lengths:
        n_clips = length // corpus.n_samples
        if n_clips:
            yield [corpus[index + i] for i in range(n_clips)]
        index += n_clips


@torch.no_grad()
def score_separator(model, corpus) -> dict:
    """Score a separator on whole songs, separated in windows of the corpus' clips.

    Parameters
    ----------
    model : Separator or None
        None: the mixture as the estimate of each instrument.
    corpus : Scored

    Returns
    -------
    dict of str to list of float, dB
        ``si_sdr/piano``, ``/guitar``, ``/bass``: one value per song in which the instrument is heard;
        ``si_sdr/avg``: the mean over the instruments, per song in which all three are.
    """
    scores = {f"si_sdr/{name}": [] for name in (*INSTRUMENTS, "avg")}
    for items in songs(corpus):
        mix, ref = (torch.stack([item[key] for item in items]) for key in ("mix", "sources"))
        est = model.separate(mix) if model else mix[:, None].expand_as(ref)
        values = metrics.si_sdr(*(x.transpose(0, 1).flatten(1) for x in (est, ref)))
        heard = ref.square().sum((0, 2)) > 0
        for name, value, is_heard in zip(INSTRUMENTS, values.tolist(), heard):
            if is_heard:
                scores[f"si_sdr/{name}"].append(value)
        if heard.all():
            scores["si_sdr/avg"].append(float(values.mean()))
    return scores


@torch.no_grad()
def score_transcriptor(model: Transcriptor, corpus) -> dict:
    """Score a transcriptor on whole songs, mixtures and isolated tracks, in windows of the corpus' clips.

    Returns
    -------
    dict of str to list of float
        ``<on>/<metric>/<instrument>`` with ``on`` mixture or isolated, for note_accuracy (also at the threshold 0.5,
        ``note_accuracy_at_0.5``) and frame_f1: a value per song in which the instrument plays. An isolated track is
        scored on its own instrument. ``<on>/false_positive_rate/all``: per song, over the three instruments.
    """
    scores: dict[str, list] = {}
    for items in songs(corpus):
        roll = _song([item["roll"] for item in items])
        mixed = model(magnitude(torch.stack([item["mix"] for item in items]))).sigmoid()
        stems = magnitude(torch.stack([item["sources"] for item in items]))
        alone = torch.stack([model(stems[:, i]).sigmoid()[:, i] for i in range(len(INSTRUMENTS))], 1)
        for on, probabilities in (("mixture", _song(mixed)), ("isolated", _song(alone))):
            est = probabilities > model.thresholds[:, None, None]
            values = {"note_accuracy": metrics.note_accuracy(est, roll), "frame_f1": metrics.frame_f1(est, roll),
                      "note_accuracy_at_0.5": metrics.note_accuracy(probabilities > 0.5, roll)}
            for metric, value in values.items():
                for i, name in enumerate(INSTRUMENTS):
                    if roll[i].any():
                        scores.setdefault(f"{on}/{metric}/{name}", []).append(float(value[i]))
            if est.any():
                scores.setdefault(f"{on}/false_positive_rate/all", []).append(
                    float(metrics.false_discovery_rate(est.flatten(0, 1), roll.flatten(0, 1))))
    return scores


def _song(clips):
    """Join clips (clip, source, pitch, frame) to one song (source, pitch, frame), overlap of one frame and all."""
    return torch.cat(list(clips), -1)


@torch.no_grad()
def choose_thresholds(model: Transcriptor, corpus) -> None:
    """Set the threshold of each instrument to the one with the best note accuracy on mixtures of a split."""
    accuracy = []
    for items in songs(corpus):
        roll = _song([item["roll"] for item in items])
        probabilities = _song(model(magnitude(torch.stack([item["mix"] for item in items]))).sigmoid())
        accuracy.append(torch.stack([metrics.note_accuracy(probabilities > float(t), roll) for t in THRESHOLDS]))
    best = torch.stack(accuracy).nanmean(0).argmax(0)  # (song, threshold, source) -> (source,)
    model.thresholds.copy_(torch.as_tensor(THRESHOLDS)[best])


# Training

def train(cfg: Config, folder, *, device: str = "auto", show=None):
    """Train and score one model; what `weaklib.runs.get` calls. Returns (scores, history, model)."""
    test = corpora.load(cfg.corpus, "test", cfg.sizes)
    if cfg.stage == "input":
        return score_separator(None, test), [], None
    validation = corpora.load(cfg.corpus, "validation", cfg.sizes)
    torch.manual_seed(cfg.seed)
    model, loss = build(cfg), LOSSES[cfg.stage]
    if cfg.stage == "isolated":
        judge = trained(cfg.critic, device).to(training.resolve(device)).requires_grad_(False)
        loss = partial(isolated, judge=judge)
        if cfg.init == "critic":
            inherit(model, judge)
    if cfg.stage == "finetune":
        model.separator = trained(cfg.start, device)
        model.transcriptor = trained(cfg.start.critic, device)
    loss = partial(loss, cfg=cfg)
    fixed = [examples(items, stems=cfg.stage == "supervised") for items in songs(validation)]
    # The adversarial terms are no criterion: they are best when the transcriptor is worst. Nor is what drowns estimates.
    criterion = partial(loss, cfg=replace(cfg, loss=replace(cfg.loss, aml=0.0, atl=0.0, overlay=0.0)))
    history = training.fit(
        model, Clips(cfg, corpora.load(cfg.corpus, "train", cfg.sizes)), loss, cfg.plan, folder, seed=cfg.seed,
        validate=partial(objective, batches=fixed, loss=criterion), device=device,
        desc=f"{cfg.label}, seed {cfg.seed}", show=show)
    scores = {}
    if cfg.stage != "transcriptor":
        scores |= score_separator(getattr(model, "separator", model), test)
    if cfg.judges == "score" and cfg.stage in ("transcriptor", "finetune"):
        transcriptor = getattr(model, "transcriptor", model)
        choose_thresholds(transcriptor, validation)
        scores |= score_transcriptor(transcriptor, test)
    return scores, history, model


LOSSES = {"transcriptor": transcription, "supervised": supervised, "isolated": isolated, "finetune": joint}
STAGES = ("input", *LOSSES)  # a model starts from those of earlier stages


@torch.no_grad()
def objective(model, batches: list[dict], loss) -> float:
    """Minus the mean loss on fixed batches: what decides when a model has learned enough. It needs no stems."""
    device = next(model.parameters()).device
    return -float(np.mean([float(loss(model, {name: x.to(device) for name, x in batch.items()}))
                           for batch in batches]))


def run(cfg: Config, *, device: str = "auto", fresh: bool = False, show=None) -> runs.Record:
    """Return the local record of a config, training it now if there is none, and before it what it starts from."""
    return runs.get(cfg, partial(train, device=device, show=show), fresh=fresh)


def trained(cfg: Config, device: str = "auto") -> nn.Module:
    """Return the trained network of a config, training it now if need be."""
    record = run(cfg, device=device)
    if record.weights_path is None:
        raise WeaklibError(f"The weights of {record.id} are not on this machine; delete {record.folder} to train it "
                           "again.")
    model = build(cfg)
    model.load_state_dict(weights.load(record.weights_path)[0])
    return model


def models(record: runs.Record | None = None) -> nn.Module:
    """Load what a record's stage trained (see `build`), or the `Pair` that comes with the kit."""
    tensors, fields = runs.trained(record, "hung2021")
    model = build(Config(stage=fields["stage"], judges=fields["judges"], net=Net(**fields["net"])))
    model.load_state_dict(tensors)
    return model.eval()


def _part(record, name: str, device) -> nn.Module:
    """Load the separator, or the transcriptor, of a record that has one, alone or in a pair."""
    model = models(record)
    return getattr(model, name, model).to(device)


def _separating(record, device):
    model = _part(record, "separator", device)

    def separate(mix):
        X = audio.stft(mix, N_FFT, HOP)
        masks = model(X.mean(1).abs())
        return audio.istft(masks[:, :, None] * X[:, None], HOP, mix.shape[-1])

    return separate


def _transcribing(record, device):
    model = _part(record, "transcriptor", device)
    own = model.thresholds[:, None, None]

    def transcribe(x):
        above = model(magnitude(x)).sigmoid() - own
        return above / torch.where(above > 0, 1 - own, own)

    return transcribe


_CLIP = 4 * SR  # what both are trained on

SEPARATING = Separating(
    about="a trio of piano, distorted guitar and bass; it has only heard sampled ones", sr=SR, block=_CLIP,
    window=N_FFT, outputs=INSTRUMENTS, load=_separating,
    fits=lambda config: config["stage"] in ("supervised", "isolated", "finetune"))
TRANSCRIBING = Transcribing(
    about="the notes of such a trio", sr=SR, block=_CLIP, window=N_FFT, hop=HOP,
    outputs=dict(zip(INSTRUMENTS, (0, 30, 33))), lowest=LOWEST, load=_transcribing,
    fits=lambda config: config["stage"] in ("transcriptor", "finetune") and config["judges"] == "score")


# Presets and rows

#: What lets a separator learn in minutes: squares, which share doubtful bins out instead of giving them to whoever has
#: them most often; fewer harmonics, for a low bass note has some in every other bin; as much weight on h-mix as on
#: c-mix; a balance in which the critic is heard; and estimates under other clips.
_QUICK = {"squared": True, "n_harmonics": 12, "h_mix": 1.0, "gain": 0.01, "overlay": 0.5}

#: Per preset: what all models share, and the plan of each stage.
PRESETS = {
    "smoke": (Config(sizes="smoke", batch=2, net=Net(8, 16, 8, 1, 3), init="critic", loss=Loss(**_QUICK)),
              dict.fromkeys(LOSSES, training.Plan(steps=6, warmup=2, validate_every=3))),
    "laptop": (Config(batch=8, net=Net(64, 128, 64, 2, 7), init="critic", loss=Loss(**_QUICK)),
               {"transcriptor": training.Plan(steps=1000, lr=3e-3, validate_every=100),
                "supervised": training.Plan(steps=700, lr=3e-3, validate_every=100),
                "isolated": training.Plan(steps=500, lr=3e-3, validate_every=100),
                "finetune": training.Plan(steps=200, lr=1e-3, warmup=20, validate_every=50)}),
    "gpu": (Config(sizes="gpu", batch=32, init="critic", loss=Loss(**_QUICK)),
            dict.fromkeys(LOSSES, training.Plan(steps=10_000, lr=1e-3, warmup=200, ema=0.999, validate_every=500,
                                                precision="bf16-mixed"))),
    # 1500 tracks and 16 clips per step: 94 steps are an epoch; stop after ten without a gain.
    "paper": (Config(corpus="slakh", sizes="paper"),
              dict.fromkeys(LOSSES, training.Plan(steps=50_000, warmup=0, decay="plateau", clip=math.inf, ema=0.0,
                                                  validate_every=94, patience=10, precision="bf16-mixed"))),
}
PRESETS["full"] = PRESETS["laptop"]

#: Random seeds per preset; one seed shows no spread.
SEEDS = {"smoke": 1, "laptop": 1, "full": 3, "gpu": 3, "paper": 1}

#: Row of Table 1 -> stage, and the loss weights that differ from the published ones with everything on.
MODELS = {
    "input_mixture": ("input", {}),
    "mixture_pretrain": ("transcriptor", {}),
    "supervised": ("supervised", {}),
    "baseline_pishdadian": ("isolated", {"h_mix": 0.0}),
    "isolated_cmix": ("isolated", {"h_mix": 0.0}),
    "isolated_frame_mix": ("isolated", {"h_mix": 0.0, "level": "frame"}),
    "isolated_hmix": ("isolated", {"c_mix": 0.0}),
    "isolated_c_h": ("isolated", {}),
    "isolated_c_h_absolute": ("isolated", {"squared": False}),
    "finetune_c_h": ("finetune", {}),
    "finetune_c_h_aml": ("finetune", {"aml": 0.2}),
    "finetune_c_h_atl": ("finetune", {"atl": 0.05}),
    "finetune_c_h_aml_atl": ("finetune", {"aml": 0.2, "atl": 0.05}),
}
#: Other rows that report on the same models.
SAME = {"iso_pretrain": "mixture_pretrain"} | {
    f"{kind}{tail}": f"finetune_c_h{tail}" for kind in ("mixture_finetune", "iso_finetune", "fpr_finetune",
                                                         "fpr_isolated_finetune") for tail in ("", "_aml", "_atl")}
SHIPPED = "finetune_c_h_aml"  # the row whose separator and transcriptor come with the package
HEADLINE = ("input_mixture", "supervised", "isolated_c_h", SHIPPED, "mixture_pretrain", "iso_pretrain",
            "mixture_finetune_aml", "iso_finetune_aml", "fpr_finetune_aml", "fpr_isolated_finetune_aml")
ALL = tuple(row for row in MODELS if row != "mixture_pretrain") + (
    "mixture_pretrain", "mixture_finetune", "mixture_finetune_aml", "mixture_finetune_atl",
    "iso_pretrain", "iso_finetune", "iso_finetune_aml", "iso_finetune_atl",
    *(row for row in SAME if row.startswith("fpr_")))
ROWS = {"smoke": HEADLINE, "laptop": HEADLINE, "full": ALL, "gpu": ALL, "paper": ALL}


def config(row: str, preset: str, seed: int = 0, corpus: str | None = None) -> Config:
    """Return the config of the model that a row of a table reports on.

    Parameters
    ----------
    row : str
        A key of Table 1, Table 2 or the text, such as ``isolated_c_h``; some more are ours: ``isolated_frame_mix``,
        which the text compares without a number, ``isolated_c_h_absolute``, with distances as published where the
        preset squares them, and ``fpr_isolated_finetune[_aml|_atl]``.
    preset : str
    seed : int
    corpus : str, optional
        In place of the preset's: with ``babyslakh``, any preset trains on Slakh's own sound; with
        ``babyslakh_uncorrected``, on scores whose bass is an octave above its sound, as Slakh writes it.

    Raises
    ------
    WeaklibError
        If `row` or `preset` is unknown.
    """
    if preset not in PRESETS:
        raise WeaklibError(f"Unknown preset {preset!r}; choose one of {', '.join(PRESETS)}.")
    row = SAME.get(row, row)
    if row not in MODELS:
        raise WeaklibError(f"Unknown row {row!r} of hung2021; one is isolated_c_h.")
    stage, changes = MODELS[row]
    base, plans = PRESETS[preset]
    base = replace(base, seed=seed, corpus=corpus or base.corpus)
    critic = replace(base, label="mixture_pretrain", stage="transcriptor", plan=plans["transcriptor"])
    own = replace(base, label=row, stage=stage, loss=replace(base.loss, **changes))
    if stage == "input":
        return replace(own, seed=0)  # it draws nothing at random
    own = replace(own, plan=plans[stage])
    if row == "baseline_pishdadian":
        critic, own = (replace(cfg, judges="activity") for cfg in (replace(critic, label="classifier"), own))
    if stage == "isolated":
        return replace(own, critic=critic)
    if stage == "finetune":
        return replace(own, start=config("isolated_c_h", preset, seed, corpus))
    return critic if stage == "transcriptor" else own


# Tables

def _lines(name: str, preset: str, corpus: str, of: Callable[[str], bool]) -> list[tables.Line]:
    """Lines of a table, with the paper's words for its rows."""
    words = {p["row"]: (p["method"], p["condition"]) for p in tables.paper_numbers("hung2021", name)}
    words["isolated_frame_mix"] = ("Proposed", "losses=frame_mix;stage=isolated")
    words["isolated_c_h_absolute"] = ("Proposed", "losses=c_mix+h_mix;stage=isolated;distance=absolute")
    return [tables.Line(row, *words.get(row.replace("_isolated", ""), ("", "")), corpus,
                        partial(config, row, preset, corpus=corpus),
                        on="" if name == "table1" else "isolated" if "iso" in row else "mixture")
            for row in ROWS[preset] if of(row)]


def tables_of(preset: str, seeds: int | None = None, corpus: str | None = None) -> list[tables.Table]:
    """All tables of the paper that a preset fills.

    Parameters
    ----------
    preset : str
    seeds : int, optional
        In place of the preset's number.
    corpus : str, optional
        In place of the preset's, see `config`.
    """
    corpus = corpus or PRESETS[preset][0].corpus
    make = partial(tables.Table, "hung2021", n_seeds=seeds or SEEDS[preset])
    lines = partial(_lines, preset=preset, corpus=corpus)
    return [
        make("table1", "1", ("avg", "bass", "guitar", "piano"), {"si_sdr": "dB"},
             lines("table1", of=lambda row: row in MODELS and row != "mixture_pretrain"),
             caption=f"SI-SDR on held-out songs. {STAND_IN if corpus == 'band' else ''}{CAPTIONS[0]}"),
        make("table2", "2", ("bass", "guitar", "piano"), {"note_accuracy": "ratio"},
             lines("table2", of=lambda row: row.startswith(("mixture_", "iso_"))),
             caption=f"Frame-level note accuracy on held-out songs of `{corpus}`, {CAPTIONS[1]}"),
        make("text", "text", ("all",), {"false_positive_rate": "ratio"},
             lines("text", of=lambda row: row.startswith("fpr_")), caption=CAPTIONS[2])]


STAND_IN = "Corpus `band`, a rendered trio, stands in for three classes of Slakh2100-split2. "
CAPTIONS = (
    "The distances that the paper takes absolute are squared here, but for `isolated_c_h_absolute`, a row of ours. "
    "`isolated_frame_mix` has no number in the paper. Which of the paper's AML and ATL rows is which is not "
    "certain.",
    "thresholds chosen on validation. Isolated tracks are scored on their own instrument.",
    "Share of the detected notes that are wrong, over all instruments, per frame. The paper does not say whether on "
    "mixtures or isolated tracks: the rows `fpr_isolated_*` are ours.")


# Claims: tests and tolerances were fixed before the runs; that h01 asks for more than the mixture, after them.

def _means(values, *rows, metric="si_sdr", split="avg"):
    """Means of rows over the seeds that all of them have, or None for each if one is missing."""
    found = [values(row, metric, split) for row in rows]
    n = min(map(len, found))
    return [float(np.mean(x[:n])) if n else None for x in found]


def _gap(values, better, worse, **what):
    """Difference of two rows over the seeds that both have, or None if one is missing."""
    a, b = _means(values, better, worse, **what)
    return None if a is None else a - b


def _compare(better, worse, test):
    """A claim about the difference of two rows of Table 1."""
    def claim(values):
        gap = _gap(values, better, worse)
        return tables.verdict([None if gap is None else test(gap)], tables.spell({f"{better} - {worse}:": gap}))
    return claim


def _h01(values):
    """Better by at least 0.2 dB, and than the mixture: of two that have learned nothing neither teaches better."""
    gaps = {"c-mix - classifier:": _gap(values, "isolated_cmix", "baseline_pishdadian"),
            "c-mix - input mixture:": _gap(values, "isolated_cmix", "input_mixture")}
    first, second = gaps.values()
    return tables.verdict([None if first is None else first >= 0.2,
                           None if first is None or second is None else second > 0], tables.spell(gaps))


def _h04(values):
    """Better by at least 0.2 dB on average, and by most for guitar."""
    gaps = {i: _gap(values, "finetune_c_h", "isolated_c_h", split=i) for i in ("avg", *INSTRUMENTS)}
    if None in gaps.values():
        return tables.verdict([None], "")
    others = max(gaps["piano"], gaps["bass"])
    return tables.verdict([gaps["avg"] >= 0.2, gaps["guitar"] > others], tables.spell(gaps))


def _best(values):
    """The best weakly supervised row: of two with the same number in the paper, the one that was run."""
    return "finetune_c_h_aml_atl" if values("finetune_c_h_aml_atl", "si_sdr", "avg") else "finetune_c_h_aml"


def _h06(values):
    """Behind supervised training by at least 0.5 dB."""
    return _compare(_best(values), "supervised", lambda gap: gap <= -0.5)(values)


def _h07(values):
    """At least half of the gap between the mixture and supervised training."""
    (weak, high), (low,) = _means(values, _best(values), "supervised"), _means(values, "input_mixture")
    if None in (low, weak, high):
        return tables.verdict([None], "")
    share = (weak - low) / (high - low)
    return tables.verdict([share >= 0.5], f"{100 * share:.0f} % ({weak - low:.1f} of {high - low:.1f} dB)")


def _accuracy(values, better, worse):
    return {i: _gap(values, better, worse, metric="note_accuracy", split=i) for i in INSTRUMENTS}


def _spell(gaps):
    return ", ".join(f"{name} {'not run' if gap is None else f'{gap:+.2f}'}" for name, gap in gaps.items())


def _h08(values):
    """Lower for at least two of three instruments, on mixtures and on isolated tracks."""
    gaps = {on: _accuracy(values, f"{on}_finetune", f"{on}_pretrain") for on in ("mixture", "iso")}
    tests = [None if None in g.values() else sum(x < 0 for x in g.values()) >= 2 for g in gaps.values()]
    return tables.verdict(tests, "; ".join(f"{on}: {_spell(g)}" for on, g in gaps.items()))


def _h09(values):
    """AML and ATL: no instrument loses, and guitar gains most."""
    gaps = {kind: _accuracy(values, f"mixture_finetune_{kind}", "mixture_pretrain") for kind in ("aml", "atl")}
    tests = [None if None in g.values() else min(g.values()) >= 0 and g["guitar"] == max(g.values())
             for g in gaps.values()]
    return tables.verdict(tests, "; ".join(f"{kind}: {_spell(g)}" for kind, g in gaps.items()))


def _h10(values):
    """AML and ATL: at most two thirds of the rate without."""
    pairs = {tail: _means(values, "fpr_finetune", f"fpr_finetune_{tail}", metric="false_positive_rate", split="all")
             for tail in ("aml", "atl")}
    tests = [None if plain is None else rate <= 2 / 3 * plain for plain, rate in pairs.values()]
    return tables.verdict(tests, "; ".join(f"{tail}: not run" if plain is None else f"{tail}: {plain:.2f} -> {rate:.2f}"
                                           for tail, (plain, rate) in pairs.items()))


def _h11(values):
    """At least as accurate as on mixtures, for every model and instrument."""
    gaps = {kind: _accuracy(values, f"iso_{kind}", f"mixture_{kind}")
            for kind in ("pretrain", "finetune", "finetune_aml", "finetune_atl")}
    tests = [None if None in g.values() else min(g.values()) >= 0 for g in gaps.values()]
    return tables.verdict(tests, "; ".join(f"{kind}: {_spell(g)}" for kind, g in gaps.items()))


CLAIMS = {
    "h01": tables.Claim(_h01, "+0.5 dB", "at least 0.2 dB better, and better than the mixture"),
    "h02": tables.Claim(_compare("isolated_hmix", "isolated_cmix", lambda gap: -1 <= gap < 0), "-0.2 dB",
                        "worse, by at most 1 dB"),
    "h03": tables.Claim(_compare("isolated_c_h", "isolated_cmix", lambda gap: gap >= 0.2), "+0.7 dB",
                        "at least 0.2 dB better"),
    "h04": tables.Claim(_h04, "+0.6 dB, guitar +1.1 dB", "at least 0.2 dB better, guitar most"),
    "h05": tables.Claim(_compare("finetune_c_h_aml_atl", "finetune_c_h", lambda gap: gap >= 0.1), "+0.2 dB",
                        "at least 0.1 dB better"),
    "h06": tables.Claim(_h06, "-2.4 dB", "at least 0.5 dB worse"),
    "h07": tables.Claim(_h07, "77 % (8.1 of 10.5 dB)", "at least 50 %"),
    "h08": tables.Claim(_h08, "-0.01 / -0.02 / -0.04 (bass / guitar / piano, mixtures)",
                        "lower for two of three instruments, on mixtures and isolated tracks"),
    "h09": tables.Claim(_h09, "guitar +0.07 (AML), +0.06 (ATL)", "no instrument loses, guitar gains most"),
    "h10": tables.Claim(_h10, "0.37 / 0.17 / 0.19 (none / AML / ATL)", "at most two thirds"),
    "h11": tables.Claim(_h11, "pretrain +0.06 / +0.08 / +0.08 (bass / guitar / piano)",
                        "no loss, for every model and instrument"),
    "h12": tables.Claim(_compare("isolated_frame_mix", "isolated_cmix", lambda gap: abs(gap) <= 0.5), "about 0 dB",
                        "at most 0.5 dB apart"),
}
