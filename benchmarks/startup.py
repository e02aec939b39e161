"""How quickly `kargah serve` answers, how much its web process weighs, how quickly it is gone; how soon a training takes its first step.

The peer is a bare FastAPI application with one route under uvicorn, started in turn with ours. First steps are of the Persian comments,
everything by default: from POST /api/v1/jobs to the first step's metrics on the stream of an idle server, with the warm parent and
without; and from the start of a command `kargah train FILE` to the first step in its history. By default simple models are fitted
right after the network's first step; the same without them stands beside it. Needs the shared data folder beside the checkout.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
from form import figure, interleaved, median, not_measured, report, spread

ROOT = Path(__file__).parent.parent
ROWS = ROOT.parent / "shared" / "data" / "sentiment-deepsentipers" / "train.csv"
#: The warm parent starts when the agent has settled, and imports for some seconds.
SETTLED_SECONDS = 20.0
BARE = """
import sys, uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.get("/health")
def health(): return {"ok": True}
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_health(port: int, limit_seconds: float = 60) -> None:
    until = time.monotonic() + limit_seconds
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
                json.load(answer)
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.005)
    raise TimeoutError("no /health")


def start(command: list[str], port: int) -> tuple[subprocess.Popen[bytes], float]:
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_health(port)
    return process, time.monotonic() - began


def end(process: subprocess.Popen[bytes]) -> float:
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(30)
    return time.monotonic() - began


class Kargah:
    def __init__(self, home: Path) -> None:
        self.home, self.exits, self.web_mib = home, [], []

    def health_seconds(self) -> float:
        port = free_port()
        process, seconds = start([sys.executable, "-m", "kargah", "serve", "--home", str(self.home), "--port", str(port)], port)
        web = next(child for child in psutil.Process(process.pid).children(recursive=True) if "web" in child.cmdline())
        time.sleep(1)
        self.web_mib.append(web.memory_info().rss / 2**20)
        self.exits.append(end(process))
        return seconds


def bare_seconds() -> float:
    port = free_port()
    process, seconds = start([sys.executable, "-c", BARE, str(port)], port)
    end(process)
    return seconds


class Served:
    """An idle server with the data set and the base model in it: how long after the click the first step is done."""

    def __init__(self, home: Path, rows: Path, warm: bool, base: Path | None = None) -> None:
        from kargah.client import Kargah as Client

        port = free_port()
        command = [sys.executable, "-m", "kargah", "serve", "--home", str(home), "--port", str(port)]
        environment = {**os.environ, "KARGAH_WARM_START": str(warm).lower()}
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, env=environment)
        wait_for_health(port)
        self._client = Client(f"http://127.0.0.1:{port}", language="en")
        person = {"email": "bench@example.org", "password": "a long passphrase 1", "display_name": "Bench"}
        self._client.transport.token = self._client.transport.json("POST", "/api/v1/auth/register", json=person)["token"]
        self._dataset = self._client.datasets.upload(rows).id
        self._base = self._client.models.upload(base, title="MiniLM")["versions"][0]["id"] if base else None
        time.sleep(SETTLED_SECONDS)

    def seconds(self, spec: dict[str, Any]) -> float:
        """From the click to the first step's metrics on the stream; the training is stopped then."""
        began = time.monotonic()
        job = self._client.trainings.start(datasets=[self._dataset], base_model=self._base, spec=spec).job
        for event in self._client.jobs.events(job.id):
            if event.kind == "Step":
                break
        waited = time.monotonic() - began
        self._client.jobs.stop(job.id)
        for _ in self._client.jobs.events(job.id):
            pass
        time.sleep(2)
        return waited

    def end(self) -> None:
        self._client.close()
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)


def command_seconds(plan: dict[str, Any]) -> float:
    """From the start of ``kargah train`` to the first step in its history; it is stopped then."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "plan.yaml")
        file.write_text(json.dumps({**plan, "output": f"{scratch}/model"}), "utf-8")  # JSON is YAML
        environment = {**os.environ, "TMPDIR": scratch}
        began = time.monotonic()
        command = [sys.executable, "-m", "kargah", "train", str(file)]
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not stepped(Path(scratch)):
            time.sleep(0.01)
        waited = time.monotonic() - began
        process.send_signal(signal.SIGINT)
        process.wait(60)
        return waited


def stepped(folder: Path) -> bool:
    return any(b'"Step"' in path.read_bytes() for path in folder.glob("*/jobs/train/attempts/*/events.jsonl"))


def first_steps(rounds: int) -> dict[str, dict[str, Any]]:
    if not ROWS.exists():
        return {"warm_click_to_first_step": not_measured("the shared data folder is not beside the checkout", "<= 2 s", "s")}
    alone: dict[str, Any] = {"baselines": False}
    clicked: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as home:
        for name, warm in {"warm": True, "cold": False}.items():
            served = Served(Path(home, name), ROWS, warm)
            try:
                clicked[name] = interleaved(rounds, default=lambda: served.seconds({}), alone=lambda: served.seconds(alone))  # noqa: B023
            finally:
                served.end()
    plan = {"datasets": [str(ROWS)], "recipe": "text-classification"}
    commands = interleaved(rounds, default=lambda: command_seconds(plan), alone=lambda: command_seconds({**plan, "spec": alone}))
    return {
        "warm_click_to_first_step": waited(clicked["warm"], 2),
        "cold_click_to_first_step": waited(clicked["cold"], 5),
        "cold_command_to_first_step": waited(commands, 5),
    }


def waited(taken: dict[str, list[float]], limit_seconds: float) -> dict[str, Any]:
    """The figure is that of everything by default."""
    seconds, alone = median(taken["default"]), round(median(taken["alone"]), 2)
    more = {"spread": spread(taken["default"]), "without_simple_models": alone}
    return figure(seconds, None, "none", f"<= {limit_seconds} s", seconds <= limit_seconds, "s", **more)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    rounds = 2 if parser.parse_args().quick else 7
    os.environ.pop("KARGAH_HOME", None)
    with tempfile.TemporaryDirectory() as home:
        kargah = Kargah(Path(home))
        first = kargah.health_seconds()  # makes the database
        taken = interleaved(rounds, ours=kargah.health_seconds, bare=bare_seconds)
    ours, bare = median(taken["ours"]), median(taken["bare"])
    web_mib, exit_seconds = max(kargah.web_mib), median(kargah.exits)
    report(
        "startup",
        {
            "health_vs_bare_fastapi": figure(ours, bare, "one-route FastAPI under uvicorn", "<= 2 s", ours <= 2, seconds=round(ours, 3)),
            "first_start_seconds": figure(first, None, "none: migrations included", "<= 2 s", first <= 2, "s"),
            "web_process_rss": figure(web_mib, None, "none", "<= 150 MB", web_mib * 2**20 <= 150e6, "MiB"),
            "exit_seconds": figure(exit_seconds, None, "none", "<= 1 s", exit_seconds <= 1, "s"),
            **first_steps(rounds),
        },
    )


if __name__ == "__main__":
    main()
