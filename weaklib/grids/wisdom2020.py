"""Rows, presets and claims of *Unsupervised Sound Separation Using Mixture Invariant Training* (Wisdom et al.)."""
from itertools import product

from weaklib.claims import Bound, Cell, Claim, Gap, Ratio, every, largest, order
from weaklib.grids import Grid, Preset
from weaklib.papers.wisdom2020 import Config, Net
from weaklib.tables import Metric, Row, Table
from weaklib.training import Plan

SMALL = Net("stft", 512, 256, 0.3, n_channels=128, n_hidden=256, n_repeats=2, n_dilations=7, skips=False)
AT_16K = {"win_length": 1024, "hop_length": 512, "n_dilations": 6}
QUICK = Plan(steps=1500, lr=5e-3, warmup=100, ema=0.99, validate_every=150)


def _kinds(sizes: dict, batch: int | None = None, **plans: dict) -> dict:
    """What is special to the experiments at 16 kHz."""
    return {kind: {"net": sizes, "plan": plan} | ({"batch": batch} if batch else {}) for kind, plan in plans.items()}


SLOWER = {"enhancement": {"lr": 2e-3}, "universal": {"lr": 2e-3}}

PRESETS = {
    "smoke": Preset(Config(preset="smoke", batch=4, net=Net("stft", 256, 128, 0.3, n_channels=16, n_hidden=32,
                                                            n_repeats=1, n_dilations=4, skips=False),
                           plan=Plan(steps=30, warmup=5, validate_every=10))),
    "laptop": Preset(Config(batch=8, net=SMALL, plan=Plan(**vars(QUICK) | {"steps": 1000, "validate_every": 100})),
                     _kinds(AT_16K, enhancement={"steps": 400, "lr": 2e-3}, universal={"steps": 400, "lr": 2e-3})),
    "full": Preset(Config(batch=8, net=SMALL, plan=QUICK), _kinds(AT_16K, **SLOWER)),
    # The sizes of the others, in larger batches: one GPU fills the grid in less than an hour.
    "gpu": Preset(Config(batch=32, net=SMALL, plan=QUICK), _kinds(AT_16K, 16, **SLOWER)),
    "paper": Preset(Config(preset="paper"), _kinds({"win_length": 40, "hop_length": 20}, enhancement={}, universal={}),
                    {"talkers": "wsj0_2mix", "noisy_talkers": "librifsd", "sounds": "fuss", "wild": "yfcc100m"}),
}

SI_SNRI = Metric("si_snri", "SI-SNRi", "dB")
SI_SNR = Metric("si_snr", "SI-SNR", "dB", shown=False)
SS = Metric("ss", "one source alone, SI-SNR", "dB")
MSI = Metric("msi", "MSi", "dB")
MOMI = Metric("momi", "MoMi", "dB")


# Figure 2

CORPORA = {"dry": "talkers", "reverb": "talkers_reverb"}
MISMATCHED = {"dry": "talkers_reverb", "reverb": "talkers"}
ROOMS = {"dry": "", "reverb": ", in rooms"}
VOICES = {"1or2src": "1 or 2 voices", "2src": "always 2 voices"}
SHARES = (0, 10, 25, 50, 75, 90, 100)  # of the examples that are unsupervised, %
COMPARED = {"matched": (0, 90, 100), "mismatched": (0, 10)}  # those that a claim compares


def _mixture(domain: str, key: str, of: str = "") -> Row:
    name = CORPORA[domain]
    return Row(key, f"Input mixture{ROOMS[domain]}", of=of, role="reference", method="Input mixture",
               changes={"corpus": name, "mixtures": name, "supervised": name, "net": None}, headline=domain == "dry",
               random=False)


