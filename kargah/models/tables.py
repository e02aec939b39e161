from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from kargah.store.base import Base, Created, Owned


class Model(Base, Owned):
    __tablename__ = "models"
    __table_args__ = (Index("ix_models_list", "workspace_id", "id"),)
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    slug: Mapped[str] = mapped_column(String(80))
    title: Mapped[str] = mapped_column(String(300))
    title_folded: Mapped[str] = mapped_column(String(300), default="")
    recipe: Mapped[str | None] = mapped_column(String(64))
    trashed_at: Mapped[datetime | None]


class ModelVersion(Base, Created):
    """A folder of files that answers, never changed. ``source``: training, baseline or local (imported from disk).

    ``family``: network, linear, trees, majority, or base (an imported model to start from). ``files`` as in Asset.files.
    """

    __tablename__ = "model_versions"
    __table_args__ = (
        UniqueConstraint("model_id", "number"),
        UniqueConstraint("run_id", "name"),
        Index("ix_model_versions_source", "source", "model_id"),
    )
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    model_id: Mapped[str] = mapped_column(String(48), ForeignKey("models.id", ondelete="CASCADE"))
    number: Mapped[int]
    name: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(16))
    family: Mapped[str] = mapped_column(String(16))
    recipe: Mapped[str | None] = mapped_column(String(64))
    architecture: Mapped[str] = mapped_column(String(100))
    parameters: Mapped[int] = mapped_column(BigInteger, default=0)
    run_id: Mapped[str | None] = mapped_column(String(48), ForeignKey("runs.id", ondelete="SET NULL"), index=True)
    base_version_id: Mapped[str | None] = mapped_column(String(48), ForeignKey("model_versions.id", ondelete="RESTRICT"))
    commit_id: Mapped[str] = mapped_column(String(40))
    primary_metric: Mapped[str | None] = mapped_column(String(64))
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    recommended: Mapped[bool] = mapped_column(default=False)
    licence: Mapped[str | None] = mapped_column(String(100))
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    files: Mapped[list[Any]]
