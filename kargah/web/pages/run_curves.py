"""The curves of a run: for its charts, and as a file."""

import csv
import io

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.responses import JSONResponse, Response

from kargah.jobs.curves import WHOLE, Span
from kargah.jobs.schemas import Curve
from kargah.runs import service as runs
from kargah.store.access import Actor
from kargah.web.api.runs import LAST_STEP, Step
from kargah.web.deps import Ask
from kargah.web.pages.charts import CURVE_POINTS
from kargah.web.pages.run_data import find

router = APIRouter(include_in_schema=False)
ALL_POINTS = 10_000_000


@router.get("/runs/{run_id}/curve")
async def curve(run_id: str, ask: Ask, from_step: Step = 0, to_step: Step = LAST_STEP) -> Response:
    """Thinned to what a chart can show: of the whole run, or of the part that is looked at closer."""
    found = await ask(_curve, run_id, CURVE_POINTS, (from_step, to_step))
    return JSONResponse(found.model_dump(mode="json"), headers={"Cache-Control": "no-store"})


@router.get("/runs/{run_id}/curve.csv")
async def curve_csv(run_id: str, ask: Ask) -> Response:
    """Every step that counts, one row each; with a mark for Excel that it is UTF-8."""
    found = await ask(_curve, run_id, ALL_POINTS)
    table = io.StringIO()
    writer = csv.writer(table)
    keys = sorted(found.series)
    columns = {key: dict(points) for key, points in found.series.items()}
    writer.writerow(["step", *keys])
    for step in sorted({step for points in columns.values() for step in points}):
        writer.writerow([step, *(columns[key].get(step, "") for key in keys)])
    headers = {"Content-Disposition": f'attachment; filename="{run_id}-curve.csv"'}
    return Response("\ufeff" + table.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _curve(session: Session, actor: Actor, run_id: str, max_points: int, within: Span = WHOLE) -> Curve:
    return runs.curve(session, actor, find(session, actor, run_id).id, max_points=max_points, within=within)
