"""``kargah run-script``: a person's own Python file as a job of a server."""

import json as json_text
from pathlib import Path
from typing import Annotated, Any

import typer

from kargah.cli.options import Json, Server, Token
from kargah.cli.words import t


def run_script(
    file: Annotated[Path, typer.Argument(help=t("cli.run_script.file"), metavar="FILE")],
    dataset: Annotated[list[str] | None, typer.Option("--dataset", help=t("cli.run_script.dataset"), metavar="ID")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help=t("cli.run_script.set"), metavar="NAME=VALUE")] = None,
    title: Annotated[str | None, typer.Option(help=t("cli.run_script.title"))] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help=t("cli.run_script.output"))] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help=t("cli.run_script.no_wait"))] = False,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen
    from kargah.cli.errors import FileUnreadable
    from kargah.cli.jobs import follow_job

    if not file.is_file():
        raise FileUnreadable(path=str(file), reason=t("cli.reason.no_file"))
    kargah = connection.connect(server, token)
    started = kargah.scripts.run(file, datasets=dataset or [], parameters=_parameters(set_ or []), title=title)
    if json:
        screen.as_json(started.model_dump(mode="json"))
    else:
        screen.say("cli.run_script.queued", job=started.job.id, run=started.run_id)
    if no_wait:
        return
    follow_job(kargah, started.job.id)
    if output is not None:
        screen.say("cli.run_script.saved", path=str(_unpacked(kargah.scripts.download(started.job.id, output.with_suffix(".zip")), output)))


def _parameters(given: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise typer.BadParameter(one, param_hint="--set")
        try:
            found[name] = json_text.loads(value)
        except ValueError:
            found[name] = value
    return found


def _unpacked(packed: Path, folder: Path) -> Path:
    import zipfile

    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    packed.unlink()
    return folder
