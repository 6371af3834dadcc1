"""The corpora `slakh` and `babyslakh`, read from small folders of the true layout."""
import mido
import numpy as np
import pytest
import soundfile
import torch
import yaml

from weaklib import audio, corpora, files
from weaklib.corpora import SPLITS, band, datasheet, load, slakh
from weaklib.files import WeaklibError
from weaklib.midi import pretty_midi
from weaklib.rolls import LOWEST

SR = band.SR
RATE = 44100  # Hz, of Slakh's audio
DURATION = 9.0  # s, of a track: two clips of 4 s and a rest
REDUX = "slakh2100_flac_redux"


def tone(notes, sr, lower=0, duration=DURATION):
    """Play notes of (onset, offset, pitch) as a fundamental and two weaker harmonics, `lower` semitones down."""
    x = np.zeros(round(duration * sr))
    for onset, offset, pitch in notes:
        t = np.arange(round((offset - onset) * sr)) / sr
        f = 440 * 2 ** ((pitch - lower - 69) / 12)
        note = sum(0.1 / k * np.sin(2 * np.pi * k * f * t) for k in (1, 2, 3))
        x[round(onset * sr):][:len(t)] += note * np.clip(200 * np.minimum(t, t[-1] - t), 0, 1)
    return x


def add_stem(track, stem, program, notes, *, plugin="some.nkm", drum=False, lower=0, sr=RATE, suffix=".flac",
             flags=True, wave=None, midi=True, pedal=()):
    """Add a stem to a track; `wave` None means a rendering of its notes, False no file."""
    metadata = track / "metadata.yaml"
    facts = yaml.safe_load(metadata.read_text()) if metadata.exists() else {"UUID": "0", "stems": {}}
    facts["stems"][stem] = {"audio_rendered": flags, "midi_saved": flags, "is_drum": drum, "program_num": program,
                            "plugin_name": plugin, "inst_class": "", "midi_program_name": "",
                            "integrated_loudness": -13.0}
    for folder in ("stems", "MIDI"):
        (track / folder).mkdir(parents=True, exist_ok=True)
    metadata.write_text(yaml.safe_dump(facts))
    if wave is not False:
        wave = tone(notes, sr, lower) if wave is None else wave
        soundfile.write(track / "stems" / f"{stem}{suffix}", wave, sr, subtype="PCM_16")
    if midi:
        score, instrument = pretty_midi.PrettyMIDI(), pretty_midi.Instrument(min(program, 127), is_drum=drum)
        instrument.notes = [pretty_midi.Note(90, pitch, onset, offset) for onset, offset, pitch in notes]
        instrument.pitch_bends = [pretty_midi.PitchBend(4000, 0.5)]
        instrument.control_changes = [pretty_midi.ControlChange(64, value, time) for time, value in pedal]
        score.instruments.append(instrument)
        score.write(str(track / "MIDI" / f"{stem}.mid"))


PIANO = [(0.5, 1.5, 60), (4.5, 5.25, 64), (4.5, 5.25, 67)]
GUITARS = [(1.0, 2.0, 52), (5.0, 6.0, 55)], [(1.5, 2.5, 59), (6.0, 7.0, 62)]
BASS = [(0.25, 2.25, 47), (4.0, 6.0, 50)]  # as Slakh writes it, an octave above its sound


def full_track(track):
    """A track with all three classes, and what must not be taken for one of them."""
    add_stem(track, "S00", 0, PIANO, plugin="the_grandeur.nkm")
    add_stem(track, "S01", 0, [(2.0, 4.0, 72)], plugin="wurly_ep.nkm")  # an electric piano under program 0
    add_stem(track, "S02", 30, GUITARS[0])
    add_stem(track, "S03", 29, GUITARS[1])
    add_stem(track, "S04", 33, BASS, lower=12)
    add_stem(track, "S05", 128, [(1.0, 8.0, 36)], drum=True)
    add_stem(track, "S06", 27, [(1.0, 8.0, 50)])  # a clean guitar
    add_stem(track, "S07", 32, [(1.0, 8.0, 40)], lower=12)  # an acoustic bass
    add_stem(track, "S08", 2, [(1.0, 8.0, 70)], plugin="the_grandeur.nkm")  # an electric grand
    add_stem(track, "S09", 30, [(1.0, 8.0, 42)], drum=True)


def small_track(track, **options):
    add_stem(track, "S00", 1, PIANO, plugin="grand_piano.nkm", **options)


