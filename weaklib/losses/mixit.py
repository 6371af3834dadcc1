"""Mixture invariant training (MixIT): wisdom2020 Section 3.2, and the efficient search of wisdom2021 Section 2.2.

How the search works
--------------------
The energy of the residual of reference n, given the set `a` (a 0/1 vector) of outputs assigned to it, is

    ||x_n - sum_m a_m s_m||^2 = c_n - 2 a.H_n + a'Ga,   G = s s',  H = x s',  c_n = ||x_n||^2,

so that M(M+N) inner products over time answer for all N^M assignments and no remix is ever computed. Split the outputs
in two halves, a = (u, v): a'Ga = u'G_uu u + v'G_vv v + 2 u'G_uv v is a table of 2^(M/2) by 2^(M/2) entries that one
thin matrix product fills. For two references the second one's set is the complement of `a`, and
||x_2 - sum_m (1 - a_m) s_m||^2 has the same form with x_2 - sum_m s_m for x_2 and -s for s: the same table again.
(If the outputs add up to the mixture, both tables are equal: a binary least-squares problem. Nothing is gained by
treating it apart.)

The search only chooses. The loss is then computed from the waveforms for the chosen assignment, whose gradient is that
of the minimum (envelope theorem); memory is linear in time and does not grow with the number of assignments.

Contents
--------
mixit
    The loss, by an exact search, by least squares, or by least squares mended by single flips.
"""
from __future__ import annotations

import torch

from weaklib.files import WeaklibError
from weaklib.losses.gram import check, full_precision, gram
from weaklib.losses.snr import ZERO_RMS, decibel_loss, threshold

MAX_EXACT = 20  # outputs: 2^20 assignments take some 10 ms per example on one core, each output more doubles it
MAX_ASSIGNMENTS = 1 << 24  # of more than two references
CHUNK = 1 << 16  # assignments looked at together: their energies stay in the cache, whatever the batch
TINY = 1e-300  # keeps energies positive where rounding leaves -1e-17 of a residual that vanishes
RIDGE = 1e-8  # of least squares, relative to the mean energy of the outputs
FLIP_GAIN = 1e-9  # a flip must lower the sum of natural logarithms by more
MAX_FLIPS = 10  # per output; about one is used, but rounding must not make two assignments alternate for ever


def mixit(est, ref, *, search="exact", snr_max=30.0, constraints=None):
    """Return the MixIT loss and the assignment that attains it, wisdom2020 Eq. 3, wisdom2021 Eq. 1 and 3.

    The minimum, for each example by itself, over all ways to give each output to one reference mixture, of the mean
    (the papers write a sum) over the references of `thresholded_snr`. A reference that is zero is measured against the
    mixture of mixtures with a threshold of 20 dB (see `weaklib.losses.snr`), so that it cannot dominate.

    Parameters
    ----------
    est : Tensor, shape=(batch, n_src, time)
    ref : Tensor, shape=(batch, n_mix, time)
        Mixtures whose sum the network heard.
    search : {"exact", "lsq", "lsq+flip"}
        ``exact`` finds the minimum (at most 20 outputs). ``lsq`` projects the least-squares mixing matrix to the
        nearest binary one, wisdom2021 Eq. 3; it often misses when some outputs are nearly silent. ``lsq+flip`` then
        moves the one output that lowers the loss most, until none does.
    snr_max : float, dB
    constraints : array_like of int, shape=(n_allowed, n_src), optional
        The allowed assignments, each as the reference index of every output; with ``exact`` only. Enhancement with
        outputs (speech, noise, noise) and references (speech + noise, noise) is ``[(0, 0, 1), (0, 1, 0)]``.

    Returns
    -------
    loss : Tensor, shape=(batch,), dB
        float32, or float64 if `est` is; differentiable in `est`.
    assignment : Tensor, shape=(batch, n_mix, n_src)
        0 or 1 in the loss's precision: ``assignment @ est`` are the remixes. An output that is silent (RMS of at most
        1e-8) belongs to reference 0 unless `constraints` decide.

    Raises
    ------
    WeaklibError
        If the shapes do not fit, a sample is not finite, `search` is unknown, or an exact search would be too large.
    """
    check(est, ref)
    (_, n_src, n_time), n_mix = est.shape, ref.shape[1]
    _check_search(search, n_mix, n_src, constraints)
    with torch.autocast(est.device.type, enabled=False):
        est, ref = full_precision(est, ref)
        stats = gram(est, ref)
        floor, scale = threshold(stats.power, stats.mix_power, n_time, snr_max)
        with torch.no_grad():
            if search == "exact":
                owner = _exact(stats, floor, constraints)  # (batch, n_src): the reference of each output
            else:
                owner = _least_squares(stats)
                owner = _flip(stats, floor, owner) if search == "lsq+flip" else owner
            if constraints is None:
                silent = stats.est.diagonal(dim1=1, dim2=2) <= ZERO_RMS ** 2 * n_time
                owner = owner.masked_fill(silent, 0)
            assignment = _one_hot(owner, n_mix).to(est)
        energy = torch.baddbmm(ref, assignment, est, alpha=-1).square().sum(-1)  # (batch, n_mix)
        return decibel_loss(energy, floor.to(est), scale.to(est)).mean(1), assignment


