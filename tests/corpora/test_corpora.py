"""What every corpus has from the base class; and that a new one is a small class."""
import os
import subprocess
import sys
import types
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from weaklib import corpora
from weaklib.corpora import MODULES, SPLITS, Corpus, Option, load, mixed, on_grid
from weaklib.files import WeaklibError

ROOT = Path(__file__).resolve().parents[2]


def class_of(name):
    module = MODULES[name]
    return getattr(import_module(f"weaklib.corpora.{module}"), module.capitalize())


RENDERED = [name for name in MODULES if class_of(name).SIZES]


class Toy(Corpus):
    """Two tones at once."""

    SR = 8000
    SIZES = {"smoke": {"n_items": (6, 4, 5), "tones": 3, "duration": 0.5},
             "laptop": {"n_items": (60, 40, 50), "tones": 5, "duration": 1.0}}
    OPTIONS = {"duration": Option(float, least=0.1, most="duration"), "n_items": Option(int, least=1),
               "order": Option(int, 2, 1, 3), "loud": Option(bool, False)}
    STANDS_IN_FOR = "a hall of tuning forks"

    def open(self):
        self.tones = np.load(self.stored(1000, tones=self.sizes["tones"]) / "tones.npy")

    def render(self, path):
        np.save(path / "tones.npy", self.rng(0).uniform(200, 2000, self.sizes["tones"]))

    def item(self, i):
        chosen = self.rng(1, i).choice(self.tones, 2, replace=False)
        t = np.arange(self.n_samples) / self.sr
        return mixed(on_grid(0.3 * np.sin(2 * np.pi * chosen[:, None] * t)).astype(np.float32), chosen.tolist())


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """The toy as a corpus of the kit, in a store of its own."""
    module = types.ModuleType("weaklib.corpora.toy")
    module.Toy = Toy
    monkeypatch.setitem(sys.modules, "weaklib.corpora.toy", module)
    monkeypatch.setitem(corpora.MODULES, "toy", "toy")
    monkeypatch.setitem(corpora.MODULES, "toy_reverb", "toy")
    monkeypatch.setitem(corpora.VERSIONS, "toy", 3)
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    return tmp_path


# A new corpus

def test_a_small_class_is_a_corpus(toy):
    data = load("toy", "validation", "smoke")
    item = data[2]
    assert len(data) == 4 and data.sr == 8000 and item["mix"].shape == (4000,) and item["sources"].shape == (2, 4000)
    assert item["mix"].dtype == item["sources"].dtype == torch.float32
    assert torch.equal(item["sources"].sum(0), item["mix"]) and torch.equal(item["sources"].flip(0).sum(0), item["mix"])
    spectrum = np.abs(np.fft.rfft(item["mix"].numpy() * np.hanning(4000)))
    assert all(spectrum[round(f / 2)] > 0.5 * spectrum.max() for f in item["labels"])  # bins are 2 Hz apart
    assert data.identity == {"name": "toy", "version": 3, "seed": 0, "preset": "smoke", "duration": 0.5, "n_items": 4,
                             "order": 2, "loud": False}
    assert corpora.identity("toy", "full") == {"name": "toy", "version": 3, "seed": 0, "preset": "laptop"}


def test_sizes_are_those_of_preset_and_split_and_full_has_those_of_laptop(toy):
    assert [len(load("toy", split, "smoke")) for split in SPLITS] == [6, 4, 5]
    full, laptop = (load("toy", "test", preset) for preset in ("full", "laptop"))
    assert len(full) == 50 and len(full.tones) == 5 and full.identity == laptop.identity
    assert torch.equal(full[49]["mix"], laptop[49]["mix"])
    assert len(load("toy", "test", "smoke").tones) == 3


def test_splits_differ_and_names_of_a_module_share_what_is_rendered(toy):
    tones = [tuple(load("toy", split, "smoke").tones) for split in SPLITS]
    assert len(set(tones)) == 3
    other = load("toy_reverb", "train", "smoke")
    assert tuple(other.tones) == tones[0] and other.identity["name"] == "toy_reverb"
    assert len([path for path in (toy / "corpora").iterdir() if path.is_dir()]) == 3


def test_a_length_in_seconds_is_one_of_whole_samples(toy):
    data = load("toy", "train", "smoke", duration=0.33333)
    assert data[0]["mix"].shape == (2667,) and data.duration == data.identity["duration"] == 2667 / 8000


@pytest.mark.parametrize("options, says", [
    ({"duration": 0.05}, "duration=0.05 makes no items of toy; choose a number from 0.1 to 0.5."),
    ({"duration": 0.6}, "from 0.1 to 0.5"), ({"duration": np.nan}, "duration=nan"), ({"duration": "1"}, "duration=1 "),
    ({"duration": np.inf}, "duration=inf"), ({"n_items": 0}, "choose a whole number from 1 up."),
    ({"n_items": 2.5}, "n_items=2.5"), ({"n_items": np.inf}, "n_items=inf"), ({"order": 4}, "from 1 to 3."),
    ({"loud": 2}, "choose True or False."), ({"loud": "yes"}, "True or False"),
    ({"pitch": 3, "colour": 1}, "Corpus toy has no option colour, pitch; it has duration, n_items, order, loud.")])
def test_options_that_make_no_sense_are_refused(toy, options, says):
    with pytest.raises(WeaklibError) as error:
        load("toy", "train", "smoke", **options)
    assert says in str(error.value)


