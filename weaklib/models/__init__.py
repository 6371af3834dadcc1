"""Networks: TDCN maps a mixture ``(batch, time)`` to estimates ``(batch, source, time)``, TCN frames to frames;
for pictures see `weaklib.models.cycle`, for what hears, sees and reads `weaklib.models.clap`, for masks by text
`weaklib.models.condunet`."""
from weaklib.models.clap import Clap, Classifier, attack
from weaklib.models.condunet import CondUNet, TextEncoder
from weaklib.models.cycle import VAE, Decoder, Discriminator, Encoder
from weaklib.models.laion import LaionClap
from weaklib.models.pictures import Sight
from weaklib.models.pool import Pool
from weaklib.models.tcn import TCN
from weaklib.models.tdcn import TDCN

__all__ = ["Clap", "Classifier", "CondUNet", "Decoder", "Discriminator", "Encoder", "LaionClap", "Pool", "Sight", "TCN",
           "TDCN", "TextEncoder", "VAE", "attack"]
