"""What people and other domains ask of jobs. The doing is the agent's: here states move and events are said, nothing else."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from kargah.contract.events import Asked, Queued, Stopped
from kargah.jobs import history, queue, states
from kargah.jobs.schemas import EventOut, JobOut, JobPage
from kargah.jobs.states import State
from kargah.jobs.tables import Dependency, Job
from kargah.jobs.terms import Terms
from kargah.kit.clock import utc_now
from kargah.kit.errors import Conflict
from kargah.kit.ids import new_id
from kargah.store.access import Actor, To, load, owned_by, require_creator, visible_to
from kargah.store.database import now_of
from kargah.text.normalise import fold

PAGE = 50
PAGE_LIMIT = 200


class SubmissionKeyReused(Conflict):
    code = "SUBMISSION_KEY_REUSED"


def submit(
    session: Session,
    actor: Actor,
    kind: str,
    title: str,
    plan: dict[str, Any],
    *,
    threads_wanted: int | None = None,
    priority: int = 0,
    visibility: str = "workspace",
    terms: Terms | None = None,
    key: str | None = None,
) -> Job:
    """Queue a job. ``plan`` lacks what only an attempt knows (job_id, attempt, threads): the launcher adds it.

    ``key``: the asker's own name for this one request. The job submitted with it before is given back, whatever became of it.
    """
    require_creator(actor)
    terms = terms or Terms()
    known = submitted_with(session, actor, key, kind, plan)
    if known is not None:
        return known
    for before in set(terms.after):
        get_for(session, actor, before)
    now = now_of(session)
    job = Job(
        id=new_id("job"), kind=kind, title=title, title_folded=fold(title)[:300], state=State.QUEUED, plan=plan, priority=priority,
        threads_wanted=threads_wanted, attempt=0, last_seq=0, progress={}, queued_at=now, visibility=visibility,
        max_attempts=terms.retry.max_attempts, not_before=terms.not_before, deadline=terms.deadline, place=queue.place_at(now),
        terms=terms.model_dump(mode="json", exclude_defaults=True), waiting=_first_reason(terms, now), submission_key=key,
        **owned_by(actor),
    )  # fmt: skip
    session.add(job)
    session.flush()
    session.add_all([Dependency(job_id=job.id, after_id=before) for before in sorted(set(terms.after))])
    session.flush()
    history.append(session, job, Queued(at=utc_now()))
    return job


def submitted_with(session: Session, actor: Actor, key: str | None, kind: str, plan: dict[str, Any]) -> Job | None:
    """The job that ``actor`` submitted with ``key``. Raises SubmissionKeyReused when that was for something else."""
    if key is None:
        return None
    job = session.scalars(select(Job).where(Job.owner_id == actor.user_id, Job.submission_key == key)).one_or_none()
    if job is not None and (job.kind, _as_asked(job.plan)) != (kind, _as_asked(plan)):
        raise SubmissionKeyReused(key=key, id=job.id)
    return job


def _as_asked(plan: dict[str, Any]) -> dict[str, Any]:
    """Without what a rescue changes in a plan."""
    return {name: value for name, value in plan.items() if name != "memory_splits"}


def _first_reason(terms: Terms, now: datetime) -> dict[str, Any] | None:
    """What a fresh job waits for, as far as that is known before any agent has looked at it."""
    if terms.after:
        return {"code": "DEPENDENCY", "params": {"count": len(set(terms.after))}}
    if terms.not_before is not None and terms.not_before > now:
        return {"code": "NOT_BEFORE", "params": {"starts_at": terms.not_before.isoformat()}}
    return None


def get_for(session: Session, actor: Actor, job_id: str, to: To | str = To.READ) -> Job:
    return load(session, actor, Job, job_id, to)


def show(session: Session, actor: Actor, job_id: str) -> JobOut:
    return JobOut.model_validate(get_for(session, actor, job_id))


def list_for(
    session: Session,
    actor: Actor,
    *,
    cursor: str | None = None,
    limit: int = PAGE,
    states: Iterable[str] | None = None,
    kind: str | None = None,
    query: str | None = None,
) -> JobPage:
    """The newest first. ``cursor``: the id of the last job of the page before."""
    limit = max(1, min(limit, PAGE_LIMIT))
    found = select(Job).where(visible_to(actor, Job)).order_by(Job.id.desc()).limit(limit + 1)
    if cursor:
        found = found.where(Job.id < cursor)
    if states is not None:
        found = found.where(Job.state.in_(_stored(states)))
    if kind:
        found = found.where(Job.kind == kind)
    if query:
        found = found.where(Job.title_folded.contains(fold(query), autoescape=True))
    items = [JobOut.model_validate(job) for job in session.scalars(found)]
    return JobPage(items=items[:limit], next_cursor=items[limit - 1].id if len(items) > limit else None)


def stop(session: Session, actor: Actor, job_id: str) -> JobOut:
    """A waiting job is STOPPED at once, one that runs is STOPPING and over within five seconds. Asking twice is fine."""
    job = _held(session, actor, job_id)
    if job.state == State.STOPPING:
        return JobOut.model_validate(job)
    if job.state in (State.QUEUED, State.PAUSED):
        states.move(session, job, State.STOPPED)
        job.waiting, job.finished_at = None, utc_now()
        history.append(session, job, _asked(actor, "stop"), Stopped(at=utc_now()))
    else:
        states.move(session, job, State.STOPPING)
        history.append(session, job, _asked(actor, "stop"))
    return JobOut.model_validate(job)


def pause(session: Session, actor: Actor, job_id: str) -> JobOut:
    """The worker saves a checkpoint and goes; its cores are free for others. Asking twice is fine."""
    job = _held(session, actor, job_id)
    if job.state not in (State.PAUSING, State.PAUSED):
        states.move(session, job, State.PAUSING)
        history.append(session, job, _asked(actor, "pause"))
    elif job.paused_for is not None:
        history.append(session, job, _asked(actor, "pause"))
    job.paused_for, job.waiting = None, None  # from now on a person's pause: only a person ends it
    return JobOut.model_validate(job)


def resume(session: Session, actor: Actor, job_id: str) -> JobOut:
    """Queue a paused job again; it goes on from its checkpoint. One held behind a failure goes on without it. Asking twice is fine."""
    job = _held(session, actor, job_id)
    if job.state == State.QUEUED and job.paused_for is not None:
        session.execute(delete(Dependency).where(Dependency.job_id == job.id))
        job.paused_for, job.waiting = None, None
        history.append(session, job, _asked(actor, "resume"), Queued(at=utc_now()))
    elif job.state not in (State.QUEUED, State.STARTING, State.LOADING, State.RUNNING):
        states.move(session, job, State.QUEUED)
        job.queued_at, job.not_before, job.paused_for, job.waiting = now_of(session), None, None, None
        job.place = queue.place_at(job.queued_at)
        history.append(session, job, _asked(actor, "resume"), Queued(at=utc_now()))
    return JobOut.model_validate(job)


def events_after(session: Session, actor: Actor, job_id: str, position: int = 0, limit: int = 500) -> list[EventOut]:
    return history.events_after(session, position, job_id=get_for(session, actor, job_id).id, limit=limit)


def tail_of(path: Path, size_bytes: int) -> str:
    """The last whole lines within ``size_bytes``; empty when there is no such file here."""
    try:
        with path.open("rb") as file:
            start = max(0, path.stat().st_size - size_bytes)
            file.seek(start)
            content = file.read(size_bytes)
    except FileNotFoundError:
        return ""
    whole = content.partition(b"\n")[2] if start else content
    return whole.decode("utf-8", "replace")


def _held(session: Session, actor: Actor, job_id: str) -> Job:
    """Access is checked first, so that a stranger cannot make the row wait."""
    get_for(session, actor, job_id, To.CHANGE)
    return states.lock(session, job_id)


def _asked(actor: Actor, action: str) -> Asked:
    return Asked(at=utc_now(), action=action, by=actor.user_id)


def _stored(shown: Iterable[str]) -> set[str]:
    """INTERRUPTED is shown as QUEUED, so asking for the one means both."""
    wanted = {State(name) for name in shown if name in State.__members__}
    return {state.value for state in State if state in wanted or states.shown(state) in wanted}
