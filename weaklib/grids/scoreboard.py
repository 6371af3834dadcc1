"""Rows, presets and questions of the scoreboard: the same songs with every kind of label."""
from dataclasses import replace

from weaklib.claims import Bound, Cell, Claim, Gap
from weaklib.corpora.band import POOL
from weaklib.grids import Grid, Preset, wisdom2020
from weaklib.grids.hung2021 import QUICK
from weaklib.papers.scoreboard import Config, Net
from weaklib.tables import Metric, Row, Table
from weaklib.training import Plan

KINDS = ("separator", "transcriptor", "classifier", "listener")


def _plans(**plans: Plan) -> dict:
    """What is special to each kind: its stage and its plan. A listener hears more clips at once, to compare them."""
    return {kind: {"stage": kind, "plan": plan} for kind, plan in plans.items()}


def _listening(kinds: dict, batch: int) -> dict:
    return kinds | {"listener": kinds["listener"] | {"batch": batch}}


PRESETS = {
    "smoke": Preset(Config(preset="smoke", batch=2, net=Net(8, 16, 8, 1, 3), loss=QUICK), _listening(
        _plans(**dict.fromkeys(KINDS, Plan(steps=4, warmup=2, validate_every=2))), 4)),
    "laptop": Preset(Config(net=Net(64, 128, 64, 2, 7), loss=QUICK), _listening(_plans(
        separator=Plan(steps=800, lr=3e-3, validate_every=200),
        transcriptor=Plan(steps=1500, lr=3e-3, validate_every=250),
        classifier=Plan(steps=1500, lr=3e-3, validate_every=250),
        listener=Plan(steps=400, lr=1e-3, validate_every=100)), 32)),
    # The network of hung2021 as published, on five times as many songs; half the steps that its preset has.
    "gpu": Preset(Config(preset="gpu", batch=32, loss=QUICK), _listening(_plans(**dict.fromkeys(KINDS, Plan(
        steps=5000, lr=1e-3, warmup=200, ema=0.999, validate_every=500, precision="bf16-mixed"))), 64)),
}

SI_SDR = Metric("si_sdr", "SI-SDR", "dB")
F1 = Metric("frame_f1", "frame F1", "ratio")
NOTE_F1 = Metric("onset_f1", "onset F1", "ratio")
NAMED = Metric("named", "stems named", "%")
SPLITS = {"avg": "average", "bass": "bass", "guitar": "guitar", "piano": "piano"}


# Separation

def _row(key: str, title: str, learns: str, critic: str = "", headline: bool = False, role: str = "weak",
         loss: dict | None = None, **changes) -> Row:
    return Row(key, title, "separator", {"learns": learns, "loss": loss or {}} | changes,
               {"critic": critic} if critic else {}, headline=headline, role=role)


def _stems(percent: int, title: str, **more) -> Row:
    return _row(f"stems_{percent}", title, "stems", share=percent / 100, role="supervised", **more)


BY_NAME = {"score": 0.0, "h_mix": 0.0}
SEPARATION = Table(
    "separation", "1", "Separation: what the label was", (SI_SDR,), (
        Row("input_mixture", "The mixture itself", changes={"stage": "input"}, role="reference", headline=True,
            random=False),
        Row("ideal", "Ideal ratio masks (oracle)", changes={"stage": "ideal"}, role="reference", headline=True,
            random=False),
        _row("nothing", "Nothing: MixIT, outputs named by an oracle", "nothing", headline=True),
        _row("activity", "Who plays: classifier as critic, c-mix", "critic", "classifier", headline=True,
             loss={"h_mix": 0.0}),
        _row("activity_apart", "Who plays: clips without a common instrument, added up", "apart", headline=True),
        _row("text", "A sentence: audio-text critic as it is, c-mix", "sentence", "listener_frozen", headline=True,
             loss=BY_NAME),
        _row("text_adapted", "A sentence: audio-text critic that learned from the sentences, c-mix", "sentence",
             "listener", loss=BY_NAME),
        _row("score", "The score: transcriptor as critic, c-mix and h-mix", "critic", "notes_100", headline=True),
        _row("score_apart", "The score: the same, and clips without a common instrument, added up", "critic and apart",
             "notes_100"),
        _row("unpaired", "Scores of other songs: transcriptor of played scores as critic, and its notes", "critic",
             "notes_unpaired", notes="critic"),
        _row("played", "Scores of other songs: stems of played scores", "stems", heard=POOL),
        _stems(1, "Stems of 1 % of the songs"),
        _stems(5, "Stems of 5 % of the songs", headline=True),
        _stems(10, "Stems of 10 % of the songs"),
        _stems(100, "Stems of all songs", headline=True),
        _row("score_stems_5", "The score, and stems of 5 % of the songs", "critic and stems", "notes_100", stems=0.05),
    ), splits=SPLITS, printed=False, floor="input_mixture", caption=(
        "SI-SDR on held-out songs; one separator, the same songs and as many steps for every row. Critics are trained "
        "beside that; the classifier gives one answer per clip. Rows that add clips up hear two for one of the "
        "others. The oracle that names MixIT's outputs gives each stem the sum of them that fits it best. One percent "
        "of the songs are two."))


#: What each row of separation is called in a figure, after the kind of its label.
POINTS = {
    "nothing": ("nothing", "nothing"),
    "activity": ("who plays", "who plays, critic"),
    "activity_apart": ("who plays", "who plays, added up"),
    "text": ("a sentence", "sentence, critic as it is"),
    "text_adapted": ("a sentence", "sentence, critic adapted"),
    "score": ("the score", "score, critic"),
    "score_apart": ("the score", "score, critic, added up"),
    "unpaired": ("other scores", "other scores, critic"),
    "played": ("other scores", "other scores, their stems"),
    **{f"stems_{p}": ("stems", f"stems {p} %") for p in (1, 5, 10, 100)},
    "score_stems_5": ("score and stems", "score, stems 5 %"),
}


