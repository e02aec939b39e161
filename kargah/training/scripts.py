"""A person's own Python file as a job: allowed or refused, kept by its hash, started, started again, and what it left."""

import tempfile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets import service as assets
from kargah.assets.manifest import FileEntry
from kargah.assets.tables import Asset
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Event, Finished
from kargah.contract.plans import DatasetInput, InputFile, ScriptPlan
from kargah.contract.results import ScriptResult
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.jobs.states import TERMINAL, State
from kargah.jobs.tables import Job
from kargah.jobs.terms import Terms
from kargah.kit.errors import BadInput, Forbidden, NotFound, TooLarge
from kargah.kit.files import Digest
from kargah.kit.settings import CustomScripts, Settings
from kargah.runs import service as runs
from kargah.store.access import Actor, require_creator
from kargah.training import checkpoint_records, checkpoints, service
from kargah.training.failures import NothingToRetry
from kargah.training.schemas import TrainingStarted

KIND = "script"
SOURCE_LIMIT_BYTES = 1 << 20
_MAIN = "script/main.py"
_OUTPUTS = "outputs/"


class ScriptsOff(Forbidden):
    code = "SCRIPTS_OFF"


class ScriptsForAdmins(Forbidden):
    code = "SCRIPTS_FOR_ADMINS"


class NotAScript(BadInput):
    """``reason``: a text, ``script.bad.*``."""

    code = "NOT_A_SCRIPT"


class ScriptRequest(BaseModel):
    """``datasets``: ids of data sets or of their versions. ``parameters``: whatever the script reads with ``run.parameters()``."""

    model_config = ConfigDict(extra="forbid")

    filename: str = Field("script.py", min_length=1, max_length=200)
    title: str | None = Field(None, max_length=300)
    datasets: list[str] = Field([], max_length=32)
    parameters: dict[str, JsonValue] = Field({}, max_length=200)
    threads: int | None = Field(None, ge=1, le=256)
    priority: int = Field(0, ge=-100, le=100)
    terms: Terms = Terms()


def require_allowed(actor: Actor, settings: Settings) -> None:
    """Raises ScriptsOff, ScriptsForAdmins, Forbidden for viewers."""
    require_creator(actor)
    if settings.custom_scripts is CustomScripts.OFF:
        raise ScriptsOff(needs="admin")
    if settings.custom_scripts is CustomScripts.ADMINS and not actor.is_admin:
        raise ScriptsForAdmins(needs="admin")


def keep_source(home: Path, source: bytes) -> Digest:
    """Keep a file of Python as a blob. Raises TooLarge, NotAScript for what is no text."""
    if len(source) > SOURCE_LIMIT_BYTES:
        raise TooLarge(limit_bytes=SOURCE_LIMIT_BYTES)
    if not source.strip():
        raise NotAScript(field="source", reason={"code": "script.bad.empty"})
    try:
        readable = "\0" not in source.decode("utf-8-sig")
    except UnicodeDecodeError:
        readable = False
    if not readable:
        raise NotAScript(field="source", reason={"code": "script.bad.no_text"})
    with tempfile.NamedTemporaryFile() as file:
        file.write(source)
        file.flush()
        return blobs.put_file(home, Path(file.name))


def start(session: Session, actor: Actor, request: ScriptRequest, file: Digest, settings: Settings) -> TrainingStarted:
    """Queue a script whose file is kept already. Raises what ``require_allowed`` does, and NotFound or DatasetNotReady for its data."""
    require_allowed(actor, settings)
    blobs.register(session, [file])
    inputs = [InputFile(path=_MAIN, sha256=file.sha256, size_bytes=file.size_bytes)]
    datasets: list[DatasetInput] = []
    for number, given in enumerate(request.datasets):
        found, files = service.dataset_input(session, actor, given, f"data-{number}")
        datasets.append(found)
        inputs += files
    filename = Path(request.filename.replace("\\", "/")).name or "script.py"
    plan = ScriptPlan(
        job_id="", inputs=inputs, title=(request.title or "").strip() or filename, filename=filename, sha256=file.sha256,
        parameters=request.parameters, datasets=datasets, user=settings.script_user, output_limit_bytes=settings.upload_limit_bytes,
    )  # fmt: skip
    return _queued(session, actor, plan, file.git_sha1, request.threads, request.priority, request.terms)


