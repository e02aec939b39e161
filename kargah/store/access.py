"""Who asks, and what they may: the one rule, applied where rows are loaded.

A viewer reads what its workspaces show; a trainer also starts new things and changes its own; an admin changes all of
its workspaces. What one may not see does not exist (NotFound); what one sees but may not touch is Forbidden.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session

from kargah.kit.errors import Forbidden, NotFound
from kargah.store.base import Base, Owned


class Role(StrEnum):
    ADMIN = "admin"
    TRAINER = "trainer"
    VIEWER = "viewer"


class To(StrEnum):
    READ = "read"
    CHANGE = "change"


@dataclass(frozen=True)
class Actor:
    """A signed-in person or program. ``workspace_id`` is where new things go."""

    user_id: str
    role: Role
    workspace_id: str
    workspace_ids: frozenset[str] = frozenset()
    name: str = ""
    language: str | None = None
    session_id: str | None = None
    token_id: str | None = None
    peer: str = field(default="", compare=False)

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN


OwnedRow = TypeVar("OwnedRow", bound=Base)


def visible_to(actor: Actor, table: Any) -> ColumnElement[bool]:
    """The WHERE of every list."""
    within: ColumnElement[bool] = table.workspace_id.in_(actor.workspace_ids)
    if actor.is_admin:
        return within
    return within & or_(table.visibility == "workspace", table.owner_id == actor.user_id)


def load(session: Session, actor: Actor, table: type[OwnedRow], row_id: str, to: To | str = To.READ) -> OwnedRow:
    """The row, if ``actor`` may do ``to`` with it."""
    query: Select[Any] = select(table).where(table.id == row_id, visible_to(actor, table))  # type: ignore[attr-defined]
    row: OwnedRow | None = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound(kind=table.__tablename__, id=row_id)
    if To(to) is To.CHANGE:
        require_change(actor, row)  # type: ignore[arg-type]
    return row


def require_change(actor: Actor, row: Owned) -> None:
    if not (actor.is_admin or (actor.role is Role.TRAINER and row.owner_id == actor.user_id)):
        raise Forbidden(needs="owner")


def require_creator(actor: Actor) -> None:
    """Viewers start nothing."""
    if actor.role is Role.VIEWER:
        raise Forbidden(needs="trainer")


def require_admin(actor: Actor) -> None:
    if not actor.is_admin:
        raise Forbidden(needs="admin")


def owned_by(actor: Actor) -> dict[str, str]:
    """The columns of ``Owned`` for a new row."""
    return {"owner_id": actor.user_id, "workspace_id": actor.workspace_id}