def _point(domain: str, mode: str, match: str, share: int) -> Row:
    """A point of the figure: who teaches, sources (PIT), mixtures (MixIT) or both, and how many voices it hears."""
    teachers = {0: "PIT", 100: "MixIT"}.get(share, f"PIT + {share} % MixIT")
    supervised = CORPORA[domain] if match == "matched" else MISMATCHED[domain]
    elsewhere = "" if match == "matched" else f", sources {'dry' if domain == 'reverb' else 'in rooms'}"
    return Row(f"{domain}_{mode}_{match}_unsup{share}", f"{teachers}, {VOICES[mode]}{ROOMS[domain]}{elsewhere}",
               changes={"corpus": CORPORA[domain], "mixtures": CORPORA[domain], "supervised": supervised,
                        "one_or_two": mode == "1or2src", "unsupervised": share / 100},
               role="weak" if share else "supervised", method=f"{teachers}, {VOICES[mode]}{elsewhere}",
               headline=(domain, match) == ("dry", "matched") and (share == 100 or (share, mode) == (0, "1or2src")),
               n_seeds=None if share in COMPARED[match] else 1)


def _single(domain: str) -> Row:
    """The grey bars of the figure: PIT that hears one mixture at a time, as it is tested."""
    name = CORPORA[domain]
    return Row(f"{domain}_2src_single_unsup0", f"PIT, {VOICES['2src']}{ROOMS[domain]}, single mixtures",
               changes={"corpus": name, "mixtures": name, "supervised": name, "unsupervised": 0.0, "n_mix": 1},
               role="supervised", method=f"PIT, {VOICES['2src']}, single mixtures", n_seeds=1)


FIGURE2 = Table(
    "figure2", "figure2", "Figure 2: two voices, with any share of supervision", (SI_SNRI, SI_SNR, SS),
    tuple(row for domain in CORPORA for row in (
        _mixture(domain, "input_mixture", of="" if domain == "dry" else "reverb_input_mixture"),
        *(_point(domain, mode, match, share) for mode, match, share in product(VOICES, COMPARED, SHARES)
          if (match, share) != ("mismatched", 100)),  # which hears no source that could be from elsewhere
        _single(domain))),
    splits={"test": ""}, floor=0.0, caption=(
        "Two speakers are separated. SI-SNRi is that of the two best of four outputs (MSi), on held-out voices. PIT "
        "learns from separate voices, MixIT from mixtures alone; matched sources are as reverberant as the mixtures. "
        "All hear mixtures of mixtures but those of single mixtures. Weights are kept by SI-SNRi on validation voices "
        "as reverberant as those of the test. The paper prints Figure 2 as an image without numbers; what its text "
        "says is tested by the claims."),
    stand_ins={"talkers": "Corpus `talkers`, synthetic voices, stands in for WSJ0-2mix."})


# Speech enhancement

NOISY = {"task": "enhancement", "corpus": "noisy_talkers", "mixtures": "noisy_talkers", "supervised": "noisy_talkers"}


def _enhancer(key: str, title: str, n_out: int, unsupervised: float, role: str) -> Row:
    return Row(key, title, "enhancement", NOISY | {"n_out": n_out, "unsupervised": unsupervised}, role=role,
               headline=True)


ENHANCEMENT = Table(
    "enhancement", "sec4.2", "Section 4.2: speech enhancement", (SI_SNRI,),
    (_enhancer("sup_2out", "Supervised, two outputs", 2, 0.0, "supervised"),
     _enhancer("mixit_3out", "MixIT, three outputs", 3, 1.0, "weak")),
    splits={"LibriSpeech+freesound": ""}, corpora={"LibriSpeech+freesound": "corpus"}, floor=0.0, caption=(
        "SI-SNRi is that of the speech, in noisy recordings of held-out voices. MixIT hears noisy recordings and "
        "recordings of noise, and knows which are which."),
    stand_ins={"noisy_talkers": "Corpus `noisy_talkers`, synthetic voices in synthetic noise, stands in for "
                                "LibriSpeech and freesound."})


# Table 1

def _universal(key: str, title: str, supervised: str = "", p0: float = 0.0, mixtures: str = "", halved: bool = False,
               headline: bool = False) -> Row:
    """A row of Table 1: which corpus teaches with its sources, and which as mixtures."""
    share = 0.5 if supervised and mixtures else float(not supervised)
    return Row(key, title, "universal", {
        "task": "universal", "corpus": "sounds", "supervised": supervised or mixtures,
        "mixtures": mixtures or supervised, "unsupervised": share, "p0": p0, "halved": halved, "n_out": 8},
        role="weak" if mixtures else "supervised", headline=headline)


