"""Rows of JSON: one object a line, an array of objects, objects under a key, or an object of columns."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from kargah.recipes.columns import ColumnKind
from kargah.text import detect
from kargah.workers.reading import nested, squad
from kargah.workers.reading.batch import Cell, Row
from kargah.workers.reading.checks import checks_for
from kargah.workers.reading.containers import Tick
from kargah.workers.reading.delimited import BROKEN, MAX_COLUMNS, MAX_ROW_CHARACTERS, unique_names
from kargah.workers.reading.errors import (
    BrokenJson,
    BrokenLines,
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

MAX_OBJECT_BYTES = 96 << 20
_CHUNK_CHARACTERS = 1 << 20
_BETWEEN = re.compile(r"[\s,]*")
#: Half of a pair, which JSON escapes can say, is no character.
_SURROGATES = re.compile("[\ud800-\udfff]")
_OPENING = re.compile(r"\s*\[")
Record = tuple[int, dict[str, Any]]


class JsonTable:
    """``names`` are known after one reading of the file, ``rows()`` streams a second: keys that first come late lose nothing."""

    delimiter = None

    def __init__(self, source: Source, findings: Findings, tick: Tick, leave_out_bad_rows: bool = False) -> None:
        self._source, self._findings, self._leave_out = source, findings, leave_out_bad_rows
        self._seen: dict[str, Counter[str]] = {}
        self._first_lines: dict[str, dict[str, int]] = {}
        self._look_through(tick)
        if len(self._seen) > MAX_COLUMNS:
            raise TooManyColumns(columns=len(self._seen), limit=MAX_COLUMNS)
        self._kinds = {key: nested.column_kind(seen) for key, seen in self._seen.items()}
        self.names = unique_names([_SURROGATES.sub("\ufffd", key) for key in self._seen], findings)
        self.encoding, self.size_bytes = source.encoding, source.size_bytes
        self.format = "json" if source.shape is detect.Shape.JSON_OBJECT else source.shape.value
        self.position: Callable[[], int] = int

    def rows(self) -> Iterator[Row]:
        checks = checks_for(self._kinds, self._findings, self._leave_out)
        with opened(self._source) as (text, self.position):
            for line, record in _records(self._source, text, self._findings):
                if all(check.accepts(line, record) for check in checks) and (row := self._row(line, record)) is not None:
                    yield line, row
        self._say_mixed_types()
        for check in checks:
            check.finish()
        broken = self._findings.get("BROKEN_LINES")
        if broken and not self._leave_out:
            reasons = [{"code": "json.broken", "params": {"line": line}} for line in broken.lines]
            raise BrokenLines(count=broken.count, reasons=reasons)

    def kinds(self) -> dict[str, ColumnKind]:
        """The nested columns, by name."""
        return {name: kind for name, kind in zip(self.names, self._kinds.values(), strict=True) if kind is not None}

    def _row(self, line: int, record: dict[str, Any]) -> list[Cell] | None:
        cells = [self._cell(key, kind, record.get(key), line) for key, kind in self._kinds.items()]
        if self._source.has_broken_bytes and any(BROKEN.search(cell) for cell in cells if cell):
            self._findings.note("BROKEN_BYTES", "warning", lines=[line])
            return None
        return [cell if cell is None or cell.isascii() else _SURROGATES.sub("\ufffd", cell) for cell in cells]

    def _look_through(self, tick: Tick) -> None:
        """Which keys there are, and what stands under them how often."""
        found = Findings()
        with opened(self._source) as (text, _position):
            for line, record in _records(self._source, text, found):
                tick()
                for key, value in record.items():
                    kind = nested.kind_of(value)
                    self._seen.setdefault(key, Counter())[kind] += 1
                    if value is not None:
                        self._first_lines.setdefault(key, {}).setdefault(kind, line)
        if not self._seen:
            _refuse(found)

    def _cell(self, key: str, kind: ColumnKind | None, value: Any, line: int) -> Cell:
        if value is None:
            return None
        if kind is not None:
            return nested.as_json(value, kind)
        if isinstance(value, str):
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
        for key, lines in self._first_lines.items():
            kinds = {("list" if kind in ("messages", "answers") else kind) for kind in lines}
            if len(kinds - {"number"}) > 1 or ("number" in kinds and "string" in kinds):
                where = sorted(set(lines.values()))
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
            findings.note("NOT_AN_OBJECT", "error", lines=[number], found=nested.kind_of(value))
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
            findings.note("NOT_AN_OBJECT", "error", lines=[window.line], found=nested.kind_of(value))
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
        yield from enumerate(squad.questions(longest) if squad.is_squad(longest) else longest, start=1)
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


def _skipped(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position
