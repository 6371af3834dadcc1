"""Make docs/player.png: the stem player with a clip of `band`, as Chromium shows it. Needs the extra `test`."""
import os
import shutil
import tempfile
from pathlib import Path


def main() -> None:
    from playwright.sync_api import sync_playwright

    from weaklib import corpora, widgets
    corpus = corpora.load("band", "test", "smoke")
    item = corpus[1]
    stems = dict(zip(item["labels"], item["sources"]))
    path = Path(os.environ["WEAKLIB_HOME"]) / "listen.html"
    widgets.save_html(path, {"mixture": item["mix"], **stems}, corpus.sr,
                      notes=dict(zip(item["labels"], item["notes"])),
                      groups={"mixture": ["mixture"], "stems": list(stems)})
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 900, "height": 600})
        page.goto(path.as_uri())
        page.get_by_role("button", name="stems").click()
        page.get_by_role("button", name="Mute guitar").click()
        box = page.get_by_role("slider", name="Position").bounding_box()
        y = box["y"] + 20
        page.mouse.move(box["x"] + 0.35 * box["width"], y)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.62 * box["width"], y, steps=4)
        page.mouse.up()
        page.mouse.click(box["x"] + 0.45 * box["width"], y)
        page.locator(".weaklib-player").screenshot(path=Path(__file__).with_suffix(".png"))
        browser.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WEAKLIB_HOME"] = folder
        main()
