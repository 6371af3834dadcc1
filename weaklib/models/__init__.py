"""Networks: TDCN maps a mixture ``(batch, time)`` to estimates ``(batch, source, time)``, TCN frames to frames;
for pictures see `weaklib.models.cycle`, for masks by text `weaklib.models.condunet`."""
from weaklib.models.condunet import CondUNet, TextEncoder
from weaklib.models.cycle import VAE, Decoder, Discriminator, Encoder
from weaklib.models.pool import Pool
from weaklib.models.tcn import TCN
from weaklib.models.tdcn import TDCN

__all__ = ["CondUNet", "Decoder", "Discriminator", "Encoder", "Pool", "TCN", "TDCN", "TextEncoder", "VAE"]
