"""Files on their way: ``downloads/<sha256>.part`` with the bytes, ``<sha256>.have`` with how much of each region is there.

A file is cut into a few regions that come side by side. How far each has come is written behind its bytes, so a process that is
killed has at most said too little. After a restart of the machine only what was synced before counts: that is what a power cut leaves.
"""

import fcntl
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kargah.kit import files, pieces
from kargah.kit.files import Digest
from kargah.workers.hub.tree import RemoteFile

REGION_BYTES = 4 << 20
MOST_REGIONS = 8
SYNC_BYTES = 8 << 20
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_HEAD = struct.Struct("<40sQ")
_REGION = struct.Struct("<QQ")
_LOOK_SECONDS = 0.1


class Part:
    """One file. Held by one process at a time (a lock of the part file); its regions may be written by a thread each."""

    def __init__(self, folder: Path, file: RemoteFile) -> None:
        self.file = file
        self.whole = folder / file.key
        self.is_whole = self._has_its_name()
        self._path, self._have_path = folder / f"{file.key}.part", folder / f"{file.key}.have"
        self.bounds = regions_of(file.size_bytes)
        self.there = [0] * len(self.bounds)
        self._synced = [0] * len(self.bounds)
        self._bytes = self._have = -1
        self.digest: Digest | None = None
        self._users = 0
        self._opening = threading.Lock()
        #: Whoever brings the last byte looks at all of them, and mends what is wrong; the others wait for that.
        self.finishing = threading.Lock()

    @contextmanager
    def held(self, check: Callable[[], None]) -> Iterator[None]:
        """Open, with what is there known. Waits until no other download is at the same file; ``check`` raises when the work must end."""
        with self._opening:
            if not self._users:
                self._open(check)
            self._users += 1
        try:
            yield
        finally:
            with self._opening:
                self._users -= 1
                if not self._users:
                    self._close()

    @property
    def there_bytes(self) -> int:
        return self.file.size_bytes if self.is_whole else sum(self.there)

    def missing(self, region: int) -> tuple[int, int]:
        """(first byte, behind the last byte) that is not there of a region."""
        start, end = self.bounds[region]
        return start + self.there[region], end

    def write(self, region: int, chunk: bytes) -> None:
        """What comes next of a region. Raises OSError when there is no room; what came before it stays."""
        self._put(self.missing(region)[0], chunk)
        self.there[region] += len(chunk)
        if self.there[region] - self._synced[region] >= SYNC_BYTES:
            os.fdatasync(self._bytes)
            self._synced[region] = self.there[region]
        os.pwrite(self._have, _REGION.pack(self.there[region], self._synced[region]), _HEAD.size + region * _REGION.size)

    def patch(self, offset: int, chunk: bytes) -> None:
        """Other bytes for some that are there. Raises OSError."""
        self._put(offset, chunk)

    def _put(self, offset: int, chunk: bytes) -> None:
        left = memoryview(chunk)
        while left:
            files.about_to("write", self._path)
            written = os.pwrite(self._bytes, left, offset)
            left, offset = left[written:], offset + written

    def differing(self, piece_bytes: int, right: bytes) -> list[tuple[int, int]]:
        """What of a part that is wrong is not as the hashes of its pieces say: (first byte, behind the last byte)."""
        return pieces.differing(self._path, piece_bytes, right)

    def finish(self) -> bool | None:
        """Once all is there: True when it is what it should be, and then it has its name; False when not.

        None as long as something is missing. With ``finishing`` held.
        """
        if self.is_whole:
            return True
        if sum(self.there) < self.file.size_bytes:
            return None
        os.fsync(self._bytes)
        digest = files.digest_of(self._path)
        if (digest.sha256 if self.file.sha256 else digest.git_sha1) != (self.file.sha256 or self.file.git_sha1):
            return False
        self.digest = digest
        files.rename(self._path, self.whole)
        self._have_path.unlink(missing_ok=True)
        self.is_whole = True
        return True

    def forget(self) -> None:
        os.ftruncate(self._bytes, 0)
        self.there, self._synced = [0] * len(self.bounds), [0] * len(self.bounds)
        self._write_all()

    def _has_its_name(self) -> bool:
        return self.whole.is_file() and self.whole.stat().st_size == self.file.size_bytes

    def _open(self, check: Callable[[], None]) -> None:
        while not self.is_whole:
            self._bytes = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if _is_locked(self._bytes) and self._is_named():
                self._have = os.open(self._have_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                self._remember()
                return
            os.close(self._bytes)
            self._bytes = -1
            check()
            time.sleep(_LOOK_SECONDS)
            self.is_whole = self._has_its_name()

    def _is_named(self) -> bool:
        """Whoever held it may have finished it or thrown it away: then what is locked here is no part any more."""
        with suppress(FileNotFoundError):
            return self._path.stat().st_ino == os.fstat(self._bytes).st_ino
        return False

    def _close(self) -> None:
        for descriptor in (self._bytes, self._have):
            if descriptor >= 0:
                os.close(descriptor)
        self._bytes = self._have = -1

    def _remember(self) -> None:
        """What the file beside the part says, where it can be believed."""
        said = os.pread(self._have, _HEAD.size + MOST_REGIONS * _REGION.size, 0)
        expected = _HEAD.size + len(self.bounds) * _REGION.size
        boot, size_bytes = _HEAD.unpack_from(said) if len(said) >= _HEAD.size else (b"", -1)
        if len(said) == expected and size_bytes == self.file.size_bytes and os.fstat(self._bytes).st_size <= size_bytes:
            same_boot = boot.rstrip(b"\0") == _boot_id()
            for region, (start, end) in enumerate(self.bounds):
                there, synced = _REGION.unpack_from(said, _HEAD.size + region * _REGION.size)
                self.there[region] = min(there if same_boot else synced, end - start)
                self._synced[region] = min(synced, self.there[region])
        elif os.fstat(self._bytes).st_size:
            os.ftruncate(self._bytes, 0)
        self._write_all()

    def _write_all(self) -> None:
        regions = b"".join(_REGION.pack(there, synced) for there, synced in zip(self.there, self._synced, strict=True))
        os.pwrite(self._have, _HEAD.pack(_boot_id(), self.file.size_bytes) + regions, 0)


@dataclass
class Region:
    """What has yet to come of one region of a part."""

    part: Part
    number: int

    @property
    def missing(self) -> tuple[int, int]:
        return self.part.missing(self.number)

    def write(self, chunk: bytes) -> None:
        self.part.write(self.number, chunk)


@dataclass
class Patch:
    """What comes again of a part that is wrong, from ``at`` up to ``end``."""

    part: Part
    at: int
    end: int

    @property
    def missing(self) -> tuple[int, int]:
        return self.at, self.end

    def write(self, chunk: bytes) -> None:
        self.part.patch(self.at, chunk)
        self.at += len(chunk)


def regions_of(size_bytes: int) -> list[tuple[int, int]]:
    """A function of the size alone, so that every attempt cuts a file in the same places."""
    count = min(MOST_REGIONS, max(1, size_bytes // REGION_BYTES))
    return [(size_bytes * index // count, size_bytes * (index + 1) // count) for index in range(count)]


def discard(folder: Path, keys: list[str]) -> None:
    """Throw away what is here of files; what another download holds stays."""
    for key in keys:
        part = folder / f"{key}.part"
        with suppress(OSError):
            descriptor = os.open(part, os.O_RDWR | os.O_CLOEXEC)
            try:
                if not _is_locked(descriptor):
                    continue
                part.unlink(missing_ok=True)
                (folder / f"{key}.have").unlink(missing_ok=True)
            finally:
                os.close(descriptor)
        (folder / key).unlink(missing_ok=True)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _boot_id() -> bytes:
    try:
        return _BOOT_ID.read_bytes().strip()[:40]
    except OSError:
        return b"unknown"
