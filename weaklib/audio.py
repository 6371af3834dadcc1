"""Sound in, sound out: reading, writing, resampling, levels, and the STFT.

Conventions
-----------
Arrays are float32 with time last. Levels are RMS in dB re full scale: 0 dBFS is an RMS of 1.
Everything works on numpy arrays but the STFT, which works on torch tensors.

Contents
--------
read, write, resample
    Files, through soundfile and nothing else, and sample rates.
probe, blocks, writing, resample_blocks
    The same a block at a time, for files of any length.
mix, rms, db, level
    Adding sources up, and how loud they are.
to_numpy
    Tensors and lists as arrays.
stft, istft
    Square-root Hann windows on both sides; ``istft(stft(x)) == x`` to rounding, ends included.
"""
from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from weaklib import files
from weaklib.files import WeaklibError

#: File suffix -> (format, subtype) for `write`. Wav is float, because estimates may exceed full scale.
FORMATS = {".wav": ("WAV", "FLOAT"), ".flac": ("FLAC", "PCM_24"), ".ogg": ("OGG", "VORBIS"),
           ".mp3": ("MP3", "MPEG_LAYER_III")}


def read(path, sr: int | None = None, *, start: float = 0.0, duration: float | None = None,
         allow_silent: bool = False) -> tuple[np.ndarray, int]:
    """Read a wav, flac, ogg or mp3 file, or a part of it.

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
        If the file, or that part, is missing, no audio, empty, silent, or holds values that are not finite.
    """
    import soundfile
    path = Path(path).expanduser()
    with _reading(path), soundfile.SoundFile(path) as f:
        file_sr, seconds = f.samplerate, f.frames / f.samplerate
        if (start or duration is not None) and not (0 <= start < seconds and (duration is None or duration > 0)):
            raise WeaklibError(f"{path} lasts {seconds:.1f} s, in which there is no part from {start:g} s"
                               + ("" if duration is None else f" of {duration:g} s") + "; choose another part.")
        f.seek(round(start * file_sr))
        audio = f.read(-1 if duration is None else round(duration * file_sr), dtype="float32", always_2d=True)
    audio = np.ascontiguousarray(audio.T)
    part = len(audio[0]) < round(seconds * file_sr)
    _check(f"{path}, from {start:g} to {start + len(audio[0]) / file_sr:g} s," if part else path,
           audio.min(-1, initial=np.inf), audio.max(-1, initial=-np.inf), allow_silent)
    if sr is not None:
        audio, file_sr = resample(audio, file_sr, sr), sr
    return audio, file_sr


def blocks(path, size: int = 1 << 16) -> Iterator[np.ndarray]:
    """Read a file block by block: arrays (channel, up to `size`), float32, each valid until the next is asked for.

    Values are not checked; `probe` does that.
    """
    import soundfile
    path = Path(path).expanduser()
    with _reading(path), soundfile.SoundFile(path) as f:
        buffer = np.empty((size, f.channels), dtype=np.float32)
        while len(block := f.read(out=buffer)):
            yield block.T


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
    """
    import soundfile
    path = Path(path).expanduser()
    with _reading(path), soundfile.SoundFile(path) as f:
        n_channels, sr = f.channels, f.samplerate
    n_samples, low, high = 0, np.full(n_channels, np.inf), np.full(n_channels, -np.inf)
    for block in blocks(path):
        n_samples += block.shape[-1]
        low, high = np.minimum(low, block.min(-1)), np.maximum(high, block.max(-1))
    _check(path, low, high)
    return n_channels, n_samples, sr


@contextmanager
def _reading(path: Path):
    """Say in a sentence why a file cannot be read."""
    import soundfile
    if not path.is_file():
        raise WeaklibError(f"There is no file {path}; check the path.")
    try:
        yield
    except soundfile.SoundFileRuntimeError as e:
        raise WeaklibError(f"{path} cannot be read as audio; save it as wav, flac, ogg or mp3.") from e


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
        If the suffix is unknown, a value is not finite, or the format would clip the peak.
    """
    import soundfile
    path = Path(path).expanduser()
    if path.suffix.lower() not in FORMATS:
        raise WeaklibError(f"Cannot write {path.name}; choose a name that ends in {', '.join(FORMATS)}.")
    container, subtype = FORMATS[path.suffix.lower()]
    audio = np.asarray(audio, dtype=np.float32)
    if not np.isfinite(audio).all():
        raise WeaklibError(f"The audio for {path.name} holds values that are not finite (NaN or infinity); "
                           "find out where they come from before writing it.")
    peak = np.abs(audio).max(initial=0.0)
    if peak > 1 and subtype != "FLOAT":
        raise WeaklibError(f"The audio for {path.name} has a peak of {peak:.2f} and would clip at 1; scale it down or "
                           "write a .wav file.")
    buffer = io.BytesIO()  # so that a full disk is met by files.write_bytes, which knows what to say
    soundfile.write(buffer, audio.T, sr, format=container, subtype=subtype)
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
    import soundfile
    # A wav file counts its bytes in 32 bits; RF64 is the same with 64.
    container = "WAV" if 4 * n_channels * n_samples < 2 ** 32 - 2 ** 12 else "RF64"
    with files.replacing(Path(path).expanduser()) as tmp:
        with soundfile.SoundFile(tmp, "w", sr, n_channels, "FLOAT", format=container) as f:
            def add(block):
                try:
                    f.write(block.T)
                except soundfile.SoundFileRuntimeError as e:
                    raise OSError(str(e)) from e  # of which files.replacing knows what to say
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
        raise WeaklibError("Complex values are no real numbers; give real ones, such as magnitudes.")
    if x.dtype.kind not in "buif":
        raise WeaklibError("This is no array of numbers; give an array, a tensor, or a list of rows of one length.")
    if sound and x.dtype.kind == "u":
        raise WeaklibError(f"Sound in {x.dtype} has an offset; give floats, of 8-bit sound (x - 128.0) / 128.")
    return np.asarray(x, dtype=dtype, order="C")


def mix(sources):
    """Add sources up: ``(..., source, time) -> (..., time)``, array or tensor."""
    return sources.sum(-2)


def rms(x) -> np.ndarray:
    """Root mean square over the last axis, in float64."""
    x = np.asarray(x)
    # Not a dot product: BLAS would wake all its threads for it, and they would fight those of torch.
    return np.sqrt(np.einsum("...t,...t->...", x, x, dtype=np.float64) / x.shape[-1])


def db(x) -> np.ndarray:
    """Amplitude ratio in dB, ``20 log10 |x|``; zero gives -inf."""
    with np.errstate(divide="ignore"):
        return 20 * np.log10(np.abs(x))


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
    x = np.asarray(x, dtype=np.float32)
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
