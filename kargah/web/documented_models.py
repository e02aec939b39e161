"""The documented routes of models: the catalogue, a download and its stream, and what there is to train with."""

import contextlib
import json
import time
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from kargah.contract.events import AnyEvent
from kargah.jobs import history, progress
from kargah.jobs.schemas import EventOut, JobOut
from kargah.jobs.states import State
from kargah.kit import i18n
from kargah.kit.clock import iso
from kargah.models import downloads
from kargah.models.downloads import SOURCE, DownloadActive, DownloadOut, DownloadWish, Status
from kargah.models.offers import Offer
from kargah.monitoring import resources
from kargah.monitoring.resources import Resource
from kargah.store.access import Actor
from kargah.web import live
from kargah.web.api.catalogue import offered
from kargah.web.api.jobs import stream_of, until_seconds
from kargah.web.deps import Ask, Asking
from kargah.web.envelopes import Body, ok
from kargah.web.errors import text_of

router = APIRouter(tags=["documented"])

ModelId = Annotated[str, Query(alias="modelId", min_length=1, max_length=200)]
#: A percent of what has still to be verified and kept is not the whole.
MOST_BEFORE_DONE = 99


class StartForm(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    model_id: str = Field(alias="modelId", min_length=1, max_length=200)


@router.post("/models/download/start")
async def start(form: StartForm, ask: Ask) -> Body:
    """``started`` is false where it is here already. One that is on its way is a second download, as the documents have it."""
    made = await ask(downloads.start, ask.settings, DownloadWish(repository=form.model_id))
    if made.status is Status.DOWNLOADING and not made.started:
        raise DownloadActive(repository=made.repository)
    return ok(started=made.started, modelId=form.model_id, assetId=made.asset_id)


@router.get("/models/download/progress", response_class=StreamingResponse)
async def follow(request: Request, ask: Ask, model_id: ModelId) -> Response:
    """Server-sent events, the present state first; ends after done or error."""
    position, known = await ask(_known, model_id)
    return stream_of(_messages(request.app.state.live, ask, Told(model_id, known, ask.language), position))


@router.get("/catalog/models")
async def catalogue_of_models(ask: Ask) -> Body:
    return ok(data=[_of_offer(offer) for offer in await offered(ask, "model")])


@router.get("/catalog/datasets")
async def catalogue_of_datasets(ask: Ask) -> Body:
    return ok(data=[_of_offer(offer) for offer in await offered(ask, "dataset")])


@router.get("/training/assets")
async def training_assets(ask: Ask) -> Body:
    """What a training can be made of: ids that POST /api/train takes as ``dataset``, or as ``base_model``."""
    return ok(data=[_of_resource(one) for one in await ask(resources.trainable)])


def _known(session: Session, actor: Actor, model_id: str) -> tuple[int, DownloadOut]:
    position = history.latest_position(session)
    return position, downloads.latest_of(session, actor, "model", model_id)


class Told:
    """A download as the documented stream tells it, kept up to date by the job's events alone."""

    def __init__(self, model_id: str, download: DownloadOut, language: str) -> None:
        self._model_id, self._language = model_id, language
        self.job: JobOut = download.job

    def follow(self, event: EventOut) -> None:
        changes: dict[str, Any] = {}
        if event.kind in {"Progress", "Running", "Finished"}:
            said = AnyEvent.validate_python({"kind": event.kind, "at": iso(event.at), **event.payload})
            changes["progress"] = progress.drawn(self.job.progress, [said])
        states = {"Finished": State.COMPLETED, "Failed": State.FAILED, "Stopped": State.STOPPED}
        if event.kind in states:
            changes["state"] = states[event.kind]
        if event.kind == "Failed":
            changes["error"] = {"code": event.payload["code"], "params": event.payload.get("params") or {}}
        self.job = self.job.model_copy(update=changes)

    def is_over(self) -> bool:
        return self.job.is_over

    @property
    def body(self) -> Body:
        drawn = self.job.progress
        done, total = int(drawn.get("done") or 0), drawn.get("total")
        status, percent = "downloading", min(MOST_BEFORE_DONE, int(drawn.get("percent") or 0))
        if self.job.state == State.COMPLETED:
            status, percent, done = "done", 100, int(total or done)
        elif self.is_over():
            status = "error"
        message = self._message
        body = {"modelId": self._model_id, "status": status, "progress": percent, "bytesDownloaded": done, "totalBytes": int(total or 0)}
        return {**body, "message": message} if message else body

    @property
    def _message(self) -> str:
        if self.job.error is not None:
            return text_of(self._language, self.job.error["code"], self.job.error.get("params") or {})
        if self.job.state == State.STOPPED:
            return i18n.text(self._language, "download.stopped")
        code = self.job.progress.get("code")
        return i18n.text(self._language, code, **(self.job.progress.get("params") or {})) if code and not self.is_over() else ""


async def _messages(hub: live.Live, ask: Asking, told: Told, position: int) -> AsyncGenerator[bytes]:
    yield _message(told.body)
    until = until_seconds(ask)
    if told.is_over():
        return
    async with contextlib.aclosing(hub.subscribe(ask.actor, [told.job.id], position)) as batches:
        async for batch in batches:
            if not batch:
                yield live.HEARTBEAT
            for event in batch:
                told.follow(event)
                if event.kind in {"Progress", "Paused", "Finished", "Failed", "Stopped"}:
                    yield _message(told.body)
                if told.is_over():
                    return
            if time.time() >= until:
                return


def _message(body: Body) -> bytes:
    return b"data: %s\n\n" % json.dumps(body, ensure_ascii=False).encode()


def _of_offer(offer: Offer) -> Body:
    here = offer.download is not None and offer.status is Status.READY
    return {
        "id": offer.entry.repository,
        "name": offer.entry.name,
        "kind": offer.entry.kind,
        "size": offer.size_bytes,
        "status": offer.status.value,
        "source": SOURCE,
        "downloadedAt": iso(offer.download.finished_at) if here and offer.download and offer.download.finished_at else None,
    }


def _of_resource(one: Resource) -> Body:
    return {
        "id": one.id,
        "name": one.name,
        "kind": one.kind,
        "size": one.size_bytes,
        "status": one.status.value,
        "source": one.source,
        "downloadedAt": iso(one.downloaded_at) if one.downloaded_at else None,
    }
