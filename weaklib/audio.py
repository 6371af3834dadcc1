"""Sound in, sound out: reading, writing, resampling, levels, and the STFT.

Conventions
-----------
Arrays are float32 with time last. Levels are RMS in dB re full scale: 0 dBFS is an RMS of 1.
Everything works on numpy arrays but the STFT, which works on torch tensors.

Two libraries read files, and which of them shows in a file's bytes, never in its name. soundfile reads what holds its
samples as they are, or packed without loss: wav, flac, aiff, caf. PyAV, which is FFmpeg, decodes all the rest, the
sound of videos too: it goes to the true end of what soundfile takes at its word. A part of a file is found by decoding
all that comes before it, so that its samples are those of the whole, whatever the format says of its positions; an hour
takes seconds.

Contents
--------
read, write, resample
    Files and sample rates.
probe, blocks, writing, resample_blocks
    The same a block at a time, for files of any length.
balance, survey
    Offsets, and channels that are upside down.
found
    The path of a file.
mix, excerpt, rms, db, level
    Adding sources up, a part of them, and how loud they are.
to_numpy
    Tensors and lists as arrays.
stft, istft
    Square-root Hann windows on both sides; ``istft(stft(x)) == x`` to rounding, ends included.
"""
from __future__ import annotations

import io
import mmap
import os
import re
import stat
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path

import numpy as np

from weaklib import files
from weaklib.files import WeaklibError

#: How files are called whose sound can be read; in a folder nothing else is tried.
SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".wma", ".aif", ".aiff", ".caf", ".mka",
            ".mp4", ".mov", ".mkv", ".webm")

#: The same in words.
READABLE = "wav, flac, mp3, ogg, opus, m4a, aac, aiff or caf, or the sound of a video"
NO_AUDIO = f"cannot be read as audio: it is not audio, is damaged, or has an unknown format; give {READABLE}"

#: File suffix -> (format, subtype) for `write`. Wav is float, because estimates may exceed full scale.
FORMATS = {".wav": ("WAV", "FLOAT"), ".flac": ("FLAC", "PCM_24"), ".ogg": ("OGG", "VORBIS"),
           ".mp3": ("MP3", "MPEG_LAYER_III")}

BLOCK = 1 << 16  # samples that are read or written at a time
ALL = 1 << 62    # samples, more than there are anywhere
CANCELS = -20    # dB re the channels' mean power, below which their mean is taken for cancelled, not for quiet
OFFSET = -40     # dB re the rest of a channel, below which an offset costs nothing
STREAMED = 0x7FFFF000  # bytes, and more: what programs say that do not know yet how long it will be
LACKING = 0.1    # s that a file may have less, or more, than it says, before that is told


def read(path, sr: int | None = None, *, start: float = 0.0, duration: float | None = None,
         allow_silent: bool = False) -> tuple[np.ndarray, int]:
    """Read a file, or a part of it: wav, flac, mp3, m4a, a video, and whatever else FFmpeg knows.

    Parameters
    ----------
    path : str or Path
    sr : int, Hz, optional
        Resample to this rate; the file's own by default.
    start, duration : float, s
        Where to begin, and how much to read at most: all by default.
    allow_silent : bool
        Whether a file of nothing but one constant value is fine.

    Returns
    -------
    audio : array, shape=(channel, time), float32
    sr : int, Hz

    Raises
    ------
    WeaklibError
        If the file, or that part, is missing, no audio, damaged, empty, silent, or holds values that are not finite.

    Warns
    -----
    UserWarning
        If the file is read to its end and seems to hold more than can be read.
    """
    with _opened(path) as f:
        possible = 0 <= start < np.inf and (duration is None or duration > 0)
        n = 0 if not possible else ALL if duration in (None, np.inf) else max(1, round(duration * f.sr))
        parts, n_read = [np.empty((f.n_channels, 0), np.float32)], 0
        for block in f.blocks(round(start * f.sr) if possible else 0):
            parts.append(block[:, :n - n_read].copy())
            n_read += parts[-1].shape[-1]
            if n_read >= n:
                break
        if not n_read and (start or duration is not None):
            raise WeaklibError(f"{f.path} lasts {f.length() / f.sr:.1f} s, in which there is no part from {start:g} s"
                               + ("" if duration is None else f" of {duration:g} s") + "; choose another part.")
        audio, file_sr = np.concatenate(parts, axis=-1), f.sr
    _check(f"{f.path}, from {start:g} to {start + n_read / file_sr:g} s," if start or n_read == n else f.path,
           audio.min(-1, initial=np.inf), audio.max(-1, initial=-np.inf), allow_silent)
    if sr is not None:
        audio, file_sr = resample(audio, file_sr, sr), sr
        if not audio.size:
            raise WeaklibError(f"{f.path} is shorter than one sample at {sr} Hz; choose a longer one.")
    return audio, file_sr


