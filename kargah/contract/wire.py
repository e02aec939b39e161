"""One JSON line an event, written at once and read only when whole."""

import errno
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kargah.contract.events import AnyEvent, Event
from kargah.kit import files
from kargah.kit.clock import iso, utc_now


class EventWriter:
    """Appends to ``events.jsonl``. A line is one ``write``: a crash leaves at most one unterminated line, which readers drop.

    Costs about 10 µs a line; nothing is fsynced, since the process dying loses nothing that the kernel has. ``sync``
    is for the moments that must survive a power cut (a checkpoint, the end).
    """

    def __init__(self, path: Path) -> None:
        files.make_folder(path.parent)
        self.path = path
        is_fresh = not path.exists()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        if is_fresh:
            files.fsync_directory(path.parent)

    def write(self, kind: str, **fields: Any) -> None:
        """Raises OSError when there is no room; then nothing of the line is there, and it can be written again."""
        text = json.dumps({"kind": kind, "at": iso(utc_now()), **_finite(fields)}, ensure_ascii=False, separators=(",", ":"))
        line = text.encode("utf-8", "replace") + b"\n"
        files.about_to("write", self.path)
        written = os.write(self._descriptor, line)
        if written < len(line):
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def sync(self) -> None:
        files.about_to("fsync", self.path)
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def decode(line: bytes) -> Event:
    """Raises pydantic.ValidationError for a line that is no event."""
    return AnyEvent.validate_json(line)


def whole_lines(path: Path, offset_bytes: int, limit_bytes: int = 4 << 20) -> Iterator[tuple[bytes, int]]:
    """Yield (line without its end, offset just after it) from ``offset_bytes`` on; an unterminated last line is not yielded."""
    try:
        with path.open("rb") as file:
            file.seek(offset_bytes)
            content = file.read(limit_bytes)
    except FileNotFoundError:
        return
    start = 0
    while (end := content.find(b"\n", start)) >= 0:
        yield content[start:end], offset_bytes + end + 1
        start = end + 1


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null (the loop says ``Failed`` or ``Logged`` about them besides)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
