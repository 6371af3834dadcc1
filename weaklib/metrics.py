"""Metrics of separation, in dB, and of transcription, ratios in [0, 1].

Conventions
-----------
Arguments are ``(est, ref)`` or ``(est, ref, mix)``: est ``(..., n_src, time)``, ref ``(..., n_ref, time)``, mix
``(..., time)``; leading axes are examples. Torch tensors and arrays are accepted; all is computed in float64 and
returned as the kind that `est` is. A source is *zero* if its RMS is at most 1e-8. What has no value (say, a mean over
no sources) is NaN, to be left out by the caller's average and reported. NaN or infinite samples, and shapes that do
not fit, raise a WeaklibError. Higher is better, but for the false discovery rate.

Contents
--------
si_sdr, si_sdri
    Scale-invariant SDR (the papers say SI-SNR) and its improvement over the mixture; no alignment.
msi, msi_active
    Multi-source SI-SNRi with optimal alignment, as wisdom2020 defines it, and as the FUSS evaluator does.
single_source, trf
    Fidelity for one source (1S, SS), and total reconstruction fidelity.
momi
    SI-SNRi of remixes against the mixtures of a mixture of mixtures: needs no isolated sources.
bss_eval
    SDR, SIR and SAR of BSS Eval version 3.
note_accuracy, frame_f1, false_discovery_rate
    Of transcriptions, as rolls: counted over pitches and frames.
onset_f1
    Of transcriptions, as notes.

References
----------
Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019. Vincent, Gribonval and Fevotte, "Performance measurement
in blind audio source separation", IEEE TASLP 14(4), 2006. Scheibler, "SDR - medium rare with fast computations",
ICASSP 2022 (conjugate gradients for BSS Eval). wisdom2020 Section 4; wisdom2021 Section 3.
"""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from weaklib.files import WeaklibError
from weaklib.losses import mixit
from weaklib.losses.snr import ZERO_RMS

EPS = 1e-8  # keeps SI-SDR within +-80 dB
NORM_FLOOR = 1e-16  # of the norm of a signal made a unit vector
TOLERANCE = 1e-11  # of the energy that a projection leaves; the true error is larger where references are alike
FLOOR = 1e-14  # of the whole energy
MAX_STEPS = 200  # of conjugate gradients; some 10 for noise, 50 for notes
RIDGE = 1e-10  # of the preconditioner, relative: sinusoids span only two of 512 dimensions
BLOCKS = 8  # of 8 * taps samples, transformed together
TINY = 1e-300


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
    power = ref_.square().mean(-1)
    quietest = torch.where(_is_zero(ref_), torch.inf, power).amin(-1, keepdim=True)
    loud = est_.square().mean(-1).gather(-1, chosen) > 0.01 * quietest
    return _like(values.where(loud, torch.nan), est)


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
        msi_by_count = [msi_by_count[m] for m in sorted(msi_by_count)]
    scores = torch.as_tensor(msi_by_count, dtype=torch.float64).flatten()
    if len(scores) not in (1, 3):
        raise WeaklibError(f"trf needs the MSi of 2, 3 and 4 sources, or their mean; got {len(scores)} numbers.")
    return float(0.25 * one_source + 0.75 * scores.mean())


