"""Identifiers: a prefix that says what it names, then a UUIDv7 (RFC 9562), so that ids sort by birth."""

import os
import re
import threading
import time

_SHAPE = re.compile(r"[a-z]{2,8}_[0-9a-f]{32}")
_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """``new_id("job")`` → ``job_0190…`` (prefix, underscore, 32 hex digits)."""
    return f"{prefix}_{uuid7():032x}"


def uuid7() -> int:
    """A 128-bit UUIDv7; within this process each is greater than the one before, also inside one millisecond."""
    global _last
    random_bits = int.from_bytes(os.urandom(10), "big")
    millis = time.time_ns() // 1_000_000
    fresh = (millis << 80) | (0x7 << 76) | ((random_bits >> 64 & 0xFFF) << 64) | (0b10 << 62) | (random_bits & (1 << 62) - 1)
    with _lock:
        _last = fresh if fresh > _last else _last + 1
        return _last


def looks_like_id(text: str) -> bool:
    return _SHAPE.fullmatch(text) is not None
