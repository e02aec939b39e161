"""``kargah login`` and ``kargah logout``: a token kept for later commands."""

import os
import sys
from typing import Annotated

import typer

from kargah.cli.options import Server
from kargah.cli.words import t


def login(email: Annotated[str, typer.Argument(help=t("cli.login.email"))], server: Server = None) -> None:
    from kargah.cli import connection, screen

    kargah = connection.connect(server, None)
    kargah.login(email, ask_password())
    connection.store_login(kargah.transport.url, str(kargah.transport.token))
    screen.say("cli.login.done", server=kargah.transport.url, path=str(connection.login_file()))


def logout() -> None:
    from kargah.cli import connection, screen

    stored = connection.stored_login()
    if stored:
        connection.connect(None, stored.get("token")).transport.json("POST", "/api/v1/auth/logout")
    connection.forget_login()
    screen.say("cli.logout.done")


def ask_password() -> str:
    """From KARGAH_PASSWORD, or typed unseen, or the first line of the standard input; never from the command line, which others can see."""
    given = os.environ.get("KARGAH_PASSWORD")
    if given:
        return given
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass(t("cli.login.password"))
    return sys.stdin.readline().rstrip("\n")
