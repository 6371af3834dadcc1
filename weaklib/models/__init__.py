"""Networks. A model maps a mixture ``(batch, time)`` to estimates ``(batch, source, time)``."""
from weaklib.models.tdcn import TDCN

__all__ = ["TDCN"]
