"""Tables that others already typed: Parquet, and Arrow (Feather) as a file or a stream."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kargah.recipes.columns import ColumnKind
from kargah.workers.reading import nested
from kargah.workers.reading.batch import Cell, Row
from kargah.workers.reading.checks import checks_for
from kargah.workers.reading.delimited import MAX_COLUMNS, unique_names
from kargah.workers.reading.errors import BrokenTable, EmptyFile, TooManyColumns
from kargah.workers.reading.findings import Findings

_BATCH_ROWS, _SAMPLE_ROWS = 1024, 200
_STREAM = b"\xff\xff\xff\xff"
Batches = Iterator[Any]


def kind_of(head: bytes) -> str | None:
    """``Parquet``, ``Arrow`` or ``Arrow stream`` by the first bytes; marks of mere letters may begin a text too."""
    if head.startswith(b"ARROW1\0\0"):
        return "Arrow"
    if head.startswith(_STREAM):
        return "Arrow stream"
    return "Parquet" if head.startswith(b"PAR1") and b"\0" in head else None


class ColumnarTable:
    """Lines are rows, from 1. Values travel as text, as those of all formats do; types are found anew."""

    delimiter = None
    encoding = "utf-8"

    def __init__(self, path: Path, kind: str, findings: Findings, leave_out_bad_rows: bool = False) -> None:
        self._path, self._kind, self._findings, self._leave_out = path, kind, findings, leave_out_bad_rows
        self.format = "parquet" if kind == "Parquet" else "arrow"
        self.size_bytes = path.stat().st_size
        self.position: Callable[[], int] = int
        self._done = 0
        schema = self._schema()
        if len(schema) > MAX_COLUMNS:
            raise TooManyColumns(columns=len(schema), limit=MAX_COLUMNS)
        self._places = [place for place, column in enumerate(schema) if self._is_readable(column)]
        if not self._places:
            raise EmptyFile()
        self._keys = [schema.field(place).name for place in self._places]
        self.names = unique_names(self._keys, findings)
        self._kinds = self._looked_at()

    def kinds(self) -> dict[str, ColumnKind]:
        return {name: kind for name, kind in zip(self.names, self._kinds, strict=True) if kind is not None}

    def rows(self) -> Iterator[Row]:
        checks = checks_for(dict(zip(self._keys, self._kinds, strict=True)), self._findings, self._leave_out)
        self.position = lambda: self._done
        line = 0
        for batch in self._batches():
            for values in zip(*self._values(batch), strict=True):
                line += 1
                record = dict(zip(self._keys, values, strict=True)) if checks else {}
                if all(check.accepts(line, record) for check in checks):
                    yield line, [self._cell(*cell, line) for cell in zip(self._keys, self._kinds, values, strict=True)]
        for check in checks:
            check.finish()

    def _cell(self, key: str, kind: ColumnKind | None, value: Any, line: int) -> Cell:
        if value is None:
            return None
        if kind is not None:
            return nested.as_json(_plain(value), kind)
        if isinstance(value, str):
            return value.replace("\0", "")
        if isinstance(value, float) and not math.isfinite(value):
            self._findings.note("NOT_FINITE", "warning", column=key, lines=[line])
            return None
        return _scalar(value)

    def _looked_at(self) -> list[ColumnKind | None]:
        """What the nested columns are, by their first rows."""
        batch = next(self._batches(), None)
        if batch is None:
            return [None] * len(self._places)
        columns = self._values(batch.slice(0, _SAMPLE_ROWS))
        return [nested.column_kind(Counter(nested.kind_of(_plain(value)) for value in values)) for values in columns]

    def _values(self, batch: Any) -> list[list[Any]]:
        """The readable columns as Python values. Names within a type and moments beyond all calendars fail no earlier than here."""
        try:
            return [batch.column(place).to_pylist() for place in self._places]
        except (pa.ArrowException, ValueError, OverflowError):
            raise BrokenTable(kind=self._kind) from None

    def _is_readable(self, column: Any) -> bool:
        if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type) or pa.types.is_fixed_size_binary(column.type):
            self._findings.note("COLUMN_NOT_READ", "warning", column=column.name, count=0, type=str(column.type))
            return False
        return True

    def _schema(self) -> Any:
        try:
            schema = pq.read_schema(self._path) if self._kind == "Parquet" else self._schema_of_messages()
            _ = schema.names  # those that are no text fail here
            return schema
        except (pa.ArrowException, OSError, ValueError):
            raise BrokenTable(kind=self._kind) from None

    def _schema_of_messages(self) -> Any:
        with self._reader() as reader:
            return reader.schema

    def _reader(self) -> Any:
        source = pa.memory_map(str(self._path))
        return pa.ipc.open_stream(source) if self._kind == "Arrow stream" else pa.ipc.open_file(source)

    def _batches(self) -> Batches:
        """Small ones, so that a row group of any size never stands as Python values all at once."""
        try:
            for batch in self._whole_batches():
                batch.validate(full=True)  # damaged offsets would be followed out of the memory that is ours
                for start in range(0, batch.num_rows, _BATCH_ROWS):
                    yield batch.slice(start, _BATCH_ROWS)
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise BrokenTable(kind=self._kind) from None

    def _whole_batches(self) -> Batches:
        if self._kind == "Parquet":
            with pq.ParquetFile(self._path) as file:
                total = max(1, file.metadata.num_rows)
                for number, batch in enumerate(file.iter_batches(_BATCH_ROWS, use_threads=False), start=1):
                    self._done = min(self.size_bytes, self.size_bytes * number * _BATCH_ROWS // total)
                    yield batch
            return
        with self._reader() as reader:
            if self._kind == "Arrow stream":
                yield from reader
            else:
                yield from (reader.get_batch(number) for number in range(reader.num_record_batches))


def _plain(value: Any) -> Any:
    """What JSON can say: of a list of pairs (a map) an object, of moments their ISO form, of bytes nothing."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return None if isinstance(value, bytes) else _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ") if value.time().isoformat() != "00:00:00" else value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
