"""Uploads: what the kernel makes of the messages, and a real browser that sends them.

Messages come in where Jupyter hands them over, and go out through a comm that notes them. In the browser the widget's
own module has a model whose `send` posts to a server on 127.0.0.1, which gives the message to the widget and the answer
back; so both sides are the real ones, and only Jupyter between them is not.
"""
import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from weaklib import widgets
from weaklib.files import WeaklibError
from weaklib.widgets import upload

MIB = 2**20
DATA = np.random.default_rng(0).bytes(2 * MIB + 12345)


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files, which nothing else writes to."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def make(monkeypatch):
    """A function that makes a widget, whose ``sent`` holds what it sends to the browser; closed in the end."""
    made = []

    class Noting:
        """All that a widget asks of a comm."""

        def __init__(self, **options):
            self.comm_id = str(id(self))

        def on_msg(self, callback):
            pass

        def close(self):
            pass

        def send(self, data, buffers=None):
            made[-1].sent.append(json.loads(json.dumps(data)))

    class Upload(widgets.Upload):
        def __init__(self, **options):
            self.sent = []
            made.append(self)
            super().__init__(**options)

    monkeypatch.setattr("ipywidgets.comm.create_comm", Noting)
    yield Upload
    for one in made:
        one.close()


def hand(one, content: dict, buffers=()) -> list:
    """Give the widget a message of the browser, as Jupyter does; return what it sends."""
    one.sent.clear()
    data = {"method": "custom", "content": content}
    one._handle_msg({"content": {"data": data}, "buffers": [memoryview(buffer) for buffer in buffers]})
    return list(one.sent)


def say(one, kind, *buffers, **content):
    """The same in short; return its answer."""
    usual = {"open": {"page": 1}, "begin": {"page": 1}, "cancel": {"unreadable": False}}.get(kind, {})
    sent = hand(one, {"kind": kind, **usual, **content}, buffers)
    return next((message["content"] for message in sent if message["method"] == "custom"), None)


def send(one, data=DATA, name="song.wav", id="a", piece=MIB):
    """Upload all of it, as the browser does."""
    answers = [say(one, "begin", id=id, name=name, size=len(data))]
    answers += [say(one, "piece", data[k:k + piece], id=id, offset=k) for k in range(0, len(data), piece)]
    return answers


def held(folder: Path) -> list:
    return [path for path in folder.rglob("*") if path.is_file()]


# ---------------------------------------------------------------------------------------------------- messages, answers


def test_pieces_become_the_file(make, temporary):
    one, told = make(), []
    one.observe(lambda change: told.append((change.new, Path(change.new).read_bytes(), one.name, one.size, one.sha256,
                                            one.progress)), "path")
    shares = []
    one.observe(lambda change: shares.append(change.new), "progress")
    assert one.path == one.name == one.sha256 == ""
    answers = send(one)
    assert [answer["received"] for answer in answers] == [0, MIB, 2 * MIB, len(DATA)]
    assert [answer.get("name") for answer in answers] == [None, None, None, "song.wav"]
    assert told == [(one.path, DATA, "song.wav", len(DATA), hashlib.sha256(DATA).hexdigest(), 1.0)]
    assert shares == pytest.approx([MIB / len(DATA), 2 * MIB / len(DATA), 1])
    assert Path(one.path).is_relative_to(temporary) and one.error == ""


def test_the_browser_is_told_before_an_observer_that_takes_its_time_or_fails(make):
    one = make()

    def observe(change):
        assert one.sent[-1]["content"]["received"] == len(DATA)
        raise WeaklibError("No sound in it.")

    one.observe(observe, "path")
    assert send(one)[-1] == {"id": "a", "received": len(DATA), "name": "song.wav"}
    assert one.path and one.error == ""  # what observers raise is no matter of the upload


def test_no_state_of_size_is_saved(make, temporary):
    one = make()
    send(one)
    state = {name: value for name, value in one.get_state().items() if name not in ("_esm", "_css")}
    assert len(json.dumps(state)) < 1000 and str(temporary) not in json.dumps(state)