def blocks(path, size: int = BLOCK) -> Iterator[np.ndarray]:
    """Read a file block by block: arrays (channel, up to `size`), float32, each valid until the next is asked for.

    Values are not checked; `probe` does that.
    """
    with _opened(path) as f:
        yield from f.blocks(0, size)


def probe(path) -> tuple[int, int, int]:
    """Read a file to its end, a block at a time, to find out what is wrong with it before work begins.

    Returns
    -------
    n_channels, n_samples, sr : int
        Those that are there: the header of a file that was cut off may promise more.

    Raises
    ------
    WeaklibError
        Where `read` does.

    Warns
    -----
    UserWarning
        Where `read` does.
    """
    with _opened(path) as f:
        for block in _checked(f):
            pass
    return f.n_channels, f.done, f.sr


def survey(path) -> tuple[tuple[int, int, int], tuple[np.ndarray, np.ndarray]]:
    """Do what `probe` and `balance` do, in one pass, and return both."""
    with _opened(path) as f:
        found = balance(_checked(f))
    return (f.n_channels, f.done, f.sr), found


def _checked(f) -> Iterator[np.ndarray]:
    """Yield a whole file, and judge it at its end."""
    low, high = np.full(f.n_channels, np.inf), np.full(f.n_channels, -np.inf)
    for block in f.blocks(0):
        low, high = np.minimum(low, block.min(-1)), np.maximum(high, block.max(-1))
        yield block
    _check(f.path, low, high)


def balance(blocks: Iterable) -> tuple[np.ndarray, np.ndarray]:
    """Find out what an ear hardly hears of a signal, while models and means of channels suffer from it.

    Parameters
    ----------
    blocks : iterable of array, shape=(channel, time)
        A signal, whole.

    Returns
    -------
    offset : array, shape=(channel,), float32
        Mean of each channel (DC), or 0 where it is no more than `OFFSET` of the rest, or than chance makes of noise.
    polarity : array, shape=(channel,), float32
        1, or -1 where a channel is the loudest one upside down, if the channels cancel each other in their mean: their
        mean is below `CANCELS` then, and that of ``polarity * channels`` is not.
    """
    n, total, gram = 0, 0.0, 0.0
    for block in blocks:
        x = np.asarray(block, dtype=np.float64)
        n, total = n + x.shape[-1], total + x.sum(-1)
        gram = gram + np.einsum("it,jt->ij", x, x)  # not a matrix product: BLAS would wake all its threads for it
    offset = total / n
    power = gram / n - np.outer(offset, offset)
    least = max(10 ** (OFFSET / 10), 25 / n)  # re the power of the rest; chance: 5 standard deviations of a mean
    offset[np.square(offset) <= least * power.diagonal()] = 0
    polarity = np.ones(len(offset))
    if power.mean() < 10 ** (CANCELS / 10) * power.diagonal().mean():  # of the mean; of the channels
        polarity[power[power.diagonal().argmax()] < 0] = -1
    return offset.astype(np.float32), polarity.astype(np.float32)


