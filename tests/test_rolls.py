"""Notes as rolls and back: by hand, and against each other."""
import numpy as np
import pytest
import torch

from weaklib import audio, rolls
from weaklib.files import WeaklibError


def test_roll_of_a_score_by_hand():
    notes = np.array([[0.0, 0.5, 21, 90], [0.24, 0.26, 60, 80], [0.76, 1.26, 108, 70], [1.9, 2.5, 60, 80]])
    roll = rolls.piano_roll(notes, 9, 4)  # frames at 0, 0.25, ... 2 s
    expected = np.zeros((88, 9))
    expected[0, 0:2] = 1  # A0, frames at 0 and 0.25: at 0.5 it is over
    expected[39, 1] = 1  # C4: shorter than a frame, but there
    expected[87, 3:5] = 1  # C8, from 0.75 up to and without 1.25
    expected[39, 8] = 1  # goes on after the end
    assert np.array_equal(roll, expected)
    assert not rolls.piano_roll(np.zeros((0, 4)), 9, 4).any()


def test_what_lies_before_or_after_is_not_heard_and_wraps_nowhere():
    notes = np.array([[-1.0, 0.5, 60], [-2.0, -1.0, 61], [-0.5, 0.0, 62], [5.0, 6.0, 63], [-1e300, 1e300, 64]])
    roll = rolls.piano_roll(notes, 8, 4)
    expected = np.zeros((88, 8))
    expected[39, 0:2] = 1  # what is left of the first
    expected[43] = 1
    assert np.array_equal(roll, expected)


@pytest.mark.parametrize("note", [(0, 1, 20), (0, 1, 109), (0, 1, 15), (0, 1, 110), (0, 1, -3), (0, 1, 128),
                                  (0, 1, np.nan), (0, np.inf, 60), (np.nan, 1, 60)])
def test_notes_that_no_roll_can_hold_are_refused(note):
    with pytest.raises(WeaklibError, match="MIDI pitches 21 to 108 at finite times.*leave such notes out"):
        rolls.piano_roll(np.array([(0, 1, 60), note]), 9, 4)


def test_a_pitch_is_the_nearest_key():
    heard = rolls.piano_roll(np.array([[0, 1, 59.9999999]]), 4, 4)
    assert np.flatnonzero(heard.any(1)).tolist() == [60 - 21]


def random_notes(rng, n_frames, rate):
    """Notes (n, 4) in the middle of whole frames, at least two frames long, with a frame between those of one pitch."""
    found = []
    for pitch in rng.choice(np.arange(21, 109), 12, replace=False):
        frame = int(rng.integers(0, 10))
        while (stop := frame + int(rng.integers(2, 12))) <= n_frames:
            jitter = rng.uniform(-0.4, 0.4, 2)
            found.append(((frame + jitter[0]) / rate, (stop + jitter[1]) / rate, pitch, 80))
            frame = stop + int(rng.integers(1, 9))
    return np.array(sorted(found))


def test_notes_of_a_roll_are_those_it_was_made_of():
    for seed in range(20):
        played = random_notes(np.random.default_rng(seed), 100, 32)
        got = rolls.notes(rolls.piano_roll(played, 100, 32) > 0, 32)
        assert len(got) == len(played)
        by_pitch = lambda rows: rows[np.lexsort((rows[:, 0], rows[:, 2]))]
        assert np.array_equal(by_pitch(got)[:, 2], by_pitch(played)[:, 2])
        assert np.abs(by_pitch(got)[:, :2] - by_pitch(played)[:, :2]).max() <= 0.5 / 32
        assert np.all(np.diff(got[:, 0]) >= 0)


def test_single_frames_are_no_notes_unless_asked_for():
    roll = np.zeros((88, 20), bool)
    roll[3, 5] = roll[4, 5:7] = roll[87, 18:] = roll[0, :2] = True
    assert rolls.notes(roll, 10).tolist() == [[0, 0.2, 21], [0.5, 0.7, 25], [1.8, 2.0, 108]]
    assert rolls.notes(roll, 10, min_frames=1).tolist()[1] == [0.5, 0.6, 24]
    assert rolls.notes(np.zeros((88, 20)), 10).shape == (0, 3)


@pytest.mark.parametrize("n, hop", [(64000, 500), (64001, 500), (63999, 500), (1, 4)])
def test_a_roll_has_as_many_frames_as_the_spectrum(n, hop):
    assert rolls.n_frames(n, hop) == audio.stft(torch.zeros(n), 4 * hop, hop).shape[-1]


def test_a_cut_has_what_sounds_in_it_and_leaves_the_score_alone():
    score = np.array([[0.0, 1.0, 60, 80], [0.5, 2.5, 61, 80], [1.0, 1.5, 62, 80], [2.0, 3.0, 63, 80], [1.9, 9, 64, 80]])
    before = score.copy()
    assert rolls.cut(score, 1.0, 1.0).tolist() == [[0, 1, 61, 80], [0, 0.5, 62, 80], [pytest.approx(0.9), 1, 64, 80]]
    assert np.array_equal(score, before)
