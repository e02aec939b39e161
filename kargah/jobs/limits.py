"""Limits of running jobs: of time, of memory, of the hours in which they may run."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from kargah.contract.events import Asked
from kargah.jobs import cgroups, history, processes, states
from kargah.jobs.states import LeaseLost, State
from kargah.jobs.supervision import Condemned, Held
from kargah.jobs.tables import Attempt, Job
from kargah.jobs.terms import Terms
from kargah.kit.clock import utc_now
from kargah.store.database import Database, now_of

TIME_WINDOW = "TIME_WINDOW"
#: A job over its time may save a checkpoint before it is made to go; one over its memory must not grow any further.
TIME_GRACE_SECONDS = 30.0
MEMORY_GRACE_SECONDS = 2.0


def watch(database: Database, held: Mapping[str, Held], agent_id: str) -> None:
    """Condemn those over a limit, and pause those whose hours are over."""
    if not held:
        return
    with database.read() as session:
        now = now_of(session)
        jobs = session.execute(select(Job.id, Job.state, Job.terms, Job.deadline).where(Job.id.in_(list(held)))).all()
        spent = _spent_seconds(session, list(held), now)
    for job in jobs:
        terms, one = Terms.model_validate(job.terms), held[job.id]
        if one.condemned is None and job.state in states.ACTIVE:
            one.condemned = _over(job, terms, one, now, spent.get(job.id, 0.0))
        if job.state == State.RUNNING and terms.window is not None and not terms.window.is_open(now):
            send_to_wait(database, one, agent_id)


def _over(job: Row[Any], terms: Terms, held: Held, now: datetime, spent_seconds: float) -> Condemned | None:
    if job.deadline is not None and now >= job.deadline:
        return Condemned("DEADLINE_PASSED", {"deadline_at": job.deadline.isoformat()}, TIME_GRACE_SECONDS)
    if terms.time_limit_seconds is not None and spent_seconds > terms.time_limit_seconds:
        return Condemned("TIME_LIMIT", {"limit_seconds": terms.time_limit_seconds}, TIME_GRACE_SECONDS)
    if terms.memory_limit_bytes is not None and held.process is not None:
        used_bytes = processes.unique_memory_bytes(held.process)
        if used_bytes > terms.memory_limit_bytes:
            return Condemned("MEMORY_LIMIT", {"limit_bytes": terms.memory_limit_bytes, "used_bytes": used_bytes}, MEMORY_GRACE_SECONDS)
    return None


def judge_dead(database: Database, held: Held) -> None:
    """Condemn one that the kernel has ended because it grew beyond its limit between two looks."""
    used_bytes = cgroups.overrun(cgroups.name_of(held.job_id, held.fence.attempt)) if held.condemned is None else None
    if used_bytes is None:
        return
    with database.read() as session:
        limit_bytes = Terms.model_validate(session.get_one(Job, held.job_id).terms).memory_limit_bytes
    held.condemned = Condemned("MEMORY_LIMIT", {"limit_bytes": limit_bytes, "used_bytes": used_bytes}, 0.0)


def _spent_seconds(session: Session, job_ids: Sequence[str], now: datetime) -> dict[str, float]:
    """Over all attempts, waits between them left out."""
    attempts = select(Attempt.job_id, Attempt.launched_at, Attempt.ended_at).where(Attempt.job_id.in_(job_ids))
    spent: dict[str, float] = {}
    for job_id, began, ended in session.execute(attempts):
        if began is not None:
            spent[job_id] = spent.get(job_id, 0.0) + ((ended or now) - began).total_seconds()
    return spent


def send_to_wait(database: Database, held: Held, agent_id: str) -> None:
    """It saves a checkpoint, frees what it holds, and is queued again (jobs.overdue)."""
    with database.write() as session:
        try:
            job = states.lock(session, held.job_id, held.fence)
        except LeaseLost:
            return  # told to the watcher of this attempt in a moment
        if job.state == State.RUNNING:
            states.move(session, job, State.PAUSING, held.fence)
            job.paused_for = TIME_WINDOW
            history.append(session, job, Asked(at=utc_now(), action="pause", by=agent_id))
