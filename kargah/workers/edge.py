"""The edge of a worker process: whatever happens inside, one last word is written and the exit status is 0."""

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from kargah.contract.attempt import AttemptDirectory, hold_alive
from kargah.contract.plans import AnyPlan, Plan
from kargah.contract.wire import EventWriter
from kargah.kit import files
from kargah.kit.errors import KargahError
from kargah.workers import failures
from kargah.workers.telling import SPARE_BYTES, NoRoom, Teller
from kargah.workers.wants import TERMINATED, PauseWanted, StopWanted, TerminateWanted, Wants

_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "scikit-learn", "scipy", "pyarrow")


@dataclass(frozen=True)
class Attempt:
    """What the work inside may use."""

    directory: AttemptDirectory
    tell: Teller
    wants: Wants


def run_attempt(path: Path, work: Callable[[Plan, Attempt], dict[str, Any]]) -> int:
    """Hold the lock, read the plan, do the ``work``; its answer is the result of ``Finished``.

    Raises BlockingIOError, before a word is written, when another process of this attempt lives.
    """
    directory = AttemptDirectory(path)
    descriptor = hold_alive(directory.alive)
    _set_aside(directory)
    tell = Teller(EventWriter(directory.events), directory.reserve)
    attempt = Attempt(directory, tell, Wants(directory.control, tell, directory.memory))
    kind, fields = _last_word_of(work, attempt)
    attempt.wants.close()
    tell.last_word(kind, **fields)
    os.close(descriptor)
    return 0


def _set_aside(directory: AttemptDirectory) -> None:
    """An agent has done it already. Without one, and without room, the last word waits for some."""
    try:
        directory.set_aside()
    except OSError as error:
        if not files.is_full(error):
            raise


def _last_word_of(work: Callable[[Plan, Attempt], dict[str, Any]], attempt: Attempt) -> tuple[str, dict[str, Any]]:
    try:
        plan = AnyPlan.validate_json(attempt.directory.plan.read_bytes())
        attempt.tell("Started", pid=os.getpid(), threads=plan.threads, environment=environment())
        attempt.wants.check()
        result = work(plan, attempt)
        if attempt.directory.outputs.is_dir():  # what is said to be done must survive a power cut
            files.sync_tree(attempt.directory.outputs)
        return "Finished", {"result": result}
    except StopWanted:
        return "Stopped", {"step": attempt.tell.step}
    except PauseWanted:
        return "Paused", {"step": attempt.tell.step}
    except TerminateWanted:
        return "Interrupted", {"code": TERMINATED, "params": {}}
    except NoRoom as error:
        return "Paused", {"step": attempt.tell.step, **_no_room(error.needed_bytes, error.free_bytes)}
    except KargahError as error:
        return "Failed", error.as_dict()
    except Exception as error:  # noqa: BLE001 - the edge of a job: what nobody foresaw must still be told
        if files.is_full(error):
            return "Paused", {"step": attempt.tell.step, **_more_than_there_was(attempt.directory)}
        return "Failed", failures.told(error, attempt.directory.path)


def _no_room(needed_bytes: int, free_bytes: int) -> dict[str, Any]:
    """Of a ``Paused`` that nobody asked for."""
    return {"code": "DISK_FULL", "params": {"needed_bytes": needed_bytes, "free_bytes": free_bytes}}


def _more_than_there_was(directory: AttemptDirectory) -> dict[str, Any]:
    """Where nobody knows how much it takes: what was free and what it had written did not do. Half-made outputs give their room back."""
    free_bytes = files.free_bytes(directory.path)
    written_bytes = sum(path.stat().st_size for path in directory.outputs.rglob("*") if path.is_file())
    shutil.rmtree(directory.outputs, ignore_errors=True)
    return _no_room(free_bytes + written_bytes * 5 // 4 + SPARE_BYTES, free_bytes + written_bytes)


def environment() -> dict[str, str]:
    """All that can change a result: the processor, and versions; absent packages are left out."""
    from kargah import __version__

    versions = {"kargah": __version__, "python": platform.python_version(), "machine": platform.machine(), "processor": _processor()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _processor() -> str:
    """As its maker calls it: other processors round in other places. What the system tells of the architecture where it says no more."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2] for line in lines if line.startswith("model name")), platform.processor() or platform.machine())
    return " ".join(named.split())
