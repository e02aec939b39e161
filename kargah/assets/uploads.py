"""Files that come in pieces: begun, gone on with where they broke off, finished once.

How much has arrived is the length of the part file, ``blobs/incoming/<id>.part``, and nothing else: neither a dropped link nor a
server that dies can make the two disagree. Whether it is the sender's file is told by its SHA-256, at the end.
"""

import asyncio
import fcntl
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets.tables import Asset, Upload
from kargah.kit import files
from kargah.kit.clock import utc_now
from kargah.kit.errors import Conflict, DiskFull, NotFound, TooLarge
from kargah.kit.files import Digest
from kargah.kit.ids import new_id
from kargah.kit.settings import Settings
from kargah.store import access
from kargah.store.access import Actor

#: How much a sender does well to send at once: little enough to lose, much enough that the way there and back does not count.
CHUNK_BYTES = 16 << 20
MOST_UNFINISHED = 200
SHA256 = "^[0-9a-f]{64}$"


class QuotaExceeded(TooLarge):
    """``needed_bytes``, ``left_bytes``, ``quota_bytes``: of the asker's own room."""

    code = "QUOTA_EXCEEDED"


class OffsetDiffers(Conflict):
    """``offset``: what has arrived; the sender goes on from there."""

    code = "UPLOAD_OFFSET"


class Incomplete(Conflict):
    """``offset`` of ``size_bytes`` have arrived."""

    code = "UPLOAD_INCOMPLETE"


class TooManyUnfinished(Conflict):
    """``limit``."""

    code = "TOO_MANY_UPLOADS"


class Limits(BaseModel):
    """``most_bytes``: the largest file that can come in now. ``quota_left_bytes`` is null where there is no quota; ``quota_bytes`` is
    the one of the asker and their workspace that leaves less."""

    file_bytes: int
    disk_bytes: int
    quota_left_bytes: int | None
    most_bytes: int
    quota_bytes: int | None = None


class UploadWish(BaseModel):
    """``fingerprint``: the sender's own name for this very file, so that an unfinished upload of it is found again; else ``sha256`` is."""

    filename: str = Field(min_length=1, max_length=400)
    size_bytes: int = Field(ge=0)
    sha256: str | None = Field(None, pattern=SHA256)
    fingerprint: str | None = Field(None, min_length=1, max_length=128)


class UploadOut(BaseModel):
    """``offset`` of ``size_bytes`` have arrived. ``result`` is what was made of the file, once it was."""

    id: str
    filename: str
    size_bytes: int
    sha256: str | None
    fingerprint: str | None
    offset: int
    chunk_bytes: int = CHUNK_BYTES
    created_at: datetime
    expires_at: datetime
    result: dict[str, Any] | None = None


def limits(session: Session, actor: Actor, settings: Settings) -> Limits:
    """What may come in, known before a byte is sent."""
    disk_bytes = max(0, files.free_bytes(_folder(settings.home)) - blobs.SPARE_BYTES)
    left_bytes, quota_bytes = _quota(session, actor, settings)
    room_bytes = [settings.upload_limit_bytes, disk_bytes, *([] if left_bytes is None else [left_bytes])]
    return Limits(
        file_bytes=settings.upload_limit_bytes, disk_bytes=disk_bytes, quota_left_bytes=left_bytes, most_bytes=min(room_bytes),
        quota_bytes=quota_bytes,
    )  # fmt: skip


def _quota(session: Session, actor: Actor, settings: Settings) -> tuple[int | None, int | None]:
    """(what is left, of how much): of the asker's own room or their workspace's, whichever leaves less."""
    rooms = []
    if settings.user_quota_bytes is not None:
        rooms.append((settings.user_quota_bytes - used_bytes(session, user_id=actor.user_id), settings.user_quota_bytes))
    if settings.workspace_quota_bytes is not None:
        used = used_bytes(session, workspace_id=actor.workspace_id)
        rooms.append((settings.workspace_quota_bytes - used, settings.workspace_quota_bytes))
    if not rooms:
        return None, None
    left_bytes, quota_bytes = min(rooms)
    return max(0, left_bytes), quota_bytes


def require_room(known: Limits, settings: Settings, size_bytes: int) -> None:
    """Raises TooLarge, QuotaExceeded or DiskFull for a file that could not be kept."""
    if size_bytes > known.file_bytes:
        raise TooLarge(limit_bytes=known.file_bytes)
    require_place(known, settings, size_bytes)


