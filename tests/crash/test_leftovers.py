"""What an agent that was killed in the last moment of an attempt leaves behind is given back by the one that comes after it."""

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from support.agents import scheduler, start_agent, tick_until
from support.databases import person

from kargah.contract.attempt import AttemptDirectory
from kargah.hardware import profile
from kargah.jobs import leftovers, service
from kargah.jobs.tables import Attempt, Job
from kargah.kit.clock import utc_now
from kargah.store.access import Role
from kargah.store.database import Database


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A file of a data set, whose room is free only when no attempt holds a link to it."""
    path = tmp_path / "kept.parquet"
    path.write_bytes(b"rows" * 1000)
    return path


def finished(database: Database, home: Path, host: str) -> AttemptDirectory:
    agent, actor = scheduler(database, home, host=host), person(database, Role.ADMIN)
    with database.write() as session:
        job_id = service.submit(session, actor, "count", "count", {"steps": 2}).id

    def state() -> str:
        with database.read() as session:
            return session.get_one(Job, job_id).state

    tick_until(agent, lambda: state() == "COMPLETED" and not agent.held)
    directory = AttemptDirectory.of(home, job_id, 1)
    assert not directory.inputs.exists() and not directory.outputs.exists()
    return directory


def leave_links(directory: AttemptDirectory, kept: Path) -> None:
    """As a kill leaves them between the end of the attempt in the store and the next line."""
    for folder in (directory.inputs, directory.outputs):
        folder.mkdir()
        os.link(kept, folder / "data.parquet")


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.05)


def test_the_next_agent_gives_back_the_room_of_what_was_over(sqlite_database: Database, tmp_path: Path, kept: Path) -> None:
    directory = finished(sqlite_database, tmp_path, profile.host_name())
    leave_links(directory, kept)
    assert kept.stat().st_nlink == 3
    agent = start_agent(tmp_path, tmp_path / "agent.log")
    try:
        wait_for(lambda: kept.stat().st_nlink == 1 or agent.poll() is not None)
    finally:
        agent.send_signal(signal.SIGKILL)
        agent.wait()
    assert kept.stat().st_nlink == 1, (tmp_path / "agent.log").read_text()
    assert directory.events.exists() and not directory.inputs.exists()


def test_attempts_that_run_and_those_of_other_hosts_keep_what_they_have(sqlite_database: Database, tmp_path: Path, kept: Path) -> None:
    elsewhere = finished(sqlite_database, tmp_path, "elsewhere")
    running = finished(sqlite_database, tmp_path, "here")
    with sqlite_database.write() as session:
        session.execute(update(Attempt).where(Attempt.host == "here").values(ended_at=None))
    for directory in (elsewhere, running):
        leave_links(directory, kept)
    assert leftovers.sweep(sqlite_database, tmp_path, tmp_path / "run", "here") == 0
    assert kept.stat().st_nlink == 5


def test_what_was_swept_is_not_looked_at_again_and_what_ended_since_is(sqlite_database: Database, tmp_path: Path, kept: Path) -> None:
    directory, run_folder = finished(sqlite_database, tmp_path, "here"), tmp_path / "run"
    leave_links(directory, kept)
    with sqlite_database.write() as session:
        session.execute(update(Attempt).values(ended_at=utc_now() - timedelta(days=30)))
    assert leftovers.sweep(sqlite_database, tmp_path, run_folder, "here") == 1, "the first sweep looks at all of them"
    leave_links(directory, kept)
    assert leftovers.sweep(sqlite_database, tmp_path, run_folder, "here") == 0, "what ended long before the sweep before is not looked at"
    with sqlite_database.write() as session:
        session.execute(update(Attempt).values(ended_at=utc_now()))
    assert leftovers.sweep(sqlite_database, tmp_path, run_folder, "here") == 1
    assert kept.stat().st_nlink == 1
