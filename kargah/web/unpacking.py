"""A zip from outside becomes a folder: nothing leaves it, nothing grows beyond what was allowed."""

import asyncio
import tempfile
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kargah.assets import blobs
from kargah.assets import uploads as pieces
from kargah.assets.manifest import FileEntry
from kargah.kit import files
from kargah.kit.errors import TooLarge
from kargah.kit.files import CHUNK_BYTES, Digest
from kargah.models import importing
from kargah.models.folders import ModelFolder
from kargah.web.deps import Asking
from kargah.web.kept import let_go
from kargah.web.uploads import BadUpload

MOST_FILES = 1000


def workspace(home: Path) -> Path:
    """Beside the blobs, so that what is unpacked can be moved and not copied."""
    folder = home / "blobs" / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def opened(path: Path, target: Path, limit_bytes: int) -> Path:
    """The folder ``path`` itself, or of a zip what is in it."""
    return unpack(path, target, limit_bytes) if path.is_file() else path


@asynccontextmanager
async def unpacked(ask: Asking, digest: Digest) -> AsyncIterator[Path]:
    """The folder that a kept zip holds, as long as it is wanted. Then the zip goes, unless something else is made of the same bytes."""
    home = ask.settings.home
    try:
        with tempfile.TemporaryDirectory(dir=workspace(home)) as folder:
            packed = blobs.path_of(home, digest.sha256)
            yield await asyncio.to_thread(unpack, packed, Path(folder), ask.settings.upload_limit_bytes)
    finally:
        await let_go(ask.threads, home, [digest.sha256])


async def brought_in(ask: Asking, root: Path) -> tuple[ModelFolder, list[FileEntry]]:
    """A model's folder, its files kept. Raises what ``importing.bring_in`` raises."""
    room = await ask.read(pieces.limits, ask.settings)
    return await asyncio.to_thread(importing.bring_in, ask.settings, root, room)


def unpack(packed: Path, target: Path, limit_bytes: int) -> Path:
    """The folder with the files: ``target``, or the single folder that the zip holds. Sizes are counted while writing, never believed.

    Raises BadUpload for what is no zip, UnsafePath for a name that would leave the folder, TooLarge.
    """
    try:
        with files.room_for(target, packed.stat().st_size), zipfile.ZipFile(packed) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) > MOST_FILES:
                raise BadUpload(field="file", reason="too_many_files")
            room_bytes = limit_bytes
            for member in members:
                room_bytes -= _extract(archive, member, files.safe_join(target, *member.filename.split("/")), room_bytes, limit_bytes)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise BadUpload(field="file", reason="not_a_zip") from error
    inside = list(target.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, room_bytes: int, limit_bytes: int) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    size_bytes = 0
    with archive.open(member) as source, path.open("xb") as target:
        while chunk := source.read(CHUNK_BYTES):
            size_bytes += len(chunk)
            if size_bytes > room_bytes:
                raise TooLarge(limit_bytes=limit_bytes)
            target.write(chunk)
    return size_bytes
