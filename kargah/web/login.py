"""Coming in and going out, the same for the API, the documented routes and the pages.

The password is hashed on the computing threads and outside of any transaction: 50 ms under SQLite's write lock would
hold up every job.
"""

from fastapi import Response
from sqlalchemy.orm import Session

from kargah.accounts import passwords, service, sessions, tokens
from kargah.accounts.errors import BadCredentials
from kargah.accounts.schemas import Login, Registration, SignedIn, UserOut
from kargah.kit.settings import Settings
from kargah.store.access import Actor
from kargah.web.deps import Asking
from kargah.web.security import SESSION_COOKIE


async def register(ask: Asking, form: Registration) -> SignedIn:
    """A new account, signed in at once when it is active."""
    email, name = service.normal_email(form.email), service.normal_name(form.name)
    passwords.check_strength(form.password, email, name)
    password_hash = await ask.compute(passwords.hash_of, form.password)
    return await ask.threads.write(_register, ask.settings, email, password_hash, name, *_client_of(ask))


def _register(session: Session, settings: Settings, email: str, password_hash: str, name: str, user_agent: str, peer: str) -> SignedIn:
    user = service.register(session, email, password_hash, name, settings.sign_ups_now)
    if user.status != service.ACTIVE:
        return SignedIn(token=None, user=UserOut.model_validate(user))
    return _open(session, settings, UserOut.model_validate(user), user_agent, peer)


async def log_in(ask: Asking, form: Login) -> SignedIn:
    """Raises BadCredentials, PendingApproval or Blocked."""
    found = await ask.threads.read(_known, form.email)
    if not await ask.compute(passwords.matches, found[1] if found else None, form.password) or found is None:
        raise BadCredentials
    return await ask.threads.write(_log_in, ask.settings, found[0], *_client_of(ask))


def _known(session: Session, email: str) -> tuple[str, str] | None:
    user = service.by_email(session, email)
    return (user.id, user.password_hash) if user is not None else None


def _log_in(session: Session, settings: Settings, user_id: str, user_agent: str, peer: str) -> SignedIn:
    user = service.active_user(session, user_id)
    return _open(session, settings, UserOut.model_validate(user), user_agent, peer)


def _open(session: Session, settings: Settings, user: UserOut, user_agent: str, peer: str) -> SignedIn:
    row = sessions.open_for(session, user.id, settings.session_days, user_agent, peer)
    token = tokens.login_token(settings.secret_key, user.id, row.id, row.expires_at)
    return SignedIn(token=token, user=user, session_id=row.id, expires_at=row.expires_at)


async def refresh(ask: Asking) -> SignedIn:
    return await ask.write(_refresh, ask.settings)


def _refresh(session: Session, actor: Actor, settings: Settings) -> SignedIn:
    expires_at = sessions.extend(session, actor, settings.session_days)
    assert actor.session_id is not None
    token = tokens.login_token(settings.secret_key, actor.user_id, actor.session_id, expires_at)
    return SignedIn(token=token, user=service.me(session, actor), session_id=actor.session_id, expires_at=expires_at)


async def log_out(ask: Asking) -> None:
    await ask.write(sessions.log_out)


async def change_password(ask: Asking, old: str, new: str) -> None:
    """Raises BadCredentials when ``old`` is wrong, WeakPassword when ``new`` will not do."""
    known = await ask.read(service.me)
    passwords.check_strength(new, known.email, known.name)
    if not await ask.compute(passwords.matches, await ask.read(service.password_hash_of), old):
        raise BadCredentials
    await ask.write(service.change_password, await ask.compute(passwords.hash_of, new))


def set_cookie(response: Response, settings: Settings, signed_in: SignedIn) -> None:
    assert signed_in.token is not None
    seconds = int(settings.session_days * 86400)
    response.set_cookie(SESSION_COOKIE, signed_in.token, max_age=seconds, httponly=True, samesite="lax", secure=settings.secure, path="/")


def clear_cookie(response: Response, settings: Settings) -> None:
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="lax", secure=settings.secure, path="/")


def _client_of(ask: Asking) -> tuple[str, str]:
    return ask.connection.headers.get("user-agent", ""), ask.connection.state.client_address
