"""Metrics of separation, in dB, and of transcription, ratios in [0, 1].

Conventions
-----------
Arguments are ``(est, ref)`` or ``(est, ref, mix)``: est ``(..., n_src, time)``, ref ``(..., n_ref, time)``, mix
``(..., time)``; leading axes are examples. Torch tensors and arrays are accepted; all is computed in float64 and
returned as the kind that `est` is. A source is *zero* if its RMS is at most 1e-8. What has no value (say, a mean over
no sources) is NaN, to be left out by the caller's average and reported. NaN or infinite samples, and shapes that do
not fit, raise a WeaklibError. Higher is better, except for the false discovery rate and for under- and over-separation.

Contents
--------
si_sdr, si_sdri
    Scale-invariant SDR (the papers say SI-SNR) and its improvement over the mixture; no alignment.
msi, msi_active
    Multi-source SI-SNRi with optimal alignment, as wisdom2020 defines it, and as the FUSS evaluator does.
separation_rates
    Whether there are fewer, as many or more active estimates than sources.
single_source, trf
    Fidelity for one source (1S, SS), and total reconstruction fidelity.
momi
    SI-SNRi of remixes against the mixtures of a mixture of mixtures: needs no isolated sources.
bss_eval
    SDR, SIR and SAR of BSS Eval version 3.
note_accuracy, frame_f1, false_discovery_rate
    Transcriptions as rolls, counted over pitches and frames.
pooled_f1, chunk_f1, instrument_f1, best_shift, moved
    The transcription of a whole split, in as many ways as there are to take a mean.
onset_f1
    Transcriptions as notes.

References
----------
Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019. Vincent, Gribonval and Fevotte, "Performance measurement
in blind audio source separation", IEEE TASLP 14(4), 2006. wisdom2020 Section 4; wisdom2021 Section 3.
"""
from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations_with_replacement

import numpy as np
import torch

from weaklib import audio
from weaklib.files import WeaklibError
from weaklib.losses import mixit
from weaklib.losses.snr import ZERO_RMS

EPS = 1e-8  # keeps SI-SDR within +-80 dB
NORM_FLOOR = 1e-16  # of the norm of a signal made a unit vector
TOLERANCE = 1e-9  # of the energy that a projection leaves
FLOOR = 1e-25  # of the whole energy
MAX_STEPS = 20  # of conjugate gradients; one is usual
RIDGE = 1e-12  # of the preconditioner, relative
TINY = 1e-300
QUARTER_TONE = 50  # cents


# Scale-invariant SDR

def si_sdr(est, ref):
    """Return the scale-invariant SDR, wisdom2020 Eq. 4, from the cosine rho of estimate and reference.

    ``10 log10((rho^2 + 1e-8) / (1 - rho^2 + 1e-8))``: in [-80, 80] dB, the same if est and ref are swapped, blind to
    scale and sign. The mean is not removed. A zero estimate or reference gives -80.

    Parameters
    ----------
    est, ref : Tensor or array, shape=(..., time)
        Leading axes broadcast.

    Returns
    -------
    Tensor or array, shape=(...,), float64, dB
    """
    est_, ref_ = _double(est, ref)
    return _like(_si_sdr(est_, ref_), est)


def si_sdri(est, ref, mix):
    """Return the improvement in SI-SDR of the estimates over the mixture taken as each estimate, wisdom2020 Section 4.

    Parameters
    ----------
    est, ref : Tensor or array, shape=(..., n_src, time)
        Aligned: estimate k belongs to reference k.
    mix : Tensor or array, shape=(..., time)
        Or with as many axes as `ref`, if that has no source axis or `mix` has one.

    Returns
    -------
    Tensor or array, shape=(..., n_src), float64, dB
    """
    est_, ref_, mix_ = _double(est, ref, mix)
    if mix_.ndim == ref_.ndim - 1:
        mix_ = mix_.unsqueeze(-2)
    return _like(_si_sdr(est_, ref_) - _si_sdr(mix_, ref_), est)


def _si_sdr(est, ref):
    """SI-SDR of float64 tensors (..., time), broadcast."""
    try:
        rho = torch.linalg.vecdot(*torch.broadcast_tensors(_unit(est), _unit(ref)))
    except RuntimeError as e:
        raise WeaklibError(f"est {tuple(est.shape)} and ref {tuple(ref.shape)} do not fit.") from e
    return _cosine_db(rho)


