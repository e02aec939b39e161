"""Errors in the form that hub clients read: words in headers, the text in the body, and the statuses that their hub has."""

from urllib.parse import quote

from starlette.responses import JSONResponse, Response

from kargah.hub.errors import WRONG_TOKEN, EntryNotFound, HubNotFound
from kargah.kit.errors import BadToken, KargahError, LoginRequired

_PLAIN = str.maketrans({"“": '"', "”": '"', "’": "'", "–": "-", "—": "-", "\u2068": None, "\u2069": None})


def answer(error: KargahError, status: int, text: str, english: str) -> Response:
    """``english`` goes into the header, which takes no Persian; ``text`` is in the reader's language."""
    response = JSONResponse({"error": text}, 400 if status == 422 else status)
    said = WRONG_TOKEN if isinstance(error, BadToken) else " ".join(english.translate(_PLAIN).split())
    response.headers["X-Error-Message"] = said.encode("ascii", "replace").decode()
    if isinstance(error, HubNotFound):
        response.headers["X-Error-Code"] = error.hub_code
    elif isinstance(error, LoginRequired):
        # Over plain http the clients know a repository that is not shown to strangers only by this word.
        response.headers["X-Error-Code"] = "RepoNotFound"
    if isinstance(error, EntryNotFound):
        response.headers["X-Repo-Commit"] = quote(str(error.params["commit_id"]))
    return response
