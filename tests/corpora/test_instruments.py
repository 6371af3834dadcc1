"""The corpora `instruments` and `instruments_pool`: they sound all the time, like themselves, and share nothing."""
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from weaklib import files
from weaklib.audio import rms
from weaklib.corpora import SPLITS, datasheet, instruments, load, music21, phrases, rooms
from weaklib.corpora.pieces import Line
from weaklib.files import WeaklibError

SR, CUT = 8000, 16384
NAMES = ("instruments", "instruments_pool")
EVERY = [(name, split) for name in NAMES for split in SPLITS]
WHO = instruments.INSTRUMENTS
SINGLE = [name for name, who in WHO.items() if who.manner.single]
MANNERS = {name: manner for name, manner in vars(phrases).items() if isinstance(manner, phrases.Manner)}


def smoke(name, split):
    return load(name, split, "smoke")


def whole(corpus, items):
    """A recording from its items, (time,)."""
    return np.concatenate([corpus[i]["mix"].numpy() for i in items])


# Items

@pytest.mark.parametrize("name, split", EVERY)
def test_items_are_ordered_by_class_recording_and_cut(name, split):
    corpus = smoke(name, split)
    n = {"train": 2, "validation": 1, "test": 1}[split]
    assert len(corpus) == 21 * n * 2 and corpus.classes == tuple(WHO) == tuple(corpus.recordings)
    assert [i for spans in corpus.recordings.values() for span in spans for i in span] == list(range(len(corpus)))
    for label, spans in corpus.recordings.items():
        assert len(spans) == n and all(len(span) == 2 for span in spans)
        assert all(corpus[i]["labels"] == [label] for span in spans for i in span)
        assert all(corpus.about[span[0] // 2]["class"] == label for span in spans)


@pytest.mark.parametrize("name, split", EVERY)
def test_the_one_source_is_the_mixture_and_does_not_clip(name, split):
    corpus = smoke(name, split)
    for items in (span for spans in corpus.recordings.values() for span in spans):
        for item in (corpus[i] for i in items):
            assert item["mix"].shape == (CUT,) and item["sources"].shape == (1, CUT)
            assert torch.equal(item["sources"].sum(0), item["mix"])
        assert 0.29 < np.abs(whole(corpus, items)).max() < 0.91


@pytest.mark.parametrize("name, split", EVERY)
def test_every_cut_plays_for_most_of_its_length(name, split):
    corpus = smoke(name, split)
    for items in (span for spans in corpus.recordings.values() for span in spans):
        x = whole(corpus, items).reshape(len(items), -1, 512)
        loud = np.abs(x).max(-1) > 0.1 * rms(x.ravel())
        assert loud.mean(1).min() > 0.7
        assert rms(x.reshape(len(items), -1)).min() > 0.25 * rms(x.ravel())


def test_a_shorter_item_is_the_beginning_of_a_cut():
    corpus, short = smoke("instruments", "test"), load("instruments", "test", "smoke", duration=1.0)
    assert short.n_samples == SR and short.recordings == corpus.recordings
    assert all(torch.equal(short[i]["mix"], corpus[i]["mix"][:SR]) for i in (0, 1, 20, 41))
    with pytest.raises(WeaklibError, match="duration=2.1 .*from 0.01 to 2.048"):
        load("instruments", "test", "smoke", duration=2.1)


def test_a_recording_with_a_lull_is_drawn_again(monkeypatch):
    corpus, drawn = smoke("instruments", "test"), []
    noise = np.random.default_rng(0).standard_normal(2 * CUT)

    def draw(rng, name):
        drawn.append(rng.random())
        return noise * (np.arange(2 * CUT) > (CUT if len(drawn) < 3 else 1000)), len(drawn), {}
    monkeypatch.setattr(corpus, "_drawn", draw)
    assert corpus._recording(4, 0)[1] == 3 and len(set(drawn)) == 3


# Sound

@pytest.mark.parametrize("label", SINGLE)
def test_instruments_of_one_voice_play_one_note_at_a_time_at_the_pitch_that_is_written(label):
    ratios = []
    for name, split in EVERY:
        corpus = smoke(name, split)
        for items in corpus.recordings[label]:
            x, notes, about = whole(corpus, items), corpus.notes[items[0] // 2], corpus.about[items[0] // 2]
            assert (notes[1:, 0] >= notes[:-1, 1]).all()
            assert WHO[label].low <= notes[:, 2].min() and notes[:, 2].max() <= WHO[label].high
            for onset, offset, pitch, _ in notes[notes[:, 1] - notes[:, 0] > 0.3]:
                part = x[round((onset + 0.12) * SR):round(offset * SR)]
                spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 2 ** 15)) ** 2
                f0 = 440 * 2 ** ((pitch - 69 + about["voice"]["cents"] / 100) / 12)
                on, off = (sum(spectrum[round(k * f0 / 1.03 * 2 ** 15 / SR):round(k * f0 * 1.03 * 2 ** 15 / SR)].sum()
                               for k in np.arange(first, 6) if k * f0 < 3800) for first in (1, 0.5))
                ratios.append(on / off)
    assert len(ratios) > 20 and np.median(ratios) > 10


def features(x):
    """Log-mel spectrum of a cut, its mean and spread over time, whatever the level."""
    frames = np.lib.stride_tricks.sliding_window_view(x, 512)[::256] * np.hanning(512)
    power = np.abs(np.fft.rfft(frames)) ** 2
    hz = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 42) / 2595) - 1)
    bins = np.arange(257) * SR / 512
    bank = np.array([np.interp(bins, hz[k:k + 3], (0, 1, 0)) for k in range(40)])
    mel = np.log10(power @ bank.T + 1e-4 * power.mean())
    return np.concatenate([mel.mean(0) - mel.mean(), mel.std(0)])


