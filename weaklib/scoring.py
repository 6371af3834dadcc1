"""How separators whose outputs have no order are scored, by what a corpus has.

Every function takes a model, (batch, time) -> (batch, source, time), and the items of a split, of which it holds a few
at a time, and returns what a record keeps: metric -> one value per item, or per whatever is averaged.

Contents
--------
voices
    Two speakers.
sounds, fidelity
    One to four sounds, as wisdom2020 and as wisdom2021 has it.
remixed
    Mixtures whose sources nobody knows.
noisy_speech
    Speech in noise.
on
    Scores under the name of a split.
typical, beside
    Which item is an example of them; and how typical one is, in words.
"""
from __future__ import annotations

import numpy as np

from weaklib import metrics
from weaklib.evaluation import each
from weaklib.mixing import pairs


def voices(model, items) -> dict:
    """``si_snri`` (MSi) and ``si_snr`` of the outputs that fit two speakers best, and ``ss``, the SI-SNR of the best
    output when the first speaker talks alone, all in dB. `model` may be None: the unprocessed mixture.
    """
    before = [_one(metrics.si_sdr, item["mix"].expand_as(item["sources"]), item["sources"]) for item in items]
    if model is None:
        return {"si_snri": [0.0] * len(items), "si_snr": before}
    gain = gains(model, items)
    return {"si_snri": gain, "si_snr": [x + y for x, y in zip(before, gain)], "ss": alone(model, items)}


def gains(model, items) -> list[float]:
    """Multi-source SI-SNRi of every item, dB."""
    return [_one(metrics.msi, est, item["sources"], item["mix"]) for item, est in each(model, items)]


def alone(model, items, source: int = 0) -> list[float]:
    """SI-SNR of the best output where one source of each item is all that is heard, dB."""
    heard = each(model, items, take=lambda item: item["sources"][source])
    return [_one(metrics.single_source, est, item["sources"][source]) for item, est in heard]


def sounds(model, items) -> dict:
    """One to four sounds, as wisdom2020 has it: ``msi`` of every mixture of two or more, and ``ss`` of every single
    source, in dB.
    """
    found: dict[str, list] = {"msi": [], "ss": []}
    for item, est in each(model, items):
        if _count(item) > 1:
            found["msi"].append(_one(metrics.msi, est, item["sources"], item["mix"]))
        elif _count(item):
            found["ss"].append(_one(metrics.single_source, est, item["mix"]))
    return {name: values for name, values in found.items() if values}


def fidelity(model, items, rates: bool = True) -> dict:
    """One to four sounds, as wisdom2021 has it, which is that of the FUSS evaluator.

    Returns
    -------
    dict of str to list of float
        ``msi`` of every active pair, ``msi_2``, ``msi_3``, ``msi_4`` of those in mixtures of so many sources, ``1s`` of
        every single source, and ``trf``, one number, in dB. With `rates`, ``over``, ``equal`` and ``under``: 100 for
        every mixture where more outputs than sources are active, as many, or fewer, and 0 for the others, in percent.
    """
    counts: dict[int, list] = {n: [] for n in range(1, 5)}
    found: dict[str, list] = {}
    for item, est in each(model, items):
        n = _count(item)
        if not n:
            continue
        values = metrics.msi_active(est, item["sources"], item["mix"]) if n > 1 else metrics.single_source(
            est, item["mix"])
        counts[n] += [value for value in values.reshape(-1).tolist() if np.isfinite(value)]
        if rates:
            for name, rate in zip(("under", "equal", "over"), metrics.separation_rates(est, item["sources"])):
                found.setdefault(name, []).append(100 * float(rate))
    several = {n: values for n, values in counts.items() if n > 1 and values}
    found |= {"1s": counts[1], "msi": sum(several.values(), [])} | {f"msi_{n}": x for n, x in several.items()}
    if counts[1] and several:
        found["trf"] = [metrics.trf(np.mean(counts[1]), float(np.mean([np.mean(x) for x in several.values()])))]
    return {name: values for name, values in found.items() if values}


def _count(item: dict) -> int:
    """Number of sources that are not silent."""
    return int((item["sources"].abs().amax(-1) > 0).sum())


def remixed(model, items) -> dict:
    """``momi``, dB, of every mixture of two recordings."""
    heard = each(model, pairs(items), take=lambda pair: pair.sum(0))
    return {"momi": [_one(metrics.momi, est, pair, pair.sum(0)) for pair, est in heard]}


def noisy_speech(model, items) -> dict:
    """Speech, source 0, in noise: ``s_plus_n``, the SI-SNRi of the output that is nearest to it, and ``s_only``, the
    SI-SNR of the best output when there is no noise, in dB.
    """
    best = [float(metrics.si_sdri(est, item["sources"][:1].expand_as(est), item["mix"]).max())
            for item, est in each(model, items)]
    return {"s_plus_n": best, "s_only": alone(model, items)}


def on(split: str, scores: dict) -> dict:
    """Scores under the name of a split, as a table looks for them: ``metric/split``."""
    return {f"{metric}/{split}": values for metric, values in scores.items()}


def typical(scores: list[float], *, unit: str = "dB", what: str = "such items") -> tuple[int, str]:
    """Pick the item that scores nearest to the mean, neither the best nor the worst: its index, and `beside`."""
    k = int(np.abs(np.subtract(scores, np.mean(scores))).argmin())
    return k, beside(scores[k], scores, unit=unit, what=what)


def beside(score: float, others: list[float], *, unit: str = "dB", what: str = "such items") -> str:
    """Say how typical one item is: its score, and mean, standard deviation and range of `what`, if there are any."""
    told = f"{score:.1f} {unit}"
    if len(others) > 1:
        told += (f"; {len(others)} {what}: mean {np.mean(others):.1f} {unit}, standard deviation "
                 f"{np.std(others, ddof=1):.1f} {unit}, from {min(others):.1f} to {max(others):.1f} {unit}")
    return told


def _one(metric, *signals) -> float:
    """Score one item; the mean over its sources, where there are several."""
    return float(metric(*(x[None] for x in signals)).mean())
