"""Every error as an answer, in the shape of the door that was knocked at and in the reader's language.

``/api/v1`` answers problem+json (RFC 9457), the other ``/api`` routes the documented envelope, ``/hub`` what hub clients
read, pages a page. A traceback never leaves the process: what was not foreseen is INTERNAL with the request's id, and goes to the log.
"""

from collections.abc import Mapping
from enum import Enum
from html import escape
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import structlog
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kargah.assets import blobs
from kargah.kit import files, i18n
from kargah.kit.errors import BadInput, DiskFull, Forbidden, KargahError, LoginRequired, NotAvailable, NotFound, Params, TooLarge
from kargah.store.database import found_no_room
from kargah.web.hub import refusals

log = structlog.get_logger(__name__)


class BadRequest(BadInput):
    """The bytes that came are no request of ours: broken JSON, a broken form."""

    code = "BAD_REQUEST"
    status = 400


class BadJson(BadRequest):
    code = "BAD_JSON"


class NoSuchPage(NotFound):
    code = "NO_SUCH_PAGE"


class MethodNotAllowed(KargahError):
    code = "METHOD_NOT_ALLOWED"
    status = 405


class Shape(Enum):
    PROBLEM = "problem"
    ENVELOPE = "envelope"
    PAGE = "page"
    HUB = "hub"


def shape_of(path: str) -> Shape:
    if path == "/api/docs":
        return Shape.PAGE
    if path.startswith("/api/v1/"):
        return Shape.PROBLEM
    if path.startswith("/hub/"):
        return Shape.HUB
    return Shape.ENVELOPE if path.startswith(("/api/", "/socket.io/")) or path in ("/health", "/api") else Shape.PAGE


def text_of(language: str, code: str, params: Params) -> str:
    """The text of an error; a ``reason`` that names a text is given in the same language."""
    shown = dict(params)
    reason = f"reason.{params.get('reason')}"
    if i18n.has_text(language, reason):
        shown["reason"] = i18n.text(language, reason, **params)
    return i18n.text(language, f"error.{code}", **shown)


def answer(request: Request, error: KargahError, status: int | None = None, errors: list[dict[str, Any]] | None = None) -> Response:
    """``errors``: one entry for each field that was not accepted."""
    status = status or error.status
    language = getattr(request.state, "language", i18n.DEFAULT_LANGUAGE)
    text = text_of(language, error.code, error.params)
    shape = shape_of(request.scope["path"])
    if shape is Shape.PAGE:
        response = _page(request, error, status, text, language)
    elif shape is Shape.HUB:
        response = refusals.answer(error, status, text, text_of("en", error.code, error.params))
    elif shape is Shape.PROBLEM:
        response = _problem(request, error, status, text, errors)
    else:
        response = JSONResponse({"ok": False, "error": error.code, "message": text}, status)
    response.headers["Content-Language"] = language
    for name, value in headers_of(error, status).items():
        response.headers[name] = value
    return response


def headers_of(error: KargahError, status: int) -> Mapping[str, str]:
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    if "retry_after_seconds" in error.params:
        return {"Retry-After": str(error.params["retry_after_seconds"])}
    return {}


def _problem(request: Request, error: KargahError, status: int, text: str, errors: list[dict[str, Any]] | None) -> Response:
    body = {
        "type": f"urn:kargah:error:{error.code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": text,
        "instance": request.scope["path"],
        "code": error.code,
        "params": error.params,
        "errors": errors or [],
        "request_id": getattr(request.state, "request_id", ""),
    }
    return JSONResponse(body, status, media_type="application/problem+json")


def _page(request: Request, error: KargahError, status: int, text: str, language: str) -> Response:
    """Whoever must log in is sent there and back; else the pages' own error page, or a bare one when they have none."""
    if status == HTTPStatus.UNAUTHORIZED and request.scope["path"] not in ("/login", "/register"):
        return _to_login(request)
    render = getattr(request.app.state, "error_page", None)
    if render is not None:
        page: Response = render(request, error, status, text)
        return page
    direction = "rtl" if language == "fa" else "ltr"
    head = f'<!doctype html><html lang="{language}" dir="{direction}"><meta charset="utf-8"><title>{status}</title>'
    return HTMLResponse(f"{head}<p>{escape(text)}</p></html>", status)


