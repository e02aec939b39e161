"""Data sets: uploaded as a stream, looked at, renamed, thrown away and brought back."""

import asyncio
import json
import re
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response, StreamingResponse
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets import uploads as pieces
from kargah.datasets import importing, rows, versions
from kargah.datasets import service as datasets
from kargah.datasets.importing import PathWish, UrlWish
from kargah.datasets.schemas import DatasetDetail, DatasetOut, DatasetPage, MendWish, Preview, Suggestion, UploadOptions, VersionSummary
from kargah.kit.errors import BadInput
from kargah.store.access import Actor, To, require_creator
from kargah.training import purging, tokens
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
                        "leave_out_bad_rows": {"type": "boolean"},
                        "normaliser": {"type": "string", "description": "JSON: the steps that shall differ from the usual ones"},
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


ColumnName = Annotated[str | None, Query(max_length=1000)]
VersionId = Annotated[str | None, Query(max_length=48)]
Format = Literal["csv", "jsonl", "parquet"]
MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}


class ChosenVersion(BaseModel):
    version: str = Field(min_length=1, max_length=48)


class NewTitle(BaseModel):
    title: str | None = Field(None, min_length=1, max_length=300)
    tags: list[Annotated[str, Field(max_length=200)]] | None = Field(None, max_length=100)


@router.post("", status_code=201, response_model=DatasetOut, openapi_extra=_MULTIPART)
async def upload_dataset(request: Request, ask: Ask, key: idempotency.Key = None) -> Response:
    """One file in a form. The answer comes when it is received; its import is a job (``job_id``)."""
    require_creator(ask.actor)
    return await _create(ask, key, await uploads.receive(request, ask))


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
    upload = await uploads.receive_raw(request, ask, filename)
    return await _create(ask, key, Upload(filename, upload.digest, {"title": title} if title else {}))


@router.put("/{dataset_id}/versions", status_code=201, response_model=NewVersion, openapi_extra=_RAW)
async def put_version(
    request: Request, dataset_id: str, ask: Ask, filename: Annotated[str, Query(min_length=1, max_length=400)], key: idempotency.Key = None
) -> Response:
    """A newer file of the same data, as the body; the current version stays until this one is read."""
    await ask.read(datasets.get_for, dataset_id, To.CHANGE)
    upload = await uploads.receive_raw(request, ask, filename)
    return await idempotency.once(ask, key, upload.wish, add_version, dataset_id, upload)


def add_version(session: Session, actor: Actor, dataset_id: str, upload: Upload) -> NewVersion:
    version, job = datasets.add_version(session, actor, dataset_id, upload.filename, upload.digest, options=_options(upload))
    return NewVersion(dataset_id=dataset_id, version=version, job_id=job.id)


async def _create(ask: Asking, key: str | None, upload: Upload) -> Response:
    return await idempotency.once(ask, key, upload.wish, create_from, upload)


def create_from(session: Session, actor: Actor, upload: Upload) -> DatasetOut:
    fields = _fields(upload)
    licence = fields.get("licence", "")[:100] or None
    dataset, _, _ = datasets.create_from_upload(
        session, actor, fields.get("title"), upload.filename, upload.digest, licence=licence, options=_options(upload)
    )
    return dataset


def _fields(upload: Upload) -> dict[str, str]:
    return {name: value.strip()[:300] for name, value in upload.fields.items() if value.strip()}


def _options(upload: Upload) -> UploadOptions:
    """How the sender wants the file to be read."""
    fields = _fields(upload)
    try:
        normaliser = json.loads(upload.fields.get("normaliser") or "null")
    except (ValueError, RecursionError):
        raise BadInput(field="normaliser", reason="unknown_value") from None
    try:
        return UploadOptions(
            encoding=fields.get("encoding"),
            delimiter=upload.fields.get("delimiter") or None,
            leave_out_bad_rows=fields.get("leave_out_bad_rows", "").lower() in ("on", "1", "true"),
            normaliser=normaliser,
        )
    except ValidationError as problem:
        raise BadInput(field=str(problem.errors()[0]["loc"][0]), reason="unknown_value") from None


@router.post("/import-url", status_code=201, response_model=DatasetOut)
async def import_from_url(wish: UrlWish, ask: Ask, key: idempotency.Key = None) -> Response:
    """The server fetches the file by a job (``job_id``): http and https, public addresses and those of KARGAH_URL_IMPORT_ALLOW."""
    return await idempotency.once(ask, key, wish.model_dump_json(), importing.import_url, ask.settings, wish)


@router.post("/import-path", status_code=201, response_model=DatasetOut)
async def import_from_path(wish: PathWish, ask: Ask, key: idempotency.Key = None) -> Response:
    """A file or folder on the server's own disk, below one of KARGAH_IMPORT_ROOTS."""
    require_creator(ask.actor)
    path = importing.allowed_path(ask.settings, wish.path)
    room = await ask.read(pieces.limits, ask.settings)
    digest = await asyncio.to_thread(importing.bring_in, ask.settings, path, room)
    return await idempotency.once(ask, key, wish.model_dump_json(), importing.import_kept, wish, path, digest)


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


