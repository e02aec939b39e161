"""``kargah users``: accounts of this machine's Kargah, without a server."""

from typing import Annotated

import typer

from kargah.cli.options import Home, Json, group
from kargah.cli.words import t

app = group("users")
Email = Annotated[str, typer.Argument(help=t("cli.users.email"), metavar="EMAIL")]


@app.command("list", help=t("cli.users.list"))
def list_(json: Json = False, home: Home = None) -> None:
    from kargah.accounts import service
    from kargah.cli import homes, screen

    with homes.writing_as_admin(home) as (session, admin):
        users = service.list_users(session, admin, limit=1000).items
    if json:
        screen.as_json([user.model_dump(mode="json") for user in users])
        return
    headings = ["cli.heading.email", "cli.heading.name", "cli.heading.role", "cli.heading.status"]
    screen.table(headings, ([user.email, user.name, t(f"cli.role.{user.role}"), t(f"cli.status.{user.status}")] for user in users))


@app.command(help=t("cli.users.add"))
def add(
    email: Email,
    name: Annotated[str, typer.Option(help=t("cli.users.name"))] = "",
    role: Annotated[str, typer.Option(help=t("cli.users.role"))] = "trainer",
    home: Home = None,
) -> None:
    """The first account of a home is an admin whatever ``--role`` says."""
    from kargah.cli import accounts, login, screen

    password = login.ask_password()
    user = accounts.add(home, email, password, name, role)
    screen.say("cli.users.added", email=user.email, role=t(f"cli.role.{user.role}"))


@app.command(help=t("cli.users.approve"))
def approve(email: Email, home: Home = None) -> None:
    from kargah.accounts import service
    from kargah.cli import accounts, homes, screen

    with homes.writing_as_admin(home) as (session, admin):
        user = service.change_user(session, admin, accounts.id_of(session, email), status="active")
    screen.say("cli.users.approved", email=user.email)


@app.command(help=t("cli.users.block"))
def block(email: Email, home: Home = None) -> None:
    from kargah.accounts import service
    from kargah.cli import accounts, homes, screen

    with homes.writing_as_admin(home) as (session, admin):
        user = service.change_user(session, admin, accounts.id_of(session, email), status="blocked")
    screen.say("cli.users.blocked", email=user.email)


@app.command("set-role", help=t("cli.users.set_role"))
def set_role(email: Email, role: Annotated[str, typer.Argument(help=t("cli.users.role"))], home: Home = None) -> None:
    from kargah.accounts import service
    from kargah.cli import accounts, homes, screen

    with homes.writing_as_admin(home) as (session, admin):
        user = service.change_user(session, admin, accounts.id_of(session, email), role=accounts.role_of(role))
    screen.say("cli.users.role_set", email=user.email, role=t(f"cli.role.{user.role}"))


@app.command("reset-password", help=t("cli.users.reset_password"))
def reset_password(email: Email, home: Home = None) -> None:
    """All sessions of the account end."""
    from kargah.cli import accounts, login, screen

    accounts.reset_password(home, email, login.ask_password())
    screen.say("cli.users.password_set", email=email)
