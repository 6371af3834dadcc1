"""The corpora `events` and `events_pool`: everyday sounds, one at a time, and nothing shared between splits or with the
pool."""
import numpy as np
import pytest
import torch

from weaklib import files
from weaklib.audio import db, rms
from weaklib.corpora import SPLITS, cache, events, load, material, outdoors, rooms
from weaklib.files import WeaklibError

SR, N = events.SR, 16384


@pytest.fixture(scope="module")
def corpus():
    return load("events", "train", "smoke")


def oracle(x):
    """Mean and spread of the log power in 16 bands, how it comes and goes, and how tonal it is."""
    frames = np.abs(np.fft.rfft(x[:N].reshape(-1, 256) * np.hanning(256))) ** 2 + 1e-12
    loud = frames.sum(axis=1)
    heard = frames[loud > 0.01 * loud.max()]
    bands = np.log(np.stack([b.mean(axis=1) for b in np.array_split(heard / heard.mean(), 16, axis=1)]) + 1e-5)
    envelope = np.log(loud / loud.max() + 1e-4)
    flatness = np.log(heard).mean(axis=1) - np.log(heard.mean(axis=1))
    return np.concatenate([bands.mean(axis=1), bands.std(axis=1), [3 * envelope.mean(), 3 * envelope.std(),
                           10 * np.mean(loud > 0.05 * loud.max()), 3 * np.abs(np.diff(envelope)).mean(),
                           2 * flatness.mean()]])


# What an item is

def test_items_are_in_the_order_of_class_recording_and_cut():
    for name in ("events", "events_pool"):
        for split in SPLITS:
            corpus = load(name, split, "smoke")
            ranges = [items for found in corpus.recordings.values() for items in found]
            assert [i for items in ranges for i in items] == list(range(len(corpus)))
            assert all(len(items) == 2 for items in ranges) and tuple(corpus.recordings) == corpus.classes
            assert {len(found) for found in corpus.recordings.values()} == {2 if split == "train" else 1}
            for label, found in corpus.recordings.items():
                assert all(corpus[i]["labels"] == [label] for items in found for i in items)


def test_the_one_source_is_the_mixture(corpus):
    for item in corpus:
        assert item["mix"].shape == (N,) and item["mix"].dtype == torch.float32
        assert torch.equal(item["sources"].sum(0), item["mix"]) and item["sources"].shape == (1, N)
        assert 0.001 < item["mix"].abs().max() <= 0.9
    assert corpus.sr == 8000 and corpus.duration == 2.048


def test_sizes_are_those_of_the_paper_in_small():
    assert [events.Events.SIZES["laptop"][name] for name in events.NAMES] == [(40, 6, 12), (60, 6, 6)]
    assert len(events.KINDS) == 30 and len(events.GOES_ON) == 10 and len(events.POOLED) == 6


# What is heard

def test_events_come_and_go_and_what_goes_on_fills_the_clip(corpus):
    loud = np.array([rms(item["mix"].numpy().reshape(-1, 256)) for item in corpus])
    heard = np.mean(loud > 0.1 * loud.max(axis=1, keepdims=True), axis=1)
    goes_on = np.array([item["labels"][0] in events.GOES_ON for item in corpus])
    assert heard[~goes_on].max() < 0.95 and np.median(heard[~goes_on]) < 0.6 and np.median(heard[goes_on]) > 0.95


def test_an_event_comes_at_another_time_in_each_cut_sometimes_twice():
    rng, twice, onsets = np.random.default_rng(0), 0, []
    for _ in range(60):
        cuts = events._performed(rng, events.KINDS["knocking on a door"], pool=False)
        assert cuts.shape == (2, N)
        onsets.append([np.flatnonzero(cut)[0] for cut in cuts])
        energy = np.square(cuts).sum(axis=1)
        twice += 1.6 < max(energy) / min(energy) < 2.5
    onsets = np.array(onsets)
    assert abs(np.corrcoef(onsets.T)[0, 1]) < 0.4 and onsets.max() > N / 3 and onsets.min() < N / 10
    assert 10 < twice < 50


def test_what_goes_on_has_consecutive_cuts():
    cuts = events._performed(np.random.default_rng(1), events.KINDS["vacuum cleaner running"], pool=False)
    steps = np.abs(np.diff(cuts.ravel()))
    assert cuts.shape == (2, N) and steps[N - 1] < np.quantile(steps, 0.999)  # no seam


