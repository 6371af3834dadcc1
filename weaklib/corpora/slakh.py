"""The corpora ``slakh`` and ``babyslakh``: piano, guitar and bass of Slakh2100, with their scores.

`slakh` is Slakh2100-split2 as hung2021 uses it, `babyslakh` its first 20 tracks. They are read from a download below
``WEAKLIB_DATA``, made mono at 16 kHz, and stored for a split as ``TrackNNNNN.npy`` int16 (class that plays, time),
``notes.npy`` float64 (note, 8) of song, source, onset, offset, pitch, velocity, offset under the pedal, semitones by
which it sounds below its pitch, and ``index.json``. The options about scores choose among what is stored. Both are
there as `slakh_uncorrected` and `babyslakh_uncorrected`, too, which leave the bass as its score has it unless told
otherwise: the config of a run names its corpus, and nothing else about it.

Contents
--------
Slakh
    A split, item by item.
split_of
    The split of a track.
"""
from __future__ import annotations

import json
import re
from collections import Counter
from importlib import resources
from pathlib import Path

import numpy as np

from weaklib import audio, files, midi
from weaklib.corpora import SPLITS, Holdings, Option, cache
from weaklib.corpora.band import INSTRUMENTS, SR
from weaklib.corpora.scored import Scored, by_song, played
from weaklib.files import WeaklibError
from weaklib.progress import track as progress
from weaklib.rolls import LOWEST, PITCHES

UNCORRECTED = "_uncorrected"  # what the name of a corpus ends in if its bass is left as written
#: Corpus -> its folder as unpacked, how that may begin, and the archive.
DOWNLOADS = {
    "slakh": ("slakh2100_flac_redux", "slakh2100",
              "slakh2100_flac_redux.tar.gz (about 105 GB) from record 4599666 of zenodo.org"),
    "babyslakh": ("babyslakh_16k", "babyslakh", "babyslakh_16k.tar.gz from record 4603870 of zenodo.org")}
N_TRACKS = {"slakh": 2100, "babyslakh": 20}
FACTS = json.loads(resources.files("weaklib.corpora").joinpath("slakh.json").read_text(encoding="utf-8"))
MOVED = {number: split for split, numbers in FACTS["moved"].items() for number in numbers}
#: BabySlakh has no splits. Ours keep its one test track of split2, number 3, in test; the others are train.
BABY = {3: "test", 19: "test", 20: "test", 16: "validation", 17: "validation", 18: "validation"}

PROGRAMS = {"piano": (0, 1, 3, 6), "guitar": (29, 30), "bass": (33, 34, 35, 36, 37)}  # General MIDI, 0-based
#: Patches of Slakh's class Acoustic Piano. Program 0 alone will not do: electric pianos carry it, too.
PIANOS = ("ragtime_piano the_giant_hard_and_tough the_giant_modern_studio the_giant_vibrant alicias_keys the_grandeur "
          "the_gentleman grand_piano upright_piano harpsichord concert_grand august_foerster_grand").split()
SLAP = "scarbee_jay_bass_slap_both"  # the one bass that sounds as its score says; the others sound an octave lower
TRACK_BYTES = 145 * 3600 // 2100 * SR * 2 * 2  # roughly, in the store: a track of mean length with two of the classes


