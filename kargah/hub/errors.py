"""What the hub's door refuses, and why. ``hub_code`` is the word that hub clients know it by."""

from typing import ClassVar

from kargah.kit.errors import BadInput, Conflict, KargahError, NotAvailable, NotFound

#: What clients compare literally.
WRONG_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105


class HubNotFound(NotFound):
    hub_code: ClassVar[str]


class RepositoryNotFound(HubNotFound):
    """``repository``: absent, in the trash, or not yours to see."""

    code = "HUB_REPOSITORY_NOT_FOUND"
    hub_code = "RepoNotFound"


class RevisionNotFound(HubNotFound):
    """``revision`` of ``repository``."""

    code = "HUB_REVISION_NOT_FOUND"
    hub_code = "RevisionNotFound"


class EntryNotFound(HubNotFound):
    """``path``; ``commit_id``: where it was looked for."""

    code = "HUB_ENTRY_NOT_FOUND"
    hub_code = "EntryNotFound"


class NotOffered(KargahError):
    """``path``: a part of the protocol that this hub does not have."""

    code = "HUB_NOT_OFFERED"
    status = 404


class BadRepositoryName(BadInput):
    """``name``."""

    code = "HUB_BAD_NAME"


class RepositoryExists(Conflict):
    """``repository``."""

    code = "HUB_REPOSITORY_EXISTS"


class ForeignNamespace(KargahError):
    """``namespace`` is not the asker's, which is ``own``."""

    code = "HUB_FOREIGN_NAMESPACE"
    status = 403


class BadCard(BadInput):
    """The head of a README.md is no YAML mapping."""

    code = "HUB_BAD_CARD"


class OnlyMain(BadInput):
    """``revision``: commits go to the main branch."""

    code = "HUB_ONLY_MAIN"


class HeadMoved(Conflict):
    """Somebody else has pushed meanwhile: the head is ``head`` now."""

    code = "HUB_HEAD_MOVED"
    status = 412


class BadPath(BadInput):
    """``path`` could lead elsewhere, hide itself, or stand for two files."""

    code = "HUB_BAD_PATH"


class BadPayload(BadInput):
    """``reason``: what about the commit cannot be read."""

    code = "HUB_BAD_PAYLOAD"


class TooManyFiles(BadInput):
    """``limit``."""

    code = "HUB_TOO_MANY_FILES"


class ObjectMissing(BadInput):
    """``path``: its bytes (``sha256``) were never uploaded to this repository."""

    code = "HUB_OBJECT_MISSING"


class BeingFetched(NotAvailable):
    """``repository`` is on its way here, ``percent`` of it has come; ``retry_after_seconds``."""

    code = "HUB_BEING_FETCHED"


class FetchFailed(KargahError):
    """``repository`` could not be fetched from the hubs; ``cause`` is the code of why."""

    code = "HUB_FETCH_FAILED"
    status = 502
