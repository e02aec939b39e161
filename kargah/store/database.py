"""The one way to the database: an engine set up for what we ask of it, and transactions that say whether they write."""

import select
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError, OperationalError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from kargah.store import wake

BUSY_TIMEOUT_MS = 10_000
WRITE_LOCK = 7_203_114  # PostgreSQL advisory lock of claims; any constant of ours
#: A connection unused for longer may have been lost without a word, by a network that forgot it.
TRUSTED_SECONDS = 30.0
# The clock is read once the lock is held: a materialised part is done first.
_TAKE_WRITE_LOCK = text("WITH taken AS MATERIALIZED (SELECT pg_advisory_xact_lock(:lock)) SELECT clock_timestamp() FROM taken").bindparams(
    lock=WRITE_LOCK
)
_SQLITE_NOW = text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")
_POSTGRES_NOW = text("SELECT clock_timestamp()")


class Database:
    """SQLite in WAL mode, or PostgreSQL by psycopg 3. One object a process; safe to use from its threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        self.engine = _sqlite_engine(url) if self.is_sqlite else _postgres_engine(url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that changes nothing (on SQLite one that cannot wait for a writer). Rows may be read on after it."""
        with self._sessions() as session:
            yield session  # closing rolls back; an explicit rollback would empty the rows that were loaded

    @contextmanager
    def ask(self) -> Iterator[Session]:
        """As ``read``, for what sees no harm in a change between two questions: on PostgreSQL each is answered without a transaction."""
        with self._sessions() as session:
            if not self.is_sqlite:
                session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction committed at the end, rolled back by any error. On SQLite it takes the write lock at its start."""
        with self._sessions() as session:
            session.connection(execution_options={"kargah_write": True})
            yield session
            session.commit()
            wake.committed(session, self.engine)

    @contextmanager
    def serialised(self) -> Iterator[Session]:
        """As ``write``, and no two of these run at once on any host: for claims, limits, fair share."""
        with self.write() as session:
            if not self.is_sqlite:
                session.info["began_at"] = session.execute(_TAKE_WRITE_LOCK).scalar_one().astimezone(UTC)
            yield session

    def close(self) -> None:
        self.engine.dispose()


def insert_for(session: Session, table: type[Any]) -> Any:
    """Each database has its own INSERT … ON CONFLICT. PostgreSQL's part of SQLAlchemy is imported only where it is used: it is slow."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def now_of(session: Session) -> datetime:
    """The database's clock: leases are measured by it, never by a host's own."""
    if session.get_bind().dialect.name == "sqlite":
        value = session.execute(_SQLITE_NOW).scalar_one()
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    moment: datetime = session.execute(_POSTGRES_NOW).scalar_one()
    return moment.astimezone(UTC)


def began_at(session: Session) -> datetime:
    """When the turn of a ``serialised`` transaction came, by the database's clock."""
    moment: datetime = session.info.get("began_at") or now_of(session)
    return moment


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def found_no_room(error: BaseException) -> bool:
    """Whether SQLite found none on its disk. PostgreSQL's may be another machine's: what it says is for its admin."""
    return isinstance(error, OperationalError) and getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False}, pool_size=8, max_overflow=8)

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        assert isinstance(connection, sqlite3.Connection)
        connection.isolation_level = None  # we say BEGIN ourselves, so that a writer can say IMMEDIATE
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_MS}", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # A deferred transaction that writes late can fail with SQLITE_BUSY at once; an immediate one waits its turn.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("kargah_write") else "BEGIN")

    return engine


def _postgres_engine(url: str) -> Engine:
    for plain in ("postgresql://", "postgres://"):
        if url.startswith(plain):
            url = "postgresql+psycopg://" + url.removeprefix(plain)
    engine = create_engine(url, pool_size=8, max_overflow=8)

    @event.listens_for(engine, "connect")
    def prefer_indexes(connection: Any, _: ConnectionPoolEntry) -> None:
        """Worth their while from few rows on, where no disk has arms: else all attempts were walked through for six of them."""
        connection.execute("SET random_page_cost = 1.1")
        connection.commit()

    @event.listens_for(engine, "checkin")
    def put_back(_: Any, record: ConnectionPoolEntry) -> None:
        record.info["used_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def take_out(connection: Any, record: ConnectionPoolEntry, _: Any) -> None:
        """A server that has gone is noticed before the transaction: its socket says so. ``pool_pre_ping`` asks it four times instead."""
        is_fresh = time.monotonic() - record.info.get("used_at", 0.0) < TRUSTED_SECONDS
        if is_fresh and not connection.closed and not _has_something_to_read(connection.fileno()):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error  # all connections of that server's; the pool then makes a new one

    return engine


def _has_something_to_read(descriptor: int) -> bool:
    """From a server that was asked nothing that is its farewell."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(0))
