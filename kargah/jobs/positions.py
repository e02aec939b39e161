"""The one order of all events: a counter row, raised in the transaction that uses its numbers."""

from functools import lru_cache
from typing import Any

from sqlalchemy import Select, Table, bindparam, insert, select, text, true
from sqlalchemy.orm import Session

from kargah.store.rows import ROWS, Rows, Shapes, as_json, insert_rows, inserts_of, rows_given, shapes_of, values_of
from kargah.store.tables import Counter

POSITION = "position"
_LATEST = select(Counter.value).where(Counter.name == POSITION)
_TAKE = text(
    "INSERT INTO counters (name, value) VALUES (:name, :count)"
    " ON CONFLICT (name) DO UPDATE SET value = counters.value + :count RETURNING value"
)


def latest_position(session: Session) -> int:
    return session.scalar(_LATEST) or 0


def insert_in_order(session: Session, table: Table, rows: Rows, *beside: tuple[Table, Rows]) -> int:
    """Write rows whose ``position`` counts from 0 behind all that there are. Returns the position of the first.

    The counter's row stays locked until the commit, so that positions become visible in order. ``beside``: rows of other tables, as
    ``insert_rows`` takes them together.
    """
    count = len(rows)
    if session.get_bind().dialect.name == "sqlite":
        first: int = session.execute(_TAKE, {"name": POSITION, "count": count}).scalar_one() - count + 1
        insert_rows(session, *beside, (table, [{**row, "position": first + row["position"]} for row in rows]))
        return first
    terms = {ROWS: as_json(rows), "name": POSITION, "count": count, **values_of(beside)}
    last: int = session.execute(_counted(table, tuple(rows[0]), shapes_of(beside)), terms).scalar_one()
    return last - count + 1


@lru_cache(maxsize=8)
def _counted(table: Table, names: tuple[str, ...], beside: Shapes) -> Select[Any]:
    """The numbers are taken and used by one statement, which answers with the last of them."""
    from sqlalchemy.dialects import postgresql  # slow to import, and of no use without such a database

    count = bindparam("count", type_=Counter.value.type)
    fresh = postgresql.insert(Counter).values(name=bindparam("name"), value=count)
    raised = {"value": Counter.value + count}
    taken = fresh.on_conflict_do_update(index_elements=["name"], set_=raised).returning(Counter.value).cte("taken")
    given = rows_given(table, names)
    columns = [taken.c.value - count + 1 + given.c[name] if name == POSITION else given.c[name] for name in names]
    written = insert(table).from_select(names, select(*columns).select_from(given.join(taken, true()))).cte("written")
    others = (one.cte(f"beside_{number}") for number, one in enumerate(inserts_of(beside)))
    return select(taken.c.value).add_cte(*others, written)
