"""The U-Net of mahmud2024: its published sizes, its layers written out, what hears the text, and that it learns."""
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from weaklib.files import WeaklibError
from weaklib.models import CondUNet, TextEncoder, condunet

SMALL = {"n_levels": 4, "n_channels": 8, "most": 16, "n_features": 6, "d_token": 10, "d_embedding": 5, "n_heads": 2}
VANILLA = {"res": 0, "self_attention": 0, "cross_attention": 0}
VARIANTS = [{}, VANILLA, {"res": 2, "self_attention": 2}, {"self_attention": 0, "cross_attention": 2},
            {"film": "affine"}, {"film": "add", "synthesizer": False, "cross_attention": 0}, {"film": "concat"},
            {"d_embedding": 0, "cross_attention": 0, "n_masks": 3}, {"n_levels": 2}]
LENGTHS = torch.tensor([4, 7, 1])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def inputs(batch=3, freq=32, frame=16, n_tokens=7):
    """A spectrogram, tokens, and an embedding, in double precision."""
    return (torch.rand(batch, 1, freq, frame).double(), torch.randn(batch, n_tokens, 10).double(),
            torch.randn(batch, 5).double())


def small(**changes):
    """A small network in double precision, with gains and biases that are not what they begin with."""
    net = CondUNet(**{**SMALL, **changes}).double()
    for x in net.parameters():
        x.data += 0.1 * torch.randn_like(x)
    return net


# Sizes

@pytest.mark.parametrize("res, self_attention, cross_attention, size", [
    (0, 0, 0, 30.28), (0, 0, 1, 37.37), (0, 0, 2, 44.46), (0, 1, 0, 36.58), (0, 2, 0, 42.89), (1, 0, 0, 74.28),
    (2, 0, 0, 118.27), (0, 1, 1, 43.68), (0, 2, 2, 57.09), (1, 1, 1, 87.68), (1, 0, 1, 81.37)])
def test_numbers_of_parameters_of_table_7(res, self_attention, cross_attention, size):
    """Of the released code: without the synthesizer, with a layer normalisation per pair of attentions without use."""
    with torch.device("meta"):
        net = CondUNet(res=res, self_attention=self_attention, cross_attention=cross_attention)
    synthesizer = 512 * 32 + 32 + 32 + 1
    unused = 3 * min(self_attention, cross_attention) * 2 * 512
    n = sum(x.numel() for x in net.parameters()) - synthesizer + unused
    assert math.floor(n / 1e4 + 0.5) / 100 == size


def test_published_shapes():
    """Attention at 16 x 8, 8 x 4 and 4 x 2 pixels, 512 channels each; 32 features."""
    with torch.device("meta"):
        net, seen = CondUNet(), []
        for module in net.modules():
            if isinstance(module, condunet.Attention):
                module.register_forward_hook(lambda _, given, out: seen.append(tuple(out.shape)))
        out = net(torch.empty(1, 1, 512, 256), torch.empty(1, 77, 768), torch.empty(1, 512))
    assert out.shape == (1, 1, 512, 256) and net.masks.conv.out_channels == 32
    assert seen == [(1, 512, *size) for size in ((16, 8), (8, 4), (4, 2)) for _ in "sc"]


# Layers

def norm(x, layer):
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    gain = layer.weight / (variance + 1e-5).sqrt()
    return x * gain[:, None, None] + (layer.bias - mean * gain)[:, None, None]


def rectified(x, slope):
    return torch.where(x > 0, x, slope * x)


def residual(x, block):
    convs, norms = ([layer for layer in block if isinstance(layer, kind)] for kind in (nn.Conv2d, nn.BatchNorm2d))
    y = x
    for k, (conv, bn) in enumerate(zip(convs, norms, strict=True)):
        y = norm(conv(y), bn)
        y = rectified(y, 0.2) if k + 1 < len(convs) else y
    return rectified(x + y, 0.2) if convs else x


def stage(x, block, embedding, slope):
    x = norm(block.conv(x), block.norm)
    if block.film is not None:
        film, n = block.film(embedding)[..., None, None], x.shape[1]
        x = film[:, :n] + x * (1 + film[:, n:] if film.shape[1] > n else 1)
    return rectified(x, slope)


