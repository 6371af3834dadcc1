"""Trained models on your own audio, of any length, sample rate and number of channels.

What a paper's model takes and gives is said by `weaklib.specs`. The rest is here: audio comes in piece by piece, is
resampled, cut into overlapping blocks (see `weaklib.overlap`), a few of which go through the model at a time, and what
comes out is cross-faded and resampled back. Nothing but the result is as long as the audio, and the functions for files
do not even hold that.

Contents
--------
separate, transcribe
    Arrays in; stems or MIDI out. Both, and `methods`, are also there as ``weaklib.separate`` and so on.
separate_file, transcribe_file
    The same from file to file.
methods, trained, separator
    What there is, and which of it separates.
stem_path
    How files of stems are called.
"""
from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from weaklib import audio as sound
from weaklib import experiment, files, overlap, runs, weights
from weaklib.files import WeaklibError
from weaklib.progress import track
from weaklib.rolls import notes
from weaklib.specs import Separating, Transcribing

AT_ONCE = 4       # blocks through the model: with more, arrays grow past what the C library keeps for reuse
PIECE = 1 << 16   # samples of an array that are taken at a time
PATIENCE = 2.0    # s of work after which progress is shown
MIDI = (".mid", ".midi")
VELOCITY = 80     # of every note: the models say what sounds, not how loud
FLOOR = 1e-4      # peak, -80 dBFS, below which no note sounds: networks that normalise hear notes in noise of any level

DEFAULT = "hung2021"  # the method, unless another is named
REST = "the rest"     # of what is not asked for, or not worth a stem of its own
UNNAMED = re.compile(r'[<>:"/\\|?*\x00-\x1f]+')  # in a file name, on one system or another

#: What can be done -> the name of the constant in a paper's module.
KINDS = {"separate": "SEPARATING", "transcribe": "TRANSCRIBING"}


def methods() -> list[dict]:
    """List what `separate` and `transcribe` can do.

    Returns
    -------
    list of dict
        ``method`` (its name), ``does`` ("separate" or "transcribe"), ``about``, ``sr`` (Hz, above half of which it
        hears and gives nothing), ``outputs`` (names; none if it is asked in words), ``ordered`` (whether each is always
        the same source), ``query`` (an example of one, empty if it is not asked in words), ``absent`` and ``strange``
        (dB, see `weaklib.specs.Separating`), and ``comes`` (whether a trained model comes with the package; else give a
        record).
    """
    return [{"method": key, "does": does, "about": spec.about, "sr": spec.sr, "outputs": tuple(spec.outputs),
             "ordered": getattr(spec, "ordered", True), "query": getattr(spec, "example", ""),
             "absent": getattr(spec, "absent", None), "strange": getattr(spec, "strange", None), "comes": _comes(key)}
            for does in KINDS for key in experiment.PAPERS if (spec := _spec(key, does))]


def trained(method: str, does: str) -> list[runs.Record]:
    """List the models of a method that were trained on this machine and have their weights here.

    Parameters
    ----------
    method : str
    does : {"separate", "transcribe"}
    """
    spec = _named(method, does)
    return [record for record in runs.kept(method) if record.weights_path and spec.fits(record.key["config"])]


def separator(method: str | None = None, record=None, query=None) -> str:
    """Return the name of the method that separates.

    It is the one that is named, or that of the record; with a query the first that is asked in words, if possible one
    whose model comes with the package; else `DEFAULT`.
    """
    if method is not None or record is not None:
        return method if method is not None else record.key["paper"]
    able = [] if query is None else _asked_in_words()
    return next(filter(_comes, able), (able or [DEFAULT])[0])  # the error of loading the first says what is missing


def stem_path(folder, name: str, output: str) -> Path:
    """Return where a stem of a recording with this name is written; a query may hold what no file name does."""
    return files.path(folder) / f"{name}-{UNNAMED.sub('-', output)}.wav"


