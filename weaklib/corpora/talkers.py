"""Two people talking at once: the stand-in for WSJ0-2mix, dry (``talkers``) and in rooms (``talkers_reverb``).

``talkers_16k`` is `talkers` at twice the rate, for networks that hear the rest of the world, too.

A pool of utterances of many synthetic voices is rendered once per split; items are mixed from it on access, each a
function of preset, seed, split and index alone. No voice, sentence or room is shared between splits.

Contents
--------
Talkers
    A split, item by item.
speakers, sentences
    Who talks, and what they say.
trimmed, joined
    From sentences that are spoken to utterances.
"""
from __future__ import annotations

import zlib
from itertools import islice

import numpy as np

from weaklib import audio, files
from weaklib.corpora import SPLITS, Corpus, Option, espeak, mixed, rooms
from weaklib.files import WeaklibError
from weaklib.progress import track

SR = 8000  # Hz, of all but ``talkers_16k``; and where speech is cut, so that every rate has the same cuts
LEVEL = -25.0  # dBFS, RMS of a mixture
SPREAD = 2.5  # dB: one source is up to this much above the common level, the other as much below, as in WSJ0-2mix
PAUSE = 0.25  # s between the sentences of an utterance
SENTENCE = 4.0  # s, about, to foresee the size of a pool
UTTERANCE = 6.0  # s, at least
SHORTEST = 0.5  # s: an item this long or longer is never all pause

