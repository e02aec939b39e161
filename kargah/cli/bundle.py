"""``kargah bundle``: a model with all that belongs to it as one signed file, for a machine without a network."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from kargah.cli.options import Hours, Json, Server, Token, group, window_of
from kargah.cli.words import error_text, t

app = group("bundle")


@app.command(help=t("cli.bundle.export"))
def export(
    version: Annotated[str, typer.Argument(help=t("cli.bundle.version"), metavar="VERSION")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help=t("cli.bundle.output"))] = None,
    datasets: Annotated[bool, typer.Option("--datasets", help=t("cli.bundle.with_data"))] = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    target = output or Path(f"{version}.kargah")
    screen.say("cli.bundle.exported", path=str(connection.connect(server, token).bundles.export(version, target, datasets=datasets)))


@app.command("import", help=t("cli.bundle.import"))
def import_(
    file: Annotated[Path, typer.Argument(help=t("cli.bundle.file"), metavar="FILE")],
    on_server: Annotated[bool, typer.Option("--on-server", help=t("cli.bundle.on_server"))] = False,
    signer: Annotated[str | None, typer.Option(help=t("cli.bundle.signer"), metavar="FINGERPRINT")] = None,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen
    from kargah.cli.errors import FileUnreadable

    bundles = connection.connect(server, token).bundles
    if not on_server and not file.is_file():
        raise FileUnreadable(path=str(file), reason=t("cli.reason.no_file"))
    bring_in = bundles.import_path if on_server else bundles.import_file
    made = _asked(lambda signer: bring_in(file, signer=signer), signer)
    if json:
        screen.as_json(made)
        return
    screen.say("cli.bundle.imported", title=made["model"]["title"], version=made["model"]["versions"][0]["id"])
    for dataset in made["datasets"]:
        screen.say("cli.bundle.imported_data", title=dataset["title"], id=dataset["id"])


@app.command(help=t("cli.bundle.fetch"))
def fetch(
    url: Annotated[str, typer.Argument(help=t("cli.bundle.url"), metavar="URL")],
    item: Annotated[str | None, typer.Argument(help=t("cli.bundle.item"), metavar="ID")] = None,
    peer_token: Annotated[str, typer.Option(envvar="KARGAH_PEER_TOKEN", help=t("cli.bundle.peer_token"))] = "",
    signer: Annotated[str | None, typer.Option(help=t("cli.bundle.signer"), metavar="FINGERPRINT")] = None,
    hours: Hours = None,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    window = window_of(hours)
    bundles = connection.connect(server, token).bundles
    if item is None:
        found = bundles.peer_items(url, peer_token)
        rows = [[one["id"], t(f"resource.kind.{one['kind']}"), one["title"]] for one in found]
        screen.as_json(found) if json else screen.table(["cli.heading.id", "cli.heading.kind", "cli.heading.title"], rows)
        return
    kind = "model" if item.startswith("mv_") else "dataset"
    made = _asked(lambda signer: bundles.fetch(url, peer_token, item, kind=kind, signer=signer, window=window), signer)
    if json:
        screen.as_json(made)
        return
    screen.say("cli.bundle.fetching", job=made["job"]["id"], title=made["job"]["title"])


@app.command(help=t("cli.bundle.key"))
def key(json: Json = False, server: Server = None, token: Token = None) -> None:
    from kargah.cli import connection, screen

    found = connection.connect(server, token).bundles.signers()
    if json:
        screen.as_json(found)
        return
    rows = [[t("cli.bundle.own"), found["own"]["fingerprint"]], *([t("cli.bundle.known"), one["fingerprint"]] for one in found["known"])]
    screen.table(["cli.heading.whose", "cli.heading.fingerprint"], rows)


def _asked(ask: Callable[[str | None], Any], signer: str | None) -> Any:
    """What ``ask`` answers for ``signer``, or for one whom a person at this terminal confirms: who has compared the fingerprint."""
    from kargah.client import Refused

    try:
        return ask(signer)
    except Refused as error:
        return ask(_confirmed(error))


def _confirmed(error: Any) -> str:
    """The fingerprint. Raises ``error`` again where it is about something else, or nobody is there to ask."""
    if error.reason != "UNKNOWN_SIGNER" or not sys.stdin.isatty():
        raise error
    params = error.problem["params"]
    if not typer.confirm(error_text("UNKNOWN_SIGNER", params)):
        raise error
    return str(params["signer"])
