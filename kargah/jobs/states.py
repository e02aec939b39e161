"""The states of a job, the table of legal moves, and the one way to make a move."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CursorResult, bindparam, func, null, select, update
from sqlalchemy.orm import Session, defer

from kargah.jobs.tables import JOBS, Attempt, Job
from kargah.kit.errors import Conflict, IllegalMove, NotFound


class State(StrEnum):
    QUEUED = "QUEUED"
    STARTING = "STARTING"
    LOADING = "LOADING"
    RUNNING = "RUNNING"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    INTERRUPTED = "INTERRUPTED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


def _states(names: str) -> frozenset[State]:
    return frozenset(State(name) for name in names.split())


MOVES: Mapping[State, frozenset[State]] = {
    State.QUEUED: _states("STARTING STOPPED"),
    State.STARTING: _states("LOADING QUEUED FAILED STOPPING"),
    State.LOADING: _states("RUNNING STOPPING FAILED INTERRUPTED"),
    State.RUNNING: _states("PAUSING STOPPING COMPLETED FAILED INTERRUPTED"),
    State.PAUSING: _states("PAUSED STOPPING COMPLETED FAILED INTERRUPTED"),
    State.PAUSED: _states("QUEUED STOPPED"),
    State.STOPPING: _states("STOPPED COMPLETED FAILED"),
    State.INTERRUPTED: _states("QUEUED FAILED"),
    State.COMPLETED: frozenset(),
    State.FAILED: frozenset(),
    State.STOPPED: frozenset(),
}

TERMINAL = _states("COMPLETED FAILED STOPPED")

#: In these an attempt of the job has, or is about to have, a process.
ACTIVE = _states("STARTING LOADING RUNNING PAUSING STOPPING")

#: The words of the documented routes where they differ from ours.
DOCUMENTED: Mapping[State, str] = {State.FAILED: "ERROR", State.INTERRUPTED: "QUEUED"}


_LOCK = select(Job).where(Job.id == bindparam("job_id")).with_for_update().execution_options(populate_existing=True)
# Not fetched for those who carry events: a plan is large, and each column costs a little. Who asks for one all the same gets it then.
_SELDOM_ASKED = (
    Job.plan, Job.title_folded, Job.priority, Job.threads_wanted, Job.max_attempts, Job.queued_at, Job.deadline, Job.place,
    Job.submission_key, Job.created_at, Attempt.host, Attempt.boot_id, Attempt.pid, Attempt.pid_started_at, Attempt.threads,
    Attempt.memory_bytes, Attempt.gpus, Attempt.launched_at, Attempt.created_at,
)  # fmt: skip
# In the order of the ids: two who lock several then wait for each other, never both.
_LOCK_ATTEMPTS = (
    select(Job, Attempt)
    .options(*(defer(one) for one in _SELDOM_ASKED))
    .join(Attempt, (Attempt.job_id == Job.id) & (Attempt.number == Job.attempt))
    .where(Job.id.in_(bindparam("job_ids", expanding=True)), Attempt.job_id.in_(bindparam("job_ids", expanding=True)))
    .order_by(Job.id)
    .with_for_update(of=Job)
    .execution_options(populate_existing=True)
)
_START = (
    update(JOBS)
    .where(JOBS.c.id.in_(bindparam("job_ids", expanding=True)), JOBS.c.state == State.QUEUED)
    .values(
        state=State.STARTING.value, attempt=JOBS.c.attempt + 1, last_seq=JOBS.c.last_seq + 1, lease_owner=bindparam("agent_id"),
        lease_expires_at=bindparam("lease_until"), waiting=null(), not_before=null(), paused_for=null(),
        started_at=func.coalesce(JOBS.c.started_at, bindparam("now", type_=JOBS.c.started_at.type)),
    )
    .returning(*JOBS.c)
)  # fmt: skip
_STARTED = select(Job).from_statement(_START).execution_options(populate_existing=True)


class LeaseLost(Conflict):
    """Another agent has taken the job over, or a newer attempt runs: nothing of this writer may be stored."""

    code = "LEASE_LOST"


@dataclass(frozen=True)
class Fence:
    """What an agent must still hold for its writes to count."""

    attempt: int
    lease_owner: str


def documented(state: str) -> str:
    return DOCUMENTED.get(State(state), state)


def shown(state: str) -> State:
    """An interrupted job is queued again at once; people see it as queued, with the reason beside it."""
    return State.QUEUED if state == State.INTERRUPTED else State(state)


def lock(session: Session, job_id: str, fence: Fence | None = None) -> Job:
    """The job, which nobody else can change until this transaction ends. Raises NotFound, or LeaseLost behind a ``fence``."""
    if job_id in _locked(session):
        return _behind(fence, session.get_one(Job, job_id))  # as this transaction has it: nobody else can have changed it
    job = session.scalars(_LOCK, {"job_id": job_id}).one_or_none()
    if job is None:
        raise NotFound(kind="jobs", id=job_id)
    _locked(session).add(job_id)
    return _behind(fence, job)


def lock_attempts(session: Session, fences: Mapping[str, Fence]) -> dict[str, tuple[Job, Attempt]]:
    """As ``lock``, several jobs by their ids, each with its present attempt, in one question."""
    found = {job.id: (job, attempt) for job, attempt in session.execute(_LOCK_ATTEMPTS, {"job_ids": list(fences)})}
    for job_id, fence in fences.items():
        if job_id not in found:
            raise LeaseLost(id=job_id)
        _behind(fence, found[job_id][0])
    _locked(session).update(found)
    return found


def _behind(fence: Fence | None, job: Job) -> Job:
    if fence is not None and (job.attempt, job.lease_owner) != (fence.attempt, fence.lease_owner):
        raise LeaseLost(id=job.id)
    return job


def _locked(session: Session) -> set[str]:
    """The jobs that this transaction has locked; a session lives for one transaction (store.database)."""
    locked: set[str] = session.info.setdefault("locked_jobs", set())
    return locked


def move(session: Session, job: Job, to: State, fence: Fence | None = None) -> None:
    """Change the state, if the table allows it and nobody was quicker; agents pass their ``fence``.

    Moves of a locked job are written together at the end of its transaction: several cost no more than one.
    """
    if to not in MOVES[State(job.state)]:
        raise IllegalMove(id=job.id, state=shown(job.state).value, to=to.value)
    if job.id in _locked(session):
        _behind(fence, job).state = to.value
        return
    statement = update(Job).where(Job.id == job.id, Job.state == job.state)
    if fence is not None:
        statement = statement.where(Job.attempt == fence.attempt, Job.lease_owner == fence.lease_owner)
    changed = session.execute(statement.values(state=to.value))
    assert isinstance(changed, CursorResult)
    if changed.rowcount == 0:
        raise LeaseLost(id=job.id)


def start(session: Session, job_ids: Sequence[str], agent_id: str, now: datetime, lease_until: datetime) -> list[Job]:
    """Give those of ``job_ids`` that are still QUEUED to an agent, for their next attempt; in the order of ``job_ids``, and locked.

    ``last_seq`` counts the event that says so, which the caller owes.
    """
    assert State.STARTING in MOVES[State.QUEUED]
    terms = {"job_ids": job_ids, "agent_id": agent_id, "lease_until": lease_until, "now": now}
    ours = {job.id: job for job in session.scalars(_STARTED, terms)}
    _locked(session).update(ours)
    return [ours[job_id] for job_id in job_ids if job_id in ours]


def walk(session: Session, job: Job, to: State, fence: Fence | None = None) -> None:
    """Move by the shortest legal way through active states: a worker may finish without having said that it runs."""
    ways: list[list[State]] = [[State(job.state)]]
    while ways:
        way = ways.pop(0)
        if to in MOVES[way[-1]]:
            for state in [*way[1:], to]:
                move(session, job, state, fence)
            return
        ways += [[*way, state] for state in State if state in MOVES[way[-1]] & ACTIVE and state not in way]
    raise IllegalMove(id=job.id, state=shown(job.state).value, to=to.value)
