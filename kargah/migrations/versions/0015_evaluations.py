"""Evaluations of models on data"""

from alembic import op
import sqlalchemy as sa

from kargah.store.base import UtcDateTime


revision = '0015'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'evaluations',
        sa.Column('id', sa.String(length=48), nullable=False),
        sa.Column('title', sa.String(length=300), nullable=False),
        sa.Column('recipe', sa.String(length=64), nullable=False),
        sa.Column('job_id', sa.String(length=48), nullable=False),
        sa.Column('run_id', sa.String(length=48), nullable=True),
        sa.Column('model_version_id', sa.String(length=48), nullable=True),
        sa.Column('other_version_id', sa.String(length=48), nullable=True),
        sa.Column('dataset_version_id', sa.String(length=48), nullable=False),
        sa.Column('part', sa.String(length=16), nullable=False),
        sa.Column('result', sa.JSON(), nullable=True),
        sa.Column('files', sa.JSON(), nullable=True),
        sa.Column('owner_id', sa.String(length=48), nullable=False),
        sa.Column('workspace_id', sa.String(length=48), nullable=False),
        sa.Column('visibility', sa.String(length=16), nullable=False),
        sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_evaluations_job_id'), ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_evaluations_run_id'), ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['model_version_id'], ['model_versions.id'], name=op.f('fk_evaluations_model_version_id'), ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['other_version_id'], ['model_versions.id'], name=op.f('fk_evaluations_other_version_id'), ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['dataset_version_id'], ['dataset_versions.id'], name=op.f('fk_evaluations_dataset_version_id'), ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['owner_id'], ['users.id'], name=op.f('fk_evaluations_owner_id')),
        sa.ForeignKeyConstraint(['workspace_id'], ['workspaces.id'], name=op.f('fk_evaluations_workspace_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_evaluations')),
        sa.UniqueConstraint('job_id', name=op.f('uq_evaluations_job_id')),
    )
    for column in ('run_id', 'model_version_id', 'other_version_id', 'dataset_version_id', 'owner_id', 'workspace_id'):
        op.create_index(op.f(f'ix_evaluations_{column}'), 'evaluations', [column])
    op.create_index('ix_evaluations_list', 'evaluations', ['workspace_id', 'id'])
