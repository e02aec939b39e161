"""The store of files by their SHA-256: ``home/blobs/ab/abcd…``, read-only, each kept once whatever uses it.

A blob appears by a rename after its bytes are on the disk, so what has a name is whole.
"""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.assets.tables import Blob
from kargah.contract.plans import InputFile
from kargah.kit import files
from kargah.kit.errors import DiskFull, KargahError, TooLarge
from kargah.kit.files import Digest

READ_ONLY = 0o444
SPARE_BYTES = 64 << 20  # what an upload leaves free for the database and the logs


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
    _keep(home, source, digest.sha256, move)
    return digest


def keep(home: Path, source: Path, sha256: str, size_bytes: int) -> None:
    """Keep a file whose hash somebody states, and check it. Does nothing when the blob is there: it may run again after a crash."""
    target = path_of(home, sha256)
    if target.is_file() and target.stat().st_size == size_bytes:
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
        with temporary.open("xb") as file:
            size_bytes = 0
            async for chunk in chunks:
                size_bytes += len(chunk)
                _check_room(folder, size_bytes, len(chunk), limit_bytes)
                await asyncio.to_thread(file.write, chunk)
        return await asyncio.to_thread(put_file, home, temporary, move=True, stated=stated)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise DiskFull(needed_bytes=size_bytes, free_bytes=files.free_bytes(folder)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _check_room(folder: Path, size_bytes: int, fresh_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        raise TooLarge(limit_bytes=limit_bytes)
    if files.free_bytes(folder) < fresh_bytes + SPARE_BYTES:
        raise DiskFull(needed_bytes=fresh_bytes + SPARE_BYTES, free_bytes=files.free_bytes(folder))


def _keep(home: Path, source: Path, sha256: str, move: bool) -> None:
    target = path_of(home, sha256)
    if target.is_file() and target.stat().st_size == source.stat().st_size:
        return
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
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    files.fsync_directory(target.parent)


def lay_out(home: Path, inputs: Iterable[InputFile], folder: Path) -> None:
    """Give a worker its inputs under ``folder``, as hard links where that is possible. A second time changes nothing."""
    for wanted in inputs:
        blob = path_of(home, wanted.sha256)
        if not blob.is_file() or blob.stat().st_size != wanted.size_bytes:
            raise FileMissing(path=wanted.path, sha256=wanted.sha256)
        files.link_or_copy(blob, files.safe_join(folder, *Path(wanted.path).parts))


def register(session: Session, entries: Iterable[HasHashes]) -> None:
    """Rows for blobs that are on the disk; known ones stay as they are."""
    fresh = {entry.sha256: entry for entry in entries}
    known = set(session.scalars(select(Blob.sha256).where(Blob.sha256.in_(fresh))))
    session.add_all(
        Blob(sha256=sha256, git_sha1=entry.git_sha1, size_bytes=entry.size_bytes)
        for sha256, entry in sorted(fresh.items())
        if sha256 not in known
    )
    session.flush()
