"""Rows of a version, read by a short-lived process so that this one stays small; see kargah.workers.look."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter
from sqlalchemy.orm import Session

from kargah.contract import caches
from kargah.datasets import service as datasets
from kargah.datasets import versions
from kargah.datasets.errors import RowsUnreadable, UnknownColumn
from kargah.datasets.schemas import JsonDict
from kargah.kit import files
from kargah.recipes.columns import Column
from kargah.store.access import Actor, To

MOST_ROWS = 200
LIMIT_SECONDS = 60.0
CHUNK_BYTES = 256 * 1024
#: So many looks at once; the others wait their turn.
AT_ONCE = 2
#: Orders of sorted or searched tables that are kept; one of a million rows takes eight megabytes.
ORDERS_KEPT = 20
LOOK = "kargah.workers.look"
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
_turns: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = {}


@dataclass(frozen=True)
class View:
    """Which rows. ``contains`` is looked for in ``column``, in all when none is named; spelling does not count."""

    offset: int = 0
    limit: int = 50
    sort: str | None = None
    descending: bool = False
    column: str | None = None
    contains: str | None = None


@dataclass(frozen=True)
class Table:
    """A version's rows on the disk. ``home``: where what is worked out of them is kept (caches)."""

    path: Path
    home: Path
    version_id: str
    number: int
    title: str
    columns: list[Column]


class Row(BaseModel):
    """``number``: its place in the version, from 1."""

    number: int
    cells: JsonDict


class Rows(BaseModel):
    """``total``: of the rows that the filter lets through. ``next_cursor`` is null on the last page."""

    version_id: str
    columns: list[str]
    rows: list[Row]
    total: int
    next_cursor: str | None = None


class Bin(BaseModel):
    """Of lengths and whole numbers ``high`` counts in. The outermost bins hold all that lies beyond the others as well."""

    low: float
    high: float
    count: int


class Statistics(BaseModel):
    """``measure``: value, characters (of a text) or items (of a list). ``quartiles``: the first, the median, the third.

    Quartiles and bins are those of every so manieth (``every``) value; the rest is of all.
    """

    name: str
    measure: str
    count: int
    nulls: int
    every: int
    mean: float | None
    deviation: float | None
    minimum: float | None
    maximum: float | None
    quartiles: list[float]
    bins: list[Bin]


class Difference(BaseModel):
    """From one version to another. Rows are compared as wholes: one that was changed is removed and added."""

    added: int
    removed: int
    kept: int
    columns_added: list[str]
    columns_removed: list[str]
    examples_added: list[Row]
    examples_removed: list[Row]


_BIN = tuple(Bin.model_fields)
_ALL_STATISTICS = TypeAdapter(list[Statistics])


def table_of(session: Session, actor: Actor, dataset_id: str, home: Path, version_id: str | None = None) -> Table:
    """Access is checked here; the reading itself needs no database."""
    dataset = datasets.loaded(session, actor, dataset_id, To.READ)
    version = versions.version_of(session, dataset, version_id)
    return Table(
        datasets.file_of(home, version, "data.parquet"),
        home,
        version.id,
        version.number,
        dataset.title,
        datasets.columns_of(version),
    )


async def look(table: Table, view: View) -> Rows:
    """Raises UnknownColumn; RowsUnreadable when the table cannot be read in time."""
    names = [column.name for column in table.columns]
    for name in (view.sort, view.column):
        if name and name not in names:
            raise UnknownColumn(field="column", column=name, known=", ".join(names))
    found = await asked(table, {**asdict(view), **_kept_order(table, view)})
    end = view.offset + len(found["rows"])
    next_cursor = str(end) if found["rows"] and end < found["total"] else None
    return Rows(version_id=table.version_id, columns=names, rows=found["rows"], total=found["total"], next_cursor=next_cursor)


def _kept_order(table: Table, view: View) -> JsonDict:
    """A sorted or searched table is gone through once, not once a page: the order is kept beside the last ones."""
    if not view.sort and not view.contains:
        return {}
    what = json.dumps([view.sort, view.descending, view.column, view.contains])
    return {"order": str(caches.order_file(table.home, table.path.name, what)), "orders": ORDERS_KEPT}


async def statistics(table: Table, home: Path) -> list[Statistics]:
    """How the columns' values are spread: measured when first asked for, and kept, for a version never changes."""
    found = known_statistics(home, table.path.name)
    if found is None:
        told = await asked(table, {"statistics": True})
        found = [
            Statistics.model_validate({**column, "bins": [dict(zip(_BIN, edges, strict=True)) for edges in column["bins"]]})
            for column in told
        ]
        await asyncio.to_thread(_keep_statistics, home, table.path.name, found)
    return found


def known_statistics(home: Path, sha256: str) -> list[Statistics] | None:
    """What was measured before of the table with this hash."""
    try:
        return _ALL_STATISTICS.validate_json(caches.statistics_file(home, sha256).read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _keep_statistics(home: Path, sha256: str, found: list[Statistics]) -> None:
    """Not keeping them is no harm: they are measured again."""
    try:
        files.make_folder(caches.statistics_file(home, sha256).parent)
        files.write_bytes(caches.statistics_file(home, sha256), _ALL_STATISTICS.dump_json(found))
    except OSError:
        return


async def difference(before: Table, after: Table) -> Difference:
    """What ``after`` has that ``before`` has not, and the other way round. Raises RowsUnreadable."""
    return Difference.model_validate(await asked(after, {"other": str(before.path)}))


async def export(table: Table, form: str) -> AsyncIterator[bytes]:
    """The whole table as CSV (for Excel: marked as UTF-8, without formulas) or as JSON lines. A client that leaves ends it."""
    async with _turn():
        process = await _start({"path": str(table.path), "format": form})
        assert process.stdout is not None
        try:
            while chunk := await process.stdout.read(CHUNK_BYTES):
                yield chunk
        finally:
            await _end(process)


async def asked(table: Table, wish: JsonDict, worker: str = LOOK) -> Any:
    """What a short-lived worker says of the table. Raises RowsUnreadable when it says nothing in time."""
    async with _turn():
        process = await _start({**wish, "path": str(table.path)}, worker)
        try:
            answer, _ = await asyncio.wait_for(process.communicate(), LIMIT_SECONDS)
        except TimeoutError:
            answer = b""
        finally:
            await _end(process)
    if not answer or process.returncode:
        raise RowsUnreadable(title=table.title)
    return json.loads(answer)


async def _start(wish: JsonDict, worker: str = LOOK) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", worker, json.dumps(wish),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **_ENVIRONMENT},
    )  # fmt: skip


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def _turn() -> asyncio.Semaphore:
    loop = asyncio.get_running_loop()
    return _turns.setdefault(loop, asyncio.Semaphore(AT_ONCE))
