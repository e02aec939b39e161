import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from support.model_folders import make_folder, write_safetensors

from kargah.models import archive, folders


def test_a_safetensors_folder_is_taken_without_its_other_files(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "m")
    (root / "pytorch_model.bin").write_bytes(b"\x80\x02")
    (root / "run.py").write_text("raise SystemExit")
    (root / "vocab.txt").write_text("a")
    folder = folders.inspect(root)
    assert folder.paths == ["config.json", "model.safetensors", "vocab.txt"]
    assert (folder.architecture, folder.parameters) == ("BertModel", 12)


def test_a_pickle_is_refused_with_its_name(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "m")
    (root / "model.safetensors").rename(root / "pytorch_model.bin")
    with pytest.raises(folders.ModelIsPickle) as caught:
        folders.inspect(root)
    assert caught.value.params["file"] == "pytorch_model.bin"


@pytest.mark.parametrize("missing_bytes", [1, 48])
def test_cut_weights_are_refused(tmp_path: Path, missing_bytes: int) -> None:
    root = make_folder(tmp_path / "m")
    write_safetensors(root / "model.safetensors", [3, 4], missing_bytes=missing_bytes)
    with pytest.raises(folders.WeightsDamaged):
        folders.inspect(root)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 8, b"\xff" * 200, struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 2) + b"{}x", struct.pack("<Q", 9) + b'{"a":"b"}'],
)
def test_garbage_that_calls_itself_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    root = make_folder(tmp_path / "m")
    (root / "model.safetensors").write_bytes(content)
    with pytest.raises(folders.WeightsDamaged):
        folders.inspect(root)


@pytest.mark.parametrize("config", ["", "[]", "{}", '{"model_type": 3}', "{" * 100, "[" * 200_000])
def test_a_folder_without_a_usable_config_is_refused(tmp_path: Path, config: str) -> None:
    root = make_folder(tmp_path / "m")
    (root / "config.json").write_text(config)
    with pytest.raises(folders.NotAModelFolder):
        folders.inspect(root)


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "m")
    (tmp_path / "secret.json").write_text("{}")
    (root / "tokenizer.json").symlink_to(tmp_path / "secret.json")
    assert "tokenizer.json" not in folders.inspect(root).paths


def test_a_streamed_zip_holds_the_files_and_is_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(range(256)) * 4000)
    (tmp_path / "small").write_bytes(b"x")
    entries = [("model/model.safetensors", tmp_path / "big"), ("model/راهنما.md", tmp_path / "small")]
    content = b"".join(archive.stream_zip(entries))
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        assert opened.testzip() is None
        assert {name: opened.read(name) for name in opened.namelist()} == {
            "model/model.safetensors": (tmp_path / "big").read_bytes(),
            "model/راهنما.md": b"x",
        }
    assert content == b"".join(archive.stream_zip(entries))


def test_the_zip_of_a_large_model_takes_the_memory_of_a_few_chunks(tmp_path: Path) -> None:
    size_bytes = 64 << 20
    with (tmp_path / "big").open("wb") as file:
        file.truncate(size_bytes)
    tracemalloc.start()
    try:
        sent_bytes = sum(map(len, archive.stream_zip([("model.safetensors", tmp_path / "big")])))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sent_bytes > size_bytes
    assert peak_bytes < 8 * archive.CHUNK_BYTES
