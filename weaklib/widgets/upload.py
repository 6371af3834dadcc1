"""A file of the reader's own, from the browser to the kernel, whatever its size.

``ipywidgets.FileUpload`` sends a file as one message, and from 10 MiB on the server closes the connection instead. Here
a file comes in pieces. The kernel writes each to disk, adds it to the checksum and answers; the browser has few pieces
under way that are not answered yet. So neither side ever holds the file, and a kernel that is busy slows it down only.

What the browser sends is a message with a ``kind`` and the ``id`` of the upload: ``begin`` (``page``, ``name``,
``size``), ``piece`` (``offset``, and the bytes as its buffer), ``check`` (``question``, by its number: how far is it?),
``cancel`` (``unreadable``); and ``open`` (``page``), without an upload, when a page is loaded. The answer has the
``id`` and ``received`` (bytes so far; with the ``name`` when that is all, with the ``question`` if there was one), or
``error`` (a sentence).

Messages may be lost with a connection, and JupyterLab may have two threads of the kernel handle them, so that they
overtake each other. Therefore only the next piece is written, and any other one is answered with where to go on.

Contents
--------
Upload
    The widget.
Incoming
    A file that arrives piece by piece.
clean
    A name that a file can safely have.
"""
from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import tempfile
import threading
import unicodedata
from contextlib import suppress
from pathlib import Path

import anywidget
import traitlets

from weaklib import files
from weaklib.files import WeaklibError

LIMIT_MB = 2000
NAME, SUFFIX = 120, 16  # bytes of a name and of its suffix, at most; file systems end at 255
HERE = Path(__file__).parent


def clean(name: str) -> str:
    """Make a name of a file from what a browser, or somebody in its place, calls it.

    Without folders, without characters that cannot be seen and, on Windows, without those that it forbids; cut to
    `NAME` bytes before its suffix; "upload" if nothing remains.
    """
    name = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    forbidden = '<>:"|?*' if files.WINDOWS else ""
    stem, suffix = os.path.splitext("".join(c for c in name if c.isprintable() and c not in forbidden).strip(" ."))
    if len(suffix.encode()) > SUFFIX:
        stem, suffix = stem + suffix, ""
    stem = stem.encode()[:NAME - len(suffix.encode())].decode(errors="ignore")
    return (stem or "upload") + suffix


class Incoming:
    """A file that arrives piece by piece, in a folder of its own.

    Parameters
    ----------
    folder : Path
        Where that folder is made.
    id : str
        Identifies the upload.
    name : str
        From `clean`.
    size : int, bytes

    Attributes
    ----------
    path : Path
    received : int, bytes

    Raises
    ------
    OSError
        If the file cannot be written, here and in `append`.
    """

    def __init__(self, folder: Path, id: str, name: str, size: int):
        self.id, self.name, self.size, self.received = id, name, size, 0
        self.path = Path(tempfile.mkdtemp(dir=folder)) / name
        self._file = self.path.open("wb")
        self._hash = hashlib.sha256()

    @property
    def complete(self) -> bool:
        return self.received == self.size

    @property
    def sha256(self) -> str:
        """Checksum of what has been received, hexadecimal."""
        return self._hash.hexdigest()

    def append(self, offset: int, piece) -> None:
        """Write the piece if it is the next one; the last one closes the file.

        Raises
        ------
        WeaklibError
            If it is empty, or longer than what is missing.
        """
        if not len(piece):
            raise WeaklibError(f"The bytes of {self.name} are not handed on by what shows this notebook; open it in "
                               "JupyterLab.")
        if offset != self.received:
            return
        if offset + len(piece) > self.size:
            raise WeaklibError(f"More came of {self.name} than the {self.size} bytes it was said to have; choose it "
                               "again when nothing writes to it.")
        self._file.write(piece)
        self._hash.update(piece)
        self.received += len(piece)
        if self.complete:
            self._file.close()

    def discard(self) -> None:
        """Remove the file, and its folder."""
        with suppress(OSError):  # on a full disk it cannot write what it still holds
            self._file.close()
        shutil.rmtree(self.path.parent, ignore_errors=True)


