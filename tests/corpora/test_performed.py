"""The readers of MAESTRO, GuitarSet and MusicNet-EM, on small folders of the true layouts: what is written is read."""
import csv
import json

import numpy as np
import pretty_midi
import pytest
import soundfile

from weaklib import corpora
from weaklib.corpora import load
from weaklib.files import WeaklibError

SR, RATE = 16000, 50


@pytest.fixture
def data(tmp_path, monkeypatch):
    """An empty WEAKLIB_DATA."""
    monkeypatch.setenv("WEAKLIB_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def sound(path, seconds=6.0, sr=SR, seed=0, channels=1):
    """Write noise of 16 bits, and return it as numbers from -1 to 1, made mono."""
    x = np.random.default_rng(seed).integers(-6000, 6001, (round(seconds * sr), channels)) / 2 ** 15
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, x, sr)
    return x.mean(axis=1)


def midi(path, pedal=(), **programs):
    """Write notes (onset, offset, pitch) of instruments by program, as ``p0=[...]``, and values of the pedal."""
    score = pretty_midi.PrettyMIDI()
    for name, notes in programs.items():
        inst = pretty_midi.Instrument(int(name[1:]))
        inst.notes = [pretty_midi.Note(80, pitch, onset, offset) for onset, offset, pitch in notes]
        inst.control_changes = [pretty_midi.ControlChange(64, value, time) for time, value in pedal]
        score.instruments.append(inst)
    path.parent.mkdir(parents=True, exist_ok=True)
    score.write(str(path))


def marked(roll):
    """Pitch -> the stretches of frames, each up to and without its last, in which a roll (88, frame) has it."""
    edges = np.diff(np.pad(roll.astype(int), ((0, 0), (1, 1))))
    return {row + 21: list(zip(np.flatnonzero(edge > 0).tolist(), np.flatnonzero(edge < 0).tolist()))
            for row, edge in enumerate(edges) if edge.any()}


def refused(name, split, says):
    with pytest.raises(WeaklibError, match=says) as error:
        load(name, split, "paper")
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


# MAESTRO

#: The pedal goes down at 1 s, up at 3 s; down again at 4 s, and a value of 63 lets it go at 5 s.
PEDAL = ((1.0, 127), (3.0, 0), (4.0, 64), (5.0, 63))
#: 60: let go before the pedal is down. 62: let go under the pedal. 64: struck again under the pedal. 108: held beyond
#: the pedal. 21: let go under the second pedal. 20 and 109 are no keys of a piano, and 70 is after the end.
NOTES = [(0.5, 0.9, 60), (1.2, 1.5, 62), (1.2, 1.4, 64), (2.0, 2.2, 64), (2.5, 3.5, 108), (4.1, 4.3, 21),
         (1.0, 2.0, 20), (1.0, 2.0, 109), (6.5, 6.8, 70)]
KEYS = {60: [(25, 45)], 62: [(60, 75)], 64: [(60, 70), (100, 110)], 108: [(125, 175)], 21: [(205, 215)]}
HELD = {60: [(25, 45)], 62: [(60, 150)], 64: [(60, 150)], 108: [(125, 175)], 21: [(205, 250)]}


