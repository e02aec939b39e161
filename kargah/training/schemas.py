"""What one says to start a training, and what one gets."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kargah.contract.plans import DatasetUse
from kargah.contract.results import EvaluateResult, Measured
from kargah.jobs.schemas import JobOut
from kargah.jobs.terms import Terms


class TrainingRequest(BaseModel):
    """The same words as the YAML of ``kargah train`` and the form. Ids of data sets or of their versions, of model versions.

    Several data sets are mixed: the first says which columns play which role, each may have a weight (see DatasetUse).
    Without ``recipe`` the task is guessed from the columns.
    ``spec`` holds only what is set; the rest is decided from the data and shown with its reason.
    ``terms``: after which jobs, when, how long, with how much memory it may run.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    recipe: str | None = Field(None, max_length=64)
    title: str | None = Field(None, max_length=300)
    datasets: list[Annotated[str, Field(max_length=64)] | DatasetUse] = Field([], max_length=32)
    base_model: str | None = Field(None, max_length=64)
    teacher_model: str | None = Field(None, max_length=64)
    spec: dict[str, Any] = {}
    dry_run: bool = False
    priority: int = Field(0, ge=-100, le=100)
    terms: Terms = Terms()


class TrainingStarted(BaseModel):
    job: JobOut
    run_id: str


class EvaluationRequest(BaseModel):
    """``model``: of a version, of a model (its recommended version is meant), or of a training, also one that is not over yet.

    ``against``: another of the same recipe, measured on the same rows, to learn whether the first is better. ``dataset``: of a data set
    (its current version is meant) or a version. ``part``: rows that the data set's own split column names so. ``columns``: role → column,
    where one is named otherwise than in the training. ``slices``: columns whose values part the rows; by default one that tells the source.
    """

    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1, max_length=64)
    dataset: str = Field(min_length=1, max_length=64)
    against: str | None = Field(None, max_length=64)
    part: Literal["all", "validation", "test"] = "all"
    columns: dict[str, str] = {}
    slices: list[Annotated[str, Field(max_length=300)]] | None = Field(None, max_length=8)
    title: str | None = Field(None, max_length=300)
    priority: int = Field(0, ge=-100, le=100)
    terms: Terms = Terms()


class EvaluationSummary(BaseModel):
    """``primary`` is the first model's primary metric; null while the job is not over, or where it failed."""

    id: str
    title: str
    recipe: str
    job: JobOut
    run_id: str | None
    model_version_id: str | None
    model_title: str | None
    other_version_id: str | None
    other_title: str | None
    dataset_id: str
    dataset_version_id: str
    dataset_title: str
    dataset_number: int
    part: str
    primary_metric: str | None = None
    primary: Measured | None = None
    verdict: str | None = None
    owner_id: str
    created_at: datetime
    finished_at: datetime | None


class EvaluationOut(EvaluationSummary):
    """``columns`` and ``slices``: as they were asked for."""

    columns: dict[str, str] = {}
    slices: list[str] | None = None
    result: EvaluateResult | None = None


class EvaluationPage(BaseModel):
    items: list[EvaluationSummary]
    next_cursor: str | None = None
