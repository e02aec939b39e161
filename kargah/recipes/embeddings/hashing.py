"""Texts as weighted n-grams, each known by a hash of its own: what was never seen has a place too (feature hashing, Weinberger 2009)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from kargah.recipes.measures import FloatArray
from kargah.recipes.ngrams import character_ngrams, word_ngrams

#: (hashes uint64, TF-IDF values float32) of a text's n-grams.
Terms = tuple[NDArray[np.uint64], FloatArray]
_SIGN, _PLACE_SHIFT = np.uint64(63), np.uint64(24)


@dataclass(frozen=True)
class HashedTerms:
    """``idf`` float32 [buckets]: how telling the n-grams of a bucket were among the texts that were learnt from."""

    idf: FloatArray

    @classmethod
    def fit(cls, texts: Sequence[str], buckets: int, check: Callable[[], None]) -> "HashedTerms":
        counts = np.zeros(buckets, dtype=np.float64)
        for number, text in enumerate(texts):
            if number % 500 == 0:
                check()
            hashes = np.concatenate([found for found, _ in _counted(text)])
            counts[np.unique(hashes % np.uint64(buckets))] += 1
        return cls((np.log((1 + len(texts)) / (1 + counts)) + 1).astype(np.float32))

    def buckets_of(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        return (hashes % np.uint64(len(self.idf))).astype(np.int64)

    def terms(self, text: str) -> Terms:
        """1 + log count, times idf; words and letters scaled to length 1 each, so that both are heard."""
        hashes, values = [], []
        for found, counts in _counted(text):
            weighed = (1 + np.log(counts)) * self.idf[self.buckets_of(found)]
            hashes.append(found)
            values.append(weighed / (np.sqrt((weighed**2).sum()) or 1.0))
        return np.concatenate(hashes), np.concatenate(values).astype(np.float32)


def signed_places(hashes: NDArray[np.uint64], width: int) -> tuple[NDArray[np.int64], FloatArray]:
    """Where in a vector of ``width`` each n-gram is added, and with which sign: what meets there cancels out on the mean."""
    places = ((hashes >> _PLACE_SHIFT) % np.uint64(width)).astype(np.int64)
    return places, np.where(hashes >> _SIGN, -1.0, 1.0).astype(np.float32)


def _counted(text: str) -> list[tuple[NDArray[np.uint64], FloatArray]]:
    """(hashes, how often each) of its words and pairs of words, and of its pieces of words."""
    kinds = ((_of_words, word_ngrams(text)), (_of_pieces, character_ngrams(text)))
    counted = []
    for hash_of, ngrams in kinds:
        found, counts = np.unique(np.array([hash_of(ngram) for ngram in ngrams], dtype=np.uint64), return_counts=True)
        counted.append((found, counts.astype(np.float64)))
    return counted


@lru_cache(maxsize=200_000)
def _of_words(ngram: str) -> int:
    return _hash(ngram, b"words")


@lru_cache(maxsize=200_000)
def _of_pieces(ngram: str) -> int:
    return _hash(ngram, b"pieces")


def _hash(ngram: str, kind: bytes) -> int:
    """The same in every process and on every machine."""
    return int.from_bytes(blake2b(ngram.encode("utf-8", "surrogatepass"), digest_size=8, person=kind).digest(), "little")
