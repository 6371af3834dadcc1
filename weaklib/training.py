"""One training loop for all papers, on Lightning Fabric: CPU, one GPU, or DDP over many.

A batch is a pure function of the step, and the learning rate of the step and the scores so far; the state of a run is
therefore the weights and buffers, the average of the weights, the optimisers' moments and a few numbers. All of it lies
in one checkpoint file, and a run that is killed at any moment goes on to the same numbers as one that is not.

Contents
--------
Plan
    How long, how fast, how averaged, when to stop.
Player
    One of several that train in turns, such as a generator and its discriminator.
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
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from weaklib import files, weights
from weaklib.evaluation import modules_in
from weaklib.files import WeaklibError
from weaklib.keys import check, keyed
from weaklib.progress import track

CHECKPOINT, LOG = "checkpoint.safetensors", "log.jsonl"
DROP = 0.1  # what remains of the learning rate after each `Plan.drop_every` steps
HALVE_AFTER = 2  # validations without a gain, after each of which "plateau" halves the learning rate


@dataclass(frozen=True)
class Plan:
    """How a model is trained; the defaults are those of small models on a CPU."""

    steps: int = 500
    lr: float = 1e-3             # peak learning rate of AdamW
    warmup: int = 50             # steps of linear warm-up
    # after the warm-up: to zero, not at all, by `DROP` every `drop_every` steps, or as `HALVE_AFTER` says
    decay: Literal["cosine", "constant", "step", "plateau"] = "cosine"
    weight_decay: float = 0.0
    clip: float = 5.0            # largest gradient norm
    ema: float = 0.99            # decay of the averaged weights, which are the ones that count; 0: no averaging
    validate_every: int = 50     # steps
    patience: int = 0            # validations without a gain before the run stops; 0: never
    precision: Literal["32-true", "bf16-mixed"] = "32-true"  # of the networks
    betas: tuple[float, float] = keyed((0.9, 0.999), absent=(0.9, 0.999))  # decays of AdamW's moments
    drop_every: int = keyed(0, absent=0)  # steps, of decay "step"
    keep: Literal["best", "last"] = keyed("best", absent="best")  # weights: those of the best validation, or the last

    def __post_init__(self):
        check(self)
        for name, least in (("steps", 0), ("validate_every", 1)):
            if getattr(self, name) < least:
                raise WeaklibError(f"A plan has {name} of at least {least}, not {getattr(self, name)}.")
        if (self.decay == "step") != (self.drop_every > 0):
            raise WeaklibError(f"A plan has drop_every, here {self.drop_every}, with decay 'step', and only with it; "
                               f"decay is {self.decay!r}.")

    def lr_at(self, step: int) -> float:
        """Learning rate of a step, counted from 0; on a plateau it is halved beside this."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if self.decay == "step":
            return self.lr * DROP ** (step // self.drop_every)
        if self.decay != "cosine":
            return self.lr
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True, eq=False)
class Player:
    """One of several that train in turns, each moving its own parameters to lower its own loss.

    Attributes
    ----------
    name : str
        In the log and in error messages.
    parameters : iterable of Parameter
        Those that it trains. They are frozen while the others train, so that a loss may reach through any part of
        the model.
    loss : callable
        See `fit`.
    plan : Plan, optional
        Whose learning rate, with warm-up and decay, weight decay, betas and clip are its own; without it, those of the
        plan of `fit`. The rest of it is not used.
    """

    name: str
    parameters: Iterable[nn.Parameter]
    loss: Callable
    plan: Plan | None = None

    def __post_init__(self):
        object.__setattr__(self, "parameters", tuple(self.parameters))  # they may come from a generator


