"""The loop: what a step does, and that a killed run ends as an uninterrupted one does, for one player and for two."""
import copy
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from weaklib import training, weights
from weaklib.evaluation import Criterion
from weaklib.files import WeaklibError
from weaklib.models import Pool
from weaklib.training import CHECKPOINT, LOG, Plan, Player, fit, resolve, summary

PLAN = Plan(steps=40, lr=0.05, warmup=4, ema=0.9, validate_every=10)


@pytest.fixture(autouse=True)
def one_thread():
    """As in the processes that some tests start; toys are too small for more, and sums depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def problem(seed=0):
    """A noisy linear regression with dropout, so that the model draws something of its own."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1))

    def draw(step):
        g = torch.Generator().manual_seed(step)
        x = torch.randn(16, 3, generator=g)
        return {"x": x, "y": x @ torch.tensor([[1.0], [-2.0], [0.5]])}

    def loss(model, batch):
        return (model(batch["x"]) - batch["y"]).square().mean()

    def validate(model):
        return -loss(model, draw(999)).item()

    return dict(model=model, draw=draw, loss=loss, validate=validate, device="cpu")


def pictured(seed=0):
    """The weights of a convolution that lie in memory with the channels last, and the moments with them."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Conv2d(4, 2, 2)).to(
        memory_format=torch.channels_last)

    def draw(step):
        x = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(step))
        return {"x": x, "y": x[:, :2, 1:4, 2:5]}

    def loss(model, batch):
        return (model(batch["x"]) - batch["y"]).square().mean()

    return dict(model=model, draw=draw, loss=loss, validate=lambda model: -loss(model, draw(999)).item(), device="cpu")


class Game(torch.nn.Module):
    """A generator with dropout, a critic with counters of its own, and a pool between them."""

    def __init__(self):
        super().__init__()
        self.generator = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Dropout(0.2),
                                             torch.nn.Linear(8, 2))
        self.critic = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.BatchNorm1d(8), torch.nn.Tanh(),
                                          torch.nn.Linear(8, 1))
        self.pool = Pool(24, (2,))


def create(model, batch):
    """The generator's loss: its adversarial term warms up over ten steps."""
    fake = model.generator(batch["z"])
    warm = 0.1 + 0.9 * min(batch["step"] / 10, 1)
    terms = {"fooling": (1 - model.critic(fake)).square().mean(), "near": (fake - 1).square().mean()}
    return warm * terms["fooling"] + 0.1 * terms["near"], {"fake": fake, "terms": terms}


def criticise(model, batch):
    assert not batch["fake"].requires_grad  # what is handed on moves nobody
    return (1 - model.critic(batch["x"])).square().mean() + model.critic(model.pool(batch["fake"])).square().mean()


GAME = replace(PLAN, clip=1.0)


def game(seed=0):
    torch.manual_seed(seed)
    model = Game()

    def draw(step):
        g = torch.Generator().manual_seed(step)
        return {"z": torch.randn(16, 2, generator=g), "x": 1 + torch.randn(16, 2, generator=g)}

    players = [Player("generator", model.generator.parameters(), create),
               Player("critic", model.critic.parameters(), criticise,
                      replace(GAME, lr=0.02, betas=(0.5, 0.9), warmup=10, clip=0.5, weight_decay=0.1))]
    return dict(model=model, draw=draw, loss=players, device="cpu",
                validate=lambda m: -(m.generator(draw(999)["z"]) - 1).square().mean().item())


def plans(make):
    return {problem: PLAN, game: GAME, pictured: PLAN}[make]


