"""A file of the reader's own, from the browser to the kernel, whatever its size.

``ipywidgets.FileUpload`` sends a file as one message, and from 10 MiB on the server closes the connection instead. Here
a file comes in pieces. The kernel writes each to disk, adds it to the checksum and answers; the browser has few pieces
under way that are not answered yet. So neither side ever holds the file, and a kernel that is busy slows it down only.

What the browser sends is a message with a ``kind`` and the ``id`` of the upload: ``begin`` (``name``, ``size``),
``piece`` (``offset``, and the bytes as its buffer), ``check`` (``sent``: did all of that arrive?), ``cancel``; and
``open``, without an upload, when a page is loaded. The answer has the ``id`` and ``received`` (bytes so far; with the
``name`` when that is all), or ``error`` (a sentence).

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

    Without folders and without characters that cannot be seen; cut to `NAME` bytes before its suffix; "upload" if
    nothing remains.
    """
    name = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    stem, suffix = os.path.splitext("".join(c for c in name if c.isprintable()).strip(" ."))
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
        Of the upload.
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
        """Of what has been received, hexadecimal."""
        return self._hash.hexdigest()

    def append(self, offset: int, piece) -> None:
        """Write the next piece; the last one closes the file.

        Raises
        ------
        WeaklibError
            If it is not the next piece, or longer than what is missing.
        """
        self.check(offset)
        if self.received + len(piece) > self.size:
            raise WeaklibError(f"More came of {self.name} than the {self.size} bytes it was said to have; choose it "
                               "again when nothing writes to it.")
        self._file.write(piece)
        self._hash.update(piece)
        self.received += len(piece)
        if self.complete:
            self._file.close()

    def check(self, sent: int) -> None:
        """Raise a WeaklibError unless just the bytes that were sent have arrived."""
        if sent != self.received:
            raise WeaklibError(f"The upload of {self.name} broke off, because a part of it was lost on the way; choose "
                               "the file again.")

    def discard(self) -> None:
        """Remove the file, and its folder."""
        with suppress(OSError):  # on a full disk it cannot write what it still holds
            self._file.close()
        shutil.rmtree(self.path.parent, ignore_errors=True)


class Upload(anywidget.AnyWidget):
    """Take a file from the reader's disk, chosen or dropped, to a temporary folder of the kernel.

    Observe `path`: it changes when a file is complete, and everything else is set by then. The next file replaces it
    when that is complete too. The folder is removed when the widget is closed, or when the kernel ends.

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

    _esm = HERE / "upload.js"
    _css = HERE / "upload.css"
    limit_mb = traitlets.Float(LIMIT_MB).tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    size = traitlets.Int().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    sha256 = traitlets.Unicode()
    progress = traitlets.Float()
    path = traitlets.Unicode()  # not synced, and so not saved: the browser has no use for it

    def __init__(self, *, limit_mb: float = LIMIT_MB):
        self._folder = self._incoming = None
        super().__init__(limit_mb=limit_mb)
        self.on_msg(self._receive)

    def close(self) -> None:
        """Close the widget and remove its file; observers are not called any more."""
        super().close()
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
        """Do what the browser asks, and answer; observers come last, so that what they raise is theirs."""
        kind, id = content["kind"], content.get("id")
        running = self._incoming
        if kind == "open":
            if running:  # of a page that is gone, and the file with it
                self._fail(running.id, f"The upload of {running.name} broke off, because the page was loaded anew; "
                                       "choose the file again.")
            return
        if kind != "begin" and not (running and running.id == id):
            self.send({"id": id, "error": "This upload is no longer known to the kernel; choose the file again."})
            return
        try:
            if kind == "begin":
                self._begin(id, clean(content["name"]), content["size"])
            elif kind == "piece":
                running.append(content["offset"], buffers[0] if buffers else b"")
            elif kind == "check":
                running.check(content["sent"])
            elif kind == "cancel":
                raise WeaklibError(f"The upload of {running.name} was cancelled, and nothing of it was kept.")
        except WeaklibError as e:
            self._fail(id, str(e))
        except OSError as e:
            self._fail(id, f"The file cannot be kept ({e.strerror or e}); free some space in {tempfile.gettempdir()}, "
                           "or start the kernel with another TMPDIR.")
        else:
            self._advance()

    def _begin(self, id: str, name: str, size: int) -> None:
        self._discard()
        if size <= 0:
            raise WeaklibError(f"{name} is empty; choose a file with sound in it.")
        if size > 1e6 * self.limit_mb:
            raise WeaklibError(f"{name} is larger than {self.limit_mb:g} MB; choose a smaller file, or a part of it.")
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="weaklib-", ignore_cleanup_errors=True)
        files.need_space(self._folder.name, size, "TMPDIR when the kernel is started")
        self._incoming = Incoming(self._folder.name, id, name, size)
        self.error = ""

    def _advance(self) -> None:
        """Tell how far it is, to the browser first: observers may take their time."""
        one = self._incoming
        answer = {"id": one.id, "received": one.received}
        if not one.complete:
            self.send(answer)
            self.progress = one.received / one.size
            return
        self._incoming = None
        if self.path:
            shutil.rmtree(Path(self.path).parent, ignore_errors=True)
        with self.hold_trait_notifications():
            self.name, self.size, self.sha256, self.progress = one.name, one.size, one.sha256, 1.0
            self.path = str(one.path)
            self.send(answer | {"name": one.name})

    def _fail(self, id: str, sentence: str) -> None:
        self._discard()
        self.send({"id": id, "error": sentence})
        self.error = sentence
        self.progress = float(bool(self.path))

    def _discard(self) -> None:
        if self._incoming:
            self._incoming.discard()
            self._incoming = None
