"""The corpus `band`: songs that sound as their scores say, stems that add up, nothing shared between splits."""
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from weaklib import files
from weaklib.audio import rms
from weaklib.corpora import SPLITS, band, composer, datasheet, fluid, load
from weaklib.files import WeaklibError
from weaklib.rolls import piano_roll

SR = band.SR
RATE = 32  # frames per second of the default rolls


@pytest.fixture(scope="module")
def train():
    return load("band", "train", "smoke")


def song(i, split=0):
    rng = np.random.default_rng([0, split, i])
    return composer.compose(rng, band.SONG - fluid.TAIL)


@pytest.fixture(scope="module")
def songs():
    return [song(i) for i in range(250)]


# The composer

def test_activity_is_that_of_the_paper(songs):
    frames = round(band.SONG * RATE)
    active = [[piano_roll(notes, frames, RATE).any(0).mean() for notes in s.notes] for s in songs]
    assert np.mean(active, axis=0) == pytest.approx([0.41, 0.14, 0.67], abs=0.03)
    assert np.min(active) > 0
    assert np.mean(np.array(active)[:, 1] > 0.5) < 0.05  # the guitar rests most of the time, in nearly every song


def test_something_plays_in_every_clip(songs):
    for s in songs:
        anything = sum(piano_roll(notes, round(band.SONG * RATE), RATE) for notes in s.notes).any(0)
        assert anything.reshape(8, -1).any(axis=1).all()


def test_scores_are_well_formed(songs):
    for s in songs:
        for notes, (low, high) in zip(s.notes, ((36, 96), (40, 84), (26, 52))):
            onset, offset, pitch, velocity = notes.T
            assert np.all(np.diff(onset) >= 0) and onset[0] > 0 and offset.max() <= band.SONG - fluid.TAIL
            assert np.all(offset - onset >= composer.SHORTEST)
            assert low <= pitch.min() and pitch.max() <= high and np.all(pitch == np.rint(pitch))
            assert 1 <= velocity.min() and velocity.max() <= 127
            for p in np.unique(pitch):
                assert np.all(onset[pitch == p][1:] >= offset[pitch == p][:-1])
        assert [p in composer.PROGRAMS[i] for i, p in zip(composer.INSTRUMENTS, s.programs)] == [True] * 3
    assert {p for s in songs for p in s.programs} == {p for programs in composer.PROGRAMS.values() for p in programs}
    assert len({s.key for s in songs}) > 40


def test_piano_and_guitar_stay_in_their_key(songs):
    for s in songs:
        tonic, mode = s.key.split()
        scale = {(composer.KEYS.index(tonic) + step) % 12 for step in composer.SCALES[mode]}
        assert all(np.isin(notes[:, 2] % 12, list(scale)).all() for notes in s.notes[:2])


def test_onsets_are_humanised(songs):
    s = next(s for s in songs if len(s.notes[2]) > 60)
    grid = 60 / s.tempo / 4
    off = (s.notes[2][:, 0] - composer.LEAD_IN) / grid % 1
    assert len(np.unique(np.round(off, 4))) > 40 and len(np.unique(s.notes[2][:, 3])) > 8


def test_no_song_is_in_two_splits():
    prints = [song(i, split).notes[2].tobytes() for split in range(3) for i in range(60)]
    assert len(set(prints)) == len(prints)
    assert song(3).notes[0].tobytes() == song(3).notes[0].tobytes()


# Rolls

def test_roll_and_notes_of_an_item_agree(train):
    for i in (0, 5, len(train) - 1):
        item = train[i]
        for roll, notes in zip(item["roll"], item["notes"]):
            times = torch.arange(129) / RATE
            for pitch in range(21, 109):
                of_pitch = notes[notes[:, 2] == pitch]
                inside = ((times >= of_pitch[:, :1] + 0.5 / RATE) & (times < of_pitch[:, 1:2] - 0.5 / RATE)).any(0)
                outside = ((times < of_pitch[:, :1] - 0.5 / RATE) | (times > of_pitch[:, 1:2] + 0.5 / RATE)).all(0)
                assert roll[pitch - 21][inside].all() and not roll[pitch - 21][outside].any()