def same(a, b):
    """Whether two models have the same parameters and buffers, to the bit."""
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def by_hand(model, draw, losses, plan, validate):
    """The loop written out for `losses`, a list of (loss, parameters, plan): model with its best average, log lines."""
    optimisers = [torch.optim.AdamW(p, lr=own.lr, betas=own.betas, weight_decay=own.weight_decay, fused=True)
                  for _, p, own in losses]
    average, best, highest, log = copy.deepcopy(model).eval(), None, -math.inf, []
    for step in range(plan.steps):
        torch.manual_seed(step)
        batch = draw(step) | {"step": step}
        for (loss, parameters, own), optimiser in zip(losses, optimisers):
            for x in model.parameters():
                x.requires_grad_(any(x is y for y in parameters))
            optimiser.param_groups[0]["lr"] = own.lr_at(step)
            value = loss(model, batch)
            if isinstance(value, tuple):
                batch["fake"] = value[1]["fake"].detach()
                value = value[0]
            optimiser.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(parameters, own.clip)
            optimiser.step()
            log.append(value.item())
        decay = min(plan.ema, step / (step + 9))
        with torch.no_grad():
            for a, x in zip(average.parameters(), model.parameters()):
                a.lerp_(x, 1 - decay)
            for a, x in zip(average.buffers(), model.buffers()):
                a.copy_(x)
            if (step + 1) % plan.validate_every == 0:
                score = validate(average)
                if score > highest:
                    highest, best = score, copy.deepcopy(average)
    return best, log


def test_one_player_is_the_plain_loop_to_the_bit(tmp_path):
    ours, plain = problem(), problem()
    fit(plan=PLAN, folder=tmp_path, **ours)
    model = plain["model"]
    best, log = by_hand(model, plain["draw"], [(plain["loss"], [*model.parameters()], PLAN)], PLAN, plain["validate"])
    assert same(ours["model"], best)
    assert [json.loads(line)["loss"] for line in (tmp_path / LOG).read_text().splitlines()] == log


def test_two_players_are_the_plain_loop_to_the_bit(tmp_path):
    ours, plain = game(), game()
    history = fit(plan=GAME, folder=tmp_path, **ours)
    model, (first, second) = plain["model"], plain["loss"]
    best, log = by_hand(model, plain["draw"], [(first.loss, list(first.parameters), GAME),
                                               (second.loss, list(second.parameters), second.plan)], GAME,
                        plain["validate"])
    assert same(ours["model"], best) and model.pool.filled == 24
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["players"][name]["loss"] for line in lines for name in ("generator", "critic")] == log
    assert [line["loss"] for line in lines] == log[::2]
    assert history[1]["losses"]["critic"] == pytest.approx(sum(log[21:40:2]) / 10)
    assert history[1]["loss"] == pytest.approx(sum(log[20:40:2]) / 10) and history[1]["lr"] == GAME.lr_at(19)


def test_others_are_frozen_while_a_player_moves_and_as_before_afterwards(tmp_path):
    p = game()
    p["model"].critic[0].bias.requires_grad_(False)  # frozen from the start, and so it stays
    seen = []

    def watched(loss):
        def watching(model, batch):
            seen.append({name for name, x in model.named_parameters() if x.requires_grad})
            if len(seen) == 6:
                raise KeyboardInterrupt
            return loss(model, batch)
        return watching

    p["loss"] = [replace(player, loss=watched(player.loss)) for player in p["loss"]]
    before = {name for name, x in p["model"].named_parameters() if x.requires_grad}
    fixed = p["model"].critic[0].bias.clone()
    with pytest.raises(KeyboardInterrupt):
        fit(plan=GAME, folder=tmp_path, **p)
    assert seen[0] == {name for name in before if name.startswith("generator")} and seen[1] == before - seen[0]
    assert before == {name for name, x in p["model"].named_parameters() if x.requires_grad}
    assert torch.equal(p["model"].critic[0].bias, fixed)


def test_players_that_do_not_fit_are_refused(tmp_path):
    model = Game()
    critic = Player("critic", list(model.critic.parameters()), criticise)
    for players, message in [
            ([critic, critic], "another player's"), ([replace(critic, parameters=Game().parameters())], "of the model"),
            ([replace(critic, parameters=[])], "needs parameters"), ([], "needs a loss"),
            ([replace(critic, plan=Plan(steps=7))], "7 steps.*40"),
            ([critic, Player("critic", model.generator.parameters(), create)], "names of their own")]:
        with pytest.raises(WeaklibError, match=message):
            fit(model, game()["draw"], players, GAME, tmp_path, device="cpu")


