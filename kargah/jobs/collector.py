"""Carries what workers wrote into the store: every line once, whatever dies in between.

The rows, the offset, the job's state and what other domains make of an event stand in one transaction; a line's source
(job, attempt, line) is unique besides.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from kargah.contract.events import Event, Failed, Finished, Logged, Paused, Running, Started, Step, Stopped
from kargah.contract.wire import decode
from kargah.jobs import history, states
from kargah.jobs.carrier import Carrier, Line
from kargah.jobs.progress import drawn
from kargah.jobs.projection import Trade, Trades
from kargah.jobs.states import Fence, LeaseLost, State
from kargah.jobs.tables import Attempt, Job
from kargah.kit import files
from kargah.kit.clock import utc_now
from kargah.kit.errors import KargahError
from kargah.store.database import Database

BATCH_LINES = 500
SHOWN_CHARACTERS = 200
SAID_BY_THE_SCHEDULER = frozenset({"Queued", "Waiting", "Claimed", "Asked"})

log = logging.getLogger(__name__)


@dataclass
class Place:
    """How far an attempt's lines were carried; the store's word counts, this is its copy."""

    offset_bytes: int = 0
    line: int = 0


class Collector:
    def __init__(self, database: Database, home: Path, trades: Trades) -> None:
        self._database = database
        self._home = home
        self._trades = trades

    def carry(self, job_id: str, fence: Fence, carrier: Carrier, place: Place) -> int:
        """Carry one batch and move ``place``. Returns the number of lines, 0 when there is nothing new. Raises LeaseLost."""
        lines = carrier.lines_after(place.offset_bytes, BATCH_LINES)
        if not lines:
            return 0
        numbered = [(place.line + index, _read(line, place.line + index)) for index, line in enumerate(lines, 1)]
        numbered = [(number, self._prepared(job_id, event)) for number, event in numbered]
        with self._database.write() as session:
            job = states.lock(session, job_id, fence)
            attempt = session.get_one(Attempt, (job_id, fence.attempt))
            if attempt.offset_bytes == place.offset_bytes:
                self._store(session, job, fence, numbered)
                attempt.offset_bytes, attempt.line = lines[-1].end_offset_bytes, place.line + len(lines)
            fresh = Place(attempt.offset_bytes, attempt.line)
        place.offset_bytes, place.line = fresh.offset_bytes, fresh.line
        return len(lines)

    def _prepared(self, job_id: str, event: Event) -> Event:
        """The file work of a ``Finished``, outside of any transaction; what goes wrong turns it into a ``Failed``."""
        if not isinstance(event, Finished):
            return event
        with self._database.read() as session:
            job = session.get_one(Job, job_id)
        trade = self._trades.by_kind.get(job.kind)
        if trade is None or trade.prepare is None:
            return event
        try:
            trade.prepare(self._home, job, event)
        except Exception as error:
            if files.is_full(error):
                raise  # tried again when there is room: the worker's files stay where they are
            return _failure(error)
        return event

    def _store(self, session: Session, job: Job, fence: Fence, lines: Sequence[tuple[int, Event]]) -> None:
        trade = self._trades.by_kind.get(job.kind)
        stored = [(number, self._applied(session, job, fence, trade, event)) for number, event in lines]
        history.append_lines(session, job, fence.attempt, stored)
        events = [event for _, event in stored]
        job.progress = drawn(job.progress, events)
        session.flush()
        for observe in self._trades.observers:
            observe(session, job, events)

    def _applied(self, session: Session, job: Job, fence: Fence, trade: Trade | None, event: Event) -> Event:
        """The event as it is to be stored, its consequences done. What cannot be kept becomes a ``Failed``, and so does the job."""
        if isinstance(event, Step):
            return event
        try:
            with session.begin_nested():
                self._do(session, job, fence, trade, event)
        except (OperationalError, LeaseLost):
            raise  # the database is away or busy, or the job is another's: nothing is wrong with the job
        except Exception as error:
            if files.is_full(error):
                raise
            event = _failure(error)
            with session.begin_nested():
                self._do(session, job, fence, trade, event)
        return event

    def _do(self, session: Session, job: Job, fence: Fence, trade: Trade | None, event: Event) -> None:
        apply(session, job, fence, event)
        if trade is not None and trade.project is not None:
            trade.project(session, self._home, job, event)


def apply(session: Session, job: Job, fence: Fence, event: Event) -> None:
    """What a worker's event does to its job."""
    if job.state not in states.ACTIVE:
        return  # the scheduler has spoken already
    if isinstance(event, Started) and job.state == State.STARTING:
        states.move(session, job, State.LOADING, fence)
    elif isinstance(event, Running) and job.state in (State.STARTING, State.LOADING):
        states.walk(session, job, State.RUNNING, fence)
    elif isinstance(event, Finished):
        states.walk(session, job, State.COMPLETED, fence)
        job.result = event.result
    elif isinstance(event, Failed):
        states.walk(session, job, State.FAILED, fence)
        job.error = {"code": event.code, "params": event.params}
    elif isinstance(event, Stopped) or (isinstance(event, Paused) and job.state == State.STOPPING):
        states.walk(session, job, State.STOPPED, fence)
    elif isinstance(event, Paused):
        if event.code is not None and job.state != State.PAUSING:  # its own pause, not one that somebody wants: it ends by itself
            job.paused_for, job.waiting = event.code, {"code": event.code, "params": event.params}
        states.walk(session, job, State.PAUSED, fence)
    if job.state in states.TERMINAL:
        job.finished_at = event.at


def _read(line: Line, number: int) -> Event:
    """A line that is no event of a worker's is kept as a warning: a worker's mistake must not stop the carrying."""
    try:
        event = decode(line.content)
    except (ValidationError, ValueError):
        event = None
    if event is None or event.kind in SAID_BY_THE_SCHEDULER:
        shown = line.content[:SHOWN_CHARACTERS].decode("utf-8", "replace").replace("\0", "\ufffd")
        return Logged(at=utc_now(), level="warning", code="job.unreadable_line", params={"line": number, "text": shown})
    return event


def _failure(error: Exception) -> Failed:
    if isinstance(error, KargahError):
        return Failed(at=utc_now(), code=error.code, params=error.params)
    log.exception("keeping a job's result failed", exc_info=error)
    return Failed(at=utc_now(), code="RESULT_NOT_KEPT", params={}, evidence=f"{type(error).__name__}: {error}")
