"""weaklib.inference: stems and notes of any audio against oracles, what is refused, and the commands end to end."""
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pretty_midi
import pytest
import scipy.signal
import soundfile
import torch

import weaklib
from weaklib import audio, experiment, inference, progress, rolls, runs
from weaklib.__main__ import main
from weaklib.files import WeaklibError
from weaklib.papers import hung2021, wisdom2021
from weaklib.specs import Separating, Transcribing, phrased

RNG = np.random.default_rng(0)
TAPS = scipy.signal.firwin(201, 0.5)  # looks 100 samples to either side


def halves(x):
    """A linear, time-invariant separator: (batch, channel, time) -> the low half of the spectrum, and the high one."""
    low = torch.nn.functional.conv1d(x.flatten(0, 1)[:, None], torch.tensor(TAPS, dtype=x.dtype)[None, None],
                                     padding=100).view_as(x)
    return torch.stack([low, x - low], 1)


def spec(sr=8000, block=2000, run=halves, **kwargs):
    return Separating("", sr, block, 64, ("low", "high"), lambda network, x: run(x), **kwargs)


@pytest.fixture
def load(monkeypatch):
    """Make a network what the papers load, whatever is asked for."""
    def use(network):
        monkeypatch.setattr(experiment.Experiment, "network", lambda self, record=None: network)
    return use


@pytest.fixture
def toy(monkeypatch, load):
    """Make the toy the separator of hung2021, or any other that is given to it."""
    def use(**kwargs):
        monkeypatch.setattr(hung2021, "SEPARATING", spec(**kwargs))
    load(torch.nn.Identity())
    use()
    return use


@pytest.fixture
def pair(load):
    """A tiny untrained pair in place of the one that comes with the package."""
    torch.manual_seed(0)
    pair = hung2021.Pair(experiment.load("hung2021").config("supervised", "smoke").net).eval()
    load(pair)
    return pair


def tones(sr, seconds, channels):
    """1 and 3 kHz, shape=(2, channel, time): what the toy keeps apart; the channels differ in level."""
    t = np.arange(round(sr * seconds)) / sr
    levels = np.linspace(0.4, 0.1, channels)[:, None]
    return np.stack([levels * np.sin(2 * np.pi * f * t) for f in (1000, 3000)]).astype(np.float32)


# Stems

@pytest.mark.parametrize("n", [64, 1999, 2000, 2001, 3000, 20_011])
def test_a_filter_gives_what_it_gives_in_one_pass(toy, n):
    x = RNG.standard_normal((2, n)).astype(np.float32)
    stems = weaklib.separate(x, 8000)
    low = scipy.signal.convolve(x.astype(float), TAPS[None], "same")
    assert list(stems) == ["low", "high"]
    assert np.abs(stems["low"] - low).max() < 1e-5 and np.abs(stems["high"] - (x - low)).max() < 1e-5


@pytest.mark.parametrize("sr, channels, seconds", [
    (8000, 1, 3), (44100, 2, 2.00003), (44100, 1, 2.0), (96000, 6, 0.7), (7919, 3, 1.5), (11025, 1, 70)])
