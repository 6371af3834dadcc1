"""The small audio-text model: what it hears at any level, that it learns, what spoils sounds, and how it is fooled."""
import math

import pytest
import torch
import torch.nn.functional as F

from weaklib import audio, metrics
from weaklib.models import Clap, Classifier, attack
from weaklib.models.clap import HOP, N_FFT, masks, noise

SR, TIME = 8000, 8192
TEXTS = F.normalize(torch.eye(4, 384), dim=1)  # of four sounds


def sounds(kinds, generator):
    """Tones of four pitches, a third apart or more, with a phase, a vibrato and a level of their own."""
    phase, speed, level = (torch.rand(len(kinds), 1, generator=generator) for _ in range(3))
    t = torch.arange(TIME) / SR
    f = 300 * 2 ** (0.8 * torch.tensor(kinds)[:, None])
    return 0.5 * 10 ** (-level) * torch.sin(2 * math.pi * (f * t + phase + 0.5 * torch.sin(8 * (1 + speed) * t)))


@pytest.fixture(scope="module")
def taught():
    """A model that has learned the four."""
    torch.manual_seed(0)
    model, generator = Clap(n_channels=8), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(40):
        heard, read = model(sounds([0, 1, 2, 3] * 3, generator), TEXTS, spoiled=True)
        loss = F.cross_entropy(model.scale * heard @ read.T, torch.arange(4).repeat(3))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval().requires_grad_(False)


def count(*modules) -> int:
    return sum(x.numel() for module in modules for x in module.parameters())


def test_numbers_of_parameters():
    clap = Clap()
    assert count(clap.ear, clap.head) == 189_216
    assert count(clap.text) == 57_536
    assert count(Classifier(21)) == 189_216 - 257 * 64 + 257 * 21


def test_it_recognises_what_it_has_learned(taught):
    heard = taught.hear(sounds([3, 2, 1, 0] * 4, torch.Generator().manual_seed(1)))
    assert (heard @ taught.read(TEXTS).T).argmax(1).tolist() == [3, 2, 1, 0] * 4
    torch.testing.assert_close(heard.norm(dim=1), torch.ones(16))


@pytest.mark.parametrize("gain", [0.1, 30.0])
def test_any_level_is_heard_alike(gain):
    torch.manual_seed(0)
    x = torch.cat([0.1 * torch.randn(1, TIME), sounds([1], None)])
    for model in (Clap(), Classifier(5)):
        listen = getattr(model, "hear", model)
        torch.testing.assert_close(listen(gain * x), listen(x), rtol=0, atol=2e-3)
        assert (listen(x)[0] - listen(x)[1]).abs().max() > 0.1, "and not all sounds"


