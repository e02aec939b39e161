"""The checkpoints of a training, as its worker left them on this host's disk: looked at, taken away, removed, gone on from.

A checkpoint is a folder with a manifest, ``state.json``, that names its files with their hashes (workers.checkpoint writes them).
"""

import re
import shutil
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets.manifest import FileEntry
from kargah.assets.tables import Asset
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.plans import CheckpointInput, InputFile
from kargah.jobs import service as jobs
from kargah.jobs import states
from kargah.jobs.tables import Job
from kargah.jobs.terms import Terms
from kargah.kit import files
from kargah.kit.clock import iso, utc_now
from kargah.kit.errors import BadInput, Conflict, NotFound
from kargah.store import access
from kargah.store.access import Actor, To
from kargah.training import service
from kargah.training.schemas import TrainingRequest, TrainingStarted
from kargah.training.service import Beginning

MANIFEST = "state.json"
WEIGHTS = "model.safetensors"
#: Beside the manifest: when all files were last compared with their hashes, and whether they were whole.
COMPARED = "compared.json"
NAME = re.compile(r"(damaged-)?step-\d{8,}(\.\d+)?")


class CheckpointInUse(Conflict):
    code = "CHECKPOINT_IN_USE"


class CheckpointDamaged(Conflict):
    code = "CHECKPOINT_DAMAGED"


class NotACheckpoint(BadInput):
    """``id``: of an asset that is none."""

    code = "NOT_A_CHECKPOINT"


class Condition(StrEnum):
    """WHOLE: all files are there, of the size they were written with. VERIFIED: all have been read again since, and have their hashes."""

    WHOLE = "whole"
    VERIFIED = "verified"
    DAMAGED = "damaged"


class NotATraining(Conflict):
    code = "NOT_A_TRAINING"


class CheckpointOut(BaseModel):
    """``name`` is what the other routes take. ``best``: the best measurement so far was made at this very step.

    ``best_value`` is that of the primary metric up to here. ``newest``: a training that is interrupted goes on from this one.
    A damaged one can only be deleted; the training goes on without it by itself.
    """

    name: str
    step: int
    epoch: float = 0.0
    saved_at: datetime | None = None
    condition: Condition = Condition.WHOLE
    size_bytes: int = 0
    best: bool = False
    newest: bool = False
    best_step: int | None = None
    best_value: float | None = None
    files: list[FileEntry] = []


class GoOn(BaseModel):
    """What is to be different. ``spec`` changes single settings; those of the model and the data must stay."""

    model_config = ConfigDict(extra="forbid")

    spec: dict[str, Any] = {}
    title: str | None = Field(None, max_length=300)
    priority: int = Field(0, ge=-100, le=100)
    terms: Terms = Terms()


def list_for(session: Session, actor: Actor, job_id: str, home: Path) -> list[CheckpointOut]:
    """The newest first; empty also where the training ran on another host."""
    return standing(home, _training(session, actor, job_id).id)


def files_of(session: Session, actor: Actor, job_id: str, name: str, home: Path) -> list[tuple[str, Path]]:
    """(name in the archive, file) of one checkpoint."""
    found = _usable(home, _training(session, actor, job_id).id, name)
    folder = _folder(home, job_id) / found.name
    return [(path, folder / path) for path in [MANIFEST, *(entry.path for entry in found.files)]]


def delete(session: Session, actor: Actor, job_id: str, name: str, home: Path) -> None:
    """For good, with its record. Raises CheckpointInUse for the newest of a training that may still go on."""
    job = _training(session, actor, job_id, To.CHANGE)
    found = _one(home, job.id, name)
    if found.newest and job.state not in states.TERMINAL:
        raise CheckpointInUse(step=found.step)
    path = _folder(home, job.id) / found.name
    gone = path.with_name(f".{path.name}.tmp")  # from here on it is no checkpoint, whatever breaks off
    path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
    session.execute(sql.delete(Asset).where(Asset.job_id == job.id, Asset.place == name))


def place_of(session: Session, actor: Actor, job_id: str, name: str, home: Path) -> Path:
    """The folder of a checkpoint, for ``verify``: reading it takes time and no transaction."""
    job = _training(session, actor, job_id, To.CHANGE)
    return _folder(home, job.id) / _one(home, job.id, name).name


def verify(path: Path) -> CheckpointOut:
    """Read all files again and compare them with the hashes they were written with; what was found stays noted beside them."""
    found = _read(path)
    try:
        whole = bool(found.files) and all(files.digest_of(path / entry.path).sha256 == entry.sha256 for entry in found.files)
        files.write_json(path / COMPARED, {"at": iso(utc_now()), "whole": whole})
    except FileNotFoundError:
        if not path.exists():
            raise NotFound(kind="checkpoints", id=path.name) from None  # pruned in this moment
        whole = False
    return found.model_copy(update={"condition": Condition.VERIFIED if whole else Condition.DAMAGED})


def continue_from(session: Session, actor: Actor, job_id: str, name: str, wanted: GoOn, home: Path) -> TrainingStarted:
    """``begin_at`` with what the training before was asked for, and ``wanted`` instead where it says so."""
    job = _training(session, actor, job_id)
    if job.kind != "train":
        raise NotATraining(id=job_id)
    request = service.request_like(job.plan)
    own = {"priority": wanted.priority, "terms": wanted.terms}
    changed = {"spec": request.spec | wanted.spec, "title": wanted.title or request.title, **own}
    return begin_at(session, actor, job_id, name, request.model_copy(update=changed), home)


