"""The stem player: what Python prepares for ``player.js``, and how it is shown where no Python runs.

Sound goes to the browser as 16-bit samples, all of them scaled by one gain: that with which no choice of stems of a
group, played together at up to 0 dB, clips. A signal and its negative become exact negatives and cancel to nothing.
Pictures are made here, all spectrograms with one dB reference, and go as PNG.

Contents
--------
StemPlayer
    The widget.
show
    It, or its static form: the notebook says which.
static, Static
    A picture and clips, for notebooks that are executed and read later.
save_html
    The player as one page that works offline.
pack, common_gain, png
    What they are made of.
"""
from __future__ import annotations

import base64
import html
import json
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import anywidget
import numpy as np
import traitlets

from weaklib import audio, files, plots, spectra
from weaklib.files import WeaklibError

RATES = (8000, 96000)  # Hz, what every browser has to play
PEAK = 0.99  # of full scale; the rest is for rounding
MAX_MB = 64  # of samples; decoded they take twice that in the browser
COLUMNS, ROWS = 900, 160  # at most, of a picture
SPECTROGRAM = "spectrogram"
COLOURS = {SPECTROGRAM: "magma"}  # of matplotlib; all other pictures have
OTHERS = "viridis"
HERE = Path(__file__).parent


def pack(tracks: dict, sr: int, *, notes: dict | None = None, groups: dict | None = None, group: str | None = None,
         pictures: dict | None = None, axes: dict | None = None, ends: dict | None = None, scale: str | None = None,
         fmax: float | None = None) -> dict:
    """Check and convert all that the browser needs; see `StemPlayer` for the parameters.

    Returns
    -------
    dict
        ``sr``, ``gain_db``; ``groups``, name -> indices of tracks; ``first``, name of a group; ``pictures``, names;
        ``axes``, name -> scale, and its values (Hz, mel or MIDI pitches) at the lower and the upper edge; ``legends``,
        name -> colours, what the first and what the last of them means; ``tracks``, a list of dicts with ``title``,
        ``channels``, ``audio`` (int16, channel after channel), ``pictures`` (name -> PNG) and ``notes``.

    Raises
    ------
    WeaklibError
        If there is nothing to play, or something that cannot be played or drawn.
    """
    signals = _signals(tracks, sr)
    titles = list(signals)
    groups = _groups(groups, titles)
    notes = {title: _notes(title, of, titles) for title, of in (notes or {}).items()}
    scale = scale or _scale(notes)
    levels = spectra.levels(signals, sr, scale, fmax=fmax)
    pictures = {name: {title: _image(name, title, image, titles) for title, image in images.items()}
                for name, images in (pictures or {}).items()}
    axes = {name: _axis(name, axis, pictures, sr, fmax) for name, axis in (axes or {}).items()}
    axes[SPECTROGRAM] = _edges(sr, scale, fmax)
    ends = {SPECTROGRAM: (f"−{spectra.RANGE:g} dB", "0 dB")} | (ends or {})
    pictures = {SPECTROGRAM: levels} | pictures
    drawn = {name: {title: png(_pool(image), COLOURS.get(name, OTHERS)) for title, image in images.items()}
             for name, images in pictures.items()}
    legends = {name: [_gradient(COLOURS.get(name, OTHERS)), *ends.get(name, ("0", "1"))] for name in drawn}
    gain = common_gain(signals, groups)
    packed = [{"title": title, "channels": len(x), "audio": np.rint(gain * 32767 * x).astype("<i2").tobytes(),
               "pictures": {name: images[title] for name, images in drawn.items() if title in images},
               "notes": notes.get(title, [])} for title, x in signals.items()]
    return {"sr": int(sr), "gain_db": 20 * np.log10(gain), "pictures": list(drawn), "axes": axes, "legends": legends,
            "tracks": packed, "first": _first(group, groups),
            "groups": {name: [titles.index(title) for title in members] for name, members in groups.items()}}


def common_gain(signals: dict, groups: dict) -> float:
    """The largest gain with which no choice of tracks of a group clips when played together at up to 0 dB.

    Parameters
    ----------
    signals : dict of str to array, shape=(channel, time)
    groups : dict of str to list of str

    Returns
    -------
    float
        1 if everything is silent.
    """
    peaks = [sum(np.maximum(sign * signals[title], 0) for title in members).max()  # the worst choice, at every sample
             for members in groups.values() for sign in (1, -1)]
    return float(PEAK / max(peaks)) if max(peaks) > 0 else 1.0


