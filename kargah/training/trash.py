"""The trash of a workspace: data sets, models and artifacts that were thrown away, how long they stay, and how they go for good."""

import logging
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets import service as assets
from kargah.assets.tables import Asset
from kargah.datasets import service as datasets
from kargah.datasets.tables import Dataset, DatasetVersion
from kargah.kit.clock import utc_now
from kargah.kit.errors import Conflict
from kargah.kit.settings import Settings
from kargah.models import service as models
from kargah.models.tables import Model, ModelVersion
from kargah.store import access
from kargah.store.access import Actor, Role, To
from kargah.store.database import Database
from kargah.training import checkpoints
from kargah.training.purging import purge_asset, purge_dataset, purge_model

Kind = Literal["dataset", "model", "artifact"]
TABLES: dict[Kind, Any] = {"dataset": Dataset, "model": Model, "artifact": Asset}
VERSIONS: dict[str, Any] = {"dataset": (DatasetVersion, DatasetVersion.dataset_id), "model": (ModelVersion, ModelVersion.model_id)}
PURGES = {"dataset": purge_dataset, "model": purge_model, "artifact": purge_asset}
MOST_SHOWN = 200
LOOK_SECONDS = 3600.0

log = logging.getLogger(__name__)


class Thrown(BaseModel):
    """Something in the trash. ``expires_at``: when it goes for good, unless something uses it; null where nothing expires."""

    id: str
    kind: Kind
    title: str
    size_bytes: int
    trashed_at: datetime
    expires_at: datetime | None
    may_change: bool


class Trash(BaseModel):
    """The latest thrown first, at most MOST_SHOWN; ``total`` and ``size_bytes`` are of all."""

    items: list[Thrown]
    total: int
    size_bytes: int
    kept_days: float


def show(session: Session, actor: Actor, settings: Settings) -> Trash:
    items: list[Thrown] = []
    total = size_bytes = 0
    for kind in TABLES:
        count, bytes_of_kind = session.execute(_measured(actor, kind)).one()
        total, size_bytes = total + int(count), size_bytes + int(bytes_of_kind or 0)
        items += _thrown(session, actor, kind, settings.trash_days)
    items.sort(key=lambda one: one.trashed_at, reverse=True)
    return Trash(items=items[:MOST_SHOWN], total=total, size_bytes=size_bytes, kept_days=settings.trash_days)


def throw(session: Session, actor: Actor, asset_id: str, home: Path) -> None:
    """To the trash: an artifact by itself, the files of a version with the model or data set that it is of. A checkpoint goes for good."""
    asset = access.load(session, actor, Asset, asset_id, To.CHANGE)
    model = session.get(ModelVersion, asset.subject_id) if asset.subject_id else None
    dataset = session.get(DatasetVersion, asset.subject_id) if asset.subject_id else None
    if model is not None:
        models.delete(session, actor, model.model_id)
    elif dataset is not None:
        datasets.delete(session, actor, dataset.dataset_id)
    else:
        throw_alone(session, actor, asset_id, home)


def throw_alone(session: Session, actor: Actor, asset_id: str, home: Path) -> None:
    """An artifact, to the trash; a checkpoint, for good and by the rules of its training. Raises NotAlone, CheckpointInUse."""
    asset = access.load(session, actor, Asset, asset_id, To.CHANGE)
    if asset.job_id is not None and asset.place is not None:
        checkpoints.delete(session, actor, asset.job_id, asset.place, home)
    else:
        assets.delete_artifact(session, actor, asset_id)


def restore(session: Session, actor: Actor, kind: Kind, row_id: str) -> None:
    """To where it was."""
    {"dataset": datasets.restore, "model": models.restore, "artifact": assets.restore}[kind](session, actor, row_id)


def purge(session: Session, actor: Actor, kind: Kind, row_id: str) -> list[str]:
    """For good. Returns hashes for ``blobs.discard``. Raises NotInTrash, DatasetInUse, ModelInUse."""
    return PURGES[kind](session, actor, row_id)


