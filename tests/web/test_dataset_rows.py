"""Rows of a data set over HTTP: page by page, sorted, found however they are spelt, and out again as files that are safe to open."""

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest
from support.model_folders import make_folder
from support.server import running_with_admin

from kargah.kit.errors import KargahError
from kargah.recipes.encoders import fast_tokenizer
from kargah.recipes.tokenizing import train_tokenizer
from kargah.web.pages.dataset_rows import edits_of, split_of

ROWS = [("كتاب شمارهٔ ۱۲", 3), ("=1+1", 1), ("مدادِ قرمز", None), ("می‌خوانم", 2), *((f"سطر {number}", number) for number in range(10, 40))]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with running_with_admin(tmp_path_factory.mktemp("home")) as server:
        yield server.client()


@pytest.fixture(scope="module")
def address(client: httpx.Client) -> str:
    """The data set's, once it is read."""
    lines = io.StringIO()
    csv.writer(lines).writerows([("متن", "عدد"), *ROWS])
    made = client.put("/api/v1/datasets?filename=سطرها.csv", content=lines.getvalue().encode()).json()
    until_done(client, made["job_id"])
    return f"/api/v1/datasets/{made['id']}"


def until_done(client: httpx.Client, job_id: str) -> None:
    with client.stream("GET", f"/api/v1/jobs/{job_id}/events", timeout=120) as stream:
        assert any('"kind":"Finished"' in line.replace(" ", "") for line in stream.iter_lines())


def texts(client: httpx.Client, address: str, **asked: object) -> list[str]:
    answer = client.get(f"{address}/rows", params=asked)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return [row["cells"]["متن"] for row in answer.json()["rows"]]


def test_rows_come_page_by_page_each_once(client: httpx.Client, address: str) -> None:
    numbers, cursor = [], "0"
    while cursor is not None:
        page = client.get(f"{address}/rows", params={"cursor": cursor, "limit": 10}).json()
        numbers += [row["number"] for row in page["rows"]]
        cursor = page["next_cursor"]
    assert numbers == list(range(1, len(ROWS) + 1))
    assert page["total"] == len(ROWS)


def test_rows_are_sorted_with_the_empty_ones_last(client: httpx.Client, address: str) -> None:
    assert texts(client, address, sort="عدد", limit=3) == ["=1+1", "می‌خوانم", "كتاب شمارهٔ ۱۲"]
    assert texts(client, address, sort="عدد", descending=True, limit=2) == ["سطر 39", "سطر 38"]
    assert texts(client, address, sort="عدد", cursor=len(ROWS) - 1) == ["مدادِ قرمز"]


@pytest.mark.parametrize(
    ("words", "found"),
    [("کتاب", "كتاب شمارهٔ ۱۲"), ("شماره 12", "كتاب شمارهٔ ۱۲"), ("مداد قرمز", "مدادِ قرمز"), ("میخوانم", "می‌خوانم"), ("1+1", "=1+1")],
)
def test_words_are_found_however_they_are_spelt(client: httpx.Client, address: str, words: str, found: str) -> None:
    assert texts(client, address, contains=words) == [found]
    assert texts(client, address, contains=words, column="متن") == [found]


def test_a_column_that_is_not_there_and_a_version_of_another_are_refused(client: httpx.Client, address: str) -> None:
    refused = client.get(f"{address}/rows", params={"sort": "نیست"})
    assert (refused.status_code, refused.json()["code"]) == (422, "UNKNOWN_COLUMN")
    assert client.get(f"{address}/rows", params={"version": "dsv_none"}).status_code == 404
    assert client.get(f"{address}/export", params={"format": "exe"}).status_code == 422


def test_two_versions_are_compared_by_their_rows(client: httpx.Client, address: str) -> None:
    before = client.get(address).json()["version"]["id"]
    edit = {"kind": "edit_rows", "edits": [{"row": 4, "column": "متن", "value": "نوشتم"}], "deletions": [1]}
    made = client.post(f"{address}/versions", json={"fixes": [edit, {"kind": "split"}]}).json()
    until_done(client, made["job_id"])
    found = client.get(f"{address}/versions/{made['id']}/difference", params={"since": before}).json()
    assert (found["added"], found["removed"], found["kept"]) == (1, 2, len(ROWS) - 2)
    assert [row["cells"]["متن"] for row in found["examples_added"]] == ["نوشتم"]
    assert [row["number"] for row in found["examples_removed"]] == [1, 4]
    assert (found["columns_added"], found["columns_removed"]) == (["split"], [])
    client.put(f"{address}/current", json={"version": before}).raise_for_status()


