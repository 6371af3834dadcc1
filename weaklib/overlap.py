"""Long signals in blocks: cut them with overlap, cross-fade what a model makes of the blocks.

Neighbouring blocks share half a block at least. In the middle of what they share one fades into the other, over a
quarter of a block; the eighth or more beside it, where a model hears only one side, is thrown away. A linear,
time-invariant model that looks no further than that gives exactly what it gives on the whole signal.

Everything here is a generator over numpy arrays with time (samples or frames) last: no more than a block and its
neighbour is held.

Contents
--------
starts
    Where the blocks begin.
cut
    A signal in pieces of any size -> its blocks.
stitch
    What a model made of the blocks -> one signal, in pieces.
match
    Which outputs of two neighbours belong together.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np


def starts(length: int, block: int) -> list[int]:
    """Return where blocks of `block` <= `length` begin: half a block apart, but the last one is flush with the end.

    So no block needs padding, which a network that normalises over time would take for a pause.
    """
    return [*range(0, length - block, block // 2), length - block]


def cut(pieces: Iterable[np.ndarray], starts: list[int], block: int) -> Iterator[np.ndarray]:
    """Yield the blocks ``(..., block)`` that begin at `starts` of a signal that comes in consecutive pieces."""
    pieces = iter(pieces)
    held, begin = next(pieces).copy(), 0  # a copy: whoever makes the pieces may use its memory again
    for start in starts:
        while begin + held.shape[-1] < start + block:
            held, begin = np.concatenate([held[..., start - begin:], next(pieces)], axis=-1), start
        yield held[..., start - begin:start - begin + block]


def stitch(estimates: Iterable[np.ndarray], starts: list[int], *, align: bool = False) -> Iterator[np.ndarray]:
    """Cross-fade neighbouring estimates.

    Parameters
    ----------
    estimates : iterable of array, shape=(source, ..., block)
    starts : list of int
        Where each begins, from `starts`.
    align : bool
        Whether to put the sources of each block in the order of the one before, see `match`.

    Yields
    ------
    array, shape=(source, ..., time)
        Consecutive pieces of various lengths, which may be views of an estimate.
    """
    done = before = 0
    last = None
    for est, start in zip(estimates, starts):  # in this order, which asks for estimates to their end
        block = est.shape[-1]
        if last is not None:
            shared = before + block - start
            if align:
                est = est[match(last[..., -shared:], est[..., :shared])]
            n = block // 4
            begin = start + (shared - n) // 2
            yield last[..., done - before:begin - before]
            old, new = (x[..., begin - at:begin - at + n] for x, at in ((last, before), (est, start)))
            fade = np.sin(np.pi / 2 * (np.arange(n, dtype=np.float32) + 0.5) / n) ** 2
            yield old + fade * (new - old)
            done = begin + n
        last, before = est, start
    yield last[..., done - before:]


def match(ref: np.ndarray, est: np.ndarray) -> np.ndarray:
    """Return the order of the sources of `est` that brings them nearest to `ref`, in squared error.

    Sizes do not depend on the order, so the inner products decide, and the best assignment among them is found by the
    Hungarian algorithm. A source that is silent where the two overlap has no place of its own: nothing tells it from
    another silent one.

    Parameters
    ----------
    ref, est : array, shape=(source, ..., time)

    Returns
    -------
    order : array of int, shape=(source,)
        ``est[order]`` goes with `ref`.
    """
    from scipy.optimize import linear_sum_assignment
    flat = (x.reshape(len(x), -1) for x in (ref, est))
    gram = np.einsum("it,jt->ij", *flat)  # not a matrix product: BLAS would wake all its threads for it
    return linear_sum_assignment(gram, maximize=True)[1]
