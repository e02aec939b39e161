"""Models: listed, brought in, taken away as files or a zip, and asked."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from kargah.assets import blobs
from kargah.assets.blobs import FileMissing
from kargah.kit.errors import NotFound
from kargah.models import archive, importing
from kargah.models import service as models
from kargah.models.schemas import ModelOut, ModelPage, ModelVersionOut
from kargah.serving import service as serving
from kargah.serving.schemas import Prediction, PredictionRequest
from kargah.store.access import require_creator
from kargah.training import purging
from kargah.web import idempotency, unpacking, uploads
from kargah.web.api.jobs import Cursor, Limit, Words
from kargah.web.deps import Ask, Asking
from kargah.web.pieces import Pieces, answer

router = APIRouter(prefix="/api/v1/models", tags=["models"])


class NewTitle(BaseModel):
    title: str = Field(min_length=1, max_length=300)


class FolderImport(BaseModel):
    """``folder``, or a zip of one, lies on the server's own disk, under one of the import roots."""

    folder: str = Field(min_length=1, max_length=4096)
    title: str | None = Field(None, max_length=300)
    licence: str | None = Field(None, max_length=100)


@router.get("")
async def list_models(
    ask: Ask, cursor: Cursor = None, limit: Limit = 50, query: Words = None, source: Annotated[str | None, Query(max_length=32)] = None
) -> ModelPage:
    return await ask(models.list_for, cursor=cursor, limit=limit, query=query, source=source)


@router.post("/import", status_code=201, response_model=ModelOut)
async def import_folder(wanted: FolderImport, ask: Ask, key: idempotency.Key = None) -> Response:
    require_creator(ask.actor)
    path = importing.allowed_folder(ask.settings, wanted.folder)
    title = (wanted.title or "").strip() or path.name.removesuffix(".zip")
    with tempfile.TemporaryDirectory(dir=unpacking.workspace(ask.settings.home)) as folder:
        root = await asyncio.to_thread(unpacking.opened, path, Path(folder), ask.settings.upload_limit_bytes)
        return await bring_in(ask, root, title, wanted.licence, key, wanted.model_dump_json())


@router.post("/upload", status_code=201, response_model=ModelOut)
async def upload_zip(request: Request, ask: Ask, key: idempotency.Key = None) -> Response:
    """A zip of a model folder, in a form (field ``file``)."""
    require_creator(ask.actor)
    upload = await uploads.receive(request, ask)
    async with unpacking.unpacked(ask, upload.digest) as root:
        title = upload.fields.get("title", "").strip()[:300] or Path(upload.filename).stem[:300] or "model"
        return await bring_in(ask, root, title, upload.fields.get("licence") or None, key, upload.digest.sha256 + title)


async def bring_in(ask: Asking, root: Path, title: str, licence: str | None, key: str | None, same: str) -> Response:
    folder, entries = await unpacking.brought_in(ask, root)
    return await idempotency.once(ask, key, same, models.register_import, title, folder, entries, licence)


@router.get("/{model_id}")
async def show_model(model_id: str, ask: Ask) -> ModelOut:
    return await ask(models.get_for, model_id)


@router.patch("/{model_id}")
async def rename_model(model_id: str, new: NewTitle, ask: Ask) -> ModelOut:
    return await ask(models.rename, model_id, new.title)


@router.delete("/{model_id}", status_code=204)
async def delete_model(model_id: str, ask: Ask, purge: bool = False) -> None:
    """To the trash; with ``purge`` out of the trash for good: refused while a model was trained from it, or a job begins with it."""
    if not purge:
        await ask(models.delete, model_id)
        return
    freed = await ask(purging.purge_model, model_id)
    await ask.compute(blobs.discard, ask.settings.home, freed)


@router.post("/{model_id}/restore")
async def restore_model(model_id: str, ask: Ask) -> ModelOut:
    return await ask(models.restore, model_id)


@router.post("/{model_version_id}/predict")
async def predict(model_version_id: str, request: PredictionRequest, ask: Ask) -> Prediction:
    """One output for each input, in their order."""
    return await serving.predict(ask, model_version_id, request.inputs)


@router.get("/{model_version_id}/version")
async def show_version(model_version_id: str, ask: Ask) -> ModelVersionOut:
    return await ask(models.get_version_for, model_version_id)


@router.get("/{model_version_id}/files/{path:path}", response_class=FileResponse)
async def version_file(model_version_id: str, path: str, ask: Ask, pieces: Pieces = False) -> Response:
    """One file of a model version; ranges are answered."""
    version = await ask(models.get_version_for, model_version_id)
    entry = next((entry for entry in version.files if entry.path == path), None)
    if entry is None:
        raise NotFound(kind="files", id=path)
    blob = stored(ask.settings.home, path, entry.sha256)
    return answer(blob, Path(path).name, {"ETag": f'"{entry.sha256}"'}, of_pieces=pieces)


@router.get("/{model_version_id}/zip", response_class=StreamingResponse)
async def version_zip(model_version_id: str, ask: Ask) -> Response:
    """The model's folder as a zip, made while it is sent."""
    version = await ask(models.get_version_for, model_version_id)
    entries = [(entry.path, stored(ask.settings.home, entry.path, entry.sha256)) for entry in version.files]
    headers = {"Content-Disposition": f'attachment; filename="{version.name}-{version.id}.zip"'}
    return StreamingResponse(archive.stream_zip(entries), media_type="application/zip", headers=headers)


def stored(home: Path, path: str, sha256: str) -> Path:
    """Asked before an answer begins: half a download cannot say what is missing."""
    blob = blobs.path_of(home, sha256)
    if not blob.is_file():
        raise FileMissing(path=path, sha256=sha256)
    return blob
