"""Runs: the record of what was trained."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse, Response

from kargah.jobs.schemas import Curve
from kargah.models import service as models
from kargah.models.schemas import ModelVersionOut
from kargah.runs import service as runs
from kargah.runs.schemas import RunOut, RunPage
from kargah.training import as_script, reproducing
from kargah.training.reproducing import Reproduction
from kargah.training.schemas import TrainingStarted
from kargah.web import idempotency
from kargah.web.api.jobs import Cursor, Limit, Words
from kargah.web.deps import Ask

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])
LAST_STEP = 2**62
Step = Annotated[int, Query(ge=0, le=LAST_STEP)]


@router.get("")
async def list_runs(
    ask: Ask, cursor: Cursor = None, limit: Limit = 50, recipe: Annotated[str | None, Query(max_length=64)] = None, query: Words = None
) -> RunPage:
    return await ask(runs.list_for, cursor=cursor, limit=limit, recipe=recipe, query=query)


@router.get("/{run_id}")
async def show_run(run_id: str, ask: Ask) -> RunOut:
    return await ask(runs.show, run_id)


@router.get("/{run_id}/curve")
async def run_curve(
    run_id: str,
    ask: Ask,
    key: Annotated[list[str] | None, Query(max_length=32)] = None,
    max_points: Annotated[int, Query(ge=2, le=10_000)] = 1000,
    from_step: Step = 0,
    to_step: Step = LAST_STEP,
) -> Curve:
    """Metrics by step, at most about ``max_points`` a metric, of the whole run or of the part between two steps."""
    return await ask(runs.curve, run_id, key, max_points, (from_step, to_step))


@router.get("/{run_id}/models")
async def run_models(run_id: str, ask: Ask) -> list[ModelVersionOut]:
    """What the training made, baselines included, the recommended one first."""
    await ask(runs.show, run_id)
    return await ask(models.versions_of_run, run_id)


@router.post("/{run_id}/reproduce", status_code=201, response_model=TrainingStarted)
async def reproduce_run(run_id: str, ask: Ask, key: idempotency.Key = None) -> Response:
    """A finished training once more by the very same plan: data versions, settings, seed, threads, precision."""
    return await idempotency.once(ask, key, run_id, reproducing.reproduce, run_id)


@router.get("/{run_id}/reproduction")
async def show_reproduction(run_id: str, ask: Ask) -> Reproduction:
    """Of a run that reproduces another: whether weights and metrics are the same, how far they differ, and what is known to be other."""
    return await ask(reproducing.compare, run_id)


@router.get("/{run_id}/script", response_class=PlainTextResponse)
async def run_script(run_id: str, ask: Ask) -> Response:
    """The training as one plain Python file, its settings as constants; NO_SCRIPT says why where there is none."""
    text = await ask(as_script.script_of, run_id)
    headers = {"Content-Disposition": f'attachment; filename="{run_id}.py"', "Cache-Control": "no-store"}
    return PlainTextResponse(text, media_type="text/x-python", headers=headers)