def require_place(known: Limits, settings: Settings, size_bytes: int) -> None:
    """The same for what is no upload, and may be as large as it likes. Raises QuotaExceeded or DiskFull."""
    if known.quota_left_bytes is not None and size_bytes > known.quota_left_bytes:
        raise QuotaExceeded(needed_bytes=size_bytes, left_bytes=known.quota_left_bytes, quota_bytes=known.quota_bytes)
    if size_bytes > known.disk_bytes:
        raise DiskFull(needed_bytes=size_bytes + blobs.SPARE_BYTES, free_bytes=files.free_bytes(_folder(settings.home)))


def begin(session: Session, actor: Actor, settings: Settings, wish: UploadWish) -> UploadOut:
    """A fresh upload, or the unfinished one of the same file by the same person: asked twice, it is begun once."""
    access.require_creator(actor)
    sweep(session, settings)
    known = _same(session, actor, wish)
    if known is not None:
        return _out(known, settings)
    require_room(limits(session, actor, settings), settings, wish.size_bytes)
    if len(_unfinished(session, actor.user_id)) >= MOST_UNFINISHED:
        raise TooManyUnfinished(limit=MOST_UNFINISHED)
    row = Upload(id=new_id("upl"), **wish.model_dump(), **access.owned_by(actor))
    session.add(row)
    session.flush()
    part_of(settings.home, row.id).touch()
    return _out(row, settings)


def show(session: Session, actor: Actor, settings: Settings, upload_id: str) -> UploadOut:
    return _out(loaded(session, actor, upload_id), settings)


def list_for(session: Session, actor: Actor, settings: Settings) -> list[UploadOut]:
    """The asker's unfinished ones, the newest first."""
    return [_out(row, settings) for row in _unfinished(session, actor.user_id)]


def delete(session: Session, actor: Actor, settings: Settings, upload_id: str) -> None:
    """With all that has arrived. What was made of a finished one stays."""
    session.delete(loaded(session, actor, upload_id))
    part_of(settings.home, upload_id).unlink(missing_ok=True)


def loaded(session: Session, actor: Actor, upload_id: str, *, lock: bool = False) -> Upload:
    """An upload is its sender's alone, whatever the asker's role. With ``lock`` nobody else finishes it meanwhile."""
    row = session.get(Upload, upload_id, with_for_update=lock, populate_existing=True)
    if row is None or row.owner_id != actor.user_id:
        raise NotFound(kind="uploads", id=upload_id)
    return row


def part_of(home: Path, upload_id: str) -> Path:
    return _folder(home) / f"{upload_id}.part"


