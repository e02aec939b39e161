"""``kargah checkpoints``, and two more words of ``kargah jobs``: ``failure`` and ``retry``."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from kargah.cli import jobs
from kargah.cli.jobs import JobId
from kargah.cli.options import Json, Server, Token, group
from kargah.cli.words import error_text, t

app = group("checkpoints")
Name = Annotated[str, typer.Argument(help=t("cli.checkpoints.name"), metavar="CHECKPOINT")]


@app.command("list", help=t("cli.checkpoints.list"))
def list_(job: JobId, json: Json = False, server: Server = None, token: Token = None) -> None:
    from kargah.cli import connection, screen

    found = connection.connect(server, token).checkpoints.list(job)
    if json:
        screen.as_json(found)
    elif not found:
        screen.say("cli.checkpoints.none")
    else:
        headings = ["cli.heading.id", "cli.heading.step", "cli.heading.size", "cli.heading.saved", "cli.heading.best"]
        screen.table(headings, (_row(checkpoint) for checkpoint in found))


@app.command(help=t("cli.checkpoints.download"))
def download(
    job: JobId,
    name: Name,
    output: Annotated[Path | None, typer.Option("--output", "-o", help=t("cli.checkpoints.output"))] = None,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    path = connection.connect(server, token).checkpoints.download(job, name, output or Path(f"{job}-{name}.zip"))
    screen.say("cli.checkpoints.saved", path=str(path))


@app.command(help=t("cli.checkpoints.delete"))
def delete(job: JobId, name: Name, server: Server = None, token: Token = None) -> None:
    from kargah.cli import connection, screen

    connection.connect(server, token).checkpoints.delete(job, name)
    screen.say("cli.checkpoints.deleted", name=name)


@app.command("continue", help=t("cli.checkpoints.continue"))
def continue_(
    job: JobId,
    name: Name,
    settings: Annotated[list[str] | None, typer.Option("--set", help=t("cli.checkpoints.set"), metavar="NAME=VALUE")] = None,
    title: Annotated[str | None, typer.Option(help=t("cli.models.title"))] = None,
    priority: Annotated[int, typer.Option(min=-100, max=100, help=t("cli.checkpoints.priority"))] = 0,
    terms: Annotated[str | None, typer.Option(help=t("cli.checkpoints.terms"))] = None,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection

    spec, own = dict(_setting(given) for given in settings or []), _terms(terms)
    kargah = connection.connect(server, token)
    _started(kargah.checkpoints.continue_from(job, name, spec=spec, title=title, priority=priority, terms=own), json)


@app.command(help=t("cli.checkpoints.verify"))
def verify(job: JobId, name: Name, server: Server = None, token: Token = None) -> None:
    """Exit status 1 for one that is damaged."""
    from kargah.cli import connection, screen

    found = connection.connect(server, token).checkpoints.verify(job, name)
    screen.say("cli.checkpoints.condition", name=name, condition=t(f"checkpoint.{found['condition']}"))
    if found["condition"] == "damaged":
        raise typer.Exit(1)


@jobs.app.command(help=t("cli.failure.help"))
def failure(job: JobId, json: Json = False, server: Server = None, token: Token = None) -> None:
    from kargah.cli import connection, screen

    told = connection.connect(server, token).checkpoints.failure(job)
    if json:
        screen.as_json(told)
        return
    screen.line(error_text(str(told["code"]), told.get("params") or {}))
    screen.line("\n".join([told["evidence"] or "", *told["log"]]).strip())
    if told["fix"]:
        screen.say(told["fix"]["code"], **told["fix"]["params"])


@jobs.app.command(help=t("cli.retry.help"))
def retry(
    job: JobId,
    with_fix: Annotated[bool, typer.Option("--with-fix", help=t("cli.retry.with_fix"))] = False,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection

    _started(connection.connect(server, token).checkpoints.retry(job, with_fix=with_fix), json)


def _started(training: Any, json: bool) -> None:
    from kargah.cli import screen

    if json:
        screen.as_json(training.model_dump(mode="json"))
    else:
        screen.say("cli.checkpoints.started", job=training.job.id, run=training.run_id)


def _setting(given: str) -> tuple[str, Any]:
    """``learning_rate=1e-4``: the value is read as in a plan file, and as a number where it is one."""
    import yaml

    name, equals, value = given.partition("=")
    if not equals or not name:
        raise typer.BadParameter(given, param_hint="--set")
    try:
        return name, float(value) if "e" in value.lower() else yaml.safe_load(value)
    except (ValueError, yaml.YAMLError):
        return name, value


def _terms(given: str | None) -> dict[str, Any]:
    import yaml

    try:
        read = yaml.safe_load(given or "{}")
    except yaml.YAMLError as error:
        raise typer.BadParameter(str(error), param_hint="--terms") from error
    if not isinstance(read, dict):
        raise typer.BadParameter(given or "", param_hint="--terms")
    return read


def _row(checkpoint: dict[str, Any]) -> list[str]:
    from kargah.cli.words import language
    from kargah.kit import i18n

    saved = checkpoint.get("saved_at")
    return [
        checkpoint["name"],
        i18n.number(language(), checkpoint["step"]),
        i18n.size(language(), checkpoint["size_bytes"]),
        i18n.date(language(), datetime.fromisoformat(saved)) if saved else "–",
        t("cli.checkpoints.best") if checkpoint["best"] else "",
    ]
