"""The readers of MUSIC-21, VGGSound, AudioCaps and manifests, on small folders of the true layouts."""
import json
from collections import Counter

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from weaklib import corpora
from weaklib.corpora import SPLITS, load
from weaklib.corpora.labelled import divided
from weaklib.corpora.music21 import N_VIDEOS
from weaklib.files import WeaklibError

SR = 11025
N = 1000  # samples of an item, in most tests
ITEM = N / SR


@pytest.fixture
def data(tmp_path, monkeypatch):
    """An empty WEAKLIB_DATA, and a store of its own."""
    monkeypatch.setenv("WEAKLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path / "home"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def write(path, n=3 * N + 500, seed=None, sr=SR):
    """Write noise of 16 bits, another one for each path, and return it as numbers from -1 to 1."""
    seed = seed if seed is not None else list(str(path).encode())
    x = np.random.default_rng(seed).integers(-6000, 6001, n) / 2 ** 15
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, x, sr)
    return x


def found_in(item, written):
    """The recording that an item is a cut of, and where it begins there."""
    x = item["mix"].numpy().astype(np.float64)
    hits = [(name, k) for name, whole in written.items()
            for k in np.flatnonzero(whole[:len(whole) - len(x) + 1] == x[0]) if np.array_equal(whole[k:k + len(x)], x)]
    assert len(hits) == 1
    return hits[0]


def refused(name, split, says):
    with pytest.raises(WeaklibError, match=says) as error:
        load(name, split, "paper")
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


# MUSIC-21

def music(folder, classes=("acoustic_guitar", "tuba"), n=10):
    """Write recordings of three cuts and a half: (label, id) -> wave."""
    return {(name.replace("_", " "), f"{name[:3]}{k:08}"): write(folder / name / f"{name[:3]}{k:08}.wav")
            for name in classes for k in range(n)}


def listing(folder, ids):
    (folder / "MUSIC21_solo_videos.json").write_text(json.dumps({"version": "1.1", "videos": ids}))


@pytest.mark.parametrize("layout", ["music21/audio", "MUSIC/audio", "sets/MUSIC-21", "music21"])
def test_whole_recordings_are_tested_cut_by_cut_and_crops_are_trained_on(data, layout):
    written = music(data / layout)
    heard = {}
    for split, n in zip(SPLITS, (7, 1, 2)):
        corpus = load("music21", split, "paper", duration=ITEM, crops=5)
        assert corpus.sr == SR and corpus.n_samples == N and corpus.classes == tuple(N_VIDEOS)
        assert {label: len(runs) for label, runs in corpus.recordings.items()} == {"acoustic guitar": n, "tuba": n}
        assert [k for runs in corpus.recordings.values() for items in runs for k in items] == list(range(len(corpus)))
        for label, runs in corpus.recordings.items():
            for items in runs:
                cuts = [found_in(corpus[i], {name: x for (kind, name), x in written.items() if kind == label})
                        for i in items]
                assert {tuple(corpus[i]["labels"]) for i in items} == {(label,)} and len(dict(cuts)) == 1
                starts = [k for _, k in cuts]
                assert len(set(starts)) == 5 if split == "train" else starts == [0, N, 2 * N]
                assert heard.setdefault((label, cuts[0][0]), split) == split
    assert len(heard) == 20


