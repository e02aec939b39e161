"""The queue in the order in which it is looked at: however long it is, a look reads the first hundred"""

import sqlalchemy as sa
from alembic import op

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None


def upgrade() -> None:
    queued = sa.text("state = 'QUEUED'")
    op.create_index(
        'ix_jobs_queue', 'jobs', ['state', sa.text('priority DESC'), 'place', 'queued_at', 'id'], postgresql_where=queued, sqlite_where=queued
    )
    op.create_index('ix_jobs_state', 'jobs', ['state'])
    op.drop_index('ix_jobs_claim', 'jobs')
