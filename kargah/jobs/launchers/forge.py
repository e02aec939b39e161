"""The agent's end of the warm parent of trainings (kargah.workers.forge). Losing it is normal: then a training starts cold."""

import json
import logging
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.process import PACKAGE_ROOT, environment
from kargah.jobs import processes
from kargah.kit.clock import Clock, SystemClock

MODULE = "kargah.workers.train"
#: The agent has better things to do in its first seconds; one that was lost comes back after a while, not for ever.
FIRST_AFTER_SECONDS = 5.0
AGAIN_AFTER_SECONDS = 60.0
MOST_STARTS = 5
ANSWER_SECONDS = 30.0

log = logging.getLogger(__name__)
Answers = queue.Queue[dict[str, Any]]


class ForgedChild:
    """A worker that the forge started, with the manners of ``subprocess.Popen``."""

    def __init__(self, forge: "Forge", pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._forge = forge
        self._process = processes.identify(pid)

    def poll(self) -> int | None:
        """As Popen's. 0 also for one whose end nobody could see because the forge was lost."""
        if self.returncode is None:
            self.returncode = self._forge.status_of(self.pid)
        if self.returncode is None and not self._forge.alive and not (self._process and processes.lives(self._process)):
            self.returncode = 0
        return self.returncode

    def kill(self) -> None:
        if self._process is not None:
            processes.signal_group(self._process, signal.SIGKILL)

    def wait(self) -> int:
        while (status := self.poll()) is None:
            self._forge.pause()
        return status


class Forge:
    """``tend`` is to be called now and then: it starts the warm process once the agent has settled, and again when it was lost."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._due = self._clock.monotonic_seconds() + FIRST_AFTER_SECONDS
        self._starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = threading.Event()
        self._answers: Answers = queue.Queue()
        self._statuses: dict[int, int] = {}
        self._changed = threading.Condition()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def ready(self) -> bool:
        return self.alive and self._ready.is_set()

    def tend(self) -> None:
        now = self._clock.monotonic_seconds()
        if self.alive or now < self._due or self._starts >= MOST_STARTS:
            return
        self._due, self._starts = now + AGAIN_AFTER_SECONDS, self._starts + 1
        self._ready, self._answers = threading.Event(), queue.Queue()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kargah.workers.forge"], cwd=PACKAGE_ROOT, env=environment(threads=1), stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            log.warning("the forge could not be started: %s", error)
            return
        heard = (self._process, self._ready, self._answers)
        threading.Thread(target=self._listen, args=heard, name="forge", daemon=True).start()

    def start(self, directory: AttemptDirectory, threads: int, gpus: Sequence[str] | None) -> ForgedChild | None:
        """The worker of that attempt, its lock held; None when it must start cold. Raises OSError when nobody knows."""
        if not self.ready or self._process is None or self._process.stdin is None:
            return None
        request = {"directory": str(directory.path), "threads": threads, "gpus": None if gpus is None else list(gpus)}
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        return self._answered(str(directory.path))

    def _answered(self, directory: str) -> ForgedChild | None:
        try:
            answer = self._answers.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            answer = {}
        if answer.get("started") == directory:
            return ForgedChild(self, answer["pid"])
        if answer.get("refused") == directory:
            log.warning("the forge refused: %s", answer["reason"])
            return None
        self.close()
        raise OSError("the forge gave no answer")

    def status_of(self, pid: int) -> int | None:
        return self._statuses.get(pid)

    def pause(self) -> None:
        """Wait a moment, or until a child has ended."""
        with self._changed:
            self._changed.wait(0.05)

    def close(self) -> None:
        """End the warm process; what it started goes on."""
        if self._process is not None:
            with suppress(OSError):
                self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                with suppress(OSError):
                    self._process.stdin.close()

    def _listen(self, process: "subprocess.Popen[bytes]", ready: threading.Event, answers: Answers) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                answer = json.loads(line)
                if "ready" in answer:
                    ready.set()
                elif "ended" in answer:
                    with self._changed:
                        self._statuses[answer["ended"]] = answer["status"]
                        self._changed.notify_all()
                else:
                    answers.put(answer)
        answers.put({})  # nobody waits in vain
