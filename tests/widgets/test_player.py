"""The stem player: what Python packs, and what a real browser plays and shows.

The page that `save_html` writes is the test bed: it holds the same module as the widget. What is heard is measured in
an OfflineAudioContext, sample by sample and without a clock. The tracks are made so that a sample tells what is
playing: the values of a ramp which sample it is, constants that are powers of two which tracks.
"""
import base64
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from weaklib import widgets
from weaklib.files import WeaklibError
from weaklib.widgets import player

SR = 16000
N = 2 * SR
RNG = np.random.default_rng(0)
NOISE = (0.3 * RNG.standard_normal(N)).astype(np.float32)
NULL = {"signal": NOISE, "negative": -NOISE}
RAMP = {"ramp": np.arange(N, dtype=np.float32) / N}
LEVELS = {"piano": 1, "guitar": 2, "bass": 4}  # of constant tracks
STEMS = {title: np.full(N, level / 8, np.float32) for title, level in LEVELS.items()}
PAIRS = {"A piano": 1, "A bass": 2, "B piano": 4, "B bass": 8}
GROUPS = {"A": ["A piano", "A bass"], "B": ["B piano", "B bass"]}


# ------------------------------------------------------------------------------------------------------------ packing


def samples(track: dict) -> np.ndarray:
    return np.frombuffer(track["audio"], "<i2").reshape(track["channels"], -1)


def test_a_signal_and_its_negative_are_exact_negatives():
    one, other = player.pack(NULL, SR)["tracks"]
    assert np.abs(samples(one)).max() > 30000
    assert (samples(one) == -samples(other).astype(int)).all()


def test_the_gain_is_common_and_no_choice_of_tracks_clips():
    tracks = {"a": NOISE, "b": 0.1 * NOISE, "c": -NOISE, "stereo": RNG.standard_normal((2, N))}
    packed = player.pack(tracks, SR)
    gain = 10 ** (packed["gain_db"] / 20)
    worst = 0
    for title, track in zip(tracks, packed["tracks"]):
        np.testing.assert_allclose(samples(track), 32767 * gain * np.atleast_2d(tracks[title]), atol=0.51)
    for choice in range(1, 16):
        chosen = [samples(t).astype(int) for k, t in enumerate(packed["tracks"]) if choice >> k & 1]
        worst = max(worst, np.abs(sum(chosen)).max())
    assert 0.98 * 32767 < worst <= 32767


def test_groups_are_never_heard_together_so_they_do_not_lower_the_gain():
    together = player.pack({"a": NOISE, "b": NOISE}, SR)["gain_db"]
    apart = player.pack({"a": NOISE, "b": NOISE}, SR, groups={"A": ["a"], "B": ["b"]})["gain_db"]
    assert apart - together == pytest.approx(6.02, abs=0.01)


def test_tensors_and_silence_can_be_played():
    packed = player.pack({"a": torch.zeros(N, requires_grad=True), "b": torch.zeros(2, N)}, SR)
    assert packed["gain_db"] == 0 and [t["channels"] for t in packed["tracks"]] == [1, 2]
    assert all(shades(t["pictures"]["spectrogram"]).max() < 0.1 for t in packed["tracks"])


def shades(data: bytes) -> np.ndarray:
    """Brightness of a PNG, lowest row first, in [0, 1]."""
    from matplotlib.image import imread
    return imread(io.BytesIO(data), format="png")[::-1, :, :3].mean(-1)


