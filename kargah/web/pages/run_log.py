"""The log of a training: its newest lines, more of them as they come, a search through it, and the whole of it as a file."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.jobs.schemas import EventOut
from kargah.kit.errors import NotFound
from kargah.store.access import Actor
from kargah.text.normalise import fold
from kargah.web.deps import Ask, Asking
from kargah.web.pages import run_views as views
from kargah.web.pages.render import render
from kargah.web.pages.run_data import LIFE, find
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
LINES = 200
WINDOW = 600
#: A search looks at every event but the steps, and at the steps among this many last events of all jobs.
SEARCH_WINDOW = 5000
CHUNK = 1000


@dataclass(frozen=True)
class Log:
    """``newest``: the position up to which events were looked at; the next question goes on from there."""

    lines: list[views.LogLine]
    newest: int
    query: str = ""


@router.get("/runs/{run_id}/log")
async def more_log(run_id: str, request: Request, ask: Ask, after: int | None = None, q: str = "") -> Response:
    """The lines after a position, or those that hold some words, for <live-log>."""
    page = page_of(request, "runs")
    return render("run_log.html", page, log=await log_of(ask, page.words, await job_of(ask, run_id), after, q))


@router.get("/runs/{run_id}/whole/log")
async def whole_log(run_id: str, request: Request, ask: Ask) -> Response:
    """Every event as a line of text, the oldest first, sent as it is read."""
    words = page_of(request, "runs").words
    headers = {"Content-Disposition": f'attachment; filename="{run_id}.log"', "Cache-Control": "no-store"}
    return StreamingResponse(_text(ask, words, await job_of(ask, run_id)), media_type="text/plain; charset=utf-8", headers=headers)


async def job_of(ask: Asking, run_id: str) -> str:
    run = await ask.read(find, run_id)
    if run.job_id is None:
        raise NotFound(kind="jobs", id=run_id)
    return run.job_id


async def log_of(ask: Asking, words: Words, job_id: str, after: int | None = None, query: str = "") -> Log:
    """The newest first. ``query`` is looked for in what the lines say, spelling folded."""
    wanted = fold(query).strip()
    events = await ask(searched_events if wanted else recent_events, job_id, after)
    lines = views.log_lines(words, events)
    found = [line for line in lines if wanted in fold(f"{line.kind} {line.text}")] if wanted else lines
    return Log(found[:LINES], events[-1].position if events else after or 0, query)


def recent_events(session: Session, actor: Actor, job_id: str, after: int | None = None) -> list[EventOut]:
    """Those after a position; without one the last that were said, and before them the life-cycle without the steps."""
    jobs.get_for(session, actor, job_id)
    if after is not None:
        return history.events_after(session, after, job_id=job_id, limit=LINES)
    return _last(session, job_id, LINES, WINDOW)[-LINES:]


def searched_events(session: Session, actor: Actor, job_id: str, after: int | None = None) -> list[EventOut]:
    jobs.get_for(session, actor, job_id)
    return _last(session, job_id, SEARCH_WINDOW) if after is None else history.events_after(session, after, job_id=job_id, limit=LINES)


def _last(session: Session, job_id: str, *windows: int) -> list[EventOut]:
    """Looked for among the last events of all jobs: a few, which are enough for one that runs alone, else more."""
    for window in windows:
        start = max(0, history.latest_position(session) - window)
        recent = history.events_after(session, start, job_id=job_id, limit=window)
        if len(recent) >= LINES:
            break
    first = recent[0].position if recent else start
    older = [event for event in history.life_cycle(session, job_id, *LIFE) if event.position < first]
    return [*older, *recent]


def _chunk(session: Session, actor: Actor, job_id: str, after: int) -> list[EventOut]:
    jobs.get_for(session, actor, job_id)
    return history.events_after(session, after, job_id=job_id, limit=CHUNK)


async def _text(ask: Asking, words: Words, job_id: str) -> AsyncIterator[str]:
    after = 0
    while events := await ask.read(_chunk, job_id, after):
        after = events[-1].position
        lines = reversed(views.log_lines(words, events))
        yield "".join(f"{line.iso} {line.kind} {views.bare(line.text)}\n" for line in lines)