def test_the_average_is_of_parameters_and_buffers_are_copied(tmp_path):
    p, seen = game(), []

    def validate(average):
        seen.append(all(torch.equal(a, x) for a, x in zip(average.buffers(), p["model"].buffers())))
        seen.append(not any(torch.equal(a, x) for a, x in zip(average.parameters(), p["model"].parameters())))
        return 0.0

    fit(plan=GAME, folder=tmp_path, **p | {"validate": validate})
    assert seen == [True] * 8


def test_learns_and_returns_the_best_average(tmp_path):
    p = problem()
    before = p["validate"](p["model"].eval())
    history = fit(plan=PLAN, folder=tmp_path, **p)
    assert [h["step"] for h in history] == [10, 20, 30, 40]
    best = max(h["score"] for h in history)
    assert best > before / 4
    assert p["validate"](p["model"].eval()) == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("keep, kept", [("best", 10), ("last", 40)])
def test_the_best_weights_are_kept_or_the_last(tmp_path, keep, kept):
    """A score that falls from the first validation on: the best weights are those of step 10."""
    p, seen = problem(), {}

    def validate(average):
        step = 10 * (len(seen) + 1)
        seen[step] = {name: x.clone() for name, x in average.state_dict().items()}
        return -float(step)

    fit(plan=replace(PLAN, keep=keep), folder=tmp_path, **p | {"validate": validate})
    assert list(seen) == [10, 20, 30, 40]
    for name, x in p["model"].state_dict().items():
        torch.testing.assert_close(x, seen[kept][name], rtol=0, atol=0)
        assert not torch.equal(x, seen[50 - kept][name])


def test_history_is_the_mean_of_the_logged_losses(tmp_path):
    history = fit(plan=PLAN, folder=tmp_path, **problem())
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 41))
    for k, entry in enumerate(history):
        part = lines[10 * k:10 * (k + 1)]
        assert entry["loss"] == pytest.approx(sum(line["loss"] for line in part) / 10)


def test_history_has_the_mean_of_each_term_over_the_steps_that_have_it(tmp_path):
    def loss(model, batch):
        parts = {"even" if batch["step"] % 2 == 0 else "odd": torch.tensor(float(batch["step"])),
                 "bias": model.bias.square().sum()}
        return parts["bias"], {"terms": parts}

    model = torch.nn.Linear(1, 1)
    history = fit(model, lambda step: {"x": torch.zeros(1, 1)}, loss, replace(PLAN, steps=8, validate_every=4),
                  tmp_path, device="cpu")
    assert [(entry["terms"]["even"], entry["terms"]["odd"]) for entry in history] == [(1.0, 2.0), (5.0, 6.0)]
    assert [entry["terms"]["bias"] for entry in history] == pytest.approx([entry["loss"] for entry in history])


def test_terms_are_the_first_players_and_do_not_reach_the_next(tmp_path):
    p, given = game(), []
    first, second = p["loss"]

    def told(model, batch):
        value, extra = first.loss(model, batch)
        return value, extra | {"terms": {"all": value}}

    def listening(model, batch):
        given.append(set(batch))
        value = second.loss(model, batch)
        return value, {"terms": {"all": 7 + value}}

    p["loss"] = [replace(first, loss=told), replace(second, loss=listening)]
    history = fit(plan=GAME, folder=tmp_path, **p)
    assert [entry["terms"]["all"] for entry in history] == pytest.approx([entry["loss"] for entry in history])
    assert not any("terms" in names for names in given)


