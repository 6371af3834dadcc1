"""Pictures and players that speak for themselves in a saved notebook.

All spectrograms of one figure share one dB reference and all clips of one player share one gain, so that what looks or
sounds quieter is quieter. Every figure has an attribute `alt`, a sentence that describes it to those who do not
see it; a notebook keeps it as alternative text.

Contents
--------
captioned
    Any of these figures with a caption under it.
stems
    Spectrograms of several tracks under each other, in three scales, with or without notes.
difference
    What an estimate lacks and what it has too much, and what is left when the reference is taken away.
masks
    Where each source may have energy, over the spectrogram of the mixture.
constant_q
    Constant-Q spectrograms as networks are given them, and as they make them.
pictures
    What is seen, where a method is given frames of a video.
rolls
    Piano rolls of several tracks over each other.
compare_rolls
    What a transcription hits, misses and adds.
listen
    Players for several tracks, with the sound inside the page.
history, Live
    Training curves, afterwards and while they grow.
assignments
    What MixIT chooses from.
colours, against
    The rows of a table: their colours, and the paper's number against ours.
sweep
    Scores over a number that was varied, with their spread over seeds.
trade
    What a weight buys of one score, and what it costs of another.
clouds
    Where points of several kinds lie in a plane.
priced
    Scores over what they cost, each point with its name.
flows
    What a method makes of what: boxes and arrows.
png
    Any of these figures as the small picture that a notebook keeps.
"""
from __future__ import annotations

import base64
import html
import io
from functools import partial

import numpy as np

from weaklib import audio, spectra
from weaklib.files import WeaklibError
from weaklib.rolls import LOWEST, PITCHES, piano_roll, stretches
from weaklib.spectra import RANGE

#: Of Okabe and Ito, told apart with any colour vision; and markers, for those who print in grey.
DISTINCT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333", "#999999")
COLOURS = (*DISTINCT, "#8367c7", "#bc6c25", "#5f0f40", "#8fb339")  # where there may be more lines than that
MARKERS = "os^Dv*PX"
MISSING, EXTRA, HIT = DISTINCT[0], DISTINCT[1], "#333333"
LARGEST = 160.0  # points squared, of a marker in `trade`
LIMIT = 30.0  # dB, from which on a difference has its full colour
SHADES = 64  # colours of a picture that is stored
SPREAD = "A bar is the standard deviation over seeds, and its point their mean."
HERTZ = (200, 500, 1000, 2000, 4000, 8000, 16000)  # where a mel scale has marks


def _figure(n_rows: int = 1, width: float = 8.0, height: float = 1.6, n_columns: int = 1, **options):
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(n_rows, n_columns, figsize=(width, height * n_rows), dpi=75, squeeze=False,
                                layout="constrained", **options)
    return figure, axes.ravel()


def _close(figure, alt: str, reading: str = ""):
    """Keep the figure from being shown twice in a notebook, and give it alternative text, and what a caption has to
    say of its marks where no legend does.
    """
    import matplotlib.pyplot as plt
    plt.close(figure)
    figure.alt, figure.reading, figure.below = alt, reading, 0.0
    figure._repr_mimebundle_ = partial(_bundle, figure)
    return figure


def captioned(figure, text: str):
    """Write a caption under a figure, inside its picture, so that it goes wherever the picture goes.

    Parameters
    ----------
    figure : matplotlib Figure
        From a function of this module. What its marks mean is added to the caption where no legend says so.
    text : str
        What is seen, in whole sentences. It also begins the alternative text.

    Returns
    -------
    matplotlib Figure
        The same one.

    Raises
    ------
    WeaklibError
        If it has a caption already.
    """
    if figure.below:
        raise WeaklibError("This figure has a caption; draw it again to give it another.")
    text = " ".join((text, figure.reading)).strip()
    written = figure.text(0.01, 0, text, ha="left", va="top", fontsize=9, linespacing=1.25, wrap=True,
                          parse_math=False)
    height = written.get_window_extent().height
    figure.alt, figure.below = f"{text} {figure.alt}", np.ceil(height + 0.1 * figure.dpi) / figure.dpi
    return figure


def _bundle(figure, include=None, exclude=None) -> tuple[dict, dict]:
    """The figure as a notebook takes it, twice: as a picture, and as HTML, for JupyterLab passes over the alternative
    text of pictures. `weaklib.headless.clean` keeps the picture alone, with its alternative text.
    """
    data = png(figure)
    image = f'<img alt="{html.escape(figure.alt)}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'
    return {"image/png": data, "text/html": image}, {"image/png": {"alt": figure.alt}}


def png(figure) -> bytes:
    """Encode a figure with `SHADES` colours, which makes it a third as large: a notebook holds many.

    They are those that are furthest apart: the usual choice, by how often colours occur, gives small markers of
    different colours the same one.
    """
    from matplotlib.transforms import Bbox
    from PIL import Image
    buffer, small = io.BytesIO(), io.BytesIO()
    width, height = figure.get_size_inches()
    figure.savefig(buffer, format="png", bbox_inches=Bbox.from_extents(0, -figure.below, width, height))
    Image.open(buffer).convert("RGB").quantize(SHADES, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        small, "png", optimize=True)
    return small.getvalue()


