"""Every notebook runs from top to bottom at the smoke preset, and what it keeps is what a reader needs."""
import ast
import re
from pathlib import Path

import nbformat
import pytest

from weaklib import experiment, headless

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("[0-9][0-9]_*.ipynb"))
GIVEN = {"preset": "smoke", "seeds": 1, "device": "cpu", "records": "local", "fresh": False, "interactive": False}
#: Papers with two notebooks: the first, and the tables that it shows; the second shows the others.
FIRST = {"mahmud2024": ("04_mahmud2024", {"table1"})}
CLIP = re.compile(r'<audio[^>]*aria-label="([^"]*)"[^>]*src="data:audio/[^;]+;base64,([^"]+)"')

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def executed(request, tmp_path_factory):
    """A notebook and its executed copy; all of them share the corpora and runs of the tests."""
    source, folder = request.param, tmp_path_factory.mktemp("executed")
    given = {name: value for name, value in GIVEN.items() if name in headless.parameters(source)}
    with headless.kernel() as channel:
        outcome = headless.execute(source, folder / source.name, given, channel, minutes=10)
    assert (outcome.status, outcome.note) == ("ok", "")
    return source, nbformat.read(folder / source.name, as_version=4)


def outputs(nb, kind: str) -> list[str]:
    found = [output.get("data", {}) for cell in nb.cells for output in cell.get("outputs", [])]
    return [data[kind] for data in found if kind in data]


def test_every_cell_ran(executed):
    source, nb = executed
    code = [cell for cell in nb.cells if cell.cell_type == "code" and cell.source.strip()]
    written = [cell for cell in nbformat.read(source, as_version=4).cells if cell.cell_type == "code"]
    assert len(code) == len(written) + 1  # that of the given parameters
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)


def test_tables_have_their_rows_and_claims_their_verdicts(executed):
    source, nb = executed
    key = source.stem[3:].split("_")[0]
    if key in experiment.known():
        paper, told = experiment.load(key), "\n".join(outputs(nb, "text/markdown"))
        cells = [[cell.strip() for cell in line.split("|")] for line in told.splitlines() if line.startswith("|")]
        first, names = FIRST.get(key, (source.stem, {sheet.table.name for sheet in paper.sheets("smoke", 1)}))
        for sheet in paper.sheets("smoke", 1):
            for row in sheet.rows if (sheet.table.name in names) == (source.stem == first) else []:
                mine = next(line for line in cells if line[1].removesuffix(" †") == row.title)
                assert any(re.match(r"\**-?\d+\.\d", cell) for cell in mine[2:]), row.title
        untested = next((line for line in told.splitlines() if line.startswith("Not tested here: ")), "")
        tested = {line[1] for line in cells} & paper.grid.claims.keys()
        assert tested and tested | set(re.findall(r"\b([a-z]\d\d) \(", untested)) >= paper.grid.claims.keys()


def test_players_hold_their_sound(executed):
    _, nb = executed
    players = [found for page in outputs(nb, "text/html") if (found := CLIP.findall(page))]
    assert players
    for clips in players:
        assert all(title and len(sound) > 4000 for title, sound in clips)
    for pictures in outputs(nb, "image/png"):
        assert len(pictures) > 1000


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_figure_has_a_caption_in_whole_sentences(source):
    no_figures = {"captioned", "colours", "listen", "Live"}
    code = "\n".join(cell.source for cell in nbformat.read(source, as_version=4).cells if cell.cell_type == "code")
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)
             and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "plots"]
    captioned = [node for node in calls if node.func.attr == "captioned"]
    drawn = {ast.unparse(node) for node in calls if node.func.attr not in no_figures}
    assert drawn == {ast.unparse(node.args[0]) for node in captioned} and drawn
    for node in captioned:
        text = ast.unparse(node.args[1])[:-1].removeprefix("f").strip("'\"")
        assert re.match(r"[A-Z{].*[^.]\.$", text), text


def test_without_records_a_notebook_shows_what_the_paper_prints_and_says_what_is_missing(tmp_path):
    """No record of smoke is ever committed."""
    source = next(path for path in NOTEBOOKS if path.stem == "02_wisdom2021")
    with headless.kernel() as channel:
        outcome = headless.execute(source, tmp_path / source.name, GIVEN | {"records": "committed"}, channel, minutes=9)
    assert (outcome.status, outcome.note) == ("ok", "")
    nb = nbformat.read(tmp_path / source.name, as_version=4)
    said = "".join(output.get("text", "") for cell in nb.cells for output in cell.get("outputs", []))
    assert re.search(r"^0 of \d+ rows have committed records at preset smoke\.$", said, re.MULTILINE)
    table, = (text for text in outputs(nb, "text/markdown") if "| Supervised, single mixtures, M = 8 |" in text)
    assert "| MixIT + sparsity, M = 8 | 12.4 |" in table and "this machine" not in table


def test_exercises_are_open_and_their_solutions_are_right(executed):
    _, nb = executed
    for tag, wanted in (("check", "not answered yet"), ("solution", "right")):
        for cell in nb.cells:
            if tag in cell.metadata.get("tags", []):
                said = "".join(output.get("text", "") for output in cell.outputs)
                verdicts = re.findall(r": (not answered yet|right|look again)\b", said)
                assert set(verdicts) <= {wanted}, said
                assert verdicts or said and tag == "solution"  # some only show what was measured
