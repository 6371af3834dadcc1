"""Unsupervised Sound Separation Using Mixture Invariant Training (Wisdom et al., NeurIPS 2020).

Claim
-----
A separator learns from mixtures alone: add two mixtures up, separate the sum, and ask only that some assignment of the
outputs to the two mixtures restores both (Eq. 3). Trained on mixtures of one or two speakers it is on par with one
trained on the sources themselves.

What we reproduce
-----------------
The rows of Figure 2 (two speakers, anechoic and reverberant) with 0 % or 100 % unsupervised training; the unprocessed
mixture; claims x01, x02 and x06.

Where we differ
---------------
The speakers are synthetic voices (corpus ``talkers``) in place of WSJ0. The network is the paper's (TDCN++, four
outputs) but small, on an STFT basis with a hop of 16 ms instead of a learned one with 1.25 ms, and trained for minutes
on a CPU instead of days on 16 TPUs. The figure is an image without printed numbers: its rows have no number to compare,
its claims have.
"""
from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import numpy as np
import torch

from weaklib import corpora, evaluation, losses, metrics, runs, tables, training
from weaklib.files import WeaklibError
from weaklib.inference import Separating
from weaklib.models import TDCN

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
    sizes: str = "laptop"        # preset of the corpora
    one_or_two: bool = True      # mixtures of one or two speakers; False: always two (section 4.1)
    unsupervised: float = 1.0    # share of the examples trained with MixIT, the rest with PIT (section 3.3)
    batch: int = 256             # mixtures of mixtures per step (section 4)
    snr_max: float = 30.0        # dB (section 3.1)
    net: Net | None = field(default_factory=Net)  # None: the unprocessed mixture
    plan: training.Plan = field(default_factory=lambda: training.Plan(
        steps=500_000, decay="constant", precision="bf16-mixed"))

    def corpora(self):
        return [corpora.identity(name, self.sizes) for name in sorted({self.corpus, self.supervised})]


PRESETS = {
    "smoke": Config(sizes="smoke", batch=4, net=Net("stft", 256, 128, 0.3, 16, 32, 1, 4, False),
                    plan=training.Plan(steps=30, warmup=5, validate_every=10)),
    "laptop": Config(sizes="laptop", batch=8, net=Net("stft", 512, 256, 0.3, 128, 256, 2, 7, False),
                     plan=training.Plan(steps=1500, lr=5e-3, warmup=100, ema=0.99, validate_every=100)),
    "gpu": Config(sizes="gpu", batch=64, net=Net("stft", 256, 64, 0.3, 256, 512, 4, 8, True),
                  plan=training.Plan(steps=20_000, lr=1e-3, warmup=500, ema=0.999, validate_every=500,
                                     precision="bf16-mixed")),
    "paper": Config(sizes="paper"),
}
PRESETS["full"] = PRESETS["laptop"]

#: Random seeds per preset; one seed shows no spread.
SEEDS = {"smoke": 1, "laptop": 1, "full": 3, "gpu": 3, "paper": 1}

CORPUS = {"dry": "talkers", "reverb": "talkers_reverb"}
HEADLINE = ("input_mixture", "dry_1or2src_matched_unsup0", "dry_1or2src_matched_unsup100", "dry_2src_matched_unsup100")
ALL = tuple(row for domain in CORPUS for row in (
    "input_mixture" if domain == "dry" else "reverb_input_mixture",
    *(f"{domain}_{mode}_matched_unsup{share}" for mode in ("1or2src", "2src") for share in (0, 100))))
SHIPPED = "dry_1or2src_matched_unsup100"  # the row whose separator comes with the package
ROWS = {"smoke": HEADLINE, "laptop": HEADLINE, "full": ALL, "gpu": ALL, "paper": ALL}


