"""Claims: what a paper says in words, tested by numbers, on its own printed ones and on ours by the same object.

A claim is data: bounds on quantities, which are cells of tables, their differences and ratios. Quantities are formed
seed by seed, from the seeds that all their rows have, so that like is compared with like. A bound is held against an
interval: the mean over seeds, give or take what their spread leaves open. With too few seeds for a spread of their
own, the spread of the committed records stands in for it.

Contents
--------
Values
    Numbers by row, corpus, metric, split and seed.
Cell, Gap, Ratio, Either, Peak
    Quantities.
Bound, order, largest, Some, Claim, compared
    Tests, and the cells that they compare.
Result, judge
    What became of them.
ledger, markdown
    All claims of a paper, as a file and as a table.
discussion
    Of each that does not hold, or is open: what stands against it, why that may be, and what would decide it.
"""
from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import resources
from statistics import mean, stdev

from weaklib import tables
from weaklib.files import WeaklibError
from weaklib.tables import Metric

LEDGER = "paper claim_id verdict ours paper_value tolerance preset runs".split()
HOLDS, FAILS, MIXED, OPEN = "holds", "does not hold here", "mixed", "inconclusive"
UNLEARNED, PARTIAL, UNTESTED = "not testable here", "not all run", "not tested here"

SEEDS = 3           # from which on a row's own seeds show its spread
ROUNDING = 1e-9     # allowed for at a bound: numbers in print are decimals, and their differences are none in binary
CONFIDENCE = 0.95   # that the mean lies above the lower end of an interval; and, as much, below the upper one


class Values:
    """Numbers by (row, corpus, metric, split), each a dict of seed -> value; seed None stands for every seed."""

    def __init__(self):
        self.cells: dict[tuple, dict] = {}
        self._keys: dict[tuple, list[tuple]] = {}  # (row, metric, split) -> those of `cells`, one for each corpus
        self._means: Values | None = None
        self.runs: dict[tuple, set] = {}
        self.unlearned: dict[tuple, str] = {}  # (row, corpus) -> its title, where it is as if it had learned nothing

    def add(self, row: str, corpus: str, metric: str, split: str, seed: int | None, value: float, run: str = ""):
        key = (row, corpus, metric, split)
        if key not in self.cells:
            self._keys.setdefault((row, metric, split), []).append(key)
        self._means = None
        self.cells.setdefault(key, {})[seed] = value
        self.runs.setdefault(key, set()).update({run} - {""})

    def find(self, cell: Cell) -> tuple | None:
        """Return the key of a cell, or None if its row was not run.

        Raises
        ------
        WeaklibError
            If the row was run on several corpora and the cell does not name one.
        """
        hits = [key for key in self._keys.get((cell.row, cell.metric.key, cell.split), [])
                if cell.corpus is None or key[1] in (cell.corpus, "")]  # what a paper prints names none
        if len(hits) > 1:
            names = " and ".join(sorted(corpus for _, corpus, *_ in hits))
            raise WeaklibError(f"Row {cell.row} was run on {names}; a claim must name the corpus it means.")
        return hits[0] if hits else None

    def means(self) -> Values:
        """The mean of every cell over its seeds, as if nothing were random in it."""
        if self._means is None:
            found = Values()
            for key, by_seed in self.cells.items():
                found.add(*key, None, mean(by_seed.values()))
            self._means = found
        return self._means

    @classmethod
    def printed(cls, paper: str, names: Iterable[str]) -> Values:
        """What a paper prints in its tables `names`."""
        values = cls()
        for name in names:
            for (row, metric, split), value in tables.printed(paper, name).items():
                values.add(row, "", metric, split, None, float(value))
        return values


# Quantities: each has `unit` and `digits`, lists its `cells`, gives `per_seed(values)`, a dict, empty if not run, and
# by `settled(values)` says which cells it is made of where it leaves that open.

