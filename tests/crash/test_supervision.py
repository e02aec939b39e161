"""An agent and its workers: jobs end, stop, pause and are mended, whatever the workers do."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.agents import scheduler, seat, tick_until, trades
from support.databases import person

from kargah.contract.attempt import AttemptDirectory
from kargah.jobs import claims, history, rescue, service
from kargah.jobs.scheduler import Scheduler
from kargah.jobs.tables import Agent, Attempt, Job
from kargah.kit.clock import ManualClock, utc_now
from kargah.store.access import Actor, Role
from kargah.store.database import Database


class Workshop:
    """A home with its database, and agents in this process."""

    def __init__(self, database: Database, actor: Actor, home: Path) -> None:
        self.database, self.actor, self.home = database, actor, home

    def submit(self, **plan: Any) -> str:
        with self.database.write() as session:
            return service.submit(session, self.actor, "count", "count", {"steps": 20, **plan}).id

    def job(self, job_id: str) -> Job:
        with self.database.read() as session:
            return session.get_one(Job, job_id)

    def attempt(self, job_id: str) -> Attempt:
        with self.database.read() as session:
            return session.get_one(Attempt, (job_id, session.get_one(Job, job_id).attempt))

    def ask(self, action: Any, job_id: str) -> None:
        with self.database.write() as session:
            action(session, self.actor, job_id)

    def kinds(self, job_id: str) -> list[str]:
        with self.database.read() as session:
            return [event.kind for event in history.events_after(session, 0, job_id=job_id, limit=10_000)]

    def steps(self, job_id: str) -> list[int]:
        with self.database.read() as session:
            return [point.step for point in history.steps(session, job_id)]

    def until(self, agent: Scheduler, job_id: str, state: str) -> None:
        tick_until(agent, lambda: self.job(job_id).state == state)

    def until_step(self, agent: Scheduler, job_id: str, step: int = 1) -> None:
        tick_until(agent, lambda: self.job(job_id).progress.get("step", 0) >= step)


@pytest.fixture
def workshop(sqlite_database: Database, tmp_path: Path) -> Workshop:
    return Workshop(sqlite_database, person(sqlite_database, Role.ADMIN), tmp_path)


def test_a_job_runs_to_its_end(workshop: Workshop) -> None:
    agent = scheduler(workshop.database, workshop.home)
    job_id = workshop.submit()
    workshop.until(agent, job_id, "COMPLETED")
    tick_until(agent, lambda: not agent.held)
    assert workshop.steps(job_id) == list(range(1, 21))
    assert workshop.attempt(job_id).outcome == "COMPLETED" and workshop.job(job_id).lease_owner is None


def test_two_jobs_run_side_by_side(workshop: Workshop) -> None:
    agent = scheduler(workshop.database, workshop.home)
    jobs = [workshop.submit(steps=400, step_seconds=0.02) for _ in range(3)]
    for job_id in jobs[:2]:
        workshop.until_step(agent, job_id)
    waiting = workshop.job(jobs[2]).waiting
    assert waiting is not None and waiting["code"].startswith("CORES_BUSY") and waiting["params"]["cores"] == 2
    for job_id in jobs:
        workshop.ask(service.stop, job_id)
        workshop.until(agent, job_id, "STOPPED")


def test_a_worker_that_listens_stops_by_itself(workshop: Workshop) -> None:
    agent = scheduler(workshop.database, workshop.home)
    job_id = workshop.submit(steps=10_000, step_seconds=0.02)
    workshop.until_step(agent, job_id)
    workshop.ask(service.stop, job_id)
    workshop.until(agent, job_id, "STOPPED")
    tick_until(agent, lambda: not agent.held)
    with workshop.database.read() as session:
        (stopped,) = history.life_cycle(session, job_id, "Stopped")
    assert stopped.attempt == 1


def test_a_worker_that_does_not_listen_is_ended_within_five_seconds(workshop: Workshop) -> None:
    clock = ManualClock(utc_now())
    agent = scheduler(workshop.database, workshop.home)
    agent._clock = clock
    job_id = workshop.submit(steps=10_000, step_seconds=0.02, deaf=True)
    workshop.until_step(agent, job_id)
    process = psutil.Process(workshop.attempt(job_id).pid)
    workshop.ask(service.stop, job_id)
    for _ in range(10):
        agent.tick()
        clock.advance(0.4)
    process.wait(10)
    workshop.until(agent, job_id, "STOPPED")
    assert workshop.kinds(job_id)[-1] == "Stopped"


def test_a_paused_job_goes_on_where_it_was(workshop: Workshop) -> None:
    agent = scheduler(workshop.database, workshop.home)
    job_id = workshop.submit(steps=60, step_seconds=0.02)
    workshop.until_step(agent, job_id, 3)
    workshop.ask(service.pause, job_id)
    workshop.until(agent, job_id, "PAUSED")
    tick_until(agent, lambda: not agent.held)
    assert workshop.job(job_id).lease_owner is None
    workshop.ask(service.resume, job_id)
    workshop.until(agent, job_id, "COMPLETED")
    assert workshop.steps(job_id) == list(range(1, 61)) and workshop.job(job_id).attempt == 2


def test_a_killed_worker_is_started_again_from_its_checkpoint(workshop: Workshop) -> None:
    agent = scheduler(workshop.database, workshop.home)
    job_id = workshop.submit(dies_at=15, half_a_line=True)
    workshop.until(agent, job_id, "COMPLETED")
    assert workshop.steps(job_id) == list(range(1, 21))
    with workshop.database.read() as session:
        (interrupted,) = history.life_cycle(session, job_id, "Interrupted")
        (resumed,) = history.life_cycle(session, job_id, "Resumed")
    assert interrupted.payload == {"code": "WORKER_KILLED", "params": {"signal": signal.SIGKILL}}
    assert resumed.payload["from_step"] == 10


def test_a_job_that_dies_again_and_again_fails_and_says_so(workshop: Workshop) -> None:
    agent = scheduler(workshop.database, workshop.home)
    job_id = workshop.submit(save_every="never")  # a plan that this worker cannot work with: it ends with a traceback
    with workshop.database.write() as session:
        session.get_one(Job, job_id).max_attempts = 2
    workshop.until(agent, job_id, "FAILED")
    assert workshop.job(job_id).error == {"code": "ATTEMPTS_EXHAUSTED", "params": {"attempts": 2}}
    with workshop.database.read() as session:
        (failed,) = history.life_cycle(session, job_id, "Failed")
    assert "TypeError" in failed.payload["evidence"]


def test_a_worker_that_says_why_it_failed_is_not_started_again(workshop: Workshop) -> None:
    agent = scheduler(workshop.database, workshop.home)
    job_id = workshop.submit(fails_at=3)
    workshop.until(agent, job_id, "FAILED")
    tick_until(agent, lambda: not agent.held)
    assert workshop.job(job_id).error == {"code": "DISK_FULL", "params": {"needed_bytes": 2, "free_bytes": 1}}
    assert workshop.job(job_id).attempt == 1


def test_an_input_that_is_not_there_fails_the_job_before_it_starts(workshop: Workshop) -> None:
    agent = scheduler(workshop.database, workshop.home)
    job_id = workshop.submit(inputs=[{"path": "a.csv", "sha256": "0" * 64, "size_bytes": 1}])
    workshop.until(agent, job_id, "FAILED")
    assert workshop.job(job_id).error["code"] == "FILE_MISSING"


def test_a_worker_whose_pid_nobody_wrote_down_is_found_and_not_doubled(workshop: Workshop) -> None:
    first = scheduler(workshop.database, workshop.home)
    job_id = workshop.submit(steps=100, step_seconds=0.02)
    workshop.until_step(first, job_id)
    with workshop.database.write() as session:
        attempt = session.get_one(Attempt, (job_id, 1))
        attempt.pid = attempt.pid_started_at = None
        session.get_one(Job, job_id).lease_owner = "agent_dead"
    second = scheduler(workshop.database, workshop.home)
    workshop.until(second, job_id, "COMPLETED")
    assert workshop.job(job_id).attempt == 1 and workshop.steps(job_id) == list(range(1, 101))
    reaped = first.held[job_id].child
    assert reaped is not None and reaped.wait() == 0


def test_a_claim_whose_agent_died_before_the_start_is_queued_again(workshop: Workshop) -> None:
    job_id = workshop.submit()
    with workshop.database.serialised() as session:
        assert claims.claim_next(session, seat(agent_id="agent_dead")).claimed
    agent = scheduler(workshop.database, workshop.home)
    workshop.until(agent, job_id, "COMPLETED")
    assert workshop.job(job_id).attempt == 2


def test_a_last_word_said_just_before_death_counts(workshop: Workshop) -> None:
    """The agent is away while the worker finishes; the worker's last lines are read, not taken for an interruption."""
    first = scheduler(workshop.database, workshop.home)
    job_id = workshop.submit(steps=5, step_seconds=0.02)
    tick_until(first, lambda: job_id in first.held)
    child = first.held[job_id].child
    assert child is not None and child.wait() == 0
    with workshop.database.write() as session:
        session.get_one(Job, job_id).lease_owner = "agent_dead"
    second = scheduler(workshop.database, workshop.home)
    workshop.until(second, job_id, "COMPLETED")
    assert "Interrupted" not in workshop.kinds(job_id)


