"""A disk that is really full: the training is paused with its work intact, holds nothing meanwhile, and goes on by itself."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.agents import COUNT, environment, seat, tick_until
from support.databases import person
from support.disks import SmallDisk, small_disk

from kargah.assets import blobs
from kargah.cli.agent import all_trades
from kargah.datasets import bundled
from kargah.jobs import history, notices, rescue, service
from kargah.jobs.projection import Trades
from kargah.jobs.scheduler import Scheduler
from kargah.jobs.tables import Attempt, Job
from kargah.store.access import Actor, Role
from kargah.store.database import Database
from kargah.training import service as training
from kargah.training.schemas import TrainingRequest

STEPS = 1500
LEFT_BYTES = 160 << 10


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 24) as disk:
        yield disk


class Workshop:
    """A home on the small disk; its database is elsewhere, as PostgreSQL's would be."""

    def __init__(self, database: Database, disk: SmallDisk) -> None:
        self.database, self.disk, self.home = database, disk, disk.path
        self.actor: Actor = person(database, Role.ADMIN)
        known = all_trades()
        both = Trades({**known.by_kind, "count": COUNT}, blobs.lay_out, known.observers)
        here = seat(cores=1, kinds=frozenset({"train", "count", "ingest"}), light_kinds=frozenset({"ingest"}))
        self.agent = Scheduler(database, self.home, here, both)
        self.agent.register()

    def train(self) -> str:
        with self.database.write() as session:
            line = bundled.ensure_line(session, self.actor, self.home)
            spec = {"max_steps": STEPS, "epochs": 1000, "batch_size": 8, "hidden_size": 128, "baselines": False}
            spec |= {"checkpoint_seconds": 3600, "checkpoint_steps": 50}
            return training.start(session, self.actor, TrainingRequest(datasets=[line], spec=spec)).job.id

    def count(self) -> str:
        with self.database.write() as session:
            return service.submit(session, self.actor, "count", "count", {"steps": 3}).id

    def job(self, job_id: str) -> Job:
        with self.database.read() as session:
            return session.get_one(Job, job_id)

    def until(self, is_so: Callable[[], bool]) -> None:
        tick_until(self.agent, is_so, 180)

    def is_paused_on_a_full_disk(self, job_id: str) -> bool:
        self.disk.fill(LEFT_BYTES)  # whatever a checkpoint gave back meanwhile
        return self.job(job_id).state == "PAUSED"


def test_a_web_process_that_starts_on_a_full_disk_serves_and_says_where_once_there_is_room(disk: SmallDisk, tmp_path: Path) -> None:
    said = disk.path / "run" / "web.json"
    first = start_web(disk.path, tmp_path)
    address = eventually(lambda: where(said, first.pid))
    first.kill()
    first.wait()
    disk.fill()
    port = address.rpartition(":")[2]
    web = start_web(disk.path, tmp_path, KARGAH_PORT=port)
    try:
        eventually(lambda: is_served(address))
        assert web.poll() is None and where(said, web.pid) is None
        disk.make_room()
        assert eventually(lambda: where(said, web.pid)) == address
    finally:
        web.kill()
        web.wait()


def start_web(home: Path, elsewhere: Path, **changes: str) -> "subprocess.Popen[bytes]":
    """Its database and its log are not on the disk that is full."""
    settings = {"KARGAH_PORT": "0", "KARGAH_DATABASE_URL": f"sqlite:///{elsewhere / 'kargah.db'}", **changes}
    with (elsewhere / "web.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "kargah", "web"], env=environment(home, **settings), stdout=log, stderr=log)


def where(said: Path, pid: int) -> str | None:
    with contextlib.suppress(OSError, ValueError):
        place = json.loads(said.read_bytes())
        return f"http://{place['host']}:{place['port']}" if place["pid"] == pid else None
    return None


def is_served(address: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{address}/health").status_code == 200
    return False


def eventually(found: Callable[[], Any]) -> Any:
    """A limit against hanging, not a measurement."""
    until = time.monotonic() + 90
    while not (answer := found()):
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.05)
    return answer


@pytest.mark.timeout(600)
def test_a_training_on_a_full_disk_is_paused_frees_its_cores_and_goes_on_when_there_is_room(
    sqlite_database: Database, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescue, "DISK_LOOK_SECONDS", 1.0)
    shop = Workshop(sqlite_database, disk)
    job_id = shop.train()
    shop.until(lambda: shop.job(job_id).progress.get("step", 0) > 0)
    shop.until(lambda: shop.is_paused_on_a_full_disk(job_id))
    shop.until(lambda: not shop.agent.held)
    paused = shop.job(job_id)
    assert (paused.paused_for, paused.lease_owner, (paused.waiting or {})["code"]) == ("DISK_FULL", None, "DISK_FULL")
    with shop.database.read() as session:
        (notice,) = notices.list_for(session, shop.actor).items
    assert (notice.kind, (notice.reason or {})["code"]) == ("attention", "paused.DISK_FULL")
    disk.make_room(LEFT_BYTES)  # for the words of a small job, and far from enough for a checkpoint
    other = shop.count()  # on the one core there is
    shop.until(lambda: shop.job(other).state == "COMPLETED")
    assert shop.job(job_id).state == "PAUSED"

    disk.make_room()
    shop.until(lambda: shop.job(job_id).state in {"COMPLETED", "FAILED"})
    shop.until(lambda: not shop.agent.held)
    done = shop.job(job_id)
    assert (done.state, done.error, done.paused_for, done.waiting) == ("COMPLETED", None, None, None)
    with shop.database.read() as session:
        assert [point.step for point in history.steps(session, job_id)] == list(range(1, STEPS + 1))
        outcomes = [session.get_one(Attempt, (job_id, number)).outcome for number in range(1, done.attempt + 1)]
    assert outcomes == [*["PAUSED"] * (done.attempt - 1), "COMPLETED"] and done.attempt > 1
