import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kargah.assets import blobs
from kargah.contract.plans import InputFile
from kargah.kit.errors import TooLarge
from kargah.kit.files import UnsafePath

SHA = hashlib.sha256(b"kargah").hexdigest()


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def everything(home: Path) -> list[str]:
    return sorted(path.name for path in home.rglob("*") if path.is_file())


def test_the_same_bytes_are_kept_once_and_cannot_be_written(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"kargah")
        blobs.put_file(tmp_path / "home", tmp_path / name, move=name == "a")
    assert everything(tmp_path / "home") == [SHA, f"{SHA}.pin"]
    assert blobs.path_of(tmp_path / "home", SHA).stat().st_mode & 0o222 == 0


def test_a_copied_source_stays_writable_and_apart(tmp_path: Path) -> None:
    source = tmp_path / "model.safetensors"
    source.write_bytes(b"kargah")
    blobs.put_file(tmp_path / "home", source)
    source.write_bytes(b"changed")
    assert blobs.path_of(tmp_path / "home", SHA).read_bytes() == b"kargah"


def test_a_stream_is_kept_under_its_hash(tmp_path: Path) -> None:
    digest = asyncio.run(blobs.put_stream(tmp_path, chunks(b"kar", b"gah"), limit_bytes=6))
    assert (digest.sha256, digest.size_bytes) == (SHA, 6)
    assert everything(tmp_path) == [SHA]


def test_a_stream_over_the_limit_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        asyncio.run(blobs.put_stream(tmp_path, chunks(b"kar", b"gah"), limit_bytes=5))
    assert everything(tmp_path) == []


def test_a_stream_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"kar"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(blobs.put_stream(tmp_path, broken(), limit_bytes=100))
    assert everything(tmp_path) == []


def test_a_stated_hash_is_checked_and_a_second_keeping_is_nothing(tmp_path: Path) -> None:
    source = tmp_path / "out"
    source.write_bytes(b"kargah")
    blobs.keep(tmp_path / "home", source, SHA, 6)
    source.unlink()
    blobs.keep(tmp_path / "home", source, SHA, 6)
    source.write_bytes(b"kargaH")
    with pytest.raises(blobs.HashDiffers):
        blobs.keep(tmp_path / "home", source, "0" * 64, 6)


def test_inputs_are_laid_out_and_what_is_missing_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"kargah")
    blobs.put_file(tmp_path, tmp_path / "a")
    wanted = InputFile(path="data-0/data.parquet", sha256=SHA, size_bytes=6)
    for _ in range(2):
        blobs.lay_out(tmp_path, [wanted], tmp_path / "inputs")
    assert (tmp_path / "inputs" / "data-0" / "data.parquet").read_bytes() == b"kargah"
    with pytest.raises(blobs.FileMissing):
        blobs.lay_out(tmp_path, [wanted.model_copy(update={"size_bytes": 7})], tmp_path / "inputs")
    with pytest.raises(UnsafePath):
        blobs.lay_out(tmp_path, [wanted.model_copy(update={"path": "../x"})], tmp_path / "inputs")
