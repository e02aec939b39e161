"""Rows of a file with more or fewer fields than its header: left out, and kept beside the version, so that they can be brought back."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from kargah.workers.reading.batch import Cell
from kargah.workers.reading.findings import Findings

FILE = "ragged.jsonl"
_EXAMPLES, _EXAMPLE_CHARACTERS = 3, 80
_HALVES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Shape:
    """What the rows of one table should be. ``also``: cells that all its rows have besides, such as that of their split.

    ``delimiter``: None where fields are no text between delimiters, as in a workbook.
    """

    names: list[str]
    delimiter: str | None
    file: str | None = None
    also: dict[str, str] = field(default_factory=dict)

    @property
    def between(self) -> str:
        """What stood between two fields that should have been one."""
        return {None: " ", "،": "، "}.get(self.delimiter, self.delimiter or " ")


@dataclass(frozen=True)
class RaggedRow:
    line: int
    cells: list[Cell]
    shape: Shape

    @property
    def is_short(self) -> bool:
        return len(self.cells) < len(self.shape.names)

    def note(self, findings: Findings) -> None:
        finding = findings.note("RAGGED_ROWS", "error", lines=[self.line], expected=len(self.shape.names))
        finding.params.setdefault("found", len(self.cells))
        for name in ("short", "long"):
            finding.params[name] = finding.params.get(name, 0) + (self.is_short == (name == "short"))
        examples = finding.params.setdefault("examples", [])
        if len(examples) < _EXAMPLES:
            examples.append(self.shape.between.join(cell or "" for cell in self.cells)[:_EXAMPLE_CHARACTERS])


class RaggedFile:
    """``path`` is there as soon as there is a row, and whole when it was closed. ``also``: of the part that is being read."""

    def __init__(self, path: Path) -> None:
        self.also: dict[str, str] = {}
        self._path = path
        self._file: TextIO | None = None
        self._shape: Shape | None = None

    def add(self, row: RaggedRow) -> None:
        if self._file is None:
            self._file = self._path.open("w", encoding="utf-8", newline="\n")
        if row.shape != self._shape:
            self._shape = row.shape
            shape = {"names": row.shape.names, "delimiter": row.shape.delimiter, "file": row.shape.file, "also": row.shape.also}
            self._write(self._file, shape)
        self._write(self._file, {"line": row.line, "cells": row.cells})

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, file: TextIO, entry: dict[str, Any]) -> None:
        file.write(f"{json.dumps(entry, ensure_ascii=False)}\n")


def read(path: Path) -> Iterator[RaggedRow]:
    """Nothing where no file is."""
    if not path.exists():
        return
    shape = Shape([], None)
    with path.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            entry = json.loads(line)
            if "names" in entry:
                shape = Shape(**entry)
            else:
                yield RaggedRow(entry["line"], entry["cells"], shape)


def leave_out(findings: Findings, line: int, cells: Sequence[Cell], names: list[str], delimiter: str | None) -> None:
    """Note a row of another width than the header's, and keep it where somebody does. Bytes that were no text become U+FFFD."""
    kept = findings.ragged
    shape = Shape(names, delimiter, findings.file, kept.also if kept else {})
    row = RaggedRow(line, [None if cell is None else _HALVES.sub("\ufffd", cell.replace("\0", "")) for cell in cells], shape)
    row.note(findings)
    if kept is not None:
        kept.add(row)
