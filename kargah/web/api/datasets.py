"""Data sets: uploaded as a stream, looked at, renamed, thrown away and brought back."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.orm import Session

from kargah.datasets import service as datasets
from kargah.datasets.schemas import DatasetDetail, DatasetOut, DatasetPage, Preview, Suggestion, UploadOptions, VersionSummary
from kargah.kit.errors import BadInput
from kargah.store.access import Actor, To, require_creator
from kargah.web import idempotency, uploads
from kargah.web.api.jobs import Cursor, Limit, Words
from kargah.web.deps import Ask, Asking
from kargah.web.uploads import Upload

router = APIRouter(prefix="/api/v1/datasets", tags=["datasets"])

_MULTIPART = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "title": {"type": "string"},
                        "licence": {"type": "string"},
                        "encoding": {"type": "string"},
                        "delimiter": {"type": "string"},
                    },
                }
            }
        },
    }
}
_RAW = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}


class NewVersion(BaseModel):
    """``job_id`` reads it in."""

    dataset_id: str
    version: VersionSummary
    job_id: str


class NewTitle(BaseModel):
    title: str = Field(min_length=1, max_length=300)


@router.post("", status_code=201, response_model=DatasetOut, openapi_extra=_MULTIPART)
async def upload_dataset(request: Request, ask: Ask, key: idempotency.Key = None) -> Response:
    """One file in a form. The answer comes when it is received; its import is a job (``job_id``)."""
    require_creator(ask.actor)
    return await _create(ask, key, await uploads.receive(request, ask.settings))


@router.put("", status_code=201, response_model=DatasetOut, openapi_extra=_RAW)
async def put_dataset(
    request: Request,
    ask: Ask,
    filename: Annotated[str, Query(min_length=1, max_length=400)],
    title: Annotated[str | None, Query(max_length=300)] = None,
    key: idempotency.Key = None,
) -> Response:
    """The body is the file: ``curl -T data.csv '…/api/v1/datasets?filename=data.csv'``."""
    require_creator(ask.actor)
    upload = await uploads.receive_raw(request, ask.settings, filename)
    return await _create(ask, key, Upload(filename, upload.digest, {"title": title} if title else {}))


@router.put("/{dataset_id}/versions", status_code=201, response_model=NewVersion, openapi_extra=_RAW)
async def put_version(
    request: Request, dataset_id: str, ask: Ask, filename: Annotated[str, Query(min_length=1, max_length=400)], key: idempotency.Key = None
) -> Response:
    """A newer file of the same data, as the body; the current version stays until this one is read."""
    await ask.read(datasets.get_for, dataset_id, To.CHANGE)
    upload = await uploads.receive_raw(request, ask.settings, filename)
    return await idempotency.once(ask, key, upload.wish, add_version, dataset_id, upload)


def add_version(session: Session, actor: Actor, dataset_id: str, upload: Upload) -> NewVersion:
    version, job = datasets.add_version(session, actor, dataset_id, upload.filename, upload.digest)
    return NewVersion(dataset_id=dataset_id, version=version, job_id=job.id)


async def _create(ask: Asking, key: str | None, upload: Upload) -> Response:
    return await idempotency.once(ask, key, upload.wish, create_from, upload)


def create_from(session: Session, actor: Actor, upload: Upload) -> DatasetOut:
    fields = {name: value.strip()[:300] for name, value in upload.fields.items() if value.strip()}
    try:
        options = UploadOptions(encoding=fields.get("encoding"), delimiter=upload.fields.get("delimiter") or None)
    except ValidationError as problem:
        raise BadInput(field=str(problem.errors()[0]["loc"][0]), reason="unknown_value") from None
    licence = fields.get("licence", "")[:100] or None
    dataset, _, _ = datasets.create_from_upload(
        session, actor, fields.get("title"), upload.filename, upload.digest, licence=licence, options=options
    )
    return dataset


@router.get("")
async def list_datasets(ask: Ask, cursor: Cursor = None, limit: Limit = 50, query: Words = None, trashed: bool = False) -> DatasetPage:
    return await ask(datasets.list_for, cursor=cursor, limit=limit, query=query, trashed=trashed)


@router.get("/{dataset_id}")
async def show_dataset(dataset_id: str, ask: Ask) -> DatasetDetail:
    return await ask(datasets.get_for, dataset_id)


@router.get("/{dataset_id}/preview")
async def preview_dataset(dataset_id: str, ask: Ask, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Preview:
    return await ask(datasets.preview, dataset_id, ask.settings.home, limit)


@router.get("/{dataset_id}/report")
async def dataset_report(dataset_id: str, ask: Ask) -> dict[str, Any]:
    return await ask(datasets.report, dataset_id)


@router.get("/{dataset_id}/suggestions")
async def suggest_trainings(dataset_id: str, ask: Ask) -> list[Suggestion]:
    """What could be learned from it, the likeliest first, ready for ``spec`` of a training."""
    return await ask(datasets.suggest, dataset_id)


@router.patch("/{dataset_id}")
async def rename_dataset(dataset_id: str, new: NewTitle, ask: Ask) -> DatasetDetail:
    return await ask(datasets.rename, dataset_id, new.title)


@router.delete("/{dataset_id}", status_code=204)
async def delete_dataset(dataset_id: str, ask: Ask) -> None:
    """To the trash."""
    await ask(datasets.delete, dataset_id)


@router.post("/{dataset_id}/restore")
async def restore_dataset(dataset_id: str, ask: Ask) -> DatasetDetail:
    return await ask(datasets.restore, dataset_id)
