"""The page of one training."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from kargah.jobs import service as jobs
from kargah.jobs.states import State
from kargah.kit.errors import NotFound
from kargah.training.reproducing import TAG
from kargah.web.deps import Ask
from kargah.web.pages import figures, trying
from kargah.web.pages import run_views as views
from kargah.web.pages.access import see
from kargah.web.pages.charts import chart_of
from kargah.web.pages.forecasts import compared_of, forecast_of
from kargah.web.pages.parts import badge_of, progress_of
from kargah.web.pages.render import render
from kargah.web.pages.run_afterwards import afterwards_of, read_outcome
from kargah.web.pages.run_controls import controls_of, read_controls
from kargah.web.pages.run_data import find, load
from kargah.web.pages.run_failure import failure_of
from kargah.web.pages.run_log import log_of
from kargah.web.pages.scripts import script_of
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)


@router.get("/runs/{run_id}")
async def show_run(run_id: str, request: Request, ask: Ask, model: str | None = None, parts: bool = False, log: str = "") -> Response:
    """``log``: what is looked for in the log. ``parts``: what is fetched again while the run goes on, without the log, which
    <live-log> asks for itself."""
    data = await ask(load, run_id)
    stream = None if data.job.is_over else f"/api/v1/jobs/{data.job.id}/events?since={data.position}"
    page = page_of(request, "runs", crumbs=((data.run.title, ""),), stream=stream, parts=f"/runs/{run_id}?parts=true")
    said = None if parts else await log_of(ask, page.words, data.job.id, query=log)
    after = afterwards_of(page.words, data, await ask(read_outcome, data) if data.run.tags.get(TAG) else None)
    after |= await script_of(ask, page.words, data)
    values = {**_values(page.words, data), **after, **controls_of(page.words, data, await ask(read_controls, data.job, ask.settings.home))}
    return render("run.html", page, **values, log=said, try_it=trying.of_versions(page.words, data, model))


def _values(words: Words, data: views.RunData) -> dict[str, Any]:
    run, job = data.run, data.job
    evaluated = [event.payload["metrics"] for event in data.events if event.kind == "Evaluated" and event.payload.get("model") == "model"]
    chosen = next((version for version in data.versions if version.recommended), data.versions[0] if data.versions else None)
    detail = chosen.detail if chosen else {}
    metric_columns = figures_columns(words, data)
    return {
        "run": run,
        "job": job,
        "badge": badge_of(words, job.state),
        "progress": progress_of(words, job),
        "facts": _facts(words, data),
        "elapsed": _elapsed(words, data),
        "failure": failure_of(words, data),
        "attempts": views.attempts_of(words, data),
        "waiting": words.message("waiting", job.waiting) if job.waiting and job.state in (State.QUEUED, State.PAUSED) else "",
        "strip": figures.strip_of(words, run.metrics, figures.best_of(evaluated)),
        "whys": views.whys_of(words, run.params),
        "timeline": views.timeline_of(words, data.events),
        "warnings": views.warnings_of(words, data.events),
        "models": views.model_rows(words, data.versions),
        "how_measured": views.how_measured(words, data.versions),
        "taught_by": views.taught_by(words, run.summary),
        "metric_columns": metric_columns,
        "verdict": words.optional(figures.verdict_of(data.versions)) if data.versions else "",
        "classes": views.classes_of(detail),
        "sources": views.sources_of(words, detail),
        "matrix": views.matrix_of(detail),
        "detail_of": views.name_of(words, chosen) if chosen else "",
        "forecast": forecast_of(words, data),
        "compared": compared_of(words, data),
        "chart": chart_of(words, data),
        "dry_run": bool(data.plan.get("dry_run")),
        "can_stop": job.state in views.STOPPABLE,
        "can_pause": job.state is State.RUNNING,
        "can_resume": job.state is State.PAUSED,
        "again": f"/runs/new?like={run.id}",
    }


def figures_columns(words: Words, data: views.RunData) -> list[str]:
    return [figures.metric_name(words, key) for key in views.metric_columns(data.versions)]


def _facts(words: Words, data: views.RunData) -> list[str]:
    facts = [words.text(f"recipe.{data.run.recipe}.title")]
    base, titles = data.plan.get("base_model"), [dataset["title"] for dataset in data.plan["datasets"]]
    if data.job.kind == "train":
        facts.append(words.text("run.from_base", name=base["title"]) if base else words.text("run.from_scratch"))
    if titles:
        facts.append(words.text("run.on_data", names=words.text("list.comma").join(titles)))
    started = data.job.started_at or data.job.queued_at
    facts.append(words.text("run.started" if data.job.started_at else "run.asked", when=words.date(started)))
    return facts


def _elapsed(words: Words, data: views.RunData) -> str:
    job = data.job
    if job.started_at is None:
        return ""
    passed = words.duration(((job.finished_at or _now(data)) - job.started_at).total_seconds())
    return words.text("run.took" if job.is_over else "run.elapsed", time=passed)


def _now(data: views.RunData) -> Any:
    return data.events[-1].at if data.events else data.job.queued_at


@router.post("/runs/{run_id}/stop")
async def stop(run_id: str, ask: Ask) -> Response:
    await ask(jobs.stop, await _job_id(ask, run_id))
    return see(f"/runs/{run_id}?done=run_stopping")


@router.post("/runs/{run_id}/pause")
async def pause(run_id: str, ask: Ask) -> Response:
    await ask(jobs.pause, await _job_id(ask, run_id))
    return see(f"/runs/{run_id}?done=run_pausing")


@router.post("/runs/{run_id}/resume")
async def resume(run_id: str, ask: Ask) -> Response:
    await ask(jobs.resume, await _job_id(ask, run_id))
    return see(f"/runs/{run_id}?done=run_resumed")


async def _job_id(ask: Ask, run_id: str) -> str:
    run = await ask.read(find, run_id)
    if run.job_id is None:
        raise NotFound(kind="jobs", id=run_id)
    return run.job_id
