"""Networks: TDCN maps a mixture ``(batch, time)`` to estimates ``(batch, source, time)``, TCN frames to frames."""
from weaklib.models.pool import Pool
from weaklib.models.tcn import TCN
from weaklib.models.tdcn import TDCN

__all__ = ["Pool", "TCN", "TDCN"]
