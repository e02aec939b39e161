"""GPUs of this machine, by NVIDIA's management library where it is installed; none otherwise."""

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """``id`` is what CUDA_VISIBLE_DEVICES takes, and stays the same over restarts."""

    id: str
    name: str
    memory_bytes: int
    free_memory_bytes: int


def found() -> list[Gpu]:
    """Figures of now. Asking NVML starts no CUDA context."""
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ModuleNotFoundError:
        return []
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:  # the library is there, a driver is not
        return []
    try:
        return [_gpu(nvml, nvml.nvmlDeviceGetHandleByIndex(index)) for index in range(nvml.nvmlDeviceGetCount())]
    finally:
        nvml.nvmlShutdown()


def _gpu(nvml: Any, handle: Any) -> Gpu:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(_text(nvml.nvmlDeviceGetUUID(handle)), _text(nvml.nvmlDeviceGetName(handle)), int(memory.total), int(memory.free))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
