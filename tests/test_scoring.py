"""Scores of separators whose outputs have no order: of one that knows the sources, of the mixture, of what leaks."""
from itertools import permutations

import numpy as np
import pytest
import scenes
import torch

from weaklib import mixing, scoring


@pytest.fixture(scope="module")
def items():
    return list(scenes.Tones("sounds", "test"))


@pytest.fixture(scope="module")
def voices():
    return list(scenes.Tones("voices", "test", n_sources=2))


class Leaky(scenes.Oracle):
    """Leaves a tenth of the mixture in every output, and moves what is in the last a little."""

    def forward(self, mix):
        est = super().forward(mix) + 0.1 * mix[:, None]
        est[:, -1] += 0.3 * est[:, -1].roll(5, -1)
        return est


class Halving(scenes.Oracle):
    """Knows the sources, and spreads the first one over two outputs."""

    def one(self, mix):
        est = super().one(mix)
        est[0], est[-1] = 0.5 * est[-1], 0.5 * est[-1]
        return est


def si_snr(est, ref):
    """By the projection of the definition, in dB."""
    est, ref = (x.double().numpy() for x in (est, ref))
    target = (est @ ref) / (ref @ ref) * ref
    return 10 * np.log10((target @ target) / max((est - target) @ (est - target), 1e-12 * (ref @ ref)))


def by_hand(model, item):
    """SI-SNRi of each source with the output that it has in the best permutation, in dB."""
    sources = [source for source in item["sources"] if source.any()]
    with torch.no_grad():
        est = model(item["mix"][None])[0]
    best = max(permutations(range(len(est)), len(sources)),
               key=lambda p: sum(si_snr(est[k], s) for k, s in zip(p, sources)))
    return [si_snr(est[k], s) - si_snr(item["mix"], s) for k, s in zip(best, sources)]


def counts(items):
    return [int((item["sources"].abs().sum(-1) > 0).sum()) for item in items]


# Sounds

SHOULD_BE_HIGH = ("1s", "msi", "msi_2", "msi_3", "msi_4", "trf")


def test_who_knows_the_sources_has_high_scores_everywhere(items):
    n = counts(items)
    assert sorted(set(n)) == [1, 2, 3, 4]
    found = scoring.sounds(scenes.Oracle(items), items)
    assert {name: len(values) for name, values in found.items()} == {"msi": sum(k > 1 for k in n), "ss": n.count(1)}
    assert min(found["msi"] + found["ss"]) > 60
    found = scoring.fidelity(scenes.Oracle(items), items)
    assert set(found) == {*SHOULD_BE_HIGH, "over", "equal", "under"}
    for name in SHOULD_BE_HIGH:
        assert min(found[name]) > 60, name
    assert found["equal"] == [100.0] * len(items) and not any(found["over"] + found["under"])
    assert [len(found[f"msi_{k}"]) for k in (2, 3, 4)] == [k * n.count(k) for k in (2, 3, 4)]  # one for each pair
    assert set(scoring.fidelity(scenes.Oracle(items), items, rates=False)) == set(SHOULD_BE_HIGH)


def test_scores_of_sounds_are_those_of_their_definitions(items):
    """Pairs by trying all permutations; TRF from the means of each number of sources."""
    model = Leaky(items)
    of_2020, of_2021 = scoring.sounds(model, items), scoring.fidelity(model, items)
    n, pairs = counts(items), [by_hand(model, item) for item in items]
    assert of_2020["msi"] == pytest.approx([np.mean(gains) for k, gains in zip(n, pairs) if k > 1], abs=1e-3)
    by_count = {k: sum((gains for m, gains in zip(n, pairs) if m == k), []) for k in (2, 3, 4)}
    for k, gains in by_count.items():
        assert sorted(of_2021[f"msi_{k}"]) == pytest.approx(sorted(gains), abs=1e-3)
    pooled = sum(by_count.values(), [])
    assert sorted(of_2021["msi"]) == pytest.approx(sorted(pooled), abs=1e-3)
    with torch.no_grad():
        alone = [max(si_snr(x, item["mix"]) for x in model(item["mix"][None])[0])
                 for k, item in zip(n, items) if k == 1]
    alone = np.minimum(alone, 80)  # where SI-SNR ends
    assert of_2020["ss"] == of_2021["1s"] == pytest.approx(alone, abs=0.01)
    trf = 0.25 * np.mean(alone) + 0.75 * np.mean([np.mean(gains) for gains in by_count.values()])
    assert of_2021["trf"] == [pytest.approx(trf, abs=0.01)]
    assert abs(trf - 0.25 * np.mean(alone) - 0.75 * np.mean(pooled)) > 0.05  # four sources count no more than two