def test_hop_length_is_obeyed():
    item = load("band", "test", "smoke", duration=2.0, hop_length=256)[1]
    assert item["roll"].shape == (3, 88, 126)
    coarse = load("band", "test", "smoke", duration=2.0)[1]["roll"]
    assert float(item["roll"].mean()) == pytest.approx(float(coarse.mean()), rel=0.15)


# Items

def test_an_item(train):
    item = train[1]
    assert list(item) == ["mix", "sources", "labels", "roll", "notes"]
    assert item["mix"].shape == (64000,) and item["sources"].shape == (3, 64000) and item["roll"].shape == (3, 88, 129)
    assert all(item[k].dtype == torch.float32 for k in ("mix", "sources", "roll"))
    assert item["labels"] == ["piano", "guitar", "bass"]
    assert [n.shape[1:] for n in item["notes"]] == [(4,)] * 3
    assert len(train) == 4 * 8 and train.sr == 16000 and len(list(train)) == len(train)
    assert train.identity["duration"] == 4.0 and train.identity["hop_length"] == 500


def test_sources_add_up_exactly_and_do_not_clip(train):
    for i in range(len(train)):
        item = train[i]
        assert torch.equal(item["sources"].sum(0), item["mix"])
        assert torch.equal(item["sources"].flip(0).sum(0), item["mix"])
        assert 0 < item["mix"].abs().max() < 1 and item["sources"].abs().max() < 1
    whole = load("band", "train", "smoke", duration=band.SONG)
    assert all(band.PEAKS[0] - 0.01 < max(x["mix"].abs().max(), x["sources"].abs().max()) < 0.91 for x in whole)


def test_clips_are_the_song_cut(train):
    whole = load("band", "train", "smoke", duration=band.SONG)[2]
    cut = [train[i] for i in range(16, 24)]
    assert torch.equal(torch.cat([x["sources"] for x in cut], dim=1), whole["sources"])
    assert torch.equal(train.clip(2, 70000)["sources"], whole["sources"][:, 70000:134000])
    for x in cut:
        assert all((n[:, 0] >= 0).all() and (n[:, 0] <= n[:, 1]).all() and (n[:, 1] <= 4).all() for n in x["notes"])
    for source in range(3):  # a note that two clips share sounds as long as before
        lengths = [sum(float((x["notes"][source][:, 1] - x["notes"][source][:, 0]).sum()) for x in xs)
                   for xs in (cut, [whole])]
        assert lengths[0] == pytest.approx(lengths[1], rel=1e-4)


def test_a_stem_sounds_when_its_score_says_so(train):
    whole = load("band", "train", "smoke", duration=band.SONG)
    late, quiet, loud = [], [], []
    for item in whole:
        for x, notes in zip(item["sources"].numpy(), item["notes"]):
            sounding = np.zeros(len(x), dtype=bool)
            for onset, offset, *_ in notes.tolist():
                sounding[round(onset * SR):round((offset + 1.0) * SR)] = True
            quiet.append(np.abs(x[~sounding]).max(initial=0))
            starts = [n for n in notes.tolist() if not sounding_before(notes, n[0])]
            for onset, *_ in starts:
                attack = np.abs(x[round((onset - 0.02) * SR):round((onset + 0.2) * SR)])
                late.append(np.argmax(attack > 0.02 * attack.max()) / SR - 0.02)
                loud.append(attack.max())
    assert max(quiet) < 0.01 * max(loud) and min(loud) > 0
    assert len(late) >= 12 and np.min(late) > -0.003 and np.quantile(late, 0.95) < 0.010


def sounding_before(notes, onset):
    """Whether a note begins, or rings, within the second before `onset`."""
    return bool(((notes[:, 0] < onset) & (notes[:, 1] > onset - 1.0)).any())


