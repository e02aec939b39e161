"""Models and their versions: found, registered, imported, handed out."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets import service as assets
from kargah.assets.manifest import FileEntry, commit_id
from kargah.contract.results import ModelOutput, TrainResult
from kargah.kit.clock import utc_now
from kargah.kit.errors import BadInput, NotFound
from kargah.kit.ids import new_id
from kargah.models.folders import ModelFolder
from kargah.models.schemas import ModelOut, ModelPage, ModelVersionOut
from kargah.models.tables import Model, ModelVersion
from kargah.store import access
from kargah.store.access import Actor, To
from kargah.text.normalise import fold

PAGE = 50
MAX_TITLE = 300
#: Not made here: imported from disk, downloaded from a hub.
BROUGHT_IN = ("local", "hub")
_SOURCES = {"training": "training", "baseline": "training"}


def list_for(
    session: Session,
    actor: Actor,
    *,
    cursor: str | None = None,
    limit: int = PAGE,
    query: str | None = None,
    source: str | None = None,
    trashed: bool = False,
) -> ModelPage:
    """The newest first; ``source`` keeps models that have a version from there (``local``: those one can start from, also from a hub)."""
    in_trash = Model.trashed_at.is_not(None) if trashed else Model.trashed_at.is_(None)
    wanted = select(Model).where(access.visible_to(actor, Model), in_trash).order_by(Model.id.desc())
    if cursor:
        wanted = wanted.where(Model.id < cursor)
    if query:
        wanted = wanted.where(Model.title_folded.contains(fold(query), autoescape=True))
    if source:
        sources = BROUGHT_IN if source == "local" else (source,)
        wanted = wanted.where(Model.id.in_(select(ModelVersion.model_id).where(ModelVersion.source.in_(sources))))
    rows = list(session.scalars(wanted.limit(limit + 1)))
    versions = _versions_of(session, [row.id for row in rows[:limit]])
    items = [_out(row, versions.get(row.id, [])) for row in rows[:limit]]
    return ModelPage(items=items, next_cursor=rows[limit - 1].id if len(rows) > limit else None)


def get_for(session: Session, actor: Actor, model_id: str) -> ModelOut:
    row = access.load(session, actor, Model, model_id)
    return _out(row, _versions_of(session, [row.id]).get(row.id, []))


def get_version_for(session: Session, actor: Actor, version_id: str) -> ModelVersionOut:
    """Access to a version is access to its model."""
    version = session.get(ModelVersion, version_id)
    if version is None:
        raise NotFound(kind="model_versions", id=version_id)
    access.load(session, actor, Model, version.model_id)
    return ModelVersionOut.model_validate(version)


def versions_of_run(session: Session, actor: Actor, run_id: str) -> list[ModelVersionOut]:
    """What a training made, the recommended one first. The caller has already loaded the run for ``actor``."""
    rows = session.scalars(
        select(ModelVersion)
        .join(Model, Model.id == ModelVersion.model_id)
        .where(ModelVersion.run_id == run_id, access.visible_to(actor, Model))
        .order_by(ModelVersion.recommended.desc(), ModelVersion.number)
    )
    return [ModelVersionOut.model_validate(row) for row in rows]


def rename(session: Session, actor: Actor, model_id: str, title: str) -> ModelOut:
    row = access.load(session, actor, Model, model_id, To.CHANGE)
    title = " ".join(title.split())[:MAX_TITLE]
    if not title:
        raise BadInput(field="title", reason="missing")
    row.title, row.title_folded = title, fold(title)[:MAX_TITLE]
    assets.rename(session, version_ids(session, model_id), title)
    return get_for(session, actor, model_id)


def delete(session: Session, actor: Actor, model_id: str) -> None:
    """To the trash; ``restore`` brings it back. A second time changes nothing: how long it has been there goes on counting."""
    row = access.load(session, actor, Model, model_id, To.CHANGE)
    if row.trashed_at is None:
        row.trashed_at = utc_now()
        assets.set_trashed(session, version_ids(session, model_id), trashed=True)


def restore(session: Session, actor: Actor, model_id: str) -> ModelOut:
    access.load(session, actor, Model, model_id, To.CHANGE).trashed_at = None
    assets.set_trashed(session, version_ids(session, model_id), trashed=False)
    return get_for(session, actor, model_id)


def version_ids(session: Session, model_id: str) -> list[str]:
    return list(session.scalars(select(ModelVersion.id).where(ModelVersion.model_id == model_id)))


def register_import(
    session: Session, actor: Actor, title: str, folder: ModelFolder, entries: list[FileEntry], licence: str | None = None
) -> ModelOut:
    """A folder whose files are blobs already becomes a model to start from."""
    access.require_creator(actor)
    model = _new_model(session, title, None, **access.owned_by(actor))
    _add(session, model, [_imported_version(model.id, 1, folder, entries, licence)])
    return get_for(session, actor, model.id)


def add_version(
    session: Session, actor: Actor, model_id: str, folder: ModelFolder, entries: list[FileEntry], licence: str | None = None
) -> ModelVersionOut:
    """Another folder of the same model, whose files are blobs already."""
    model = access.load(session, actor, Model, model_id, To.CHANGE)
    last = session.scalar(select(func.max(ModelVersion.number)).where(ModelVersion.model_id == model_id)) or 0
    version = _imported_version(model_id, last + 1, folder, entries, licence)
    _add(session, model, [version])
    return ModelVersionOut.model_validate(version)


def _add(session: Session, model: Model, versions: list[ModelVersion]) -> None:
    """With their files counted as used, and a record among the assets."""
    session.add_all(versions)
    session.flush()
    for version in versions:
        entries = [FileEntry.model_validate(entry) for entry in version.files]
        blobs.register(session, entries)
        assets.record(session, model, "model", model.title, version.id, entries, _SOURCES.get(version.source, "local"))


def _imported_version(model_id: str, number: int, folder: ModelFolder, entries: list[FileEntry], licence: str | None) -> ModelVersion:
    return ModelVersion(
        id=new_id("mv"),
        model_id=model_id,
        number=number,
        name="model",
        source="local",
        family="base",
        architecture=folder.architecture,
        parameters=folder.parameters,
        commit_id=commit_id(entries),
        licence=licence,
        size_bytes=sum(entry.size_bytes for entry in entries),
        files=[entry.model_dump() for entry in entries],
    )


def register_outputs(
    session: Session, run_id: str, title: str, owner: dict[str, str], result: TrainResult, licence: str | None = None
) -> dict[str, str]:
    """The models of a finished training become versions of one model. Returns output name → version id.

    Runs once a training: a second call answers the same.
    """
    known = {row.name: row.id for row in session.scalars(select(ModelVersion).where(ModelVersion.run_id == run_id))}
    if known or not result.models:
        return known
    model = _new_model(session, title, result.models[0].recipe, **owner)
    versions = [
        _trained_version(model.id, number, run_id, output, result.recommended == output.name, licence)
        for number, output in enumerate(result.models, start=1)
    ]
    _add(session, model, versions)
    return {version.name: version.id for version in versions}


def _trained_version(model_id: str, number: int, run_id: str, output: ModelOutput, recommended: bool, licence: str | None) -> ModelVersion:
    entries = [FileEntry.model_validate(file.model_dump()) for file in output.files]
    interval = output.interval.model_dump() if output.interval else None
    return ModelVersion(
        id=new_id("mv"),
        model_id=model_id,
        number=number,
        name=output.name,
        source="training" if output.family == "network" else "baseline",
        family=output.family,
        recipe=output.recipe,
        architecture=output.architecture,
        parameters=output.parameters,
        run_id=run_id,
        base_version_id=output.base_version_id,
        commit_id=commit_id(entries),
        primary_metric=output.primary_metric,
        metrics=output.metrics,
        detail={**output.detail, "interval": interval, "split": output.split, "train_seconds": output.train_seconds},
        recommended=recommended,
        licence=licence,
        size_bytes=output.size_bytes,
        files=[entry.model_dump() for entry in entries],
    )


def _new_model(session: Session, title: str, recipe: str | None, owner_id: str, workspace_id: str, visibility: str = "workspace") -> Model:
    model_id = new_id("mdl")
    row = Model(
        id=model_id,
        slug=model_id.removeprefix("mdl_")[-12:],
        title=title,
        title_folded=fold(title),
        recipe=recipe,
        owner_id=owner_id,
        workspace_id=workspace_id,
        visibility=visibility,
    )
    session.add(row)
    session.flush()
    return row


def _versions_of(session: Session, model_ids: list[str]) -> dict[str, list[ModelVersionOut]]:
    rows = session.scalars(select(ModelVersion).where(ModelVersion.model_id.in_(model_ids)).order_by(ModelVersion.number.desc()))
    found: dict[str, list[ModelVersionOut]] = {}
    for row in rows:
        found.setdefault(row.model_id, []).append(ModelVersionOut.model_validate(row))
    return found


def _out(row: Model, versions: list[ModelVersionOut]) -> ModelOut:
    return ModelOut.model_validate(row).model_copy(update={"versions": versions})


def count_for(session: Session, actor: Actor) -> int:
    return session.scalar(select(func.count()).select_from(Model).where(access.visible_to(actor, Model), Model.trashed_at.is_(None))) or 0
