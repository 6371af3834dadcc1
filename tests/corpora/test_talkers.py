"""The corpus of talkers: the same every time, nothing shared between splits, sums and levels exact."""
from itertools import islice

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from weaklib import audio, files
from weaklib.corpora import SPLITS, cache, datasheet, espeak, load, rooms, talkers
from weaklib.files import WeaklibError

JOB = {"voice": "en-us+m3", "rate": 170, "pitch": 50, "range": 50, "text": "The old farmer sold seven apples."}


def f0(x, sr):
    """Median pitch (Hz): the strongest autocorrelation lag in loud frames of 50 ms, within 60 to 400 Hz."""
    frames = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), sr // 20)[::sr // 100]
    frames = frames[audio.rms(frames) > audio.rms(x)]
    spectra = np.fft.rfft(frames - frames.mean(axis=1, keepdims=True), 2 * frames.shape[1])
    lags = np.fft.irfft(np.abs(spectra) ** 2)[:, sr // 400:sr // 60]
    return float(np.median(sr / (lags.argmax(axis=1) + sr // 400)))


@pytest.fixture(scope="module")
def dry():
    return load("talkers", "train", "smoke")


@pytest.fixture(scope="module")
def reverb():
    return load("talkers_reverb", "train", "smoke")


# The synthesiser

def test_espeak_says_the_same_every_time():
    jobs = [JOB, {**JOB, "voice": "en-gb-scotland+f2"}, JOB]
    first, second = list(espeak.say(jobs)), list(espeak.say(jobs))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(a.dtype == np.int16 and 1 < len(a) / espeak.SR < 5 for a in first)


def test_espeak_does_not_clip():
    text = " ".join(islice(talkers.sentences("train"), 5))
    for wave in espeak.say([{**JOB, "voice": f"en-us+{loud}", "text": text} for loud in ("paul", "ed", "Marco", "m3")]):
        assert 2 ** 11 < np.abs(wave.astype(int)).max() < 2 ** 15 - 1


def test_espeak_obeys():
    plain, fast, high, other = espeak.say([JOB, {**JOB, "rate": 220}, {**JOB, "pitch": 80}, {**JOB, "text": "No."}])
    assert len(fast) < 0.9 * len(plain) and len(other) < 0.5 * len(plain)
    assert f0(high, espeak.SR) > 1.2 * f0(plain, espeak.SR)


def test_every_voice_exists_and_sounds_different():
    names = sum(talkers.VARIANTS.values(), [])
    assert len(set(names)) == len(names) == 52
    jobs = [{**JOB, "text": "Apples.", "voice": f"{accent}+{name}"}
            for name, accent in [(name, "en-us") for name in names] + [("m3", a) for a in talkers.ACCENTS[1:]]]
    assert len({wave.tobytes() for wave in espeak.say(jobs)}) == len(jobs)


@pytest.mark.parametrize("voice", ["en-us+nobody", "nowhere+m3"])
def test_an_unknown_voice_is_refused(voice):
    with pytest.raises(WeaklibError, match=f"no voice {voice}".replace("+", r"\+")):
        list(espeak.say([{**JOB, "voice": voice}]))


# Who and what

def test_no_voice_crosses_splits():
    casts = {split: talkers.speakers(split, n) for split, n in zip(SPLITS, talkers.Talkers.SIZES["laptop"]["speakers"])}
    assert [len(cast) for cast in casts.values()] == [64, 8, 12]
    everyone = [speaker for cast in casts.values() for speaker in cast]
    assert len({speaker["name"] for speaker in everyone}) == len(everyone)
    variants = [{speaker["voice"].split("+")[1] for speaker in cast} for cast in casts.values()]
    assert sum(map(len, variants)) == len(set.union(*variants))
    twice = [s["pitch"] for s in casts["train"] if s["voice"].endswith("+f1")]
    assert min(twice) < 50 < max(twice)


def test_no_sentence_crosses_splits():
    said = {split: list(islice(talkers.sentences(split), 3000)) for split in SPLITS}
    assert sum(len(set(texts)) for texts in said.values()) == len(set().union(*said.values())) > 8990
    assert said["train"] == list(islice(talkers.sentences("train"), 3000))
    assert said["train"][:20] != list(islice(talkers.sentences("train", seed=1), 20))
    words = [len(text.split()) for text in said["train"]]
    assert 8 <= min(words) and max(words) <= 27


def test_a_sentence_that_every_split_may_draw_belongs_to_one(monkeypatch):
    monkeypatch.setattr(talkers, "_sentence", lambda rng: f"Number {int(200 * rng.random())}.")
    said = [set(islice(talkers.sentences(split), 2000)) for split in SPLITS]
    assert sum(map(len, said)) == len(set.union(*said)) == 200


def test_what_is_stored_crosses_no_split(dry):
    pools = [load("talkers", split, "smoke") for split in SPLITS]
    labels = [{name for i in range(len(c)) for name in c[i]["labels"]} for c in pools]
    texts = [{text for i in range(len(c)) for text in c[i]["text"]} for c in pools]
    for sets in labels, texts:
        assert not sets[0] & sets[1] and not sets[0] & sets[2] and not sets[1] & sets[2]


def test_voices_span_low_and_high(dry):
    pitch = {}
    for i in range(len(dry)):
        item = dry[i]
        for name, source in zip(item["labels"], item["sources"].numpy(), strict=True):
            pitch.setdefault(name, []).append(f0(source, dry.sr))
    medians = [np.median(p) for p in pitch.values()]
    assert len(medians) == 8 and min(medians) < 120 and max(medians) > 200


# Items

@pytest.mark.parametrize("name", ["talkers", "talkers_reverb"])
def test_items(name):
    corpus = load(name, "validation", "smoke")
    differences = []
    for i in range(len(corpus)):
        item = corpus[i]
        assert item["mix"].shape == (16000,) and item["sources"].shape == (2, 16000)
        assert item["mix"].dtype == item["sources"].dtype == torch.float32
        assert torch.equal(item["mix"], item["sources"].sum(0)) and item["mix"].abs().max() < 1
        assert len(set(item["labels"])) == 2 and len(item["text"]) == 2
        levels = audio.db(audio.rms(item["sources"].numpy()))
        assert levels.sum() == pytest.approx(2 * (-25 - 10 * np.log10(2)), abs=1e-4)
        differences.append(levels[0] - levels[1])
        assert audio.db(audio.rms(item["mix"].numpy())) == pytest.approx(-25, abs=1.5)
    assert -5 <= min(differences) < -2 and 2 < max(differences) <= 5


def test_items_do_not_depend_on_order_or_number(dry):
    other = load("talkers", "train", "smoke", n_items=7)
    backwards = [other[i] for i in range(6, -1, -1)][::-1]
    assert len(list(other)) == 7
    for i, item in enumerate(backwards):
        assert torch.equal(item["mix"], dry[i]["mix"]) and item["labels"] == dry[i]["labels"]
    assert len({dry[i]["mix"].numpy().tobytes() for i in range(len(dry))}) == len(dry)


def test_items_collate(dry):
    batch = default_collate([dry[i] for i in range(3)])
    assert batch["mix"].shape == (3, 16000) and batch["sources"].shape == (3, 2, 16000)


def test_duration(dry):
    short = load("talkers", "train", "smoke", duration=0.5)
    assert all(short[i]["mix"].shape == (4000,) for i in range(len(short)))
    assert short.identity != dry.identity


def test_rendering_again_gives_the_same_bytes(tmp_path, monkeypatch, home):
    for name in "talkers", "talkers_reverb":
        load(name, "test", "smoke")
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    load("talkers_reverb", "test", "smoke")
    folders = list((tmp_path / "corpora").glob("*/"))
    assert {folder.name.split("-")[0] for folder in folders} == {"talkers", "rooms"}
    for folder in folders:
        again = files.read_json(folder / cache.MANIFEST)["files"]
        assert again and again == files.read_json(home / "corpora" / folder.name / cache.MANIFEST)["files"]


# Twice the rate

def test_16_khz_is_the_same_item_with_its_treble(dry):
    wide = load("talkers_16k", "train", "smoke")
    assert wide.sr == 16000 and len(wide) == len(dry) and wide.speakers == dry.speakers
    treble = []
    for i in range(0, 64, 4):
        a, b = dry[i], wide[i]
        assert a["labels"] == b["labels"] and a["text"] == b["text"]
        assert torch.equal(b["mix"], b["sources"].sum(0))
        assert audio.db(audio.rms(b["sources"].numpy())) == pytest.approx(audio.db(audio.rms(a["sources"].numpy())),
                                                                          abs=1e-4)
        for x, y in zip(a["sources"].numpy(), b["sources"].numpy(), strict=True):
            low = audio.resample(y, 16000, 8000)[100:-100]
            gain = np.dot(low, x[100:-100]) / np.dot(low, low)
            assert audio.rms(gain * low - x[100:-100]) < 0.05 * audio.rms(x)
            spectrum = np.abs(np.fft.rfft(y)) ** 2
            treble.append(spectrum[len(spectrum) * 5 // 8:].sum() / spectrum.sum())  # above 5 kHz
    assert np.median(treble) > 1e-4


@pytest.mark.parametrize("seconds", [0.50005, 0.5, 0.500625])
def test_16_khz_has_items_of_any_number_of_samples(seconds):
    wide = load("talkers_16k", "validation", "smoke", duration=seconds)
    assert {len(wide[i]["mix"]) for i in range(16)} == {round(16000 * seconds)}


def test_8_khz_has_the_key_and_the_bytes_that_it_had_before(home):
    load("talkers", "test", "smoke")
    folder = home / "corpora" / "talkers-6bde331d32"
    texts, cast = list(islice(talkers.sentences("test"), 24)), talkers.speakers("test", 4)
    parts, wanted = [], []
    for k, wave in enumerate(espeak.say([{**cast[k // 6], "text": text} for k, text in enumerate(texts)])):
        x = audio.resample(wave / np.float32(2 ** 15), 22050, 8000)
        loud = audio.rms(x[:len(x) // 80 * 80].reshape(-1, 80))
        first, *_, last = np.flatnonzero(loud > loud.max() / 100)
        parts = [] if k % 6 == 0 else parts
        parts += ([np.zeros(2000, np.float32)] if parts else []) + [x[80 * first:80 * (last + 1)]]
        if sum(map(len, parts)) >= 48000:
            joined, parts = np.concatenate(parts), []
            wanted.append(np.round(audio.level(joined, -25.0) * 2 ** 15).astype(np.int16))
    assert np.array_equal(np.load(folder / "speech.npy"), np.concatenate(wanted))


@pytest.mark.parametrize("preset, options, says", [
    ("paper", {}, "WSJ0-2mix"), ("smoke", {"duration": 0.1}, "duration"), ("smoke", {"n_items": 0}, "n_items"),
    ("smoke", {"speed": 2}, "no option speed"), ("huge", {}, "huge")])
def test_refusals(preset, options, says):
    with pytest.raises(WeaklibError, match=says) as error:
        load("talkers", "train", preset, **options)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


def test_nobody_talks_that_long(home):
    with pytest.raises(WeaklibError, match="shorter duration"):
        load("talkers", "validation", "smoke", duration=100)
    assert not list((home / "corpora").glob("*.part"))


def test_datasheets():
    for name in "talkers", "talkers_16k", "folder:anything":
        assert "## Limits" in datasheet(name)


# Rooms

def test_reverb_is_the_same_item_in_a_room(dry, reverb):
    delays = np.array([about["distances"] for about in rooms.load("train", 6, 8000).about]) / 343 * dry.sr
    heard = set()
    for i in range(10):
        a, b = dry[i], reverb[i]
        assert a["labels"] == b["labels"] and a["text"] == b["text"]
        lags = [np.correlate(wet, plain, "full")[len(plain) - 1:][:100].argmax()
                for wet, plain in zip(b["sources"].numpy(), a["sources"].numpy(), strict=True)]
        off = np.abs(delays - lags).max(axis=1)  # the direct sound arrives as both talkers of one room are far
        assert off.min() <= 2
        heard.add(int(off.argmin()))
    assert len(heard) > 2


def test_reverb_rings_on_from_before_the_cut(reverb):
    utterance, rir = reverb._utterances[0][0], reverb._rirs[0, 0]
    whole = reverb._speech[utterance["start"]:][:utterance["length"]].astype(np.float64)
    wet = np.convolve(whole, rir)
    for start in 0, 100, 12345:
        got = reverb._cut(utterance, start, 8000, rir)
        assert np.abs(got - wet[start:start + 8000]).max() < 1e-4 * np.abs(wet).max()


def test_convolve_against_numpy():
    rng = np.random.default_rng(0)
    x, rir = rng.standard_normal(1000), rng.standard_normal(300)
    assert np.allclose(rooms.convolve(x, rir), np.convolve(x, rir)[:1000], atol=1e-4)


def decay(rir, sr):
    """Reverberation time (s) from the slope of the backward-integrated energy between -5 and -25 dB."""
    energy = np.cumsum(rir[::-1].astype(np.float64) ** 2)[::-1]
    level = 10 * np.log10(energy / energy[0] + 1e-12)
    first, last = np.argmax(level < -5), np.argmax(level < -25)
    return 60 * (last - first) / sr / (level[first] - level[last])


def test_rooms_ring_as_long_as_they_say_and_are_as_large():
    made = rooms.load("test", 4, 8000)
    assert made.rirs.shape == (4, 2, 4800) and made.rirs.dtype == np.float32
    for rirs, about in zip(made.rirs, made.about, strict=True):
        assert 0.2 <= about["rt60"] <= 0.6
        for rir, distance in zip(rirs, about["distances"], strict=True):
            assert 0.6 < decay(rir, 8000) / about["rt60"] < 1.5
            assert abs(np.abs(rir).argmax() - distance / 343 * 8000) <= 1
            assert np.abs(rir[:int(0.5 * distance / 343 * 8000)]).max() < 0.05 * np.abs(rir).max()


def test_no_room_crosses_splits():
    sizes = [tuple(about["size"]) for split, n in zip(SPLITS, (6, 2, 4)) for about in rooms.load(split, n, 8000).about]
    assert len(set(sizes)) == 12
