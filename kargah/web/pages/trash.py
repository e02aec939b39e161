"""The trash: what was thrown away, brought back or deleted for good; one page for models, data sets and artifacts."""

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from kargah.assets import blobs
from kargah.kit.errors import Conflict, NotFound
from kargah.training import trash
from kargah.training.trash import Kind, Thrown
from kargah.web.deps import Ask, Asking
from kargah.web.pages import models_offers
from kargah.web.pages.access import see
from kargah.web.pages.forms import errors_of
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
PLACES: dict[Kind, str] = {"model": "/models/{id}", "dataset": "/datasets/{id}", "artifact": "/models/resources"}


@dataclass(frozen=True)
class ThrownRow:
    id: str
    kind: str
    kind_text: str
    title: str
    href: str
    size: str
    when: str
    expires: str
    may_change: bool


@router.get("/models/trash")
async def show_trash(request: Request, ask: Ask) -> Response:
    return await _page(request, ask)


async def _page(request: Request, ask: Asking, error: str = "", status: int = 200) -> Response:
    found = await ask.read(trash.show, ask.settings)
    page = page_of(request, "models", crumbs=((page_of(request, "models").words.text("models.tab.trash"), ""),))
    words = page.words
    return render(
        "trash.html",
        page,
        status=status,
        tabs=models_offers.tabs(words, "trash"),
        rows=[_row(words, one) for one in found.items],
        about=words.text("trash.kept_days", days=words.number(found.kept_days)) if found.kept_days else words.text("trash.kept"),
        sums=words.text("trash.sums", n=words.number(found.total), size_bytes=found.size_bytes) if found.total else "",
        can_empty=any(one.may_change for one in found.items),
        error=error,
    )


def _row(words: Words, one: Thrown) -> ThrownRow:
    return ThrownRow(
        id=one.id,
        kind=one.kind,
        kind_text=words.text(f"resource.kind.{one.kind}"),
        title=one.title,
        href=PLACES[one.kind].format(id=one.id),
        size=words.size(one.size_bytes),
        when=words.ago(one.trashed_at),
        expires=words.date(one.expires_at) if one.expires_at else words.text("trash.never"),
        may_change=one.may_change,
    )


@router.post("/models/trash/{kind}/{row_id}/restore")
async def restore(kind: str, row_id: str, ask: Ask) -> Response:
    await ask(trash.restore, _known(kind), row_id)
    return see("/models/trash?done=thrown_restored")


@router.post("/models/trash/{kind}/{row_id}/purge")
async def purge(request: Request, kind: str, row_id: str, ask: Ask) -> Response:
    try:
        freed = await ask(trash.purge, _known(kind), row_id)
    except Conflict as error:
        return await _page(request, ask, next(iter(errors_of(request, error).values())), error.status)
    await ask.compute(blobs.discard, ask.settings.home, freed)
    return see("/models/trash?done=thrown_purged")


@router.post("/models/trash/empty")
async def empty(ask: Ask) -> Response:
    freed, kept = await ask(trash.empty)
    await ask.compute(blobs.discard, ask.settings.home, freed)
    return see(f"/models/trash?done={'trash_emptied_but' if kept else 'trash_emptied'}")


def _known(kind: str) -> Kind:
    if kind not in PLACES:
        raise NotFound(kind="trash", id=kind)
    return kind
