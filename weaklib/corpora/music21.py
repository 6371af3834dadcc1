"""The corpus ``music21``: videos of people who play one of 21 instruments, from whatever is left of MUSIC-21.

Contents
--------
Music21
    A split, cut by cut.
"""
from __future__ import annotations

from weaklib import files
from weaklib.corpora.labelled import Labelled, Sound, divided
from weaklib.corpora.recorded import find, recordings

#: Class -> how many videos the published list has.
N_VIDEOS = {"bagpipe": 51, "clarinet": 41, "flute": 48, "drum": 55, "acoustic guitar": 89, "ukulele": 60,
            "accordion": 60, "bassoon": 50, "guzheng": 60, "xylophone": 50, "erhu": 53, "tuba": 52, "congas": 53,
            "saxophone": 25, "cello": 57, "violin": 78, "electric bass": 59, "piano": 68, "banjo": 52, "trumpet": 43,
            "pipa": 60}
LIST = "MUSIC21_solo_videos.json"
FOLDERS = ("music21", "MUSIC21", "MUSIC-21", "MUSIC", "music")
GET = (f"get the sound of the videos that {LIST} of github.com/roudimit/MUSIC_dataset names, as "
       "music21/audio/<class>/<id>.wav, with that list beside the folder audio")


class Music21(Labelled):
    """A split of `music21`; its items are those of `Labelled`.

    Of the videos of each class, 80 % are for training (a tenth of these for validation) and 20 % for testing, by hash
    of their ids: of those of the list, if it is there, and else of those that are found.
    """

    PUBLISHED = {"music21": (11025, 65535 / 11025)}
    get = GET

    classes = tuple(N_VIDEOS)

    def listed(self):
        self.root = find([f"{above}{name}" for name in FOLDERS for above in ("", "*/")], GET)
        self.sounds = self.root / "audio" if (self.root / "audio").is_dir() else self.root
        there = {label: {} for label in self.classes}
        for folder in sorted(path for path in self.sounds.iterdir() if path.is_dir()):
            if (label := folder.name.replace("_", " ").lower()) in there:  # frames, duets and so on are not
                there[label] |= {name.rpartition(".")[0]: folder / name for name in recordings(folder)}
        wanted = self._ids()
        if not any(there.values()):
            self.refuse(f"{self.sounds} has no folder with recordings that is called after a class, such as "
                        "acoustic_guitar", GET)
        return [Sound(f"{label}/{name}", label, there[label].get(name)) for label in self.classes
                for name in divided({*there[label], *wanted.get(label, ())})[self.split]]

    def published(self):
        return sum(len(divided(map(str, range(n)))[self.split]) for n in N_VIDEOS.values())

    def _ids(self) -> dict[str, list[str]]:
        """Ids of the published videos by class; nothing without the list."""
        path = next((path for folder in (self.root, self.root / "annotations") if (path := folder / LIST).is_file()),
                    None)
        if not path:
            return {}
        try:
            return {label.replace("_", " "): list(ids) for label, ids in files.read_json(path)["videos"].items()}
        except (KeyError, TypeError, AttributeError):
            self.refuse(f"{path} is no list of videos by class", "get it again")
