"""The examples of CONTRIBUTING.md and docs/paper.md are put into a copy of the source, trained, and shown.

That of a corpus is tried in tests/corpora/test_corpora.py.
"""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAPER = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")

#: The row at two steps, for nobody waits for it to learn; then the notebook of the paper, then the variant.
ROW = """
import IPython.display
import numpy as np, weaklib
from dataclasses import replace
from weaklib import experiment, jobs, training
plan = training.Plan(steps=2, warmup=0, validate_every=2)
paper = experiment.load("wisdom2020")
train = jobs.train
train([paper.config("sparse", "smoke", plan=plan)], device="cpu", n=1)
print(paper.sheets("smoke", 1, plan=plan)[0].markdown("local"))
jobs.train = lambda configs, **_: train(configs, device="cpu", n=1)
IPython.display.display = lambda shown: print(getattr(shown, "data", ""))
"""
GIVEN = "preset, records, interactive, sr = 'smoke', 'local', False, 8000\naudio = np.ones(16000, np.float32)\n"


def section(title: str) -> str:
    return TEXT.split(f"## {title}")[1].split("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.S | re.M)


def patch(root: Path, diff: str) -> None:
    """Put the new lines of each hunk in the place of its old ones, which are there once."""
    for name, hunks in re.findall(r"^--- (\S+)\n(.*?)(?=^--- |\Z)", diff, re.S | re.M):
        path = root / name
        text = path.read_text(encoding="utf-8")
        for hunk in hunks.split("@@\n")[1:]:
            lines = [(line[:1], line[1:]) for line in hunk.splitlines()]
            old, new = ("".join(f"{line}\n" for mark, line in lines if mark != other) for other in "+-")
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> str:
    """What a newcomer sees who has followed the three examples."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "weaklib", root / "weaklib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "run_all.py", root)
    patch(root, *blocks(section("Add a method to a paper"), "diff"))
    method, grid, parameters, *cells = blocks(PAPER, "python")
    numbers, claim = blocks(PAPER, "csv")
    for room, code in (("papers", method), ("grids", grid.replace('"smoke": 30', '"smoke": 2'))):
        (root / "weaklib" / room / "toy2099.py").write_text(code, encoding="utf-8")
    tables = root / "weaklib" / "papers" / "tables"
    (tables / "toy2099_table1.csv").write_text(numbers, encoding="utf-8")
    with (tables / "claims.csv").open("a", encoding="utf-8") as f:
        f.write(claim)
    path = root / "weaklib" / "experiment.py"
    path.write_text(path.read_text().replace('PAPERS = ("wisdom2020",', 'PAPERS = ("wisdom2020", "toy2099",'))
    variant, = blocks(section("Train a variant of your own"), "python")
    code = "\n".join([ROW, parameters, GIVEN, *cells, variant.replace('"mine"', '"mine", plan=plan'),
                      "print(len(stems), stems['output 1'].shape)"])
    done = subprocess.run([sys.executable, "-c", code], cwd=root, text=True, capture_output=True,
                          env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_of_a_row_is_in_the_table_with_a_number(shown):
    assert re.search(r"^\| MixIT, sparse † \| \**-?\d+\.\d\**( ‡)? \|", shown, re.M)
    assert "| MixIT, 1 or 2 voices | not run |" in shown


def test_the_example_of_a_paper_has_its_table_and_its_verdict(shown):
    assert "| Input mixture | 0.0 | 0.0 |" in shown
    assert re.search(r"^\| PIT \| 9\.5 \| -?\d+\.\d( ‡)? \|$", shown, re.M)
    verdict = r"^\| t01 \| .* \| PIT − mixture: \+9\.5 dB \| PIT − mixture ≥ 1 dB \| \*\*not testable here"
    assert re.search(verdict, shown, re.M)


def test_the_example_of_a_variant_separates(shown):
    assert shown.endswith("4 (16000,)\n")
