"""What a paper says of its trained model, so that `weaklib.separate` and `weaklib.transcribe` can use it.

A paper joins by a constant `SEPARATING` or `TRANSCRIBING` in its module.

Contents
--------
Separating, Transcribing
    What a model takes and gives.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Separating:
    """What a separator takes and gives.

    Attributes
    ----------
    about : str
        What it does, in a few words.
    sr : int, Hz
    block : int, samples
        What it hears at a time: the length of its training clips, or a few times that.
    window : int, samples
        Length of the windows of its filterbank; shorter audio is refused.
    outputs : tuple of str
    apply : callable
        ``apply(network, mixtures)``, (batch, channel, time) -> estimates (batch, source, channel, time); the network is
        what the paper's `build` makes, trained.
    ordered : bool
        Whether an output is always the same source; else neighbouring blocks are aligned.
    fits : callable
        ``fits(config)`` -> whether what a record's config (a dict) describes is such a separator.
    """

    about: str
    sr: int
    block: int
    window: int
    outputs: tuple[str, ...]
    apply: Callable
    ordered: bool = True
    fits: Callable = lambda config: True


@dataclass(frozen=True)
class Transcribing:
    """What a transcriptor takes and gives.

    Attributes
    ----------
    about, sr, window, fits
        As in `Separating`.
    block : int, samples
        A multiple of `hop`.
    hop : int, samples
        From frame to frame; frame `k` is centred on sample ``k * hop``.
    outputs : dict of str to int
        Instrument -> General MIDI program, from 0.
    lowest : int
        MIDI pitch of the roll's first row.
    apply : callable
        ``apply(network, audio)``, (batch, time) -> values (batch, instrument, pitch, ``time / hop + 1``): from -1,
        certainly not, over 0, the threshold, to 1, certainly a note.
    """

    about: str
    sr: int
    block: int
    window: int
    hop: int
    outputs: dict[str, int]
    lowest: int
    apply: Callable
    fits: Callable = lambda config: True