@dataclass
class Task:
    """What there is to train: what `fit` takes, except how long and where."""

    model: nn.Module
    draw: Callable
    loss: Callable | list[Player]
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
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
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
    """Train `model` in place and leave it, on its device and in evaluation mode, with its best averaged weights, or its
    last ones where the plan keeps these.

    Parameters
    ----------
    model : Module
    draw : callable
        ``draw(step)`` -> a batch, a dict of tensors with the batch axis first; always the same for the same step. It
        must not use torch's global random generator, which belongs to the model.
    loss : callable or list of Player
        ``loss(model, batch)`` -> scalar Tensor, a mean over the batch; ``batch["step"]`` counts steps from 0. With
        players, every step is one update of each, in the order given: all see the newest weights of the others. A
        loss may return ``(value, extra)``, where extra is a dict of tensors that the players after it find in their
        batch; in it, ``terms`` is a dict of scalars of which the value is made, for the log.
    plan : Plan
    folder : path-like
        Keeps the checkpoint and the log; a run found there goes on.
    seed : int
        Of whatever the model draws itself, such as dropout.
    validate : Criterion or callable, optional
        ``validate(model)`` -> score, float, larger is better. Without it the last weights are the best.
    device : {"auto", "cpu", "cuda"}
    devices : int
        Processes with one device each (DDP), in a script; every one trains on its share of the batch. The first one
        validates, shows and writes.
    save_every : float, s
        Time between checkpoints; the numbers are the same wherever they fall.
    desc : str
        What the progress line says.
    show : callable, optional
        ``show(history, name)`` after each validation, for a live plot; the name is that of the criterion.

    Returns
    -------
    history : list of dict
        One entry per validation (per `validate_every` steps): step, lr, loss (mean since the entry before), and
        score where there is one; terms where the loss hands on some, each a mean over the steps that have it. With
        players, lr, loss and terms are the first one's, and losses has everyone's by name.

    Raises
    ------
    WeaklibError
        If a loss stops being finite, the checkpoint found is damaged, a batch cannot be shared among the devices, or
        the players do not fit the model or the plan.
    """
    from lightning_fabric import Fabric
    keep_buffers()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fabric = Fabric(accelerator=resolve(device), devices=devices,
                    strategy="ddp_find_unused_parameters_true" if devices > 1 else "auto")
    fabric.launch()
    first = fabric.is_global_zero
    players = _seated([Player("model", model.parameters(), loss)] if callable(loss) else loss, model, plan, fabric)
    average = copy.deepcopy(model.train()).requires_grad_(False).eval()
    kept = copy.deepcopy(average.state_dict())
    state = _State()
    if (folder / CHECKPOINT).exists():
        state = _restore(folder / CHECKPOINT, model, average, kept, players)
    lines = _lines(folder / LOG, state.step)

    began, saved = time.monotonic() - state.seconds, time.monotonic()
    steps = range(state.step, plan.steps)
    # On a CPU nothing is gained: the laptop preset of wisdom2020 draws for 7 of the 145 ms of a step, on one thread,
    # and needs as much processor time either way.
    if first:
        files.write_bytes(folder / LOG, "".join(lines).encode())  # whole: it is not written again before a checkpoint
    with (open(folder / LOG if first else os.devnull, "a", encoding="utf-8") as log,
          closing(_batches(draw, steps, ahead=fabric.device.type == "cuda")) as batches):
        for step in track(steps, desc, total=plan.steps, initial=state.step) if first else steps:
            if plan.patience and state.stale >= plan.patience:
                break
            torch.manual_seed(seed * 1_000_003 + step)
            batch = {"step": step} | _share(next(batches), step, fabric)
            told = {}
            for player in players:
                told[player.name], extra = player.move(batch, 0.5 ** state.halvings, desc)
                batch |= extra
            state.step = step + 1
            _follow(average, model, min(plan.ema, step / (step + 9)))  # short memory first, or it recalls the start

            line = {"step": state.step, **told[players[0].name]} | ({"players": told} if len(told) > 1 else {})
            at_validation = state.step % plan.validate_every == 0 or state.step == plan.steps
            if at_validation:
                for a, x in zip(average.buffers(), model.buffers()):
                    a.copy_(x)
                score = _score(validate, average, plan, fabric) if validate else None
                if score is not None and not math.isfinite(score):
                    raise WeaklibError(f"The validation score of {desc} is {score} at step {state.step}; return a "
                                       "finite number, of metrics without those that are NaN.")
                better = score is None or score > state.best
                if better or plan.keep == "last":
                    kept = copy.deepcopy(average.state_dict())
                if better:
                    state.best, state.stale = (state.best if score is None else score), 0
                else:
                    state.stale += 1
                    state.halvings += plan.decay == "plateau" and state.stale % HALVE_AFTER == 0
                line["score"] = score
            log.write(json.dumps(line) + "\n")
            if at_validation and show and first:
                log.flush()
                show(summary(folder), getattr(validate, "name", "validation score"))
            if time.monotonic() - saved > save_every or state.step == plan.steps:
                log.flush()  # the log must not lag behind the checkpoint
                state.seconds, saved = time.monotonic() - began, time.monotonic()
                if first:
                    _save(folder / CHECKPOINT, state, model, average, kept, players)
    model.eval().load_state_dict(kept)
    fabric.barrier()  # the log is complete
    return summary(folder)


