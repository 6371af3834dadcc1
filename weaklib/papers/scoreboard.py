"""How much is a weak label worth? One corpus, one separator and one budget of steps, and every kind of label.

Question
--------
The papers of this kit each compare their own label with stems, each on other sound and with another network. None
says what its label is worth beside the others'. Here the same separator, that of hung2021, learns from the same songs
for as many steps from each of them: from nothing, from who plays in a clip, from a sentence that says it, from the
score, from scores of other songs, from the stems of a few songs, and of all.

How each label teaches
----------------------
nothing
    MixIT (wisdom2020) on sums of two clips. What comes out has no names: in the test an oracle gives each stem the
    outputs that fit it best.
who plays
    A classifier learns from mixtures which instruments play in a clip, one answer for each whole clip, and then is the
    critic of hung2021. Or there is no critic: of two clips without a common instrument each must be found again in
    their sum, as the sum of its instruments (`apart`), which is mix-and-separate (mahmud2024 Eq. 2) by names.
a sentence
    An audio-text critic (mahmud2024) hears whether each estimate goes with its own name. It has learned from other
    sound, single instruments at 8 kHz, and hears the estimates at that rate. A second one goes on learning from the
    songs and their sentences first.
the score
    c-mix and h-mix with a transcriptor as critic: what is best in hung2021 before step 3. And the same with `apart`
    beside it, since who knows the score knows who plays.
scores of other songs
    A synthesiser plays them, with other voices than those of the songs (``band_pool``); a transcriptor learns from
    that. On the songs it is the critic, and what it hears in the mixture stands for the notes. Or the separator learns
    from the stems that the synthesiser made, and from nothing else.
stems
    The distance to the stems, of the songs that have them.

Every separator that has a critic which is a TCN begins with its hidden layers, as in hung2021; the others begin at
random. The state that counts is chosen on the validation songs by the loss itself, with the label that the row has;
hours of work (`hours`) do not count them.
"""
from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Literal

import numpy as np
import torch
from torch import nn

from weaklib import audio, corpora, evaluation, losses, metrics, rolls, runs, text, training
from weaklib.models.clap import Clap
from weaklib.papers import hung2021, mahmud2024
from weaklib.papers.hung2021 import CRITERION, HOP, INSTRUMENTS, N_BINS, N_FFT, SR, Loss, Net, magnitude

NAMES = ("piano", "distorted guitar", "electric bass")  # of the instruments, as sentences call them
LEAST = 2      # songs in any share of them
N_FREE = 4     # outputs of a separator that no label names: enough for most sums of two clips
TRIES = 50     # at a second clip that has no instrument in common with the first


@dataclass(frozen=True)
class Config(runs.Config):
    """One model: a separator, or a critic that teaches it."""

    paper = "scoreboard"
    revision = 1

    # a separator; a critic (the next three); or a reference, the mixture itself or ratio masks made of the stems
    stage: Literal["separator", "transcriptor", "classifier", "listener", "input", "ideal"] = "separator"
    # what a separator learns from
    learns: Literal["nothing", "apart", "sentence", "critic", "critic and apart", "critic and stems",
                    "stems"] = "critic"
    corpus: str = "band"         # tested on
    heard: str = "band"          # trained on
    preset: str = "laptop"       # of the corpora
    share: float = 1.0           # of the songs: those that have the label
    stems: float = 0.0           # of the songs: those that have stems beside the label
    # that teach: those of the score, or what the critic hears in the mixture
    notes: Literal["score", "critic"] = "score"
    batch: int = 4               # clips per step
    min_sources: int = 1         # instruments that must play in a training clip
    contrastive: float = 5.0     # weight of what an audio-text critic says, nats
    net: Net = field(default_factory=Net)
    loss: Loss = field(default_factory=Loss)
    plan: training.Plan = field(default_factory=training.Plan)
    critic: Config | None = None # of the stage "transcriptor", "classifier" or "listener"
    start: mahmud2024.Config | None = None  # the audio-text model with which a listener begins

    def corpora(self):
        return [corpora.identity(name, self.preset) for name in sorted({self.corpus, self.heard})]

    def needs(self):
        return [cfg for cfg in (self.critic, self.start) if cfg]

    @property
    def target(self) -> str:
        """What a critic is asked for, as hung2021 says it."""
        return "activity" if "classifier" in (self.stage, self.critic and self.critic.stage) else "score"


