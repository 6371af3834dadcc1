"""Is everything here that the kit needs? One line per answer, with what to do where it is not."""
from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata

from weaklib import __version__, files


def check() -> list[tuple[str, bool, str]]:
    """Return (what, whether it is fine, detail or remedy) for everything the notebooks need."""
    return [_versions(), _torch(), _space(), _sounds("voices (espeak-ng)", _word),
            _sounds("instruments (FluidSynth)", _note), _players()]


def report() -> str:
    """The answers of `check` as text."""
    return "\n".join(f"{'ok ' if fine else 'NO '} {what}: {detail}" for what, fine, detail in check())


def _versions():
    return ("weaklib", True,
            f"{__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")


def _torch():
    import torch
    cuda = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if cuda else f"no GPU (not needed), {os.cpu_count()} CPU cores"
    fine = metadata.version("torch").startswith(metadata.version("torchaudio").rsplit(".", 1)[0])
    detail = f"{torch.__version__}, {device}" if fine else ("torch and torchaudio do not match; install the locked "
                                                            "versions")
    return "torch", fine, detail


def _space():
    home = files.home()
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free / 1e9
    fine = os.access(home, os.W_OK) and free > 2
    return "room for corpora and runs", fine, (f"{free:.0f} GB free" if fine else
                                               f"{home} has {free:.1f} GB free or may not be written; set WEAKLIB_HOME")


def _sounds(what: str, make):
    """Whether `make` returns a signal that is not silent."""
    try:
        fine = bool(abs(make()).max() > 0)
    except files.WeaklibError as e:
        return what, False, str(e)
    return what, fine, "heard" if fine else "silent; install the locked versions again"


def _word():
    from weaklib.corpora import espeak, talkers
    return next(espeak.say([{**talkers.speakers("test", 1)[0], "text": "Hello."}]))


def _note():
    from weaklib.corpora import fluid
    from weaklib.midi import instrument
    return fluid.render(instrument([[0.0, 0.2, 60, 90]], program=0), 16000)


def _players():
    import soundfile
    fine = "MP3" in soundfile.available_formats()
    return "players", fine, "MP3" if fine else "soundfile is too old to write MP3; install the locked versions"