def hits(heard, asked):
    """Share of the items of `asked` that are nearest to the mean of their class in `heard`; both lists of corpora."""
    points = [(item["labels"][0], features(item["mix"].numpy())) for corpus in heard for item in corpus]
    scale = np.std([point for _, point in points], axis=0)
    centroids = {label: np.mean([p for name, p in points if name == label], axis=0) for label in WHO}
    found = [min(WHO, key=lambda label: np.linalg.norm((centroids[label] - features(item["mix"].numpy())) / scale))
             == item["labels"][0] for corpus in asked for item in corpus]
    return np.mean(found)


def test_classes_are_told_apart_in_recordings_that_were_not_heard_and_with_other_voices():
    mine, pool = ([smoke(name, split) for split in SPLITS] for name in NAMES)
    assert hits(mine[:1], mine[1:]) > 0.3  # chance is 0.05, and two recordings of a class say little
    assert hits(pool, mine) > 0.3


def test_a_voice_changes_the_timbre_and_not_the_pitch():
    corpus, who = smoke("instruments", "test"), WHO["clarinet"]
    note = np.array([[0.0, 1.5, 64, 90]])

    def heard(size):
        voice = {"program": 71, "size": size, "cents": 0, "release": 1.0, "rate": 5.0}
        inst = corpus._played(np.random.default_rng(0), who, voice, note, 1.6)
        inst.pitch_bends, inst.control_changes = [], inst.control_changes[:12]
        x = instruments.fluid.render(inst, SR, 1.5)[2000:10000]
        return np.abs(np.fft.rfft(x * np.hanning(len(x)), 2 ** 16))

    small, large = heard(3), heard(-3)
    f0 = 440 * 2 ** (-5 / 12) * 2 ** 16 / SR
    first, levels = [], []
    for spectrum in (small, large):
        first.append(1200 * np.log2((np.argmax(spectrum[:round(1.5 * f0)])) / f0))
        levels.append([20 * np.log10(spectrum[round(0.98 * k * f0):round(1.02 * k * f0)].max()) for k in range(1, 9)])
    assert np.abs(first).max() < 15
    assert np.std(np.subtract(*levels)) > 2  # dB


# Phrases

def every_figure():
    return [(key, k, figure) for key, manner in MANNERS.items() for k in (0, 1) for figure in manner.figures[k]]


