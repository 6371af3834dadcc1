"""Tables: the paper's number beside ours, every one of them from a record.

Contents
--------
Line, Table
    What a table of a paper consists of, and which runs fill it.
tidy, write
    A table as CSV (one value per line) and as Markdown (Paper | Here | difference).
Claim, verdict, ledger, write_ledger
    What the paper says in words, tested by numbers with tolerances fixed in code.
check
    Render everything committed again and compare.
"""
from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from statistics import mean, stdev

from weaklib import files, runs

COLUMNS = "paper table row method condition split corpus metric seed value unit run".split()
LEDGER = "paper claim_id verdict ours paper_value tolerance preset runs".split()
HOLDS, PARTLY, FAILS, UNTESTED = "holds", "partly", "does not hold here", "not tested here"


@dataclass(frozen=True)
class Line:
    """One line of a table: the paper's key for it, and the config that fills it for a seed."""

    row: str
    method: str
    condition: str
    corpus: str                                  # what is really heard
    config: Callable[[int], runs.Config]
    on: str = ""                                 # which of a record's evaluations, where one run fills several lines


@dataclass(frozen=True)
class Table:
    """A table of a paper at one preset; `name` is that of the file with the paper's numbers."""

    paper: str
    name: str
    key: str                                     # the paper's own name for it, as in that file
    splits: tuple[str, ...]                      # as the paper has them; the first is the one shown first
    metrics: dict[str, str]                      # metric -> unit; the first is the one shown first
    lines: list[Line]
    n_seeds: int
    caption: str

    def configs(self, line: Line) -> list[runs.Config]:
        """Configs that fill a line: one per seed, or one if the line draws nothing at random."""
        return list({c.id: c for c in map(line.config, range(self.n_seeds))}.values())

    def score(self, line: Line, metric: str, split: str) -> str:
        """Name of the score in a record that fills a cell: ``[on/]metric[/split]``; "test" is the split as a whole."""
        return "/".join(part for part in (line.on, metric, "" if split == "test" else split) if part)

    def records(self, preset: str, where: str) -> dict[Line, list[runs.Record]]:
        """Records of each line that are there; `where` is ``local`` or ``committed``."""
        found = {line: [runs.find(c, preset, where) for c in self.configs(line)] for line in self.lines}
        return {line: [r for r in got if r] for line, got in found.items()}


def paper_numbers(paper: str, name: str) -> list[dict]:
    """Numbers printed in a paper's table: rows of the CSV file that comes with the kit."""
    path = resources.files("weaklib").joinpath("papers", "tables", f"{paper}_{name}.csv")
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def tidy(table: Table, records: dict[Line, list[runs.Record]]) -> list[dict]:
    """Return one dict per line, seed, split and metric, with the columns of `COLUMNS`."""
    return [
        {"paper": table.paper, "table": table.key, "row": line.row, "method": line.method, "condition": line.condition,
         "split": split, "corpus": line.corpus, "metric": metric, "seed": record.key["config"]["seed"],
         "value": f"{record.mean(score):.3f}", "unit": unit, "run": record.id}
        for line in table.lines for record in records[line] for split in table.splits
        for metric, unit in table.metrics.items() if (score := table.score(line, metric, split)) in record.scores]


