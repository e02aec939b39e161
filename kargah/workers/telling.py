"""The worker's voice: events with their fields checked by name, and exactly one last word."""

import threading
import time
from pathlib import Path
from typing import Any

from kargah.contract.events import LAST_WORDS
from kargah.contract.wire import EventWriter
from kargah.kit import files

#: For so long a full disk is waited for with the hardware in hand; then the attempt ends, and the job waits without any.
PATIENCE_SECONDS = 10.0
#: What an attempt needs on the disk besides what it is about to write: its events and logs.
SPARE_BYTES = 1 << 20
_LOOK_SECONDS = 0.5


class NoRoom(BaseException):
    """The disk stays full: the attempt ends here, and the job goes on from its last checkpoint once ``needed_bytes`` are free.

    Not an Exception: nothing on the way up may take it for an error that can be mended.
    """

    def __init__(self, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(needed_bytes, free_bytes)
        self.needed_bytes, self.free_bytes = needed_bytes, free_bytes


class Patience:
    """With a full disk. ``wait`` returns after a moment, or raises NoRoom when there have been too many."""

    def __init__(self, folder: Path, needed_bytes: int) -> None:
        self._folder, self._needed_bytes = folder, needed_bytes
        self._until_seconds = time.monotonic() + PATIENCE_SECONDS

    def wait(self) -> None:
        if time.monotonic() > self._until_seconds:
            raise NoRoom(self._needed_bytes, files.free_bytes(self._folder))
        time.sleep(_LOOK_SECONDS)


class Teller:
    """``step`` is the last optimizer step told of. Safe to use from the threads that listen for wishes and write checkpoints.

    On a full disk it waits until a line can be written: an event that was lost would be a hole in the history. When that takes
    too long it raises NoRoom. The last word has room of its own, the file ``reserve``, which is given up for it.
    """

    def __init__(self, writer: EventWriter, reserve: Path | None = None) -> None:
        self._writer = writer
        self._reserve = reserve
        self._lock = threading.Lock()
        self._silent = False
        self.step = 0

    def __call__(self, kind: str, **fields: Any) -> None:
        """Write one event; after the last word nothing is written any more."""
        with self._lock:
            if not self._silent:
                self._write(kind, fields)

    def log(self, code: str, level: str = "info", **params: Any) -> None:
        self("Logged", level=level, code=code, params=params)

    def last_word(self, kind: str, **fields: Any) -> bool:
        """Write the last event, synced to the disk. False when one was already spoken."""
        assert kind in LAST_WORDS
        with self._lock:
            if self._silent:
                return False
            self._silent = True
            if self._reserve is not None:
                self._reserve.unlink(missing_ok=True)
            self._write_at_last(kind, fields)
            self._writer.sync()
            return True

    def _write(self, kind: str, fields: dict[str, Any]) -> None:
        patience = None
        while not self._is_written(kind, fields):
            patience = patience or Patience(self._writer.path.parent, SPARE_BYTES)
            patience.wait()

    def _write_at_last(self, kind: str, fields: dict[str, Any]) -> None:
        """There is nobody left to tell that there is no room."""
        while not self._is_written(kind, fields):
            time.sleep(_LOOK_SECONDS)

    def _is_written(self, kind: str, fields: dict[str, Any]) -> bool:
        try:
            self._writer.write(kind, **fields)
        except OSError as error:
            if not files.is_full(error):
                raise
            return False
        return True
