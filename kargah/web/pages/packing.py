"""Sending less: text compressed for clients that take it, where that tells nobody anything.

Pages themselves are never compressed: they hold the CSRF token beside words from the address, and the length of such an
answer would let another site guess the token letter by letter (BREACH).
"""

import gzip

from starlette.datastructures import Headers


def takes_gzip(headers: Headers) -> bool:
    for part in headers.get("accept-encoding", "").split(","):
        name, _, quality = part.partition(";")
        if name.strip().lower() in {"gzip", "*"}:
            return quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def packed(content: bytes, level: int) -> bytes:
    """The same bytes for the same content, whenever it is packed."""
    return gzip.compress(content, level, mtime=0)
