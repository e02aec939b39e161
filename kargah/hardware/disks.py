"""The disk that a folder is on."""

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

DEVICES = Path("/sys/dev/block")
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "glusterfs", "fuse.sshfs", "lustre"})
#: Disks of virtual machines: what they are made of is not told to the guest, whatever the flag says.
_VIRTUAL = ("vd", "xvd")


@dataclass(frozen=True)
class Disk:
    """``kind``: solid, rotating, memory, remote or unknown (a virtual machine's often does not say)."""

    kind: str
    filesystem: str
    size_bytes: int
    free_bytes: int


def disk_of(folder: Path) -> Disk:
    usage = psutil.disk_usage(str(folder))
    filesystem = _filesystem(folder.resolve())
    return Disk(_kind(folder, filesystem), filesystem, usage.total, usage.free)


def _filesystem(folder: Path) -> str:
    """That of the innermost mount above ``folder``; "" where the system does not say."""
    above = [mount for mount in psutil.disk_partitions(all=True) if folder.is_relative_to(mount.mountpoint)]
    return max(above, key=lambda mount: len(mount.mountpoint)).fstype if above else ""


def _kind(folder: Path, filesystem: str) -> str:
    if filesystem in _IN_MEMORY:
        return "memory"
    if filesystem in _REMOTE:
        return "remote"
    number = folder.stat().st_dev
    device = DEVICES / f"{os.major(number)}:{os.minor(number)}"
    if device.resolve().name.startswith(_VIRTUAL):
        return "unknown"
    for queue in (device / "queue", device.resolve().parent / "queue"):  # a partition has its disk's
        try:
            return "rotating" if (queue / "rotational").read_text().strip() == "1" else "solid"
        except OSError:
            continue
    return "unknown"
