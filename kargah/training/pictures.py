"""Jobs and runs with all that the documented routes tell about them, read in a few queries however many there are."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.jobs.states import ACTIVE
from kargah.jobs.tables import Attempt, EventRow, Job
from kargah.runs import service as runs
from kargah.runs.schemas import RunOut
from kargah.store.access import Actor

Dictionary = dict[str, Any]


class Picture(BaseModel):
    """A job with its run. ``pid`` is null unless it runs; checkpoints are paths in the job's own directory."""

    job: JobOut
    run: RunOut | None = None
    pid: int | None = None
    dry_run: bool = False
    datasets: list[str] = []
    base_model: str | None = None
    teacher_model: str | None = None
    last_checkpoint: str | None = None
    best_checkpoint: str | None = None


class Point(BaseModel):
    """One line of a history: a step of the training, or an evaluation of it (then without ``loss``)."""

    step: int
    epoch: float
    loss: float | None = None
    val_loss: float | None = None
    accuracy: float | None = None
    throughput: float | None = None
    timestamp: datetime


class Message(BaseModel):
    timestamp: datetime
    level: str
    code: str
    params: Dictionary = {}


class Record(BaseModel):
    """All that is known of a run: its picture, its whole history, its messages."""

    picture: Picture
    history: list[Point]
    messages: list[Message]


def of_job(session: Session, actor: Actor, job_id: str) -> Picture:
    return _drawn(session, [jobs.show(session, actor, job_id)])[0]


def latest(session: Session, actor: Actor, limit: int = 100, kind: str | None = "train") -> list[Picture]:
    """The newest first."""
    return _drawn(session, jobs.list_for(session, actor, kind=kind, limit=limit).items)


def latest_runs(session: Session, actor: Actor, limit: int = 100) -> list[Picture]:
    found = runs.list_for(session, actor, limit=limit).items
    shown = [(run, jobs.show(session, actor, run.job_id)) for run in found if run.job_id is not None]
    pictures = _drawn(session, [job for _, job in shown])
    return [picture.model_copy(update={"run": run}) for picture, (run, _) in zip(pictures, shown, strict=True)]


def record(session: Session, actor: Actor, run_id: str) -> Record:
    run = runs.show(session, actor, run_id)
    job = jobs.show(session, actor, run.job_id or "")
    said = history.life_cycle(session, job.id, "Logged")
    messages = [Message(timestamp=event.at, **event.payload) for event in said]
    picture = _drawn(session, [job])[0].model_copy(update={"run": run})
    return Record(picture=picture, history=_points(session, job.id), messages=messages)


def _points(session: Session, job_id: str) -> list[Point]:
    """Steps and evaluations by step; at the same step the evaluation comes after."""
    steps = [
        Point(
            step=point.step,
            epoch=point.epoch,
            loss=point.metrics.get("loss"),
            throughput=point.metrics.get("samples_per_second"),
            timestamp=point.at,
        )
        for point in history.steps(session, job_id)
    ]
    said = history.life_cycle(session, job_id, "Evaluated")
    evaluations = [_evaluation(event.payload, event.at) for event in said if event.payload.get("model") == "model"]
    return sorted(steps + evaluations, key=lambda point: (point.step, point.loss is None))


def _evaluation(payload: Dictionary, at: datetime) -> Point:
    metrics = payload["metrics"]
    return Point(
        step=payload["step"], epoch=payload["epoch"], val_loss=metrics.get("eval_loss"), accuracy=metrics.get("accuracy"), timestamp=at
    )


def _drawn(session: Session, found: Sequence[JobOut]) -> list[Picture]:
    ids = [job.id for job in found]
    plans: dict[str, Dictionary] = dict(session.execute(select(Job.id, Job.plan).where(Job.id.in_(ids))).all())
    pids = {(row.job_id, row.number): row.pid for row in session.scalars(select(Attempt).where(Attempt.job_id.in_(ids)))}
    checkpoints = _checkpoints(session, ids)
    return [
        Picture(
            job=job,
            pid=pids.get((job.id, job.attempt)) if job.state in ACTIVE else None,
            dry_run=bool(plans[job.id].get("dry_run")),
            datasets=[str(dataset["title"]) for dataset in plans[job.id].get("datasets", [])],
            base_model=_title(plans[job.id], "base_model"),
            teacher_model=_title(plans[job.id], "teacher_model"),
            last_checkpoint=checkpoints.get((job.id, False)),
            best_checkpoint=checkpoints.get((job.id, True)),
        )
        for job in found
    ]


def _checkpoints(session: Session, job_ids: Iterable[str]) -> dict[tuple[str, bool], str]:
    """(job, whether the best) → the path said last."""
    said = (
        select(EventRow.job_id, EventRow.payload).where(EventRow.job_id.in_(list(job_ids)), EventRow.kind == "Saved").order_by(EventRow.seq)
    )
    found: dict[tuple[str, bool], str] = {}
    for job_id, payload in session.execute(said):
        found[(job_id, False)] = payload["path"]
        if payload.get("best"):
            found[(job_id, True)] = payload["path"]
    return found


def _title(plan: Dictionary, name: str) -> str | None:
    given = plan.get(name)
    return str(given["title"]) if given else None
