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


def refused(name, split, says):
    with pytest.raises(WeaklibError, match=says) as error:
        load(name, split, "paper")
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


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
    refused("fuss", "train", "The train split of fuss .* lacks 1 of its files, train/example00002_"
            "sources/foreground0_sound.wav for one: unpack FUSS_ssdata.tar.gz")
    assert len(load("fuss", "validation", "paper")) == 2
    (root / "validation_example_list.txt").write_text("validation/example00000.wav\n")
    refused("fuss", "validation", "The validation split .* 1 of its examples do not have 1 to 4 sources")
    (root / "eval_example_list.txt").unlink()
    (root / "eval").rename(root / "lost")
    refused("fuss", "test", "The test split .* has neither eval_example_list.txt nor eval/")


# Libri2Mix and WSJ0-2mix

LIBRI = {"train-360": "train-clean-360", "dev": "dev-clean", "test": "test-clean"}
PARTS = tuple(LIBRI.values())
PAIRS = [("84-121123-0001", "174-50561-0000", 1.5, 0.25), ("3536-8226-0026", "1673-143397-0009", 0.8, 2.0)]
SECONDS = {"84-121123-0001": 0.75, "174-50561-0000": 0.5, "3536-8226-0026": 0.6, "1673-143397-0009": 0.9}


def metadata(folder, parts=PARTS):
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        lines = ["mixture_ID,source_1_path,source_1_gain,source_2_path,source_2_gain,noise_path,noise_gain"]
        for a, b, gain_a, gain_b in PAIRS:
            paths = [f"{part}/{'/'.join(name.split('-')[:2])}/{name}.flac" for name in (a, b)]
            lines.append(f"{a}_{b},{paths[0]},{gain_a},{paths[1]},{gain_b},tr/x.wav,1.0")
        (folder / f"libri2mix_{part}.csv").write_text("\n".join(lines) + "\n")


def librispeech(root, parts=PARTS):
    """Write utterances, each another one in each part: (part, name) -> wave."""
    return {(part, name): write(root / part / "/".join(name.split("-")[:2]) / f"{name}.flac", SECONDS[name],
                                seed=10 * p + k)
            for p, part in enumerate(parts) for k, name in enumerate(SECONDS)}


def rendered(root, names, parts, seconds=1.0, sr=16000):
    """Write s1, s2 and a mixture that is something else: (part, name, source) -> wave."""
    for part in parts:
        for name in names:
            write(root / part / "mix_clean" / f"{name}.wav", seconds, sr, seed=999)
    return {(part, name, s): write(root / part / s / f"{name}.wav", seconds, sr, seed=100 * p + 10 * k + int(s[1]))
            for p, part in enumerate(parts) for k, name in enumerate(names) for s in ("s1", "s2")}


@pytest.mark.parametrize("name, folder, names, speakers, parts, sr", [
    ("libri2mix", "Libri2Mix/wav16k/min", ["3536-8226-0026_1673-143397-0009", "84-121123-0001_174-50561-0000"],
     [["3536", "1673"], ["84", "174"]], LIBRI, 16000),
    ("wsj0_2mix", "wsj0-mix/2speakers/wav8k/min", ["011a0101_1.3476_01bo030w_-1.3476", "40na010x_0.5_050a0502_-0.5"],
     [["011", "01b"], ["40n", "050"]], ("tr", "cv", "tt"), 8000)])
def test_rendered_mixtures_are_the_sums_of_their_sources(data, name, folder, names, speakers, parts, sr):
    written = rendered(data / folder, names, parts, 1.0, sr)
    for split, part in zip(SPLITS, parts):
        corpus = load(name, split, "paper", duration=1.0)
        assert len(corpus) == 2 and corpus.sr == sr
        check(corpus)
        for item, mixture, labels in zip(corpus, names, speakers):
            expected = np.stack([written[part, mixture, s] for s in ("s1", "s2")])
            assert np.array_equal(item["sources"].numpy(), expected) and item["labels"] == labels
    short, paper = load(name, "train", "paper", duration=0.25), load(name, "train", "paper")
    first, second = (written[next(iter(parts)), names[0], s] for s in ("s1", "s2"))
    assert start(short[0]["sources"][0].numpy(), first) == start(short[0]["sources"][1].numpy(), second)
    assert paper.duration == (10.0 if name == "libri2mix" else 3.0)
    assert np.array_equal(paper[0]["sources"][0][:sr], first) and not paper[0]["mix"][sr:].any()


