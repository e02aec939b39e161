from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from kargah.store.base import Base, Created, Owned


class Dataset(Base, Owned):
    __tablename__ = "datasets"
    __table_args__ = (Index("ix_datasets_list", "workspace_id", "id"),)
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    slug: Mapped[str] = mapped_column(String(80))
    title: Mapped[str] = mapped_column(String(300))
    title_folded: Mapped[str] = mapped_column(String(300), default="")
    licence: Mapped[str | None] = mapped_column(String(100))
    source_note: Mapped[str | None] = mapped_column(String(500))
    current_version_id: Mapped[str | None] = mapped_column(String(48))
    tags: Mapped[list[Any] | None]
    trashed_at: Mapped[datetime | None]


class DatasetVersion(Base, Created):
    """Never changed once READY. ``state``: IMPORTING, READY or FAILED.

    ``files``: data.parquet, columns.json, preview.jsonl, report.json as blobs. ``lineage``: what it was made from when that was
    no file (see schemas.Lineage).
    """

    __tablename__ = "dataset_versions"
    __table_args__ = (UniqueConstraint("dataset_id", "number"),)
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    dataset_id: Mapped[str] = mapped_column(String(48), ForeignKey("datasets.id", ondelete="CASCADE"))
    number: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    job_id: Mapped[str | None] = mapped_column(String(48), ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    source_filename: Mapped[str] = mapped_column(String(400))
    source_sha256: Mapped[str] = mapped_column(String(64))
    source_size_bytes: Mapped[int] = mapped_column(BigInteger)
    commit_id: Mapped[str | None] = mapped_column(String(40))
    format: Mapped[str | None] = mapped_column(String(32))
    encoding: Mapped[str | None] = mapped_column(String(32))
    rows: Mapped[int | None] = mapped_column(BigInteger)
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    columns: Mapped[list[Any] | None]
    report: Mapped[dict[str, Any] | None]
    normaliser: Mapped[dict[str, Any] | None]
    files: Mapped[list[Any] | None]
    error: Mapped[dict[str, Any] | None]
    lineage: Mapped[dict[str, Any] | None]
