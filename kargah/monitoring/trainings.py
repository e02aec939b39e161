"""The list of trainings: each job with its run, read together and never with a history."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from kargah.jobs.schemas import JobOut
from kargah.jobs.states import State, shown
from kargah.jobs.tables import Job
from kargah.runs.tables import Run
from kargah.store.access import Actor, visible_to
from kargah.text.normalise import fold

#: The kind of a job that trains: each has a run.
TRAIN = "train"
#: Of a job, all that lists show: its plan and its result are long, and stay where they are.
LISTED_NAMES = [name for name in JobOut.model_fields if name != "result"]
LISTED = [getattr(Job, name) for name in LISTED_NAMES]


class Final(BaseModel):
    """What a run came to, by the metric that its recipe chose."""

    metric: str
    value: float


class Training(BaseModel):
    job: JobOut
    run_id: str
    recipe: str
    final: Final | None


class Named(BaseModel):
    """What tells a training from the others, and no more."""

    run_id: str
    title: str
    recipe: str
    state: State


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
    """The newest first, without what a job's ``result`` holds. ``states`` as shown: an interrupted job counts as queued.

    ``cursor``: the id of the last job before.
    """
    key = Run.job_id if recipe else Job.id  # the same ids: which of the two tables is gone through in their order
    ids = select(key.label("id")).where(visible_to(actor, Job), Job.kind == TRAIN)
    if recipe:
        ids = ids.join_from(Run, Job, Job.id == Run.job_id).where(visible_to(actor, Run), Run.recipe == recipe)
    if states is not None:
        wanted = set(states)
        ids = ids.where(Job.state.in_([state for state in State if shown(state) in wanted]))
    if query:
        ids = ids.where(Job.title_folded.contains(fold(query), autoescape=True))
    if cursor:
        ids = ids.where(key < cursor)
    rows = session.execute(_of(ids.order_by(key.desc()).limit(limit + 1))).all()
    items = [Training(job=listed(row), run_id=row.run_id, recipe=row.recipe, final=final_of(row.summary)) for row in rows[:limit]]
    return TrainingPage(items=items, next_cursor=items[-1].job.id if len(rows) > limit else None)


def _of(ids: Select[Any]) -> Select[Any]:
    """The jobs and runs of ``ids``, which an index finds and puts in order alone: only what is shown is then read."""
    shown_ids = ids.subquery()
    found = select(*LISTED, Run.id.label("run_id"), Run.recipe, Run.summary)
    return found.join(Run, Run.job_id == Job.id).join(shown_ids, shown_ids.c.id == Job.id).order_by(Job.id.desc())


def newest(session: Session, actor: Actor, limit: int) -> list[Named]:
    """The newest first, by their names."""
    ids = select(Job.id).where(visible_to(actor, Job), Job.kind == TRAIN).order_by(Job.id.desc()).limit(limit).subquery()
    found = select(Run.id, Job.title, Run.recipe, Job.state).join(Run, Run.job_id == Job.id).join(ids, ids.c.id == Job.id)
    rows = session.execute(found.order_by(Job.id.desc()))
    return [Named(run_id=run_id, title=title, recipe=recipe, state=shown(state)) for run_id, title, recipe, state in rows]


def listed(row: Row[Any]) -> JobOut:
    """Of the columns ``LISTED``."""
    return JobOut.model_validate({name: row._mapping[name] for name in LISTED_NAMES})


def final_of(summary: dict[str, object]) -> Final | None:
    """The primary metric of the recommended model; None for what is not over or made none."""
    models, recommended, metric = summary.get("models"), summary.get("recommended"), summary.get("primary_metric")
    model = models.get(recommended) if isinstance(models, dict) else None
    value = (model.get("metrics") or {}).get(metric) if model else None
    return Final(metric=str(metric), value=float(value)) if value is not None else None
