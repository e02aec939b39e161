"""A database that is being brought up to date, and whatever dies meanwhile: afterwards it is the old one or the new one, never between."""

import hashlib
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DBAPIError
from support.databases import person

from kargah.store import schema
from kargah.store.access import Role
from kargah.store.database import Database, sqlite_url

OLD = "0001"
#: Written by the first version, and to be found after every cut.
JOB = {
    "id": "job_old", "kind": "train", "title": "کهن", "title_folded": "کهن", "state": "COMPLETED", "plan": "{}", "priority": 0,
    "attempt": 1, "max_attempts": 5, "last_seq": 1, "progress": "{}", "queued_at": "2026-01-01 00:00:00.000000", "owner_id": "usr_old",
    "workspace_id": "ws_default", "visibility": "workspace", "created_at": "2026-01-01 00:00:00.000000",
}  # fmt: skip
EVENT = {"position": 1, "job_id": "job_old", "seq": 1, "attempt": 1, "line": 1, "kind": "Finished", "at": JOB["queued_at"], "payload": "{}"}
USER = {
    "id": "usr_old", "email": "old@example.org", "name": "old", "password_hash": "-", "role": "admin", "status": "active",
    "created_at": JOB["queued_at"],
}  # fmt: skip


def make_old(database: Database) -> None:
    """As the first version left it, with a job and its event in it."""
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.attributes["engine"] = database.engine
    command.upgrade(config, OLD)
    with database.engine.connect().execution_options(kargah_write=True) as connection:
        for table, row in (("users", USER), ("jobs", JOB), ("events", EVENT)):
            names = _columns(connection, table) & row.keys()
            listed = sorted(names)
            places = ", ".join(f":{name}" for name in listed)
            connection.execute(text(f"INSERT INTO {table} ({', '.join(listed)}) VALUES ({places})"), {name: row[name] for name in listed})
        connection.commit()


def _columns(connection: Any, table: str) -> set[str]:
    return set(connection.execute(text(f"SELECT * FROM {table}")).keys())


def check(database: Database, locks: Path) -> str | None:
    """The revision found; all that was in it is there, and it can be brought up to date and used."""
    found = schema.revision_of(database)
    assert found in {OLD, schema.HEAD}
    schema.bring_up_to_date(database, locks)
    assert schema.revision_of(database) == schema.HEAD
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT title FROM jobs")).scalars().all() == ["کهن"]
        assert connection.execute(text("SELECT kind FROM events")).scalars().all() == ["Finished"]
    person(database, Role.TRAINER)
    return found


@pytest.fixture(scope="module")
def old_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("old") / "kargah.db"
    database = Database(sqlite_url(path))
    make_old(database)
    database.close()
    return path


def test_sqlite_is_the_old_or_the_new_whichever_statement_was_the_last(old_sqlite: Path, tmp_path: Path) -> None:
    """A photograph of the files before each statement is what kill -9 leaves at it."""
    photographs = photographed(old_sqlite, tmp_path)
    assert len(photographs) > 20
    different = {contents(folder): folder for folder in photographs}
    found = [check_files(folder) for folder in different.values()]
    assert found[0] == OLD and found[-1] == schema.HEAD
    assert found == sorted(found)


def test_sqlite_is_the_old_or_the_new_however_much_of_its_log_a_power_cut_spared(old_sqlite: Path, tmp_path: Path) -> None:
    *_, last = photographed(old_sqlite, tmp_path)
    log = (last / "kargah.db-wal").read_bytes()
    found = set()
    for tenth in range(11):
        cut = tmp_path / f"cut-{tenth}"
        shutil.copytree(last, cut)
        (cut / "kargah.db-shm").unlink(missing_ok=True)  # never synced: made anew from the log
        (cut / "kargah.db-wal").write_bytes(log[: len(log) * tenth // 10])
        found.add(check_files(cut))
    assert found == {OLD, schema.HEAD}


def photographed(old: Path, tmp_path: Path) -> list[Path]:
    """Copies of the database's files before each statement of its migration, and one after the last."""
    live = tmp_path / "live"
    live.mkdir()
    shutil.copy(old, live / "kargah.db")
    database = Database(sqlite_url(live / "kargah.db"))
    taken: list[Path] = []

    def photograph(*_: Any) -> None:
        taken.append(tmp_path / f"{len(taken):03d}")
        taken[-1].mkdir()
        for path in live.glob("kargah.db*"):
            shutil.copy(path, taken[-1])

    event.listen(database.engine, "before_cursor_execute", photograph)
    with closing(sqlite3.connect(live / "kargah.db")):  # somebody else has it open: the log is not folded into the file at the end
        schema.bring_up_to_date(database, live)
        photograph()
        event.remove(database.engine, "before_cursor_execute", photograph)
        database.close()
    return taken


def contents(folder: Path) -> str:
    """Of the files that a later process reads; the -shm is made anew."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.glob("kargah.db*")) if path.suffix != ".db-shm")).hexdigest()


def check_files(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "kargah.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database = Database(sqlite_url(folder / "kargah.db"))
    try:
        return check(database, folder) or ""
    finally:
        database.close()


@pytest.fixture
def old_postgres(postgres_urls: str) -> Iterator[Database]:
    name = f"old_{uuid.uuid4().hex[:8]}"
    admin = create_engine(Database(postgres_urls.format("postgres")).engine.url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    database = Database(postgres_urls.format(name))
    make_old(database)
    yield database
    database.close()
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.mark.postgres
def test_postgresql_stays_the_old_one_when_the_connection_is_ended_in_mid_migration(old_postgres: Database, tmp_path: Path) -> None:
    killer = create_engine(old_postgres.engine.url, isolation_level="AUTOCOMMIT")
    ended = 0
    for number in range(3, 400, 7):
        counted = 0

        def end(connection: Any, *_: Any, number: int = number) -> None:
            nonlocal counted
            counted += 1
            if counted == number:
                with killer.connect() as other:
                    other.execute(
                        text("SELECT pg_terminate_backend(:pid)"), {"pid": connection.connection.dbapi_connection.info.backend_pid}
                    )

        event.listen(old_postgres.engine, "before_cursor_execute", end)
        try:
            schema.bring_up_to_date(old_postgres, tmp_path)
        except DBAPIError:
            ended += 1
        finally:
            event.remove(old_postgres.engine, "before_cursor_execute", end)
        if schema.revision_of(old_postgres) == schema.HEAD:
            break
        assert schema.revision_of(old_postgres) == OLD
    killer.dispose()
    assert ended > 4
    assert check(old_postgres, tmp_path) == schema.HEAD
