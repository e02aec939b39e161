"""What commands print: tables and sentences for people on a terminal, JSON for programs."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kargah.cli.words import error_text, t

#: Wide enough for a table where the width is unknown (a pipe, a log).
_PIPE_WIDTH = 160


def console(*, to_stderr: bool = False) -> Console:
    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=True)


def say(key: str, /, **params: Any) -> None:
    """One sentence by its key."""
    console().print(Text(t(key, **params)))


def say_error(sentence: str) -> None:
    console(to_stderr=True).print(Text(sentence, style="red"))


def as_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int | None = None) -> None:
    """``headings`` are text keys; columns from ``numbers_from`` on are aligned as numbers."""
    grid = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for place, heading in enumerate(headings):
        is_number = numbers_from is not None and place >= numbers_from
        grid.add_column(t(heading), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    console().print(grid)


def line(text: str) -> None:
    """Text that is not ours (a log, a name): printed as it is."""
    console().print(Text(text))


def reason(stored: dict[str, Any]) -> None:
    """A stored {code, params}: an error, or what a job waits for."""
    say_error(error_text(str(stored["code"]), stored.get("params") or {}))
