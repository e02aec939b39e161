"""Rows on their way through the reader: columns of strings, and the line of the file on which each row begins."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from threading import Event
from typing import Any, TypeVar

import pyarrow as pa

Cell = str | None
Row = tuple[int, list[Cell]]
Lines = Callable[[], Sequence[int]]
Item = TypeVar("Item")
Said = TypeVar("Said")
BATCH_ROWS, BATCH_CHARACTERS = 10_000, 16 << 20


@dataclass(frozen=True)
class Batch:
    """``columns``: Arrow arrays of strings, equally long. ``lines`` may have to look for them: asked only where something was found."""

    columns: list[Any]
    lines: Lines

    @property
    def rows(self) -> int:
        return len(self.columns[0])

    def parts(self) -> Iterator["Batch"]:
        """The same in batches of about the usual size, none of them small."""
        size = ceil(self.rows / max(1, self.rows // BATCH_ROWS))
        for start in range(0, self.rows, size):
            yield Batch([column.slice(start, size) for column in self.columns], self._lines_from(start, size))

    def _lines_from(self, start: int, size: int) -> Lines:
        return lambda: self.lines()[start : start + size]


def of_rows(rows: Iterable[Row]) -> Iterator[Batch]:
    """By number of rows and by weight, whichever is reached first."""
    lines: list[int] = []
    cells: list[list[Cell]] = []
    characters = 0
    for line, row in rows:
        lines.append(line)
        cells.append(row)
        characters += sum(map(len, filter(None, row)))
        if len(lines) >= BATCH_ROWS or characters >= BATCH_CHARACTERS:
            yield _batch(lines, cells)
            lines, cells, characters = [], [], 0
    if lines:
        yield _batch(lines, cells)


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made in a thread while the one before it is worked on."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


def abreast(function: Callable[[Item], Said], items: Iterable[Item], threads: int = 1) -> Iterator[tuple[Item, Said]]:
    """Each item, in order, with what ``function`` says of it; so many threads look at those that come next."""
    waiting: deque[tuple[Item, Future[Said]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="abreast") as pool:
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > threads:
                first, said = waiting.popleft()
                yield first, said.result()
        for first, said in waiting:
            yield first, said.result()


@contextmanager
def behind(work: Callable[[Any], Any], most_bytes: int = 0) -> Iterator[Callable[[Any], None]]:
    """Arrow batches that are given are worked on in a thread, one after the other; not many more than ``most_bytes`` wait for it.

    What ``work`` raises comes out when a later batch is given, or at the end; then, and when something is raised here, nothing more is
    worked on.
    """
    waiting: deque[tuple[int, Future[Any]]] = deque()

    def give(batch: Any) -> None:
        while waiting and (waiting[0][1].done() or sum(size for size, _ in waiting) > most_bytes):
            waiting.popleft()[1].result()
        waiting.append((batch.nbytes, pool.submit(work, batch)))

    pool = ThreadPoolExecutor(1, thread_name_prefix="behind")
    try:
        yield give
        for _, done in waiting:
            done.result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def beside(work: Callable[[Item], Any], items: Iterable[Item]) -> Iterator[None]:
    """Meanwhile, in a thread, items are made and worked on. What is raised there comes out at the end; what is raised here ends it."""
    is_over = Event()

    def go_through() -> None:
        for item in items:
            if is_over.is_set():
                return
            work(item)

    with ThreadPoolExecutor(1, thread_name_prefix="beside") as pool:
        done = pool.submit(go_through)
        try:
            yield
        except BaseException:
            is_over.set()
            raise
        done.result()


def _batch(lines: list[int], cells: list[list[Cell]]) -> Batch:
    return Batch([pa.array(values, pa.string()) for values in zip(*cells, strict=True)], lambda: lines)
