"""``kargah models``: models on a server."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kargah.cli.options import Json, Server, Token, group
from kargah.cli.words import t

app = group("models")


@app.command("list", help=t("cli.models.list"))
def list_(
    limit: Annotated[int, typer.Option(min=1, max=200, help=t("cli.option.limit"))] = 20,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    found = connection.connect(server, token).models.list(limit=limit).items
    if json:
        screen.as_json(found)
        return
    headings = ["cli.heading.id", "cli.heading.title", "cli.heading.task", "cli.heading.version"]
    screen.table(headings, (_row(model) for model in found))


@app.command("import", help=t("cli.models.import"))
def import_(
    folder: Annotated[Path, typer.Argument(help=t("cli.models.folder"))],
    on_server: Annotated[bool, typer.Option("--on-server", help=t("cli.models.on_server"))] = False,
    title: Annotated[str | None, typer.Option(help=t("cli.models.title"))] = None,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen
    from kargah.cli.errors import FileUnreadable

    models = connection.connect(server, token).models
    if not on_server and not folder.exists():
        raise FileUnreadable(path=str(folder), reason=t("cli.reason.no_folder"))
    imported = models.import_folder(folder, title=title) if on_server else models.upload(folder, title=title)
    if json:
        screen.as_json(imported)
        return
    screen.say("cli.models.imported", id=imported["id"], version=imported["versions"][0]["id"])


@app.command(help=t("cli.models.download"))
def download(
    version: Annotated[str, typer.Argument(help=t("cli.models.version"), metavar="VERSION")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help=t("cli.models.output"))] = None,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    path = connection.connect(server, token).models.download(version, output or Path(f"{version}.zip"))
    screen.say("cli.models.downloaded", path=str(path))


def _row(model: dict[str, Any]) -> list[str]:
    versions = model.get("versions") or []
    shown = next((version for version in versions if version.get("recommended")), versions[0] if versions else {})
    return [str(model["id"]), str(model["title"]), str(model.get("recipe") or "–"), str(shown.get("id") or "–")]
