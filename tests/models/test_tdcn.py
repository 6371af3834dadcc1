"""The network against the published parameter counts and a plain re-computation of its parts."""
import pytest
import torch
import torch.nn.functional as F

from weaklib import audio
from weaklib.files import WeaklibError
from weaklib.models import TDCN
from weaklib.models.layers import Depthwise
from weaklib.models.tdcn import Block, LearnedBasis, STFTBasis

SMALL = dict(n_channels=8, n_hidden=12, n_repeats=3, n_dilations=2)


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("n_src, plain, skips", [
    (2, 8_672_257, 9_067_015), (4, 8_803_841, 9_198_599), (8, 9_067_009, 9_461_767), (16, 9_593_345, 9_988_103)])
def test_published_sizes(n_src, plain, skips):
    with torch.device("meta"):
        assert count(TDCN(n_src)) == plain
        assert count(TDCN(n_src, skips=True)) == skips


def test_one_block_has_the_published_size_and_scale():
    with torch.device("meta"):
        assert count(Block(0, 256, 512, 1)) == 264_200
    assert Block(5, 8, 12, 1).project.scale.item() == pytest.approx(0.9 ** 5)


def test_ten_seconds_are_7999_frames():
    basis = LearnedBasis(40, 20, 4)
    assert basis(torch.zeros(1, 160_000))[0].shape[-1] == 7_999


@pytest.mark.parametrize("hop, length", [(32, 501), (32, 640), (16, 501), (24, 100), (16, 3)])
def test_inverse_stft_is_the_one_of_audio(hop, length):
    """And so is its gradient: of masks for three outputs of two examples."""
    spectra = audio.stft(torch.randn(2, length, dtype=torch.float64), 64, hop)
    masks = torch.rand(2, 3, *spectra.shape[1:], dtype=torch.float64, requires_grad=True)
    want = audio.istft(masks * spectra[:, None], hop, length)
    found = STFTBasis(64, hop, 1.0).inverse((masks * spectra[:, None]).permute(0, 3, 1, 2), length)
    torch.testing.assert_close(found, want)
    weights = torch.randn_like(want)
    torch.testing.assert_close(*(torch.autograd.grad((x * weights).sum(), masks)[0] for x in (found, want)))


@pytest.mark.parametrize("win, hop", [(40, 20), (40, 16), (10, 10)])
def test_learned_inverse_is_the_transposed_convolution(win, hop):
    basis = LearnedBasis(win, hop, 6)
    x = torch.randn(2, 9, 3, 6)  # (batch, frame, source, bin)
    length = 8 * hop + win - 3
    want = F.conv_transpose1d(x.permute(0, 2, 3, 1).flatten(0, 1), basis.decoder, stride=hop)[:, 0, :length]
    torch.testing.assert_close(basis.inverse(x, length), want.unflatten(0, (2, 3)), rtol=1e-4, atol=1e-5)


