"""Indexes of what pages list and count: a workspace's rows in the order of their ids, by kind, by state, by their end"""

from alembic import op


revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index('ix_jobs_kinds', 'jobs', ['workspace_id', 'kind', 'id', 'state'])
    op.create_index('ix_jobs_states', 'jobs', ['workspace_id', 'kind', 'state', 'id'])
    op.create_index('ix_jobs_over', 'jobs', ['workspace_id', 'finished_at'])
    op.drop_index('ix_jobs_kind', 'jobs')
    op.create_index('ix_runs_list', 'runs', ['workspace_id', 'id'])
    op.create_index('ix_runs_recipes', 'runs', ['workspace_id', 'recipe', 'job_id'])
    op.create_index('ix_runs_usual', 'runs', ['workspace_id', 'recipe', 'status', 'id'])
    op.drop_index('ix_runs_recipe', 'runs')
    op.create_index('ix_models_list', 'models', ['workspace_id', 'id'])
    op.create_index('ix_model_versions_source', 'model_versions', ['source', 'model_id'])
    op.create_index('ix_datasets_list', 'datasets', ['workspace_id', 'id'])