@dataclass(frozen=True)
class Cell:
    """A cell of a table; name the corpus where a row has been run on several."""

    row: str
    metric: Metric
    split: str = "test"
    corpus: str | None = None

    @property
    def unit(self):
        return "" if self.metric.unit == "ratio" else self.metric.unit

    @property
    def digits(self):
        return self.metric.digits

    def cells(self, values):
        return [self]

    def per_seed(self, values):
        key = values.find(self)
        return values.cells[key] if key else {}

    def settled(self, values):
        return self


@dataclass(frozen=True)
class _Pair:
    a: object
    b: object

    @property
    def unit(self):
        return self.a.unit

    @property
    def digits(self):
        return self.a.digits

    def cells(self, values):
        return self.a.cells(values) + self.b.cells(values)

    def per_seed(self, values):
        """Combine the two for the seeds that both have."""
        a, b = self.a.per_seed(values), self.b.per_seed(values)
        seeds = b.keys() if None in a else a.keys() if None in b else a.keys() & b.keys()
        return {seed: value for seed in sorted(seeds, key=str)
                if (value := self._of(a.get(seed, a.get(None)), b.get(seed, b.get(None)))) is not None}

    def settled(self, values):
        return type(self)(self.a.settled(values), self.b.settled(values))


class Gap(_Pair):
    """``a - b``."""

    def _of(self, a, b):
        return a - b


class Ratio(_Pair):
    """``a / b``, in percent; seeds at which `b` is 0 have none."""

    unit, digits = "%", 0

    def _of(self, a, b):
        return 100 * a / b if b else None


@dataclass(frozen=True)
class Either:
    """The first of several cells that was run.

    It stands for rows for which the paper prints the same number, or for a row of ours and the one of the paper that it
    takes the place of.
    """

    options: tuple[Cell, ...]

    def settled(self, values):
        return next((cell for cell in self.options if cell.per_seed(values)), self.options[0])

    unit = property(lambda self: self.options[0].unit)
    digits = property(lambda self: self.options[0].digits)

    def cells(self, values):
        return self.settled(values).cells(values)

    def per_seed(self, values):
        return self.settled(values).per_seed(values)


@dataclass(frozen=True)
class Peak:
    """The setting at which a cell is largest in a sweep, by setting; for the seeds that all of it was run with."""

    sweep: dict[float, Cell]

    unit, digits = "", 0

    def cells(self, values):
        return [cell for quantity in self.sweep.values() for cell in quantity.cells(values)]

    def per_seed(self, values):
        found = {setting: cell.per_seed(values) for setting, cell in self.sweep.items()}
        seeds = set.intersection(*(set(by_seed) for by_seed in found.values()))
        return {seed: max(found, key=lambda setting: found[setting][seed]) for seed in sorted(seeds, key=str)}

    def settled(self, values):
        return self


# Tests: each has its `bounds`, `words` for them, and `passes` and is `told` with values.

@dataclass(frozen=True)
class Bound:
    """A quantity that should lie between `low` and `high`, ends included; `name` says in words what it is."""

    name: str
    quantity: object
    low: float = -math.inf
    high: float = math.inf

    @property
    def bounds(self):
        return (self,)

    @property
    def ends(self) -> str:
        """``≥ −1 dB and ≤ 1 dB``."""
        unit = self.quantity.unit and f" {self.quantity.unit}"
        return " and ".join(f"{sign} {f'{end:.4g}'.replace('-', '−')}{unit}"
                            for sign, end in (("≥", self.low), ("≤", self.high)) if math.isfinite(end))

    @property
    def words(self) -> str:
        return f"{self.name} {self.ends}"

    def passes(self, values: Values, known: Values | None) -> str:
        """HOLDS, FAILS, OPEN or UNTESTED: where the interval lies, within, without, on an end, or nowhere.

        UNLEARNED: a row of the quantity has learned nothing, so that it may lie anywhere.
        """
        found = self.quantity.per_seed(values)
        if not found:
            return UNTESTED
        if _lost(self.quantity, values):
            return UNLEARNED
        center, slack = mean(found.values()), margin(self.quantity, values, known)
        if self.low - ROUNDING <= center - slack and center + slack <= self.high + ROUNDING:
            return HOLDS
        return FAILS if center + slack < self.low or center - slack > self.high else OPEN

    def told(self, values: Values) -> str:
        """``c-mix − classifier: +0.5 ± 0.1 dB``, with one more digit where the bound is near; nothing if not run."""
        found = self.quantity.per_seed(values)
        if not found:
            return ""
        digits, center = self.quantity.digits, mean(found.values())
        if None not in found:  # a printed number has no more of them
            digits += min(abs(center - end) for end in (self.low, self.high)) < 2 * 10 ** -digits
        sign = "+" if isinstance(self.quantity, Gap) else ""
        spread = f" ± {stdev(found.values()):.{digits}f}" if len(found) > 1 else ""
        return f"{self.name}: {tables.number(center, digits, sign)}{spread} {self.quantity.unit}".rstrip()