@pytest.mark.parametrize("key, k, figure", every_figure())
def test_figures_fill_the_bar(key, k, figure):
    scale = [0, 2, 4, 7, 9] if MANNERS[key].pentatonic else [0, 2, 4, 5, 7, 9, 11]
    low, high = next((who.low, who.high) for who in WHO.values() if who.manner is MANNERS[key])
    for seed in range(12):
        rng, line, metre = np.random.default_rng(seed), Line(low, high, (low + high) / 2), 3 + seed % 2
        strokes = figure(rng, line, [0, 4, 7, 11], scale, metre)
        t, sounds = np.arange(0, metre, 1 / 16), np.zeros(16 * metre, bool)
        for at, length, pitches in strokes:
            assert 0 <= at < metre and length > 0 and pitches
            sounds |= (t >= at - 1e-9) & (t < at + length - 1e-9)
        assert sounds.mean() > (0.5 if key in ("KIT", "HANDS", "STRUMMED") else 0.9)
        assert np.mean([low <= pitch <= high for *_, pitches in strokes for pitch in pitches]) > 0.8


def test_the_corpora_have_no_figure_in_common():
    for manner in MANNERS.values():
        mine, others = ({figure.__name__ for figure in figures} for figures in manner.figures)
        assert mine and others and not mine & others


def test_slides_come_from_the_note_before_and_arrive():
    manner = phrases.Manner(phrases.WIND.figures, slides=1.0)
    notes = np.array([[0.0, 1, 60, 80], [1.0, 2, 62, 80], [2.0, 3, 55, 80], [3.0, 4, 55, 80]])
    t, cents = phrases.bends(np.random.default_rng(0), manner, notes, 5.0, 4.0).T
    assert [cents[np.searchsorted(t, at)] for at in (0, 1, 2, 3)] == pytest.approx([-100, -200, 200, -100], abs=70)
    assert np.sign([cents[np.searchsorted(t, at)] for at in (0, 1, 2, 3)]).tolist() == [-1, -1, 1, -1]
    assert all(abs(cents[np.searchsorted(t, at)]) < 1e-9 for at in (0.2, 1.2, 2.2, 3.2, 3.9))


def test_vibrato_comes_late_and_beats_as_often_as_asked():
    manner = phrases.Manner(phrases.WIND.figures, vibrato=(30, 30))
    t, cents = phrases.bends(np.random.default_rng(0), manner, np.array([[0.0, 4, 60, 80]]), 6.0, 4.0).T
    assert np.abs(cents[t < 0.04]).max() == 0 and 28 < np.abs(cents[t > 1]).max() <= 30
    assert np.argmax(np.abs(np.fft.rfft(cents * np.hanning(len(t))))) / 4.0 == pytest.approx(6, abs=0.3)


def test_notes_begin_softly_or_with_an_accent():
    manner = phrases.Manner(phrases.WIND.figures, swell=0.5)
    notes = np.array([[0.0, 2, 60, 80], [2.0, 4, 62, 80]])
    for soft in (True, False):
        t, level = phrases.swells(np.random.default_rng(0), manner, notes, soft, 4.0).T
        begins, goes_on = level[np.searchsorted(t, 2.0)], level[(t > 2.8) & (t < 3.8)].mean()
        assert (begins < 0.75 * goes_on) if soft else (begins > 1.2 * goes_on)
        assert 0 < level.min() and level.max() <= 1


# What is where

def test_no_phrase_is_in_two_splits_or_two_corpora():
    found = [notes.tobytes() for name, split in EVERY for notes in smoke(name, split).notes]
    assert len(set(found)) == len(found) == 2 * 21 * 4


def test_the_corpora_share_no_passages():
    passages = [{tuple(np.diff(notes[k:k + 14, 2]).astype(int)) for split in SPLITS for about, notes in
                 zip(smoke(name, split).about, smoke(name, split).notes) if not WHO[about["class"]].drums
                 for k in range(len(notes) - 14)} for name in NAMES]
    assert min(map(len, passages)) > 400 and not passages[0] & passages[1]


