"""The first page: what runs now, what came out last, and where to begin."""

from dataclasses import dataclass

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.jobs.states import State
from kargah.kit.clock import utc_now
from kargah.recipes import catalogue
from kargah.store.access import Actor
from kargah.web.deps import Ask
from kargah.web.pages.parts import badge_of
from kargah.web.pages.render import render
from kargah.web.pages.run_views import row_of
from kargah.web.pages.runs import FILTERS
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
SHOWN = 6
RECENT = 5
OVER = (State.COMPLETED, State.FAILED, State.STOPPED)
RECIPE_ICONS = {"text-classification": "text", "tabular": "rank"}


@dataclass(frozen=True)
class Start:
    href: str
    icon: str
    title: str
    help: str


@dataclass(frozen=True)
class Overview:
    active: list[JobOut]
    recent: list[JobOut]
    position: int


@router.get("/")
async def dashboard(request: Request, ask: Ask) -> Response:
    found = await ask(overview)
    page = page_of(request, "home", stream=f"/api/v1/events?since={found.position}")
    words = page.words
    running = sum(job.state is not State.QUEUED for job in found.active)
    return render(
        "dashboard.html",
        page,
        today=words.date(utc_now()),
        rows=[row_of(words, job) for job in found.active],
        recent=[(badge_of(words, job.state), row_of(words, job)) for job in found.recent],
        counts=[
            (words.text("home.running"), words.number(running)),
            (words.text("home.queued"), words.number(len(found.active) - running)),
        ],
        starts=starts_of(words),
    )


def overview(session: Session, actor: Actor) -> Overview:
    position = history.latest_position(session)
    active = jobs.list_for(session, actor, kind="train", states=[state.value for state in FILTERS["active"] or ()], limit=SHOWN)
    recent = jobs.list_for(session, actor, kind="train", states=[state.value for state in OVER], limit=RECENT)
    return Overview(active.items, recent.items, position)


def starts_of(words: Words) -> list[Start]:
    """One way in for each thing that can be learnt, and one for data."""

    def recipe_start(name: str) -> Start:
        return Start(f"/runs/new?recipe={name}", recipe_icon(name), words.text(f"recipe.{name}.title"), words.text(f"recipe.{name}.help"))

    data = Start("/datasets#add", "upload", words.text("datasets.add"), words.text("home.add_help"))
    return [
        *map(recipe_start, catalogue.RECIPES),
        data,
        Start("/models", "model", words.text("nav.models"), words.text("home.models_help")),
    ]


def recipe_icon(name: str) -> str:
    return RECIPE_ICONS.get(name, "model")