def summary(folder) -> list[dict]:
    """Return the history of a run, from its log: one entry per validation, as `fit` does."""
    history, since = [], []
    for line in map(json.loads, _lines(Path(folder) / LOG)):
        since.append(line)
        if "score" in line:
            entry = {"step": line["step"], "lr": line["lr"], "loss": sum(x["loss"] for x in since) / len(since)}
            if "players" in line:
                entry["losses"] = {name: sum(x["players"][name]["loss"] for x in since) / len(since)
                                   for name in line["players"]}
            terms = {}
            for name, value in (term for x in since for term in x.get("terms", {}).items()):
                terms.setdefault(name, []).append(value)
            if terms:
                entry["terms"] = {name: sum(values) / len(values) for name, values in terms.items()}
            history.append(entry if line["score"] is None else {**entry, "score": line["score"]})
            since = []
    return history


# A step

class _Loss(nn.Module):
    """A player's loss as a module: what DDP wraps, so that its hooks see whatever part of the model the loss calls."""

    def __init__(self, model, loss, precision: str, device: str):
        super().__init__()
        self.model, self.loss, self.precision, self.device = model, loss, precision, device

    def forward(self, batch: dict):
        with modules_in(self.precision, self.device):
            out = self.loss(self.model, batch)
        value, extra = out if isinstance(out, tuple) else (out, {})
        terms = {name: x.detach() for name, x in extra.get("terms", {}).items()}
        return value, terms, {name: x.detach() for name, x in extra.items() if name != "terms"}


class _Seat:
    """A player at the table: with its optimiser, and its loss as Fabric wants it."""

    def __init__(self, player: Player, parameters: list, model, plan: Plan, fabric):
        self.name, self.parameters, self.model, self.fabric = player.name, parameters, model, fabric
        self.plan = player.plan or plan
        with self._alone():  # DDP waits for the gradients of what is not frozen now
            self.loss = fabric.setup_module(_Loss(model, player.loss, plan.precision, fabric.device.type))
        self.optimiser = torch.optim.AdamW(parameters, lr=self.plan.lr, betas=self.plan.betas,
                                           weight_decay=self.plan.weight_decay, fused=True)

    @contextmanager
    def _alone(self):
        """Freeze whatever is not this player's."""
        before, own = [(x, x.requires_grad) for x in self.model.parameters()], set(self.parameters)
        try:
            for x, _ in before:
                x.requires_grad_(x in own)
            yield
        finally:
            for x, moved in before:
                x.requires_grad_(moved)

    def move(self, batch: dict, slower: float, desc: str) -> tuple[dict, dict]:
        """Update the parameters once: (what the log records, what the loss hands on)."""
        lr = self.plan.lr_at(batch["step"]) * slower
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        with self._alone():
            value, terms, extra = self.loss(batch)
            if value.ndim:
                raise WeaklibError(f"The loss of the {self.name} has shape {tuple(value.shape)}; return its mean over "
                                   "the batch.")
            mean = self.fabric.all_reduce(value.detach().clone())  # not of this share alone: all stop, or none
            if not mean.isfinite():
                raise WeaklibError(f"The loss of the {self.name} is {mean.item()} at step {batch['step'] + 1} of "
                                   f"{desc}; check the data for NaN or lower the learning rate ({self.plan.lr}).")
            self.optimiser.zero_grad()
            self.fabric.backward(value)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.plan.clip)
        self.optimiser.step()
        told = {"loss": mean.item(), "lr": lr, "norm": norm.item()}
        if terms:
            told["terms"] = dict(zip(terms, self.fabric.all_reduce(torch.stack(list(terms.values()))).tolist()))
        return told, extra