# Transcription, and what critics hear

def _notes(key: str, title: str, role: str = "weak", headline: bool = False, **changes) -> Row:
    return Row(key, title, "transcriptor", {"stage": "transcriptor"} | changes, headline=headline, role=role)


def _critic(key: str, title: str, kind: str, changes: dict | None = None, headline: bool = False) -> Row:
    starts = {"start": "mahmud2024/critic"} if kind == "listener" else {}
    return Row(key, title, kind, changes or {}, starts, headline=headline, role="reference")


TRANSCRIPTION = Table(
    "transcription", "2", "Transcription: how many scores it takes", (F1, NOTE_F1), (
        *(_notes(f"notes_{p}", f"Scores of {p} % of the songs", share=p / 100) for p in (1, 5, 10)),
        _notes("notes_100", "Scores of all songs", role="supervised", headline=True),
        _notes("notes_unpaired", "Scores of other songs, played by a synthesiser", heard=POOL),
    ), splits=SPLITS, printed=False, floor=0.13,  # of the best guess that does not listen, always the commonest pitches
    caption="F1 of the notes of held-out mixtures, counted by frame and by onset (within 50 ms), at thresholds chosen "
            "on validation; whoever knows only who plays, or nothing, writes no notes.")

#: What each row of transcription is called in a figure, likewise.
NOTES = {
    **{f"notes_{p}": ("scores", f"scores {p} %") for p in (1, 5, 10, 100)},
    "notes_unpaired": ("other scores", "other scores, played"),
}

CRITICS = Table(
    "critics", "3", "What critics hear in single stems", (NAMED,), (
        _critic("classifier", "Classifier of who plays", "classifier", headline=True),
        _critic("listener_frozen", "Audio-text model as it is", "listener", {"plan": {"steps": 0}}, headline=True),
        _critic("listener", "Audio-text model that learned from the sentences", "listener"),
    ), splits=SPLITS, printed=False, floor=100 / 3, caption=(
        "Of the stems of held-out clips in which they play, heard alone, those that a critic takes for what they are; "
        "a third by chance."))


# Other sound: rows of another paper's, whose records fill them

#: Rows of wisdom2020's Table 1, by what is known of the sounds that they learn from.
ON_SOUNDS = {
    "unsup_yfcc": "Nothing: MixIT on mixtures of another place, `wild`",
    "unsup_fuss16": "Nothing: MixIT",
    "fuss8_p00_fuss8": "Half of the sounds alone: PIT and MixIT",
    "fuss8_p02_fuss8": "Half of the sounds alone: PIT with p0 = 0.2, and MixIT",
    "fuss16_p00": "All sounds alone: PIT",
    "fuss16_p02": "All sounds alone: PIT with p0 = 0.2",
    "fuss16_p00_yfcc": "All sounds alone, and mixtures of `wild`: PIT and MixIT",
    "fuss16_p02_yfcc": "All sounds alone, and mixtures of `wild`: PIT with p0 = 0.2, and MixIT",
}
SOUNDS = replace(
    wisdom2020.UNIVERSAL, title="Separation of whatever sounds: what the label was",
    metrics=(wisdom2020.MSI, replace(wisdom2020.SS, title="1S")), splits={"FUSS": "`sounds`"},
    rows=tuple(replace(row, title=title) for key, title in ON_SOUNDS.items()
               for row in wisdom2020.UNIVERSAL.rows if row.key == key),
    caption=(
        "These are the rows of wisdom2020's Table 1 in the order of their labels, and its records; nothing was trained "
        "for this table. MSi is the SI-SNRi of mixtures of two to four sounds, 1S the SI-SNR of a sound that is heard "
        "alone. All rows train the same network, with eight outputs, for as many steps. p0 is the probability that a "
        "supervised example is one mixture instead of two. Nobody writes a score of a slamming door, so that the score "
        "has no row; and the models that learn from a text (mahmud2024) or from class labels (wisdom2021) have other "
        "networks and other steps, so that they have none either."))


# Questions. Bounds were fixed before the runs.

def _sdr(row: str, split: str = "avg") -> Cell:
    return Cell(row, SI_SDR, split)


def _more(words: str, a: str, b: str, low: float) -> Bound:
    return Bound(words, Gap(_sdr(a), _sdr(b)), low=low)


CLAIMS = {
    "q01": Claim((_more("score − who plays", "score", "activity", 0.5),
                  _more("score − who plays, added up", "score", "activity_apart", 0.5)),
                 "A score is worth more than knowing who plays."),
    "q02": Claim((_more("score − stems of 5 %", "score", "stems_5", 0.0),),
                 "The scores of all songs are worth as much as the stems of a twentieth of them."),
    "q03": Claim((_more("unpaired − who plays", "unpaired", "activity", 0.0),),
                 "Scores of other songs are worth as much as knowing who plays."),
    "q04": Claim((_more("with stems of 5 % − score", "score_stems_5", "score", 0.2),
                  _more("with the score − stems of 5 %", "score_stems_5", "stems_5", 0.2)),
                 "The score and a few stems together are worth more than either."),
    "q05": Claim((_more("sentence, adapted − as it is", "text_adapted", "text", 0.5),),
                 "A critic that never heard these instruments teaches less than one that did."),
}

GRID = Grid(
    title="How much is a weak label worth?", weak_label="every kind", presets=PRESETS,
    tables=(SEPARATION, TRANSCRIPTION, CRITICS), claims=CLAIMS, shipped="",
    headline=("what the score reaches of what stems reach, in dB above the mixture",
              Gap(_sdr("score"), _sdr("input_mixture"))))
