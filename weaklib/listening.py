"""Listening tests: a page that asks people what they hear in a separated sound, and what their answers come to.

A page plays sounds that were taken out of mixtures of two, and asks: which sound do you hear, A, B, both or none of
them? A and B are what the mixture was made of, in random order (mahmud2024, appendix H). The answers come back as CSV
files. What is right is in a file of its own, the key, and nowhere in the page.

Contents
--------
Clip, write, Test
    Sounds as a page that works offline, and its key.
score
    Answers and key -> how often each system was heard as it should be, was taken for the other sound, and so on.
proxy
    The same four outcomes from the probabilities of a classifier: an automatic stand-in, and no listening test.
tally, Share, table
    Outcomes -> shares with intervals -> rows of a table.
"""
from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from weaklib import audio, files
from weaklib.files import WeaklibError

OUTCOMES = ("correct", "wrong", "both", "none")  #: in the order of Table 16 of mahmud2024
COLUMNS = ["test", "listener", "position", "clip", "answer"]  #: of a file of answers
RATES = (8000, 96000)  # Hz, what every browser has to play
PEAK = 0.9             # of full scale, of the loudest clip
HEARD = 0.2            # probability from which a classifier is said to hear a class
CONFIDENCE = 0.95
PAGE = Path(__file__).with_name("listening.html")

#: Whether the target is heard, and whether the other sound is -> outcome.
_OUTCOME = {(True, False): "correct", (False, True): "wrong", (True, True): "both", (False, False): "none"}


@dataclass(frozen=True)
class Clip:
    """A sound of a listening test.

    Attributes
    ----------
    audio : array or Tensor, shape=(time,) or (channel, time)
        What a system made of a mixture of two sources, of a few seconds.
    system : str
        Which, as the scores name it.
    target, other : str
        What it should be, and what else was in the mixture, as the listener reads it: "violin", "piano".
    """

    audio: object
    system: str
    target: str
    other: str


class Test(NamedTuple):
    """A listening test: in a notebook, a link to its page.

    Attributes
    ----------
    page, key : Path
        For the listeners, and for whoever scores their answers.
    """

    page: Path
    key: Path

    def _repr_html_(self) -> str:
        link = html.escape(Path(os.path.relpath(self.page)).as_posix())
        return (f'<p>A listening test: <a href="{link}" download>{html.escape(self.page.name)}</a>. Open the file in a '
                f"browser, or send it to your listeners; keep {html.escape(self.key.name)} to score their answers.</p>")


def write(path, clips: Iterable[Clip], sr: int, *, title: str = "What do you hear?", seed: int = 0) -> Test:
    """Write a listening test: a page with the sounds in it, and beside it the key.

    The page needs neither Python nor a network, and may be sent to listeners; it plays the clips in an order that is
    another one for each of them. All clips have one gain, so that what is quiet stays so.

    Parameters
    ----------
    path : path-like
        Of the page, such as ``test.html``; the key is ``test.key.json`` then.
    clips : iterable of Clip
        The same mixtures for all systems make them comparable.
    sr : int, Hz
    title : str
    seed : int
        Of the order of A and B, and of the numbers by which the key knows the clips.

    Returns
    -------
    Test

    Raises
    ------
    WeaklibError
        If there is no clip, or one that cannot be played or asked about, or a file cannot be written.
    """
    page = files.path(path)
    if page.suffix.lower() != ".html":
        raise WeaklibError(f"Cannot write {page.name}; choose a name that ends in .html.")
    clips = list(clips)
    signals = _signals(clips, sr)
    rng = np.random.default_rng(seed)
    asked, right = [], {}
    for number, k in enumerate(rng.permutation(len(clips)).tolist(), 1):
        one, swapped = clips[k], bool(rng.integers(2))
        names = [one.other, one.target] if swapped else [one.target, one.other]
        asked.append({"id": str(number), "names": names, "audio": base64.b64encode(_wav(signals[k], sr)).decode()})
        right[str(number)] = {"system": one.system, "target": one.target, "other": one.other, "answer": "AB"[swapped]}
    name = hashlib.sha256(json.dumps([asked, right]).encode()).hexdigest()[:10]
    key = page.with_suffix(".key.json")
    data = json.dumps({"test": name, "clips": asked}).replace("<", "\\u003c")
    text = PAGE.read_text(encoding="utf-8").replace("{{title}}", html.escape(title)).replace("{{test}}", data)
    files.write_json(key, {"test": name, "title": title, "systems": list(dict.fromkeys(one.system for one in clips)),
                           "clips": right})
    files.write_bytes(page, text.encode())
    return Test(page, key)


def _signals(clips: list[Clip], sr: int) -> list[np.ndarray]:
    """Return all sounds as (channel, time), with one gain."""
    if not clips:
        raise WeaklibError("There is no clip to listen to; give at least one.")
    if not (sr == int(sr) and RATES[0] <= sr <= RATES[1]):
        raise WeaklibError(f"Browsers play {RATES[0]} to {RATES[1]} Hz, and not {sr}; resample the clips.")
    signals = []
    for k, one in enumerate(clips):
        if not one.target or not one.other or one.target == one.other:
            raise WeaklibError(f"Clip {k} asks whether {one.target!r} or {one.other!r} is heard; give it two names.")
        x = np.atleast_2d(audio.to_numpy(one.audio, sound=True))
        if x.ndim != 2 or not x.size or len(x) > 2 or not np.isfinite(x).all():
            raise WeaklibError(f"Clip {k} has shape {x.shape} and cannot be played; give (time,) or (channel, time) of "
                               "one or two channels, of finite values.")
        signals.append(x)
    loudest = max(np.abs(x).max() for x in signals)
    return [x * np.float32(PEAK / loudest) if loudest else x for x in signals]


