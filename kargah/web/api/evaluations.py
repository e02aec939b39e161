"""Evaluations: models measured on data, with slices, calibration, errors, and who of two is better."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse

from kargah.assets import blobs
from kargah.contract.results import Compared
from kargah.datasets import rows
from kargah.training import comparing, evaluations, purging
from kargah.training.schemas import EvaluationOut, EvaluationPage, EvaluationRequest, EvaluationSummary
from kargah.web import idempotency
from kargah.web.api.datasets import MEDIA_TYPES, attachment
from kargah.web.api.jobs import Cursor, Limit
from kargah.web.deps import Ask

router = APIRouter(prefix="/api/v1/evaluations", tags=["evaluations"])
Id = Annotated[str | None, Query(max_length=48)]
Which = Annotated[int, Query(ge=0, le=1, description="0: the evaluated model, 1: the one it was compared with")]
ErrorsColumn = Annotated[Literal["row", "input", "expected", "answered", "score", "error"] | None, Query()]


@router.post("", status_code=201, response_model=EvaluationSummary)
async def start_evaluation(request: EvaluationRequest, ask: Ask, key: idempotency.Key = None) -> Response:
    """Queue one; of a model that a training is still making it waits for that. Rows that taught a model are left out."""
    return await idempotency.once(ask, key, request.model_dump_json(), evaluations.start, request, ask.settings.home)


@router.get("")
async def list_evaluations(ask: Ask, cursor: Cursor = None, limit: Limit = 50, model: Id = None, dataset: Id = None) -> EvaluationPage:
    return await ask(evaluations.list_for, cursor=cursor, limit=limit, model=model, dataset=dataset)


@router.get("/{evaluation_id}")
async def show_evaluation(evaluation_id: str, ask: Ask) -> EvaluationOut:
    return await ask(evaluations.show, evaluation_id)


@router.delete("/{evaluation_id}", status_code=204)
async def delete_evaluation(evaluation_id: str, ask: Ask) -> None:
    """For good, its tables of errors as well."""
    freed = await ask(purging.purge_evaluation, evaluation_id)
    await ask.compute(blobs.discard, ask.settings.home, freed)


@router.get("/{evaluation_id}/against/{other_id}")
async def compare_evaluations(evaluation_id: str, other_id: str, ask: Ask, model: Which = 0, other_model: Which = 0) -> Compared:
    """Is the model of one really better than that of the other: a paired test on the rows that both were asked, of one data set version.

    By what both kept of each row: neither model is asked again. Rows that one alone was asked are counted and left out.
    """
    pair = await ask.read(comparing.pair_of, evaluation_id, other_id, ask.settings.home, model, other_model)
    return await comparing.compared(pair)


@router.get("/{evaluation_id}/errors")
async def evaluation_errors(
    evaluation_id: str,
    ask: Ask,
    model: Which = 0,
    cursor: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=rows.MOST_ROWS)] = 50,
    sort: ErrorsColumn = None,
    descending: bool = False,
    column: ErrorsColumn = None,
    contains: Annotated[str | None, Query(max_length=500)] = None,
) -> rows.Rows:
    """Rows whose answer was not right, the worst first: ``row`` is the row's number in the data set version, from 1."""
    table = await ask.read(evaluations.errors_of, evaluation_id, ask.settings.home, model)
    return await rows.look(table, rows.View(cursor, limit, sort, descending, column, contains))


@router.get("/{evaluation_id}/errors/export", response_class=Response)
async def export_errors(evaluation_id: str, ask: Ask, model: Which = 0, format: Literal["csv", "jsonl"] = "csv") -> Response:  # noqa: A002
    """All of them as CSV (marked as UTF-8 for Excel, formulas made harmless) or JSON lines."""
    table = await ask.read(evaluations.errors_of, evaluation_id, ask.settings.home, model)
    headers = {"Content-Disposition": attachment(f"errors-{evaluation_id}-{model}.{format}")}
    return StreamingResponse(rows.export(table, format), media_type=MEDIA_TYPES[format], headers=headers)
