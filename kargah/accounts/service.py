"""Accounts: who may come in, and who asks."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from kargah.accounts import sessions, tokens
from kargah.accounts.errors import BadEmail, BadName, Blocked, EmailTaken, LastAdmin, NoAccounts, PendingApproval, SignUpsClosed
from kargah.accounts.schemas import UserOut, UserPage
from kargah.accounts.tables import ApiToken, LoginSession, Membership, User, Workspace
from kargah.kit.clock import utc_now
from kargah.kit.errors import BadInput, BadToken, NotFound
from kargah.kit.ids import new_id
from kargah.kit.settings import SignUps
from kargah.store.access import Actor, Role, require_admin

DEFAULT_WORKSPACE = "ws_default"
ACTIVE, PENDING, BLOCKED = "active", "pending", "blocked"
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")


#: Finds (user, id of the credential, when it ends, when its use was last noted).
Known = Select[User, str, datetime | None, datetime | None] | Select[User, str, datetime, datetime]


@dataclass(frozen=True)
class Identity:
    """Who a credential belongs to, until when it holds, and when its use was last noted."""

    actor: Actor
    expires_at: datetime | None
    noted_at: datetime | None

    @property
    def is_stale(self) -> bool:
        return self.noted_at is None or utc_now() - self.noted_at > sessions.SEEN_EVERY


def register(session: Session, email: str, password_hash: str, name: str, sign_ups: SignUps) -> User:
    """A new account. The first one of all is an active admin; later ones are trainers, by the rule of ``sign_ups``."""
    email, name = normal_email(email), normal_name(name)
    _one_at_a_time(session)
    first = session.scalar(select(func.count()).select_from(User)) == 0
    if sign_ups is SignUps.CLOSED and not first:
        raise SignUpsClosed
    role = Role.ADMIN if first else Role.TRAINER
    return _add(session, email, password_hash, name, role, ACTIVE if first or sign_ups is SignUps.OPEN else PENDING)


def create_user(session: Session, actor: Actor, email: str, password_hash: str, name: str, role: Role) -> UserOut:
    """An admin lets somebody in, whatever the rule of sign-ups is."""
    require_admin(actor)
    _one_at_a_time(session)
    return UserOut.model_validate(_add(session, normal_email(email), password_hash, normal_name(name), role, ACTIVE))


def _one_at_a_time(session: Session) -> None:
    """Held by every change of who there is: of two that arrive together only one can be the first, or the last admin."""
    session.execute(select(Workspace.id).where(Workspace.id == DEFAULT_WORKSPACE).with_for_update())


def _add(session: Session, email: str, password_hash: str, name: str, role: Role, status: str) -> User:
    if session.scalar(select(User.id).where(User.email == email)) is not None:
        raise EmailTaken(email=email)
    shown_name = name or email.partition("@")[0]
    user = User(id=new_id("usr"), email=email, name=shown_name, password_hash=password_hash, role=role, status=status)
    session.add(user)
    session.flush()
    session.add(Membership(id=new_id("mem"), workspace_id=DEFAULT_WORKSPACE, user_id=user.id))
    session.flush()
    return user


def by_email(session: Session, email: str) -> User | None:
    return session.scalar(select(User).where(User.email == _folded(email)))


def active_user(session: Session, user_id: str) -> User:
    user = _get(session, user_id)
    require_active(user)
    return user


def require_active(user: User) -> None:
    if user.status == PENDING:
        raise PendingApproval
    if user.status != ACTIVE:
        raise Blocked


def authenticate(session: Session, secret_key: str, credential: str) -> Actor:
    return identify(session, secret_key, credential).actor


def identify(session: Session, secret_key: str, credential: str) -> Identity:
    """Whose login token or API token this is. Raises BadToken, PendingApproval or Blocked."""
    if credential.startswith(tokens.API_TOKEN_PREFIX):
        source: Known = _token_query(ApiToken.sha256 == tokens.sha256_of(credential))
    else:
        claims = tokens.read_login_token(secret_key, credential)
        source = _session_query(claims.session_id, claims.user_id)
    return _identity(session, source, is_token=credential.startswith(tokens.API_TOKEN_PREFIX))


def identify_again(session: Session, user_id: str, session_id: str | None, token_id: str | None) -> Identity:
    """The same for a session or API token that was known a moment ago, by its row."""
    if token_id is not None:
        return _identity(session, _token_query(ApiToken.id == token_id), is_token=True)
    return _identity(session, _session_query(session_id or "", user_id), is_token=False)


def _identity(session: Session, source: Known, *, is_token: bool) -> Identity:
    row = session.execute(source).first()
    if row is None or (row.expires_at is not None and row.expires_at <= utc_now()):
        raise BadToken
    require_active(row.User)
    actor = actor_of(session, row.User, session_id=None if is_token else row.id, token_id=row.id if is_token else None)
    return Identity(actor, row.expires_at, row.noted_at)


def _token_query(which: ColumnElement[bool]) -> Select[User, str, datetime | None, datetime | None]:
    noted = ApiToken.last_used_at.label("noted_at")
    joined = select(User, ApiToken.id, ApiToken.expires_at, noted).join(ApiToken, ApiToken.user_id == User.id)
    return joined.where(which)


def _session_query(session_id: str, user_id: str) -> Select[User, str, datetime, datetime]:
    noted = LoginSession.last_seen_at.label("noted_at")
    joined = select(User, LoginSession.id, LoginSession.expires_at, noted).join(LoginSession, LoginSession.user_id == User.id)
    return joined.where(LoginSession.id == session_id, User.id == user_id)


def actor_of(session: Session, user: User, session_id: str | None = None, token_id: str | None = None) -> Actor:
    workspaces = session.scalars(select(Membership.workspace_id).where(Membership.user_id == user.id).order_by(Membership.created_at)).all()
    return Actor(
        user_id=user.id,
        role=Role(user.role),
        workspace_id=workspaces[0] if workspaces else "",
        workspace_ids=frozenset(workspaces),
        name=user.name,
        language=user.language,
        session_id=session_id,
        token_id=token_id,
    )


def local_admin(session: Session) -> Actor:
    """For the terminal on the machine itself, where whoever can read the home is trusted: acts as the first admin."""
    query = select(User).where(User.role == Role.ADMIN, User.status == ACTIVE).order_by(User.created_at, User.id).limit(1)
    admin = session.scalar(query)
    if admin is None:
        raise NoAccounts
    return actor_of(session, admin)


def me(session: Session, actor: Actor) -> UserOut:
    return UserOut.model_validate(_get(session, actor.user_id))


def change_profile(session: Session, actor: Actor, changes: dict[str, str | None]) -> UserOut:
    """``changes``: any of name, language, theme; a language or theme of None means "as the browser says"."""
    user = _get(session, actor.user_id)
    if changes.get("name") is not None:
        user.name = normal_name(changes["name"] or "") or user.name
    for field in ("language", "theme"):
        if field in changes:
            setattr(user, field, changes[field])
    session.flush()
    return UserOut.model_validate(user)


def password_hash_of(session: Session, actor: Actor) -> str:
    return _get(session, actor.user_id).password_hash


def change_password(session: Session, actor: Actor, password_hash: str) -> None:
    """The old password was checked at the door. Every other session of the account ends."""
    _get(session, actor.user_id).password_hash = password_hash
    sessions.revoke_all(session, actor.user_id, but=actor.session_id)


def list_users(session: Session, actor: Actor, cursor: str | None = None, limit: int = 50, status: str | None = None) -> UserPage:
    require_admin(actor)
    query = select(User).order_by(User.id).limit(limit + 1)
    if cursor:
        query = query.where(User.id > cursor)
    if status:
        query = query.where(User.status == status)
    rows = session.scalars(query).all()
    next_cursor = rows[limit - 1].id if len(rows) > limit else None
    return UserPage(items=[UserOut.model_validate(row) for row in rows[:limit]], next_cursor=next_cursor)


def get_user(session: Session, actor: Actor, user_id: str) -> UserOut:
    require_admin(actor)
    return UserOut.model_validate(_get(session, user_id))


def change_user(session: Session, actor: Actor, user_id: str, role: Role | None = None, status: str | None = None) -> UserOut:
    """Approve, block, or give another role. Blocking signs the account out everywhere."""
    require_admin(actor)
    if status not in (None, ACTIVE, PENDING, BLOCKED):
        raise BadInput(field="status", reason="unknown_value")
    _one_at_a_time(session)
    user = _get(session, user_id)
    user.role, user.status = role or user.role, status or user.status
    session.flush()
    if not session.scalar(select(func.count()).select_from(User).where(User.role == Role.ADMIN, User.status == ACTIVE)):
        raise LastAdmin
    if user.status != ACTIVE:
        sessions.revoke_all(session, user.id)
    return UserOut.model_validate(user)


def reset_password(session: Session, actor: Actor, user_id: str, password_hash: str) -> UserOut:
    """An admin gives somebody a new password; all sessions of the account end."""
    require_admin(actor)
    user = _get(session, user_id)
    user.password_hash = password_hash
    sessions.revoke_all(session, user.id)
    session.flush()
    return UserOut.model_validate(user)


def _get(session: Session, user_id: str) -> User:
    user = session.get(User, user_id)
    if user is None:
        raise NotFound(kind="users", id=user_id)
    return user


def _folded(email: str) -> str:
    return unicodedata.normalize("NFKC", email).strip().casefold()


def normal_email(email: str) -> str:
    """One spelling of an address: NFKC, no blanks around, lower case. Raises BadEmail."""
    folded = _folded(email)
    if len(folded) > 254 or not _EMAIL.fullmatch(folded) or not _visible(folded):
        raise BadEmail(field="email", email=email[:254])
    return folded


def normal_name(name: str) -> str:
    """Without blanks around; a control or direction character would let one name pose as another."""
    plain = " ".join(unicodedata.normalize("NFC", name).split())
    if len(plain) > 200 or not _visible(plain.replace("\u200c", "")):
        raise BadName(field="name")
    return plain


def _visible(text: str) -> bool:
    return not any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn"} for character in text)
