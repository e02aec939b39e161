"""Many rows in one statement: a server that is asked once for each of them is waited for as many times."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Table, TableValuedAlias, Text, bindparam, cast, column, func

Rows = Sequence[Mapping[str, Any]]
#: A table, and the columns of it that are told.
Shape = tuple[Table, tuple[str, ...]]


def shape_of(table: Table, rows: Rows) -> Shape:
    return table, tuple(rows[0])


def given_as(number: int) -> str:
    """The parameter with all rows of one table; no column is called so."""
    return f"rows_as_json_{number}"


def rows_given(shape: Shape, number: int) -> TableValuedAlias:
    """What that parameter tells, as PostgreSQL takes it apart: one value, which costs no more than one."""
    from sqlalchemy.dialects.postgresql import JSON  # slow to import, and of no use without such a database

    table, names = shape
    columns = [column(name, table.c[name].type) for name in names]
    told = func.json_to_recordset(cast(bindparam(given_as(number), type_=Text()), JSON()))
    return told.table_valued(*columns, name=f"given_{number}").render_derived(with_types=True)


def as_json(rows: Rows) -> str:
    return json.dumps(rows, default=_moment)


def _moment(value: object) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be stored as one of many")
