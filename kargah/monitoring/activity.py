"""What happens in the workshop, over all domains: counts, what was done last, how long things took here."""

from collections.abc import Iterable
from datetime import timedelta
from statistics import median

from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kargah.jobs.schemas import JobOut
from kargah.jobs.states import TERMINAL, State
from kargah.jobs.tables import EventRow, Job
from kargah.monitoring.trainings import LISTED, TRAIN, listed
from kargah.runs.tables import Run
from kargah.store.access import Actor, visible_to

#: A recipe's usual duration is the median of its last runs.
MEASURED_RUNS = 15


class Counts(BaseModel):
    running: int
    queued: int
    paused: int


class Usual(BaseModel):
    """How long the runs of a recipe took on this server: ``seconds`` is their median."""

    seconds: float
    runs: int


def counts(session: Session, actor: Actor) -> Counts:
    """Of trainings that are not over."""
    active = [state for state in State if state not in TERMINAL]
    query = select(Job.state, func.count()).where(Job.kind == TRAIN, Job.state.in_(active), visible_to(actor, Job)).group_by(Job.state)
    found = {State(state): count for state, count in session.execute(query)}
    queued = found.get(State.QUEUED, 0) + found.get(State.INTERRUPTED, 0)
    paused = found.get(State.PAUSED, 0)
    return Counts(running=sum(found.values()) - queued - paused, queued=queued, paused=paused)


def latest(session: Session, actor: Actor, limit: int) -> list[JobOut]:
    """Jobs of every kind that are over, the one that ended last first."""
    over = select(*LISTED).where(visible_to(actor, Job), Job.finished_at.is_not(None), Job.state.in_(TERMINAL))
    return [listed(row) for row in session.execute(over.order_by(Job.finished_at.desc()).limit(limit))]


def kinds_of(session: Session, job_ids: Iterable[str]) -> dict[str, str]:
    """Job → what it does, as train or scrub."""
    found = session.execute(select(Job.id, Job.kind).where(Job.id.in_(list(job_ids))))
    return {row.id: row.kind for row in found}


def saved_counts(session: Session, job_ids: Iterable[str]) -> dict[str, int]:
    """Job → how many checkpoints it has said to have saved."""
    wanted = list(job_ids)
    query = (
        select(EventRow.job_id, func.count().label("saved"))
        .where(EventRow.job_id.in_(wanted), EventRow.kind == "Saved")
        .group_by(EventRow.job_id)
    )
    return {row.job_id: row.saved for row in session.execute(query)} if wanted else {}


def usual_duration(session: Session, actor: Actor, recipe: str) -> Usual | None:
    """None when no run of this recipe was completed yet. Dry runs, which train a few steps, do not count."""
    real = Run.summary["dry_run"].as_boolean().is_not(True)
    query = (
        select(Run.started_at, Run.finished_at)
        .where(visible_to(actor, Run), Run.recipe == recipe, Run.status == State.COMPLETED, real)
        .order_by(Run.id.desc())
        .limit(MEASURED_RUNS)
    )
    taken = [finished - started for started, finished in session.execute(query) if started is not None and finished is not None]
    return Usual(seconds=median(time / timedelta(seconds=1) for time in taken), runs=len(taken)) if taken else None