def test_an_item_has_its_mixture_as_its_only_source_and_comes_out_the_same_again(data):
    music(data / "music21/audio", n=3)
    one, other = (load("music21", "train", "paper", duration=ITEM, crops=3) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert a["sources"].shape == (1, N) and a["sources"].dtype == torch.float32
        assert torch.equal(a["sources"][0], a["mix"]) and torch.equal(a["mix"], b["mix"])
    assert torch.equal(one[4]["mix"], load("music21", "train", "paper", duration=ITEM, crops=3)[4]["mix"])


def test_the_published_length_and_what_is_shorter(data):
    for k, n in enumerate((65535 * 2, 30000, 65535 * 2 + 1)):
        write(data / f"music21/audio/tuba/{k:011}.wav", n)
    train = load("music21", "train", "paper")
    items = [load("music21", split, "paper") for split in ("validation", "test")]
    assert train.n_samples == 65535 and len(train) == 50  # crops of its only recording
    lengths = sorted(len(corpus) for corpus in items)
    assert lengths in ([1, 2], [2, 2]) and [len(corpus.recordings["tuba"]) for corpus in items] == [1, 1]
    short = next((corpus for corpus in (train, *items) if not corpus[0]["mix"][30000:].any()), None)
    assert short and short[0]["mix"][:30000].any()


def test_other_rates_are_resampled_and_channels_averaged(data):
    t = np.arange(44100) / 44100
    both = 0.2 * np.stack([np.sin(2 * np.pi * f * t) for f in (500, 900)], axis=-1)
    for k in range(3):
        (data / "music21/audio/tuba").mkdir(parents=True, exist_ok=True)
        soundfile.write(data / f"music21/audio/tuba/{k:011}.flac", both, 44100)
    x = load("music21", "test", "paper", duration=1.0)[0]["mix"].numpy()
    expected = 0.1 * sum(np.sin(2 * np.pi * f * np.arange(SR) / SR) for f in (500, 900))
    assert np.abs(x - expected)[500:-500].max() < 1e-3


def test_vanished_videos_are_told_by_class_and_move_no_other_to_another_split(data, capsys):
    root = data / "music21"
    written = music(root / "audio")
    ids = {name: [video for label, video in written if label == name.replace("_", " ")]
           for name in ("acoustic_guitar", "tuba")} | {"erhu": ["erh00000000", "erh00000001", "erh00000002"]}
    listing(root, ids)

    def names():
        corpora_ = {split: load("music21", split, "paper", duration=ITEM, crops=1) for split in SPLITS}
        return corpora_, {clip.name: split for split, corpus in corpora_.items() for clip, _ in corpus._clips}

    before, splits = names()
    assert all(list(corpus.missing) == ["erhu"] and "erhu" not in corpus.recordings for corpus in before.values())
    gone = [name for name, split in splits.items() if split == "train" and name.startswith("tuba")][:2]
    for name in gone:
        (root / "audio" / f"{name}.wav").unlink()
    capsys.readouterr()
    after, later = names()
    assert later == {name: split for name, split in splits.items() if name not in gone}
    assert sorted(after["train"].missing["tuba"]) == sorted(gone)
    told = capsys.readouterr().out.split("music21, ")[1]
    assert told.splitlines() == ["train: 3 of the 15 recordings are not there:", "  erhu  1 of 1", "  tuba  2 of 7"]
    listing(root, ["tuba"])
    refused("music21", "test", "MUSIC21_solo_videos.json is no list of videos by class: get it again")


def test_a_recording_that_is_damaged_is_left_out(data, capsys):
    music(data / "music21/audio", ("tuba",), n=10)
    train = load("music21", "train", "paper", duration=ITEM, crops=1)
    bad = train._clips[2][0]
    bad.path.write_text("no sound")
    again = load("music21", "train", "paper", duration=ITEM, crops=1)
    assert len(again) == len(train) - 1 and list(again.skipped) == [bad.name]
    assert "1 of its recordings cannot be read, and left out" in capsys.readouterr().out


def test_what_music21_lacks_is_named(data):
    refused("music21", "train", "has no music21: get the sound of the videos .*, and set WEAKLIB_DATA")
    (data / "music21/audio/kazoo").mkdir(parents=True)
    write(data / "music21/audio/kazoo/x.wav")
    refused("music21", "train", "has no folder with recordings that is called after a class, such as acoustic_guitar")
    write(data / "music21/audio/tuba/only.wav")
    refused("music21", "test", "The test split of music21 cannot be read, because it is empty")


# Pictures

@pytest.mark.parametrize("folder", ["{}.mp4", "{}"])
def test_pictures_are_those_of_the_seconds_of_an_item(data, folder):
    for k in range(3):
        write(data / f"music21/audio/tuba/{k:011}.wav", 6 * SR)
        frames = data / "music21/frames/tuba" / folder.format(f"{k:011}")
        frames.mkdir(parents=True)
        for second in range(6):
            Image.new("RGB", (40, 20), (40 * second, 0, 10 * k)).save(frames / f"{second + 1:06}.png")
    corpus = load("music21", "test", "paper", duration=2.0)
    seen = [corpus.frames(i, size=8) for i in range(3)]
    assert all(pictures.shape == (2, 3, 8, 8) and pictures.dtype == torch.float32 for pictures in seen)
    reds = [(255 * pictures[:, 0, 0, 0]).round().int().tolist() for pictures in seen]
    assert reds == [[0, 40], [80, 120], [160, 200]]
    assert all(not pictures[:, 1].any() for pictures in seen)


def test_without_pictures_the_error_says_where_to_put_them(data):
    music(data / "music21/audio", ("tuba",), n=3)
    corpus = load("music21", "test", "paper", duration=ITEM)
    with pytest.raises(WeaklibError, match="no pictures of tuba/tub0000000.: put .* into .*frames/tuba/.*[.]mp4, as"):
        corpus.frames(0)


# VGGSound

VGG = [("AAAAAAAAAA1", 30, "pigeon, dove cooing", "train"), ("AAAAAAAAAA2", 0, "pigeon, dove cooing", "train"),
       ("AAAAAAAAAA3", 7, "pigeon, dove cooing", "test"), ("BBBBBBBBBB1", 1, "dog bow-wow", "train"),
       ("BBBBBBBBBB2", 2, "dog bow-wow", "test")]


def vgg(root, quoted=True, files=("{0}_{1:06}", "{0}_{1}", "{0}")):
    """Write a small VGGSound, whose clips are called in several ways: id -> wave."""
    root.mkdir(parents=True)
    quote = '"' if quoted else ""
    (root / "vggsound.csv").write_text("".join(f"{name},{at},{quote}{label}{quote},{part}\n"
                                               for name, at, label, part in VGG))
    return {name: write(root / "audio" / name[:2] / f"{files[k % len(files)].format(name, at)}.wav", N)
            for k, (name, at, *_) in enumerate(VGG)}


@pytest.mark.parametrize("quoted", [True, False])
def test_vggsound_has_its_official_test_set_and_labels_with_commas(data, quoted):
    written = vgg(data / "vggsound", quoted)
    test, train, validation = (load("vggsound", split, "paper", duration=ITEM)
                               for split in ("test", "train", "validation"))
    assert test.classes == train.classes == ("dog bow-wow", "pigeon, dove cooing")
    assert [(found_in(item, written)[0], *item["labels"]) for item in test] == [
        ("BBBBBBBBBB2", "dog bow-wow"), ("AAAAAAAAAA3", "pigeon, dove cooing")]
    assert len(validation) == 1 and len(train) == 2  # a class of one clip has none to spare
    assert Counter(found_in(item, written)[0] for corpus in (train, validation) for item in corpus) == Counter(
        name for name, *_, part in VGG if part == "train")
    paper = load("vggsound", "test", "paper")
    assert paper.n_samples == 110_000 and not paper[0]["mix"][N:].any()


def test_vggsound_as_the_released_code_lists_it(data):
    root = data / "VGGSound"
    written = {name: write(root / "audio" / f"{name}.wav", N) for name in ("a", "b", "c")}
    (root / "annotations").mkdir()
    (root / "annotations/train.csv").write_text("data/audio/a.wav,pigeon dove cooing\ndata/audio/b.wav,car, idling\n")
    refused("vggsound", "train", "has neither vggsound.csv nor annotations/train.csv and test.csv")
    (root / "annotations/test.csv").write_text("data/audio/c.wav,car, idling\ndata/audio/gone.wav,car, idling\n")
    train, test = (load("vggsound", split, "paper", duration=ITEM) for split in ("train", "test"))
    assert [(found_in(item, written)[0], *item["labels"]) for item in train] == [("b", "car, idling"),
                                                                                 ("a", "pigeon dove cooing")]
    assert len(test) == 1 and test.missing == {"car, idling": ["gone"]}


def test_vanished_and_damaged_clips_of_vggsound(data, capsys):
    written = vgg(data / "vggsound")
    (data / "vggsound/audio/BB/BBBBBBBBBB1_000001.wav").unlink()
    train = load("vggsound", "train", "paper", duration=ITEM)
    assert train.missing == {"dog bow-wow": ["BBBBBBBBBB1_000001"]} and "dog bow-wow" not in train.recordings
    assert "  dog bow-wow  1 of 1\n" in capsys.readouterr().out
    write(data / "vggsound/audio/BB/BBBBBBBBBB3.wav", N)
    with open(data / "vggsound/vggsound.csv", "a") as f:
        f.write("BBBBBBBBBB3,0,dog bow-wow,test\nCCCCCCCCCC1,0,car,test\n")
    write(data / "vggsound/audio/CCCCCCCCCC1.wav", N)
    (data / "vggsound/audio/BB/BBBBBBBBBB3.wav").write_text("no sound")
    test = load("vggsound", "test", "paper", duration=ITEM)
    dogs = [k for items in test.recordings["dog bow-wow"] for k in items]
    assert {found_in(test[k], written)[0] for k in dogs} == {"BBBBBBBBBB2"} and len(dogs) == 2
    assert capsys.readouterr().out.count("The next clip of its class takes its place.") == 1
    (data / "vggsound/audio/CCCCCCCCCC1.wav").write_text("no sound")
    with pytest.raises(WeaklibError, match="no clip of the class 'car' can be read"):
        test[test.recordings["car"][0][0]]


def test_a_wrong_row_of_vggsound_is_named(data):
    vgg(data / "vggsound")
    (data / "vggsound/vggsound.csv").write_text("AAAAAAAAAA1,30,dog,train\nAAAAAAAAAA2,soon,dog,train\n")
    refused("vggsound", "train", "row 2 of .*vggsound.csv is not an id, a start in seconds, a class, and train or test")


# AudioCaps

CAPTIONS = {"train": [(1, "aa_aaaaaaaa", 30, "A dog barks, and a man speaks"), (2, "bbbbbbbbbbb", 0, "Rain falls")],
            "val": [(3, "ccccccccccc", 10, "A bell rings")],
            "test": [(4, "ddddddddddd", 20, "Wind blows"), (5, "ddddddddddd", 20, "A strong wind"),
                     (6, "eeeeeeeeeee", 5, "A cat meows while music plays"), (7, "fffffffffff", 5, "A car passes")]}


def caps(root, tables="annotations"):
    """Write a small AudioCaps: clip -> wave."""
    (root / tables).mkdir(parents=True)
    for part, rows in CAPTIONS.items():
        lines = [f'{number},{video},{at},"{caption}"' for number, video, at, caption in rows]
        (root / tables / f"{part}.csv").write_text("\n".join(["audiocap_id,youtube_id,start_time,caption", *lines]))
    return {f"{video}_{at}": write(root / "audio" / f"{video}_{at}.wav", N)
            for rows in CAPTIONS.values() for _, video, at, _ in rows}


@pytest.mark.parametrize("folder, tables", [("audiocaps", "annotations"), ("AudioCaps", ""),
                                            ("x/audiocaps", "dataset")])
def test_audiocaps_has_a_caption_for_every_item(data, folder, tables):
    written = caps(data / folder, tables)
    for split, part in zip(SPLITS, CAPTIONS):
        corpus = load("audiocaps", split, "paper", duration=ITEM)
        assert [(found_in(item, written)[0], item["text"]) for item in corpus] == [
            (f"{video}_{at}", caption) for _, video, at, caption in CAPTIONS[part]]
        assert all(item["labels"] == item["phrases"] == [] and "sources" not in item for item in corpus)
    assert load("audiocaps", "test", "paper").n_samples == 110_000


def test_phrases_are_those_of_the_file_of_the_authors(data):
    caps(data / "audiocaps")
    path = data / "audiocaps/annotations/parsed_all_caps.json"
    path.write_text(json.dumps({"1": {"file_id": "aa_aaaaaaaa_30", "caption": "A dog barks, and a man speaks",
                                      "sources": ["A dog barks", "A man speaks"]}}))
    assert [item["phrases"] for item in load("audiocaps", "train", "paper")] == [["A dog barks", "A man speaks"], []]
    path.write_text("[1]")
    refused("audiocaps", "train", "parsed_all_caps.json does not list the sources of captions by their numbers")


def test_test_mixtures_are_of_two_clips_and_always_the_same(data):
    caps(data / "audiocaps")
    corpus, again = (load("audiocaps", "test", "paper") for _ in range(2))
    assert [i for i, _ in corpus.pairs] == [0, 1, 2, 3] and corpus.pairs == again.pairs
    assert all(corpus.clips[i] != corpus.clips[j] for i, j in corpus.pairs)
    with pytest.raises(WeaklibError, match="All items of the validation split of audiocaps are of one recording"):
        assert load("audiocaps", "validation", "paper").pairs


def test_vanished_and_damaged_clips_of_audiocaps(data, capsys):
    written = caps(data / "audiocaps")
    (data / "audiocaps/audio/ddddddddddd_20.wav").unlink()
    corpus = load("audiocaps", "test", "paper", duration=ITEM)
    assert corpus.missing == {"": ["ddddddddddd_20"]} and len(corpus) == 2
    assert capsys.readouterr().out == "audiocaps, test: 1 of the 3 recordings are not there.\n"
    (data / "audiocaps/audio/eeeeeeeeeee_5.wav").write_text("no sound")
    assert found_in(corpus[0], written)[0] == "fffffffffff_5" and corpus[0]["text"] == "A car passes"
    assert list(corpus.skipped) == ["eeeeeeeeeee_5"]


def test_what_audiocaps_lacks_is_named(data):
    refused("audiocaps", "train", "has no audiocaps: put train.csv, val.csv and test.csv of")
    caps(data / "audiocaps")
    (data / "audiocaps/annotations/val.csv").unlink()
    refused("audiocaps", "validation", "there is no .*annotations/val.csv")
    (data / "audiocaps/annotations/train.csv").write_text("audiocap_id,youtube_id,caption\n1,x,y\n")
    refused("audiocaps", "train", "train.csv has no column start_time")


# Manifests

def test_a_folder_of_classes_is_a_corpus(tmp_path, monkeypatch):
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path / "home"))
    root = tmp_path / "mine"
    written = {f"{label}/{k}": write(root / label / f"{k}.wav") for label in ("door_bell", "cat") for k in range(10)}
    (root / "frames").mkdir()
    splits = {}
    for split, n in zip(SPLITS, (7, 1, 2)):
        corpus = load(f"manifest:{root}", split, "smoke", duration=ITEM, crops=1)
        assert corpus.classes == ("cat", "door bell") and {len(runs) for runs in corpus.recordings.values()} == {n}
        for item in corpus:
            name, _ = found_in(item, written)
            assert item["labels"] == [name.split("/")[0].replace("_", " ")]
            splits[name] = split
    assert len(splits) == 20
    same = load(f"manifest:{root}", "test", "paper", duration=ITEM, crops=1).identity
    assert corpora.identity(f"manifest:{root}", "paper") | {"duration": ITEM, "crops": 1} == same
    write(root / "cat/0.wav", 4 * N)
    assert load(f"manifest:{root}", "test", "paper", duration=ITEM, crops=1).identity["content"] != same["content"]


