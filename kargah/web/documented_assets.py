"""The documented routes of assets: roots, lists by category, upload, download, registration of what is on the server's disk, deletion."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from kargah.assets import roots, storage
from kargah.assets import service as assets
from kargah.assets import uploads as pieces
from kargah.assets.schemas import AssetSummary
from kargah.contract import hubs
from kargah.datasets import importing as dataset_importing
from kargah.datasets.importing import PathWish
from kargah.datasets.schemas import DatasetOut
from kargah.kit.clock import iso
from kargah.kit.errors import BadInput
from kargah.kit.files import Digest
from kargah.models import service as models
from kargah.store.access import require_creator
from kargah.training import trash
from kargah.web import unpacking, uploads
from kargah.web.api.assets import sent
from kargah.web.api.datasets import create_from
from kargah.web.deps import Ask, Asking
from kargah.web.envelopes import Body, ok
from kargah.web.uploads import Upload

router = APIRouter(prefix="/assets", tags=["documented"])


class Category(StrEnum):
    MODELS = "models"
    DATASETS = "datasets"
    CHECKPOINTS = "checkpoints"
    ARTIFACTS = "artifacts"

    @property
    def kind(self) -> str:
        return self.value.removesuffix("s")


class RegisterForm(BaseModel):
    """``path`` is on the server's own disk: below a root that was scanned, or one of the import roots."""

    model_config = ConfigDict(extra="ignore")

    path: str = Field(min_length=1, max_length=4000)
    name: str | None = Field(None, max_length=300)


class PickleRefused(BadInput):
    """``file``: opening it may run code."""

    code = "MODEL_IS_PICKLE"


@router.get("/roots")
async def list_roots(ask: Ask) -> Body:
    """The store of this server first, ``id`` null; nothing is ever written to the others."""
    found = (await ask(storage.show, ask.settings)).roots
    return ok(
        data=[
            {
                "id": root.id, "name": root.name or "kargah", "path": root.path or None, "readOnly": root.id is not None,
                "available": root.disk.is_here, "total": root.disk.total_bytes, "free": root.disk.free_bytes, "count": root.count,
                "size": root.size_bytes,
            }
            for root in found
        ]
    )  # fmt: skip


@router.get("/list/{category}")
async def list_category(category: Category, ask: Ask, limit: Annotated[int, Query(ge=1, le=200)] = 200, cursor: str | None = None) -> Body:
    """In the one asset shape, the newest first; ``next`` is the cursor of the page behind, where there is one."""
    found = await ask(assets.list_for, kind=category.kind, limit=limit, cursor=cursor)
    return ok(data=[line_of(one) for one in found.items], next=found.next_cursor)


@router.post("/upload/{category}", status_code=201)
async def upload(category: Category, request: Request, ask: Ask) -> Body:
    """A form with ``file``: a zip of a model's folder, a file of data, or any other file that is to be kept."""
    require_creator(ask.actor)
    received = await uploads.receive(request, ask)
    name = received.fields.get("name", "").strip()[:300]
    if category is Category.DATASETS:
        named = {"title": name} if name else {}
        made = await ask(create_from, Upload(received.filename, received.digest, {**received.fields, **named}))
        return ok(data=_being_read(made, received.digest))
    if category is Category.MODELS:
        async with unpacking.unpacked(ask, received.digest) as root:
            return await _model(ask, root, name or Path(received.filename).stem[:300] or "model")
    if Path(received.filename).suffix.lower() in hubs.PICKLES:
        raise PickleRefused(field="file", file=received.filename)
    kept = await ask(assets.keep_artifact, category.kind, name or received.filename, received.filename, received.digest)
    return ok(data=line_of(kept))


@router.get("/download/{asset_id}", response_class=FileResponse)
async def download(request: Request, asset_id: str, ask: Ask) -> Response:
    """One file with ranges and its ETag; a folder as a zip that is made while it is sent."""
    return await sent(request, ask, asset_id)


@router.post("/register", status_code=201)
async def register(form: RegisterForm, ask: Ask) -> Body:
    """What a scan of a root has found is answered; what lies below an import root is brought in."""
    require_creator(ask.actor)
    known = await ask(roots.find, form.path)
    if known is not None:
        return ok(data=line_of(known))
    path = dataset_importing.allowed_path(ask.settings, form.path)
    if path.is_dir() and (path / "config.json").is_file():
        return await _model(ask, path, (form.name or "").strip() or path.name)
    room = await ask.read(pieces.limits, ask.settings)
    digest = await asyncio.to_thread(dataset_importing.bring_in, ask.settings, path, room)
    made = await ask(dataset_importing.import_kept, PathWish(path=form.path, title=form.name), path, digest)
    return ok(data=_being_read(made, digest))


@router.delete("/{asset_id}")
async def delete(asset_id: str, ask: Ask) -> Body:
    """To the trash, with the model or data set that it is a version of; a checkpoint for good, by the rules of its training."""
    await ask(trash.throw, asset_id, ask.settings.home)
    return ok(deleted=True)


async def _model(ask: Asking, root: Path, title: str) -> Body:
    folder, entries = await unpacking.brought_in(ask, root)
    made = await ask(models.register_import, title, folder, entries)
    return ok(data=line_of(await ask.read(assets.of_subject, made.versions[0].id)))


def _being_read(made: DatasetOut, digest: Digest) -> Body:
    """A data set that will be one of the assets in a moment; until then it is known by its own id."""
    known = {"id": made.id, "name": made.title, "kind": "dataset", "size": digest.size_bytes, "status": "downloading"}
    return {**known, "source": "local", "sha256": digest.sha256, "downloadedAt": None}


def line_of(one: AssetSummary) -> Body:
    return {
        "id": one.id,
        "name": one.name,
        "kind": one.kind,
        "size": one.size_bytes,
        "status": one.status,
        "source": one.source,
        "sha256": one.sha256,
        "downloadedAt": iso(one.downloaded_at) if one.downloaded_at else None,
    }
