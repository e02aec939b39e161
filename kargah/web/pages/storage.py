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
from kargah.hardware import profile
from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.kit.errors import KargahError
from kargah.kit.settings import Settings
from kargah.models import scanning
from kargah.store.access import Actor
from kargah.training import in_place
from kargah.web.deps import Ask, Asking
from kargah.web.pages import models_offers
from kargah.web.pages.access import see
from kargah.web.pages.forms import Errors, errors_of, form_of, schema_errors
from kargah.web.pages.parts import Badge
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
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
        tables=[(one.id, one.name, _place(found, one), words.size(one.size_bytes)) for one in found.tables],
        check=_check(words, found.check) if found.check else None,
        is_admin=ask.actor.is_admin,
        errors=errors or {},
        values=values or {},
    )


def _load(session: Session, actor: Actor, settings: Settings) -> Loaded:
    known = {row.id: row for row in roots.list_for(session, actor)} if actor.is_admin else {}
    found = assets.list_for(session, actor, kind="dataset", source="local", in_place=True, limit=MOST_TABLES)
    return Loaded(
        position=history.latest_position(session),
        storage=storage.show(session, actor, settings),
        check=scrubbing.state(session, actor, settings.scrub_days) if actor.is_admin else None,
        roots=known,
        scans={row.id: jobs.show(session, actor, row.job_id) for row in known.values() if row.job_id},
        tables=found.items,
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
    summary = known.summary if known else {}
    return RootCard(
        id=share.id or "",
        name=share.name or words.text("storage.home"),
        path=share.path,
        facts=[words.text("storage.amount", n=words.number(share.count), size_bytes=share.size_bytes), *_scanned(words, known)],
        disk=on_disk if disk.is_here else None,
        state=None if disk.is_here else Badge("error", "error", words.text("storage.root_away")),
        scan=_scan_text(words, job) if job and not job.is_over else "",
        error=words.error(job.error) if job and job.error else "",
        refused=[f"{one['place']}: {words.error(one)}" for one in summary.get("refused", [])[:MOST_REFUSED]],
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


def _place(found: Loaded, one: AssetSummary) -> str:
    root = found.roots.get(one.root_id or "")
    return f"{root.name}/{one.place}" if root else one.place or ""


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
    scanning.start(session, actor, roots.add(session, actor, settings, wish).id, _threads(settings))


@router.post("/models/storage/roots/{root_id}/scan")
async def scan(root_id: str, ask: Ask) -> Response:
    await ask(scanning.start, root_id, _threads(ask.settings))
    return see("/models/storage?done=scan_started")


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


def _threads(settings: Settings) -> int:
    return settings.cores or profile.usable_cores()
