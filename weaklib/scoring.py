"""How separators whose outputs have no order are scored, by what a corpus has.

Every function takes a model, (batch, time) -> (batch, source, time), and the items of a split, of which it holds a few
at a time, and returns what a record keeps: metric -> one value per item, or per whatever is averaged.

Contents
--------
voices
    Two speakers.
sounds
    One to four sounds.
remixed
    Mixtures whose sources nobody knows.
noisy_speech
    Speech in noise.
on
    Scores under the name of a split.
typical
    Which item is an example of them, and how typical it is.
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
    """Scores of mixtures of a varying number of sources, as FUSS has them.

    Returns
    -------
    dict of str to list of float
        ``msi`` of every mixture of two sources or more (wisdom2020), ``msi_active`` of every active pair and
        ``msi_2``, ``msi_3``, ``msi_4`` of those with so many sources (wisdom2021), ``ss`` of every single source, and
        ``trf``, one number, in dB; ``over``, ``equal`` and ``under``, for every mixture 100 where as many outputs more
        than sources are active, as many, or fewer, in percent.
    """
    found = {name: [] for name in ("msi", "msi_active", "ss", "over", "equal", "under")}
    counts: dict[int, list] = {}
    for item, est in each(model, items):
        n = int((item["sources"].abs().amax(-1) > 0).sum())
        for name, rate in zip(("under", "equal", "over"), metrics.separation_rates(est, item["sources"])):
            found[name].append(100 * float(rate))
        if n == 1:
            found["ss"].append(_one(metrics.single_source, est, item["mix"]))
        elif n > 1:
            found["msi"].append(_one(metrics.msi, est, item["sources"], item["mix"]))
            active = np.asarray(metrics.msi_active(est, item["sources"], item["mix"]))
            counts.setdefault(n, []).extend(active[np.isfinite(active)].tolist())
    found["msi_active"] = sum(counts.values(), [])
    found |= {f"msi_{n}": values for n, values in sorted(counts.items()) if values}
    if found["ss"] and counts:
        means = [np.mean(values) for values in counts.values() if values]
        found["trf"] = [metrics.trf(np.mean(found["ss"]), float(np.mean(means)))]
    return {name: values for name, values in found.items() if values}


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


def typical(scores: list[float]) -> tuple[int, str]:
    """Pick the item that scores nearest to the mean, neither the best nor the worst: its index, and words that compare
    it with the others, in dB.
    """
    mean = float(np.mean(scores))
    k = int(np.abs(np.subtract(scores, mean)).argmin())
    return k, (f"{scores[k]:.1f} dB; {len(scores)} such items: {mean:.1f} dB on average, {min(scores):.1f} to "
               f"{max(scores):.1f} dB")


def _one(metric, *signals) -> float:
    """Score one item; the mean over its sources, where there are several."""
    return float(metric(*(x[None] for x in signals)).mean())
