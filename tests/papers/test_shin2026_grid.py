"""The grid of shin2026: what the paper prints is in it, and at the preset `paper` the settings are the published."""
import csv
import io
from dataclasses import fields
from importlib import resources

import pytest

from weaklib import experiment, tables
from weaklib.corpora.musicnet import PROGRAMS

paper = experiment.load("shin2026")
ROWS = {row.key: row for table in paper.grid.tables for row in table.rows}

#: What the text prints of rows: differences and shares, which claims test, and what is said of data and machines.
TOLD = {"gain_1_100": "s01", "recovery_1_100": "s02", "gain_1_1000": "s03", "gain_zero_shot_guitar": "s08",
        "gain_guitar_audio": "s10", "gain_musicnet": "s13", "anchor_hours": "data", "full_hours": "data",
        "maestro_hours": "data", "overfit_fraction": "data", "guitarset_recordings": "data",
        "gardner_recordings": "data", "gardner_hours": "data", "gardner_used_hours": "data",
        "musicnet_score_songs": "data", "frame_rate": "metric", "train_days_single": "machine",
        "train_days_multi": "machine"}


def printed(name):
    path = resources.files("weaklib").joinpath("papers", "tables", f"shin2026_{name}.csv")
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def published(row):
    return paper.config(row, "paper")


# Rows

def test_every_row_that_the_paper_prints_is_in_the_grid_or_is_said_why_not():
    """Table 7 is the settings, which the tests below look at."""
    names = [f"table{k}" for k in range(1, 7)]
    assert {line["row"] for name in names for line in printed(name)} <= ROWS.keys()
    assert {line["row"] for line in printed("text")} - ROWS.keys() == TOLD.keys()
    assert {claim for claim in TOLD.values() if claim[0] == "s" and claim[1:].isdigit()} <= paper.grid.claims.keys()
    assert [line["row"] for line in printed("figure3")] == []


@pytest.mark.parametrize("preset", ["smoke", "laptop", "gpu"])
def test_shares_and_budgets_are_those_that_titles_say(preset):
    def budget(row):
        cfg = paper.config(row, preset)
        return cfg.paired, cfg.audio_share, cfg.scores_share

    shares = {"r1_1000": 0.001, "r1_333": 0.003, "r1_100": 0.01, "r1_19": 0.05, "r1_9": 0.1}
    for key, share in shares.items():
        assert budget(f"{key}_paired_only") == (share, 0, 0) and budget(f"{key}_paired_unpaired") == (share, 1, 1)
        assert ROWS[f"{key}_paired_only"].title.startswith(f"{100 * share:g} % paired")
    assert budget("r1_0_paired_only") == (1, 0, 0) and budget("unpaired_only") == (0, 1, 1)
    assert budget("audio_only_90") == budget("fig5_audio_heavy_10x") == (0.01, 0.9, 0.1)
    assert budget("score_only_90") == budget("fig5_score_heavy_10x") == (0.01, 0.1, 0.9)
    assert budget("audio_score_90") == budget("fig5_both_90x") == (0.01, 0.9, 0.9)
    assert budget("fig5_audio_heavy_1x") == (0.01, 0.9, 0.01) and budget("fig5_score_heavy_1x") == (0.01, 0.01, 0.9)
    few, more = budget("paired_6min"), budget("paired_6min_unpaired_60min")
    assert few == (0.001, 0, 0) and more == (0.001, 0.01, 0.01)


def test_rows_that_tables_share_are_one_run():
    one = "r1_100_paired_unpaired"
    for row in ("audio_score_100", "maestro_test_maestro_only", "guitarset_test_maestro_only", "paired_unpaired_1_100",
                "figure3_anchored"):
        assert paper.config(ROWS[row], "full").id == paper.config(one, "full").id
    both = [paper.config(ROWS[f"{split}_test_plus_guitarset_audio"], "full") for split in ("maestro", "guitarset")]
    assert both[0] == both[1] and (both[0].guest, both[0].also) == ("guitar", "guitar")
    configs = paper.configs("full")
    assert len({cfg.digest for cfg in configs}) == len(configs)
    at = {cfg.id: i for i, cfg in enumerate(configs)}
    assert all(at[need.id] < at[cfg.id] for cfg in configs for need in cfg.needs())


