"""What clients push: judged before a byte of it comes, received, and made a commit with the version that follows from it.

The bytes are brought in outside of any transaction; the commit is then one transaction over the head that they were checked against.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kargah.assets import blobs, manifest
from kargah.assets import service as assets
from kargah.assets import uploads as pieces
from kargah.assets.manifest import FileEntry
from kargah.assets.tables import Asset
from kargah.hub import lfs, paths, payload, repositories, revisions
from kargah.hub.errors import EntryNotFound, HeadMoved, ObjectMissing, OnlyMain
from kargah.hub.payload import Deleted, Payload, Stored, Written
from kargah.hub.repositories import Address
from kargah.hub.revisions import MAIN, Snapshot
from kargah.hub.tables import Commit, Repository
from kargah.hub.versions import Substance, make
from kargah.kit import files
from kargah.kit.ids import new_id
from kargah.kit.settings import Settings
from kargah.models import folders
from kargah.models.tables import ModelVersion
from kargah.store.access import Actor, To

#: Judged as large whatever its size, by what it is: their SHA-256 is told.
_LARGE_KINDS = frozenset({".safetensors", ".parquet", ".arrow", ".onnx", ".gguf", ".zip", ".gz", ".zst", ".npz", ".model"})
_LARGE_BYTES = 1 << 20


@dataclass(frozen=True)
class Received:
    """A commit whose files are blobs already. ``waiting``: where large ones waited, to be cleared after it stands."""

    said: Payload
    changes: list[FileEntry | Deleted]
    waiting: list[Path]


@dataclass(frozen=True)
class Pushed:
    """``is_new`` is false when nothing was to be changed."""

    commit_id: str
    is_new: bool


def is_large(entry: FileEntry) -> bool:
    """Whether clients are told the SHA-256 of it, as of large files, and not only git's hash."""
    return entry.size_bytes > _LARGE_BYTES or PurePosixPath(entry.path).suffix.lower() in _LARGE_KINDS


def base_of(session: Session, actor: Actor, settings: Settings, address: Address, revision: str) -> tuple[Snapshot, pieces.Limits]:
    """The head that a push builds on, and what room there is. Raises OnlyMain, Forbidden, RepositoryNotFound."""
    row = repositories.load(session, actor, address, To.CHANGE)
    if revision != MAIN:
        raise OnlyMain(field="revision", revision=revision[:100])
    return revisions.snapshot(session, row), pieces.limits(session, actor, settings)


def receive(settings: Settings, actor: Actor, base: Snapshot, room: pieces.Limits, body: Path, folder: Path) -> Received:
    """All of it is checked before any of it is kept. ``folder`` is for passing use.

    Raises BadPayload, BadPath, ModelIsPickle, WeightsDamaged, ObjectMissing, EntryNotFound, QuotaExceeded, TooLarge, DiskFull.
    """
    with files.room_for(folder, body.stat().st_size):
        said = payload.read(body, folder)
        sources = {
            change.path: _source(settings.home, actor, base, change) for change in said.operations if not isinstance(change, Deleted)
        }
        dry: list[FileEntry | Deleted] = [_unhashed(change) for change in said.operations]
        merged(base, dry)
        fresh = [source for source in sources.values() if isinstance(source, Path)]
        for path, source in sources.items():
            if isinstance(source, Path) and path.endswith(".safetensors"):
                _require_whole(path, source)
        _require_room(settings, room, fresh)
        kept = {path: _kept(settings.home, path, source) for path, source in sources.items()}
    changes = [change if isinstance(change, Deleted) else kept[change.path] for change in said.operations]
    return Received(said, changes, [source for source in fresh if not source.is_relative_to(folder)])


def merged(base: Snapshot, changes: Iterable[FileEntry | Deleted]) -> dict[str, FileEntry]:
    """The files after the changes, in the order of paths. Raises EntryNotFound for what is not there to delete, BadPath, TooManyFiles."""
    after = dict(base.files)
    for change in changes:
        if isinstance(change, FileEntry):
            after[change.path] = change
            continue
        gone = [path for path in after if path == change.path or (change.is_folder and path.startswith(f"{change.path}/"))]
        if not gone:
            raise EntryNotFound(kind="files", id=change.path, path=change.path[:200], commit_id=base.commit_id)
        for path in gone:
            del after[path]
    paths.require_distinct(after)
    return dict(sorted(after.items()))


