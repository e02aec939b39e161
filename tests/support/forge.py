"""A warm parent of training workers (``python -m support.forge``): they start in a moment, and are interrupted at an exact step.

One JSON line in: {directory, way, step}; one out: the exit status of that worker (negative: the signal that ended it).
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from kargah.contract import control
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.control import Want

TESTS = Path(__file__).parents[1]


class Forge:
    """The test's end of it."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(TESTS), "HF_HUB_OFFLINE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.forge"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )

    def run(self, directory: AttemptDirectory, way: str | None = None, step: int = 0) -> int:
        """Train what the plan says; ``way``: pause, SIGTERM, SIGKILL or rank, which comes right after that step."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"directory": str(directory.path), "way": way, "step": step}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def _serve() -> None:
    from kargah.recipes import catalogue

    for module in ("torch", "transformers", "sklearn", *(f"{recipe.runtime}.train" for recipe in catalogue.RECIPES.values())):
        importlib.import_module(module)
    assert threading.active_count() == 1, "a fork would lose the other threads"
    for line in sys.stdin:
        wanted = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(_work(**wanted))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


def _work(directory: str, way: str | None, step: int) -> int:
    from kargah.workers import train
    from kargah.workers.edge import run_attempt

    log = os.open(Path(directory) / "worker.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)

    def work(plan: Any, attempt: Any) -> dict[str, Any]:
        tell = attempt.tell

        def told(kind: str, **fields: Any) -> None:
            tell(kind, **fields)
            if kind == "Step" and fields["step"] == step and way is not None:
                _interrupt(attempt, way)

        return train.train(plan, replace(attempt, tell=_Voice(tell, told)))

    return run_attempt(Path(directory), work)


class _Voice:
    """The worker's voice, each word of it seen."""

    def __init__(self, tell: Any, told: Any) -> None:
        self.__dict__["_tell"], self.__dict__["_told"] = tell, told

    def __call__(self, kind: str, **fields: Any) -> None:
        self._told(kind, **fields)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tell, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._tell, name, value)


def _interrupt(attempt: Any, way: str) -> None:
    """What comes from outside is heard before the next step begins, so that it comes at this one."""
    if way == "rank":  # of several processes that share each step the second is killed
        psutil.Process().children()[0].kill()
        return
    if way == "pause":
        control.write(attempt.directory.control, Want.PAUSE)
    else:
        os.kill(os.getpid(), getattr(signal, way))
    while attempt.wants.want() is Want.RUN:
        time.sleep(0.005)


if __name__ == "__main__":
    _serve()
