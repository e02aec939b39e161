"""Which mends are offered for what was found, the best first. Whether to make them is a person's choice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kargah.contract.fixes import (
    CapLength,
    Cast,
    DropBrokenTurns,
    DropClasses,
    DropColumns,
    DropConflicts,
    DropDuplicates,
    DropLeaked,
    DropMissing,
    DropSame,
    FillMissing,
    Fix,
    MaskPersonal,
    MergeLabels,
    RepairTags,
    StripHidden,
    Trim,
)
from kargah.recipes.columns import Column, ColumnKind

Entry = dict[str, Any]
_NUMERIC = (ColumnKind.INTEGER, ColumnKind.NUMBER)


@dataclass(frozen=True)
class Trouble:
    """A problem of the report, as its remedies need it. ``column`` is the first it concerns."""

    code: str
    share: float
    columns: list[str]
    params: Entry
    kinds: dict[str, ColumnKind]

    @property
    def column(self) -> str:
        return self.columns[0]


def prescribe(problems: list[Entry], columns: list[Column]) -> list[Entry]:
    """The report's problems, each with its ``rows`` and the ``fixes`` that could be made."""
    kinds = {column.name: column.kind for column in columns}
    return [_with_fixes(problem, kinds) for problem in problems]


def _with_fixes(problem: Entry, kinds: dict[str, ColumnKind]) -> Entry:
    params = {name: value for name, value in problem["params"].items() if name != "first_rows"}
    rows = problem.get("rows") or problem["params"].get("first_rows", [])
    trouble = Trouble(problem["code"], problem["share"] or 0.0, problem["columns"], params, kinds)
    make = _REMEDIES.get(trouble.code)
    fixes = make(trouble) if make and set(trouble.columns) <= set(kinds) else []
    return {**problem, "params": params, "rows": rows, "fixes": [fix.model_dump(mode="json") for fix in fixes]}


def _missing(trouble: Trouble) -> list[Fix]:
    """A column that is empty throughout goes itself: its rows would be all of them."""
    name, kind = trouble.column, trouble.kinds[trouble.column]
    if kind is ColumnKind.EMPTY:
        return _drop_column(trouble)
    fixes: list[Fix] = [DropMissing(columns=[name])]
    if kind in _NUMERIC:
        fixes.append(FillMissing(column=name, by="median"))
    if kind in (ColumnKind.CATEGORY, ColumnKind.BOOLEAN):
        fixes.append(FillMissing(column=name, by="most_frequent"))
    return fixes


def _drop_column(trouble: Trouble) -> list[Fix]:
    return [DropColumns(columns=trouble.columns)] if len(trouble.kinds) > 1 else []


def _personal(trouble: Trouble) -> list[Fix]:
    what = trouble.code.removeprefix("PERSONAL_").lower()
    return [MaskPersonal.model_validate({"columns": trouble.columns, "what": [what]})]


_REMEDIES: dict[str, Callable[[Trouble], list[Fix]]] = {
    "OUTER_SPACES": lambda trouble: [Trim(columns=trouble.columns)],
    "BIDI_CONTROLS": lambda trouble: [StripHidden(columns=trouble.columns)],
    "VERY_LONG": lambda trouble: [CapLength(columns=trouble.columns, characters=trouble.params["characters"])],
    "NUMBERS_AMONG_TEXT": lambda trouble: [Cast(column=trouble.column), Cast(column=trouble.column, otherwise="drop")],
    "LABEL_VARIANTS": lambda trouble: [MergeLabels(column=trouble.column)],
    "RARE_CLASSES": lambda trouble: [DropClasses(column=trouble.column, labels=trouble.params["classes"])],
    "MISSING_VALUES": _missing,
    "NOT_NUMBERS": _missing,
    "DUPLICATE_ROWS": lambda _: [DropDuplicates()],
    "NEAR_DUPLICATES": lambda trouble: [DropDuplicates(columns=trouble.columns, near=True)],
    "CONFLICTING_LABELS": lambda trouble: [DropConflicts(inputs=trouble.params["inputs"], target=trouble.params["target"])],
    "LEAKED_ROWS": lambda trouble: [DropLeaked(column=trouble.params["split"], inputs=trouble.params["inputs"])],
    "LEAKING_COLUMN": _drop_column,
    "LOOKS_LIKE_ID": _drop_column,
    "ONE_CLASS": _drop_column,
    "SAME_ANSWERS": lambda _: [DropSame(columns=["chosen", "rejected"])],
    "TURNS_DO_NOT_ALTERNATE": lambda trouble: [DropBrokenTurns(column=trouble.column)],
    "BROKEN_TAGS": lambda trouble: [RepairTags(column=trouble.column)],
    "PERSONAL_EMAIL": _personal,
    "PERSONAL_PHONE": _personal,
    "PERSONAL_CARD": _personal,
    "PERSONAL_NATIONAL_ID": _personal,
    "PERSONAL_IBAN": _personal,
}
