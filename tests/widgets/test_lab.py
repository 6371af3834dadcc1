"""The widgets in JupyterLab: what a reader does with mouse and keys, and what becomes of the notebook."""
import json
import re
from contextlib import ExitStack
from pathlib import Path

import lab
import nbformat
import pretty_midi
import pytest
import soundfile

from weaklib import corpora

CELLS = (
    "# A signal, its negative, and a glide",
    """\
import numpy as np
from weaklib import widgets

sr = 16_000
t = np.arange(20 * sr) / sr
pitch = 220 * 2 ** (np.take([0, 3, 7, 10, 12, 10, 7, 3], (2 * t).astype(int) % 8) / 12)
phase = 2 * np.pi * np.cumsum(pitch) / sr
signal = np.exp(-6 * (t % 0.5)) * sum(np.sin(k * phase) / k for k in range(1, 10))
glide = 0.5 * np.sin(2 * np.pi * (200 * t + 95 * t ** 2))
player = widgets.StemPlayer({"signal": signal, "negative": -signal, "glide": glide}, sr)
player""",
    "player",
)
GLIDE = 0.5  # its amplitude
NULL = 1e-4
NOTE = "Run the notebook up to here to hear signal, negative, glide."
CONTROLS = """\
- region "Stem player":
  - toolbar "Playing":
    - button "Play"
    - text: 0:00.0 / 0:20.0
    - button "Loop"
    - slider "Level of all": "-6"
  - group "signal":
    - button "Solo signal"
    - button "Mute signal"
    - slider "Gain of signal": "0"
  - img "spectrogram of signal"
  - group "negative":
    - button "Solo negative"
    - button "Mute negative"
    - slider "Gain of negative": "0"
  - img "spectrogram of negative"
  - group "glide":
    - button "Solo glide"
    - button "Mute glide"
    - slider "Gain of glide": "0"
  - img "spectrogram of glide"
  - slider "Position"
  - status
  - group "Keys"
"""


@pytest.fixture
def opened(chromium, tmp_path):
    """A function that opens a notebook with some cells in JupyterLab."""
    browser = chromium()  # with the usual rule that nothing plays before a click
    with lab.serving(tmp_path) as address, ExitStack() as stack:

        def open(*cells):
            one = lab.Notebook(browser, address, lab.write(tmp_path / "listen.ipynb", *cells))
            stack.callback(one.page.close)
            # Beside the log, for those who wonder what went wrong.
            stack.callback(one.page.screenshot, path=tmp_path / "last.png")
            one.start()
            one.open()
            return one

        yield open


class Player:
    """A view of the player, by what a reader sees."""

    def __init__(self, notebook, which: int = 0):
        self.notebook, self.page = notebook, notebook.page
        self.root = notebook.page.locator(".weaklib-player").nth(which)

    def button(self, name):
        return self.root.get_by_role("button", name=name, exact=True)

    def on(self, name) -> bool:
        return self.button(name).get_attribute("aria-pressed") == "true"

    def time(self) -> float:
        minutes, seconds = self.root.locator(".time").inner_text().split(" /")[0].split(":")
        return 60 * int(minutes) + float(seconds)

    def until(self, condition, what: str) -> None:
        """Wait for what is shown, or heard."""
        for _ in range(2000):
            if condition():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"waited in vain until {what}")

    def plays(self) -> None:
        """Wait until it plays on from here."""
        before = self.time()
        self.until(lambda: self.time() != before, "the time changes")

    def at(self, share: float) -> tuple[float, float]:
        """A point on the timeline."""
        box = self.root.get_by_role("slider", name="Position").bounding_box()
        return box["x"] + share * box["width"], box["y"] + 20


def told(notebook, *names) -> list:
    """What Python has for attributes of the player."""
    attributes = ", ".join(f"player.{name}" for name in names)
    return json.loads(notebook.ask(f"import json; print(json.dumps([{attributes}]))"))


def cells(notebook) -> list:
    """All that keys could change in the notebook."""
    return notebook.get("[panel.content.mode, panel.content.activeCellIndex,"
                        " [...panel.content.model.cells].map((cell) => [cell.type, cell.sharedModel.getSource()])]")


