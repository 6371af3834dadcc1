"""mixit against an independent brute force written from the formula, and what must hold whatever the numbers."""
import itertools
import math

import pytest
import torch

from weaklib.files import WeaklibError
from weaklib.losses import mixit, pit, thresholded_snr


def signals(batch, n_src, n_mix, n_time=60, seed=0, consistent=False):
    """Random outputs (double, with gradient) and references; `consistent` outputs add up to the mixture."""
    gen = torch.Generator().manual_seed(seed)
    est = torch.randn(batch, n_src, n_time, generator=gen, dtype=torch.float64)
    ref = torch.randn(batch, n_mix, n_time, generator=gen, dtype=torch.float64)
    if consistent:
        est = est + (ref.sum(1, keepdim=True) - est.sum(1, keepdim=True)) / n_src
    return est.requires_grad_(), ref


def planted(batch, n_src, n_mix=2, n_time=200, seed=0):
    """Outputs that add up to the references exactly under a random assignment."""
    gen = torch.Generator().manual_seed(seed)
    est = torch.randn(batch, n_src, n_time, generator=gen, dtype=torch.float64)
    owner = torch.randint(n_mix, (batch, n_src), generator=gen)
    a = torch.nn.functional.one_hot(owner, n_mix).mT.double()
    return est, a @ est, a


def brute_force(est, ref, snr_max=30.0, allowed=None):
    """Loss (batch,) and assignment, by remixing for every assignment; wisdom2021 Eq. 1 and 2, mean over references."""
    n_src, n_mix = est.shape[1], ref.shape[1]
    losses, owners = [], []
    for e, r in zip(est, ref):
        best = None
        for owner in allowed or itertools.product(range(n_mix), repeat=n_src):
            total = 0
            for n in range(n_mix):
                remix = sum([e[m] for m in range(n_src) if owner[m] == n], torch.zeros_like(e[0]))
                error, power = ((r[n] - remix) ** 2).sum(), (r[n] ** 2).sum()
                total = total - 10 * torch.log10(power / (error + 10 ** (-snr_max / 10) * power))
            if best is None or total < best[0]:
                best = total, owner
        losses.append(best[0] / n_mix)
        owners.append([[float(o == n) for o in best[1]] for n in range(n_mix)])
    return torch.stack(losses), torch.tensor(owners, dtype=torch.float64)


@pytest.mark.parametrize("n_mix, n_src", [(2, 1), (2, 2), (2, 3), (2, 4), (2, 5), (2, 6), (3, 2), (3, 3), (3, 5),
                                          (4, 3), (1, 2)])
@pytest.mark.parametrize("consistent", [False, True])
def test_equals_brute_force(n_mix, n_src, consistent):
    est, ref = signals(3, n_src, n_mix, seed=n_src, consistent=consistent)
    loss, assignment = mixit(est, ref, snr_max=25.0)
    grad, = torch.autograd.grad((loss * torch.tensor([1.0, -2.0, 3.0])).sum(), est)
    expected, expected_assignment = brute_force(est, ref, snr_max=25.0)
    expected_grad, = torch.autograd.grad((expected * torch.tensor([1.0, -2.0, 3.0])).sum(), est)
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(grad, expected_grad, atol=1e-9, rtol=1e-6)
    assert torch.equal(assignment, expected_assignment)


def nearly_right(n_mix, batch=64):
    """Outputs whose errors are about as large as the threshold: three good ones and two weak ones."""
    gen = torch.Generator().manual_seed(n_mix)
    voices = torch.randn(batch, 3, 60, generator=gen, dtype=torch.float64)
    owner = torch.nn.functional.one_hot(torch.arange(3) % n_mix, n_mix).mT.double()
    noise = torch.randn(batch, 5, 60, generator=gen, dtype=torch.float64)
    return torch.cat([voices, torch.zeros(batch, 2, 60)], 1) + 0.3 * noise, owner @ voices


