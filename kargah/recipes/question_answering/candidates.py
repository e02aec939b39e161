"""Pieces of a passage that could answer a question, and what speaks for each: numbers, and words by name. numpy only.

After the logistic regression that SQuAD's authors began with (Rajpurkar et al. 2016), without a parser: overlap with the question
around the piece, its length and place, the words at its borders, and whether its form suits the question word.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kargah.recipes.measures import FloatArray
from kargah.text.normalise import LETTER_MARKS

LONGEST_WORDS = 12
#: Words around a piece in which the question's words are looked for, near and further.
_NEAR, _FAR = 3, 8
_WORD = re.compile(rf"\d+(?:[./:,٫٬]\d+)+|\w[\w{LETTER_MARKS}\u200c]*|[^\w\s]")
_SENTENCE_ENDS = frozenset(".!؟?؛\n")
_STEM = 4
#: Question words by what they ask for; a question is of the first kind that it has a word of.
_KINDS = (
    ("چند", "چندم", "چقدر", "چه\u200cقدر", "میزان", "تعداد", "how", "many"),
    ("سال", "تاریخ", "زمان", "وقت", "هنگام", "when", "year"),
    ("کجا", "کجاست", "شهر", "کشور", "استان", "where"),
    ("چرا", "دلیل", "علت", "why"),
    ("کسی", "کسانی", "کیست", "کی", "نام", "who", "name"),
    ("چگونه", "چطور"),
)
NUMBERS = 16 + 3 * (len(_KINDS) + 1)


@dataclass(frozen=True)
class Words:
    """``keys``: words by their beginnings, so that endings do not hide them; marks are None."""

    texts: list[str]
    spans: list[tuple[int, int]]
    keys: list[str | None]

    @classmethod
    def of(cls, text: str) -> "Words":
        found = list(_WORD.finditer(text))
        texts = [match[0] for match in found]
        return cls(texts, [match.span() for match in found], [_key(word) for word in texts])

    def sentences(self) -> list[tuple[int, int]]:
        ends = [place + 1 for place, text in enumerate(self.texts) if text in _SENTENCE_ENDS] + [len(self.texts)]
        starts = [0, *ends[:-1]]
        return [(start, end) for start, end in zip(starts, ends, strict=True) if end > start]


def _key(word: str) -> str | None:
    if not word[0].isalnum():
        return None
    return word.lower() if word[0].isdigit() else word.lower().replace("\u200c", "")[:_STEM]


def weights_of(passages: Iterable[Words]) -> dict[str, float]:
    """Inverse document frequency of keys, over passages."""
    counts: Counter[str] = Counter()
    number = 0
    for words in passages:
        counts.update({key for key in words.keys if key is not None})
        number += 1
    return {key: math.log((1 + number) / (1 + count)) + 1 for key, count in counts.items()}


@dataclass(frozen=True)
class Candidates:
    """``spans`` int [pieces, 2]: first word, and the word after the last. ``numbers`` float [pieces, NUMBERS]."""

    spans: FloatArray
    numbers: FloatArray

    def __len__(self) -> int:
        return len(self.spans)

    def picked(self, rows: Sequence[int]) -> "Candidates":
        return Candidates(self.spans[rows], self.numbers[rows])

    def borders(self) -> FloatArray:
        """The words before, first, last and after of each, [pieces, 4]; -1 and one too far are beyond the passage."""
        starts, ends = self.spans.T
        return np.column_stack([starts - 1, starts, ends - 1, ends])


def candidates_of(question: Words, passage: Words, weights: dict[str, float]) -> Candidates:
    """All pieces of at most LONGEST_WORDS words within a sentence that neither begin nor end with a mark."""
    unknown = max(weights.values(), default=1.0)
    asked = {key: weights.get(key, unknown) for key in question.keys if key is not None}
    total = sum(asked.values()) or 1.0
    around = _Around(
        passage,
        np.array([asked.get(key, 0.0) if key is not None else 0.0 for key in passage.keys]) / total,
        np.array([weights.get(key, unknown) if key is not None else 0.0 for key in passage.keys]) / unknown,
    )
    parts = [part for sentence in passage.sentences() if len((part := _of_sentence(around, *sentence)).spans)]
    if not parts:
        return Candidates(np.zeros((0, 2), np.int64), np.zeros((0, NUMBERS)))
    numbers = np.concatenate([part.numbers for part in parts])
    numbers[:, 1] = numbers[:, 0] - numbers[:, 0].max()
    kinds = np.zeros((len(numbers), 3 * (len(_KINDS) + 1)))
    kind = _kind_of(question)
    for column, told in enumerate((6, 7, 2)):  # digits in it, all digits, its length: suits or not, by what is asked for
        kinds[:, 3 * kind + column] = numbers[:, told]
    return Candidates(np.concatenate([part.spans for part in parts]), np.hstack([numbers, kinds]))


def _kind_of(question: Words) -> int:
    asked = set(question.texts)
    return next((number for number, words in enumerate(_KINDS) if not asked.isdisjoint(words)), len(_KINDS))


class _Around:
    """A passage with running sums, so that a stretch costs the same whatever its length. ``match``: of each word its share of the
    question, ``rare``: how rare it is."""

    def __init__(self, passage: Words, match: FloatArray, rare: FloatArray) -> None:
        self.words = len(passage.texts)
        self.keys, self.match = passage.keys, match
        self.marks = np.array([True, *(key is None for key in passage.keys), True])
        digits = [text[0].isdigit() for text in passage.texts]
        self._sums = {
            name: np.concatenate([[0.0], np.cumsum(values)]) for name, values in (("match", match), ("rare", rare), ("digits", digits))
        }

    def over(self, name: str, begin: FloatArray, stop: FloatArray, within: tuple[int, int]) -> FloatArray:
        sums = self._sums[name]
        return np.asarray(sums[np.clip(stop, *within)] - sums[np.clip(begin, *within)])

    def overlap(self, first: int, last: int) -> float:
        """The share of the question whose words stand there, each counted once."""
        return float(sum({key: self.match[first + place] for place, key in enumerate(self.keys[first:last])}.values()))


def _of_sentence(around: _Around, first: int, last: int) -> Candidates:
    edges = first + np.flatnonzero(~around.marks[first + 1 : last + 1])
    lengths = edges[None, :] - edges[:, None] + 1
    which = np.nonzero((lengths > 0) & (lengths <= LONGEST_WORDS))
    starts, ends = edges[which[0]], edges[which[1]] + 1
    within, length = (first, last), ends - starts
    inside = around.over("match", starts, ends, within)
    digits = around.over("digits", starts, ends, within) / np.maximum(1, length)
    numbers = [
        around.overlap(first, last) - inside,
        np.zeros(len(starts)),
        np.log(np.maximum(1, length)),
        length == 1,
        inside,
        around.over("rare", starts, ends, within) / np.maximum(1, length),
        digits > 0,
        digits == 1,
        around.over("match", starts - _NEAR, starts, within),
        around.over("match", ends, ends + _NEAR, within),
        around.over("match", starts - _FAR, starts, within),
        around.over("match", ends, ends + _FAR, within),
        around.marks[starts],
        around.marks[ends + 1],
        starts == first,
        starts / max(1, around.words),
    ]
    return Candidates(np.column_stack([starts, ends]), np.column_stack(numbers).astype(np.float64))