def test_libri2mix_is_mixed_from_metadata_and_librispeech(data):
    metadata(data / "Libri2Mix/metadata")
    written = librispeech(data / "LibriSpeech")
    for split, part in zip(SPLITS, PARTS):
        corpus = load("libri2mix", split, "paper", duration=1.0)
        check(corpus)
        assert [item["labels"] for item in corpus] == [["3536", "1673"], ["84", "174"]]  # as the files are sorted
        for item, (a, b, *gains) in zip(corpus, PAIRS[::-1], strict=True):
            shortest = round(16000 * min(SECONDS[a], SECONDS[b]))
            for source, name, gain in zip(item["sources"].numpy(), (a, b), gains):
                assert np.abs(source[:shortest] - gain * written[part, name][:shortest]).max() <= 2 ** -21
                assert not source[shortest:].any()


def test_metadata_and_rendered_files_give_the_same_items(data, monkeypatch, tmp_path_factory):
    metadata(data / "LibriMix/metadata/Libri2Mix")
    written = librispeech(data / "LibriSpeech")
    mixed = load("libri2mix", "test", "paper", duration=0.4)
    other = tmp_path_factory.mktemp("rendered")
    for a, b, *gains in PAIRS:
        n = round(16000 * min(SECONDS[a], SECONDS[b]))
        for s, name, gain in zip(("s1", "s2"), (a, b), gains):
            path = other / f"Libri2Mix/wav16k/min/test/{s}/{a}_{b}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, gain * written["test-clean", name][:n], 16000)
    monkeypatch.setenv("WEAKLIB_DATA", str(other))
    for a, b in zip(mixed, load("libri2mix", "test", "paper", duration=0.4), strict=True):
        assert a["labels"] == b["labels"] and torch.allclose(a["sources"], b["sources"], atol=1.01 / 2 ** 15)


def test_a_rate_is_read_where_it_is_or_made_of_a_higher_one(data):
    for s, f in (("s1", 500), ("s2", 900)):
        tone(data / f"Libri2Mix/wav16k/min/test/{s}/1-1-1_2-2-2.wav", f, 1, 16000)
    low = load("libri2mix", "test", "paper", sr=8000, duration=1)
    for source, f in zip(low[0]["sources"].numpy(), (500, 900)):
        assert np.abs(np.fft.rfft(source)).argmax() == f and abs(np.abs(source).max() - 0.3) < 0.03
    check(low)
    for s in ("s1", "s2"):
        tone(data / f"Libri2Mix/wav8k/min/test/{s}/3-1-1_4-2-2.wav", 700, 1, 8000)
    assert load("libri2mix", "test", "paper", sr=8000)[0]["labels"] == ["3", "4"]
    assert load("libri2mix", "test", "paper", sr=16000)[0]["labels"] == ["1", "2"]
    with pytest.raises(WeaklibError, match="sr=22050 makes no items of libri2mix"):
        load("libri2mix", "test", "paper", sr=22050)
    rendered(data / "2speakers/wav8k/min", ["011a_1_022b_-1"], ["tr"], 1.0, 8000)
    with pytest.raises(WeaklibError, match="has no 2speakers/wav16k/min/tr: make it from WSJ0"):
        load("wsj0_2mix", "train", "paper", sr=16000)


