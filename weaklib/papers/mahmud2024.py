"""Weakly-supervised Audio Separation via Bi-modal Semantic Similarity (Mahmud et al., ICLR 2024).

Claim
-----
A separator that is asked in words learns from mixtures and their descriptions alone. Mix-and-separate adds mixtures up
and asks for each of them again by its description (Eq. 2); but then it never hears a question about a single sound,
which is what users ask. So it is asked about the single sounds, too: what it answers must agree with the question, as
a model of audio and text hears it (Eq. 3), and the answers must add up to the mixture (Eq. 5). That nearly reaches what
learning from single sounds reaches, and with a few of those it surpasses it.

What we reproduce
-----------------
Tables 1, 2 and 7 to 16, Figures 1, 6 and 7, and claims m01 to m14; beyond the paper, SIR, SAR and SI-SDR beside SDR,
questions about sounds that are not there, and how the quality of the audio-text model shows in the separation.

Where we differ
---------------
`instruments` replaces MUSIC-21, `events` VGGSound and `captions` AudioCaps. The audio-text model is a small one that
the kit trains on a corpus of its own, disjoint from the other in scores, voices and phrases, and for six of the 21
classes in presets of the SoundFont, too; its text side reads MiniLM vectors. Pictures are drawn, not filmed. The
network is the paper's but small, on a spectrogram with fewer rows towards high frequencies (`Config.rows`), and scaled
by its level; the question scales and shifts its lowest levels (`Net.film`), in rows without attention, too. LASS-Net is
this network without blocks, not its own. Trained for minutes, the full loss needs a start from a model that had the
first loss alone (`Config.start`), an audio-text model that has heard masked and noisy sound, as it then hears while it
teaches (`Config.augment`), and items of one class as positives of each other (`Loss.positives`). The classifier that
CoSep trains along learns from mixtures (`Loss.teacher`): one that learns from what is separated, as published, soon
agrees with the separator on a code. Questions about mixtures are centred by their own mean where a language model that
knows no sounds reads them (`Config.by_kind`). The preset ``paper`` has none of that.
"""
from __future__ import annotations

import copy
import math
import re
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property, partial
from itertools import combinations, permutations
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from weaklib import audio, corpora, cues, evaluation, keys, listening, losses, metrics, runs, scoring, text, training
from weaklib.corpora import pictures
from weaklib.files import WeaklibError
from weaklib.models import CondUNet, TextEncoder
from weaklib.models.clap import D_SHARED, Clap, Classifier, Shared, attack
from weaklib.models.laion import LaionClap
from weaklib.models.pictures import Sight
from weaklib.models.prompts import PromptEncoder
from weaklib.specs import Separating, phrased

CRITERION = "SI-SDR on validation, dB"
READ = ("clap", "bert", "clip", "lass")  # systems that are asked in words
SEEN = ("image", "sop", "cosep")         # with pictures
BLIND = ("pit", "mixit", "classes")      # not at all
UNTRAINED = ("listened", "moved")  # stages that train nothing: an existing separator is scored
EPOCH = 1360     # steps of the published plan, of which it has 50
LOOKED_AT = 500  # items at most whose pictures say how to centre and scale what is seen
SETS, FEWER = 400, {"smoke": 40}  # different sets of classes that mixtures of a number of sources are made of
N_FRAMES = 3    # pictures per recording
TESTED = {"smoke": 8}  # mixtures per test; 120 elsewhere
ANSWERS = 16    # at once, when a model is scored
LAION_TOKEN, LAION_SHARED = 768, 512  # sizes of what LAION-CLAP makes of texts: of tokens, and of the unit vectors


@dataclass(frozen=True)
class Net:
    """Size of the conditional U-Net; the defaults are the published ones."""

    n_levels: int = 7
    n_channels: int = 64
    most: int = 512
    n_features: int = 32
    n_heads: int = 8
    res: int = 1                 # residual blocks per level, and
    self_attention: int = 1      # attention blocks on the lowest levels (Table 7)
    cross_attention: int = 1
    film: Literal["", "affine"] = ""  # "affine": the lowest levels are also scaled and shifted by the question


@dataclass(frozen=True)
class Loss:
    """Weights of the loss terms (Eq. 6 and 7), and what they are; the defaults are the published ones on MUSIC."""

    contrastive: float = 0.1     # alpha, Eq. 3; of whatever `teacher` has instead of it
    consistency: float = 5.0     # beta, Eq. 5
    reconstruction: float = 10.0 # gamma, Eq. 2
    supervised: float = 5.0      # lambda_s, of the labelled part
    weak: float = 1.0            # lambda_u, of the part without labels
    # of masked magnitudes, or "bce" of binary masks; of PIT also "snr", of what is heard, which MixIT has in any case
    domain: Literal["l1", "bce", "snr"] = "l1"
    # what hears the answers: CLAP, or a classifier, "timbre", trained before, or "concurrent"
    teacher: Literal["clap", "timbre", "concurrent"] = "clap"
    form: Literal["symmetric", "audio_to_text"] = "symmetric"  # of the contrastive loss; the second as released
    positives: bool = False      # whether items of one class are positives of each other
    # what the single questions are asked about; "mom": the mixture of mixtures, as released
    asked: Literal["mixture", "mom"] = "mixture"
    objects: float = 0.05        # of the classes of what CoSep separates
    # whether the bins of distances count by how loud the mixture is, as released, and not alike
    weighted: bool = keys.keyed(True, absent=True)
    # whether what is asked for is 1 / K as loud as it is in the mixture, as released; SDR does not see that
    shrunk_targets: bool = keys.keyed(False, absent=False)
    # of the contrastive loss: the critic's, or learned along with the separator
    temperature: Literal["frozen", "learned"] = keys.keyed("frozen", absent="frozen")
    # weight of the distance between refined questions by name and those that are answered best (OCT++); ours
    refinement: float = keys.keyed(1.0, absent=1.0)