def test_block_by_hand():
    """Dense, PReLU, norm over time, depthwise, PReLU, norm, dense, residual: in this order, per example."""
    block = Block(3, 4, 6, 2)
    x = torch.randn(4, 2, 30)
    for b in range(2):
        y = block.expand.scale * block.expand.weight @ x[:, b]
        for act, after in ((block.act1, block.depthwise), (block.act2, None)):
            y = torch.where(y > 0, y, act.slope * y)
            y = (y - y.mean(-1, keepdim=True)) / (y.var(-1, unbiased=False, keepdim=True) + 1e-3).sqrt()
            y = act.gain * y + act.bias
            y = after(y[:, None])[:, 0] if after else y
        want = x[:, b] + block.project.scale * block.project.weight @ y
        torch.testing.assert_close(block(x)[:, b], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("basis", ["learned", "stft"])
@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("consistency", ["predicted", "uniform"])
def test_estimates_add_up_to_the_mixture(basis, skips, consistency):
    model = TDCN(3, basis=basis, skips=skips, consistency=consistency, n_bins=16, **SMALL)
    mix = torch.randn(2, 1_013)  # no multiple of the hop
    torch.testing.assert_close(model(mix).sum(1), mix, rtol=1e-4, atol=1e-5)


def test_without_consistency_estimates_need_not_add_up():
    mix = torch.randn(2, 1_000)
    assert not torch.allclose(TDCN(3, basis="stft", consistency=None, **SMALL)(mix).sum(1), mix, atol=1e-2)


def test_masks_of_one_return_the_mixture_through_an_stft():
    model = TDCN(1, basis="stft", consistency=None, **SMALL)
    with torch.no_grad():
        model.masks.weight.zero_()  # sigmoid(0) = 1/2
    mix = torch.randn(2, 1_000)
    torch.testing.assert_close(model(mix)[:, 0], mix / 2, rtol=1e-4, atol=1e-5)


def test_examples_do_not_see_each_other():
    model = TDCN(2, basis="stft", skips=True, **SMALL)
    mix = torch.randn(3, 800)
    torch.testing.assert_close(model(mix)[1:2], model(mix[1:2]), rtol=1e-4, atol=1e-5)


def test_skips_reach_every_later_repeat():
    model = TDCN(2, skips=True, **SMALL)
    assert sorted(model.skips) == ["0-2", "0-4", "2-4"]
    full = TDCN(2, skips=True)
    assert sorted(full.skips) == sorted(["0-8", "0-16", "0-24", "8-16", "8-24", "16-24"])


def test_receptive_field():
    """Three taps and dilations 1 ... 128 in four repeats: 2,041 frames, here with the norms taken out."""
    x = torch.zeros(1, 1, 4_001, requires_grad=True)
    y = x
    for _ in range(4):
        for d in range(8):
            layer = Depthwise(1, 2 ** d)
            torch.nn.init.ones_(layer.weight)
            y = layer(y)
    y[0, 0, 2_000].backward()
    assert (x.grad != 0).sum() == 2_041


def test_unknown_options_are_refused():
    with pytest.raises(WeaklibError, match="basis"):
        TDCN(2, basis="wavelet")
    with pytest.raises(WeaklibError, match="consistency"):
        TDCN(2, consistency="magsq")


def test_masks_start_undecided():
    """Glorot masks on normalised activations: no output starts dead."""
    est = TDCN(4, basis="stft")(torch.randn(1, 8_000))
    power = est.square().mean(-1)[0]
    assert power.min() > 0.01 * power.max() > 0


def features_by_hand(mix, eps):
    """Magnitudes less their mean, over their standard deviation with `eps` under the root."""
    window = torch.hann_window(64).sqrt()
    magnitude = torch.stft(mix, 64, 32, window=window, pad_mode="constant", return_complex=True).abs() + 1e-8
    flat = magnitude.flatten(1)
    normed = (flat - flat.mean(1, keepdim=True)) / (flat.var(1, correction=0, keepdim=True) + eps).sqrt()
    return normed.view_as(magnitude)


@pytest.mark.parametrize("options, eps", [({}, 1e-5), ({"eps": 1e-3}, 1e-3)])
def test_epsilon_of_the_stft_basis_decides_about_quiet_clips(options, eps):
    """The default is that of the committed results, 1e-3 the published one: they differ in quiet clips only."""
    basis = TDCN(2, basis="stft", win_length=64, hop_length=32, **SMALL, **options).basis
    mix = torch.randn(2, 640)
    for level in (1e-3, 1.0):
        torch.testing.assert_close(basis(level * mix)[1], features_by_hand(level * mix, eps), rtol=1e-4, atol=1e-4)
    quiet, loud = (basis(level * mix)[1].std() for level in (1e-3, 1.0))
    assert (quiet / loud < 0.5) if eps == 1e-3 else (quiet / loud > 0.5)
