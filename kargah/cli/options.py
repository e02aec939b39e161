"""Options that several commands share."""

from typing import Annotated

import typer

from kargah.cli.words import language, t
from kargah.kit import i18n, moments
from kargah.kit.errors import BadInput

Server = Annotated[str | None, typer.Option("--server", help=t("cli.option.server"), metavar="URL")]
Token = Annotated[str | None, typer.Option("--token", help=t("cli.option.token"))]
Json = Annotated[bool, typer.Option("--json", help=t("cli.option.json"))]
Home = Annotated[str | None, typer.Option("--home", help=t("cli.option.home"), metavar="DIR")]

Hours = Annotated[str | None, typer.Option("--hours", help=t("cli.option.hours"), metavar="22:00-06:00")]


def group(name: str) -> typer.Typer:
    """A command with commands below it, its help text by its name."""
    return typer.Typer(name=name, help=t(f"cli.{name}.help"), no_args_is_help=True, add_completion=False)


def window_of(hours: str | None) -> dict[str, str] | None:
    """The terms' window, in the zone that goes with the reader's language, as on the pages. Raises BadInput."""
    if hours is None:
        return None
    try:
        start, end = (moments.clock_of(clock) for clock in hours.split("-"))
    except (ValueError, OverflowError):
        raise BadInput(field="--hours", reason=t("cli.reason.hours")) from None
    zone = getattr(i18n.zone_of(language()), "key", "UTC")
    return {"start": start.isoformat(), "end": end.isoformat(), "zone": zone}
