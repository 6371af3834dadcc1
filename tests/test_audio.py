"""weaklib.audio: values against numpy, scipy and closed forms; every kind of bad file gets one sentence."""
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch

from weaklib import audio
from weaklib.files import WeaklibError

RNG = np.random.default_rng(0)


def tone(f, sr, seconds=1.0, channels=1):
    """Sines of frequency f, 2 f, ... at half of full scale, shape=(channel, time)."""
    t = np.arange(round(sr * seconds)) / sr
    return 0.5 * np.sin(2 * np.pi * f * np.arange(1, channels + 1)[:, None] * t).astype(np.float32)


def one_sentence(error):
    text = str(error.value)
    return text.endswith(".") and "\n" not in text


# Files

@pytest.mark.parametrize("name, subtype, sr, channels, tol", [
    ("a.wav", "PCM_U8", 8000, 1, 1e-2), ("b.WAV", "PCM_16", 44100, 2, 1e-4), ("c.wav", "FLOAT", 16000, 1, 0),
    ("d.flac", "PCM_24", 96000, 6, 1e-6), ("e.ogg", "VORBIS", 22050, 2, 7e-2),
    ("f.mp3", "MPEG_LAYER_III", 44100, 1, 7e-2)])
def test_read_formats(tmp_path, name, subtype, sr, channels, tol):
    x = tone(440, sr, channels=channels)
    soundfile.write(tmp_path / name, x.T, sr, subtype=subtype)
    y, got = audio.read(tmp_path / name)
    assert (y.dtype, got, y.shape[0]) == (np.float32, sr, channels)
    assert np.abs(y[:, :sr // 2] - x[:, :sr // 2]).max() <= tol


def test_read_resamples(tmp_path):
    audio.write(tmp_path / "x.wav", tone(440, 44100, channels=2), 44100)
    y, sr = audio.read(tmp_path / "x.wav", sr=8000)
    assert sr == 8000 and y.shape == (2, 8000)
    assert np.abs(y - tone(440, 8000, channels=2))[:, 400:-400].max() < 1e-3


def broken(path):
    path.write_bytes(b"RIFF this is no audio at all")


def empty(path):
    soundfile.write(path, np.zeros((0, 1)), 8000)


def not_finite(path):
    x = tone(440, 8000)[0]
    x[100] = np.nan
    soundfile.write(path, x, 8000, subtype="FLOAT")


def constant(path):
    soundfile.write(path, np.full(8000, 0.25), 8000)


@pytest.mark.parametrize("kind", ["WAV", "AIFF"])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_file_that_was_cut_off_is_told(tmp_path, kind, subtype):
    path = tmp_path / f"x.{kind.lower()}"
    soundfile.write(path, np.linspace(-0.5, 0.5, 16000), 8000, subtype=subtype, format=kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole, _ = audio.read(path)
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    with pytest.warns(UserWarning, match="lacks about 1.0 s"):
        half, _ = audio.read(path)
    assert half.shape[-1] == pytest.approx(8000, abs=50)
    assert np.array_equal(half, whole[:, :half.shape[-1]])


@pytest.mark.parametrize("make, says", [(broken, "cannot be read"), (empty, "no samples"), (not_finite, "finite"),
                                        (constant, "silent"), (lambda path: None, "no file")])
def test_read_refuses(tmp_path, make, says):
    path = tmp_path / "x.wav"
    make(path)
    with pytest.raises(WeaklibError, match=says) as error:
        audio.read(path)
    assert str(path) in str(error.value) and one_sentence(error)


def test_read_takes_silence_if_asked(tmp_path):
    constant(tmp_path / "x.wav")
    assert np.all(audio.read(tmp_path / "x.wav", allow_silent=True)[0] == 0.25)


def test_wav_keeps_what_exceeds_full_scale(tmp_path):
    x = 3 * RNG.standard_normal((2, 1000)).astype(np.float32)
    audio.write(tmp_path / "deep" / "x.wav", x, 8000)
    assert np.array_equal(audio.read(tmp_path / "deep" / "x.wav")[0], x)


@pytest.mark.parametrize("name, x, says", [
    ("x.flac", np.full(10, 1.5), "clip"), ("x.wav", np.full(10, np.inf), "finite"), ("x.txt", np.ones(10), "ends in")])
def test_write_refuses_and_keeps_what_was_there(tmp_path, name, x, says):
    (tmp_path / name).write_text("before")
    with pytest.raises(WeaklibError, match=says) as error:
        audio.write(tmp_path / name, x, 8000)
    assert one_sentence(error) and [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "before"


# Rates and levels

def test_resample_keeps_the_band_and_removes_what_would_alias():
    y = audio.resample(tone(5000, 22050), 22050, 8000)[0]
    assert audio.db(audio.rms(y[400:-400])) < -80
    y = audio.resample(tone(3000, 22050), 22050, 8000)[0]
    assert np.abs(y - tone(3000, 8000)[0])[400:-400].max() < 1e-3


def test_resample_shapes_and_types():
    x = (1000 * RNG.standard_normal((2, 3, 441))).astype(np.int16)
    y = audio.resample(x, 44100, 8000)
    assert y.shape == (2, 3, 80) and y.dtype == np.float32
    assert np.array_equal(y[1, 2], audio.resample(x[1, 2], 44100, 8000))
    assert audio.resample(x.astype(np.float64), 44100, 8000).dtype == np.float64
    assert np.array_equal(audio.resample(x, 8000, 8000), x)


def test_levels():
    x = tone(100, 8000)[0]
    assert audio.rms(x) == pytest.approx(0.5 / np.sqrt(2))
    assert audio.rms(np.stack([x, 2 * x]))[1] == pytest.approx(1 / np.sqrt(2))
    assert audio.rms(np.full(9, -30000, np.int16)) == 30000
    assert audio.db(0.1) == pytest.approx(-20) and audio.db(0) == -np.inf
    y = audio.level(np.stack([x, 3 * x]), -25)
    assert audio.db(audio.rms(y.ravel())) == pytest.approx(-25) and np.allclose(y[1], 3 * y[0])
    with pytest.raises(WeaklibError, match="silent"):
        audio.level(np.zeros(10), -25)


def test_mix_adds_over_the_source_axis():
    x = RNG.standard_normal((2, 3, 5))
    assert np.array_equal(audio.mix(x), x[:, 0] + x[:, 1] + x[:, 2])
    assert torch.equal(audio.mix(torch.from_numpy(x)), torch.from_numpy(audio.mix(x)))


# STFT

@pytest.mark.parametrize("n_fft, hop_length", [(512, 256), (512, 128), (64, 20)])
@pytest.mark.parametrize("length", [1, 255, 256, 1000, 1025])
def test_stft_reconstructs_to_the_ends(n_fft, hop_length, length):
    x = torch.from_numpy(RNG.standard_normal((2, 3, length)))
    X = audio.stft(x, n_fft, hop_length)
    assert X.shape == (2, 3, n_fft // 2 + 1, -(-length // hop_length) + 1)
    assert (audio.istft(X, hop_length, length) - x).abs().max() < 1e-12


@pytest.mark.parametrize("hop_length", [128, 64])
def test_stft_against_scipy(hop_length):
    x, n_fft = RNG.standard_normal(1024), 256
    window = np.sqrt(scipy.signal.get_window("hann", n_fft))
    _, _, ref = scipy.signal.stft(x, window=window, nperseg=n_fft, noverlap=n_fft - hop_length, boundary="zeros")
    X = audio.stft(torch.from_numpy(x), n_fft, hop_length).numpy()
    assert np.allclose(X, ref * window.sum(), atol=1e-12)


def test_istft_of_a_masked_stft_is_the_closest_signal():
    """Overlap-add over the window sum is the least-squares inverse: no signal's STFT is nearer."""
    X = audio.stft(torch.from_numpy(RNG.standard_normal(256)), 64, 16) * torch.from_numpy(RNG.random((33, 17)))
    x = audio.istft(X, 16, 256)
    X = torch.cat([X, X[1:-1].conj()])  # both halves of the spectrum count

    def distance(y):
        Y = audio.stft(y, 64, 16)
        return float((torch.cat([Y, Y[1:-1].conj()]) - X).abs().square().sum())

    for _ in range(5):
        step = 1e-3 * torch.from_numpy(RNG.standard_normal(256))
        assert distance(x) < distance(x + step)


def test_stft_is_differentiable_and_refuses_gaps():
    x = torch.randn(1000, requires_grad=True)
    audio.istft(audio.stft(x, 512, 128), 128, 1000).sum().backward()
    assert torch.allclose(x.grad, torch.ones(1000), atol=1e-4)
    with pytest.raises(WeaklibError, match="hop_length=300"):
        audio.stft(x, 512, 300)
    with pytest.raises(WeaklibError, match="frames"):
        audio.istft(audio.stft(x, 512, 128), 128, 2000)


def test_import_is_light():
    code = "import sys, weaklib.audio; print({'torch', 'soxr', 'soundfile', 'librosa'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


ROWS = np.arange(12.0).reshape(3, 4) - 4


@pytest.mark.parametrize("form", [
    lambda x: x[::-1, ::-1][::-1, ::-1], np.asfortranarray,
    lambda x: np.repeat(x, 2, 1)[:, ::2], lambda x: x.astype(">f8"),
    lambda x: x.astype(np.int64), lambda x: x.tolist(), lambda x: list(x), lambda x: tuple(torch.from_numpy(x)),
    lambda x: torch.from_numpy(x).requires_grad_(), lambda x: torch.from_numpy(x).bfloat16(),
    lambda x: torch.from_numpy(x).half().requires_grad_(), lambda x: torch.from_numpy(np.asfortranarray(x)),
    lambda x: [torch.from_numpy(row).requires_grad_() for row in x], lambda x: -torch.from_numpy(-x),
    lambda x: torch.imag(torch.complex(torch.zeros(3, 4).double(), torch.from_numpy(-x)).conj())])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_kinds_of_numbers_become_one_kind_of_array(form, dtype):
    found = audio.to_numpy(form(ROWS), dtype)
    assert isinstance(found, np.ndarray) and found.dtype == dtype and found.dtype.isnative
    np.testing.assert_array_equal(found, ROWS)
    torch.from_numpy(found.copy() if not found.flags.writeable else found)  # which takes no negative strides
    np.testing.assert_array_equal(audio.to_numpy(form(ROWS), None), ROWS)


def test_reversed_arrays_and_single_numbers():
    backwards = audio.to_numpy(ROWS[::-1, ::-1], np.float64)
    assert min(backwards.strides) > 0 and backwards[0, 0] == ROWS[-1, -1]
    assert audio.to_numpy(3.0).shape == audio.to_numpy(torch.tensor(3.0, requires_grad=True)).shape == ()
    assert audio.to_numpy([]).shape == (0,) and audio.to_numpy(np.ones(2, bool), None).dtype == bool


@pytest.mark.parametrize("x", ["song.wav", None, [[1, 2], [3]], {"a": 1}, [torch.zeros(2), torch.zeros(3)]])
def test_what_is_no_array_is_refused(x):
    with pytest.raises(WeaklibError, match="not an array of numbers") as e:
        audio.to_numpy(x)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("x", [np.ones(3, complex), torch.ones(3, dtype=torch.complex64)])
def test_complex_values_are_not_halved(x):
    with pytest.raises(WeaklibError, match="not real numbers"):
        audio.to_numpy(x)


@pytest.mark.parametrize("x", [np.full(8, 128, np.uint8), torch.full((8,), 128, dtype=torch.uint8),
                               np.full(8, 1 << 15, np.uint16)])
def test_unsigned_sound_is_refused_but_an_unsigned_roll_is_a_roll(x):
    with pytest.raises(WeaklibError, match="has an offset") as e:
        audio.to_numpy(x, sound=True)
    assert "\n" not in str(e.value)
    assert (audio.to_numpy(x) > 0).all()
    assert audio.to_numpy(np.array([-3, 4], np.int16), sound=True).tolist() == [-3, 4]
