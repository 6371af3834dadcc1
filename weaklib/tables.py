"""Tables: what a paper prints, row by row, with our numbers beside it, every one of them from a record.

Contents
--------
Metric, Row, Table
    What a table consists of: data, of which the grids of the papers are made.
paper_numbers, printed
    What the paper prints.
tidy, as_csv
    A filled table, one value per line.
unlearned
    Rows that are no better than the table's floor.
markdown, grid
    The table as the paper has it: Paper and Here side by side.
"""
from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from importlib import resources
from statistics import mean, stdev

from weaklib.files import WeaklibError

COLUMNS = "paper table row method condition split corpus metric seed value unit run".split()


@dataclass(frozen=True)
class Metric:
    """What is measured: its key in files, its name and unit in words, which way is better, and the scores whose mean it
    is where a record has them.
    """

    key: str
    title: str
    unit: str                    # "dB", "%" and the like, or "ratio"
    better: str = "higher"       # "lower", or "" where neither is
    shown: bool = True           # in Markdown; the CSV has it in any case
    over: tuple[str, ...] = ()   # keys of the scores that count alike, however many items each has

    @property
    def heading(self) -> str:
        words = [self.unit if self.unit != "ratio" else "", f"{self.better} is better" if self.better else ""]
        return f"{self.title} ({', '.join(filter(None, words))})"

    @property
    def digits(self) -> int:
        """Decimals in print: about as many as the papers have."""
        return 2 if self.unit == "ratio" else 1


@dataclass(frozen=True, eq=False)
class Row:
    """One row of a table: what it is called, and how its run differs from what the preset has."""

    key: str                     # in files, as in the file with the paper's numbers
    title: str                   # in words, as the paper prints it
    kind: str = ""               # which of the preset's kinds of training it is, see `weaklib.grids.Preset`
    changes: dict = field(default_factory=dict)  # config field -> value; a dict reaches into the field
    starts: dict[str, str] = field(default_factory=dict)  # config field -> row whose trained model it starts from
    of: str = ""                 # row whose runs it reports on, if not its own
    on: str = ""                 # which of a record's evaluations
    only: str = ""               # the one split that it is about, if not all
    role: str = "weak"           # "reference", "supervised" or "weak": the best weak row is set in bold
    method: str = ""             # rows of one method share a colour; by default its title
    headline: bool = False       # whether small presets have it too
    ours: bool = False           # not a row of the paper's
    random: bool = True          # whether its run draws anything at random: else one seed is all
    n_seeds: int | None = None   # in place of the preset's number


@dataclass(frozen=True, eq=False)
class Table:
    """A table of a paper; `name` is that of the file with the paper's numbers, or of a study."""

    name: str
    key: str                     # the paper's own name for it, as in that file
    title: str
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    splits: dict[str, str]       # split -> what it is called; in the order of the columns
    caption: str
    stand_ins: dict[str, str] = field(default_factory=dict)  # corpus -> what the caption says where it is heard
    corpora: dict[str, str] = field(default_factory=dict)  # split -> field of the config that names its corpus
    parts: dict[str, str] = field(default_factory=dict)  # split -> what a record calls it, if otherwise
    printed: bool = True         # whether it is a paper's: else there is no file, and no number beside ours
    floor: str | float | None = None  # row, or value, that a model is not above which has learned nothing

    @property
    def deciding(self) -> tuple[Metric, str]:
        """Metric and split that say whether a row has learned anything: the first of each."""
        return self.metrics[0], next(iter(self.splits))

    def covers(self, row: Row, split: str) -> bool:
        """Say whether a row is about a split."""
        return row.only in ("", split)

    def score(self, row: Row, metric: Metric, split: str) -> str:
        """Name the score in a record that fills a cell: ``[on/]metric[/split]``.

        "test" is the split as a whole; a split that is a corpus of its own goes by the config's field. No score has
        the empty name of a cell that the row is not about.
        """
        if not self.covers(row, split):
            return ""
        split = self.parts.get(split) or self.corpora.get(split, split)
        return "/".join(part for part in (row.on, metric.key, "" if split in ("test", "corpus") else split) if part)

    def corpus(self, config: dict, split: str) -> str:
        """Name the corpus of a split, by the config of a record."""
        return config[self.corpora.get(split, "corpus")]

    def value(self, row: Row, metric: Metric, split: str, record) -> float | None:
        """Number of a cell in a record, if that has it."""
        parts = [self.score(row, replace(metric, key=key), split) for key in metric.over]
        for scores in (parts, [self.score(row, metric, split)]):
            if found := [record.mean(score) for score in scores if score in record.scores]:
                return mean(found)
        return None

    def seeds(self, row: Row, metric: Metric, split: str, records: list) -> list[float]:
        """Number of a cell in each of a row's records that has it."""
        found = (self.value(row, metric, split, record) for record in records)
        return [value for value in found if value is not None]


