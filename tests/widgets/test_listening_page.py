"""The page of a listening test in a browser, and its link in JupyterLab: from the first sound to the scores."""
import re
from pathlib import Path

import lab
import numpy as np
import pytest

from weaklib import files, listening
from weaklib.listening import Clip

SR = 8000
PAIRS = [("violin", "piano"), ("dog", "rain"), ("tuba", "flute")]


def sound(k: int):
    """Noise whose length tells which clip it is."""
    return np.random.default_rng(k).uniform(-0.1, 0.1, SR // 10 + 160 * k)


CLIPS = [Clip(sound(3 * s + k), system, f"{target} {system}", f"{other} {system}")
         for s, system in enumerate(("one", "two")) for k, (target, other) in enumerate(PAIRS)]

#: What the listener hears in each: "one" is perfect, "two" is not.
HEARD = {f"{target} one": "target" for target, _ in PAIRS} | {"violin two": "other", "dog two": "both",
                                                               "tuba two": "none"}


@pytest.fixture
def written(tmp_path):
    return listening.write(tmp_path / "test.html", CLIPS, SR, title="Strings & things")


@pytest.fixture
def page(chromium, written):
    """The page, open; whatever it asks of a network and every error of it is a failure."""
    page = chromium().new_page(viewport={"width": 1000, "height": 700})
    page.set_default_timeout(60_000)
    wrong, requests = [], []
    page.on("request", lambda request: requests.append(request.url.split(":")[0]))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.goto(written.page.as_uri())
    yield page
    assert wrong == [] and set(requests) <= {"file", "data", "blob"}
    page.close()


def names(page) -> list[str]:
    return page.locator("fieldset label span").all_inner_texts()


def asked(page):
    """The clip that is asked about, by its names."""
    return next(one for one in CLIPS if {one.target, one.other} == set(names(page)[:2]))


def wanted(page) -> int:
    """Which of the four answers the listener gives, from 0."""
    one = asked(page)
    heard = HEARD[one.target]
    return {"both": 2, "none": 3}[heard] if heard in ("both", "none") else names(page).index(getattr(one, heard))


def plays(page):
    """Wait until it has begun to play, and see that it is the clip with these names."""
    page.evaluate("async () => { while (!heard[at]) await new Promise((done) => setTimeout(done, 20)); }")
    assert page.evaluate("audio.duration") == pytest.approx(len(asked(page).audio) / SR, abs=1e-3)


def check(written, path: Path):
    scored = listening.score(path, written.key)
    counts = {system: {outcome: share.count for outcome, share in found.items()} for system, found in scored.items()}
    assert counts == {"one": {"correct": 3, "wrong": 0, "both": 0, "none": 0},
                      "two": {"correct": 0, "wrong": 1, "both": 1, "none": 1}}


def test_a_pass_with_the_mouse_scores_as_the_listener_heard(page, written, tmp_path, screenshots):
    assert page.title() == "Strings & things" and "6 short sounds" in page.locator("#begin").inner_text()
    page.get_by_label("Your name").fill('Anna "A", B')
    page.get_by_role("button", name="Begin").click()
    for k in range(len(CLIPS)):
        assert page.get_by_role("progressbar", name=f"Sound {k + 1} of 6").get_attribute("value") == str(k)
        page.get_by_role("button", name="Next").click()
        assert page.get_by_role("status").inner_text() == "Play the sound first."
        page.get_by_role("button", name="Play the sound").click()
        plays(page)
        page.get_by_role("button", name="Next").click()
        assert page.get_by_role("status").inner_text() == "Choose an answer first."
        page.get_by_role("radio", name=names(page)[wanted(page)]).click()
        if k == 0:
            page.screenshot(path=screenshots / "listening.png")
        page.get_by_role("button", name="Next").click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the answers").click()
    test = files.read_json(written.key)["test"]
    assert re.fullmatch(rf"answers-{test}-Anna_A_B-\w+\.csv", saved.value.suggested_filename)
    saved.value.save_as(tmp_path / "answers.csv")
    check(written, tmp_path / "answers.csv")
    assert (tmp_path / "answers.csv").read_bytes().decode().startswith(
        f'test,listener,position,clip,answer\r\n"{test}","Anna ""A"", B-')
    copied = page.get_by_label("copy these lines").input_value()
    assert copied.splitlines() == (tmp_path / "answers.csv").read_text().splitlines()


def test_a_pass_with_keys_alone_and_a_change_of_mind(page, written, tmp_path):
    page.keyboard.press("Tab")  # to the name, and no further than Enter from there
    page.keyboard.press("Enter")
    for k in range(len(CLIPS)):
        assert page.evaluate("document.activeElement.id") == "play"
        page.keyboard.press("Enter" if k % 2 else "p")
        plays(page)
        page.keyboard.press("12341234"[wanted(page) + 1])  # something else at first
        page.keyboard.press("1234"[wanted(page)])
        assert page.locator(":checked").count() == 1 and page.evaluate("document.activeElement.type") == "radio"
        page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # back to the last one, which is as it was answered
    assert page.get_by_role("radio").nth(wanted(page)).is_checked()
    page.keyboard.press("4")
    page.keyboard.press("1234"[wanted(page)])
    page.keyboard.press("Enter")
    with page.expect_download() as saved:
        page.keyboard.press("Enter")
    saved.value.save_as(tmp_path / "answers.csv")
    check(written, tmp_path / "answers.csv")
    assert saved.value.suggested_filename.startswith(f"answers-{files.read_json(written.key)['test']}-listener-")


def test_listeners_hear_different_orders(page):
    orders = []
    for _ in range(4):
        orders.append(tuple(page.evaluate("clips.map((clip) => clip.id)")))
        page.reload()
    assert len(set(orders)) > 1 and all(sorted(order) == list("123456") for order in orders)


def test_who_leaves_with_answers_that_are_not_saved_is_asked(page):
    page.get_by_role("button", name="Begin").click()
    page.keyboard.press("p")
    plays(page)
    page.keyboard.press("1")
    said = []
    page.on("dialog", lambda dialog: (said.append(dialog.type), dialog.accept()))
    page.reload()
    assert said == ["beforeunload"]


#: Of all text that is seen: its contrast with what is behind it.
CONTRAST = """() => {
    const rgba = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const behind = (one) => {
        const colour = rgba(getComputedStyle(one).backgroundColor);
        return colour.length < 4 || colour[3] === 1 ? colour : behind(one.parentElement);
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (texts.nextNode()) {
        const one = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !one.checkVisibility()) continue;
        const [a, b] = [luminance(rgba(getComputedStyle(one).color)), luminance(behind(one))];
        found.push((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
    }
    return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_and_has_a_name(page, scheme):
    page.emulate_media(color_scheme=scheme)
    grounds = set()
    for part in ("begin", "ask", "end"):
        page.evaluate("part => { ask(); if (part === 'end') end(); page(part); }", part)
        ratios = page.evaluate(CONTRAST)
        assert len(ratios) >= 4 and min(ratios) > 4.5
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
        focusable = [node for node in nodes if not node["ignored"] and any(
            p["name"] == "focusable" and p["value"]["value"] for p in node.get("properties", []))]
        assert all(node["name"]["value"] for node in focusable)
        controls = [node for node in focusable if node["role"]["value"] != "RootWebArea"]
        assert len(controls) == {"begin": 2, "ask": 6, "end": 3}[part]
    assert len(grounds) == 1 and (grounds == {"rgb(255, 255, 255)"}) == (scheme == "light")


def test_a_notebook_leads_to_the_page(chromium, tmp_path):
    cell = """\
import numpy as np
from weaklib import listening

listening.write("out/test.html", [listening.Clip(np.ones(800), "one", "dog", "cat")], 8000)"""
    with lab.serving(tmp_path) as address:
        notebook = lab.Notebook(chromium(), address, lab.write(tmp_path / "listen.ipynb", cell))
        notebook.start()
        notebook.open()
        notebook.run_all()
        with notebook.page.expect_download() as saved:
            notebook.page.get_by_role("link", name="test.html").click()
        assert saved.value.suggested_filename == "test.html"
        assert Path(saved.value.path()).read_bytes() == (tmp_path / "out" / "test.html").read_bytes()
        assert notebook.errors == [] and notebook.outside == []
        notebook.page.close()
