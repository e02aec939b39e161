"""Which bytes of a file are wrong, by the hashes of its pieces."""

import os
from pathlib import Path

import pytest

from kargah.kit import pieces


@pytest.mark.parametrize("size_bytes", [0, 1, 4096, 1 << 20, 96_000_000, 5 << 30])
def test_one_piece_and_all_hashes_are_little_of_a_large_file(size_bytes: int) -> None:
    piece_bytes = pieces.size_for(size_bytes)
    costs = {size: size + pieces.HASH_BYTES * pieces.count(size_bytes, size) for size in (piece_bytes, piece_bytes // 4, 4 * piece_bytes)}
    assert piece_bytes >= pieces.SMALLEST_BYTES
    assert size_bytes < 4 << 20 or costs[piece_bytes] < min(0.01 * size_bytes, *list(costs.values())[1:])


def test_wrong_bytes_are_found_and_neighbours_are_one(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    content = bytearray(os.urandom(10 * 4096 + 100))
    right.write_bytes(content)
    said = b"".join(pieces.hashes(right, 4096))
    assert pieces.differing(right, 4096, said) == []
    for place in (0, 3 * 4096 - 1, 3 * 4096, 10 * 4096 + 99):
        content[place] ^= 1
    wrong.write_bytes(content)
    assert pieces.differing(wrong, 4096, said) == [(0, 4096), (2 * 4096, 4 * 4096), (10 * 4096, 10 * 4096 + 100)]
