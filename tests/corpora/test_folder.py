"""A folder of recordings: every format in, every bad file named, fair crops out."""
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
    with pytest.raises(IndexError):
        corpus[64]


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