def test_learning_rate_by_hand():
    plan = Plan(steps=110, lr=1.0, warmup=10)
    assert plan.lr_at(0) == pytest.approx(0.1) and plan.lr_at(9) == pytest.approx(1.0)
    assert plan.lr_at(60) == pytest.approx(0.5) and plan.lr_at(109) < 1e-3
    assert plan.lr_at(35) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert Plan(steps=110, lr=1.0, warmup=10, decay="constant").lr_at(109) == 1.0
    step = Plan(steps=110, lr=1.0, warmup=0, decay="step", drop_every=40)
    assert [step.lr_at(k) for k in (0, 39, 40, 79, 80, 109)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    for wrong in ({"decay": "step"}, {"drop_every": 5}):
        with pytest.raises(WeaklibError, match="drop_every"):
            Plan(**wrong)


def test_first_step_and_average_by_hand(tmp_path):
    """AdamW's first step is lr * sign(gradient); the average then holds 1/10 of ... the short memory at the start."""
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 1.0)
    fit(model, lambda step: {"x": torch.ones(2, 1)}, lambda m, b: m(b["x"]).mean(),
        Plan(steps=2, lr=0.1, warmup=0, decay="constant", ema=0.5, validate_every=1), tmp_path, device="cpu")
    # weights: 1 -> 0.9 -> 0.8; decay at step 0 is 0, at step 1 it is min(0.5, 1/10)
    assert model.weight.item() == pytest.approx(0.1 * 0.9 + 0.9 * 0.8, abs=1e-4)


def test_clipping_bounds_the_step(tmp_path):
    norms = []
    for clip in (1e-3, 1e3):
        fit(plan=Plan(steps=1, warmup=0, clip=clip, validate_every=1), folder=tmp_path / str(clip), **problem())
        norms.append(json.loads((tmp_path / str(clip) / LOG).read_text())["norm"])
    assert norms[0] == pytest.approx(norms[1]) and norms[0] > 1e-3  # the log tells the norm before clipping


def test_early_stop(tmp_path):
    p = problem()
    p["validate"] = lambda model: 0.0  # never better than the first time
    history = fit(plan=Plan(steps=100, validate_every=5, patience=3), folder=tmp_path, **p)
    assert history[-1]["step"] == 20


@pytest.mark.parametrize("make", [problem, game, pictured])
@pytest.mark.parametrize("stop", [1, 10, 17, 30, 39])
def test_interrupted_run_ends_with_the_same_numbers(tmp_path, stop, make):
    whole, plan = make(), plans(make)
    want = fit(plan=plan, folder=tmp_path / "whole", **whole)

    class Killed(Exception):
        pass

    part = make()
    real = part["draw"]

    def draw(step):
        if step == stop:
            raise Killed
        return real(step)

    with pytest.raises(Killed):
        fit(plan=plan, folder=tmp_path / "part", save_every=0, **{**part, "draw": draw})
    again = make(seed=5)  # other weights at the start: they must come from the checkpoint
    got = fit(plan=plan, folder=tmp_path / "part", **again)
    assert got == want and same(again["model"], whole["model"])


