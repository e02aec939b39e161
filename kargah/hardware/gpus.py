"""GPUs of this machine: by NVIDIA's management library where it is installed, by its command where that is; none otherwise."""

import importlib
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

_ASKED = "uuid,name,memory.total,memory.free,driver_version"
_ANSWER_SECONDS = 10.0
_MIB = 1 << 20


@dataclass(frozen=True)
class Gpu:
    """``id`` is what CUDA_VISIBLE_DEVICES takes, and stays the same over restarts."""

    id: str
    name: str
    memory_bytes: int
    free_memory_bytes: int
    driver: str = ""


def found() -> list[Gpu]:
    """Figures of now. Asking starts no CUDA context."""
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ModuleNotFoundError:
        return _told_by_command()
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:  # the library is there, a driver is not
        return []
    try:
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        return [_gpu(nvml, nvml.nvmlDeviceGetHandleByIndex(index), driver) for index in range(nvml.nvmlDeviceGetCount())]
    finally:
        nvml.nvmlShutdown()


def _gpu(nvml: Any, handle: Any, driver: str) -> Gpu:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(_text(nvml.nvmlDeviceGetUUID(handle)), _text(nvml.nvmlDeviceGetName(handle)), int(memory.total), int(memory.free), driver)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _told_by_command() -> list[Gpu]:
    """What ``nvidia-smi`` says. One that is there and does not answer (no driver, a card that hangs) counts as none."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    try:
        told = subprocess.run(
            [command, f"--query-gpu={_ASKED}", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    return [gpu for line in told.splitlines() if (gpu := _of_line(line)) is not None]


def _of_line(line: str) -> Gpu | None:
    try:
        uuid, name, total, free, driver = (part.strip() for part in line.split(","))
        return Gpu(uuid, name, int(total) * _MIB, int(free) * _MIB, driver)
    except ValueError:  # "[N/A]" of a card that is lost
        return None
