"""How the documented routes speak: their words for states, their names of fields, their times in epoch seconds.

Only translation: what is told comes from the use-cases (training.pictures) and from the events of a job.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from kargah.contract.events import AnyEvent, Event
from kargah.jobs import progress
from kargah.jobs.schemas import EventOut, JobOut
from kargah.jobs.states import State, documented
from kargah.kit import i18n
from kargah.kit.clock import iso
from kargah.training.pictures import Message, Picture, Point, Record
from kargah.web.errors import text_of

Body = dict[str, Any]

#: The state that a job is in once an event was said; ``Asked`` depends on what for.
_STATE_AFTER = {
    "Queued": State.QUEUED,
    "Claimed": State.STARTING,
    "Started": State.LOADING,
    "Running": State.RUNNING,
    "Paused": State.PAUSED,
    "Stopped": State.STOPPED,
    "Finished": State.COMPLETED,
    "Failed": State.FAILED,
    "Interrupted": State.QUEUED,
}
_STATE_ASKED = {"pause": State.PAUSING, "stop": State.STOPPING, "resume": State.QUEUED}
_DRAWN_KINDS = frozenset({"Step", "Progress", "Running", "Evaluated", "Resumed", "Finished"})


def ok(**fields: Any) -> Body:
    return {"ok": True, **fields}


def user_of(user: Any) -> Body:
    return {"id": user.id, "email": user.email, "name": user.name, "role": user.role, "status": user.status}


def status_of(picture: Picture, language: str) -> Body:
    """The documented status object. ``simulation`` says that it is a dry run, which never makes a model."""
    job = picture.job
    drawn = job.progress
    return {
        "job_id": job.id,
        "status": documented(job.state),
        "progress": round(float(drawn.get("percent") or 0.0), 2),
        "epoch": drawn.get("epoch"),
        "step": drawn.get("step"),
        "total_steps": drawn.get("total_steps"),
        "loss": drawn.get("metrics", {}).get("loss"),
        "message": message_of(job, language),
        "pid": picture.pid,
        "checkpoint": picture.last_checkpoint,
        "created_at": job.created_at.timestamp(),
        "finished_at": _epoch_seconds(job.finished_at),
        "simulation": picture.dry_run,
    }


def message_of(job: JobOut, language: str) -> str:
    """Why it failed or waits, else what it is doing, else its state in words."""
    if job.error:
        return text_of(language, job.error["code"], job.error.get("params") or {})
    if job.waiting:
        return _logged(language, job.waiting["code"], job.waiting.get("params") or {})
    code = job.progress.get("code")
    if code and job.state in (State.LOADING, State.RUNNING) and i18n.has_text(language, code):
        return i18n.text(language, code, **(job.progress.get("params") or {}))
    return i18n.text(language, f"documented.status.{documented(job.state)}")


def run_line(picture: Picture) -> Body:
    """One line of the analysis page's table."""
    job, run = picture.job, picture.run
    metrics = run.metrics if run is not None else {}
    return {
        "id": run.id if run is not None else job.id,
        "runId": run.id if run is not None else None,
        "jobId": job.id,
        "status": documented(job.state),
        "baseModel": picture.base_model,
        "datasets": picture.datasets,
        "teacherModel": picture.teacher_model,
        "epoch": job.progress.get("epoch"),
        "trainLoss": metrics.get("loss"),
        "valLoss": metrics.get("eval_loss"),
        "accuracy": metrics.get("accuracy"),
        "throughput": metrics.get("samples_per_second"),
        "bestCheckpoint": picture.best_checkpoint,
        "lastCheckpoint": picture.last_checkpoint,
        "startedAt": _epoch_seconds(job.started_at),
        "finishedAt": _epoch_seconds(job.finished_at),
        "progress": round(float(job.progress.get("percent") or 0.0), 2),
    }


def record_of(record: Record, language: str) -> Body:
    line = run_line(record.picture)
    metrics = record.picture.run.metrics if record.picture.run is not None else {}
    return {
        "runId": line["runId"],
        "status": line["status"],
        "progress": line["progress"],
        "metrics": metrics,
        "history": [_history_line(point) for point in record.history],
        "logs": [_log_line(message, language) for message in record.messages],
    }


def _history_line(point: Point) -> Body:
    return {**point.model_dump(exclude={"timestamp"}), "timestamp": point.timestamp.timestamp()}


def _log_line(message: Message, language: str) -> Body:
    return {"timestamp": message.timestamp.timestamp(), "level": message.level, "message": _logged(language, message.code, message.params)}


def _logged(language: str, code: str, params: Body) -> str:
    return i18n.text(language, code, **params) if i18n.has_text(language, code) else text_of(language, code, params)


class StatusFollower:
    """The status object kept up to date by a job's events alone: a stream asks the database nothing after its start."""

    def __init__(self, picture: Picture, language: str) -> None:
        self._picture = picture
        self._language = language

    def rewind(self) -> None:
        """Before a replay: what the coming events will say again is taken back, so that the past is told as it was."""
        known = self._picture.job.progress
        kept = {name: known[name] for name in ("total_steps", "total_epochs") if name in known}
        job = self._picture.job.model_copy(update={"progress": kept, "error": None, "waiting": None, "finished_at": None})
        self._picture = self._picture.model_copy(update={"job": job})

    def told_by(self, event: EventOut) -> Sequence[tuple[str, Body]]:
        """What the documented stream says about an event: (status | metric | log, data)."""
        self._follow(event)
        if event.kind == "Logged":
            message = Message(timestamp=event.at, **event.payload)
            return [("log", {"job_id": event.job_id, **_log_line(message, self._language)})]
        if event.kind == "Step":
            return [("metric", self._metric(event))]
        if event.kind == "Evaluated":
            return [("metric", self._metric(event))] if event.payload.get("model") == "model" else []
        return [("status", self.status)]

    @property
    def status(self) -> Body:
        return status_of(self._picture, self._language)

    def _metric(self, event: EventOut) -> Body:
        payload = event.payload
        numbers = {"progress": self.status["progress"], "step": payload["step"], "epoch": payload["epoch"]}
        return {"job_id": event.job_id, **numbers, **payload["metrics"], "timestamp": event.at.timestamp()}

    def _follow(self, event: EventOut) -> None:
        job = self._picture.job
        changes: Body = {}
        if event.kind in _DRAWN_KINDS:
            changes["progress"] = progress.drawn(job.progress, [_event_of(event)])
        state = _state_after(event)
        if state is not None:
            changes |= {"state": state, "error": None, "waiting": None}
            over = state in (State.COMPLETED, State.FAILED, State.STOPPED)
            changes["finished_at"] = event.at if over else None
        if event.kind == "Failed":
            changes["error"] = {"code": event.payload["code"], "params": event.payload.get("params") or {}}
        pictured: Body = {"job": job.model_copy(update=changes)}
        if event.kind == "Started":
            pictured["pid"] = event.payload.get("pid")
        if event.kind == "Saved":
            pictured["last_checkpoint"] = event.payload.get("path")
        self._picture = self._picture.model_copy(update=pictured)


def _state_after(event: EventOut) -> State | None:
    if event.kind == "Asked":
        return _STATE_ASKED.get(str(event.payload.get("action")))
    return _STATE_AFTER.get(event.kind)


def _event_of(event: EventOut) -> Event:
    return AnyEvent.validate_python({"kind": event.kind, "at": iso(event.at), **event.payload})


def _epoch_seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
