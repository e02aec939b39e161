"""What a worker says, one JSON line each, in the order in which it happened.

The file ``events.jsonl`` of an attempt is the history; all that is shown anywhere is read from it. An event carries
codes and numbers, never rendered text.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

JsonDict = dict[str, Any]


class Source(StrEnum):
    """Where a value came from; shown beside it, with the reason."""

    CHOSEN = "chosen"
    INHERITED = "inherited"
    ADAPTED = "adapted"


class Choice(BaseModel):
    """One setting as it was really used. ``why`` is a text key, ``params`` its parameters."""

    name: str
    value: Any
    source: Source
    why: str
    params: JsonDict = {}


class _Event(BaseModel):
    model_config = ConfigDict(extra="ignore")  # an older server must be able to read a newer worker
    at: datetime


class Started(_Event):
    """The process lives, has read its plan and holds its lock. The job is LOADING from here."""

    kind: Literal["Started"] = "Started"
    pid: int
    threads: int
    environment: dict[str, str] = {}


class Running(_Event):
    """Everything is loaded; steps follow. Totals are null where they cannot be known."""

    kind: Literal["Running"] = "Running"
    total_steps: int | None = None
    total_epochs: float | None = None
    choices: list[Choice] = []


class Progress(_Event):
    """How far work without steps has come, in ``unit`` (rows, bytes, models)."""

    kind: Literal["Progress"] = "Progress"
    done: float
    total: float | None = None
    unit: str
    code: str | None = None
    params: JsonDict = {}


class Step(_Event):
    """One optimizer step. ``metrics``: loss, learning_rate, grad_norm, samples_per_second, tokens_per_second …"""

    kind: Literal["Step"] = "Step"
    step: int
    epoch: float
    metrics: dict[str, float | None]


class Evaluated(_Event):
    """``metrics``: scalars named as in the field (eval_loss, accuracy, macro_f1, mae …). ``detail``: tables, such as per-class figures."""

    kind: Literal["Evaluated"] = "Evaluated"
    step: int
    epoch: float
    split: str = "validation"
    model: str = "model"
    metrics: dict[str, float | None]
    detail: JsonDict = {}


class Saved(_Event):
    """A checkpoint stands on the disk, whole and verified. ``path`` is relative to the job's directory."""

    kind: Literal["Saved"] = "Saved"
    step: int
    path: str
    size_bytes: int
    best: bool = False
    stall_seconds: float = 0.0


class Logged(_Event):
    """A message for people: a text key with parameters, e.g. ``train.rows_dropped``."""

    kind: Literal["Logged"] = "Logged"
    level: Literal["info", "warning", "error"] = "info"
    code: str
    params: JsonDict = {}


class Paused(_Event):
    """``code`` (DISK_FULL) with ``params``: the worker's own reason. Without one it was asked for."""

    kind: Literal["Paused"] = "Paused"
    step: int
    code: str | None = None
    params: JsonDict = {}


class Resumed(_Event):
    """Later points of earlier attempts (step > from_step) no longer count."""

    kind: Literal["Resumed"] = "Resumed"
    from_step: int
    exact: bool = True


class Stopped(_Event):
    kind: Literal["Stopped"] = "Stopped"
    step: int | None = None


class Finished(_Event):
    """The work is done and its outputs stand under ``outputs/``; ``result`` is the kind's own (see contract.results)."""

    kind: Literal["Finished"] = "Finished"
    result: JsonDict = {}


class Failed(_Event):
    """``code`` and ``params`` as in kit.errors; ``evidence`` is for the curious (a traceback's tail), never for the page's headline."""

    kind: Literal["Failed"] = "Failed"
    code: str
    params: JsonDict = {}
    evidence: str | None = None


class Interrupted(_Event):
    """The attempt is over and the job is not. Said by a worker that the system ends (SIGTERM), else by the scheduler."""

    kind: Literal["Interrupted"] = "Interrupted"
    code: str
    params: JsonDict = {}


class Queued(_Event):
    """From here on: said by the scheduler, not by a worker."""

    kind: Literal["Queued"] = "Queued"


class Waiting(_Event):
    kind: Literal["Waiting"] = "Waiting"
    code: str
    params: JsonDict = {}


class Claimed(_Event):
    kind: Literal["Claimed"] = "Claimed"
    attempt: int
    threads: int


class Asked(_Event):
    """A person asked for something: pause, resume, stop."""

    kind: Literal["Asked"] = "Asked"
    action: str
    by: str


Event = Annotated[
    Started | Running | Progress | Step | Evaluated | Saved | Logged | Paused | Resumed | Stopped | Finished | Failed
    | Queued | Waiting | Claimed | Asked | Interrupted,
    Field(discriminator="kind"),
]  # fmt: skip
AnyEvent: TypeAdapter[Event] = TypeAdapter(Event)

#: After one of these an attempt says nothing more.
LAST_WORDS = frozenset({"Finished", "Failed", "Stopped", "Paused", "Interrupted"})