def _spectrogram(ax, title, image, seconds, sr, options, **style):
    """Draw an array (row, frame) of `weaklib.spectra`, made with `options`; the y-axis counts rows."""
    rows, scale = spectra.frequencies(sr, **options), options["scale"]
    n_rows, n_frames = image.shape
    hop = (options["n_fft"] or spectra.window(sr)) // 4 / sr
    drawn = ax.imshow(image, origin="lower", aspect="auto", interpolation="nearest",  # frames are centred on their time
                      extent=(-hop / 2, (n_frames - 0.5) * hop, -0.5, n_rows - 0.5), **style)
    if scale == "cqt":
        marks = {f"C{octave}": spectra.hertz(12 * (octave + 1)) for octave in range(1, 11)}
    elif scale == "mel":
        marks = {f"{hertz}": hertz for hertz in HERTZ}
    else:
        from matplotlib.ticker import MaxNLocator
        marks = {f"{hertz:g}": hertz for hertz in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(0, rows[-1])}
    at = dict(zip(marks, spectra.row_of(list(marks.values()), rows)))
    at = {mark: row for mark, row in at.items() if row >= 0}  # not NaN
    ax.set_yticks(list(at.values()), list(at), fontsize=8)
    ax.set(xlim=(0, seconds), ylim=(-0.5, n_rows - 0.5), ylabel="note" if scale == "cqt" else "Hz")
    ax.set_title(title, fontsize=9)
    return drawn


