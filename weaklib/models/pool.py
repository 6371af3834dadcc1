"""A pool of earlier outputs, for a game of a generator and its discriminator.

Contents
--------
Pool
    Mix what comes in with what came in before.

References
----------
J.-Y. Zhu et al., "Unpaired image-to-image translation using cycle-consistent adversarial networks", ICCV 2017, after
A. Shrivastava et al., "Learning from simulated and unsupervised images through adversarial training", CVPR 2017.
"""
from __future__ import annotations

import torch
from torch import distributed, nn


class Pool(nn.Module):
    """Earlier outputs of a generator, so that its discriminator does not forget what it was once shown.

    While the pool fills, what comes in goes out. Then each item goes out itself with probability 1/2, and otherwise
    takes the place of a random older one, which goes out. Draws come from torch's global generator, which
    `weaklib.training.fit` seeds at every step. Where several processes train, all hold the same pool, of everyone's
    outputs. In evaluation it lets everything through.

    Parameters
    ----------
    size : int
        How many items it keeps.
    shape : tuple of int
        Shape of an item, without the batch axis.
    """

    def __init__(self, size: int, shape: tuple[int, ...]):
        super().__init__()
        self.register_buffer("items", torch.zeros(size, *shape))
        self.register_buffer("filled", torch.tensor(0))

    @torch.no_grad()
    def forward(self, new):
        """Exchange items, ``(batch, ...)`` for as many; what goes out has no gradient."""
        if not self.training:
            return new
        rank, world = (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)
        out = new.detach().clone()
        if world > 1:  # every n-th item of the whole batch is here: all of it, in its order
            shares = [torch.empty_like(out) for _ in range(world)]
            distributed.all_gather(shares, out.contiguous())
            out = torch.stack(shares, 1).flatten(0, 1)
        kept = (torch.rand(len(out)) < 0.5).tolist()
        places = torch.randint(len(self.items), (len(out),)).tolist()
        for i, (keep, place) in enumerate(zip(kept, places)):
            if self.filled < len(self.items):
                self.items[self.filled] = out[i]
                self.filled += 1
            elif keep:
                old = self.items[place].clone()
                self.items[place] = out[i]
                out[i] = old
        return out[rank::world]
