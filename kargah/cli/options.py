"""Options that several commands share."""

from typing import Annotated

import typer

from kargah.cli.words import t

Server = Annotated[str | None, typer.Option("--server", help=t("cli.option.server"), metavar="URL")]
Token = Annotated[str | None, typer.Option("--token", help=t("cli.option.token"))]
Json = Annotated[bool, typer.Option("--json", help=t("cli.option.json"))]
Home = Annotated[str | None, typer.Option("--home", help=t("cli.option.home"), metavar="DIR")]


def group(name: str) -> typer.Typer:
    """A command with commands below it, its help text by its name."""
    return typer.Typer(name=name, help=t(f"cli.{name}.help"), no_args_is_help=True, add_completion=False)
