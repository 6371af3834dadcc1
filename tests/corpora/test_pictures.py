"""Synthetic frames: the same again, different everywhere, and of what they should be."""
import numpy as np
import pytest

from weaklib.corpora import SPLITS, events, load, pictures
from weaklib.files import WeaklibError

INSTRUMENTS = ("bagpipe clarinet flute drum ukulele accordion bassoon guzheng xylophone erhu tuba congas saxophone "
               "cello violin piano banjo trumpet pipa").split() + ["acoustic guitar", "electric bass"]


def outline(x):
    """Where edges are and which way they go: 8 directions in 6 x 6 cells, without regard to brightness."""
    dy, dx = np.gradient(x, axis=(1, 2))
    most = np.hypot(dy, dx).argmax(axis=0)[None]
    dy, dx = (np.take_along_axis(d, most, 0)[0] for d in (dy, dx))
    angle = ((np.arctan2(dy, dx) % np.pi) / np.pi * 8).astype(int) % 8
    cells = np.stack([(np.hypot(dy, dx) * (angle == k)).reshape(6, 8, 6, 8).sum(axis=(1, 3)) for k in range(8)])
    cells = np.sqrt(cells / cells.sum())
    return np.concatenate([cells.ravel(), 2 * cells.mean(axis=(1, 2))])


def test_every_class_has_a_picture():
    assert set(pictures.GLYPHS) == {*INSTRUMENTS, *events.KINDS} and len(INSTRUMENTS) == 21
    for label in pictures.GLYPHS:
        x = pictures.frame(label, np.random.default_rng(0))
        assert x.shape == (3, 48, 48) and x.dtype == np.float32 and 0 <= x.min() < 0.4 < 0.6 < x.max() <= 1
    assert pictures.frame("violin", np.random.default_rng(0), size=64).shape == (3, 64, 64)


def test_the_glyph_alone_tells_two_classes_apart():
    one, same, other = (pictures.frame(label, np.random.default_rng(1)) for label in ("drum", "drum", "flute"))
    assert np.array_equal(one, same)
    assert 0.02 < np.mean(np.abs(one - other).max(axis=0) > 0.1)


def test_classes_are_told_apart_but_not_by_any_look():
    # The nearest centroid of outlines beats chance (1 in 51) by far, that of colours hardly.
    labels = list(pictures.GLYPHS)
    drawn = [[pictures.frame(label, np.random.default_rng([3, k, j])) for j in range(24)]
             for k, label in enumerate(labels)]

    def share(look):
        points = np.array([[look(x) for x in row] for row in drawn])
        centroids = points[:, :18].mean(axis=1)
        far = np.linalg.norm(points[:, 18:, None] - centroids, axis=-1)
        return np.mean(far.argmin(axis=-1) == np.arange(len(labels))[:, None])

    assert share(outline) > 0.25
    assert share(lambda x: x.mean(axis=(1, 2))) < 0.06


def test_frames_are_those_of_an_items_recording():
    corpus = load("events", "train", "smoke")
    one, again = pictures.frames(corpus, 6), pictures.frames(load("events", "train", "smoke"), 6)
    assert one.shape == (3, 3, 48, 48) and np.array_equal(one, again)
    assert np.array_equal(pictures.frames(corpus, 6, n=5)[:3], one)
    assert np.array_equal(pictures.frames(corpus, 6 - len(corpus)), one)

    colours = []
    for (first, second), (third, _) in (found for found in corpus.recordings.values()):
        a, b, c = (pictures.frames(corpus, i).mean(axis=(0, 2, 3)) for i in (first, second, third))
        assert not np.array_equal(pictures.frames(corpus, first), pictures.frames(corpus, second))
        colours.append((np.abs(a - b).mean(), np.abs(a - c).mean()))
    near, far = np.mean(colours, axis=0)
    assert near < 0.5 * far  # two cuts show one scene, two recordings do not


def test_no_frame_is_in_two_splits_or_in_the_pool():
    prints = [pictures.frames(load(name, split, "smoke"), i).tobytes() for name in events.NAMES for split in SPLITS
              for i in (0, 1, 9)]
    assert len(set(prints)) == len(prints)


def test_refusals():
    with pytest.raises(WeaklibError, match="no picture of 'kazoo'; choose one of bagpipe, "):
        pictures.frame("kazoo", np.random.default_rng(0))
    with pytest.raises(WeaklibError, match="sounds has no recordings of one thing each"):
        pictures.frames(load("sounds", "test", "smoke"), 0)
