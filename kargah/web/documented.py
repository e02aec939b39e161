"""The routes of the older documents (API-CONTRACT), kept as they were: thin doors onto the same use-cases as /api/v1.

No logic lives here: a request is put into our words, a use-case is called, its answer is put into theirs
(``envelopes``). ``{"ok": true, …}`` on success; errors get their envelope in ``web.errors``.
"""

import contextlib
import json
import time
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from kargah.accounts import service as accounts
from kargah.accounts.schemas import Login, Registration, SignedIn
from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.store.access import Actor
from kargah.training import checkpoints, pictures
from kargah.training import service as training
from kargah.training.pictures import Picture
from kargah.training.schemas import TrainingRequest, TrainingStarted
from kargah.web import documented_assets, documented_data, documented_models, envelopes, live, login
from kargah.web.api.jobs import artifacts_of, position_of, stream_of, until_seconds
from kargah.web.deps import Ask, Asking
from kargah.web.envelopes import Body, ok

router = APIRouter(prefix="/api", tags=["documented"])

LISTED = 100
Limit = Annotated[int, Query(ge=1, le=200)]


class TrainForm(BaseModel):
    """What POST /api/train takes; fields that only the old system knew are let pass."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    epochs: float | None = Field(None, gt=0)
    batch_size: int | None = Field(None, ge=1)
    lr: float | None = Field(None, gt=0)
    dataset: str | None = Field(None, max_length=64)
    datasets: list[str] = Field([], max_length=32)
    task: str | None = Field(None, max_length=64)
    base_model: str | None = Field(None, max_length=64)
    teacher_model: str | None = Field(None, max_length=64)
    name: str | None = Field(None, max_length=300)
    dry_run: bool = False

    def as_request(self) -> TrainingRequest:
        settings = {"epochs": self.epochs, "batch_size": self.batch_size, "learning_rate": self.lr}
        return TrainingRequest(
            recipe=self.task,
            title=self.name,
            datasets=[*([self.dataset] if self.dataset else []), *self.datasets],
            base_model=self.base_model,
            teacher_model=self.teacher_model,
            spec={name: value for name, value in settings.items() if value is not None},
            dry_run=self.dry_run,
        )


class JobNamed(BaseModel):
    job_id: str = Field(max_length=64)


class Control(BaseModel):
    action: Literal["pause", "resume", "stop"]


def _signed_in(answer: SignedIn) -> Body:
    return ok(token=answer.token, user=envelopes.user_of(answer.user))


@router.post("/auth/register", status_code=201)
async def register(form: Registration, ask: Ask) -> Body:
    return _signed_in(await login.register(ask, form))


@router.post("/auth/login")
async def log_in(form: Login, ask: Ask) -> Body:
    return _signed_in(await login.log_in(ask, form))


@router.post("/auth/logout")
async def log_out(ask: Ask, response: Response) -> Body:
    await login.log_out(ask)
    login.clear_cookie(response, ask.settings)
    return ok()


@router.get("/auth/me")
async def me(ask: Ask) -> Body:
    return ok(user=envelopes.user_of(await ask(accounts.me)))


@router.post("/train")
async def train(form: TrainForm, ask: Ask) -> Body:
    started = await _start(form, ask)
    return ok(job_id=started.job.id, pid=None, status=started.job.state)


@router.get("/train/status")
async def train_status(job_id: Annotated[str, Query(max_length=64)], ask: Ask) -> Body:
    return ok(status=envelopes.status_of(await ask(pictures.of_job, job_id), ask.language))


@router.post("/train/stop")
async def train_stop(named: JobNamed, ask: Ask) -> Body:
    job = await ask(jobs.stop, named.job_id)
    return ok(job_id=job.id, status=job.state)


@router.get("/train/jobs")
async def train_jobs(ask: Ask, limit: Limit = LISTED) -> Body:
    return ok(data=_statuses(await ask(pictures.latest, limit), ask))


@router.post("/lifecycle/jobs")
async def create_job(form: TrainForm, ask: Ask) -> Body:
    started = await _start(form, ask)
    return await _job(ask, started.job.id)


@router.get("/lifecycle/jobs")
async def list_jobs(ask: Ask, limit: Limit = LISTED) -> Body:
    return ok(data=_statuses(await ask(pictures.latest, limit, None), ask))


@router.get("/lifecycle/jobs/{job_id}")
async def show_job(job_id: str, ask: Ask) -> Body:
    return await _job(ask, job_id)


@router.post("/lifecycle/jobs/{job_id}/control")
async def control_job(job_id: str, control: Control, ask: Ask) -> Body:
    use_cases = {"pause": jobs.pause, "resume": jobs.resume, "stop": jobs.stop}
    await ask(use_cases[control.action], job_id)
    return await _job(ask, job_id)


@router.get("/lifecycle/jobs/{job_id}/stream", response_class=StreamingResponse)
async def stream_job(
    request: Request, job_id: str, ask: Ask, last_event_id: Annotated[str | None, Header(max_length=32)] = None
) -> Response:
    """Server-sent events named status, metric and log; ends after the status that ends the job."""
    since = position_of(last_event_id, None) or 0
    picture, is_behind = await ask(_picture_at, job_id, since)
    return stream_of(_messages(request.app.state.live, ask, picture, since, is_behind))


def _picture_at(session: Session, actor: Actor, job_id: str, since: int) -> tuple[Picture, bool]:
    """The job now, and whether something was said of it after ``since``."""
    picture = pictures.of_job(session, actor, job_id)
    return picture, bool(history.events_after(session, since, job_id=job_id, limit=1))


async def _messages(hub: live.Live, ask: Asking, picture: Picture, since: int, is_behind: bool) -> AsyncGenerator[bytes]:
    """A stream always says the present status first, so that a late subscriber knows it at once; then what was missed, then what comes."""
    follower = envelopes.StatusFollower(picture, ask.language)
    yield _message(since, "status", follower.status)
    if is_behind:
        follower.rewind()
    elif picture.job.is_over:
        return
    until = until_seconds(ask)
    async with contextlib.aclosing(hub.subscribe(ask.actor, [picture.job.id], since)) as batches:
        async for batch in batches:
            if not batch:
                yield live.HEARTBEAT
            for event in batch:
                for name, data in follower.told_by(event):
                    yield _message(event.position, name, data)
                if event.kind in live.LAST_WORDS:
                    return
            if time.time() >= until:
                return


def _message(position: int, name: str, data: Body) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (position, name.encode(), json.dumps(data, ensure_ascii=False).encode())


@router.get("/lifecycle/artifacts/{job_id}")
async def artifacts(job_id: str, ask: Ask) -> Body:
    """The files that the job made, fetched from /api/v1/models/{model_version_id}/files/{path}."""
    found = await ask(artifacts_of, job_id)
    return ok(data=[{**file.model_dump(), "name": f"{file.model}/{file.path}", "size": file.size_bytes} for file in found])


@router.get("/analysis/training/jobs")
async def analysis_jobs(ask: Ask, limit: Limit = LISTED) -> Body:
    return ok(data=[envelopes.run_line(picture) for picture in await ask(pictures.latest_runs, limit)])


@router.get("/analysis/training/status/{run_id}")
async def analysis_status(run_id: str, ask: Ask) -> Body:
    return ok(data=envelopes.record_of(await ask(pictures.record, run_id), ask.language))


async def _start(form: TrainForm, ask: Asking) -> TrainingStarted:
    """``base_model`` may be a checkpoint as well, by the id that GET /api/training/assets gives."""
    request = form.as_request()
    if request.base_model and request.base_model.startswith("ast_"):
        return await ask(checkpoints.begin_with, request.base_model, request, ask.settings.home)
    if request.datasets:
        return await ask(training.start, request)
    return await ask(training.start_on_sample, request, ask.settings.home)


async def _job(ask: Asking, job_id: str) -> Body:
    """The status object, under ``data`` as well: the documents show both forms for job routes."""
    status = envelopes.status_of(await ask.read(pictures.of_job, job_id), ask.language)
    return ok(**status, data=status)


def _statuses(found: list[Picture], ask: Asking) -> list[dict[str, Any]]:
    return [envelopes.status_of(picture, ask.language) for picture in found]


router.include_router(documented_data.router)
router.include_router(documented_models.router)
router.include_router(documented_assets.router)