# What labels cost

@dataclass(frozen=True)
class Work:
    """A kind of work: minutes of it per minute of music, what it is, and why so many. They are assumptions."""

    minutes: float
    words: str
    why: str


WORK = {
    "listen": Work(1.5, "listening who plays", "a clip is heard once, and some of them twice"),
    "describe": Work(2.0, "writing a sentence", "as listening, and a few words are typed"),
    "align": Work(10.0, "aligning a score that exists", "software aligns it, and somebody checks and mends bar by bar"),
    "notate": Work(60.0, "writing the score by ear", "an hour for a minute of three instruments, for one who can"),
    "find": Work(0.1, "finding scores of other songs", "collections of MIDI files are there, in the right style"),
    "record": Work(200.0, "recording stems", "rehearsing, a session, and editing, for several people"),
}


def labelled(cfg: Config, n_songs: int, minutes: float, score: str = "align") -> dict[str, float]:
    """Say on how many minutes of music somebody works for what a model and its critics learn from.

    Parameters
    ----------
    cfg : Config
    n_songs : int
        Of the training split.
    minutes : float
        Of music in it.
    score : {"align", "notate"}
        How scores come about.

    Returns
    -------
    dict of str to float
        Key of `WORK` -> minutes of music.
    """
    def of(share):
        return minutes * n_labelled(n_songs, share) / n_songs

    if cfg.stage in ("input", "ideal"):
        return {}
    if cfg.heard != cfg.corpus or (cfg.critic and cfg.critic.heard != cfg.corpus):
        return {"find": minutes}  # as many songs are played as there are to separate
    kinds = {"transcriptor": score, "classifier": "listen", "listener": "describe"}
    if cfg.stage in kinds:
        return {kinds[cfg.stage]: of(cfg.share)}
    own = {"nothing": {}, "apart": {"listen": of(cfg.share)}, "sentence": {"describe": of(cfg.share)},
           "stems": {"record": of(cfg.share)}}
    if cfg.learns in own:
        return own[cfg.learns]
    return {kinds[cfg.critic.stage]: of(cfg.share)} | ({"record": of(cfg.stems)} if cfg.stems else {})


def hours(minutes: dict[str, float], rates: dict[str, float] | None = None) -> float:
    """Hours of work on so many minutes of music, by key of `WORK`; `rates` replace its minutes per minute."""
    rates = {key: work.minutes for key, work in WORK.items()} | (rates or {})
    return sum(rates[key] * of for key, of in minutes.items()) / 60


# Networks

class Separator(hung2021.Separator):
    """The separator of hung2021; with `n_outputs`, as many that have no names."""

    def __init__(self, net: Net, n_outputs: int = len(INSTRUMENTS)):
        super().__init__(net)
        self.n_outputs = n_outputs
        if n_outputs != len(INSTRUMENTS):
            self.tcn = hung2021.tcn(net, n_outputs * N_BINS)

    def forward(self, X):
        return self.tcn(hung2021.compressed(X, self.power)).unflatten(1, (self.n_outputs, N_BINS)).sigmoid()


class Classifier(hung2021.Transcriptor):
    """Magnitudes ``(batch, freq, frame)`` -> logits ``(batch, source, 1, 1)``: who plays in a clip, anywhere in it.

    They are the logarithm of the mean of exponentials over frames: close to the largest, and all frames learn.
    """

    def __init__(self, net: Net):
        super().__init__(net, "activity")

    def forward(self, X):
        logits = super().forward(X)
        return logits.logsumexp(-1, keepdim=True) - math.log(logits.shape[-1])


