"""The corpus `wild`: heard together is what its scenes say, only mixtures come out, and every split has its own."""
import copy
from itertools import combinations, islice

import numpy as np
import pytest
import torch

from weaklib import files
from weaklib.audio import db, rms
from weaklib.corpora import SPLITS, Corpus, cache, datasheet, espeak, foley, load, outdoors, rooms, talkers, wild
from weaklib.corpora.wild import CLASSES, SCENES

SR = 16000
MAKERS = outdoors.TEXTURES | outdoors.MUSIC | outdoors.EVENTS


@pytest.fixture(scope="module")
def corpus():
    return load("wild", "train", "smoke", n_items=500)


@pytest.fixture(scope="module")
def items(corpus):
    return list(corpus)


def chances(scene) -> tuple[dict, dict, np.ndarray]:
    """What a scene's probabilities come to where none, or six and more, are left out: of classes, pairs, numbers.

    The number of sources besides some given ones is a sum of independent draws: its distribution is a convolution.
    """
    p = {name: chance for name, (chance, _) in scene.heard.items()}

    def number(without=()):
        dist = np.ones(1)
        for name, chance in p.items():
            if name not in without:
                dist = np.convolve(dist, (1 - chance, chance))
        return np.pad(dist, (0, 6))

    allowed = number()[1:6].sum()
    return ({a: p[a] * number((a,))[:5].sum() / allowed for a in p},
            {(a, b): p[a] * p[b] * number((a, b))[:4].sum() / allowed for a, b in combinations(p, 2)},
            number()[1:6] / allowed)


# Scenes

@pytest.mark.parametrize("name", SCENES)
def test_a_scene_is_heard_as_its_probabilities_say(name):
    n, rng = 2000, np.random.default_rng(1)
    drawn = [SCENES[name].draw(rng) for _ in range(n)]
    assert all(len(set(heard)) == len(heard) for heard in drawn)
    one, two, number = chances(SCENES[name])
    for wanted, counted in ((one, {a: sum(a in heard for heard in drawn) for a in one}),
                            (two, {(a, b): sum(a in heard and b in heard for heard in drawn) for a, b in two}),
                            (dict(enumerate(number, 1)), {k: sum(len(heard) == k for heard in drawn)
                                                          for k in range(1, 6)})):
        for what, p in wanted.items():
            assert abs(counted[what] - n * p) < 4.5 * (n * p * (1 - p)) ** 0.5 + 1, what


def test_items_come_from_all_scenes_alike(items):
    expected = [chances(scene) for scene in SCENES.values()]
    n = len(items)
    for name in CLASSES:
        p = np.mean([one.get(name, 0) for one, _, _ in expected])
        assert abs(sum(name in item["labels"] for item in items) - n * p) < 4.5 * (n * p * (1 - p)) ** 0.5 + 1, name
    assert 2.4 < np.mean([number @ np.arange(1, 6) for _, _, number in expected]) < 2.8
    assert 0.45 < np.mean([one["speech"] for one, _, _ in expected]) < 0.55
    assert {len(item["labels"]) for item in items} == {1, 2, 3, 4, 5}


def test_what_belongs_to_different_places_is_never_heard_together(items):
    together = {pair for scene in SCENES.values() for pair in combinations(sorted(scene.heard), 2)}
    heard = {pair for item in items for pair in combinations(item["labels"], 2)}
    assert heard <= together and ("gull", "surf") in heard and ("frying", "surf") not in together
    assert len(together) < 0.5 * len(CLASSES) * (len(CLASSES) - 1) / 2


def test_labels_are_the_classes_in_an_order_that_tells_nothing(items):
    assert 20 <= len(CLASSES) <= 30 and set(CLASSES) == {name for scene in SCENES.values() for name in scene.heard}
    for item in items:
        assert item["labels"] == sorted(set(item["labels"])) and set(item["labels"]) <= set(CLASSES)


def test_the_datasheet_has_the_scenes():
    rows = [line.strip("| ").split(" | ") for line in datasheet("wild").splitlines() if line.startswith("| ")]
    told = {row[0]: row[1:] for row in rows if row[0] in SCENES}
    assert told == {name: [f"{scene.indoors:.0%}", ", ".join(f"{a} {p:.0%} ({level:+g})" for a, (p, level) in
                                                             scene.heard.items())] for name, scene in SCENES.items()}


# Mixtures

@pytest.fixture
def tones(corpus):
    """The corpus with a tone of its own for each class."""
    tones, pitches = copy.copy(corpus), dict(zip(CLASSES, 500 + 250 * np.arange(len(CLASSES))))
    tones._pool, tones._known, tones.pitches = np.array(corpus._pool), {}, pitches
    for name, spans in corpus._index.items():
        for start, stop in spans:
            tones._pool[start:stop] = 20000 * np.sin(2 * np.pi * pitches[name] * np.arange(stop - start) / SR)
    return tones


