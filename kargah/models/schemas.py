"""What the doors give of models."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from kargah.assets.manifest import FileEntry


class ModelVersionOut(BaseModel):
    model_config = ConfigDict(from_attributes=True, protected_namespaces=())

    id: str
    model_id: str
    number: int
    name: str
    source: str
    family: str
    recipe: str | None
    architecture: str
    parameters: int
    run_id: str | None
    base_version_id: str | None
    commit_id: str
    primary_metric: str | None
    metrics: dict[str, float | None]
    detail: dict[str, Any]
    recommended: bool
    licence: str | None
    size_bytes: int
    files: list[FileEntry]
    created_at: datetime


class ModelOut(BaseModel):
    """A model with its versions, the newest first."""

    model_config = ConfigDict(from_attributes=True, protected_namespaces=())

    id: str
    slug: str
    title: str
    recipe: str | None
    owner_id: str
    created_at: datetime
    trashed_at: datetime | None = None
    versions: list[ModelVersionOut] = []


class ModelPage(BaseModel):
    items: list[ModelOut]
    next_cursor: str | None = None
