"""From a table to features: which columns are measures, categories or texts, learnt from the training rows only. No torch."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from kargah.recipes import hints
from kargah.recipes.baselines.trees import MAX_CATEGORIES
from kargah.recipes.columns import Column, ColumnKind, Meaning
from kargah.recipes.labels import number_of
from kargah.recipes.measures import FloatArray
from kargah.recipes.ngrams import words_of
from kargah.recipes.table import as_label
from kargah.text.dates import parse_day

_TEXT_WORDS = 100
_NUMERIC_SHARE = 0.9
#: How a column is learnt from of which a person said what it is.
_MEANT = {Meaning.NUMBER: "number", Meaning.DATE: "date", Meaning.CATEGORY: "category", Meaning.TEXT: "text"}


@dataclass
class Feature:
    """One column and what was learnt of it. ``categories``: known values, the most frequent first. ``words``: of a text column.

    ``is_date``: its numbers are days.
    """

    name: str
    kind: str
    mean: float = 0.0
    spread: float = 1.0
    low: float = 0.0
    high: float = 0.0
    categories: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    is_date: bool = False

    @classmethod
    def learn(cls, name: str, column: Column | None, values: Sequence[Any]) -> "Feature | None":
        """None for a column from which nothing can be learnt: empty, or the same value everywhere."""
        present = [value for value in values if value is not None and value != ""]
        if (len({str(value) for value in present}) < 2 and len(present) == len(values)) or not present:
            return None
        kind = _kind_of(column, present)
        if kind in ("number", "date"):
            return cls(name, "number", is_date=kind == "date")._scaled(present)
        if kind == "text":
            return cls(name, kind, words=_frequent_words(present))
        counts = Counter(label for value in present if (label := as_label(value)) is not None)
        kept = sorted(counts, key=lambda label: (-counts[label], label))[: MAX_CATEGORIES - 1]
        return cls(name, kind, categories=kept)

    def _scaled(self, present: Sequence[Any]) -> "Feature | None":
        """The mean and spread are those of the values between the 1st and 99th percentile: one absurd price must not set the scale."""
        values = np.array([number for value in present if (number := self.number_of(value)) is not None])
        if not len(values):
            return None
        low, high = (float(edge) for edge in np.percentile(values, [1, 99]))
        inner = np.clip(values, low, high)
        mean, spread = float(inner.mean()), float(inner.std()) or 1.0
        return replace(self, mean=mean, spread=spread, low=float(values.min()), high=float(values.max()))

    def number_of(self, value: Any) -> float | None:
        """A value of a measure: a number, or the number of a day, of either calendar."""
        return _day_number(value) if self.is_date else number_of(value)

    def codes(self, values: Sequence[Any]) -> FloatArray:
        """float64 [rows]: the number of the category, NaN for none or unknown."""
        places = {label: float(index) for index, label in enumerate(self.categories)}
        return np.array([places.get(as_label(value) or "", np.nan) for value in values])

    def numbers(self, values: Sequence[Any]) -> FloatArray:
        """float64 [rows], NaN where there is no number."""
        return np.array([np.nan if (number := self.number_of(value)) is None else number for value in values])

    def flags(self, values: Sequence[Any]) -> FloatArray:
        """float64 [rows, words + 1]: which of the frequent words occur, and the length in hundreds of characters."""
        places = {word: index for index, word in enumerate(self.words)}
        flags = np.zeros((len(values), len(self.words) + 1))
        for row, value in enumerate(values):
            text = "" if value is None else str(value)
            flags[row, [places[word] for word in words_of(text) if word in places]] = 1
            flags[row, -1] = len(text) / 100
        return flags

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Encoded:
    """``codes`` [rows, categories], ``numbers`` [rows, numbers] with NaN for gaps, ``flags`` [rows, words of all texts]; float64."""

    codes: FloatArray
    numbers: FloatArray
    flags: FloatArray

    def for_trees(self) -> FloatArray:
        return np.concatenate([self.codes, self.numbers, self.flags], axis=1)

    def rows(self, rows: Any) -> "Encoded":
        return Encoded(self.codes[rows], self.numbers[rows], self.flags[rows])


def encode(features: Sequence[Feature], columns: Mapping[str, Sequence[Any]], rows: int) -> Encoded:
    """The same for training and for a question: ``columns`` holds ``rows`` raw values for each feature's name."""
    blocks: dict[str, list[FloatArray]] = {"category": [], "number": [], "text": []}
    for feature in features:
        values = columns[feature.name]
        if feature.kind == "category":
            blocks["category"].append(feature.codes(values)[:, None])
        elif feature.kind == "number":
            blocks["number"].append(feature.numbers(values)[:, None])
        else:
            blocks["text"].append(feature.flags(values))
    joined = (np.concatenate([np.empty((rows, 0)), *parts], axis=1) for parts in blocks.values())
    return Encoded(*joined)


def _kind_of(column: Column | None, present: list[Any]) -> str:
    """What a person said, else the importer; but a column of numbers or of dates written as text is read as such."""
    if column is not None and column.meant in _MEANT:
        return _MEANT[column.meant]
    if column is not None and hints.holds_numbers(column):
        return "number"
    numbers = sum(number_of(value) is not None for value in present)
    if not isinstance(present[0], bool) and numbers >= _NUMERIC_SHARE * len(present) and len({str(value) for value in present}) > 2:
        return "number"
    if sum(_day_number(value) is not None for value in present) >= _NUMERIC_SHARE * len(present):
        return "date"
    if column is not None and (column.kind is ColumnKind.TEXT or hints.holds_text(column)) and (column.mean_length or 0) > 20:
        return "text"
    return "category"


def _day_number(value: Any) -> float | None:
    day = None if value is None else parse_day(str(value))
    return float(day.number) if day is not None and day.exists else None


def _frequent_words(texts: Sequence[Any]) -> list[str]:
    counts = Counter(word for text in texts for word in set(words_of(str(text))))
    return sorted((word for word in counts if counts[word] >= 2), key=lambda word: (-counts[word], word))[:_TEXT_WORDS]
