"""What a scan found in an object store: listed as what could come here, and brought here by a download when somebody wants it.

Nothing of it is used where it lies: bytes that may be away, or slow, or changed by others are no place to train from.
"""

from pathlib import PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.assets import roots
from kargah.assets.manifest import FileEntry, commit_id, content_sha256
from kargah.assets.tables import STORED, Asset, Root
from kargah.contract import scans
from kargah.contract.plans import PlannedFile, StoredFiles
from kargah.contract.results import ScanResult
from kargah.contract.scans import Scanned
from kargah.jobs.terms import Terms, Window
from kargah.kit import addresses
from kargah.kit.errors import BadInput
from kargah.kit.ids import new_id
from kargah.kit.settings import Settings
from kargah.models import downloads
from kargah.models.downloads import DownloadOut, Status
from kargah.models.folders import ModelIsPickle
from kargah.store import access
from kargah.store.access import Actor
from kargah.text.normalise import fold

#: The name of an access that opens nothing: addresses in a store are signed one by one.
NOBODY = "nobody"


class NotStored(BadInput):
    """``title``: does not lie in an object store, or is damaged there."""

    code = "NOT_STORED"


class BringWish(BaseModel):
    """``window``: hours of the day in which it may come."""

    model_config = ConfigDict(extra="forbid")

    window: Window | None = None
    bytes_per_second: int | None = Field(None, ge=1024)


class Registration:
    """Of one scan: the assets of a root are what its index says, and all of it was read since somebody may want it."""

    def __init__(self, session: Session, root: Root, index: list[Scanned], result: ScanResult, *, again: bool) -> None:
        self._session, self._root, self._damaged, self._again = session, root, set(result.damaged), again
        self._folders: dict[str, list[Scanned]] = {}
        for one in index:
            self._folders.setdefault(one.path.rpartition("/")[0], []).append(one)
        self._known = {row.place: row for row in session.scalars(select(Asset).where(Asset.root_id == root.id))}
        self._seen: set[str] = set()
        self._refused = [_refusal(path) for path in result.pickles]
        self._in_error: list[str] = []
        self._counts = {"model": 0, "dataset": 0}

    def run(self) -> dict[str, Any]:
        for place, found in self._folders.items():
            if scans.is_model(_name(one) for one in found):  # what is in the files is looked at when they come
                self._take("model", place, PurePosixPath(place).name or self._root.name, found)
                continue
            for one in found:
                self._take("dataset", one.path, _name(one), [one])
        gone = [row for place, row in self._known.items() if place not in self._seen]
        for row in gone:
            self._session.delete(row)
        self._session.flush()
        counts = {"models": self._counts["model"], "tables": self._counts["dataset"], "gone": len(gone)}
        return {**counts, "refused": self._refused, "damaged": self._in_error}

    def _take(self, kind: str, place: str, name: str, found: list[Scanned]) -> None:
        entries = [FileEntry(path=_name(one), sha256=one.sha256, git_sha1=one.git_sha1 or "", size_bytes=one.size_bytes) for one in found]
        entries.sort(key=lambda entry: entry.path)
        row = self._known.get(place)
        if row is None:
            row = Asset(
                id=new_id("ast"), kind=kind, name=name[:300], name_folded=fold(name)[:300], source=STORED, root_id=self._root.id,
                place=place[:1000], owner_id=self._root.owner_id, workspace_id=self._root.workspace_id, visibility=self._root.visibility,
            )  # fmt: skip
            self._session.add(row)
        was_damaged = row.status == Status.ERROR and row.sha256 == content_sha256(entries)
        row.kind, row.files, row.sha256 = kind, [entry.model_dump() for entry in entries], content_sha256(entries)
        row.size_bytes = sum(entry.size_bytes for entry in entries)
        # A scan that reads only what changed has nothing to say against what an earlier one has read.
        is_damaged = any(one.path in self._damaged for one in found) or (was_damaged and not self._again)
        row.status = Status.ERROR if is_damaged else Status.AVAILABLE
        if is_damaged:
            self._in_error.append(place)
        self._counts[kind] += 1
        self._seen.add(place)


def bring(session: Session, actor: Actor, settings: Settings, asset_id: str, wish: BringWish) -> DownloadOut:
    """Queue the download that makes it a model or a data set of this server, or give the one that is on its way or done.

    Raises NotStored, DownloadActive, DiskFull, QuotaExceeded.
    """
    access.require_creator(actor)
    asset = access.load(session, actor, Asset, asset_id)
    found = roots.of_stored(session, asset)
    if found is None or asset.status != Status.AVAILABLE:
        raise NotStored(field="", title=asset.name)
    root, store = found
    entries = [FileEntry.model_validate(entry) for entry in asset.files]
    commit = commit_id(entries)
    known = downloads.latest(session, actor, asset.kind, [asset.id]).get(asset.id)
    if known is not None and (known.status is Status.DOWNLOADING or is_here(known, entries)):
        return known
    downloads.require_room(session, actor, settings, asset.size_bytes)
    files = [PlannedFile(path=entry.path, sha256=entry.sha256, size_bytes=entry.size_bytes) for entry in entries]
    folder = asset.place or "" if asset.kind == "model" else (asset.place or "").rpartition("/")[0]
    stored = StoredFiles(root_id=root.id, store=store, place=f"{folder}/" if folder else "", commit=commit, files=files)
    paces = [pace for pace in (settings.hub_bytes_per_second, wish.bytes_per_second) if pace]
    plan = downloads.plan_of(
        session, actor, settings, repository=asset.id, repository_kind=asset.kind, revision=commit, title=asset.name, access=NOBODY,
        stored=stored, hubs=[store.shown], rate_bytes_per_second=min(paces, default=None),
        allow=[addresses.parsed(store.endpoint).host] if store.endpoint else [],
    )  # fmt: skip
    return downloads.queue(session, actor, plan, asset.size_bytes, Terms(window=wish.window), source="local")


def is_here(known: DownloadOut, entries: list[FileEntry]) -> bool:
    """What was brought is what lies there now."""
    return known.status is Status.READY and known.commit_id == commit_id(entries)


def _refusal(path: str) -> dict[str, Any]:
    place, _, name = path.rpartition("/")
    return {"place": place, **ModelIsPickle(field="path", file=name).as_dict()}


def _name(one: Scanned) -> str:
    return one.path.rpartition("/")[2]
