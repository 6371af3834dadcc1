"""Experiments: a paper's method and its grid, put together.

Contents
--------
Method
    What a module in `weaklib.papers` has.
PAPERS, STUDIES, known, load
    The papers of the kit, and experiments of its own.
Experiment
    Configs of rows, training, trained networks.
Sheet
    A table at one preset: which runs fill it.
"""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from itertools import product
from typing import TYPE_CHECKING, Protocol

from weaklib import claims, keys, presets, runs, tables, weights
from weaklib.files import WeaklibError
from weaklib.grids import Grid, changed
from weaklib.tables import Row, Table

if TYPE_CHECKING:  # the command line says what it can do before torch is there
    import torch

    from weaklib import training

#: In the order of the notebooks.
PAPERS = ("wisdom2020", "wisdom2021", "hung2021", "mahmud2024", "shin2026")
#: Experiments that no paper has: no numbers of anybody else stand beside theirs.
STUDIES = ("scoreboard",)
NEEDED = ("CRITERION", "Config", "build", "task", "score")  #: what a paper's module has, see `Method`


class Method(Protocol):
    """What a paper's module has; it may also have `SEPARATING` and `TRANSCRIBING`, see `weaklib.specs`."""

    CRITERION: str               #: by what a training is judged, as the axis of its curve says it
    Config: type[runs.Config]    #: with a field `corpus`, what is heard when a model is scored, and a `plan`

    def build(self, cfg) -> torch.nn.Module:
        """Make the untrained network of a config."""

    def task(self, cfg, device: str = "auto") -> training.Task | None:
        """Say what a config trains, or None if it trains nothing."""

    def score(self, model, cfg) -> dict:
        """Score a trained model, or None where there is nothing to train: metric -> one value per test item."""


def known() -> tuple[str, ...]:
    """Keys of all that `load` returns."""
    return (*PAPERS, *STUDIES)


@cache
def load(key: str) -> Experiment:
    """Return a paper, or a study, by its key."""
    if key not in known():
        raise WeaklibError(f"Unknown paper {key!r}; choose one of {', '.join(known())}.")
    method, grid = _module("papers", key, NEEDED), _module("grids", key, ("GRID",))
    return Experiment(key, method, grid)


def _module(room: str, key: str, names):
    """Import half of a paper, or say in one sentence what it lacks."""
    name = f"weaklib.{room}.{key}"
    try:
        module = import_module(name)
    except ModuleNotFoundError as e:
        if e.name != name:
            raise
        raise WeaklibError(f"The paper {key} has no module weaklib/{room}/{key}.py; write it, or take {key!r} out of "
                           "weaklib.experiment.PAPERS.") from None
    lacks = [one for one in names if not hasattr(module, one)]
    if lacks:
        raise WeaklibError(f"weaklib/{room}/{key}.py has no {' and no '.join(lacks)}; CONTRIBUTING.md says what a "
                           "paper needs.")
    return module


