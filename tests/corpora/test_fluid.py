"""The renderer: it plays what is written, where it is written, and the same every time."""
import hashlib
import os
import subprocess
import sys

import numpy as np
import pretty_midi
import pytest

from weaklib.audio import rms
from weaklib.corpora import composer, fluid
from weaklib.files import WeaklibError
from weaklib.midi import instrument

SR = 16000
LOWEST = {"piano": 36, "guitar": 40, "bass": 28}
SCORE = [(0.1, 0.5, 60, 90), (0.1, 0.8, 64, 70), (0.45, 1.2, 67, 110), (0.6, 0.9, 60, 80)]
PRINT_HASH = ("import hashlib; from weaklib.corpora import fluid; from weaklib.midi import instrument; "
              f"print(hashlib.sha256(fluid.render(instrument({SCORE}, 30), 16000, 2.0).tobytes()).hexdigest())")


def play(notes, program=0, duration=None, sr=SR, **changes):
    inst = instrument(notes, program)
    inst.control_changes = [pretty_midi.ControlChange(*c) for c in changes.get("controls", [])]
    inst.pitch_bends = [pretty_midi.PitchBend(*b) for b in changes.get("bends", [])]
    return fluid.render(inst, sr, duration)


def cents_off(x, pitch, sr=SR):
    """Deviation of `x` from a MIDI pitch: the first strong peak of the autocorrelation, octaves included."""
    f = 440 * 2 ** ((pitch - 69) / 12)
    window = np.hanning(len(x))
    size = 4 * len(x)
    acf = np.fft.irfft(np.abs(np.fft.rfft(x * window, size)) ** 2)[:len(x)]
    acf = acf / np.fft.irfft(np.abs(np.fft.rfft(window, size)) ** 2)[:len(x)]  # the window's own decay
    lags = np.arange(int(sr / f / 3), int(sr / f * 2.5))
    peaks = lags[(acf[lags] > acf[lags - 1]) & (acf[lags] >= acf[lags + 1])]
    k = peaks[acf[peaks] > 0.85 * acf[peaks].max()][0]
    a, b, c = acf[k - 1:k + 2]
    return 1200 * np.log2(sr / (k + 0.5 * (a - c) / (a - 2 * b + c)) / f)


@pytest.mark.parametrize("instrument", composer.INSTRUMENTS)
def test_pitch_and_onset_are_those_of_the_score(instrument):
    late = []
    for program in composer.PROGRAMS[instrument]:
        for pitch in range(LOWEST[instrument], LOWEST[instrument] + 25, 4):
            x = play([(0.5, 1.5, pitch, 90)], program)
            assert abs(cents_off(x[round(0.65 * SR):round(1.25 * SR)], pitch)) < 20, (program, pitch)
            late.append(np.argmax(np.abs(x) > 0.02 * np.abs(x).max()) / SR - 0.5)
    assert np.min(late) > -0.002
    assert np.quantile(late, 0.95) < 0.010


def test_the_pitch_oracle_hears_an_octave():
    t = np.arange(8000) / SR
    tone = sum(np.sin(2 * np.pi * 110 * k * t) / k for k in (1, 2, 3))
    assert abs(cents_off(tone, 45)) < 1
    assert cents_off(tone, 57) == pytest.approx(-1200, abs=1)
    assert cents_off(tone, 33) == pytest.approx(1200, abs=1)


def test_length_rate_and_silence():
    assert play(SCORE, duration=1.234).shape == (round(1.234 * SR),)
    assert play(SCORE, sr=22050).shape == (round((1.2 + fluid.TAIL) * 22050),)
    assert play(SCORE).dtype == np.float32
    assert not play([], duration=0.5).any()
    assert np.abs(play(SCORE)[:round(0.09 * SR)]).max() < 1e-4


def test_the_same_bytes_again_and_in_another_process():
    first, again = (play(SCORE, 30, 2.0).tobytes() for _ in range(2))
    assert first == again
    other = subprocess.run([sys.executable, "-c", PRINT_HASH], capture_output=True, text=True, check=True,
                           env={**os.environ, "CI": "true"})  # with it, pyfluidsynth would print what it found
    assert other.stdout.strip() == hashlib.sha256(first).hexdigest()
    assert other.stderr == ""


@pytest.mark.parametrize("program", [0, 30, 33])
def test_notes_add_up(program):
    together = play(SCORE[:3], program, 2.0)
    alone = sum(play([note], program, 2.0) for note in SCORE[:3])
    assert rms(together - alone) < 1e-3 * rms(together)


