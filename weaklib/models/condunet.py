"""CondUNet: the U-Net of mahmud2024, which masks what a text asks for, and a text encoder that learns along.

The *Head*, the upper levels, sees the spectrogram only. In the *Modulator*, the three lowest levels, pixels attend to
each other and to the tokens of the text. 32 features per pixel come out, and the embedding of the text weighs them into
the logits of a mask. The switches make the rows of the paper's Table 7 and the networks of its baselines.

Contents
--------
CondUNet
    A spectrogram, and the tokens and the embedding of a text -> the logits of a mask.
TextEncoder
    Tokens -> an embedding.

References
----------
mahmud2024, Appendix C and Tables 4 and 7; H. Zhao et al., "The sound of pixels", ECCV 2018, for the features that are
weighed; E. Perez et al., "FiLM: visual reasoning with a general conditioning layer", AAAI 2018; X. Liu et al.,
"Separate what you describe: language-queried audio source separation" (LASS-Net), Interspeech 2022; R. Gao and
K. Grauman, "Co-separating sounds of visual objects", ICCV 2019.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from weaklib.files import WeaklibError

MODULATOR = 3  # levels, from the bottom, that hear the text
SLOPE = 0.2  # of the leaky ReLU
FILM = {"": 0, "affine": 2, "add": 1, "concat": 0}  # numbers that each channel is modulated with


def heard(lengths, n_tokens: int):
    """Which of the tokens are no padding, boolean (batch, token)."""
    return torch.arange(n_tokens, device=lengths.device) < lengths[:, None]


def doubled(x):
    """(batch, channel, freq, frame) with both axes doubled: bilinear, the corners stay where they are."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


class Residual(nn.Sequential):
    """3 x 3 convolutions with batch normalisation and leaky ReLU, plus the input; or, with none of them, the input."""

    def __init__(self, n_channels: int, n_convs: int):
        layers = [layer for _ in range(n_convs) for layer in (
            nn.Conv2d(n_channels, n_channels, 3, padding=1), nn.BatchNorm2d(n_channels), nn.LeakyReLU(SLOPE, True))]
        super().__init__(*layers[:-1])  # the last ReLU comes after the sum

    def forward(self, x):
        return F.leaky_relu_(super().forward(x).add_(x), SLOPE) if self else x


class Stage(nn.Module):
    """A convolution, batch normalisation, FiLM if asked for, and a leaky ReLU.

    FiLM shifts each channel by a number from the embedding, and with two scales it first.
    """

    def __init__(self, conv: nn.Conv2d, slope: float, d_embedding: int, n_film: int):
        super().__init__()
        self.conv, self.norm, self.slope = conv, nn.BatchNorm2d(conv.out_channels), slope
        self.film = nn.Linear(d_embedding, n_film * conv.out_channels) if n_film else None

    def forward(self, x, embedding):
        x = self.norm(self.conv(x))
        if self.film is not None:
            shift, *scale = self.film(embedding)[..., None, None].split(x.shape[1], 1)
            x = x * (1 + scale[0]) + shift if scale else x + shift
        return F.leaky_relu_(x, self.slope)


class Attention(nn.Module):
    """Pixels attend to each other, or to tokens if these have a width, and go through an MLP; sizes as in Table 4.

    Both parts are normalised before, and added to what comes in.
    """

    def __init__(self, n_channels: int, n_heads: int, d_token: int | None = None):
        super().__init__()
        self.n_heads, self.crosses = n_heads, d_token is not None
        self.norm = nn.LayerNorm(n_channels)
        self.query = nn.Linear(n_channels, n_channels)
        self.key_value = nn.Linear(d_token if self.crosses else n_channels, 2 * n_channels)
        self.out = nn.Linear(n_channels, n_channels)
        self.mlp = nn.Sequential(nn.LayerNorm(n_channels), nn.Linear(n_channels, 2 * n_channels), nn.GELU(),
                                 nn.Linear(2 * n_channels, n_channels))

    def forward(self, x, tokens, mask):
        """(batch, n_channels, freq, frame) to the same, with `tokens` of which those in `mask` are heard."""
        pixels = x.flatten(2).mT  # (batch, pixel, n_channels)
        normed = self.norm(pixels)
        query = self.query(normed).unflatten(2, (self.n_heads, -1)).transpose(1, 2)
        key, value = self.key_value(tokens if self.crosses else normed).unflatten(2, (2, self.n_heads, -1)).permute(
            2, 0, 3, 1, 4)
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=mask if self.crosses else None)
        pixels = pixels + self.out(read.transpose(1, 2).flatten(2))
        pixels = pixels + self.mlp(pixels)
        return pixels.mT.unflatten(2, x.shape[2:])


