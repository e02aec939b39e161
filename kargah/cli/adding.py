"""Data on its way to a server, told as a line that moves."""

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from kargah.cli import screen
from kargah.cli.errors import FileUnreadable
from kargah.cli.words import t
from kargah.client.sdk import Datasets
from kargah.client.shapes import Dataset
from kargah.kit.errors import BadInput

_URL = re.compile(r"\Ahttps?://", re.IGNORECASE)


class OneSourceOnly(BadInput):
    """``option``: what makes sense for one source only."""

    code = "ONE_SOURCE_ONLY"


def check(sources: Sequence[str], *, title: str | None, to: str | None, on_server: bool) -> None:
    """Before the first byte is sent. Raises OneSourceOnly, FileUnreadable."""
    for option, value in (("--title", title), ("--to", to)):
        if value and len(sources) > 1:
            raise OneSourceOnly(option=option)
    for source in sources:
        if on_server or _URL.match(source):
            if to:
                raise OneSourceOnly(option="--to")
        elif not Path(source).exists():
            raise FileUnreadable(path=source, reason=os.strerror(errno.ENOENT))


def add(known: Datasets, source: str, *, title: str | None, to: str | None, on_server: bool) -> Dataset:
    if on_server:
        return known.import_path(source, title=title)
    if _URL.match(source):
        return known.import_url(source, title=title)
    with _line() as line:
        task = line.add_task(Path(source).name, total=None)

        def on_progress(done: int, total: int) -> None:
            line.update(task, completed=done, total=total)

        try:
            if to:
                return known.add_version(to, source, on_progress=on_progress)
            return known.upload(source, title=title, on_progress=on_progress)
        except KeyboardInterrupt:
            line.stop()
            screen.say_error(t("cli.datasets.goes_on"))
            raise


def _line() -> Progress:
    """On the terminal's other stream: what programs read stays clean."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=screen.console(to_stderr=True),
        transient=True,
    )
