"""The worker's voice: events with their fields checked by name, and exactly one last word."""

import threading
import time
from typing import Any

from kargah.contract.events import LAST_WORDS
from kargah.contract.wire import EventWriter
from kargah.kit import files

_LOOK_SECONDS = 0.5


class Teller:
    """``step`` is the last optimizer step told of. Safe to use from the threads that listen for wishes and write checkpoints.

    On a full disk it waits until a line can be written: an event that was lost would be a hole in the history.
    """

    def __init__(self, writer: EventWriter) -> None:
        self._writer = writer
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
            self._write(kind, fields)
            self._writer.sync()
            return True

    def _write(self, kind: str, fields: dict[str, Any]) -> None:
        while True:
            try:
                self._writer.write(kind, **fields)
            except OSError as error:
                if not files.is_full(error):
                    raise
                time.sleep(_LOOK_SECONDS)
                continue
            return
