"""The schema that migrations lead to is the one that the tables describe, on both databases."""

import subprocess
import sys
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import kargah.accounts.tables
import kargah.assets.tables
import kargah.datasets.tables
import kargah.hub.tables
import kargah.jobs.tables
import kargah.models.tables
import kargah.runs.tables
import kargah.serving.tables
import kargah.store.tables  # noqa: F401
from kargah.store.base import Base
from kargah.store.database import Database, sqlite_url
from kargah.store.schema import HEAD


def test_migrations_lead_to_the_tables(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from kargah.store.database import Database; from kargah.store import schema;"
        "database = Database(sys.argv[1]); schema.bring_up_to_date(database, Path(sys.argv[2])); print(schema.revision_of(database))"
    )
    command = [sys.executable, "-c", program, sqlite_url(tmp_path / "kargah.db"), str(tmp_path / "run")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0].strip() for process in processes] == [HEAD] * 3
