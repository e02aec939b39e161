"""Hearing what is wanted of this attempt, also while C code holds the main thread."""

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from kargah.contract.control import ControlReader, Want
from kargah.contract.memory import Trace
from kargah.workers.telling import Teller

_LOOK_SECONDS = 0.2
_LOOKS_A_MEMORY_NOTE = 5
#: How long the main thread may take to obey before this process ends without it. A checkpoint may be large.
_GRACE_SECONDS = {Want.STOP: 2.0, Want.TERMINATE: 20.0}
TERMINATED = "WORKER_TERMINATED"


class StopWanted(BaseException):
    """Not an Exception: nothing on the way up may take it for an error that can be mended."""


class PauseWanted(BaseException):
    """As StopWanted; the work so far is to be kept."""


class TerminateWanted(BaseException):
    """The system ends this process (a spot machine, a UPS): the work so far is kept, and the job is queued again."""


class Wants:
    """Reads control.json and hears SIGTERM, in a thread of its own, which also notes what memory is used.

    SIGTERM after a wish to stop is the agent pressing; any other is the system's: keep the work and go. What the main thread
    does not honour in time (a long call into a library) ends the process from the thread, after the last word: everything that
    counts on the disk is written atomically.

    Make it in the main thread. The signal is blocked in it and in all threads that start later; a library's thread that was
    there before may still be handed it, so a handler stands as well and tells through a pipe.
    """

    def __init__(self, control: Path, tell: Teller, memory: Path) -> None:
        self._reader = ControlReader(control)
        self._tell = tell
        self._trace = Trace(memory)
        self._want = Want.RUN
        self._done = threading.Event()
        self._handed, wake = os.pipe()
        os.set_blocking(self._handed, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        self._thread = threading.Thread(target=self._listen, name="wants", daemon=True)
        self._thread.start()

    def want(self) -> Want:
        return self._want

    def check(self) -> None:
        """Raises StopWanted, PauseWanted or TerminateWanted when the attempt must end here. Costs nothing: a look at a variable."""
        if self._want is Want.PAUSE:
            raise PauseWanted
        self.check_urgent()

    def check_urgent(self) -> None:
        """All but a pause: for stretches after which a pause costs nothing, and inside which it would cost work."""
        if self._want is Want.TERMINATE:
            raise TerminateWanted
        self.check_stop()

    def check_stop(self) -> None:
        """Raises StopWanted only."""
        if self._want is Want.STOP:
            raise StopWanted

    def check_while_waiting(self, waiting: bool) -> None:
        """For waits that may be long."""
        if waiting:
            self.check()

    def close(self) -> None:
        """The last word is being spoken by the main thread."""
        self._done.set()

    def _listen(self) -> None:
        looks = 0
        while self._want not in _GRACE_SECONDS:
            if self._done.is_set():
                return
            if looks % _LOOKS_A_MEMORY_NOTE == 0:
                self._trace.look()
            looks += 1
            asked = signal.sigtimedwait([signal.SIGTERM], _LOOK_SECONDS) is not None or self._was_handed()
            wanted = self._reader.want()
            self._want = Want.TERMINATE if asked and wanted is not Want.STOP else wanted
        kind, fields = self._last_word()
        if not self._done.wait(_GRACE_SECONDS[self._want]) and self._tell.last_word(kind, **fields):
            os._exit(0)

    def _was_handed(self) -> bool:
        with suppress(BlockingIOError):
            return signal.SIGTERM in os.read(self._handed, 64)
        return False

    def _last_word(self) -> tuple[str, dict[str, Any]]:
        if self._want is Want.STOP:
            return "Stopped", {"step": self._tell.step}
        return "Interrupted", {"code": TERMINATED, "params": {}}
