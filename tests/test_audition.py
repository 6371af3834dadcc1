"""weaklib.audition: what is tried, what comes out, its scores, and what is heard and saved of it."""
import numpy as np
import pretty_midi
import pytest
import soundfile

import weaklib
from weaklib import audio, audition, corpora, inference, metrics, sonify, spectra
from weaklib.files import WeaklibError
from weaklib.papers import wisdom2021
from weaklib.specs import Separating

RNG = np.random.default_rng(0)
SR = 8000
A, B, NOISE = (RNG.standard_normal(SR).astype(np.float32) * level for level in (0.1, 0.05, 0.001))
SOUND = audition.Sound("two noises", (A + B)[None], SR, {"a": A, "b": B})


@pytest.fixture
def outputs(monkeypatch):
    """Make a separator give these outputs."""
    def use(**stems):
        stems = {name.replace("_", " "): x[None] for name, x in stems.items()}
        monkeypatch.setattr(inference, "separate", lambda *args, **kwargs: stems)
    return use


@pytest.fixture
def midi(monkeypatch):
    """Make a transcriptor give these notes of a piano."""
    def use(notes):
        found = pretty_midi.PrettyMIDI()
        found.instruments = [pretty_midi.Instrument(0, name="piano")]
        found.instruments[0].notes = [pretty_midi.Note(80, int(pitch), on, off) for on, off, pitch in notes]
        monkeypatch.setattr(inference, "transcribe", lambda *args, **kwargs: found)
    return use


# What is tried

def test_an_item_of_a_corpus_comes_with_all_that_is_known():
    item = corpora.load("band", "test", "smoke")[1]
    sound = audition.from_corpus("band", 1)
    assert sound.sr == 16000 and np.array_equal(sound.audio[0], item["mix"].numpy())
    assert list(sound.references) == list(sound.notes) == ["piano", "guitar", "bass"]
    assert np.array_equal(sound.references["bass"], item["sources"][2].numpy())
    assert np.array_equal(sound.notes["bass"], item["notes"][2].numpy())
    with pytest.raises(WeaklibError, match="from 0 to"):
        audition.from_corpus("band", 10_000)


def test_the_first_item_that_is_opened_holds_all_three_instruments():
    heard = audition.contents("band", "test", "smoke")
    assert heard[0] == ["piano"] and heard[3] == ["bass"]  # of what is silent there is a row, but no name
    first = audition.fullest(heard)
    assert heard[first] == ["piano", "guitar", "bass"] and max(map(len, heard[:first])) < 3
    sound = audition.from_corpus("band")
    assert sound.title == f"band, test {first}" and all(audio.rms(x) > 0.01 for x in sound.references.values())


def test_references_that_are_there_add_up_to_the_mixture_whatever_their_names():
    for index in range(4):
        sound = audition.from_corpus("sounds", index)
        np.testing.assert_allclose(sum(sound.references.values()), sound.audio[0], atol=1e-6)
    assert audition._distinct(["dog", "cat", "dog", "dog"]) == ["dog", "cat", "dog (2)", "dog (3)"]


