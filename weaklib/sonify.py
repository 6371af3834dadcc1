"""Notes as sound, to hear a transcription beside a recording, or against it: one left, one right.

Plain tones by pretty_midi, which need no FluidSynth and no SoundFont; `weaklib.corpora.fluid.render` plays instruments.

Contents
--------
notes
    MIDI or an array of notes, as a waveform of a given length.
"""
from __future__ import annotations

import numpy as np

from weaklib import audio
from weaklib.files import WeaklibError

HARMONICS = 6  # with amplitudes 1, 1/2, 1/3, ...: a bass is heard from small loudspeakers as well
VELOCITY = 80  # of notes that come without
PEAK = 0.5
FADE = 0.11  # s; pretty_midi fades notes out in 0.1 s


def notes(played, sr: int, length: int) -> np.ndarray:
    """Play notes with a tone that decays slowly, and fades out in the last 0.1 s before the offset.

    Parameters
    ----------
    played : pretty_midi.PrettyMIDI, or array or Tensor, shape=(n, 3 or 4)
        Onset (s), offset (s), MIDI pitch, and velocity (1 to 127) if there is a fourth column. Of MIDI, drums are left
        out.
    sr : int, Hz
    length : int, samples
        What comes out: with that of a recording, ``np.stack([recording, notes(midi, sr, len(recording))])`` has the
        recording left and the transcription right. What is written after it is not heard.

    Returns
    -------
    array, shape=(length,), float32
        With a peak of `PEAK`, or silent where no note sounds. Partials above ``sr / 2`` are left out.

    Raises
    ------
    WeaklibError
        If the notes are no rows of onset, offset and pitch.
    """
    midi = _until(length / sr, played if hasattr(played, "instruments") else _midi(played))
    sound = midi.synthesize(sr, _wave, normalize=False)[:length]
    peak = np.abs(sound).max(initial=0)
    return np.pad(sound * (PEAK / peak if peak else 0), (0, length - len(sound))).astype(np.float32)


def _until(end, midi):
    """Copy of MIDI with what is heard before `end` (s): a note that goes on ends, and fades out, right after it."""
    from weaklib.corpora.fluid import pretty_midi
    end += FADE
    short = pretty_midi.PrettyMIDI()
    for inst in midi.instruments:
        part = pretty_midi.Instrument(inst.program, inst.is_drum)
        part.notes = [pretty_midi.Note(n.velocity, n.pitch, n.start, min(n.end, end))
                      for n in inst.notes if n.start < end - FADE]
        part.pitch_bends = [bend for bend in inst.pitch_bends if bend.time < end]
        short.instruments.append(part)
    return short


def _midi(rows):
    """Make a PrettyMIDI of rows of onset, offset, pitch and perhaps velocity."""
    from weaklib.midi import instrument, pretty_midi
    rows = audio.to_numpy(rows, np.float64)
    rows = rows if rows.size else np.zeros((0, 3))
    if rows.ndim != 2 or rows.shape[1] not in (3, 4) or not np.isfinite(rows).all() or \
            not ((rows[:, 0] >= 0) & (rows[:, 0] < rows[:, 1]) & (rows[:, 2] >= 0) & (rows[:, 2] < 128)).all():
        raise WeaklibError("These notes cannot be played; give MIDI, or rows of onset (s), a later offset (s) and MIDI "
                           "pitch.")
    if rows.shape[1] == 3:
        rows = np.insert(rows, 3, VELOCITY, axis=1)
    midi = pretty_midi.PrettyMIDI()
    midi.instruments.append(instrument(rows, 0))
    return midi


def _wave(phase):
    """A tone with as many harmonics as there is room for below half the sample rate."""
    step = np.diff(phase[:2]).max(initial=0)  # radians per sample
    return sum(np.sin(k * phase) / k for k in range(1, HARMONICS + 1) if k * step < np.pi) + np.zeros(len(phase))