def config(row: str, preset: str, seed: int = 0) -> Config:
    """Return the config of a row of Figure 2.

    Parameters
    ----------
    row : str
        ``<dry|reverb>_<2src|1or2src>_<matched|mismatched>_unsup<0..100>``: the domain, the number of speakers in each
        training mixture, whether the supervised examples come from the domain or from the other one, and the
        percentage of unsupervised examples. Or ``[reverb_]input_mixture``, the unprocessed mixture.
    preset : str
    seed : int

    Raises
    ------
    WeaklibError
        If `row` or `preset` is unknown.
    """
    if preset not in PRESETS:
        raise WeaklibError(f"Unknown preset {preset!r}; choose one of {', '.join(PRESETS)}.")
    base = replace(PRESETS[preset], label=row, seed=seed)
    if row in ("input_mixture", "reverb_input_mixture"):
        name = CORPUS["reverb" if row.startswith("reverb") else "dry"]
        return replace(base, corpus=name, supervised=name, net=None, seed=0)  # it draws nothing at random
    match = re.fullmatch(r"(dry|reverb)_(2src|1or2src)_(matched|mismatched)_unsup(\d{1,2}|100)", row)
    if not match:
        raise WeaklibError(f"Unknown row {row!r} of wisdom2020; one is {HEADLINE[1]}.")
    domain, mode, matched, share = match.groups()
    other = {"dry": "reverb", "reverb": "dry"}[domain]
    return replace(base, corpus=CORPUS[domain], supervised=CORPUS[domain if matched == "matched" else other],
                   one_or_two=mode == "1or2src", unsupervised=int(share) / 100)


# Training

def build(net: Net) -> TDCN:
    """Make the network, with four outputs and mixture consistency."""
    return TDCN(N_OUT, **asdict(net))


class Mixtures:
    """Batches of mixtures of mixtures, a function of the step alone.

    Parameters
    ----------
    cfg : Config
    matched, supervised : Corpus
        Training splits of the target domain and of the supervised examples.
    """

    def __init__(self, cfg: Config, matched, supervised):
        self.cfg, self.matched, self.supervised = cfg, matched, supervised

    def __call__(self, step: int) -> dict:
        """Return ``mixtures (n_unsup, 2, time)`` for MixIT and ``sources (n_sup, 4, time)`` for PIT."""
        cfg = self.cfg
        rng = np.random.default_rng([cfg.seed, step])
        # The share is kept over steps, also where it is no whole number of examples.
        until, before = (math.floor(s * cfg.batch * cfg.unsupervised) for s in (step + 1, step))
        n_unsup = until - before
        unsup, sup = self._items(rng, self.matched, n_unsup), self._items(rng, self.supervised, cfg.batch - n_unsup)
        batch = {}
        if unsup:
            batch["mixtures"] = torch.stack([item["mix"] if both or "sources" not in item else item["sources"][0]
                                             for item, both in unsup]).unflatten(0, (-1, 2))
        if sup:
            sources = torch.stack([item["sources"] * torch.tensor([[1.0], [both]]) for item, both in sup])
            batch["sources"] = sources.unflatten(0, (-1, 2)).flatten(1, 2)
        return batch

    def _items(self, rng, corpus, n: int) -> list:
        """Draw two items for each of `n` examples, and whether both speakers of each are heard."""
        picked = rng.choice(len(corpus), 2 * n, replace=False)
        both = rng.random(2 * n) < 0.5 if self.cfg.one_or_two else np.ones(2 * n, bool)
        return [(corpus[int(i)], bool(b)) for i, b in zip(picked, both)]


def loss(model, batch: dict, snr_max: float = 30.0):
    """PIT (Eq. 1) on the supervised examples and MixIT (Eq. 3) on the others, averaged over the batch."""
    references = [(function, batch[name]) for name, function in (("mixtures", losses.mixit), ("sources", losses.pit))
                  if name in batch]
    est = model(torch.cat([ref.sum(1) for _, ref in references])).split([len(ref) for _, ref in references])
    return torch.cat([function(e, ref, snr_max=snr_max)[0] for e, (function, ref) in zip(est, references)]).mean()


@torch.no_grad()
def separate(model, mixtures, batch: int = 25):
    """Separate ``(item, time)`` into ``(item, source, time)``, a few items at a time."""
    device = next(model.parameters()).device
    return torch.cat([model(x.to(device)).cpu() for x in mixtures.split(batch)])


