"""Every folder of the shared data comes in with the right task guessed; its tables are tried one by one in test_ingest_formats."""

import io
import zipfile
from pathlib import Path

import pytest
from support.imports import DATA, needs_data, read
from test_ingest_formats import FOLDERS

from kargah.kit.errors import KargahError

SPEECH = "speech-clips"


@needs_data
def test_no_folder_of_the_shared_data_is_left_untried() -> None:
    folders = {path.name for path in DATA.iterdir() if path.is_dir() and path.name != "hostile"}
    assert folders == {name.partition("/")[0] for name in FOLDERS} | {SPEECH}


@needs_data
def test_a_packed_folder_of_recordings_with_its_manifest_is_for_recognising_speech(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted((DATA / SPEECH).rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(DATA / SPEECH).as_posix())
    done = read(tmp_path, packed.getvalue(), "speech.zip")
    assert (done.report["task"]["name"], done.report["task"]["columns"]) == ("speech-recognition", {"audio": "audio", "text": "text"})
    assert (done.report["rows"], done.kinds()["audio"]) == (210, "audio")


@pytest.mark.parametrize(
    ("content", "code"), [(b'x,y\n1,2\n"3,4\n', "UNCLOSED_QUOTE"), (b"\x89PNG\r\n\x1a\n" + bytes(100), "BINARY_FILE"), (b"", "EMPTY_FILE")]
)
def test_what_refuses_a_part_of_several_names_its_file(tmp_path: Path, content: bytes, code: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("train.csv", b"x,y\n1,2\n3,4\n")
        archive.writestr("آزمون.csv", content)
    with pytest.raises(KargahError) as refused:
        read(tmp_path, packed.getvalue(), "parts.zip")
    assert (refused.value.code, refused.value.params["file"]) == (code, "آزمون.csv")
