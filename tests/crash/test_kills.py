"""kill -9 at random points: of the web process, of the agent, of both, of the worker, of ``serve``. Nothing is lost, nothing doubled."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import select
from support.agents import environment, start_agent

from kargah.accounts.tables import User
from kargah.jobs import history, service
from kargah.jobs.schemas import EventOut
from kargah.jobs.states import TERMINAL
from kargah.jobs.tables import Attempt, EventRow, Job
from kargah.store.access import Actor, Role
from kargah.store.database import Database, sqlite_url

#: Of the agent, of the web process, of both, in turn; chaos (test_chaos.py) does it at random and over real trainings.
KILLS = 20
NOT_YET_SECONDS = 60.0
ADMIN = {"email": "admin@example.org", "password": "correct horse battery", "name": "سارا"}


def wait_for(is_so: Callable[[], Any]) -> Any:
    """A limit against hanging, not a measurement."""
    until = time.monotonic() + NOT_YET_SECONDS
    while not (found := is_so()):
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.05)
    return found


class Home:
    """A home whose processes are killed, seen through its database."""

    def __init__(self, path: Path, url: str | None = None) -> None:
        self.path = path
        self.settings = {} if url is None else {"KARGAH_DATABASE_URL": url}
        self.database = Database(url or sqlite_url(path / "kargah.db"))

    def submit(self, **plan: Any) -> str:
        with self.database.write() as session:
            owner = session.scalars(select(User)).one()
            actor = Actor(owner.id, Role.ADMIN, "ws_default", frozenset({"ws_default"}))
            return service.submit(session, actor, "count", "شمارش", {"steps": 100_000, "step_seconds": 0.02, **plan}).id

    def job(self, job_id: str) -> Job:
        with self.database.read() as session:
            return session.get_one(Job, job_id)

    def step(self, job_id: str) -> int:
        return int(self.job(job_id).progress.get("step", 0))

    def pid(self, job_id: str) -> int | None:
        with self.database.read() as session:
            job = session.get_one(Job, job_id)
            return None if job.attempt == 0 else session.get_one(Attempt, (job_id, job.attempt)).pid

    def events(self, job_id: str) -> list[EventOut]:
        with self.database.read() as session:
            return history.events_after(session, 0, job_id=job_id, limit=100_000)

    def steps(self, job_id: str) -> list[int]:
        with self.database.read() as session:
            return [point.step for point in history.steps(session, job_id)]


class Processes:
    """A web process and an agent, started apart, as in production."""

    def __init__(self, home: Home, log: Path) -> None:
        self.home, self.log = home, log
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.url = ""

    def start(self, name: str) -> None:
        if name == "agent":
            self.running[name] = start_agent(self.home.path, self.log, **self.home.settings)
            return
        with self.log.open("ab") as output:
            command = [sys.executable, "-m", "kargah", "web"]
            settings = environment(self.home.path, KARGAH_PORT="0", **self.home.settings)
            self.running[name] = subprocess.Popen(command, env=settings, stdout=output, stderr=output)

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running[name].wait()

    def client(self) -> httpx.Client:
        def address() -> str | None:
            said = self.home.path / "run" / "web.json"
            place = json.loads(said.read_text()) if said.exists() else {"pid": None}
            return f"http://{place['host']}:{place['port']}" if place["pid"] == self.running["web"].pid else None

        return httpx.Client(base_url=wait_for(address), timeout=30)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with started(Home(tmp_path)) as found:
        yield found


@pytest.fixture
def processes_over_postgresql(tmp_path: Path, postgres_database: Database) -> Iterator[Processes]:
    with started(Home(tmp_path, postgres_database.url)) as found:
        yield found


@contextmanager
def started(home: Home) -> Iterator[Processes]:
    found = Processes(home, home.path / "processes.log")
    found.start("web")
    found.start("agent")
    try:
        with found.client() as client:
            assert client.post("/api/auth/register", json=ADMIN).status_code == 201
        yield found
    finally:
        for process in found.running.values():
            process.kill()
            process.wait()
        end_workers(home.path)
        found.home.database.close()


def end_workers(home: Path) -> None:
    for process in psutil.process_iter(["cmdline"]):
        if any(str(home) in part for part in process.info["cmdline"] or []):
            process.kill()


def streamed(processes: Processes, job_id: str) -> list[dict[str, Any]]:
    """The job's whole stream, as a browser gets it; it ends by itself."""
    with processes.client() as client:
        token = client.post("/api/auth/login", json={"email": ADMIN["email"], "password": ADMIN["password"]}).json()["token"]
        with client.stream("GET", f"/api/v1/jobs/{job_id}/events", headers={"Authorization": f"Bearer {token}"}) as answer:
            return [json.loads(line.removeprefix("data:")) for line in answer.iter_lines() if line.startswith("data:")]


def test_twenty_kills_of_web_and_agent_lose_and_double_nothing(processes: Processes) -> None:
    check_kills(processes, KILLS)


@pytest.mark.postgres
def test_kills_over_postgresql_lose_and_double_nothing(processes_over_postgresql: Processes) -> None:
    check_kills(processes_over_postgresql, 3)


