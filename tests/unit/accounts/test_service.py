"""Accounts on both databases."""

import threading

import pytest

from kargah.accounts import service, sessions, tokens
from kargah.accounts.errors import EmailTaken, LastAdmin, PendingApproval
from kargah.kit.errors import BadToken
from kargah.kit.settings import SignUps
from kargah.store.access import Role
from kargah.store.database import Database

KEY = "k" * 32


def test_of_many_first_accounts_at_once_one_becomes_admin(database: Database) -> None:
    roles: list[str] = []

    def register(number: int) -> None:
        with database.write() as session:
            roles.append(service.register(session, f"p{number}@example.org", "hash", "", SignUps.OPEN).role)

    threads = [threading.Thread(target=register, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        known = service.list_users(session, service.local_admin(session)).items
    assert sorted(user.role for user in known).count(Role.ADMIN) == 1


def test_a_credential_names_its_actor_until_it_is_revoked(database: Database) -> None:
    with database.write() as session:
        user = service.register(session, "first@example.org", "hash", "سارا", SignUps.OPEN)
        row = sessions.open_for(session, user.id, 7.0, "agent", "127.0.0.1")
        login = tokens.login_token(KEY, user.id, row.id, row.expires_at)
    with database.read() as session:
        actor = service.authenticate(session, KEY, login)
    assert (actor.role, actor.workspace_id, actor.session_id) == (Role.ADMIN, "ws_default", row.id)
    with database.write() as session:
        made = sessions.create_api_token(session, actor, "laptop")
    with database.read() as session:
        assert service.authenticate(session, KEY, made.token).token_id == made.id
    with database.write() as session:
        sessions.revoke(session, actor, row.id)
        sessions.revoke_api_token(session, actor, made.id)
    for credential in (login, made.token):
        with database.read() as session, pytest.raises(BadToken):
            service.authenticate(session, KEY, credential)


def test_an_account_waits_is_approved_and_can_be_shut_out(database: Database) -> None:
    with database.write() as session:
        service.register(session, "first@example.org", "hash", "", SignUps.APPROVAL)
        admin = service.local_admin(session)
        later = service.register(session, "later@example.org", "hash", "", SignUps.APPROVAL)
        with pytest.raises(PendingApproval):
            service.require_active(later)
        assert service.change_user(session, admin, later.id, status="active").status == "active"
        with pytest.raises(EmailTaken):
            service.register(session, "LATER@example.org", "hash", "", SignUps.OPEN)
    with database.write() as session, pytest.raises(LastAdmin):
        service.change_user(session, admin, admin.user_id, role=Role.VIEWER)
