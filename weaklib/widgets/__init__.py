"""Widgets: listen and look, in a notebook or in a page of its own, and bring what to listen to.

Contents
--------
Desk, Browser
    Pick a sound, also one of your own, try methods on it, hear, see and compare; pick a sound and hear it.
StemPlayer
    Stems that play together to the sample, with solo, mute, gain, loops and A/B between groups.
show
    The player in a live notebook, pictures and clips in one that is only executed.
static, save_html
    The pictures and clips; the player as a page that needs neither Python nor a network.
Upload
    A file of the reader's own, from the browser to the kernel.

They are imported when first used: `import weaklib.widgets` loads nothing.
"""
from __future__ import annotations

from importlib import import_module

_MODULES = {"Browser": "desk", "Desk": "desk", "Upload": "upload",
            **dict.fromkeys(["StemPlayer", "save_html", "show", "static"], "player")}
__all__ = list(_MODULES)


def __getattr__(name: str):
    if name in _MODULES:
        return getattr(import_module(f"weaklib.widgets.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})  # for completion
