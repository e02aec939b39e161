"""What the processes of a job printed: kept whole up to a cap, shown without terminal noise, searched, and fetched as it was.

``worker.log`` of an attempt is written by the worker itself, so it lives on without an agent. One that outgrows the cap loses its
middle: the agent punches a hole into the file, which takes nothing from a worker that goes on writing, and notes where.
"""

import ctypes
import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.contract.attempt import AttemptDirectory
from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.jobs.schemas import AttemptLog, LogLine, LogsFound, LogsOut
from kargah.jobs.tables import Attempt
from kargah.kit import files
from kargah.kit.errors import NotFound
from kargah.store.access import Actor
from kargah.text.normalise import fold

CAP_BYTES = 64 << 20
HEAD_BYTES = 8 << 20
TAIL_BYTES = 24 << 20
SHOWN_BYTES = 64 << 10
CHUNK_BYTES = 1 << 20
MOST_MATCHES = 500
LONGEST_LINE = 2000

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_BLOCK_BYTES = 4096
#: Colours, movements of the cursor, titles of windows; then what is left of control characters.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|[\x80-\x9f]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_RUBBED_OUT = re.compile(r"[^\x08]\x08")


class Cut(NamedTuple):
    """The bytes [first, after) are gone."""

    first: int
    after: int

    @property
    def size_bytes(self) -> int:
        return self.after - self.first


def log_of(session: Session, actor: Actor, job_id: str, home: Path, attempt: int | None = None) -> Path:
    """The log file of an attempt, the latest when none is named. Raises NotFound."""
    job = jobs.get_for(session, actor, job_id)
    number = job.attempt if attempt is None else attempt
    if attempt is not None and session.get(Attempt, (job.id, attempt)) is None:
        raise NotFound(kind="attempts", id=str(attempt))
    return AttemptDirectory.of(home, job.id, number).log


def show(session: Session, actor: Actor, job_id: str, home: Path, attempt: int | None = None) -> LogsOut:
    """The end of what an attempt printed, tamed, with the attempts that there are and the messages of all of them."""
    path = log_of(session, actor, job_id, home, attempt)
    numbers = session.scalars(select(Attempt.number).where(Attempt.job_id == job_id).order_by(Attempt.number))
    logs = [_attempt_log(AttemptDirectory.of(home, job_id, number).log, number) for number in numbers]
    tail = tamed(jobs.tail_of(path, SHOWN_BYTES))
    messages = history.life_cycle(session, job_id, "Logged")
    return LogsOut(attempt=int(path.parent.name), tail=tail, messages=messages, attempts=logs)


def search(path: Path, words: str, limit: int = MOST_MATCHES) -> LogsFound:
    """The last ``limit`` lines with ``words``, case and spelling folded, numbered as in the file. Reads it all: not for the loop."""
    wanted, total = fold(words).strip(), 0
    found: deque[LogLine] = deque(maxlen=limit)
    folded = (lambda line: line.casefold()) if wanted.isascii() else fold
    for number, line in enumerate(lines(path), 1):
        if wanted in folded(line):
            total += 1
            found.append(LogLine(number=number, text=line[:LONGEST_LINE]))
    return LogsFound(attempt=int(path.parent.name), lines=list(found), total=total)


def lines(path: Path) -> Iterator[str]:
    """Tamed, as far as they are there."""
    rest = b""
    for chunk in content(path):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (_tamed_line(line.decode("utf-8", "replace")) for line in whole)
        if len(rest) > CHUNK_BYTES:  # a "line" without an end
            rest = rest[-CHUNK_BYTES:]
    if rest:
        yield _tamed_line(rest.decode("utf-8", "replace"))


def content(path: Path) -> Iterator[bytes]:
    """The bytes as they were printed; where the middle is gone a line says how much."""
    cut = cut_of(path)
    try:
        with path.open("rb") as file:
            if cut is not None:
                yield from _pieces(file.read, cut.first)
                yield b"\n[... %d bytes cut ...]\n" % cut.size_bytes
                file.seek(cut.after)
            while piece := file.read(CHUNK_BYTES):
                yield piece
    except FileNotFoundError:
        return


def keep_within(path: Path, cap_bytes: int = CAP_BYTES, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES) -> Cut | None:
    """Free the middle of a log that holds more than ``cap_bytes``; what is still being written is not touched. Returns what is gone now."""
    before = cut_of(path)
    try:
        size_bytes = path.stat().st_size
    except FileNotFoundError:
        return None
    held_bytes = size_bytes - (before.size_bytes if before else 0)
    if held_bytes <= cap_bytes:
        return before
    first = before.first if before else _down(head_bytes)
    cut = Cut(first, _down(size_bytes - tail_bytes))
    # Noted first: bytes that are said to be gone and are still there harm nobody, zeros in a log would.
    files.write_json(_note_of(path), {"first": cut.first, "after": cut.after})
    _punch(path, cut)
    return cut


def cut_of(path: Path) -> Cut | None:
    try:
        noted = json.loads(_note_of(path).read_bytes())
    except FileNotFoundError:
        return None
    return Cut(noted["first"], noted["after"])


def tamed(text: str) -> str:
    """As a reader would have seen it: no colours, and of a progress bar that was drawn over and over its last state."""
    return "\n".join(map(_tamed_line, text.split("\n")))


def _tamed_line(line: str) -> str:
    plain = _ESCAPES.sub("", line)
    if "\r" in plain:
        drawn = [part for part in plain.split("\r") if part.strip()]
        plain = drawn[-1] if drawn else ""
    while "\x08" in plain and (rubbed := _RUBBED_OUT.sub("", plain)) != plain:
        plain = rubbed
    return _CONTROLS.sub("", plain)


def _attempt_log(path: Path, number: int) -> AttemptLog:
    cut = cut_of(path)
    size_bytes = path.stat().st_size if path.exists() else 0
    return AttemptLog(number=number, size_bytes=size_bytes, cut_bytes=cut.size_bytes if cut else 0)


def _pieces(read: Callable[[int], bytes], size_bytes: int) -> Iterator[bytes]:
    while size_bytes > 0 and (piece := read(min(CHUNK_BYTES, size_bytes))):
        size_bytes -= len(piece)
        yield piece


def _note_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.cut")


def _down(size_bytes: int) -> int:
    """Whole blocks only: parts of one cannot be given back."""
    return size_bytes // _BLOCK_BYTES * _BLOCK_BYTES


def _punch(path: Path, cut: Cut) -> None:
    """Raises OSError where the file system knows no holes."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_WRONLY)
    try:
        place, size = ctypes.c_int64(cut.first), ctypes.c_int64(cut.size_bytes)
        if libc.fallocate(descriptor, _KEEP_SIZE | _PUNCH_HOLE, place, size) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)
