"""The checkpoints of a training, as its worker left them on this host's disk: looked at, taken away, removed, gone on from.

A checkpoint is a folder with a manifest, ``state.json``, that names its files with their hashes (workers.checkpoint writes them).
"""

import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets.manifest import FileEntry
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.plans import CheckpointInput, InputFile
from kargah.jobs import service as jobs
from kargah.jobs import states
from kargah.jobs.tables import Job
from kargah.kit import files
from kargah.kit.errors import Conflict, NotFound
from kargah.store.access import Actor, To
from kargah.training import service
from kargah.training.schemas import TrainingStarted
from kargah.training.service import Beginning

MANIFEST = "state.json"
WEIGHTS = "model.safetensors"
NAME = re.compile(r"step-(\d{8,})(\.\d+)?")


class CheckpointInUse(Conflict):
    code = "CHECKPOINT_IN_USE"


class NotATraining(Conflict):
    code = "NOT_A_TRAINING"


class CheckpointOut(BaseModel):
    """``name`` is what the other routes take. ``best``: the best measurement so far was made at this very step.

    ``best_value`` is that of the primary metric up to here. ``newest``: a training that is interrupted goes on from this one.
    """

    name: str
    step: int
    epoch: float
    saved_at: datetime | None = None
    size_bytes: int
    best: bool = False
    newest: bool = False
    best_step: int | None = None
    best_value: float | None = None
    files: list[FileEntry]


class GoOn(BaseModel):
    """What is to be different. ``spec`` changes single settings; those of the model and the data must stay."""

    model_config = ConfigDict(extra="forbid")

    spec: dict[str, Any] = {}
    title: str | None = Field(None, max_length=300)


def list_for(session: Session, actor: Actor, job_id: str, home: Path) -> list[CheckpointOut]:
    """The newest first; empty also where the training ran on another host."""
    return _standing(home, _training(session, actor, job_id).id)


def files_of(session: Session, actor: Actor, job_id: str, name: str, home: Path) -> list[tuple[str, Path]]:
    """(name in the archive, file) of one checkpoint."""
    found = _one(home, _training(session, actor, job_id).id, name)
    folder = _folder(home, job_id) / found.name
    return [(path, folder / path) for path in [MANIFEST, *(entry.path for entry in found.files)]]


def delete(session: Session, actor: Actor, job_id: str, name: str, home: Path) -> None:
    """Raises CheckpointInUse for the newest of a training that may still go on."""
    job = _training(session, actor, job_id, To.CHANGE)
    found = _one(home, job.id, name)
    if found.newest and job.state not in states.TERMINAL:
        raise CheckpointInUse(step=found.step)
    path = _folder(home, job.id) / found.name
    gone = path.with_name(f".{path.name}.tmp")  # from here on it is no checkpoint, whatever breaks off
    path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def continue_from(session: Session, actor: Actor, job_id: str, name: str, wanted: GoOn, home: Path) -> TrainingStarted:
    """A new training whose first step begins with this checkpoint's weights; its optimizer, curve and settings are its own."""
    job = _training(session, actor, job_id)
    found = _one(home, job.id, name)
    entry = next(entry for entry in found.files if entry.path == WEIGHTS)
    blobs.keep(home, _folder(home, job.id) / found.name / WEIGHTS, entry.sha256, entry.size_bytes)
    blobs.register(session, [entry])
    start = CheckpointInput(folder="start", job_id=job.id, step=found.step)
    weights = InputFile(path=f"start/{WEIGHTS}", sha256=entry.sha256, size_bytes=entry.size_bytes)
    request = service.request_like(job.plan)
    changed = {"spec": request.spec | wanted.spec, "title": wanted.title or request.title}
    return service.start(session, actor, request.model_copy(update=changed), Beginning(start_from=start, inputs=[weights]))


def hand_on(home: Path, job_id: str, to_job_id: str) -> None:
    """Give another job of the same plan all checkpoints, so that it goes on where the first one ended. Spends no disk."""
    source, target = _folder(home, job_id), _folder(home, to_job_id)
    if source.is_dir() and not target.exists():
        temporary = target.with_name(".checkpoints.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(source, temporary, copy_function=lambda one, other: files.link_or_copy(Path(one), Path(other)))
        files.rename(temporary, target)


def _training(session: Session, actor: Actor, job_id: str, to: To = To.READ) -> Job:
    job = jobs.get_for(session, actor, job_id, to)
    if job.kind != "train":
        raise NotATraining(id=job_id)
    return job


def _folder(home: Path, job_id: str) -> Path:
    return AttemptDirectory.of(home, job_id, 1).checkpoints


def _one(home: Path, job_id: str, name: str) -> CheckpointOut:
    found = next((standing for standing in _standing(home, job_id) if standing.name == name), None)
    if found is None:
        raise NotFound(kind="checkpoints", id=name)
    return found


def _standing(home: Path, job_id: str) -> list[CheckpointOut]:
    folder = _folder(home, job_id)
    paths = sorted((path for path in folder.glob("step-*") if NAME.fullmatch(path.name)), reverse=True)
    found = [read for path in paths if (read := _read(path)) is not None]
    return [one.model_copy(update={"newest": place == 0}) for place, one in enumerate(found)]


def _read(path: Path) -> CheckpointOut | None:
    """None for one that went away meanwhile, or whose manifest cannot be read: the worker puts such aside."""
    try:
        manifest = files.read_json(path / MANIFEST)
        state, entries = manifest["state"], [FileEntry(path=name, **digest) for name, digest in manifest["files"].items()]
        return CheckpointOut(
            name=path.name, step=state["step"], epoch=state["epoch"], saved_at=manifest.get("saved_at"), best=bool(manifest.get("best")),
            best_step=state["best_step"], best_value=state["best_value"], files=entries,
            size_bytes=sum(entry.size_bytes for entry in entries),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None
