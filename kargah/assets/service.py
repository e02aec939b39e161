"""The record of everything made of files. Other domains say what they made; here it is listed."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets.manifest import FileEntry, content_sha256
from kargah.assets.schemas import AssetOut, AssetPage, AssetSummary
from kargah.assets.tables import Asset
from kargah.kit.clock import utc_now
from kargah.kit.errors import Conflict
from kargah.kit.files import Digest
from kargah.kit.ids import new_id
from kargah.store import access
from kargah.store.access import Actor, To
from kargah.store.base import Owned
from kargah.text.normalise import fold

PAGE, PAGE_LIMIT = 50, 200
#: The source of records that say what was ever pushed to a repository; the versions made of it have records of their own.
PUSHED = "hub"
_SUMMARY = [getattr(Asset, name) for name in AssetSummary.model_fields if name != "used"]


class NotAlone(Conflict):
    """``title``: its files belong to a model or a data set, and go and come with it."""

    code = "ASSET_NOT_ALONE"


def record(
    session: Session, owner: Owned, kind: str, name: str, subject_id: str, files: Sequence[FileEntry], source: str = "local"
) -> Asset:
    """Say what ``subject_id`` is made of. A second time replaces the first."""
    asset = session.scalars(select(Asset).where(Asset.subject_id == subject_id)).one_or_none()
    if asset is None:
        asset = Asset(id=new_id("ast"), kind=kind, source=source, subject_id=subject_id, **_owner_of(owner))
        session.add(asset)
    asset.name, asset.name_folded, asset.status = name[:300], fold(name)[:300], "ready"
    asset.files = [entry.model_dump() for entry in files]
    asset.size_bytes = sum(entry.size_bytes for entry in files)
    asset.sha256 = content_sha256(files) if files else None
    session.flush()
    return asset


def forget(session: Session, subject_ids: Sequence[str]) -> None:
    session.execute(delete(Asset).where(Asset.subject_id.in_(subject_ids)))


def rename(session: Session, subject_ids: Sequence[str], name: str) -> None:
    session.execute(update(Asset).where(Asset.subject_id.in_(subject_ids)).values(name=name[:300], name_folded=fold(name)[:300]))


def set_trashed(session: Session, subject_ids: Sequence[str], trashed: bool) -> None:
    """Follow the subject into the trash and out of it."""
    moment = utc_now() if trashed else None
    session.execute(update(Asset).where(Asset.subject_id.in_(subject_ids)).values(trashed_at=moment))


def delete_artifact(session: Session, actor: Actor, asset_id: str) -> None:
    """To the trash; ``restore`` brings it back. Raises NotAlone for the files of a model or a data set: that is what is deleted then."""
    asset = access.load(session, actor, Asset, asset_id, To.CHANGE)
    if asset.subject_id is not None:
        raise NotAlone(title=asset.name)
    if asset.trashed_at is None:
        asset.trashed_at = utc_now()


def restore(session: Session, actor: Actor, asset_id: str) -> None:
    asset = access.load(session, actor, Asset, asset_id, To.CHANGE)
    if asset.subject_id is not None:
        raise NotAlone(title=asset.name)
    asset.trashed_at = None


def set_visibility(session: Session, subject_ids: Sequence[str], visibility: str) -> None:
    """Follow the subject where only its owner sees it, and back."""
    session.execute(update(Asset).where(Asset.subject_id.in_(subject_ids)).values(visibility=visibility))


def list_for(
    session: Session,
    actor: Actor,
    *,
    kind: str | None = None,
    status: str | None = None,
    source: str | None = None,
    root: str | None = None,
    in_place: bool = False,
    query: str | None = None,
    trashed: bool = False,
    where: ColumnElement[bool] | None = None,
    cursor: str | None = None,
    limit: int = PAGE,
) -> AssetPage:
    """The newest first; ``query`` is looked for in names, spelling folded. ``in_place``: only what lies under a root.

    Who uses them is other domains' to say (training.uses); ``where`` is their word about it.
    """
    in_trash = Asset.trashed_at.is_not(None) if trashed else Asset.trashed_at.is_(None)
    wanted = select(*_SUMMARY).where(access.visible_to(actor, Asset), in_trash, Asset.source != PUSHED).order_by(Asset.id.desc())
    for column, value in ((Asset.kind, kind), (Asset.status, status), (Asset.source, source), (Asset.root_id, root)):
        if value:
            wanted = wanted.where(column == value)
    if in_place:
        wanted = wanted.where(Asset.root_id.is_not(None))
    if where is not None:
        wanted = wanted.where(where)
    if query:
        wanted = wanted.where(Asset.name_folded.contains(fold(query), autoescape=True))
    if cursor:
        wanted = wanted.where(Asset.id < cursor)
    limit = max(1, min(limit, PAGE_LIMIT))
    items = [AssetSummary.model_validate(row) for row in session.execute(wanted.limit(limit + 1))]
    return AssetPage(items=items[:limit], next_cursor=items[limit - 1].id if len(items) > limit else None)


def get_for(session: Session, actor: Actor, asset_id: str, to: To | str = To.READ) -> AssetOut:
    return AssetOut.model_validate(access.load(session, actor, Asset, asset_id, to))


def of_subject(session: Session, actor: Actor, subject_id: str) -> AssetOut:
    """The record of a version."""
    found = session.scalars(select(Asset.id).where(Asset.subject_id == subject_id)).one_or_none()
    return get_for(session, actor, found or subject_id)


def keep_artifact(session: Session, actor: Actor, kind: str, name: str, filename: str, digest: Digest) -> AssetOut:
    """A file that is kept as it is; its bytes are a blob already."""
    access.require_creator(actor)
    blobs.register(session, [digest])
    entry = FileEntry(path=PurePosixPath(filename).name, sha256=digest.sha256, git_sha1=digest.git_sha1, size_bytes=digest.size_bytes)
    asset = Asset(
        id=new_id("ast"), kind=kind, name=name[:300], name_folded=fold(name)[:300], status="ready", source="local",
        size_bytes=digest.size_bytes, sha256=digest.sha256, files=[entry.model_dump()], **access.owned_by(actor),
    )  # fmt: skip
    session.add(asset)
    session.flush()
    return AssetOut.model_validate(asset)


def _owner_of(row: Owned) -> dict[str, str]:
    return {"owner_id": row.owner_id, "workspace_id": row.workspace_id, "visibility": row.visibility}