def momi(est, ref, mix, *, search="exact", snr_max=30.0):
    """Return the SI-SNRi of the remixes of a mixture of mixtures (MoM), wisdom2020 Section 4.3, wisdom2021 Section 3.

    The outputs are assigned to the reference mixtures as the MixIT loss does it best; each remix is compared with its
    reference, relative to the MoM taken as remix, and the mean is over the references that are not zero.

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


def _aligned(est, ref, mix):
    """SI-SNRi of each reference (..., n_ref), NaN if it is zero, and the estimate aligned to it (..., n_ref)."""
    from scipy.optimize import linear_sum_assignment
    pairs, active = _pairs(est, ref), ~_is_zero(ref)  # (..., n_ref, n_src), (..., n_ref)
    if active.sum(-1).max() > est.shape[-2]:
        raise WeaklibError(f"Some examples have more sources than est has outputs ({est.shape[-2]}).")
    chosen = torch.zeros(active.shape, dtype=torch.int64)
    scores, used = _examples(pairs, 2).cpu().numpy(), _examples(active, 1).cpu().numpy()
    for row, score, use in zip(_examples(chosen, 1), scores, used):  # rows are views of `chosen`
        row[torch.from_numpy(use)] = torch.from_numpy(linear_sum_assignment(score[use], maximize=True)[1])
    chosen = chosen.to(est.device)
    gain = pairs.gather(-1, chosen[..., None])[..., 0] - _si_sdr(mix.unsqueeze(-2), ref)
    return gain.where(active, torch.nan), chosen


# BSS Eval

def bss_eval(est, ref, *, taps=512, permute=True, return_permutation=False):
    """Return SDR, SIR and SAR of BSS Eval version 3 (``mir_eval.separation.bss_eval_sources``).

    The estimate is projected on the span of the delayed copies (0 to taps - 1 samples) of its reference, then of all
    references; what the second adds is interference, what is left is artifacts. Blind to gain and to filtering by up
    to `taps` samples, thus not comparable with `si_sdr`. Energies come from inner products found by FFTs, not from
    projected waveforms: ratios beyond 100 dB or so are rounding noise. Where all references are empty above the same
    frequency the projection is ill-posed, and this function and mir_eval miss the SAR of an exact solver by some 0.1
    dB each.

    Parameters
    ----------
    est, ref : Tensor or array, shape=(..., n_src, time)
        As many estimates as references.
    taps : int, samples
    permute : bool
        Align the estimates to the references by the largest mean SIR; otherwise take their order.
    return_permutation : bool
        Also return the index of the estimate aligned to each reference.

    Returns
    -------
    sdr, sir, sar : Tensor or array, shape=(..., n_src), float64, dB
        By reference. NaN for the whole example if any of its references or estimates is zero: these measures are then
        undefined. SIR of one source is infinite.
    permutation : Tensor or array, shape=(..., n_src), int64
        Only if asked for.
    """
    est_, ref_ = _double(est, ref)
    if est_.shape != ref_.shape or est_.ndim < 2:
        raise WeaklibError(f"est {tuple(est_.shape)} and ref {tuple(ref_.shape)} must have one shape, "
                           "(..., n_src, time).")
    if not (est_.sum() + ref_.sum()).isfinite():
        raise WeaklibError("est or ref contains NaN or infinity.")
    scores = [_bss_example(e, r, taps, permute) for e, r in zip(_examples(est_), _examples(ref_))]
    outputs = [torch.stack(x).reshape(ref_.shape[:-1]) for x in zip(*scores)]
    return tuple(_like(x, est) for x in outputs[:3 + return_permutation])


def _bss_example(est, ref, taps, permute):
    """(sdr, sir, sar, permutation), each (n_src,), of one example (n_src, time)."""
    order = torch.arange(len(ref), device=ref.device)
    if (_is_zero(est) | _is_zero(ref)).any():
        return *torch.full((3, len(ref)), torch.nan, dtype=ref.dtype, device=ref.device), order
    sdr, sir, sar = (x.T for x in _bss_pairs(est, ref, taps))  # each (n_ref, n_est)
    if permute:
        from scipy.optimize import linear_sum_assignment
        # An infinite SIR (one source, or rounding) must not make the sum infinite.
        score = sir.nan_to_num().clamp(-1e4, 1e4).cpu().numpy()
        order = torch.from_numpy(linear_sum_assignment(score, maximize=True)[1])
    rows = torch.arange(len(ref))
    return sdr[rows, order], sir[rows, order], sar[rows, order], order.to(ref.device)


def _bss_pairs(est, ref, taps):
    """SDR, SIR, SAR of every estimate with every reference, each (n_est, n_ref)."""
    n_ref = len(ref)
    lags = _correlations(ref, torch.cat([ref, est]), taps)  # (n_ref, n_ref + n_est, 2 taps - 1)
    gram, inner = lags[:, :n_ref], lags[:, n_ref:, taps - 1:].transpose(0, 1)  # inner (n_est, n_ref, taps)
    energy = est.square().sum(-1)
    alone = gram * torch.eye(n_ref, dtype=ref.dtype, device=ref.device)[..., None]  # each reference by itself
    precondition = _inverse(gram.diagonal().T)
    all_filters = _solve(_toeplitz(gram), inner, precondition, energy)
    own_filters = _solve(_toeplitz(alone), inner, precondition, energy)

    # Energies as quadratic forms of the filters that were found: an error in a filter then counts to second order only.
    all_part = all_filters * _toeplitz(gram)(all_filters)
    own_part = own_filters * _toeplitz(alone)(own_filters)
    all_power, target = all_part.sum((1, 2))[:, None], own_part.sum(2)  # (n_est, 1), (n_est, n_ref)
    artifacts = energy[:, None] + (all_part - 2 * all_filters * inner).sum((1, 2))[:, None]
    distortion = energy[:, None] + (own_part - 2 * own_filters * inner).sum(2)
    return (_ratio(target, distortion), _ratio(target, distortion - artifacts),
            _ratio(all_power, artifacts).expand_as(target))


def _ratio(a, b):
    """10 log10(a / b) of energies that rounding may have made negative; infinite where one vanishes."""
    return 10 * (a.clamp(min=0) / b.clamp(min=0)).log10()


def _correlations(x, y, taps):
    """Sums over t of x[t] y[t + lag] for lags 1 - taps to taps - 1, (n_x, n_y, 2 taps - 1).

    Only short lags are wanted, so blocks of x are correlated with the stretches of y around them, a few at a time.
    """
    n_fft = 1 << (8 * taps - 1).bit_length()
    hop = n_fft - 2 * (taps - 1)
    fill = -x.shape[-1] % hop
    x = torch.nn.functional.pad(x, (0, fill)).unfold(-1, hop, hop)  # (n_x, n_block, hop)
    y = torch.nn.functional.pad(y, (taps - 1, fill + taps - 1)).unfold(-1, n_fft, hop)  # (n_y, n_block, n_fft)
    spectrum = 0
    for some_x, some_y in zip(x.split(BLOCKS, 1), y.split(BLOCKS, 1)):
        spectrum = spectrum + (torch.fft.rfft(some_x, n_fft).conj()[:, None] * torch.fft.rfft(some_y)).sum(2)
    return torch.fft.irfft(spectrum, n_fft)[..., :2 * taps - 1]


def _toeplitz(lags):
    """Product of a block-Toeplitz matrix, given by its lags (n, n, 2 taps - 1), with (..., n, taps)."""
    taps = (lags.shape[-1] + 1) // 2
    gap = torch.zeros_like(lags[..., :1])
    kernel = torch.fft.rfft(torch.cat([lags[..., taps - 1:], gap, lags[..., :taps - 1]], -1))  # (n, n, taps + 1)

    def product(x):
        return torch.fft.irfft((kernel * torch.fft.rfft(x, 2 * taps)[..., None, :, :]).sum(-2), 2 * taps)[..., :taps]
    return product


def _inverse(lags):
    """Product of the inverses of Toeplitz matrices, given by their lags (n, 2 taps - 1), with (..., n, taps).

    The first column x of an inverse tells the whole of it (Gohberg and Semencul, 1972): L(x) L(x)' - L(y) L(y)' over
    x[0], with lower triangular Toeplitz matrices L and y = (0, x[-1], ..., x[1]).
    """
    from scipy.linalg import solve_toeplitz
    taps = (lags.shape[-1] + 1) // 2
    first = torch.eye(taps, dtype=lags.dtype)[0]
    autos = lags[:, taps - 1:].cpu() * (1 + RIDGE * first)
    x = torch.from_numpy(np.stack([solve_toeplitz(a, first.numpy()) for a in autos.numpy()])).to(lags.device)
    y = torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:].flip(-1)], -1)
    factors = torch.fft.rfft(torch.stack([x, y], 1), 2 * taps)  # (n, 2, taps + 1)
    scale = torch.stack([x[:, 0], -x[:, 0]], 1)[..., None]  # (n, 2, 1)

    def product(r):
        spectra = factors.conj() * torch.fft.rfft(r, 2 * taps)[..., None, :]
        inner = torch.fft.irfft(spectra, 2 * taps)[..., :taps] / scale
        return torch.fft.irfft((factors * torch.fft.rfft(inner, 2 * taps)).sum(-2), 2 * taps)[..., :taps]
    return product


def _solve(product, inner, precondition, energy):
    """Filters (n_est, n, taps) whose images are nearest to the estimates, by preconditioned conjugate gradients.

    With each reference by itself inverted exactly, steep spectra do no harm: steps are needed only as far as references
    resemble each other.
    """
    filters, residual = torch.zeros_like(inner), inner
    step = direction = precondition(residual)
    left = (residual * step).sum((1, 2))  # (n_est,): about the energy that the filters could still explain
    unexplained = energy
    for _ in range(MAX_STEPS):
        if (left <= torch.maximum(TOLERANCE * unexplained, FLOOR * energy)).all():
            break
        image = product(direction)
        length = left / (direction * image).sum((1, 2)).clamp(min=TINY)
        filters = filters + length[:, None, None] * direction
        residual = residual - length[:, None, None] * image
        unexplained = unexplained - length * left
        step = precondition(residual)
        left, before = (residual * step).sum((1, 2)), left
        direction = step + (left / before.clamp(min=TINY))[:, None, None] * direction
    return filters


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
        0 where only one of both has notes, NaN where neither does (mir_eval: 0).

    Raises
    ------
    WeaklibError
        If est or ref has another shape, or a note begins before 0 s, does not end after its onset or is not finite.

    References
    ----------
    C. Raffel et al., "mir_eval: a transparent implementation of common MIR metrics", ISMIR 2014; MIREX, note tracking.
    """
    est_, ref_ = _notes(est), _notes(ref)
    if len(est_) and len(ref_):
        from mir_eval import transcription, util
        both = [x for notes in (ref_, est_) for x in (notes[:, :2], util.midi_to_hz(notes[:, 2]))]
        f1 = transcription.precision_recall_f1_overlap(*both, onset_tolerance=tolerance, offset_ratio=None)[2]
    else:
        f1 = 0 if len(est_) or len(ref_) else np.nan
    return _like(torch.tensor(f1, dtype=torch.float64), est)


