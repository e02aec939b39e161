"""What the end of an evaluation means: its result and its tables of errors are kept."""

from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Event, Finished
from kargah.contract.results import EvaluateResult
from kargah.jobs.tables import Job
from kargah.training.tables import Evaluation

FOLDER = "evaluation"


def prepare(home: Path, job: Job, event: Event) -> None:
    """Before the transaction: the tables become blobs. May run twice, to the same effect."""
    if isinstance(event, Finished):
        outputs = AttemptDirectory.of(home, job.id, job.attempt).outputs / FOLDER
        for file in EvaluateResult.model_validate(event.result).files:
            blobs.keep(home, outputs / file.path, file.sha256, file.size_bytes)


def on_event(session: Session, _: Path, job: Job, event: Event) -> None:
    """Of one that was deleted meanwhile nothing is kept."""
    if not isinstance(event, Finished):
        return
    row = session.scalars(select(Evaluation).where(Evaluation.job_id == job.id)).one_or_none()
    if row is not None:
        result = EvaluateResult.model_validate(event.result)
        blobs.register(session, result.files)
        row.result, row.files = result.model_dump(mode="json"), [file.model_dump() for file in result.files]
        job.result = {"evaluation_id": row.id, "primary_metric": result.primary_metric, "rows": result.rows}
