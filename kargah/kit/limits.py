"""What the control groups of this process allow, in both versions that systems have; a container's limits stand there."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
#: Version 1 says "no limit" with a number near 2⁶³.
_UNLIMITED_BYTES = 1 << 60


def cores() -> float | None:
    """The smallest quota of CPU time on the way up, in cores; None without one."""
    quotas = [quota for folder in _folders("cpu") if (quota := _quota(folder)) is not None]
    return min(quotas, default=None)


def memory_bytes() -> int | None:
    """The smallest limit of memory on the way up; None without one."""
    limits = [limit for folder in _folders("memory") if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def memory_used_bytes() -> int | None:
    """What the group with a limit has used of it, without what the system only keeps in case it is read again."""
    for folder in _folders("memory"):
        if _limit(folder) is not None:
            used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes")
            return None if used is None else max(0, used - _inactive_bytes(folder))
    return None


def memory_group() -> Path | None:
    """The innermost group of this process that counts memory, as a folder; None where there is none to be seen."""
    return next((folder for folder in _folders("memory") if (folder / "cgroup.procs").exists()), None)


def _folders(controller: str) -> Iterator[Path]:
    """The group of this process and those above it, the innermost first. Inside a container the paths may not exist: then its root."""
    for line in _lines(OWN):
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0":
            top = ROOT
        elif controller in names.split(","):
            top = ROOT / names if (ROOT / names).is_dir() else ROOT / controller
        else:
            continue
        inner = top / path.strip().lstrip("/")
        yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(top))


def _quota(folder: Path) -> float | None:
    quota, period = [*(_lines(folder / "cpu.max") or [""])[0].split(), "", ""][:2]
    if not quota:
        quota, period = str(_number(folder / "cpu.cfs_quota_us") or ""), str(_number(folder / "cpu.cfs_period_us") or "")
    try:
        return int(quota) / int(period) if int(quota) > 0 else None
    except (ValueError, ZeroDivisionError):
        return None


def _limit(folder: Path) -> int | None:
    limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
    return limit if limit is not None and limit < _UNLIMITED_BYTES else None


def _inactive_bytes(folder: Path) -> int:
    rows = dict(line.split()[:2] for line in _lines(folder / "memory.stat") if len(line.split()) == 2)
    return int(rows.get("inactive_file") or rows.get("total_inactive_file") or 0)


def _number(path: Path) -> int | None:
    try:
        return int((_lines(path) or [""])[0])
    except ValueError:
        return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
