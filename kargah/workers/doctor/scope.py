"""What of the columns decides which cells are looked at, and for what: as they were told of, be it before all rows were read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from kargah.recipes.columns import Column, ColumnKind
from kargah.workers.doctor.roles import TEXTUAL, Roles

#: A column that says the label has no more values than this, and the label no more than that.
MOST_VALUES, MOST_LABELS = 1000, 50
#: So many columns are held against the target.
MOST_COLUMNS = 300
Columns = Mapping[str, Column]
_NUMERIC = (ColumnKind.INTEGER, ColumnKind.NUMBER)
_DECIDING = (*TEXTUAL, *_NUMERIC, ColumnKind.BOOLEAN)
_DECIDED = (*TEXTUAL, ColumnKind.BOOLEAN, ColumnKind.INTEGER)


@dataclass(frozen=True)
class Scope:
    """Names of columns: ``textual`` ones, those of running text, ``words`` that no person has spoken of, whole numbers that may be ``ids``
    of persons, those that may be ``deciding`` the label and those ``following`` a target of numbers.
    """

    names: tuple[str, ...]
    textual: tuple[str, ...]
    running: tuple[str, ...]
    words: tuple[str, ...]
    ids: tuple[str, ...]
    deciding: tuple[str, ...]
    following: tuple[str, ...]
    roles: Roles

    @classmethod
    def of(cls, columns: Sequence[Column]) -> "Scope":
        roles = Roles.of(list(columns))
        target = next((column for column in columns if column.name == roles.target), None)
        others = [column for column in columns if column.name not in (roles.target, roles.split)]
        has_labels = target is not None and target.kind in _DECIDED and target.distinct <= MOST_LABELS
        is_numeric = target is not None and target.kind in _NUMERIC
        return cls(
            names=tuple(column.name for column in columns),
            textual=tuple(column.name for column in columns if column.kind in TEXTUAL),
            running=tuple(column.name for column in columns if column.kind is ColumnKind.TEXT),
            words=tuple(column.name for column in columns if column.kind in TEXTUAL and column.meant is None),
            ids=tuple(column.name for column in columns if _could_be_ids(column)),
            deciding=tuple(column.name for column in others if has_labels and _could_decide(column))[:MOST_COLUMNS],
            following=tuple(column.name for column in others if is_numeric and column.kind in _NUMERIC)[:MOST_COLUMNS],
            roles=roles,
        )

    def covers(self, other: "Scope") -> bool:
        """Whether all that the other looks at was looked at in the same way. What more may be deciding is left out in the end."""
        same = all(getattr(self, each.name) == getattr(other, each.name) for each in fields(self) if each.name != "deciding")
        return same and set(self.deciding) >= set(other.deciding)


def _could_decide(column: Column) -> bool:
    """Of part of its rows a column has no more values than of all of them."""
    return column.kind in _DECIDING and column.distinct <= MOST_VALUES


def _could_be_ids(column: Column) -> bool:
    return column.kind is ColumnKind.INTEGER and (column.maximum or 0) >= 10**9
