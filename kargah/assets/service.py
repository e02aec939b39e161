"""The record of everything made of files. Other domains say what they made; here it is listed."""

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from kargah.assets.manifest import FileEntry
from kargah.assets.schemas import AssetOut, AssetPage
from kargah.assets.tables import Asset
from kargah.kit.clock import utc_now
from kargah.kit.ids import new_id
from kargah.store import access
from kargah.store.access import Actor
from kargah.store.base import Owned
from kargah.text.normalise import fold

PAGE = 50


def record(
    session: Session, owner: Owned, kind: str, name: str, subject_id: str, files: Sequence[FileEntry], source: str = "local"
) -> None:
    """Say what ``subject_id`` is made of. A second time replaces the first."""
    asset = session.scalars(select(Asset).where(Asset.subject_id == subject_id)).one_or_none()
    if asset is None:
        asset = Asset(id=new_id("ast"), kind=kind, source=source, subject_id=subject_id, **_owner_of(owner))
        session.add(asset)
    asset.name, asset.name_folded, asset.status = name[:300], fold(name)[:300], "ready"
    asset.files = [entry.model_dump() for entry in files]
    asset.size_bytes = sum(entry.size_bytes for entry in files)
    session.flush()


def set_trashed(session: Session, subject_ids: Sequence[str], trashed: bool) -> None:
    """Follow the subject into the trash and out of it."""
    moment = utc_now() if trashed else None
    session.execute(update(Asset).where(Asset.subject_id.in_(subject_ids)).values(trashed_at=moment))


def set_visibility(session: Session, subject_ids: Sequence[str], visibility: str) -> None:
    """Follow the subject where only its owner sees it, and back."""
    session.execute(update(Asset).where(Asset.subject_id.in_(subject_ids)).values(visibility=visibility))


def list_for(session: Session, actor: Actor, *, kind: str | None = None, cursor: str | None = None, limit: int = PAGE) -> AssetPage:
    """The newest first."""
    wanted = select(Asset).where(access.visible_to(actor, Asset), Asset.trashed_at.is_(None)).order_by(Asset.id.desc()).limit(limit + 1)
    if kind:
        wanted = wanted.where(Asset.kind == kind)
    if cursor:
        wanted = wanted.where(Asset.id < cursor)
    items = [AssetOut.model_validate(row) for row in session.scalars(wanted)]
    return AssetPage(items=items[:limit], next_cursor=items[limit - 1].id if len(items) > limit else None)


def _owner_of(row: Owned) -> dict[str, str]:
    return {"owner_id": row.owner_id, "workspace_id": row.workspace_id, "visibility": row.visibility}
