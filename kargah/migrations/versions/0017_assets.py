"""One record for every model as well, what checking files found, and roots: folders whose files are used where they lie"""

from alembic import op
import sqlalchemy as sa

from kargah.assets.manifest import FileEntry, content_sha256
from kargah.kit.ids import new_id
from kargah.store.base import UtcDateTime
from kargah.text.normalise import fold


revision = '0017'
down_revision = '0014'
branch_labels = None
depends_on = None

SOURCES = {'training': 'training', 'baseline': 'training', 'hub': 'HuggingFace'}


def upgrade() -> None:
    op.add_column('blobs', sa.Column('checked_at', UtcDateTime(timezone=True), nullable=True))
    op.add_column('blobs', sa.Column('damage', sa.String(length=16), nullable=True))
    op.create_index(op.f('ix_blobs_damage'), 'blobs', ['damage'])
    op.add_column('assets', sa.Column('sha256', sa.String(length=64), nullable=True))
    op.add_column('assets', sa.Column('root_id', sa.String(length=48), nullable=True))
    op.add_column('assets', sa.Column('place', sa.String(length=1000), nullable=True))
    op.create_index('ix_assets_list', 'assets', ['workspace_id', 'id'])
    op.create_index('ix_assets_kinds', 'assets', ['workspace_id', 'kind', 'id'])
    op.create_index('ix_assets_root', 'assets', ['root_id', 'place'])
    summed = ['workspace_id', 'trashed_at', 'kind', 'root_id', 'source', 'visibility', 'owner_id', 'size_bytes']
    op.create_index('ix_assets_sums', 'assets', summed)
    op.create_table(
        'roots',
        sa.Column('id', sa.String(length=48), nullable=False),
        sa.Column('name', sa.String(length=200), nullable=False),
        sa.Column('path', sa.String(length=1000), nullable=False),
        sa.Column('job_id', sa.String(length=48), nullable=True),
        sa.Column('scanned_at', UtcDateTime(timezone=True), nullable=True),
        sa.Column('summary', sa.JSON(), nullable=False),
        sa.Column('owner_id', sa.String(length=48), nullable=False),
        sa.Column('workspace_id', sa.String(length=48), nullable=False),
        sa.Column('visibility', sa.String(length=16), nullable=False),
        sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(['owner_id'], ['users.id'], name=op.f('fk_roots_owner_id')),
        sa.ForeignKeyConstraint(['workspace_id'], ['workspaces.id'], name=op.f('fk_roots_workspace_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_roots')),
        sa.UniqueConstraint('path', name=op.f('uq_roots_path')),
    )
    op.create_index(op.f('ix_roots_owner_id'), 'roots', ['owner_id'])
    op.create_index(op.f('ix_roots_workspace_id'), 'roots', ['workspace_id'])
    _record_models(op.get_bind())


def _record_models(connection: sa.Connection) -> None:
    """Until now only data sets and downloads had a record; and files of imported models were not counted as used."""
    tables = sa.MetaData()
    tables.reflect(connection, only=['models', 'model_versions', 'assets', 'blobs'], resolve_fks=False)
    models, versions, assets, blobs = (tables.tables[name] for name in ('models', 'model_versions', 'assets', 'blobs'))
    known = set(connection.scalars(sa.select(blobs.c.sha256)))
    recorded = set(connection.scalars(sa.select(assets.c.subject_id)))
    of_model = (models.c.title, models.c.owner_id, models.c.workspace_id, models.c.visibility, models.c.trashed_at)
    found = sa.select(versions, *of_model).join_from(versions, models, models.c.id == versions.c.model_id)
    for row in connection.execute(found).all():
        files = [FileEntry.model_validate(entry) for entry in row.files]
        fresh = {entry.sha256: entry for entry in files if entry.sha256 not in known}
        known |= set(fresh)
        if fresh:
            connection.execute(blobs.insert(), [
                {'sha256': sha256, 'git_sha1': entry.git_sha1, 'size_bytes': entry.size_bytes, 'created_at': row.created_at}
                for sha256, entry in fresh.items()
            ])  # fmt: skip
        if row.id in recorded:
            continue
        connection.execute(assets.insert().values(
            id=new_id('ast'), kind='model', name=row.title, name_folded=fold(row.title)[:300], status='ready',
            source=SOURCES.get(row.source, 'local'), subject_id=row.id, size_bytes=row.size_bytes, sha256=content_sha256(files),
            files=row.files, owner_id=row.owner_id, workspace_id=row.workspace_id, visibility=row.visibility,
            created_at=row.created_at, trashed_at=row.trashed_at,
        ))  # fmt: skip
    unhashed = sa.select(assets.c.id, assets.c.files).where(assets.c.sha256.is_(None), assets.c.status == 'ready')
    for row in connection.execute(unhashed).all():
        digest = content_sha256(FileEntry.model_validate(entry) for entry in row.files) if row.files else None
        connection.execute(assets.update().where(assets.c.id == row.id).values(sha256=digest))
