"""Hashes of the pieces of a file: who has it with a few wrong bytes finds out which, and fetches their pieces and no more."""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

#: Of an answer with a file: how long its pieces are; their SHA-256, one behind the other, are at the same address with ``?pieces=true``.
HEADER = "X-Kargah-Pieces"
QUERY = "pieces=true"
HASH_BYTES = hashlib.sha256().digest_size
SMALLEST_BYTES, LARGEST_BYTES = 4 << 10, 16 << 20
_HASHES_AT_ONCE = 64


def size_for(file_bytes: int) -> int:
    """A power of two near 4 √size: there one piece and all the hashes are about as many bytes, and their sum is the smallest."""
    return min(LARGEST_BYTES, max(SMALLEST_BYTES, 1 << math.ceil(math.log2(4 * math.sqrt(max(1, file_bytes))))))


def count(file_bytes: int, piece_bytes: int) -> int:
    return -(-file_bytes // piece_bytes)


def hashes(path: Path, piece_bytes: int) -> Iterator[bytes]:
    """Of each piece in turn, some at a time. The last piece may be shorter."""
    with path.open("rb") as file:
        found = bytearray()
        while piece := file.read(piece_bytes):
            found += hashlib.sha256(piece).digest()
            if len(found) == _HASHES_AT_ONCE * HASH_BYTES:
                yield bytes(found)
                found.clear()
        yield bytes(found)


def differing(path: Path, piece_bytes: int, right: bytes) -> list[tuple[int, int]]:
    """(first byte, behind the last byte) of what is not as ``right`` says, neighbours as one."""
    size_bytes, found = path.stat().st_size, list[tuple[int, int]]()
    ours = b"".join(hashes(path, piece_bytes))
    for piece in range(count(size_bytes, piece_bytes)):
        place = slice(piece * HASH_BYTES, (piece + 1) * HASH_BYTES)
        if ours[place] == right[place]:
            continue
        start, end = piece * piece_bytes, min(size_bytes, (piece + 1) * piece_bytes)
        if found and found[-1][1] == start:
            start = found.pop()[0]
        found.append((start, end))
    return found