@pytest.mark.parametrize("n_mix", [2, 3])
def test_the_threshold_takes_part_in_the_choice(n_mix):
    est, ref = nearly_right(n_mix)
    loss, assignment = mixit(est, ref, snr_max=6.0)
    expected, chosen = brute_force(est, ref, snr_max=6.0)
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=0)
    assert torch.equal(assignment, chosen)
    assert not torch.equal(brute_force(est, ref, snr_max=300.0)[1], chosen)  # else nothing would be tested


def test_by_hand():
    """Two outputs, the second reference off by a quarter: -30 dB and 10 log10(1/16 + 0.001)."""
    est = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    ref = torch.tensor([[[1.0, 0.0], [0.0, 0.8]]])
    loss, assignment = mixit(est, ref)
    assert loss.item() == pytest.approx((-30 + 10 * math.log10(1 / 16 + 1e-3)) / 2, abs=1e-4)
    assert assignment.tolist() == [[[0, 1], [1, 0]]]


@pytest.mark.parametrize("n_src", [8, 16, 20])
def test_planted_assignment_is_found(n_src):
    est, ref, a = planted(2, n_src, seed=n_src)
    loss, assignment = mixit(est, ref)
    assert torch.equal(assignment, a)
    assert loss.tolist() == pytest.approx([-30] * 2, abs=1e-3)


@pytest.mark.parametrize("n_src, seed", [(6, 0), (6, 1)])
def test_equals_brute_force_for_three_references(n_src, seed):
    est, ref = signals(1, n_src, 3, seed=seed)
    expected, expected_assignment = brute_force(est.detach(), ref)
    loss, assignment = mixit(est, ref)
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=0)
    assert torch.equal(assignment, expected_assignment)


def test_planted_assignment_of_three_references():
    est, ref, a = planted(2, 11, n_mix=3)  # 177147 assignments: several chunks
    assert torch.equal(mixit(est, ref)[1], a)


def test_many_examples_in_pieces():
    """The table is searched in pieces whose size depends on the batch."""
    est, ref = signals(40, 10, 2)
    loss, assignment = mixit(est, ref)
    for i in (0, 17, 39):
        one, a = mixit(est[i:i + 1], ref[i:i + 1])
        assert one.item() == pytest.approx(loss[i].item(), abs=1e-9) and torch.equal(a[0], assignment[i])


def test_long_signals_in_blocks():
    """The Gram matrix is summed over blocks of time, the last one shorter."""
    est, ref = signals(4, 3, 2, n_time=60_003)
    loss, assignment = mixit(est.detach(), ref)
    expected, expected_assignment = brute_force(est.detach(), ref)
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=0)
    assert torch.equal(assignment, expected_assignment)


@pytest.mark.parametrize("search", ["exact", "lsq", "lsq+flip"])
def test_order_of_references_and_outputs_does_not_matter(search):
    est, ref = signals(5, 6, 2, seed=3)
    loss, assignment = mixit(est, ref, search=search)
    swapped, swapped_assignment = mixit(est, ref.flip(1), search=search)
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    permuted, permuted_assignment = mixit(est[:, order], ref, search=search)
    torch.testing.assert_close(swapped, loss)
    torch.testing.assert_close(permuted, loss)
    assert torch.equal(swapped_assignment, assignment.flip(1))
    assert torch.equal(permuted_assignment, assignment[:, :, order])


def test_estimates_and_references_cannot_be_swapped():
    est, ref = signals(4, 2, 2)
    assert (mixit(est, 3 * ref)[0] - mixit(3 * ref, est)[0]).abs().min() > 0.5


def test_minimum_is_per_example():
    """Two examples that need opposite assignments: a minimum over the batch would miss one."""
    x = torch.eye(4)[None, :2]
    est, ref = torch.cat([x, x]), torch.cat([x, x.flip(1)])
    loss, assignment = mixit(est, ref)
    assert loss.tolist() == pytest.approx([-30, -30], abs=1e-3)
    assert assignment[0].tolist() == [[1, 0], [0, 1]] and assignment[1].tolist() == [[0, 1], [1, 0]]


