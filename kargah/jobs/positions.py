"""The one order of all events: a counter row, raised in the transaction that uses its numbers."""

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from kargah.store.tables import Counter

POSITION = "position"
_LATEST = select(Counter.value).where(Counter.name == POSITION)
_TAKE = text(
    "INSERT INTO counters (name, value) VALUES (:name, :count)"
    " ON CONFLICT (name) DO UPDATE SET value = counters.value + :count RETURNING value"
)


def latest_position(session: Session) -> int:
    return session.scalar(_LATEST) or 0


def take(session: Session, count: int) -> int:
    """Take ``count`` numbers; returns the first. The row stays locked until the commit, so that positions become visible in order."""
    last: int = session.execute(_TAKE, {"name": POSITION, "count": count}).scalar_one()
    return last - count + 1
