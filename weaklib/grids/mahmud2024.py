"""Rows, presets and claims of *Weakly-supervised Audio Separation via Bi-modal Semantic Similarity* (Mahmud, 2024)."""
from dataclasses import replace

from weaklib.claims import Bound, Cell, Claim, Either, Gap, Ratio, every, order
from weaklib.grids import Grid, Preset
from weaklib.papers.mahmud2024 import SEEN, UNTRAINED, Config, Loss, Net
from weaklib.tables import Metric, Row, Table
from weaklib.training import Plan

#: The published weights; a critic that knows fewer classes would else often hold two of one against each other.
QUICK = Loss(positives=True)
PLAN = Plan(lr=1.5e-3, ema=0.98)
#: Sources in a mixture, and what the paper calls rows that learned from them.
KS = {1: "sup", 2: "src2", 3: "src3", 4: "src4"}


def _small(width: int, levels: int, most: int, rows: int, **given) -> Config:
    """A small network that keeps every component, and hears half of a clip at a time."""
    return Config(**{"sr": 8000, "n_fft": 512, "rows": rows, "scaled": 1.0, "crop": 8192, "augment": True,
                     "loss": QUICK, "net": Net(levels, width, most, film="affine"), "plan": PLAN} | given)


def _kinds(first: int, then: int, critic: int, batch: int) -> dict:
    """Steps of what others start from, of what starts from it, of both together, and of a critic.

    With the full loss a step has 1 + K times as many answers to a mixture of mixtures as with the first loss alone; it
    has fewer mixtures in return.
    """
    def plan(steps, lr=PLAN.lr):
        return {"plan": {"steps": steps, "lr": lr, "warmup": max(1, steps // 15), "validate_every": max(1, steps // 4)}}

    def shared(n):
        return {"batch": max(2, int(batch / n))}

    alone = {"batch": batch, "loss": {"contrastive": 0.0, "consistency": 0.0}}
    whole, longer = plan(first + then), plan((first + then) * 5 // 4)  # pictures differ more than words do
    # Who names CoSep's objects, see the module of the paper; beside a distance of scaled spectra 0.05 is too much.
    named = {"loss": {"teacher": "concurrent", "objects": 0.005}}
    return {"first": alone | plan(first), "goes_on": alone | plan(then), "alone": alone | whole,
            # To a language model that was never trained on sounds, all questions about mixtures are alike, and unlike
            # those about single sounds. BertSep* and LASS-Net from mixtures are trained on the former only, and would
            # not understand the latter. (All rows of LASS-Net have it, as a mark: records without it are of a text
            # encoder that began at random.)
            "apart": alone | whole | {"by_kind": True},
            "blind": {"batch": 2 * batch} | whole, "taught": {"batch": batch} | whole,
            "classified": {"batch": max(2, batch // 2)} | whole,  # of which each mixture is heard by itself
            "pictured": alone | longer, **{f"objects{k}": shared(k) | named | longer for k in KS},
            **{f"full{k}": shared(k) | plan(then) for k in KS},
            # At the published weight, beside losses of spectra that are scaled, a classifier in the critic's place, and
            # the critic without mix-and-separate, do not keep consistency from its own way out: half of the mixture
            # for each question. Three times as much does; chosen on validation.
            **{f"heeded{k}": shared(k) | plan(then) | {"loss": {"contrastive": 0.3}} for k in KS},
            **{f"semi{k}": shared(k - 0.5) | plan(then) for k in KS if k > 1},
            "critic": {"stage": "critic", "batch": 64} | plan(critic, 3e-3),
            "critic_short": {"stage": "critic", "batch": 64} | plan(max(2, critic // 10), 3e-3),
            "critic_third": {"stage": "critic", "batch": 64} | plan(max(2, critic // 3), 3e-3),
            "sight": {"stage": "sight", "batch": 64} | plan(critic, 3e-3),
            "timbre": {"stage": "timbre", "batch": 16} | plan(critic, 3e-3),
            "judge": {"stage": "timbre", "batch": 16, "augment": False} | plan(critic, 3e-3),
            "prompts": {"stage": "prompts", "batch": 64} | plan(max(2, critic // 10), 3e-3),
            **{stage: {"stage": stage} for stage in UNTRAINED}}


PRESETS = {
    "smoke": Preset(_small(16, 5, 32, 32, preset="smoke"), _kinds(4, 4, 4, 2)),
    "laptop": Preset(_small(8, 5, 128, 64), _kinds(400, 400, 800, 16)),
    "gpu": Preset(_small(32, 6, 256, 128, preset="gpu"), _kinds(3000, 3000, 4000, 32)),
    "paper": Preset(Config(preset="paper"), {
        name: {"loss": {"contrastive": 0.0, "consistency": 0.0}}
        for name in ("first", "goes_on", "alone", "apart", "pictured")} | {
        name: {"stage": name.partition("_")[0], "published": "critic" in name} for name in (
            "critic", "critic_third", "critic_short", "timbre", "prompts", *UNTRAINED)} | {
            "judge": {"stage": "timbre"}, "sight": {"stage": "sight", "pool": ("music21",)}},
        {"instruments": "music21", "instruments_pool": "music21", "events": "vggsound", "captions": "audiocaps"},
        without=("start",), hearing=dict.fromkeys(("events", "captions"), {"batch": 64})),
}

SDR = Metric("sdr", "SDR", "dB")
SI_SDR = Metric("si_sdr", "SI-SDR", "dB")
SIR = Metric("sir", "SIR", "dB")
SAR = Metric("sar", "SAR", "dB", better="")  # the mixture, to which nothing was done, has most of it
GAIN = Metric("sdri", "SDR improvement", "dB", shown=False)
ABSENT = Metric("absent", "level of the answer about what is not there", "dB", better="lower", shown=False)
PARAMS = Metric("params", "parameters", "M", better="")
ACCURACY = Metric("accuracy", "accuracy on single sounds", "%")
FOOLED = Metric("fooled", "fooled by masks that follow its gradient", "%", better="lower")
FOOLED_SI_SDR = Metric("fooled_si_sdr", "SI-SDR of those masks", "dB", better="")
FOUR = tuple(Metric(f"{key}_pct", words, "%", better) for key, words, better in (
    ("correct", "correct", "higher"), ("wrong", "wrong", "lower"), ("both", "both", "lower"),
    ("none", "none", "lower")))

MUSIC, THREE, VGG, CAPS = "MUSIC-2mix", "MUSIC-3mix", "VGGSound-2mix", "AudioCaps-2mix"
VANILLA = {"net": {"res": 0, "self_attention": 0, "cross_attention": 0}}
#: What a table on another data set changes.
MUSIC_21: dict = {}
VGGSOUND = {"corpus": "events", "mixtures": "events", "singles": "events"}
AUDIOCAPS = {"corpus": "captions", "mixtures": "captions", "n_sources": 3}
#: Weights by Table 9.
EVENT_LOSS, CAPTION_LOSS = ({"loss": {"contrastive": 0.2, "consistency": beta}} for beta in (2.0, 1.0))
BCE = {"loss": {"domain": "bce", "contrastive": 0.0, "consistency": 0.0}}
SNR = {"loss": {"domain": "snr"}}  # of PIT and MixPIT: the loss of MixIT (the paper does not say which)


def _sources(k: int) -> dict:
    """What is heard: single sounds, or mixtures of so many."""
    return {"n_sources": k} | ({"single_share": 1.0, "mixture_share": 0.0} if k == 1 else {})


def _titled(title: str, k: int) -> str:
    return {0: title, 1: f"{title}, single sounds"}.get(k, f"{title}, mixtures of {k}")


def _role(k: int) -> str:
    return "supervised" if k == 1 else "weak"


def _asked(key: str, title: str, system: str, k: int, changes: dict, on: dict = MUSIC_21, **more) -> Row:
    """Mix-and-separate: a separator that has the first loss alone. `k` is 0 where a corpus has mixtures of its own."""
    reader = {"clap": "critic", "clip": "sight", **dict.fromkeys(SEEN, "sight")}.get(system)
    kind = (f"objects{k}" if system == "cosep" else "pictured" if system in SEEN else
            "apart" if system == "lass" or system == "bert" and k > 1 else "alone")
    return Row(key, _titled(title, k), kind, {"system": system} | (_sources(k) if k else {}) | changes | on,
               {"reader": reader} if reader else {}, role=_role(k), method=title, **more)


def _blind(key: str, title: str, system: str, k: int, changes: dict, on: dict = MUSIC_21, teacher: str = "",
           **more) -> Row:
    """A separator that is not asked."""
    kind, starts = ("classified", {"teacher": teacher}) if teacher else ("blind", {})
    return Row(key, _titled(title, k), kind, {"system": system} | _sources(k) | changes | on, starts, role=_role(k),
               method=title, **more)


def _first(key: str, k: int, changes: dict) -> Row:
    """The first stage that others go on from."""
    return Row(key, f"First stage, {k} sources", "first", _sources(k) | changes, {"reader": "critic"})


def _goes_on(key: str, title: str, k: int, start: str = "", changes: dict = MUSIC_21, **more) -> Row:
    """The first loss alone, from the start that the full loss has."""
    return Row(key, _titled(title, k), "goes_on", _sources(k) | changes,
               {"start": start or f"start_{KS[k]}", "reader": "critic"}, role=_role(k), method=title, **more)


def _full(key: str, title: str, k: int, changes: dict = MUSIC_21, start: str = "", teacher: str = "critic",
          kind: str = "full", **more) -> Row:
    """The proposed loss, or a part of it, from a model that had the first loss alone."""
    starts = {"start": start or f"start_src{k}", "reader": "critic"} | ({"teacher": teacher} if teacher else {})
    return Row(key, more.pop("words", "") or _titled(title, k), f"{kind}{k}", {"n_sources": k} | changes, starts,
               method=title, **more)


def _semi(key: str, share: int, k: int = 2, words: str = "", changes: dict = MUSIC_21, start: str = "", **more) -> Row:
    """A share of single sounds, and the rest in mixtures."""
    shares = {"single_share": share / 100, "mixture_share": (100 - share) / 100 or 1.0}
    return _full(key, "Semi-supervised", k, shares | changes, start, kind="semi",
                 words=words or f"Semi-supervised, {share} %, mixtures of {k}", **more)


# Tables 1 and 12: MUSIC. Unstarred systems have the U-Net without residual blocks and attention.

CONCURRENT, BEFORE = ({"loss": {"teacher": name}} for name in ("concurrent", "timbre"))
#: The weight of the classifier is ours; with that of the critic, a tenth of it, it hardly counts.
WEAK_SUP = VANILLA | {"loss": {"contrastive": 1.0, "teacher": "timbre"}}
PICTURED = (("clipsep_img", "CLIPSep-Img", "image", VANILLA | BCE), ("clipsep_img_star", "CLIPSep-Img*", "image", BCE),
            ("cosep_star", "CoSep*", "cosep", {}), ("sop_star", "SOP*", "sop", BCE))
WORDED = (("clipsep_text", "CLIPSep-Text", "clip", VANILLA | BCE), ("clipsep_text_star", "CLIPSep-Text*", "clip", BCE),
          ("bertsep_star", "BertSep*", "bert", {}))
LASS = ("lassnet", "LASS-Net", "lass", VANILLA)

UNPROCESSED = Row("input_mixture", "Unprocessed mixture", changes={"system": "none"}, role="reference", ours=True,
                  random=False, headline=True)
STARRED = (
    _blind("pit_sup", "PIT*", "pit", 1, SNR, headline=True),
    *(_blind(f"mixit_src{k}", "MixIT", "mixit", k, VANILLA, headline=k == 2) for k in (2, 3, 4)),
    *(_blind(f"mixpit_src{k}", "MixPIT", "pit", k, VANILLA | SNR) for k in (2, 3, 4)),
    *(_asked(f"{key}_{KS[k]}", title, system, k, changes) for key, title, system, changes in PICTURED + WORDED
      for k in KS),
    *(_goes_on(f"clapsep_star_{KS[k]}", "CLAPSep*", k, headline=k != 3) for k in KS),
    *(_asked(f"lassnet_{KS[k]}", *LASS[1:3], k, LASS[3]) for k in KS),
    *(_blind(f"weaksup_src{k}", "Weak-Sup", "classes", k, WEAK_SUP, teacher=f"timbre_src{k}") for k in (2, 3, 4)))
ALIKE = _asked("bertsep_star_alike_src2", "BertSep*, all questions centred alike", "bert", 2, {"by_kind": False},
               ours=True, n_seeds=1)
PROPOSED = tuple(_full(f"proposed_clap_src{k}", "Proposed", k, headline=k != 3) for k in (2, 3, 4))
#: Trained as those they are named after, and asked otherwise.
MOVED = tuple(Row(f"{key}_moved_src{k}", _titled(f"{title}, questions moved", k), "moved", {"n_sources": k},
                  {"heard": f"{key}_src{k}"}, role="reference", method=f"{title}, questions moved", ours=True)
              for key, title in (("clapsep_star", "CLAPSep*"), ("proposed_clap", "Proposed")) for k in (2, 4))
CLASSIFIED = (
    *(_full(f"proposed_timbre_concurrent_src{k}", "Proposed, a timbre classifier trained along", k, CONCURRENT,
            teacher="", kind="heeded") for k in (2, 3, 4)),
    *(_full(f"proposed_timbre_pretrained_src{k}", "Proposed, a timbre classifier trained before", k, BEFORE,
            teacher=f"timbre_src{k}", kind="heeded") for k in (2, 3, 4)))

SYNTHETIC = ("Systems that are shown images (CLIPSep-Img, SOP and CoSep) see *synthetic frames*, pictures that the kit "
             "draws of whatever sounds. Except at the preset `paper`, they train a quarter longer than those that "
             "read, and CoSep's classifier learns from mixtures instead of from what is separated. SOP and CoSep begin "
             "with the kit's own network for images, as in the papers with one for ImageNet.")
STAND_INS = {"instruments": "Corpus `instruments`, played by the kit, replaces MUSIC-21.",
             "events": "Corpus `events`, made by the kit, replaces VGGSound.",
             "captions": "Corpus `captions`, made by the kit, replaces AudioCaps."}
MEASURED = ("SDR, SIR and SAR come from BSS Eval, which allows the estimate a distortion filter of 64 ms, so that "
            "outputs which split a sound by frequency score well there and poorly in SI-SDR. SAR is highest where "
            "nothing is done, and says something only beside SIR.")
HEARD = {MUSIC: "`instruments`", VGG: "`events`", CAPS: "`captions`", "model": "of the model"}
ALL = (SDR, SI_SDR, SIR, SAR)


def _table(number: str, title: str, rows, caption: str, *splits: str, metrics=ALL, **more) -> Table:
    splits = splits or (MUSIC,)
    more = {"corpora": dict.fromkeys(splits, "corpus"), "floor": 0.5} | more
    return Table(f"table{number}", number, f"Table {number}: {title}", metrics, tuple(rows),
                 {split: HEARD[split] for split in splits}, caption=caption, stand_ins=STAND_INS, **more)


TABLE1 = _table("1", "two sources, asked for in words, by pictures, or not at all",
                (UNPROCESSED, *STARRED, ALIKE, *CLASSIFIED, *PROPOSED, *MOVED),
                "Each system is trained on single sounds, or on mixtures of two, three or four, and tested on mixtures "
                f"of two. {MEASURED} {SYNTHETIC} PIT, MixPIT and MixIT cannot be asked, and are scored in the order of "
                "outputs that fits the sources best; PIT and MixPIT learn by SNR, as MixIT does (the paper does not "
                "say by what). Weak-Sup has a mask for each class. Except at the preset `paper`, all rows but those "
                "with pictures have as many steps; a step of PIT, MixPIT and MixIT hears twice as many mixtures as one "
                "of a system that is asked, one of Weak-Sup half as many, and one with the full loss 1 / K as many; "
                "and the lowest levels of all that are asked but LASS-Net and CoSep* are scaled and shifted by the "
                "question. At all presets but `paper`, a timbre classifier counts three times as much as the critic. "
                "LASS-Net is the small U-Net, with a text encoder that it learns. Except at the preset `paper`, "
                "questions about mixtures are centred by their own mean where BertSep* and LASS-Net learn from them; "
                "the row \"all questions centred alike\" shows BertSep* without that. Rows with questions moved train "
                "nothing: when models are tested, questions about single sounds are moved to where those about "
                "mixtures lie, by the mean difference between the embeddings of both kinds in training.",
                metrics=(*ALL, GAIN, ABSENT))
TABLE12 = Table("table12", "12", "Table 12: three sources", ALL, (UNPROCESSED, *STARRED, *(
    Row(f"proposed_src{k}", _titled("Proposed", k), of=f"proposed_clap_src{k}", method="Proposed", headline=k != 3)
    for k in (2, 3, 4))), {THREE: "`instruments`, three sources"}, parts={THREE: "three"},
    stand_ins=STAND_INS, floor=-3.0, caption=(
        "The models are those of Table 1, tested on mixtures of three sources. PIT and MixPIT have two outputs; the "
        "third answer is silence, scored as a faint copy of the mixture, which explains their SAR. "
        f"{SYNTHETIC}"))

# Tables 10 and 11: events, and mixtures with captions

TABLE10 = _table("10", "two sources of everyday sounds", (
    replace(UNPROCESSED, changes=UNPROCESSED.changes | VGGSOUND, headline=False),
    _blind("pit_sup", "PIT*", "pit", 1, SNR, VGGSOUND, n_seeds=1),
    *(_blind(f"mixit_src{k}", "MixIT", "mixit", k, VANILLA, VGGSOUND, n_seeds=1) for k in (2, 3)),
    *(_blind(f"mixpit_src{k}", "MixPIT", "pit", k, VANILLA | SNR, VGGSOUND, n_seeds=1) for k in (2, 3)),
    *(_asked(f"{key}_{KS[k]}", title, system, k, changes, VGGSOUND, n_seeds=1)
      for key, title, system, changes in PICTURED + WORDED + (LASS,) if system != "cosep" for k in (1, 2, 3)),
    *(_goes_on(f"clapsep_star_{KS[k]}", "CLAPSep*", k, f"start_events_{KS[k]}", VGGSOUND, n_seeds=1)
      for k in (1, 2, 3)),
    *(_blind(f"weaksup_src{k}", "Weak-Sup", "classes", k, WEAK_SUP, VGGSOUND, f"timbre_events_src{k}", n_seeds=1)
      for k in (2, 3)),
    *(_full(f"proposed_src{k}", "Proposed", k, VGGSOUND | EVENT_LOSS, f"start_events_src{k}", n_seeds=1)
      for k in (2, 3))),
    f"The systems are those of Table 1, trained and tested on everyday sounds. {SYNTHETIC}", VGG, floor=0.7)
TABLE11 = _table("11", "mixtures with captions", (
    replace(UNPROCESSED, changes=UNPROCESSED.changes | AUDIOCAPS, headline=False),
    *(_asked(key, title, system, 0, changes, AUDIOCAPS, n_seeds=1)
      for key, title, system, changes in PICTURED + WORDED + (LASS,) if system != "cosep"),
    _goes_on("clapsep_star", "CLAPSep*", 3, "start_captions", AUDIOCAPS, n_seeds=1),
    _full("proposed", "Proposed", 3, AUDIOCAPS | CAPTION_LOSS, "start_captions", words="Proposed")),
    "All systems learn from mixtures of one to four sources and their captions; what a caption names is known of "
    "`captions`, and found by rules in others. The test adds up two such mixtures and asks for each of them by its "
    f"caption. {SYNTHETIC}", CAPS)

# Tables 2 and 14: some single sounds

SHARES = (5, 10, 25, 50, 75)


def _supervised(key: str, share: int, on: dict = MUSIC_21, **more) -> Row:
    return Row(key, f"Supervised, {share} %", "alone", _sources(1) | {"single_share": share / 100} | on,
               {"reader": "critic"}, role="supervised", method="Supervised", **more)


def _foreign(key: str, words: str, k: int, mixtures: dict, singles: str, start: str, only: str = MUSIC,
             n_seeds: int | None = 1) -> Row:
    return _semi(key, 100, k, words, mixtures | {"singles": singles}, start, only=only, n_seeds=n_seeds)


TABLE2 = _table("2", "a few single sounds, and mixtures", (
    Row("sup_music_100", "Supervised, 100 %", of="clapsep_star_sup", role="supervised", only=MUSIC, headline=True),
    _supervised("sup_music_5", 5, only=MUSIC, headline=True),
    Row("unsup_music_src2", "Unsupervised, mixtures of 2", of="proposed_clap_src2", only=MUSIC, headline=True),
    *(_semi(f"ssl_music_5_music_95_src{k}", 5, k, only=MUSIC, headline=k == 2) for k in (2, 3, 4)),
    *(_semi(f"ssl_music_{s}_music_{100 - s}_src2", s, only=MUSIC) for s in (10, 25, 75)),
    _foreign("ssl_music_100_vgg_100_src2", "Single sounds of instruments, mixtures of 2 events", 2,
             {"mixtures": "events"}, "instruments", "start_events_src2"),
    *(_foreign(f"ssl_vgg_100_music_100_src{k}", f"Single events, mixtures of {k} instruments", k, {}, "events",
               f"start_src{k}") for k in (2, 3, 4)),
    _goes_on("sup_vgg_100", "Supervised, 100 %", 1, "start_events_sup", VGGSOUND, only=VGG),
    _supervised("sup_vgg_5", 5, VGGSOUND, only=VGG, n_seeds=1),
    Row("unsup_vgg_src2", "Unsupervised, mixtures of 2", changes=VGGSOUND, of="proposed_src2", only=VGG),
    *(_semi(f"ssl_vgg_{s}_vgg_{100 - s}_src2", s, 2, "", VGGSOUND | EVENT_LOSS, "start_events_src2", only=VGG,
            n_seeds=None if s == 5 else 1) for s in (5, 75)),
    Row("unsup_audiocaps_src1to6", "Unsupervised, captions", changes=AUDIOCAPS, of="proposed", only=CAPS),
    _foreign("ssl_vgg_100_audiocaps_100_src1to6", "Single events, mixtures with captions", 3, AUDIOCAPS | CAPTION_LOSS,
             "events", "start_captions", CAPS, n_seeds=None)),
    "The training recordings are divided in two: a share of them is heard alone, as single sounds, and the rest only "
    "in mixtures. (The first stage, from which semi-supervised rows go on, has heard mixtures of all of them.) Where "
    "single sounds and mixtures are of different kinds, it has heard those of the mixtures alone, and each step has "
    "half of either.",
    MUSIC, VGG, CAPS)
TABLE14 = _table("14", "how much is heard alone", (
    Row("split_0_100_unsup", "Unsupervised, all in mixtures", of="proposed_clap_src2", method="Unsupervised"),
    *(row for s in SHARES for row in (
        _supervised(f"split_{s}_{100 - s}_sup", s, n_seeds=1) if s != 5 else
        Row("split_5_95_sup", "Supervised, 5 %", of="sup_music_5", role="supervised", method="Supervised"),
        _full(f"split_{s}_{100 - s}_unsup", "Unsupervised", 2, {"mixture_share": (100 - s) / 100},
              f"start_{100 - s}_src2", words=f"Unsupervised, {100 - s} % in mixtures", n_seeds=1),
        Row(f"split_{s}_{100 - s}_ssl", f"Semi-supervised, {s} %", of=f"ssl_music_{s}_music_{100 - s}_src2",
            method="Semi-supervised") if s != 50 else _semi("split_50_50_ssl", 50, words="Semi-supervised, 50 %"))),
    Row("split_100_0_sup", "Supervised, 100 %", of="clapsep_star_sup", role="supervised", method="Supervised")),
    "The training recordings are divided as in Table 2. For each share, one model learns from the single sounds, one "
    "from the mixtures, and one from both. The last row goes on from a first stage, as those with mixtures do; the "
    "other supervised rows are trained in one piece, for as many steps.")

# Tables 7 to 9 and 13: ablations

BLOCKS = {"none": (0, 0, 0), "ca": (0, 0, 1), "ca2": (0, 0, 2), "sa": (0, 1, 0), "sa2": (0, 2, 0), "res": (1, 0, 0),
          "res2": (2, 0, 0), "sa_ca": (0, 1, 1), "sa2_ca2": (0, 2, 2), "res_sa_ca": (1, 1, 1)}


def _net(name: str) -> dict:
    return {"net": dict(zip(("res", "self_attention", "cross_attention"), BLOCKS[name]))}


def _blocks(name: str) -> str:
    counts = [f"{n} {word}" for n, word in zip(BLOCKS[name], ("residual", "self-attention", "cross-attention")) if n]
    return ", ".join(counts) or "none"


WHOLE = "res_sa_ca"
#: A network that the question does not reach before its end, as the paper's without blocks.
PLAIN, PLAIN_NET = "none, asked at its end alone", {"net": {**VANILLA["net"], "film": ""}}
TABLE7 = _table("7", "what the blocks of the U-Net are worth", (row for name in BLOCKS for row in (
    *(Row(f"{name}_{KS[k]}", _titled(_blocks(name), k), of=f"{'clapsep_star' if k == 1 else 'proposed_clap'}_{KS[k]}",
          role=_role(k), method=_blocks(name)) for k in KS if name == WHOLE),
    *((_goes_on if k == 1 else _full)(f"{name}_{KS[k]}", _blocks(name), k, start=f"start_{name}_{KS[k]}",
                                      changes=_net(name), n_seeds=None if name in ("none", "res2") and k < 3 else 1)
      for k in KS if name != WHOLE),
    Row(f"{name}_params", _blocks(name), of="clapsep_star_sup" if name == WHOLE else f"{name}_sup", only="model",
        role="reference", method=_blocks(name)),
    *((_goes_on("plain_sup", PLAIN, 1, "start_plain_sup", PLAIN_NET, ours=True),
       _full("plain_src2", PLAIN, 2, PLAIN_NET, "start_plain_src2", ours=True)) if name == "none" else ()))),
    "Residual blocks stand on every level of the U-Net, attention blocks only on the lowest ones. Except at the preset "
    "`paper`, every row, also that without any block, is scaled and shifted by the question on its lowest levels "
    "(`Net.film`), a part of what cross-attention adds in the paper; † the rows below it are not. The paper counts the "
    "parameters of a larger network than ours; at the paper's sizes, the kit's network has 30.28, 37.37, 44.46, 36.58, "
    "42.89, 74.28, 118.27, 43.68, 57.09 and 87.68 M parameters, in the order of the rows. The paper prints the last as "
    "81.4 M.", MUSIC, "model",
    metrics=(SDR, SI_SDR, PARAMS), parts={"model": "model"})

TERMS = {"url": (0, 0, 1), "cnt": (1, 0, 0), "crl": (0, 1, 0), "cnt_crl": (1, 1, 0), "url_cnt_crl": (1, 1, 1)}


def _terms(name: str) -> dict:
    zero = (t for t, on in zip(("contrastive", "consistency", "reconstruction"), TERMS[name]) if not on)
    return {"loss": dict.fromkeys(zero, 0.0)}


LOSSES = {"url": "URL", "cnt": "CNT", "crl": "CRL", "cnt_crl": "CNT + CRL", "url_cnt_crl": "URL + CNT + CRL"}
TABLE8 = _table("8", "what the losses are worth", (row for name, words in LOSSES.items() for row in (
    Row(f"{name}_src{k}", _titled(words, k), method=words,
        of=f"{'clapsep_star' if name == 'url' else 'proposed_clap'}_src{k}") if name in ("url", "url_cnt_crl") else
    _full(f"{name}_src{k}", words, k, _terms(name), kind="heeded" if name == "cnt_crl" else "full")
    for k in (2, 3, 4))),
    "URL is the loss of mix-and-separate (Eq. 2), CNT that of the critic, which hears the answers (Eq. 3), and CRL the "
    "one by which the answers add up to the mixture (Eq. 5). Here all rows continue from the same first stage, trained "
    "with URL alone; in the paper, each starts from random weights. A step with CNT or CRL asks 1 + K times as many "
    "questions of a mixture of mixtures as one with URL alone, and has fewer of them in return. Except at the preset "
    "`paper`, the critic counts three times as much in CNT + CRL: at the published weight these rows end with half of "
    "the mixture for each question. Rows of one loss without URL get worse from their start on; what is kept is the "
    "best of four validations on the way.")


def _weights(number: str, title: str, published: dict, own: str, start: str, on: dict, split: str, kind: str = "full",
             best: str = ""):
    """Rows with other weights; the reference is the row `own`. The row `best` has as many seeds as that."""
    rows = [Row(key, words, changes=on, of=own, method=words) if loss is None else
            _full(key, words, 3 if on is AUDIOCAPS else 2, {"loss": loss} | on, start, words=words, kind=kind,
                  n_seeds=None if key == best else 1)
            for key, (words, loss) in published.items()]
    return _table(number, title, rows, "The weights are the paper's. They apply to losses of spectra that "
                  "are scaled to an RMS of 1.",
                  split)


def _abc(a: float, b: float, g: float) -> str:
    return f"alpha {a:g}, beta {b:g}, gamma {g:g}"


TABLE9A = _weights("9a", "loss weights, instruments", {
    "a0p1_b5_g5": (_abc(0.1, 5, 5), {"reconstruction": 5.0}),
    "a0p1_b5_g10": (_abc(0.1, 5, 10), None),
    "a0p1_b5_g15": (_abc(0.1, 5, 15), {"reconstruction": 15.0}),
    "a0p2_b5_g10": (_abc(0.2, 5, 10), {"contrastive": 0.2}),
    "a0p1_b10_g10": (_abc(0.1, 10, 10), {"consistency": 10.0})},
    "proposed_clap_src2", "start_src2", MUSIC_21, MUSIC, best="a0p1_b5_g15")
TABLE9B = _weights("9b", "loss weights, everyday sounds", {
    f"b{b:g}_g{g:g}".replace(".", "p"): (f"beta {b:g}, gamma {g:g}", None if (b, g) == (2, 10) else {
        "contrastive": 0.2, "consistency": b, "reconstruction": g})
    for b, g in ((0.5, 10.0), (1.0, 10.0), (2.0, 10.0), (5.0, 5.0), (5.0, 15.0))},
    "proposed_src2", "start_events_src2", VGGSOUND, VGG)
TABLE9C = _weights("9c", "loss weights, captions", {
    f"a{a:g}_b{b:g}_g{g:g}".replace(".", "p"): (_abc(a, b, g), None if (a, b) == (0.2, 1) else {
        "contrastive": a, "consistency": b, "reconstruction": g})
    for a, b, g in ((0.2, 0.5, 10.0), (0.2, 1.0, 10.0), (0.2, 2.0, 10.0), (0.1, 5.0, 15.0), (0.3, 5.0, 5.0))},
    "proposed", "start_captions", AUDIOCAPS, CAPS)
FIVE = {"single_share": 0.05, "mixture_share": 0.95}
TABLE9D = _weights("9d", "loss weights, semi-supervised", {
    f"ls{s:g}_lu{u:g}".replace(".", "p"): (f"lambda_s {s:g}, lambda_u {u:g}", None if (s, u) == (5, 1) else {
        "supervised": s, "weak": u})
    for s, u in ((5.0, 0.5), (5.0, 1.0), (5.0, 2.0), (2.5, 1.0), (0.5, 1.0))},
    "ssl_music_5_music_95_src2", "start_src2", FIVE, MUSIC, kind="semi")

HEARS = {"consistency": 0.0}
TAUGHT = (("clipsep_text", "CLIPSep-Text", "clip", "sight", VANILLA, {"domain": "bce"}),
          ("clipsep_text_star", "CLIPSep-Text*", "clip", "sight", {}, {"domain": "bce"}),
          ("bertsep_star", "BertSep*", "bert", "", {}, {}), ("clapsep_star", "CLAPSep*", "clap", "critic", {}, {}))


def _with_critic(key, title, system, reader, net, loss, on, split) -> tuple[Row, Row]:
    """A supervised system with the critic, and without."""
    def row(name, words, heard):
        changes = {"system": system} | _sources(1) | net | on | {"loss": loss | {
            "consistency": 0.0, **({} if heard else {"contrastive": 0.0})}}
        starts = ({"reader": reader} if reader else {}) | ({"teacher": "critic"} if heard else {})
        return Row(f"{key}_{name}", f"{title}, {words}", "taught" if heard else "alone", changes, starts, only=split,
                   role="supervised", method=title, n_seeds=None if split == MUSIC else 1)
    return row("wo_clap", "alone", False), row("w_clap", "with the critic", True)


TABLE13 = _table("13", "the critic beside supervision", (
    row for split, on in ((MUSIC, MUSIC_21), (VGG, VGGSOUND)) for system in TAUGHT
    for row in _with_critic(*system, on, split)),
    "All systems are trained on single sounds, once without the critic and once with its contrastive loss on their "
    "answers. CLAPSep* alone is trained in one piece here, and from a first stage in Tables 1 and 2, where the paper "
    "prints the same number.", MUSIC, VGG)

# Table 15: prompts that are learned

LENGTHS, SHOTS = (8, 16, 32), (1, 2, 5)
TABLE15A = _table("15a", "learned prompts, by their length and the recordings that they are learned from", (
    Row(f"len{n}_shot{s}", f"{n} words, {s} recording{'s' * (s > 1)} per class", "full2", {"n_sources": 2},
        {"start": "start_src2", "reader": "critic", "teacher": "critic", "prompts": f"prompts_len{n}_shot{s}"},
        method=f"{n} words", n_seeds=None if (n, s) == (32, 5) else 1)  # which Table 15b compares with other ways
    for n in LENGTHS for s in SHOTS),
    "The words in front of a name are vectors. They are learned from single recordings of each class, while the critic "
    "and the language model stay frozen; the separator is then asked, and the critic reads, with these words.")
TABLE15B = _table("15b", "how to ask", (
    Row("template", "Template of Table 6", of="proposed_clap_src2"),
    Row("learnable", "Learned words, 32 of 5 recordings", of="len32_shot5"),
    *(_full(key, title, 2, {"conditions": conditions, "shots": 5}, words=words) for key, title, words, conditions in (
        ("oct", "OCT", "The best of three questions (OCT)", "optimal"),
        ("oct_pp", "OCT++", "The best of three, refined (OCT++)", "refined")))),
    "OCT asks for a sound by its name, by its level (louder or softer) or by its harmonicity, and learns from the "
    "question that is answered best: for a mixture by the distance to it, for a single sound, which has no reference, "
    "by the critic. OCT++ also adapts the embedding of the question to the mixture. The paper says that text, energy "
    "and harmonicity are asked for, by five recordings of each class; how is our reading. What a class is like on "
    "average is right for most of its sounds, not for all. These recordings, and those of the learned words, are heard "
    "in mixtures as well. All rows are tested with names.")

# Table 16: which sound is heard

TABLE16 = Table(
    "table16", "16", "Table 16: which sound is heard, by a classifier in place of listeners", FOUR, (*(
        Row(key, words, "listened", {}, starts | {"teacher": "judge"}, role="reference", ours=True, random=False)
        for key, words, starts in (("single_sounds", "The single sounds themselves", {}),
                                   ("mixture_itself", "Unprocessed mixture", {"heard": "input_mixture"}))), *(
        Row(key, words, "listened", {}, {"heard": of, "teacher": "judge"}, method=words, random=True, role=role)
        for key, words, of, role in (
            ("clipsep_text_star_sup", "CLIPSep-Text*, supervised", "clipsep_text_star_sup", "supervised"),
            ("clipsep_text_star_unsup", "CLIPSep-Text*, unsupervised", "clipsep_text_star_src2", "weak"),
            ("proposed_unsup", "Proposed, unsupervised", "proposed_clap_src2", "weak"),
            ("proposed_ssl", "Proposed, semi-supervised, 5 %", "ssl_music_5_music_95_src2", "weak")))),
    {"2mix (dataset not stated)": "`instruments`"}, corpora={"2mix (dataset not stated)": "corpus"}, caption=(
        "The paper asked 20 people which of two sounds they hear in an answer: the right one, the wrong one, both or "
        "neither. Here a classifier stands in for these listeners, as a *proxy*; it has learned from other recordings "
        "and teaches none of the rows, but these recordings are those of the critic, too, and its ear is built as the "
        "critic's. `weaklib.listening` writes the page with which to ask people."),
    stand_ins=STAND_INS)

# Beyond the paper: what the critic is worth

def _judged(name: str, words: str, kind: str, changes: dict) -> tuple[Row, Row]:
    """A critic, and what is learned from it."""
    return (Row(name, words, kind, changes, role="reference", ours=True, n_seeds=1, method=words),
            _full(f"by_{name}", words, 2, changes, teacher=name, ours=True, n_seeds=1, words="what is learned from it"))


TABLE_CRITICS = Table(
    "critics", "critics", "Beyond the paper: critics, and what separators learn from them",
    (ACCURACY, FOOLED, FOOLED_SI_SDR, SDR, SI_SDR), (
        Row("of_critic", "Critic", of="critic", role="reference", ours=True),
        Row("by_critic", "what is learned from it", of="proposed_clap_src2", ours=True, method="Critic"),
        *_judged("critic_plain", "Critic that never heard masks and noise", "critic", {"augment": False}),
        *_judged("critic_third", "Critic trained a third as long", "critic_third", {}),
        *_judged("critic_short", "Critic trained a tenth as long", "critic_short", {}),
        *(Row(f"of_timbre_src{k}", f"Timbre classifier, from mixtures of {k}", of=f"timbre_src{k}", role="reference",
              ours=True, method="Timbre classifier") for k in (2, 3, 4)),
        Row("of_sight", "Model of pictures and text", of="sight", role="reference", ours=True, method="Pictures"),
        Row("of_judge", "Classifier in place of listeners", of="judge", role="reference", ours=True, method="Judge")),
    {MUSIC: "`instruments`"}, corpora={MUSIC: "corpus"}, stand_ins=STAND_INS, caption=(
        "Accuracy is the share of single test sounds for which the critic picks the right class among the names of "
        "all; for comparison, that of the classifiers of Tables 1 and 16, and of the model that reads pictures, on "
        "pictures (trained once more for this table). Fooled is the share of questions for which a free mask, "
        "optimised along the critic's gradient, yields an answer that the critic prefers to the true sound. A critic "
        "does not measure separation, and no model should be selected by it."))


# Claims. Bounds were fixed before the runs; after them, that m07 also asks by how much, that m10 also compares with a
# baseline, and that m11 compares with a network without blocks that is as plain as the paper's, and also asks where
# blocks help more.

def _cell(row: str, metric: Metric = SDR, split: str = MUSIC, corpus: str = "instruments") -> Cell:
    return Cell(row, metric, split, corpus)


def _gap(a: str, b: str, metric: Metric = SDR, split: str = MUSIC, corpus: str = "instruments") -> Gap:
    return Gap(_cell(a, metric, split, corpus), _cell(b, metric, split, corpus))


def _plain(name: str) -> Either:
    """The network without blocks that is the paper's; of the paper, whose only one that is, its row `none`."""
    return Either((_cell(f"plain_{name}"), _cell(f"none_{name}")))


def _blocks_gain(name: str) -> Gap:
    return Gap(_cell(f"res_sa_ca_{name}"), _plain(name))


def _gain(k: int) -> Ratio:
    return Ratio(_cell(f"proposed_clap_src{k}"), _cell(f"clipsep_text_src{k}"))


CLAIMS = {
    "m01": Claim((every("proposed − CLIPSep-Text", (Bound(f"mixtures of {k}", _gap(
        f"proposed_clap_src{k}", f"clipsep_text_src{k}"), low=0.5) for k in (2, 3, 4))),
        order("proposed / CLIPSep-Text", {f"mixtures of {k}": _gain(k) for k in (4, 3, 2)}))),
    "m02": Claim((Bound("proposed, mixtures of 2 / supervised", Ratio(
        _cell("proposed_clap_src2"), _cell("clapsep_star_sup")), low=95.0),)),
    "m03": Claim((Bound("loss from single sounds to mixtures of 4, CLIPSep-Text − proposed", Gap(
        _gap("clipsep_text_sup", "clipsep_text_src4"), _gap("clapsep_star_sup", "proposed_clap_src4")), low=0.5),)),
    "m04": Claim((order("SDR, mixtures of 2", {
        "proposed": _cell("proposed_clap_src2"), "MixPIT": _cell("mixpit_src2"), "MixIT": _cell("mixit_src2")}),)),
    "m05": Claim((Bound("5 % semi-supervised − 100 % supervised", _gap("ssl_music_5_music_95_src2", "sup_music_100"),
                        low=0.0),
                  Bound("the same on events", _gap("ssl_vgg_5_vgg_95_src2", "sup_vgg_100", split=VGG, corpus="events"),
                        low=0.0))),
    "m06": Claim((Bound("5 % semi-supervised − 5 % supervised", _gap("ssl_music_5_music_95_src2", "sup_music_5"),
                        low=1.5),)),
    "m07": Claim((order("SDR by share", {f"{s} %": _cell(f"split_{s}_{100 - s}_ssl") for s in SHARES[::-1]}
                        | {"supervised": _cell("split_100_0_sup")}),
                  Bound("75 % semi-supervised / supervised", Ratio(
                      _cell("split_75_25_ssl"), _cell("split_100_0_sup")), low=110))),
    "m08": Claim((Bound("captions, with single events − without", _gap(
        "ssl_vgg_100_audiocaps_100_src1to6", "unsup_audiocaps_src1to6", split=CAPS, corpus="captions"), low=0.3),)),
    "m09": Claim(tuple(order(f"SDR, mixtures of {k}", {LOSSES[name]: _cell(f"{name}_src{k}") for name in (
        "url_cnt_crl", "cnt_crl", "url", "cnt", "crl")}) for k in (2, 3, 4))),
    "m10": Claim(tuple(order(f"SDR, mixtures of {k}", {
        "critic": _cell(f"proposed_clap_src{k}"), "timbre, before": _cell(f"proposed_timbre_pretrained_src{k}"),
        "timbre, along": _cell(f"proposed_timbre_concurrent_src{k}")}) for k in (2, 3, 4)) + (
        Bound("CLAPSep* − timbre, along, mixtures of 2", _gap(
            "clapsep_star_src2", "proposed_timbre_concurrent_src2"), low=0.0),)),
    "m11": Claim((Bound("all blocks − none, single sounds", _blocks_gain("sup"), low=0.2),
                  Bound("the same, mixtures of 2", _blocks_gain("src2"), low=0.2),
                  Bound("the second minus the first", Gap(_blocks_gain("src2"), _blocks_gain("sup")), low=0.0),
                  Bound("twice residual − none, mixtures of 2", _gap("res2_src2", "none_src2"), high=0.0))),
    "m12": Claim((every("three sources, proposed − supervised CLIPSep-Text*", (Bound(f"mixtures of {k}", _gap(
        f"proposed_src{k}", "clipsep_text_star_sup", split=THREE), low=0.0) for k in (2, 3))),)),
    "m13": Claim((every("with the critic − without", (Bound(title, _gap(f"{key}_w_clap", f"{key}_wo_clap"), low=0.1)
                                                      for key, title, *_ in TAUGHT)),)),
    "m14": Claim((Bound("correct, proposed − CLIPSep-Text*, unsupervised", Gap(
        _cell("proposed_unsup", FOUR[0], "2mix (dataset not stated)"),
        _cell("clipsep_text_star_unsup", FOUR[0], "2mix (dataset not stated)")), low=5.0),
        Bound("correct, semi-supervised − CLIPSep-Text*, supervised", Gap(
            _cell("proposed_ssl", FOUR[0], "2mix (dataset not stated)"),
            _cell("clipsep_text_star_sup", FOUR[0], "2mix (dataset not stated)")), low=0.0))),
}

GRID = Grid(
    title="Mahmud et al., ICLR 2024: Weakly-supervised Audio Separation via Bi-modal Semantic Similarity",
    weak_label="a text description of the mixture", presets=PRESETS,
    tables=(TABLE1, TABLE2, TABLE7, TABLE8, TABLE9A, TABLE9B, TABLE9C, TABLE9D, TABLE10, TABLE11, TABLE12, TABLE13,
            TABLE14, TABLE15A, TABLE15B,
            TABLE16, TABLE_CRITICS),
    claims=CLAIMS, shipped="proposed_clap_src2", companions=("clapsep_star_src2", "critic"),
    headline=("SDR from mixtures of 2 / from single sounds", Ratio(_cell("proposed_clap_src2"),
                                                                  _cell("clapsep_star_sup"))),
    others=(Row("critic", "Critic of audio and text", "critic", role="reference"),
            Row("sight", "Critic of pictures and text", "sight", role="reference"),
            Row("judge", "Classifier in place of listeners", "judge", {"mixtures": "instruments_pool"},
                role="reference", n_seeds=1),
            *(Row(f"prompts_len{n}_shot{s}", f"{n} learned words", "prompts", {"length": n, "shots": s},
                  {"teacher": "critic"}, role="reference", n_seeds=1) for n in LENGTHS for s in SHOTS),
            *(Row(f"timbre{name}_src{k}", f"Timbre classifier, mixtures of {k}", "timbre", {"n_sources": k} | on,
                  role="reference") for name, on in (("", MUSIC_21), ("_events", VGGSOUND)) for k in (2, 3, 4)),
            *(_first(f"start_{KS[k]}", k, {}) for k in KS),
            *(_first(f"start_{100 - s}_src2", 2, {"mixture_share": (100 - s) / 100}) for s in SHARES),
            *(_first(f"start_events_{KS[k]}", k, VGGSOUND) for k in (1, 2, 3)),
            _first("start_captions", 3, AUDIOCAPS),
            *(_first(f"start_plain_{KS[k]}", k, PLAIN_NET) for k in (1, 2)),
            *(_first(f"start_{name}_{KS[k]}", k, _net(name)) for name in BLOCKS if name != WHOLE for k in KS)))