async def append(part: Path, offset: int, size_bytes: int, chunks: AsyncIterator[bytes]) -> int:
    """Add what arrives behind ``offset``; returns how much is there. Whatever breaks off, what came before it stays, on the disk.

    Raises OffsetDiffers when ``offset`` is not the end (also when somebody else has gone on meanwhile), TooLarge, DiskFull.
    """
    descriptor = await asyncio.to_thread(os.open, part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _require_end(descriptor, offset)
        async for chunk in chunks:
            await asyncio.to_thread(_put, descriptor, part, offset, size_bytes, chunk)
            offset += len(chunk)
        return offset
    finally:
        await asyncio.to_thread(_close, descriptor)


def _close(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put(descriptor: int, part: Path, offset: int, size_bytes: int, chunk: bytes) -> None:
    """Two senders of one upload cannot mix: each piece is added under a lock, and only at the end."""
    if offset + len(chunk) > size_bytes:
        raise TooLarge(limit_bytes=size_bytes)
    free_bytes = files.free_bytes(part.parent)
    if free_bytes < len(chunk) + blobs.SPARE_BYTES:
        raise DiskFull(needed_bytes=size_bytes - offset + blobs.SPARE_BYTES, free_bytes=free_bytes)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with files.room_for(part.parent, size_bytes - offset):
            _require_end(descriptor, offset)
            _write(descriptor, chunk, offset)
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _write(descriptor: int, chunk: bytes, offset: int) -> None:
    left = memoryview(chunk)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


def _require_end(descriptor: int, offset: int) -> None:
    there = os.fstat(descriptor).st_size
    if there != offset:
        raise OffsetDiffers(offset=there)


def settle(session: Session, actor: Actor, settings: Settings, upload_id: str, filename: str, size_bytes: int) -> UploadOut:
    """What came at once, and was begun before its name and length were known, is whole."""
    row = loaded(session, actor, upload_id)
    row.filename, row.size_bytes = filename[:400] or row.filename, size_bytes
    return _out(row, settings)


def whole(home: Path, upload: UploadOut) -> Path:
    """The file as it arrived, where it lies until it is kept or thrown away. Raises Incomplete."""
    part = part_of(home, upload.id)
    there = part.stat().st_size if part.exists() else 0
    if there != upload.size_bytes:
        raise Incomplete(offset=there, size_bytes=upload.size_bytes)
    return part


def keep(home: Path, upload: UploadOut, stated_sha256: str | None) -> Digest:
    """The whole file into the store. Raises Incomplete; HashDiffers, and then the sender begins again: no part of it can be trusted."""
    part = whole(home, upload)
    stated = [sha256 for sha256 in (stated_sha256, upload.sha256) if sha256]
    try:
        return blobs.put_file(home, part, move=True, stated=stated)
    except blobs.HashDiffers as error:
        os.truncate(part, 0)
        raise blobs.HashDiffers(path=upload.filename, expected=stated[0]) from error
    except FileNotFoundError as error:  # somebody else finished, or threw it away, in this moment
        raise Incomplete(offset=0, size_bytes=upload.size_bytes) from error


def sweep(session: Session, settings: Settings) -> None:
    """Throw away what nobody went on with: parts with their rows, and leavings of processes that died while receiving."""
    blobs.sweep(session, settings.home)
    kept = timedelta(days=settings.unfinished_upload_days)
    for row in session.scalars(select(Upload).where(Upload.created_at < utc_now() - kept)):
        part = part_of(settings.home, row.id)
        if row.result is not None or not part.exists() or _is_old(part, kept):
            part.unlink(missing_ok=True)
            session.delete(row)
    session.flush()
    for path in _folder(settings.home).iterdir():
        if _is_old(path, kept) and session.get(Upload, path.stem) is None:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _is_old(path: Path, kept: timedelta) -> bool:
    try:
        return path.stat().st_mtime < time.time() - kept.total_seconds()
    except FileNotFoundError:
        return False


def _folder(home: Path) -> Path:
    folder = home / "blobs" / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _unfinished(session: Session, user_id: str) -> list[Upload]:
    wanted = select(Upload).where(Upload.owner_id == user_id).order_by(Upload.id.desc())
    return [row for row in session.scalars(wanted) if row.result is None]


def _same(session: Session, actor: Actor, wish: UploadWish) -> Upload | None:
    """Of the same name, size and mark; without a mark nothing is the same."""
    marked = [(wish.fingerprint, "fingerprint"), (wish.sha256, "sha256")]
    mark, column = next(((mark, column) for mark, column in marked if mark), (None, ""))
    same = (row for row in _unfinished(session, actor.user_id) if (row.filename, row.size_bytes) == (wish.filename, wish.size_bytes))
    return next((row for row in same if mark and getattr(row, column) == mark), None)


def used_bytes(session: Session, **of: str) -> int:
    """What was made of files, in the trash too, and what unfinished uploads have asked for: of a ``user_id`` or a ``workspace_id``.

    What lies in place under a root takes no room of ours.
    """
    (name, value) = next(iter(of.items()))
    column = {"user_id": "owner_id"}.get(name, name)
    made = select(func.coalesce(func.sum(Asset.size_bytes), 0)).where(getattr(Asset, column) == value, Asset.root_id.is_(None))
    coming = session.scalars(select(Upload).where(getattr(Upload, column) == value))
    return int(session.scalar(made) or 0) + sum(row.size_bytes for row in coming if row.result is None)


def _out(row: Upload, settings: Settings) -> UploadOut:
    there, touched_at = 0, row.created_at
    with suppress(FileNotFoundError):
        part = part_of(settings.home, row.id).stat()
        there, touched_at = part.st_size, datetime.fromtimestamp(part.st_mtime, UTC)
    return UploadOut(
        id=row.id, filename=row.filename, size_bytes=row.size_bytes, sha256=row.sha256, fingerprint=row.fingerprint,
        offset=there if row.result is None else row.size_bytes, created_at=row.created_at,
        expires_at=touched_at + timedelta(days=settings.unfinished_upload_days), result=row.result,
    )  # fmt: skip