def _notes(x):
    """Notes as a float64 array (n, 3), or a WeaklibError."""
    found = _double(x)[0].cpu().numpy()
    if found.ndim != 2 or found.shape[1] < 3:
        raise WeaklibError(f"Notes of shape {found.shape} must be (n, 3): onset, offset and pitch.")
    found = found[:, :3]
    if not (np.isfinite(found).all() and (found[:, 0] >= 0).all() and (found[:, 1] > found[:, 0]).all()):
        raise WeaklibError("Notes must begin at 0 s or later, end after their onset, and hold no NaN or infinity.")
    return found


def _counts(est, ref):
    """True positives, false positives and false negatives over the last two axes, float64."""
    est_, ref_ = (torch.as_tensor(x) > 0 for x in (est, ref))
    if est_.shape != ref_.shape or est_.ndim < 2:
        raise WeaklibError(f"Rolls of shapes {tuple(est_.shape)} and {tuple(ref_.shape)} must be (..., pitch, frame), "
                           "both the same.")
    return [hits.sum((-2, -1), dtype=torch.float64) for hits in (est_ & ref_, est_ & ~ref_, ~est_ & ref_)]


# In and out

def _double(*signals):
    """Signals as float64 tensors of at least one axis, on the device of the first."""
    tensors = [x if isinstance(x, torch.Tensor) else torch.from_numpy(np.array(x, np.float64, order="C"))
               for x in signals]
    device = "cpu" if tensors[0].device.type == "mps" else tensors[0].device  # Apple's GPUs have no float64
    tensors = [x.to(device, torch.float64) for x in tensors]
    if min(x.ndim for x in tensors) < 1 or len({x.shape[-1] for x in tensors}) > 1 or tensors[0].shape[-1] < 1:
        shapes = ", ".join(str(tuple(x.shape)) for x in tensors)
        raise WeaklibError(f"Signals of shapes {shapes} must have the same time.")
    return tensors


def _sources(est, ref, mix):
    """As `_double`, but est and ref (..., source, time), mix (..., time), all with the same leading axes."""
    est, ref, mix = _double(est, ref, mix)
    if est.ndim < 2 or est.shape[:-2] != ref.shape[:-2] or ref.ndim != est.ndim or mix.shape[:-1] != est.shape[:-2]:
        raise WeaklibError(f"est {tuple(est.shape)} and ref {tuple(ref.shape)} must be (..., source, time) and mix "
                           f"{tuple(mix.shape)} (..., time).")
    return est, ref, mix


def _examples(x, n_axes=2):
    """Leading axes flattened to one: (example, ...) with `n_axes` after it."""
    return x.reshape(-1, *x.shape[x.ndim - n_axes:])


def _is_zero(x):
    """Whether the RMS of (..., time) is at most 1e-8."""
    return x.square().mean(-1) <= ZERO_RMS ** 2


def _like(value, est):
    """Return `value` as the kind that `est` is."""
    return value if isinstance(est, torch.Tensor) else value.cpu().numpy()[()]
