"""Files of every kind: what comes out is what was put in, to the true end, and what cannot be read gets one sentence.

PyAV encodes what soundfile does not. Lossy codecs are compared by the error's level and by how far they shift.
"""
import os
import subprocess
import sys
import tracemalloc
import warnings
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from weaklib import audio
from weaklib.files import WeaklibError

SR = 44100


def sweep(seconds=3.0, sr=SR, channels=2):
    """Sweeps from 200 Hz, each channel to another end, shape=(channel, time): no two places are alike."""
    t = np.arange(round(seconds * sr)) / sr
    ends = np.array([[2000], [3000], [1500], [2500]])[:channels]
    return (0.4 * np.sin(2 * np.pi * (200 * t + (ends - 200) / (2 * seconds) * t ** 2))).astype(np.float32)


def encode(path, x, codec, sr=SR, container=None, video=False):
    """Write a file with PyAV, of one or two channels."""
    layout = "mono" if len(x) == 1 else "stereo"
    with av.open(str(path), "w", format=container) as f:
        stream = f.add_stream(codec, rate=sr, layout=layout)
        stream.bit_rate = 192_000
        if video:
            film(f)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(x), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = sr, 0
        f.mux(stream.encode(frame))
        f.mux(stream.encode(None))


def film(f):
    """Two seconds of darkness."""
    stream = f.add_stream("mpeg4", rate=10)
    stream.width = stream.height = 64
    stream.codec_context.time_base = Fraction(1, 10)
    for k in range(20):
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))
        picture.pts, picture.time_base = k, Fraction(1, 10)
        f.mux(stream.encode(picture))
    f.mux(stream.encode(None))


def shift(x, y):
    """By how many samples the beginning of `y` comes later than that of `x`."""
    n = 2 * len(x)
    lags = np.fft.irfft(np.fft.rfft(y[:len(x)], n) * np.fft.rfft(x, n).conj())
    lag = int(np.argmax(lags))
    return lag if lag < n // 2 else lag - n


def snr(x, y):
    """Of the samples that both have, in dB."""
    n = min(x.shape[-1], y.shape[-1])
    x, y = x[..., :n], y[..., :n]
    return 10 * np.log10(np.square(x).sum() / (np.square(x - y).sum() + 1e-30))


# To the true end

@pytest.fixture(scope="module")
def variable():
    """An mp3 of variable bit rate: 10 s of noise and 20 s of a sine, which need very different ones."""
    x = np.r_[0.3 * np.random.default_rng(0).standard_normal(10 * SR), 0.3 * np.sin(np.arange(20 * SR) * 0.0313)]
    x = x.clip(-1, 1).astype(np.float32)
    path = os.path.join(os.environ["WEAKLIB_HOME"], "variable.mp3")
    soundfile.write(path, x, SR, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="VARIABLE", compression_level=0.2)
    with open(path, "rb") as f:
        return x, f.read()


def headless(data):
    """An mp3 without the frame that tells its length."""
    return data[data.index(b"\xff\xfb", data.index(b"Xing") + 4):]


def test_mp3_of_variable_rate_without_a_header(tmp_path, variable):
    x, data = variable
    (tmp_path / "x.mp3").write_bytes(headless(data))
    y, sr = audio.read(tmp_path / "x.mp3")
    lag = shift(x[:8 * SR], y[0])
    assert abs(y.shape[-1] - len(x)) < 0.05 * SR and 0 < lag < 0.05 * SR  # which the header would have taken off
    assert audio.probe(tmp_path / "x.mp3") == (1, y.shape[-1], sr) and snr(x[12 * SR:], y[0, lag + 12 * SR:]) > 20


@pytest.mark.parametrize("between", [b"", b"TAG" + bytes(125), b"ID3\x03\x00\x00\x00\x0f\x42\x40"
                                     + np.random.default_rng(1).bytes(0xf << 14 | 0x42 << 7 | 0x40)])