def attended(x, block, tokens, lengths):
    """Text by text, head by head, pixel by pixel."""
    out = torch.empty_like(x)
    for i, (picture, text, length) in enumerate(zip(x, tokens, lengths)):
        pixels = picture.flatten(1).T
        normed = block.norm(pixels)
        read = block.key_value(text[:length] if block.crosses else normed)
        keys, values = read.chunk(2, -1)
        d = x.shape[1] // block.n_heads
        heads = []
        for query, key, value in zip(*(y.split(d, -1) for y in (block.query(normed), keys, values))):
            shares = [(q @ key.T / d ** 0.5).exp() for q in query]
            heads.append(torch.stack([share @ value / share.sum() for share in shares]))
        pixels = pixels + block.out(torch.cat(heads, -1))
        out[i] = (pixels + block.mlp(pixels)).T.reshape(picture.shape)
    return out


def plain(net, x, tokens, embedding, lengths):
    """The network from the outside in, all of its features at full resolution, with the statistics of the batch."""
    def unet(k, x):
        down, up = net.downs[k], [*net.ups, net.masks][-1 - k]
        x = residual(stage(x, down.stage, embedding, 0.2), down.residual)
        for block in down.attentions:
            x = attended(x, block, tokens, lengths)
        if k + 1 < len(net.downs):
            x = torch.cat([x, unet(k + 1, x)], 1)
        elif net.film == "concat":
            x = torch.cat([x, embedding[..., None, None] * torch.ones_like(x[:, :1])], 1)
        x = residual(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True), up.residual)
        return stage(x, up.stage, embedding, 0) if k else up.conv(x)

    features, masks = unet(0, norm(x, net.norm)), net.masks
    if masks.synthesizer is None:
        return F.conv2d(features, masks.weight[..., None, None], masks.bias)
    weights = masks.weight / (1 + (-masks.synthesizer(embedding)).exp())
    return torch.stack([(w[:, None, None] * y).sum(0, keepdim=True) + masks.bias for w, y in zip(weights, features)])


@pytest.mark.parametrize("changes", VARIANTS)
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_layer_by_layer(changes, lengths):
    """Values, and the gradient of every parameter."""
    net, given = small(**changes), inputs()
    cotangent = torch.randn(3, changes.get("n_masks", 1), 32, 16).double()
    ours, theirs = net(*given, lengths), plain(net, *given, [7] * 3 if lengths is None else lengths)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    parameters = dict(net.named_parameters())
    got, want = (torch.autograd.grad((out * cotangent).sum(), parameters.values()) for out in (ours, theirs))
    for name, a, b in zip(parameters, got, want):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8, msg=lambda text, name=name: f"{name}: {text}")


def test_all_texts_begin_with_the_same_mask():
    x, tokens, embedding = (y.float() for y in inputs())
    net = CondUNet(**{**SMALL, "cross_attention": 0}).eval()
    with torch.no_grad():
        torch.testing.assert_close(net(x, None, embedding), net(x, None, -embedding), rtol=0, atol=1e-2)


# What hears what

@torch.no_grad()
def test_padding_is_not_heard_unless_it_is_let():
    net, (x, tokens, embedding) = small().eval(), inputs()
    other = tokens.clone()
    for text, length in zip(other, LENGTHS):
        text[length:] = 100 * torch.randn_like(text[length:])
    torch.testing.assert_close(net(x, other, embedding, LENGTHS), net(x, tokens, embedding, LENGTHS))
    changed = (net(x, other, embedding) - net(x, tokens, embedding)).abs().amax((1, 2, 3))
    assert (changed > 1e-6).tolist() == [True, False, True]  # the second has no padding
    alone = net(x[:1], tokens[:1, :4], embedding[:1])
    torch.testing.assert_close(net(x, tokens, embedding, LENGTHS)[:1], alone)


@torch.no_grad()
@pytest.mark.parametrize("changes, hears", [
    ({}, "tokens embedding"), ({"cross_attention": 0}, "embedding"), (VANILLA, "embedding"),
    ({**VANILLA, "film": "affine", "synthesizer": False}, "embedding"),
    ({**VANILLA, "film": "add", "synthesizer": False}, "embedding"),
    ({**VANILLA, "film": "concat", "synthesizer": False}, "embedding"), ({"synthesizer": False}, "tokens"),
    ({"d_embedding": 0}, "tokens"), ({"d_embedding": 0, "cross_attention": 0}, "")])
def test_what_a_network_hears_of_the_text(changes, hears):
    """It asks for that and ignores all else."""
    net, (x, tokens, embedding) = small(**changes).eval(), inputs()
    before = net(x, tokens, embedding)
    for name, given in (("tokens", (x, -tokens, embedding)), ("embedding", (x, tokens, -embedding))):
        assert (net(*given) - before).abs().max().gt(1e-6) == (name in hears)
    if "tokens" not in hears:
        assert torch.equal(net(x, None, embedding), before)
    if "embedding" not in hears:
        assert torch.equal(net(x, tokens), before)


