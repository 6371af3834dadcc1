"""Notes as sound: each is heard at its pitch and in its time, and nothing else is."""
import subprocess
import sys
import tracemalloc

import numpy as np
import pretty_midi
import pytest
import torch

from weaklib import sonify
from weaklib.files import WeaklibError

SR = 16000
NOTES = [[0.25, 0.75, 57], [0.5, 1.0, 64], [1.25, 1.5, 82]]
HERTZ = {57: 220.0, 64: 329.63, 82: 932.33}  # none a harmonic of another


def strength(x, frequency):
    """Amplitude of a sine in `x`, by correlation with it."""
    window = np.hanning(len(x))
    return 2 * abs(np.sum(x * window * np.exp(-2j * np.pi * frequency * np.arange(len(x)) / SR))) / window.sum()


def test_notes_sound_at_their_fundamental_in_their_time():
    x = sonify.notes(NOTES, SR, 2 * SR)
    assert x.shape == (2 * SR,) and x.dtype == np.float32 and np.abs(x).max() == pytest.approx(sonify.PEAK)
    for start in np.arange(0, 2, 0.25):
        part = x[round(start * SR):round((start + 0.25) * SR)]
        sounding = {pitch for onset, offset, pitch in NOTES if onset <= start < offset}
        for pitch, frequency in HERTZ.items():
            heard = strength(part, frequency)
            assert heard > 0.05 if pitch in sounding else heard < 0.02, (start, pitch)
        if not sounding:
            assert not part.any()


@pytest.mark.parametrize("length", [SR // 2, SR, 3 * SR])
def test_length_is_as_asked(length):
    x, whole = sonify.notes(NOTES, SR, length), sonify.notes(NOTES, SR, 2 * SR)
    n = min(length, len(whole))
    assert len(x) == length and np.corrcoef(x[:n], whole[:n])[0, 1] > 0.999999


def long_midi(end):
    """Notes, one of them as long as all, with pitch bends, and a controller at the very end."""
    midi = pretty_midi.PrettyMIDI()
    midi.instruments = [pretty_midi.Instrument(0), pretty_midi.Instrument(30), pretty_midi.Instrument(0, is_drum=True)]
    midi.instruments[0].notes = [pretty_midi.Note(60 + 5 * k, 40 + k, 0.4 * k, 0.4 * k + 0.5) for k in range(10)]
    midi.instruments[1].notes = [pretty_midi.Note(90, 52, 0.3, end)]
    midi.instruments[1].pitch_bends = [pretty_midi.PitchBend(bend, time)
                                       for bend, time in ((2000, 0.5), (-3000, 1.1), (1000, 1.45), (500, end - 0.1))]
    midi.instruments[2].notes = [pretty_midi.Note(100, 38, 0, 1)]
    for inst in midi.instruments:
        inst.control_changes.append(pretty_midi.ControlChange(64, 0, end))
    return midi


@pytest.mark.parametrize("length", [0, 1, 1000, SR, 24000, 24001, 3 * SR])
def test_a_part_sounds_as_it_does_in_the_whole(length):
    """Cut out of all that pretty_midi plays, also through a note and between its bends."""
    midi = long_midi(8.0)
    notes = [len(inst.notes) for inst in midi.instruments]
    whole = midi.synthesize(SR, sonify._wave, normalize=False)[:length]
    peak = np.abs(whole).max(initial=0)
    np.testing.assert_allclose(sonify.notes(midi, SR, length), sonify.PEAK * whole / (peak or 1), atol=1e-6)
    assert [len(inst.notes) for inst in midi.instruments] == notes and midi.instruments[1].notes[0].end == 8.0


def test_only_what_is_wanted_is_played():
    tracemalloc.start()
    assert sonify.notes(long_midi(3600.0), SR, SR).any()
    assert sonify.notes([[0, 3600.0, 50], [3599.0, 3600.0, 60]], SR, SR).any()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # the hour would be 460 MB


def test_midi_arrays_and_tensors_sound_alike():
    midi = pretty_midi.PrettyMIDI()
    midi.instruments = [pretty_midi.Instrument(program) for program in (0, 30)]
    for k, (onset, offset, pitch) in enumerate(NOTES):
        midi.instruments[k % 2].notes.append(pretty_midi.Note(100, pitch, onset, offset))
    expected = sonify.notes(midi, SR, SR)
    np.testing.assert_allclose(sonify.notes(NOTES, SR, SR), expected, atol=1e-6)
    with_velocity = torch.tensor([[*row, 100.0] for row in NOTES])
    np.testing.assert_allclose(sonify.notes(with_velocity, SR, SR), expected, atol=1e-3)


def test_velocity_is_loudness():
    x = sonify.notes([[0, 0.5, 57, 30], [1, 1.5, 57, 120]], SR, 2 * SR)
    assert np.abs(x[:SR]).max() / np.abs(x[SR:]).max() == pytest.approx(30 / 120, rel=1e-3)


@pytest.mark.parametrize("nothing", [[], np.zeros((0, 3)), pretty_midi.PrettyMIDI()])
def test_no_notes_are_silence(nothing):
    x = sonify.notes(nothing, SR, 100)
    assert x.shape == (100,) and not x.any()


def test_nothing_folds_back_from_above_half_the_rate():
    assert not sonify.notes([[0, 1, 108]], 8000, 8000).any()  # 4186 Hz
    x = sonify.notes([[0, 1, 100]], 8000, 8000)  # 2637 Hz, whose next harmonic would be heard at 2726 Hz
    spectrum = np.abs(np.fft.rfft(x * np.hanning(8000)))
    assert spectrum.argmax() == 2637 and spectrum[:2600].max() < 1e-3 * spectrum.max()
    assert spectrum[2700:].max() < 1e-3 * spectrum.max()


@pytest.mark.parametrize("rows", [[[0, 1]], [[1, 0, 60]], [[0, 1, 128]], [[-1, 1, 60]], [[0, np.nan, 60]], [0, 1, 60]])
def test_rows_that_are_no_notes(rows):
    with pytest.raises(WeaklibError, match="cannot be played") as e:
        sonify.notes(rows, SR, SR)
    assert str(e.value).endswith(".") and "\n" not in str(e.value)


def test_it_needs_no_fluidsynth():
    code = ("import sys; sys.modules['fluidsynth'] = None\n"
            "from weaklib import sonify; print(sonify.notes([[0, 1, 69]], 8000, 8000).any())")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "True\n"
