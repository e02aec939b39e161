"""Rows of JSON: one object a line, an array of objects, objects under a key, or an object of columns."""

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from kargah.text import detect
from kargah.workers.reading.delimited import BROKEN, MAX_COLUMNS, MAX_ROW_CHARACTERS, Row, unique_names
from kargah.workers.reading.errors import (
    BrokenJson,
    EmptyFile,
    JsonTooLarge,
    NestedTooDeeply,
    NotTabular,
    NoUsableRows,
    RowTooLong,
    TooManyColumns,
)
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.source import Source, opened

MAX_OBJECT_BYTES = 256 << 20
_CHUNK_CHARACTERS = 1 << 20
_BETWEEN = re.compile(r"[\s,]*")
#: Half of a pair, which JSON escapes can say, is no character.
_SURROGATES = re.compile("[\ud800-\udfff]")
_OPENING = re.compile(r"\s*\[")
Record = tuple[int, dict[str, Any]]


class JsonTable:
    """``names`` are known after one reading of the file, ``rows()`` streams a second: keys that first come late lose nothing."""

    delimiter = None

    def __init__(self, source: Source, findings: Findings, tick: Callable[[], None]) -> None:
        self._source, self._findings = source, findings
        self._kinds: dict[str, dict[str, int]] = {}
        keys = self._keys(tick)
        if len(keys) > MAX_COLUMNS:
            raise TooManyColumns(columns=len(keys), limit=MAX_COLUMNS)
        self._keys_in_order = list(keys)
        self.names = unique_names([_SURROGATES.sub("\ufffd", key) for key in keys], findings)

    def rows(self, text: TextIO) -> Iterator[Row]:
        for line, record in _records(self._source, text, self._findings):
            cells = [self._cell(key, record.get(key), line) for key in self._keys_in_order]
            if self._source.has_broken_bytes and any(BROKEN.search(cell) for cell in cells if cell):
                self._findings.note("BROKEN_BYTES", "warning", lines=[line])
            else:
                yield line, [cell if cell is None or cell.isascii() else _SURROGATES.sub("\ufffd", cell) for cell in cells]
        self._say_mixed_types()

    def list_columns(self) -> set[str]:
        """Columns that hold lists and nothing else. Complete once ``rows()`` has ended."""
        pairs = zip(self._keys_in_order, self.names, strict=True)
        return {name for key, name in pairs if set(self._kinds.get(key, ())) == {"list"}}

    def _keys(self, tick: Callable[[], None]) -> dict[str, None]:
        keys: dict[str, None] = {}
        seen = Findings()
        with opened(self._source) as (text, _position):
            for _line, record in _records(self._source, text, seen):
                tick()
                keys.update(dict.fromkeys(record))
        if not keys:
            _refuse(seen)
        return keys

    def _cell(self, key: str, value: Any, line: int) -> str | None:
        if value is None:
            return None
        kind = _kind(value)
        self._kinds.setdefault(key, {}).setdefault(kind, line)
        if kind == "string":
            return self._source_text(value, line)
        if isinstance(value, float) and not math.isfinite(value):
            self._findings.note("NOT_FINITE", "warning", column=key, lines=[line])
            return None
        return json.dumps(value, ensure_ascii=False)

    def _source_text(self, value: str, line: int) -> str:
        if "\0" in value:
            self._findings.note("NUL_CHARACTERS", "warning", lines=[line])
            return value.replace("\0", "")
        return value

    def _say_mixed_types(self) -> None:
        for key, kinds in self._kinds.items():
            if len(set(kinds) - {"number"}) > 1 or ("number" in kinds and "string" in kinds):
                where = sorted(kinds.values())
                self._findings.note("MIXED_TYPES", "warning", column=key, count=len(kinds), lines=where, types=sorted(kinds))


def _refuse(seen: Findings) -> None:
    """No key was found: say what was, the first trouble first."""
    if broken := seen.get("BROKEN_LINES") or seen.get("CUT_OFF"):
        raise NoUsableRows(rows_dropped=broken.count, lines=broken.lines)
    if other := seen.get("NOT_AN_OBJECT"):
        raise NotTabular(found=other.params["found"])
    raise EmptyFile()


def _records(source: Source, text: TextIO, findings: Findings) -> Iterator[Record]:
    try:
        if source.shape is detect.Shape.JSON_LINES:
            yield from _lines(text, findings)
        elif source.shape is detect.Shape.JSON_ARRAY:
            yield from _array(text, findings)
        else:
            yield from _object(source, text, findings)
    except RecursionError:
        raise NestedTooDeeply() from None