def as_csv(columns: list[str], rows: Iterable[dict]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _digits(unit: str) -> int:
    return 1 if unit == "dB" else 2


def _cell(rows: list[dict], line: Line, metric: str, split: str, wanted: int) -> str:
    """Mean of a line, with spread and number of seeds where several are wanted; or why there is none."""
    mine = [r for r in rows if (r["row"], r["corpus"]) == (line.row, line.corpus)]
    if not mine:
        return "not run"
    mine = [r for r in mine if (r["metric"], r["split"]) == (metric, split)]
    if not mine:
        return "–"  # a metric that this row does not have
    values, digits = [float(r["value"]) for r in mine], _digits(mine[0]["unit"])
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    count = f" ({len(values)})" if max(wanted, len(values)) > 1 else ""
    return f"{mean(values):.{digits}f}{spread}{count}"


def markdown(table: Table, columns: dict[str, list[dict]], paper: list[dict] | None = None) -> str:
    """Render a table: the first metric and split beside the paper's, the others with the paper's in brackets.

    Parameters
    ----------
    table : Table
    columns : dict of str to list of dict
        Heading -> tidy rows: ``Here (laptop)``, ``This machine``.
    paper : list of dict, optional
        Numbers of the paper; those that come with the kit by default.
    """
    printed = {(p["row"], p["metric"], p["split"]): p["value"]
               for p in (paper_numbers(table.paper, table.name) if paper is None else paper)}
    cells = [(metric, split) for metric in table.metrics for split in table.splits]
    (metric, split), *others = cells
    shown = [*columns.values()][-1]

    def name(metric, split):
        return f"{metric}, {split}" if len(table.splits) > 1 else metric

    def other(line, metric, split):
        theirs = printed.get((line.row, metric, split))
        return _cell(shown, line, metric, split, len(table.configs(line))) + (f" [{theirs}]" if theirs else "")

    head = ["Row", "Method", "Condition", "Corpus", f"{name(metric, split)}, {table.metrics[metric]}: Paper", *columns,
            "Difference", *(f"{name(m, s)}, {table.metrics[m]}" for m, s in others)]
    body = []
    for line in table.lines:
        theirs = printed.get((line.row, metric, split))
        ours = [_cell(rows, line, metric, split, len(table.configs(line))) for rows in columns.values()]
        number = ours[-1].split(" ")[0]
        difference = (f"{float(number) - float(theirs):+.{_digits(table.metrics[metric])}f}"
                      if theirs and number[-1].isdigit() else "–")
        body.append([f"`{line.row}`", line.method, line.condition.replace(";", "; "), f"`{line.corpus}`", theirs or "–",
                     *ours, difference, *(other(line, m, s) for m, s in others)])
    note = " In brackets: the paper." if any((line.row, *cell) in printed for line in table.lines for cell in others) else ""
    return f"{grid(head, body)}\n\n{table.caption}{note}\n"


def grid(head: list[str], body: list[list[str]]) -> str:
    """Render a Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body])


def spread_note(n_seeds: int) -> str:
    """Say what the ± in a table is."""
    return ("One random seed: no spread is known." if n_seeds == 1 else
            "± is the standard deviation over random seeds (their number in brackets).")


# Claims

@dataclass(frozen=True)
class Claim:
    """A claim's test: ``test(values)`` -> (verdict, our numbers), with ``values(row, metric[, split])`` -> per seed."""

    test: Callable
    paper_value: str
    tolerance: str


def verdict(tests: list[bool | None], ours: str) -> tuple[str, str]:
    """Judge a claim by its tests; None is one whose rows were not run.

    All pass: holds. Some pass, and others fail or were not run: partly. None passes: does not hold here. None was run:
    not tested here.
    """
    if set(tests) <= {None}:
        return UNTESTED, "–"
    return (HOLDS if all(tests) else PARTLY if any(tests) else FAILS), ours


def spell(gaps: dict[str, float | None]) -> str:
    """``dry +0.3 dB, reverb not run``."""
    return ", ".join(f"{name} {'not run' if gap is None else f'{gap:+.1f} dB'}" for name, gap in gaps.items())


def ledger(paper: str, preset: str, claims: dict[str, Claim], rows: list[dict]) -> list[dict]:
    """Test every claim of a paper on tidy rows: one dict per claim with the columns of `LEDGER`."""
    def judge(claim_id):
        used = set()

        def values(row, metric, split="test"):
            hits = [r for r in rows if (r["row"], r["metric"], r["split"]) == (row, metric, split)]
            used.update(r["run"] for r in hits)
            return [float(r["value"]) for r in hits]

        claim = claims.get(claim_id)
        outcome, ours = claim.test(values) if claim else (UNTESTED, "–")
        return {"paper": paper, "claim_id": claim_id, "verdict": outcome, "ours": ours,
                "paper_value": claim.paper_value if claim else texts[claim_id]["paper_effect"],
                "tolerance": claim.tolerance if claim else "–", "preset": preset,
                "runs": " ".join(sorted(used)) if outcome != UNTESTED else ""}

    texts = claim_texts(paper)
    return [judge(claim_id) for claim_id in texts]


def claim_texts(paper: str) -> dict[str, dict]:
    """The claims of a paper, by id."""
    path = resources.files("weaklib").joinpath("papers", "tables", "claims.csv")
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    return {r["claim_id"]: r for r in rows if r["paper"] == paper}


def ledger_markdown(entries: list[dict]) -> str:
    """Render the ledger with the claims in words."""
    body = [[e["claim_id"], claim_texts(e["paper"])[e["claim_id"]]["claim"], e["preset"], e["paper_value"], e["ours"],
             e["tolerance"], f"**{e['verdict']}**" if e["verdict"] != UNTESTED else e["verdict"]] for e in entries]
    return grid(["Claim", "In words", "Preset", "Paper", "Here", "Test", "Verdict"], body) + "\n"
