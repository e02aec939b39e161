"""``kargah serve``: the web process and the agent of one machine, kept running by a parent that imports next to nothing."""

import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from types import FrameType

from kargah.cli.words import language, t
from kargah.kit.settings import Settings

POLL_SECONDS = 0.05
LONGEST_BACK_OFF_SECONDS = 10.0
STEADY_SECONDS = 30.0
#: A child that ends by itself this soon after the first start refuses to run (a taken port, another agent): starting it again is no help.
REFUSAL_SECONDS = 10.0
END_SECONDS = 0.9
DRAIN_SECONDS = 75.0
_PARENT_DEATH_SIGNAL = 1  # prctl's PR_SET_PDEATHSIG


@dataclass
class Child:
    name: str
    process: "subprocess.Popen[bytes]"
    started_at: float
    failures: int = 0
    start_again_at: float | None = None


class Parent:
    def __init__(self, settings: Settings, stop_jobs: bool) -> None:
        self._settings = settings
        self._stop_jobs = stop_jobs
        self._environment = {
            **os.environ,
            "KARGAH_HOME": str(settings.home.resolve()),
            "KARGAH_HOST": settings.host,
            "KARGAH_PORT": str(settings.port),
        }
        self._began_at = time.monotonic()
        self._address: str | None = None
        self._signals = 0
        self._children: list[Child] = []

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        # Whoever started this may have blocked them, and the children would inherit that: none could be ended but by force.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
        self._children = [self._start("web"), self._start("agent")]
        status = 0
        while not self._signals and not status:
            self._say_address()
            status = next((refused for child in self._children if (refused := self._tend(child))), 0)
            time.sleep(POLL_SECONDS)
        self._end()
        return status

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _start(self, name: str) -> Child:
        process = subprocess.Popen(
            [sys.executable, "-m", "kargah", "--language", language(), name],
            env=self._environment,
            stdout=subprocess.DEVNULL if name == "web" else None,  # all that it prints is its address, which is said here
            process_group=0,  # the terminal's Ctrl-C reaches this parent only
            preexec_fn=_end_with_parent,
        )
        return Child(name, process, time.monotonic())

    def _tend(self, child: Child) -> int:
        """Start a dead child again, later each time. Returns the status of one that refuses to run, else 0."""
        now = time.monotonic()
        if child.start_again_at is not None:
            if now >= child.start_again_at:
                fresh = self._start(child.name)
                child.process, child.started_at, child.start_again_at = fresh.process, fresh.started_at, None
            return 0
        status = child.process.poll()
        if status is None:
            return 0
        if status > 0 and child.failures == 0 and now - self._began_at < REFUSAL_SECONDS:
            return status
        child.failures = 1 if now - child.started_at > STEADY_SECONDS else child.failures + 1
        wait_seconds = min(LONGEST_BACK_OFF_SECONDS, 0.1 * 2 ** (child.failures - 1))
        sys.stderr.write(t("cli.serve.child_ended", name=child.name, status=status, wait_seconds=wait_seconds) + "\n")
        child.start_again_at = now + wait_seconds
        return 0

    def _say_address(self) -> None:
        """Once; the port is then kept, so that the web process comes back where it was."""
        if self._address is not None:
            return
        try:
            said = json.loads((self._settings.run_folder / "web.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return
        if said["pid"] != self._children[0].process.pid:
            return  # left by a former one
        host = f"[{said['host']}]" if ":" in said["host"] else said["host"]
        self._address = f"http://{host}:{said['port']}"
        self._environment["KARGAH_PORT"] = str(said["port"])
        sys.stdout.write(t("cli.serve.address", url=self._address) + "\n")
        sys.stdout.flush()

    def _end(self) -> None:
        """Jobs go on, unless asked otherwise: then the agent has time to see their checkpoints written. A second Ctrl-C cuts that short."""
        drain = getattr(signal, "SIGUSR1", signal.SIGTERM) if self._stop_jobs else signal.SIGTERM
        if self._stop_jobs:
            sys.stdout.write(t("cli.serve.stopping_jobs") + "\n")
            sys.stdout.flush()
        signals = self._signals
        for child in self._children:
            if child.process.poll() is None:
                child.process.send_signal(drain if child.name == "agent" else signal.SIGTERM)
        until = time.monotonic() + (DRAIN_SECONDS if self._stop_jobs else END_SECONDS)
        while time.monotonic() < until and self._signals == signals:
            if all(child.process.poll() is not None for child in self._children):
                return
            time.sleep(POLL_SECONDS / 5)
        for child in self._children:
            if child.process.poll() is None:
                child.process.kill()


def run_serve(settings: Settings, stop_jobs: bool = False) -> int:
    """Run both until SIGINT or SIGTERM; out within a second (``stop_jobs``: when the jobs have been stopped). Returns the exit status."""
    settings.run_folder.mkdir(parents=True, exist_ok=True)
    gc.freeze()  # nothing loaded by now is garbage; the interpreter's last collection, which takes a good part of a second, skips it
    return Parent(settings, stop_jobs).run()


def _end_with_parent() -> None:
    """Should this parent be killed, its children end too; the next start then finds the port and the agent's place free."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)
