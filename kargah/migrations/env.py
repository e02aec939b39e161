"""Alembic's environment: stands outside the floors, since it alone knows the tables of all domains."""

from alembic import context

from kargah.accounts import tables as _accounts  # noqa: F401
from kargah.assets import tables as _assets  # noqa: F401
from kargah.datasets import tables as _datasets  # noqa: F401
from kargah.hub import tables as _hub  # noqa: F401
from kargah.jobs import tables as _jobs  # noqa: F401
from kargah.models import tables as _models  # noqa: F401
from kargah.runs import tables as _runs  # noqa: F401
from kargah.serving import tables as _serving  # noqa: F401
from kargah.store import tables as _store  # noqa: F401
from kargah.store.base import Base
from kargah.training import tables as _training  # noqa: F401

with context.config.attributes["engine"].connect().execution_options(kargah_write=True) as connection:
    # All revisions in one transaction, on SQLite too (it begins them for DDL when it is told to): whatever dies, none or all of them hold.
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
