"""Rows of CSV, TSV and their kin, with the physical line on which each begins."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import chain, islice
from typing import TextIO

from kargah.recipes.columns import ColumnKind
from kargah.text import detect
from kargah.workers.reading import bulk
from kargah.workers.reading.batch import Batch, Row, ahead, of_rows
from kargah.workers.reading.errors import EmptyFile, RowTooLong, TooManyColumns, UnclosedQuote, UnknownColumnsDelimiter
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.ragged import leave_out
from kargah.workers.reading.source import Source, opened

Rows = Iterator[Row]

MAX_ROW_CHARACTERS = 16 << 20
MAX_COLUMNS = 4096
_SEP_LINE = re.compile(r"\ufeff?\"?sep=(.)\"?[\r\n]*", re.IGNORECASE)
_EDGES = " \t\u00a0\u200b\u200c\u200d\u200e\u200f\ufeff"
BROKEN = re.compile("[\udc80-\udcff]")
_END = "\ue0ff kargah end of file \ue0ff"
_HEADER_SAMPLE_ROWS = 200


class DelimitedTable:
    """``names`` are known at once; ``rows()`` streams the rest. What is wrong goes into ``findings``; only whole rows come out."""

    def __init__(self, source: Source, findings: Findings, delimiter: str | None = None) -> None:
        self._source, self._findings = source, findings
        self._skipped_lines, self.delimiter = _delimiter_of(source, delimiter)
        sample = [row for _line, row in islice(self._sample_rows(), _HEADER_SAMPLE_ROWS)]
        if not sample:
            raise EmptyFile()
        self._has_header = not detect.lacks_header(sample)
        self.names = self._named(sample[0])
        self._say_what_was_seen(sample[0])
        self.format = "tsv" if self.delimiter == "\t" else "csv"
        self.encoding, self.size_bytes = source.encoding, source.size_bytes
        self.position: Callable[[], int] = int

    def kinds(self) -> dict[str, ColumnKind]:
        """No field of such a file is nested."""
        return {}

    def rows(self) -> Iterator[Row]:
        with opened(self._source) as (text, self.position):
            yield from self._whole_rows(_csv_rows(text, self.delimiter, self._skipped_lines), self._has_header)

    def batches(self) -> Iterator[Batch]:
        """What ``rows()`` gives, many at a time and several times as fast where Arrow can be relied on."""
        source = self._source
        if (
            source.encoding != "utf-8"
            or source.has_broken_bytes
            or source.has_nul
            or self._skipped_lines
            or not bulk.can_read(self.delimiter)
        ):
            yield from of_rows(self.rows())
            return
        has_header = self._has_header
        for piece in ahead(bulk.blocks(source.path, self.delimiter, len(self.names))):
            if isinstance(piece, bulk.Rest):
                with opened(source, piece.offset) as (text, self.position):
                    rows = _csv_rows(text, self.delimiter, 0, lines_before=piece.line - 1)
                    yield from of_rows(self._whole_rows(rows, has_header))
                return
            self.position = partial(int, piece.end)
            yield from self._of_block(piece, has_header)
            has_header = has_header and not self._has_rows(piece)

    def _of_block(self, block: bulk.Block, has_header: bool) -> Iterator[Batch]:
        skipped = int(has_header)
        if block.columns is None:
            yield from of_rows(self._whole_rows(self._rows_of(block), has_header))
        elif len(block.columns[0]) > skipped:
            yield Batch([column.slice(skipped) for column in block.columns], cache(partial(self._lines_of, block, skipped)))

    def _has_rows(self, block: bulk.Block) -> bool:
        return next(self._rows_of(block), None) is not None if block.columns is None else len(block.columns[0]) > 0

    def _lines_of(self, block: bulk.Block, skipped: int) -> Sequence[int]:
        lines = block.lines()
        return ([line for line, _ in self._rows_of(block)] if lines is None else lines)[skipped:]

    def _rows_of(self, block: bulk.Block) -> Iterator[tuple[int, list[str]]]:
        text = io.StringIO(str(block.content, "utf-8"), newline="")
        return _csv_rows(text, self.delimiter, 0, whole=False, lines_before=block.line - 1)

    def _whole_rows(self, rows: Iterator[tuple[int, list[str]]], has_header: bool) -> Iterator[Row]:
        if has_header:
            next(rows, None)
        width = len(self.names)
        for line, row in rows:
            while len(row) > width and not row[-1]:
                row.pop()
            if len(row) != width:
                leave_out(self._findings, line, row, self.names, self.delimiter)
            elif self._source.has_broken_bytes and any(map(BROKEN.search, row)):
                self._findings.note("BROKEN_BYTES", "warning", lines=[line])
            else:
                yield line, [*(self._without_nul(row, line) if self._source.has_nul else row)]

    def _sample_rows(self) -> Iterator[tuple[int, list[str]]]:
        return _csv_rows(io.StringIO(self._source.sample, newline=""), self.delimiter, self._skipped_lines, whole=False)

    def _named(self, header: list[str]) -> list[str]:
        if len(header) > MAX_COLUMNS:
            raise TooManyColumns(columns=len(header), limit=MAX_COLUMNS)
        if not self._has_header:
            return [f"column_{number}" for number in range(1, len(header) + 1)]
        return unique_names(header, self._findings)

    def _say_what_was_seen(self, header: list[str]) -> None:
        if not self._has_header:
            self._findings.note("NO_HEADER", "warning", count=0, first_row=[cell[:80] for cell in header[:5]])
        if self.delimiter == "،":
            self._findings.note("PERSIAN_COMMA", "warning", count=0)
        if len(header) == 1:
            self._findings.note("ONE_COLUMN", "info", count=0)

    def _without_nul(self, row: list[str], line: int) -> list[str]:
        if any("\0" in cell for cell in row):
            self._findings.note("NUL_CHARACTERS", "warning", lines=[line])
            return [cell.replace("\0", "") for cell in row]
        return row


def unique_names(raw: list[str], findings: Findings) -> list[str]:
    """Names without blanks at their ends or doubled inside, none empty, no two alike; what was renamed is said."""
    names: list[str] = []
    for position, text in enumerate(raw, start=1):
        name = clean_name(text)
        if name and name != text.strip("\ufeff"):
            params = findings.note("HEADERS_CLEANED", "warning").params
            params["names"] = [*params.get("names", []), name][:10]
        if not name:
            name = f"column_{position}"
            findings.note("EMPTY_HEADER", "warning", column=name)
        if name in names:
            renamed = next(f"{name}_{number}" for number in range(2, len(raw) + 2) if f"{name}_{number}" not in names)
            findings.note("DUPLICATE_HEADERS", "warning", column=renamed, name=name)
            name = renamed
        names.append(name)
    return names


def clean_name(text: str) -> str:
    return " ".join(text.replace("\0", "").split()).strip(_EDGES)


def _delimiter_of(source: Source, wanted: str | None) -> tuple[int, str]:
    """How many lines come before the table, and what separates its fields. Excel writes ``sep=;`` as a first line."""
    hint = _SEP_LINE.match(source.sample)
    if wanted is not None:
        if len(wanted) != 1 or wanted in '"\r\n':
            raise UnknownColumnsDelimiter(field="delimiter", delimiter=wanted)
        return int(hint is not None), wanted
    return (1, hint[1]) if hint else (0, detect.delimiter(source.sample))


def _csv_rows(
    text: TextIO, delimiter: str, skipped_lines: int, whole: bool = True, lines_before: int = 0
) -> Iterator[tuple[int, list[str]]]:
    """Rows that hold something. After the last line of a ``whole`` text a mark is fed: a quote that swallows it was never closed."""
    csv.field_size_limit(MAX_ROW_CHARACTERS)
    lines = islice(_bounded_lines(text, lines_before), skipped_lines, None)
    lines_before += skipped_lines
    reader = csv.reader(chain(lines, [_END]) if whole else lines, delimiter=delimiter, skipinitialspace=delimiter == "،")
    last = line = 1
    try:
        for row in reader:
            if row == [_END]:
                return
            if any(row):
                yield line + lines_before, row
            last, line = line, reader.line_num + 1
    except csv.Error:
        _refuse(line + lines_before, reader.line_num + lines_before)
    if whole:
        raise UnclosedQuote(line=last + lines_before)


def _refuse(first_line: int, last_line: int) -> None:
    if last_line > first_line:
        raise UnclosedQuote(line=first_line) from None
    raise RowTooLong(line=first_line, limit_bytes=MAX_ROW_CHARACTERS) from None


def _bounded_lines(text: TextIO, number: int = 0) -> Iterator[str]:
    """Lines of a text, refusing one that would not fit into memory before it is there."""
    while line := text.readline(MAX_ROW_CHARACTERS):
        number += 1
        if len(line) >= MAX_ROW_CHARACTERS:
            raise RowTooLong(line=number, limit_bytes=MAX_ROW_CHARACTERS)
        yield line
