"""Runs: the record of what was trained, with which settings, and what came out."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from kargah.contract.events import Evaluated, Event, Finished, Logged, Running, Step
from kargah.jobs import history, states
from kargah.jobs.curves import WHOLE, Span
from kargah.jobs.schemas import Curve
from kargah.jobs.tables import Job
from kargah.kit.errors import NotFound
from kargah.kit.ids import new_id
from kargah.runs.schemas import RunOut, RunPage
from kargah.runs.tables import LatestMetric, Run, RunInput, RunSource
from kargah.store.access import Actor, To, load, owned_by, visible_to
from kargah.store.database import insert_for
from kargah.text.normalise import fold

PAGE = 50
PAGE_LIMIT = 200
#: Said by a worker once its first steps tell what the whole will take.
FORESEEN = "train.forecast"
#: The kinds of jobs that may have a run; of the others nobody asks.
HAVE_RUNS = frozenset({"train", "script"})
_OF_JOBS = select(Run).where(Run.job_id.in_(bindparam("job_ids", expanding=True)))


def create_for_job(
    session: Session,
    actor: Actor,
    job: Job,
    recipe: str,
    *,
    dataset_version_ids: Iterable[str] = (),
    sources: Iterable[str] = (),
    tags: dict[str, Any] | None = None,
) -> Run:
    """The one run of a training job over all its attempts; its data set versions can no longer be purged. ``sources``: see RunSource."""
    assert job.kind in HAVE_RUNS, job.kind
    run = Run(
        id=new_id("run"), job_id=job.id, title=job.title, title_folded=fold(job.title)[:300], recipe=recipe, status=job.state,
        params={}, tags=tags or {}, summary={}, visibility=job.visibility, **owned_by(actor),
    )  # fmt: skip
    session.add(run)
    session.flush()
    session.add_all(RunInput(run_id=run.id, dataset_version_id=version_id) for version_id in sorted(set(dataset_version_ids)))
    session.add_all(RunSource(run_id=run.id, source=source) for source in sorted(set(sources)))
    session.flush()
    return run


def get_for(session: Session, actor: Actor, run_id: str, to: To | str = To.READ) -> Run:
    return load(session, actor, Run, run_id, to)


def of_job(session: Session, job_id: str) -> Run | None:
    return session.scalars(select(Run).where(Run.job_id == job_id)).one_or_none()


def show(session: Session, actor: Actor, run_id: str) -> RunOut:
    return _with_metrics(session, [get_for(session, actor, run_id)])[0]


def show_for_job(session: Session, actor: Actor, job_id: str) -> RunOut:
    run = session.scalars(select(Run).where(Run.job_id == job_id, visible_to(actor, Run))).one_or_none()
    if run is None:
        raise NotFound(kind="runs", id=job_id)
    return _with_metrics(session, [run])[0]


def list_for(
    session: Session,
    actor: Actor,
    *,
    cursor: str | None = None,
    limit: int = PAGE,
    recipe: str | None = None,
    query: str | None = None,
) -> RunPage:
    """The newest first; metrics are the latest values, never read from a history."""
    limit = max(1, min(limit, PAGE_LIMIT))
    found = select(Run).where(visible_to(actor, Run)).order_by(Run.id.desc()).limit(limit + 1)
    if cursor:
        found = found.where(Run.id < cursor)
    if recipe:
        found = found.where(Run.recipe == recipe)
    if query:
        found = found.where(Run.title_folded.contains(fold(query), autoescape=True))
    runs = session.scalars(found).all()
    items = _with_metrics(session, runs[:limit])
    return RunPage(items=items, next_cursor=items[-1].id if len(runs) > limit else None)


def curve(
    session: Session, actor: Actor, run_id: str, keys: Iterable[str] | None = None, max_points: int = 1000, within: Span = WHOLE
) -> Curve:
    run = get_for(session, actor, run_id)
    if run.job_id is None:
        return Curve(series={}, position=history.latest_position(session))
    return history.curve(session, run.job_id, keys, max_points, within)


def on_events(session: Session, told: Sequence[tuple[Job, Sequence[Event]]]) -> None:
    """Carry a batch of events of each job into its run, in the batch's own transaction. A job without a run is none of ours."""
    told = [(job, events) for job, events in told if job.kind in HAVE_RUNS]
    if not told:
        return
    runs = {run.job_id: run for run in session.scalars(_OF_JOBS, {"job_ids": [job.id for job, _ in told]})}
    for job, events in told:
        if job.id in runs:
            _keep(session, runs[job.id], job, events)


def _keep(session: Session, run: Run, job: Job, events: Sequence[Event]) -> None:
    run.status = states.shown(job.state)
    run.started_at, run.finished_at = job.started_at, job.finished_at
    for event in events:
        if isinstance(event, Running):
            run.params = {choice.name: choice.model_dump(mode="json", exclude={"name"}) for choice in event.choices}
        elif isinstance(event, Logged) and event.code == FORESEEN:
            run.summary = {"foreseen": event.params, **run.summary}  # what was told first is what the outcome is compared with
        elif isinstance(event, Finished):
            run.summary = {name: told for name, told in run.summary.items() if name == "foreseen"} | _summary(event.result)
    _keep_latest(session, run.id, _latest(events))


Latest = dict[str, tuple[float | None, int, datetime]]


def _latest(events: Sequence[Event]) -> Latest:
    latest: Latest = {}
    for event in events:
        if isinstance(event, Step) or (isinstance(event, Evaluated) and event.model == "model"):
            latest |= {key: (value, event.step, event.at) for key, value in event.metrics.items()}
    return latest


def _keep_latest(session: Session, run_id: str, latest: Latest) -> None:
    """In the order of the key, always: two writers then never wait for each other in a circle."""
    if not latest:
        return
    rows = [{"run_id": run_id, "key": key, "value": value, "step": step, "at": at} for key, (value, step, at) in sorted(latest.items())]
    statement = insert_for(session, LatestMetric).values(rows)
    fresh = {name: statement.excluded[name] for name in ("value", "step", "at")}
    session.execute(statement.on_conflict_do_update(index_elements=["run_id", "key"], set_=fresh))


def _summary(result: dict[str, Any]) -> dict[str, Any]:
    """Per model what lists and comparisons show; the files and tables stay with the model versions."""
    shown = ("family", "architecture", "parameters", "split", "primary_metric", "metrics", "interval", "train_seconds", "size_bytes")
    models = {model["name"]: {key: model.get(key) for key in shown} for model in result.get("models", [])}
    whole = ("recommended", "primary_metric", "lower_is_better", "steps", "dry_run", "forecast", "outcome", "teacher")
    return {"models": models, **{key: result[key] for key in whole if key in result}}


def _with_metrics(session: Session, runs: Sequence[Run]) -> list[RunOut]:
    metrics: dict[str, dict[str, float | None]] = {run.id: {} for run in runs}
    latest = select(LatestMetric).where(LatestMetric.run_id.in_(list(metrics))).order_by(LatestMetric.key)
    for row in session.scalars(latest):
        metrics[row.run_id][row.key] = row.value
    jobs = select(Job.id, Job.state).where(Job.id.in_([run.job_id for run in runs]))
    state_of = {row.id: row.state for row in session.execute(jobs)}
    return [_out(run, state_of.get(run.job_id or "", run.status), metrics[run.id]) for run in runs]


def _out(run: Run, state: str, metrics: dict[str, float | None]) -> RunOut:
    """The job's state is the truth also between two batches of its events."""
    return RunOut.model_validate(run).model_copy(update={"status": state, "metrics": metrics})
