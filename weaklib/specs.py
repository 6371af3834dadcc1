"""What a paper says of its trained model, so that `weaklib.separate` and `weaklib.transcribe` can use it.

A paper joins by a constant `SEPARATING` or `TRANSCRIBING` in its module.

Contents
--------
Separating, Transcribing
    What a model takes and gives.
phrased
    A query as the sentence that a network has learned to read.
"""
from __future__ import annotations

import math
import re
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
        Empty if it is asked in words: its outputs are then what is asked for, and the rest.
    apply : callable
        ``apply(network, mixtures)``, (batch, channel, time) -> estimates (batch, source, channel, time); the network is
        what the paper's `build` makes, trained. If it is asked in words: ``apply(network, mixtures, prompt)`` -> the
        estimate of one query, (batch, channel, time).
    ordered : bool
        Whether an output is always the same source; else neighbouring blocks are aligned.
    fits : callable
        ``fits(config)`` -> whether what a record's config (a dict) describes is such a separator.
    example : str
        A query, such as "the sound of a violin", with which errors and the desk show how it is asked; empty if it is
        not asked in words.
    prompt : callable
        ``prompt(query)`` -> what `apply` gets of a query, made once however long the audio is: the words, put as the
        network knows them (see `phrased`), or their encoding.
    absent : float, dB
        Level relative to the mixture below which what was asked for is probably not there. The default is a guess; a
        paper that has measured what comes out of queries for absent sources gives its own.
    strange : float, dB
        Level of what the outputs leave over, relative to the mixture, above which the sound is probably not of the kind
        that the network has learned from. A paper whose outputs need not add up to the mixture may have measured it.
    """

    about: str
    sr: int
    block: int
    window: int
    outputs: tuple[str, ...]
    apply: Callable
    ordered: bool = True
    fits: Callable = lambda config: True
    example: str = ""
    prompt: Callable = str
    absent: float = -30.0
    strange: float = math.inf


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


def phrased(query: str, template: Callable[[list[str]], str]) -> str:
    """Put a bare name into the sentence in which a network has learned such names.

    With ``template(["violin"])`` being "The sound of violin", the queries "violin" and "a violin" become just that,
    without an article, because the names of classes have none. A query that speaks of a sound itself, such as "the
    sound of a violin", stays as it is: the network reads sentences, and it is the user who has chosen this one.

    Parameters
    ----------
    query : str
    template : callable
        List of names -> sentence.

    Returns
    -------
    str
    """
    if re.search(r"\bsounds?\b", query, re.I):
        return query
    return template([re.sub(r"^(an?|the|some)\s+", "", query.strip(" ."), flags=re.I)])
