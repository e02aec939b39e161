"""Who runs next: by priority, then age, as long as cores are free. One claim a transaction, and no two of these at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from kargah.contract.events import Claimed, Waiting
from kargah.jobs import history, states
from kargah.jobs.states import State
from kargah.jobs.tables import Attempt, Job
from kargah.kit.clock import utc_now
from kargah.store.database import now_of

LOOKED_AT = 100
LIGHT_BEYOND_CORES = 2


@dataclass(frozen=True)
class Seat:
    """An agent's place: who it is, on which host, and what it may give out."""

    agent_id: str
    host: str
    boot_id: str
    cores: int
    job_threads: int | None
    lease_seconds: float
    kinds: frozenset[str]
    light_kinds: frozenset[str] = frozenset()


@dataclass
class Look:
    """What one look at the queue led to: at most one job claimed, and those that must wait."""

    claimed: Job | None = None
    threads: int = 0
    waiting: list[str] = field(default_factory=list)


def claim_next(session: Session, seat: Seat, left_alone: frozenset[str] = frozenset()) -> Look:
    """To be called in ``database.serialised()``. ``left_alone``: jobs whose last attempt is still on its way out."""
    look = Look()
    queue = [job for job in _queue(session, seat) if job.id not in left_alone]
    heavy = [job for job in queue if job.kind not in seat.light_kinds]
    free, light_free = _room(session, seat)
    for job in queue:
        if job.kind in seat.light_kinds:
            threads = 1 if light_free > 0 else 0
        elif look.waiting:
            threads = 0  # none overtakes one that waits for more cores, or that one would wait for ever
        else:
            threads = _granted(seat, job.threads_wanted, _pinned(session, job), free, len(heavy))
        if threads:
            look.claimed, look.threads = _claim(session, seat, job.id, threads), threads
            return look
        if job in heavy:
            look.waiting.append(job.id)
    return look


def say_waiting(session: Session, job_id: str, code: str, params: dict[str, Any]) -> None:
    """Once for each reason, however long it takes."""
    job = states.lock(session, job_id)
    if job.state == State.QUEUED and (job.waiting or {}).get("code") != code:
        job.waiting = {"code": code, "params": params}
        history.append(session, job, Waiting(at=utc_now(), code=code, params=params))


def has_queue(session: Session, seat: Seat) -> bool:
    """Whether a claim is worth the lock."""
    return session.scalars(_due(session, seat).limit(1)).first() is not None


def _queue(session: Session, seat: Seat) -> Sequence[Job]:
    return session.scalars(_due(session, seat).order_by(Job.priority.desc(), Job.queued_at, Job.id).limit(LOOKED_AT)).all()


def _due(session: Session, seat: Seat) -> Select[Job]:
    due = or_(Job.not_before.is_(None), Job.not_before <= now_of(session))
    return select(Job).where(Job.state == State.QUEUED, Job.kind.in_(seat.kinds), due)


def _room(session: Session, seat: Seat) -> tuple[int, int]:
    """(cores free for work that fills them, light jobs that may still start)."""
    active = (
        select(Job.kind, Attempt.threads)
        .join(Attempt, (Attempt.job_id == Job.id) & (Attempt.number == Job.attempt))
        .where(Job.state.in_(states.ACTIVE), Attempt.host == seat.host)
    )
    running = session.execute(active).all()
    taken = sum(threads for kind, threads in running if kind not in seat.light_kinds)
    light = sum(1 for kind, _ in running if kind in seat.light_kinds)
    free = seat.cores - taken
    return free, max(0, free) + LIGHT_BEYOND_CORES - light


def _granted(seat: Seat, wanted: int | None, pinned: int | None, free: int, waiting: int) -> int:
    """Threads for one job, 0 when it must wait. A job that goes on gets what it began with: other counts change the last bits."""
    fixed = pinned or wanted or seat.job_threads
    if fixed:
        threads = min(fixed, seat.cores)
        return threads if threads <= free else 0
    return max(1, free // max(1, waiting)) if free > 0 else 0


def _pinned(session: Session, job: Job) -> int | None:
    if job.attempt == 0:
        return None
    return session.scalar(select(Attempt.threads).where(Attempt.job_id == job.id).order_by(Attempt.number).limit(1))


def _claim(session: Session, seat: Seat, job_id: str, threads: int) -> Job | None:
    job = states.lock(session, job_id)
    if job.state != State.QUEUED:
        return None  # stopped a moment ago
    states.move(session, job, State.STARTING)
    now = now_of(session)
    job.attempt += 1
    job.lease_owner, job.lease_expires_at = seat.agent_id, now + timedelta(seconds=seat.lease_seconds)
    job.waiting, job.not_before, job.started_at = None, None, job.started_at or now
    session.add(Attempt(job_id=job.id, number=job.attempt, host=seat.host, boot_id=seat.boot_id, threads=threads, offset_bytes=0, line=0))
    history.append(session, job, Claimed(at=utc_now(), attempt=job.attempt, threads=threads))
    return job
