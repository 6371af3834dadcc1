"""Play scores with the instruments of a SoundFont: FluidSynth behind an event loop of our own.

Why a loop of our own: stems must add up to a mixture, so every stem is played by a fresh synthesiser with reverb
and chorus off. The samples are drawn as floats, because the 16-bit output of FluidSynth is dithered.

The SoundFont is TimGM6mb by Tim Brechbill (GNU GPL, version 2), which comes inside the wheel of `pretty_midi`.

Contents
--------
render
    One instrument of a score (see `weaklib.midi.instrument`), as a waveform.
changes
    What an instrument may have otherwise than the SoundFont.
"""
from __future__ import annotations

import math
from contextlib import contextmanager
from ctypes import c_int, c_void_p
from functools import cache
from importlib import resources

import numpy as np

from weaklib.audio import resample
from weaklib.files import WeaklibError
from weaklib.midi import pretty_midi

SR = 44100  # Hz, the rate FluidSynth runs at: its control blocks are then short, and nothing aliases below 16 kHz
BLOCK = 64  # samples; FluidSynth takes up events at the start of a block only
GAIN = 0.3
TAIL = 1.0  # s that the last note gets to ring
DRUM_CHANNEL, DRUM_BANK = 9, 128
#: Generators of SoundFont 2.04 (section 8.1.3): number, and how much a step of its NRPN (section 9.6.3) adds.
GENERATORS = {"release": (38, 2), "semitones": (51, 1), "cents": (52, 1)}


@cache
def _fluidsynth():
    """Return the module `fluidsynth` and its function to draw float samples."""
    try:
        import fluidsynth
    except ImportError as e:
        raise WeaklibError("FluidSynth 2 is missing; install it with 'apt-get install libfluidsynth3', "
                           "'brew install fluid-synth', 'choco install fluidsynth' or 'conda install -c "
                           "conda-forge fluidsynth'.") from e
    silence = fluidsynth.cfunc("fluid_set_log_function", c_void_p, ("level", c_int, 1), ("fun", c_void_p, 1),
                               ("data", c_void_p, 1))
    for level in (1, 2, 3, 4):  # all but panic: errors are checked here, and the rest is about sound cards
        silence(level, None, None)
    draw = fluidsynth.cfunc("fluid_synth_write_float", c_int, ("synth", c_void_p, 1), ("len", c_int, 1),
                            ("left", c_void_p, 1), ("left_offset", c_int, 1), ("left_step", c_int, 1),
                            ("right", c_void_p, 1), ("right_offset", c_int, 1), ("right_step", c_int, 1))
    return fluidsynth, draw


def soundfont() -> str:
    """Path of TimGM6mb.sf2 (GPL-2)."""
    return str(resources.files(pretty_midi).joinpath("TimGM6mb.sf2"))


def render(inst: pretty_midi.Instrument, sr: int, duration: float | None = None) -> np.ndarray:
    """Play an instrument: its notes, controllers and pitch bends.

    A pitch that is struck again while it sounds ends the note before. Events fall on the nearest control block,
    at most 0.73 ms off. Equal input gives equal bytes, also in another process.

    Parameters
    ----------
    inst : pretty_midi.Instrument
    sr : int, Hz
    duration : float, s, optional
        By default until `TAIL` after the last note.

    Returns
    -------
    array, shape=(time,), float32
        Mono, the mean of both channels, at a fixed gain: louder with more notes and not limited to [-1, 1].

    Raises
    ------
    WeaklibError
        If FluidSynth is missing or the SoundFont has no such program.
    """
    duration = inst.get_end_time() + TAIL if duration is None else duration
    n_blocks = math.ceil(duration * SR / BLOCK) + 1  # one more: resampling may round down
    stereo = np.empty((2, n_blocks * BLOCK), dtype=np.float32)
    left, right = (channel.ctypes.data for channel in stereo)
    draw = _fluidsynth()[1]
    synth, channel = _synth(inst)
    try:
        now = 0
        for block, _, method, *values in [*_events(inst), (n_blocks, None, None)]:
            ahead = min(block, n_blocks) - now
            if ahead > 0:
                draw(synth.synth, ahead * BLOCK, left, now * BLOCK, 1, right, now * BLOCK, 1)
                now += ahead
            if now < n_blocks:
                getattr(synth, method)(channel, *values)
    finally:
        synth.delete()
    return resample(stereo.mean(axis=0), SR, sr)[:round(duration * sr)]