def _pairs(est, ref):
    """SI-SDR of every reference with every estimate, (..., n_ref, n_src), in one matrix product."""
    return _cosine_db(_unit(ref) @ _unit(est).mT)


def _unit(x):
    """(..., time) scaled to norm 1; zero stays zero."""
    return x / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp(min=NORM_FLOOR)


def _cosine_db(rho):
    """SI-SDR from the cosine. In float64, 1 - rho^2 is exact to 1e-16, far below the floor."""
    if not rho.isfinite().all():
        raise WeaklibError("est or ref contains NaN or infinity.")
    square = rho.square().clamp(max=1)
    return 10 * ((square + EPS) / (1 - square + EPS)).log10()


# Metrics for a variable number of sources

def msi(est, ref, mix):
    """Return the multi-source SI-SNRi as wisdom2020 Section 4 defines it.

    References are aligned to the estimates by the permutation with the largest total SI-SNR, and SI-SNRi is averaged
    over the references that are not zero. (Zero references, padded or given, have -80 dB with any estimate and do not
    change the alignment.) Meant for two sources or more: a single source is its own mixture, see `single_source`.

    Parameters
    ----------
    est : Tensor or array, shape=(..., n_src, time)
    ref : Tensor or array, shape=(..., n_ref, time)
    mix : Tensor or array, shape=(..., time)

    Returns
    -------
    Tensor or array, shape=(...,), float64, dB
        NaN where all references are zero.

    Raises
    ------
    WeaklibError
        Also if more references than estimates are not zero.
    """
    values, _ = _aligned(*_sources(est, ref, mix))
    return _like(values.nanmean(-1), est)


def msi_active(est, ref, mix):
    """Return the SI-SNRi of all active pairs, the definition of the FUSS evaluator (used by wisdom2021).

    The alignment is that of `msi`. A pair counts if its reference is not zero and the power of its estimate exceeds
    that of the quietest such reference less 20 dB: estimates that are all but silent leave the average instead of
    spoiling it, so a model that under-separates scores higher than with `msi`. The evaluator pools the pairs of all
    mixtures with the same number of sources: take the nanmean over both axes at once, not a mean of means.

    Parameters
    ----------
    est : Tensor or array, shape=(..., n_src, time)
    ref : Tensor or array, shape=(..., n_ref, time)
    mix : Tensor or array, shape=(..., time)

    Returns
    -------
    Tensor or array, shape=(..., n_ref), float64, dB
        NaN for pairs that are not active. For mixtures of one source use `single_source`.

    Raises
    ------
    WeaklibError
        Also if more references than estimates are not zero.
    """
    est_, ref_, mix_ = _sources(est, ref, mix)
    values, chosen = _aligned(est_, ref_, mix_)
    return _like(values.where(_is_active(est_, ref_).gather(-1, chosen), torch.nan), est)


def separation_rates(est, ref):
    """Return whether each example is under-, equally or over-separated, as the FUSS evaluator defines it.

    There are fewer, as many or more active estimates than active sources. A source is active if it is not zero, an
    estimate if its power exceeds that of the quietest active source less 20 dB; all estimates count, however many
    sources there are, and what they hold is not looked at. The rates are the nanmeans over examples.

    Parameters
    ----------
    est : Tensor or array, shape=(..., n_src, time)
    ref : Tensor or array, shape=(..., n_ref, time)

    Returns
    -------
    under, equal, over : Tensor or array, shape=(...,), float64
        One of the three is 1, the others are 0. NaN where all references are zero: such examples are left out.
    """
    est_, ref_ = _double(est, ref)
    _check_sources(est_, ref_)
    if not (est_.sum() + ref_.sum()).isfinite():
        raise WeaklibError("est or ref contains NaN or infinity.")
    n_sources = (~_is_zero(ref_)).sum(-1)
    excess = _is_active(est_, ref_).sum(-1) - n_sources
    return tuple(_like(x.double().where(n_sources > 0, torch.nan), est) for x in (excess < 0, excess == 0, excess > 0))


