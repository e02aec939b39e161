"""``python -m kargah.workers.forge``: a warm parent of training workers, so that a training begins in a moment.

It imports what trainings import, runs no tensor operation (a fork keeps only the thread that forks), and waits. One JSON line
in: ``{directory, threads, gpus}``. Lines out: ``{ready}`` once; ``{started, pid}`` or ``{refused, reason}`` for each asked for;
``{ended, status}`` with the pid and its exit status (negative: the signal that ended it). It ends when its input does; its
children live on.
"""

import gc
import importlib
import json
import os
import random
import select
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from kargah.contract.attempt import AttemptDirectory, hold_alive
from kargah.contract.process import per_attempt
from kargah.kit import collecting
from kargah.recipes import catalogue
from kargah.workers import sparing

WORKER = "kargah.workers.train"
#: What trainings come to import in their first second, beside the recipes' own modules.
USED_SOON = (
    "transformers.models.bert.modeling_bert",
    "transformers.models.auto.modeling_auto",
    "safetensors.torch",
    "sklearn.linear_model",
)


def main() -> int:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    _warm_up()
    _answer(answers, ready=True)
    requests = b""
    while True:
        readable, _, _ = select.select([0, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            _tell_ended(answers)
        if 0 in readable:
            read = os.read(0, 1 << 16)
            if not read:
                return 0
            *lines, requests = (requests + read).split(b"\n")
            for line in lines:
                _start(json.loads(line), answers, (woken, wake, answers.fileno()))


def _warm_up() -> None:
    sparing.begin()
    runtimes = [f"{recipe.runtime}.{part}" for recipe in catalogue.RECIPES.values() for part in ("train", "task")]
    with collecting.put_off():
        for module in ("torch", *USED_SOON, *runtimes, WORKER, "kargah.workers.loop", "kargah.workers.baselines", "kargah.workers.outputs"):
            importlib.import_module(module)
        if threading.active_count() > 1:
            raise RuntimeError("a library has started a thread, which a fork would lose")
        gc.collect()


def _start(request: dict[str, Any], answers: Any, own: tuple[int, ...]) -> None:
    """The worker holds its attempt's lock before anybody hears that it runs."""
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os._exit(_child(request, told, (*own, ready)))
    os.close(told)
    word = os.read(ready, 200)
    os.close(ready)
    if word == b"ready":
        _answer(answers, started=request["directory"], pid=pid)
    else:
        _answer(answers, refused=request["directory"], reason=word.decode(errors="replace"))


def _child(request: dict[str, Any], told: int, own: tuple[int, ...]) -> int:
    try:
        _become_worker(request, own)
    except OSError as error:
        os.write(told, str(error).encode()[:200] or b"?")
        return 1
    os.write(told, b"ready")
    os.close(told)
    sys.argv = [WORKER, request["directory"]]
    try:
        status: int = importlib.import_module(WORKER).main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return status


def _become_worker(request: dict[str, Any], own: tuple[int, ...]) -> None:
    """What ``contract.process.start_worker`` gives to one that starts cold."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    directory = AttemptDirectory(Path(request["directory"]))
    hold_alive(directory.alive)
    log = os.open(directory.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for wanted, descriptor in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(wanted, descriptor)
    for descriptor in (*own, log, nothing):
        os.close(descriptor)
    os.chdir(directory.path)
    os.environ |= per_attempt(request["threads"], request["gpus"])
    _seed_anew()


def _seed_anew() -> None:
    """Children of one parent must not draw the same numbers where nobody gave a seed."""
    import numpy as np

    random.seed()
    np.random.seed(int.from_bytes(os.urandom(4)))  # the global one is what libraries use


def _tell_ended(answers: Any) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _answer(answers, ended=pid, status=os.waitstatus_to_exitcode(status))


def _answer(answers: Any, **fields: Any) -> None:
    answers.write(json.dumps(fields) + "\n")


if __name__ == "__main__":
    sys.exit(main())
