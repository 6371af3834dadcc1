"""Rows, presets and claims of *Unsupervised Sound Separation Using Mixture Invariant Training* (Wisdom et al.)."""
from itertools import product

from weaklib.claims import Bound, Cell, Claim, Gap, Ratio
from weaklib.grids import Grid, Preset
from weaklib.papers.wisdom2020 import Config, Net
from weaklib.tables import Metric, Row, Table
from weaklib.training import Plan

PRESETS = {
    "smoke": Preset(Config(preset="smoke", batch=4, net=Net("stft", 256, 128, 0.3, 16, 32, 1, 4, False),
                           plan=Plan(steps=30, warmup=5, validate_every=10))),
    "laptop": Preset(Config(preset="laptop", batch=8, net=Net("stft", 512, 256, 0.3, 128, 256, 2, 7, False),
                            plan=Plan(steps=1500, lr=5e-3, warmup=100, ema=0.99, validate_every=100))),
    "gpu": Preset(Config(preset="gpu", batch=64, net=Net("stft", 256, 64, 0.3, 256, 512, 4, 8, True),
                         plan=Plan(steps=20_000, lr=1e-3, warmup=500, ema=0.999, validate_every=500,
                                   precision="bf16-mixed"))),
    "paper": Preset(Config(preset="paper")),
}

SI_SNRI = Metric("si_snri", "SI-SNRi", "dB")
SI_SNR = Metric("si_snr", "SI-SNR", "dB", shown=False)
SS = Metric("ss", "one voice alone, SI-SNR", "dB")

CORPORA = {"dry": "talkers", "reverb": "talkers_reverb"}
ROOMS = {"dry": "", "reverb": ", in rooms"}
VOICES = {"1or2src": "1 or 2 voices", "2src": "always 2 voices"}


def _mixture(domain: str, key: str, of: str = "") -> Row:
    name = CORPORA[domain]
    return Row(key, f"Input mixture{ROOMS[domain]}", of=of, role="reference", method="Input mixture",
               changes={"corpus": name, "supervised": name, "net": None}, headline=domain == "dry", random=False)


def _row(domain: str, mode: str, share: int) -> Row:
    """A bar of the figure: who teaches (PIT with sources, MixIT with mixtures), and how many voices it hears."""
    return Row(f"{domain}_{mode}_matched_unsup{share}",
               f"{'MixIT' if share else 'PIT'}, {VOICES[mode]}{ROOMS[domain]}",
               changes={"corpus": CORPORA[domain], "supervised": CORPORA[domain], "one_or_two": mode == "1or2src",
                        "unsupervised": share / 100},
               role="weak" if share else "supervised", method=f"{'MixIT' if share else 'PIT'}, {VOICES[mode]}",
               headline=domain == "dry" and (share == 100 or mode == "1or2src"))


FIGURE2 = Table(
    "figure2", "figure2", "Figure 2: two voices, with and without sources to learn from", (SI_SNRI, SI_SNR, SS),
    tuple(row for domain in CORPORA for row in (
        _mixture(domain, "input_mixture", of="" if domain == "dry" else "reverb_input_mixture"),
        *(_row(domain, mode, share) for mode, share in product(VOICES, (0, 100))))),
    splits={"test": ""}, floor=0.0, caption=(
        "Two speakers, SI-SNRi on held-out voices (MSi: the best two of four outputs). PIT learns from separate "
        "voices, MixIT from mixtures alone. The paper prints Figure 2 as an image without numbers; what its text says "
        "is tested by the claims."),
    stand_ins={"talkers": "Corpus `talkers`, synthetic voices, stands in for WSJ0-2mix."})


def _cells(mode: str, share: int) -> dict[str, Cell]:
    return {domain: Cell(f"{domain}_{mode}_matched_unsup{share}", SI_SNRI, corpus=name)
            for domain, name in CORPORA.items()}


MIXIT, MIXIT_2 = (_cells(mode, 100) for mode in VOICES)
PIT, PIT_2 = (_cells(mode, 0) for mode in VOICES)
WORDS = {"dry": "dry", "reverb": "in rooms"}
LOSS = {d: Gap(PIT_2[d], MIXIT_2[d]) for d in CORPORA}  # what learning without sources costs, always two voices

#: Bounds were fixed before the runs.
CLAIMS = {
    "x01": Claim(tuple(Bound(f"MixIT − PIT, {WORDS[d]}", Gap(MIXIT[d], PIT[d]), -1.0, 1.0) for d in CORPORA)),
    "x02": Claim((Bound("PIT − MixIT, dry", LOSS["dry"], 0.0, 3.5),
                  Bound("this gap, dry − in rooms", Gap(LOSS["dry"], LOSS["reverb"]), low=0.0))),
    "x06": Claim(tuple(Bound(f"1 or 2 − always 2, {WORDS[d]}", Gap(MIXIT[d], MIXIT_2[d]), low=0.3) for d in CORPORA)),
}

GRID = Grid(
    title="Wisdom et al., NeurIPS 2020: Unsupervised Sound Separation Using Mixture Invariant Training",
    weak_label="none: mixtures only", presets=PRESETS, tables=(FIGURE2,), claims=CLAIMS,
    shipped="dry_1or2src_matched_unsup100",
    headline=("MixIT's share of PIT's improvement, 1 or 2 voices", Ratio(MIXIT["dry"], PIT["dry"])),
    others=(_mixture("reverb", "reverb_input_mixture"),))
