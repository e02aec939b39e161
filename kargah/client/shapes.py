"""What the server answers, as far as programs need it; what a newer server adds is kept and can be read as attributes."""

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

JsonDict = dict[str, Any]
Item = TypeVar("Item")

TERMINAL_STATES = frozenset({"COMPLETED", "FAILED", "STOPPED"})


class _Shape(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())


class Page(_Shape, Generic[Item]):
    """One page of a list; ``next_cursor`` is null on the last."""

    items: list[Item]
    next_cursor: str | None = None


class Dataset(_Shape):
    """``version`` is the current one: {id, number, state, rows, size_bytes, …}."""

    id: str
    title: str
    version: JsonDict | None = None


class Job(_Shape):
    """``error`` and ``waiting`` are {code, params}; ``result`` is the kind's own."""

    id: str
    kind: str
    title: str
    state: str
    progress: JsonDict = {}
    waiting: JsonDict | None = None
    error: JsonDict | None = None
    result: JsonDict | None = None

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL_STATES


class Event(_Shape):
    """``position`` orders the events of all jobs; give it back as ``after`` to go on from there."""

    position: int
    job_id: str
    seq: int
    attempt: int
    kind: str
    at: datetime
    payload: JsonDict = {}


class Training(_Shape):
    """A training that was started."""

    job: Job
    run_id: str


class ModelVersion(_Shape):
    """``metrics`` are those of the held-out split; ``detail.interval`` is {low, high} at 95 %."""

    id: str
    model_id: str
    name: str
    family: str
    parameters: int
    primary_metric: str | None
    metrics: dict[str, float | None]
    detail: JsonDict = {}
    recommended: bool
    size_bytes: int


class Predictions(_Shape):
    """One output an input, in their order."""

    outputs: list[JsonDict]
    model_version: str
    request_id: str