UNIVERSAL = Table(
    "table1", "1", "Table 1: universal sound separation", (MSI, SS, MOMI), (
        _universal("fuss16_p02_yfcc", "PIT on `sounds`, p0 = 0.2, and MixIT on `wild`", "sounds", 0.2, "wild"),
        _universal("fuss16_p00_yfcc", "PIT on `sounds` and MixIT on `wild`", "sounds", 0.0, "wild"),
        _universal("fuss16_p02", "PIT on `sounds`, p0 = 0.2", "sounds", 0.2, headline=True),
        _universal("fuss16_p00", "PIT on `sounds`", "sounds"),
        _universal("fuss8_p02_fuss8", "PIT on half of `sounds`, p0 = 0.2, and MixIT on the other", "sounds", 0.2,
                   "sounds", halved=True),
        _universal("fuss8_p00_fuss8", "PIT on half of `sounds` and MixIT on the other", "sounds", 0.0, "sounds",
                   halved=True),
        _universal("unsup_fuss16", "MixIT on `sounds`", mixtures="sounds", headline=True),
        _universal("unsup_yfcc", "MixIT on `wild`", mixtures="wild", headline=True),
    ), splits={"FUSS": "`sounds`", "YFCC100m": "`wild`"}, corpora={"FUSS": "corpus", "YFCC100m": "wild"}, floor=0.0,
    caption=(
        "All models have eight outputs. MSi is the SI-SNRi of mixtures of two to four sounds. MoMi is the SI-SNRi of "
        "two mixtures that were added up and are put together again from the outputs; a mixture to which no output "
        "belongs counts as -80 dB. p0 is the probability that a supervised example is one mixture instead of two. "
        "Weights are kept by MSi on validation, also those of rows with p0. SI-SNR forgives an output its sign and "
        "level: one source alone also scores high where several outputs hold it and partly cancel each other."),
    stand_ins={"sounds": "Corpus `sounds`, made by programs, stands in for FUSS.",
               "wild": "Corpus `wild`, scenes of which the kit gives out the mixtures alone, stands in for YFCC100m."})


# Claims. Bounds were fixed before the runs.

def _cells(mode: str, share: int, match: str = "matched") -> dict[str, Cell]:
    return {domain: Cell(f"{domain}_{mode}_{match}_unsup{share}", SI_SNRI) for domain in CORPORA}


def _table1(row: str, metric: Metric = MSI, split: str = "FUSS") -> Cell:
    return Cell(row, metric, split)


def _momi(row: str, split: str = "YFCC100m") -> Cell:
    return _table1(row, MOMI, split)


MIXIT, MIXIT_2 = (_cells(mode, 100) for mode in VOICES)
PIT, PIT_2 = (_cells(mode, 0) for mode in VOICES)
SEMI_2 = _cells("2src", 90)
WORDS = {"dry": "dry", "reverb": "in rooms"}
LOSS = {d: Gap(PIT_2[d], MIXIT_2[d]) for d in CORPORA}  # what learning without sources costs, always two voices
ROWS = {row.key: row.title for row in UNIVERSAL.rows}
PAIRS = {"alone": ("fuss16_p02", "fuss16_p00"), "with `wild`": ("fuss16_p02_yfcc", "fuss16_p00_yfcc"),
         "half and half": ("fuss8_p02_fuss8", "fuss8_p00_fuss8")}
SUPERVISED, ADAPTED, UNSUP, UNSUP_WILD = "fuss16_p02", "fuss16_p02_yfcc", "unsup_fuss16", "unsup_yfcc"


def _others(row: str, cell, but: tuple[str, ...] = ()) -> dict:
    return {title: cell(key) for key, title in ROWS.items() if key != row and key not in but}


def _gap(a: str, b: str, metric: Metric) -> Gap:
    return Gap(_table1(a, metric), _table1(b, metric))


