"""Metrics against mir_eval, brute force, arithmetic by hand, and the published tables."""
import itertools
import math
import tracemalloc
import warnings

import numpy as np
import pytest
import torch
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from weaklib.files import WeaklibError
from weaklib.metrics import (
    best_shift,
    bss_eval,
    chunk_f1,
    false_discovery_rate,
    frame_f1,
    instrument_f1,
    momi,
    moved,
    msi,
    msi_active,
    note_accuracy,
    onset_f1,
    pooled_f1,
    separation_rates,
    si_sdr,
    si_sdri,
    single_source,
    trf,
)
from weaklib.rolls import notes, piano_roll

RNG = np.random.default_rng


def noise(*shape, seed=0):
    return RNG(seed).standard_normal(shape)


# SI-SDR

def test_si_sdr_by_hand():
    """ref (1, 0): the projection keeps 3, the residual is 1 (or 4): 10 log10(9 / 1), 10 log10(9 / 16)."""
    assert si_sdr(np.array([3.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx(10 * math.log10(9), abs=1e-5)
    assert si_sdr(np.array([3.0, -4.0]), np.array([2.0, 0.0])) == pytest.approx(10 * math.log10(9 / 16), abs=1e-5)


def test_si_sdr_is_eq_4():
    """Against the projection of wisdom2020 Eq. 4, with no mean removed."""
    est, ref = 1 + noise(3, 4, 500), 2 + noise(3, 4, 500, seed=1)
    alpha = (est * ref).sum(-1, keepdims=True) / (ref ** 2).sum(-1, keepdims=True)
    expected = 10 * np.log10(((alpha * ref) ** 2).sum(-1) / ((alpha * ref - est) ** 2).sum(-1))
    np.testing.assert_allclose(si_sdr(est, ref), expected, atol=1e-4)


def test_si_sdr_is_blind_to_scale_and_sign():
    est, ref = noise(2, 100), noise(2, 100, seed=1)
    np.testing.assert_allclose(si_sdr(-3 * est, 1e-4 * ref), si_sdr(est, ref), atol=1e-9)


def test_si_sdr_range():
    ref = noise(1000)
    assert si_sdr(2 * ref, ref) == pytest.approx(80, abs=1e-6)
    assert si_sdr(np.zeros(1000), ref) == pytest.approx(-80, abs=1e-6)
    assert si_sdr(ref, np.zeros(1000)) == pytest.approx(-80, abs=1e-6)
    nearly = ref + 1e-3 * noise(1000, seed=1)  # 60 dB: float32 would have lost it
    assert si_sdr(nearly, ref) == pytest.approx(60, abs=0.5)


def test_si_sdr_broadcasts_and_keeps_the_kind():
    est, ref = torch.from_numpy(noise(5, 1, 3, 40)).float(), torch.from_numpy(noise(2, 1, 40, seed=1)).float()
    out = si_sdr(est, ref)
    assert out.shape == (5, 2, 3) and out.dtype is torch.float64
    assert out[4, 1, 2].item() == pytest.approx(si_sdr(est[4, 0, 2].numpy(), ref[1, 0].numpy()))
    assert isinstance(si_sdr(est.numpy(), ref), np.ndarray)


def test_si_sdri_subtracts_the_mixture():
    ref = noise(3, 2, 400)
    mix, est = ref.sum(1), ref + 0.1 * noise(3, 2, 400, seed=1)
    expected = si_sdr(est, ref) - np.stack([si_sdr(mix, ref[:, k]) for k in range(2)], 1)
    np.testing.assert_allclose(si_sdri(est, ref, mix), expected)
    np.testing.assert_allclose(si_sdri(est, ref, mix[:, None]), expected)
    np.testing.assert_allclose(si_sdri(est[0, 0], ref[0, 0], mix[0]), expected[0, 0])
    assert (expected > 15).all()  # about 20 dB against 0 dB: an improvement is positive


def test_any_array_will_do():
    """Views with negative strides, read-only arrays, lists, integers."""
    x = noise(4, 50)
    backwards, locked = x[::-1], x.copy()
    locked.flags.writeable = False
    np.testing.assert_array_equal(si_sdr(backwards, locked), si_sdr(backwards.copy(), x))
    assert si_sdr([3, 1], [1, 0]) == pytest.approx(10 * math.log10(9), abs=1e-5)


@pytest.mark.parametrize("form", [
    lambda x: torch.from_numpy(x).float(), lambda x: torch.from_numpy(x).requires_grad_(),
    lambda x: x[..., ::-1][..., ::-1],
    lambda x: x.astype(">f8"), lambda x: np.asfortranarray(x), lambda x: list(torch.from_numpy(x).requires_grad_()),
    lambda x: torch.from_numpy(np.asfortranarray(x)), lambda x: x.tolist(), lambda x: torch.from_numpy(x.astype("f4"))])
def test_every_metric_takes_every_kind_of_array(form):
    """Each in another layout or precision than the other argument, against plain float64."""
    est, ref, mix, _ = example(2, n_ref=2, n_src=2)
    for metric in (si_sdr, lambda e, r: si_sdri(e, r, mix), lambda e, r: msi(e, r, mix), lambda e, r: momi(e, r, mix),
                   lambda e, r: msi_active(e, r, mix), lambda e, r: single_source(e, form(ref[0])),
                   lambda e, r: bss_eval(e, r)[0], lambda e, r: separation_rates(e, r)[1]):
        for pair in ((form(est), ref), (est, form(ref)), (form(est), form(ref))):
            found = metric(*pair)
            found = found.detach().numpy() if isinstance(found, torch.Tensor) else found
            np.testing.assert_allclose(found, metric(est, ref), rtol=1e-5)


def test_reversed_time_in_bfloat16_is_heard_as_it_is():
    x = torch.from_numpy(noise(2, 300)).bfloat16()
    assert si_sdr(x, x.double()).tolist() == pytest.approx([80, 80], abs=1e-6)
    backwards = noise(2, 300)[:, ::-1]
    np.testing.assert_allclose(si_sdr(x, backwards), si_sdr(x.double().numpy(), backwards.copy()))


@pytest.mark.parametrize("sound", [np.full((2, 9), 128, np.uint8), torch.full((2, 9), 128, dtype=torch.uint8)])
def test_unsigned_sound_is_refused(sound):
    """Taken as it is, silence would be a loud constant."""
    for call in (lambda: si_sdr(sound, np.ones((2, 9))), lambda: bss_eval(np.ones((2, 9)), sound)):
        with pytest.raises(WeaklibError, match="uint8 has an offset"):
            call()


def test_si_sdr_has_a_gradient():
    est = torch.tensor([[3.0, 1.0], [0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    si_sdr(est, torch.tensor([1.0, 0.0])).sum().backward()
    # 10 log10(a^2 / b^2) at (3, 1): 20 / ln 10 * (1 / 3, -1), but for the floor of 1e-8
    assert est.grad[0].tolist() == pytest.approx([20 / math.log(10) / 3, -20 / math.log(10)], rel=1e-5)
    assert est.grad[1].isfinite().all()


# A variable number of sources

def example(n_active, n_ref=4, n_src=5, n_time=600, seed=0):
    """References (n_ref, time), the first `n_active` not zero; estimates in disorder; the mixture."""
    ref = noise(n_ref, n_time, seed=seed)
    ref[n_active:] = 0
    est = noise(n_src, n_time, seed=seed + 100) * 0.2
    order = RNG(seed).permutation(n_src)[:n_active]
    est[order] += ref[:n_active]
    return est, ref, ref.sum(0), order


def brute_msi(est, ref, mix):
    """wisdom2020: pad the references, permutation of largest total SI-SNR, mean SI-SNRi of non-zero references."""
    padded = np.concatenate([ref, np.zeros((len(est) - len(ref), ref.shape[1]))])
    best = max(itertools.permutations(range(len(est))), key=lambda p: sum(si_sdr(est[m], r) for m, r in zip(p, padded)))
    return np.mean([si_sdr(est[m], r) - si_sdr(mix, r) for m, r in zip(best, padded) if r.any()])


@pytest.mark.parametrize("n_active", [2, 3, 4])
def test_msi_equals_brute_force(n_active):
    for seed in range(3):
        est, ref, mix, _ = example(n_active, seed=seed)
        assert msi(est, ref, mix) == pytest.approx(brute_msi(est, ref, mix))
        assert msi(est, ref, mix) > 5


def test_msi_aligns_by_the_total_not_by_the_best_of_each():
    ref = np.eye(4)[:2]
    est = np.array([[1.0, 0.9, 0, 0], [0.5, 0, 1, 0]])  # output 0 is the best for both references
    mix = ref.sum(0)
    assert msi(est, ref, mix) == pytest.approx(brute_msi(est, ref, mix))
    expected = (si_sdr(est[1], ref[0]) + si_sdr(est[0], ref[1])) / 2 - si_sdr(mix, ref[0])
    assert msi(est, ref, mix) == pytest.approx(expected)


def test_msi_batches_and_ignores_zero_references():
    examples = [example(n, seed=n) for n in (2, 3, 4)]
    est, ref, mix = (np.stack([e[i] for e in examples]) for i in range(3))
    batched = msi(est, ref, mix)
    for i, n in enumerate((2, 3, 4)):
        assert batched[i] == pytest.approx(msi(est[i], ref[i, :n], mix[i]))
    assert np.isnan(msi(est[0], np.zeros_like(ref[0]), mix[0]))
    flat = msi(est.reshape(3, 1, *est.shape[1:]), ref.reshape(3, 1, *ref.shape[1:]), mix[:, None])
    assert flat.shape == (3, 1) and flat[2, 0] == batched[2]


def test_msi_of_16_outputs():
    """16! permutations: what a brute force cannot."""
    est, ref, mix, _ = example(4, n_src=16)
    direct = [max(si_sdr(e, r) for e in est) - si_sdr(mix, r) for r in ref]
    assert msi(est, ref, mix) == pytest.approx(np.mean(direct))


def test_msi_active_drops_silent_estimates():
    """Two of three references are matched; the third one's estimate lies 26 dB below the quietest reference."""
    est, ref, mix, order = example(3, n_src=4)
    est[order[2]] = 0.05 * ref[2]
    values = msi_active(est, ref, mix)
    assert values.shape == (4,)
    expected = [si_sdr(est[order[k]], ref[k]) - si_sdr(mix, ref[k]) for k in range(2)]
    assert values[:2] == pytest.approx(expected)
    assert np.isnan(values[2:]).all()
    assert msi(est, ref, mix) == pytest.approx(np.mean(expected + [si_sdr(ref[2], ref[2]) - si_sdr(mix, ref[2])]))


def test_msi_active_threshold_is_relative_to_the_quietest_reference():
    ref = np.stack([noise(500), 0.1 * noise(500, seed=1)])
    mix = ref.sum(0)
    for gain, counts in ((0.011, True), (0.009, False)):  # -19.2 and -20.9 dB of the quieter, 0.1
        est = np.stack([ref[0] * gain, ref[1]])  # the first is 39 dB below its own reference
        scale = 0.1 * np.sqrt((noise(500, seed=1) ** 2).mean() / (noise(500) ** 2).mean())
        est[0] = ref[0] * scale * gain * 10
        assert np.isfinite(msi_active(est, ref, mix)).tolist() == [counts, True]


def constants(*levels):
    """Signals with these RMS levels, (len(levels), 8)."""
    return np.outer(levels, [1, -1] * 4)


@pytest.mark.parametrize("est, ref, verdict", [
    # the quietest source, at 1, sets the bar for all estimates: 0.1
    ((1, 2, 0, 0), (1, 2, 0, 0), "equal"),
    ((1, 0.09, 0, 0), (1, 2, 0, 0), "under"),
    ((1, 0.11, 0, 0), (1, 2, 0, 0), "equal"),
    ((1, 2, 0.11, 0.09), (1, 2, 0, 0), "over"),
    ((0.11, 0.11, 0.09, 0.09), (50, 1), "equal"),  # what they hold does not matter
    ((0.5, 0.5), (1,), "over"),  # one source halved
    ((0.05, 0.05), (1,), "under"),
    ((0.011, 0.009), (1, 0.1, 1e-8), "under"),  # the third is zero
    ((0.011, 0.011, 0.011), (1, 0.1, 1e-8), "over"),
    ((0.011, 0.011, 3e-9), (1, 0.1, 2e-8), "equal"),  # the third is not, and the bar is at 2e-9
    ((0.011, 0.011, 1e-9), (1, 0.1, 2e-8), "under"),
    ((1, 1, 1), (1, 1, 1, 1), "under"),  # more sources than outputs
    ((1,) * 16, (1,) * 4, "over"),
    ((1,) * 4 + (0.05,) * 12, (1,) * 4, "equal")])
def test_separation_rates_by_hand(est, ref, verdict):
    expected = [float(verdict == name) for name in ("under", "equal", "over")]
    assert list(separation_rates(constants(*est), constants(*ref))) == expected


def test_separation_rates_of_a_batch():
    """Counted as the evaluator does, example by example; the rates add up to one without the silent example."""
    est, ref = 10 ** RNG(0).uniform(-2, 1, (50, 6, 1)) * noise(50, 6, 40), noise(50, 4, 40, seed=1)
    ref[:, 2:] *= RNG(1).integers(0, 2, (50, 2, 1))
    ref[7] = 0
    rates = separation_rates(est, ref)
    for i in range(50):
        power = [x for x in (ref[i] ** 2).mean(-1) if x > 1e-16]
        if not power:
            assert i == 7 and np.isnan([rate[i] for rate in rates]).all()
            continue
        n_est = sum((e ** 2).mean() > 0.01 * min(power) for e in est[i])
        assert [rate[i] for rate in rates] == [n_est < len(power), n_est == len(power), n_est > len(power)]
    assert all(np.nansum(rate) > 3 for rate in rates) and sum(map(np.nanmean, rates)) == pytest.approx(1)
    single = separation_rates(torch.from_numpy(est[3]), ref[3])
    assert [x.item() for x in single] == [rate[3] for rate in rates] and single[0].dtype is torch.float64


def test_separation_rates_and_msi_active_agree():
    """A pair without a value is an estimate that is not counted."""
    est, ref, mix, order = example(3, n_src=3)
    est[order[1]] = 0.05 * ref[1]
    assert np.isfinite(msi_active(est, ref, mix)).sum() == 2
    assert list(separation_rates(est, ref)) == [1, 0, 0]


def test_separation_rates_refuses_what_does_not_fit():
    for est, ref, message in ((np.ones((2, 3, 9)), np.ones((3, 9)), "leading axes"), (np.ones(9), np.ones(9), "source"),
                              (np.full((2, 9), np.nan), np.ones((2, 9)), "NaN")):
        with pytest.raises(WeaklibError, match=message):
            separation_rates(est, ref)


def test_sixteen_outputs():
    """Of four sources and of two mixtures: what a brute force over 16! permutations or 2^16 remixes cannot."""
    ref = noise(4, 800)
    near = ref + 0.1 * noise(4, 800, seed=1)
    est = np.concatenate([near, 1e-3 * noise(12, 800, seed=2)])[RNG(0).permutation(16)]
    mix, mixtures, remixes = ref.sum(0), *(x.reshape(2, 2, 800).sum(1) for x in (ref, near))
    best = [max(si_sdr(e, r) for e in est) for r in ref]
    assert msi_active(est, ref, mix) == pytest.approx([b - si_sdr(mix, r) for b, r in zip(best, ref)])
    assert single_source(est, ref[0]) == pytest.approx(best[0])
    expected = np.mean([si_sdr(x, m) - si_sdr(mix, m) for x, m in zip(remixes, mixtures)])
    assert momi(est, mixtures, mix) == pytest.approx(expected, abs=0.05)  # what the twelve add is 40 dB below the noise
    assert list(separation_rates(est, ref)) == [0, 1, 0]


def test_more_sources_than_outputs_is_an_error():
    est, ref, mix, _ = example(3)
    with pytest.raises(WeaklibError, match="2"):
        msi(est[:2], ref, mix)


def test_single_source_takes_the_best_output():
    ref = noise(2, 300)
    est = np.stack([0.5 * ref, ref + 0.1 * noise(2, 300, seed=1), noise(2, 300, seed=2)], 1)
    est[1, 0] = 0
    expected = [80, si_sdr(est[1, 1], ref[1])]
    np.testing.assert_allclose(single_source(est, ref), expected, atol=1e-6)
    padded = np.stack([np.zeros_like(ref), ref], 1)
    np.testing.assert_allclose(single_source(est, padded), expected, atol=1e-6)
    assert np.isnan(single_source(est[0], np.zeros(300)))
    with pytest.raises(WeaklibError, match="one source"):
        single_source(est, np.stack([ref, ref], 1))


# TRF of wisdom2021 Table 1, FUSS test set: (MSi, 1S, TRF)
PUBLISHED = [(12.4, 40.9, 19.5), (12.6, 36.8, 18.7), (13.7, 38.5, 19.9), (13.4, 14.8, 13.8), (13.7, 11.3, 13.1),
             (11.9, 13.8, 12.4), (12.7, 9.9, 12.0), (11.0, 8.2, 10.3), (11.6, 20.7, 13.9), (12.4, 23.9, 15.3),
             (13.2, 25.5, 16.3), (10.2, 26.3, 14.2), (12.5, 24.6, 15.5), (13.0, 25.8, 16.2), (13.4, 13.3, 13.4),
             (12.5, 18.6, 14.0), (13.2, 16.3, 14.0), (13.1, 19.6, 14.7)]


@pytest.mark.parametrize("msi_value, one_source, published", PUBLISHED)
def test_trf_reproduces_the_published_values(msi_value, one_source, published):
    assert trf(one_source, msi_value) == pytest.approx(published, abs=0.1 + 1e-9)  # its inputs are rounded, too


def test_trf_of_other_counts_is_refused():
    with pytest.raises(WeaklibError, match=r"2, 3 and 4 sources; got those of \[1, 2, 3\]"):
        trf(10.0, {1: 0.0, 2: 3.0, 3: 6.0})


def test_trf_weighs_each_count_alike():
    assert trf(40, [10, 12, 17]) == pytest.approx(0.25 * (40 + 10 + 12 + 17))
    assert trf(40, {4: 17, 2: 10, 3: 12}) == pytest.approx(0.25 * (40 + 10 + 12 + 17))
    with pytest.raises(WeaklibError):
        trf(40, [10, 12])


def test_momi_equals_brute_force():
    for seed in range(4):
        ref = noise(2, 300, seed=seed)
        est = 0.3 * noise(4, 300, seed=seed + 10) + ref[[0, 1, 1, 0]] * np.array([[0.7], [0.2], [0.8], [0.3]])
        mix = ref.sum(0)

        def loss(owner):
            errors = [ref[n] - est[np.equal(owner, n)].sum(0) for n in (0, 1)]
            return sum(10 * np.log10((e ** 2).sum() + 1e-3 * (r ** 2).sum()) for e, r in zip(errors, ref))

        owner = min(itertools.product((0, 1), repeat=4), key=loss)
        expected = np.mean([si_sdr(est[np.equal(owner, n)].sum(0), ref[n]) - si_sdr(mix, ref[n]) for n in (0, 1)])
        assert momi(est, ref, mix) == pytest.approx(expected)
        assert momi(est[None], ref[None], mix[None])[0] == pytest.approx(expected)
        assert expected > 0


def test_momi_leaves_zero_references_out():
    ref = np.stack([noise(300), np.zeros(300)])
    est = np.stack([noise(300) + 0.1 * noise(300, seed=1), 0.01 * noise(300, seed=2)])
    mix = ref.sum(0)
    remix = max((est[0], est.sum(0)), key=lambda x: si_sdr(x, ref[0]))
    assert momi(est, ref, mix) == pytest.approx(si_sdr(remix, ref[0]) - si_sdr(mix, ref[0]), abs=0.05)


# BSS Eval

def mir_eval(est, ref, permute=True):
    from mir_eval.separation import bss_eval_sources
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return bss_eval_sources(np.asarray(ref), np.asarray(est), compute_permutation=permute)


def reverberant(x, seed):
    tail = noise(300, seed=seed) * np.exp(-np.arange(300) / 60)
    tail[0] = 3
    return fftconvolve(x, tail)[:len(x)]


def cases():
    white = noise(2, 8000)
    mixed = np.array([[0.2, 1], [1, 0.3]])  # in reverse order
    coloured = np.stack([lfilter([1], [1, -0.9], white[0]), lfilter([1], [1, 0.8], white[1])])
    alike = white + 2 * white.mean(0)
    delayed = np.stack([white[0], np.roll(white[0], 7) + 0.05 * white[1]])
    low = lfilter(*butter(2, 0.3), white)
    time = np.arange(8000) / 8000
    tones = np.stack([sum(np.sin(2 * np.pi * f * h * time) / h for h in range(1, 8)) * np.exp(-3 * (time % 0.25))
                      for f in (110, 165)])
    half = white * np.array([[1], [0]]) + np.where(time > 0.5, 1, 0) * white * np.array([[0], [1]])
    loud = white * np.array([[100], [1]])
    return {name: (mixed @ ref + level * noise(2, 8000, seed=9), ref) for name, ref, level in
            [("white", white, 0.3), ("coloured", coloured, 0.1), ("alike", alike, 0.3), ("delayed", delayed, 0.05),
             ("low", low, 0.01), ("tones", tones, 1e-3), ("half silent", half, 0.1), ("unequal", loud, 0.01)]}


@pytest.mark.parametrize("name", cases())
def test_bss_eval_equals_mir_eval(name):
    est, ref = cases()[name]
    est = np.stack([reverberant(e, seed) for seed, e in enumerate(est)])
    expected = mir_eval(est, ref)
    for ours, theirs in zip(bss_eval(est, ref, return_permutation=True), expected):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_bss_eval_of_three_sources_and_in_a_batch():
    ref = noise(3, 6000)
    est = (ref + 0.3 * noise(3, 6000, seed=1) + 0.2 * ref.sum(0))[[1, 2, 0]]
    sdr, sir, sar, order = bss_eval(torch.from_numpy(np.stack([est, est[::-1].copy()])), np.stack([ref, ref]),
                                    return_permutation=True)
    for ours, theirs in zip((sdr, sir, sar, order), mir_eval(est, ref)):
        np.testing.assert_allclose(ours[0], theirs, atol=1e-3)
    assert order.tolist() == [[2, 0, 1], [0, 2, 1]]
    torch.testing.assert_close(sdr[1], sdr[0])


def test_bss_eval_without_permutation():
    est, ref = cases()["white"]
    for ours, theirs in zip(bss_eval(est, ref, permute=False), mir_eval(est, ref, permute=False)):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert (bss_eval(est, ref, permute=False)[0] < bss_eval(est, ref)[0]).all()


@pytest.mark.parametrize("permute", [True, False])
@pytest.mark.parametrize("n_src", [1, 2, 3])
def test_bss_eval_also_says_what_a_mixture_has_of_each_source(n_src, permute):
    """As if it were each of the estimates; and these score as they do without it."""
    ref = noise(3, 6000)[:n_src] * np.array([[1], [0.5], [2]])[:n_src]
    mix = ref.sum(0) + 0.1 * noise(1, 6000, seed=2)[0]
    est = (ref + 0.3 * noise(3, 6000, seed=1)[:n_src] + 0.2 * ref.sum(0))[::-1].copy()
    given = {"permute": permute, "return_permutation": True}
    *scores, before, order = bss_eval(est, ref, mix=mix, **given)
    np.testing.assert_allclose(before, mir_eval(np.stack([mix] * n_src), ref, permute=False)[0], atol=1e-3)
    for with_mix, without in zip((*scores, order), bss_eval(est, ref, **given)):
        np.testing.assert_allclose(with_mix, without, atol=1e-9)
    many = bss_eval(torch.from_numpy(np.stack([est, ref])), np.stack([ref, est]), mix=np.stack([mix, est.sum(0)]))
    assert len(many) == 4
    torch.testing.assert_close(many[3][0], torch.from_numpy(before), atol=1e-9, rtol=0)
    assert np.isnan(bss_eval(est, ref, mix=0 * mix)[0]).all()
    with pytest.raises(WeaklibError, match="mix must have the shape"):
        bss_eval(est, ref, mix=ref)


def test_bss_eval_of_one_source():
    ref = noise(1, 4000)
    sdr, sir, sar = bss_eval(ref + 0.1 * noise(1, 4000, seed=1), ref)
    assert sdr[0] == pytest.approx(mir_eval(ref + 0.1 * noise(1, 4000, seed=1), ref)[0][0], abs=1e-3)
    assert sir[0] == np.inf and sar[0] == pytest.approx(sdr[0], abs=1e-9)


def test_bss_eval_forgives_a_filter_but_not_a_long_one():
    ref = noise(2, 4000)
    ref[:, -5:] = 0  # a projection keeps the tail that lfilter cuts off
    filtered = np.stack([lfilter([0.5, 0, 0.3, -0.2], [1], r) for r in ref])
    assert (bss_eval(filtered, ref)[0] > 80).all()
    late = np.pad(ref, ((0, 0), (600, 0)))[:, :4000]  # beyond 512 taps
    assert (bss_eval(late, ref)[0] < 0).all()
    assert (bss_eval(late, ref, taps=700)[0] > 5).all()  # the last 600 samples are lost


def by_qr(est, ref, taps=512):
    """BSS Eval version 3 as defined: least squares on the delayed references themselves, without a permutation."""
    from scipy.linalg import lstsq, toeplitz
    delayed = [toeplitz(np.pad(r, (0, taps - 1)), np.r_[r[0], np.zeros(taps - 1)]) for r in ref]
    est = np.pad(est, ((0, 0), (0, taps - 1)))

    def projected(x, copies):
        return copies @ lstsq(copies, x, cond=1e-15)[0]

    ratio = lambda a, b: 10 * np.log10(np.sum(a ** 2) / np.sum(b ** 2))
    rows = []
    for x, own in zip(est, delayed):
        target, both = projected(x, own), projected(x, np.hstack(delayed))
        rows.append([ratio(target, x - target), ratio(target, both - target), ratio(both, x - both)])
    return np.transpose(rows)


def nearly_singular():
    rng = RNG(0)
    low = sosfilt(butter(8, 0.25, output="sos"), rng.standard_normal((2, 1100)))
    other = rng.standard_normal((2, 1100))
    cases = {f"empty band, {level}": low + level * other for level in (1e-2, 1e-4, 1e-6)}
    cases |= {f"alike, {level}": noise(1, 1100) + level * other for level in (1e-3, 1e-5, 1e-7)}
    time = np.arange(1100) / 16000
    cases["tones"] = np.stack([sum(np.sin(2 * np.pi * f * h * time) / h for h in range(1, 8)) for f in (110, 165)])
    cases["just longer than the copies"] = noise(2, 514)
    cases["late"] = np.pad(noise(2, 800), ((0, 0), (300, 0)))
    return cases


@pytest.mark.parametrize("name", nearly_singular())
def test_bss_eval_is_right_where_references_are_nearly_dependent(name):
    ref = nearly_singular()[name]
    est = ref + 0.1 * ref.sum(0) + 1e-2 * noise(*ref.shape, seed=5)
    for ours, exact in zip(bss_eval(est, ref, permute=False), by_qr(est, ref)):
        np.testing.assert_allclose(ours, exact, atol=2e-3)


def test_bss_eval_where_200_conjugate_gradients_were_not_enough():
    """They gave 38.18 and 38.07 dB."""
    rng = RNG(0)
    low = sosfilt(butter(8, 0.25, output="sos"), rng.standard_normal((2, 1100)), axis=-1)
    ref = low + 1e-4 * rng.standard_normal((2, 1100))
    est = ref + 0.1 * ref.sum(0) + 1e-2 * rng.standard_normal((2, 1100))
    np.testing.assert_allclose(bss_eval(est, ref)[2], [38.2549, 38.1580], atol=1e-3)
    np.testing.assert_allclose(bss_eval(est, ref)[2], mir_eval(est, ref)[2], atol=1e-6)


@pytest.mark.parametrize("n_src, n_time", [(2, 100), (2, 513), (3, 1025)])
def test_bss_eval_of_a_signal_that_the_copies_make_up_has_no_artifacts(n_src, n_time):
    ref = noise(n_src, n_time)
    est = ref + 0.3 * noise(n_src, n_time, seed=1)
    sdr, sir, sar = bss_eval(est, ref, permute=False)
    assert (sar > 200).all()
    np.testing.assert_allclose(sir, sdr)
    np.testing.assert_allclose(sdr, by_qr(est, ref)[0], atol=1e-6)


def test_bss_eval_beyond_100_db():
    ref = noise(2, 1500)
    for level in (1e-5, 1e-7):
        est = ref + level * noise(2, 1500, seed=1)
        for ours, exact in zip(bss_eval(est, ref, permute=False), by_qr(est, ref)):
            np.testing.assert_allclose(ours, exact, atol=1e-3)


def test_bss_eval_of_no_examples_is_empty():
    out = bss_eval(np.zeros((0, 2, 50)), np.zeros((0, 2, 50)), return_permutation=True)
    assert [x.shape for x in out] == 4 * [(0, 2)]
    assert msi(np.zeros((0, 2, 50)), np.zeros((0, 2, 50)), np.zeros((0, 50))).shape == (0,)


def test_bss_eval_of_silence_is_nan():
    est, ref = np.stack([noise(2, 2000), noise(2, 2000)]), np.stack([noise(2, 2000)] * 2)
    est[0, 1] = 0
    sdr, sir, sar = bss_eval(est, ref)
    for x in (sdr, sir, sar):
        assert np.isnan(x[0]).all() and not np.isnan(x[1]).any()


def test_bss_eval_of_equal_references_does_not_raise():
    ref = np.repeat(noise(1, 4000), 2, 0)
    sdr, _, sar = bss_eval(ref + 0.1 * noise(2, 4000, seed=1), ref)
    np.testing.assert_allclose(sdr, mir_eval(ref + 0.1 * noise(2, 4000, seed=1), ref)[0], atol=1e-3)
    np.testing.assert_allclose(sar, sdr, atol=1e-6)


# Bad input

@pytest.mark.parametrize("call", [
    lambda: si_sdr(np.zeros(5), np.zeros(6)),
    lambda: si_sdr(np.zeros((2, 5)), np.zeros((3, 5))),
    lambda: si_sdr(np.array([1, np.nan]), np.ones(2)),
    lambda: si_sdr(1.0, 2.0),
    lambda: msi(np.ones((1, 2, 5)), np.ones((1, 2, 5)), np.ones(5)),
    lambda: msi(np.full((2, 5), np.inf), np.ones((2, 5)), np.ones(5)),
    lambda: bss_eval(np.ones((3, 5)), np.ones((2, 5))),
    lambda: bss_eval(np.full((2, 5), np.nan), np.ones((2, 5))),
    lambda: momi(np.full((2, 5), np.nan), np.ones((2, 5)), np.ones(5)),
])
def test_bad_input_gets_one_sentence(call):
    with pytest.raises(WeaklibError):
        call()


# Transcription

def some_rolls(seed):
    rng = np.random.default_rng(seed)
    ref = rng.random((88, 50)) < 0.05
    est = ref ^ (rng.random((88, 50)) < 0.02)
    return est, ref


@pytest.mark.parametrize("seed", range(3))
def test_note_accuracy_and_its_parts_are_those_of_mir_eval(seed):
    import mir_eval
    est, ref = some_rolls(seed)
    times = np.arange(50) / 32
    as_lists = [[440 * 2.0 ** ((np.flatnonzero(frame) + 21 - 69) / 12) for frame in roll.T] for roll in (ref, est)]
    want = mir_eval.multipitch.evaluate(times, as_lists[0], times, as_lists[1])
    precision, recall = want["Precision"], want["Recall"]
    assert note_accuracy(est, ref) == pytest.approx(want["Accuracy"])
    assert frame_f1(est, ref) == pytest.approx(2 * precision * recall / (precision + recall))
    assert false_discovery_rate(est, ref) == pytest.approx(1 - precision)


def test_rolls_without_notes():
    none, one = torch.zeros(2, 88, 4), torch.zeros(2, 88, 4)
    one[:, 40, 1:3] = 1
    assert note_accuracy(none, one).tolist() == [0, 0]
    assert frame_f1(one, none).tolist() == [0, 0]
    assert false_discovery_rate(one, none).tolist() == [1, 1]
    assert note_accuracy(none, none).isnan().all() and false_discovery_rate(none, one).isnan().all()
    with pytest.raises(WeaklibError, match="Rolls"):
        note_accuracy(none, one[..., :3])
    with pytest.raises(WeaklibError, match="Rolls"):
        note_accuracy(none[0, 0], one[0, 0])


@pytest.mark.parametrize("metric, want", [(note_accuracy, 2 / 5), (frame_f1, 4 / 7), (false_discovery_rate, 1 / 3)])
def test_what_is_above_0_sounds_in_a_roll(metric, want):
    """Two hits, one note too many, two missed; soft notes are notes, negative values none."""
    est, ref = np.array([[[0.01, 5, 1, 0, -1, 0]]]), np.array([[[1, 0.2, -3, 1, 1, 0]]])
    assert metric(est, ref).tolist() == [pytest.approx(want)]
    of_tensors = metric(torch.from_numpy(est).float(), torch.from_numpy(ref).float())
    assert isinstance(metric(est, ref), np.ndarray) and isinstance(of_tensors, torch.Tensor)
    assert metric(est, ref).dtype == np.float64 and of_tensors.dtype == torch.float64


@pytest.mark.parametrize("metric", [note_accuracy, frame_f1, false_discovery_rate])
def test_rolls_of_every_layout_and_type(metric):
    est, ref = some_rolls(0)
    want = metric(est, ref)
    for form in (np.flipud, np.fliplr, lambda r: r[::-1, ::-1]):
        assert metric(form(est), form(ref)) == want
    for kind in (np.uint8, np.float32, ">f8"):
        assert metric(est.astype(kind), ref) == want
    assert metric(torch.from_numpy(est).bfloat16().requires_grad_(), torch.from_numpy(ref)) == want
    assert metric(est.tolist(), ref) == want
    for bad in (np.nan, np.inf):
        roll = np.where(est, 1.0, bad)
        for pair in ((roll, ref), (ref, roll), (torch.from_numpy(roll), ref)):
            with pytest.raises(WeaklibError, match="NaN"):
                metric(*pair)


C, E, G = [0.5, 1.0, 60], [0.5, 2.0, 64], [1.5, 2.0, 67]


@pytest.mark.parametrize("est, ref, want", [
    ([C, E, G], [G, E, C], 1),
    ([C], [C, E, G], 2 * 1 * (1 / 3) / (1 + 1 / 3)),
    ([C, E, G, [2.0, 3.0, 60]], [C, E], 2 * (2 / 4) * 1 / (2 / 4 + 1)),
    ([[0.5, 9.0, 60]], [C], 1),  # whenever it ends
    ([[0.55, 1.0, 60]], [C], 1), ([[0.45, 1.0, 60]], [C], 1),
    ([[0.56, 1.0, 60]], [C], 0), ([[0.44, 1.0, 60]], [C], 0),
    ([[0.5, 1.0, 61]], [C], 0), ([[0.5, 1.0, 72]], [C], 0), ([[0.5, 1.0, 60.4]], [C], 1),
    ([C, [0.52, 1.0, 60]], [C], 2 * (1 / 2) * 1 / (1 / 2 + 1)),  # struck twice
    ([[0.54, 1, 60], [0.58, 1, 60]], [C, [0.56, 1, 60]], 1),  # the nearest for the first would leave one alone
])
def test_onset_f1_by_hand(est, ref, want):
    assert onset_f1(np.array(est), np.array(ref)) == pytest.approx(want)


def test_onset_f1_has_its_own_tolerance():
    late = np.array([[0.59, 1.0, 60]])
    assert onset_f1(late, np.array([C]), tolerance=0.1) == 1 and onset_f1(late, np.array([C]), tolerance=0.08) == 0


@pytest.mark.parametrize("seed", range(3))
def test_onset_f1_is_that_of_mir_eval(seed):
    """Of all its metrics, by name: the F-measure that looks at onsets and pitches but not at offsets."""
    import mir_eval
    rng = np.random.default_rng(seed)
    onset = rng.uniform(0, 8, 80)
    ref = np.column_stack([onset, onset + rng.uniform(0.1, 1, 80), rng.integers(40, 60, 80)])
    est = ref[rng.permutation(80)[:60]] + rng.normal(0, [[0.03, 0.1, 0]], (60, 3))
    est[::7, 2] += rng.choice([-12, 1], len(est[::7]))
    est = est[(est[:, 0] >= 0) & (est[:, 1] > est[:, 0])]
    split = lambda rows: (rows[:, :2], 440 * 2 ** ((rows[:, 2] - 69) / 12))
    want = mir_eval.transcription.evaluate(*split(ref), *split(est))
    assert want["F-measure"] < want["F-measure_no_offset"] < want["Onset_F-measure"]
    assert onset_f1(est, ref) == pytest.approx(want["F-measure_no_offset"])


@pytest.mark.parametrize("pitches", [[60.0], [60, 61, 62], np.arange(60, 62, 0.1), np.arange(60, 61, 0.25) + 0.01])
@pytest.mark.parametrize("seed", range(5))
def test_onset_f1_of_crowded_notes_is_that_of_mir_eval(pitches, seed):
    """Where greed would miss the largest matching; between the keys, notes of three pitches hang together."""
    from mir_eval.transcription import precision_recall_f1_overlap
    from mir_eval.util import midi_to_hz
    rng = np.random.default_rng(seed)
    ref, est = (np.column_stack([onset, onset + 1, rng.choice(pitches, n)])
                for n in (50, 60) for onset in [rng.uniform(0, 1.5, n).round(2)])
    for tolerance in (0.05, 0.01, 0.2):
        want = precision_recall_f1_overlap(ref[:, :2], midi_to_hz(ref[:, 2]), est[:, :2], midi_to_hz(est[:, 2]),
                                           onset_tolerance=tolerance, offset_ratio=None)[2]
        assert onset_f1(est, ref, tolerance=tolerance) == pytest.approx(want)
        assert onset_f1(ref, est, tolerance=tolerance) == pytest.approx(want)


@pytest.mark.parametrize("spread", [0, 0.2])
def test_onset_f1_of_many_notes_needs_little_memory(spread):
    """Every note of 8,000 is a neighbour's partner, too; half of them are doubled."""
    rng = np.random.default_rng(0)
    onset = np.arange(8000) * 0.04
    ref = np.column_stack([onset, onset + 0.1, 40 + np.arange(8000) % 44 + spread * rng.uniform(-1, 1, 8000)])
    est = np.concatenate([ref, ref[::2]])[rng.permutation(12000)] + [0.01, 0.01, 0]
    tracemalloc.start()
    found = onset_f1(est, ref)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == pytest.approx(2 * 8 / (12 + 8)) and peak < 50e6  # a table of all pairs: 768 MB


@pytest.mark.parametrize("nothing", [[], np.array([]), np.zeros((0, 3)), np.zeros((0, 4)), torch.zeros(0)])
def test_onset_f1_of_what_is_empty(nothing):
    assert onset_f1(nothing, np.array([C])) == 0 and onset_f1(np.array([C]), nothing) == 0
    assert np.isnan(float(onset_f1(nothing, nothing)))


def test_onset_f1_without_notes():
    none, some = np.zeros((0, 3)), np.array([C, E])
    assert onset_f1(none, some) == 0 and onset_f1(some, none) == 0
    assert np.isnan(onset_f1(none, none))
    of_tensors = onset_f1(torch.zeros(0, 3), torch.zeros(0, 4))
    assert isinstance(of_tensors, torch.Tensor) and of_tensors.isnan()


def test_onset_f1_of_a_corpus_item_and_its_roll():
    """Notes with a velocity, as items have them, against those of the roll, whose frames round onsets by 16 ms."""
    rng = np.random.default_rng(0)
    onset = np.arange(12) * 0.3 + rng.uniform(0, 0.1, 12)
    played = np.column_stack([onset, onset + 0.15, rng.integers(40, 80, 12), np.full(12, 90)])
    est = notes(piano_roll(played, 129, 32), 32)
    assert onset_f1(est, torch.from_numpy(played).float()) == 1
    assert onset_f1(torch.from_numpy(est), played, tolerance=0.001).item() < 1


@pytest.mark.parametrize("bad", [
    np.zeros(3), np.zeros((2, 2)), np.array([[1.0, 1.0, 60]]), np.array([[1.0, 0.5, 60]]), np.array([[-0.1, 0.5, 60]]),
    np.array([[np.nan, 0.5, 60]]), np.array([[0.1, 0.5, np.nan]]), np.array([[0.1, np.inf, 60]])])
def test_what_are_no_notes_is_refused(bad):
    for pair in ((bad, np.array([C])), (np.array([C]), bad)):
        with pytest.raises(WeaklibError, match="Notes"):
            onset_f1(*pair)


# Transcriptions of a whole split

def transcription(*shape, density=0.1, seed=0):
    return RNG(seed).random(shape) < density


def test_f1_of_a_split_is_mir_evals_of_all_its_pieces_in_a_row():
    from mir_eval.multipitch import evaluate
    ref = transcription(6, 88, 40)
    est = ref & transcription(6, 88, 40, density=0.7, seed=1) | transcription(6, 88, 40, density=0.02, seed=2)
    hertz = 440 * 2 ** ((np.arange(21, 109) - 69) / 12)
    row = lambda roll: [hertz[frame] for chunk in roll for frame in chunk.T]
    times = np.arange(240) / 50
    found = evaluate(times, row(ref), times, row(est))
    p, r = found["Precision"], found["Recall"]
    assert pooled_f1(est, ref) == pytest.approx(2 * p * r / (p + r))
    assert abs(pooled_f1(est, ref) - np.mean([frame_f1(a, b) for a, b in zip(est, ref)])) > 1e-6  # not a mean
    assert pooled_f1(torch.from_numpy(est), torch.from_numpy(ref)).item() == pooled_f1(est, ref)
    assert np.isnan(pooled_f1(0 * ref, 0 * ref))


def test_f1_of_chunks_counts_silence_that_was_found_as_an_error():
    ref = transcription(3, 88, 10)
    ref[1] = False
    assert chunk_f1(ref, ref).tolist() == [1, 0, 1]
    est = transcription(3, 88, 10, seed=1)
    tp, fp, fn = ((a & b).sum((1, 2)) for a, b in ((est, ref), (est, ~ref), (~est, ref)))
    p, r = tp / (tp + fp + 1e-8), tp / (tp + fn + 1e-8)
    assert chunk_f1(est, ref) == pytest.approx(2 * p * r / (p + r + 1e-8), abs=1e-6)


def test_f1_of_instruments_by_brute_force():
    ref = transcription(5, 3, 88, 8)
    ref[:2, 1] = False
    est = ref & transcription(5, 3, 88, 8, density=0.6, seed=1) | transcription(5, 3, 88, 8, density=0.02, seed=2)
    pairs = [(est[i, k], ref[i, k]) for i in range(5) for k in range(3)]
    f1 = [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs]
    assert instrument_f1(est, ref, "released") == pytest.approx(np.mean(f1))
    assert instrument_f1(est, ref, "active") == pytest.approx(np.mean([x for x, (_, b) in zip(f1, pairs) if b.any()]))
    assert instrument_f1(est, ref) == pytest.approx(2 * (est & ref).sum() / (est.sum() + ref.sum()))
    swapped = est[:, [1, 0, 2]]  # who plays counts
    assert instrument_f1(swapped, ref) < instrument_f1(est, ref) - 0.3
    with pytest.raises(WeaklibError, match="average"):
        instrument_f1(est, ref, "macro")
    with pytest.raises(WeaklibError, match="instrument"):
        instrument_f1(est[0], ref[0])


def test_by_the_released_formula_a_perfect_transcription_of_musicnet_em_has_17_percent():
    """286 chunks with 1.927 of 11 instruments on average: 551 pairs with notes."""
    ref = np.zeros((286, 11, 88, 4), dtype=bool)
    ref.reshape(286 * 11, 88, 4)[RNG(0).permutation(286 * 11)[:551], 40] = True
    assert ref.any((2, 3)).sum() / 286 == pytest.approx(1.927, abs=1e-3)
    assert instrument_f1(ref, ref, "released") == pytest.approx(0.1751, abs=5e-5)
    assert instrument_f1(ref, ref) == instrument_f1(ref, ref, "active") == 1


def test_a_pair_is_active_by_its_score_however_much_is_missed():
    """A third of one instrument's notes is found, half of another's, and nothing of a third one that plays."""
    ref = np.zeros((1, 4, 88, 6), bool)
    ref[0, 0, 40, :6] = ref[0, 1, 50, :4] = ref[0, 2, 60, :5] = True
    est = np.zeros_like(ref)
    est[0, 0, 40, :2] = est[0, 1, 50, :2] = True
    assert instrument_f1(est, ref, "active") == pytest.approx((2 * 2 / 8 + 2 * 2 / 6 + 0) / 3)


def test_a_shift_that_leaves_nothing_to_compare_is_never_the_best():
    """The only note leaves the keys upwards, and the score is silent: 0 / 0 is no match."""
    est = np.zeros((88, 3))
    est[-1] = 1
    assert best_shift(est, np.zeros_like(est)) == (0, 0)


@pytest.mark.parametrize("shift", [-12, -2, 0, 1, 12])
def test_the_best_shift_is_the_one_that_was_planted(shift):
    ref = transcription(2, 88, 30)
    ref[:, :12] = ref[:, -12:] = False
    est = np.roll(ref, -shift, axis=1)
    assert best_shift(est, ref) == (1, shift) and np.array_equal(moved(est, shift), ref)
    found, at = best_shift(torch.from_numpy(est), torch.from_numpy(ref))
    assert (found.item(), at) == (1, shift)


def test_what_is_moved_off_the_keys_is_lost():
    roll = np.eye(4)
    assert moved(roll, 1)[:, -1].tolist() == [0, 0, 0, 0] and moved(roll, 1).sum() == 3
    assert not moved(roll, 4).any() and not moved(roll, -5).any()
    f1, shift = best_shift(np.zeros((88, 3)), np.ones((88, 3)))
    assert (f1, shift) == (0, 0)
