"""What others see of the machine."""

from datetime import datetime

from pydantic import BaseModel


class MachineSample(BaseModel):
    """The machine at a moment. Rates are over the time since the sample before; ``disk_*`` of space is of the disk that the home is on."""

    at: datetime
    cpu_share: float
    cores: int
    memory_used_bytes: int
    memory_bytes: int
    disk_read_bytes_per_second: float
    disk_written_bytes_per_second: float
    network_received_bytes_per_second: float
    network_sent_bytes_per_second: float
    disk_free_bytes: int
    disk_bytes: int


class MachineHistory(BaseModel):
    """The oldest first. ``host``: whose figures these are, where several machines run jobs."""

    host: str
    every_seconds: float
    samples: list[MachineSample]
