from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from kargah.store.base import Base, Created, Owned


class Job(Base, Owned):
    """One piece of long work. ``state`` moves only by jobs.states; every write is fenced by (attempt, lease_owner).

    ``progress`` is the latest picture for lists: {percent, step, total_steps, epoch, total_epochs, done, total, unit,
    metrics, code, params, eta_seconds}. ``error`` and ``waiting`` are {code, params}. ``last_seq`` numbers its events.
    ``place`` orders its owner's jobs within a priority; ``terms`` is a jobs.terms.Terms. ``submission_key``: its owner's own name
    for this one request. ``paused_for``: why the scheduler paused it, null when a person did.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_state", "state"),
        Index("ix_jobs_list", "workspace_id", "id"),
        Index("ix_jobs_kinds", "workspace_id", "kind", "id", "state"),
        Index("ix_jobs_states", "workspace_id", "kind", "state", "id"),
        Index("ix_jobs_over", "workspace_id", "finished_at"),
        Index("ix_jobs_submission", "owner_id", "submission_key", unique=True),
    )
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    title: Mapped[str] = mapped_column(String(300))
    title_folded: Mapped[str] = mapped_column(String(300), default="")
    state: Mapped[str] = mapped_column(String(16))
    plan: Mapped[dict[str, Any]]
    priority: Mapped[int] = mapped_column(default=0)
    threads_wanted: Mapped[int | None]
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int] = mapped_column(default=5)
    lease_owner: Mapped[str | None] = mapped_column(String(64))
    lease_expires_at: Mapped[datetime | None]
    last_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    progress: Mapped[dict[str, Any]] = mapped_column(default=dict)
    waiting: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    queued_at: Mapped[datetime]
    not_before: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    deadline: Mapped[datetime | None]
    place: Mapped[int] = mapped_column(BigInteger, default=0)
    terms: Mapped[dict[str, Any]] = mapped_column(default=dict)
    submission_key: Mapped[str | None] = mapped_column(String(255))
    paused_for: Mapped[str | None] = mapped_column(String(32))


# The state stands in it that SQLite, which knows no statistics of ours, may prefer it.
_QUEUED = text("state = 'QUEUED'")
Index("ix_jobs_queue", Job.state, Job.priority.desc(), Job.place, Job.queued_at, Job.id, postgresql_where=_QUEUED, sqlite_where=_QUEUED)


class Dependency(Base):
    """The job waits until the one named ``after_id`` is COMPLETED."""

    __tablename__ = "job_dependencies"
    job_id: Mapped[str] = mapped_column(String(48), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    after_id: Mapped[str] = mapped_column(String(48), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, index=True)


class Attempt(Base, Created):
    """One try of a job: a process and its directory. ``offset_bytes`` and ``line`` say how far its events were carried.

    ``threads``, ``memory_bytes`` and ``gpus`` (their ids) are granted: nobody else gets them while it runs.
    """

    __tablename__ = "attempts"
    job_id: Mapped[str] = mapped_column(String(48), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(String(200))
    boot_id: Mapped[str] = mapped_column(String(64), default="")
    pid: Mapped[int | None]
    pid_started_at: Mapped[float | None]
    threads: Mapped[int]
    memory_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    gpus: Mapped[list[Any]] = mapped_column(default=list)
    offset_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    line: Mapped[int] = mapped_column(BigInteger, default=0)
    launched_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(32))


class EventRow(Base):
    """An event as stored. ``position`` orders all events of all jobs; ``line`` is null for the scheduler's own (attempt 0)."""

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("job_id", "attempt", "line"), Index("ix_events_job_kind", "job_id", "kind", "seq"))
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    job_id: Mapped[str] = mapped_column(String(48), ForeignKey("jobs.id", ondelete="CASCADE"))
    seq: Mapped[int] = mapped_column(BigInteger)
    attempt: Mapped[int] = mapped_column(default=0)
    line: Mapped[int | None] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime]
    payload: Mapped[dict[str, Any]]


class StepBlock(Base):
    """Many old step events in one compressed row, so that a curve of any length opens in the same time.

    ``content``: zlib of the events as JSON lines, each with its position, seq, attempt and line (nothing is lost).
    ``summary``: per metric, min, max, mean and last in each of at most 64 buckets of steps.
    """

    __tablename__ = "step_blocks"
    job_id: Mapped[str] = mapped_column(String(48), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    first_seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    last_seq: Mapped[int] = mapped_column(BigInteger)
    first_position: Mapped[int] = mapped_column(BigInteger)
    last_position: Mapped[int] = mapped_column(BigInteger, index=True)
    count: Mapped[int]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    summary: Mapped[dict[str, Any]]


class Agent(Base, Created):
    """A process that runs jobs on a host. Its id is fresh at each start; the row goes only after its jobs were rescued.

    (pid, pid_started_at) tells on its own host whether it lives; ``heartbeat_at`` is the database's clock.
    """

    __tablename__ = "agents"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    host: Mapped[str] = mapped_column(String(200))
    pid: Mapped[int]
    pid_started_at: Mapped[float]
    cores: Mapped[int]
    heartbeat_at: Mapped[datetime]


class Notice(Base, Created):
    """What somebody should know of a job without having watched it. ``position`` is that of the event that says it.

    ``kind``: finished, failed or attention. The text is that of key ``code`` with ``params``; ``reason`` is a {code, params} of its own.
    """

    __tablename__ = "notices"
    __table_args__ = (UniqueConstraint("user_id", "position"), Index("ix_notices_unread", "user_id", "read_at"))
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(48), ForeignKey("users.id", ondelete="CASCADE"))
    job_id: Mapped[str] = mapped_column(String(48), ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    position: Mapped[int] = mapped_column(BigInteger, index=True)
    kind: Mapped[str] = mapped_column(String(16))
    code: Mapped[str] = mapped_column(String(64))
    params: Mapped[dict[str, Any]]
    reason: Mapped[dict[str, Any] | None]
    read_at: Mapped[datetime | None]


class Outgoing(Base, Created):
    """A notice that other channels (mail, web hooks) have still to carry out: written with it, in one transaction.

    ``payload`` is all that a channel needs. ``tries`` and ``not_before`` belong to the one that drains; ``drained_at`` ends it.
    """

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_waiting", "drained_at", "not_before"),)
    notice_id: Mapped[str] = mapped_column(String(48), ForeignKey("notices.id", ondelete="CASCADE"), primary_key=True)
    payload: Mapped[dict[str, Any]]
    tries: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime | None]
    drained_at: Mapped[datetime | None]


#: Without the ORM around them: what it puts around a small statement costs a third of it, and some are asked over and over.
JOBS, DEPENDENCIES, ATTEMPTS, EVENTS, NOTICES, OUTBOX = (
    Base.metadata.tables[one.__tablename__] for one in (Job, Dependency, Attempt, EventRow, Notice, Outgoing)
)
