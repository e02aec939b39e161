"""Whoever waits for the store to change is woken when it has: PostgreSQL by NOTIFY, SQLite by a word to a socket of the same machine.

Nothing hangs on it: a wake that gets lost is made good by the next look.
"""

import hashlib
import select
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from sqlalchemy import text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

_CHANNEL = "kargah_jobs"
_WANTED = "wake_after_commit"
_CONNECT_AGAIN_SECONDS = 5.0


def after_commit(session: Session) -> None:
    """Wake those who wait, once this transaction stands. May be asked for many times."""
    if session.info.get(_WANTED):
        return
    session.info[_WANTED] = True
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"NOTIFY {_CHANNEL}"))  # told by the database itself, at the commit


def committed(session: Session, engine: Engine) -> None:
    """Called by the store after a commit."""
    address = _address_of(engine) if session.info.get(_WANTED) else None
    if address is not None:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:  # nobody listens, or enough is waiting there
            speaker.setblocking(False)
            speaker.sendto(b"!", address)


class _Ear(Protocol):
    def fileno(self) -> int: ...

    def take(self) -> None:
        """All that has come. Raises an error of the system or of the driver when the line is broken."""
        ...

    def close(self) -> None: ...


class Sleeper:
    """Sleeps until it is woken or its time is over. Where nobody can wake it, it only sleeps."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ear: _Ear | None = None
        self._connect_at = 0.0
        self._broken: tuple[type[Exception], ...] = (OSError, ValueError, SQLAlchemyError)
        if engine.dialect.loaded_dbapi is not None:
            self._broken += (engine.dialect.loaded_dbapi.Error,)  # what the driver itself raises, where no engine stands between

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._drop()

    @property
    def can_be_woken(self) -> bool:
        return self._listening() is not None

    def sleep(self, seconds: float) -> bool:
        """Whether it was woken."""
        ear = self._listening()
        if ear is None:
            time.sleep(seconds)
            return False
        try:
            if not select.select([ear], [], [], seconds)[0]:
                return False
            ear.take()
        except self._broken:
            self._drop()
            return False
        return True

    def _listening(self) -> _Ear | None:
        if self._ear is None and time.monotonic() >= self._connect_at:
            self._connect_at = time.monotonic() + _CONNECT_AGAIN_SECONDS
            with suppress(*self._broken):
                self._ear = _Notified(self._engine) if self._engine.dialect.name == "postgresql" else _of_sqlite(self._engine)
        return self._ear

    def _drop(self) -> None:
        if self._ear is not None:
            with suppress(*self._broken):
                self._ear.close()
        self._ear = None


class _Spoken:
    """Linux only: a name without a file, so that nothing is left behind and no folder gets anything that cannot be copied."""

    def __init__(self, address: bytes) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind(address)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def take(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(16)

    def close(self) -> None:
        self._socket.close()


class _Notified:
    """A connection of its own, which does nothing but listen."""

    def __init__(self, engine: Engine) -> None:
        pooled: Any = engine.raw_connection()
        self._connection: Any = pooled.dbapi_connection
        pooled.detach()
        self._connection.rollback()
        self._connection.autocommit = True
        self._connection.execute(f"LISTEN {_CHANNEL}")

    def fileno(self) -> int:
        number: int = self._connection.fileno()
        return number

    def take(self) -> None:
        self._connection.execute("SELECT 1")  # a line that was cut has something to read for ever, and says nothing
        for _ in self._connection.notifies(timeout=0):
            pass

    def close(self) -> None:
        self._connection.close()


def _of_sqlite(engine: Engine) -> _Ear | None:
    address = _address_of(engine)
    return None if address is None else _Spoken(address)


def _address_of(engine: Engine) -> bytes | None:
    if engine.dialect.name != "sqlite" or not sys.platform.startswith("linux") or not engine.url.database:
        return None
    path = Path(engine.url.database).resolve()
    return b"\0kargah-" + hashlib.sha256(bytes(path)).hexdigest()[:32].encode()
