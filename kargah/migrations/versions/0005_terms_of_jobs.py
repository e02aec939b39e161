"""Terms of jobs: order, dependencies, deadlines, what is granted"""

from alembic import op
import sqlalchemy as sa
from kargah.store.base import UtcDateTime


revision = '0005'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    # No batch mode here: it would copy and drop the table, and on SQLite dropping it deletes all events by cascade.
    for column in (
        sa.Column('deadline', UtcDateTime(timezone=True), nullable=True),
        sa.Column('place', sa.BigInteger(), nullable=False, server_default='0'),
        sa.Column('terms', sa.JSON(), nullable=False, server_default='{}'),
        sa.Column('submission_key', sa.String(length=255), nullable=True),
        sa.Column('paused_for', sa.String(length=32), nullable=True),
    ):
        op.add_column('jobs', column)
    op.add_column('attempts', sa.Column('memory_bytes', sa.BigInteger(), nullable=False, server_default='0'))
    op.add_column('attempts', sa.Column('gpus', sa.JSON(), nullable=False, server_default='[]'))
    op.create_index('ix_jobs_submission', 'jobs', ['owner_id', 'submission_key'], unique=True)
    op.create_table('job_dependencies',
    sa.Column('job_id', sa.String(length=48), nullable=False),
    sa.Column('after_id', sa.String(length=48), nullable=False),
    sa.ForeignKeyConstraint(['after_id'], ['jobs.id'], name=op.f('fk_job_dependencies_after_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_job_dependencies_job_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('job_id', 'after_id', name=op.f('pk_job_dependencies'))
    )
    op.create_index('ix_job_dependencies_after_id', 'job_dependencies', ['after_id'], unique=False)
