"""The corpora `sounds` and `sounds_reverb`: mixed as FUSS was, exact, and the same whoever asks first."""
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from weaklib import files
from weaklib.audio import rms
from weaklib.corpora import SPLITS, datasheet, foley, load, sounds
from weaklib.files import WeaklibError

SR = sounds.SR
CLASSES = {**foley.TEXTURES, **foley.EVENTS}


@pytest.fixture(scope="module")
def dry():
    return load("sounds", "train", "smoke")


@pytest.fixture(scope="module")
def reverb():
    return load("sounds_reverb", "train", "smoke")


# The classes

@pytest.mark.parametrize("name", CLASSES)
def test_a_class_sounds_and_varies(name):
    n = 2 * SR
    one, again, other = (np.asarray(CLASSES[name](np.random.default_rng(seed), n)) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert one.ndim == 1 and np.isfinite(one).all() and rms(one) > 0
    short = min(len(one), len(other))
    assert abs(np.corrcoef(one[:short], other[:short])[0, 1]) < 0.9
    if name in foley.TEXTURES:
        assert len(one) == n
        parts = rms(one.reshape(4, -1))
        assert parts.min() > 0.01 * parts.max()  # it goes on
    else:
        assert rms(one[:SR // 4]) > 0  # it starts at once
        assert np.argmax(np.abs(one) > 1e-3 * np.abs(one).max()) < 0.2 * SR


def test_classes_are_told_apart_by_their_spectra_and_envelopes(dry):
    # A nearest-neighbour look at 20 numbers per instance does far better than chance (1 in 34).
    def features(x):
        x = x / np.abs(x).max()
        frames = np.abs(np.fft.rfft(x[:len(x) // 512 * 512].reshape(-1, 512) * np.hanning(512)))
        bands = np.log(np.stack([b.mean(axis=1) for b in np.array_split(frames, 14, axis=1)]) + 1e-4)
        return np.concatenate([bands.mean(axis=1), bands.std(axis=1)[::3], [np.log(rms(x)) * 3]])

    pool = [(name, features(dry.pool[a:b].astype(float))) for name, spans in dry.index.items() for a, b in spans]
    names, points = [name for name, _ in pool], np.array([point for _, point in pool])
    far = np.linalg.norm(points[:, None] - points, axis=-1) + np.diag(np.full(len(points), np.inf))
    assert np.mean([names[i] == names[j] for i, j in enumerate(far.argmin(axis=1))]) > 0.3


def test_there_are_enough_classes(dry):
    assert len(CLASSES) >= 24 and not set(foley.TEXTURES) & set(foley.EVENTS)
    assert set(dry.index) == set(CLASSES)
    assert all(len(spans) == 3 for spans in dry.index.values())


# Mixtures

def test_an_item(dry):
    item = dry[0]
    assert list(item) == ["mix", "sources", "labels"]
    assert item["mix"].shape == (32000,) and item["sources"].shape == (4, 32000)
    assert item["mix"].dtype == item["sources"].dtype == torch.float32
    assert len(dry) == 32 and dry.sr == 16000 and len(list(dry)) == 32
    assert dry.identity == {"name": "sounds", "version": 1, "seed": 0, "preset": "smoke", "duration": 2.0}


@pytest.mark.parametrize("name", ["sounds", "sounds_reverb"])
def test_sources_add_up_and_labels_tell_what_they_are(name):
    for split in SPLITS:
        for item in load(name, split, "smoke"):
            assert torch.equal(item["sources"].sum(0), item["mix"])
            assert torch.equal(item["sources"].flip(0).sum(0), item["mix"])
            assert 0.29 < max(item["mix"].abs().max(), item["sources"].abs().max()) < 0.91
            present = [label for label in item["labels"] if label]
            assert item["labels"] == present + [""] * (4 - len(present)) and len(set(present)) == len(present)
            assert present[0] in foley.TEXTURES and all(label in foley.EVENTS for label in present[1:])
            assert [bool(source.any()) for source in item["sources"]] == [bool(label) for label in item["labels"]]


def test_snr_and_number_of_sources_are_those_of_fuss(dry):
    snr, counts, starts = [], np.zeros(5), []
    for i in range(600):
        labels, sources = dry._dry(np.random.default_rng(i))
        counts[len(labels)] += 1
        assert rms(sources[0]) == pytest.approx(1, rel=1e-3) and np.count_nonzero(sources[0]) > 0.3 * sources.shape[1]
        for source in sources[1:]:
            start, *_, stop = np.flatnonzero(source)
            snr.append(20 * np.log10(rms(source[start:stop + 1])))
            starts.append(start / len(source))
    assert counts[0] == 0 and np.all(np.abs(counts[1:] - 150) < 45)  # 4 standard deviations
    assert -5.1 < min(snr) < -4 and 24 < max(snr) < 25.1
    assert np.mean(snr) == pytest.approx(10, abs=1.2) and np.std(snr) == pytest.approx(30 / 12 ** 0.5, abs=0.6)
    assert np.min(starts) < 0.05 and 0.6 < np.max(starts) < 1


def test_items_do_not_depend_on_what_was_read_before(dry):
    fresh = load("sounds", "train", "smoke")
    wanted = fresh[7]
    for i in (3, 7, 0, 7):
        item = dry[i]
    assert torch.equal(item["sources"], wanted["sources"]) and item["labels"] == wanted["labels"]
    mixes = [dry[i]["mix"].numpy().tobytes() for i in range(len(dry))]
    assert len(set(mixes)) == len(mixes)


def test_a_shorter_mixture_may_be_asked_for():
    assert load("sounds", "test", "smoke", duration=1.0)[0]["mix"].shape == (16000,)
    with pytest.raises(WeaklibError, match="duration=2.5 .*from 0.01 to 2"):
        load("sounds", "test", "smoke", duration=2.5)


# Rooms

def test_reverberation_keeps_classes_and_levels_and_adds_a_tail(dry, reverb):
    tails = []
    for i in range(len(dry)):
        a, b = dry[i], reverb[i]
        assert a["labels"] == b["labels"]
        n = sum(map(bool, a["labels"]))
        levels = rms(b["sources"][:n].numpy()) / rms(a["sources"][:n].numpy())
        assert levels == pytest.approx(levels[0], rel=1e-3)  # but for the gain of the whole mixture
        for x, y in zip(a["sources"][1:n].numpy(), b["sources"][1:n].numpy()):
            stop = np.flatnonzero(x)[-1] + 400  # past the direct sound of the last sample
            if stop + 800 < len(x):
                tails.append(rms(y[stop:stop + 800]) / rms(y))
    assert len(tails) > 5 and np.median(tails) > 1e-3


def test_every_source_has_its_own_place_in_one_room():
    impulses = np.zeros((3, 4000), dtype=np.float32)
    impulses[:, 10] = 1
    rirs = np.random.default_rng(0).standard_normal((4, 800)).astype(np.float32)
    wet = sounds._in_room(impulses, rirs)
    for k in range(3):
        assert np.corrcoef(wet[k, 10:810], rirs[k])[0, 1] > 0.999
    assert rms(wet) == pytest.approx(rms(impulses))


# The store

def test_the_same_bytes_in_another_process(tmp_path, dry):
    load("sounds", "test", "smoke")
    code = "from weaklib.corpora import load; print(load('sounds', 'test', 'smoke')[3]['mix'].double().square().sum())"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "WEAKLIB_HOME": str(tmp_path)},
                          check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str(load("sounds", "test", "smoke")[3]["mix"].double().square().sum())
    (pool,) = (tmp_path / "corpora").glob("sounds-*/pool.npy")
    assert files.sha256(pool) == files.sha256(files.home() / "corpora" / pool.parent.name / "pool.npy")


def test_splits_share_no_instance():
    prints = []
    for split in SPLITS:
        corpus = load("sounds", split, "smoke")
        prints += [corpus.pool[a:b].tobytes() for spans in corpus.index.values() for a, b in spans]
    assert len(set(prints)) == len(prints) == len(CLASSES) * (3 + 2 + 2)


def test_the_pool_is_level_and_starts_and_ends_softly(dry):
    for spans in dry.index.values():
        for a, b in spans:
            x = dry.pool[a:b].astype(float) / 32767
            assert 0.9 < np.abs(x).max() <= 1 and abs(x[-1]) < 1e-3
            assert b - a <= max(sounds.EVENT, sounds.TEXTURE * 2.0) * SR


def test_the_paper_preset_says_what_to_do():
    with pytest.raises(WeaklibError, match="takes FUSS itself.*load the corpus 'fuss', or choose preset='gpu'"):
        load("sounds", "train", "paper")


def test_the_datasheet_names_stand_in_and_licences():
    text = datasheet("sounds_reverb")
    assert all(word in text for word in ("FUSS", "GPL-2", "LGPL-2.1-or-later", "MIT"))