def test_joined_mp3s(tmp_path, variable, between):
    """One after the other, with tags or a picture of 250 kB between them."""
    x, data = variable
    (tmp_path / "x.mp3").write_bytes(data + between + data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = audio.read(tmp_path / "x.mp3")[0][0]
    assert abs(len(y) - 2 * len(x)) < 0.1 * SR and snr(x[12 * SR:], y[12 * SR:29 * SR]) > 20
    second = y[len(x):]
    lag = shift(x[:8 * SR], second)
    assert abs(lag) < 0.1 * SR and snr(x[12 * SR:29 * SR], second[lag + 12 * SR:]) > 20


@pytest.mark.parametrize("name, subtype, sr", [("x.ogg", "VORBIS", 44100), ("x.opus", "OPUS", 48000)])
def test_joined_oggs(tmp_path, name, subtype, sr):
    x = sweep(sr=sr)
    soundfile.write(tmp_path / name, x.T, sr, format="OGG", subtype=subtype)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(2 * data)
    y = audio.read(tmp_path / name)[0]
    lag = shift(x[0], y[0, x.shape[-1]:])
    assert abs(y.shape[-1] - 2 * x.shape[-1]) < 2048 and 0 <= lag < 2048
    assert snr(x, y) > 20 and snr(x, y[:, x.shape[-1] + lag:]) > 20


@pytest.mark.parametrize("break_it, times", [
    (lambda b: b[:21] + bytes([b[21] & 0xF0]) + bytes(4) + b[26:], 1), (lambda b: 2 * b, 2)])
def test_flac_of_unknown_length_and_joined(tmp_path, break_it, times):
    x = sweep(1)
    soundfile.write(tmp_path / "x.flac", x.T, SR, subtype="PCM_24")
    (tmp_path / "x.flac").write_bytes(break_it((tmp_path / "x.flac").read_bytes()))
    y, sr = audio.read(tmp_path / "x.flac")
    assert np.abs(y - np.tile(x, times)).max() < 1e-6
    assert np.array_equal(audio.read(tmp_path / "x.flac", start=0.5, duration=0.25)[0], y[:, SR // 2:SR * 3 // 4])


@pytest.mark.parametrize("told", [bytes(4), b"\xff" * 4])
def test_wav_whose_length_was_never_written(tmp_path, told):
    """What is left of a recording that broke off, and what programs write into a pipe."""
    x = sweep(1)
    soundfile.write(tmp_path / "x.wav", x.T, SR, subtype="PCM_16")
    data = (tmp_path / "x.wav").read_bytes()
    at = data.index(b"data") + 4
    (tmp_path / "x.wav").write_bytes(data[:4] + told + data[8:at] + told + data[at + 4:])
    assert np.abs(audio.read(tmp_path / "x.wav")[0] - x).max() < 1e-4


# Kinds

@pytest.mark.parametrize("name, codec, container, sr, least", [
    ("x.m4a", "aac", None, 44100, 20), ("x.mp4", "aac", None, 48000, 20), ("x.aac", "aac", "adts", 44100, 20),
    ("x.opus", "libopus", None, 48000, 20), ("x.webm", "libopus", None, 48000, 20), ("x.mka", "ac3", None, 48000, 20),
    ("x.m4a", "alac", None, 44100, 90), ("x.wma", "wmav2", "asf", 44100, 15), ("x.mp2", "mp2", None, 44100, 20)])
@pytest.mark.parametrize("channels", [1, 2])
def test_coded(tmp_path, name, codec, container, sr, least, channels):
    x = sweep(sr=sr, channels=channels)
    encode(tmp_path / name, x, codec, sr, container)
    y, got = audio.read(tmp_path / name)
    assert (y.dtype, len(y), got) == (np.float32, channels, sr)
    lag = shift(x[0], y[0])
    assert abs(lag) <= 2048 and abs(y.shape[-1] - lag - x.shape[-1]) <= 4096  # some do not say where they begin
    assert lag == 0 or name in ("x.aac", "x.mka", "x.wma", "x.mp2")
    assert snr(x[:, max(0, -lag):], y[:, max(0, lag):]) > least


def test_sound_of_a_video(tmp_path):
    x = sweep()
    for name in ("x.mp4", "x.mkv", "x.mov"):
        encode(tmp_path / name, x, "aac", video=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert snr(x, audio.read(tmp_path / name)[0]) > 25


@pytest.mark.parametrize("name, container, subtype, tol", [
    ("x.aiff", "AIFF", "PCM_24", 1e-6), ("x.aif", "AIFF", "FLOAT", 0), ("x.caf", "CAF", "PCM_16", 1e-4),
    ("x.caf", "CAF", "ALAC_24", 1e-6), ("x.au", "AU", "FLOAT", 0), ("x.w64", "W64", "DOUBLE", 0),
    ("x.wav", "RF64", "PCM_32", 1e-7), ("x.wav", "WAV", "IMA_ADPCM", 5e-2), ("x.wav", "WAV", "ULAW", 2e-2)])
def test_exact(tmp_path, name, container, subtype, tol):
    x = sweep(1)
    soundfile.write(tmp_path / name, x.T, SR, format=container, subtype=subtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y, sr = audio.read(tmp_path / name)
    assert sr == SR and y.shape[-1] - x.shape[-1] in range(1100) and np.abs(y[:, :x.shape[-1]] - x).max() <= tol
    assert audio.probe(tmp_path / name) == (2, y.shape[-1], SR)


def test_what_a_file_is_shows_in_its_bytes(tmp_path):
    x = sweep(1)
    encode(tmp_path / "x.mp4", x, "aac")
    for name in ("x.wav", "x.raw", "x"):
        os.rename(tmp_path / next(p.name for p in tmp_path.iterdir()), tmp_path / name)
        assert snr(x, audio.read(tmp_path / name)[0]) > 25


# Parts

@pytest.mark.parametrize("name, codec", [("x.m4a", "aac"), ("x.webm", "libopus"), ("x.mp3", "libmp3lame")])
def test_parts_are_those_of_the_whole(tmp_path, name, codec):
    encode(tmp_path / name, sweep(sr=48000), codec, 48000)
    whole = audio.read(tmp_path / name)[0]
    for start, duration in ((0, 0.01), (0.0213, 1), (1.23456, 0.5), (2, 9), (2.5, None)):
        first = round(48000 * start)
        expected = whole[:, first:] if duration is None else whole[:, first:first + round(48000 * duration)]
        assert np.array_equal(audio.read(tmp_path / name, start=start, duration=duration)[0], expected)
    for size in (1, 1000, 4096, 1 << 20):
        if size > 1:
            assert np.array_equal(np.concatenate([b.copy() for b in audio.blocks(tmp_path / name, size)], -1), whole)
    for start, duration in ((10, None), (-1, None), (0, 0), (np.nan, 1), (np.inf, None), (0, -1)):
        with pytest.raises(WeaklibError, match="lasts 3.0 s, in which"):
            audio.read(tmp_path / name, start=start, duration=duration)
    assert np.array_equal(audio.read(tmp_path / name, duration=np.inf)[0], whole)


def test_files_of_any_length_are_read_in_little_memory(tmp_path):
    with soundfile.SoundFile(tmp_path / "x.mp3", "w", SR, 2, "MPEG_LAYER_III", format="MP3") as f:
        for _ in range(40):
            f.write(sweep().T)
    tracemalloc.start()
    try:
        assert abs(audio.probe(tmp_path / "x.mp3")[1] - 120 * SR) < 3000
        assert tracemalloc.get_traced_memory()[1] < 8e6  # of 42 MB
    finally:
        tracemalloc.stop()


def test_wav_needs_no_ffmpeg(tmp_path):
    soundfile.write(tmp_path / "x.wav", sweep(1).T, SR)
    code = "import sys, weaklib; from weaklib import audio; audio.read(sys.argv[1]); print('av' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x.wav"], capture_output=True, text=True)
    assert done.stdout == "False\n"


# What is missing is told

def cut(data):
    return data[:len(data) // 2]


def holed(data):
    n = len(data)
    return data[:n // 2] + bytes(n // 5) + data[n // 2 + n // 5:]


@pytest.mark.parametrize("name, codec, break_it, lost", [
    ("x.mp3", "libmp3lame", cut, 3.0), ("x.mp3", "libmp3lame", holed, 1.2), ("x.m4a", "aac", holed, 1.2),
    ("x.aac", "aac", holed, 1.2), ("x.ogg", "libvorbis", holed, 1.2), ("x.webm", "libopus", cut, 3.0)])
def test_damaged_files_are_read_as_far_as_they_go_and_not_without_a_word(tmp_path, name, codec, break_it, lost):
    x = 0.2 * np.random.default_rng(0).standard_normal((1, 6 * 48000)).astype(np.float32)
    if codec == "libvorbis":
        soundfile.write(tmp_path / name, x.T, 48000, format="OGG", subtype="VORBIS")
    else:
        encode(tmp_path / name, x, codec, 48000, "adts" if name == "x.aac" else None)
    (tmp_path / name).write_bytes(break_it((tmp_path / name).read_bytes()))
    with pytest.warns(UserWarning, match=r"x\.\w+ lacks about \d\.\d s: it is damaged or was cut off") as told:
        n = audio.probe(tmp_path / name)[1]
    assert abs(6 - n / 48000 - lost) < 0.7
    assert abs(float(str(told[0].message).split("about ")[1].split(" s")[0]) - (6 - n / 48000)) < 0.6


@pytest.mark.parametrize("name, container", [("x.wav", "WAV"), ("x.aiff", "AIFF"), ("x.caf", "CAF"), ("x.wav", "RF64")])
def test_joined_recordings_with_a_header_are_told(tmp_path, name, container):
    x = sweep()
    soundfile.write(tmp_path / name, x.T, SR, format=container)
    (tmp_path / name).write_bytes(2 * (tmp_path / name).read_bytes())
    with pytest.warns(UserWarning, match="0.5 MB besides the 3.0 s of sound"):
        y = audio.read(tmp_path / name)[0]
    assert np.abs(y - x).max() < 1e-4


def test_a_wav_that_is_longer_than_its_header_says(tmp_path):
    """As one of more than 4 GB is, whose length does not fit."""
    soundfile.write(tmp_path / "x.wav", sweep().T, SR)
    data = (tmp_path / "x.wav").read_bytes()
    at = data.index(b"data") + 4
    (tmp_path / "x.wav").write_bytes(data[:at] + (4 * SR).to_bytes(4, "little") + data[at + 4:])
    with pytest.warns(UserWarning, match="0.4 MB besides the 1.0 s"):
        assert audio.probe(tmp_path / "x.wav")[1] == SR


def test_a_file_that_changes_is_told_apart(tmp_path):
    for name, channels, sr in (("a.mp3", 1, 44100), ("b.mp3", 2, 48000)):
        soundfile.write(tmp_path / name, sweep(sr=sr, channels=channels).T, sr, format="MP3", subtype="MPEG_LAYER_III")
    (tmp_path / "x.mp3").write_bytes((tmp_path / "a.mp3").read_bytes() + (tmp_path / "b.mp3").read_bytes())
    with pytest.raises(WeaklibError, match=r"changes after 3\.\d s from 44100 Hz and 1 channel to"):
        audio.probe(tmp_path / "x.mp3")


# What cannot be read

def raw(path):
    path.write_bytes((sweep(1) * 2 ** 15).astype("<i2").tobytes())


def silent_film(path):
    with av.open(str(path), "w", format="mp4") as f:
        film(f)


def unfinished(path):
    """An m4a that was cut off before its index."""
    encode(path, sweep(), "aac", container="ipod")
    path.write_bytes(cut(path.read_bytes()))


def leading_elsewhere(path):
    encode(path.with_name("secret.aac"), sweep(1), "aac", container="adts")
    path.write_text(f"ffconcat version 1.0\nfile {path.with_name('secret.aac')}\n")


def playlist(path):
    encode(path.with_name("secret.aac"), sweep(1), "aac", container="adts")
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{path.with_name('secret.aac')}\n#EXT-X-ENDLIST\n")


def damaged_flac(path):
    x = 0.1 * np.random.default_rng(0).standard_normal(6 * SR)
    soundfile.write(path, x, SR, format="FLAC")
    path.write_bytes(cut(path.read_bytes()))


@pytest.mark.parametrize("make, says", [
    (raw, "cannot be read as audio"), (silent_film, "has no sound in it"), (unfinished, "cannot be read as audio"),
    (leading_elsewhere, "cannot be read as audio"), (playlist, "cannot be read as audio"),
    (damaged_flac, r"cannot be read beyond [12]\.\d s"), (lambda p: p.write_bytes(b""), "holds no samples"),
    (lambda p: p.write_bytes(np.random.default_rng(0).bytes(200_000)), "cannot be read as audio"),
    (lambda p: p.write_text("no sound\n" * 1000), "cannot be read as audio"),
    (lambda p: p.mkdir(), "There is no file .* but a folder"), (lambda p: os.mkfifo(p), "There is no file"),
    (lambda p: p.symlink_to(p), "cannot be read .Too many levels"), (lambda p: None, "There is no file")])
@pytest.mark.parametrize("name", ["x.raw", "x.mp3", "x.wav"])
def test_one_sentence(tmp_path, capfd, make, says, name):
    path = tmp_path / name
    make(path)
    for do in (audio.read, audio.probe, lambda p: list(audio.blocks(p)), audio.survey):
        with pytest.raises(WeaklibError, match=says) as error:
            do(path)
        assert str(path) in str(error.value) and str(error.value).endswith(".") and "\n" not in str(error.value)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("path, says", [("", "empty"), ("a\0b.wav", "null"), ("x" * 300 + ".wav", "too long"),
                                        ("pyproject.toml/x.wav", "There is no file")])
def test_paths_that_nothing_can_have(path, says):
    for do in (audio.read, audio.probe):
        with pytest.raises(WeaklibError, match=says):
            do(path)


def test_no_permission(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "x.wav", sweep(1).T, SR)
    stat = os.stat

    def refused(path, *args, **kwargs):
        if os.fspath(path) == str(tmp_path / "x.wav"):
            raise PermissionError(13, "Permission denied", path)
        return stat(path, *args, **kwargs)
    monkeypatch.setattr(os, "stat", refused)
    with pytest.raises(WeaklibError, match=r"cannot be read \(Permission denied\)"):
        audio.read(tmp_path / "x.wav")


def test_a_disk_that_fails_while_it_is_read(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "x.wav", sweep(1).T, SR)

    def fails(*args, **kwargs):
        raise OSError(5, "Input/output error")
    monkeypatch.setattr(soundfile.SoundFile, "read", fails)
    with pytest.raises(WeaklibError, match=r"x.wav cannot be read \(Input/output error\)"):
        audio.read(tmp_path / "x.wav")


@pytest.mark.parametrize("name", [b"\xff\xfe.wav", b"\xff.mp3", "łódź ~%20#.wav".encode(), b"a:b.mp3", b"-.wav"])
def test_names_need_not_be_text(tmp_path, name):
    path = os.path.join(os.fsencode(tmp_path), name)
    soundfile.write(tmp_path / "x", sweep(1).T, SR, format="MP3" if name.endswith(b"mp3") else "WAV")
    os.rename(tmp_path / "x", path)
    assert audio.probe(path)[2] == SR and audio.read(os.fsdecode(path))[0].shape[0] == 2
    with open(path, "wb") as f:
        f.write(b"nothing to hear")
    with pytest.raises(WeaklibError, match="cannot be read") as error:
        audio.read(path)
    str(error.value).encode()  # can be shown


def test_tags_need_not_be_text(tmp_path):
    soundfile.write(tmp_path / "x.mp3", sweep(1).T, SR, format="MP3", subtype="MPEG_LAYER_III")
    title = b"TIT2\x00\x00\x00\x05\x00\x00\x03\xff\xfe\xfd\xfc"
    (tmp_path / "x.mp3").write_bytes(b"ID3\x03\x00\x00\x00\x00\x00" + bytes([len(title)]) + title
                                     + (tmp_path / "x.mp3").read_bytes())
    assert audio.read(tmp_path / "x.mp3")[0].shape[0] == 2


def test_nothing_is_left_of_two_samples_at_another_rate(tmp_path):
    soundfile.write(tmp_path / "x.wav", [0.1, 0.2], 96000)
    assert audio.read(tmp_path / "x.wav")[0].shape == (1, 2)
    with pytest.raises(WeaklibError, match="shorter than one sample at 8000 Hz"):
        audio.read(tmp_path / "x.wav", sr=8000)


# Writing

def test_long_files_are_written_in_pieces(tmp_path):
    """Noise of this length in one piece was the end of the process."""
    x = 0.1 * np.random.default_rng(0).standard_normal((2, 40 * SR)).astype(np.float32)
    audio.write(tmp_path / "x.ogg", x, SR)
    y, _ = audio.read(tmp_path / "x.ogg")
    assert y.shape == x.shape and snr(x, y) > 1  # the codec's, of noise


@pytest.mark.parametrize("name, sr, channels", [
    ("x.ogg", 200_001, 1), ("x.ogg", 384_000, 2), ("x.ogg", 44100, 256), ("x.mp3", 96_000, 2), ("x.mp3", 44_100, 3),
    ("x.flac", 44_100, 9), ("x.flac", 700_000, 1), ("x.wav", 44_100, 1025), ("x.wav", 0, 1), ("x.wav", -8000, 1),
    ("x.wav", 44_100.5, 1), ("x.flac", 1 << 31, 1)])
def test_limits_of_formats(tmp_path, name, sr, channels):
    with pytest.raises(WeaklibError, match=f"No .{name[2:]} file has {sr} Hz and {channels} channel") as error:
        audio.write(tmp_path / name, np.zeros((channels, 2000)), sr)
    assert str(error.value).endswith(".") and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name, sr, channels", [("x.ogg", 192_000, 2), ("x.ogg", 44_100, 8),
                                                ("x.ogg", 44_100, 11), ("x.mp3", 48_000, 2), ("x.flac", 384_000, 8),
                                                ("x.wav", 384_000, 64)])
def test_within_the_limits(tmp_path, name, sr, channels):
    x = np.tile(sweep(0.2, sr, 1), (channels, 1))
    audio.write(tmp_path / name, x, np.int64(sr))
    y, got = audio.read(tmp_path / name)
    assert got == sr and snr(x, y) > 15 and y.shape[0] == channels


@pytest.mark.parametrize("shape", [(), (1, 2, 3)])
def test_write_refuses_other_shapes(tmp_path, shape):
    with pytest.raises(WeaklibError, match="give .time,. or .channel, time."):
        audio.write(tmp_path / "x.wav", np.zeros(shape), SR)