def again(session: Session, actor: Actor, job_id: str, settings: Settings) -> TrainingStarted:
    """A script that failed or was stopped, as a new job that goes on from the last checkpoint. Raises NotFound, NothingToRetry."""
    job = _script(session, actor, job_id)
    require_allowed(actor, settings)
    if job.state not in TERMINAL - {State.COMPLETED}:
        raise NothingToRetry(id=job_id)
    plan = ScriptPlan.model_validate(job.plan)
    for dataset in plan.datasets:
        service.dataset_input(session, actor, dataset.version_id or "", dataset.folder)
    terms = Terms.model_validate(job.terms).model_copy(update={"after": [], "not_before": None, "deadline": None})
    kept = next(entry for entry in _recorded(session, job.id) if entry.path == plan.filename)
    started = _queued(session, actor, plan, kept.git_sha1, job.threads_wanted, job.priority, terms)
    checkpoints.hand_on(settings.home, job.id, started.job.id)
    return started


def _queued(
    session: Session, actor: Actor, plan: ScriptPlan, git_sha1: str, threads: int | None, priority: int, terms: Terms
) -> TrainingStarted:
    told = plan.model_dump(mode="json")
    job = jobs.submit(session, actor, KIND, plan.title, told, threads_wanted=threads, priority=priority, terms=terms)
    source = next(file for file in plan.inputs if file.path == _MAIN)
    entry = FileEntry(path=plan.filename, sha256=source.sha256, git_sha1=git_sha1, size_bytes=source.size_bytes)
    assets.record(session, job, KIND, plan.title, job.id, [entry], source="local")
    versions = [dataset.version_id for dataset in plan.datasets if dataset.version_id]
    run = runs.create_for_job(session, actor, job, KIND, dataset_version_ids=versions, tags={"sha256": plan.sha256})
    return TrainingStarted(job=JobOut.model_validate(job), run_id=run.id)


def outputs_of(session: Session, actor: Actor, job_id: str) -> list[FileEntry]:
    """What a script left, paths without their common folder; the script itself is not among them."""
    entries = [entry for entry in _recorded(session, _script(session, actor, job_id).id) if entry.path.startswith(_OUTPUTS)]
    return [entry.model_copy(update={"path": entry.path.removeprefix(_OUTPUTS)}) for entry in entries]


def source_of(session: Session, actor: Actor, job_id: str) -> FileEntry:
    """The file that was run."""
    return next(entry for entry in _recorded(session, _script(session, actor, job_id).id) if not entry.path.startswith(_OUTPUTS))


def _script(session: Session, actor: Actor, job_id: str) -> Job:
    job = jobs.get_for(session, actor, job_id)
    if job.kind != KIND:
        raise NotFound(kind="scripts", id=job_id)
    return job


def _recorded(session: Session, job_id: str) -> list[FileEntry]:
    row = session.scalars(select(Asset).where(Asset.subject_id == job_id, Asset.kind == KIND)).one()
    return [FileEntry.model_validate(entry) for entry in row.files]


def prepare(home: Path, job: Job, event: Event) -> None:
    """Before the transaction: its outputs become blobs. May run twice, to the same effect."""
    if isinstance(event, Finished):
        folder = AttemptDirectory.of(home, job.id, job.attempt).outputs
        for file in ScriptResult.model_validate(event.result).files:
            blobs.keep(home, folder / file.path, file.sha256, file.size_bytes)


def on_event(session: Session, home: Path, job: Job, event: Event) -> None:
    checkpoint_records.on_event(session, home, job, event)
    if not isinstance(event, Finished):
        return
    result = ScriptResult.model_validate(event.result)
    blobs.register(session, result.files)
    made = [FileEntry(path=_OUTPUTS + file.path, **file.model_dump(exclude={"path"})) for file in result.files]
    source = [entry for entry in _recorded(session, job.id) if not entry.path.startswith(_OUTPUTS)]
    assets.record(session, job, KIND, job.title, job.id, [*source, *made], source="local")
    run = runs.of_job(session, job.id)
    told: dict[str, Any] = {"run_id": run.id if run else None, "files": len(made), "step": result.step}
    job.result = told
