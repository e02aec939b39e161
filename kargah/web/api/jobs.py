"""Jobs: listed, shown, asked to stop, and followed while they happen."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.orm import Session

from kargah.jobs import history, logs, queue, usage
from kargah.jobs import service as jobs
from kargah.jobs.schemas import Curve, JobOut, JobPage, LogsFound, LogsOut
from kargah.jobs.usage import MemoryOut
from kargah.kit.errors import NotFound
from kargah.models import service as models
from kargah.monitoring import outlook
from kargah.monitoring.outlook import Outlook
from kargah.runs import service as runs
from kargah.runs.schemas import RunOut
from kargah.store.access import Actor
from kargah.web import live
from kargah.web.deps import Ask, Asking
from kargah.web.machine import MachineMessages

router = APIRouter(prefix="/api/v1", tags=["jobs"])

Cursor = Annotated[str | None, Query(max_length=64, description="next_cursor of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]
Words = Annotated[str | None, Query(max_length=200)]
Position = Annotated[int | None, Query(ge=0, le=2**62, description="position of the last event that is known; Last-Event-ID wins")]
AttemptNumber = Annotated[int | None, Query(ge=1, le=1_000_000)]
Bell = Annotated[bool, Query(description="with `event: unread` whenever the number of one's unread notices changes")]
LastEventId = Annotated[str | None, Header(max_length=32)]


class Artifact(BaseModel):
    """A file that a job made; fetch it from /api/v1/models/{model_version_id}/files/{path}."""

    model: str
    model_version_id: str
    path: str
    size_bytes: int
    sha256: str


class Move(BaseModel):
    """One of them at least. ``priority`` comes first, then the place among those of the same: by a step, or by its number from 1."""

    model_config = ConfigDict(extra="forbid")

    to: queue.Where | None = None
    place: int | None = Field(None, ge=1, le=1_000_000)
    priority: int | None = Field(None, ge=-100, le=100)

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.to is None and self.place is None and self.priority is None:
            raise ValueError("to, place or priority is needed")
        return self


@router.get("/jobs")
async def list_jobs(
    ask: Ask,
    cursor: Cursor = None,
    limit: Limit = 50,
    state: Annotated[list[str] | None, Query(max_length=16)] = None,
    kind: Annotated[str | None, Query(max_length=32)] = None,
    query: Words = None,
) -> JobPage:
    return await ask(jobs.list_for, cursor=cursor, limit=limit, states=state, kind=kind, query=query)


@router.get("/jobs/queue")
async def jobs_in_line(ask: Ask) -> list[JobOut]:
    """Those that wait, in the order in which they start when all owners have equally little running."""
    return await ask(queue.in_line)


@router.get("/jobs/{job_id}")
async def show_job(job_id: str, ask: Ask) -> JobOut:
    return await ask(jobs.show, job_id)


@router.post("/jobs/{job_id}/move")
async def move_job(job_id: str, wanted: Move, ask: Ask) -> JobOut:
    """Another place in the line: among its owner's waiting jobs of one priority, or with another priority."""
    return await ask(_move, job_id, wanted)


def _move(session: Session, actor: Actor, job_id: str, wanted: Move) -> JobOut:
    if wanted.to is not None or wanted.priority is not None:
        moved = queue.move(session, actor, job_id, wanted.to, wanted.priority)
    if wanted.place is not None:
        queue.put(session, actor, {job_id: wanted.place})
        moved = jobs.show(session, actor, job_id)
    return moved


@router.post("/jobs/{job_id}/{action}")
async def control_job(job_id: str, action: Literal["stop", "pause", "resume"], ask: Ask) -> JobOut:
    """Stop is complete within five seconds; pause keeps a checkpoint; resume queues again."""
    use_cases = {"stop": jobs.stop, "pause": jobs.pause, "resume": jobs.resume}
    return await ask(use_cases[action], job_id)


@router.get("/jobs/{job_id}/logs")
async def job_logs(job_id: str, ask: Ask, attempt: AttemptNumber = None) -> LogsOut:
    """The end of what an attempt printed (the latest when none is named), without colours and progress bars, and all messages."""
    return await ask(logs.show, job_id, ask.settings.home, attempt)


@router.get("/jobs/{job_id}/logs/search")
async def search_job_logs(
    job_id: str, ask: Ask, q: Annotated[str, Query(min_length=1, max_length=200)], attempt: AttemptNumber = None
) -> LogsFound:
    """The lines of an attempt's whole log that hold some words, numbered; the last 500."""
    path = await ask(logs.log_of, job_id, ask.settings.home, attempt)
    return await asyncio.to_thread(logs.search, path, q)


