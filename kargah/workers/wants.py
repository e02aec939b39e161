"""Hearing what is wanted of this attempt, also while C code holds the main thread."""

import os
import signal
import threading
from pathlib import Path

from kargah.contract.control import ControlReader, Want
from kargah.workers.telling import Teller

_LOOK_SECONDS = 0.2
_GRACE_SECONDS = 2.0


class StopWanted(BaseException):
    """Not an Exception: nothing on the way up may take it for an error that can be mended."""


class PauseWanted(BaseException):
    """As StopWanted; the work so far is to be kept."""


class Wants:
    """Reads control.json and takes SIGTERM as a wish to stop, in a thread of its own.

    A stop that the main thread does not honour within two seconds (a long call into a library) ends the process from the
    thread, after the last word ``Stopped``: everything that counts on the disk is written atomically.

    Make it in the main thread before other threads start: they inherit the blocked signal.
    """

    def __init__(self, control: Path, tell: Teller) -> None:
        self._reader = ControlReader(control)
        self._tell = tell
        self._want = Want.RUN
        self._done = threading.Event()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        self._thread = threading.Thread(target=self._listen, name="wants", daemon=True)
        self._thread.start()

    def want(self) -> Want:
        return self._want

    def check(self) -> None:
        """Raises StopWanted or PauseWanted when the attempt must end here. Costs nothing: a look at a variable."""
        if self._want is Want.STOP:
            raise StopWanted
        if self._want is Want.PAUSE:
            raise PauseWanted

    def check_stop(self) -> None:
        """Raises StopWanted only: for stretches after which a pause costs nothing, and inside which it would cost work."""
        if self._want is Want.STOP:
            raise StopWanted

    def close(self) -> None:
        """The last word is being spoken by the main thread."""
        self._done.set()

    def _listen(self) -> None:
        while self._want is not Want.STOP:
            if self._done.is_set():
                return
            asked = signal.sigtimedwait([signal.SIGTERM], _LOOK_SECONDS)
            self._want = Want.STOP if asked is not None else self._reader.want()
        if not self._done.wait(_GRACE_SECONDS) and self._tell.last_word("Stopped", step=self._tell.step):
            os._exit(0)
