"""The files that pages need, under an address that changes with their content, so that browsers keep them for a year.

``/static/<version>/…``: one version for all, the hash of every file. Modules and fonts name each other by relative
addresses and so carry the version too. Text goes compressed to whoever takes it so, packed once a process.
"""

import asyncio
import hashlib
from functools import cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from kargah.web.pages.packing import packed, takes_gzip

FOLDER = Path(__file__).parent.parent / "static"
ADDRESS = "/static"
A_YEAR = "public, max-age=31536000, immutable"
PACKED = {".css", ".js", ".svg"}
SMALLEST_LEVEL = 9


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
        if Path(name).suffix in PACKED:
            response = await _smaller(response, Headers(scope=scope))
        response.headers["Cache-Control"] = A_YEAR if asked == version() else "no-cache"
        return response


async def _smaller(response: Response, asked: Headers) -> Response:
    """The same answer, packed; one for a part of the file, or that it has not changed, stays as it is."""
    response.headers["Vary"] = "Accept-Encoding"
    if not isinstance(response, FileResponse) or "range" in asked or not takes_gzip(asked):
        return response
    content = await asyncio.to_thread(_packed_file, Path(response.path))
    kept = {name: response.headers[name] for name in ("content-type", "last-modified", "vary")}
    return Response(content, headers={**kept, "ETag": f"W/{response.headers['etag']}", "Content-Encoding": "gzip"})


@cache
def _packed_file(path: Path) -> bytes:
    return packed(path.read_bytes(), SMALLEST_LEVEL)