# How a file is read: what stands below has `sr`, `n_channels`, `blocks` from any sample on, `done`, the samples that
# these have come to, and `length`, in samples.

#: How files begin of which soundfile knows where they end.
EXACT = (b"RIFF", b"RF64", b"BW64", b"riff", b"fLaC", b"FORM", b"caff", b".snd")

#: How every flac begins.
FLAC = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")

#: Bytes of a sample, by soundfile's name of how it is stored.
WIDTHS = {"PCM_S8": 1, "PCM_U8": 1, "ULAW": 1, "ALAW": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4,
          "DOUBLE": 8}

#: Containers that know how long they are; FFmpeg guesses it of others.
STATED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "ogg")

TAGS = (b"ID3", b"TAG", b"APETAGEX")  # how what is no sound begins in an mp3


@contextmanager
def _opened(path):
    """Open a file to be read; whatever goes wrong with it, here and in the block, comes out as one sentence."""
    path, f = found(path), None
    try:
        # By number, so that no library sees the name: that need not be text, and may end in .raw.
        number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        with open(number, "rb", buffering=0) as opened, ExitStack() as stack:
            f = _reader(opened, path, stack)
            yield f
    except (WeaklibError, ModuleNotFoundError):
        raise
    except OSError as e:
        raise _unread(path, e) from e
    except MemoryError as e:
        raise WeaklibError(f"{path} does not fit into the memory; read a part of it.") from e
    except Exception as e:  # of two libraries in C, which have more kinds of errors than anybody lists
        if f and f.done:
            raise WeaklibError(f"{path} cannot be read beyond {f.done / f.sr:.1f} s, where it is damaged, cut off or "
                               "of another kind; get it again.") from e
        raise WeaklibError(f"{path} {NO_AUDIO}.") from e


def found(path) -> Path:
    """Return the path of a file that is there and is not empty, or raise a WeaklibError."""
    path = files.path(path)
    try:
        info = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as e:
        raise WeaklibError(f"There is no file {path}; check the path.") from e
    except OSError as e:
        raise _unread(path, e) from e
    if not stat.S_ISREG(info.st_mode):  # a pipe would block
        raise WeaklibError(f"There is no file {path}, but a folder or a device; give the file itself.")
    if not info.st_size:
        raise WeaklibError(f"{path} holds no samples, nor anything else; record or export it again.")
    return path


def _unread(path, e: OSError) -> WeaklibError:
    return WeaklibError(f"{path} cannot be read ({e.strerror or e}); check the path and its permissions, or copy it to "
                        "another place.")


def _reader(opened: io.FileIO, path: Path, stack: ExitStack):
    """Choose who reads an open file; what that opens goes on `stack`."""
    kinds = (_Exact, _Coded) if opened.read(len(EXACT[0])) in EXACT else (_Coded, _Exact)
    errors = []
    for kind in kinds:
        opened.seek(0)
        try:
            return kind(opened, path, stack)
        except _Passed as e:
            errors.append(str(e))
    raise WeaklibError(f"{path} {next(filter(None, errors), NO_AUDIO)}.")


def _handed(opened):
    """Return what a library in C takes for an open file: its number, or on Windows the file itself."""
    return opened if files.WINDOWS or isinstance(opened, io.BytesIO) else opened.fileno()


class _Passed(Exception):
    """A reader leaves a file to another one; perhaps with what it has found out."""


