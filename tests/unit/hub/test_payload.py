"""A commit's lines of JSON with files in them, read from the disk in pieces."""

import base64
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kargah.hub import payload
from kargah.hub.errors import BadPayload
from kargah.hub.payload import Deleted, Payload, Stored, Written
from kargah.kit.errors import BadInput

HEADER = {"key": "header", "value": {"summary": 'سلام «دنیا» \\ "x"', "description": "", "parentCommit": "abcdef0"}}


def line_of(path: str, content: bytes) -> dict[str, Any]:
    return {"key": "file", "value": {"content": base64.b64encode(content).decode(), "path": path, "encoding": "base64"}}


def read(folder: Path, *lines: object, raw: bytes | None = None) -> Payload:
    folder.mkdir(exist_ok=True)
    body = folder / "body"
    body.write_bytes(raw if raw is not None else b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    inside = folder / "inside"
    inside.mkdir(exist_ok=True)
    for left in inside.iterdir():
        left.unlink()
    return payload.read(body, inside)


def test_files_short_and_long_arrive_byte_for_byte(tmp_path: Path) -> None:
    contents = [b"", b"x", os.urandom(payload.INLINE_BYTES), os.urandom(3 << 20), b"\xff" * 100_001]
    found = read(tmp_path, HEADER, *(line_of(f"f{number}", content) for number, content in enumerate(contents)))
    assert (found.title, found.parent) == ('سلام «دنیا» \\ "x"', "abcdef0")
    written = [operation for operation in found.operations if isinstance(operation, Written)]
    assert [operation.source.read_bytes() for operation in written] == contents


def test_what_is_deleted_or_was_stored_is_told(tmp_path: Path) -> None:
    lines = [
        {"key": "deletedFile", "value": {"path": "a"}},
        {"key": "deletedFolder", "value": {"path": "b/"}},
        {"key": "lfsFile", "value": {"path": "c", "algo": "sha256", "oid": "0" * 64, "size": 3}},
    ]
    assert read(tmp_path, HEADER, *lines).operations == [Deleted("a", False), Deleted("b", True), Stored("c", "0" * 64)]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(max_size=40), max_size=5), chunk_bytes=st.integers(1, 9))
def test_lines_are_the_same_wherever_pieces_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: list[str], chunk_bytes: int
) -> None:
    monkeypatch.setattr(payload, "CHUNK_BYTES", chunk_bytes)
    body = tmp_path / "body"
    body.write_bytes(b"".join(json.dumps({"t": text}, ensure_ascii=False).encode("utf-8", "replace") + b"\n" for text in texts))
    with body.open("rb") as source:
        said = [json.loads(line)["t"] for line in payload._Lines(source, tmp_path).read()]
    assert said == [text.encode("utf-8", "replace").decode() for text in texts]


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\n\n", b"{", b"[]", b"null", b'"x"', b"{}\n", b"\xff\xfe", b'{"key": "header"}', b'{"key": "header", "value": 7}',
        json.dumps(line_of("x", b"x")).encode(),  # no header
        json.dumps(HEADER).encode() + b'\n{"key": "nix", "value": {"path": "x"}}',
        json.dumps(HEADER).encode() + b'\n{"key": "file", "value": {"path": "x", "content": "?"}}',
        json.dumps(HEADER).encode() + b'\n{"key": "file", "value": {"path": "x", "content": "' + b"?" * 100_000 + b'"}}',
        json.dumps(HEADER).encode() + b'\n{"key": "file", "value": {"path": "x", "content": "' + b"A" * 100_000,
        json.dumps(HEADER).encode() + b'\n{"key": "file", "value": {"path": "x", "content": "\\u00007"}}',
        json.dumps(HEADER).encode() + b'\n{"key": "file", "value": {"path": "\\ud800", "content": ""}}',
        json.dumps(HEADER).encode() + b'\n{"key": "lfsFile", "value": {"path": "x", "oid": "../../x"}}',
        json.dumps(HEADER).encode() + b"\n" + b"[" * 100_000,
        b" " * (payload.LONGEST_LINE_BYTES + 2),
    ],
)  # fmt: skip
def test_what_is_no_commit_is_refused_in_words(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(BadInput):
        read(tmp_path, raw=raw)


def test_memory_stays_small_whatever_is_sent(tmp_path: Path) -> None:
    body = tmp_path / "body"
    with body.open("wb") as file:
        file.write(json.dumps(HEADER).encode() + b'\n{"key": "file", "value": {"path": "x", "encoding": "base64", "content": "')
        for _ in range(32):
            file.write(b"QUFB" * (1 << 18))
        file.write(b'"}}\n')
    (tmp_path / "inside").mkdir()
    tracemalloc.start()
    found = payload.read(body, tmp_path / "inside")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(found.operations[0], Written)
    assert found.operations[0].source.stat().st_size == 24 << 20
    assert peak_bytes < 12 << 20


def test_a_string_that_is_no_file_may_not_be_long(tmp_path: Path) -> None:
    with pytest.raises(BadPayload):
        read(tmp_path, {**HEADER, "value": {"summary": "x", "description": "سلام " * 20_000}})
