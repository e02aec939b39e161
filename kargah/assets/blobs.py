"""The store of files by their SHA-256: ``home/blobs/ab/abcd…``, read-only, each kept once whatever uses it.

A blob appears by a rename after its bytes are on the disk, so what has a name is whole. It goes when the last record that
uses it goes, and never between somebody's bringing the same bytes and their saying so in the database: see ``discard``.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.assets import damage
from kargah.assets.tables import Blob
from kargah.contract import caches
from kargah.contract.plans import InputFile
from kargah.kit import files
from kargah.kit.errors import DiskFull, KargahError, TooLarge
from kargah.kit.files import Digest
from kargah.store.database import insert_for

READ_ONLY = 0o444
SPARE_BYTES = 64 << 20  # what an upload leaves free for the database and the logs
#: Whoever brings bytes that are there already has so long to register them.
PINNED_SECONDS = 24 * 3600.0
_PIN = ".pin"
#: Marks what is in the store before anybody has said what it is: whoever was to is killed then, and nobody ever does.
_FRESH = ".fresh"
_noted: ContextVar[list[str] | None] = ContextVar("what put_file keeps is noted here", default=None)


class FileMissing(KargahError):
    """A file that the database knows is not on this disk, or not whole."""

    code = "FILE_MISSING"
    status = 500


class HashDiffers(KargahError):
    code = "HASH_DIFFERS"
    status = 422


class HasHashes(Protocol):
    @property
    def sha256(self) -> str: ...

    @property
    def git_sha1(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...


def path_of(home: Path, sha256: str) -> Path:
    return home / "blobs" / sha256[:2] / sha256


def put_file(home: Path, source: Path, *, move: bool = False, stated: Iterable[str] = ()) -> Digest:
    """Keep a file; with ``move`` without spending disk for a second copy when both are on one file system.

    Raises HashDiffers, with nothing kept, when its SHA-256 is not every one of those that somebody ``stated``.
    """
    digest = files.digest_of(source)
    for sha256 in stated:
        if sha256 != digest.sha256:
            raise HashDiffers(path=source.name, expected=sha256)
    if _pinned(home, digest.sha256, digest.size_bytes):
        return digest
    noted = _noted.get()
    if noted is not None:
        noted.append(digest.sha256)
        _beside(home, digest.sha256, _FRESH).touch()
    _keep(home, source, digest.sha256, move)
    return digest


@contextmanager
def noting() -> Iterator[list[str]]:
    """The hashes of what ``put_file`` keeps within this, in threads that were given the context too, marked until they are settled."""
    fresh: list[str] = []
    token = _noted.set(fresh)
    try:
        yield fresh
    finally:
        _noted.reset(token)


def keep(home: Path, source: Path, sha256: str, size_bytes: int) -> None:
    """Keep a file whose hash somebody states, and check it. Does nothing when the blob is there: it may run again after a crash."""
    if _pinned(home, sha256, size_bytes):
        return
    if files.digest_of(source).sha256 != sha256:
        raise HashDiffers(path=source.name, expected=sha256)
    _keep(home, source, sha256, move=True)


async def put_stream(home: Path, chunks: AsyncIterator[bytes], limit_bytes: int, stated: Iterable[str] = ()) -> Digest:
    """Keep what arrives. Over the limit: TooLarge; no room: DiskFull; another hash than was ``stated`` (looked at in the end):
    HashDiffers. Whatever breaks off, nothing is left behind.

    Disk work is done in threads: a slow disk makes this upload wait, and nothing else.
    """
    folder = home / "blobs" / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{os.getpid()}.{os.urandom(8).hex()}"
    try:
        with files.room_for(folder, SPARE_BYTES):
            with temporary.open("xb") as file:
                size_bytes = 0
                async for chunk in chunks:
                    size_bytes += len(chunk)
                    _check_room(folder, size_bytes, len(chunk), limit_bytes)
                    await asyncio.to_thread(file.write, chunk)
            return await asyncio.to_thread(put_file, home, temporary, move=True, stated=stated)
    finally:
        temporary.unlink(missing_ok=True)


def _check_room(folder: Path, size_bytes: int, fresh_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        raise TooLarge(limit_bytes=limit_bytes)
    if files.free_bytes(folder) < fresh_bytes + SPARE_BYTES:
        raise DiskFull(needed_bytes=fresh_bytes + SPARE_BYTES, free_bytes=files.free_bytes(folder))


def _keep(home: Path, source: Path, sha256: str, move: bool) -> None:
    target = path_of(home, sha256)
    if not target.parent.is_dir():
        files.fsync_directory(home)  # "blobs" may be there only since somebody laid something into it, and not on the disk
        files.make_folder(target.parent)
    temporary = target.with_name(f".{sha256}.{os.urandom(4).hex()}.tmp")
    try:
        if move:
            files.link_or_copy(source, temporary)
        else:
            with files.atomic_writer(temporary) as copy, source.open("rb") as original:
                while chunk := original.read(files.CHUNK_BYTES):
                    copy.write(chunk)
        temporary.chmod(READ_ONLY)
        files.fsync_file(temporary)
        files.about_to("rename", temporary, target)
        with _alone(home):
            if target.is_file():  # somebody else brought the same meanwhile, and may yet let go of it
                _beside(home, sha256, _PIN).touch()
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    files.fsync_directory(target.parent)


def _pinned(home: Path, sha256: str, size_bytes: int) -> bool:
    """Whether the blob is there, and whole. Then it stays for a while, whatever is deleted."""
    target = path_of(home, sha256)
    with _alone(home):
        if target.is_symlink() or not target.is_file() or target.stat().st_size != size_bytes:  # what only lies elsewhere is kept now
            return False
        _beside(home, sha256, _PIN).touch()
        return True


def settle(home: Path, hashes: Iterable[str]) -> None:
    """They are registered, or discarded."""
    for sha256 in hashes:
        _beside(home, sha256, _FRESH).unlink(missing_ok=True)


def discard(home: Path, hashes: Iterable[str]) -> None:
    """After the transaction that found them unused: off the disk. One that somebody brings again just then is left, to ``sweep``."""
    for sha256 in hashes:
        pin = _beside(home, sha256, _PIN)
        with _alone(home):
            if not _is_fresh(pin):
                path_of(home, sha256).unlink(missing_ok=True)
                pin.unlink(missing_ok=True)
                caches.forget(home, sha256)


def sweep(session: Session, home: Path) -> None:
    """What was brought again long ago needs no pin any more; what nobody registered after all goes."""
    folder = home / "blobs" / "incoming"
    marks = [mark for mark in folder.glob("*.*") if mark.suffix in {_PIN, _FRESH} and not _is_fresh(mark)]
    used = in_use(session, {mark.stem for mark in marks}) if marks else set()
    for mark in marks:
        if mark.stem in used:
            mark.unlink(missing_ok=True)
        else:
            discard(home, [mark.stem])
            settle(home, [mark.stem])


def _beside(home: Path, sha256: str, mark: str) -> Path:
    folder = home / "blobs" / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{sha256}{mark}"


def _is_fresh(pin: Path) -> bool:
    try:
        return pin.stat().st_mtime > time.time() - PINNED_SECONDS
    except FileNotFoundError:
        return False


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """For the moment between looking and acting, over all processes of this home."""
    folder = home / "blobs"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def lay_out(home: Path, inputs: Iterable[InputFile], folder: Path) -> None:
    """Give a worker its inputs under ``folder``, as hard links where that is possible. A second time changes nothing."""
    for wanted in inputs:
        blob, target = path_of(home, wanted.sha256), files.safe_join(folder, *Path(wanted.path).parts)
        if not blob.is_file() or blob.stat().st_size != wanted.size_bytes:
            raise FileMissing(path=wanted.path, sha256=wanted.sha256)
        files.link_or_copy(blob.resolve(), target)
        if blob.is_symlink() and files.digest_of(target).sha256 != wanted.sha256:
            target.unlink()
            raise FileMissing(path=wanted.path, sha256=wanted.sha256)


def link(home: Path, source: Path, sha256: str) -> None:
    """Know a file by its hash where it lies, without a copy. Nothing where the bytes are kept already.

    Whoever lays it out for a job hashes it again: nobody here can keep it from being changed.
    """
    target = path_of(home, sha256)
    files.make_folder(target.parent)
    with _alone(home):
        if not target.is_file():  # a link that leads nowhere is none
            target.unlink(missing_ok=True)
            target.symlink_to(source)


def unlink(home: Path, source: Path, sha256: str) -> bool:
    """What lies at ``source`` has other bytes by now, or is gone: whether it was known by this hash there. What is kept stays."""
    target = path_of(home, sha256)
    with _alone(home):
        if not target.is_symlink() or target.readlink() != source:
            return False
        target.unlink()
        return True


def set_aside(home: Path, sha256: str) -> None:
    """What was found damaged: nothing uses it any more, and the same bytes may be brought again. Of a link only the link goes."""
    path = path_of(home, sha256)
    with _alone(home):
        if path.is_symlink():
            path.unlink()
        elif path.is_file():
            files.make_folder(home / "blobs" / "damaged")
            path.rename(home / "blobs" / "damaged" / sha256)


def register(session: Session, entries: Iterable[HasHashes]) -> None:
    """Rows for blobs that are on the disk; known ones stay as they are, and stay until this transaction ends."""
    fresh = {entry.sha256: entry for entry in entries}
    known = in_use(session, fresh)
    damage.mend(session, known)
    rows = [
        {"sha256": sha256, "git_sha1": entry.git_sha1, "size_bytes": entry.size_bytes}
        for sha256, entry in sorted(fresh.items())
        if sha256 not in known
    ]
    if rows:  # somebody else may register the same at this moment
        session.execute(insert_for(session, Blob).values(rows).on_conflict_do_nothing())


def in_use(session: Session, hashes: Iterable[str]) -> set[str]:
    """Those that have a row. Until this transaction ends nobody else takes one of the rows away: whoever would must ask here too."""
    rows = select(Blob.sha256).where(Blob.sha256.in_(list(hashes))).order_by(Blob.sha256).with_for_update()
    return set(session.scalars(rows))
