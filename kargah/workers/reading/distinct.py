"""How many different values there are, by their hashes: eight bytes each until there could be too many to go on counting."""

from array import array
from collections.abc import Collection, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


class Distinct:
    """Feed it the hashes of batches. It gives up after the batch with which it counted ``most``: then it says how many those were."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting = array("q")
        self._ignored: set[int] = set()
        self._known: set[int] | None = None  # while every batch has to be counted: a set takes ten times as much
        self._counted: int | None = None
        self._has_given_up = False

    def add(self, hashes: Iterable[int], ignored: Collection[int] = ()) -> None:
        """``ignored``: hashes of what is no value."""
        if self._has_given_up:
            return
        self._counted = None
        self._ignored.update(ignored)
        if self._known is None:
            self._waiting.extend(hashes)
            if len(self._waiting) >= self._most:
                self._look_through()
        else:
            self._known.update(hashes)
            self._known -= self._ignored
        self._has_given_up = self._has_given_up or (self._known is not None and len(self._known) >= self._most)

    def __len__(self) -> int:
        if self._counted is None:
            self._counted = len(self._different() if self._known is None else self._known)
        return self._counted

    def _look_through(self) -> None:
        """So many may be different. If they are by far not, as many can come again before that is asked once more."""
        found = self._different()
        self._counted = len(found)
        self._waiting = array("q")
        self._has_given_up = len(found) >= self._most
        if 2 * len(found) < self._most:
            self._waiting.extend(found.to_pylist())
        elif not self._has_given_up:
            self._known = set(found.to_pylist())

    def _different(self) -> Any:
        waiting = pa.Array.from_buffers(pa.int64(), len(self._waiting), [None, pa.py_buffer(self._waiting)])
        found = pc.unique(waiting)
        return found.filter(pc.invert(pc.is_in(found, value_set=pa.array(self._ignored, pa.int64())))) if self._ignored else found