def begin_at(session: Session, actor: Actor, job_id: str, name: str, request: TrainingRequest, home: Path) -> TrainingStarted:
    """A new training whose first step begins with this checkpoint's weights; its optimizer, curve and settings are its own."""
    job = _training(session, actor, job_id)
    if job.kind != "train":
        raise NotATraining(id=job_id)
    found = _usable(home, job.id, name)
    entry = next(entry for entry in found.files if entry.path == WEIGHTS)
    blobs.keep(home, _folder(home, job.id) / found.name / WEIGHTS, entry.sha256, entry.size_bytes)
    blobs.register(session, [entry])
    start = CheckpointInput(folder="start", job_id=job.id, step=found.step)
    weights = InputFile(path=f"start/{WEIGHTS}", sha256=entry.sha256, size_bytes=entry.size_bytes)
    return service.start(session, actor, request, Beginning(start_from=start, inputs=[weights]))


def begin_with(session: Session, actor: Actor, asset_id: str, request: TrainingRequest, home: Path) -> TrainingStarted:
    """``begin_at`` for one that is named by its record: whatever ``request`` leaves open is as in the training that made it.

    Raises NotACheckpoint for any other asset, NotATraining for a custom script's.
    """
    asset = access.load(session, actor, Asset, asset_id)
    if asset.job_id is None or asset.place is None:
        raise NotACheckpoint(field="base_model", id=asset_id)
    job = _training(session, actor, asset.job_id)
    if job.kind != "train":
        raise NotATraining(id=job.id)
    like = service.request_like(job.plan)
    said = request.model_dump(include={"title", "dry_run", "priority", "teacher_model"}, exclude_none=True)
    changed = {"datasets": request.datasets or like.datasets, "spec": like.spec | request.spec, "terms": request.terms, **said}
    return begin_at(session, actor, job.id, asset.place, like.model_copy(update=changed), home)


def hand_on(home: Path, job_id: str, to_job_id: str) -> None:
    """Give another job of the same plan all checkpoints, so that it goes on where the first one ended. Spends no disk."""
    source, target = _folder(home, job_id), _folder(home, to_job_id)
    if source.is_dir() and not target.exists():
        temporary = target.with_name(".checkpoints.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(source, temporary, copy_function=lambda one, other: files.link_or_copy(Path(one), Path(other)))
        files.rename(temporary, target)


def _training(session: Session, actor: Actor, job_id: str, to: To = To.READ) -> Job:
    """A custom script's checkpoints are kept in the same form; only to begin a training with, they are none."""
    job = jobs.get_for(session, actor, job_id, to)
    if job.kind not in {"train", "script"}:
        raise NotATraining(id=job_id)
    return job


def _folder(home: Path, job_id: str) -> Path:
    return AttemptDirectory.of(home, job_id, 1).checkpoints


def _one(home: Path, job_id: str, name: str) -> CheckpointOut:
    found = next((one for one in standing(home, job_id) if one.name == name), None)
    if found is None:
        raise NotFound(kind="checkpoints", id=name)
    return found


def _usable(home: Path, job_id: str, name: str) -> CheckpointOut:
    found = _one(home, job_id, name)
    if found.condition is Condition.DAMAGED:
        raise CheckpointDamaged(step=found.step)
    return found


def names(home: Path, job_id: str) -> set[str]:
    """Of all that stand on this disk, whole or not."""
    return {path.name for path in _folder(home, job_id).glob("*step-*") if NAME.fullmatch(path.name) and path.is_dir()}


def standing(home: Path, job_id: str) -> list[CheckpointOut]:
    """The damaged ones too: those whose files are not whole, and those that a worker found so and put aside."""
    paths = (_folder(home, job_id) / name for name in names(home, job_id))
    found = sorted(map(_read, paths), key=lambda one: (one.step, one.name), reverse=True)
    newest = next((one.name for one in found if one.condition is not Condition.DAMAGED), None)
    return [one.model_copy(update={"newest": one.name == newest}) for one in found]


def _read(path: Path) -> CheckpointOut:
    """As its manifest tells it; damaged where that cannot be read."""
    step = int(path.name.partition("step-")[2].partition(".")[0])
    try:
        manifest = files.read_json(path / MANIFEST)
        state, entries = manifest["state"], [FileEntry(path=name, **digest) for name, digest in manifest["files"].items()]
        return CheckpointOut(
            name=path.name, step=state["step"], epoch=state["epoch"], saved_at=manifest.get("saved_at"), best=bool(manifest.get("best")),
            best_step=state["best_step"], best_value=state["best_value"], files=entries, condition=_condition(path, entries),
            size_bytes=sum(entry.size_bytes for entry in entries),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return CheckpointOut(name=path.name, step=step, condition=Condition.DAMAGED)


def _condition(path: Path, entries: list[FileEntry]) -> Condition:
    sizes_match = all((path / entry.path).stat().st_size == entry.size_bytes for entry in entries)
    if path.name.startswith("damaged-") or not sizes_match:
        return Condition.DAMAGED
    try:
        return Condition.VERIFIED if files.read_json(path / COMPARED)["whole"] else Condition.DAMAGED
    except (OSError, ValueError, KeyError, TypeError):
        return Condition.WHOLE
