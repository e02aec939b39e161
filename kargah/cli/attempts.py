"""Workers run from the terminal, without a server: the same processes, directories and events as under an agent."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kargah.cli.errors import WorkerDied, WorkerFailed, WorkerStopped
from kargah.contract import control, wire
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import LAST_WORDS, Event, Failed, Finished, Paused
from kargah.contract.process import start_ahead, start_worker
from kargah.kit import files

OnEvent = Callable[[str, dict[str, Any]], None]

POLL_SECONDS = 0.05
#: How long a worker may take to stop by itself, before SIGTERM and before SIGKILL.
STOP_SECONDS, TERM_SECONDS = 5.0, 3.0
_LOG_TAIL_BYTES = 4000


@contextmanager
def workspace(within: Path | None = None) -> Iterator[Path]:
    """A folder for the attempts of one command: gone at the end, but kept when a worker died, whose log it holds."""
    folder = Path(tempfile.mkdtemp(prefix="kargah-", dir=within))
    keep = False
    try:
        yield folder
    except WorkerDied:
        keep = True
        raise
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def new_attempt(folder: Path, name: str) -> AttemptDirectory:
    directory = AttemptDirectory.of(folder, name, 1)
    for path in (directory.inputs, directory.outputs, directory.checkpoints):
        path.mkdir(parents=True, exist_ok=True)
    return directory


def run(
    kind: str, directory: AttemptDirectory, plan: dict[str, Any], on_event: OnEvent, waiting: "subprocess.Popen[bytes] | None" = None
) -> dict[str, Any]:
    """Run a worker to its end and return the result that it finished with. Ctrl-C stops it the way a server does.

    ``waiting``: the worker, when it is there already (``ahead``). Raises WorkerFailed, WorkerDied, WorkerStopped.
    """
    process = start(kind, directory, plan, waiting)
    try:
        last = _follow(process, directory, on_event)
    except KeyboardInterrupt:
        stop(process, directory)
        raise
    return _result_of(last, process, directory)


@contextmanager
def ahead(kind: str, directory: AttemptDirectory, threads: int, imports: Sequence[str]) -> "Iterator[subprocess.Popen[bytes]]":
    """A worker that imports what it will need while its plan is made; gone when that fails, or when its work does."""
    process = start_ahead(f"kargah.workers.{kind}", directory, threads, imports)
    try:
        yield process
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        if process.stdin is not None:
            process.stdin.close()


def start(
    kind: str, directory: AttemptDirectory, plan: dict[str, Any], waiting: "subprocess.Popen[bytes] | None" = None
) -> "subprocess.Popen[bytes]":
    files.write_json(directory.plan, plan)
    if waiting is not None and waiting.stdin is not None:
        waiting.stdin.close()
        return waiting
    # Its own session: the terminal's Ctrl-C must reach the worker as a stop request, never as a signal in mid-step.
    return start_worker(f"kargah.workers.{kind}", directory, plan.get("threads") or 1)


def stop(process: subprocess.Popen[bytes], directory: AttemptDirectory) -> None:
    control.write(directory.control, control.Want.STOP)
    for patience_seconds, then in ((STOP_SECONDS, signal.SIGTERM), (TERM_SECONDS, signal.SIGKILL)):
        try:
            process.wait(patience_seconds)
            return
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, then)
    process.wait()


def events_of(process: subprocess.Popen[bytes], directory: AttemptDirectory) -> Iterator[Event]:
    """Every event as it is written, until the process has ended and all is read."""
    offset_bytes = 0
    while True:
        has_ended = process.poll() is not None  # asked before reading: what it wrote last is still read
        lines = list(wire.whole_lines(directory.events, offset_bytes))
        for line, end in lines:
            offset_bytes = end
            yield wire.decode(line)
        if has_ended and not lines:
            return
        if not lines:
            time.sleep(POLL_SECONDS)


def _follow(process: subprocess.Popen[bytes], directory: AttemptDirectory, on_event: OnEvent) -> Event | None:
    """The last word, as soon as it is said: what it tells of is on the disk, and the process has only its memory to give back."""
    for event in events_of(process, directory):
        on_event(event.kind, event.model_dump(exclude={"kind", "at"}))
        if event.kind in LAST_WORDS:
            _let_end(process)
            return event
    return None


def _let_end(process: subprocess.Popen[bytes]) -> None:
    threading.Thread(target=process.wait, name="ending", daemon=True).start()


def _result_of(last: Event | None, process: subprocess.Popen[bytes], directory: AttemptDirectory) -> dict[str, Any]:
    if isinstance(last, Finished):
        return last.result
    if isinstance(last, Failed):
        raise WorkerFailed(last.code, last.params, last.evidence)
    if isinstance(last, Paused) and last.code is not None:  # here nobody would go on when there is room
        raise WorkerFailed("WORK_DISK_FULL", {"free_bytes": last.params["free_bytes"]}, None)
    if last is None:
        raise WorkerDied(status=process.returncode, log=str(directory.log), tail=tail_of(directory.log))
    raise WorkerStopped()


def tail_of(path: Path) -> str:
    try:
        content = path.read_bytes()[-_LOG_TAIL_BYTES:]
    except FileNotFoundError:
        return ""
    return content.decode("utf-8", "replace").strip()