class Slakh(Scored):
    """A split of `slakh` or `babyslakh`; its items are those of `Scored`.

    The stems of a class are summed, and the mixture is the sum of the three classes, not the download's own. Notes
    beyond the 88 keys of a piano are dropped.

    Options
    -------
    duration, hop_length
        As of `Scored`.
    min_sources : {1, 2, 3}
        How many of the three classes a track must have.
    bass_octave : bool
        Whether to write the bass where it sounds, 12 semitones below its score; by default it is, except in the corpora
        whose names end in ``_uncorrected``.
    pedal : bool
        Whether notes go on while the sustain pedal is down.

    Attributes
    ----------
    songs : list of dict
        ``track``, ``stems`` (names by class; a class that does not play has no entry) and ``samples`` of every song.
    left_out : list of (str, str, str)
        Track, stem and reason, of the stems of the three classes that cannot be used. The rest of their track can.
    missing : list of str
        Tracks of the split that the download lacks.
    """

    SR, INSTRUMENTS = SR, INSTRUMENTS
    SIZES = None  # each preset means all tracks
    OPTIONS = Scored.OPTIONS | {"min_sources": Option(int, 1, 1, len(INSTRUMENTS)), "bass_octave": Option(bool),
                                "pedal": Option(bool, False)}

    def default(self, option):
        return not self.name.endswith(UNCORRECTED)  # of `bass_octave`

    def open(self):
        name, root, wanted, tracks = self._looked_up()
        if not tracks:
            raise WeaklibError(f"{root} has no track of the {self.split} split; unpack {DOWNLOADS[name][2]} again, "
                               "whole.")
        key = {"corpus": name, "version": self.version, "split": self.split, "files": _fingerprint(tracks)}
        self._store = cache.folder(key, lambda path: _build(path, name, self.split, list(tracks.values()), len(wanted)),
                                   n_bytes=len(tracks) * TRACK_BYTES)
        index = files.read_json(self._store / "index.json")
        self.left_out = [tuple(entry) for entry in index["left_out"]]
        notes = _chosen(np.load(self._store / "notes.npy"), self.bass_octave, self.pedal)
        notes = by_song(notes, len(index["songs"]), len(INSTRUMENTS))
        kept = [i for i, song in enumerate(index["songs"]) if len(song["stems"]) >= self.min_sources]
        self.songs, self.notes = [index["songs"][i] for i in kept], [notes[i] for i in kept]
        self.lengths = [song["samples"] for song in self.songs]
        if not self.songs or not len(self):
            raise WeaklibError(f"No track of the {self.split} split in {root} has {self.min_sources} of "
                               f"{', '.join(INSTRUMENTS)} and lasts {self.duration:g} s; choose a smaller min_sources "
                               "or duration.")

    def holdings(self):
        *_, tracks = self._looked_up()
        return Holdings({"": len(tracks)}, {"": self.missing})

    def _looked_up(self) -> tuple[str, Path, list[int], dict[int, Path]]:
        """Name and folder of the download, the numbers of the tracks of the split, and the folders that are there."""
        name = self.name.removesuffix(UNCORRECTED)  # of the download: both corpora share what is stored
        root = _root(name)
        wanted = [number for number in range(1, N_TRACKS[name] + 1) if split_of(name, number) == self.split]
        found = _tracks(root)
        tracks = {number: found[number] for number in wanted if number in found}
        self.missing = [f"Track{number:05}" for number in wanted if number not in tracks]
        return name, root, wanted, tracks

    def samples(self, song, start):
        # Opened anew each time: as many open maps as tracks may be more than the system allows.
        stored = np.load(self._store / f"{self.songs[song]['track']}.npy", mmap_mode="r")[:, start:][:, :self.n_samples]
        sources = np.zeros((len(INSTRUMENTS), stored.shape[1]), dtype=np.int16)
        sources[[INSTRUMENTS.index(instrument) for instrument in self.songs[song]["stems"]]] = stored
        return sources


def split_of(name: str, number: int) -> str:
    """Name the split of a track, wherever the download keeps it: that of split2, or, for `babyslakh`, of `BABY`."""
    if name == "babyslakh":
        return BABY.get(number, "train")
    return MOVED.get(number) or SPLITS[(number > 1500) + (number > 1875)]


def _root(name: str) -> Path:
    """Find the folder of the download."""
    folder, prefix, archive = DOWNLOADS[name]
    data = files.data()
    inside = data.iterdir() if data and data.is_dir() else []
    found = [path for path in inside if path.name.lower().startswith(prefix) and path.is_dir()]
    if not found:
        raise WeaklibError(f"{files.lacking(f'folder {folder}')}: download {archive}, unpack it into a folder, and set "
                           "WEAKLIB_DATA to that folder.")
    return min(found, key=lambda path: (path.name != folder, path.name))


def _tracks(root: Path) -> dict[int, Path]:
    """Find the folders of tracks, by number, in whichever of the layouts: train, validation, test, omitted or none."""
    found = sorted(path.parent for pattern in ("*", "*/*") for path in root.glob(f"{pattern}/metadata.yaml"))
    return {int(path.name[5:]): path for path in found if re.fullmatch(r"Track\d{5}", path.name)}


def _fingerprint(tracks: dict[int, Path]) -> str:
    """Digest names and sizes of all files that may be read."""
    return cache.digest({f"{number}/{path.relative_to(folder).as_posix()}": path.stat().st_size
                         for number, folder in tracks.items() for pattern in ("metadata.yaml", "MIDI/S*", "stems/S*")
                         for path in folder.glob(pattern)})


def _chosen(notes, bass_octave, pedal):
    """Turn the stored notes (n, 8) into (n, 6), sorted as they were, as the options have them."""
    if pedal:
        notes[:, 3] = notes[:, 6]
    if bass_octave:
        notes[:, 4] -= notes[:, 7]
    return notes[(notes[:, 4] >= LOWEST) & (notes[:, 4] < LOWEST + PITCHES), :6]


class _LeftOut(Exception):
    """Why a stem cannot be used, in a few words."""