def test_a_part_of_a_file(tmp_path):
    ramp = np.arange(3 * SR, dtype=np.float32) / (3 * SR)
    path = tmp_path / "ramp.wav"
    soundfile.write(path, np.stack([ramp, -ramp], 1), SR, subtype="FLOAT")
    sound = audition.from_file(path, 1, 0.5)
    assert sound.sr == SR and np.array_equal(sound.audio, np.stack([ramp, -ramp])[:, SR:SR * 3 // 2])
    assert audition.from_file(path, 2.5).audio.shape == (2, SR // 2)  # as much as there is
    for start in (3, 100):
        with pytest.raises(WeaklibError, match="lasts 3.0 s.*choose another part"):
            audition.from_file(path, start)


# What comes out

def test_outputs_without_names_are_put_in_the_order_of_the_references(outputs):
    outputs(output_1=B + NOISE, output_2=NOISE, output_3=A + 10 * NOISE)
    result = audition.separate(SOUND, "wisdom2020")
    assert list(result.stems) == ["output 3", "output 1", "output 2"]
    head, rows = audition.scores(SOUND, result)
    assert [row[:2] for row in rows] == [["a", "output 3"], ["b", "output 1"]]
    expected = [[metrics.si_sdr(x, ref) for x in (A + B, est)] for ref, est in [(A, A + 10 * NOISE), (B, B + NOISE)]]
    np.testing.assert_allclose(np.array([row[2:4] for row in rows], float), expected, atol=0.051)
    np.testing.assert_allclose(np.array([row[4] for row in rows], float), np.subtract(*np.transpose(expected)[::-1]),
                               atol=0.051)
    assert float(rows[1][3]) > 30


def test_the_quiet_outputs_are_added_up(outputs):
    outputs(output_1=NOISE, output_2=B, output_3=2 * NOISE, output_4=A)
    result = audition.separate(SOUND, "wisdom2020", n_outputs=2)
    assert list(result.stems) == ["output 4", "output 2", "the rest"]
    np.testing.assert_allclose(result.stems["the rest"][0], 3 * NOISE, rtol=1e-6)
    assert len(audition.scores(SOUND, result)[1]) == 2  # the rest is no candidate


def test_named_outputs_are_scored_against_their_namesakes_and_silence_is_not(outputs):
    outputs(b=A, a=B, c=NOISE)
    sound = audition.Sound("", (A + B)[None], SR, {"a": A, "b": B, "c": 0 * A})
    _, rows = audition.scores(sound, audition.separate(sound))
    assert [row[:2] for row in rows] == [["a", "a"], ["b", "b"]] and all(float(row[3]) < -10 for row in rows)


def test_the_score_of_a_source_that_is_alone_is_not_defined(outputs):
    outputs(a=A + NOISE, b=NOISE)
    sound = audition.Sound("", A[None], SR, {"a": A, "b": 0 * B})
    assert audition.scores(sound, audition.separate(sound))[1] == [["a", "a", *3 * ["not defined"]]]


def test_outputs_that_are_other_things_than_the_references_get_no_score(outputs):
    outputs(piano=A, bass=B)
    assert audition.scores(SOUND, audition.separate(SOUND))[1] == []


def test_the_score_of_a_transcription(midi):
    ref = np.array([[0, 0.5, 60], [0.5, 1, 64], [1, 2, 67], [2, 3, 72]])
    sound = audition.Sound("", RNG.standard_normal((1, 3 * SR)), SR, {}, {"piano": ref, "bass": ref})
    midi(ref)
    assert audition.scores(sound, audition.transcribe(sound))[1] == [["piano", "4", "4", "1.00", "1.00"]]
    midi([*ref[:3], [0.2, 1.2, 30]])  # 2 of 3 s are found, and 1 s beside them: F1 = 2 * 2 / (2 * 2 + 1 + 1)
    assert audition.scores(sound, audition.transcribe(sound))[1] == [["piano", "4", "4", "0.75", "0.67"]]


def test_the_shipped_separator_is_heard_as_weaklib_separate_gives_it():
    sound = audition.from_corpus("band", 2)
    result = audition.separate(sound)
    stems = weaklib.separate(sound.audio, sound.sr)
    assert result.title == "hung2021" and list(result.stems) == list(stems)
    assert all(np.array_equal(result.stems[name], stems[name]) for name in stems)
    gains = [float(after) - float(before) for _, _, before, after, _ in audition.scores(sound, result)[1]]
    assert len(gains) == 3 and np.mean(gains) > 4


@pytest.fixture
def asked(monkeypatch, outputs):
    """Make wisdom2021 a separator that is asked in words, with these outputs."""
    monkeypatch.setattr(wisdom2021, "SEPARATING", Separating("", SR, 800, 64, (), None, example="a dog"))
    return outputs


def test_what_was_asked_for_is_scored_against_the_reference_that_it_names(asked):
    asked(a_guitar=B, the_BASS_guitar=A, bass=NOISE, bassoon=NOISE, the_rest=NOISE)
    sound = audition.Sound("", (A + B)[None], SR, {"bass guitar": A, "guitar": B, "bass": 0 * A})
    queries = ["a guitar", "the BASS guitar", "bass", "bassoon"]
    result = audition.separate(sound, query=queries)
    assert result.title == 'wisdom2021, "a guitar", "the BASS guitar", "bass", "bassoon"'
    assert result.matches == {"bass guitar": "the BASS guitar", "guitar": "a guitar", "bass": "bass"}
    assert [row[:2] for row in audition.scores(sound, result)[1]] == [["bass guitar", "the BASS guitar"],
                                                                      ["guitar", "a guitar"]]
    assert result.again == {"method": "wisdom2021", "query": queries}


def test_the_level_of_what_was_asked_for_says_whether_it_is_there(asked):
    asked(one=A, other=0.01 * A, none=0 * A, the_rest=-A)
    sound = audition.Sound("", A[None], SR)
    head, rows = audition.levels(audition.separate(sound, query=["one", "other", "none"]))
    assert len(head) == 3  # all outputs together are 0.01 A
    assert rows == [["one", "40.0", ""], ["other", "0.0", ""], ["none", "silent", "probably not there"]]
    asked(one=0.01 * A, the_rest=0.99 * A)
    assert audition.levels(audition.separate(sound, query="one"))[1] == [["one", "-40.0", "probably not there"]]
    asked(one=0 * A, the_rest=0 * A)
    assert audition.levels(audition.separate(sound, query="one"))[1] == [["one", "silent", "probably not there"]]
    asked(a=A, b=B)
    assert audition.levels(audition.separate(sound, "hung2021"))[1] == []


def test_queries_that_no_file_name_holds_are_saved(asked, tmp_path):
    asked(**{"a/b?": A, "the_rest": B})
    paths = audition.save(SOUND, audition.separate(SOUND, query="a/b?"), tmp_path)
    folder = tmp_path / "wisdom2021-a-b"
    assert paths == [folder / "two-noises-a-b-.wav", folder / "two-noises-the rest.wav"]
    assert np.array_equal(audio.read(paths[0])[0][0], A)


# What is heard and saved

def test_a_scene_has_a_group_for_each_and_its_notes(outputs, midi):
    from weaklib.widgets import StemPlayer
    notes = np.array([[0.1, 0.9, 60]])
    sound = audition.Sound("", (A + B)[None], SR, {"a": A, "b": B}, {"a": notes, "b": notes[:0]})
    outputs(output_1=A, output_2=B)
    midi(notes)
    scene = audition.scene(sound, [audition.separate(sound, "wisdom2020"), audition.transcribe(sound)])
    assert scene["group"] == "hung2021, notes" and audition.scene(sound)["group"] == "mixture"
    assert scene["groups"] == {"mixture": ["mixture"], "references": ["a", "b"],
                               "wisdom2020": ["output 1, wisdom2020", "output 2, wisdom2020"],
                               "hung2021, notes": ["piano, hung2021, notes"]}
    assert list(scene["notes"]) == ["a", "piano, hung2021, notes"]
    played = scene["tracks"]["piano, hung2021, notes"]
    assert np.abs(played[:, :SR // 20]).max() < 1e-3 < 0.01 < np.abs(played[:, SR // 5:SR // 2]).max()
    assert StemPlayer(**scene).duration == 1


def test_pictures_show_what_an_output_lacks_and_has_too_much(outputs):
    from weaklib.widgets import StemPlayer
    t = np.arange(SR) / SR
    low, high = (np.sin(2 * np.pi * f * t).astype(np.float32) / 4 for f in (500, 3000))
    sound = audition.Sound("", (low + high)[None], SR, {"a": low, "b": high})
    outputs(output_1=0.1 * low + 0.001 * high, output_2=high)  # of a, it lacks 20 dB, and has of b, which is not in a
    scene = audition.scene(sound, [audition.separate(sound, "wisdom2020")], pictures=True)
    lacks, has = (scene["pictures"][what]["output 1, wisdom2020"] for what in ("missing", "too much"))
    rows = spectra.frequencies(SR, "cqt")
    row = lambda f: np.abs(rows - f).argmin()
    middle = lacks.shape[1] // 2
    assert 30 * lacks[row(500), middle] == pytest.approx(20, abs=0.1) and has[row(500), middle] == 0
    assert 30 * has[row(3000), middle] == pytest.approx(70 - 60, abs=0.1) and lacks[row(3000), middle] == 0
    assert not any(scene["pictures"][what]["output 2, wisdom2020"].any() for what in ("missing", "too much"))
    assert scene["scale"] == "cqt" and set(scene["pictures"]["mel"]) == set(scene["tracks"])
    player = StemPlayer(**scene)
    player.picture = "too much"


@pytest.mark.parametrize("index", [1, 2])
def test_a_transcription_is_as_loud_as_the_sound_within_a_decibel(index):
    sound = audition.from_corpus("band", index)
    result = audition.transcribe(sound)
    heard = sum(result.stems.values())
    assert audio.db(audio.rms(heard[0]) / audio.rms(sound.audio[0])) == pytest.approx(0, abs=1)
    unmatched = sum(sonify.notes(notes, sound.sr, heard.shape[-1]) for notes in result.notes.values())
    assert np.corrcoef(heard[0], unmatched)[0, 1] > 0.999  # one gain for all, or the balance would change


def test_tones_in_a_short_part_are_as_loud_as_that_part(midi):
    x = np.r_[A, 0.1 * A, A][None]
    midi([[1.2, 1.8, 69]])
    tones = audition.transcribe(audition.Sound("", x, SR)).stems["piano"][0]
    at = slice(int(1.2 * SR), int(1.8 * SR))
    assert audio.db(audio.rms(tones[at]) / audio.rms(x[0, at])) == pytest.approx(0, abs=0.1)
    midi([])
    assert not audition.transcribe(audition.Sound("", x, SR)).stems["piano"].any()


def test_frequencies_are_drawn_as_far_as_a_method_hears(outputs):
    outputs(output_1=np.zeros(44100, np.float32))
    sound = audition.Sound("", RNG.standard_normal((1, 44100)).astype(np.float32), 44100)
    result = audition.separate(sound, "wisdom2020")
    scene = audition.scene(sound, [result], pictures=True)
    assert scene["fmax"] == 4000 and audition.scene(sound)["fmax"] == 22050
    for scale in ("mel", "cqt"):
        assert spectra.frequencies(44100, scale, fmax=scene["fmax"])[-1] == pytest.approx(4000, rel=0.05)
    assert len(scene["pictures"]["mel"]["mixture"]) == len(spectra.frequencies(44100, "mel", fmax=4000))
    assert audition.scene(SOUND, [result])["fmax"] == SR / 2


def test_results_that_could_not_be_told_apart_are_refused(outputs):
    outputs(output_1=A, output_2=B)
    with pytest.raises(WeaklibError, match="Two results are called 'wisdom2020'"):
        audition.scene(SOUND, 2 * [audition.separate(SOUND, "wisdom2020")])


def test_a_recording_of_a_folder_has_no_references(tmp_path):
    for k in range(12):
        audio.write(tmp_path / f"{k}.wav", np.tile(A, 4), SR)
    sound = audition.from_corpus(f"folder:{tmp_path}", 0, "train")
    assert sound.references == sound.notes == {} and list(audition.scene(sound)["groups"]) == ["mixture"]


def test_any_file_becomes_playable(tmp_path):
    path = tmp_path / "six.wav"
    soundfile.write(path, RNG.uniform(-0.1, 0.1, (9600, 6)), 96000)
    soundfile.write(tmp_path / "low.wav", np.r_[A, A] * 0.1, 6000)
    assert audition.scene(audition.from_file(tmp_path / "low.wav"))["sr"] == 8000
    scene = audition.scene(audition.from_file(path))
    assert scene["sr"] == 48000 and scene["tracks"]["mixture"].shape == (1, 4800)
    assert list(scene["groups"]) == ["mixture"]


def test_stems_of_an_item_are_saved_as_heard(outputs, tmp_path):
    outputs(output_1=A, output_2=B)
    paths = audition.save(SOUND, audition.separate(SOUND, "wisdom2020", n_outputs=1), tmp_path / "new")
    assert [path.name for path in paths] == ["two-noises-output 1.wav", "two-noises-output 2.wav"]
    assert paths[0].parent == tmp_path / "new" / "wisdom2020-1-loudest"
    for path, x in zip(paths, (A, B)):
        saved, sr = audio.read(path)
        assert sr == SR and np.array_equal(saved[0], x)


def test_of_a_file_all_is_saved_and_not_just_the_part_that_was_heard(tmp_path):
    path = tmp_path / "song.wav"
    corpus = corpora.load("band", "test", "smoke")
    audio.write(path, np.concatenate([corpus[0]["mix"], corpus[1]["mix"]]), corpus.sr)
    sound = audition.from_file(path, 1, 2)
    stems = audition.save(sound, audition.separate(sound), tmp_path)
    assert {soundfile.info(stem).duration for stem in stems} == {8.0}
    [to] = audition.save(sound, audition.transcribe(sound), tmp_path)
    expected = inference.transcribe(*audio.read(path))
    got = pretty_midi.PrettyMIDI(str(to))
    assert [len(i.notes) for i in got.instruments] == [len(i.notes) for i in expected.instruments if i.notes]
    assert to.name == "song.mid" and got.get_end_time() > 4


def test_a_sound_that_is_not_of_its_kind_is_told_by_what_is_left_over():
    """The shipped separator of the band, on the band and on voices."""
    said = {name: [audition.strange(sound, audition.separate(sound, "hung2021")) for sound in (
        audition.from_corpus(name, index) for index in range(3))] for name in ("band", "talkers_16k")}
    assert said["band"] == ["", "", ""]
    assert all("leaves much over" in words and "never heard a sound of this kind" in words
               for words in said["talkers_16k"])
    voices = audition.from_corpus("talkers", 0)
    assert audition.strange(voices, audition.separate(voices, "wisdom2020")) == ""  # its outputs add up
