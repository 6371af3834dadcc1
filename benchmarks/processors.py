"""How far a run is from itself on another processor, and how far random seeds are apart.

    python benchmarks/processors.py [FOLDER ...]

Compares records with the committed ones of the same runs, made on other processors: by default those in
`results/processors`; a folder of your own runs, such as `.weaklib/runs`, will do, too. Prints a Markdown table of the
means of what the tables show, and how far two such runs are apart beside how far two seeds of them are, on one
processor: root mean squares of the differences.
"""
from __future__ import annotations

import argparse
import sys
from itertools import combinations
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from weaklib import experiment, files, presets, runs, tables


def places():
    """All runs that may be committed: id -> (preset, its config, what tables show of it, configs of all its seeds).

    A run of several presets is one of that with most seeds.
    """
    found = {}
    for paper in experiment.known():
        exp = experiment.load(paper)
        for preset in filter(exp.grid.has, presets.NAMES):
            for sheet in exp.sheets(preset):
                for row in sheet.rows:
                    shown = {f"{metric.title}, {title}": (sheet.table, row, metric, split)
                             for metric in sheet.table.metrics if metric.shown
                             for split, title in sheet.table.splits.items() if sheet.table.covers(row, split)}
                    seeds = sheet.configs(row)
                    for cfg in seeds:
                        if cfg.id not in found or len(found[cfg.id][3]) < len(seeds):
                            found[cfg.id] = preset, cfg, {}, seeds
                        found[cfg.id][2].update(shown)
    return found


def values(record, shown: dict) -> dict[str, float]:
    """What tables show of a record."""
    each = {name: table.value(row, metric, split, record) for name, (table, row, metric, split) in shown.items()}
    return {name: value for name, value in each.items() if value is not None}


def rms(differences) -> str:
    return f"{np.sqrt(np.mean(np.square(differences))):.1f} ({len(differences)})" if differences else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, default=[files.results() / "processors"])
    known, body, apart, seeds, counted = places(), [], {}, {}, set()
    for path in sorted(path for folder in parser.parse_args().folders for path in folder.rglob("*.json")):
        here = runs.undamaged([path])
        if not here or here[0].id not in known:
            continue
        preset, cfg, shown, others = known[here[0].id]
        there = runs.look(cfg, preset, "committed")
        machines = [record.provenance["device"] for record in (there, here[0]) if record]
        if len(set(machines)) < 2:
            continue
        a, b = values(there, shown), values(here[0], shown)
        trained = [values(record, shown) for other in others if (record := runs.look(other, preset, "committed"))
                   and record.provenance["device"] == machines[0]]
        for name in a.keys() & b.keys():
            apart.setdefault(name, []).append(b[name] - a[name])
            if (others[0].id, name) not in counted:
                seeds.setdefault(name, []).extend(y[name] - x[name] for x, y in combinations(trained, 2))
            body.append([cfg.label, str(cfg.seed), name, *(f"{value:.2f}" for value in (a[name], b[name])), *machines])
        counted |= {(others[0].id, name) for name in a}
    if not body:
        sys.exit("None of these records is of a run that is committed from another processor; name a folder of some.")
    print(tables.grid(["run", "seed", "score", "there", "here", "on", "and on"], sorted(body)))
    print()
    print(tables.grid(["score", "two processors (runs)", "two seeds (pairs)"], [
        [name, rms(apart[name]), rms(seeds[name])] for name in sorted(apart)]))


if __name__ == "__main__":
    main()