def test_options_that_do(toy):
    data = load("toy", "train", "smoke", duration=np.float32(0.25), n_items=np.int64(9), order=3.0, loud=1)
    assert data.options == {"duration": 0.25, "n_items": 9, "order": 3, "loud": True}
    assert [type(value) for value in data.options.values()] == [float, int, int, bool] and len(data) == 9
    assert torch.equal(data[4]["sources"], load("toy", "train", "smoke")[4]["sources"][:, :2000])
    assert load("toy", "train", "smoke", n_items=None).n_items == 6


def test_a_preset_that_needs_data_says_which(toy, monkeypatch):
    with pytest.raises(WeaklibError, match="^The preset 'paper' takes a hall of tuning forks itself, which 'toy' "
                                           "stands in for: the kit cannot read it yet; choose preset='laptop'"):
        load("toy", "train", "paper")
    monkeypatch.setattr(Toy, "READER", "forks")
    with pytest.raises(WeaklibError, match="load the corpus 'forks', or choose preset='laptop'"):
        load("toy", "train", "gpu")


@pytest.mark.parametrize("name, split, preset, says", [
    ("nothing", "train", "smoke", "Unknown corpus 'nothing'; choose one of talkers, .*folder:PATH"),
    ("talkers", "dev", "smoke", "Unknown split 'dev'; choose one of train, validation, test"),
    ("talkers", "train", "huge", "Unknown preset 'huge'; choose one of smoke, laptop, full, gpu, paper")])
def test_unknown_names_are_refused(name, split, preset, says):
    with pytest.raises(WeaklibError, match=says):
        load(name, split, preset)


def test_the_example_of_contributing_is_a_corpus(toy, monkeypatch):
    section = (ROOT / "CONTRIBUTING.md").read_text().split("## Add a corpus")[1].split("\n## ")[0]
    module = types.ModuleType("weaklib.corpora.forks")
    exec(section.split("```python\n")[1].split("```")[0], vars(module))
    monkeypatch.setitem(sys.modules, "weaklib.corpora.forks", module)
    monkeypatch.setitem(corpora.MODULES, "forks", "forks")
    monkeypatch.setitem(corpora.VERSIONS, "forks", 1)
    for split, n in zip(SPLITS, (32, 8, 8)):
        data = load("forks", split, "smoke", duration=0.5)
        assert len(data) == n and data[-1]["sources"].shape == (2, 4000)
        assert all(torch.equal(item["sources"].sum(0), item["mix"]) for item in data)


# Every corpus

@pytest.mark.parametrize("name", RENDERED)
def test_items_are_counted_and_cut_as_those_of_a_list(name):
    data = load(name, "test", "smoke")
    n = len(data)
    for i in (0, n // 2, n - 1):
        assert torch.equal(data[i]["mix"], data[i - n]["mix"]) and torch.equal(data[i]["mix"], data[np.int64(i)]["mix"])
    for i in (n, -n - 1, 10 ** 20):
        with pytest.raises(IndexError, match=f"{name} has {n} items in its test split .*none with the index {i}"):
            data[i]
    for part in (slice(1, 4), slice(None, None, 5), slice(-2, None), slice(3, 0, -2), slice(n, None)):
        wanted = range(n)[part]
        assert len(data[part]) == len(wanted)
        assert all(torch.equal(a["mix"], data[i]["mix"]) for a, i in zip(data[part], wanted, strict=True))
    with pytest.raises(TypeError):
        data[1.5]


def test_two_processes_that_ask_at_once_render_once_and_hear_the_same(tmp_path):
    code = ("import hashlib; from weaklib.corpora import load; item = load('talkers_reverb', 'test', 'smoke')[3]\n"
            "print(hashlib.sha256(item['sources'].numpy().tobytes()).hexdigest())")
    both = [subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "WEAKLIB_HOME": str(tmp_path)}, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    said, progress = zip(*(process.communicate() for process in both))
    assert [process.returncode for process in both] == [0, 0] and len(said[0]) == 65 and said[0] == said[1]
    for what in ("talkers, test", "rooms, test"):
        assert [what in text for text in progress].count(True) == 1


def test_a_slice_makes_nothing_before_it_is_asked_for_and_feeds_a_loader(toy, monkeypatch):
    made = []
    data = load("toy", "train", "smoke")
    monkeypatch.setattr(data, "item", lambda i: made.append(i) or Toy.item(data, i))
    part = data[1:5]
    assert made == []
    batch, = DataLoader(part, batch_size=4)
    assert made == [1, 2, 3, 4] and batch["mix"].shape == (4, 4000)


@pytest.mark.parametrize("name", MODULES)
def test_every_corpus_has_a_class_of_its_modules_name_a_version_and_a_datasheet(name):
    assert corpora.identity(name, "smoke")["version"] == corpora.VERSIONS[MODULES[name]]
    assert all(part in corpora.datasheet(name) for part in ("## Limits", "## Licence"))
    made = class_of(name)
    assert issubclass(made, Corpus) and "duration" in made.OPTIONS
    for sizes in (made.SIZES or {}).values():
        assert all(len(size) == len(SPLITS) for size in sizes.values() if isinstance(size, tuple))


def test_what_may_not_be_read_is_told_in_a_sentence(monkeypatch, tmp_path):
    """Whatever reader meets it; as root nothing is forbidden, so that here the system says it."""
    from weaklib.corpora.manifest import Manifest

    def forbidden(self, *args):
        raise PermissionError(13, "Permission denied", str(tmp_path / "list.csv"))

    monkeypatch.setattr(Manifest, "open", forbidden)
    monkeypatch.setattr(Manifest, "holdings", forbidden)
    with pytest.raises(WeaklibError, match="list.csv cannot be read .Permission denied.; change its permissions"):
        corpora.load(f"manifest:{tmp_path}", "train", "smoke")
    assert "change its permissions" in str(next(iter(corpora.holdings(f"manifest:{tmp_path}").values())))
