"""Columns that give the answer away: one that decides the label, or a number that follows the target."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from kargah.recipes.columns import Column
from kargah.workers.doctor.scope import MOST_LABELS, MOST_VALUES, Columns, Scope
from kargah.workers.reading.findings import Findings

#: So much of the rows a leaking column decides, with so many rows to a value, over at least so many rows.
DECIDED_SHARE, ROWS_A_VALUE, FEWEST_ROWS = 0.995, 3.0, 20
CORRELATION = 0.9999


class Leaks:
    """Values are counted with their labels, and numbers summed with the target, batch by batch."""

    def __init__(self, scope: Scope) -> None:
        self._target = scope.roles.target or ""
        self._counts: dict[str, dict[Any, dict[Any, int]]] = {name: {} for name in scope.deciding}
        self._sums = {name: [0.0] * 6 for name in scope.following}

    def see(self, batch: Any, first_row: int) -> None:
        for name in list(self._counts):
            _count(self._counts[name], batch.column(name), batch.column(self._target))
            if len(self._counts[name]) > MOST_VALUES:
                del self._counts[name]
        for name, known in self._sums.items():
            sums = _sums(batch.column(name), batch.column(self._target))
            self._sums[name] = [old + new for old, new in zip(known, sums, strict=True)]

    def say(self, columns: Columns, findings: Findings) -> None:
        deciding = {
            name for name, counts in self._counts.items() if _could_decide(columns[name], columns[self._target]) and _decides(counts)
        }
        following = {name for name, sums in self._sums.items() if _follows(*sums)}
        for name in dict.fromkeys([*self._counts, *self._sums]):
            if name in deciding | following:
                column = columns[name]
                findings.note("LEAKING_COLUMN", "warning", column=name, count=column.rows - column.nulls, target=self._target)


def _could_decide(column: Column, target: Column) -> bool:
    few = 2 <= target.distinct <= MOST_LABELS and target.distinct <= column.distinct <= MOST_VALUES
    return few and column.rows - column.nulls >= max(FEWEST_ROWS, ROWS_A_VALUE * column.distinct)


def _count(counts: dict[Any, dict[Any, int]], values: Any, labels: Any) -> None:
    grouped = pa.table({"value": values, "label": labels}).group_by(["value", "label"]).aggregate([([], "count_all")])
    for value, label, count in zip(*(grouped.column(name).to_pylist() for name in ("value", "label", "count_all")), strict=True):
        if value is not None and label is not None:
            known = counts.setdefault(value, {})
            known[label] = known.get(label, 0) + count


def _decides(counts: dict[Any, dict[Any, int]]) -> bool:
    """Whether the value says the label, and not merely because nearly every row has one label."""
    total = sum(sum(labels.values()) for labels in counts.values())
    decided = sum(max(labels.values()) for labels in counts.values())
    whole: dict[Any, int] = {}
    for labels in counts.values():
        for label, count in labels.items():
            whole[label] = whole.get(label, 0) + count
    return total >= FEWEST_ROWS and decided >= DECIDED_SHARE * total and max(whole.values()) <= 0.9 * total


def _sums(values: Any, target: Any) -> Iterable[float]:
    x, y = pc.cast(values, pa.float64()), pc.cast(target, pa.float64())
    both = pc.and_(pc.is_valid(x), pc.is_valid(y))
    x, y = x.filter(both), y.filter(both)
    sums = (pc.sum(part).as_py() or 0.0 for part in (x, y, pc.multiply(x, x), pc.multiply(y, y), pc.multiply(x, y)))
    return (float(len(x)), *sums)


def _follows(n: float, x: float, y: float, xx: float, yy: float, xy: float) -> bool:
    """Whether the correlation is all but perfect, up or down."""
    spread_x, spread_y = xx - x * x / max(n, 1), yy - y * y / max(n, 1)
    if n < FEWEST_ROWS or spread_x <= 1e-9 * abs(xx) or spread_y <= 1e-9 * abs(yy):
        return False
    return bool((xy - x * y / n) ** 2 >= (CORRELATION**2) * spread_x * spread_y)