def single_source(est, ref):
    """Return the SI-SNR of the best single output for a mixture of one source (SS in wisdom2020, 1S in wisdom2021).

    Absolute, not an improvement: the input is the source itself.

    Parameters
    ----------
    est : Tensor or array, shape=(..., n_src, time)
    ref : Tensor or array, shape=(..., time)
        The source. Or (..., n_ref, time) with all references but one zero.

    Returns
    -------
    Tensor or array, shape=(...,), float64, dB
        NaN where the source is zero.
    """
    est_, ref_ = _double(est, ref)
    if ref_.ndim == est_.ndim:
        if ((~_is_zero(ref_)).sum(-1) > 1).any():
            raise WeaklibError("single_source needs examples with one source; some have several references that are "
                               "not zero.")
        ref_ = ref_.sum(-2)
    best = _si_sdr(est_, ref_.unsqueeze(-2)).amax(-1)
    return _like(best.where(~_is_zero(ref_), torch.nan), est)


def trf(one_source, msi_by_count):
    """Return the total reconstruction fidelity, wisdom2021 Section 3: the score for m sources times p_m, summed over m.

    One to four sources are equally likely, as in FUSS: ``p_m = 0.25``, which reproduces every published value.

    Parameters
    ----------
    one_source : float, dB
        Mean of `single_source` over mixtures of one source.
    msi_by_count : float, dB, or three floats, or a dict of them with the keys 2, 3 and 4
        Mean of `msi` (or `msi_active`) over mixtures of two, three and four sources; one number stands for all three.

    Returns
    -------
    float, dB
    """
    if isinstance(msi_by_count, Mapping):
        if set(msi_by_count) != {2, 3, 4}:
            raise WeaklibError(f"trf needs the MSi of 2, 3 and 4 sources; got those of {sorted(msi_by_count)}.")
        msi_by_count = [msi_by_count[m] for m in sorted(msi_by_count)]
    scores = torch.as_tensor(msi_by_count, dtype=torch.float64).flatten()
    if len(scores) not in (1, 3):
        raise WeaklibError(f"trf needs the MSi of 2, 3 and 4 sources, or their mean; got {len(scores)} numbers.")
    return float(0.25 * one_source + 0.75 * scores.mean())


def momi(est, ref, mix, *, search="exact", snr_max=30.0):
    """Return the SI-SNRi of the remixes of a mixture of mixtures (MoM), wisdom2020 Section 4.3, wisdom2021 Section 3.

    The outputs are assigned to the reference mixtures as the MixIT loss does it best; each remix is compared with its
    reference, relative to the MoM taken as remix, and the mean is over the references that are not zero. A remix of no
    outputs has -80 dB: a model that cannot tell two mixtures apart at all, and gives everything to the louder one,
    has a very low value, and a mean over few such pairs is much below the median.

    Parameters
    ----------
    est : Tensor or array, shape=(..., n_src, time)
    ref : Tensor or array, shape=(..., n_mix, time)
        The mixtures.
    mix : Tensor or array, shape=(..., time)
        The MoM.
    search, snr_max
        Of `weaklib.losses.mixit`.

    Returns
    -------
    Tensor or array, shape=(...,), float64, dB
        NaN where all references are zero.
    """
    est_, ref_, mix_ = _sources(est, ref, mix)
    with torch.no_grad():
        _, assignment = mixit(_examples(est_), _examples(ref_), search=search, snr_max=snr_max)
    remix = assignment.reshape(ref_.shape[:-1] + est_.shape[-2:-1]) @ est_
    values = _si_sdr(remix, ref_) - _si_sdr(mix_.unsqueeze(-2), ref_)
    return _like(values.where(~_is_zero(ref_), torch.nan).nanmean(-1), est)


def _is_active(est, ref):
    """Whether each estimate is louder than the quietest reference that is not zero less 20 dB, (..., n_src)."""
    quietest = torch.where(_is_zero(ref), torch.inf, ref.square().mean(-1)).amin(-1, keepdim=True)
    return est.square().mean(-1) > 0.01 * quietest


def _aligned(est, ref, mix):
    """SI-SNRi of each reference (..., n_ref), NaN if it is zero, and the estimate aligned to it (..., n_ref)."""
    from scipy.optimize import linear_sum_assignment
    pairs, active = _pairs(est, ref), ~_is_zero(ref)  # (..., n_ref, n_src), (..., n_ref)
    if (active.sum(-1) > est.shape[-2]).any():
        raise WeaklibError(f"Some examples have more sources than est has outputs ({est.shape[-2]}).")
    chosen = torch.zeros(active.shape, dtype=torch.int64)
    scores, used = _examples(pairs, 2).detach().cpu().numpy(), _examples(active, 1).cpu().numpy()
    for row, score, use in zip(_examples(chosen, 1), scores, used):  # rows are views of `chosen`
        row[torch.from_numpy(use)] = torch.from_numpy(linear_sum_assignment(score[use], maximize=True)[1])
    chosen = chosen.to(est.device)
    gain = pairs.gather(-1, chosen[..., None])[..., 0] - _si_sdr(mix.unsqueeze(-2), ref)
    return gain.where(active, torch.nan), chosen


