"""The corpus `captions`: what a caption says is what is heard, in time and in level."""
import re
from itertools import combinations

import numpy as np
import pytest
import torch

from weaklib.audio import db, rms
from weaklib.corpora import SPLITS, captions, events, load
from weaklib.files import WeaklibError

N = 16384
JOINTS = re.compile(r"(?:,? followed by |,? then | and | while |, | with | in the background$)")  # longest first


@pytest.fixture(scope="module")
def corpus():
    return load("captions", "train", "smoke", n_items=400)


@pytest.fixture(scope="module")
def items(corpus):
    return list(corpus)


def level(x):
    x = x.numpy()
    return db(rms(x[captions.sounding(x)]))


# What an item is

def test_sources_add_up_and_have_a_label_and_a_phrase_each(items, corpus):
    counts = np.zeros(5)
    for item in items:
        n = len(item["labels"])
        counts[n] += 1
        assert list(item) == ["mix", "sources", "labels", "text", "phrases"]
        assert item["mix"].shape == (N,) and item["sources"].shape == (n, N) and item["mix"].dtype == torch.float32
        assert torch.equal(item["sources"].sum(0), item["mix"])
        assert torch.equal(item["sources"].flip(0).sum(0), item["mix"])
        assert max(item["mix"].abs().max(), item["sources"].abs().max()) <= 0.9 + 1e-6
        assert len(item["phrases"]) == n == len(set(item["labels"])) and set(item["labels"]) <= set(corpus.classes)
        assert all(source.any() for source in item["sources"])
    assert np.all(np.abs(counts[1:] / len(items) - captions.SHARES) < 0.1)  # 4 standard deviations


def test_a_source_is_a_cut_of_an_item_of_the_same_split():
    for split in SPLITS:
        parts = [load(name, split, "smoke") for name in ("instruments", "events")]
        bank = {label: [part[i]["mix"].numpy() for items in part.recordings[label] for i in items]
                for part in parts for label in part.classes}
        whole = 0
        for item in load("captions", split, "smoke"):
            if re.search("followed|then", item["text"]):
                continue
            for label, source in zip(item["labels"], item["sources"].numpy()):
                found = [x @ source / np.linalg.norm(x) / np.linalg.norm(source) for x in bank[label]]
                assert max(found) > 0.9999
                whole += 1
        assert whole > 5


# What a caption says

def test_the_phrases_are_what_is_left_of_a_caption_without_its_joints(items):
    for item in items:
        assert [part for part in JOINTS.split(item["text"]) if part] == item["phrases"]


def test_what_follows_begins_when_what_was_named_before_is_over(items):
    n = 0
    for item in items:
        turns = re.split(r",? followed by |,? then ", item["text"].split(" with ")[0])
        if len(turns) < 2:
            continue
        n += 1
        spans = [(np.flatnonzero(source)[0], np.flatnonzero(source)[-1]) for source in item["sources"].numpy()]
        first = len([part for part in JOINTS.split(turns[0]) if part])
        last = len(item["phrases"]) - ("background" in item["text"])
        assert 0 < first < last
        assert max(stop for _, stop in spans[:first]) < min(start for start, _ in spans[first:last])
        assert all(stop - start > 800 for start, stop in spans)  # a tenth of a second is heard of each
    assert n > 60


def test_a_background_is_softer_than_all_else_and_goes_on(items):
    n = 0
    for item in items:
        if "in the background" not in item["text"]:
            continue
        n += 1
        *others, behind = map(level, item["sources"])
        assert behind < min(others) - 7.5 and "loud" not in item["phrases"][-1]
        assert item["labels"][-1] in events.GOES_ON or item["labels"][-1] not in events.KINDS
    assert n > 60


def test_only_what_is_louder_than_all_else_is_called_loud(items):
    called = faint = 0
    for item in items:
        levels = np.array(list(map(level, item["sources"])))
        for k, phrase in enumerate(item["phrases"]):
            if " loud " in f" {phrase}":
                called += 1
                assert len(levels) > 1 and levels[k] > max(np.delete(levels, k)) + 3.5
            if " faint " in f" {phrase}":
                faint += 1
                assert k == len(levels) - 1 and item["text"].endswith("in the background")
    assert called > 10 and faint > 10


def test_every_joint_is_used(items):
    text = " | ".join(item["text"] for item in items)
    for joint in (" and ", " while ", " followed by ", ", followed by ", " then ", ", then ", " with ", ", "):
        assert text.count(joint) > 5, joint


# The words

def test_a_class_has_three_wordings_or_more_that_no_other_class_has(corpus):
    said = {label: set(sum(captions.wordings(label), ())) for label in corpus.classes}
    assert set(captions.WORDS) == set(events.KINDS)
    for phrases in said.values():
        assert len(phrases) >= 3
        assert not any(JOINTS.search(phrase + " ") for phrase in phrases)
    for a, b in combinations(said.values(), 2):
        assert not a & b


def test_articles_and_adjectives_are_english():
    rng = np.random.default_rng(0)
    labels = (*captions.WORDS, "accordion", "ukulele", "congas", "electric bass")
    said = {captions._said(rng, label, finite, adjective) for label in labels for finite in (True, False)
            for adjective in ("", "loud", "faint") for _ in range(40)}
    assert {"a loud engine", "an accordion", "a faint accordion playing", "a ukulele plays", "an electric bass plays",
            "congas play", "someone plays the congas", "loud rain", "the loud surf", "a loud dog barks",
            "the sound of a ukulele"} <= said
    assert not [phrase for phrase in said if re.search(r"\ban [^aeio]|\ba [aeio]|loud (the|an?|some)\b|  ", phrase)]


def test_captions_as_they_are_written():
    class First:  # the first of every choice, and no adjectives
        def choice(self, options):
            return options[0]

        def __init__(self, finite):
            self.drawn = iter([0.0 if finite else 1.0])

        def random(self):
            return next(self.drawn, 1.0)

    finite = captions.caption(First(True), [["dog barking", "siren wailing"], ["violin"]], "rain falling")
    assert finite == ("a dog barks and a siren wails followed by a violin with rain in the background",
                      ["a dog barks", "a siren wails", "a violin", "rain"])
    noun = captions.caption(First(False), [["dog barking", "siren wailing", "violin"]])
    assert noun == ("a dog, a siren and a violin", ["a dog", "a siren", "a violin"])


# What it depends on

def test_items_do_not_depend_on_order_or_number(items):
    few = load("captions", "train", "smoke")
    assert len(few) == 24
    for i in (17, 3, 17):
        assert torch.equal(few[i]["sources"], items[i]["sources"]) and few[i]["text"] == items[i]["text"]
    assert len({item["mix"].numpy().tobytes() for item in items}) == len(items)


def test_a_shorter_item_is_the_beginning(items):
    short = load("captions", "train", "smoke", duration=1.0)
    assert torch.equal(short[5]["sources"], items[5]["sources"][:, :8000]) and short[5]["text"] == items[5]["text"]


def test_the_paper_preset_says_what_to_do():
    with pytest.raises(WeaklibError, match="takes AudioCaps itself.*load the corpus 'audiocaps'"):
        load("captions", "train", "paper")
