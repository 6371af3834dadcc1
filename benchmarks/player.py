"""How long a reader waits for sound: from the address of JupyterLab to a StemPlayer that plays.

    python benchmarks/player.py [--tracks 5] [--seconds 30] [--sr 44100] [--runs 3]

Prints a Markdown table of seconds by the clock on the wall, which a reader waits for, so let nothing else run. Every
run has a JupyterLab and a kernel of its own, and imports and runs what a notebook with one player does. The player's
own part is from when its module is loaded, which is when its model has arrived, until the sound is decoded and the last
picture drawn. Needs the extra ``test`` and Chromium.
"""
from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "widgets")]
import lab  # noqa: E402

CODE = """\
import numpy as np
from weaklib import widgets

rng = np.random.default_rng(0)
widgets.StemPlayer({{f"track {{k}}": rng.standard_normal({n}, dtype=np.float32) for k in range({tracks})}}, {sr})"""

#: Notes when the player's module, known by its size, is loaded, and when its last picture is.
WATCH = """
globalThis.player = {};
const { createObjectURL } = URL;
URL.createObjectURL = (blob) => {
    if (blob.size === %d) player.begin ??= performance.now();
    return createObjectURL(blob);
};
document.addEventListener("load", ({ target }) => {
    if (target.closest?.(".weaklib-player")) requestAnimationFrame(() => (player.end = performance.now()));
}, true);
"""
COLUMNS = "JupyterLab | notebook, kernel | cells | player | click to sound | together | player's own part"


def measure(browser, tracks, sr, seconds):
    """Seconds of each column."""
    with tempfile.TemporaryDirectory() as folder:
        path = lab.write(Path(folder) / "listen.ipynb", CODE.format(tracks=tracks, sr=sr, n=round(seconds * sr)))
        with lab.serving(Path(folder)) as address:
            notebook = lab.Notebook(browser, address, path)
            page = notebook.page
            page.add_init_script(WATCH % len((ROOT / "weaklib" / "widgets" / "player.js").read_bytes()))
            times = [time.perf_counter()]

            def done():
                times.append(time.perf_counter())

            notebook.start()
            done()
            notebook.open()
            done()
            notebook.run_all()
            done()
            page.wait_for_function("""(n) => {
                const images = [...document.querySelectorAll(".weaklib-player img")];
                return player.end && images.length === n && images.every((image) => image.complete);
            }""", arg=tracks)
            done()
            page.get_by_role("button", name="Play", exact=True).click()
            page.wait_for_function("!document.querySelector('.weaklib-player .time').textContent.startsWith('0:00.0')")
            done()
            own = page.evaluate("player.end - player.begin") / 1000
            page.close()
    return [b - a for a, b in zip(times, times[1:])] + [times[-1] - times[0], own]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tracks", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the tracks")
    parser.add_argument("--sr", type=int, default=44_100, help="of the tracks, Hz")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with lab.chromium() as browser:
        print(f"| {COLUMNS} |\n{'|---' * 7}|")
        for _ in range(args.runs):
            print(f"| {' | '.join(f'{s:.1f}' for s in measure(browser, args.tracks, args.sr, args.seconds))} |",
                  flush=True)


if __name__ == "__main__":
    main()
