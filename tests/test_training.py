"""The loop: what a step does, and that a killed run ends as an uninterrupted one does."""
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from weaklib import weights
from weaklib.files import WeaklibError
from weaklib.training import CHECKPOINT, LOG, Plan, fit, resolve, summary

PLAN = Plan(steps=40, lr=0.05, warmup=4, ema=0.9, validate_every=10)


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


def test_learns_and_returns_the_best_average(tmp_path):
    p = problem()
    before = p["validate"](p["model"].eval())
    history = fit(plan=PLAN, folder=tmp_path, **p)
    assert [h["step"] for h in history] == [10, 20, 30, 40]
    best = max(h["score"] for h in history)
    assert best > before / 4
    assert p["validate"](p["model"].eval()) == pytest.approx(best, rel=1e-6)


def test_history_is_the_mean_of_the_logged_losses(tmp_path):
    history = fit(plan=PLAN, folder=tmp_path, **problem())
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 41))
    for k, entry in enumerate(history):
        part = lines[10 * k:10 * (k + 1)]
        assert entry["loss"] == pytest.approx(sum(line["loss"] for line in part) / 10)


def test_learning_rate_by_hand():
    plan = Plan(steps=110, lr=1.0, warmup=10)
    assert plan.lr_at(0) == pytest.approx(0.1) and plan.lr_at(9) == pytest.approx(1.0)
    assert plan.lr_at(60) == pytest.approx(0.5) and plan.lr_at(109) < 1e-3
    assert plan.lr_at(35) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert Plan(steps=110, lr=1.0, warmup=10, decay="constant").lr_at(109) == 1.0


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


@pytest.mark.parametrize("stop", [1, 10, 17, 30, 39])
def test_interrupted_run_ends_with_the_same_numbers(tmp_path, stop):
    whole = problem()
    want = fit(plan=PLAN, folder=tmp_path / "whole", **whole)

    class Killed(Exception):
        pass

    part = problem()
    real = part["draw"]

    def draw(step):
        if step == stop:
            raise Killed
        return real(step)

    with pytest.raises(Killed):
        fit(plan=PLAN, folder=tmp_path / "part", save_every=0, **{**part, "draw": draw})
    again = problem(seed=5)  # other weights at the start: they must come from the checkpoint
    got = fit(plan=PLAN, folder=tmp_path / "part", **again)
    assert got == want
    for a, b in zip(again["model"].parameters(), whole["model"].parameters()):
        assert torch.equal(a, b)


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
from test_training import PLAN, fit, problem
p = problem()
real = p["draw"]
p["draw"] = lambda step: (time.sleep(0.02), real(step))[1]
fit(plan=PLAN, folder={folder!r}, save_every=0.03, **p)
"""


@pytest.mark.parametrize("after", [0.1, 0.35, 0.6])
def test_killed_process_goes_on_to_the_same_numbers(tmp_path, after):
    want = fit(plan=PLAN, folder=tmp_path / "whole", **problem())
    folder = tmp_path / "killed"
    script = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(folder))
    child = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    while not (folder / CHECKPOINT).exists():
        assert child.poll() is None, "the child ended before its first checkpoint"
    try:
        child.wait(after)
    except subprocess.TimeoutExpired:
        os.kill(child.pid, signal.SIGKILL)
    child.wait()
    p = problem(seed=5)
    assert fit(plan=PLAN, folder=folder, **p) == want


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


def test_unknown_device_and_decay():
    with pytest.raises(WeaklibError, match="cpu or cuda"):
        resolve("tpu")
    with pytest.raises(WeaklibError, match="cosine"):
        Plan(decay="linear")


def test_bfloat16_trains(tmp_path):
    history = fit(plan=Plan(steps=40, lr=0.05, warmup=4, validate_every=20, precision="bf16-mixed"), folder=tmp_path,
                  **problem())
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]


def test_show_is_called_at_every_validation(tmp_path):
    seen = []
    history = fit(plan=PLAN, folder=tmp_path, show=lambda h: seen.append(len(h)), **problem())
    assert seen == [1, 2, 3, 4] and summary(tmp_path) == history


def test_weights_round_trip_and_checksum(tmp_path):
    tensors = {"a": torch.randn(3, 4), "b": torch.arange(5), "c": torch.tensor(1.5)}
    weights.save(tmp_path / "x.safetensors", tensors, {"n": 1})
    got, about = weights.load(tmp_path / "x.safetensors")
    assert about == {"n": 1} and all(torch.equal(got[k], tensors[k]) for k in tensors)
    with pytest.raises(WeaklibError, match="missing"):
        weights.load(tmp_path / "y.safetensors")
