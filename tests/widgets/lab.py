"""JupyterLab as a reader meets it: a server of its own, Chromium in front of it, a notebook that is run and saved.

Nothing of the machine's own Jupyter is read or written, and all of it ends with the block, also with one that fails.

Contents
--------
chromium
    The browser.
serving
    A JupyterLab server with settings of its own.
write
    A notebook file, from the text of its cells.
Notebook
    A notebook open in JupyterLab: run it, ask its kernel, listen, save; errors and requests elsewhere are noted.
"""
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat

from weaklib import headless
from weaklib.files import WeaklibError

PATIENCE = 300  # s, for any one thing; a busy machine takes its time

#: Listens where all that the page plays leaves it, whoever plays it.
TAP = """
globalThis.taps = new Map(); // of each AudioContext, an AnalyserNode
const { connect } = AudioNode.prototype;
AudioNode.prototype.connect = function (target, ...others) {
    if (target instanceof AudioDestinationNode) {
        if (!taps.has(this.context)) taps.set(this.context, new AnalyserNode(this.context, { fftSize: 8192 }));
        connect.call(this, taps.get(this.context));
    }
    return connect.call(this, target, ...others);
};
"""
PEAK = """async () => {
    let highest = 0;
    for (const [context, tap] of taps) {
        const x = new Float32Array(tap.fftSize);
        const until = context.currentTime + 0.1 + x.length / context.sampleRate; // what was before is over by then
        for (let k = 0; context.currentTime < until; k++) {
            if (k > 5000) throw new Error(`no sound runs, the context is ${context.state}`);
            await new Promise((done) => setTimeout(done, 20));
        }
        tap.getFloatTimeDomainData(x);
        highest = x.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), highest);
    }
    return highest;
}"""


@contextmanager
def chromium(*flags: str):
    """Yield Playwright's Browser: Chromium without a window.

    Raises
    ------
    WeaklibError
        If Chromium or playwright is missing.
    """
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        raise WeaklibError("Chromium is missing: 'sudo apt-get install chromium'.")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as e:
        raise WeaklibError("playwright is missing: pip install playwright.") from e
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=executable, timeout=1000 * PATIENCE, args=[
            "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", *flags])
        yield browser
        browser.close()


@contextmanager
def serving(folder: Path):
    """Serve the notebooks of a folder on 127.0.0.1; what Jupyter keeps goes to ``.jupyter`` in it.

    Yields
    ------
    str
        Address of JupyterLab.

    Raises
    ------
    RuntimeError
        If the server does not start; with its log.
    """
    own = folder / ".jupyter"
    places = {name: str(own / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR",
                                                 "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")}
    _json(own / "JUPYTER_CONFIG_DIR" / "jupyter_server_config.json", {
        "ServerApp": {"ip": "127.0.0.1", "port": 0, "open_browser": False, "root_dir": str(folder), "allow_root": True},
        "IdentityProvider": {"token": ""},
        "MappingKernelManager": {"kernel_info_timeout": PATIENCE},
        "LabApp": {"expose_app_in_browser": True, "extension_manager": "readonly"},  # the usual one asks PyPI
    })
    _json(own / "JUPYTERLAB_SETTINGS_DIR" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings",
          {"fetchNews": "false", "checkForUpdates": False})
    log = own / "log"
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as by Ctrl-C, or it would leave the server
    with headless.kernel(), log.open("w") as out:
        # In a session of its own, so that Ctrl-C interrupts the tests, and they end the server.
        process = subprocess.Popen([sys.executable, "-m", "jupyterlab"], stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=subprocess.STDOUT, env=os.environ | places, start_new_session=True)
        try:
            yield _address(process, Path(places["JUPYTER_RUNTIME_DIR"]), log)
        finally:
            process.terminate()  # it ends its kernels first
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()  # and the kernels see that it is gone
                process.wait()
            signal.signal(signal.SIGTERM, before)


def _json(path: Path, obj) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(obj))


def _address(process, runtime: Path, log: Path) -> str:
    """Wait for the file in which the server tells its address."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            try:
                return json.loads(path.read_text())["url"] + "lab"
            except ValueError:  # it is being written
                pass
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start.\n{log.read_text()}")


def write(path: Path, *cells: str) -> Path:
    """Write a notebook for Python; a cell that begins with ``#`` is Markdown."""
    new = nbformat.v4
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}  # or JupyterLab asks which
    nbformat.write(new.new_notebook(metadata={"kernelspec": kernel}, cells=[
        new.new_markdown_cell(text) if text.startswith("#") else new.new_code_cell(text) for text in cells]), path)
    return path