def score(model, corpus) -> dict:
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
    if "sources" not in corpus[0]:
        mixtures = _pairs(corpus)
        mix = mixtures.sum(1)
        return {"momi": metrics.momi(separate(model, mix), mixtures, mix).tolist()}
    sources = torch.stack([corpus[i]["sources"] for i in range(len(corpus))])
    mix, alone = sources.sum(1), sources[:, 0]
    before = metrics.si_sdr(mix[:, None], sources).mean(1)
    if model is None:
        return {"si_snri": [0.0] * len(mix), "si_snr": before.tolist()}
    gain = metrics.msi(separate(model, mix), sources, mix)
    return {"si_snri": gain.tolist(), "si_snr": (before + gain).tolist(),
            "ss": metrics.single_source(separate(model, alone), alone).tolist()}


def _pairs(corpus):
    """Pair each item with the next one of another recording: (pair, 2, time).

    With one recording only, with the next one cut elsewhere: a mixture with itself says nothing.
    """
    items = [corpus[i] for i in range(len(corpus))]

    def partner(i):
        others = items[i + 1:] + items[:i]
        of_another = (o["mix"] for o in others if o["labels"] != items[i]["labels"])
        elsewhere = (o["mix"] for o in others if not torch.equal(o["mix"], items[i]["mix"]))
        found = next(of_another, None)
        return next(elsewhere, None) if found is None else found

    pairs = [(item["mix"], other) for i, item in enumerate(items) if (other := partner(i)) is not None]
    if not pairs:
        raise WeaklibError("The test split holds one recording as short as an item; add longer recordings.")
    return torch.stack([torch.stack(pair) for pair in pairs])


def train(cfg: Config, folder, *, device: str = "auto", show=None):
    """Train and score one row; what `weaklib.runs.get` calls. Returns (scores, history, model)."""
    test = corpora.load(cfg.corpus, "test", cfg.sizes)
    if cfg.net is None:
        return score(None, test), [], None
    matched, supervised = (corpora.load(name, "train", cfg.sizes) for name in (cfg.corpus, cfg.supervised))
    validation = corpora.load(cfg.corpus, "validation", cfg.sizes)
    criterion = evaluation.Criterion("SI-SNRi, dB" if "sources" in validation[0] else "MoMi, dB",
                                     lambda m: np.mean(next(iter(score(m, validation).values()))))
    torch.manual_seed(cfg.seed)
    model = build(cfg.net)
    history = training.fit(
        model, Mixtures(cfg, matched, supervised), partial(loss, snr_max=cfg.snr_max), cfg.plan, folder,
        seed=cfg.seed, validate=criterion, device=device,
        desc=f"{cfg.label}, seed {cfg.seed}", show=show)
    return score(model, test), history, model


def on_folder(path: str, preset: str = "laptop", seed: int = 0) -> Config:
    """Return the config of MixIT on a folder of your own recordings; give it to `runs.get` with `train`."""
    return replace(PRESETS[preset], label="folder", corpus=f"folder:{path}", supervised=f"folder:{path}", seed=seed)


def run(cfg: Config, *, device: str = "auto", fresh: bool = False, show=None) -> runs.Record:
    """Return the local record of a config, training it now if there is none."""
    return runs.get(cfg, partial(train, device=device, show=show), fresh=fresh)


def separator(record: runs.Record | None = None) -> TDCN:
    """Load the trained separator of a record, or the one that comes with the kit.

    The one that comes with the kit was trained with MixIT on mixtures of one or two `talkers`. It maps mixtures
    ``(batch, time)`` at 8 kHz to ``(batch, 4, time)``.
    """
    tensors, fields = runs.trained(record, "wisdom2020")
    model = build(Net(**fields["net"]))
    model.load_state_dict(tensors)
    return model.eval()


def _separating(record, device):
    return separator(record).to(device).separate


