"""Where the room goes, the folders whose files are used where they lie, and the check of all files: one page."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.assets import roots, scrubbing, storage
from kargah.assets import service as assets
from kargah.assets.roots import RootOut, RootWish
from kargah.assets.schemas import AssetSummary
from kargah.assets.scrubbing import ScrubState
from kargah.assets.storage import Quota, RootShare, Share, Storage
from kargah.assets.tables import STORED
from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.kit.addresses import BadUrl
from kargah.kit.errors import KargahError
from kargah.kit.settings import Settings
from kargah.models import downloads, stored
from kargah.models.downloads import DownloadOut, Status
from kargah.models.stored import BringWish
from kargah.store.access import Actor
from kargah.training import in_place
from kargah.web.api.assets import begin_scan, require_readable
from kargah.web.deps import Ask, Asking
from kargah.web.pages import hours as hours_form
from kargah.web.pages import models_offers
from kargah.web.pages.access import see
from kargah.web.pages.forms import Errors, errors_of, form_of, schema_errors
from kargah.web.pages.parts import Badge
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
#: What a root in an object store is told by → the field of the form.
OF_STORES = {"path": "bucket", "name": "store_name", "endpoint": "endpoint", "region": "region", "key": "key", "secret": "secret"}
COLOURS = {"model": "violet", "dataset": "", "checkpoint": "amber", "artifact": "green", "trash": "red"}
MOST_TABLES, MOST_REFUSED = 50, 10


@dataclass(frozen=True)
class Loaded:
    position: int
    storage: Storage
    check: ScrubState | None
    roots: dict[str, RootOut]
    scans: dict[str, JobOut]
    tables: list[AssetSummary]
    stored: list[AssetSummary]
    brought: dict[str, DownloadOut]
    here: set[str]


@dataclass(frozen=True)
class BarRow:
    name: str
    amount: str
    percent: int
    colour: str


@dataclass(frozen=True)
class RootCard:
    """``id`` is empty for the store of this home."""

    id: str
    name: str
    path: str
    facts: list[str]
    disk: BarRow | None
    state: Badge | None
    scan: str
    error: str
    refused: list[str]
    endpoint: str = ""
    damaged: str = ""


@dataclass(frozen=True)
class StoredRow:
    """What lies in an object store. ``state``: of its coming here; ``href``: of what it became. ``may_come``: it is not here as it is there
    now, nor on its way."""

    id: str
    kind: str
    name: str
    root: str
    place: str
    size: str
    state: Badge | None
    href: str
    may_come: bool


@router.get("/models/storage")
async def show_storage(request: Request, ask: Ask) -> Response:
    return await _page(request, ask)


async def _page(
    request: Request, ask: Asking, *, errors: Errors | None = None, values: dict[str, str] | None = None, status: int = 200
) -> Response:
    found = await ask.read(_load, ask.settings)
    crumb = page_of(request, "models").words.text("models.tab.storage")
    page = page_of(request, "models", crumbs=((crumb, ""),), stream=f"/api/v1/events?since={found.position}")
    words = page.words
    return render(
        "storage.html",
        page,
        status=status,
        tabs=models_offers.tabs(words, "storage"),
        kinds=_kinds(words, found.storage.shares),
        saved=_saved(words, found.storage),
        quotas=[row for quota in found.storage.quotas if (row := _quota(words, quota))],
        roots=[_root(words, share, found) for share in found.storage.roots],
        tables=[(one.id, one.name, _root_of(found, one), one.place or "", words.size(one.size_bytes)) for one in found.tables],
        stored=[_stored(words, found, one) for one in found.stored],
        has_stores=any(roots.store_at(root) for root in found.roots.values()),
        hours=hours_form.read(words, values or {}),
        check=_check(words, found.check) if found.check else None,
        is_admin=ask.actor.is_admin,
        errors=errors or {},
        values=values or {},
    )


def _load(session: Session, actor: Actor, settings: Settings) -> Loaded:
    known = {row.id: row for row in roots.list_for(session, actor)} if actor.is_admin else {}
    found = assets.list_for(session, actor, kind="dataset", source="local", in_place=True, limit=MOST_TABLES)
    in_stores = assets.list_for(session, actor, source=STORED, limit=MOST_TABLES).items
    ids = [one.id for one in in_stores]
    brought = [downloads.latest(session, actor, kind, ids) for kind in ("model", "dataset")] if ids else []
    known_here = {asset_id: one for kind in brought for asset_id, one in kind.items()}
    return Loaded(
        position=history.latest_position(session),
        storage=storage.show(session, actor, settings),
        check=scrubbing.state(session, actor, settings.scrub_days) if actor.is_admin else None,
        roots=known,
        scans={row.id: jobs.show(session, actor, row.job_id) for row in known.values() if row.job_id},
        tables=found.items,
        stored=in_stores,
        brought=known_here,
        here={asset_id for asset_id, one in known_here.items() if stored.is_here(one, assets.get_for(session, actor, asset_id).files)},
    )


def _kinds(words: Words, shares: list[Share]) -> list[BarRow]:
    most = max((share.size_bytes for share in shares), default=0) or 1
    return [
        BarRow(
            name=words.text(f"storage.kind.{share.name}"),
            amount=words.text("storage.amount", n=words.number(share.count), size_bytes=share.size_bytes),
            percent=round(100 * share.size_bytes / most),
            colour=COLOURS.get(share.name, ""),
        )
        for share in shares
    ]


def _saved(words: Words, found: Storage) -> str:
    saved_bytes = found.named_bytes - found.stored_bytes
    return words.text("storage.saved", size_bytes=saved_bytes) if found.stored_bytes and saved_bytes > 0 else ""


def _quota(words: Words, quota: Quota) -> BarRow | None:
    if quota.limit_bytes is None:
        return None
    percent = min(100, round(100 * quota.used_bytes / quota.limit_bytes))
    amount = words.text("storage.of", used_bytes=quota.used_bytes, limit_bytes=quota.limit_bytes)
    return BarRow(
        words.text(f"storage.quota.{quota.of}"), amount, percent, "red" if percent >= 90 else "amber" if percent >= 75 else "green"
    )


def _root(words: Words, share: RootShare, found: Loaded) -> RootCard:
    known, job = found.roots.get(share.id or ""), found.scans.get(share.id or "")
    disk = share.disk
    used_bytes = disk.total_bytes - disk.free_bytes
    percent = round(100 * used_bytes / disk.total_bytes) if disk.total_bytes else 0
    on_disk = BarRow(
        words.text("storage.disk"), words.text("storage.free", free_bytes=disk.free_bytes, total_bytes=disk.total_bytes), percent,
        "red" if percent >= 95 else "amber" if percent >= 85 else "",
    )  # fmt: skip
    summary, store = (known.summary, roots.store_at(known)) if known else ({}, None)
    return RootCard(
        id=share.id or "",
        name=share.name or words.text("storage.home"),
        path=share.path if share.path != share.name else "",
        facts=[words.text("storage.amount", n=words.number(share.count), size_bytes=share.size_bytes), *_scanned(words, known)],
        disk=on_disk if disk.total_bytes else None,
        state=None if disk.is_here else Badge("error", "error", words.text("storage.root_away")),
        scan=_scan_text(words, job) if job and not job.is_over else "",
        error=words.error(job.error) if job and job.error else "",
        refused=[f"{one['place']}: {words.error(one)}" for one in summary.get("refused", [])[:MOST_REFUSED]],
        endpoint=store.shown if store else "",
        damaged=words.text("list.comma").join(summary.get("damaged", [])[:MOST_REFUSED]),
    )


def _scanned(words: Words, root: RootOut | None) -> list[str]:
    if root is None or root.scanned_at is None:
        return []
    counts = {name: words.number(root.summary.get(name, 0)) for name in ("files", "models", "tables")}
    facts = [words.text("storage.scanned", **counts), words.text("storage.scanned_at", when=words.date(root.scanned_at))]
    left_out = sum(root.summary.get(name, 0) for name in ("links", "unreadable", "badly_named"))
    return [*facts, words.text("storage.left_out", n=words.number(left_out))] if left_out else facts


def _scan_text(words: Words, job: JobOut) -> str:
    if job.progress.get("code"):
        return words.message("scan", job.progress)
    return words.text("storage.scanning")


def _root_of(found: Loaded, one: AssetSummary) -> str:
    """Empty where the reader is none to be told."""
    root = found.roots.get(one.root_id or "")
    return root.name if root else ""


def _stored(words: Words, found: Loaded, one: AssetSummary) -> StoredRow:
    brought, is_here = found.brought.get(one.id), one.id in found.here
    status = brought.status if brought else Status.AVAILABLE
    state = None
    if one.status == Status.ERROR:
        state = Badge("error", "error", words.text("storage.stored_damaged"))
    elif brought is not None and (is_here or status in {Status.DOWNLOADING, Status.ERROR}):
        state = models_offers.state_of(words, status, brought.job)
    made = (("/models/", brought.model_id), ("/datasets/", brought.dataset_id)) if brought and status is Status.READY else ()
    return StoredRow(
        id=one.id,
        kind=words.text(f"resource.kind.{one.kind}"),
        name=one.name,
        root=_root_of(found, one),
        place=one.place or "",
        size=words.size(one.size_bytes),
        state=state,
        href=next((f"{address}{made_id}" for address, made_id in made if made_id), ""),
        may_come=one.status == Status.AVAILABLE and status is not Status.DOWNLOADING and not is_here,
    )


def _check(words: Words, state: ScrubState) -> dict[str, Any]:
    job = state.job
    running = job is not None and not job.is_over
    return {
        "running": running,
        "percent": int(job.progress.get("percent") or 0) if job and running else 0,
        "facts": [
            words.text("scrub.checked_at", when=words.date(state.checked_at)) if state.checked_at else words.text("scrub.never"),
            *([words.text("scrub.unchecked", n=words.number(state.unchecked))] if state.unchecked and state.checked_at else []),
            _next_check(words, state),
        ],
        "error": words.error(job.error) if job and job.error else "",
        "whole": bool(state.checked_at) and not state.damaged_count and not running,
        "count": words.text("scrub.found", n=words.number(state.damaged_count)) if state.damaged_count else "",
        "damaged": [
            (
                one.sha256[:12],
                words.text(f"scrub.is.{one.damage}"),
                words.size(one.size_bytes),
                words.text("list.comma").join(one.assets) or "–",
            )
            for one in state.damaged
        ],
    }


def _next_check(words: Words, state: ScrubState) -> str:
    if not state.every_days:
        return words.text("scrub.by_hand")
    days = words.number(state.every_days)
    return words.text("scrub.next_at", when=words.date(state.next_at), days=days) if state.next_at else words.text("scrub.every", days=days)


@router.post("/models/storage/check")
async def check(ask: Ask) -> Response:
    await ask(scrubbing.start)
    return see("/models/storage?done=check_started")


@router.post("/models/storage/roots")
async def add_root(request: Request, ask: Ask) -> Response:
    values = await form_of(request)
    try:
        wish = RootWish(path=values.get("path", "").strip(), name=values.get("name", "").strip())
        await ask(_add, ask.settings, wish)
    except ValidationError as problem:
        return await _page(request, ask, errors=schema_errors(request, problem), values=values, status=422)
    except roots.BadRoot as error:
        return await _page(request, ask, errors=errors_of(request, error), values=values, status=error.status)
    return see("/models/storage?done=root_added")


def _add(session: Session, actor: Actor, settings: Settings, wish: RootWish) -> None:
    begin_scan(session, actor, settings, roots.add(session, actor, settings, wish).id)


@router.post("/models/storage/stores")
async def add_store(request: Request, ask: Ask) -> Response:
    """A root in an object store: asked for once before it is one, so that a wrong key is said at once."""
    values = await form_of(request)
    said = {name: values.get(field, "").strip() for name, field in OF_STORES.items()}
    try:
        wish = RootWish.model_validate({"path": said.pop("path"), "name": said.pop("name"), **{k: v or None for k, v in said.items()}})
        if not wish.is_stored:
            raise roots.BadStore(field="path", reason="store_bucket")
        await require_readable(ask, wish)
        await ask(_add, ask.settings, wish)
    except ValidationError as problem:
        errors = {OF_STORES.get(name, name): text for name, text in schema_errors(request, problem).items()}
        return await _page(request, ask, errors=errors, values=values, status=422)
    except KargahError as error:
        field = OF_STORES.get(str(error.params.get("field") or ""), "endpoint" if isinstance(error, BadUrl) else "bucket")
        text = next(iter(errors_of(request, error).values()))
        return await _page(request, ask, errors={field: text}, values=values, status=error.status)
    return see("/models/storage?done=root_added")


@router.post("/models/storage/roots/{root_id}/scan")
async def scan(request: Request, root_id: str, ask: Ask) -> Response:
    again = (await form_of(request)).get("again") == "on"
    await ask(begin_scan, ask.settings, root_id, again)
    return see("/models/storage?done=scan_started")


@router.post("/models/storage/bring")
async def bring(request: Request, ask: Ask) -> Response:
    values = await form_of(request)
    hours = hours_form.read(page_of(request, "models").words, values)
    if hours.errors:
        return await _page(request, ask, values=values, status=422)
    try:
        await ask(stored.bring, ask.settings, values.get("asset", ""), BringWish(window=hours.window))
    except KargahError as error:
        return await _page(request, ask, errors={"": next(iter(errors_of(request, error).values()))}, values=values, status=error.status)
    return see("/models/storage?done=bring_started")


@router.post("/models/storage/roots/{root_id}/remove")
async def remove(request: Request, root_id: str, ask: Ask) -> Response:
    try:
        await ask(roots.remove, ask.settings, root_id)
    except roots.RootInUse as error:
        return await _page(request, ask, errors=errors_of(request, error), status=error.status)
    return see("/models/storage?done=root_removed")


@router.post("/models/storage/tables/{asset_id}/import")
async def import_table(request: Request, asset_id: str, ask: Ask) -> Response:
    try:
        made = await ask(in_place.import_table, ask.settings.home, asset_id)
    except KargahError as error:
        return await _page(request, ask, errors={"": next(iter(errors_of(request, error).values()))}, status=error.status)
    return see(f"/datasets/{made.id}?done=dataset_uploaded")
