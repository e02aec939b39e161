"""The import worker: what it says of a file, how it ends, and that no bytes make it stumble."""

import csv
import gzip
import io
import json
import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.imports import events_of, lay_out, read, start

from kargah.contract import control
from kargah.contract.control import Want
from kargah.kit import i18n
from kargah.kit.errors import KargahError

CSV = "متن,برچسب\nسلام,مثبت\nبد بود,منفی\nخوب بود,مثبت\n"


def test_a_worker_ends_with_its_result_and_whole_outputs(tmp_path: Path) -> None:
    directory = lay_out(tmp_path, CSV.encode(), encoding="utf-8")
    assert start(directory).wait(timeout=60) == 0
    events = events_of(directory)
    assert [events[0].kind, events[-1].kind] == ["Started", "Finished"]
    result = events[-1].result  # type: ignore[union-attr]
    assert {file["path"] for file in result["files"]} == {"data.parquet", "columns.json", "preview.jsonl", "report.json"}
    assert sorted(path.name for path in directory.outputs.rglob("*") if path.is_file()) == sorted(file["path"] for file in result["files"])
    assert json.loads((directory.outputs / "dataset" / "columns.json").read_text()) == result["columns"]


def test_a_worker_that_cannot_read_says_why_and_exits_well(tmp_path: Path) -> None:
    directory = lay_out(tmp_path, b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert start(directory).wait(timeout=60) == 0
    last = events_of(directory)[-1].model_dump()
    assert (last["kind"], last["code"], last["params"]) == ("Failed", "BINARY_FILE", {"found": "PNG"})


@pytest.mark.parametrize(("by", "last_word"), [("control", "Stopped"), ("signal", "Interrupted")])
def test_a_stop_ends_a_long_import_and_the_systems_signal_has_it_queued_again(tmp_path: Path, by: str, last_word: str) -> None:
    rows = "".join(f"این جملهٔ شمارهٔ {number} است,برچسب\n" for number in range(600_000))
    directory = lay_out(tmp_path, f"متن,برچسب\n{rows}".encode())
    worker = start(directory)
    while not any(event.kind == "Running" for event in events_of(directory)):
        time.sleep(0.02)
    control.write(directory.control, Want.STOP) if by == "control" else os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(timeout=30) == 0
    assert events_of(directory)[-1].kind == last_word


def test_rows_of_another_width_are_left_out_and_named_by_their_line_in_the_file(tmp_path: Path) -> None:
    content = 'متن,برچسب\n"دو\nسطری",الف\nیک,ب,ج\nچهار,الف\nتنها\n'
    imported = read(tmp_path, content)
    assert imported.table() == {"متن": ["دو\nسطری", "چهار"], "برچسب": ["الف", "الف"]}
    ragged = imported.problems["RAGGED_ROWS"]
    assert (ragged["count"], ragged["lines"], ragged["severity"]) == (2, [4, 6], "error")
    assert (imported.report["rows_read"], imported.report["rows_dropped"]) == (4, 2)


def test_a_trailing_delimiter_loses_no_row(tmp_path: Path) -> None:
    assert read(tmp_path, "a,b\nx,1,\ny,2,,\n").table() == {"a": ["x", "y"], "b": [1, 2]}


def test_headers_are_cleaned_made_unique_and_that_is_said(tmp_path: Path) -> None:
    imported = read(tmp_path, " متن ,متن,,دو   فاصله\nالف,ب,ج,د\nه,و,ز,ح\n")
    assert list(imported.columns) == ["متن", "متن_2", "column_3", "دو فاصله"]
    assert imported.problems["DUPLICATE_HEADERS"]["params"] == {"name": "متن"}
    assert imported.problems["EMPTY_HEADER"]["columns"] == ["column_3"]


def test_identifiers_keep_their_zeros_and_huge_numbers_their_digits(tmp_path: Path) -> None:
    imported = read(tmp_path, "phone,card,n\n09121234567,6037991234567890,1\n09351234567,6037990987654321,2\n")
    assert imported.table() == {"phone": ["09121234567", "09351234567"], "card": ["6037991234567890", "6037990987654321"], "n": [1, 2]}


def test_a_few_words_in_a_column_of_numbers_become_missing_and_are_named(tmp_path: Path) -> None:
    rows = "".join(f"{number}.5\n" for number in range(200))
    imported = read(tmp_path, f"x,y\n{''.join(f'{row},1' + chr(10) for row in rows.split())}نامعلوم,1\n")
    assert imported.kinds()["x"] == "number"
    assert imported.table()["x"][-1] is None
    said = imported.problems["NOT_NUMBERS"]
    assert (said["count"], said["lines"], said["columns"], said["params"]) == (1, [202], ["x"], {"examples": ["نامعلوم"]})


def test_booleans_lists_and_objects_get_types_of_their_own(tmp_path: Path) -> None:
    lines = [
        {"ok": True, "tags": ["a", "b"], "more": {"x": 1}},
        {"ok": False, "tags": [], "more": {"x": 2}},
        {"ok": None, "tags": None, "more": None},
    ]
    imported = read(tmp_path, "\n".join(json.dumps(line) for line in lines), "data.jsonl")
    assert imported.kinds()["ok"] == "boolean"
    assert imported.kinds()["tags"] == "list"
    assert imported.table() == {"ok": [True, False, None], "tags": [["a", "b"], [], None], "more": ['{"x": 1}', '{"x": 2}', None]}


def test_a_key_that_comes_late_is_a_column_all_the_same(tmp_path: Path) -> None:
    lines = [json.dumps({"a": number}) for number in range(500)] + [json.dumps({"a": 1, "late": "x"})]
    assert read(tmp_path, "\n".join(lines), "data.jsonl").table()["late"] == [None] * 500 + ["x"]


def test_a_cut_off_array_gives_the_rows_before_the_cut(tmp_path: Path) -> None:
    imported = read(tmp_path, '[\n{"a": 1},\n{"a": 2},\n{"a": ', "data.json")
    assert imported.table() == {"a": [1, 2]}
    assert imported.problems["CUT_OFF"]["lines"] == [4]


@pytest.mark.parametrize("blanks", [(1 << 20) - 8, (1 << 20) - 9, (1 << 20) - 7, 3 << 20])
def test_an_array_may_be_cut_anywhere_by_reading(tmp_path: Path, blanks: int) -> None:
    imported = read(tmp_path, '[{"a":1}' + " " * blanks + ',{"a":2}\n' + " " * (1 << 20) + "]", "data.json")
    assert imported.table() == {"a": [1, 2]}
    assert imported.report["problems"] == []


NEWER = "کد,امتیاز,روز,گروه,نام\n" + "".join(
    f"{1000 + n},{'۱۲٫۵' if n % 3 else 'نامعلوم'},1402/0{1 + n % 6}/1{n % 9},{n % 4},نام شمارهٔ {n}\n" for n in range(30)
)


def test_what_was_said_by_hand_holds_for_a_newer_file_where_it_can_and_the_report_says_where(tmp_path: Path) -> None:
    meant = {"کد": "identifier", "امتیاز": "number", "روز": "date", "گروه": "category", "نام": "number", "رفته": "text"}
    imported = read(tmp_path, NEWER, said={"number": 2, "meant": meant, "normaliser": True})
    held = {"کد": "identifier", "امتیاز": "number", "روز": "date", "گروه": "category"}
    assert {name: column["meant"] for name, column in imported.columns.items() if column["meant"]} == held
    assert imported.kinds() == {"کد": "integer", "امتیاز": "number", "روز": "text", "گروه": "category", "نام": "text"}
    assert (imported.table()["امتیاز"][:2], imported.problems["NOT_NUMBERS"]["count"]) == ([None, 12.5], 10)
    told = {code: imported.problems[code] for code in ("SAID_STILL_HOLDS", "SAID_DOES_NOT_FIT", "SAID_OF_NO_COLUMN", "NORMALISER_KEPT")}
    assert (told["SAID_STILL_HOLDS"]["columns"], told["SAID_DOES_NOT_FIT"]["columns"]) == (list(held), ["نام"])
    assert told["SAID_OF_NO_COLUMN"]["params"] == {"version": 2, "names": ["رفته"]}


def test_only_as_many_rows_as_asked_are_read(tmp_path: Path) -> None:
    imported = read(tmp_path, CSV, max_rows=2)
    assert imported.result.rows == 2
    assert imported.problems["ONLY_FIRST_ROWS"]["params"] == {"rows": 2}


def test_encoding_and_delimiter_can_be_told(tmp_path: Path) -> None:
    imported = read(tmp_path, "a~b\ncafé~1\ncrème~2\n".encode("latin-1"), encoding="latin-1", delimiter="~")
    assert imported.table() == {"a": ["café", "crème"], "b": [1, 2]}


@pytest.mark.parametrize(("options", "code"), [({"encoding": "klingon"}, "UNKNOWN_ENCODING"), ({"delimiter": "ab"}, "BAD_DELIMITER")])
def test_options_that_cannot_be_are_refused(tmp_path: Path, options: dict[str, str], code: str) -> None:
    with pytest.raises(KargahError) as refused:
        read(tmp_path, CSV, **options)
    assert refused.value.code == code


def test_compressed_files_are_read_and_traps_are_not(tmp_path: Path) -> None:
    assert read(tmp_path / "good", gzip.compress(CSV.encode())).result.rows == 3
    with pytest.raises(KargahError) as refused:
        read(tmp_path / "bomb", gzip.compress(b"a,b\n" + b"x,y\n" * (60 << 20)))
    assert refused.value.code == "EXPANDS_TOO_MUCH"


def test_a_line_of_fifty_megabytes_is_refused_by_its_number(tmp_path: Path) -> None:
    for name, content in (("csv", b"a,b\n1,2\n" + b"x" * (50 << 20)), ("jsonl", b'{"a": 1}\n{"a": "' + b"x" * (50 << 20) + b'"}')):
        with pytest.raises(KargahError) as refused:
            read(tmp_path / name, content, f"data.{name}")
        assert (refused.value.code, refused.value.params["line"]) == ("ROW_TOO_LONG", {"csv": 3, "jsonl": 2}[name])


def test_half_a_surrogate_pair_is_stored_as_a_replacement(tmp_path: Path) -> None:
    assert read(tmp_path, '{"a": "x\\ud83d"}\n{"a": "y"}\n', "data.jsonl").table() == {"a": ["x\ufffd", "y"]}


def test_a_preview_shows_two_hundred_rows_with_long_cells_cut(tmp_path: Path) -> None:
    imported = read(tmp_path, "a,b\n" + "".join(f"{'x' * 3000},{number}\n" for number in range(300)))
    assert len(imported.preview()) == 200
    assert imported.preview()[7] == {"a": "x" * 2000 + "…", "b": 7}
    assert len(imported.table()["a"][0]) == 3000


def test_a_table_of_very_many_columns_fits_into_one_event(tmp_path: Path) -> None:
    header = ",".join(f"ستون{number}" for number in range(4000))
    imported = read(tmp_path, f"{header}\n" + "\n".join(",".join([f"مقدار {row}"] * 4000) for row in range(3)))
    assert len(imported.result.model_dump_json()) < 4 << 20
    assert len(json.loads((imported.folder / "columns.json").read_text())) == 4000


FRAGMENTS = st.sampled_from(
    [b",", b"\n", b"\r\n", b'"', b"\t", b";", b"{", b"}", b"[", b"]", b'{"a": 1}', b'"a":', b"\x00", b"\xff\xfe", b"\xef\xbb\xbf",
     b"1e400", b"NaN", b"\\ud800", "متن".encode(), "ي\u200c".encode(), b"\xff", b"sep=;", b"=cmd()", b"0", b"-", b"null", b"<html>",
     b"\x1f\x8b"]
)  # fmt: skip
BYTES = st.one_of(st.lists(FRAGMENTS, max_size=40).map(b"".join), st.binary(max_size=200))


@given(BYTES, st.sampled_from(["data.csv", "data.json", "data.jsonl"]))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(b'{"a": [[[[', "data.json")
@example(b"[" * 100_000, "data.json")
@example(b'{"a": 1' + b"0" * 5000 + b"}", "data.jsonl")
def test_any_bytes_give_a_table_or_a_coded_reason(tmp_path_factory: pytest.TempPathFactory, content: bytes, filename: str) -> None:
    try:
        imported = read(tmp_path_factory.mktemp("any"), content, filename)
    except KargahError as error:
        assert error.code != "INTERNAL"
        return
    assert all(len(values) == imported.result.rows > 0 for values in imported.table().values())


def test_lines_with_broken_bytes_are_left_out_of_json_too(tmp_path: Path) -> None:
    good = json.dumps({"متن": "سلام دنیا"}, ensure_ascii=False).encode()
    imported = read(tmp_path, good + b"\n" + good.replace("سلام ".encode(), b"\xff") + b"\n" + good + b"\n", "data.jsonl")
    assert imported.result.rows == 1 + 1
    assert imported.problems["BROKEN_BYTES"]["count"] == 1


PLAIN = st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from(',;"\n\r\t|،')
CELLS = st.text(PLAIN, max_size=12).map("x".__add__)
VALUES = CELLS | st.integers(-(10**12), 10**12) | st.none()
RECORDS = st.fixed_dictionaries({"a": VALUES, "ب": VALUES})
Folders = pytest.TempPathFactory


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
@settings(max_examples=60, deadline=None)
def test_what_a_csv_writer_wrote_is_what_comes_in(tmp_path_factory: Folders, rows: list[tuple[str, str]], codec: str) -> None:
    written = io.StringIO(newline="")
    csv.writer(written).writerows([("متن", "دیگری"), *rows])
    imported = read(tmp_path_factory.mktemp("any"), written.getvalue().encode(codec), delimiter=",")
    assert list(zip(*imported.table().values(), strict=True)) == rows


@given(st.lists(RECORDS, min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_json_comes_in_the_same_in_each_of_its_shapes(tmp_path_factory: Folders, records: list[dict[str, object]]) -> None:
    shapes = {
        "lines.jsonl": "\n".join(json.dumps(record) for record in records),
        "array.json": json.dumps(records, indent=1, ensure_ascii=False),
        "wrapped.json": json.dumps({"version": 1, "data": records}),
    }
    tables = [read(tmp_path_factory.mktemp("any"), content, name).table() for name, content in shapes.items()]
    assert tables[0] == tables[1] == tables[2]
    assert len(tables[0]["a"]) == len(records)


def test_what_is_found_is_said_in_words_while_it_is_read(tmp_path: Path) -> None:
    directory = lay_out(tmp_path, f"{CSV}بد,منفی,سه\nسلام,مثبت\n".encode())
    assert start(directory).wait(timeout=60) == 0
    told = [event.model_dump() for event in events_of(directory) if event.kind == "Logged"]
    said = {event["params"]["found"]: i18n.text("en", event["code"], **event["params"]) for event in told}
    assert said["DUPLICATE_ROWS"].startswith("Found so far: 1 rows repeat an earlier one exactly")
    assert set(said) == {"DUPLICATE_ROWS", "RAGGED_ROWS"}
    assert not any("{" in text for text in said.values())
