"""What the counts of a column say of it as a label or as an input. Needs no reading."""

from collections.abc import Sequence

from kargah.recipes import hints
from kargah.recipes.columns import Column, ColumnKind
from kargah.workers.doctor.roles import TEXTUAL, Roles
from kargah.workers.reading.findings import Findings, Severity

#: The largest class is this many times the smallest, or has this share of all.
IMBALANCE_TIMES, IMBALANCE_SHARE, MOST_CLASSES = 10, 0.9, 50
#: To cap the largest class it is made as large as the next, and of two classes this many times the other.
CAPPED_TIMES = 3
IDENTIFIER_ROWS, IDENTIFIER_CHARACTERS = 20, 24


def say_of_labels(columns: Sequence[Column], roles: Roles, findings: Findings) -> None:
    for column in columns:
        if column.name == roles.target:
            _say_imbalance(column, findings)
        elif _is_identifier(column):
            severity: Severity = "warning" if hints.named(column, "label") else "info"
            findings.note("LOOKS_LIKE_ID", severity, column=column.name, count=column.rows, distinct=column.distinct)


def _say_imbalance(column: Column, findings: Findings) -> None:
    counts = [label.count for label in column.top]
    filled = column.rows - column.nulls
    if column.kind is ColumnKind.NUMBER or not 2 <= len(counts) <= MOST_CLASSES or column.distinct != len(counts):
        return
    if counts[0] >= IMBALANCE_SHARE * filled or counts[0] >= IMBALANCE_TIMES * counts[-1]:
        largest, smallest = column.top[0], column.top[-1]
        findings.note(
            "IMBALANCE", "warning", column=column.name, count=smallest.count, largest=largest.value, largest_count=largest.count,
            smallest=smallest.value, smallest_count=smallest.count, majority=round(100 * largest.count / filled, 1),
            cap=max(counts[1], CAPPED_TIMES * smallest.count),
        )  # fmt: skip


def _is_identifier(column: Column) -> bool:
    """A different short value in every row, without blanks: a name of the row, of no use to a model."""
    if column.meant is not None or column.kind not in (*TEXTUAL, ColumnKind.INTEGER):
        return False
    if column.rows < IDENTIFIER_ROWS or column.distinct < column.rows:
        return False
    if column.kind is ColumnKind.INTEGER:
        return column.minimum is not None and (column.maximum or 0) - column.minimum == column.rows - 1
    return (column.max_length or 0) <= IDENTIFIER_CHARACTERS and not any(" " in example for example in column.examples)
