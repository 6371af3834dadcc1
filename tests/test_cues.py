"""Questions by level and harmonicity, against cases made by hand."""
import pytest
import torch

from weaklib import audio, cues


def test_a_sound_is_also_asked_for_by_what_it_is_most_or_least_of():
    """By level and by harmonicity, where 3 dB set it apart from all others of its group."""
    pairs, names = ((100, 101), (102, 103)), torch.arange(3)
    values = torch.tensor([[10.0, 20.0], [0.0, 20.0], [5.0, -10.0]])
    assert cues.alike(names, values, pairs).tolist() == [[0, 100, 0], [1, 101, 1], [2, 2, 103]]
    close = torch.tensor([[3.0, 0.0], [0.1, -3.1]])
    assert cues.alike(names[:2], close, pairs).tolist() == [[0, 0, 102], [1, 1, 103]]
    assert cues.alike(names[:1], values[:1], pairs).tolist() == [[0, 0, 0]]
    several = torch.stack([names, names.flip(0)])
    assert cues.alike(several, values.expand(2, 3, 2), pairs)[1].tolist() == [[2, 100, 2], [1, 101, 1], [0, 0, 103]]


def test_level_and_harmonicity_are_ratios_of_powers():
    level, harmonicity = cues.traits(torch.tensor([[100.0, 10.0, 0.1], [1.0, 0.5, 5.0]])).T
    assert level.tolist() == pytest.approx([20, 0], abs=1e-5)
    assert harmonicity.tolist() == pytest.approx([20, -10], abs=1e-5)


def test_a_tone_is_harmonic_and_clicks_are_percussive():
    """And the power of all is that of the spectrogram."""
    time = torch.arange(16384) / 8000
    tone, clicks = torch.sin(2 * torch.pi * 440 * time), torch.zeros(16384)
    clicks[500::2000] = 5.0
    (whole, harmonic, percussive), (all_clicks, in_clicks, of_clicks) = (cues.powers(x[None]) for x in (tone, clicks))
    assert harmonic > 100 * percussive and of_clicks > 100 * in_clicks
    assert [whole, all_clicks] == pytest.approx(
        [audio.stft(x[None], 1024, 256).abs().square().mean().item() for x in (tone, clicks)], rel=1e-5)
