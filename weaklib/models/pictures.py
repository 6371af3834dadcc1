"""A small model of which picture goes with which text: what stands in for CLIP and for a pretrained image network.

Contents
--------
Sight
    Pictures and texts as unit vectors, and maps of what is seen where.
"""
from __future__ import annotations

import torch.nn.functional as F
from torch import nn

from weaklib.models.clap import D_SHARED, D_TEXT, Shared, strided


class Sight(Shared):
    """Pictures and texts as unit vectors, close to each other where a text says what is seen.

    A picture becomes maps of features, their maxima over the picture become its vector: Sound of Pixels conditions on
    the maxima and CLIPSep on the vector.

    Parameters
    ----------
    n_maps : int
    n_channels : int
        Of the first convolution.
    d_text, d_shared : int
        See `weaklib.models.clap.Shared`.
    """

    def __init__(self, n_maps: int = 32, n_channels: int = 16, d_text: int = D_TEXT, d_shared: int = D_SHARED):
        super().__init__(d_text, d_shared)
        self.layers = nn.Sequential(strided([3, n_channels, 2 * n_channels, 4 * n_channels]),
                                    nn.Conv2d(4 * n_channels, n_maps, 3, padding=1))
        self.head = nn.Linear(n_maps, d_shared)

    def maps(self, picture):
        """Pictures ``(batch, 3, height, width)`` in [0, 1] -> features ``(batch, n_maps, height // 8, width // 8)``."""
        return self.layers(2 * picture - 1)

    def features(self, picture):
        """Their maxima over the picture, (batch, n_maps)."""
        return self.maps(picture).amax((2, 3))

    def see(self, picture):
        """Pictures -> unit vectors ``(batch, d_shared)``."""
        return F.normalize(self.head(self.features(picture)), dim=-1)

    def forward(self, picture, pooled):
        """See and read: unit vectors of both, each (batch, d_shared)."""
        return self.see(picture), self.read(pooled)
