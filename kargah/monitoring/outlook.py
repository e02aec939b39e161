"""When a training that waits would start, as far as that can be known: by what runs now, who is before it, how long such runs took."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.jobs import queue, states
from kargah.jobs import service as jobs
from kargah.jobs.states import State
from kargah.jobs.tables import Agent, Attempt, Job
from kargah.jobs.terms import Terms
from kargah.monitoring import activity
from kargah.runs.tables import Run
from kargah.store.access import Actor
from kargah.store.database import now_of

#: An agent that has been silent for longer starts nothing.
SILENT_AFTER = timedelta(minutes=2)
#: What waits for one of these waits for something else than its turn.
OWN_REASONS = frozenset({"DEPENDENCY", "DEPENDENCY_FAILED", "NOT_BEFORE", "TIME_WINDOW", "DISK_FULL", "GPUS_ABSENT", "GPUS_ABSENT_OF"})
#: Behind more than these a forecast would be a guess upon guesses.
MOST_AHEAD = 20


class Outlook(BaseModel):
    """``code`` is a text, ``outlook.*``, with ``params``. ``ahead``: how many trainings come before it."""

    code: str
    params: dict[str, Any] = {}
    ahead: int = 0


def of_new(session: Session, actor: Actor, priority: int, terms: Terms) -> Outlook:
    """For a training that would be asked for now, on these terms."""
    now = now_of(session)
    for before in terms.after:
        job = jobs.show(session, actor, before)
        if job.state != State.COMPLETED:
            return Outlook(code="outlook.after_job", params={"title": job.title})
    moment = _allowed_from(terms, now)
    if moment > now:
        return Outlook(code="outlook.at", params={"starts_at": moment.isoformat()})
    line = [job for job in queue.in_line(session, actor) if job.kind == queue.TRAIN]
    return _by_turn(session, actor, [job.id for job in line if job.priority >= priority])


def of_queued(session: Session, actor: Actor, job_id: str) -> Outlook | None:
    """None for one that waits for something else than its turn: that reason is its own, and told with it."""
    job = jobs.show(session, actor, job_id)
    reason = (job.waiting or {}).get("code", "")
    if job.state != State.QUEUED or reason in OWN_REASONS:
        return None
    line = list(queue.standings(session, actor))
    found = _by_turn(session, actor, line[: line.index(job_id)]) if job_id in line else None
    # An agent has looked and found that it does not fit: cores alone, which are counted here, would say that it does.
    return None if found is not None and found.code == "outlook.now" and reason else found


def _allowed_from(terms: Terms, now: datetime) -> datetime:
    moment = max(now, terms.not_before or now)
    return moment if terms.window is None or terms.window.is_open(moment) else terms.window.opens_at(moment)


def _by_turn(session: Session, actor: Actor, before: Sequence[str]) -> Outlook:
    alive = now_of(session) - SILENT_AFTER
    cores = sum(session.scalars(select(Agent.cores).where(Agent.heartbeat_at >= alive)))
    if not cores:
        return Outlook(code="outlook.no_agent", ahead=len(before))
    running = _running(session)
    free = max(0, cores - sum(threads for threads, _ in running))
    if not before and free:
        return Outlook(code="outlook.now")
    ends = [*([0.0] if free else []), *(eta for _, eta in running)]
    about = _after(ends, _lengths(session, actor, before)) if len(before) <= MOST_AHEAD else None
    params: dict[str, Any] = {"ahead": len(before)} if before else {}
    name = "ahead" if before else "next"
    if about is None:
        return Outlook(code=f"outlook.{name}", params=params, ahead=len(before))
    return Outlook(code=f"outlook.{name}_about", params={**params, "about_seconds": round(about)}, ahead=len(before))


def _after(ends: Sequence[float | None], lengths: Sequence[float | None]) -> float | None:
    """Each of those before takes the place that is free first; None where that depends on what nobody knows."""
    free = sorted(end for end in ends if end is not None)
    for length in lengths:
        if not free or length is None:
            return None
        free = sorted([*free[1:], free[0] + length])
    return free[0] if free else None


def _running(session: Session) -> list[tuple[int, float | None]]:
    """(Threads, seconds until it is over by its own forecast) of each training that runs on any host."""
    active = (
        select(Attempt.threads, Job.progress)
        .join(Attempt, (Attempt.job_id == Job.id) & (Attempt.number == Job.attempt))
        .where(Job.state.in_(states.ACTIVE), Job.kind == queue.TRAIN)
    )
    return [(row.threads, row.progress.get("eta_seconds")) for row in session.execute(active)]


def _lengths(session: Session, actor: Actor, job_ids: Sequence[str]) -> list[float | None]:
    """How long runs of their recipes took here."""
    recipes = {row.job_id: row.recipe for row in session.execute(select(Run.job_id, Run.recipe).where(Run.job_id.in_(job_ids)))}
    usual = {recipe: activity.usual_duration(session, actor, recipe) for recipe in set(recipes.values())}
    found = [usual.get(recipes.get(job_id, "")) for job_id in job_ids]
    return [one.seconds if one is not None else None for one in found]
