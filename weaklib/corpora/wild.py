"""The corpus ``wild``: mixtures as people record them, and nothing else. It stands in for YFCC100m and AudioSet.

What is heard together is what belongs together: a mixture is a *scene*, such as a beach, that decides what may be heard
there and how loud. It is recorded by one of many devices, indoors in a room. Voices, instruments and sounds are made
in other ways than those of `talkers` and `sounds`; see `outdoors`.

There are no sources: they add up inside of `Wild.item`, and what comes out is the recording.

Contents
--------
Wild
    A split, item by item.
SCENES
    What is heard where.
speakers
    Who talks.
"""
from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from scipy.fft import irfft, next_fast_len, rfft

from weaklib import files
from weaklib.audio import rms
from weaklib.corpora import SPLITS, Corpus, Option, espeak, outdoors, rooms, sounds, talkers
from weaklib.progress import track

SR = outdoors.SR
POOL, ITEM, DEVICE, HISS = 10, 11, 12, 13  # streams of random numbers, of which `sounds` has none
MOST = 5  # sources of a mixture
SPREAD = 5.0  # dB: a source is up to this much louder or softer than is usual in its scene
TEXTURE, EVENT = 1.5, 4.0  # lengths as in `sounds`: in lengths of a mixture, and in s
TURN = 0.4  # of a mixture: somebody talks at least so long
FLOOR = (-60.0, -30.0)  # dB, of the noise of a device re what it records
LEVEL = (-35.0, -18.0)  # dBFS, RMS of a mixture
PEAK = 0.9  # of a mixture, at most
PLACES = 2  # in a room: sources take turns at them
TAPS = round(rooms.RT60[1] * SR)  # of a room
PAUSE = -10.0  # dB re an instance, below which a cut of it is too much of a pause

# Voices: variants of espeak-ng that `talkers` has not, and for training, as there are few high ones, some that it has
# for training, too. All of them read English as if it were their own language.
VARIANTS = {
    "train": "adam f1 antonio f3 Diogo f5 edward2 Alicia gustave Andrea ian anika iven2 aunty Jacky mike2 rob klatt3 "
             "RicishayMax Storm grandpa".split(),
    "validation": "john zac Gene2 croak".split(),
    "test": "pedro steph3 robert caleb announcer miguel".split(),
}
ACCENTS = ("de", "fr", "sv", "es", "nl", "it", "pl", "da", "pt", "cs")


@dataclass(frozen=True)
class Scene:
    """A place.

    Attributes
    ----------
    indoors : float
        How often it is heard in a room.
    heard : dict
        Class -> how often it is heard, and its usual level (dB). Classes are drawn independently, again if there is
        none or more than `MOST`.
    """

    indoors: float
    heard: dict[str, tuple[float, float]]

    def draw(self, rng) -> list[str]:
        """Draw what is heard."""
        while True:
            found = [name for name, u in zip(self.heard, rng.random(len(self.heard))) if u < self.heard[name][0]]
            if 1 <= len(found) <= MOST:
                return found


SCENES = {
    "street": Scene(0, {"traffic": (0.85, 0), "speech": (0.5, 3), "crowd": (0.2, -5), "dog": (0.15, -3),
                        "rain": (0.2, -5), "wind": (0.2, -5), "church bell": (0.15, -5), "hammer": (0.2, -4),
                        "percussion": (0.1, -5)}),
    "park": Scene(0, {"songbird": (0.6, -2), "wind": (0.4, -5), "speech": (0.55, 3), "dog": (0.35, 0),
                      "crowd": (0.2, -6), "laughter": (0.25, 0), "saxophone": (0.15, -4), "insects": (0.2, -7)}),
    "home": Scene(0.9, {"speech": (0.7, 2), "ventilation": (0.3, -10), "cat": (0.35, -1), "door": (0.3, -3),
                        "laughter": (0.3, 0), "piano": (0.25, -2), "dog": (0.2, -1), "rain": (0.15, -9),
                        "synthesiser": (0.1, -4)}),
    "kitchen": Scene(0.9, {"frying": (0.6, -4), "dishes": (0.65, -1), "speech": (0.6, 2), "ventilation": (0.4, -8),
                           "cat": (0.15, -2), "door": (0.1, -4)}),
    "concert": Scene(0.6, {"piano": (0.5, 0), "saxophone": (0.4, 1), "strings": (0.45, -2), "percussion": (0.45, -1),
                           "synthesiser": (0.35, -2), "crowd": (0.4, -9), "speech": (0.1, 0)}),
    "office": Scene(0.9, {"ventilation": (0.65, -7), "speech": (0.7, 2), "door": (0.3, -3), "chime": (0.3, -4),
                          "laughter": (0.2, -1), "traffic": (0.2, -10), "hammer": (0.1, -6)}),
    "beach": Scene(0, {"surf": (0.9, 0), "gull": (0.5, -1), "speech": (0.5, 2), "wind": (0.3, -4), "crowd": (0.15, -7),
                       "laughter": (0.25, -1), "dog": (0.15, -2)}),
    "station": Scene(0.5, {"train": (0.65, 0), "speech": (0.55, 1), "crowd": (0.55, -4), "chime": (0.4, -1),
                           "laughter": (0.1, -3), "ventilation": (0.2, -8)}),
    "farm": Scene(0, {"cow": (0.5, 0), "hen": (0.5, -2), "insects": (0.25, -8), "dog": (0.3, -1), "wind": (0.3, -6),
                      "songbird": (0.25, -4), "speech": (0.35, 1), "hammer": (0.2, -3), "church bell": (0.15, -8)}),
    "cafe": Scene(0.9, {"crowd": (0.7, -4), "dishes": (0.6, -3), "speech": (0.6, 2), "piano": (0.2, -5),
                        "strings": (0.1, -6), "laughter": (0.2, -1), "saxophone": (0.1, -5), "door": (0.15, -5)}),
}
CLASSES = ("speech", "crowd", *outdoors.TEXTURES, *outdoors.MUSIC, *outdoors.EVENTS)