def png(image, colours: str = "magma") -> bytes:
    """Encode a picture with few colours, which keeps it small.

    Parameters
    ----------
    image : array, shape=(row, column)
        Values in [0, 1], cut to it; the lowest row comes first, as in a spectrum or a roll.
    colours : str
        Name of a matplotlib colour map.

    Returns
    -------
    bytes
        A PNG file.
    """
    from matplotlib import colormaps
    palette = np.rint(255 * colormaps[colours](np.linspace(0, 1, plots.SHADES))[:, :3]).astype(np.uint8)
    shades = np.rint((plots.SHADES - 1) * np.clip(image, 0, 1)).astype(np.uint8)[::-1]
    height, width = shades.shape
    lines = np.insert(shades, 0, 0, axis=1)  # every line begins with the number of its filter: none

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">2I5B", width, height, 8, 3, 0, 0, 0)  # 8 bits, palette
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"PLTE", palette.tobytes())
            + chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)) + chunk(b"IEND", b""))


class StemPlayer(anywidget.AnyWidget):
    """Play stems together to the sample, and look at them.

    Click on a picture to seek, drag to loop; a line under the player lists the keys. Without a reader's click a browser
    plays nothing.

    Parameters
    ----------
    tracks : dict of str to array or Tensor, shape=(time,) or (channel, time)
        Title -> signal, all of one length, with one or two channels.
    sr : int, Hz
        From 8 to 96 kHz.
    notes : dict of str to array, shape=(note, 3 or more), optional
        Title -> onset (s), offset (s), MIDI pitch of each note, drawn at their fundamentals over the spectrogram and
        over pictures that have an axis. What else a row holds is ignored.
    groups : dict of str to list of str, optional
        Name -> titles, to compare by A/B: one group is heard and seen at a time. The k-th track of every group shares
        the k-th row, with its solo, mute and gain, so that the same stem is compared. By default one group of all.
    group : str, optional
        The group that is heard and seen at first, by default the first.
    pictures : dict of str to dict of str to array, shape=(row, frame), optional
        What the rows may show beside their spectrograms, such as masks or piano rolls: name -> title -> values in
        [0, 1], lowest row first, from the beginning of the signal to its end. For spectrograms in other scales see
        `weaklib.spectra.levels`.
    axes : dict of str to str or (float, float), optional
        Name of a picture -> its scale, if its rows are those of `weaklib.spectra.levels` in that scale with this `sr`
        and `fmax`; or, of a roll, the MIDI pitches at its lower and its upper edge: (20.5, 108.5) for the keys of a
        piano. Notes are drawn only over what has an axis.
    ends : dict of str to (str, str), optional
        Name of a picture -> what 0 and what 1 means in it, in a word.
    scale : {"linear", "mel", "cqt"}, optional
        Scale of the spectrogram: by default constant Q where there are notes, and mel where there are none.
    fmax : float, Hz, optional
        Highest frequency of the spectrogram; half of `sr` by default.

    Attributes
    ----------
    playing : bool
    position : float, s
        Told four times a second while it plays; set it to seek.
    loop : list of float, s
        Begin and end, or empty.
    solo, mute : list of bool
        By row.
    gain : list of float, dB
        By row.
    level : float, dB
        Of everything.
    group, picture : str
        What is heard and seen.

    Raises
    ------
    WeaklibError
        If there is no track, tracks differ in length, hold NaN or infinity, or are too long; or if `notes`, `groups`,
        `pictures`, `axes` or an attribute do not fit the tracks.
    """

    _esm = (HERE / "player.js").read_text(encoding="utf-8")  # given paths, anywidget keeps every widget alive, with
    _css = (HERE / "player.css").read_text(encoding="utf-8")  # its sound, to tell it of changes
    _scene = traitlets.Dict().tag(sync=True)
    playing = traitlets.Bool(False).tag(sync=True)
    position = traitlets.Float(0.0).tag(sync=True)
    loop = traitlets.List(traitlets.Float()).tag(sync=True)
    solo = traitlets.List(traitlets.Bool()).tag(sync=True)
    mute = traitlets.List(traitlets.Bool()).tag(sync=True)
    gain = traitlets.List(traitlets.Float()).tag(sync=True)
    level = traitlets.Float(-6.0).tag(sync=True)
    group = traitlets.Unicode().tag(sync=True)
    picture = traitlets.Unicode(SPECTROGRAM).tag(sync=True)

    def __init__(self, tracks: dict, sr: int, *, notes: dict | None = None, groups: dict | None = None,
                 group: str | None = None, pictures: dict | None = None, axes: dict | None = None,
                 ends: dict | None = None, scale: str | None = None, fmax: float | None = None):
        scene = pack(tracks, sr, notes=notes, groups=groups, group=group, pictures=pictures, axes=axes, ends=ends,
                     scale=scale, fmax=fmax)
        self._given = dict(tracks=tracks, sr=sr, notes=notes, scale=scale, fmax=fmax)
        super().__init__(_scene=scene, **_controls(scene))

    def _ipython_display_(self) -> None:
        show_noted(self, f"Run the notebook up to here to hear {', '.join(t['title'] for t in self._scene['tracks'])}.")

    @property
    def duration(self) -> float:
        """Length of the tracks, s."""
        return _duration(self._scene)

    def static(self) -> Static:
        """The player as a picture and clips; see `static`."""
        return static(**self._given)

    def save_html(self, path, *, title: str = "Listen") -> None:
        """Write the player, set as it is now, as a page of its own; see `save_html`."""
        now = {name: getattr(self, name) for name in _controls(self._scene)} | {"picture": self.picture}
        files.write_bytes(path, page(self._scene, title, **now).encode())

    @traitlets.validate("position")
    def _check_position(self, proposal):
        return min(max(proposal.value, 0.0), self.duration)

    @traitlets.validate("loop")
    def _check_loop(self, proposal):
        loop = proposal.value
        if loop and not (len(loop) == 2 and 0 <= loop[0] < loop[1] <= self.duration):
            raise WeaklibError(f"loop={loop} is not part of these {self.duration:.2f} s; give begin and end, or [].")
        return loop

    @traitlets.validate("solo", "mute", "gain")
    def _check_rows(self, proposal):
        n_rows = max(map(len, self._scene["groups"].values()))
        if len(proposal.value) != n_rows:
            raise WeaklibError(f"{proposal.trait.name} has {len(proposal.value)} values for {n_rows} rows; give one "
                               "for each row.")
        return proposal.value

    @traitlets.validate("group", "picture")
    def _check_name(self, proposal):
        known = list(self._scene[f"{proposal.trait.name}s"])
        if proposal.value not in known:
            raise WeaklibError(f"Unknown {proposal.trait.name} {proposal.value!r}; choose one of {', '.join(known)}.")
        return proposal.value


