"""When two texts are nearly one: equal but for letters, blanks and marks, or sharing nearly all their word pairs."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from zlib import crc32

LIKE_ENOUGH = 0.85
#: Texts of fewer word pairs are too short for likeness to mean anything.
FEWEST_SHINGLES = 5
_BUCKETS_A_TEXT, _MOST_IN_BUCKET = 4, 50
_NOISE = re.compile("[\u064b-\u0652\u0640\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_WORDS = re.compile(r"\w+")
_LETTERS = str.maketrans("يىكةأإآٱؤئ۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "ییکهااااوی01234567890123456789")


def loose_key(text: str) -> str:
    """Texts with one key are one text in a reader's eyes."""
    if not text.isascii():
        text = _NOISE.sub("", text.translate(_LETTERS))
    return " ".join(_WORDS.findall(text.lower()))


def row_keys(batch: Any, names: Sequence[str]) -> list[str]:
    """The loose key of each row over ``names``; "" where nothing stands."""
    columns = [_as_text(batch.column(name)) for name in names]
    return ["\t".join(loose_key(value) for value in row).strip() for row in zip(*columns, strict=True)]


def _as_text(values: Any) -> list[str]:
    return ["" if value is None else value if isinstance(value, str) else str(value) for value in values.to_pylist()]


class LikeTexts:
    """Finds, for a text, an earlier one that shares nearly all its word pairs. A few microseconds a word.

    Each text is filed under the smallest hashes of its word pairs: of texts that are alike enough, nearly all share one.
    """

    def __init__(self) -> None:
        self._shingles: list[frozenset[int]] = []
        self._buckets: dict[int, list[int]] = {}

    def add(self, key: str) -> bool:
        """Whether an earlier text is like this one. ``key``: as ``loose_key`` makes it."""
        words = key.split()
        shingles = frozenset(crc32(f"{first} {second}".encode()) for first, second in pairwise(words))
        if len(shingles) < FEWEST_SHINGLES:
            return False
        smallest = sorted(shingles)[:_BUCKETS_A_TEXT]
        candidates = {index for value in smallest for index in self._buckets.get(value, ())}
        found = any(_jaccard(shingles, self._shingles[index]) >= LIKE_ENOUGH for index in candidates)
        for value in smallest:
            bucket = self._buckets.setdefault(value, [])
            if len(bucket) < _MOST_IN_BUCKET:
                bucket.append(len(self._shingles))
        self._shingles.append(shingles)
        return found


def _jaccard(first: frozenset[int], second: frozenset[int]) -> float:
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)
