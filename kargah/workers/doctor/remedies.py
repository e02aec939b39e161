"""Which mends are offered for what was found, the best first. Whether to make them is a person's choice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kargah.contract.fixes import (
    CapClasses,
    CapLength,
    Cast,
    CastDates,
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
    JoinRows,
    KeepLanguages,
    Language,
    LeaveOutRows,
    MaskPersonal,
    MergeLabels,
    Otherwise,
    PadRows,
    RenameColumn,
    RepairEncoding,
    RepairTags,
    SetKind,
    StripHidden,
    Trim,
)
from kargah.recipes.columns import Column, ColumnKind
from kargah.text.dates import Calendar

Entry = dict[str, Any]
Made = list["Fix | Offer"]
_NUMERIC = (ColumnKind.INTEGER, ColumnKind.NUMBER)


@dataclass(frozen=True)
class Trouble:
    """A problem of the report, as its remedies need it. ``column`` is the first it concerns, ``rows`` those of the table."""

    code: str
    count: int
    rows: int
    columns: list[str]
    params: Entry
    kinds: dict[str, ColumnKind]

    @property
    def column(self) -> str:
        return self.columns[0]


@dataclass(frozen=True)
class Offer:
    """A mend, and how many cells or rows it touches: as many as the problem counts, where nothing else is said."""

    fix: Fix
    count: int | None = None
    is_estimate: bool = False


def prescribe(problems: list[Entry], columns: list[Column]) -> list[Entry]:
    """The report's problems, each with its ``rows`` and the ``fixes`` that could be made; ``touches``: of each fix, how much it changes."""
    kinds = {column.name: column.kind for column in columns}
    rows = columns[0].rows if columns else 0
    return [_with_fixes(problem, kinds, rows) for problem in problems]


def _with_fixes(problem: Entry, kinds: dict[str, ColumnKind], rows_there: int) -> Entry:
    params = {name: value for name, value in problem["params"].items() if name != "first_rows"}
    rows = problem.get("rows") or problem["params"].get("first_rows", [])
    trouble = Trouble(problem["code"], problem["count"], rows_there, problem["columns"], params, kinds)
    make = _REMEDIES.get(trouble.code)
    made = make(trouble) if make and set(trouble.columns) <= set(kinds) else []
    offers = [offer if isinstance(offer, Offer) else Offer(offer) for offer in made]
    return {
        **problem,
        "params": params,
        "rows": rows,
        "fixes": [offer.fix.model_dump(mode="json") for offer in offers],
        "touches": [
            {"count": problem["count"] if offer.count is None else offer.count, "is_estimate": offer.is_estimate} for offer in offers
        ],
    }


def _missing(trouble: Trouble) -> Made:
    """A column that is empty throughout goes itself: its rows would be all of them."""
    name, kind = trouble.column, trouble.kinds[trouble.column]
    if kind is ColumnKind.EMPTY:
        return _drop_column(trouble)
    fixes: Made = [DropMissing(columns=[name])]
    if kind in _NUMERIC:
        fixes.append(FillMissing(column=name, by="median"))
    if kind in (ColumnKind.CATEGORY, ColumnKind.BOOLEAN):
        fixes.append(FillMissing(column=name, by="most_frequent"))
    return fixes


def _drop_column(trouble: Trouble) -> Made:
    return [DropColumns(columns=trouble.columns)] if len(trouble.kinds) > 1 else []


def _identifier(trouble: Trouble) -> Made:
    return [SetKind(column=trouble.column, to="identifier"), *_drop_column(trouble)]


def _mojibake(trouble: Trouble) -> Made:
    """None where every text lost something on its way."""
    sure = int(trouble.params.get("repairable", 0))
    return [Offer(RepairEncoding(columns=trouble.columns), sure)] if sure else []


def _bad_dates(trouble: Trouble) -> Made:
    """The calendar that most of the dates are of."""
    calendar = trouble.params["calendar"]
    return [_dates(trouble, calendar, "empty"), _dates(trouble, calendar, "drop")]


def _mixed_calendars(trouble: Trouble) -> Made:
    return [_dates(trouble, "gregorian", "empty"), _dates(trouble, "jalali", "empty")]


def _dates(trouble: Trouble, calendar: Calendar, otherwise: Otherwise) -> Offer:
    touched = trouble.params["unreadable"] + trouble.params["rewritten"].get(calendar, 0)
    return Offer(CastDates(column=trouble.column, calendar=calendar, otherwise=otherwise), touched)


def _cap_classes(trouble: Trouble) -> Made:
    """The largest class alone is larger than the cap."""
    cap, largest = trouble.params["cap"], trouble.params["largest_count"]
    return [Offer(CapClasses(column=trouble.column, rows=cap), largest - cap)] if cap < largest else []


def _languages(trouble: Trouble) -> Made:
    """The commonest language, and with it the texts that mix it with another. Of rows that were not looked at as much is expected.

    ``texts`` begin with the commonest.
    """
    texts, seen = dict(trouble.params["texts"]), trouble.params["rows_seen"]
    main = next((language for language in texts if language != "mixed"), None)
    if main is None:
        return []
    kept: list[list[Language]] = [[main], *([[main, "mixed"]] if "mixed" in texts and len(texts) > 2 else [])]
    others = [sum(count for language, count in texts.items() if language not in languages) for languages in kept]
    return [
        Offer(KeepLanguages(column=trouble.column, languages=languages), round(count * trouble.rows / seen), seen < trouble.rows)
        for languages, count in zip(kept, others, strict=True)
    ]


def _personal(trouble: Trouble) -> Made:
    what = trouble.code.removeprefix("PERSONAL_").lower()
    return [MaskPersonal.model_validate({"columns": trouble.columns, "what": [what]})]


def _ragged(trouble: Trouble) -> Made:
    """None where the rows are not kept. What is too much belongs to running text, the last there is."""
    file = trouble.params.get("file")
    short, long = (int(trouble.params.get(which, 0)) for which in ("short", "long"))
    text = next((name for name, kind in reversed(trouble.kinds.items()) if kind is ColumnKind.TEXT), None)
    offers: Made = [Offer(PadRows(file=file), short)] if short else []
    if long and text is not None:
        offers.append(Offer(JoinRows(column=text, file=file), long))
    return [*offers, Offer(LeaveOutRows(file=file), short + long)] if short + long else []


def _twice_named(trouble: Trouble) -> Made:
    """Either both columns get a number, or the second goes."""
    name, taken = str(trouble.params["name"]), trouble.kinds
    fixes: Made = [Offer(DropColumns(columns=trouble.columns), trouble.rows)]
    first = next(f"{name}_{number}" for number in range(1, len(taken) + 2) if f"{name}_{number}" not in taken)
    return [Offer(RenameColumn(column=name, to=first), 1), *fixes] if name in taken else fixes


_REMEDIES: dict[str, Callable[[Trouble], Made]] = {
    "RAGGED_ROWS": _ragged,
    "DUPLICATE_HEADERS": _twice_named,
    "MOJIBAKE": _mojibake,
    "BAD_DATES": _bad_dates,
    "MIXED_CALENDARS": _mixed_calendars,
    "IMBALANCE": _cap_classes,
    "LANGUAGE_MIX": _languages,
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
    "LOOKS_LIKE_ID": _identifier,
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
