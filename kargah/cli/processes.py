"""``kargah serve``, ``kargah web`` and ``kargah agent``: the processes of the system."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from kargah.cli.options import Home
from kargah.cli.words import t

if TYPE_CHECKING:
    from kargah.kit.settings import Settings

Host = Annotated[str | None, typer.Option(help=t("cli.option.host"))]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help=t("cli.option.port"))]


def serve(
    home: Home = None,
    host: Host = None,
    port: Port = None,
    stop_jobs: Annotated[bool, typer.Option("--stop-jobs", help=t("cli.serve.stop_jobs"))] = False,
) -> None:
    from kargah.cli.serve import run_serve

    raise typer.Exit(run_serve(_settings(home, host, port), stop_jobs=stop_jobs) or 0)


def web(home: Home = None, host: Host = None, port: Port = None) -> None:
    from kargah.cli.web import run_web

    raise typer.Exit(run_web(_settings(home, host, port)) or 0)


def agent(home: Home = None) -> None:
    from kargah.cli.agent import run_agent

    raise typer.Exit(run_agent(_settings(home, None, None)) or 0)


def _settings(home: str | None, host: str | None, port: int | None) -> "Settings":
    from kargah.kit import settings

    found = settings.load(home=home, host=host, port=port)
    if found.script_user is not None:
        os.umask(0o077)  # what is made from now on is not for other users of this machine: scripts run as one
    return found
