"""All rows of a data set: found, sorted, page by page; edited together into a new version; and the split, asked for by a form."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.contract.fixes import ORDER, CellEdit, EditRows, Fix, Split
from kargah.datasets import rows, versions
from kargah.datasets.errors import BadFix
from kargah.datasets.rows import Difference, Row, Rows, Table, View
from kargah.datasets.schemas import MendWish, VersionSummary
from kargah.kit import i18n
from kargah.kit.errors import KargahError
from kargah.recipes.columns import Column, ColumnKind
from kargah.store.access import Actor
from kargah.web.deps import Ask, Asking
from kargah.web.idempotency import once_of_form
from kargah.web.pages.access import see
from kargah.web.pages.dataset_views import cell
from kargah.web.pages.figures import Figure
from kargah.web.pages.forms import Errors, errors_of, form_of
from kargah.web.pages.parts import pages_of
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
PAGE = 25
#: A longer cell is shown and not edited: a form would send it back cut.
MOST_EDITED = 2000
ONE_LINE = 24
#: As much of a cell as a look gives; what is longer than three lines or so is folded.
LONGEST_CELL, FOLDED = 2001, 240
_EDITABLE = (ColumnKind.TEXT, ColumnKind.CATEGORY, ColumnKind.INTEGER, ColumnKind.NUMBER, ColumnKind.BOOLEAN, ColumnKind.EMPTY)


@dataclass(frozen=True)
class Cell:
    """``field``: the name of its input while rows are edited, "" for what cannot be edited. ``value``: as it would be typed."""

    text: str
    field: str = ""
    value: str = ""
    label: str = ""

    @property
    def is_folded(self) -> bool:
        return len(self.text) > FOLDED

    @property
    def is_short(self) -> bool:
        """Whether one line holds it."""
        return len(self.value) <= ONE_LINE and "\n" not in self.value


@dataclass(frozen=True)
class ShownRow:
    number: str
    field: str
    label: str
    cells: list[Cell]


@router.get("/datasets/{dataset_id}/rows")
async def show_rows(dataset_id: str, request: Request, ask: Ask) -> Response:
    return await _show(request, ask, dataset_id)


async def _show(request: Request, ask: Asking, dataset_id: str, errors: Errors | None = None, status: int = 200) -> Response:
    asked = {name: request.query_params.get(name, "") for name in ("q", "column", "sort", "down", "edit", "cursor")}
    table = await ask.read(rows.table_of, dataset_id, ask.settings.home)
    found = await rows.look(table, _view(asked, table))
    page = page_of(request, "datasets", crumbs=((table.title, f"/datasets/{dataset_id}"),))
    path, may_edit = f"/datasets/{dataset_id}/rows", not page.is_viewer
    editing = may_edit and asked["edit"] == "true"
    return render(
        "dataset_rows.html",
        page,
        status=status,
        dataset_id=dataset_id,
        version_id=table.version_id,
        title=table.title,
        asked=asked,
        columns=table.columns,
        headings=[(column.name, _sorting(path, asked, column.name), asked["sort"] == column.name) for column in table.columns],
        rows=_shown(page.words, table, found, editing),
        shown=_count(page.words, asked, found),
        editing=editing,
        edit_href=f"{path}?{urlencode({**_kept(asked), 'edit': 'true'})}" if may_edit and not editing else "",
        back_href=f"{path}?{urlencode(_kept(asked))}",
        action=f"{path}?{urlencode({**_kept(asked), 'edit': 'true'})}",
        pages=pages_of(path, {**_kept(asked), "edit": asked["edit"]}, found.next_cursor),
        errors=errors or {},
    )


def _view(asked: dict[str, str], table: Table) -> View:
    """A column that is not there is not asked for: an address may be older than the version."""
    names = {column.name for column in table.columns}
    offset = int(asked["cursor"]) if asked["cursor"].isascii() and asked["cursor"].isdigit() and len(asked["cursor"]) < 15 else 0
    return View(
        offset=offset,
        limit=PAGE,
        sort=asked["sort"] if asked["sort"] in names else None,
        descending=asked["down"] == "true",
        column=asked["column"] if asked["column"] in names else None,
        contains=asked["q"][:500] or None,
    )


def _kept(asked: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in asked.items() if value and name != "edit"}


def _sorting(path: str, asked: dict[str, str], column: str) -> str:
    """The address that sorts by a column; the other way round when it is sorted by already."""
    down = "true" if asked["sort"] == column and asked["down"] != "true" else ""
    kept = {name: value for name, value in {**_kept(asked), "sort": column, "down": down, "cursor": ""}.items() if value}
    return f"{path}?{urlencode(kept)}"


def _count(words: Words, asked: dict[str, str], found: Rows) -> str:
    if not found.rows:
        return words.text("dataset.rows_none")
    first = int(asked["cursor"]) + 1 if asked["cursor"].isdigit() else 1
    return words.text("dataset.rows_shown", first=first, last=first + len(found.rows) - 1, total=found.total)


def _shown(words: Words, table: Table, found: Rows, editing: bool) -> list[ShownRow]:
    return [
        ShownRow(
            number=str(row.number),
            field=f"delete.{row.number}" if editing else "",
            label=words.text("dataset.rows_delete", number=row.number),
            cells=[_cell(words, row, place, column, editing) for place, column in enumerate(table.columns)],
        )
        for row in found.rows
    ]


def _cell(words: Words, row: Row, place: int, column: Column, editing: bool) -> Cell:
    value = row.cells.get(column.name)
    typed = typed_of(value)
    if not editing or column.kind not in _EDITABLE or len(typed) >= MOST_EDITED:
        return Cell(cell(value, LONGEST_CELL))
    label = words.text("dataset.rows_cell", number=row.number, column=column.name)
    return Cell(cell(value, LONGEST_CELL), f"cell.{row.number}.{place}", typed, label)


def typed_of(value: Any) -> str:
    """A cell as a person would type it."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


