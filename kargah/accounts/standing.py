"""Whether credentials that were good when a stream began still are: asked for many at once."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.accounts.tables import ApiToken, LoginSession, Membership, User
from kargah.kit.clock import utc_now
from kargah.store.access import Role

ACTIVE = "active"


@dataclass(frozen=True)
class Standing:
    """What a credential allows now."""

    role: Role
    workspace_ids: frozenset[str]


def standing(session: Session, session_ids: Collection[str | None], token_ids: Collection[str | None]) -> dict[str, Standing]:
    """Of each session and API token that still holds; the others are not in it."""
    now = utc_now()
    signed_in = select(LoginSession.id, User.id.label("user_id"), User.role).join(User, User.id == LoginSession.user_id)
    signed_in = signed_in.where(LoginSession.id.in_(list(session_ids)), LoginSession.expires_at > now, User.status == ACTIVE)
    by_token = select(ApiToken.id, User.id.label("user_id"), User.role).join(User, User.id == ApiToken.user_id)
    unexpired = ApiToken.expires_at.is_(None) | (ApiToken.expires_at > now)
    by_token = by_token.where(ApiToken.id.in_(list(token_ids)), unexpired, User.status == ACTIVE)
    found = [*session.execute(signed_in), *session.execute(by_token)]
    member_of: dict[str, set[str]] = {row.user_id: set() for row in found}
    memberships = select(Membership.user_id, Membership.workspace_id).where(Membership.user_id.in_(list(member_of)))
    for user_id, workspace_id in session.execute(memberships):
        member_of[user_id].add(workspace_id)
    return {row.id: Standing(Role(row.role), frozenset(member_of[row.user_id])) for row in found}