def _check_search(search, n_mix, n_src, constraints):
    """Raise a WeaklibError for a search that does not exist or would not end."""
    if search not in ("exact", "lsq", "lsq+flip"):
        raise WeaklibError(f"search is {search!r}; choose 'exact', 'lsq' or 'lsq+flip'.")
    if search != "exact":
        if constraints is not None:
            raise WeaklibError("constraints need search='exact'.")
        return
    if n_src > MAX_EXACT:
        raise WeaklibError(f"An exact search over {n_src} outputs is too large (at most {MAX_EXACT}); use "
                           "search='lsq+flip'.")
    if constraints is None and n_mix > 2 and n_mix ** n_src > MAX_ASSIGNMENTS:
        raise WeaklibError(f"An exact search over {n_mix}^{n_src} assignments is too large (at most "
                           f"{MAX_ASSIGNMENTS}); use search='lsq+flip' or constraints.")


def _one_hot(owner, n_mix):
    """(..., n_src) reference indices to (..., n_mix, n_src) of bool."""
    return owner.unsqueeze(-2) == torch.arange(n_mix, device=owner.device)[:, None]


# Exact search

def _exact(stats, floor, constraints):
    """Best reference of each output, (batch, n_src)."""
    n_mix, n_src = stats.cross.shape[1:]
    if constraints is not None:
        rows = _allowed(constraints, n_mix, n_src).to(floor.device)
        return _lowest(_listed(stats, floor, rows.split(CHUNK)))
    if n_mix == 2:
        return _lowest(_complements(stats, floor))
    return _lowest(_listed(stats, floor, _every(n_mix, n_src, floor.device)))


def _lowest(candidates):
    """Owner (batch, n_src) of the least cost (batch,) among (cost, owner) pairs, the first of equals."""
    lowest, best = next(candidates)
    for cost, owner in candidates:
        better = cost < lowest
        lowest, best = torch.where(better, cost, lowest), torch.where(better[:, None], owner, best)
    return best


