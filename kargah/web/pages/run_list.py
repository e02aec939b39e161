"""The list of trainings, and what is asked of one or of many at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.jobs import history, queue
from kargah.jobs.queue import Standing
from kargah.jobs.schemas import JobOut
from kargah.jobs.states import State
from kargah.kit.clock import utc_now
from kargah.monitoring import activity, trainings
from kargah.monitoring.trainings import Training, TrainingPage
from kargah.recipes import catalogue
from kargah.store.access import Actor
from kargah.web.deps import Ask
from kargah.web.pages import figures
from kargah.web.pages.parts import pages_of
from kargah.web.pages.render import render
from kargah.web.pages.run_views import JobRow, row_of
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
PAGE = 20
#: The waiting line is shown as one page.
MOST_WAITING = 200
WAITING = "queued"
#: The tabs of the list: name → states.
FILTERS: dict[str, tuple[State, ...] | None] = {
    "all": None,
    "active": (State.QUEUED, State.STARTING, State.LOADING, State.RUNNING, State.PAUSING, State.PAUSED, State.STOPPING),
    WAITING: (State.QUEUED,),
    "completed": (State.COMPLETED,),
    "failed": (State.FAILED,),
    "stopped": (State.STOPPED,),
}


@dataclass(frozen=True)
class Line:
    """One training in a list. ``saved``: in words, for one that is not over. ``place``: in the line, and what it waits for."""

    row: JobRow
    recipe: str
    elapsed: str
    saved: str
    can_pause: bool
    can_resume: bool
    final_name: str
    final_value: str
    place: str = ""
    waiting: str = ""
    can_move: bool = False
    can_retry: bool = False


@router.get("/runs")
async def list_runs(request: Request, ask: Ask, state: str = "all", recipe: str = "", q: str = "", cursor: str | None = None) -> Response:
    state = state if state in FILTERS else "all"
    recipe = recipe if recipe in catalogue.RECIPES else ""
    found, saved, standing, position = await ask(_list, state, recipe, q, cursor)
    page = page_of(request, "runs", stream=f"/api/v1/events?since={position}")
    words = page.words
    query = {"state": state if state != "all" else "", "recipe": recipe, "q": q, "cursor": cursor or ""}
    return render(
        "runs.html",
        page,
        lines=lines_of(words, found.items, saved, standing),
        filters=[(name, words.text(f"runs.filter.{name}"), name == state) for name in FILTERS],
        recipes=[(name, words.text(f"recipe.{name}.title"), name == recipe) for name in catalogue.RECIPES],
        state=state,
        recipe=recipe,
        query=q,
        pages=pages_of("/runs", query, found.next_cursor),
        is_filtered=bool(q) or bool(recipe) or state != "all",
    )


def _list(
    session: Session, actor: Actor, state: str, recipe: str, query: str, cursor: str | None
) -> tuple[TrainingPage, dict[str, int], dict[str, Standing], int]:
    """The newest first; those that wait in the order of their turn."""
    position = history.latest_position(session)
    limit = MOST_WAITING if state == WAITING else PAGE
    found = trainings.list_for(session, actor, states=FILTERS[state], recipe=recipe, query=query, cursor=cursor, limit=limit)
    standing = queue.standings(session, actor) if any(item.job.state is State.QUEUED for item in found.items) else {}
    if state == WAITING:
        found.items.sort(key=lambda item: standing[item.job.id].place if item.job.id in standing else len(standing) + 1)
    return found, saved_of(session, found.items), standing, position


def saved_of(session: Session, items: list[Training]) -> dict[str, int]:
    return activity.saved_counts(session, [item.job.id for item in items if not item.job.is_over])


def lines_of(
    words: Words, items: list[Training], saved: Mapping[str, int], standing: Mapping[str, Standing] = MappingProxyType({})
) -> list[Line]:
    return [_line(words, item, saved.get(item.job.id, 0), standing.get(item.job.id)) for item in items]


def _line(words: Words, item: Training, saved: int, standing: Standing | None) -> Line:
    job, final = item.job, item.final
    waits = job.waiting if job.state in {State.QUEUED, State.PAUSED} else None
    return Line(
        row=row_of(words, job),
        recipe=words.text(f"recipe.{item.recipe}.title"),
        elapsed=_elapsed(words, job),
        saved="" if job.is_over else words.text("job.saved", n=saved) if saved else words.text("job.no_saved"),
        can_pause=job.state is State.RUNNING,
        can_resume=job.state is State.PAUSED,
        final_name=figures.metric_name(words, final.metric) if final else "",
        final_value=figures.reading(words, final.metric, final.value) if final else "",
        place=words.text("queue.place", n=standing.place) if standing else "",
        waiting=words.message("waiting", waits) if waits else "",
        can_move=standing is not None and standing.own_of > 1,
        can_retry=job.state in {State.FAILED, State.STOPPED},
    )


def _elapsed(words: Words, job: JobOut) -> str:
    if job.started_at is None:
        return ""
    if job.finished_at is not None:
        return words.text("run.took", time=words.duration((job.finished_at - job.started_at).total_seconds()))
    return words.text("job.elapsed", time=words.duration((utc_now() - job.started_at).total_seconds()))
