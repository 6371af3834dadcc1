"""Speech from espeak-ng, the same samples every time.

The synthesiser keeps state that nothing resets (the phase of the voice, of its flutter, an echo buffer), so that
what it says depends on all it said before. Therefore `say` hands a whole list to a fresh process, which is this
file run as a script: it reads the jobs as JSON from stdin and writes each utterance to stdout as a little-endian
int32 length and that many int16 samples. A crash of the C library then ends that process and not the notebook.
"""
from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SR = 22050  # Hz, of every voice that espeak-ng renders itself
VOLUME = 30  # of 200: at the default 100 the louder voices clip

# From espeak-ng's speak_lib.h
_SYNCHRONOUS, _UTF8 = 2, 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4


def say(jobs: list[dict]) -> Iterator[np.ndarray]:
    """Speak sentences one after another in a fresh espeak-ng process.

    Parameters
    ----------
    jobs : list of dict
        ``voice`` (language+variant), ``rate`` (words per minute), ``pitch`` and ``range`` (0 to 99), ``text``.

    Yields
    ------
    array, shape=(time,), int16, at `SR`

    Raises
    ------
    WeaklibError
        If the synthesiser cannot be started or knows no such voice.
    """
    from weaklib.files import WeaklibError
    # -P: the script's own folder must not become a place to import from
    with subprocess.Popen([sys.executable, "-P", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as child:
        child.stdin.write(json.dumps(jobs).encode())
        child.stdin.close()
        for _ in jobs:
            head = child.stdout.read(4)
            if len(head) < 4:
                reason = child.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise WeaklibError(f"espeak-ng failed ({reason or 'no reason given'}); reinstall espeakng-loader and "
                                   "try again.")
            yield np.frombuffer(child.stdout.read(2 * int.from_bytes(head, "little")), dtype="<i2")


def _start():
    """Load and initialise the library, and return it with the list that its callback fills."""
    import espeakng_loader
    data = Path(espeakng_loader.get_data_path())
    lib = ctypes.CDLL(espeakng_loader.get_library_path())
    os.chdir(data.parent)  # espeak-ng cuts off data paths beyond 160 characters, so give it "."
    if lib.espeak_Initialize(_SYNCHRONOUS, 0, b".", 0) != SR:
        sys.exit(f"no voice data in {data}")
    lib.espeak_ng_SetRandSeed(ctypes.c_long(1))  # of breath noise; the library seeds it with the time
    chunks = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def collect(wave, n, events):
        if wave and n > 0:
            chunks.append(ctypes.string_at(wave, 2 * n))
        return 0

    lib.espeak_SetSynthCallback(collect)
    lib.collect = collect  # C keeps no reference: without this one the callback is freed
    return lib, chunks


def _serve() -> None:
    """Speak the jobs on stdin to stdout."""
    jobs = json.load(sys.stdin)
    lib, chunks = _start()
    variants = Path("espeak-ng-data", "voices", "!v")
    for job in jobs:
        variant = job["voice"].rpartition("+")[2]  # a missing one would be passed over in silence
        if not (variants / variant).is_file() or lib.espeak_SetVoiceByName(job["voice"].encode()) != 0:
            sys.exit(f"no voice {job['voice']}")
        for parameter, value in (_RATE, job["rate"]), (_PITCH, job["pitch"]), (_RANGE, job["range"]), (_VOLUME, VOLUME):
            lib.espeak_SetParameter(parameter, value, 0)
        text = job["text"].encode() + b"\0"
        lib.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 0, 0, _UTF8, None, None)
        wave = b"".join(chunks)
        chunks.clear()
        sys.stdout.buffer.write((len(wave) // 2).to_bytes(4, "little") + wave)


if __name__ == "__main__":
    _serve()
