"""A folder of recordings: every format in, every bad file named, fair crops out."""
import os

import numpy as np
import pytest
import soundfile
import torch

from weaklib import audio
from weaklib.corpora import SPLITS, load
from weaklib.files import WeaklibError


def noise(seconds, sr, channels=1, seed=0):
    """Quiet noise with a DC offset, shape=(time, channel)."""
    return 0.01 + 0.05 * np.random.default_rng(seed).standard_normal((round(seconds * sr), channels))


@pytest.fixture(scope="module")
def mess(tmp_path_factory):
    """A folder as people have them."""
    root = tmp_path_factory.mktemp("mess")
    (root / "deeper" / "still").mkdir(parents=True)
    soundfile.write(root / "a.wav", noise(3, 8000), 8000, subtype="PCM_U8")
    soundfile.write(root / "b.FLAC", noise(3, 96000, 6, 1), 96000, format="FLAC")
    soundfile.write(root / "deeper" / "c.ogg", noise(4, 44100, 2, 2), 44100)
    soundfile.write(root / "deeper" / "still" / "d.mp3", noise(5, 48000, 2, 3), 48000)
    soundfile.write(root / "silent.wav", np.zeros(24000), 8000)
    soundfile.write(root / "faint.wav", 1e-5 * noise(3, 8000), 8000, subtype="FLOAT")
    soundfile.write(root / "short.wav", noise(0.5, 8000), 8000)
    (root / "broken.wav").write_bytes(b"RIFF nothing")
    (root / "a copy.wav").write_bytes((root / "a.wav").read_bytes())
    (root / "notes.txt").write_text("not audio")
    (root / "._a.wav").write_bytes(b"what another system leaves")
    return root


def test_takes_what_it_can_and_names_the_rest(mess, capsys):
    corpora = [load(f"folder:{mess}", split, "smoke", n_items=40) for split in SPLITS]
    heard = [{corpus[i]["labels"][0] for i in range(40)} for corpus in corpora]
    # Of a.wav and its copy, the first by name is used.
    assert set.union(*heard) == {"a copy.wav", "b.FLAC", "deeper/c.ogg", "deeper/still/d.mp3"}
    assert [len(h) for h in heard] == [2, 1, 1] and len(set.union(*heard)) == 4
    skipped = dict(corpora[0].skipped)
    assert list(skipped) == ["a.wav", "broken.wav", "faint.wav", "short.wav", "silent.wav"]
    for path, why in [("a.wav", "copy of a copy.wav"), ("broken.wav", "cannot be read"), ("silent.wav", "silent"),
                      ("faint.wav", "nearly silent"), ("short.wav", "lasts 0.50 s")]:
        assert why in skipped[path]
    printed = capsys.readouterr().out.splitlines()  # once, whatever the number of splits
    assert [line for line in printed if line.startswith("Skipped broken.wav")] and len(printed) == 5


def test_items(mess):
    corpus = load(f"folder:{mess}", "train", "smoke")
    assert len(corpus) == 64 and corpus.sr == 8000
    for i in range(20):
        item = corpus[i]
        assert item["mix"].shape == (16000,) and item["mix"].dtype == torch.float32 and "sources" not in item
        assert audio.db(audio.rms(item["mix"].numpy())) == pytest.approx(-25, abs=1e-3)
        assert abs(float(item["mix"].mean())) < 1e-3  # the offset is gone
        assert torch.equal(item["mix"], corpus[i]["mix"])
    again = load(f"folder:{mess}", "train", "smoke", n_items=5)
    assert torch.equal(again[3]["mix"], corpus[3]["mix"])


def test_options(mess):
    corpus = load(f"folder:{mess}", "train", "smoke", sr=16000, duration=0.25)
    assert corpus[0]["mix"].shape == (4000,) and "short.wav" not in dict(corpus.skipped)
    assert corpus.identity != load(f"folder:{mess}", "train", "smoke").identity


def test_the_crop_is_the_recording(tmp_path):
    """Mono average, resampled, scaled: against doing just that."""
    recordings = {}
    for k in range(2):
        x = noise(3, 16000, 2, seed=k)
        soundfile.write(tmp_path / f"{k}.wav", x, 16000, subtype="FLOAT")
        recordings[f"{k}.wav"] = audio.resample((x.mean(axis=1) - x.mean()).astype(np.float32), 16000, 8000)
    corpus = load(f"folder:{tmp_path}", "train", "smoke", n_items=8)
    assert {corpus[i]["labels"][0] for i in range(8)} == set(recordings)
    for i in range(8):
        y, crop = recordings[corpus[i]["labels"][0]], corpus[i]["mix"].numpy()
        starts = range(0, len(y) - 16000 + 1, 800)
        assert min(np.abs(audio.level(y[s:s + 16000], -25) - crop).max() for s in starts) < 1e-4


