"""What the doors give of assets."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from kargah.assets.manifest import FileEntry


class AssetSummary(BaseModel):
    """``kind``: model, dataset, checkpoint or artifact. ``subject_id`` is the row that the files belong to.

    ``sha256``: of its one file, else of the list of them. With ``root_id`` it lies in place, at ``place`` under that root.
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
    place: str | None = None
    owner_id: str
    created_at: datetime
    downloaded_at: datetime | None = None
    trashed_at: datetime | None = None


class AssetOut(AssetSummary):
    files: list[FileEntry]


class AssetPage(BaseModel):
    items: list[AssetSummary]
    next_cursor: str | None = None
