"""Folders of this machine whose files are used where they lie: added, looked at and taken away by admins. Nothing is written there."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from kargah.assets.schemas import AssetSummary
from kargah.assets.tables import Asset, Root
from kargah.contract import scans
from kargah.kit import files
from kargah.kit.errors import BadInput, Conflict, NotFound
from kargah.kit.ids import new_id
from kargah.kit.settings import Settings
from kargah.store import access
from kargah.store.access import Actor, To


class BadRoot(BadInput):
    """``path``: no folder, or none that may be read, or one in or around the home or ``other``, another root (``reason``)."""

    code = "BAD_ROOT"


class RootInUse(Conflict):
    """``name``; ``count`` models lie there that are not in the trash."""

    code = "ROOT_IN_USE"


class PlaceGone(NotFound):
    """``path`` below a root is not there any more, or no ordinary file inside it."""

    code = "PLACE_GONE"


class RootWish(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: str = Field(min_length=1, max_length=1000)
    name: str = Field("", max_length=200)


class RootOut(BaseModel):
    """``summary`` of the last scan: files, size_bytes, models, tables, refused: [{place, code, params}] …"""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    path: str
    job_id: str | None
    scanned_at: datetime | None
    summary: dict[str, Any]
    owner_id: str
    created_at: datetime


def add(session: Session, actor: Actor, settings: Settings, wish: RootWish) -> RootOut:
    """Raises BadRoot. Any folder that this server may read will do, on whatever disk, but its own home and what is around that."""
    access.require_admin(actor)
    path = _folder(settings, wish.path)
    for known in session.scalars(select(Root.path)):
        if _overlap(path, Path(known)):
            raise BadRoot(field="path", path=wish.path, reason="root_overlaps", other=known)
    row = Root(id=new_id("root"), name=" ".join(wish.name.split()) or path.name, path=str(path), summary={}, **access.owned_by(actor))
    session.add(row)
    session.flush()
    return RootOut.model_validate(row)


def list_for(session: Session, actor: Actor) -> list[RootOut]:
    access.require_admin(actor)
    return [RootOut.model_validate(row) for row in session.scalars(select(Root).where(access.visible_to(actor, Root)).order_by(Root.id))]


def get_for(session: Session, actor: Actor, root_id: str) -> RootOut:
    access.require_admin(actor)
    return RootOut.model_validate(access.load(session, actor, Root, root_id))


def remove(session: Session, actor: Actor, settings: Settings, root_id: str) -> None:
    """Its files are left as they are. Raises RootInUse while models of it are here: they go to the trash, and out of it, first."""
    access.require_admin(actor)
    row = access.load(session, actor, Root, root_id, To.CHANGE)
    standing = session.query(Asset).where(Asset.root_id == root_id, Asset.subject_id.is_not(None)).count()
    if standing:
        raise RootInUse(name=row.name, count=standing)
    session.execute(delete(Asset).where(Asset.root_id == root_id))
    session.delete(row)
    index = scans.index_of(settings.home, root_id)
    for path in (index, index.with_suffix(".part")):
        path.unlink(missing_ok=True)


def find(session: Session, actor: Actor, given: str) -> AssetSummary | None:
    """What a scan found at this path of the server. None where it lies below no root; raises PlaceGone for what no scan has found there."""
    for root in session.scalars(select(Root).where(access.visible_to(actor, Root))):
        if given.startswith(f"{root.path.rstrip('/')}/"):
            place = given.removeprefix(root.path).strip("/")
            here = select(Asset).where(Asset.root_id == root.id, Asset.place == place, access.visible_to(actor, Asset))
            found = session.scalars(here).first()
            if found is None:
                raise PlaceGone(kind="files", id=place, path=place)
            return AssetSummary.model_validate(found)
    return None


def locate(root_path: str, place: str) -> Path:
    """The ordinary file at ``place`` below the root; no link on the way leads out of it. Raises PlaceGone."""
    try:
        path = files.safe_join(Path(root_path), *place.split("/"))
        is_there = path.is_file() and not path.is_symlink()
    except (files.UnsafePath, OSError, ValueError):
        is_there = False
    if not is_there:
        raise PlaceGone(kind="files", id=place, path=place)
    return path


def _folder(settings: Settings, given: str) -> Path:
    if "\0" in given or not given.startswith("/"):
        raise BadRoot(field="path", path=given.replace("\0", ""), reason="root_not_absolute")
    try:
        path = Path(given).resolve(strict=True)
        is_readable = path.is_dir() and os.access(path, os.R_OK | os.X_OK)
    except (OSError, RuntimeError, UnicodeEncodeError):
        is_readable = False
    if not is_readable:
        raise BadRoot(field="path", path=given, reason="root_not_readable")
    if _overlap(path, settings.home.resolve()):
        raise BadRoot(field="path", path=given, reason="root_is_home")
    return path


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
