"""The curves of a run: for its charts, and as a file."""

import csv
import io

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.jobs.curves import WHOLE, Span
from kargah.jobs.schemas import Curve
from kargah.runs import service as runs
from kargah.store.access import Actor
from kargah.web.api.runs import LAST_STEP, Step
from kargah.web.deps import Ask
from kargah.web.pages.charts import CURVE_POINTS
from kargah.web.pages.packing import packed, takes_gzip
from kargah.web.pages.run_data import find

router = APIRouter(include_in_schema=False)
ALL_POINTS = 10_000_000
#: Packed while somebody waits: nearly as small as can be, in a quarter of the time.
QUICK_LEVEL = 4


@router.get("/runs/{run_id}/curve")
async def curve(run_id: str, request: Request, ask: Ask, from_step: Step = 0, to_step: Step = LAST_STEP) -> Response:
    """Thinned to what a chart can show: of the whole run, or of the part that is looked at closer."""
    content = await ask(_curve_json, run_id, (from_step, to_step))
    headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
    if takes_gzip(request.headers):
        content = await ask.compute(packed, content, QUICK_LEVEL)
        headers["Content-Encoding"] = "gzip"
    return Response(content, media_type="application/json", headers=headers)


def _curve_json(session: Session, actor: Actor, run_id: str, within: Span) -> bytes:
    return _curve(session, actor, run_id, CURVE_POINTS, within).model_dump_json().encode()


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