def maestro(root, version="v2.0.0"):
    """Make a small MAESTRO: two pieces of train, one of each of the others; the first is that of `NOTES`."""
    root = root / f"maestro-{version}"
    written, rows = {}, []
    for k, (split, year) in enumerate((("train", 2004), ("test", 2018), ("train", 2006), ("validation", 2004))):
        stem = f"{year}/piece_{k}--{k}"
        written[k] = sound(root / f"{stem}.wav", seed=k, channels=2)
        midi(root / f"{stem}.midi", PEDAL if k == 0 else (), p0=NOTES if k == 0 else [(1.0, 2.0, 60 + k)])
        rows.append({"canonical_composer": "A. Nobody", "canonical_title": f"Étude, {k}", "split": split, "year": year,
                     "midi_filename": f"{stem}.midi", "audio_filename": f"{stem}.wav", "duration": 6.0})
    with open(root / f"maestro-{version}.csv", "w", encoding="utf-8", newline="") as f:
        table = csv.DictWriter(f, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return written


@pytest.mark.parametrize("name, version, above", [("maestro", "v2.0.0", ""), ("maestro_v3", "v3.0.0", "unpacked")])
def test_maestro_is_read_by_its_table(data, name, version, above):
    written = maestro(data / above, version)
    for split, pieces in (("train", (0, 2)), ("validation", (3,)), ("test", (1,))):
        corpus = load(name, split, "paper")
        assert corpus.pieces == len(corpus) == len(pieces) and corpus.classes == ("piano",)
        assert [song["title"] for song in corpus.songs] == [f"Étude, {k}" for k in pieces]
        for i, k in enumerate(pieces):
            assert np.allclose(corpus.audio(i), written[k], atol=1e-6) and corpus.roll(i).shape == (1, 88, 301)
            assert k == 0 or marked(corpus.roll(i)[0]) == {60 + k: [(50, 100)]}
            item = corpus[i]
            assert np.array_equal(item["mix"].numpy(), corpus.audio(i)[:81920]) and item["labels"] == ["piano"]
            assert np.array_equal(item["roll"].numpy()[..., :256] > 0, corpus.roll(i)[..., :256])


def test_a_pedal_holds_notes_until_it_is_released_or_their_key_is_struck_again(data):
    """As counted by hand, at 50 frames a second."""
    maestro(data)
    assert marked(load("maestro", "train", "paper", pedal=False).roll(0)[0]) == KEYS
    assert marked(load("maestro", "train", "paper").roll(0)[0]) == HELD
    assert load("maestro", "train", "paper").identity["pedal"] is True


def test_another_rate_is_resampled_and_keeps_its_time(data):
    maestro(data)
    t = np.arange(round(6 * 44100)) / 44100
    soundfile.write(data / "maestro-v2.0.0/2018/piece_1--1.wav", 0.3 * np.sin(2 * np.pi * 500 * t), 44100)
    heard = load("maestro", "test", "paper").audio(0)
    assert len(heard) == 6 * SR
    expected = 0.3 * np.sin(2 * np.pi * 500 * np.arange(6 * SR) / SR)
    assert np.abs(heard - expected)[1000:-1000].max() < 1e-3


def test_a_changed_score_is_read_again(data):
    maestro(data)
    assert marked(load("maestro", "test", "paper").roll(0)[0]) == {61: [(50, 100)]}
    midi(data / "maestro-v2.0.0/2018/piece_1--1.midi", p0=[(1.0, 2.0, 61), (3.0, 4.0, 72)])
    assert marked(load("maestro", "test", "paper").roll(0)[0]) == {61: [(50, 100)], 72: [(150, 200)]}


def test_what_maestro_lacks_is_named(data):
    refused("maestro", "train", "has no maestro-v2.0.0/maestro-v2.0.0.csv: unpack maestro-v2.0.0.zip")
    maestro(data)
    (data / "maestro-v2.0.0/2006/piece_2--2.wav").unlink()
    refused("maestro", "train", "1 of its files are not there, .*piece_2--2.wav for one: unpack")
    assert load("maestro", "test", "paper").pieces == 1
    (data / "maestro-v2.0.0/maestro-v2.0.0.csv").write_text("split,year\ntrain,2004\n")
    refused("maestro", "train", "has no column audio_filename: unpack")


# GuitarSet

def guitarset(root):
    """Make a small GuitarSet: two strings with notes of their own; a pitch is a fraction off its semitone."""
    notes = {"00_BN1-129-Eb_comp": (0, 2), "03_SS2-88-F_solo": (1, 1), "05_Jazz3-150-C#_comp": (2, 0)}
    written = {}
    for name, (k, _) in notes.items():
        written[name] = sound(root / f"audio_mono-mic/{name}_mic.wav", seed=k)
        strings = [[{"time": 1.0, "duration": 0.5, "value": 40.3 + k, "confidence": None}], [
            {"time": 1.2, "duration": 1.0, "value": 44.8 + k, "confidence": None},
            {"time": 1.4, "duration": 0.2, "value": 40.0 + k, "confidence": None}], [], [], [], []]
        body = [{"namespace": "pitch_contour", "data": {"time": [0.0], "value": [{"frequency": 82.4}]}}]
        body += [{"namespace": "note_midi", "data": data} for data in strings]
        (root / "annotation").mkdir(exist_ok=True)
        (root / f"annotation/{name}.jams").write_text(json.dumps({"annotations": body, "file_metadata": {}}))
    return written


@pytest.mark.parametrize("folder", ["GuitarSet", "more/guitarset"])
def test_guitarset_is_parted_by_progressions(data, folder):
    written = guitarset(data / folder)
    corpus = load("guitarset", "train", "paper")
    assert [song["name"] for song in corpus.songs] == ["00_BN1-129-Eb_comp", "03_SS2-88-F_solo"]
    assert corpus.songs[1] == {"name": "03_SS2-88-F_solo", "player": "03", "style": "SS", "progression": 2,
                               "mode": "solo", "samples": 96000}
    assert np.allclose(corpus.audio(1), written["03_SS2-88-F_solo"], atol=1e-6)
    test = load("guitarset", "test", "paper")
    assert [song["name"] for song in test.songs] == ["05_Jazz3-150-C#_comp"]
    # The two strings sound one pitch, from 1.0 to 1.5 and from 1.4 to 1.6 s.
    assert marked(test.roll(0)[0]) == {42: [(50, 80)], 47: [(60, 110)]}
    refused("guitarset", "validation", "guitarset has no validation split: progressions 1 and 2 are train")


def test_what_guitarset_lacks_is_named(data):
    refused("guitarset", "test", "has no GuitarSet/annotation: unpack annotation.zip and audio_mono-mic.zip")
    guitarset(data / "GuitarSet")
    (data / "GuitarSet/annotation/05_Jazz3-150-C#_comp.jams").write_text("{}")
    refused("guitarset", "test", "05_Jazz3-150-C#_comp.jams is not an annotation: unpack")
    (data / "GuitarSet/audio_mono-mic/03_SS2-88-F_solo_mic.wav").unlink()
    refused("guitarset", "train", "1 of its files are not there, .*03_SS2-88-F_solo_mic.wav for one")


# MusicNet-EM and the Gardner Museum

TEST = [1759, 1819, 2106, 2191, 2298, 2303, 2382, 2416, 2556, 2628]
HELD_OUT = [2127, 2131, 2148, 2149, 2169]
FEW, COVER, REST = [2150, 2151, 2168], [2078, 2148, 2282], [1727, 2500]


def musicnet(root):
    """Make a small MusicNet-EM: all pieces that its splits name and two others, a violin and a cello."""
    written = {}
    for k, number in enumerate(sorted({*TEST, *HELD_OUT, *FEW, *COVER, *REST})):
        room = "test_data" if number in TEST[:3] else "train_data"  # MusicNet's own test split is another one
        written[number] = sound(root / f"{room}/{number}.wav", seed=k)
        midi(root / f"musicnet_em/{number}.mid", ((0.0, 127),), p40=[(1.0, 2.0, 60), (1.5, 3.0, 64)],
             p42=[(0.5, 1.0, 40)], p99=[(0.0, 5.0, 50)])
    return written


def numbers(name, split):
    return [int(song["name"]) for song in load(name, split, "paper").songs]


def test_musicnet_is_parted_as_its_list_says(data):
    musicnet(data / "musicnet")
    for name in ("musicnet_em", "musicnet_em_few", "musicnet_em_cover", "musicnet_em_pool"):
        assert numbers(name, "test") == TEST
        held = numbers(name, "validation")
        assert held == [number for number in HELD_OUT if name != "musicnet_em_cover" or number != 2148]
        assert not set(numbers(name, "train")) & {*TEST, *held}
    assert numbers("musicnet_em", "train") == sorted([*REST, *FEW, 2078, 2282])
    assert numbers("musicnet_em_few", "train") == FEW and numbers("musicnet_em_cover", "train") == COVER
    assert numbers("musicnet_em_pool", "train") == REST


def test_musicnet_tells_instruments_apart_and_knows_no_pedal(data):
    written = musicnet(data / "MusicNet")
    corpus = load("musicnet_em_cover", "train", "paper")
    assert corpus.classes == ("piano", "harpsichord", "violin", "viola", "cello", "pizzicato", "horn", "oboe",
                              "bassoon", "clarinet", "flute")
    roll = corpus.roll(1)
    assert roll.shape == (11, 88, 301) and np.allclose(corpus.audio(1), written[2148], atol=1e-6)
    assert {k: marked(part) for k, part in enumerate(roll) if part.any()} == {
        2: {60: [(50, 100)], 64: [(75, 150)]}, 4: {40: [(25, 50)]}}
    item = corpus[1]
    assert [label for label in item["labels"] if label] == ["violin", "cello"] and "sources" not in item


def test_gardner_has_no_scores_and_nothing_that_lasts_as_long_as_a_piece_of_musicnet(data):
    musicnet(data / "musicnet")
    (data / "musicnet/musicnet_metadata.csv").write_text("id,composer,seconds\n1727,Schubert,9\n2500,Bach,300\n")
    for name, seconds in (("a/long.wav", 12.0), ("near.wav", 10.9), ("short.wav", 6.5)):
        sound(data / "gardner" / name, seconds)
    corpus = load("gardner", "train", "paper")
    assert [song["name"] for song in corpus.songs] == ["a/long.wav", "short.wav"]
    assert corpus.lengths == [12 * SR, 6.5 * SR] and corpus.roll(0).shape == (11, 88, 601) and not corpus.roll(0).any()
    assert len(corpus.audio(1)) == 6.5 * SR and len(corpus) == 3
    refused("gardner", "test", "all of it is train: choose that split")


def test_what_musicnet_lacks_is_named(data):
    refused("musicnet_em", "train", "has no musicnet/musicnet_em: unpack musicnet.tar.gz")
    refused("gardner", "train", "has no gardner: put the recordings into a folder gardner")
    musicnet(data / "musicnet")
    (data / "musicnet/musicnet_em/2282.mid").unlink()
    refused("musicnet_em_cover", "train", "1 of its files are not there, .*2282.mid for one: unpack")
    (data / "musicnet/test_data/1819.wav").unlink()
    refused("musicnet_em", "test", "1 of its files are not there, .*1819.wav for one: unpack")


def test_items_shorter_than_asked_for_are_told(data):
    maestro(data)
    with pytest.raises(WeaklibError, match="No piece of the train split of maestro lasts 7 s; choose a shorter"):
        load("maestro", "train", "paper", duration=7.0)
    assert [len(load("maestro", "train", preset, duration=1.5)) for preset in ("smoke", "paper")] == [8, 8]
    assert corpora.identity("maestro", "paper")["name"] == "maestro"