def build(cfg: Config) -> nn.Module:
    """Make the network of a stage."""
    if cfg.stage == "listener":
        return Clap(sr=cfg.start.sr)
    if cfg.stage == "transcriptor":
        return hung2021.Transcriptor(cfg.net)
    if cfg.stage == "classifier":
        return Classifier(cfg.net)
    return Separator(cfg.net, N_FREE if cfg.learns == "nothing" else len(INSTRUMENTS))


# Data

def n_labelled(n_songs: int, share: float) -> int:
    """How many songs a share of them is: two at least, if there are so many."""
    return min(n_songs, max(LEAST, round(share * n_songs)))


def songs_of(n_songs: int, share: float, seed: int) -> list[int]:
    """Choose a share of the songs: the larger one holds the smaller one, and each seed has others."""
    order = np.random.default_rng([17, seed]).permutation(n_songs)
    return sorted(order[:n_labelled(n_songs, share)].tolist())


class Clips(hung2021.Clips):
    """Batches of clips, a function of the step alone: ``mix (batch, time)``, ``roll``, and what else a row hears.

    Where stems teach, ``sources (n, source, time)`` of the first `n` clips, whose songs have them. Where clips are
    added up, ``other (batch, time)`` and ``other_roll`` of another clip for each: any, or, where names must tell them
    apart, one that has no instrument in common with the first; silence where there is none.
    """

    def __init__(self, cfg: Config, corpus):
        super().__init__(cfg, corpus)
        n = len(corpus.songs)
        self.songs, self.with_stems = (songs_of(n, share, cfg.seed) for share in (cfg.share, cfg.stems))

    def __call__(self, step: int) -> dict:
        rng, cfg = np.random.default_rng([self.cfg.seed, step]), self.cfg
        n = cfg.batch // 2 if cfg.stems else 0
        items = [self.clip(rng, self.with_stems if i < n else self.songs) for i in range(cfg.batch)]
        others = [self.other(rng, item) for item in items] if cfg.learns in ADDED else None
        return examples(items, others, n_stems=cfg.batch if cfg.learns == "stems" else n)

    def other(self, rng, item: dict) -> dict:
        """Draw a clip to be added to another one."""
        for _ in range(TRIES):
            other = self.clip(rng, self.songs)
            if self.cfg.learns == "nothing" or not (played(other["roll"]) & played(item["roll"])).any():
                return other
        return silence(item)


ADDED = ("nothing", "apart", "critic and apart")  # ways to learn from sums of two clips


def examples(items: list[dict], others: list[dict] | None = None, n_stems: int = 0) -> dict:
    """Make a batch of corpus items; see `Clips`."""
    batch = {name: torch.stack([item[name] for item in items]) for name in ("mix", "roll")}
    if others:
        batch |= {f"other{tail}": torch.stack([item[name] for item in others])
                  for name, tail in (("mix", ""), ("roll", "_roll"))}
    return batch | ({"sources": torch.stack([item["sources"] for item in items[:n_stems]])} if n_stems else {})


def played(roll):
    """Who plays in a clip: ``(..., source, pitch, frame)`` -> bool ``(..., source)``."""
    return roll.amax((-2, -1)) > 0


def silence(item: dict) -> dict:
    """A clip as long as another one, in which nobody plays."""
    return {name: torch.zeros_like(item[name]) for name in ("mix", "roll")}


def pooled(roll):
    """Who plays in a clip, as a roll of one pitch and one frame."""
    return roll.amax((-2, -1), keepdim=True)


# Losses

def unnamed(model, batch: dict, cfg: Config):
    """MixIT on sums of two clips, dB (wisdom2020 Eq. 3)."""
    pair = torch.stack([batch["mix"], batch["other"]], 1)
    return losses.mixit(model.separate(pair.sum(1)), pair)[0].mean()


