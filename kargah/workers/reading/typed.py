"""The table as it is kept: what its cells of text become by the kinds of their columns, and the Parquet file of them."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kargah.recipes.columns import Column, ColumnKind
from kargah.text import numbers
from kargah.workers.reading.amounts import PLAIN_NUMBER
from kargah.workers.reading.batch import BATCH_CHARACTERS, BATCH_ROWS
from kargah.workers.reading.media import Media

PREVIEW_ROWS, PREVIEW_CHARACTERS, PREVIEW_ITEMS = 200, 2000, 500
MEDIA_BATCH_ROWS = 64
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
_AS_IT_CAME = {kind for kind, is_type in _TYPES.items() if is_type == pa.string()}
_CHEAP = _AS_IT_CAME | {ColumnKind.INTEGER, ColumnKind.NUMBER, ColumnKind.BOOLEAN}


class Typing:
    """``batch`` makes typed batches of those that hold the columns' cells as strings, in the columns' order."""

    def __init__(self, columns: Sequence[Column], media: Media | None = None) -> None:
        self.schema = pa.schema([pa.field(column.name, _TYPES[column.kind]) for column in columns])
        #: The places of the columns whose cells do not stay as they came.
        self.changing = [place for place, column in enumerate(columns) if column.kind not in _AS_IT_CAME]
        #: Whether a batch is made again sooner than it is kept.
        self.is_cheap = all(column.kind in _CHEAP for column in columns)
        self._convert = [_converter(column.kind, media) for column in columns]
        self._rows_at_once = None if media is None else MEDIA_BATCH_ROWS

    def batch(self, strings: Any) -> Any:
        arrays = [function(array) for function, array in zip(self._convert, strings.columns, strict=True)]
        return pa.record_batch(arrays, schema=self.schema)

    def hollow(self, strings: Any) -> Any:
        """Such a batch without the cells of ``changing`` columns."""
        arrays = list(strings.columns)
        for place in self.changing:
            arrays[place] = pa.nulls(len(arrays[place]), self.schema.field(place).type)
        return pa.record_batch(arrays, schema=self.schema)

    def batches(self, strings: Iterable[Any]) -> Iterator[Any]:
        for batch in strings:
            size = self._rows_at_once or batch.num_rows
            for start in range(0, batch.num_rows, size):
                yield self.batch(batch.slice(start, size))


class TypedFile:
    """A Parquet file that grows by typed batches, a row group each. ``preview`` has its first rows."""

    def __init__(self, path: Path, columns: Sequence[Column], schema: Any) -> None:
        self.preview: list[dict[str, Any]] = []
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=_repetitive(columns, schema))

    def __enter__(self) -> "TypedFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._writer.close()

    def write(self, batch: Any) -> None:
        self._writer.write_batch(batch)
        if len(self.preview) < PREVIEW_ROWS:
            self.preview += _shown_rows(batch.slice(0, PREVIEW_ROWS - len(self.preview)))


def row_groups(path: Path) -> Iterator[Any]:
    """The batches that a file grew by."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield from file.read_row_group(number).combine_chunks().to_batches()


@contextmanager
def gathering(put: Callable[[Any], None]) -> Iterator[Callable[[Any], None]]:
    """Batches that are given in small ones, as of a very wide table, are ``put`` together: each becomes a row group."""
    waiting: list[Any] = []

    def give(batch: Any) -> None:
        waiting.append(batch)
        if sum(each.num_rows for each in waiting) >= BATCH_ROWS or sum(each.nbytes for each in waiting) >= BATCH_CHARACTERS:
            put_waiting()

    def put_waiting() -> None:
        put(pa.concat_batches(waiting) if len(waiting) > 1 else waiting[0])
        waiting.clear()

    yield give
    if waiting:
        put_waiting()


def _repetitive(columns: Sequence[Column], schema: Any) -> list[str]:
    """The leaves for which a dictionary of their values is worth making: all but those of running text."""
    running = {column.name for column in columns if column.kind is ColumnKind.TEXT and 2 * column.distinct > column.rows}
    return [leaf for field in schema if field.name not in running for leaf in _leaves(field.name, field.type)]


def _leaves(path: str, kind: Any) -> Iterator[str]:
    """As Parquet names them."""
    if pa.types.is_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    else:
        yield path


def _converter(kind: ColumnKind, media: Media | None) -> Callable[[Any], Any]:
    if kind in _AS_IT_CAME:
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
        if kind in (ColumnKind.INTEGER, ColumnKind.NUMBER) and pc.all(pc.match_substring_regex(array, PLAIN_NUMBER)).as_py():
            return pc.cast(pc.cast(array, pa.float64()), _TYPES[kind])
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
