"""A web process without an agent, killed and started again on its port, and jobs whose events the test writes as a collector would."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

import kargah.accounts.tables
import kargah.models.tables
import kargah.runs.tables  # noqa: F401 - what rows of jobs refer to
from kargah.contract.events import Event, Finished, Running, Step
from kargah.jobs import history, states
from kargah.jobs.progress import drawn
from kargah.jobs.states import State
from kargah.kit.clock import utc_now
from kargah.store.database import Database, sqlite_url
from support.server import EMAIL, NAME, PASSWORD, START_SECONDS


class WebAlone:
    def __init__(self, home: Path, **settings: str) -> None:
        self._settings = settings
        self.home, self.port, self.url, self.token = home, 0, "", ""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Where it was before."""
        said = self.home / "run" / "web.json"
        said.unlink(missing_ok=True)
        settings = {"HOME": self.home, "PORT": self.port, "RATE_LIMIT_PER_MINUTE": 100_000, "LOGIN_RATE_LIMIT_PER_MINUTE": 10_000}
        environment = {**os.environ, **{f"KARGAH_{name}": str(value) for name, value in {**settings, **self._settings}.items()}}
        with (self.home / "web.log").open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "kargah", "web"], env=environment, stdout=log, stderr=log)
        until = time.monotonic() + START_SECONDS
        while not said.exists():
            assert self.process.poll() is None and time.monotonic() < until, (self.home / "web.log").read_text()[-4000:]
            time.sleep(0.02)
        self.port = json.loads(said.read_text())["port"]
        self.url = f"http://127.0.0.1:{self.port}"

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def client(self) -> httpx.Client:
        """The admin."""
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.token}", "Accept-Language": "en"}, timeout=60)

    def register(self) -> None:
        form = {"email": EMAIL, "password": PASSWORD, "name": NAME}
        self.token = httpx.post(f"{self.url}/api/v1/auth/register", json=form, timeout=60).raise_for_status().json()["token"]

    def submit(self) -> "ToldJob":
        """A training that nobody will ever start."""
        with self.client() as client:
            job_id = client.post("/api/train", json={"epochs": 1}).raise_for_status().json()["job_id"]
            return ToldJob(self, job_id, client.get(f"/api/v1/jobs/{job_id}/run").raise_for_status().json()["id"])


class ToldJob:
    """Its events come from the test, past the web process."""

    def __init__(self, web: WebAlone, job_id: str, run_id: str) -> None:
        self.id, self.run_id = job_id, run_id
        self.last_step = 0
        self._database = Database(sqlite_url(web.home / "kargah.db"))
        self._tell(Running(at=utc_now(), total_steps=1000, total_epochs=1.0), state=State.RUNNING)

    def steps(self, count: int) -> None:
        numbers = range(self.last_step + 1, self.last_step + count + 1)
        self.last_step += count
        self._tell(
            *(Step(at=utc_now(), step=step, epoch=step / 1000, metrics={"loss": 1 / step, "learning_rate": 1e-3}) for step in numbers)
        )

    def finish(self) -> None:
        self._tell(Finished(at=utc_now()), state=State.COMPLETED)
        self._database.close()

    def _tell(self, *events: Event, state: State | None = None) -> None:
        with self._database.write() as session:
            job = states.lock(session, self.id)
            first = job.last_seq
            if state is not None:
                job.state = state
            job.progress = drawn(job.progress, list(events))
            history.append_lines(session, job, 1, [(first + index, event) for index, event in enumerate(events)])

    def positions(self, after: int) -> list[int]:
        """What a page opened at ``after`` must have been told."""
        with self._database.read() as session:
            return [event.position for event in history.events_after(session, after, job_id=self.id, limit=100_000)]


@contextmanager
def web_alone(home: Path, **settings: str) -> Iterator[WebAlone]:
    home.mkdir(parents=True, exist_ok=True)
    web = WebAlone(home, **settings)
    web.start()
    try:
        web.register()
        yield web
    finally:
        web.signal(signal.SIGCONT)
        web.kill()
