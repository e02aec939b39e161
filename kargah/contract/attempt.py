"""The directory of an attempt: the only place where a worker and the rest of the system meet.

::

    jobs/<job id>/
      checkpoints/            kept over attempts
      attempts/<number>/
        plan.json             in: what to do (contract.plans)
        inputs/               in: files laid out by the agent, until it is over
        control.json          in: run, pause or stop (contract.control)
        events.jsonl          out: what happened (contract.events)
        outputs/              out: what was made (contract.results), until that is kept elsewhere
        worker.log            out: stdout and stderr, whole
        memory.jsonl          out: how much memory there was and was used (contract.memory)
        usage.jsonl           how much memory its processes have to themselves, noted by the agent (jobs.usage)
        reserve               room kept for the last words on a full disk
        alive                 locked by the worker as long as it lives
"""

import fcntl
import os
import shutil
from pathlib import Path

RESERVE_BYTES = 64 << 10


class _Within:
    """A path in the directory, put together when it is asked for: a queue of small jobs asks for few of them."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, directory: "AttemptDirectory", _: type) -> Path:
        return directory.path / self._name


class AttemptDirectory:
    plan = _Within("plan.json")
    inputs = _Within("inputs")
    control = _Within("control.json")
    events = _Within("events.jsonl")
    outputs = _Within("outputs")
    log = _Within("worker.log")
    memory = _Within("memory.jsonl")
    usage = _Within("usage.jsonl")
    reserve = _Within("reserve")
    alive = _Within("alive")

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.realpath(path))  # in half the time of ``resolve``, for which a queue of small jobs waits

    @classmethod
    def of(cls, home: Path, job_id: str, number: int) -> "AttemptDirectory":
        return cls(home / "jobs" / job_id / "attempts" / str(number))

    @property
    def job_path(self) -> Path:
        return self.path.parent.parent

    @property
    def home(self) -> Path:
        return self.job_path.parent.parent

    @property
    def checkpoints(self) -> Path:
        return self.job_path / "checkpoints"

    def set_aside(self) -> None:
        """Take the room that the last words may need. Raises OSError where there is none; then none is taken."""
        if self.reserve.exists():
            return
        try:
            self.reserve.write_bytes(os.urandom(RESERVE_BYTES))  # nothing that a file system could make smaller
        except OSError:
            self.reserve.unlink(missing_ok=True)
            raise

    def give_back(self) -> None:
        """Of an attempt that is over. Its files are links to what is kept: they would hold the room of what is deleted."""
        self.reserve.unlink(missing_ok=True)
        for folder in (self.inputs, self.outputs):
            shutil.rmtree(folder, ignore_errors=True)


def hold_alive(path: Path) -> int:
    """Lock ``alive`` for the life of this process; the kernel lets go when it dies, however it dies.

    Returns the descriptor, which must stay open (it is not inherited by children). Raises BlockingIOError when another
    process of the same attempt lives.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock. False also when it was never taken."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    finally:
        os.close(descriptor)
    return False