def test_long_recordings_give_more_crops(tmp_path):
    for k in range(20):
        soundfile.write(tmp_path / f"{k}.wav", noise(10 if k % 2 else 40, 8000, seed=k), 8000)
    corpora = [load(f"folder:{tmp_path}", split, "smoke", n_items=2000) for split in SPLITS]
    heard = [[corpus[i]["labels"][0] for i in range(2000)] for corpus in corpora]
    assert [len(set(paths)) for paths in heard] == [16, 2, 2] and len(set(sum(heard, []))) == 20
    counts = {path: heard[0].count(path) for path in set(heard[0])}
    brief = [n for path, n in counts.items() if int(path[:-4]) % 2]
    long = [n for path, n in counts.items() if int(path[:-4]) % 2 == 0]
    assert np.mean(long) / np.mean(brief) == pytest.approx(38 / 8, rel=0.1)


def test_no_crop_is_silence(tmp_path):
    x = noise(40, 8000)[:, 0] - 0.01
    x[:8000 * 20] = 5e-5 * np.sin(2 * np.pi * 1000 * np.arange(8000 * 20) / 8000)  # a faint hum for half of the time
    soundfile.write(tmp_path / "x.wav", x, 8000, subtype="FLOAT")
    corpus = load(f"folder:{tmp_path}", "train", "smoke", n_items=200)
    for i in range(200):
        power = np.abs(np.fft.rfft(corpus[i]["mix"].numpy())) ** 2
        assert power[2000] < 0.1 * power.sum()  # 1 kHz


def test_one_recording_is_split_by_time(tmp_path):
    sr = 8000
    t = np.arange(100 * sr) / sr
    rising = 0.1 * np.sin(2 * np.pi * (200 * t + 10 * t ** 2))  # 200 Hz at first, 20 Hz more per second
    soundfile.write(tmp_path / "only.flac", rising, sr)
    ranges = {}
    for split in SPLITS:
        corpus = load(f"folder:{tmp_path}", split, "smoke", n_items=50)
        centres = []
        for i in range(50):
            spectrum = np.abs(np.fft.rfft(corpus[i]["mix"].numpy() * np.hanning(16000))) ** 2
            centres.append((spectrum @ np.fft.rfftfreq(16000, 1 / sr) / spectrum.sum() - 200) / 20)  # s
        ranges[split] = min(centres), max(centres)
    assert 0 <= ranges["train"][0] and ranges["train"][1] < 80
    assert 80 < ranges["validation"][0] and ranges["validation"][1] < 90 < ranges["test"][0]


def test_identity_is_the_content_and_not_the_place(tmp_path):
    def identity():
        return load(f"folder:{tmp_path / 'x'}", "train", "smoke").identity

    (tmp_path / "x").mkdir()
    for k in range(3):
        soundfile.write(tmp_path / "x" / f"{k}.wav", noise(3, 8000, seed=k), 8000)
    first = identity()
    (tmp_path / "x").rename(tmp_path / "y")
    assert load(f"folder:{tmp_path / 'y'}", "train", "smoke").identity == first
    (tmp_path / "y").rename(tmp_path / "x")
    soundfile.write(tmp_path / "x" / "0.wav", noise(3, 8000, seed=9), 8000)  # the same name and size
    assert identity() != first


def test_home_is_understood(mess, monkeypatch):
    monkeypatch.setenv("HOME", str(mess.parent))
    assert len(load(f"folder:~/{mess.name}", "train", "smoke", n_items=3)) == 3


@pytest.mark.parametrize("make, says", [
    (lambda root: root.rmdir(), "There is no folder"), (lambda root: None, "holds no recording"),
    (lambda root: (root / "x.wav").write_bytes(b"no"), "None of the 1 recordings"),
    (lambda root: soundfile.write(root / "x.wav", noise(2.5, 8000), 8000), "validation part")])
def test_refusals(tmp_path, make, says):
    root = tmp_path / "folder"
    root.mkdir()
    make(root)
    with pytest.raises(WeaklibError, match=says) as error:
        load(f"folder:{root}", "validation", "smoke")
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


@pytest.mark.parametrize("options", [{"duration": 0}, {"sr": -1}, {"n_items": 0}, {"pitch": 3}])
def test_bad_options(mess, options):
    with pytest.raises(WeaklibError, match=next(iter(options))):
        load(f"folder:{mess}", "train", "smoke", **options)


