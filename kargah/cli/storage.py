"""``kargah storage``: the check of all files, and folders of the server that are used where they lie. For admins."""

from typing import Annotated, Any

import typer

from kargah.cli.options import Json, Server, Token, group
from kargah.cli.words import error_text, language, t
from kargah.kit import i18n

app = group("storage")


@app.command(help=t("cli.storage.check"))
def check(json: Json = False, server: Server = None, token: Token = None) -> None:
    from kargah.cli import connection, screen

    found = connection.connect(server, token).storage.check()
    if json:
        screen.as_json(found)
    elif not found["damaged_count"]:
        screen.say("cli.storage.whole")
    else:
        rows = [[one["sha256"], t(f"scrub.is.{one['damage']}"), ", ".join(one["assets"])] for one in found["damaged"]]
        screen.table(["cli.heading.id", "scrub.kind", "scrub.of"], rows)
        screen.say("scrub.what_now")
    if found["damaged_count"]:
        raise typer.Exit(1)


@app.command(help=t("cli.storage.roots"))
def roots(json: Json = False, server: Server = None, token: Token = None) -> None:
    from kargah.cli import connection, screen

    found = connection.connect(server, token).storage.roots()
    if json:
        screen.as_json(found)
        return
    rows = [[one["id"], one["name"], one["path"], *_counts(one["summary"])] for one in found]
    screen.table(["cli.heading.id", "storage.name", "storage.path", "storage.kind.model", "storage.tables"], rows)


@app.command("add-root", help=t("cli.storage.add_root"))
def add_root(
    path: Annotated[str, typer.Argument(help=t("storage.path"), metavar="FOLDER")],
    name: Annotated[str, typer.Option(help=t("storage.name_hint"))] = "",
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection

    _say(connection.connect(server, token).storage.add_root(path, name=name), json)


@app.command(help=t("cli.storage.scan"))
def scan(
    root: Annotated[str, typer.Argument(help=t("cli.storage.root"), metavar="ROOT")],
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection

    _say(connection.connect(server, token).storage.scan(root), json)


def _say(root: dict[str, Any], json: bool) -> None:
    from kargah.cli import screen

    if json:
        screen.as_json(root)
        return
    summary = root["summary"]
    counts = {name: i18n.number(language(), summary.get(name, 0)) for name in ("files", "models", "tables")}
    screen.say("cli.storage.scanned", id=root["id"], name=root["name"], **counts)
    for one in summary.get("refused", []):
        screen.line(f"{one['place']}: {error_text(one['code'], one['params'])}")


def _counts(summary: dict[str, Any]) -> list[str]:
    return [i18n.number(language(), summary.get(name, 0)) for name in ("models", "tables")]
