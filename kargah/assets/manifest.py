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
