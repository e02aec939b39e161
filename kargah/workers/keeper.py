"""Writes checkpoints while the training goes on, one at a time; waits for room when the disk is full."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError

from kargah.kit import files
from kargah.workers import checkpoint
from kargah.workers.checkpoint import Keeping, Snapshot
from kargah.workers.telling import SPARE_BYTES, Patience, Teller

_WAIT_SECONDS = 0.05
Made = TypeVar("Made")
Check = Callable[[], None]


class Keeper:
    """``job_path``: checkpoints are told of relative to it. What a write raises is raised by the next ``save`` or ``wait``."""

    def __init__(self, job_path: Path, keeping: Keeping, tell: Teller) -> None:
        self._job_path = job_path
        self._keeping = keeping
        self._tell = tell
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._given_up = threading.Event()
        self.waits_for_room = False

    @property
    def folder(self) -> Path:
        return self._job_path / "checkpoints"

    def save(self, take: Callable[[], Snapshot], check: Check) -> None:
        """Begin to write what ``take`` returns; at once unless the one before is not done, whose memory it may use again."""
        started = time.monotonic()
        self.wait(check)
        taken = take()
        stall_seconds = round(time.monotonic() - started, 3)
        self._beside(lambda: self._write(taken, stall_seconds))

    def get_ready(self, prepare: Check) -> None:
        """``prepare`` the next save beside the training, if nothing is being written."""
        if self._thread is None or not self._thread.is_alive():
            self._beside(prepare)

    def wait(self, check: Check) -> None:
        """Until what was begun is on the disk. ``check`` is called meanwhile and may raise."""
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(_WAIT_SECONDS)
            check()
        self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def give_up(self) -> None:
        """The attempt ends now: what is being written is finished if the disk lets it, and not waited for if not."""
        self._given_up.set()
        if self._thread is not None:
            self._thread.join()

    def _beside(self, work: Check) -> None:
        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - carried to the thread that trains
                self._error = error

        self._thread = threading.Thread(target=run, name="checkpoint", daemon=True)
        self._thread.start()

    def _write(self, taken: Snapshot, stall_seconds: float) -> None:
        path, size_bytes = self._patiently(lambda: checkpoint.write(self.folder, taken, self._keeping), taken.size_bytes)
        where = str(path.relative_to(self._job_path))
        self._tell("Saved", step=taken.state.step, path=where, size_bytes=size_bytes, best=taken.is_best, stall_seconds=stall_seconds)

    def _patiently(self, write: Callable[[], Made], needed_bytes: int) -> Made:
        self._make_room(needed_bytes)
        return when_there_is_room(write, self._job_path, needed_bytes, self._tell, self._look)

    def _make_room(self, needed_bytes: int) -> None:
        """When the disk is short, all but the newest checkpoint go before the next one is written."""
        if files.free_bytes(self._job_path) < needed_bytes:
            gone = checkpoint.prune(self.folder, Keeping(last=1, best=False))
            if gone:
                self._tell.log("train.checkpoints_pruned", "warning", count=gone)

    def _look(self, waiting: bool) -> None:
        self.waits_for_room = waiting
        if waiting and self._given_up.is_set():
            raise OSError(28, "the attempt ended before there was room")


def when_there_is_room(write: Callable[[], Made], folder: Path, needed_bytes: int, tell: Teller, look: Callable[[bool], None]) -> Made:
    """Do it; when the disk is full, wait until it is not and do it again, or raise NoRoom. ``write`` leaves nothing half-written behind.

    ``look`` is told whether this waits, at every look, and may raise.
    """
    patience: Patience | None = None
    while True:
        try:
            made = write()
        except (OSError, SafetensorError) as error:
            if not (files.is_full(error) or _says_full(error)):
                raise
            if patience is None:
                patience = Patience(folder, needed_bytes + SPARE_BYTES)
                tell.log("train.disk_full", "warning", needed_bytes=needed_bytes, free_bytes=files.free_bytes(folder))
            look(True)
            patience.wait()
            continue
        look(False)
        if patience is not None:
            tell.log("train.disk_has_room", needed_bytes=needed_bytes, free_bytes=files.free_bytes(folder))
        return made


def _says_full(error: Exception) -> bool:
    """safetensors passes the disk's word on as text."""
    return isinstance(error, SafetensorError) and ("No space left" in str(error) or "os error 28" in str(error))
