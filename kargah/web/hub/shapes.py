"""Our words put into the hub's."""

import hashlib
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from kargah.assets.manifest import FileEntry
from kargah.hub.errors import EntryNotFound
from kargah.hub.pushing import is_large
from kargah.hub.repositories import About
from kargah.hub.revisions import Revision, Snapshot
from kargah.kit.clock import iso

Json = dict[str, Any]


def etag_of(entry: FileEntry) -> str:
    return entry.sha256 if is_large(entry) else entry.git_sha1


def about(found: About, snapshot: Snapshot | None = None, *, with_blobs: bool = False) -> Json:
    """A repository; with ``snapshot`` its files at that revision, with ``with_blobs`` their sizes and hashes too."""
    revision = snapshot.revision if snapshot else found.main
    is_model = found.address.kind == "model"
    tags = [word for word in (found.task, found.licence and f"license:{found.licence}", "kargah") if word]
    card = {"pretty_name": found.title, **({"license": found.licence} if found.licence else {})}
    told: Json = {
        "_id": hashlib.sha256(found.row_id.encode()).hexdigest()[:24],
        "id": found.address.id,
        "author": found.address.namespace,
        "sha": revision.commit_id,
        "private": found.is_private,
        "gated": False,
        "disabled": False,
        "tags": tags,
        "downloads": 0,
        "likes": 0,
        "createdAt": iso(found.created_at),
        "lastModified": iso(revision.created_at),
        "cardData": card,
    }
    told |= {"modelId": found.address.id, "pipeline_tag": found.task} if is_model else {"description": found.title}
    if snapshot is not None:
        told["siblings"] = [_sibling(entry, with_blobs) for entry in snapshot.files.values()]
    return told


def tree(snapshot: Snapshot, folder: str, *, recursive: bool) -> list[Json]:
    """All below ``folder``, or only what lies in it, in the order of paths. Raises EntryNotFound for a folder that is not there."""
    folders = _folders(snapshot)
    if folder and folder not in folders:
        raise missing(snapshot, folder)
    start = f"{folder}/" if folder else ""
    found = {path: _folder(path, oid) for path, oid in folders.items() if path.startswith(start)}
    found |= {path: file(entry) for path, entry in snapshot.files.items() if path.startswith(start)}
    return [found[path] for path in sorted(found) if recursive or "/" not in path[len(start) :]]


def paths_info(snapshot: Snapshot, paths: Iterable[str]) -> list[Json]:
    """Of those that are there; the others are left out."""
    folders = _folders(snapshot)
    told = []
    for path in paths:
        if path in snapshot.files:
            told.append(file(snapshot.files[path]))
        elif path in folders:
            told.append(_folder(path, folders[path]))
    return told


def file(entry: FileEntry) -> Json:
    if not is_large(entry):
        return {"type": "file", "path": entry.path, "oid": entry.git_sha1, "size": entry.size_bytes}
    return {"type": "file", "path": entry.path, "oid": _pointer_oid(entry), "size": entry.size_bytes, "lfs": _lfs(entry, "oid")}


def missing(snapshot: Snapshot, path: str) -> EntryNotFound:
    return EntryNotFound(kind="files", id=path[:200], path=path[:200], commit_id=snapshot.commit_id)


def refs(history: list[Revision]) -> Json:
    branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": history[0].commit_id}]
    tags = [
        {"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": revision.commit_id} for revision in history for tag in revision.tags
    ]  # fmt: skip
    return {"branches": branches, "tags": tags, "converts": [], "pullRequests": []}


def commits(history: list[Revision]) -> list[Json]:
    return [
        {"id": revision.commit_id, "title": revision.title, "message": revision.message, "date": iso(revision.created_at),
         "authors": [{"user": revision.author}] if revision.author else []}
        for revision in history
    ]  # fmt: skip


def _sibling(entry: FileEntry, with_blobs: bool) -> Json:
    if not with_blobs:
        return {"rfilename": entry.path}
    large = {"lfs": _lfs(entry, "sha256")} if is_large(entry) else {}
    oid = _pointer_oid(entry) if is_large(entry) else entry.git_sha1
    return {"rfilename": entry.path, "size": entry.size_bytes, "blobId": oid, **large}


def _lfs(entry: FileEntry, name: str) -> Json:
    return {name: entry.sha256, "size": entry.size_bytes, "pointerSize": len(_pointer(entry))}


def _pointer(entry: FileEntry) -> bytes:
    """What git itself would keep of a large file."""
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (entry.sha256.encode(), entry.size_bytes)


def _pointer_oid(entry: FileEntry) -> str:
    pointer = _pointer(entry)
    return hashlib.sha1(b"blob %d\0" % len(pointer) + pointer, usedforsecurity=False).hexdigest()


def _folders(snapshot: Snapshot) -> dict[str, str]:
    """Every folder with a hash that follows from what is in it."""
    hashes: dict[str, Any] = {}
    for path, entry in snapshot.files.items():
        for parent in PurePosixPath(path).parents[:-1]:
            known = hashes.setdefault(str(parent), hashlib.sha1(usedforsecurity=False))
            known.update(f"{path}\0{entry.sha256}\n".encode())
    return {path: known.hexdigest() for path, known in hashes.items()}


def _folder(path: str, oid: str) -> Json:
    return {"type": "directory", "path": path, "oid": oid, "size": 0}
