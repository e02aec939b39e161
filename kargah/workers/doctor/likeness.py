"""When two texts are nearly one: equal but for letters, blanks and marks, or sharing nearly all their word pairs."""

import codecs
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any
from zlib import crc32

LIKE_ENOUGH = 0.85
#: Texts of fewer word pairs are too short for likeness to mean anything.
FEWEST_SHINGLES = 5
_BUCKETS_A_TEXT, _MOST_IN_BUCKET = 4, 50
_MARK = tuple(1 << bit for bit in range(256))
_NOISE = re.compile("[\u064b-\u0652\u0640\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_WORDS = re.compile(r"\w+")
_BLANKS = re.compile(b"  +")
_LETTERS = str.maketrans("يىكةأإآٱؤئ۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "ییکهااااوی01234567890123456789")
_MARKS = "\u00a0\u00ab\u00bb\u00b7\u00d7\u060c\u061b\u061f\u066a\u066b\u066c\u066d\u2013\u2014\u2018\u2019\u201c\u201d\u2022\u2026"
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
    return codecs.charmap_decode(_BLANKS.sub(b" ", known).strip(b" "), "strict", _CHARACTERS)[0]


def loose_keys(texts: Sequence[str]) -> list[str]:
    """The key of each, in a fraction of the time."""
    keys: list[str] = []
    for start in range(0, len(texts), _AT_ONCE):
        keys += _keys_of_some(texts[start : start + _AT_ONCE])
    return keys


def _keys_of_some(texts: Sequence[str]) -> list[str]:
    """Halved until those stand alone that have a rarer character, or that which stands between texts."""
    if len(texts) == 1:
        return [loose_key(texts[0])]
    folded = _folded(_BETWEEN.join(texts), _BETWEEN)
    keys = [] if folded is None else folded.split(_BETWEEN)
    if len(keys) == len(texts):
        return [key.strip(" ") for key in keys]
    middle = len(texts) // 2
    return _keys_of_some(texts[:middle]) + _keys_of_some(texts[middle:])


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
        self._sizes: list[int] = []
        self._marks: list[int] = []
        self._buckets: dict[int, list[int]] = {}

    def add(self, key: str) -> bool:
        """Whether an earlier text is like this one. ``key``: as ``loose_key`` makes it."""
        shingles = _shingles(key)
        if len(shingles) < FEWEST_SHINGLES:
            return False
        smallest, marks = sorted(shingles)[:_BUCKETS_A_TEXT], _marks(shingles)
        found = self._has_like(shingles, marks, set().union(*(self._buckets.get(value, ()) for value in smallest)))
        for value in smallest:
            bucket = self._buckets.setdefault(value, [])
            if len(bucket) < _MOST_IN_BUCKET:
                bucket.append(len(self._shingles))
        self._shingles.append(shingles)
        self._sizes.append(len(shingles))
        self._marks.append(marks)
        return found

    def _has_like(self, shingles: frozenset[int], marks: int, candidates: set[int]) -> bool:
        size = len(shingles)
        least, most = LIKE_ENOUGH * size, size / LIKE_ENOUGH  # what is smaller or larger cannot share enough
        for index in [index for index in candidates if least <= self._sizes[index] <= most]:
            both = size + self._sizes[index]
            at_most = size - (marks & ~self._marks[index]).bit_count()  # a mark that the other lacks is a pair that it lacks
            if _is_enough(at_most, both) and _is_enough(len(shingles & self._shingles[index]), both):
                return True
        return False


def _shingles(key: str) -> frozenset[int]:
    """The hashes of the pairs of words, each with one blank between."""
    words = key.encode().split()
    return frozenset(map(crc32, words[1:], map(crc32, b" \n".join(words).splitlines())))


def _marks(shingles: Iterable[int]) -> int:
    """A bit for each, of few: sets of which one has many that the other lacks are told apart without comparing them."""
    marks = 0
    for shingle in shingles:
        marks |= _MARK[shingle & 255]
    return marks


def _is_enough(shared: int, both: int) -> bool:
    """By what they share of all they have (Jaccard); ``both``: the sizes together."""
    return shared >= LIKE_ENOUGH * (both - shared)
