"""How many different values there are, by their hashes: eight bytes each until there could be too many to go on counting."""

from array import array
from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

#: Odd, and half of its bits are set: what is multiplied by it keeps all it had.
_SPREADING = pa.scalar(-0x61C8864680B583EB, pa.int64())


def hashes_of(values: Any) -> Any:
    """Of an Arrow array of strings: one of 64 bits each. Others in every process."""
    return _as_arrow(array("q", map(hash, values.cast(pa.binary()).to_pylist())))


def hashes_of_rows(columns: list[Any]) -> Any:
    """Of the hashes of their cells."""
    rows, *others = columns
    for column in others:
        rows = pc.bit_wise_xor(pc.multiply(rows, _SPREADING), column)
    return rows


class Distinct:
    """Feed it the hashes of batches. It gives up after the batch with which it counted ``most``: then it says how many those were."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting = array("q")
        self._ignored: set[int] = set()
        self._known: set[int] | None = None  # while every batch has to be counted: a set takes ten times as much
        self._counted: int | None = None
        self._has_given_up = False

    def add(self, hashes: Any, ignored: Collection[int] = ()) -> None:
        """``hashes``: an Arrow array. ``ignored``: hashes of what is no value."""
        if self._has_given_up:
            return
        self._counted = None
        self._ignored.update(ignored)
        if self._known is None:
            self._wait(hashes)
            if len(self._waiting) >= self._most:
                self._look_through()
        else:
            self._known.update(hashes.to_pylist())
            self._known -= self._ignored
        self._has_given_up = self._has_given_up or (self._known is not None and len(self._known) >= self._most)

    def __len__(self) -> int:
        if self._counted is None:
            self._counted = len(self._different() if self._known is None else self._known)
        return self._counted

    def _wait(self, hashes: Any) -> None:
        start = hashes.offset * 8
        self._waiting.frombytes(memoryview(hashes.buffers()[1])[start : start + len(hashes) * 8])

    def _look_through(self) -> None:
        """So many may be different. If they are by far not, as many can come again before that is asked once more."""
        found = self._different()
        self._counted = len(found)
        self._waiting = array("q")
        self._has_given_up = len(found) >= self._most
        if 2 * len(found) < self._most:
            self._wait(found)
        elif not self._has_given_up:
            self._known = set(found.to_pylist())

    def _different(self) -> Any:
        found = pc.unique(_as_arrow(self._waiting))
        return found.filter(pc.invert(pc.is_in(found, value_set=pa.array(self._ignored, pa.int64())))) if self._ignored else found


def _as_arrow(numbers: "array[int]") -> Any:
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)])
