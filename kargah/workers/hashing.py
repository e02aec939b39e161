"""Hashes of many files, by processes that do nothing else: ``python -m kargah.workers.hashing`` answers a line for each name it is given.

One process hashes as fast as ``sha256sum``; several share small files out where threads of one interpreter would wait for each other.
They end when whoever started them closes the pipe, or dies.
"""

import errno
import hashlib
import os
import queue
import stat
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from enum import Enum
from typing import NamedTuple, Self

CHUNK_BYTES = 1 << 20
#: So few names and answers that neither pipe fills up: nobody waits for one who waits for them.
BATCH_FILES, BATCH_BYTES = 256, 64 << 20
_LOOK_SECONDS = 0.1


class How(Enum):
    """``BOTH``: with the id that git gives the same bytes. ``COLD``: from the disk and not from memory, through a link if it is one."""

    SHA256 = b"-"
    BOTH = b"+"
    COLD = b"c"


class Wanted(NamedTuple):
    path: str
    size_bytes: int
    how: How


class Hashed(NamedTuple):
    """``mtime_ns`` is from before the reading: of a file that changed meanwhile it is not the time that it has now.

    ``error``: why it could not be read; then nothing else is known.
    """

    sha256: str = ""
    git_sha1: str | None = None
    size_bytes: int = 0
    mtime_ns: int = 0
    inode: int = 0
    error: int = 0


class Hashers:
    """``count`` processes. ``check`` is called while one waits for them, and may raise."""

    def __init__(self, count: int, check: Callable[[], None]) -> None:
        self._check = check
        command = [sys.executable, "-m", "kargah.workers.hashing"]
        self._processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(max(1, count))]
        self._free: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        for process in self._processes:
            self._free.put(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        for process in self._processes:
            assert process.stdin is not None and process.stdout is not None
            process.stdout.close()
            with suppress(BrokenPipeError):
                process.stdin.close()

    def _end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def hash(self, wanted: Iterable[Wanted]) -> Iterator[tuple[Wanted, Hashed]]:
        """In the order of asking."""
        pending: deque[tuple[list[Wanted], Future[list[Hashed]]]] = deque()
        with ThreadPoolExecutor(len(self._processes)) as threads:
            try:
                for batch in _batches(wanted):
                    pending.append((batch, threads.submit(self._ask, batch)))
                    if len(pending) > 2 * len(self._processes):
                        yield from self._answered(*pending.popleft())
                while pending:
                    yield from self._answered(*pending.popleft())
            except BaseException:
                self._end()
                raise

    def _answered(self, batch: list[Wanted], answer: Future[list[Hashed]]) -> Iterator[tuple[Wanted, Hashed]]:
        while True:
            self._check()
            try:
                found = answer.result(_LOOK_SECONDS)
            except NotYet:
                continue
            yield from zip(batch, found, strict=True)
            return

    def _ask(self, batch: list[Wanted]) -> list[Hashed]:
        process = self._free.get()
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(b"".join(one.how.value + os.fsencode(one.path) + b"\0" for one in batch))
            process.stdin.flush()
            return [_read(process.stdout.readline()) for _ in batch]
        finally:
            self._free.put(process)


def _batches(wanted: Iterable[Wanted]) -> Iterator[list[Wanted]]:
    batch: list[Wanted] = []
    size_bytes = names_bytes = 0
    for one in wanted:
        batch.append(one)
        size_bytes, names_bytes = size_bytes + one.size_bytes, names_bytes + 4 * len(one.path)
        if len(batch) >= BATCH_FILES or size_bytes >= BATCH_BYTES or names_bytes >= 4 * 8192:
            yield batch
            batch, size_bytes, names_bytes = [], 0, 0
    if batch:
        yield batch


def _read(line: bytes) -> Hashed:
    fields = line.decode().split()
    if not fields:
        raise ChildProcessError("a hashing process ended")
    if fields[0] == "!":
        return Hashed(error=int(fields[1]))
    sha256, git_sha1, size_bytes, mtime_ns, inode = fields
    return Hashed(sha256, None if git_sha1 == "-" else git_sha1, int(size_bytes), int(mtime_ns), int(inode))


def _line(how: bytes, path: bytes) -> bytes:
    cold = how == How.COLD.value
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if cold else os.O_NOFOLLOW))
    except OSError as error:
        return b"! %d\n" % (error.errno or errno.EIO)
    try:
        return _hashed(descriptor, cold, how == How.BOTH.value)
    except OSError as error:
        return b"! %d\n" % (error.errno or errno.EIO)
    finally:
        os.close(descriptor)


def _hashed(descriptor: int, cold: bool, both: bool) -> bytes:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        return b"! %d\n" % errno.EINVAL
    if cold:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    sha256 = hashlib.sha256()
    git_sha1 = hashlib.sha1(b"blob %d\0" % before.st_size, usedforsecurity=False) if both else None
    while chunk := os.read(descriptor, CHUNK_BYTES):
        sha256.update(chunk)
        if git_sha1 is not None:
            git_sha1.update(chunk)
        if len(chunk) == before.st_size:
            break
    if cold:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    second = git_sha1.hexdigest() if git_sha1 else "-"
    return f"{sha256.hexdigest()} {second} {before.st_size} {before.st_mtime_ns} {before.st_ino}\n".encode()


def serve() -> None:
    """Names come ended by NUL, behind a byte that says how; each is answered by a line."""
    held = b""
    while chunk := os.read(0, 1 << 16):
        *names, held = (held + chunk).split(b"\0")
        answer = b"".join(_line(name[:1], name[1:]) for name in names)
        while answer:
            answer = answer[os.write(1, answer) :]


if __name__ == "__main__":
    serve()
