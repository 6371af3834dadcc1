"""Answers to the exercises of the notebooks, checked: not answered yet, right, or look again.

A verdict is one line of plain text that begins with the question, so that a screen reader reads it as it stands and
nothing depends on a colour or a symbol.
"""
from __future__ import annotations

#: An answer that asks for the hint.
HELP = "?"


def check(question: str, answer, expected, *, within: float = 0.0, hint: str = "", because: str = "") -> None:
    """Print whether an answer is right.

    Parameters
    ----------
    question : str
        A few words that the line begins with.
    answer : bool, number, str or sequence of them, array or tensor, optional
        The reader's. None and ``...`` are not answered yet, also within a sequence; ``"?"`` asks for the hint.
    expected : bool, number, str or sequence of them, array or tensor
        The right one. Words are compared without regard to case and to spaces around them.
    within : float
        By how much a number may be off, in its own unit.
    hint : str
        What to think about. Printed when asked for, and after a wrong answer.
    because : str
        The reason, or what was measured. Printed after the right answer only.
    """
    answer, expected = _plain(answer), _plain(expected)
    if _missing(answer):
        verdict = "not answered yet." + (f' The answer "{HELP}" shows a hint.' if hint else "")
    elif answer == HELP:
        verdict = f"here is a hint. {hint}" if hint else "there is no hint."
    elif _same(answer, expected, within):
        verdict = f"right. {because}"
    else:
        verdict = f"look again{_how(answer, expected)}. {hint}"
    print(f"{question}: {verdict.rstrip()}")


def _plain(x):
    """Arrays, tensors and sequences as lists, and their scalars as Python's own."""
    x = x.tolist() if hasattr(x, "tolist") else x
    return [_plain(y) for y in x] if isinstance(x, (list, tuple)) else x


def _missing(answer) -> bool:
    return answer is None or answer is ... or isinstance(answer, list) and any(map(_missing, answer))


def _same(answer, expected, within: float) -> bool:
    if _kind(answer) != _kind(expected):
        return False
    if isinstance(expected, list):
        return all(_same(a, e, within) for a, e in zip(answer, expected, strict=True))
    if isinstance(expected, str):
        return answer.strip().casefold() == expected.casefold()
    return abs(answer - expected) <= within


def _kind(x) -> str:
    """What kind of answer something is, in words."""
    for kind, words in ((bool, "True or False"), (str, "a word in quotes"), ((int, float), "a number")):
        if isinstance(x, kind):
            return words
    return f"a list of {len(x)} values" if isinstance(x, list) else "something else"


def _how(answer, expected) -> str:
    """In which way an answer is wrong, as far as this gives nothing away."""
    if _kind(answer) != _kind(expected):
        return f": the answer is {_kind(expected)}"
    if _kind(expected) == "a number":
        return f": {answer:.5g} is too {'high' if answer > expected else 'low'}"
    return ""
