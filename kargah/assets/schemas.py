"""What the doors give of assets."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from kargah.assets.manifest import FileEntry


class AssetOut(BaseModel):
    """``kind``: model, dataset or checkpoint. ``subject_id`` is the row that the files belong to."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    kind: str
    name: str
    status: str
    source: str
    subject_id: str | None
    size_bytes: int
    files: list[FileEntry]
    owner_id: str
    created_at: datetime
    downloaded_at: datetime | None = None


class AssetPage(BaseModel):
    items: list[AssetOut]
    next_cursor: str | None = None
