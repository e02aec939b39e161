"""Signed-in browsers and programs, and named API tokens: opened, listed, revoked."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from kargah.accounts import tokens
from kargah.accounts.schemas import ApiTokenOut, NewApiToken, SessionOut
from kargah.accounts.tables import ApiToken, LoginSession
from kargah.kit.clock import utc_now
from kargah.kit.errors import LoginRequired, NotFound
from kargah.kit.ids import new_id
from kargah.store.access import Actor

#: A row is not written at every request only to say when it was last seen.
SEEN_EVERY = timedelta(minutes=5)


def open_for(session: Session, user_id: str, days: float, user_agent: str = "", peer: str = "") -> LoginSession:
    now = utc_now()
    session.execute(delete(LoginSession).where(LoginSession.user_id == user_id, LoginSession.expires_at < now))
    row = LoginSession(id=new_id("ses"), user_id=user_id, expires_at=now + timedelta(days=days), last_seen_at=now)
    row.user_agent, row.peer = user_agent[:300], peer[:64]
    session.add(row)
    session.flush()
    return row


def list_for(session: Session, actor: Actor) -> list[SessionOut]:
    query = select(LoginSession).where(LoginSession.user_id == actor.user_id, LoginSession.expires_at > utc_now())
    rows = session.scalars(query.order_by(LoginSession.last_seen_at.desc()))
    return [SessionOut.model_validate(row).model_copy(update={"current": row.id == actor.session_id}) for row in rows]


def revoke(session: Session, actor: Actor, session_id: str) -> None:
    own = delete(LoginSession).where(LoginSession.id == session_id, LoginSession.user_id == actor.user_id)
    gone = session.execute(own.returning(LoginSession.id))
    if gone.first() is None:
        raise NotFound(kind="sessions", id=session_id)


def log_out(session: Session, actor: Actor) -> None:
    """Ends the session that asks; a program with an API token has none, and nothing happens."""
    session.execute(delete(LoginSession).where(LoginSession.id == actor.session_id))


def revoke_all(session: Session, user_id: str, but: str | None = None) -> None:
    session.execute(delete(LoginSession).where(LoginSession.user_id == user_id, LoginSession.id != (but or "")))


def revoke_others(session: Session, actor: Actor) -> None:
    revoke_all(session, actor.user_id, but=actor.session_id)


def extend(session: Session, actor: Actor, days: float) -> datetime:
    """Give the session that asks its full time again. Raises LoginRequired for an API token, which has no session."""
    expires_at = utc_now() + timedelta(days=days)
    extended = session.execute(
        update(LoginSession).where(LoginSession.id == actor.session_id).values(expires_at=expires_at).returning(LoginSession.id)
    )
    if extended.first() is None:
        raise LoginRequired
    return expires_at


def seen(session: Session, actor: Actor) -> None:
    """Note that a session or an API token was used."""
    now = utc_now()
    if actor.token_id is not None:
        session.execute(update(ApiToken).where(ApiToken.id == actor.token_id).values(last_used_at=now))
    else:
        session.execute(update(LoginSession).where(LoginSession.id == actor.session_id).values(last_seen_at=now))


def create_api_token(session: Session, actor: Actor, name: str, days: float | None = None) -> NewApiToken:
    token = tokens.new_api_token()
    expires_at = utc_now() + timedelta(days=days) if days is not None else None
    row = ApiToken(
        id=new_id("tok"), user_id=actor.user_id, name=name[:100], sha256=tokens.sha256_of(token), hint=token[-4:], expires_at=expires_at
    )
    session.add(row)
    session.flush()
    return NewApiToken(token=token, **ApiTokenOut.model_validate(row).model_dump())


def list_api_tokens(session: Session, actor: Actor) -> list[ApiTokenOut]:
    rows = session.scalars(select(ApiToken).where(ApiToken.user_id == actor.user_id).order_by(ApiToken.id.desc()))
    return [ApiTokenOut.model_validate(row) for row in rows]


def revoke_api_token(session: Session, actor: Actor, token_id: str) -> None:
    gone = session.execute(delete(ApiToken).where(ApiToken.id == token_id, ApiToken.user_id == actor.user_id).returning(ApiToken.id))
    if gone.first() is None:
        raise NotFound(kind="api_tokens", id=token_id)
