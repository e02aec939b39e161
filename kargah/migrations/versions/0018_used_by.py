"""Checkpoints among the assets, and what runs began with: who uses what"""

import sqlalchemy as sa
from alembic import op

revision = '0018'
down_revision = '0015'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('assets', sa.Column('job_id', sa.String(length=48), nullable=True))
    op.create_index('ix_assets_job', 'assets', ['job_id', 'place'])
    op.create_index(op.f('ix_run_inputs_dataset_version_id'), 'run_inputs', ['dataset_version_id'])
    op.create_index(op.f('ix_model_versions_base_version_id'), 'model_versions', ['base_version_id'])
    op.create_table(
        'run_sources',
        sa.Column('run_id', sa.String(length=48), nullable=False),
        sa.Column('source', sa.String(length=48), nullable=False),
        sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_run_sources_run_id'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('run_id', 'source', name=op.f('pk_run_sources')),
    )
    op.create_index(op.f('ix_run_sources_source'), 'run_sources', ['source'])
    _fill(op.get_bind())


def _fill(connection: sa.Connection) -> None:
    """From the plans of the trainings until now. Checkpoints get their records from the agent, which knows the disk."""
    tables = sa.MetaData()
    tables.reflect(connection, only=['runs', 'jobs', 'run_sources'], resolve_fks=False)
    runs, jobs, sources = (tables.tables[name] for name in ('runs', 'jobs', 'run_sources'))
    found = sa.select(runs.c.id, jobs.c.plan).join_from(runs, jobs, jobs.c.id == runs.c.job_id).where(jobs.c.kind == 'train')
    rows = [{'run_id': row.id, 'source': source} for row in connection.execute(found) for source in sorted(_sources(row.plan or {}))]
    if rows:
        connection.execute(sources.insert(), rows)


def _sources(plan: dict[str, object]) -> set[str]:
    begun = plan.get('start_from')
    models = [plan.get(name) for name in ('base_model', 'teacher_model')]
    versions = {one['version_id'] for one in models if isinstance(one, dict) and one.get('version_id')}
    return versions | ({f"{begun['job_id']}@{begun['step']}"} if isinstance(begun, dict) else set())