def test_a_quiet_place_is_underneath(corpus):
    quietest = []
    for label in ("dog barking", "knocking on a door", "glass breaking", "cat meowing", "hen clucking"):
        for i in (i for items in corpus.recordings[label] for i in items):
            loud = rms(corpus[i]["mix"].numpy().reshape(-1, 256))
            quietest.append(db(np.quantile(loud, 0.05) / loud.max()))
    assert -75 < min(quietest) and np.median(quietest) < -20  # never digital silence


def test_level_and_device_vary(corpus):
    levels = np.array([db(rms(item["mix"].numpy())) for item in corpus])
    assert -50 < levels.min() and levels.max() < -14 and levels.std() > 3
    # White noise, always the same, comes out in as many colours as there are devices.
    white = events.Kind(lambda rng, n: material.noise(np.random.default_rng(0), n))
    rng = np.random.default_rng(2)
    spectra = db([rms(np.abs(np.fft.rfft(events.recorded(rng, white, None, False)[0]))[1:8001].reshape(16, -1))
                  for _ in range(12)])
    spread = (spectra - spectra.mean(axis=1, keepdims=True)).std(axis=0)
    assert spread.min() > 0.5 and spread[0] > 2 and spread[-1] > 1


def test_enough_is_left_below_half_the_rate():
    rng = np.random.default_rng(3)
    for _ in range(20):
        x = events._instance(rng, outdoors.songbird, 1.5)  # its centre is drawn up to 5.5 kHz
        power = np.abs(np.fft.rfft(x)) ** 2
        assert power[:round(len(x) * 4000 / 16000)].sum() > 0.1 * power.sum()


def test_classes_are_told_apart_by_their_nearest_centroid():
    # Four recordings of each class to learn from, two to test; chance is 1 in 30.
    rirs = rooms.load("train", 3, SR, events.ROOM_SEED, n_sources=1).rirs[:, 0]
    points = np.array([[oracle(events.recorded(np.random.default_rng([7, k, r]), kind, rirs, pool=False)[0])
                        for r in range(6)] for k, kind in enumerate(events.KINDS.values())])
    points = (points - points[:, :4].mean(axis=(0, 1))) / points[:, :4].std(axis=1).mean(axis=0)
    far = np.linalg.norm(points[:, 4:, None] - points[:, :4].mean(axis=1), axis=-1)
    assert np.mean(far.argmin(axis=-1) == np.arange(30)[:, None]) > 0.6


def test_the_pool_has_other_models_of_six_classes():
    rir = np.eye(1, 800)
    for name, kind in events.KINDS.items():
        one, other = (events.recorded(np.random.default_rng(4), kind, rir, pool) for pool in (False, True))
        assert np.array_equal(one, other) == (name not in events.POOLED)


# What is shared by nothing

def test_splits_and_pool_share_no_recording_and_no_room():
    prints, sizes = [], []
    for name in events.NAMES:
        for split, n in zip(SPLITS, (3, 2, 2)):
            prints += [item["mix"].numpy().tobytes() for item in load(name, split, "smoke")]
            seed = events.ROOM_SEED + events.NAMES.index(name)
            sizes += [tuple(about["size"]) for about in rooms.load(split, n, SR, seed, n_sources=1).about]
    assert len(set(prints)) == len(prints) == 2 * 30 * 2 * (2 + 1 + 1)
    assert len(set(sizes)) == len(sizes) == 14


def test_rendering_again_gives_the_same_bytes(tmp_path, monkeypatch, home):
    first = load("events", "test", "smoke")[7]
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    assert torch.equal(first["mix"], load("events", "test", "smoke")[7]["mix"])
    for folder in (tmp_path / "corpora").glob("*/"):
        there = home / "corpora" / folder.name / cache.MANIFEST
        assert files.read_json(folder / cache.MANIFEST)["files"] == files.read_json(there)["files"]


def test_a_shorter_item_is_the_beginning(corpus):
    short = load("events", "train", "smoke", duration=1.0)
    assert torch.equal(short[5]["mix"], corpus[5]["mix"][:8000])
    with pytest.raises(WeaklibError, match="duration=3 .*to 2.048"):
        load("events", "train", "smoke", duration=3)


def test_the_paper_preset_says_what_to_do():
    with pytest.raises(WeaklibError, match="takes VGGSound itself.*load the corpus 'vggsound', or choose preset='gpu'"):
        load("events", "train", "paper")
    with pytest.raises(WeaklibError, match="takes LAION-Audio-630K itself.*cannot read it yet; choose preset='gpu'"):
        load("events_pool", "train", "paper")