def test_consistent_outputs_leave_equal_errors():
    """If outputs add up to the mixture, both residuals have the same energy."""
    est, ref = signals(4, 5, 2, consistent=True)
    _, assignment = mixit(est, ref)
    first, second = (ref - assignment @ est).square().sum(-1).unbind(1)
    torch.testing.assert_close(first, second)


def test_references_as_outputs_make_mixit_pit():
    """As many outputs as references, each used once: MixIT is PIT (wisdom2020 Section 3.3)."""
    for n in (2, 3, 4):
        est, ref = signals(6, n, n, seed=n)
        est = (ref.flip(1) + 0.5 * est).detach()
        loss, assignment = mixit(est, ref, constraints=list(itertools.permutations(range(n))))
        expected, permutation = pit(est, ref)
        torch.testing.assert_close(loss, expected)
        assert torch.equal(assignment.argmax(2), permutation)


# Constraints

@pytest.mark.parametrize("n_mix, allowed", [(2, [(0, 0, 1), (0, 1, 0)]), (2, [(1, 1, 1)]),
                                            (3, [(0, 1, 2), (2, 1, 0), (1, 1, 1)])])
def test_constraints_are_a_masked_brute_force(n_mix, allowed):
    est, ref = signals(8, 3, n_mix, seed=1)
    expected, expected_assignment = brute_force(est, ref, allowed=allowed)
    for constraints in (allowed, torch.tensor(allowed)):
        loss, assignment = mixit(est, ref, constraints=constraints)
        torch.testing.assert_close(loss, expected, atol=1e-6, rtol=0)
        assert torch.equal(assignment, expected_assignment)


def test_all_assignments_allowed_is_no_constraint():
    est, ref = signals(4, 6, 2)
    every = torch.tensor(list(itertools.product(range(2), repeat=6)))
    torch.testing.assert_close(mixit(est, ref, constraints=every)[0], mixit(est, ref)[0])


def test_two_references_as_boolean_mask():
    est, ref = signals(4, 3, 2)
    mask = torch.tensor([[False, False, True], [False, True, False]])
    assert torch.equal(mixit(est, ref, constraints=mask)[1], mixit(est, ref, constraints=[(0, 0, 1), (0, 1, 0)])[1])


# Approximate searches

def test_least_squares_is_the_projected_solution():
    """wisdom2021 Eq. 3: a one where the least-squares mixing matrix has the largest entry of each column."""
    for n_mix in (2, 3):
        est, ref = signals(6, 5, n_mix, n_time=80)
        weights = torch.linalg.lstsq(est.detach().mT, ref.mT).solution  # (batch, n_src, n_mix)
        expected = torch.nn.functional.one_hot(weights.argmax(2), n_mix).mT.double()
        assert torch.equal(mixit(est, ref, search="lsq")[1], expected)


def test_least_squares_of_two_is_the_sign_of_one_regression():
    est, ref = signals(16, 6, 2, seed=5)
    difference = torch.linalg.lstsq(est.detach().mT, (ref[:, :1] - ref[:, 1:]).mT).solution[..., 0]
    assert torch.equal(mixit(est, ref, search="lsq")[1][:, 0].bool(), difference > 0)


