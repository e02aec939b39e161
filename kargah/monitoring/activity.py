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
from kargah.runs.tables import Run
from kargah.store.access import Actor, visible_to

#: Looked at for what was done last: the newest jobs, of which some are not over.
LOOKED_AT = 40
#: A recipe's usual duration is the median of its last runs.
MEASURED_RUNS = 15
#: Looked for among so many of the newest: all runs there ever were would cost more than the figure is worth.
MEASURED_AMONG = 300


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
    query = (
        select(Job.state, func.count())
        .join(Run, Run.job_id == Job.id)
        .where(Job.state.in_(active), visible_to(actor, Job))
        .group_by(Job.state)
    )
    found = {State(state): count for state, count in session.execute(query)}
    queued = found.get(State.QUEUED, 0) + found.get(State.INTERRUPTED, 0)
    paused = found.get(State.PAUSED, 0)
    return Counts(running=sum(found.values()) - queued - paused, queued=queued, paused=paused)


def latest(session: Session, actor: Actor, limit: int) -> list[JobOut]:
    """Jobs of every kind that are over, the one that ended last first."""
    newest = select(Job).where(visible_to(actor, Job)).order_by(Job.id.desc()).limit(LOOKED_AT)
    over = [job for job in session.scalars(newest) if job.state in TERMINAL and job.finished_at]
    over.sort(key=lambda job: job.finished_at or job.created_at, reverse=True)
    return [JobOut.model_validate(job) for job in over[:limit]]


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
    newest = select(Run.id).where(visible_to(actor, Run)).order_by(Run.id.desc()).limit(MEASURED_AMONG).scalar_subquery()
    query = (
        select(Run.started_at, Run.finished_at, Run.summary)
        .where(Run.id.in_(newest), Run.recipe == recipe, Run.status == State.COMPLETED)
        .order_by(Run.id.desc())
        .limit(MEASURED_RUNS)
    )
    taken = [
        finished - started
        for started, finished, summary in session.execute(query)
        if started is not None and finished is not None and not summary.get("dry_run")
    ]
    return Usual(seconds=median(time / timedelta(seconds=1) for time in taken), runs=len(taken)) if taken else None
