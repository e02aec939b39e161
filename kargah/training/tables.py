from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from kargah.store.base import Base, Owned


class Evaluation(Base, Owned):
    """A model, or two, measured on a data set version by a job. ``result`` is its EvaluateResult; ``files`` as in Asset.files.

    ``run_id``: a training under way whose recommended model it will be; then ``model_version_id`` is null until that is made.
    It goes with the data: a table of errors holds its rows.
    """

    __tablename__ = "evaluations"
    __table_args__ = (Index("ix_evaluations_list", "workspace_id", "id"),)
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    title: Mapped[str] = mapped_column(String(300))
    recipe: Mapped[str] = mapped_column(String(64))
    job_id: Mapped[str] = mapped_column(String(48), ForeignKey("jobs.id", ondelete="CASCADE"), unique=True)
    run_id: Mapped[str | None] = mapped_column(String(48), ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    model_version_id: Mapped[str | None] = mapped_column(String(48), ForeignKey("model_versions.id", ondelete="CASCADE"), index=True)
    other_version_id: Mapped[str | None] = mapped_column(String(48), ForeignKey("model_versions.id", ondelete="CASCADE"), index=True)
    dataset_version_id: Mapped[str] = mapped_column(String(48), ForeignKey("dataset_versions.id", ondelete="CASCADE"), index=True)
    part: Mapped[str] = mapped_column(String(16))
    result: Mapped[dict[str, Any] | None]
    files: Mapped[list[Any] | None]
