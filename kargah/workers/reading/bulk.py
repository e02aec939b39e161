"""Delimited files of UTF-8 block by block, parsed by Arrow, where that says provably what the careful reader would say.

A block is cut where a row ends. Its quotes must all stand as RFC 4180 has them: then both readers see the same cells. Rows of
another width are left to the careful reader, which reads that block; quotes of another kind leave it the rest of the file.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

BLOCK_BYTES = 4 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_FEED, _RETURN, _QUOTE = (pa.scalar(ord(character), pa.uint8()) for character in '\n\r"')
#: As masks: the first, the third and so on; and the others.
_FIRST_OF_TWO, _SECOND_OF_TWO = b"\x55", b"\xaa"


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

    content: memoryview
    offset: int
    columns: list[Any] | None
    numbers: LineNumbers = field(compare=False, repr=False)

    @property
    def end(self) -> int:
        return self.offset + len(self.content)

    @property
    def line(self) -> int:
        return self.numbers.at(self.offset)

    def lines(self) -> Sequence[int] | None:
        """On which line of the file each row begins; None where there are others between them, in which nothing stands."""
        if not self.columns:
            return None
        rows, line = len(self.columns[0]), self.line
        lines = _breaks_in(self.content) + (self.content[-1] not in b"\r\n")
        if lines == rows:  # no row has less than one
            return range(line, line + rows)
        after = pc.cumulative_sum(pc.add(reduce(pc.add, map(_breaks_within, self.columns)), 1), start=line)
        return [line, *after[:-1].to_pylist()] if rows and after[-1].as_py() == line + lines else None


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
        numbers = LineNumbers(path)
        while content := file.read(BLOCK_BYTES):
            end = _end_of_rows(content, edges, is_last=len(content) < BLOCK_BYTES)
            if end == 0:
                yield Rest(offset, LineNumbers(path).at(offset))
                return
            whole = memoryview(content)[:end]  # to read the last row again is cheaper than to copy all
            yield Block(whole, offset, _parsed(whole, delimiter, width), numbers)
            offset += end
            file.seek(offset)


def _end_of_rows(content: bytes, edges: bytes, is_last: bool) -> int:
    """Where the last whole row ends; 0 when there is none, or when quotes stand where they should not.

    What stands between two quotes is the inside of a cell or the outside of cells, in turns. An outside is empty (of a doubled
    quote), or begins and ends with what parts cells.
    """
    data = _bytes(content)
    quotes = pc.indices_nonzero(pc.equal(data, _QUOTE))
    beside = pa.array([*edges, *b'"'], pa.uint8())
    before = pc.subtract(_each_other(quotes, _FIRST_OF_TWO), 1)
    after = pc.add(_each_other(quotes, _SECOND_OF_TWO), 1)
    for places in (before.filter(pc.greater_equal(before, 0)), after.filter(pc.less(after, len(data)))):
        if not pc.all(pc.is_in(data.take(places), value_set=beside), min_count=0).as_py():
            return 0
    if is_last:
        return len(content) if len(quotes) % 2 == 0 else 0
    end, inside = len(content), len(quotes)
    while (place := content.rfind(b"\n", 0, end)) >= 0:
        inside = bisect_left(range(inside), place, key=lambda number: quotes[number].as_py())
        if inside % 2 == 0:
            return place + 1
        end = quotes[inside - 1].as_py()
    return 0


def _each_other(places: Any, bits: bytes) -> Any:
    mask = pa.Array.from_buffers(pa.bool_(), len(places), [None, pa.py_buffer(bits * (len(places) // 8 + 1))])
    return places.filter(mask)


def _bytes(content: bytes | memoryview) -> Any:
    return pa.Array.from_buffers(pa.uint8(), len(content), [None, pa.py_buffer(content)])


def _breaks_in(content: bytes | memoryview) -> int:
    """\\r\\n is one break of lines."""
    data = _bytes(content)
    feeds, returns = pc.equal(data, _LINE_FEED), pc.equal(data, _RETURN)
    breaks = feeds.true_count
    if returns.true_count:
        breaks += returns.true_count - pc.and_(returns[:-1], feeds[1:]).true_count
    return int(breaks)


def _breaks_within(cells: Any) -> Any:
    """Of each cell, by the same rule."""
    feeds, returns, both = (pc.count_substring(cells, pattern) for pattern in ("\n", "\r", "\r\n"))
    return pc.subtract(pc.add(feeds, returns), both)


def _parsed(content: memoryview, delimiter: str, width: int) -> list[Any] | None:
    if content[:3] == _BYTE_ORDER_MARK:  # a second one is a character of the first name, which Arrow would take away
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
