"""The real thing: a training that is paused by the end of ``serve``, its worker killed, its agent killed, and whole at the end."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select
from support.agents import environment
from support.databases import person

import kargah.accounts.tables  # noqa: F401
from kargah.assets import blobs
from kargah.datasets import service as datasets
from kargah.jobs import history, service
from kargah.jobs.states import TERMINAL
from kargah.jobs.tables import Attempt, Job
from kargah.models.tables import ModelVersion
from kargah.store.access import Actor, Role
from kargah.store.database import Database, sqlite_url
from kargah.training import service as training
from kargah.training.schemas import TrainingRequest

STEPS = 3000
LINE = Path(training.__file__).parents[1] / "recipes" / "tabular" / "samples" / "line.csv"


def wait_for(is_so: object) -> None:
    until = time.monotonic() + 150
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.05)


def start(home: Path, *command: str) -> "subprocess.Popen[bytes]":
    with (home / "log").open("ab") as log:
        settings = environment(home, KARGAH_PORT="0", KARGAH_WARM_START="true")  # begun cold, later warm
        return subprocess.Popen([sys.executable, "-m", "kargah", *command], env=settings, stdout=log, stderr=log)


class Training:
    def __init__(self, home: Path) -> None:
        wait_for(lambda: "http://" in (home / "log").read_text())
        self.database = Database(sqlite_url(home / "kargah.db"))
        self.actor: Actor = person(self.database, Role.ADMIN)
        digest = blobs.put_file(home, LINE)
        with self.database.write() as session:
            dataset, _, job = datasets.create_from_upload(session, self.actor, "line", "line.csv", digest)
        self.job_id = job.id
        wait_for(lambda: self.job().state in TERMINAL)
        request = TrainingRequest(datasets=[dataset.id], spec={"max_steps": STEPS, "baselines": False, "epochs": 1000})
        with self.database.write() as session:
            self.job_id = training.start(session, self.actor, request).job.id

    def job(self) -> Job:
        with self.database.read() as session:
            return session.get_one(Job, self.job_id)

    def step(self) -> int:
        return int(self.job().progress.get("step", 0))

    def worker(self) -> int | None:
        with self.database.read() as session:
            return session.get_one(Attempt, (self.job_id, self.job().attempt)).pid


@pytest.mark.slow
def test_a_training_survives_whatever_dies_around_it(tmp_path: Path) -> None:
    chance = random.Random(6)
    serve = start(tmp_path, "serve", "--stop-jobs")
    found = Training(tmp_path)
    wait_for(lambda: found.step() > 5)
    serve.send_signal(signal.SIGINT)
    assert serve.wait(90) == 0
    assert found.job().state == "PAUSED"

    with found.database.write() as session:
        service.resume(session, found.actor, found.job_id)
    agent = start(tmp_path, "agent")
    wait_for(lambda: found.job().state == "RUNNING")
    worker = found.worker()
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: found.job().attempt == 3)
    for _ in range(3):
        time.sleep(chance.uniform(0.0, 0.5))
        agent.kill()
        agent.wait()
        agent = start(tmp_path, "agent")
    wait_for(lambda: found.job().state in TERMINAL)
    agent.terminate()
    assert agent.wait(30) == 0

    assert (found.job().state, found.job().error) == ("COMPLETED", None)
    with found.database.read() as session:
        assert [point.step for point in history.steps(session, found.job_id)] == list(range(1, STEPS + 1))
        assert session.scalars(select(ModelVersion.name)).all() == ["model"]
    found.database.close()
