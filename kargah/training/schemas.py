"""What one says to start a training, and what one gets."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from kargah.contract.plans import DatasetUse
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
