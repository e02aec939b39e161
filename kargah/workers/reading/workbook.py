"""Excel workbooks, read as a stream. Formulas give the values that Excel last computed; nothing in the file is run or fetched."""

import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from kargah.recipes.columns import ColumnKind
from kargah.text import detect
from kargah.workers.reading.batch import Cell, Row
from kargah.workers.reading.containers import archive_errors, check_sizes
from kargah.workers.reading.delimited import MAX_COLUMNS, unique_names
from kargah.workers.reading.errors import BrokenArchive, BrokenTable, EmptyFile, ExpandsTooMuch, TooManyColumns
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.ragged import leave_out

_HEADER_SAMPLE_ROWS = 200
#: All different texts of a workbook lie in memory while it is read.
_MAX_STRINGS_BYTES = 128 << 20
_DECLARATION = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)
_HIDDEN_ROW = re.compile(rb"<row\b[^>]*\bhidden=\"(?:1|true)\"")
_FORMULA = re.compile(rb"<f[ >/]")
_CHUNK_BYTES = 1 << 20
#: What reading a damaged or dishonest workbook may end in, whoever of zipfile, expat or openpyxl sees it.
_BROKEN = (
    InvalidFileException, zipfile.BadZipFile, zlib.error, lzma.LZMAError, LookupError, ValueError, TypeError, AttributeError, SyntaxError,
    EOFError, ArithmeticError, NotImplementedError, RuntimeError,
)  # fmt: skip


class WorkbookTable:
    """The first sheet with rows, whichever it is called. Lines are the sheet's own row numbers. Blank rows are no rows."""

    delimiter, format, encoding = None, "xlsx", "utf-8"

    def __init__(self, path: Path, findings: Findings) -> None:
        self._path, self._findings = path, findings
        self.size_bytes = path.stat().st_size
        self.position: Callable[[], int] = int
        _check(path)
        self._sheet = self._chosen_sheet()
        sample = [row for _line, row in islice(self._filled_rows(), _HEADER_SAMPLE_ROWS)]
        self._width = max(map(len, sample))
        if self._width > MAX_COLUMNS:
            raise TooManyColumns(columns=self._width, limit=MAX_COLUMNS)
        texts = [[cell or "" for cell in self._padded(row)] for row in sample]
        self._has_header = not detect.lacks_header(texts)
        if self._has_header:
            self.names = unique_names(texts[0], findings)
        else:
            self.names = [f"column_{number}" for number in range(1, self._width + 1)]
            findings.note("NO_HEADER", "warning", count=0, first_row=[cell[:80] for cell in texts[0][:5]])
        self._look_for_formulas()

    def kinds(self) -> dict[str, ColumnKind]:
        return {}

    def rows(self) -> Iterator[Row]:
        rows = self._filled_rows()
        if self._has_header:
            next(rows, None)
        for line, row in rows:
            if len(row) > self._width:
                leave_out(self._findings, line, row, self.names, self.delimiter)
            else:
                yield line, self._padded(row)

    def _padded(self, row: list[Cell]) -> list[Cell]:
        return row + [None] * (self._width - len(row))

    def _chosen_sheet(self) -> str:
        filled = [name for name in self._sheet_names() if next(self._filled_rows(name), None) is not None]
        if not filled:
            raise EmptyFile()
        if len(filled) > 1:
            self._findings.note("OTHER_SHEETS", "warning", count=0, sheet=filled[0], others=filled[1:21])
        return filled[0]

    def _sheet_names(self) -> list[str]:
        with _workbook(self._path) as book:
            return [sheet.title for sheet in book.worksheets]

    def _filled_rows(self, name: str | None = None) -> Iterator[tuple[int, list[Cell]]]:
        with _workbook(self._path) as book:
            sheet = book[name or self._sheet]
            sheet.reset_dimensions()  # what a file states of its size need not be so
            for line, values in enumerate(sheet.iter_rows(values_only=True), start=1):
                cells = [_cell(value) for value in values[: MAX_COLUMNS + 1]]
                while cells and not cells[-1]:
                    cells.pop()
                if cells:
                    yield line, cells

    def _look_for_formulas(self) -> None:
        with _workbook(self._path) as book, zipfile.ZipFile(self._path) as archive:
            part = str(getattr(book[self._sheet], "_worksheet_path", "")).lstrip("/")
            if part not in archive.namelist():
                return
            formulas = _count(archive, part, _FORMULA)
            hidden = _count(archive, part, _HIDDEN_ROW)
        if formulas:
            self._findings.note("FORMULAS_AS_VALUES", "warning", count=formulas)
        if hidden:
            self._findings.note("HIDDEN_ROWS", "warning", count=hidden)


class _workbook:  # noqa: N801 - a context manager
    """An open workbook; whatever goes wrong in it is a broken table."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._book: Any = None

    def __enter__(self) -> Any:
        self._file = self._path.open("rb")  # a name without .xlsx would be refused, whatever the content
        try:
            self._book = load_workbook(self._file, read_only=True, data_only=True, keep_links=False)
        except _BROKEN:
            self._file.close()
            raise BrokenTable(kind="Excel") from None
        return self._book

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        self._book.close()
        self._file.close()
        if isinstance(error, _BROKEN):
            raise BrokenTable(kind="Excel") from None


def _check(path: Path) -> None:
    """Before anything is parsed: no document types, no bombs."""
    try:
        with archive_errors("xlsx"), zipfile.ZipFile(path) as archive:
            check_sizes(path, archive)
            for entry in archive.infolist():
                if entry.filename.endswith((".xml", ".rels")):
                    with archive.open(entry) as part:
                        if _DECLARATION.search(part.read(4096)):
                            raise BrokenTable(kind="Excel")
                if entry.filename.endswith("sharedStrings.xml") and entry.file_size > _MAX_STRINGS_BYTES:
                    raise ExpandsTooMuch(limit_bytes=_MAX_STRINGS_BYTES)
    except (*_BROKEN, BrokenArchive):
        raise BrokenTable(kind="Excel") from None


def _count(archive: zipfile.ZipFile, part: str, pattern: re.Pattern[bytes]) -> int:
    """How often; a hit that lies across two chunks counts once, in the joint."""
    count, tail = 0, b""
    with archive.open(part) as file:
        while chunk := file.read(_CHUNK_BYTES):
            content = tail + chunk
            end = content.rfind(b">") + 1
            count += len(pattern.findall(content, 0, end))
            tail = content[end:][-_CHUNK_BYTES:]
    return count


def _cell(value: Any) -> Cell:
    if value is None or isinstance(value, str):
        return value.replace("\0", "") if value else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, date | time) else str(value)
