"""The readers of FUSS and of other downloads that cut nothing in advance, on small folders of the true layouts."""
import numpy as np
import pytest
import soundfile
import torch

from weaklib import corpora
from weaklib.corpora import SPLITS, load
from weaklib.files import WeaklibError


@pytest.fixture
def data(tmp_path, monkeypatch):
    """An empty WEAKLIB_DATA."""
    monkeypatch.setenv("WEAKLIB_DATA", str(tmp_path))
    return tmp_path


def write(path, seconds, sr=16000, seed=0, peak=6000):
    """Write noise of 16 bits, and return it as numbers from -1 to 1."""
    x = np.random.default_rng(seed).integers(-peak, peak + 1, round(seconds * sr)) / 2 ** 15
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, x, sr)
    return x


def tone(path, frequency, seconds, sr):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * sr)) / sr), sr)


def start(short, long):
    """Where a cut `short` begins in `long`, if it is one."""
    found = [k for k in range(len(long) - len(short) + 1) if long[k] == short[0] and np.array_equal(
        long[k:k + len(short)], short)]
    assert len(found) == 1
    return found[0]


def check(corpus):
    """What every item with sources has: exact sums in any order, and the same again."""
    for i, item in enumerate(corpus):
        sources = item["sources"]
        assert sources.dtype == item["mix"].dtype == torch.float32
        assert torch.equal(sources.sum(0), item["mix"]) and torch.equal(sources.flip(0).sum(0), item["mix"])
        assert len(item["labels"]) == len(sources) and sources.shape[1] == corpus.n_samples
        assert torch.equal(corpus[i]["sources"], sources)


# FUSS

FUSS = {"train": 3, "validation": 2, "eval": 1}


def fuss(root, names=("background0_sound", "foreground0_sound", "foreground1_sound", "foreground2_sound")):
    """Make a small FUSS: example k of a split has k + 1 sources of 10 s; example 1 of train a silent background."""
    written = {}
    for s, (part, n) in enumerate(FUSS.items()):
        lines = []
        for k in range(n):
            paths = [f"{part}/example{k:05}_sources/{name}.wav" for name in names[:k + 1]]
            for j, path in enumerate(paths):
                silent = (part, k, j) == ("train", 1, 0)
                written[part, k, j] = write(root / path, 10, seed=100 * s + 10 * k + j, peak=0 if silent else 6000)
            write(root / part / f"example{k:05}.wav", 10, seed=999)  # is not what the sources add up to
            lines.append("\t".join([f"{part}/example{k:05}.wav", *paths]))
        (root / f"{part}_example_list.txt").write_text("\n".join(lines) + "\n")
    return written


@pytest.mark.parametrize("name, folder", [("fuss", "ssdata"), ("fuss_reverb", "FUSS/ssdata_reverb")])
def test_fuss_is_read_as_it_is(data, name, folder):
    written = fuss(data / folder)
    for split, part in zip(SPLITS, FUSS):
        corpus = load(name, split, "paper")
        assert len(corpus) == FUSS[part] and corpus.sr == 16000 and corpus.n_samples == 160000
        check(corpus)
        for k, item in enumerate(corpus):
            expected = [written.get((part, k, j), np.zeros(160000)) for j in range(4)]
            assert np.array_equal(item["sources"].numpy(), np.stack(expected))
            assert item["labels"] == ["sound" if x.any() else "" for x in expected]
    assert load(name, "train", "paper")[1]["labels"] == ["", "sound", "", ""]  # its background is silent


def test_fuss_without_its_lists_and_with_other_labels(data):
    written = fuss(data / "ssdata", ("background0_rain", "foreground0_dog_bark", "foreground1_car"))
    items = list(load("fuss", "train", "paper"))
    for path in (data / "ssdata").glob("*.txt"):
        path.unlink()
    again = load("fuss", "train", "paper")
    assert all(torch.equal(a["sources"], b["sources"]) for a, b in zip(items, again, strict=True))
    assert again[2]["labels"] == ["rain", "dog_bark", "car", ""]
    assert np.array_equal(again[2]["sources"][1], written["train", 2, 1])


def test_a_shorter_item_is_cut_from_all_sources_alike_and_each_item_elsewhere(data):
    written = fuss(data / "ssdata")
    corpus = load("fuss", "train", "paper", duration=0.5)
    starts = [start(corpus[k]["sources"][k].numpy(), written["train", k, k]) for k in range(3)]
    assert len(set(starts)) == 3 and start(corpus[2]["sources"][0].numpy(), written["train", 2, 0]) == starts[2]
    longer = load("fuss", "test", "paper", duration=11)[0]
    assert np.array_equal(longer["mix"][:160000], written["eval", 0, 0]) and not longer["mix"][160000:].any()


def test_other_rates_are_resampled(data):
    fuss(data / "ssdata")
    tone(data / "ssdata/eval/example00000_sources/background0_sound.wav", 500, 10, 16000)
    corpus = load("fuss", "test", "paper", sr=8000)
    spectrum = np.abs(np.fft.rfft(corpus[0]["mix"].numpy()))
    assert corpus.sr == 8000 and corpus.n_samples == 80000 and spectrum.argmax() == 5000  # bins of 0.1 Hz
    check(corpus)


def test_what_fuss_lacks_is_named(data):
    for name, archive in (("fuss", "FUSS_ssdata.tar.gz"), ("fuss_reverb", "FUSS_ssdata_reverb.tar.gz")):
        folder = archive[5:-7]
        with pytest.raises(WeaklibError) as error:
            load(name, "test", "paper")
        assert str(error.value) == (f"{data} has no {folder}: unpack {archive} from record 3743844 of zenodo.org, "
                                    "whole, and set WEAKLIB_DATA to the folder around it.")
    root = data / "ssdata"
    fuss(root)
    (root / "train/example00002_sources/foreground0_sound.wav").unlink()
    with pytest.raises(WeaklibError, match="The train split of fuss .* lacks 1 of its files, train/example00002_"
                                           "sources/foreground0_sound.wav for one: unpack FUSS_ssdata.tar.gz"):
        load("fuss", "train", "paper")
    assert len(load("fuss", "validation", "paper")) == 2
    (root / "validation_example_list.txt").write_text("validation/example00000.wav\n")
    with pytest.raises(WeaklibError, match="The validation split .* 1 of its examples do not have 1 to 4 sources"):
        load("fuss", "validation", "paper")
    (root / "eval_example_list.txt").unlink()
    (root / "eval").rename(root / "lost")
    with pytest.raises(WeaklibError, match="The test split .* has neither eval_example_list.txt nor eval/"):
        load("fuss", "test", "paper")


# All of them

READERS = {"fuss": (16000, 10.0), "fuss_reverb": (16000, 10.0)}


@pytest.mark.parametrize("name", READERS)
def test_identity_needs_no_data_and_a_missing_folder_is_one_sentence(name, monkeypatch):
    monkeypatch.delenv("WEAKLIB_DATA", raising=False)
    assert corpora.identity(name, "paper") == {"name": name, "version": 1, "seed": 0, "preset": "paper"}
    for split in SPLITS:
        with pytest.raises(WeaklibError, match="^WEAKLIB_DATA is not set: [^\n]*[.]$"):
            load(name, split, "paper")


@pytest.mark.parametrize("stand_in, reader", [("sounds", "fuss"), ("sounds_reverb", "fuss_reverb")])
def test_a_stand_in_names_its_reader(stand_in, reader):
    with pytest.raises(WeaklibError, match=f"load the corpus '{reader}', or choose preset="):
        load(stand_in, "train", "paper")
