"""A paper in a few lines, for tests of what is made of one: two corpora, rows with seeds, prerequisites and claims."""
from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import torch

from weaklib import experiment, training
from weaklib.claims import Bound, Cell, Claim, Gap, Ratio
from weaklib.grids import Grid, Preset
from weaklib.runs import Config as Base
from weaklib.tables import Metric, Row, Table


@dataclass(frozen=True)
class Loss:
    weight: float = 1.0
    power: int = 2


@dataclass(frozen=True)
class Config(Base):
    paper = "toy"
    revision = 1

    corpus: str = "dry"
    preset: str = "laptop"
    stage: str = "main"
    loss: Loss = field(default_factory=Loss)
    plan: training.Plan = field(default_factory=lambda: training.Plan(steps=2, warmup=0, validate_every=1))
    critic: Config | None = None
    start: Config | None = None

    def corpora(self):
        return [{"name": self.corpus, "version": 1}]

    def needs(self):
        return [cfg for cfg in (self.critic, self.start) if cfg]


def build(cfg):
    return torch.nn.Linear(1, 1)


def task(cfg, device="auto"):
    if cfg.stage == "input":
        return None
    draw = lambda step: {"x": torch.full((2, 1), 1.0 + step)}
    loss = lambda model, batch: (model(batch["x"]) - batch["x"]).square().mean() * cfg.loss.weight
    return training.Task(build(cfg), draw, loss, lambda model: -float(model.weight.detach().square().sum()))


def score(model, cfg):
    return {"gain": [0.0] if model is None else [float(model.weight.detach().sum()), 2.0]}


GAIN = Metric("gain", "Gain", "dB")
ERROR = Metric("error", "Errors", "ratio", better="lower")
HIDDEN = Metric("hidden", "Hidden", "dB", shown=False)

ROWS = (
    Row("input", "Input", changes={"stage": "input"}, role="reference", headline=True, random=False),
    Row("best", "With sources", "heavy", role="supervised", headline=True),
    Row("plain", "Plain", "heavy", {"loss": {"weight": 0.5}}, {"critic": "judge"}, headline=True),
    Row("tuned", "Tuned", "light", {"stage": "tune"}, {"start": "plain"}, ours=True, n_seeds=2),
    Row("input", "Input, in rooms", of="input_rooms", role="reference", random=False),
    Row("rooms", "Plain, in rooms", "heavy", {"corpus": "rooms"}, {"critic": "judge"}),
)
MAIN = Table("table1", "1", "Table 1: gains", (GAIN, HIDDEN), ROWS, {"test": "all", "loud": "loud"}, "Toys.",
             floor="input")
ERRORS = Table("table2", "2", "Table 2: errors", (ERROR,), (
    Row("errors_plain", "Plain", of="plain", on="second", headline=True),
    Row("errors_tuned", "Tuned", of="tuned", on="second")), {"test": ""}, "Shares.", floor=0.5)


def gain(row, corpus=None):
    return Cell(row, GAIN, corpus=corpus)


CLAIMS = {
    "t01": Claim((Bound("plain − input", Gap(gain("plain"), gain("input", "dry")), low=1.0),)),
    "t02": Claim((Bound("tuned − plain", Gap(gain("tuned"), gain("plain")), low=0.0),)),
}
GRID = Grid(
    title="Toy, 2026", weak_label="nothing", tables=(MAIN, ERRORS), claims=CLAIMS, shipped="plain",
    companions=("tuned",),
    presets={"smoke": Preset(Config(preset="smoke")),
             "laptop": Preset(Config(), {"heavy": {"plan": training.Plan(steps=3, warmup=0)},
                                         "light": {"plan": training.Plan(steps=1, warmup=0)}}),
             "gpu": Preset(Config(preset="gpu")), "paper": Preset(Config(preset="paper"))},
    headline=("share of what sources give", Ratio(gain("plain"), gain("best"))),
    others=(Row("judge", "Judge", changes={"stage": "judge"}, role="reference"),
            Row("input_rooms", "Input, in rooms", changes={"stage": "input", "corpus": "rooms"}, random=False)))

METHOD = SimpleNamespace(Config=Config, build=build, task=task, score=score, CRITERION="score")
PAPER = experiment.Experiment("toy", METHOD, SimpleNamespace(GRID=GRID))
TEXTS = {"t01": {"claim": "Plain beats the input.", "paper_effect": "+2 dB"},
         "t02": {"claim": "Tuning helps.", "paper_effect": "none given"},
         "t03": {"claim": "It scales.", "paper_effect": "a lot"}}
NUMBERS = {"table1": {("input", "gain"): "0.0", ("best", "gain"): "5.0", ("plain", "gain"): "4.0"},
           "table2": {("errors_plain", "error"): "0.25"}}


def install(monkeypatch):
    """Make the toy the one paper there is."""
    from weaklib import claims, tables
    monkeypatch.setattr(experiment, "PAPERS", ("toy",))
    monkeypatch.setattr(experiment, "STUDIES", ())
    monkeypatch.setattr(experiment, "load", lambda key: {"toy": PAPER}[key])
    monkeypatch.setattr(claims, "texts", lambda paper: TEXTS)
    monkeypatch.setattr(tables, "paper_numbers", lambda paper, name: [
        {"row": row, "metric": metric, "split": "test", "value": value, "method": f"The {row}", "condition": ""}
        for (row, metric), value in NUMBERS[name].items()])
