"""Music Transcription with (Almost) No Supervision (Shin et al., 2026).

Claim
-----
Audio and scores that do not belong together teach transcription, if a few pairs say which key is which. A variational
autoencoder turns scores into latents; one generator maps constant-Q spectrograms to latents, another back. What goes
there and back again must arrive as it left, and what arrives must look real to a discriminator. Without any pair the
same losses are as small for a transcription that is off by some semitones; a minute of pairs anchors it.

What we reproduce
-----------------
Tables 1 to 6, with the failure of Figure 3, and the training curves of Figure 5.

Where we differ
---------------
`piano`, `guitar` and `chamber` stand in for MAESTRO, GuitarSet and MusicNet-EM. Unpaired audio is that of a pool, other
pieces that sound otherwise, and unpaired scores are those of the corpus without the paired ones; where both are of one
corpus, they are of different pieces. In the paper the score of every unpaired audio is among the unpaired scores
(`Config.partners`). All audio is at 16 kHz with a hop of 320 samples. Steps are batches; a paired set smaller than a
batch is drawn from with replacement. The reported weights are averaged ones, by F1 on validation.

Trained for minutes, the networks are small and begin with patches instead of pixels (`Net.stem`); a latent has more
frequency positions than the paper's 11, and a spectrogram 88 bins. The weights of the paired losses as published drown
in the other ones at this length. Either they are raised (`Loss.supervised`, `Loss.reverse`), or the paired losses get
some steps for themselves first (`Config.pre`, `Config.ramp`). The preset ``paper`` has all of that as published.
"""
from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from weaklib import constantq, corpora, evaluation, losses, metrics, runs, scoring, training
from weaklib.files import WeaklibError
from weaklib.keys import keyed
from weaklib.models import VAE, Decoder, Discriminator, Encoder, Pool
from weaklib.rolls import LOWEST, PITCHES
from weaklib.specs import Transcribing

CRITERION = "frame F1 on validation, %"
SR, HOP = 16000, 320  # 50 frames per second
DRAW = 42  # random seed of which chunks are paired


@dataclass(frozen=True)
class Net:
    """Size of a convolutional encoder, or of the decoder that undoes it; axes are (time, frequency)."""

    widths: tuple[int, ...] = (32, 32, 64, 64, 128, 256)  # channels after the stem and after each stage
    strides: tuple[tuple[int, int], ...] = ((2, 2), (2, 2), (2, 2), (1, 2), (1, 2))  # by stage; (1, 1): none
    n_blocks: int = 2            # residual blocks per stage
    attention: int = 2           # first stage, from 0, with linear attention
    stem: tuple[int, int] = (1, 1)  # patch that becomes a pixel; (1, 1): a 3 x 3 convolution instead
    middle: bool = False         # blocks and attention after all stages


@dataclass(frozen=True)
class Critic:
    """Size of a multi-scale discriminator; the defaults are those for spectrograms."""

    n_channels: int = 64         # of the first layer, doubled by each further one
    most: int = 128              # channels
    n_layers: int = 3
    n_scales: int = 3
    kernel: tuple[int, int] = (3, 5)
    stride: tuple[int, int] = (2, 2)
    stem: tuple[int, int] = (1, 1)  # patch that becomes a pixel


@dataclass(frozen=True)
class Loss:
    """Weights of the loss terms; the defaults are the published ones."""

    cycle_cqt: float = 5.0
    cycle_latent: float = 5.0
    supervised: float = 1.0      # audio to latent, paired
    reverse: float = 1.0         # latent to audio, paired
    adversarial_cqt: float = 1.0
    adversarial_latent: float = 1.0
    matching: float = 0.1        # of cycle-aware features, times the adversarial weight of its domain
    warmup: int = 500            # steps in which adversarial terms grow from a tenth
    gamma: float = 2.0           # focal loss of the VAE
    alpha: float = 0.75          # and the weight of its notes
    kl: float = 1e-8


