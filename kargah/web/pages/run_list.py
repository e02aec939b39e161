"""The list of trainings, and what is asked of one or of many at once."""

from collections.abc import Sequence
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
from kargah.kit.errors import BadInput, Forbidden, IllegalMove
from kargah.monitoring import activity, trainings
from kargah.monitoring.trainings import Training, TrainingPage
from kargah.recipes import catalogue
from kargah.store.access import Actor
from kargah.web.deps import Ask
from kargah.web.pages import figures
from kargah.web.pages.access import see
from kargah.web.pages.parts import pages_of
from kargah.web.pages.render import render
from kargah.web.pages.run_views import JobRow, row_of
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words
from kargah.web.security import safe_next

router = APIRouter(include_in_schema=False)
PAGE = 20
MOST_AT_ONCE = 200
ACTIONS = {"stop": jobs.stop, "pause": jobs.pause, "resume": jobs.resume}
#: The tabs of the list: name → states.
FILTERS: dict[str, tuple[State, ...] | None] = {
    "all": None,
    "active": (State.QUEUED, State.STARTING, State.LOADING, State.RUNNING, State.PAUSING, State.PAUSED, State.STOPPING),
    "completed": (State.COMPLETED,),
    "failed": (State.FAILED,),
    "stopped": (State.STOPPED,),
}


class UnknownAction(BadInput):
    code = "UNKNOWN_ACTION"


@dataclass(frozen=True)
class Line:
    """One training in a list. ``saved``: in words, for one that is not over."""

    row: JobRow
    recipe: str
    elapsed: str
    saved: str
    can_pause: bool
    can_resume: bool
    final_name: str
    final_value: str


@router.get("/runs")
async def list_runs(request: Request, ask: Ask, state: str = "all", recipe: str = "", q: str = "", cursor: str | None = None) -> Response:
    state = state if state in FILTERS else "all"
    recipe = recipe if recipe in catalogue.RECIPES else ""
    found, saved, position = await ask(_list, FILTERS[state], recipe, q, cursor)
    page = page_of(request, "runs", stream=f"/api/v1/events?since={position}")
    words = page.words
    query = {"state": state if state != "all" else "", "recipe": recipe, "q": q, "cursor": cursor or ""}
    return render(
        "runs.html",
        page,
        lines=lines_of(words, found.items, saved),
        filters=[(name, words.text(f"runs.filter.{name}"), name == state) for name in FILTERS],
        recipes=[(name, words.text(f"recipe.{name}.title"), name == recipe) for name in catalogue.RECIPES],
        state=state,
        recipe=recipe,
        query=q,
        pages=pages_of("/runs", query, found.next_cursor),
        is_filtered=bool(q) or bool(recipe) or state != "all",
    )


def _list(
    session: Session, actor: Actor, states: Sequence[State] | None, recipe: str, query: str, cursor: str | None
) -> tuple[TrainingPage, dict[str, int], int]:
    position = history.latest_position(session)
    found = trainings.list_for(session, actor, states=states, recipe=recipe, query=query, cursor=cursor, limit=PAGE)
    return found, saved_of(session, found.items), position


def saved_of(session: Session, items: list[Training]) -> dict[str, int]:
    return activity.saved_counts(session, [item.job.id for item in items if not item.job.is_over])


def lines_of(words: Words, items: list[Training], saved: dict[str, int]) -> list[Line]:
    return [_line(words, item, saved.get(item.job.id, 0)) for item in items]


def _line(words: Words, item: Training, saved: int) -> Line:
    job, final = item.job, item.final
    return Line(
        row=row_of(words, job),
        recipe=words.text(f"recipe.{item.recipe}.title"),
        elapsed=_elapsed(words, job),
        saved="" if job.is_over else words.text("job.saved", n=saved) if saved else words.text("job.no_saved"),
        can_pause=job.state is State.RUNNING,
        can_resume=job.state is State.PAUSED,
        final_name=figures.metric_name(words, final.metric) if final else "",
        final_value=figures.reading(words, final.metric, final.value) if final else "",
    )


def _elapsed(words: Words, job: JobOut) -> str:
    if job.started_at is None:
        return ""
    if job.finished_at is not None:
        return words.text("run.took", time=words.duration((job.finished_at - job.started_at).total_seconds()))
    return words.text("job.elapsed", time=words.duration((utc_now() - job.started_at).total_seconds()))


@router.post("/runs/act")
async def act(request: Request, ask: Ask) -> Response:
    """``action`` of each ``run``, in one transaction; a run whose state does not allow it, or that is another's, stays as it is."""
    form = await request.form()
    action = str(form.get("action", ""))
    if action not in ACTIONS:
        raise UnknownAction(field="action", action=action[:40], known=", ".join(ACTIONS))
    wanted = [str(value) for value in form.getlist("run")][:MOST_AT_ONCE]
    changed = await ask(_act, action, wanted)
    back = safe_next(str(form.get("next", "")))
    return see(f"{back}{'&' if '?' in back else '?'}done={'runs_asked' if changed else 'runs_unchanged'}")


def _act(session: Session, actor: Actor, action: str, job_ids: list[str]) -> int:
    """How many runs it was asked of."""
    changed = 0
    for job_id in job_ids:
        try:
            ACTIONS[action](session, actor, job_id)
        except (IllegalMove, Forbidden):
            continue
        changed += 1
    return changed
