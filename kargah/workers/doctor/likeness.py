"""When two texts are nearly one: equal but for letters, blanks and marks, or sharing nearly all their word pairs."""

import codecs
import re
from collections.abc import Sequence
from functools import cache
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
_MARKS = "\u00a0\u00ab\u00bb\u00b7\u060c\u061b\u061f\u066a\u066b\u066c\u066d\u2013\u2014\u2018\u2019\u201c\u201d\u2022\u2026"
_NOISE_CHARACTERS = "".join(
    map(chr, [*range(0x64B, 0x653), 0x640, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF])
)
#: So many texts are folded at once, with what hardly any text has between them.
_AT_ONCE, _BETWEEN = 100, "\x1e"
#: What nearly all texts consist of, a byte each: so that folding is a table of bytes.
_CHARACTERS = (
    "".join(map(chr, range(128))) + "آابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهیءأإٱؤئةىيكۀ" + "۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩" + _MARKS + _NOISE_CHARACTERS
).ljust(256, "\ufffe")
_ENCODE = codecs.charmap_build(_CHARACTERS)


@cache
def _folding(kept: str = "") -> tuple[bytes, bytes]:
    """For ``bytes.translate``: what each character becomes (what is of no word becomes a blank), and those that go. ``kept`` stays."""
    keys = [character if character == kept else exact_loose_key(character) or " " for character in _CHARACTERS]
    return bytes(map(_CHARACTERS.index, keys)), bytes(map(_CHARACTERS.index, _NOISE_CHARACTERS))


def loose_key(text: str) -> str:
    """Texts with one key are one text in a reader's eyes."""
    folded = _folded(text)
    return exact_loose_key(text) if folded is None else folded


def _folded(text: str, kept: str = "") -> str | None:
    """None where a rarer character stands."""
    try:
        known = codecs.charmap_encode(text, "strict", _ENCODE)[0]
    except UnicodeEncodeError:
        return None
    known = known.translate(*_folding(kept))
    while b"  " in known:  # quicker than to split and to join
        known = known.replace(b"  ", b" ")
    return codecs.charmap_decode(known.strip(b" "), "strict", _CHARACTERS)[0]


def loose_keys(texts: Sequence[str]) -> list[str]:
    """The key of each, in half the time; one at a time where one of some has a rarer character, or that which stands between them."""
    keys: list[str] = []
    for start in range(0, len(texts), _AT_ONCE):
        some = texts[start : start + _AT_ONCE]
        folded = _folded(_BETWEEN.join(some), _BETWEEN)
        together = [] if folded is None else folded.split(_BETWEEN)
        keys += (key.strip(" ") for key in together) if len(together) == len(some) else map(loose_key, some)
    return keys


def exact_loose_key(text: str) -> str:
    """The same of any text; several times slower."""
    if not text.isascii():
        text = _NOISE.sub("", text.translate(_LETTERS))
    return " ".join(_WORDS.findall(text.lower()))


def row_keys(columns: Sequence[Sequence[Any]]) -> list[str]:
    """The loose key of each row over these columns; "" where nothing stands."""
    keys = [loose_keys(_as_text(values)) for values in columns]
    return keys[0] if len(keys) == 1 else ["\t".join(row).strip() for row in zip(*keys, strict=True)]


def _as_text(values: Sequence[Any]) -> list[str]:
    return ["" if value is None else value if isinstance(value, str) else str(value) for value in values]


class LikeTexts:
    """Finds, for a text, an earlier one that shares nearly all its word pairs. A few microseconds a word.

    Each text is filed under the smallest hashes of its word pairs: of texts that are alike enough, nearly all share one.
    """

    def __init__(self) -> None:
        self._shingles: list[frozenset[int]] = []
        self._buckets: dict[int, list[int]] = {}

    def add(self, key: str) -> bool:
        """Whether an earlier text is like this one. ``key``: as ``loose_key`` makes it."""
        shingles = frozenset(map(crc32, map(b" ".join, pairwise(key.encode().split()))))
        if len(shingles) < FEWEST_SHINGLES:
            return False
        smallest = sorted(shingles)[:_BUCKETS_A_TEXT]
        candidates = {index for value in smallest for index in self._buckets.get(value, ())}
        least, most = LIKE_ENOUGH * len(shingles), len(shingles) / LIKE_ENOUGH  # what is smaller or larger cannot share enough
        found = any(_are_like(shingles, other) for index in candidates if least <= len(other := self._shingles[index]) <= most)
        for value in smallest:
            bucket = self._buckets.setdefault(value, [])
            if len(bucket) < _MOST_IN_BUCKET:
                bucket.append(len(self._shingles))
        self._shingles.append(shingles)
        return found


def _are_like(first: frozenset[int], second: frozenset[int]) -> bool:
    """By what they share of all they have (Jaccard)."""
    shared = len(first & second)
    return shared >= LIKE_ENOUGH * (len(first) + len(second) - shared)