class Static(NamedTuple):
    """A player without a player: shown as two outputs, because not every reader of notebooks shows the second."""

    picture: object  #: IPython Image, with alternative text
    clips: object  #: IPython HTML

    def _ipython_display_(self) -> None:
        from IPython.display import display
        display(self.picture, self.clips)


def static(tracks: dict, sr: int, *, notes: dict | None = None, groups: dict | None = None, group: str | None = None,
           pictures: dict | None = None, axes: dict | None = None, ends: dict | None = None, scale: str | None = None,
           fmax: float | None = None) -> Static:
    """Make a picture and clips that a saved notebook keeps, without a widget and its state.

    Parameters and errors are those of `StemPlayer`; groups and pictures make no difference. All clips have one gain, as
    in `weaklib.plots.listen`.

    Returns
    -------
    Static
    """
    from IPython.display import Image
    signals = _signals(tracks, sr)
    notes = {title: _notes(title, of, list(signals)) for title, of in (notes or {}).items()}
    figure = plots.stems(signals, sr, scale=scale or _scale(notes), fmax=fmax, notes=notes)
    return Static(Image(plots.png(figure), alt=figure.alt),
                  plots.listen({title: x if len(x) == 2 else x[0] for title, x in signals.items()}, sr))


def save_html(path, tracks: dict, sr: int, *, title: str = "Listen", **options) -> None:
    """Write a player as one page that needs neither Python nor a network: open it, or send it to somebody.

    Parameters
    ----------
    path : str or Path
    tracks, sr, **options
        Of `StemPlayer`.
    title : str
        Heading of the page.

    Raises
    ------
    WeaklibError
        As `StemPlayer`, or if `path` cannot be written.
    """
    scene = pack(tracks, sr, **options)
    files.write_bytes(path, page(scene, title, **_controls(scene)).encode())


