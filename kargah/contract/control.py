"""What is wanted of a running attempt: written by the agent, read by the worker between steps."""

from enum import StrEnum
from pathlib import Path

from kargah.kit import files


class Want(StrEnum):
    RUN = "run"
    PAUSE = "pause"
    STOP = "stop"
    #: Never written by the agent: the system's SIGTERM, heard by the worker. Keep the work and go; it is queued again.
    TERMINATE = "terminate"


def write(path: Path, want: Want) -> None:
    files.write_json(path, {"want": want.value})


class ControlReader:
    """Reads only when the file changed: one ``stat`` a step."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._want = Want.RUN

    def want(self) -> Want:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return Want.RUN
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._seen:
            self._seen, self._want = stamp, Want(files.read_json(self._path)["want"])
        return self._want
