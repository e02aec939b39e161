"""What others see of this machine."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from kargah.contract.measurement import Measurement


class CpuOut(BaseModel):
    """``usable``: cores that this process may use, by affinity and ``quota``; ``load``: processes that wanted one in the last minute."""

    name: str
    architecture: str
    cores: int
    threads: int
    usable: int
    quota: float | None
    load: float
    instruction_sets: list[str]


class MemoryOut(BaseModel):
    """``limit_bytes`` of the control group; ``usable_bytes``: that, or all there is."""

    total_bytes: int
    limit_bytes: int | None
    usable_bytes: int
    free_bytes: int
    swap_bytes: int
    swap_used_bytes: int


class DiskOut(BaseModel):
    """``kind``: solid, rotating, memory, remote or unknown."""

    kind: str
    filesystem: str
    size_bytes: int
    free_bytes: int


class GpuOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    memory_bytes: int
    free_memory_bytes: int
    driver: str


class Machine(BaseModel):
    """``torch``: the version that would train here; ``allocator``: the quick one that workers are started with. Null: absent."""

    host: str
    cpu: CpuOut
    memory: MemoryOut
    disk: DiskOut
    gpus: list[GpuOut]
    torch: str | None
    allocator: str | None


class Score(BaseModel):
    """What a reference model would learn from a second here: ``tokens_per_second`` real tokens, ``samples_per_second`` of ``tokens`` each.

    ``gflops`` is what the machine was measured to do, ``utilisation`` the part of it that the training loop was measured to use.
    """

    model: str
    tokens: int
    tokens_per_second: float
    samples_per_second: float
    gflops: float
    utilisation: float


class Advice(BaseModel):
    """``code`` is a text key below ``hardware.advice``. ``level``: good, info or warning."""

    code: str
    level: str
    params: dict[str, Any] = {}


class HardwareOut(BaseModel):
    """``measurement``: the last one of this machine as it is now, null without; ``changed``: there was one, of another machine."""

    machine: Machine
    measurement: Measurement | None
    changed: bool
    scores: list[Score]
    advice: list[Advice]