def test_the_next_upload_replaces_the_first_when_it_is_complete(make, temporary):
    one = make()
    send(one, id="a")
    first = one.path
    say(one, "begin", id="b", name="song.wav", size=4)
    assert one.path == first and Path(first).is_file() and one.progress == 0
    seen = []
    one.observe(lambda change: seen.append(Path(change.new).read_bytes()), "path")
    say(one, "piece", b"abcd", id="b", offset=0)
    assert seen == [b"abcd"]  # told also when the name is the same
    assert [path.read_bytes() for path in held(temporary)] == [b"abcd"]
    assert len(list(Path(first).parents[1].iterdir())) == 1  # no empty folder either


BREAKS = {  # what is told -> a message after the first piece of an upload
    "was cancelled": ("cancel", {}, []),
    "cannot read": ("cancel", {"unreadable": True}, []),
    "More came": ("piece", {"offset": MIB}, [DATA[:2 * MIB]]),
    "not handed on": ("piece", {"offset": MIB}, []),
    "loaded anew": ("open", {"page": 2}, []),
}


@pytest.mark.parametrize("sentence", BREAKS)
@pytest.mark.parametrize("before", [None, b"the file before"])
def test_a_broken_upload_leaves_nothing_says_so_and_the_next_one_works(make, temporary, sentence, before):
    one = make()
    if before:
        send(one, before, "before.wav", id="before")
    say(one, "begin", id="a", name="song.wav", size=len(DATA))
    say(one, "piece", DATA[:MIB], id="a", offset=0)
    assert len(held(temporary)) == 1 + bool(before)
    kind, content, buffers = BREAKS[sentence]
    answer = say(one, kind, *buffers, id="a", **content)
    assert answer == {"id": "a", "error": one.error}
    assert sentence in one.error and "song.wav" in one.error
    assert one.error.endswith(".") and one.error.count(". ") == 0 and "\n" not in one.error
    assert [path.read_bytes() for path in held(temporary)] == ([before] if before else [])
    assert one.name == ("before.wav" if before else "") and bool(one.path) == bool(before)
    assert one.progress == bool(before)
    late = say(one, "piece", DATA[MIB:2 * MIB], id="a", offset=MIB)  # was under way already
    assert "no longer known" in late["error"] and sentence in one.error
    assert send(one, id="b")[-1]["received"] == len(DATA)
    assert Path(one.path).read_bytes() == DATA and one.error == ""
    assert one.sha256 == hashlib.sha256(DATA).hexdigest() and len(held(temporary)) == 1


def test_pieces_that_are_lost_or_overtake_each_other_or_come_twice_are_sent_again(make):
    one = make()
    say(one, "begin", id="a", name="song.wav", size=len(DATA))
    received = 0
    for offset in (0, 0, 2 * MIB, MIB, 0, MIB):
        answer = say(one, "piece", DATA[offset:offset + MIB], id="a", offset=offset)
        received += MIB * (offset == received)
        assert answer == {"id": "a", "received": received}
    assert say(one, "check", id="a", question=7) == {"id": "a", "received": 2 * MIB, "question": 7}
    last = say(one, "piece", DATA[2 * MIB:], id="a", offset=2 * MIB)
    assert Path(one.path).read_bytes() == DATA and one.sha256 == hashlib.sha256(DATA).hexdigest()
    path = one.path
    assert say(one, "check", id="a", question=8) == last == {"id": "a", "received": len(DATA), "name": "song.wav"}
    assert say(one, "cancel", id="a") == last and one.path == path and one.error == ""  # which came too late


def test_two_threads_of_the_kernel(make):
    """The same piece comes again while the first is being written."""
    one = make()
    say(one, "begin", id="a", name="song.wav", size=len(DATA))
    write, again = one._incoming._file.write, []

    def slowly(piece):
        if not again:
            again.append(threading.Thread(target=say, args=(one, "piece", piece), kwargs={"id": "a", "offset": 0}))
            again[0].start()
            again[0].join(1)  # what must not happen would happen here
        write(piece)

    one._incoming._file.write = slowly
    say(one, "piece", DATA[:MIB], id="a", offset=0)
    again[0].join()
    for offset in (MIB, 2 * MIB):
        say(one, "piece", DATA[offset:offset + MIB], id="a", offset=offset)
    assert Path(one.path).read_bytes() == DATA and one.sha256 == hashlib.sha256(DATA).hexdigest()


