"""Carries what workers wrote into the store: every line once, whatever dies in between.

The rows, the offset, the job's state and what other domains make of an event stand in one transaction; a line's source
(job, attempt, line) is unique besides.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Event, Failed, Finished, Logged, Paused, Running, Started, Step, Stopped
from kargah.contract.wire import decode
from kargah.jobs import history, states
from kargah.jobs.carrier import Carrier, Line
from kargah.jobs.progress import drawn
from kargah.jobs.projection import Prepare, Trade, Trades
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

Close = Callable[[Session], None]
#: Do what an event means; returns the event as it is to be stored.
Do = Callable[[Session, Job, Fence, Trade | None, Event], Event]


@dataclass
class Place:
    """How far an attempt's lines were carried, and whether it was closed; the store's word counts, this is its copy."""

    offset_bytes: int = 0
    line: int = 0
    is_closed: bool = False


class Carried(Protocol):
    """An attempt whose lines are carried, from its ``place`` on."""

    job_id: str
    kind: str
    fence: Fence
    directory: AttemptDirectory
    carrier: Carrier
    place: Place


@dataclass(frozen=True)
class Load:
    """What is to be carried of one attempt, up to ``end``. ``close``: of one that can say no more, after its last line."""

    attempt: Carried
    end: Place
    lines: Sequence[tuple[int, Event]]
    close: Close | None = None

    @property
    def job_id(self) -> str:
        return self.attempt.job_id


class Collector:
    def __init__(self, database: Database, home: Path, trades: Trades) -> None:
        self._database = database
        self._home = home
        self._trades = trades

    def carry(self, attempt: Carried, close: Close | None = None) -> int:
        """Carry one batch and move its ``place``. Returns the number of lines, 0 when there is nothing new. Raises LeaseLost.

        ``close``: what is to be done, in the transaction of the last lines, for an attempt that can say no more.
        """
        load = _load(attempt, close)
        if load is None:
            return 0
        try:
            self._carry([load], self._done)
        except (OperationalError, LeaseLost):
            raise  # the database is away or busy, or the job is another's: nothing is wrong with the job
        except Exception as error:
            if files.is_full(error):
                raise
            self._carry([load], self._done_or_failed)
        return len(load.lines)

    def carry_together(self, attempts: Sequence[tuple[Carried, Close | None]]) -> None:
        """One batch of each, in one transaction: quicker, and all or nothing. Raises whatever goes wrong with one of them."""
        loads = [load for attempt, close in attempts if (load := _load(attempt, close)) is not None]
        if loads:
            self._carry(loads, self._done)

    def _carry(self, loads: Sequence[Load], do: Do) -> None:
        loads = self._prepared(loads)
        with self._database.write() as session:
            locked = states.lock_attempts(session, {load.job_id: load.attempt.fence for load in loads})
            self._store(session, [(load, locked[load.job_id][0]) for load in loads if _is_news(load, locked[load.job_id][1])], do)
            closed = {load.job_id for load in loads if load.close is not None and _is_at(load.end, locked[load.job_id][1])}
            for load in loads:
                if load.close is not None and load.job_id in closed:
                    load.close(session)
        for load in loads:
            attempt, place = locked[load.job_id][1], load.attempt.place
            place.offset_bytes, place.line = attempt.offset_bytes, attempt.line
            place.is_closed = load.job_id in closed
            if place.is_closed:
                load.attempt.directory.give_back()

    def _prepared(self, loads: Sequence[Load]) -> list[Load]:
        """The file work of each ``Finished``, outside of any transaction; what goes wrong turns it into a ``Failed``."""
        return [self._prepared_one(load, prepare) if (prepare := self._file_work(load)) is not None else load for load in loads]

    def _file_work(self, load: Load) -> Prepare | None:
        trade = self._trades.by_kind.get(load.attempt.kind)
        return trade.prepare if trade is not None and any(isinstance(event, Finished) for _, event in load.lines) else None

    def _prepared_one(self, load: Load, prepare: Prepare) -> Load:
        with self._database.read() as session:
            job = session.get(Job, load.job_id)
        return load if job is None else replace(load, lines=[(number, self._kept(job, prepare, event)) for number, event in load.lines])

    def _kept(self, job: Job, prepare: Prepare, event: Event) -> Event:
        if not isinstance(event, Finished):
            return event
        try:
            prepare(self._home, job, event)
        except Exception as error:
            if files.is_full(error):
                raise  # tried again when there is room: the worker's files stay where they are
            return _failure(error)
        return event

    def _store(self, session: Session, loads: Sequence[tuple[Load, Job]], do: Do) -> None:
        if not loads:
            return
        told = [(job, load.attempt.fence.attempt, self._meant(session, job, load, do)) for load, job in loads]
        history.append_batches(session, told)
        heard = [(job, [event for _, event in lines]) for job, _, lines in told]
        for job, events in heard:
            job.progress = drawn(job.progress, events)
        with session.no_autoflush:  # they are shown the jobs as they will be; these are written once, at the end
            for observe in self._trades.observers:
                observe(session, heard)
        for load, job in loads:
            attempt = session.get_one(Attempt, (job.id, load.attempt.fence.attempt))
            attempt.offset_bytes, attempt.line = load.end.offset_bytes, load.end.line

    def _meant(self, session: Session, job: Job, load: Load, do: Do) -> list[tuple[int | None, Event]]:
        """The events as they are to be stored, all done that they mean."""
        trade = self._trades.by_kind.get(job.kind)
        return [
            (number, event if isinstance(event, Step) else do(session, job, load.attempt.fence, trade, event))
            for number, event in load.lines
        ]

    def _done(self, session: Session, job: Job, fence: Fence, trade: Trade | None, event: Event) -> Event:
        """The event, its consequences done."""
        apply(session, job, fence, event)
        if trade is not None and trade.project is not None:
            trade.project(session, self._home, job, event)
        return event

    def _done_or_failed(self, session: Session, job: Job, fence: Fence, trade: Trade | None, event: Event) -> Event:
        """As ``_done``, where one of the batch is known to fail: what cannot be kept becomes a ``Failed``, and so does the job."""
        try:
            with session.begin_nested():
                return self._done(session, job, fence, trade, event)
        except (OperationalError, LeaseLost):
            raise
        except Exception as error:
            if files.is_full(error):
                raise
            with session.begin_nested():
                return self._done(session, job, fence, trade, _failure(error))


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


def _load(attempt: Carried, close: Close | None) -> Load | None:
    """What is new, or None when there is nothing to do."""
    place = attempt.place
    lines = attempt.carrier.lines_after(place.offset_bytes, BATCH_LINES)
    if not lines:
        return None if close is None else Load(attempt, place, (), close)
    numbered = [(place.line + index, _read(line, place.line + index)) for index, line in enumerate(lines, 1)]
    end = Place(lines[-1].end_offset_bytes, place.line + len(lines))
    return Load(attempt, end, numbered, close if len(lines) < BATCH_LINES else None)


def _is_news(load: Load, attempt: Attempt) -> bool:
    return bool(load.lines) and _is_at(load.attempt.place, attempt)


def _is_at(place: Place, attempt: Attempt) -> bool:
    return attempt.offset_bytes == place.offset_bytes


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
