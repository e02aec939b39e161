"""Large files in pieces: a dropped link, a closed tab or a server that starts anew go on from the last byte that arrived.

In the manner of tus 1.0: ``POST`` begins, ``PATCH`` with ``Upload-Offset`` adds, ``HEAD`` tells how much is there; ``finish`` checks the
SHA-256 and makes a data set of the file.
"""

import asyncio
import json
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from kargah.assets import uploads
from kargah.assets.uploads import SHA256, Limits, OffsetDiffers, UploadOut, UploadWish
from kargah.datasets.schemas import JsonDict
from kargah.kit.files import Digest
from kargah.store.access import Actor
from kargah.web.api.datasets import add_version, create_from
from kargah.web.deps import Ask
from kargah.web.errors import answer
from kargah.web.uploads import Upload

router = APIRouter(prefix="/api/v1/uploads", tags=["uploads"])
_PIECE = {
    "requestBody": {"required": True, "content": {"application/offset+octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}
OFFSET, LENGTH = "Upload-Offset", "Upload-Length"


class Uploads(BaseModel):
    items: list[UploadOut]
    limits: Limits


class Finish(BaseModel):
    """``sha256``: of the whole file, as the sender has it. With ``dataset_id`` the file becomes that data set's next version."""

    model_config = ConfigDict(extra="forbid")

    sha256: str | None = Field(None, pattern=SHA256)
    title: str | None = Field(None, max_length=300)
    licence: str | None = Field(None, max_length=100)
    encoding: str | None = Field(None, max_length=40)
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    leave_out_bad_rows: bool = False
    normaliser: JsonDict | None = None
    dataset_id: str | None = Field(None, max_length=48)


class Finished(BaseModel):
    """``job_id`` reads the file in."""

    dataset_id: str
    version_id: str
    job_id: str
    sha256: str


@router.post("", status_code=201)
async def begin_upload(wish: UploadWish, ask: Ask) -> Response:
    """Asked again for the same file (name, size and ``fingerprint``, else ``sha256``), the unfinished upload of it is gone on with: 200."""
    begun = await ask(uploads.begin, ask.settings, wish)
    headers = {"Location": f"/api/v1/uploads/{begun.id}", OFFSET: str(begun.offset)}
    return JSONResponse(begun.model_dump(mode="json"), 200 if begun.offset else 201, headers=headers)


@router.get("")
async def list_uploads(ask: Ask) -> Uploads:
    """Your unfinished ones, and what may come in now."""
    return Uploads(items=await ask(uploads.list_for, ask.settings), limits=await ask(uploads.limits, ask.settings))


@router.get("/{upload_id}")
async def show_upload(upload_id: str, ask: Ask) -> UploadOut:
    return await ask(uploads.show, ask.settings, upload_id)


@router.head("/{upload_id}")
async def upload_offset(upload_id: str, ask: Ask) -> Response:
    found = await ask(uploads.show, ask.settings, upload_id)
    return Response(headers={OFFSET: str(found.offset), LENGTH: str(found.size_bytes)})


@router.patch("/{upload_id}", status_code=204, openapi_extra=_PIECE)
async def append_to_upload(upload_id: str, request: Request, ask: Ask, offset: Annotated[int, Header(alias=OFFSET, ge=0)]) -> Response:
    """Bytes from ``Upload-Offset`` on. Elsewhere than at the end: 409, with the right one in the same header."""
    found = await ask.read(uploads.show, ask.settings, upload_id)
    try:
        if found.result is not None:
            raise OffsetDiffers(offset=found.size_bytes)
        there = await uploads.append(uploads.part_of(ask.settings.home, upload_id), offset, found.size_bytes, request.stream())
    except OffsetDiffers as error:
        refused = answer(request, error)
        refused.headers[OFFSET] = str(error.params["offset"])
        return refused
    return Response(status_code=204, headers={OFFSET: str(there)})


@router.delete("/{upload_id}", status_code=204)
async def delete_upload(upload_id: str, ask: Ask) -> None:
    """With what has arrived of it."""
    await ask(uploads.delete, ask.settings, upload_id)


@router.post("/{upload_id}/finish", status_code=201)
async def finish_upload(upload_id: str, wish: Finish, ask: Ask) -> Finished:
    """All has arrived: check it and make a data set of it. Asked again, the answer is the same."""
    found = await ask.read(uploads.show, ask.settings, upload_id)
    if found.result is not None:
        return Finished.model_validate(found.result)
    digest = await asyncio.to_thread(uploads.keep, ask.settings.home, found, wish.sha256)
    made = await ask(_make, upload_id, digest, wish)
    uploads.part_of(ask.settings.home, upload_id).unlink(missing_ok=True)
    return made


def _make(session: Session, actor: Actor, upload_id: str, digest: Digest, wish: Finish) -> Finished:
    row = uploads.loaded(session, actor, upload_id, lock=True)
    if row.result is None:
        row.result = _dataset_of(session, actor, Upload(row.filename, digest, _fields(wish)), wish.dataset_id).model_dump()
        session.flush()
    return Finished.model_validate(row.result)


def _dataset_of(session: Session, actor: Actor, upload: Upload, dataset_id: str | None) -> Finished:
    if dataset_id is None:
        dataset = create_from(session, actor, upload)
        assert dataset.version is not None
        version = dataset.version
    else:
        version = add_version(session, actor, dataset_id, upload).version
    return Finished(dataset_id=version.dataset_id, version_id=version.id, job_id=version.job_id or "", sha256=upload.digest.sha256)


def _fields(wish: Finish) -> dict[str, str]:
    """As those of a form."""
    stated = wish.model_dump(include={"title", "licence", "encoding", "delimiter"}, exclude_none=True)
    steps = {} if wish.normaliser is None else {"normaliser": json.dumps(wish.normaliser)}
    return {**stated, **steps, "leave_out_bad_rows": "on" if wish.leave_out_bad_rows else ""}