def test_any_rate_and_channels(toy, sr, channels, seconds):
    parts = tones(sr, seconds, channels)
    stems = weaklib.separate(parts.sum(0), sr)
    inner = slice(sr // 20, -sr // 20)  # where a tone begins it has no one frequency
    for stem, part in zip(stems.values(), parts):
        assert stem.dtype == np.float32 and stem.shape == part.shape
        assert np.abs(stem - part)[:, inner].max() < 5e-3


def test_one_channel_without_an_axis_and_other_types(toy):
    """Integers are PCM, as `scipy.io.wavfile` reads it: they are scaled by their range."""
    x = (1000 * tones(8000, 1, 1).sum(0)[0]).astype(np.int16)
    scaled = x.astype(np.float32) / 32768
    for given in (x, 65536 * x.astype(np.int32), scaled.astype(np.float64), torch.from_numpy(x)):
        stem = weaklib.separate(given, 8000)["low"]
        assert stem.shape == x.shape and stem.dtype == np.float32
        assert np.array_equal(stem, weaklib.separate(scaled[None], 8000)["low"][0])
    for wrong in (x.astype(np.int64), x.astype(np.uint8)):
        with pytest.raises(WeaklibError, match="signed integers of at most 32 bits"):
            weaklib.separate(wrong, 8000)


def test_outputs_without_order_are_aligned(toy):
    x = tones(8000, 8, 2).sum(0)
    expected = weaklib.separate(x, 8000)
    rng = np.random.default_rng(5)

    def permuted(x):
        return torch.stack([est[rng.permutation(2).tolist()] for est in halves(x)])

    toy(run=permuted, ordered=False)
    got = weaklib.separate(x, 8000)
    swapped = np.abs(got["low"] - expected["high"]).max() < np.abs(got["low"] - expected["low"]).max()
    for name, other in (("low", "high"), ("high", "low")):
        assert np.abs(got[name] - expected[other if swapped else name]).max() < 1e-6
    toy(run=permuted)  # the test can fail
    got = weaklib.separate(x, 8000)
    assert min(np.abs(got["low"] - e).max() for e in expected.values()) > 0.1


def test_no_more_than_a_few_blocks_at_a_time(toy):
    shapes = []

    def watched(x):
        shapes.append(tuple(x.shape))
        return halves(x)

    toy(run=watched)
    weaklib.separate(np.ones((2, 40_000)), 8000)
    assert len(shapes) > 10 and max(n * channels for n, channels, _ in shapes) <= inference.AT_ONCE
    assert {length for *_, length in shapes} == {2000}


def test_separator_that_comes_with_the_package():
    x = np.stack([RNG.standard_normal(40_000), np.zeros(40_000)]).astype(np.float32) / 10
    stems = weaklib.separate(x, 8000, "wisdom2020")
    assert list(stems) == ["output 1", "output 2", "output 3", "output 4"]
    total = sum(stems.values())
    assert np.abs(total - x).max() < 1e-5
    assert all(np.abs(stem[1]).max() < 1e-5 for stem in stems.values())  # what one channel lacks, its stems lack
    silent = weaklib.separate(np.zeros(20_000), 16000, "wisdom2020")
    assert all(not stem.any() for stem in silent.values())


def test_channels_of_wisdom2020_share_their_masks():
    model, x = experiment.load("wisdom2020").network(), torch.randn(2, 3, 8000)
    with torch.no_grad():
        est = model.separate(x)
        assert est.shape == (2, 4, 3, 8000)
        assert torch.allclose(est.mean(2), model(x.mean(1)), atol=1e-5)
        assert torch.allclose(model.separate(x[:, :1])[:, :, 0], model(x[:, 0]), atol=1e-6)


def test_channels_of_hung2021_share_their_masks(pair):
    x = RNG.standard_normal((2, 30_000)).astype(np.float32) / 10
    stems = weaklib.separate(x, 16000)
    assert list(stems) == ["piano", "guitar", "bass"]
    with torch.no_grad():
        whole = pair.separator.separate(torch.from_numpy(x.mean(0))[None])[0].numpy()  # shorter than a block
    for stem, est in zip(stems.values(), whole):
        assert np.abs(stem.mean(0) - est).max() < 1e-5
    assert all(not stem.any() for stem in weaklib.separate(np.zeros(70_000), 16000).values())


def test_record_and_device_reach_the_network(monkeypatch):
    seen = []

    class Network(torch.nn.Identity):
        def to(self, device):
            seen.append(device)
            return self

    monkeypatch.setattr(experiment.Experiment, "network", lambda self, record=None: seen.append(record) or Network())
    monkeypatch.setattr(hung2021, "SEPARATING", Separating("", 8000, 2000, 64, ("a", "b"), lambda network, x: network(
        halves(x))))
    mine = kept("supervised")
    weaklib.separate(np.ones(3000), 8000, record=mine, device="cpu")
    assert seen == [mine, "cpu"]


def kept(stage, paper="hung2021", **config):
    return SimpleNamespace(id=f"{stage}-s0-0", key={"paper": paper, "config": {"stage": stage, **config}})


@pytest.mark.parametrize("do, record", [
    (weaklib.separate, kept("transcriptor")), (weaklib.separate, kept("supervised", "wisdom2020")),
    (weaklib.separate, kept("sup_2out", "wisdom2020", task="enhancement")),
    (weaklib.transcribe, kept("supervised")), (weaklib.transcribe, kept("transcriptor", judges="activity"))])
def test_a_record_of_something_else_is_refused(do, record):
    with pytest.raises(WeaklibError, match=record.id):
        do(np.ones(16000), 16000, "hung2021", record=record)


def test_a_record_of_an_older_revision_is_passed_over(monkeypatch):
    """One that has not got the field that a method looks at, as those of wisdom2020 from before it had tasks."""
    old, new = (kept("mine", "wisdom2020", **config) for config in ({}, {"task": "speech"}))
    old.weights_path = new.weights_path = "model.safetensors"
    monkeypatch.setattr(inference.runs, "kept", lambda method: [old, new])
    assert inference.trained("wisdom2020", "separate") == [new]


def test_a_record_says_by_which_method_it_separates(monkeypatch):
    asked = []
    monkeypatch.setattr(inference, "_loaded", lambda method, spec, record, device: asked.append(method) or (
        lambda x: np.zeros((len(x), len(spec.outputs), *x.shape[1:]), np.float32)))
    for given in ({}, {"record": kept("mine", "wisdom2020", task="speech")}, {"record": kept("supervised")}):
        weaklib.separate(np.ones(16000), 16000, **given)
    assert asked == ["hung2021", "wisdom2020", "hung2021"]
    with pytest.raises(WeaklibError, match="mine-s0-0 is one of wisdom2020, not of hung2021; leave the method out"):
        weaklib.separate(np.ones(16000), 16000, "hung2021", record=kept("mine", "wisdom2020", task="speech"))


def test_models_trained_here_are_listed_by_what_they_can_do_and_work(monkeypatch, tmp_path):
    monkeypatch.setenv("WEAKLIB_HOME", str(tmp_path))
    assert inference.trained("hung2021", "separate") == []
    made = {}
    for row in ("mixture_pretrain", "supervised", "finetune_c_h", "input_mixture"):
        cfg = experiment.load("hung2021").config(row, "smoke")
        model = None if cfg.stage == "input" else hung2021.build(cfg).eval()
        made[row] = runs.get(cfg, lambda *_, model=model: ({"score": [0.0]}, [], model))
    rows = lambda does: sorted(record.id.split("-")[0] for record in inference.trained("hung2021", does))
    assert rows("separate") == ["finetune_c_h", "supervised"]
    assert rows("transcribe") == ["finetune_c_h", "mixture_pretrain"]
    x = RNG.standard_normal(32000).astype(np.float32)
    alone, paired = (weaklib.separate(x, 16000, record=made[row]) for row in ("supervised", "finetune_c_h"))
    assert list(alone) == list(paired) and not np.allclose(alone["bass"], paired["bass"], atol=1e-4)
    assert len(weaklib.transcribe(x, 16000, record=made["mixture_pretrain"]).instruments) == 3


#: Frequencies of the listener's three pitches: whole periods per hop of 500 at 16 kHz.
PITCHES = {60: 320, 64: 640, 67: 1280}


@pytest.fixture
def listener(monkeypatch, load):
    """A transcriptor that hears three sines by their energy in each frame; instruments are levels of loudness."""
    def hear(x):
        assert x.shape[-1] <= 16 * 500
        t = torch.arange(-250, 250) / 16000
        frames = torch.nn.functional.pad(x, (250, 250)).unfold(-1, 500, 500)  # centred on 500 k
        energy = torch.stack([torch.abs(frames @ torch.exp(-2j * torch.pi * f * t).real.float()).square()
                              + torch.abs(frames @ torch.exp(-2j * torch.pi * f * t).imag.float()).square()
                              for f in PITCHES.values()], -2).sqrt() / 250
        return torch.stack([energy - 0.1, 0 * energy - 0.5], 1)
    monkeypatch.setattr(hung2021, "TRANSCRIBING", Transcribing(
        "", 16000, 16 * 500, 500, 500, {"sines": 5, "nothing": 7}, 60, lambda network, x: rows(hear(x))))
    load(torch.nn.Identity())


def rows(values):
    """Spread the three pitches over the rows of a roll that begins at 60."""
    roll = values.new_full((*values.shape[:2], 8, values.shape[-1]), -0.5)
    roll[:, :, [0, 4, 7]] = values
    return roll


PLAYED = [(0.5, 1.0, 60), (0.75, 2.5, 64), (2.0, 2.25, 60), (2.25, 3.0, 67)]


def played(sr, seconds=3.3):
    t = np.arange(round(sr * seconds)) / sr
    return sum(0.2 * np.sin(2 * np.pi * PITCHES[p] * t) * ((t >= a) & (t < b)) for a, b, p in PLAYED)


@pytest.mark.parametrize("sr, channels", [(16000, 1), (44100, 2), (22050, 6)])
def test_transcribe(listener, sr, channels):
    midi = weaklib.transcribe(np.tile(played(sr), (channels, 1)), sr)
    sines, nothing = midi.instruments
    assert (sines.name, sines.program, nothing.name, nothing.program) == ("sines", 5, "nothing", 7)
    got = sorted((n.start, n.end, n.pitch) for n in sines.notes)
    assert [n[2] for n in got] == [n[2] for n in sorted(PLAYED)] and not nothing.notes
    assert np.abs(np.array(got)[:, :2] - np.array(sorted(PLAYED))[:, :2]).max() <= 1.01 / 32
    assert {n.velocity for n in sines.notes} == {inference.VELOCITY}


def test_threshold(listener):
    """The listener is 0.1 surer of the sines than it needs to be, and lacks 0.5 of hearing something else."""
    n_notes = lambda threshold: [len(i.notes) for i in weaklib.transcribe(played(16000), 16000,
                                                                         threshold=threshold).instruments]
    assert n_notes(0.05) == [4, 0] and n_notes(0.15) == [0, 0] and n_notes(-0.45)[1] == 0 and n_notes(-0.55)[1] > 0
    with pytest.raises(WeaklibError, match="between -1 and 1"):
        n_notes(1.0)


def test_transcriptor_detects_what_it_detects_alone(pair):
    x = torch.from_numpy(RNG.standard_normal(40_000).astype(np.float32) / 10)  # shorter than a block
    pair.transcriptor.thresholds.copy_(torch.tensor([0.49, 0.5, 0.51]))
    with torch.no_grad():
        roll = pair.transcriptor.detect(hung2021.magnitude(x[None]))[0].numpy()
    midi = weaklib.transcribe(x, 16000)
    assert [(i.name, i.program) for i in midi.instruments] == [("piano", 0), ("guitar", 30), ("bass", 33)]
    assert sum(len(i.notes) for i in midi.instruments) > 10
    for instrument, one in zip(midi.instruments, roll):
        expected = rolls.notes(one, 32)
        got = np.array([(n.start, n.end, n.pitch) for n in instrument.notes]).reshape(-1, 3)
        assert np.allclose(got, np.minimum(expected, [np.inf, 2.5, np.inf]))


@pytest.mark.parametrize("threshold, share", [(0.5, 0.75), (0.2, 0.6), (0, 0.5), (-0.2, 0.4), (-0.5, 0.25)])
def test_threshold_moves_between_the_own_one_and_certainty(pair, threshold, share):
    """With 0.5 as its own threshold, the probability that is asked for."""
    x = torch.from_numpy(RNG.standard_normal(32_000).astype(np.float32) / 10)
    with torch.no_grad():
        roll = pair.transcriptor(hung2021.magnitude(x[None])).sigmoid()[0].numpy() > share
    midi = weaklib.transcribe(x, 16000, threshold=threshold)
    assert [len(i.notes) for i in midi.instruments] == [len(rolls.notes(one, 32)) for one in roll]


def test_nothing_sounds_in_silence(pair):
    """Thresholds that every frame exceeds: notes wherever there is sound, and only there."""
    pair.transcriptor.thresholds.zero_()
    x = np.zeros(160_000)
    assert not any(i.notes for i in weaklib.transcribe(x, 16000).instruments)
    x[64_000:96_000] = RNG.standard_normal(32_000) / 10
    for instrument in weaklib.transcribe(x, 16000).instruments:
        assert len(instrument.notes) == 88
        assert all(abs(n.start - 4) <= 1 / 32 and abs(n.end - 6) <= 2 / 32 for n in instrument.notes)


def test_frames_are_audible_within_a_hop_of_sound():
    """By the peak, of either sign, of each clip by itself: the floor is -80 dBFS."""
    x = np.zeros((4, 12), np.float32)  # four clips of three hops of four samples, which end in four frames
    x[0, 5], x[1, 11], x[2, 0] = 1.01e-4, -1.01e-4, 0.99e-4
    values = np.arange(1, 33, dtype=np.float32).reshape(4, 2, 1, 4)
    heard = np.array([[0, 1, 1, 0], [0, 0, 1, 1], [0] * 4, [0] * 4], bool)[:, None, None]
    assert np.array_equal(inference._audible(values, x, 4), np.where(heard, values, -1))


# What there is, and what is refused

def test_methods():
    found = {(m["method"], m["does"]): m for m in weaklib.methods()}
    assert found["wisdom2020", "separate"]["sr"] == 8000 and found["wisdom2020", "separate"]["comes"]
    assert found["hung2021", "separate"]["outputs"] == ("piano", "guitar", "bass")
    assert found["hung2021", "transcribe"]["sr"] == 16000
    assert ("wisdom2020", "transcribe") not in found


@pytest.mark.parametrize("x, sr, says", [
    (np.zeros(0), 8000, "no samples"), (np.zeros((2, 0)), 8000, "no samples"), (np.ones(63), 8000, "7.88 ms.*8 ms"),
    (np.r_[np.ones(100), np.nan], 8000, "finite"), (np.r_[np.ones(100), -np.inf], 8000, "finite"),
    (np.ones((3000, 2)), 8000, r"\(channel, time\)"), (np.ones((1, 1, 100)), 8000, "shape"),
    (np.ones(100, complex), 8000, "Complex"), (np.ones(100), 0, "sample rate"), (np.ones(100), 8000.5, "sample rate")])
def test_audio_that_is_refused(toy, x, sr, says):
    with pytest.raises(WeaklibError, match=says) as error:
        weaklib.separate(x, sr)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


@pytest.mark.parametrize("call, says", [
    (lambda x: weaklib.separate(x, 8000, "nobody"),
     "'nobody' can separate; choose one of wisdom2020, wisdom2021, hung2021"),
    (lambda x: weaklib.transcribe(x, 8000, "wisdom2020"), "can transcribe; choose one of hung2021"),
    (lambda x: weaklib.separate(x, 8000, "hung2021", query="a dog"), "takes no query"),
    (lambda x: weaklib.separate(x, 8000, device="tpu"), "Unknown device")])
def test_calls_that_are_refused(toy, call, says):
    with pytest.raises(WeaklibError, match=says):
        call(np.ones(5000))


def test_weaklib_has_nothing_else():
    with pytest.raises(AttributeError, match="'seperate'"):
        weaklib.seperate  # noqa: B018
    with pytest.raises(ImportError):
        from weaklib import seperate  # noqa: F401


def test_method_of_a_record(listener):
    record = kept("finetune", judges="score")
    assert len(weaklib.transcribe(played(16000), 16000, record=record).instruments) == 2


# Queries

BANDS = {"low": lambda low, x: low, "high": lambda low, x: x - low, "none": lambda low, x: 0 * x,
         "faint": lambda low, x: 0.01 * low}


def band(network, x, prompt):
    """One of the bands, by the first word of a prompt: (batch, channel, time), the same."""
    low = halves(x)[:, 0]
    return BANDS[prompt.split()[0]](low, x)


@pytest.fixture
def asked(monkeypatch, load):
    """Make wisdom2021 a separator that is asked in words."""
    def use(**kwargs):
        monkeypatch.setattr(wisdom2021, "SEPARATING", Separating(
            "", 8000, 2000, 64, (), band, **{"example": "low hum", **kwargs}))
    load(torch.nn.Identity())
    use()
    return use


@pytest.mark.parametrize("n", [64, 2001, 20_011])
def test_a_query_gives_what_it_gives_in_one_pass_and_the_rest(asked, n):
    x = RNG.standard_normal((2, n)).astype(np.float32)
    low = scipy.signal.convolve(x.astype(float), TAPS[None], "same")
    stems = weaklib.separate(x, 8000, query="low hum")
    assert list(stems) == ["low hum", "the rest"]
    assert np.abs(stems["low hum"] - low).max() < 1e-5 and np.abs(stems["the rest"] - (x - low)).max() < 1e-5
    one = weaklib.separate(x[0], 8000, query="low hum")
    assert one["low hum"].shape == (n,) and np.abs(one["low hum"] - low[0]).max() < 1e-5


@pytest.mark.parametrize("sr, channels, seconds", [(8000, 1, 3), (44100, 2, 2.00003), (11025, 3, 9)])
def test_several_queries_at_any_rate_and_with_an_offset(asked, sr, channels, seconds):
    parts = tones(sr, seconds, channels)
    stems = weaklib.separate(parts.sum(0) + 0.1, sr, query=["high whistle", "low  hum "])
    assert list(stems) == ["high whistle", "low hum", "the rest"]
    inner = slice(sr // 20, -sr // 20)
    for stem, expected in zip(stems.values(), [parts[1], parts[0], 0 * parts[0]]):
        assert stem.shape == expected.shape and np.abs(stem - expected)[:, inner].max() < 5e-3


def test_a_query_is_put_into_words_once_however_long_the_audio_is(asked):
    seen = []
    asked(prompt=lambda query: seen.append(query) or f"low {query}")
    x = RNG.standard_normal(20_000)
    stems = weaklib.separate(x, 8000, query=["hum", "drum"])
    assert seen == ["hum", "drum"]
    assert np.abs(stems["hum"] - scipy.signal.convolve(x, TAPS, "same")).max() < 1e-5
    assert np.array_equal(stems["hum"], stems["drum"])


def test_a_query_chooses_a_method_that_takes_one(asked):
    x = RNG.standard_normal(4000)
    assert inference.separator() == "hung2021" and inference.separator(query="low hum") == "wisdom2021"
    assert inference.separator("wisdom2020", None, "low hum") == "wisdom2020"
    assert inference.separator(None, kept("supervised"), "low hum") == "hung2021"
    assert list(weaklib.separate(x, 8000, query="low hum")) == ["low hum", "the rest"]
    with pytest.raises(WeaklibError, match="^wisdom2020 takes no query; leave it out, or choose wisdom2021 or mah"):
        weaklib.separate(x, 8000, "wisdom2020", query="low hum")


@pytest.mark.parametrize("query, says", [
    (None, 'has to be asked in words; give a query, such as "low hum"'), ("", "give a query"), ([], "give a query"),
    (["low", " \n"], "give a query"), (5, "is a text, or a list of texts, and not 5"), ([5], "and not"),
    (["low", "LOW"], 'be called "low"; ask for each thing once'), (["a/b", "a:b"], 'called "a-b"'),
    ("the rest", "an output anyway"), (["low", "The  Rest"], "an output anyway")])
def test_queries_that_are_refused(asked, query, says):
    with pytest.raises(WeaklibError, match=says) as error:
        weaklib.separate(np.ones(5000), 8000, "wisdom2021", query=query)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


def test_what_is_not_there_is_told(asked, recwarn):
    x = RNG.standard_normal(10_000)
    weaklib.separate(x, 8000, query=["low", "high"])
    assert not recwarn.list
    with pytest.warns(UserWarning) as told:
        weaklib.separate(x, 8000, query=["faint hum", "low hum", "none at all"])
    level = 40 - 20 * np.log10(np.std(scipy.signal.convolve(x, TAPS, "same")) / np.std(x))
    assert [str(one.message) for one in told] == [
        f'What was asked for as "faint hum" comes out {level:.0f} dB below the recording: it is probably not '
        "there.",
        'What was asked for as "none at all" comes out silent: it is probably not there.']
    recwarn.clear()
    weaklib.separate(np.zeros(10_000), 8000, query="low")  # nothing is there, and nothing is quieter than that
    asked(absent=-50.0)
    weaklib.separate(x, 8000, query="faint hum")
    assert not recwarn.list


def test_a_bare_name_is_put_into_the_sentence_that_was_learned():
    template = lambda names: f"The sound of {' and '.join(names)}"
    for query in ("violin", "a violin", "The violin.", " some violin "):
        assert phrased(query, template) == "The sound of violin"
    assert phrased("an electric bass", template) == "The sound of electric bass"
    assert phrased("Thesaurus", template) == "The sound of Thesaurus" and phrased("anvil", template)[13:] == "anvil"
    for query in ("the sound of a violin", "Sounds of rain"):
        assert phrased(query, template) == query
    assert phrased("soundproof door", template) == "The sound of soundproof door"


def test_query_command(asked, tmp_path, capsys):
    sr = 44100
    soundfile.write(tmp_path / "x.wav", tones(sr, 1.3, 2).sum(0).T, sr, subtype="FLOAT")
    out = tmp_path / "stems"
    do = ["separate", str(tmp_path / "x.wav"), "--out", str(out), "--query"]
    assert main([*do, "low hum", "--query", "none of a/b"]) == 0
    printed = capsys.readouterr()
    paths = [out / f"x-{name}.wav" for name in ("low hum", "none of a-b", "the rest")]
    assert printed.out.split("\n")[:-1] == [str(path) for path in paths] and sorted(out.iterdir()) == sorted(paths)
    assert printed.err == (f'{tmp_path / "x.wav"}: What was asked for as "none of a/b" comes out silent: it is '
                           "probably not there.\n")
    with pytest.warns(UserWarning, match="none of"):
        expected = weaklib.separate(*audio.read(tmp_path / "x.wav"), query=["low hum", "none of a/b"])
    for path, stem in zip(paths, expected.values()):
        assert np.abs(audio.read(path, allow_silent=True)[0] - stem).max() < 1e-6
    assert main([*do, "low hum", "--method", "hung2021"]) == 2
    assert capsys.readouterr().err == "hung2021 takes no query; leave it out, or choose wisdom2021 or mahmud2024.\n"
    assert main(["separate", str(tmp_path / "x.wav"), "--method", "wisdom2021"]) == 2
    assert 'give a query, such as "low hum"' in capsys.readouterr().err
    assert main(["methods"]) == 0
    assert 'what is asked for, such as "low hum", and the rest' in capsys.readouterr().out


# Files

@pytest.mark.parametrize("name, subtype, sr, channels", [
    ("old.wav", "PCM_U8", 8000, 1), ("wide.flac", "PCM_24", 96000, 6), ("my song.v2.ogg", "VORBIS", 44100, 2),
    ("b.mp3", "MPEG_LAYER_III", 22050, 2)])
def test_separate_command(toy, tmp_path, capsys, name, subtype, sr, channels):
    toy(block=4000)
    soundfile.write(tmp_path / name, tones(sr, 1.3, channels).sum(0).T, sr, subtype=subtype)
    assert main(["separate", str(tmp_path / name), "--method", "hung2021", "--out", str(tmp_path / "stems")]) == 0
    x, _ = audio.read(tmp_path / name)
    stem = Path(name).stem
    paths = [tmp_path / "stems" / f"{stem}-{output}.wav" for output in ("low", "high")]
    assert capsys.readouterr().out.split("\n")[:2] == [str(p) for p in paths]
    assert sorted((tmp_path / "stems").iterdir()) == sorted(paths)
    for path, expected in zip(paths, weaklib.separate(x, sr).values()):
        got, rate = audio.read(path)
        assert soundfile.info(path).subtype == "FLOAT" and rate == sr
        assert got.shape == x.shape and np.abs(got - expected).max() < 1e-6  # mp3 decodes by block a bit differently


def test_long_files_are_rf64(tmp_path):
    """The container of what would not fit into a wav file, tried with little in it."""
    with audio.writing(tmp_path / "x.wav", 96000, 6, 96000 * 3600) as add:
        add(np.ones((6, 10), np.float32))
    assert (tmp_path / "x.wav").read_bytes()[:4] == b"RF64"
    assert audio.read(tmp_path / "x.wav", allow_silent=True)[0].shape == (6, 10)


def test_transcribe_command(listener, tmp_path, capsys):
    audio.write(tmp_path / "x.wav", played(44100), 44100)
    out = tmp_path / "x.mid"
    assert main(["transcribe", str(tmp_path / "x.wav"), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    sines = pretty_midi.PrettyMIDI(str(out)).instruments[0]
    assert sorted(n.pitch for n in sines.notes) == [60, 60, 64, 67]
    direct = weaklib.transcribe(*audio.read(tmp_path / "x.wav")).instruments[0]
    starts = [sorted(n.start for n in i.notes) for i in (sines, direct)]
    assert np.allclose(*starts, atol=3e-3)  # ticks


def broken(path):
    path.write_bytes(b"RIFF this is no audio at all")


def cut_off(path):
    soundfile.write(path, RNG.standard_normal(44100) / 10, 44100, format="FLAC")
    path.write_bytes(path.read_bytes()[:30_000])


def holding(*values):
    return lambda path: soundfile.write(path, np.resize(values, 8000) if values else np.zeros((0, 1)), 8000, "FLOAT")


@pytest.mark.parametrize("command", ["separate", "transcribe"])
@pytest.mark.parametrize("make, says", [
    (broken, "cannot be read"), (cut_off, "cannot be read"), (holding(), "no samples"), (holding(0.0), "silent"),
    (holding(0.1, np.nan), "finite"), (lambda path: None, "no file"), (lambda path: path.mkdir(), "no file"),
    (lambda path: soundfile.write(path, [0.1, 0.2], 8000), "0.25 ms")])
def test_bad_files_get_a_sentence(toy, listener, tmp_path, capsys, command, make, says):
    path, out = tmp_path / "x.wav", tmp_path / "out"
    make(path)
    assert main([command, str(path), "--out", str(out if command == "separate" else out / "x.mid")]) == 2
    printed = capsys.readouterr()
    assert says in printed.err and printed.err.count("\n") == 1 and not printed.out
    assert not out.exists()


def test_nothing_is_overwritten_unless_forced(toy, listener, tmp_path, capsys):
    audio.write(tmp_path / "x.wav", played(16000), 16000)
    for command, out, target in (("separate", tmp_path, tmp_path / "x-high.wav"),
                                 ("transcribe", tmp_path / "x.mid", tmp_path / "x.mid")):
        target.write_text("before")
        assert main([command, str(tmp_path / "x.wav"), "--out", str(out)]) == 2
        assert str(target) in capsys.readouterr().err and target.read_text() == "before"
        assert main([command, str(tmp_path / "x.wav"), "--out", str(out), "--force"]) == 0
        assert target.stat().st_size > 100
    assert main(["transcribe", str(tmp_path / "x.wav"), "--out", str(tmp_path / "x.txt")]) == 2


def test_no_stem_replaces_a_recording_that_is_to_be_read(toy, tmp_path, capsys):
    """``x-high.wav`` is a stem of ``x.wav`` by name, and given as a recording of its own."""
    for name, sr in (("x", 8000), ("x-high", 16000)):
        audio.write(tmp_path / f"{name}.wav", played(sr), sr)
    before = (tmp_path / "x-high.wav").read_bytes()
    given = [str(tmp_path / name) for name in ("x.wav", "x-high.wav")]
    assert main(["separate", *given, "--out", str(tmp_path), "--force"]) == 2
    assert "x-high.wav is a recording that is to be read" in capsys.readouterr().err
    assert (tmp_path / "x-high.wav").read_bytes() == before
    assert (tmp_path / "x-high-low.wav").exists() and not (tmp_path / "x-low.wav").exists()  # others go on
    assert main(["separate", given[0], "--out", str(tmp_path), "--force"]) == 0


def test_of_several_files_the_one_that_is_too_short_is_named(toy, tmp_path, capsys):
    audio.write(tmp_path / "blip.wav", np.array([0.5, -0.5, 0.5, -0.5, 0.5]), 16000)
    assert main(["separate", str(tmp_path / "blip.wav"), "--out", str(tmp_path)]) == 2
    assert "blip.wav lasts" in capsys.readouterr().err


def test_public_names_are_there_for_completion():
    from weaklib import widgets
    assert {"methods", "separate", "transcribe"} <= set(dir(weaklib)) and "StemPlayer" in dir(widgets)


def test_a_failure_leaves_nothing_behind(toy, tmp_path, capsys):
    calls = []

    def fails(x):
        calls.append(1)
        if len(calls) == 3:
            raise WeaklibError("This model has had enough.")
        return halves(x)

    toy(run=fails)
    audio.write(tmp_path / "x.wav", tones(8000, 5, 1).sum(0), 8000)
    assert main(["separate", str(tmp_path / "x.wav"), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("This model") and not list((tmp_path / "out").iterdir())


def test_help_and_methods(capsys):
    for argv in (["--help"], ["separate", "--help"], ["transcribe", "--help"]):
        with pytest.raises(SystemExit) as stop:
            main(argv)
        assert stop.value.code == 0
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert main(["methods"]) == 0
    assert "piano, guitar, bass" in capsys.readouterr().out


def test_help_needs_no_torch():
    code = ("import sys, weaklib, weaklib.inference, weaklib.__main__ as m\n"
            "try: m.main(['--help'])\nexcept SystemExit: pass\nprint('torch' in sys.modules)")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                         cwd=Path(__file__).resolve().parents[1])
    assert out.stdout.endswith("False\n")


def test_progress_tells_the_end(toy, monkeypatch, tmp_path):
    monkeypatch.setenv(progress.CHANNEL, str(tmp_path / "progress"))
    weaklib.separate(np.ones(8000 * 61), 8000)
    assert (tmp_path / "progress").read_text() == "separating 487/487, 0 s left"


# What nobody hears

@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("offset", [0.03, -0.1, 1.0])
def test_an_offset_makes_no_difference(pair, tmp_path, channels, offset):
    x = np.tile(RNG.standard_normal(60_000) / 10, (channels, 1))
    x = (x - x.mean(-1, keepdims=True)).astype(np.float32)
    level = np.float32([[offset], [-offset / 2]])[:channels]
    plain, moved = weaklib.separate(x, 16000), weaklib.separate(x + level, 16000)
    assert all(np.abs(plain[name] - moved[name]).max() < 1e-5 for name in plain)
    audio.write(tmp_path / "x.wav", x + level, 16000)
    for path in inference.separate_file(tmp_path / "x.wav", tmp_path):
        assert np.abs(audio.read(path)[0] - plain[path.stem.split("-")[1]]).max() < 1e-5


def test_what_is_no_offset_stays(toy):
    """A short signal has a mean by chance, and one of -50 dB does no harm: the stems add up to all of it."""
    for n, offset in ((200, 0), (20_000, 0), (200_000, 0.003)):
        x = (RNG.standard_normal((1, n)) + offset).astype(np.float32)
        assert np.abs(sum(weaklib.separate(x, 8000).values()) - x).max() < 1e-5


def test_balance():
    x = RNG.standard_normal((4, 80_000)) * [[1], [0.5], [0.5], [0]] + [[0.1], [0], [-2], [0.25]]
    offset, polarity = audio.balance(np.split(x, 10, axis=-1))
    assert np.allclose(offset, [x[0].mean(), 0, x[2].mean(), 0.25], atol=1e-6) and (polarity == 1).all()
    a, b = RNG.standard_normal((2, 80_000))
    for channels, expected in (([a, -a], [1, -1]), ([-a, 0.9 * a], [1, -1]), ([0.9 * a, -a], [-1, 1]),
                               ([a, -a + 0.1 * b], [-1, 1]), ([a, b], [1, 1]),
                               ([a + b, -a + b], [1, 1]), ([2 * a, -a, -a], [1, -1, -1]),
                               ([0 * a, 0 * a], [1, 1]), ([a], [1])):
        assert audio.balance([np.array(channels)])[1].tolist() == expected


@pytest.fixture
def upside_down():
    """A stereo signal whose mean is silence."""
    return np.stack([played(44100), -played(44100)]).astype(np.float32)


def test_channels_that_cancel_are_heard(listener, tmp_path, upside_down, capsys):
    with pytest.warns(UserWarning, match="cancel each other in their mean; it is taken with channel 2 turned over"):
        midi = weaklib.transcribe(upside_down, 44100)
    expected = weaklib.transcribe(played(44100), 44100)
    of = lambda midi: [(n.start, n.end, n.pitch) for n in midi.instruments[0].notes]
    assert of(midi) == of(expected) and len(of(midi)) == 4
    audio.write(tmp_path / "x.wav", upside_down, 44100)
    assert main(["transcribe", str(tmp_path / "x.wav"), "--out", str(tmp_path / "x.mid")]) == 0
    assert len(pretty_midi.PrettyMIDI(str(tmp_path / "x.mid")).instruments[0].notes) == 4
    assert capsys.readouterr().err == (f"{tmp_path / 'x.wav'}: The channels cancel each other in their mean; it is "
                                       "taken with channel 2 turned over.\n")


def test_channels_that_cancel_are_separated_and_stay_as_they_are(pair):
    x = (RNG.standard_normal(40_000) / 10).astype(np.float32)
    expected = weaklib.separate(x, 16000)
    with pytest.warns(UserWarning, match="turned over"):
        stems = weaklib.separate(np.stack([x, -x]), 16000)
    for name, (left, right) in stems.items():
        assert np.abs(left - expected[name]).max() < 1e-5 and np.abs(right + expected[name]).max() < 1e-5


# What a notebook has set, and what comes in

@pytest.mark.parametrize("method", ["hung2021", "wisdom2020"])
def test_another_default_dtype_makes_no_difference(method):
    x = RNG.standard_normal(40_000) / 10
    expected = weaklib.separate(x, 16000, method)
    torch.set_default_dtype(torch.float64)
    try:
        stems = weaklib.separate(x, 16000, method)
        notes = weaklib.transcribe(x, 16000)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(np.array_equal(stems[name], expected[name]) and stems[name].dtype == np.float32 for name in expected)
    assert len(notes.instruments) == 3


@pytest.mark.parametrize("make", [
    lambda x: torch.from_numpy(x).requires_grad_(), lambda x: torch.from_numpy(x).bfloat16(), lambda x: x.tolist(),
    lambda x: torch.from_numpy(x).half(), lambda x: np.flip(x)[..., ::-1]])
def test_tensors_and_lists(toy, listener, tmp_path, make):
    x = (RNG.integers(-64, 64, 16_000) / 128).astype(np.float32)  # exact in eight bits
    expected = weaklib.separate(x, 8000)["low"]
    if make(np.zeros(1, np.float32)).__class__ is np.ndarray:
        expected = weaklib.separate(x.copy(), 8000)["low"]
    assert np.abs(weaklib.separate(make(x), 8000)["low"] - expected).max() < 1e-6
    assert len(weaklib.transcribe(make(x), 16000).instruments) == 2
    audio.write(tmp_path / "x.wav", make(x), 8000)
    assert np.array_equal(audio.read(tmp_path / "x.wav")[0][0], x)
    assert np.allclose(audio.rms(make(x)), audio.rms(x)) and np.allclose(audio.level(make(x), -20), audio.level(x, -20))
    assert np.allclose(audio.resample(make(x), 8000, 16000), audio.resample(x, 8000, 16000), atol=1e-3)


# Several files

def test_several_files_in_one_command(toy, listener, tmp_path, capsys):
    for name in ("a.wav", "b.flac"):
        audio.write(tmp_path / name, played(16000), 16000)
    (tmp_path / "no.wav").write_text("no sound")
    names = [str(tmp_path / name) for name in ("a.wav", "no.wav", "gone.wav", "b.flac")]
    assert main(["separate", *names, "--out", str(tmp_path / "stems")]) == 2
    printed = capsys.readouterr()
    written = ["a-high.wav", "a-low.wav", "b-high.wav", "b-low.wav"]
    assert sorted(p.name for p in (tmp_path / "stems").iterdir()) == written
    assert printed.out.count("\n") == 4 and printed.err.count("\n") == 2
    assert main(["transcribe", names[0], names[3], "--out", str(tmp_path / "midi")]) == 0
    assert sorted(p.name for p in (tmp_path / "midi").iterdir()) == ["a.mid", "b.mid"]
    assert capsys.readouterr().out.split() == [str(tmp_path / "midi" / name) for name in ("a.mid", "b.mid")]


def test_several_files_never_overwrite_each_other(toy, listener, tmp_path, capsys):
    for name in ("a.wav", "a.flac"):
        audio.write(tmp_path / name, played(16000), 16000)
    names = [str(tmp_path / name) for name in ("a.wav", "a.flac")]
    for command in ("separate", "transcribe"):
        assert main([command, *names, "--force", "--out", str(tmp_path / "out")]) == 2
        assert "a.wav and" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert main(["transcribe", names[0], names[0].replace("a.wav", "b.wav"), "--out", str(tmp_path / "x.mid")]) == 2
    assert "give a folder" in capsys.readouterr().err


@pytest.mark.parametrize("out, expected", [(None, "x.mid"), ("y.mid", "y.mid"), ("y.MIDI", "y.MIDI"), ("d", "d/x.mid"),
                                           ("is.there", "is.there/x.mid"), ("y.txt", None)])
def test_where_a_transcription_goes(listener, tmp_path, monkeypatch, capsys, out, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "is.there").mkdir()
    audio.write("x.wav", played(16000), 16000)
    status = main(["transcribe", "x.wav", *(["--out", out] if out else [])])
    assert status == (0 if expected else 2) and capsys.readouterr().out == (f"{expected}\n" if expected else "")
    assert not expected or (tmp_path / expected).is_file()


def test_quiet(toy, listener, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(inference, "PATIENCE", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    audio.write(tmp_path / "x.wav", played(16000), 16000)
    for command in ("separate", "transcribe"):
        do = [command, str(tmp_path / "x.wav"), "--out", str(tmp_path / command), "--force"]
        assert main(do) == 0
        printed = capsys.readouterr()
        assert f"{tmp_path / command}" in printed.out and "ing: " in printed.err
        assert main([*do, "--quiet"]) == 0 and capsys.readouterr() == ("", "")
    assert main(["separate", str(tmp_path / "gone.wav"), "--quiet"]) == 2 and "no file" in capsys.readouterr().err


def test_a_log_holds_no_progress(toy, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(inference, "PATIENCE", 0.0)
    audio.write(tmp_path / "x.wav", played(16000), 16000)
    assert main(["separate", str(tmp_path / "x.wav"), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("argv", [["separate", "."], ["transcribe", "."], ["separate", ""], ["transcribe", ""],
                                  ["transcribe", "x.wav", "--out", ""], ["separate", "x.wav", "--out", ""],
                                  ["separate", "x.wav", "--out", "x.wav/y"],
                                  ["transcribe", "x.wav", "--out", "x.wav/y"],
                                  ["transcribe", "x.wav", "--out", "y" * 252 + ".mid"],
                                  ["separate", "x.wav", "--out", "y" * 256]])
def test_paths_that_are_no_good_get_a_sentence(toy, listener, tmp_path, monkeypatch, capsys, argv):
    monkeypatch.chdir(tmp_path)
    audio.write("x.wav", played(16000), 16000)
    assert main(argv) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1 and printed.err.endswith(".\n") and not printed.out
    assert "free some space" not in printed.err and [p.name for p in tmp_path.iterdir()] == ["x.wav"]


@pytest.mark.parametrize("name, encoding, shown", [("łódź".encode(), "cp1252", b"\\u0142\xf3d\\u017a-low.wav"),
                                                   (b"\xff", "utf-8", b"\\udcff-low.wav")])
def test_names_that_the_terminal_cannot_show(tmp_path, name, encoding, shown):
    audio.write(tmp_path / "x.wav", played(16000), 16000)
    os.rename(tmp_path / "x.wav", os.path.join(os.fsencode(tmp_path), name + b".wav"))
    code = ("import sys; from weaklib import inference, __main__; from weaklib.papers import hung2021\n"
            "hung2021.SEPARATING = inference.Separating('', 8000, 2000, 64, ('low',), lambda network, x: x[:, None])\n"
            "sys.exit(__main__.main(sys.argv[1:]))")
    done = subprocess.run([sys.executable, "-c", code, "separate", name + b".wav"], cwd=tmp_path, capture_output=True,
                          env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path(__file__).parents[1])})
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, shown, b"")
    assert os.path.isfile(os.path.join(os.fsencode(tmp_path), name + b"-low.wav"))


def test_a_reader_that_has_enough_does_not_stop_the_work(tmp_path):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "weaklib", "methods"], stdout=write, stderr=subprocess.PIPE, text=True,
                          cwd=Path(__file__).parents[1])
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