# BSS Eval

def bss_eval(est, ref, *, mix=None, taps=512, permute=True, return_permutation=False):
    """Return SDR, SIR and SAR of BSS Eval version 3 (``mir_eval.separation.bss_eval_sources``).

    The estimate is projected on the span of the delayed copies (0 to taps - 1 samples) of its reference, then of all
    references; what the second adds is interference, what is left is artifacts. Blind to gain and to filtering by up
    to `taps` samples, thus not comparable with `si_sdr`.

    SDR can be relied on. SIR and SAR are as good as the condition of the delayed copies: where references are alike to
    a millionth of their amplitude, they are still right to 1e-3 dB. Where all are empty in the same band, what the
    copies span there is rounding, which no two programs share: SAR then varies by up to a dB, and so it does with
    mir_eval. A short signal, of at most ``(n_src - 1) * taps + 1`` samples, is in general a sum of copies: SAR, beyond
    200 dB, then says nothing. Takes some ten times the memory of the signals: give a long piece in frames.

    Parameters
    ----------
    est, ref : Tensor or array, shape=(..., n_src, time)
        As many estimates as references.
    mix : Tensor or array, shape=(..., time), optional
        Of this the SDR for each reference is returned, too. It costs little here, and as much as an estimate elsewhere.
    taps : int, samples
    permute : bool
        Align the estimates to the references by the largest mean SIR; otherwise take their order.
    return_permutation : bool
        Also return the index of the estimate aligned to each reference.

    Returns
    -------
    sdr, sir, sar : Tensor or array, shape=(..., n_src), float64, dB
        By reference. NaN for the whole example if any of its references or estimates, or its mixture, is zero: these
        measures are then undefined. SIR of one source is infinite.
    mix : Tensor or array, shape=(..., n_src), float64, dB
        Only where one is given.
    permutation : Tensor or array, shape=(..., n_src), int64
        Only if asked for.
    """
    est_, ref_ = _double(est, ref)
    if est_.shape != ref_.shape or est_.ndim < 2:
        raise WeaklibError(f"est {tuple(est_.shape)} and ref {tuple(ref_.shape)} must have one shape, "
                           "(..., n_src, time).")
    given = [est_, ref_]
    if mix is not None:
        given.append(_double(mix, ref)[0].unsqueeze(-2))
        if given[2].shape != est_[..., :1, :].shape:
            raise WeaklibError(f"mix must have the shape {(*est_.shape[:-2], est_.shape[-1])}, that of est without its "
                               "sources.")
    if not sum(x.sum() for x in given).isfinite():
        raise WeaklibError("est, ref or mix contains NaN or infinity.")
    outputs = [np.empty(ref_.shape[:-1], dtype) for dtype in (float, float, float, float, np.int64)]
    no_mix = [] if mix is not None else [np.empty((0, ref_.shape[-1]))]
    for k, example in enumerate(zip(*(_examples(x.detach().cpu().numpy()) for x in given))):
        for output, value in zip(outputs, _bss_example(*example, *no_mix, taps, permute)):
            output.reshape(-1, ref_.shape[-2])[k] = value
    wanted = outputs[:3] + outputs[3:4] * (mix is not None) + outputs[4:] * return_permutation
    return tuple(_like(torch.from_numpy(x).to(est_.device), est) for x in wanted)


def _bss_example(est, ref, mix, taps, permute):
    """(sdr, sir, sar, sdr of the mixture, permutation), each (n_src,), of one example, arrays (n_src, time)."""
    rows = order = np.arange(len(ref))
    if any((np.square(x).mean(-1) <= ZERO_RMS ** 2).any() for x in (est, ref, mix)):
        return *np.full((4, len(ref)), np.nan), order
    sdr, sir, sar, before = _bss_pairs(est, ref, mix, taps, permute)
    if not permute:
        return sdr[:, 0], sir[:, 0], sar[:, 0], before, order
    from scipy.optimize import linear_sum_assignment
    # An infinite SIR (one source, or equal references) must not make the sum infinite.
    order = linear_sum_assignment(np.clip(np.nan_to_num(sir), -1e4, 1e4), maximize=True)[1]
    return sdr[rows, order], sir[rows, order], sar[rows, order], before, order


