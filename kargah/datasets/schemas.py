"""What the doors give of data sets."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, computed_field

from kargah.assets.manifest import FileEntry
from kargah.contract.fixes import Fix
from kargah.recipes.columns import Column

JsonDict = dict[str, Any]
State = Literal["IMPORTING", "READY", "FAILED"]


class Lineage(BaseModel):
    """What a version was made from: the parent, the mends with their parameters, who asked and why. Long edits are counted."""

    parent_id: str
    parent_number: int
    fixes: list[JsonDict]
    by_id: str
    by: str
    why: str = ""


class VersionSummary(BaseModel):
    """``error`` is {code, params} of a version that FAILED. ``lineage`` is null for a version that was read from a file."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    dataset_id: str
    number: int
    state: State
    job_id: str | None
    source_filename: str
    source_size_bytes: int
    format: str | None
    encoding: str | None
    rows: int | None
    size_bytes: int
    commit_id: str | None
    error: JsonDict | None
    lineage: Lineage | None
    created_at: datetime


class VersionOut(VersionSummary):
    columns: list[Column] | None
    report: JsonDict | None
    normaliser: JsonDict | None
    files: list[FileEntry] | None


class DatasetOut(BaseModel):
    """``version`` is the current one, or while there is none the latest, so that an import and its failure show."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    slug: str
    title: str
    licence: str | None
    source_note: str | None
    owner_id: str
    workspace_id: str
    visibility: str
    created_at: datetime
    trashed_at: datetime | None
    tags: Annotated[list[str], BeforeValidator(lambda tags: tags or [])] = []
    current_version_id: str | None
    version: VersionSummary | None = None

    @computed_field
    def job_id(self) -> str | None:
        """The job that imports, or imported, ``version``."""
        return self.version.job_id if self.version else None


class DatasetDetail(DatasetOut):
    version: VersionOut | None = None
    versions: list[VersionSummary] = []


class DatasetPage(BaseModel):
    """``next_cursor`` is null on the last page."""

    items: list[DatasetOut]
    next_cursor: str | None = None


class UploadOptions(BaseModel):
    """How to read a file, where it should not be found out from the file itself."""

    model_config = ConfigDict(extra="forbid")

    encoding: str | None = Field(None, max_length=40)
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    normaliser: JsonDict | None = None
    max_rows: int | None = Field(None, ge=1)
    leave_out_bad_rows: bool = False


class MendWish(BaseModel):
    """``from_version``: the current one when none is named. ``fixes``: see kargah.contract.fixes."""

    model_config = ConfigDict(extra="forbid")

    from_version: str | None = Field(None, max_length=48)
    fixes: list[Fix] = Field(min_length=1, max_length=200)
    why: str = Field("", max_length=500)


class Preview(BaseModel):
    """The first rows with their types; long cells are cut and end in an ellipsis."""

    columns: list[str]
    rows: list[JsonDict]
    total_rows: int


class Reason(BaseModel):
    code: str
    params: JsonDict


class Suggestion(BaseModel):
    """What could be learned from a data set: ``columns`` are roles for the recipe, ``spec`` what else follows from the data."""

    recipe: str
    score: float
    columns: dict[str, str | list[str]]
    reasons: list[Reason]
    spec: JsonDict