def nearly_silent(n_src):
    """Half of the outputs explain the references, the others are 40 dB lower: where least squares misses."""
    gen = torch.Generator().manual_seed(n_src)
    est, ref, _ = planted(64, n_src, seed=n_src)
    est = est.clone()
    est[:, n_src // 2:] *= 0.01
    return est + 0.3 * torch.randn(est.shape, generator=gen, dtype=torch.float64) * est.std(-1, keepdim=True), ref


@pytest.mark.parametrize("n_mix, n_src", [(2, 6), (2, 12), (3, 6)])
def test_approximations_are_ordered(n_mix, n_src):
    est, ref = signals(32, n_src, n_mix, seed=7)
    exact, lsq, flip = (mixit(est, ref, search=s)[0] for s in ("exact", "lsq", "lsq+flip"))
    assert (exact <= flip + 1e-9).all() and (flip <= lsq + 1e-9).all()
    assert (flip < lsq - 0.01).any() and (exact < flip - 1e-3).any()  # else nothing would be tested


@pytest.mark.parametrize("given, snr_max", [(lambda: signals(8, 7, 2, seed=2), 30.0), (lambda: nearly_right(2), 6.0)])
def test_flips_end_where_no_single_flip_helps(given, snr_max):
    est, ref = given()
    loss, assignment = mixit(est, ref, search="lsq+flip", snr_max=snr_max)
    for m in range(est.shape[1]):
        owner = assignment.argmax(1)
        owner[:, m] = 1 - owner[:, m]
        for i in range(len(est)):
            flipped, _ = brute_force(est[i:i + 1], ref[i:i + 1], snr_max, allowed=[owner[i].tolist()])
            assert flipped.item() > loss[i].item() - 1e-6


def test_flips_repair_what_nearly_silent_outputs_break():
    est, ref = nearly_silent(8)
    exact, lsq, flip = (mixit(est, ref, search=s)[0].mean() for s in ("exact", "lsq", "lsq+flip"))
    assert flip - exact < 0.1 * (lsq - exact)


def test_more_outputs_than_an_exact_search_allows():
    est, ref, a = planted(2, 40)
    assert torch.equal(mixit(est, ref, search="lsq")[1], a)
    with pytest.raises(WeaklibError, match="lsq\\+flip"):
        mixit(est, ref)


# Silence and hard inputs

@pytest.mark.parametrize("search", ["exact", "lsq", "lsq+flip"])
def test_zero_and_duplicated_outputs(search):
    est, ref, _ = planted(4, 6, seed=4)
    est[:, 1] = 0
    est[:, 3] = est[:, 2]
    loss, assignment = mixit(est.requires_grad_(), ref, search=search)
    loss.sum().backward()
    assert loss.isfinite().all() and est.grad.isfinite().all()
    assert (assignment.sum(1) == 1).all()
    assert (assignment[:, 0, 1] == 1).all()  # silent: reference 0


def test_silent_outputs_join_reference_0():
    for n_mix, ref in ((2, torch.randn(3, 2, 50)), (3, torch.randn(3, 3, 50))):
        for search in ("exact", "lsq", "lsq+flip"):
            assert mixit(torch.zeros(3, 4, 50), ref, search=search)[1].argmax(1).eq(0).all()


@pytest.mark.parametrize("search", ["exact", "lsq", "lsq+flip"])
@pytest.mark.parametrize("est_level, ref_level", [(0, 0), (0, 1), (1, 0), (1e-10, 1e-10)])
def test_silence_is_finite(search, est_level, ref_level):
    gen = torch.Generator().manual_seed(0)
    est = (est_level * torch.randn(2, 4, 100, generator=gen)).requires_grad_()
    loss, _ = mixit(est, ref_level * torch.randn(2, 2, 100, generator=gen), search=search)
    loss.sum().backward()
    assert loss.isfinite().all() and est.grad.isfinite().all()


def test_zero_reference_is_measured_against_the_mixture():
    """One output equals the only mixture, the other has 1 % of its energy: 10 log10(0.02) for the zero reference."""
    x = torch.tensor([1.0, 0, 0, 0])
    est = torch.stack([x, torch.tensor([0, 0.1, 0, 0])])[None]
    ref = torch.stack([x, torch.zeros(4)])[None]
    loss, assignment = mixit(est, ref, constraints=[(0, 1)])
    assert loss.item() == pytest.approx((-30 + 10 * math.log10(0.02)) / 2, abs=1e-4)
    # Free to choose: 1 % error on the reference costs more than the zero reference gains.
    loss, assignment = mixit(est, ref)
    assert loss.item() == pytest.approx((-30 + 10 * math.log10(0.02)) / 2, abs=1e-4)
    assert assignment.tolist() == [[[1, 0], [0, 1]]]
    silent = est * torch.tensor([1.0, 0.0])[:, None]
    assert mixit(silent, ref)[0].item() == pytest.approx((-30 - 20) / 2, abs=1e-3)


def test_bfloat16_under_autocast_is_computed_in_full_precision():
    est, ref, a = planted(4, 6, n_time=4000)
    est, ref = est.to(torch.bfloat16).requires_grad_(), ref.to(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, assignment = mixit(est, ref)
    loss.sum().backward()
    expected, expected_assignment = mixit(est.detach().double(), ref.double())
    assert loss.dtype is torch.float32 and torch.equal(assignment.double(), expected_assignment)
    torch.testing.assert_close(loss.double(), expected, atol=1e-3, rtol=0)
    assert est.grad.dtype is torch.bfloat16 and est.grad.isfinite().all()


def test_level_does_not_matter():
    est, ref = signals(4, 5, 2, n_time=400)
    loss, assignment = mixit(est, ref)
    for gain in (1e-2, 1e3):
        scaled, a = mixit(gain * est, gain * ref)
        torch.testing.assert_close(scaled, loss, atol=1e-4, rtol=0)
        assert torch.equal(a, assignment)


@pytest.mark.parametrize("est, ref, options, message", [
    (torch.zeros(2, 3, 10), torch.zeros(2, 2, 9), {}, "same batch and time"),
    (torch.zeros(3, 10), torch.zeros(2, 10), {}, "batch, source, time"),
    (torch.zeros(2, 3, 0), torch.zeros(2, 2, 0), {}, "batch, source, time"),
    (torch.full((1, 2, 5), torch.nan), torch.ones(1, 2, 5), {}, "NaN"),
    (torch.ones(1, 2, 5), torch.full((1, 2, 5), torch.inf), {}, "NaN or infinity"),
    (torch.ones(1, 2, 5), torch.ones(1, 2, 5), {"search": "best"}, "lsq"),
    (torch.ones(1, 17, 5), torch.ones(1, 3, 5), {}, "lsq\\+flip"),
    (torch.ones(1, 3, 5), torch.ones(1, 2, 5), {"constraints": [(0, 2, 1)]}, "references 0 to 1"),
    (torch.ones(1, 3, 5), torch.ones(1, 2, 5), {"constraints": [(0, 1)]}, "3 outputs"),
    (torch.ones(1, 3, 5), torch.ones(1, 2, 5), {"constraints": [(0, 1), (1,)]}, "constraints"),
    (torch.ones(1, 3, 5), torch.ones(1, 2, 5), {"constraints": [(0, 1, 0)], "search": "lsq"}, "exact"),
])
def test_bad_input_gets_one_sentence(est, ref, options, message):
    with pytest.raises(WeaklibError, match=message):
        mixit(est, ref, **options)


@pytest.mark.parametrize("loss", [mixit, pit, lambda est, ref: (thresholded_snr(est[:, :2], ref), None)])
@pytest.mark.parametrize("of_ref", [torch.float64, torch.float32, torch.bfloat16, torch.int16])
@pytest.mark.parametrize("of_est", [torch.float64, torch.float32, torch.bfloat16])
def test_precisions_may_differ_and_the_loss_has_that_of_the_estimates(loss, of_est, of_ref):
    est, ref = signals(2, 4, 2, seed=3)
    est, ref = est.detach().to(of_est).requires_grad_(), (3 * ref).to(of_ref)
    found, chosen = loss(est, ref)
    want, best = loss(est.detach().double(), ref.double())
    full = torch.float64 if of_est is torch.float64 else torch.float32
    assert found.dtype is full and (loss is not mixit or chosen.dtype is full)
    torch.testing.assert_close(found.double(), want, rtol=1e-5, atol=1e-4)
    assert chosen is None or torch.equal(chosen.long(), best.long())
    found.sum().backward()
    assert est.grad.dtype is of_est and est.grad.abs().sum() > 0


@pytest.mark.parametrize("loss", [mixit, pit])
def test_strided_signals_are_signals(loss):
    est, ref = (x.detach() for x in signals(2, 4, 2))
    strided = est.transpose(1, 2).contiguous().transpose(1, 2), torch.stack([ref, ref], -1)[..., 0]
    torch.testing.assert_close(loss(*strided)[0], loss(est, ref)[0])
    with pytest.raises(WeaklibError, match="tensors"):
        loss(est.numpy(), ref)