class Notebook:
    """A notebook in JupyterLab, in a window of its own.

    Parameters
    ----------
    browser : Browser
        From `chromium`.
    address : str
        From `serving`.
    path : Path
        In the folder that is served.

    Attributes
    ----------
    page : playwright Page
    errors : list of str
        What the page wrote to its console as an error, or threw.
    outside : list of str
        Requests to anywhere but 127.0.0.1.
    """

    def __init__(self, browser, address: str, path: Path):
        self.address, self.path = address, path
        self.errors, self.outside = [], []
        self.page = browser.new_page(viewport={"width": 1280, "height": 960})
        self.page.set_default_timeout(1000 * PATIENCE)
        self.page.add_init_script(TAP)
        self.page.context.on("request", lambda request: self._note(request.url))
        self.page.on("websocket", lambda socket: self._note(socket.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)

    def _note(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            self.outside.append(url)

    def start(self) -> None:
        """Open JupyterLab."""
        self.page.goto(self.address)
        self.page.wait_for_function("globalThis.jupyterapp?.restored.then(() => true)")

    def open(self) -> None:
        """Open the notebook, and wait for its kernel."""
        self._do("docmanager:open", path=self.path.name)
        self.ready()

    def reload(self) -> None:
        """Load the page again, as after a look at another one; JupyterLab opens what was open."""
        self.page.reload()
        self.ready()

    def ready(self) -> None:
        """Wait until the notebook is there and its kernel is idle."""
        # Asked of the kernel itself: what JupyterLab shows is "idle" also while there is none.
        self.until("panel?.context?.path === arg && panel.context.isReady"
                   " && panel.sessionContext.session?.kernel?.status === 'idle'", self.path.name)

    def run_all(self) -> None:
        """Run all cells; an error in one is an AssertionError."""
        self._do("notebook:run-all-cells")
        self._done(0)

    def ask(self, code: str) -> str:
        """Run code in a new last cell, remove the cell, and return what it printed."""
        self.get("panel.content.model.sharedModel.addCell({ cell_type: 'code', source: arg })", code)
        self.get("panel.content.activeCellIndex = panel.content.widgets.length - 1")
        self._do("notebook:run-cell")
        self._done(-1)
        outputs = self.get("panel.content.model.cells.get(panel.content.model.cells.length - 1).outputs.toJSON()")
        self.get("panel.content.model.sharedModel.deleteCell(panel.content.model.cells.length - 1)")
        return "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")

    def _done(self, first: int) -> None:
        """Wait until the code cells from the first of these on have run."""
        cells = f"[...panel.content.model.cells].filter((cell) => cell.type === 'code').slice({first})"
        errors = f"{cells}.flatMap((cell) => cell.outputs.toJSON()).filter((output) => output.output_type === 'error')"
        self.until(f"{errors}.length || {cells}.every((cell) => cell.executionCount)")
        wrong = self.get(errors)
        assert not wrong, "\n".join(wrong[0]["traceback"])

    def save(self):
        """Save the notebook, and return what its file then holds."""
        self._do("docmanager:save")
        self.until("!panel.context.model.dirty")
        return nbformat.read(self.path, as_version=4)

    def peak(self) -> float:
        """Peak of the next half second of all that the page plays."""
        return self.page.evaluate(PEAK)

    def get(self, expression: str, arg=None):
        """Value of JavaScript, in which ``panel`` is the notebook's widget in JupyterLab, and ``arg`` what is given."""
        return self.page.evaluate(f"(arg) => {{ const panel = jupyterapp.shell.currentWidget; return {expression}; }}",
                                  arg)

    def until(self, condition: str, arg=None) -> None:
        """Wait until JavaScript holds, as in `get`; JupyterLab itself may still be coming."""
        self.page.wait_for_function(
            f"(arg) => {{ const panel = globalThis.jupyterapp?.shell.currentWidget; return {condition}; }}",
            arg=arg, polling=100)

    def _do(self, command: str, **args) -> None:
        """Start a command of JupyterLab; some wait forever for what does not come, and are not waited for."""
        self.page.evaluate("([command, args]) => void jupyterapp.commands.execute(command, args)", [command, args])