def _lines(text: TextIO, findings: Findings) -> Iterator[Record]:
    number = 0
    while line := text.readline(MAX_ROW_CHARACTERS):
        number += 1
        if len(line) >= MAX_ROW_CHARACTERS:
            raise RowTooLong(line=number, limit_bytes=MAX_ROW_CHARACTERS)
        if line.strip():
            yield from ((number, record) for record in _objects_of_line(line, number, findings))


def _objects_of_line(line: str, number: int, findings: Findings) -> Iterator[dict[str, Any]]:
    """The object of a line; several when they are glued together. A line that cannot be read is left out and said."""
    decoder, position, line = _decoder(number, findings), 0, line.strip()
    while position < len(line):
        try:
            value, position = decoder.raw_decode(line, position)
        except ValueError as error:
            findings.note("BROKEN_LINES", "error", lines=[number]).params.setdefault("column", getattr(error, "colno", None))
            return
        if not isinstance(value, dict):
            findings.note("NOT_AN_OBJECT", "error", lines=[number], found=_kind(value))
            return
        yield value
        position = _skipped(_BETWEEN, line, position)
        if position < len(line):
            findings.note("GLUED_OBJECTS", "warning", lines=[number])


class _Window:
    """A part of a long text, a place in it, and the line of that place."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self.content = text.read(_CHUNK_CHARACTERS)
        self.position = 0
        self.line = 1

    @property
    def room(self) -> int:
        return len(self.content) - self.position

    def grow(self) -> bool:
        """Drop what is done and read as much again, so that a long element is tried few times; False at the end of the text."""
        more = self._text.read(max(_CHUNK_CHARACTERS, self.room))
        self.content, self.position = self.content[self.position :] + more, 0
        return bool(more)

    def advance(self, end: int) -> None:
        self.line += self.content.count("\n", self.position, end)
        self.position = end

    def skip(self, pattern: re.Pattern[str]) -> None:
        self.advance(_skipped(pattern, self.content, self.position))


def _array(text: TextIO, findings: Findings) -> Iterator[Record]:
    """Elements one by one, whatever the length of the array. What is broken ends the reading, and is said with its place."""
    window = _Window(text)
    window.skip(_OPENING)
    while True:
        window.skip(_BETWEEN)
        if not window.room and window.grow():
            continue
        if window.content.startswith("]", window.position):
            return
        decoded = _element(window, findings)
        if decoded is None:
            findings.note("CUT_OFF", "error", lines=[window.line])
            return
        value, end = decoded
        if isinstance(value, dict):
            yield window.line, value
        else:
            findings.note("NOT_AN_OBJECT", "error", lines=[window.line], found=_kind(value))
        window.advance(end)


def _element(window: _Window, findings: Findings) -> tuple[Any, int] | None:
    """The next element and where it ends; None when there is no whole one."""
    while True:
        try:
            return _decoder(window.line, findings).raw_decode(window.content, window.position)
        except ValueError:
            if window.room > 2 * MAX_ROW_CHARACTERS:
                raise RowTooLong(line=window.line, limit_bytes=MAX_ROW_CHARACTERS) from None
            if not window.grow():
                return None


def _object(source: Source, text: TextIO, findings: Findings) -> Iterator[Record]:
    """Records under a key (``{"data": [...]}``), or columns (``{"a": [...], "b": [...]}``)."""
    content = text.read(MAX_OBJECT_BYTES)
    if len(content) >= MAX_OBJECT_BYTES:
        raise JsonTooLarge(size_bytes=source.size_bytes, limit_bytes=MAX_OBJECT_BYTES)
    try:
        value = _decoder(1, findings).decode(content)
    except json.JSONDecodeError as error:
        raise BrokenJson(line=error.lineno, column=error.colno) from None
    lists: dict[str, list[Any]] = {}
    if isinstance(value, dict):
        lists = {key: item for key, item in value.items() if isinstance(item, list) and item}
    of_objects = [item for item in lists.values() if all(isinstance(element, dict) for element in item)]
    if of_objects:
        longest: list[dict[str, Any]] = max(of_objects, key=len)
        yield from enumerate(longest, start=1)
    elif lists and len({len(item) for item in lists.values()}) == 1:
        rows = zip(*lists.values(), strict=True)
        yield from ((number, dict(zip(lists, row, strict=True))) for number, row in enumerate(rows, start=1))
    elif isinstance(value, dict) and value and not lists:
        yield 1, value
    else:
        raise NotTabular(found="JSON")


def _decoder(line: int, findings: Findings) -> json.JSONDecoder:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(items)
        if len(record) < len(items):
            findings.note("DUPLICATE_KEYS", "warning", lines=[line])
        return record

    return json.JSONDecoder(object_pairs_hook=pairs, parse_constant=float)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list):
        return "list"
    return "object" if isinstance(value, dict) else "string" if isinstance(value, str) else "null"


def _skipped(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position