def _bss_pairs(est, ref, mix, taps, permute):
    """SDR, SIR, SAR of every reference with every estimate, each (n_ref, n_est), or with its own alone, (n_ref, 1); and
    the SDR of the mixture, if there is one, (n_ref,).
    """
    from scipy.fft import irfft, next_fast_len, rfft
    n_ref = len(ref)
    n_fft = next_fast_len(max(ref.shape[-1], taps) + taps - 1, real=True)  # projections are longer than references
    est, ref, mix = (rfft(x, n_fft) for x in (est, ref, mix))
    gram = np.empty((n_ref, taps, n_ref, taps))  # inner products of the delayed references
    for i, j in combinations_with_replacement(range(n_ref), 2):
        lags = np.roll(irfft(ref[i].conj() * ref[j], n_fft), taps - 1)[:2 * taps - 1]  # 1 - taps to taps - 1
        gram[i, :, j] = np.lib.stride_tricks.sliding_window_view(lags, taps)[:, ::-1]
        gram[j, :, i] = gram[i, :, j].T
    left = _left(est, ref, gram, n_fft) if n_ref > 1 else None  # (n_est, freq), of one reference below
    sdr, sir, sar, before = [], [], [], []
    for k in range(n_ref):
        own, its = slice(k, k + 1), slice(None) if permute else slice(k, k + 1)
        given = np.concatenate([est[its], mix])
        n = len(given) - len(mix)
        distortion = _left(given, ref[own], gram[own, :, own], n_fft)
        artifacts = distortion[:n] if left is None else left[its]
        target = _energy(given - distortion, n_fft)
        ratio = _ratio(target, _energy(distortion, n_fft))
        sdr.append(ratio[:n])
        before.append(ratio[n] if len(mix) else np.nan)
        sir.append(_ratio(target[:n], _energy(distortion[:n] - artifacts, n_fft)))
        sar.append(_ratio(_energy(est[its] - artifacts, n_fft), _energy(artifacts, n_fft)))
    return np.stack(sdr), np.stack(sir), np.stack(sar), np.stack(before)


def _left(est, ref, gram, n_fft):
    """What projections on the delayed references leave of the estimates, as spectra (n_est, freq).

    Normal equations square the condition of the least-squares problem. So their Cholesky solution is but a step, which
    conjugate gradients on what is left repeat until there is nothing to gain: once where references differ, a few times
    where they resemble each other, and the result is that of a QR decomposition of the delayed references.
    """
    from scipy.fft import irfft, rfft
    from scipy.linalg import cho_factor, cho_solve
    n, taps = gram.shape[:2]
    matrix = gram.reshape(n * taps, n * taps).copy()
    np.fill_diagonal(matrix, matrix.diagonal() + RIDGE * matrix.diagonal().mean())  # also if it is singular
    factor = cho_factor(matrix.T, lower=True, overwrite_a=True, check_finite=False)  # Fortran's order, without a copy

    def steepest(left):
        """What to add to the filters, (n * taps, n_est), and the energy that it would explain, (n_est,)."""
        inner = np.concatenate([irfft(of.conj() * left, n_fft)[:, :taps] for of in ref], 1).T
        step = cho_solve(factor, inner, check_finite=False)
        return step, (inner * step).sum(0)

    left = est
    direction, gain = steepest(left)
    for _ in range(MAX_STEPS):
        image = sum(rfft(filters.T, n_fft) * of for filters, of in zip(np.split(direction, n), ref))
        left = left - (gain / np.maximum(_energy(image, n_fft), TINY))[:, None] * image
        (step, gain), before = steepest(left), gain
        if (gain <= TOLERANCE * _energy(left, n_fft) + FLOOR * _energy(est, n_fft)).all():
            break
        direction = step + gain / np.maximum(before, TINY) * direction
    return left


def _energy(spectrum, n_fft):
    """Sum of squares over time of the signals with these spectra (..., freq), by Parseval."""
    square = np.vecdot(spectrum, spectrum).real
    once = np.abs(spectrum[..., 0]) ** 2 + (np.abs(spectrum[..., -1]) ** 2 if n_fft % 2 == 0 else 0)  # no mirror image
    return (2 * square - once) / n_fft


