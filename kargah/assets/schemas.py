"""What the doors give of assets."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from kargah.assets.manifest import FileEntry

UserKind = Literal["run", "model", "evaluation"]


class UsedBy(BaseModel):
    kind: UserKind
    id: str
    title: str


class AssetSummary(BaseModel):
    """``kind``: model, dataset, checkpoint or artifact. ``subject_id`` is the row that the files belong to.

    ``sha256``: of its one file, else of the list of them. With ``root_id`` it lies in place, at ``place`` under that root; with ``job_id``
    it is the checkpoint ``place`` of that training. ``used``: by how many of which kind.
    """

    model_config = ConfigDict(from_attributes=True)

    id: str
    kind: str
    name: str
    status: str
    source: str
    subject_id: str | None
    size_bytes: int
    sha256: str | None = None
    root_id: str | None = None
    job_id: str | None = None
    place: str | None = None
    owner_id: str
    created_at: datetime
    downloaded_at: datetime | None = None
    trashed_at: datetime | None = None
    used: dict[UserKind, int] = {}


class AssetOut(AssetSummary):
    """``used_by``: the latest of each kind, so far as the asker may see them; ``hidden``: how many besides."""

    files: list[FileEntry]
    used_by: list[UsedBy] = []
    hidden: int = 0


class AssetPage(BaseModel):
    items: list[AssetSummary]
    next_cursor: str | None = None