def stems(tracks: dict, sr: int, *, scale: str = "linear", n_fft: int | None = None, fmax: float | None = None,
          notes: dict | None = None, n_columns: int = 1):
    """Draw the spectrogram of each track, all with one dB reference.

    Parameters
    ----------
    tracks : dict of str to array or Tensor, shape=(time,) or (channel, time)
        Title -> signal.
    sr : int, Hz
    scale : {"linear", "mel", "cqt"}
    n_fft, fmax
        As in `weaklib.spectra.levels`.
    notes : dict of str to array or Tensor, shape=(note, 3 or more), optional
        Title -> onset (s), offset (s), MIDI pitch of each note, drawn at its fundamental.
    n_columns : int
        How many tracks stand beside each other, row by row.

    Returns
    -------
    matplotlib Figure
    """
    options = {"scale": scale, "n_fft": n_fft, "fmax": fmax}
    levels = spectra.levels(tracks, sr, **options)
    rows = spectra.frequencies(sr, **options)
    seconds = max(np.shape(x)[-1] for x in tracks.values()) / sr
    figure, axes = _figure(-(-len(tracks) // n_columns), n_columns=n_columns, sharex=True)
    for ax in axes[len(tracks):]:
        ax.remove()
    for ax, (title, level) in zip(axes, levels.items()):
        image = _spectrogram(ax, title, RANGE * (level - 1), seconds, sr, options, **_loudness())
        if len((notes or {}).get(title, [])):
            onset, offset, pitch = audio.to_numpy(notes[title], np.float64)[:, :3].T
            ax.hlines(spectra.row_of(spectra.hertz(pitch), rows), onset, offset, color="aquamarine")
    axes = figure.axes
    for ax in axes[-n_columns:]:
        ax.set_xlabel("seconds")
    figure.colorbar(image, ax=axes, label="dB re the loudest", aspect=40)
    place = "under each other" if n_columns == 1 else f"in {n_columns} columns"
    return _close(figure, f"Spectrograms {place}, {scale} scale: {', '.join(levels)}; {seconds:.1f} s, up to "
                          f"{rows[-1] / 1000:.1f} kHz, one dB reference.",
                  "All share one colour scale, so that what is darker is quieter.")


def difference(est, ref, sr: int, *, scale: str = "linear", n_fft: int | None = None, fmax: float | None = None):
    """Draw a reference, where an estimate has less or more than it, and their residual, all with one dB reference.

    Neither gain nor sign of the estimate is corrected. The difference is one of levels (see
    `weaklib.spectra.difference`) and does not see phase; the residual ``est - ref`` does.

    Parameters
    ----------
    est, ref : array or Tensor, shape=(time,) or (channel, time)
    sr : int, Hz
    scale, n_fft, fmax
        As in `stems`.

    Returns
    -------
    matplotlib Figure
    """
    from matplotlib import colormaps
    options = {"scale": scale, "n_fft": n_fft, "fmax": fmax}
    est, ref = (audio.to_numpy(x, sound=True) for x in (est, ref))
    change = spectra.difference(est, ref, sr, **options)
    levels = spectra.levels({"reference": ref, "residual": est - ref}, sr, **options)
    left = audio.rms((est - ref).ravel()), audio.rms(ref.ravel())
    left = f", {audio.db(left[0] / left[1]):+.1f} dB re the reference" if min(left) > 0 else ""
    titles = {"reference": "reference", "difference": "estimate against reference: blue is missing, red is too much",
              "residual": f"residual, estimate - reference{left}"}
    seconds = ref.shape[-1] / sr
    figure, axes = _figure(3, sharex=True)
    for ax, (what, title) in zip(axes, titles.items()):
        if what == "difference":
            image = _spectrogram(ax, title, change, seconds, sr, options, vmin=-LIMIT, vmax=LIMIT,
                                 cmap=colormaps["RdBu_r"].resampled(25))  # odd: one shade is for no difference
        else:
            image = _spectrogram(ax, title, RANGE * (levels[what] - 1), seconds, sr, options, **_loudness())
        figure.colorbar(image, ax=ax, label="dB", aspect=12, extend="both" if what == "difference" else "neither")
    axes[-1].set_xlabel("seconds")
    return _close(figure, f"Spectrograms under each other, {scale} scale: a reference; what an estimate lacks and has "
                          f"too much; the {titles['residual']}.")


def _loudness() -> dict:
    """How levels in dB re the loudest are coloured."""
    from matplotlib import colormaps
    return {"vmin": -RANGE, "vmax": 0, "cmap": colormaps["magma"].resampled(24)}  # fewer colours make smaller files


def masks(mix, marked: dict, sr: int, *, hop_length: int, fmax: float = 1000.0):
    """Draw a spectrogram in grey with coloured masks over it, one panel per source.

    Parameters
    ----------
    mix : array, shape=(time,)
    marked : dict of str to array, shape=(freq, frame)
        Title -> mask, boolean or in [0, 1], of an STFT with ``2 * (freq - 1)`` samples per window.
    sr : int, Hz
    hop_length : int, samples
    fmax : float, Hz
        Highest frequency shown.

    Returns
    -------
    matplotlib Figure
    """
    import torch
    from matplotlib.colors import to_rgb
    n_freq = len(next(iter(marked.values())))
    last = min(n_freq, round(fmax / sr * 2 * (n_freq - 1)) + 1)
    mix = torch.as_tensor(np.asarray(mix, np.float32))
    level = 20 * np.log10(audio.stft(mix, 2 * (n_freq - 1), hop_length).abs().numpy()[:last] + 1e-12)
    grey = np.clip((level.max() - level) / RANGE, 0, 1)  # loud is dark
    grey = np.round(12 * grey)[..., None] / 12 * np.ones(3)  # fewer shades make smaller files
    figure, axes = _figure(len(marked), height=2.0, sharex=True)
    for ax, (title, mask), colour in zip(axes, marked.items(), COLOURS):
        share = 0.55 * np.asarray(mask, np.float32)[:last, :, None]
        ax.imshow((1 - share) * grey + share * np.array(to_rgb(colour)), origin="lower", aspect="auto",
                  interpolation="nearest", extent=(0, len(mix) / sr, 0, fmax / 1000))
        ax.set(title=title, ylabel="kHz")
        ax.title.set_fontsize(9)
    axes[-1].set_xlabel("seconds")
    return _close(figure, f"Spectrogram of a mixture in grey, up to {fmax / 1000:.1f} kHz, under each other with masks "
                          f"over it: {', '.join(marked)}.",
                  "Grey is the spectrogram of the mixture, the darker the louder.")


def constant_q(pictures: dict, transform):
    """Draw the spectrograms that a network hears, or makes, under each other.

    Parameters
    ----------
    pictures : dict of str to array or Tensor, shape=(frame, bin)
        Title -> spectrogram in [-1, 1], as of `transform`.
    transform : weaklib.constantq.ConstantQ

    Returns
    -------
    matplotlib Figure
    """
    figure, axes = _figure(len(pictures), height=1.9, sharex=True)
    hop, step = transform.hop / transform.sr, transform.bins_per_octave // 12
    marks = {f"C{octave}": step * (12 * (octave + 1) - LOWEST) for octave in range(1, 9)}
    for ax, (title, picture) in zip(axes, pictures.items()):
        decibels = transform.range * (audio.to_numpy(picture, np.float32).T - 1) / 2
        n_rows, n_frames = decibels.shape
        image = ax.imshow(decibels, origin="lower", aspect="auto", interpolation="nearest",
                          extent=(-hop / 2, (n_frames - 0.5) * hop, -0.5, n_rows - 0.5),
                          **_loudness() | {"vmin": -transform.range})
        ax.set_yticks(list(marks.values()), list(marks), fontsize=8)
        ax.set(ylim=(-0.5, n_rows - 0.5), ylabel="note")
        ax.set_title(title, fontsize=9)
    axes[-1].set_xlabel("seconds")
    figure.colorbar(image, ax=axes, label="dB re the maximum", aspect=40)
    return _close(figure, f"Constant-Q spectrograms under each other, from A0 to C8: {', '.join(pictures)}.")


def pictures(images: dict, *, n_columns: int = 7):
    """Draw small pictures in rows, each under its title.

    Parameters
    ----------
    images : dict of str to array or Tensor, shape=(3, height, width)
        Title -> red, green and blue, 0 to 1.
    n_columns : int

    Returns
    -------
    matplotlib Figure
    """
    n_columns = min(n_columns, len(images))
    figure, axes = _figure(-(-len(images) // n_columns), 1.1 * n_columns, 1.25, n_columns)
    for ax, (title, image) in zip(axes, images.items()):
        ax.imshow(np.moveaxis(audio.to_numpy(image), 0, -1), interpolation="nearest")
        ax.set_title(title, fontsize=8)
    for ax in axes:
        ax.axis("off")
    return _close(figure, f"Small pictures in rows: {', '.join(images)}.")


def rolls(tracks: dict, *, frame_rate: float = 32.0, lowest: int = 21, title: str = "",
          pitches: tuple[int, int] | None = None):
    """Draw piano rolls over each other, a colour and a height for each track.

    Parameters
    ----------
    tracks : dict of str to array, shape=(pitch, frame)
        Title -> roll; anything above 0 sounds.
    frame_rate : float, Hz
    lowest : int
        MIDI pitch of the first row.
    title : str
    pitches : tuple of int, optional
        The lowest and the highest MIDI pitch of the axis, for figures that are to be compared; by default those that
        sound.

    Returns
    -------
    matplotlib Figure
    """
    from matplotlib.patches import Patch
    drawn = {name: audio.to_numpy(roll, None) > 0 for name, roll in tracks.items()}
    figure, (ax,) = _figure(height=2.6)
    handles = []
    for k, (name, cells) in enumerate(drawn.items()):
        colour = COLOURS[k % len(COLOURS)]
        half = 0.45 * (1 - k / (len(drawn) + 1))  # what lies below looks out
        _bars(ax, cells, half, frame_rate, lowest, facecolors=colour)
        handles.append(Patch(color=colour, label=name))
    _keyboard(ax, pitches or _sounding(np.logical_or.reduce([cells.any(-1) for cells in drawn.values()]), lowest))
    ax.set(xlabel="seconds", xlim=(0, max(cells.shape[-1] for cells in drawn.values()) / frame_rate))
    ax.set_title(title, fontsize=9, loc="left")
    figure.legend(handles=handles, fontsize=8, ncols=6, loc="outside upper right", frameon=False)
    return _close(figure, f"Piano rolls over each other{title and f', {title}'}, by colour: {', '.join(tracks)}.")


def _bars(ax, cells, half: float, frame_rate: float, lowest: int, **style) -> None:
    """Draw what sounds in a roll (pitch, frame) as bars that are ``2 * half`` semitones high."""
    from matplotlib.collections import PolyCollection
    row, start, stop = stretches(cells)
    left, right = (start - 0.5) / frame_rate, (stop - 0.5) / frame_rate  # frames are centred on their time
    bottom, top = row + lowest - half, row + lowest + half
    corners = np.stack([[left, left, right, right], [bottom, top, top, bottom]]).transpose(2, 1, 0)
    ax.add_collection(PolyCollection(corners, **style))


def _sounding(rows, lowest: int) -> tuple[int, int]:
    """The lowest and the highest MIDI pitch that sound, by a boolean for each; an octave where none does."""
    sounding = np.flatnonzero(rows)
    return (sounding.min() + lowest, sounding.max() + lowest) if len(sounding) else (60, 72)


def _keyboard(ax, pitches: tuple[int, int]) -> None:
    """Give an axis of MIDI pitches its ends, and the names of notes: all C, or C, E and G where there are few."""
    low, high = pitches
    names = {0: "C"} if high - low >= 18 else {0: "C", 4: "E", 7: "G"}
    marks = {pitch: f"{names[pitch % 12]}{pitch // 12 - 1}" for pitch in range(low - 1, high + 2)
             if pitch % 12 in names}
    ax.set_yticks(list(marks), list(marks.values()), fontsize=8)
    ax.set(ylabel="note", ylim=(low - 1.5, high + 1.5))
    ax.grid(alpha=0.3)
    ax.set_axisbelow(True)


def compare_rolls(est, ref, *, frame_rate: float = 32.0, lowest: int = 21):
    """Draw what a transcription hits (dark), misses (hollow) and adds (thin), and count it by pitch and frame.

    Parameters
    ----------
    est, ref : array or Tensor, shape=(pitch, frame) or (n, 3)
        Rolls, anything above 0 sounds; or notes, onset (s), offset (s) and MIDI pitch, from 21 to 108, which become a
        roll as in `weaklib.rolls.piano_roll`, cut to the other if that is one. Notes may have a fourth column.
    frame_rate : float, Hz
    lowest : int
        MIDI pitch of a roll's first row.

    Returns
    -------
    matplotlib Figure
        With the numbers of `weaklib.metrics.frame_f1`; a ratio that has no value is "-".

    Raises
    ------
    WeaklibError
        If the rolls differ in shape, or notes are not on the keys of a piano.
    """
    from matplotlib.patches import Patch

    from weaklib import metrics
    est, ref = _rolls(est, ref, frame_rate, lowest)
    f1 = float(metrics.frame_f1(est, ref))
    kinds = {"hit": est & ref, "missed": ref & ~est, "extra": est & ~ref}
    count = {kind: int(cells.sum()) for kind, cells in kinds.items()}
    styles = {"hit": (0.4, HIT, HIT), "missed": (0.36, "white", MISSING), "extra": (0.16, EXTRA, EXTRA)}
    low, high = _sounding((est | ref).any(-1), lowest)
    figure, (ax,) = _figure(height=float(np.clip(0.08 * (high - low), 2.6, 6.0)))
    handles = []
    for kind, cells in kinds.items():
        half, face, edge = styles[kind]
        _bars(ax, cells, half, frame_rate, lowest, facecolors=face, edgecolors=edge, linewidths=0.8)
        handles.append(Patch(facecolor=face, edgecolor=edge, label=f"{kind} {count[kind]}"))
    _keyboard(ax, (low, high))
    ax.set(xlabel="seconds", xlim=(0, est.shape[-1] / frame_rate))
    figure.legend(handles=handles, fontsize=8, ncols=3, loc="outside upper right")
    ratios = {"precision": _share(count["hit"], count["extra"]), "recall": _share(count["hit"], count["missed"]),
              "F1": f1}
    title = ", ".join(f"{name} {'-' if np.isnan(value) else format(value, '.2f')}" for name, value in ratios.items())
    ax.set_title(title, fontsize=9, loc="left")
    counts = ", ".join(f"{number} {kind}" for kind, number in count.items())
    return _close(figure, f"Two piano rolls compared by pitch and frame: {counts}; {title}.")


def _rolls(est, ref, frame_rate, lowest) -> list[np.ndarray]:
    """Make booleans (pitch, frame) of rolls and notes."""
    given = [audio.to_numpy(x, None) for x in (est, ref)]
    given = [_notes(x) if _are_notes(x) else x > 0 for x in given]
    notes = [x for x in given if x.dtype != bool]
    if notes and lowest != LOWEST:
        raise WeaklibError(f"Notes become rolls from pitch {LOWEST} up; leave out lowest={lowest}, or give rolls.")
    lengths = [x.shape[-1] for x in given if x.dtype == bool]
    n_frames = lengths[0] if lengths else int(max(x[:, 1].max(initial=0) for x in notes) * frame_rate) + 2
    rolls = [x if x.dtype == bool else piano_roll(x, n_frames, frame_rate) > 0 for x in given]
    if rolls[0].ndim != 2 or rolls[0].shape != rolls[1].shape:
        raise WeaklibError(f"The rolls have the shapes {rolls[0].shape} and {rolls[1].shape}; give two of the shape "
                           "(pitch, frame), the same.")
    return rolls


def _are_notes(x) -> bool:
    return x.size == 0 or (x.ndim == 2 and x.shape[1] in (3, 4) and x.dtype != bool)


def _notes(x) -> np.ndarray:
    """Check notes and make them float64 (n, 3)."""
    x = x[:, :3].astype(np.float64) if x.size else np.zeros((0, 3))
    if not (np.isfinite(x) & (x >= (0, 0, LOWEST)) & (x[:, 2:] < LOWEST + PITCHES)).all():
        raise WeaklibError("These notes are not on the keys of a piano; give rows of onset (s), offset (s) and MIDI "
                           f"pitch from {LOWEST} to {LOWEST + PITCHES - 1}.")
    return x


def _share(part: int, other: int) -> float:
    return part / (part + other) if part + other else np.nan


def listen(tracks: dict, sr: int, *, peak: float = 0.9):
    """Make a table of players that works without a kernel and without a network.

    Parameters
    ----------
    tracks : dict of str to array, shape=(time,)
        Title -> signal. All are scaled by the one gain that brings the loudest peak to `peak`.
    sr : int, Hz
        Should be a rate of MP3 (8, 16, 22.05, 32, 44.1, 48 kHz); others are resampled to the next higher one.

    Returns
    -------
    IPython HTML
    """
    import soundfile
    from IPython.display import HTML
    rate = next((r for r in (8000, 16000, 22050, 32000, 44100) if r >= sr), 48000)
    signals = {title: audio.to_numpy(x, sound=True) for title, x in tracks.items()}
    loudest = max(np.abs(x).max(initial=0) for x in signals.values())
    if not np.isfinite(loudest):
        raise WeaklibError("A track holds NaN or infinity and cannot be played; find out where it comes from.")
    gain = peak / loudest if loudest else 1.0
    rows = []
    for title, x in signals.items():
        buffer = io.BytesIO()
        soundfile.write(buffer, audio.resample(gain * x, sr, rate).clip(-1, 1).T, rate, format="MP3",
                        subtype="MPEG_LAYER_III")
        data = base64.b64encode(buffer.getvalue()).decode()
        name = html.escape(title)
        rows.append(f'<tr><td style="text-align:left;padding-right:1em">{name}</td><td><audio controls preload="none" '
                    f'aria-label="{name}" style="height:2em" src="data:audio/mpeg;base64,{data}"></audio></td></tr>')
    note = f"One gain for all: {20 * np.log10(gain):+.1f} dB."
    return HTML(f'<table>{"".join(rows)}</table><p style="font-size:small">{note}</p>')


def history(curves: dict[str, list[dict]], *, ylabel: str, key: str = "score", colours: dict | None = None):
    """Draw the training curves of several runs.

    Parameters
    ----------
    curves : dict of str to list of dict
        Title -> history, as `weaklib.training.fit` returns it.
    ylabel : str
        What the curves show.
    key : str
        What to draw: ``score`` (validation) or ``loss``.
    colours : dict of str to str, optional
        Title -> colour, see `colours`.

    Returns
    -------
    matplotlib Figure
    """
    figure, (ax,) = _figure(height=3.0)
    for k, (title, entries) in enumerate(curves.items()):
        ax.plot([e["step"] for e in entries], [e[key] for e in entries], ms=4, label=title,
                marker=MARKERS[k % len(MARKERS)], color=(colours or {}).get(title, COLOURS[k % len(COLOURS)]))
    ax.set(xlabel="training step", ylabel=ylabel)
    ax.grid(alpha=0.3)
    figure.legend(fontsize=8, ncols=2 if max(map(len, curves), default=0) > 30 else 3, loc="outside upper left",
                  frameon=False)
    return _close(figure, f"Curves of {ylabel} over the training steps: {', '.join(curves)}.")


class Live:
    """A curve that grows while a model trains: give it to `weaklib.training.fit` as `show`.

    Parameters
    ----------
    title : str
    **options
        Of `history`; without `ylabel`, the name of the criterion stands there.
    """

    def __init__(self, title: str, **options):
        self.title, self.options, self._handle = title, options, None

    def __call__(self, entries: list[dict], ylabel: str) -> None:
        from IPython.display import display
        figure = history({self.title: entries}, **{"ylabel": ylabel} | self.options)
        if self._handle is None:
            self._handle = display(figure, display_id=True)
        else:
            self._handle.update(figure)


def assignments(owners: list, loss: list[float]):
    """Draw the loss of each assignment of outputs to two references, lowest first.

    Parameters
    ----------
    owners : list of tuple of int
        Reference of each output.
    loss : list of float, dB

    Returns
    -------
    matplotlib Figure
    """
    order = np.argsort(loss)
    figure, (ax,) = _figure(height=2.6)
    ax.bar(range(len(order)), np.asarray(loss)[order], color=[COLOURS[1]] + [COLOURS[0]] * (len(order) - 1))
    ax.set_xticks(range(len(order)), ["".join(str(o + 1) for o in owners[k]) for k in order], rotation=90, fontsize=8)
    ax.set(xlabel="recording (1 or 2) that each output is given to", ylabel="loss, dB")
    return _close(figure, f"Bars of the loss of {len(order)} assignments of outputs to two recordings, from "
                          f"{min(loss):.1f} to {max(loss):.1f} dB.")


def colours(table) -> dict[str, str]:
    """Give the rows of a table (`weaklib.tables.Table`) their colours, the same in every figure: title -> colour."""
    methods = list(dict.fromkeys(row.method or row.title for row in table.rows))
    return {row.title: COLOURS[methods.index(row.method or row.title) % len(COLOURS)] for row in table.rows}


def against(paper: str, table, records: dict, metric: str | None = None):
    """Draw a table: what the paper prints against what came out here, row by row, a panel per column that has numbers.

    Parameters
    ----------
    paper : str
        Its key.
    table : weaklib.tables.Table
    records : dict of Row to list of Record
        As `weaklib.experiment.Sheet.records` returns them.
    metric : str, optional
        Key of the metric that is drawn; by default the table's first.

    Returns
    -------
    matplotlib Figure
        Hollow diamonds: the paper. Dots: here, the mean over seeds, with their standard deviation as a bar.
    """
    from matplotlib.lines import Line2D

    from weaklib.tables import printed
    rows = [row for row, found in records.items() if found]
    metric = next(one for one in table.metrics if metric in (None, one.key))
    told = {(row, split): value for (key, name, split), value in printed(paper, table.name).items() for row in rows
            if (key, name) == (row.key, metric.key) and table.covers(row, split)}
    splits = {split: words for split, words in table.splits.items() if any(
        (row, split) in told or table.seeds(row, metric, split, records[row]) for row in rows)}
    has_paper = False
    figure, axes = _figure(1, 9.0, 0.9 + 0.28 * len(rows), n_columns=max(1, len(splits)), sharey=True)
    for ax, (split, words) in zip(axes, splits.items()):
        for y, row in enumerate(rows):
            values, theirs = table.seeds(row, metric, split, records[row]), told.get((row, split))
            if theirs:
                ax.plot(float(theirs), y, "D", ms=6, mfc="none", mec="black", zorder=3)
                has_paper = True
            if values:
                ax.errorbar(np.mean(values), y, xerr=np.std(values, ddof=1) if len(values) > 1 else None, fmt="o", ms=5,
                            capsize=2, color=colours(table)[row.title])
        ax.grid(alpha=0.3)
        ax.set_title(words.replace("`", ""), fontsize=9)
        ax.tick_params(axis="x", labelsize=8)
    axes[0].set_yticks(range(len(rows)), [row.title.replace("`", "") + (" †" if row.ours else "") for row in rows],
                       fontsize=8)
    axes[0].set_ylim(max(1, len(rows)) - 0.5, -0.5)  # the first row is on top
    figure.supxlabel(metric.heading, fontsize=9)
    marks = [Line2D([], [], ls="", marker="o", color="#555555", label="here (± over seeds)")]
    if has_paper:
        marks.insert(0, Line2D([], [], ls="", marker="D", mfc="none", mec="black", label="paper"))
    figure.legend(handles=marks, loc="outside upper right", ncols=2, fontsize=8, frameon=False)
    return _close(figure, f"{table.title}, {metric.heading}: a line per row with the paper's number as a diamond and "
                          f"ours as a dot. Rows: {'; '.join(row.title.replace('`', '') for row in rows)}.")


def sweep(panels: dict, *, xlabel: str, ylabel: str, xscale: str = "linear"):
    """Draw a score over a number that was varied: a panel for each condition, a line for each kind of model.

    Parameters
    ----------
    panels : dict of str to dict of str to dict of float to list of float
        Panel -> line -> place on the x-axis -> score of each seed. What was not run is left out, or an empty list.
    xlabel, ylabel : str
    xscale : {"linear", "log"}

    Returns
    -------
    matplotlib Figure
        Points: the mean over seeds, with their standard deviation as a bar where there are several. All panels have the
        same axes; a line has the same colour and marker in all.
    """
    styles, figure, axes = _lines(panels, 2.6)
    places = sorted({x for lines in panels.values() for line in lines.values() for x, seeds in line.items() if seeds})
    for ax, lines in zip(axes, panels.values()):
        for title, line in lines.items():
            points = [(x, np.mean(seeds), np.std(seeds, ddof=1) if len(seeds) > 1 else 0.0)
                      for x, seeds in sorted(line.items()) if seeds]
            x, mean, spread = np.reshape(points, (-1, 3)).T
            ax.errorbar(x, mean, yerr=np.where(spread > 0, spread, np.nan), ms=5, lw=1.2, capsize=2, **styles[title])
        ax.set_xscale(xscale)
        ax.set_xticks(places, [f"{x:g}" for x in places])
        ax.minorticks_off()
    several = any(len(seeds) > 1 for lines in panels.values() for line in lines.values() for seeds in line.values())
    return _panelled(figure, styles, panels, xlabel, ylabel, f"{ylabel} over {xlabel}", SPREAD if several else "")


def trade(panels: dict, *, xlabel: str, ylabel: str):
    """Draw one score against another, as a weight is varied: a panel for each condition, a line for each kind of loss.

    Parameters
    ----------
    panels : dict of str to dict of str to dict of float to list of (float, float)
        Panel -> line -> weight -> both scores of each seed. Weight 0 is for what has none, such as a baseline.
    xlabel, ylabel : str
        Titles of the first score and of the second.

    Returns
    -------
    matplotlib Figure
        Markers: means over seeds; their area goes with the root of the weight, relative to the largest one of that line
        in that panel. Lines go from weight to weight.
    """
    styles, figure, axes = _lines(panels, 3.2)
    for ax, lines in zip(axes, panels.values()):
        for title, line in lines.items():
            points = [(weight, *np.mean(seeds, 0)) for weight, seeds in sorted(line.items()) if seeds]
            weight, x, y = np.reshape(points, (-1, 3)).T
            style = styles[title]
            ax.plot(x, y, color=style["color"], ls=style["ls"], lw=0.8, alpha=0.6)
            area = LARGEST * np.where(weight > 0, np.sqrt(weight / max(weight.max(initial=0), 1e-9)), 0.5)
            ax.scatter(x, y, s=area, color=style["color"], marker=style["marker"], alpha=0.8, zorder=3)
    return _panelled(figure, styles, panels, xlabel, ylabel,
                     f"{ylabel} against {xlabel}, larger markers for larger weights")


def clouds(panels: dict, *, xlabel: str, ylabel: str):
    """Draw where points of several kinds lie in a plane: a panel for each condition.

    Parameters
    ----------
    panels : dict of str to dict of str to array (n, 2)
        Panel -> kind -> its points.
    xlabel, ylabel : str

    Returns
    -------
    matplotlib Figure
        Both axes of all panels have the same scale; a kind has the same colour and marker in all.
    """
    styles, figure, axes = _lines(panels, 3.4)
    for style in styles.values():
        style["ls"] = ""
    for ax, kinds in zip(axes, panels.values()):
        for title, points in kinds.items():
            x, y = np.asarray(points).T
            ax.plot(x, y, ms=4, alpha=0.7, **styles[title])
        ax.set_aspect("equal")
    return _panelled(figure, styles, panels, xlabel, ylabel, f"{ylabel} against {xlabel}, a marker per point",
                     kinds="Kinds")


def priced(kinds: dict, *, xlabel: str, ylabel: str, levels: dict[str, float] | None = None, digits: int = 1):
    """Draw scores over what they cost, on a logarithmic axis, each point with its name beside it.

    Parameters
    ----------
    kinds : dict of str to dict of str to (float or sequence of float, list of float)
        Kind -> point -> cost, and the score of each seed. Points of a kind share colour and marker, and a line joins
        them in the order of their costs. A point with several costs is drawn at each of them, joined by a dashed line.
        What costs nothing is at the left edge.
    xlabel, ylabel : str
    levels : dict of str to float, optional
        Scores to compare with, as horizontal lines.
    digits : int
        Decimals of scores in the alternative text.

    Returns
    -------
    matplotlib Figure
        Points: the mean over seeds, with their standard deviation as a bar where there are several.
    """
    placed = {kind: {title: (np.atleast_1d(cost), np.mean(seeds), np.std(seeds, ddof=1) if len(seeds) > 1 else 0.0)
                     for title, (cost, seeds) in points.items()} for kind, points in kinds.items()}
    costs = np.concatenate([cost for points in placed.values() for cost, *_ in points.values()])
    if not (costs > 0).any():
        raise WeaklibError("Nothing here costs anything, so there is no axis to draw; give some label a price.")
    free = (costs == 0).any()
    edge = 10 ** (np.floor(np.log10(costs[costs > 0].min())) - free)
    figure, (ax,) = _figure(1, 9.5, 5.6)
    names, said = [], []
    for k, (kind, points) in enumerate(placed.items()):
        colour, marker = DISTINCT[k % len(DISTINCT)], MARKERS[k % len(MARKERS)]
        ways = sorted((max(cost[0], edge), mean) for cost, mean, _ in points.values())
        ax.plot(*zip(*ways), color=colour, lw=1, alpha=0.6)
        for title, (cost, mean, spread) in points.items():
            x = np.maximum(cost, edge)
            ax.plot(x, np.full(len(x), mean), color=colour, lw=1, ls="--")
            ax.errorbar(x, np.full(len(x), mean), yerr=spread or None, color=colour, marker=marker, ms=8, lw=0,
                        elinewidth=1.5, capsize=3)
            names.append((title, x, mean, colour))
            said.append(f"{title}, {' or '.join(f'{c:.3g}' for c in cost)}: {mean:.{digits}f}"
                        + (f" ± {spread:.{digits}f}" if spread else ""))
    for title, level in (levels or {}).items():
        ax.axhline(level, color=HIT, lw=1, ls=":")
        ax.text(0.995, level, title, transform=ax.get_yaxis_transform(), ha="right", va="bottom", fontsize=10)
        said.append(f"{title}: {level:.{digits}f}")
    ax.set_xscale("log")
    ax.set_xlim(edge / 1.6, costs.max() * 8)  # room for names
    marks = 10.0 ** np.arange(np.log10(edge), np.log10(costs.max() * 8))
    first = "0" if free else f"{edge:g}"
    ax.set_xticks(marks, [first, *(f"{m:g}" for m in marks[1:])], fontsize=11)
    ax.minorticks_off()
    ax.tick_params(axis="y", labelsize=11)
    ax.grid(alpha=0.3)
    ax.set_xlabel(xlabel, fontsize=12)
    ax.set_ylabel(ylabel, fontsize=12)
    _named(figure, ax, names, (levels or {}).values())
    return _close(figure, f"{ylabel} over {xlabel}: {'; '.join(said)}.", SPREAD if any(
        spread for points in placed.values() for _, _, spread in points.values()) else "")


#: Where the name of a point may stand: its offset in points, and which of its edges is there.
BESIDE = tuple((x, y, {-1: "right", 0: "center", 1: "left"}[np.sign(x)]) for away in (0, 12, 26, 40)
               for x, y in ((9, 0 + away), (9, -away), (-9, 0 + away), (-9, -away), (0, 11 + away), (0, -11 - away)))


def _named(figure, ax, names, levels) -> None:
    """Write each name beside its point, where it lies over no other name or point and on no dashed or level line."""
    from matplotlib.transforms import Bbox
    figure.canvas.draw()
    taken = [Bbox.from_extents(ax.bbox.x0, y - 1, ax.bbox.x1, y + 1)
             for y in (ax.transData.transform((1, level))[1] for level in levels)]
    taken += [text.get_window_extent() for text in ax.texts]
    for _, x, y, _ in names:
        (left, low), (right, _) = ax.transData.transform([(x[0], y), (x[-1], y)])
        taken.append(Bbox.from_extents(left - 6, low - 6, right + 6, low + 6))
    for title, x, y, colour in names:
        for dx, dy, side in BESIDE:
            arrow = {"arrowstyle": "-", "color": colour, "lw": 0.8} if abs(dy) > 20 else None
            end = x[-1 if dx > 0 else 0]
            text = ax.annotate(title, (end, y), (dx, dy), textcoords="offset points", ha=side, va="center",
                               fontsize=10, color=HIT, arrowprops=arrow)
            box = text.get_window_extent()
            free = not any(box.overlaps(other) for other in taken)
            if free and ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1 and ax.bbox.y0 <= box.y0 and box.y1 <= ax.bbox.y1:
                break
            text.remove()
        else:  # no room: better over something than not at all
            box = ax.annotate(title, (x[-1], y), (9, 0), textcoords="offset points", va="center", fontsize=10,
                              color=HIT).get_window_extent()
        taken.append(box)


def _lines(panels: dict, height: float):
    """Give lines the same style in every panel, and make a grid of panels, two in a row."""
    titles = list(dict.fromkeys(title for lines in panels.values() for title in lines))
    styles = {title: {"color": DISTINCT[k % len(DISTINCT)], "marker": MARKERS[k % len(MARKERS)],
                      "ls": ("-", "--", ":", "-.")[k % 4], "label": title} for k, title in enumerate(titles)}
    n_columns = min(len(panels), 3 if len(panels) % 2 else 2)
    figure, axes = _figure(-(-len(panels) // n_columns), 8.0, height, n_columns, sharex=True, sharey=True)
    for ax in axes[len(panels):]:
        ax.remove()
    return styles, figure, axes


def _panelled(figure, styles: dict, panels: dict, xlabel: str, ylabel: str, what: str, reading: str = "",
              kinds: str = "Lines"):
    """Write what stands around the panels, and say what they show."""
    from matplotlib.lines import Line2D
    for ax, title in zip(figure.axes, panels):
        ax.set_title(title, fontsize=9)
        ax.tick_params(labelsize=8)
        ax.grid(alpha=0.3)
    figure.supxlabel(xlabel, fontsize=9)
    figure.supylabel(ylabel, fontsize=9)
    figure.legend(handles=[Line2D([], [], **style) for style in styles.values()], loc="outside upper center",
                  ncols=min(4, len(styles)), fontsize=8, frameon=False)
    return _close(figure, f"{what}, in panels: {'; '.join(panels)}. {kinds}: {', '.join(styles)}.", reading)


def flows(panels: dict):
    """Draw what a method makes of what, in panels beside each other.

    Parameters
    ----------
    panels : dict of str to tuple of (dict, list, list)
        Title -> boxes, arrows, comparisons. Boxes: text -> column and row, row 0 on top; what is made is given with a
        ``*``, which is not drawn, and its box is dashed. Arrows: (from, to, text), with the texts of two boxes.
        Comparisons, the same: a dotted bow, to the right of whoever goes along it, between what should be alike.

    Returns
    -------
    matplotlib Figure
    """
    figure, axes = _figure(1, 8.0, 2.9, len(panels))
    columns, rows = (np.array([at[axis] for boxes, _, _ in panels.values() for at in boxes.values()])
                     for axis in (0, 1))
    for ax, (title, (boxes, arrows, compared)) in zip(axes, panels.items()):
        drawn = {text: ax.text(x, -y, text.replace("*", ""), ha="center", va="center", fontsize=8, bbox={
            "boxstyle": "round,pad=0.4", "fc": "white", "ec": HIT, "ls": "--" if "*" in text else "-"})
            for text, (x, y) in boxes.items()}
        for a, b, text in arrows + compared:
            bow = (a, b, text) in compared
            start, stop = (np.array([boxes[end][0], -boxes[end][1]]) for end in (a, b))
            across = np.array([[0, 1], [-1, 0]]) @ (stop - start)  # to the right, as long as the arrow
            style = {"arrowstyle": "<->", "ls": ":", "connectionstyle": "arc3,rad=0.5"} if bow else {
                "arrowstyle": "-|>"}
            colour = DISTINCT[1] if bow else HIT
            ax.annotate("", stop, start, arrowprops={
                "color": colour, "shrinkA": 2, "shrinkB": 2, "patchA": drawn[a].get_bbox_patch(),
                "patchB": drawn[b].get_bbox_patch()} | style)
            long = np.linalg.norm(across)
            side = "center" if bow or abs(across[0]) < 0.3 * long else "left" if across[0] > 0 else "right"
            at = (start + stop) / 2 + bow * across / 4 + (0.12 if side == "center" else 0.07) * across / long
            upright = bow and abs(across[0]) > 0.3 * long
            ax.text(*at, text, fontsize=8, color=colour, ha=side, va="center", rotation=90 if upright else 0)
        ax.set(xlim=(columns.min() - 0.75, columns.max() + 0.75), ylim=(-rows.max() - 0.4, 0.4), aspect="equal")
        ax.axis("off")
        ax.set_title(title, fontsize=9)
    told = "; ".join(f"{title}: " + ", ".join(f"{a} to {b} ({text})" for a, b, text in arrows + compared)
                     for title, (_, arrows, compared) in panels.items())
    plain = told.replace("*", "").replace("$", "").replace("\n", " ")
    return _close(figure, f"Boxes and arrows in panels. {plain}.",
                  "Dashed boxes are made in training, the others are given; dotted arrows join what is compared.")
