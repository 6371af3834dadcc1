"""Students get the notebooks without their solutions, teachers with them, and nobody's answers are lost."""
import csv
import re
from pathlib import Path

import nbformat
import pytest

from weaklib import workshop
from weaklib.files import WeaklibError

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def cells(path):
    return {cell.id: cell for cell in nbformat.read(path, as_version=4).cells}


def test_students_lack_the_solutions_and_nothing_else(tmp_path):
    written = workshop.write(ROOT / "notebooks", tmp_path / "workshop")
    assert len(written) == 2 * len(NOTEBOOKS)
    hidden = 0
    for source in NOTEBOOKS:
        theirs, all_of_it = (cells(tmp_path / "workshop" / kind / source.name) for kind in ("student", "teacher"))
        mine = cells(source)
        assert all_of_it.keys() == mine.keys()
        assert mine.keys() - theirs.keys() == {id for id, cell in mine.items()
                                               if "solution" in cell.metadata.get("tags", [])}
        hidden += len(mine) - len(theirs)
        for id, cell in theirs.items():
            assert cell == all_of_it[id]
            assert cell.source.replace("](../../", "](../") == mine[id].source
    assert hidden


def test_links_lead_somewhere_from_where_the_copies_lie(tmp_path):
    """The notebooks' own, too."""
    for folder in ("docs", "results", "notebooks"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    copies = workshop.write(ROOT / "notebooks", tmp_path / "workshop")
    links = 0
    for path in [*NOTEBOOKS, *copies]:
        for cell in cells(path).values():
            for link in re.findall(r"\]\(([^)#:]+)\)", cell.source if cell.cell_type == "markdown" else ""):
                links += 1
                assert (path.parent / link).exists(), f"{path}: {link}"
    assert links > 3 * len(NOTEBOOKS)


def test_answers_are_not_overwritten(tmp_path, capsys):
    assert workshop.main(["--out", str(tmp_path / "new")]) == 0
    answered = tmp_path / "new" / "student" / NOTEBOOKS[0].name
    answered.write_text("my answers")
    assert workshop.main(["--out", str(tmp_path / "new")]) == 2
    assert answered.read_text() == "my answers"
    assert "move it away" in capsys.readouterr().err


def test_a_folder_without_notebooks_is_no_source(tmp_path):
    with pytest.raises(WeaklibError, match="no notebooks"):
        workshop.write(tmp_path, tmp_path / "workshop")
    assert not (tmp_path / "workshop").exists()


def test_claims_for_discussion_are_those_that_do_not_hold_with_the_numbers_of_the_ledger():
    """Of each paper at the preset of its headline."""
    text = (ROOT / "docs" / "workshop.md").read_text(encoding="utf-8").partition("## Claims that do not hold here")[2]
    shown = {cells[1].split(":")[0].strip(): cells for line in text.partition("\n## ")[0].splitlines()[6:]
             if len(cells := line.split("|")) > 4}
    with open(ROOT / "results" / "claims.csv", newline="", encoding="utf-8") as f:
        ledger = [row for row in csv.DictReader(f) if row["verdict"] == "does not hold here"
                  and row["preset"] == ("gpu" if row["paper"].startswith("wisdom") else "full")]
    assert set(shown) == {row["claim_id"] for row in ledger}
    for row in ledger:
        here = re.findall(r"\d+\.?\d*", shown[row["claim_id"]][3])
        assert here and set(here) <= set(re.findall(r"\d+\.?\d*", row["ours"])), row["claim_id"]
