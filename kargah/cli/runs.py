"""``kargah runs``: what can be done with a run afterwards."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kargah.cli.options import Json, Server, Token, group
from kargah.cli.words import t

app = group("runs")
RunId = Annotated[str, typer.Argument(help=t("cli.runs.id"), metavar="RUN")]


@app.command(help=t("cli.runs.reproduce"))
def reproduce(
    run: RunId,
    no_wait: Annotated[bool, typer.Option("--no-wait", help=t("cli.runs.no_wait"))] = False,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen
    from kargah.cli.jobs import follow_job

    kargah = connection.connect(server, token)
    started = kargah.runs.reproduce(run)
    if no_wait:
        screen.say("cli.runs.queued", run=started.run_id, job=started.job.id)
        return
    follow_job(kargah, started.job.id)
    _tell(kargah.runs.reproduction(started.run_id), json)


@app.command(help=t("cli.runs.compare"))
def compare(run: RunId, json: Json = False, server: Server = None, token: Token = None) -> None:
    from kargah.cli import connection

    _tell(connection.connect(server, token).runs.reproduction(run), json)


@app.command(help=t("cli.runs.script"))
def script(
    run: RunId,
    output: Annotated[Path | None, typer.Option("--output", "-o", dir_okay=False, help=t("cli.runs.output"))] = None,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    path = connection.connect(server, token).runs.script(run, output or Path(f"{run}.py"))
    screen.say("cli.runs.saved", path=str(path))


def _tell(found: dict[str, Any], json: bool) -> None:
    from kargah.cli import screen

    if json:
        screen.as_json(found)
        return
    verdict = {True: "same", False: "differs", None: "not_over"}[found["same"]]
    screen.say(f"reproduction.{verdict}", title=found["of_title"])
    for model in found["models"]:
        screen.say(f"reproduction.weights_{'same' if model['weights_same'] else 'differ'}", model=model["name"])
        for pair in model["metrics"]:
            screen.line(f"  {pair['name']}: {pair['first']} → {pair['again']}")
    for reason in found["reasons"]:
        screen.say(reason["code"], **reason["params"])
