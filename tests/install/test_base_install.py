"""A machine with only `pip install` of our wheel: pages and API are served, and training says what to install."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment made from the wheel and the base lock alone. Returns its bin folder."""
    folder = tmp_path_factory.mktemp("bare")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    wheel = next(folder.glob("kargah-*.whl"))
    target = ["--python", str(folder / "env" / "bin" / "python")]
    subprocess.run([*pip, *target, "install", "--no-deps", "-r", str(ROOT / "requirements" / "base.txt"), str(wheel)], check=True)
    return folder / "env" / "bin"


@pytest.fixture(scope="module")
def address(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("home")
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
    command = [str(bare / "kargah"), "serve", "--home", str(home / "kargah"), "--port", str(port)]
    process = subprocess.Popen(command, env=environment, cwd=home)
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def _wait_until_healthy(address: str) -> None:
    for _ in range(300):
        try:
            assert call(f"{address}/health")["ok"]
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise TimeoutError


def call(url: str, body: dict[str, Any] | None = None, token: str | None = None) -> Any:
    headers = {"Content-Type": "application/json", "Accept-Language": "en"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, json.dumps(body).encode() if body is not None else None, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_no_training_library_is_there(bare: Path) -> None:
    code = "import importlib.util as u; print([n for n in ('torch', 'transformers', 'sklearn', 'numpy') if u.find_spec(n)])"
    assert subprocess.run([bare / "python", "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_pages_and_assets_are_served(address: str) -> None:
    with urllib.request.urlopen(f"{address}/login") as answer:
        page = answer.read().decode()
    assert 'dir="rtl"' in page
    for asset in {part.split('"')[0] for part in page.split('href="')[1:] if part.startswith("/static/")}:
        with urllib.request.urlopen(address + asset) as answer:
            assert answer.status == 200


def test_a_training_says_what_to_install_and_how(address: str) -> None:
    account = {"email": "owner@example.org", "password": "یک گذرواژهٔ بلند ۱۴۰۵", "name": "سارا"}
    token = call(f"{address}/api/auth/register", account)["token"]
    job_id = call(f"{address}/api/train", {"epochs": 1}, token)["job_id"]
    for _ in range(300):
        status = call(f"{address}/api/train/status?job_id={job_id}", token=token)["status"]
        if status["status"] in {"ERROR", "COMPLETED", "STOPPED"}:
            break
        time.sleep(0.1)
    assert status["status"] == "ERROR"
    assert "kargah[train]" in status["message"]


def test_doctor_says_that_training_is_missing(bare: Path, tmp_path: Path) -> None:
    command = [bare / "kargah", "--language", "en", "doctor", "--home", str(tmp_path / "home")]
    answer = subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, check=False)
    assert "kargah[train]" in answer.stdout + answer.stderr