def speakers(split: str, n: int, seed: int = 0) -> list[dict]:
    """Cast `n` speakers, as `talkers.speakers` does."""
    rng = np.random.default_rng([seed, SPLITS.index(split), 8])
    cast = []
    for k in range(n):
        turn, variant = divmod(k, len(VARIANTS[split]))
        accent, name = ACCENTS[(k + 3 * turn) % len(ACCENTS)], VARIANTS[split][variant]
        pitch = int(rng.integers(75, 99) if (k + turn) % 2 else rng.integers(30, 65))
        cast.append({"name": f"{name}-{accent}", "voice": f"{accent}+{name}", "pitch": pitch,
                     "range": int(rng.integers(30, 80)), "rate": int(rng.integers(130, 215))})
    return cast


class Wild(Corpus):
    """A split of `wild`.

    An item has ``mix (time,)`` and ``labels``, the classes that are heard in it, in alphabetical order; and no sources.

    Options
    -------
    duration : float, s
        Length of a mixture; by default that of the preset, which is also the longest.
    n_items : int
        By default the preset's. Item ``i`` is the same however many there are.
    """

    SR = SR
    SIZES = {  # `instances` of each class, `sentences` of each speaker
        "smoke": {"n_items": (32, 8, 8), "instances": (3, 2, 2), "speakers": (6, 3, 3), "sentences": 3,
                  "rooms": (3, 2, 2), "devices": (8, 4, 4), "duration": 2.0},
        "laptop": {"n_items": (4000, 200, 200), "instances": (24, 8, 8), "speakers": (42, 8, 12), "sentences": 16,
                   "rooms": (24, 8, 8), "devices": (48, 12, 12), "duration": 4.0},
        "gpu": {"n_items": (40000, 1000, 1000), "instances": (100, 20, 20), "speakers": (42, 8, 12), "sentences": 60,
                "rooms": (48, 12, 12), "devices": (48, 12, 12), "duration": 10.0}}
    OPTIONS = {"duration": Option(float, least=talkers.SHORTEST, most="duration"), "n_items": Option(int, least=1)}
    STANDS_IN_FOR = "YFCC100m or AudioSet"
    READER = "yfcc100m"

    classes = CLASSES

    def open(self):
        sizes = {name: self.sizes[name] for name in ("instances", "speakers", "sentences", "duration")}
        seconds = len(CLASSES) * sizes["instances"] * sizes["duration"] + sizes["speakers"] * sizes["sentences"] * 4
        folder = self.stored(seconds * SR * 2, **sizes)
        self._pool = np.asarray(np.load(folder / "pool.npy", mmap_mode="r"))  # plain views of it slice faster
        self._index = files.read_json(folder / "index.json")  # class -> [(start, stop) of each instance]
        # Rooms and devices as spectra that a mixture is multiplied by, long enough for nothing to come round to it.
        self._n_fft = next_fast_len(self.n_samples + TAPS, real=True)
        self._rooms = rooms.load(self.split, self.sizes["rooms"], SR, self.seed + 1, PLACES).rirs  # 1: not of `sounds`
        freqs = np.fft.rfftfreq(self._n_fft, 1 / SR)
        self._devices = [outdoors.microphone(self.rng(DEVICE, k), freqs).astype(np.float32)
                         for k in range(self.sizes["devices"])]
        self._floor = self.rng(HISS).standard_normal(4 * self.n_samples, dtype=np.float32)
        self._spectra, self._known = {}, {}  # of rooms, and how loud instances are, once asked for

    def item(self, i):
        rng = self.rng(ITEM, i)
        scene = SCENES[list(SCENES)[rng.integers(len(SCENES))]]
        labels = scene.draw(rng)
        room = rng.integers(len(self._rooms)) if rng.random() < scene.indoors else None
        places = np.zeros((1 if room is None else PLACES, self.n_samples), np.float32)
        for k, label in enumerate(labels):
            gain = 10 ** ((scene.heard[label][1] + rng.uniform(-SPREAD, SPREAD)) / 20)
            self._add(places[k % len(places)], rng, label, gain)
        start = rng.integers(3 * self.n_samples)
        floor = self._floor[start:start + self.n_samples]
        places[0] += floor * np.float32(rms(places.sum(axis=0)) * 10 ** (rng.uniform(*FLOOR) / 20))
        spectra = rfft(places, self._n_fft) * (1 if room is None else self._room(int(room)))
        x = irfft(spectra.sum(axis=0) * self._devices[rng.integers(len(self._devices))], self._n_fft)[:self.n_samples]
        x *= np.float32(min(10 ** (rng.uniform(*LEVEL) / 20) / rms(x), PEAK / np.abs(x).max()))
        return {"mix": torch.from_numpy(x), "labels": sorted(labels)}

    def _add(self, x, rng, label, gain):
        """Add an instance of a class to what is heard at a place, `gain` its RMS while it sounds."""
        spans, n, loud, enough = self._index[label], len(x), 0.0, 0.0
        while loud <= enough:
            start, stop = spans[rng.integers(len(spans))]
            enough = self._rms(start, stop) * 10 ** (PAUSE / 20)
            if label in outdoors.EVENTS or stop - start < n:
                # As in `sounds`: a quarter of the mixture is heard of it, or all if it is shorter.
                at = rng.integers(n - min(stop - start, n // 4) + 1)
                stop = min(stop, start + n - at)
            else:
                length = round(n * rng.uniform(TURN, 1)) if label == "speech" and rng.random() < 0.5 else n
                start += rng.integers(stop - start - length + 1)
                stop, at = start + length, rng.integers(n - length + 1)
            sound = self._pool[start:stop].astype(np.float32)
            loud = rms(sound)
        x[at:at + len(sound)] += sound * np.float32(gain / loud)

    def _rms(self, start: int, stop: int) -> float:
        """RMS of an instance."""
        if start not in self._known:
            self._known[start] = rms(self._pool[start:stop].astype(np.float32))
        return self._known[start]

    def _room(self, k: int) -> np.ndarray:
        """Spectra of the places of a room, of energy 1, shape=(place, freq)."""
        if k not in self._spectra:
            rirs = np.array(self._rooms[k])
            spectra = rfft(rirs, self._n_fft)
            self._spectra[k] = spectra / np.float32(rms(rirs) * rirs.shape[-1] ** 0.5)[:, None]
        return self._spectra[k]

    def render(self, path):
        sounds.store(path, self._made())

    def _made(self):
        """Yield every class and its instances."""
        at_least = max(talkers.UTTERANCE, TEXTURE * self.sizes["duration"])
        utterances = self._utterances(at_least)
        n = round(at_least * SR)
        yield "speech", utterances
        yield "crowd", [outdoors.crowd(self.rng(POOL, 0, k), n, utterances) for k in range(self.sizes["instances"])]
        goes_on = outdoors.TEXTURES | outdoors.MUSIC
        makers = goes_on | outdoors.EVENTS
        for i, (name, make) in enumerate(track(makers.items(), f"wild, {self.split}", total=len(makers)), 1):
            n = round((TEXTURE * self.sizes["duration"] if name in goes_on else EVENT) * SR)
            yield name, [make(self.rng(POOL, i, k), n) for k in range(self.sizes["instances"])]

    def _utterances(self, at_least):
        """What the speakers of the split say, each of at least so many seconds."""
        cast, n = speakers(self.split, self.sizes["speakers"], self.seed), self.sizes["sentences"]
        # Another seed than that of `talkers`: other sentences, and none that another split of it has
        texts = list(islice(talkers.sentences(self.split, self.seed + 1), len(cast) * n))
        waves = espeak.say([{**cast[k // n], "text": text} for k, text in enumerate(texts)])
        made = []
        for k in range(len(cast)):
            spoken = [talkers.trimmed(wave / np.float32(2 ** 15), espeak.SR, SR) for wave in islice(waves, n)]
            made += [x for x, _ in talkers.joined(spoken, texts[k * n:][:n], at_least, SR)]
        return made
