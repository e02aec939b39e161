"""What memory this process uses, has used at most, and could get."""

from contextlib import suppress
from pathlib import Path

from kargah.kit import limits

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def used_bytes() -> int:
    return _line(_STATUS, "VmRSS:")


def peak_bytes() -> int:
    """Since the process was started, or since ``forget_peak``. (getrusage tells that of whoever started it where that was more.)"""
    return _line(_STATUS, "VmHWM:")


def forget_peak() -> None:
    """From here on the peak counts anew, where the system allows it."""
    with suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK)


def free_bytes() -> int:
    """What this process could still take: of the machine's memory and of what its control group is allowed."""
    available = _line(Path("/proc/meminfo"), "MemAvailable:")
    limit, used = limits.memory_bytes(), limits.memory_used_bytes()
    return available if limit is None or used is None else min(available, max(0, limit - used))


def _line(path: Path, name: str) -> int:
    """0 where the system does not say."""
    try:
        rows = (line.split() for line in path.read_text().splitlines())
        return next((int(row[1]) * 1024 for row in rows if row and row[0] == name), 0)
    except (OSError, ValueError, IndexError):
        return 0
