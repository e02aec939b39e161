"""A limit of memory that the kernel keeps where this process may make control groups, for what grows between two looks of the watchdog.

Version 1: below the group of this process, for root. Version 2: only in a group that systemd has delegated (``Delegate=yes``), which is
recognised by its mark; its processes move to a leaf first, for a group cannot hold processes and limits of others at once.
"""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from kargah.kit import limits

_NAME = "kargah-"
_OURS = "kargah.own"
#: Above the watchdog's limit, which explains and leaves time: part, and at least so many bytes.
_ABOVE, _LEAST_BYTES = 1.25, 64 << 20


def name_of(job_id: str, attempt: int) -> str:
    return f"{job_id}-{attempt}"


def confine(pid: int, name: str, limit_bytes: int) -> bool:
    """Put a process, and all that it starts from now on, under a limit somewhat above ``limit_bytes``. False where that cannot be done.

    Groups of processes that are gone are removed on the way.
    """
    parent = _parent()
    if parent is None:
        return False
    _sweep(parent)
    folder = parent / f"{_NAME}{name}"
    ceiling = str(max(int(limit_bytes * _ABOVE), limit_bytes + _LEAST_BYTES))
    try:
        folder.mkdir(exist_ok=True)
        (folder / ("memory.max" if (folder / "memory.max").exists() else "memory.limit_in_bytes")).write_text(ceiling)
        (folder / "cgroup.procs").write_text(str(pid))
    except OSError:
        with suppress(OSError):
            folder.rmdir()
        return False
    return True


def overrun(name: str) -> int | None:
    """The most bytes that a group had when the kernel ended something in it for its limit; None when that did not happen."""
    parent = _parent()
    if parent is None:
        return None
    folder = parent / f"{_NAME}{name}"
    try:
        told = (folder / ("memory.events" if (folder / "memory.max").exists() else "memory.oom_control")).read_text().split()
        if int(told[told.index("oom_kill") + 1]) == 0:
            return None
        peak = folder / ("memory.peak" if (folder / "memory.peak").exists() else "memory.max_usage_in_bytes")
        return int(peak.read_text())
    except (OSError, ValueError, IndexError):
        return None


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{_NAME}*"):
        with suppress(OSError):  # somebody lives in it
            folder.rmdir()


@cache
def _parent() -> Path | None:
    own = limits.memory_group()
    if own is None or not os.access(own, os.W_OK):
        return None
    return own if (own / "memory.limit_in_bytes").exists() else _delegated(own)


def _delegated(own: Path) -> Path | None:
    """A group of version 2 made ready for groups with limits of memory below it. Not run by us: no such system was at hand."""
    try:
        if os.getxattr(own, "user.delegate") != b"1":
            return None
        if "memory" not in (own / "cgroup.subtree_control").read_text().split():
            leaf = own / _OURS
            leaf.mkdir(exist_ok=True)
            for pid in (own / "cgroup.procs").read_text().split():
                (leaf / "cgroup.procs").write_text(pid)
            (own / "cgroup.subtree_control").write_text("+memory")
    except OSError:
        return None
    return own
