"""Rows, presets and claims of *Music Transcription with (Almost) No Supervision* (Shin et al., 2026)."""
from dataclasses import replace

from weaklib.claims import Bound, Cell, Claim, Either, Gap, Ratio, every, order
from weaklib.grids import Grid, Preset
from weaklib.papers.shin2026 import Config, Critic, Loss, Net
from weaklib.tables import Metric, Row, Table
from weaklib.training import Plan

#: What a training of minutes has in place of the published weights, which at this length drown the anchor.
QUICK = Loss(supervised=20.0, reverse=20.0, warmup=100)
PLAN = Plan(lr=2e-3, warmup=50, weight_decay=0.01, clip=1.0, ema=0.99, betas=(0.9, 0.99))
#: Paired chunks from which unpaired-only trainings are told where the pitches lie before they are left alone.
TOLD = 0.1
MUCH = 0.05  # paired share from which trainings are longer


def _small(width: int, **given) -> Config:
    """Small networks that keep every component. They see 88 bins and 1.28 s, and their latents 22 places of pitch."""
    net = Net((width, 3 * width // 2), ((2, 1),), n_blocks=1, attention=0, stem=(4, 4))
    critic = Critic(width // 2, width, n_layers=2, n_scales=2, kernel=(3, 3), stem=(2, 2))
    return Config(**{"bins_per_octave": 12, "n_frames": 64, "batch": 4, "pool": 64, "vae_net": net, "generator": net,
                     "critic_cqt": critic, "critic_latent": replace(critic, stride=(1, 1), stem=(1, 1)),
                     "loss": QUICK, "plan": PLAN} | given)


def _kinds(vae: int, paired: int, both: int, told: int, much: int, ensembles: tuple[int, int, int],
           n_blocks: int = 1, batch: int = 8, few: float = 0.015, **vae_more) -> dict:
    """Steps of the VAE, of trainings on pairs alone, and of those with unpaired data; steps before the anchor goes;
    steps where so much is paired that a training is not done with it sooner; steps of several instruments, on all
    pairs, on few, and on few with unpaired data; the residual blocks of each stage of a generator; and the batch of
    several instruments.

    Table 5 has 6 minutes of pairs and 60 without: of one hour in all, a tenth and ten times the smallest share.
    """
    def plan(steps, **more):
        return {"plan": {"steps": steps, "warmup": min(PLAN.warmup, steps // 4), "validate_every": max(1, steps // 5),
                         **more}}

    alone = plan(both, keep="last")  # or weights would be kept that had not been left alone yet
    generator = {"generator": {"n_blocks": n_blocks}}
    many = {"corpus": "chamber", "scores": "chamber", "instruments": 11}
    piano, chamber = generator | {"also": "guitar"}, generator | many | {"audio": "chamber_pool", "batch": batch}
    scores = {"stage": "vae", "batch": 16} | vae_more
    return {"vae": scores | plan(vae), "chamber_vae": scores | many | plan(4 * vae),  # sparser scores, learned later
            "paired": piano | plan(paired), "both": piano | plan(both),
            "much_paired": piano | plan(much), "much_both": piano | plan(much),
            "stable": piano | alone | {"paired": TOLD, "release": told},
            "shifted": piano | alone | {"paired": TOLD, "release": told, "shift": 2},
            "few": generator | plan(paired) | {"paired": 0.001}, "few_both": generator | plan(both) | {
                "paired": 0.001, "audio_share": 0.01, "scores_share": 0.01},
            "chamber": chamber | plan(ensembles[0]), "few_chamber": chamber | plan(ensembles[1]) | {"paired": few},
            "few_chamber_both": chamber | plan(ensembles[2]) | {"paired": few}}


def _scores(batch: int, steps: int) -> dict:
    """The VAE as published: by Adam, for 200 epochs; its batch and precision are those of the released code."""
    return {"stage": "vae", "batch": batch, "plan": {"steps": steps, "warmup": 1000, "weight_decay": 0.0,
                                                     "betas": (0.9, 0.999)}}


# Six minutes, and an hour, of the 161.1 h of MAESTRO. Nothing is planted there: the two rows without pairs are one run.
MINUTES, HOUR = 0.1 / 161.1, 1 / 161.1
MAESTRO, ALONE = {"also": "guitar"}, {"also": "guitar", "paired": 0.0}
MUSICNET = {"corpus": "musicnet_em", "scores": "musicnet_em_pool", "audio": "gardner", "instruments": 11, "batch": 32,
            "audio_share": 32.1 / 303, "loss": {"warmup": 2000}, "plan": {"steps": 500_000}}
FEW_SONGS = MUSICNET | {"corpus": "musicnet_em_cover", "paired": 1.0}  # a corpus of three songs

PRESETS = {
    "smoke": Preset(_small(16, preset="smoke", n_frames=32, pool=8), _kinds(6, 4, 4, 2, 4, (4, 4, 4), few=0.2)),
    "laptop": Preset(_small(32), _kinds(350, 350, 400, 150, 1000, (1000, 350, 400))),
    "full": Preset(_small(32), _kinds(350, 600, 700, 300, 2400, (3000, 800, 1000), n_blocks=2)),
    "gpu": Preset(_small(64, preset="gpu", n_frames=128, batch=16),
                  _kinds(1500, 1500, 2000, 500, 4000, (6000, 1500, 2000), n_blocks=2, batch=16)),
    "paper": Preset(Config(preset="paper", partners=True), {
        "vae": _scores(batch=128, steps=176_400),
        "chamber_vae": {"corpus": "musicnet_em", "scores": "musicnet_em", "instruments": 11} | _scores(64, 65_600),
        **dict.fromkeys(("paired", "both", "much_paired", "much_both"), MAESTRO), "stable": ALONE, "shifted": ALONE,
        "few": {"paired": MINUTES}, "few_both": {"paired": MINUTES, "audio_share": HOUR, "scores_share": HOUR},
        "chamber": MUSICNET, "few_chamber": FEW_SONGS, "few_chamber_both": FEW_SONGS,
    }, {"piano": "maestro", "piano_pool": "maestro", "guitar": "guitarset"}),
}

F1 = Metric("frame_f1", "Frame F1", "%")
CHUNKS = Metric("frame_f1_chunks", "Frame F1, mean over chunks", "%")
SHIFTED_F1 = Metric("best_shift_f1", "Frame F1 at the best shift", "%", shown=False)
SHIFT = Metric("best_shift", "best shift", "semitones", better="", shown=False)
MULTI = Metric("multi_inst_frame_f1", "multi-instrument Frame F1", "%")
RELEASED = Metric("multi_inst_frame_f1_released", "the same by the released formula", "%", shown=False)
PIANO, GUITAR, CHAMBER = "MAESTRO test", "GuitarSet test", "MusicNet-EM test"
ON = {PIANO: "corpus", GUITAR: "also"}
#: The best guesses that do not listen, always the commonest pitches, reach 17.6 % on `piano`, 15.3 % on `guitar` and
#: 11.7 % on `chamber`.
DEAF, DEAF_TO_GUITAR, DEAF_TO_ENSEMBLES = 18.0, 16.0, 12.0
UNPAIRED, NONE = {"audio_share": 1.0, "scores_share": 1.0}, {"audio_share": 0.0, "scores_share": 0.0}
PIANO_STAND_INS = {"piano": "Corpora `piano` and `piano_pool`, rendered solo piano, stand in for MAESTRO: one hour in "
                            "place of 161, at the preset `gpu` four."}
STAND_INS = PIANO_STAND_INS | {"guitar": "Corpus `guitar`, rendered, stands in for GuitarSet."}
AVERAGES = ("Frame F1 counts notes over the whole split; beside it stands the mean over chunks, as in the "
            "released code, to which a silent chunk adds 0.")


# Table 1

def _row(key: str, title: str, kind: str, changes: dict, vae: str = "vae", **more) -> Row:
    return Row(key, title, kind, changes, {"vae": vae}, **more)


def _share(ratio: str, share: float, headline: bool = True, ours: bool = False, **more) -> tuple[Row, Row]:
    """Pairs alone, and with all the rest."""
    words, paired, much = f"{100 * share:g} % paired", {"paired": share}, "much_" if share >= MUCH else ""
    return (_row(f"{ratio}_paired_only", f"{words}, paired only", f"{much}paired", paired | NONE, role="supervised",
                 method="Paired only", headline=headline, ours=ours, **more),
            _row(f"{ratio}_paired_unpaired", f"{words}, paired + unpaired", f"{much}both", paired | UNPAIRED,
                 method="Paired + unpaired", headline=headline, ours=ours, **more))


SHARES = {"r1_1000": 0.001, "r1_100": 0.01, "r1_19": 0.05, "r1_9": 0.1}
MAIN = Table(
    "table1", "1", "Table 1: how much must be paired", (F1, CHUNKS, SHIFTED_F1, SHIFT), (
        _row("r0_1_unpaired_shifted", "Unpaired only, begun two semitones off", "shifted", UNPAIRED, role="reference",
             headline=True),
        _row("r0_1_unpaired_stable", "Unpaired only, begun right", "stable", UNPAIRED, role="reference", headline=True),
        _row("unpaired_only", "Unpaired only", "both", {"paired": 0.0} | UNPAIRED, role="reference", headline=True,
             ours=True),
        *_share("r1_1000", SHARES["r1_1000"]),
        *_share("r1_333", 0.003, ours=True, n_seeds=1),
        *_share("r1_100", SHARES["r1_100"]),
        _row("r1_100_long", "1 % paired, paired + unpaired, trained as long as below", "much_both", {
            "paired": 0.01} | UNPAIRED, ours=True),
        *_share("r1_19", SHARES["r1_19"], headline=False),
        *_share("r1_9", SHARES["r1_9"]),
        _row("r1_0_paired_only", "100 % paired, paired only", "much_paired", {"paired": 1.0} | NONE, role="supervised",
             method="Paired only", headline=True),
    ), splits={PIANO: "piano", GUITAR: "guitar"}, corpora=ON, floor=DEAF, caption=(
        f"Shares are of the training chunks; the paper has 0.1, 1, 5, 10 and 100 %, and 0.3 % is ours. {AVERAGES} On "
        "guitar no model was trained, so that the two columns are Figure 4. Of the paper's two runs on unpaired data "
        "only, one came out shifted by itself. Here one is begun on a tenth of the pairs with scores two semitones "
        "off, the other on the same pairs as they are, before either is left alone (at the preset `paper` nothing is "
        "planted, and both rows are one run); † the third never saw a pair. Departures from the paper, without which "
        "the anchor drowns in so short a training: the two paired losses weigh 20 in place of 1, networks are small, "
        "trainings with 5 % of pairs or more take longer than the others (at `full` 2,400 steps in place of 600, or of "
        "700 with unpaired data), and the constant-Q transform has 12 bins per octave. Weights are kept by F1 on "
        "validation, but for the two rows that are left alone, which keep their last ones."), stand_ins=STAND_INS)


# Tables 2 to 5

def _shown(key: str, title: str, of: str, only: str = "", headline: bool = False, **more) -> Row:
    """A row that reports on the runs of another."""
    return Row(key, title, of=of, only=only, headline=headline, **more)


def _pools(key: str, title: str, audio: float, scores: float, headline: bool = False, **more) -> Row:
    """One percent of pairs, and a share of the unpaired audio and scores."""
    return _row(key, title, "both", {"paired": 0.01, "audio_share": audio, "scores_share": scores}, headline=headline,
                **more)


MODALITY = Table(
    "table2", "2", "Table 2: unpaired audio or unpaired scores", (F1, CHUNKS), (
        _shown("paired_only", "Paired only", "r1_100_paired_only", headline=True, role="supervised"),
        _pools("audio_only_90", "+ unpaired audio, 1:90", 0.9, 0.1, headline=True),
        _pools("score_only_90", "+ unpaired scores, 1:90", 0.1, 0.9, headline=True),
        _pools("audio_score_90", "+ both, 1:90", 0.9, 0.9),
        _shown("audio_score_100", "+ both, 1:100", "r1_100_paired_unpaired", headline=True),
    ), splits={PIANO: ""}, corpora={PIANO: "corpus"}, floor=DEAF, caption=(
        "All rows have 1 % of the pairs. A row with audio alone or scores alone still has ten times the paired "
        f"amount of the other, as Section 5.3 of the paper says, and not none. {AVERAGES}"), stand_ins=PIANO_STAND_INS)


def _critical(key: str, title: str, **guest) -> Row:
    """A row with a critic of scores that weighs more: what it wants is what the unpaired scores are like."""
    return _row(key, f"Score critic x 3: {title}", "both", {
        "paired": 0.01, "loss": {"adversarial_latent": 3.0}} | guest | UNPAIRED, ours=True)


ADAPTATION = Table(
    "table3", "3", "Table 3: unlabelled audio of another instrument", (F1, CHUNKS), (
        _shown("maestro_test_maestro_only", "Piano pool, on piano", "r1_100_paired_unpaired", PIANO, headline=True),
        _row("maestro_test_plus_guitarset_audio", "+ guitar audio, on piano", "both", {
            "paired": 0.01, "guest": "guitar"} | UNPAIRED, only=PIANO, headline=True),
        _shown("guitarset_test_maestro_only", "Piano pool, on guitar", "r1_100_paired_unpaired", GUITAR, headline=True),
        _shown("guitarset_test_plus_guitarset_audio", "+ guitar audio, on guitar",
               "maestro_test_plus_guitarset_audio", GUITAR, headline=True),
        _critical("critical_piano", "piano pool"),
        _critical("critical_guitar_audio", "+ guitar audio", guest="guitar"),
        _critical("critical_guitar_scores", "+ guitar audio, and scores of other guitar pieces", guest="guitar",
                  guest_scores=True),
    ), splits={PIANO: "piano", GUITAR: "guitar"}, corpora=ON, caption=(
        "All rows have 1 % of the piano pairs. The paper does not say what its test split of GuitarSet is. Here the "
        "guitar is heard in training without its scores and tested on other pieces; of GuitarSet itself, "
        "progressions 1 and 2 are for training, and 3 is for testing. The adversarial loss of the latents, which makes "
        "transcriptions resemble the unpaired scores, weighs three times as much in the last three rows, and in the "
        f"last one half of these scores are of guitar music. {AVERAGES}"), stand_ins=STAND_INS)

ZERO_SHOT = Table(
    "table4", "4", "Table 4: guitar, by models that never heard one", (F1, CHUNKS), (
        _shown("paired_only_1h6", "1 % paired, paired only", "r1_100_paired_only", headline=True, role="supervised"),
        _shown("paired_unpaired_1_100", "1 % paired, paired + unpaired", "r1_100_paired_unpaired", headline=True),
        _shown("paired_only_full", "100 % paired, paired only", "r1_0_paired_only", headline=True, role="supervised"),
    ), splits={GUITAR: ""}, corpora=ON, floor=DEAF_TO_GUITAR, caption=(
        f"The models of Table 1, none of which has heard a guitar in training, are tested on one. {AVERAGES}"),
    stand_ins=STAND_INS)

OVERFITTING = Table(
    "table5", "5", "Table 5: unpaired data against overfitting", (F1, CHUNKS), (
        _row("paired_6min", "0.1 % paired", "few", NONE, role="supervised", headline=True),
        _row("paired_6min_unpaired_60min", "+ ten times as much unpaired", "few_both", {}, headline=True),
    ), splits={"MAESTRO train": "training", "MAESTRO val": "validation", PIANO: "test"}, corpora={PIANO: "corpus"},
    parts={"MAESTRO train": "train", "MAESTRO val": "validation"}, caption=(
        "The paper has 6 minutes of pairs and 60 minutes of unpaired data; here there is one hour in all, of which "
        "0.1 % and 1 %, a few seconds and half a minute, take their place. F1 on training is that of the paired "
        f"chunks. {AVERAGES}"),
    stand_ins=PIANO_STAND_INS)


# Table 6

MULTI_INSTRUMENT = Table(
    "table6", "6", "Table 6: several instruments", (F1, MULTI, CHUNKS, RELEASED), (
        _row("paired_only_0h47", "1.5 % paired, paired only", "few_chamber", NONE, "chamber_vae", role="supervised"),
        _row("paired_unpaired_0h47", "1.5 % paired, paired + unpaired", "few_chamber_both", {}, "chamber_vae"),
        _row("paired_only_32h6", "100 % paired, paired only", "chamber", {"paired": 1.0} | NONE, "chamber_vae",
             role="supervised"),
    ), splits={CHAMBER: ""}, corpora={CHAMBER: "corpus"}, floor=DEAF_TO_ENSEMBLES, caption=(
        "Frame F1 asks which pitches sound, multi-instrument Frame F1 also which instrument plays them. Both count "
        "notes over the whole split: by the released formula a perfect transcription of MusicNet-EM would reach "
        "17.5 %, less than the paper prints, so that the paper must have used another. Training on all pairs takes at "
        "least three times as many steps as on few of them, and unpaired data up to a third more."), stand_ins={
        "chamber": "Corpora `chamber` and `chamber_pool`, rendered ensembles, stand in for MusicNet-EM and for the "
                   "recordings of the Gardner Museum."})


# Figure 3, Figure 5

DETECTOR = Table(
    "figure3", "figure3", "Figure 3: wrong by a shift", (F1, replace(SHIFTED_F1, shown=True),
                                                         replace(SHIFT, shown=True)), (
        _shown("figure3_shifted", "Unpaired only, begun two semitones off", "r0_1_unpaired_shifted", headline=True,
               ours=True, role="reference"),
        _shown("figure3_stable", "Unpaired only, begun right", "r0_1_unpaired_stable", headline=True, ours=True,
               role="reference"),
        _shown("figure3_unpaired", "Unpaired only", "unpaired_only", headline=True, ours=True, role="reference"),
        _shown("figure3_anchored", "1 % paired, paired + unpaired", "r1_100_paired_unpaired", headline=True,
               ours=True)),
    splits={PIANO: ""}, corpora={PIANO: "corpus"}, caption=(
        "Each transcription is shifted by -12 to 12 semitones to where it fits best: one that is wrong by a shift is "
        "nearly right there, and the cycle losses do not show the difference. The paper shows pictures without "
        "numbers."),
    stand_ins=PIANO_STAND_INS)

BUDGETS = Table(
    "text", "text", "Section 5.3 and Figure 5: how much of the minor modality", (F1, CHUNKS), (
        _pools("fig5_audio_heavy_1x", "1:90:1, audio-heavy", 0.9, 0.01, ours=True),
        _pools("fig5_score_heavy_1x", "1:1:90, score-heavy", 0.01, 0.9, ours=True),
        _shown("fig5_audio_heavy_10x", "1:90:10, audio-heavy", "audio_only_90", headline=True),
        _shown("fig5_score_heavy_10x", "1:10:90, score-heavy", "score_only_90", headline=True),
        _shown("fig5_both_90x", "1:90:90, both", "audio_score_90")),
    splits={PIANO: ""}, corpora={PIANO: "corpus"}, floor=DEAF, caption=(
        "Rows are named by the ratio of paired data to audio to scores, and all have 1 % of the pairs. Figure 5 "
        "shows F1 over the training; here it is that of the best step by validation. The paper says that audio-heavy "
        "and both end above 72 where the minor modality has ten times the paired amount, and that audio-heavy "
        f"collapses where it has as much as is paired. {AVERAGES}"), stand_ins=PIANO_STAND_INS)


# Claims. Bounds were fixed before the runs; after them, that s02 compares rows with as many steps, and that s04 and s05
# look at runs that never saw a pair.

def _cell(row: str, split: str = PIANO, metric: Metric = F1) -> Cell:
    return Cell(row, metric, split)


def _gap(a: str, b: str, split: str = PIANO, metric: Metric = F1) -> Gap:
    return Gap(_cell(a, split, metric), _cell(b, split, metric))


def _overfit(row: str) -> Gap:
    return Gap(_cell(row, "MAESTRO train"), _cell(row))


FULL, ANCHORED = "r1_0_paired_only", "r1_100_paired_unpaired"
SHIFTED, STABLE = "r0_1_unpaired_shifted", "r0_1_unpaired_stable"
#: What the paper prints under the title of another row.
AS_LONG = Either((_cell("r1_100_long"), _cell(ANCHORED)))
NEVER = Either((_cell("unpaired_only"), _cell(STABLE)))
GAINS = {f"{100 * share:g} %": _gap(f"{ratio}_paired_unpaired", f"{ratio}_paired_only")
         for ratio, share in SHARES.items()}
ADAPTED, UNADAPTED = "guitarset_test_plus_guitarset_audio", "guitarset_test_maestro_only"
FEW, FEW_UNPAIRED = "paired_6min", "paired_6min_unpaired_60min"
FEW_SONGS_ONLY, FEW_SONGS_BOTH, ALL_SONGS = (row.key for row in MULTI_INSTRUMENT.rows)


def _of_shift(row: str) -> Gap:
    """What the best shift adds: nothing, unless a model is wrong by a shift."""
    return Gap(_cell(row, metric=SHIFTED_F1), _cell(row))


CLAIMS = {
    "s01": Claim((Bound("with unpaired data − without, 1 %", GAINS["1 %"], low=2.0),)),
    "s02": Claim((Bound("1 % paired + unpaired, of 100 % paired", Ratio(AS_LONG, _cell(FULL)), low=85),)),
    "s03": Claim((order("gain", GAINS), Bound("gain at 10 %", GAINS["10 %"], low=0.0))),
    "s04": Claim((Bound("begun right − begun shifted", _gap(STABLE, SHIFTED), low=20.0),
                  Bound("begun shifted, at the best shift − as it is", _of_shift(SHIFTED), low=10.0),
                  Bound("never paired, at the best shift − as it is", _of_shift("unpaired_only"), low=10.0))),
    "s05": Claim((Bound("1 % paired + unpaired, at the best shift − as it is", _of_shift(ANCHORED), high=0.5),
                  Bound("0.1 % paired + unpaired − unpaired only", Gap(_cell("r1_1000_paired_unpaired"), NEVER),
                        low=0.0))),
    "s06": Claim((order("F1", {"with audio": _cell("audio_only_90"), "with scores": _cell("score_only_90"),
                               "paired only": _cell("paired_only")}),)),
    "s07": Claim((Bound("score-heavy − audio-heavy, 1 x", _gap("fig5_score_heavy_1x", "fig5_audio_heavy_1x"), low=0.0),
                  Bound("audio-heavy, 10 x − 1 x", _gap("fig5_audio_heavy_10x", "fig5_audio_heavy_1x"), low=2.0),
                  Bound("score-heavy, 10 x − paired only", _gap("fig5_score_heavy_10x", "paired_only"), low=0.0))),
    "s08": Claim((Bound("with unpaired piano − without", _gap("paired_unpaired_1_100", "paired_only_1h6", GUITAR),
                        low=1.0),)),
    "s09": Claim((Bound("1 % paired + unpaired − 100 % paired", _gap("paired_unpaired_1_100", "paired_only_full",
                                                                     GUITAR), low=-1.0),)),
    "s10": Claim((Bound("with guitar audio − without", _gap(ADAPTED, UNADAPTED, GUITAR), low=2.0),
                  Bound("with guitar audio − 100 % paired", _gap(ADAPTED, "paired_only_full", GUITAR), low=0.0))),
    "s11": Claim((Bound("on piano, with guitar audio − without", _gap(
        "maestro_test_plus_guitarset_audio", "maestro_test_maestro_only"), low=-1.0),)),
    "s12": Claim((Bound("on test, with unpaired data − without", _gap(FEW_UNPAIRED, FEW), low=2.0),
                  Bound("training − test, without unpaired data − with it", Gap(_overfit(FEW), _overfit(FEW_UNPAIRED)),
                        low=5.0))),
    "s13": Claim((every("with unpaired data − without", (Bound(metric.title, _gap(
        FEW_SONGS_BOTH, FEW_SONGS_ONLY, CHAMBER, metric), low=2.0) for metric in (F1, MULTI))),)),
    "s14": Claim((every("100 % paired − 1.5 % paired + unpaired", (Bound(metric.title, _gap(
        ALL_SONGS, FEW_SONGS_BOTH, CHAMBER, metric), low=10.0) for metric in (F1, MULTI))),)),
}

GRID = Grid(
    title="Shin et al., 2026: Music Transcription with (Almost) No Supervision", weak_label="one percent of the scores",
    presets=PRESETS, tables=(MAIN, MODALITY, ADAPTATION, ZERO_SHOT, OVERFITTING, MULTI_INSTRUMENT, DETECTOR, BUDGETS),
    claims=CLAIMS, shipped=ANCHORED,
    headline=("1 % paired + unpaired, of 100 % paired", Ratio(AS_LONG, _cell(FULL))),
    others=(Row("vae", "Autoencoder of piano scores", "vae", role="reference"),
            Row("chamber_vae", "Autoencoder of ensemble scores", "chamber_vae", role="reference")))