@dataclass(frozen=True)
class Some:
    """At least `n` of several bounds; `name` says what they are all about."""

    name: str
    n: int
    bounds: tuple[Bound, ...]

    @property
    def words(self) -> str:
        ends = {bound.ends for bound in self.bounds}
        of = "" if self.n == len(self.bounds) else f", {self.n} of {len(self.bounds)}"
        parts = ", ".join(b.name if len(ends) == 1 else b.words for b in self.bounds)
        return f"{self.name}: {parts}{f' {ends.pop()}' if len(ends) == 1 else ''}{of}"

    def passes(self, values: Values, known: Values | None) -> str:
        found = [bound.passes(values, known) for bound in self.bounds]
        if UNTESTED in found:
            return UNTESTED
        if found.count(HOLDS) >= self.n:
            return HOLDS
        if len(found) - found.count(FAILS) < self.n:
            return FAILS
        return UNLEARNED if UNLEARNED in found else OPEN

    def told(self, values: Values) -> str:
        parts = ", ".join(filter(None, (bound.told(values).replace(": ", " ") for bound in self.bounds)))
        return parts and f"{self.name}: {parts}"


def every(name: str, bounds: Iterable[Bound]) -> Some:
    """All of several bounds, as one test."""
    bounds = tuple(bounds)
    return Some(name, len(bounds), bounds)


def order(name: str, quantities: dict, margin: float = 0.0) -> Some:
    """Each of several quantities, by name, exceeds the next by `margin`: rows in order, or a monotone sweep."""
    items = list(quantities.items())
    return every(name, (Bound(f"{a} − {b}", Gap(x, y), low=margin) for (a, x), (b, y) in zip(items, items[1:])))


def largest(name: str, quantity, among: dict, margin: float = 0.0) -> Some:
    """A quantity exceeds each of the others, by name, by `margin`."""
    return every(f"{name} minus that of", (Bound(other, Gap(quantity, x), low=margin) for other, x in among.items()))


@dataclass(frozen=True)
class Claim:
    """Tests that should all pass; each a `Bound` or a `Some`. What no paper says has its `text` here."""

    tests: tuple[Bound | Some, ...]
    text: str = ""

    @property
    def words(self) -> str:
        return "; ".join(test.words for test in self.tests)


def compared(claim) -> Iterator[Cell]:
    """Yield the cells that a claim, or a part of one, is made of, at whatever depth."""
    if isinstance(claim, Cell):
        yield claim
    elif isinstance(claim, dict):
        yield from compared(list(claim.values()))
    elif isinstance(claim, (list, tuple)):
        for part in claim:
            yield from compared(part)
    elif is_dataclass(claim):
        yield from compared([getattr(claim, f.name) for f in fields(claim)])


# Verdicts

@dataclass
class Result:
    """What became of a claim: its verdict, in words where they say more, and the numbers behind it, all of them and
    those whose means lie outside of their bounds.
    """

    verdict: str
    numbers: str
    runs: set[str] = field(default_factory=set)
    why: str = ""
    against: str = ""