def damaged_track(track):
    """A track that has something wrong with all stems but one."""
    add_stem(track, "S00", 6, PIANO, plugin="harpsichord.nkm")
    add_stem(track, "S01", 29, GUITARS[0], wave=False)
    add_stem(track, "S02", 30, GUITARS[1], midi=False)
    add_stem(track, "S03", 37, BASS)
    (track / "stems" / "S03.flac").write_bytes(b"fLaC" + bytes(2000))
    add_stem(track, "S04", 34, BASS)
    (track / "MIDI" / "S04.mid").write_bytes(b"MThd")
    add_stem(track, "S05", 35, BASS, wave=np.zeros(RATE))
    add_stem(track, "S06", 36, [])
    add_stem(track, "S07", 88, GUITARS[0], wave=False)  # of no class, hence nothing to tell


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A redux download with a few tracks, and a store of its own."""
    path = tmp_path_factory.mktemp("data")
    root = path / REDUX
    full_track(root / "train" / "Track00001")
    damaged_track(root / "train" / "Track00002")
    full_track(root / "train" / "Track00003")  # test in split2
    small_track(root / "validation" / "Track00026")  # train by number, validation in split2
    small_track(root / "omitted" / "Track00049")  # train in all but redux
    add_stem(root / "train" / "Track00262", "S01", 0, PIANO, plugin="grand_piano.nkm")  # has mistakes, as is known
    small_track(root / "validation" / "Track01501")
    add_stem(root / "train" / "Track01506", "S03", 36, BASS, plugin="scarbee_jay_bass_slap_both.nkm")
    add_stem(root / "train" / "Track01506", "S04", 30, [(1.0, 2.0, 110), (1.0, 2.0, 12), (3.0, 4.0, 60)])
    add_stem(root / "test" / "Track01876", "S00", 33, BASS, lower=12,
             wave=tone(BASS, RATE, 12)[:round(5.5 * RATE)])
    (root / "train" / "Track00004").mkdir()  # empty, as after an interrupted unpacking
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEAKLIB_DATA", str(path))
        patch.setenv("WEAKLIB_HOME", str(tmp_path_factory.mktemp("slakh-home")))
        yield path


@pytest.fixture(scope="module")
def train(data):
    return load("slakh", "train", "paper")


def song_of(dataset, track):
    return [song["track"] for song in dataset.songs].index(track)


def pitches(x, start, stop):
    """MIDI pitches of the spectral peaks of `x (time,)` at 16 kHz that are within 3 dB of the strongest."""
    cut = x[round(start * SR):round(stop * SR)] * np.hanning(round(stop * SR) - round(start * SR))
    X = np.abs(np.fft.rfft(cut, 16 * len(cut)))
    peaks = np.flatnonzero((X[1:-1] > X[:-2]) & (X[1:-1] > X[2:]) & (X[1:-1] > 0.7 * X.max())) + 1
    return 69 + 12 * np.log2(peaks * SR / (16 * len(cut)) / 440)


# Splits

def test_the_moves_give_the_splits_of_split2():
    counts = [sum(slakh.split_of("slakh", n) == split for n in range(1, 2101)) for split in SPLITS]
    assert counts == [1500, 375, 225]
    original = {n: SPLITS[(n > 1500) + (n > 1875)] for n in range(1, 2101)}
    assert sum(slakh.split_of("slakh", n) != original[n] for n in original) == len(slakh.MOVED) == 328
    assert all(slakh.split_of("slakh", n) == "test" for n in (3, 1024, 1270, 1510, 1876, 2098))
    assert all(slakh.split_of("slakh", n) == "validation" for n in (26, 1501, 1875, 1890))
    assert all(slakh.split_of("slakh", n) == "train" for n in (1, 1500, 1506, 1872, 2100))
    assert [n for n in range(1, 21) if slakh.split_of("slakh", n) != "train"] == [3]


def test_tracks_are_in_the_splits_of_split2_wherever_they_lie(train):
    tracks = {split: [song["track"] for song in load("slakh", split, "paper").songs] for split in SPLITS}
    assert tracks == {"train": ["Track00001", "Track00002", "Track00049", "Track01506"],
                      "validation": ["Track00026", "Track01501"], "test": ["Track00003", "Track01876"]}
    assert len(train.missing) == 1500 - 5 and train.missing[0] == "Track00004"  # an empty folder is no track


def test_another_layout_gives_the_same(tmp_path, data, monkeypatch, train):
    (tmp_path / "slakh2100_split2").mkdir()
    for folder in (data / REDUX).glob("*/Track*"):
        name = slakh.split_of("slakh", int(folder.name[5:]))
        (tmp_path / "slakh2100_split2" / name).mkdir(exist_ok=True)
        (tmp_path / "slakh2100_split2" / name / folder.name).symlink_to(folder)
    monkeypatch.setenv("WEAKLIB_DATA", str(tmp_path))
    monkeypatch.setattr(slakh, "_build", None)  # what is stored serves here, too
    again = load("slakh", "train", "paper")
    assert again.songs == train.songs and torch.equal(again[3]["mix"], train[3]["mix"])


# Classes

def test_stems_are_chosen_by_program_and_patch(train):
    song = train.songs[song_of(train, "Track00001")]
    assert song["stems"] == {"piano": ["S00"], "guitar": ["S02", "S03"], "bass": ["S04"]}
    assert list(song["stems"]) == list(band.INSTRUMENTS)
    assert train.songs[song_of(train, "Track00002")]["stems"] == {"piano": ["S00"]}


def test_sources_are_the_stems_of_their_class_and_the_mixture_is_their_sum(train, data):
    item = train.clip(song_of(train, "Track00001"), 16000)
    stems = data / REDUX / "train" / "Track00001" / "stems"

    def expected(*names):
        return sum(audio.read(stems / f"{name}.flac", SR)[0][0] for name in names)[16000:80000]

    for source, names in zip(item["sources"], (["S00"], ["S02", "S03"], ["S04"])):
        assert np.abs(source.numpy() - expected(*names)).max() <= 0.51 / 32768
        assert source.abs().max() > 0.05
    assert torch.equal(item["mix"], item["sources"].sum(0)) and torch.equal(item["mix"], item["sources"].flip(0).sum(0))


def test_a_class_that_does_not_play_is_silent(train):
    item = train.clip(song_of(train, "Track01506"), 0)
    assert not item["sources"][0].any() and not item["roll"][0].any() and len(item["notes"][0]) == 0
    assert item["sources"][1].any() and item["sources"][2].any() and item["roll"][2].any()
    assert item["labels"] == ["piano", "guitar", "bass"]


def test_a_sum_that_would_clip_is_scaled_down(tmp_path, monkeypatch):
    loud = 6 * tone([(0.0, 8.0, 60)], RATE)
    for stem in ("S00", "S01"):
        add_stem(tmp_path / REDUX / "train" / "Track00001", stem, 0, PIANO, plugin="grand_piano.nkm", wave=loud)
    add_stem(tmp_path / REDUX / "train" / "Track00001", "S02", 30, PIANO, wave=0.1 * loud)
    monkeypatch.setenv("WEAKLIB_DATA", str(tmp_path))
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    item = load("slakh", "train", "paper")[0]
    assert 0.99 < item["mix"].abs().max() < 1.0001
    assert np.allclose(item["sources"][0], 20 * item["sources"][1], atol=25 / 32768)


# Time and scores

def test_rates_and_lengths(train):
    assert train.sr == SR and train.lengths == [round(DURATION * SR)] * 4 and len(train) == 4 * 2
    test = load("slakh", "test", "paper")
    assert test.lengths == [round(DURATION * SR), round(5.5 * SR)] and len(test) == 2 + 1
    for index, (song, start) in {1: (0, 64000), 2: (1, 0), -1: (1, 0)}.items():
        assert torch.equal(test[index]["mix"], test.clip(song, start)["mix"])
    with pytest.raises(IndexError):
        test[3]
    short = load("slakh", "test", "paper", duration=2.75)
    assert len(short) == 3 + 2 and short[0]["mix"].shape == (44000,)


def test_the_bass_is_written_where_it_sounds(train):
    item = train.clip(song_of(train, "Track00001"), 0)
    bass, roll = item["sources"][2].numpy(), item["roll"][2]
    assert pitches(bass, 0.5, 2.0) == pytest.approx([35], abs=0.1)
    assert (torch.nonzero(roll[:, 20]) + LOWEST).tolist() == [[35]]  # frame 20 is at 0.625 s
    as_written = load("slakh", "train", "paper", bass_octave=False).clip(song_of(train, "Track00001"), 0)
    assert torch.equal(as_written["roll"][2][12:], roll[:-12]) and torch.equal(as_written["roll"][:2], item["roll"][:2])
    assert torch.equal(as_written["mix"], item["mix"])


def test_uncorrected_corpora_leave_the_bass_as_written(train, monkeypatch):
    """The same sound, from the same store, but scores as with ``bass_octave=False``, and a name of their own."""
    monkeypatch.setattr(slakh, "_build", None)
    uncorrected = load("slakh_uncorrected", "train", "paper")
    as_written = load("slakh", "train", "paper", bass_octave=False)
    song = song_of(train, "Track00001")
    a, b, corrected = (dataset.clip(song, 0) for dataset in (uncorrected, as_written, train))
    assert torch.equal(a["roll"], b["roll"]) and torch.equal(a["mix"], b["mix"])
    assert not torch.equal(a["roll"], corrected["roll"])
    assert uncorrected.songs == train.songs and uncorrected.missing == train.missing
    assert uncorrected.identity == train.identity | {"name": "slakh_uncorrected", "bass_octave": False}
    asked = load("slakh_uncorrected", "train", "paper", bass_octave=True)  # what is asked for goes before the name
    assert torch.equal(asked.clip(song, 0)["roll"], corrected["roll"]) and asked.identity["bass_octave"]


def test_the_slap_bass_is_left_where_it_is(train):
    item = train.clip(song_of(train, "Track01506"), 0)
    assert pitches(item["sources"][2].numpy(), 0.5, 2.0) == pytest.approx([47], abs=0.1)
    assert (torch.nonzero(item["roll"][2][:, 20]) + LOWEST).tolist() == [[47]]


def test_notes_beyond_the_piano_are_dropped(train):
    item = train.clip(song_of(train, "Track01506"), 0)
    assert item["notes"][1].numpy() == pytest.approx(np.array([[3.0, 4.0, 60, 90]]), abs=2e-3)
    assert item["roll"][1].sum() == item["roll"][1][39].sum() == 32


def test_rolls_are_aligned_with_the_sound(train):
    song = song_of(train, "Track00001")
    for start in (0, 20000, 64000):
        item = train.clip(song, start)
        for source, roll in zip(item["sources"].numpy(), item["roll"].numpy()):
            frames = np.abs(np.pad(source, 250)[:129 * 500].reshape(129, 500)).max(axis=1) > 0.02
            differ = np.flatnonzero(frames != roll.any(axis=0))  # only where a note begins or ends within the frame
            edges = np.flatnonzero(np.diff(roll.any(axis=0))) + 0.5
            assert all(np.abs(edges - frame).min(initial=9) < 1 for frame in differ if 0 < frame < 128)
            assert len(differ) <= 2 * len(edges)


def test_every_pitch_sounds_in_its_source(train):
    item = train.clip(song_of(train, "Track00001"), 64000)
    assert pitches(item["sources"][0].numpy(), 0.6, 1.2) == pytest.approx([64, 67], abs=0.2)
    assert (torch.nonzero(item["roll"][0][:, 29]) + LOWEST).flatten().tolist() == [64, 67]
    assert item["notes"][1][:, 2].tolist() == [55, 62]  # of both guitars, by onset


def test_the_pedal_holds_notes_until_release_or_the_next_stroke(tmp_path, monkeypatch):
    notes = [(0.5, 1.0, 60), (1.0, 1.5, 64), (2.0, 2.5, 60), (3.5, 4.0, 67), (6.5, 7.0, 60)]
    add_stem(tmp_path / REDUX / "train" / "Track00001", "S00", 0, notes, plugin="grand_piano.nkm",
             pedal=[(0.75, 127), (3.0, 63), (3.75, 64), (5.0, 0), (6.0, 100)])
    monkeypatch.setenv("WEAKLIB_DATA", str(tmp_path))
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    plain, held = (load("slakh", "train", "paper", duration=8.0, pedal=p)[0]["notes"][0].numpy() for p in (False, True))
    assert plain[:, 1] == pytest.approx([1.0, 1.5, 2.5, 4.0, 7.0], abs=2e-3)
    assert held[:, 1] == pytest.approx([2.0, 3.0, 3.0, 5.0, 7.0], abs=2e-3)
    assert np.array_equal(plain[:, [0, 2, 3]], held[:, [0, 2, 3]])


def test_the_tempo_counts_on_whichever_track_it_stands(tmp_path, monkeypatch, recwarn):
    track = tmp_path / REDUX / "train" / "Track00001"
    small_track(track)
    score = mido.MidiFile(ticks_per_beat=100)
    notes = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=1_000_000),  # 60 beats a minute
                            mido.Message("note_on", note=60, velocity=90, time=50),
                            mido.Message("note_off", note=60, time=100)])
    score.tracks = [mido.MidiTrack(), notes]
    score.save(track / "MIDI" / "S00.mid")
    monkeypatch.setenv("WEAKLIB_DATA", str(tmp_path))
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    assert load("slakh", "train", "paper")[0]["notes"][0].numpy() == pytest.approx(np.array([[0.5, 1.5, 60, 90]]))
    assert not [w for w in recwarn if w.category is RuntimeWarning]


# What is left out

def test_what_cannot_be_used_is_told_and_counted(data, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    train = load("slakh", "train", "paper")
    assert train.left_out == [
        ("Track00002", "S01", "no audio"), ("Track00002", "S02", "no MIDI"), ("Track00002", "S03", "damaged audio"),
        ("Track00002", "S04", "damaged MIDI"), ("Track00002", "S05", "silent audio"), ("Track00002", "S06", "no notes"),
        ("Track00262", "S01", "known mistakes (wrong notes)")]
    assert capsys.readouterr().out == (
        "slakh, train: 4 of 1500 tracks (1495 are not in the download, 1 have no usable piano, guitar, bass); left out "
        "7 stems: 1 with damaged MIDI, 1 with damaged audio, 1 with known mistakes, 1 with no MIDI, 1 with no audio, "
        "1 with no notes, 1 with silent audio.\n")
    assert load("slakh", "train", "paper").left_out == train.left_out and capsys.readouterr().out == ""
    item = train.clip(song_of(train, "Track00002"), 0)
    assert torch.equal(item["mix"], item["sources"][0]) and item["mix"].any()


def test_metadata_that_cannot_be_read_costs_its_track_only(tmp_path, monkeypatch):
    for number, text in ((1, None), (2, "stems: [S00"), (4, "UUID: 0"), (5, "stems: {S00: {}}")):
        track = tmp_path / REDUX / "train" / f"Track{number:05}"
        small_track(track)
        if text:
            (track / "metadata.yaml").write_text(text)
    monkeypatch.setenv("WEAKLIB_DATA", str(tmp_path))
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    train = load("slakh", "train", "paper")
    assert [song["track"] for song in train.songs] == ["Track00001"]
    assert train.left_out == [(f"Track{n:05}", "", "damaged metadata.yaml") for n in (2, 4, 5)]


def test_tracks_with_enough_sources_are_kept(data):
    two, three = (load("slakh", "train", "paper", min_sources=n) for n in (2, 3))
    assert [song["track"] for song in two.songs] == ["Track00001", "Track01506"]
    assert [song["track"] for song in three.songs] == ["Track00001"] and len(three) == 2
    same = load("slakh", "train", "paper").clip(3, 0)
    assert torch.equal(two[2]["roll"], same["roll"]) and torch.equal(two[2]["mix"], same["mix"])
    with pytest.raises(WeaklibError, match="No track of the validation split .* has 3 of piano, guitar, bass"):
        load("slakh", "validation", "paper", min_sources=3)
    with pytest.raises(WeaklibError, match="lasts 60 s; choose"):
        load("slakh", "train", "paper", duration=60.0)


# The store

def test_a_changed_folder_is_read_again(tmp_path, monkeypatch, capsys):
    root = tmp_path / REDUX
    small_track(root / "train" / "Track00001")
    monkeypatch.setenv("WEAKLIB_DATA", str(tmp_path))
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    before = load("slakh", "train", "paper")[0]
    add_stem(root / "train" / "Track00001", "S01", 30, GUITARS[0])
    after = load("slakh", "train", "paper")[0]
    assert not before["sources"][1].any() and after["sources"][1].any()
    assert capsys.readouterr().out.count("slakh, train: 1 of 1500 tracks") == 2


def test_options_about_scores_do_not_read_the_audio_again(train, monkeypatch):
    monkeypatch.setattr(slakh, "_build", None)
    for options in ({"min_sources": 3}, {"bass_octave": False}, {"pedal": True}, {"hop_length": 256}):
        assert len(load("slakh", "train", "gpu", **options)) in (2, 8)


def test_identity_needs_no_data(train, monkeypatch):
    monkeypatch.delenv("WEAKLIB_DATA")
    identity = corpora.identity("slakh", "paper")
    assert identity == {"name": "slakh", "version": 1, "seed": 0, "preset": "paper"}
    assert train.identity == identity | {"duration": 4.0, "hop_length": 500, "min_sources": 1, "bass_octave": True,
                                         "pedal": False}


def test_a_missing_download_is_one_sentence(tmp_path, monkeypatch):
    for name, record in (("slakh", "slakh2100_flac_redux.tar.gz (about 105 GB) from record 4599666"),
                         ("babyslakh", "babyslakh_16k.tar.gz from record 4603870"),
                         ("babyslakh_uncorrected", "babyslakh_16k.tar.gz from record 4603870")):
        tail = f"download {record} of zenodo.org, unpack it into a folder, and set WEAKLIB_DATA to that folder."
        monkeypatch.delenv("WEAKLIB_DATA", raising=False)
        with pytest.raises(WeaklibError) as e:
            load(name, "test", "paper")
        assert str(e.value) == f"WEAKLIB_DATA is not set: {tail}"
        for path, lacking in ((tmp_path, f"{tmp_path} has no folder {record.split('.')[0]}"),
                              (tmp_path / "nowhere", f"There is no folder {tmp_path / 'nowhere'}, which WEAKLIB_DATA "
                                                     "names")):
            monkeypatch.setenv("WEAKLIB_DATA", str(path))
            with pytest.raises(WeaklibError) as e:
                load(name, "test", "paper")
            assert str(e.value) == f"{lacking}: {tail}"
    (tmp_path / REDUX).mkdir()
    monkeypatch.setenv("WEAKLIB_DATA", str(tmp_path))
    with pytest.raises(WeaklibError, match=f"{REDUX} has no track of the test split; unpack"):
        load("slakh", "test", "paper")


def test_a_full_disk_is_refused_before_the_work(data, tmp_path, monkeypatch):
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    monkeypatch.setattr(slakh, "TRACK_BYTES", 10 ** 18)
    monkeypatch.setattr(slakh, "_build", None)
    with pytest.raises(WeaklibError, match="MB are needed; free some space or .*WEAKLIB_HOME"):
        load("slakh", "train", "paper")


def test_options_that_make_no_sense_are_refused(data):
    for options in ({"duration": 0.0}, {"hop_length": 0}, {"min_sources": 0}, {"min_sources": 4}):
        with pytest.raises(WeaklibError, match="makes no items of slakh; choose"):
            load("slakh", "train", "paper", **options)
    with pytest.raises(WeaklibError, match="has no option speed; it has duration, hop_length, min_sources"):
        load("slakh", "train", "paper", speed=2)


# BabySlakh

def test_babyslakh_is_read_whatever_its_flags_say(tmp_path, monkeypatch):
    for number in range(1, 21):
        small_track(tmp_path / "babyslakh_16k" / f"Track{number:05}", sr=SR, suffix=".wav", flags=False)
    monkeypatch.setenv("WEAKLIB_DATA", str(tmp_path))
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    splits = [load("babyslakh", split, "paper") for split in SPLITS]
    assert [len(s.songs) for s in splits] == [14, 3, 3]
    assert "Track00003" in [song["track"] for song in splits[2].songs]
    assert sorted(song["track"] for s in splits for song in s.songs) == [f"Track{n:05}" for n in range(1, 21)]
    assert not any(s.left_out or s.missing for s in splits)
    stored, _ = soundfile.read(tmp_path / "babyslakh_16k" / "Track00003" / "stems" / "S00.wav", dtype="int16")
    item = splits[2][1]
    assert np.array_equal(item["sources"][0].numpy() * 32768, stored[64000:128000])  # nothing to resample: bit by bit
    assert item["roll"][0].any() and splits[2].name == "babyslakh"
    assert [len(load("babyslakh_uncorrected", split, "laptop").songs) for split in SPLITS] == [14, 3, 3]


# What is shipped

def test_the_band_points_to_slakh():
    with pytest.raises(WeaklibError, match="load the corpus 'slakh'"):
        load("band", "train", "paper")


def test_the_datasheet_names_licence_paper_and_records():
    text = datasheet("babyslakh")
    assert text == datasheet("slakh") == datasheet("slakh_uncorrected")
    assert all(word in text for word in ("CC BY 4.0", "WASPAA 2019", "4599666", "4603870", "split2", "min_sources"))


def test_data_is_the_folder_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("WEAKLIB_DATA", str(tmp_path))
    assert files.data() == tmp_path
    monkeypatch.setenv("WEAKLIB_DATA", "")
    assert files.data() is None
