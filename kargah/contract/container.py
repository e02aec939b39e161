"""A bundle as one file: a tar of plain members in a fixed order, so that its length is known before a byte is sent.

``bundle.json`` (the manifest), ``bundle.sig``, ``requirements.txt``, then ``blobs/<sha256>`` in the order of hashes. Contents
stand under their hashes and not under names: no name of a member leads anywhere. Nothing is compressed, so nothing swells.
"""

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kargah.kit.errors import BadInput
from kargah.kit.files import CHUNK_BYTES

MANIFEST, SIGNATURE, REQUIREMENTS, BLOBS = "bundle.json", "bundle.sig", "requirements.txt", "blobs/"
LARGEST_MANIFEST_BYTES, LARGEST_SIGNATURE_BYTES = 32 << 20, 4 << 10
BLOCK_BYTES = tarfile.BLOCKSIZE
END = b"\0" * (2 * BLOCK_BYTES)


class NotABundle(BadInput):
    """``field``: where the file was named. It begins as no bundle does, or is of a later form than is known here."""

    code = "NOT_A_BUNDLE"


class BundleDamaged(BadInput):
    """``part``: the file of the bundle, or what else does not fit: length, manifest, paths."""

    code = "BUNDLE_DAMAGED"


@dataclass(frozen=True)
class Member:
    name: str
    size_bytes: int
    source: bytes | Path


@dataclass(frozen=True)
class Layout:
    """A bundle before it is sent."""

    members: list[Member]

    @property
    def size_bytes(self) -> int:
        return size_of([member.size_bytes for member in self.members])

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` to before ``end``; files before ``start`` are not read."""
        end = self.size_bytes if end is None else end
        offset = 0
        for size_bytes, read in self._pieces():
            first, last = max(0, start - offset), min(size_bytes, end - offset)
            if first < last:
                yield from read(first, last)
            offset += size_bytes

    def _pieces(self) -> Iterator[tuple[int, Callable[[int, int], Iterator[bytes]]]]:
        for member in self.members:
            header = _header(member.name, member.size_bytes)
            yield len(header), lambda first, last, header=header: iter([header[first:last]])  # type: ignore[misc]
            yield member.size_bytes, lambda first, last, source=member.source: _part_of(source, first, last)  # type: ignore[misc]
            padding = _padding(member.size_bytes)
            yield len(padding), lambda first, last, padding=padding: iter([padding[first:last]])  # type: ignore[misc]
        yield len(END), lambda first, last: iter([END[first:last]])


class Reader:
    """A bundle that came from elsewhere, read from front to back. What is not exactly as it is written here is refused."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def next(self, name: str) -> int:
        """How many bytes the following member has, which must be ``name``. Raises BundleDamaged."""
        try:
            found = tarfile.TarInfo.frombuf(self._file.read(BLOCK_BYTES), "utf-8", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            raise BundleDamaged(field="file", part=name) from error
        if found.name != name or found.type != tarfile.REGTYPE or found.size < 0:
            raise BundleDamaged(field="file", part=name)
        return found.size

    def first(self, limit_bytes: int) -> bytes:
        """The manifest. Raises NotABundle for anything that does not begin with one."""
        try:
            return self.whole(MANIFEST, limit_bytes)
        except BundleDamaged as error:
            raise NotABundle(field="file") from error

    def whole(self, name: str, limit_bytes: int) -> bytes:
        size_bytes = self.next(name)
        if size_bytes > limit_bytes:
            raise BundleDamaged(field="file", part=name)
        return b"".join(self.content(name, size_bytes))

    def content(self, name: str, size_bytes: int) -> Iterator[bytes]:
        left_bytes = size_bytes
        while left_bytes:
            chunk = self._file.read(min(CHUNK_BYTES, left_bytes))
            if not chunk:
                raise BundleDamaged(field="file", part=name)
            left_bytes -= len(chunk)
            yield chunk
        padding = _padding(size_bytes)
        if self._file.read(len(padding)) != padding:
            raise BundleDamaged(field="file", part=name)

    def end(self) -> None:
        if self._file.read(len(END) + 1) != END:
            raise BundleDamaged(field="file", part="end")


def size_of(sizes_bytes: list[int]) -> int:
    """Of a bundle whose members are so long."""
    return sum(BLOCK_BYTES + size_bytes + len(_padding(size_bytes)) for size_bytes in sizes_bytes) + len(END)


def _header(name: str, size_bytes: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size_bytes
    return info.tobuf(tarfile.GNU_FORMAT)


def _padding(size_bytes: int) -> bytes:
    return b"\0" * (-size_bytes % BLOCK_BYTES)


def _part_of(source: bytes | Path, first: int, last: int) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source[first:last]
        return
    with source.open("rb") as file:
        file.seek(first)
        while first < last and (chunk := file.read(min(CHUNK_BYTES, last - first))):
            first += len(chunk)
            yield chunk
