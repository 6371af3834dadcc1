"""pretty_midi, imported without what it prints, and MIDI files as they are meant.

Contents
--------
pretty_midi
    The library.
instrument
    An array of notes as an instrument.
read
    A file, with its tempo wherever it stands.
"""
from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from weaklib.files import WeaklibError

if sys.platform == "darwin":  # only shells, and Homebrew's own Python, know where its libraries are
    os.environ.setdefault("HOMEBREW_PREFIX", "/opt/homebrew")
with redirect_stdout(io.StringIO()):  # pyfluidsynth prints what it found where CI is set
    try:
        import fluidsynth  # noqa: F401
    except ImportError:
        pass
    except OSError:  # a library for another processor, or without what it needs: as good as none, also to pretty_midi
        sys.modules["fluidsynth"] = None
    import pretty_midi

CONDUCTING = ("set_tempo", "time_signature", "key_signature")  # events that are about all tracks


def instrument(notes, program: int, is_drum: bool = False, name: str = "") -> pretty_midi.Instrument:
    """Make an instrument from an array of notes.

    Parameters
    ----------
    notes : array, shape=(n, 4)
        Onset (s), offset (s), MIDI pitch, velocity (1 to 127).
    program : int
        General MIDI program, 0-based; if `is_drum`, the drum kit, of which 0 is the standard one.
    """
    inst = pretty_midi.Instrument(program, is_drum, name)
    inst.notes = [pretty_midi.Note(int(velocity), int(pitch), onset, offset)
                  for onset, offset, pitch, velocity in np.asarray(notes, dtype=float).reshape(-1, 4).tolist()]
    return inst


def read(path) -> pretty_midi.PrettyMIDI:
    """Read a MIDI file.

    pretty_midi looks for the tempo on the first track only, and gives every note a wrong time if it stands on another;
    here it counts wherever it stands, as it does for whoever plays the file.

    Raises
    ------
    WeaklibError
        If the file is damaged, or its tracks do not share one time in beats.
    """
    import mido
    path = Path(path).expanduser()
    try:
        score = mido.MidiFile(path)
        if score.type == 2 and len(score.tracks) > 1:
            raise WeaklibError(f"{path} holds several pieces (a MIDI file of type 2); export one of them.")
        if score.ticks_per_beat <= 0:
            raise WeaklibError(f"{path} counts time in frames of film, not in beats; export it with a tempo.")
        if any(event.type in CONDUCTING for track in score.tracks[1:] for event in track):
            conducting, others = zip(*map(_part, score.tracks[1:]))
            score.tracks = [mido.merge_tracks([score.tracks[0], *conducting]), *others]
        return pretty_midi.PrettyMIDI(mido_object=score)
    except WeaklibError:
        raise
    except Exception as e:  # the parser raises whatever a damaged file leads it to
        raise WeaklibError(f"{path} cannot be read as MIDI; export it again.") from e


def _part(track):
    """Part a track into what is about all tracks and the rest; either keeps its time."""
    parts, now, last = ([], []), 0, [0, 0]
    for event in track:
        now += event.time
        k = event.type not in CONDUCTING
        event.time, last[k] = now - last[k], now
        parts[k].append(event)
    return parts