@pytest.mark.parametrize("make", [problem, game])
def test_a_longer_plan_goes_on_where_a_shorter_one_ended(tmp_path, make):
    """With the same model, which has meanwhile been left in evaluation mode, and the same players."""
    whole, part = make(), make()
    plan = replace(plans(make), decay="constant")
    for p in (whole, part):
        if make is game:
            p["loss"][1] = replace(p["loss"][1], plan=None)
    want = fit(plan=plan, folder=tmp_path / "whole", **whole)
    fit(plan=replace(plan, steps=20), folder=tmp_path / "part", **part)
    assert not part["model"].training
    assert fit(plan=plan, folder=tmp_path / "part", **part) == want and same(part["model"], whole["model"])


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
from test_training import fit, game, plans, problem, torch
torch.set_num_threads(1)
p = {make}()
real = p["draw"]
p["draw"] = lambda step: (time.sleep(0.02), real(step))[1]
fit(plan=plans({make}), folder={folder!r}, save_every=0.03, **p)
"""


@pytest.mark.parametrize("make, after", [(problem, 0.1), (problem, 0.6), (game, 0.2), (game, 0.5)])
def test_killed_process_goes_on_to_the_same_numbers(tmp_path, make, after):
    whole = make()
    want = fit(plan=plans(make), folder=tmp_path / "whole", **whole)
    folder = tmp_path / "killed"
    script = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(folder), make=make.__name__)
    child = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    while not (folder / CHECKPOINT).exists():
        assert child.poll() is None, "the child ended before its first checkpoint"
        time.sleep(0.02)
    try:
        child.wait(after)
    except subprocess.TimeoutExpired:
        os.kill(child.pid, signal.SIGKILL)
    child.wait()
    p = make(seed=5)
    assert fit(plan=plans(make), folder=folder, **p) == want and same(p["model"], whole["model"])


def test_damaged_checkpoint_is_refused_and_kept(tmp_path):
    fit(plan=PLAN, folder=tmp_path, **problem())
    path = tmp_path / CHECKPOINT
    data = bytearray(path.read_bytes())
    data[-3] ^= 255
    path.write_bytes(data)
    with pytest.raises(WeaklibError, match="damaged"):
        fit(plan=PLAN, folder=tmp_path, **problem())
    assert path.read_bytes() == data
    path.write_bytes(b"no safetensors")
    with pytest.raises(WeaklibError, match="damaged"):
        fit(plan=PLAN, folder=tmp_path, **problem())


def test_checkpoint_of_another_model_is_refused(tmp_path):
    fit(plan=PLAN, folder=tmp_path, **problem())
    p = problem()
    p["model"] = torch.nn.Linear(3, 1)
    with pytest.raises(WeaklibError, match="another model"):
        fit(plan=PLAN, folder=tmp_path, **p)


@pytest.mark.parametrize("score", [math.nan, math.inf, np.float32("nan")])
def test_a_score_that_is_no_number_is_told_and_not_taken_for_the_worst(tmp_path, score):
    model = torch.nn.Linear(1, 1)
    with pytest.raises(WeaklibError, match=r"validation score of toy is (nan|inf) at step 2"):
        fit(model, lambda step: {"x": torch.ones(2, 1)}, lambda model, batch: model(batch["x"]).square().mean(),
            Plan(steps=4, validate_every=2), tmp_path, validate=lambda model: score, device="cpu", desc="toy")


@pytest.mark.parametrize("score", [np.float32(1.5), torch.tensor(1.5)])
def test_a_score_may_be_any_kind_of_number(tmp_path, score):
    history = fit(torch.nn.Linear(1, 1), lambda step: {"x": torch.ones(2, 1)},
                  lambda model, batch: model(batch["x"]).square().mean(), Plan(steps=2, validate_every=2), tmp_path,
                  validate=lambda model: score, device="cpu")
    assert history[0]["score"] == 1.5


def test_a_loss_for_each_example_is_told(tmp_path):
    with pytest.raises(WeaklibError, match=r"shape \(2, 1\); return its mean"):
        fit(torch.nn.Linear(1, 1), lambda step: {"x": torch.ones(2, 1)}, lambda model, batch: model(batch["x"]),
            Plan(steps=2), tmp_path, device="cpu")


@pytest.mark.parametrize("wrong", [{"steps": -5}, {"validate_every": 0}])
def test_a_plan_has_steps_and_validations(wrong):
    with pytest.raises(WeaklibError, match=next(iter(wrong))):
        Plan(**wrong)


def test_nan_stops_with_one_sentence(tmp_path):
    p = problem()
    p["loss"] = lambda model, batch: model(batch["x"]).mean() * float("nan")
    with pytest.raises(WeaklibError, match="step 1 .*learning rate"):
        fit(plan=PLAN, folder=tmp_path, **p)


def test_a_plateau_halves_the_learning_rate_also_after_a_stop(tmp_path):
    plan = Plan(steps=14, lr=0.01, warmup=0, decay="plateau", validate_every=2)
    scores = iter([1.0, 2.0, 1.5, 2.0, 3.0, 2.5, 2.5])  # stale for two validations after the second and the fifth
    problem_ = problem() | {"validate": lambda model: next(scores)}
    fit(plan=replace(plan, steps=8), folder=tmp_path, **problem_)
    history = fit(plan=plan, folder=tmp_path, **problem_)
    assert [h["lr"] for h in history] == pytest.approx([0.01] * 4 + [0.005] * 3)
    lines = [json.loads(line)["lr"] for line in (tmp_path / LOG).read_text().splitlines()]
    assert lines == pytest.approx([0.01] * 8 + [0.005] * 6)


def test_unknown_device_decay_and_precision():
    with pytest.raises(WeaklibError, match="cpu or cuda"):
        resolve("tpu")
    with pytest.raises(WeaklibError, match="cosine"):
        Plan(decay="linear")
    with pytest.raises(WeaklibError, match="bf16-mixed"):
        Plan(precision="16-mixed")


@pytest.mark.parametrize("precision, dtype", [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)])
def test_precision_holds_in_whatever_network_a_loss_or_a_score_calls(tmp_path, precision, dtype):
    """In a part of the model, a judge from outside and a copy of the model; and only there."""
    p, judge, seen = game(), torch.nn.Linear(2, 1), []
    for layer in (p["model"].generator[0], p["model"].critic[0], judge):
        layer.register_forward_hook(lambda module, args, out: seen.append(out.dtype))

    def loss(model, batch):
        value, extra = create(model, batch)
        products = extra["fake"] @ extra["fake"].mT
        assert {x.dtype for x in (extra["fake"], judge(extra["fake"]), products)} == {torch.float32}
        return value, extra

    p["loss"] = [replace(p["loss"][0], loss=loss), replace(p["loss"][1], plan=None)]
    fit(plan=replace(GAME, steps=2, validate_every=1, precision=precision), folder=tmp_path, **p)
    assert seen == ([dtype] * 6) * 2  # per step: generator, critic and judge, the critic twice, the generator's score
    assert judge(torch.zeros(1, 2)).dtype == p["model"].generator(torch.zeros(1, 2)).dtype == torch.float32


def test_bfloat16_trains(tmp_path):
    history = fit(plan=Plan(steps=40, lr=0.05, warmup=4, validate_every=20, precision="bf16-mixed"), folder=tmp_path,
                  **problem())
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]


def test_show_is_called_at_every_validation_with_the_name_of_the_criterion(tmp_path):
    seen, p = [], problem()
    history = fit(plan=PLAN, folder=tmp_path / "plain", show=lambda *args: seen.append(args), **p)
    assert [len(entries) for entries, _ in seen] == [1, 2, 3, 4] and summary(tmp_path / "plain") == history
    fit(plan=PLAN, folder=tmp_path / "named", show=lambda *args: seen.append(args),
        **p | {"validate": Criterion("SI-SNRi, dB", p["validate"])})
    assert [name for _, name in seen] == ["validation score"] * 4 + ["SI-SNRi, dB"] * 4


# The next batch is drawn while this one trains: on a GPU, and here when asked.

@pytest.fixture
def ahead(monkeypatch):
    real = training._batches
    monkeypatch.setattr(training, "_batches", lambda draw, steps, ahead: real(draw, steps, ahead=True))


@pytest.mark.parametrize("make", [problem, game])
def test_drawing_ahead_changes_no_number(tmp_path, make, request):
    plain, other = make(), make()
    want = fit(plan=plans(make), folder=tmp_path / "plain", **plain)
    request.getfixturevalue("ahead")
    drawn = []
    real = other["draw"]
    other["draw"] = lambda step: (drawn.append((step, threading.current_thread())), real(step))[1]
    assert fit(plan=plans(make), folder=tmp_path / "ahead", **other) == want and same(plain["model"], other["model"])
    assert [step for step, _ in drawn] == list(range(40))  # each once, none beyond the end
    assert all(thread is not threading.main_thread() for _, thread in drawn)


def test_one_batch_is_drawn_ahead_and_no_more():
    drawn = []
    for step in training._batches(lambda step: drawn.append(step) or step, range(10), ahead=True):
        assert max(drawn) <= step + 1


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, WeaklibError])
@pytest.mark.parametrize("where", ["draw", "loss"])
def test_no_thread_is_left_behind_by_an_error(tmp_path, ahead, error, where):
    before, p = threading.active_count(), problem()
    real, calls = p[where], []

    def fails(*args):
        calls.append(args)
        if len(calls) == 5:
            raise error("as it is")
        return real(*args)

    with pytest.raises(error, match="as it is"):
        fit(plan=PLAN, folder=tmp_path, **p | {where: fails})
    assert threading.active_count() == before
    assert len((tmp_path / LOG).read_text().splitlines()) == 4  # an error in a draw waits for the step it belongs to


# Several processes

SHARED = """
import json, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_training import WeaklibError, fit, game, plans, problem, replace, resting, torch
from weaklib import weights
torch.set_num_threads(1)
folder = Path({folder!r})
told = {{}}
for make in (problem, game):
    p = resting(make())
    real = p["draw"]
    def stops(step):
        if step == 25:
            raise KeyboardInterrupt
        return real(step)
    try:
        fit(plan=plans(make), folder=folder / make.__name__, devices=2, save_every=0, **p | {{"draw": stops}})
    except KeyboardInterrupt:
        pass
    p = resting(make(seed=5))
    told[make.__name__] = fit(plan=plans(make), folder=folder / make.__name__, devices=2, **p)
    rank = torch.distributed.get_rank()
    weights.save(folder / f"{{make.__name__}}{{rank}}.safetensors", p["model"].state_dict(), {{}})