def _seated(players: Iterable[Player], model, plan: Plan, fabric) -> list[_Seat]:
    left, found = {x for x in model.parameters() if x.requires_grad}, []
    for player in players:
        parameters = [x for x in player.parameters if x.requires_grad]
        if not parameters or not left.issuperset(parameters):
            raise WeaklibError(f"Player {player.name} needs parameters of the model that are neither frozen nor "
                               "another player's.")
        if player.plan and player.plan.steps != plan.steps:
            raise WeaklibError(f"The plan of player {player.name} has {player.plan.steps} steps, that of the training "
                               f"{plan.steps}; derive it with dataclasses.replace.")
        left -= set(parameters)
        found.append((player, parameters))
    if not found or len({player.name for player, _ in found}) < len(found):
        raise WeaklibError("Training needs a loss, or players with names of their own.")
    return [_Seat(player, parameters, model, plan, fabric) for player, parameters in found]


def _batches(draw, steps: range, ahead: bool) -> Iterator[dict]:
    """Yield the batch of every step; if `ahead`, a thread draws the next one meanwhile."""
    if not ahead:
        yield from map(draw, steps)
        return
    with ThreadPoolExecutor(1) as thread:
        following = None
        for step in steps:
            batch = (following or thread.submit(draw, step)).result()
            following = thread.submit(draw, step + 1) if step + 1 in steps else None
            yield batch


def _share(batch: dict, step: int, fabric) -> dict:
    """Take this process's share of a batch: every n-th item."""
    rank, world = fabric.global_rank, fabric.world_size
    for name, x in batch.items():
        if len(x) % world:
            raise WeaklibError(f"{world} devices cannot share the {len(x)} items of {name} in the batch of step "
                               f"{step + 1}; make their number a multiple of {world}.")
    return {name: x[rank::world].to(fabric.device) for name, x in batch.items()}


@torch.no_grad()
def _follow(average, model, decay: float) -> None:
    # All at once: on a GPU hundreds of small steps would cost as much as the backward pass of a small network.
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)


def _score(validate, average, plan: Plan, fabric) -> float:
    score = None
    if fabric.is_global_zero:
        with modules_in(plan.precision, fabric.device.type):
            score = float(validate(average))
    return fabric.broadcast(score)


# Files

def _lines(path: Path, step: int | None = None) -> list[str]:
    """Complete lines of a log, up to and including `step`: a killed run may have gone on after its checkpoint."""
    if step == 0 or not path.exists():
        return []
    lines = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in lines if step is None or json.loads(line)["step"] <= step]


def _save(path, state, model, average, best, players) -> None:
    groups = {"model": model.state_dict(), "average": average.state_dict(), "best": best}
    tensors = {f"{group}/{name}": x for group, named in groups.items() for name, x in named.items()}
    for player in players:
        for index, moments in player.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{player.name}/{index}/{name}": x for name, x in moments.items()}
    about = asdict(state)
    if math.isinf(about["best"]):
        about["best"] = None  # JSON has no infinity
    weights.save(path, tensors, about)


def _restore(path, model, average, best, players) -> _State:
    tensors, about = weights.load(path)
    groups: dict = {}
    for name, x in tensors.items():
        group, rest = name.split("/", 1)
        groups.setdefault(group, {})[rest] = x
    try:
        model.load_state_dict(groups["model"])
        average.load_state_dict(groups["average"])
        best.update(groups["best"])
        moments: dict = {player.name: {} for player in players}
        for path_, x in groups["optimiser"].items():
            name, index, kind = path_.rsplit("/", 2)
            moments[name].setdefault(int(index), {})[kind] = x
        for player in players:
            player.optimiser.load_state_dict({**player.optimiser.state_dict(), "state": moments[player.name]})
            # A file knows no order of axes in memory, and the fused optimiser takes the numbers as they lie there.
            for parameter, found in player.optimiser.state.items():
                found |= {kind: torch.empty_like(parameter).copy_(x) for kind, x in found.items()
                          if x.shape == parameter.shape}
        return _State(**{**about, "best": -math.inf if about["best"] is None else about["best"]})
    except (KeyError, TypeError, ValueError, RuntimeError) as e:
        raise WeaklibError(f"Checkpoint {path} is of another model; nothing was changed: delete it to train "
                           "again.") from e
