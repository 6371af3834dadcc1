"""Try methods on a sound, hear and see what they make of it beside the references: what the desk does, in code.

Contents
--------
Sound, from_corpus, from_file
    What is tried, with what is known about it.
contents, fullest
    What sounds in the items of a corpus, and where most does.
Result, separate, transcribe
    What a method makes of it.
scores, levels
    How good that is, where there are references; and whether what was asked for is there.
rest, strange
    What a method leaves over, and whether that is much.
scene
    Sound, references and results for the stem player, a group for each, to compare by A/B.
save
    Stems or MIDI of the whole sound as files.
"""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from weaklib import audio, corpora, files, inference, metrics, plots, sonify, spectra
from weaklib.files import WeaklibError
from weaklib.inference import REST
from weaklib.progress import track
from weaklib.rolls import piano_roll

EXCERPT = 30.0      # s of a file that are heard, by default: a page holds the samples of all stems
PRESET = "smoke"    # of the corpora, by default: small, and rendered in seconds
RATES = (8000, 48000)  # Hz, of what is played
PATIENCE = 2.0      # s of work after which progress is shown
FRAME_RATE = 32.0   # Hz, of the rolls that are compared: that of hung2021
COMPARED = ("SI-SDR of the mixture, dB", "SI-SDR of the output, dB")  # columns of `scores`
UNDEFINED = "not defined"  # the score of a source that is alone: nothing is there to separate it from


@dataclass(frozen=True)
class Sound:
    """What is tried.

    Attributes
    ----------
    title : str
    audio : array, shape=(channel, time), float32
    sr : int, Hz
    references : dict of str to array, shape=(time,)
        The sources, where they are known.
    notes : dict of str to array, shape=(n, 3 or more)
        Onset (s), offset (s) and MIDI pitch of what an instrument plays, where that is known.
    path : Path, optional
        The file of which this is a part.
    """

    title: str
    audio: np.ndarray
    sr: int
    references: dict = field(default_factory=dict)
    notes: dict = field(default_factory=dict)
    path: Path | None = None

    @property
    def heard(self) -> list[str]:
        """Names of the references that are not silent."""
        return [name for name, x in self.references.items() if _sounds(x)]


def from_corpus(name: str, index: int | None = None, split: str = "test", preset: str = PRESET) -> Sound:
    """Take an item of a corpus, with references where it has them; for the rest see `weaklib.corpora.load`.

    Parameters
    ----------
    name : str
    index : int, optional
        By default that of the first item in which as much sounds as in any: all three instruments of `band`.
    split, preset : str

    Raises
    ------
    WeaklibError
        Also if there is no such item.
    """
    corpus = corpora.load(name, split, preset)
    if index is None:
        index = fullest(_contents(corpus))
    if not 0 <= index < len(corpus):
        raise WeaklibError(f"{name} has {len(corpus)} items in its {split} split at the preset {preset}; choose one "
                           f"from 0 to {len(corpus) - 1}.")
    item = corpus[index]
    sounding = [(label, k) for k, label in enumerate(item["labels"]) if label]
    names = _distinct([label for label, _ in sounding])
    sources, notes = ({name: item[what][k].numpy() for name, (_, k) in zip(names, sounding)} if what in item else {}
                      for what in ("sources", "notes"))
    return Sound(f"{name}, {split} {index}", item["mix"].numpy()[None], corpus.sr, sources, notes)


def contents(name: str, split: str = "test", preset: str = PRESET) -> list[list[str]]:
    """List what sounds in each item of a corpus, by its labels."""
    return _contents(corpora.load(name, split, preset))


def _contents(corpus) -> list[list[str]]:
    items = (corpus[index] for index in track(range(len(corpus)), f"looking through {corpus.name}", delay=PATIENCE))
    return [[label for k, label in enumerate(item["labels"])
             if label and ("sources" not in item or _sounds(item["sources"][k].numpy()))] for item in items]


def fullest(heard: list[list[str]]) -> int:
    """Index of the first item in which as much sounds as in any; see `contents`."""
    return max(range(len(heard)), key=lambda index: len(heard[index]))


def _sounds(x) -> bool:
    return np.abs(x).max(initial=0) > inference.FLOOR


def from_file(path, start: float = 0.0, duration: float = EXCERPT) -> Sound:
    """Take a part of a recording: what `weaklib.audio.read` reads.

    Parameters
    ----------
    path : path-like
    start, duration : float, s

    Raises
    ------
    WeaklibError
        See `weaklib.audio.read`.
    """
    x, sr = audio.read(path, start=start, duration=duration)
    return Sound(Path(path).name + (f", from {start:g} s" if start else ""), x, sr, path=files.path(path))


