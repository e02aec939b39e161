"""The catalogue, where downloads are started and watched; what admins allow besides; and all resources in one table."""

from collections.abc import Mapping
from urllib.parse import urlencode

from fastapi import APIRouter
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.kit.errors import KargahError
from kargah.models import catalogue, downloads, fitting, offers
from kargah.models.catalogue import AllowedOut, Kind, Task
from kargah.models.downloads import DownloadWish
from kargah.models.offers import Offer
from kargah.monitoring import resources
from kargah.store.access import Actor, require_creator
from kargah.web.deps import Ask, Asking
from kargah.web.pages import hours as hours_form
from kargah.web.pages import models_offers as views
from kargah.web.pages.access import see
from kargah.web.pages.forms import Errors, errors_of, form_of, schema_errors
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of

router = APIRouter(include_in_schema=False)
KINDS: dict[str, Kind] = {"models": "model", "datasets": "dataset"}
RESOURCES: dict[str, resources.Kind] = {"models": "model", "datasets": "dataset", "checkpoints": "checkpoint", "artifacts": "artifact"}
USED = {"yes": True, "no": False}
#: The others unfold: who looks for something by name or task gets all of it.
CARDS_AT_FIRST = 12
ACTS = {"pause": jobs.pause, "resume": jobs.resume, "stop": jobs.stop}


@router.get("/models/catalogue")
async def show_catalogue(request: Request, ask: Ask, kind: str = "models", q: str = "", task: str = "") -> Response:
    return await _page(request, ask, kind, q, task, given=request.query_params)


async def _page(
    request: Request,
    ask: Asking,
    kind: str,
    q: str = "",
    task: str = "",
    *,
    given: Mapping[str, str] | None = None,
    errors: Errors | None = None,
    status: int = 200,
) -> Response:
    """``given``: the hours of downloads, as they were written."""
    kind = kind if kind in KINDS else "models"
    chosen = next((one for one in Task if one == task), None)
    room_bytes = await ask.compute(fitting.room_bytes)
    position, found, allowed = await ask.read(_load, KINDS[kind], room_bytes, q, chosen)
    page = page_of(request, "models", crumbs=(_crumb(request, "catalogue"),), stream=f"/api/v1/events?since={position}")
    words = page.words
    hours = hours_form.read(words, given or {})
    cards = sorted((views.card_of(words, offer) for offer in found), key=lambda card: card.download is None)  # what is under way first
    return render(
        "models_catalogue.html",
        page,
        status=status,
        tabs=views.tabs(words, "catalogue"),
        cards=cards,
        unfolded=len(cards) if q or chosen else CARDS_AT_FIRST,
        kind=kind,
        hours=hours,
        kinds=[(name, words.text(f"catalogue.kind.{name}"), name == kind, urlencode({"kind": name, **hours.kept})) for name in KINDS],
        tasks=[(one.value, words.text(f"catalogue.task.{one}"), one == chosen) for one in _tasks(KINDS[kind])],
        query=q,
        room=words.text("catalogue.room", room_memory_bytes=room_bytes),
        offline=ask.settings.offline,
        hubs=ask.settings.hub_urls,
        allowed=[one for one in allowed if one.kind == KINDS[kind]],
        is_admin=ask.actor.is_admin,
        errors=errors or {},
    )


def _crumb(request: Request, name: str) -> tuple[str, str]:
    return page_of(request, "models").words.text(f"models.tab.{name}"), ""


def _tasks(kind: Kind) -> list[Task]:
    there = {entry.task for entry in catalogue.entries() if entry.kind == kind}
    return [task for task in Task if task in there]


def _load(
    session: Session, actor: Actor, kind: Kind, room_bytes: int, query: str, task: str | None
) -> tuple[int, list[Offer], list[AllowedOut]]:
    position = history.latest_position(session)
    return position, offers.list_for(session, actor, kind, room_bytes, query, task), catalogue.allowed(session, actor)


