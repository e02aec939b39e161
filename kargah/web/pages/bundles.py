"""Bundles: brought in by the browser or from a disk of the server, with the signer confirmed; whose key is whose."""

import asyncio
from dataclasses import dataclass

from fastapi import APIRouter
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.bundles import importing, peers, signers
from kargah.bundles.errors import UnknownSigner
from kargah.bundles.peers import Peer, PeerItem, PeerWish
from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.kit.errors import BadInput, KargahError
from kargah.store.access import Actor, require_creator
from kargah.web import uploads
from kargah.web.api.bundles import BundleWish, looked_at
from kargah.web.deps import Ask, Asking
from kargah.web.pages import hours as hours_form
from kargah.web.pages import models_offers
from kargah.web.pages.access import see
from kargah.web.pages.forms import Errors, errors_of, form_of, schema_errors
from kargah.web.pages.hours import Hours
from kargah.web.pages.parts import Badge, badge_of
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
PLACES = ("upload_id", "path")
MOST_IMPORTS = 5


@dataclass(frozen=True)
class ImportRow:
    """``percent``: null once it is over. ``href``: of the model that it became."""

    title: str
    state: Badge
    percent: int | None
    amount: str
    error: str
    href: str
    when: str


@router.get("/models/bundles")
async def show_bundles(request: Request, ask: Ask) -> Response:
    return await _page(request, ask)


async def _page(
    request: Request,
    ask: Asking,
    *,
    errors: Errors | None = None,
    status: int = 200,
    unknown: dict[str, str] | None = None,
    peer: Peer | None = None,
    found: list[PeerItem] | None = None,
    given: dict[str, str] | None = None,
) -> Response:
    """``unknown``: the signer that is to be confirmed, the title of what it signed, and where that lies. ``found``: what ``peer`` has.
    ``given``: what was written of it.
    """
    name = page_of(request, "models").words.text("models.tab.bundles")
    position, imports = await ask.read(_imports)
    page = page_of(request, "models", crumbs=((name, ""),), stream=f"/api/v1/events?since={position}")
    return render(
        "models_bundles.html",
        page,
        status=status,
        tabs=models_offers.tabs(page.words, "bundles"),
        imports=[_row(page.words, job) for job in imports],
        own=await ask.compute(signers.own, ask.settings.home),
        known=await ask.compute(signers.known, ask.settings.home),
        is_admin=ask.actor.is_admin,
        limit=page.words.size(ask.settings.upload_limit_bytes),
        by_path=bool(ask.settings.import_roots),
        errors=errors or {},
        unknown=unknown or {},
        peer=peer,
        found=[(one, page.words.size(one.size_bytes) if one.size_bytes is not None else "") for one in found or []],
        kinds={kind: page.words.text(f"resource.kind.{kind}") for kind in ("model", "dataset")},
        values={"url": (given or {}).get("url", "")},
        hours=hours_form.read(page.words, given or {}),
    )


def _imports(session: Session, actor: Actor) -> tuple[int, list[JobOut]]:
    """The latest ones, the newest first."""
    return history.latest_position(session), jobs.list_for(session, actor, kind=importing.KIND, limit=MOST_IMPORTS).items


def _row(words: Words, job: JobOut) -> ImportRow:
    made, percent = job.result or {}, int(job.progress.get("percent") or 0)
    done, total = job.progress.get("done"), job.progress.get("total")
    return ImportRow(
        title=job.title,
        state=badge_of(words, job.state),
        percent=percent if not job.is_over else None,
        amount=words.text("progress.of", done=words.size(done or 0), total=words.size(total), unit="").strip() if total else "",
        error=words.error(job.error) if job.error else "",
        href=f"/models/{made['model_id']}" if "model_id" in made else "",
        when=words.ago(job.finished_at or job.created_at),
    )


@router.post("/models/bundles/import")
async def import_file(request: Request, ask: Ask) -> Response:
    require_creator(ask.actor)
    try:
        upload, _ = await uploads.receive_part(request, ask)
    except KargahError as error:
        return await _refused(request, ask, "file", error)
    return await _import(request, ask, BundleWish(upload_id=upload.id), "file")