def test_the_mixture_gains_nothing_and_what_is_silent_leaves_the_average_of_active_pairs(items):
    n = counts(items)
    everywhere, once = scenes.Echo(everywhere=True), scenes.Echo()
    found = scoring.fidelity(everywhere, items)
    assert np.array(found["msi"] + scoring.sounds(everywhere, items)["msi"]) == pytest.approx(0, abs=1e-6)
    assert min(found["1s"]) == pytest.approx(80, abs=0.01) and found["over"] == [100.0 * (k < 4) for k in n]
    found, of_2020 = scoring.fidelity(once, items), scoring.sounds(once, items)
    assert len(found["msi"]) == len(of_2020["msi"])  # one pair of each mixture is active
    assert np.array(found["msi"]) == pytest.approx(0, abs=1e-6) and max(of_2020["msi"]) < -10
    assert found["under"] == [100.0 * (k > 1) for k in n] and found["equal"] == [100.0 * (k == 1) for k in n]
    assert not any(found["over"])


def test_a_source_in_two_outputs_is_over_separated(items):
    some = [item for item, k in zip(items, counts(items)) if k < 4]
    found = scoring.fidelity(Halving(some), some)
    assert found["over"] == [100.0] * len(some) and not any(found["equal"] + found["under"])
    assert min(found["msi"]) > 60  # which no other score here notices


@pytest.mark.parametrize("alone", [True, False])
def test_without_single_sources_or_without_mixtures_of_several_there_is_no_trf(items, alone):
    some = [item for item, k in zip(items, counts(items)) if (k == 1) == alone]
    model = scenes.Oracle(some)
    assert set(scoring.sounds(model, some)) == {"ss" if alone else "msi"}  # and nothing without a value
    found = set(scoring.fidelity(model, some, rates=False))
    assert found == ({"1s"} if alone else {"msi", "msi_2", "msi_3", "msi_4"})


def test_outputs_that_are_all_but_silent_are_no_pairs(items):
    """As of an untrained network with many outputs: there is no mean of them, and no TRF."""

    class Faint(scenes.Echo):
        def forward(self, mix):
            return 0.03 * super().forward(mix)

    found = scoring.fidelity(Faint(everywhere=True), items)
    assert set(found) == {"1s", "over", "equal", "under"} and np.isfinite(sum(found.values(), [])).all()


def test_an_example_without_any_sound_counts_for_nothing(items):
    """FUSS has a few."""
    silence = {name: torch.zeros_like(x) if isinstance(x, torch.Tensor) else x for name, x in items[0].items()}
    model = Leaky([*items, silence])
    for scores in (scoring.sounds, scoring.fidelity):
        assert scores(model, [*items, silence]) == scores(model, items)


# Voices

def test_scores_of_voices(voices):
    best, none = scoring.voices(scenes.Oracle(voices), voices), scoring.voices(None, voices)
    assert min(best["si_snr"]) > 70 and min(best["ss"]) > 70
    before = [np.mean([si_snr(item["mix"], s) for s in item["sources"]]) for item in voices]
    assert none == {"si_snri": [0.0] * len(voices), "si_snr": pytest.approx(before, abs=1e-4)}
    assert best["si_snri"] == pytest.approx(np.subtract(best["si_snr"], before), abs=1e-4)
    leaky = scoring.voices(Leaky(voices), voices)
    by_pairs = [np.mean(by_hand(Leaky(voices), item)) for item in voices]
    assert leaky["si_snri"] == pytest.approx(by_pairs, abs=1e-3) and leaky["si_snri"] != best["si_snri"]


