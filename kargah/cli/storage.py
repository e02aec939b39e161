"""``kargah storage``: the check of all files, and folders of the server that are used where they lie. For admins."""

import os
from typing import Annotated, Any

import typer

from kargah.cli.options import Hours, Json, Server, Token, group, window_of
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
    endpoint: Annotated[str | None, typer.Option(help=t("cli.storage.endpoint"), metavar="URL")] = None,
    region: Annotated[str | None, typer.Option(help=t("cli.storage.region"))] = None,
    key: Annotated[str | None, typer.Option(envvar="KARGAH_STORE_KEY", help=t("cli.storage.key"))] = None,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection

    store = {"endpoint": endpoint, "region": region, "key": key, "secret": _secret() if key else None}
    given: dict[str, Any] = {what: value for what, value in store.items() if value is not None}
    _say(connection.connect(server, token).storage.add_root(path, name=name, **given), json)


@app.command(help=t("cli.storage.scan"))
def scan(
    root: Annotated[str, typer.Argument(help=t("cli.storage.root"), metavar="ROOT")],
    again: Annotated[bool, typer.Option("--again", help=t("cli.storage.again"))] = False,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection

    _say(connection.connect(server, token).storage.scan(root, again=again), json)


@app.command(help=t("cli.storage.found"))
def found(
    root: Annotated[str | None, typer.Argument(help=t("cli.storage.root"), metavar="ROOT")] = None,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    items = connection.connect(server, token).storage.found(root)
    if json:
        screen.as_json(items)
        return
    rows = [[one["id"], t(f"resource.kind.{one['kind']}"), one["place"] or one["name"], str(one["size_bytes"])] for one in items]
    screen.table(["cli.heading.id", "cli.heading.kind", "storage.name", "result.size"], rows)


@app.command(help=t("cli.storage.bring"))
def bring(
    asset: Annotated[str, typer.Argument(help=t("cli.storage.asset"), metavar="ASSET")],
    hours: Hours = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help=t("cli.models.no_wait"))] = False,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    window = window_of(hours)
    made = connection.connect(server, token).storage.bring(asset, wait=not no_wait and window is None, window=window)
    if json:
        screen.as_json(made)
    elif made["status"] == "ready":
        screen.say("cli.storage.brought", title=made["job"]["title"], id=made["model_id"] or made["dataset_id"])
    else:
        screen.say("cli.storage.bringing", title=made["job"]["title"], job=made["job"]["id"])


def _secret() -> str:
    """Never by an option: what is on a command line, everybody on the machine can read."""
    return os.environ.get("KARGAH_STORE_SECRET") or typer.prompt(t("cli.storage.secret"), hide_input=True)


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
    for place in summary.get("damaged", []):
        screen.say("cli.storage.damaged", place=place)


def _counts(summary: dict[str, Any]) -> list[str]:
    return [i18n.number(language(), summary.get(name, 0)) for name in ("models", "tables")]
