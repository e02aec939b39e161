"""Real files come in whole, with the right kinds of columns and an honest report."""

import csv
from pathlib import Path

import pytest
from support.imports import DATA, needs_data, read

pytestmark = needs_data


@pytest.mark.parametrize(
    ("name", "rows", "kinds"),
    [
        ("sentiment-deepsentipers/train.csv", 5561, {"text": "text", "label": "integer"}),
        ("nli-farstail/train.tsv", 7266, {"premise": "text", "hypothesis": "text", "label": "category"}),
        ("en-sst2/dev.csv", 872, {"sentence": "text", "label": "integer"}),
        ("pos-ud-perdt/test.jsonl", 1455, {"tokens": "list", "pos_tags": "list"}),
    ],
)
def test_a_real_file_is_read_whole(tmp_path: Path, name: str, rows: int, kinds: dict[str, str]) -> None:
    imported = read(tmp_path, DATA / name)
    assert imported.result.rows == rows
    assert imported.kinds() == kinds
    assert imported.report["rows_dropped"] == 0
    assert all(len(values) == rows for values in imported.table().values())


def test_text_is_stored_as_it_came_and_what_normalising_would_change_is_counted(tmp_path: Path) -> None:
    path = DATA / "sentiment-deepsentipers" / "test.csv"
    imported = read(tmp_path, path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        raw = [row["text"] for row in csv.DictReader(file)]
    assert imported.table()["text"] == raw
    assert imported.report["normaliser"]["counts"]["letters"] > 9000
    assert imported.result.normaliser["version"] == 1


def test_ratings_stay_whole_numbers_with_all_their_classes(tmp_path: Path) -> None:
    label = read(tmp_path, DATA / "sentiment-deepsentipers" / "train.csv").columns["label"]
    assert {item["value"]: item["count"] for item in label["top"]} == {"0": 2409, "1": 1623, "2": 988, "-1": 513, "-2": 28}
    assert (label["distinct"], label["minimum"], label["maximum"]) == (5, -2, 2)


@pytest.mark.parametrize(("name", "target", "kind"), [("churn-fa.csv", "ریزش", "category"), ("churn-en.csv", "Churn", "integer")])
def test_a_table_in_either_language_gives_its_target_and_its_repeated_rows(tmp_path: Path, name: str, target: str, kind: str) -> None:
    imported = read(tmp_path, DATA / "tabular-churn-ir" / name)
    assert imported.result.rows == 3150
    assert imported.columns[target]["kind"] == kind
    assert [item["count"] for item in imported.columns[target]["top"]] == [2655, 495]
    assert imported.problems["DUPLICATE_ROWS"]["count"] == 300


def test_doubled_blanks_in_header_names_collapse(tmp_path: Path) -> None:
    assert "Call Failure" in read(tmp_path, DATA / "tabular-churn-ir" / "churn-en.csv").columns


def test_prices_with_thousands_separators_become_numbers(tmp_path: Path) -> None:
    imported = read(tmp_path, DATA / "tabular-house-tehran" / "housePrice.csv")
    assert imported.kinds()["Area"] == "integer"
    assert imported.kinds()["Price"] == "number"
    assert imported.columns["Area"]["maximum"] == 16_160_000_000
    assert imported.columns["Address"]["nulls"] == imported.problems["MISSING_VALUES"]["count"] == 23
    assert imported.problems["NUMBERS_PARSED"]["columns"] == ["Area"]