@dataclass(frozen=True)
class Config(runs.Config):
    """One model of the paper: a separator, or one that teaches it."""

    paper = "mahmud2024"
    revision = 1

    # a separator, or "critic" (audio and text), "timbre" (a classifier), "sight" (pictures and text), "prompts" that
    # are learned; or nothing new, but the separator `heard`: "listened" to by a classifier, or "moved", see `moved`
    stage: Literal["separator", "critic", "timbre", "sight", "prompts", "listened", "moved"] = "separator"
    # how a separator is asked, if it is (see `READ`, `SEEN`, `BLIND`); "none": the unprocessed mixture
    system: Literal["clap", "bert", "clip", "lass", "image", "sop", "cosep", "pit", "mixit", "classes",
                    "none"] = "clap"
    corpus: str = "instruments"  # tested on
    mixtures: str = "instruments"  # where the mixtures come from
    singles: str = "instruments"   # where the labelled single sounds come from
    pool: tuple[str, ...] = ("instruments_pool", "events_pool")  # what a critic learns from
    preset: str = "laptop"       # of the corpora
    n_sources: int = 2           # K, in a mixture
    n_mixtures: int = 2          # N, in a mixture of mixtures
    single_share: float = 0.0    # of the recordings: labelled
    mixture_share: float = 1.0   # of the recordings: heard in mixtures alone
    batch: int = 32              # mixtures of mixtures per step
    sr: int = 11025              # Hz
    n_fft: int = 1022
    hop: int = 256
    rows: int = 0                # of the spectrogram that the network sees; 0: all its bins
    scaled: float = 0.0          # RMS at which the network sees a spectrogram; 0: as it is
    crop: int = 0                # samples of a clip that a step hears; 0: all
    augment: bool = False        # whether the critic hears masked and noisy sound
    net: Net = field(default_factory=Net)
    loss: Loss = field(default_factory=Loss)
    plan: training.Plan = field(default_factory=lambda: training.Plan(
        steps=68_000, lr=1e-3, warmup=0, decay="step", drop_every=15 * EPOCH, clip=math.inf, ema=0.0,
        validate_every=EPOCH, precision="bf16-mixed"))
    start: Config | None = None  # the separator to go on from
    reader: Config | None = None  # whose text or picture side reads the questions, or with which SOP and CoSep begin
                                  # to see: of stage "critic" or "sight"
    teacher: Config | None = None  # what hears the answers: of stage "critic" or "timbre"
    prompts: Config | None = None  # whose learned words stand before the names in questions, if not those of Table 6
    length: int = 0              # number of these words, and
    shots: int = 0               # of recordings of each class that tell these words, or what a class is like
    # which questions a separator learns from: names, or "optimal", by name, level or harmonicity, whichever is answered
    # best (OCT); "refined": and adapted to the mixture (OCT++)
    conditions: Literal["names", "optimal", "refined"] = keys.keyed("names", absent="names")
    # whether questions about mixtures are centred by their own mean, and not by that of questions about single sounds
    by_kind: bool = keys.keyed(False, absent=False)
    published: bool = keys.keyed(False, absent=False)  # whether the critic is LAION-CLAP, which learns no more
    # the separator that is listened to or moved, or the unprocessed mixture; without any, single sounds are listened to
    heard: Config | None = keys.keyed(None, absent=None)

    def __post_init__(self):
        super().__post_init__()
        if self.loss.domain == "snr" and self.system != "pit":
            raise WeaklibError(f"Only a separator of system pit has the domain snr, not {self.system}; leave it out.")
        if self.singles == self.mixtures and self.single_share + self.mixture_share > 1 + 1e-9:
            raise WeaklibError(f"single_share {self.single_share} and mixture_share {self.mixture_share} are more than "
                               "all recordings; lower one of them.")
        loss = self.loss
        if self.by_kind and not (self.system in READ and self.conditions == "names"
                                 and (self.start is None or self.start.by_kind)):
            raise WeaklibError("Only a separator that is asked in words, by names, centres questions by kind, and what "
                               "it starts from does, too; leave by_kind out.")
        heard = self.heard
        if self.stage == "moved" and heard and (heard.stage != "separator" or heard.system not in READ or heard.by_kind
                                                or heard.n_sources < 2):
            raise WeaklibError("Only questions of a separator that learned from mixtures, is asked in words and centres"
                               " all questions alike are moved; set heard to such a separator.")
        if self.conditions != "names" and not (
                self.system in READ and self.shots and not self.single_share and loss.contrastive > 0
                and (loss.teacher, loss.asked) == ("clap", "mixture")):
            raise WeaklibError(
                "A separator that chooses among questions is asked in words, learns from mixtures and a critic, and "
                "needs a few recordings that say what classes are like; set conditions to names, or system to one of "
                f"{', '.join(READ)}, shots above 0, single_share to 0, and of the loss teacher to clap, asked to "
                "mixture and contrastive above 0.")

    def corpora(self):
        heard = {self.corpus} | set(self.pool if self.stage in ("critic", "sight") else ())
        heard |= {self.mixtures} if self.mixture_share else set()
        heard |= {self.singles} if self.single_share else set()
        sees = self.system in SEEN or self.stage == "sight"
        drawn = [{"name": "pictures", "version": pictures.VERSION}] if sees else []
        return [corpora.identity(name, self.preset) for name in sorted(heard)] + drawn

    def needs(self):
        return [cfg for cfg in (self.start, self.reader, self.teacher, self.prompts, self.heard) if cfg]

    @property
    def wording(self) -> Config | None:
        """Whose reading of questions a separator has, if it is not that of `weaklib.text`."""
        return self.prompts or (self.reader if self.reader and self.reader.published else None)

    @property
    def sets(self) -> int:
        """Different sets of classes that mixtures of a number of sources are made of, at most."""
        return FEWER.get(self.preset, SETS)

    @property
    def tested(self) -> int:
        """Mixtures that a model is tested on."""
        return TESTED.get(self.preset, 120)


# Questions

class Questions:
    """Descriptions of sounds, as a network reads them: (tokens, lengths, pooled), each by index.

    With `wording`, they are read by LAION-CLAP, or with the words of a config of stage "prompts" before the names.
    """

    def __init__(self, prompts, wording: Config | None = None):
        self.prompts = list(dict.fromkeys(prompts))
        self.index = {prompt: i for i, prompt in enumerate(self.prompts)}
        self.several = torch.tensor([text.several(prompt) for prompt in self.prompts])
        self.padded = wording is not None and wording.published  # the released code attends to the padding, too
        self.read = text.encode(self.prompts) if wording is None else _worded(wording, self.prompts)

    def __call__(self, which) -> dict:
        """Return ``tokens (n, token, 384)``, ``lengths (n,)`` and ``pooled (n, 384)`` of n prompts or their indices,
        and ``several (n,)``, whether they ask for a mixture.
        """
        k = torch.as_tensor([self.index[one] if isinstance(one, str) else int(one) for one in which])
        lengths = self.read.lengths[k]
        tokens = self.read.tokens[k] if self.padded else self.read.tokens[k, :int(lengths.max())]
        return {"tokens": tokens, "lengths": lengths, "pooled": self.read.pooled[k], "several": self.several[k]}


@torch.no_grad()
def _worded(cfg: Config, prompts: list[str]) -> text.Encoded:
    if cfg.published:
        return text.Encoded(*build(cfg).tokens(prompts))
    encoder = PromptEncoder(cfg.length)
    encoder.load_state_dict(runs.weights_of(cfg))
    return text.Encoded(*encoder([_named(prompt) for prompt in prompts]))


def _named(prompt: str) -> str:
    """What a question is about, without the words of Table 6."""
    return re.sub(r"^The sound (mixture )?of ", "", prompt)


@cache
def questions(classes: tuple[str, ...], sizes: tuple[int, ...], wording: Config | None = None, most: int = SETS,
              others: tuple[str, ...] = ()):
    """All that is asked about classes, and `others`: (Questions, dict of size to the sets of so many classes that
    mixtures have, at most `most` of them).
    """
    sets = {size: _sets(classes, size, most) for size in sizes}
    named = [text.prompt(names) for size in sizes for names in sets[size]]
    return Questions([text.prompt([name]) for name in classes] + named + list(others), wording), sets


def _sets(classes, size: int, most: int) -> list[tuple[str, ...]]:
    """Sets of so many classes, `most` of them if there are more."""
    found = list(combinations(classes, size))
    if len(found) > most:
        chosen = np.random.default_rng(size).choice(len(found), most, replace=False)
        found = [found[i] for i in sorted(chosen)]
    return found


def few(corpus, n: int) -> list[list]:
    """The first `n` recordings of each class, each as its items."""
    return [found[:n] for found in corpus.recordings.values()]


@cache
def _powers(name: str, preset: str, shots: int) -> torch.Tensor:
    """What classes are like, by a few recordings: `cues.powers` (class, 3). Two clips of each will do."""
    corpus = corpora.load(name, "train", preset)
    return torch.tensor([cues.powers(torch.stack([corpus[i]["mix"] for one in recordings for i in one[:2]]))
                         for recordings in few(corpus, shots)])


# Data

def recordings_of(corpus, cfg: Config) -> tuple[dict, dict]:
    """Divide the recordings of a training split: class -> item indices of what is labelled, and of what is in mixtures.

    The share is taken of each class, one recording at least, the same whatever the random seed of the run.
    """
    labelled, mixed = {}, {}
    for name, found in corpus.recordings.items():
        order = np.random.default_rng([42, len(found)]).permutation(len(found))
        n = max(1, round(cfg.single_share * len(found))) if cfg.single_share else 0
        m = max(1, round(cfg.mixture_share * len(found))) if cfg.mixture_share else 0
        if n and m and cfg.singles == cfg.mixtures and len(found) > 1:  # rounding leaves no recording in both
            n = min(n, len(found) - 1)
            m = min(m, len(found) - n)
        # From both ends: the shares of a table's rows are nested, and disjoint.
        labelled[name] = [i for k in order[:n] for i in found[k]]
        mixed[name] = [i for k in order[len(order) - m:] for i in found[k]]
    return labelled, mixed


