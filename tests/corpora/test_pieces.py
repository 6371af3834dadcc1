"""The corpora of pieces: they sound as their scores say, rolls are what the notes are, nothing is in two places."""
import os
import subprocess
import sys

import numpy as np
import pytest

from weaklib import files
from weaklib.corpora import MODULES, SPLITS, chamber, datasheet, fluid, guitar, load
from weaklib.corpora.pieces import Part, Pieces

MODULE = {name: MODULES[name] for name in ("piano", "piano_pool", "guitar", "chamber", "chamber_pool")}
NAMES = tuple(MODULE)
SR, HOP = 16000, 320


def whole(name, split="test", **options):
    """A corpus whose items are its pieces."""
    return load(name, split, "smoke", duration=6.0, **options)


def pieces_of(name, split):
    """Every note sequence of a split, as something that can be compared."""
    return [np.concatenate([notes[:, :3] for notes in piece]).tobytes() for piece in load(name, split, "smoke").notes]


# Rolls

@pytest.mark.parametrize("name", NAMES)
def test_rolls_are_what_the_notes_say(name):
    corpus = load(name, "train", "smoke")
    for piece in range(corpus.pieces):
        roll = corpus.roll(piece)
        assert roll.dtype == bool and roll.shape == (len(corpus.classes), 88, corpus.lengths[piece] // HOP + 1)
        counted = np.zeros(roll.shape, dtype=bool)
        for k, notes in enumerate(corpus.notes[piece]):
            for onset, offset, pitch, _ in notes:
                first = int(np.floor(onset * SR / HOP + 0.5))
                last = max(int(np.floor(offset * SR / HOP + 0.5)), first + 1)
                counted[k, int(pitch) - 21, first:last] = True
        assert (counted != roll).mean() < 1e-5 and roll.any()  # a note may begin in the middle between two frames


@pytest.mark.parametrize("name", NAMES)
def test_an_item_is_a_part_of_its_piece(name):
    corpus = load(name, "train", "smoke", duration=1.28)
    per_piece = 4
    assert len(corpus) == corpus.pieces * per_piece and corpus[0]["roll"].shape[-1] == 65
    for i in (0, 5, len(corpus) - 1):
        piece, clip = divmod(i, per_piece)
        item, start = corpus[i], 64 * clip
        assert np.array_equal(item["mix"].numpy(), corpus.audio(piece)[start * HOP:][:64 * HOP])
        # A note that ends between a clip's last frame but one and its end has a frame of its own in the clip's roll.
        assert np.mean(item["roll"].numpy()[..., :64] != corpus.roll(piece)[..., start:start + 64]) < 2e-3
        assert [bool(label) for label in item["labels"]] == [len(notes) > 0 for notes in corpus.notes[piece]]
    assert load(name, "train", "smoke")[0]["roll"].shape[-1] == 257  # the 256 frames of the paper, and both ends


# Sound

@pytest.mark.parametrize("name", NAMES)
def test_pitches_that_are_written_sound(name):
    corpus = load(name, "test", "smoke")
    inside, outside = [], []
    for piece in range(corpus.pieces):
        x, roll = corpus.audio(piece), corpus.roll(piece).any(0)
        spectra = np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(
            np.pad(x, (4096, 4096)), 8192)[::HOP] * np.hanning(8192)))
        for pitch in range(45, 100):
            bin_ = 440 * 2 ** ((pitch - 69) / 12) * 8192 / SR
            level = spectra[:, round(bin_ * 0.985):round(bin_ * 1.015) + 1].max(axis=1)
            on = roll[pitch - 21][:len(level)]
            inside += level[:len(on)][on].tolist()
            outside += level[:len(on)][~on].tolist()
    assert np.median(inside) > 10 * np.median(outside)


