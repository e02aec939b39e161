"""Columns that give the answer away: one that decides the label, or a number that follows the target."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from kargah.recipes.columns import Column, ColumnKind
from kargah.workers.doctor.roles import TEXTUAL, Roles
from kargah.workers.reading.findings import Findings

#: So much of the rows a leaking column decides, with so many rows to a value, over at least so many rows.
DECIDED_SHARE, ROWS_A_VALUE, FEWEST_ROWS = 0.995, 3.0, 20
MOST_VALUES, MOST_COLUMNS = 1000, 300
CORRELATION = 0.9999
_NUMERIC = (ColumnKind.INTEGER, ColumnKind.NUMBER)
_DECIDING = (*TEXTUAL, ColumnKind.INTEGER, ColumnKind.NUMBER, ColumnKind.BOOLEAN)


class Leaks:
    """Values are counted with their labels, and numbers summed with the target, batch by batch."""

    def __init__(self, columns: list[Column], roles: Roles) -> None:
        self._target = next((column for column in columns if column.name == roles.target), None)
        others = [column for column in columns if column.name not in (roles.target, roles.split)]
        self._deciding = [column for column in others if self._could_decide(column)][:MOST_COLUMNS]
        numeric = self._target is not None and self._target.kind in _NUMERIC
        self._following = [column for column in others if numeric and column.kind in _NUMERIC][:MOST_COLUMNS]
        self._counts: dict[str, dict[Any, dict[Any, int]]] = {column.name: {} for column in self._deciding}
        self._sums = {column.name: [0.0] * 6 for column in self._following}

    def see(self, batch: Any, first_row: int) -> None:
        if self._target is None or not (self._deciding or self._following):
            return
        target = batch.column(self._target.name)
        for column in self._deciding:
            _count(self._counts[column.name], batch.column(column.name), target)
        for column in self._following:
            sums = _sums(batch.column(column.name), target)
            self._sums[column.name] = [old + new for old, new in zip(self._sums[column.name], sums, strict=True)]

    def say(self, findings: Findings) -> None:
        target = self._target.name if self._target else ""
        leaking = {name for name, counts in self._counts.items() if _decides(counts)}
        leaking |= {name for name, sums in self._sums.items() if _follows(*sums)}
        for column in [*self._deciding, *self._following]:
            if column.name in leaking:
                leaking.discard(column.name)
                findings.note("LEAKING_COLUMN", "warning", column=column.name, count=column.rows - column.nulls, target=target)

    def _could_decide(self, column: Column) -> bool:
        target = self._target
        if target is None or column.kind not in _DECIDING or target.kind not in (*TEXTUAL, ColumnKind.BOOLEAN, ColumnKind.INTEGER):
            return False
        few = 2 <= target.distinct <= 50 and target.distinct <= column.distinct <= MOST_VALUES
        return few and (column.rows - column.nulls) >= max(FEWEST_ROWS, ROWS_A_VALUE * column.distinct)


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