def test_a_late_word_of_the_page_itself_does_not_break_off_its_upload(make):
    """It may wait for a cell to end while the upload goes through another thread."""
    one = make()
    say(one, "begin", id="a", page=5, name="song.wav", size=4)
    assert say(one, "open", page=5) is None and say(one, "open", page=4) is None
    assert say(one, "piece", b"abcd", id="a", offset=0)["received"] == 4


def test_a_message_of_another_upload_does_not_disturb_the_running_one(make):
    one = make()
    say(one, "begin", id="a", name="song.wav", size=len(DATA))
    say(one, "begin", id="b", name="other.wav", size=8)
    assert "no longer known" in say(one, "piece", DATA[:8], id="a", offset=0)["error"]
    assert "no longer known" in say(one, "cancel", id="a")["error"]
    assert say(one, "check", id="b", question=1) == {"id": "b", "received": 0, "question": 1}
    say(one, "piece", b"12345678", id="b", offset=0)
    assert Path(one.path).read_bytes() == b"12345678" and one.error == ""


@pytest.mark.parametrize("size, sentence", [(0, "is empty"), (2_500_001, "larger than 2.5 MB")])
def test_what_is_not_even_begun(make, temporary, size, sentence):
    one = make(limit_mb=2.5)
    assert sentence in say(one, "begin", id="a", name="song.wav", size=size)["error"] == one.error
    assert "no longer known" in say(one, "piece", b"ab", id="a", offset=0)["error"]
    assert held(temporary) == []
    assert say(one, "begin", id="b", name="song.wav", size=2_500_000)["received"] == 0


def test_a_limit_that_limits_nothing():
    assert widgets.Upload().limit_mb == 2000
    for limit in (0, -1, float("nan"), float("inf")):
        with pytest.raises(WeaklibError, match="positive"):
            widgets.Upload(limit_mb=limit)


def test_a_disk_that_is_too_small_is_known_beforehand(make, temporary):
    one = make(limit_mb=1e12)
    answer = say(one, "begin", id="a", name="song.wav", size=10**17)
    assert "are needed" in answer["error"] and "TMPDIR" in answer["error"] and held(temporary) == []
    assert send(one)[-1]["received"] == len(DATA)


@pytest.mark.parametrize("piece", [MIB, 1000])  # the latter is held back, and fails once more when the file is closed
def test_a_disk_that_gets_full(make, temporary, piece):
    resource = pytest.importorskip("resource", reason="needs a limit on the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    one = make()
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB + MIB // 2, before[1]))
    try:
        answers = send(one, piece=piece)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    told = next(answer["error"] for answer in answers if "error" in answer)
    assert told == one.error and "cannot be kept (File too large)" in told and str(temporary) in told
    assert held(temporary) == [] and one.path == ""
    assert send(one, id="b")[-1]["received"] == len(DATA)
    assert Path(one.path).read_bytes() == DATA


@pytest.mark.parametrize("name, cleaned", [
    ("../../etc/passwd", "passwd"), ("C:\\music\\song.mp3", "song.mp3"), ("/", "upload"), ("..", "upload"),
    ("", "upload"), ("a\0b", "ab"), ("a\nb\x1b[31m\x7f.wav", "ab[31m.wav"), (" .hidden ", "hidden"),
    ("gnp\u202e3pm.wav", "gnp3pm.wav"), ("broken\ud800.wav", "broken.wav"),
    ("x" * 300, "x" * 120), ("x" * 300 + ".flac", "x" * 115 + ".flac"), ("é" * 300 + ".wav", "é" * 58 + ".wav"),
    ("a." + "x" * 300, "a." + "x" * 118), ("Cafe\u0301 \u97f3.ogg", "Caf\u00e9 \u97f3.ogg"),
])
def test_names(make, temporary, name, cleaned):
    assert upload.clean(name) == cleaned
    one = make()
    send(one, b"sound", name)
    assert one.name == Path(one.path).name == cleaned
    assert Path(one.path).is_relative_to(temporary) and Path(one.path).read_bytes() == b"sound"


def test_closing_removes_everything(make, temporary):
    one = make()
    send(one)
    say(one, "begin", id="b", name="other.wav", size=8)
    one.close()
    assert list(temporary.iterdir()) == [] and one.path == one.name == one.sha256 == "" and one.size == 0
    make().close()


def test_the_end_of_the_kernel_removes_everything(temporary):
    code = ("from weaklib.widgets import Upload\none = Upload()\n"
            "def say(buffers=(), **content):\n"
            "    data = {'method': 'custom', 'content': {'page': 1, **content}}\n"
            "    one._handle_msg({'content': {'data': data}, 'buffers': buffers})\n"
            "say(kind='begin', id='a', name='song.wav', size=4)\n"
            "say([b'abcd'], kind='piece', id='a', offset=0)\n"
            "say(kind='begin', id='b', name='part.wav', size=4)\n"
            "say([b'ab'], kind='piece', id='b', offset=0)\n"
            "print(open(one.path).read())")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                         env=os.environ | {"TMPDIR": str(temporary)})
    assert out.stdout == "abcd\n" and list(temporary.iterdir()) == []