def test_an_agent_that_was_replaced_leaves_the_worker_alone(workshop: Workshop) -> None:
    first = scheduler(workshop.database, workshop.home)
    job_id = workshop.submit(steps=200, step_seconds=0.02)
    workshop.until_step(first, job_id)
    with workshop.database.write() as session:
        session.get_one(Job, job_id).lease_owner = "agent_new"
    child = first.held[job_id].child
    assert child is not None
    first._rescue = lambda: None  # type: ignore[method-assign]
    tick_until(first, lambda: job_id not in first.held)
    assert child.poll() is None
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def test_attempts_of_a_living_agent_are_not_taken_over(workshop: Workshop) -> None:
    first, second = scheduler(workshop.database, workshop.home), scheduler(workshop.database, workshop.home)
    job_id = workshop.submit(steps=30, step_seconds=0.02)
    workshop.until_step(first, job_id)
    second.tick()
    assert not second.held
    workshop.until(first, job_id, "COMPLETED")


def test_the_row_of_a_dead_agent_stays_until_its_jobs_are_another_s(workshop: Workshop) -> None:
    """Other queues delete it first, and then nobody knows whose the jobs were."""
    dead, other = scheduler(workshop.database, workshop.home), scheduler(workshop.database, workshop.home)
    job_id = workshop.submit(step_seconds=0.05)
    workshop.until_step(dead, job_id)
    owner = workshop.job(job_id).lease_owner
    assert owner is not None
    with workshop.database.write() as session:
        session.get_one(Agent, owner).pid_started_at = 1.0  # as if its pid were a stranger's by now
        rescue.forget_dead_agents(session, seat())
        assert session.get(Agent, owner) is not None
    workshop.until(other, job_id, "COMPLETED")
    tick_until(other, lambda: not other.held)
    with workshop.database.write() as session:
        rescue.forget_dead_agents(session, seat())
        assert session.get(Agent, owner) is None
    assert workshop.steps(job_id) == list(range(1, 21))


