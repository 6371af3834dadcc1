"""One training loop for all papers, on Lightning Fabric: CPU, one GPU, or DDP over many.

A batch is a pure function of the step, and the learning rate of the step and the scores so far; the state of a run is
therefore the weights, their average, the optimiser's moments and a few numbers. All of it lies in one checkpoint file,
and a run that is killed at any moment goes on to the same numbers as one that is not.

Contents
--------
Plan
    How long, how fast, how averaged, when to stop.
Task
    What there is to train.
fit
    Train a model to a plan.
"""
from __future__ import annotations

import copy
import ctypes
import json
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from weaklib import weights
from weaklib.files import WeaklibError
from weaklib.progress import track

CHECKPOINT, LOG = "checkpoint.safetensors", "log.jsonl"
HALVE_AFTER = 2  # validations without a gain, after each of which "plateau" halves the learning rate


@dataclass(frozen=True)
class Plan:
    """How a model is trained; the defaults are those of small models on a CPU."""

    steps: int = 500
    lr: float = 1e-3             # peak learning rate of AdamW
    warmup: int = 50             # steps of linear warm-up
    decay: str = "cosine"        # after the warm-up: "cosine" to zero, "constant", or "plateau": see HALVE_AFTER
    weight_decay: float = 0.0
    clip: float = 5.0            # largest gradient norm
    ema: float = 0.99            # decay of the averaged weights, which are the ones that count; 0: no averaging
    validate_every: int = 50     # steps
    patience: int = 0            # validations without a gain before the run stops; 0: never
    precision: str = "32-true"   # or "bf16-mixed"

    def __post_init__(self):
        if self.decay not in ("cosine", "constant", "plateau"):
            raise WeaklibError(f"Unknown decay {self.decay!r}; choose cosine, constant or plateau.")

    def lr_at(self, step: int) -> float:
        """Learning rate of a step, counted from 0; on a plateau it is halved beside this."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if self.decay != "cosine":
            return self.lr
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * done))


@dataclass
class Task:
    """What there is to train: what `fit` takes, but for how long and where."""

    model: torch.nn.Module
    draw: Callable
    loss: Callable
    validate: Callable


@dataclass
class _State:
    """What a checkpoint holds beside the tensors."""

    step: int = 0                # steps done
    best: float = -math.inf      # best validation score
    stale: int = 0               # validations since then
    halvings: int = 0            # of the learning rate, on plateaus
    seconds: float = 0.0         # of work, over all starts


def keep_buffers() -> None:
    """Let the C library keep freed memory for the next step, where it is glibc.

    By default it returns every large buffer to the system and asks for it again a moment later, page by page; on some
    machines that costs as much as the arithmetic.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # from malloc.h
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, (1 << 31) - 1)
        libc.mallopt(top_pad, 1 << 26)


