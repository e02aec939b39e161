"""Folders of this machine whose files are used where they lie: added, looked at and taken away by admins. Nothing is written there.

A root may lie in an object store too (contract.stores): what a scan finds there is listed here, and comes here when somebody wants it.
"""

import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from kargah.assets.schemas import AssetSummary
from kargah.assets.tables import STORED, Asset, Root
from kargah.contract import scans, stores
from kargah.contract.stores import Store, StoreAccess
from kargah.kit import addresses, files
from kargah.kit.errors import BadInput, Conflict, NotFound
from kargah.kit.ids import new_id
from kargah.kit.settings import Settings
from kargah.store import access
from kargah.store.access import Actor, To

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class BadRoot(BadInput):
    """``path``: no folder, or none that may be read, or one in or around the home or ``other``, another root (``reason``)."""

    code = "BAD_ROOT"


class RootInUse(Conflict):
    """``name``; ``count`` models lie there that are not in the trash."""

    code = "ROOT_IN_USE"


class BadStore(BadInput):
    """``field`` of the wish is no place of an object store, or not what opens one: ``reason``."""

    code = "BAD_STORE"


class PlaceGone(NotFound):
    """``path`` below a root is not there any more, or no ordinary file inside it."""

    code = "PLACE_GONE"


class RootWish(BaseModel):
    """``path``: a folder of this machine, or ``s3://bucket/prefix``; then ``endpoint`` (null: Amazon's), and what opens it, if anything."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(min_length=1, max_length=1000)
    name: str = Field("", max_length=200)
    endpoint: str | None = Field(None, max_length=300)
    region: str | None = Field(None, pattern="^[a-z0-9-]{1,64}$")
    key: str | None = Field(None, max_length=200, pattern=r"^[!-~]+$")
    secret: str | None = Field(None, max_length=500, pattern=r"^[!-~]+$", repr=False)

    @property
    def is_stored(self) -> bool:
        return self.path.strip().startswith(stores.SCHEME)

    @property
    def access(self) -> StoreAccess:
        return StoreAccess(key=self.key, secret=self.secret)


class RootOut(BaseModel):
    """``summary`` of the last scan: files, size_bytes, models, tables, refused: [{place, code, params}] …

    ``endpoint``, ``region``: of an object store. What opens it is told nobody.
    """

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    path: str
    endpoint: str | None = None
    region: str | None = None
    job_id: str | None
    scanned_at: datetime | None
    summary: dict[str, Any]
    owner_id: str
    created_at: datetime


def add(session: Session, actor: Actor, settings: Settings, wish: RootWish) -> RootOut:
    """Raises BadRoot. Any folder that this server may read will do, on whatever disk, but its own home and what is around that.

    Of an object store: raises BadStore. One that is a root already is opened with the new key from now on.
    """
    access.require_admin(actor)
    if wish.is_stored:
        return _add_store(session, actor, settings, wish)
    path = _folder(settings, wish.path)
    for known in session.scalars(select(Root.path).where(~Root.path.startswith(stores.SCHEME))):
        if _overlap(path, Path(known)):
            raise BadRoot(field="path", path=wish.path, reason="root_overlaps", other=known)
    return _added(session, actor, name=wish.name, otherwise=path.name, path=str(path))


def _added(session: Session, actor: Actor, *, name: str, otherwise: str, **where: str | None) -> RootOut:
    row = Root(id=new_id("root"), name=(" ".join(name.split()) or otherwise)[:200], summary={}, **where, **access.owned_by(actor))
    session.add(row)
    session.flush()
    return RootOut.model_validate(row)


def _add_store(session: Session, actor: Actor, settings: Settings, wish: RootWish) -> RootOut:
    store = store_of(wish)
    found = session.scalars(select(Root).where(Root.path.startswith(stores.SCHEME)))
    near = next((row for row in found if f"{row.path}/".startswith(f"{store.url}/") or f"{store.url}/".startswith(f"{row.path}/")), None)
    if near is None:
        made = _added(
            session, actor, name=wish.name, otherwise=store.url, path=store.url, endpoint=store.endpoint, region=store.region
        )  # fmt: skip
    elif (near.path, near.endpoint) == (store.url, store.endpoint):
        near.region = store.region
        made = get_for(session, actor, near.id)
    else:
        raise BadRoot(field="path", path=store.url, reason="root_overlaps", other=near.path)
    wish.access.write(settings.home, made.id)
    return made


def store_of(wish: RootWish) -> Store:
    """Raises BadStore, BadUrl."""
    bucket, _, prefix = wish.path.strip().removeprefix(stores.SCHEME).partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise BadStore(field="path", reason="store_bucket")
    if bool(wish.key) != bool(wish.secret):
        raise BadStore(field="secret" if wish.key else "key", reason="store_key_and_secret")
    prefix = prefix.strip("/")
    endpoint = (wish.endpoint or "").strip() or None
    if endpoint is not None:
        target = addresses.parsed(endpoint)
        if target.path != "/":
            raise BadStore(field="endpoint", reason="store_endpoint")
        endpoint = f"{target.scheme}://{target.authority}"
    return Store(bucket=bucket, prefix=f"{prefix}/" if prefix else "", endpoint=endpoint, region=wish.region)


def store_at(root: Root | RootOut) -> Store | None:
    """None of a folder."""
    if not root.path.startswith(stores.SCHEME):
        return None
    bucket, _, prefix = root.path.removeprefix(stores.SCHEME).partition("/")
    return Store(bucket=bucket, prefix=f"{prefix}/" if prefix else "", endpoint=root.endpoint, region=root.region)


def of_stored(session: Session, asset: AssetSummary | Asset) -> tuple[Root, Store] | None:
    """Where it lies, if it lies in an object store alone. Who asks may see the asset: that is enough to see where from it is read."""
    root = session.get(Root, asset.root_id) if asset.source == STORED and asset.root_id else None
    store = store_at(root) if root is not None else None
    return (root, store) if root is not None and store is not None else None


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
    StoreAccess.forget(settings.home, root_id)


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
