"""Where an attempt's lines come from. This form reads a local directory; another will take them over HTTP from other hosts."""

from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

from kargah.contract.wire import whole_lines

READ_BYTES = 1 << 20


class Line(NamedTuple):
    content: bytes
    end_offset_bytes: int


class Carrier(Protocol):
    def lines_after(self, offset_bytes: int, limit: int) -> list[Line]:
        """At most ``limit`` whole lines from ``offset_bytes`` on; an unterminated last one is not there yet."""
        ...

    def size_bytes(self) -> int:
        """Of all that was written; 0 before the first word."""
        ...


class LocalCarrier:
    def __init__(self, events: Path) -> None:
        self._events = events

    def lines_after(self, offset_bytes: int, limit: int) -> list[Line]:
        unread_bytes = self.size_bytes() - offset_bytes
        window_bytes = READ_BYTES
        while unread_bytes > 0:
            lines = [Line(*line) for line in islice(whole_lines(self._events, offset_bytes, window_bytes), limit)]
            if lines or window_bytes >= unread_bytes:
                return lines
            window_bytes *= 4  # one line longer than the window
        return []

    def size_bytes(self) -> int:
        try:
            return self._events.stat().st_size
        except FileNotFoundError:
            return 0
