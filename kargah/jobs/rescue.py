"""What is left when something died: attempts without an agent are taken over, jobs without a worker are queued again.

Unreachable is not failed: only a host's own agent declares its attempts dead, when the kernel says so.
"""

import signal
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from kargah.contract import memory
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Failed, Interrupted, Paused, Queued, Stopped, Waiting
from kargah.jobs import history, processes, states
from kargah.jobs.claims import Seat
from kargah.jobs.processes import ProcessId
from kargah.jobs.service import tail_of
from kargah.jobs.states import Fence, State
from kargah.jobs.supervision import Held, hold
from kargah.jobs.tables import Agent, Attempt, EventRow, Job
from kargah.jobs.terms import Terms
from kargah.kit.clock import utc_now
from kargah.store.database import Database, now_of

EVIDENCE_BYTES = 4096
INTERRUPTED = "INTERRUPTED"
OUT_OF_MEMORY = "OUT_OF_MEMORY"
DISK_LOOK_SECONDS = 10.0


def take_over(database: Database, home: Path, seat: Seat, held: Collection[str]) -> list[Held]:
    """Attempts of this host whose agent is gone (or is this one, which forgot them), now answered for by this one."""
    with database.read() as session:
        found = [*_running_here(session, seat), *_left_by_the_dead(session, seat)]
        orphans = [job.id for job in found if job.id not in held and _is_orphan(session, job, seat)]
    taken = []
    for job_id in orphans:
        with database.serialised() as session:
            job = states.lock(session, job_id)
            if (job.state in states.ACTIVE or job.lease_owner is not None) and _is_orphan(session, job, seat):
                job.lease_owner, job.lease_expires_at = seat.agent_id, now_of(session) + timedelta(seconds=seat.lease_seconds)
                attempt = session.get_one(Attempt, (job.id, job.attempt))
                taken.append(hold(home, job.id, job.kind, Fence(job.attempt, seat.agent_id), attempt, seat.boot_id))
    return taken


def forget_dead_agents(session: Session, seat: Seat) -> None:
    """Their rows go once nothing is held in their name."""
    owners = select(Job.lease_owner).where(Job.lease_owner.is_not(None))
    session.execute(delete(Agent).where(Agent.id.in_(_dead_agents(session, seat)), Agent.id.not_in(owners)))


def close(session: Session, held: Held) -> None:
    """The worker is dead and all its lines are carried: end the attempt, and the job or its interruption with it."""
    job = states.lock(session, held.job_id, held.fence)
    attempt = session.get_one(Attempt, (job.id, held.fence.attempt))
    attempt.ended_at = utc_now()
    if job.state == State.STOPPING:
        states.move(session, job, State.STOPPED, held.fence)
        job.finished_at = utc_now()
        history.append(session, job, Stopped(at=utc_now(), step=job.progress.get("step")))
    elif held.condemned is not None and job.state in {*states.ACTIVE, State.QUEUED, State.INTERRUPTED}:
        fail(session, job, held.fence, held.condemned.code, held.condemned.params)
    elif job.state in states.ACTIVE:
        told = _told_by_worker(session, held)
        attempt.outcome = INTERRUPTED if told is None else told.code
        session.flush()
        _interrupted(session, job, held, told)
    attempt.outcome = attempt.outcome or job.state
    job.lease_owner = job.lease_expires_at = None


def fail(session: Session, job: Job, fence: Fence | None, code: str, params: dict[str, Any], evidence: str | None = None) -> None:
    """An end that the scheduler itself must say."""
    states.walk(session, job, State.FAILED, fence)
    job.error, job.finished_at, job.waiting = {"code": code, "params": params}, utc_now(), None
    history.append(session, job, Failed(at=utc_now(), code=code, params=params, evidence=evidence))


def _running_here(session: Session, seat: Seat) -> list[Job]:
    here = (
        select(Job)
        .join(Attempt, (Attempt.job_id == Job.id) & (Attempt.number == Job.attempt))
        .where(Job.state.in_(states.ACTIVE), Attempt.host == seat.host)
        .order_by(Job.id)
    )
    return list(session.scalars(here))


def _left_by_the_dead(session: Session, seat: Seat) -> list[Job]:
    """Jobs whose agent died between their attempt's last word and its end: that attempt is still to be closed."""
    dead = _dead_agents(session, seat)
    if not dead:
        return []
    return list(session.scalars(select(Job).where(Job.lease_owner.in_(dead), Job.state.not_in(states.ACTIVE)).order_by(Job.id)))


def _dead_agents(session: Session, seat: Seat) -> list[str]:
    others = session.scalars(select(Agent).where(Agent.host == seat.host, Agent.id != seat.agent_id))
    return [agent.id for agent in others if not processes.lives(ProcessId(agent.pid, agent.pid_started_at))]


