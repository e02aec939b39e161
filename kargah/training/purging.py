"""Deleting for good what is in the trash: the versions, the record, and the files that nothing else uses."""

from sqlalchemy import ColumnElement, String, cast, delete, func, select, update
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets.tables import STORED, Asset, Blob
from kargah.datasets.errors import NotImported
from kargah.datasets.tables import Dataset, DatasetVersion
from kargah.hub.tables import Repository
from kargah.jobs.states import TERMINAL
from kargah.jobs.tables import Job
from kargah.kit.errors import Conflict
from kargah.models.tables import Model, ModelVersion
from kargah.runs.tables import Run, RunInput
from kargah.store import access
from kargah.store.access import Actor, To
from kargah.training.tables import Evaluation

MOST_NAMED = 10


class NotInTrash(Conflict):
    """``title``: what is deleted for good goes to the trash first."""

    code = "NOT_IN_TRASH"


class DatasetInUse(Conflict):
    """``runs``, ``models``: their titles, so far as the asker may see them; ``more``: how many besides."""

    code = "DATASET_IN_USE"


class StillEvaluating(Conflict):
    """``title``: its job is not over."""

    code = "STILL_EVALUATING"


class ModelInUse(Conflict):
    """``models`` that were trained from it, ``jobs`` that wait or run with it: titles, so far as the asker may see them."""

    code = "MODEL_IN_USE"


def purge_dataset(session: Session, actor: Actor, dataset_id: str) -> list[str]:
    """Delete a data set that is in the trash. Returns the hashes of files that nothing uses any more, for ``blobs.discard``.

    Raises NotInTrash, NotImported while a version of it is being made, DatasetInUse while a run or a model stands on one.
    """
    dataset = access.load(session, actor, Dataset, dataset_id, To.CHANGE)
    if dataset.trashed_at is None:
        raise NotInTrash(title=dataset.title)
    versions = list(session.scalars(select(DatasetVersion).where(DatasetVersion.dataset_id == dataset_id)))
    if any(version.state == "IMPORTING" for version in versions):
        raise NotImported(title=dataset.title, state="IMPORTING")
    ids = [version.id for version in versions]
    _refuse_when_used(session, actor, dataset, ids)
    hashes = {entry["sha256"] for version in versions for entry in version.files or []} | {version.source_sha256 for version in versions}
    hashes |= _of_evaluations(session, Evaluation.dataset_version_id.in_(ids))
    hashes |= _forgotten(session, [*ids, *session.scalars(select(Repository.id).where(Repository.dataset_id == dataset_id))])
    session.delete(dataset)
    return unused(session, hashes)


def purge_evaluation(session: Session, actor: Actor, evaluation_id: str) -> list[str]:
    """Delete what an evaluation found; its job stays. Returns as ``purge_dataset`` does. Raises StillEvaluating."""
    row = access.load(session, actor, Evaluation, evaluation_id, To.CHANGE)
    job = session.get(Job, row.job_id)
    if job is not None and job.state not in TERMINAL:
        raise StillEvaluating(title=row.title)
    hashes = {entry["sha256"] for entry in row.files or []}
    session.delete(row)
    return unused(session, hashes)


def purge_model(session: Session, actor: Actor, model_id: str) -> list[str]:
    """Delete a model that is in the trash, with all its versions. Returns the hashes of files that nothing uses any more.

    Raises NotInTrash, ModelInUse while another model was trained from it, or a job waits or runs that begins with it.
    """
    model = access.load(session, actor, Model, model_id, To.CHANGE)
    if model.trashed_at is None:
        raise NotInTrash(title=model.title)
    versions = list(session.scalars(select(ModelVersion).where(ModelVersion.model_id == model_id)))
    ids = [version.id for version in versions]
    _refuse_when_built_upon(session, actor, model, ids)
    hashes = {entry["sha256"] for version in versions for entry in version.files}
    hashes |= _forgotten(session, [*ids, *session.scalars(select(Repository.id).where(Repository.model_id == model_id))])
    hashes |= _of_evaluations(session, Evaluation.model_version_id.in_(ids) | Evaluation.other_version_id.in_(ids))
    session.execute(update(ModelVersion).where(ModelVersion.model_id == model_id).values(base_version_id=None))
    session.delete(model)
    return unused(session, hashes)