def paper_numbers(paper: str, name: str) -> list[dict]:
    """Numbers printed in a paper's table: rows of the CSV file that comes with the kit.

    Raises
    ------
    WeaklibError
        If there is no such file.
    """
    path = resources.files("weaklib").joinpath("papers", "tables", f"{paper}_{name}.csv")
    if not path.is_file():
        raise WeaklibError(f"The table {name} of {paper} has no file of printed numbers; write weaklib/papers/tables/"
                           f"{path.name}, with the header alone if the paper prints none.")
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def printed(paper: str, name: str) -> dict[tuple[str, str, str], str]:
    """What a paper prints: (row, metric, split) -> number, as text."""
    return {(p["row"], p["metric"], p["split"]): p["value"] for p in paper_numbers(paper, name)}


def tidy(paper: str, table: Table, records: dict[Row, list]) -> list[dict]:
    """Return one dict per row, seed, split and metric, with the columns of `COLUMNS`."""
    numbers = paper_numbers(paper, table.name) if table.printed else []
    words = {p["row"]: (p["method"], p["condition"]) for p in numbers}
    lines = []
    for row, found in records.items():
        method, condition = words.get(row.key, (row.method or row.title, _condition(row.changes)))
        lines += [{"paper": paper, "table": table.key, "row": row.key, "method": method, "condition": condition,
                   "split": split, "corpus": table.corpus(record.key["config"], split), "metric": metric.key,
                   "seed": record.key["config"]["seed"], "value": f"{value:.3f}", "unit": metric.unit,
                   "run": record.id}
                  for record in found for split in table.splits for metric in table.metrics
                  if (value := table.value(row, metric, split, record)) is not None]
    return lines


def _condition(changes: dict, prefix: str = "") -> str:
    return ";".join(_condition(x, f"{prefix}{name}.") if isinstance(x, dict) else f"{prefix}{name}={x}"
                    for name, x in changes.items())