# Bad files: each costs itself and nothing else

BAD = {
    "two samples.wav": lambda path: soundfile.write(path, [0.1, -0.1], 96000),
    "one sample.wav": lambda path: soundfile.write(path, [0.1], 8000),
    "none.wav": lambda path: soundfile.write(path, [], 8000),
    "empty.mp3": lambda path: path.write_bytes(b""),
    "text.opus": lambda path: path.write_text("no opus"),
    "text.m4a": lambda path: path.write_text("no video"),
    "cut.flac": lambda path: path.write_bytes(b"fLaC" + bytes(100)),
    "not finite.wav": lambda path: soundfile.write(path, [0.1, np.nan] * 8000, 8000, subtype="FLOAT"),
    "nowhere.wav": lambda path: path.symlink_to("gone.wav"),
    b"no text \xff.wav".decode(errors="surrogateescape"): lambda path: soundfile.write(
        path.open("wb"), [0.1, -0.1], 8000, format="WAV"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_file_costs_itself_only(tmp_path, name, capsys):
    for k in range(3):
        soundfile.write(tmp_path / f"{k}.wav", noise(3, 8000, seed=k), 8000)
    alone = load(f"folder:{tmp_path}", "train", "smoke")
    BAD[name](tmp_path / name)
    corpus = load(f"folder:{tmp_path}", "train", "smoke")
    (left, why), = corpus.skipped
    assert left.encode() and left[:5] == name[:5] and why and "\n" not in why
    assert f"Skipped {left}: it {why}.\n" == capsys.readouterr().out
    assert all(torch.equal(a["mix"], b["mix"]) for a, b in zip(alone, corpus))


def test_whatever_reading_raises_costs_the_file_only(tmp_path, monkeypatch):
    """A reader is not to raise anything else than a WeaklibError; where one does, the rest still goes on."""
    for name in ("bad.wav", "good.wav", "worse.wav", "fine.wav"):
        soundfile.write(tmp_path / name, noise(3, 8000, seed=len(name)), 8000, subtype="FLOAT" if "e" in name else None)
    read = audio.read

    def moody(path):
        if path.name in ("bad.wav", "worse.wav"):
            raise {"bad.wav": ValueError("no length"), "worse.wav": MemoryError()}[path.name]
        return read(path)

    monkeypatch.setattr(audio, "read", moody)
    corpus = load(f"folder:{tmp_path}", "train", "smoke")
    assert corpus.skipped == [("bad.wav", "cannot be read (no length)"), ("worse.wav", "cannot be read (MemoryError)")]
    assert {item["labels"][0] for item in corpus} == {"good.wav", "fine.wav"}


def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "x.wav", noise(30, 8000), 8000)
    (tmp_path / "mine").mkdir()
    scandir = os.scandir

    def closed(path):
        if str(path).endswith("mine"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert load(f"folder:{tmp_path}", "train", "smoke").skipped == [("mine", "cannot be listed (Permission denied)")]


@pytest.mark.parametrize("suffix, form", [(".opus", ("OGG", "OPUS")), (".aiff", ("AIFF", "PCM_16")),
                                          (".AIF", ("AIFF", "PCM_16")), (".caf", ("CAF", "PCM_16"))])
def test_other_kinds_of_files_are_found(tmp_path, suffix, form):
    soundfile.write(tmp_path / f"x{suffix}", noise(30, 48000), 48000, format=form[0], subtype=form[1])
    corpus = load(f"folder:{tmp_path}", "train", "smoke", n_items=3)
    assert corpus[0]["labels"] == [f"x{suffix}"] and corpus.skipped == []


@pytest.mark.parametrize("suffix", [".m4a", ".aac", ".webm", ".mp4"])
def test_no_recording_is_passed_over_without_a_word(tmp_path, suffix):
    soundfile.write(tmp_path / "x.wav", noise(30, 8000), 8000)
    (tmp_path / f"y{suffix}").write_bytes(b"nothing of the kind")
    corpus = load(f"folder:{tmp_path}", "train", "smoke", n_items=3)
    assert [name for name, _ in corpus.skipped] == [f"y{suffix}"]


def test_an_item_may_be_shorter_than_the_grid_of_loudness(tmp_path):
    soundfile.write(tmp_path / "blip.wav", noise(0.07, 8000), 8000)
    corpus = load(f"folder:{tmp_path}", "train", "smoke", duration=0.05, n_items=4)
    assert [item["mix"].shape for item in corpus] == [(400,)] * 4
