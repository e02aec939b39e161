"""How soon a light job runs, and how many empty jobs the queue gets through in a second.

    python benchmarks/job_queue.py [--quick]

The peer is Procrastinate in an environment of its own, on the same PostgreSQL, in the same run. It runs a task as a function in its
worker; ours gives every job a process, an attempt and a history, so both are measured: the queue alone (claimed as the scheduler claims,
four events kept, finished, notified, closed: no process), and whole jobs with a process each.
(Not named queue.py: that would hide the standard library's module from every script of this folder.)
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from form import figure, interleaved, median, not_measured, report, spread
from peers import python_of

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))
os.environ["PYTHONPATH"] = str(TESTS)

from support import postgres  # noqa: E402
from support.agents import scheduler, seat, start_agent, trades  # noqa: E402
from support.databases import person  # noqa: E402

from kargah.jobs import claims, collector, rescue, service, states  # noqa: E402
from kargah.jobs import scheduler as scheduling  # noqa: E402
from kargah.jobs.carrier import Line  # noqa: E402
from kargah.jobs.states import Fence  # noqa: E402
from kargah.jobs.supervision import hold  # noqa: E402
from kargah.jobs.tables import Job  # noqa: E402
from kargah.store.access import Actor, Role  # noqa: E402
from kargah.store.database import Database, sqlite_url  # noqa: E402
from kargah.store.schema import bring_up_to_date  # noqa: E402

PEER = """
import asyncio, json, logging, sys, time
import procrastinate
logging.disable(logging.CRITICAL)
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=sys.argv[1]))
@app.task(name="nothing")
async def nothing(): pass
async def main(count, concurrency):
    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        for _ in range(count): await nothing.defer_async()
        began = time.monotonic()
        await app.run_worker_async(wait=False, concurrency=concurrency, install_signal_handlers=False)
        print(json.dumps(count / (time.monotonic() - began)))
asyncio.run(main(int(sys.argv[2]), int(sys.argv[3])))
"""
SAID = (
    b'{"kind":"Started","at":"2026-11-21T10:00:00Z","pid":1,"threads":1}',
    b'{"kind":"Running","at":"2026-11-21T10:00:00Z","total_steps":0}',
    b'{"kind":"Finished","at":"2026-11-21T10:00:00Z"}',
)
LINES = [Line(content, sum(len(line) + 1 for line in SAID[: index + 1])) for index, content in enumerate(SAID)]


def submit(database: Database, actor: Actor, kind: str = "quick") -> str:
    with database.write() as session:
        return service.submit(session, actor, kind, "empty", {"steps": 0}).id


class Spoken:
    """What an attempt that was over before anybody looked has left behind; the collector reads it as it reads a file."""

    def lines_after(self, offset_bytes: int, limit: int) -> list[Line]:
        return [line for line in LINES if line.end_offset_bytes > offset_bytes][:limit]

    def size_bytes(self) -> int:
        return LINES[-1].end_offset_bytes


def through_the_queue(database: Database, actor: Actor, home: Path, count: int, cores: int = 2) -> float:
    """Jobs a second, from queued to closed, without processes: what the scheduler does for jobs that are over when it looks at them.

    ``cores`` say for how many there is room at once: six on two cores, eight on four.
    """
    for _ in range(count):
        submit(database, actor)
    mine, left = seat(cores=cores), count
    bearer = collector.Collector(database, home, trades())
    look = claims.Look()
    gc.collect()
    gc.freeze()  # as the agent does before its first round
    began = time.monotonic()
    while left:
        if not look.leaves_some:
            with database.ask() as session:
                assert claims.has_queue(session, mine)
        with database.serialised() as session:
            look = claims.claim_next(session, mine, at_most=scheduling.CLAIMED_AT_ONCE)
        over = [hold(home, job.id, job.kind, Fence(job.attempt, mine.agent_id)) for job, _ in look.claims]
        for held in over:
            held.carrier = Spoken()
        bearer.carry_together([(held, partial(rescue.close, held=held)) for held in over])
        assert all(held.place.is_closed for held in over)
        left -= len(over)
    return count / (time.monotonic() - began)


def with_processes(database: Database, actor: Actor, home: Path, count: int) -> float:
    """Whole jobs a second: a process, a directory and a history each."""
    agent = scheduler(database, home)
    jobs = [submit(database, actor) for _ in range(count)]
    began = time.monotonic()
    while not all_over(database, jobs):
        agent.tick()
        time.sleep(0.02)
    return count / (time.monotonic() - began)


def all_over(database: Database, jobs: list[str]) -> bool:
    with database.read() as session:
        return all(session.get_one(Job, job_id).state in states.TERMINAL for job_id in jobs)


def seconds_to_running(database: Database, actor: Actor) -> float:
    """From the request to the store's word that the worker runs. The agent is a process of its own."""
    began = time.monotonic()
    job_id = submit(database, actor)
    while True:
        with database.read() as session:
            if session.get_one(Job, job_id).state not in ("QUEUED", "STARTING", "LOADING"):
                return time.monotonic() - began
        time.sleep(0.005)


