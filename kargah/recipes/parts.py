"""Which rows teach, which choose and which are reported on: as a column of the data says, else drawn; and whose rows they are."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kargah.recipes import hints
from kargah.recipes.errors import LabelNotTaught, SplitLacks, SplitUnclear, TooFewRows
from kargah.recipes.measures import FloatArray, IntArray
from kargah.recipes.splits import stratified_split

if TYPE_CHECKING:
    from kargah.recipes.runtime import Decision, Request

TRAIN, VALIDATION, TEST = hints.PARTS
NO_ROWS: IntArray = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Parts:
    """Row numbers, sorted. ``test`` is empty where nobody set such rows apart: then the validation rows are reported on.

    ``column`` says what each row is for; null: the validation rows were drawn.
    """

    train: IntArray
    validation: IntArray
    test: IntArray = field(default_factory=lambda: NO_ROWS)
    column: str | None = None
    decisions: list[Decision] = field(default_factory=list)


@dataclass(frozen=True)
class Sources:
    """Several data sets in one training. ``of_row``: the number of each row's data set. ``weights``: how often a training row of each
    is seen in an epoch, on the mean."""

    titles: list[str]
    weights: list[float]
    of_row: IntArray


def named_parts(request: Request) -> list[str | None] | None:
    """For each row of all tables: train, validation, test, or None where its cell is empty. None where no column says it.

    A further data set without that column teaches. Raises SplitUnclear for a word that is none of the three.
    """
    column = split_column(request)
    if column is None:
        return None
    parts: list[str | None] = []
    for number, table in enumerate(request.tables):
        if number and column not in table.values:
            parts += [TRAIN] * table.rows
        else:
            parts += [_part(column, row, value) for row, value in enumerate(table.column(column, "split"), 1)]
    return parts


def split_column(request: Request) -> str | None:
    """The one that was named; where no column was named at all, the one that looks like it."""
    if not request.spec.columns:
        return next((name for name, column in request.tables[0].columns.items() if hints.is_split(column)), None)
    given = request.spec.columns.get("split")
    return given[0] if isinstance(given, list) and given else given if isinstance(given, str) and given else None


def _part(column: str, row: int, value: Any) -> str | None:
    if value is None or not str(value).strip():
        return None
    part = hints.part_of(value)
    if part is None:
        raise SplitUnclear(field="spec.columns.split", column=column, row=row, value=str(value)[:80])
    return part


def divide(request: Request, named: Sequence[str | None] | None, groups: Sequence[Hashable], strata: Sequence[Hashable]) -> Parts:
    """``named``: as ``named_parts`` says of the rows that can be used. Where no rows are there to choose by, some are drawn from the
    training rows: never two copies on both sides. Raises TooFewRows, SplitLacks."""
    from kargah.recipes.runtime import given

    if named is None:
        train, validation = _drawn(request, np.arange(len(groups)), groups, strata)
        return Parts(train, validation, decisions=[given(request, "validation_share"), given(request, "seed")])
    return _as_named(request, named, groups, strata)


def _as_named(request: Request, named: Sequence[str | None], groups: Sequence[Hashable], strata: Sequence[Hashable]) -> Parts:
    from kargah.recipes.runtime import Decision, given

    column = split_column(request) or ""
    train, validation, test = (
        np.array([row for row, part in enumerate(named) if part == wanted], dtype=np.int64) for wanted in hints.PARTS
    )
    if not len(train):
        raise SplitLacks(field="spec.columns.split", column=column, part=TRAIN)
    if nowhere := sum(part is None for part in named):
        request.log("train.rows_in_no_part", level="warning", column=column, dropped=nowhere, rows=len(named))
    decisions = [given(request, "seed")]
    if not len(validation):
        train, validation = _drawn(request, train, groups, strata)
        decisions.append(given(request, "validation_share"))
    why = "why.split_column" if len(test) else "why.split_column_without_test"
    source = "chosen" if "columns" in request.chosen else "adapted"
    counts = {"train": len(train), "validation": len(validation), "test": len(test)}
    decisions.insert(0, Decision("split", column, source, why, {"column": column, **counts}))
    return Parts(train, validation, test, column, decisions)


def _drawn(request: Request, rows: IntArray, groups: Sequence[Hashable], strata: Sequence[Hashable]) -> tuple[IntArray, IntArray]:
    """(training rows, validation rows), of ``rows``."""
    spec = request.spec
    train, validation = stratified_split([groups[row] for row in rows], [strata[row] for row in rows], spec.validation_share, spec.seed)
    if not len(train) or not len(validation):
        raise TooFewRows(field="datasets", rows=len({groups[row] for row in rows}), needed=2)
    return rows[train], rows[validation]


def require_all(targets: FloatArray, parts: Parts, labels: tuple[str, ...]) -> None:
    """Raises TooFewRows when training rows lack a label: so few rows cannot both teach it and measure. Raises LabelNotTaught where the
    data say themselves which rows teach."""
    taught = set(targets[parts.train].tolist())
    if len(taught) == len(labels):
        return
    if parts.column is None:
        raise TooFewRows(field="datasets", rows=len(targets), needed=2 * len(labels))
    absent = [label for index, label in enumerate(labels) if index not in taught]
    raise LabelNotTaught(field="spec.columns.split", column=parts.column, labels=", ".join(absent[:20]))


def sources_of(request: Request, usable: Sequence[int]) -> Sources | None:
    """Of the rows that can be used; None for a single data set: there is nothing to weigh it against."""
    tables = request.tables
    if len(tables) == 1:
        return None
    of_row = np.repeat(np.arange(len(tables), dtype=np.int64), [table.rows for table in tables])[np.asarray(usable, dtype=np.int64)]
    return Sources([table.title for table in tables], [table.weight for table in tables], of_row)


def source_decisions(sources: Sources | None) -> list[Decision]:
    """How data sets are mixed, said."""
    from kargah.recipes.runtime import Decision

    if sources is None:
        return []
    mixed = ", ".join(f"{title} × {weight:g}" for title, weight in zip(sources.titles, sources.weights, strict=True))
    chosen = set(sources.weights) != {1.0}
    return [Decision("sources", mixed, "chosen" if chosen else "inherited", "why.sources")]
