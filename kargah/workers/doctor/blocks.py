"""Rows of a version on their way to the next: column by column, each with its number in the parent."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from kargah.recipes.columns import Column, ColumnKind
from kargah.text import numbers
from kargah.workers.doctor.left_out import LeftOut
from kargah.workers.doctor.likeness import loose_key

BLOCK_ROWS = 10_000
#: Whole numbers up to here are exact as floats.
_WHOLE = 2**53


@dataclass
class Block:
    """``numbers``: the rows' numbers in the parent version, from 1. ``cells``: their values by column."""

    numbers: list[int]
    cells: dict[str, list[Any]]

    def keep(self, wanted: list[bool]) -> int:
        """Leave only the wanted rows; how many went."""
        before = len(self.numbers)
        if not all(wanted):
            self.numbers = [number for number, stays in zip(self.numbers, wanted, strict=True) if stays]
            self.cells = {
                name: [value for value, stays in zip(values, wanted, strict=True) if stays] for name, values in self.cells.items()
            }
        return before - len(self.numbers)

    def keys(self, names: list[str]) -> list[str]:
        """The loose key of each row over ``names``."""
        columns = [[as_text(value) or "" for value in self.cells[name]] for name in names]
        return ["\t".join(map(loose_key, row)).strip() for row in zip(*columns, strict=True)]

    def rows(self) -> Iterator[list[str | None]]:
        """The rows as cells of text, as a file would have them."""
        return (list(row) for row in zip(*([as_text(value) for value in values] for values in self.cells.values()), strict=True))


@dataclass(frozen=True)
class Parent:
    """The version that is mended. What comes back of ``left_out`` stands at its end."""

    path: Path
    columns: list[Column]
    left_out: LeftOut

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def blocks(self) -> Iterator[Block]:
        number = 1
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(BLOCK_ROWS):
                cells = {name: column.to_pylist() for name, column in zip(batch.schema.names, batch.columns, strict=True)}
                yield Block(list(range(number, number + batch.num_rows)), cells)
                number += batch.num_rows
        coming = self.left_out.back()
        while rows := list(islice(coming, BLOCK_ROWS)):
            found = {column.name: [_read(row.get(column.name), column.kind) for row in rows] for column in self.columns}
            yield Block(list(range(number, number + len(rows))), found)
            number += len(rows)


def as_text(value: Any) -> str | None:
    """A typed value as a file of text would write it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def as_number(text: str) -> int | float | None:
    number = numbers.parse_number(text)
    return int(number) if number is not None and number.is_integer() and abs(number) <= _WHOLE else number


def _read(text: str | None, kind: ColumnKind) -> Any:
    """A cell of text as a column of this kind has it; None for what it cannot have."""
    if text is None or numbers.is_missing(text):
        return None
    if kind in (ColumnKind.INTEGER, ColumnKind.NUMBER):
        return as_number(text)
    return {"true": True, "false": False}.get(text.strip().lower()) if kind is ColumnKind.BOOLEAN else text
