"""The list of trainings: each job with its run, read together and never with a history."""

from collections.abc import Iterable

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.jobs.schemas import JobOut
from kargah.jobs.states import State, shown
from kargah.jobs.tables import Job
from kargah.runs.tables import Run
from kargah.store.access import Actor, visible_to
from kargah.text.normalise import fold


class Final(BaseModel):
    """What a run came to, by the metric that its recipe chose."""

    metric: str
    value: float


class Training(BaseModel):
    job: JobOut
    run_id: str
    recipe: str
    final: Final | None


class TrainingPage(BaseModel):
    """``next_cursor`` is null on the last page."""

    items: list[Training]
    next_cursor: str | None = None


def list_for(
    session: Session,
    actor: Actor,
    *,
    states: Iterable[State] | None = None,
    recipe: str = "",
    query: str = "",
    cursor: str | None = None,
    limit: int = 20,
) -> TrainingPage:
    """The newest first. ``states`` as shown: an interrupted job counts as queued. ``cursor``: the id of the last job before."""
    found = select(Job, Run.id, Run.recipe, Run.summary).join(Run, Run.job_id == Job.id).where(visible_to(actor, Job))
    if states is not None:
        wanted = set(states)
        found = found.where(Job.state.in_([state for state in State if shown(state) in wanted]))
    if recipe:
        found = found.where(Run.recipe == recipe)
    if query:
        found = found.where(Job.title_folded.contains(fold(query), autoescape=True))
    if cursor:
        found = found.where(Job.id < cursor)
    rows = session.execute(found.order_by(Job.id.desc()).limit(limit + 1)).all()
    items = [
        Training(job=JobOut.model_validate(job), run_id=run_id, recipe=name, final=final_of(summary))
        for job, run_id, name, summary in rows[:limit]
    ]
    return TrainingPage(items=items, next_cursor=items[-1].job.id if len(rows) > limit else None)


def final_of(summary: dict[str, object]) -> Final | None:
    """The primary metric of the recommended model; None for what is not over or made none."""
    models, recommended, metric = summary.get("models"), summary.get("recommended"), summary.get("primary_metric")
    model = models.get(recommended) if isinstance(models, dict) else None
    value = (model.get("metrics") or {}).get(metric) if model else None
    return Final(metric=str(metric), value=float(value)) if value is not None else None
