"""What an attempt's memory was, noted by the worker itself: the evidence when the system has killed it.

``memory.jsonl`` has a line when something changed: {seconds, used_bytes, available_bytes, total_bytes, oom_kills}; the last
lines tell what it was like just before the end.
"""

import json
import os
import time
from pathlib import Path

from pydantic import BaseModel, ValidationError

#: A line for every change of this share, and at least one in this time.
_CHANGE = 0.03
_LONGEST_SILENCE_SECONDS = 30.0
#: Less than this share of the machine's memory free just before the end speaks for the memory.
_EXHAUSTED_SHARE = 0.05
_CURVE_POINTS = 200


class Sample(BaseModel):
    """``seconds`` since the worker started; ``oom_kills``: how often this machine has killed for memory since it was started."""

    seconds: float
    used_bytes: int
    available_bytes: int
    total_bytes: int
    oom_kills: int


class Trace:
    """Written from one thread. Costs two reads of /proc a look; a disk that is full loses a line and nothing else."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started = time.monotonic()
        self._last: Sample | None = None

    def look(self) -> None:
        sample = Sample(seconds=round(time.monotonic() - self._started, 1), used_bytes=_used_bytes(), oom_kills=oom_kills(), **_machine())
        if self._last is None or _differ(self._last, sample):
            self._last = sample
            try:
                with self._path.open("a") as file:
                    file.write(sample.model_dump_json() + "\n")
            except OSError:
                return


def read(path: Path, limit: int = _CURVE_POINTS) -> list[Sample]:
    """The curve, thinned to about ``limit`` points, the last ones all there."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    thin = max(1, len(lines) // limit)
    kept = [line for number, line in enumerate(lines) if number % thin == 0 or number >= len(lines) - 20]
    return [sample for line in kept if (sample := _sample(line)) is not None]


def ran_out(samples: list[Sample]) -> bool:
    """Whether a worker killed just now was killed for memory: the kernel says so, or hardly any was left."""
    if not samples:
        return False
    last = samples[-1]
    killed = oom_kills() > last.oom_kills and last.used_bytes > last.total_bytes // 10
    return killed or last.available_bytes < _EXHAUSTED_SHARE * last.total_bytes


def oom_kills() -> int:
    return _numbers(Path("/proc/vmstat"), "oom_kill").get("oom_kill", 0)


def _sample(line: bytes) -> Sample | None:
    try:
        return Sample.model_validate(json.loads(line))
    except (ValueError, ValidationError):
        return None


def _differ(last: Sample, now: Sample) -> bool:
    if now.seconds - last.seconds >= _LONGEST_SILENCE_SECONDS:
        return True
    moved = max(abs(now.used_bytes - last.used_bytes), abs(now.available_bytes - last.available_bytes))
    return moved > _CHANGE * now.total_bytes or now.available_bytes < 2 * _EXHAUSTED_SHARE * now.total_bytes


def _used_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _machine() -> dict[str, int]:
    found = _numbers(Path("/proc/meminfo"), "MemAvailable:", "MemTotal:")
    return {"available_bytes": found.get("MemAvailable:", 0) * 1024, "total_bytes": found.get("MemTotal:", 1) * 1024}


def _numbers(path: Path, *names: str) -> dict[str, int]:
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[0] in names}