def resolve(device: str) -> str:
    """Turn ``auto`` into ``cuda`` or ``cpu``, and check any other name.

    Raises
    ------
    WeaklibError
        If the device is unknown or not there.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise WeaklibError(f"Unknown device {device!r}; choose auto, cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise WeaklibError("No CUDA device is here; choose cpu, or install a CUDA build of torch.")
    return device


def fit(model, draw, loss, plan: Plan, folder, *, seed: int = 0, validate=None, device: str = "auto",
        devices: int = 1, save_every: float = 30.0, desc: str = "training", show=None) -> list[dict]:
    """Train `model` in place and leave it, on the CPU, with its best averaged weights.

    Parameters
    ----------
    model : Module
    draw : callable
        ``draw(step)`` -> a batch, a dict of tensors with the batch axis first; always the same for the same step.
    loss : callable
        ``loss(model, batch)`` -> scalar Tensor.
    plan : Plan
    folder : path-like
        Keeps the checkpoint and the log; a run found there goes on.
    seed : int
        Of whatever the model draws itself, such as dropout.
    validate : callable, optional
        ``validate(model)`` -> score, float, larger is better. Without it the last weights are the best.
    device : {"auto", "cpu", "cuda"}
    devices : int
        Processes with one device each (DDP); every one trains on its share of the batch.
    save_every : float, s
        Time between checkpoints; the numbers are the same wherever they fall.
    desc : str
        What the progress line says.
    show : callable, optional
        ``show(history)`` after each validation, for a live plot.

    Returns
    -------
    history : list of dict
        One entry per validation (per `validate_every` steps): step, lr, loss (mean since the entry before), and
        score where there is one.

    Raises
    ------
    WeaklibError
        If the loss stops being finite, or the checkpoint found is damaged.
    """
    from lightning_fabric import Fabric
    keep_buffers()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fabric = Fabric(accelerator=resolve(device), devices=devices, precision=plan.precision,
                    strategy="ddp" if devices > 1 else "auto")
    fabric.launch()
    optimiser = torch.optim.AdamW(model.parameters(), lr=plan.lr, weight_decay=plan.weight_decay, fused=True)
    net, optimiser = fabric.setup(model, optimiser)
    average = copy.deepcopy(model).requires_grad_(False)
    best = copy.deepcopy(average.state_dict())
    state = _State()
    if (folder / CHECKPOINT).exists():
        state = _restore(folder / CHECKPOINT, model, average, best, optimiser)
    lines = _lines(folder / LOG, state.step)

    began, saved = time.monotonic() - state.seconds, time.monotonic()
    with open(folder / LOG if fabric.global_rank == 0 else os.devnull, "w") as log:
        log.writelines(lines)
        for step in track(range(state.step, plan.steps), desc, total=plan.steps, initial=state.step):
            if plan.patience and state.stale >= plan.patience:
                break
            torch.manual_seed(seed * 1_000_003 + step)
            lr = plan.lr_at(step) * 0.5 ** state.halvings
            for group in optimiser.param_groups:
                group["lr"] = lr
            batch = {name: x[fabric.global_rank::fabric.world_size].to(fabric.device)
                     for name, x in draw(step).items()}
            value = loss(net, batch)
            if not value.isfinite():
                raise WeaklibError(f"The loss is {value.item()} at step {step + 1} of {desc}; check the data for NaN "
                                   f"or lower the learning rate ({plan.lr}).")
            optimiser.zero_grad()
            fabric.backward(value)
            norm = fabric.clip_gradients(net, optimiser, max_norm=plan.clip, error_if_nonfinite=False)
            optimiser.step()
            state.step = step + 1
            _update(average, model, min(plan.ema, step / (step + 9)))  # short memory first, or it recalls the start

            line = {"step": state.step, "loss": value.item(), "lr": lr, "norm": norm.item()}
            at_validation = state.step % plan.validate_every == 0 or state.step == plan.steps
            if at_validation:
                score = validate(average.eval()) if validate else None
                if score is None or score > state.best:
                    state.best, state.stale = (state.best if score is None else score), 0
                    best = copy.deepcopy(average.state_dict())
                else:
                    state.stale += 1
                    state.halvings += plan.decay == "plateau" and state.stale % HALVE_AFTER == 0
                line["score"] = score
            log.write(json.dumps(line) + "\n")
            if at_validation and show:
                log.flush()
                show(summary(folder))
            if time.monotonic() - saved > save_every or state.step == plan.steps:
                log.flush()  # the log must not lag behind the checkpoint
                state.seconds, saved = time.monotonic() - began, time.monotonic()
                if fabric.global_rank == 0:
                    _save(folder / CHECKPOINT, state, model, average, best, optimiser)
    model.load_state_dict(best)
    model.cpu()
    return summary(folder)


def summary(folder) -> list[dict]:
    """Return the history of a run, from its log: one entry per validation, as `fit` does."""
    history, losses = [], []
    for line in map(json.loads, _lines(Path(folder) / LOG)):
        losses.append(line["loss"])
        if "score" in line:
            entry = {"step": line["step"], "lr": line["lr"], "loss": sum(losses) / len(losses)}
            history.append(entry if line["score"] is None else {**entry, "score": line["score"]})
            losses = []
    return history


@torch.no_grad()
def _update(average, model, decay: float) -> None:
    for a, x in zip(average.state_dict().values(), model.state_dict().values()):
        if a.is_floating_point():
            a.lerp_(x, 1 - decay)
        else:
            a.copy_(x)  # counters, such as those of batch norm


def _lines(path: Path, step: int | None = None) -> list[str]:
    """Complete lines of a log, up to and including `step`: a killed run may have gone on after its checkpoint."""
    if step == 0 or not path.exists():
        return []
    lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in lines if step is None or json.loads(line)["step"] <= step]


def _save(path, state, model, average, best, optimiser) -> None:
    groups = {"model": model.state_dict(), "average": average.state_dict(), "best": best}
    tensors = {f"{group}/{name}": x for group, named in groups.items() for name, x in named.items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{name}": x for name, x in moments.items()}
    about = asdict(state)
    if math.isinf(about["best"]):
        about["best"] = None  # JSON has no infinity
    weights.save(path, tensors, about)


def _restore(path, model, average, best, optimiser) -> _State:
    tensors, about = weights.load(path)
    groups: dict = {}
    for name, x in tensors.items():
        group, rest = name.split("/", 1)
        groups.setdefault(group, {})[rest] = x
    try:
        model.load_state_dict(groups["model"])
        average.load_state_dict(groups["average"])
        best.update(groups["best"])
        moments: dict = {}
        for name, x in groups["optimiser"].items():
            index, kind = name.split("/")
            moments.setdefault(int(index), {})[kind] = x
        optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
        return _State(**{**about, "best": -math.inf if about["best"] is None else about["best"]})
    except (KeyError, TypeError, RuntimeError) as e:
        raise WeaklibError(f"Checkpoint {path} is of another model; nothing was changed: delete it to train "
                           "again.") from e