def test_spectrograms_have_one_reference_and_show_time_and_frequency():
    n = np.arange(N)
    tone = np.sin(2 * np.pi * 2000 / SR * n) * (n >= N // 2)
    loud, quiet = player.pack({"loud": tone, "quiet": 0.01 * tone}, SR, scale="linear")["tracks"]
    image, dim = (shades(t["pictures"]["spectrogram"]) for t in (loud, quiet))
    assert image.shape[0] <= player.ROWS and image.shape[1] <= player.COLUMNS
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert row / image.shape[0] == pytest.approx(0.25, abs=0.02)  # 2 of 8 kHz
    assert image[row, :image.shape[1] * 45 // 100].max() < 0.1 < dim[row].max() < 0.8 < image[row, column]


def test_png_keeps_every_shade():
    image = np.linspace(0, 1, 64 * 3).reshape(3, 64)
    from matplotlib import colormaps
    expected = colormaps["viridis"](np.rint(63 * image) / 63)[:, :, :3].mean(-1)
    np.testing.assert_allclose(shades(player.png(image, "viridis")), expected, atol=1 / 255)


@pytest.mark.parametrize("use", [player.pack, player.static])
@pytest.mark.parametrize("tracks, sr, message", [
    ({}, SR, "no track"),
    ({"a": np.zeros((3, 8))}, SR, "at most 2 channels"),
    ({"a": np.zeros(0)}, SR, "shape"),
    ({"a": np.array([0, np.nan])}, SR, "NaN"),
    ({"a": np.zeros(8), "b": np.zeros(9)}, SR, "differ in length"),
    ({"a": np.zeros(8)}, 100, "resample"),
    ({"a": np.zeros(40_000_000, np.float32)}, SR, "excerpt"),
])
def test_tracks_that_cannot_be_played(use, tracks, sr, message):
    with pytest.raises(WeaklibError, match=message) as e:
        use(tracks, sr)
    assert str(e.value).endswith(".") and "\n" not in str(e.value)


@pytest.mark.parametrize("options, message", [
    ({"groups": {"A": ["a", "b", "c"]}}, "'c'"),
    ({"groups": {"A": ["a"]}}, "'b'"),
    ({"groups": {"A": ["a", "b"], "B": []}}, "empty"),
    ({"notes": {"c": [[0, 1, 60]]}}, "notes of 'c'"),
    ({"notes": {"a": [[0, 1]]}}, "notes of 'a'"),
    ({"pictures": {"mask": {"a": np.zeros(8)}}}, "picture 'mask'"),
    ({"pictures": {"spectrogram": {"a": np.zeros((8, 8))}}}, "another name"),
    ({"axes": {"roll": (21, 108)}}, "'roll'"),
    ({"pictures": {"roll": {"a": np.zeros((8, 8))}}, "axes": {"roll": (108, 21)}}, "is not an axis"),
    ({"pictures": {"roll": {"a": np.zeros((8, 8))}}, "axes": {"roll": "mel"}}, "has not the"),
    ({"group": "B"}, "Unknown group 'B'"),
])
def test_options_that_do_not_fit_the_tracks(options, message):
    with pytest.raises(WeaklibError, match=message):
        player.pack({"a": np.zeros(8), "b": np.zeros(8)}, SR, **options)


# ------------------------------------------------------------------------------------------------------- widget, static


def test_widget_checks_what_is_set():
    one = widgets.StemPlayer(STEMS, SR)
    one.position = 100
    assert one.position == one.duration == 2
    one.loop = [0.5, 1]
    for name, value in {"loop": [1, 0.5], "solo": [True], "gain": [0.0], "group": "B", "picture": "mask"}.items():
        with pytest.raises(WeaklibError):
            setattr(one, name, value)
    assert one.loop == [0.5, 1] and one.solo == [False] * 3 and one.group == "all"


def test_groups_share_rows():
    one = widgets.StemPlayer({title: STEMS["piano"] for title in PAIRS}, SR, groups=GROUPS)
    assert one.mute == [False, False] and one.group == "A"


def test_widget_sends_bytes_not_text():
    from ipywidgets.widgets.widget import _remove_buffers
    state, _, buffers = _remove_buffers(widgets.StemPlayer(STEMS, SR).get_state("_scene"))
    assert len(buffers) == 6 and len(json.dumps(state)) < 1000  # sound and picture of three tracks


def test_static_form_has_a_described_picture_and_a_clip_for_each_track():
    tracks = {"<mix>": NOISE, "stereo": np.stack([NOISE, -NOISE])}
    picture, clips = widgets.static(tracks, SR, notes={"<mix>": [[0, 1, 60]]})
    assert "<mix>, stereo" in picture.alt and "2.0 s" in picture.alt
    assert picture.data.startswith(b"\x89PNG") and len(picture.data) < 200_000
    assert clips.data.count("<audio") == 2 and "&lt;mix&gt;" in clips.data
    assert picture._repr_mimebundle_()[1]["image/png"]["alt"] == picture.alt


def executed(code: str):
    """A notebook of one cell, after nbclient has run it."""
    import nbformat
    from nbclient import NotebookClient
    code = f"import numpy as np\nfrom weaklib import widgets\n{code}"
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    return NotebookClient(nb, kernel_name="python3", timeout=300).execute()


def test_executed_notebook_has_no_widget():
    nb = executed("widgets.show({'a': np.ones(8000)}, 8000, interactive=False)")
    assert "widgets" not in nb.metadata and "widget" not in json.dumps(nb.cells[0].outputs)
    kinds = [sorted(output["data"]) for output in nb.cells[0].outputs]
    assert kinds == [["image/png", "text/plain"], ["text/html", "text/plain"]]


def test_without_its_widget_a_notebook_says_what_to_do(tmp_path):
    import nbformat

    from weaklib import headless
    nbformat.write(executed("widgets.StemPlayer({'<a>': np.ones(8000)}, 8000)"), tmp_path / "listen.ipynb")
    headless.clean(tmp_path / "listen.ipynb")
    nb = nbformat.read(tmp_path / "listen.ipynb", as_version=4)
    assert "widgets" not in nb.metadata and len(nb.cells[0].outputs) == 1
    data = nb.cells[0].outputs[0]["data"]
    assert "to hear <a>." in data["text/plain"] and "to hear &lt;a&gt;." in data["text/html"]


def test_importing_the_package_loads_no_widget():
    code = "import sys, weaklib.widgets; print(sorted({'anywidget', 'ipywidgets', 'matplotlib'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"


def test_module_is_small_and_needs_nothing():
    code = (player.HERE / "player.js").read_text()
    assert len(code.encode()) <= 30_000
    assert not re.search(r"^\s*import\b|import\(|fetch\(|https?://(?!www\.w3\.org/2000/svg)|</script", code, re.M)


# ------------------------------------------------------------------------------------------------------------- browser


@pytest.fixture(scope="module")
def browser(chromium):
    """A page for one test after the other."""
    page = chromium("--autoplay-policy=no-user-gesture-required").new_page(viewport={"width": 1000, "height": 700})
    page.set_default_timeout(60_000)
    page.requests, page.wrong = [], []
    page.on("request", lambda request: page.requests.append(request.url))
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("console", lambda message: page.wrong.append(message.text) if message.type == "error" else None)
    return page


@pytest.fixture
def load(browser, tmp_path):
    """A function that opens a player in the browser; every request is noted, and every error of the page fails."""

    def load(tracks, **options):
        widgets.save_html(tmp_path / "listen.html", tracks, SR, **options)
        browser.requests.clear()
        browser.goto((tmp_path / "listen.html").as_uri())
        browser.wait_for_selector(".weaklib-player")
        browser.evaluate("window.root = document.querySelector('.weaklib-player')")
        return browser

    browser.wrong.clear()
    yield load
    assert browser.wrong == []


def render(page, steps, seconds=1.5, level=0.0) -> np.ndarray:
    """What the engine plays offline, given steps of (time, method, arguments ...); from when it begins to sound."""
    sound = page.evaluate("""async ([steps, seconds, level]) => {
        const live = root.engine, { sr } = live, context = new OfflineAudioContext(1, seconds * sr, sr);
        const resume = context.resume.bind(context);
        context.resume = async () => {}; // the engine's own would let it run on before a step is done
        const tracks = live.buffers.map((buffer) =>
            Array.from({ length: buffer.numberOfChannels }, (_, c) => buffer.getChannelData(c)));
        const engine = new live.constructor(tracks, sr, live.groups, context);
        engine.set({ ...live.mix, level });
        for (const [time, method, ...args] of steps) {
            if (time === 0) engine[method](...args);
            else context.suspend(time).then(() => { engine[method](...args); resume(); });
        }
        return Array.from((await context.startRendering()).getChannelData(0));
    }""", [steps, seconds, level])
    return np.array(sound)[round(0.03 * SR):]


def index(sound) -> np.ndarray:
    """Which sample of the ramp is heard."""
    return sound / 0.99 * (N - 1)


def test_plays_from_the_beginning_to_the_sample(load):
    sound = render(load(RAMP), [(0, "play")])
    np.testing.assert_allclose(index(sound), np.arange(len(sound)), atol=0.6)


def test_null(load):
    steps = [(0, "play"), (0.3, "seek", 1.2), (0.5, "repeat", [0.2, 0.3123]), (0.9, "set", {"mute": [True, True]}),
             (1.1, "set", {"mute": [False, False]}), (1.3, "set", {"gain": [-3.0, -3.0]}), (1.5, "repeat", None),
             (1.7, "pause"), (1.9, "play")]
    page = load(NULL)
    assert np.abs(render(page, steps, 2.5)).max() < 1e-4
    control = np.abs(render(page, [(0, "play"), (0.5, "set", {"mute": [False, True]})], 1))
    assert control[:SR // 4].max() < 1e-4 and control[SR * 6 // 10:].max() > 0.3


def test_seek_lands_on_the_sample_after_a_crossfade(load):
    heard = index(render(load(RAMP), [(0, "play"), (0.4, "seek", 1.25)], 1.0))
    at = round(0.4 * SR)  # the sound began 0.03 s late, and the seek is as late
    np.testing.assert_allclose(heard[:at], np.arange(at), atol=0.6)
    late = np.arange(at + SR // 50, len(heard))
    np.testing.assert_allclose(heard[late], 1.25 * SR + late - at, atol=0.6)


def test_loop_repeats_its_samples_exactly(load):
    heard = index(render(load(RAMP), [(0, "repeat", [0.5, 0.6]), (0, "play")], 1.0))
    n = np.arange(SR // 50, len(heard))
    np.testing.assert_allclose(heard[n], 0.5 * SR + n % (SR // 10), atol=0.6)


def test_loop_drawn_around_the_playhead_does_not_interrupt(load):
    heard = index(render(load(RAMP), [(0, "play"), (0.4, "repeat", [0.2, 0.6])], 1.0))
    end = round(0.6 * SR)
    np.testing.assert_allclose(heard[:end], np.arange(end), atol=1.2)
    np.testing.assert_allclose(heard[end:], 0.2 * SR + np.arange(len(heard) - end), atol=0.6)


def test_pause_goes_on_where_it_stopped(load):
    heard = index(render(load(RAMP), [(0, "play"), (0.4, "pause"), (0.8, "play")], 1.2))
    at, again = round(0.4 * SR), round(0.8 * SR)
    assert np.abs(heard[at + SR // 50:again]).max() == 0
    late = np.arange(again + SR // 50, len(heard))
    np.testing.assert_allclose(heard[late], at + late - again, atol=0.6)


@pytest.mark.parametrize("mix, weights", [
    ({}, (1, 1, 1)),
    ({"mute": [True, False, False]}, (0, 1, 1)),
    ({"solo": [False, True, False]}, (0, 1, 0)),
    ({"solo": [True, False, True], "mute": [True, False, False]}, (0, 0, 1)),
    ({"gain": [0.0, -6.0206, 6.0206]}, (1, 0.5, 2)),
    ({"level": -20.0}, (0.1, 0.1, 0.1)),
])
def test_what_is_heard(load, mix, weights):
    expected = 0.99 / 7 * np.dot(weights, list(LEVELS.values()))
    page = load(STEMS)
    assert render(page, [(0, "play"), (0.2, "set", mix)], 0.5)[-1] == pytest.approx(expected, abs=1e-4)
    assert render(page, [(0, "set", mix), (0, "play")], 0.5)[-1] == pytest.approx(expected, abs=1e-4)


def test_groups_change_in_ten_milliseconds_at_the_same_place(load):
    page = load({title: np.full(N, level / 16, np.float32) for title, level in PAIRS.items()}, groups=GROUPS)
    sound = render(page, [(0, "play"), (0.2, "set", {"group": 1})], 0.5) * 12 / 0.99
    start = round(0.2 * SR)
    np.testing.assert_allclose(sound[:start], 3, atol=1e-3)
    assert (np.diff(sound) > -1e-4).all()  # from 3 to 12 without a gap
    np.testing.assert_allclose(sound[start + SR // 100:], 12, rtol=0.01)
    both = {"A": ["ramp"], "B": ["same"]}
    heard = index(render(load(RAMP | {"same": RAMP["ramp"]}, groups=both),
                         [(0, "play"), (0.2, "set", {"group": 1})]))
    np.testing.assert_allclose(heard, np.arange(len(heard)), atol=1)


def test_solo_goes_with_the_row_and_not_into_an_empty_one(load):
    groups = {"mix": ["m"], "parts": ["p", "q"]}
    page = load({"m": STEMS["bass"], "p": STEMS["piano"], "q": STEMS["guitar"]}, groups=groups)
    gains = "root.engine.buffers.map((_, track) => root.engine.gainOf(track))"
    page.keyboard.press("Tab")
    page.locator(".play").focus()
    page.keyboard.press("g")
    page.keyboard.press("2")
    assert page.evaluate(gains) == [0, 0, 1]
    page.keyboard.press("g")
    assert page.evaluate(gains) == [1, 0, 0]  # the only row sounds though the second is solo
    assert page.get_by_role("button", name="Solo m").get_attribute("aria-pressed") == "false"


# ---------------------------------------------------------------------------------------------------- the page, live


def peak(page) -> float:
    """Highest peak of a few looks at the last 2048 samples that left the master."""
    return page.evaluate("""async () => {
        const { context, master } = root.engine, tap = new AnalyserNode(context), x = new Float32Array(2048);
        master.connect(tap);
        let highest = 0;
        for (let until = context.currentTime + 0.4; context.currentTime < until;) {
            await new Promise((done) => setTimeout(done, 20));
            tap.getFloatTimeDomainData(x);
            highest = x.reduce((a, b) => Math.max(a, Math.abs(b)), highest);
        }
        master.disconnect(tap);
        return highest;
    }""")


def until(page, condition: str) -> None:
    """Wait for a condition; the page's own policy forbids Playwright's way, which evaluates text."""
    page.evaluate("""async () => {
        for (let k = 0; !(%s); k++) {
            if (k > 2000) throw new Error("waited in vain");
            await new Promise((done) => setTimeout(done, 20));
        }
    }""" % condition)


def runs(page) -> None:
    """Wait until the clock of the sound goes on."""
    page.evaluate("window.since = root.engine.context.currentTime")
    until(page, "root.engine.context.currentTime > window.since + 0.1")


def test_live_null_with_the_mouse(load):
    long = {title: np.tile(x, 10) for title, x in NULL.items()}
    page = load(long)
    page.get_by_role("button", name="Play").click()
    runs(page)
    assert peak(page) < 1e-4
    box = page.get_by_role("slider", name="Position").bounding_box()
    x, y = lambda share: box["x"] + share * box["width"], box["y"] + 20

    page.mouse.click(x(0.5), y)
    runs(page)
    at = page.evaluate("root.engine.position")
    assert 10 - 0.05 <= at < 19 and peak(page) < 1e-4

    page.mouse.move(x(0.25), y)
    page.mouse.down()
    page.mouse.move(x(0.26), y, steps=3)
    page.mouse.move(x(0.30), y, steps=3)
    page.mouse.up()
    assert page.evaluate("root.model.get('loop')") == pytest.approx([5, 6], abs=0.05)
    runs(page)
    for _ in range(5):
        assert 4.95 <= page.evaluate("root.engine.position") <= 6.05
    assert peak(page) < 1e-4

    page.get_by_role("button", name="Mute negative").click()
    runs(page)
    assert peak(page) > 0.1
    page.get_by_role("button", name="Mute negative").click()
    runs(page)
    assert peak(page) < 1e-4
    starts = page.evaluate("root.engine.take.sources.map((s) => [s.loop, s.loopStart, s.loopEnd])")
    assert starts[0] == starts[1] and starts[0][0]

    page.mouse.click(x(0.75), y)  # outside of the loop ends it
    assert page.evaluate("[root.model.get('loop').length, root.engine.loop]") == [0, None]
    page.get_by_role("button", name="Pause").click()
    assert page.evaluate("root.engine.playing") is False
    assert page.evaluate("Math.abs(root.model.get('position') - root.engine.position)") < 1e-6


def test_end(load):
    page = load({"a": NOISE[:SR // 4]})
    page.get_by_role("button", name="Play").click()
    until(page, "!root.model.get('playing')")
    assert page.evaluate("[root.engine.playing, root.model.get('position')]") == [False, 0]


def test_buttons_and_sliders(load):
    page = load(STEMS)
    gains = "root.engine.buffers.map((_, track) => root.engine.gainOf(track))"
    page.get_by_role("button", name="Solo guitar").click()
    assert page.evaluate(gains) == [0, 1, 0]
    assert page.get_by_role("status").inner_text() == "solo guitar"
    page.get_by_role("button", name="Solo guitar").click()
    page.get_by_role("button", name="Mute bass").click()
    page.get_by_role("slider", name="Gain of piano").fill("-20")
    assert page.evaluate(gains) == pytest.approx([0.1, 1, 0])
    assert page.get_by_role("slider", name="Gain of piano").get_attribute("aria-valuetext") == "-20 dB"
    page.get_by_role("slider", name="Level of all").fill("-10")
    assert page.evaluate("root.engine.mix.level") == -10


def test_keyboard_works_and_stays_inside(load):
    page = load(STEMS, pictures={"mask": {"piano": np.eye(8)}}, notes={"piano": [[0, 1, 60]]})
    page.evaluate("window.bubbled = []; document.addEventListener('keydown', (e) => bubbled.push(e.key))")
    page.get_by_role("slider", name="Position").focus()
    get = lambda name: page.evaluate("(name) => root.model.get(name)", name)
    pressed = []

    def press(key):
        pressed.append(key)
        page.keyboard.press(key)

    press("Space")
    assert get("playing") is True
    press("Space")
    assert get("playing") is False
    press("Home")
    assert get("position") == 0
    press("ArrowRight")
    press("Shift+ArrowRight")
    assert get("position") == pytest.approx(1.1, abs=1e-4)
    press("]")
    assert get("loop") == pytest.approx([0, 1.1], abs=1e-4)
    press("ArrowLeft")
    press("[")
    assert get("loop") == pytest.approx([0.1, 1.1], abs=1e-4)
    press("l")
    assert get("loop") == []
    press("l")
    assert get("loop") == pytest.approx([0.1, 1.1], abs=1e-4)
    press("2")
    assert get("solo") == [False, True, False]
    press("m")
    assert get("mute") == [False, True, False]
    press("ArrowDown")
    press("s")
    assert get("solo") == [False, True, True]
    press("Shift+Digit1")
    assert get("mute") == [True, True, False]
    press("p")
    assert get("picture") == "mask"
    for key in "bad9x":
        press(key)
    assert page.evaluate("bubbled") == []
    page.keyboard.press("Control+b")
    assert page.evaluate("bubbled") == ["Control", "b"] or page.evaluate("bubbled") == ["b"]
    assert page.evaluate("root.dataset.lmSuppressShortcuts") == "true"
    page.get_by_role("button", name="Mute piano").focus()
    page.keyboard.press("Space")  # a button under the keyboard's focus is pressed, and nothing plays
    assert get("mute")[0] is False and get("playing") is False


def test_ab_keeps_the_take_and_the_playhead(load):
    tracks = {title: np.tile(NOISE, 10) for title in PAIRS}
    page = load(tracks, groups=GROUPS)
    page.get_by_role("button", name="Play").click()
    runs(page)
    page.evaluate("window.take = root.engine.take; window.before = root.engine.position")
    page.get_by_role("button", name="B", exact=True).click()
    runs(page)
    assert page.evaluate("root.engine.take === window.take && root.engine.position > window.before")
    assert page.evaluate("root.engine.position - root.engine.context.currentTime + root.engine.take.when") == \
        pytest.approx(0, abs=0.05)
    assert page.locator(".title").all_inner_texts() == ["B piano", "B bass"]
    until(page, "root.engine.take.gains.map((g) => Math.round(g.gain.value)).join() === '0,0,1,1'")


def test_set_from_outside(load):
    """What Python sets arrives as a change of the model."""
    page = load({title: np.tile(x, 10) for title, x in STEMS.items()})
    page.evaluate("root.model.set('position', 7.5)")
    assert page.evaluate("root.engine.position") == 7.5
    assert page.get_by_role("slider", name="Position").get_attribute("aria-valuetext") == "7.5 of 20.0 seconds"
    page.evaluate("root.model.set('loop', [1, 3]); root.model.set('solo', [true, false, false])")
    page.evaluate("root.model.set('playing', true)")
    runs(page)
    assert 1 <= page.evaluate("root.engine.position") <= 3
    until(page, "root.model.get('position') !== 7.5")
    assert page.get_by_role("button", name="Solo piano").get_attribute("aria-pressed") == "true"


def test_two_players_do_not_play_together(load):
    page = load({title: np.tile(x, 10) for title, x in STEMS.items()})
    page.get_by_role("button", name="Play").click()
    page.evaluate("document.dispatchEvent(new CustomEvent('weaklib:play', { detail: {} }))")
    assert page.evaluate("root.model.get('playing') || root.engine.playing") is False


def test_notes_and_pictures(load):
    notes = {"piano": [[0.5, 1.0, 69]]}
    pictures = {"mask": {"piano": np.eye(8)}, "roll": {"piano": np.eye(24)}}
    page = load(STEMS, notes=notes, pictures=pictures, axes={"roll": (63, 87)}, scale="linear", fmax=1760)
    assert page.locator("path").first.get_attribute("d") == "M0.5 0.7486H1"  # 440 Hz, from -8 to 1766 + 8 Hz
    assert page.get_by_role("img", name="1 notes of piano").is_visible()
    page.get_by_role("combobox", name="Picture").select_option("mask")
    assert page.get_by_role("img", name="mask of piano").is_visible()
    assert page.get_by_role("img", name="spectrogram of bass").is_visible()  # which has no mask
    assert not page.get_by_role("img", name="1 notes of piano").is_visible()
    page.get_by_role("combobox", name="Picture").select_option("roll")
    assert page.get_by_role("img", name="1 notes of piano").is_visible()
    assert page.locator("path").first.get_attribute("d") == "M0.5 0.7500H1"  # 69 is a quarter up from 63 to 87
    assert page.evaluate("[...root.querySelectorAll('img')].every((image) => image.naturalWidth > 0)")


HERTZ = {"Hz": 1, "kHz": 1000}


def tick_heights(page, row=0) -> dict:
    """Text of each mark at a lane -> where its middle is, from 0 at the lane's lower edge to 1 at its upper one."""
    return page.evaluate("""(row) => {
        const lane = root.querySelectorAll(".lane")[row].getBoundingClientRect();
        return Object.fromEntries([...root.querySelectorAll(".scale")[row].children].map((mark) => {
            const { top, bottom } = mark.getBoundingClientRect();
            return [mark.textContent, (lane.bottom - (top + bottom) / 2) / lane.height];
        }));
    }""", row)


def brightest(page, row=0) -> float:
    """Height of the brightest row of a lane's picture, as it is drawn."""
    return page.evaluate("""async (row) => {
        const image = root.querySelectorAll(".lane img")[row];
        await image.decode();
        const { naturalWidth: w, naturalHeight: h } = image;
        const canvas = new OffscreenCanvas(w, h).getContext("2d");
        canvas.drawImage(image, 0, 0);
        const { data } = canvas.getImageData(Math.floor(w / 2), 0, 1, h);
        const rows = Array.from({ length: h }, (_, k) => data[4 * k] + data[4 * k + 1] + data[4 * k + 2]);
        return 1 - (rows.indexOf(Math.max(...rows)) + 0.5) / h;
    }""", row)


@pytest.mark.parametrize("scale, fmax, expected", [
    ("mel", None, {"200 Hz", "1 kHz", "2 kHz", "4 kHz"}), ("cqt", None, {"50 Hz", "200 Hz", "1 kHz", "4 kHz"}),
    ("cqt", 4000, {"50 Hz", "200 Hz", "500 Hz", "2 kHz"}), ("linear", None, {"2 kHz", "4 kHz", "6 kHz"}),
])
def test_marks_stand_where_a_tone_of_their_frequency_is(load, scale, fmax, expected):
    marks = {text: float(text.split()[0]) * HERTZ[text.split()[1]] for text in expected}
    n = np.arange(N) / SR
    tones = {text: 0.1 * np.sin(2 * np.pi * hertz * n) for text, hertz in marks.items()}
    page = load(tones, scale=scale, fmax=fmax)
    heights = tick_heights(page)
    assert set(heights) == expected
    # Of 160 rows at most, and 72 pixels, the right one or the next.
    assert {text: brightest(page, row) for row, text in enumerate(tones)} == pytest.approx(heights, abs=0.02)


def test_a_roll_has_notes_for_marks_and_what_has_no_axis_has_none(load):
    page = load({"a": NOISE, "b": NOISE}, axes={"roll": (20.5, 108.5)},
                pictures={"roll": {"a": np.zeros((88, 9))}, "mask": {"a": np.eye(8)}})
    page.get_by_role("combobox", name="Picture").select_option("roll")
    assert tick_heights(page) == pytest.approx(
        {f"C{k}": (12 * (k + 1) - 20.5) / 88 for k in (2, 4, 6)}, abs=0.02)
    assert "kHz" in " ".join(tick_heights(page, 1))  # b has no roll and shows its spectrogram
    page.get_by_role("combobox", name="Picture").select_option("mask")
    assert tick_heights(page) == {} != tick_heights(page, 1)


def test_the_legend_tells_what_colours_mean_and_which_lane_shows_another_picture(load):
    page = load({"a": NOISE, "b": NOISE}, pictures={"missing": {"a": np.eye(8)}}, ends={"missing": ("0 dB", "70 dB")})
    legend, instead = page.locator(".legend"), page.locator(".instead")
    assert legend.locator("span").all_inner_texts() == ["−70 dB", "0 dB"] and legend.locator("i").count() == 1
    page.get_by_role("combobox", name="Picture").select_option("missing")
    assert legend.locator("span").all_inner_texts() == ["missing:", "0 dB", "70 dB", "spectrogram:", "−70 dB", "0 dB"]
    assert instead.all_inner_texts() == ["", "spectrogram"]
    first, last = "rgb(68, 1, 84)", "rgb(253, 231, 37)"  # viridis
    gradient = legend.locator("i").first.evaluate("(bar) => getComputedStyle(bar).backgroundImage")
    assert gradient.startswith(f"linear-gradient(90deg, {first}") and gradient.endswith(f"{last})")


def test_notes_are_lit_only_where_some_are_drawn(load):
    page = load({title: NOISE for title in PAIRS}, groups=GROUPS, group="B", notes={"A piano": [[0, 1, 60]]})
    button = page.get_by_role("button", name="Notes")
    assert page.evaluate("root.model.get('group')") == "B"
    assert button.is_disabled() and button.get_attribute("aria-pressed") == "false"
    page.get_by_role("slider", name="Position").focus()
    page.keyboard.press("g")
    assert button.is_enabled() and button.get_attribute("aria-pressed") == "true"
    page.keyboard.press("n")
    assert button.is_enabled() and button.get_attribute("aria-pressed") == "false"


def test_shift_g_goes_back_and_forth_between_two_groups(load):
    page = load({name: NOISE for name in "abc"}, groups={name: [name] for name in "abc"}, group="c")
    page.get_by_role("slider", name="Position").focus()
    heard = []
    for key in ("Shift+G", "g", "Shift+G", "Shift+G"):
        page.keyboard.press(key)
        heard.append(page.evaluate("root.model.get('group')"))
    assert heard == ["c", "a", "c", "a"]


def test_a_blind_comparison_shows_nothing_that_tells_and_says_afterwards_which_was_which(load):
    names = [f"take {k}" for k in range(6)]
    page = load({name: NOISE for name in names} | {"more": NOISE}, notes={"take 0": [[0, 1, 60]]},
                groups={name: [name, *(["more"] if name == "take 3" else [])] for name in names})
    player, compare = page.locator(".weaklib-player"), page.get_by_role("group", name="Compare")
    visible = player.locator(".lane:visible img:visible, .lane:visible svg:visible")
    shown = visible.count()
    page.get_by_role("button", name="Blind").click()
    assert compare.get_by_role("button").all_inner_texts() == list("ABCDEF") and shown > 0 and visible.count() == 0
    order = []
    for letter in "ABCDEF":
        compare.get_by_role("button", name=letter).click()
        order.append(page.evaluate("root.model.get('group')"))
        assert page.get_by_role("status").inner_text() == letter and "take" not in player.aria_snapshot()
        assert player.locator(".lane:visible").count() == 1
    assert sorted(order) == names
    page.keyboard.press("g")
    assert page.evaluate("root.model.get('group')") == order[0]
    page.keyboard.press("b")
    told = ", ".join(f"{letter} was {name}" for letter, name in zip("ABCDEF", order))
    assert page.get_by_role("status").inner_text() == f"{order[0]}; {told}"
    assert compare.get_by_role("button").all_inner_texts() == names and visible.count() > 0


def test_keys_stand_in_columns_under_the_player(load):
    page = load(STEMS)
    page.get_by_text("Keys").click()
    panel = page.locator("dl").bounding_box()
    assert panel["width"] > 0.9 * page.locator(".weaklib-player").bounding_box()["width"] and panel["height"] < 130


def test_everything_has_a_role_and_a_name(load):
    page = load({title: STEMS["piano"] for title in PAIRS}, groups=GROUPS, notes={"A piano": [[0, 1, 60]]},
                pictures={"mask": {"A bass": np.eye(8)}})

    def value(node, key):
        return node.get(key, {}).get("value", "")

    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    nodes = [node for node in nodes if not node["ignored"]]
    controls = [node for node in nodes if any(p["name"] == "focusable" and p["value"]["value"]
                                              for p in node.get("properties", []))]
    controls = [node for node in controls if value(node, "role") != "RootWebArea"]
    there = page.locator(".weaklib-player").locator("button, input, select, option, summary, [tabindex]")
    assert len(controls) == there.count()
    parts = [node for node in nodes if value(node, "role") in ("image", "region", "group", "toolbar")]
    for node in controls + parts:
        assert value(node, "role") not in ("", "generic") and value(node, "name"), node
    assert {"status", "region", "toolbar"} <= {value(node, "role") for node in nodes}


def test_nothing_leaves_the_machine(load):
    page = load(STEMS, notes={"piano": [[0, 1, 60]]})
    page.get_by_role("button", name="Play").click()
    runs(page)
    assert page.requests and all(url.split(":")[0] in ("file", "blob") for url in page.requests)


def test_saved_page_keeps_what_was_set(browser, tmp_path):
    one = widgets.StemPlayer(STEMS, SR)
    one.solo, one.gain = [False, True, False], [0.0, -3.0, 0.0]
    one.save_html(tmp_path / "listen.html", title="Band </script> & co")
    text = (tmp_path / "listen.html").read_text()
    state = json.loads(re.search(r'id="state">(.*?)</script>', text, re.S)[1])
    assert state["solo"] == [False, True, False] and state["gain"][1] == -3
    assert base64.b64decode(state["_scene"]["tracks"][0]["audio"]) == one._scene["tracks"][0]["audio"]
    page = browser
    page.goto((tmp_path / "listen.html").as_uri())
    assert page.title() == "Band </script> & co"
    assert page.get_by_role("button", name="Solo guitar").get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("rate", [np.int64, np.int32, np.float32, float])
def test_saved_page_has_its_numbers_whatever_type_they_came_in(rate, tmp_path):
    """numpy's integers are no JSON, and would be written as the bytes they are made of."""
    tracks = {"up": STEMS["piano"], "unsigned notes": STEMS["piano"][..., ::-1]}
    widgets.save_html(tmp_path / "listen.html", tracks, rate(SR), notes={"up": np.array([[0, 1, 60]], np.int16)},
                      fmax=rate(4000), pictures={"roll": {"up": np.eye(9, dtype=np.uint8)[::-1]}},
                      axes={"roll": np.array([20, 29])})
    text = (tmp_path / "listen.html").read_text()
    scene = json.loads(re.search(r'id="state">(.*?)</script>', text, re.S)[1])["_scene"]
    assert scene["sr"] == SR and scene["axes"]["roll"][-2:] == [20, 29]
    assert scene["tracks"][0]["notes"] == [[0, 1, 60]] and isinstance(scene["gain_db"], float)


def test_unsigned_tracks_are_refused():
    with pytest.raises(WeaklibError, match="uint8 has an offset"):
        widgets.StemPlayer({"x": np.full(SR, 128, np.uint8)}, SR)
