"""A job whose process the system ends, or that ran out of memory, under the real scheduler with a real training."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support.agents import scheduler, tick_until
from support.databases import person

from kargah.cli.agent import all_trades
from kargah.datasets import bundled
from kargah.jobs import history
from kargah.jobs.tables import Attempt, Job
from kargah.store.access import Role
from kargah.store.database import Database
from kargah.training import service
from kargah.training.schemas import TrainingRequest


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_sigterm_of_the_system_queues_the_job_again_from_its_work_and_costs_no_try(database: Database, tmp_path: Path) -> None:
    actor = person(database, Role.ADMIN)
    with database.write() as session:
        line = bundled.ensure_line(session, actor, tmp_path)
        spec = {"max_steps": 400, "epochs": 1000, "checkpoint_seconds": 3600, "baselines": False}
        job_id = service.start(session, actor, TrainingRequest(datasets=[line], spec=spec)).job.id
    known = all_trades()
    made = scheduler(database, tmp_path, known, kinds=frozenset(known.by_kind), light_kinds=known.light_kinds())

    def job() -> Job:
        with database.read() as session:
            return session.get_one(Job, job_id)

    def attempts() -> list[Any]:
        with database.read() as session:
            return list(session.scalars(select(Attempt).where(Attempt.job_id == job_id).order_by(Attempt.number)))

    tick_until(made, lambda: job().progress.get("step", 0) > 3, 150)
    os.kill(attempts()[0].pid, signal.SIGTERM)
    tick_until(made, lambda: attempts()[-1].outcome == "COMPLETED", 150)
    with database.read() as session:
        interrupted = history.life_cycle(session, job_id, "Interrupted")
        resumed = history.life_cycle(session, job_id, "Resumed")
        saved = history.life_cycle(session, job_id, "Saved")
        steps = [point.step for point in history.steps(session, job_id)]
    assert [event.payload["code"] for event in interrupted] == ["WORKER_TERMINATED"]
    assert [attempt.outcome for attempt in attempts()] == ["WORKER_TERMINATED", "COMPLETED"]
    assert job().state == "COMPLETED"
    assert resumed[0].payload["from_step"] == saved[0].payload["step"] > 3
    assert steps == list(range(1, 401))
