"""The list of files that a version is made of, and the 40-hex id that follows from it."""

import hashlib
from collections.abc import Iterable

from pydantic import BaseModel


class FileEntry(BaseModel):
    """``path`` is relative to the version's folder; the bytes are the blob ``sha256``."""

    path: str
    sha256: str
    git_sha1: str
    size_bytes: int


def commit_id(files: Iterable[FileEntry]) -> str:
    """The same files give the same id, on any machine, whatever their order."""
    listing = "\n".join(sorted(f"{file.path}\0{file.sha256}" for file in files))
    return hashlib.sha1(listing.encode(), usedforsecurity=False).hexdigest()


def content_sha256(files: Iterable[FileEntry]) -> str:
    """Of one file its own hash; of several the hash of the list of them, so that equal folders are told by it."""
    found = list(files)
    if len(found) == 1:
        return found[0].sha256
    return hashlib.sha256("\n".join(sorted(f"{file.path}\0{file.sha256}" for file in found)).encode()).hexdigest()