def commit(
    session: Session, actor: Actor, address: Address, base: Snapshot, received: Received, after: dict[str, FileEntry], substance: Substance
) -> Pushed:
    """One commit and what follows from it. Raises HeadMoved when the head is not ``base``, or not what the sender says."""
    row = repositories.load(session, actor, address, To.CHANGE)
    session.refresh(row, with_for_update=True)
    head = revisions.find(session, row, MAIN)
    if head.commit_id != base.commit_id or not head.commit_id.startswith(received.said.parent):
        raise HeadMoved(head=head.commit_id)
    if after == base.files and head.row is not None:
        return Pushed(head.commit_id, is_new=False)
    blobs.register(session, [entry for entry in received.changes if isinstance(entry, FileEntry)])
    last = session.scalar(select(func.max(Commit.number)).where(Commit.repository_id == row.id)) or 0
    made = Commit(
        id=new_id("cmt"), repository_id=row.id, number=last + 1, commit_id=manifest.commit_id(after.values()), parent_id=head.commit_id,
        title=received.said.title, message=received.said.message, author=actor.name,
        files=[entry.model_dump() for entry in after.values()], version_id=make(session, actor, row, substance, _version_of(session, head)),
    )  # fmt: skip
    session.add(made)
    _record(session, row, after.values())
    return Pushed(made.commit_id, is_new=True)


def _version_of(session: Session, head: revisions.Revision) -> str | None:
    if head.row is None:
        return None
    table, row_id = head.row
    return session.get_one(Commit, row_id).version_id if table is Commit else row_id


def _record(session: Session, row: Repository, entries: Iterable[FileEntry]) -> None:
    """Every file that was ever pushed counts for its owner, once, and is kept as long as the repository is."""
    known = session.scalars(select(Asset.files).where(Asset.subject_id == row.id)).one_or_none() or []
    kept = {entry.sha256: entry for entry in (*map(FileEntry.model_validate, known), *entries)}
    made = assets.record(session, row, row.kind, f"{row.namespace}/{row.name}", row.id, list(kept.values()), source=assets.PUSHED)
    versions = session.scalars(select(ModelVersion.files).where(ModelVersion.model_id == row.model_id))
    counted = {entry["sha256"] for files in versions for entry in files}  # for the versions' own records
    made.size_bytes = sum(entry.size_bytes for entry in kept.values() if entry.sha256 not in counted)


def _source(home: Path, actor: Actor, base: Snapshot, change: Written | Stored) -> Path | FileEntry:
    """Where the bytes are, or which file of this repository has them already. Nobody gets at bytes by knowing their hash."""
    if isinstance(change, Written):
        return change.source
    waiting = lfs.waiting_of(home, actor.user_id, base.repository_id, change.sha256)
    if waiting.is_file():
        return waiting
    known = next((entry for entry in base.files.values() if entry.sha256 == change.sha256), None)
    if known is None:
        raise ObjectMissing(field="path", path=change.path[:200], sha256=change.sha256)
    return known.model_copy(update={"path": change.path})


def _unhashed(change: payload.Operation) -> FileEntry | Deleted:
    return change if isinstance(change, Deleted) else FileEntry(path=change.path, sha256="", git_sha1="", size_bytes=0)


def _require_whole(path: str, source: Path) -> None:
    try:
        folders.count_parameters(source)
    except folders.WeightsDamaged:
        raise folders.WeightsDamaged(field="path", file=path) from None


def _require_room(settings: Settings, room: pieces.Limits, fresh: list[Path]) -> None:
    sizes_bytes = [path.stat().st_size for path in fresh]
    for size_bytes in sizes_bytes:
        pieces.require_room(room, settings, size_bytes)
    total_bytes = sum(sizes_bytes)
    if room.quota_left_bytes is not None and total_bytes > room.quota_left_bytes:
        raise pieces.QuotaExceeded(needed_bytes=total_bytes, left_bytes=room.quota_left_bytes, quota_bytes=room.quota_bytes)


def _kept(home: Path, path: str, source: Path | FileEntry) -> FileEntry:
    if isinstance(source, FileEntry):
        return source
    digest = blobs.put_file(home, source, move=True)
    return FileEntry(path=path, sha256=digest.sha256, git_sha1=digest.git_sha1, size_bytes=digest.size_bytes)
