"""Pictures and players that speak for themselves in a saved notebook.

All spectrograms of one figure share one dB reference and all clips of one player share one gain, so that what looks or
sounds quieter is quieter.

Contents
--------
stems
    Spectrograms of several tracks under each other.
masks
    Where each source may have energy, over the spectrogram of the mixture.
rolls
    Piano rolls of several tracks over each other.
listen
    Players for several tracks, with the sound inside the page.
history, Live
    Training curves, afterwards and while they grow.
assignments
    What MixIT chooses from.
bars
    A table's rows as bars.
"""
from __future__ import annotations

import base64
import html
import io

import numpy as np

from weaklib.files import WeaklibError

RANGE = 70.0  # dB shown below the loudest bin
COLOURS = ("#2a6f97", "#e07a5f", "#6a994e", "#8367c7", "#bc6c25", "#577590")


def _figure(n_rows: int = 1, width: float = 8.0, height: float = 1.6, **options):
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(n_rows, 1, figsize=(width, height * n_rows), dpi=75, squeeze=False,
                                layout="constrained", **options)
    return figure, axes[:, 0]


def _close(figure):
    """Keep the figure from being shown twice in a notebook."""
    import matplotlib.pyplot as plt
    plt.close(figure)
    return figure


def stems(tracks: dict, sr: int, *, n_fft: int = 512, fmax: float | None = None):
    """Draw the spectrogram of each track, all with one dB reference.

    Parameters
    ----------
    tracks : dict of str to array, shape=(time,)
        Title -> signal.
    sr : int, Hz
    n_fft : int, samples
    fmax : float, Hz, optional
        Highest frequency shown.

    Returns
    -------
    matplotlib Figure
    """
    import torch
    from matplotlib import colormaps

    from weaklib import audio
    magma = colormaps["magma"].resampled(24)  # fewer colours make smaller files
    levels = {title: 20 * np.log10(audio.stft(torch.as_tensor(np.asarray(x, np.float32)), n_fft, n_fft // 4).abs()
                                   .numpy() + 1e-12) for title, x in tracks.items()}
    top = max(level.max() for level in levels.values())
    figure, axes = _figure(len(tracks), sharex=True)
    for ax, (title, level) in zip(axes, levels.items()):
        seconds = len(tracks[title]) / sr
        image = ax.imshow(level, origin="lower", aspect="auto", cmap=magma, vmin=top - RANGE, vmax=top,
                          interpolation="nearest", extent=(0, seconds, 0, sr / 2000))
        ax.set(title=title, ylabel="kHz", ylim=(0, (fmax or sr / 2) / 1000))
        ax.title.set_fontsize(9)
    axes[-1].set_xlabel("seconds")
    figure.colorbar(image, ax=list(axes), label="dB", aspect=40)
    return _close(figure)


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

    from weaklib import audio
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
    return _close(figure)


def rolls(tracks: dict, *, frame_rate: float = 32.0, lowest: int = 21):
    """Draw piano rolls over each other, a colour for each track.

    Parameters
    ----------
    tracks : dict of str to array, shape=(pitch, frame)
        Title -> roll; anything above 0 sounds.
    frame_rate : float, Hz
    lowest : int
        MIDI pitch of the first row.

    Returns
    -------
    matplotlib Figure
    """
    figure, (ax,) = _figure(height=2.6)
    for (title, roll), colour in zip(tracks.items(), COLOURS):
        pitch, frame = np.nonzero(np.asarray(roll) > 0)
        ax.scatter(frame / frame_rate, pitch + lowest, s=4, marker="s", color=colour, label=title)
    ax.set(xlabel="seconds", ylabel="MIDI pitch")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, loc="upper right")
    return _close(figure)


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

    from weaklib import audio
    rate = next((r for r in (8000, 16000, 22050, 32000, 44100) if r >= sr), 48000)
    signals = {title: np.asarray(x, np.float32) for title, x in tracks.items()}
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


def history(curves: dict[str, list[dict]], *, key: str = "score", ylabel: str = "SI-SNRi, dB"):
    """Draw the training curves of several runs.

    Parameters
    ----------
    curves : dict of str to list of dict
        Title -> history, as `weaklib.training.fit` returns it.
    key : str
        What to draw: ``score`` (validation) or ``loss``.
    ylabel : str

    Returns
    -------
    matplotlib Figure
    """
    figure, (ax,) = _figure(height=3.0)
    for (title, entries), colour in zip(curves.items(), COLOURS * 4):
        ax.plot([e["step"] for e in entries], [e[key] for e in entries], "o-", ms=3, color=colour, label=title)
    ax.set(xlabel="training step", ylabel=ylabel)
    ax.grid(alpha=0.3)
    if curves:
        ax.legend(fontsize=8)
    return _close(figure)


class Live:
    """A curve that grows while a model trains: give it to `weaklib.training.fit` as `show`.

    Parameters
    ----------
    title : str
    **options
        Of `history`.
    """

    def __init__(self, title: str, **options):
        self.title, self.options, self._handle = title, options, None

    def __call__(self, entries: list[dict]) -> None:
        from IPython.display import display
        figure = history({self.title: entries}, **self.options)
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
    return _close(figure)


def bars(groups: dict[str, dict[str, list[float]]], *, ylabel: str = "SI-SNRi, dB"):
    """Draw rows as bars: the mean, and every seed as a dot.

    Parameters
    ----------
    groups : dict of str to dict of str to list of float
        Group (a place on the x-axis) -> bar -> one value per seed.
    ylabel : str

    Returns
    -------
    matplotlib Figure
    """
    figure, (ax,) = _figure(height=3.2)
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    width = 0.8 / max(1, len(names))
    for k, name in enumerate(names):
        for g, group in enumerate(groups.values()):
            values = group.get(name)
            if values:
                x = g + (k - (len(names) - 1) / 2) * width
                ax.bar(x, np.mean(values), 0.9 * width, color=COLOURS[k % len(COLOURS)],
                       label=name if name not in ax.get_legend_handles_labels()[1] else None)
                ax.plot([x] * len(values), values, "k.", ms=4)
    ax.set_xticks(range(len(groups)), list(groups))
    ax.set_ylabel(ylabel)
    ax.grid(axis="y", alpha=0.3)
    ax.legend(fontsize=8)
    return _close(figure)
