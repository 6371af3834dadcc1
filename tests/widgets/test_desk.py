"""The desk without a browser: what its controls do. In a browser it is tried in test_lab.py."""
import base64
import gc
import io
import re
import threading
import weakref
import zipfile

import numpy as np
import pytest
import soundfile
import torch

from weaklib import audition, corpora, experiment, inference, progress, runs, widgets
from weaklib.files import WeaklibError
from weaklib.papers import hung2021, wisdom2021
from weaklib.specs import Separating
from weaklib.widgets import desk

SR = 8000
X = np.random.default_rng(0).uniform(-0.1, 0.1, SR).astype(np.float32)


@pytest.fixture
def one(tmp_path):
    one = widgets.Desk(folder=tmp_path / "outputs")
    one.wait()
    return one


@pytest.fixture
def quick(monkeypatch):
    """Sounds and results that cost nothing."""
    monkeypatch.setattr(audition, "from_corpus", lambda name, index, split, preset: audition.Sound(
        f"{name} {index}", X[None], SR, {"voice": X}))
    monkeypatch.setattr(inference, "separate",
                        lambda x, sr, method, record=None, **_: {"output 1": x, "output 2": 0 * x})


def click(desk, button):
    button.click()
    desk.wait()


def test_separate_an_item_and_read_its_scores(one):
    one.corpus.value, one.item.value, one.does.value, one.method.value = "band", 1, "separate", "hung2021"
    click(one, one.run)
    assert one.player.group == "hung2021" and set(one.player._scene["groups"]) == {"mixture", "references", "hung2021"}
    _, rows = audition.scores(one.sound, one.results[0])
    assert len(rows) == 3
    for name, output, before, after, gain in rows:
        better = [f"<b>{x}</b>" if float(x) == max(float(before), float(after)) else x for x in (before, after)]
        assert "".join(f"<td>{cell}</td>" for cell in (name, output, *better, gain)) in one.scores.value
    assert not one.run.disabled and one.cancel.disabled and one.place.children == (one.player,)


def test_the_desk_opens_on_a_trio_and_names_items_by_what_plays(one):
    labels = dict((k, label) for label, k in one.item.options)
    assert labels[0] == "0: piano" and labels[one.item.value] == f"{one.item.value}: piano, guitar, bass"
    click(one, one.listen)
    assert one.sound.heard == ["piano", "guitar", "bass"]
    assert f"band, test {one.item.value}: piano, guitar, bass" in one.heading.value
    one.corpus.value = "talkers"
    one.wait()
    voices = corpora.load("talkers", "test", "smoke")[0]["labels"]
    assert one.item.value == 0 and one.item.label == f"0: {', '.join(voices)}"


def test_an_instrument_alone_gets_no_score(one):
    one.item.value = 0
    click(one, one.run)
    assert one.scores.value.count("<td>not defined</td>") == 3 and "Only piano sounds here" in one.scores.value
    assert "80.0" not in one.scores.value


def test_a_corpus_that_cannot_be_looked_through_is_told_and_a_file_still_goes(monkeypatch, tmp_path):
    def missing(*_):
        raise WeaklibError("FluidSynth is missing.")

    monkeypatch.setattr(audition, "contents", missing)
    one = widgets.Desk(folder=tmp_path)
    one.wait()
    assert "FluidSynth is missing." in one.status.value and not one.run.disabled and one.item.value is None
    soundfile.write(tmp_path / "own.wav", X, SR)
    one.source.value, one.path.value = desk.FILE, str(tmp_path / "own.wav")
    click(one, one.listen)
    assert one.player.duration == 1


def test_transcribe_with_a_threshold(one):
    one.corpus.value, one.item.value, one.does.value = "band", 1, "transcribe"
    click(one, one.run)
    one.threshold.value = 0.3
    click(one, one.run)
    assert [result.title for result in one.results] == ["hung2021, notes", "hung2021, notes at +0.3"]
    some, few = (sum(map(len, result.notes.values())) for result in one.results)
    assert few < some


def test_results_of_a_sound_stay_to_be_compared_and_leave_with_it(one, quick, monkeypatch):
    titles = iter("abcdef")
    monkeypatch.setattr(audition, "_title", lambda *args, **kwargs: next(titles))
    for _ in range(desk.KEPT + 1):
        click(one, one.run)
    assert [result.title for result in one.results] == ["b", "c", "d"] and one.player.group == "d"
    one.item.value = 2
    click(one, one.listen)
    assert one.sound.title.endswith("2") and one.results == [] and one.save.disabled and one.scores.value == ""