SEPARATING = Separating(
    about="two voices talking at once; it has only heard synthetic ones", sr=8000, window=512,
    block=4 * 8000,  # twice its training clips: half a block must tell who is who in the next
    outputs=tuple(f"output {i + 1}" for i in range(N_OUT)), load=_separating, ordered=False)


# Tables

def figure2(preset: str, seeds: int | None = None) -> tables.Table:
    """Return Figure 2 as a table: SI-SNRi on single mixtures of two speakers."""
    def line(row):
        cfg = config(row, preset)
        mixture = cfg.net is None
        method = ("input mixture" if mixture else "MixIT" if cfg.unsupervised == 1 else
                  "PIT" if cfg.unsupervised == 0 else "PIT+MixIT")
        condition = "" if mixture else (
            f"train_sources={'1or2' if cfg.one_or_two else '2'};unsupervised_pct={100 * cfg.unsupervised:g};"
            f"supervised={'matched' if cfg.supervised == cfg.corpus else 'mismatched'};")
        domain = "anechoic" if cfg.corpus == "talkers" else "reverberant"
        key = row.removeprefix("reverb_") if mixture else row  # the corpus tells the two mixtures apart
        return tables.Line(key, method, f"{condition}domain={domain}", cfg.corpus, partial(config, row, preset))

    return tables.Table("wisdom2020", "figure2", "figure2", ("test",),
                        {"si_snri": "dB", "si_snr": "dB", "ss": "dB"}, [line(row) for row in ROWS[preset]],
                        n_seeds=seeds or SEEDS[preset], caption=CAPTION)


def tables_of(preset: str, seeds: int | None = None) -> list[tables.Table]:
    """All tables of the paper that a preset fills, with as many seeds as it has or as are asked for."""
    return [figure2(preset, seeds)]


CAPTION = (
    "Two speakers, SI-SNRi on held-out voices (MSi: the best two of four outputs). The paper prints Figure 2 as an image "
    "without numbers; what its text says is tested by the claims. Corpus `talkers`, synthetic voices, stands in for "
    "WSJ0-2mix.")


# Claims: tests and tolerances were fixed before the runs.

def _gap(values, better: str, worse: str):
    """Per-seed means of two rows -> difference of their means, or None if one is missing."""
    a, b = values(better, "si_snri"), values(worse, "si_snri")
    return float(np.mean(a) - np.mean(b)) if a and b else None


def _x01(values):
    """On par: within 1 dB, in every domain."""
    gaps = {d: _gap(values, f"{d}_1or2src_matched_unsup100", f"{d}_1or2src_matched_unsup0") for d in CORPUS}
    return tables.verdict([None if g is None else abs(g) <= 1.0 for g in gaps.values()],
                          "MixIT - PIT: " + tables.spell(gaps))


def _x02(values):
    """Anechoic: worse than supervised by at most 3 dB (0.5 dB more is allowed for); reverberant: closer."""
    gaps = {d: _gap(values, f"{d}_2src_matched_unsup0", f"{d}_2src_matched_unsup100") for d in CORPUS}
    dry, reverb = gaps["dry"], gaps["reverb"]
    return tables.verdict([None if dry is None else 0 <= dry <= 3.5,
                           None if dry is None or reverb is None else reverb < dry],
                          "PIT - MixIT: " + tables.spell(gaps))


def _x06(values):
    """Better by at least 0.3 dB, in every domain."""
    gaps = {d: _gap(values, f"{d}_1or2src_matched_unsup100", f"{d}_2src_matched_unsup100") for d in CORPUS}
    return tables.verdict([None if g is None else g >= 0.3 for g in gaps.values()],
                          "1-or-2 - 2: " + tables.spell(gaps))


CLAIMS = {"x01": tables.Claim(_x01, "about 0 dB", "at most 1 dB apart, dry and in rooms"),
          "x02": tables.Claim(_x02, "up to 3 dB worse", "0 to 3.5 dB worse dry, less in rooms"),
          "x06": tables.Claim(_x06, "> 0 dB", "at least 0.3 dB better, dry and in rooms")}
