"""Limits and leases of real processes: time, memory, hours; an agent that slept; what a worker leaves behind."""

import contextlib
import dataclasses
import os
import signal
import sqlite3
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.agents import scheduler, start_agent, tick_until, trades
from support.databases import person

from kargah.jobs import history, service
from kargah.jobs.scheduler import Scheduler
from kargah.jobs.tables import Attempt, Job
from kargah.jobs.terms import Terms
from kargah.kit.clock import utc_now
from kargah.store.access import Actor, Role
from kargah.store.database import Database, now_of

MIB = 1 << 20


class Site:
    """A home with its database, and somebody who submits."""

    def __init__(self, database: Database, actor: Actor, home: Path) -> None:
        self.database, self.actor, self.home = database, actor, home

    def submit(self, terms: dict[str, Any] | None = None, **plan: Any) -> str:
        with self.database.write() as session:
            whole = {"steps": 100_000, "step_seconds": 0.02, **plan}
            return service.submit(session, self.actor, "count", "x", whole, terms=Terms.model_validate(terms or {})).id

    def job(self, job_id: str) -> Job:
        with self.database.read() as session:
            return session.get_one(Job, job_id)

    def process(self, job_id: str) -> psutil.Process:
        with self.database.read() as session:
            found = session.get_one(Attempt, (job_id, session.get_one(Job, job_id).attempt))
        assert found.pid is not None
        return psutil.Process(found.pid)

    def runs(self, agent: Scheduler, job_id: str) -> None:
        tick_until(agent, lambda: self.job(job_id).progress.get("step", 0) > 0)

    def until(self, agent: Scheduler, job_id: str, state: str) -> None:
        tick_until(agent, lambda: self.job(job_id).state == state, 60)

    def change_terms(self, job_id: str, **terms: Any) -> None:
        with self.database.write() as session:
            session.get_one(Job, job_id).terms = Terms.model_validate(terms).model_dump(mode="json", exclude_defaults=True)


@pytest.fixture
def site(sqlite_database: Database, tmp_path: Path) -> Site:
    return Site(sqlite_database, person(sqlite_database, Role.ADMIN), tmp_path)


def test_a_job_over_its_time_is_ended_and_says_so(site: Site) -> None:
    agent = scheduler(site.database, site.home)
    job_id = site.submit(terms={"time_limit_seconds": 0.5})
    site.until(agent, job_id, "FAILED")
    assert site.job(job_id).error == {"code": "TIME_LIMIT", "params": {"limit_seconds": 0.5}}
    tick_until(agent, lambda: not agent.held)


def test_a_running_job_past_its_deadline_is_ended(site: Site) -> None:
    agent = scheduler(site.database, site.home)
    job_id = site.submit()
    site.runs(agent, job_id)
    with site.database.write() as session:
        session.get_one(Job, job_id).deadline = now_of(session)
    site.until(agent, job_id, "FAILED")
    assert (site.job(job_id).error or {})["code"] == "DEADLINE_PASSED"


def test_a_job_over_its_memory_is_ended_and_one_within_it_is_not(site: Site) -> None:
    agent = scheduler(site.database, site.home)
    limit = {"memory_limit_bytes": 200 * MIB}
    modest = site.submit(terms=limit)
    site.runs(agent, modest)
    greedy = site.submit(terms=limit, takes_bytes=400 * MIB)
    site.until(agent, greedy, "FAILED")
    error = site.job(greedy).error or {}
    assert error["code"] == "MEMORY_LIMIT" and error["params"]["used_bytes"] > 200 * MIB
    assert site.job(modest).state == "RUNNING"
    finish(site, agent, modest)


def test_a_worker_is_what_the_kernel_ends_first(site: Site) -> None:
    agent = scheduler(site.database, site.home)
    job_id = site.submit()
    site.runs(agent, job_id)
    assert Path(f"/proc/{site.process(job_id).pid}/oom_score_adj").read_text().strip() == "500"
    finish(site, agent, job_id)


def test_a_worker_sees_its_gpus_and_may_take_its_share_of_them(site: Site) -> None:
    agent = scheduler(site.database, site.home, gpus={"GPU-a": 24 << 30, "GPU-b": 16 << 30})
    shared, none = site.submit(terms={"gpu_memory_bytes": 4 << 30}), site.submit()
    for job_id in (shared, none):
        site.runs(agent, job_id)
    found = site.process(shared).environ()
    assert (found["CUDA_VISIBLE_DEVICES"], found["PYTORCH_CUDA_ALLOC_CONF"]) == ("GPU-b", "per_process_memory_fraction:0.2500")
    found = site.process(none).environ()
    assert (found["CUDA_VISIBLE_DEVICES"], "PYTORCH_CUDA_ALLOC_CONF" in found) == ("", False)
    for job_id in (shared, none):
        finish(site, agent, job_id)


