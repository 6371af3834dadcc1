"""weaklib.listening without a browser: what a page holds and hides, and what answers come to."""
import base64
import csv
import io
import json
import re

import numpy as np
import pytest
import soundfile

from weaklib import files, listening
from weaklib.files import WeaklibError
from weaklib.listening import Clip

SR = 8000
X = np.random.default_rng(0).uniform(-0.5, 0.5, SR // 4).astype(np.float32)
PAIRS = [("violin", "piano"), ("dog", "rain"), ("tuba", "flute"), ("cello", "banjo")]
CLIPS = [Clip(X * level, system, *pair) for system, level in (("proposed", 1), ("baseline", 0.1)) for pair in PAIRS]


@pytest.fixture
def written(tmp_path):
    return listening.write(tmp_path / "test.html", CLIPS, SR)


def shown(written) -> dict:
    """What the page holds."""
    return json.loads(re.search(r'id="test">(.*?)</script>', written.page.read_text(), re.S)[1])


def answered(written, path, say, listener="anna", **changed):
    """Write the file of a listener who answers what `say` says of a clip: right, other, both or none."""
    known = files.read_json(written.key)
    with open(path, "w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, listening.COLUMNS)
        writer.writeheader()
        for position, (clip, about) in enumerate(known["clips"].items(), 1):
            letters = {"right": about["answer"], "other": "AB".replace(about["answer"], "")}
            writer.writerow({"test": known["test"], "listener": listener, "position": position, "clip": clip,
                             "answer": letters.get(say(about), say(about))} | changed)
    return path


# The page

def test_the_page_does_not_tell_what_is_right(written):
    page = shown(written)
    known = files.read_json(written.key)
    assert written.key.name == "test.key.json" and page.keys() == {"test", "clips"} and page["test"] == known["test"]
    assert all(clip.keys() == {"id", "names", "audio"} for clip in page["clips"])
    assert not re.search("proposed|baseline|correct", re.sub('"audio": "[^"]*"', "", written.page.read_text()))
    for clip in page["clips"]:
        about = known["clips"][clip["id"]]
        assert clip["names"]["AB".index(about["answer"])] == about["target"]
        assert sorted(clip["names"]) == sorted([about["target"], about["other"]])


def test_neither_the_place_nor_the_number_of_a_clip_gives_it_away(tmp_path):
    many = [Clip(X[:50], system, "a", "b") for system in ("one", "two") for _ in range(200)]
    known = files.read_json(listening.write(tmp_path / "test.html", many, SR).key)["clips"]
    first = [about["answer"] == "A" for about in known.values()]
    early = [about["system"] == "one" for about in list(known.values())[:200]]
    assert 160 < sum(first) < 240 and 70 < sum(early) < 130


def test_sounds_are_the_clips_with_one_gain(written):
    known = files.read_json(written.key)["clips"]
    for clip in shown(written)["clips"]:
        x, sr = soundfile.read(io.BytesIO(base64.b64decode(clip["audio"])), dtype="float32")
        level = {"proposed": 1, "baseline": 0.1}[known[clip["id"]]["system"]]
        assert sr == SR and np.abs(x - level * 0.9 / np.abs(X).max() * X).max() < 1e-4


def test_the_same_test_is_written_again_and_another_seed_makes_another(written, tmp_path):
    before = written.page.read_bytes(), written.key.read_bytes()
    assert listening.write(written.page, CLIPS, SR) == written
    assert (written.page.read_bytes(), written.key.read_bytes()) == before
    other = listening.write(tmp_path / "other.html", CLIPS, SR, seed=1)
    assert files.read_json(other.key)["test"] != files.read_json(written.key)["test"]


def test_any_words_are_shown_as_they_are(tmp_path):
    names = "</script><b>", 'a "dog" & cat'
    written = listening.write(tmp_path / "x.html", [Clip(X, "s", *names)], SR, title="<Which> & what?")
    assert sorted(shown(written)["clips"][0]["names"]) == sorted(names)
    assert "<title>&lt;Which&gt; &amp; what?</title>" in written.page.read_text()


def test_stereo_and_silence_can_be_played(tmp_path):
    written = listening.write(tmp_path / "x.html", [Clip(np.zeros((2, 100)), "s", "a", "b")], SR)
    x, _ = soundfile.read(io.BytesIO(base64.b64decode(shown(written)["clips"][0]["audio"])))
    assert x.shape == (100, 2) and not x.any()


def test_a_notebook_has_a_link_to_the_page_and_none_to_the_key(written, monkeypatch, tmp_path):
    (tmp_path / "book").mkdir()
    monkeypatch.chdir(tmp_path / "book")
    text = written._repr_html_()
    assert re.findall('href="(.*?)" download', text) == ["../test.html"] and text.count("<a ") == 1


@pytest.mark.parametrize("name, clips, sr, says", [
    ("x.html", [], SR, "no clip"), ("x.htm", CLIPS, SR, "ends in .html"), ("x.html", CLIPS, 6000, "resample"),
    ("x.html", [Clip(X, "s", "a", "a")], SR, "two names"), ("x.html", [Clip(X, "s", "", "a")], SR, "two names"),
    ("x.html", [Clip(np.zeros((3, 9)), "s", "a", "b")], SR, "one or two channels"),
    ("x.html", [Clip(X[:0], "s", "a", "b")], SR, "shape"), ("x.html", [Clip(X * np.nan, "s", "a", "b")], SR, "finite")])
def test_what_cannot_be_asked_is_refused_and_nothing_is_written(tmp_path, name, clips, sr, says):
    with pytest.raises(WeaklibError, match=says) as error:
        listening.write(tmp_path / name, clips, sr)
    assert str(error.value).endswith(".") and not list(tmp_path.iterdir())


# The answers

def test_answers_are_scored_per_system(written, tmp_path):
    by_target = {"violin": "right", "dog": "other", "tuba": "both", "cello": "none"}
    anna = answered(written, tmp_path / "a.csv", lambda about: "right" if about["system"] == "proposed"
                    else by_target[about["target"]])
    bert = answered(written, tmp_path / "b.csv", lambda about: "other" if about["target"] == "dog" else "right", "bert")
    scored = listening.score([anna, bert], written.key)
    percent = {system: {outcome: share.percent for outcome, share in found.items()} for system, found in scored.items()}
    assert percent == {"proposed": {"correct": 87.5, "wrong": 12.5, "both": 0, "none": 0},
                       "baseline": {"correct": 50, "wrong": 25, "both": 12.5, "none": 12.5}}
    assert scored["proposed"]["correct"][3:] == (7, 8) and list(scored) == ["proposed", "baseline"]
    head, rows = listening.table(listening.score(anna, written.key))
    assert head == ["system", "correct, %", "wrong, %", "both, %", "none, %", "judgments"]
    assert rows[0] == ["proposed", "100.0 (51.0 to 100.0)", *3 * ["0.0 (0.0 to 49.0)"], "4"]


def test_an_interval_is_wilsons():
    z = 1.959964
    for count, n in ((0, 9), (7, 12), (600, 600), (413, 600)):
        share = listening.tally(["correct"] * count + ["none"] * (n - count))["correct"]
        p = count / n
        middle = (p + z ** 2 / (2 * n)) / (1 + z ** 2 / n)
        half = z / (1 + z ** 2 / n) * np.sqrt(p * (1 - p) / n + z ** 2 / (4 * n ** 2))
        np.testing.assert_allclose(share, [100 * p, 100 * (middle - half), 100 * (middle + half), count, n], atol=1e-4)


def test_a_file_that_went_through_a_spreadsheet_is_read(written, tmp_path):
    path = answered(written, tmp_path / "a.csv", lambda about: "right")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\n", b"\n"))
    assert listening.score(str(path), str(written.key))["proposed"]["correct"].percent == 100


def test_files_that_are_refused(written, tmp_path):
    right = lambda about: "right"
    good = answered(written, tmp_path / "good.csv", right)
    other = listening.write(tmp_path / "other.html", CLIPS, SR, seed=1)
    (tmp_path / "no.csv").write_text("a,b\n1,2\n")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    mine, gone = written.key, tmp_path / "gone"
    for answers, key, says in [
            (good, other.key, "answers another test"), ([good, good], mine, "an answer of anna that is there"),
            (tmp_path / "no.csv", mine, "no file of answers"), (gone, mine, "cannot be read"),
            (tmp_path / "bytes.csv", mine, "cannot be read"), (good, gone, "missing or damaged"),
            (answered(written, tmp_path / "x.csv", right, answer="C"), mine, "'C', which the page does not offer"),
            (answered(written, tmp_path / "y.csv", right, clip="99"), mine, "answers another test")]:
        with pytest.raises(WeaklibError, match=says) as error:
            listening.score(answers, key)
        assert str(error.value).endswith(".")
    files.write_json(tmp_path / "wrong.json", [1])
    with pytest.raises(WeaklibError, match="no key of a listening test"):
        listening.score(good, tmp_path / "wrong.json")


# The proxy

def test_a_classifier_answers_by_what_it_hears():
    target, other = [0.9, 0.1, 0.4, 0.1, 0.2], [0.05, 0.8, 0.3, 0.1, 0.1999]
    assert listening.proxy(target, other) == ["correct", "wrong", "both", "none", "correct"]
    assert listening.proxy(target, other, threshold=0.35) == ["correct", "wrong", "correct", "none", "none"]
    assert listening.tally(listening.proxy(target, other))["correct"].percent == 40


@pytest.mark.parametrize("target, other, says", [
    ([0.1, 0.2], [0.1], "same clips"), ([[0.1]], [[0.1]], "same clips"), ([1.1], [0.0], "between 0 and 1"),
    ([np.nan], [0.0], "between 0 and 1"), ([0.5], [-3.0], "between 0 and 1")])
def test_what_is_no_probability_is_refused(target, other, says):
    with pytest.raises(WeaklibError, match=says):
        listening.proxy(target, other)


@pytest.mark.parametrize("outcomes", [[], ["right"]])
def test_what_is_no_outcome_is_refused(outcomes):
    with pytest.raises(WeaklibError, match="Outcomes are correct, wrong, both, none"):
        listening.tally(outcomes)