@dataclass(frozen=True)
class Experiment:
    """A paper, or a study."""

    key: str
    method: Method
    module: object               # of the grid
    # Configs of rows as the grid has them, by row, preset and seed: tables, claims and figures ask for the same ones.
    _made: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def grid(self) -> Grid:
        return self.module.GRID

    def config(self, row: str | Row, preset: str, seed: int = 0, **given) -> runs.Config:
        """Return the config of the run that a row reports on.

        Parameters
        ----------
        row : str or Row
            By its key, such as ``isolated_c_h``.
        preset : str
        seed : int
        **given
            Fields in place of the preset's, also in the runs that it starts from: ``corpus="babyslakh"``.

        Raises
        ------
        WeaklibError
            If `row` or `preset` is unknown.
        """
        row = self.grid.row(row) if isinstance(row, str) else row
        if row.of:
            return self.config(row.of, preset, seed, **given)
        seed = seed if row.random else 0
        if given:
            return self._config(row, preset, seed, given)
        if (row, preset, seed) not in self._made:
            self._made[row, preset, seed] = self._config(row, preset, seed, given)
        return self._made[row, preset, seed]

    def _config(self, row: Row, preset: str, seed: int, given: dict) -> runs.Config:
        """Make what `config` returns, of a row that has runs of its own."""
        shared = self.grid.preset(preset)
        starts = {name: self._start(other, preset, seed, given) for name, other in row.starts.items()
                  if name not in shared.without}
        return changed(shared.of(row.kind, row.changes), {"label": row.key, "seed": seed} | given | starts)

    def _start(self, other: str, preset: str, seed: int, given: dict) -> runs.Config:
        """Return the config of a row by its key; that of another paper, ``<paper>/<row>``, is as that paper has it."""
        paper, _, row = other.rpartition("/")
        return load(paper).config(row, preset, seed) if paper else self.config(row, preset, seed, **given)

    def sheets(self, preset: str, seeds: int | None = None, **given) -> list[Sheet]:
        """Return the paper's tables as a preset fills them, with as many seeds as it has or as are asked for."""
        return [Sheet(self, table, presets.check(preset), seeds, given) for table in self.grid.tables]

    def configs(self, preset: str, seeds: int | None = None, **given) -> list[runs.Config]:
        """Return every run of a preset once, each after those that it starts from."""
        found: dict[str, runs.Config] = {}

        def add(cfg):
            if cfg.id not in found:
                for need in cfg.needs():
                    add(need)
                found[cfg.id] = cfg

        for sheet in self.sheets(preset, seeds, **given):
            for row in sheet.rows:
                for cfg in sheet.configs(row):
                    add(cfg)
        return list(found.values())

    def train(self, cfg, folder, *, device: str = "auto", show=None):
        """Train and score a config: (scores, history, model), what `weaklib.runs.get` keeps."""
        import torch

        from weaklib import training
        torch.manual_seed(cfg.seed)
        task, history = self.method.task(cfg, device), []
        if task:
            history = training.fit(task.model, task.draw, task.loss, cfg.plan, folder, seed=cfg.seed,
                                   validate=task.validate, device=device, desc=f"{cfg.label}, seed {cfg.seed}",
                                   show=show)
        model = task and task.model
        return _listed(self.method.score(model, cfg)), history, model

    def network(self, record: runs.Record | None = None, checkpoint: str = ""):
        """Load the trained network of a record, or one that comes with the package, ready to be used; by default the
        one that is the record's, or else that of the shipped row.
        """
        packaged = self.grid.checkpoints(self.key).values() if record and not record.weights_path else ()
        own = (name for name in packaged if weights.about(weights.shipped(name))["key"] == record.key)
        tensors, config = runs.trained(record, checkpoint or next(own, self.key))
        model = self.method.build(keys.decode(self.method.Config, config))
        model.load_state_dict(tensors)
        return model.eval()

    def trained(self, row: str | Row, preset: str, seed: int = 0, **given):
        """Load the network that a row trained on this machine; if it has not, the one that comes with the package.

        Raises
        ------
        WeaklibError
            If it is in neither place, or the row is unknown.
        """
        row = self.grid.row(row) if isinstance(row, str) else row
        record = runs.find(self.config(row, preset, seed, **given), preset, "local")
        if record and record.weights_path:
            return self.network(record)
        checkpoint = self.grid.checkpoints(self.key).get(row.key)
        if checkpoint and (preset != "paper" or row.key == self.grid.shipped):  # companions go with small networks
            return self.network(checkpoint=checkpoint)
        raise WeaklibError(f"The network of {row.title!r} is not here: this machine has not trained it at preset "
                           f"{preset}. To hear it, set records = \"local\" and run again.")

    def values(self, sheets: list[Sheet], where: str) -> claims.Values:
        """Collect the numbers of sheets for the claims, from the ``committed`` or the ``local`` records."""
        values = claims.Values()
        for sheet in sheets:
            sheet.add_to(values, where)
        return values

    def ledger(self, preset: str, where: str, seeds: int | None = None, **given) -> list[dict]:
        """Test every claim of the paper at a preset, see `weaklib.claims.ledger`."""
        values = self.values(self.sheets(preset, seeds, **given), where)
        known = None if given else self.values(self.sheets(presets.KNOWN), "committed")
        printed = claims.Values.printed(self.key, [table.name for table in self.grid.tables if table.printed])
        return claims.ledger(self.key, preset, self.grid.claims, values, printed, known)