def test_a_table_of_labels_says_where_items_begin_and_in_which_split_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path / "home"))
    written = {name: write(tmp_path / "sounds" / f"{name}.wav", 10 * N) for name in ("a", "b", "c")}
    table = tmp_path / "list.csv"
    table.write_text('path,label,start,split\n'
                     'sounds/a.wav,"pigeon, dove",0.2,train\nsounds/a.wav,"pigeon, dove",0,train\n'
                     'sounds/b.wav,cat,,test\nsounds/c.wav,cat,0.1,test\nsounds/gone.wav,cat,,test\n')
    train, test = (load(f"manifest:{table}", split, "smoke", duration=ITEM) for split in ("train", "test"))
    assert [found_in(item, written) for item in train] == [("a", 0), ("a", 2205)]
    assert train.recordings == {"pigeon, dove": [range(2)]} and train[0]["labels"] == ["pigeon, dove"]
    assert [found_in(item, written)[0] for item in test] == ["b"] * 10 + ["c"]
    assert found_in(test[10], written) == ("c", round(0.1 * SR)) and test.missing == {"cat": ["sounds/gone.wav"]}
    with pytest.raises(WeaklibError, match="The validation split of manifest:.*list.csv .* is empty"):
        load(f"manifest:{table}", "validation", "smoke")


