"""Downloads from hubs, and what may be downloaded besides the catalogue"""

from alembic import op
import sqlalchemy as sa

from kargah.store.base import UtcDateTime


revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'downloads',
        sa.Column('id', sa.String(length=48), nullable=False),
        sa.Column('kind', sa.String(length=16), nullable=False),
        sa.Column('repository', sa.String(length=200), nullable=False),
        sa.Column('revision', sa.String(length=200), nullable=False),
        sa.Column('job_id', sa.String(length=48), nullable=False),
        sa.Column('asset_id', sa.String(length=48), nullable=True),
        sa.Column('model_id', sa.String(length=48), nullable=True),
        sa.Column('dataset_id', sa.String(length=48), nullable=True),
        sa.Column('commit_id', sa.String(length=40), nullable=True),
        sa.Column('finished_at', UtcDateTime(timezone=True), nullable=True),
        sa.Column('active_user', sa.String(length=48), nullable=True),
        sa.Column('active_peer', sa.String(length=64), nullable=True),
        sa.Column('owner_id', sa.String(length=48), nullable=False),
        sa.Column('workspace_id', sa.String(length=48), nullable=False),
        sa.Column('visibility', sa.String(length=16), nullable=False),
        sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_downloads_job_id'), ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['asset_id'], ['assets.id'], name=op.f('fk_downloads_asset_id'), ondelete='SET NULL'),
        sa.ForeignKeyConstraint(['model_id'], ['models.id'], name=op.f('fk_downloads_model_id'), ondelete='SET NULL'),
        sa.ForeignKeyConstraint(['dataset_id'], ['datasets.id'], name=op.f('fk_downloads_dataset_id'), ondelete='SET NULL'),
        sa.ForeignKeyConstraint(['owner_id'], ['users.id'], name=op.f('fk_downloads_owner_id')),
        sa.ForeignKeyConstraint(['workspace_id'], ['workspaces.id'], name=op.f('fk_downloads_workspace_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_downloads')),
        sa.UniqueConstraint('active_user', name=op.f('uq_downloads_active_user')),
        sa.UniqueConstraint('active_peer', name=op.f('uq_downloads_active_peer')),
    )
    op.create_index(op.f('ix_downloads_job_id'), 'downloads', ['job_id'])
    op.create_index(op.f('ix_downloads_owner_id'), 'downloads', ['owner_id'])
    op.create_index('ix_downloads_repository', 'downloads', ['workspace_id', 'kind', 'repository', 'id'])
    op.create_index(op.f('ix_downloads_workspace_id'), 'downloads', ['workspace_id'])
    op.create_table(
        'allowed_repositories',
        sa.Column('id', sa.String(length=48), nullable=False),
        sa.Column('kind', sa.String(length=16), nullable=False),
        sa.Column('pattern', sa.String(length=200), nullable=False),
        sa.Column('owner_id', sa.String(length=48), nullable=False),
        sa.Column('workspace_id', sa.String(length=48), nullable=False),
        sa.Column('visibility', sa.String(length=16), nullable=False),
        sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(['owner_id'], ['users.id'], name=op.f('fk_allowed_repositories_owner_id')),
        sa.ForeignKeyConstraint(['workspace_id'], ['workspaces.id'], name=op.f('fk_allowed_repositories_workspace_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_allowed_repositories')),
        sa.UniqueConstraint('workspace_id', 'kind', 'pattern', name=op.f('uq_allowed_repositories_workspace_id_kind_pattern')),
    )
    op.create_index(op.f('ix_allowed_repositories_owner_id'), 'allowed_repositories', ['owner_id'])
    op.create_index(op.f('ix_allowed_repositories_workspace_id'), 'allowed_repositories', ['workspace_id'])
