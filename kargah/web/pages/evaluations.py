"""Evaluations: listed, and what came out of one, beside another where that is asked; with the table of errors, page by page."""

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.assets import blobs
from kargah.datasets import rows
from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.kit.errors import KargahError
from kargah.store.access import Actor
from kargah.training import comparing, evaluations, purging
from kargah.training.schemas import EvaluationOut, EvaluationPage, EvaluationRequest, EvaluationSummary
from kargah.web.deps import Ask, Asking
from kargah.web.errors import text_of
from kargah.web.pages import evaluation_views as views
from kargah.web.pages import figures, same_as
from kargah.web.pages.access import see
from kargah.web.pages.dataset_views import cell
from kargah.web.pages.parts import badge_of, pages_of, progress_of
from kargah.web.pages.render import render
from kargah.web.pages.run_views import STOPPABLE
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
PAGE = 25
_ASKED = ("q", "column", "sort", "down", "cursor", "of")


@router.get("/evaluations")
async def list_evaluations(request: Request, ask: Ask, cursor: str | None = None, model: str = "", dataset: str = "") -> Response:
    found, position = await ask.read(_list, cursor, model or None, dataset or None)
    page = page_of(request, "evaluations", stream=f"/api/v1/events?since={position}")
    kept = {"model": model, "dataset": dataset, "cursor": cursor or ""}
    start = urlencode({name: value for name, value in {"model": model, "dataset": dataset}.items() if value})
    return render(
        "evaluations.html",
        page,
        lines=[views.line_of(page.words, one) for one in found.items],
        start_href=f"/evaluations/new?{start}" if start else "/evaluations/new",
        pages=pages_of("/evaluations", kept, found.next_cursor),
    )


def _list(session: Session, actor: Actor, cursor: str | None, model: str | None, dataset: str | None) -> tuple[EvaluationPage, int]:
    position = history.latest_position(session)
    return evaluations.list_for(session, actor, cursor=cursor, limit=PAGE, model=model, dataset=dataset), position


@router.get("/evaluations/{evaluation_id}")
async def show(evaluation_id: str, request: Request, ask: Ask) -> Response:
    """``?of=1``: the errors of the model that it was compared with."""
    found, others, position = await ask.read(_load, evaluation_id)
    stream = f"/api/v1/jobs/{found.job.id}/events?since={position}" if not found.job.is_over else None
    page = page_of(request, "evaluations", crumbs=((found.title, ""),), stream=stream)
    words, result = page.words, found.result
    values: dict[str, Any] = {"metrics": [], "verdict": None, "slices": [], "calibrations": [], "matrices": [], "notes": []}
    if result is not None:
        values |= {
            "metrics": views.metric_lines(words, result),
            "verdict": views.verdict_of(words, result),
            "slices": views.slice_tables(words, result),
            "calibrations": views.calibrations(words, result),
            "matrices": views.matrices(result),
            "notes": views.left_out(words, result),
        }
    return render(
        "evaluation.html",
        page,
        found=found,
        line=views.line_of(words, found),
        titles=[model.title for model in result.models] if result else [],
        rows_text=words.text("evaluation.rows", count=result.rows) if result else "",
        badge=badge_of(words, found.job.state),
        progress=progress_of(words, found.job) if not found.job.is_over else None,
        waiting=words.message("waiting", found.job.waiting) if not found.job.is_over else "",
        error=words.error(found.job.error) if found.job.error else "",
        can_stop=found.job.state in STOPPABLE,
        same=same_as.of_evaluation(_request_of(found), str(request.base_url).rstrip("/")),
        errors_part=await _errors(request, ask, found) if result is not None else None,
        beside=await _beside(request, ask, found, others) if others else None,
        **values,
    )


def _request_of(found: EvaluationOut) -> EvaluationRequest:
    model, part = found.model_version_id or found.run_id or "", found.part
    stated = {"model": model, "dataset": found.dataset_version_id, "against": found.other_version_id, "part": part}
    return EvaluationRequest.model_validate({**stated, "columns": found.columns, "slices": found.slices})