def _is_orphan(session: Session, job: Job, seat: Seat) -> bool:
    """Its agent is this one, or provably dead, or silent for longer than its lease."""
    if job.lease_owner is None or job.lease_owner == seat.agent_id:
        return True
    owner = session.get(Agent, job.lease_owner)
    if owner is None or not processes.lives(ProcessId(owner.pid, owner.pid_started_at)):
        return True
    return job.lease_expires_at is not None and job.lease_expires_at < now_of(session)


def put_back(session: Session, job: Job, fence: Fence, needed_bytes: int, free_bytes: int) -> None:
    """The disk has no room for its inputs: it waits for some, and this was no attempt of its own fault."""
    states.move(session, job, State.QUEUED, fence)
    params = {"needed_bytes": needed_bytes, "free_bytes": free_bytes}
    job.not_before, job.waiting = now_of(session) + timedelta(seconds=DISK_LOOK_SECONDS), {"code": "DISK_FULL", "params": params}
    attempt = session.get_one(Attempt, (job.id, fence.attempt))
    attempt.ended_at, attempt.outcome = utc_now(), "DISK_FULL"
    job.lease_owner = job.lease_expires_at = None
    history.append(session, job, Waiting(at=utc_now(), code="DISK_FULL", params=params))


def _told_by_worker(session: Session, held: Held) -> Interrupted | None:
    """The last word of a worker that the system asked to end. Such ends do not count as tries: nothing was wrong with the job."""
    told = select(EventRow).where(EventRow.job_id == held.job_id, EventRow.attempt == held.fence.attempt, EventRow.kind == "Interrupted")
    row = session.scalars(told).first()
    return None if row is None else Interrupted(at=row.at, **row.payload)


def _interrupted(session: Session, job: Job, held: Held, told: Interrupted | None) -> None:
    code, params = _reason(held) if told is None else (told.code, told.params)
    said = [Interrupted(at=utc_now(), code=code, params=params)] if told is None else []
    if code == OUT_OF_MEMORY and job.plan.get("kind") == "train":
        job.plan = {**job.plan, "memory_splits": 2 * job.plan.get("memory_splits", 1)}
    if job.state == State.PAUSING:  # it was to free its hardware, and it has; it goes on from its last checkpoint
        states.move(session, job, State.PAUSED, held.fence)
        history.append(session, job, *said, Paused(at=utc_now(), step=job.progress.get("step") or 0))
        return
    if job.state != State.STARTING:
        states.move(session, job, State.INTERRUPTED, held.fence)
    history.append(session, job, *said)
    times = _times_interrupted(session, job.id)
    retry = Terms.model_validate(job.terms).retry
    if times >= job.max_attempts:
        tail = tail_of(AttemptDirectory(held.directory.path).log, EVIDENCE_BYTES)
        fail(session, job, held.fence, "ATTEMPTS_EXHAUSTED", {"attempts": times}, evidence=tail or None)
        return
    states.move(session, job, State.QUEUED, held.fence)
    job.not_before = now_of(session) + timedelta(seconds=retry.wait_seconds(max(1, times)))
    job.waiting = {"code": code, "params": params}
    history.append(session, job, Queued(at=utc_now()))


def _reason(held: Held) -> tuple[str, dict[str, Any]]:
    if held.rebooted:
        return "HOST_RESTARTED", {}
    status = held.exit_status
    if status in (None, -signal.SIGKILL) and held.signalled is None and memory.ran_out(memory.read(held.directory.memory)):
        return OUT_OF_MEMORY, {}
    if status is None:
        return "WORKER_GONE", {}
    return ("WORKER_KILLED", {"signal": -status}) if status < 0 else ("WORKER_ENDED", {"status": status})


def _times_interrupted(session: Session, job_id: str) -> int:
    """In a row, without real progress between them: an attempt that saved a further checkpoint begins the count anew.

    Attempts that ended by themselves or by others count; those that a person paused do not.
    """
    counted = select(func.count()).where(Attempt.job_id == job_id, Attempt.outcome == INTERRUPTED)
    return session.scalar(counted.where(Attempt.number >= _last_with_progress(session, job_id))) or 0


def _last_with_progress(session: Session, job_id: str) -> int:
    saved = select(EventRow.attempt, EventRow.payload).where(EventRow.job_id == job_id, EventRow.kind == "Saved").order_by(EventRow.seq)
    last, furthest = 0, 0
    for row in session.execute(saved):
        if row.payload["step"] > furthest:
            last, furthest = row.attempt, row.payload["step"]
    return last
