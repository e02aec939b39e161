"""The web process as it really runs: started by its command, asked, stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from support.sites import PASSWORD

MEMORY_LIMIT_BYTES = 150_000_000


@pytest.fixture
def process(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KARGAH_", "COVERAGE"))}
    command = [sys.executable, "-m", "kargah", "web", "--home", str(tmp_path / "home"), "--port", "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.wait()


def address_of(process: "subprocess.Popen[str]", home: Path) -> str:
    said = home / "run" / "web.json"
    while not said.exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)
    place = json.loads(said.read_text())
    assert place["pid"] == process.pid
    return f"http://{place['host']}:{place['port']}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_leaves_cleanly_with_streams_open_and_stays_small(process: "subprocess.Popen[str]", tmp_path: Path, number: int) -> None:
    url = address_of(process, tmp_path / "home")
    assert httpx.get(f"{url}/health").json()["service"] == "kargah"
    token = httpx.post(f"{url}/api/v1/auth/register", json={"email": "a@example.org", "password": PASSWORD}).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    for path in ("/", "/datasets", "/runs", "/api/v1/jobs", "/api/v1/openapi.json", "/api/v1/recipes"):
        assert httpx.get(url + path, headers=headers).status_code == 200, path
    assert psutil.Process(process.pid).memory_info().rss < MEMORY_LIMIT_BYTES
    with httpx.stream("GET", f"{url}/api/v1/events", headers=headers) as answer:
        lines = answer.iter_lines()
        next(lines)
        process.send_signal(number)
        assert not [line for line in lines if line.startswith("data")]
    _, log = process.communicate(timeout=20)
    assert (process.returncode, log) == (0, "")


def test_a_taken_port_is_said_in_one_sentence(process: "subprocess.Popen[str]", tmp_path: Path) -> None:
    port = address_of(process, tmp_path / "home").rpartition(":")[2]
    command = [sys.executable, "-m", "kargah", "--language", "en", "web", "--home", str(tmp_path / "other"), "--port", port]
    second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert second.returncode == 1
    assert f"port {port}" in second.stderr
    assert "Traceback" not in second.stderr


def test_secrets_are_readable_by_their_owner_only(process: "subprocess.Popen[str]", tmp_path: Path) -> None:
    url = address_of(process, tmp_path / "home")
    httpx.post(f"{url}/api/v1/auth/register", json={"email": "a@example.org", "password": PASSWORD}).raise_for_status()
    secret = tmp_path / "home" / "secrets" / "secret_key"
    assert oct(secret.stat().st_mode & 0o777) == "0o600"