@pytest.mark.parametrize("name", NAMES)
def test_sound_does_not_clip_and_starts_with_the_score(name):
    corpus = load(name, "train", "smoke")
    for piece in range(corpus.pieces):
        x = corpus.audio(piece)
        assert x.dtype == np.float32 and x.shape == (96000,) and 0.39 < np.abs(x).max() < 0.91
        first = min(notes[:, 0].min() for notes in corpus.notes[piece] if len(notes))
        last = max(notes[:, 1].max() for notes in corpus.notes[piece] if len(notes))
        assert last <= 6 - fluid.TAIL + 1e-9
        begun = np.argmax(np.abs(x) > 0.01 * np.abs(x).max()) / SR
        assert first - 0.005 < begun < first + 0.1


# The pedal

def test_the_pedal_lengthens_notes_until_it_is_released_or_the_key_is_struck_again():
    notes = np.array([[0.0, 0.5, 60, 80], [0.2, 0.4, 64, 80], [1.0, 1.2, 60, 80], [2.5, 2.8, 64, 80]])
    part = Part(notes, 0, pedal=np.array([(0.3, 64), (1.5, 63), (2.0, 127), (2.6, 0)]))
    assert part.sustained() == pytest.approx([1.0, 1.5, 1.5, 2.8])
    assert Part(notes, 0).sustained() == pytest.approx(notes[:, 1])


def test_the_pedal_is_an_option_of_the_score_and_is_heard_either_way():
    held, keys = whole("piano", "train"), whole("piano", "train", pedal=False)
    assert held.identity["pedal"] is True and keys.identity["pedal"] is False
    longer = 0
    for piece in range(held.pieces):
        a, b = held.notes[piece][0], keys.notes[piece][0]
        assert np.array_equal(a[:, [0, 2, 3]], b[:, [0, 2, 3]]) and (a[:, 1] >= b[:, 1]).all()
        assert np.array_equal(held.audio(piece), keys.audio(piece))
        assert (held.roll(piece) >= keys.roll(piece)).all()
        longer += (a[:, 1] > b[:, 1] + 0.02).sum()
    assert longer > 20