def separate(audio, sr: int, method: str | None = None, *, query: str | list[str] | None = None, record=None,
             device: str = "auto") -> dict[str, np.ndarray]:
    """Separate audio of any length.

    Channels share what was estimated from their mean, so that a source stays where it is in the stereo image; where
    they cancel each other in it, those that are upside down are turned over for that. Above half the method's own
    sample rate nothing is separated, and the stems have nothing. A constant offset (DC) of a channel is taken off
    first, and the stems lack it: nobody hears it, and a model does.

    Parameters
    ----------
    audio : array, shape=(time,) or (channel, time)
        Floats in [-1, 1], or signed integers, which are divided by their range.
    sr : int, Hz
        Any; it is resampled to the method's and back.
    method : str, optional
        See `methods`; by default that of `separator`.
    query : str or list of str, optional
        What to look for, with methods that are asked in words and need it: "a violin", or ["a violin", "a piano"].
    record : weaklib.runs.Record, optional
        A model of your own; by default the one that comes with the package.
    device : {"auto", "cpu", "cuda"}

    Returns
    -------
    dict of str to array, float32
        The outputs of the method, each in the shape of `audio`. A method that is asked in words has an output for each
        query, by its words, and "the rest", with which they add up to what it hears of the audio; what two queries
        both find is taken from the rest twice. Those without a fixed order ("output 1", ...) keep to one source from
        block to block, as far as their overlap shows.

    Raises
    ------
    WeaklibError
        If the audio is empty, not finite, too short or of the wrong shape, there is no such method or model, or it is
        asked in words and there is no query, or the other way round.

    Warns
    -----
    UserWarning
        If what was asked for is so quiet that it is probably not there.
    """
    method = separator(method, record, query)
    spec = _asked(method, _named(method, "separate", record), query)
    x, sr = _checked(audio, sr, method, spec)
    stems = {name: np.empty(x.shape, dtype=np.float32) for name in spec.outputs}
    done = 0
    run = _loaded(method, spec, record, device)
    for piece in _separated(spec, run, _pieces(x), sr, *x.shape, sound.balance(_pieces(x))):
        n = piece.shape[-1]
        for stem, part in zip(stems.values(), piece):
            stem[:, done:done + n] = part
        done += n
    return {name: stem if np.ndim(audio) == 2 else stem[0] for name, stem in stems.items()}


def transcribe(audio, sr: int, method: str | None = None, *, threshold: float = 0.0, record=None,
               device: str = "auto"):
    """Transcribe audio of any length.

    Parameters
    ----------
    audio : array, shape=(time,) or (channel, time)
        Floats in [-1, 1], or signed integers, which are divided by their range. The mean of the channels is heard,
        without an offset; where they cancel each other in it, those that are upside down are turned over.
    sr : int, Hz
    method : str, optional
        See `methods`; by default the first whose model comes with the package, or the record's.
    threshold : float
        Between -1 (every note there is) and 1 (none): 0 is at the model's own thresholds, 0.5 halfway from there to
        certainty, -0.5 halfway to nothing.
    record : weaklib.runs.Record, optional
    device : {"auto", "cpu", "cuda"}

    Returns
    -------
    pretty_midi.PrettyMIDI
        One instrument per output of the method, with notes or without. A note is a run of frames in which its pitch
        sounds, two at least; velocities are all the same.

    Raises
    ------
    WeaklibError
        As `separate` does.
    """
    method, spec = _transcriptor(method, record)
    x, sr = _checked(audio, sr, method, spec)
    run = _loaded(method, spec, record, device)
    return _transcribed(spec, run, _pieces(x), sr, x.shape[-1], sound.balance(_pieces(x)), threshold)


def separate_file(path, folder, method: str | None = None, *, query: str | list[str] | None = None, record=None,
                  device: str = "auto", overwrite: bool = False, spare=()) -> list[Path]:
    """Separate a file into ``<folder>/<name of the file>-<output>.wav``, float at the file's own rate.

    The stems are written as they come, and appear when all are complete.

    Parameters
    ----------
    path : path-like
        See `weaklib.audio.read`.
    folder : path-like
        Made if need be.
    method, query, record, device
        See `separate`, also for what is warned of.
    overwrite : bool
        Whether stems may be there already.
    spare : iterable of path-like
        Recordings that no stem may replace, whatever `overwrite` says; `path` is one of them.

    Returns
    -------
    list of Path

    Raises
    ------
    WeaklibError
        As `separate` and `weaklib.audio.read` do, or if a stem exists or cannot be written.
    """
    method = separator(method, record, query)
    spec = _asked(method, _named(method, "separate", record), query)
    path, folder = sound.found(path), files.path(folder)
    to = [stem_path(folder, path.stem, name) for name in spec.outputs]
    for target in to:
        _may_write(target, overwrite, (path, *spare))
    (n_channels, n_samples, sr), balance = sound.survey(path)
    _long_enough(n_samples, sr, method, spec, path)
    files.need_space(folder, 4 * len(to) * n_channels * n_samples)
    run = _loaded(method, spec, record, device)
    stems = _separated(spec, run, sound.blocks(path, PIECE), sr, n_channels, n_samples, balance)
    with ExitStack() as stack:
        add = [stack.enter_context(sound.writing(target, sr, n_channels, n_samples)) for target in to]
        for piece in stems:
            for write, part in zip(add, piece):
                write(part)
    return to


