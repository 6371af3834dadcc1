"""shin2026's wiring: budgets, who learns from what, losses by hand, scores, short trainings and their resumption."""
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from weaklib import losses, metrics, runs, training
from weaklib.files import WeaklibError
from weaklib.papers import shin2026 as method

NET = method.Net((16, 16, 16), ((1, 1), (2, 1)), n_blocks=1, attention=1, stem=(4, 4))
CRITIC = method.Critic(8, 16, 2, 2, (3, 3), (2, 2), (2, 2))
PLAN = training.Plan(steps=6, lr=3e-3, warmup=2, clip=1.0, betas=(0.9, 0.99), validate_every=3)
VAE = method.Config(stage="vae", label="vae", preset="smoke", bins_per_octave=12, n_frames=64, batch=8, vae_net=NET,
                    plan=PLAN)
CYCLE = method.Config(label="cycle", preset="smoke", paired=0.25, bins_per_octave=12, n_frames=64, batch=3, pool=4,
                      generator=NET, critic_cqt=CRITIC, critic_latent=replace(CRITIC, stride=(1, 1), stem=(1, 1)),
                      plan=PLAN, vae=VAE)


@pytest.fixture(scope="module", autouse=True)
def thread():
    """One, as a run has: two that share a core wait for each other, here ten times as long as they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def untrained(monkeypatch):
    """Weights of a VAE that nobody trained, instead of a run's."""
    def weights_of(cfg):
        torch.manual_seed(1)
        return method.build(cfg).state_dict()
    monkeypatch.setattr(runs, "weights_of", weights_of)
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def chunks():
    return method.Chunks("piano", "train", CYCLE)


# Configs

def test_a_cycle_needs_its_vae_and_depends_on_it():
    assert CYCLE.needs() == [VAE] and VAE.needs() == []
    assert replace(CYCLE, vae=replace(VAE, batch=9)).id != CYCLE.id
    with pytest.raises(WeaklibError, match="no VAE"):
        method.build(replace(CYCLE, vae=None))
    names = [one["name"] for one in replace(CYCLE, guest="talkers").key()["corpora"]]
    assert names == ["piano", "piano_pool", "talkers"]


def test_published_weights():
    loss = method.Config().loss
    assert (loss.cycle_cqt, loss.cycle_latent, loss.supervised, loss.reverse, loss.matching) == (5, 5, 1, 1, 0.1)
    assert (loss.gamma, loss.alpha, loss.kl) == (2, 0.75, 1e-8)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(WeaklibError, match="latents"):
        method.build(replace(CYCLE, generator=replace(NET, strides=((1, 1), (2, 2)))))
    with pytest.raises(WeaklibError, match="cannot be divided"):
        method.build(replace(CYCLE, n_frames=60))


# Data