def test_player_in_jupyterlab(opened):
    notebook = opened(*CELLS)
    page = notebook.page
    notebook.run_all()
    player, other = Player(notebook), Player(notebook, 1)
    other.root.wait_for()
    expect_controls(player)
    assert page.locator(".weaklib-note").count() == 2 and not page.get_by_text(NOTE).first.is_visible()

    # Sound, after a click; and none where there should be none. In loops, because a busy machine may need minutes.
    player.button("Mute glide").click()
    player.button("Loop").click()
    player.button("Play").click()
    player.plays()
    assert notebook.get("[...taps.keys()].map((context) => context.state)") == ["running"]
    assert notebook.peak() < NULL
    player.button("Mute negative").click()
    assert notebook.peak() > 0.1
    player.button("Mute negative").click()
    assert notebook.peak() < NULL
    page.mouse.click(*player.at(0.5))
    player.until(lambda: player.time() >= 10, "it plays from the middle")
    assert notebook.peak() < NULL
    page.mouse.move(*player.at(0.25))
    page.mouse.down()
    page.mouse.move(*player.at(0.27), steps=3)
    page.mouse.move(*player.at(0.30), steps=3)
    page.mouse.up()
    player.until(lambda: 5 <= player.time() <= 6, "it plays in the loop")
    for _ in range(3):  # more than once around
        assert notebook.peak() < NULL and 4.9 <= player.time() <= 6.1

    # Keys are the player's, and not the notebook's, which would add, cut or convert cells.
    before = cells(notebook)
    page.keyboard.press("1")
    player.until(lambda: player.on("Solo signal"), "1 solos the first row")
    assert notebook.peak() > 0.1
    for key, name in (("1", "Solo signal"), ("m", "Mute signal"), ("s", "Solo signal")):
        was = player.on(name)
        page.keyboard.press(key)
        player.until(lambda: player.on(name) != was, f"{key} presses {name}")
    page.keyboard.press("s")
    for key in ("a", "b", "d", "d", "x", "y", "Enter"):
        page.keyboard.press(key)
    assert cells(notebook) == before
    page.keyboard.press("Space")
    player.button("Play").wait_for()
    assert cells(notebook) == before
    notebook.get("panel.content.activeCell.node.focus()")
    page.keyboard.press("b")  # outside of the player it is the notebook's
    notebook.until("panel.content.model.cells.length === arg", len(CELLS) + 1)
    page.keyboard.press("d")
    page.keyboard.press("d")
    notebook.until("panel.content.model.cells.length === arg", len(CELLS))

    # Python is told, and tells.
    player.until(lambda: told(notebook, "position") == [pytest.approx(player.time(), abs=0.1)], "Python knows where")
    assert told(notebook, "loop", "mute") == [pytest.approx([5, 6], abs=0.1), [True, False, True]]
    notebook.ask("player.loop, player.mute, player.position = [10, 20], [False] * 3, 12.5")
    player.until(lambda: player.time() == 12.5, "it is where Python puts it")
    assert not player.on("Mute signal")

    # Two views are one player.
    other.button("Solo glide").click()
    player.until(lambda: player.on("Solo glide"), "the first view follows the second")
    other.button("Play").click()
    other.plays()
    assert 10 <= player.time() <= 20
    gain, = told(notebook, "_scene['gain_db']")
    assert notebook.peak() == pytest.approx(GLIDE * 10 ** ((gain - 6) / 20), rel=0.02)  # heard once, at -6 dB
    player.button("Pause").click()
    other.button("Play").wait_for()
    notebook.ask("player.loop, player.solo = [10, 15], [False] * 3")
    page.mouse.click(*player.at(0.6))
    player.until(lambda: player.time() == 12 and not player.on("Solo glide"), "it is set")

    # The file is small and holds no sound; with the kernel the player comes back, and waits.
    saved = notebook.save()
    assert "widgets" not in saved.metadata and notebook.path.stat().st_size < 10_000
    notebook.reload()
    player.root.wait_for()
    player.until(lambda: player.time() == pytest.approx(12, abs=0.1) and player.on("Loop"), "it is where it was")
    assert not page.get_by_text(NOTE).first.is_visible()
    player.button("Play").click()
    player.plays()
    player.button("Mute glide").click()
    assert notebook.peak() < NULL
    assert notebook.outside == [] and notebook.errors == []
    before_it_is_run(notebook)


