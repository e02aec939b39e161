"""Ends that no worker said (a queued job stopped, attempts exhausted) are told to the domains too, each once.

The web process knows no projectors, so an agent does it: a second counter, ``told``, says up to which position.
"""

import logging
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.contract.events import AnyEvent
from kargah.jobs import positions
from kargah.jobs.projection import Trades
from kargah.jobs.tables import EventRow, Job
from kargah.kit.errors import KargahError
from kargah.store.database import Database
from kargah.store.tables import Counter

TOLD = "told"
ENDS = ("Stopped", "Failed")

log = logging.getLogger(__name__)


def tell_ends(database: Database, home: Path, trades: Trades, seen: int) -> int:
    """Tell what came after position ``seen`` (this process's own memory). Returns the new ``seen``."""
    with database.read() as session:
        last = positions.latest_position(session)
        if last == seen or not _untold(session, max(seen, _told(session)), last):
            return last
    with database.serialised() as session:
        for row in _untold(session, _told(session), last):
            try:
                with session.begin_nested():
                    _tell(session, home, trades, row)
            except KargahError as error:  # not mended by telling it again; the job's own state is right in any case
                log.error("the end of job %s was not taken: %s", row.job_id, error)
        session.merge(Counter(name=TOLD, value=max(_told(session), last)))
    return last


def _told(session: Session) -> int:
    return session.scalar(select(Counter.value).where(Counter.name == TOLD)) or 0


def _untold(session: Session, after: int, until: int) -> list[EventRow]:
    said = select(EventRow).where(EventRow.position > after, EventRow.position <= until, EventRow.attempt == 0, EventRow.kind.in_(ENDS))
    return list(session.scalars(said.order_by(EventRow.position)))


def _tell(session: Session, home: Path, trades: Trades, row: EventRow) -> None:
    job = session.get_one(Job, row.job_id)
    event = AnyEvent.validate_python({"kind": row.kind, "at": row.at, **row.payload})
    for observe in trades.observers:
        observe(session, [(job, [event])])
    trade = trades.by_kind.get(job.kind)
    if trade is not None and trade.project is not None:
        trade.project(session, home, job, event)
