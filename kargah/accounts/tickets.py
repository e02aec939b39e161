"""Tickets: each opens one stream, once, within half a minute, for a client that can send no header (EventSource, a browser's WebSocket)."""

import secrets
from datetime import datetime, timedelta

from pydantic import BaseModel
from sqlalchemy import delete
from sqlalchemy.orm import Session

from kargah.accounts import service, tokens
from kargah.accounts.service import Identity
from kargah.accounts.tables import Ticket
from kargah.kit.clock import utc_now
from kargah.kit.errors import BadToken
from kargah.store.access import Actor

PREFIX = "kgt_"
HOLDS_SECONDS = 30


class TicketOut(BaseModel):
    ticket: str
    expires_at: datetime


def issue(session: Session, actor: Actor) -> TicketOut:
    """In the name of the session or API token that asks: what ends that ends the stream."""
    now = utc_now()
    session.execute(delete(Ticket).where(Ticket.user_id == actor.user_id, Ticket.expires_at < now))
    ticket = PREFIX + secrets.token_urlsafe(32)
    row = Ticket(sha256=tokens.sha256_of(ticket), user_id=actor.user_id, session_id=actor.session_id, token_id=actor.token_id)
    row.expires_at = now + timedelta(seconds=HOLDS_SECONDS)
    session.add(row)
    return TicketOut(ticket=ticket, expires_at=row.expires_at)


def redeem(session: Session, ticket: str) -> Identity:
    """Whose it was; it is gone now. Raises BadToken for one that is unknown, used or too old, or whose credential no longer holds."""
    gone = delete(Ticket).where(Ticket.sha256 == tokens.sha256_of(ticket), Ticket.expires_at > utc_now())
    row = session.execute(gone.returning(Ticket.user_id, Ticket.session_id, Ticket.token_id)).first()
    if row is None:
        raise BadToken
    return service.identify_again(session, row.user_id, row.session_id, row.token_id)
