"""What the end of an import means: its version is READY with what was measured, or FAILED with the reason."""

import json
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets import service as assets
from kargah.assets.manifest import FileEntry, commit_id
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Event, Failed, Finished, Stopped
from kargah.contract.results import IngestResult
from kargah.datasets.service import clean_filename
from kargah.datasets.tables import Dataset, DatasetVersion
from kargah.jobs.tables import Job

FOLDER, SOURCE = "dataset", "source"


def prepare(home: Path, job: Job, event: Event) -> None:
    """Before the transaction: the outputs' files become blobs. May run twice, to the same effect."""
    if not isinstance(event, Finished):
        return
    outputs = AttemptDirectory.of(home, job.id, job.attempt).outputs
    result = IngestResult.model_validate(event.result)
    for file in result.files:
        blobs.keep(home, outputs / FOLDER / file.path, file.sha256, file.size_bytes)
    if result.source is not None:
        blobs.keep(home, outputs / SOURCE / result.source.path, result.source.sha256, result.source.size_bytes)


def on_event(session: Session, home: Path, job: Job, event: Event) -> None:
    """Once: a version that is READY or FAILED already stays so."""
    if not isinstance(event, Finished | Failed | Stopped):
        return
    version = session.scalars(select(DatasetVersion).where(DatasetVersion.job_id == job.id)).one_or_none()
    if version is None or version.state != "IMPORTING":
        return
    if isinstance(event, Finished):
        _make_ready(session, home, job, version, IngestResult.model_validate(event.result))
        return
    version.state = "FAILED"
    version.error = {"code": event.code, "params": event.params} if isinstance(event, Failed) else {"code": "IMPORT_STOPPED", "params": {}}


def _make_ready(session: Session, home: Path, job: Job, version: DatasetVersion, result: IngestResult) -> None:
    entries = [FileEntry.model_validate(file.model_dump()) for file in result.files]
    blobs.register(session, result.files)
    if result.source is not None:  # it was fetched, and known by its address only until now
        blobs.register(session, [result.source])
        version.source_filename = clean_filename(result.source_filename)
        version.source_sha256, version.source_size_bytes = result.source.sha256, result.source.size_bytes
    version.state = "READY"
    version.rows, version.format, version.encoding = result.rows, result.format, result.encoding
    version.columns = _all_columns(home, entries)
    version.report, version.normaliser = result.report, result.normaliser
    version.files = [entry.model_dump() for entry in entries]
    version.size_bytes = sum(entry.size_bytes for entry in entries)
    version.commit_id = commit_id(entries)
    dataset = session.get_one(Dataset, version.dataset_id)
    current = session.get(DatasetVersion, dataset.current_version_id) if dataset.current_version_id else None
    if current is None or current.number < version.number:
        dataset.current_version_id = version.id
    assets.record(session, dataset, "dataset", dataset.title, version.id, entries)
    job.result = {"dataset_id": dataset.id, "dataset_version_id": version.id, "rows": result.rows}


def _all_columns(home: Path, entries: list[FileEntry]) -> list[object]:
    """From the file: the event leaves details out where they are many."""
    sha256 = next(entry.sha256 for entry in entries if entry.path == "columns.json")
    columns: list[object] = json.loads(blobs.path_of(home, sha256).read_bytes())
    return columns
