"""A version's folder as a zip, made while it is sent: nothing is written, memory stays at one chunk."""

import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, cast

CHUNK_BYTES = 256 << 10


class _Pipe:
    """The end of a zip that cannot seek: what is written is taken out again by ``drain``."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, content: bytes) -> int:
        self._written.append(bytes(content))
        return len(content)

    def flush(self) -> None: ...

    def drain(self) -> bytes:
        content = b"".join(self._written)
        self._written.clear()
        return content


#: (name in the archive, how long it is, what reads it).
Entry = tuple[str, int, Callable[[], Iterator[bytes]]]


def stream_zip(entries: list[tuple[str, Path]]) -> Iterator[bytes]:
    """``entries``: (name in the archive, file)."""
    return zipped((name, path.stat().st_size, partial(_chunks, path)) for name, path in entries)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            yield chunk


def zipped(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Weights do not compress, so nothing is: speed is the disk's."""
    pipe = _Pipe()
    with zipfile.ZipFile(cast(IO[bytes], pipe), "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, size_bytes, read in entries:
            # A fixed date: the same version gives the same bytes each time.
            info = zipfile.ZipInfo(name, date_time=(2000, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            info.file_size = size_bytes
            with archive.open(info, "w") as target:
                for chunk in read():
                    target.write(chunk)
                    yield pipe.drain()
            yield pipe.drain()
    yield pipe.drain()
