"""Files that are whole or not there: atomic writes, hashes, and joins that cannot leave their root."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from kargah.kit.errors import BadInput, DiskFull

CHUNK_BYTES = 1 << 20

#: Told of every deed on the disk just before it is done: (write, fsync, rename, fsync_directory; path; a rename's target).
#: What it raises is as if the disk had failed there. Only tests watch.
Watcher = Callable[[str, Path, Path | None], None]
_watchers: list[Watcher] = []


class UnsafePath(BadInput):
    code = "UNSAFE_PATH"


@dataclass(frozen=True)
class Digest:
    """``git_sha1`` is the id git gives the same bytes as a blob; hub clients ask for it."""

    sha256: str
    git_sha1: str
    size_bytes: int


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """For the length of a test: every deed in this process, of this module and of those that say ``about_to``, is told."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def about_to(deed: str, path: Path, target: Path | None = None) -> None:
    for watcher in _watchers:
        watcher(deed, path, target)


@contextmanager
def atomic_writer(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Yield a file; on a clean exit ``path`` holds all of it, on any error ``path`` is as it was.

    fsync before the rename and of the directory after it: a power cut leaves the old file or the new, never half.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            about_to("write", temporary)
            yield file
            file.flush()
            about_to("fsync", temporary)
            os.fsync(file.fileno())
        about_to("rename", temporary, path)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


def write_bytes(path: Path, content: bytes, mode: int = 0o644) -> None:
    with atomic_writer(path, mode) as file:
        file.write(content)


def write_json(path: Path, value: Any, mode: int = 0o644) -> None:
    write_bytes(path, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), mode)


def read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def fsync_file(path: Path) -> None:
    """For a file that something else wrote."""
    about_to("fsync", path)
    _fsync(path)


def fsync_directory(path: Path) -> None:
    """A name is on the disk only after this."""
    about_to("fsync_directory", path)
    _fsync(path)


def sync_tree(folder: Path) -> None:
    """All that is below ``folder``, and its own name: on the disk when this returns. For what others wrote."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            fsync_directory(path)
        elif path.is_file():
            fsync_file(path)
    fsync_directory(folder)
    fsync_directory(folder.parent)


def make_folder(path: Path) -> None:
    """With all above it that are not there; each fresh name is on the disk when this returns."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    fsync_directory(path.parent)


def rename(source: Path, target: Path) -> None:
    """Give ``source``, whose content is on the disk, its name; the name is on the disk when this returns."""
    about_to("rename", source, target)
    source.rename(target)
    fsync_directory(target.parent)


def is_full(error: BaseException) -> bool:
    """Whether there was no room: the one error of a disk that mends itself when people make some."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def room_for(folder: Path, needed_bytes: int) -> Iterator[None]:
    """What finds no room on the disk of ``folder`` within this raises DiskFull."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise DiskFull(needed_bytes=needed_bytes, free_bytes=free_bytes(folder)) from error


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of(path: Path) -> Digest:
    """All hashes of a file in one reading, of large files each by a thread of its own."""
    size_bytes = path.stat().st_size
    sha256, git_sha1 = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
    with path.open("rb") as file, ThreadPoolExecutor(1, thread_name_prefix="digest") as beside:
        while chunk := file.read(CHUNK_BYTES):
            if len(chunk) < CHUNK_BYTES:  # to begin a thread would take longer
                sha256.update(chunk)
                git_sha1.update(chunk)
                continue
            other = beside.submit(git_sha1.update, chunk)
            sha256.update(chunk)
            other.result()
    return Digest(sha256.hexdigest(), git_sha1.hexdigest(), size_bytes)


def safe_join(root: Path, *parts: str) -> Path:
    """Join untrusted parts below ``root``; anything that would leave it, by whatever trick, raises UnsafePath."""
    base = root.resolve()
    for part in parts:
        if not part or "\0" in part or "\\" in part or part.startswith(("/", "~")) or ".." in Path(part).parts or ":" in part[:2]:
            raise UnsafePath(path=part)
    joined = base.joinpath(*parts)
    if not joined.resolve().is_relative_to(base):
        raise UnsafePath(path="/".join(parts))
    return joined


def link_or_copy(source: Path, target: Path) -> None:
    """Give ``target`` the same bytes without spending disk when both are on one file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        shutil.copyfile(source, target)


def free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free