def expect_controls(player) -> None:
    from playwright.sync_api import expect
    expect(player.root).to_match_aria_snapshot(CONTROLS, timeout=1000 * lab.PATIENCE)
    player.notebook.until("[...document.querySelectorAll('.weaklib-player img')].every((image) => image.naturalWidth)")


def before_it_is_run(notebook) -> None:
    """What somebody sees who opens the saved notebook: JupyterLab trusts the one who ran it, and nobody else."""
    saved = notebook.path.read_text()
    shown = notebook.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-OutputArea-output")
    error = "Error displaying widget: model not found"  # JupyterLab's own
    for name, text, outputs in (("tomorrow", saved, [NOTE, error, NOTE, error]),
                                ("theirs", saved.replace(CELLS[0], "# Theirs"), [NOTE, NOTE])):
        notebook.path = notebook.path.with_name(f"{name}.ipynb")
        notebook.path.write_text(text)
        notebook.open()
        Player(notebook).until(lambda: shown.all_inner_texts() == outputs, f"{name} shows {outputs}")
        assert all(output.is_visible() for output in shown.all())
    assert notebook.outside == []


DESK = ("from weaklib import widgets\n\ndesk = widgets.Desk()\ndesk",)


def test_desk_in_jupyterlab(opened, screenshots, tmp_path):
    """An item of a corpus and a file of the reader's, separated, compared, transcribed, saved."""
    from playwright.sync_api import expect
    expect.set_options(timeout=1000 * lab.PATIENCE)
    notebook = opened(*DESK)
    page = notebook.page
    notebook.run_all()
    player = Player(notebook)
    status = page.locator(".widget-html [role=status], .widget-html [role=alert]")
    go = page.locator("button.mod-primary")

    expect(page.get_by_label("Test item")).to_contain_text("0: piano")
    first = page.get_by_label("Test item").evaluate("(one) => one.selectedOptions[0].label")
    assert first.split() == ["1:", "piano,", "guitar,", "bass"]
    page.get_by_role("button", name="Hear the sound").click()
    player.button("references").click()
    expect(player.root.get_by_role("group", name="bass")).to_be_visible()
    player.button("Mute guitar").click()
    page.mouse.move(*player.at(0.12))
    page.mouse.down()
    page.mouse.move(*player.at(0.30), steps=4)
    page.mouse.up()
    page.mouse.click(*player.at(0.20))
    player.until(lambda: player.time() == 0.8, "it is within the loop")
    player.root.screenshot(path=screenshots / "player.png")

    go.click()
    expect(player.button("hung2021")).to_have_attribute("aria-pressed", "true")
    assert page.locator("caption", has_text="hung2021").count() == 1
    expect(page.locator(".weaklib-desk td", has_text="piano")).to_have_count(2)  # the source and the output
    assert page.get_by_text("not defined").count() == 0
    nothing_is_cut_off(page, width=1000)
    assert notebook.ask("print([len(x[0]) for x in desk.results[0].stems.values()])") == "[64000, 64000, 64000]\n"
    player.button("Loop").click()
    player.button("Play").click()
    player.plays()
    assert notebook.peak() > 0.01
    player.button("references").click()
    player.plays()  # on, at the same place
    player.button("Pause").click()
    player.button("Loop").click()
    player.button("hung2021").click()
    notebook.get("panel.content.widgets[0].node.scrollIntoView()")
    page.set_viewport_size({"width": 1100, "height": 1060})
    expect(player.root.locator("img").first).to_be_visible()
    page.locator(".jp-Notebook .jp-OutputArea").first.screenshot(path=screenshots / "desk.png")
    dark_is_legible(page)

    # A file of the reader's, at another rate, in stereo.
    corpus = corpora.load("band", "test", "smoke")
    mine = tmp_path / "mine.flac"
    soundfile.write(mine, corpus[2]["mix"].numpy().reshape(-1, 1).repeat(2, 1)[:32000], corpus.sr)
    page.get_by_role("radio", name="your own file").click()
    go.click()
    expect(status).to_have_text("There is no file yet; choose one to upload, or write the path of one.")
    nothing_is_cut_off(page, width=1000)
    page.locator("input[type=file]").set_input_files(mine)
    expect(page.locator(".weaklib-upload [role=status]")).to_contain_text("mine.flac is here")
    page.get_by_role("radio", name="transcribe").click()
    go.click()
    expect(player.root.locator(".time")).to_contain_text("0:02.0")
    assert notebook.ask("print(desk.sound.audio.shape, desk.results[0].title)") == "(2, 32000) hung2021, notes\n"
    page.get_by_role("button", name="Save the result").click()
    expect(status).to_contain_text("mine.mid")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download mine.mid").click()
    assert download.value.path().read_bytes() == (tmp_path / "outputs" / "hung2021-notes" / "mine.mid").read_bytes()
    assert pretty_midi.PrettyMIDI(str(tmp_path / "outputs" / "hung2021-notes" / "mine.mid")).get_end_time() <= 2
    assert notebook.errors == [] and notebook.outside == []
    assert "widgets" not in notebook.save().metadata


