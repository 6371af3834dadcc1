"""Spectra: tones lie in their rows at their level, events in their frames, and one reference holds for all tracks."""
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve

from weaklib import spectra
from weaklib.files import WeaklibError

SR = 16000
TIME = np.arange(2 * SR) / SR
HOP = 256
NOISE = np.random.default_rng(0).standard_normal(2 * SR)


def tone(frequency, amplitude=1.0):
    return amplitude * np.sin(2 * np.pi * frequency * TIME)


def middle(level):
    """The column in the middle, in dB re the loudest."""
    return spectra.RANGE * (level[:, level.shape[1] // 2] - 1)


@pytest.mark.parametrize("scale", spectra.SCALES)
def test_a_tone_is_in_its_row_and_a_quieter_copy_is_that_much_lower(scale):
    levels = spectra.levels({"loud": tone(440), "quiet": torch.tensor(tone(440, 0.1), requires_grad=True)}, SR, scale)
    rows = spectra.frequencies(SR, scale)
    loud, quiet = middle(levels["loud"]), middle(levels["quiet"])
    assert len(loud) == len(rows) and loud.argmax() == quiet.argmax() == np.abs(rows - 440).argmin()
    assert loud.max() == pytest.approx(0, abs=0.1)
    assert quiet.max() == pytest.approx(loud.max() - 20, abs=0.01)
    far = (rows < 300) | (rows > 640)
    assert loud[far].max() < -20


@pytest.mark.parametrize("scale, frequencies, tolerance", [
    ("linear", [250, 1000, 4000], 0.1),  # centres of bins
    ("mel", [250, 1000, 4000], 2.0),  # a band or two share the energy
    ("cqt", [110, 440, 3520], 0.1),
])
def test_levels_are_those_of_the_amplitudes_at_every_frequency(scale, frequencies, tolerance):
    amplitudes = [0.05, 1, 0.2]
    levels = spectra.levels({f: tone(f, a) for f, a in zip(frequencies, amplitudes)}, SR, scale)
    heard = [middle(level).max() for level in levels.values()]
    np.testing.assert_allclose(heard, 20 * np.log10(amplitudes), atol=tolerance)


@pytest.mark.parametrize("sr", [8000, 44100])
def test_constant_q_has_a_row_for_every_pitch_and_its_edges_say_where(sr):
    low, high = spectra.pitches(sr)
    for pitch in (33, 60, 61, 69, 100):
        x = np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * np.arange(sr) / sr)
        level = middle(spectra.levels({"x": x}, sr, "cqt")["x"])
        row = (pitch - low) / (high - low) * len(level) - 0.5  # of a picture that spans all from low to high
        assert level.argmax() == 2 * (pitch - 21) == pytest.approx(row, abs=1e-6)
        assert level[level.argmax() + np.array([-8, 8])].max() < -25  # a third up and down


@pytest.mark.parametrize("sr", [8000, 22050])
def test_every_row_of_the_constant_q_reads_the_amplitude_even_the_highest(sr):
    """Nearer to half the rate a filter would hear the mirror image of a tone too, at +2.5 dB: there is no such row."""
    rows, time = spectra.frequencies(sr, "cqt"), np.arange(sr) / sr
    assert 0.9 * sr / 2 < rows[-1] < 0.95 * sr / 2
    looked_at = [24, len(rows) // 2, *range(len(rows) - 4, len(rows))]
    levels = spectra.levels({k: np.sin(2 * np.pi * rows[k] * time + k) for k in looked_at}, sr, "cqt")
    for k, level in levels.items():
        inner = spectra.RANGE * (level[:, level.shape[1] // 3:-level.shape[1] // 3] - 1)
        assert -0.15 < inner.max(0).min() and (inner.argmax(0) == k).all()  # 0 dB is the loudest of all


def test_constant_q_is_that_of_librosas_filters():
    """Written out as correlations, in the three octaves where nothing passes between two frames."""
    from librosa.filters import wavelet
    rows = spectra.frequencies(SR, "cqt")[:72]
    x = np.hanning(2 * SR) * (NOISE + tone(82.4))
    bank, _ = wavelet(freqs=rows, sr=SR, filter_scale=spectra.SHARPNESS, pad_fft=False)
    responses = np.stack([fftconvolve(x, of.conj()[::-1]) for of in bank])[:, (bank.shape[1] - 1) // 2:]
    want = np.abs(responses[:, :2 * SR:HOP])
    found = 10 ** (spectra.RANGE / 20 * (spectra.levels({"x": x}, SR, "cqt")["x"][:72, :want.shape[1]] - 1))
    wrong = found - want / want.max()
    assert np.linalg.norm(wrong) < 0.02 * np.linalg.norm(found) and np.abs(wrong).max() < 0.02


@pytest.mark.parametrize("n_fft, seconds", [(1024, 0.005), (1024, 0.1), (400, 1.3), (1500, 1.3)])
def test_constant_q_has_the_frames_of_the_stft_whatever_the_hop_and_the_length(n_fft, seconds):
    x = NOISE[:round(seconds * SR)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear, cqt = (spectra.levels({"x": x}, SR, scale, n_fft=n_fft)["x"] for scale in ("linear", "cqt"))
    assert cqt.shape[1] == linear.shape[1] == -(-len(x) // (n_fft // 4)) + 1 and cqt.max() == 1


@pytest.mark.parametrize("sr", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
def test_mel_bands_have_bins_and_lie_where_they_are_said_to(sr):
    from torchaudio.functional import melscale_fbanks
    n_fft, rows = spectra.window(sr), spectra.frequencies(sr, "mel")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torchaudio warns of empty bands
        bands = melscale_fbanks(n_fft // 2 + 1, 0.0, sr / 2, len(rows), sr).numpy()
    centres = (np.arange(n_fft // 2 + 1) * sr / n_fft) @ bands / bands.sum(0)
    np.testing.assert_allclose(rows, centres, atol=0.5 * sr / n_fft, rtol=0.02)
    assert len(rows) >= 60


@pytest.mark.parametrize("scale", spectra.SCALES)
def test_frames_span_the_signal_from_beginning_to_end(scale):
    at = np.array([0, 8000, 2 * SR - 1])
    clicks = np.zeros(2 * SR)
    clicks[at] = 1
    level = spectra.levels({"clicks": clicks}, SR, scale)["clicks"]
    assert level.shape[1] == 2 * SR // HOP + 1
    highest = level[-12:].mean(0)  # where the filters of the constant-Q transform are short
    assert {0, 8000 // HOP} <= set(np.flatnonzero(highest > 0.9)) and highest[-2:].max() > 0.9
    assert highest[np.r_[5:27, 36:120]].max() == 0


def test_constant_q_sees_noise_of_one_level_at_every_time_and_frequency():
    level = spectra.RANGE * spectra.levels({"noise": NOISE}, SR, "cqt")["noise"][48:-2, 20:-20]  # in dB, from A2 up
    rows = spectra.frequencies(SR, "cqt")[48:-2]
    density = np.log10(np.mean(10 ** (level / 10), axis=1)) * 10 - 10 * np.log10(rows)  # bandwidth grows with frequency
    assert np.abs(density - density.mean()).max() < 2.5


def test_the_louder_channel_counts_bin_by_bin():
    both = spectra.levels({"x": np.stack([tone(500), tone(2000, 0.1)])}, SR)["x"]
    one, other = spectra.levels({"one": tone(500), "other": tone(2000, 0.1)}, SR).values()
    np.testing.assert_allclose(both, np.maximum(one, other), atol=1e-6)


@pytest.mark.parametrize("scale", spectra.SCALES)
def test_layouts_types_and_rates_make_no_difference(scale):
    x = NOISE[:SR // 2]
    want = spectra.levels({"x": x}, SR, scale)["x"]
    for form in (x[::-1].copy()[::-1], x.astype(">f8"), torch.from_numpy(x).requires_grad_(), np.repeat(x, 2)[::2]):
        for sr in (SR, np.int64(SR), np.float64(SR)):
            np.testing.assert_allclose(spectra.levels({"x": form}, sr, scale)["x"], want, atol=1e-4)
        assert np.abs(spectra.difference(form, x, SR, scale)).max() < 0.1
    with pytest.raises(WeaklibError, match="offset"):
        spectra.levels({"x": np.full(SR, 128, np.uint8)}, SR, scale)


def test_silence_is_dark_alone_and_beside_sound():
    for tracks in ({"a": np.zeros(SR)}, {"a": np.zeros(SR), "b": tone(440)}):
        assert all((spectra.levels(tracks, SR, scale)["a"] == 0).all() for scale in spectra.SCALES)


def test_fmax_cuts_rows_off():
    for scale in spectra.SCALES:
        whole, part = (spectra.levels({"x": tone(440)}, SR, scale, fmax=fmax)["x"] for fmax in (None, 1000))
        rows = spectra.frequencies(SR, scale, fmax=1000)
        assert rows[-1] == pytest.approx(1000, rel=0.05)
        np.testing.assert_array_equal(part, whole[:len(rows)])


@pytest.mark.parametrize("scale", spectra.SCALES)
@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_difference_is_the_gain_where_the_reference_is_heard_and_none_where_nothing_is(scale, gain):
    ref = tone(440)
    d = spectra.difference(gain * ref, ref, SR, scale)
    level = spectra.levels({"x": ref}, SR, scale)["x"]
    np.testing.assert_allclose(d[level > 0.2], 20 * np.log10(gain), atol=1e-3)  # at least 6 dB above any floor
    assert (d[level == 0] == 0).mean() > 0.9 and np.abs(d).max() < 6.03


def test_difference_shows_what_is_missing_and_what_is_extra():
    ref, est = tone(500) + tone(2000, 0.5), tone(500) + tone(4000, 0.5)
    d = spectra.difference(est, ref, SR)
    at = [round(f / SR * 1024) for f in (500, 2000, 4000)]
    same, missing, extra = d[at, d.shape[1] // 2]
    floor = spectra.RANGE - 6.02  # dB from a tone of half the amplitude of the loudest
    assert same == pytest.approx(0, abs=0.01)
    assert missing == pytest.approx(-floor, abs=0.1) and extra == pytest.approx(floor, abs=0.1)
    np.testing.assert_allclose(spectra.difference(ref, est, SR), -d, atol=1e-4)


def test_noise_below_the_floor_makes_no_difference():
    ref = tone(440)
    assert np.abs(spectra.difference(ref + 1e-7 * NOISE, ref, SR)).max() < 0.1
    assert np.abs(spectra.difference(ref + 1e-2 * NOISE, ref, SR)).max() > 10  # and above it does


@pytest.mark.parametrize("tracks, options, message", [
    ({}, {}, "no track"),
    ({"a": np.zeros(0)}, {}, "'a' has the shape"),
    ({"a": np.zeros((1, 2, 8))}, {}, "'a' has the shape"),
    ({"a": [0, np.nan]}, {}, "NaN"),
    ({"a": np.zeros(8)}, {"scale": "bark"}, "linear, mel, cqt"),
    ({"a": np.zeros(8)}, {"fmax": 9000}, "at most half"),
    ({"a": np.zeros(8)}, {"scale": "cqt", "fmax": 20}, "more than 28 Hz"),
])
def test_what_cannot_be_drawn(tracks, options, message):
    with pytest.raises(WeaklibError, match=message) as e:
        spectra.levels(tracks, SR, **options)
    assert str(e.value).endswith(".") and "\n" not in str(e.value)


def test_an_estimate_of_another_length_is_refused():
    with pytest.raises(WeaklibError, match="differ in length"):
        spectra.difference(np.zeros(8), np.zeros(9), SR)


def test_the_transform_is_silent(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spectra.levels({"x": tone(440)}, SR, "cqt")
    assert capfd.readouterr() == ("", "")


def test_imports_are_light():
    code = ("import sys, weaklib.plots, weaklib.spectra, weaklib.sonify\n"
            "heavy = {'torch', 'torchaudio', 'librosa', 'numba', 'matplotlib', 'pretty_midi'}\n"
            "print(sorted(heavy & set(sys.modules)))")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"
