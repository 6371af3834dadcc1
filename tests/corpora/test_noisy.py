"""The corpus of noisy talkers: the voices and noises of two others, at the levels that it says."""
import numpy as np
import pytest
import torch

from weaklib import metrics
from weaklib.audio import db, rms
from weaklib.corpora import SPLITS, load
from weaklib.files import WeaklibError


@pytest.fixture(scope="module")
def noisy():
    return load("noisy_talkers", "train", "smoke", n_items=300)


@pytest.fixture(scope="module")
def items(noisy):
    return list(noisy)


def like(a, b):
    """Whether two signals are the same but for a positive gain."""
    return np.dot(a, b) > 0.99999 * np.linalg.norm(a) * np.linalg.norm(b)


def test_the_mixture_is_exactly_voice_and_noise(items):
    for item in items:
        assert item["mix"].shape == (32000,) and item["sources"].shape == (2, 32000)
        assert torch.equal(item["mix"], item["sources"].sum(0))
        assert torch.equal(item["mix"], item["sources"].flip(0).sum(0))
        assert max(item["mix"].abs().max(), item["sources"].abs().max()) <= 0.9 + 1e-6


def test_snr_is_uniform_about_0_db_whatever_is_heard(items):
    snr = np.array([db(rms(voice) / rms(noise)) for voice, noise in (item["sources"].numpy() for item in items)])
    assert -6.01 < snr.min() < -5.7 and 5.7 < snr.max() < 6.01
    assert abs(snr.mean()) < 0.8 and snr.std() == pytest.approx(12 / 12 ** 0.5, abs=0.35)  # 4 standard deviations
    assert np.all(np.abs(np.histogram(snr, 4)[0] - 75) < 30)
    for other in ([item["labels"][1].count("+") for item in items], [item["labels"][0] < "b" for item in items]):
        assert abs(np.corrcoef(snr, other)[0, 1]) < 0.23
    given = np.array([float(metrics.si_sdr(item["mix"], item["sources"][0])) for item in items])
    assert given == pytest.approx(snr, abs=1.0)


def test_the_loudness_is_that_of_talkers_unless_a_peak_is_in_the_way(items):
    levels = np.array([db(rms(item["sources"].numpy())).sum() / 2 for item in items])
    peaks = np.array([float(max(item["mix"].abs().max(), item["sources"].abs().max())) for item in items])
    full = peaks < 0.899
    assert full.mean() > 0.8 and levels[full] == pytest.approx(-25 - 10 * np.log10(2), abs=1e-3)


def test_voice_and_noise_are_those_of_talkers_and_sounds_of_the_same_split():
    for split in SPLITS:
        noisy, voices, noises = (load(name, split, "smoke") for name in ("noisy_talkers", "talkers_16k", "sounds"))
        for i in range(len(noisy)):
            item, voice, noise = noisy[i], voices[i], noises[i]
            assert like(item["sources"][0].numpy(), voice["sources"][0].numpy())
            assert like(item["sources"][1].numpy(), noise["mix"].numpy())
            assert item["labels"] == [voice["labels"][0], " + ".join(filter(None, noise["labels"]))]
            assert item["text"] == [voice["text"][0], ""]


def test_no_speaker_sentence_or_noise_crosses_splits():
    who, said, noise = [], [], []
    for split in SPLITS:
        drawn = list(load("noisy_talkers", split, "smoke", n_items=60))
        who.append({item["labels"][0] for item in drawn})
        said.append({item["text"][0] for item in drawn})
        noise.append({item["sources"][1].numpy().tobytes() for item in drawn})
    for sets in who, said, noise:
        assert len(set.union(*sets)) == sum(map(len, sets))
    assert list(map(len, who)) == [8, 4, 4]


def test_items_do_not_depend_on_order_or_number(noisy, items):
    few = load("noisy_talkers", "train", "smoke", n_items=5)
    for i in (3, 0, 4):
        assert torch.equal(few[i]["sources"], items[i]["sources"]) and few[i]["labels"] == items[i]["labels"]
    assert len({item["mix"].numpy().tobytes() for item in items}) == len(items)


def test_refusals():
    with pytest.raises(WeaklibError, match="takes LibriSpeech with noise from freesound itself"):
        load("noisy_talkers", "train", "paper")
    with pytest.raises(WeaklibError, match="duration=3 .*from 0.5 to 2"):
        load("noisy_talkers", "train", "smoke", duration=3)
