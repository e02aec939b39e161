"""The states of a job, the table of legal moves, and the one way to make a move."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from kargah.jobs.tables import Job
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
    job = session.scalars(select(Job).where(Job.id == job_id).with_for_update().execution_options(populate_existing=True)).one_or_none()
    if job is None:
        raise NotFound(kind="jobs", id=job_id)
    if fence is not None and (job.attempt, job.lease_owner) != (fence.attempt, fence.lease_owner):
        raise LeaseLost(id=job_id)
    return job


def move(session: Session, job: Job, to: State, fence: Fence | None = None) -> None:
    """Change the state, if the table allows it and nobody was quicker; agents pass their ``fence``."""
    if to not in MOVES[State(job.state)]:
        raise IllegalMove(id=job.id, state=shown(job.state).value, to=to.value)
    statement = update(Job).where(Job.id == job.id, Job.state == job.state)
    if fence is not None:
        statement = statement.where(Job.attempt == fence.attempt, Job.lease_owner == fence.lease_owner)
    changed = session.execute(statement.values(state=to.value))
    assert isinstance(changed, CursorResult)
    if changed.rowcount == 0:
        raise LeaseLost(id=job.id)


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