def test_what_the_pedal_holds_sounds():
    notes = np.array([[0.1, 0.2, 60, 90]])
    dry, held = (Part(notes, 0, pedal=np.array(pedal).reshape(-1, 2)).sound(2.0) for pedal in ([], [(0.0, 127)]))
    late = slice(SR, 3 * SR // 2)
    assert np.sqrt(np.mean(held[late] ** 2)) > 20 * np.sqrt(np.mean(dry[late] ** 2))


# The guitar

def pitch_of(x, about):
    """The frequency of the strongest partial within a fourth of a pitch, as a MIDI pitch."""
    spectrum = np.abs(np.fft.rfft(x * np.hanning(len(x)), 16 * len(x)))
    f = np.fft.rfftfreq(16 * len(x), 1 / SR)
    midi = 69 + 12 * np.log2(np.maximum(f, 1) / 440)
    return midi[np.argmax(spectrum * (np.abs(midi - about) < 5))]


def test_a_bent_note_arrives_at_the_pitch_that_is_written():
    for seed in range(40):  # the first bend of all
        bends = np.array(guitar._bent(np.random.default_rng(seed), 0.5, 0.8))  # too short for vibrato
        if bends[0, 1] == -200:
            break
    assert bends[:, 0].min() == 0.5 and bends[-1, 1] == 0 and np.abs(bends[:, 1]).max() == 200
    x = Part(np.array([[0.5, 1.5, 64, 90]]), 27, bends=bends).sound(2.0)
    start, later = x[round(0.505 * SR):][:800], x[round(1.0 * SR):][:4800]
    assert pitch_of(later, 64) == pytest.approx(64, abs=0.15) and pitch_of(start, 64) < 63.3


def test_guitars_are_strummed_string_by_string_within_their_range():
    corpus = load("guitar", "train", "smoke")
    notes = [notes for piece in corpus.notes for notes in piece]
    assert all(40 <= n[:, 2].min() and n[:, 2].max() <= 88 for n in notes)
    gaps = np.concatenate([np.diff(n[:, 0]) for n in notes])
    strummed = gaps[gaps < 0.03]
    assert len(strummed) > 10 and strummed.min() > 0.003  # never two strings at once


@pytest.mark.parametrize("root", range(12))
def test_a_shape_is_a_chord_that_a_hand_can_hold(root):
    tones = [root, (root + 4) % 12, (root + 7) % 12, (root + 11) % 12]
    for fret in range(8):
        shape = guitar._shape(tones, fret)
        assert shape == sorted(shape) and 3 <= len(shape) <= 6 and shape[0] % 12 == root
        assert {pitch % 12 for pitch in shape} <= set(tones[:3])


def test_the_amplifier_distorts_strings_together():
    t = np.arange(SR) / SR
    pair = np.sin(2 * np.pi * 440 * t) + np.sin(2 * np.pi * 660 * t)
    corpus = load("guitar", "train", "smoke")
    spectrum = np.abs(np.fft.rfft(corpus.colour(np.random.default_rng(0), pair)))
    assert spectrum[220] > 0.02 * spectrum[440]  # 2 * 440 - 660, which neither tone has
    assert spectrum[20:7000].argmax() + 20 in (440, 660)


# Chamber music

def test_all_classes_play_in_the_first_three_pieces_and_every_part_within_its_range():
    for name in ("chamber", "chamber_pool"):
        for split in SPLITS:
            corpus = load(name, split, "smoke")
            playing = [{k for k, notes in zip(corpus.classes, piece) if len(notes)} for piece in corpus.notes]
            assert set.union(*playing[:3]) == set(chamber.INSTRUMENTS) and len(chamber.INSTRUMENTS) == 11
            for heard, song in zip(playing, corpus.songs):
                assert heard == set(song["voices"]) == set(song["programs"]) and len(song["voices"]) <= 5
            for piece in corpus.notes:
                for (_, _, low, high, _), notes in zip(chamber.INSTRUMENTS.values(), piece):
                    assert not len(notes) or low <= notes[:, 2].min() and notes[:, 2].max() <= high


def test_a_wind_player_plays_one_note_at_a_time():
    for split in SPLITS:
        corpus = load("chamber", split, "smoke")
        for name in ("flute", "oboe", "clarinet", "horn", "bassoon"):
            for notes in (piece[corpus.classes.index(name)] for piece in corpus.notes):
                assert (notes[1:, 0] >= notes[:-1, 1]).all()


@pytest.mark.parametrize("name", chamber.INSTRUMENTS)
def test_instruments_sound_at_the_pitch_and_time_that_is_written(name):
    mine, others, low, high, _ = chamber.INSTRUMENTS[name]
    for program in {*mine, *others}:
        for pitch in (low + 7, (low + high) // 2, high - 3):
            x = Part(np.array([[0.1, 1.1, pitch, 90]]), program).sound(1.3)
            spectrum = np.abs(np.fft.rfft(x[4800:14400] * np.hanning(9600), 2 ** 17))
            f0 = 440 * 2 ** ((pitch - 69) / 12)
            tones = {cents: sum(spectrum[round(k * f0 * 2 ** (cents / 1200) * 2 ** 17 / SR)] for k in range(1, 9)
                                if k * f0 < 7500) for cents in range(-60, 61, 2)}
            assert abs(max(tones, key=tones.get)) <= 25
            octave = round(f0 * 2 ** 17 / SR / 2)
            assert spectrum[octave - 40:octave + 40].max() < 0.1 * spectrum.max()  # nothing an octave below
            assert -0.001 < np.argmax(np.abs(x) > 0.02 * np.abs(x).max()) / SR - 0.1 < 0.015


def test_the_rolls_of_two_violins_are_those_of_both():
    corpus = load("chamber", "train", "smoke")
    violins = corpus.roll(3)[corpus.classes.index("violin")]
    assert corpus.songs[3]["voices"].count("violin") == 2 and violins.sum(0).max() == 2


# What is where

def test_no_piece_is_in_two_splits_or_two_corpora():
    found = [piece for name in NAMES for split in SPLITS for piece in pieces_of(name, split)]
    assert len(set(found)) == len(found) == 10 * len(NAMES)


def test_corpora_share_next_to_no_passages():
    corpora = [load(name, split, "smoke") for name in NAMES for split in SPLITS]
    passages = [{tuple(np.diff(np.round(notes[k:k + 12, 2])).astype(int)) for piece in corpus.notes for notes in piece
             for k in range(0, max(0, len(notes) - 12))} for corpus in corpora]
    assert all(len(a & b) <= 2 for i, a in enumerate(passages) for b in passages[:i])


def test_test_is_played_on_another_piano_than_train():
    heard = {split: {song["programs"]["piano"] for song in load("piano", split, "smoke").songs} for split in SPLITS}
    assert heard["test"] == {2} and heard["train"] | heard["validation"] <= {0, 1}
    pool = {song["programs"]["piano"] for split in SPLITS for song in load("piano_pool", split, "smoke").songs}
    assert pool <= {1, 3} and 3 in pool


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("_pool")])
def test_there_is_as_much_as_announced(name):
    sizes = Pieces.__subclasses__()
    corpus = load(name, "train", "smoke")
    made = next(one for one in sizes if one.__name__.lower() == MODULE[name])
    minutes = [made.SIZES[preset]["pieces"][0] * made.SIZES[preset]["seconds"] / 60 for preset in ("laptop", "gpu")]
    assert minutes[0] == pytest.approx({"piano": 60, "guitar": 20, "chamber": 40}[name], rel=0.02)
    assert minutes[1] == pytest.approx(240, rel=0.02) and corpus.frame_rate == 50


