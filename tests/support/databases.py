"""Fresh databases at the present schema, quickly: each is a copy of one that was migrated once."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.orm import Session

import kargah.assets.tables
import kargah.datasets.tables
import kargah.jobs.tables
import kargah.models.tables
import kargah.runs.tables
import kargah.serving.tables
import kargah.store.tables
import kargah.training.tables  # noqa: F401
from kargah.accounts.tables import User
from kargah.kit.ids import new_id
from kargah.store.access import Actor, Role
from kargah.store.base import Base
from kargah.store.database import Database, sqlite_url
from kargah.store.schema import bring_up_to_date
from support import postgres

Rows = dict[str, list[dict[str, Any]]]

WORKSPACE = "ws_default"
BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def postgres_urls() -> Iterator[str]:
    if postgres.binaries() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is missing: install Debian's package postgresql")
        pytest.skip("needs Debian's package postgresql")
    with postgres.temporary_folder() as folder, postgres.server(folder) as urls:
        yield urls


@pytest.fixture(scope="session")
def migrated_postgres(postgres_urls: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Rows]]:
    """One database for all tests, and the rows that its migrations left in it."""
    database = Database(postgres_urls.format("postgres"))
    bring_up_to_date(database, tmp_path_factory.mktemp("locks"))
    with database.engine.connect() as connection:
        rows = {name: [dict(row._mapping) for row in connection.execute(table.select())] for name, table in Base.metadata.tables.items()}
    yield database, rows
    database.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    database = Database(sqlite_url(folder / "kargah.db"))
    bring_up_to_date(database, folder)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return folder / "kargah.db"


@pytest.fixture
def sqlite_database(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copy(sqlite_template, tmp_path / "kargah.db")
    database = Database(sqlite_url(tmp_path / "kargah.db"))
    yield database
    database.close()


@pytest.fixture
def postgres_database(migrated_postgres: tuple[Database, Rows]) -> Database:
    """Emptied and given its first rows again: far quicker than a fresh one."""
    database, rows = migrated_postgres
    with database.engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(Base.metadata.tables)} CASCADE"))
        for table in Base.metadata.sorted_tables:
            if rows[table.name]:
                connection.execute(table.insert(), rows[table.name])
    return database


@pytest.fixture(params=BOTH)
def database(request: pytest.FixtureRequest) -> Database:
    """A fresh, migrated database; the test runs once on each kind."""
    found: Database = request.getfixturevalue("sqlite_database" if request.param == "sqlite" else "postgres_database")
    return found


@pytest.fixture
def actor(database: Database) -> Actor:
    return person(database, Role.ADMIN)


def person(database: Database, role: Role, workspace_id: str = WORKSPACE) -> Actor:
    """Somebody new, as signed in."""
    user_id = new_id("usr")
    with database.write() as session:
        session.add(User(id=user_id, email=f"{user_id}@example.org", name=user_id, password_hash="-", role=role, status="active"))
    return Actor(user_id, role, workspace_id, frozenset({workspace_id}))


@contextmanager
def planned(session: Session) -> Iterator[list[list[str]]]:
    """What SQLite would do, step by step, for each question that is asked meanwhile."""
    asked: list[tuple[str, Any]] = []
    plans: list[list[str]] = []

    def note(_: Connection, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield plans
    finally:
        event.remove(engine, "before_cursor_execute", note)
    for statement, said in asked:
        plans.append([row.detail for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", said)])
