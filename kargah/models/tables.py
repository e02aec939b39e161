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
    """A folder of files that answers, never changed. ``source``: training, baseline, local (imported from disk) or hub (downloaded).

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
    base_version_id: Mapped[str | None] = mapped_column(String(48), ForeignKey("model_versions.id", ondelete="RESTRICT"), index=True)
    commit_id: Mapped[str] = mapped_column(String(40))
    primary_metric: Mapped[str | None] = mapped_column(String(64))
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    recommended: Mapped[bool] = mapped_column(default=False)
    licence: Mapped[str | None] = mapped_column(String(100))
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    files: Mapped[list[Any]]


class Download(Base, Owned):
    """A repository of a hub on its way here: what is wanted, and what became of it. How far it is is the job's to say.

    ``active_user`` and ``active_peer`` hold whose and from which address it is as long as it is not over, and are unique: one
    download at a time. ``model_id`` or ``dataset_id``: what it was made into.
    """

    __tablename__ = "downloads"
    __table_args__ = (
        UniqueConstraint("active_user"),
        UniqueConstraint("active_peer"),
        Index("ix_downloads_repository", "workspace_id", "kind", "repository", "id"),
    )
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    repository: Mapped[str] = mapped_column(String(200))
    revision: Mapped[str] = mapped_column(String(200))
    job_id: Mapped[str] = mapped_column(String(48), ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    asset_id: Mapped[str | None] = mapped_column(String(48), ForeignKey("assets.id", ondelete="SET NULL"))
    model_id: Mapped[str | None] = mapped_column(String(48), ForeignKey("models.id", ondelete="SET NULL"))
    dataset_id: Mapped[str | None] = mapped_column(String(48), ForeignKey("datasets.id", ondelete="SET NULL"))
    commit_id: Mapped[str | None] = mapped_column(String(40))
    finished_at: Mapped[datetime | None]
    active_user: Mapped[str | None] = mapped_column(String(48))
    active_peer: Mapped[str | None] = mapped_column(String(64))


class AllowedRepository(Base, Owned):
    """What may be downloaded besides the catalogue. ``pattern``: one repository, or all of an organisation (``name/*``)."""

    __tablename__ = "allowed_repositories"
    __table_args__ = (UniqueConstraint("workspace_id", "kind", "pattern"),)
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    pattern: Mapped[str] = mapped_column(String(200))