def as_csv(columns: list[str], rows: Iterable[dict]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def unlearned(table: Table, found: dict[Row, list]) -> set[str]:
    """Return the keys of the rows that are no better than the table's floor, by its first metric and split."""
    if table.floor is None:
        return set()
    metric, split = table.deciding
    sign = 1 if metric.better == "higher" else -1
    values = {row: table.seeds(row, metric, split, records) for row, records in found.items()}
    reached = {row: sign * mean(seeds) for row, seeds in values.items() if seeds}

    def corpus(row):
        return table.corpus(found[row][0].key["config"], split)

    if isinstance(table.floor, str):
        floors = {corpus(row): value for row, value in reached.items() if row.key == table.floor}
    else:
        floors = {corpus(row): sign * table.floor for row in reached}
    return {row.key for row, value in reached.items()
            if row.role != "reference" and corpus(row) in floors and value <= floors[corpus(row)]}


# Markdown

def markdown(paper: str, table: Table, columns: dict[str, dict[Row, list]]) -> str:
    """Render a table: a group of columns per metric and split, the paper's number first, then ours.

    The best of the weakly supervised rows is bold in each column, rows of ours are marked, as is the number by which a
    row has learned nothing, and columns without a number are left out.

    Parameters
    ----------
    paper : str
    table : Table
    columns : dict of str to (dict of Row to list of Record)
        Heading -> records by row: ``here``, ``this machine``. All have the same rows.
    """
    theirs = printed(paper, table.name) if table.printed else {}
    rows = list(next(iter(columns.values())))
    usual = max((len(found) for records in columns.values() for found in records.values()), default=0)
    metrics = [metric for metric in table.metrics if metric.shown]
    head = [metrics[0].heading if len(metrics) == 1 else ""]
    nothing = {heading: unlearned(table, records) for heading, records in columns.items()}
    body = [[row.title + (" †" if row.ours else "")] for row in rows]
    for metric in metrics:
        for split, words in table.splits.items():
            name = ", ".join(filter(None, [metric.heading if len(metrics) > 1 else "", words])) or "all"
            told = [theirs.get((row.key, metric.key, split)) if table.covers(row, split) else None for row in rows]
            _column(head, body, f"{name}: paper", rows, told, [t and float(t) for t in told], metric)
            for heading, records in columns.items():
                seeds = [table.seeds(row, metric, split, records[row]) for row in rows]
                marked = nothing[heading] if (metric, split) == table.deciding else ()
                cells = [_cell(x, metric, usual if row.random else len(x), bool(records[row]))
                         + (" ‡" if row.key in marked else "") for row, x in zip(rows, seeds)]
                _column(head, body, heading if any(told) else f"{name}: {heading}", rows, cells,
                        [mean(x) if x else None for x in seeds], metric, nothing[heading])
    heard = {table.corpus(record.key["config"], split) for records in columns.values() for found in records.values()
             for record in found for split in table.splits}
    notes = [table.caption, *(words for corpus, words in table.stand_ins.items() if corpus in heard),
             _spread(usual), "† A row of ours." if any(row.ours for row in rows) else "",
             "‡ A row that has learned nothing to speak of: no evidence for or against a claim."
             if any(nothing.values()) else "",
             "Bold: the best of the weakly supervised rows." if any("**" in cell for cell in sum(body, [])) else ""]
    return f"{grid(head, body)}\n\n{' '.join(filter(None, notes))}\n"


def _column(head, body, heading, rows, cells, numbers, metric, nothing=frozenset()) -> None:
    """Append a column to the table, unless it has no number; rows whose keys are in `nothing` are no best ones."""
    if not any(number is not None for number in numbers):
        return
    head.append(heading)
    for line, cell, best in zip(body, cells, _best(rows, numbers, metric, nothing)):
        value, *rest = (cell or "–").split(" ", 1)
        line.append(" ".join([f"**{value}**" if best else value, *rest]))


def _best(rows, numbers, metric, nothing) -> list[bool]:
    """Say which of the weakly supervised rows no other one on the same corpus beats, as far as the digits show; those
    whose keys are in `nothing` do not count.
    """
    sign = {"higher": 1, "lower": -1, "": 0}[metric.better]
    weak = [None if not sign or row.role != "weak" or x is None or row.key in nothing else (
        row.changes.get("corpus"), sign * round(x, metric.digits)) for row, x in zip(rows, numbers)]

    def leads(corpus, value):
        rivals = [other for on, other in filter(None, weak) if on == corpus]
        return len(rivals) > 1 and value == max(rivals)

    return [one is not None and leads(*one) for one in weak]


def _cell(values: list[float], metric: Metric, usual: int, ran: bool) -> str:
    """Mean, spread and, where it is not the usual one, the number of seeds; or why there is nothing."""
    if not values:
        return "–" if ran else "not run"
    small = [f"±\N{NO-BREAK SPACE}{stdev(values):.{metric.digits}f}"] if len(values) > 1 else []
    small += [f"({len(values)})"] if len(values) != usual else []
    return f"{number(mean(values), metric.digits)}{f' <sub>{chr(32).join(small)}</sub>' if small else ''}"


def number(value: float, digits: int, sign: str = "") -> str:
    """Print a number with a fixed number of decimals, and no minus before a zero."""
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}"


def grid(head: list[str], body: list[list[str]]) -> str:
    """Render a Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body])


def _spread(n_seeds: int) -> str:
    """Say what the ± in a table is."""
    return ("" if n_seeds < 1 else "One random seed: no spread is known." if n_seeds == 1 else
            f"Mean of {n_seeds} random seeds, ± their standard deviation; in brackets the number where it is another.")
