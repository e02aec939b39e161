"""Words and pieces of words as features: the ground of the linear model, of the bag of subwords and of text columns in tables.

A text becomes words 1–2 and, inside each word, characters 2–5 with a space at either end. ZWNJ parts words here, as a space does.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from kargah.recipes.measures import FloatArray
from kargah.recipes.splits import IntArray

_WORD = re.compile(r"\w+|[^\w\s]")


def words_of(text: str) -> list[str]:
    return _WORD.findall(text.replace("\u200c", " ").lower())


def word_ngrams(text: str) -> list[str]:
    """Words, and pairs of neighbouring words joined by a space."""
    words = words_of(text)
    return [*words, *(f"{first} {second}" for first, second in pairwise(words))]


def character_ngrams(text: str) -> list[str]:
    return [piece for word in words_of(text) for piece in _pieces(word)]


@lru_cache(maxsize=200_000)
def _pieces(word: str) -> tuple[str, ...]:
    """2 to 5 characters of `` word ``. A language's words repeat, so most are looked up."""
    padded = f" {word} "
    lengths = range(2, min(5, len(padded)) + 1)
    return tuple(padded[start : start + length] for length in lengths for start in range(len(padded) - length + 1))


@dataclass(frozen=True)
class NgramVocabulary:
    """The n-grams of a training set. Features [0, words) are word n-grams, then character n-grams; ``idf`` float32 [features]."""

    words: dict[str, int]
    characters: dict[str, int]
    idf: FloatArray

    def __len__(self) -> int:
        return len(self.words) + len(self.characters)

    @classmethod
    def fit(
        cls, texts: Sequence[str], check: Callable[[], None], max_words: int = 100_000, max_characters: int = 150_000, least: int = 1
    ) -> "NgramVocabulary":
        """Keep the most frequent n-grams that ``least`` texts hold; ties fall by spelling, so that the result is one."""
        words, word_counts = _frequent(_checked(texts, check), word_ngrams, max_words, least)
        characters, character_counts = _frequent(_checked(texts, check), character_ngrams, max_characters, least)
        counts = np.array([*word_counts, *character_counts], dtype=np.float64)
        idf = np.log((1 + len(texts)) / (1 + counts)) + 1
        offset = len(words)
        return cls(words, {ngram: index + offset for ngram, index in characters.items()}, idf.astype(np.float32))

    def indices(self, text: str) -> list[int]:
        """Features of a text in order, repeated as often as they occur."""
        found = [self.words.get(ngram) for ngram in word_ngrams(text)]
        found += [self.characters.get(ngram) for ngram in character_ngrams(text)]
        return [index for index in found if index is not None]

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


def _frequent(texts: Iterable[str], ngrams_of: Callable[[str], list[str]], limit: int, least: int) -> tuple[dict[str, int], list[int]]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(ngrams_of(text)))
    kept = sorted(((ngram, count) for ngram, count in counts.items() if count >= least), key=lambda item: (-item[1], item[0]))[:limit]
    return {ngram: index for index, (ngram, _) in enumerate(kept)}, [count for _, count in kept]


def _checked(texts: Sequence[str], check: Callable[[], None]) -> Iterator[str]:
    for number, text in enumerate(texts):
        if number % 500 == 0:
            check()
        yield text
