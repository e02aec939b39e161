"""``kargah jobs``: what runs on a server, and a hand on it."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kargah.cli.options import Json, Server, Token, group
from kargah.cli.words import language, outlook_text, t, waiting_text
from kargah.kit import i18n

if TYPE_CHECKING:
    from kargah.client import Job, Kargah

app = group("jobs")


class Place(StrEnum):
    """Where a waiting job may be moved to."""

    FIRST = "first"
    UP = "up"
    DOWN = "down"
    LAST = "last"


JobId = Annotated[str, typer.Argument(help=t("cli.jobs.id"), metavar="JOB")]


@app.command("list", help=t("cli.jobs.list"))
def list_(
    state: Annotated[str | None, typer.Option(help=t("cli.jobs.state"))] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help=t("cli.option.limit"))] = 20,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    page = connection.connect(server, token).jobs.list(limit=limit, state=state)
    if json:
        screen.as_json([job.model_dump(mode="json") for job in page.items])
        return
    headings = [
        "cli.heading.id",
        "cli.heading.kind",
        "cli.heading.title",
        "cli.heading.state",
        "cli.heading.progress",
        "cli.heading.created",
    ]
    screen.table(headings, (_row(job) for job in page.items))


@app.command(help=t("cli.jobs.show"))
def show(job: JobId, json: Json = False, server: Server = None, token: Token = None) -> None:
    from kargah.cli import connection, screen

    kargah = connection.connect(server, token)
    found = kargah.jobs.show(job)
    _print(found, json, screen)
    if not json and found.state == "QUEUED" and (outlook := kargah.jobs.outlook(job)) is not None:
        screen.line(outlook_text(outlook))


@app.command(help=t("cli.jobs.logs"))
def logs(
    job: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help=t("cli.jobs.follow"))] = False,
    grep: Annotated[str | None, typer.Option(help=t("cli.jobs.grep"))] = None,
    attempt: Annotated[int | None, typer.Option(min=1, help=t("cli.jobs.attempt"))] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", dir_okay=False, help=t("cli.jobs.log_output"))] = None,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    kargah = connection.connect(server, token)
    if follow:
        follow_job(kargah, job)
    elif output is not None:
        screen.line(str(kargah.jobs.download_log(job, output, attempt=attempt)))
    elif grep is not None:
        for found in kargah.jobs.search_log(job, grep, attempt=attempt)["lines"]:
            screen.line(f"{found['number']}: {found['text']}")
    else:
        answer = kargah.jobs.logs(job, attempt=attempt)
        for event in answer["messages"]:
            screen.line(_message(event))
        screen.line(str(answer["tail"]).rstrip())


@app.command(help=t("cli.jobs.queue"))
def queue(json: Json = False, server: Server = None, token: Token = None) -> None:
    from kargah.cli import connection, screen

    jobs = connection.connect(server, token).jobs.queue()
    if json:
        screen.as_json([job.model_dump(mode="json") for job in jobs])
        return
    headings = ["cli.heading.id", "cli.heading.title", "cli.heading.priority", "cli.heading.waits_for"]
    screen.table(headings, ([job.id, job.title, str((job.model_extra or {}).get("priority", 0)), _reason(job)] for job in jobs))


@app.command(help=t("cli.jobs.move"))
def move(
    job: JobId,
    to: Annotated[Place | None, typer.Argument(help=t("cli.jobs.place"))] = None,
    priority: Annotated[int | None, typer.Option(min=-100, max=100, help=t("cli.jobs.priority"))] = None,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    if to is None and priority is None:
        raise typer.BadParameter(t("cli.jobs.move_needs"))
    _print(connection.connect(server, token).jobs.move(job, to.value if to else None, priority=priority), False, screen)


@app.command(help=t("cli.jobs.stop"))
def stop(job: JobId, server: Server = None, token: Token = None) -> None:
    from kargah.cli import connection, screen

    _print(connection.connect(server, token).jobs.stop(job), False, screen)


@app.command(help=t("cli.jobs.pause"))
def pause(job: JobId, server: Server = None, token: Token = None) -> None:
    from kargah.cli import connection, screen

    _print(connection.connect(server, token).jobs.pause(job), False, screen)


@app.command(help=t("cli.jobs.resume"))
def resume(job: JobId, server: Server = None, token: Token = None) -> None:
    from kargah.cli import connection, screen

    _print(connection.connect(server, token).jobs.resume(job), False, screen)


def follow_job(kargah: "Kargah", job_id: str) -> "Job":
    """Show a job's events live until it has ended; returns the COMPLETED job, raises JobEnded otherwise."""
    from kargah.cli import screen
    from kargah.cli.progress import JobProgress
    from kargah.client import JobEnded

    with JobProgress(kargah.jobs.show(job_id).title, screen.console()) as progress:
        for event in kargah.jobs.events(job_id):
            progress.on_event(event.kind, event.payload)
    job = kargah.jobs.show(job_id)
    if job.state != "COMPLETED":
        raise JobEnded(job_id, job.state, job.error)
    return job


def _row(job: "Job") -> list[str]:
    created = (job.model_extra or {}).get("created_at")
    return [job.id, job.kind, job.title, t(f"cli.state.{job.state}"), _percent(job.progress), _moment(created)]


def _print(job: "Job", json: bool, screen: Any) -> None:
    if json:
        screen.as_json(job.model_dump(mode="json"))
        return
    screen.say("cli.jobs.line", id=job.id, title=job.title, state=t(f"cli.state.{job.state}"), progress=_percent(job.progress))
    if job.error:
        screen.reason(job.error)
    elif job.waiting:
        screen.line(_reason(job))


def _reason(job: "Job") -> str:
    return waiting_text(str(job.waiting["code"]), job.waiting.get("params") or {}) if job.waiting else "–"


def _percent(progress: dict[str, Any]) -> str:
    percent = progress.get("percent")
    return "–" if percent is None else i18n.percent(language(), percent / 100)


def _moment(created: Any) -> str:
    return i18n.date(language(), datetime.fromisoformat(created)) if isinstance(created, str) else "–"


def _message(event: dict[str, Any]) -> str:
    payload = event["payload"]
    return f"{_moment(event['at'])}  {t(str(payload['code']), **(payload.get('params') or {}))}"
