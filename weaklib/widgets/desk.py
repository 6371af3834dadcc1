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

import base64
import html
import io
import threading
import traceback
import zipfile
from contextlib import suppress
from functools import partial
from pathlib import Path

import ipywidgets as ui

from weaklib import audition, files, inference, progress
from weaklib.files import WeaklibError
from weaklib.widgets.player import MAX_MB, StemPlayer, show_noted
from weaklib.widgets.upload import LIMIT_MB, Upload

#: Corpora to choose from: those that the kit renders itself.
CORPORA = ("band", "talkers", "talkers_reverb", "talkers_16k", "sounds", "sounds_reverb", "noisy_talkers", "wild",
           "captions", "instruments", "events", "piano", "guitar", "chamber")
KEPT = 3      # results of a sound that are there to compare, at most
LONGEST = 60  # s of a file on the desk, for a page holds all samples; what is saved may have any length
CORPUS, FILE = "a corpus", "your own file"
SHIPPED = "comes with weaklib"
MEASURES = {"separate": "SI-SDR", "transcribe": "F1"}
ASK = "Say what to look for; put semicolons between several sounds."
#: What the dark theme of JupyterLab leaves as it is: ipywidgets' arrows, which are black, and red, which is dark.
ARROW = "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'%3E%3Cpath d='M5 7l4 4 4-4' " \
        "fill='none' stroke='%23ddd' stroke-width='2'/%3E%3C/svg%3E"
STYLE = f"""<style>
.weaklib-wrong {{ color: firebrick; }}
[data-jp-theme-light="false"] .weaklib-wrong {{ color: #ff9e8f; }}
[data-jp-theme-light="false"] .weaklib-desk .widget-dropdown > select {{
  background-image: url("data:image/svg+xml,{ARROW}");
}}
.weaklib-desk table {{ border-spacing: 0; }}
.weaklib-desk :is(th, td) {{ padding: 0 12px 0 0; text-align: left; line-height: 1.7; }}
.weaklib-desk caption {{ padding-top: 8px; font-weight: bold; text-align: left; }}
</style>"""


class Cancelled(Exception):
    """The reader has thought better of it."""


