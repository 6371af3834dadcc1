"""MIDI files: every note at the time at which it is played, or a sentence."""
import struct
import warnings

import mido
import numpy as np
import pytest

from weaklib import midi
from weaklib.files import WeaklibError


def score(path, *tracks, kind=1, resolution=100):
    """Write tracks of (tick, message) as a MIDI file."""
    file = mido.MidiFile(type=kind, ticks_per_beat=resolution)
    for events in tracks:
        file.tracks.append(mido.MidiTrack())
        now = 0
        for tick, event in sorted(events, key=lambda e: e[0]):
            file.tracks[-1].append(event.copy(time=tick - now))
            now = tick
    file.save(path)
    return path


def note(tick, until, pitch=60, channel=0):
    return [(tick, mido.Message("note_on", note=pitch, velocity=90, channel=channel)),
            (until, mido.Message("note_off", note=pitch, channel=channel))]


def tempo(tick, bpm):
    return tick, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm))


def played(path):
    """(onset, pitch) as a player has them: mido's own clock, which takes events of all tracks as they come."""
    now, found = 0.0, []
    for event in mido.MidiFile(path):
        now += event.time
        if event.type == "note_on" and event.velocity:
            found.append((now, event.note))
    return found


NOTES = note(0, 50, 60) + note(100, 150, 62) + note(400, 450, 64) + note(700, 800, 65)


@pytest.mark.parametrize("tracks", [
    [[tempo(0, 60)] + NOTES],  # all on one
    [[tempo(0, 60), tempo(300, 90)], NOTES],  # where it belongs
    [[], [tempo(0, 60)] + NOTES],  # on track 1
    [note(0, 10, 40), [tempo(0, 60), tempo(300, 200)] + NOTES],
    [note(0, 10, 40), NOTES, [tempo(0, 60)], [tempo(300, 30), tempo(650, 240)]],  # on tracks of its own
    [[tempo(0, 100)] + note(500, 510, 40), [tempo(200, 50)] + NOTES, [tempo(450, 170)]],  # here and there
    [NOTES, []], [NOTES, [(150, mido.MetaMessage("time_signature", numerator=3, denominator=4))]]])
def test_notes_are_where_a_player_has_them(tmp_path, tracks):
    path = score(tmp_path / "x.mid", *tracks)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = midi.read(path)
    got = sorted((n.start, n.pitch) for i in read.instruments for n in i.notes)
    assert np.array(got) == pytest.approx(np.array(sorted(played(path))), abs=1e-6)


def test_what_else_is_on_a_track_stays_as_it_was(tmp_path):
    other = [(0, mido.MetaMessage("track_name", name="bass")), (0, mido.Message("program_change", program=33)),
             (250, mido.Message("control_change", control=64, value=100)), (420, mido.Message("pitchwheel", pitch=99))]
    read = midi.read(score(tmp_path / "x.mid", [], [tempo(0, 60), tempo(300, 120)] + other + NOTES))
    bass, = read.instruments
    assert (bass.program, bass.name, len(bass.notes)) == (33, "bass", 4)
    assert [c.time for c in bass.control_changes] == pytest.approx([2.5])
    assert [b.time for b in bass.pitch_bends] == pytest.approx([3 + 0.6])


@pytest.mark.parametrize("make, says", [
    (lambda path: path.write_bytes(b"MThd"), "cannot be read as MIDI"),
    (lambda path: path.write_bytes(b"RIFF and no MIDI"), "cannot be read as MIDI"),
    (lambda path: None, "cannot be read as MIDI"),
    (lambda path: score(path, [(0, mido.MetaMessage("set_tempo", tempo=0))] + NOTES), "cannot be read as MIDI"),
    (lambda path: score(path, NOTES, NOTES, kind=2), "several pieces"),
    (lambda path: path.write_bytes(score(path, NOTES).read_bytes()[:12] + struct.pack(">bB", -25, 40)
                                   + path.read_bytes()[14:]), "frames of film")])
def test_refusals(tmp_path, make, says):
    make(tmp_path / "x.mid")
    with pytest.raises(WeaklibError, match=says) as error:
        midi.read(tmp_path / "x.mid")
    assert str(error.value).startswith(str(tmp_path / "x.mid")) and str(error.value).endswith(".")


def test_an_instrument_has_its_notes():
    drums = midi.instrument([(0.5, 1.0, 36, 100)], 0, is_drum=True, name="kit")
    assert drums.is_drum and drums.name == "kit"
    assert [(n.start, n.end, n.pitch, n.velocity) for n in drums.notes] == [(0.5, 1.0, 36, 100)]
    assert midi.instrument([], 5).notes == [] and midi.instrument([], 5).program == 5