def test_the_same_again_replaces_itself(one, quick):
    for _ in range(2):
        click(one, one.run)
    assert len(one.results) == 1


def test_number_of_outputs_is_asked_for_where_they_have_no_names(one):
    one.does.value, one.method.value = "separate", "wisdom2020"
    assert one.n_outputs.layout.display == "" and one.n_outputs.max == 4 and one.threshold.layout.display == "none"
    one.method.value = "hung2021"
    assert one.n_outputs.layout.display == "none"
    one.does.value = "transcribe"
    assert one.threshold.layout.display == "" and one.run.description == "Transcribe"


@pytest.fixture
def queried(monkeypatch, tmp_path):
    """A desk with a method that is asked in words: it finds "a voice", and of all else a thousandth."""
    monkeypatch.setattr(wisdom2021, "SEPARATING", Separating(
        "", SR, 2000, 64, (), lambda network, x, query: x * (0.5 if "voice" in query else 0.001), example="a dog"))
    monkeypatch.setattr(experiment.Experiment, "network", lambda self, record=None: torch.nn.Identity())
    one = widgets.Desk(folder=tmp_path / "outputs")
    one.wait()
    one.source.value, one.path.value = desk.FILE, str(tmp_path / "own.wav")
    soundfile.write(tmp_path / "own.wav", X, SR)
    one.does.value = "separate"
    return one


def test_there_is_a_box_for_a_query_where_a_method_takes_one(queried):
    shown = []
    for method in ("hung2021", "wisdom2021", "wisdom2020"):
        queried.method.value = method
        shown.append((queried.query.layout.display, queried.n_outputs.layout.display))
    assert shown == [("none", "none"), ("", "none"), ("none", "")]
    queried.method.value = "wisdom2021"
    assert queried.query.placeholder == "a dog" and desk.ASK in queried.about.value
    queried.does.value = "transcribe"
    assert queried.query.layout.display == "none" and desk.ASK not in queried.about.value


def test_ask_for_two_sounds_and_learn_that_one_is_not_there(queried):
    queried.method.value, queried.query.value = "wisdom2021", " a voice;a dog; "
    click(queried, queried.run)
    [result] = queried.results
    assert list(result.stems) == ["a voice", "a dog", "the rest"]
    np.testing.assert_allclose(result.stems["a voice"][0], (X - X.mean()) / 2, atol=1e-3)
    assert queried.player.group == result.title == 'wisdom2021, "a voice", "a dog"'
    assert "<td>a voice</td><td>-6.0</td><td></td>" in queried.scores.value
    assert "<td>a dog</td><td>-60.0</td><td>probably not there</td>" in queried.scores.value
    queried.query.value = "a voice"
    click(queried, queried.run)
    assert [one.title for one in queried.results] == [result.title, 'wisdom2021, "a voice"']
    click(queried, queried.save)
    [folder] = queried.folder.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["own-a voice.wav", "own-the rest.wav"]


def test_without_a_query_the_desk_says_what_to_do(queried):
    queried.method.value, queried.query.value = "wisdom2021", " ; "
    click(queried, queried.run)
    assert "wisdom2021 has to be asked in words; give a query, such as &quot;a dog&quot;." in queried.status.value
    queried.method.value = "hung2021"  # which is not asked what is still in the box
    assert "query" not in queried._asked().keywords


def test_an_own_file_by_its_path(one, tmp_path):
    path = tmp_path / "own.wav"
    soundfile.write(path, np.tile(X, 3), SR)
    one.source.value, one.path.value, one.start.value, one.seconds.value = desk.FILE, str(path), 1, 1.5
    one.does.value, one.method.value, one.n_outputs.value = "separate", "wisdom2020", 2
    click(one, one.run)
    assert one.player.duration == 1.5 and list(one.results[0].stems)[-1] == audition.REST
    click(one, one.save)
    [folder] = one.folder.iterdir()
    assert len([*folder.iterdir()]) == 4 and {soundfile.info(path).duration for path in folder.iterdir()} == {3.0}
    assert str(folder) in one.status.value and "own-output 1.wav" in one.status.value
    soundfile.write(path, np.tile(X, 2), SR)  # the same path with another sound is another file
    click(one, one.listen)
    assert one.player.duration == 1 and one.results == []


