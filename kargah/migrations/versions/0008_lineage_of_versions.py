"""What a version of a data set was made from, and tags of data sets"""

from alembic import op
import sqlalchemy as sa


revision = '0008'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('dataset_versions', sa.Column('lineage', sa.JSON(), nullable=True))
    op.add_column('datasets', sa.Column('tags', sa.JSON(), nullable=True))
