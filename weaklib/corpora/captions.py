"""The corpus ``captions``: up to four sounds of instruments and of the world, and a sentence that tells them.

It stands in for AudioCaps. Nothing is rendered for it: an item mixes cuts of ``instruments`` and ``events`` of the same
split. What a caption says of time and level is so: what comes after "followed by" or "then" begins when all that was
named before is over, what is "in the background" goes on for the whole item and is softer than all else, what is "loud"
is louder.

Contents
--------
Captions
    A split, item by item.
WORDS, wordings
    How each class is told.
caption
    A sentence, and its phrases.
sounding
    Where a sound is heard.
"""
from __future__ import annotations

import re

import numpy as np

from weaklib.audio import rms
from weaklib.corpora import SHORTEST, Corpus, Option, events, load, mixed
from weaklib.corpora.noisy import settled

SR, CLIP = events.SR, events.CLIP
SHARES = (0.15, 0.4, 0.3, 0.15)  # of items with one to four sources
BEHIND = 0.3   # how often there is a background, of two sources or more
IN_TURN = 0.5  # how often two foregrounds or more come one after the other
TURN = (0.4, 0.6)  # of the item, when the second turn begins
LEVEL = -26.0  # dBFS, a foreground's while it is heard, up to `SPREAD` more or less
SPREAD = 5.0  # dB
BELOW = (8.0, 16.0)  # dB, of a background re the softest foreground
LOUD = 4.0  # dB above all others, from where a source may be called loud
DESCRIBED = 0.5  # how often a source is that may be
FRAME = 128  # samples, 16 ms, in which loudness is looked at
QUIET = 0.1  # of the loudest frame's amplitude: the sound begins and ends there
RAMP = 160  # samples, 20 ms, of a cut

#: Class of `events` -> what it does, in words, and what it is. None holds what a caption is joined by.
WORDS = {
    "rain falling": (("rain falls", "it is raining"), ("rain", "rain falling", "the patter of rain")),
    "wind blowing": (("the wind blows", "a wind blows"), ("wind", "wind blowing", "gusts of wind")),
    "ocean waves": (("waves break on the shore", "waves roll in"), ("ocean waves", "waves breaking", "the surf")),
    "stream flowing": (("a stream flows", "water flows"), ("a stream", "flowing water", "a stream babbling")),
    "fire crackling": (("a fire crackles", "a fire burns"), ("a crackling fire", "a fire burning")),
    "engine running": (("an engine runs", "an engine idles"), ("an engine", "an engine running", "a motor humming")),
    "helicopter flying": (("a helicopter flies", "a helicopter hovers"), ("a helicopter", "a helicopter flying")),
    "crickets chirping": (("crickets chirp", "crickets sing"), ("crickets", "crickets chirping")),
    "people clapping": (("people clap", "an audience applauds"), ("applause", "people clapping")),
    "vacuum cleaner running": (("a vacuum cleaner runs", "someone vacuums the floor"),
                               ("a vacuum cleaner", "a vacuum cleaner running")),
    "siren wailing": (("a siren wails", "a siren sounds"), ("a siren", "a siren wailing")),
    "alarm beeping": (("an alarm beeps", "an alarm goes off"), ("an alarm", "an alarm beeping", "electronic beeps")),
    "bell ringing": (("a bell rings", "a bell tolls"), ("a bell", "a bell ringing", "the toll of a bell")),
    "footsteps": (("someone walks", "a person walks by"), ("footsteps", "someone walking", "the sound of steps")),
    "dog barking": (("a dog barks", "a dog is barking"), ("a dog", "a dog barking", "a barking dog")),
    "birds chirping": (("birds chirp", "a bird sings"), ("birds chirping", "birdsong", "a bird singing")),
    "clock ticking": (("a clock ticks", "a clock is ticking"), ("a clock", "a ticking clock", "a clock ticking")),
    "water dripping": (("water drips", "a tap drips"), ("dripping water", "a dripping tap", "drops of water")),
    "glass breaking": (("glass breaks", "a glass shatters"), ("breaking glass", "a glass shattering")),
    "knocking on a door": (("someone knocks on a door", "someone knocks"), ("a knock on a door", "someone knocking")),
    "telephone ringing": (("a telephone rings", "a phone rings"), ("a telephone", "a phone ringing")),
    "car horn honking": (("a car honks", "a horn honks"), ("a car horn", "a car honking", "a horn honking")),
    "person whistling": (("someone whistles", "a person whistles"), ("a whistled tune", "someone whistling")),
    "thunder rumbling": (("thunder rumbles", "it thunders"), ("thunder", "thunder rumbling", "a clap of thunder")),
    "frog croaking": (("a frog croaks", "a frog is croaking"), ("a frog", "a frog croaking", "a croaking frog")),
    "typing on a keyboard": (("someone types on a keyboard", "a person types"),
                             ("typing on a keyboard", "someone typing", "the clatter of keys")),
    "cat meowing": (("a cat meows", "a cat is meowing"), ("a cat", "a cat meowing", "a meowing cat")),
    "cow mooing": (("a cow moos", "a cow lows"), ("a cow", "a cow mooing", "a mooing cow")),
    "hen clucking": (("a hen clucks", "a chicken clucks"), ("a hen", "a hen clucking", "a clucking chicken")),
    "person laughing": (("someone laughs", "a person laughs"), ("laughter", "someone laughing")),
}