class Moms:
    """Mixtures of mixtures of single sounds, a function of the step alone.

    ``mixtures (batch, n_mixtures, time)``; ``whole (batch, n_mixtures)`` and ``parts (batch, n_mixtures, n_sources)``,
    the questions about each and about what is in it; ``share``, of the same shape as ``parts``, by how much each counts
    in the sum, 1; ``classes``, likewise; with pictures, ``frames (batch, n_mixtures, n_sources, frame, 3, h, w)``; and
    where questions are chosen, ``whole_alike`` and ``parts_alike``, with one more axis, see `cues.alike`.
    """

    def __init__(self, corpus, items: dict, cfg: Config, k: int, stream: int):
        self.corpus, self.items, self.cfg, self.k, self.stream = corpus, items, cfg, k, stream
        there = tuple(corpus.recordings)  # of some classes a data set may have nothing left
        self.power, several = None, [tuple(f"{one} mixture" for one in pair) for pair in cues.QUESTIONS]
        others = () if cfg.conditions == "names" else tuple(one for pair in (*cues.QUESTIONS, *several) for one in pair)
        self.questions, sets = questions(there, tuple(sorted({1, k})), cfg.wording, cfg.sets, others)
        if others:
            self.power = _powers(corpus.name, corpus.preset, cfg.shots)
            self.pairs = {name: [[self.questions.index[one] for one in pair] for pair in pairs]
                         for name, pairs in (("parts", cues.QUESTIONS), ("whole", several))}
        self.sets = sets[k]
        self._apart = np.array([[not set(a) & set(b) for b in self.sets] for a in self.sets])
        number = {name: i for i, name in enumerate(there)}
        self._numbers = [[number[name] for name in names] for names in self.sets]
        self._asked = [self.questions.index[text.prompt(names)] for names in self.sets]
        if k * cfg.n_mixtures > len(there):
            raise WeaklibError(f"{cfg.n_mixtures} mixtures of {k} sources need as many classes, and {corpus.name} has "
                               f"{len(there)}; lower n_sources or n_mixtures.")

    def __call__(self, step: int, n: int) -> dict:
        rng = np.random.default_rng([self.cfg.seed, step, self.stream])
        chosen = [self._disjoint(rng) for _ in range(n)]
        classes = torch.tensor([[self._numbers[s] for s in mom] for mom in chosen])
        picked = [[[int(rng.choice(self.items[name])) for name in self.sets[s]] for s in mom] for mom in chosen]
        gains = torch.from_numpy(rng.uniform(0.5, 1.5, classes.shape).astype(np.float32))
        part = audio.excerpt(rng, self.corpus[picked[0][0][0]]["mix"], self.cfg.crop)
        sources = torch.stack([torch.stack([torch.stack([self.corpus[i]["mix"][part] for i in ids]) for ids in mom])
                               for mom in picked])
        batch = {"mixtures": (gains[..., None] * sources).sum(2) / (self.k * self.cfg.n_mixtures),
                 "whole": torch.tensor([[self._asked[s] for s in mom] for mom in chosen]),
                 "parts": classes,  # the questions about single classes are the first
                 "share": torch.ones(classes.shape), "classes": classes}
        if self.power is not None:
            power = self.power[classes]
            whole = cues.traits(power.sum(2))
            # How loud a mixture is one hears; of what is in it only the usual level is known.
            whole[..., 0] = 10 * batch["mixtures"].square().mean(-1).clamp(min=1e-12).log10()
            batch["whole_alike"] = cues.alike(batch["whole"], whole, self.pairs["whole"])
            batch["parts_alike"] = cues.alike(batch["parts"], cues.traits(power), self.pairs["parts"])
        if self.cfg.system in SEEN:
            batch["frames"] = torch.stack([torch.stack([torch.stack([_frames(self.corpus, i) for i in ids])
                                                        for ids in mom]) for mom in picked])
        return batch

    def _disjoint(self, rng) -> list[int]:
        """Draw sets of classes for a mixture of mixtures that have none in common."""
        while True:
            drawn, left = [], np.arange(len(self.sets))
            for _ in range(self.cfg.n_mixtures):
                if not len(left):
                    break
                drawn.append(int(left[rng.integers(len(left))]))
                left = left[self._apart[drawn[-1], left]]
            else:
                return drawn


class Captioned:
    """Mixtures of captioned recordings, as `Moms`: ``parts`` are the phrases of a caption, as many as `n_sources`.

    A caption with fewer has some of them more than once, and they then share what they count for. Pictures, where they
    are seen, are of the whole recording.
    """

    def __init__(self, corpus, cfg: Config, stream: int):
        self.corpus, self.cfg, self.stream = corpus, cfg, stream
        self.captions = captions_of(corpus.name, corpus.split, corpus.preset)
        self.questions = Questions((one for whole, phrases in self.captions for one in (*phrases, whole)), cfg.wording)

    def __call__(self, step: int, n: int) -> dict:
        rng, k = np.random.default_rng([self.cfg.seed, step, self.stream]), self.cfg.n_sources
        ids = np.stack([rng.choice(len(self.corpus), self.cfg.n_mixtures, replace=False) for _ in range(n)])
        mixtures = torch.stack([torch.stack([self.corpus[int(i)]["mix"] for i in mom]) for mom in ids])
        index, whole, parts, share = self.questions.index, [], [], []
        for i in ids.ravel():
            caption, phrases = self.captions[i]
            turn = [phrases[j % len(phrases)] for j in range(k)]
            whole.append(index[caption])
            parts.append([index[one] for one in turn])
            share.append([1 / turn.count(one) for one in turn])
        parts, share = torch.tensor(parts).reshape(*ids.shape, k), torch.tensor(share).reshape(*ids.shape, k)
        batch = {"mixtures": mixtures / self.cfg.n_mixtures, "whole": torch.tensor(whole).reshape(ids.shape),
                 "parts": parts, "share": share, "classes": parts}
        if self.cfg.system in SEEN:
            seen = torch.stack([_frames(self.corpus, int(i)) for i in ids.ravel()])
            batch["frames"] = seen.unflatten(0, ids.shape)[:, :, None]  # one sequence for all that sounds
        return batch


@cache
def captions_of(name: str, split: str, preset: str) -> list[tuple[str, list[str]]]:
    """Every caption of a split with its phrases."""
    corpus = corpora.load(name, split, preset)
    return [(item["text"], item["phrases"] or text.phrases(item["text"])) for item in corpus]


def _frames(corpus, i: int) -> torch.Tensor:
    return torch.from_numpy(_seen(corpus.name, corpus.split, corpus.preset, i))


@cache
def _seen(name: str, split: str, preset: str, i: int) -> np.ndarray:
    """Pictures of an item, (frame, 3, h, w): of its recording, or where there are several sources, of each in turn."""
    corpus = corpora.load(name, split, preset)
    if hasattr(corpus, "recordings"):
        return pictures.frames(corpus, i, N_FRAMES)
    labels = corpus[i]["labels"]
    if not labels:
        raise WeaklibError(f"Nobody says what item {i} of {name} shows, so that the kit can draw no pictures of it; "
                           "leave out the rows that are shown pictures.")
    return np.stack([pictures.frame(labels[k % len(labels)], corpus.rng(99, i, k)) for k in range(N_FRAMES)])


class Batches:
    """What a separator learns from, a function of the step alone: mixtures, single sounds (``s_...``), or both."""

    def __init__(self, cfg: Config):
        self.cfg, self.parts = cfg, {}
        if cfg.mixture_share:
            corpus = corpora.load(cfg.mixtures, "train", cfg.preset)
            captioned = not hasattr(corpus, "recordings")
            if captioned and cfg.conditions != "names":
                raise WeaklibError(f"{cfg.label} chooses among questions about classes, and {corpus.name} has captions "
                                   "in their place; set conditions to names.")
            self.parts[""] = Captioned(corpus, cfg, 0) if captioned else Moms(
                corpus, recordings_of(corpus, cfg)[1], cfg, cfg.n_sources, 0)
        if cfg.single_share:
            corpus = corpora.load(cfg.singles, "train", cfg.preset)
            self.parts["s_"] = Moms(corpus, recordings_of(corpus, cfg)[0], cfg, 1, 1)

    def __call__(self, step: int) -> dict:
        n = self.cfg.batch // len(self.parts)
        return {prefix + name: value for prefix, part in self.parts.items() for name, value in part(step, n).items()}

    @property
    def questions(self) -> dict[str, Questions]:
        return {prefix: part.questions for prefix, part in self.parts.items()}