def _listed(scores: dict) -> dict[str, list[float]]:
    """Scores as a record keeps them, whatever kind of numbers a paper's `score` returns."""
    try:
        found = {metric: [float(value) for value in values] for metric, values in scores.items()}
    except (AttributeError, TypeError, ValueError, RuntimeError):
        raise WeaklibError("A paper's `score` returns a dict: metric -> one number per test item, as a list; mend it "
                           "and run again, what was trained is kept.") from None
    for metric, values in found.items():
        for k, value in enumerate(values):
            if not math.isfinite(value):
                raise WeaklibError(f"A paper's `score` returned {value} for {metric} of test item {k}; leave out items "
                                   "that have no score and run again, what was trained is kept.")
    return found


@dataclass(frozen=True)
class Sheet:
    """A table at one preset: which rows it has there, and which runs fill them."""

    paper: Experiment
    table: Table
    preset: str
    seeds: int | None = None     # in place of the preset's number
    given: dict = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        """Rows that the preset has: all, or in small presets the headline."""
        return [row for row in self.table.rows if row.headline or self.preset not in presets.SMALL]

    def configs(self, row: Row) -> list[runs.Config]:
        """Configs that fill a row: one per seed, or one if it draws nothing at random."""
        source = self._source(row)
        n = self.seeds or min(presets.SEEDS[self.preset], source.n_seeds or presets.SEEDS[self.preset])
        return [self.paper.config(source, self.preset, seed, **self.given) for seed in range(n if source.random else 1)]

    def _source(self, row: Row) -> Row:
        """The row whose runs a row reports on."""
        return self.paper.grid.row(row.of) if row.of else row

    def corpus(self, row: Row, split: str = "test") -> str:
        """Name the corpus that is heard when a row is scored."""
        return self.table.corpus(vars(self.configs(row)[0]), split)

    def records(self, where: str) -> dict[Row, list[runs.Record]]:
        """Records of each row that are there; `where` is ``local`` or ``committed``."""
        found = {row: [runs.find(cfg, self.preset, where) for cfg in self.configs(row)] for row in self.rows}
        return {row: [r for r in got if r] for row, got in found.items()}

    def tidy(self, where: str) -> list[dict]:
        """One dict per row, seed, split and metric, see `weaklib.tables.tidy`."""
        return tables.tidy(self.paper.key, self.table, self.records(where))

    def markdown(self, where: str) -> str:
        """The table with the paper's numbers, the committed ones, and for ``local`` those of this machine."""
        if not self.rows:
            return f"The preset {self.preset} has no row of this table; choose a larger one.\n"
        published = where == "committed" or self.preset in presets.PUBLISHED
        columns = {"here": self.records("committed")} if published else {}
        if where == "local":
            columns["this machine"] = self.records("local")
        return tables.markdown(self.paper.key, self.table, columns)

    def add_to(self, values: claims.Values, where: str) -> None:
        """Add all numbers to those of the claims, and say which rows learned nothing."""
        found = self.records(where)
        for (row, records), metric, split in product(found.items(), self.table.metrics, self.table.splits):
            for r in records:
                if (value := self.table.value(row, metric, split, r)) is not None:
                    seed = r.key["config"]["seed"] if self._source(row).random else None
                    values.add(row.key, self.corpus(row, split), metric.key, split, seed, value, r.id)
        values.unlearned.update(self._unlearned(found))

    def _unlearned(self, found: dict[Row, list]) -> dict[tuple[str, str], str]:
        """Rows that are no better than the table's floor, by its first metric and split: (key, corpus) -> title."""
        nothing = tables.unlearned(self.table, found)
        return {(row.key, self.corpus(row, split)): row.title for row in found if row.key in nothing
                for split in self.table.splits}
