"""From rows of strings to a typed Parquet file, in two passes and bounded memory.

The first pass measures the columns while all cells go, as strings, to a temporary file; only then are the types known. The
second converts. Text stays as it was; numbers, booleans and lists get types of their own.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kargah.recipes.columns import Column, ColumnKind
from kargah.text import numbers
from kargah.text.normalise import Normaliser
from kargah.workers.reading.delimited import Cell, Row
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.media import Media
from kargah.workers.reading.profile import ColumnProfile

BATCH_ROWS, BATCH_CHARACTERS = 10_000, 16 << 20
#: Different values remembered over all columns, 64 bits each; and rows remembered to tell duplicates.
DISTINCT_BUDGET, DUPLICATES_BUDGET = 2_000_000, 3_000_000
PREVIEW_ROWS, PREVIEW_CHARACTERS, PREVIEW_ITEMS = 200, 2000, 500
MEDIA_BATCH_ROWS = 64


class RawTable:
    """The first pass. ``profiles`` are whole when all was read; among ``rows_compared`` rows duplicates were looked for."""

    def __init__(self, names: list[str], findings: Findings, normaliser: Normaliser) -> None:
        self.names = names
        self.rows = self.rows_compared = 0
        self._findings = findings
        self._seen: set[int] = set()
        max_distinct = max(1000, DISTINCT_BUDGET // len(names))
        self.profiles = [ColumnProfile(name, findings, normaliser, max_distinct) for name in names]
        self._schema = pa.schema([pa.field(str(index), pa.string()) for index in range(len(names))])
        self._writer: Any = None

    @contextmanager
    def stored_at(self, path: Path) -> Iterator[None]:
        """Where the rows go that are read within."""
        with pq.ParquetWriter(path, self._schema, compression="zstd") as self._writer:
            yield

    def read(self, rows: Iterable[Row], path: Path, tick: Callable[[], None]) -> None:
        """All rows there are, in one go."""
        with self.stored_at(path):
            self.add(rows, tick)

    def add(self, rows: Iterable[Row], tick: Callable[[], None]) -> int:
        """Measure and store; how many rows came. ``tick`` is called between batches and may raise to end it all."""
        before = self.rows
        for lines, cells in _batches(rows):
            self._writer.write_batch(self._batch(lines, cells))
            tick()
        return self.rows - before

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


def write_typed(raw: Path, target: Path, columns: list[Column], tick: Callable[[int], None], media: Media | None = None) -> list[Any]:
    """The second pass: ``target`` with the columns' types. The first rows are returned for the preview."""
    convert = [_converter(column.kind, media) for column in columns]
    schema = pa.schema([pa.field(column.name, _TYPES[column.kind]) for column in columns])
    preview: list[dict[str, Any]] = []
    done = 0
    with pq.ParquetFile(raw) as file, pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in file.iter_batches(BATCH_ROWS if media is None else MEDIA_BATCH_ROWS):
            arrays = [function(array) for function, array in zip(convert, batch.columns, strict=True)]
            typed = pa.record_batch(arrays, schema=schema)
            writer.write_batch(typed)
            if len(preview) < PREVIEW_ROWS:
                preview += _shown_rows(typed.slice(0, PREVIEW_ROWS - len(preview)))
            done += batch.num_rows
            tick(done)
    return preview


_MEDIA = pa.struct([("path", pa.string()), ("bytes", pa.binary())])
_TYPES = {
    ColumnKind.TEXT: pa.string(),
    ColumnKind.CATEGORY: pa.string(),
    ColumnKind.EMPTY: pa.string(),
    ColumnKind.JSON: pa.string(),
    ColumnKind.INTEGER: pa.int64(),
    ColumnKind.NUMBER: pa.float64(),
    ColumnKind.BOOLEAN: pa.bool_(),
    ColumnKind.LIST: pa.list_(pa.string()),
    ColumnKind.MESSAGES: pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
    ColumnKind.ANSWERS: pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))]),
    ColumnKind.AUDIO: _MEDIA,
    ColumnKind.IMAGE: _MEDIA,
}


def _converter(kind: ColumnKind, media: Media | None) -> Callable[[Any], Any]:
    if _TYPES[kind] == pa.string():
        return lambda array: array
    if kind in (ColumnKind.AUDIO, ColumnKind.IMAGE):
        assert media is not None
        return lambda array: pa.array([None if name is None else media.read(name) for name in array.to_pylist()], _TYPES[kind])
    functions: dict[ColumnKind, Callable[[str], Any]] = {
        ColumnKind.INTEGER: _integer,
        ColumnKind.NUMBER: numbers.parse_number,
        ColumnKind.BOOLEAN: lambda text: text.strip().lower() == "true",
        ColumnKind.LIST: _list,
        ColumnKind.MESSAGES: _messages,
        ColumnKind.ANSWERS: json.loads,
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


def _messages(text: str) -> list[dict[str, str]] | None:
    value = json.loads(text)
    return value if isinstance(value, list) else None


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
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items() if not isinstance(item, bytes)}
    if isinstance(value, list):
        return [_shown(item) for item in value[:PREVIEW_ITEMS]]
    if isinstance(value, str) and len(value) > PREVIEW_CHARACTERS:
        return value[:PREVIEW_CHARACTERS] + "…"
    return value
