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
Rows = Sequence[Mapping[str, Any]]


def insert_rows(session: Session, *given: tuple[Table, Rows]) -> None:
    """All of one table with the same columns; what they leave out gets the column's default, once for all. They are not read again.

    Those of several tables go in one statement too: a row may name one of another table that comes with it, and leaves nothing out
    but what is null then.
    """
    given = tuple((table, rows) for table, rows in given if rows)
    if session.get_bind().dialect.name == "sqlite":  # it is in this process
        for table, rows in given:
            session.execute(insert(table), rows)
    elif given:
        session.execute(_of_all(shapes_of(given)), values_of(given))


#: Tables, and what is told of each.
Shapes = tuple[tuple[Table, tuple[str, ...]], ...]


def shapes_of(given: Sequence[tuple[Table, Rows]]) -> Shapes:
    return tuple((table, tuple(rows[0])) for table, rows in given)


def values_of(given: Sequence[tuple[Table, Rows]]) -> dict[str, str]:
    """For execution of a statement that takes ``inserts_of`` their shapes."""
    return {f"{ROWS}_{number}": as_json(rows) for number, (_, rows) in enumerate(given)}


@lru_cache(maxsize=64)
def _of_all(shapes: Shapes) -> Insert:
    """One statement for any number of rows, which is put together, planned and sent once."""
    *before, last = inserts_of(shapes)
    return last.add_cte(*(one.cte(f"before_{number}") for number, one in enumerate(before)))


def inserts_of(shapes: Shapes) -> list[Insert]:
    found = []
    for number, (table, names) in enumerate(shapes):
        given = rows_given(table, names, f"{ROWS}_{number}")
        found.append(insert(table).from_select(names, select(*(given.c[name] for name in names))))
    return found


def rows_given(table: Table, names: Sequence[str], parameter: str = ROWS) -> TableValuedAlias:
    """What ``parameter`` tells of rows for ``table``, as PostgreSQL takes it apart: one value, which costs no more than one."""
    from sqlalchemy.dialects.postgresql import JSON  # slow to import, and of no use without such a database

    columns = [column(name, table.c[name].type) for name in names]
    told = func.json_to_recordset(cast(bindparam(parameter, type_=Text()), JSON()))
    return told.table_valued(*columns, name="given").render_derived(with_types=True)


def as_json(rows: Rows) -> str:
    return json.dumps(rows, default=_moment)


def _moment(value: object) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be stored as one of many")