def apart(model, batch: dict, cfg: Config):
    """Two clips without a common instrument, from their sum: distances of each, as the sum of its instruments, and of
    everybody else to silence.
    """
    X = magnitude(batch["mix"] + batch["other"])
    est, value = model(X) * X[:, None], 0.0
    rest = torch.ones(est.shape[:2], device=est.device)
    for mix, roll in (("mix", "roll"), ("other", "other_roll")):
        mine = played(batch[roll]).to(est)
        rest = rest - mine
        error = (mine[..., None, None] * est).sum(1) - magnitude(batch[mix])
        value = value + losses.distance(error, X, cfg.loss.squared)
    value = value + losses.distance((rest[..., None, None] * est).flatten(1, 2), X, cfg.loss.squared)
    return cfg.loss.gain * value.mean()


def sentence(model, batch: dict, cfg: Config, judge: Clap, spoiled: bool = True):
    """c-mix by the names in the sentence, and the contrastive loss of each estimate that is named with its name."""
    spectrum = audio.stft(batch["mix"], N_FFT, HOP)
    X, plays = spectrum.abs(), played(batch["roll"])
    masks = model(X)
    mixed = hung2021.separation(masks * X[:, None], {"X": X, "roll": pooled(batch["roll"])}, cfg, judge=None)
    est = at_half_the_rate((masks * spectrum[:, None])[plays], batch["mix"].shape[-1])
    which = plays.nonzero()[:, 1]
    heard = judge.hear(est, **({"spoiled": True} if spoiled else {}))
    said = losses.contrastive(heard, read(judge)[which], judge.scale, which[:, None] == which)
    return mixed + cfg.contrastive * said.mean()