def test_every_label_is_heard_at_the_level_of_its_scene_and_nothing_else(corpus, tones):
    tones._devices = [np.ones_like(device) for device in corpus._devices]
    off = []
    for i in range(250):
        scene = SCENES[list(SCENES)[corpus.rng(wild.ITEM, i).integers(len(SCENES))]]
        item = tones[i]
        spectrum = np.abs(np.fft.rfft(item["mix"].numpy()))
        power = {name: np.sum(spectrum[2 * pitch - 50:2 * pitch + 50] ** 2) for name, pitch in tones.pitches.items()}
        heard = [name for name in power if power[name] > 1e-3 * max(power.values())]
        assert sorted(heard) == item["labels"] and set(heard) <= set(scene.heard)
        if scene.indoors:
            continue
        on = [name for name in heard if name in outdoors.TEXTURES]  # over the whole mixture
        off += [10 * np.log10(power[a] / power[b]) - (scene.heard[a][1] - scene.heard[b][1])
                for a, b in combinations(on, 2)]
    assert len(off) > 8 and np.abs(off).max() < 2 * wild.SPREAD + 0.5 and np.std(off) > 2


def test_a_cut_that_is_nearly_all_pause_is_not_taken(tones):
    for start, stop in tones._index["speech"]:
        tones._pool[start:(start + stop) // 2] = 0
    peaks = []
    for k in range(200):
        x = np.zeros(tones.n_samples)
        tones._add(x, np.random.default_rng(k), "speech", 1.0)
        heard = np.flatnonzero(x)
        assert len(heard) > 0.4 * 0.05 * len(x)
        peaks.append(np.abs(x).max())  # the RMS is 1 with the pause, so that the less is left the louder it is
    assert np.min(peaks) == pytest.approx(2 ** 0.5, abs=0.01) and 2 < np.max(peaks) < 40 ** 0.5 + 0.1


def test_the_loudness_is_as_announced(items):
    levels = np.array([db(rms(item["mix"].numpy())) for item in items])
    peaks = np.array([float(item["mix"].abs().max()) for item in items])
    assert peaks.max() <= 0.9 + 1e-6 and levels.max() < -17.99
    free = levels[peaks < 0.899]
    assert len(free) > 400 and -35.01 < free.min() < -34 and abs(free.mean() + 26.5) < 1.5


def test_items_do_not_depend_on_order_or_number(corpus, items):
    fresh = load("wild", "train", "smoke")
    for i in (9, 0, 31, 9):
        assert torch.equal(fresh[i]["mix"], items[i]["mix"]) and fresh[i]["labels"] == items[i]["labels"]
    assert len({item["mix"].numpy().tobytes() for item in items}) == len(items)
    assert items[0]["mix"].shape == (32000,) and items[0]["mix"].dtype == torch.float32


def test_rendering_again_gives_the_same_bytes(tmp_path, monkeypatch, home):
    first = load("wild", "test", "smoke")[3]
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    again = load("wild", "test", "smoke")[3]
    assert torch.equal(first["mix"], again["mix"])
    for folder in (tmp_path / "corpora").glob("*/"):
        there = home / "corpora" / folder.name / cache.MANIFEST
        assert files.read_json(folder / cache.MANIFEST)["files"] == files.read_json(there)["files"]


# What does not come out

def test_no_source_comes_out_in_any_split():
    for split in SPLITS:
        data = load("wild", split, "smoke")
        assert all(list(item) == ["mix", "labels"] for item in data)
        public = {name for name in {*dir(data), *vars(data)} if not name.startswith("_")}
        assert public == {name for name in dir(Corpus) if not name.startswith("_")} | {
            "name", "split", "preset", "version", "sizes", "options", "sr", "n_samples", "n_items", "duration"}


def test_a_device_and_a_room_change_what_is_heard(corpus):
    freqs = np.fft.rfftfreq(corpus._n_fft, 1 / SR)
    gains = db(np.array(corpus._devices)[:, [np.argmin(np.abs(freqs - f)) for f in (40, 1000, 7500)]])
    assert np.all(np.abs(gains[:, 1]) < 9)  # what passes
    bass, treble = gains[:, 0] - gains[:, 1], gains[:, 2] - gains[:, 1]
    assert bass.std() > 3 and treble.std() > 5 and (treble < -6).any() and (treble > -6).any()
    for k in range(len(corpus._rooms)):
        wet = np.fft.irfft(corpus._room(k)[0], corpus._n_fft)
        wanted = corpus._rooms[k][0] / np.linalg.norm(corpus._rooms[k][0])
        assert np.allclose(wet[:9600], wanted, atol=1e-4) and np.abs(wet[9600:]).max() < 1e-4


# What crosses no split

def test_no_voice_is_one_of_talkers_in_another_split():
    casts = {split: wild.speakers(split, n) for split, n in zip(SPLITS, wild.Wild.SIZES["laptop"]["speakers"])}
    variants = {split: {speaker["voice"].split("+")[1] for speaker in cast} for split, cast in casts.items()}
    assert {split: variants[split] == set(wild.VARIANTS[split]) for split in SPLITS} == dict.fromkeys(SPLITS, True)
    for a, b in combinations(SPLITS, 2):
        assert not variants[a] & variants[b]
    for split in SPLITS:
        others = {name for other in SPLITS if other != split for name in talkers.VARIANTS[other]}
        assert not variants[split] & others
    assert not (variants["train"] | variants["validation"] | variants["test"]) & set(talkers.VARIANTS["test"])
    everyone = [speaker["voice"] for cast in casts.values() for speaker in cast]
    theirs = {s["voice"] for split, n in zip(SPLITS, (64, 8, 12)) for s in talkers.speakers(split, n)}
    assert len(set(everyone)) == len(everyone) and not theirs & set(everyone)
    said = espeak.say([{**speaker, "text": "Apples."} for cast in casts.values() for speaker in cast])
    assert len({wave.tobytes() for wave in said}) == len(everyone)


def test_what_is_said_is_said_in_no_other_split_of_talkers():
    said = {split: set(islice(talkers.sentences(split, 1), n)) for split, n in zip(SPLITS, (700, 200, 200))}
    theirs = {split: set(islice(talkers.sentences(split), 1600)) for split in SPLITS}
    for a in SPLITS:
        for b in SPLITS:
            assert a == b or not said[a] & (theirs[b] | said[b])
    assert len(said["train"] & theirs["train"]) < 10


def test_splits_share_no_instance_device_or_room():
    prints, devices = [], []
    for split in SPLITS:
        data = load("wild", split, "smoke")
        prints += [data._pool[a:b].tobytes() for spans in data._index.values() for a, b in spans]
        devices += [device.tobytes() for device in data._devices]
    assert len(set(prints)) == len(prints) > 25 * (3 + 2 + 2)
    assert len(set(devices)) == len(devices) == 8 + 4 + 4
    sizes = [tuple(about["size"]) for split, n in zip(SPLITS, (3, 2, 2)) for seed in (0, 1)
             for about in rooms.load(split, n, SR, seed).about]
    assert len(set(sizes)) == len(sizes) == 14


# The classes

@pytest.mark.parametrize("name", MAKERS)
def test_a_class_sounds_and_varies(name):
    n = 2 * SR
    one, again, other = (np.asarray(MAKERS[name](np.random.default_rng(seed), n)) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert one.ndim == 1 and np.isfinite(one).all() and len(one) <= n
    short = min(len(one), len(other))
    assert abs(np.corrcoef(one[:short], other[:short])[0, 1]) < 0.9
    if name in outdoors.EVENTS:
        assert rms(one[:SR // 4]) > 0.01 * rms(one)  # it starts at once
    elif name in outdoors.TEXTURES:
        parts = rms(one[:n // 4 * 4].reshape(4, -1))
        assert len(one) == n and parts.min() > 0.03 * parts.max()  # it goes on


def bands(x):
    """Mean and spread of the log power in 14 bands."""
    frames = np.abs(np.fft.rfft(x[:len(x) // 512 * 512].reshape(-1, 512) * np.hanning(512))) ** 2
    found = np.log(np.stack([b.mean(axis=1) for b in np.array_split(frames / frames.mean(), 14, axis=1)]) + 1e-6)
    return np.concatenate([found.mean(axis=1), found.std(axis=1)])


@pytest.mark.parametrize("name", sorted(set(MAKERS) & {*foley.TEXTURES, *foley.EVENTS}) + ["dog"])
def test_the_same_class_sounds_otherwise_than_in_sounds(name):
    # Which corpus an instance is of is heard by a nearest-neighbour look at its spectrum.
    theirs = {**foley.TEXTURES, **foley.EVENTS, "dog": foley.bark}[name]
    points = np.array([bands(make(np.random.default_rng(k), SR)[:SR]) for make in (MAKERS[name], theirs)
                       for k in range(20)])
    far = np.linalg.norm(points[:, None] - points, axis=-1) + np.diag(np.full(40, np.inf))
    assert np.mean(far.argmin(axis=1) // 20 == np.arange(40) // 20) > 0.75
