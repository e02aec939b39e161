"""What this machine is and has, as far as this process may use it."""

import hashlib
import json
import math
import os
import socket
from importlib import metadata
from pathlib import Path

import psutil

from kargah.contract.process import quick_allocator
from kargah.hardware import disks, gpus, processor
from kargah.hardware.schemas import CpuOut, DiskOut, GpuOut, Machine, MemoryOut
from kargah.kit import limits

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Of the machine's memory.
JOBS_SHARE = 0.9
_GIB = 1 << 30


def machine(home: Path) -> Machine:
    """Figures of now; the disk is the one that ``home`` is on."""
    cpu, disk = processor.found(), disks.disk_of(home)
    return Machine(
        host=host_name(),
        cpu=CpuOut(
            name=cpu.name, architecture=cpu.architecture, cores=cpu.cores, threads=cpu.threads, usable=usable_cores(),
            quota=limits.cores(), load=round(processor.load(), 2), instruction_sets=list(cpu.sets),
        ),
        memory=_memory(),
        disk=DiskOut(kind=disk.kind, filesystem=disk.filesystem, size_bytes=disk.size_bytes, free_bytes=disk.free_bytes),
        gpus=[GpuOut.model_validate(gpu) for gpu in gpus.found()],
        torch=torch_version(),
        allocator=Path(found).name if (found := quick_allocator()) else None,
    )  # fmt: skip


def fingerprint(found: Machine) -> str:
    """The same as long as a measurement of this machine holds: its parts, what of them may be used, and who does the arithmetic."""
    counted = {
        "cpu": [found.cpu.name, found.cpu.usable, found.cpu.instruction_sets],
        "memory": round(found.memory.usable_bytes / _GIB),
        "disk": [found.disk.kind, found.disk.filesystem],
        "gpus": [gpu.name for gpu in found.gpus],
        "torch": found.torch,
    }
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()[:16]


def torch_version() -> str | None:
    """Asked of its record: importing it here would cost seconds and memory."""
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return None


def memory_for_jobs_bytes() -> int:
    """Most of it: the system and the server need their part."""
    return int(_memory().usable_bytes * JOBS_SHARE)


def _memory() -> MemoryOut:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    limit = limits.memory_bytes()
    limit = limit if limit is not None and limit < memory.total else None
    used = limits.memory_used_bytes() if limit is not None else None
    left = memory.available if limit is None or used is None else max(0, limit - used)
    return MemoryOut(
        total_bytes=memory.total, limit_bytes=limit, usable_bytes=limit or memory.total, free_bytes=min(memory.available, left),
        swap_bytes=swap.total, swap_used_bytes=swap.used,
    )  # fmt: skip


def host_name() -> str:
    return socket.gethostname()


def boot_id() -> str:
    """Fresh at each start of the machine; empty where the system does not say."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def usable_cores() -> int:
    """Cores by affinity, cut to the quota of the control group (a container's limit)."""
    affinity = len(os.sched_getaffinity(0))
    quota = limits.cores()
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))
