"""Roots in object stores: who is asked for them"""

import sqlalchemy as sa
from alembic import op

revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('roots', sa.Column('endpoint', sa.String(length=300), nullable=True))
    op.add_column('roots', sa.Column('region', sa.String(length=64), nullable=True))