@dataclass(frozen=True)
class Config(runs.Config):
    """One model of the paper: the VAE of scores ("vae"), or generators between audio and its latents ("cycle")."""

    paper = "shin2026"
    revision = 1

    stage: Literal["vae", "cycle"] = "cycle"
    corpus: str = "piano"        # paired chunks, validation, test
    also: str = ""               # another corpus to test on, such as "guitar"; "": none
    audio: str = "piano_pool"    # where unpaired audio comes from
    scores: str = "piano"        # where unpaired scores come from: not the paired ones
    guest: str = ""              # another corpus of unpaired audio
    guest_share: float = 0.5     # of the unpaired audio
    guest_scores: bool = keyed(False, absent=False)  # whether it has that share of the unpaired scores, of other pieces
    preset: str = "laptop"       # of the corpora
    instruments: int = 1         # channels of the score; with 1, of all instruments together

    paired: float = 0.01         # share of the corpus' training chunks; 0: no pair
    audio_share: float = 1.0     # of the pool's chunks; 0: of the paired ones only
    scores_share: float = 1.0    # likewise; both 0: paired only
    partners: bool = False       # whether the score of unpaired audio may be among the unpaired scores
    shift: int = 0               # semitones by which the paired scores are wrong: plants the failure of Figure 3
    pre: int = 0                 # steps of the paired terms alone
    ramp: int = 0                # steps after that, in which all others grow to their weights
    release: int | None = None   # step from which the paired terms no longer count; None: never

    bins_per_octave: int = 48    # of the constant-Q transform: 352 bins
    n_frames: int = 256          # per chunk, 5.12 s
    batch: int = 64              # unpaired chunks, and paired ones, per step
    pool: int = 128              # earlier fakes of each domain
    vae_net: Net = field(default_factory=lambda: Net(
        (64, 64, 128, 128, 128), ((2, 2), (2, 2), (2, 2), (1, 1)), attention=0, middle=True))
    z_channels: int = 8
    generator: Net = field(default_factory=Net)
    critic_cqt: Critic = field(default_factory=Critic)
    critic_latent: Critic = field(default_factory=lambda: Critic(n_layers=5, n_scales=2, kernel=(3, 3), stride=(1, 1)))
    loss: Loss = field(default_factory=Loss)
    plan: training.Plan = field(default_factory=lambda: training.Plan(
        steps=1_000_000, lr=2e-4, warmup=2000, weight_decay=0.01, clip=1.0, betas=(0.9, 0.99), validate_every=1000,
        precision="bf16-mixed"))
    vae: Config | None = None    # the VAE whose latents the generators learn

    def __post_init__(self):
        super().__post_init__()
        if self.stage == "cycle" and not self.paired and not (self.audio_share and self.scores_share):
            raise WeaklibError("Without pairs there must be unpaired audio and scores; raise paired, or both "
                               "audio_share and scores_share.")
        if self.release is not None and not self.unpaired:
            raise WeaklibError("After the release of the pairs there must be something unpaired; raise audio_share "
                               "or scores_share, or leave release None.")

    def corpora(self):
        names = {self.corpus, self.scores} | ({self.audio, self.guest, self.also} if self.stage == "cycle" else set())
        return [corpora.identity(name, self.preset) for name in sorted(names - {""})]

    def needs(self):
        return [self.vae] if self.vae else []

    @property
    def unpaired(self) -> bool:
        """Whether anything is learned from what is unpaired."""
        return self.audio_share > 0 or self.scores_share > 0

    @property
    def transform(self) -> constantq.ConstantQ:
        return constantq.ConstantQ(self.bins_per_octave, SR, HOP)


# Networks

class Cycle(nn.Module):
    """Generators between spectrograms and latents, their discriminators, and the VAE, which learns no more.

    Spectrograms are ``(batch, 1, frame, bin)``, scores ``(batch, instrument, frame, pitch)``, latents in between.
    """

    def __init__(self, cfg: Config):
        super().__init__()
        if cfg.vae is None:
            raise WeaklibError(f"{cfg.label or 'A cycle'} has no VAE; name the row that trains one in its `starts`.")
        z, n_bins = cfg.vae.z_channels, cfg.transform.n_bins
        latent = shrunk(cfg.vae.vae_net, cfg.n_frames, PITCHES)
        if shrunk(cfg.generator, cfg.n_frames, n_bins) != latent:
            raise WeaklibError(f"The generators make latents of {shrunk(cfg.generator, cfg.n_frames, n_bins)}, the VAE "
                               f"of {latent} frames and frequencies; change the strides or the stem of one.")
        self.n_frames, self.transform = cfg.n_frames, cfg.transform
        self.to_latent = Encoder(1, z, **asdict(cfg.generator))
        self.to_cqt = Decoder(z, 1, **asdict(cfg.generator))
        self.critic_cqt = Discriminator(1, **asdict(cfg.critic_cqt))
        self.critic_latent = Discriminator(z, **asdict(cfg.critic_latent))
        self.vae = build(cfg.vae).requires_grad_(False)
        self.pool_cqt = Pool(cfg.pool, (1, cfg.n_frames, n_bins))
        self.pool_latent = Pool(cfg.pool, (z, *latent))

    def heard(self, z):
        """Spectrograms of latents."""
        return self.to_cqt(z).tanh()

    def forward(self, cqt):
        """Logits of the notes."""
        return self.vae.decode(self.to_latent(cqt))

    def generators(self):
        return [*self.to_latent.parameters(), *self.to_cqt.parameters()]

    def critics(self):
        return [*self.critic_cqt.parameters(), *self.critic_latent.parameters()]


