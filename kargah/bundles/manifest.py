"""What a bundle says of itself: the model, its data, what must be installed, and the hash of every file."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kargah.assets.manifest import FileEntry
from kargah.contract.results import Interval

REQUIREMENTS = "requirements.txt"
MOST_FILES, MOST_DATASETS = 20_000, 50
_SHA256, _SHA1 = "^[0-9a-f]{64}$", "^[0-9a-f]{40}$"
_ID = Annotated[str, Field(pattern="^[a-z]{2,5}_[0-9A-Za-z_-]{1,42}$")]
#: Whatever people write, but for what no database keeps.
_SEEN = r"^[^\x00-\x1f\x7f]+$"
Title = Annotated[str, Field(max_length=300, pattern=_SEEN)]
Word = Annotated[str, Field(max_length=100, pattern=_SEEN)]


class BundledFile(FileEntry):
    path: str = Field(min_length=1, max_length=1000)
    sha256: str = Field(pattern=_SHA256)
    git_sha1: str = Field(pattern=_SHA1)
    size_bytes: int = Field(ge=0, le=1 << 50)


class _Part(BaseModel):
    model_config = ConfigDict(from_attributes=True, protected_namespaces=(), allow_inf_nan=False)


class BundledModel(_Part):
    """A version as it was at home: ``id``, ``model_id``, ``run_id`` and ``number`` are its names there."""

    id: _ID
    model_id: _ID
    run_id: _ID | None = None
    number: int = Field(ge=1)
    title: Title
    name: str = Field(max_length=64, pattern=_SEEN)
    source: str = Field(pattern="^[a-z]{1,16}$")
    family: str = Field(pattern="^[a-z_]{1,16}$")
    recipe: str | None = Field(None, max_length=64, pattern=_SEEN)
    architecture: Word
    parameters: int = Field(ge=0, le=1 << 50)
    primary_metric: str | None = Field(None, max_length=64, pattern=_SEEN)
    metrics: dict[Word, float | None] = Field({}, max_length=500)
    split: str | None = Field(None, max_length=32, pattern=_SEEN)
    interval: Interval | None = None
    train_seconds: float | None = Field(None, ge=0)
    recommended: bool = False
    licence: Word | None = None
    commit_id: str = Field(pattern=_SHA1)
    created_at: datetime
    files: list[BundledFile] = Field(min_length=1, max_length=MOST_FILES)


class BundledDataset(_Part):
    """The table of one version, ``file``; ``id`` and the others are its names at home."""

    id: _ID
    dataset_id: _ID
    number: int = Field(ge=1)
    title: Title
    licence: Word | None = None
    source_note: str | None = Field(None, max_length=500, pattern=_SEEN)
    tags: list[Word] = Field([], max_length=20)
    rows: int | None = Field(None, ge=0)
    commit_id: str | None = Field(None, pattern=_SHA1)
    normaliser: dict[str, Any] | None = None
    file: BundledFile


class Manifest(_Part):
    """``kargah``: the version that made it. ``requirements``: what is to be installed beside it, as pip reads it."""

    format: Literal["kargah-bundle"] = "kargah-bundle"
    version: Literal[1] = 1
    kargah: str = Field(max_length=40, pattern=_SEEN)
    model: BundledModel
    datasets: list[BundledDataset] = Field([], max_length=MOST_DATASETS)
    requirements: BundledFile

    def blobs(self) -> dict[str, BundledFile]:
        """Each content once, by its hash, in their order in the bundle."""
        found = {file.sha256: file for file in self._files()}
        return dict(sorted(found.items()))

    def _files(self) -> Iterator[BundledFile]:
        yield from self.model.files
        yield from (dataset.file for dataset in self.datasets)
