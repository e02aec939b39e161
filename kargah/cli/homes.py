"""Commands of the machine's owner, straight on the home's database: whoever can read the home is trusted."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from kargah.accounts import service
from kargah.kit import settings
from kargah.kit.settings import Settings
from kargah.store import schema
from kargah.store.access import Actor
from kargah.store.database import Database


@contextmanager
def database_of(home: str | None) -> Iterator[tuple[Settings, Database]]:
    """The home's database at the present schema; a home that is not there yet is made."""
    loaded = settings.load(home=home)
    loaded.home.mkdir(parents=True, exist_ok=True)
    database = Database(loaded.url_of_database)
    try:
        schema.bring_up_to_date(database, loaded.run_folder)
        yield loaded, database
    finally:
        database.close()


@contextmanager
def writing_as_admin(home: str | None) -> Iterator[tuple[Session, Actor]]:
    """One transaction as the home's first admin. Raises NoAccounts in an empty home."""
    with database_of(home) as (_, database), database.write() as session:
        yield session, service.local_admin(session)