def test_a_table_of_captions(tmp_path, monkeypatch):
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path / "home"))
    written = {f"{k}": write(tmp_path / f"{k}.wav", N) for k in range(4)}
    table = tmp_path / "list.csv"
    table.write_text("path,caption,start,split\n" + "".join(f'{k}.wav,"Rain, and {k} dogs",0,test\n' for k in range(4)))
    test = load(f"manifest:{table}", "test", "smoke", duration=ITEM)
    for item in test:
        k, _ = found_in(item, written)
        assert item["text"] == f"Rain, and {k} dogs" and item["labels"] == item["phrases"] == []
    assert all(i != j for i, j in test.pairs) and len(test.pairs) == 4
    (tmp_path / "1.wav").write_text("no sound")
    replaced = load(f"manifest:{table}", "test", "smoke", duration=ITEM)[1]
    assert replaced["text"] == "Rain, and 2 dogs" and found_in(replaced, written)[0] == "2"


@pytest.mark.parametrize("text, says", [
    ("a.wav,cat\n", "the first row of .* does not name the columns path and either label or caption"),
    ("path,label,caption\na.wav,cat,x\n", "does not name the columns path and either label or caption"),
    ("path,label,loud\na.wav,cat,x\n", "has a column 'loud', which means nothing here"),
    ("path,label\na.wav,pigeon, dove\n", "row 2 of .* has more fields than its first row: put quotes around what has"),
    ("path,label\na.wav,cat\n,cat\n", "row 3 of .* lacks a path, or what is heard there"),
    ("path,label,split\na.wav,cat,dev\n", "has the split 'dev': choose train, validation, test, or leave it empty"),
    ("path,label,start\na.wav,cat,-1\n", "row 2 of .* has the start '-1': write seconds"),
    ("path,label,start\na.wav,cat,soon\n", "has the start 'soon'"),
    ("path,label\n", "names no recordings")])
def test_what_is_wrong_with_a_table_is_said(tmp_path, text, says):
    (tmp_path / "list.csv").write_text(text)
    refused(f"manifest:{tmp_path / 'list.csv'}", "train", says)


def test_a_manifest_that_is_not_there(tmp_path):
    refused(f"manifest:{tmp_path / 'nothing.csv'}", "train", "nothing.csv is no table that can be read .No such file")
    refused(f"manifest:{tmp_path}", "train", "names no recordings: give a folder with a folder of recordings for each")


# All of them

@pytest.mark.parametrize("n, sizes", [(0, (0, 0, 0)), (1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (10, (7, 1, 2)),
                                      (51, (37, 4, 10)), (89, (64, 7, 18))])
def test_recordings_are_divided_by_their_names_alone(n, sizes):
    names = [f"video {k}" for k in range(n)]
    parts = divided(names)
    assert tuple(len(parts[split]) for split in SPLITS) == sizes
    assert sorted(sum(parts.values(), [])) == sorted(names) and parts == divided(names[::-1])
