"""Agents that know the counting worker: as a process (``python -m support.agents``), or as a Scheduler to be ticked by hand."""

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kargah.assets import blobs
from kargah.cli.agent import run_agent
from kargah.hardware import profile
from kargah.jobs.claims import Seat
from kargah.jobs.projection import Trade, Trades
from kargah.jobs.scheduler import Scheduler
from kargah.kit import settings
from kargah.kit.ids import new_id
from kargah.runs import service as runs
from kargah.store.database import Database

COUNT = Trade("support.counting_worker")
TESTS = Path(__file__).parents[1]


def trades(**changes: Any) -> Trades:
    by_kind = {"count": dataclasses.replace(COUNT, **changes), "quick": dataclasses.replace(COUNT, light=True)}
    return Trades(by_kind=by_kind, lay_out=blobs.lay_out, observers=[runs.on_events])


def seat(**changes: Any) -> Seat:
    plain = Seat(
        agent_id=new_id("agent"), host="here", boot_id=profile.boot_id(), cores=2, job_threads=1, lease_seconds=20.0,
        kinds=frozenset({"count", "quick"}), light_kinds=frozenset({"quick"}),
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


def scheduler(database: Database, home: Path, known: Trades | None = None, **changes: Any) -> Scheduler:
    """One that has registered; ``PYTHONPATH`` must lead workers to this folder (see ``for_workers``)."""
    made = Scheduler(database, home, seat(**changes), known or trades())
    made.register()
    return made


def tick_until(made: Scheduler, is_so: Callable[[], Any], limit_seconds: float = 30.0) -> None:
    """A limit against hanging, not a measurement."""
    until = time.monotonic() + limit_seconds
    while not is_so():
        assert time.monotonic() < until, "it never came to that"
        made.tick()
        time.sleep(0.02)


def environment(home: Path, **changes: str) -> dict[str, str]:
    ours = {"KARGAH_HOME": str(home), "KARGAH_JOB_THREADS": "1", "KARGAH_CORES": "2", "KARGAH_LANGUAGE": "en", "PYTHONPATH": str(TESTS)}
    return {**os.environ, **ours, "KARGAH_WARM_START": "false", **changes}  # most tests end before it is warm


def start_agent(home: Path, log: Path, **changes: str) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        command = [sys.executable, "-m", "support.agents"]
        return subprocess.Popen(command, env=environment(home, **changes), stdout=output, stderr=output)


if __name__ == "__main__":
    sys.exit(run_agent(settings.load(), trades()))
