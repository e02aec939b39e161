"""Counting what is found, with the first rows where."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from kargah.workers.reading.findings import MAX_LINES


@dataclass
class Places:
    """``rows`` are the first few."""

    count: int = 0
    rows: list[int] = field(default_factory=list)

    def add(self, rows: Iterable[int]) -> None:
        for row in rows:
            self.count += 1
            if len(self.rows) < MAX_LINES:
                self.rows.append(row)

    def add_mask(self, mask: Any, first_row: int) -> None:
        """``mask``: an arrow array of booleans; null is no."""
        hits = pc.sum(mask).as_py() or 0
        self.count += hits
        if hits and len(self.rows) < MAX_LINES:
            indices = pc.indices_nonzero(mask)[: MAX_LINES - len(self.rows)].to_pylist()
            self.rows += (first_row + index for index in indices)

    def with_those_of(self, other: "Places") -> "Places":
        """``other`` has none of these."""
        return Places(self.count + other.count, sorted(self.rows + other.rows)[:MAX_LINES])