def test_module_is_small_and_needs_nothing():
    code = (upload.HERE / "upload.js").read_text()
    assert len(code.encode()) <= 12_000
    assert not re.search(r"^\s*import\b|import\(|fetch\(|https?://|</script", code, re.M)


# ------------------------------------------------------------------------------------------------------------- browser

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Upload</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="upload.css"><div id="one"></div><div id="two"></div>
<script type="module">
import upload from "./upload.js";
const state = await (await fetch("state")).json();
const listeners = {};
const tell = (event, ...args) => listeners[event]?.forEach((listener) => listener(...args));
let posts = Promise.resolve(); // messages reach a kernel one after the other
globalThis.model = {
    pieces: 0, answers: 0, most: 0,
    get: (name) => state[name],
    on: (event, listener) => (listeners[event] ??= new Set()).add(listener),
    off: (event, listener) => listeners[event]?.delete(listener),
    send(content, callbacks, buffers) {
        if (content.kind === "piece") model.most = Math.max(model.most, ++model.pieces - model.answers);
        const head = new TextEncoder().encode(JSON.stringify(content));
        const body = new Blob([new Uint32Array([head.length]), head, ...buffers]);
        posts = posts.then(async () => {
            if (model.lose?.(content)) return;
            const response = await fetch("message", { method: "POST", body });
            for (const message of await response.json()) {
                if (message.method === "custom") {
                    if (content.kind === "piece") model.answers++;
                    tell("msg:custom", message.content, []);
                } else for (const [name, value] of Object.entries(message.state)) {
                    if (state[name] === value) continue;
                    state[name] = value;
                    tell(`change:${name}`);
                }
            }
        });
    },
};
const { initialize, render } = upload();
initialize({ model });
render({ model, el: document.getElementById("one") });
render({ model, el: document.getElementById("two") });
document.body.dataset.ready = "";
</script></html>
"""


class Kernel(http.server.ThreadingHTTPServer):
    """The page, and behind it a widget; `gate` lets messages through or not."""

    def __init__(self, one):
        super().__init__(("127.0.0.1", 0), Handler)
        self.one, self.turn, self.gate, self.kinds = one, threading.Lock(), lambda content: None, []
        self.address = f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path[1:]
        if name == "state":
            keys = ("limit_mb", "name", "size", "error")
            self.reply(json.dumps(self.server.one.get_state(keys)).encode(), "application/json")
        elif name in ("upload.js", "upload.css"):
            kind = "text/javascript" if name.endswith("js") else "text/css"
            self.reply((upload.HERE / name).read_bytes(), kind)
        else:
            self.reply(PAGE.encode(), "text/html")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        begin = 4 + int.from_bytes(body[:4], "little")
        content = json.loads(body[4:begin])
        self.server.gate(content)
        with self.server.turn:
            self.server.kinds.append(content["kind"])
            sent = hand(self.server.one, content, [body[begin:]] if content["kind"] == "piece" else [])
        self.reply(json.dumps(sent).encode(), "application/json")

    def reply(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def load(chromium, make):
    """A function that opens a page with a widget behind it; errors of the page, and requests elsewhere, fail."""
    browser = chromium()
    wrong, requests, kernels, pages = [], [], [], []

    def load(**options):
        kernel = Kernel(make(**options))
        kernels.append(kernel)
        threading.Thread(target=kernel.serve_forever, daemon=True).start()
        page = browser.new_page(viewport={"width": 700, "height": 500})
        pages.append(page)
        page.set_default_timeout(120_000)
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.clock.install()
        page.goto(kernel.address)
        page.wait_for_selector("body[data-ready]")
        return page, kernel

    yield load
    for page in pages:
        page.close()
    for kernel in kernels:
        kernel.shutdown()
        kernel.server_close()
    homes = tuple(kernel.address for kernel in kernels)
    assert wrong == [] and requests and all(url.startswith((*homes, "data:,")) for url in requests)


def status(page, words: str) -> str:
    """Wait until both views say it."""
    for place in ("#one", "#two"):
        page.wait_for_selector(f"{place} [role=status]:has-text({json.dumps(words)})")
    return page.locator("#one [role=status]").inner_text()


def choose(page, *paths):
    page.locator("#one").get_by_label("Choose a file").set_input_files([str(path) for path in paths])


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "recording.wav"
    path.write_bytes(DATA * 5)
    return path


def test_60_megabytes_arrive(load, tmp_path):
    page, kernel = load()
    path, expected = tmp_path / "Café 1.wav", hashlib.sha256()
    random = np.random.default_rng(1)
    with path.open("wb") as f:
        for _ in range(60):
            block = random.bytes(1_000_000)
            expected.update(block)
            f.write(block)
    choose(page, path)
    assert status(page, "is here") == "Café 1.wav is here, 60.0 MB."
    one = kernel.one
    assert one.sha256 == expected.hexdigest() and (one.size, one.name) == (60_000_000, "Café 1.wav")
    assert hashlib.sha256(Path(one.path).read_bytes()).hexdigest() == expected.hexdigest()
    assert page.evaluate("model.pieces") == 58 and page.evaluate("model.most") <= 4  # under way
    assert page.locator("#one .running").is_hidden()


def test_keyboard_and_what_a_reader_hears(load, recording):
    page, kernel = load(limit_mb=20)
    reached, on = threading.Event(), threading.Event()

    def gate(content):
        if content.get("offset") == 5 * MIB:
            reached.set()
            on.wait(120)

    kernel.gate = gate
    page.on("filechooser", lambda chooser: None)  # from now on: with the key it may begin too late
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.type") == "file"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    assert not chooser.value.is_multiple()
    chooser.value.set_files(str(recording))
    assert reached.wait(120)
    page.wait_for_selector("#one >> text=5.2 of 10.5 MB")
    assert page.locator("#one").aria_snapshot() == "\n".join([
        '- group "Upload of a file":',
        '  - text: Choose a file or drop it here (audio, up to 20 MB)',
        '  - button "Choose a file or drop it here (audio, up to 20 MB)"',
        '  - progressbar "Upload"',
        '  - text: 5.2 of 10.5 MB',
        '  - button "Cancel"',
        '  - status: Uploading recording.wav.'])
    assert page.get_by_role("progressbar").first.evaluate("(bar) => bar.value") == pytest.approx(5 / 10.06, abs=0.01)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    status(page, "Cancelling")
    on.set()
    assert status(page, "cancelled") == "The upload of recording.wav was cancelled, and nothing of it was kept."
    assert page.evaluate("document.activeElement.type") == "file"  # and not lost with the button
    assert kernel.one.path == "" and held(Path(tempfile.gettempdir())) == []
    choose(page, recording)
    status(page, "recording.wav is here")
    assert Path(kernel.one.path).read_bytes() == recording.read_bytes()


def test_files_that_are_refused_are_not_sent(load, tmp_path):
    page, kernel = load(limit_mb=0.1)
    (tmp_path / "small.wav").write_bytes(b"x" * 100_000)
    (tmp_path / "large.wav").write_bytes(b"x" * 100_001)
    (tmp_path / "empty.wav").touch()
    choose(page, tmp_path / "large.wav")
    assert status(page, "larger") == "large.wav is larger than 0.1 MB; choose a smaller file, or a part of it."
    choose(page, tmp_path / "empty.wav")
    status(page, "empty.wav is empty")
    assert kernel.kinds == ["open"]
    choose(page, tmp_path / "small.wav")
    assert status(page, "is here") == "small.wav is here, 0.1 MB."
    choose(page, tmp_path / "large.wav")
    assert status(page, "larger").endswith("small.wav is here, 0.1 MB.") and kernel.one.path


def drop(page, *names):
    data = page.evaluate_handle("""(names) => {
        const data = new DataTransfer();
        names.forEach((name) => data.items.add(new File(["dropped"], name, { type: "audio/wav" })));
        return data;
    }""", list(names))
    for event in ("dragover", "drop"):
        page.dispatch_event("#one .weaklib-upload", event, {"dataTransfer": data})


def test_dropped(load):
    page, kernel = load()
    drop(page, "a.wav", "b.wav")
    assert status(page, "several") == "These are several files; choose one."
    drop(page, "a.wav")
    status(page, "a.wav is here")
    assert Path(kernel.one.path).read_bytes() == b"dropped"


def test_what_the_kernel_cannot_do_is_told(load, recording, monkeypatch):
    page, kernel = load()

    def full(self, offset, piece):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr(upload.Incoming, "append", full)
        choose(page, recording)
        assert status(page, "cannot be kept").startswith("The file cannot be kept (No space left on device); free some")
    choose(page, recording)
    status(page, "recording.wav is here")
    assert kernel.one.sha256 == hashlib.sha256(recording.read_bytes()).hexdigest()


def test_lost_on_the_way(load, recording):
    """A connection that breaks and comes back loses messages; nobody is told, so the browser asks and sends again."""
    page, kernel = load()
    page.evaluate("""() => {
        const lost = new Set(["piece 2097152", "piece 3145728", "check undefined"]); // each once
        model.lose = ({ kind, offset }) => lost.delete(`${kind} ${offset}`);
    }""")
    choose(page, recording)
    page.wait_for_selector("#one >> text=2.1 of 10.5 MB")
    page.wait_for_function("model.pieces === 6")
    for _ in range(3):  # the fifth piece arrived, and could not be written without the third
        page.clock.fast_forward(11_000)
    assert status(page, "is here") == "recording.wav is here, 10.5 MB."
    assert kernel.one.sha256 == hashlib.sha256(recording.read_bytes()).hexdigest() and kernel.kinds.count("begin") == 1
    assert kernel.one.error == "" and page.evaluate("model.pieces") > 11


def held_back(page, kernel, recording) -> threading.Event:
    """Choose a file, and wait until the kernel has its third piece, which it takes when the event is set."""
    reached, on = threading.Event(), threading.Event()

    def gate(content):
        if content.get("offset") == 2 * MIB:
            reached.set()
            on.wait(120)

    kernel.gate = gate
    choose(page, recording)
    assert reached.wait(120)
    return on


def test_a_file_that_changes_meanwhile(load, recording):
    page, kernel = load()
    on = held_back(page, kernel, recording)
    recording.write_bytes(b"something else")
    on.set()
    assert status(page, "cannot read") == "The browser cannot read recording.wav any more; choose it again."
    assert kernel.one.path == "" and held(Path(tempfile.gettempdir())) == []


def test_a_busy_kernel_is_waited_for(load, recording):
    page, kernel = load()
    on = threading.Event()
    kernel.gate = lambda content: content.get("offset") != 2 * MIB or on.wait(120)
    choose(page, recording)
    page.wait_for_function("model.pieces === 6")
    for _ in range(5):
        page.clock.fast_forward(11_000)
    status(page, "does not answer: it is busy")
    on.set()
    status(page, "recording.wav is here")
    assert kernel.one.sha256 == hashlib.sha256(recording.read_bytes()).hexdigest()


def test_a_page_that_is_loaded_anew(load, recording):
    page, kernel = load()
    on = held_back(page, kernel, recording)
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert "broke off, because the page was loaded anew" in status(page, "broke off")
    on.set()
    assert kernel.one.path == "" and held(Path(tempfile.gettempdir())) == []
    choose(page, recording)
    status(page, "recording.wav is here")
    page.reload()
    assert status(page, "is here") == "recording.wav is here, 10.5 MB."  # the kernel knows it still
    assert Path(kernel.one.path).read_bytes() == recording.read_bytes()
