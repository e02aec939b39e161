"""Many rows in one statement: a server that is asked once for each of them is waited for as many times."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Insert, Table, TableValuedAlias, bindparam, func, insert, select
from sqlalchemy.orm import Session


def insert_rows(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """All with the same columns; what they leave out gets the column's default, once for all. They are not read again."""
    if not rows:
        return
    if session.get_bind().dialect.name == "sqlite":  # it is in this process
        session.execute(insert(table), rows)
    else:
        names = tuple(rows[0])
        session.execute(_of_arrays(table, names), {name: [row[name] for row in rows] for name in names})


@lru_cache(maxsize=64)
def _of_arrays(table: Table, names: tuple[str, ...]) -> Insert:
    """One statement for any number of rows, which is put together, planned and sent once."""
    given = as_arrays(table, names)
    return insert(table).from_select(names, select(*(given.c[name] for name in names)))


def as_arrays(table: Table, names: Sequence[str]) -> TableValuedAlias:
    """Rows for ``table`` as PostgreSQL takes them: each column is one parameter, by its name, with the values of all rows."""
    from sqlalchemy.dialects.postgresql import ARRAY  # slow to import, and of no use without such a database

    arrays = [bindparam(name, type_=ARRAY(table.c[name].type, dimensions=1)) for name in names]
    return func.unnest(*arrays).table_valued(*names, name="given").render_derived()
