"""What ``kargah users`` and ``kargah demo`` do with accounts; passwords are hashed outside of the transaction."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kargah.accounts import passwords, service
from kargah.accounts.errors import NoAccounts
from kargah.accounts.schemas import UserOut
from kargah.accounts.tables import User
from kargah.cli import homes
from kargah.kit.errors import BadInput, NotFound
from kargah.kit.settings import SignUps
from kargah.store.access import Role


def add(home: str | None, email: str, password: str, name: str, role: str) -> UserOut:
    """An active account. In an empty home it is the admin that every home needs first."""
    wanted, email = role_of(role), service.normal_email(email)
    passwords.check_strength(password, email, name)
    password_hash = passwords.hash_of(password)
    with homes.database_of(home) as (_, database), database.write() as session:
        if not session.scalar(select(func.count()).select_from(User)):
            return UserOut.model_validate(service.register(session, email, password_hash, name, SignUps.CLOSED))
        return service.create_user(session, service.local_admin(session), email, password_hash, name, wanted)


def reset_password(home: str | None, email: str, password: str) -> None:
    passwords.check_strength(password, email)
    password_hash = passwords.hash_of(password)
    with homes.writing_as_admin(home) as (session, admin):
        service.reset_password(session, admin, id_of(session, email), password_hash)


def admin_email(home: str | None) -> str | None:
    """The account that commands on this machine act as; None in a home without accounts."""
    with homes.database_of(home) as (_, database), database.read() as session:
        try:
            return service.me(session, service.local_admin(session)).email
        except NoAccounts:
            return None


def id_of(session: Session, email: str) -> str:
    user = service.by_email(session, email)
    if user is None:
        raise NotFound(kind="users", id=email)
    return user.id


def role_of(name: str) -> Role:
    try:
        return Role(name)
    except ValueError:
        raise BadInput(field="role", reason=", ".join(Role)) from None
