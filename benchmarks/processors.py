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
from collections import defaultdict
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


def remade(folders):
    """Yield the runs that were made on two processors: committed record, other one, what is shown, all seeds, preset.
    """
    known = places()
    for path in sorted(path for folder in folders for path in folder.rglob("*.json")):
        for here in runs.undamaged([path]):
            if here.id in known:
                preset, cfg, shown, seeds = known[here.id]
                there = runs.look(cfg, preset, "committed")
                if there and there.provenance["device"] != here.provenance["device"]:
                    yield there, here, shown, seeds, preset


def between_seeds(seeds, preset: str, device: str, shown: dict) -> dict[str, list[float]]:
    """Score -> differences of all pairs of seeds that were committed from a processor."""
    found = (runs.look(cfg, preset, "committed") for cfg in seeds)
    trained = [values(record, shown) for record in found if record and record.provenance["device"] == device]
    return {name: [b[name] - a[name] for a, b in combinations(trained, 2)] for name in (trained[0] if trained else ())}


def rms(differences) -> str:
    return f"{np.sqrt(np.mean(np.square(differences))):.1f} ({len(differences)})" if differences else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, default=[files.results() / "processors"])
    body, apart, by_seed, rows = [], defaultdict(list), defaultdict(list), set()
    for there, here, shown, seeds, preset in remade(parser.parse_args().folders):
        machines = [record.provenance["device"] for record in (there, here)]
        a, b = values(there, shown), values(here, shown)
        label, seed, _ = there.id.rsplit("-", 2)
        for name in a.keys() & b.keys():
            apart[name].append(b[name] - a[name])
            body.append([label, seed[1:], name, f"{a[name]:.2f}", f"{b[name]:.2f}", *machines])
        if seeds[0].id not in rows:  # a row of which several seeds were made again has its pairs once
            rows.add(seeds[0].id)
            for name, differences in between_seeds(seeds, preset, machines[0], shown).items():
                by_seed[name] += differences
    if not body:
        sys.exit("None of these records is of a run that is committed from another processor; name a folder of some.")
    print(tables.grid(["run", "seed", "score", "there", "here", "on", "and on"], sorted(body)))
    print()
    print(tables.grid(["score", "two processors (runs)", "two seeds (pairs)"], [
        [name, rms(apart[name]), rms(by_seed[name])] for name in sorted(apart)]))


if __name__ == "__main__":
    main()
