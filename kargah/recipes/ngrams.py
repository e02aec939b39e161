"""Words and pieces of words as features: the ground of the linear model, of the bag of subwords and of text columns in tables.

A text becomes words 1–2 and, inside each word, characters 2–5 with a space at either end. ZWNJ parts words here, as a space does; marks
that stand on letters (harakat, the hamza of an ezafe) are left out, so that a word is one with them and without.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from typing import Any

import numpy as np

from kargah.recipes.measures import FloatArray
from kargah.recipes.splits import IntArray
from kargah.text.normalise import LETTER_MARKS

#: Words whose pieces are kept at hand: a long text of any language has most of its words among them.
_REMEMBERED_WORDS = 200_000
_WORD = re.compile(r"\w+|[^\w\s]")
_MARKS = re.compile(f"[{LETTER_MARKS}]+")


def words_of(text: str) -> list[str]:
    return _WORD.findall(_MARKS.sub("", text.replace("\u200c", " ").lower()))


def word_ngrams(text: str) -> list[str]:
    """Words, and pairs of neighbouring words joined by a space."""
    return _with_pairs(words_of(text))


def character_ngrams(text: str) -> list[str]:
    return [piece for word in words_of(text) for piece in _pieces(word)]


def _with_pairs(words: list[str]) -> list[str]:
    return [*words, *(f"{first} {second}" for first, second in pairwise(words))]


def _pieces(word: str) -> list[str]:
    """2 to 5 characters of `` word ``."""
    padded = f" {word} "
    lengths = range(2, min(5, len(padded)) + 1)
    return [padded[start : start + length] for length in lengths for start in range(len(padded) - length + 1)]


@dataclass(frozen=True)
class NgramVocabulary:
    """The n-grams of a training set. Features [0, words) are word n-grams, then character n-grams; ``idf`` float32 [features]."""

    words: dict[str, int]
    characters: dict[str, int]
    idf: FloatArray
    _known: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.words) + len(self.characters)

    @classmethod
    def fit(
        cls, texts: Sequence[str], check: Callable[[], None], max_words: int = 100_000, max_characters: int = 150_000, least: int = 1
    ) -> "NgramVocabulary":
        """Keep the most frequent n-grams that ``least`` texts hold; ties fall by spelling, so that the result is one."""
        in_texts, pieces = Counter[str](), _PieceCounts()
        for text in _checked(texts, check):
            found = words_of(text)
            in_texts.update(set(_with_pairs(found)))
            pieces.count(set(found))
        words, word_counts = _frequent(in_texts.items(), max_words, least)
        characters, character_counts = _frequent(pieces.items(), max_characters, least)
        counts = np.array([*word_counts, *character_counts], dtype=np.float64)
        idf = np.log((1 + len(texts)) / (1 + counts)) + 1
        offset = len(words)
        return cls(words, {ngram: index + offset for ngram, index in characters.items()}, idf.astype(np.float32))

    def indices(self, text: str) -> list[int]:
        """Features of a text in order, repeated as often as they occur."""
        words = words_of(text)
        found = [index for ngram in _with_pairs(words) if (index := self.words.get(ngram)) is not None]
        for word in words:
            found += self._of_word(word)
        return found

    def _of_word(self, word: str) -> list[int]:
        """Its pieces' features. A language's words repeat, so most are looked up whole."""
        known = self._known.get(word)
        if known is None:
            if len(self._known) >= _REMEMBERED_WORDS:
                self._known.clear()
            known = [index for piece in _pieces(word) if (index := self.characters.get(piece)) is not None]
            self._known[word] = known
        return known

    def vector(self, text: str) -> tuple[IntArray, FloatArray]:
        """(features, TF-IDF values): 1 + log count, times idf, each kind of feature scaled to length 1. Features ascend."""
        indices, counts = np.unique(np.array(self.indices(text), dtype=np.int64), return_counts=True)
        values = (1 + np.log(counts)) * self.idf[indices]
        border = int(np.searchsorted(indices, len(self.words)))
        for part in (slice(0, border), slice(border, None)):
            length = float(np.sqrt((values[part] ** 2).sum()))
            values[part] /= length or 1.0
        return indices, values.astype(np.float32)

    def matrix(self, texts: Sequence[str], check: Callable[[], None]) -> Any:
        """scipy CSR [texts, features] of the vectors."""
        from scipy.sparse import csr_matrix

        vectors = [self.vector(text) for text in _checked(texts, check)]
        ends = np.cumsum([0, *(len(indices) for indices, _ in vectors)])
        columns = np.concatenate([indices for indices, _ in vectors]) if vectors else np.empty(0, np.int64)
        values = np.concatenate([values for _, values in vectors]) if vectors else np.empty(0, np.float32)
        return csr_matrix((values, columns, ends), shape=(len(texts), len(self)))

    def as_dict(self) -> dict[str, list[str]]:
        return {"words": list(self.words), "characters": list(self.characters)}

    @classmethod
    def from_dict(cls, stored: dict[str, list[str]], idf: FloatArray) -> "NgramVocabulary":
        words = {ngram: index for index, ngram in enumerate(stored["words"])}
        return cls(words, {ngram: index + len(words) for index, ngram in enumerate(stored["characters"])}, idf)


class _PieceCounts:
    """In how many texts each piece of a word is. Pieces are looked up once a word, and counted as numbers."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._of_word: dict[str, IntArray] = {}
        self._counts = np.zeros(1 << 12, dtype=np.int64)

    def count(self, words: Iterable[str]) -> None:
        """The distinct ``words`` of one text."""
        found = [self._pieces_of(word) for word in words]
        if found:
            while len(self._numbers) > len(self._counts):
                self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
            self._counts[np.unique(np.concatenate(found))] += 1

    def items(self) -> Iterator[tuple[str, int]]:
        return zip(self._numbers, self._counts.tolist(), strict=False)

    def _pieces_of(self, word: str) -> IntArray:
        known = self._of_word.get(word)
        if known is None:
            if len(self._of_word) >= _REMEMBERED_WORDS:
                self._of_word.clear()
            known = np.array([self._numbers.setdefault(piece, len(self._numbers)) for piece in _pieces(word)], dtype=np.int64)
            self._of_word[word] = known
        return known


def _frequent(counted: Iterable[tuple[str, int]], limit: int, least: int) -> tuple[dict[str, int], list[int]]:
    kept = sorted(item for item in counted if item[1] >= least)
    kept.sort(key=itemgetter(1), reverse=True)  # stable: among equals the spelling still decides
    del kept[limit:]
    return {ngram: index for index, (ngram, _) in enumerate(kept)}, [count for _, count in kept]


def _checked(texts: Sequence[str], check: Callable[[], None]) -> Iterator[str]:
    for number, text in enumerate(texts):
        if number % 500 == 0:
            check()
        yield text
