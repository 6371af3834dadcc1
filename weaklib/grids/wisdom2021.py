"""Rows, presets and claims of *Sparse, Efficient, and Semantic Mixture Invariant Training* (Wisdom et al., 2021)."""
from weaklib.claims import Bound, Cell, Claim, Gap, Peak, every, largest, order
from weaklib.grids import Grid, Preset
from weaklib.papers.wisdom2020 import Net
from weaklib.papers.wisdom2021 import SR, Config
from weaklib.tables import Metric, Row, Table
from weaklib.training import Plan

SMALL = Net("stft", 1024, 512, 0.3, n_channels=128, n_hidden=256, n_repeats=2, n_dilations=6, skips=False)


def _kinds(pretrain: int, finetune: int, classifier: int, batch: int = 8, validations: int = 4) -> dict:
    """Steps of the baselines that others go on from, of what goes on from them, and of the classifier."""
    def plan(steps, **more):
        return {"plan": {"steps": steps, "warmup": steps // 10, **more}, "batch": batch}

    every = {"validate_every": max(1, pretrain // validations)}
    first, then = plan(pretrain, **every), plan(finetune, lr=1e-3, validate_every=max(1, finetune // 2))
    moms = plan(pretrain + finetune, **every) | {"trained_on": "sounds"}
    # Single mixtures teach first to leave single sounds alone, at 60 dB and more, and then to separate; TRF, of which
    # single sounds are a quarter, has its best early on the way.
    return {"moms": moms, "single": moms | {"judged": "msi"},
            "pretrain": first, "finetune": then,
            # the same runs, where all mixtures are labelled, and where a classifier hears the outputs
            "labelled_pretrain": first, "labelled": then, "heard": then,
            "classifier": plan(classifier, lr=3e-3, validate_every=max(1, classifier // validations)) | {"batch": 16}}


QUICK = Plan(lr=2e-3, ema=0.99)
AUDIOSET = {"trained_on": "audioset"}
#: It stops early there.
STOPPED = AUDIOSET | {"plan": {"steps": 300_000, "patience": 10, "validate_every": 10_000}}

PRESETS = {
    "smoke": Preset(Config(preset="smoke", net=Net("stft", 256, 128, 0.3, n_channels=16, n_hidden=32, n_repeats=1,
                                                   n_dilations=4, skips=False), plan=QUICK),
                    _kinds(12, 6, 6, batch=4, validations=2)),
    "laptop": Preset(Config(net=SMALL, plan=QUICK), _kinds(400, 120, 400)),
    "full": Preset(Config(net=SMALL, plan=QUICK), _kinds(1200, 400, 1200)),
    # The sizes of the others, in larger batches: one GPU fills the grid in less than an hour.
    "gpu": Preset(Config(net=SMALL, plan=QUICK), _kinds(1200, 400, 1200, batch=16)),
    "paper": Preset(Config(corpus="fuss", trained_on="yfcc100m", wild="yfcc100m", speech="libri2mix", noisy="librifsd",
                           preset="paper"), {
        "moms": {"trained_on": "fuss"}, "single": {"trained_on": "fuss"}, "pretrain": {"plan": {"steps": 1_000_000}},
        "finetune": {"plan": {"steps": 300_000}},
        "labelled_pretrain": AUDIOSET | {"plan": {"steps": 3_700_000}}, "labelled": STOPPED,
        "heard": STOPPED | {"crop": 3 * SR},  # 3 s of a recording of 10 s
        "classifier": AUDIOSET | {"plan": {"steps": 100_000}}}),  # not stated
}

#: The mean over mixtures of two, three and four sources, as with the paper's numbers TRF is (1S + 3 MSi) / 4.
MSI = Metric("msi", "MSi", "dB", over=("msi_2", "msi_3", "msi_4"))
ALONE = Metric("1s", "1S", "dB")
TRF = Metric("trf", "TRF", "dB")
MOMI = Metric("momi", "MoMi", "dB")
NOISY = Metric("s_plus_n", "S+N", "dB")
CLEAN = Metric("s_only", "S only", "dB")
RATES = tuple(Metric(key, f"{key}-separated", "%", better, shown=key == "over")
              for key, better in (("over", "lower"), ("equal", "higher"), ("under", "lower")))
COUNTS = tuple(Metric(f"msi_{n}", f"MSi of {n} sources", "dB", shown=False) for n in (2, 3, 4))
MISSED = Metric("search_gap", "least squares above the best assignment", "dB", better="lower", shown=False)

OUTPUTS = (4, 8, 16)
BEST = {4: 8.0, 8: 23.0, 16: 64.0}                           # weight of sparsity in Table 1
WITH_COVARIANCE = {4: (16.0, 4.0), 8: (23.0, 1.0), 16: (64.0, 0.25)}  # of sparsity and covariance there
CLASSES, COSINE = 250.0, 50.0


#: What supervised rows hear.
HOW = {"single": "single mixtures", "moms": "mixtures of mixtures"}


def _supervised(m: int, how: str) -> Row:
    return Row(f"fuss_sup_{how}_m{m}", f"Supervised, {HOW[how]}, M = {m}", how,
               {"supervision": how, "n_out": m}, role="supervised", method=f"Supervised, {HOW[how]}",
               headline=(how, m) == ("single", 8))


def _baseline(key: str, m: int, search: str = "", kind: str = "pretrain") -> Row:
    """MixIT alone, from which all others go on."""
    return Row(key, f"MixIT, M = {m}, before", kind, {"n_out": m, "search": search or ("lsq" if m > 8 else "exact")})


def _finetuned(key: str, title: str, m: int, loss: dict, start: str = "", of: str = "", ours: bool = False,
               headline: bool = False, n_seeds: int | None = None, kind: str = "finetune", **changes) -> Row:
    """A baseline that goes on, with something added to its loss."""
    starts = {"start": start or f"pretrain_m{m}"}
    if "classes" in loss or "cosine" in loss:
        kind, starts = "heard", starts | {"classifier": "classifier"}
    search = {"search": "lsq" if m > 8 else "exact"}
    return Row(key, f"{title}, M = {m}", kind, {"n_out": m, "loss": loss} | search | changes, starts, of=of,
               method=title, ours=ours, headline=headline, n_seeds=n_seeds)


def _semantic(key: str, title: str, loss: dict) -> Row:
    return _finetuned(f"audioset_{key}_m4", f"{title}, labelled mixtures", 4, loss, "labelled_pretrain_m4",
                      kind="labelled")


UNLABELLED = tuple(
    _finetuned(f"yfcc_{key}_m{m}", title, m, loss(m), headline=key != "sparsity_cov" and m < 16)
    for key, title, loss in (
        ("baseline", "MixIT", lambda m: {}),
        ("sparsity", "MixIT + sparsity", lambda m: {"sparsity": BEST[m]}),
        ("sparsity_cov", "MixIT + sparsity + covariance", lambda m: dict(
            zip(("sparsity", "covariance"), WITH_COVARIANCE[m]))))
    for m in OUTPUTS)
SEMANTIC = (
    _semantic("baseline", "MixIT", {}),
    _semantic("sparsity", "MixIT + sparsity", {"sparsity": 16.0}),
    _semantic("class", "MixIT + classes", {"classes": CLASSES}),
    _semantic("sparsity_class", "MixIT + sparsity + classes + cosine", {
        "sparsity": 16.0, "classes": CLASSES, "cosine": COSINE}))
SEARCHED = tuple(
    _finetuned(f"yfcc_{key}_m{m}_{search}", f"{title}, {words}", m, loss, f"pretrain_m{m}_{search}", ours=True,
               search=search)
    for key, title, m, search, words, loss in (
        ("baseline", "MixIT", 8, "lsq", "least squares", {}),
        ("baseline", "MixIT", 16, "exact", "exact search", {}),
        ("sparsity", "MixIT + sparsity", 16, "exact", "exact search", {"sparsity": BEST[16]})))

TABLE1 = Table(
    "table1", "1", "Table 1: separation of whatever is there", (MSI, ALONE, TRF, MOMI, NOISY, CLEAN, *RATES, *COUNTS,
                                                                MISSED),
    (*(_supervised(m, "single") for m in OUTPUTS), *(_supervised(m, "moms") for m in (8, 16)), *UNLABELLED, *SEMANTIC,
     *SEARCHED),
    splits={"FUSS": "`sounds`", "Libri2Mix": "`talkers_16k`", "Enhancement": "`noisy_talkers`", "YFCC100m": "`wild`"},
    corpora={"FUSS": "corpus", "Libri2Mix": "speech", "Enhancement": "noisy", "YFCC100m": "wild"}, floor=0.0, caption=(
        "MSi is the SI-SNRi of mixtures of two, three and four sources, which count alike, 1S the SI-SNR of a source "
        "that is heard alone, and TRF the mean over one to four sources. All forgive an output its sign and level, so "
        "that 1S is also high where several outputs hold the whole sound, some with the opposite sign, and cancel each "
        "other in the sum; over-separated are all mixtures, also of one source, in which more outputs are active than "
        "sources, those at most 20 dB below the quietest source. MoMi is the SI-SNRi of two mixtures that were added "
        "up, of which one to which no output belongs counts as -80 dB (as in 1 of 8 pairs with M = 4 and MixIT alone). "
        "S+N is the SI-SNRi of speech in noise, S only the SI-SNR of speech alone. On speech, MSi counts an output "
        "that is nearly silent, and on sounds it leaves it out. M is the number of outputs, and with 16 of them "
        "assignments are found by least squares, else by exact search. Weights are kept by TRF on validation, those of "
        "rows on single mixtures by MSi (at the preset `paper` by TRF, too). Rows on labelled mixtures learn from the "
        "same corpus as the others, so that their baseline is the one with M = 4."),
    stand_ins={"sounds": "Corpus `sounds` stands in for FUSS.",
               "talkers_16k": "Corpus `talkers_16k`, synthetic voices, stands in for Libri2Mix.",
               "noisy_talkers": "Corpus `noisy_talkers` stands in for speech with noise from freesound.",
               "wild": "Corpus `wild`, scenes of which the kit gives out the mixtures alone, stands in for YFCC100m "
                       "and AudioSet."})


# Figure 1: what each weight does

def _sweep(loss: str, words: str, m: int, weights, terms, table1: dict | None = None, compared=(), **more) -> list[Row]:
    """Rows of one loss at several weights; some are those of Table 1, and with some a claim is tested."""
    return [_finetuned(f"{loss}_m{m}_w{w:g}", f"{words}, weight {w:g}", m, terms(w), of=(table1 or {}).get(w, ""),
                       ours=True, n_seeds=None if w in compared else 1, headline=(loss, m) == ("l1l2", 8), **more)
            for w in weights]


WEIGHTS = {m: (best / 4, best, 4 * best) for m, best in BEST.items()}
SEMANTIC_SWEEP = {"start": "labelled_pretrain_m4", "kind": "labelled"}
SWEPT = tuple(row for m in OUTPUTS for row in (
    *_sweep("l1l2", "l1/l2", m, WEIGHTS[m], lambda w: {"sparsity": w},
            {BEST[m]: f"yfcc_sparsity_m{m}"}, compared=WEIGHTS[m]),
    *_sweep("l1", "l1", m, WEIGHTS[m], lambda w: {"sparsity": w, "kind": "l1"},
            compared=(BEST[m],)),
    *_sweep("cov", "covariance", m, (1.0, 32.0), lambda w: {"covariance": w}, compared=(1.0,)),
    *_sweep("l1l2cov", "l1/l2 + covariance", m, (1.0, 32.0), lambda w, m=m: {
        "sparsity": round(8 * m ** 0.5, 1), "covariance": w}),
)) + (*_sweep("or", "classes, OR", 4, (25.0, CLASSES, 4 * CLASSES), lambda w: {"classes": w},
              {CLASSES: "audioset_class_m4"}, **SEMANTIC_SWEEP),
      *_sweep("xor", "classes, XOR", 4, (25.0, CLASSES, 4 * CLASSES), lambda w: {"classes": w, "aggregation": "xor"},
              **SEMANTIC_SWEEP),
      *_sweep("cos", "classes, OR, + cosine", 4, (COSINE,), lambda w: {"classes": CLASSES, "cosine": w},
              **SEMANTIC_SWEEP))

FIGURE1 = Table(
    "figure1", "figure1", "Figure 1: what each loss buys, and what it costs", (MSI, ALONE, TRF), SWEPT,
    splits={"FUSS": "`sounds`"}, corpora={"FUSS": "corpus"}, floor=0.0, caption=(
        "Every point goes on from the baseline with as many outputs M. With the first seed that baseline was trained "
        "twice, and some points, as their records say by their commit, go on from the second training: neighbours with "
        "one seed can differ by that alone. The paper chooses weights by TRF on validation; here TRF is that of the "
        "test. It prints the figure as an image without numbers."),
    stand_ins={"sounds": "Corpus `sounds` stands in for FUSS."})


# Claims. Bounds were fixed before the runs; after them, that e10 also asks for TRF, and that MSi is the mean over
# mixtures of two, three and four sources.

def _cell(row: str, metric: Metric = MSI, split: str = "FUSS") -> Cell:
    return Cell(row, metric, split)


def _gap(a: str, b: str, metric: Metric = MSI, split: str = "FUSS") -> Gap:
    return Gap(_cell(a, metric, split), _cell(b, metric, split))


def _by_m(a: str, b: str, metric: Metric, split: str = "FUSS", **ends) -> list[Bound]:
    """Row `a` minus row `b` for every number of outputs."""
    return [Bound(f"M = {m}", _gap(f"{a}_m{m}", f"{b}_m{m}", metric, split), **ends) for m in OUTPUTS]


BASELINE, SPARSITY, COVARIANCE = "yfcc_baseline", "yfcc_sparsity", "yfcc_sparsity_cov"
LABELLED = {key: f"audioset_{key}_m4" for key in ("baseline", "sparsity", "class", "sparsity_class")}
PAIRS = {f"{HOW[how]}, M = {m}": (f"{BASELINE}_m{m}", f"fuss_sup_{how}_m{m}")
         for how, ms in (("single", OUTPUTS), ("moms", (8, 16))) for m in ms}

CLAIMS = {
    "e01": Claim((every("1S with sparsity − without", _by_m(SPARSITY, BASELINE, ALONE, low=3.0)),)),
    "e02": Claim((largest("TRF with sparsity, M = 16,", _cell(f"{SPARSITY}_m16", TRF), {
        row.title: _cell(row.key, TRF) for row in UNLABELLED if row.key != f"{SPARSITY}_m16"}),
        every("its MSi − supervised, M = 16", (Bound(words, _gap(f"{SPARSITY}_m16", f"fuss_sup_{how}_m16"), low=-0.5)
                                               for how, words in HOW.items())))),
    "e03": Claim((order("1S of the baseline", {f"M = {m}": _cell(f"{BASELINE}_m{m}", ALONE) for m in OUTPUTS}),)),
    "e04": Claim(tuple(order(f"{metric.title} with sparsity", {
        f"M = {m}": _cell(f"{SPARSITY}_m{m}", metric) for m in OUTPUTS[::-1]}) for metric in (MSI, ALONE, TRF))),
    "e05": Claim((every("MSi of two voices, with sparsity − without", _by_m(SPARSITY, BASELINE, MSI, "Libri2Mix",
                                                                          low=0.0)),
                  Bound("with labels, sparsity, classes and cosine − neither", _gap(
                      LABELLED["sparsity_class"], LABELLED["baseline"], MSI, "Libri2Mix"), low=0.0))),
    "e06": Claim((order("weight with the best TRF", {f"M = {m}": Peak({
        w: _cell(f"l1l2_m{m}_w{w:g}", TRF) for w in WEIGHTS[m]}) for m in OUTPUTS[::-1]}, margin=1.0),)),
    "e07": Claim((every("1S with l1/l2 − with l1", [Bound(f"M = {m}", _gap(
        f"{SPARSITY}_m{m}", f"l1_m{m}_w{BEST[m]:g}", ALONE), low=0.0) for m in OUTPUTS]),)),
    "e08": Claim((every("1S with covariance alone − baseline", [Bound(f"M = {m}", _gap(
        f"cov_m{m}_w1", f"{BASELINE}_m{m}", ALONE), high=1.0) for m in OUTPUTS]),
        every("1S with sparsity and covariance − sparsity", _by_m(COVARIANCE, SPARSITY, ALONE, low=0.0)),
        every("MSi with sparsity and covariance − sparsity", _by_m(COVARIANCE, SPARSITY, MSI, low=-1.5, high=0.2)))),
    "e09": Claim(tuple(every(f"MoMi on {TABLE1.splits[split]}, with sparsity − without", _by_m(
        SPARSITY, BASELINE, MOMI, split, high=0.0)) for split in ("FUSS", "YFCC100m"))),
    "e10": Claim(tuple(every(f"{metric.title}, least squares − exact search", (
        Bound(f"M = {m}", _gap(a, b, metric), -0.5, 0.5) for m, a, b in (
            (8, f"{BASELINE}_m8_lsq", f"{BASELINE}_m8"), (16, f"{BASELINE}_m16", f"{BASELINE}_m16_exact"))))
        for metric in (MSI, TRF))),
    "e11": Claim((Bound("1S with classes − without", _gap(LABELLED["class"], LABELLED["baseline"], ALONE), low=1.0),
                  Bound("MSi with classes − without", _gap(LABELLED["class"], LABELLED["baseline"]), low=-0.5),
                  Bound("MSi with sparsity − with classes", _gap(LABELLED["sparsity"], LABELLED["class"]), high=-0.3))),
    "e12": Claim((largest("TRF of all three", _cell(LABELLED["sparsity_class"], TRF), {
        words: _cell(LABELLED[key], TRF) for key, words in (
            ("class", "classes alone"), ("sparsity", "sparsity alone"), ("baseline", "neither"))}),)),
    "e13": Claim(tuple(every(f"{words}, baseline − supervised", [Bound(
        pair, _gap(unsup, sup, metric, split), low=0.0) for pair, (unsup, sup) in PAIRS.items()])
        for words, metric, split in (("MSi of two voices", MSI, "Libri2Mix"), ("S+N", NOISY, "Enhancement")))),
    "e14": Claim((every("1S at four times the weight − at the best", [Bound(f"M = {m}", _gap(
        f"l1l2_m{m}_w{WEIGHTS[m][-1]:g}", f"{SPARSITY}_m{m}", ALONE), low=0.0) for m in OUTPUTS]),
        every("MSi at four times the weight − at the best", [Bound(f"M = {m}", _gap(
            f"l1l2_m{m}_w{WEIGHTS[m][-1]:g}", f"{SPARSITY}_m{m}"), high=0.0) for m in OUTPUTS]))),
}

GRID = Grid(
    title="Wisdom et al., WASPAA 2021: Sparse, Efficient, and Semantic Mixture Invariant Training",
    weak_label="none, or class labels of the mixture", presets=PRESETS, tables=(TABLE1, FIGURE1), claims=CLAIMS,
    shipped="yfcc_sparsity_m8",
    shipped_seed=2,  # the one of three whose outputs do not hold copies that cancel each other, and in part fall silent
    headline=("1S that sparsity adds, eight outputs", _gap("yfcc_sparsity_m8", "yfcc_baseline_m8", ALONE)),
    others=(*(_baseline(f"pretrain_m{m}", m) for m in OUTPUTS), _baseline("pretrain_m8_lsq", 8, "lsq"),
            _baseline("pretrain_m16_exact", 16, "exact"),
            _baseline("labelled_pretrain_m4", 4, kind="labelled_pretrain"),
            Row("classifier", "Classifier of recordings", "classifier", {"stage": "classifier"}, role="reference")))