p = problem()
scores = iter([0.0] * 9 if rank == 0 else range(9))  # only the first process is asked
told["stop"] = fit(plan=replace(plans(problem), validate_every=2, patience=3), folder=folder / "stop", devices=2,
                   **p | {{"validate": lambda model: next(scores)}})
try:
    fit(plan=plans(problem), folder=folder / "odd", devices=2, **p | {{"draw": lambda step: {{"x": torch.ones(3, 3)}}}})
except WeaklibError as e:
    told["odd"] = str(e)
(folder / f"told{{rank}}.json").write_text(json.dumps(told))
"""


def resting(p):
    """Dropout and batch norm see a share where several processes train, so they are left out of the comparison."""
    for name, layer in list(p["model"].named_modules()):
        if isinstance(layer, (torch.nn.Dropout, torch.nn.BatchNorm1d)):
            p["model"].set_submodule(name, torch.nn.Identity())
    if isinstance(p["loss"], list):
        p["loss"] = [replace(player, parameters=getattr(p["model"], player.name).parameters()) for player in p["loss"]]
    return p


def test_two_processes_train_as_one_does(tmp_path):
    """The same weights, pools and history as one process has with the whole batch, within 1e-5, after a stop too."""
    script = tmp_path / "script.py"
    script.write_text(SHARED.format(tests=str(Path(__file__).parent), folder=str(tmp_path)))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told, other = (json.loads((tmp_path / f"told{rank}.json").read_text()) for rank in (0, 1))
    assert told == other
    for make in (problem, game):
        p = resting(make())
        history = fit(plan=plans(make), folder=tmp_path / f"one {make.__name__}", **p)
        for one, two in zip(history, told[make.__name__], strict=True):
            for name in ("losses", "terms"):
                assert one.pop(name, None) == pytest.approx(two.pop(name, None), abs=1e-5)
            assert one == pytest.approx(two, abs=1e-5)
        for rank in (0, 1):
            got, _ = weights.load(tmp_path / f"{make.__name__}{rank}.safetensors")
            torch.testing.assert_close(got, dict(p["model"].state_dict()), atol=1e-5, rtol=0)
    assert told["stop"][-1]["step"] == 8
    assert told["odd"] == ("2 devices cannot share the 3 items of x in the batch of step 1; make their number a "
                           "multiple of 2.")


def test_weights_round_trip_and_checksum(tmp_path):
    tensors = {"a": torch.randn(3, 4), "b": torch.arange(5), "c": torch.tensor(1.5)}
    weights.save(tmp_path / "x.safetensors", tensors, {"n": 1})
    got, about = weights.load(tmp_path / "x.safetensors")
    assert about == {"n": 1} and all(torch.equal(got[k], tensors[k]) for k in tensors)
    with pytest.raises(WeaklibError, match="missing"):
        weights.load(tmp_path / "y.safetensors")
