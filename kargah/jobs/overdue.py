"""Queued jobs that no claim will ever see: past their deadline, or behind one that came to nothing; and pauses that end by themselves."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, aliased

from kargah.contract.events import Asked, Queued
from kargah.jobs import claims, history, rescue, states
from kargah.jobs.claims import Seat
from kargah.jobs.limits import TIME_WINDOW
from kargah.jobs.states import State
from kargah.jobs.tables import Attempt, Dependency, Job
from kargah.jobs.terms import Terms
from kargah.kit import files
from kargah.kit.clock import utc_now
from kargah.store.database import Database, now_of

AT_ONCE = 100
DISK_FULL = "DISK_FULL"


def mend(database: Database, seat: Seat) -> None:
    """Every one in a transaction of its own, looked at again inside it."""
    for find, act in ((_late, _fail_late), (_behind_a_failure, _answer_failure), (_back_in_line, _queue_again)):
        with database.read() as session:
            found = list(session.scalars(find(session)))
        for job_id in found:
            with database.write() as session:
                job = states.lock(session, job_id)
                if session.scalar(find(session).where(Job.id == job_id)) is not None:
                    act(session, job, seat)


def _late(session: Session) -> Select[str]:
    return select(Job.id).where(Job.state.in_((State.QUEUED, State.PAUSED)), Job.deadline <= now_of(session)).limit(AT_ONCE)


def _fail_late(session: Session, job: Job, _: Seat) -> None:
    assert job.deadline is not None
    if job.state == State.PAUSED:
        states.move(session, job, State.QUEUED)
    rescue.fail(session, job, None, "DEADLINE_PASSED", {"deadline_at": job.deadline.isoformat()})


def _behind_a_failure(_: Session) -> Select[str]:
    before = aliased(Job)
    found = select(Job.id).join(Dependency, Dependency.job_id == Job.id).join(before, before.id == Dependency.after_id)
    lost = before.state.in_((State.FAILED, State.STOPPED))
    return found.where(Job.state == State.QUEUED, lost, Job.paused_for.is_(None)).distinct().limit(AT_ONCE)


def _answer_failure(session: Session, job: Job, _: Seat) -> None:
    """By its terms it fails too, or is held with the reason beside it until somebody decides."""
    before = aliased(Job)
    lost = select(before.id, before.title).join(Dependency, Dependency.after_id == before.id)
    first = session.execute(lost.where(Dependency.job_id == job.id, before.state.in_((State.FAILED, State.STOPPED)))).first()
    assert first is not None
    params = {"id": first.id, "title": first.title}
    if Terms.model_validate(job.terms).if_after_fails == "fail":
        rescue.fail(session, job, None, "DEPENDENCY_FAILED", params)
    else:
        claims.say_waiting(session, job.id, "DEPENDENCY_FAILED", params)
        job.paused_for = "DEPENDENCY_FAILED"  # said once


def _back_in_line(_: Session) -> Select[str]:
    return select(Job.id).where(Job.state == State.PAUSED, Job.paused_for == TIME_WINDOW).limit(AT_ONCE)


def _queue_again(session: Session, job: Job, seat: Seat) -> None:
    """It keeps its place in the line; the claim that looks at it says when its hours begin."""
    states.move(session, job, State.QUEUED)
    job.paused_for, job.waiting = None, None
    history.append(session, job, Asked(at=utc_now(), action="resume", by=seat.agent_id), Queued(at=utc_now()))


def go_on_where_there_is_room(database: Database, seat: Seat, home: Path) -> None:
    """Queue jobs that were paused by a full disk: in their order, as many as what they need of this host's disk has room for."""
    with database.read() as session:
        waiting = session.execute(_without_room(session, seat)).all()
    free_bytes = files.free_bytes(home) if waiting else 0
    for job_id, said in waiting:
        needed_bytes = said["params"]["needed_bytes"] if said else 0
        if needed_bytes > free_bytes:
            continue
        free_bytes -= needed_bytes
        with database.write() as session:
            job = states.lock(session, job_id)
            if job.state == State.PAUSED and job.paused_for == DISK_FULL:
                _queue_again(session, job, seat)


def _without_room(session: Session, seat: Seat) -> Select[Any]:
    """Not at once: a disk may say that it has room and mean another's."""
    before = now_of(session) - timedelta(seconds=rescue.DISK_LOOK_SECONDS)
    here = (Attempt.job_id == Job.id) & (Attempt.number == Job.attempt) & (Attempt.host == seat.host) & (Attempt.ended_at <= before)
    paused = select(Job.id, Job.waiting).join(Attempt, here).where(Job.state == State.PAUSED, Job.paused_for == DISK_FULL)
    return paused.order_by(Job.priority.desc(), Job.place).limit(AT_ONCE)
