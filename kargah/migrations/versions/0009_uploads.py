"""Files that come in pieces"""

from alembic import op
import sqlalchemy as sa

from kargah.store.base import UtcDateTime


revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'uploads',
        sa.Column('id', sa.String(length=48), nullable=False),
        sa.Column('filename', sa.String(length=400), nullable=False),
        sa.Column('size_bytes', sa.BigInteger(), nullable=False),
        sa.Column('sha256', sa.String(length=64), nullable=True),
        sa.Column('fingerprint', sa.String(length=128), nullable=True),
        sa.Column('result', sa.JSON(), nullable=True),
        sa.Column('owner_id', sa.String(length=48), nullable=False),
        sa.Column('workspace_id', sa.String(length=48), nullable=False),
        sa.Column('visibility', sa.String(length=16), nullable=False),
        sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(['owner_id'], ['users.id'], name=op.f('fk_uploads_owner_id')),
        sa.ForeignKeyConstraint(['workspace_id'], ['workspaces.id'], name=op.f('fk_uploads_workspace_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_uploads')),
    )
    op.create_index(op.f('ix_uploads_owner_id'), 'uploads', ['owner_id'])
    op.create_index(op.f('ix_uploads_workspace_id'), 'uploads', ['workspace_id'])