def test_film_moves_what_it_should():
    """`add` every level, `affine` the lowest three, and that with a scale."""
    n_film = {film: [(down.stage.film.out_features // down.stage.conv.out_channels if down.stage.film else 0)
                     for down in CondUNet(**{**SMALL, "n_levels": 5, "film": film}).downs]
              for film in ("", "affine", "add", "concat")}
    assert n_film == {"": [0] * 5, "affine": [0, 0, 2, 2, 2], "add": [1] * 5, "concat": [0] * 5}


@torch.no_grad()
def test_prompts_of_a_batch_meet_in_the_batch_normalisation_only():
    net, given = small(film="affine"), inputs()
    net.train()
    apart = torch.cat([net(*(y[k:k + 1] for y in given)) for k in range(3)])
    assert (net(*given) - apart).abs().max() > 1e-3
    net.eval()
    apart = torch.cat([net(*(y[k:k + 1] for y in given)) for k in range(3)])
    torch.testing.assert_close(net(*given), apart)


@torch.no_grad()
@pytest.mark.parametrize("size", [(31, 16), (32, 17), (1, 1), (40, 50)])
def test_any_size_is_as_if_silence_followed(size):
    net, (_, tokens, embedding) = small().eval(), inputs()
    x = torch.rand(3, 1, *size).double()
    silence = torch.zeros(3, 1, *(16 * math.ceil(n / 16) for n in size)).double()
    silence[:, :, :size[0], :size[1]] = x
    got = net(x, tokens, embedding)
    assert got.shape == x.shape and torch.equal(got, net(silence, tokens, embedding)[:, :, :size[0], :size[1]])


# Learning

@pytest.mark.parametrize("changes", [
    {}, {"synthesizer": False}, {**VANILLA, "film": "add", "synthesizer": False}])
def test_it_learns_to_mask_what_the_text_asks_for(changes):
    """The lower or the upper half of noise: who does not listen stays at log 2 = 0.69."""
    net = CondUNet(**{**SMALL, "n_levels": 3, **changes})
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    words, vectors = torch.randn(2, 4, 10), torch.randn(2, 5)
    asked = torch.arange(8) % 2
    wanted = (torch.arange(16)[:, None] // 8 == asked[:, None, None, None]).float().expand(8, 1, 16, 16)
    for _ in range(20):
        loss = F.binary_cross_entropy_with_logits(net(torch.rand(8, 1, 16, 16), words[asked], vectors[asked]), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.2


@pytest.mark.parametrize("call, message", [
    (lambda: CondUNet(film="multiply"), "'multiply'"), (lambda: CondUNet(n_levels=1), "two levels"),
    (lambda: CondUNet(film="add", d_embedding=0), "embedding"), (lambda: CondUNet(n_masks=2), "synthesizer=False"),
    (lambda: CondUNet(n_levels=3, n_channels=12, most=48), r"8 heads.*\[12, 24, 48\]"),
    (lambda: small()(*inputs()[:1], embedding=inputs()[2]), "tokens"), (lambda: small()(*inputs()[:2]), "embedding"),
    (lambda: small()(inputs()[0][:, 0], *inputs()[1:]), r"\(3, 32, 16\)")])
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(WeaklibError, match=message):
        call()


# The encoder of texts

@torch.no_grad()
def test_a_text_is_read_alike_alone_and_padded():
    model, tokens = TextEncoder(6, d_token=10, width=16), torch.randn(3, 7, 10)
    for p in model.layers.parameters():  # which begin by adding nothing
        p.normal_(std=0.5)
    together = model(tokens, LENGTHS)
    for k, length in enumerate(LENGTHS):
        torch.testing.assert_close(together[k:k + 1], model(tokens[k:k + 1, :length]))
    assert not torch.allclose(together[0], model(tokens)[0], atol=1e-3)


def test_it_learns_which_text_is_which():
    """From the one token in seven that tells, in every layer."""
    tokens = torch.randn(1, 7, 10).repeat(8, 1, 1)
    tokens[::2, 3] = torch.randn(10)
    model = nn.Sequential(TextEncoder(8, d_token=10, width=16), nn.Linear(8, 1))
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(40):
        loss = F.mse_loss(model(tokens)[:, 0], torch.arange(8) % 2.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.05
    assert all(x.grad.abs().sum() > 0 for name, x in model.named_parameters() if "bias" not in name)
