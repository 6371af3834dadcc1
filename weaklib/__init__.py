"""weaklib: hear, train, measure and check five papers on learning from weak labels.

Conventions
-----------
Waveforms are ``(batch, source, time)``, spectra ``(..., freq, frame)``, rolls ``(..., pitch, frame)``.
Losses and metrics take ``(est, ref)``, in this order; everything after them is keyword-only.
Audio is float32 in [-1, 1], ``sr`` is in Hz, losses and metrics are in dB.

Data flows one way: ``corpora -> models -> losses -> training -> runs -> tables -> notebooks``;
``weaklib.papers.<key>`` is the only place that knows a paper.
"""
import os

__version__ = "0.1.0"

# Threads that wait for each other by spinning stand still as soon as another program wants a core: a step of a training
# on two threads then takes ten times as long. Torch's OpenMP reads this when torch is loaded, so weaklib comes first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

#: Reached lazily, so that importing weaklib loads nothing heavy.
__all__ = ["methods", "separate", "transcribe"]


def __getattr__(name):
    if name in __all__:
        from weaklib import inference
        return getattr(inference, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})  # for completion