class Tests:
    """Mixtures of single sounds to be tested on: ``mix``, ``sources (n_sources, time)``, ``labels``, ``absent`` (a
    class that is not in it), the questions ``asked``, and the item indices ``of`` which it is made.

    Of a corpus of captions: two of its mixtures at a time, which are then the sources.

    Attributes
    ----------
    questions : Questions
        All that may be asked.
    """

    def __init__(self, corpus, n_sources: int, n_items: int, wording: Config | None = None):
        self.corpus, self.n_sources, self.n_items, self.wording = corpus, n_sources, n_items, wording
        self._captioned = not hasattr(corpus, "recordings")

    @cached_property
    def _captions(self):
        return captions_of(self.corpus.name, self.corpus.split, self.corpus.preset)

    @cached_property
    def questions(self):
        if self._captioned:
            return Questions((whole for whole, _ in self._captions), self.wording)
        return questions(tuple(self.corpus.recordings), (1,), self.wording)[0]

    def __len__(self):
        return self.n_items

    def __getitem__(self, i):
        if not 0 <= i < self.n_items:
            raise IndexError(i)
        rng = np.random.default_rng([7, self.n_sources, i])
        if self._captioned:
            ids = [int(k) for k in rng.choice(len(self.corpus), self.n_sources, replace=False)]
            labels = [self._captions[k][0] for k in ids]
            return self._made(ids, labels, labels, None)
        names = rng.choice(list(self.corpus.recordings), self.n_sources + 1, replace=False).tolist()
        ids = [int(rng.choice(np.concatenate(self.corpus.recordings[name]))) for name in names[:-1]]
        return self._made(ids, names[:-1], [text.prompt([name]) for name in names[:-1]], names[-1])

    def _made(self, ids, labels, asked, absent):
        sources = torch.stack([self.corpus[k]["mix"] for k in ids]) / len(ids)
        return {"mix": sources.sum(0), "sources": sources, "labels": labels, "asked": asked, "absent": absent,
                "of": ids}


# Networks

def warp(n_bins: int, rows: int) -> torch.Tensor:
    """Weights (rows, n_bins) that gather bins into rows: one for one up to some frequency, from there logarithmic."""
    low, high = 1.0, float(n_bins)
    for _ in range(60):  # bisection: rows = edge (1 + log(n_bins / edge))
        edge = (low + high) / 2
        low, high = (edge, high) if edge * (1 + math.log(n_bins / edge)) < rows else (low, edge)
    at = np.arange(n_bins) + 0.5
    at = np.where(at < edge, at, edge * (1 + np.log(np.maximum(at, edge) / edge))) - 0.5
    near = np.clip(1 - np.abs(np.clip(at, 0, rows - 1) - np.arange(rows)[:, None]), 0, None)
    return torch.from_numpy(near.astype(np.float32))


def seen(sight: Sight, frames):
    """Unit vectors (batch, d) of what several pictures (batch, frame, 3, h, w) show."""
    return F.normalize(sight.see(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).mean(1), dim=-1)