def test_rows_that_are_compared_differ_in_what_is_compared_only():
    def differ(a, b, preset="full"):
        a, b = (paper.config(row, preset, 1) for row in (a, b))
        return {field.name for field in fields(a) if getattr(a, field.name) != getattr(b, field.name)} - {"label"}

    assert differ("r1_100_paired_only", "r1_100_paired_unpaired") == {"audio_share", "scores_share", "plan"}
    assert differ("r1_9_paired_only", "r1_9_paired_unpaired") == {"audio_share", "scores_share"}
    assert differ("r1_100_paired_unpaired", "r1_9_paired_unpaired") == {"paired", "plan"}  # much takes longer
    assert differ("r1_100_paired_unpaired", "r1_9_paired_unpaired", "paper") == {"paired"}
    assert differ("audio_only_90", "score_only_90") == {"audio_share", "scores_share"}
    assert differ("r0_1_unpaired_shifted", "r0_1_unpaired_stable") == {"shift"}
    assert differ("r1_100_paired_unpaired", "maestro_test_plus_guitarset_audio") == {"guest"}
    assert differ("paired_only_0h47", "paired_unpaired_0h47") == {"audio_share", "scores_share", "plan"}
    assert differ("paired_only_0h47", "paired_only_32h6") == {"paired", "plan"}
    assert differ("r1_100_paired_unpaired", "critical_piano") == {"loss"}
    assert differ("maestro_test_plus_guitarset_audio", "critical_guitar_audio") == {"loss"}
    assert differ("critical_piano", "critical_guitar_audio") == {"guest"}
    assert differ("critical_guitar_audio", "critical_guitar_scores") == {"guest_scores"}
    assert differ("r1_100_paired_only", "r1_100_paired_unpaired", "paper") == {"audio_share", "scores_share"}


def test_a_planted_shift_is_told_before_it_is_left_alone():
    """And at the preset `paper` nothing is planted."""
    for preset in ("smoke", "laptop", "gpu"):
        cfg = paper.config("r0_1_unpaired_shifted", preset)
        assert (cfg.shift, cfg.paired) == (2, 0.1) and 0 < cfg.release < cfg.plan.steps
        assert paper.config("unpaired_only", preset).release is None
    alone = {(cfg.paired, cfg.shift, cfg.release, cfg.audio_share, cfg.scores_share) for row in (
        "r0_1_unpaired_shifted", "r0_1_unpaired_stable", "unpaired_only") for cfg in [published(row)]}
    assert alone == {(0.0, 0, None, 1.0, 1.0)}


# The published settings: Table 7, Appendices A and B

ROW = {"vae": "vae", "single": "r1_100_paired_unpaired", "multi": "paired_unpaired_0h47"}
WHERE = {"lr_warmup": lambda cfg: cfg.plan.warmup, "grad_clip": lambda cfg: cfg.plan.clip,
         "batch_size": lambda cfg: cfg.batch, "steps": lambda cfg: cfg.plan.steps,
         "ema_decay": lambda cfg: cfg.plan.ema, "adam_beta1": lambda cfg: cfg.plan.betas[0],
         "adam_beta2": lambda cfg: cfg.plan.betas[1], "unnamed_weight_a": lambda cfg: cfg.loss.cycle_cqt,
         "unnamed_weight_b": lambda cfg: cfg.loss.supervised, "unnamed_weight_c": lambda cfg: cfg.loss.reverse,
         "adv_warmup": lambda cfg: cfg.loss.warmup, "pool_size": lambda cfg: cfg.pool}
#: Not in a config: an epoch is counted in steps below, and the half of the fakes from the pool is the method's own.
ELSEWHERE = {"epochs_vae", "pool_ratio_single", "pool_ratio_multi"}


@pytest.mark.parametrize("row, value", [(line["row"], float(line["value"])) for line in printed("table7")
                                        if line["row"] not in ELSEWHERE])
def test_table_7(row, value):
    setting, _, of = row.rpartition("_")
    assert WHERE[setting](published(ROW[of])) == value


