"""What the end of a training means for the rest: its models become versions in the transaction that completes the job."""

from pathlib import Path

from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Event, Finished
from kargah.contract.plans import TrainPlan
from kargah.contract.results import TrainResult
from kargah.jobs.tables import Job
from kargah.models import service as models
from kargah.runs import service as runs
from kargah.training import checkpoint_records, evaluations


def prepare(home: Path, job: Job, event: Event) -> None:
    """Before the transaction: the outputs' files become blobs. May run twice, to the same effect."""
    if not isinstance(event, Finished):
        return
    outputs = AttemptDirectory.of(home, job.id, job.attempt).outputs
    for model in TrainResult.model_validate(event.result).models:
        for file in model.files:
            blobs.keep(home, outputs / model.name / file.path, file.sha256, file.size_bytes)


def on_event(session: Session, home: Path, job: Job, event: Event) -> None:
    checkpoint_records.on_event(session, home, job, event)
    run = runs.of_job(session, job.id)
    if not isinstance(event, Finished) or run is None:
        return
    result = TrainResult.model_validate(event.result)
    plan = TrainPlan.model_validate(job.plan)
    licence = next((dataset.licence for dataset in plan.datasets if dataset.licence), None)
    owner = {"owner_id": job.owner_id, "workspace_id": job.workspace_id, "visibility": job.visibility}
    versions = models.register_outputs(session, run.id, job.title, owner, result, licence)
    evaluations.fill(session, run.id, versions.get(result.recommended or ""))
    job.result = {
        "run_id": run.id,
        "model_version_id": versions.get(result.recommended or ""),
        "model_versions": versions,
        "recommended": result.recommended,
        "primary_metric": result.primary_metric,
        "dry_run": result.dry_run,
        "forecast": result.forecast,
        "steps": result.steps,
        "teacher": result.teacher.model_dump(mode="json") if result.teacher else None,
    }
