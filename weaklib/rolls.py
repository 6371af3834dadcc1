"""Notes as piano rolls, and back.

Notes are rows of onset (s), offset (s), MIDI pitch and, where it is known, velocity. A roll is ``(pitch, frame)``: its
first row is the lowest key of a piano, and its frame `k` is centred on ``k / frame_rate`` seconds, as in
`weaklib.audio.stft`.

Contents
--------
LOWEST, PITCHES
    Which pitches the rows of a roll are.
n_frames
    How many frames cover a signal.
piano_roll, notes
    Notes as a roll, and a roll as notes.
stretches
    Where a roll's pitches begin and end to sound.
cut
    The notes of a clip.
sustained
    How long notes sound under the sustain pedal.
"""
from __future__ import annotations

import numpy as np

from weaklib.files import WeaklibError

LOWEST, PITCHES = 21, 88  # the keys of a piano
MIN_FRAMES = 2  # of a note: one frame is what a flickering probability makes, and shorter than almost any note


def n_frames(n_samples: int, hop_length: int) -> int:
    """Count the frames, a hop apart from sample 0 on, that cover a signal: as many as `weaklib.audio.stft` makes."""
    return -(-n_samples // hop_length) + 1


def piano_roll(notes, n_frames: int, frame_rate: float) -> np.ndarray:
    """Mark the frames in which each pitch sounds.

    A note fills the frames from the one nearest to its onset up to, and without, the one nearest to its offset, and one
    frame at least. What lies before the first frame or after the last is not heard.

    Parameters
    ----------
    notes : array, shape=(n, 3 or more)
        Onset (s), offset (s), MIDI pitch from 21 to 108; the rest is ignored.
    n_frames : int
    frame_rate : float, Hz

    Returns
    -------
    array, shape=(88, n_frames), float32
        1 where the pitch sounds, else 0.

    Raises
    ------
    WeaklibError
        If a note is not on the keys of a piano, or not finite: whoever has such notes must say what becomes of them.
    """
    onset, offset, pitch = np.asarray(notes, dtype=np.float64)[:, :3].T
    row = np.rint(pitch) - LOWEST
    wrong = ~(np.isfinite(onset) & np.isfinite(offset) & (row >= 0) & (row < PITCHES))
    if wrong.any():
        raise WeaklibError(f"A roll has the MIDI pitches {LOWEST} to {LOWEST + PITCHES - 1} at finite times, and the "
                           f"notes have pitch {pitch[wrong][0]:g} from {onset[wrong][0]:g} to {offset[wrong][0]:g} s; "
                           "leave such notes out.")
    start, stop = np.rint(onset * frame_rate), np.rint(offset * frame_rate)
    edges = np.clip([start, np.maximum(stop, start + 1)], 0, n_frames)  # below 0, they would count from the end
    roll = np.zeros((PITCHES, n_frames), dtype=np.float32)
    for k, a, b in np.stack([row, *edges], axis=1).astype(int):
        roll[k, a:b] = 1
    return roll


def stretches(roll) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, first frame and frame after the last of every stretch of a boolean roll (row, frame), by row, then frame."""
    edges = np.diff(np.pad(np.asarray(roll, dtype=np.int8), ((0, 0), (1, 1))), axis=-1)
    (row, start), (_, stop) = np.nonzero(edges > 0), np.nonzero(edges < 0)
    return row, start, stop


def notes(roll, frame_rate: float, lowest: int = LOWEST, min_frames: int = MIN_FRAMES) -> np.ndarray:
    """Turn a roll into notes, the inverse of `piano_roll` up to rounding.

    Parameters
    ----------
    roll : array of bool, shape=(pitch, frame)
    frame_rate : float, Hz
    lowest : int
        MIDI pitch of the first row.
    min_frames : int
        What is shorter is no note.

    Returns
    -------
    array, shape=(n, 3)
        Onset (s), offset (s) and MIDI pitch, by onset. Two notes without a frame between them are one.
    """
    row, start, stop = stretches(roll)
    found = np.column_stack([start / frame_rate, stop / frame_rate, row + lowest])[stop - start >= min_frames]
    return found[np.argsort(found[:, 0], kind="stable")]


def cut(notes, start: float, duration: float) -> np.ndarray:
    """Return the notes that sound within `duration` from `start` on (s), cut to it, in seconds from there."""
    notes = notes[(notes[:, 0] < start + duration) & (notes[:, 1] > start)]  # a copy, which may be changed
    notes[:, :2] = np.clip(notes[:, :2] - start, 0, duration)
    return notes


def sustained(notes, pedal) -> np.ndarray:
    """Until when notes sound under the sustain pedal (s): its release, or the key's next stroke.

    Parameters
    ----------
    notes : array, shape=(n, 3 or more)
        Onset (s), offset (s), pitch; by onset.
    pedal : array, shape=(m, 2)
        Time (s), and whether the pedal is down from then on; by time. A pedal that is never released holds until the
        last note or event.

    Returns
    -------
    array, shape=(n,)
    """
    times, down = pedal[:, 0], pedal[:, 1] > 0
    end = max(notes[:, 1].max(initial=0), times.max(initial=0))
    held = notes[:, 1].copy()
    for i, (offset, pitch) in enumerate(notes[:, 1:3]):
        k = np.searchsorted(times, offset, side="right")
        if k and down[k - 1]:
            release = times[k:][~down[k:]]
            again = notes[i + 1:, 0][notes[i + 1:, 2] == pitch]
            held[i] = max(offset, min([*release[:1], *again[:1], end]))
    return held