# Voices are espeak-ng's variants: other formants, other glottal sources. Left out: whispers, robots, and variants
# that sound like one that is in. High and low voices alternate.
VARIANTS = {
    "train": "f1 m1 Alicia m3 f3 Alex Andrea m4 anika m5 f5 Denis aunty m7 steph Gene kaukovalta m8 Nguyen Henrique "
             "Lee Marco Mike boris david edward marcelo michel norbert pablo travis victor".split(),
    "validation": "f4 Michael belinda m6 grandma benjamin max quincy".split(),
    "test": "f2 m2 linda Andy shelby Mario Annie ed sandro Reed paul Hugo".split(),
}
ACCENTS = ("en-us", "en-gb-scotland", "en-029", "en", "en-us-nyc", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-gb-x-gbclan")


def speakers(split: str, n: int, seed: int = 0) -> list[dict]:
    """Cast `n` speakers: a variant with an accent, a pitch, liveliness and a rate.

    Returns
    -------
    list of dict
        ``voice``, ``pitch``, ``range``, ``rate`` as `espeak.say` takes them, and ``name``. A variant that is used
        twice gets another accent and the other half of the pitch range.
    """
    rng = np.random.default_rng([seed, SPLITS.index(split), 1])
    cast = []
    for k in range(n):
        turn, variant = divmod(k, len(VARIANTS[split]))
        accent = ACCENTS[(k + 3 * turn) % len(ACCENTS)]
        shift = int(rng.integers(6, 16)) * (1 if (k + turn) % 2 else -1)
        cast.append({"name": f"{VARIANTS[split][variant]}-{accent}", "voice": f"{accent}+{VARIANTS[split][variant]}",
                     "pitch": 50 + shift, "range": int(rng.integers(35, 70)), "rate": int(rng.integers(150, 205))})
    return cast


PEOPLE = ("farmer teacher captain sister neighbour painter doctor stranger shepherd musician gardener grandmother "
          "engineer thief baker visitor writer sailor judge student mayor tailor cousin fisherman poet nurse "
          "carpenter driver singer lawyer postman guard child chemist dancer uncle clerk soldier").split()
KINDS = ("old young quiet clever tired cheerful famous lonely polite rude patient nervous curious generous proud "
         "careful forgetful honest shy hungry thoughtful stubborn tall gentle foreign worried lazy brave").split()
VERBS = ("carried painted found sold borrowed hid repaired washed described bought lost opened forgot weighed drew "
         "collected promised moved studied dropped examined returned kept wanted brought guarded followed "
         "photographed noticed admired refused measured").split()
THINGS = ("the wooden boat; a basket of apples; seven letters; the silver watch; an enormous cheese; the broken "
          "chair; two pairs of shoes; a map of the valley; the last ticket; some fresh bread; a jar of honey; the "
          "green umbrella; nine thousand stamps; a small violin; the garden gate; an unusual picture; the heavy "
          "curtain; a box of matches; the kitchen table; three yellow birds; a pound of sugar; the office key; "
          "fifteen orange balloons; a very thin book; the wrong suitcase; hot chocolate; a photograph of her "
          "brother; the judge's hat; half of the money; a bowl of thick soup").split("; ")
PLACES = ("near the station; behind the church; in the narrow street; on the other side of the river; at the market; "
          "under the bridge; beside a frozen lake; in an empty theatre; over the hill; at the corner of the square; "
          "in the back of the shop; close to the harbour; outside the village; by the window; above the bakery; "
          "in front of the museum; along the beach; on the roof; between two oak trees; "
          "inside the lighthouse").split("; ")
TIMES = ("yesterday; before the rain came; early in the morning; on Thursday; without a word; for the third time; "
         "last winter; at about half past five; after the concert; when nobody was looking; every other week; just "
         "as the bell rang; during the holidays; much too late; in less than an hour; with both hands; "
         "as quickly as possible; until the fire went out; on the first of June; again and again").split("; ")
REMARKS = ("nobody knew why; that was a mistake; it cost forty pounds; everyone laughed; the dog only watched; we "
           "thought it was a joke; I saw it myself; the weather was awful; they never spoke of it; it looked "
           "easy enough; somebody had to; this was not the plan; she would have done the same").split("; ")


def _sentence(rng) -> str:
    """Draw one sentence."""
    def pick(words):
        return words[int(rng.random() * len(words))]

    who = f"the {pick(KINDS)} {pick(PEOPLE)}"
    did = f"{pick(VERBS)} {pick(THINGS)}"
    form = pick((
        "{who} {did} {place} {time}.", "{time}, {who} {did} {place}.", "{place}, {who} {did}, but {remark}.",
        "did {who} really say that {other} {did} {place}?", "{who} {did} {time}, and {remark}.",
        "{other} told {who} that we {did} {place}.", "if {who} {did}, then {remark}.",
        "{who} was sure that {other} {did} {time}."))
    text = form.format(who=who, did=did, other=f"the {pick(PEOPLE)}", place=pick(PLACES), time=pick(TIMES),
                       remark=pick(REMARKS))
    return text[0].upper() + text[1:]


def sentences(split: str, seed: int = 0):
    """Yield sentences without end; which split a sentence belongs to is decided by its checksum."""
    rng = np.random.default_rng([seed, SPLITS.index(split), 2])
    while True:
        text = _sentence(rng)
        tenth = zlib.crc32(text.encode()) % 10
        if split == ("validation" if tenth == 0 else "test" if tenth < 3 else "train"):
            yield text


def trimmed(x: np.ndarray, from_sr: int, sr: int) -> np.ndarray:
    """Resample speech and cut what is more than 40 dB below its loudest 10 ms off both ends.

    Parameters
    ----------
    x : array, shape=(time,)
    from_sr, sr : int, Hz
        `sr` is `SR` or a multiple of it.

    Returns
    -------
    array, shape=(time,), float32
        Whole hundredths of a second, as many at every rate: how loud it is is asked at `SR`.
    """
    narrow, hop = audio.resample(x, from_sr, SR), SR // 100
    loud = audio.rms(narrow[:len(narrow) // hop * hop].reshape(-1, hop))
    inside = np.flatnonzero(loud > loud.max() / 100)
    if sr != SR:
        narrow, hop = np.pad(audio.resample(x, from_sr, sr), (0, hop)), sr // 100  # it may be a sample too short
    return narrow[inside[0] * hop:(inside[-1] + 1) * hop]


def joined(spoken: list, texts: list[str], at_least: float, sr: int) -> list[tuple[np.ndarray, list[str]]]:
    """Join a speaker's sentences, in order, into utterances of `at_least` seconds, at `LEVEL`."""
    pause = np.zeros(int(PAUSE * sr), np.float32)
    utterances, parts, said = [], [], []
    for wave, text in zip(spoken, texts, strict=True):
        parts += [pause, wave] if parts else [wave]
        said.append(text)
        if sum(map(len, parts)) >= at_least * sr:
            utterances.append((audio.level(np.concatenate(parts), LEVEL), said))
            parts, said = [], []
    return utterances  # what is left over is too short, and dropped


class Talkers(Corpus):
    """Mixtures of two talkers, dry, or in rooms if the name is ``talkers_reverb``; ``talkers_16k`` is dry.

    An item has ``mix (time,)``, ``sources (2, time)``, ``labels`` (speakers) and ``text`` (one per source). Item ``i``
    of all three has the same voices, words, cuts and levels. In rooms, the two talkers of an item stand in the same
    one, and the references are the reverberant sources.

    Options
    -------
    duration : float, s
        Length of an item; by default the preset's.
    n_items : int
        By default the preset's. Item ``i`` is the same however many there are.

    Attributes
    ----------
    speakers : list of dict
        The split's voices.
    """

    SR = SR
    RATES = {"talkers_16k": 16000}
    SIZES = {  # `sentences` of each speaker
        "smoke": {"n_items": (64, 16, 16), "speakers": (8, 4, 4), "sentences": 6, "rooms": (6, 2, 4), "duration": 2.0},
        "laptop": {"n_items": (4000, 100, 200), "speakers": (64, 8, 12), "sentences": 24, "rooms": (200, 20, 40),
                   "duration": 2.0},
        "gpu": {"n_items": (20000, 500, 1000), "speakers": (64, 8, 12), "sentences": 60, "rooms": (600, 50, 100),
                "duration": 3.0}}
    OPTIONS = {"duration": Option(float, least=SHORTEST), "n_items": Option(int, least=1)}
    STANDS_IN_FOR = "WSJ0-2mix"

    @property
    def READER(self):
        return {"talkers": "wsj0_2mix", "talkers_16k": "libri2mix"}.get(self.name)  # nobody publishes them in rooms

    def open(self):
        self.speakers = speakers(self.split, self.sizes["speakers"], self.seed)
        n, self._at_least = self.sizes["sentences"], max(UTTERANCE, self.duration)
        rate = {} if self.sr == SR else {"sr": self.sr}  # what was stored before there were two keeps its key
        folder = self.stored(len(self.speakers) * n * SENTENCE * self.sr * 2,
                             speakers=len(self.speakers), sentences=n, at_least=self._at_least, **rate)
        self._speech = np.asarray(np.load(folder / "speech.npy", mmap_mode="r"))  # plain views of it slice faster
        utterances = files.read_json(folder / "index.json")
        self._utterances = [[u for u in utterances if u["speaker"] == s] for s in range(len(self.speakers))]
        self._rirs = None
        if self.name == "talkers_reverb":
            self._rirs = rooms.load(self.split, self.sizes["rooms"], SR, self.seed).rirs

    def item(self, i):
        # One vector of uniform numbers decides everything, so that the dry and the reverberant item agree.
        u = self.rng(3, i).random(8)
        first = int(u[0] * len(self.speakers))
        second = (first + 1 + int(u[1] * (len(self.speakers) - 1))) % len(self.speakers)
        room = None if self._rirs is None else self._rirs[int(u[2] * len(self._rirs))]
        spread = SPREAD * (2 * u[3] - 1)
        n, step = self.n_samples, self.sr // SR
        sources, labels, text = np.empty((2, n), np.float32), [], []
        for s, (who, gain, which, where) in enumerate(((first, spread, u[4], u[5]), (second, -spread, u[6], u[7]))):
            utterance = self._utterances[who][int(which * len(self._utterances[who]))]
            start = step * int(where * (utterance["length"] // step - -(-n // step) + 1))
            cut = self._cut(utterance, start, n, None if room is None else room[s])
            sources[s] = audio.level(cut, LEVEL - 10 * np.log10(2) + gain)  # two of -3 dB add up to one of 0 dB
            labels.append(self.speakers[who]["name"])
            text.append(" ".join(utterance["text"]))
        return mixed(sources, labels, text=text)

    def _cut(self, utterance: dict, start: int, n: int, rir) -> np.ndarray:
        """Cut ``start:start + n`` out of an utterance, heard in a room if there is one."""
        if rir is None:
            return self._speech[utterance["start"] + start:][:n]
        before = min(start, len(rir) - 1)  # what was said before the cut still rings in it
        dry = self._speech[utterance["start"] + start - before:][:before + n]
        return rooms.convolve(dry, rir)[before:]

    def render(self, path):
        """Write ``speech.npy (time,)`` int16 and ``index.json``."""
        n = self.sizes["sentences"]
        texts = list(islice(sentences(self.split, self.seed), len(self.speakers) * n))
        waves = espeak.say([{**self.speakers[k // n], "text": text} for k, text in enumerate(texts)])
        speech, index, start = [], [], 0
        for k in track(range(len(self.speakers)), f"talkers, {self.split}"):
            spoken = [trimmed(wave / np.float32(2 ** 15), espeak.SR, self.sr) for wave in islice(waves, n)]
            utterances = joined(spoken, texts[k * n:][:n], self._at_least, self.sr)
            if not utterances:
                raise WeaklibError(f"No speaker of this preset talks for {self._at_least:g} s; choose a shorter "
                                   "duration or a larger preset.")
            for x, said in utterances:
                speech.append(np.round(x * 2 ** 15).astype(np.int16))
                index.append({"speaker": k, "start": start, "length": len(x), "text": said})
                start += len(x)
        np.save(path / "speech.npy", np.concatenate(speech))
        files.write_json(path / "index.json", index)
