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
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kargah.recipes.columns import Column, ColumnKind
from kargah.text import numbers
from kargah.text.normalise import Normaliser
from kargah.workers.reading.amounts import PLAIN_NUMBER
from kargah.workers.reading.batch import BATCH_CHARACTERS, BATCH_ROWS, Batch, Lines, Row, abreast, ahead, behind, beside, of_rows
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.media import Media
from kargah.workers.reading.profile import ColumnProfile, Look
from kargah.workers.reading.signs import PersonalRows

#: Different values remembered over all columns, 64 bits each; and rows remembered to tell duplicates.
DISTINCT_BUDGET, DUPLICATES_BUDGET = 2_000_000, 3_000_000
PREVIEW_ROWS, PREVIEW_CHARACTERS, PREVIEW_ITEMS = 200, 2000, 500
MEDIA_BATCH_ROWS = 64
#: Of typed batches that wait to be looked at.
UNSEEN_BYTES = 32 << 20


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
        self._store: Callable[[Any], None]

    @contextmanager
    def stored_at(self, path: Path) -> Iterator[None]:
        """Where the rows go that are read within."""
        with (
            pa.OSFile(str(path), "wb") as file,
            pa.ipc.new_stream(file, self._schema) as writer,
            behind(writer.write_batch) as self._store,
        ):
            yield

    def read(self, rows: Iterable[Row], path: Path, tick: Callable[[], None]) -> None:
        """All rows there are, in one go."""
        with self.stored_at(path):
            self.add(of_rows(rows), tick)

    def add(self, batches: Iterable[Batch], tick: Callable[[], None]) -> int:
        """Measure and store; how many rows came. ``tick`` is called between batches and may raise to end it all."""
        before = self.rows
        for batch, looks in abreast(self._look, (part for whole in batches for part in whole.parts())):
            self._store(self._measured(batch, looks))
            tick()
        return self.rows - before

    def personal_rows(self) -> dict[str, PersonalRows]:
        return {profile.name: profile.personal_rows for profile in self.profiles}

    def _look(self, batch: Batch) -> list[Look]:
        return [profile.look(values) for profile, values in zip(self.profiles, batch.columns, strict=True)]

    def _measured(self, batch: Batch, looks: list[Look]) -> Any:
        self.rows += batch.rows
        self._note_duplicates([look.hashes for look in looks], batch.lines)
        columns = zip(self.profiles, batch.columns, looks, strict=True)
        return pa.record_batch([profile.add(values, look, batch.lines) for profile, values, look in columns], schema=self._schema)

    def _note_duplicates(self, hashes: list[list[int]], lines: Lines) -> None:
        if len(self._seen) > DUPLICATES_BUDGET:
            return
        self.rows_compared = self.rows
        rows = list(map(hash, zip(*hashes, strict=True)))
        new = set(rows)
        if len(new) < len(rows) or not self._seen.isdisjoint(new):
            places = list(self._repeated(rows))
            finding = self._findings.note("DUPLICATE_ROWS", "warning", count=0)
            finding.add(len(places), (lines()[place] for place in places))
        self._seen |= new

    def _repeated(self, rows: list[int]) -> Iterator[int]:
        """The places of rows that stood before, here or in an earlier batch."""
        here = set[int]()
        for place, row in enumerate(rows):
            if row in here or row in self._seen:
                yield place
            here.add(row)


def write_typed(
    raw: Path,
    target: Path,
    columns: list[Column],
    tick: Callable[[int], None],
    see: Callable[[Any], None],
    media: Media | None = None,
) -> list[Any]:
    """The second pass: ``target`` with the columns' types. The first rows are returned for the preview.

    ``see`` gets each typed batch, in a thread of its own. It dwells on the first ones: where batches are cheap to make it has its own,
    and nobody waits for it before the end.
    """
    schema = pa.schema([pa.field(column.name, _TYPES[column.kind]) for column in columns])
    preview: list[dict[str, Any]] = []
    done = 0
    options = {"compression": "zstd", "use_dictionary": _repetitive(columns, schema)}
    apart = all(column.kind in _CHEAP for column in columns)
    with (
        beside(see, _typed(raw, columns, schema, media) if apart else ()),
        pq.ParquetWriter(target, schema, **options) as writer,
        behind(writer.write_batch) as write,
        behind(see, UNSEEN_BYTES) as show,
    ):
        for batch in ahead(_typed(raw, columns, schema, media)):
            write(batch)
            if not apart:
                show(batch)
            if len(preview) < PREVIEW_ROWS:
                preview += _shown_rows(batch.slice(0, PREVIEW_ROWS - len(preview)))
            done += batch.num_rows
            tick(done)
    return preview


def _repetitive(columns: list[Column], schema: Any) -> list[str]:
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


def _typed(raw: Path, columns: list[Column], schema: Any, media: Media | None) -> Iterator[Any]:
    convert = [_converter(column.kind, media) for column in columns]
    with pa.OSFile(str(raw)) as file, pa.ipc.open_stream(file) as reader:
        for batch in _gathered(reader):
            size = batch.num_rows if media is None else MEDIA_BATCH_ROWS
            for start in range(0, batch.num_rows, size):
                part = batch.slice(start, size).columns
                yield pa.record_batch([function(array) for function, array in zip(convert, part, strict=True)], schema=schema)


def _gathered(batches: Iterable[Any]) -> Iterator[Any]:
    """Those that came in small ones, as of a very wide table, together: each becomes a row group."""
    waiting: list[Any] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.num_rows for each in waiting) >= BATCH_ROWS or sum(each.nbytes for each in waiting) >= BATCH_CHARACTERS:
            yield pa.concat_batches(waiting) if len(waiting) > 1 else batch
            waiting = []
    if waiting:
        yield pa.concat_batches(waiting)


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


#: Kinds of which a batch is made again sooner than it is kept.
_CHEAP = {kind for kind, is_type in _TYPES.items() if is_type == pa.string()} | {ColumnKind.INTEGER, ColumnKind.NUMBER, ColumnKind.BOOLEAN}


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