def _distinct(names: list[str]) -> list[str]:
    """Number what has the same name as something before it."""
    return [name if names.index(name) == k else f"{name} ({names[:k].count(name) + 1})" for k, name in enumerate(names)]


@dataclass(frozen=True)
class Result:
    """What a method made of a sound.

    Attributes
    ----------
    title : str
    does : {"separate", "transcribe"}
    stems : dict of str to array, shape=(channel, time)
        In order of `Sound.references` where that is known. A transcription has its notes, played, all together as
        loud as the sound is where they are heard.
    notes : dict of str to array, shape=(n, 3)
        The notes of a transcription.
    matches : dict of str to str
        Reference (or instrument with notes) -> what belongs to it here: what has its name, or, where outputs have no
        names, the one that fits best. Of what was asked for in words: the first query that names it.
    again : dict
        Arguments with which `weaklib.inference` does the same.
    fmax : float, Hz
        Above which the method hears nothing.
    """

    title: str
    does: str
    stems: dict
    notes: dict
    matches: dict
    again: dict
    fmax: float


def separate(sound: Sound, method: str | None = None, *, n_outputs: int | None = None, **options) -> Result:
    """Separate a sound.

    Parameters
    ----------
    sound : Sound
    method : str, optional
        By default that of `weaklib.inference.separator`.
    n_outputs : int, optional
        For a method whose outputs have no names: keep the loudest, and add up the others, before outputs are matched
        to references.
    **options
        ``query``, ``record`` and ``device`` of `weaklib.separate`, which also describes the errors.
    """
    if n_outputs is not None and n_outputs < 1:
        raise WeaklibError(f"n_outputs={n_outputs} leaves nothing; give 1 or more.")
    method = inference.separator(method, options.get("record"), options.get("query"))
    stems = inference.separate(sound.audio, sound.sr, method, **options)
    title = _title(method, **options)
    if n_outputs is not None and n_outputs < len(stems):
        stems, title = _loudest(stems, n_outputs), f"{title}, {n_outputs} loudest"
    spec = _spec("separate", method)
    matches = (_by_words(stems, sound.references) if spec["query"] else
               _by_name(stems, sound.references) if spec["ordered"] else _by_sound(stems, sound))
    stems = {name: stems[name] for name in dict.fromkeys([*matches.values(), *stems])}  # those first
    return Result(title, "separate", stems, {}, matches, {"method": method, **options}, spec["sr"] / 2)


def transcribe(sound: Sound, method: str = inference.DEFAULT, *, threshold: float = 0.0, **options) -> Result:
    """Transcribe a sound; `threshold`, ``record`` and ``device`` are those of `weaklib.transcribe`."""
    midi = inference.transcribe(sound.audio, sound.sr, method, threshold=threshold, **options)
    notes = {one.name: np.array([[n.start, n.end, n.pitch] for n in one.notes]).reshape(-1, 3)
             for one in midi.instruments}
    title = f"{_title(method, **options)}, notes" + (f" at {threshold:+g}" if threshold else "")
    played = {name: sonify.notes(of, sound.sr, sound.audio.shape[-1])[None] for name, of in notes.items()}
    again = {"method": method, "threshold": threshold, **options}
    return Result(title, "transcribe", _as_loud(played, sound.audio), notes, _by_name(notes, sound.notes), again,
                  _spec("transcribe", method)["sr"] / 2)


def _spec(does: str, method: str) -> dict:
    return next(m for m in inference.methods() if (m["does"], m["method"]) == (does, method))


def _as_loud(played: dict, x) -> dict:
    """Give all tones the one gain with which they have the RMS of `x` (channel, time) while any of them is heard."""
    tones = sum(played.values())
    heard = np.abs(tones[0]) > 0
    if not heard.any():
        return played
    gain = np.float32(audio.rms(x[:, heard].ravel()) / audio.rms(tones[0, heard]))
    return {name: gain * one for name, one in played.items()}


def _title(method: str, query=None, record=None, **_) -> str:
    queries = [query] if isinstance(query, str) else query or ()
    return ", ".join([method, *([record.id] if record else []), *(f'"{one}"' for one in queries)])


def _loudest(stems: dict, n: int) -> dict:
    order = sorted(stems, key=lambda name: -np.square(stems[name]).sum())
    return {name: stems[name] for name in order[:n]} | {REST: sum(stems[name] for name in order[n:])}


def _by_name(outputs: dict, references: dict) -> dict:
    return {name: name for name in references if name in outputs}


