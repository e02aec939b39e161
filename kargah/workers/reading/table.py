"""From rows of strings to a typed Parquet file, in two passes and bounded memory.

The first pass measures the columns while all cells go, as strings, to a temporary file; only then are the types known. The
second converts. Text stays as it was; numbers, booleans and lists get types of their own.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kargah.recipes.columns import Column, ColumnKind
from kargah.text import numbers
from kargah.text.normalise import Normaliser
from kargah.workers.reading.delimited import Cell, Row
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.profile import ColumnProfile

BATCH_ROWS, BATCH_CHARACTERS = 10_000, 16 << 20
#: Different values remembered over all columns, 64 bits each; and rows remembered to tell duplicates.
DISTINCT_BUDGET, DUPLICATES_BUDGET = 2_000_000, 3_000_000
PREVIEW_ROWS, PREVIEW_CHARACTERS = 200, 2000


class RawTable:
    """The first pass. ``profiles`` are whole when ``read`` has returned; among ``rows_compared`` rows duplicates were looked for."""

    def __init__(self, names: list[str], findings: Findings, normaliser: Normaliser) -> None:
        self.names = names
        self.rows = self.rows_compared = 0
        self._findings = findings
        self._seen: set[int] = set()
        max_distinct = max(1000, DISTINCT_BUDGET // len(names))
        self.profiles = [ColumnProfile(name, findings, normaliser, max_distinct) for name in names]
        self._schema = pa.schema([pa.field(str(index), pa.string()) for index in range(len(names))])

    def read(self, rows: Iterable[Row], path: Path, tick: Callable[[], None]) -> None:
        """Measure and store. ``tick`` is called between batches and may raise to end it all."""
        with pq.ParquetWriter(path, self._schema, compression="zstd") as writer:
            for lines, cells in _batches(rows):
                writer.write_batch(self._batch(lines, cells))
                tick()

    def _batch(self, lines: list[int], cells: list[list[Cell]]) -> Any:
        self.rows += len(lines)
        self._note_duplicates(lines, cells)
        columns = zip(*cells, strict=True)
        kept = [profile.add(values, lines) for profile, values in zip(self.profiles, columns, strict=True)]
        return pa.record_batch([pa.array(values, pa.string()) for values in kept], schema=self._schema)

    def _note_duplicates(self, lines: list[int], cells: list[list[Cell]]) -> None:
        if len(self._seen) > DUPLICATES_BUDGET:
            return
        self.rows_compared = self.rows
        for line, row in zip(lines, cells, strict=True):
            key = hash(tuple(row))
            if key in self._seen:
                self._findings.note("DUPLICATE_ROWS", "warning", lines=[line])
            self._seen.add(key)


def write_typed(raw: Path, target: Path, columns: list[Column], tick: Callable[[int], None]) -> list[dict[str, Any]]:
    """The second pass: ``target`` with the columns' types. The first rows are returned for the preview."""
    convert = [_converter(column.kind) for column in columns]
    schema = pa.schema([pa.field(column.name, _TYPES[column.kind]) for column in columns])
    preview: list[dict[str, Any]] = []
    done = 0
    with pq.ParquetFile(raw) as file, pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in file.iter_batches(BATCH_ROWS):
            arrays = [function(array) for function, array in zip(convert, batch.columns, strict=True)]
            typed = pa.record_batch(arrays, schema=schema)
            writer.write_batch(typed)
            if len(preview) < PREVIEW_ROWS:
                preview += _shown_rows(typed.slice(0, PREVIEW_ROWS - len(preview)))
            done += batch.num_rows
            tick(done)
    return preview


_TYPES = {
    ColumnKind.TEXT: pa.string(),
    ColumnKind.CATEGORY: pa.string(),
    ColumnKind.EMPTY: pa.string(),
    ColumnKind.INTEGER: pa.int64(),
    ColumnKind.NUMBER: pa.float64(),
    ColumnKind.BOOLEAN: pa.bool_(),
    ColumnKind.LIST: pa.list_(pa.string()),
}


def _converter(kind: ColumnKind) -> Callable[[Any], Any]:
    if kind in (ColumnKind.TEXT, ColumnKind.CATEGORY, ColumnKind.EMPTY):
        return lambda array: array
    functions: dict[ColumnKind, Callable[[str], Any]] = {
        ColumnKind.INTEGER: _integer,
        ColumnKind.NUMBER: numbers.parse_number,
        ColumnKind.BOOLEAN: lambda text: text.strip().lower() == "true",
        ColumnKind.LIST: _list,
    }
    function = functions[kind]

    def convert(array: Any) -> Any:
        values = array.to_pylist()
        known = {value: function(value) for value in set(values) if value is not None}
        return pa.array([known.get(value) for value in values], _TYPES[kind])

    return convert


def _integer(text: str) -> int | None:
    number = numbers.parse_number(text)
    return None if number is None else int(number)


def _list(text: str) -> list[str]:
    return [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in json.loads(text)]


def _batches(rows: Iterable[Row]) -> Iterator[tuple[list[int], list[list[Cell]]]]:
    """By number of rows and by weight, whichever is reached first."""
    lines: list[int] = []
    cells: list[list[Cell]] = []
    characters = 0
    for line, row in rows:
        lines.append(line)
        cells.append(row)
        characters += sum(map(len, filter(None, row)))
        if len(lines) >= BATCH_ROWS or characters >= BATCH_CHARACTERS:
            yield lines, cells
            lines, cells, characters = [], [], 0
    if lines:
        yield lines, cells


def _shown_rows(batch: Any) -> list[dict[str, Any]]:
    return [{name: _shown(value) for name, value in row.items()} for row in batch.to_pylist()]


def _shown(value: Any) -> Any:
    if isinstance(value, str) and len(value) > PREVIEW_CHARACTERS:
        return value[:PREVIEW_CHARACTERS] + "…"
    return value
