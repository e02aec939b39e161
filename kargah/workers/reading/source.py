"""From the bytes of an upload to text, whatever its compression and encoding, in bounded memory."""

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from kargah.text import detect
from kargah.workers.reading.errors import BinaryFile, BrokenArchive, EmptyFile, ExpandsTooMuch, NotTabular, UnknownEncoding
from kargah.workers.reading.findings import Findings

HEAD_BYTES = 256 * 1024
CHUNK_BYTES = 1 << 20
#: Text compresses twenty-fold at best; beyond this a small file is a trap.
MAX_RATIO, RATIO_MATTERS_BYTES = 100, 200 << 20
Tick = Callable[[], None]


@dataclass(frozen=True)
class Source:
    """A file whose encoding and shape are known. ``has_broken_bytes``: some bytes come as lone surrogates (U+DC80…U+DCFF)."""

    path: Path
    compressed: bool
    encoding: str
    shape: detect.Shape
    sample: str
    has_broken_bytes: bool
    has_nul: bool

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size


def examine(path: Path, filename: str, findings: Findings, tick: Tick, encoding: str | None = None) -> Source:
    """Read the file once to know what it is. Raises a coded error when it is no table."""
    compressed = _is_gzip(path)
    with _opened(path, compressed) as file:
        head = _read(file, HEAD_BYTES)
        if not head:
            raise EmptyFile()
        if kind := detect.binary_kind(head):
            raise BinaryFile(found=kind)
        check, has_nul = _checked(file, head, tick)
    codec = _known(encoding) if encoding else _encoding(head, check, findings)
    sample = _whole_lines(_decoded(head, codec))
    if not sample.strip("\ufeff \t\r\n\x00"):
        raise EmptyFile()
    shape = detect.shape(sample, filename)
    if shape is detect.Shape.HTML:
        raise NotTabular(found="HTML")
    return Source(path, compressed, codec, shape, sample, codec == "utf-8" and check.broken_bytes > 0, has_nul)


@contextmanager
def opened(source: Source) -> Iterator[tuple[TextIO, Callable[[], int]]]:
    """The text, line ends untouched, and how many of the file's bytes were read so far."""
    with source.path.open("rb") as raw, _expanded(raw, source.compressed) as file:
        errors = "surrogateescape" if source.encoding == "utf-8" else "replace"
        codec = "utf-8-sig" if source.encoding == "utf-8" else source.encoding
        with io.TextIOWrapper(cast("BinaryIO", file), encoding=codec, errors=errors, newline="") as text, _archive_errors():
            yield text, raw.tell


def _checked(file: io.BufferedIOBase, head: bytes, tick: Tick) -> tuple[detect.Utf8Check, bool]:
    check, has_nul, chunk = detect.Utf8Check(), False, head
    while chunk:
        tick()
        check.feed(chunk)
        has_nul = has_nul or b"\0" in chunk
        chunk = _read(file, CHUNK_BYTES)
    check.feed(b"", final=True)
    return check, has_nul


def _encoding(head: bytes, check: detect.Utf8Check, findings: Findings) -> str:
    marked = detect.byte_order_mark(head)
    if marked == "utf-16":
        return marked
    if check.is_utf8 and not (unmarked := detect.utf16_without_mark(head)):
        if check.broken_bytes:
            finding = findings.note("BROKEN_BYTES", "warning", count=0, bytes=check.broken_bytes)
            finding.params |= {"byte_offset": check.first_broken_offset, "line": check.broken_lines[0]}
        return "utf-8"
    guessed = unmarked if check.is_utf8 else detect.utf16_without_mark(head) or detect.legacy_encoding(head)
    assert guessed is not None
    findings.note("ENCODING_GUESSED", "warning", count=0, encoding=guessed)
    return guessed


def _known(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise UnknownEncoding(field="encoding", encoding=encoding) from None
    return "utf-8" if name == "utf-8-sig" else name


def _decoded(head: bytes, codec: str) -> str:
    decoder = codecs.getincrementaldecoder("utf-8-sig" if codec == "utf-8" else codec)("replace")
    return decoder.decode(head)


def _whole_lines(sample: str) -> str:
    """Without the last line if it may be cut off; a sample that is one line stays."""
    if len(sample) < HEAD_BYTES // 4:
        return sample
    end = max(sample.rfind("\n"), sample.rfind("\r")) + 1
    return sample[:end] or sample


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def _opened(path: Path, compressed: bool) -> Iterator[io.BufferedIOBase]:
    with path.open("rb") as raw, _expanded(raw, compressed) as file, _archive_errors():
        yield file


@contextmanager
def _expanded(raw: BinaryIO, compressed: bool) -> Iterator[io.BufferedIOBase]:
    if not compressed:
        yield cast("io.BufferedIOBase", raw)
        return
    size_bytes = Path(raw.name).stat().st_size
    with gzip.GzipFile(fileobj=raw) as expanded, io.BufferedReader(_Bounded(expanded, size_bytes), CHUNK_BYTES) as file:
        yield file


@contextmanager
def _archive_errors() -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise BrokenArchive(kind="gzip") from None


class _Bounded(io.RawIOBase):
    """A stream that refuses to expand beyond reason."""

    def __init__(self, file: gzip.GzipFile, compressed_bytes: int) -> None:
        self._file = file
        self._limit_bytes = max(RATIO_MATTERS_BYTES, compressed_bytes * MAX_RATIO)
        self._read_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = self._file.read(len(buffer))
        self._read_bytes += len(content)
        if self._read_bytes > self._limit_bytes:
            raise ExpandsTooMuch(limit_bytes=self._limit_bytes)
        buffer[: len(content)] = content
        return len(content)


def _read(file: io.BufferedIOBase, size_bytes: int) -> bytes:
    return file.read(size_bytes)
