"""The catalogue, downloads from hubs, and what admins allow besides."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from kargah.models import catalogue, downloads, fitting, offers
from kargah.models.catalogue import AllowedOut, Kind
from kargah.models.downloads import DownloadOut, DownloadWish
from kargah.models.offers import Offer
from kargah.monitoring import resources
from kargah.monitoring.resources import Resource, Totals
from kargah.web.api.jobs import Words
from kargah.web.deps import Ask, Asking

router = APIRouter(prefix="/api/v1", tags=["catalogue"])

Task = Annotated[str | None, Query(max_length=64)]
Kinds = Literal["models", "datasets"]
KINDS: dict[Kinds, Kind] = {"models": "model", "datasets": "dataset"}


class Offers(BaseModel):
    items: list[Offer]


class Downloads(BaseModel):
    items: list[DownloadOut]


class AllowedList(BaseModel):
    items: list[AllowedOut]


class Resources(BaseModel):
    items: list[Resource]
    totals: Totals


class NewAllowed(BaseModel):
    """``pattern``: a repository (owner/name), or all of an organisation (owner/*)."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind = "model"
    pattern: str = Field(min_length=1, max_length=200)


@router.get("/catalogue/allowed")
async def list_allowed(ask: Ask) -> AllowedList:
    """What may be downloaded besides the catalogue."""
    return AllowedList(items=await ask(catalogue.allowed))


@router.post("/catalogue/allowed", status_code=201)
async def allow(new: NewAllowed, ask: Ask) -> AllowedOut:
    return await ask(catalogue.allow, new.kind, new.pattern)


@router.delete("/catalogue/allowed/{allowed_id}", status_code=204)
async def disallow(allowed_id: str, ask: Ask) -> None:
    await ask(catalogue.disallow, allowed_id)


@router.get("/catalogue/{kind}")
async def show_catalogue(kind: Kinds, ask: Ask, query: Words = None, task: Task = None) -> Offers:
    """What may be downloaded, with what fits this machine and what is here."""
    return Offers(items=await offered(ask, KINDS[kind], query or "", task))


@router.post("/downloads", status_code=201)
async def start_download(wish: DownloadWish, ask: Ask, response: Response) -> DownloadOut:
    """201 when it was begun; 200 with ``started`` false when it is here, or on its way, already. It is a job: pause, resume and stop it
    by its ``job.id``; another start after a failure goes on with what has come."""
    made = await ask(downloads.start, ask.settings, wish)
    response.status_code = 201 if made.started else 200
    return made


@router.get("/downloads")
async def list_downloads(ask: Ask) -> Downloads:
    """Of each repository the latest."""
    return Downloads(items=await ask(downloads.list_for))


@router.get("/downloads/{download_id}")
async def show_download(download_id: str, ask: Ask) -> DownloadOut:
    return await ask(downloads.show, download_id)


@router.get("/resources")
async def list_resources(ask: Ask, kind: resources.Kind | None = None, query: Words = None, used: bool | None = None) -> Resources:
    """Models, data sets, checkpoints, artifacts and what is on its way, in one shape. ``used``: only what something uses, or nothing."""
    return Resources(items=await ask(resources.list_for, kind=kind, query=query, used=used), totals=await ask(resources.totals))


async def offered(ask: Asking, kind: Kind, query: str = "", task: str | None = None) -> list[Offer]:
    room_bytes = await ask.compute(fitting.room_bytes)
    return await ask.read(offers.list_for, kind, room_bytes, query, task)
