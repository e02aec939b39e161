"""Why a download came to nothing. What is kept of it is gone on with by the next one."""

from kargah.kit.errors import BadInput, DiskFull, KargahError


class HubUnreachable(KargahError):
    """``hub`` was the last that was tried, ``reason`` what it said. What had come by then is kept."""

    code = "HUB_UNREACHABLE"
    status = 502


class NotOnHub(KargahError):
    """``repository``, or a file of it, at ``revision``: none of the hubs has it."""

    code = "NOT_ON_HUB"
    status = 404


class HubWantsConsent(KargahError):
    """``repository`` is given only to accounts that have agreed to its terms, or that it belongs to."""

    code = "HUB_WANTS_CONSENT"
    status = 403


class HubAnswerUnreadable(KargahError):
    """``hub`` lists the repository in a way that cannot be: ``reason``."""

    code = "HUB_ANSWER_UNREADABLE"
    status = 502


class HubSentOtherBytes(KargahError):
    """``path`` came whole, more than once, and its bytes are not those that the hub had announced."""

    code = "HUB_SENT_OTHER_BYTES"
    status = 502


class OnlyPickles(BadInput):
    """``repository`` has its weights as ``file``, a format that runs code when it is opened."""

    code = "ONLY_PICKLES"


class NothingWanted(BadInput):
    """``repository`` has no file that could be used."""

    code = "NOTHING_WANTED"


class DownloadTooLarge(BadInput):
    """``needed_bytes``, ``limit_bytes``: of the asker's own room."""

    code = "DOWNLOAD_TOO_LARGE"


class NoRoomForDownload(DiskFull):
    """``needed_bytes`` (with a tenth to spare), ``free_bytes``: looked at before the first byte."""

    code = "DISK_FULL"