def test_either_source_may_be_heard_alone(voices):
    heard = []

    class Spy(scenes.Echo):
        def forward(self, mix):
            heard.append(mix.clone())
            return super().forward(mix)

    for source in (0, 1):
        heard.clear()
        assert min(scoring.alone(Spy(), voices, source)) == pytest.approx(80, abs=0.01)
        assert torch.equal(torch.cat(heard), torch.stack([item["sources"][source] for item in voices]))


# Speech in noise

def test_speech_in_noise(voices):
    best = scoring.noisy_speech(scenes.Oracle(voices), voices)
    given = [si_snr(item["mix"], item["sources"][0]) for item in voices]
    assert np.add(best["s_plus_n"], given) == pytest.approx(80, abs=1) and min(best["s_only"]) > 70
    for model in (scenes.Echo(), scenes.Echo(everywhere=True)):
        found = scoring.noisy_speech(model, voices)
        assert found["s_plus_n"] == pytest.approx([0.0] * len(voices), abs=1e-9)
        assert found["s_only"] == pytest.approx([80.0] * len(voices), abs=0.01)


def test_of_noisy_speech_the_noise_does_not_count(voices):
    """Who gives out the noise alone, and half of the speech mixed with it, has not found the speech."""

    class Noise(scenes.Oracle):
        def one(self, mix):
            est = super().one(mix)
            return torch.stack([est[-2], 0.5 * mix])

    assert np.array(scoring.noisy_speech(Noise(voices), voices)["s_plus_n"]) == pytest.approx(0, abs=1e-6)


# Mixtures of unknown sources

def test_who_knows_two_recordings_puts_them_together_again(items):
    wild = [{"mix": item["mix"], "labels": item["labels"]} for item in items]
    pairs = [torch.stack(list(pair)) for pair in mixing.pairs(wild)]
    known = scenes.Oracle([], n_out=4, mixtures_too=pairs)
    found = scoring.remixed(known, wild)
    assert list(found) == ["momi"] and len(found["momi"]) == len(items)
    given = [np.mean([si_snr(pair.sum(0), x) for x in pair]) for pair in pairs]
    assert np.add(found["momi"], given) == pytest.approx(80, abs=1)

    class Split(scenes.Oracle):
        """Each recording in two halves, and in the first of both a trace of the other."""

        def one(self, mix):
            b, a = super().one(mix)[-2:]
            first = torch.arange(len(a)) < len(a) // 2
            return torch.stack([a * first + 0.1 * b, b * first + 0.1 * a, a * ~first, b * ~first])

    found = scoring.remixed(Split([], mixtures_too=pairs), wild)["momi"]
    want = [np.mean([si_snr(x + 0.1 * other, x) - si_snr(x + other, x) for x, other in ((a, b), (b, a))])
            for a, b in pairs]
    assert found == pytest.approx(want, abs=1e-3) and max(found) < 60  # of the remixes, not of the outputs


def test_scores_go_by_the_name_of_a_split():
    assert scoring.on("wild", {"momi": [1.0], "x": [2.0, 3.0]}) == {"momi/wild": [1.0], "x/wild": [2.0, 3.0]}


@pytest.mark.parametrize("scores, index, words", [
    ([1.0, 9.0, 4.0, 2.0], 2, "4.0 dB; 4 such items: mean 4.0 dB, standard deviation 3.6 dB, from 1.0 to 9.0 dB"),
    ([-3.0, 7.0, 3.5], 2, "3.5 dB; 3 such items: mean 2.5 dB, standard deviation 5.1 dB, from -3.0 to 7.0 dB"),
    ([5.0], 0, "5.0 dB"),
])
def test_the_typical_item_is_nearest_to_the_mean(scores, index, words):
    assert scoring.typical(scores) == (index, words)


def test_an_item_is_told_beside_the_others_in_their_unit():
    assert scoring.beside(31.25, [20.0, 40.0], unit="%", what="excerpts") == (
        "31.2 %; 2 excerpts: mean 30.0 %, standard deviation 14.1 %, from 20.0 to 40.0 %")
    assert scoring.beside(1.0, []) == "1.0 dB"
