"""How quickly `kargah serve` answers, how much its web process weighs, how quickly it is gone.

The peer is a bare FastAPI application with one route under uvicorn, started in turn with ours.
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

import psutil
from form import figure, interleaved, median, report

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
        },
    )


if __name__ == "__main__":
    main()