class Down(nn.Module):
    """A level of the encoder: what halves the resolution, a residual block, and attention."""

    def __init__(self, stage: Stage, residual: Residual, attentions):
        super().__init__()
        self.stage, self.residual, self.attentions = stage, residual, nn.ModuleList(attentions)

    def forward(self, x, embedding, tokens, mask):
        x = self.residual(self.stage(x, embedding))
        for attention in self.attentions:
            x = attention(x, tokens, mask)
        return x


class Up(nn.Module):
    """A level of the decoder: a residual block at twice the resolution, and a convolution to fewer channels."""

    def __init__(self, residual: Residual, stage: Stage):
        super().__init__()
        self.residual, self.stage = residual, stage

    def forward(self, x, embedding):
        return self.stage(self.residual(doubled(x)), embedding)


class Masks(nn.Module):
    """The last level of the decoder: a convolution to features, and the weights that these have in each mask.

    As the synthesizer it takes them from the embedding: sigmoids of a linear layer, each with a gain. Else they are
    learned, as those of a 1 x 1 convolution.
    """

    def __init__(self, residual: Residual, conv: nn.Conv2d, n_masks: int, d_embedding: int):
        super().__init__()
        n_features = conv.out_channels
        self.residual, self.conv = residual, conv
        self.synthesizer = nn.Linear(d_embedding, n_features) if d_embedding else None
        if self.synthesizer:
            nn.init.normal_(self.synthesizer.weight, std=1e-4)  # as published: all texts begin with the same mask
            self.weight, self.bias = nn.Parameter(torch.ones(1, n_features)), nn.Parameter(torch.zeros(1))
        else:
            mix = nn.Linear(n_features, n_masks)
            self.weight, self.bias = mix.weight, mix.bias

    def forward(self, x, embedding):
        """(batch, n_in, freq, frame) to logits (batch, mask, 2 freq, 2 frame)."""
        weight = self.weight.expand(len(x), -1, -1)  # (batch, mask, feature)
        if self.synthesizer:
            weight = weight * self.synthesizer(embedding).sigmoid()[:, None]
        # Features would only be weighed and added up, so their kernels are instead, which is far cheaper. What is left,
        # a convolution to one channel per mask, is a matrix product for its nine taps, and these are doubled rather
        # than what they are taken of, where nothing but linear steps lies between.
        kernel = (weight @ self.conv.weight.flatten(1)).unflatten(2, (-1, 9)).flip(3)  # (batch, mask, n_in, tap)
        if self.residual:
            x = self.residual(doubled(x))
        taps = (kernel.mT.flatten(1, 2) @ x.flatten(2)).unflatten(2, x.shape[2:])  # (batch, mask and tap, freq, frame)
        if not self.residual:
            taps = doubled(taps)
        logits = F.fold(taps.flatten(2), taps.shape[2:], 3, padding=1)
        return logits + (weight @ self.conv.bias + self.bias)[..., None, None]


