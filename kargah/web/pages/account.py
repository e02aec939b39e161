"""One's own account: name, password, sessions, tokens for programs, language and theme."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.accounts import service, sessions
from kargah.accounts.schemas import ApiTokenOut, NewApiToken, SessionOut, UserOut
from kargah.kit.errors import BadInput, KargahError
from kargah.kit.i18n import latin_digits
from kargah.store.access import Actor
from kargah.web import login
from kargah.web.deps import Ask, Asking
from kargah.web.idempotency import FormSentBefore, once_of_form
from kargah.web.pages.access import THEME_COOKIE, see
from kargah.web.pages.forms import Errors, errors_of, form_of
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
DAYS = ("30", "90", "365", "")
#: Marks in a User-Agent → what people call it; the first that is found counts.
BROWSERS = {
    "Edg/": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
    "python": "Python",
    "curl": "curl",
}
SYSTEMS = {"Android": "Android", "iPhone": "iPhone", "Windows": "Windows", "Mac OS X": "macOS", "Linux": "Linux"}


@dataclass(frozen=True)
class SessionRow:
    id: str
    agent: str
    peer: str
    seen: str
    began: str
    current: bool


@dataclass(frozen=True)
class TokenRow:
    id: str
    name: str
    hint: str
    created: str
    used: str
    expires: str


@dataclass(frozen=True)
class Account:
    user: UserOut
    sessions: list[SessionOut]
    tokens: list[ApiTokenOut]


@router.get("/account")
async def account(request: Request, ask: Ask) -> Response:
    return await _show(request, ask)


@router.post("/account/name")
async def rename(request: Request, ask: Ask) -> Response:
    values = await form_of(request)
    try:
        await ask(service.change_profile, {"name": values.get("name", "")})
    except KargahError as error:
        return await _show(request, ask, values, errors_of(request, error, {error.code: "name"}), error.status)
    return see("/account?done=saved")


@router.post("/account/password")
async def change_password(request: Request, ask: Ask) -> Response:
    values = await form_of(request)
    fields = {"BAD_CREDENTIALS": "old_password", "WEAK_PASSWORD": "new_password"}
    try:
        await login.change_password(ask, values.get("old_password", ""), values.get("new_password", ""))
    except KargahError as error:
        errors = errors_of(request, error, fields)
        if error.code == "BAD_CREDENTIALS":
            errors = {"old_password": Words(request.state.language).text("account.wrong_password")}
        return await _show(request, ask, {}, errors, 422)
    return see("/account?done=password_changed")


@router.post("/account/sessions/{session_id}/end")
async def end_session(session_id: str, ask: Ask) -> Response:
    await ask(sessions.revoke, session_id)
    return see("/account?done=session_ended#sessions")


@router.post("/account/sessions/end-others")
async def end_other_sessions(ask: Ask) -> Response:
    await ask(sessions.revoke_others)
    return see("/account?done=sessions_ended#sessions")


@router.post("/account/tokens")
async def make_token(request: Request, ask: Ask) -> Response:
    """The token is on this one answer and kept nowhere."""
    values = await form_of(request)
    try:
        made = await _made_once(ask, values.get("_once", ""), _token_name(values), _days(values))
    except KargahError as error:
        return await _show(request, ask, values, errors_of(request, error, {error.code: "token_name"}), error.status)
    return await _show(request, ask, made=made)


async def _made_once(ask: Asking, once: str, name: str, days: float | None) -> NewApiToken:
    """What is kept of the answer has no token in it. Raises FormSentBefore for the same form again."""
    made: list[NewApiToken] = []

    def make(session: Session, actor: Actor) -> ApiTokenOut:
        made.append(sessions.create_api_token(session, actor, name, days))
        return ApiTokenOut.model_validate(made[-1].model_dump())

    await once_of_form(ask, once, f"{name}\0{days}", make)
    if not made:
        raise FormSentBefore(field="token_name")
    return made[-1]


@router.post("/account/tokens/{token_id}/revoke")
async def revoke_token(token_id: str, ask: Ask) -> Response:
    await ask(sessions.revoke_api_token, token_id)
    return see("/account?done=token_revoked#tokens")


def _token_name(values: dict[str, str]) -> str:
    name = values.get("token_name", "").strip()
    if not 1 <= len(name) <= 100:
        raise BadInput(field="token_name", reason="string_too_long" if name else "missing")
    return name


def _days(values: dict[str, str]) -> float | None:
    given = latin_digits(values.get("days", ""))
    return float(given) if given in DAYS and given else None


def account_of(session: Session, actor: Actor) -> Account:
    return Account(service.me(session, actor), sessions.list_for(session, actor), sessions.list_api_tokens(session, actor))


async def _show(
    request: Request,
    ask: Asking,
    values: dict[str, str] | None = None,
    errors: Errors | None = None,
    status: int = 200,
    made: NewApiToken | None = None,
) -> Response:
    found = await ask.read(account_of)
    page = page_of(request, "account")
    words = page.words
    shown: dict[str, Any] = {
        "user": found.user,
        "role": words.text(f"role_of.{found.user.role}"),
        "values": {"name": found.user.name, **(values or {})},
        "errors": errors or {},
        "sessions": [_session(words, row) for row in found.sessions],
        "tokens": [_token(words, row) for row in found.tokens],
        "days": [(days, words.text("account.days", n=int(days)) if days else words.text("account.no_end")) for days in DAYS],
        "languages": [(code, words.text(f"language.{code}"), code == words.language) for code in ("fa", "en")],
        "themes": [
            (theme, words.text(f"theme.{theme}"), theme == (request.cookies.get(THEME_COOKIE) or "auto"))
            for theme in ("auto", "light", "dark")
        ],
        "made": made,
    }
    return render("account.html", page, status=status, **shown)


def agent_of(user_agent: str) -> str:
    """ "Chrome · Linux"; the header itself when nothing in it is known."""
    known = [next((name for mark, name in names.items() if mark in user_agent), "") for names in (BROWSERS, SYSTEMS)]
    return " · ".join(name for name in known if name) or user_agent[:60] or "?"


def _session(words: Words, row: SessionOut) -> SessionRow:
    return SessionRow(row.id, agent_of(row.user_agent), row.peer, words.ago(row.last_seen_at), words.date(row.created_at), row.current)


def _token(words: Words, row: ApiTokenOut) -> TokenRow:
    used = words.ago(row.last_used_at) if row.last_used_at else words.text("account.never_used")
    expires = words.date(row.expires_at) if row.expires_at else words.text("account.no_end")
    return TokenRow(row.id, row.name, row.hint, words.date(row.created_at), used, expires)