class _Exact:
    """What soundfile reads: samples as they are, or packed without loss."""

    def __init__(self, opened: io.FileIO, path: Path, stack: ExitStack):
        import soundfile
        try:
            self._file = f = stack.enter_context(soundfile.SoundFile(_handed(opened), closefd=False))
        except soundfile.SoundFileError as e:
            raise _Passed from e
        if (f.subtype.startswith(("MPEG", "VORBIS", "OPUS")) or f.frames >= ALL
                or f.format == "FLAC" and _joined(opened)):
            raise _Passed
        if not f.frames:  # as it is with recordings that broke off before their header was written
            raise _Passed("holds no samples; record or export it again")
        self.path, self.sr, self.n_channels, self.done = path, f.samplerate, f.channels, 0
        self._size = os.fstat(opened.fileno()).st_size

    def blocks(self, start: int, size: int = BLOCK) -> Iterator[np.ndarray]:
        f = self._file
        self.done = f.seek(min(start, f.frames))
        buffer = np.empty((size, f.channels), dtype=np.float32)
        while len(block := f.read(out=buffer)):
            self.done += len(block)
            yield block.T
        if f.subtype in WIDTHS:
            _tell_besides(self, self._size - self.done * f.channels * WIDTHS[f.subtype])
            _tell_cut(self, f)

    def length(self) -> int:
        return self._file.frames


