"""Look for what keeps people from using a page: axe-core on the pages of the widgets, the desk, and any others.

``make axe`` runs it, with the pages of the book where they have been built. It ends with an error where axe-core finds
anything serious or critical. What axe-core cannot see, such as the order of the keys, is in the tests.
"""
from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import lab
import numpy as np

from weaklib import listening, widgets

SERIOUS = ("serious", "critical")
DESK = "from weaklib import widgets\ndesk = widgets.Desk()\ndesk"
THEME = "(theme) => jupyterapp.commands.execute('apputils:change-theme', { theme })"
FIND = "(within) => axe.run(within ?? document, { resultTypes: ['violations'] }).then((found) => found.violations)"


def write(folder: Path) -> list[Path]:
    """Write the pages that weaklib makes: the player, with everything it can show, and a listening test."""
    n = np.arange(16000)
    x = np.sin(2 * np.pi * 440 / 16000 * n).astype(np.float32)
    player, test = folder / "player.html", folder / "listening.html"
    widgets.save_html(player, {"a": x, "b": x / 2, "c": x / 4}, 16000, groups={"A": ["a", "b"], "B": ["c"]},
                      notes={"a": [[0, 1, 69]]}, pictures={"roll": {"a": np.eye(20)}})
    clips = [listening.Clip(x, f"system {k}", "a tone", "noise") for k in range(2)]
    listening.write(test, clips, 16000, title="Which sound do you hear?")
    return [player, test]


def told(page, name: str, axe: str, within: str | None = None) -> int:
    """Print what axe-core finds in a page, or in a part of it; returns how much of it is serious."""
    page.evaluate(axe)
    found = page.evaluate(FIND, within)
    for one in found:
        print(f"{name}: {one['impact']}: {one['help']} ({one['id']}), {len(one['nodes'])} times, such as "
              f"{one['nodes'][0]['html'][:150]}")
    return sum(one["impact"] in SERIOUS for one in found)


def main(axe_file: str, *others: str) -> int:
    """Look at everything in the light and in the dark; returns how many serious findings there are."""
    axe, n = Path(axe_file).read_text(encoding="utf-8"), 0
    with tempfile.TemporaryDirectory() as name, lab.chromium() as browser:
        folder = Path(name)
        pages = [*write(folder), *map(Path, others)]
        for scheme in ("light", "dark"):
            for path in pages:
                page = browser.new_page(color_scheme=scheme, bypass_csp=True, viewport={"width": 1000, "height": 800})
                page.goto(path.resolve().as_uri())
                n += told(page, f"{path.name}, {scheme}", axe)
                page.close()
        with lab.serving(folder) as address:
            notebook = lab.Notebook(browser, address, lab.write(folder / "desk.ipynb", DESK))
            notebook.start()
            notebook.open()
            notebook.run_all()
            notebook.ask("desk.wait(); desk.run.click(); desk.wait()")
            notebook.page.locator(".weaklib-desk table").wait_for()
            for theme in ("JupyterLab Light", "JupyterLab Dark"):
                notebook.page.evaluate(THEME, theme)
                notebook.page.wait_for_timeout(1000)
                n += told(notebook.page, f"the desk, {theme}", axe, ".weaklib-desk")
    print(f"{len(pages)} pages and the desk: {n} serious findings.")
    return n


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) > 0)
