"""Two sessions on PostgreSQL want the same job: whoever comes second waits, sees what the first has done, and does nothing wrong."""

import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from support.agents import seat
from support.databases import person

from kargah.contract.events import AnyEvent
from kargah.jobs import claims, collector, history, rescue, service, states
from kargah.jobs.states import TERMINAL, Fence, LeaseLost, State
from kargah.jobs.supervision import hold
from kargah.jobs.tables import Attempt, Job
from kargah.kit.errors import IllegalMove
from kargah.kit.ids import new_id
from kargah.store.access import Actor, Role
from kargah.store.database import WRITE_LOCK, Database

pytestmark = pytest.mark.postgres
Act = Callable[[Session, "Scene"], Any]
LIMIT_SECONDS = 30.0


class Scene:
    """A job, the agent that answers for it, and another one."""

    def __init__(self, database: Database, actor: Actor, home: Path, running: bool) -> None:
        self.database, self.actor, self.home = database, actor, home
        here = new_id("host")
        self.first, self.second = seat(host=here), seat(host=here)
        with database.write() as session:
            self.job_id = service.submit(session, actor, "count", "x", {}).id
        if running:
            with database.serialised() as session:
                claims.claim_next(session, self.first)
            with database.write() as session:
                states.walk(session, states.lock(session, self.job_id), State.RUNNING)

    @property
    def fence(self) -> Fence:
        return Fence(1, self.first.agent_id)


def claim(session: Session, scene: Scene) -> Any:
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITE_LOCK})
    return claims.claim_next(session, scene.second).claimed


def claim_by_the_first(session: Session, scene: Scene) -> Any:
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITE_LOCK})
    return claims.claim_next(session, scene.first).claimed


def stop(session: Session, scene: Scene) -> Any:
    return service.stop(session, scene.actor, scene.job_id)


def pause(session: Session, scene: Scene) -> Any:
    return service.pause(session, scene.actor, scene.job_id)


def finish(session: Session, scene: Scene) -> Any:
    event = AnyEvent.validate_python({"kind": "Finished", "at": "2026-11-21T10:00:00Z"})
    job = states.lock(session, scene.job_id, scene.fence)
    collector.apply(session, job, scene.fence, event)
    return history.append_lines(session, job, 1, [(1, event)])


def die(session: Session, scene: Scene) -> Any:
    return rescue.close(session, hold(scene.home, scene.job_id, "count", scene.fence))


def be_taken_over(session: Session, scene: Scene) -> Any:
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITE_LOCK})
    job = states.lock(session, scene.job_id)
    if job.state in states.ACTIVE:
        job.lease_owner = scene.second.agent_id
    return job


def interleave(scene: Scene, first: Act, second: Act) -> tuple[Any, Any]:
    """``first`` is done and not yet committed when ``second`` begins; then both go on. What each gave back, or the error it met."""
    outcome: list[Any] = [None]

    def other() -> None:
        outcome[0] = attempted(scene, second)

    with scene.database.write() as session:
        done = first(session, scene)
        session.flush()
        thread = threading.Thread(target=other)
        thread.start()
        wait_until_blocked(scene.database, thread)
    thread.join(LIMIT_SECONDS)
    assert not thread.is_alive()
    return done, outcome[0]


def attempted(scene: Scene, act: Act) -> Any:
    try:
        with scene.database.write() as session:
            return act(session, scene)
    except (IllegalMove, LeaseLost) as error:
        return error


def wait_until_blocked(database: Database, thread: threading.Thread) -> None:
    blocked = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
    until = time.monotonic() + LIMIT_SECONDS
    while thread.is_alive() and time.monotonic() < until:
        with database.engine.connect() as connection:
            if connection.execute(blocked).scalar_one():
                return
        time.sleep(0.005)


def consistent(scene: Scene) -> Job:
    """One end at most, no event lost or doubled, as many attempts as were claimed."""
    with scene.database.read() as session:
        job = session.get_one(Job, scene.job_id)
        events = history.events_after(session, 0, job_id=job.id)
        numbers = list(session.scalars(select(Attempt.number).where(Attempt.job_id == job.id).order_by(Attempt.number)))
    assert [event.seq for event in events] == list(range(1, job.last_seq + 1))
    assert len([event for event in events if event.kind in ("Finished", "Failed", "Stopped")]) == (job.state in TERMINAL)
    assert numbers == list(range(1, job.attempt + 1))
    assert len([event for event in events if event.kind == "Claimed"]) == job.attempt
    return job


@pytest.fixture
def scene_of(postgres_database: Database, tmp_path: Path) -> Callable[[bool], Scene]:
    return partial(Scene, postgres_database, person(postgres_database, Role.ADMIN), tmp_path)


@pytest.mark.parametrize(("first", "second"), [(claim, claim_by_the_first), (claim, stop), (stop, claim)])
def test_a_queued_job_that_two_want(scene_of: Callable[[bool], Scene], first: Act, second: Act) -> None:
    scene = scene_of(False)
    interleave(scene, first, second)
    job = consistent(scene)
    assert job.attempt == (0 if first is stop else 1)
    expected = {claim_by_the_first: State.STARTING, stop: State.STOPPING, claim: State.STOPPED}
    assert job.state == expected[second]


RUNNING = [finish, stop, pause, die, be_taken_over]


def test_a_running_job_that_two_want(scene_of: Callable[[bool], Scene]) -> None:
    for first, second in permutations(RUNNING, 2):
        scene = scene_of(True)
        interleave(scene, first, second)
        check(scene, first, second)
        with scene.database.write() as session:
            session.get_one(Job, scene.job_id).state = State.STOPPED  # out of the next scene's way


def check(scene: Scene, first: Act, second: Act) -> None:
    job, pair = consistent(scene), (first.__name__, second.__name__)
    if finish in (first, second) and be_taken_over is not first and die is not first:
        assert job.state == State.COMPLETED, pair  # the work was done, whatever was asked meanwhile
    if first is be_taken_over and second in (finish, die):
        assert (job.state, job.lease_owner) == (State.RUNNING, scene.second.agent_id), pair  # the former agent writes nothing
    if {first, second} == {stop, die}:
        assert job.state == State.STOPPED or (first is die and job.state == State.QUEUED), pair
