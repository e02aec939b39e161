"""Delimited files of UTF-8 block by block, parsed by Arrow, where that says provably what the careful reader would say.

A block is cut where a row ends. Its quotes must all stand as RFC 4180 has them: then both readers see the same cells. Rows of
another width are left to the careful reader, which reads that block; quotes of another kind leave it the rest of the file.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

BLOCK_BYTES = 4 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_FEED, _RETURN = (pa.scalar(ord(character), pa.uint8()) for character in "\n\r")


class LineNumbers:
    """On which lines of a file rows begin. Of most files only some first ones are asked for: no line is counted before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = [(0, 1)]

    def at(self, offset: int) -> int:
        """``offset``: of the byte with which the row begins."""
        place = bisect_right(self._known, offset, key=itemgetter(0))
        known, line = self._known[place - 1]
        if known < offset:
            line += sum(map(_breaks_in, self._between(known, offset)))
            self._known.insert(place, (offset, line))
        return line

    def _between(self, start: int, end: int) -> Iterator[bytes]:
        """In pieces that part no \\r\\n."""
        with self._path.open("rb") as file:
            file.seek(start)
            while (here := file.tell()) < end:
                piece = file.read(min(BLOCK_BYTES, end - here))
                yield piece + file.read(1) if piece.endswith(b"\r") else piece


@dataclass(frozen=True)
class Block:
    """Whole rows as they stand in the file, the first at byte ``offset``.

    ``columns``: None where Arrow cannot tell; rows in which nothing stands are not among them.
    """

    content: bytes
    offset: int
    columns: list[Any] | None
    numbers: LineNumbers = field(compare=False, repr=False)

    @property
    def end(self) -> int:
        return self.offset + len(self.content)

    @property
    def line(self) -> int:
        return self.numbers.at(self.offset)

    @property
    def is_plain(self) -> bool:
        """Whether each line is a row."""
        lines = _breaks_in(self.content) + (self.content[-1] not in b"\r\n")
        return b'"' not in self.content and self.columns is not None and len(self.columns[0]) == lines


@dataclass(frozen=True)
class Rest:
    """From this byte and line on it is for the careful reader."""

    offset: int
    line: int


def can_read(delimiter: str) -> bool:
    return len(delimiter) == 1 and delimiter.isascii() and delimiter not in ' "\r\n'


def blocks(path: Path, delimiter: str, width: int) -> Iterator[Block | Rest]:
    """All blocks in their order; at most one ``Rest``, the last."""
    edges = delimiter.encode() + b"\r\n"
    with path.open("rb") as file:
        offset = len(_BYTE_ORDER_MARK) if file.read(3) == _BYTE_ORDER_MARK else 0
        file.seek(offset)
        numbers, waiting = LineNumbers(path), b""
        while content := waiting + (more := file.read(BLOCK_BYTES)):
            end = _end_of_rows(content, edges, is_last=len(more) < BLOCK_BYTES)
            if end == 0:
                yield Rest(offset, LineNumbers(path).at(offset))
                return
            whole, waiting = content[:end], content[end:]
            yield Block(whole, offset, _parsed(whole, delimiter, width), numbers)
            offset += end


def _end_of_rows(content: bytes, edges: bytes, is_last: bool) -> int:
    """Where the last whole row ends; 0 when there is none, or when quotes stand where they should not.

    What stands between two quotes is the inside of a cell or the outside of cells, in turns. An outside is empty (of a doubled
    quote), or begins and ends with what parts cells.
    """
    between = content.split(b'"')
    if len(between) > 1:
        begins, ends = between[2::2], between[0:-1:2]
        if any(part and part[0] not in edges for part in begins) or any(part and part[-1] not in edges for part in ends):
            return 0
    if is_last:
        return len(content) if len(between) % 2 else 0
    end = len(content)
    for number in reversed(range(len(between))):
        start = end - len(between[number])
        if number % 2 == 0 and (place := between[number].rfind(b"\n")) >= 0:
            return start + place + 1
        end = start - 1
    return 0


def _breaks_in(content: bytes) -> int:
    """\\r\\n is one break of lines."""
    data = pa.Array.from_buffers(pa.uint8(), len(content), [None, pa.py_buffer(content)])
    feeds = pc.equal(data, _LINE_FEED)
    breaks = feeds.true_count
    if b"\r" in content:
        returns = pc.equal(data, _RETURN)
        breaks += returns.true_count - pc.and_(returns[:-1], feeds[1:]).true_count
    return int(breaks)


def _parsed(content: bytes, delimiter: str, width: int) -> list[Any] | None:
    if content.startswith(_BYTE_ORDER_MARK):  # a second one is a character of the first name, which Arrow would take away
        return None
    names = [str(number) for number in range(width)]
    try:
        table = pa_csv.read_csv(
            pa.py_buffer(content),
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(content) + 1, column_names=names),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), check_utf8=False),
        )
    except pa.ArrowInvalid:
        return None
    return _without_empty_rows([_one(column) for column in table.columns])


def _one(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _without_empty_rows(columns: list[Any]) -> list[Any]:
    """Rows in which something stands."""
    filled = pc.greater(pc.binary_length(columns[0]), 0)
    for column in columns[1:]:
        filled = pc.or_(filled, pc.greater(pc.binary_length(column), 0))
    return [column.filter(filled) for column in columns] if pc.any(pc.invert(filled)).as_py() else columns