@router.post("/models/catalogue/download")
async def download(request: Request, ask: Ask) -> Response:
    """Also of a repository that stands in no card: an admin may have allowed all of its organisation."""
    require_creator(ask.actor)
    values = await form_of(request)
    kind = values.get("kind", "models")
    hours = hours_form.read(page_of(request, "models").words, values)
    if hours.errors:
        return await _page(request, ask, kind, given=values, status=422)
    try:
        asked = {"repository": values.get("repository", "").strip(), "kind": KINDS.get(kind, "model"), "window": hours.window}
        wish = DownloadWish.model_validate({**asked, "update": values.get("update") == "on"})
        made = await ask(downloads.start, ask.settings, wish)
    except ValidationError as problem:
        return await _page(request, ask, kind, given=values, errors=schema_errors(request, problem), status=422)
    except KargahError as error:
        text = next(iter(errors_of(request, error).values()))
        return await _page(request, ask, kind, given=values, errors={"repository": text}, status=error.status)
    return see(f"{_back(values, kind, hours.kept)}done={'download_started' if made.started else 'download_known'}")


@router.post("/models/downloads/{download_id}/{action}")
async def control(request: Request, download_id: str, action: str, ask: Ask) -> Response:
    values = await form_of(request)

    def act(session: Session, actor: Actor) -> None:
        ACTS.get(action, jobs.stop)(session, actor, downloads.show(session, actor, download_id).job.id)

    await ask.write(act)
    hours = hours_form.read(page_of(request, "models").words, values)
    return see(f"{_back(values, values.get('kind', 'models'), hours.kept)}done=download_{action if action in ACTS else 'stop'}")


def _back(values: dict[str, str], kind: str, hours: Mapping[str, str] = {}) -> str:
    if values.get("next") == "models":
        return "/models?"
    return f"/models/catalogue?{urlencode({'kind': kind if kind in KINDS else 'models', **hours})}&"


@router.post("/models/allowed")
async def allow(request: Request, ask: Ask) -> Response:
    values = await form_of(request)
    kind = values.get("kind", "models")
    try:
        await ask(catalogue.allow, KINDS.get(kind, "model"), values.get("pattern", "")[:200])
    except KargahError as error:
        text = next(iter(errors_of(request, error).values()))
        return await _page(request, ask, kind, errors={"pattern": text}, status=error.status)
    return see(f"{_back({}, kind)}done=repository_allowed")


@router.post("/models/allowed/{allowed_id}/delete")
async def disallow(request: Request, allowed_id: str, ask: Ask) -> Response:
    values = await form_of(request)
    await ask(catalogue.disallow, allowed_id)
    return see(f"{_back({}, values.get('kind', 'models'))}done=repository_disallowed")


@router.get("/models/resources")
async def show_resources(request: Request, ask: Ask, kind: str = "", q: str = "", used: str = "") -> Response:
    wanted = RESOURCES.get(kind)
    position, found, totals = await ask.read(_resources, wanted, q, USED.get(used))
    page = page_of(request, "models", crumbs=(_crumb(request, "resources"),), stream=f"/api/v1/events?since={position}")
    words = page.words
    strip = [
        (words.text("resources.total"), words.number(totals.total)),
        (words.text("resources.ready"), words.number(totals.ready)),
        (words.text("resources.size"), words.size(totals.size_bytes)),
        (words.text("resources.this_month"), words.number(totals.downloaded_this_month)),
    ]
    return render(
        "models_resources.html",
        page,
        tabs=views.tabs(words, "resources"),
        strip=strip,
        rows=[views.row_of(words, one) for one in found],
        kinds=[("", words.text("models.filter.all"), wanted is None)]
        + [(name, words.text(f"storage.kind.{of_kind}"), of_kind == wanted) for name, of_kind in RESOURCES.items()],
        uses=[(name, words.text(f"resources.used.{name or 'any'}"), name == used) for name in ("", *USED)],
        kind=kind if wanted else "",
        used=used if used in USED else "",
        query=q,
    )


def _resources(
    session: Session, actor: Actor, kind: resources.Kind | None, query: str, used: bool | None
) -> tuple[int, list[resources.Resource], resources.Totals]:
    found = resources.list_for(session, actor, kind=kind, query=query or None, used=used)
    return history.latest_position(session), found, resources.totals(session, actor)


def on_their_way(session: Session, actor: Actor) -> tuple[int, list[Offer]]:
    """For the page of models: those that are downloaded now, or could not be."""
    found = offers.list_for(session, actor, "model", None)
    return history.latest_position(session), [offer for offer in found if offer.status in {"downloading", "error"}]
