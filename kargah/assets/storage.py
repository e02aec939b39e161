"""Where the room goes: by kind of asset, by root, by person and workspace, and what files that are kept once save."""

import shutil

from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kargah.assets import uploads
from kargah.assets.service import PUSHED
from kargah.assets.tables import STORED, Asset, Blob, Root
from kargah.contract import stores
from kargah.kit.settings import Settings
from kargah.store import access
from kargah.store.access import Actor


class Share(BaseModel):
    """``name``: a kind of asset, or ``trash``."""

    name: str
    count: int
    size_bytes: int


class Disk(BaseModel):
    """The disk that a folder lies on. ``is_here``: whether the folder can be reached now; then the rest is known.

    Nobody asks an object store for this: its scans say when it is out of reach. It has no end, so its bytes are 0.
    """

    is_here: bool
    total_bytes: int = 0
    free_bytes: int = 0


class Quota(BaseModel):
    """``of``: user or workspace."""

    of: str
    used_bytes: int
    limit_bytes: int | None


class RootShare(BaseModel):
    """``id`` is null for the store of this home itself."""

    id: str | None
    name: str
    path: str
    count: int
    size_bytes: int
    disk: Disk


class Storage(BaseModel):
    """``stored_bytes``: what the files of the store take; ``named_bytes``: what they would, were each kept as often as it is used.

    Shares, and counts of roots, are of what the asker may see.
    """

    shares: list[Share]
    stored_bytes: int
    named_bytes: int
    roots: list[RootShare]
    quotas: list[Quota]


def show(session: Session, actor: Actor, settings: Settings) -> Storage:
    checkpoints = (Asset.kind == "checkpoint") & (Asset.source == "training")  # these lie with their trainings
    named = select(func.coalesce(func.sum(Asset.size_bytes), 0)).where(Asset.root_id.is_(None), ~checkpoints)
    return Storage(
        shares=_shares(session, actor),
        stored_bytes=int(session.scalar(select(func.coalesce(func.sum(Blob.size_bytes), 0))) or 0) if actor.is_admin else 0,
        named_bytes=int(session.scalar(named) or 0) if actor.is_admin else 0,
        roots=_roots(session, actor, settings),
        quotas=[
            Quota(of="user", used_bytes=uploads.used_bytes(session, user_id=actor.user_id), limit_bytes=settings.user_quota_bytes),
            Quota(
                of="workspace", used_bytes=uploads.used_bytes(session, workspace_id=actor.workspace_id),
                limit_bytes=settings.workspace_quota_bytes,
            ),
        ],
    )  # fmt: skip


def _shares(session: Session, actor: Actor) -> list[Share]:
    """The largest first."""
    sums = func.count(), func.coalesce(func.sum(Asset.size_bytes), 0)
    seen = access.visible_to(actor, Asset) & Asset.source.not_in([PUSHED, STORED])
    live = select(Asset.kind, *sums).where(seen, Asset.trashed_at.is_(None)).group_by(Asset.kind)
    shares = [Share(name=kind, count=count, size_bytes=int(size_bytes)) for kind, count, size_bytes in session.execute(live)]
    count, size_bytes = session.execute(select(*sums).where(seen, Asset.trashed_at.is_not(None))).one()
    if count:
        shares.append(Share(name="trash", count=count, size_bytes=int(size_bytes)))
    return sorted(shares, key=lambda share: share.size_bytes, reverse=True)


def _roots(session: Session, actor: Actor, settings: Settings) -> list[RootShare]:
    """This home's own store first. Paths are for admins to see."""
    found = select(Asset.root_id, func.count(), func.coalesce(func.sum(Asset.size_bytes), 0))
    found = found.where(access.visible_to(actor, Asset), Asset.source != PUSHED).group_by(Asset.root_id)
    sums = {root_id: (count, int(size_bytes)) for root_id, count, size_bytes in session.execute(found)}
    rows: list[tuple[str | None, str, str]] = [(None, "", str(settings.home.resolve()))]
    rows += [(row.id, row.name, row.path) for row in session.scalars(select(Root).where(access.visible_to(actor, Root)).order_by(Root.id))]
    return [
        RootShare(
            id=root_id, name=name, path=path if actor.is_admin else "", count=sums.get(root_id, (0, 0))[0],
            size_bytes=sums.get(root_id, (0, 0))[1], disk=_disk(path),
        )
        for root_id, name, path in rows
    ]  # fmt: skip


def _disk(path: str) -> Disk:
    if path.startswith(stores.SCHEME):
        return Disk(is_here=True)
    try:
        usage = shutil.disk_usage(path)
    except OSError:
        return Disk(is_here=False)
    return Disk(is_here=True, total_bytes=usage.total, free_bytes=usage.free)