def test_what_it_hears_does_not_depend_on_the_batch_or_the_mode():
    torch.manual_seed(0)
    model, x = Clap(), torch.randn(3, TIME)
    torch.testing.assert_close(model.train().hear(x)[1:2], model.eval().hear(x[1:2]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("level", [0.0, 1e-9, 1e-5])
def test_silence_has_a_gradient_that_is_finite(level):
    torch.manual_seed(0)
    x = (level * torch.randn(2, TIME)).requires_grad_()
    heard = Clap().hear(x)
    (grad,) = torch.autograd.grad(heard[:, 0].sum(), x)
    assert heard.isfinite().all() and grad.isfinite().all() and grad.abs().max() < 1e5
    assert grad.norm() * x.norm() < 20, "a step of the sound's own size changes what is heard as at any level"


def test_the_gradient_is_that_of_finite_differences():
    torch.manual_seed(0)
    model = Clap().double()
    x, way = torch.randn(1, 4096).double().requires_grad_(), torch.randn(1, 4096).double()
    target = torch.randn(64).double()
    (grad,) = torch.autograd.grad(model.hear(x)[0] @ target, x)
    step = 1e-8  # before a unit crosses zero
    with torch.no_grad():
        slope = (model.hear(x + step * way) - model.hear(x - step * way))[0] @ target / (2 * step)
    torch.testing.assert_close((grad * way).sum(), slope, rtol=1e-4, atol=1e-6)


def test_short_sounds_are_heard_too():
    assert Clap().hear(torch.randn(2, 300)).isfinite().all()


# Spoiled sounds

def test_masks_come_as_often_as_they_say_and_are_smooth():
    found = masks((500, 257, 65), torch.Generator().manual_seed(0))
    whole = found.eq(1).all(2).all(1)
    assert 0.25 < whole.float().mean() < 0.35
    some = found[~whole]
    assert 0 < some.min() and some.max() < 1 and 0.5 < some.mean() < 0.75
    for axis, apart in ((1, 64), (2, 32)):
        assert some.diff(dim=axis).abs().mean() < 0.03
        assert (some - some.roll(apart, axis)).abs().mean() > 0.2


def test_noise_is_as_loud_as_it_says_and_has_no_gradient():
    x = torch.tensor([[1.0], [0.01], [0.0]]).repeat(100, 4096).requires_grad_()
    drawn = noise(x, torch.Generator().manual_seed(0))
    assert not drawn.requires_grad
    loud, soft, silent = drawn.square().mean(1).sqrt().unflatten(0, (100, 3)).unbind(1)
    assert silent.eq(0).all()
    for ratio in (loud, soft / 0.01):
        assert ratio.max() < 0.15 * 1.05 and ratio.mean() == pytest.approx(0.075, abs=0.02)


def test_spoiled_sounds_are_heard_differently_by_every_draw():
    torch.manual_seed(0)
    model, x = Clap(), torch.randn(8, 4096)
    heard = [model.hear(x, True, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(heard[0], heard[1]) and (heard[0] - heard[2]).abs().max() > 0.02
    torch.manual_seed(1)
    assert torch.equal(model.hear(x, True), heard[0]), "without a generator torch's own draws"
    torch.testing.assert_close(model.hear(0.1 * x, True, torch.Generator().manual_seed(1)), heard[0], rtol=0, atol=1e-3)
    generator = torch.Generator().manual_seed(1)
    drawn = noise(x, generator)
    mask = masks((8, 257, 17), generator)
    missing = audio.istft(mask * audio.stft(x + drawn, N_FFT, HOP), HOP, 4096)  # as a separator would make it
    assert (heard[0] - model.hear(missing)).norm() < 0.5 * (model.hear(x) - heard[0]).norm()


# Fooled

def test_masks_that_follow_the_critic_please_it_more_than_the_source(taught):
    generator = torch.Generator().manual_seed(5)
    soft, loud = sounds([0], generator), sounds([2], generator)
    mix, texts = soft + loud + 0.02 * torch.randn(1, TIME, generator=generator), taught.read(TEXTS)
    for kind in (2, 3):  # the louder of the two, and what is not there
        mask, est, loss = attack(taught, mix, texts[kind:kind + 1], steps=40, lr=0.3)
        torch.testing.assert_close(loss[0], 1 - taught.hear(mix / 2) @ texts[kind], rtol=0, atol=1e-3)
        torch.testing.assert_close(loss[-1], 1 - taught.hear(est) @ texts[kind], rtol=0, atol=1e-5)
        assert loss.shape == (41, 1) and loss[-1] < 1 - taught.hear(loud) @ texts[2]
        assert metrics.si_sdr(est, loud) < metrics.si_sdr(mix, loud) - 5, "and separates nothing"
        assert mask.min() > 0 and mask.max() < 1
        torch.testing.assert_close(est, audio.istft(mask * audio.stft(mix, N_FFT, HOP), HOP, TIME))


def test_items_of_a_batch_are_attacked_apart(taught):
    mix, text = sounds([0, 1], torch.Generator().manual_seed(6)), taught.read(TEXTS)[[2, 3]]
    _, both, _ = attack(taught, mix, text, steps=3)
    _, one, _ = attack(taught, mix[1:], text[1:], steps=3)
    torch.testing.assert_close(both[1:], one, rtol=0, atol=1e-4)
