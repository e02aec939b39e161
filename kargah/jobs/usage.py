"""How much memory each running job has to itself over time, noted by its agent: known also of a worker that hangs or was killed.

``usage.jsonl`` of an attempt has a line when something changed, and never more than ``MOST_SAMPLES``: a long run keeps
fewer of its older ones.
"""

import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from kargah.contract.attempt import AttemptDirectory
from kargah.jobs import processes
from kargah.jobs.processes import ProcessId
from kargah.jobs.supervision import Held
from kargah.jobs.tables import Job
from kargah.jobs.terms import Terms
from kargah.kit import files
from kargah.store.access import Actor, load

SAMPLE_SECONDS = 2.0
MOST_SAMPLES = 600
#: A line for every change of this share, and at least one in this time.
CHANGE = 0.02
LONGEST_SILENCE_SECONDS = 30.0
#: Of these last ones every one is kept: they tell how it ended.
LATEST_KEPT = 60


class MemoryOut(BaseModel):
    """Of the latest attempt that was sampled on this host; ``attempt`` 0 where none was. ``limit_bytes``: past it the job is ended."""

    attempt: int
    limit_bytes: int | None
    samples: list["Usage"]


class Usage(BaseModel):
    """``seconds`` since the process was started; ``unique_bytes``: what would be free without it and its descendants."""

    seconds: float
    unique_bytes: int


@dataclass
class _Series:
    count: int
    last: Usage | None


class Meter:
    """One an agent. A disk that is full loses a line and nothing else."""

    def __init__(self, measure: Callable[[ProcessId], int] = processes.unique_memory_bytes) -> None:
        self._measure = measure
        self._known: dict[Path, _Series] = {}

    def look(self, held: Collection[Held]) -> None:
        """To be called every ``SAMPLE_SECONDS``."""
        paths = {one.directory.usage: one for one in held}
        self._known = {path: series for path, series in self._known.items() if path in paths}
        for path, one in paths.items():
            if one.process is not None and (used := self._measure(one.process)):
                self._note(path, Usage(seconds=round(max(0.0, time.time() - one.process.started_at), 1), unique_bytes=used))

    def _note(self, path: Path, now: Usage) -> None:
        series = self._known.get(path) or _begun(path)
        self._known[path] = series
        if series.last is not None and not _differ(series.last, now):
            return
        try:
            with path.open("a") as file:
                file.write(now.model_dump_json() + "\n")
            series.count, series.last = series.count + 1, now
            if series.count > MOST_SAMPLES:
                series.count = _thin(path)
        except OSError:
            return


def show(session: Session, actor: Actor, job_id: str, home: Path) -> MemoryOut:
    job = load(session, actor, Job, job_id)
    limit_bytes = Terms.model_validate(job.terms).memory_limit_bytes
    for number in range(job.attempt, 0, -1):
        samples = read(AttemptDirectory.of(home, job.id, number).usage)
        if samples:
            return MemoryOut(attempt=number, limit_bytes=limit_bytes, samples=samples)
    return MemoryOut(attempt=0, limit_bytes=limit_bytes, samples=[])


def read(path: Path) -> list[Usage]:
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    return [sample for line in lines if (sample := _sample(line)) is not None]


def _begun(path: Path) -> _Series:
    """An agent before this one may have noted the beginning."""
    known = read(path)
    return _Series(len(known), known[-1] if known else None)


def _differ(last: Usage, now: Usage) -> bool:
    if now.seconds - last.seconds >= LONGEST_SILENCE_SECONDS:
        return True
    return abs(now.unique_bytes - last.unique_bytes) > CHANGE * last.unique_bytes


def _thin(path: Path) -> int:
    """Of the older samples every second goes, the greatest of them never."""
    samples = read(path)
    kept = _thinned(samples[:-LATEST_KEPT]) + samples[-LATEST_KEPT:]
    files.write_bytes(path, "".join(sample.model_dump_json() + "\n" for sample in kept).encode())
    return len(kept)


def _thinned(samples: Sequence[Usage]) -> list[Usage]:
    peak = max(samples, key=lambda sample: sample.unique_bytes)
    return [sample for number, sample in enumerate(samples) if number % 2 == 0 or sample is peak]


def _sample(line: bytes) -> Usage | None:
    try:
        return Usage.model_validate(json.loads(line))
    except (ValueError, ValidationError):
        return None