def _ratio(a, b):
    """10 log10(a / b); infinite where b vanishes."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(a / b)


# Transcription

def note_accuracy(est, ref):
    """Return the frame-level accuracy ``TP / (TP + FP + FN)`` of Poliner and Ellis, `mir_eval.multipitch`'s Accuracy.

    Parameters
    ----------
    est, ref : Tensor or array, shape=(..., pitch, frame)
        Rolls; what is above 0 sounds. Counts are summed over pitches and frames, not averaged over frames.

    Returns
    -------
    Tensor or array, shape=(...,), float64
        NaN where neither has a note.
    """
    hit, extra, missed = _counts(est, ref)
    return _like(hit / (hit + extra + missed), est)


def frame_f1(est, ref):
    """Return the frame-level F1 ``2 TP / (2 TP + FP + FN)``; arguments and result as in `note_accuracy`."""
    hit, extra, missed = _counts(est, ref)
    return _like(2 * hit / (2 * hit + extra + missed), est)


def pooled_f1(est, ref):
    """Return the frame-level F1 of everything at once (micro): counts are summed over all axes.

    Parameters
    ----------
    est, ref : Tensor or array, shape=(..., pitch, frame)
        Rolls; what is above 0 sounds.

    Returns
    -------
    float64 of the kind of `est`
        NaN where neither has a note anywhere.
    """
    hit, extra, missed = (count.sum() for count in _counts(est, ref))
    return _like(2 * hit / (2 * hit + extra + missed), est)


def chunk_f1(est, ref):
    """Return the frame-level F1 of every chunk, 0 where neither has a note, as shin2026's released code has it.

    That punishes silence that was rightly found: its mean over chunks is below 1 even for a perfect transcription. Use
    `pooled_f1` unless you compare with that code. Arguments as in `frame_f1`.

    Returns
    -------
    Tensor or array, shape=(...,), float64
    """
    hit, extra, missed = _counts(est, ref)
    return _like((2 * hit / (2 * hit + extra + missed)).nan_to_num(0.0), est)


def instrument_f1(est, ref, average: str = "micro"):
    """Return the F1 of a transcription that also says who plays.

    Parameters
    ----------
    est, ref : Tensor or array, shape=(chunk, instrument, pitch, frame)
        Rolls; what is above 0 sounds.
    average : {"micro", "active", "released"}
        Counts summed over everything; the mean over pairs of chunk and instrument in which it has notes to play; or the
        mean over all pairs, those in which it is silent being 0 even if they were found silent, as shin2026's released
        code has it. That one cannot exceed the share of the pairs with notes: 0.175 on the test split of MusicNet-EM,
        where 1.927 of 11 instruments play.

    Returns
    -------
    float64 of the kind of `est`
        NaN where there is nothing to take the mean of.

    Raises
    ------
    WeaklibError
        If `average` is unknown, or the rolls have other axes.
    """
    if average not in ("micro", "active", "released"):
        raise WeaklibError(f"Unknown average {average!r} of instruments; choose micro, active or released.")
    if np.ndim(ref) != 4:
        raise WeaklibError(f"Rolls of shape {tuple(np.shape(ref))} must be (chunk, instrument, pitch, frame).")
    if average == "micro":
        return pooled_f1(est, ref)
    hit, extra, missed = _counts(est, ref)
    f1 = (2 * hit / (2 * hit + extra + missed)).nan_to_num(0.0)
    return _like(f1.mean() if average == "released" else f1[hit + missed > 0].mean(), est)


def best_shift(est, ref, most: int = 12):
    """Find by how many semitones an estimate must be moved to fit best: the failure of shin2026's Figure 3.

    Parameters
    ----------
    est, ref : Tensor or array, shape=(..., pitch, frame)
        Rolls; what is above 0 sounds. What is moved off the keys is lost.
    most : int, semitones
        Shifts from ``-most`` to ``most`` are tried.

    Returns
    -------
    f1 : float64 of the kind of `est`
        `pooled_f1` of the estimate so moved.
    shift : int, semitones
        Below 0 for an estimate that is too high; of equal ones the smallest.
    """
    found = {shift: pooled_f1(moved(est, shift), ref) for shift in sorted(range(-most, most + 1), key=abs)}
    shift = max(found, key=lambda s: -1 if np.isnan(float(found[s])) else float(found[s]))
    return found[shift], shift


def moved(roll, shift: int):
    """Move a roll ``(..., pitch, frame)`` up by semitones: what leaves the keys is lost, and silence moves in."""
    n = roll.shape[-2]
    shift = max(-n, min(n, shift))
    out = torch.zeros_like(roll) if isinstance(roll, torch.Tensor) else np.zeros_like(roll)
    out[..., max(0, shift):n + min(0, shift), :] = roll[..., max(0, -shift):n - max(0, shift), :]
    return out


def false_discovery_rate(est, ref):
    """Return the share of what is detected that is wrong, ``FP / (TP + FP)``; NaN where nothing is detected.

    hung2021 calls it the false-positive rate: on sparse rolls ``FP / (FP + TN)`` could not reach its 0.37. Arguments as
    in `note_accuracy`.
    """
    hit, extra, _ = _counts(est, ref)
    return _like(extra / (hit + extra), est)


def onset_f1(est, ref, *, tolerance: float = 0.05):
    """Return the F1 of notes by onset and pitch, `mir_eval.transcription`'s F-measure with ``offset_ratio=None``.

    A note is right if one of the reference has its pitch, to a quarter tone, and begins at most `tolerance` before or
    after it; each counts for one note at most, by the largest matching there is. Unlike the frame-level metrics, this
    asks whether a note was struck at the right time and not twice, and nothing of how long it lasts.

    Parameters
    ----------
    est, ref : Tensor or array, shape=(n, 3)
        Onset (s), offset (s) and MIDI pitch of each note, in any order, as `weaklib.inference.notes` gives them;
        further columns (the velocity, in a corpus' items) are left aside.
    tolerance : float, s

    Returns
    -------
    float64 of the kind of `est`
        0 where only one of both has notes, NaN where neither does (mir_eval: 0). An array without elements has no
        notes, whatever its shape.

    Raises
    ------
    WeaklibError
        If est or ref has another shape, or a note begins before 0 s, does not end after its onset or is not finite.

    References
    ----------
    C. Raffel et al., "mir_eval: a transparent implementation of common MIR metrics", ISMIR 2014; MIREX, note tracking.
    """
    est_, ref_ = _notes(est), _notes(ref)
    n_notes = len(est_) + len(ref_)
    f1 = 2 * _matches(est_, ref_, tolerance) / n_notes if n_notes else np.nan
    return _like(torch.tensor(f1, dtype=torch.float64), est)


def _matches(est, ref, tolerance):
    """Size of the largest matching of notes (n, 3), pitch by pitch."""
    whose = np.repeat([0, 1], [len(est), len(ref)])
    onset, pitch = np.concatenate([est, ref])[:, [0, 2]].T
    pitch = np.log2(440 * 2 ** ((pitch - 69) / 12))  # octaves, by way of Hz as in mir_eval: so both round alike
    order = np.argsort(pitch, kind="stable")
    # no pair is in two of them
    groups = np.split(order, np.flatnonzero(1200 * np.diff(pitch[order]) > QUARTER_TONE) + 1)
    found = 0
    for group in groups:
        group = group[np.argsort(onset[group], kind="stable")]
        of_est, of_ref = (group[whose[group] == k] for k in (0, 1))
        if 1200 * np.ptp(pitch[group]) <= QUARTER_TONE:
            found += _swept(onset[of_est].tolist(), onset[of_ref].tolist(), tolerance)
        else:  # pitches between the keys, of which the outer ones are too far from each other
            found += _bipartite(onset[of_est], pitch[of_est], onset[of_ref], pitch[of_ref], tolerance)
    return found


def _near(a, b, tolerance):
    """Whether onsets are near each other, rounded to 0.1 ms as mir_eval does: 0.55 - 0.5 is more than 0.05."""
    return np.rint(np.abs(a - b) * 1e4) / 1e4 <= tolerance


def _swept(est, ref, tolerance):
    """Largest matching of sorted onsets: the earliest of both go together, or the earlier of them has no partner."""
    i = j = found = 0
    while i < len(est) and j < len(ref):
        if round(abs(est[i] - ref[j]) * 1e4) / 1e4 <= tolerance:
            i, j, found = i + 1, j + 1, found + 1
        elif est[i] < ref[j]:
            i += 1
        else:
            j += 1
    return found


def _bipartite(est_onset, est_pitch, ref_onset, ref_pitch, tolerance):
    """Largest matching of notes of which both onset and pitch must be near; sorted by onset."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching
    first, last = (np.searchsorted(ref_onset, est_onset + way * (tolerance + 1e-3)) for way in (-1, 1))
    pairs = np.repeat(np.arange(len(est_onset)), last - first)
    others = np.arange(len(pairs)) - np.repeat(np.cumsum(last - first) - last, last - first)
    near = _near(est_onset[pairs], ref_onset[others], tolerance)
    near &= np.abs(1200 * (est_pitch[pairs] - ref_pitch[others])) <= QUARTER_TONE
    graph = csr_array((near[near], (pairs[near], others[near])), shape=(len(est_onset), len(ref_onset)))
    return int((maximum_bipartite_matching(graph) >= 0).sum())


def _notes(x):
    """Notes as a float64 array (n, 3), or a WeaklibError."""
    found = audio.to_numpy(x, np.float64)
    found = found if found.size else np.zeros((0, 3))
    if found.ndim != 2 or found.shape[1] < 3:
        raise WeaklibError(f"Notes of shape {found.shape} must be (n, 3): onset, offset and pitch.")
    found = found[:, :3]
    if not (np.isfinite(found).all() and (found[:, 0] >= 0).all() and (found[:, 1] > found[:, 0]).all()):
        raise WeaklibError("Notes must begin at 0 s or later, end after their onset, and hold no NaN or infinity.")
    return found


def _counts(est, ref):
    """True positives, false positives and false negatives over the last two axes, float64."""
    rolls = [x if isinstance(x, torch.Tensor) else torch.from_numpy(audio.to_numpy(x, np.float64).copy())
             for x in (est, ref)]
    if not all(x.isfinite().all() for x in rolls):
        raise WeaklibError("A roll contains NaN or infinity.")
    est_, ref_ = (x.to(rolls[0].device) > 0 for x in rolls)
    if est_.shape != ref_.shape or est_.ndim < 2:
        raise WeaklibError(f"Rolls of shapes {tuple(est_.shape)} and {tuple(ref_.shape)} must be (..., pitch, frame), "
                           "both the same.")
    return [hits.sum((-2, -1), dtype=torch.float64) for hits in (est_ & ref_, est_ & ~ref_, ~est_ & ref_)]


# In and out

def _double(*signals):
    """Signals as float64 tensors of at least one axis, on the device of the first."""
    tensors = [x if isinstance(x, torch.Tensor) and x.is_floating_point() else
               torch.from_numpy(audio.to_numpy(x, np.float64, sound=True).copy()) for x in signals]
    device = "cpu" if tensors[0].device.type == "mps" else tensors[0].device  # Apple's GPUs have no float64
    tensors = [x.to(device, torch.float64) for x in tensors]
    if min(x.ndim for x in tensors) < 1 or len({x.shape[-1] for x in tensors}) > 1 or tensors[0].shape[-1] < 1:
        shapes = ", ".join(str(tuple(x.shape)) for x in tensors)
        raise WeaklibError(f"Signals of shapes {shapes} must have the same time.")
    return tensors


def _sources(est, ref, mix):
    """As `_double`, but est and ref (..., source, time), mix (..., time), all with the same leading axes."""
    est, ref, mix = _double(est, ref, mix)
    _check_sources(est, ref)
    if mix.shape[:-1] != est.shape[:-2]:
        raise WeaklibError(f"mix {tuple(mix.shape)} must be (..., time) of est, {tuple(est.shape)}.")
    return est, ref, mix


def _check_sources(est, ref):
    """Raise a WeaklibError unless est and ref are (..., source, time) with the same leading axes."""
    if est.ndim < 2 or est.shape[:-2] != ref.shape[:-2] or ref.ndim != est.ndim:
        raise WeaklibError(f"est {tuple(est.shape)} and ref {tuple(ref.shape)} must be (..., source, time) with the "
                           "same leading axes.")


def _examples(x, n_axes=2):
    """Leading axes flattened to one: (example, ...) with `n_axes` after it."""
    return x.reshape(-1, *x.shape[x.ndim - n_axes:])


def _is_zero(x):
    """Whether the RMS of (..., time) is at most 1e-8."""
    return x.square().mean(-1) <= ZERO_RMS ** 2


def _like(value, est):
    """Return `value` as the kind that `est` is."""
    return value if isinstance(est, torch.Tensor) else value.detach().cpu().numpy()[()]
