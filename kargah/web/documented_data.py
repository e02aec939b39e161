"""The documented routes of data sets: upload, list, preview, validation, statistics."""

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from kargah.datasets import service as datasets
from kargah.datasets.schemas import DatasetDetail, DatasetOut, VersionOut
from kargah.kit import i18n
from kargah.kit.clock import iso
from kargah.kit.errors import KargahError
from kargah.store.access import require_creator
from kargah.web import uploads
from kargah.web.api.datasets import create_from
from kargah.web.deps import Ask, Asking
from kargah.web.envelopes import Body, ok
from kargah.web.errors import text_of
from kargah.web.uploads import Upload

router = APIRouter(prefix="/datasets", tags=["documented"])

#: How long an upload is kept waiting for its import; after that it is answered with 202.
PATIENCE_SECONDS = 15.0
POLL_SECONDS = 0.15
_STATUSES = {"READY": "ready", "IMPORTING": "downloading", "FAILED": "error"}


@router.get("")
async def catalogue(ask: Ask, limit: Annotated[int, Query(ge=1, le=200)] = 100) -> Body:
    """In the one asset shape of the documents."""
    return ok(data=[_asset_of(dataset) for dataset in (await ask(datasets.list_for, limit=limit)).items])


@router.get("/list")
async def list_datasets(ask: Ask, limit: Annotated[int, Query(ge=1, le=200)] = 100) -> Body:
    return ok(data=[_line_of(dataset) for dataset in (await ask(datasets.list_for, limit=limit)).items])


@router.post("/upload", status_code=201)
async def upload(request: Request, ask: Ask, response: Response) -> Body:
    """A form with ``file``, and ``name`` if it wants one. 201 once it is imported, with its report; 202 with status
    "processing" when that takes long; the import's own error otherwise."""
    require_creator(ask.actor)
    received = await uploads.receive(request, ask)
    named = {"title": received.fields["name"]} if received.fields.get("name") else {}
    dataset = await ask(create_from, Upload(received.filename, received.digest, {**named, **received.fields}))
    detail = await _imported(ask, dataset.id)
    version = detail.version
    if version is None or version.state == "IMPORTING":
        response.status_code = 202
        return ok(data={**_line_of(detail), "status": "processing"})
    if version.error is not None:
        raise ImportFailed(version.error["code"], version.error.get("params") or {})
    return ok(data={**_line_of(detail), **_found(version, ask.language)})


class ImportFailed(KargahError):
    """The import's last word, told as the answer to the upload that it was."""

    code = "IMPORT_FAILED"
    status = 422

    def __init__(self, code: str, params: Body) -> None:
        self.code = code  # type: ignore[misc]
        super().__init__(**params)


@router.get("/{dataset_id}/preview")
async def preview(dataset_id: str, ask: Ask, limit: Annotated[int, Query(ge=1, le=200)] = 20) -> Body:
    found = await ask(datasets.preview, dataset_id, ask.settings.home, limit)
    return ok(data={"columns": found.columns, "rows": found.rows, "total": found.total_rows})


@router.get("/{dataset_id}/validate")
async def validate(dataset_id: str, ask: Ask) -> Body:
    """What the import found wrong, each with its lines; ``valid`` when no row had to be left out for an error."""
    report = await ask(datasets.report, dataset_id)
    problems = _problems(report, ask.language)
    return ok(data={"valid": all(problem["severity"] != "error" for problem in problems), "rows": report.get("rows"), "problems": problems})


@router.get("/{dataset_id}/stats")
async def stats(dataset_id: str, ask: Ask) -> Body:
    detail = await ask(datasets.get_for, dataset_id)
    columns = await ask(datasets.columns, dataset_id)
    fields = [column.model_dump(mode="json", exclude_none=True) for column in columns]
    return ok(data={**_line_of(detail), "fields": len(fields), "columns": fields})


async def _imported(ask: Asking, dataset_id: str) -> DatasetDetail:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        detail = await ask.read(datasets.get_for, dataset_id)
        if detail.version is None or detail.version.state != "IMPORTING" or time.monotonic() > deadline:
            return detail
        await asyncio.sleep(POLL_SECONDS)


def _line_of(dataset: DatasetOut) -> Body:
    version = dataset.version
    return {
        "id": dataset.id,
        "name": dataset.title,
        "rows": version.rows if version else None,
        "size": version.source_size_bytes if version else None,
        "format": version.format if version else None,
        "encoding": version.encoding if version else None,
        "status": _STATUSES[version.state] if version else "error",
        "createdAt": iso(dataset.created_at),
    }


def _asset_of(dataset: DatasetOut) -> Body:
    line = _line_of(dataset)
    kept = {name: line[name] for name in ("id", "name", "size", "status")}
    return {**kept, "kind": "dataset", "source": "local", "downloadedAt": None}


def _found(version: VersionOut, language: str) -> Body:
    report = version.report or {}
    columns = [column.name for column in version.columns or []]
    return {"columns": columns, "report": {**report, "problems": _problems(report, language)}}


def _problems(report: Body, language: str) -> list[Body]:
    return [{**problem, "message": _problem_text(problem, language)} for problem in report.get("problems", [])]


def _problem_text(problem: Body, language: str) -> str:
    known = {"count": problem.get("count"), "columns": ", ".join(problem.get("columns") or [])}
    key, params = f"problem.{problem['code']}", {**known, **(problem.get("params") or {})}
    return i18n.text(language, key, **params) if i18n.has_text(language, key) else text_of(language, problem["code"], params)
