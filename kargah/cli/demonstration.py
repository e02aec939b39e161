"""The command ``kargah demo``."""

from pathlib import Path
from typing import Annotated

import typer

from kargah.cli.words import t

DEMO_HOME = Path("var/demo")


def demo(
    once: Annotated[bool, typer.Option("--once", help=t("cli.demo.once"))] = False,
    home: Annotated[Path, typer.Option(help=t("cli.option.home"))] = DEMO_HOME,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help=t("cli.option.port"))] = None,
) -> None:
    from kargah.cli import demo as showing

    showing.show(home, port, once=once)