def page(scene: dict, title: str, **controls) -> str:
    """HTML with the player's own module, the sound and the pictures in it; it is forbidden to fetch anything."""
    state = {"playing": False, "position": 0.0, "loop": [], "level": -6.0, "picture": SPECTROGRAM} | controls
    data = json.dumps({"_scene": scene} | state, default=lambda data: base64.b64encode(data).decode())
    policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src blob:"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width">
<title>{html.escape(title)}</title>
<style>:root {{ color-scheme: light dark; }}
body {{ max-width: 1100px; margin: 1em auto; padding: 0 1em; font-family: system-ui, sans-serif; }}
{(HERE / "player.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
<h1>{html.escape(title)}</h1>
<div id="player"></div>
</main>
<script type="application/json" id="state">{data.replace("<", chr(92) + "u003c")}</script>
<script type="module">
{(HERE / "player.js").read_text(encoding="utf-8")}
mount(document.getElementById("player"), JSON.parse(document.getElementById("state").textContent));
</script>
</body>
</html>
"""


def show(tracks: dict, sr: int, *, interactive: bool = True, **options) -> None:
    """Show the player, or its static form.

    A notebook says which by a parameter, because it cannot know who will read it: a widget in a notebook that was
    executed and saved is dead. The static form makes no widget, so that no state of one is saved either.

    Parameters
    ----------
    tracks, sr, **options
        Of `StemPlayer`.
    interactive : bool
        Whether there is somebody in front of the notebook.
    """
    from IPython.display import display
    display((StemPlayer if interactive else static)(tracks, sr, **options))


def show_noted(widget, note: str) -> None:
    """Show a widget, and in its place, where a saved notebook is read without it, a note.

    A saved notebook does not hold the widget, and JupyterLab shows an error then, whatever else the widget's own output
    has to offer. So there are two outputs; the style sheets hide the first one where the second is alive.
    """
    from IPython.display import display
    display({"text/html": f'<p class="weaklib-note">{html.escape(note)}</p>', "text/plain": note}, raw=True)
    output = widget._repr_mimebundle_()
    data, metadata = output if isinstance(output, tuple) else (output, {})  # of anywidget, of ipywidgets
    display({kind: x for kind, x in data.items() if kind != "text/plain"}, metadata=metadata, raw=True)


def _controls(scene: dict) -> dict:
    """What the controls stand on at first."""
    n_rows = max(map(len, scene["groups"].values()))
    return {"solo": [False] * n_rows, "mute": [False] * n_rows, "gain": [0.0] * n_rows,
            "group": scene["first"]}


def _duration(scene: dict) -> float:
    track = scene["tracks"][0]
    return len(track["audio"]) / 2 / track["channels"] / scene["sr"]


def _signals(tracks: dict, sr: int) -> dict:
    """Check tracks and make them arrays, shape=(channel, time)."""
    if not tracks:
        raise WeaklibError("There is no track to play; give a dict of title and signal.")
    if not RATES[0] <= sr <= RATES[1]:
        raise WeaklibError(f"Browsers do not play {sr} Hz; resample to between {RATES[0]} and {RATES[1]} Hz.")
    signals = {}
    for title, x in tracks.items():
        x = audio.to_numpy(x, sound=True)
        if x.ndim not in (1, 2) or x.size == 0 or (x.ndim == 2 and len(x) > 2):
            raise WeaklibError(f"The track {title!r} has the shape {x.shape}; give (time,), or (channel, time) with at "
                               "most 2 channels.")
        if not np.isfinite(x).all():
            raise WeaklibError(f"The track {title!r} holds NaN or infinity and cannot be played; find out where it "
                               "comes from.")
        signals[title] = np.atleast_2d(x)
    lengths = {title: x.shape[-1] for title, x in signals.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{title} {length}" for title, length in lengths.items())
        raise WeaklibError(f"The tracks differ in length ({told} samples); cut or pad them to play together.")
    size = 2 * sum(x.size for x in signals.values()) / 1e6
    if size > MAX_MB:
        raise WeaklibError(f"These tracks are {size:.0f} MB of samples, and a page takes {MAX_MB}; give an excerpt.")
    return signals


def _groups(groups: dict | None, titles: list) -> dict:
    if not groups:
        return {"all": titles}
    members = [title for group in groups.values() for title in group]
    wrong = [title for title in members if title not in titles] + [title for title in titles if title not in members]
    if wrong or not all(groups.values()):
        raise WeaklibError("Every track has to be in a group, and every group to hold tracks; "
                           + (f"look at {', '.join(map(repr, wrong))}." if wrong else "one is empty."))
    return {name: list(dict.fromkeys(group)) for name, group in groups.items()}


def _notes(title: str, notes, titles: list) -> list:
    """Notes of a track as a list of onset, offset and pitch."""
    notes = audio.to_numpy(notes, np.float64)
    if notes.size == 0:
        notes = notes.reshape(0, 3)
    if title not in titles or notes.ndim != 2 or notes.shape[1] < 3 or not np.isfinite(notes).all():
        raise WeaklibError(f"The notes of {title!r} cannot be drawn; give a track's title and rows of onset, offset "
                           "and pitch.")
    return notes[:, :3].round(4).tolist()


def _first(group: str | None, groups: dict) -> str:
    if group is None:
        return next(iter(groups))
    if group not in groups:
        raise WeaklibError(f"Unknown group {group!r}; choose one of {', '.join(groups)}.")
    return group


def _scale(notes: dict) -> str:
    """How frequencies are spread, unless one says: notes are told apart where semitones are steps of one height."""
    return "cqt" if any(notes.values()) else "mel"


def _image(name: str, title: str, image, titles: list):
    image = audio.to_numpy(image)
    if name == SPECTROGRAM or title not in titles or image.ndim != 2 or image.size == 0 or not np.isfinite(image).all():
        raise WeaklibError(f"The picture {name!r} of {title!r} cannot be drawn; give a track's title and finite values "
                           f"of the shape (row, frame), under another name than {SPECTROGRAM!r}.")
    return image


def _axis(name: str, axis, pictures: dict, sr: int, fmax: float | None) -> list:
    """Check an axis and say what it is: a scale, and its values at the lower and the upper edge of the picture."""
    images = pictures.get(name, {}).values()
    if isinstance(axis, str):
        n_rows = len(spectra.frequencies(sr, axis, fmax=fmax))
        if images and all(len(image) == n_rows for image in images):
            return _edges(sr, axis, fmax)
        raise WeaklibError(f"The picture {name!r} has no axis {axis!r}, for it has not the {n_rows} rows of one up to "
                           f"{fmax or sr / 2:g} Hz; make it by weaklib.spectra.levels with this sr and fmax.")
    edges = [float(pitch) for pitch in axis]
    if not images or len(edges) != 2 or not edges[0] < edges[1]:
        raise WeaklibError(f"axes={{{name!r}: {edges}}} is not an axis; give a picture's name and a scale, or the MIDI "
                           "pitches at its lower and its upper edge.")
    return ["roll", *edges]


def _edges(sr: int, scale: str, fmax: float | None) -> list:
    """Scale of a spectrogram, and its values at the lower and the upper edge: half a step beyond its rows."""
    hertz = spectra.frequencies(sr, scale, fmax=fmax)
    steps = {"linear": lambda f: f, "mel": lambda f: 2595 * np.log10(1 + f / 700),
             "cqt": lambda f: 69 + 12 * np.log2(f / 440)}[scale](hertz)
    half = (steps[-1] - steps[0]) / max(1, len(steps) - 1) / 2 or 0.5
    return [scale, float(steps[0] - half), float(steps[-1] + half)]


def _gradient(colours: str) -> str:
    """A colour map as CSS, dark to bright."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex
    return f"linear-gradient(90deg, {', '.join(to_hex(c) for c in colormaps[colours](np.linspace(0, 1, 6)))})"


def _pool(image):
    """Take the largest of neighbouring values, so that nothing short is lost where there are more than pixels."""
    for axis, limit in enumerate((ROWS, COLUMNS)):
        n = image.shape[axis]
        if n > limit:
            image = np.maximum.reduceat(image, np.arange(limit) * n // limit, axis=axis)
    return image