def test_chunks_are_what_the_corpus_has(chunks):
    from weaklib import constantq, corpora
    corpus = corpora.load("piano", "train", "smoke")
    assert chunks.at == [(piece, 64 * k) for piece in range(corpus.pieces) for k in range(300 // 64)]
    last = len(chunks) - 1
    roll = corpus.roll(corpus.pieces - 1)[:, :, 192:256]
    assert np.array_equal(chunks.score(last).numpy() > 0, roll.any(0, keepdims=True).swapaxes(1, 2))
    assert set(chunks.score(last).unique().tolist()) == {-1.0, 1.0}
    whole = constantq.ConstantQ(12)(corpus.audio(corpus.pieces - 1))
    assert np.allclose(chunks.cqt(last)[0].numpy(), whole[192:256], atol=1e-3)


def test_planted_shifts_move_the_score_and_nothing_else(chunks):
    up = chunks.score(0, 2)
    assert torch.equal(up[..., 2:], chunks.score(0)[..., :-2]) and (up[..., :2] == -1).all()


def test_paired_chunks_are_drawn_once_and_grow():
    few, many = method.subset(1000, 0.01, 0, 0), method.subset(1000, 0.1, 0, 0)
    assert len(set(few.tolist())) == 10 and len(many) == 100 and set(few) <= set(many)
    assert not np.array_equal(few, method.subset(1000, 0.01, 1, 0))
    assert len(method.subset(1000, 0.0001)) == 1 and len(method.subset(1000, 0)) == 0
    assert method.subset(1000, 1.0).tolist() == list(range(1000))


def test_unpaired_audio_and_scores_are_no_partners():
    budget = method.Budget(CYCLE)
    train = budget.paired[0]
    assert budget.scores[0] is train and budget.audio[0] is not train and len(budget.audio[1]) == len(budget.audio[0])
    assert sorted([*budget.paired[1], *budget.scores[1]]) == list(range(len(train)))
    for pool in ("piano", "piano_pool"):  # where both are of one corpus, they are of other pieces than each other
        budget = method.Budget(replace(CYCLE, audio=pool, scores=pool))
        audio, scores = ({chunks.at[i][0] for i in chosen} for chunks, chosen in (budget.audio, budget.scores))
        assert audio and scores and not audio & scores
        if pool == "piano":
            taken = set(budget.paired[1].tolist())
            assert not taken & (set(budget.audio[1].tolist()) | set(budget.scores[1].tolist()))
    budget = method.Budget(replace(CYCLE, scores="piano_pool", partners=True))
    assert budget.audio[1].tolist() == budget.scores[1].tolist() == list(range(len(budget.audio[0])))


def test_budgets_of_audio_and_scores_are_apart():
    whole = method.Budget(CYCLE)
    half = method.Budget(replace(CYCLE, audio_share=0.5))
    assert len(half.audio[1]) == round(len(whole.audio[1]) / 2) and len(half.scores[1]) == len(whole.scores[1])
    none = method.Budget(replace(CYCLE, scores_share=0.0))  # those of the pairs are left
    assert none.scores[0] is none.paired[0] and none.scores[1].tolist() == none.paired[1].tolist()
    with pytest.raises(WeaklibError, match="no chunk is left"):
        method.Budget(replace(CYCLE, paired=1.0))
    with pytest.raises(WeaklibError, match="audio_share"):
        replace(CYCLE, paired=0.0, audio_share=0.0)


def test_a_batch_is_a_function_of_the_step_and_holds_true_pairs(chunks):
    task = method.task(CYCLE, "cpu")
    batch = task.draw(5)
    assert {name: len(x) for name, x in batch.items()} == dict.fromkeys(("cqt_p", "z_p", "cqt_u", "z_u"), 3)
    assert all(torch.equal(x, task.draw(5)[name]) for name, x in batch.items())
    assert not torch.equal(batch["cqt_u"], task.draw(6)["cqt_u"])
    for cqt, z in zip(batch["cqt_p"], batch["z_p"]):
        i = next(i for i in task.draw.budget.paired[1] if torch.equal(chunks.cqt(i), cqt))
        mean, log_variance = task.model.vae.encode(chunks.score(i)[None])
        assert ((z - mean[0]).abs() < 6 * (log_variance[0] / 2).exp()).all()


def test_guests_come_by_their_share():
    draw = method.task(replace(CYCLE, guest="piano", guest_share=1.0, batch=16), "cpu").draw
    guests = {method.Chunks("piano", "train", CYCLE).cqt(i).sum().item() for i in range(len(draw.budget.guest[1]))}
    assert {x.sum().item() for x in draw(0)["cqt_u"]} <= guests
    draw.cfg = replace(draw.cfg, guest_share=0.0)
    assert not {x.sum().item() for x in draw(0)["cqt_u"]} & guests


def test_scores_of_guests_come_by_the_same_share_and_are_of_other_pieces_than_their_audio():
    cfg = replace(CYCLE, guest="piano", guest_share=0.5, guest_scores=True, batch=64)
    task = method.task(cfg, "cpu")
    (audio, heard), (scores, written) = task.draw.budget.guest, task.draw.budget.guest_scores
    pieces = [{chunks.at[i][0] for i in chosen} for chunks, chosen in ((audio, heard), (scores, written))]
    assert all(pieces) and not pieces[0] & pieces[1]
    task.draw.latents["guest"].mean.fill_(9.0)
    task.draw.latents["guest"].spread.zero_()
    drawn = [(task.draw(step)["z_u"] == 9.0).flatten(1).all(1).float().mean().item() for step in range(12)]
    assert sum(drawn) / 12 == pytest.approx(0.5, abs=0.1)
    assert "guest_scores" not in replace(CYCLE, guest="piano").key()["config"]  # older records keep their keys


def test_who_learns_when():
    assert [method.turns(replace(CYCLE, pre=2, release=4), step) for step in range(6)] == [
        (True, False)] * 2 + [(True, True)] * 2 + [(False, True)] * 2
    assert method.turns(replace(CYCLE, paired=0.0, pre=2), 0) == (False, True)
    early = replace(CYCLE, pre=9, release=2)  # no step learns from nothing
    assert [method.turns(early, step) for step in (1, 2)] == [(True, False), (False, True)]
    assert method.turns(replace(CYCLE, audio_share=0.0, scores_share=0.0, pre=2), 9) == (True, False)


# Losses

@pytest.fixture
def game():
    task = method.task(CYCLE, "cpu")
    return task, {"step": 40} | task.draw(40)


def test_the_generators_loss_term_by_term(game):
    """Against six separate calls of the generators."""
    task, batch = game
    model, loss = task.model, method.Loss(2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 0.17, warmup=80)
    value, made = method.generation(model, batch, replace(CYCLE, loss=loss))
    a, b = model.to_latent, lambda z: model.to_cqt(z).tanh()
    fake_z, fake_c = a(batch["cqt_u"]), b(batch["z_u"])
    back_c, back_z = b(fake_z), a(fake_c)
    game = 0
    for weight, critic, fake, back, real in ((11, model.critic_cqt, fake_c, back_c, batch["cqt_u"]),
                                             (13, model.critic_latent, fake_z, back_z, batch["z_u"])):
        game = game + weight * (losses.judged(critic(fake)[0], 1).mean()
                                + 0.17 * losses.matching(critic(back)[1], critic(real)[1]).mean())
    want = (2 * F.l1_loss(back_c, batch["cqt_u"]) + 3 * F.l1_loss(back_z, batch["z_u"])
            + 5 * F.l1_loss(a(batch["cqt_p"]), batch["z_p"]) + 7 * F.l1_loss(b(batch["z_p"]), batch["cqt_p"])
            + 0.55 * game)
    torch.testing.assert_close(value, want)
    terms = made["terms"]
    torch.testing.assert_close(terms["audio cycle"], F.l1_loss(back_c, batch["cqt_u"]))
    torch.testing.assert_close(terms["reverse"], F.l1_loss(b(batch["z_p"]), batch["cqt_p"]))
    torch.testing.assert_close(11 * terms["audio critic"] + 13 * terms["score critic"], game)
    torch.testing.assert_close(2 * terms["audio cycle"] + 3 * terms["score cycle"] + 5 * terms["supervised"]
                               + 7 * terms["reverse"] + 0.55 * game, want)
    torch.testing.assert_close(made["cqt_fake"], fake_c)
    torch.testing.assert_close(made["z_fake"], fake_z)


def test_the_unpaired_terms_come_in_after_the_first_steps(game):
    task, batch = game
    at = lambda **given: method.generation(task.model, batch, replace(CYCLE, loss=method.Loss(warmup=0), **given))[0]
    paired = method.generation(task.model, {k: v for k, v in batch.items() if not k.endswith("_u")}, CYCLE)[0]
    torch.testing.assert_close(at(pre=40, ramp=20), paired)
    torch.testing.assert_close(at(pre=30, ramp=20) - paired, (at() - paired) / 2)


def test_the_cycle_of_an_identity_costs_nothing():
    same = lambda x: x
    model = SimpleNamespace(to_latent=same, heard=same, critic_cqt=None, critic_latent=None)
    cfg = replace(CYCLE, loss=method.Loss(adversarial_cqt=0.0, adversarial_latent=0.0))
    x, y = torch.rand(2, 3, 1, 8, 8)
    assert method.generation(model, {"step": 0, "cqt_u": x, "z_u": y}, cfg)[0] == 0
    assert method.generation(model, {"step": 0, "cqt_p": x, "z_p": x}, cfg)[0] == 0
    assert method.generation(model, {"step": 0, "cqt_p": x, "z_p": x + 0.5}, cfg)[0] == pytest.approx(1.0)


def test_the_discriminators_loss_while_the_pool_fills(game):
    task, batch = game
    _, made = method.generation(task.model.train(), batch, CYCLE)
    want = sum((losses.judged(critic(batch[real])[0], 1) + losses.judged(critic(made[fake])[0], 0)).mean()
               for critic, real, fake in ((task.model.critic_cqt, "cqt_u", "cqt_fake"),
                                          (task.model.critic_latent, "z_u", "z_fake")))
    torch.testing.assert_close(method.judgement(task.model, batch | made, CYCLE), want)
    assert task.model.pool_cqt.filled == 3


def test_every_player_moves_its_own_weights(game, tmp_path):
    task, _ = game
    own = [{name for name, x in task.model.named_parameters() if any(x is y for y in player.parameters)}
           for player in task.loss]
    assert {name.split(".")[0] for name in own[0]} == {"to_latent", "to_cqt"}
    assert {name.split(".")[0] for name in own[1]} == {"critic_cqt", "critic_latent"}
    for moving, player in zip(own, task.loss):
        task = method.task(CYCLE, "cpu")
        before = {name: x.clone() for name, x in task.model.named_parameters()}
        frozen = replace(PLAN, steps=1, lr=0.0, weight_decay=0.0)
        players = [replace(one, plan=replace(frozen, lr=1e-3) if one.name == player.name else frozen)
                   for one in task.loss]
        training.fit(task.model, task.draw, players, replace(frozen, ema=0.0), tmp_path / player.name, device="cpu")
        assert {name for name, x in task.model.named_parameters() if not torch.equal(x, before[name])} == moving


def test_paired_only_has_no_game():
    task = method.task(replace(CYCLE, audio_share=0.0, scores_share=0.0), "cpu")
    assert [player.name for player in task.loss] == ["generators"] and set(task.draw(0)) == {"cqt_p", "z_p"}


# Training

def test_a_run_that_was_cut_off_goes_on_to_the_same_numbers(tmp_path):
    """Within the first steps, which are paired only, and after that, when there are pools to be kept."""
    cfg = replace(CYCLE, batch=2, pre=1, plan=replace(PLAN, decay="constant"))

    def trained(folder, *steps):
        for n in steps:
            torch.manual_seed(0 if n == steps[0] else n)  # what a later start draws must not matter
            task = method.task(cfg, "cpu")
            training.fit(task.model, task.draw, task.loss, replace(cfg.plan, steps=n), folder, device="cpu")
        return task.model.state_dict()

    whole, parts = trained(tmp_path / "a", 5), trained(tmp_path / "b", 1, 3, 5)
    assert whole["pool_cqt.filled"] == 4
    assert not [name for name, x in whole.items() if not torch.equal(x, parts[name])]


def test_short_trainings_learn(tmp_path, monkeypatch):
    """A VAE gains 40 points of F1 on other scores; a generator with all pairs of 20 s gains 40 on them."""
    vae = replace(VAE, n_frames=32, batch=6, plan=replace(PLAN, steps=160, lr=5e-3, validate_every=40))
    task = method.task(vae, "cpu")
    before = task.validate(task.model.eval())
    training.fit(task.model, task.draw, task.loss, vae.plan, tmp_path / "vae", validate=task.validate, device="cpu")
    assert task.validate(task.model) > before + 40
    monkeypatch.setattr(runs, "weights_of", lambda _: task.model.state_dict())
    cfg = replace(CYCLE, n_frames=32, paired=1.0, audio_share=0.0, scores_share=0.0, vae=vae, batch=8, plan=vae.plan)
    cycle = method.task(cfg, "cpu")
    before = method.score(cycle.model.eval(), cfg)
    training.fit(cycle.model, cycle.draw, cycle.loss, cfg.plan, tmp_path / "cycle", validate=cycle.validate,
                 device="cpu")
    after = method.score(cycle.model, cfg)
    assert after["frame_f1/train"][0] > before["frame_f1/train"][0] + 40
    assert set(after) == {"best_shift", "best_shift_f1"} | {
        f"{metric}{split}" for metric in ("frame_f1", "frame_f1_chunks") for split in ("", "/validation", "/train")}
    assert {name for name, values in after.items() if len(values) > 1} == {
        f"frame_f1_chunks{split}" for split in ("", "/validation", "/train")}


# Scores

def test_scores_of_a_known_transcription():
    ref = torch.rand(5, 2, 88, 10) < 0.1
    est = torch.cat([torch.zeros(5, 2, 2, 10, dtype=bool), ref[:, :, :-2]], 2)  # two semitones too high
    found = {name: [float(x) for x in values] for name, values in method.transcribed(est, ref).items()}
    assert found["best_shift"] == [-2] and found["best_shift_f1"][0] > 95 > 30 > found["frame_f1"][0]
    assert len(found["frame_f1_chunks"]) == 5
    assert found["multi_inst_frame_f1"] == [100 * float(metrics.pooled_f1(est, ref))]
    perfect = method.transcribed(ref, ref)
    assert perfect["frame_f1"] == perfect["multi_inst_frame_f1"] == [100.0]


def test_audio_of_any_length_is_transcribed():
    spec, model = method.TRANSCRIBING, method.build(CYCLE).eval()
    x = 0.1 * torch.randn(2, 320 * 150)
    with torch.no_grad():
        values = spec.apply(model, x)
        assert values.shape == (2, 1, 88, 151) and values.abs().max() <= 1
        # Two pieces know of each frame; each counts by how far the frame is from its ends.
        heard = torch.from_numpy(CYCLE.transform(x[1]))
        one, other = (model(heard[start:start + 64][None, None])[0, 0] for start in (32, 64))
        share = (torch.arange(32) + 0.5)[:, None] / 32  # of the piece that begins at frame 64
        logits = (1 - share) * one[32:] + share * other[:32]
        torch.testing.assert_close(values[1, 0, :, 64:96], 2 * logits.sigmoid().T - 1)