def test_an_attempts_directory_holds_its_plan_and_log_and_no_secret(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KARGAH_DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    agent = scheduler(workshop.database, workshop.home)
    job_id = workshop.submit(steps=200, step_seconds=0.02)
    workshop.until_step(agent, job_id)
    environment = psutil.Process(workshop.attempt(job_id).pid).environ()
    assert not {name for name in environment if name.startswith(("KARGAH_", "AWS_"))}
    assert environment["OMP_NUM_THREADS"] == "1"
    directory = AttemptDirectory.of(workshop.home, job_id, 1)
    assert directory.plan.exists() and directory.log.exists()
    workshop.ask(service.stop, job_id)
    workshop.until(agent, job_id, "STOPPED")


def test_an_agent_that_starts_while_its_database_takes_nothing_begins_when_it_does(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a full disk: what it writes first is refused, and it must not end for that."""
    rename = "ALTER TABLE {} RENAME TO {}".format
    with workshop.database.engine.begin() as connection:
        connection.exec_driver_sql(rename("agents", "away"))
    stopping, here = threading.Event(), seat()
    thread = threading.Thread(target=Scheduler(workshop.database, workshop.home, here, trades()).run, args=(stopping,))
    with caplog.at_level(logging.WARNING):
        thread.start()
        try:
            wait_until(lambda: "the database does not answer" in caplog.text)
            with workshop.database.engine.begin() as connection:
                connection.exec_driver_sql(rename("away", "agents"))
            wait_until(lambda: is_known(workshop.database, here.agent_id))
        finally:
            stopping.set()
            thread.join()


def test_an_agent_with_nothing_to_do_looks_seldom_and_begins_at_once_when_it_is_woken(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kargah.jobs.scheduler.IDLE_AFTER_SECONDS", 0.0)
    monkeypatch.setattr("kargah.jobs.scheduler.IDLE_TICK_SECONDS", 3600.0)
    ticks: list[float] = []
    here = seat(lease_seconds=4 * 3600.0)
    agent = Scheduler(workshop.database, workshop.home, here, trades(), also=[lambda: ticks.append(time.monotonic())])
    stopping = threading.Event()
    thread = threading.Thread(target=agent.run, args=(stopping,))
    thread.start()
    try:
        wait_until(lambda: bool(ticks))
        time.sleep(0.6)
        assert len(ticks) == 1
        job_id = workshop.submit()
        wait_until(lambda: workshop.job(job_id).state == "COMPLETED")
    finally:
        stopping.set()
        thread.join()


def is_known(database: Database, agent_id: str) -> bool:
    with database.read() as session:
        return session.get(Agent, agent_id) is not None


def wait_until(is_so: Callable[[], bool]) -> None:
    """A limit against hanging, not a measurement."""
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.02)


@pytest.mark.postgres
def test_an_agent_works_the_same_over_postgresql(postgres_database: Database, tmp_path: Path) -> None:
    workshop = Workshop(postgres_database, person(postgres_database, Role.ADMIN), tmp_path)
    agent = scheduler(workshop.database, workshop.home)
    killed, stopped = workshop.submit(dies_at=15), workshop.submit(steps=10_000, step_seconds=0.02)
    workshop.until_step(agent, stopped)
    workshop.ask(service.stop, stopped)
    workshop.until(agent, stopped, "STOPPED")
    workshop.until(agent, killed, "COMPLETED")
    assert workshop.steps(killed) == list(range(1, 21))
