"""What others see of jobs."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from kargah.jobs.states import TERMINAL, State, shown

JsonDict = dict[str, Any]


class JobOut(BaseModel):
    """``waiting`` and ``error`` are {code, params}; ``progress`` as in tables.Job. ``state`` shows an interrupted job as QUEUED.

    ``terms`` holds only what was set (see jobs.terms.Terms).
    """

    model_config = ConfigDict(from_attributes=True)

    id: str
    kind: str
    title: str
    state: State
    progress: JsonDict = {}
    waiting: JsonDict | None = None
    error: JsonDict | None = None
    result: JsonDict | None = None
    attempt: int
    priority: int = 0
    not_before: datetime | None = None
    deadline: datetime | None = None
    terms: JsonDict = {}
    owner_id: str
    workspace_id: str
    visibility: str
    created_at: datetime
    queued_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @field_validator("state", mode="before")
    @classmethod
    def _as_shown(cls, state: str) -> State:
        return shown(state)

    @property
    def is_over(self) -> bool:
        return self.state in TERMINAL


class JobPage(BaseModel):
    """``next_cursor`` is null on the last page."""

    items: list[JobOut]
    next_cursor: str | None = None


class EventOut(BaseModel):
    """``position`` orders all events of all jobs and is the id of a stream; ``attempt`` is 0 for the scheduler's own."""

    position: int
    job_id: str
    seq: int
    attempt: int
    kind: str
    at: datetime
    payload: JsonDict


class StepPoint(BaseModel):
    seq: int
    attempt: int
    at: datetime
    step: int
    epoch: float
    metrics: dict[str, float | None]


class Curve(BaseModel):
    """``series``: metric → [(step, value)] in the order of steps. ``position``: the last event looked at; live events follow it.

    ``thinned``: there are more points than these; a part of the curve, asked for alone, may show them.
    """

    series: dict[str, list[tuple[int, float]]]
    position: int
    thinned: bool = False


class AttemptLog(BaseModel):
    """How much an attempt printed, and how much of its middle is gone because that was too much."""

    number: int
    size_bytes: int
    cut_bytes: int


class LogsOut(BaseModel):
    """``tail``: the end of worker.log of an attempt (empty where its host is another), tamed; ``messages``: the Logged events of all."""

    attempt: int
    tail: str
    messages: list[EventOut]
    attempts: list[AttemptLog] = []


class LogLine(BaseModel):
    number: int
    text: str


class LogsFound(BaseModel):
    """The last lines found, at most 500; ``total`` counts all."""

    attempt: int
    lines: list[LogLine]
    total: int
