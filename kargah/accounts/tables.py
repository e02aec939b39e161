from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from kargah.store.base import Base, Created


class Workspace(Base, Created):
    """Where people share data. There is one, named "default", from the first migration."""

    __tablename__ = "workspaces"
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    slug: Mapped[str] = mapped_column(String(64), unique=True)
    title: Mapped[str] = mapped_column(String(200))


class User(Base, Created):
    """``status``: active, pending (waits for an admin's approval) or blocked."""

    __tablename__ = "users"
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    password_hash: Mapped[str] = mapped_column(String(256))
    role: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    language: Mapped[str | None] = mapped_column(String(8))
    theme: Mapped[str | None] = mapped_column(String(8))


class Membership(Base, Created):
    __tablename__ = "memberships"
    __table_args__ = (UniqueConstraint("workspace_id", "user_id"),)
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(48), ForeignKey("workspaces.id", ondelete="CASCADE"))
    user_id: Mapped[str] = mapped_column(String(48), ForeignKey("users.id", ondelete="CASCADE"), index=True)


class LoginSession(Base, Created):
    """A signed-in browser or program. Deleting the row signs it out at once."""

    __tablename__ = "sessions"
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(48), ForeignKey("users.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    user_agent: Mapped[str] = mapped_column(String(300), default="")
    peer: Mapped[str] = mapped_column(String(64), default="")


class ApiToken(Base, Created):
    """A named token for programs; only its SHA-256 is kept. ``hint`` is its last characters, for recognising it."""

    __tablename__ = "api_tokens"
    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(48), ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(8))
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class Ticket(Base, Created):
    """Stands for a credential once, where none can be shown: on a stream that a browser opens without headers."""

    __tablename__ = "tickets"
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(48), ForeignKey("users.id", ondelete="CASCADE"), index=True)
    session_id: Mapped[str | None] = mapped_column(String(48), ForeignKey("sessions.id", ondelete="CASCADE"))
    token_id: Mapped[str | None] = mapped_column(String(48), ForeignKey("api_tokens.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]
