"""Errors that people can act on.

An error carries a code and the parameters of its text; nothing here is rendered. The text, in every language, stands in
``locale/*/errors.po`` under ``error.<CODE>`` and says what happened, why, and what to do.

::

    KargahError
    ├── BadInput (422)          the request is well-formed but cannot be right: names the field
    ├── LoginRequired (401)     no credentials
    ├── BadToken (401)          credentials that are wrong, expired or revoked
    ├── Forbidden (403)         known, but may not
    ├── NotFound (404)          absent, or not yours to see
    ├── Conflict (409)          the thing is not in a state that allows this
    │   └── IllegalMove         a job cannot go from this state to that one
    ├── TooLarge (413)
    ├── TooMany (429)           carries retry_after_seconds
    ├── NotAvailable (503)      a part that is absent or not ready: says how to get it
    └── DiskFull (507)
"""

from typing import Any, ClassVar

Params = dict[str, Any]


class KargahError(Exception):
    """Base of all errors that reach a user. Subclass it in the domain that raises it."""

    code: ClassVar[str] = "INTERNAL"
    status: ClassVar[int] = 500

    def __init__(self, **params: Any) -> None:
        self.params: Params = params
        super().__init__(self.code, params)

    def as_dict(self) -> dict[str, Any]:
        """What is stored: never text, only what any reader's language can render."""
        return {"code": self.code, "params": self.params}


class BadInput(KargahError):
    """``field`` names the place in the request when there is one."""

    code = "BAD_INPUT"
    status = 422


class LoginRequired(KargahError):
    code = "LOGIN_REQUIRED"
    status = 401


class BadToken(KargahError):
    code = "BAD_TOKEN"
    status = 401


class Forbidden(KargahError):
    code = "FORBIDDEN"
    status = 403


class NotFound(KargahError):
    """``kind`` and ``id`` of what was asked for; the same answer for "absent" and "not yours"."""

    code = "NOT_FOUND"
    status = 404


class Conflict(KargahError):
    code = "CONFLICT"
    status = 409


class IllegalMove(Conflict):
    code = "ILLEGAL_MOVE"


class TooLarge(KargahError):
    code = "TOO_LARGE"
    status = 413


class TooMany(KargahError):
    code = "RATE_LIMITED"
    status = 429


class NotAvailable(KargahError):
    code = "NOT_AVAILABLE"
    status = 503


class DiskFull(KargahError):
    code = "DISK_FULL"
    status = 507
