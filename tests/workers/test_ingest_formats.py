"""Every format that people really have: the content decides, the task is guessed, and no bytes bring the reader down."""

import bz2
import gzip
import io
import json
import lzma
import struct
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.imports import DATA, needs_data, read

from kargah.kit import i18n
from kargah.kit.errors import KargahError

ROWS = {"متن": [f"جملهٔ شمارهٔ {number}" for number in range(12)], "عدد": list(range(12))}
CSV = "متن,عدد\n" + "".join(f"{text},{number}\n" for text, number in zip(*ROWS.values(), strict=True))


def zipped(files: dict[str, str | bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def parquet() -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table(ROWS), target)
    return target.getvalue()


def feather() -> bytes:
    target = io.BytesIO()
    pyarrow.feather.write_feather(pa.table(ROWS), target)
    return target.getvalue()


def arrow_stream() -> bytes:
    target, table = io.BytesIO(), pa.table(ROWS)
    with pa.ipc.new_stream(target, table.schema) as writer:
        writer.write_table(table)
    return target.getvalue()


def workbook(**sheets: list[list[Any]]) -> bytes:
    book, target = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(target)
    return target.getvalue()


def zstd(content: bytes) -> bytes:
    target = pa.BufferOutputStream()
    with pa.CompressedOutputStream(target, "zstd") as stream:
        stream.write(content)
    return target.getvalue().to_pybytes()


SHEET = [["متن", "عدد"], *map(list, zip(*ROWS.values(), strict=True))]
PACKED = {
    "plain": CSV.encode(),
    "gzip": gzip.compress(CSV.encode()),
    "bzip2": bz2.compress(CSV.encode()),
    "xz": lzma.compress(CSV.encode()),
    "zstd": zstd(CSV.encode()),
    "zip": zipped({"پوشه/داده.csv": CSV, "__MACOSX/._x": b"\0", "README.md": "about"}),
    "parquet": parquet(),
    "feather": feather(),
    "arrow stream": arrow_stream(),
    "xlsx": workbook(داده=SHEET),
    "utf-16": CSV.encode("utf-16"),
    "json": json.dumps([dict(zip(ROWS, row, strict=True)) for row in zip(*ROWS.values(), strict=True)]).encode(),
}


@pytest.mark.parametrize("kind", PACKED)
def test_whatever_it_is_packed_in_and_called_the_same_rows_come_out(tmp_path: Path, kind: str) -> None:
    assert read(tmp_path, PACKED[kind], "no-hint.bin").table() == ROWS


def test_parts_of_a_zip_become_splits_of_one_data_set(tmp_path: Path) -> None:
    done = read(tmp_path, zipped({"test.csv": CSV, "train.csv": CSV, "dev.csv": CSV}), "data.zip")
    assert done.table()["split"] == ["train"] * 12 + ["validation"] * 12 + ["test"] * 12
    assert [(part["split"], part["rows"]) for part in done.report["parts"]] == [("train", 12), ("validation", 12), ("test", 12)]


def test_several_tables_without_an_obvious_one_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(KargahError) as refused:
        read(tmp_path, zipped({"a.csv": CSV, "b.csv": CSV}), "data.zip")
    assert (refused.value.code, refused.value.params["names"]) == ("SEVERAL_TABLES", ["a.csv", "b.csv"])


def test_recordings_named_by_a_manifest_are_kept_with_it(tmp_path: Path) -> None:
    files = {
        "set/manifest.csv": "audio,text\nclips/a.wav,سلام\nclips/b.wav,درود\n",
        "set/clips/a.wav": b"RIFF-a",
        "set/clips/b.wav": b"RIFF-b",
    }
    done = read(tmp_path, zipped(files), "speech.zip")
    assert done.table()["audio"] == [{"path": "clips/a.wav", "bytes": b"RIFF-a"}, {"path": "clips/b.wav", "bytes": b"RIFF-b"}]
    assert done.preview()[0] == {"audio": {"path": "clips/a.wav"}, "text": "سلام"}
    assert done.report["task"]["name"] == "speech-recognition"


def test_pictures_in_folders_have_the_folders_as_labels(tmp_path: Path) -> None:
    files = {f"pets/{label}/{number}.png": b"\x89PNG" for label in ("cat", "dog") for number in range(3)}
    done = read(tmp_path, zipped(files), "pets.zip")
    assert (done.kinds()["file"], done.table()["label"]) == ("image", ["cat"] * 3 + ["dog"] * 3)
    assert done.report["task"]["name"] == "image-classification"


def test_a_file_that_the_manifest_names_and_the_archive_lacks_is_named(tmp_path: Path) -> None:
    rows = "".join(f"{number}.wav,a\n" for number in range(5))
    with pytest.raises(KargahError) as refused:
        read(tmp_path, zipped({"manifest.csv": f"audio,text\n{rows}", **{f"{number}.wav": b"x" for number in range(4)}}), "s.zip")
    assert (refused.value.code, refused.value.params["name"]) == ("MEDIA_MISSING", "4.wav")


@pytest.mark.parametrize("name", ["../x.csv", "/etc/x.csv", "..\\x.csv", "C:/x.csv", "a/../../x.csv"])
def test_an_archive_that_reaches_out_of_its_folder_is_refused_whole(tmp_path: Path, name: str) -> None:
    with pytest.raises(KargahError) as refused:
        read(tmp_path, zipped({"ok.csv": CSV, name: CSV}), "data.zip")
    assert refused.value.code == "ARCHIVE_PATH"
    assert not list((tmp_path / "jobs").rglob("*member*"))


def test_a_workbook_with_entities_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><workbook>&x;</workbook>'
    with pytest.raises(KargahError) as refused:
        read(tmp_path, zipped({"[Content_Types].xml": "<a/>", "xl/workbook.xml": bomb}), "data.xlsx")
    assert refused.value.code == "BROKEN_TABLE"


def test_of_several_sheets_the_first_with_rows_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    done = read(tmp_path, workbook(خالی=[], داده=SHEET, دیگر=SHEET), "data.xlsx")
    assert done.table() == ROWS
    assert done.problems["OTHER_SHEETS"]["params"] == {"sheet": "داده", "others": ["دیگر"]}


def test_conllu_gives_words_and_tags_without_ranges_and_comments(tmp_path: Path) -> None:
    word = "{}\t{}\tlemma\tNOUN\tN\t_\t0\troot\t_\t_\n"
    content = "# text = x\n" + word.format("1-2", "کتابش") + word.format(1, "کتاب") + word.format(2, "ش") + "\n" + word.format(1, "رفت")
    done = read(tmp_path, content, "words.txt")
    assert done.table()["tokens"] == [["کتاب", "ش"], ["رفت"]]
    assert (done.report["format"], done.report["task"]["name"]) == ("conll-u", "token-classification")


def test_lines_of_a_page_become_paragraphs_and_verses_stay_lines(tmp_path: Path) -> None:
    prose = "\n\n".join("\n".join(["کلمه " * 12] * 4 + ["پایان"]) for _ in range(3))
    assert read(tmp_path / "prose", prose, "book.txt").result.rows == 3
    assert read(tmp_path / "verse", "الا یا ایها الساقی\nکه عشق آسان نمود اول\n" * 3, "hafez.txt").result.rows == 6


@pytest.mark.parametrize(
    ("date", "bad"), [("1403/12/30", False), ("1402/12/30", True), ("۱۴۰۳/۱۳/۰۱", True), ("31 شهریور 1403", False), ("2023-02-29", True)]
)
def test_days_that_do_not_exist_are_named_and_no_date_is_moved(tmp_path: Path, date: str, bad: bool) -> None:
    done = read(tmp_path, f"روز,مقدار\n1403/01/15,الف\n{date},ب\n۱۴۰۳/۰۲/۱۶,ج\n")
    assert done.table()["روز"] == ["1403/01/15", date, "۱۴۰۳/۰۲/۱۶"]
    assert (done.problems.get("BAD_DATES", {}).get("lines") == [3]) is bad


FOLDERS = {
    "sentiment-deepsentipers/train.csv": "text-classification",
    "en-sst2/test.csv": "text-classification",
    "nli-farstail/train.tsv": "text-pair-classification",
    "nli-farstail/test.tsv": "text-pair-classification",
    "ner-peyma/train.conll": "token-classification",
    "ner-peyma/dev.jsonl": "token-classification",
    "pos-ud-perdt/train.jsonl": "token-classification",
    "qa-pquad/dev.json": "question-answering",
    "qa-pquad/dev.flat.jsonl": "question-answering",
    "sft-persian-instruct/alpaca-test.jsonl": "sft",
    "sft-persian-instruct/chat-sample.jsonl": "sft",
    "sft-pquad-derived/chat-test.jsonl": "sft",
    "sft-pquad-derived/dpo-test.jsonl": "dpo",
    "rawtext-fawiki/hafez.txt": "language-modeling",
    "rawtext-fawiki/fawiki-paragraphs.txt": "language-modeling",
    "tabular-churn-ir/churn-fa.csv": "tabular-classification",
    "tabular-churn-ir/churn-en.csv": "tabular-classification",
    "tabular-house-tehran/housePrice.csv": "tabular-regression",
}


@needs_data
@pytest.mark.parametrize("name", FOLDERS)
def test_the_task_of_a_real_file_is_guessed_and_has_a_name_in_both_languages(tmp_path: Path, name: str) -> None:
    done = read(tmp_path, DATA / name, max_rows=400)
    assert done.report["task"]["name"] == FOLDERS[name]
    assert all(i18n.has_text(language, f"task.{FOLDERS[name]}") for language in i18n.LANGUAGES)
    assert done.report["rows_dropped"] == 0


@needs_data
def test_the_same_sentences_come_out_of_conll_and_jsonl(tmp_path: Path) -> None:
    lines, records = (read(tmp_path / kind, DATA / "ner-peyma" / f"dev.{kind}").table() for kind in ("conll", "jsonl"))
    assert lines == records


def pointing_before_its_beginning(archive: bytes) -> bytes:
    """A zip whose directory claims to stand later than it does."""
    place = archive.rindex(b"PK\x05\x06") + 16
    claimed = int.from_bytes(archive[place : place + 4], "little") + 1000
    return archive[:place] + claimed.to_bytes(4, "little") + archive[place + 4 :]


def in_other_words(table: bytes) -> bytes:
    """The same table, its first column's name no text."""
    name = next(iter(ROWS)).encode()
    assert name in table
    return table.replace(name, name[:-1] + b"\xd8")


def pointing_far_away() -> bytes:
    """An Arrow table whose second text would begin a gigabyte behind its buffer."""
    batch = pa.record_batch({"text": ["abcde", "fghij"]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    table: bytes = sink.getvalue().to_pybytes()
    offsets = struct.pack("<3i", 0, 5, 10)
    assert table.count(offsets) == 1
    return table.replace(offsets, struct.pack("<3i", 0, 1 << 30, (1 << 30) + 5))


@given(
    content=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(str.encode), st.sampled_from(sorted(PACKED.values()))),
    cut=st.data(),
)
@example(content=b'{"messages": [{"role": 1, "content": {}}]}\n', cut=None)
@example(content=b'{"data": [{"paragraphs": [{"qas": [{"answers": [{"text": 1, "answer_start": "x"}]}]}]}]}', cut=None)
@example(content=b"PAR1\0\0PAR1", cut=None)
@example(content=b"\xff\xff\xff\xff\x10\0\0\0", cut=None)
@example(content=b"text\n" + b"[" * 2000 + b"\nx\n", cut=None)
@example(content=b'{"a": ' + b"[" * 940 + b"]" * 940 + b"}\n" * 2, cut=None)
@example(content=in_other_words(PACKED["arrow stream"]), cut=None)
@example(content=in_other_words(PACKED["parquet"]), cut=None)
@example(content=pointing_far_away(), cut=None)
@example(content=pointing_before_its_beginning(zipped({"a.csv": CSV})), cut=None)
@example(content=pointing_before_its_beginning(workbook(داده=SHEET)), cut=None)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_bytes_become_a_data_set_or_a_coded_reason(tmp_path_factory: pytest.TempPathFactory, content: bytes, cut: Any) -> None:
    """Also good files of every format that were cut off, or in which one byte was changed."""
    if cut is not None and content:
        place = cut.draw(st.integers(0, len(content) - 1))
        damaged = cut.draw(st.sampled_from(["whole", "cut", "changed"]))
        content = {"whole": content, "cut": content[:place], "changed": content[:place] + b"\x81" + content[place + 1 :]}[damaged]
    try:
        done = read(tmp_path_factory.mktemp("any"), content, "file")
    except KargahError as error:
        assert i18n.has_text("fa", f"error.{error.code}")
        return
    assert done.result.rows > 0
