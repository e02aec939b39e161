"""Assets of every kind: listed, looked at, taken away; the check of all files; the trash."""

import asyncio
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response, StreamingResponse
from pydantic import BaseModel
from sqlalchemy.orm import Session

from kargah.assets import blobs, roots, scrubbing, storage
from kargah.assets import service as assets
from kargah.assets.roots import RootOut, RootWish
from kargah.assets.schemas import AssetOut, AssetPage
from kargah.assets.scrubbing import ScrubState
from kargah.assets.storage import Storage
from kargah.assets.tables import STORED
from kargah.datasets.schemas import DatasetOut
from kargah.hardware import profile
from kargah.jobs.schemas import JobOut
from kargah.kit.errors import NotFound
from kargah.kit.settings import Settings
from kargah.models import archive, scanning, stored
from kargah.models.downloads import DownloadOut
from kargah.models.stored import BringWish
from kargah.store.access import Actor, require_admin
from kargah.training import checkpoints, in_place, trash, uses
from kargah.training.trash import Kind, Trash
from kargah.web import stored as stored_assets
from kargah.web.api.jobs import Cursor, Limit, Words
from kargah.web.api.models import stored as place_of
from kargah.web.deps import Ask, Asking
from kargah.workers.objects import Objects

router = APIRouter(prefix="/api/v1", tags=["assets"])

Filter = Annotated[str | None, Query(max_length=64)]


class Roots(BaseModel):
    items: list[RootOut]


class Emptied(BaseModel):
    """``kept``: how many stayed because something uses them."""

    kept: int


