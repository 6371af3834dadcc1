"""One module per paper: its config with presets, the rows of its tables, how everything is wired, its claims."""
from importlib import import_module

from weaklib.files import WeaklibError

#: In the order of the notebooks.
PAPERS = ("wisdom2020", "hung2021")


def load(key: str):
    """Return the module of a paper: it has `tables_of(preset)`, `CLAIMS`, `PRESETS` and `run`."""
    if key not in PAPERS:
        raise WeaklibError(f"Unknown paper {key!r}; choose one of {', '.join(PAPERS)}.")
    return import_module(f"weaklib.papers.{key}")