def test_what_libri2mix_lacks_is_named(data):
    refused("libri2mix", "train", "has no Libri2Mix/wav16k/min/train-360: make Libri2Mix .*LibriSpeech, and set")
    metadata(data / "Libri2Mix/metadata", ["dev-clean", "test-clean"])
    refused("libri2mix", "test", "has no LibriSpeech: unpack LibriSpeech")
    librispeech(data / "LibriSpeech", ["test-clean"])
    (data / "LibriSpeech/test-clean/84/121123/84-121123-0001.flac").unlink()
    refused("libri2mix", "test", "The test split of libri2mix .* 1 recordings that .*libri2mix_test-clean.csv "
            "names are missing, .*/84-121123-0001.flac for one: unpack test-clean.tar.gz")
    refused("libri2mix", "validation", "The validation split .* 4 recordings")
    refused("libri2mix", "train", "min/train-360")
    rendered(data / "2speakers/wav8k/min", ["a_1_b_-1", "c_1_d_-1"], ["tt"], 1.0, 8000)
    (data / "2speakers/wav8k/min/tt/s2/c_1_d_-1.wav").unlink()
    refused("wsj0_2mix", "test", "The test split of wsj0_2mix .* have 2 and 1 recordings, c_1_d_-1.wav being")


# YFCC100m and AudioSet

def mixes(corpus):
    items = list(corpus)
    assert all(set(item) == {"mix", "labels"} and item["mix"].shape == (corpus.n_samples,) for item in items)
    return [item["mix"].numpy() for item in items]


def test_clips_are_read_by_split_and_padded_or_cut(data):
    root = data / "yfcc100m"
    short = write(root / "train/a/b.wav", 0.4)
    exact = write(root / "train/b.flac", 1.0, seed=1)
    long = write(root / "train/c.wav", 2.0, seed=2)
    validation = write(root / "validation/b.wav", 1.0, seed=3)
    (root / "train/readme.txt").write_text("no clip")
    write(root / "train/.hidden.wav", 1.0)
    a, b, c = mixes(load("yfcc100m", "train", "paper", duration=1.0))
    assert np.array_equal(a[4800:11200], short) and not a[:4800].any() and not a[11200:].any()
    assert np.array_equal(b, exact)
    assert start(c, long) > 0 and np.array_equal(c, load("yfcc100m", "train", "paper", duration=1.0)[2]["mix"])
    assert np.array_equal(mixes(load("yfcc100m", "validation", "paper", duration=1.0)), [validation])
    paper = load("yfcc100m", "train", "paper")
    assert paper.n_samples == 160000 and paper[0]["labels"] == [] and paper.missing == []
    refused("yfcc100m", "test", "The test split of yfcc100m .*yfcc100m/test has no recordings, and .*test.csv does not")


def test_channels_are_averaged_and_rates_resampled(data):
    (data / "audioset/eval").mkdir(parents=True)
    t = np.arange(48000) / 48000
    both = 0.2 * np.stack([np.sin(2 * np.pi * f * t) for f in (500, 900)], axis=-1)
    soundfile.write(data / "audioset/eval/x.wav", both, 48000)
    x = load("audioset", "test", "paper", duration=1.0)[0]["mix"].numpy()
    expected = 0.1 * sum(np.sin(2 * np.pi * f * np.arange(16000) / 16000) for f in (500, 900))
    assert np.abs(x - expected)[800:-800].max() < 1e-3


@pytest.mark.parametrize("header", ["", "video_path,start,end,offset\n"])
def test_lists_of_clips_say_where_a_clip_lies_in_its_video_and_in_its_item(data, header, capsys):
    root = data / "yfcc100m"
    one = write(root / "data/videos/mp4/827/one.wav", 3.0)
    two = write(root / "data/videos/mp4/827/two.flac", 0.5, seed=1)
    write(root / "data/videos/mp4/827/unlisted.wav", 1.0, seed=2)
    (root / "train.csv").write_text(header + "data/videos/mp4/827/one.mp4,1.25,2.25,0.0\n"
                                    "data/videos/mp4/827/gone.mp4,0,1,0\ndata/videos/mp4/827/two.mp4,0.0,0.5,0.375\n"
                                    "data/videos/mp4/827/one.mp4,0.0,1.0,0\n")
    corpus = load("yfcc100m", "train", "paper", duration=1.0)
    a, b, c = mixes(corpus)
    assert np.array_equal(a, one[20000:36000]) and np.array_equal(c, one[:16000])
    assert np.array_equal(b[6000:14000], two) and not b[:6000].any() and not b[14000:].any()
    assert corpus.missing == ["data/videos/mp4/827/gone.mp4"]
    assert capsys.readouterr().out == f"yfcc100m, train: 1 of the 4 clips in {root}/train.csv are not in {root}.\n"
    (root / "test.csv").write_text(header + "one.mp4,0,1,0\none.mp4,0,x,0\n")
    refused("yfcc100m", "test", "row . of .*test.csv is not a path, a start, an end and an offset")