def _load(session: Session, actor: Actor, evaluation_id: str) -> tuple[EvaluationOut, list[EvaluationSummary], int]:
    """With the others that it can be compared with."""
    position = history.latest_position(session)
    found = evaluations.show(session, actor, evaluation_id)
    return found, comparing.comparable(session, actor, found) if found.result is not None else [], position


async def _beside(request: Request, ask: Asking, found: EvaluationOut, others: list[EvaluationSummary]) -> dict[str, Any]:
    """The finished evaluations of the same data to choose from, and, where one is chosen, what the paired test says."""
    words, chosen = Words(request.state.language), request.query_params.get("beside", "")
    told: dict[str, Any] = {
        "choices": [(one.id, views.choice_of(words, one)) for one in others],
        "chosen": chosen,
        "verdict": None,
        "error": "",
    }
    if not chosen:
        return told
    try:
        pair = await ask.read(comparing.pair_of, found.id, chosen[:64], ask.settings.home)
        other = await ask.read(evaluations.show, chosen[:64])
        told["verdict"] = views.compared_of(words, await comparing.compared(pair), found, other)
    except KargahError as error:
        told["error"] = text_of(words.language, error.code, words.amounts(error.params))
    return told


async def _errors(request: Request, ask: Asking, found: EvaluationOut) -> dict[str, Any]:
    """The table of errors as asked for: what is looked for, in which column, in which order, which page."""
    asked = {name: request.query_params.get(name, "") for name in _ASKED}
    which = 1 if asked["of"] == "1" and found.result is not None and len(found.result.models) > 1 else 0
    words, path = Words(request.state.language), f"/evaluations/{found.id}"
    table = await ask.read(evaluations.errors_of, found.id, ask.settings.home, which)
    names = list(evaluations.ERRORS_COLUMNS)
    cursor = asked["cursor"]
    view = rows.View(
        offset=int(cursor) if cursor.isascii() and cursor.isdigit() and len(cursor) < 15 else 0,
        limit=PAGE,
        sort=asked["sort"] if asked["sort"] in names else None,
        descending=asked["down"] == "true",
        column=asked["column"] if asked["column"] in names else None,
        contains=asked["q"][:500] or None,
    )
    looked = await rows.look(table, view)
    kept = {name: value for name, value in asked.items() if value and name != "cursor"}
    return {
        "asked": asked,
        "which": which,
        "columns": [(name, words.text(f"evaluation.column.{name}"), _sorting(path, kept, name)) for name in names if name != "error"],
        "rows": [[_shown(row.cells[name]) for name in names if name != "error"] for row in looked.rows],
        "total": words.text("evaluation.errors_n", count=looked.total),
        "pages": pages_of(path, asked, looked.next_cursor),
        "export": f"/api/v1/evaluations/{found.id}/errors/export?model={which}",
        "tabs": [(f"{path}?of={number}#errors", model.title, number == which) for number, model in enumerate(found.result.models)]
        if found.result and len(found.result.models) > 1
        else [],
    }


def _shown(value: Any) -> str:
    return figures.short(value) if isinstance(value, float) else cell(value)


def _sorting(path: str, kept: dict[str, str], column: str) -> str:
    down = "true" if kept.get("sort") == column and kept.get("down") != "true" else ""
    return f"{path}?{urlencode({name: value for name, value in {**kept, 'sort': column, 'down': down}.items() if value})}#errors"


@router.post("/evaluations/{evaluation_id}/delete")
async def delete(evaluation_id: str, ask: Ask) -> Response:
    freed = await ask(purging.purge_evaluation, evaluation_id)
    await ask.compute(blobs.discard, ask.settings.home, freed)
    return see("/evaluations?done=evaluation_deleted")


@router.post("/evaluations/{evaluation_id}/stop")
async def stop(evaluation_id: str, ask: Ask) -> Response:
    await ask(_stop, evaluation_id)
    return see(f"/evaluations/{evaluation_id}")


def _stop(session: Session, actor: Actor, evaluation_id: str) -> None:
    jobs.stop(session, actor, evaluations.show(session, actor, evaluation_id).job.id)