def empty(session: Session, actor: Actor) -> tuple[list[str], int]:
    """All that the asker may change and nothing uses. Returns hashes for ``blobs.discard``, and how many stayed because they are used."""
    access.require_creator(actor)
    freed: list[str] = []
    kept = 0
    for kind in ("model", "dataset", "artifact"):  # a data set may be used by nothing once its models are gone
        table = TABLES[kind]
        for row in list(session.scalars(select(table).where(_in_trash(actor, kind)))):
            if not _may_change(actor, row):
                continue
            try:
                freed += purge(session, actor, kind, row.id)
            except Conflict:
                kept += 1
    return freed, kept


class Expiry:
    """What has been in the trash for ``trash_days`` goes for good, unless something uses it: then it stays until nothing does."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._looked_seconds: float | None = None

    def tick(self) -> None:
        """Looks once an hour."""
        now = time.monotonic()
        if not self._settings.trash_days or (self._looked_seconds is not None and now < self._looked_seconds + LOOK_SECONDS):
            return
        self._looked_seconds = now
        self.expire(utc_now() - timedelta(days=self._settings.trash_days))

    def expire(self, thrown_before: datetime) -> int:
        """Returns how many went. Each in a transaction of its own: they wait for nobody long, and one that is used holds up no other."""
        with self._database.read() as session:
            old = list(_old(session, thrown_before))
        gone = 0
        for kind, row_id, actor in old:
            try:
                with self._database.write() as session:
                    freed = purge(session, actor, kind, row_id)
            except Conflict:
                continue
            blobs.discard(self._settings.home, freed)
            log.info("%s %s was in the trash for too long", kind, row_id)
            gone += 1
        return gone


def _old(session: Session, thrown_before: datetime) -> Iterator[tuple[Kind, str, Actor]]:
    """Models first: a data set may be used by them alone. As an admin of its own workspace."""
    for kind in ("model", "dataset", "artifact"):
        table = TABLES[kind]
        for row in session.scalars(select(table).where(_of_kind(kind), table.trashed_at < thrown_before).order_by(table.id)):
            yield kind, row.id, Actor(row.owner_id, Role.ADMIN, row.workspace_id, frozenset({row.workspace_id}))


def _of_kind(kind: Kind) -> Any:
    """What belongs to a model or a data set goes with it."""
    table = TABLES[kind]
    there = table.trashed_at.is_not(None)
    return there & Asset.subject_id.is_(None) if kind == "artifact" else there


def _in_trash(actor: Actor, kind: Kind) -> Any:
    return access.visible_to(actor, TABLES[kind]) & _of_kind(kind)


def _measured(actor: Actor, kind: Kind) -> Any:
    """(count, bytes) of a kind."""
    if kind == "artifact":
        return select(func.count(), func.coalesce(func.sum(Asset.size_bytes), 0)).where(_in_trash(actor, kind))
    table, (versions, owner) = TABLES[kind], VERSIONS[kind]
    found = select(func.count(table.id.distinct()), func.coalesce(func.sum(versions.size_bytes), 0))
    return found.select_from(table).outerjoin(versions, owner == table.id).where(_in_trash(actor, kind))


def _thrown(session: Session, actor: Actor, kind: Kind, kept_days: float) -> list[Thrown]:
    table = TABLES[kind]
    named = (table.name if kind == "artifact" else table.title).label("title")
    wanted = select(table.id, named, table.trashed_at, table.owner_id, _size_of(kind).label("size_bytes")).where(_in_trash(actor, kind))
    return [
        Thrown(
            id=row.id, kind=kind, title=row.title, size_bytes=int(row.size_bytes or 0), trashed_at=row.trashed_at,
            expires_at=row.trashed_at + timedelta(days=kept_days) if kept_days else None, may_change=_may_change(actor, row),
        )
        for row in session.execute(wanted.order_by(table.trashed_at.desc()).limit(MOST_SHOWN))
    ]  # fmt: skip


def _size_of(kind: Kind) -> Any:
    """Of one row, over all its versions."""
    if kind == "artifact":
        return Asset.size_bytes
    table, (versions, owner) = TABLES[kind], VERSIONS[kind]
    return select(func.sum(versions.size_bytes)).where(owner == table.id).scalar_subquery()


def _may_change(actor: Actor, row: Any) -> bool:
    return actor.is_admin or (actor.role is Role.TRAINER and row.owner_id == actor.user_id)