def test_of_mixture_and_output_the_better_one_is_bold():
    head = ["source", "output", *audition.COMPARED, "improvement, dB"]
    rows = [["a", "x < y", "-3.4", "-10.2", "-6.8"], ["b", "y", "9.9", "10.1", "+0.2"],
            ["c", "z", "1.0", "1.0", "+0.0"], ["d", "z", *3 * [audition.UNDEFINED]]]
    told = desk._table("a method", head, rows)
    assert "<td>x &lt; y</td><td><b>-3.4</b></td><td>-10.2</td>" in told and told.count("<b>") == 2
    assert "<td>9.9</td><td><b>10.1</b></td><td>+0.2</td>" in told and "<th>improvement, dB</th>" in told


def test_part_by_part_through_a_file_until_its_end(one, tmp_path):
    path = tmp_path / "own.wav"
    soundfile.write(path, np.concatenate([X, X / 2, X[:SR // 2] / 4]), SR)
    assert one.next.disabled
    one.source.value, one.path.value, one.seconds.value = desk.FILE, str(path), 1
    click(one, one.listen)
    heard = [np.abs(one.sound.audio).max()]
    for start, seconds in ((1, 1), (2, 0.5)):
        click(one, one.next)
        heard.append(np.abs(one.sound.audio).max())
        assert (one.start.value, one.player.duration) == (start, seconds) and f"from {start} s" in one.heading.value
    assert heard == pytest.approx([heard[0], heard[0] / 2, heard[0] / 4], rel=0.05)
    click(one, one.next)  # behind the end
    assert 'role="alert"' in one.status.value and one.start.value == 2 and one.player.duration == 0.5
    one.source.value = desk.CORPUS
    click(one, one.listen)
    assert one.next.disabled


@pytest.mark.parametrize("content, message", [(None, "There is no file yet"), (b"<html>", "cannot be read as audio")])
def test_what_goes_wrong_is_a_sentence_and_the_desk_goes_on(one, quick, tmp_path, content, message):
    one.source.value = desk.FILE
    if content:
        (tmp_path / "page.wav").write_bytes(content)
        one.path.value = str(tmp_path / "page.wav")
    click(one, one.run)
    assert message in one.status.value and 'role="alert"' in one.status.value and one.results == []
    one.source.value = desk.CORPUS
    click(one, one.run)
    assert len(one.results) == 1 and "alert" not in one.status.value


@pytest.mark.parametrize("seconds", [200, 0, -1])
def test_a_length_that_does_not_go_is_told_and_not_changed(one, tmp_path, seconds):
    soundfile.write(tmp_path / "own.wav", X, SR)
    one.source.value, one.path.value, one.seconds.value = desk.FILE, str(tmp_path / "own.wav"), seconds
    click(one, one.listen)
    assert f"{seconds} s cannot be on the desk" in one.status.value and one.seconds.value == seconds
    assert one.seconds.description == "Length (s, at most 60)" and one.player is None


def test_an_upload_that_is_no_sound_is_called_by_its_name(one, tmp_path):
    (tmp_path / "page.wav").write_bytes(b"<html>")
    one.source.value, one.upload.path = desk.FILE, str(tmp_path / "page.wav")
    click(one, one.listen)
    assert ">page.wav cannot be read as audio" in one.status.value and str(tmp_path) not in one.status.value


def test_cancel_ends_the_work_and_what_was_there_stays(one, quick, monkeypatch):
    click(one, one.run)
    before, began = one.player, threading.Event()

    def forever(*args, **kwargs):
        for _ in progress.track(iter(int, 1), "working", total=1000):
            began.set()

    monkeypatch.setattr(inference, "separate", forever)
    one.run.click()
    assert began.wait(60) and one.run.disabled and not one.cancel.disabled
    one.run.click()  # does nothing: one piece of work at a time
    one.cancel.click()
    one.wait()
    assert "Cancelled" in one.status.value and one.player is before and len(one.results) == 1 and not one.run.disabled


def test_a_bug_is_told_too(one, quick, monkeypatch, capsys):
    monkeypatch.setattr(inference, "separate", lambda *args, **kwargs: 1 / 0)
    click(one, one.run)
    assert "ZeroDivisionError" in one.status.value and "Traceback" in capsys.readouterr().err
    assert not one.run.disabled


def test_a_separation_and_a_transcription_are_two_results(one):
    one.item.value = 2
    click(one, one.run)
    one.does.value = "transcribe"
    click(one, one.run)
    assert [result.title for result in one.results] == ["hung2021", "hung2021, notes"]
    assert one.player.group == "hung2021, notes" and one.scores.value.count("<caption>") == 2
    click(one, one.listen)
    assert one.player.group == "mixture" and len(one.results) == 2


def test_what_a_click_asks_for_is_what_was_chosen_then(one, quick, monkeypatch):
    go = threading.Event()

    def slow(name, index, split, preset):
        go.wait(60)
        return audition.Sound(f"{name} {index}", X[None], SR)

    monkeypatch.setattr(audition, "from_corpus", slow)
    one.does.value, one.method.value = "separate", "wisdom2020"
    one.run.click()
    one.does.value, one.item.value = "transcribe", 5
    go.set()
    one.wait()
    assert [(result.does, result.title) for result in one.results] == [("separate", "wisdom2020")]
    assert one.sound.title.endswith(" 1")


def test_a_result_that_fails_leaves_what_was_there(one, quick, monkeypatch):
    click(one, one.run)
    sound, player, results = one.sound, one.player, one.results
    monkeypatch.setattr(inference, "separate", lambda *args, **kwargs: 1 / 0)
    one.item.value = 3
    click(one, one.run)
    assert (one.sound, one.player, one.results) == (sound, player, results)


def test_results_leave_when_the_page_cannot_hold_them(one, quick, monkeypatch):
    monkeypatch.setattr(desk, "MAX_MB", 2e-6 * SR * 7)  # the sound, its reference, and two results of two outputs
    titles = iter("abc")
    monkeypatch.setattr(audition, "_title", lambda *args, **kwargs: next(titles))
    for expected in ("a", "ab", "bc"):
        click(one, one.run)
        assert "".join(result.title for result in one.results) == expected


def test_players_that_are_gone_are_forgotten_with_their_sound(one, quick):
    gone = []
    for item in range(3):
        one.item.value = item
        click(one, one.listen)
        gone.append(weakref.ref(one.player))
    gc.collect()
    assert [ref() for ref in gone] == [None, None, one.player]


def test_models_trained_here_can_be_chosen_and_left(monkeypatch, tmp_path):
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    cfg = experiment.load("hung2021").config("supervised", "smoke")
    record = runs.get(cfg, lambda *_: ({"score": [0.0]}, [], hung2021.build(cfg)))
    one = widgets.Desk()
    assert [label for label, _ in one.model.options] == [desk.SHIPPED, record.id]
    for index, expected in [(1, record), (0, None), (1, record)]:
        one.model.index = index
        assert one._asked().keywords["record"] == expected


def test_an_upload_takes_the_place_of_a_path(one):
    one.path.value = "somewhere.wav"
    one.upload.path = "/elsewhere.wav"
    assert one.path.value == ""


def test_what_is_saved_can_be_downloaded_unless_it_is_too_large(one, quick, monkeypatch, tmp_path):
    click(one, one.run)
    click(one, one.save)
    name, data = re.search('download="([^"]+)" href="data:[^,]+,([^"]+)">Download ', one.download.value).groups()
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(data))) as archive:
        stems = {stem: archive.read(stem) for stem in archive.namelist()}
    saved = {path.name: path.read_bytes() for path in (tmp_path / "outputs" / "hung2021").iterdir()}
    assert name == "hung2021.zip" and stems == saved and len(saved) == 2
    click(one, one.listen)
    assert one.download.value == ""
    monkeypatch.setattr(desk, "MAX_MB", 1e-6)
    click(one, one.save)
    assert one.download.value == "" and "Saved in" in one.status.value


def test_what_a_method_leaves_over_is_a_track_of_its_result(one, quick, monkeypatch):
    click(one, one.run)
    assert len(one.player._scene["groups"]["hung2021"]) == 2  # they add up
    monkeypatch.setattr(inference, "separate", lambda x, *args, **kwargs: {"output 1": 0.25 * x, "output 2": 0.5 * x})
    click(one, one.run)
    left = audition.rest(one.sound, one.results[-1])
    np.testing.assert_allclose(left[audition.REST], 0.25 * X[None], rtol=1e-6)
    titles = [one.player._scene["tracks"][k]["title"] for k in one.player._scene["groups"]["hung2021"]]
    assert titles[-1] == f"{audition.REST}, hung2021"
