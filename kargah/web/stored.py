"""Assets that lie in an object store alone, passed on while they are read there: one file by parts, several as a zip."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from kargah.assets import roots
from kargah.assets.schemas import AssetOut
from kargah.contract import scans
from kargah.contract.stores import Store, StoreAccess
from kargah.kit.errors import NotFound
from kargah.models import archive
from kargah.store.access import Actor
from kargah.web import ranges
from kargah.web.deps import Asking
from kargah.workers.objects import ObjectChanged, Objects

#: (from, to before) → the bytes.
Chunks = Callable[[int, int], Iterator[bytes]]


async def sent(request: Request, ask: Asking, asset: AssetOut) -> Response:
    """Raises ObjectChanged where it is not what the last scan found, StoreUnreachable, StoreRefused, StoreNotInstalled."""
    root_id, store = await ask.read(_where, asset)
    home = ask.settings.home
    objects = await asyncio.to_thread(lambda: Objects(store, StoreAccess.read(home, root_id)))
    folder = asset.place or "" if asset.kind == "model" else (asset.place or "").rpartition("/")[0]
    marks = await asyncio.to_thread(_marks_of, scans.index_of(home, root_id), folder)
    entries = [(entry, partial(_read, objects, f"{folder}/{entry.path}" if folder else entry.path, marks)) for entry in asset.files]
    first, read = entries[0]
    await asyncio.to_thread(lambda: list(read(0, min(1, first.size_bytes))))  # what is refused is said while it still can be
    if len(entries) > 1:
        packed = [(entry.path, entry.size_bytes, partial(_whole, read, entry.sha256, entry.size_bytes)) for entry, read in entries]
        headers = {"Content-Disposition": f'attachment; filename="{asset.kind}-{asset.id}.zip"'}
        return StreamingResponse(archive.zipped(packed), media_type="application/zip", headers=headers)

    def chunks(start: int, end: int) -> Iterator[bytes]:
        is_all = (start, end) == (0, first.size_bytes)
        return _whole(read, first.sha256, end) if is_all else read(start, end)

    named = {"Content-Disposition": f"attachment; filename*=utf-8''{quote(PurePosixPath(first.path).name)}"}
    return ranges.stream(request, first.size_bytes, first.sha256, chunks, named, "application/octet-stream")


def _where(session: Session, _: Actor, asset: AssetOut) -> tuple[str, Store]:
    found = roots.of_stored(session, asset)
    if found is None:
        raise NotFound(kind="files", id=asset.id)
    return found[0].id, found[1]


def _marks_of(index: Path, folder: str) -> dict[str, str]:
    """Path → ETag, of what lies in one folder."""
    return _marks(index, index.stat().st_mtime_ns, folder) if index.is_file() else {}


@lru_cache(maxsize=64)
def _marks(index: Path, _: int, folder: str) -> dict[str, str]:
    """Those who fetch a file by many parts ask for it as often. Another scan makes another index."""
    return {one.path: one.etag for one in scans.read(index) if one.path.rpartition("/")[0] == folder}


def _read(objects: Objects, path: str, marks: dict[str, str], start: int, end: int) -> Iterator[bytes]:
    if path not in marks:
        raise ObjectChanged(path=path)
    return objects.read(path, marks[path], start, end) if start < end else iter(())


def _whole(read: Chunks, sha256: str, size_bytes: int) -> Iterator[bytes]:
    """The last piece goes out once the hash is right: whoever counts bytes never takes a wrong file for a whole one."""
    digest, held = hashlib.sha256(), b""
    for chunk in read(0, size_bytes):
        digest.update(chunk)
        if held:
            yield held
        held = chunk
    if digest.hexdigest() != sha256:
        raise ObjectChanged(path=sha256)
    if held:
        yield held