def test_a_job_outside_its_hours_saves_and_waits_for_them(site: Site) -> None:
    agent = scheduler(site.database, site.home)
    job_id = site.submit()
    site.runs(agent, job_id)
    now = utc_now()
    site.change_terms(job_id, window={"start": (now + timedelta(hours=2)).time(), "end": (now + timedelta(hours=3)).time(), "zone": "UTC"})
    tick_until(agent, lambda: (site.job(job_id).waiting or {}).get("code") == "TIME_WINDOW", 60)
    assert site.job(job_id).state == "QUEUED" and not agent.held
    site.change_terms(job_id)
    with site.database.write() as session:
        session.get_one(Job, job_id).not_before = None
    step = site.job(job_id).progress["step"]
    tick_until(agent, lambda: site.job(job_id).progress["step"] > step, 60)
    finish(site, agent, job_id)


def test_what_left_a_workers_group_does_not_outlive_a_stop(site: Site) -> None:
    agent = scheduler(site.database, site.home)
    job_id = site.submit(leaves_child=True, deaf=True)
    site.runs(agent, job_id)
    children = site.process(job_id).children()
    assert [os.getpgid(child.pid) == child.pid for child in children] == [True]
    finish(site, agent, job_id)
    psutil.wait_procs(children, timeout=30)
    assert [child.is_running() for child in children] == [False]


def test_a_pid_that_went_to_a_stranger_is_left_alone(site: Site) -> None:
    first = scheduler(site.database, site.home)
    job_id, stranger = site.submit(), site.submit()
    for one in (job_id, stranger):
        site.runs(first, one)
    process, other = site.process(job_id), site.process(stranger)
    process.kill()
    with site.database.write() as session:
        session.get_one(Job, job_id).lease_owner = "agent_dead"
        attempt = session.get_one(Attempt, (job_id, 1))
        attempt.pid, attempt.pid_started_at = other.pid, other.create_time() - 3600
    second = scheduler(site.database, site.home, cores=1)
    tick_until(second, lambda: site.job(job_id).attempt == 1 and site.job(job_id).state == "QUEUED")
    assert other.is_running() and other.status() != psutil.STATUS_ZOMBIE
    finish(site, first, stranger)


def test_an_agent_that_lost_its_job_between_claim_and_start_starts_nothing(site: Site) -> None:
    """It was stopped, or its machine slept, with the claim in its hand; another has taken the job over meanwhile."""

    def while_inputs_are_laid_out(*_: Any) -> None:
        with site.database.write() as session:
            session.get_one(Job, job_id).lease_owner = "agent_other"

    known = dataclasses.replace(trades(), lay_out=while_inputs_are_laid_out)
    job_id = site.submit()
    agent = scheduler(site.database, site.home, known)
    agent._claim()
    assert not agent.held and not (site.home / "jobs" / job_id / "attempts" / "1" / "alive").exists()
    assert site.job(job_id).state == "STARTING"


def test_a_stopped_agent_that_wakes_after_its_lease_writes_nothing(site: Site, tmp_path: Path) -> None:
    agent = start_agent(site.home, tmp_path / "agent.log", KARGAH_LEASE_SECONDS="1")
    job_id = site.submit(steps=150)
    try:
        wait(lambda: site.job(job_id).progress.get("step", 0) > 0)
        first = site.job(job_id).lease_owner
        stop_between_transactions(site, agent)
        host = attempt_of(site, job_id).host
        other = scheduler(site.database, site.home, host=host)
        tick_until(other, lambda: job_id in other.held)
        assert site.job(job_id).lease_owner == other._seat.agent_id != first
        agent.send_signal(signal.SIGCONT)
        site.until(other, job_id, "COMPLETED")
        wait(lambda: "is another's now" in (tmp_path / "agent.log").read_text())
    finally:
        agent.kill()
        agent.wait()
    with site.database.read() as session:
        steps = [point.step for point in history.steps(session, job_id)]
        assert steps == list(range(1, 151)) and session.get_one(Job, job_id).attempt == 1


def stop_between_transactions(site: Site, agent: "subprocess.Popen[bytes]") -> None:
    """One that is stopped inside a transaction keeps SQLite's only lock, and nobody can take anything over until it goes on."""
    while True:
        agent.send_signal(signal.SIGSTOP)
        try:
            with contextlib.closing(sqlite3.connect(f"file:{site.home}/kargah.db?mode=rw", timeout=0, uri=True)) as probe:
                probe.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError:
            agent.send_signal(signal.SIGCONT)


def attempt_of(site: Site, job_id: str) -> Attempt:
    with site.database.read() as session:
        return session.get_one(Attempt, (job_id, 1))


def wait(is_so: Any) -> None:
    """A limit against hanging, not a measurement."""
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.05)


def finish(site: Site, agent: Scheduler, job_id: str) -> None:
    with site.database.write() as session:
        service.stop(session, site.actor, job_id)
    site.until(agent, job_id, "STOPPED")
    tick_until(agent, lambda: job_id not in agent.held, 60)