@router.get("/{dataset_id}/rows")
async def dataset_rows(
    dataset_id: str,
    ask: Ask,
    cursor: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=rows.MOST_ROWS)] = 50,
    sort: ColumnName = None,
    descending: bool = False,
    column: ColumnName = None,
    contains: Annotated[str | None, Query(max_length=500)] = None,
    version: VersionId = None,
) -> rows.Rows:
    """Rows of the current or the named version: page by page, sorted, and those that hold some words (spelling does not count)."""
    table = await ask.read(rows.table_of, dataset_id, ask.settings.home, version)
    return await rows.look(table, rows.View(cursor, limit, sort, descending, column, contains))


@router.get("/{dataset_id}/statistics")
async def dataset_statistics(dataset_id: str, ask: Ask, version: VersionId = None) -> list[rows.Statistics]:
    """How the values of each column are spread, and the lengths of its texts: measured when first asked for, then kept."""
    table = await ask.read(rows.table_of, dataset_id, ask.settings.home, version)
    return await rows.statistics(table, ask.settings.home)


@router.get("/{dataset_id}/tokens")
async def dataset_tokens(
    dataset_id: str,
    ask: Ask,
    model: Annotated[str, Query(max_length=48, description="a model version with a tokenizer")],
    max_length: Annotated[int | None, Query(ge=4, le=100_000)] = None,
    cursor: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=tokens.MOST_ROWS)] = 10,
    text: ColumnName = None,
    text_pair: ColumnName = None,
    version: VersionId = None,
) -> tokens.Seen:
    """What the model will see: rows as normalised texts and tokens, what is cut at ``max_length``, and which length would hold them."""
    asked = tokens.Asked(model, max_length, cursor, limit, text, text_pair, version)
    return await tokens.seen(await ask.read(tokens.wish_of, dataset_id, asked, ask.settings.home), model)


@router.get("/{dataset_id}/versions/{version}/difference")
async def version_difference(
    dataset_id: str, version: str, ask: Ask, since: Annotated[str, Query(max_length=48, description="the earlier version")]
) -> rows.Difference:
    """Rows added and removed from ``since`` to ``version``, with examples."""
    home = ask.settings.home
    before = await ask.read(rows.table_of, dataset_id, home, since)
    return await rows.difference(before, await ask.read(rows.table_of, dataset_id, home, version))


@router.get("/{dataset_id}/export", response_class=Response)
async def export_dataset(dataset_id: str, ask: Ask, format: Format = "csv", version: VersionId = None) -> Response:  # noqa: A002
    """The rows as CSV (marked as UTF-8 for Excel, formulas made harmless), JSON lines or Parquet."""
    table = await ask.read(rows.table_of, dataset_id, ask.settings.home, version)
    headers = {"Content-Disposition": attachment(f"{table.title}.{format}")}
    if format == "parquet":
        return FileResponse(table.path, media_type="application/vnd.apache.parquet", headers=headers)
    return StreamingResponse(rows.export(table, format), media_type=MEDIA_TYPES[format], headers=headers)


def attachment(filename: str) -> str:
    """For programs that know no Persian the name in ASCII; for the others as it is."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


@router.post("/{dataset_id}/versions", status_code=201, response_model=VersionSummary)
async def mend_dataset(dataset_id: str, wish: MendWish, ask: Ask, key: idempotency.Key = None) -> Response:
    """A new version with ``fixes`` made in ``from_version`` (else in the current one), by a job: nothing is changed in place."""
    return await idempotency.once(ask, key, wish.model_dump_json(), versions.mend, dataset_id, wish)


@router.put("/{dataset_id}/current")
async def choose_version(dataset_id: str, chosen: ChosenVersion, ask: Ask) -> DatasetDetail:
    """Go back to a version, or forward to one: trainings take the current one."""
    return await ask(versions.choose, dataset_id, chosen.version)


@router.patch("/{dataset_id}")
async def rename_dataset(dataset_id: str, new: NewTitle, ask: Ask) -> DatasetDetail:
    """Another title, other tags, or both."""
    return await ask(datasets.rename, dataset_id, new.title, new.tags)


@router.delete("/{dataset_id}", status_code=204)
async def delete_dataset(dataset_id: str, ask: Ask, purge: bool = False) -> None:
    """To the trash; with ``purge`` out of the trash for good: refused while a run or a model stands on one of its versions."""
    if not purge:
        await ask(datasets.delete, dataset_id)
        return
    freed = await ask(purging.purge_dataset, dataset_id)
    await ask.compute(blobs.discard, ask.settings.home, freed)


@router.post("/{dataset_id}/restore")
async def restore_dataset(dataset_id: str, ask: Ask) -> DatasetDetail:
    return await ask(datasets.restore, dataset_id)
