"""Files that are whole or not there: atomic writes, hashes, and joins that cannot leave their root."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from kargah.kit.errors import BadInput

CHUNK_BYTES = 1 << 20


class UnsafePath(BadInput):
    code = "UNSAFE_PATH"


@dataclass(frozen=True)
class Digest:
    """``git_sha1`` is the id git gives the same bytes as a blob; hub clients ask for it."""

    sha256: str
    git_sha1: str
    size_bytes: int


@contextmanager
def atomic_writer(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Yield a file; on a clean exit ``path`` holds all of it, on any error ``path`` is as it was.

    fsync before the rename and of the directory after it: a power cut leaves the old file or the new, never half.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
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


def fsync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of(path: Path) -> Digest:
    """All hashes of a file in one reading."""
    size_bytes = path.stat().st_size
    sha256, git_sha1 = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            sha256.update(chunk)
            git_sha1.update(chunk)
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
