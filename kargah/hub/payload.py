"""A commit as clients send it: lines of JSON in which whole files stand as base64. It is read from the disk in pieces.

No string longer than ``INLINE_BYTES`` is ever in memory whole: it is decoded into a file while it is read.
"""

import base64
import binascii
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from kargah.hub.errors import BadPayload
from kargah.hub.paths import checked
from kargah.kit.files import CHUNK_BYTES

INLINE_BYTES = 64 << 10
LONGEST_LINE_BYTES = 1 << 20
MOST_OPERATIONS = 50_000
_SHA256 = re.compile(r"[0-9a-f]{64}")
_QUOTE_OR_END = re.compile(rb'["\n]')
_QUOTE_OR_ESCAPE = re.compile(rb'["\\]')


@dataclass(frozen=True)
class Written:
    """A file whose bytes came along; they lie at ``source``."""

    path: str
    source: Path


@dataclass(frozen=True)
class Stored:
    """A file that was uploaded before, by its hash."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Deleted:
    path: str
    is_folder: bool


Operation = Written | Stored | Deleted


@dataclass
class Payload:
    """``parent``: the commit that the sender thinks is the last one, or its first digits; "" when it does not say."""

    title: str = ""
    message: str = ""
    parent: str = ""
    operations: list[Operation] = field(default_factory=list)


def read(body: Path, folder: Path) -> Payload:
    """``folder`` takes the files that came along. Raises BadPayload, BadPath, ModelIsPickle."""
    payload = Payload()
    with body.open("rb") as source:
        for line in _Lines(source, folder).read():
            _take(payload, line, folder)
    if not payload.title:
        raise BadPayload(field="header", reason="no header")
    return payload


def _take(payload: Payload, line: bytes, folder: Path) -> None:
    try:
        said = json.loads(line)
        key, value = said["key"], said["value"]
        if key == "header":
            payload.title = " ".join(_said(value["summary"]).split())[:300] or "-"
            payload.message, payload.parent = _said(value.get("description") or "")[:4000], _said(value.get("parentCommit") or "")[:40]
        else:
            payload.operations.append(_operation(key, value, folder, len(payload.operations)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadPayload(field=f"line {len(payload.operations) + 1}", reason=type(error).__name__) from error
    if len(payload.operations) > MOST_OPERATIONS:
        raise BadPayload(field="body", reason=f"> {MOST_OPERATIONS}")


def _operation(key: str, value: dict[str, Any], folder: Path, number: int) -> Operation:
    if key in ("deletedFile", "deletedFolder"):
        return Deleted(_text(value["path"]).strip("/"), key == "deletedFolder")
    path = checked(_text(value["path"]))
    if key == "lfsFile" and value.get("algo", "sha256") == "sha256" and _SHA256.fullmatch(_text(value["oid"])):
        return Stored(path, value["oid"])
    if key == "file" and value.get("encoding", "base64") == "base64":
        return Written(path, _content(_text(value["content"]), folder, number))
    raise BadPayload(field=path[:200], reason=str(key)[:40])


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # half of a surrogate pair is no text
    return value


def _said(value: Any) -> str:
    """What people wrote about the commit, without what no database keeps."""
    return "".join(letter for letter in _text(value) if letter == "\n" or unicodedata.category(letter) != "Cc")


def _content(text: str, folder: Path, number: int) -> Path:
    """Where the bytes are: of a long string already on the disk, of a short one now."""
    long = re.fullmatch(r"\0(\d+)", text)
    if long is not None:
        path = folder / f"long.{int(long[1])}"
        if not path.is_file():
            raise ValueError(text)
        return path
    path = folder / f"short.{number}"
    path.write_bytes(base64.b64decode(text, validate=True))
    return path


class _Lines:
    """The lines of a body; in place of a long string stands NUL and the number of the file with what was decoded of it."""

    def __init__(self, source: BinaryIO, folder: Path) -> None:
        self._source = source
        self._folder = folder
        self._line = bytearray()
        self._string = bytearray()
        self._in_string = False
        self._long: BinaryIO | None = None
        self._count = 0

    def read(self) -> Iterator[bytes]:
        try:
            while chunk := self._source.read(CHUNK_BYTES):
                yield from self._split(chunk)
        finally:
            if self._long is not None:
                self._long.close()
        if self._in_string:
            raise BadPayload(field="body", reason="cut off")
        if self._line.strip():
            yield bytes(self._line)

    def _split(self, chunk: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(chunk):
            if self._in_string:
                at = self._in(chunk, at)
                continue
            found = _QUOTE_OR_END.search(chunk, at)
            end = found.start() if found else len(chunk)
            self._add(chunk[at:end])
            at = end + 1
            if found and found[0] == b"\n":
                if self._line.strip():
                    yield bytes(self._line)
                self._line.clear()
            elif found:
                self._in_string = True

    def _in(self, chunk: bytes, at: int) -> int:
        """Inside a string; returns where to go on."""
        if self._string.endswith(b"\\") and not _is_closed(self._string):
            self._string += chunk[at : at + 1]
            return at + 1
        found = _QUOTE_OR_ESCAPE.search(chunk, at)
        end = found.start() if found else len(chunk)
        self._string += chunk[at:end]
        if found and found[0] == b"\\":
            self._string += b"\\"
        if len(self._string) > INLINE_BYTES:
            self._spill()
        if found and found[0] == b'"':
            self._close()
        return end + 1 if found else end

    def _spill(self) -> None:
        """What is here of a long string is decoded, but for the last few letters, which the next ones complete."""
        if self._long is None:
            self._long = (self._folder / f"long.{self._count}").open("xb")
        whole = len(self._string) - len(self._string) % 4
        self._decode(whole)

    def _decode(self, length: int) -> None:
        assert self._long is not None
        try:
            self._long.write(base64.b64decode(self._string[:length], validate=True))
        except binascii.Error as error:
            raise BadPayload(field="content", reason="base64") from error
        del self._string[:length]

    def _close(self) -> None:
        self._in_string = False
        if self._long is not None:
            self._decode(len(self._string))
            self._long.close()
            self._long = None
            self._string += b"\\u0000%d" % self._count
            self._count += 1
        self._add(b'"' + self._string + b'"')
        self._string.clear()

    def _add(self, part: bytes | bytearray) -> None:
        self._line += part
        if len(self._line) > LONGEST_LINE_BYTES:
            raise BadPayload(field="body", reason="line")


def _is_closed(string: bytearray) -> bool:
    """Whether the backslash at the end is itself escaped."""
    return (len(string) - len(string.rstrip(b"\\"))) % 2 == 0
