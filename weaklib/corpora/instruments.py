"""The corpora ``instruments`` and ``instruments_pool``: 21 instruments, one at a time.

`instruments` stands in for MUSIC-21, `instruments_pool` for what an audio-text model has heard before. A *recording*
is a phrase that is played once: by an instrument whose voice is drawn anew, in a room or in none, through a device. It
is cut into items, as a video of MUSIC-21 is. Voices of the two corpora are apart: other programs of the SoundFont where
there are enough that sound like the class, and always other shifts of its samples, tunings, resonances, onsets and
releases; see `VOICES`.

Contents
--------
Instruments
    A split, cut by cut.
INSTRUMENTS
    The classes, and who plays them how.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import count

import numpy as np

from weaklib import files
from weaklib.audio import rms
from weaklib.corpora import SHORTEST, Corpus, Option, fluid, mixed, phrases, rooms
from weaklib.corpora.outdoors import microphone
from weaklib.corpora.phrases import Manner
from weaklib.corpora.pieces import BEND, POOL
from weaklib.midi import instrument, pretty_midi
from weaklib.progress import track

SR = 8000
NAMES = ("instruments", "instruments_pool")  # each has random numbers of its own
RECORDING, DEVICE = 0, 1  # streams of random numbers
ROOM_SEED = 3  # and 4, for the pool: rooms of no other corpus
WET = 0.6  # how often a recording is made in a room
FLOOR = (-70.0, -45.0)  # dB, of the noise of a device re what it records
PEAKS = (0.3, 0.9)  # of a recording
EXPRESSION = 11  # MIDI controller
FRAME, LULL, PLAYS = 256, -26.0, 0.7  # samples; dB re the recording; share of the frames of a cut that are louder
WIDTH = 0.35  # octaves, of a resonance


@dataclass(frozen=True)
class Voices:
    """What voices are drawn from; no two ranges of the corpora overlap.

    Attributes
    ----------
    sizes : tuple of int, semitones
        By which samples are shifted: an instrument that is smaller, or larger, at the same pitch.
    cents : (float, float)
        Tuning.
    resonances : tuple of (float, float), Hz
        In each of these bands is one.
    release, rate : (float, float)
        Factor of the SoundFont's release; of vibrato, Hz.
    soft : bool
        Whether notes begin softly or with an accent, where a player can choose.
    """

    sizes: tuple[int, ...]
    cents: tuple[float, float]
    resonances: tuple[tuple[float, float], ...]
    release: tuple[float, float]
    rate: tuple[float, float]
    soft: bool


VOICES = {
    "instruments": Voices((-1, 0, 1), (-40, -4), ((250, 500), (1000, 1900)), (0.5, 1.0), (4.4, 5.6), True),
    "instruments_pool": Voices((-3, -2, 2, 3), (4, 40), ((500, 1000), (1900, 3600)), (1.0, 2.0), (5.6, 6.8), False)}
BOOST = (-7.0, 7.0)  # dB, of a resonance


@dataclass(frozen=True)
class Instrument:
    """A class.

    Attributes
    ----------
    programs, others : tuple of int
        General MIDI, 0-based, of `instruments` and of its pool.
    low, high : int
        Its range, MIDI pitches.
    manner : Manner
    size : int, semitones
        Added to that of a voice.
    body : tuple of (float, float)
        Resonances that every one has: Hz, dB.
    drums : bool
        Whether programs are drum kits, and pitches their keys.
    """

    programs: tuple[int, ...]
    others: tuple[int, ...]
    low: int
    high: int
    manner: Manner
    size: int = 0
    body: tuple[tuple[float, float], ...] = ()
    drums: bool = False


INSTRUMENTS = {  # in the order of MUSIC-21
    "bagpipe": Instrument((109,), (109,), 67, 82, phrases.PIPES),
    "clarinet": Instrument((71,), (71,), 52, 84, phrases.WIND),
    "flute": Instrument((73,), (72, 73), 60, 91, phrases.WIND),
    "drum": Instrument((0, 8, 40), (16, 24, 32), 35, 57, phrases.KIT, drums=True),
    "acoustic guitar": Instrument((25,), (24, 25), 40, 76, phrases.STRUMMED),
    "ukulele": Instrument((24,), (24,), 60, 81, phrases.STRUMMED, size=7, body=((250, -8), (700, 6))),
    "accordion": Instrument((21,), (23,), 50, 86, phrases.BELLOWS),
    "bassoon": Instrument((70,), (70,), 34, 65, phrases.WIND),
    "guzheng": Instrument((107,), (107,), 45, 86, phrases.ZITHER),
    "xylophone": Instrument((13,), (12,), 65, 96, phrases.MALLETS),
    "erhu": Instrument((110,), (110,), 62, 86, phrases.SLIDING, body=((300, -8), (1000, 8), (2600, 6))),
    "tuba": Instrument((58,), (58,), 28, 55, phrases.WIND),
    "congas": Instrument((0,), (0,), 62, 64, phrases.HANDS, drums=True),
    "saxophone": Instrument((65, 66), (64, 67), 46, 80, phrases.WIND),
    "cello": Instrument((42,), (42,), 36, 72, phrases.BOWED),
    "violin": Instrument((40,), (40,), 55, 91, phrases.BOWED),
    "electric bass": Instrument((33, 36), (34, 35, 37), 28, 55, phrases.BASS),
    "piano": Instrument((0, 1), (2, 3), 28, 98, phrases.KEYS),
    "banjo": Instrument((105,), (105,), 50, 79, phrases.BANJO),
    "trumpet": Instrument((56,), (56,), 54, 82, phrases.WIND),
    "pipa": Instrument((106,), (104, 106), 52, 86, phrases.LUTE),
}


class Instruments(Corpus):
    """A split of `instruments` or `instruments_pool`.

    An item has ``mix (time,)``, ``sources (1, time)`` and ``labels``, its class. Items are ordered by class, then
    recording, then cut.

    Options
    -------
    duration : float, s
        Of an item, which begins where its cut does; by default, and at most, a cut.

    Attributes
    ----------
    recordings : dict of str to list of range
        Class -> the items of each of its recordings.
    about : list of dict
        What there is to know of every recording, in the order of the items: class, program, voice, key, tempo, room.
    notes : list of array, shape=(n, 4)
        Of every recording: onset (s), offset (s), MIDI pitch or key of the drum kit, velocity.
    """

    SR = SR
    SIZES = {  # `recordings` of each class, and those of the pool; `cuts` of each recording
        "smoke": {"recordings": (2, 1, 1), "pool": (2, 1, 1), "cuts": 2, "rooms": (2, 1, 1), "devices": (2, 1, 1),
                  "duration": 2.048},
        "laptop": {"recordings": (40, 6, 12), "pool": (60, 6, 6), "cuts": 4, "rooms": (12, 4, 6),
                   "devices": (24, 6, 8), "duration": 2.048},
        "gpu": {"recordings": (160, 12, 24), "pool": (240, 12, 12), "cuts": 4, "rooms": (48, 8, 12),
                "devices": (96, 12, 16), "duration": 2.048}}
    OPTIONS = {"duration": Option(float, least=SHORTEST, most="duration")}

    classes = tuple(INSTRUMENTS)

    @property
    def STANDS_IN_FOR(self):
        return "LAION-Audio-630K" if self.name.endswith(POOL) else "MUSIC-21"

    @property
    def READER(self):
        return None if self.name.endswith(POOL) else "music21"

    def open(self):
        self._per_class = self.sizes["pool" if self.name.endswith(POOL) else "recordings"]
        self._cut = round(self.sizes["duration"] * SR)
        n, cuts = len(self.classes) * self._per_class, self.sizes["cuts"]
        made_of = {size: self.sizes[size] for size in ("cuts", "rooms", "devices")}
        folder = self.stored(2 * n * cuts * self._cut, name=self.name, recordings=self._per_class, **made_of)
        self._audio = np.load(folder / "audio.npy", mmap_mode="r")
        self.about = files.read_json(folder / "recordings.json")
        notes = np.load(folder / "notes.npy")
        self.notes = np.split(notes[:, 1:], np.searchsorted(notes[:, 0], np.arange(1, n)))
        self.n_items = n * cuts
        spans = [range(r * cuts, (r + 1) * cuts) for r in range(n)]
        self.recordings = {name: spans[k * self._per_class:][:self._per_class] for k, name in enumerate(self.classes)}

    def item(self, i):
        r, cut = divmod(i, self.sizes["cuts"])
        start = cut * self._cut
        x = self._audio[r, start:start + self.n_samples] / np.float32(2 ** 15)
        return mixed(x[None], [self.classes[r // self._per_class]])

    def render(self, path):
        n = len(self.classes) * self._per_class
        stored = np.lib.format.open_memmap(path / "audio.npy", mode="w+", dtype=np.int16,
                                           shape=(n, self.sizes["cuts"] * self._cut))
        notes, about = [], []
        for r in track(range(n), f"{self.name}, {self.split}"):
            x, played, known = self._recording(*divmod(r, self._per_class))
            stored[r] = np.rint(x * 32767)
            notes.append(np.insert(played, 0, r, axis=1))
            about.append(known)
        stored.flush()
        np.save(path / "notes.npy", np.concatenate(notes))
        files.write_json(path / "recordings.json", about)

    def _recording(self, k, r):
        """Draw recording `r` of class `k`, again if there is a lull in it -> sound, notes, what there is to know."""
        for attempt in count():
            rng = self.rng(NAMES.index(self.name), RECORDING, k, r, attempt)
            x, notes, about = self._drawn(rng, self.classes[k])
            loud = rms(x.reshape(self.sizes["cuts"], -1, FRAME)) > rms(x) * 10 ** (LULL / 20)
            if loud.mean(axis=1).min() >= PLAYS:
                return x, notes, about

    def _drawn(self, rng, name):
        who, seconds = INSTRUMENTS[name], self.sizes["cuts"] * self._cut / SR
        notes, about = phrases.phrase(rng, who.manner, who.low, who.high, seconds, self.name.endswith(POOL))
        voice = self._voice(rng, who)
        x = fluid.render(self._played(rng, who, voice, notes, seconds), SR, seconds)
        room = int(rng.integers(len(self._rooms))) if rng.random() < WET else None
        if room is not None:
            x = rooms.convolve(x, self._rooms[room])
        x = x + rms(x) * 10 ** (rng.uniform(*FLOOR) / 20) * rng.standard_normal(len(x))
        device = int(rng.integers(self.sizes["devices"]))
        freqs = np.fft.rfftfreq(2 * len(x), 1 / SR)
        gain = _body((*who.body, *voice["resonances"]), freqs) * self._device(device, freqs)
        x = np.fft.irfft(np.fft.rfft(x, 2 * len(x)) * gain)[:len(x)]
        return x * (rng.uniform(*PEAKS) / np.abs(x).max()), notes, {
            "class": name, "voice": voice, "room": room, "device": device} | about

    def _voice(self, rng, who):
        """Draw an instrument of a class."""
        of = VOICES[self.name]
        return {"program": int(rng.choice(who.others if self.name.endswith(POOL) else who.programs)),
                "size": who.size + int(rng.choice(of.sizes)), "cents": round(rng.uniform(*of.cents)),
                "release": float(rng.uniform(*of.release)), "rate": float(rng.uniform(*of.rate)),
                "resonances": [(float(np.exp(rng.uniform(*np.log(band)))), float(rng.uniform(*BOOST)))
                               for band in of.resonances]}

    def _played(self, rng, who, voice, notes, seconds):
        """Notes as a player of the SoundFont gets them."""
        keys = notes - (0 if who.drums else voice["size"]) * np.array([0, 0, 1, 0])
        inst = instrument(keys, voice["program"], who.drums)
        bends = phrases.bends(rng, who.manner, notes, voice["rate"], seconds)
        swells = phrases.swells(rng, who.manner, notes, VOICES[self.name].soft, seconds)
        inst.pitch_bends = [pretty_midi.PitchBend(round(BEND * cents), time) for time, cents in bends.tolist()]
        inst.control_changes = fluid.changes(semitones=voice["size"], cents=voice["cents"],
                                             release=1200 * np.log2(voice["release"]))
        inst.control_changes += [pretty_midi.ControlChange(EXPRESSION, round(127 * level ** 0.5), time)
                                 for time, level in swells.tolist()]  # its square is what it is heard as
        return inst

    @cached_property
    def _rooms(self):
        return rooms.load(self.split, self.sizes["rooms"], SR, ROOM_SEED + NAMES.index(self.name), 1).rirs[:, 0]

    def _device(self, k, freqs):
        return microphone(self.rng(NAMES.index(self.name), DEVICE, k), freqs)


def _body(resonances, freqs):
    """Gain of some resonances (Hz, dB) at ``freqs (freq,)``."""
    octaves = np.log2(np.maximum(freqs, 10))
    return 10 ** (sum(boost * np.exp(-0.5 * ((octaves - np.log2(f)) / WIDTH) ** 2) for f, boost in resonances) / 20)
