"""The examples of CONTRIBUTING.md: its row and its paper are put into a copy of the source, trained, and shown.

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
TABLES = ROOT / "weaklib" / "papers" / "tables"

#: Two steps, so that nothing is learned and nobody waits.
CODE = """
import numpy as np, weaklib
from dataclasses import replace
from weaklib import experiment, report, training
plan = training.Plan(steps=2, warmup=0, validate_every=2)
for key, rows in (("wisdom2020", ["sparse"]), ("toy2099", ["input_mixture", "pit"])):
    paper = experiment.load(key)
    records = [paper.run(paper.config(row, "smoke", plan=plan), device="cpu") for row in rows]
    print(paper.sheets("smoke", 1, plan=plan)[0].markdown("local"))
print(report.verdicts("toy2099", "smoke", "local", 1, plan=plan))
sr, audio = 8000, np.random.default_rng(0).standard_normal(16000).astype(np.float32)
"""


def section(title: str) -> str:
    return TEXT.split(f"## {title}")[1].split("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


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
    for room, code in zip(("papers", "grids"), blocks(section("Add a paper"), "python"), strict=True):
        (root / "weaklib" / room / "toy2099.py").write_text(code, encoding="utf-8")
    tables = root / "weaklib" / "papers" / "tables"
    header = (TABLES / "wisdom2020_table1.csv").read_text().splitlines()[0]
    (tables / "toy2099_table1.csv").write_text(f"{header}\ntoy2099,1,pit,PIT,,test,si_snri,9.5,,dB,\n")
    with (tables / "claims.csv").open("a", encoding="utf-8") as f:
        f.write("toy2099,t01,Both voices help.,table1,up,+9.5 dB,\n")
    path = root / "weaklib" / "experiment.py"
    path.write_text(path.read_text().replace('PAPERS = ("wisdom2020",', 'PAPERS = ("wisdom2020", "toy2099",'))
    variant, = blocks(section("Train a variant of your own"), "python")
    code = CODE + variant.replace('"mine"', '"mine", plan=plan') + "print(len(stems), stems['output 1'].shape)"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, text=True, capture_output=True,
                          env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_of_a_row_is_in_the_table_with_a_number(shown):
    assert re.search(r"^\| MixIT, sparse † \| \**-?\d+\.\d\** \|$", shown, re.M)
    assert "| MixIT, 1 or 2 voices | not run |" in shown


def test_the_example_of_a_paper_has_its_table_and_its_verdict(shown):
    assert "| Input mixture | – | 0.0 |" in shown
    assert re.search(r"^\| PIT \| 9\.5 \| -?\d+\.\d \|$", shown, re.M)
    assert re.search(r"^\| t01 \| Both voices help\. \| .* PIT − mixture ≥ 1 dB \|", shown, re.M)


def test_the_example_of_a_variant_separates(shown):
    assert shown.endswith("4 (16000,)\n")