def _wav(x, sr: int) -> bytes:
    import soundfile
    buffer = io.BytesIO()
    soundfile.write(buffer, x.T, int(sr), format="WAV", subtype="PCM_16")
    return buffer.getvalue()


# What came of it

class Share(NamedTuple):
    """How often something was so.

    Attributes
    ----------
    percent, low, high : float
        The share of `n` judgments, and its interval.
    count, n : int
    """

    percent: float
    low: float
    high: float
    count: int
    n: int


def tally(outcomes: Iterable[str]) -> dict[str, Share]:
    """Count outcomes.

    The interval is Wilson's, at 95 %. It takes all judgments for independent of each other; those of one listener, and
    those on one clip, are not quite, so that the true one is wider.

    Parameters
    ----------
    outcomes : iterable of str
        Of `OUTCOMES`.

    Returns
    -------
    dict of str to Share
        In order of `OUTCOMES`.
    """
    from scipy.stats import binomtest
    outcomes = list(outcomes)
    if not outcomes or set(outcomes) - set(OUTCOMES):
        raise WeaklibError(f"Outcomes are {', '.join(OUTCOMES)}, at least one of them; give such a list.")
    found, n = {}, len(outcomes)
    for outcome in OUTCOMES:
        count = outcomes.count(outcome)
        low, high = binomtest(count, n).proportion_ci(CONFIDENCE, method="wilson")
        found[outcome] = Share(100 * count / n, 100 * low, 100 * high, count, n)
    return found


def score(answers, key) -> dict[str, dict[str, Share]]:
    """Score the answers to a listening test.

    Parameters
    ----------
    answers : path-like or list of them
        The CSV files that listeners have saved, one or more.
    key : path-like
        The key of the test.

    Returns
    -------
    dict of str to dict of str to Share
        System -> outcome -> share, in the order in which the systems were given to `write`; without those about which
        there is no answer.

    Raises
    ------
    WeaklibError
        If a file is missing, damaged or of another test, or gives one listener's answers twice.
    """
    known = files.read_json(files.path(key))
    if not isinstance(known, dict) or not {"test", "systems", "clips"} <= known.keys():
        raise WeaklibError(f"{key} is no key of a listening test; give the file that was written with the page.")
    outcomes = {system: [] for system in known["systems"]}
    seen = set()
    for path in [answers] if isinstance(answers, (str, os.PathLike)) else answers:
        for row in _rows(files.path(path)):
            clip = known["clips"].get(row["clip"])
            if row["test"] != known["test"] or clip is None:
                raise WeaklibError(f"{path} answers another test than {key} is the key of; give the key that was "
                                   "written with its page.")
            if (who := (row["listener"], row["clip"])) in seen:
                raise WeaklibError(f"{path} has an answer of {row['listener']} that is there already; give every file "
                                   "once.")
            seen.add(who)
            outcomes[clip["system"]].append(_outcome(row["answer"], clip["answer"], path))
    return {system: tally(found) for system, found in outcomes.items() if found}


def _rows(path: Path) -> list[dict]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as f:  # spreadsheets put a mark before the first column
            reader = csv.DictReader(f)
            if reader.fieldnames == COLUMNS:
                return list(reader)
    except (OSError, ValueError, csv.Error) as e:
        raise WeaklibError(f"{path} cannot be read; give a file of answers that the page has saved.") from e
    raise WeaklibError(f"{path} is no file of answers; give one that the page has saved.")


def _outcome(answer: str, right: str, path) -> str:
    if answer not in ("A", "B", "both", "none"):
        raise WeaklibError(f"{path} has an answer {answer!r}, which the page does not offer; give the file as the page "
                           "has saved it.")
    return answer if answer in OUTCOMES else "correct" if answer == right else "wrong"


def proxy(target, other, *, threshold: float = HEARD) -> list[str]:
    """Give the answers of nobody: what a classifier hears stands in for what people hear.

    It is automatic and it is no listening test: call it a proxy wherever its numbers show. The classifier must not be
    one that any of the systems was trained with, or it is asked about its own opinion.

    Parameters
    ----------
    target, other : array, shape=(clip,)
        The probabilities that the classifier gives to the class that a clip should be, and to that of the other source
        of its mixture.
    threshold : float
        Probability from which a class is heard. Where probabilities of all classes add up to one it must be well below
        a half, or else nobody would ever hear both. Sources alone ought to come out as "correct", and mixtures as
        "both": choose it on some of these, never on what is judged.

    Returns
    -------
    list of str
        Of `OUTCOMES`; see `tally`.

    Raises
    ------
    WeaklibError
        If these are no probabilities, or not of the same clips.
    """
    target, other = (audio.to_numpy(p, np.float64) for p in (target, other))
    if target.ndim != 1 or target.shape != other.shape:
        raise WeaklibError(f"Probabilities of shapes {target.shape} and {other.shape} are not of the same clips; give "
                           "two for each.")
    if not all(((p >= 0) & (p <= 1)).all() for p in (target, other)):
        raise WeaklibError("Probabilities lie between 0 and 1; give those of the classifier, not its logits.")
    return [_OUTCOME[a, b] for a, b in zip((target >= threshold).tolist(), (other >= threshold).tolist())]


def table(scored: dict[str, dict[str, Share]]) -> tuple[list[str], list[list[str]]]:
    """Render what `score` returns for `weaklib.tables.grid`: percent, and in brackets their interval.

    Returns
    -------
    head, rows : list of str, list of list of str
    """
    head = ["system", *(f"{outcome}, %" for outcome in OUTCOMES), "judgments"]
    return head, [[system, *(f"{share.percent:.1f} ({share.low:.1f} to {share.high:.1f})" for share in found.values()),
                   str(found["correct"].n)] for system, found in scored.items()]