def _build(path: Path, name: str, split: str, folders: list[Path], n_tracks: int) -> None:
    """Read the tracks of a split into the folder `path`, and print what was left out."""
    songs, notes, left_out = [], [np.zeros((0, 8))], []
    for folder in progress(folders, f"{name}, {split}"):
        stems, sources, score, lost = _read(folder)
        left_out += [(folder.name, stem, reason) for stem, reason in lost]
        if stems:
            np.save(path / f"{folder.name}.npy", sources)
            notes.append(np.insert(score, 0, len(songs), axis=1))
            songs.append({"track": folder.name, "stems": stems, "samples": sources.shape[1]})
    np.save(path / "notes.npy", np.concatenate(notes))
    files.write_json(path / "index.json", {"songs": songs, "left_out": left_out})
    reasons = Counter(reason.split(" (")[0] for _, _, reason in left_out)
    counted = ", ".join(f"{n} with {reason}" for reason, n in sorted(reasons.items()))
    print(f"{name}, {split}: {len(songs)} of {n_tracks} tracks ({n_tracks - len(folders)} are not in the download, "
          f"{len(folders) - len(songs)} have no usable {', '.join(INSTRUMENTS)}); left out {len(left_out)} stems"
          f"{': ' if counted else ''}{counted}.")


def _read(folder: Path):
    """Read what a track has of the three classes.

    Returns
    -------
    stems : dict
        Names of the stems by class, in the order of `INSTRUMENTS`, without the classes that do not play.
    sources : array, shape=(class that plays, time), int16
        Scaled down only if they or their sum would clip.
    notes : array, shape=(n, 7)
        What is stored, without the song.
    left_out : list of (str, str)
        Stem and reason.
    """
    import yaml
    try:
        facts = yaml.safe_load((folder / "metadata.yaml").read_text(encoding="utf-8"))["stems"]
        classes = {stem: _instrument(fact) for stem, fact in sorted(facts.items())}
    except (OSError, ValueError, yaml.YAMLError, AttributeError, KeyError, TypeError):  # not YAML, or not of its form
        return {}, None, None, [("", "damaged metadata.yaml")]
    waves, notes, left_out = {}, [], []
    for stem, instrument in classes.items():
        if instrument is None:
            continue
        try:
            wave, score = _stem(folder, stem)
        except _LeftOut as e:
            left_out.append((stem, str(e)))
            continue
        waves.setdefault(instrument, {})[stem] = wave
        octave = 12 * (instrument == "bass" and _patch(facts[stem]) != SLAP)
        score = np.insert(score, 5, octave, axis=1)
        notes.append(np.insert(score, 0, INSTRUMENTS.index(instrument), axis=1))
    if not waves:
        return {}, None, None, left_out
    playing = [instrument for instrument in INSTRUMENTS if instrument in waves]
    sources = np.zeros((len(playing), max(len(wave) for stems in waves.values() for wave in stems.values())))
    for source, instrument in zip(sources, playing):
        for wave in waves[instrument].values():
            source[:len(wave)] += wave
    peak = max(np.abs(sources).max(), np.abs(sources.sum(axis=0)).max())
    sources *= 2 ** 15 * min(1, (1 - 2 ** -15) / peak)
    notes = np.concatenate(notes)
    return ({instrument: list(waves[instrument]) for instrument in playing}, np.rint(sources).astype(np.int16),
            notes[np.lexsort((notes[:, 1], notes[:, 0]))], left_out)  # by source, then onset


def _instrument(fact: dict) -> str | None:
    """Name the class of a stem of metadata.yaml, if it is one of the three."""
    if fact["is_drum"]:
        return None
    found = next((name for name, programs in PROGRAMS.items() if fact["program_num"] in programs), None)
    return None if found == "piano" and _patch(fact) not in PIANOS else found


def _patch(fact: dict) -> str:
    return str(fact["plugin_name"]).removesuffix(".nkm")


def _stem(folder: Path, stem: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a stem: its sound (time,) at `SR`, and its score as of `_score`."""
    if bad := FACTS["bad"].get(folder.name, {}).get(stem):
        raise _LeftOut(f"known mistakes ({bad})")
    # The flags audio_rendered and midi_saved are no help: in BabySlakh they are all false.
    sound = [path for suffix in (".flac", ".wav") if (path := folder / "stems" / f"{stem}{suffix}").is_file()]
    written = folder / "MIDI" / f"{stem}.mid"
    if not sound:
        raise _LeftOut("no audio")
    if not written.is_file():
        raise _LeftOut("no MIDI")
    score = _score(written)
    try:
        wave, sr = audio.read(sound[0], allow_silent=True)
    except WeaklibError as e:
        raise _LeftOut("damaged audio") from e
    if not wave.any():
        raise _LeftOut("silent audio")
    return audio.resample(wave.mean(axis=0), sr, SR), score


def _score(path: Path) -> np.ndarray:
    """Read a MIDI file: array (n, 5) of onset (s), offset (s), pitch, velocity, offset under the pedal (s)."""
    try:
        instruments = midi.read(path).instruments
    except WeaklibError as e:
        raise _LeftOut("damaged MIDI") from e
    if not any(i.notes for i in instruments):
        raise _LeftOut("no notes")
    return played(instruments)
