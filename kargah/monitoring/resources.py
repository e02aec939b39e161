"""All that is here to work with, in one shape: models, data sets, checkpoints, artifacts, and what is on its way from a hub."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kargah.assets.schemas import AssetSummary, UserKind
from kargah.assets.tables import STORED, Asset
from kargah.datasets import service as datasets
from kargah.datasets.schemas import DatasetOut
from kargah.datasets.tables import Dataset, DatasetVersion
from kargah.kit.clock import utc_now
from kargah.models import downloads
from kargah.models import service as models
from kargah.models.downloads import SOURCE as FROM_HUB
from kargah.models.downloads import DownloadOut, Status
from kargah.models.schemas import ModelOut
from kargah.models.tables import Download, Model, ModelVersion
from kargah.runs.tables import Run
from kargah.store import access
from kargah.store.access import Actor
from kargah.training import uses
from kargah.training.scripts import KIND as SCRIPT

Kind = Literal["model", "dataset", "checkpoint", "artifact"]
MOST = 200
_ALONE: tuple[Kind, ...] = ("checkpoint", "artifact")
_OF_IMPORTS = {"READY": Status.READY, "IMPORTING": Status.DOWNLOADING, "FAILED": Status.ERROR}
_SOURCES = {"training": "training", "baseline": "training", "hub": FROM_HUB}


class Resource(BaseModel):
    """``id``: of a model version, a data set, else of the asset that it is or that a download will be.

    ``page_id``: of what its page shows, if it has one: a model, a data set, or the run that a checkpoint is of. ``downloaded_at``: when
    it came from a hub. ``used``: by how many runs, models and evaluations; of a model or data set over all its versions.
    """

    id: str
    name: str
    kind: str
    size_bytes: int | None
    status: Status
    source: str
    downloaded_at: datetime | None
    created_at: datetime
    page_id: str | None = None
    error: dict[str, Any] | None = None
    used: dict[UserKind, int] = {}


class Totals(BaseModel):
    total: int
    ready: int
    size_bytes: int
    downloaded_this_month: int


def list_for(
    session: Session, actor: Actor, *, kind: Kind | None = None, query: str | None = None, used: bool | None = None
) -> list[Resource]:
    """The newest first, at most MOST of each kind. ``used``: only those of them that something uses, or that nothing does."""
    found = [one for of_kind in _ALONE if kind in {None, of_kind} for one in _alone(session, actor, of_kind, query, used)]
    if kind not in _ALONE:
        found += [one for one in _with_pages(session, actor, query) if kind in {None, one.kind} and used in {None, bool(one.used)}]
    return sorted(found, key=lambda one: one.created_at, reverse=True)


def trainable(session: Session, actor: Actor) -> list[Resource]:
    """What a training can be made of; of checkpoints those of trainings, where they are whole."""
    found = [one for one in list_for(session, actor) if one.kind != "artifact"]
    runs = {one.page_id for one in found if one.kind == "checkpoint" and one.page_id and one.status is Status.READY}
    trainings = set(session.scalars(select(Run.id).where(Run.id.in_(runs), Run.recipe != SCRIPT)))
    return [one for one in found if one.kind != "checkpoint" or (one.status is Status.READY and one.page_id in trainings)]


def totals(session: Session, actor: Actor) -> Totals:
    """Of all that one may see, however much that is."""
    on_their_way = [one for kind in ("model", "dataset") for one in downloads.latest(session, actor, kind).values()]
    unready = sum(one.status in {Status.DOWNLOADING, Status.ERROR} for one in on_their_way)
    counted = models.count_for(session, actor) + datasets.count_for(session, actor)
    ready = models.count_for(session, actor) + _ready_datasets(session, actor)
    alone = _sums_alone(session, actor)
    return Totals(
        total=counted + unready + sum(count for count, _ in alone.values()),
        ready=ready + alone.get("ready", (0, 0))[0],
        size_bytes=_size_bytes(session, actor) + sum(size_bytes for _, size_bytes in alone.values()),
        downloaded_this_month=_this_month(session, actor),
    )


def _alone(session: Session, actor: Actor, kind: Kind, query: str | None, used: bool | None) -> list[Resource]:
    found = uses.list_for(session, actor, kind=kind, query=query, used=used, limit=MOST).items
    of_jobs = select(Run.job_id, Run.id).where(Run.job_id.in_({one.job_id for one in found if one.job_id}))
    runs = {row.job_id: row.id for row in session.execute(of_jobs)}
    return [_of_asset(one, runs.get(one.job_id)) for one in found]


def _of_asset(one: AssetSummary, run_id: str | None) -> Resource:
    return Resource(
        id=one.id, name=one.name, kind=one.kind, size_bytes=one.size_bytes, status=Status(one.status), source=one.source,
        downloaded_at=one.downloaded_at, created_at=one.created_at, page_id=run_id, used=one.used,
    )  # fmt: skip


def _with_pages(session: Session, actor: Actor, query: str | None) -> list[Resource]:
    came = {kind: downloads.latest(session, actor, kind) for kind in ("model", "dataset")}
    by_page = {one.model_id or one.dataset_id: one for of_kind in came.values() for one in of_kind.values()}
    found = [_of_download(one) for of_kind in came.values() for one in of_kind.values() if _is_on_its_way(one, query)]
    made = models.list_for(session, actor, limit=MOST, query=query).items
    tables = datasets.list_for(session, actor, limit=MOST, query=query).items
    versions = {model.id: [version.id for version in model.versions] for model in made}
    of_tables = select(DatasetVersion.dataset_id, DatasetVersion.id).where(DatasetVersion.dataset_id.in_([table.id for table in tables]))
    for dataset_id, version_id in session.execute(of_tables):
        versions.setdefault(dataset_id, []).append(version_id)
    found += [one for model in made if (one := _of_model(model, by_page))]
    found += [_of_dataset(table, by_page) for table in tables]
    used = uses.counted(session, [version_id for ids in versions.values() for version_id in ids])
    return [one.model_copy(update={"used": _summed(used, versions.get(one.page_id or "", ()))}) for one in found]


def _summed(used: dict[str, uses.Used], version_ids: Iterable[str]) -> uses.Used:
    summed: uses.Used = {}
    for version_id in version_ids:
        for kind, count in used.get(version_id, {}).items():
            summed[kind] = summed.get(kind, 0) + count
    return summed


def _sums_alone(session: Session, actor: Actor) -> dict[str, tuple[int, int]]:
    """Status → (how many, bytes) of checkpoints and artifacts."""
    sums = func.count(), func.coalesce(func.sum(Asset.size_bytes), 0)
    seen = access.visible_to(actor, Asset) & Asset.kind.in_(_ALONE) & Asset.trashed_at.is_(None)
    found = session.execute(select(Asset.status, *sums).where(seen).group_by(Asset.status))
    return {status: (count, int(size_bytes)) for status, count, size_bytes in found}


def _is_on_its_way(one: DownloadOut, query: str | None) -> bool:
    return one.status in {Status.DOWNLOADING, Status.ERROR} and (not query or query.casefold() in one.job.title.casefold())


def _of_download(one: DownloadOut) -> Resource:
    total = one.job.progress.get("total")
    return Resource(
        id=one.asset_id or one.id, name=one.job.title, kind=one.kind, size_bytes=int(total) if total else None, status=one.status,
        source=one.source, downloaded_at=None, created_at=one.created_at, error=one.job.error,
    )  # fmt: skip


def _of_model(model: ModelOut, came: dict[str | None, DownloadOut]) -> Resource | None:
    best = next((version for version in model.versions if version.recommended), model.versions[0] if model.versions else None)
    if best is None:
        return None
    download = came.get(model.id)
    source = STORED if download and download.source == STORED else _SOURCES.get(best.source, "local")
    return Resource(
        id=best.id, name=model.title, kind="model", size_bytes=best.size_bytes, status=Status.READY, source=source,
        downloaded_at=download.finished_at if download else None, created_at=model.created_at, page_id=model.id,
    )  # fmt: skip


def _of_dataset(dataset: DatasetOut, came: dict[str | None, DownloadOut]) -> Resource:
    version, download = dataset.version, came.get(dataset.id)
    return Resource(
        id=dataset.id, name=dataset.title, kind="dataset", size_bytes=version.size_bytes if version else None,
        status=_OF_IMPORTS[version.state] if version else Status.ERROR, source=download.source if download else "local",
        downloaded_at=download.finished_at if download else None, created_at=dataset.created_at, page_id=dataset.id,
    )  # fmt: skip


def _ready_datasets(session: Session, actor: Actor) -> int:
    wanted = select(func.count()).select_from(Dataset).where(access.visible_to(actor, Dataset), Dataset.trashed_at.is_(None))
    return session.scalar(wanted.where(Dataset.current_version_id.is_not(None))) or 0


def _size_bytes(session: Session, actor: Actor) -> int:
    of_models = (
        select(func.coalesce(func.sum(ModelVersion.size_bytes), 0))
        .join(Model, Model.id == ModelVersion.model_id)
        .where(access.visible_to(actor, Model), Model.trashed_at.is_(None))
    )
    of_datasets = (
        select(func.coalesce(func.sum(DatasetVersion.size_bytes), 0))
        .join(Dataset, Dataset.id == DatasetVersion.dataset_id)
        .where(access.visible_to(actor, Dataset), Dataset.trashed_at.is_(None))
    )
    return int(session.scalar(of_models) or 0) + int(session.scalar(of_datasets) or 0)


def _this_month(session: Session, actor: Actor) -> int:
    began = utc_now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    came = (Download.model_id.is_not(None) | Download.dataset_id.is_not(None)) & (Download.finished_at >= began)
    return session.scalar(select(func.count()).select_from(Download).where(access.visible_to(actor, Download), came)) or 0