def wordings(label: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Say a class of `events`, or else an instrument, in words: clauses ("a dog barks") and nouns ("a dog barking")."""
    if label in WORDS:
        return WORDS[label]
    many = label == "congas"
    one = label if many else ("an " if label[0] in "aeio" else "a ") + label  # "a ukulele"
    return ((f"{one} {'play' if many else 'plays'}", f"someone plays the {label}", f"a musician plays the {label}"),
            (one, f"{one} playing", f"someone playing the {label}", f"the sound of {one}"))


class Captions(Corpus):
    """A split of `captions`.

    An item has ``mix (time,)``, ``sources (n, time)`` in the order in which they are told, ``labels``, the class of
    each, ``text``, the caption, and ``phrases``, what of it tells each source. No class is in an item twice.

    Options
    -------
    duration : float, s
        Of an item, by default 2.048 s, which is also the most; a shorter one is the beginning, of which the caption
        says more than is heard.
    n_items : int
        By default the preset's. Item ``i`` is the same however many there are.
    """

    SR = SR
    SIZES = {"smoke": {"n_items": (24, 8, 8)},
             "laptop": {"n_items": (2000, 60, 120)},
             "gpu": {"n_items": (20000, 200, 500)}}
    OPTIONS = {"duration": Option(float, CLIP, SHORTEST, CLIP), "n_items": Option(int, least=1)}
    STANDS_IN_FOR = "AudioCaps"
    READER = "audiocaps"

    def open(self):
        parts = [load(name, self.split, self.preset) for name in ("instruments", "events")]
        self._parts = {label: part for part in parts for label in part.classes}
        self.classes = tuple(self._parts)
        self._going_on = [label for label in self.classes if label in events.GOES_ON or label not in WORDS]

    def item(self, i):
        rng = self.rng(21, i)
        n = 1 + int(rng.choice(4, p=SHARES))
        behind = int(n > 1 and rng.random() < BEHIND)
        first = n - behind  # foregrounds that come first, of two or more some
        if first > 1 and rng.random() < IN_TURN:
            first = int(rng.integers(1, first))
        labels = self._drawn(rng, n, behind)
        levels = LEVEL + rng.uniform(-SPREAD, SPREAD, n)
        if behind:
            levels[-1] = levels[:-1].min() - rng.uniform(*BELOW)
        size = round(CLIP * SR)
        turn = round(rng.uniform(*TURN) * size)
        sources = np.zeros((n, size), np.float32)
        for k, (label, level) in enumerate(zip(labels, levels)):
            x = self._cut(rng, label)
            if n - behind > first and k < n - behind:
                x = _moved(rng, x, *((0, turn) if k < first else (turn, size)))
            sources[k] = x * 10 ** (level / 20) / rms(x[sounding(x)])
        turns = [labels[:first], labels[first:n - behind]]
        second, most = sorted([-np.inf, *levels])[-2:]
        loud = labels[levels.argmax()] if n > 1 and most > second + LOUD else ""
        text, phrases = caption(rng, [turn for turn in turns if turn], labels[-1] if behind else "", loud)
        return mixed(settled(sources)[:, :self.n_samples], labels, text=text, phrases=phrases)

    def _drawn(self, rng, n, behind):
        """Draw `n` classes, if one is behind then the last a class that goes on."""
        last = [str(rng.choice(self._going_on))] if behind else []
        others = [label for label in self.classes if label not in last]
        return rng.choice(others, n - behind, replace=False).tolist() + last

    def _cut(self, rng, label):
        """Draw an item of a class -> (time,)."""
        part = self._parts[label]
        recording = part.recordings[label][rng.integers(len(part.recordings[label]))]
        return part.item(recording[rng.integers(len(recording))])["mix"].numpy()


def sounding(x) -> slice:
    """Find where ``x (time,)`` is heard: from the first to the last of its frames that is not quiet."""
    loud = rms(x[:len(x) // FRAME * FRAME].reshape(-1, FRAME))
    found = np.flatnonzero(loud > QUIET * loud.max())
    return slice(int(found[0]) * FRAME, int(found[-1] + 1) * FRAME)


def _moved(rng, x, start, stop):
    """Let ``x (time,)`` be heard between two samples only, and be silent elsewhere."""
    heard = sounding(x)
    sound = x[max(heard.start - RAMP, 0):heard.stop + RAMP][:stop - start].copy()  # ramps are outside of what is heard
    ramp = np.linspace(0, 1, RAMP, dtype=np.float32)
    sound[:RAMP] *= ramp
    sound[-RAMP:] *= ramp[::-1]
    y = np.zeros_like(x)
    start += rng.integers(stop - start - len(sound) + 1)
    y[start:start + len(sound)] = sound
    return y


def caption(rng, turns: list[list[str]], behind: str = "", loud: str = "") -> tuple[str, list[str]]:
    """Write a caption.

    Parameters
    ----------
    rng : numpy.random.Generator
    turns : list of list of str
        Classes that are heard at once, in one or two turns.
    behind : str
        The class that is in the background, if one is.
    loud : str
        The class that is louder than all others, if one is.

    Returns
    -------
    text : str
    phrases : list of str
        Of each class, in order.
    """
    finite = rng.random() < 0.5  # "a dog barks", or "a dog barking"
    text, phrases = "", []
    for k, labels in enumerate(turns):
        joint = str(rng.choice((" followed by ", ", followed by ", " then ", ", then "))) if k else ""
        finite = finite and "followed" not in joint
        said = [_said(rng, label, finite, "loud" if label == loud else "") for label in labels]
        joints = (" and ", " while ") if finite and len(said) == 2 else (" and ",)
        text += joint + str(rng.choice(joints)).join(filter(None, (", ".join(said[:-1]), said[-1])))
        phrases += said
    if behind:
        phrases.append(_said(rng, behind, False, "faint"))
        text += f" with {phrases[-1]} in the background"
    return text, phrases


def _said(rng, label, finite, adjective):
    """Draw the words for a class: a clause, or a noun, sometimes with an adjective where it can have one."""
    phrase = str(rng.choice(wordings(label)[0 if finite else 1]))
    if adjective and rng.random() < DESCRIBED and not re.match(r"(some|it |people)", phrase):
        article, noun = re.fullmatch(r"(an? |the )?(.*)", phrase).groups()
        return ("the " if article == "the " else "a " if article else "") + f"{adjective} {noun}"
    return phrase