@router.post("/models/bundles/import-path")
async def import_path(request: Request, ask: Ask) -> Response:
    require_creator(ask.actor)
    path = (await form_of(request)).get("path", "").strip()[:4000]
    if not path:
        return await _refused(request, ask, "path", BadInput(field="path", reason="missing"))
    return await _import(request, ask, BundleWish(path=path), "path")


@router.post("/models/bundles/confirm")
async def confirm(request: Request, ask: Ask) -> Response:
    """The same file again, whose signer was not known."""
    require_creator(ask.actor)
    values = await form_of(request)
    place = {name: values[name][:4000] for name in PLACES if values.get(name)}
    field = "path" if "path" in place else "file"
    try:
        wish = BundleWish.model_validate({**place, "signer": values.get("signer")})
    except ValueError:
        return await _refused(request, ask, field, BadInput(field="signer", reason="other"))
    return await _import(request, ask, wish, field)


@router.post("/models/bundles/peer")
async def show_peer(request: Request, ask: Ask) -> Response:
    """What another Kargah has. Its token comes back in the page, for the forms that import; it is kept nowhere."""
    require_creator(ask.actor)
    values = await form_of(request)
    try:
        peer = Peer(url=values.get("url", "").strip(), token=values.get("token", "").strip())
        if _hours(request, values).errors:
            return await _page(request, ask, status=422, given=values)
        found = await asyncio.to_thread(peers.items_of, ask.settings, peer)
    except ValidationError as problem:
        return await _page(request, ask, errors=schema_errors(request, problem), status=422, given=values)
    except KargahError as error:
        return await _refused(request, ask, "url", error, values)
    return await _page(request, ask, peer=peer, found=found, given=values)


@router.post("/models/bundles/peer/import")
async def import_from_peer(request: Request, ask: Ask) -> Response:
    require_creator(ask.actor)
    values = await form_of(request)
    said = {name: values[name] for name in ("url", "token", "kind", "id", "title", "signer") if values.get(name)}
    hours = _hours(request, values)
    if hours.errors:
        return await _page(request, ask, status=422, given=values)
    try:
        wish = PeerWish.model_validate({**said, "window": hours.window})
        await ask.write(peers.start, ask.settings, wish, await asyncio.to_thread(peers.words_of, ask.settings, wish))
    except ValidationError as problem:
        return await _page(request, ask, errors=schema_errors(request, problem), status=422, given=values)
    except UnknownSigner as error:
        return await _page(request, ask, status=error.status, unknown={**said, **hours.kept, **error.params}, given=values)
    except KargahError as error:
        return await _refused(request, ask, "url", error, values)
    return see("/models/resources?done=peer_started")


def _hours(request: Request, values: dict[str, str]) -> Hours:
    return hours_form.read(page_of(request, "models").words, values)


@router.post("/models/bundles/signers/{fingerprint}/delete")
async def forget(fingerprint: str, ask: Ask) -> Response:
    await ask.compute(signers.forget, ask.actor, ask.settings.home, fingerprint)
    return see("/models/bundles?done=signer_forgotten")


async def _import(request: Request, ask: Asking, wish: BundleWish, field: str) -> Response:
    try:
        bundle = await looked_at(ask, wish)
        await ask.write(importing.start, ask.settings, bundle, wish.signer, wish.upload_id)
    except UnknownSigner as error:
        place = {name: value for name in PLACES if (value := getattr(wish, name))}
        return await _page(request, ask, status=error.status, unknown={**error.params, **place})
    except KargahError as error:
        return await _refused(request, ask, field, error)
    return see("/models/bundles?done=bundle_begun")


async def _refused(request: Request, ask: Asking, field: str, error: KargahError, given: dict[str, str] | None = None) -> Response:
    return await _page(request, ask, errors={field: next(iter(errors_of(request, error).values()))}, status=error.status, given=given)