def purge_asset(session: Session, actor: Actor, asset_id: str) -> list[str]:
    """Delete an artifact that is in the trash. Returns the hashes of files that nothing uses any more. Raises NotInTrash."""
    asset = access.load(session, actor, Asset, asset_id, To.CHANGE)
    if asset.trashed_at is None or asset.subject_id is not None:
        raise NotInTrash(title=asset.name)
    hashes = {entry["sha256"] for entry in asset.files}
    session.delete(asset)
    return unused(session, hashes)


def _of_evaluations(session: Session, which: ColumnElement[bool]) -> set[str]:
    """They go with their data and their models: the hashes of their tables of errors."""
    return {entry["sha256"] for entries in session.scalars(select(Evaluation.files).where(which)) for entry in entries or []}


def _forgotten(session: Session, subject_ids: list[str]) -> set[str]:
    """Of records that go: the hashes of their files."""
    found = session.scalars(select(Asset.files).where(Asset.subject_id.in_(subject_ids)))
    hashes = {entry["sha256"] for entries in found for entry in entries}
    session.execute(delete(Asset).where(Asset.subject_id.in_(subject_ids)))
    return hashes


def unused(session: Session, hashes: set[str]) -> list[str]:
    """Those of the hashes that nothing uses once what was deleted is gone; their rows go too."""
    session.flush()
    blobs.in_use(session, hashes)  # whoever registers one of them at this moment has done so before we look, or does it after us
    freed = sorted(sha256 for sha256 in hashes - {""} if not _is_used(session, sha256))
    session.execute(delete(Blob).where(Blob.sha256.in_(freed)))
    return freed


def _refuse_when_used(session: Session, actor: Actor, dataset: Dataset, version_ids: list[str]) -> None:
    users = select(RunInput.run_id).where(RunInput.dataset_version_id.in_(version_ids))
    runs = session.scalar(select(func.count()).select_from(Run).where(Run.id.in_(users))) or 0
    if not runs:
        return
    seen = select(Run.title).where(Run.id.in_(users), access.visible_to(actor, Run)).order_by(Run.id.desc()).limit(MOST_NAMED)
    trained = select(ModelVersion.model_id).where(ModelVersion.run_id.in_(users))
    models = select(Model.title).where(Model.id.in_(trained), access.visible_to(actor, Model)).order_by(Model.id.desc()).limit(MOST_NAMED)
    titles = list(session.scalars(seen))
    raise DatasetInUse(
        title=dataset.title, runs=", ".join(titles), models=", ".join(session.scalars(models)) or "–", more=runs - len(titles)
    )  # fmt: skip


def _refuse_when_built_upon(session: Session, actor: Actor, model: Model, version_ids: list[str]) -> None:
    built = select(ModelVersion.model_id).where(ModelVersion.base_version_id.in_(version_ids), ModelVersion.model_id != model.id)
    built_ids = set(session.scalars(built))
    waiting = select(Job.id, Job.plan).where(Job.state.not_in(TERMINAL), Job.kind.in_(["train", "evaluate"]))
    job_ids = {row.id for row in session.execute(waiting) if _begins_with(row.plan, version_ids)}
    if not built_ids and not job_ids:
        return
    models = select(Model.title).where(Model.id.in_(built_ids), access.visible_to(actor, Model)).order_by(Model.id.desc())
    jobs = select(Job.title).where(Job.id.in_(job_ids), access.visible_to(actor, Job)).order_by(Job.id.desc())
    titles, jobs_titles = list(session.scalars(models.limit(MOST_NAMED))), list(session.scalars(jobs.limit(MOST_NAMED)))
    more = len(built_ids) + len(job_ids) - len(titles) - len(jobs_titles)
    raise ModelInUse(title=model.title, models=", ".join(titles) or "–", jobs=", ".join(jobs_titles) or "–", more=more)


def _begins_with(plan: dict[str, object], version_ids: list[str]) -> bool:
    evaluated = plan.get("models")
    used = [plan.get("base_model"), plan.get("teacher_model"), *(evaluated if isinstance(evaluated, list) else [])]
    return any(isinstance(one, dict) and one.get("version_id") in version_ids for one in used)


def _is_used(session: Session, sha256: str) -> bool:
    """By any version of data or model, by an evaluation, or by any other record of files."""
    named = [cast(table.files, String).contains(sha256) for table in (DatasetVersion, ModelVersion, Evaluation)]
    named.append(cast(Asset.files, String).contains(sha256) & (Asset.source != STORED))
    source = select(DatasetVersion.id).where(DatasetVersion.source_sha256 == sha256).limit(1)
    if session.scalar(source):
        return True
    return any(session.scalar(select(func.count()).where(where)) for where in named)
