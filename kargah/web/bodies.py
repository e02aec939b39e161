"""What comes in: bodies of a bounded size, and JSON that means one thing everywhere."""

import json
import re
from http import HTTPStatus
from typing import Any, NoReturn

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kargah.kit.settings import Settings
from kargah.web.errors import BadJson, BadRequest

#: Where files are uploaded; everywhere else a body is small.
UPLOADS = re.compile(
    r"/api/v1/datasets(/[^/]+/versions)?|/api/v1/uploads/[^/]+|/api/v1/models/upload|/api/datasets/upload|/api/assets/upload/[^/]+|/datasets(/[^/]+/versions)?|/models/import|/models/bundles/import"
    r"|/hub/lfs/[^/]+|/hub/api/(models|datasets)/[^/]+/[^/]+/commit/.+"
)
#: Cheap to search for; only a body with one of these is looked at closely.
_SUSPECT = re.compile(rb"\\u0000|\\u[dD][89a-fA-F]|NaN|Infinity|%00|\x00")


class BodyGuard:
    """Refuses bodies over the limit, before or while they are read, and JSON or forms with what no database can keep."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if b"%00" in scope.get("raw_path", b"") or b"%00" in scope["query_string"] or "\0" in scope["path"]:
            raise BadRequest(field="path", reason="nul")
        limit = self.settings.upload_limit_bytes if UPLOADS.fullmatch(scope["path"]) else self.settings.body_limit_bytes
        scope["state"]["body_limit_bytes"] = limit
        headers = Headers(scope=scope)
        if (headers.get("content-length") or "0").isdigit() and int(headers.get("content-length") or "0") > limit:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        bounded = _bounded(receive, limit)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json" or kind.endswith("+json") or kind == "application/x-www-form-urlencoded":
            bounded = await _checked(bounded, is_json="json" in kind, limit=self.settings.body_limit_bytes)
        await self.app(scope, bounded, send)


def _bounded(receive: Receive, limit: int) -> Receive:
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return message

    return counted


async def _checked(receive: Receive, is_json: bool, limit: int) -> Receive:
    body = await read_all(_bounded(receive, limit))
    if _SUSPECT.search(body):
        if is_json:
            check_json(body)
        elif b"%00" in body or b"\0" in body:
            raise BadRequest(field="body", reason="nul")
    return replay(body, receive)


async def read_all(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise HTTPException(HTTPStatus.BAD_REQUEST)
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def replay(body: bytes, receive: Receive, more: bool = False) -> Receive:
    """A ``receive`` that gives ``body`` first and then goes on with the real one."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": more}

    return again


def check_json(body: bytes) -> None:
    """Raise BadJson for NaN and infinities (no JSON), NUL and half surrogate pairs (no text that can be kept)."""
    try:
        value = json.loads(body, parse_constant=_no_constant)
        kept = json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadJson(field="body", reason="json_invalid") from error
    if b"\\u0000" in kept and _has_nul(value):
        raise BadJson(field="body", reason="nul")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(_has_nul(item) for item in value)
