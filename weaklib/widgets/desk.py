"""The desk: pick a sound and a method, hear and see what it makes of it, compare, save.

What is done is in `weaklib.audition`; here are the controls, and the thread that works while they stay alive.

Contents
--------
Browser
    Pick a sound, hear it and its references.
Desk
    The same with methods to try on it.
"""
from __future__ import annotations

import html
import threading
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path

import ipywidgets as ui

from weaklib import audition, files, inference, progress
from weaklib.files import WeaklibError
from weaklib.widgets.player import MAX_MB, StemPlayer, show_noted
from weaklib.widgets.upload import LIMIT_MB, Upload

#: Corpora to choose from: those that the kit renders itself.
CORPORA = ("band", "talkers", "talkers_reverb", "sounds", "sounds_reverb")
KEPT = 3        # results of a sound that are there to compare, at most
LONGEST = 60.0  # s of a file on the desk, for a page holds all samples; what is saved may have any length
CORPUS, FILE = "a corpus", "your own file"
SHIPPED = "comes with weaklib"


class Cancelled(Exception):
    """The reader has thought better of it."""


class Browser(ui.VBox):
    """Pick a sound, an item of a corpus or an own file; hear and see it, its references and its notes.

    Work goes on in a thread of its own, one piece at a time, with progress and a button that ends it.

    Parameters
    ----------
    preset : str
        Of the corpora.
    limit_mb : float
        Largest upload.

    Attributes
    ----------
    sound : weaklib.audition.Sound or None
        What is there,
    player : StemPlayer or None
        and where it plays.
    """

    def __init__(self, *, preset: str = audition.PRESET, limit_mb: float = LIMIT_MB):
        self.preset = preset
        self.sound, self.player = None, None
        self._wanted, self._thread, self._stop = None, None, threading.Event()

        self.source = ui.ToggleButtons(options=[CORPUS, FILE], description="Sound")
        self.corpus = ui.Dropdown(options=CORPORA, description="Corpus")
        self.item = ui.BoundedIntText(0, 0, 10_000, description="Test item")
        self.upload = Upload(limit_mb=limit_mb)
        self.path = ui.Text(description="or path", placeholder="of a file where Python runs", continuous_update=False)
        self.start = ui.BoundedFloatText(0, min=0, max=1e6, description="From, s")
        self.seconds = ui.BoundedFloatText(audition.EXCERPT, min=0.1, max=LONGEST, description="for, s")
        self.listen = _button("Hear the sound", icon="headphones")
        self.cancel = _button("Cancel", disabled=True)
        self.bar = ui.FloatProgress(0, min=0, max=1, layout=ui.Layout(width="16em", visibility="hidden"))
        self.status = ui.HTML()
        self.place = ui.VBox()

        self._of_corpus = ui.HBox([self.corpus, self.item])
        self._of_file = ui.VBox([self.upload, ui.HBox([self.path, self.start, self.seconds])])
        self._picking = ui.VBox([self.source, self._of_corpus, self._of_file])
        super().__init__([self._picking, ui.HBox([self.listen, self.cancel, self.bar]), self.status, self.place])
        self.source.observe(self._sourced, "value")
        self.listen.on_click(lambda _: self.work(partial(self._hear, self._wish()), self._show))
        self.upload.observe(lambda _: setattr(self.path, "value", ""), "path")
        self.cancel.on_click(lambda _: self._stop.set())
        self._sourced()

    def _ipython_display_(self) -> None:
        show_noted(self, "Run the notebook up to here to choose sounds and methods, and to hear them.")

    def _sourced(self, _=None):
        own = self.source.value == FILE
        self._of_file.layout.display = "" if own else "none"
        self._of_corpus.layout.display = "none" if own else ""

    def close(self) -> None:
        """Close it with all that it holds, the uploaded file too."""
        for widget in (self.upload, self.player):
            if widget:
                widget.close()
        super().close()

    # The sound. What a click asks for is read at once, and what comes of it is shown when all of it is there: the
    # controls may change in between, and the work may fail.

    def _wish(self) -> tuple:
        """What the controls ask for: a function that gets the sound, and its arguments."""
        if self.source.value == CORPUS:
            return audition.from_corpus, self.corpus.value, self.item.value, "test", self.preset
        path = files.path(self.path.value.strip() or self.upload.path or ".")
        return _from_file, path, self.start.value, self.seconds.value, _changed(path)

    def _sound(self, wish: tuple):
        return self.sound if wish == self._wanted else wish[0](*wish[1:])

    def _hear(self, wish: tuple):
        sound = self._sound(wish)
        return {"sound": sound, "_wanted": wish, "player": _player(sound)}

    def _show(self, found: dict):
        old = self.player
        for name, value in found.items():
            setattr(self, name, value)
        self.place.children = (self.player,)
        if old and old is not self.player:
            old.layout.close()
            old.close()

    # Work

    def work(self, do, then) -> None:
        """Do ``do()`` in a thread, then ``then`` what it returned; say in a sentence what went wrong, if anything."""
        if self._thread and self._thread.is_alive():
            return
        self._stop.clear()
        self._busy(True)
        self._thread = threading.Thread(target=self._work, args=(do, then), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the work is done."""
        if self._thread:
            self._thread.join()

    def _work(self, do, then):
        try:
            with progress.told(self._told):
                found = do()
            self._say("")
            then(found)
        except Cancelled:
            self._say("Cancelled.")
        except WeaklibError as e:
            self._say(str(e), wrong=True)
        except Exception as e:  # a thread that dies says nothing, and the reader would wait for ever
            self._say(f"This should not happen ({type(e).__name__}: {e}); please report it.", wrong=True)
            traceback.print_exc()
        finally:
            self._busy(False)

    def _told(self, desc, done, total):
        if self._stop.is_set():
            raise Cancelled
        self.bar.max, self.bar.value = max(1, total), done
        self._say(f"{desc}, {done} of {total}")

    def _busy(self, busy: bool):
        self.listen.disabled = busy
        self.cancel.disabled = not busy
        self.bar.value = 0
        self.bar.layout.visibility = "visible" if busy else "hidden"

    def _say(self, text: str, wrong: bool = False):
        how = 'role="alert" style="color: firebrick"' if wrong else 'role="status"'
        self.status.value = f"<div {how}>{html.escape(text)}</div>"


class Desk(Browser):
    """Pick a sound and a method, hear and see what it makes of it.

    The last results of a sound stay, to be compared by A/B. What is saved is made of the whole file, however much of it
    is on the desk.

    Parameters
    ----------
    preset, limit_mb
        Of `Browser`.
    device : {"auto", "cpu", "cuda"}
    folder : path-like
        Where to save.

    Attributes
    ----------
    results : list of weaklib.audition.Result
        What was made of the sound, the newest last.
    """

    def __init__(self, *, preset: str = audition.PRESET, limit_mb: float = LIMIT_MB, device: str = "auto",
                 folder="outputs"):
        super().__init__(preset=preset, limit_mb=limit_mb)
        self.device, self.folder, self.results = device, Path(folder), []
        known = sorted(inference.methods(), key=lambda m: m["method"] != inference.DEFAULT)  # it comes first
        self._models = {(m["does"], m["method"]): [(SHIPPED, SHIPPED)] * m["comes"] + [
            (record.id, record) for record in inference.trained(m["method"], m["does"])] for m in known}
        self._methods = {key: m for m in known if self._models[key := (m["does"], m["method"])]}

        self.does = ui.ToggleButtons(options=list(dict.fromkeys(does for does, _ in self._methods)),
                                     description="Task")
        self.method = ui.Dropdown(description="Method")
        self.model = ui.Dropdown(description="Model")
        self.about = ui.HTML()
        self.n_outputs = ui.BoundedIntText(description="Outputs")
        self.threshold = ui.FloatSlider(0, min=-0.5, max=0.5, step=0.05, description="Threshold",
                                        readout_format="+.2f")
        self.run = _button("", button_style="primary", icon="play")
        self.save = _button("Save the result", icon="download", disabled=True)
        self.scores = ui.HTML()
        self.children = [
            self._picking, self.does, ui.HBox([self.method, self.model]), self.about, self.n_outputs, self.threshold,
            ui.HBox([self.run, self.listen, self.save, self.cancel, self.bar]), self.status, self.place, self.scores]
        self.does.observe(self._tasked, "value")
        self.method.observe(self._chosen, "value")
        self.run.on_click(lambda _: self.work(partial(self._try, self._wish(), self._asked()), self._show))
        self.save.on_click(lambda _: self.work(partial(self._save, self.player.group), self._saved))
        self._tasked()

    def _tasked(self, _=None):
        does = self.does.value
        _offer(self.method, [(method, method) for task, method in self._methods if task == does])
        self.threshold.layout.display = "" if does == "transcribe" else "none"
        self.run.description = does.capitalize()
        self._chosen()

    def _chosen(self, _=None):
        if self.method.index is None:  # for a moment, while its options change
            return
        chosen = self.does.value, self.method.value
        spec = self._methods[chosen]
        _offer(self.model, self._models[chosen])
        self.about.value = f"<p>{html.escape(spec['about'])}; at {spec['sr'] / 1000:g} kHz</p>"
        self.n_outputs.layout.display = "none" if spec["ordered"] else ""
        self.n_outputs.min, self.n_outputs.max = 1, len(spec["outputs"])
        self.n_outputs.value = self.n_outputs.max

    def _hear(self, wish):
        results = self.results if wish == self._wanted else []
        sound = self._sound(wish)
        return {"sound": sound, "_wanted": wish, "results": results, "player": _player(sound, results)}

    def _asked(self):
        """What the controls ask for: a function that makes a result of a sound."""
        # ipywidgets cannot tell a chosen None from nothing chosen, so what comes with weaklib has a name.
        record = None if self.model.value == SHIPPED else self.model.value
        options = {"method": self.method.value, "record": record, "device": self.device}
        if self.does.value == "transcribe":
            return partial(audition.transcribe, threshold=self.threshold.value, **options)
        return partial(audition.separate, n_outputs=self.n_outputs.value, **options)

    def _try(self, wish, asked):
        found = self._hear(wish) if wish != self._wanted else {"sound": self.sound, "_wanted": wish}
        result = asked(found["sound"])
        others = [other for other in found.get("results", self.results) if other.title != result.title]
        results = [*others, result][-KEPT:]
        while len(results) > 1 and _megabytes(found["sound"], results) > MAX_MB:
            results = results[1:]
        player = _player(found["sound"], results)
        player.group = result.title
        return found | {"results": results, "player": player}

    def _show(self, found):
        super()._show(found)
        tables = [(result.title, *audition.scores(self.sound, result)) for result in self.results]
        self.scores.value = "".join(_table(title, head, rows) for title, head, rows in tables if rows)

    def _save(self, group: str):
        """Save what is heard now, or else the newest."""
        result = next((result for result in self.results if result.title == group), self.results[-1])
        return audition.save(self.sound, result, self.folder)

    def _saved(self, paths):
        self._say(f"Saved in {paths[0].parent.resolve()}: {', '.join(path.name for path in paths)}")

    def _busy(self, busy):
        super()._busy(busy)
        self.run.disabled = busy
        self.save.disabled = busy or not self.results


def _from_file(path: Path, start: float, seconds: float, changed):
    if path == Path():
        raise WeaklibError("There is no file yet; choose one to upload, or write the path of one.")
    return audition.from_file(path, start, seconds)


def _changed(path: Path):
    """What tells a file from the one that was there before."""
    with suppress(OSError):  # which reading it will tell of
        return path.stat().st_mtime_ns, path.stat().st_size


def _player(sound, results=()) -> StemPlayer:
    for _ in progress.track(["all"], "drawing"):
        return StemPlayer(**audition.scene(sound, results, pictures=True))


def _megabytes(sound, results) -> float:
    """Of the samples in a player."""
    tracks = 1 + len(sound.references) + sum(len(result.stems) for result in results)
    rate = min(sound.sr, audition.RATES[1])
    return 2e-6 * tracks * min(len(sound.audio), 2) * sound.audio.shape[-1] / sound.sr * rate


def _offer(dropdown, options) -> None:
    """Change what there is to choose from, and choose the first."""
    dropdown.options = options
    dropdown.index = 0


def _button(description: str, **options) -> ui.Button:
    return ui.Button(description=description, layout=ui.Layout(width="auto"), **options)


def _table(title, head, rows) -> str:
    lines = [f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"
             for tag, cells in [("th", head), *(("td", row) for row in rows)]]
    return f'<table cellpadding="6"><caption>{html.escape(title)}</caption>{"".join(lines)}</table>'