def test_the_prices_of_the_scoreboard_in_jupyterlab(opened, screenshots):
    """Sliders of notebook 08 move both of its figures. Hours: so many minutes for each of 106.7, all of the music."""
    from playwright.sync_api import expect
    expect.set_options(timeout=1000 * lab.PATIENCE)
    path = Path(__file__).parents[2] / "notebooks" / "08_scoreboard.ipynb"
    wanted = ("code-01", "code-02", "code-14", "code-16")  # parameters, records, figures, sliders
    notebook = opened(*("\n" + cell.source for cell in nbformat.read(path, as_version=4).cells if cell.id in wanted))
    page = notebook.page
    notebook.run_all()
    separation, transcription = (page.get_by_role("img", name=name).last for name in ("SI-SDR", "onset F1"))

    def slider(name):
        return page.locator(".widget-slider", has_text=name)

    def expect_hours(figure, point, hours):
        expect(figure).to_have_attribute("alt", re.compile(re.escape(f"{point}, {hours}: ")))

    expect(slider("recording stems")).to_contain_text("200")
    expect_hours(separation, "stems 100 %", "356")
    expect_hours(transcription, "scores 100 %", "17.8 or 107")
    slider("recording stems").get_by_role("slider").press("End")
    expect_hours(separation, "stems 100 %", "1.78e+03")
    expect(slider("recording stems")).to_contain_text("1000")
    slider("writing the score by ear").get_by_role("slider").press("Home")
    for figure, point in ((separation, "score, critic"), (transcription, "scores 100 %")):
        expect_hours(figure, point, "0.0178 or 17.8")
    expect_hours(separation, "stems 100 %", "1.78e+03")
    page.set_viewport_size({"width": 1280, "height": 1500})
    page.locator(".widget-output").screenshot(path=screenshots / "prices.png")
    assert page.locator(".widget-output img").count() == 2
    assert notebook.errors == [] and notebook.outside == []


CUT_OFF = """() => [...document.querySelectorAll(".weaklib-desk :is(button, .widget-label, .title)")]
    .filter((one) => one.offsetParent && one.scrollWidth > one.clientWidth).map((one) => one.textContent)"""


def nothing_is_cut_off(page, width: int) -> None:
    """All names of buttons and fields can be read in a window of this width, with the file browser open."""
    before = page.viewport_size
    page.set_viewport_size({"width": width, "height": before["height"]})
    page.wait_for_timeout(500)
    assert page.locator(".jp-FileBrowser").first.is_visible() and page.evaluate(CUT_OFF) == []
    page.set_viewport_size(before)


LUMINANCE = """() => {
    const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const luminance = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((c) => channel(Number(c)));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = luminance(getComputedStyle(document.querySelector(".weaklib-player")).backgroundColor);
    return [...document.querySelectorAll(".weaklib-player :is(.scale span, .title, .axis span, .legend span, summary)")]
        .map((one) => (luminance(getComputedStyle(one).color) + 0.05) / (ground + 0.05))
        .map((ratio) => Math.max(ratio, 1 / ratio));
}"""


def dark_is_legible(page) -> None:
    """In the dark theme all text of the player stands out, as WCAG asks."""
    theme = "(theme) => jupyterapp.commands.execute('apputils:change-theme', { theme })"
    page.evaluate(theme, "JupyterLab Dark")
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    page.wait_for_timeout(500)
    ratios = page.evaluate(LUMINANCE)
    assert len(ratios) > 10 and min(ratios) > 4.5
    page.evaluate(theme, "JupyterLab Light")
    page.wait_for_function("document.body.dataset.jpThemeLight === 'true'")
