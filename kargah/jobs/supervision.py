"""One attempt that this agent answers for: is it alive, what is wanted of it, and how it is made to obey."""

import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kargah.contract import control
from kargah.contract.attempt import AttemptDirectory, is_held
from kargah.contract.control import Want
from kargah.jobs import processes
from kargah.jobs.carrier import Carrier, LocalCarrier
from kargah.jobs.collector import Place
from kargah.jobs.processes import Child, ProcessId
from kargah.jobs.states import ACTIVE, Fence, State
from kargah.jobs.tables import Attempt

#: A stop is over within five seconds: asked for first, then told, then made.
TERMINATE_AFTER_SECONDS = 1.5
KILL_AFTER_SECONDS = 3.5
#: A worker that has said its last word may take this long to go.
LINGER_SECONDS = 10.0


Signs = tuple[int | None, int]
#: Null: launched, and not looked at yet.
_BEGINNING = frozenset({None, State.STARTING.value, State.LOADING.value})


@dataclass(frozen=True)
class Condemned:
    """It broke a limit: it is ended, and its job fails with this. ``grace_seconds``: for a last checkpoint."""

    code: str
    params: dict[str, Any]
    grace_seconds: float


@dataclass
class Held:
    job_id: str
    kind: str
    fence: Fence
    directory: AttemptDirectory
    carrier: Carrier
    place: Place = field(default_factory=Place)
    process: ProcessId | None = None
    child: Child | None = None
    rebooted: bool = False
    told: Want = Want.RUN
    deadline_from: float | None = None
    signalled: signal.Signals | None = None
    condemned: Condemned | None = None
    state: str | None = None

    @property
    def exit_status(self) -> int | None:
        """Negative: the signal that ended it. None for one that this agent did not start."""
        return None if self.child is None else self.child.returncode


def hold(home: Path, job_id: str, kind: str, fence: Fence, attempt: Attempt | None = None, boot_id: str = "") -> Held:
    """Answer for a fresh attempt, or go on with the one that a former agent wrote down in ``attempt``."""
    directory = AttemptDirectory.of(home, job_id, fence.attempt)
    held = Held(job_id, kind, fence, directory, LocalCarrier(directory.events))
    if attempt is not None:
        held.place = Place(attempt.offset_bytes, attempt.line)
        held.rebooted = attempt.boot_id != boot_id
        if attempt.pid is not None and attempt.pid_started_at is not None:
            held.process = ProcessId(attempt.pid, attempt.pid_started_at)
        elif not held.rebooted:
            held.process = processes.find_by_argument(directory.path)
    return held


def is_dead(held: Held) -> bool:
    """Proven by the kernel: the process is gone and so is its lock. What it leaves behind in its group is ended."""
    if held.child is not None:
        if held.child.poll() is None:
            return False
    elif is_held(held.directory.alive) or (not held.rebooted and held.process is not None and processes.lives(held.process)):
        return False
    if held.process is not None and not held.rebooted:
        processes.signal_group(held.process, signal.SIGKILL)
    return True


def signs_of(held: Held) -> Signs:
    """What can be seen without asking the store: the exit status, and how much it has said while much hangs on each word."""
    status = None if held.child is None else held.child.poll()
    return status, held.carrier.size_bytes() if held.state in _BEGINNING else 0


def make_obey(held: Held, state: str, now_seconds: float) -> None:
    """Pass on what people want; past its deadline an attempt is ended. ``now_seconds`` is monotonic."""
    want = {State.PAUSING: Want.PAUSE, State.STOPPING: Want.STOP}.get(State(state), held.told)
    if want is not held.told:
        control.write(held.directory.control, want)
        held.told = want
    if state == State.STOPPING:
        _press(held, now_seconds, TERMINATE_AFTER_SECONDS, KILL_AFTER_SECONDS)
    elif held.condemned is not None:
        _press(held, now_seconds, 0.0, held.condemned.grace_seconds)
    elif state not in ACTIVE:
        _press(held, now_seconds, LINGER_SECONDS, LINGER_SECONDS + KILL_AFTER_SECONDS)


def _press(held: Held, now_seconds: float, terminate_after_seconds: float, kill_after_seconds: float) -> None:
    if held.deadline_from is None:
        held.deadline_from = now_seconds
    late_seconds = now_seconds - held.deadline_from
    if late_seconds >= kill_after_seconds:
        _signal(held, signal.SIGKILL)
    elif late_seconds >= terminate_after_seconds and held.signalled is None:
        _signal(held, signal.SIGTERM)


def _signal(held: Held, number: signal.Signals) -> None:
    held.signalled = number
    if held.process is not None:
        if number is signal.SIGKILL:
            processes.end_strays(held.process)
        processes.signal_group(held.process, number)
