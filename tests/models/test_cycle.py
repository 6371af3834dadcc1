"""The networks of shin2026: their published sizes, parts against independent oracles, and what depends on what."""
from dataclasses import asdict, replace

import pytest
import torch
import torch.nn.functional as F

from weaklib.models import VAE, Decoder, Discriminator, Encoder, cycle
from weaklib.papers.shin2026 import Config

SMALL = {"widths": (8, 8, 16), "strides": ((1, 1), (2, 1)), "n_blocks": 1, "attention": 1, "stem": (4, 4)}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def millions(model) -> float:
    return round(sum(x.numel() for x in model.parameters()) / 1e6, 2)


def test_published_numbers_of_parameters():
    cfg = Config()
    assert [millions(VAE(n, cfg.z_channels, **asdict(cfg.vae_net))) for n in (1, 11)] == [4.80, 4.81]
    nets = [asdict(replace(cfg.generator, attention=first)) for first in (2, 0)]
    assert [millions(Encoder(1, 8, **net)) for net in nets] == [3.72, 3.73]
    assert [millions(Decoder(8, 1, **net)) for net in nets] == [3.49, 3.51]
    assert millions(Discriminator(1, **asdict(cfg.critic_cqt))) == 1.63
    assert millions(Discriminator(8, **asdict(cfg.critic_latent))) == 1.36


@torch.no_grad()
def test_published_and_small_shapes():
    cfg = Config()
    z = Encoder(1, 8, **asdict(replace(cfg.generator, widths=(4,) * 6)))(torch.rand(1, 1, 256, 352))
    assert z.shape == (1, 8, 32, 11)
    assert Decoder(8, 1, **asdict(replace(cfg.generator, widths=(4,) * 6)))(z).shape == (1, 1, 256, 352)
    mean, log_variance = VAE(11, 8, **asdict(replace(cfg.vae_net, widths=(4,) * 5))).encode(torch.rand(1, 11, 256, 88))
    assert mean.shape == log_variance.shape == z.shape
    z = Encoder(1, 8, **SMALL)(torch.rand(2, 1, 64, 88))
    assert z.shape == (2, 8, 8, 22) and Decoder(8, 1, **SMALL)(z).shape == (2, 1, 64, 88)


def test_layers_that_are_compared():
    cfg = Config()
    for critic, n_in, n_scales, n_layers in ((cfg.critic_cqt, 1, 3, 4), (cfg.critic_latent, 8, 2, 6)):
        judgements, features = Discriminator(n_in, **asdict(replace(critic, n_channels=2)))(torch.rand(1, n_in, 64, 88))
        assert len(judgements) == n_scales and [len(scale) for scale in features] == [n_layers] * n_scales


@pytest.mark.parametrize("size", [(2, 2), (1, 2), (4, 2)])
def test_patches_are_those_of_torch_and_come_back(size):
    x = torch.rand(2, 3, 8, 12)
    patches = cycle.Patches(size)(x)
    assert torch.equal(patches, F.unfold(x, size, stride=size).unflatten(2, (8 // size[0], 12 // size[1])))
    assert torch.equal(cycle.Unpatched(size)(patches), x)
    if size == (2, 2):
        assert torch.equal(patches, F.pixel_unshuffle(x, 2))


def test_a_fresh_enlargement_shows_no_grid():
    x = cycle.up(4, 3, (2, 2))(torch.rand(1, 4, 5, 5))
    assert torch.equal(x, F.interpolate(x[..., ::2, ::2], scale_factor=2))


def test_the_norm_gives_channels_an_rms_of_one():
    x = cycle.Norm(6)(5 * torch.randn(2, 6, 3, 4))
    torch.testing.assert_close(x.square().mean(1).sqrt(), torch.ones(2, 3, 4))


def test_attention_pixel_by_pixel():
    layer, x = cycle.Attention(6).double(), torch.randn(2, 6, 3, 4, dtype=torch.double)
    qkv = layer.qkv(layer.norm(x)).flatten(2)
    read = torch.zeros(2, 32, 12, dtype=torch.double)
    for b in range(2):
        for head in range(2):
            q, k, v = (qkv[b, 32 * part + 16 * head:32 * part + 16 * (head + 1)] for part in range(3))
            for pixel in range(12):
                for other in range(12):
                    share = (q[:, pixel].exp() / q[:, pixel].exp().sum() / 4) @ (k[:, other].exp() / k.exp().sum(1))
                    read[b, 16 * head:16 * (head + 1), pixel] += share * v[:, other]
    torch.testing.assert_close(layer(x), x + layer.out(read.unflatten(2, (3, 4))))


def test_items_of_a_batch_do_not_mix():
    """Three calls of the generators do the work of six, because what goes through together stays apart."""
    for model, x in ((Encoder(1, 8, **SMALL), torch.rand(3, 1, 64, 88)),
                     (Decoder(8, 1, **SMALL), torch.rand(3, 8, 8, 22))):
        torch.testing.assert_close(model(x), torch.cat([model(one[None]) for one in x]), rtol=1e-4, atol=1e-5)


def test_coarser_scales_of_a_discriminator_see_means():
    model = Discriminator(1, n_channels=4, most=8, n_layers=2, n_scales=2, kernel=(3, 3), stride=(1, 1))
    x = torch.rand(1, 1, 16, 20)
    pooled = F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 4, 2) / F.avg_pool2d(F.pad(torch.ones_like(x), (1, 1, 1, 1)), 4, 2)
    torch.testing.assert_close(model(x)[0][1], model.scales[1](pooled)[0])