def test_what_goes_out_is_whole_and_no_spreadsheet_runs_it(client: httpx.Client, address: str, tmp_path: Path) -> None:
    out = client.get(f"{address}/export?format=csv")
    assert out.content.startswith("\ufeff".encode())
    assert "filename*=UTF-8''" in out.headers["content-disposition"]
    table = list(csv.reader(io.StringIO(out.content.decode("utf-8-sig"))))
    assert table[0] == ["متن", "عدد"]
    assert ["'=1+1", "1"] in table
    assert len(table) == len(ROWS) + 1
    lines = [json.loads(line) for line in client.get(f"{address}/export?format=jsonl").text.splitlines()]
    assert [(line["متن"], line["عدد"]) for line in lines] == ROWS
    (tmp_path / "out.parquet").write_bytes(client.get(f"{address}/export?format=parquet").content)
    assert pq.read_table(tmp_path / "out.parquet").num_rows == len(ROWS)


def test_edits_are_what_differs_in_the_form() -> None:
    changed = {"cell.3.0": "تازه", "was.3.0": "کهنه", "cell.5.1": "", "was.5.1": "x"}
    sent = {**changed, "cell.4.0": "a\r\nb", "was.4.0": "a\nb", "cell.x.1": "y", "cell.1.9": "z"}
    assert [edit.model_dump() for edit in edits_of(sent, ["متن", "برچسب"])] == [
        {"row": 3, "column": "متن", "value": "تازه"},
        {"row": 5, "column": "برچسب", "value": None},
    ]


def test_a_split_is_asked_for_in_any_digits() -> None:
    split = split_of({"validation": "۲۰", "test": "12.5", "seed": "۷", "stratify": "برچسب"})
    assert (split.validation_share, split.test_share, split.seed, split.stratify, split.group) == (0.2, 0.125, 7, "برچسب", None)
    with pytest.raises(KargahError):
        split_of({"validation": "نیمی"})


def test_the_spread_of_columns_is_told_to_programs_and_drawn_on_the_page_without_scripts(client: httpx.Client, address: str) -> None:
    told = {column["name"]: column for column in client.get(f"{address}/statistics").json()}
    assert (told["عدد"]["count"], told["عدد"]["nulls"], told["عدد"]["minimum"], told["عدد"]["maximum"]) == (33, 1, 1, 39)
    assert told["متن"]["measure"] == "characters"
    page = address.removeprefix("/api/v1")
    shown = client.get(page).text
    assert shown.count('<svg class="hist small"') == 2
    closely = client.get(f"{page}/columns", headers={"Accept-Language": "fa"}).text
    assert closely.count('<svg class="hist"') == 2
    assert "<script" not in closely.partition("<main")[2] and "style=" not in closely.partition("<main")[2]


def test_what_a_model_will_see_is_told_and_shown(client: httpx.Client, address: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "base")
    fast_tokenizer(train_tokenizer([text for text, _ in ROWS], 200, None)).save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"], "max_position_embeddings": 32}')
    page = f"{address.removeprefix('/api/v1')}/tokens"
    empty = client.get(page).text
    assert "<table" not in empty and 'href="/models#import"' in empty
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    made = client.post("/api/v1/models/upload", files={"file": ("base.zip", packed.getvalue())}).json()
    model = made["versions"][0]["id"]
    told = client.get(f"{address}/tokens", params={"model": model, "max_length": 6, "text": "متن", "limit": 4}, timeout=120).json()
    assert [token["state"] for token in told["rows"][0]["tokens"]][:2] == ["special", "kept"]
    assert (told["max_length"], told["limit"], told["columns"], told["next_cursor"]) == (6, 32, ["متن"], "4")
    assert told["findings"][0]["code"] == "tokens.cut"
    shown = client.get(page, params={"model": model, "max_length": "۶"}, timeout=120)
    assert shown.status_code == 200 and "<del" in shown.text and '<svg class="hist"' in shown.text
    refused = client.get(f"{address}/tokens", params={"model": model, "text": "نیست"})
    assert (refused.status_code, refused.json()["code"]) == (422, "COLUMN_MISSING")
    numbers = "\n".join(["الف,ب", *(f"{number * 0.37:.3f},{number * 1.91:.3f}" for number in range(40))])
    made = client.put("/api/v1/datasets?filename=numbers.csv", content=numbers.encode()).json()
    until_done(client, made["job_id"])
    page = f"/datasets/{made['id']}/tokens"
    unasked, asked = client.get(page), client.get(page, params={"model": model})
    assert (unasked.status_code, asked.status_code) == (200, 422) and "<table" not in unasked.text
