"""Ways to ask for a sound that do without its name: by its level, or its harmonicity, among the sounds around it.

They are the conditions of E. Tzinis, G. Wichern, P. Smaragdis, J. Le Roux, "Optimal condition training for target
source separation", ICASSP 2023.
"""
from __future__ import annotations

import numpy as np
import torch

from weaklib import audio

#: Questions that compare a sound with the others in a mixture, by level and by harmonicity: above them, and below.
QUESTIONS = (("The louder sound", "The softer sound"), ("The more harmonic sound", "The more percussive sound"))
APART = 3.0  # dB, at least, from all others to the louder sound and the like; levels within a class have a spread of 4


def powers(clips) -> list[float]:
    """Mean power of clips (n, time), and of their harmonic and their percussive part.

    The parts are told apart by medians over time and frequency (D. Fitzgerald, DAFx 2010).
    """
    from librosa.decompose import hpss
    size = audio.stft(clips, 1024, 256).abs().numpy()
    return [float(np.square(part).mean()) for part in (size, *hpss(size))]


def traits(power) -> torch.Tensor:
    """Level and harmonicity (..., 2), dB, of powers (..., 3)."""
    power = 10 * power.clamp(min=1e-12).log10()
    return torch.stack([power[..., 0], power[..., 1] - power[..., 2]], -1)


def alike(which, values, pairs) -> torch.Tensor:
    """Questions that should mean the same sounds of a group: by name, by level and by harmonicity.

    Parameters
    ----------
    which : Tensor of int, (..., sound)
        Questions by name.
    values : Tensor, (..., sound, 2)
        What is known of their level and harmonicity, dB.
    pairs : sequence of pair of int
        The numbers of `QUESTIONS`.

    Returns
    -------
    Tensor of int, (..., sound, 3)
        The name again, where a sound is not above or below all others by `APART` dB.
    """
    n, found = which.shape[-1], [which]
    itself = torch.eye(n, dtype=torch.bool)
    for value, (more, less) in zip(values.unbind(-1), pairs):
        beyond = value[..., :, None] - value[..., None, :]
        above, below = (((sign * beyond > APART) | itself).all(-1) & (n > 1) for sign in (1, -1))
        found.append(torch.where(above, more, torch.where(below, less, which)))
    return torch.stack(found, -1)
