"""The check of an answer says what a teacher would; every exercise has a check, hints and a solution."""
import ast
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from weaklib import headless
from weaklib.exercises import check

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize("answer, expected, within, said", [
    (3.05, 3.0, 0.1, "q: right. so"),
    (3.2, 3.0, 0.1, "q: look again: 3.2 is too high. think"),
    (-4, -3, 0.5, "q: look again: -4 is too low. think"),
    (float("nan"), 3.0, 0.1, "q: look again"),
    (torch.tensor(3.0, requires_grad=True), np.float64(3.0), 0.0, "q: right. so"),
    (True, np.bool_(True), 0.0, "q: right. so"),
    (False, torch.tensor(True), 0.0, "q: look again. think"),
    (1, True, 0.0, "q: look again: the answer is True or False. think"),
    (True, 1, 0.0, "q: look again: the answer is a number. think"),
    ("3 dB", 3.0, 0.1, "q: look again: the answer is a number. think"),
    (" Rises", "rises", 0.0, "q: right. so"),
    ("falls", "rises", 0.0, "q: look again. think"),
    ((56, 113, 169), torch.tensor([56, 113, 169]), 0.0, "q: right. so"),
    ([56, 112, 168], [56, 113, 169], 0.0, "q: look again. think"),
    ([56, 113], [56, 113, 169], 0.0, "q: look again: the answer is a list of 3 values. think"),
    ((True, False), [True, False], 0.0, "q: right. so"),
    ((True, 0), [True, False], 0.0, "q: look again. think"),
    ({"a": 1}, 1, 0.0, "q: look again: the answer is a number. think"),
])
def test_a_verdict_is_one_line_that_begins_with_the_question(capsys, answer, expected, within, said):
    check("q", answer, expected, within=within, hint="think", because="so")
    out = capsys.readouterr().out
    assert out.startswith(said) and out.count("\n") == 1
    assert ("so" in out) == ("right" in out) and ("think" in out) == ("look again" in out)


@pytest.mark.parametrize("answer", [None, ..., (None, True), [[...]]])
def test_what_is_not_answered_gives_nothing_away(capsys, answer):
    check("q", answer, [True, True], hint="think", because="so")
    assert capsys.readouterr().out == 'q: not answered yet. The answer "?" shows a hint.\n'


def test_a_question_mark_asks_for_the_hint(capsys):
    check("q", "?", 3.0, hint="think")
    check("q", "?", 3.0)
    assert capsys.readouterr().out == "q: here is a hint. think\nq: there is no hint.\n"


def calls(source: str) -> list[set[str]]:
    """The keywords of every call of `check` in a cell."""
    return [{keyword.arg for keyword in node.keywords} for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "check"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_exercise_has_a_check_hints_and_a_solution(path):
    cells = headless.read(path).cells
    tags = [set(cell.metadata.get("tags", [])) for cell in cells]
    asked = [i for i, cell in enumerate(cells) if cell.cell_type == "code" and "TO DO" in cell.source]
    stated = "".join(cell.source for cell in cells if cell.cell_type == "markdown")
    minutes = re.findall(r"\*\*[a-z]\. \(\d+ minutes\)|Exercise \(\d+ minutes\)", stated)
    assert len(asked) == len(minutes)
    for i in asked:
        assert cells[i - 1].cell_type == "markdown", "an exercise says what is asked"
        assert not calls(cells[i].source) and not tags[i]
        hinted = calls(cells[i + 1].source)
        assert tags[i + 1] == {"check"} and hinted and all("hint" in given for given in hinted)
        assert tags[i + 2] == {"solution"}
        assert cells[i + 1].metadata.jupyter == {"source_hidden": True}  # it holds hints and answers
        assert cells[i + 2].metadata.jupyter == {"source_hidden": True, "outputs_hidden": True}
    assert sum("check" in found for found in tags) == sum("solution" in found for found in tags) == len(asked)
