"""What a column's name and values hint about its role. The words are data (``hints.toml``); these are the rules."""

import re
import tomllib
from functools import cache
from pathlib import Path

from kargah.recipes.columns import Column, ColumnKind, Meaning

_FOLD = str.maketrans({"ي": "ی", "ى": "ی", "ك": "ک", "\u200c": " ", "ة": "ه", "ۀ": "ه", "\u0654": None})
_PARTS = re.compile(r"[\s_\-.()\[\]/]+")
_MAX_CLASSES = 20
_MAX_NAMED_CLASSES = 200
#: What a row can be for: to teach, to choose by, to report on.
PARTS = ("train", "validation", "test")


@cache
def words(kind: str) -> frozenset[str]:
    """The words of one list of ``hints.toml``, folded. Raises KeyError for a list there is not."""
    with Path(__file__).with_name("hints.toml").open("rb") as file:
        return frozenset(_fold(word) for word in tomllib.load(file)[kind])


def named(column: Column, kind: str) -> bool:
    """Whether the column's name is, or has as a part, a word of the list ``kind``."""
    name = _fold(column.name)
    return name in words(kind) or not words(kind).isdisjoint(_PARTS.split(name))


def named_exactly(column: Column, kind: str) -> bool:
    return _fold(column.name) in words(kind)


def holds_classes(column: Column) -> bool:
    """Whether the values are names of classes rather than measures: ratings -2…2 are, prices are not."""
    if column.distinct < 2:
        return False
    if column.meant is not None:
        return column.meant is Meaning.CATEGORY
    if column.kind in (ColumnKind.CATEGORY, ColumnKind.BOOLEAN):
        return True
    if column.kind is ColumnKind.NUMBER and not _all_whole(column):
        return False
    if column.kind not in (ColumnKind.INTEGER, ColumnKind.NUMBER):
        return False
    limit = _MAX_NAMED_CLASSES if named(column, "label") else _MAX_CLASSES
    return column.distinct == 2 or (column.distinct <= limit and column.distinct * 4 <= column.rows)


def holds_numbers(column: Column) -> bool:
    return column.kind in (ColumnKind.INTEGER, ColumnKind.NUMBER) and column.meant in (None, Meaning.NUMBER)


def holds_dates(column: Column) -> bool:
    return column.meant is Meaning.DATE


def holds_text(column: Column) -> bool:
    """Free text. A category of long, mostly different values is text too: a small file of sentences looks like that."""
    if column.meant is not None:
        return column.meant is Meaning.TEXT
    if column.kind is ColumnKind.TEXT:
        return True
    long = (column.mean_length or 0) >= 20 or named(column, "text")
    return column.kind is ColumnKind.CATEGORY and long and column.distinct * 2 > column.rows


def is_identifier(column: Column) -> bool:
    """Said so, or a name such as ``id`` and a value of its own in each row: nothing can be learnt from it."""
    if column.meant is not None:
        return column.meant is Meaning.IDENTIFIER
    return named(column, "identifier") and column.distinct >= 0.95 * (column.rows - column.nulls)


def is_split(column: Column) -> bool:
    """A column that says which rows train and which test: by its values, and by its name where they only say one of the two."""
    parts = {part_of(item.value) for item in column.top}
    if not parts or None in parts or len(column.top) < column.distinct:
        return False
    return named_exactly(column, "split") or ("train" in parts and len(parts) > 1)


def part_of(value: object) -> str | None:
    """One of ``PARTS``, in whichever words it is said; None for anything else."""
    folded = _fold(str(value))
    return next((part for part in PARTS if folded in words(f"split_{part}")), None)


def _all_whole(column: Column) -> bool:
    values = [float(item.value) for item in column.top if _is_number(item.value)]
    return len(values) == column.distinct and all(value.is_integer() for value in values)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _fold(name: str) -> str:
    return " ".join(name.translate(_FOLD).casefold().split())