def _by_words(outputs: dict, references: dict) -> dict:
    """Assign each query to the reference that it names: to the longest name in it, for "electric bass" is no "bass"."""
    found = {}
    for query in (name for name in outputs if name != REST):
        named = [name for name in references if re.search(rf"\b{re.escape(name)}\b", query, re.I)]
        if named:
            found.setdefault(max(named, key=len), query)
    return {name: found[name] for name in references if name in found}


def _by_sound(stems: dict, sound: Sound) -> dict:
    """Assign outputs to the references that are heard so that the sum of SI-SDRs is largest."""
    from scipy.optimize import linear_sum_assignment
    heard = sound.heard
    able = [name for name in stems if name != REST]
    if not heard:
        return {}
    values = metrics.si_sdr(np.stack([stems[name].mean(0) for name in able]),
                            np.stack([sound.references[name] for name in heard])[:, None])
    return {heard[i]: able[k] for i, k in zip(*linear_sum_assignment(values, maximize=True))}


def scores(sound: Sound, result: Result) -> tuple[list[str], list[list[str]]]:
    """Score a result where the sound has references.

    Returns
    -------
    head, rows : list of str, list of list of str
        For a separation, the SI-SDR of the mixture and of the output, and the improvement, per reference that is heard;
        `UNDEFINED` where it is heard alone. For a transcription, the number of notes, F1 of onsets (within 50 ms, same
        pitch) and of frames, per instrument. No rows where nothing can be compared. The higher a score, the better.
    """
    if result.does == "separate":
        head = ["source", "output", *COMPARED, "improvement, dB"]
        return head, _separation(sound, result)
    return ["instrument", "notes found", "notes played", "onset F1", "frame F1"], _transcription(sound, result)


def levels(result: Result) -> tuple[list[str], list[list[str]]]:
    """Tell how loud what was asked for in words comes out, and what that means.

    Returns
    -------
    head, rows : list of str, list of list of str
        Per query: its level relative to what the method hears of the sound, and whether it is probably not there; see
        ``absent`` of `weaklib.specs.Separating`. No rows where nothing was asked for.
    """
    head = ["what was asked for", "level in the sound, dB", ""]
    if not result.again.get("query"):
        return head, []
    absent = _spec("separate", result.again["method"])["absent"]
    whole = audio.rms(sum(result.stems.values()).ravel())
    rows = []
    for name in (name for name in result.stems if name != REST):
        level = float(audio.db(audio.rms(result.stems[name].ravel()) / (whole or 1)))
        rows.append([name, "silent" if level == -np.inf else f"{level:z.1f}", "probably not there" * (level < absent)])
    return head, rows


def _separation(sound, result):
    heard, rows = sound.heard, []
    for name, output in result.matches.items():
        if name in heard:
            before, after = (float(metrics.si_sdr(x.mean(0), sound.references[name]))
                             for x in (sound.audio, result.stems[output]))
            told = [f"{before:.1f}", f"{after:.1f}", f"{after - before:+.1f}"]
            rows.append([name, output, *(told if len(heard) > 1 else 3 * [UNDEFINED])])
    return rows


def _transcription(sound, result):
    n_frames = int(np.ceil(sound.audio.shape[-1] / sound.sr * FRAME_RATE)) + 1
    rows = []
    for name, output in result.matches.items():
        est, ref = result.notes[output], sound.notes[name]
        rolls = [piano_roll(notes, n_frames, FRAME_RATE) for notes in (est, ref)]
        f1 = [float(metrics.onset_f1(est, ref)), float(metrics.frame_f1(*rolls))]
        rows.append([name, str(len(est)), str(len(ref)), *("–" if np.isnan(x) else f"{x:.2f}" for x in f1)])
    return rows


def rest(sound: Sound, result: Result) -> dict:
    """What a separation leaves of the sound, as one more stem; nothing where its stems add up to it, to -60 dB."""
    if result.does != "separate" or REST in result.stems:
        return {}
    left = sound.audio - sum(result.stems.values())
    return {REST: left} if audio.rms(left.ravel()) > 1e-3 * audio.rms(sound.audio.ravel()) else {}


def strange(sound: Sound, result: Result) -> str:
    """Say so if a separation leaves over more than of any sound of the kind that the method knows; else nothing."""
    left = rest(sound, result).get(REST)
    if left is None:
        return ""
    level = float(audio.db(audio.rms(left.ravel()) / audio.rms(sound.audio.ravel())))
    if level <= _spec("separate", result.again["method"])["strange"]:
        return ""
    return (f"{result.title} leaves much over, {-level:.0f} dB below the sound: it has probably never heard a sound of "
            "this kind.")


