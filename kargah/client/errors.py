"""What can go wrong between a program and a server.

::

    KargahError
    ├── ServerUnreachable     nobody answers there, or what answers is not Kargah
    ├── Refused               the server said no: ``problem`` is its word
    └── JobEnded              waited for a job that failed or was stopped
"""

from typing import Any

from kargah.kit.errors import KargahError


class ServerUnreachable(KargahError):
    """``url`` and the ``reason`` as the network library gives it."""

    code = "SERVER_UNREACHABLE"
    status = 503


class Refused(KargahError):
    """An answer of 4xx or 5xx. ``reason`` is the server's code, ``detail`` its text in the language that was asked for."""

    code = "SERVER_REFUSED"

    def __init__(self, http_status: int, problem: dict[str, Any]) -> None:
        self.http_status = http_status
        self.problem = problem
        self.reason = str(problem.get("code") or http_status)
        self.detail = str(problem.get("detail") or problem.get("title") or problem.get("message") or http_status)
        super().__init__(detail=self.detail)


class JobEnded(KargahError):
    """The job that was waited for is FAILED or STOPPED; ``error`` is what it left: {code, params}."""

    code = "JOB_ENDED"

    def __init__(self, job_id: str, state: str, error: dict[str, Any] | None) -> None:
        self.error = error
        super().__init__(job_id=job_id, state=state)