def transcribe_file(path, to, method: str | None = None, *, threshold: float = 0.0, record=None,
                    device: str = "auto", overwrite: bool = False) -> Path:
    """Transcribe a file into the MIDI file `to`; for the rest see `transcribe` and `separate_file`."""
    path, to = sound.found(path), files.path(to)
    if to.suffix.lower() not in MIDI:
        raise WeaklibError(f"Cannot write {to.name}; choose a name that ends in .mid.")
    _may_write(to, overwrite)
    method, spec = _transcriptor(method, record)
    (_, n_samples, sr), balance = sound.survey(path)
    _long_enough(n_samples, sr, method, spec, path)
    run = _loaded(method, spec, record, device)
    with files.replacing(to) as tmp:  # so that what hinders it is met before the work
        midi = _transcribed(spec, run, sound.blocks(path, PIECE), sr, n_samples, balance, threshold)
        midi.write(str(tmp))
    return to


def write_midi(to, midi) -> Path:
    """Write a pretty_midi.PrettyMIDI, whole or not at all."""
    buffer = io.BytesIO()
    midi.write(buffer)
    files.write_bytes(to, buffer.getvalue())
    return files.path(to)


# What goes on between audio in pieces and the result

def _separated(spec: Separating, run, pieces, sr, n_channels, n_samples, balance) -> Iterator[np.ndarray]:
    """Yield the stems, consecutive pieces (source, channel, time) at `sr`, `n_samples` in all."""
    pieces, turn = _balanced(pieces, *balance)
    length = -(-n_samples * spec.sr // sr)
    block = min(spec.block, length)
    at = overlap.starts(length, block)
    blocks = overlap.cut(sound.resample_blocks(pieces, sr, spec.sr, length), at, block)
    estimates = _modelled(run, blocks, max(1, AT_ONCE // n_channels))
    stems = overlap.stitch(track(estimates, "separating", len(at), delay=PATIENCE), at, align=not spec.ordered)
    flat = (stem.reshape(len(spec.outputs) * n_channels, stem.shape[-1]) for stem in stems)
    whole = sound.resample_blocks(flat, spec.sr, sr, n_samples)
    pieces = (piece.reshape(len(spec.outputs), n_channels, piece.shape[-1]) for piece in whole)
    for piece in _found(spec, pieces) if spec.example else pieces:
        yield turn * piece


def _found(spec: Separating, stems: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Pass stems (output, channel, time) on, and warn at the end of what was asked for and is hardly there."""
    energy, total = 0.0, 0.0
    for piece in stems:
        energy, total = energy + _energy(piece), total + _energy(piece.sum(0, keepdims=True))
        yield piece
    if not total:
        return
    for query, level in zip(spec.outputs[:-1], sound.db(np.sqrt(energy / total)).tolist()):
        if level < spec.absent:
            how = "silent" if level == -np.inf else f"{-level:.0f} dB below the recording"
            warnings.warn(f'What was asked for as "{query}" comes out {how}: it is probably not there.', stacklevel=4)


def _energy(stems) -> np.ndarray:
    return np.einsum("sct,sct->s", stems, stems, dtype=np.float64)


def _transcribed(spec: Transcribing, run, pieces, sr, n_samples, balance, threshold):
    """Return the notes of a whole signal as MIDI."""
    if not -1 < threshold < 1:
        raise WeaklibError(f"threshold={threshold} leaves nothing to decide; give one between -1 and 1.")
    from weaklib.midi import pretty_midi
    n_hops = -(-n_samples * spec.sr // (sr * spec.hop))
    block = min(spec.block // spec.hop, n_hops)
    at = overlap.starts(n_hops, block)
    mono = (piece.mean(0, keepdims=True) for piece in _balanced(pieces, *balance)[0])
    mono = sound.resample_blocks(mono, sr, spec.sr, n_hops * spec.hop)
    blocks = overlap.cut(mono, [spec.hop * start for start in at], spec.hop * block)
    values = _modelled(lambda x: _audible(run(x[:, 0]), x[:, 0], spec.hop), blocks, AT_ONCE)
    rolls = overlap.stitch(track(values, "transcribing", len(at), delay=PATIENCE), at)
    roll = np.concatenate([piece > threshold for piece in rolls], axis=-1)
    midi = pretty_midi.PrettyMIDI()
    for (name, program), one in zip(spec.outputs.items(), roll):
        instrument = pretty_midi.Instrument(program, name=name)
        played = notes(one, spec.sr / spec.hop, spec.lowest)
        played[:, 1] = np.minimum(played[:, 1], n_samples / sr)  # the last frame reaches beyond the end
        instrument.notes = [pretty_midi.Note(VELOCITY, int(pitch), onset, offset)
                            for onset, offset, pitch in played.tolist()]
        midi.instruments.append(instrument)
    return midi


def _balanced(pieces, offset, polarity) -> tuple[Iterator[np.ndarray], np.ndarray]:
    """Take offsets off and turn channels over (see `weaklib.audio.balance`); return that, and what turns them back."""
    turn = polarity[:, None]
    if (polarity < 0).any():
        channels = ", ".join(str(k + 1) for k in np.flatnonzero(polarity < 0))
        warnings.warn(f"The channels cancel each other in their mean; it is taken with channel {channels} turned over.",
                      stacklevel=3)
    return (turn * (piece - offset[:, None]) for piece in pieces), turn


def _audible(values, x, hop):
    """Set `values` (batch, ..., frame) to -1 in frames without sound in `x` (batch, time) up to a hop away."""
    peaks = np.abs(x).reshape(len(x), -1, hop).max(-1)
    loud = np.pad(peaks, ((0, 0), (1, 1))) > FLOOR
    heard = loud[:, :-1] | loud[:, 1:]  # the hop before a frame, or the one after
    return np.where(heard[:, None, None], values, np.float32(-1))


def _modelled(run, blocks: Iterable[np.ndarray], at_once: int) -> Iterator[np.ndarray]:
    """Yield what `run` makes of each block (channel, time), a few of which it gets at a time."""
    batch = []
    for block in blocks:
        batch.append(block)
        if len(batch) == at_once:
            yield from run(np.stack(batch))
            batch = []
    if batch:
        yield from run(np.stack(batch))


def _loaded(method: str, spec, record, device: str):
    """Load a model onto a device, as a function of arrays."""
    import torch

    from weaklib.training import resolve
    with _float32():
        network = experiment.load(method).network(record).to(device := resolve(device))

    def run(x):
        with torch.inference_mode(), _float32():
            return spec.apply(network, torch.from_numpy(x).to(device)).float().cpu().numpy()

    return run


@contextmanager
def _float32():
    """Have new tensors in single precision, as the models are, whatever a notebook has set."""
    import torch
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _pieces(x) -> Iterator[np.ndarray]:
    for start in range(0, x.shape[-1], PIECE):
        yield x[:, start:start + PIECE].astype(np.float32, copy=False)


# What is refused

def _checked(x, sr, method, spec) -> tuple[np.ndarray, int]:
    """Return `audio` as (channel, time) and `sr` as an int, or raise a WeaklibError."""
    x = sound.to_numpy(x, None)
    if x.ndim not in (1, 2) or x.dtype.kind not in "fi" or x.dtype.kind == "i" and x.dtype.itemsize > 4:
        raise WeaklibError("Audio has shape (time,) or (channel, time), and floats in [-1, 1] or signed integers of at "
                           f"most 32 bits, not {x.shape} and {x.dtype}.")
    if x.dtype.kind == "i":
        x = x.astype(np.float32) / np.float32(-np.iinfo(x.dtype).min)
    x = np.atleast_2d(x)
    if x.size == 0:
        raise WeaklibError("The audio holds no samples; check where it comes from.")
    if len(x) > x.shape[-1]:
        raise WeaklibError(f"The audio has {len(x)} channels of {x.shape[-1]} samples; give (channel, time), "
                           "not (time, channel).")
    if not np.isfinite([x.min(), x.max()]).all():
        raise WeaklibError("The audio holds values that are not finite (NaN or infinity); check where it comes from.")
    if not (sr > 0 and sr == int(sr)):
        raise WeaklibError(f"sr={sr} is not a sample rate; give a whole number of Hz.")
    _long_enough(x.shape[-1], int(sr), method, spec)
    return x, int(sr)


def _long_enough(n_samples, sr, method, spec, path="The audio") -> None:
    if n_samples * spec.sr < spec.window * sr:
        raise WeaklibError(f"{path} lasts {1e3 * n_samples / sr:.3g} ms and {method} needs "
                           f"{1e3 * spec.window / spec.sr:.3g} ms at least; choose a longer one.")


def _may_write(path: Path, overwrite: bool, spare=()) -> None:
    if not os.path.exists(path):  # pathlib's own raises where it may not look
        return
    if any(os.path.exists(one) and os.path.samefile(path, one) for one in spare):
        raise WeaklibError(f"{path} is a recording that is to be read, and a stem would replace it; choose another "
                           "folder for the stems.")
    if not overwrite:
        raise WeaklibError(f"{path} is there already; choose another place, or overwrite it (--force).")


def _spec(key: str, does: str):
    return getattr(experiment.load(key).method, KINDS[does], None)


def _asked_in_words() -> list[str]:
    """Methods that separate what they are asked for in words."""
    return [key for key in experiment.PAPERS if (spec := _spec(key, "separate")) and spec.example]


def _asked(method: str, spec: Separating, query) -> Separating:
    """Return a separator that has been asked, if it is asked in words: one like all others, with these outputs."""
    if not spec.example:
        if query is not None:
            raise WeaklibError(f"{method} takes no query; leave it out, or choose {' or '.join(_asked_in_words())}.")
        return spec
    queries = _queries(method, spec, query)
    prompts = cache(lambda: [spec.prompt(one) for one in queries])  # when they are needed, and only once

    def apply(network, x):
        import torch
        est = torch.stack([spec.apply(network, x, prompt) for prompt in prompts()], 1)
        return torch.cat([est, (x - est.sum(1))[:, None]], 1)

    return replace(spec, outputs=(*queries, REST), apply=apply)


def _queries(method: str, spec: Separating, query) -> list[str]:
    """Return queries as a list, or raise a WeaklibError."""
    queries = [query] if isinstance(query, str) else [] if query is None else query
    if not isinstance(queries, (list, tuple)) or not all(isinstance(one, str) for one in queries):
        raise WeaklibError(f"A query is a text, or a list of texts, and not {query!r}.")
    queries = [" ".join(one.split()) for one in queries]
    if not queries or not all(queries):
        raise WeaklibError(f'{method} has to be asked in words; give a query, such as "{spec.example}".')
    names = [UNNAMED.sub("-", one).casefold() for one in (*queries, REST)]
    for k, name in enumerate(names):
        if name in names[:k]:
            raise WeaklibError(f'Two outputs would be called "{name}"; ask for each thing once.' if k < len(queries)
                               else f'"{REST}" is an output anyway; ask for something else.')
    return queries


def _named(method: str, does: str, record=None):
    """Return what a paper says of its model, or raise a WeaklibError if it has none or `record` is not of it."""
    spec = _spec(method, does) if method in experiment.PAPERS else None
    if spec is None:
        able = [key for key in experiment.PAPERS if _spec(key, does)]
        raise WeaklibError(f"No method called {method!r} can {does}; choose one of {', '.join(able)}.")
    if record is not None and record.key["paper"] != method:
        raise WeaklibError(f"The model of {record.id} is one of {record.key['paper']}, not of {method}; leave the "
                           "method out.")
    if record is not None and not spec.fits(record.key["config"]):
        raise WeaklibError(f"The model of {record.id} cannot {does} as {method} does; choose one of "
                           f"weaklib.inference.trained({method!r}, {does!r}).")
    return spec


def _transcriptor(method: str | None, record):
    """Return the name and spec of a method that transcribes."""
    if method is None and record is not None:
        method = record.key["paper"]
    if method is None:
        able = [key for key in experiment.PAPERS if _spec(key, "transcribe")]
        method = next(filter(_comes, able), able[0])  # the error of loading the first says what is missing
    return method, _named(method, "transcribe", record)


def _comes(key: str) -> bool:
    """Whether a paper's model comes with the package."""
    try:
        return weights.shipped(key).is_file()
    except WeaklibError:
        return False