@router.get("/datasets/{dataset_id}/difference")
async def show_difference(dataset_id: str, request: Request, ask: Ask) -> Response:
    """``?since=<version>&version=<version>``; without ``version`` the current one."""
    asked, home = request.query_params, ask.settings.home
    before = await ask.read(rows.table_of, dataset_id, home, asked.get("since") or None)
    after = await ask.read(rows.table_of, dataset_id, home, asked.get("version") or None)
    found = await rows.difference(before, after)
    page = page_of(request, "datasets", crumbs=((after.title, f"/datasets/{dataset_id}"),))
    words = page.words
    columns = [column.name for column in after.columns] + found.columns_removed
    examples = {"added": found.examples_added, "removed": found.examples_removed}
    return render(
        "dataset_difference.html",
        page,
        heading=words.text("dataset.difference", since=before.number, version=after.number),
        title=after.title,
        columns=columns,
        strip=_difference_strip(words, found),
        parts=[(words.text(f"dataset.difference.{part}"), _plain_rows(shown, columns)) for part, shown in examples.items()],
    )


def _plain_rows(shown: list[Row], columns: list[str]) -> list[tuple[str, list[str]]]:
    return [(str(row.number), [cell(row.cells.get(name)) for name in columns]) for row in shown]


def _difference_strip(words: Words, found: Difference) -> list[Figure]:
    numbers = {"added": found.added, "removed": found.removed, "kept": found.kept}
    counts = [Figure(words.text(f"dataset.difference.{name}_n"), words.number(number)) for name, number in numbers.items()]
    comma = words.text("list.comma")
    names = (("columns_added", found.columns_added), ("columns_removed", found.columns_removed))
    return counts + [Figure(words.text(f"dataset.difference.{name}"), comma.join(columns)) for name, columns in names if columns]


@router.post("/datasets/{dataset_id}/rows")
async def edit_rows(dataset_id: str, request: Request, ask: Ask) -> Response:
    """What differs from the shown version's cells, and the rows that are ticked, become one new version."""
    values = await form_of(request)
    try:
        table = await ask.read(rows.table_of, dataset_id, ask.settings.home, values.get("version") or None)
        edits = edits_of(values, [column.name for column in table.columns])
        await _mend(ask, dataset_id, values, EditRows(edits=edits, deletions=_ticked(values)), table.version_id)
    except KargahError as error:
        text = next(iter(errors_of(request, error).values()))
        return await _show(request, ask, dataset_id, {"rows": text}, error.status)
    return see(f"/datasets/{dataset_id}?done=dataset_mending")


def edits_of(values: dict[str, str], names: list[str]) -> list[CellEdit]:
    """The cells whose input differs from what was shown in it. A form's line breaks are those of the internet."""
    edits = []
    for field, value in values.items():
        parts = field.split(".")
        if parts[0] != "cell" or len(parts) != 3 or not (parts[1] + parts[2]).isdigit() or int(parts[2]) >= len(names):
            continue
        typed, before = (text.replace("\r\n", "\n") for text in (value, values.get(f"was.{parts[1]}.{parts[2]}", value)))
        if typed != before:
            edits.append(CellEdit(row=int(parts[1]), column=names[int(parts[2])], value=typed or None))
    return edits


def _ticked(values: dict[str, str]) -> list[int]:
    return [int(number) for field in values if field.startswith("delete.") and (number := field.removeprefix("delete.")).isdigit()]


@router.post("/datasets/{dataset_id}/split")
async def split(dataset_id: str, request: Request, ask: Ask) -> Response:
    """Shares come in percent, in the digits of any of the languages."""
    values = await form_of(request)
    try:
        await _mend(ask, dataset_id, values, split_of(values), None)
    except KargahError as error:
        text = next(iter(errors_of(request, error).values()))
        return await _show(request, ask, dataset_id, {"rows": text}, error.status)
    return see(f"/datasets/{dataset_id}?done=dataset_mending")


def split_of(values: dict[str, str]) -> Split:
    """Raises BadFix."""
    defaults = {"validation": "10", "test": "10", "seed": "42"}
    plain = {name: i18n.latin_digits(values.get(name, "")).strip() or default for name, default in defaults.items()}
    try:
        return Split(
            validation_share=float(plain["validation"]) / 100,
            test_share=float(plain["test"]) / 100,
            seed=int(plain["seed"]),
            stratify=values.get("stratify") or None,
            group=values.get("group") or None,
        )
    except (ValidationError, ValueError):
        raise BadFix(field="split", reason=" · ".join(plain.values()), known=", ".join(ORDER)) from None


async def _mend(ask: Asking, dataset_id: str, values: dict[str, str], fix: Fix, version_id: str | None) -> None:
    wish = MendWish(from_version=version_id, fixes=[fix], why=values.get("why", "")[:500])

    def mend(session: Session, actor: Actor) -> VersionSummary:
        return versions.mend(session, actor, dataset_id, wish)

    await once_of_form(ask, values.get("_once", ""), wish.model_dump_json(), mend)