def scene(sound: Sound, results=(), *, pictures: bool = False, rests: bool = False) -> dict:
    """Arrange a sound, its references and results as groups of the stem player.

    What cannot be played as it is is made playable: more than two channels become one, and rates beyond `RATES` the
    nearest of them.

    Parameters
    ----------
    sound : Sound
    results : iterable of Result
        With different titles.
    pictures : bool
        Whether there is more to see than spectrograms: they are constant-Q ones then, and there are mel ones, and of
        what belongs to a reference what it lacks and what it has too much.
    rests : bool
        Whether `rest` of each result is one of its tracks.

    Returns
    -------
    dict
        Arguments of `weaklib.widgets.show`: tracks, sr, notes, groups, of which the newest result is heard first, fmax,
        as far as any of the methods hears, and pictures with their axes.

    Raises
    ------
    WeaklibError
        If two results have one title.
    """
    results = list(results)
    groups = {"mixture": {"mixture": sound.audio}, "references": sound.references}
    notes = {"references": sound.notes}
    for result in results:
        if result.title in groups:
            raise WeaklibError(f"Two results are called {result.title!r}, and could not be told apart; leave one out.")
        left = rest(sound, result) if rests else {}
        groups[result.title], notes[result.title] = result.stems | left, result.notes
    groups = {group: stems for group, stems in groups.items() if stems}
    sr = min(max(sound.sr, RATES[0]), RATES[1])
    tracks = {_track(group, name): _playable(x, sound.sr, sr) for group, stems in groups.items()
              for name, x in stems.items()}
    arranged = {"tracks": tracks, "sr": sr,
                "groups": {group: [_track(group, name) for name in stems] for group, stems in groups.items()},
                "notes": {_track(group, name): of for group, by_name in notes.items() for name, of in by_name.items()
                          if len(of) and group in groups},
                "group": [*groups][-1] if results else "mixture",
                "fmax": min(sr / 2, max((result.fmax for result in results), default=np.inf))}
    return arranged | _pictures(tracks, sr, results, arranged["fmax"]) if pictures else arranged


def _pictures(tracks: dict, sr: int, results, fmax: float) -> dict:
    drawn = {"mel": spectra.levels(tracks, sr, "mel", fmax=fmax), "missing": {}, "too much": {}}
    for result in results:
        if result.does == "separate":
            for ref, output in result.matches.items():
                title = _track(result.title, output)
                change = spectra.difference(tracks[title], tracks[ref], sr, "cqt", fmax=fmax) / plots.LIMIT
                drawn["missing"][title], drawn["too much"][title] = np.clip(-change, 0, 1), np.clip(change, 0, 1)
    drawn = {name: by_title for name, by_title in drawn.items() if by_title}
    return {"scale": "cqt", "pictures": drawn, "axes": dict.fromkeys(drawn, "cqt") | {"mel": "mel"},
            "ends": dict.fromkeys(drawn, ("0 dB", f"{plots.LIMIT:g} dB or more"))
            | {"mel": (f"−{spectra.RANGE:g} dB", "0 dB")}}


def _track(group: str, name: str) -> str:
    return name if group in ("mixture", "references") else f"{name}, {group}"


def _playable(x, from_sr, sr):
    x = np.atleast_2d(x)
    return audio.resample(x.mean(0, keepdims=True) if len(x) > 2 else x, from_sr, sr)


def save(sound: Sound, result: Result, folder) -> list[Path]:
    """Write all stems (float wav) or the MIDI of a sound: of the whole file, where it is a part of one.

    Parameters
    ----------
    sound : Sound
    result : Result
    folder : path-like
        They go to a folder in it that is named after the result, made if need be; what it has is replaced.

    Returns
    -------
    list of Path

    Raises
    ------
    WeaklibError
        If something cannot be written; see `weaklib.inference.separate_file`.
    """
    clean = partial(re.sub, r"[^\w.+-]+", "-")
    folder = files.path(folder) / clean(result.title).strip("-")
    if result.does == "transcribe":
        if sound.path:
            to = folder / f"{sound.path.stem}.mid"
            return [inference.transcribe_file(sound.path, to, overwrite=True, **result.again)]
        midi = inference.transcribe(sound.audio, sound.sr, **result.again)
        return [inference.write_midi(folder / f"{clean(sound.title)}.mid", midi)]
    if sound.path:
        return inference.separate_file(sound.path, folder, overwrite=True, **result.again)
    stems = inference.separate(sound.audio, sound.sr, **result.again)
    paths = [inference.stem_path(folder, clean(sound.title), name) for name in stems]
    for path, x in zip(paths, stems.values()):
        audio.write(path, x, sound.sr)
    return paths