def at_half_the_rate(spectrum, n_samples: int):
    """Sound of spectra (n, freq, frame) at half the sample rate: the lower half of each frame, transformed back."""
    return audio.istft(spectrum[..., :N_FFT // 4 + 1, :] / 2, HOP // 2, n_samples // 2)


def read(judge: Clap):
    """What an audio-text model makes of the names of the instruments, (3, d)."""
    asked = text.encode([text.prompt([name]) for name in NAMES]).pooled
    return judge.read(asked.to(judge.log_scale.device))


def agreement(model: Clap, batch: dict, cfg: Config, spoiled: bool = True):
    """Symmetric InfoNCE of mixtures and the sentences that say who plays in them."""
    plays = played(batch["roll"])
    said = [text.prompt([name for name, there in zip(NAMES, row) if there]) for row in plays.tolist()]
    asked = text.encode(sorted(set(said)))
    which = torch.tensor([sorted(set(said)).index(one) for one in said], device=plays.device)
    heard = model.hear(at_half_the_rate(audio.stft(batch["mix"], N_FFT, HOP), batch["mix"].shape[-1]),
                       **({"spoiled": True} if spoiled else {}))
    return losses.contrastive(heard, model.read(asked.pooled.to(heard))[which], model.scale,
                              which[:, None] == which).mean()


def transcription(model, batch: dict, cfg: Config):
    """hung2021 Eq. 4; of a classifier, one answer for each clip (Eq. 1)."""
    roll = pooled(batch["roll"]) if cfg.stage == "classifier" else batch["roll"]
    return hung2021.transcription(model, {"X": magnitude(batch["mix"]), "roll": roll}, cfg)


def supervised(model, batch: dict, cfg: Config):
    """Distance to the stems, of the clips that have them."""
    n = len(batch["sources"])
    return hung2021.supervised(model, {"X": magnitude(batch["mix"][:n]), "S": magnitude(batch["sources"])}, cfg)


def judged(model, batch: dict, cfg: Config, judge):
    """hung2021 Eq. 8, with the notes that the row has; and `apart`, or the distance to stems, where a row has it."""
    X, roll = magnitude(batch["mix"]), batch["roll"]
    if cfg.notes == "critic":
        with torch.no_grad():
            roll = judge.detect(X).to(X)
    if cfg.target == "activity":
        roll = pooled(roll)
    value = hung2021.separation(model(X) * X[:, None], {"X": X, "roll": roll}, cfg, judge)
    if "sources" in batch:
        value = value + supervised(model, batch, cfg)
    return value + apart(model, batch, cfg) if "other" in batch else value


# Training

def task(cfg: Config, device: str = "auto") -> training.Task | None:
    """Say what a stage trains; nothing for a reference, and for a listener that learns no more."""
    if cfg.stage in ("input", "ideal") or not cfg.plan.steps:
        return None
    model, loss = build(cfg), _loss(cfg, device)
    if cfg.stage == "listener":
        model.load_state_dict(runs.weights_of(cfg.start))
    elif cfg.critic and cfg.critic.stage != "listener":
        hung2021.inherit(model, loss.keywords["judge"])
    validation = corpora.load(cfg.heard, "validation", cfg.preset)
    steady = {"spoiled": False} if "listener" in (cfg.stage, cfg.critic and cfg.critic.stage) else {}
    criterion = partial(loss, cfg=replace(cfg, loss=replace(cfg.loss, overlay=0.0)), **steady)
    return training.Task(model, Clips(cfg, corpora.load(cfg.heard, "train", cfg.preset)), loss, evaluation.Criterion(
        CRITERION, partial(hung2021.objective, batches=list(fixed(validation, cfg)), loss=criterion)))


def _loss(cfg: Config, device: str):
    """What a config learns by: ``loss(model, batch)``."""
    if cfg.stage != "separator":
        return partial(agreement if cfg.stage == "listener" else transcription, cfg=cfg)
    of = {"nothing": unnamed, "apart": apart, "sentence": sentence, "stems": supervised}.get(cfg.learns, judged)
    judge = trained(cfg.critic).to(training.resolve(device)).requires_grad_(False) if cfg.critic else None
    return partial(of, cfg=cfg, **({"judge": judge} if judge else {}))


def fixed(corpus, cfg: Config) -> Iterable[dict]:
    """Batches of the clips of each validation song; what is added to them are those of the song before."""
    before = None
    for items in hung2021.songs(corpus):
        others = None
        if cfg.learns in ADDED and cfg.stage == "separator":
            others = before or list(hung2021.songs(corpus))[-1]
            if cfg.learns != "nothing":
                others = [silence(a) if (played(a["roll"]) & played(b["roll"])).any() else b
                          for a, b in zip(items, others)]
        stems = cfg.learns in ("stems", "critic and stems") and cfg.stage == "separator"
        yield examples(items, others, n_stems=len(items) if stems else 0)
        before = items


def trained(cfg: Config) -> nn.Module:
    """Load the network of a config that was trained before; of a listener that learns no more, what it began with."""
    model = build(cfg)
    model.load_state_dict(runs.weights_of(cfg if cfg.plan.steps else cfg.start))
    return model.eval()


# Scores

def score(model, cfg: Config) -> dict:
    """Score a model on the test split, or None: the mixture, ideal masks, or a listener that learned nothing here.

    Returns
    -------
    dict of str to list of float
        Of a separator and of references ``si_sdr/...`` as `hung2021.score_estimates` has them. Of a transcriptor
        ``frame_f1/<instrument>`` and ``frame_f1/avg``, one value per song, at thresholds chosen on validation, and the
        same of ``onset_f1``. Of a listener and a classifier ``named/<instrument>`` and ``named/avg``, %: of the stems
        that they hear alone, those that they take for what they are.
    """
    test = corpora.load(cfg.corpus, "test", cfg.preset)
    if cfg.stage == "transcriptor":
        hung2021.choose_thresholds(model, corpora.load(cfg.heard, "validation", cfg.preset))
        found = hung2021.score_transcriptor(model, test)
        return averaged({f"frame_f1/{name}": found[f"mixture/frame_f1/{name}"] for name in INSTRUMENTS
                         if f"mixture/frame_f1/{name}" in found}) | averaged(struck(model, test))
    if cfg.stage in ("classifier", "listener"):
        return averaged(named(model or trained(cfg), test))
    return hung2021.score_estimates(test, partial(estimates, model, cfg))


def averaged(scores: dict) -> dict:
    """Add the mean over instruments, of which each counts as much, as one number."""
    kind = next(iter(scores)).split("/")[0]
    return scores | {f"{kind}/avg": [float(np.mean([np.mean(values) for values in scores.values()]))]}


@torch.no_grad()
def estimates(model, cfg: Config, mix, ref):
    """Estimates (clip, source, time) of a song's clips: of the model, or of a reference."""
    if cfg.stage == "ideal":
        return ideal(mix, ref)
    if model is None:
        return mix[:, None].expand_as(ref)
    est = hung2021.each(model, mix, model.separate)
    return fitted(est, ref) if model.n_outputs != ref.shape[1] else est


def ideal(mix, ref):
    """The mixture through ratio masks, the magnitude of each stem over the sum of all."""
    S = magnitude(ref)
    masks = S / S.sum(1, keepdim=True).clamp(min=1e-8)
    return audio.istft(masks * audio.stft(mix, N_FFT, HOP)[:, None], HOP, mix.shape[-1])


def fitted(est, ref):
    """Give each stem the sum of outputs that fits it best over the whole song, by SI-SDR: an oracle.

    An output may serve several stems; all of them together are nearly the mixture, so that no stem fares worse.
    """
    n = est.shape[1]
    sets = torch.tensor(list(product((0.0, 1.0), repeat=n))[1:])  # (set, output), all but the empty one
    sums, stems = (x.transpose(0, 1).flatten(1) for x in (torch.einsum("so,cot->cst", sets, est), ref))
    best = torch.stack([metrics.si_sdr(sums, stem.expand_as(sums)).argmax() for stem in stems])
    return torch.einsum("io,cot->cit", sets[best], est)


@torch.no_grad()
def struck(model, corpus) -> dict:
    """F1 of the notes of mixtures by onset and pitch, ``onset_f1/<instrument>``: one value per song that has some.

    Clips follow each other; a note that goes on in the next clip begins there again, found or true.
    """
    scores: dict[str, list] = {}
    for items in hung2021.songs(corpus):
        rolled = hung2021.transcribed(model, torch.stack([item["mix"] for item in items]))
        rolled = (rolled > model.thresholds.cpu()[:, None, None]).numpy()
        for i, name in enumerate(INSTRUMENTS):
            found, true = [], []
            for k, (item, roll) in enumerate(zip(items, rolled)):
                begin = np.array([k, k, 0]) * len(item["mix"]) / SR
                found.append(rolls.notes(roll[i], SR / HOP) + begin)
                true.append(item["notes"][i][:, :3].numpy() + begin)
            if sum(map(len, true)):
                scores.setdefault(f"onset_f1/{name}", []).append(
                    float(metrics.onset_f1(np.concatenate(found), np.concatenate(true))))
    return scores


@torch.no_grad()
def named(model, corpus) -> dict:
    """Of stems that play in their clip, heard alone: 100 where a critic takes one for what it is, else 0."""
    scores: dict[str, list] = {f"named/{name}": [] for name in INSTRUMENTS}
    for items in hung2021.songs(corpus):
        for item in items:
            plays = played(item["roll"])
            if isinstance(model, Clap):
                x = at_half_the_rate(audio.stft(item["sources"], N_FFT, HOP), item["mix"].shape[-1])
                found = model.hear(x) @ read(model).T
            else:
                found = model(magnitude(item["sources"])).flatten(1)
            for i, name in enumerate(INSTRUMENTS):
                if plays[i]:
                    scores[f"named/{name}"].append(100.0 * (int(found[i].argmax()) == i))
    return {name: values for name, values in scores.items() if values}