@router.get("/jobs/{job_id}/logs/file", response_class=StreamingResponse)
async def download_job_log(job_id: str, ask: Ask, attempt: AttemptNumber = None) -> Response:
    """The log of an attempt as it was printed, colours and all; where its middle was cut, a line says so."""
    path = await ask(logs.log_of, job_id, ask.settings.home, attempt)
    headers = {"Content-Disposition": f'attachment; filename="{job_id}-{path.parent.name}.log"', "Cache-Control": "no-store"}
    return StreamingResponse(logs.content(path), media_type="text/plain; charset=utf-8", headers=headers)


@router.get("/jobs/{job_id}/run")
async def job_run(job_id: str, ask: Ask) -> RunOut:
    return await ask(runs.show_for_job, job_id)


@router.get("/jobs/{job_id}/curve")
async def job_curve(
    job_id: str,
    ask: Ask,
    key: Annotated[list[str] | None, Query(max_length=32)] = None,
    max_points: Annotated[int, Query(ge=2, le=10_000)] = 1000,
) -> Curve:
    """Metrics by step, at most about ``max_points`` a metric; events after ``position`` go on from here."""
    return await ask(_curve, job_id, key, max_points)


def _curve(session: Session, actor: Actor, job_id: str, keys: list[str] | None, max_points: int) -> Curve:
    return history.curve(session, jobs.get_for(session, actor, job_id).id, keys, max_points)


@router.get("/jobs/{job_id}/memory")
async def job_memory(job_id: str, ask: Ask) -> MemoryOut:
    """How much memory its processes had to themselves, over the time of its latest attempt."""
    return await ask(usage.show, job_id, ask.settings.home)


@router.get("/jobs/{job_id}/outlook")
async def job_outlook(job_id: str, ask: Ask) -> Outlook | None:
    """When a training that waits for its turn is likely to start, as far as that is known; null for all others: see ``waiting``."""
    return await ask(outlook.of_queued, job_id)


@router.get("/jobs/{job_id}/artifacts")
async def job_artifacts(job_id: str, ask: Ask) -> list[Artifact]:
    return await ask(artifacts_of, job_id)


def artifacts_of(session: Session, actor: Actor, job_id: str) -> list[Artifact]:
    """The files of the model versions that a training made; empty for a job that made none."""
    jobs.get_for(session, actor, job_id)
    try:
        run = runs.show_for_job(session, actor, job_id)
    except NotFound:
        return []
    return [
        Artifact(model=version.name, model_version_id=version.id, path=file.path, size_bytes=file.size_bytes, sha256=file.sha256)
        for version in models.versions_of_run(session, actor, run.id)
        for file in version.files
    ]


@router.get("/jobs/{job_id}/events", response_class=StreamingResponse)
async def job_events(
    request: Request, job_id: str, ask: Ask, since: Position = None, last_event_id: LastEventId = None, bell: Bell = False
) -> Response:
    """Server-sent events of one job, from the start or after a position, to the one that ends it. ``id`` is the position."""
    position = position_of(last_event_id, since) or 0
    ended = await ask(live.last_word, job_id)
    if ended is not None and last_event_id is not None and ended.position <= position:
        return Response(status_code=204)  # tells an EventSource that there is nothing to reconnect to
    return stream_of(live.job_messages(request.app.state.live, ask.actor, job_id, position, ended, until_seconds(ask), bell=bell))


@router.get("/events", response_class=StreamingResponse)
async def all_events(
    request: Request, ask: Ask, since: Position = None, last_event_id: LastEventId = None, machine: bool = False, bell: Bell = False
) -> Response:
    """Server-sent events of all jobs one may see: life-cycle as it happens, progress at most once a second a job.

    With ``machine`` also ``event: machine`` with the figures of this machine, in the reader's words, whenever they are taken.
    """
    position = position_of(last_event_id, since)
    also = MachineMessages(request.app.state.sampler, ask.language) if machine else None
    return stream_of(live.dashboard_messages(request.app.state.live, ask.actor, position, until_seconds(ask), also, bell=bell))


def position_of(last_event_id: str | None, since: int | None) -> int | None:
    """The header that a reconnecting browser sends wins; one that is no position of ours counts as none."""
    shown = (last_event_id or "").strip()
    return int(shown) if shown.isascii() and shown.isdigit() and len(shown) < 19 else since


def until_seconds(ask: Asking) -> float:
    """A stream ends with the credential that opened it, or after half an hour: it may be opened again."""
    expires_at = ask.connection.state.identity.expires_at
    longest = time.time() + live.LONGEST_SECONDS
    return min(longest, expires_at.timestamp()) if expires_at is not None else longest


def stream_of(messages: AsyncGenerator[bytes]) -> StreamingResponse:
    return live.StreamAnswer(messages)