@router.get("/assets")
async def list_assets(
    ask: Ask,
    kind: Filter = None,
    status: Filter = None,
    source: Filter = None,
    root: Filter = None,
    query: Words = None,
    trashed: bool = False,
    used: bool | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AssetPage:
    """Every model, data set, checkpoint and artifact, the newest first; a version of a model or a data set is one. ``used``: only those
    that runs, models or evaluations stand on, or only those that nothing does."""
    wanted = {"kind": kind, "status": status, "source": source, "root": root, "query": query, "trashed": trashed}
    return await ask(uses.list_for, used=used, cursor=cursor, limit=limit, **wanted)


@router.get("/assets/{asset_id}")
async def show_asset(asset_id: str, ask: Ask) -> AssetOut:
    """With who uses it."""
    return await ask(uses.show, asset_id, ask.settings.home)


@router.get("/assets/{asset_id}/download", response_class=FileResponse)
async def download_asset(request: Request, asset_id: str, ask: Ask) -> Response:
    """One file as it is, ranges and If-Range by its ETag answered; several as a zip that is made while it is sent."""
    return await sent(request, ask, asset_id)


async def sent(request: Request, ask: Asking, asset_id: str) -> Response:
    asset = await ask(assets.get_for, asset_id)
    if asset.source == STORED:
        return await stored_assets.sent(request, ask, asset)
    if asset.job_id is not None:
        return zipped(asset, await ask(checkpoints.files_of, asset.job_id, asset.place or "", ask.settings.home))
    if not asset.files:
        raise NotFound(kind="files", id=asset_id)
    entries = [(entry.path, place_of(ask.settings.home, entry.path, entry.sha256)) for entry in asset.files]
    if len(entries) == 1:
        (path, blob), headers = entries[0], {"ETag": f'"{asset.files[0].sha256}"'}
        return FileResponse(blob, media_type="application/octet-stream", filename=Path(path).name, headers=headers)
    return zipped(asset, entries)


def zipped(asset: AssetOut, entries: list[tuple[str, Path]]) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{asset.kind}-{asset.id}.zip"'}
    return StreamingResponse(archive.stream_zip(entries), media_type="application/zip", headers=headers)


@router.delete("/assets/{asset_id}", status_code=204)
async def delete_asset(asset_id: str, ask: Ask) -> None:
    """Of an artifact: to the trash. Of a checkpoint: for good, but not of the newest of a training that may still go on. A model or a
    data set is deleted by its own address."""
    await ask(trash.throw_alone, asset_id, ask.settings.home)


@router.post("/assets/{asset_id}/dataset", status_code=201)
async def import_in_place(asset_id: str, ask: Ask) -> DatasetOut:
    """A table that a scan found becomes a data set: read where it lies, without a copy of it. The job that reads it begins at once."""
    return await ask(in_place.import_table, ask.settings.home, asset_id)


@router.post("/assets/{asset_id}/bring", status_code=201)
async def bring_here(asset_id: str, ask: Ask, wish: BringWish | None = None) -> DownloadOut:
    """What a scan found in an object store comes here, verified by its hash, and is a model or a data set from then on. ``started`` is
    false where it is here, or on its way, already."""
    return await ask(stored.bring, ask.settings, asset_id, wish or BringWish())


@router.get("/storage")
async def show_storage(ask: Ask) -> Storage:
    """Where the room goes: by kind, by root, by person and workspace."""
    return await ask(storage.show, ask.settings)


@router.get("/roots")
async def list_roots(ask: Ask) -> Roots:
    """Folders of the server whose files are used where they lie. For admins."""
    return Roots(items=await ask(roots.list_for))


@router.post("/roots", status_code=201)
async def add_root(wish: RootWish, ask: Ask) -> RootOut:
    """Any folder that the server may read, also of a disk that is read only, or what lies below `s3://bucket/prefix` in an object store
    (the extra `s3`): nothing is written there. It is scanned at once. Key and secret of a store are never given out; the same store once
    more with others is opened with those."""
    await require_readable(ask, wish)
    return await ask(_add_root, ask.settings, wish)


async def require_readable(ask: Asking, wish: RootWish) -> None:
    """A store answers to key and secret. Raises BadStore, StoreRefused, StoreUnreachable, StoreNotInstalled."""
    require_admin(ask.actor)
    if wish.is_stored:
        store = roots.store_of(wish)
        await asyncio.to_thread(lambda: Objects(store, wish.access).require_readable())


def _add_root(session: Session, actor: Actor, settings: Settings, wish: RootWish) -> RootOut:
    made = roots.add(session, actor, settings, wish)
    return made.model_copy(update={"job_id": begin_scan(session, actor, settings, made.id).id})


def begin_scan(session: Session, actor: Actor, settings: Settings, root_id: str, again: bool = False) -> JobOut:
    threads, patience_seconds = settings.cores or profile.usable_cores(), 60 * settings.hub_patience_minutes
    return scanning.start(session, actor, root_id, threads, again=again, patience_seconds=patience_seconds)


@router.get("/roots/{root_id}")
async def show_root(root_id: str, ask: Ask) -> RootOut:
    return await ask(roots.get_for, root_id)


@router.delete("/roots/{root_id}", status_code=204)
async def remove_root(root_id: str, ask: Ask) -> None:
    """Its files are left as they are. Refused while models of it are here."""
    await ask(roots.remove, ask.settings, root_id)


@router.post("/roots/{root_id}/scan")
async def scan_root(root_id: str, ask: Ask, again: bool = False) -> JobOut:
    """What has changed since the last scan is read, the rest is not. ``again``: the rest too, as a check that it is what it was."""
    return await ask(begin_scan, ask.settings, root_id, again)


@router.get("/scrub")
async def show_check(ask: Ask) -> ScrubState:
    """When all files were last read and hashed again, and what was found wrong."""
    return await ask(scrubbing.state, ask.settings.scrub_days)


@router.post("/scrub")
async def check_files(ask: Ask) -> JobOut:
    """Queue a check of all files; one that waits or runs is answered instead."""
    return await ask(scrubbing.start)


@router.get("/trash")
async def show_trash(ask: Ask) -> Trash:
    return await ask(trash.show, ask.settings)


@router.post("/trash/{kind}/{row_id}/restore", status_code=204)
async def restore_thrown(kind: Kind, row_id: str, ask: Ask) -> None:
    await ask(trash.restore, kind, row_id)


@router.delete("/trash/{kind}/{row_id}", status_code=204)
async def purge_thrown(kind: Kind, row_id: str, ask: Ask) -> None:
    """For good; refused while something uses it."""
    freed = await ask(trash.purge, kind, row_id)
    await ask.compute(blobs.discard, ask.settings.home, freed)


@router.delete("/trash")
async def empty_trash(ask: Ask) -> Emptied:
    """All that the asker may change and nothing uses."""
    freed, kept = await ask(trash.empty)
    await ask.compute(blobs.discard, ask.settings.home, freed)
    return Emptied(kept=kept)
