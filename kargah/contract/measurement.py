"""What a machine was measured to do: said by the worker that measures, kept and judged by ``kargah.hardware``."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

Precision = Literal["fp32", "bf16", "fp16"]


class GemmRate(BaseModel):
    """Matrix multiplication of a transformer's shapes. ``device``: ``cpu`` or ``cuda:0`` …; ``threads`` 0 on the latter."""

    device: str = "cpu"
    precision: Precision
    threads: int
    gflops: float


class Measurement(BaseModel):
    """``torch``: the version that did the arithmetic. ``busy_cores``: how many cores others used meanwhile, so that one may doubt it.

    ``copied_bytes_per_second`` counts what is read and what is written. ``sync_seconds``: until four kilobytes are safe on the disk.
    """

    model_config = ConfigDict(extra="ignore")  # one that a newer version left is still read

    at: datetime
    seconds: float
    torch: str
    threads: int
    gemm: list[GemmRate]
    copied_bytes_per_second: float
    written_bytes_per_second: float
    sync_seconds: float
    busy_cores: float
    allocator: str | None = None

    def rate(self, precision: Precision, threads: int | None = None, device: str = "cpu") -> float | None:
        """GFLOP/s of that precision, with so many threads or with as many as did best; None where it was not measured."""
        fitting = [
            one.gflops
            for one in self.gemm
            if one.device == device and one.precision == precision and (threads is None or one.threads == threads)
        ]
        return max(fitting, default=None)
