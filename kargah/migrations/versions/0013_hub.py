"""Names, and what is pushed, of the hub's door"""

from alembic import op
import sqlalchemy as sa

from kargah.store.base import UtcDateTime


revision = '0013'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'hub_namespaces',
        sa.Column('user_id', sa.String(length=48), nullable=False),
        sa.Column('name', sa.String(length=96), nullable=False),
        sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_hub_namespaces_user_id'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('user_id', name=op.f('pk_hub_namespaces')),
        sa.UniqueConstraint('name', name=op.f('uq_hub_namespaces_name')),
    )
    op.create_table(
        'hub_repositories',
        sa.Column('id', sa.String(length=48), nullable=False),
        sa.Column('kind', sa.String(length=16), nullable=False),
        sa.Column('namespace', sa.String(length=96), nullable=False),
        sa.Column('name', sa.String(length=96), nullable=False),
        sa.Column('folded', sa.String(length=200), nullable=False),
        sa.Column('model_id', sa.String(length=48), nullable=True),
        sa.Column('dataset_id', sa.String(length=48), nullable=True),
        sa.Column('owner_id', sa.String(length=48), nullable=False),
        sa.Column('workspace_id', sa.String(length=48), nullable=False),
        sa.Column('visibility', sa.String(length=16), nullable=False),
        sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(['model_id'], ['models.id'], name=op.f('fk_hub_repositories_model_id'), ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['dataset_id'], ['datasets.id'], name=op.f('fk_hub_repositories_dataset_id'), ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['owner_id'], ['users.id'], name=op.f('fk_hub_repositories_owner_id')),
        sa.ForeignKeyConstraint(['workspace_id'], ['workspaces.id'], name=op.f('fk_hub_repositories_workspace_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_hub_repositories')),
        sa.UniqueConstraint('kind', 'folded', name=op.f('uq_hub_repositories_kind_folded')),
        sa.UniqueConstraint('model_id', name=op.f('uq_hub_repositories_model_id')),
        sa.UniqueConstraint('dataset_id', name=op.f('uq_hub_repositories_dataset_id')),
    )
    op.create_index(op.f('ix_hub_repositories_owner_id'), 'hub_repositories', ['owner_id'])
    op.create_index(op.f('ix_hub_repositories_workspace_id'), 'hub_repositories', ['workspace_id'])
    op.create_table(
        'hub_commits',
        sa.Column('id', sa.String(length=48), nullable=False),
        sa.Column('repository_id', sa.String(length=48), nullable=False),
        sa.Column('number', sa.Integer(), nullable=False),
        sa.Column('commit_id', sa.String(length=40), nullable=False),
        sa.Column('parent_id', sa.String(length=40), nullable=False),
        sa.Column('title', sa.String(length=300), nullable=False),
        sa.Column('message', sa.String(length=4000), nullable=False),
        sa.Column('author', sa.String(length=200), nullable=False),
        sa.Column('files', sa.JSON(), nullable=False),
        sa.Column('version_id', sa.String(length=48), nullable=True),
        sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(['repository_id'], ['hub_repositories.id'], name=op.f('fk_hub_commits_repository_id'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_hub_commits')),
        sa.UniqueConstraint('repository_id', 'number', name=op.f('uq_hub_commits_repository_id_number')),
    )
