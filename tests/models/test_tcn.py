"""The TCN is Conv-TasNet's: the same numbers as torchaudio's, weight by weight."""
import pytest
import torch
from torchaudio.models.conv_tasnet import MaskGenerator

from weaklib.models import TCN


def oracle(n_in, n_src, n_channels, n_hidden, n_repeats, n_dilations):
    """torchaudio's mask generator with random weights, and a TCN with the same ones."""
    theirs = MaskGenerator(n_in, n_src, 3, n_channels, n_hidden, n_dilations, n_repeats, "sigmoid")
    for x in theirs.parameters():
        x.data += 0.2 * torch.randn_like(x)
    ours = TCN(n_in, n_src * n_in, n_channels=n_channels, n_hidden=n_hidden, n_skip=n_channels, n_repeats=n_repeats,
               n_dilations=n_dilations)
    copy(theirs.input_norm, ours.norm)
    copy(theirs.input_conv, ours.bottleneck)
    for block, mine in zip(theirs.conv_layers, ours.blocks):
        expand, act1, norm1, depthwise, act2, norm2 = block.conv_layers
        copy(expand, mine.expand)
        copy(act1, mine.act1)
        copy(norm1, mine.norm1)
        copy(depthwise, mine.depthwise)
        copy(act2, mine.act2)
        copy(norm2, mine.norm2)
        parts = [block.res_out, block.skip_out] if block.res_out else [block.skip_out]
        mine.project.weight.data = torch.cat([part.weight.data[..., 0] for part in parts])
        mine.project.bias.data = torch.cat([part.bias.data for part in parts])
    copy(theirs.output_prelu, ours.act)
    copy(theirs.output_conv, ours.head)
    return theirs.eval(), ours.eval()


def copy(theirs, ours):
    for name, x in theirs.named_parameters():
        mine = getattr(ours, name)
        mine.data = x.data.reshape(mine.shape)


@pytest.mark.parametrize("frames, level", [(5, 1), (40, 1), (40, 1e-3)])
def test_equals_torchaudio(frames, level):
    """Quiet features, too: the normalisations' epsilon is Conv-TasNet's, not torch's."""
    torch.manual_seed(0)
    theirs, ours = oracle(17, 2, 8, 12, 2, 3)
    assert sum(x.numel() for x in ours.parameters()) == sum(x.numel() for x in theirs.parameters())
    x = level * torch.rand(3, 17, frames)
    torch.testing.assert_close(ours(x).sigmoid().unflatten(1, (2, 17)), theirs(x), rtol=1e-4, atol=1e-5)


def test_published_sizes():
    """Conv-TasNet's best setting on 1025 bins: 5 million parameters, as hung2021's TCN must have about."""
    for n_out, size in ((3 * 88, 4.9), (3 * 1025, 5.3)):
        assert sum(x.numel() for x in TCN(1025, n_out).parameters()) / 1e6 == pytest.approx(size, abs=0.05)


def test_dilations_double_within_each_repeat():
    assert [block.depthwise.dilation for block in TCN(4, 4).blocks] == 3 * [1, 2, 4, 8, 16, 32, 64, 128]