def test_the_pool_sounds_otherwise(monkeypatch):
    corpus, pool = load("piano", "train", "smoke"), load("piano_pool", "train", "smoke")
    x = corpus.audio(0)
    monkeypatch.setattr(corpus, "name", "piano_pool")
    heard = corpus.colour(np.random.default_rng(3), x)
    assert heard.shape == x.shape
    a, b = (np.log10(np.abs(np.fft.rfft(y)) + 1e-3) for y in (x / np.std(x), heard / np.std(heard)))
    assert np.std(a - b) > 0.2  # 4 dB
    assert len({tuple(song["programs"].items()) for song in pool.songs}) > 0
    # The room's direct sound is not late: what was a click still begins where it did.
    click = np.zeros(SR)
    click[4000] = 1
    assert 3990 <= np.argmax(np.abs(corpus.colour(np.random.default_rng(3), click))) <= 4010


def test_the_same_bytes_again_and_in_another_process(tmp_path):
    code = f"from weaklib.corpora import load; [load(name, 'validation', 'smoke') for name in {NAMES}]"
    for name in NAMES:
        load(name, "validation", "smoke")
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "WEAKLIB_HOME": str(tmp_path)}, check=True,
                   capture_output=True)
    stored = [path.parent for path in (tmp_path / "corpora").glob("*/audio.npy")]
    assert len(stored) == len(NAMES)
    for folder in stored:
        for part in ("audio.npy", "notes.npy", "songs.json"):
            assert files.sha256(folder / part) == files.sha256(files.home() / "corpora" / folder.name / part)


@pytest.mark.parametrize("name, names", [
    ("piano", ("MAESTRO", "GPL-2", "pedal")), ("guitar", ("GuitarSet", "GPL-2", "acoustic")),
    ("chamber", ("MusicNet-EM", "Gardner", "GPL-2"))])
def test_datasheets_name_stand_in_and_licences(name, names):
    text = datasheet(name)
    assert all(word in text for word in names)
