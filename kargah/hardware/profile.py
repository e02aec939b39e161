"""What this machine is and has, as far as this process may use it."""

import math
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Of the machine's memory.
JOBS_SHARE = 0.9
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True)
class Profile:
    host: str
    cores: int
    memory_bytes: int
    free_memory_bytes: int
    disk_bytes: int
    free_disk_bytes: int


def profile_of(home: Path) -> Profile:
    """Figures of now; the disk is the one that ``home`` is on."""
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(home))
    return Profile(
        host=host_name(),
        cores=usable_cores(),
        memory_bytes=memory.total,
        free_memory_bytes=memory.available,
        disk_bytes=disk.total,
        free_disk_bytes=disk.free,
    )


def memory_for_jobs_bytes() -> int:
    """Most of it: the system and the server need their part."""
    return int(psutil.virtual_memory().total * JOBS_SHARE)


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
    quota = _quota_cores()
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))


def _quota_cores() -> float | None:
    try:
        quota, period = CPU_QUOTA.read_text().split()[:2]
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None
