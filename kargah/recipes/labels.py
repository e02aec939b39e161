"""Targets as they come from columns: names of classes, sets of labels, numbers."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from kargah.recipes import hints
from kargah.recipes.columns import Column, ColumnKind
from kargah.recipes.measures import FloatArray
from kargah.recipes.problem import ProblemType
from kargah.recipes.table import as_label
from kargah.text.numbers import parse_number

LabelKind = ProblemType
LabelSet = tuple[str, ...]
_FALSE = frozenset({"", "0", "false", "no", "خیر", "نه", "none"})


def decide_kind(
    wanted: str, columns: Sequence[Column | None], count: int, separator: str | None, chosen: bool
) -> tuple[LabelKind, tuple[str, str]]:
    """Return (kind of problem, (source, why)). ``wanted`` that nobody chose is what the recipe's guess proposed."""
    if wanted != "auto":
        return ProblemType(wanted), ("chosen", "why.chosen") if chosen else ("adapted", "why.problem.guessed")
    first = columns[0]
    if count > 1:
        return ProblemType.MULTI_LABEL, ("adapted", "why.problem.many_columns")
    if separator or (first is not None and first.kind is ColumnKind.LIST):
        return ProblemType.MULTI_LABEL, ("adapted", "why.problem.lists")
    if first is not None and hints.holds_numbers(first) and first.distinct > 1 and not hints.holds_classes(first):
        return ProblemType.REGRESSION, ("adapted", "why.problem.numbers")
    return ProblemType.SINGLE_LABEL, ("adapted", "why.problem.classes")


def label_sets(raw: Sequence[Sequence[Any]], names: Sequence[str], kind: LabelKind, separator: str | None) -> list[LabelSet | None]:
    """The labels of each row; None where a row has no answer. Several columns are flags, and their names the labels."""
    if kind is ProblemType.MULTI_LABEL and len(raw) > 1:
        return [tuple(name for name, value in zip(names, row, strict=True) if _is_set(value)) for row in zip(*raw, strict=True)]
    if kind is ProblemType.MULTI_LABEL:
        return [_split(value, separator) for value in raw[0]]
    return [None if (label := as_label(value)) is None else (label,) for value in raw[0]]


def ordered(rows: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """All labels, by number where all are numbers, else by spelling: the same order whatever the order of the rows."""
    labels = {label for row in rows for label in row}
    numbers = {label: parse_number(label) for label in labels}
    if all(number is not None for number in numbers.values()):
        return tuple(sorted(labels, key=lambda label: (numbers[label], label)))
    return tuple(sorted(labels))


def as_flags(rows: Sequence[tuple[str, ...]], labels: tuple[str, ...]) -> FloatArray:
    """float32 [rows, labels]."""
    places = {label: index for index, label in enumerate(labels)}
    flags = np.zeros((len(rows), len(labels)), dtype=np.float32)
    for row, names in enumerate(rows):
        flags[row, [places[name] for name in names]] = 1
    return flags


def numbers_of(values: Sequence[Any]) -> list[float | None]:
    return [number_of(value) for value in values]


def number_of(value: Any) -> float | None:
    """Persian digits and separators are read too; None where there is no number."""
    if value is None or isinstance(value, bool):
        return None if value is None else float(value)
    number = float(value) if isinstance(value, int | float) else parse_number(str(value))
    return number if number is not None and np.isfinite(number) else None


def _split(value: Any, separator: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    parts = value if isinstance(value, list | tuple) else re.split(re.escape(separator) if separator else r"[,;|،؛]", str(value))
    named = (as_label(part) for part in parts)
    return tuple(dict.fromkeys(name for name in named if name is not None))


def _is_set(value: Any) -> bool:
    return value is not None and str(value).strip().casefold() not in _FALSE and value != 0
