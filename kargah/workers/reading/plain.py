"""Running text: a text a line, or, where lines are broken to fit a page, a text a paragraph."""

import re
from collections.abc import Callable, Iterator
from typing import TextIO

from kargah.recipes.columns import ColumnKind
from kargah.workers.reading.batch import Row
from kargah.workers.reading.delimited import BROKEN, MAX_ROW_CHARACTERS
from kargah.workers.reading.errors import RowTooLong
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.source import Source, opened

_PAGE_CHARACTERS = 120


class PlainText:
    """One column, ``text``. Blank lines are no rows."""

    delimiter, format = None, "text"

    def __init__(self, source: Source, findings: Findings) -> None:
        self._source, self._findings = source, findings
        self.names = ["text"]
        self.encoding, self.size_bytes = source.encoding, source.size_bytes
        self.position: Callable[[], int] = int
        self._in_paragraphs = _is_wrapped(source.sample)
        findings.note("TEXT_BY_PARAGRAPHS" if self._in_paragraphs else "TEXT_BY_LINES", "info", count=0)

    def kinds(self) -> dict[str, ColumnKind]:
        return {}

    def rows(self) -> Iterator[Row]:
        with opened(self._source) as (text, self.position):
            for line, content in self._paragraphs(text) if self._in_paragraphs else _lines(text):
                if self._source.has_broken_bytes and BROKEN.search(content):
                    self._findings.note("BROKEN_BYTES", "warning", lines=[line])
                    continue
                if "\0" in content:
                    self._findings.note("NUL_CHARACTERS", "warning", lines=[line])
                yield line, [content.replace("\0", "")]

    def _paragraphs(self, text: TextIO) -> Iterator[tuple[int, str]]:
        parts: list[str] = []
        first, room = 0, MAX_ROW_CHARACTERS
        for line, content in _lines(text, keep_blank=True):
            if content and room > 0:
                first, room = first if parts else line, room - len(content)
                parts.append(content)
            elif parts:
                yield first, " ".join(parts)
                first, parts, room = line, [content] if content else [], MAX_ROW_CHARACTERS
        if parts:
            yield first, " ".join(parts)


def _lines(text: TextIO, keep_blank: bool = False) -> Iterator[tuple[int, str]]:
    number = 0
    while line := text.readline(MAX_ROW_CHARACTERS):
        number += 1
        if len(line) >= MAX_ROW_CHARACTERS:
            raise RowTooLong(line=number, limit_bytes=MAX_ROW_CHARACTERS)
        content = line.strip("\ufeff \t\r\n")
        if content or keep_blank:
            yield number, content


def _is_wrapped(sample: str) -> bool:
    """Paragraphs of several lines, none wider than a page, most of about one width: prose, and no poem either."""
    groups = [group.splitlines() for group in re.split(r"\n[ \t\r]*\n", sample) if group.strip()]
    lines = [line for group in groups for line in group[:-1] if line.strip()]
    if len(groups) < 2 or len(lines) < len(groups) or max(map(len, lines)) > _PAGE_CHARACTERS:
        return False
    full = max(map(len, lines)) * 0.75
    return sum(len(line) >= full for line in lines) >= 0.8 * len(lines)
