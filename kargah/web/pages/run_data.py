"""What the page of a training stands on: found by the run's id or its job's, and read in one transaction."""

from sqlalchemy.orm import Session

from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.jobs.states import State
from kargah.kit.errors import NotFound
from kargah.models import service as models
from kargah.runs import service as runs
from kargah.runs.schemas import RunOut
from kargah.store.access import Actor
from kargah.training import failures
from kargah.web.pages import run_views as views

LIFE = ("Queued", "Waiting", "Claimed", "Asked", "Interrupted", "Started", "Running", "Logged", "Evaluated", "Saved",
        "Paused", "Resumed", "Stopped", "Finished", "Failed")  # fmt: skip


def load(session: Session, actor: Actor, run_id: str) -> views.RunData:
    """``run_id`` may be the run's or its job's."""
    position = history.latest_position(session)
    run = find(session, actor, run_id)
    if run.job_id is None:
        raise NotFound(kind="jobs", id=run_id)
    row = jobs.get_for(session, actor, run.job_id)
    return views.RunData(
        run=run,
        job=jobs.show(session, actor, run.job_id),
        position=position,
        events=history.life_cycle(session, run.job_id, *LIFE),
        versions=models.versions_of_run(session, actor, run.id),
        plan=row.plan,
        fix=failures.fix_for(session, row) if row.state == State.FAILED else None,
    )


def find(session: Session, actor: Actor, run_id: str) -> RunOut:
    return runs.show_for_job(session, actor, run_id) if run_id.startswith("job_") else runs.show(session, actor, run_id)