def judge(claim: Claim, values: Values, known: Values | None = None) -> Result:
    """Test a claim.

    All tests pass: it holds. None passes: it does not hold here. Some pass and some fail: mixed. Tests that were not
    run could change that: not all run. Some are left open by the spread over seeds: inconclusive. Rows that are
    compared have learned nothing, and without them no test fails: not testable here.

    Parameters
    ----------
    claim : Claim
    values : Values
    known : Values, optional
        Those of the committed records, whose spread over seeds stands in where there are fewer than `SEEDS`.
    """
    run = [bound.quantity for test in claim.tests for bound in test.bounds if bound.quantity.per_seed(values)]
    if not run:
        return Result(UNTESTED, "–")
    cells = [cell for quantity in run for cell in quantity.cells(values)]
    numbers = "; ".join(filter(None, (test.told(values) for test in claim.tests)))
    found = [values.find(cell) for cell in cells]
    sources = {run for key in found for run in values.runs[key]}
    against = "; ".join(filter(None, (_against(test, values) for test in claim.tests)))
    verdict = _verdict({test.passes(values, known) for test in claim.tests})
    lost = dict.fromkeys(title for quantity in run for title in _lost(quantity, values))
    why = f"{', '.join(lost)} did not learn" if verdict == UNLEARNED else ""
    return Result(verdict, numbers, sources, why, against)


def _lost(quantity, values: Values) -> list[str]:
    """Titles of the rows of a quantity that was run which have learned nothing."""
    return [values.unlearned[key[:2]] for cell in quantity.cells(values)
            for key in [values.find(cell)] if key and key[:2] in values.unlearned]


def _against(test: Bound | Some, values: Values) -> str:
    """Tell those bounds of a test that fails by the means alone which are crossed; nothing if it does not fail."""
    means = values.means()
    if test.passes(means, None) in (HOLDS, UNTESTED):
        return ""
    if isinstance(test, Bound):
        return test.told(values)
    return every(test.name, (b for b in test.bounds if b.passes(means, None) == FAILS)).told(values)


def _verdict(found: set[str]) -> str:
    """What the tests of a claim come to, of which at least a part was run."""
    if {HOLDS, FAILS} <= found:
        return MIXED
    if UNTESTED in found:
        return PARTIAL
    return next(verdict for verdict in (FAILS, UNLEARNED, OPEN, HOLDS) if verdict in found)


def margin(quantity, values: Values, known: Values | None = None) -> float:
    """Half of the interval in which the mean of a quantity over all seeds there could be lies.

    It is Student's t times the standard error, from the seeds themselves if there are `SEEDS` of them, else with the
    standard deviation of the `known` ones. Nothing is known without either: the interval is infinite.
    """
    from scipy.special import stdtrit
    quantity = quantity.settled(values)  # the known spread must be that of the same rows
    found = quantity.per_seed(values)
    if None in found:
        return 0.0  # nothing random is in it
    spread = found if len(found) >= SEEDS or known is None else quantity.per_seed(known)
    if len(spread) < SEEDS:
        return math.inf
    return float(stdtrit(len(spread) - 1, CONFIDENCE)) * stdev(spread.values()) / math.sqrt(len(found))


def told(quantity, values: Values) -> str:
    """``81 ± 2 %``; nothing if it was not run."""
    return Bound("", quantity).told(values).removeprefix(": ")


# All claims of a paper

def texts(paper: str) -> dict[str, dict]:
    """The claims of a paper, by id."""
    return _by_claim("claims", paper)


def reasons(paper: str) -> dict[str, dict]:
    """For claims of a paper that may not hold here, by id: the likely ``reason``, and what ``decides`` them."""
    return _by_claim("discussion", paper)


def _by_claim(name: str, paper: str) -> dict[str, dict]:
    path = resources.files("weaklib").joinpath("papers", "tables", f"{name}.csv")
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    return {r["claim_id"]: r for r in rows if r["paper"] == paper}