class CondUNet(nn.Module):
    """A U-Net that estimates masks of a spectrogram, of what a text asks for.

    Parameters
    ----------
    n_levels : int
        How often the resolution is halved. The lowest three levels are the Modulator, those above the Head.
    n_channels, most : int
        Of the first level; each further one has twice as many, at most `most`. Multiples of 16 are fastest on a CPU.
    n_features : int
        Per pixel, before they are weighed.
    d_token, d_embedding : int
        Widths of the tokens and of the embedding of a text; 0: there is no embedding.
    n_heads : int
        Of the attention.
    res : int
        Convolutions of each residual block, of which a level has one on its way down and one on its way up; 0: no such
        block, but the one convolution that changes the resolution.
    self_attention, cross_attention : int
        Blocks of each at every level of the Modulator, by turns: pixels to each other, pixels to tokens.
    film : {"", "affine", "add", "concat"}
        How the embedding comes in beside the weights of the features: not at all; as scale and shift of every channel
        of the Modulator, which no paper has but small networks learn fast from; as shift of all channels, by which
        LASS-Net is conditioned; or put beside the channels of every pixel at the bottom, as in CoSep.
    n_masks : int
        Without a synthesizer.
    synthesizer : bool
        Whether the embedding, if there is one, weighs the features. LASS-Net and CoSep do without.

    Raises
    ------
    WeaklibError
        If sizes and switches do not go together.

    Notes
    -----
    The layers are those of the released code, except for a layer normalisation of each pair of attentions that it owns
    and does not use. Counted with these and without the synthesizer, which has 16,449 parameters, they are as many as
    Table 7 says within 2 %, but in the last row: the paper's 81.4 M are those of ``self_attention=0``, not 87.7 M.
    """

    def __init__(self, n_levels: int = 7, n_channels: int = 64, most: int = 512, n_features: int = 32,
                 d_token: int = 768, d_embedding: int = 512, n_heads: int = 8, res: int = 1, self_attention: int = 1,
                 cross_attention: int = 1, film: str = "", n_masks: int = 1, synthesizer: bool = True):
        super().__init__()
        widths = [min(n_channels * 2 ** k, most) for k in range(n_levels)]
        _check(widths, d_embedding, n_heads if self_attention or cross_attention else 1, film, n_masks, synthesizer)
        self.film, self.crosses, self.embeds = film, cross_attention > 0, bool(film or d_embedding and synthesizer)
        self.norm, self.downs, self.ups = nn.BatchNorm2d(1), nn.ModuleList(), nn.ModuleList()
        for k, (a, b) in enumerate(zip([1, *widths], widths)):
            below = n_levels - 1 - k
            n_film = FILM[film] if film == "add" or below < MODULATOR else 0
            n_blocks = max(self_attention, cross_attention) if below < MODULATOR else 0
            self.downs.append(Down(
                Stage(nn.Conv2d(a, b, 4, 2, 1, bias=False), SLOPE, d_embedding, n_film), Residual(b, res),
                [Attention(b, n_heads, width) for i in range(n_blocks)
                 for width, n in ((None, self_attention), (d_token, cross_attention)) if i < n]))
            inner = 2 * b if below else b + d_embedding * (film == "concat")  # with what was skipped
            if k:
                self.ups.insert(0, Up(Residual(inner, res), Stage(nn.Conv2d(inner, a, 3, padding=1, bias=False), 0.0,
                                                                  d_embedding, n_film)))
            else:
                self.masks = Masks(Residual(inner, res), nn.Conv2d(inner, n_features, 3, padding=1), n_masks,
                                   d_embedding * synthesizer)
        self.to(memory_format=torch.channels_last)

    def forward(self, x, tokens=None, embedding=None, lengths=None):
        """Estimate masks.

        Parameters
        ----------
        x : Tensor, shape=(batch, 1, freq, frame)
            ``log(1 + magnitude)``. Sizes that cannot be halved `n_levels` times are padded with silence, and cut again.
        tokens : Tensor, shape=(batch, token, d_token), optional
            Asked for by the cross-attention, without it ignored. A picture's embedding is one token.
        embedding : Tensor, shape=(batch, d_embedding), optional
            Asked for by the synthesizer and by FiLM.
        lengths : Tensor, shape=(batch,), int, optional
            How many of the tokens are heard, at least one; the rest is padding. Without it all of them are, as in the
            released code.

        Returns
        -------
        logits : Tensor, shape=(batch, n_masks, freq, frame)
            Of which the masks are the sigmoids.

        Raises
        ------
        WeaklibError
            If what is asked for is missing, or `x` is no spectrogram.
        """
        if x.ndim != 4 or x.shape[1] != 1:
            raise WeaklibError(f"x {tuple(x.shape)} must be (batch, 1, freq, frame).")
        for name, given, needed in (("tokens", tokens, self.crosses), ("embedding", embedding, self.embeds)):
            if needed and given is None:
                raise WeaklibError(f"This CondUNet needs the {name} of the texts; give it {name}.")
        freq, frame = x.shape[2:]
        whole = 2 ** len(self.downs)
        mask = None if lengths is None or not self.crosses else heard(lengths, tokens.shape[1])[:, None, None]
        x = self.norm(F.pad(x, (0, -frame % whole, 0, -freq % whole)))
        skips = []
        for down in self.downs:
            x = down(x, embedding, tokens, mask)
            skips.append(x)
        skips.pop()
        if self.film == "concat":
            x = torch.cat([x, embedding[..., None, None].expand(-1, -1, *x.shape[2:])], 1)
        for up in self.ups:
            x = torch.cat([skips.pop(), up(x, embedding)], 1)
        return self.masks(x, embedding)[..., :freq, :frame]


