"""What goes wrong in a command, and the exit status that tells a script about it.

Exit status: 0 done · 1 it failed, the reason is said · 2 wrong command line or input · 3 another one already runs ·
4 no server answers · 5 the server refused · 130 interrupted.
"""

from typing import Any

from kargah.client.errors import Refused, ServerUnreachable
from kargah.kit.errors import BadInput, KargahError

FAILED, WRONG_INPUT, NO_SERVER, REFUSED, INTERRUPTED = 1, 2, 4, 5, 130


class FileUnreadable(BadInput):
    """``path`` and the system's ``reason``."""

    code = "FILE_UNREADABLE"


class PlanUnreadable(BadInput):
    """A YAML plan that cannot be read: ``path``, ``field`` or line, ``reason``."""

    code = "PLAN_UNREADABLE"


class OutputExists(BadInput):
    code = "OUTPUT_EXISTS"


class WorkerFailed(KargahError):
    """A worker's last word was Failed: shown with its own code's text."""

    code = "WORKER_FAILED"

    def __init__(self, error_code: str, params: dict[str, Any], evidence: str | None = None) -> None:
        self.error_code = error_code
        self.evidence = evidence
        super().__init__(**params)


class WorkerDied(KargahError):
    """A worker ended without a last word: its exit ``status`` and the ``log`` that it left."""

    code = "WORKER_DIED"


class WorkerStopped(KargahError):
    code = "WORKER_STOPPED"


def exit_status_of(error: KargahError) -> int:
    if isinstance(error, ServerUnreachable):
        return NO_SERVER
    if isinstance(error, Refused):
        return REFUSED
    return WRONG_INPUT if isinstance(error, BadInput) else FAILED
