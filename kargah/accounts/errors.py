"""What can go wrong with accounts. The texts stand in ``locale/*/accounts.po``."""

from kargah.kit.errors import BadInput, Conflict, Forbidden, KargahError


class BadEmail(BadInput):
    code = "BAD_EMAIL"


class BadName(BadInput):
    code = "BAD_NAME"


class WeakPassword(BadInput):
    """``minimum``: how many characters are needed at least."""

    code = "WEAK_PASSWORD"


class EmailTaken(Conflict):
    code = "EMAIL_TAKEN"


class BadCredentials(KargahError):
    """The same answer for an unknown address and a wrong password."""

    code = "BAD_CREDENTIALS"
    status = 401


class PendingApproval(Forbidden):
    code = "PENDING_APPROVAL"


class Blocked(Forbidden):
    code = "BLOCKED"


class SignUpsClosed(Forbidden):
    code = "SIGN_UPS_CLOSED"


class LastAdmin(Conflict):
    """There must always be somebody who can let others in."""

    code = "LAST_ADMIN"


class NoAccounts(Conflict):
    code = "NO_ACCOUNTS"