def _check(widths, d_embedding, n_heads, film, n_masks, synthesizer):
    """Raise a WeaklibError unless sizes and switches go together."""
    if film not in FILM:
        raise WeaklibError(f"film is {film!r}; choose '', 'affine', 'add' or 'concat'.")
    if len(widths) < 2:
        raise WeaklibError(f"A CondUNet has at least two levels; n_levels is {len(widths)}.")
    if film and not d_embedding:
        raise WeaklibError(f"film={film!r} needs an embedding; d_embedding is 0.")
    if n_masks > 1 and d_embedding and synthesizer:
        raise WeaklibError(f"The synthesizer makes one mask of a text; for {n_masks} set synthesizer=False.")
    if any(width % n_heads for width in widths[-MODULATOR:]):
        raise WeaklibError(f"{n_heads} heads cannot share the channels of the lowest levels, {widths[-MODULATOR:]}; "
                           "choose n_heads or n_channels and most so that they can.")


class TextEncoder(nn.Module):
    """A small transformer over frozen token vectors: the text side that LASS-Net trains along with its U-Net.

    LASS-Net fine-tunes a small BERT, whose first token goes through a linear layer and a ReLU. Here it is the mean over
    tokens, which know their places already; and the layers begin by adding nothing, so that the embedding begins with
    what the language model says.

    Parameters
    ----------
    d_embedding : int
        Width of the embedding.
    d_token : int
        Width of the token vectors.
    width, n_layers, n_heads : int
        Of the transformer.
    """

    def __init__(self, d_embedding: int, d_token: int = 384, width: int = 128, n_layers: int = 2, n_heads: int = 4):
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, n_heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True,
                                           norm_first=True)
        self.first = nn.Linear(d_token, width)
        self.layers = nn.TransformerEncoder(layer, n_layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.last = nn.Linear(width, d_embedding)
        for layer in self.layers.layers:
            for one in (layer.self_attn.out_proj, layer.linear2):
                nn.init.zeros_(one.weight)
                nn.init.zeros_(one.bias)

    def forward(self, tokens, lengths=None):
        """Tokens (batch, token, d_token), of which `lengths` (batch,) are no padding, to (batch, d_embedding)."""
        mask = torch.ones_like(tokens[..., 0], dtype=torch.bool) if lengths is None else heard(lengths, tokens.shape[1])
        x = self.layers(self.first(tokens), src_key_padding_mask=~mask)
        return F.relu(self.last((x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)))