SEGMENTS = """# Segments csv created Sun Mar  5 10:54:25 2017
# YTID, start_seconds, end_seconds, positive_labels
--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"
YcdefghijkL, 0.000, 10.000, "/m/04rlf"
abcdefghijk, 0.000, 10.000, "/m/new"
"""


def test_audioset_has_the_labels_of_its_tables(data):
    names = ["--PJHxphWEs_30.000.wav", "YYcdefghijkL.wav", "abcdefghijk.wav", "unlabelled0.wav"]
    for k, name in enumerate(names):
        write(data / "audioset/unbalanced_train" / name, 0.5, seed=k)
    write(data / "audioset/balanced_train/abcdefghijk.wav", 0.5, seed=9)
    before = load("audioset", "train", "paper")
    assert [item["labels"] for item in before] == [[]] * 4
    (data / "audioset/unbalanced_train_segments.csv").write_text(SEGMENTS)
    assert load("audioset", "train", "paper")[0]["labels"] == ["/m/09x0r", "/t/dd00088"]
    (data / "audioset/class_labels_indices.csv").write_text(
        'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/t/dd00088,"Gush"\n2,/m/04rlf,"Music, all of it"\n')
    corpus = load("audioset", "train", "paper")
    assert [path.split("/")[1] for path, *_ in corpus.clips] == names
    assert [item["labels"] for item in corpus] == [["Gush", "Speech"], ["Music, all of it"], ["/m/new"], []]


def test_a_clip_that_cannot_be_read_costs_itself_only(data, capsys):
    for name, seed in (("a", 1), ("c", 2)):
        write(data / f"audioset/eval/{name}.wav", 1.0, seed=seed)
    (data / "audioset/eval/b.wav").write_text("no sound")
    corpus = load("audioset", "test", "paper", duration=1.0)
    a, b, c = mixes(corpus)
    assert len(corpus) == 3 and np.array_equal(b, c) and not np.array_equal(a, c)
    assert [*corpus.skipped] == ["eval/b.wav"] and "b.wav cannot be read as audio" in corpus.skipped["eval/b.wav"]
    assert torch.equal(corpus[1]["mix"], corpus[2]["mix"])
    assert capsys.readouterr().out.count("The next clip takes its place.") == 1
    for name in "ac":
        (data / f"audioset/eval/{name}.wav").write_text("no sound")
    with pytest.raises(WeaklibError, match="The test split of audioset .* none of its clips can be read"):
        load("audioset", "test", "paper")[0]


# LibriSpeech in noise

UTTERANCES = {"train-clean-100/84/1/84-1-0000": 1.0, "train-clean-100/84/1/84-1-0001": 0.5,
              "train-clean-360/7/2/7-2-0000": 2.5, "dev-clean/174/3/174-3-0000": 1.0, "test-clean/61/4/61-4-0000": 1.0}
DEV = """fname,labels,mids,split
11,"Rain,Water","/m/1,/m/2",train
12,"Male_speech_and_man_speaking,Speech,Human_voice","/m/3,/m/4,/m/5",train
13,"Dog,Animal","/m/6,/m/7",val
14,"Applause,Human_group_actions","/m/6,/m/7",val
"""


def enhancement(data):
    """Make a small LibriSpeech and FSD50K; noises last 0.25 s and are at another rate, voices are white, too."""
    for k, (name, seconds) in enumerate(UTTERANCES.items()):
        write(data / f"LibriSpeech/{name}.flac", seconds, seed=k)
    (data / "LibriSpeech/train-clean-100/84/1/84-1.trans.txt").write_text("84-1-0000 GO")
    noises = {name: data / f"FSD50K/FSD50K.{folder}_audio/{name}.wav"
              for folder, name in (("dev", 11), ("dev", 12), ("dev", 13), ("dev", 14), ("eval", 21))}
    for k, path in enumerate(noises.values()):
        tone(path, 400 + 100 * k, 0.25, 44100)
    (data / "FSD50K/FSD50K.ground_truth").mkdir()
    (data / "FSD50K/FSD50K.ground_truth/dev.csv").write_text(DEV)
    (data / "FSD50K/FSD50K.ground_truth/eval.csv").write_text('fname,labels,mids\n21,Wind,/m/9\n')
    return noises


