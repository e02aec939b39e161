"""Data sets from an address or a path of the server, and unfinished uploads given up: the forms beside the place to drop a file."""

import asyncio

from fastapi import APIRouter
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.assets import uploads
from kargah.datasets import importing
from kargah.datasets.importing import PathWish, UrlWish
from kargah.datasets.schemas import DatasetOut
from kargah.kit.errors import KargahError
from kargah.store.access import Actor, require_creator
from kargah.web.deps import Ask, Asking
from kargah.web.idempotency import once_of_form
from kargah.web.pages.access import see
from kargah.web.pages.datasets import list_page
from kargah.web.pages.forms import Errors, errors_of, form_of, schema_errors

router = APIRouter(include_in_schema=False)


@router.post("/datasets/import-url")
async def import_url(request: Request, ask: Ask) -> Response:
    require_creator(ask.actor)
    values = await form_of(request)

    def make(session: Session, actor: Actor) -> DatasetOut:
        return importing.import_url(session, actor, ask.settings, UrlWish(url=values.get("url", "")))

    try:
        made = await once_of_form(ask, values.get("_once", ""), values.get("url", ""), make)
    except ValidationError as problem:
        return await _refused(request, ask, values, schema_errors(request, problem), 422)
    except KargahError as error:
        return await _refused(request, ask, values, {"url": _text(request, error)}, error.status)
    return see(f"/datasets/{made['id']}?done=dataset_fetching")


@router.post("/datasets/import-path")
async def import_path(request: Request, ask: Ask) -> Response:
    require_creator(ask.actor)
    values = await form_of(request)
    try:
        wish = PathWish(path=values.get("path", "").strip())
        path = importing.allowed_path(ask.settings, wish.path)
        digest = await asyncio.to_thread(importing.bring_in, ask.settings, path, await ask.read(uploads.limits, ask.settings))

        def make(session: Session, actor: Actor) -> DatasetOut:
            return importing.import_kept(session, actor, wish, path, digest)

        made = await once_of_form(ask, values.get("_once", ""), wish.path, make)
    except ValidationError as problem:
        return await _refused(request, ask, values, schema_errors(request, problem), 422)
    except KargahError as error:
        return await _refused(request, ask, values, {"path": _text(request, error)}, error.status)
    return see(f"/datasets/{made['id']}?done=dataset_uploaded")


@router.post("/datasets/uploads/{upload_id}/delete")
async def give_up(upload_id: str, ask: Ask) -> Response:
    await ask(uploads.delete, ask.settings, upload_id)
    return see("/datasets?done=upload_given_up")


def _text(request: Request, error: KargahError) -> str:
    return next(iter(errors_of(request, error).values()))


async def _refused(request: Request, ask: Asking, values: dict[str, str], errors: Errors, status: int) -> Response:
    return await list_page(request, ask, values=values, errors=errors, status=status)