class Browser(ui.VBox):
    """Pick a sound, an item of a corpus or a file of your own; hear and see it, its references and its notes.

    Work goes on in a thread of its own, one piece at a time, with progress and a button that ends it.

    Parameters
    ----------
    preset : str
        Preset of the corpora.
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

        self.source = _choice([CORPUS, FILE], "Sound")
        self.corpus = ui.Dropdown(options=CORPORA, description="Corpus")
        self.item = ui.Dropdown(description="Test item", layout=ui.Layout(width="28em"))
        self.upload = Upload(limit_mb=limit_mb)
        self.path = ui.Text(description="Or its path", placeholder="where Python runs; it wins over an upload",
                            continuous_update=False, layout=ui.Layout(width="32em"))
        self.start = _number(0, "Start (s)")
        self.seconds = _number(audition.EXCERPT, f"Length (s, at most {LONGEST})")
        self.next = _button("Hear the next part", icon="step-forward", disabled=True)
        self.listen = _button("Hear the sound", icon="headphones")
        self.cancel = _button("Cancel", disabled=True)
        self.bar = ui.FloatProgress(0, min=0, max=1, layout=ui.Layout(width="6em", visibility="hidden"))
        self.status = ui.HTML()
        self.heading = ui.HTML()
        self.place = ui.VBox()
        self._style = ui.HTML(STYLE, layout=ui.Layout(display="none"))

        self._of_corpus = _row(self.corpus, self.item)
        self._of_file = ui.VBox([self.upload, _row(self.path, self.start, self.seconds, self.next)])
        self._picking = ui.VBox([self.source, self._of_corpus, self._of_file])
        super().__init__([self._style, self._picking, _row(self.listen, self.cancel, self.bar), self.status,
                          self.heading, self.place])
        self.add_class("weaklib-desk")
        self.source.observe(self._sourced, "value")
        self.corpus.observe(self._look, "value")
        self.listen.on_click(lambda _: self.work(partial(self._hear, self._wish()), self._show))
        self.next.on_click(lambda _: self._step())
        self.upload.observe(lambda _: setattr(self.path, "value", ""), "path")
        self.cancel.on_click(lambda _: self._stop.set())
        self._sourced()
        self._look()

    def _ipython_display_(self) -> None:
        show_noted(self, "Run the notebook up to here to choose sounds and methods, and to hear them.")

    def _sourced(self, _=None):
        own = self.source.value == FILE
        self._of_file.layout.display = "" if own else "none"
        self._of_corpus.layout.display = "none" if own else ""

    def _look(self, _=None):
        """Offer the items of the corpus by what sounds in them, and choose one in which much does."""
        self.item.options = []  # until they are known; nothing chosen is `audition.fullest` too
        corpus = self.corpus.value
        self.work(partial(audition.contents, corpus, "test", self.preset), partial(self._offered, corpus))

    def _offered(self, corpus: str, heard: list):
        if corpus == self.corpus.value:
            self.item.options = [(f"{k}: {', '.join(names)}", k) for k, names in enumerate(heard)]
            self.item.value = audition.fullest(heard)

    def close(self) -> None:
        """Close it with all that it holds, the uploaded file too."""
        for widget in (self.upload, self.player):
            if widget:
                widget.close()
        super().close()

    # The sound. What a click asks for is read at once, and what comes of it is shown when all of it is there: the
    # controls may change in between, and the work may fail.

    def _wish(self, start: float | None = None) -> tuple:
        """What the controls ask for: a function that gets the sound, and its arguments; a file also from elsewhere."""
        if self.source.value == CORPUS:
            return audition.from_corpus, self.corpus.value, self.item.value, "test", self.preset
        typed = self.path.value.strip()
        path = files.path(typed or self.upload.path or ".")
        start = self.start.value if start is None else start
        return _from_file, path, typed or path.name, start, self.seconds.value, _changed(path)

    def _sound(self, wish: tuple):
        return self.sound if wish == self._wanted else wish[0](*wish[1:])

    def _hear(self, wish: tuple):
        sound = self._sound(wish)
        return {"sound": sound, "_wanted": wish, "player": _player(sound)}

    def _step(self):
        """Go on by a length in the file; where it has ended, nothing moves."""
        start = self.start.value + self.seconds.value

        def moved(found):
            self.start.value = start
            self._show(found)

        self.work(partial(self._hear, self._wish(start)), moved)

    def _show(self, found: dict):
        old = self.player
        for name, value in found.items():
            setattr(self, name, value)
        heard = f": {', '.join(self.sound.heard)}" if self.sound.heard else ""
        self.heading.value = f"<b>{html.escape(self.sound.title + heard)}</b>"
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
        self._say(f"{desc}, {done} of {total}" if total > 1 else f"{desc} ...")

    def _busy(self, busy: bool):
        self.listen.disabled = self.corpus.disabled = busy
        self.next.disabled = busy or not (self.sound and self.sound.path)  # there is no part before it
        self.cancel.disabled = not busy
        self.bar.value = 0
        self.bar.layout.visibility = "visible" if busy else "hidden"

    def _say(self, text: str, wrong: bool = False):
        how = 'role="alert" class="weaklib-wrong"' if wrong else 'role="status"'
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
        self.device, self.folder, self.results = device, Path(folder), []
        self.run = _button("", button_style="primary", icon="play")
        self.save = _button("Save the result", icon="download")
        self.download = ui.HTML()
        super().__init__(preset=preset, limit_mb=limit_mb)
        known = sorted(inference.methods(), key=lambda m: m["method"] != inference.DEFAULT)  # it comes first
        self._models = {(m["does"], m["method"]): [(SHIPPED, SHIPPED)] * m["comes"] + [
            (record.id, record) for record in inference.trained(m["method"], m["does"])] for m in known}
        self._methods = {key: m for m in known if self._models[key := (m["does"], m["method"])]}

        self.does = _choice(list(dict.fromkeys(does for does, _ in self._methods)), "Task")
        self.method = ui.Dropdown(description="Method")
        self.model = ui.Dropdown(description="Model")
        self.about = ui.HTML()
        self.query = ui.Text(description="Query", layout=ui.Layout(width="32em"))
        self.n_outputs = ui.BoundedIntText(description="Outputs")
        self.threshold = ui.FloatSlider(0, min=-0.5, max=0.5, step=0.05, description="Threshold",
                                        readout_format="+.2f")
        self.scores = ui.HTML()
        self.children = [
            self._style, self._picking, self.does, _row(self.method, self.model), self.about, self.query,
            self.n_outputs, self.threshold, _row(self.run, self.listen, self.save, self.cancel, self.bar), self.status,
            self.download, self.heading, self.place, self.scores]
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
        reach = "Output" if spec["does"] == "separate" else "It hears"
        self.about.value = html.escape(f"{spec['about']} {reach} up to {spec['sr'] / 2000:g}\xa0kHz."
                                       + f" {ASK}" * bool(spec["query"]))
        self.query.layout.display = "" if spec["query"] else "none"
        self.query.placeholder = spec["query"]
        self.n_outputs.layout.display = "none" if spec["ordered"] else ""
        self.n_outputs.min, self.n_outputs.max = 1, max(1, len(spec["outputs"]))
        self.n_outputs.value = self.n_outputs.max

    def _hear(self, wish):
        results = self.results if wish == self._wanted else []
        sound = self._sound(wish)
        player = _player(sound, results)
        player.group = "mixture"  # "hear the sound", the button says
        return {"sound": sound, "_wanted": wish, "results": results, "player": player}

    def _asked(self):
        """What the controls ask for: a function that makes a result of a sound."""
        # ipywidgets cannot tell a chosen None from nothing chosen, so what comes with weaklib has a name.
        record = None if self.model.value == SHIPPED else self.model.value
        options = {"method": self.method.value, "record": record, "device": self.device}
        if self.does.value == "transcribe":
            return partial(audition.transcribe, threshold=self.threshold.value, **options)
        spec = self._methods["separate", self.method.value]
        if spec["query"]:
            options["query"] = [one.strip() for one in self.query.value.split(";") if one.strip()]
        elif not spec["ordered"]:
            options["n_outputs"] = self.n_outputs.value
        return partial(audition.separate, **options)

    def _try(self, wish, asked):
        sound = self._sound(wish)
        result = asked(sound)
        others = [other for other in self.results if other.title != result.title] if wish == self._wanted else []
        results = [*others, result][-KEPT:]
        while len(results) > 1 and _megabytes(sound, results) > MAX_MB:
            results = results[1:]
        return {"sound": sound, "_wanted": wish, "results": results, "player": _player(sound, results)}

    def _show(self, found):
        super()._show(found)
        tables = [table for result in self.results for table in (
            (f"{result.title} ({MEASURES[result.does]}: higher is better)", *audition.scores(self.sound, result)),
            (f"{result.title}: what is there", *audition.levels(result)))]
        said = [f"<p>{html.escape(words)}</p>" for result in self.results if (
            words := audition.strange(self.sound, result))]
        self.scores.value = "".join([*(_table(title, head, rows) for title, head, rows in tables if rows), *said])

    def _save(self, group: str):
        """Save what is heard now, or else the newest; the files, and a link to them."""
        result = next((result for result in self.results if result.title == group), self.results[-1])
        paths = audition.save(self.sound, result, self.folder)
        return paths, _link(paths)

    def _saved(self, found):
        paths, self.download.value = found
        self._say(f"Saved in {paths[0].parent.resolve()}: {', '.join(path.name for path in paths)}")

    def _busy(self, busy):
        super()._busy(busy)
        self.run.disabled = busy
        if busy:
            self.download.value = ""
        self.save.disabled = busy or not self.results


def _from_file(path: Path, known_as: str, start: float, seconds: float, changed):
    if path == Path():
        raise WeaklibError("There is no file yet; choose one to upload, or write the path of one.")
    if not 0 < seconds <= LONGEST:
        raise WeaklibError(f"{seconds:g} s cannot be on the desk; choose a length of up to {LONGEST} s. What is saved "
                           "is made of the whole file.")
    try:
        return audition.from_file(path, start, seconds)
    except WeaklibError as e:
        raise WeaklibError(str(e).replace(str(path), known_as)) from e  # nobody has put an upload where it lies


def _changed(path: Path):
    """What tells a file from the one that was there before."""
    with suppress(OSError):  # which reading it will tell of
        return path.stat().st_mtime_ns, path.stat().st_size


def _player(sound, results=()) -> StemPlayer:
    for _ in progress.track(["all"], "drawing the spectrograms"):
        return StemPlayer(**audition.scene(sound, results, pictures=True, rests=True))


def _megabytes(sound, results) -> float:
    """Size of the samples in a player."""
    tracks = 1 + len(sound.references) + sum(
        len(result.stems) + len(audition.rest(sound, result)) for result in results)
    rate = min(sound.sr, audition.RATES[1])
    return 2e-6 * tracks * min(len(sound.audio), 2) * sound.audio.shape[-1] / sound.sr * rate


def _offer(dropdown, options) -> None:
    """Change what there is to choose from, and choose the first."""
    dropdown.options = options
    dropdown.index = 0


def _button(description: str, **options) -> ui.Button:
    return ui.Button(description=description, layout=ui.Layout(width="auto", flex="0 0 auto"), **options)


def _choice(options: list, description: str) -> ui.RadioButtons:
    """One of a few; unlike toggle buttons, these say aloud which is chosen."""
    return ui.RadioButtons(options=options, description=description, orientation="horizontal")


def _number(value: float, description: str) -> ui.FloatText:
    return ui.FloatText(value, description=description, style={"description_width": "initial"},
                        layout=ui.Layout(width=f"{len(description) // 2 + 10}em"))


def _row(*children) -> ui.HBox:
    """Side by side, or under each other where a page is narrow."""
    return ui.HBox(children, layout=ui.Layout(flex_flow="row wrap", grid_gap="0 8px"))


def _link(paths: list[Path]) -> str:
    """A link by which the browser downloads files, several as one archive; nothing where they are too large for it."""
    if sum(path.stat().st_size for path in paths) > 1e6 * MAX_MB:
        return ""
    name, data = paths[0].name, io.BytesIO(paths[0].read_bytes())
    if len(paths) > 1:
        name, data = f"{paths[0].parent.name}.zip", io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in paths:
                archive.write(path, path.name)
    return (f'<a download="{html.escape(name)}" href="data:application/octet-stream;base64,'
            f'{base64.b64encode(data.getvalue()).decode()}">Download {html.escape(name)}</a>')


def _table(title, head, rows) -> str:
    lines = [f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in cells)}</tr>"
             for tag, cells in [("th", map(html.escape, head)), *(("td", _marked(head, row)) for row in rows)]]
    alone = [row[0] for row in rows if audition.UNDEFINED in row]
    note = "".join(f"Only {html.escape(name)} sounds here: there is nothing to separate it from." for name in alone)
    return f'<table><caption>{html.escape(title)}</caption>{"".join(lines)}</table>{note}'


def _marked(head, row) -> list[str]:
    """Cells of a row, in bold the better of what went in and what came out, as far as the digits show."""
    cells = [html.escape(cell) for cell in row]
    rivals = [head.index(title) for title in audition.COMPARED if title in head]
    if len({row[k] for k in rivals}) > 1:
        best = max(rivals, key=lambda k: float(row[k]))
        cells[best] = f"<b>{cells[best]}</b>"
    return cells
