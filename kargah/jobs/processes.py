"""Processes by (pid, start time): a pid alone may name a stranger by now."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

#: The system's idea of when it was booted moves a little when its clock is set; start times are told from it.
SAME_START_SECONDS = 2.0


class Child(Protocol):
    """A process that this agent started, cold or by its forge; as ``subprocess.Popen`` has it."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def kill(self) -> None: ...

    def wait(self) -> int: ...


@dataclass(frozen=True)
class ProcessId:
    pid: int
    started_at: float


def this_process() -> ProcessId:
    return ProcessId(os.getpid(), psutil.Process().create_time())


def identify(pid: int) -> ProcessId | None:
    try:
        return ProcessId(pid, psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def lives(process: ProcessId) -> bool:
    """False for a zombie: it runs nothing and holds nothing."""
    try:
        found = psutil.Process(process.pid)
        same = abs(found.create_time() - process.started_at) < SAME_START_SECONDS
        return same and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def find_by_argument(path: Path) -> ProcessId | None:
    """The living process started with ``path`` as an argument: how a worker is found whose pid nobody lived to write down."""
    for process in psutil.process_iter(["cmdline", "create_time", "status"]):
        if str(path) in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE:
            return ProcessId(process.pid, process.info["create_time"])
    return None


def unique_memory_bytes(leader: ProcessId) -> int:
    """Memory that would be free without the process and its descendants: pages shared with others do not count. 0 when it is gone."""
    if not lives(leader):
        return 0
    total = 0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(leader.pid)
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += one.memory_full_info().uss
    return total


def end_strays(leader: ProcessId) -> None:
    """Kill descendants that left the group for a session of their own. Only while the leader lives can they be told from others."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(leader.pid)
        if abs(process.create_time() - leader.started_at) >= SAME_START_SECONDS:
            return
        for one in process.children(recursive=True):
            with suppress(psutil.NoSuchProcess, ProcessLookupError, PermissionError):
                if os.getpgid(one.pid) != leader.pid:
                    one.kill()


def signal_group(leader: ProcessId, number: signal.Signals) -> None:
    """Signal the leader's process group, unless the pid has gone to a stranger.

    A group whose leader is gone keeps its number for itself, so that what the leader left behind is still reached.
    """
    now = identify(leader.pid)
    if now is None or abs(now.started_at - leader.started_at) < SAME_START_SECONDS:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader.pid, number)
