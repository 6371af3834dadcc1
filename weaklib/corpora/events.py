"""The corpora ``events`` and ``events_pool``: everyday sounds, one class at a time. They stand in for VGGSound.

A class has *recordings*, each of one thing in one place, taken by one device at one level, and a recording has two
cuts, each of which is an item. What goes on, such as rain, fills the cuts one after the other. What begins and ends,
such as a bark, is shorter than a cut: it comes at another time in each, once or twice, and a little faster or slower.
Underneath is the quiet noise of the place.

``events_pool`` is there for the audio-text model to learn from. It has instances, rooms, devices and noises of its own,
and other physical models of `POOLED` classes.

Contents
--------
Events
    A split, item by item.
KINDS
    What makes each class.
GOES_ON, POOLED
    Classes that fill a clip, and classes that another model makes in the pool.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from weaklib import audio
from weaklib.audio import rms
from weaklib.corpora import SHORTEST, Corpus, Option, foley, material, mixed, outdoors, rooms, sounds
from weaklib.progress import track

SR = 8000
CLIP = 2.048  # s: 64 frames of 256 samples
CUTS = 2  # of a recording
HEARD = (0.7, 1.7)  # s, after which an event is over
FADE = 0.1  # s, of an event that is cut off
SPEED = (0.97, 1.03)  # of a cut, re what was drawn
TWICE = 0.5  # how often an event comes twice, if it is over as soon
LEFT = 0.4  # of an instance's amplitude, which half the sample rate must leave
FLOOR = (-45.0, -25.0)  # dB, of the noise of the place re the sound while it is heard
LEVEL = (-34.0, -18.0)  # dBFS, of the sound while it is heard
PEAK = 0.9
NAMES = ("events", "events_pool")  # each has random numbers and rooms of its own
STREAM, ROOM_SEED = 40, 5  # and 41, 6: those of no other corpus


@dataclass(frozen=True)
class Kind:
    """How a class is made.

    Attributes
    ----------
    make : callable
        Of `foley` or `outdoors`.
    pool : callable, optional
        What makes it in `events_pool`: by default the same.
    indoors : bool
        Whether it is heard in a room.
    """

    make: Callable
    pool: Callable | None = None
    indoors: bool = False


KINDS = {
    "rain falling": Kind(foley.rain, outdoors.rain),
    "wind blowing": Kind(foley.wind, outdoors.wind),
    "ocean waves": Kind(foley.ocean, outdoors.surf),
    "stream flowing": Kind(foley.stream),
    "fire crackling": Kind(foley.fire),
    "engine running": Kind(foley.engine),
    "helicopter flying": Kind(foley.helicopter),
    "crickets chirping": Kind(foley.crickets),
    "people clapping": Kind(foley.applause, indoors=True),
    "vacuum cleaner running": Kind(foley.vacuum, indoors=True),
    "siren wailing": Kind(foley.siren),
    "alarm beeping": Kind(foley.alarm, indoors=True),
    "bell ringing": Kind(foley.bell, outdoors.church_bell),
    "footsteps": Kind(foley.footsteps, indoors=True),
    "dog barking": Kind(foley.bark, outdoors.dog),
    "birds chirping": Kind(foley.birds, outdoors.songbird),
    "clock ticking": Kind(foley.clock, indoors=True),
    "water dripping": Kind(foley.drops, indoors=True),
    "glass breaking": Kind(foley.glass, indoors=True),
    "knocking on a door": Kind(foley.knock, indoors=True),
    "telephone ringing": Kind(foley.phone, indoors=True),
    "car horn honking": Kind(foley.horn),
    "person whistling": Kind(foley.whistle, indoors=True),
    "thunder rumbling": Kind(foley.thunder),
    "frog croaking": Kind(foley.frog),
    "typing on a keyboard": Kind(foley.typing, indoors=True),
    "cat meowing": Kind(outdoors.cat, indoors=True),
    "cow mooing": Kind(outdoors.cow),
    "hen clucking": Kind(outdoors.hen),
    "person laughing": Kind(outdoors.laughter, indoors=True),
}
GOES_ON = tuple(name for name, kind in KINDS.items() if kind.make in foley.TEXTURES.values())
POOLED = tuple(name for name, kind in KINDS.items() if kind.pool)


class Events(Corpus):
    """A split of `events` or `events_pool`.

    An item has ``mix (time,)``, ``sources (1, time)`` and ``labels``, its class. The one source is the whole recording,
    the noise of its place included, as it is in VGGSound. Items are in the order of class, recording and cut.

    Options
    -------
    duration : float, s
        Of an item, by default 2.048 s, which is also the most; a shorter one is the beginning, in which an event may
        not yet be heard.

    Attributes
    ----------
    recordings : dict of str to list of range
        Class -> the items of each of its recordings.
    """

    SR = SR
    SIZES = {  # recordings of each class, in either corpus
        "smoke": {"events": (2, 1, 1), "events_pool": (2, 1, 1), "rooms": (3, 2, 2)},
        "laptop": {"events": (40, 6, 12), "events_pool": (60, 6, 6), "rooms": (32, 8, 12)},
        "gpu": {"events": (200, 12, 24), "events_pool": (300, 12, 12), "rooms": (100, 12, 24)}}
    OPTIONS = {"duration": Option(float, CLIP, SHORTEST, CLIP)}

    classes = tuple(KINDS)

    @property
    def STANDS_IN_FOR(self):
        return "VGGSound" if self.name == "events" else "LAION-Audio-630K"

    @property
    def READER(self):
        return "vggsound" if self.name == "events" else None

    def open(self):
        n, n_rooms = self.sizes[self.name], self.sizes["rooms"]
        self.n_items = len(self.classes) * n * CUTS
        ranges = [range(start, start + CUTS) for start in range(0, self.n_items, CUTS)]
        self.recordings = {name: ranges[k * n:(k + 1) * n] for k, name in enumerate(self.classes)}
        folder = self.stored(2 * self.n_items * CLIP * SR, name=self.name, recordings=n, rooms=n_rooms)
        self._audio = np.load(folder / "audio.npy", mmap_mode="r")

    def item(self, i):
        x = self._audio[i, :self.n_samples] / np.float32(2 ** 15)
        return mixed(x[None], [self.classes[i * len(self.classes) // len(self)]])

    def render(self, path):
        """Write ``audio.npy`` int16 (item, time)."""
        which = NAMES.index(self.name)
        rirs = rooms.load(self.split, self.sizes["rooms"], SR, ROOM_SEED + which, n_sources=1).rirs[:, 0]
        stored = np.lib.format.open_memmap(path / "audio.npy", mode="w+", dtype=np.int16,
                                           shape=(self.n_items, round(CLIP * SR)))
        for k, name in enumerate(track(self.classes, f"{self.name}, {self.split}")):
            for r, items in enumerate(self.recordings[name]):
                x = recorded(self.rng(STREAM + which, k, r), KINDS[name], rirs, pool=bool(which))
                stored[items.start:items.stop] = np.rint(x * 2 ** 15)
        stored.flush()


def recorded(rng: np.random.Generator, kind: Kind, rirs: np.ndarray, pool: bool) -> np.ndarray:
    """Make a recording, in one of the rooms ``rirs (room, tap)`` if its kind is heard in one -> (cut, time)."""
    x, n = _performed(rng, kind, pool), round(CLIP * SR)
    heard = x != 0
    if kind.indoors:
        rir = rirs[rng.integers(len(rirs))]
        x = np.stack([rooms.convolve(cut, rir) for cut in x])
    x = x / rms(x[heard]) + _place(rng, kind.indoors) * 10 ** (rng.uniform(*FLOOR) / 20)
    device = outdoors.microphone(rng, np.fft.rfftfreq(2 * n, 1 / SR))
    x = np.fft.irfft(np.fft.rfft(x, 2 * n) * device)[:, :n]
    return x * min(10 ** (rng.uniform(*LEVEL) / 20) / rms(x[heard]), PEAK / np.abs(x).max())


def _performed(rng, kind, pool):
    """Draw what is heard, in silence: (cut, time)."""
    make, n = kind.pool if pool and kind.pool else kind.make, round(CLIP * SR)
    if kind.make in foley.TEXTURES.values():
        whole = _played(rng, _instance(rng, make, 1.1 * CUTS * CLIP))
        return whole[:CUTS * n].reshape(CUTS, n)
    event, cuts = _instance(rng, make, rng.uniform(*HEARD)), np.zeros((CUTS, n))
    for cut in cuts:
        sound = _played(rng, event)
        count = 2 if 2 * len(sound) <= HEARD[1] * SR and rng.random() < TWICE else 1
        for k, start in enumerate(np.sort(rng.integers(n - count * len(sound) + 1, size=count))):
            cut[start + k * len(sound):][:len(sound)] = sound
    return cuts


def _instance(rng, make, seconds):
    """Draw an instance of up to so many seconds, at `material.SR`, until enough of it can be heard at `SR`."""
    while True:
        x = make(rng, material.samples(seconds))[:material.samples(seconds)]
        fade = min(len(x), material.samples(FADE))
        x[-fade:] *= np.linspace(1, 0, fade)
        x = sounds.trimmed(x) / 2 ** 15
        if rms(audio.resample(x, material.SR, SR)) > LEFT * rms(x):
            return x


def _played(rng, x):
    """Play an instance a little faster or slower, at `SR`."""
    return audio.resample(x, round(material.SR * rng.uniform(*SPEED)), SR)


def _place(rng, indoors):
    """Draw the noise of a place, of RMS 1: a ventilated room, or what is far away: (cut, time)."""
    n = material.samples(CUTS * CLIP)
    noise = outdoors.ventilation(rng, n) if indoors else material.coloured(rng, n, rng.uniform(0.8, 1.8))
    noise = audio.resample(noise, material.SR, SR).reshape(CUTS, -1)
    return noise / rms(noise.ravel())
