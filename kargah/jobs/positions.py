"""The one order of all events: a counter row, raised in the transaction that uses its numbers."""

from functools import lru_cache
from typing import Any

from sqlalchemy import CTE, Insert, Select, Table, bindparam, insert, select, text, true
from sqlalchemy.orm import Session

from kargah.store.rows import Rows, Shape, as_json, given_as, rows_given, shape_of
from kargah.store.tables import Counter

POSITION = "position"
_COUNT = bindparam("count", type_=Counter.value.type)
_LATEST = select(Counter.value).where(Counter.name == POSITION)
_TAKE = text(
    "INSERT INTO counters (name, value) VALUES (:name, :count)"
    " ON CONFLICT (name) DO UPDATE SET value = counters.value + :count RETURNING value"
)


def latest_position(session: Session) -> int:
    return session.scalar(_LATEST) or 0


def insert_in_order(session: Session, count: int, *given: tuple[Table, Rows]) -> int:
    """Take the next ``count`` positions and write rows of several tables, which may name one another. Returns the first position.

    What a row calls its ``position`` counts from 0, behind all that there are. The counter's row stays locked until the commit, so
    that positions become visible in order. Rows of a table are alike, and leave nothing out but what is null then.
    """
    given = tuple((table, rows) for table, rows in given if rows)
    terms = {"name": POSITION, "count": count}
    if session.get_bind().dialect.name == "sqlite":  # it is in this process
        first: int = session.execute(_TAKE, terms).scalar_one() - count + 1
        for table, rows in given:
            session.execute(insert(table), [{**row, POSITION: first + row[POSITION]} if POSITION in row else row for row in rows])
        return first
    told = {given_as(number): as_json(rows) for number, (_, rows) in enumerate(given)}
    last: int = session.execute(_of_all(tuple(shape_of(table, rows) for table, rows in given)), {**terms, **told}).scalar_one()
    return last - count + 1


@lru_cache(maxsize=64)
def _of_all(shapes: tuple[Shape, ...]) -> Select[Any]:
    """One statement takes the numbers, uses them and answers with the last: it is put together, planned and sent once."""
    from sqlalchemy.dialects import postgresql  # slow to import, and of no use without such a database

    fresh = postgresql.insert(Counter).values(name=bindparam("name"), value=_COUNT)
    raised = fresh.on_conflict_do_update(index_elements=["name"], set_={"value": Counter.value + _COUNT})
    taken = raised.returning(Counter.value).cte("taken")
    written = (_written(shape, number, taken).cte(f"written_{number}") for number, shape in enumerate(shapes))
    return select(taken.c.value).add_cte(*written)


def _written(shape: Shape, number: int, taken: CTE) -> Insert:
    table, names = shape
    given = rows_given(shape, number)
    if POSITION not in names:
        return insert(table).from_select(names, select(*(given.c[name] for name in names)))
    columns = (taken.c.value - _COUNT + 1 + given.c[name] if name == POSITION else given.c[name] for name in names)
    return insert(table).from_select(names, select(*columns).select_from(given.join(taken, true())))