def _complements(stats, floor):
    """Yield the best (cost, owner) of each piece of the table of all assignments to two references."""
    n_src = stats.est.shape[-1]
    total = stats.est.sum(-1)  # (batch, n_src): inner products with the sum of the outputs
    # The second reference has the complement of the first one's set: ||(x_2 - sum s) + a.s||^2.
    linear = torch.stack([-2 * stats.cross[:, 0], 2 * (stats.cross[:, 1] - total)], 1)
    rest = stats.power[:, 1] - 2 * stats.cross[:, 1].sum(-1) + total.sum(-1)
    left, right = _table_factors(stats.est, linear, torch.stack([stats.power[:, 0], rest], 1) + floor)
    n_low = right.shape[-1]
    start = 0
    for rows in left.split(max(1, CHUNK // (len(floor) * n_low)), 2):
        first, second = (rows @ right).clamp_(min=TINY).flatten(2).unbind(1)  # (batch, n_rows * n_low)
        cost, index = (first * second).min(-1)  # the logarithm of a product orders as the product does
        yield cost, 1 - _bits(n_src, index + start * n_low)
        start += rows.shape[2]


def _listed(stats, floor, chunks):
    """Yield the best (cost, owner) of each chunk (n_rows, n_src) of assignments, given as reference indices."""
    left, right = _table_factors(stats.est, -2 * stats.cross, stats.power + floor)
    tables = (left @ right).clamp_(min=TINY).log_().flatten(2).unbind(1)  # n_mix times (batch, 2^n_src)
    place = 1 << torch.arange(stats.est.shape[-1], device=floor.device)
    for rows in chunks:
        cost, index = sum(table[:, (place * (rows == n)).sum(-1)] for n, table in enumerate(tables)).min(-1)
        yield cost, rows[index]


def _table_factors(gram, linear, constant):
    """Thin factors whose product holds ``constant + linear.a + a'Ga`` for all 0/1 vectors `a`.

    gram (batch, n_src, n_src), linear (batch, n_table, n_src), constant (batch, n_table). The product
    (batch, n_table, 2^n_high, 2^n_low), flattened, has at entry i the vector of the bits of i, output 0 the lowest.
    """
    n_low = gram.shape[-1] // 2
    low, high = (_bits(n, torch.arange(1 << n, device=gram.device)).to(gram)
                 for n in (n_low, gram.shape[-1] - n_low))  # (2^n, n)

    def half(bits, gram, linear):  # (batch, n_table, 2^n)
        return ((bits @ gram) * bits).sum(-1)[:, None] + linear @ bits.T

    one_low = half(low, gram[:, :n_low, :n_low], linear[..., :n_low]) + constant[..., None]
    one_high = half(high, gram[:, n_low:, n_low:], linear[..., n_low:])
    both = (2 * high @ gram[:, n_low:, :n_low])[:, None].expand(-1, linear.shape[1], -1, -1)
    left = torch.cat([both, one_high[..., None], torch.ones_like(one_high)[..., None]], -1)
    low = low.T.expand(*constant.shape, -1, -1)
    return left, torch.cat([low, torch.ones_like(one_low)[..., None, :], one_low[..., None, :]], -2)


def _bits(n, index):
    """Lowest `n` bits of integers, (..., n)."""
    return index.unsqueeze(-1) >> torch.arange(n, device=index.device) & 1


def _every(n_mix, n_src, device):
    """Yield all assignments in chunks of (n_rows, n_src)."""
    place = n_mix ** torch.arange(n_src, device=device)
    for start in range(0, n_mix ** n_src, CHUNK):
        index = torch.arange(start, min(start + CHUNK, n_mix ** n_src), device=device)
        yield index[:, None] // place % n_mix


def _allowed(constraints, n_mix, n_src):
    """Constraints as an int64 tensor, (n_allowed, n_src)."""
    try:
        rows = torch.as_tensor(constraints).long()
    except (TypeError, ValueError, RuntimeError) as e:
        raise WeaklibError("constraints must be a table of reference indices, one row per allowed assignment.") from e
    if rows.ndim != 2 or rows.shape[1] != n_src or not len(rows) or rows.min() < 0 or rows.max() >= n_mix:
        raise WeaklibError(f"constraints must list assignments of {n_src} outputs to references 0 to {n_mix - 1}, as "
                           f"(n_allowed, {n_src}); got shape {tuple(rows.shape)}.")
    return rows


# Approximate search

def _least_squares(stats):
    """Reference with the largest least-squares weight for each output, (batch, n_src); wisdom2021 Eq. 3."""
    n_src = stats.est.shape[-1]
    level = stats.est.diagonal(dim1=1, dim2=2).mean(-1)  # (batch,)
    ridge = (RIDGE * level).clamp(min=TINY)[:, None, None] * torch.eye(n_src, device=level.device, dtype=level.dtype)
    # With a ridge relative to the level, silent or duplicated outputs leave the factor positive definite.
    factor, _ = torch.linalg.cholesky_ex(stats.est + ridge)
    weights = torch.cholesky_solve(stats.cross.mT, factor)  # (batch, n_src, n_mix)
    return weights.argmax(-1)


def _flip(stats, floor, owner):
    """Move the one output that lowers the loss most, until no move does; (batch, n_src)."""
    rows = torch.arange(len(owner), device=owner.device)
    n_src = owner.shape[1]
    own = stats.est.diagonal(dim1=1, dim2=2)[:, None]  # (batch, 1, n_src)
    for _ in range(MAX_FLIPS * n_src):
        a = _one_hot(owner, stats.cross.shape[1]).to(stats.est.dtype)
        pull = a @ stats.est - stats.cross  # (batch, n_mix, n_src): inner products of outputs and minus the residuals
        energy = (stats.power + ((pull - stats.cross) * a).sum(-1) + floor).clamp(min=TINY)[..., None]
        without = ((energy - 2 * pull + own).clamp(min=TINY) / energy).log().gather(1, owner[:, None])
        with_it = ((energy + 2 * pull + own).clamp(min=TINY) / energy).log()
        change = (without + with_it).masked_fill(a.bool(), 0)  # (batch, n_mix, n_src)
        gain, best = change.flatten(1).min(-1)
        moving = gain < -FLIP_GAIN
        if not moving.any():
            break
        owner = owner.clone()
        owner[rows[moving], best[moving] % n_src] = best[moving] // n_src
    return owner
