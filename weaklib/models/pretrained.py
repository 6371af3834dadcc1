"""Networks that somebody else has trained, from a folder on this machine.

Contents
--------
pretrained
    Load one through transformers, without a network and without a word on the screen.
"""
from __future__ import annotations

from contextlib import contextmanager

from weaklib.files import WeaklibError

AGAIN = "download all files of the model into this folder again."


@contextmanager
def _quietly():
    """Keep transformers from showing bars and warnings."""
    from transformers.utils import logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def pretrained(kind: str, folder):
    """Load a model, a config, a tokenizer or a feature extractor that transformers knows.

    Weights that are pickled are read by torch without running what is in them (``weights_only``).

    Parameters
    ----------
    kind : str
        Name of its class, such as ``AutoModel``.
    folder : path-like

    Raises
    ------
    WeaklibError
        If it is not there, damaged, of another kind, or lacks weights, which transformers would make up.
    """
    import torch
    import transformers
    options = {"dtype": torch.float32, "output_loading_info": True} if kind.endswith("Model") else {}
    with _quietly():
        try:
            loaded = getattr(transformers, kind).from_pretrained(str(folder), local_files_only=True, **options)
        except Exception as e:  # of many classes, of several libraries
            raise WeaklibError(f"{folder} cannot be loaded as {kind} ({type(e).__name__}); {AGAIN}") from e
    if not options:
        return loaded
    model, info = loaded
    if info["missing_keys"]:
        raise WeaklibError(f"{folder} lacks weights of {kind}, such as {min(info['missing_keys'])}; {AGAIN}")
    return model.eval()
