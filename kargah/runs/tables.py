from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from kargah.store.base import Base, Owned


class Run(Base, Owned):
    """The record of a training over all its attempts, or of one that happened elsewhere (SDK, import): then ``job_id`` is null.

    ``params`` are the settings as really used, each {value, source, why, params}. ``status`` is the job's state, or
    RUNNING, COMPLETED, FAILED for a run without one. ``summary`` holds per model the final metrics with intervals;
    what was ``foreseen`` of time and memory, and the ``outcome``.
    """

    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_list", "workspace_id", "id"),
        Index("ix_runs_recipes", "workspace_id", "recipe", "job_id"),
        Index("ix_runs_usual", "workspace_id", "recipe", "status", "id"),
    )
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    job_id: Mapped[str | None] = mapped_column(String(48), ForeignKey("jobs.id", ondelete="CASCADE"), unique=True)
    title: Mapped[str] = mapped_column(String(300))
    title_folded: Mapped[str] = mapped_column(String(300), default="")
    recipe: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    tags: Mapped[dict[str, Any]] = mapped_column(default=dict)
    summary: Mapped[dict[str, Any]] = mapped_column(default=dict)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class LatestMetric(Base):
    """The last value of each metric of a run: what lists and comparisons read, without touching a history."""

    __tablename__ = "latest_metrics"
    run_id: Mapped[str] = mapped_column(String(48), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    value: Mapped[float | None]
    step: Mapped[int]
    at: Mapped[datetime]


class RunInput(Base):
    """A run used this data set version: RESTRICT keeps what a run stands on from being purged."""

    __tablename__ = "run_inputs"
    run_id: Mapped[str] = mapped_column(String(48), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    dataset_version_id: Mapped[str] = mapped_column(
        String(48), ForeignKey("dataset_versions.id", ondelete="RESTRICT"), primary_key=True, index=True
    )


class RunSource(Base):
    """What a run begins with or learns from besides data: a model version by its id, or another job's checkpoint (``checkpoint_key``).

    It says who uses what, and keeps nothing: a run has its own copy of what it began with.
    """

    __tablename__ = "run_sources"
    run_id: Mapped[str] = mapped_column(String(48), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    source: Mapped[str] = mapped_column(String(48), primary_key=True, index=True)


def checkpoint_key(job_id: str, step: int) -> str:
    """What the checkpoints of one step of a job are known by elsewhere."""
    return f"{job_id}@{step}"