def check_kills(processes: Processes, count: int) -> None:
    chance = random.Random(20)
    home, enough = processes.home, processes.home.path / "enough"
    job_id = home.submit(enough=str(enough))
    wait_for(lambda: home.step(job_id) > 3)
    for kill in range(count):
        victims = (["agent"], ["web"], ["agent", "web"])[kill % 3]
        for name in victims:
            processes.kill(name)
        time.sleep(chance.uniform(0.0, 0.2))
        for name in victims:
            processes.start(name)
        if "agent" in victims and kill % 2:
            time.sleep(chance.uniform(0.2, 1.2))  # the next kill may hit it while it starts
        elif "agent" in victims:
            before = home.step(job_id)
            wait_for(lambda before=before: home.step(job_id) > before)
            time.sleep(chance.uniform(0.0, 0.3))
    enough.touch()
    wait_for(lambda: home.job(job_id).state in TERMINAL)
    job = home.job(job_id)
    said = [event.payload["step"] for event in home.events(job_id) if event.kind == "Step"]
    assert (job.state, job.attempt) == ("COMPLETED", 1)
    assert said == list(range(1, job.result["steps"] + 1))
    assert [event.seq for event in home.events(job_id)] == list(range(1, job.last_seq + 1))
    wait_for(lambda: processes.running["web"].poll() is None)
    stream = streamed(processes, job_id)
    assert [event["payload"]["step"] for event in stream if event.get("kind") == "Step"] == said


def test_killed_workers_go_on_from_their_checkpoints_also_without_an_agent(processes: Processes, tmp_path: Path) -> None:
    chance = random.Random(4)
    home, enough = processes.home, tmp_path / "enough"
    job_id = home.submit(enough=str(enough), save_every=7)
    for kill in range(3):
        attempt = kill + 1
        wait_for(lambda attempt=attempt: home.job(job_id).attempt == attempt and home.job(job_id).state == "RUNNING" and home.pid(job_id))
        time.sleep(chance.uniform(0.1, 0.8))
        pid = home.pid(job_id)
        assert pid is not None
        if kill % 2:
            processes.kill("agent")
        os.kill(pid, signal.SIGKILL)
        if kill % 2:
            processes.start("agent")
    wait_for(lambda: home.job(job_id).attempt == 4 and home.job(job_id).state == "RUNNING")
    enough.touch()
    wait_for(lambda: home.job(job_id).state in TERMINAL)
    job = home.job(job_id)
    assert job.state == "COMPLETED"
    assert home.steps(job_id) == list(range(1, job.result["steps"] + 1))
    with home.database.read() as session:
        lines = session.execute(select(EventRow.attempt, EventRow.line).where(EventRow.attempt > 0)).all()
    assert len(lines) == len(set(lines))


@contextmanager
def serving(home: Path, log: Path, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("ab") as output:
        command = [sys.executable, "-m", "kargah", "--language", "en", "serve", "--port", "0", *options]
        process = subprocess.Popen(command, env=environment(home), stdout=output, stderr=output)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()


def family(process: "subprocess.Popen[bytes]", name: str) -> psutil.Process | None:
    for child in psutil.Process(process.pid).children():
        with suppress(psutil.NoSuchProcess):  # a zombie as well: killed, and not yet buried by its parent
            if name in child.cmdline():
                return child
    return None


def test_serve_starts_again_what_is_killed_and_takes_it_along_when_it_ends(tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    with serving(tmp_path, log) as serve:
        wait_for(lambda: "Kargah is at" in log.read_text())
        first = {name: wait_for(lambda name=name: family(serve, name)) for name in ("web", "agent")}
        for process in first.values():
            process.kill()
        second = {
            name: wait_for(lambda name=name: (found := family(serve, name)) and found.pid != first[name].pid and found) for name in first
        }
        wait_for(lambda: json.loads((tmp_path / "run" / "web.json").read_text())["pid"] == second["web"].pid)
        serve.send_signal(signal.SIGINT)
        assert serve.wait(30) == 0
        assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in second.values())


def test_a_killed_serve_leaves_no_process_in_the_way_of_the_next(tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    with serving(tmp_path, log) as serve:
        wait_for(lambda: "Kargah is at" in log.read_text())
        children = [wait_for(lambda name=name: family(serve, name)) for name in ("web", "agent")]
        serve.kill()
    psutil.wait_procs(children, timeout=30)
    with serving(tmp_path, log) as serve:
        wait_for(lambda: log.read_text().count("Kargah is at") == 2 or serve.poll() is not None)
        assert serve.poll() is None


def test_an_agent_that_ends_leaves_its_jobs_running_and_says_so(processes: Processes, tmp_path: Path) -> None:
    home, enough = processes.home, tmp_path / "enough"
    job_id = home.submit(enough=str(enough))
    wait_for(lambda: home.step(job_id) > 1)
    processes.running["agent"].terminate()
    assert processes.running["agent"].wait(30) == 0
    assert "Jobs that go on running: 1" in processes.log.read_text()
    worker = psutil.Process(home.pid(job_id))
    enough.touch()
    worker.wait(30)
    processes.start("agent")
    wait_for(lambda: home.job(job_id).state == "COMPLETED")
    assert home.job(job_id).attempt == 1


def test_a_second_agent_of_a_home_says_so_and_goes(processes: Processes, tmp_path: Path) -> None:
    wait_for(lambda: processes.home.submit(steps=1) and list((tmp_path / "run").glob("agent-*.lock")))
    log = tmp_path / "second.log"
    assert start_agent(tmp_path, log).wait(60) == 3
    assert str(tmp_path) in log.read_text()