def _to_login(request: Request) -> Response:
    back = _asked(request) if request.method in ("GET", "HEAD") else _came_from(request)
    target = f"/login?next={quote(back, safe='/')}" if back else "/login"
    return RedirectResponse(target, HTTPStatus.SEE_OTHER)


def _asked(request: Request) -> str:
    query = request.scope["query_string"].decode("latin-1")
    return str(request.scope["path"]) + (f"?{query}" if query else "")


def _came_from(request: Request) -> str:
    """The page with the form that was sent: there its input waits. Nothing when a stranger's page sent it."""
    try:
        page = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return ""
    own = page.netloc == request.headers.get("host") and page.path not in ("/login", "/register")
    return (page.path + (f"?{page.query}" if page.query else "")) if own else ""


async def of_kargah(request: Request, error: Exception) -> Response:
    assert isinstance(error, KargahError)
    return answer(request, error)


async def of_validation(request: Request, error: Exception) -> Response:
    """A request that does not fit its schema: each field, by its place, with what is wrong about it."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(entry["type"] == "json_invalid" for entry in found):
        return answer(request, BadJson(field="body", reason="json_invalid"))
    language = request.state.language
    errors = [_of_field(language, entry) for entry in found[:50]]
    first = errors[0] if errors else {"field": "", "message": ""}
    return answer(request, BadInput(field=first["field"], reason=first["message"]), errors=errors)


def _of_field(language: str, entry: Any) -> dict[str, Any]:
    kind, place = entry["type"], [str(part) for part in entry["loc"]]
    limits = {name: value for name, value in (entry.get("ctx") or {}).items() if isinstance(value, str | int | float)}
    key = f"reason.{kind}"
    message = i18n.text(language, key if i18n.has_text(language, key) else "reason.other", **limits)
    return {"field": ".".join(place[1:] or place), "in": place[0], "code": kind, "params": limits, "message": message}


async def of_http(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: unknown paths, wrong methods, bodies that cannot be read."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        known: KargahError = TooLarge(limit_bytes=request.state.body_limit_bytes)
    elif status == HTTPStatus.NOT_FOUND:
        known = NoSuchPage(id=request.scope["path"])
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        known = MethodNotAllowed(method=request.method)
    elif status == HTTPStatus.UNAUTHORIZED:
        known = LoginRequired()
    elif status == HTTPStatus.FORBIDDEN:
        known = Forbidden()
    else:
        known = BadRequest(field="", reason="other") if status < HTTPStatus.INTERNAL_SERVER_ERROR else KargahError()
    response = answer(request, known, status)
    response.headers.update(error.headers or {})
    return response


HANDLERS: dict[Any, Any] = {KargahError: of_kargah, RequestValidationError: of_validation, HTTPException: of_http}


class ErrorEdge:
    """The outermost catch of a request: nothing beyond it sees an exception, nobody outside sees a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the edge of a request
            response = await of_exception(Request(scope, receive), error)
            if not started:
                await response(scope, receive, send)


async def of_exception(request: Request, error: Exception) -> Response:
    for kind, handler in HANDLERS.items():
        if isinstance(error, kind):
            handled: Response = await handler(request, error)
            return handled
    if files.is_full(error) or found_no_room(error):
        home = request.scope["app"].state.settings.home
        return answer(request, DiskFull(needed_bytes=blobs.SPARE_BYTES, free_bytes=files.free_bytes(home)))
    if isinstance(error, OperationalError):  # the database is away, or SQLite stayed locked for ten seconds
        log.warning("database_unavailable", request_id=request.state.request_id, path=request.scope["path"], reason=str(error.orig))
        return answer(request, NotAvailable(part="database", retry_after_seconds=5))
    log.error("request_failed", request_id=request.state.request_id, method=request.method, path=request.scope["path"], exc_info=error)
    return answer(request, KargahError())