class _Coded:
    """What FFmpeg decodes, frame by frame to the end."""

    def __init__(self, opened: io.FileIO, path: Path, stack: ExitStack):
        import av
        stated, source, options = _promised(opened), _handed(opened), {"protocol_whitelist": "fd"}
        if isinstance(source, int):  # not by name, which FFmpeg could take for an address
            source, options["fd"] = "fd:", str(source)
        try:  # "fd" alone: a playlist leads to no other file
            container = av.open(source, container_options=options, metadata_errors="replace")
        except (av.error.FFmpegError, ValueError) as e:
            raise _Passed from e
        self._container = stack.enter_context(container)
        self._stream = stream = container.streams.best("audio")
        if stream is None:
            raise _Passed("has no sound in it; choose a recording" if len(container.streams) else "")
        self.path, self.sr, self.n_channels, self.done = path, 0, 0, 0
        self._size, self._good, self._junk = os.fstat(opened.fileno()).st_size, 0, 0
        self._stated = stated if container.format.name == "mp3" else 0
        self._frames = self._decoded()
        first = next(self._frames, None)  # which is right about the rate and the channels, as headers need not be
        if first is None:
            raise _Passed
        self._frames = chain([first], self._frames)

    def blocks(self, start: int, size: int = BLOCK) -> Iterator[np.ndarray]:
        buffer, filled = np.empty((self.n_channels, size), dtype=np.float32), 0
        for x in self._frames:
            before = self.done
            self.done += x.shape[-1]
            x = x[:, max(0, start - before):]
            while x.shape[-1]:
                part, x = x[:, :size - filled], x[:, size - filled:]
                buffer[:, filled:filled + part.shape[-1]] = part
                filled += part.shape[-1]
                if filled == size:
                    yield buffer
                    filled = 0
        if filled:
            yield buffer[:, :filled]
        self._tell_lacking()

    def length(self) -> int:
        for x in self._frames:
            self.done += x.shape[-1]
        return self.done

    def _decoded(self) -> Iterator[np.ndarray]:
        """Yield (channel, time), float32."""
        import av
        floats, tag = {}, False
        for packet in self._container.demux(self._stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:  # as a player does, go on: much of it stands between joined mp3s
                tag = tag or bytes(packet).startswith(TAGS)
                self._junk += 0 if tag else packet.size
                continue
            self._good += packet.size
            tag = tag and not frames
            for frame in frames:
                now = frame.sample_rate, frame.layout.nb_channels
                self.sr, self.n_channels = before = (self.sr, self.n_channels) if self.sr else now
                if now != before:
                    raise WeaklibError(f"{self.path} changes after {self.done / self.sr:.1f} s from {_format(*before)} "
                                       f"to {_format(*now)}; split it there, or convert it with another program.")
                kind = frame.format.name, frame.layout.name
                if kind[0] == "fltp" and now[1] < 8:
                    yield frame.to_ndarray()
                else:  # one after the other: of eight channels beside each other PyAV reads on where memory ends
                    floats[kind] = floats.get(kind) or av.AudioResampler(format="flt")
                    yield from (x.to_ndarray().reshape(-1, now[1]).T for x in floats[kind].resample(frame))

    def _tell_lacking(self):
        """Say how much less there is than the file promises, or could not be decoded."""
        stream, container, n_seconds = self._stream, self._container, self.done / self.sr
        kind, alone = container.format.name, len(container.streams) == 1
        if kind == "aac":  # whose reader passes over what it does not understand
            self._junk = self._size - self._good
        if self._junk > self._good:
            raise ValueError("hardly any of it is sound")
        if alone and stream.codec_context.name.startswith("pcm_"):
            _tell_besides(self, self._size - self._good)
        stated = self._stated / self.sr
        if kind in STATED and stream.duration:
            stated = float(stream.duration * stream.time_base)
        elif kind in STATED and alone and container.duration:
            stated = container.duration / 1e6
        lost = max(stated - n_seconds, self._junk / self._good * n_seconds)
        _tell_lost(self, lost)


def _promised(opened: io.FileIO) -> int:
    """How many samples an mp3 says to have, at least, or 0."""
    start = opened.read(10)
    tag = sum(byte << 7 * k for k, byte in enumerate(start[:5:-1])) + 10 if start.startswith(b"ID3") else 0
    opened.seek(tag)
    frame = opened.read(128)
    opened.seek(0)
    for name, at in ((b"Xing", 8), (b"Info", 8), (b"VBRI", 14)):
        if frame[:1] == b"\xff" and (begin := frame.find(name)) > 0:
            n_samples = 1152 if frame[1] & 8 else 576  # in each
            n_frames = int.from_bytes(frame[begin + at:begin + at + 4])
            return max(0, n_frames - 4) * n_samples  # an encoder adds up to four that a decoder takes off
    return 0


def _joined(opened: io.FileIO) -> bool:
    """Whether another flac begins in one."""
    with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return any(data.find(begin, 1) >= 0 for begin in FLAC)


def _tell_cut(found: _Exact, f) -> None:
    """Say that a WAV or AIFF file ends before the end that its header announces."""
    stated = re.search(r"^\s*(?:data|SSND)\s*:\s*(\d+) \(should be (\d+)\)", f.extra_info, re.MULTILINE)
    if not stated or int(stated[1]) >= STREAMED:
        return
    _tell_lost(found, (int(stated[1]) - int(stated[2])) / (WIDTHS[f.subtype] * f.channels * f.samplerate))


def _tell_lost(f, n_seconds: float) -> None:
    """Say how much less there is than the file promises."""
    if n_seconds > LACKING:
        warnings.warn(f"{f.path} lacks about {n_seconds:.1f} s: it is damaged or was cut off, and what can be decoded "
                      f"is {f.done / f.sr:.1f} s.", stacklevel=2)


def _tell_besides(f, n_bytes: int) -> None:
    """Say that a file is larger than its samples, which are all read."""
    if n_bytes > max(1 << 16, LACKING * f.sr * f.n_channels):
        warnings.warn(f"{f.path} has {n_bytes / 1e6:.1f} MB besides the {f.done / f.sr:.1f} s of sound that its header "
                      "announces, and they are not read; if it should be longer, convert it with another program.",
                      stacklevel=2)


def _format(sr: int, n_channels: int) -> str:
    return f"{sr} Hz and {n_channels} channel{'s' if n_channels > 1 else ''}"


def _check(path, low, high, allow_silent: bool = False) -> None:
    """Judge a file by the lowest and highest value of each channel, which NaN passes through."""
    if (low > high).any():
        raise WeaklibError(f"{path} holds no samples; record or export it again.")
    if not np.isfinite([low, high]).all():
        raise WeaklibError(f"{path} holds values that are not finite (NaN or infinity); export it again.")
    if not allow_silent and (low == high).all():
        raise WeaklibError(f"{path} is silent from start to end; choose something with sound.")


def write(path, audio, sr: int) -> None:
    """Write a file in the format that its suffix names, whole or not at all.

    Parameters
    ----------
    path : str or Path
        Ends in one of `FORMATS`; wav is 32-bit float, flac 24-bit.
    audio : array, shape=(time,) or (channel, time)
    sr : int, Hz

    Raises
    ------
    WeaklibError
        If the suffix is unknown, the shape is another one, a value is not finite, or the format would clip the peak, or
        has no such sample rate or so many channels.
    """
    path = files.path(path)
    if path.suffix.lower() not in FORMATS:
        raise WeaklibError(f"Cannot write {path.name}; choose a name that ends in {', '.join(FORMATS)}.")
    container, subtype = FORMATS[path.suffix.lower()]
    audio = to_numpy(audio)
    if audio.ndim not in (1, 2):
        raise WeaklibError(f"The audio for {path.name} has the shape {audio.shape}; give (time,) or (channel, time).")
    audio = np.atleast_2d(audio)
    if not np.isfinite(audio).all():
        raise WeaklibError(f"The audio for {path.name} holds values that are not finite (NaN or infinity); "
                           "find out where they come from before writing it.")
    peak = np.abs(audio).max(initial=0.0)
    if peak > 1 and subtype != "FLOAT":
        raise WeaklibError(f"The audio for {path.name} has a peak of {peak:.2f} and would clip at 1; scale it down or "
                           "write a .wav file.")
    if subtype == "FLOAT":
        with writing(path, sr, *audio.shape) as add:
            add(audio)
        return
    buffer = io.BytesIO()  # so that a full disk is met by files.write_bytes, which knows what to say
    with _written(buffer, path, sr, len(audio), container, subtype) as add:
        add(audio)
    files.write_bytes(path, buffer.getvalue())


@contextmanager
def writing(path, sr: int, n_channels: int, n_samples: int):
    """Open a float wav file to be written a block at a time, whole or not at all.

    Yields
    ------
    add : callable
        Takes an array (channel, time).

    Raises
    ------
    WeaklibError
        If the file cannot be written.
    """
    # A wav file counts its bytes in 32 bits; RF64 is the same with 64.
    container = "WAV" if 4 * n_channels * n_samples < 2 ** 32 - 2 ** 12 else "RF64"
    path = files.path(path)
    with files.replacing(path) as tmp, tmp.open("r+b") as opened:
        with _written(opened, path, sr, n_channels, container, "FLOAT") as add:
            yield add


@contextmanager
def _written(to: io.IOBase, path: Path, sr: int, n_channels: int, container: str, subtype: str):
    """Open a sound file, on a disk or in memory; yields a function that adds to it."""
    import soundfile
    error = WeaklibError(f"No {path.suffix.lower()} file has {_format(sr, n_channels)}; resample it"
                         + (", or write a .wav file." if container not in ("WAV", "RF64") else "."))
    if not (sr == int(sr) and 0 < sr < 1 << 31) or container == "OGG" and (sr > 200_000 or n_channels > 255):
        raise error  # in the last case libsndfile crashes
    try:
        opened = soundfile.SoundFile(_handed(to), "w", int(sr), n_channels, subtype, format=container, closefd=False)
    except soundfile.SoundFileError as e:
        raise error from e

    def add(block):
        try:
            for start in range(0, block.shape[-1], BLOCK):  # in one piece Vorbis takes it all on the stack
                opened.write(block[:, start:start + BLOCK].T)
        except (soundfile.SoundFileError, AssertionError) as e:  # the second where Python did the writing
            reason = str(e).rstrip(".") or "it could not be written whole"
            raise OSError(reason) from e  # of which files.replacing knows what to say

    with opened:
        yield add


def resample(x, from_sr: int, to_sr: int) -> np.ndarray:
    """Resample along the last axis with soxr's high-quality linear-phase filter.

    Parameters
    ----------
    x : array, shape=(..., time)
    from_sr, to_sr : int, Hz

    Returns
    -------
    array, shape=(..., time * to_sr / from_sr), float64 if `x` is, else float32
    """
    import soxr
    x = to_numpy(x, None)
    x = np.asarray(x, dtype=np.result_type(x, np.float32))  # given integers, soxr would add dither
    if from_sr == to_sr:
        return x
    flat = soxr.resample(x.reshape(-1, x.shape[-1]).T, from_sr, to_sr)  # soxr has time first
    return np.ascontiguousarray(flat.T).reshape(*x.shape[:-1], len(flat))


def resample_blocks(blocks: Iterable, from_sr: int, to_sr: int, length: int) -> Iterator[np.ndarray]:
    """Resample a signal that comes in blocks (channel, time), with the result of `resample`.

    Parameters
    ----------
    blocks : iterable of array, shape=(channel, time)
    from_sr, to_sr : int, Hz
    length : int, samples
        What comes out in all, cut off or filled with zeros at the end.
    """
    left = length
    for block in _resampled(blocks, from_sr, to_sr):
        if 0 < left and block.shape[-1]:
            block = block[:, :left]
            left -= block.shape[-1]
            yield block
    if left:
        yield np.zeros((len(block), left), dtype=np.float32)


def _resampled(blocks, from_sr, to_sr):
    import soxr
    stream = None
    for block in blocks:
        stream = stream or soxr.ResampleStream(from_sr, to_sr, len(block), dtype="float32")
        # Contiguous with time first, which is what soxr wants
        yield block if from_sr == to_sr else stream.resample_chunk(np.ascontiguousarray(block.T)).T
    if from_sr != to_sr:
        yield stream.resample_chunk(np.empty((0, len(block)), dtype=np.float32), last=True).T


def to_numpy(x, dtype=np.float32, *, sound: bool = False) -> np.ndarray:
    """Make an array, in C order, of whatever numbers come in.

    Parameters
    ----------
    x : array, Tensor, or list of them or of numbers
        Of any memory layout, byte order and precision; a tensor may lie on another device or have a gradient.
    dtype : dtype, optional
        None keeps that of `x` (of bfloat16, which numpy has not, it makes float32).
    sound : bool
        Whether `x` is sound, and cannot be unsigned: there silence is in the middle of the range, by a convention that
        an array does not tell.

    Raises
    ------
    WeaklibError
        If `x` is no array of real numbers, or unsigned sound.
    """
    if isinstance(x, (list, tuple)) and any(hasattr(part, "detach") for part in x):
        x = [to_numpy(part, None) for part in x]
    if hasattr(x, "detach"):
        x = x.detach().cpu().resolve_neg()
        x = x.float() if x.is_floating_point() and x.dtype.itemsize < 4 else x
    try:
        x = np.asarray(x)
    except ValueError:  # rows of different lengths
        x = np.array(None)
    if x.dtype.kind == "c":
        raise WeaklibError("Complex values are not real numbers; give real ones, such as magnitudes.")
    if x.dtype.kind not in "buif":
        raise WeaklibError("This is not an array of numbers; give an array, a tensor, or a list of rows of one length.")
    if sound and x.dtype.kind == "u":
        raise WeaklibError(f"Sound in {x.dtype} has an offset; give floats, of 8-bit sound (x - 128.0) / 128.")
    return np.asarray(x, dtype=dtype, order="C")


def mix(sources):
    """Add sources up: ``(..., source, time) -> (..., time)``, array or tensor."""
    return sources.sum(-2)


def excerpt(rng, x, n: int) -> slice:
    """Draw which `n` samples of sounds as long as ``x (time,)`` are heard; 0: all of them."""
    begin = int(rng.integers(len(x) - n + 1)) if 0 < n < len(x) else 0
    return slice(begin, begin + (n or len(x)))


def rms(x) -> np.ndarray:
    """Root mean square over the last axis, in float64."""
    x = to_numpy(x, None)
    # Not a dot product: BLAS would wake all its threads for it, and they would fight those of torch.
    return np.sqrt(np.einsum("...t,...t->...", x, x, dtype=np.float64) / x.shape[-1])


def db(x) -> np.ndarray:
    """Amplitude ratio in dB, ``20 log10 |x|``; zero gives -inf."""
    with np.errstate(divide="ignore"):
        return 20 * np.log10(np.abs(to_numpy(x, None)))


def level(x, dbfs: float) -> np.ndarray:
    """Scale `x` as a whole to an RMS of `dbfs`.

    Parameters
    ----------
    x : array, shape=(..., time)
    dbfs : float, dB

    Returns
    -------
    array, shape=(..., time), float32

    Raises
    ------
    WeaklibError
        If `x` is silent: no gain gives silence a level.
    """
    x = to_numpy(x)
    now = rms(x.ravel())
    if not now > 0:
        raise WeaklibError("A silent signal has no level; leave it out.")
    return x * np.float32(10 ** (dbfs / 20) / now)


def stft(x, n_fft: int, hop_length: int):
    """Short-time Fourier transform with a periodic square-root Hann window.

    Frame ``m`` is centred on sample ``m * hop_length``; beyond the ends there are zeros, and as many frames as cover
    the last sample.

    Parameters
    ----------
    x : Tensor, shape=(..., time)
    n_fft : int, samples
    hop_length : int, samples
        At most ``n_fft // 2``; ``n_fft // 2`` and ``n_fft // 4`` are usual.

    Returns
    -------
    X : Tensor, shape=(..., n_fft // 2 + 1, ceil(time / hop_length) + 1), complex

    Raises
    ------
    WeaklibError
        If `hop_length` is too long for the frames to overlap by half.
    """
    import torch
    _check_hop(n_fft, hop_length)
    flat = x.reshape(-1, x.shape[-1])
    flat = torch.nn.functional.pad(flat, (0, -flat.shape[-1] % hop_length))  # else the last samples lie under no frame
    X = torch.stft(flat, n_fft, hop_length, window=_window(n_fft, flat), pad_mode="constant", return_complex=True)
    return X.reshape(*x.shape[:-1], *X.shape[-2:])


def istft(X, hop_length: int, length: int):
    """Invert `stft`: windowed overlap-add, divided by the sum of the squared windows.

    Parameters
    ----------
    X : Tensor, shape=(..., freq, frame), complex
    hop_length, length : int, samples

    Returns
    -------
    x : Tensor, shape=(..., length)

    Raises
    ------
    WeaklibError
        If `hop_length` is too long, or `length` does not belong to this number of frames.
    """
    import torch
    n_fft, n_frames = 2 * (X.shape[-2] - 1), X.shape[-1]
    _check_hop(n_fft, hop_length)
    if -(-length // hop_length) + 1 != n_frames:
        raise WeaklibError(f"{n_frames} frames with hop_length={hop_length} do not make {length} samples; give the "
                           "length and hop of the signal that was transformed.")
    x = torch.istft(X.reshape(-1, *X.shape[-2:]), n_fft, hop_length, window=_window(n_fft, X.real), length=length)
    return x.reshape(*X.shape[:-2], length)


def _window(n_fft: int, like):
    """Periodic square-root Hann window, shape=(n_fft,), with the dtype and device of `like`."""
    import torch
    return torch.hann_window(n_fft, dtype=like.dtype, device=like.device).sqrt()


def _check_hop(n_fft: int, hop_length: int) -> None:
    if not 0 < hop_length <= n_fft // 2:
        raise WeaklibError(f"hop_length={hop_length} does not suit n_fft={n_fft}; choose {n_fft // 2} or {n_fft // 4}.")