def ledger(paper: str, preset: str, claims: dict[str, Claim], values: Values, printed: Values,
           known: Values | None = None) -> list[dict]:
    """Test every claim: one dict for each, the columns of `LEDGER`, what a `Result` has besides, its `text`."""
    entries = []
    words = texts(paper) | {name: {"claim": claim.text, "paper_effect": ""} for name, claim in claims.items()
                            if claim.text}
    if unknown := claims.keys() - words.keys():
        raise WeaklibError(f"The grid of {paper} tests {', '.join(sorted(unknown))}, which is not among its claims; "
                           "enter it in weaklib/papers/tables/claims.csv.")
    for claim_id, text in words.items():
        claim = claims.get(claim_id)
        result = judge(claim, values, known) if claim else Result(UNTESTED, "–")
        theirs = judge(claim, printed).numbers if claim else "–"
        entries.append({"paper": paper, "claim_id": claim_id, "verdict": result.verdict, "ours": result.numbers,
                        "paper_value": text["paper_effect"] if theirs == "–" else theirs,
                        "tolerance": claim.words if claim else "–", "preset": preset,
                        "runs": " ".join(sorted(result.runs)), "why": result.why, "against": result.against,
                        "text": text["claim"]})
    return entries


def markdown(entries: list[dict]) -> str:
    """Render entries of one paper: a line per claim, a column per preset, and last the claims that nobody tested."""
    if not entries:
        return "This paper has no claims in `weaklib/papers/tables/claims.csv` yet.\n"
    presets = list(dict.fromkeys(e["preset"] for e in entries))
    by_claim: dict[str, dict] = {}
    for e in entries:
        by_claim.setdefault(e["claim_id"], {})[e["preset"]] = e
    tested = {c: found for c, found in by_claim.items() if any(e["verdict"] != UNTESTED for e in found.values())}
    words = {c: next(iter(found.values())) for c, found in by_claim.items()}
    told = {"paper_value": "Paper", "tolerance": "Test"}
    told = {name: heading for name, heading in told.items() if any(e[name] for e in entries)}  # of a study, no paper's
    body = [[c, words[c]["text"], *(words[c][name].replace("; ", "<br>") for name in told),
             *(_outcome(found.get(preset)) for preset in presets)] for c, found in tested.items()]
    rest = [f"{c} ({words[c]['text'].rstrip('.')})" for c in by_claim if c not in tested]
    parts = [tables.grid(["Claim", "In words", *told.values(), *presets], body)] if body else []
    return "\n\n".join(parts + ([f"Not tested here: {'; '.join(rest)}."] if rest else [])) + "\n"


def _outcome(entry: dict | None) -> str:
    if entry is None or entry["verdict"] == UNTESTED:
        return "–"
    verdict = ": ".join(filter(None, [entry["verdict"], entry["why"]]))
    return f"**{verdict}**<br>{entry['ours'].replace('; ', '<br>')}"


def discussion(entries: list[dict]) -> str:
    """Render, as a list, the entries of one paper that were tested and do not hold.

    What stands against a claim comes from its numbers; the likely reason and what would decide it are written by hand
    in ``papers/tables/discussion.csv``, without numbers, and may be missing.
    """
    lines = []
    for e in entries:
        if e["verdict"] not in (HOLDS, UNTESTED):
            paper, claim = e["paper"], e["claim_id"]
            said = reasons(paper).get(claim)
            verdict = ": ".join(filter(None, [e["verdict"], e["why"]]))
            lines.append(" ".join([
                f"* **{claim}**, {verdict} (preset {e['preset']}). *{e['text']}*",
                f"Against it: {e['against']}." if e["against"] else f"In line with it: {e['ours']}.",
                *([said["reason"], f"What would decide it: {said['decides']}"] if said else [])]))
    if not lines:
        return "Every claim that was tested holds.\n"
    return "\n".join(["Numbers are means over seeds; the reasons are what seems likely.\n", *lines]) + "\n"
