"""One token a line, a blank line between sentences: CoNLL with two or more columns, and CoNLL-U with its ten."""

import json
import re
from collections.abc import Callable, Iterator
from typing import TextIO

from kargah.recipes.columns import ColumnKind
from kargah.text import detect
from kargah.workers.reading.batch import Row
from kargah.workers.reading.delimited import BROKEN, MAX_ROW_CHARACTERS
from kargah.workers.reading.errors import RowTooLong
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.source import Source, opened

#: The columns of CoNLL-U that are kept, by their place.
_UNIVERSAL = {"tokens": 1, "lemmas": 2, "upos": 3, "xpos": 4, "heads": 6, "deprels": 7}
_WHOLE_TOKEN = re.compile(r"\d+\Z")
MAX_SENTENCE_TOKENS = 100_000
_Line = tuple[int, list[str]]


class ConllTable:
    """A row a sentence: lists of equal length. A sentence with a line of another width is left out."""

    delimiter = None

    def __init__(self, source: Source, findings: Findings) -> None:
        self._source, self._findings = source, findings
        self.format = source.shape.value
        self.encoding, self.size_bytes = source.encoding, source.size_bytes
        self.position: Callable[[], int] = int
        self._is_universal = source.shape is detect.Shape.CONLL_U
        self._separator = "\t" if detect.is_tabbed(source.sample) else None
        self._width = 10 if self._is_universal else detect.conll_width(source.sample)
        self.names = list(_UNIVERSAL) if self._is_universal else _names(self._width, detect.has_bio_tags(source.sample))

    def kinds(self) -> dict[str, ColumnKind]:
        return dict.fromkeys(self.names, ColumnKind.LIST)

    def rows(self) -> Iterator[Row]:
        with opened(self._source) as (text, self.position):
            for lines in self._sentences(text):
                if (row := self._row(lines)) is not None:
                    yield lines[0][0], row

    def _row(self, lines: list[_Line]) -> list[str | None] | None:
        wrong = next((line for line, fields in lines if len(fields) != self._width), None)
        if wrong is not None:
            found = next(len(fields) for line, fields in lines if line == wrong)
            self._findings.note("RAGGED_ROWS", "error", lines=[wrong], expected=self._width).params.setdefault("found", found)
            return None
        if self._source.has_broken_bytes and any(BROKEN.search(field) for _, fields in lines for field in fields):
            self._findings.note("BROKEN_BYTES", "warning", lines=[lines[0][0]])
            return None
        places = _UNIVERSAL.values() if self._is_universal else range(self._width)
        return [json.dumps([fields[place].replace("\0", "") for _, fields in lines], ensure_ascii=False) for place in places]

    def _sentences(self, text: TextIO) -> Iterator[list[_Line]]:
        lines: list[_Line] = []
        for number, line in _numbered(text):
            if not line.strip():
                if lines:
                    yield lines
                lines = []
            elif (fields := self._fields(line)) is not None:
                lines.append((number, fields))
                if len(lines) > MAX_SENTENCE_TOKENS:
                    raise RowTooLong(line=lines[0][0], limit_bytes=MAX_SENTENCE_TOKENS)
        if lines:
            yield lines

    def _fields(self, line: str) -> list[str] | None:
        """None of a comment, and of the lines that are no token of their own."""
        if line.startswith("-DOCSTART-") or (self._is_universal and line.startswith("#")):
            return None
        fields = line.rstrip("\r\n").split(self._separator)
        return None if self._is_universal and not _WHOLE_TOKEN.match(fields[0]) else fields


def _names(width: int, has_entities: bool) -> list[str]:
    last = "ner_tags" if has_entities else "tags"
    return ["tokens", *(f"column_{number}" for number in range(2, width)), last]


def _numbered(text: TextIO) -> Iterator[tuple[int, str]]:
    number = 0
    while line := text.readline(MAX_ROW_CHARACTERS):
        number += 1
        if len(line) >= MAX_ROW_CHARACTERS:
            raise RowTooLong(line=number, limit_bytes=MAX_ROW_CHARACTERS)
        yield number, line
