"""A real server for tests: ``kargah serve`` in a home of its own, started once a session, with an admin signed in."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

START_SECONDS, STOP_SECONDS, JOB_SECONDS = 60.0, 10.0, 240.0
TERMINAL = {"COMPLETED", "ERROR", "STOPPED"}
EMAIL, PASSWORD, NAME = "admin@example.org", "correct horse battery", "سارا"


@dataclass
class Server:
    """A running server. ``token`` is the admin's; ``client()`` speaks as the admin, or as whoever's token is given."""

    home: Path
    url: str
    process: "subprocess.Popen[bytes]"
    token: str = ""
    clients: list[httpx.Client] = field(default_factory=list)

    def client(self, token: str | None = "admin", **headers: str) -> httpx.Client:
        shown = self.token if token == "admin" else token
        if shown:
            headers["Authorization"] = f"Bearer {shown}"
        client = httpx.Client(base_url=self.url, headers={"Accept-Language": "en", **headers}, timeout=60.0)
        self.clients.append(client)
        return client

    def log(self) -> str:
        return (self.home / "serve.log").read_text(encoding="utf-8", errors="replace")


@contextmanager
def running(home: Path, **settings: Any) -> Iterator[Server]:
    """``kargah serve`` on a free port of the loopback, ready to answer; ``settings`` as KARGAH_<NAME>."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "run" / "web.json").unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KARGAH_")}
    environment["KARGAH_WARM_START"] = "false"  # most tests end before it is warm
    environment |= {f"KARGAH_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "kargah", "--language", "en", "serve", "--home", str(home), "--port", "0"]
    with (home / "serve.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True)
    server = Server(home, "", process)
    try:
        server.url = _address(server)
        yield server
    finally:
        for client in server.clients:
            client.close()
        stop(process)


@contextmanager
def running_with_admin(home: Path, **settings: Any) -> Iterator[Server]:
    """Limits of rate are raised out of the way of tests that are not about them."""
    roomy = {"rate_limit_per_minute": 100_000, "login_rate_limit_per_minute": 10_000}
    with running(home, **{**roomy, **settings}) as server:
        form = {"email": EMAIL, "password": PASSWORD, "name": NAME}
        answer = server.client(None).post("/api/auth/register", json=form)
        assert answer.status_code == 201, answer.text
        server.token = answer.json()["token"]
        yield server


def stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _address(server: Server) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        said = server.home / "run" / "web.json"
        if said.exists():
            place = json.loads(said.read_text())
            url = f"http://{place['host']}:{place['port']}"
            if _answers(url):
                return url
        time.sleep(0.05)
    raise AssertionError(f"the server did not start:\n{server.log()[-4000:]}")


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2.0).is_success
    except httpx.TransportError:
        return False


def wait_for(client: httpx.Client, job_id: str, states: set[str], at_step: int = 0) -> dict[str, Any]:
    """Poll the documented status route until the job is in one of ``states``, and has done ``at_step`` steps."""
    deadline = time.monotonic() + JOB_SECONDS
    while True:
        answer = client.get("/api/train/status", params={"job_id": job_id})
        assert answer.status_code == 200, answer.text
        status: dict[str, Any] = answer.json()["status"]
        if status["status"] in states and (status["step"] or 0) >= at_step:
            return status
        assert status["status"] not in TERMINAL, status
        assert time.monotonic() < deadline, status
        time.sleep(0.1)
