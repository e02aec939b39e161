import pytest

from kargah.text import detect
from kargah.text.detect import Shape, Utf8Check

PERSIAN = "متن,برچسب\nسلام دنیا،خوب,مثبت\n" * 20


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n", "PNG"),
        (b"PK\x03\x04rest", "ZIP"),
        (b"MZ\x90\x00", "EXE"),
        (b"\x80\x04\x95", "pickle"),
        (bytes(range(32)), "binary"),
    ],
)
def test_files_that_are_no_text_are_named(head: bytes, kind: str) -> None:
    assert detect.binary_kind(head) == kind


def test_a_header_that_begins_like_a_picture_is_still_text() -> None:
    assert detect.binary_kind(b"GIF8,RIFF\n1,2\n") is None


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1256"])
def test_text_in_any_of_our_encodings_is_no_binary(codec: str) -> None:
    raw = PERSIAN.replace("ی", "ي").encode(codec)
    assert detect.binary_kind(raw) is None


def test_utf16_without_a_mark_is_recognised_and_utf8_is_not_taken_for_it() -> None:
    assert detect.utf16_without_mark(PERSIAN.encode("utf-16-le")) == "utf-16-le"
    assert detect.utf16_without_mark(PERSIAN.encode("utf-16-be")) == "utf-16-be"
    assert detect.utf16_without_mark(PERSIAN.encode()) is None
    assert detect.utf16_without_mark(b"a,b\n1,2\n") is None


def test_old_persian_and_western_files_are_told_apart() -> None:
    assert detect.legacy_encoding("سلام,مثبت".replace("ی", "ي").encode("cp1256")) == "cp1256"
    assert detect.legacy_encoding("café crème, déjà vu".encode("cp1252")) == "cp1252"


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1000])
def test_the_first_broken_byte_is_found_wherever_chunks_end(chunk_bytes: int) -> None:
    good = "سطر یک\nسطر دو\n".encode()
    raw = good * 40 + b"x\xffy\n" + good
    check = Utf8Check()
    for start in range(0, len(raw), chunk_bytes):
        check.feed(raw[start : start + chunk_bytes])
    check.feed(b"", final=True)
    assert (check.first_broken_offset, check.broken_lines, check.broken_bytes) == (len(good) * 40 + 1, [81], 1)
    assert check.is_utf8


def test_a_windows_file_is_no_utf8_with_damage() -> None:
    check = Utf8Check()
    check.feed(("سلام,خوب\n" * 50).encode("cp1256"), final=True)
    assert not check.is_utf8


@pytest.mark.parametrize(
    ("sample", "delimiter"),
    [
        ("a,b\n1,2\n", ","), ("a;b\n1,5;2\n2,5;3\n", ";"), ("a\tb\n1, 2\t3\n", "\t"), ("a|b\n1|2\n", "|"), ("متن، برچسب\nخوب، مثبت\n", "،"),
        ('a\tb\n"x\ty"\tz\n', "\t"), ("text\none, two\nthree\n", ","), ('a,b\n"x;y;z",2\n', ","),
    ],
)  # fmt: skip
def test_the_delimiter_is_what_cuts_rows_alike(sample: str, delimiter: str) -> None:
    assert detect.delimiter(sample) == delimiter


@pytest.mark.parametrize(
    ("head", "name", "shape"),
    [
        ('{"a": 1}\n{"a": 2}\n', "x.csv", Shape.JSON_LINES), ('[{"a": 1}]', "x.jsonl", Shape.JSON_ARRAY),
        ('{\n "data": [', "x.json", Shape.JSON_OBJECT), ('{"data": [{"a": 1}]}', "x.json", Shape.JSON_OBJECT),
        ('{"tokens": ["a"]}', "x.jsonl", Shape.JSON_LINES),
        ("<!DOCTYPE html><html>", "x.csv", Shape.HTML), ("a,b\n", "x.json.csv", Shape.DELIMITED), ("42", "x.json", Shape.JSON_LINES),
        ("[متن],[برچسب]\n", "x.csv", Shape.DELIMITED), ('{"a": 1}{"a": 2}', "x.json", Shape.JSON_LINES),
    ],
)  # fmt: skip
def test_the_shape_is_told_by_content(head: str, name: str, shape: Shape) -> None:
    assert detect.shape(head, name) is shape


def test_a_first_row_of_data_is_no_header() -> None:
    assert detect.lacks_header([["خوب بود", "مثبت"], ["بد بود", "مثبت"], ["عالی", "مثبت"], ["هیچ", "منفی"]])
    assert detect.lacks_header([["1", "2"], ["3", "4"], ["5", "6"]])
    assert not detect.lacks_header([["متن", "برچسب"], ["خوب", "مثبت"], ["بد", "منفی"]])
    assert not detect.lacks_header([["x", "2020"], ["a", "b"], ["c", "d"]])
