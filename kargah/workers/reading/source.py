"""From the bytes of a file to text, whatever its encoding, in bounded memory."""

import codecs
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pyarrow as pa

from kargah.text import detect
from kargah.workers.reading.batch import abreast
from kargah.workers.reading.containers import CHUNK_BYTES, Tick
from kargah.workers.reading.errors import BinaryFile, EmptyFile, NotTabular, UnknownEncoding
from kargah.workers.reading.findings import Findings

HEAD_BYTES = 256 * 1024
CHECKING_THREADS = 2
#: Bytes of UTF-8 that begin a longer character, and those that go on with one, are no less than these.
_LEADING, _CONTINUING = 0xC0, 0x80


@dataclass(frozen=True)
class Source:
    """A file whose encoding and shape are known. ``has_broken_bytes``: some bytes come as lone surrogates (U+DC80…U+DCFF)."""

    path: Path
    name: str
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
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise EmptyFile()
    if kind := detect.binary_kind(head):
        raise BinaryFile(found=kind)
    check, has_nul = _checked(path, tick)
    codec = _known(encoding) if encoding else _encoding(head, check, findings)
    sample = _whole_lines(_decoded(head, codec))
    if not sample.strip("\ufeff \t\r\n\x00"):
        raise EmptyFile()
    shape = detect.shape(sample, filename)
    if shape is detect.Shape.HTML:
        raise NotTabular(found="HTML")
    return Source(path, filename, codec, shape, sample, codec == "utf-8" and check.broken_bytes > 0, has_nul)


@contextmanager
def opened(source: Source, offset: int = 0) -> Iterator[tuple[TextIO, Callable[[], int]]]:
    """The text, line ends untouched, and how many of the file's bytes were read so far (still to be asked when it is closed).

    ``offset``: the byte to begin at, of a file in UTF-8.
    """
    errors = "surrogateescape" if source.encoding == "utf-8" else "replace"
    codec = "utf-8-sig" if source.encoding == "utf-8" and not offset else source.encoding
    with source.path.open("rb") as raw:
        raw.seek(offset)
        with io.TextIOWrapper(raw, encoding=codec, errors=errors, newline="") as text:
            yield text, lambda: source.size_bytes if raw.closed else raw.tell()


def _checked(path: Path, tick: Tick) -> tuple[detect.Utf8Check, bool]:
    """Most files are UTF-8 throughout; only one that is not is looked at where and how often it is not."""
    check, has_nul, is_strict = detect.Utf8Check(), False, True
    for (chunk, _), is_utf8 in abreast(_is_utf8, _by_characters(path, tick), CHECKING_THREADS):
        has_nul = has_nul or b"\0" in chunk
        is_strict = is_strict and is_utf8
    if is_strict:
        return check, has_nul
    for chunk in _chunks(path, tick):
        check.feed(chunk)
    check.feed(b"", final=True)
    return check, has_nul


def _by_characters(path: Path, tick: Tick) -> Iterator[tuple[bytes, int]]:
    """Chunks, each with where its last whole character ends: the next begins there. Nothing is copied."""
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            tick()
            begun = _begun(chunk)
            if begun == len(chunk):  # nothing else comes
                begun = 0
            file.seek(-begun, os.SEEK_CUR)
            yield chunk, len(chunk) - begun


def _begun(chunk: bytes) -> int:
    """How many bytes at the end are of a character that may go on."""
    for back in range(1, min(4, len(chunk)) + 1):
        if chunk[-back] >= _LEADING:
            return back
        if chunk[-back] < _CONTINUING:
            break
    return 0


def _is_utf8(piece: tuple[bytes, int]) -> bool:
    """Arrow's check takes a third of the time of decoding."""
    chunk, end = piece
    text = pa.Array.from_buffers(pa.large_string(), 1, [None, pa.array([0, end], pa.int64()).buffers()[1], pa.py_buffer(chunk)])
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _chunks(path: Path, tick: Tick) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            tick()
            yield chunk


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
