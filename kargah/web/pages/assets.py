"""The files that pages need, under an address that changes with their content, so that browsers keep them for a year.

``/static/<version>/…``: one version for all, the hash of every file. Modules and fonts name each other by relative
addresses and so carry the version too.
"""

import hashlib
from functools import cache
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent.parent / "static"
ADDRESS = "/static"
A_YEAR = "public, max-age=31536000, immutable"


@cache
def version() -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in FOLDER.rglob("*") if path.is_file()):
        digest.update(path.relative_to(FOLDER).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def address(name: str) -> str:
    return f"{ADDRESS}/{version()}/{name}"


class Assets(StaticFiles):
    """Answers under any version: a page loaded before an upgrade still finds its files, but only the present one is kept long."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        asked, _, name = path.partition("/")
        response = await super().get_response(name, scope)
        response.headers["Cache-Control"] = A_YEAR if asked == version() else "no-cache"
        return response