class Separator(nn.Module):
    """A mixture and a question -> the answer, by a mask on the magnitudes of its spectrogram.

    Questions are a dict of what `Questions` returns, or ``frames (batch, frame, 3, h, w)``, or nothing.
    """

    def __init__(self, cfg: Config):
        super().__init__()
        self.cfg, net = cfg, asdict(cfg.net)
        self.n_fft, self.hop = cfg.n_fft, cfg.hop
        self.n_rows = cfg.rows or cfg.n_fft // 2 + 1
        if cfg.rows:
            self.register_buffer("rows", warp(cfg.n_fft // 2 + 1, cfg.rows), persistent=False)
        self.reader, n_token, n_embedding, n_masks = None, text.SIZE, text.SIZE, 1
        if cfg.system in ("clap", "clip", "image"):
            if not cfg.reader:
                raise WeaklibError(f"{cfg.label} has nothing that reads its questions; name the row that trains it in "
                                   "its `starts`.")
            # Of what reads and hears, or sees, only what is asked stays.
            self.reader, n_embedding = (Sight() if cfg.system == "image" else Shared()).requires_grad_(False), D_SHARED
        if cfg.reader and cfg.reader.published:
            self.reader, n_token, n_embedding = None, LAION_TOKEN, LAION_SHARED
        if cfg.system in ("sop", "cosep"):  # it begins with what `reader` has learned, and learns on
            self.reader, n_embedding = Sight(cfg.net.n_features), cfg.net.n_features
        if cfg.system == "lass":
            self.reader, net["film"] = TextEncoder(n_embedding), "add"
        if cfg.system == "cosep":
            net["film"] = "concat"
        if cfg.system in SEEN:
            n_token = n_embedding  # an embedding is read as a text of one token
        if cfg.system in BLIND:
            n_embedding, net["cross_attention"], net["film"] = 0, 0, ""
            n_masks = {"pit": cfg.n_mixtures, "mixit": cfg.n_mixtures * cfg.n_sources,
                       "classes": len(_classes(cfg))}[cfg.system]
        self.unet = CondUNet(d_token=n_token, d_embedding=n_embedding, n_masks=n_masks,
                             synthesizer=cfg.system not in ("lass", "cosep"), **net)
        self.refiner = None
        if cfg.conditions == "refined":
            self.refiner = nn.Sequential(nn.Linear(n_embedding + self.n_rows, 128), nn.ReLU(),
                                         nn.Linear(128, n_embedding))
            nn.init.zeros_(self.refiner[2].weight)  # a question begins as it is
            nn.init.zeros_(self.refiner[2].bias)
        if cfg.by_kind:
            self.register_buffer("offset", torch.zeros(n_embedding))
        self.register_buffer("centre", torch.zeros(max(1, n_embedding)))
        self.register_buffer("spread", torch.ones(max(1, n_embedding)))
        if cfg.system == "cosep" or cfg.loss.teacher == "concurrent":
            self.timbre = Classifier(len(_classes(cfg)), sr=cfg.sr)
        if cfg.loss.temperature == "learned":
            self.log_scale = nn.Parameter(torch.zeros(()))  # it begins with the critic's, see `task`

    def condition(self, asked: dict):
        """Return tokens, embedding and lengths of questions, as the U-Net takes them."""
        if self.cfg.system == "lass":
            tokens = self.at_unit_scale(asked["tokens"], asked)
            return asked["tokens"], self.reader(tokens, asked["lengths"]), asked["lengths"]
        embedding = self.at_unit_scale(self.embedded(asked), asked)
        if self.cfg.system in SEEN:
            return embedding[:, None], embedding, None
        return asked["tokens"], embedding, None if self.cfg.reader and self.cfg.reader.published else asked["lengths"]

    def at_unit_scale(self, x, asked: dict):
        """Embeddings (batch, d), or tokens (batch, token, d), centred and scaled, see `settle`."""
        centre = self.centre
        if self.cfg.by_kind:
            centre = centre + asked["several"].reshape(-1, *[1] * (x.ndim - 1)) * self.offset
        return (x - centre) / self.spread

    def embedded(self, asked: dict):
        """What is read or seen, as it comes: (batch, n_embedding).

        For LASS-Net (token, d_token): the tokens of all texts, one after the other, without padding.
        """
        if self.cfg.system == "lass":
            return torch.cat([x[:n] for x, n in zip(asked["tokens"], asked["lengths"].tolist())])
        if self.cfg.system == "image":
            return seen(self.reader, asked["frames"])
        if self.cfg.system in SEEN:  # maxima over pictures, as over each
            frames = asked["frames"]
            return self.reader.features(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).amax(1)
        return asked["pooled"] if self.reader is None else self.reader.read(asked["pooled"])

    @torch.no_grad()
    def settle(self, single: dict, several: dict | None = None) -> None:
        """Centre and scale what is read or seen, over the questions about single sounds.

        With `by_kind`, questions about mixtures (`several`) get a centre of their own; their scale is the same.
        """
        found = self.embedded(single)
        self.centre.copy_(found.mean(0))
        self.spread.copy_(found.std(0).mean().clamp(min=1e-6).expand_as(self.spread))
        if several:
            self.offset.copy_(self.embedded(several).mean(0) - self.centre)

    def spectrum(self, x):
        """Spectra (..., freq, frame), of whole hops: the last frame repeats the one before it in the mask."""
        return audio.stft(x, self.n_fft, self.hop)

    def rows_of(self, magnitude):
        """What the network sees (batch, row, frame) of magnitudes (batch, freq, frame): an even number of frames."""
        n_frames = magnitude.shape[-1]
        seen = magnitude[..., :n_frames - 1] if n_frames % 2 else magnitude
        if self.cfg.rows:
            seen = self.rows @ seen
        if self.cfg.scaled:
            seen = self.cfg.scaled * seen / seen.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-8)
        return seen.log1p()

    def refined(self, embedding, seen):
        """Embeddings (batch, n_embedding) of questions about what is seen, adapted to it if there is a refiner."""
        if self.refiner is None:
            return embedding
        return embedding + self.refiner(torch.cat([embedding, seen.mean(-1)], 1))

    def logits(self, magnitude, asked: dict | None):
        """Logits of masks (batch, n_masks, freq, frame) on magnitudes (batch, freq, frame)."""
        seen = self.rows_of(magnitude)
        tokens, embedding, lengths = (None, None, None) if asked is None else self.condition(asked)
        out = self.unet(seen[:, None], tokens, self.refined(embedding, seen), lengths)
        if self.cfg.rows:
            out = self.rows.T @ out
        return F.pad(out, (0, magnitude.shape[-1] - out.shape[-1], 0, 0), mode="replicate")

    def forward(self, mix, asked: dict | None = None):
        """Answers (batch, n_masks, time) about mixtures (batch, time)."""
        X = self.spectrum(mix)
        return self.sound(self.logits(X.abs(), asked).sigmoid() * X[:, None], mix.shape[-1])

    def sound(self, X, length: int):
        return audio.istft(X, self.hop, length)


def build(cfg: Config) -> nn.Module:
    """Make the network of a stage."""
    if cfg.stage == "critic":
        return LaionClap(sr=cfg.sr) if cfg.published else Clap(sr=cfg.sr)
    if cfg.stage == "timbre":
        return Classifier(len(_classes(cfg)), sr=cfg.sr)
    if cfg.stage == "sight":
        return Sight()
    if cfg.stage == "prompts":
        return PromptEncoder(cfg.length)
    return build(cfg.heard) if cfg.stage in UNTRAINED else Separator(cfg)


def _classes(cfg: Config) -> tuple[str, ...]:
    return tuple(corpora.load(cfg.mixtures, "train", cfg.preset).recordings)


# Losses

class Lesson:
    """The loss of a separator: what it learns from a batch, and from whom.

    Parameters
    ----------
    cfg : Config
    questions : dict of str to Questions
        By the part of the batch, see `Batches`.
    teacher : Module or None
        That hears the answers; it learns no more.
    """

    def __init__(self, cfg: Config, questions: dict[str, Questions], teacher: nn.Module | None):
        self.cfg, self.questions, self.teacher = cfg, questions, teacher

    def __call__(self, model: Separator, batch: dict):
        loss = self.cfg.loss
        parts = {prefix: self.weak(model, batch, prefix) for prefix in self.questions}
        if len(parts) == 1:
            value, terms = next(iter(parts.values()))
            return value, {"terms": terms}
        # Eq. 7: of the labelled part the reconstruction alone
        (single, of_single), (mixed, of_mixed) = parts["s_"], parts[""]
        terms = of_mixed | {f"{name}, single sounds": x for name, x in of_single.items()}
        return loss.supervised * single / max(loss.reconstruction, 1e-8) + loss.weak * mixed, {"terms": terms}

    def weak(self, model: Separator, batch: dict, prefix: str):
        """The total loss of a part of a batch (Eq. 6), a mean over it, and its terms without their weights."""
        cfg, loss = self.cfg, self.cfg.loss
        mixtures = batch[f"{prefix}mixtures"]
        if cfg.system == "mixit" or (cfg.system, loss.domain) == ("pit", "snr"):
            invariant = losses.mixit if cfg.system == "mixit" else losses.pit
            return invariant(model(mixtures.sum(1)), mixtures)[0].mean(), {}
        n_batch, n_mix, k = batch[f"{prefix}parts"].shape
        X = model.spectrum(mixtures)
        if cfg.scaled:
            X = X / X.sum(1).abs().square().mean((1, 2)).sqrt().clamp(min=1e-8)[:, None, None, None]
        size, mom = X.abs(), X.sum(1).abs()
        if cfg.system == "pit":
            return self.permuted(model.logits(mom, None), size, mom), {}
        if cfg.system == "classes":
            parts = batch[f"{prefix}parts"].flatten(0, 1)
            return self.classified(model, X.flatten(0, 1), parts, mixtures.shape[-1]), {}
        if cfg.system == "cosep":
            return self.objects(model, batch, prefix, X, mom), {}
        teaches = loss.contrastive > 0 and (prefix == "" or len(self.questions) == 1)
        single = k > 1 and (teaches or loss.consistency > 0)
        whole_of_mom = mom.repeat_interleave(n_mix, 0)                  # (batch * n_mix, freq, frame)
        about = (mom[:, None].expand_as(size) if loss.asked == "mom" else size).flatten(0, 1).repeat_interleave(k, 0)
        heard, n_whole = [whole_of_mom], n_batch * n_mix
        if not loss.reconstruction and single:
            heard, n_whole = [], 0
        ref = size.flatten(0, 1) / (k if loss.shrunk_targets else 1)
        mixed, asked = torch.cat(heard + [about] * single), self.asked(batch, prefix, n_whole > 0, single)
        of, terms, value = None, {}, 0.0
        if teaches:  # the spectra that answers about single sounds are parts of
            of = (X.sum(1)[:, None].expand_as(X) if loss.asked == "mom" or not single else X).flatten(0, 1)
            of = of.repeat_interleave(k, 0)
        if cfg.conditions != "names":
            by_name, (asked, shares) = asked, self.best(model, batch, prefix, mixed, ref[:n_whole], of)
            terms |= shares
            if cfg.conditions == "refined":
                terms["refinement"] = self.refinement(model, mixed, by_name, asked)
                value = value + loss.refinement * terms["refinement"]
        logits = model.logits(mixed, asked)[:, 0]
        whole, parts = logits[:n_whole], logits[n_whole:]
        if n_whole and loss.reconstruction:
            terms["URL"] = self.distance(whole, ref, whole_of_mom).mean()
            value = value + loss.reconstruction * terms["URL"]
        if single and loss.consistency:
            share = batch[f"{prefix}share"].flatten(0, 1)[..., None, None]
            added = (share * (parts.sigmoid() * about).unflatten(0, (-1, k))).sum(1)
            terms["CRL"] = losses.weighted_l1(added, ref, self.weight(ref)).mean()
            value = value + loss.consistency * terms["CRL"]
        if teaches:
            est = model.sound((parts if single else whole).sigmoid() * of, mixtures.shape[-1])
            terms["CNT"] = self.taught(model, est, batch, prefix)
            value = value + loss.contrastive * terms["CNT"]
        return value, terms

    def asked(self, batch: dict, prefix: str, whole: bool, single: bool) -> dict:
        """Questions about mixtures, about what is in them, or both, one after the other."""
        if f"{prefix}frames" in batch:
            frames = batch[f"{prefix}frames"]
            return {"frames": frames.flatten(2, 3).flatten(0, 1)}
        return self.read(prefix, torch.cat([batch[f"{prefix}{name}"].flatten() for name, on in (
            ("whole", whole), ("parts", single)) if on]))

    def read(self, prefix: str, which) -> dict:
        """Questions by their indices, on the device of these."""
        return {name: x.to(which.device) for name, x in self.questions[prefix](which.tolist()).items()}

    @torch.no_grad()
    def best(self, model: Separator, batch: dict, prefix: str, mixed, ref, of) -> tuple[dict, dict]:
        """Of the questions that should mean the same sound, the one that is answered best (OCT).

        An answer about a mixture is judged by its distance to the mixture (Eq. 2); a single sound has no reference, so
        that the critic judges how well the answer fits its name.

        Parameters
        ----------
        mixed : Tensor, (n_whole + n_single, freq, frame)
            Magnitudes that are asked about: the mixtures of mixtures first.
        ref : Tensor, (n_whole, freq, frame)
        of : Tensor, complex, (n_single, freq, frame)
            Spectra that single sounds are parts of.

        Returns
        -------
        The questions, and how many of them are not the name, as shares.

        References
        ----------
        E. Tzinis, G. Wichern, P. Smaragdis, J. Le Roux, "Optimal condition training for target source separation",
        ICASSP 2023.
        """
        n = len(ref)
        single = len(mixed) > n
        same = torch.cat([batch[f"{prefix}{name}_alike"].flatten(0, -2) for name, on in (
            ("whole", n > 0), ("parts", single)) if on])
        named = self.teacher.read(self.read(prefix, same[n:, 0])["pooled"]) if single else None
        before, costs = [x.clone() for x in model.buffers()], []  # batch norm keeps statistics of what is learned from
        for which in same.T:
            logits = model.logits(mixed, self.read(prefix, which))[:, 0]
            cost = [self.distance(logits[:n], ref, mixed[:n])] if n else []
            if single:
                est = model.sound(logits[n:].sigmoid() * of, batch[f"{prefix}mixtures"].shape[-1])
                cost.append(-(self.teacher.hear(est) * named).sum(-1))
            costs.append(torch.cat(cost))
        for x, as_it_was in zip(model.buffers(), before):
            x.copy_(as_it_was)
        best = same.gather(1, torch.stack(costs, 1).argmin(1, keepdim=True))[:, 0]
        other = (best != same[:, 0]).float()
        shares = {"not by name, mixtures": other[:n].mean()} if n else {}
        return self.read(prefix, best), shares | ({"not by name, single sounds": other[n:].mean()} if single else {})

    @staticmethod
    def refinement(model: Separator, mixed, by_name: dict, best: dict):
        """How far refined questions by name are from those that are answered best, towards which they go (OCT++)."""
        seen = model.rows_of(mixed)
        own, other = (model.refined(model.condition(asked)[1], seen) for asked in (by_name, best))
        return (own - other.detach()).square().mean()

    def distance(self, logits, ref, mix):
        """Eq. 2 for answers (n, freq, frame), one by one."""
        if self.cfg.loss.domain == "bce":
            return losses.mask_bce(logits, ref, mix)
        return losses.weighted_l1(logits.sigmoid() * mix, ref, self.weight(mix))

    def weight(self, size):
        """How much each bin of magnitudes counts."""
        return losses.mask_weight(size) if self.cfg.loss.weighted else torch.ones_like(size)

    def permuted(self, logits, size, mom):
        """The smallest distance over the orders of two masks or more (PIT, MixPIT), a mean over the batch."""
        n = size.shape[1]
        each = torch.stack([torch.stack([self.distance(logits[:, i], size[:, j], mom) for j in range(n)], 1)
                            for i in range(n)], 1)  # (batch, mask, mixture)
        orders = torch.tensor(list(permutations(range(n))), device=each.device)
        return each[:, torch.arange(n, device=each.device), orders].mean(-1).amin(1).mean()

    def taught(self, model: Separator, est, batch: dict, prefix: str):
        """What a teacher says of the answers to single questions (n, time): Eq. 3, or the entropy of a classifier."""
        cfg, parts = self.cfg, batch[f"{prefix}parts"]
        spoiled = _spoiled(cfg)
        if cfg.loss.teacher == "clap":
            read = self.teacher.read(self.questions[prefix](parts.flatten().tolist())["pooled"].to(est.device))
            slots = torch.arange(parts.shape[1], device=est.device)[None, :, None].expand(parts.shape).flatten()
            same = parts.flatten()[:, None] == parts.flatten() if cfg.loss.positives else None
            slots = slots if cfg.loss.form == "audio_to_text" else None
            scale = model.log_scale.exp() if cfg.loss.temperature == "learned" else self.teacher.scale
            return losses.contrastive(self.teacher.hear(est, **spoiled), read, scale, same, form=cfg.loss.form,
                                      slots=slots).mean()
        target = F.one_hot(batch[f"{prefix}classes"].flatten(), len(_classes(cfg))).float()
        if cfg.loss.teacher == "timbre":
            return entropy(self.teacher(est, **spoiled), target)
        named, learned = self.along(model, est, batch, prefix)
        return entropy(named, target) + learned

    def along(self, model: Separator, est, batch: dict, prefix: str):
        """What a classifier that is trained along says of answers (n, time), logits, and what it learns from itself:
        the mixtures. While it hears answers it holds still, or the two agree on a code.
        """
        spoiled, classes = _spoiled(self.cfg), batch[f"{prefix}classes"]
        still = {name: p.detach() for name, p in model.timbre.named_parameters()}
        named = torch.func.functional_call(model.timbre, still, (est,), spoiled)
        there = F.one_hot(classes.flatten(0, 1), len(_classes(self.cfg))).amax(1).float()
        return named, entropy(model.timbre(batch[f"{prefix}mixtures"].flatten(0, 1), **spoiled), there)

    def classified(self, model: Separator, X, parts, length: int):
        """Weak-Sup: a classifier hears what each mask of a class lets through, and what is there adds up.

        X : complex, (n, freq, frame); parts : (n, k), its classes.
        """
        size = X.abs()
        masks = model.logits(size, None).sigmoid()
        own = masks.gather(1, parts[..., None, None].expand(-1, -1, *size.shape[1:]))
        est = model.sound((own * X[:, None]).flatten(0, 1), length)
        named = F.one_hot(parts.flatten(), masks.shape[1]).float()
        ref = losses.mask_weight(size)
        whole = losses.weighted_l1((own * size[:, None]).sum(1), size, ref).mean()
        # The mean over classes that are not there. Their sum silences all, before the network knows who is.
        absent = 1 - F.one_hot(parts, masks.shape[1]).amax(1).float()
        other = torch.einsum("nc,ncft->nft", absent / absent.sum(1, keepdim=True), masks) * size
        silent = losses.weighted_l1(other, torch.zeros_like(size), ref).mean()
        loss = self.cfg.loss
        heard = self.teacher(est, **_spoiled(self.cfg))
        return loss.contrastive * entropy(heard, named) + loss.reconstruction * (whole + silent)

    def objects(self, model: Separator, batch: dict, prefix: str, X, mom):
        """CoSep: the masks of a mixture's objects add up to its share, and what they let through has their class.

        That is said by a classifier which learns from just that, or with the teacher ``concurrent`` from the mixtures.
        """
        frames, parts = batch[f"{prefix}frames"], batch[f"{prefix}classes"]
        n_batch, n_mix, k = parts.shape
        of = mom.repeat_interleave(n_mix * k, 0)
        masks = model.logits(of, {"frames": frames.flatten(0, 2)})[:, 0].sigmoid()
        ratio = (X.abs() / mom[:, None].clamp(min=1e-8)).clamp(max=5).flatten(0, 1)
        weight = losses.mask_weight(mom).repeat_interleave(n_mix, 0)
        together = losses.weighted_l1(masks.unflatten(0, (-1, k)).sum(1), ratio, weight).mean()
        est = model.sound(masks * X.sum(1).repeat_interleave(n_mix * k, 0), batch[f"{prefix}mixtures"].shape[-1])
        named, learned = (self.along(model, est, batch, prefix) if self.cfg.loss.teacher == "concurrent" else
                          (model.timbre(est), 0.0))
        return together + self.cfg.loss.objects * (F.cross_entropy(named, parts.flatten()) + learned)


def _spoiled(cfg: Config) -> dict:
    """How those listen that learn or teach; a published critic takes sounds as they are."""
    return {"spoiled": True} if cfg.augment else {}


def entropy(logits, target):
    """Cross-entropy of several classes at once, summed over them and a mean over the batch."""
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(-1).mean()


# Those who teach and read

class Pairs:
    """Batches for models of two kinds of signals, a function of the step alone: single sounds and mixtures of up to
    four, with what one says of them.

    ``mix (batch, time)`` or ``frames (batch, frame, 3, h, w)``, and ``asked (batch,)``, the question that fits it.
    """

    def __init__(self, cfg: Config):
        self.cfg = cfg
        self.parts = [corpora.load(name, "train", cfg.preset) for name in cfg.pool]
        self.items = [{name: np.concatenate(found) for name, found in corpus.recordings.items()}
                      for corpus in self.parts]
        sizes = (1,) if cfg.stage == "sight" else (1, 2, 3, 4)
        self.sets = [questions(tuple(corpus.recordings), sizes, None, cfg.sets)[1] for corpus in self.parts]
        self.questions = Questions([text.prompt(names) for sets in self.sets for found in sets.values()
                                    for names in found])

    def __call__(self, step: int) -> dict:
        rng, made, asked = np.random.default_rng([self.cfg.seed, step]), [], []
        for _ in range(self.cfg.batch):
            which = int(rng.integers(len(self.parts)))
            corpus, sets = self.parts[which], self.sets[which]
            size = int(rng.choice(list(sets), p=(0.375, 0.375, 0.125, 0.125) if len(sets) > 1 else None))
            names = sets[size][rng.integers(len(sets[size]))]
            ids = [int(rng.choice(self.items[which][name])) for name in names]
            asked.append(self.questions.index[text.prompt(names)])
            if self.cfg.stage == "sight":
                made.append(_frames(corpus, ids[0]))
            else:
                gains = rng.uniform(0.5, 1.5, size)
                part = audio.excerpt(rng, corpus[ids[0]]["mix"], self.cfg.crop)
                made.append(sum(float(g) * corpus[i]["mix"][part] for g, i in zip(gains, ids)))
        return {"frames" if self.cfg.stage == "sight" else "mix": torch.stack(made), "asked": torch.tensor(asked)}


def agreement(model, batch: dict, cfg: Config, asked: Questions):
    """Symmetric InfoNCE of what is heard, or seen, and what is said of it; who is said the same of fits, too."""
    which = batch["asked"]
    read = model.read(asked(which.tolist())["pooled"].to(which.device))
    if "frames" in batch:
        found = seen(model, batch["frames"])
    else:
        found = model.hear(batch["mix"], **_spoiled(cfg))
    return losses.contrastive(found, read, model.scale, which[:, None] == which).mean()


class Labelled:
    """Batches of mixtures with the classes in them: ``mix (batch, time)``, ``labels (batch, class)``."""

    def __init__(self, cfg: Config):
        self.cfg = cfg
        corpus = corpora.load(cfg.mixtures, "train", cfg.preset)
        self.moms = Moms(corpus, recordings_of(corpus, cfg)[1], cfg, cfg.n_sources, 0)

    def __call__(self, step: int) -> dict:
        batch = self.moms(step, self.cfg.batch)
        labels = F.one_hot(batch["classes"], len(self.moms.items)).amax(2).float()
        return {"mix": batch["mixtures"].flatten(0, 1), "labels": labels.flatten(0, 1)}


class Shots:
    """Batches of a few labelled clips: ``mix (batch, time)``, ``labels (batch,)``; a function of the step alone."""

    def __init__(self, cfg: Config):
        self.cfg, self.corpus = cfg, corpora.load(cfg.corpus, "train", cfg.preset)
        self.classes = list(self.corpus.recordings)
        self.items = [[i for one in found for i in one] for found in few(self.corpus, cfg.shots)]

    def __call__(self, step: int) -> dict:
        rng = np.random.default_rng([self.cfg.seed, step])
        labels = rng.integers(len(self.items), size=self.cfg.batch)
        ids = [int(rng.choice(self.items[k])) for k in labels]
        part = audio.excerpt(rng, self.corpus[ids[0]]["mix"], self.cfg.crop)
        return {"mix": torch.stack([self.corpus[i]["mix"][part] for i in ids]), "labels": torch.from_numpy(labels)}


def chosen(model: PromptEncoder, batch: dict, critic: Clap, classes: list[str], cfg: Config):
    """Cross-entropy of the class whose prompt agrees best with what the critic hears (appendix G.8)."""
    read = critic.read(model(classes)[2])
    heard = critic.hear(batch["mix"], **_spoiled(cfg))
    return F.cross_entropy(critic.scale * heard @ read.T, batch["labels"])


def classification(model, batch: dict, cfg: Config):
    """What a timbre classifier is trained with: the classes in mixtures."""
    return entropy(model(batch["mix"], **_spoiled(cfg)), batch["labels"])


# Training

def task(cfg: Config, device: str = "auto") -> training.Task | None:
    """Say what a stage trains; nothing for the unprocessed mixture, LAION-CLAP, and stages that score an existing
    separator.
    """
    if cfg.system == "none" or cfg.stage in UNTRAINED or cfg.published:
        return None
    model = build(cfg)
    if cfg.stage == "timbre":
        return training.Task(model, Labelled(cfg), partial(classification, cfg=cfg), evaluation.Criterion(
            "accuracy on validation, %", lambda m: np.mean(recognised(m, cfg, "validation", cfg.corpus))))
    if cfg.stage == "prompts":
        critic, draw = _taught(cfg, device), Shots(cfg)
        return training.Task(model, draw, partial(chosen, critic=critic, classes=draw.classes, cfg=cfg),
                             evaluation.Criterion("accuracy on validation, %", lambda m: np.mean(
                                 recognised(critic, cfg, "validation", cfg.corpus, m))))
    if cfg.stage in ("critic", "sight"):
        draw = Pairs(cfg)
        return training.Task(model, draw, partial(agreement, cfg=cfg, asked=draw.questions), evaluation.Criterion(
            "accuracy on the pool's validation, %",
            lambda m: np.mean([np.mean(recognised(m, cfg, "validation", name)) for name in cfg.pool])))
    if cfg.reader and model.reader is not None:
        own = model.reader.state_dict()
        model.reader.load_state_dict({name: x for name, x in runs.weights_of(cfg.reader).items() if name in own})
    draw = Batches(cfg)
    if cfg.system in READ + SEEN:
        part = next(iter(draw.parts.values()))
        several = [one for one in part.questions.prompts if text.several(one)] if cfg.by_kind else []
        model.settle(_singles(cfg, part), part.questions(several) if several else None)
    if cfg.start:
        anew = ("timbre.", "refiner.", "log_scale")  # these a start does not have
        model.load_state_dict(runs.weights_of(cfg.start) | {
            name: x for name, x in model.state_dict().items() if name.startswith(anew)})
    teacher = _taught(cfg, device) if cfg.teacher else None
    if cfg.loss.temperature == "learned":
        if cfg.loss.teacher != "clap" or teacher is None:
            raise WeaklibError(f"{cfg.label} learns a temperature and has no critic, whose it begins with; leave "
                               "loss.temperature out, or name a critic as the teacher.")
        model.log_scale.data.copy_(teacher.scale.detach().log())
    tests = Tests(corpora.load(cfg.corpus, "validation", cfg.preset), 2, cfg.tested // 2, cfg.wording)
    return training.Task(model, draw, Lesson(cfg, draw.questions, teacher), evaluation.Criterion(
        CRITERION, lambda m: np.mean([metrics.si_sdr(est, item["sources"]).mean() for item, est in answers(m, tests)])))


def _singles(cfg: Config, part: Moms | Captioned) -> dict:
    """All questions about single sounds that a part of the batches has, or some of the pictures; of captions, of all.
    """
    items = getattr(part, "items", {})
    if cfg.system in READ:
        return part.questions([text.prompt([name]) for name in items] or part.questions.prompts)
    chosen = [i for found in items.values() for i in found] or range(len(part.corpus))
    return {"frames": torch.stack([_frames(part.corpus, i) for i in chosen[::-(-len(chosen) // LOOKED_AT)]])}


def _taught(cfg: Config, device: str = "auto") -> nn.Module:
    """The teacher of a config, which learns no more."""
    teacher = build(cfg.teacher).requires_grad_(False)
    if not cfg.teacher.published:
        teacher.load_state_dict(runs.weights_of(cfg.teacher))
    return teacher.eval().to(training.resolve(device))


# Scores

@torch.no_grad()
def answers(model: Separator | None, tests: Tests, asked=None):
    """Yield the items of a test with estimates (n_sources, time), in the order of the sources.

    Estimates of a model that is not asked are those that fit the sources best, by SI-SDR; without a model, all are the
    mixture.

    Parameters
    ----------
    asked : callable, optional
        ``asked(item)`` -> questions in place of the item's; a list of str, of those of `tests`.
    """
    if model is None:
        yield from ((item, item["mix"].expand_as(item["sources"])) for item in tests)
        return
    device, cfg = next(model.parameters()).device, model.cfg
    for begin in range(0, len(tests), ANSWERS // 2):
        items = [tests[i] for i in range(begin, min(begin + ANSWERS // 2, len(tests)))]
        mix = torch.stack([item["mix"] for item in items]).to(device)
        if cfg.system in BLIND:
            for item, out in zip(items, model(mix).cpu()):
                yield item, _fitting(out, item, cfg)
            continue
        wanted = [asked(item) if asked else item["asked"] for item in items]
        n = len(wanted[0])
        if cfg.system in SEEN:
            given = {"frames": torch.stack([_frames(tests.corpus, k) for item in items for k in item["of"]])}
        else:
            given = tests.questions([one for several in wanted for one in several])
        out = model(mix.repeat_interleave(n, 0), {name: x.to(device) for name, x in given.items()})[:, 0]
        yield from zip(items, out.cpu().unflatten(0, (-1, n)))


def _fitting(out, item: dict, cfg: Config):
    """Which of a blind model's outputs are the sources."""
    if cfg.system == "classes":
        return out[[_classes(cfg).index(name) for name in item["labels"]]]
    from scipy.optimize import linear_sum_assignment
    sources = item["sources"]
    n = max(len(out), len(sources))
    out = torch.cat([out, out.new_zeros(n - len(out), out.shape[-1])])
    gain = metrics.si_sdr(out[None].expand(len(sources), -1, -1), sources[:, None].expand(-1, n, -1))
    return out[linear_sum_assignment(np.nan_to_num(gain.numpy(), nan=-100, neginf=-100), maximize=True)[1]]


def separated(found) -> dict:
    """``sdr``, ``sir``, ``sar``, ``sdri`` and ``si_sdr``, dB, of every source of a test; see `metrics.bss_eval`.

    Every answer has a thousandth of the mixture in it, so that silence, of which there is no ratio, scores as the
    mixture does.
    """
    scores: dict[str, list] = {name: [] for name in ("sdr", "sir", "sar", "sdri", "si_sdr")}
    for item, est in found:
        sources, est = item["sources"], est + 1e-3 * item["mix"]
        sdr, sir, sar, before = metrics.bss_eval(est, sources, mix=item["mix"], permute=False)
        for name, values in (("sdr", sdr), ("sir", sir), ("sar", sar), ("sdri", sdr - before),
                             ("si_sdr", metrics.si_sdr(est, sources))):
            scores[name] += values.tolist()
    return scores


def score(model, cfg: Config) -> dict:
    """Score what was trained, or None, the mixture itself, on the test split.

    Returns
    -------
    dict of str to list of float
        Of a separator those of `separated`, of mixtures of two sources, and of three under ``.../three``; and
        ``absent``, dB, the level of the answer about a class that is not there against that of the mixture. Of those
        that teach or read ``accuracy``, %, of single sounds, and of a critic ``fooled``, % of the questions to which a
        mask that follows its gradient gives an answer that it likes better than the sound itself, and
        ``fooled_si_sdr``, dB, of those answers.
    """
    model = build(cfg) if cfg.published else model
    if cfg.stage == "listened":
        return listened(cfg)
    if cfg.stage == "moved":
        return score(moved(_trained(cfg.heard), _classes(cfg.heard)), cfg.heard)
    if cfg.stage == "prompts":
        return {"accuracy": recognised(_taught(cfg), cfg, "test", cfg.corpus, model)}
    if cfg.stage != "separator":
        scores = {"accuracy": recognised(model, cfg, "test", cfg.corpus)}
        return scores | (fooled(model, cfg) if cfg.stage == "critic" else {})
    corpus = corpora.load(cfg.corpus, "test", cfg.preset)
    tests = Tests(corpus, 2, cfg.tested, cfg.wording)
    scores = separated(answers(model, tests))
    if model is not None:
        scores["params/model"] = [sum(p.numel() for p in model.unet.parameters()) / 1e6]
    if hasattr(corpus, "recordings"):
        scores |= scoring.on("three", separated(answers(model, Tests(corpus, 3, cfg.tested // 2, cfg.wording))))
        if model is not None and cfg.system in READ:
            other = answers(model, tests, asked=lambda item: [text.prompt([item["absent"]])])
            scores["absent"] = [float(audio.db(audio.rms(est[0])) - audio.db(audio.rms(item["mix"])))
                                for item, est in other]
    return scores


@torch.no_grad()
def recognised(model, cfg: Config, split: str, name: str, prompts: PromptEncoder | None = None) -> list[float]:
    """100 for every item whose class a critic, a classifier or one that sees pictures finds, else 0."""
    corpus = corpora.load(name, split, cfg.preset)
    names = list(corpus.recordings)
    device = next(model.parameters()).device
    if cfg.stage == "timbre":
        found = ((item, out) for item, out in evaluation.each(model, corpus))
    else:
        asked = questions(tuple(names), (1,), cfg if cfg.published else None)[0]
        pooled = asked([text.prompt([name]) for name in names])["pooled"] if prompts is None else prompts(names)[2]
        read = model.read(pooled.to(device))
        if cfg.stage == "sight":
            found = evaluation.each(model, range(len(corpus)), take=partial(_frames, corpus),
                                    apply=lambda x: seen(model, x) @ read.T)
            return [100.0 * (names[int(out.argmax())] == corpus[i]["labels"][0]) for i, out in found]
        found = evaluation.each(model, corpus, apply=lambda x: model.hear(x) @ read.T)
    return [100.0 * (names[int(out.argmax())] == item["labels"][0]) for item, out in found]


def fooled(model: Clap, cfg: Config, n: int = 8) -> dict:
    """How far masks that follow a critic's gradient get, and what they separate; see `score`."""
    device, scores = next(model.parameters()).device, {"fooled": [], "fooled_si_sdr": []}
    tests = Tests(corpora.load(cfg.corpus, "test", cfg.preset), 2, n)
    for item in tests:
        sources = item["sources"]
        with torch.no_grad():
            read = model.read(tests.questions(item["asked"])["pooled"].to(device))
        est = attack(model, item["mix"].expand_as(sources).to(device), read)[1]
        with torch.no_grad():
            liked, wanted = ((model.hear(x.to(device)) * read).sum(-1) for x in (est, sources))
        scores["fooled"] += [100.0 * float(more) for more in liked > wanted]
        scores["fooled_si_sdr"] += metrics.si_sdr(est.cpu(), sources).tolist()
    return scores


@torch.no_grad()
def listened(cfg: Config) -> dict:
    """What a classifier hears in the answers of a separator: ``correct_pct``, ``wrong_pct``, ``both_pct`` and
    ``none_pct``, 100 or 0 for every answer (Table 16).
    """
    judge = _trained(cfg.teacher)
    tests = Tests(corpora.load(cfg.corpus, "test", cfg.preset), 2, cfg.tested)
    target, other = [], []
    for item, est in _heard(cfg.heard, tests):
        own = [_classes(cfg.teacher).index(name) for name in item["labels"]]
        heard = judge(est).sigmoid()[:, own]
        target += heard.diagonal().tolist()
        other += heard.flip(1).diagonal().tolist()
    said = listening.proxy(target, other)
    return {f"{name}_pct": [100.0 * (one == name) for one in said] for name in listening.OUTCOMES}


def _heard(cfg: Config | None, tests: Tests):
    """What `answers` yields: those of a separator, or the mixture itself, or without a config the single sounds."""
    if cfg is None:
        return ((item, item["sources"]) for item in tests)
    if cfg.system == "none":
        return answers(None, tests)
    return answers(_trained(cfg), tests)


def _trained(cfg: Config) -> nn.Module:
    model = build(cfg)
    model.load_state_dict(runs.weights_of(cfg))
    return model.eval()


@torch.no_grad()
def moved(model: Separator, classes: tuple[str, ...]) -> Separator:
    """A copy of a separator that reads questions about single sounds where those about mixtures lie; ask it no others.

    Mix-and-separate, the loss that has references, asks about mixtures alone. All questions move by the mean difference
    of the embeddings of the two kinds, over those that training asks about the classes; nothing is learned. This is
    ours.
    """
    model, cfg = copy.deepcopy(model), model.cfg
    asked, sets = questions(classes, tuple(sorted({1, cfg.n_sources})), cfg.wording, cfg.sets)
    single, several = (model.embedded(asked([text.prompt(names) for names in sets[size]])).mean(0)
                       for size in (1, cfg.n_sources))
    model.centre -= several - single
    return model


# Anybody's audio

def _asked(query: str) -> dict:
    """A query as the network reads it, for one mixture."""
    return Questions([phrased(query, text.prompt)])([0])


def _separate(network: Separator, mix, asked: dict):
    """Answer one question about mixtures (batch, channel, time) -> (batch, channel, time)."""
    flat = mix.flatten(0, 1)
    each = {name: x.to(flat.device).expand(len(flat), *x.shape[1:]) for name, x in asked.items()}
    return network(flat, each)[:, 0].unflatten(0, mix.shape[:2])


SEPARATING = Separating(
    about="For an instrument, or an everyday sound, that one asks for in words. Trained on mixtures and their "
          "descriptions, of sounds that the kit makes.", sr=8000, window=512, block=4 * 16384, outputs=(),
    apply=_separate, example="the sound of a violin", prompt=_asked,
    # Of 120 answers about what was there 1 in 100 was quieter, of 60 about what was not 1 in 4: it says little.
    absent=-11.0,
    fits=lambda config: config["stage"] == "separator" and config["system"] in READ and config["sr"] == 8000)
