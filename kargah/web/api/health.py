"""Whether this process answers, for whoever asks."""

from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import text
from sqlalchemy.orm import Session

import kargah

router = APIRouter(tags=["health"])


@router.get("/health")
async def health(request: Request) -> dict[str, Any]:
    state = request.app.state
    uptime_seconds = state.clock.monotonic_seconds() - state.started_at
    return {"ok": True, "service": "kargah", "version": kargah.__version__, "uptime": round(uptime_seconds, 3)}


@router.get("/api/health")
async def health_with_checks(request: Request) -> dict[str, Any]:
    answers = await request.app.state.threads.read(_database_answers)
    return {**await health(request), "ok": answers, "checks": {"database": answers}}


def _database_answers(session: Session) -> bool:
    return bool(session.execute(text("SELECT 1")).scalar_one())
