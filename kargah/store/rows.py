"""Many rows in one statement: a server that is asked once for each of them is waited for as many times."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Insert, Table, TableValuedAlias, Text, bindparam, cast, column, func, insert, select
from sqlalchemy.orm import Session

#: The parameter with all rows; no column is called so.
ROWS = "rows_as_json"


def insert_rows(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """All with the same columns; what they leave out gets the column's default, once for all. They are not read again."""
    if not rows:
        return
    if session.get_bind().dialect.name == "sqlite":  # it is in this process
        session.execute(insert(table), rows)
    else:
        session.execute(_of_all(table, tuple(rows[0])), {ROWS: as_json(rows)})


@lru_cache(maxsize=64)
def _of_all(table: Table, names: tuple[str, ...]) -> Insert:
    """One statement for any number of rows, which is put together, planned and sent once."""
    given = rows_given(table, names)
    return insert(table).from_select(names, select(*(given.c[name] for name in names)))


def rows_given(table: Table, names: Sequence[str]) -> TableValuedAlias:
    """What the parameter ROWS tells of rows for ``table``, as PostgreSQL takes it apart: one value, which costs no more than one."""
    from sqlalchemy.dialects.postgresql import JSON  # slow to import, and of no use without such a database

    columns = [column(name, table.c[name].type) for name in names]
    told = func.json_to_recordset(cast(bindparam(ROWS, type_=Text()), JSON()))
    return told.table_valued(*columns, name="given").render_derived(with_types=True)


def as_json(rows: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(rows, default=_moment)


def _moment(value: object) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be stored as one of many")
