"""The line of those who wait: who stands where, and moving within it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kargah.contract.events import Asked
from kargah.jobs import history, states
from kargah.jobs.schemas import JobOut
from kargah.jobs.states import State
from kargah.jobs.tables import Job
from kargah.kit.clock import utc_now
from kargah.kit.errors import Conflict
from kargah.store.access import Actor, To, load, visible_to

SHOWN = 200
#: The kind of jobs whose line people see and order.
TRAIN = "train"


class NotQueued(Conflict):
    code = "NOT_QUEUED"


class Where(StrEnum):
    FIRST = "first"
    UP = "up"
    DOWN = "down"
    LAST = "last"


def place_at(moment: datetime) -> int:
    """At the end of the line for one who comes at ``moment``: microseconds."""
    return round(moment.timestamp() * 1_000_000)


def in_line(session: Session, actor: Actor) -> list[JobOut]:
    """Those that wait, in the order in which they are looked at when all owners have equally little running."""
    turn = func.row_number().over(partition_by=(Job.priority, Job.owner_id), order_by=(Job.place, Job.queued_at, Job.id))
    waiting = select(Job).where(Job.state == State.QUEUED, visible_to(actor, Job))
    ordered = waiting.order_by(Job.priority.desc(), turn, Job.place, Job.queued_at, Job.id).limit(SHOWN)
    return [JobOut.model_validate(job) for job in session.scalars(ordered)]


@dataclass(frozen=True)
class Standing:
    """``place`` in the line as ``in_line`` gives it; ``own`` among its owner's waiting jobs of one priority, of ``own_of``. From 1."""

    place: int
    own: int
    own_of: int


def standings(session: Session, actor: Actor, kind: str = TRAIN) -> dict[str, Standing]:
    """Job → where it stands, the first of the line first. Jobs of other kinds are not counted: they pass by and take little."""
    own = (Job.priority, Job.owner_id)
    turn = func.row_number().over(partition_by=own, order_by=(Job.place, Job.queued_at, Job.id)).label("turn")
    alike = func.count().over(partition_by=own).label("alike")
    waiting = select(Job.id, turn, alike).where(Job.state == State.QUEUED, Job.kind == kind, visible_to(actor, Job))
    ordered = waiting.order_by(Job.priority.desc(), turn, Job.place, Job.queued_at, Job.id)
    return {row.id: Standing(place, row.turn, row.alike) for place, row in enumerate(session.execute(ordered), start=1)}


def put(session: Session, actor: Actor, places: Mapping[str, int]) -> int:
    """Each job to the place, from 1, among its owner's waiting jobs of one priority; returns how many stood in the line.

    Those that are in it no more are left out: this is how a move is taken back.
    """
    waiting = []
    for job_id in sorted(places):
        load(session, actor, Job, job_id, To.CHANGE)
        job = states.lock(session, job_id)
        if job.state == State.QUEUED:
            waiting.append(job)
    for group in {(job.owner_id, job.priority): job for job in waiting}.values():
        line = _peers(session, group)
        named = sorted((job for job in waiting if job in line), key=lambda job: places[job.id])
        fresh = [one for one in line if one not in named]
        for job in named:
            fresh.insert(places[job.id] - 1, job)
        _stand(line, fresh)
    for job in waiting:
        history.append(session, job, Asked(at=utc_now(), action="move", by=actor.user_id))
    return len(waiting)


def move(session: Session, actor: Actor, job_id: str, to: Where | str | None = None, priority: int | None = None) -> JobOut:
    """Among its owner's jobs of one priority; ``priority`` comes first. What others have before it is theirs by fair share."""
    load(session, actor, Job, job_id, To.CHANGE)
    job = states.lock(session, job_id)
    if job.state != State.QUEUED:
        raise NotQueued(id=job.id, state=states.shown(job.state).value)
    if priority is not None:
        job.priority = priority
        session.flush()
    if to is not None:
        _reorder(_peers(session, job), job, Where(to))
    history.append(session, job, Asked(at=utc_now(), action="move", by=actor.user_id))
    return JobOut.model_validate(job)


def _peers(session: Session, job: Job) -> Sequence[Job]:
    """Locked in the order of their ids, so that two who move at once wait for each other and never both."""
    alike = select(Job).where(Job.state == State.QUEUED, Job.owner_id == job.owner_id, Job.priority == job.priority)
    found = session.scalars(alike.order_by(Job.id).with_for_update().execution_options(populate_existing=True)).all()
    return sorted(found, key=lambda one: (one.place, one.queued_at, one.id))


def _reorder(line: Sequence[Job], job: Job, to: Where) -> None:
    now = line.index(job)
    then = {Where.FIRST: 0, Where.UP: max(0, now - 1), Where.DOWN: min(len(line) - 1, now + 1), Where.LAST: len(line) - 1}[to]
    fresh = [one for one in line if one is not job]
    fresh.insert(then, job)
    _stand(line, fresh)


def _stand(line: Sequence[Job], fresh: Sequence[Job]) -> None:
    """The places stay, those who stand on them change: a place is never used up by halving."""
    places = [one.place for one in line]
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + 1)
    for one, place in zip(fresh, places, strict=True):
        one.place = place
