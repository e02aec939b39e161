"""Who runs next: by priority, then each owner in turn, as long as there is room. One claim a transaction, and no two of these at once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from kargah.contract.events import Claimed, Waiting
from kargah.jobs import history, states
from kargah.jobs.resources import Grant, Lack, Room, Wants, free_memory_bytes, room_of, running_on
from kargah.jobs.states import State
from kargah.jobs.tables import Attempt, Dependency, Job
from kargah.jobs.terms import Terms, estimated_memory_bytes
from kargah.kit.clock import utc_now
from kargah.store.database import now_of

LOOKED_AT = 100
#: Those who wait for these keep nobody behind them from starting.
NOT_FOR_ROOM = frozenset({"USER_LIMIT", "TIME_WINDOW", "GPUS_ABSENT"})


@dataclass(frozen=True)
class Seat:
    """An agent's place: who it is, on which host, and what it may give out. ``memory_bytes`` null: memory is not counted.

    ``jobs_per_user``: how many of one user's jobs may run at once on all hosts, light ones aside.
    """

    agent_id: str
    host: str
    boot_id: str
    cores: int
    job_threads: int | None
    lease_seconds: float
    kinds: frozenset[str]
    light_kinds: frozenset[str] = frozenset()
    memory_bytes: int | None = None
    gpus: tuple[str, ...] = ()
    jobs_per_user: int | None = None
    free_memory: Callable[[], int] = free_memory_bytes


@dataclass
class Look:
    """What one look at the queue led to: at most one job claimed, why others must wait, and of whom to say so."""

    claimed: Job | None = None
    grant: Grant | None = None
    waiting: dict[str, Lack] = field(default_factory=dict)
    news: list[str] = field(default_factory=list)


def claim_next(session: Session, seat: Seat, left_alone: frozenset[str] = frozenset()) -> Look:
    """To be called in ``database.serialised()``. ``left_alone``: jobs whose last attempt is still on its way out."""
    look = Look()
    full = _owners_with_enough(session, seat)
    queue = [row for row in session.execute(_in_turn(session, seat)) if row.id not in left_alone]
    heavy = sum(1 for row in queue if row.kind not in seat.light_kinds and row.owner_id not in full)
    room = _room(session, seat)
    for row in queue:
        answer = _answer(session, seat, row, room, heavy, full)
        if isinstance(answer, Grant):
            look.claimed, look.grant = _claim(session, seat, row.id, answer), answer
            return look
        if isinstance(answer, Lack):
            look.waiting[row.id] = answer
            if _is_news(row.waiting, answer):
                look.news.append(row.id)
            if answer.code not in NOT_FOR_ROOM:
                room = room.without(_wants(session, seat, row))
    return look


def _answer(session: Session, seat: Seat, row: Row[Any], room: Room, heavy: int, full: frozenset[str]) -> Grant | Lack | None:
    """What one queued job gets, or why not; None for a light one that waits its short while."""
    window = Terms.model_validate(row.terms).window
    if window is not None and not window.is_open(now_of(session)):
        return Lack("TIME_WINDOW", {"opens_at": window.opens_at(now_of(session)).isoformat()})
    if row.kind in seat.light_kinds:
        return Grant(1) if room.light > 0 else None
    if row.owner_id in full:
        return Lack("USER_LIMIT", {"limit": seat.jobs_per_user})
    return room.grant(_wants(session, seat, row), heavy)


def say_waiting(session: Session, job_id: str, code: str, params: dict[str, Any]) -> None:
    """Each reason once, however long it takes; its figures are kept fresh for lists."""
    job = states.lock(session, job_id)
    if job.state != State.QUEUED:
        return
    said = (job.waiting or {}).get("code")
    job.waiting = {"code": code, "params": params}
    if code == "TIME_WINDOW":
        job.not_before = datetime.fromisoformat(params["opens_at"])  # so that no claim looks at it before
    if said != code:
        history.append(session, job, Waiting(at=utc_now(), code=code, params=params))


def _is_news(waiting: dict[str, Any] | None, lack: Lack) -> bool:
    """Whether people should be told: another reason, or a forecast that has moved by more than a tenth."""
    if waiting is None or waiting["code"] != lack.code:
        return True
    before, now = waiting["params"].get("about_seconds"), lack.params.get("about_seconds")
    return before is not None and now is not None and abs(now - before) > max(5.0, before / 10)


def has_queue(session: Session, seat: Seat) -> bool:
    """Whether a claim is worth the lock."""
    return session.scalar(_due(session, seat, Job.id).limit(1)) is not None


def unfinished_dependency() -> Any:
    """The condition that a job waits for another, for a query over Job."""
    before = aliased(Job)
    return exists().where(Dependency.job_id == Job.id, before.id == Dependency.after_id, before.state != State.COMPLETED)


def _in_turn(session: Session, seat: Seat) -> Select[Any]:
    """Within a priority owners take turns: one who has little running goes before one who has much."""
    holder = aliased(Job)
    active = select(func.count()).where(holder.owner_id == Job.owner_id, holder.state.in_(states.ACTIVE)).correlate(Job).scalar_subquery()
    own = func.row_number().over(partition_by=(Job.priority, Job.owner_id), order_by=(Job.place, Job.queued_at, Job.id))
    columns = (Job.id, Job.kind, Job.owner_id, Job.threads_wanted, Job.attempt, Job.terms, Job.waiting)
    due = _due(session, seat, *columns)
    return due.order_by(Job.priority.desc(), own + active, Job.place, Job.queued_at, Job.id).limit(LOOKED_AT)


def _due(session: Session, seat: Seat, *columns: Any) -> Select[Any]:
    due = or_(Job.not_before.is_(None), Job.not_before <= now_of(session))
    return select(*columns).where(Job.state == State.QUEUED, Job.kind.in_(seat.kinds), due, ~unfinished_dependency())


def _owners_with_enough(session: Session, seat: Seat) -> frozenset[str]:
    if seat.jobs_per_user is None:
        return frozenset()
    counted = select(Job.owner_id).where(Job.state.in_(states.ACTIVE), Job.kind.not_in(seat.light_kinds))
    return frozenset(session.scalars(counted.group_by(Job.owner_id).having(func.count() >= seat.jobs_per_user)))


def _room(session: Session, seat: Seat) -> Room:
    running = running_on(session, seat.host, seat.light_kinds)
    return room_of(seat.cores, seat.memory_bytes, seat.free_memory(), seat.gpus, running)


def _wants(session: Session, seat: Seat, row: Row[Any]) -> Wants:
    """A job that goes on gets what it began with: other counts of threads change the last bits."""
    terms = Terms.model_validate(row.terms)
    plan = session.scalars(select(Job.plan).where(Job.id == row.id)).one()
    guess = estimated_memory_bytes(sum(file.get("size_bytes", 0) for file in plan.get("inputs", [])))
    memory_bytes = terms.memory_bytes or (guess if seat.memory_bytes is not None else 0)
    first = session.execute(_first_attempt(row.id)).one_or_none() if row.attempt else None
    if first is not None:
        return Wants(first.threads, memory_bytes, len(first.gpus), terms.memory_bytes is None)
    gpus = terms.gpus if terms.gpus is not None else min(1, len(seat.gpus))
    return Wants(row.threads_wanted or seat.job_threads, memory_bytes, gpus, terms.memory_bytes is None)


def _first_attempt(job_id: str) -> Select[Any]:
    return select(Attempt.threads, Attempt.gpus).where(Attempt.job_id == job_id).order_by(Attempt.number).limit(1)


def _claim(session: Session, seat: Seat, job_id: str, grant: Grant) -> Job | None:
    job = states.lock(session, job_id)
    if job.state != State.QUEUED:
        return None  # stopped a moment ago
    states.move(session, job, State.STARTING)
    now = now_of(session)
    job.attempt += 1
    job.lease_owner, job.lease_expires_at = seat.agent_id, now + timedelta(seconds=seat.lease_seconds)
    job.waiting, job.not_before, job.paused_for, job.started_at = None, None, None, job.started_at or now
    session.add(
        Attempt(
            job_id=job.id, number=job.attempt, host=seat.host, boot_id=seat.boot_id, threads=grant.threads,
            memory_bytes=grant.memory_bytes, gpus=grant.gpus, offset_bytes=0, line=0,
        )
    )  # fmt: skip
    history.append(session, job, Claimed(at=utc_now(), attempt=job.attempt, threads=grant.threads))
    return job