def shrunk(net: Net, n_frames: int, n_rows: int) -> tuple[int, int]:
    """Frames and rows that an encoder leaves; an error if they are not whole."""
    sizes = []
    for axis, n in enumerate((n_frames, n_rows)):
        factor = net.stem[axis] * math.prod(stride[axis] for stride in net.strides)
        if n % factor:
            raise WeaklibError(f"{n} {('frames', 'rows')[axis]} cannot be divided by {factor}; change n_frames, "
                               "bins_per_octave, or the strides or stem of the network.")
        sizes.append(n // factor)
    return tuple(sizes)


def build(cfg: Config) -> nn.Module:
    """Make the network of a stage."""
    return VAE(cfg.instruments, cfg.z_channels, **asdict(cfg.vae_net)) if cfg.stage == "vae" else Cycle(cfg)


# Data

class Chunks:
    """A split cut into chunks, one after the other; what is left of a piece is dropped.

    Attributes
    ----------
    at : list of (int, int)
        Piece and first frame of every chunk.
    """

    def __init__(self, name: str, split: str, cfg: Config, heard: bool = True):
        corpus, self.n_frames = corpora.load(name, split, cfg.preset), cfg.n_frames
        self.rolls = [_together(corpus.roll(i), cfg.instruments, name) for i in range(corpus.pieces)]
        lengths = [roll.shape[1] for roll in self.rolls]
        if heard:
            self.frames, self.ends = constantq.stored(corpus, cfg.transform)
            lengths = np.minimum(lengths, np.diff(self.ends))
        self.at = [(piece, start) for piece, n in enumerate(lengths)
                   for start in range(0, int(n) - self.n_frames + 1, self.n_frames)]
        if not self.at:
            raise WeaklibError(f"No piece of {name} has {self.n_frames} frames; lower n_frames.")

    def __len__(self):
        return len(self.at)

    def cqt(self, i: int) -> torch.Tensor:
        """Spectrogram of a chunk, (1, frame, bin), in [-1, 1]."""
        piece, start = self.at[i]
        first = self.ends[piece] + start
        return torch.from_numpy(self.frames[first:first + self.n_frames].astype(np.float32))[None]

    def score(self, i: int, shift: int = 0) -> torch.Tensor:
        """Score of a chunk, moved by semitones: (instrument, frame, pitch), -1 or 1."""
        piece, start = self.at[i]
        roll = metrics.moved(self.rolls[piece][:, start:start + self.n_frames].swapaxes(1, 2), shift).swapaxes(1, 2)
        return torch.from_numpy(np.where(roll, np.float32(1), np.float32(-1)))


def _together(roll, instruments: int, name: str) -> np.ndarray:
    """(instrument, pitch, frame) -> (instrument, frame, pitch), all in one where only one is asked for."""
    roll = roll.any(0, keepdims=True) if instruments == 1 else roll
    if len(roll) != instruments:
        raise WeaklibError(f"{name} has {len(roll)} instruments; set instruments to that, or to 1 for all together.")
    return np.ascontiguousarray(roll.swapaxes(1, 2))


def subset(n: int, share: float, *stream: int) -> np.ndarray:
    """Indices of a share of n chunks, one at least, drawn once without replacement; none if the share is 0."""
    if not share:
        return np.array([], dtype=int)
    return np.sort(np.random.default_rng([DRAW, *stream]).permutation(n)[:max(1, round(share * n))])


def paired_of(cfg: Config, train: Chunks) -> np.ndarray:
    """Which of the training chunks are paired."""
    return subset(len(train), cfg.paired, cfg.seed, 0)


class Budget:
    """Which chunks a run learns from.

    Attributes
    ----------
    paired, audio, scores, guest, guest_scores : tuple of Chunks and array of int
        Those with audio and score, and those with one of both; the last two are from elsewhere, or None.
    """

    def __init__(self, cfg: Config):
        train = Chunks(cfg.corpus, "train", cfg)
        chosen = paired_of(cfg, train)
        self.paired, self.guest, self.guest_scores = (train, chosen), None, None
        if not cfg.unpaired:
            return
        pools = [train if name == cfg.corpus else Chunks(name, "train", cfg, heard)
                 for name, heard in ((cfg.audio, True), (cfg.scores, False))]
        if cfg.audio == cfg.scores:
            pools[1] = pools[0]
        free = [self._free(chunks, side, cfg, chosen if chunks is train else ()) for side, chunks in enumerate(pools)]
        sides = []
        for side, (chunks, found, share) in enumerate(zip(pools, free, (cfg.audio_share, cfg.scores_share))):
            if share and not len(found):
                raise WeaklibError(f"{cfg.label}: no chunk is left that is not paired; lower `paired`, or take the "
                                   "unpaired ones from another corpus.")
            picked = found[subset(len(found), share, cfg.seed, 1 + side)]
            sides.append((chunks, picked) if share else (train, chosen))
        self.audio, self.scores = sides
        if cfg.guest:
            guest = Chunks(cfg.guest, "train", cfg)
            self.guest = guest, np.arange(len(guest))
            if cfg.guest_scores:
                self.guest, self.guest_scores = ((guest, np.flatnonzero(self._half(guest, side, cfg)))
                                                 for side in (0, 1))

    @staticmethod
    def _free(chunks: Chunks, side: int, cfg: Config, taken) -> np.ndarray:
        """Chunks of a pool for one side: not paired, and of pieces which the other side does not have."""
        keep = np.ones(len(chunks), dtype=bool)
        keep[list(taken)] = False
        if cfg.audio == cfg.scores and not cfg.partners:
            keep &= Budget._half(chunks, side, cfg)
        return np.flatnonzero(keep)

    @staticmethod
    def _half(chunks: Chunks, side: int, cfg: Config) -> np.ndarray:
        """Whether each chunk is of the pieces that one side has, of two that share a corpus."""
        order = np.random.default_rng([DRAW, cfg.seed, 3]).permutation(len(chunks.rolls))
        own = set(order[side::2].tolist())
        return np.array([piece in own for piece, _ in chunks.at], dtype=bool)


class Latents:
    """Latents of chosen chunks, sampled anew whenever they are asked for."""

    def __init__(self, vae, chunks: Chunks, chosen, shift: int = 0):
        items = (chunks.score(i, shift) for i in chosen)
        found = [out for _, out in evaluation.each(vae, items, apply=lambda x: torch.stack(vae.encode(x), 1))]
        self.mean, log_variance = torch.stack(found).unbind(1)
        self.spread = (log_variance / 2).exp()

    def __call__(self, k, rng) -> torch.Tensor:
        noise = rng.standard_normal((len(k), *self.mean.shape[1:]), dtype=np.float32)
        return self.mean[k] + self.spread[k] * torch.from_numpy(noise)


class Batches:
    """Batches, a function of the step alone: ``cqt_p`` with its ``z_p``, and ``cqt_u`` and ``z_u`` of other pieces."""

    def __init__(self, cfg: Config, budget: Budget, vae):
        self.cfg, self.budget = cfg, budget
        self.latents = {}
        if cfg.paired:
            self.latents["p"] = Latents(vae, *budget.paired, cfg.shift)
        if cfg.unpaired:
            self.latents["u"] = Latents(vae, *budget.scores)
        if budget.guest_scores:
            self.latents["guest"] = Latents(vae, *budget.guest_scores)

    def __call__(self, step: int) -> dict:
        rng, batch = np.random.default_rng([self.cfg.seed, step]), {}
        paired, unpaired = turns(self.cfg, step)
        if paired:
            chunks, chosen = self.budget.paired
            k = self._some(rng, len(chosen))
            batch |= {"cqt_p": _stacked(chunks, chosen[k]), "z_p": self.latents["p"](k, rng)}
        if unpaired:
            batch["cqt_u"] = self._audio(rng)
            batch["z_u"] = self.latents["u"](self._some(rng, len(self.budget.scores[1])), rng)
            if "guest" in self.latents:
                invited = torch.from_numpy(rng.random(len(batch["z_u"])) < self.cfg.guest_share)
                k = self._some(rng, len(self.budget.guest_scores[1]))
                batch["z_u"][invited] = self.latents["guest"](k, rng)[invited]
        return batch

    def _audio(self, rng):
        chunks, chosen = self.budget.audio
        found = _stacked(chunks, chosen[self._some(rng, len(chosen))])
        if self.budget.guest:
            chunks, chosen = self.budget.guest
            invited = torch.from_numpy(rng.random(len(found)) < self.cfg.guest_share)
            found[invited] = _stacked(chunks, chosen[self._some(rng, len(chosen))])[invited]
        return found

    def _some(self, rng, n: int):
        """Draw a batch from n; with replacement only if there are fewer."""
        return rng.choice(n, self.cfg.batch, replace=n < self.cfg.batch)


def _stacked(chunks: Chunks, indices) -> torch.Tensor:
    return torch.stack([chunks.cqt(i) for i in indices])


def turns(cfg: Config, step: int) -> tuple[bool, bool]:
    """Whether a step learns from what is paired, and from what is not."""
    paired = cfg.paired > 0 and (cfg.release is None or step < cfg.release)
    return paired, cfg.unpaired and step >= begin(cfg)


def begin(cfg: Config) -> int:
    """First step that learns from what is not paired: no step learns from nothing."""
    if not cfg.paired:
        return 0
    return cfg.pre if cfg.release is None else min(cfg.pre, cfg.release)


class Scores:
    """Batches of scores for the VAE, a function of the step alone."""

    def __init__(self, cfg: Config):
        names = dict.fromkeys((cfg.corpus, cfg.scores))
        self.cfg, self.parts = cfg, [Chunks(name, "train", cfg, heard=False) for name in names]
        self.items = [(part, i) for part in self.parts for i in range(len(part))]

    def __call__(self, step: int) -> dict:
        rng = np.random.default_rng([self.cfg.seed, step])
        chosen = rng.choice(len(self.items), self.cfg.batch, replace=len(self.items) < self.cfg.batch)
        return {"score": torch.stack([self.items[k][0].score(self.items[k][1]) for k in chosen])}


# Losses

def reconstruction(vae: VAE, batch: dict, cfg: Config):
    """Focal loss of the reconstructed score, and the divergence of its latent, mean over the batch."""
    score, loss = batch["score"], cfg.loss
    mean, log_variance = vae.encode(score)
    logits = vae.decode(mean + (log_variance / 2).exp() * torch.randn_like(mean))
    value = losses.focal(logits, score, gamma=loss.gamma, alpha=loss.alpha)
    return (value + loss.kl * losses.divergence(mean, log_variance)).mean()


def generation(model: Cycle, batch: dict, cfg: Config):
    """The turn of the generators; hands the fakes on to the discriminators.

    ``w(t) [A_z + A_C + 0.1 (FM_z + FM_C)] + 5 |G_sc(G_cs(C)) - C| + 5 |G_cs(G_sc(z)) - z| + |G_cs(C_p) - z_p|
    + |G_sc(z_p) - C_p|``, means of absolute values; the weights are those of `Loss`. The discriminators judge fakes,
    and compare what was given with what comes back from the cycle.
    """
    loss, step, value, made, terms = cfg.loss, batch["step"], 0.0, {}, {}
    paired, unpaired = "cqt_p" in batch, "cqt_u" in batch
    # Three calls do: what of a batch needs the same generator at the same time goes through it together.
    latent = model.to_latent(_joined(batch, "cqt"))
    n = len(batch["cqt_u"]) if unpaired else 0
    z_fake, z_est = latent[:n], latent[n:]
    heard = model.heard(torch.cat([z_fake, _joined(batch, "z")]))
    cqt_back, cqt_fake, cqt_est = heard[:n], heard[n:2 * n], heard[2 * n:]
    if paired:
        terms |= {"supervised": F.l1_loss(z_est, batch["z_p"]), "reverse": F.l1_loss(cqt_est, batch["cqt_p"])}
        value = value + loss.supervised * terms["supervised"] + loss.reverse * terms["reverse"]
    if unpaired:
        z_back = model.to_latent(cqt_fake)
        terms |= {"audio cycle": F.l1_loss(cqt_back, batch["cqt_u"]), "score cycle": F.l1_loss(z_back, batch["z_u"])}
        cycles = loss.cycle_cqt * terms["audio cycle"] + loss.cycle_latent * terms["score cycle"]
        game = 0.0
        for name, weight, critic, fake, back, real in (
                ("audio critic", loss.adversarial_cqt, model.critic_cqt, cqt_fake, cqt_back, batch["cqt_u"]),
                ("score critic", loss.adversarial_latent, model.critic_latent, z_fake, z_back, batch["z_u"])):
            if weight:
                terms[name] = fooling(critic, fake, back, real, loss.matching)
                game = game + weight * terms[name]
        since = step - begin(cfg)
        value = value + losses.grown(since, cfg.ramp, 0.0) * (cycles + losses.grown(since, loss.warmup) * game)
        made = {"cqt_fake": cqt_fake, "z_fake": z_fake}
    return value, made | {"terms": terms}


def _joined(batch: dict, name: str):
    """What is unpaired in a batch and then what is paired."""
    return torch.cat([batch[key] for key in (f"{name}_u", f"{name}_p") if key in batch])


def fooling(critic, fake, back, real, weight: float):
    """A and FM of a domain, mean over the batch: fakes look real, and what comes back looks like what was given."""
    judgements, features = critic(torch.cat([fake, back]))
    n = len(fake)
    value = losses.judged([scale[:n] for scale in judgements], 1.0)
    if weight:
        with torch.no_grad():
            wanted = critic(real)[1]
        value = value + weight * losses.matching([[x[n:] for x in scale] for scale in features], wanted)
    return value.mean()


def judgement(model: Cycle, batch: dict, cfg: Config):
    """The turn of the discriminators: real is 1, and fakes, some of them from earlier steps, are 0."""
    if "cqt_fake" not in batch:  # nobody plays yet; they need a loss nevertheless
        return 0.0 * sum(scale.head.bias.sum() for critic in (model.critic_cqt, model.critic_latent)
                         for scale in critic.scales)
    value = 0.0
    for critic, pool, real, fake in ((model.critic_cqt, model.pool_cqt, batch["cqt_u"], batch["cqt_fake"]),
                                     (model.critic_latent, model.pool_latent, batch["z_u"], batch["z_fake"])):
        judgements, _ = critic(torch.cat([real, pool(fake)]))
        n = len(real)
        value = value + (losses.judged([scale[:n] for scale in judgements], 1.0)
                         + losses.judged([scale[n:] for scale in judgements], 0.0)).mean()
    return value


# Scores

def predictions(model, chunks: Chunks, chosen=None) -> tuple[torch.Tensor, torch.Tensor]:
    """What a model finds in chunks and what there is: bool, shape=(chunk, instrument, pitch, frame)."""
    chosen = range(len(chunks)) if chosen is None else chosen
    take = chunks.score if isinstance(model, VAE) else chunks.cqt
    est = torch.stack([out > 0 for _, out in evaluation.each(model, chosen, take=take)])
    return est.mT, torch.stack([chunks.score(i) > 0 for i in chosen]).mT


def framed(est, ref) -> dict:
    """Frame F1 of rolls (chunk, instrument, pitch, frame), whoever plays; see `score`."""
    est, ref = est.any(1), ref.any(1)
    return {"frame_f1": [100 * metrics.pooled_f1(est, ref)],
            "frame_f1_chunks": (100 * metrics.chunk_f1(est, ref)).tolist()}


def transcribed(est, ref) -> dict:
    """All scores of rolls (chunk, instrument, pitch, frame); see `score`."""
    f1, shift = metrics.best_shift(est.any(1), ref.any(1))
    scores = framed(est, ref) | {"best_shift": [shift], "best_shift_f1": [100 * f1]}
    if est.shape[1] > 1:
        scores |= {f"multi_inst_frame_f1{name}": [100 * metrics.instrument_f1(est, ref, average)]
                   for name, average in (("", "micro"), ("_active", "active"), ("_released", "released"))}
    return scores


def score(model, cfg: Config) -> dict:
    """Score a model on the test split, at the threshold 0.5.

    Returns
    -------
    dict of str to list of float
        ``frame_f1``, %: one number, of the whole split; ``frame_f1_chunks``, %: per chunk, by the released formula;
        ``best_shift`` (semitones) and ``best_shift_f1`` (%), see `metrics.best_shift`; with several instruments
        ``multi_inst_frame_f1``, ``multi_inst_frame_f1_active`` and ``multi_inst_frame_f1_released``, see
        `metrics.instrument_f1`, while the others are of all of them together. Of generators all of that also on the
        other corpus, as ``frame_f1/also``, and the first two on validation and on the pairs, as
        ``frame_f1/validation`` and ``frame_f1/train``.
    """
    heard = cfg.stage == "cycle"
    scores = transcribed(*predictions(model, Chunks(cfg.corpus, "test", cfg, heard)))
    if not heard:
        return scores
    if cfg.also:
        scores |= scoring.on("also", transcribed(*predictions(model, Chunks(cfg.also, "test", cfg))))
    scores |= scoring.on("validation", framed(*predictions(model, Chunks(cfg.corpus, "validation", cfg))))
    if cfg.paired:
        train = Chunks(cfg.corpus, "train", cfg)
        scores |= scoring.on("train", framed(*predictions(model, train, paired_of(cfg, train))))
    return scores


def _together_f1(est, ref) -> float:
    return float(metrics.pooled_f1(est.any(1), ref.any(1)))


# Training

def task(cfg: Config, device: str = "auto") -> training.Task:
    """Say what a stage trains."""
    model, heard = build(cfg), cfg.stage == "cycle"
    validation = Chunks(cfg.corpus, "validation", cfg, heard)
    criterion = evaluation.Criterion(CRITERION, lambda m: 100 * _together_f1(*predictions(m, validation)))
    if not heard:
        return training.Task(model, Scores(cfg), partial(reconstruction, cfg=cfg), criterion)
    model.vae.load_state_dict(runs.weights_of(cfg.vae))
    budget = Budget(cfg)
    draw = Batches(cfg, budget, model.vae.to(training.resolve(device)))
    players = [training.Player("generators", model.generators(), partial(generation, cfg=cfg)),
               training.Player("discriminators", model.critics(), partial(judgement, cfg=cfg))]
    return training.Task(model, draw, players if cfg.unpaired else players[:1], criterion)


# Anybody's audio

def _transcribe(network: Cycle, x):
    """Values of one piece after the other, (batch, time) -> (batch, 1, pitch, frame): 2 p - 1 of every note.

    Pieces overlap by half, and are faded into each other: at its ends a network knows only one side of a note.
    """
    n_frames, n, half = x.shape[-1] // HOP + 1, network.n_frames, network.n_frames // 2
    found = np.stack([network.transform(np.pad(one, (0, HOP))) for one in x.cpu().numpy()])[:, :n_frames]
    n_pieces = max(1, -(-(n_frames - half) // half))
    found = np.pad(found, ((0, 0), (0, (n_pieces + 1) * half - n_frames), (0, 0)), constant_values=-1)
    pieces = torch.from_numpy(found).to(x.device).unfold(1, n, half).mT  # (batch, piece, frame, bin)
    logits = network(pieces.flatten(0, 1)[:, None]).unflatten(0, (len(x), n_pieces))
    ramp = torch.arange(n, device=x.device) + 0.5
    fade = torch.minimum(ramp, n - ramp)[:, None]
    added = logits.new_zeros(len(x), 1, (n_pieces + 1) * half, logits.shape[-1])
    weight = logits.new_zeros((n_pieces + 1) * half, 1)
    for k in range(n_pieces):
        added[:, :, k * half:k * half + n] += fade * logits[:, k]
        weight[k * half:k * half + n] += fade
    return ((added / weight)[:, :, :n_frames] / 2).tanh().mT


TRANSCRIBING = Transcribing(
    about="For the notes of solo piano. Trained on sampled instruments, with few of their scores.", sr=SR,
    block=1024 * HOP, window=2048, hop=HOP, outputs={"piano": 0}, lowest=LOWEST, apply=_transcribe,
    fits=lambda config: config["stage"] == "cycle" and config["instruments"] == 1)