CLAIMS = {
    "x01": Claim(tuple(Bound(f"MixIT − PIT, {WORDS[d]}", Gap(MIXIT[d], PIT[d]), -1.0, 1.0) for d in CORPORA)),
    "x02": Claim((Bound("PIT − MixIT, dry", LOSS["dry"], 0.0, 3.5),
                  Bound("this gap, dry − in rooms", Gap(LOSS["dry"], LOSS["reverb"]), low=0.0))),
    "x03": Claim((Bound("share of the loss that 10 % supervision wins back, dry",
                        Ratio(Gap(SEMI_2["dry"], MIXIT_2["dry"]), LOSS["dry"]), low=50.0),)),
    "x04": Claim(tuple(Bound(f"10 % matched mixtures − none, {VOICES[mode]}, in rooms", Gap(
        _cells(mode, 10, "mismatched")["reverb"], _cells(mode, 0, "mismatched")["reverb"]), low=1.0)
        for mode in VOICES)),
    "x05": Claim(tuple(Bound(f"matched MixIT − mismatched PIT, {VOICES[mode]}, {WORDS[d]}", Gap(
        _cells(mode, 100)[d], _cells(mode, 0, "mismatched")[d]), low=0.0) for mode, d in product(VOICES, CORPORA))),
    "x06": Claim(tuple(Bound(f"1 or 2 − always 2, {WORDS[d]}", Gap(MIXIT[d], MIXIT_2[d]), low=0.3) for d in CORPORA)),
    "x07": Claim((Bound("MixIT's share of the supervised improvement", Ratio(
        *(Cell(row, SI_SNRI, "LibriSpeech+freesound") for row in ("mixit_3out", "sup_2out"))), low=76.0),)),
    "x08": Claim((largest("MSi of PIT on `sounds`, p0 = 0.2,", _table1(SUPERVISED), _others(SUPERVISED, _table1)),
                  largest("its SS", _table1(SUPERVISED, SS), _others(SUPERVISED, lambda row: _table1(row, SS))),
                  every("its MoMi on `wild` minus that of", (
                      Bound(title, Gap(_momi(SUPERVISED), cell), high=0.0)
                      for title, cell in _others(SUPERVISED, _momi, ("fuss16_p00",)).items())))),
    "x09": Claim((Bound("MSi with `wild` − without", _gap(ADAPTED, SUPERVISED, MSI), -0.5, 0.5),
                  Bound("SS with `wild` − without", _gap(ADAPTED, SUPERVISED, SS), low=-3.0),
                  Bound("MoMi on `wild`, with − without", Gap(_momi(ADAPTED), _momi(SUPERVISED)), low=2.0))),
    "x10": Claim((every("SS with p0 = 0.2 − without", (Bound(name, _gap(a, b, SS), low=5.0)
                                                       for name, (a, b) in PAIRS.items())),
                  every("MSi with p0 = 0.2 − without", (Bound(name, _gap(a, b, MSI), low=-0.5)
                                                        for name, (a, b) in PAIRS.items())))),
    "x11": Claim((largest("MoMi on `wild` of MixIT on `wild`", _momi(UNSUP_WILD), _others(UNSUP_WILD, _momi)),
                  largest("its MoMi on `sounds`", _momi(UNSUP_WILD, "FUSS"), _others(
                      UNSUP_WILD, lambda row: _momi(row, "FUSS"))))),
    "x12": Claim((every("SS minus that of PIT, p0 = 0.2", (Bound(ROWS[row], _gap(row, SUPERVISED, SS), high=-5.0)
                                                           for row in (UNSUP, UNSUP_WILD))),)),
    "x13": Claim((order("MSi", {ROWS[row]: _table1(row) for row in (SUPERVISED, UNSUP, UNSUP_WILD)}),)),
}

GRID = Grid(
    title="Wisdom et al., NeurIPS 2020: Unsupervised Sound Separation Using Mixture Invariant Training",
    weak_label="none: mixtures only", presets=PRESETS, tables=(FIGURE2, ENHANCEMENT, UNIVERSAL), claims=CLAIMS,
    shipped="dry_1or2src_matched_unsup100",
    headline=("MixIT's share of PIT's improvement, 1 or 2 voices", Ratio(MIXIT["dry"], PIT["dry"])),
    others=(_mixture("reverb", "reverb_input_mixture"),))