class Upload(anywidget.AnyWidget):
    """Take a file from the reader's disk, chosen or dropped, to a temporary folder of the kernel.

    Observe `path`: it changes when a file is complete, and everything else is set by then; as all that widgets call,
    observers may run in another thread than the cells. The next file replaces it when that is complete too. The folder
    is removed when the widget is closed, or when the kernel ends.

    Parameters
    ----------
    limit_mb : float, MB
        Larger files are refused.

    Attributes
    ----------
    path : str
        Where the file is; "" while there is none.
    name : str
        What it was called, less what is not safe in a name.
    size : int, bytes
    sha256 : str
        Hexadecimal.
    progress : float
        Share that has arrived, from 0 to 1, of the upload that is running, else of the file that is there.
    error : str
        Why the last upload came to nothing: one sentence, which the reader sees too; else "".
    limit_mb : float, MB

    Raises
    ------
    WeaklibError
        If `limit_mb` is no positive number.
    """

    _esm = (HERE / "upload.js").read_text(encoding="utf-8")  # given paths, anywidget keeps every widget alive
    _css = (HERE / "upload.css").read_text(encoding="utf-8")
    limit_mb = traitlets.Float(LIMIT_MB).tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    size = traitlets.Int().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    sha256 = traitlets.Unicode()
    progress = traitlets.Float()
    path = traitlets.Unicode()  # not synced, and so not saved: the browser has no use for it

    def __init__(self, *, limit_mb: float = LIMIT_MB):
        self._folder = self._incoming = None
        self._page = 0  # when that of the last upload was loaded
        self._done = {}  # the last answer to the last complete upload
        self._lock = threading.RLock()
        super().__init__(limit_mb=limit_mb)
        self.on_msg(self._receive)

    def close(self) -> None:
        """Close the widget and remove its file; observers are not called any more."""
        super().close()
        with self._lock:
            self._discard()
            if self._folder:
                self._folder.cleanup()
                self._folder = None
        self.unobserve_all()
        self.path = self.name = self.sha256 = self.error = ""
        self.size = self.progress = 0

    @traitlets.validate("limit_mb")
    def _check_limit(self, proposal):
        if not 0 < proposal.value < math.inf:
            raise WeaklibError(f"limit_mb={proposal.value} limits nothing; give a positive number of MB.")
        return proposal.value

    def _receive(self, _, content: dict, buffers: list) -> None:
        """Do what the browser asks, answer, and only then tell observers, which may take their time or fail."""
        with self._lock:
            answer, traits = self._handle(content, buffers)
        if answer:
            self.send(answer)
        for name, value in traits.items():
            setattr(self, name, value)

    def _handle(self, content: dict, buffers: list) -> tuple[dict, dict]:
        """Return the answer, and the traits that change, in this order."""
        kind, id, running = content["kind"], content.get("id"), self._incoming
        if kind == "open":
            if not running or content["page"] <= self._page:
                return {}, {}
            return self._fail(running.id, f"The upload of {running.name} broke off, because the page was loaded anew; "
                                          "choose the file again.")
        if id == self._done.get("id"):  # the browser did not hear that it is complete
            return self._done, {}
        if kind != "begin" and not (running and running.id == id):
            return {"id": id, "error": "This upload is no longer known to the kernel; choose the file again."}, {}
        try:
            if kind == "begin":
                self._begin(**{name: content[name] for name in ("id", "page", "name", "size")})
            elif kind == "piece":
                running.append(content["offset"], buffers[0] if buffers else b"")
            elif kind == "cancel":
                raise WeaklibError(f"The browser cannot read {running.name} any more; choose it again."
                                   if content["unreadable"] else
                                   f"The upload of {running.name} was cancelled, and nothing of it was kept.")
        except WeaklibError as e:
            return self._fail(id, str(e))
        except OSError as e:
            return self._fail(id, f"The file cannot be kept ({e.strerror or e}); free some space in "
                                  f"{tempfile.gettempdir()}, or start the kernel with another TMPDIR.")
        one = self._incoming
        if one.complete:
            return self._finish()
        answer = {"id": id, "received": one.received} | ({"question": content["question"]} if kind == "check" else {})
        return answer, {"error": "", "progress": one.received / one.size}

    def _begin(self, id: str, page: float, name: str, size: int) -> None:
        self._discard()
        name = clean(name)
        if size <= 0:
            raise WeaklibError(f"{name} is empty; choose a file with sound in it.")
        if size > 1e6 * self.limit_mb:
            raise WeaklibError(f"{name} is larger than {self.limit_mb:g} MB; choose a smaller file, or a part of it.")
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="weaklib-", ignore_cleanup_errors=True)
        files.need_space(self._folder.name, size, "TMPDIR when the kernel is started")
        self._incoming, self._page = Incoming(self._folder.name, id, name, size), page

    def _finish(self) -> tuple[dict, dict]:
        one, self._incoming = self._incoming, None
        if self.path:
            shutil.rmtree(Path(self.path).parent, ignore_errors=True)
        self._done = {"id": one.id, "received": one.received, "name": one.name}
        return self._done, {"name": one.name, "size": one.size, "sha256": one.sha256, "progress": 1.0,
                            "path": str(one.path)}

    def _fail(self, id: str, sentence: str) -> tuple[dict, dict]:
        self._discard()
        return {"id": id, "error": sentence}, {"progress": float(bool(self.path)), "error": sentence}

    def _discard(self) -> None:
        if self._incoming:
            self._incoming.discard()
            self._incoming = None