def test_a_voice_is_read_in_a_noise_of_its_split_at_a_level_that_is_drawn(data):
    enhancement(data)
    split_of, ratios = {}, []
    for split, labels in (("train", ["84", "84", "7"]), ("validation", ["174"]), ("test", ["61"])):
        corpus = load("librifsd", split, "paper", duration=1.0)
        check(corpus)
        assert [item["labels"][0] for item in corpus] == labels
        for item, path in zip(corpus, corpus.utterances, strict=True):
            voice, noise = item["sources"].numpy().astype(float)
            whole, _ = soundfile.read(data / "LibriSpeech" / path)
            heard = min(16000, len(whole))
            at = int(np.correlate(whole, voice[:heard], "valid").argmax())  # a cut of it, and nothing else
            assert np.corrcoef(voice[:heard], whole[at:at + heard])[0, 1] > 0.9999 and not voice[heard:].any()
            ratios.append(10 * np.log10(np.mean(voice[:heard] ** 2) / np.mean(noise ** 2)))
            split_of[item["labels"][1]] = (split, np.abs(np.fft.rfft(noise)).argmax())
    assert split_of == {"Rain + Water": ("train", 400), "Dog + Animal": ("validation", 600), "Wind": ("test", 800)}
    assert -6 <= min(ratios) < max(ratios) <= 6 and len(set(np.round(ratios, 3))) == 5


def test_a_noise_that_pauses_is_no_error(data):
    noises = enhancement(data)
    write(noises[21], 1.0, 44100, peak=0)
    item = load("librifsd", "test", "paper", duration=1.0)[0]
    assert not item["sources"][1].any() and torch.equal(item["mix"], item["sources"][0]) and item["mix"].any()


def test_what_enhancement_lacks_is_named(data):
    refused("librifsd", "train", "has no LibriSpeech: unpack train-clean-[*].tar.gz of LibriSpeech")
    noises = enhancement(data)
    noises[21].unlink()
    refused("librifsd", "test", "The test split of librifsd .* 1 of the 1 noises of .*eval.csv are not in .*"
            "FSD50K.eval_audio, 21.wav for one: unpack FSD50K.eval_audio and FSD50K.ground_truth from record 4060432")
    (data / "FSD50K/FSD50K.ground_truth/dev.csv").unlink()
    refused("librifsd", "train", "has no FSD50K/FSD50K.ground_truth/dev.csv: unpack FSD50K.dev_audio and")
    (data / "LibriSpeech/dev-clean").rename(data / "LibriSpeech/dev-other")
    refused("librifsd", "validation", "has no recordings in dev-clean: unpack dev-clean.tar.gz")


# All of them

READERS = ("fuss", "fuss_reverb", "libri2mix", "wsj0_2mix", "yfcc100m", "audioset", "librifsd")


@pytest.mark.parametrize("name", (*READERS, "music21", "vggsound", "audiocaps"))
def test_identity_needs_no_data_and_a_missing_folder_is_one_sentence(name, monkeypatch):
    monkeypatch.delenv("WEAKLIB_DATA", raising=False)
    assert corpora.identity(name, "paper") == {"name": name, "version": 1, "seed": 0, "preset": "paper"}
    for split in SPLITS:
        with pytest.raises(WeaklibError, match="^WEAKLIB_DATA is not set: [^\n]*[.]$"):
            load(name, split, "paper")


@pytest.mark.parametrize("stand_in, reader", [("sounds", "fuss"), ("sounds_reverb", "fuss_reverb"),
                                              ("talkers", "wsj0_2mix")])
def test_a_stand_in_names_its_reader(stand_in, reader):
    with pytest.raises(WeaklibError, match=f"load the corpus '{reader}', or choose preset="):
        load(stand_in, "train", "paper")
