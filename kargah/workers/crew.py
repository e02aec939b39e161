"""Several processes that share the steps of one training, seen from the first of them, which is the worker.

It alone evaluates, decides, and writes events and checkpoints. The others (kargah.workers.rank) have the same weights and do their
share of each step as they are told. They end when the worker ends, however that is; and one that ends by itself ends it: what it
failed of is the failure of the attempt, and where it was killed, so is the worker, whose job then goes on from its checkpoint.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.process import per_attempt
from kargah.engine.ranks import Parted, Ranks, meet
from kargah.kit import files
from kargah.recipes.errors import RankFailed
from kargah.recipes.runtime import Task
from kargah.workers.edge import Attempt
from kargah.workers.steps import Group, Start, Update, gradients, passed

#: So long a process may take to end that was told to, and the thread that watches another to see that it ended.
_GRACE_SECONDS = 30.0


def meeting_place(directory: AttemptDirectory) -> Path:
    return directory.path / "ranks"


def note_of(directory: AttemptDirectory, rank: int) -> Path:
    """Where a process leaves what it failed of: the fields of a ``Failed``."""
    return directory.path / f"rank-{rank}.json"


class Crew(Group):
    """``threads`` of each process. ``gpus``: one for each, or none at all. Raises OSError where they cannot be started."""

    def __init__(self, attempt: Attempt, count: int, threads: int, gpus: Sequence[str]) -> None:
        super().__init__(Ranks(0, count))
        self._directory, self._tell = attempt.directory, attempt.tell
        self._closing = threading.Event()
        if gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus[0]
        shown: list[list[str] | None] = [[gpu] for gpu in gpus] or [None] * count
        self._processes = [self._started(rank, per_attempt(threads, shown[rank])) for rank in range(1, count)]
        for rank, process in enumerate(self._processes, 1):
            threading.Thread(target=self._watch, args=(rank, process), name=f"rank-{rank}", daemon=True).start()

    def begin(self, task: Task, start: Start) -> None:
        with self._in_touch():
            meet(meeting_place(self._directory), 0, self.count)
            self.ranks.told(start)
            self.ranks.take_state(task.module)

    def learn(self, task: Task, update: Update) -> float:
        with self._in_touch():
            self.ranks.told(update)
            try:
                return gradients(task, update, self.ranks)
            except RankFailed:  # a row that fails there fails here too, and can be named then
                passed(task, update.passes, sum(task.weight(rows) for rows in update.passes))
                raise

    def close(self) -> None:
        self._closing.set()
        for process in self._processes:
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.close()
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_SECONDS)
            process.kill()
            process.wait()

    def _started(self, rank: int, variables: dict[str, str]) -> "subprocess.Popen[bytes]":
        """It ends when its input does, so that it ends with this process even where that is killed."""
        command = [sys.executable, "-m", "kargah.workers.rank", str(self._directory.path), str(rank), str(self.count)]
        return subprocess.Popen(command, env={**os.environ, **variables}, stdin=subprocess.PIPE)

    def _watch(self, rank: int, process: "subprocess.Popen[bytes]") -> None:
        """In a thread: the one that trains may be waiting for the very process that is gone."""
        status, note = process.wait(), note_of(self._directory, rank)
        if self._closing.is_set():
            return
        if status < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._tell.last_word("Failed", **(files.read_json(note) if note.exists() else RankFailed().as_dict())):
            os._exit(0)

    @contextmanager
    def _in_touch(self) -> Iterator[None]:
        try:
            yield
        except Parted as error:
            threading.Event().wait(_GRACE_SECONDS)  # whoever watches the one that is gone says why, and ends this process
            raise RankFailed from error
