"""Nothing imports upwards: what is built on can be read, tested and changed without what is built on it."""
import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "weaklib"

#: The modules and packages of weaklib from the ground up. One may import what stands in rows before its own, at the top
#: of a file or within a function, and itself; neighbours in a row do without each other.
ROWS = [row.split() for row in """
    files
    keys presets progress exercises
    audio rolls midi overlap
    weights
    corpora models losses
    metrics
    evaluation
    training
    runs
    tables
    claims
    mixing specs constantq cues text listening
    scoring
    papers
    grids
    experiment
    planning inventory
    jobs
    inference spectra sonify
    plots
    audition report selfcheck
    widgets headless
    session workshop
    __init__ __main__
""".strip().splitlines()]
HEIGHT = {room: height for height, row in enumerate(ROWS) for room in row}
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def room(module: str) -> str:
    return module.split("/")[0].removesuffix(".py")


def imported(code: str) -> set[str]:
    """Rooms that code imports, anywhere in it; what the package has beside modules, its version, is none."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("weaklib.")} & set(map(room, MODULES))


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_upwards(module):
    own = room(module)
    assert own in HEIGHT, f"{module} has no place in ROWS yet"
    assert not [name for name in imported((ROOT / module).read_text()) - {own} if HEIGHT[name] >= HEIGHT[own]]


def test_imports_within_functions_count():
    code = "import weaklib.audio\nfrom weaklib import __version__, files\ndef f():\n    from weaklib.corpora import x"
    assert imported(code) == {"audio", "files", "corpora"}