def test_what_table_7_does_not_print_is_of_the_released_code():
    for row, vae in (("r1_100_paired_unpaired", "vae"), ("paired_unpaired_0h47", "chamber_vae")):
        cfg = published(row)
        assert cfg.vae == published(vae) and (cfg.plan.lr, cfg.vae.plan.lr) == (2e-4, 2e-4)
        assert (cfg.plan.decay, cfg.plan.weight_decay, cfg.plan.precision) == ("cosine", 0.01, "bf16-mixed")
        assert (cfg.vae.plan.betas, cfg.vae.plan.weight_decay) == ((0.9, 0.999), 0.0)
        assert (cfg.loss.cycle_latent, cfg.loss.adversarial_cqt, cfg.loss.adversarial_latent, cfg.loss.matching) == (
            5.0, 1.0, 1.0, 0.1)
        assert (cfg.vae.loss.gamma, cfg.vae.loss.alpha, cfg.vae.loss.kl) == (2.0, 0.75, 1e-8)
    assert published("vae").plan.steps == 200 * (112_963 // 128) and published("vae").batch == 128
    assert published("chamber_vae").plan.steps == 200 * (int(0.9 * (340 + 507 + 22_504)) // 64)


def test_appendix_a():
    single, multi, full = map(published, ("r1_100_paired_unpaired", "paired_unpaired_0h47", "paired_only_32h6"))
    for cfg in (single, multi, full):
        assert (cfg.n_frames, cfg.bins_per_octave) == (256, 48)
    assert (single.corpus, single.audio, single.scores, single.also, single.instruments) == (
        "maestro", "maestro", "maestro", "guitarset", 1)
    assert single.partners and published("maestro_test_plus_guitarset_audio").guest == "guitarset"
    assert (multi.corpus, multi.scores, multi.audio, multi.paired) == (
        "musicnet_em_cover", "musicnet_em_pool", "gardner", 1.0)
    assert (full.corpus, full.paired, full.unpaired) == ("musicnet_em", 1.0, False)
    assert multi.instruments == full.instruments == multi.vae.instruments == len(PROGRAMS) == 11
    assert multi.audio_share * 303 == pytest.approx(32.1)
    few = published("paired_6min_unpaired_60min")
    assert 161.1 * 60 * few.paired == pytest.approx(6) and 161.1 * 60 * few.audio_share == pytest.approx(60)


def test_appendix_b():
    cfg = published("r1_100_paired_unpaired")
    net = cfg.generator
    assert net.widths == tuple(32 * m for m in (1, 1, 2, 2, 4, 8)) and net.attention == 2 and net.n_blocks == 2
    assert net.strides == ((2, 2), (2, 2), (2, 2), (1, 2), (1, 2)) and net.stem == (1, 1)
    vae = cfg.vae.vae_net
    assert vae.widths == tuple(64 * m for m in (1, 1, 2, 2, 2)) and (vae.n_blocks, vae.attention) == (2, 0)
    assert cfg.vae.z_channels == 8 and sum(stride == (2, 2) for stride in vae.strides) == 3
    heard, latent = cfg.critic_cqt, cfg.critic_latent
    assert (heard.n_scales, heard.n_layers, heard.kernel, heard.stride, heard.n_channels, heard.most) == (
        3, 3, (3, 5), (2, 2), 64, 128)
    assert (latent.n_scales, latent.n_layers, latent.kernel, latent.stride, latent.n_channels, latent.most) == (
        2, 5, (3, 3), (1, 1), 64, 128)


def test_tables_have_the_numbers_of_the_paper():
    """One of each, as printed."""
    for name, cell, value in (
            ("table1", ("r1_1000_paired_unpaired", "frame_f1", "MAESTRO test"), "71.37"),
            ("table3", ("guitarset_test_plus_guitarset_audio", "frame_f1", "GuitarSet test"), "64.81"),
            ("table5", ("paired_6min", "frame_f1", "MAESTRO train"), "98.39"),
            ("table6", ("paired_unpaired_0h47", "multi_inst_frame_f1", "MusicNet-EM test"), "19.91"),
            ("text", ("fig5_score_heavy_10x", "frame_f1", "MAESTRO test"), "70.51")):
        assert tables.printed("shin2026", name)[cell] == value


def test_a_table_without_a_row_at_a_preset_says_so():
    empty = {sheet.table.name: sheet.markdown("committed") for sheet in paper.sheets("laptop") if not sheet.rows}
    assert empty == {"table6": "The preset laptop has no row of this table; choose a larger one.\n"}