def test_velocity_bend_volume_and_pedal_are_obeyed():
    note = [(0.1, 0.6, 57, 100)]
    loud = [rms(play([(0.1, 0.6, 57, v)])) for v in (32, 64, 96, 127)]
    assert np.all(np.diff(loud) > 0.2 * loud[0])
    assert rms(play(note, controls=[(7, 40, 0.0)])) < 0.3 * rms(play(note))
    bent = play(note, bends=[(4096, 0.0)])
    assert abs(cents_off(bent[3000:9000], 58)) < 20
    after = slice(round(1.0 * SR), round(1.4 * SR))
    held = play(note, controls=[(64, 127, 0.0), (64, 0, 1.5)], duration=3.0)
    assert rms(held[after]) > 20 * rms(play(note, duration=3.0)[after])
    assert rms(held[-SR // 2:]) < 0.02 * rms(held[after])


def test_no_note_hangs():
    # struck again while it sounds, doubled in unison, and shorter than a block
    notes = [(0.1, 0.8, 60, 90), (0.4, 0.6, 60, 90), (0.4, 0.5, 60, 40), (0.5, 0.5001, 48, 90)]
    x = play(notes, 16, 1.5)  # an organ: it sounds for as long as it is held
    assert rms(x[round(0.45 * SR):round(0.59 * SR)]) > 1000 * rms(x[-SR // 2:])
    ends = [event for event in fluid._note_events(instrument(notes, 0).notes) if event[2] == "noteoff"]
    starts = [event for event in fluid._note_events(instrument(notes, 0).notes) if event[2] == "noteon"]
    assert len(starts) == len(ends) == 3
    assert all(off[0] > on[0] for on, off in zip(starts, ends))


def test_events_at_one_time_come_in_order():
    inst = instrument([(0.0, 0.5, 60, 90), (0.5, 1.0, 60, 80)], 0)
    inst.pitch_bends = [pretty_midi.PitchBend(100, 0.5)]
    inst.control_changes = [pretty_midi.ControlChange(64, 127, 0.5002), pretty_midi.ControlChange(64, 0, 0.5)]
    at = fluid._block(0.5)
    assert [event[2:] for event in fluid._events(inst) if event[0] == at] == [
        ("noteoff", 60), ("cc", 64, 0), ("cc", 64, 127), ("pitch_bend", 100), ("noteon", 60, 80)]


def test_drums_are_drums():
    inst = instrument([(0.1, 0.2, 36, 100)], 0, is_drum=True)
    kick, piano = fluid.render(inst, SR, 1.0), play([(0.1, 0.2, 36, 100)], 0, 1.0)
    assert rms(kick) > 0 and np.corrcoef(kick, piano)[0, 1] < 0.5


def test_fluidsynth_says_nothing(capfd):
    play(SCORE)
    with pytest.raises(WeaklibError, match="no program 200"):
        play(SCORE, 200)
    assert capfd.readouterr() == ("", "")


def test_what_is_missing_is_said(monkeypatch):
    fluid._fluidsynth.cache_clear()
    monkeypatch.setitem(sys.modules, "fluidsynth", None)
    with pytest.raises(WeaklibError, match="apt-get.*brew.*conda"):
        play(SCORE)
    assert not fluid._fluidsynth.cache_info().currsize


def test_a_soundfont_is_read_on_one_thread(monkeypatch):
    """FluidSynth's OpenMP would spin on all cores for each stem, and stand still beside a training."""
    module = fluid._fluidsynth()[0]
    openmp = module._fl
    before, seen, load = openmp.omp_get_max_threads(), [], module.Synth.sfload
    openmp.omp_set_num_threads(3)
    try:
        monkeypatch.setattr(module.Synth, "sfload", lambda *a: seen.append(openmp.omp_get_max_threads()) or load(*a))
        assert play(SCORE).any() and seen == [1] and openmp.omp_get_max_threads() == 3
    finally:
        openmp.omp_set_num_threads(before)


def test_generators_are_added_to():
    note = instrument([(0.0, 0.6, 60, 90)], 73)

    def heard(**amounts):
        note.control_changes = fluid.changes(**amounts)
        return fluid.render(note, SR, 2.0)

    def pitch(x):
        spectrum = np.abs(np.fft.rfft(x[SR // 10:SR // 2] * np.hanning(len(x[SR // 10:SR // 2])), 2 ** 17))
        return 12 * np.log2(np.argmax(spectrum) * SR / 2 ** 17 / 440) + 69

    written = pitch(heard())
    assert pitch(heard(semitones=4)) - written == pytest.approx(4, abs=0.1)
    assert pitch(heard(semitones=-3, cents=-40)) - written == pytest.approx(-3.4, abs=0.1)
    tails = [rms(heard(release=amount)[round(0.65 * SR):]) for amount in (-1200, 0, 1200)]
    assert tails[0] < 0.8 * tails[1] < 0.64 * tails[2]


def test_a_program_of_the_drums_is_a_kit_and_one_that_is_not_there_the_standard_one():
    notes = [(0.1, 0.2, 36, 100), (0.4, 0.5, 38, 100)]
    standard, brush, none = (fluid.render(instrument(notes, kit, is_drum=True), SR, 1.0) for kit in (0, 40, 77))
    assert np.array_equal(standard, none) and np.corrcoef(standard, brush)[0, 1] < 0.9
