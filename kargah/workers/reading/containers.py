"""What is wrapped around a table: one layer of compression, or a zip. Nothing is trusted: not names, not sizes, not depth.

Whatever is unpacked lies in the attempt's own scratch folder, under names of ours, and goes with it.
"""

import bz2
import errno
import gzip
import io
import lzma
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from kargah.workers.reading.errors import (
    ArchivePath,
    BrokenArchive,
    EmptyArchive,
    EncryptedArchive,
    ExpandsTooMuch,
    NestedArchive,
    TooManyFiles,
)

CHUNK_BYTES = 1 << 20
#: Text compresses twenty-fold at best; beyond this a small file is a trap.
MAX_RATIO, RATIO_MATTERS_BYTES = 100, 200 << 20
MAX_FILES = 200_000
MAX_MEDIA_BYTES = 256 << 20
AUDIO = frozenset({"wav", "mp3", "flac", "ogg", "oga", "opus", "m4a"})
IMAGES = frozenset({"png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"})
_ARCHIVES = frozenset({"zip", "7z", "rar", "tar", "tgz"})
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_LITTER = re.compile(r"(^|/)(__MACOSX/|\.|Thumbs\.db$|desktop\.ini$)", re.IGNORECASE)
_ENCRYPTED = 0x1
Tick = Callable[[], None]


@dataclass(frozen=True)
class Member:
    """A file to be read as a table. ``name`` is what it is called, for hints and messages; never a path to write to."""

    path: Path
    name: str


@dataclass(frozen=True)
class Contents:
    """``media``: names in the zip ``archive``, read when they are wanted. ``is_zip``: the members came out of a zip."""

    members: list[Member]
    media: list[str] = field(default_factory=list)
    archive: Path | None = None
    is_zip: bool = False


def unpack(path: Path, filename: str, scratch: Path, tick: Tick) -> Contents:
    """Raises a coded error for a trap, a damaged archive, an archive in an archive, or an empty one."""
    head = head_of(path)
    kind = compression(head)
    if kind is not None:
        target = scratch / "expanded"
        with archive_errors(kind), path.open("rb") as raw, closing(_expanding(raw, kind)) as expanding:
            _copy(expanding, target, limit_bytes(path), tick)
        if compression(head_of(target)) or head_of(target).startswith(_ZIP):
            raise NestedArchive(kind=kind)
        return Contents([Member(target, _without_ending(filename))])
    if head.startswith(_ZIP) and not is_workbook(path):
        with archive_errors("zip"):
            return _unzipped(path, scratch, tick)
    return Contents([Member(path, filename)])


def compression(head: bytes) -> str | None:
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


def head_of(path: Path, size_bytes: int = 8) -> bytes:
    with path.open("rb") as file:
        return file.read(size_bytes)


def limit_bytes(path: Path) -> int:
    return max(RATIO_MATTERS_BYTES, path.stat().st_size * MAX_RATIO)


def is_workbook(path: Path) -> bool:
    """Whether a zip is an Excel workbook. Raises BrokenArchive when it cannot even be listed."""
    with archive_errors("zip"), zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        return "[Content_Types].xml" in names and any(name.startswith("xl/") for name in names)


def check_sizes(path: Path, archive: zipfile.ZipFile) -> None:
    """What the entries say of themselves, checked before anything is expanded (and again while expanding)."""
    if sum(entry.file_size for entry in archive.infolist()) > limit_bytes(path):
        raise ExpandsTooMuch(limit_bytes=limit_bytes(path))
    if len(archive.infolist()) > MAX_FILES:
        raise TooManyFiles(files=len(archive.infolist()), limit=MAX_FILES)
    if any(entry.flag_bits & _ENCRYPTED for entry in archive.infolist()):
        raise EncryptedArchive()


def media_bytes(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive_errors("zip"), archive.open(name) as file:
        content = file.read(MAX_MEDIA_BYTES + 1)
    if len(content) > MAX_MEDIA_BYTES:
        raise ExpandsTooMuch(limit_bytes=MAX_MEDIA_BYTES)
    return content


def shown_name(entry: zipfile.ZipInfo) -> str:
    """Windows packs Persian names without saying that they are UTF-8."""
    if entry.flag_bits & 0x800:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename


def ending(name: str) -> str:
    return PurePosixPath(name).suffix[1:].lower()


def _unzipped(path: Path, scratch: Path, tick: Tick) -> Contents:
    members: list[Member] = []
    media: list[str] = []
    with zipfile.ZipFile(path) as archive:
        check_sizes(path, archive)
        room_bytes = limit_bytes(path)
        for entry in _useful(archive):
            tick()
            if ending(entry.filename) in AUDIO | IMAGES:
                media.append(entry.filename)
                continue
            target = scratch / f"member-{len(members)}"
            with archive.open(entry) as file:
                room_bytes -= _copy(cast("io.BufferedIOBase", file), target, room_bytes, tick)
            if head_of(target).startswith(_ZIP) and not is_workbook(target):
                raise NestedArchive(kind="zip", name=shown_name(entry))
            members.append(Member(target, shown_name(entry)))
    if not members and not media:
        raise EmptyArchive()
    return Contents(members, media, path, is_zip=True)


def _useful(archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    """All names are judged before the first file is written."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    for entry in entries:
        _check_name(entry.filename)
    for entry in entries:
        if _LITTER.search(entry.filename):
            continue
        if ending(entry.filename) in _ARCHIVES:
            raise NestedArchive(kind="zip", name=shown_name(entry))
        yield entry


def _check_name(name: str) -> None:
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or ":" in parts[0] or "\0" in name:
        raise ArchivePath(name=name)


def _copy(file: io.BufferedIOBase, target: Path, limit: int, tick: Tick) -> int:
    copied = 0
    try:
        with target.open("wb") as out:
            while chunk := file.read(CHUNK_BYTES):
                tick()
                copied += len(chunk)
                if copied > limit:
                    raise ExpandsTooMuch(limit_bytes=limit)
                out.write(chunk)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return copied


def _expanding(raw: BinaryIO, kind: str) -> io.BufferedIOBase:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=raw)
    if kind == "bzip2":
        return bz2.BZ2File(raw)
    if kind == "xz":
        return lzma.LZMAFile(raw)
    import pyarrow as pa

    return cast("io.BufferedIOBase", pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd"))


@contextmanager
def archive_errors(kind: str) -> Iterator[None]:
    try:
        yield
    except (EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, UnicodeError):
        raise BrokenArchive(kind=kind) from None
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # the disk's trouble; the other is a place before the archive's beginning
            raise
        raise BrokenArchive(kind=kind) from None


def _without_ending(filename: str) -> str:
    return re.sub(r"\.(gz|gzip|bz2|xz|zst|zstd)\Z", "", filename, flags=re.IGNORECASE)


def clear(scratch: Path) -> None:
    shutil.rmtree(scratch, ignore_errors=True)
