"""Models at work outside of a step: what judges them while they train, and how they are applied to a whole split.

Contents
--------
Criterion
    What decides which weights are the best, with the name that an axis gives it.
each
    Apply a model to many items, a few at a time.
modules_in
    The precision in which networks compute.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import get_ident

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils._pytree import tree_map_only
from torch.utils.hooks import RemovableHandle

#: Of input, at once: two clips of 10 s at 16 kHz. A TDCN++ with 16 outputs then needs 0.3 GB (laptop size) to 1.2 GB
#: (published size, learned basis).
NUMBERS = 400_000


@dataclass(frozen=True)
class Criterion:
    """What a model is judged by while it trains; give it to `weaklib.training.fit` as `validate`.

    Attributes
    ----------
    name : str
        With its unit, as the axis of a plot says it: ``"SI-SNRi, dB"``.
    score : callable
        ``score(model)`` -> float, larger is better.
    """

    name: str
    score: Callable

    def __call__(self, model) -> float:
        return float(self.score(model))


@torch.no_grad()
def each(model, items: Iterable, *, take=None, apply=None, numbers: int = NUMBERS) -> Iterator[tuple]:
    """Apply a model to every item, and yield each item with what came out.

    Items are asked for, batched, computed on the model's device and given back in their order. No more than one batch
    and its output is held, however many items there are: score what is yielded, and let it go.

    Parameters
    ----------
    model : Module
    items : iterable
        A split of a corpus, or a tensor ``(item, ...)``, or any other iterable.
    take : callable, optional
        ``take(item)`` -> the model's input, Tensor without a batch axis. Without it, the item's ``mix`` where items
        are dicts, otherwise the item itself.
    apply : callable, optional
        ``apply(batch)`` -> Tensor ``(item, ...)``, such as a method of `model`; without it, `model` itself.
    numbers : int
        How many of input are in a batch at most, unless a single item has more. The memory of a batch is this times
        what the network makes of a number: channels, outputs, the overlap of its frames.

    Yields
    ------
    item, output : Tensor on the CPU
    """
    take = take or (lambda item: item["mix"] if isinstance(item, dict) else item)
    device = next(model.parameters()).device
    held: list = []
    for item, x in ((item, take(item)) for item in items):
        if held and (x.shape != held[0][1].shape or (len(held) + 1) * x.numel() > numbers):
            yield from _batch(held, apply or model, device)
            held = []
        held.append((item, x))
    if held:
        yield from _batch(held, apply or model, device)


def _batch(held: list, apply, device) -> Iterator[tuple]:
    batch = torch.stack([x for _, x in held])
    return zip((item for item, _ in held), apply(batch.to(device)).cpu())


@contextmanager
def modules_in(precision: str, device: str):
    """Let every network that is called within compute in `precision`, and give single precision back.

    That holds however deep a loss reaches for a network: a part of a model, one that judges, one that is called by a
    method. What a loss or a score computes itself stays in single precision, for in bfloat16 the inner products of a
    signal-to-noise ratio are worth nothing; so do modules without weights, such as transforms, and other threads.

    Parameters
    ----------
    precision : {"32-true", "bf16-mixed"}
    device : str
        Its type.
    """
    if precision == "32-true":
        yield
        return
    cast, thread = torch.autocast(device, torch.bfloat16), get_ident()
    handles: dict[nn.Module, RemovableHandle] = {}
    outermost, within = None, 0  # the network at work that was called from outside; how deep it is in calls of itself

    def enter(module, args):
        nonlocal outermost, within
        if get_ident() == thread and outermost is module:
            within += 1
        elif get_ident() == thread and outermost is None and next(module.parameters(), None) is not None:
            if module not in handles:
                handles[module] = module.register_forward_hook(leave, always_call=True)
            outermost = module
            cast.__enter__()

    def leave(module, args, output):
        nonlocal outermost, within
        if get_ident() != thread or outermost is not module:
            return None
        if within:
            within -= 1
            return None
        outermost = None
        cast.__exit__(None, None, None)
        return tree_map_only(torch.Tensor, lambda x: x.float() if x.dtype == torch.bfloat16 else x, output)

    handle = register_module_forward_pre_hook(enter)
    try:
        yield
    finally:
        if outermost is not None:  # interrupted in there
            cast.__exit__(None, None, None)
        for one in (handle, *handles.values()):
            one.remove()