def test_the_corpora_share_no_voice():
    heard = {name: {(about["class"], about["voice"]["program"], about["voice"]["size"])
                    for split in SPLITS for about in smoke(name, split).about} for name in NAMES}
    assert not heard[NAMES[0]] & heard[NAMES[1]]
    mine, pool = (instruments.VOICES[name] for name in NAMES)
    assert not set(mine.sizes) & set(pool.sizes)
    for a, b in [(mine.cents, pool.cents), (mine.release, pool.release), (mine.rate, pool.rate),
                 *((x, y) for x in mine.resonances for y in pool.resonances)]:
        assert a[1] <= b[0] or b[1] <= a[0]
    for name in NAMES:
        of = instruments.VOICES[name]
        for about in (about for split in SPLITS for about in smoke(name, split).about):
            voice, who = about["voice"], WHO[about["class"]]
            assert voice["program"] in (who.others if name.endswith("_pool") else who.programs)
            assert voice["size"] - who.size in of.sizes and of.cents[0] <= voice["cents"] <= of.cents[1]
            assert all(low <= f <= high for (f, _), (low, high) in zip(voice["resonances"], of.resonances))


def test_rooms_and_devices_are_in_one_split_of_one_corpus():
    freqs, devices, rirs = np.linspace(50, 4000, 9), [], []
    for name, split in EVERY:
        corpus = smoke(name, split)
        devices += [corpus._device(k, freqs).tobytes() for k in range(corpus.sizes["devices"])]
        rirs += [rir.tobytes() for rir in corpus._rooms]
    rirs += [rir.tobytes() for split in SPLITS for rir in rooms.load(split, 2, SR, 0, 1).rirs[:, 0]]
    assert len(set(devices)) == len(devices) == 8 and len(set(rirs)) == len(rirs) == 8 + 6


def test_recordings_of_a_class_differ():
    abouts = smoke("instruments", "train").about
    for a, b in zip(abouts[::2], abouts[1::2]):
        assert a["class"] == b["class"] and a["voice"]["resonances"] != b["voice"]["resonances"]
        assert (a["key"], a["tempo"]) != (b["key"], b["tempo"])
    wet = [about["room"] is not None for name, split in EVERY for about in smoke(name, split).about]
    assert 0.4 < np.mean(wet) < 0.8


def test_there_is_as_much_as_announced_of_the_classes_of_music21():
    sizes = instruments.Instruments.SIZES
    assert sizes["laptop"]["recordings"] == (40, 6, 12) and sizes["laptop"]["pool"] == (60, 6, 6)
    assert all(size["duration"] * SR == CUT for size in sizes.values())
    assert tuple(WHO) == tuple(music21.N_VIDEOS)
    assert round(0.05 * sizes["laptop"]["recordings"][0]) == 2


@pytest.mark.parametrize("name, says", [
    ("instruments", "takes MUSIC-21 itself.*load the corpus 'music21', or choose preset='gpu'"),
    ("instruments_pool", "takes LAION-Audio-630K itself.*choose preset='gpu'")])
def test_the_paper_preset_says_what_to_do(name, says):
    with pytest.raises(WeaklibError, match=says):
        load(name, "train", "paper")


def test_the_same_bytes_in_another_process(tmp_path):
    for name in NAMES:
        smoke(name, "validation")
    code = f"from weaklib.corpora import load; [load(name, 'validation', 'smoke') for name in {NAMES}]"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "WEAKLIB_HOME": str(tmp_path)}, check=True,
                   capture_output=True)
    stored = [path.parent for path in (tmp_path / "corpora").glob("instruments-*/audio.npy")]
    assert len(stored) == 2
    for folder in stored:
        for part in ("audio.npy", "notes.npy", "recordings.json"):
            assert files.sha256(folder / part) == files.sha256(files.home() / "corpora" / folder.name / part)


def test_the_datasheet_names_stand_in_and_licences():
    text = datasheet("instruments_pool")
    assert all(word in text for word in ("MUSIC-21", "GPL-2", "CLAP", *WHO))