def changes(**amounts: float) -> list[pretty_midi.ControlChange]:
    """Return the controllers that add to generators of the SoundFont, for all notes of an instrument.

    Parameters
    ----------
    **amounts : float
        By the names of `GENERATORS`: ``release`` in timecents (1200 is twice as long), ``semitones``, ``cents``.
    """
    events = []
    for name, amount in amounts.items():
        number, step = GENERATORS[name]
        data = 8192 + round(amount / step)
        events += [(99, 120), (98, number), (38, data & 127), (6, data >> 7)]
    return [pretty_midi.ControlChange(number, value, 0.0) for number, value in events]


@contextmanager
def _one_thread():
    """Have FluidSynth read a SoundFont on this thread alone: on all cores, it waits for those that others keep busy."""
    openmp = getattr(_fluidsynth()[0], "_fl", None)  # a library also finds the functions of those that it depends on
    if not hasattr(openmp, "omp_set_num_threads"):  # built without it, or on a system where nothing is found so
        yield
        return
    before = openmp.omp_get_max_threads()
    openmp.omp_set_num_threads(1)
    try:
        yield
    finally:
        openmp.omp_set_num_threads(before)


def _synth(inst):
    """Return a fresh synthesiser with the program of `inst` on a channel, and the channel."""
    fluidsynth, _ = _fluidsynth()
    channel, bank = (DRUM_CHANNEL, DRUM_BANK) if inst.is_drum else (0, 0)
    programs = (inst.program, 0) if inst.is_drum else (inst.program,)  # a kit that is not there is the standard one
    synth = fluidsynth.Synth(gain=GAIN, samplerate=SR, channels=16,
                             **{"synth.reverb.active": 0, "synth.chorus.active": 0})
    with _one_thread():
        bank_id = synth.sfload(soundfont())
    if bank_id < 0 or all(synth.program_select(channel, bank_id, bank, program) < 0 for program in programs):
        synth.delete()
        raise WeaklibError(f"{soundfont()} has no program {inst.program} in bank {bank}; "
                           "choose another program, or reinstall pretty_midi if the file is damaged.")
    return synth, channel


def _block(time):
    return round(time * SR / BLOCK)


def _events(inst):
    """List the events (block, rank, method of Synth, values...), in the order in which they are to be applied."""
    changes = sorted(inst.control_changes, key=lambda c: c.time)
    bends = sorted(inst.pitch_bends, key=lambda b: b.time)
    events = [*_note_events(inst.notes),
              *((_block(c.time), 1, "cc", c.number, c.value) for c in changes),
              *((_block(b.time), 2, "pitch_bend", b.pitch) for b in bends)]
    return sorted(events, key=lambda event: event[:2])  # stable: what falls into one block keeps its order in time


def _note_events(notes):
    """Yield note-offs (rank 0) and note-ons (rank 3), so that an off never ends a note of the same block."""
    struck = {}
    for note in notes:
        key = note.pitch, _block(note.start)
        end, velocity = struck.get(key, (0, 0))  # a note doubled in unison is one key
        struck[key] = max(end, _block(note.end), key[1] + 1), max(velocity, note.velocity)
    keys = sorted(struck)
    for (pitch, on), (next_pitch, next_on) in zip(keys, [*keys[1:], (None, None)]):
        off, velocity = struck[pitch, on]
        yield on, 3, "noteon", pitch, velocity
        yield min(off, next_on) if next_pitch == pitch else off, 0, "noteoff", pitch
