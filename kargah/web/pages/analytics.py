"""How a run went, at a glance: its figures, the progress of training and validation, what happened, and all runs before it."""

from dataclasses import dataclass

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.jobs import history
from kargah.monitoring import trainings
from kargah.monitoring.trainings import Named, TrainingPage
from kargah.store.access import Actor
from kargah.web.deps import Ask
from kargah.web.pages import figures
from kargah.web.pages.charts import chart_of
from kargah.web.pages.figures import Figure
from kargah.web.pages.parts import Badge, badge_of, pages_of
from kargah.web.pages.picking import choices_of, newest
from kargah.web.pages.render import render
from kargah.web.pages.run_data import load
from kargah.web.pages.run_list import Line, lines_of
from kargah.web.pages.run_views import RunData, timeline_of
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
PAGE = 20
QUALITY = ("accuracy", "macro_f1", "r2", "rmse", "mae")


@dataclass(frozen=True)
class Seen:
    """``position``: the last event that the page knows of."""

    choices: list[Named]
    run: RunData | None
    past: TrainingPage
    position: int


@dataclass(frozen=True)
class PastRun:
    line: Line
    badge: Badge
    started: str
    took: str


@router.get("/analytics")
async def analytics(request: Request, ask: Ask, run: str = "", cursor: str | None = None) -> Response:
    """Of ``run``, or of the newest one."""
    seen = await ask(_see, run, cursor)
    chosen = seen.run
    stream = f"/api/v1/jobs/{chosen.job.id}/events?since={chosen.position}" if chosen and not chosen.job.is_over else None
    page = page_of(request, "analytics", stream=stream)
    words = page.words
    query = {"run": run, "cursor": cursor or ""}
    return render(
        "analytics.html",
        page,
        chosen=chosen,
        choices=choices_of(words, seen.choices),
        badge=badge_of(words, chosen.job.state) if chosen else None,
        cards=cards_of(words, chosen) if chosen else [],
        chart=chart_of(words, chosen) if chosen else None,
        timeline=timeline_of(words, chosen.events) if chosen else [],
        past=[_past(words, line, item) for line, item in zip(lines_of(words, seen.past.items, {}), seen.past.items, strict=True)],
        pages=pages_of("/analytics", query, seen.past.next_cursor),
    )


def _see(session: Session, actor: Actor, run_id: str, cursor: str | None) -> Seen:
    choices = newest(session, actor)
    wanted = run_id or (choices[0].run_id if choices else "")
    return Seen(
        choices=choices,
        run=load(session, actor, wanted) if wanted else None,
        past=trainings.list_for(session, actor, cursor=cursor, limit=PAGE),
        position=history.latest_position(session),
    )


def cards_of(words: Words, data: RunData) -> list[Figure]:
    """Accuracy (or what the recipe measures instead), validation loss, throughput: always these, a dash for what is not known yet."""
    known = data.run.metrics
    quality = next((key for key in QUALITY if known.get(key) is not None), QUALITY[0])
    per_second = next((key for key in ("samples_per_second", "tokens_per_second") if known.get(key) is not None), "samples_per_second")
    evaluated = [event.payload["metrics"] for event in data.events if event.kind == "Evaluated" and event.payload.get("model") == "model"]
    best = figures.best_of(evaluated)

    def card(key: str, label: str = "") -> Figure:
        small = words.text("metric.best", value=figures.reading(words, key, best[key])) if key in best else ""
        return Figure(label or figures.metric_name(words, key), figures.reading(words, key, known.get(key)), small)

    speed = Figure(
        words.text("analytics.throughput"), figures.reading(words, per_second, known.get(per_second)), words.text("metric.per_second")
    )
    return [card(quality), card("eval_loss"), speed]


def _past(words: Words, line: Line, item: trainings.Training) -> PastRun:
    job = item.job
    took = words.duration((job.finished_at - job.started_at).total_seconds()) if job.finished_at and job.started_at else "–"
    return PastRun(line, badge_of(words, job.state), words.ago(job.started_at or job.queued_at), took)
