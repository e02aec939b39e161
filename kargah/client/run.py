"""What a custom script uses while Kargah runs it (``kargah run-script FILE``).

::

    from kargah.client import run

    rate = run.parameters().get("learning_rate", 0.1)
    rows = [row for table in run.inputs() for row in table.rows()]
    before = run.last_checkpoint()                      # (step, folder) after an interruption, else None
    step, state = (before[0], load(before[1])) if before else (0, new())
    run.begin(total_steps=1000)
    while step < 1000 and not run.should_stop():
        step += 1
        run.metrics(step, loss=learn(state, rows, rate))
        if step % 100 == 0:
            with run.save_checkpoint(step) as folder:
                save(state, folder / "state.json")
    save(state, run.outputs() / "model.json")           # all that lies here when it ends can be downloaded

A script that has seen ``should_stop`` and ends has not finished: what it saved as a checkpoint is what it goes on from.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from kargah.contract.control import ControlReader, Want
from kargah.contract.scripts import (
    FOLDER_VARIABLE,
    LONGEST_TEXT,
    About,
    Folders,
    Said,
    SaidBegin,
    SaidHeard,
    SaidLog,
    SaidMetrics,
    SaidProgress,
    SaidSaved,
)
from kargah.kit.errors import KargahError

#: How long the worker beside may take to put a checkpoint away; a disk may be slow.
_TAKEN_SECONDS = 600.0
_LOOK_SECONDS = 0.01


class NotARun(KargahError):
    """This process was not started by Kargah as a custom script."""

    code = "NOT_A_RUN"


@dataclass(frozen=True)
class Input:
    """A data set: ``path`` is its Parquet file, ``columns`` what was measured of its columns."""

    title: str
    path: Path
    columns: list[dict[str, Any]]

    def rows(self, only: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Row by row, as {column: value}; ``only`` some columns. Memory stays at one batch of rows."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(columns=list(only) if only else None, use_threads=False):
                yield from batch.to_pylist()


def parameters() -> dict[str, Any]:
    """What was set when the script was started."""
    return dict(_about().parameters)


def threads() -> int:
    """Cores that were granted."""
    return _about().threads


def inputs() -> list[Input]:
    """The data sets, in the order in which they were named."""
    folder = _folders().inputs
    return [
        Input(one.title, folder / one.folder / "data.parquet", json.loads((folder / one.folder / "columns.json").read_text("utf-8")))
        for one in _about().inputs
    ]


def outputs() -> Path:
    """The folder whose files can be downloaded once the script has ended well."""
    _folders().outputs.mkdir(parents=True, exist_ok=True)
    return _folders().outputs


def begin(total_steps: int | None = None) -> None:
    """How many steps there will be, so that progress and the end can be told."""
    _say(SaidBegin(total_steps=total_steps))


def log(text: str, level: Literal["info", "warning", "error"] = "info") -> None:
    """A line for people. What is printed is kept as well, in the file of the job's output."""
    _say(SaidLog(text=str(text)[:LONGEST_TEXT], level=level))


def metrics(step: int, epoch: float = 0.0, **values: float) -> None:
    """Figures of one step: points of curves. ``loss``, ``learning_rate`` … are named as everywhere."""
    _say(SaidMetrics(step=step, epoch=epoch, metrics={name: float(value) for name, value in values.items()}))


def measured(step: int, epoch: float = 0.0, split: str = "validation", **values: float) -> None:
    """Figures on rows that were not learnt from: ``accuracy``, ``eval_loss`` …"""
    _say(SaidMetrics(step=step, epoch=epoch, split=split, metrics={name: float(value) for name, value in values.items()}))


def progress(done: float, total: float | None = None, unit: str = "steps") -> None:
    """How far work without steps has come."""
    _say(SaidProgress(done=done, total=total, unit=unit))


@contextmanager
def save_checkpoint(step: int) -> Iterator[Path]:
    """A folder to write all files of a checkpoint into; it is kept, whole, when the block ends, and not at all when it raises."""
    final = _folders().saving / f"step-{step:08d}"
    folder = final.with_name(f".{final.name}.tmp")
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    folder.rename(final)
    _say(SaidSaved(step=step, folder=final.name))
    until = time.monotonic() + _TAKEN_SECONDS
    while final.exists() and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)


def last_checkpoint() -> tuple[int, Path] | None:
    """(its step, the folder with its files) of what an earlier attempt saved last; None at the first beginning."""
    step = _about().checkpoint_step
    return None if step is None else (step, _folders().checkpoint)


def should_stop() -> bool:
    """Whether a pause or a stop is wanted: save a checkpoint and end soon. Costs one look at a file."""
    wanted = _control().want() is not Want.RUN
    if wanted:
        _heard()
    return wanted


@cache
def _folders() -> Folders:
    if FOLDER_VARIABLE not in os.environ:
        raise NotARun
    return Folders(Path(os.environ[FOLDER_VARIABLE]))


@cache
def _about() -> About:
    return About.model_validate_json(_folders().about.read_bytes())


@cache
def _control() -> ControlReader:
    return ControlReader(_folders().control)


@cache
def _heard() -> None:
    _say(SaidHeard())


@cache
def _voice() -> int:
    return os.open(_folders().said, os.O_WRONLY | os.O_APPEND)


def _say(said: Said) -> None:
    os.write(_voice(), said.model_dump_json().encode("utf-8", "replace") + b"\n")
