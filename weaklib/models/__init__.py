"""Networks: TDCN maps a mixture ``(batch, time)`` to estimates ``(batch, source, time)``, TCN frames to frames;
for pictures see `weaklib.models.cycle`."""
from weaklib.models.cycle import VAE, Decoder, Discriminator, Encoder
from weaklib.models.pool import Pool
from weaklib.models.tcn import TCN
from weaklib.models.tdcn import TDCN

__all__ = ["Decoder", "Discriminator", "Encoder", "Pool", "TCN", "TDCN", "VAE"]
