"""Evaluations: listed, started from a model and a data set, and what came out; with the table of errors, page by page."""

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.assets import blobs
from kargah.datasets import rows
from kargah.datasets import service as datasets
from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.kit.errors import KargahError
from kargah.models import service as models
from kargah.recipes import catalogue
from kargah.store.access import Actor, require_creator
from kargah.training import evaluations, purging
from kargah.training.schemas import EvaluationOut, EvaluationPage, EvaluationRequest
from kargah.web.deps import Ask, Asking
from kargah.web.idempotency import once_of_form
from kargah.web.pages import evaluation_views as views
from kargah.web.pages import figures, same_as
from kargah.web.pages.access import see
from kargah.web.pages.dataset_views import cell
from kargah.web.pages.forms import Errors, errors_of, form_of
from kargah.web.pages.parts import badge_of, pages_of, progress_of
from kargah.web.pages.render import render
from kargah.web.pages.run_views import STOPPABLE
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
PAGE = 25
MOST_CHOICES = 100
PARTS = ("all", "validation", "test")
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


@router.get("/evaluations/new")
async def new_evaluation(request: Request, ask: Ask) -> Response:
    require_creator(ask.actor)
    return await _form(request, ask, dict(request.query_params))


async def _form(request: Request, ask: Asking, values: dict[str, str], errors: Errors | None = None, status: int = 200) -> Response:
    page = page_of(request, "evaluations", crumbs=((Words(request.state.language).text("evaluation.new"), ""),))
    known, data = await ask.read(_choices, page.words)
    return render(
        "evaluation_new.html",
        page,
        status=status,
        models=_with(known, values.get("model", "")),
        others=[("", page.words.text("evaluation.nobody")), *known],
        datasets=_with(data, values.get("dataset", "")),
        parts=[(part, page.words.text(f"evaluation.part.{part}")) for part in PARTS],
        values=values,
        errors=errors or {},
    )


def _with(choices: list[tuple[str, str]], chosen: str) -> list[tuple[str, str]]:
    """What was named in the address, though it stand too far down to be offered (or be a training that is not over)."""
    return choices if not chosen or chosen in {value for value, _ in choices} else [(chosen, chosen), *choices]


def _choices(session: Session, actor: Actor, words: Words) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(versions of models that can be measured, data sets), the newest first."""
    known = models.list_for(session, actor, limit=MOST_CHOICES).items
    versions = [
        (version.id, f"{model.title} · {words.first(f'model.{version.architecture}', version.name)}")
        for model in known
        if model.recipe in catalogue.RECIPES and catalogue.get(model.recipe).evaluates
        for version in sorted(model.versions, key=lambda one: not one.recommended)
    ]
    return versions[:MOST_CHOICES], [(one.id, one.title) for one in datasets.list_for(session, actor, limit=MOST_CHOICES).items]


@router.post("/evaluations")
async def start(request: Request, ask: Ask) -> Response:
    require_creator(ask.actor)
    values = await form_of(request)
    part = values.get("part", "all")
    wish = EvaluationRequest(
        model=(values.get("model", "").strip() or "-")[:64],
        dataset=(values.get("dataset", "").strip() or "-")[:64],
        against=values.get("against", "").strip()[:64] or None,
        part=part if part in PARTS else "all",
    )
    home = ask.settings.home
    try:
        made = await once_of_form(
            ask, values.get("_once", ""), wish.model_dump_json(), lambda session, actor: evaluations.start(session, actor, wish, home)
        )
    except KargahError as error:
        field = {"NOT_FOUND": "model"} if error.code == "NOT_FOUND" else None
        return await _form(request, ask, values, errors_of(request, error, field), error.status)
    return see(f"/evaluations/{made['id']}")


@router.get("/evaluations/{evaluation_id}")
async def show(evaluation_id: str, request: Request, ask: Ask) -> Response:
    """``?of=1``: the errors of the model that it was compared with."""
    found, position = await ask.read(_load, evaluation_id)
    stream = f"/api/v1/jobs/{found.job.id}/events?since={position}" if not found.job.is_over else None
    page = page_of(request, "evaluations", crumbs=((found.title, ""),), stream=stream)
    words, result = page.words, found.result
    values: dict[str, Any] = {"strip": [], "metrics": [], "verdict": None, "slices": [], "calibrations": [], "matrices": [], "notes": []}
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
        **values,
    )


def _request_of(found: EvaluationOut) -> EvaluationRequest:
    model, part = found.model_version_id or found.run_id or "", found.part
    return EvaluationRequest(model=model, dataset=found.dataset_version_id, against=found.other_version_id, part=part)


def _load(session: Session, actor: Actor, evaluation_id: str) -> tuple[EvaluationOut, int]:
    position = history.latest_position(session)
    return evaluations.show(session, actor, evaluation_id), position


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
