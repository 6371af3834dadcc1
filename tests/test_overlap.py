"""weaklib.overlap: blocks cover, cross-fades vanish where they must, and permuted outputs come back in order."""
from itertools import permutations

import numpy as np
import pytest
import scipy.signal

from weaklib import overlap

RNG = np.random.default_rng(0)


def pieces(x, rng):
    """`x` in consecutive pieces of random lengths, all in one buffer that each overwrites."""
    buffer, start = np.empty_like(x), 0
    while start < x.shape[-1]:
        n = min(int(rng.integers(1, 200)), x.shape[-1] - start)
        buffer[..., :n] = x[..., start:start + n]
        yield buffer[..., :n]
        start += n


def through(model, x, block, **kwargs):
    """`x` (channel, time) through a model of blocks (channel, block) -> (source, channel, block)."""
    starts = overlap.starts(x.shape[-1], block)
    blocks = overlap.cut(pieces(x, np.random.default_rng(1)), starts, block)
    return np.concatenate(list(overlap.stitch(map(model, blocks), starts, **kwargs)), axis=-1)


@pytest.mark.parametrize("block", [8, 64, 129])
def test_blocks_cover_all_and_share_half(block):
    for length in range(block, 6 * block):
        starts = overlap.starts(length, block)
        assert starts[0] == 0 and starts[-1] == length - block
        steps = np.diff(starts)
        assert np.all(steps[:-1] == block // 2) and np.all((0 < steps) & (steps <= block // 2))


@pytest.mark.parametrize("block", [64, 129])
def test_every_length_comes_back_as_it_was(block):
    for length in range(block, 4 * block):
        x = RNG.standard_normal((2, length)).astype(np.float32)
        y = through(lambda b: np.stack([b, -2 * b]), x, block)
        assert np.array_equal(y, np.stack([x, -2 * x]))


@pytest.mark.parametrize("length", [256, 257, 400, 1000, 2000])
def test_a_filter_gives_what_it_gives_in_one_pass(length):
    """Of 256 samples an eighth beside the fade is thrown away: 65 taps look 32 samples to either side."""
    taps = RNG.standard_normal(65)
    x = RNG.standard_normal((1, length))
    fir = lambda b: scipy.signal.convolve(b, taps[None], "same")[None]
    assert np.abs(through(fir, x, 256) - fir(x)).max() < 1e-12
    if length >= 400:  # what looks further than that differs: the test can fail
        wide = np.zeros((1, 257))
        wide[0, [0, -1]] = 1
        fir = lambda b: scipy.signal.convolve(b, wide, "same")[None]
        assert np.abs(through(fir, x, 256) - fir(x)).max() > 0.1


def test_there_is_no_step_between_blocks_that_disagree():
    """Every block is a constant of its own; the result must move from one to the next by small steps."""
    levels = iter([0.0, 1.0, -1.0, 0.5, 1.0])
    y = through(lambda b: np.full((1, *b.shape), next(levels), np.float32), np.zeros((1, 1100)), 400)[0, 0]
    assert {0.0, 1.0, -1.0, 0.5} <= set(y.tolist())  # each is heard alone
    assert np.abs(np.diff(y)).max() < 2 * np.pi / 2 / 100 * 1.01  # the steepest slope of a fade over 100 samples


def test_permuted_outputs_come_back_in_order():
    """An oracle that knows the sources and permutes them in every block; which order is first decides it."""
    truth = RNG.standard_normal((4, 2, 5000)) * np.array([1, 0.5, 0.1, 0.02])[:, None, None]
    rng, at = np.random.default_rng(3), iter(overlap.starts(5000, 400))
    orders = []

    def oracle(block):
        start = next(at)
        orders.append(rng.permutation(4))
        return truth[orders[-1], :, start:start + 400]

    y = through(oracle, np.zeros((2, 5000)), 400, align=True)
    assert np.allclose(y, truth[orders[0]], atol=1e-12)
    assert len({tuple(order) for order in orders}) > 10


def test_match_is_the_best_of_all_orders():
    for _ in range(50):
        ref, est = RNG.standard_normal((2, 4, 3, 7))
        errors = {order: np.square(ref - est[list(order)]).sum() for order in permutations(range(4))}
        assert tuple(overlap.match(ref, est)) == min(errors, key=errors.get)
