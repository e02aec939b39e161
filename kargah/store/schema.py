"""Brings a database to the present schema, under a lock, at the start of every process that needs it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import inspect, text

from kargah.store.database import Database

HEAD = "0020"
_MIGRATE_LOCK = 7_203_115
MIGRATIONS = Path(__file__).parent.parent / "migrations"


def bring_up_to_date(database: Database, lock_folder: Path) -> None:
    """Run what is missing; a process that finds all in place does not even import Alembic."""
    if revision_of(database) == HEAD:
        return
    with _alone(database, lock_folder):
        if revision_of(database) != HEAD:
            _upgrade(database)


def revision_of(database: Database) -> str | None:
    with database.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        return revision


def _upgrade(database: Database) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["engine"] = database.engine
    command.upgrade(config, "head")


@contextmanager
def _alone(database: Database, lock_folder: Path) -> Iterator[None]:
    if database.is_sqlite:
        lock_folder.mkdir(parents=True, exist_ok=True)
        with (lock_folder / "migrate.lock").open("w") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            yield
        return
    with database.engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATE_LOCK})
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATE_LOCK})
