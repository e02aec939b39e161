"""Nasty files: each is read with a warning that names the place, or refused with a code; none is read wrongly or without a word.

``make hostile`` does the same over HTTP, with trainings, pages and the big files besides; the judge is the same.
"""

import json
import sys
from pathlib import Path

import pytest
from support.imports import DATA, needs_data, read

from kargah.kit.errors import KargahError

sys.path.append(str(Path(__file__).parents[2] / "scripts"))
from hostile import Case, Outcome, facts, in_a_zip, mentions, together, told, verdict_faults

pytestmark = needs_data
HOSTILE = DATA / "hostile"


def cases() -> list[Case]:
    if not HOSTILE.is_dir():
        return []
    found: list[Case] = json.loads((HOSTILE / "expected.json").read_text())["cases"]
    return [case for case in found if case["verdict"] != "special" and not case["file"].startswith("(--big)")]


def imported(home: Path, content: bytes, name: str) -> Outcome:
    try:
        done = read(home, content, name)
    except KargahError as error:
        return Outcome("reject", said=told("error", json.loads(json.dumps(error.as_dict()))))
    report = json.loads(json.dumps(done.report))
    version = {"report": report, "rows": report["rows"], "encoding": report["encoding"], "columns": done.result.columns}
    return Outcome.of_version(version, done.preview())


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["file"].removeprefix("files/"))
def test_a_nasty_file_is_read_or_refused_as_agreed(tmp_path: Path, case: Case) -> None:
    path = HOSTILE / case["file"]
    content, name = together(path) if in_a_zip(case) else (path.read_bytes(), case.get("upload_as", path.name))
    outcome = imported(tmp_path, content, name)
    assert verdict_faults(outcome, case) == []
    assert (mentions if outcome.verdict == "reject" else facts)(outcome, case) == []


@pytest.mark.parametrize(
    "name", ["two.zip", "one.zip", "data.csv.zst", "data.csv.gz", "gzip-called.csv", "good.parquet", "excel-rtl.xlsx", "text.xlsx"]
)
def test_what_might_be_refused_is_read_all_the_same(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, HOSTILE / "files" / "type" / name).result.rows in (12, 20, 40)


def test_conversations_that_are_none_are_left_out_when_asked(tmp_path: Path) -> None:
    done = read(tmp_path, HOSTILE / "files/chat/bad-turns.jsonl", leave_out_bad_rows=True)
    assert done.result.rows == 2  # the good one, and the one whose content comes in parts
    assert done.problems["BROKEN_CHATS"]["lines"] == [2, 3, 4, 5, 6, 8, 9]
    assert [turn["role"] for turn in done.table()["messages"][0]] == ["system", "user", "assistant"]


def test_windows_1256_gives_persian_and_says_that_it_guessed(tmp_path: Path) -> None:
    done = read(tmp_path, HOSTILE / "files/enc/windows-1256.csv")
    assert done.result.encoding == "cp1256"
    assert done.problems["ENCODING_GUESSED"]["params"] == {"encoding": "cp1256"}
    assert not set("ÛØÙ\ufffd") & set("".join(done.table()["متن"]))


def test_variants_of_a_label_are_shown_as_what_they_would_become(tmp_path: Path) -> None:
    merged = read(tmp_path, HOSTILE / "files/csv/labels-inconsistent.csv").problems["LABEL_VARIANTS"]
    assert merged["params"]["classes"] == 3
    assert sorted(len(group) for group in merged["params"]["merges"]) == [2, 2, 3]
