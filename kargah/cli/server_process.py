"""A server of our own, as a child: started, waited for, stopped."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kargah.cli.errors import WorkerDied
from kargah.client import Kargah, ServerUnreachable

START_SECONDS, STOP_SECONDS = 60.0, 10.0
_TAIL_CHARACTERS = 2000


@contextmanager
def serving(home: Path, host: str, port: int) -> Iterator[str]:
    """``kargah serve`` on ``home`` until the block is left; yields its address once it answers. Its words go to ``home/serve.log``."""
    home.mkdir(parents=True, exist_ok=True)
    log_path = home / "serve.log"
    command = [sys.executable, "-m", "kargah", "serve", "--home", str(home), "--host", host, "--port", str(port)]
    with log_path.open("ab") as log:
        # Its own session: Ctrl-C is ours to answer, and we ask it to go in an orderly way.
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        url = f"http://{host}:{port}"
        _wait_for(url, process, log_path)
        yield url
    finally:
        stop(process)


def free_port(host: str, wanted: int) -> int:
    """``wanted``, or any free one when somebody already listens there."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            number: int = probe.getsockname()[1]
            return number
    return wanted


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with Kargah(url, timeout_seconds=2.0) as kargah:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                kargah.health()
                return
            except ServerUnreachable:
                time.sleep(0.1)
    tail = log.read_text(encoding="utf-8", errors="replace")[-_TAIL_CHARACTERS:]
    raise WorkerDied(status=process.returncode, log=str(log), tail=tail)