def test_the_bass_sounds_where_the_roll_says():
    lower, upper = [], []
    for item in load("band", "train", "smoke", duration=band.SONG):
        notes = item["notes"][2].tolist()
        for (onset, offset, pitch, _), before in zip(notes[1:], notes):
            if offset - onset > 0.35 and before[1] < onset + 0.02:
                f = 440 * 2 ** ((pitch - 69) / 12)
                x = item["sources"][2, round((onset + 0.1) * SR):round((onset + 0.35) * SR)].numpy()
                t, window = np.arange(len(x)) / SR, np.hanning(len(x))
                half, odd, even = (sum(abs(np.exp(-2j * np.pi * k * f * t) @ (window * x)) ** 2 for k in ks)
                                   for ks in ((0.5, 1.5, 2.5, 3.5), (1, 3, 5, 7), (2, 4, 6, 8)))
                lower.append(half / (half + odd + even))
                upper.append(even / (odd + even))
    assert len(lower) > 10
    assert np.median(lower) < 0.02 and np.quantile(lower, 0.9) < 0.1  # an octave lower, this is the stronger part
    assert np.median(upper) < 0.8  # an octave higher, there are only even harmonics of the score's


def test_levels_are_set(monkeypatch):
    monkeypatch.setattr(band, "LEVEL_SPREAD", 0.0)
    rng = np.random.default_rng(5)
    stems = band.render(composer.compose(rng, band.SONG - fluid.TAIL), rng) / 32768
    assert 20 * np.log10(rms(stems) / rms(stems[0])) == pytest.approx(band.LEVELS, abs=0.01)


# The pool

def test_the_pool_has_other_songs_and_other_voices(train):
    pool = load("band_pool", "train", "smoke")
    assert len(pool) == len(train) and pool.identity["name"] == "band_pool"
    notes = [{tuple(song[0][:, 0].tolist()) for song in corpus.notes} for corpus in (train, pool)]
    assert len(notes[0]) == len(notes[1]) == 4 and not notes[0] & notes[1]
    for song in pool.songs:
        for name, program, shift in zip(band.INSTRUMENTS, song["programs"], song["shifts"]):
            assert program in band.OTHERS[name] and abs(shift) in (7, 8)  # in `band` none is shifted
    draws = [band.other_voices(np.random.default_rng(k)) for k in range(60)]
    assert all({programs[i] for programs, _ in draws} == set(band.OTHERS[name])
               for i, name in enumerate(band.INSTRUMENTS))
    assert not set(band.OTHERS["bass"]) & set(composer.PROGRAMS["bass"])


@pytest.mark.parametrize("shift", [-8, 7])
def test_other_samples_have_the_pitch_of_the_score(shift):
    """A4 alone: the strongest partial is at 440 Hz, and the sound is another than without a shift."""
    played = [fluid.render(band._voiced([[0.0, 1.0, 69, 90]], 0, s), SR, 1.0) for s in (0, shift)]
    spectra = [np.abs(np.fft.rfft(x[SR // 10:SR // 10 + 8000])) for x in played]  # bins of 2 Hz
    assert all(abs(2 * int(x.argmax()) - 440) <= 4 for x in spectra)
    a, b = (x / np.linalg.norm(x) for x in spectra)
    assert a @ b < 0.95


# The store

def test_the_same_bytes_again_and_in_another_process(tmp_path):
    here = load("band", "validation", "smoke")
    code = "from weaklib.corpora import load; load('band', 'validation', 'smoke')"
    environment = {**os.environ, "WEAKLIB_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    stored = [sorted((root / "corpora").glob("band-*/stems.npy")) for root in (files.home(), tmp_path)]
    assert len(stored[1]) == 1 and stored[1][0].parent.name in {path.parent.name for path in stored[0]}
    for name in ("stems.npy", "notes.npy", "songs.json"):
        twin = stored[1][0].with_name(name)
        assert files.sha256(twin) == files.sha256(files.home() / "corpora" / twin.parent.name / name)
    assert len(here) == 16


def test_splits_share_no_song():
    prints = [s.tobytes() for split in SPLITS for s in load("band", split, "smoke").stems]
    assert len(set(prints)) == len(prints) == 8


def test_what_cannot_be_is_refused():
    with pytest.raises(WeaklibError, match="takes Slakh2100 itself.*load the corpus 'slakh', or choose preset='gpu'"):
        load("band", "train", "paper")
    for options in ({"duration": 33.0}, {"duration": 0.0}, {"hop_length": 0}):
        with pytest.raises(WeaklibError, match="makes no items of band; choose"):
            load("band", "train", "smoke", **options)


def test_the_datasheet_names_stand_in_and_licences():
    text = datasheet("band")
    assert all(word in text for word in ("Slakh2100", "GPL-2", "LGPL-2.1-or-later", "MIT"))