def measured_latency(home: Path, count: int) -> list[float]:
    database = fresh(sqlite_url(home / "kargah.db"), home)
    agent = start_agent(home, home / "agent.log")
    try:
        actor = person(database, Role.ADMIN)
        seconds_to_running(database, actor)  # the agent's own start is not counted
        return [seconds_to_running(database, actor) for _ in range(count)]
    finally:
        agent.terminate()
        agent.wait()
        database.close()


def fresh(url: str, home: Path) -> Database:
    database = Database(url)
    bring_up_to_date(database, home)
    return database


def peer(python: str, url: str, count: int, concurrency: int) -> float:
    answer = subprocess.run([python, "-c", PEER, url, str(count), str(concurrency)], capture_output=True, text=True, check=True)
    return float(json.loads(answer.stdout.splitlines()[-1]))


def compare(home: Path, urls: str, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    sqlite, server = fresh(sqlite_url(home / "queue.db"), home), fresh(urls.format("postgres"), home)
    people = {database.url: person(database, Role.ADMIN) for database in (sqlite, server)}
    subprocess.run(["psql", urls.format("postgres"), "-qc", "CREATE DATABASE peer"], check=True)

    def ours(work: Callable[..., float], database: Database, count: int, **more: int) -> Callable[[], float]:
        return lambda: work(database, people[database.url], home, count, **more)

    sides = {
        "sqlite": ours(through_the_queue, sqlite, options.jobs), "postgresql": ours(through_the_queue, server, options.jobs),
        "sqlite_eight": ours(through_the_queue, sqlite, options.jobs, cores=4),
        "postgresql_eight": ours(through_the_queue, server, options.jobs, cores=4),
        "sqlite_whole": ours(with_processes, sqlite, options.whole), "postgresql_whole": ours(with_processes, server, options.whole),
    }  # fmt: skip
    if python := python_of("queue"):
        sides["peer"] = lambda: peer(python, urls.format("peer"), options.jobs, 1)
        sides["peer_many"] = lambda: peer(python, urls.format("peer"), options.jobs, 10)
    found = interleaved(options.rounds, **sides)
    sqlite.close()
    server.close()
    return figures(found)


def figures(found: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    goal = "≥ 1×"
    if "peer" not in found:
        return {"queue_alone": not_measured("the peer could not be installed", goal)}
    theirs, many = median(found["peer"]), median(found["peer_many"])
    shown = {}
    for name in (name for name in found if not name.startswith("peer")):
        rate = median(found[name])
        shown[f"jobs_a_second_{name}"] = figure(
            rate, theirs, "Procrastinate, one at a time", goal, rate >= theirs, spread=spread(found[name]), peer_ten_at_once=many
        )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--whole", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="fewer of all, two rounds")
    options = parser.parse_args()
    if options.quick:
        options.jobs, options.whole, options.rounds, options.starts = 80, 8, 2, 8
    with postgres.temporary_folder() as folder, tempfile.TemporaryDirectory() as temporary, postgres.server(folder) as urls:
        home = Path(temporary)
        (home / "latency").mkdir()
        starts = measured_latency(home / "latency", options.starts)
        latency = figure(median(starts), None, "", "≤ 0.5 s", median(starts) <= 0.5, unit="s", spread=spread(starts))
        report("queue", {"submit_to_running_p50": latency, **compare(home, urls, options)})


if __name__ == "__main__":
    main()
