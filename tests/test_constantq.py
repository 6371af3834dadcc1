"""Constant-Q features: where tones lie, what the levels mean, silence and short audio, and the store."""
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from weaklib.constantq import ConstantQ, stored


def tone(pitch, seconds=3.0, gain=1.0):
    t = np.arange(round(16000 * seconds)) / 16000
    return gain * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * t)


@pytest.mark.parametrize("bins_per_octave", [12, 48])
@pytest.mark.parametrize("pitch", [33, 57, 69, 105])
def test_a_tone_is_loudest_in_the_row_of_its_key(bins_per_octave, pitch):
    x = ConstantQ(bins_per_octave)(tone(pitch))
    assert x.shape == (150, 88 * bins_per_octave // 12)
    assert (x[50:100].argmax(1) == (pitch - 21) * bins_per_octave // 12).all()
    assert x.max() == 1 and x.min() >= -1


def test_levels_are_decibels_below_the_maximum_of_the_recording():
    """Whatever its gain. An octave higher a filter is half as long, which librosa makes 3 dB less."""
    x = np.concatenate([tone(60), tone(72, gain=0.01)])
    front = ConstantQ(12)
    levels = front(x)
    assert levels[75, 60 - 21] == pytest.approx(1, abs=0.02)
    assert levels[225, 72 - 21] == pytest.approx(1 - 2 * 43 / 80, abs=0.03)
    assert np.abs(front(0.1 * x) - levels)[levels > -0.75].max() < 1e-3


def test_a_note_begins_where_it_is():
    x = np.concatenate([np.zeros(16000), tone(93, 1.0), np.zeros(16000)])
    loud = ConstantQ(12)(x)[:, 93 - 21] > 0.75  # 10 dB below
    assert abs(int(loud.argmax()) - 50) <= 1 and abs(int(loud[::-1].argmax()) - 50) <= 1


def test_silence_and_short_audio_raise_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (ConstantQ(12)(np.zeros(48000)) == -1).all()
        assert ConstantQ(12)(tone(69, 0.03)).shape == (2, 88)


def test_spectra_of_a_corpus_are_computed_once_and_belong_to_their_key():
    asked = []

    def audio(i):
        asked.append(i)
        return tone(60 + i, 1.0 + i)

    corpus = SimpleNamespace(name="tones", split="train", identity={"name": "tones", "version": 1}, pieces=2,
                             audio=audio)
    frames, ends = stored(corpus, ConstantQ(12))
    assert ends.tolist() == [0, 50, 150] and frames.dtype == np.float16
    assert np.allclose(frames[50:], ConstantQ(12)(audio(1)), atol=1e-3)
    asked.clear()
    stored(corpus, ConstantQ(12))
    assert not asked
    stored(corpus, ConstantQ(24))
    corpus.split = "test"
    stored(corpus, ConstantQ(12))
    assert asked == [0, 1, 0, 1]
