"""``kargah models``: models on a server."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kargah.cli.options import Hours, Json, Server, Token, group, window_of
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


@app.command(help=t("cli.models.catalogue"))
def catalogue(
    query: Annotated[str | None, typer.Argument(help=t("cli.models.query"))] = None,
    datasets: Annotated[bool, typer.Option("--datasets", help=t("cli.models.datasets"))] = False,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    found = connection.connect(server, token).models.catalogue(kind="datasets" if datasets else "models", query=query)
    if json:
        screen.as_json(found)
        return
    headings = ["cli.heading.repository", "cli.heading.task", "cli.heading.licence", "cli.heading.fit", "cli.heading.status"]
    screen.table(headings, (_offer(offer) for offer in found))


@app.command(help=t("cli.models.get"))
def get(
    repository: Annotated[str, typer.Argument(help=t("cli.models.repository"), metavar="OWNER/NAME")],
    datasets: Annotated[bool, typer.Option("--dataset", help=t("cli.models.datasets"))] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help=t("cli.models.no_wait"))] = False,
    update: Annotated[bool, typer.Option("--update", help=t("cli.models.update"))] = False,
    hours: Hours = None,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    known = connection.connect(server, token).models
    got = known.get(repository, kind="dataset" if datasets else "model", wait=not no_wait, update=update, window=window_of(hours))
    if json:
        screen.as_json(got)
    elif got["status"] == "ready":
        screen.say("cli.models.got", repository=got["repository"], id=got["model_id"] or got["dataset_id"])
    else:
        screen.say("cli.models.getting", repository=got["repository"], id=got["job"]["id"])


@app.command(help=t("cli.models.allow"))
def allow(
    pattern: Annotated[str, typer.Argument(help=t("cli.models.pattern"), metavar="PATTERN")],
    datasets: Annotated[bool, typer.Option("--dataset", help=t("cli.models.datasets"))] = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    allowed = connection.connect(server, token).models.allow(pattern, kind="dataset" if datasets else "model")
    screen.say("cli.models.allowed", pattern=allowed["pattern"])


def _offer(offer: dict[str, Any]) -> list[str]:
    entry, fit = offer["entry"], offer["fit"]
    task = t(f"catalogue.task.{entry['task']}") if entry["task"] else "–"
    fits = t(f"fit.{fit}") if fit else "–"
    return [str(entry["repository"]), task, str(entry["licence"] or "–"), fits, t(f"resource.status.{offer['status']}")]


def _row(model: dict[str, Any]) -> list[str]:
    versions = model.get("versions") or []
    shown = next((version for version in versions if version.get("recommended")), versions[0] if versions else {})
    return [str(model["id"]), str(model["title"]), str(model.get("recipe") or "–"), str(shown.get("id") or "–")]
