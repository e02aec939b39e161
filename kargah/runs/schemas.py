"""What others see of runs."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

JsonDict = dict[str, Any]


class RunOut(BaseModel):
    """``params``: name → {value, source, why, params}; ``metrics``: the latest values; ``summary``: {models: {name: …}, recommended …}."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    job_id: str | None
    title: str
    recipe: str
    status: str
    params: JsonDict = {}
    tags: JsonDict = {}
    summary: JsonDict = {}
    metrics: dict[str, float | None] = {}
    owner_id: str
    workspace_id: str
    visibility: str
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


class RunPage(BaseModel):
    """``next_cursor`` is null on the last page."""

    items: list[RunOut]
    next_cursor: str | None = None
